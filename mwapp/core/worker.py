"""The worker: registers, runs what is assigned to it, completes it in one transaction.

    waiting   -> the name is held by another session (perhaps an earlier one of ours): wait for its end
    ready     -> registered under an incarnation; runs up to ``slots`` tasks at once
    draining  -> /workers/<name> is at version 1: takes nothing new, finishes what runs
    (any)     -> session over: every command is killed before the ensemble gives its task to another

Who it is, is its incarnation: the version that ``/assign/<name>`` got in the transaction that created
``/workers/<name>``. Every completion checks it and deletes the assignment, and that deletion is the
fence: an assignment that is no longer mine cannot be completed by me.
"""

import logging
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import Any

from mwapp.core.layout import ensure_parents
from mwapp.core.messages import Check, Create, Delete, Error, Exited, Failed, Node, Op, Set, Stat
from mwapp.core.protocol import (
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
from mwapp.core.session import Process, Scope

log = logging.getLogger(__name__)

RETRY_SECONDS = 1.0
DRAIN_SECONDS = 30.0


@dataclass(slots=True)
class _Job:
    """An assignment of this incarnation. It is queued, running, or over and to be recorded."""

    name: str
    assignment: Assignment
    task: Task | None = None  # None until read
    run: int | None = None  # the command's number while it runs
    outcome: Outcome | None = None  # once it is over


class Worker:
    """A worker, and a :class:`~mwapp.core.session.Part` of its process.

    ``address`` is the ``host:port`` that its znode shows; ``slots`` how many tasks it runs at once;
    ``drain`` how long a graceful stop waits for running commands, seconds.
    """

    def __init__(
        self, process: Process, name: str, address: str, *, slots: int = 1, drain: float = DRAIN_SECONDS
    ) -> None:
        self._process = process
        self._name = name
        self._address = address
        self._slots = slots
        self._drain = drain
        self._scope: Scope = process.scope()
        self._incarnation: int | None = None
        self._jobs: dict[str, _Job] = {}
        self._runs = count(1)
        self._draining = False
        self.state = "disconnected"
        self.counters = {"started": 0, "done": 0, "failed": 0, "killed": 0}
        process.add(self)

    # ------------------------------------------------------------ Part

    def connected(self) -> None:
        """Register, or find that we still are, and see what is assigned."""
        self._restart()

    def suspended(self) -> None:
        """Commands go on: the session may live."""
        self._scope.cancel()
        self.state = "disconnected"

    def expired(self) -> None:
        """Whatever runs is no longer ours to finish."""
        self._scope.cancel()
        self._forget("session over")
        self.state = "disconnected"
        if self._process.stopping:
            self._process.part_stopped(self)

    def exited(self, event: Exited) -> None:
        """A command is over: record it. One that was killed belongs to nobody."""
        job = next((job for job in self._jobs.values() if job.run == event.run), None)
        if job is None:
            return
        output = event.output.decode(errors="replace")
        job.run = None
        job.outcome = Outcome(
            worker=self._name,
            attempt=job.assignment.attempt,
            code=event.code,
            output=output if event.code is not None else "",
            truncated=event.truncated,
            seconds=round(event.seconds, 3),
            reason=None if event.code is not None else f"could not be started: {output}",
        )
        self._record(job)

    def stop(self) -> None:
        """Drain: hand back what has not begun, finish what runs, then leave."""
        self._draining = True
        if self._incarnation is None:
            self._leave()
            return
        self._process.scope().after(self._drain, self._leave)
        if self.state == "ready":  # otherwise as soon as it is
            self._announce_drain()

    def status(self) -> dict[str, Any]:
        """State, incarnation and counters."""
        running = [job.name for job in self._jobs.values() if job.run is not None]
        return {
            "state": self.state,
            "incarnation": self._incarnation,
            "slots": self._slots,
            "running": sorted(running, key=task_order),
            "queued": sum(job.run is None and job.outcome is None for job in self._jobs.values()),
            "counters": dict(self.counters),
        }

    # ------------------------------------------------------------ registration

    def _restart(self) -> None:
        self._scope.cancel()
        self._scope = self._process.scope()
        self.state = "disconnected"  # the queue's watch went with the scope: serve anew even if registered
        ensure_parents(self._scope, self._look)

    def _look(self) -> None:
        self._scope.exists(worker_path(self._name), self._seen, watch=self._look)

    def _seen(self, stat: Stat | Failed | None) -> None:
        if isinstance(stat, Failed):
            self._scope.after(RETRY_SECONDS, self._restart)
        elif stat is not None and stat.owner == self._process.session:
            if self._incarnation is None:  # registered, but the reply was lost
                self._scope.get(assign_path(self._name), self._resolve)
            elif self.state in ("disconnected", "waiting"):
                self._serve()
        elif stat is not None:
            self._forget("the name is held by another session")
            if self.state != "waiting":
                self.state = "waiting"
                log.warning("waiting: session %s holds the name %s", show_session(stat.owner), self._name)
        elif self._process.stopping:
            self._leave()
        else:
            self._forget("registration is gone")
            self._scope.get(assign_path(self._name), self._register)

    def _register(self, queue: Node | Failed) -> None:
        data = Registration(self._process.session or 0, self._slots).encode()
        path = assign_path(self._name)
        ops: list[Op] = [Create(worker_path(self._name), self._address.encode(), ephemeral=True)]
        ops.append(Set(path, data) if isinstance(queue, Node) else Create(path, data))

        def done(result: tuple[Any, ...] | Failed) -> None:
            if isinstance(result, tuple):
                self._registered(result[1].version if isinstance(result[1], Stat) else 0)
            elif result.index == 0 and result.error is Error.NODE_EXISTS:
                self._look()  # somebody was faster on the name
            else:  # a parent was deleted by hand, say
                self._scope.after(RETRY_SECONDS, self._restart)

        self._scope.transact(ops, done)

    def _resolve(self, queue: Node | Failed) -> None:
        registered = Registration.decode(queue.data) if isinstance(queue, Node) else None
        ours = registered and registered.session == self._process.session and not registered.adopted
        if isinstance(queue, Node) and ours:
            self._registered(queue.stat.version)
        else:  # our znode without our registration: somebody worked by hand. Begin anew.
            self._scope.transact([Delete(worker_path(self._name))], lambda _: self._look())

    def _registered(self, incarnation: int) -> None:
        self._incarnation = incarnation
        log.info("registered: %s, incarnation %d", self._name, incarnation)
        self._serve()

    def _serve(self) -> None:
        self.state = "ready"
        self._look_at_queue()
        for job in list(self._jobs.values()):
            if job.outcome is not None:
                self._record(job)
        if self._draining:
            self._announce_drain()

    # ------------------------------------------------------------ assignments

    def _look_at_queue(self) -> None:
        self._scope.children(assign_path(self._name), self._queue_seen, watch=self._look_at_queue)

    def _queue_seen(self, names: tuple[str, ...] | Failed) -> None:
        if isinstance(names, Failed):  # the queue was deleted by hand, and our incarnation with it
            self._forget("queue is gone")
            self._scope.transact([Delete(worker_path(self._name))], lambda _: self._look())
            return
        for name in sorted(self._jobs.keys() - set(names)):
            job = self._jobs[name]
            if job.outcome is None:  # taken from us; if it is over, recording it finds out by itself
                del self._jobs[name]
                self._kill(job, "its assignment is gone")
        new = sorted(set(names) - self._jobs.keys(), key=task_order)
        self._scope.get_all(
            [path for name in new for path in (assign_path(self._name, name), task_path(name))],
            partial(self._assignments_read, new),
        )

    def _assignments_read(self, names: list[str], nodes: list[Node | Failed]) -> None:
        for name, assigned, task in zip(names, nodes[::2], nodes[1::2], strict=True):
            if isinstance(assigned, Failed) or name in self._jobs:
                continue
            assignment = Assignment.decode(assigned.data)
            if assignment.returned or self._incarnation is None:
                continue
            if not assignment.meant_for(self._incarnation):
                # An orphan of an earlier incarnation, which the master moves; unless it is we who are that.
                self._scope.get(assign_path(self._name), self._verify)
                continue
            job = self._jobs[name] = _Job(name, assignment)
            try:
                if isinstance(task, Failed):
                    raise BadTaskError("the task was deleted before it began")
                job.task = Task.decode(task.data)
            except BadTaskError as error:
                job.outcome = Outcome(worker=self._name, attempt=assignment.attempt, reason=str(error))
                self._record(job)
        self._start()

    def _start(self) -> None:
        """Begin what there is room for, in the order of submission."""
        waiting = [job for job in self._jobs.values() if job.run is None and job.outcome is None]
        if self._draining:
            for job in waiting:
                self._hand_back(job)
            self._leave_if_idle()
            return
        room = self._slots - sum(job.run is not None for job in self._jobs.values())
        for job in sorted(waiting, key=lambda job: task_order(job.name))[: max(0, room)]:
            if job.task is None:
                continue
            job.run = next(self._runs)
            self.counters["started"] += 1
            self._process.run(job.run, job.task.command, self._environment(job))

    def _environment(self, job: _Job) -> dict[str, str]:
        """The fencing token: attempt and epoch only grow for a task, so a store can refuse the older."""
        return {
            "MWAPP_TASK": job.name,
            "MWAPP_ATTEMPT": str(job.assignment.attempt),
            "MWAPP_EPOCH": str(job.assignment.epoch if job.assignment.epoch is not None else ""),
            "MWAPP_WORKER": self._name,
            "MWAPP_INCARNATION": str(self._incarnation),
        }

    # ------------------------------------------------------------ completion

    def _record(self, job: _Job) -> None:
        outcome = job.outcome
        if outcome is None or self._incarnation is None:
            return
        self._commit(
            job,
            Create(status_path(job.name), outcome.status.encode()),
            Create(result_path(job.name), outcome.encode()),
        )

    def _commit(self, job: _Job, *record: Op) -> None:
        ops: list[Op] = [self._still_me(), Delete(assign_path(self._name, job.name)), *record]
        self._scope.transact(ops, partial(self._committed, job))

    def _still_me(self) -> Check:
        """Without it an earlier incarnation could act on what was assigned to a later one."""
        return Check(assign_path(self._name), self._incarnation if self._incarnation is not None else -1)

    def _committed(self, job: _Job, result: tuple[Any, ...] | Failed) -> None:
        if isinstance(result, tuple):
            if job.outcome and len(result) > 2:
                self.counters[job.outcome.status] += 1
        elif result.index == 0:
            self._taken_over()
            return
        elif result.index == 2 and result.error in (Error.NODE_EXISTS, Error.NO_NODE):
            # The task has a final state already, or was deleted: nothing to record, only to let go.
            log.warning("%s: not recorded: %s", job.name, result.error.value)
            self._commit(job)
            return
        elif result.index == 3 and job.outcome:  # a person wrote a result: the status is what counts
            self._commit(job, Create(status_path(job.name), job.outcome.status.encode()))
            return
        elif result.index != 1 or result.error is not Error.NO_NODE:
            log.error("%s: cannot be recorded: %s", job.name, result.error.value)
            self._scope.after(RETRY_SECONDS, partial(self._record, job))
            return
        # Committed now; or the assignment is gone, so it was recorded before the reply was lost.
        self._jobs.pop(job.name, None)
        self._start()

    # ------------------------------------------------------------ leaving

    def _announce_drain(self) -> None:
        self.state = "draining"
        mark: list[Op] = [self._still_me(), Set(worker_path(self._name), self._address.encode())]
        # What was assigned before the mark is handed back, too, so the queue is read once more.
        self._scope.transact(mark, lambda _: self._look_at_queue())

    def _hand_back(self, job: _Job) -> None:
        assignment = replace(job.assignment, incarnation=self._incarnation, returned=True)
        ops: list[Op] = [self._still_me(), Set(assign_path(self._name, job.name), assignment.encode())]
        del self._jobs[job.name]
        self._scope.transact(ops, lambda _: self._leave_if_idle())

    def _leave_if_idle(self) -> None:
        if self._draining and not self._jobs:
            self._leave()

    def _leave(self) -> None:
        """Whatever still runs is killed, and moved by the master once our session is closed."""
        self._forget("worker stops")
        self._scope.cancel()
        self.state = "stopped"
        self._process.part_stopped(self)

    def _verify(self, queue: Node | Failed) -> None:
        if isinstance(queue, Node) and self._incarnation not in (None, queue.stat.version):
            self._taken_over()

    def _taken_over(self) -> None:
        """Another incarnation than ours bears the name: a person set the queue by hand, say."""
        self._forget("registration was taken over")
        self._scope.after(RETRY_SECONDS, self._restart)

    def _forget(self, why: str) -> None:
        """We are no registered worker any more: nothing of ours may go on running."""
        self._incarnation = None
        for job in self._jobs.values():
            self._kill(job, why)
        self._jobs.clear()

    def _kill(self, job: _Job, why: str) -> None:
        if job.run is not None:
            log.warning("%s: killed: %s", job.name, why)
            self.counters["killed"] += 1
            self._process.kill(job.run)
