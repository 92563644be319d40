"""What a master knows of each task. Every change is a method here, so there is one place for each.

    names       all tasks there are
    queued      nobody has it: what it asks for, in the order of arrival
    delayed     the same, and it is not to begin yet
    bad         nobody has it, and it can never run: the reason
    finished    it has a final state: when that was seen, monotonic seconds, in this order
    (none)      it is held, or what is known of it does not suffice
    unread      besides: it is still to be read, in this order

A task is queued, delayed, bad or finished, never two of them. What is queued too long becomes bad.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Any

from mwapp.core.submitters import Submitters
from mwapp.core.task import Task, task_order

# A task that is to begin at a certain time of day is looked at again after so many seconds at most, because
# somebody may set the clock.
LOOK_SECONDS = 60.0
# And after so many seconds at least.
SOONEST_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a task that nobody has asks for."""

    labels: frozenset[str]
    begins: float = -math.inf  # not before that, monotonic seconds
    not_before: float = -math.inf  # nor before that, seconds since the Unix epoch
    ends: float = math.inf  # it is too late from then on, monotonic seconds
    expires: float = 0.0  # what the task says of that

    @staticmethod
    def of(task: Task, age: float, now: float) -> "Waiting":
        """For a task that was submitted ``age`` seconds ago, as far as anybody can tell."""
        age = max(0.0, age)  # some clock is wrong
        return Waiting(
            frozenset(task.labels),
            -math.inf if task.delay is None else now + task.delay - age,
            -math.inf if task.not_before is None else task.not_before,
            math.inf if task.expires is None else now + task.expires - age,
            task.expires or 0.0,
        )

    def due(self, now: float, wall: float) -> float:
        """When to look at it again, monotonic seconds; infinite: time does nothing to it."""
        if now < self.begins:
            return min(self.begins, self.ends)
        if wall < self.not_before:
            return min(now + min(max(self.not_before - wall, SOONEST_SECONDS), LOOK_SECONDS), self.ends)
        return self.ends

    def ready(self, now: float, wall: float) -> bool:
        """Whether it may begin."""
        return now >= self.begins and wall >= self.not_before


class KnownTasks:
    """The tasks, by what is known of them."""

    def __init__(self, max_per_submitter: int = 0) -> None:
        self.names: set[str] = set()
        self.submitters = Submitters(max_per_submitter)
        self.queued: dict[str, Waiting] = {}
        self.delayed: dict[str, Waiting] = {}
        self.bad: dict[str, str] = {}
        self.finished: dict[str, float] = {}
        self.unread: dict[str, None] = {}
        self._looks: dict[str, float] = {}  # when to look at a task that waits
        self._times: list[tuple[float, str]] = []  # a heap of those, and some that no longer count

    def renewed(self, in_doubt: set[str]) -> "KnownTasks":
        """For the next reading. There may be many thousands, so keep all but those held or in doubt."""
        in_doubt = in_doubt | self.unread.keys()
        new = KnownTasks()
        new.queued, new.delayed, new.bad = self.queued, self.delayed, self.bad
        new._looks, new._times = self._looks, self._times
        new.finished = {task: seen for task, seen in self.finished.items() if task not in in_doubt}
        new.names = new.queued.keys() | new.delayed.keys() | new.bad.keys() | new.finished.keys()
        new.submitters = self.submitters.kept(new.names - new.finished.keys())
        # They keep their places in the queue.
        new.unread = dict.fromkeys(sorted(in_doubt & new.names, key=task_order))
        return new

    def listed(self, names: Iterable[str]) -> set[str]:
        """These are all there are. Returns those that are new."""
        before, self.names = self.names, set(names)
        for task in before - self.names:
            self._put(task)
            self.submitters.forget(task)
            self.unread.pop(task, None)
        if self.submitters.most:  # we count them, and some have been found in a queue, and deleted since
            self.finished = {task: seen for task, seen in self.finished.items() if task in self.names}
        return self.names - before

    def queue(self, task: str, waiting: Waiting, now: float, wall: float) -> None:
        """Nobody has it. If it was queued before, it keeps its place."""
        if now >= waiting.ends:
            late = waiting.ready(now, wall)
            why = "no worker had room for it" if late else "it was not to begin"
            self.spoil(task, f"expired: {why} within {waiting.expires:g} s")
            return
        self._put(task, self.queued if waiting.ready(now, wall) else self.delayed, waiting)
        due = waiting.due(now, wall)
        if due < self._looks.get(task, math.inf):
            self._looks[task] = due
            heappush(self._times, (due, task))
            if len(self._times) > 2 * len(self._looks) + 100:  # most no longer count
                self._times[:] = [(due, task) for task, due in self._looks.items()]
                heapify(self._times)

    def look(self, now: float, wall: float) -> float:
        """Time has passed: what was delayed is queued, and what was queued is too old. Returns when to look
        again."""
        while self._times and self._times[0][0] <= now:
            due, task = heappop(self._times)
            if self._looks.get(task) != due:
                continue  # it was to be looked at sooner, and has been
            del self._looks[task]
            waiting = self.queued.get(task) or self.delayed.get(task)
            if waiting is not None:
                self.queue(task, waiting, now, wall)
        return self._times[0][0] if self._times else math.inf

    def spoil(self, task: str, reason: str) -> None:
        """It can never run."""
        self._put(task, self.bad, reason)

    def finish(self, task: str, now: float) -> None:
        """It has a final state. When that was seen first counts."""
        self._put(task, self.finished, self.finished.get(task, now))
        self.submitters.forget(task)

    def put_off(self, task: str, now: float) -> None:
        """If it is still finished, move it to the end of the order, as if it had just been seen."""
        if self.finished.pop(task, None) is not None:
            self.finished[task] = now

    def waits(self, task: str) -> bool:
        """Whether nobody has it."""
        return task in self.queued or task in self.delayed or task in self.bad

    def take(self, task: str) -> None:
        """Somebody has it; or do not assign it, or give it up, until more is known."""
        self._looks.pop(task, None)
        self.queued.pop(task, None)
        self.delayed.pop(task, None)
        self.bad.pop(task, None)  # it expired while it was being assigned

    def reopen(self, task: str) -> None:
        """It has no final state, or none any more."""
        self.finished.pop(task, None)

    def remove(self, task: str) -> None:
        """It was deleted."""
        self.finished.pop(task, None)
        self.names.discard(task)
        self.submitters.forget(task)

    def may_begin(self, task: str) -> bool:
        """Whether its submitter has room for it, as far as is known."""
        return self.submitters.has_room(task, len(self.names) - len(self.finished))

    def refuse_too_many(self) -> None:
        """Of the tasks that nobody has, those beyond their submitter's bound can never run. What is unread
        may have ended."""
        if not self.unread:
            for task, submitter in self.submitters.beyond():
                if task in self.queued or task in self.delayed:
                    self.spoil(task, self.submitters.why(submitter))

    def _put(self, task: str, to: dict[str, Any] | None = None, value: Any = None) -> None:
        if to is not self.queued and to is not self.delayed:
            self._looks.pop(task, None)
        for known in (self.queued, self.delayed, self.bad, self.finished):
            if known is not to:
                known.pop(task, None)
        if to is not None:
            to[task] = value
