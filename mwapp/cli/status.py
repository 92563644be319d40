"""mwapp status."""

import os
import signal
import sys
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NoReturn

import click

from mwapp.cli.keys import Keys
from mwapp.cli.options import Number, client, option
from mwapp.cli.output import age, bold, plain, show_json, table, width, yellow
from mwapp.cli.session import Target, look, target_of
from mwapp.cli.streams import lost, show
from mwapp.cli.tasks import worker_document
from mwapp.core.limits import LIMITS
from mwapp.errors import OK, UNWRITTEN, UnreachableError
from mwapp.status.health import MasterStatus, System, TableStatus, TasksView, since
from mwapp.status.overview import TaskView, WorkerView, read_master, read_workers
from mwapp.status.probes import ask_master, ask_servers, read_tasks_view
from mwapp.zookeeper.connect_string import Servers

# How many workers and standby masters fit on a screen. In a system of nodes every other node is a standby.
MOST_WORKERS = 12
MOST_STANDBYS = 3
MOST_TABLES = 8
WATCH_SECONDS, LONGEST_WATCH = 2.0, 86400.0
# How long until an outage is shown, seconds.
WATCH_CONNECT_SECONDS = 3.0


@click.command()
@option(
    "--watch",
    is_flag=False,
    flag_value=WATCH_SECONDS,
    type=Number(min=0.1, max=LONGEST_WATCH),
    metavar="[SECONDS]",
    help=f"Refresh every SECONDS (default {WATCH_SECONDS:g}) until q or ^C.",
)
@option(
    "--status-ca",
    metavar="FILE",
    help="The CA certificates (PEM) that verify the master's status endpoint, if it speaks HTTPS "
    "(mwapp master --listen-cert).",
)
@client
def status(watch: float | None, status_ca: str | None, **settings: Any) -> None:
    """Show the whole system on one screen, with warnings.

    MEAN MS and WORST MS are a server's mean and longest request latency since it started. Exit status 3
    if the ensemble does not answer; its servers are still shown.

    \b
    Examples:
      mwapp status
      mwapp status --watch
      mwapp status --output json --watch 10     # one JSON document per line
    """
    target, as_json = (
        target_of(settings, WATCH_CONNECT_SECONDS if watch else None),
        settings["output"] == "json",
    )
    if watch is not None:
        _watch(target, watch, status_ca, as_json=as_json)
        return
    system, problem = _see(target, None, status_ca)
    if as_json:
        show_json(_document(system))
    else:
        show("\n".join(_screen(system, target.connect)))
    if problem is not None:
        raise problem


def _watch(target: Target, seconds: float, status_ca: str | None, *, as_json: bool) -> None:
    tasks = None
    keys = Keys()
    signal.signal(signal.SIGINT, lambda *_: _leave(keys))
    try:
        while True:
            next_look = time.monotonic() + seconds
            system, _ = _see(target, tasks, status_ca)
            tasks = system.tasks or tasks
            if as_json:
                read = show_json(_document(system), indent=None)
            else:
                read = _draw(_screen(system, target.connect))
            if not read or keys.pressed("q", next_look - time.monotonic()):
                _leave(keys)
    finally:  # SIGTERM, say
        keys.close()


def _leave(keys: Keys) -> NoReturn:
    """Leave at once, whatever we wait for: a session that only reads need not be closed."""
    keys.close()
    if width() is not None:
        os.write(sys.stdout.fileno(), b"\n")  # start a new line for the shell's prompt
    os._exit(UNWRITTEN if lost() else OK)


def _draw(lines: list[str]) -> bool:
    """Draw over the previous screen, so that nothing flickers; without a terminal print one after the other.
    Returns whether somebody reads it."""
    if width() is None:
        return show("\n".join([*lines, ""]))
    return show("\x1b[H" + "".join(f"{line}\x1b[K\n" for line in lines) + "\x1b[J", end="")


def _see(
    target: Target, before: TasksView | None, status_ca: str | None
) -> tuple[System, UnreachableError | None]:
    servers = ask_servers(target.connect)
    tls = target.connect.tls
    certificate = tls.ending() if tls else None
    try:
        master, workers, tasks = look(
            target, read_master, read_workers, lambda scope, then: read_tasks_view(scope, before, then)
        )
    except UnreachableError as problem:
        return System(
            servers,
            problem="the ensemble does not answer: it needs a majority of its servers",
            certificate=certificate,
        ), problem
    status = ask_master(master.address, status_ca) if master.address else MasterStatus()
    return System(servers, master, status, workers, tasks, certificate=certificate), None


# ---------------------------------------------------------------- for programs


def _document(system: System) -> dict[str, Any]:
    master, tasks = system.master, system.tasks
    return {
        "servers": [asdict(server) for server in system.servers],
        "master": master
        and {
            "name": master.name,
            "address": master.address,
            "epoch": master.epoch,
            "since": master.since,
            "state": system.master_status.state,
            "problem": system.master_status.problem,
            "deposed_of_late": system.master_status.deposed,
        },
        "standbys": master and master.standbys and [asdict(standby) for standby in master.standbys],
        "resting": dict(system.master_status.resting),
        "not_adopted": list(system.master_status.not_adopted),
        "workers": None if tasks is None else [worker_document(worker) for worker in system.workers],
        "tasks": tasks
        and {
            "total": tasks.total,
            "limit": LIMITS.max_tasks,
            "counts": None if tasks.counts is None else dict(tasks.counts),
            "failures": [_failure(task) for task in tasks.failures],
        },
        "tables": {name: asdict(table) for name, table in system.master_status.tables.items()},
        "warnings": system.warnings(),
    }


def _failure(task: TaskView) -> dict[str, Any]:
    outcome = task.outcome
    return {
        "task": task.task,
        "worker": task.worker,
        "code": outcome.code if outcome else None,
        "reason": outcome.reason if outcome else None,
        "command": task.command,
    }


# ---------------------------------------------------------------- for people


def _screen(system: System, connect: Servers) -> list[str]:
    clock = time.strftime("%H:%M:%S")
    room = (width() or 80) - len(clock) - 2
    title = str(connect) if len(str(connect)) <= room else str(connect)[: room - 3] + "..."
    blocks = [[bold(title) + " " * (room - len(title) + 2) + clock], _servers(system)]
    if system.master is not None and system.tasks is not None:
        blocks += [_master(system), _workers(system.workers), _tasks(system.tasks)]
        if system.master_status.tables:
            blocks.append(_tables(system.master_status.tables))
    warnings = system.warnings()
    if warnings:
        blocks.append([line for warning in warnings for line in _warning(warning)])
    return "\n\n".join("\n".join(block) for block in blocks).splitlines()


# Align the tables.
_FIRST, _SECOND = 17, 9


def _servers(system: System) -> list[str]:
    rows = [
        (
            *(it.address, it.mode or "no answer", it.version),
            *(None if it.mean_ms is None else round(it.mean_ms, 1), it.worst_ms, it.clients),
        )
        for it in system.servers
    ]
    head = ("SERVER", "ROLE", "VERSION", "MEAN MS", "WORST MS", "CLIENTS")
    return table(head, rows, (_FIRST, _SECOND))


def _master(system: System) -> list[str]:
    master = system.master
    if master is None or master.address is None:
        row: tuple[object, ...] = ("(vacant)", None, master and master.epoch, None, None)
    else:
        held = since(master.since)
        state = system.master_status.state or "unknown"
        row = (master.name, state, master.epoch, None if held is None else age(held), master.address)
    standbys = (master and master.standbys) or ()
    rows = [
        (it.name, "standby", None, age(since(it.since) or 0.0), it.address) for it in standbys[:MOST_STANDBYS]
    ]
    lines = table(("MASTER", "STATE", "EPOCH", "SINCE", "ADDRESS"), [row, *rows], (_FIRST, _SECOND, 7))
    if len(standbys) > MOST_STANDBYS:
        lines.append(f"... and {len(standbys) - MOST_STANDBYS} more, standby")
    return lines


def _workers(workers: Sequence[WorkerView]) -> list[str]:
    # If not all can be shown, show those with problems first.
    chosen = workers
    if len(workers) > MOST_WORKERS:
        chosen = sorted(workers, key=lambda it: it.state == "ready")[:MOST_WORKERS]
    rows = [
        (
            *(it.worker, it.state, f"{len(it.tasks)}/{it.slots if it.slots is not None else '-'}"),
            *(" ".join(it.labels), it.address),
        )
        for it in chosen
    ]
    lines = table(("WORKER", "STATE", "TASKS", "LABELS", "ADDRESS"), rows, (_FIRST, _SECOND, 7))
    if len(chosen) < len(workers):
        lines.append(f"... and {len(workers) - len(chosen)} more, ready (mwapp workers)")
    return lines if workers else [*lines, "(none)"]


def _tables(tables: Mapping[str, TableStatus]) -> list[str]:
    chosen = sorted(tables.items(), key=lambda it: (it[1].warning(it[0]) is None, it[0]))[:MOST_TABLES]
    rows = [
        (name, it.shards, it.without_primary, it.failed, it.under_replicated, it.moving)
        for name, it in chosen
    ]
    head = ("SHARD TABLE", "SHARDS", "VACANT", "FAILED", "FEWER", "MOVING")
    lines = table(head, rows, (_FIRST, _SECOND))
    if len(chosen) < len(tables):
        lines.append(f"... and {len(tables) - len(chosen)} more (mwapp shards list)")
    return lines


def _tasks(tasks: TasksView) -> list[str]:
    counts = tasks.counts or {}
    head = ["TASKS", *(state.upper() for state in counts)]
    lines = table(head, [[f"{tasks.total} of {LIMITS.max_tasks}", *counts.values()]], (_FIRST,))
    return [*lines, *_failures(tasks.failures)]


def _failures(failures: Sequence[TaskView]) -> Iterator[str]:
    if failures:
        yield ""
        now = time.time()
        rows = []
        for task in failures:
            code = task.outcome.code if task.outcome else None
            why = task.outcome.reason if task.outcome and task.outcome.reason else task.command
            rows.append((task.task, task.worker, code, age(now - task.created), why))
        yield from table(
            ("NEWEST FAILURES", "WORKER", "CODE", "AGE", "COMMAND OR REASON"), rows, (_FIRST, _SECOND)
        )


def _warning(text: str) -> list[str]:
    lines = textwrap.wrap(
        plain(text), (width() or 80) - 1, initial_indent="! ", subsequent_indent="  ", break_on_hyphens=False
    )
    return [yellow(line) for line in lines]
