"""Which worker a master gives a task to, and how many tasks each has at once.

a task's first attempt     -> the worker with the labels that has the smallest part of its slots taken; of
                              several, the one that was given a task the longest ago
an attempt after a failure -> the same, but not the worker on which it failed, while another has room
a task that workers die of -> a worker that has nothing else
a worker that rests        -> nothing; after its rest one task at a time (mwapp/core/resting.py)
one whose queue is closed  -> nothing
"""

import math
from collections.abc import Container, Iterator

from mwapp.core.backoff import elsewhere
from mwapp.core.held import Held
from mwapp.core.mirror import Mirror
from mwapp.core.protocol import Assignment
from mwapp.core.resting import Resting
from mwapp.core.throughput import Throughput

# The last so many attempts of a task that workers die over are made alone.
ALONE = 2


class Experience:
    """What a master has seen of its workers, by name. It outlasts a term."""

    def __init__(self) -> None:
        self.resting = Resting()
        self.throughputs: dict[str, Throughput] = {}
        self.given: dict[str, int] = {}  # when it was last given a task: the number of the assignment

    def ran(self, worker: str, task: str, well: bool, mirror: Mirror, now: float) -> float | None:
        """A run of the task has succeeded or failed. Returns how long the worker rests now, seconds; None: it
        does not begin to."""
        self.throughputs.setdefault(worker, Throughput()).ended(now)
        if not well:
            return self.resting.failed(worker, task, mirror.workers, now)
        self.resting.succeeded(worker, mirror.workers)
        return None


class Placement:
    """The places for one plan. Each one that is chosen is taken.

    ``now`` is in monotonic seconds; ``at_hand`` as in :class:`~mwapp.core.limits.Limits`; a task is given up
    when ``max_attempts`` workers died over it. The queues of workers in ``closed`` take nothing.
    """

    def __init__(
        self,
        mirror: Mirror,
        experience: Experience,
        now: float,
        *,
        at_hand: float,
        max_attempts: int,
        closed: Container[str],
    ) -> None:
        self._mirror = mirror
        self._workers = mirror.workers
        self._experience = experience
        self._now = now
        self._at_hand = at_hand
        self._max_attempts = max_attempts
        self._closed = closed
        self._full: set[frozenset[str]] = (
            set()
        )  # labels that no worker with room has; none: no worker has room
        self._empty: set[str] = set()  # workers that have no task at all
        # How many each worker has that takes tasks; more if it is to get fewer than it has room for.
        self._load: dict[str, int] = {}
        self._count()

    def _count(self) -> None:
        """One that has a suspect is full, and one that is on trial has room for a single task."""
        workers, resting = self._workers, self._experience.resting
        rest, trial = resting.resting(workers, self._now), resting.on_trial(workers)
        for name, worker in workers.items():
            if worker.draining or name in rest or name in self._closed:
                continue
            queue = self._mirror.held.get(name, {})
            its = [h.assignment for h in queue.values() if h.assignment.meant_for(worker.incarnation)]
            if any(map(self._is_suspect, its)):
                least = self._room(name)
            else:
                least = self._room(name) - (not its) if name in trial else 0
            self._load[name] = max(least, len(its))
            if not its:
                self._empty.add(name)

    @property
    def all_full(self) -> bool:
        """No worker has room."""
        return frozenset() in self._full

    def is_full(self, labels: frozenset[str]) -> bool:
        """No worker with these labels has room, as far as is known."""
        return self.all_full or labels in self._full

    def first(self, labels: frozenset[str]) -> str | None:
        """Who gets a first attempt. None: no room."""
        return self._or_full(self._choose(labels), labels)

    def again(self, held: Held, last: Assignment, others: set[str]) -> str | None:
        """Who gets an attempt that is not the first, and is none of ``others``. ``last``: what the assignment
        says that it follows. None: nobody now."""
        labels = frozenset(last.labels)
        return self._or_full(self._next(held, last, labels, others), labels)

    def _or_full(self, target: str | None, labels: frozenset[str]) -> str | None:
        if target is None:
            self._full |= {some for some in (labels, frozenset[str]()) if not self._has_room(some)}
        return target

    def _next(self, held: Held, last: Assignment, labels: frozenset[str], others: set[str]) -> str | None:
        if self._is_suspect(last):
            return self._choose_idle(labels, others)
        other = self._choose(labels, {*others, last.failed_on})
        if other is None and self._may_fail_again(held):
            return self._choose(labels, others)
        return other

    def _choose(self, labels: frozenset[str], others: Container[str] = ()) -> str | None:
        load, workers, given = self._load, self._workers, self._experience.given
        free = [name for name in self._with_room(labels) if name not in others]
        if not free:
            return None
        chosen = min(free, key=lambda name: (load[name] / workers[name].slots, given.get(name, 0), name))
        self._take(chosen)
        return chosen

    def _choose_idle(self, labels: frozenset[str], others: Container[str]) -> str | None:
        """A worker that has nothing else. None: one gets nothing until it has nothing."""
        load, workers = self._load, self._workers
        able = [name for name in load if labels <= workers[name].labels and name not in others]
        chosen = min(able, key=lambda name: (name not in self._empty, load[name], name), default=None)
        if chosen is None:
            return None
        idle = chosen in self._empty
        self._take(chosen, max(1, self._room(chosen) - load[chosen]))
        return chosen if idle else None

    def _take(self, name: str, places: int = 1) -> None:
        self._load[name] += places
        self._empty.discard(name)

    def _with_room(self, labels: frozenset[str]) -> Iterator[str]:
        load, workers = self._load, self._workers
        return (n for n in load if load[n] < self._room(n) and labels <= workers[n].labels)

    def _has_room(self, labels: frozenset[str]) -> bool:
        """Whether a worker with these labels has."""
        return any(True for _ in self._with_room(labels))

    def _room(self, name: str) -> int:
        """How many tasks the worker is to have at once."""
        worker, throughput = self._workers[name], self._experience.throughputs.get(name)
        if self._at_hand == math.inf:
            return worker.slots + worker.prefetch
        if not worker.prefetch or throughput is None:
            return worker.slots
        return worker.slots + min(worker.prefetch, throughput.tasks(self._at_hand, self._now))

    def _is_suspect(self, assignment: Assignment) -> bool:
        """Whether so many workers died while they had it that it is to have the next ones for itself.

        The tasks that were with it each time look like it, and are not to be given up with it.
        """
        return len(assignment.lost) >= max(1, self._max_attempts - ALONE)

    def _may_fail_again(self, held: Held) -> bool:
        """Whether it may go to the worker on which it failed: there is no other, or none had room for long
        enough."""
        last = held.assignment
        if not last.failed_on or self._now >= held.begins + elsewhere(last.pause):
            return True
        return not any(
            name != last.failed_on and not worker.draining and worker.labels.issuperset(last.labels)
            for name, worker in self._workers.items()
        )
