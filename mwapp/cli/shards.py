"""mwapp shards: tables of shards, and who has them."""

import time
from collections.abc import Callable
from typing import Any

import click

from mwapp.cli.names import timeout
from mwapp.cli.options import Number, client, option
from mwapp.cli.output import age, show_json, show_table
from mwapp.cli.session import Target, look, target_of
from mwapp.cli.streams import note, show, tell
from mwapp.client.tables import Tables, carry_out, no_such_table, table_name, table_of, worker_names
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
    Table,
    remedy,
    value_of,
)
from mwapp.errors import BadInputError
from mwapp.status.overview import WorkerView, read_workers
from mwapp.status.shards import (
    HANDOVER,
    OPENING,
    VACANT,
    ShardState,
    ShardsView,
    shard_states,
    table_state,
)

# What the arguments are called here.
_TYPED = {"name": "TABLE", "shard": "SHARD", "shards": "SHARDS", "worker": "WORKER", "workers": "WORKER"}


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
    return table_name(text, "TABLE")


def _workers(_ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]) -> tuple[str, ...]:
    return worker_names(texts, "WORKER")


def _one_worker(_ctx: click.Context, _param: click.Parameter, text: str) -> str:
    return worker_names([text], "WORKER")[0]


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
    help="Place the replicas of a shard on workers with different values of this label, such as zone "
    "(--label zone=a).",
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
    "MWAPP_TABLE, MWAPP_SHARD, MWAPP_GENERATION, MWAPP_WORKER, MWAPP_ROLE and MWAPP_MEMBERS in its "
    "environment. SIGTERM ends it.",
)
@option(
    "--shared/--own",
    key="shards_shared",
    default=None,
    help="--shared: every worker can reach the data, so any worker can become primary at once. --own: only a "
    "worker with a copy can. Default: shared, if there is one replica.",
)
@option(
    "--grace",
    key="shards_grace",
    type=Number(0, MAX_GRACE),
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
    options = ("number", "replicas", "spread", "handler", "command", "shared", "grace", "copies", "page")
    given = {name: settings[f"shards_{name}"] for name in options}
    wanted = table_of({"shards": given.pop("number"), **given}, "--")
    target = target_of(settings, creates=True)
    (workers,) = look(target, read_workers)
    carry_out(_tables(target).create(table, wanted))
    _warn_of_shortfall(table, wanted, workers)
    if shards_wait:
        carry_out(_tables(target).wait(table, timeout))
    _done(settings, {"table": table, "created": True}, f"{table} is created")


def _warn_of_shortfall(name: str, table: Table, workers: list[WorkerView]) -> None:
    there = {
        view.worker: value_of(table.spread, view.labels)
        for view in workers
        if view.state in ("ready", "paused")
    }
    short = shortfall(there, table.replicas, table.spread)
    if not there:
        tell(f"warning: {name}: no worker is there to have a shard (mwapp worker)")
    elif short is not None:
        tell(f"warning: {name}: {short.why}")


@shards.command()
@table_argument
@click.argument("number", type=click.IntRange(1, MAX_SHARDS), metavar="SHARDS")
@_wait("Wait until every shard has a primary at work, the new ones too.")
@timeout("With --wait: give up after this long; the table has the new shards all the same.")
@client
def resize(table: str, number: int, timeout: float | None, shards_wait: bool, **settings: Any) -> None:
    """Give a table more shards: SHARDS is their new number.

    Existing shards stay where they are. A table cannot have fewer shards, because what is in the removed ones
    would belong to nobody. Make another table, and delete this one when nothing in it is needed.

    Exit status: 0 it has so many; 4 no such table; 5 not all shards are at work in time; 7 refused.

    \b
    Examples:
      mwapp shards resize regions 240 --wait
    """
    tables = _tables(target_of(settings))
    carry_out(tables.resize(table, number))
    if shards_wait:
        carry_out(tables.wait(table, timeout))
    _done(settings, {"table": table, "shards": number}, f"{table} has {number} shards")


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
    carry_out(_tables(target_of(settings)).delete(table, timeout, wait=shards_wait))
    document = {"table": table, "deleted": shards_wait, "deleting": not shards_wait}
    _done(settings, document, f"{table} is deleted" if shards_wait else f"{table} is being deleted")


# ---------------------------------------------------------------- list, show


@shards.command(name="list")
@client
def list_(**settings: Any) -> None:
    """List the tables, with what each lacks, and workers that are drained.

    VACANT counts shards without a live primary; FEWER, those with fewer replicas in sync than wanted; MOVING,
    those that move to other workers.

    \b
    Examples:
      mwapp shards list
      mwapp shards list --output json
    """
    view = carry_out(_tables(target_of(settings)).see())
    tables = [table_state(view, table) for table in view.tables.values()]
    if settings["output"] == "json":
        drained = [{"worker": name, "shards": view.held_by(name)} for name in sorted(view.drained)]
        show_json({"tables": [it._asdict() for it in tables], "drained": drained})
        return
    show_table(
        ("TABLE", "STATE", "SHARDS", "REPLICAS", "SPREAD", "VACANT", "FAILED", "FEWER", "MOVING", "HANDLER"),
        [
            (
                *(it.table, it.state, it.shards, it.replicas, it.spread, it.vacant),
                *(it.failed, it.under_replicated, it.moving, it.handler or it.command),
            )
            for it in tables
        ],
    )
    for it in tables:
        if it.problem:
            note(f"{it.table}: {it.problem}: {remedy(it.table, it.problem)}")
        if it.short:
            note(f"{it.table}: {it.short}")
    for name in sorted(view.drained):
        show(f"{name} is drained: it has {view.held_by(name)} shards (mwapp shards drain {name} --undo)")


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

    STATE: serving (its primary is at work), opening (its primary lives, but is not at work yet), handover
    (its primary hands it over to another), failed (its handler could not be opened, has ended or does not
    answer; the worker's log says why), or vacant (no live primary). REPLICAS are the others that have it,
    with their states: sync (has everything), copy (copies), back (was in sync, and has come back), failed
    (its handler has failed), or gone. TO: the workers it moves to, the primary first.

    \b
    Examples:
      mwapp shards show regions
      mwapp shards show regions --state failed --state vacant
      mwapp shards show regions --worker mw3 --output json
    """
    view = carry_out(_tables(target_of(settings)).see(table))
    if table not in view.tables:
        raise no_such_table(table)
    chosen = [
        its
        for its in shard_states(view, view.tables[table])
        if (shards_worker is None or shards_worker in its.members)
        and (not shards_state or {its.state, *_failed(its)} & set(shards_state))
    ]
    if settings["output"] == "json":
        show_json(list(map(_shard_document, chosen)))
        return
    addressed = any(its.address for its in chosen)
    columns = ("ADDRESS",) if addressed else ()
    now = time.time()
    show_table(
        ("SHARD", "PRIMARY", "STATE", "GENERATION", "SINCE", *columns, "REPLICAS", "TO"),
        [
            (
                *(its.shard, its.primary, its.state, its.generation),
                age(now - its.since) if its.since else None,
                *([its.address] if addressed else ()),
                " ".join(f"{n}={member.state}" for n, member in its.members.items() if n != its.primary),
                None if its.target is None else " ".join(its.target) or "(nobody)",
            )
            for its in chosen
        ],
    )


def _failed(its: ShardState) -> set[str]:
    """A shard in which a replica has failed is shown with those that have failed."""
    return {member.state for member in its.members.values()} & {FAILED}


def _shard_document(its: ShardState) -> dict[str, Any]:
    members = {name: member.state for name, member in its.members.items()}
    empty = {"primary": its.primary or None, "address": its.address or None, "since": its.since or None}
    return its._asdict() | empty | {"members": members}


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
    """Move a shard: the first WORKER becomes its primary, the others its replicas.

    Replicas that are not named stay where they are, as far as there is room. The master answers at once, and
    moves the shard when the new primary has everything.

    Exit status: 0 it moves, or has moved; 4 no such table, shard or worker; 5 not in time; 7 refused.

    \b
    Examples:
      mwapp shards move regions 17 mw2 --wait
      mwapp shards move blocks 3 mw2 mw5
    """
    tables = _tables(target_of(settings))
    was_so = carry_out(tables.move(table, shard, workers, timeout, wait=shards_wait))
    moved = was_so or shards_wait
    document = {"table": table, "shard": shard, "workers": list(workers), "moved": moved}
    _done(settings, document, f"{table} {shard} {'is on' if moved else 'moves to'} {workers[0]}")


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
    tables = _tables(target_of(settings))
    if shards_undo:
        carry_out(tables.undrain(worker))
    else:
        _warn_of_drain(carry_out(tables.see()), worker)
        carry_out(tables.drain(worker, timeout, wait=shards_wait))
    left = carry_out(tables.see()).held_by(worker)
    text = f"{worker} may have shards again" if shards_undo else f"{worker} is drained"
    _done(settings, {"worker": worker, "drained": not shards_undo, "shards": left}, text)


def _warn_of_drain(view: ShardsView, worker: str) -> None:
    if worker not in view.holders:
        tell(f"warning: no worker {worker} is there now (mwapp workers)")
    if view.tables and not _others(view, worker):
        tell(
            f"warning: nobody else may have shards, so {worker} keeps what it has (mwapp workers)",
        )


def _others(view: ShardsView, worker: str) -> list[str]:
    """Who may have shards besides."""
    there = (name for name, report in view.holders.items() if not report.leaving)
    return [name for name in there if name not in view.drained | {worker}]


# ---------------------------------------------------------------- in common


def _tables(target: Target) -> Tables:
    return Tables(target.session, _TYPED, _say)


def _say(problem: str) -> None:
    tell(f"waiting: {problem}")


def _done(settings: dict[str, Any], document: dict[str, Any], text: str) -> None:
    if settings["output"] == "json":
        show_json(document)
    else:
        show(text)
