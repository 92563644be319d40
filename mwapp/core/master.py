"""The master's duty: every task gets one live worker, whatever dies.

While it leads, it keeps a :class:`~mwapp.core.mirror.Mirror` of the znodes, and commits what is due, one
transaction at a time:

    task nobody has            -> create its assignment (for whom: mwapp/core/placement.py)
    assignment nobody runs     -> delete it and create the next attempt elsewhere, in one transaction
    task that can never run    -> write status ``failed`` and the reason
    task with a cancel request -> write status ``cancelled``, unless its worker does
    task that is to run again  -> delete its status and result, put its next attempt into /returned
    task finished long ago     -> delete it (mwapp/core/retention.py)
    worker a person plays      -> note its session at its queue, so that it too has an incarnation

Every transaction starts with ``check(/epoch, my epoch)``. The mirror may lag; the transaction decides.
If one fails, and not by its epoch, the master rereads the mirror. It puts aside for a while what fails again,
alone and with a fresh mirror: the task, or the worker whose queue takes nothing. An oddity made by hand must
not hold up everything else.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from typing import Any

from mwapp.core.batching import Batching
from mwapp.core.held import Held
from mwapp.core.messages import Check, Create, Delete, Error, Failed, Node, Op, Set
from mwapp.core.mirror import Mirror
from mwapp.core.placement import Experience, Placement
from mwapp.core.protocol import (
    EPOCH,
    NOBODY,
    Assignment,
    Outcome,
    Registration,
    assign_path,
    cancel_path,
    incarnation_of,
    request_path,
    result_path,
    show_session,
    status_path,
    worker_path,
)
from mwapp.core.requests import Again
from mwapp.core.retention import RETENTION, Remover, Retention
from mwapp.core.session import Callback, Process
from mwapp.core.task import task_order

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 5
MASTER_RETRY_SECONDS = 0.5
# How often to look whether a worker that has not registered has done so.
LOOK_AGAIN_SECONDS = 5.0
# How long something is put aside, at least; and more for each that is, so that trying them all again takes an
# eighth of the time.
ASIDE_SECONDS = 10.0
ASIDE_SECONDS_FOR_EACH = 8 * MASTER_RETRY_SECONDS


@dataclass(slots=True)
class _Step:
    """One thing to do: its operations, the worker it relies on, and what it changes in the mirror."""

    task: str
    ops: list[Op]
    apply: Callback
    worker: str | None = None


class Master:
    """The :class:`~mwapp.core.election.Duty` of the elected one."""

    def __init__(
        self,
        process: Process,
        *,
        wall: Callable[[], float],
        max_attempts: int = MAX_ATTEMPTS,
        max_per_submitter: int = 0,
        retention: Retention = RETENTION,
        adopts: bool = True,
    ) -> None:
        """``max_attempts``: a task fails after this many workers died while running it.
        ``adopts``: workers that people made by hand get tasks, too.
        ``max_per_submitter``: a task is refused if so many of its submitter's have not ended; 0: none is.

        ``wall`` tells the time, seconds since the Unix epoch. It may jump: people read it and compare hosts
        with it. It decides only when a task may begin that is not to begin at once, and when one expires.
        """
        self._process = process
        self._wall = wall
        self._max_attempts = max_attempts
        self._max_per_submitter = max_per_submitter
        self._retention = retention
        self._adopts = adopts
        self._not_adopted: dict[str, int] = {}  # those already reported, and their sessions
        self._batching = Batching(self._act)
        self._scope = process.scope()  # of one reading: requests based on that reading end with it
        self._mirror = self._blank()
        self._remover: Remover | None = None
        self._epoch = -1
        self._committing = False
        self._under_way: set[str] = set()  # tasks of the transaction that is not answered
        self._refusals = 0  # in a row
        self._aside: set[str] = set()  # tasks that are not acted on for now
        self._closed: set[str] = set()  # workers whose queues took nothing: they get no task for now
        self._has_result: set[str] = set()  # tasks to be ended without writing one
        self._experience = Experience()
        self._doomed: dict[
            str, tuple[int, float]
        ] = {}  # tasks to be given up: before which attempt, and when
        self._fenced: Callback  # from the beginning of a term on
        # For the status endpoint.
        self.elected_at: float | None = None
        self.first_write_at: float | None = None
        self.counters = {
            "assigned": 0,
            "reassigned": 0,
            "given_up": 0,
            "cancelled": 0,
            "removed": 0,
            "run_again": 0,
            "transactions": 0,
            "refused": 0,
        }

    # ------------------------------------------------------------ Duty

    def begin(self, epoch: int, fenced: Callback) -> None:
        """Read everything, then act."""
        self._fenced = fenced
        if epoch != self._epoch:
            self.elected_at, self.first_write_at = self._wall(), None
        self._epoch = epoch
        self._read()

    def end(self) -> None:
        """Forget everything: the next term rereads it."""
        self._scope.cancel()
        self._doomed.clear()
        self._mirror = self._blank()

    def status(self) -> dict[str, Any]:
        """Counts, times and counters."""
        mirror = self._mirror
        known = mirror.complete
        resting = self._experience.resting.resting(mirror.workers, self._scope.now)
        return {
            "elected_at": self.elected_at,
            "first_write_at": self.first_write_at,
            "loaded": known,
            "resting": {name: round(until - self._scope.now, 1) for name, until in resting.items()},
            "not_adopted": [] if self._adopts else sorted(mirror.by_hand),
            "workers": len(mirror.workers) if known else None,
            "queued": len(mirror.tasks.queued) + len(mirror.held.get(NOBODY, ())) if known else None,
            "delayed": len(mirror.tasks.delayed) if known else None,
            "assigned": sum(len(held) for name, held in mirror.held.items() if name) if known else None,
            "finished": len(mirror.tasks.finished) if known else None,
            "counters": dict(self.counters),
        }

    # ------------------------------------------------------------ the mirror

    def _blank(self) -> Mirror:
        return Mirror(
            self._scope,
            wall=self._wall,
            changed=self._act_soon,
            adopt=self._adopt,
            unreadable=self._begin_anew_later,
            ran=self._ran,
            max_per_submitter=self._max_per_submitter,
            adopts=self._adopts,
        )

    def _read(self, in_doubt: set[str] | None = None) -> None:
        """Read everything. Tasks that are known and not ``in_doubt`` are kept."""
        self._scope.cancel()
        self._scope = self._process.scope()
        if in_doubt is None or self._remover is None:
            self._mirror = self._blank()
        else:
            # The answer to what is under way now will be dropped.
            in_doubt = in_doubt | self._under_way | self._remover.under_way
            self._mirror = self._mirror.renewed(self._scope, in_doubt)
        self._under_way = set()
        self._committing = False
        self._mirror.read()
        self._remover = Remover(self._retention, self._mirror, self._scope, self._epoch, self._removed)

    def _begin_anew_later(self) -> None:
        """A znode that a master needs is missing (a parent deleted by hand, say). Do not spin.

        Do not act on what is known either: the znode may be back by then, and nobody watches it.
        """
        self.end()
        self._scope = self._process.scope()
        self._scope.after(MASTER_RETRY_SECONDS, self._fenced)

    # ------------------------------------------------------------ committing

    def _act_soon(self) -> None:
        """Something may be due."""
        self._batching.ask(self._scope)

    def _act(self) -> int | None:
        if not self._mirror.complete or self._mirror.blind or self._committing:
            return None
        steps = self._plan()
        if not steps:
            return None
        ops: list[Op] = [Check(EPOCH, self._epoch)]
        for name in sorted({step.worker for step in steps if step.worker}):
            # The worker is alive, not draining (version 0), and of the incarnation that the assignment is
            # meant for.
            ops += [
                Check(worker_path(name), 0),
                Check(assign_path(name), self._mirror.workers[name].incarnation),
            ]
        for step in steps:
            ops += step.ops
        self._committing, self._under_way = True, {step.task for step in steps}
        self._scope.transact(ops, partial(self._committed, steps))
        # While the next tasks wait, the workers need enough to do.
        at_hand = sum(len(held) for name, held in self._mirror.held.items() if name)
        return min(len(steps), at_hand // 4)

    def _committed(self, steps: list[_Step], result: tuple[Any, ...] | Failed) -> None:
        self._committing, self._under_way = False, set()
        if self._written(result):
            self._refusals = 0
            for step in steps:
                step.apply()
            if len(steps) < self._process.limits.batch:
                self._act_soon()
            else:
                self._act()
        elif isinstance(result, Failed) and result.index != 0:
            # A worker left, came back or began to drain, or somebody works by hand: our mirror is old.
            log.info("transaction refused (%s at operation %s): rereading", result.error.value, result.index)
            self._refusals += 1
            in_doubt = {step.task for step in steps}
            if self._refusals == 1:
                self._read(in_doubt)
                return
            self._refused(steps[0], result)
            self._scope.after(MASTER_RETRY_SECONDS, partial(self._read, in_doubt))

    def _refused(self, step: _Step, result: Failed) -> None:
        """It was alone, and the mirror fresh: neither spin nor hold up the others."""
        at = None if result.index is None else result.index - 1 - 2 * bool(step.worker)
        if at is not None and at < 0:
            return  # its worker has changed meanwhile
        exists = result.error is Error.NODE_EXISTS
        below = (status_path(step.task), result_path(step.task))
        if at is not None and result.error is Error.NOT_EMPTY and step.ops[at].path in below:
            log.error("%s: cannot run again: there is something below its status or result", step.task)
            self._mirror.requests.close(step.task)
        elif at is not None and exists and step.ops[at].path == result_path(step.task):
            self._has_result.add(step.task)  # a person wrote one: the status is what counts
        elif (
            at is not None
            and step.worker
            and isinstance(step.ops[at], Create)
            and step.ops[at].path == assign_path(step.worker, step.task)
        ):
            log.error(
                "nothing can be created below %s: its worker gets no task for now; see whether an access "
                "control list or a quota forbids it, or whether it is ephemeral",
                assign_path(step.worker),
            )
            self._put_aside(step.worker, self._closed)
        else:
            log.error("%s: cannot assign or end it, trying others first", step.task)
            self._put_aside(step.task, self._aside)

    def _put_aside(self, what: str, among: set[str]) -> None:
        among.add(what)

        def take_up() -> None:
            among.discard(what)
            self._act_soon()

        self._process.scope().after(max(ASIDE_SECONDS, ASIDE_SECONDS_FOR_EACH * len(among)), take_up)

    def _written(self, result: tuple[Any, ...] | Failed) -> bool:
        """Account for a transaction's result; tell the election if it was fenced off."""
        if isinstance(result, Failed):
            self.counters["refused"] += 1
            if result.index == 0:
                self._fenced()
            return False
        self.counters["transactions"] += 1
        if self.first_write_at is None:
            self.first_write_at = self._wall()
        return True

    def _removed(self, tasks: int, result: tuple[Any, ...] | Failed) -> bool:
        """Account for a transaction of :mod:`~mwapp.core.retention`."""
        self.counters["removed"] += tasks
        return self._written(result)

    def _adopt(self, name: str, queue: Node | Failed, worker: Node) -> None:
        """Register a worker on behalf of the person who made its znode by hand; if that is wanted."""
        if not self._adopts:
            self._leave_alone(name, worker.stat.owner)
            return
        data = Registration(worker.stat.owner, adopted=True).encode()
        ops: list[Op] = [Check(EPOCH, self._epoch), Check(worker_path(name), worker.stat.version)]
        if isinstance(queue, Node):
            ops.append(Set(assign_path(name), data, queue.stat.version))
        else:
            ops.append(Create(assign_path(name), data))
        log.info("adopting worker %s of session %s", name, show_session(worker.stat.owner))

        def done(result: tuple[Any, ...] | Failed) -> None:
            if self._written(result):
                self._mirror.look_at_workers()
            elif isinstance(result, Failed) and result.index != 0:
                self._mirror.look_at_workers_after(MASTER_RETRY_SECONDS)

        self._scope.transact(ops, done)

    def _leave_alone(self, name: str, session: int) -> None:
        """One of ours whose queue a person has changed registers anew. Others may register, too."""
        if self._not_adopted.get(name) != session:
            there = self._mirror.worker_names
            self._not_adopted = {one: its for one, its in self._not_adopted.items() if one in there}
            self._not_adopted[name] = session
            log.warning(
                "worker %s (session %s) has not registered and gets no task; if a person plays it: --adopt",
                name,
                show_session(session),
            )
        self._mirror.look_at_workers_after(LOOK_AGAIN_SECONDS)

    def _ran(self, worker: str, task: str, well: bool) -> None:
        """A run of the task has succeeded or failed."""
        rest = self._experience.ran(worker, task, well, self._mirror, self._scope.now)
        if rest is not None:
            log.warning("worker %s: its last runs all failed; it gets no task for %g s", worker, rest)
            self._process.scope().after(rest, self._act_soon)

    # ------------------------------------------------------------ what is due

    def _plan(self) -> list[_Step]:
        """What is due, oldest first, at most a batch of it; after a refusal one thing at a time."""
        mirror, known = self._mirror, self._mirror.tasks
        known.refuse_too_many()
        room = 1 if self._refusals else self._process.limits.batch
        requests = chain(self._cancellations(), self._requested())
        # The rest is for waiting tasks. If there is room for one, they take turns.
        steps = list(islice(requests, max(self._refusals % 2, room // 2)))
        taken = {step.task for step in steps} | self._aside

        def ready(task: str) -> bool:
            return task not in taken and task not in known.unread

        places, now = self._places(), self._scope.now
        for queue, tasks in mirror.held.items():
            worker = mirror.workers.get(queue)
            due = [
                task
                for task, held in tasks.items()
                if task in known.finished
                or task not in known.names
                or (held.begins <= now and held.orphaned(worker))
            ]
            for task in sorted(set(due) - taken, key=task_order):
                if len(steps) == room:
                    return steps
                if task in known.finished or task not in known.names:
                    step: _Step | None = self._clear(queue, task)
                elif (holder := self._holder(queue, task)) is not None:
                    step = self._clear(queue, task, holder)
                else:
                    step = self._move(queue, task, tasks[task], places)
                if step is not None:
                    steps.append(step)
                    taken.add(task)
        for task in sorted(filter(ready, known.bad), key=task_order)[: room - len(steps)]:
            steps.append(self._give_up(task, Outcome(reason=known.bad[task].reason)))
        for task, its in known.queued.items():
            if len(steps) == room or places.all_full:
                break
            labels = its.waiting.labels
            if places.is_full(labels) or not ready(task) or not known.may_begin(task):
                continue
            target = places.first(labels)
            if target is not None:
                steps.append(self._assign(task, target, Assignment(1, labels=tuple(sorted(labels)))))
        taken |= {step.task for step in steps}
        others = (step for step in requests if step.task not in taken)
        return steps + list(islice(others, room - len(steps)))

    def _places(self) -> Placement:
        scope = self._scope
        return Placement(
            self._mirror,
            self._experience,
            scope.now,
            at_hand=scope.limits.at_hand,
            max_attempts=self._max_attempts,
            closed=self._closed,
        )

    def _cancellations(self) -> Iterator[_Step]:
        """Tasks with a cancel request that no worker of ours will end; and requests that can be deleted."""
        mirror, known = self._mirror, self._mirror.tasks
        for task in mirror.cancels_in_order:
            if task not in mirror.cancels or task in self._aside:
                continue
            if task in known.finished or task in mirror.pointless:
                yield _Step(task, [Delete(cancel_path(task))], partial(mirror.granted, task))
                continue
            queue = next(iter(known.holders(task)), None)
            worker = mirror.workers.get(queue) if queue is not None else None
            if queue is None:
                due = known.waits(task) and task not in known.unread
            else:
                due = mirror.held[queue][task].orphaned(worker) or worker is None or worker.adopted
            if due:
                began = self._began(queue, task)
                outcome = Outcome(attempt=began, reason="cancelled before it began", cancelled=True)
                yield self._give_up(task, outcome, queue)

    def _began(self, queue: str | None, task: str) -> int | None:
        """The last attempt that some worker was given. None: none was."""
        if queue is None:
            return None
        attempt = self._mirror.held[queue][task].assignment.attempt
        return (attempt - (queue == NOBODY)) or None

    def _requested(self) -> Iterator[_Step]:
        """Tasks that are to run again; and requests that can be deleted."""
        requests, known = self._mirror.requests, self._mirror.tasks
        for task in [*requests.pointless, *requests.removals, *requests.runs]:
            if task in self._aside:
                continue
            held = known.holders(task)
            if task in requests.pointless:
                yield _Step(task, [Delete(request_path(task))], partial(requests.granted, task))
            elif task not in known.finished:
                if held or known.waits(task) or task not in known.names:
                    requests.doubt(task)
            elif task in requests.runs and not held:  # otherwise its assignment goes first
                yield self._run_again(task, requests.runs[task])

    def _run_again(self, task: str, again: Again) -> _Step:
        end: list[Op] = [Delete(status_path(task)), Delete(result_path(task))]
        ops = [Delete(request_path(task)), *end, Create(assign_path(NOBODY, task), again.attempt.encode())]

        def apply() -> None:
            self._mirror.run_again(task, again)
            self.counters["run_again"] += 1

        return _Step(task, ops, apply)

    def _assign(self, task: str, target: str, attempt: Assignment) -> _Step:
        incarnation = self._mirror.workers[target].incarnation
        assignment = replace(attempt, incarnation=incarnation, epoch=self._epoch)

        def apply() -> None:
            self._mirror.assigned(target, task, assignment)
            self.counters["assigned"] += 1
            self._experience.given[target] = self.counters["assigned"]

        return _Step(task, [Create(assign_path(target, task), assignment.encode())], apply, target)

    def _move(self, queue: str, task: str, held: Held, places: Placement) -> _Step | None:
        """It was returned, or its worker is gone or has another incarnation. None: nobody has room for it."""
        last = held.assignment
        if queue != NOBODY:
            last = replace(last, attempt=last.attempt + 1, lost=self._guilty(queue, last))
            if len(last.lost) >= self._max_attempts:
                if self._may_come_back(task, last.attempt):
                    return None
                attempts = last.attempt - 1
                reason = f"given up after {attempts} attempts: {len(last.lost)} workers died while running it"
                return self._give_up(task, Outcome(attempt=attempts, reason=reason), queue)
        if places.is_full(frozenset(last.labels)):
            return None
        # If a person put it into several queues, each of these has its own to move.
        others = self._mirror.tasks.holders(task).keys() - {queue}
        target = places.again(held, last, others)
        if target is None:
            return None
        step = self._assign(task, target, replace(last, pause=0.0, failed_on=""))

        def apply() -> None:
            self._doomed.pop(task, None)
            self._mirror.released(queue, task)  # before: the target may be the same queue
            step.apply()
            self.counters["reassigned"] += 1

        return _Step(task, [Delete(assign_path(queue, task)), *step.ops], apply, target)

    def _may_come_back(self, task: str, attempt: int) -> bool:
        """Whether its last worker has still time to say that it lives on."""
        now = self._scope.now
        known, until = self._doomed.get(task, (0, 0.0))
        if known != attempt:
            until = now + self._process.timeout
            self._doomed[task] = attempt, until
            self._process.scope().after(self._process.timeout, self._act_soon)
        return now < until

    def _guilty(self, queue: str, last: Assignment) -> tuple[str, ...]:
        """Who was lost over the task and may have died of it: not who lives on or was told to stop."""

        lost = (*last.lost, incarnation_of(queue, last.incarnation))
        return tuple(one for one in lost if not any(one in w.outlived for w in self._mirror.workers.values()))

    def _give_up(self, task: str, outcome: Outcome, queue: str | None = None) -> _Step:
        ops: list[Op] = [Delete(assign_path(queue, task))] if queue is not None else []
        ops.append(Create(status_path(task), outcome.status.encode()))
        if task not in self._has_result:
            ops.append(Create(result_path(task), outcome.encode()))
        if outcome.cancelled:
            ops.append(Delete(cancel_path(task)))

        def apply() -> None:
            if outcome.cancelled:
                self._mirror.granted(task)
            if queue is not None:
                self._mirror.released(queue, task)
            self._mirror.given_up(task)
            self._has_result.discard(task)
            self._doomed.pop(task, None)
            self.counters["cancelled" if outcome.cancelled else "given_up"] += 1

        return _Step(task, ops, apply)

    def _holder(self, queue: str, task: str) -> str | None:
        """Who runs it, if a person put it into this queue, too; for /returned, whoever holds it."""
        for other, held in self._mirror.tasks.holders(task).items():
            runs = queue == NOBODY or not held.orphaned(self._mirror.workers.get(other))
            if other != queue and runs:
                return other
        return None

    def _clear(self, queue: str, task: str, holder: str | None = None) -> _Step:
        """A useless assignment: the task is finished or was deleted, or ``holder`` really has it."""
        ops: list[Op] = [Check(assign_path(holder, task))] if holder is not None else []
        ops.append(Delete(assign_path(queue, task)))
        return _Step(task, ops, lambda: self._mirror.cleared(queue, task))
