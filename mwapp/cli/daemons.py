"""mwapp master, mwapp worker, mwapp release."""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from mwapp import release as release_session
from mwapp.cli.options import F, common, host_name, option, parsed
from mwapp.core.election import Election
from mwapp.core.master import MAX_ATTEMPTS, Master
from mwapp.core.session import Part, Process
from mwapp.core.worker import DRAIN_SECONDS, Worker
from mwapp.daemon import Build, Daemon, Settings
from mwapp.errors import BadInputError
from mwapp.servers import parse_address, show


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


@click.command()
@_daemon("0.0.0.0:2223")
@option(
    "--max-attempts",
    type=click.IntRange(min=1),
    default=MAX_ATTEMPTS,
    help="A task whose worker died so many times is given up as failed.",
)
def master(max_attempts: int, **settings: Any) -> None:
    """Run a master: assign tasks to workers, as long as it holds the office.

    Start two or more. One is active, the others stand by and take over when it is gone: at once when it
    is stopped, within milliseconds when it is killed and `mwapp release` is run after it, as its systemd
    unit does, and after the session time-out when its host dies.

    \b
    Try it on one machine with an ensemble on localhost:
      mwapp master --name a --listen 127.0.0.1:2223 &
      mwapp master --name b --listen 127.0.0.1:3223 &
      mwapp worker &
      mwapp submit --wait 'echo hello'
      mwapp status
    """

    def build(process: Process, address: str) -> Part:
        duty = Master(process, max_attempts=max_attempts)
        election = Election(process, settings["name"], address, duty)
        duty.fenced = election.fenced
        return election

    _run("master", settings, build)


@click.command()
@_daemon("0.0.0.0:2224")
@option("--slots", type=click.IntRange(1, 1000), default=1, help="How many tasks it runs at once.")
@option(
    "--drain",
    type=click.FloatRange(min=0),
    default=DRAIN_SECONDS,
    metavar="SECONDS",
    help="How long a graceful stop waits for running tasks; then they are killed and moved elsewhere.",
)
def worker(slots: int, drain: float, **settings: Any) -> None:
    """Run a worker: take the tasks the master assigns to it, run each by /bin/sh.

    A task's environment tells it who runs it: MWAPP_TASK, MWAPP_WORKER, MWAPP_INCARNATION, and with
    MWAPP_EPOCH and MWAPP_ATTEMPT which run this is. A task may run more than once when workers die, one
    run at a time as far as the ensemble can tell, so what it does outside should bear being done again.

    SIGTERM drains: nothing new is taken, what runs may finish (--drain). A second SIGINT kills at once.
    """

    def build(process: Process, address: str) -> Part:
        return Worker(process, settings["name"], address, slots=slots, drain=drain)

    _run("worker", settings, build)


@click.command()
@click.argument("directory", type=click.Path(file_okay=False))
def release(directory: str) -> None:
    """End the session a killed master or worker left behind; DIRECTORY is its --state-dir.

    Its office or its tasks pass on at once instead of after the session time-out. Only when the process
    is dead! Faster, for a unit's ExecStopPost: python -I -m mwapp.release DIRECTORY.
    """
    sys.exit(release_session.release(directory))
