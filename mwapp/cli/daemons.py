"""mwapp master, mwapp worker, mwapp node, mwapp release."""

import math
import re
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mwapp import release as release_session
from mwapp.cli.options import F, Number, common, host_name, option, parsed, servers_of, tls
from mwapp.core.election import Election
from mwapp.core.limits import LIMITS
from mwapp.core.master import MAX_ATTEMPTS, Master
from mwapp.core.node import PeerDuty
from mwapp.core.retention import RETENTION, Retention
from mwapp.core.session import Process
from mwapp.core.shards.controller import Controller
from mwapp.core.shards.duty import Both
from mwapp.core.shards.holder import Holder
from mwapp.core.suspicion import LEAST_SILENCE, NEVER, PATIENCE, Patience
from mwapp.core.task import BadTaskError, check_label
from mwapp.core.worker import DRAIN_SECONDS, Worker
from mwapp.errors import BadInputError
from mwapp.execution.control_groups import ResourceLimits, open_groups, parse_memory
from mwapp.execution.cpus import usable_cpus
from mwapp.execution.environment import may_be_given
from mwapp.execution.privileges import find_user
from mwapp.zookeeper.connect_string import Servers, parse_address, show

if TYPE_CHECKING:
    from mwapp.certificates import Serving
    from mwapp.daemon.service import Build, Described
    from mwapp.loop import MakeRunner

# A client that was cut off looks for its tasks when it is connected again, or has a new session: see
# mwapp/core/client.py. Until then, with a margin, nothing may remove them: not their age (seconds), and not
# their number if there are many tasks a second.
LEAST_RETENTION = 60.0
LEAST_KEPT = 1000
# The kernel gives no less CPU time than this.
LEAST_CPU, MOST_CPU = 0.01, 10_000.0


def _name(value: str) -> str:
    # It becomes a znode's name: no "/", and nothing that a terminal shows differently.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", value):
        raise BadInputError(f"--name: {value!r}: use letters, digits, dot, dash and underscore, at most 128")
    return value


def _listen(value: str) -> tuple[str, int]:
    return parse_address(value, "--listen")


def _advertise(value: str) -> str:
    return show(parse_address(value, "--advertise"))


def _depose_after(_ctx: click.Context, _param: click.Parameter, seconds: float) -> Patience:
    if seconds == 0:
        return NEVER
    if not LEAST_SILENCE <= seconds < math.inf:
        raise BadInputError(
            f"--depose-after: {seconds:g}: use {LEAST_SILENCE:g} or more seconds, or 0 for never"
        )
    return replace(PATIENCE, silence=seconds)


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
                    help="Its name in the ensemble. Must be unique among masters, or among workers.",
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
                    "--listen-cert",
                    metavar="FILE",
                    help="Serve them over HTTPS only: the certificate (PEM) for the host of --advertise, and "
                    "its key unless --listen-key has it. Clients need no certificate.",
                ),
                option("--listen-key", metavar="FILE", help="With --listen-cert: its key (PEM)."),
                option(
                    "--advertise",
                    callback=parsed(_advertise),
                    metavar="HOST:PORT",
                    help="The address to publish in the ensemble, as others reach it. "
                    "Default: this host's name and the port of --listen.",
                ),
                option(
                    "--session-timeout",
                    type=Number(min=0.1, max=3600),
                    default=6.0,
                    metavar="SECONDS",
                    help="The ensemble declares a silent process dead after this long. "
                    "The servers change a value outside minSessionTimeout and maxSessionTimeout without a "
                    "word (role: 2 to 120 s).",
                ),
                option(
                    "--state-dir",
                    type=click.Path(file_okay=False, path_type=Path),
                    environment=("RUNTIME_DIRECTORY",),
                    metavar="DIR",
                    help="Where to store the session for `mwapp release`, which ends it at once if this "
                    "process is killed. Each process needs a directory of its own.",
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
                help="Fail a task after this many workers died while running it.",
            ),
            option(
                "--max-per-submitter",
                type=click.IntRange(0, LIMITS.max_tasks),
                default=0,
                metavar="TASKS",
                help="Fail a new task if its submitter already has this many unfinished tasks. 0: no limit.",
            ),
            option(
                "--adopt/--no-adopt",
                key="adopt",
                default=False,
                help="Whether a worker that a person made by hand (create -e /workers/NAME) gets tasks, or "
                "only those that have registered.",
            ),
            option(
                "--retention",
                type=Number(min=LEAST_RETENTION),
                default=RETENTION.seconds,
                metavar="SECONDS",
                help="How long to keep finished tasks. At least "
                f"{LEAST_RETENTION:g}: a client that lost its connection must still find the task it "
                "submitted, or it would submit it again.",
            ),
            option(
                "--keep",
                type=click.IntRange(LEAST_KEPT, LIMITS.max_tasks // 2),
                default=RETENTION.keep,
                metavar="TASKS",
                help="How many finished tasks to keep at most. Beyond that the oldest are removed early.",
            ),
            option(
                "--depose-after",
                type=float,
                callback=_depose_after,
                default=PATIENCE.silence,
                metavar="SECONDS",
                help="As a standby, replace an active master that the ensemble has not heard of for this "
                f"long, at least {LEAST_SILENCE:g}. 0: never; and the active master is not replaced before "
                "its session ends.",
            ),
        )
    ):
        function = decorate(function)
    return function


def _worker_options(function: F) -> F:
    for decorate in reversed(
        (
            option(
                "--slots",
                type=click.IntRange(0, 1000),
                default=0,
                metavar="TASKS",
                help="How many tasks to run at once. 0: one for each CPU that this process may use, by its "
                "affinity, its control group's quota (CPUQuota=) and --worker-cpu.",
            ),
            option(
                "--prefetch",
                type=click.IntRange(0, 1000),
                default=400,
                metavar="TASKS",
                help="Maximum number of tasks to prefetch beyond the slots. A worker prefetches as many "
                "tasks as it finished in the last 0.2 s. If it finished none, it prefetches none.",
            ),
            option(
                "--label",
                multiple=True,
                callback=_labels,
                metavar="LABEL",
                help="Accept tasks that require this label. May be given several times.",
            ),
            option(
                "--drain",
                type=Number(min=0),
                default=DRAIN_SECONDS,
                metavar="SECONDS",
                help="How long a graceful stop waits for running tasks. Tasks still running then are killed "
                "and run again on another worker.",
            ),
            option(
                "--task-user",
                metavar="USER",
                help="Run tasks as this user, not as the worker's: they can then neither read the worker's "
                "session, configuration or memory nor stop it. The worker has to be started as root, or with "
                "AmbientCapabilities=CAP_SETUID CAP_SETGID.",
            ),
            option(
                "--task-network/--no-task-network",
                key="task_network",
                default=True,
                help="Whether tasks and handlers may use the network. If not, the kernel refuses them every "
                "socket but Unix sockets, and setuid programs do not give them rights. It needs --task-user.",
            ),
            option(
                "--env",
                multiple=True,
                callback=_environment,
                metavar="NAME=VALUE",
                help="Set an environment variable for all tasks and handlers of shards, not for the worker "
                "itself. May be given several times.",
            ),
            *_limits("--task-", "each task"),
            *_limits("--worker-", "all tasks of this worker together"),
        )
    ):
        function = decorate(function)
    return function


def _limits(prefix: str, whose: str) -> list[Callable[[F], F]]:
    """The options for limits."""
    return [
        option(
            f"{prefix}memory",
            callback=parsed(lambda value: parse_memory(value, f"{prefix}memory")),
            metavar="SIZE",
            help=f"How much memory {whose} may use, such as 500M or 2G. A task that needs more is killed and "
            "fails. As with all limits, systemd must have delegated a control group to this process.",
        ),
        option(
            f"{prefix}cpu",
            type=Number(min=LEAST_CPU, max=MOST_CPU),
            metavar="CPUS",
            help=f"How many CPUs {whose} may use, such as 0.5.",
        ),
        option(
            f"{prefix}pids",
            type=click.IntRange(min=1),
            metavar="NUMBER",
            help=f"How many processes and threads {whose} may have.",
        ),
    ]


def _labels(_ctx: click.Context, _param: click.Parameter, labels: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(sorted({check_label(label) for label in labels}))
    except BadTaskError as problem:
        raise BadInputError(f"--label: {problem}") from None


def _environment(_ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not equals or not may_be_given(name, value):
            raise BadInputError(
                f"--env: {name!r} cannot be set: use NAME=VALUE without control characters, and none of "
                "mwapp's own names (MWAPP_...), of systemd's, and of those that programs start with (PATH, "
                "HOME, LD_..., PYTHON...)"
            )
        found[name] = value
    return found


def _run(role: str, settings: dict[str, Any], build: "Build") -> None:
    import mwapp.execution.runner  # noqa: F401 - not only at the first task
    from mwapp.daemon.service import Daemon, Settings  # here, because its imports take long

    make_runner = None if role == "master" else _runner(settings)  # before there are threads
    daemon = Daemon(
        Settings(
            role,
            settings["name"],
            servers_of(settings),
            settings["session_timeout"],
            settings["listen"],
            settings["advertise"],
            settings["state_dir"],
            _listen_tls(settings),
        ),
        build,
        make_runner,
    )
    sys.exit(daemon.run())


def _listen_tls(settings: dict[str, Any]) -> "Serving | None":
    cert, key = settings["listen_cert"] or None, settings["listen_key"] or None
    if cert is None:
        if key is not None:
            raise BadInputError("--listen-cert: missing beside --listen-key: give the key's certificate")
        return None
    from mwapp.certificates import Names, serving  # seldom needed

    return serving(cert, key, Names(cert="--listen-cert", key="--listen-key"))


def _runner(settings: dict[str, Any]) -> "MakeRunner":
    """How a worker or node runs its tasks."""
    from mwapp.execution.remote import RemoteRunner
    from mwapp.execution.runner import Runner

    user = None if not settings["task_user"] else find_user(settings["task_user"], "--task-user")
    if user is None and not settings["task_network"]:
        raise BadInputError(
            "--no-task-network (task_network = false): tasks run as the worker's own user, which needs the "
            "network: set --task-user, to mwapp-task for example, or leave this out"
        )
    groups = open_groups(_limits_of(settings, "task"), _limits_of(settings, "worker"), user)
    given = settings["env"]
    if user is None:
        return lambda post: Runner(post, control_groups=groups, given=given)
    log_as = settings["log_level"], settings["log_format"]
    return RemoteRunner(user, groups, *log_as, given=given, network=settings["task_network"]).begin


def _limits_of(settings: dict[str, Any], whose: str) -> ResourceLimits:
    return ResourceLimits(*(settings[f"{whose}_{name}"] for name in ("memory", "cpu", "pids")))


def _make_master(process: Process, settings: dict[str, Any]) -> Master:
    retention = Retention(settings["retention"], settings["keep"])
    return Master(
        process,
        wall=time.time,
        max_attempts=settings["max_attempts"],
        max_per_submitter=settings["max_per_submitter"],
        retention=retention,
        adopts=settings["adopt"],
    )


def _make_worker(process: Process, address: str, settings: dict[str, Any]) -> Worker:
    return Worker(
        process,
        settings["name"],
        address,
        slots=settings["slots"] or usable_cpus(settings["worker_cpu"]),
        prefetch=settings["prefetch"],
        labels=settings["label"],
        drain=settings["drain"],
    )


def _make_holder(process: Process, settings: dict[str, Any]) -> Holder:
    """What a worker has of shards; made after the worker, which it belongs to."""
    return Holder(process, settings["name"], labels=settings["label"], drain=settings["drain"])


@click.command()
@_daemon("0.0.0.0:2223")
@_master_options
def master(**settings: Any) -> None:
    """Run a master: the active one assigns tasks to workers.

    Start two or more: one is active, the others stand by. If the active one is stopped, a standby takes
    over at once. If it is killed, a standby takes over within milliseconds, provided that `mwapp release`
    runs afterwards, as it does in the systemd unit. If its host dies, is cut off or stands still, a standby
    takes over within a second (--depose-after).

    \b
    Examples: all on one machine, with an ensemble on localhost.
      mwapp master --name a --listen 127.0.0.1:2223 &
      mwapp master --name b --listen 127.0.0.1:3223 &
      mwapp worker &
      mwapp submit --wait 'echo hello'
      mwapp status
    """

    def build(process: Process, address: str) -> "Described":
        duty = Both(_make_master(process, settings), Controller(process, wall=time.time))
        return Election(process, settings["name"], address, duty, settings["depose_after"])

    _run("master", settings, build)


@click.command()
@_daemon("0.0.0.0:2224")
@_worker_options
def worker(**settings: Any) -> None:
    """Run a worker: it runs the tasks that the master assigns to it.

    A task finds in its environment which run it is: MWAPP_TASK, MWAPP_WORKER, MWAPP_INCARNATION,
    MWAPP_EPOCH and MWAPP_ATTEMPT. If workers die, a task may run more than once, one run at a time as far
    as the ensemble can tell. So make its external effects safe to repeat.

    SIGTERM drains the worker: it takes no new tasks and lets running tasks finish (--drain). A second
    SIGINT kills them at once.

    \b
    Examples:
      mwapp worker --connect zk1:2181,zk2:2181,zk3:2181 --slots 1
      mwapp worker --label gpu --label zone=a
    """

    def build(process: Process, address: str) -> "Described":
        its_worker = _make_worker(process, address, settings)
        return WorkerWithShards(its_worker, _make_holder(process, settings))

    _run("worker", settings, build)


@click.command()
@_daemon("0.0.0.0:2223")
@_master_options
@_worker_options
def node(**settings: Any) -> None:
    """Run a node: an equal peer that is either master or worker.

    Start two or more with the same options. They elect one of themselves as the master. The master takes
    no new tasks, hands back tasks it has not begun, and finishes tasks it is running. If it is lost, the
    others elect a new master. A single node is the master and runs nothing. You can add dedicated workers.

    SIGTERM hands leadership to another node and drains this one, as with a worker.

    \b
    Examples: three nodes on one machine.
      mwapp node --name a --listen 127.0.0.1:2223 &
      mwapp node --name b --listen 127.0.0.1:3223 &
      mwapp node --name c --listen 127.0.0.1:4223 --slots 4 &
      mwapp workers
    """

    def build(process: Process, address: str) -> "Described":
        duty = _make_master(process, settings)
        its_worker = _make_worker(process, address, settings)
        holder = _make_holder(process, settings)
        both = Both(PeerDuty(duty, its_worker), Controller(process, wall=time.time))
        election = Election(process, settings["name"], address, both, settings["depose_after"])
        return Peer(election, WorkerWithShards(its_worker, holder))

    _run("node", settings, build)


class WorkerWithShards:
    """What a worker says of itself, and of the shards that it has."""

    def __init__(self, its_worker: Worker, holder: Holder) -> None:
        self._worker, self._holder = its_worker, holder

    def status(self) -> dict[str, Any]:
        """The worker's, and ``shards``."""
        return self._worker.status() | {"shards": self._holder.status()}


class Peer:
    """What a node says of itself: that it is the master, or else its worker's state."""

    def __init__(self, election: Election, worker: WorkerWithShards) -> None:
        self._election, self._worker = election, worker

    def status(self) -> dict[str, Any]:
        """``state`` is ``active`` for the master; ``master`` and ``worker`` are what those roles say."""
        master, worker = self._election.status(), self._worker.status()
        state = "active" if master["state"] == "active" else worker["state"]
        return {"state": state, "epoch": master["epoch"], "master": master, "worker": worker}


@click.command()
@click.argument("directory", type=click.Path(file_okay=False))
@tls
def release(directory: str, **settings: Any) -> None:
    """End the session of a daemon that was killed.

    DIRECTORY is the daemon's --state-dir. Its leadership or its tasks move to others at once instead of
    after the session time-out. Run this only if the process is dead. Faster, for ExecStopPost in a
    systemd unit: python -I -m mwapp.release DIRECTORY.

    \b
    Example:
      mwapp release /run/mwapp-master
    """
    servers = servers_of({"connect": Servers(()), **settings})
    if servers.tls is None:
        sys.exit(release_session.release(directory))
    sys.exit(release_session.release(directory, servers.tls.connect()))
