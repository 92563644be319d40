"""The client's side: submit tasks so that none is lost or doubled, wait for their final states."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from mwapp.core.layout import ensure_parents
from mwapp.core.messages import Check, Create, Exited, Failed, Node, Stat
from mwapp.core.protocol import (
    TASK_PREFIX,
    TASKS,
    BadTaskError,
    Outcome,
    Task,
    result_path,
    status_path,
    task_order,
    task_path,
)
from mwapp.core.session import Process, Scope

RETRY_SECONDS = 0.5
# So many submissions or reads are under way at once.
PIPELINE = 100


class _ClientPart:
    """What submitting and waiting share: they end when they have nothing left to do."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._scope: Scope = process.scope()
        process.add(self)

    def connected(self) -> None:
        self._scope.cancel()
        self._scope = self._process.scope()
        ensure_parents(self._scope, self._begin)

    def suspended(self) -> None:
        self._scope.cancel()

    def expired(self) -> None:
        self._scope.cancel()

    def exited(self, event: Exited) -> None:
        pass

    def stop(self) -> None:
        self._scope.cancel()
        self._process.part_stopped(self)

    def status(self) -> dict[str, Any]:
        return {}

    def _begin(self) -> None:
        raise NotImplementedError


class Submit(_ClientPart):
    """Create one task for each of ``tasks``; every one must bear a key of its own.

    A create whose reply was lost is resolved on the next connection: a transaction first (so that what
    may still be under way is ordered before it), then the newest tasks are read until each missing key
    has been found or cannot be there.

    ``accepted(index, name)`` is called as each is acknowledged, ``refused(index, reason)`` for one the
    ensemble will not take, ``finished()`` after the last.
    """

    def __init__(
        self,
        process: Process,
        tasks: Sequence[Task],
        *,
        accepted: Callable[[int, str], None],
        refused: Callable[[int, str], None],
        finished: Callable[[], None],
    ) -> None:
        if not all(task.key for task in tasks) or len({task.key for task in tasks}) < len(tasks):
            raise ValueError("every submitted task needs a key of its own")
        super().__init__(process)
        self._tasks = list(tasks)
        self._left = list(range(len(tasks)))  # not sent
        self._sent: set[int] = set()  # the outcome is open
        self._newest: tuple[int, str] | None = None  # of the acknowledged ones: what is lost came later
        self._uncertain_until = 0.0
        self._resolved = False  # connected, and no outcome of an earlier connection is open
        self._accepted, self._refused, self._finished = accepted, refused, finished

    def add(self, task: Task) -> int:
        """Submit one more (between two events); returns its index."""
        self._tasks.append(task)
        self._left.append(len(self._tasks) - 1)
        if self._resolved:
            self._send()
        return len(self._tasks) - 1

    @property
    def unacknowledged(self) -> int:
        """How many are still to be acknowledged or refused."""
        return len(self._left) + len(self._sent)

    def suspended(self) -> None:
        """What was sent may have been carried out or not."""
        super().suspended()
        self._resolved = False

    def expired(self) -> None:
        """A request of the old session may be under way until the ensemble ends that session too."""
        super().expired()
        self._resolved = False
        if self._sent:
            self._uncertain_until = self._process.now + self._process.timeout

    def _begin(self) -> None:
        if not self._sent:
            self._resolved = True
            self._send()
        elif self._process.now < self._uncertain_until:
            self._scope.after(self._uncertain_until - self._process.now, self._begin)
        else:
            self._scope.transact([Check(TASKS)], lambda _: self._scope.children(TASKS, self._search))

    # ------------------------------------------------------------ resolving lost replies

    def _search(self, names: tuple[str, ...] | Failed) -> None:
        if isinstance(names, Failed):
            self._scope.after(RETRY_SECONDS, self._begin)
            return
        newest_first = sorted(names, key=task_order, reverse=True)
        if self._newest is not None:
            newest_first = [name for name in newest_first if task_order(name) > (self._newest or (0, ""))]
        self._search_page(newest_first)

    def _search_page(self, names: list[str]) -> None:
        if not names or not self._sent:
            self._left = sorted(self._sent | set(self._left))
            self._sent.clear()
            self._begin()
            return
        page, rest = names[:PIPELINE], names[PIPELINE:]

        def read(nodes: list[Node | Failed]) -> None:
            keys = {self._tasks[index].key: index for index in self._sent}
            for name, node in zip(page, nodes, strict=True):
                index = keys.get(_key(node))
                if index is not None:
                    self._acknowledge(index, name)
            self._search_page(rest)

        self._scope.get_all([task_path(name) for name in page], read)

    # ------------------------------------------------------------ submitting

    def _send(self) -> None:
        while self._left and len(self._sent) < PIPELINE:
            index = self._left.pop(0)
            self._sent.add(index)
            create = Create(TASK_PREFIX, self._tasks[index].encode(), sequential=True)
            self._scope.transact([create], partial(self._created, index))
        if not self._left and not self._sent:
            self._finished()

    def _created(self, index: int, result: tuple[Any, ...] | Failed) -> None:
        if isinstance(result, Failed):
            self._sent.discard(index)
            self._refused(index, f"the ensemble refused the task: {result.error.value}")
        else:
            self._acknowledge(index, result[0].rpartition("/")[2])
        self._send()

    def _acknowledge(self, index: int, name: str) -> None:
        self._sent.discard(index)
        self._newest = max(self._newest or (0, ""), task_order(name))
        self._accepted(index, name)


def _key(node: Node | Failed) -> str | None:
    if isinstance(node, Failed):
        return None
    try:
        return Task.decode(node.data).key
    except BadTaskError:
        return None


class Wait(_ClientPart):
    """Wait for the final state of each of ``tasks`` (names).

    ``ended(name, state, outcome)`` is called for each as it ends: state is the status word, or None if
    there is no such task; outcome is None where no result was written. ``finished()`` after the last.
    """

    def __init__(
        self,
        process: Process,
        tasks: Sequence[str],
        *,
        ended: Callable[[str, str | None, Outcome | None], None],
        finished: Callable[[], None],
    ) -> None:
        super().__init__(process)
        self._waiting = dict.fromkeys(tasks)
        self._not_looked_at: Iterator[str] = iter(())
        self._ended, self._finished = ended, finished

    def _begin(self) -> None:
        if not self._waiting:
            self._finished()
            return
        # A transaction first: a task that somebody else submitted, or saw end, is then there to be read.
        self._scope.transact([Check(TASKS)], lambda _: self._look_at_all())

    def _look_at_all(self) -> None:
        self._not_looked_at = iter(list(self._waiting))
        for _ in range(PIPELINE):
            self._look_at_next()

    def _look_at_next(self) -> None:
        name = next(self._not_looked_at, None)
        if name is not None:
            self._look(name)

    def _look(self, name: str) -> None:
        self._scope.exists(status_path(name), partial(self._seen, name), watch=partial(self._look, name))

    def _seen(self, name: str, stat: Stat | Failed | None) -> None:
        self._look_at_next()
        if name not in self._waiting or isinstance(stat, Failed):
            return
        if stat is None:
            # Watched as well, for it may be deleted before it ends.
            look = partial(self._look, name)
            self._scope.exists(task_path(name), partial(self._task_seen, name), watch=look)
        else:
            paths = [status_path(name), result_path(name)]
            self._scope.get_all(paths, partial(self._read, name))

    def _task_seen(self, name: str, stat: Stat | Failed | None) -> None:
        if stat is None:
            self._end(name, None, None)

    def _read(self, name: str, nodes: list[Node | Failed]) -> None:
        status, result = nodes
        if isinstance(status, Failed):
            self._look(name)
            return
        outcome = Outcome.decode(result.data) if isinstance(result, Node) else None
        self._end(name, status.data.decode(errors="replace"), outcome)

    def _end(self, name: str, state: str | None, outcome: Outcome | None) -> None:
        if name in self._waiting:
            del self._waiting[name]
            self._ended(name, state, outcome)
            if not self._waiting:
                self._finished()
