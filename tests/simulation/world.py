"""Simulated time: what happens next, drawn from a seed, and a trace of what happened."""

import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from heapq import heappop, heappush
from typing import Any

# How often to check whether everything is over, simulated seconds.
EVERY = 0.05
# A schedule that takes this much processor time does not end, seconds: a thousand times the usual.
LONGEST = 60.0
NO_HANG = "no-hang"


class Violation(Exception):  # noqa: N818 - it is what was found, not an error of the simulation
    """An invariant that did not hold."""

    def __init__(self, invariant: str, what: str) -> None:
        super().__init__(f"{invariant}: {what}")
        self.invariant, self.what = invariant, what


@contextmanager
def bounded() -> Iterator[None]:
    """Raises Violation if its body takes longer than LONGEST; if that has no effect, a signal kills the
    process a little later."""

    def over(*_: object) -> None:
        raise Violation(NO_HANG, f"it took {LONGEST:.0f} s of a processor, and had not ended")

    before = signal.signal(signal.SIGPROF, over)
    signal.setitimer(signal.ITIMER_PROF, LONGEST)
    signal.setitimer(signal.ITIMER_VIRTUAL, 1.5 * LONGEST)  # its signal kills
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGPROF, before)


class Chance:
    """Draws from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self.random.random() < probability

    def between(self, low: float, high: float) -> float:
        """A value between these, more often near the low end, because most delays are short."""
        return low + (high - low) * self.random.random() ** 3


class World(Chance):
    """A queue of things to happen at their times (seconds).

    A schedule's ingredients (submissions, cancel requests, faults ...) are numbered as they come, and each
    draws from its own stream. So one can be left out (``without``), and the others stay the same.
    """

    def __init__(self, seed: int, without: frozenset[int] = frozenset()) -> None:
        super().__init__(seed)
        self.seed = seed
        self.ingredients = 0
        self._without = without
        self.now = 0.0
        self.traced = True  # whether what happens is kept
        self.trace: list[tuple[float, str, Any]] = []
        self.steps = 0  # how many things have happened
        self._times: list[float] = []  # a heap, each once
        self._calls: dict[float, list[Callable[[], None]]] = {}  # at these, in their order

    def after(self, delay: float, call: Callable[[], None]) -> None:
        """Let it happen ``delay`` seconds from now."""
        self.at(self.now + delay, call)

    def at(self, time: float, call: Callable[[], None]) -> None:
        """Let it happen at that time, after what was already planned for it.

        To keep an order, pass the time here: ``now + (time - now)`` is not always ``time``.
        """
        calls = self._calls.get(time)
        if calls is None:
            self._calls[time] = [call]
            heappush(self._times, time)
        else:
            calls.append(call)

    def note(self, who: str, what: Any) -> None:
        """Put it on the trace; shown only if something goes wrong."""
        if self.traced:
            self.trace.append((self.now, who, what))

    def run(self, until: float, over: Callable[[], bool] = lambda: False) -> None:
        """Let things happen until that time, or until ``over`` (asked every so often)."""
        times, ask = self._times, self.now
        while times and times[0] <= until:
            if self.now >= ask:
                if over():
                    return
                ask = self.now + EVERY
            self.now = now = times[0]
            calls = self._calls[now]
            call = calls.pop(0)
            if not calls:  # before: the call may plan another for now
                heappop(times)
                del self._calls[now]
            self.steps += 1
            call()
        self.now = max(self.now, until)

    def stream(self, name: str) -> Chance:
        """A separate stream of draws, which does not change the others."""
        return Chance((self.seed << 64) + int.from_bytes(name.encode()))

    def ingredient(self) -> Chance | None:
        """The draws for the schedule's next ingredient; None: leave it out."""
        self.ingredients += 1
        if self.ingredients in self._without:
            return None
        return Chance((self.seed << 20) + self.ingredients)
