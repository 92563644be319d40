"""Simulated time: what happens next, drawn from a seed, and a trace of what happened."""

import heapq
import random
from collections.abc import Callable
from typing import Any


class Violation(Exception):  # noqa: N818 - it is what was found, not an error of the simulation
    """An invariant that did not hold."""

    def __init__(self, invariant: str, what: str) -> None:
        super().__init__(f"{invariant}: {what}")
        self.invariant, self.what = invariant, what


class World:
    """A queue of things to happen at their times (seconds), and the source of all chance."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
        self.now = 0.0
        self.trace: list[tuple[float, str, Any]] = []
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = 0
        self.steps = 0

    def after(self, delay: float, call: Callable[[], None]) -> None:
        """Let it happen ``delay`` seconds from now."""
        self._numbers += 1
        heapq.heappush(self._queue, (self.now + delay, self._numbers, call))

    def note(self, who: str, what: Any) -> None:
        """Put it on the trace; shown only if something goes wrong."""
        self.trace.append((self.now, who, what))

    def run(self, until: float, over: Callable[[], bool] | None = None) -> None:
        """Let things happen until that time, or until ``over`` (asked after every one of them)."""
        while self._queue and self._queue[0][0] <= until:
            if over is not None and over():
                return
            self.now, _, call = heapq.heappop(self._queue)
            self.steps += 1
            call()
        self.now = max(self.now, until)

    def chance(self, probability: float) -> bool:
        """True as often as that."""
        return self.random.random() < probability

    def between(self, low: float, high: float) -> float:
        """Somewhere between, more often near the low end: delays are mostly short."""
        return low + (high - low) * self.random.random() ** 3
