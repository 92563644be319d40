"""What the ensemble contains: tasks, workers, the master. It is read with many requests under way at once."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from mwapp.core.client import ClientPart
from mwapp.core.messages import Failed, Node, Stat
from mwapp.core.pairs import Pair, Read, read_ends, read_pairs
from mwapp.core.protocol import (
    ASSIGN,
    CANCEL,
    CANDIDATES,
    EPOCH,
    MASTER,
    NOBODY,
    RETURNED,
    TASKS,
    WORKERS,
    Assignment,
    Outcome,
    Registration,
    Winner,
    assign_path,
    candidate_name,
    status_path,
    task_path,
    worker_path,
)
from mwapp.core.session import GONE, Process, Scope
from mwapp.core.task import BadTaskError, Task, task_order
from mwapp.status.ending import explained

# How many reads are under way at once.
PIPELINE = 600

QUEUED, ASSIGNED = "queued", "assigned"

Children = tuple[str, ...] | Failed
Queues = dict[str, tuple[str, ...]]
Removals = tuple[int, int] | None  # None: there is no parent of tasks


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task as it was read."""

    task: str
    state: str  # queued, assigned, or its final state: done, failed, cancelled
    asked: Task | None  # None: it is malformed
    created: float  # seconds since the Unix epoch
    worker: str | None = None
    attempt: int | None = None
    outcome: Outcome | None = None
    cancelling: bool = False  # there is a cancel request
    ended_at: float | None = None  # when it ended, seconds since the Unix epoch

    @property
    def command(self) -> str | None:
        """What it runs, for people; None if it is malformed."""
        return self.asked.title if self.asked else None

    @property
    def labels(self) -> tuple[str, ...]:
        """Its worker must have all of them."""
        return self.asked.labels if self.asked else ()

    @property
    def submitter(self) -> str | None:
        """Who submitted it, as the client says; None: it does not say."""
        return self.asked.submitter if self.asked else None

    @property
    def begins(self) -> float | None:
        """Before when it is not to begin, seconds since the Unix epoch; None: it may begin at once."""
        times = []
        if self.asked and self.asked.delay:
            times.append(self.created + self.asked.delay)
        if self.asked and self.asked.not_before is not None:
            times.append(self.asked.not_before)
        return max(times, default=None)

    @property
    def ended(self) -> bool:
        """Whether its state is final."""
        return self.state not in (QUEUED, ASSIGNED)


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker, or a queue whose worker is gone."""

    worker: str
    # ready, draining, paused (it is the master), unregistered (made by hand, and not adopted), gone,
    # persistent (made by hand: no worker)
    state: str
    address: str | None
    incarnation: int | None
    slots: int | None
    tasks: tuple[str, ...]  # assigned to it
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StandbyView:
    """A master that is not active."""

    name: str
    address: str
    since: float  # when it came, seconds since the Unix epoch


@dataclass(frozen=True, slots=True)
class MasterView:
    """Who is the master, and who stands by."""

    address: str | None  # None: vacant
    epoch: int | None
    name: str | None  # of the epoch's winner, if it was one of ours
    since: float | None  # when it was taken, seconds since the Unix epoch
    persistent: bool = False  # created by hand and not ephemeral: nobody can win
    standbys: Sequence[StandbyView] | None = ()  # None: the active one is not listed, others may be missing


class Look(ClientPart):
    """A part that reads once, and starts over after a cut. ``read`` gets the scope to read through."""

    def __init__(self, process: Process, read: Callable[[Scope], None]) -> None:
        self._read = read
        super().__init__(process)

    def _start(self) -> None:  # it creates nothing: a reader may have no permission to
        self._read(self._scope)


def read_names(scope: Scope, then: Callable[[list[str]], None]) -> None:
    """The names of all tasks, in the order of submission."""
    scope.children(TASKS, lambda names: then(sorted(_names(names), key=task_order)))


def read_tasks(scope: Scope, names: Sequence[str], then: Callable[[list[TaskView]], None]) -> None:
    """Read these tasks, except those that do not exist."""

    def with_queues(queues: Queues, cancel_requests: frozenset[str]) -> None:
        holders = {task: queue for queue, tasks in queues.items() for task in tasks}

        def with_ends(ends: list[Pair]) -> None:
            paths = []
            for name in names:
                paths += [
                    task_path(name),
                    assign_path(holders[name], name) if name in holders else task_path(name),
                ]

            def read(nodes: list[Node | Failed]) -> None:
                found = zip(names, ends, nodes[::2], nodes[1::2], strict=True)
                views = [
                    _task(name, holders.get(name), name in cancel_requests, end, task, held)
                    for name, end, task, held in found
                ]
                then([view for view in views if view is not None])

            get_many(scope, paths, read)

        read_ends(scope, names, with_ends, partial(get_many, scope))

    # Read the holders before the ends: then no task looks neither held nor ended. And the tasks after them:
    # then what was removed meanwhile does not look as if it had not ended.
    _read_queues(scope, with_queues)


def read_removals(scope: Scope, then: Callable[[Removals], None]) -> None:
    """What is another value once a task is removed, or all of them with their parent."""

    def read(stat: Stat | None) -> None:
        then(None if stat is None else (stat.czxid, stat.created - stat.children))

    scope.exists(TASKS, read)


def read_states(
    scope: Scope,
    names: Sequence[str],
    known: Mapping[str, str],
    removals: Removals,
    then: Callable[[dict[str, str]], None],
) -> None:
    """The state of each of these tasks, except those that do not exist. ``known``: final states, which need
    not be read again. ``removals``: as they were read before the names."""

    def with_queues(queues: Queues, _: frozenset[str]) -> None:
        held = {task for queue, tasks in queues.items() if queue != NOBODY for task in tasks}
        unknown = [name for name in names if name not in known]

        def read(nodes: list[Node | Failed]) -> None:
            states = {n: _state(status, n in held) for n, status in zip(unknown, nodes, strict=True)}
            found = {name: known.get(name) or states[name] for name in names}
            if QUEUED in states.values():  # or removed since they were listed
                read_removals(scope, partial(checked, found))
            else:
                then(found)

        def checked(found: dict[str, str], by_now: Removals) -> None:
            if by_now == removals:
                then(found)
            else:
                read_names(scope, lambda left: then(_only(found, frozenset(left))))

        get_many(scope, [status_path(name) for name in unknown], read)

    _read_queues(scope, with_queues)


def read_workers(scope: Scope, then: Callable[[list[WorkerView]], None]) -> None:
    """Every worker, and every queue that still holds tasks though its worker is gone."""

    def listed(queues: Queues, workers: Children) -> None:
        held = (queue for queue, tasks in queues.items() if tasks and queue != NOBODY)
        names = sorted({*_names(workers), *held})
        # Both are written when a worker registers.
        pairs = [(worker_path(name), assign_path(name)) for name in names]

        def with_master(nodes: list[Read]) -> None:
            def read(found: list[Pair]) -> None:
                views = zip(names, found, strict=True)
                then([_worker(name, *pair, queues.get(name, ()), nodes[0]) for name, pair in views])

            read_pairs(pairs, read, _is_not_registered, partial(get_many, scope))

        get_many(scope, [MASTER], with_master)

    _read_queues(scope, lambda queues, _: scope.children(WORKERS, partial(listed, queues)))


def read_master(scope: Scope, then: Callable[[MasterView], None]) -> None:
    """Who is the master, and who stands by."""

    def listed(names: Children) -> None:
        candidates = sorted(_names(names))
        paths = [f"{CANDIDATES}/{name}" for name in candidates]
        get_many(scope, paths, partial(with_candidates, candidates))

    def with_candidates(candidates: list[str], others: list[Read]) -> None:
        pair = [(MASTER, EPOCH)]  # both are written by who wins
        read_pairs(pair, partial(read, candidates, others), _is_not_winner, partial(get_many, scope))

    def read(candidates: list[str], others: list[Read], pairs: list[Pair]) -> None:
        ((master, epoch),) = pairs
        found = {name: node for name, node in zip(candidates, others, strict=True) if isinstance(node, Node)}
        winner = Winner.decode(epoch.data) if isinstance(epoch, Node) else None
        then(
            MasterView(
                master.data.decode(errors="replace") if isinstance(master, Node) else None,
                epoch.stat.version if isinstance(epoch, Node) else None,
                winner.name if winner and isinstance(master, Node) else None,
                master.stat.ctime if isinstance(master, Node) else None,
                isinstance(master, Node) and not master.stat.owner,
                _standbys(master, found),
            )
        )

    scope.children(CANDIDATES, listed)


# ---------------------------------------------------------------- inside


def _read_queues(scope: Scope, then: Callable[[Queues, frozenset[str]], None]) -> None:
    """Every worker's queue and the tasks in it, the returned tasks, and the cancel requests."""

    def listed(names: Children) -> None:
        paths = {queue: assign_path(queue) for queue in _names(names)} | {NOBODY: RETURNED}
        read: dict[str, tuple[str, ...]] = {}

        def add(path: str, tasks: Children) -> None:
            read[path] = tuple(sorted(_names(tasks), key=task_order))
            if len(read) == len(paths) + 1:
                then({queue: read[path] for queue, path in paths.items()}, frozenset(read[CANCEL]))

        for path in (*paths.values(), CANCEL):
            scope.children(path, partial(add, path))

    scope.children(ASSIGN, listed)


def get_many(scope: Scope, paths: list[str], then: Callable[[list[Node | Failed]], None]) -> None:
    """Like ``get_all``, with a bounded number of reads under way."""
    results: list[Node | Failed] = []

    def read(nodes: list[Node | Failed]) -> None:
        results.extend(nodes)
        page = paths[len(results) : len(results) + PIPELINE]
        if page:
            scope.get_all(page, read)
        else:
            then(results)

    read([])


def _only(states: dict[str, str], there: frozenset[str]) -> dict[str, str]:
    return {name: state for name, state in states.items() if state != QUEUED or name in there}


def _names(result: Children) -> tuple[str, ...]:
    return () if isinstance(result, Failed) else result


def _state(status: Node | Failed, held: bool) -> str:
    if isinstance(status, Node):
        return status.data.decode(errors="replace")
    return ASSIGNED if held else QUEUED


def _is_not_winner(master: Node, epoch: Read) -> bool:
    winner = Winner.decode(epoch.data) if isinstance(epoch, Node) else None
    return winner is None or winner.session != master.stat.owner


def _standbys(master: Node | Failed, candidates: Mapping[str, Node]) -> list[StandbyView] | None:
    active = master.stat.owner if isinstance(master, Node) else 0
    if active and all(node.stat.owner != active for node in candidates.values()):
        return None
    return [
        StandbyView(candidate_name(znode), node.data.decode(errors="replace"), node.stat.ctime)
        for znode, node in candidates.items()
        if node.stat.owner not in (active, 0)  # 0: created by hand and not ephemeral
    ]


def _task(
    name: str,
    holder: str | None,
    cancelling: bool,
    end: Pair,
    task: Node | Failed,
    held: Node | Failed,
) -> TaskView | None:
    if isinstance(task, Failed):
        return None
    asked = None
    with suppress(BadTaskError):
        asked = Task.decode(task.data)
    status, result = end
    if isinstance(status, Node) and status.stat.czxid < task.stat.czxid:
        status = GONE  # that is how an earlier task of its name had ended
    state = _state(status, holder not in (None, NOBODY))
    worker, attempt, outcome = None, None, None
    ended_at = status.stat.ctime if isinstance(status, Node) else None
    if state not in (QUEUED, ASSIGNED):
        cancelling = False
        if isinstance(result, Node):
            outcome = explained(Outcome.decode(result.data))
            worker, attempt = outcome.worker, outcome.attempt
    elif holder is not None:
        worker = holder or None
        attempt = Assignment.decode(held.data).attempt if isinstance(held, Node) else None
    return TaskView(name, state, asked, task.stat.ctime, worker, attempt, outcome, cancelling, ended_at)


def _is_not_registered(worker: Node, queue: Read) -> bool:
    registration = Registration.decode(queue.data) if isinstance(queue, Node) else None
    return bool(worker.stat.owner) and (registration is None or registration.session != worker.stat.owner)


def _worker(
    name: str, worker: Node | Failed, queue: Node | Failed, tasks: tuple[str, ...], master: Node | Failed
) -> WorkerView:
    registration = Registration.decode(queue.data) if isinstance(queue, Node) else None
    if isinstance(worker, Failed):
        return WorkerView(name, "gone", None, None, None, tasks)
    state = "ready" if worker.stat.owner else "persistent"
    if worker.stat.owner and worker.stat.version > 0:
        leads = isinstance(master, Node) and master.stat.owner == worker.stat.owner
        state = "paused" if leads else "draining"
    elif _is_not_registered(worker, queue):
        state = "unregistered"
    return WorkerView(
        name,
        state,
        worker.data.decode(errors="replace"),
        queue.stat.version if isinstance(queue, Node) else None,
        registration.slots if registration else None,
        tasks,
        registration.labels if registration else (),
    )
