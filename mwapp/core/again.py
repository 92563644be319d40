"""The client's side: have tasks that have ended run again, or removed.

A request says which end it means (mwapp/core/requests.py). So after a lost reply it is simply made again: if
that end is no longer the task's, the request was carried out.
"""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice

from mwapp.core.client import CLIENT_RETRY_SECONDS, TRANSACTIONS, ClientPart
from mwapp.core.messages import Check, Create, Error, Failed, Node, Op, Stat
from mwapp.core.protocol import REMOVE, RUN, TaskRequest, request_path, status_path, task_path
from mwapp.core.session import REFUSED, Process

NO_SUCH_TASK = "no such task"
NOT_ENDED = "it has not ended"
# Why the master has deleted the request and done nothing else.
IN_THE_WAY = "there is something else below its znode: delete that first"
NOT_DONE = "a person has written how it ended, so the number of its last attempt is unknown: submit it anew"


class AskEnded(ClientPart):
    """Ask RUN or REMOVE (``do``) of each of ``tasks`` (names, each once), some hundreds at a time.

    ``told(name, problem)`` is called for each: problem is None when it is done, else why it is not.
    ``finished()`` after the last.
    """

    def __init__(
        self,
        process: Process,
        tasks: Sequence[str],
        do: str,
        *,
        told: Callable[[str, str | None], None],
        finished: Callable[[], None],
    ) -> None:
        super().__init__(process)
        self._open = dict.fromkeys(tasks)
        self._do = do
        self._ended: dict[str, int] = {}  # which end is meant: the czxid of its status
        self._batch: dict[str, None] = {}  # those that are not answered
        self._told, self._finished = told, finished

    def _begin(self) -> None:
        self._batch = dict.fromkeys(islice(self._open, TRANSACTIONS * self._process.limits.batch))
        if not self._batch:
            self._finished()
            return
        names = list(self._batch)
        paths = [path for name in names for path in (task_path(name), status_path(name))]
        self._scope.get_all(paths, partial(self._looked, names))

    def _looked(self, names: list[str], nodes: list[Node | Failed]) -> None:
        asked = []
        for name, task, status in zip(names, nodes[::2], nodes[1::2], strict=True):
            if REFUSED in (task, status):
                self._try_again()
                return
            if name in self._ended and not self._same(name, status):
                self._answer(name, self._undone(task))
            elif isinstance(status, Node):
                self._ended[name] = status.stat.czxid
                asked.append(name)
            else:
                self._answer(name, NO_SUCH_TASK if isinstance(task, Failed) else NOT_ENDED)
        most = self._process.limits.batch
        for first in range(0, len(asked), most):
            self._ask(asked[first : first + most])

    def _ask(self, names: list[str]) -> None:
        ops: list[Op] = []
        for name in names:
            request = TaskRequest(self._do, self._ended[name])
            ops += [Check(status_path(name)), Create(request_path(name), request.encode())]
        self._scope.transact(ops, partial(self._asked, names))

    def _asked(self, names: list[str], result: object) -> None:
        if isinstance(result, Failed) and len(names) > 1 and result.error is not Error.REFUSED:
            for name in names:  # one of them is to blame
                self._ask([name])
        elif isinstance(result, Failed) and result.error is not Error.NODE_EXISTS:
            self._try_again()  # it is gone by now, say
        else:
            for name in names:
                self._watch(name)

    def _watch(self, name: str) -> None:
        watch = partial(self._watch, name)
        self._scope.exists(request_path(name), partial(self._seen, name), watch=watch)

    def _seen(self, name: str, request: Stat | None) -> None:
        if request is None and name in self._batch:
            self._scope.get_all([task_path(name), status_path(name)], partial(self._done, name))

    def _done(self, name: str, nodes: list[Node | Failed]) -> None:
        task, status = nodes
        if REFUSED in nodes:
            self._try_again()
        elif self._same(name, status):
            self._answer(name, IN_THE_WAY if self._do == REMOVE else NOT_DONE)
        else:
            self._answer(name, self._undone(task))

    def _same(self, name: str, status: Node | Failed) -> bool:
        """Whether the task has still the end that is meant."""
        return isinstance(status, Node) and status.stat.czxid == self._ended[name]

    def _undone(self, task: Node | Failed) -> str | None:
        """Why it is not done, though the task has not that end any more: another client was first."""
        if isinstance(task, Node):
            return NOT_ENDED if self._do == REMOVE else None
        return NO_SUCH_TASK if self._do == RUN else None

    def _try_again(self) -> None:
        self._scope.cancel()
        self._scope = self._process.scope()
        self._scope.after(CLIENT_RETRY_SECONDS, self.connected)

    def _answer(self, name: str, problem: str | None) -> None:
        if name not in self._batch:
            return
        del self._batch[name], self._open[name]
        scope = self._scope
        self._told(name, problem)
        if not self._batch and not scope.cancelled:  # the callback may stop us
            self._begin()
