"""The clock of a simulated host: it started with the host, and runs a little fast or slow."""

from tests.simulation.world import World


class Clock:
    """The time that a process on the host sees.

    With ``counts_sleep`` it continues while the host is suspended, like CLOCK_BOOTTIME and unlike
    CLOCK_MONOTONIC.
    """

    def __init__(
        self,
        world: World,
        *,
        began: float,
        drift: float,
        counts_sleep: bool = True,
        ahead: float | None = 0.0,
        by_wall: bool = False,
    ) -> None:
        """``began``: its value at the start; ``drift``: the part of the time by which it is too fast;
        ``ahead``: the seconds by which its wall clock is; None: somebody sets it again and again;
        ``by_wall``: a process takes the wall clock for this one."""
        self._world = world
        self._shows, self._rate = began, 1 + drift
        self._counts_sleep = counts_sleep
        self._ahead, self._by_wall = ahead, by_wall
        self._lost = 0.0  # seconds that it did not count
        self._asleep_since = 0.0

    def now(self) -> float:
        """Seconds."""
        if self._by_wall:
            return self.wall()
        return self._shows + self._rate * (self._world.now - self._lost)

    def wall(self) -> float:
        """What its wall clock shows: with somebody who sets it, anything, and on no two hosts the same."""
        if self._ahead is None:
            return (self._world.now * 1e9 + self._shows * 1e3) % 2e9
        return self._world.now + self._ahead

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
