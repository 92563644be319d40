"""What the judge knows of requests about tasks that have ended."""

from mwapp.core.protocol import RUN, TaskRequest
from tests.simulation.tree import Change, Created, Deleted

# A master that has read a request does not see that a person then writes something else into it, or deletes
# it and another comes at once.
Readings = tuple[TaskRequest | None, ...]


class Asked:
    """Which requests there are, and which end of its task each may undo: at most one, and once."""

    def __init__(self) -> None:
        self._open: dict[str, Readings] = {}
        self._done: dict[str, Readings] = {}  # deleted in the current transaction
        self._withdrawn: dict[str, Readings] = {}  # by hand
        self._ends: dict[str, int] = {}  # the zxid of the last end
        self._since: dict[str, int] = {}  # the zxid of the first request that a master may still go by
        self.run_again: set[str] = set()

    def transaction(self) -> None:
        """The next one begins."""
        self._done.clear()

    def request(self, task: str, change: Change, zxid: int, *, by_hand: bool) -> None:
        """It was created, changed or deleted."""
        if isinstance(change, Deleted):
            self._done[task] = self._open.pop(task, ())
            self._withdrawn[task] = self._done[task] if by_hand else ()
        else:
            seen = self._withdrawn if isinstance(change, Created) else self._open
            before = seen.get(task, ())
            if not before:
                self._since[task] = zxid
            self._open[task] = (*before, TaskRequest.decode(change.data))

    def ended(self, task: str, zxid: int) -> None:
        """It has a final status."""
        self._ends[task] = zxid

    def outlived(self, task: str, cancel: int) -> bool:
        """Whether that cancel request was there when the task was asked to run again: whoever read of that
        could read it, too."""
        return cancel < self._since.get(task, 0)

    def allows(self, task: str, do: str) -> bool:
        """Whether its end may be undone in this way in the current transaction."""
        allowed = any(
            request is not None and request.do == do and request.ended in (None, self._ends.get(task))
            for request in (self._done if do == RUN else self._open).get(task, ())
        )
        if allowed and do == RUN:
            self.run_again.add(task)
        return allowed
