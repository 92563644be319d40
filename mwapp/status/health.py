"""The whole system at a glance: servers, master, workers, tasks, and warnings."""

import http.client
import json
import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from mwapp.core.limits import LIMITS
from mwapp.core.messages import Stat
from mwapp.core.protocol import CANCELLED, DONE, FAILED, REQUESTS
from mwapp.core.session import Scope
from mwapp.errors import BadInputError
from mwapp.status.overview import (
    ASSIGNED,
    QUEUED,
    MasterView,
    TaskView,
    WorkerView,
    read_names,
    read_states,
    read_tasks,
)
from mwapp.zookeeper.connect_string import Servers, parse_address, show

# How long to wait for a server or an endpoint, seconds.
PROBE_SECONDS = 1.0
# Above this many tasks we do not count their states one by one.
MOST_COUNTED = 20_000
# How many failures to show, and of how many queued tasks to check the labels.
FAILURES = 3
MOST_WAITING = 500
# States of workers that are not present.
ABSENT = ("gone", "persistent")


@dataclass(frozen=True, slots=True)
class ServerView:
    """What a server of the ensemble says of itself."""

    address: str
    mode: str | None = None  # leader, follower, observer, standalone
    version: str | None = None
    mean_ms: float | None = None  # mean latency of its requests since it started
    worst_ms: int | None = None  # ... and the longest
    clients: int | None = None  # connections
    problem: str | None = None  # why it says nothing


@dataclass(frozen=True, slots=True)
class TasksView:
    """The tasks as a whole."""

    total: int = 0
    counts: Mapping[str, int] | None = None  # by state; None: too many to count
    failures: Sequence[TaskView] = ()  # the newest, newest first
    waiting: Sequence[TaskView] = ()  # the oldest queued ones
    states: Mapping[str, str] = field(default_factory=dict)  # of those that have ended
    requests: int | None = None  # how many there ever were to run one again; None: some are open


@dataclass(frozen=True, slots=True)
class MasterStatus:
    """What the active master's endpoint says."""

    state: str | None = None
    problem: str | None = None  # why it says nothing
    resting: Mapping[str, float] = field(default_factory=dict)  # workers whose runs fail: seconds left
    deposed: int = 0  # silent masters that standbys have replaced of late


@dataclass(frozen=True, slots=True)
class System:
    """Everything at one moment. Without a quorum only the servers are known, and ``problem`` says why."""

    servers: Sequence[ServerView]
    master: MasterView | None = None
    master_status: MasterStatus = MasterStatus()
    workers: Sequence[WorkerView] = ()
    tasks: TasksView | None = None
    problem: str | None = None
    certificate: str | None = None  # that ours ends soon

    def warnings(self) -> list[str]:
        """Each names the problem and its remedy."""
        return list(self._warnings())

    def _warnings(self) -> Iterator[str]:
        if self.problem:
            yield self.problem
        if self.certificate:
            yield self.certificate
        for server in self.servers:
            if server.problem:
                yield f"server {server.address} does not answer: {server.problem}"
        if self.master is None or self.tasks is None:
            return
        ready = [worker for worker in self.workers if worker.state == "ready"]
        paused = [worker for worker in self.workers if worker.state == "paused"]
        if self.master.address is None:
            yield "no master is active, so no task is assigned: start two (mwapp master, or mwapp node)"
        elif self.master.persistent:
            yield "/master was created by hand and is not ephemeral, so nobody can be elected: delete it"
        elif self.master_status.problem:
            yield f"the master's status endpoint {self.master.address}: {self.master_status.problem}"
        if self.master_status.deposed:
            yield (
                "a standby took over from a master that stood still or was cut off "
                f"({self.master_status.deposed} of late): look at the masters' hosts and logs"
            )
        if self._no_standby and not (paused and not ready):
            yield (
                "no master stands by: if the active one is lost, no task is assigned until it is back; "
                "start another (mwapp master, or mwapp node)"
            )
        for worker in self.workers:
            if worker.state == "persistent":
                yield f"/workers/{worker.worker} was created by hand and is not ephemeral: delete it"
        for name, seconds in sorted(self.master_status.resting.items()):
            yield (
                f"{name} gets no task for {max(1, round(seconds))} s: its last runs all failed, those of "
                "others do not. Look at its host, and at its failures (mwapp tasks --state failed)"
            )
        if not ready and paused:
            yield (
                f"{paused[0].worker} is the master, and there is no other node to run tasks: "
                "start one (mwapp node)"
            )
        elif not ready:
            yield "no worker accepts tasks: start one (mwapp worker)"
        if self.tasks.total >= 0.9 * LIMITS.max_tasks:
            yield (
                f"there are {self.tasks.total} tasks; at {LIMITS.max_tasks} clients submit no more: "
                "remove finished tasks sooner (mwapp master --retention, --keep)"
            )
        for labels, count in sorted(Counter(map(_labels, self._unschedulable())).items()):
            yield f"{count} queued: {no_worker(labels)}"

    @property
    def _no_standby(self) -> bool:
        master = self.master
        return (
            master is not None
            and bool(master.address)
            and not master.persistent
            and master.standbys is not None
            and not master.standbys
        )

    def _unschedulable(self) -> Iterator[TaskView]:
        return (task for task in (self.tasks or TasksView()).waiting if unschedulable(task, self.workers))


def _labels(task: TaskView) -> tuple[str, ...]:
    return task.labels


def unschedulable(task: TaskView, workers: Sequence[WorkerView]) -> bool:
    """Whether it waits for labels that no worker has."""
    return task.state == QUEUED and bool(task.labels) and not schedulable(task.labels, workers)


def schedulable(labels: Sequence[str], workers: Sequence[WorkerView]) -> bool:
    """Whether a worker has all of these labels."""
    return any(set(labels) <= set(worker.labels) for worker in workers if worker.state not in ABSENT)


def no_worker(labels: Sequence[str]) -> str:
    """What to do for a task that is unschedulable."""
    label = "label" if len(labels) == 1 else "labels"
    start = f"mwapp worker --label {' --label '.join(labels)}"
    return f"no worker has the {label} {' '.join(labels)}; start one ({start})"


# ---------------------------------------------------------------- reading


def read_tasks_view(scope: Scope, before: TasksView | None, then: Callable[[TasksView], None]) -> None:
    """The tasks as a whole. Final states that an earlier view told are not read again, unless somebody has
    asked since then for a task to run again."""

    def asked(stat: Stat | None) -> None:
        requests = None if stat is None or stat.children else stat.created
        same = before is not None and requests is not None and requests == before.requests
        _read_tasks_view(scope, before.states if before and same else {}, requests, then)

    scope.exists(REQUESTS, asked)


def _read_tasks_view(
    scope: Scope, known: Mapping[str, str], requests: int | None, then: Callable[[TasksView], None]
) -> None:

    def named(names: list[str]) -> None:
        if len(names) > MOST_COUNTED:  # why they wait, the oldest tell; what fails, the newest
            some = [*names[:MOST_WAITING], *names[-MOST_WAITING:]]
            read_states(scope, some, known, partial(counted, len(names)))
        else:
            read_states(scope, names, known, partial(counted, None))

    def counted(total: int | None, states: dict[str, str]) -> None:
        failures = [name for name, state in states.items() if state == FAILED][: -FAILURES - 1 : -1]
        waiting = [name for name, state in states.items() if state == QUEUED][:MOST_WAITING]
        none = dict.fromkeys((QUEUED, ASSIGNED, DONE, FAILED, CANCELLED), 0)
        counts = none | Counter(states.values())
        ended = {name: state for name, state in states.items() if state not in (QUEUED, ASSIGNED)}

        def read(views: list[TaskView]) -> None:
            found = {view.task: view for view in views}
            failed, queued = ([found[name] for name in some if name in found] for some in (failures, waiting))
            if total is None:
                then(TasksView(len(states), counts, failed, queued, ended, requests))
            else:
                then(TasksView(total, None, failed, queued, ended, requests))

        read_tasks(scope, [*failures, *waiting], read)

    read_names(scope, named)


def ask_servers(servers: Servers) -> list[ServerView]:
    """What the servers say of themselves (their four-letter word srvr)."""
    connect = servers.tls.connect() if servers.tls else socket.create_connection
    with ThreadPoolExecutor(len(servers.addresses)) as pool:
        return list(pool.map(lambda address: _ask_server(address, connect), servers.addresses))


def _ask_server(address: tuple[str, int], connect: Callable[..., Any]) -> ServerView:
    name = show(address)
    try:
        with connect(address, PROBE_SECONDS) as connection:
            connection.sendall(b"srvr")
            text = b"".join(iter(lambda: connection.recv(4096), b"")).decode(errors="replace")
    except OSError as problem:
        return ServerView(name, problem=problem.strerror or str(problem))

    def find(pattern: str) -> str | None:
        found = re.search(pattern, text, re.M)
        return found[1] if found else None

    mode = find(r"^Mode: (\w+)")
    if mode is None:
        return ServerView(name, problem=text.strip().partition("\n")[0] or "no answer")
    mean, worst = find(r"^Latency.*: \d+/([\d.]+)/\d+"), find(r"^Latency.*/(\d+)")
    clients = find(r"^Connections: (\d+)")
    return ServerView(
        name,
        mode,
        find(r"version: ([\w.]+)"),
        float(mean) if mean else None,
        int(worst) if worst else None,
        int(clients) if clients else None,
    )


_NO_DOCUMENT = (ValueError, LookupError, TypeError, AttributeError)


def ask_master(address: str) -> MasterStatus:
    """Ask the endpoint of the active master."""
    try:
        host, port = parse_address(address, "/master")
        connection = http.client.HTTPConnection(host, port, timeout=PROBE_SECONDS)
        connection.request("GET", "/status")
        document: Any = json.loads(connection.getresponse().read(1 << 20))
        connection.close()
        part = document[document["role"]]
        master = part.get("master", part)
        resting = {str(name): float(seconds) for name, seconds in master.get("resting", {}).items()}
        return MasterStatus(str(master["state"]), None, resting, int(master.get("deposed_of_late", 0)))
    except OSError as problem:
        return MasterStatus(problem=problem.strerror or str(problem))
    except (http.client.HTTPException, BadInputError, *_NO_DOCUMENT) as problem:
        return MasterStatus(problem=f"no status ({type(problem).__name__})")


def since(moment: float | None) -> float | None:
    """Seconds since then; 0 if clocks differ."""
    return None if moment is None else max(0.0, time.time() - moment)
