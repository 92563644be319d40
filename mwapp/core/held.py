"""Who is alive, and what a task's assignment to one of them is worth."""

import math
from dataclasses import dataclass

from mwapp.core.protocol import Assignment


@dataclass(slots=True)
class LiveWorker:
    """A worker whose /workers znode is there."""

    incarnation: int
    slots: int
    draining: bool
    adopted: bool
    labels: frozenset[str] = frozenset()
    outlived: frozenset[str] = (
        frozenset()
    )  # incarnations that are no deaths, as "worker/incarnation": see outlived.py
    prefetch: int = 0  # how many tasks it takes beyond the slots
    readable: bool = True  # otherwise its incarnation is unknown


@dataclass(slots=True)
class Held:
    """A task's assignment."""

    assignment: Assignment
    fresh: bool = True  # read or written since its worker last changed
    begins: float = -math.inf  # of one that was returned: not before that, monotonic seconds

    def orphaned(self, worker: LiveWorker | None) -> bool:
        """Whether nobody runs it. If it is not fresh, it may have been recorded meanwhile, so nobody knows
        yet."""
        elsewhere = worker is None or (worker.readable and not self.assignment.meant_for(worker.incarnation))
        return self.fresh and elsewhere
