"""How fast a worker ends its tasks, and so how many it should have at hand beyond those that it runs.

Short tasks need some at hand, or the worker is idle for most of each round trip. But no task must wait behind
a long one while another worker is idle. So a worker gets what it does in a short time, at the rate of the
last moments.
"""

import math

# What happened this many seconds ago counts for 1/e of what happens now.
MEMORY = 0.25


class Throughput:
    """Of one worker, from the moments at which its tasks ended (monotonic seconds)."""

    def __init__(self) -> None:
        self._rate = 0.0  # tasks a second, at the moment of the last end
        self._last = -math.inf

    def ended(self, now: float) -> None:
        """One of its tasks did."""
        self._rate = self._faded(now) + 1 / MEMORY
        self._last = now

    def tasks(self, seconds: float, now: float) -> int:
        """How many it ends in that time; none if it has ended none for as long as that."""
        if now - self._last > seconds:
            return 0
        return int(self._faded(now) * seconds)

    def _faded(self, now: float) -> float:
        return self._rate * math.exp((self._last - now) / MEMORY) if self._rate else 0.0
