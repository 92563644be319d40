"""What a master knows of each task: one record for each, and one method that changes what state it is in.

    queued      nobody has it: what it asks for, in the order of arrival
    delayed     the same, and it is not to begin yet
    bad         nobody has it, and it can never run: the reason
    held        somebody has it: who, and by which assignment
    finished    it has a final state: when that was seen, monotonic seconds, in this order
    unknown     what is known of it does not suffice; there is no record

What is finished may still be held: a person reported it and left the assignment. What is queued too long
becomes bad. Two things are known of tasks besides, whatever their state:

    names       all tasks there are
    unread      those still to be read, in this order
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush

from mwapp.core.held import Held
from mwapp.core.states import step
from mwapp.core.submitters import Submitters
from mwapp.core.task import Task, task_order

# A task that is to begin at a certain time of day is looked at again after so many seconds at most, because
# somebody may set the clock.
LOOK_SECONDS = 60.0
# And after so many seconds at least.
SOONEST_SECONDS = 0.001

UNKNOWN, QUEUED, DELAYED, BAD, HELD, FINISHED = "unknown", "queued", "delayed", "bad", "held", "finished"
TRANSITIONS = {
    UNKNOWN: (QUEUED, DELAYED, BAD, HELD, FINISHED),
    QUEUED: (UNKNOWN, DELAYED, BAD, HELD, FINISHED),
    DELAYED: (UNKNOWN, QUEUED, BAD, HELD, FINISHED),
    BAD: (UNKNOWN, QUEUED, DELAYED, HELD, FINISHED),
    HELD: (UNKNOWN, FINISHED),
    FINISHED: (UNKNOWN, HELD),
}
# Time does something to what is in these.
PASSING = (QUEUED, DELAYED)


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


NOTHING = Waiting(frozenset())


@dataclass(slots=True)
class KnownTask:
    """What is known of one task."""

    state: str = UNKNOWN
    waiting: Waiting = NOTHING  # while it is queued or delayed
    reason: str = ""  # while it is bad
    seen: float = 0.0  # while it is finished: when that was seen, monotonic seconds
    held: dict[str, Held] = field(default_factory=dict)  # by queue: several only if a person did that


class _Looks:
    """When to look at which task again, the soonest first."""

    def __init__(self) -> None:
        self.times: dict[str, float] = {}
        self.heap: list[tuple[float, str]] = []  # those, and some that no longer count

    def add(self, task: str, due: float) -> None:
        """Look at it then, unless it will be looked at sooner."""
        if due < self.times.get(task, math.inf):
            self.times[task] = due
            heappush(self.heap, (due, task))
            if len(self.heap) > 2 * len(self.times) + 100:  # most no longer count
                self.heap[:] = [(due, task) for task, due in self.times.items()]
                heapify(self.heap)

    def drop(self, task: str) -> None:
        """It need not be looked at."""
        self.times.pop(task, None)

    def take(self, now: float) -> str | None:
        """One that is due, once. None: there is none."""
        while self.heap and self.heap[0][0] <= now:
            due, task = heappop(self.heap)
            if self.times.get(task) == due:  # otherwise it was to be looked at sooner, and has been
                del self.times[task]
                return task
        return None

    def soonest(self) -> float:
        """When :meth:`take` is to be called again."""
        return self.heap[0][0] if self.heap else math.inf


class KnownTasks:
    """The tasks, by name, by state and by who has them.

    Others read the indexes and call the methods. The indexes by state are changed by ``_become`` alone, those
    by queue by ``hold`` and ``release``, so they cannot disagree with the records.
    """

    def __init__(self, max_per_submitter: int = 0) -> None:
        self.names: set[str] = set()
        self.submitters = Submitters(max_per_submitter)
        self.unread: dict[str, None] = {}
        self.queued: dict[str, KnownTask] = {}
        self.delayed: dict[str, KnownTask] = {}
        self.bad: dict[str, KnownTask] = {}
        self.finished: dict[str, KnownTask] = {}
        self.held: dict[str, dict[str, Held]] = {}  # by queue (worker's name) and task
        self._known: dict[str, KnownTask] = {}
        self._in = {QUEUED: self.queued, DELAYED: self.delayed, BAD: self.bad, FINISHED: self.finished}
        self._looks = _Looks()

    # ------------------------------------------------------------ what there is

    def begin_anew(self, in_doubt: set[str]) -> None:
        """Before the next reading. There may be many thousands, so keep all but those held or in doubt."""
        in_doubt = in_doubt | self.unread.keys()
        for queue, tasks in self.held.items():
            for task in list(tasks):
                self.release(queue, task)
        self.held.clear()
        for task in in_doubt:
            self.reopen(task)
        self.names = set(self._known)
        self.submitters = self.submitters.kept(self.names - self.finished.keys())
        # They keep their places in the queue.
        self.unread = dict.fromkeys(sorted(in_doubt & self.names, key=task_order))

    def listed(self, names: Iterable[str]) -> set[str]:
        """These are all there are. Returns those that are new."""
        before, self.names = self.names, set(names)
        for task in before - self.names:
            self.remove(task)
        if self.submitters.most:  # we count them, and some have been found in a queue, and deleted since
            for task in self.finished.keys() - self.names:
                self.reopen(task)
        return self.names - before

    def appear(self, task: str) -> None:
        """It was created, and is to be read."""
        self.names.add(task)
        self.read_later([task])

    def remove(self, task: str) -> None:
        """It was deleted."""
        self.names.discard(task)
        self._forget(task)
        self.submitters.forget(task)
        self.unread.pop(task, None)

    def read_later(self, tasks: Iterable[str]) -> None:
        """They are to be read, after those that already are."""
        self.unread |= dict.fromkeys(tasks)

    def was_read(self, task: str) -> None:
        """It need not be read any more."""
        self.unread.pop(task, None)

    # ------------------------------------------------------------ what is known of one

    def queue(self, task: str, waiting: Waiting, now: float, wall: float) -> None:
        """Nobody has it. If it was queued before, it keeps its place."""
        if now >= waiting.ends:
            late = waiting.ready(now, wall)
            why = "no worker had room for it" if late else "it was not to begin"
            self.spoil(task, f"expired: {why} within {waiting.expires:g} s")
            return
        self._become(task, QUEUED if waiting.ready(now, wall) else DELAYED).waiting = waiting
        self._looks.add(task, waiting.due(now, wall))

    def look(self, now: float, wall: float) -> float:
        """Time has passed: what was delayed is queued, and what was queued is too old. Returns when to look
        again."""
        while (task := self._looks.take(now)) is not None:
            self.queue(task, self._known[task].waiting, now, wall)
        return self._looks.soonest()

    def spoil(self, task: str, reason: str) -> None:
        """It can never run."""
        self._become(task, BAD).reason = reason

    def hold(self, queue: str, task: str, held: Held) -> None:
        """Somebody has it, even if it is said to have ended."""
        known = self._become(task, FINISHED if task in self.finished else HELD)
        known.held[queue] = self.held.setdefault(queue, {})[task] = held

    def release(self, queue: str, task: str) -> bool:
        """Its assignment there was deleted. Returns whether it was known."""
        if self.held.get(queue, {}).pop(task, None) is None:
            return False
        known = self._known[task]
        del known.held[queue]
        if known.state == HELD:
            self._forget(task)
        return True

    def take(self, task: str) -> None:
        """Do not assign it, or give it up, until more is known."""
        if self.waits(task):
            self._forget(task)

    def finish(self, task: str, now: float) -> None:
        """It has a final state. When that was seen first counts."""
        if task not in self.finished:
            self._become(task, FINISHED).seen = now

    def put_off(self, task: str, now: float) -> None:
        """If it is still finished, move it to the end of the order, as if it had just been seen."""
        if task in self.finished:
            self.finished[task] = self.finished.pop(task)
            self.finished[task].seen = now

    def reopen(self, task: str) -> None:
        """It has no final state, or none any more."""
        if task in self.finished:
            self._forget(task)

    # ------------------------------------------------------------ questions

    def waits(self, task: str) -> bool:
        """Whether nobody has it."""
        return self._state(task) in (QUEUED, DELAYED, BAD)

    def holders(self, task: str) -> Mapping[str, Held]:
        """Who has it. Several, in the order of the queues, if a person put it into several."""
        known = self._known.get(task)
        if known is None or len(known.held) < 2:
            return known.held if known is not None else {}
        return {queue: known.held[queue] for queue in self.held if queue in known.held}

    def may_begin(self, task: str) -> bool:
        """Whether its submitter has room for it, as far as is known."""
        return self.submitters.has_room(task, len(self.names) - len(self.finished))

    def refuse_too_many(self) -> None:
        """Of the tasks that nobody has, those beyond their submitter's bound can never run. What is unread
        may have ended."""
        if not self.unread:
            for task, submitter in self.submitters.beyond():
                if self._state(task) in PASSING:
                    self.spoil(task, self.submitters.why(submitter))

    # ------------------------------------------------------------ the record, and the indexes made of it

    def _state(self, task: str) -> str:
        known = self._known.get(task)
        return UNKNOWN if known is None else known.state

    def _forget(self, task: str) -> None:
        """All that is known but who has it."""
        known = self._known.get(task)
        if known is not None:
            self._become(task, HELD if known.held else UNKNOWN)

    def _become(self, task: str, state: str) -> KnownTask:
        """The one place where a state changes, and with it the order of those that are in it."""
        known = self._known.get(task)
        if known is None:
            known = self._known[task] = KnownTask()
        before = known.state
        if before == state:
            return known
        known.state = step(TRANSITIONS, before, state)
        if before in self._in:
            del self._in[before][task]
        if state in self._in:
            self._in[state][task] = known
        if before in PASSING and state not in PASSING:
            self._looks.drop(task)
        if state == FINISHED:
            self.submitters.forget(task)
        if state == UNKNOWN:
            del self._known[task]
        return known
