"""The whole system at a glance: servers, master, workers, tasks, and warnings."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mwapp.core.limits import LIMITS
from mwapp.core.shards.protocol import remedy
from mwapp.status.overview import QUEUED, MasterView, TaskView, WorkerView

# The states of workers that have registered and take no task, and what they say.
BUSY = {"paused": "the master", "draining": "draining"}
# So many of them are named.
MOST_NAMED = 3


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
class TableStatus:
    """What the master says of a table of shards."""

    shards: int = 0
    without_primary: int = 0  # no worker that lives owns them
    under_replicated: int = 0
    moving: int = 0
    problem: str | None = None  # what is wrong with its znodes
    failed: int = 0  # they have an owner, and its handler is not at work or a replica's has failed
    slow: int = 0  # a replica copies for long
    short: str | None = None  # what it asks for that its workers do not allow

    def warning(self, name: str) -> str | None:
        """What is wrong with it, and what to do."""
        look = f"(mwapp shards show {name})"
        if self.problem:
            return f"table {name} is faulty: {self.problem}; {remedy(name, self.problem)}"
        if self.without_primary:
            lacking = f"{self.without_primary} of {self.shards} shards have no owner"
            return f"table {name}: {lacking}: start workers, or see what becomes of them {look}"
        if self.failed:
            lacking = f"the handlers of {self.failed} of {self.shards} shards are not at work"
            return f"table {name}: {lacking}: the logs of their workers say why {look}"
        if self.slow:
            lacking = f"replicas of {self.slow} of {self.shards} shards have copied for more than 10 minutes"
            return f"table {name}: {lacking}: if that is too long, look at their workers {look}"
        if self.under_replicated:
            lacking = f"{self.under_replicated} of {self.shards} shards have fewer replicas than wanted"
            lacking += f" ({self.short})" if self.short else ""
            return f"table {name}: {lacking}: start workers, or wait until they have copied {look}"
        if self.short:
            mend = f"start workers that have it, or set /shards/{name} to what there is"
            return f"table {name}: {self.short}: {mend}"
        return None


@dataclass(frozen=True, slots=True)
class MasterStatus:
    """What the active master's endpoint says."""

    state: str | None = None
    problem: str | None = None  # why it says nothing
    resting: Mapping[str, float] = field(default_factory=dict)  # workers whose runs fail: seconds left
    not_adopted: Sequence[str] = ()  # workers that have not registered, and get no task
    deposed: int = 0  # silent masters that standbys have replaced of late
    tables: Mapping[str, TableStatus] = field(default_factory=dict)  # of shards


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
        yield from self._of_masters(self.master)
        yield from self._of_workers()
        yield from self._of_tables()
        yield from self._of_tasks(self.tasks)

    def _of_masters(self, master: MasterView) -> Iterator[str]:
        if master.address is None:
            yield "no master is active, so no task is assigned: start two (mwapp master, or mwapp node)"
        elif master.persistent:
            yield "/master was created by hand and is not ephemeral, so nobody can be elected: delete it"
        elif self.master_status.problem:
            yield f"the master's status endpoint {master.address}: {self.master_status.problem}"
        if self.master_status.deposed:
            yield (
                "a standby took over from a master that stood still or was cut off "
                f"({self.master_status.deposed} of late): look at the masters' hosts and logs"
            )
        if self._no_standby and not (self._are("paused") and not self._are("ready")):
            yield (
                "no master stands by: if the active one is lost, no task is assigned until it is back; "
                "start another (mwapp master, or mwapp node)"
            )

    def _of_workers(self) -> Iterator[str]:
        for worker in self.workers:
            if worker.state == "persistent":
                yield f"/workers/{worker.worker} was created by hand and is not ephemeral: delete it"
        for name in self.master_status.not_adopted:
            yield (
                f"{name} gets no task: /workers/{name} was made by hand. Delete it; or, if a person is to "
                "play a worker, let masters adopt it (mwapp master --adopt, mwapp_adopt)"
            )
        for name, seconds in sorted(self.master_status.resting.items()):
            yield (
                f"{name} gets no task for {max(1, round(seconds))} s: its last runs all failed, but other "
                "workers' runs succeed. Check its host and its failures (mwapp tasks --state failed)"
            )

    def _of_tables(self) -> Iterator[str]:
        warnings = (table.warning(name) for name, table in sorted(self.master_status.tables.items()))
        yield from (warning for warning in warnings if warning is not None)

    def _of_tasks(self, tasks: TasksView) -> Iterator[str]:
        """Why none is run, or some are not."""
        paused = self._are("paused")
        if not self._are("ready"):
            yield (
                f"{paused[0]} is the master, and there is no other node to run tasks: start one (mwapp node)"
                if paused
                else "no worker accepts tasks: start one (mwapp worker)"
            )
        if tasks.total >= 0.9 * LIMITS.max_tasks:
            yield (
                f"there are {tasks.total} tasks; at {LIMITS.max_tasks} clients submit no more: "
                "remove finished tasks sooner (mwapp master --retention, --keep)"
            )
        for labels, count in sorted(Counter(map(_labels, self._unschedulable(tasks))).items()):
            yield f"{count} queued: {no_worker(labels, self.workers)}"

    def _are(self, state: str) -> list[str]:
        """The workers in this state."""
        return [worker.worker for worker in self.workers if worker.state == state]

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

    def _unschedulable(self, tasks: TasksView) -> Iterator[TaskView]:
        return (task for task in tasks.waiting if unschedulable(task, self.workers))


def _labels(task: TaskView) -> tuple[str, ...]:
    return task.labels


def unschedulable(task: TaskView, workers: Sequence[WorkerView]) -> bool:
    """Whether it waits for labels that no worker has which takes tasks."""
    return task.state == QUEUED and bool(task.labels) and not schedulable(task.labels, workers)


def schedulable(labels: Sequence[str], workers: Sequence[WorkerView]) -> bool:
    """Whether a worker that takes tasks has all of these labels."""
    return any(worker.state == "ready" for worker in _with(labels, workers))


def no_worker(labels: Sequence[str], workers: Sequence[WorkerView]) -> str:
    """What to do for a task that is unschedulable."""
    which = f"the {'label' if len(labels) == 1 else 'labels'} {' '.join(labels)}"
    start = f"mwapp worker --label {' --label '.join(labels)}"
    busy = [f"{w.worker} ({BUSY[w.state]})" for w in _with(labels, workers) if w.state in BUSY]
    if not busy:
        return f"no worker has {which}; start one ({start})"
    named = ", ".join(busy[:MOST_NAMED])
    if len(busy) > MOST_NAMED:
        named += f" and {len(busy) - MOST_NAMED} more"
    has, takes = ("has", "takes") if len(busy) == 1 else ("have", "take")
    return f"only {named} {has} {which}, and {takes} no tasks; start another ({start})"


def _with(labels: Sequence[str], workers: Sequence[WorkerView]) -> list[WorkerView]:
    """Those that have all of these labels."""
    return [worker for worker in workers if set(labels) <= set(worker.labels)]


def since(moment: float | None) -> float | None:
    """Seconds since then; 0 if clocks differ."""
    return None if moment is None else max(0.0, time.time() - moment)
