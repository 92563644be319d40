"""What servers have refused, as far as it explains what processes say and do then: no more than that."""

from collections import Counter
from contextlib import suppress

from mwapp.core.messages import Create, Delete, Operation, Transaction
from mwapp.core.protocol import TASKS, task_path
from mwapp.core.task import BadTaskError, Task


class Denied:
    """Told of each request that was refused, whether its answer arrived or not.

    ``marks``: workers of which a mark that they take nothing new may be missing or not be seen. ``large``:
    requests of a size that real servers take may be refused, too.
    """

    def __init__(self) -> None:
        self.large = False
        self.marks: set[str] = set()
        self.reads: Counter[str] = Counter()  # by path
        self.unseen: set[str] = set()  # tasks of which a master could not read all; TASKS: which there are
        self.submitted: set[str] = set()  # keys
        self.created: set[str] = set()  # paths that somebody wanted to create
        self.deleted: set[str] = set()  # or to delete

    def note(self, operation: Operation, at: int | None, chroot: str, *, by_master: bool) -> None:
        """It was refused; a transaction because of the operation ``at``, or as a whole. Paths begin with
        ``chroot``."""
        if not isinstance(operation, Transaction):
            self._read(operation.path.removeprefix(chroot), by_master=by_master)
            return
        for op in operation.ops if at is None else operation.ops[at : at + 1]:
            path = op.path.removeprefix(chroot)
            if isinstance(op, Delete):
                self.deleted.add(path)
            elif isinstance(op, Create):
                self.created.add(path)
                if path.startswith(f"{TASKS}/") and path.count("/") == 2:
                    self._submitted(op.data)

    def _read(self, path: str, *, by_master: bool) -> None:
        self.reads[path] += 1
        if by_master and f"{path}/".startswith(f"{TASKS}/"):
            self.unseen.add(TASKS if path == TASKS else path.split("/")[2])

    def _submitted(self, data: bytes) -> None:
        with suppress(BadTaskError):
            self.submitted.add(Task.decode(data).key or "")

    def keeps(self, task: str) -> bool:
        """Whether the task may stay, because what is there of it was not shown or not deleted."""
        path = task_path(task)
        return path in self.reads or any(f"{its}/".startswith(f"{path}/") for its in self.deleted)
