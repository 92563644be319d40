"""What is in the ensemble: tasks, workers, the office. Read with many requests under way at once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mwapp.core.messages import Check, Exited, Failed, Node
from mwapp.core.protocol import (
    ASSIGN,
    EPOCH,
    MASTER,
    TASKS,
    WORKERS,
    Assignment,
    Office,
    Outcome,
    Registration,
    assign_path,
    result_path,
    status_path,
    task_path,
    worker_path,
)
from mwapp.core.session import Process, Scope
from mwapp.core.task import BadTaskError, Task, task_order

# So many reads are under way at once.
PIPELINE = 600

Children = tuple[str, ...] | Failed


@dataclass(frozen=True, slots=True)
class TaskView:
    """A task as it was found."""

    task: str
    state: str  # queued, assigned, or its final state: done, failed
    command: str | None  # None: it is malformed
    created: float  # seconds since the Unix epoch
    worker: str | None = None
    attempt: int | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class WorkerView:
    """A worker, or a queue whose worker is gone."""

    worker: str
    state: str  # ready, draining, gone
    address: str | None
    incarnation: int | None
    slots: int | None
    running: tuple[str, ...]  # tasks assigned to it


@dataclass(frozen=True, slots=True)
class OfficeView:
    """The master's office."""

    address: str | None  # None: vacant
    epoch: int | None
    name: str | None  # of the winner of the epoch, if it was one of ours


class Look:
    """A part that reads once, from the start again after a cut. ``read`` gets the scope to read through."""

    def __init__(self, process: Process, read: Callable[[Scope], None]) -> None:
        self._process = process
        self._read = read
        self._scope = process.scope()
        process.add(self)

    def connected(self) -> None:
        """Read what is there now: a transaction first, or what others just did might not be seen yet."""
        self._scope.cancel()
        scope = self._scope = self._process.scope()
        scope.transact([Check("/")], lambda _: self._read(scope))

    def suspended(self) -> None:
        """Start over when connected again."""
        self._scope.cancel()

    def expired(self) -> None:
        """Start over when connected again."""
        self._scope.cancel()

    def exited(self, event: Exited) -> None:
        """No commands here."""

    def stop(self) -> None:
        """Nothing is left to do."""
        self._scope.cancel()
        self._process.part_stopped(self)

    def status(self) -> dict[str, Any]:
        """Nothing to tell."""
        return {}


def read_names(scope: Scope, then: Callable[[list[str]], None]) -> None:
    """The names of all tasks, in the order of submission."""
    scope.children(TASKS, lambda names: then(sorted(_names(names), key=task_order)))


def read_tasks(scope: Scope, names: Sequence[str], then: Callable[[list[TaskView]], None]) -> None:
    """Look at these tasks; those that do not exist are left out."""

    def with_holders(holders: dict[str, str]) -> None:
        paths = []
        for name in names:
            paths += [task_path(name), status_path(name), result_path(name)]
            paths.append(assign_path(holders[name], name) if name in holders else task_path(name))

        def read(nodes: list[Node | Failed]) -> None:
            found = zip(names, nodes[::4], nodes[1::4], nodes[2::4], nodes[3::4], strict=True)
            views = [_task(name, holders.get(name), *parts) for name, *parts in found]
            then([view for view in views if view is not None])

        _get_pages(scope, paths, read)

    # Who holds what before how it ended: a task is then never seen as neither held nor ended.
    read_queues(
        scope, lambda queues: with_holders({task: q for q, tasks in queues.items() for task in tasks})
    )


def read_queues(scope: Scope, then: Callable[[dict[str, tuple[str, ...]]], None]) -> None:
    """Every worker's queue and the tasks assigned in it."""

    queues: dict[str, tuple[str, ...]] = {}

    def listed(names: Children) -> None:
        for queue in _names(names):
            scope.children(assign_path(queue), partial(read, len(_names(names)), queue))
        if not _names(names):
            then({})

    def read(of: int, queue: str, tasks: Children) -> None:
        queues[queue] = tuple(sorted(_names(tasks), key=task_order))
        if len(queues) == of:
            then(queues)

    scope.children(ASSIGN, listed)


def read_states(scope: Scope, names: Sequence[str], then: Callable[[dict[str, int]], None]) -> None:
    """How many of these tasks are in which state."""

    def with_queues(queues: dict[str, tuple[str, ...]]) -> None:
        held = {task for tasks in queues.values() for task in tasks}

        def read(nodes: list[Node | Failed]) -> None:
            counts = {"queued": 0, "assigned": 0, "done": 0, "failed": 0}
            for name, status in zip(names, nodes, strict=True):
                state = _state(status, name in held)
                counts[state] = counts.get(state, 0) + 1
            then(counts)

        _get_pages(scope, [status_path(name) for name in names], read)

    read_queues(scope, with_queues)


def read_workers(scope: Scope, then: Callable[[list[WorkerView]], None]) -> None:
    """Every worker, and every queue that still holds tasks though its worker is gone."""

    def listed(queues: dict[str, tuple[str, ...]], workers: Children) -> None:
        names = sorted({*_names(workers), *(queue for queue, tasks in queues.items() if tasks)})
        paths = [path for name in names for path in (worker_path(name), assign_path(name))]

        def read(nodes: list[Node | Failed]) -> None:
            found = zip(names, nodes[::2], nodes[1::2], strict=True)
            then([_worker(name, node, queue, queues.get(name, ())) for name, node, queue in found])

        _get_pages(scope, paths, read)

    read_queues(scope, lambda queues: scope.children(WORKERS, partial(listed, queues)))


def read_office(scope: Scope, then: Callable[[OfficeView], None]) -> None:
    """Who is the master."""

    def read(nodes: list[Node | Failed]) -> None:
        master, epoch = nodes
        office = Office.decode(epoch.data) if isinstance(epoch, Node) else None
        then(
            OfficeView(
                master.data.decode(errors="replace") if isinstance(master, Node) else None,
                epoch.stat.version if isinstance(epoch, Node) else None,
                office.name if office and isinstance(master, Node) else None,
            )
        )

    scope.get_all([MASTER, EPOCH], read)


# ---------------------------------------------------------------- inside


def _get_pages(scope: Scope, paths: list[str], then: Callable[[list[Node | Failed]], None]) -> None:
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


def _names(result: Children) -> tuple[str, ...]:
    return () if isinstance(result, Failed) else result


def _state(status: Node | Failed, held: bool) -> str:
    if isinstance(status, Node):
        return status.data.decode(errors="replace")
    return "assigned" if held else "queued"


def _task(
    name: str,
    holder: str | None,
    task: Node | Failed,
    status: Node | Failed,
    result: Node | Failed,
    held: Node | Failed,
) -> TaskView | None:
    if isinstance(task, Failed):
        return None
    try:
        command = Task.decode(task.data).title
    except BadTaskError:
        command = None
    state = _state(status, holder is not None)
    worker, attempt, outcome = None, None, None
    if state == "assigned":
        worker = holder
        attempt = Assignment.decode(held.data).attempt if isinstance(held, Node) else None
    elif isinstance(result, Node):
        outcome = Outcome.decode(result.data)
        worker, attempt = outcome.worker, outcome.attempt
    return TaskView(name, state, command, task.stat.ctime, worker, attempt, outcome)


def _worker(name: str, worker: Node | Failed, queue: Node | Failed, running: tuple[str, ...]) -> WorkerView:
    registration = Registration.decode(queue.data) if isinstance(queue, Node) else None
    if isinstance(worker, Failed):
        return WorkerView(name, "gone", None, None, None, running)
    return WorkerView(
        name,
        "draining" if worker.stat.version > 0 else "ready",
        worker.data.decode(errors="replace"),
        queue.stat.version if isinstance(queue, Node) else None,
        registration.slots if registration else None,
        running,
    )
