"""The master's duty: every task gets one live worker, whatever dies.

While it holds the office it keeps a mirror of ``/workers``, ``/assign`` and ``/tasks``, refreshed by
reads that leave a watch, and commits what the mirror says is due in one transaction at a time:

    task nobody has            -> create its assignment
    assignment nobody runs     -> delete it and create the next attempt elsewhere, in one transaction
    task that can never run    -> write status ``failed`` and the reason
    worker a person plays      -> note its session at its queue, so that it too has an incarnation

Every transaction starts with ``check(/epoch, my epoch)``. The mirror may lag; the transaction decides.
When one fails for another reason than the epoch the mirror is read anew. What fails again, alone and with
a fresh mirror, is put aside for a while: some oddity made by hand must not hold up everything else.

Why a task that looks unassigned is: only the master creates assignments, and assignments are read
before tasks, so a task read without children after that is neither held nor finished.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

from mwapp.core.messages import Check, Create, Delete, Failed, Node, Op, Set, Stat
from mwapp.core.protocol import (
    ASSIGN,
    BATCH,
    EPOCH,
    FAILED,
    TASKS,
    WORKERS,
    Assignment,
    BadTaskError,
    Outcome,
    Registration,
    Task,
    assign_path,
    result_path,
    show_session,
    status_path,
    task_order,
    task_path,
    worker_path,
)
from mwapp.core.session import Call, Process, Scope

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 5
RETRY_SECONDS = 0.5
ASIDE_SECONDS = 10.0
# So many tasks are read at once.
PAGE = 100


@dataclass(slots=True)
class _Worker:
    """A live worker: one whose /workers znode is there."""

    incarnation: int
    slots: int
    draining: bool
    adopted: bool


@dataclass(slots=True)
class _Held:
    """An assignment."""

    assignment: Assignment
    fresh: bool = True  # read or written since its worker last changed


@dataclass(slots=True)
class _Mirror:
    """What the master knows of the znodes. A task is in one of queued, bad, finished, held or unread."""

    workers: dict[str, _Worker] = field(default_factory=dict)
    held: dict[str, dict[str, _Held]] = field(default_factory=dict)  # by queue (worker's name) and task
    tasks: set[str] = field(default_factory=set)  # all there are
    queued: dict[str, None] = field(default_factory=dict)  # a set that keeps the order of arrival
    bad: dict[str, str] = field(default_factory=dict)  # unassigned ones that can never run: the reason
    finished: set[str] = field(default_factory=set)
    unread: dict[str, None] = field(default_factory=dict)  # to be read, in the order of their numbers
    reading: bool = False  # a page of them is under way

    def tasks_known(self, in_doubt: set[str]) -> "_Mirror":
        """A mirror of the tasks that need not be read again: those neither held, nor unread, nor in doubt."""
        known = _Mirror(queued=self.queued, bad=self.bad, finished=self.finished - in_doubt)
        known.tasks = known.queued.keys() | known.bad.keys() | known.finished
        # They keep their places in the queue.
        known.unread = dict.fromkeys(sorted(in_doubt & known.tasks, key=task_order))
        return known

    def holder(self, task: str) -> str | None:
        return next((queue for queue, tasks in self.held.items() if task in tasks), None)


@dataclass(slots=True)
class _Step:
    """One thing to do: its operations, the worker it relies on, and what it changes in the mirror."""

    task: str
    ops: list[Op]
    apply: Callable[[], None]
    worker: str | None = None


class Master:
    """The :class:`~mwapp.core.election.Duty` of the elected one. Connect it with :attr:`fenced`."""

    def __init__(self, process: Process, *, max_attempts: int = MAX_ATTEMPTS) -> None:
        self._process = process
        self._max_attempts = max_attempts
        self._scope: Scope = process.scope()
        self._mirror = _Mirror()
        self._epoch = -1
        self._loaded = False
        self._committing = False
        self._adopt_again = False
        self._refusals = 0  # in a row
        self._aside: set[str] = set()  # tasks that are not acted on for now
        self.fenced: Callable[[], None] = lambda: None  # told when a write finds another epoch
        # For the status endpoint. Wall-clock, for people and for comparing hosts; never for decisions.
        self.elected_at: float | None = None
        self.first_write_at: float | None = None
        self.counters = {"assigned": 0, "reassigned": 0, "given_up": 0, "transactions": 0, "refused": 0}

    # ------------------------------------------------------------ Duty

    def begin(self, epoch: int) -> None:
        """Read everything, then act."""
        if epoch != self._epoch:
            self.elected_at, self.first_write_at = time.time(), None
        self._epoch = epoch
        self._load()

    def end(self) -> None:
        """Forget everything: whoever begins next reads it anew."""
        self._scope.cancel()
        self._loaded = False

    def status(self) -> dict[str, Any]:
        """Counts, times and counters."""
        mirror = self._mirror
        return {
            "elected_at": self.elected_at,
            "first_write_at": self.first_write_at,
            "loaded": self._loaded,
            "workers": len(mirror.workers) if self._loaded else None,
            "queued": len(mirror.queued) if self._loaded else None,
            "assigned": sum(map(len, mirror.held.values())) if self._loaded else None,
            "counters": dict(self.counters),
        }

    # ------------------------------------------------------------ reading

    def _load(self, known: _Mirror | None = None) -> None:
        """Read everything, but the tasks whose state is ``known``: there may be many thousands."""
        self._scope.cancel()
        self._scope = self._process.scope()
        self._mirror = known or _Mirror()
        self._loaded = self._committing = self._adopt_again = False
        self._look_at_workers(then=lambda: self._scope.children(ASSIGN, self._load_queues))

    def _load_queues(self, queues: tuple[str, ...] | Failed) -> None:
        if isinstance(queues, Failed):
            self._reload_later()
            return
        waiting = set(queues)

        def read(queue: str) -> None:
            waiting.discard(queue)
            if not waiting:
                self._look_at_tasks()

        for queue in queues:
            self._look_at_queue(queue, then=partial(read, queue))
        if not queues:
            self._look_at_tasks()

    def _reload_later(self) -> None:
        """Something a master relies on is missing: a parent deleted by hand, say. Do not spin."""
        self._scope.after(RETRY_SECONDS, self.fenced)

    def _look_at_workers(self, then: Call | None = None) -> None:
        self._scope.children(WORKERS, partial(self._workers_seen, then), watch=self._look_at_workers)

    def _workers_seen(self, then: Call | None, names: tuple[str, ...] | Failed) -> None:
        self._adopt_again = False
        if isinstance(names, Failed):
            self._reload_later()
            return
        # The queue before the worker: a worker that registers between the two reads shows as one whose
        # queue is older than itself, and adopting that fails by the queue's version.
        paths = [path for name in names for path in (assign_path(name), worker_path(name))]
        self._scope.get_all(paths, partial(self._workers_read, then, names))

    def _workers_read(self, then: Call | None, names: tuple[str, ...], nodes: list[Node | Failed]) -> None:
        before, self._mirror.workers = self._mirror.workers, {}
        for name, queue, worker in zip(names, nodes[::2], nodes[1::2], strict=True):
            if isinstance(worker, Failed):
                continue  # gone again; the watch has fired
            registered = Registration.decode(queue.data) if isinstance(queue, Node) else None
            if isinstance(queue, Failed) or not registered or registered.session != worker.stat.owner:
                self._adopt(name, queue, worker)
                # It is there, and keeps what a person assigned to it, but is given nothing yet.
                self._mirror.workers[name] = _Worker(-1, 1, draining=True, adopted=True)
                continue
            version = queue.stat.version
            draining = worker.stat.version > 0
            self._mirror.workers[name] = _Worker(version, registered.slots, draining, registered.adopted)
            if name not in self._mirror.held:
                self._look_at_queue(name)
        for name in sorted(before.keys() | self._mirror.workers.keys()):
            old, new = before.get(name), self._mirror.workers.get(name)
            if old is None or new is None or old.incarnation != new.incarnation:
                log.info("worker %s: %s", name, f"incarnation {new.incarnation}" if new else "gone")
                self._refresh_held(name)
        if then:
            then()
        self._act()

    def _adopt(self, name: str, queue: Node | Failed, worker: Node) -> None:
        """Register a worker on behalf of the person who made its znode by hand."""
        data = Registration(worker.stat.owner, adopted=True).encode()
        ops: list[Op] = [Check(EPOCH, self._epoch), Check(worker_path(name), worker.stat.version)]
        if isinstance(queue, Node):
            ops.append(Set(assign_path(name), data, queue.stat.version))
        else:
            ops.append(Create(assign_path(name), data))
        log.info("adopting worker %s of session %s", name, show_session(worker.stat.owner))

        def done(result: tuple[Any, ...] | Failed) -> None:
            if self._written(result):
                self._look_at_workers()
            elif isinstance(result, Failed) and result.index != 0 and not self._adopt_again:
                self._adopt_again = True  # once for all that failed, or they would double each time
                self._scope.after(RETRY_SECONDS, self._look_at_workers)

        self._scope.transact(ops, done)

    def _look_at_queue(self, queue: str, then: Call | None = None) -> None:
        again = partial(self._look_at_queue, queue)
        self._scope.children(assign_path(queue), partial(self._queue_seen, queue, then), watch=again)

    def _queue_seen(self, queue: str, then: Call | None, names: tuple[str, ...] | Failed) -> None:
        present = () if isinstance(names, Failed) else names
        known = self._mirror.held.setdefault(queue, {})
        for task in sorted(known.keys() - set(present)):
            del known[task]
            self._look_if_finished(task)
        if isinstance(names, Failed):  # the queue itself was deleted, and no watch is left on it
            del self._mirror.held[queue]
        self._read_held(queue, [task for task in present if task not in known], then)

    def _read_held(self, queue: str, tasks: list[str], then: Call | None = None) -> None:
        # With the status, for whoever held it may have reported by hand and left the assignment.
        paths = [path for task in tasks for path in (assign_path(queue, task), status_path(task))]

        def read(nodes: list[Node | Failed]) -> None:
            held = self._mirror.held
            for task, node, status in zip(tasks, nodes[::2], nodes[1::2], strict=True):
                if isinstance(node, Node):
                    held.setdefault(queue, {})[task] = _Held(Assignment.decode(node.data))
                    self._mirror.queued.pop(task, None)
                    if isinstance(status, Node):
                        self._mirror.finished.add(task)
                    else:
                        self._watch_if_adopted(queue, task)
                elif held.get(queue, {}).pop(task, None):
                    self._look_if_finished(task)
            if then:
                then()
            self._act()

        self._scope.get_all(paths, read)

    def _refresh_held(self, queue: str) -> None:
        """The worker came, went or changed: what it held may have been handed back; read it anew."""
        held = self._mirror.held.get(queue, {})
        for entry in held.values():
            entry.fresh = False
        if held:
            self._read_held(queue, list(held))

    def _look_at_tasks(self) -> None:
        self._scope.children(TASKS, self._tasks_seen, watch=self._look_at_tasks)

    def _tasks_seen(self, names: tuple[str, ...] | Failed) -> None:
        if isinstance(names, Failed):
            self._reload_later()
            return
        mirror = self._mirror
        new, gone = set(names) - mirror.tasks, mirror.tasks - set(names)
        mirror.tasks = set(names)
        for task in gone:
            mirror.finished.discard(task)
            mirror.queued.pop(task, None)
            mirror.bad.pop(task, None)
            mirror.unread.pop(task, None)
        mirror.unread |= dict.fromkeys(sorted(new, key=task_order))
        self._loaded = True
        self._act()
        self._read_tasks()

    def _read_tasks(self) -> None:
        """Page by page: thousands at once would hold up our writes, and make the server seem silent."""
        mirror = self._mirror
        if mirror.reading or not mirror.unread:
            return
        page = list(islice(mirror.unread, PAGE))
        mirror.reading = True

        def read(nodes: list[Node | Failed]) -> None:
            mirror.reading = False
            for task, node in zip(page, nodes, strict=True):
                mirror.unread.pop(task, None)
                self._task_seen(task, node)
            self._act()
            self._read_tasks()

        self._scope.get_all([task_path(task) for task in page], read)

    def _look_at_task(self, task: str) -> None:
        self._mirror.unread[task] = None
        self._read_tasks()

    def _task_seen(self, task: str, node: Node | Failed) -> None:
        if isinstance(node, Failed):
            self._mirror.queued.pop(task, None)  # deleted by hand
            self._mirror.bad.pop(task, None)
        elif node.stat.children == 0:
            self._sort_in(task, node.data)
        else:  # a final state, unless somebody keeps children of another kind there
            self._scope.exists(status_path(task), partial(self._looked_at_status, task, node.data))

    def _looked_at_status(self, task: str, data: bytes, stat: Stat | Failed | None) -> None:
        if stat is None:
            self._sort_in(task, data)
            self._act()
        else:
            self._finished(task)

    def _look_if_finished(self, task: str) -> None:
        """Its assignment is gone. Then it is over, unless somebody deleted the assignment by hand."""
        self._scope.exists(
            status_path(task),
            lambda stat: self._look_at_task(task) if stat is None else self._finished(task),
        )

    def _finished(self, task: str) -> None:
        self._mirror.queued.pop(task, None)
        self._mirror.bad.pop(task, None)
        if task in self._mirror.tasks:
            self._mirror.finished.add(task)
        self._act()

    def _sort_in(self, task: str, data: bytes) -> None:
        """The task has no final state: it is to be assigned, unless it is, or can never run."""
        if task in self._mirror.tasks and self._mirror.holder(task) is None:
            try:
                Task.decode(data)
                self._mirror.queued[task] = None
            except BadTaskError as error:
                self._mirror.bad[task] = str(error)

    def _watch_if_adopted(self, queue: str, task: str) -> None:
        """A person reports by creating the status and leaves the assignment: that is for us to remove."""
        worker = self._mirror.workers.get(queue)
        if worker is None or worker.adopted:
            again = partial(self._watch_if_adopted, queue, task)
            self._scope.exists(
                status_path(task), lambda stat: self._finished(task) if stat else None, watch=again
            )

    # ------------------------------------------------------------ acting

    def _act(self) -> None:
        if not self._loaded or self._committing:
            return
        steps = self._plan()
        if not steps:
            return
        ops: list[Op] = [Check(EPOCH, self._epoch)]
        for name in sorted({step.worker for step in steps if step.worker}):
            # Alive and not draining (version 0), and the incarnation the assignment is meant for.
            ops += [
                Check(worker_path(name), 0),
                Check(assign_path(name), self._mirror.workers[name].incarnation),
            ]
        for step in steps:
            ops += step.ops
        self._committing = True
        self._scope.transact(ops, partial(self._committed, steps))

    def _committed(self, steps: list[_Step], result: tuple[Any, ...] | Failed) -> None:
        self._committing = False
        if self._written(result):
            for step in steps:
                step.apply()
            self._act()
        elif isinstance(result, Failed) and result.index != 0:
            # A worker went, came back or began to drain, or somebody works by hand: our mirror is old.
            log.info(
                "transaction refused (%s at operation %s): reading anew", result.error.value, result.index
            )
            self._refusals += 1
            in_doubt = {step.task for step in steps}

            def reload() -> None:
                self._load(self._mirror.tasks_known(in_doubt))

            if self._refusals == 1:
                reload()
                return
            # With a fresh mirror, and alone: nothing we understand. Do not spin, nor hold up the others.
            if result.index is None or result.index >= 1 + 2 * bool(steps[0].worker):
                self._put_aside(steps[0].task)
            self._scope.after(RETRY_SECONDS, reload)

    def _put_aside(self, task: str) -> None:
        log.error("%s: cannot be assigned or ended, others come first", task)
        self._aside.add(task)

        def take_up() -> None:
            self._aside.discard(task)
            self._act()

        self._process.scope().after(ASIDE_SECONDS, take_up)

    def _written(self, result: tuple[Any, ...] | Failed) -> bool:
        """Account for a transaction's result; tell the election if it was fenced off."""
        if isinstance(result, Failed):
            self.counters["refused"] += 1
            if result.index == 0:
                self.fenced()
            return False
        self._refusals = 0
        self.counters["transactions"] += 1
        if self.first_write_at is None:
            self.first_write_at = time.time()
        return True

    def _plan(self) -> list[_Step]:
        """What is due, oldest first, at most a batch of it; after a refusal one thing at a time."""
        mirror = self._mirror
        room = 1 if self._refusals else BATCH

        def ready(task: str) -> bool:
            return task not in self._aside and task not in mirror.unread

        load = {
            name: sum(h.assignment.meant_for(w.incarnation) for h in mirror.held.get(name, {}).values())
            for name, w in mirror.workers.items()
            if not w.draining
        }
        steps: list[_Step] = []
        for queue, tasks in mirror.held.items():
            worker = mirror.workers.get(queue)
            due = [
                task
                for task, held in tasks.items()
                if task in mirror.finished
                or (held.fresh and (worker is None or not held.assignment.meant_for(worker.incarnation)))
            ]
            for task in sorted(set(due) - self._aside, key=task_order):
                if len(steps) == room:
                    return steps
                if task in mirror.finished or task not in mirror.tasks:
                    steps.append(self._clear(queue, task))
                else:
                    step = self._move(queue, task, tasks[task].assignment, load)
                    steps += [step] if step else []
        for task in sorted(filter(ready, mirror.bad), key=task_order)[: room - len(steps)]:
            steps.append(self._give_up(task, Outcome(reason=mirror.bad[task])))
        for task in islice(filter(ready, mirror.queued), room - len(steps)):
            target = self._choose(load)
            if target is None:
                break
            steps.append(self._assign(task, target, Assignment(1)))
        return steps

    def _choose(self, load: dict[str, int]) -> str | None:
        """The worker with the smallest part of its slots taken; None if all are full."""
        workers = self._mirror.workers
        free = [name for name in load if load[name] < workers[name].slots]
        if not free:
            return None
        chosen = min(free, key=lambda name: (load[name] / workers[name].slots, name))
        load[chosen] += 1
        return chosen

    def _assign(self, task: str, target: str, attempt: Assignment) -> _Step:
        assignment = Assignment(attempt.attempt, self._mirror.workers[target].incarnation, self._epoch)

        def apply() -> None:
            self._mirror.queued.pop(task, None)
            self._mirror.held.setdefault(target, {})[task] = _Held(assignment)
            self.counters["assigned"] += 1
            self._watch_if_adopted(target, task)

        return _Step(task, [Create(assign_path(target, task), assignment.encode())], apply, target)

    def _move(self, queue: str, task: str, last: Assignment, load: dict[str, int]) -> _Step | None:
        """An orphan: its worker is gone, or is another incarnation. None: nobody has room for it."""
        attempt = last.attempt if last.returned else last.attempt + 1
        if attempt > self._max_attempts:
            reason = f"given up after {last.attempt} attempts: each one's worker died"
            return self._give_up(task, Outcome(attempt=last.attempt, reason=reason), queue)
        target = self._choose(load)
        if target is None:
            return None
        step = self._assign(task, target, Assignment(attempt))

        def apply() -> None:
            self._mirror.held[queue].pop(task, None)  # before: the target may be the same queue
            step.apply()
            self.counters["reassigned"] += 1

        return _Step(task, [Delete(assign_path(queue, task)), *step.ops], apply, target)

    def _give_up(self, task: str, outcome: Outcome, queue: str | None = None) -> _Step:
        ops: list[Op] = [Delete(assign_path(queue, task))] if queue else []
        ops += [Create(status_path(task), FAILED.encode()), Create(result_path(task), outcome.encode())]

        def apply() -> None:
            if queue:
                self._mirror.held[queue].pop(task, None)
            self._mirror.bad.pop(task, None)
            self._mirror.finished.add(task)
            self.counters["given_up"] += 1

        return _Step(task, ops, apply)

    def _clear(self, queue: str, task: str) -> _Step:
        """The task is finished or was deleted, but its assignment was left behind."""

        def apply() -> None:
            self._mirror.held[queue].pop(task, None)
            self._look_if_finished(task)

        return _Step(task, [Delete(assign_path(queue, task))], apply)
