"""What programs and the command line ask of tables of shards (docs/shards.md).

Each is a *talk*: a generator that yields what to wait for, and is sent what came of it. So each is written
once, for callers with threads (:func:`carry_out`), for asyncio (aio.py) and for the command line.
"""

import concurrent.futures
import re
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from typing import Any, NamedTuple, Required, TypedDict, TypeVar

from mwapp.client.background import Background
from mwapp.client.calls import check_fits
from mwapp.client.handles import cancelling, seconds
from mwapp.core.client import ClientPart
from mwapp.core.messages import Error, Failed
from mwapp.core.session import Process, Scope
from mwapp.core.shards import requests
from mwapp.core.shards.protocol import (
    MAX_SHARDS,
    SERVING,
    BadTableError,
    Record,
    Table,
    check_table_name,
    remedy,
)
from mwapp.core.task import BadTaskError, check_label
from mwapp.errors import BadInputError, NotFoundError, RefusedError, TimedOutError
from mwapp.status.shards import (
    ShardState,
    ShardsView,
    TableState,
    TableView,
    read_shards,
    shard_states,
    table_state,
)

T = TypeVar("T")

# How often to look while waiting, and to say what we wait for if that has changed, seconds.
PAUSE, SAY = 0.2, 10.0
# The master answers a request to move within this time, seconds, or there is none.
MASTER_SECONDS = 15.0
# How large a command may be, bytes: it is in the table's znode.
MOST_COMMAND = 64 * 1024
SILENT = "the ensemble has not answered in time"
UNKNOWN = SILENT + ": whether {} is unknown"


class TableOptions(TypedDict, total=False):
    """What a table is to be, as at the command line (``mwapp shards create --help``)."""

    shards: Required[int]  # how many it has
    replicas: int  # how many workers have each shard (1)
    spread: str | None  # a label of which a shard's replicas are on workers with different values
    handler: str | None  # what runs for each shard: module:Class of a class that the workers know, or
    command: str | None  # a shell command, which runs while a worker is the primary
    shared: bool | None  # whether every worker reaches the data; None: it does if there is one replica
    grace: float  # seconds that a lost worker has to come back before its replicas are made elsewhere (60)
    copies: int  # how many shards a worker copies at a time (10)
    page: int  # how many shards are in one znode (64); it cannot be changed


# ---------------------------------------------------------------- how to wait


class Step(NamedTuple):
    """What a talk waits for: not longer than until ``end``, on time.monotonic(); then it is ``late``."""

    future: Future[Any]
    end: float | None
    late: str

    def left(self) -> float | None:
        """For so many seconds."""
        return None if self.end is None else max(0.0, self.end - time.monotonic())

    def result(self) -> Any:
        """When it is done, or the time is over. Raises TimedOutError."""
        if not self.future.done():
            raise TimedOutError(self.late)
        return self.future.result()


# A number is a pause, seconds.
Talk = Generator[Step | float, Any, T]


def carry_out(talk: Talk[T]) -> T:
    """On this thread. Raises what the talk raises, and why the ensemble did not answer."""
    answer: Any = None
    try:
        while True:
            answer = _wait_for(talk.send(answer))
    except StopIteration as end:
        result: T = end.value
        return result


def _wait_for(step: Step | float) -> Any:
    if not isinstance(step, Step):
        time.sleep(step)
        return None
    with cancelling([step.future]):
        concurrent.futures.wait([step.future], step.left())
        return step.result()


def _end(timeout: float | None) -> float | None:
    timeout = seconds(timeout)
    return None if timeout is None else time.monotonic() + timeout


# ---------------------------------------------------------------- what can be asked for


def table_name(name: str, setting: str = "name") -> str:
    """Returns it. Raises BadInputError."""
    check_fits(setting, name, lambda it: isinstance(it, str), "text")
    try:
        return check_table_name(name)
    except BadTableError as problem:
        raise BadInputError(f"{setting}: {problem}") from None


def worker_names(names: Sequence[str], setting: str = "worker") -> tuple[str, ...]:
    """Returns them. Raises BadInputError."""
    if not names:
        raise BadInputError(f"{setting}: name at least one")
    for name in names:
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", name):
            raise BadInputError(
                f"{setting}: {str(name)[:80]!r}: no worker can have that name (mwapp workers)"
            )
    if len(set(names)) < len(names):
        raise BadInputError(f"{setting}: the same one is there twice")
    return tuple(names)


def whole_number(setting: str, value: int, least: int, most: int) -> int:
    """Returns it. Raises BadInputError."""
    fits = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
    check_fits(setting, value, lambda _: fits, f"a whole number from {least} to {most}")
    return value


def table_of(options: Mapping[str, Any], prefix: str = "") -> Table:
    """What these :class:`TableOptions` ask for. Raises BadInputError, whose message begins with the option,
    after the ``prefix``."""
    try:
        table = Table.of(options)
        _check_texts(table)
    except BadTableError as problem:
        raise BadInputError(f"{prefix}{problem}") from None
    return table


def _check_texts(table: Table) -> None:
    command = table.command
    if command is not None and (not command.strip() or len(command.encode()) > MOST_COMMAND):
        raise BadTableError(f"command: use at least one character, and at most {MOST_COMMAND} bytes")
    if table.handler is not None and not table.handler.strip():
        raise BadTableError("handler: it is empty: use module:Class")
    try:
        if table.spread:
            check_label(table.spread)
    except BadTaskError as problem:
        raise BadTableError(f"spread: {problem}") from None
    if "=" in table.spread:
        raise BadTableError("spread: use its name alone, such as zone for zone=a")


class Tables:
    """The talks, on one session. ``typed``: what the user calls the arguments, if not by their names.
    ``say`` is told what a talk waits for when that takes long."""

    def __init__(
        self,
        background: Background,
        typed: Mapping[str, str] | None = None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._background = background
        self._typed = typed or {}
        self._say = say

    # ------------------------------------------------------------ looking

    def see(self, only: str | None = None, end: float | None = None, late: str = SILENT) -> Talk[ShardsView]:
        """All tables, or ``only`` that one."""

        def read(scope: Scope, then: Callable[[ShardsView], None]) -> None:
            read_shards(scope, then, only)

        view: ShardsView = yield Step(self._background.look(read), end, late)
        return view

    def tables(self, timeout: float | None = None) -> Talk[list[TableState]]:
        """What each is, and lacks. Raises TimedOutError."""
        view = yield from self.see(end=_end(timeout))
        return [table_state(view, table) for table in view.tables.values()]

    def show(self, name: str, timeout: float | None = None) -> Talk[list[ShardState]]:
        """All shards of a table. Raises NotFoundError, TimedOutError."""
        view = yield from self.see(name, _end(timeout))
        return shard_states(view, _table(view, name))

    def shard(self, name: str, shard: int, timeout: float | None = None) -> Talk[ShardState]:
        """One of them. Raises NotFoundError, TimedOutError."""
        whole_number(self._shown("shard"), shard, 0, MAX_SHARDS)
        states = yield from self.show(name, timeout)
        found = next((state for state in states if state.shard == shard), None)
        if found is None:
            raise self._no_such_shard(name, shard)
        return found

    def wait(self, name: str, timeout: float | None = None) -> Talk[ShardsView]:
        """Until every shard has a primary at work. Raises NotFoundError, TimedOutError."""
        return (yield from self._await(name, partial(_all_serve, name), _end(timeout)))

    # ------------------------------------------------------------ changing

    def create(self, name: str, table: Table, timeout: float | None = None) -> Talk[None]:
        """Raises RefusedError."""
        build = partial(requests.create_table, name=name, table=table)
        failed = yield from self._ask(build, _end(timeout), f"{name} was created")
        if failed is not None and failed.error is Error.NODE_EXISTS:
            raise RefusedError(f"{self._shown('name')}: {name} exists already (mwapp shards show {name})")
        _check(failed, f"create the table {name}")

    def resize(self, name: str, shards: int, timeout: float | None = None) -> Talk[None]:
        """Raises NotFoundError, RefusedError."""
        setting = self._shown("shards")
        whole_number(setting, shards, 1, MAX_SHARDS)
        build = partial(requests.Resize, name=name, shards=shards)
        problem = yield from self._ask(build, _end(timeout), f"{name} has {shards} shards")
        if isinstance(problem, str):
            raise RefusedError(f"{setting}: {name} cannot have {shards}: {problem}")
        if problem is not None and problem.error is Error.NO_NODE:
            raise no_such_table(name)
        _check(problem, f"change the table {name}")

    def delete(self, name: str, timeout: float | None = None, *, wait: bool = True) -> Talk[None]:
        """Raises NotFoundError, TimedOutError, RefusedError."""
        end = _end(timeout)
        build = partial(requests.delete_table, name=name)
        failed = yield from self._ask(build, end, f"{name} is to be deleted")
        if failed is not None and failed.error is Error.NO_NODE:
            raise no_such_table(name)
        _check(failed, f"delete the table {name}")
        if wait:
            yield from self._await(name, partial(_still_there, name), end)

    def move(
        self,
        name: str,
        shard: int,
        workers: Sequence[str],
        timeout: float | None = None,
        *,
        wait: bool = True,
    ) -> Talk[bool]:
        """Returns whether it was so already. Raises NotFoundError, TimedOutError, RefusedError."""
        end = _end(timeout)
        whole_number(self._shown("shard"), shard, 0, MAX_SHARDS)
        workers = worker_names(workers, self._shown("workers"))
        view = yield from self.see(name, end)
        if _is_so(self._movable(view, name, shard, workers), workers):
            return True
        build = partial(requests.move_shard, name=name, shard=shard, workers=workers)
        failed = yield from self._ask(build, end, f"{name} {shard} is to move")
        if failed is not None and failed.error is Error.NODE_EXISTS:
            raise RefusedError(f"somebody has just asked to move {name} {shard}: try again when it has begun")
        _check(failed, f"move {name} {shard}")
        decided = partial(_undecided, name, shard)
        view = yield from self._await(name, decided, _end(MASTER_SECONDS) if end is None else end)
        if not _wants(record_of(view, name, shard), workers):
            raise RefusedError(
                f"{name} {shard} does not move: the master's log says why (cannot move {name}:{shard}). Do "
                "these workers differ in the label of --spread, and are none of them stopping?"
            )
        if wait:
            yield from self._await(name, partial(_moving, name, shard, workers), end)
        return False

    def drain(self, worker: str, timeout: float | None = None, *, wait: bool = True) -> Talk[None]:
        """Raises NotFoundError, TimedOutError, RefusedError."""
        end = _end(timeout)
        yield from self._drain(worker, end, undo=False)
        if wait:
            yield from self._await(None, partial(_not_empty, worker), end)

    def undrain(self, worker: str, timeout: float | None = None) -> Talk[None]:
        """Raises TimedOutError, RefusedError."""
        return self._drain(worker, _end(timeout), undo=True)

    def _drain(self, worker: str, end: float | None, *, undo: bool) -> Talk[None]:
        worker_names([worker], self._shown("worker"))
        build = partial(requests.drain_worker, worker=worker, undo=undo)
        failed = yield from self._ask(build, end, f"{worker} is drained")
        if failed is not None and failed.error is Error.NO_NODE:
            raise NotFoundError("there is no table of shards, so there is nothing to drain")
        _check(failed, f"drain {worker}")

    # ------------------------------------------------------------ in common

    def _shown(self, argument: str) -> str:
        return self._typed.get(argument, argument)

    def _no_such_shard(self, name: str, shard: int) -> NotFoundError:
        return NotFoundError(
            f"{self._shown('shard')}: {name} has no shard {shard} (mwapp shards show {name})"
        )

    def _ask(self, build: Callable[..., ClientPart], end: float | None, what: str) -> Talk[Any]:
        """What the part of the core is finished with. ``what``: what is unknown if nobody answers in time."""

        def begin(process: Process, finished: Callable[[Any], None]) -> ClientPart:
            return build(process, finished=finished)

        answer = yield Step(self._background.ask(begin), end, UNKNOWN.format(what))
        return answer

    def _await(
        self, name: str | None, left: Callable[[ShardsView], str | None], end: float | None
    ) -> Talk[ShardsView]:
        """Look until nothing is ``left`` to wait for; returns the last look. Says now and then what that
        is."""
        say, said, problem = time.monotonic() + SAY, "", SILENT
        while True:
            view = yield from self.see(name, end, problem)
            what = left(view)
            if what is None:
                return view
            known, problem = view.tables.get(name or ""), what
            if known is not None and known.trouble:
                problem += f"; {known.trouble}: {remedy(known.name, known.trouble)}"
            now = time.monotonic()
            if end is not None and now >= end:
                raise TimedOutError(problem)
            if now >= say and problem != said:
                self._say(problem)
                say, said = now + SAY, problem
            yield PAUSE if end is None else min(PAUSE, end - now)

    def _movable(self, view: ShardsView, name: str, shard: int, workers: Sequence[str]) -> Record:
        """The record of a shard that these may have."""
        records, setting = _table(view, name).records, self._shown("workers")
        if shard not in records:
            raise self._no_such_shard(name, shard)
        for worker in workers:
            if worker not in view.holders:
                raise NotFoundError(f"{setting}: {worker} is not there (mwapp workers)")
            if worker in view.drained:
                raise RefusedError(f"{setting}: {worker} is drained (mwapp shards drain {worker} --undo)")
        if len(workers) > max(1, len(records[shard].wanted)):
            raise BadInputError(f"{setting}: {len(workers)} of them: a shard of {name} has fewer replicas")
        return records[shard]


def no_such_table(name: str) -> NotFoundError:
    """Nobody has made it, or it was deleted."""
    return NotFoundError(f"no such table: {name} (mwapp shards list)")


def _table(view: ShardsView, name: str) -> TableView:
    if name not in view.tables:
        raise no_such_table(name)
    return view.tables[name]


def record_of(view: ShardsView, name: str, shard: int) -> Record:
    """The record of a shard that was there. Raises NotFoundError if its table goes."""
    known = view.tables.get(name)
    if known is None or known.deleting or shard not in known.records:
        raise NotFoundError(f"no such table: {name}: it was deleted, or is being deleted")
    return known.records[shard]


def _check(failed: Failed | None, what: str) -> None:
    if failed is not None:
        raise RefusedError(
            f"the ensemble refuses to {what} ({failed.error.value}). With access control lists only clients "
            "that are entered may, and `mwapp acl on` makes the znodes that this needs (mwapp acl)"
        )


# ---------------------------------------------------------------- what is left to wait for


def _all_serve(name: str, view: ShardsView) -> str | None:
    table = view.tables.get(name)
    if table is None or table.deleting:
        raise NotFoundError(f"no such table: {name}: it {'was' if table is None else 'is being'} deleted")
    states = [state.state for state in shard_states(view, table)]
    left = len(states) - states.count(SERVING)
    return f"{left} of {len(states)} shards of {name} have no primary at work" if left else None


def _still_there(name: str, view: ShardsView) -> str | None:
    left = view.tables.get(name)
    if left is None:
        return None
    if not left.deleting:
        raise RefusedError(f"{name} is not deleted: somebody has set /shards/{name} meanwhile")
    held = sum(bool(record.members) for record in left.records.values())
    return f"{held} shards of {name} are not closed yet"


def _undecided(name: str, shard: int, view: ShardsView) -> str | None:
    waits = f"{name}:{shard}" in view.moves
    return "the master has not answered: is one active (mwapp status)?" if waits else None


def _moving(name: str, shard: int, workers: tuple[str, ...], view: ShardsView) -> str | None:
    record = record_of(view, name, shard)
    there = _is_so(record, workers) and view.state(name, shard, record) == SERVING
    return None if there else f"{name} {shard} has not moved yet (mwapp shards show {name})"


def _is_so(record: Record, workers: tuple[str, ...]) -> bool:
    """Whether they have it, and nothing else is to come."""
    return record.target is None and record.primary == workers[0] and _wants(record, workers)


def _wants(record: Record, workers: tuple[str, ...]) -> bool:
    """Whether they are to have it: the first as the primary, the others, in any order, as replicas."""
    return record.wanted[:1] == workers[:1] and set(workers) <= set(record.wanted)


def _not_empty(worker: str, view: ShardsView) -> str | None:
    left = view.held_by(worker)
    return f"{worker} has {left} shards (mwapp shards list)" if left else None


# ---------------------------------------------------------------- what programs hold


class TableHandle:
    """What the handles of a table with and without asyncio have in common."""

    def __init__(self, background: Background, name: str) -> None:
        """Raises BadInputError."""
        self.name = table_name(name)
        self._tables = Tables(background)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"
