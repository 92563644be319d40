"""The worker: registers, runs what is assigned to it, and records how it ended.

    disconnected  no connection, or it has not found itself registered on this one yet; what runs continues
    waiting       the name is held by another session (perhaps an earlier one of ours): wait for its end
    ready         registered under an incarnation; runs up to ``slots`` tasks at once
    paused        marks /workers/<name>: takes nothing new, hands back what waits, finishes what runs
    draining      the same, and leaves when nothing runs any more
    stopped       it has left

In the states of SERVING it is registered, and acts. If it finds its registration gone, it kills what it runs
and registers anew; meanwhile it keeps its state. When the session is over every command is killed, before the
ensemble gives its task to another.

Its identity is its incarnation: the version that ``/assign/<name>`` got in the transaction that created
``/workers/<name>``. Every write checks it.
"""

import logging
import math
from functools import partial
from heapq import heappop, heappush
from typing import Any

from mwapp.core.job import WORKER_RETRY_SECONDS, Job, Recorder
from mwapp.core.layout import ensure_parents
from mwapp.core.listing import list_again
from mwapp.core.messages import Check, Create, Delete, Error, Exited, Failed, Node, Op, Set, Stat
from mwapp.core.outlived import Outlived
from mwapp.core.protocol import (
    CANCEL,
    FAILED,
    LOST,
    Assignment,
    Outcome,
    Registration,
    assign_path,
    cancel_path,
    secret_path,
    show_session,
    task_path,
    worker_path,
)
from mwapp.core.running import Running
from mwapp.core.session import AGAIN_SECONDS, GONE, REFUSED, Process, Scope
from mwapp.core.states import step
from mwapp.core.task import BadTaskError, Task, decode_secrets, task_order

log = logging.getLogger(__name__)

DRAIN_SECONDS = 30.0
# So long a worker that stops waits for what it has killed, and to hand it back.
HAND_BACK_SECONDS = 2.0
SERVING = ("ready", "paused", "draining")
TRANSITIONS = {
    "disconnected": ("disconnected", "waiting", *SERVING, "stopped"),
    "waiting": (*SERVING, "disconnected", "stopped"),
    "ready": (*SERVING, "waiting", "disconnected", "stopped"),
    "paused": (*SERVING, "waiting", "disconnected", "stopped"),
    "draining": ("draining", "waiting", "disconnected", "stopped"),
    "stopped": ("stopped",),
}
# What cannot begin it hands back after so many times limits.at_hand.
KEEPS = 2.5
# The shortest wait until it looks at them again, seconds.
LEAST_LOOK_SECONDS = 0.01
# A task fails after so many refused reads of its secret values, one a second: it has a slot meanwhile.
MOST_REFUSALS = 30
# A worker checks this often, in seconds, whether its registration is still its own.
VERIFY_SECONDS = 5.0


class Worker:
    """A worker, and a :class:`~mwapp.core.session.Part` of its process.

    ``address`` is the ``host:port`` that its znode shows; ``slots`` the number of tasks it runs at once;
    ``prefetch`` the number of tasks it takes beyond the slots at most; ``labels`` what tasks may ask for;
    ``drain`` how many seconds a graceful stop waits for running commands.
    """

    def __init__(
        self,
        process: Process,
        name: str,
        address: str,
        *,
        slots: int = 1,
        prefetch: int = 0,
        labels: tuple[str, ...] = (),
        drain: float = DRAIN_SECONDS,
    ) -> None:
        self._process = process
        self._name = name
        self._address = address
        self._prefetch = prefetch
        self._labels = labels
        self._drain = drain
        self._scope: Scope = process.scope()
        self._incarnation: int | None = None
        # Asked for an incarnation, and not told what became of it. A cut does not settle that: so no state.
        self._may_be_registered = False
        self._outlived = Outlived(process.ended)  # of the incarnations before
        self._jobs: dict[str, Job] = {}
        self._running = Running(process, name, slots)  # of them
        self._next: list[tuple[int, str]] = []  # a heap of those that wait, and some that no longer do
        self._recorder = Recorder(
            name, over=self._recorded, taken_over=self._taken_over, at_hand=lambda: len(self._next)
        )
        self._cancels: set[str] = set()  # tasks with a cancel request
        self._cancels_listed = -math.inf
        self.state = "disconnected"
        # Asked to pause, and not to resume. That may come in any state, and outlasts connections.
        self._to_pause = False
        # For all we know our znode says that we take nothing new. It says so later than our state, and a
        # person may set it.
        self._marked = False
        self._looks: Scope | None = None  # has a timer to look at what waits; a cut ends both
        self.counters = {
            "started": 0,
            "done": 0,
            "failed": 0,
            "cancelled": 0,
            "returned": 0,
            "killed": 0,
        }
        process.add(self)

    # ------------------------------------------------------------ Part

    def connected(self) -> None:
        """Register, or find that we are still registered, and read what is assigned."""
        self._restart()

    def suspended(self) -> None:
        """Commands continue: the session may live. We record what ends meanwhile when we are back."""
        self._scope.cancel()
        self._recorder.end()
        self._become("disconnected")

    def expired(self) -> None:
        """What runs here is no longer ours to finish."""
        self._scope.cancel()
        self._forget("session over")
        self._become("disconnected")
        if self._process.stopping:
            self._process.part_stopped(self)

    def closed(self, session: int) -> None:
        """If its registration was in our way, its watch tells."""

    def exited(self, event: Exited) -> None:
        """A command is over: record it, unless it never began, or was killed with its session."""
        job, outcome = self._running.over(event)
        if outcome is not None:
            self._end(job, outcome)
        elif job.state == "leaving":
            job.interrupted()
            self._record(job)
        else:
            heappush(self._next, task_order(job.name))
        if self.state in SERVING:
            self._start()

    def stop(self) -> None:
        """Drain: hand back what has not begun, finish what runs, kill and hand back what runs too long, then
        leave."""
        if self._incarnation is None:
            self._leave()
            return
        self._process.scope().after(self._drain, self._interrupt)
        if self.state in SERVING:  # otherwise as soon as it is
            self._become("draining")
            self._take_nothing_new()

    def pause(self) -> None:
        """Take nothing new until :meth:`resume`, hand back what has not begun, finish what runs."""
        self._to_pause = True
        if self.state == "ready":
            self._become("paused")
            self._take_nothing_new()

    def resume(self) -> None:
        """Take tasks again."""
        self._to_pause = False
        if self.state == "paused":
            self._become("ready")
            self._reopen()

    def status(self) -> dict[str, Any]:
        """State, incarnation and counters."""
        return {
            "state": self.state,
            "incarnation": self._incarnation,
            "slots": self._running.slots,
            "labels": list(self._labels),
            "running": sorted(self._running.names, key=task_order),
            "queued": sum(job.state == "waits" for job in self._jobs.values()),
            "counters": dict(self.counters),
        }

    # ------------------------------------------------------------ the state

    def _become(self, state: str) -> None:
        """Every change of the state."""
        self.state = step(TRANSITIONS, self.state, state)

    @property
    def _serves_as(self) -> str:
        """Which of SERVING it was asked to be: its state as soon as it knows that it is registered."""
        return "draining" if self._process.stopping else "paused" if self._to_pause else "ready"

    # ------------------------------------------------------------ registration

    def _restart(self) -> None:
        self._scope.cancel()
        self._scope = self._process.scope()
        self._become("disconnected")  # the queue's watch went with the scope: serve anew even if registered
        ensure_parents(self._scope, self._look)
        self._verify_later()

    def _look(self) -> None:
        self._scope.exists(worker_path(self._name), self._seen, watch=self._look)

    def _seen(self, stat: Stat | None) -> None:
        if stat is not None and stat.owner == self._process.session:
            if self._incarnation is None:  # the reply was lost, or a person set the queue
                marked = stat.version > 0
                self._scope.get(assign_path(self._name), partial(self._resolve, marked))
            elif self.state not in SERVING:
                self._marked = self._marked or stat.version > 0
                self._serve()
            elif self.state == "ready" and stat.version and not self._marked:  # set by a person
                self._reopen()
        elif stat is not None:
            self._forget("the name is held by another session")
            if self.state != "waiting":
                self._become("waiting")
                holder = (
                    f"session {show_session(stat.owner)}"
                    if stat.owner
                    else "a znode created by hand (delete it)"
                )
                log.warning("waiting: %s holds the name %s", holder, self._name)
        elif self._process.stopping:
            self._leave()
        else:
            self._forget("registration is gone")
            self._scope.get(assign_path(self._name), self._register)

    def _register(self, queue: Node | Failed, *, anew: bool = False) -> None:
        """``anew``: our znode exists, and is deleted in the same transaction if the queue is as it was
        read."""
        session = self._process.session or 0
        data = Registration(
            session,
            self._running.slots,
            labels=self._labels,
            outlived=self._outlived.in_registration(queue, session),
            prefetch=self._prefetch,
        ).encode()
        path = assign_path(self._name)
        ops: list[Op] = [Create(worker_path(self._name), self._address.encode(), ephemeral=True)]
        marked = self._serves_as != "ready"
        if marked:  # from the start: a master must not see it without the mark
            ops.append(Set(worker_path(self._name), self._address.encode()))
        if isinstance(queue, Node):
            ops.append(Set(path, data, queue.stat.version if anew else -1))
        else:
            ops.append(Create(path, data))
        if anew:
            ops.insert(0, Delete(worker_path(self._name)))

        def done(result: tuple[Any, ...] | Failed) -> None:
            self._may_be_registered = False
            if isinstance(result, tuple):
                self._registered(result[-1].version if isinstance(result[-1], Stat) else 0, marked)
            elif result.index == 0 and result.error is Error.NODE_EXISTS:
                self._look()  # somebody was faster on the name
            else:  # a parent was deleted by hand, say
                self._scope.after(WORKER_RETRY_SECONDS, self._restart)

        self._may_be_registered = True
        self._scope.transact(ops, done)

    def _resolve(self, marked: bool, queue: Node | Failed) -> None:
        ours = isinstance(queue, Node) and self._ours(queue) and queue.stat.version > self._outlived.last
        if isinstance(queue, Node) and ours and self._may_be_registered:
            self._may_be_registered = False
            self._registered(queue.stat.version, marked)
        else:  # somebody worked by hand. By registering anew we tell the master, too: seed 5105519
            self._register(queue, anew=True)

    def _ours(self, queue: Node) -> bool:
        """Whether we registered there."""
        registered = Registration.decode(queue.data)
        return (
            registered is not None and registered.session == self._process.session and not registered.adopted
        )

    def _registered(self, incarnation: int, marked: bool) -> None:
        """``marked``: as taking nothing new. That may have changed while we did not know that we are
        registered."""
        last = self._outlived.last
        if incarnation <= last:
            log.error("incarnation %d follows %d: %s %s", incarnation, last, LOST, assign_path(self._name))
        self._incarnation = incarnation
        self._marked = marked
        log.info("registered: %s, incarnation %d", self._name, incarnation)
        self._serve()

    def _serve(self) -> None:
        assert self._incarnation is not None  # noqa: S101 - who is registered has one; tells mypy
        self._become(self._serves_as)
        self._look_at_cancels()
        jobs = list(self._jobs.values())
        for job in jobs:
            job.read = False
        self._recorder.begin(self._process.scope(), self._incarnation)
        self._read_again(jobs)
        if self.state != "ready":
            self._take_nothing_new()
        elif self._marked:
            self._reopen()

    def _read_again(self, jobs: list[Job]) -> None:
        paths = [assign_path(self._name, job.name) for job in jobs]
        self._scope.get_all(paths, partial(self._recognize, jobs))

    def _recognize(self, jobs: list[Job], nodes: list[Node | Failed]) -> None:
        """A job is still ours if its assignment is the same znode.

        We may have recorded it without hearing the reply; then the task may be back as another attempt. Or
        the ensemble has lost acknowledged writes, and another task has its name and numbers.
        """
        for job, node in zip(jobs, nodes, strict=True):
            if self._jobs.get(job.name) is not job:
                continue
            if node == REFUSED:
                log.error("no permission to read the assignment of %s: trying again", job.name)
                self._scope.after(AGAIN_SECONDS, partial(self._read_again, [job]))
            elif isinstance(node, Failed) or node.stat.czxid != job.czxid:
                del self._jobs[job.name]
                self._kill(job, "its assignment is gone")
            else:
                job.read = True
                self._record(job)
                self._read_secrets(job)
        self._look_at_queue()

    # ------------------------------------------------------------ assignments

    def _look_at_queue(self) -> None:
        self._scope.children(assign_path(self._name), self._queue_seen, watch=self._look_at_queue)

    def _queue_seen(self, names: tuple[str, ...] | Failed) -> None:
        if isinstance(names, Failed):  # the queue was deleted by hand, and our incarnation with it
            self._forget("queue is gone")
            self._register(names, anew=True)
            return
        for name in sorted(self._jobs.keys() - set(names)):
            job = self._jobs[name]
            if job.state != "over":  # taken from us; if it is over, recording it will find that out
                del self._jobs[name]
                self._kill(job, "its assignment is gone")
        self._read_assignments(sorted(set(names) - self._jobs.keys(), key=task_order))

    def _read_assignments(self, names: list[str]) -> None:
        paths = [path for name in names for path in (assign_path(self._name, name), task_path(name))]
        # A request that we know of may be about an earlier attempt, and deleted since.
        cancelled = [name for name in names if name in self._cancels]
        paths += map(cancel_path, cancelled)
        self._scope.get_all(paths, partial(self._assignments_read, names, cancelled))

    def _assignments_read(self, names: list[str], cancelled: list[str], nodes: list[Node | Failed]) -> None:
        assignments = nodes[: 2 * len(names)]
        requests = dict(zip(cancelled, nodes[2 * len(names) :], strict=True))
        self._cancels -= {name for name, node in requests.items() if node == GONE}
        for name, assigned, task in zip(names, assignments[::2], assignments[1::2], strict=True):
            if name in self._jobs or self._incarnation is None:
                continue
            if REFUSED in (assigned, task, requests.get(name)):
                log.error("no permission to read all that there is of %s: trying again", name)
                self._scope.after(AGAIN_SECONDS, partial(self._read_assignments, [name]))
                continue
            if isinstance(assigned, Failed):
                continue
            assignment = Assignment.decode(assigned.data)
            if not assignment.meant_for(self._incarnation):
                # An orphan of an earlier incarnation, which the master moves; unless we are that incarnation.
                self._scope.get(assign_path(self._name), self._verify)
                continue
            job = self._jobs[name] = Job(name, assignment, assigned.stat.czxid)
            heappush(self._next, task_order(name))
            try:
                if isinstance(task, Failed):
                    raise BadTaskError("the task was deleted before it began")
                job.task, job.submitted = Task.decode(task.data), task.stat.czxid
                self._read_secrets(job)
            except BadTaskError as error:
                self._fail(job, str(error))
            if name in self._cancels:
                self._cancel(job)
        self._start()

    def _read_secrets(self, job: Job) -> None:
        """If it has secret values, read them: it begins when they are known."""
        if job.lacks_secrets:
            path = secret_path(job.name)
            self._scope.get_all([path], lambda nodes: self._secrets_read(job, nodes[0]))

    def _secrets_read(self, job: Job, node: Node | Failed) -> None:
        if self._jobs.get(job.name) is not job or not job.lacks_secrets:
            return
        if node == REFUSED:
            job.refusals += 1
            if job.refusals == MOST_REFUSALS:
                self._fail(job, "this worker may not read its secret values: mwapp_acl, mwapp acl on")
                return
            log.error("no permission to read %s: trying again", secret_path(job.name))
            self._scope.after(AGAIN_SECONDS, partial(self._read_secrets, job))
            return
        try:
            # Created in another transaction they are not those of this task, but of a namesake, say.
            if isinstance(node, Failed) or node.stat.czxid != job.submitted:
                raise BadTaskError("its secret values were deleted before it began")
            job.secrets = decode_secrets(node.data, job.task.secrets)
        except BadTaskError as error:
            self._fail(job, str(error))
        heappush(self._next, task_order(job.name))
        self._start()

    def _start(self) -> None:
        """Start as many as there is room for, in the order of submission."""
        if self._serves_as != "ready":  # not the state: it may not serve yet, or no longer
            for job in [job for job in self._jobs.values() if job.state == "waits"]:
                job.handed_back()
                self._record(job)
            self._leave_if_idle()
            return
        while self._next and self._running.room:
            _, name = heappop(self._next)
            next_one = self._jobs.get(name)
            if next_one is None or next_one.lacks_secrets:  # it comes again when they are read
                continue
            if next_one.state == "waits" and self._running.may_start(next_one):
                self.counters["started"] += 1
                self._running.start(next_one, self._incarnation)
        self._look_at_what_waits()

    def _look_at_what_waits(self) -> None:
        """Hand back what has not begun, if all slots have been busy for long: another worker may be idle."""
        patience = KEEPS * self._process.limits.at_hand
        if not self._next or self._running.room or patience == math.inf or self._looks is self._scope:
            return
        scope = self._looks = self._scope

        def look() -> None:
            self._looks = None
            if self.state in SERVING and not self._running.room and self._running.since_start >= patience:
                for job in [job for job in self._jobs.values() if job.state == "waits"]:
                    job.handed_back()
                    self._record(job)
                self._next.clear()
            self._look_at_what_waits()

        scope.after(max(patience - self._running.since_start, LEAST_LOOK_SECONDS), look)

    # ------------------------------------------------------------ cancel requests

    def _look_at_cancels(self) -> None:
        self._scope.children(CANCEL, self._cancels_seen, watch=self._look_at_cancels_again)

    def _look_at_cancels_again(self) -> None:
        list_again(self._scope, self._look_at_cancels, listed=self._cancels_listed, names=len(self._cancels))

    def _cancels_seen(self, names: tuple[str, ...] | Failed) -> None:
        self._cancels_listed = self._scope.now
        if isinstance(names, Failed):  # deleted by hand; there may be one again
            self._scope.after(WORKER_RETRY_SECONDS, self._look_at_cancels)
            return
        self._cancels = set(names)
        for name in sorted(self._jobs.keys() & self._cancels):
            self._cancel(self._jobs[name])

    def _cancel(self, job: Job) -> None:
        if job.state in ("cancelled", "over"):
            return
        if self._running.end(job):
            job.become("cancelled")
        else:
            reason = "cancelled before it began"
            self._end(job, Outcome(self._name, job.assignment.attempt, reason=reason, cancelled=True))

    # ------------------------------------------------------------ recording

    def _end(self, job: Job, outcome: Outcome) -> None:
        """The run is over, and the task too, unless it failed and has retries left."""
        if outcome.status == FAILED and job.assignment.failures < job.task.retries:
            log.info("%s: attempt %d failed, it will be tried again", job.name, job.assignment.attempt)
            job.failed(self._name)
        else:
            job.ended(outcome)
        self._record(job)

    def _fail(self, job: Job, reason: str) -> None:
        """It cannot begin. Tried again it could not either, so its retries do not count."""
        job.ended(Outcome(worker=self._name, attempt=job.assignment.attempt, reason=reason))
        self._record(job)

    def _record(self, job: Job) -> None:
        """Have it recorded if it is over and certainly ours; otherwise as soon as we have read that it is."""
        if job.read and job.state == "over" and self._incarnation is not None:
            self._recorder.record(job)

    def _recorded(self, job: Job, as_said: bool) -> None:
        if as_said:
            self.counters[job.ends_as] += 1
        self._jobs.pop(job.name, None)
        self._leave_if_idle()

    # ------------------------------------------------------------ taking nothing new, and leaving

    def _take_nothing_new(self) -> None:
        self._marked = True
        mark: list[Op] = [self._still_me(), Set(worker_path(self._name), self._address.encode())]

        def done(result: tuple[Any, ...] | Failed) -> None:
            if isinstance(result, Failed) and result.error is Error.REFUSED:
                self._scope.after(WORKER_RETRY_SECONDS, self._restart)
            elif isinstance(result, Failed) and result.index == 0:
                self._taken_over()
            else:  # tasks assigned before the mark are handed back, too, so read the queue again
                self._look_at_queue()

        self._scope.transact(mark, done)

    def _reopen(self) -> None:
        """Our znode starts at version 0 again; the incarnation stays."""
        path = worker_path(self._name)
        ops: list[Op] = [self._still_me(), Delete(path)]
        ops.append(Create(path, self._address.encode(), ephemeral=True))

        def done(result: tuple[Any, ...] | Failed) -> None:
            if isinstance(result, Failed) and result.index == 0 and result.error is not Error.REFUSED:
                self._taken_over()
            elif isinstance(result, Failed):
                self._scope.after(WORKER_RETRY_SECONDS, self._restart)
            elif self.state == "ready":
                self._marked = False

        self._scope.transact(ops, done)

    def _still_me(self) -> Check:
        """Without this check an earlier incarnation could act for a later one."""
        return Check(assign_path(self._name), self._incarnation if self._incarnation is not None else -1)

    def _leave_if_idle(self) -> None:
        if self._process.stopping and not self._jobs:
            self._leave()

    def _interrupt(self) -> None:
        """What still runs is killed and handed back. What we cannot hand back in time, the master moves once
        our session is closed; that the task is not to blame it learns from the process that comes next."""
        for job in self._jobs.values():
            self.counters["killed"] += self._running.interrupt(job)
        if self.state in SERVING:
            self._process.scope().after(HAND_BACK_SECONDS, self._leave)
        else:
            self._leave()

    def _leave(self) -> None:
        """Kill what still runs."""
        self._forget("worker stops")
        self._scope.cancel()
        self._become("stopped")
        self._process.part_stopped(self)

    def _verify_later(self) -> None:
        """No watch tells us that a person set our queue, or deleted it and a master created it again."""

        def verify() -> None:
            if self._incarnation is not None:
                self._scope.get(assign_path(self._name), self._verify)
                self._look_at_queue()  # nor that an assignment for another incarnation is for us now
            self._verify_later()

        self._scope.after(VERIFY_SECONDS, verify)

    def _verify(self, queue: Node | Failed) -> None:
        """Check that the registration is ours, and not only its incarnation's number."""
        if isinstance(queue, Failed) or self._incarnation is None:
            return
        if queue.stat.version != self._incarnation or not self._ours(queue):
            self._taken_over()

    def _taken_over(self) -> None:
        """Another incarnation has our name: a person set the queue by hand, say."""
        self._forget("registration was taken over")
        self._become("disconnected")
        self._scope.after(WORKER_RETRY_SECONDS, self._restart)

    def _forget(self, why: str) -> None:
        """We are no longer registered: stop everything we run."""
        if self._incarnation is not None:
            self._outlived.add(self._incarnation)
        self._incarnation = None
        self._recorder.end()
        for job in self._jobs.values():
            self._kill(job, why)
        self._jobs.clear()
        self._next.clear()

    def _kill(self, job: Job, why: str) -> None:
        self.counters["killed"] += self._running.kill(job, why)
