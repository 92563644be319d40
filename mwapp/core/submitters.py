"""A bound on each submitter's tasks that have not ended, so that one of them cannot fill the queue.

A task is refused if so many of its submitter's that are older have not ended. It is not begun before the
master knows that for certain: as long as it has not read all tasks, each unread one counts as an older one of
the same submitter. Tasks that do not say who submitted them count as one submitter's. What has begun once is
not refused any more.
"""

from bisect import bisect_left, insort
from collections.abc import Collection, Iterator

from mwapp.core.task import task_order

# How such a reason begins.
TOO_MANY = "too many tasks"
# The age of a task: tasks of one transaction have one zxid.
Age = tuple[int, tuple[int, str]]


class Submitters:
    """Whose the tasks are that have not ended. ``most`` is the bound for each; 0: there is none."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._whose: dict[str, tuple[str, Age]] = {}
        self._tasks: dict[str, list[Age]] = {}  # of each submitter, the oldest first

    def kept(self, names: Collection[str]) -> "Submitters":
        """The same, for these tasks alone."""
        kept = Submitters(self.most)
        for task, (submitter, age) in self._whose.items():
            if task in names:
                kept.note(task, submitter, age[0])
        return kept

    def note(self, task: str, submitter: str, czxid: int) -> None:
        """It was submitted in that transaction, and has not ended."""
        if self.most:
            self.forget(task)
            age = czxid, task_order(task)
            self._whose[task] = submitter, age
            insort(self._tasks.setdefault(submitter, []), age)

    def forget(self, task: str) -> None:
        """It has ended, or does not exist any more."""
        submitter, age = self._whose.pop(task, (None, None))
        if submitter is not None and age is not None:
            ages = self._tasks[submitter]
            del ages[bisect_left(ages, age)]
            if not ages:
                del self._tasks[submitter]

    def has_room(self, task: str, unfinished: int) -> bool:
        """Whether it may begin. ``unfinished``: how many tasks there are of which no end is known."""
        if not self.most:
            return True
        submitter, age = self._whose.get(task, (None, None))
        if submitter is None or age is None:
            return False
        older = bisect_left(self._tasks[submitter], age)
        return older + unfinished - len(self._whose) < self.most

    def beyond(self) -> Iterator[tuple[str, str]]:
        """The tasks beyond the bound, and their submitters."""
        for submitter, ages in self._tasks.items():
            for _, (_, task) in ages[self.most :]:
                yield task, submitter

    def why(self, submitter: str) -> str:
        """Why such a task is refused."""
        whose = f"of {submitter}" if submitter else "that do not say who submitted them"
        return (
            f"{TOO_MANY} {whose}: {self.most} have not ended, the limit of mwapp master --max-per-submitter"
        )
