"""The clock of a simulated host: it started with the host, and runs a little fast or slow."""

from tests.simulation.world import World


class Clock:
    """The time that a process on the host sees.

    With ``counts_sleep`` it continues while the host is suspended, like CLOCK_BOOTTIME and unlike
    CLOCK_MONOTONIC.
    """

    def __init__(
        self, world: World, *, began: float, drift: float, counts_sleep: bool = True, right: bool = False
    ) -> None:
        """``began``: its value at the start; ``drift``: the part of the time by which it is too fast;
        ``right``: its wall clock shows the world's time."""
        self._world = world
        self._shows, self._rate = began, 1 + drift
        self._counts_sleep = counts_sleep
        self._right = right
        self._lost = 0.0  # seconds that it did not count
        self._asleep_since = 0.0

    def now(self) -> float:
        """Seconds."""
        return self._shows + self._rate * (self._world.now - self._lost)

    def wall(self) -> float:
        """Its wall clock is right, or somebody sets it again and again: it may show anything."""
        return self._world.now if self._right else self._world.now * 1e9 % 2e9

    def left(self, until: float) -> float:
        """In how many seconds of the world it will show that, if the host does not sleep; 0: it shows it."""
        return max(0.0, (until - self.now()) / self._rate)

    def sleep(self) -> None:
        """The host is suspended."""
        self._asleep_since = self._world.now

    def wake(self) -> None:
        """The host continues."""
        if not self._counts_sleep:
            self._lost += self._world.now - self._asleep_since
