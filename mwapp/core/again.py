"""The client's side: have tasks that have ended run again, or removed.

A request says which end it means (mwapp/core/requests.py). So after a lost reply it is simply made again: if
that end is no longer the task's, the request was carried out.
"""

from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import islice

from mwapp.core.client import CLIENT_RETRY_SECONDS, TRANSACTIONS, ClientPart
from mwapp.core.messages import Check, Create, Error, Failed, Node, Op, Stat
from mwapp.core.protocol import REMOVE, TaskRequest, request_path, status_path, task_path
from mwapp.core.session import REFUSED, Process

NO_SUCH_TASK = "no such task"
NOT_ENDED = "it has not ended"
CHANGED = "it has ended in another way meanwhile"
# Why the master has deleted the request and done nothing else.
IN_THE_WAY = "there is something else below its znodes (delete that first), or the master has no permission"
NOT_DONE = "a person has written how it ended, so the number of its last attempt is unknown: submit it again"


class AskEnded(ClientPart):
    """Ask RUN or REMOVE (``do``) of each of ``tasks`` (names, each once), some hundreds at a time.

    ``only``: if the task has ended in one of these states. ``told(name, problem)`` is called for each:
    problem is None when it is done, else why it is not. ``finished()`` after the last.
    """

    def __init__(
        self,
        process: Process,
        tasks: Sequence[str],
        do: str,
        *,
        told: Callable[[str, str | None], None],
        finished: Callable[[], None],
        only: Collection[str] = (),
    ) -> None:
        super().__init__(process)
        self._open = dict.fromkeys(tasks)
        self._do = do
        self._only = only
        self._meant: dict[str, tuple[int, int]] = {}  # the czxids of the status and of the task
        self._unasked: dict[str, None] = {}
        self._asked: set[str] = set()  # those whose request we have made on this connection
        self._told, self._finished = told, finished

    @property
    def requested(self) -> int:
        """For how many the request was made and is not answered."""
        return len(self._asked & self._open.keys())

    def _begin(self) -> None:
        self._unasked = dict.fromkeys(self._open)
        self._asked.clear()
        if not self._open:
            self._finished()
        self._ask_more()

    def _ask_more(self) -> None:
        """One that is not answered for long holds up no others."""
        batch = self._process.limits.batch
        while self._unasked and len(self._open) - len(self._unasked) <= (TRANSACTIONS - 1) * batch:
            names = list(islice(self._unasked, batch))
            for name in names:
                del self._unasked[name]
            self._look(names)

    def _look(self, names: list[str]) -> None:
        # The status first: if it is gone because the task was removed, so is the task.
        paths = [path for name in names for path in (status_path(name), task_path(name))]
        self._scope.get_all(paths, partial(self._looked, names))

    def _look_later(self, names: list[str]) -> None:
        self._scope.after(CLIENT_RETRY_SECONDS, partial(self._look, names))

    def _looked(self, names: list[str], nodes: list[Node | Failed]) -> None:
        ready = []
        for name, status, task in zip(names, nodes[::2], nodes[1::2], strict=True):
            if REFUSED in (task, status):
                self._look_later([name])
            elif name in self._meant and not self._same(name, status):
                self._answer(name, self._undone(name, task))
            elif not isinstance(task, Node):
                self._answer(name, NO_SUCH_TASK)
            elif not isinstance(status, Node) or status.stat.czxid < task.stat.czxid:  # a namesake's end
                self._answer(name, NOT_ENDED)
            elif self._only and status.data.decode(errors="replace") not in self._only:
                self._answer(name, CHANGED)
            else:
                self._meant[name] = status.stat.czxid, task.stat.czxid
                ready.append(name)
        if ready:
            self._ask(ready)

    def _ask(self, names: list[str]) -> None:
        ops: list[Op] = []
        for name in names:
            request = TaskRequest(self._do, self._meant[name][0])
            ops += [Check(status_path(name)), Create(request_path(name), request.encode())]
        self._scope.transact(ops, partial(self._stored, names))

    def _stored(self, names: list[str], result: object) -> None:
        if not isinstance(result, Failed):
            self._asked.update(names)
        elif len(names) > 1 and (result.index is None or result.error is not Error.REFUSED):
            for name in names:  # too much for the servers, perhaps, or one of them is to blame
                self._ask([name])
            return
        elif result == Failed(Error.NO_NODE, 1):  # /requests was deleted by hand
            self._scope.cancel()
            self._scope = self._process.scope()
            self._scope.after(CLIENT_RETRY_SECONDS, self.connected)
            return
        elif result.error is not Error.NODE_EXISTS:
            self._look_later(names)
            return
        for name in names:
            self._watch(name)

    def _watch(self, name: str) -> None:
        watch = partial(self._watch, name)
        self._scope.exists(request_path(name), partial(self._seen, name), watch=watch)

    def _seen(self, name: str, request: Stat | None) -> None:
        if request is None and name in self._open:
            self._scope.get_all([status_path(name), task_path(name)], partial(self._done, name))

    def _done(self, name: str, nodes: list[Node | Failed]) -> None:
        status, task = nodes
        if REFUSED in nodes or (self._same(name, status) and name not in self._asked):
            self._look_later([name])  # the request was another's
        elif isinstance(status, Node) and self._same(name, status):
            blocked = self._do == REMOVE or status.stat.children
            self._answer(name, IN_THE_WAY if blocked else NOT_DONE)
        else:
            self._answer(name, self._undone(name, task))

    def _same(self, name: str, status: Node | Failed) -> bool:
        """Whether the task has still the end that is meant."""
        return isinstance(status, Node) and status.stat.czxid == self._meant[name][0]

    def _undone(self, name: str, task: Node | Failed) -> str | None:
        """Why it is not done, though the task has not that end any more: another client was first."""
        there = isinstance(task, Node) and task.stat.czxid == self._meant[name][1]
        if self._do == REMOVE:
            return NOT_ENDED if there else None
        return None if there else NO_SUCH_TASK

    def _answer(self, name: str, problem: str | None) -> None:
        if name not in self._open:
            return
        del self._open[name]
        scope = self._scope
        self._told(name, problem)
        if scope.cancelled:  # the callback may stop us
            return
        if not self._open:
            self._finished()
        self._ask_more()
