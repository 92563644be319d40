"""mwapp master, mwapp worker, mwapp node, mwapp release."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mwapp import release as release_session
from mwapp.cli.options import F, common, host_name, option, parsed
from mwapp.core.election import Election
from mwapp.core.limits import LIMITS
from mwapp.core.master import MAX_ATTEMPTS, Master
from mwapp.core.node import PeerDuty
from mwapp.core.retention import RETENTION, Retention
from mwapp.core.session import Process
from mwapp.core.task import BadTaskError, check_label
from mwapp.core.worker import DRAIN_SECONDS, Worker
from mwapp.daemon import Build, Daemon, Described, Settings
from mwapp.errors import BadInputError
from mwapp.servers import parse_address, show

# A client that was cut off looks for its tasks when it is connected again, or has a new session: see
# mwapp/core/client.py. Until then, with a margin, they must not have been removed, seconds; and with many
# tasks a second not for their number, either.
LEAST_RETENTION = 60.0
LEAST_KEPT = 1000


def _name(value: str) -> str:
    # It becomes a znode's name: no "/", nothing a terminal would show otherwise than it is.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", value):
        raise BadInputError(f"--name: {value!r}: use letters, digits, dot, dash and underscore, at most 128")
    return value


def _listen(value: str) -> tuple[str, int]:
    return parse_address(value, "--listen")


def _advertise(value: str) -> str:
    return show(parse_address(value, "--advertise"))


def _daemon(listen: str) -> Callable[[F], F]:
    """The options of daemons."""

    def decorate(function: F) -> F:
        for one in reversed(
            (
                option(
                    "--name",
                    default=host_name,
                    callback=parsed(_name),
                    show_default="this host's name",
                    help="What it is called in the ensemble; unique among its kind.",
                ),
                common,
                option(
                    "--listen",
                    callback=parsed(_listen),
                    default=listen,
                    metavar="HOST:PORT",
                    help="Where to serve /health, /ready, /status and /metrics over HTTP.",
                ),
                option(
                    "--advertise",
                    callback=parsed(_advertise),
                    metavar="HOST:PORT",
                    help="That address as others reach it; its znode shows it. "
                    "Default: this host's name and the port of --listen.",
                ),
                option(
                    "--session-timeout",
                    type=click.FloatRange(min=0.1, max=3600),
                    default=6.0,
                    metavar="SECONDS",
                    help="How long the ensemble waits for a silent process before it counts as dead. "
                    "The ensemble bounds it (2 to 20 of its ticks).",
                ),
                option(
                    "--state-dir",
                    type=click.Path(file_okay=False, path_type=Path),
                    environment=("RUNTIME_DIRECTORY",),
                    metavar="DIR",
                    help="Where to keep the session for `mwapp release`, so that it can be ended at once "
                    "should this process be killed. One per process, for its user alone.",
                ),
            )
        ):
            function = one(function)
        return function

    return decorate


def _master_options(function: F) -> F:
    for decorate in reversed(
        (
            option(
                "--max-attempts",
                type=click.IntRange(min=1),
                default=MAX_ATTEMPTS,
                help="A task over which so many workers were lost is given up as failed.",
            ),
            option(
                "--retention",
                type=click.FloatRange(min=LEAST_RETENTION),
                default=RETENTION.seconds,
                metavar="SECONDS",
                help="How long a finished task stays to be looked at. Never less than "
                f"{LEAST_RETENTION:g}: a client whose connection was cut must still find the task it "
                "submitted, or it would submit it again.",
            ),
            option(
                "--keep",
                type=click.IntRange(LEAST_KEPT, LIMITS.max_tasks // 2),
                default=RETENTION.keep,
                metavar="TASKS",
                help="How many finished tasks stay at most; above that the oldest go sooner.",
            ),
        )
    ):
        function = decorate(function)
    return function


def _worker_options(function: F) -> F:
    for decorate in reversed(
        (
            option(
                "--slots", type=click.IntRange(1, 1000), default=1, help="How many tasks it runs at once."
            ),
            option(
                "--prefetch",
                type=click.IntRange(0, 1000),
                default=0,
                metavar="TASKS",
                help="How many more it takes to have them at hand: of use with very short tasks.",
            ),
            option(
                "--label",
                multiple=True,
                callback=_labels,
                metavar="LABEL",
                help="Tasks that ask for this label may run here. May be given several times.",
            ),
            option(
                "--drain",
                type=click.FloatRange(min=0),
                default=DRAIN_SECONDS,
                metavar="SECONDS",
                help="How long a graceful stop waits for running tasks; then they are killed and moved "
                "elsewhere.",
            ),
        )
    ):
        function = decorate(function)
    return function


def _labels(_ctx: click.Context, _param: click.Parameter, labels: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(sorted({check_label(label) for label in labels}))
    except BadTaskError as problem:
        raise BadInputError(f"--label: {problem}") from None


def _run(role: str, settings: dict[str, Any], build: Build) -> None:
    daemon = Daemon(
        Settings(
            role,
            settings["name"],
            settings["connect"],
            settings["session_timeout"],
            settings["listen"],
            settings["advertise"],
            settings["state_dir"],
        ),
        build,
    )
    sys.exit(daemon.run())


def _make_master(process: Process, settings: dict[str, Any]) -> Master:
    retention = Retention(settings["retention"], settings["keep"])
    return Master(process, max_attempts=settings["max_attempts"], retention=retention)


def _make_worker(process: Process, address: str, settings: dict[str, Any]) -> Worker:
    return Worker(
        process,
        settings["name"],
        address,
        slots=settings["slots"],
        prefetch=settings["prefetch"],
        labels=settings["label"],
        drain=settings["drain"],
    )


@click.command()
@_daemon("0.0.0.0:2223")
@_master_options
def master(**settings: Any) -> None:
    """Run a master: assign tasks to workers while it holds the office.

    Start two or more. One is active, the others stand by and take over when it is gone: at once when it
    is stopped, within milliseconds when it is killed and `mwapp release` is run after it, as its systemd
    unit does, and after the session time-out when its host dies.

    \b
    Examples: all on one machine, with an ensemble on localhost.
      mwapp master --name a --listen 127.0.0.1:2223 &
      mwapp master --name b --listen 127.0.0.1:3223 &
      mwapp worker &
      mwapp submit --wait 'echo hello'
      mwapp status
    """

    def build(process: Process, address: str) -> Described:
        duty = _make_master(process, settings)
        election = Election(process, settings["name"], address, duty)
        duty.fenced = election.fenced
        return election

    _run("master", settings, build)


@click.command()
@_daemon("0.0.0.0:2224")
@_worker_options
def worker(**settings: Any) -> None:
    """Run a worker: run the tasks that the master assigns to it.

    A task's environment tells it who runs it: MWAPP_TASK, MWAPP_WORKER, MWAPP_INCARNATION, and with
    MWAPP_EPOCH and MWAPP_ATTEMPT which run this is. A task may run more than once when workers die, one
    run at a time as far as the ensemble can tell, so what it does outside should bear being done again.

    SIGTERM drains: nothing new is taken, what runs may finish (--drain). A second SIGINT kills at once.

    \b
    Examples:
      mwapp worker --connect zk1:2181,zk2:2181,zk3:2181 --slots 4
      mwapp worker --label gpu --label zone=a
    """
    _run("worker", settings, lambda process, address: _make_worker(process, address, settings))


@click.command()
@_daemon("0.0.0.0:2223")
@_master_options
@_worker_options
def node(**settings: Any) -> None:
    """Run a node: an equal peer, worker or master as it comes.

    Start two or more, all alike: one of them is elected master. That one takes no new tasks, hands back
    those it has not begun, and finishes what it runs; when it is gone the others elect one of themselves.
    A node alone would be master and run nothing. Dedicated workers may stand beside nodes.

    SIGTERM hands the office on and drains, as with a worker.

    \b
    Examples: three nodes on one machine.
      mwapp node --name a --listen 127.0.0.1:2223 &
      mwapp node --name b --listen 127.0.0.1:3223 &
      mwapp node --name c --listen 127.0.0.1:4223 --slots 4 &
      mwapp workers
    """

    def build(process: Process, address: str) -> Described:
        duty = _make_master(process, settings)
        its_worker = _make_worker(process, address, settings)
        election = Election(process, settings["name"], address, PeerDuty(duty, its_worker))
        duty.fenced = election.fenced
        return Peer(election, its_worker)

    _run("node", settings, build)


class Peer:
    """What a node says of itself: that it is the master, or else how its worker is."""

    def __init__(self, election: Election, worker: Worker) -> None:
        self._election, self._worker = election, worker

    def status(self) -> dict[str, Any]:
        """``state`` is ``active`` for the master; ``master`` and ``worker`` are what those roles say."""
        master, worker = self._election.status(), self._worker.status()
        state = "active" if master["state"] == "active" else worker["state"]
        return {"state": state, "epoch": master["epoch"], "master": master, "worker": worker}


@click.command()
@click.argument("directory", type=click.Path(file_okay=False))
def release(directory: str) -> None:
    """End the session that a killed daemon left in DIRECTORY.

    DIRECTORY is its --state-dir.
    Its office or its tasks pass on at once instead of after the session time-out. Only when the process
    is dead! Faster, for a unit's ExecStopPost: python -I -m mwapp.release DIRECTORY.

    \b
    Example:
      mwapp release /run/mwapp-master
    """
    sys.exit(release_session.release(directory))
