"""What people who work by hand may break, and for whom: the table of docs/protocol.md, By hand.

Each act excuses certain invariants for the task or worker it touches. Everything else must hold whatever
people do, and so must these for all others.
"""

import re
from collections import defaultdict
from collections.abc import Iterable

from mwapp.core.protocol import Assignment
from tests.simulation.tree import Change, Changed, Created, Deleted

# Only the assignment says where a task is, which attempt that is, and how many failed.
PLACE = {
    "single-assignment",
    "status-from-holder",
    "one-final-status",  # it runs in one queue after it has ended in the other
    "duplicates-explained",
    "token-grows",
    "attempts-bounded",
    "innocent-not-given-up",
    "not-before-time",
    "expires-in-time",
    "result-faithful",  # two runs have one number
    "labels-honoured",
    "peer-rests",
    "no-leak",  # a watch for a task that never existed
}
DEFINITION = {
    *("labels-honoured", "attempts-bounded", "submit-idempotent", "acked-never-lost"),
    *("not-before-time", "expires-in-time", "innocent-not-given-up"),
    "secrets-kept",
}
END = {"cancel-final", "asked-once", "one-final-status", "acked-never-lost", "retention-kept", *PLACE}
# A namesake may come while a process still works on the deleted one.
EXISTENCE = {*DEFINITION, *END}
# The znodes that count the epochs; if both are deleted, epochs start again.
LOST = {"/epoch", "/tasks"}


class Excuses:
    """Records what people do, and says what that excuses."""

    def __init__(self) -> None:
        self._tasks: defaultdict[str, set[str]] = defaultdict(set)  # invariants by task
        self.endless: set[str] = set()  # tasks that need not end, or need not be reported
        self._for_nobody: set[str] = set()  # tasks that were ever given to nobody
        self.staying: set[str] = set()  # tasks that may stay when they have ended: something is below them
        self._numbers: set[int] = set()  # that somebody gave to tasks, ahead of the ensemble
        self.uncounted = 0  # how many tasks a master may still take for finished
        self.counts: set[str] = set()  # those of LOST that were deleted since the last epoch was won

    @property
    def any_task(self) -> bool:
        """Whether a person has changed anything of any task."""
        return bool(self._tasks or self.endless or self.uncounted or self.staying)

    def note(self, change: Change, path: list[str]) -> None:
        """A person has committed it; ``path`` in parts, from the root."""
        match path, change:
            case ["", "epoch" | "tasks"], Deleted():
                self.counts.add(change.path)
            case ["", "assign", _, task] | ["", "returned", task], _:
                self._tasks[task] |= PLACE
                if not isinstance(change, Deleted) and self._is_for_nobody(change):
                    self._for_nobody.add(task)
                    self.endless.add(task)
            case ["", "tasks", task], Created(owner=owner) if owner:
                self.endless.add(task)  # nothing can be recorded below it, so it is no task
                self._tasks[task] |= PLACE | {"cancel-final"}
            case ["", "tasks", task], Changed():
                self._tasks[task] |= DEFINITION
            case ["", "tasks", task], Deleted():
                self._tasks[task] |= EXISTENCE
                self.endless.discard(task)  # a namesake has to end
                self.uncounted += 1
            case ["", "tasks", task, "status"], Changed() | Deleted():
                self._tasks[task] |= END
                self.endless.add(task)
                self.uncounted += 1
            case ["", "tasks", task, "result"], _:
                # If it runs again, its attempts go on from the number there.
                self._tasks[task] |= {"result-faithful", "asked-once", "token-grows", "attempts-bounded"}
            case ["", "tasks", task, "secret"], _:
                self._tasks[task].add("secrets-kept")
            case ["", "tasks", task, _, _, *_], Created():
                self.staying.add(task)
            case ["", "cancel", task], Deleted():
                self._tasks[task].add("cancel-final")
            case ["", "requests", task], _:
                self._tasks[task].add("asked-once")

    def numbers(self, task: str, created: int) -> None:
        """A person has created the task; the ensemble counts so many. It meets higher numbers only later."""
        number = re.fullmatch(r"task-(\d{10})", task)
        if number and int(number[1]) >= created:
            self._numbers.add(int(number[1]))

    def has_taken(self, created: int, others: int) -> bool:
        """Whether one of the next numbers is taken by hand; so many others may come in between."""
        return any(number < created + others for number in self._numbers)

    def two_masters(self, tasks: Iterable[str]) -> None:
        """Since both counts of epochs are lost, two masters have the same number, and write of these."""
        for task in tasks:
            self._tasks[task] |= PLACE

    def inherits(self, task: str) -> None:
        """A task comes whose name has an assignment already: that counts for it."""
        if task in self._for_nobody:
            self.endless.add(task)

    @staticmethod
    def _is_for_nobody(change: Created | Changed) -> bool:
        """Perhaps: it goes to a worker with these labels, whatever the task says, or it is set to be for an
        incarnation that the worker has not, which no master reads again: seed 6038723."""
        assignment = Assignment.decode(change.data)
        return bool(assignment.labels) or (isinstance(change, Changed) and assignment.incarnation is not None)

    def explain(self, invariant: str, task: str) -> bool:
        """Whether the invariant may not hold for the task."""
        return task in self._tasks and invariant in self._tasks[task]
