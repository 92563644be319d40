"""Clients that ask for tables, moves and drains as `mwapp shards` does, and whether what they hear is so."""

from collections.abc import Callable, Set
from dataclasses import replace
from typing import NamedTuple

from mwapp.core.messages import Error, Failed
from mwapp.core.session import Process
from mwapp.core.shards.protocol import (
    DELETE,
    BadTableError,
    Table,
    decode_table,
    drain_path,
    move_path,
    table_path,
)
from mwapp.core.shards.requests import Resize, create_table, delete_table, drain_worker, move_shard
from tests.simulation.host import Build, Host
from tests.simulation.shards.past import Past
from tests.simulation.tree import parent_of
from tests.simulation.world import Violation

Answer = Failed | str | None  # why it is not so; None: it is
State = bytes | None  # of a znode: its data; None: it is not there


class Request(NamedTuple):
    """What a client asks for. ``path`` is the znode that shows it; ``done`` says by its state whether it is
    so; ``cannot``, whether a reason in words is so. ``reads``: by a read, which may be older than the
    client."""

    ask: Callable[[Process, Callable[[Answer], None]], object]
    path: str
    done: Callable[[State], bool]
    cannot: Callable[[State], bool] = lambda _: False
    reads: bool = False


def create(name: str, table: Table) -> Request:
    """Make a table."""
    made = replace(table, shared=table.anyone).encode()
    return Request(
        lambda process, finished: create_table(process, name, table, finished),
        table_path(name),
        lambda data: data == made,
    )


def delete(name: str) -> Request:
    """Have a table deleted."""
    return Request(
        lambda process, finished: delete_table(process, name, finished),
        table_path(name),
        lambda data: data in (None, DELETE.encode()),
    )


def move(name: str, shard: int, workers: list[str]) -> Request:
    """Have these have a shard."""
    return Request(
        lambda process, finished: move_shard(process, name, shard, workers, finished),
        move_path(name, shard),
        lambda data: data == " ".join(workers).encode(),
    )


def drain(worker: str, *, undo: bool) -> Request:
    """Have a worker have nothing, or something again."""
    return Request(
        lambda process, finished: drain_worker(process, worker, undo, finished),
        drain_path(worker),
        lambda data: (data is None) is undo,
    )


def resize(name: str, shards: int) -> Request:
    """Have a table have so many shards."""

    def has(data: State) -> int | None:
        try:
            table = None if data is None else decode_table(name, data)
        except BadTableError:
            return None
        return None if table is None else table.shards

    def cannot(data: State) -> bool:
        number = has(data)
        return number is None or number > shards

    return Request(
        lambda process, finished: Resize(process, name, shards, finished=finished),
        table_path(name),
        lambda data: has(data) == shards,
        cannot,
        reads=True,
    )


def asker(past: Past, request: Request, told: Callable[[Answer], None], refused: Set[str]) -> Build:
    """A client that asks for this, and ends when it has heard. ``refused``: hosts of which servers have
    refused something."""

    def build(host: Host, process: Process) -> None:
        since = 0.0 if request.reads else host.now

        def finished(answer: Answer) -> None:
            denied = answer == Failed(Error.REFUSED, 0) or answer == Failed(Error.REFUSED)
            if not (denied and host.name in refused) and not _is_so(past, request, answer, since):
                what = "it is done" if answer is None else answer
                raise Violation("asked-is-done", f"{host.name} hears of {request.path}: {what}")
            told(answer)
            host.retire()

        request.ask(process, finished)

    return build


def _is_so(past: Past, request: Request, answer: Answer, since: float) -> bool:
    """Or was, since the client began."""
    path = request.path
    if answer is None:
        return past.was(path, since, request.done)
    if isinstance(answer, str):
        return past.was(path, since, request.cannot)
    if answer.error is Error.NODE_EXISTS:
        return past.was(path, since, lambda data: data is not None)
    if answer.error is Error.NOT_EMPTY:  # a person has made something below it
        return past.had_below(path, since)
    gone = any(past.was(one, since, lambda data: data is None) for one in (path, parent_of(path)))
    return answer.error is Error.NO_NODE and gone
