"""The client's side: submit tasks so that none is lost or doubled, and cancel them."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Protocol

from mwapp.core.layout import ensure_parents
from mwapp.core.messages import Check, Create, Error, Exited, Failed, Node, Op, Stat
from mwapp.core.protocol import (
    TASK_PREFIX,
    TASKS,
    cancel_path,
    secret_path,
    task_path,
)
from mwapp.core.session import Process, Scope
from mwapp.core.task import BadTaskError, Task, task_order

# After an unforeseen answer it looks again, but does not spin.
CLIENT_RETRY_SECONDS = 0.5
# Transactions with cancel requests that are under way at once.
TRANSACTIONS = 4
# A request from a lost session may still commit for this many session time-outs, unless we hear before that
# the session is closed: one while it travels to a server, one while that server is cut off from the leader
# and saves the session by coming back, one until the leader ends the session, and half of one for the
# leader's ticks.
UNDER_WAY = 3.5


NO_NUMBERS = "task numbers have run out: submit under names, or delete /tasks when it is empty"
EXPOSED = (
    "its secret values are not stored: only access control lists keep them from others, so they must be in "
    "force, and name this client (mwapp_acl, mwapp_acl_clients; mwapp acl shows them)"
)
ANOTHER = "another task has the name"
TAKEN = "the next number is taken (by hand, or numbers have run out): submit under a name"


class ClientPart:
    """What submitting, waiting, cancelling and looking have in common: they start over at every
    connection."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._scope: Scope = process.scope()
        process.add(self)

    def connected(self) -> None:
        self._scope.cancel()
        self._scope = self._process.scope()
        self._start()

    def suspended(self) -> None:
        self._scope.cancel()

    def expired(self) -> None:
        self._scope.cancel()

    def closed(self, session: int) -> None:
        pass

    def exited(self, event: Exited) -> None:
        pass

    def stop(self) -> None:
        self._scope.cancel()
        self._process.part_stopped(self)

    def status(self) -> dict[str, Any]:
        return {}

    def _start(self) -> None:
        ensure_parents(self._scope, self._begin)

    def _begin(self) -> None:
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a task was not taken."""

    reason: str
    full: bool = False  # too many tasks exist: later there may be room


class Existed(Protocol):
    """Hears that a task was there already."""

    def __call__(self, index: int, *, earlier: bool) -> None: ...


class Submit(ClientPart):
    """Create one task for each of ``tasks``.

    Each task has its own key, or a name that the client chose (``names``, by index). Tasks without a name are
    created many at once. If the reply to a create was lost, the next connection resolves it. A transaction
    comes first, so that anything still under way is ordered before it; after the loss of a session only when
    that is closed, or nothing of it can be under way any more. Then the client reads the tasks that
    are newer than the last acknowledged one (all, if that is gone), newest first, until it has found each
    missing key or knows that it is not there. A search that is cut off continues with the tasks it has not
    read. A task with a name is simply created again: if the same task exists, that is success.

    ``secrets`` has the data of the znodes with secret values, by index. ZooKeeper can create something below
    a znode in the same transaction only if its name is known before: so these tasks must have names.

    ``accepted(index, name)`` is called for each acknowledged task, ``refused(index, refusal)`` for each
    refused one, ``finished()`` after the last. ``existed(index, earlier=...)`` is called before ``accepted``
    if a task with a name was there already: submitted ``earlier``, or perhaps by this client, which has lost
    the reply to that.
    """

    def __init__(
        self,
        process: Process,
        tasks: Sequence[Task],
        *,
        names: Mapping[int, str] | None = None,
        secrets: Mapping[int, bytes] | None = None,
        max_tasks: int | None = None,
        accepted: Callable[[int, str], None],
        refused: Callable[[int, Refusal], None],
        finished: Callable[[], None],
        existed: Existed = lambda index, *, earlier: None,  # noqa: ARG005 - nobody wants to know
    ) -> None:
        self._names = dict(names or {})
        keys = [task.key for index, task in enumerate(tasks) if index not in self._names]
        if not all(keys) or len(set(keys)) < len(keys):
            raise ValueError("every submitted task without a name needs a key of its own")
        self._secrets = dict(secrets or {})
        if self._secrets.keys() != {index for index, task in enumerate(tasks) if task.secrets}:
            raise ValueError("every task with secret values needs them, and no other")
        if not self._secrets.keys() <= self._names.keys():
            raise ValueError("every task with secret values needs a name")
        super().__init__(process)
        self._tasks = list(tasks)
        self._max_tasks = max_tasks or process.limits.max_tasks
        self._room = 0  # this many may be sent before the next look for room
        self._left = deque(range(len(tasks)))  # not sent
        self._sent: set[int] = set()  # the outcome is open
        self._last: tuple[str, str | None] | None = None  # name and key of what a reply acknowledged last
        self._searched: set[str] = set()  # tasks read since the reply was lost, found or not
        self._by_itself: set[int] = set()  # refused together with others
        self._sent_in: int | None = None  # the session in which we sent last, unless it is lost
        self._lost: int | None = None  # the last one lost in which an outcome was open
        self._uncertain_until = 0.0  # a request of that one may be under way until then
        self._waits = False  # for that
        self._resolved = False  # connected, and every outcome of earlier connections is known
        self._looking = False  # whether there is room
        self._accepted, self._refused, self._finished = accepted, refused, finished
        self._existed = existed
        self._creating: set[int] = set()  # sent under a name, without a reply so far
        self._perhaps_ours: set[int] = set()  # the reply to that was lost

    def add(self, task: Task, name: str | None = None, secret: bytes | None = None) -> int:
        """Submit one more (between two events); returns its index."""
        if secret is not None:
            self._secrets[len(self._tasks)] = secret
        if name is not None:
            self._names[len(self._tasks)] = name
        self._tasks.append(task)
        self._left.append(len(self._tasks) - 1)
        if self._resolved:
            self._send()
        return len(self._tasks) - 1

    @property
    def unacknowledged(self) -> int:
        """How many are still to be acknowledged or refused."""
        return len(self._left) + len(self._sent)

    def connected(self) -> None:
        """Begin again, perhaps on the same connection: what was sent may have been carried out or not."""
        self._resolved = self._waits = False
        super().connected()

    def suspended(self) -> None:
        """As at :meth:`connected`."""
        super().suspended()
        self._resolved = self._waits = False

    def expired(self) -> None:
        """A request of the old session may be under way until the ensemble ends that session too."""
        super().expired()
        self._resolved = self._waits = False
        lost, self._sent_in = self._sent_in, None
        if self._sent and lost is not None:
            self._lost = lost
            self._uncertain_until = self._process.now + UNDER_WAY * self._process.timeout

    def closed(self, session: int) -> None:
        """A transaction from now on comes after whatever was carried out of that session."""
        if session == self._lost:
            self._uncertain_until = 0.0
            if self._waits:
                self.connected()

    def _begin(self) -> None:
        self._looking, self._room = False, 0
        named = self._sent & self._names.keys()  # just again
        self._perhaps_ours |= self._creating
        self._creating.clear()
        self._sent -= named
        self._left.extendleft(sorted(named, reverse=True))
        if not self._sent:
            self._resolved = True
            self._send()
        elif self._process.now < self._uncertain_until:
            self._waits = True
            self._scope.after(self._uncertain_until - self._process.now, self._begin)
        else:  # do not miss what an earlier session created a moment ago
            self._waits = False
            self._scope.transact([Check(TASKS)], lambda _: self._scope.children(TASKS, self._search))

    # ------------------------------------------------------------ resolving lost replies

    def _search(self, names: tuple[str, ...] | Failed) -> None:
        if isinstance(names, Failed):
            self._scope.after(CLIENT_RETRY_SECONDS, self.connected)
        elif self._last is None:
            self._search_all(names, None)
        else:
            name, key = self._last
            self._scope.get_all([task_path(name)], partial(self._search_newer, names, name, key))

    def _search_newer(
        self, names: tuple[str, ...], last: str, key: str | None, nodes: list[Node | Failed]
    ) -> None:
        """The missing tasks came after the last acknowledged one, and have higher numbers. If that one is
        gone or cannot be read, numbers may have started again."""
        self._search_all(names, last if _key(nodes[0]) == key else None)

    def _search_all(self, names: tuple[str, ...], after: str | None) -> None:
        least = task_order(after) if after is not None else (-1, "")
        new = [name for name in names if name not in self._searched and task_order(name) > least]
        self._search_page(sorted(new, key=task_order, reverse=True))

    def _search_page(self, names: list[str]) -> None:
        if not names or not self._sent:
            self._left = deque(sorted(self._sent | set(self._left)))
            self._sent.clear()
            self._searched.clear()
            self._begin()
            return
        size = self._process.limits.pipeline
        page, rest = names[:size], names[size:]

        def read(nodes: list[Node | Failed]) -> None:
            keys = {self._tasks[index].key: index for index in self._sent}
            for name, node in zip(page, nodes, strict=True):
                if isinstance(node, Failed) and node.error is not Error.NO_NODE:
                    continue  # it may be ours
                self._searched.add(name)
                index = keys.get(_key(node))
                if index is not None:
                    self._acknowledge(index, name)
            if self._searched.issuperset(page):
                self._search_page(rest)
            else:
                self._scope.after(CLIENT_RETRY_SECONDS, self._begin)

        self._scope.get_all([task_path(name) for name in page], read)

    # ------------------------------------------------------------ submitting

    def _send(self) -> None:
        while self._left and len(self._sent) < self._process.limits.submissions:
            if not self._room:
                self._look_for_room()
                return
            batch = self._next_batch()
            self._room -= len(batch)
            self._sent.update(batch)
            self._creating.update(batch.keys() & self._names.keys())
            self._sent_in = self._process.session
            self._scope.transact(self._with_secrets(batch), partial(self._created, list(batch)))
        if not self._left and not self._sent:
            self._finished()

    def _next_batch(self) -> dict[int, Create]:
        """What comes next, by index. A task with a name goes alone, because it may exist already."""
        batch: dict[int, Create] = {}
        room = self._process.limits.batch_bytes
        while self._left and len(batch) < min(self._process.limits.batch, self._room):
            index = self._left[0]
            name, data = self._names.get(index), self._tasks[index].encode()
            room -= len(data)
            alone = name is not None or index in self._by_itself
            if batch and (alone or room < 0):
                break
            batch[self._left.popleft()] = Create(
                TASK_PREFIX if name is None else task_path(name),
                data,
                sequential=name is None,
                extend=index in self._secrets,
            )
            if alone:
                break
        return batch

    def _with_secrets(self, batch: dict[int, Create]) -> list[Op]:
        """A task with secret values goes alone, because it has a name."""
        ops: list[Op] = list(batch.values())
        for index in batch:
            if index in self._secrets:
                ops.append(Create(secret_path(self._names[index]), self._secrets[index]))
        return ops

    def _look_for_room(self) -> None:
        """If many submitters look at once they create a few too many; the limit allows for that."""
        if self._looking:
            return
        self._looking = True

        def seen(stat: Stat | None) -> None:
            self._looking = False
            if stat is None:
                self._scope.after(CLIENT_RETRY_SECONDS, self.connected)
                return
            self._take_room(stat)
            self._send()

        self._scope.exists(TASKS, seen)

    def _take_room(self, tasks: Stat) -> None:
        limits = self._process.limits
        numbers = limits.numbers - tasks.created
        self._room = max(0, min(limits.submissions, self._max_tasks - tasks.children))
        if numbers > 0:
            self._room = min(self._room, numbers)
        else:
            numbered = [index for index in self._left if index not in self._names]
            self._left = deque(index for index in self._left if index in self._names)
            for index in numbered:
                self._refuse(index, Refusal(NO_NUMBERS))
        if self._room or not self._left:
            return
        full = Refusal(f"there are {tasks.children} tasks, the limit is {self._max_tasks}", full=True)
        refused, self._left = list(self._left), deque()
        for index in refused:
            self._sent.add(index)
            name = self._names.get(index)
            if name is None:
                self._refuse(index, full)
            else:  # it may already exist
                self._scope.get(task_path(name), partial(self._compare, index, name, full))

    def _created(self, batch: list[int], result: tuple[Any, ...] | Failed) -> None:
        name = self._names.get(batch[0])
        self._creating.difference_update(batch)
        if not isinstance(result, Failed):
            for index, path in zip(batch, result, strict=False):  # a secret's comes after its task's
                created = path.rpartition("/")[2]
                if name is None:
                    self._last = created, self._tasks[index].key
                self._acknowledge(index, created)
        elif name is not None and result.error is Error.NODE_EXISTS:
            self._scope.get(task_path(name), partial(self._compare, batch[0], name, None))
            return
        elif result.error is Error.NO_NODE:  # a person has deleted /tasks
            self._send_again(batch)
            self._resolved = False
            self._scope.after(CLIENT_RETRY_SECONDS, self.connected)
            return
        elif result.index is None and len(batch) > 1:  # too much for the servers, perhaps
            self._by_itself.update(batch)
            self._send_again(batch)
        else:
            to_blame = batch if result.index is None else [batch[min(result.index, len(batch) - 1)]]
            why = f"the ensemble refused the task: {result.error.value}"
            if result.index == 1 and batch[0] in self._secrets:
                why = EXPOSED
            if result.error is Error.NODE_EXISTS:  # it stays the next number as long as it is taken
                why = TAKEN
            for index in to_blame:
                self._refuse(index, Refusal(why))
            self._send_again([index for index in batch if index not in to_blame])
        self._send()

    def _send_again(self, batch: list[int]) -> None:
        self._sent.difference_update(batch)
        self._left = deque(sorted([*batch, *self._left]))  # in their order, however many transactions failed

    def _compare(self, index: int, name: str, full: Refusal | None, node: Node | Failed) -> None:
        """If a task of that name exists: is it the same one, submitted earlier, or another?"""
        if isinstance(node, Node) and _is(self._tasks[index], node):
            self._existed(index, earlier=index not in self._perhaps_ours)
            self._acknowledge(index, name)
        elif isinstance(node, Node):
            self._refuse(index, Refusal(f"{ANOTHER} {name}"))
        elif full is not None:
            self._refuse(index, full)
        else:  # it has just been removed
            self._sent.discard(index)
            self._left.append(index)
        self._send()

    def _refuse(self, index: int, refusal: Refusal) -> None:
        self._sent.discard(index)
        self._refused(index, refusal)

    def _acknowledge(self, index: int, name: str) -> None:
        self._sent.discard(index)
        self._accepted(index, name)


def _key(node: Node | Failed) -> str | None:
    task = None if isinstance(node, Failed) else _task(node)
    return None if task is None else task.key


def _is(task: Task, node: Node) -> bool:
    """Whether the task is there, submitted by anybody."""
    there = _task(node)
    try:
        return there is not None and there.same_as(task)
    except (BadTaskError, RecursionError):  # as JSON it is larger, or deeper, than any of ours
        return False


def _task(node: Node) -> Task | None:
    """None if it is malformed."""
    try:
        return Task.decode(node.data)
    except BadTaskError:
        return None


class Cancel(ClientPart):
    """Ask that each of ``tasks`` (names) be cancelled.

    ``asked(name, known)`` is called for each: known is False if there is no such task. The final state says
    whether the task ended by that or in another way: wait for it. ``finished()`` after the last.
    """

    def __init__(
        self,
        process: Process,
        tasks: Sequence[str],
        *,
        asked: Callable[[str, bool], None],
        finished: Callable[[], None],
    ) -> None:
        super().__init__(process)
        self._open = dict.fromkeys(tasks)
        self._unsent: Iterator[str] = iter(())
        self._under_way = 0  # transactions
        self._asked, self._finished = asked, finished

    def _begin(self) -> None:
        self._under_way = 0
        if not self._open:
            self._finished()
        self._unsent = iter(list(self._open))
        self._ask_more()

    def _ask_more(self) -> None:
        while self._under_way < TRANSACTIONS:
            names = list(islice(self._unsent, self._process.limits.batch))
            if not names:
                return
            self._ask(names)

    def _ask(self, names: list[str]) -> None:
        # The master deletes a request that comes too late.
        ops: list[Op] = [op for name in names for op in (Check(task_path(name)), Create(cancel_path(name)))]
        self._under_way += 1
        self._scope.transact(ops, partial(self._answered, names))

    def _answered(self, names: list[str], result: tuple[Any, ...] | Failed) -> None:
        self._under_way -= 1
        if isinstance(result, Failed) and result.error is Error.NO_NODE and (result.index or 0) % 2:
            self._try_again()
        elif isinstance(result, Failed) and len(names) > 1:
            for name in names:  # one of them is to blame
                self._ask([name])
        elif not isinstance(result, Failed) or result.error is Error.NODE_EXISTS:
            self._told(names, known=True)
        elif result == Failed(Error.NO_NODE, 0):
            self._told(names, known=False)
        else:
            self._try_again()
        self._ask_more()

    def _try_again(self) -> None:
        """It was refused, or /cancel was deleted by hand. The first of several that starts over ends the
        others' scope."""
        self._scope.after(CLIENT_RETRY_SECONDS, self.connected)

    def _told(self, names: list[str], *, known: bool) -> None:
        for name in names:
            if name in self._open:
                del self._open[name]
                self._asked(name, known)
                if not self._open:
                    self._finished()
