"""What a master knows of each task. Every change is a method here, so there is one place for each.

    names       all tasks there are
    queued      nobody has it: the labels it asks for, in the order of arrival
    bad         nobody has it, and it can never run: the reason
    finished    it has a final state: when that was seen, monotonic seconds, in this order
    (none)      it is held, or what is known of it does not suffice
    unread      besides: it is still to be read, in this order

A task is queued, bad or finished, never two of them.
"""

from collections.abc import Iterable
from typing import Any

from mwapp.core.task import task_order


class KnownTasks:
    """The tasks, by what is known of them."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.queued: dict[str, frozenset[str]] = {}
        self.bad: dict[str, str] = {}
        self.finished: dict[str, float] = {}
        self.unread: dict[str, None] = {}

    def renewed(self, in_doubt: set[str]) -> "KnownTasks":
        """For the next reading. There may be many thousands, so keep all but those held or in doubt."""
        in_doubt = in_doubt | self.unread.keys()
        new = KnownTasks()
        new.queued, new.bad = self.queued, self.bad
        new.finished = {task: seen for task, seen in self.finished.items() if task not in in_doubt}
        new.names = new.queued.keys() | new.bad.keys() | new.finished.keys()
        # They keep their places in the queue.
        new.unread = dict.fromkeys(sorted(in_doubt & new.names, key=task_order))
        return new

    def listed(self, names: Iterable[str]) -> set[str]:
        """These are all there are. Returns those that are new."""
        before, self.names = self.names, set(names)
        for task in before - self.names:
            self._put(task)
            self.unread.pop(task, None)
        return self.names - before

    def queue(self, task: str, labels: frozenset[str]) -> None:
        """Nobody has it. If it was queued before, it keeps its place."""
        self._put(task, self.queued, labels)

    def spoil(self, task: str, reason: str) -> None:
        """It can never run."""
        self._put(task, self.bad, reason)

    def finish(self, task: str, now: float) -> None:
        """It has a final state. When that was seen first counts."""
        self._put(task, self.finished, self.finished.get(task, now))

    def put_off(self, task: str, now: float) -> None:
        """It is finished; move it to the end of the order, as if it had just been seen."""
        self.finished.pop(task, None)
        self.finished[task] = now

    def take(self, task: str) -> None:
        """Somebody has it."""
        self.queued.pop(task, None)

    def doubt(self, task: str) -> None:
        """Do not assign it, or give it up, until more is known."""
        self.queued.pop(task, None)
        self.bad.pop(task, None)

    def reopen(self, task: str) -> None:
        """It has no final state, or none any more."""
        self.finished.pop(task, None)

    def remove(self, task: str) -> None:
        """It was deleted."""
        self.finished.pop(task, None)
        self.names.discard(task)

    def _put(self, task: str, to: dict[str, Any] | None = None, value: Any = None) -> None:
        for known in (self.queued, self.bad, self.finished):
            if known is not to:
                known.pop(task, None)
        if to is not None:
            to[task] = value
