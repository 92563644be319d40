"""What must hold of a bound on each submitter's tasks."""

from collections.abc import Collection

from mwapp.core.protocol import TASKS
from mwapp.core.submitters import TOO_MANY
from mwapp.core.task import Task, task_order
from tests.simulation.ensemble import Transacted
from tests.simulation.tree import Deleted

# A master may take this long to see that a task has ended, seconds (it stood still, say).
UNSEEN = 10.0


class Shares:
    """Which tasks have not ended, and whose they are. ``most``: the bound; 0: there is none."""

    def __init__(self) -> None:
        self.most = 0
        self._whose: dict[str, str] = {}
        self._ages: dict[str, tuple[int, tuple[int, str]]] = {}
        self._ended_at: dict[str, float] = {}  # those that have

    def created(self, task: str, asked: Task | None, zxid: int) -> None:
        """It was submitted."""
        self._whose[task] = asked.submitter or "" if asked is not None else ""
        self._ages[task] = zxid, task_order(task)
        self._ended_at.pop(task, None)

    def ended(self, task: str, now: float) -> None:
        """It has a final state, or was deleted."""
        self._ended_at[task] = now

    def reopened(self, task: str) -> None:
        """It runs again."""
        self._ended_at.pop(task, None)

    def concern(self, task: str, unseen: Collection[str]) -> bool:
        """Whether one of these is its submitter's, or TASKS, which says that any may be missing."""
        whose = self._whose.get(task)
        return TASKS in unseen or any(self._whose.get(other) == whose for other in unseen)

    def begun(self, entry: Transacted, task: str) -> str | None:
        """It was assigned. Why it should not have been; None: it may be."""
        moved = any(
            isinstance(change, Deleted) and change.path.split("/")[-1] == task for change in entry.changes
        )
        if not self.most or moved:
            return None
        again = {change.path.split("/")[2] for change in entry.changes if change.path.endswith("/status")}
        older = self._older(task, entry.time, again)  # what runs again is not refused: seed 2649
        return f"{older} older ones of its submitter have not ended" if older >= self.most else None

    def refused(self, task: str, reason: str, now: float) -> str | None:
        """The master has ended it. Why it should not have; None: it may."""
        if not reason.startswith(TOO_MANY):
            return None
        if not self.most:
            return "it was refused, and there is no bound"
        older = self._older(task, now - UNSEEN)
        return f"only {older} older ones of its submitter had not ended" if older < self.most else None

    def _older(self, task: str, since: float, but: Collection[str] = ()) -> int:
        """How many of its submitter's tasks had not ended then, apart from some."""
        whose, age = self._whose.get(task), self._ages.get(task, (0, (0, "")))
        return sum(
            self._whose[other] == whose and self._ended_at.get(other, since + 1) > since
            for other, its in self._ages.items()
            if its < age and other not in but
        )
