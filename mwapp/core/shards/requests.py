"""The client's side of shards: what a person asks for is a znode."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from mwapp.core.client import CLIENT_RETRY_SECONDS, ClientPart
from mwapp.core.messages import Create, Delete, Error, Failed, Node, Op, Set
from mwapp.core.session import Process
from mwapp.core.shards.protocol import (
    DELETE,
    SHARD_PARENTS,
    BadTableError,
    Table,
    decode_table,
    drain_path,
    move_path,
    table_path,
)


class Ask(ClientPart):
    """Write these one after the other. Some may be there already: ``may_exist`` are their paths.

    ``finished(failed)``: with the first that could not be written, as :class:`~mwapp.core.messages.Failed`
    has it; None: all are.
    """

    def __init__(
        self,
        process: Process,
        ops: Sequence[Op],
        *,
        may_exist: Sequence[str] = (),
        finished: Callable[[Failed | None], None],
    ) -> None:
        super().__init__(process)
        self._ops = list(ops)
        self._may_exist = frozenset(may_exist)
        self._finished = finished
        self._sent = False  # the first of them, in an earlier connection perhaps: its outcome is open

    def _start(self) -> None:
        """Parents of tasks are not ours to make."""
        if self._ops and self._ops[0].path in SHARD_PARENTS:
            self._scope.children("/", self._parents_seen)
        else:
            self._next(again=self._sent)

    def _parents_seen(self, names: tuple[str, ...] | Failed) -> None:
        """Ask for none that is there: ZooKeeper first refuses who may create nothing, and looks only then."""
        present = () if isinstance(names, Failed) else names
        self._ops = [op for op in self._ops if op.path[1:] not in present]
        self._next()

    def _next(self, *, again: bool = False) -> None:
        if not self._ops:
            self._finished(None)
            return
        self._sent = True
        self._scope.transact([self._ops[0]], partial(self._answered, again))

    def _answered(self, again: bool, result: tuple[Any, ...] | Failed) -> None:
        op = self._ops[0]
        if not isinstance(result, Failed) or _is_so(op, result, self._may_exist):
            self._go_on()
        elif result.error in (Error.CONNECTION_LOSS, Error.SESSION_EXPIRED):
            self._scope.after(CLIENT_RETRY_SECONDS, self._start)
        elif again and isinstance(op, Set) and result.error is Error.NO_NODE:
            self._go_on()  # it may have been ours: what was asked for is done, and the table is gone
        elif again and isinstance(op, Create) and result.error is Error.NODE_EXISTS:
            self._scope.get(op.path, partial(self._compare, op, result))  # it may be ours
        else:
            self._finished(result)

    def _compare(self, op: Create, result: Failed, node: Node | Failed) -> None:
        if isinstance(node, Node) and node.data == op.data:
            self._go_on()
        else:
            self._finished(result)

    def _go_on(self) -> None:
        del self._ops[0]
        self._sent = False
        self._next()


class Resize(ClientPart):
    """Have a table have so many shards, more than now.

    ``finished(problem)``: why it has not; None: it has. A table that has them already needs nothing. So if
    the reply to the write was lost, it reads again, and finds that. It cannot have fewer: a master removes
    no records, for what is in the shards beyond would belong to nobody.
    """

    def __init__(
        self, process: Process, name: str, shards: int, *, finished: Callable[[Failed | str | None], None]
    ) -> None:
        super().__init__(process)
        self._name, self._shards, self._finished = name, shards, finished

    def _start(self) -> None:
        self._scope.get(table_path(self._name), self._read)

    def _read(self, node: Node | Failed) -> None:
        if isinstance(node, Failed):
            self._finished(node)
            return
        try:
            table = decode_table(self._name, node.data)
            if table is None:
                self._finished("it is being deleted")
            elif table.shards == self._shards:
                self._finished(None)
            elif table.shards > self._shards:
                self._finished(
                    f"it has {table.shards}, and cannot have fewer: what is in those from {self._shards} on "
                    "would belong to nobody"
                )
            else:
                data = replace(table, shards=self._shards).encode()
                self._scope.transact([Set(table_path(self._name), data, node.stat.version)], self._set)
        except BadTableError as problem:
            self._finished(str(problem))

    def _set(self, result: tuple[Any, ...] | Failed) -> None:
        if not isinstance(result, Failed):
            self._finished(None)
        elif result.error is Error.BAD_VERSION:  # somebody was faster; or it was ours
            self._start()
        elif result.error in (Error.CONNECTION_LOSS, Error.SESSION_EXPIRED):
            self._scope.after(CLIENT_RETRY_SECONDS, self._start)
        else:
            self._finished(result)


def _is_so(op: Op, result: Failed, may_exist: frozenset[str]) -> bool:
    """Whether it was so already."""
    if isinstance(op, Delete):
        return result.error is Error.NO_NODE
    return isinstance(op, Create) and op.path in may_exist and result.error is Error.NODE_EXISTS


def create_table(process: Process, name: str, table: Table, finished: Callable[[Failed | None], None]) -> Ask:
    """NODE_EXISTS: there is one of that name. The first one makes the parents. Raises BadTableError.

    It says whether its data are shared: that is not to change if a person changes the replicas.
    """
    parents = [Create(parent) for parent in SHARD_PARENTS]
    made = Create(table_path(name), replace(table, shared=table.anyone).encode())
    return Ask(process, [*parents, made], may_exist=SHARD_PARENTS, finished=finished)


def delete_table(process: Process, name: str, finished: Callable[[Failed | None], None]) -> Ask:
    """The master does it when nobody has any of its shards. NO_NODE: there is none."""
    return Ask(process, [Set(table_path(name), DELETE.encode())], finished=finished)


def move_shard(
    process: Process, name: str, shard: int, workers: Sequence[str], finished: Callable[[Failed | None], None]
) -> Ask:
    """NODE_EXISTS: somebody has just asked for the same shard."""
    return Ask(process, [Create(move_path(name, shard), " ".join(workers).encode())], finished=finished)


def drain_worker(process: Process, worker: str, undo: bool, finished: Callable[[Failed | None], None]) -> Ask:
    """It is to have no shards; ``undo``: it may have some again."""
    path = drain_path(worker)
    op = Delete(path) if undo else Create(path)
    return Ask(process, [op], may_exist=[path], finished=finished)
