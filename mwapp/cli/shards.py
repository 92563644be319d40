"""mwapp shards: tables of shards, and who has them."""

import re
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import click

from mwapp.cli.names import timeout
from mwapp.cli.options import client, option
from mwapp.cli.output import age, show, show_json, show_table
from mwapp.cli.session import Target, converse, look, target_of
from mwapp.core.messages import Error, Failed
from mwapp.core.session import Callback, Process
from mwapp.core.shards import requests
from mwapp.core.shards.placement import shortfall
from mwapp.core.shards.protocol import (
    FAILED,
    MAX_COPIES,
    MAX_GRACE,
    MAX_REPLICAS,
    MAX_SHARDS,
    MOST_IN_PAGE,
    PAGE,
    SERVING,
    BadTableError,
    Record,
    Table,
    check_table_name,
    value_of,
)
from mwapp.core.task import BadTaskError, check_label
from mwapp.errors import BadInputError, NotFoundError, RefusedError, TimedOutError
from mwapp.status.overview import WorkerView, read_workers
from mwapp.status.shards import (
    HANDOVER,
    OPENING,
    VACANT,
    ShardsView,
    TableView,
    read_shards,
)

# How often to look while waiting, and to say what we wait for if that has changed, seconds.
PAUSE, SAY = 0.2, 10.0
# The master answers a request to move within this time, seconds, or there is none.
MASTER_SECONDS = 15.0
MOST_COMMAND = 64 * 1024

Finished = Callable[[Failed | None], None]


@click.group()
def shards() -> None:
    """Shards: assignments that last, each with one fenced owner.

    A table has a number of shards, 0 and up. The active master gives each of them to as many workers as the
    table says, one of which is its owner, the primary. If the primary's process or host dies, another worker
    follows, and only when nothing of the first can still run. A shard's generation grows with each change of
    the primary; its handler puts it on every write, so that what comes late from a former owner is refused.

    See docs/shards.md.

    \b
    Examples:
      mwapp shards create regions --shards 120 --command '/opt/regions/serve' --wait
      mwapp shards show regions
      mwapp shards create --help
    """


def _name(_ctx: click.Context, _param: click.Parameter, text: str) -> str:
    try:
        return check_table_name(text)
    except BadTableError as problem:
        raise BadInputError(f"TABLE: {problem}") from None


def _worker(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", text):
        raise BadInputError(f"WORKER: {text[:80]!r}: no worker can have that name (mwapp workers)")
    return text


def _workers(_ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(map(_worker, texts))
    if len(set(names)) < len(names):
        raise BadInputError("WORKER: the same one is there twice")
    return names


def _one_worker(_ctx: click.Context, _param: click.Parameter, text: str) -> str:
    return _worker(text)


table_argument = click.argument("table", callback=_name)
worker_argument = click.argument("worker", callback=_one_worker)


def _wait(text: str) -> Callable[[Any], Any]:
    return option("--wait", key="shards_wait", is_flag=True, help=text)


# ---------------------------------------------------------------- create, delete


@shards.command()
@table_argument
@option(
    "--shards",
    key="shards_number",
    type=click.IntRange(1, MAX_SHARDS),
    required=True,
    metavar="NUMBER",
    help="How many shards the table has.",
)
@option(
    "--replicas",
    key="shards_replicas",
    type=click.IntRange(1, MAX_REPLICAS),
    default=1,
    metavar="NUMBER",
    help="How many workers have each shard. One of them is its primary.",
)
@option(
    "--spread",
    key="shards_spread",
    metavar="LABEL",
    help="The replicas of a shard differ in this label of their workers: zone, for workers with "
    "--label zone=a.",
)
@option(
    "--handler",
    key="shards_handler",
    metavar="MODULE:CLASS",
    help="What runs for each shard that a worker has: a Python class that the workers know "
    "(docs/handlers.md).",
)
@option(
    "--command",
    key="shards_command",
    metavar="COMMAND",
    help="Instead: a shell command that runs as long as a worker is the primary of a shard. It finds "
    "MWAPP_TABLE, MWAPP_SHARD, MWAPP_GENERATION and MWAPP_WORKER in its environment. SIGTERM ends it.",
)
@option(
    "--shared/--own",
    key="shards_shared",
    default=None,
    help="Whether the shards' data are where every worker reaches them, so that any worker may become the "
    "primary at once. With --own only one that has a copy may. Default: shared, if there is one replica.",
)
@option(
    "--grace",
    key="shards_grace",
    type=click.FloatRange(0, MAX_GRACE),
    default=60.0,
    metavar="SECONDS",
    help="How long a lost worker may take to come back before its replicas are made elsewhere.",
)
@option(
    "--copies",
    key="shards_copies",
    type=click.IntRange(1, MAX_COPIES),
    default=10,
    metavar="NUMBER",
    help="How many shards a worker copies at a time.",
)
@option(
    "--page",
    key="shards_page",
    type=click.IntRange(1, MOST_IN_PAGE),
    default=PAGE,
    metavar="NUMBER",
    help="How many shards are in one znode. It cannot be changed later.",
)
@_wait("Wait until every shard has a primary at work.")
@timeout("With --wait: give up after this long; the table stays.")
@client
def create(table: str, timeout: float | None, shards_wait: bool, **settings: Any) -> None:
    """Create a table of shards.

    Without --handler and --command nothing runs: the znodes say who has what.

    Exit status: 0 it is created; 5 not all shards are at work in time; 7 there is one of that name.

    \b
    Examples:
      mwapp shards create regions --shards 120 --command '/opt/regions/serve'
      mwapp shards create blocks --shards 64 --replicas 3 --spread zone --handler blocks:Blocks --wait
    """
    wanted = _table(settings)
    target = target_of(settings)
    (workers,) = look(target, read_workers)
    failed = _ask(target, partial(requests.create_table, name=table, table=wanted))
    if failed is not None and failed.error is Error.NODE_EXISTS:
        raise RefusedError(f"TABLE: {table} exists already (mwapp shards show {table})")
    _check(failed, f"create the table {table}")
    _warn_of_shortfall(table, wanted, workers)
    if shards_wait:
        _await(target, timeout, table, partial(_all_serve, table, wanted.shards))
    _done(settings, {"table": table, "created": True}, f"{table} is created")


def _table(settings: dict[str, Any]) -> Table:
    command, spread = settings["shards_command"], settings["shards_spread"] or ""
    if command is not None and (not command.strip() or len(command.encode()) > MOST_COMMAND):
        raise BadInputError(f"--command: use at least one character, and at most {MOST_COMMAND} bytes")
    if settings["shards_handler"] is not None and not settings["shards_handler"].strip():
        raise BadInputError("--handler: it is empty: use module:Class")
    try:
        if spread:
            check_label(spread)
        if "=" in spread:
            raise BadTaskError("use its name alone, such as zone for zone=a")
    except BadTaskError as problem:
        raise BadInputError(f"--spread: {problem}") from None
    table = Table(
        settings["shards_number"],
        settings["shards_replicas"],
        spread,
        settings["shards_handler"],
        command,
        settings["shards_shared"],
        settings["shards_grace"],
        settings["shards_copies"],
        settings["shards_page"],
    )
    try:
        table.encode()
    except BadTableError as problem:
        raise BadInputError(f"--{problem}") from None
    return table


def _warn_of_shortfall(name: str, table: Table, workers: list[WorkerView]) -> None:
    there = {
        view.worker: value_of(table.spread, view.labels)
        for view in workers
        if view.state in ("ready", "paused")
    }
    short = shortfall(there, table.replicas)
    if not there:
        print(f"mwapp: warning: {name}: no worker is there to have a shard (mwapp worker)", file=sys.stderr)
    elif short is not None:
        print(f"mwapp: warning: {name}: {short.why}", file=sys.stderr)


def _all_serve(name: str, number: int, view: ShardsView) -> str | None:
    table = view.tables.get(name)
    if table is None or table.deleting:
        raise NotFoundError(f"no such table: {name}: it {'was' if table is None else 'is being'} deleted")
    states = [view.state(name, shard, record) for shard, record in table.records.items()]
    left = number - states.count(SERVING)
    return f"{left} of {number} shards of {name} have no primary at work" if left > 0 else None


@shards.command()
@table_argument
@_wait("Wait until no worker has any of its shards, and it is gone.")
@timeout("With --wait: give up after this long; the request remains.")
@client
def delete(table: str, timeout: float | None, shards_wait: bool, **settings: Any) -> None:
    """Delete a table: its workers close its shards, and then it is gone.

    Exit status: 0 it is asked for, or done; 4 there is no such table; 5 it is not gone in time.

    \b
    Examples:
      mwapp shards delete regions --wait
    """
    target = target_of(settings)
    failed = _ask(target, partial(requests.delete_table, name=table))
    if failed is not None and failed.error is Error.NO_NODE:
        raise _no_such_table(table)
    _check(failed, f"delete the table {table}")

    def gone(view: ShardsView) -> str | None:
        left = view.tables.get(table)
        if left is not None and not left.deleting:
            raise RefusedError(f"{table} is not deleted: somebody has set /shards/{table} meanwhile")
        held = sum(bool(record.members) for record in left.records.values()) if left is not None else 0
        return None if left is None else f"{held} shards of {table} are not closed yet"

    if shards_wait:
        _await(target, timeout, table, gone)
    document = {"table": table, "deleted": shards_wait, "deleting": not shards_wait}
    _done(settings, document, f"{table} is deleted" if shards_wait else f"{table} is being deleted")


# ---------------------------------------------------------------- list, show


@shards.command(name="list")
@client
def list_(**settings: Any) -> None:
    """List the tables, with what each lacks, and workers that are drained.

    VACANT counts shards without a primary that lives; FEWER, those with fewer replicas in sync than wanted;
    MOVING, those that are to have other workers.

    \b
    Examples:
      mwapp shards list
      mwapp shards list --output json
    """
    view = _see(target_of(settings))
    tables = [_table_document(view, table) for table in view.tables.values()]
    if settings["output"] == "json":
        drained = [{"worker": name, "shards": view.held_by(name)} for name in sorted(view.drained)]
        show_json({"tables": tables, "drained": drained})
        return
    show_table(
        ("TABLE", "STATE", "SHARDS", "REPLICAS", "SPREAD", "VACANT", "FAILED", "FEWER", "MOVING", "HANDLER"),
        [
            (
                *(it["table"], it["state"], it["shards"], it["replicas"], it["spread"], it["vacant"]),
                *(it["failed"], it["under_replicated"], it["moving"], it["handler"] or it["command"]),
            )
            for it in tables
        ],
    )
    for it in tables:
        if it["problem"]:
            click.echo(f"{it['table']}: {it['problem']}: set /shards/{it['table']} right", err=True)
    for name in sorted(view.drained):
        show(f"{name} is drained: it has {view.held_by(name)} shards (mwapp shards drain {name} --undo)")


def _table_document(view: ShardsView, table: TableView) -> dict[str, Any]:
    asked, records = table.asked, table.records
    states = [view.state(table.name, shard, record) for shard, record in records.items()]
    return {
        "table": table.name,
        "state": "deleting" if table.deleting else "unusable" if asked is None else "active",
        "problem": table.problem,
        "shards": asked.shards if asked is not None else len(records),
        "replicas": asked.replicas if asked is not None else None,
        "spread": (asked.spread if asked is not None else None) or None,
        "handler": asked.handler if asked is not None else None,
        "command": asked.command if asked is not None else None,
        "shared": asked.anyone if asked is not None else None,
        "grace": asked.grace if asked is not None else None,
        "copies": asked.copies if asked is not None else None,
        "vacant": states.count(VACANT) + (max(0, asked.shards - len(records)) if asked is not None else 0),
        "failed": states.count(FAILED),
        "under_replicated": sum(view.lacks(table, record) for record in records.values()),
        "moving": sum(record.target is not None for record in records.values()),
    }


@shards.command(name="show")
@table_argument
@option("--worker", key="shards_worker", metavar="WORKER", help="Show only shards that this worker has.")
@option(
    "--state",
    key="shards_state",
    type=click.Choice([SERVING, OPENING, HANDOVER, FAILED, VACANT]),
    multiple=True,
    help="Show only shards in this state. May be given several times.",
)
@client
def show_(table: str, shards_worker: str | None, shards_state: tuple[str, ...], **settings: Any) -> None:
    """Show the shards of a table: who has them.

    STATE: serving (its primary is at work), opening (its primary lives, and is not at work yet), handover
    (its primary is to release it for another), failed (its handler could not be opened, has ended or does not
    answer; the worker's log says why), or vacant (no primary lives). REPLICAS are the others that have it,
    with what they are: sync (it has everything), copy (it copies), back (it was in sync, and has come back),
    or gone. TO: who is to have it, the primary first.

    \b
    Examples:
      mwapp shards show regions
      mwapp shards show regions --state failed --state vacant
      mwapp shards show regions --worker mw3 --output json
    """
    view = _see(target_of(settings), table)
    known = view.tables.get(table)
    if known is None:
        raise _no_such_table(table)
    chosen = [
        (shard, record, state)
        for shard, record in known.records.items()
        if (shards_worker is None or shards_worker in record.members)
        and ((state := view.state(table, shard, record)) in shards_state or not shards_state)
    ]
    now = time.time()
    if settings["output"] == "json":
        show_json([_shard_document(view, *one) for one in chosen])
        return
    show_table(
        ("SHARD", "PRIMARY", "STATE", "GENERATION", "SINCE", "REPLICAS", "TO"),
        [
            (
                *(shard, record.primary, state, record.generation),
                age(now - record.since) if record.since else None,
                " ".join(f"{n}={view.member(record, n)}" for n in record.members if n != record.primary),
                None if record.target is None else " ".join(record.target) or "(nobody)",
            )
            for shard, record, state in chosen
        ],
    )


def _shard_document(view: ShardsView, shard: int, record: Record, state: str) -> dict[str, Any]:
    return {
        "shard": shard,
        "primary": record.primary or None,
        "state": state,
        "generation": record.generation,
        "since": record.since or None,
        "members": {name: view.member(record, name) for name in record.members},
        "target": None if record.target is None else list(record.target),
    }


# ---------------------------------------------------------------- move, drain


@shards.command()
@table_argument
@click.argument("shard", type=click.IntRange(min=0))
@click.argument("workers", nargs=-1, required=True, metavar="WORKER...", callback=_workers)
@_wait("Wait until the first WORKER is its primary, and at work.")
@timeout("Give up after this long; what was begun goes on.")
@client
def move(
    table: str,
    shard: int,
    workers: tuple[str, ...],
    timeout: float | None,
    shards_wait: bool,
    **settings: Any,
) -> None:
    """Move a shard: the first WORKER is to be its primary, the others its replicas.

    Replicas that are not named stay where they are, as far as there is room. The master answers at once, and
    moves the shard when the new primary has everything.

    Exit status: 0 it moves, or has moved; 4 no such table, shard or worker; 5 not in time; 7 refused.

    \b
    Examples:
      mwapp shards move regions 17 mw2 --wait
      mwapp shards move blocks 3 mw2 mw5
    """
    target = target_of(settings)
    view = _see(target, table)
    known = view.tables.get(table)
    if known is None:
        raise _no_such_table(table)
    if shard not in known.records:
        raise NotFoundError(f"SHARD: {table} has no shard {shard} (mwapp shards show {table})")
    for name in workers:
        if name not in view.holders:
            raise NotFoundError(f"WORKER: {name} is not there (mwapp workers)")
        if name in view.drained:
            raise RefusedError(f"WORKER: {name} is drained (mwapp shards drain {name} --undo)")
    if len(workers) > max(1, len(known.records[shard].wanted)):
        raise BadInputError(f"WORKER: {len(workers)} of them: a shard of {table} has fewer replicas")
    if _is_so(known.records[shard], workers):
        _done(settings, _moved_document(table, shard, workers, True), f"{table} {shard} is on {workers[0]}")
        return
    failed = _ask(target, partial(requests.move_shard, name=table, shard=shard, workers=workers))
    if failed is not None and failed.error is Error.NODE_EXISTS:
        raise RefusedError(f"somebody has just asked to move {table} {shard}: try again when it has begun")
    _check(failed, f"move {table} {shard}")

    def decided(view: ShardsView) -> str | None:
        waits = f"{table}:{shard}" in view.moves
        return "the master has not answered: is one active (mwapp status)?" if waits else None

    def moved(view: ShardsView) -> str | None:
        record = _record_of(view, table, shard)
        there = _is_so(record, workers) and view.state(table, shard, record) == SERVING
        return None if there else f"{table} {shard} has not moved yet (mwapp shards show {table})"

    until = time.monotonic() + (MASTER_SECONDS if timeout is None else timeout)
    view = _await(target, until - time.monotonic(), table, decided)
    record = _record_of(view, table, shard)
    if record.wanted[: len(workers)] != workers:
        raise RefusedError(
            f"{table} {shard} does not move: the master's log says why. Do these workers differ in the label "
            "of --spread, and are none of them stopping?"
        )
    if shards_wait:
        left = None if timeout is None else until - time.monotonic()
        _await(target, left, table, moved)
    document = _moved_document(table, shard, workers, shards_wait)
    _done(settings, document, f"{table} {shard} {'is on' if shards_wait else 'moves to'} {workers[0]}")


def _is_so(record: Record, workers: tuple[str, ...]) -> bool:
    """Whether they have it, and nothing else is to come."""
    return record.target is None and record.primary == workers[0] and record.wanted[: len(workers)] == workers


def _moved_document(table: str, shard: int, workers: tuple[str, ...], moved: bool) -> dict[str, Any]:
    return {"table": table, "shard": shard, "workers": list(workers), "moved": moved}


def _record_of(view: ShardsView, table: str, shard: int) -> Record:
    known = view.tables.get(table)
    if known is None or known.deleting or shard not in known.records:
        raise NotFoundError(f"no such table: {table}: it was deleted, or is being deleted")
    return known.records[shard]


@shards.command()
@worker_argument
@option("--undo", key="shards_undo", is_flag=True, help="The worker may have shards again.")
@_wait("Wait until it has no shards.")
@timeout("With --wait: give up after this long; it stays drained.")
@client
def drain(worker: str, timeout: float | None, shards_undo: bool, shards_wait: bool, **settings: Any) -> None:
    """Have others take all shards of WORKER, and give it none until --undo.

    Its handlers hand over, one shard after the other, so that none is without an owner for longer than that
    takes. A worker that is stopped (SIGTERM) drains by itself; this is for one that goes on with its tasks.

    Exit status: 0 it is asked for, or done; 5 it still has shards.

    \b
    Examples:
      mwapp shards drain mw3 --wait
      mwapp shards drain mw3 --undo
    """
    if shards_undo and shards_wait:
        raise BadInputError("--wait: not with --undo, which is done at once")
    target = target_of(settings)
    view = _see(target)
    if worker not in view.holders and not shards_undo:
        print(f"mwapp: warning: no worker {worker} is there now (mwapp workers)", file=sys.stderr)
    if not shards_undo and view.tables and not _others(view, worker):
        print(
            f"mwapp: warning: nobody else may have shards, so {worker} keeps what it has (mwapp workers)",
            file=sys.stderr,
        )
    failed = _ask(target, partial(requests.drain_worker, worker=worker, undo=shards_undo))
    if failed is not None and failed.error is Error.NO_NODE:
        raise NotFoundError("there is no table of shards, so there is nothing to drain")
    _check(failed, f"drain {worker}")

    def empty(view: ShardsView) -> str | None:
        left = view.held_by(worker)
        return f"{worker} has {left} shards (mwapp shards list)" if left else None

    if shards_wait:
        view = _await(target, timeout, None, empty)
    text = f"{worker} may have shards again" if shards_undo else f"{worker} is drained"
    _done(settings, {"worker": worker, "drained": not shards_undo, "shards": view.held_by(worker)}, text)


def _others(view: ShardsView, worker: str) -> list[str]:
    """Who may have shards besides."""
    there = (name for name, report in view.holders.items() if not report.leaving)
    return [name for name in there if name not in view.drained | {worker}]


# ---------------------------------------------------------------- the ensemble


def _see(target: Target, only: str | None = None) -> ShardsView:
    (view,) = look(target, lambda scope, then: read_shards(scope, then, only))
    assert isinstance(view, ShardsView)  # noqa: S101 - it is; tells mypy
    return view


def _ask(target: Target, build: Callable[..., requests.Ask]) -> Failed | None:
    """Returns the failure, if the ensemble did not do it."""
    failures: list[Failed | None] = []

    def begin(process: Process, finished: Callback) -> requests.Ask:
        def answered(failed: Failed | None) -> None:
            failures.append(failed)
            finished()

        return build(process, finished=answered)

    converse(target, begin)
    return failures[0]


def _check(failed: Failed | None, what: str) -> None:
    if failed is not None:
        raise RefusedError(
            f"the ensemble refuses to {what} ({failed.error.value}). With access control lists only clients "
            "that are entered may, and `mwapp acl on` makes the znodes that this needs (mwapp acl)"
        )


def _await(
    target: Target, seconds: float | None, table: str | None, left: Callable[[ShardsView], str | None]
) -> ShardsView:
    """Look until nothing is ``left`` to wait for, and say now and then what that is; returns the last
    look."""
    now = time.monotonic()
    end, say, said = (None if seconds is None else now + seconds), now + SAY, ""
    while True:
        view = _see(target, table)
        problem = left(view)
        if problem is None:
            return view
        known = view.tables.get(table or "")
        if known is not None and known.problem:
            problem += f"; {known.problem}: set the znode /shards/{table} right"
        now = time.monotonic()
        if end is not None and now >= end:
            raise TimedOutError(problem)
        if now >= say and problem != said:
            print(f"mwapp: waiting: {problem}", file=sys.stderr)
            say, said = now + SAY, problem
        time.sleep(PAUSE)


def _no_such_table(name: str) -> NotFoundError:
    return NotFoundError(f"no such table: {name} (mwapp shards list)")


def _done(settings: dict[str, Any], document: dict[str, Any], text: str) -> None:
    if settings["output"] == "json":
        show_json(document)
    else:
        show(text)
