"""A worker's jobs, and how it records them. A job:

    waits      to be started; again if its start took longer than the session was sure to last
    runs
    leaving    is being killed because the worker stops
    late       is being ended because it ran longer than its timeout
    cancelled  is being ended because it has a cancel request
    over       has to be recorded

One transaction at a time records all jobs that are over by then:

    check /assign/<worker>, my incarnation        or an earlier incarnation could act for a later one
    delete /assign/<worker>/<task>                 the fence: what is no longer mine cannot be ended by me
    create status and result                       it has ended
    or create /returned/<task>                     it has not: the master finds it another worker

If a transaction of several jobs is refused, each job is tried alone; that finds the one to blame.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from mwapp.core.backoff import pause
from mwapp.core.batching import Batching
from mwapp.core.messages import Check, Create, Delete, Error, Failed, Op
from mwapp.core.protocol import (
    NOBODY,
    Assignment,
    Outcome,
    assign_path,
    result_path,
    status_path,
)
from mwapp.core.session import Callback, Scope
from mwapp.core.states import step
from mwapp.core.task import Task

log = logging.getLogger(__name__)

WORKER_RETRY_SECONDS = 1.0
# Shorter output is not worth cutting, characters.
LEAST_OUTPUT = 100
# A shorter result is not what the ensemble refuses.
LEAST_RESULT = 1000
TRANSITIONS = {
    "waits": ("runs", "over"),
    "runs": ("waits", "leaving", "late", "cancelled", "over"),
    "leaving": ("late", "cancelled", "over"),
    "late": ("cancelled", "over"),
    "cancelled": ("over",),
    "over": ("over",),  # with less to be recorded
}

_UNREAD = Task("")


@dataclass(slots=True, eq=False)
class Job:
    """An assignment of this incarnation."""

    name: str
    assignment: Assignment
    czxid: int  # of the assignment's creation: no other has the same
    # Read on this connection: it is still that znode. In every state that is unknown again after a cut.
    read: bool = True
    task: Task = _UNREAD
    submitted: int = 0  # the czxid of the task, and of the znode with its secret values
    secrets: Mapping[str, str] | None = None  # None: not read yet
    refusals: int = 0  # reads of them that were refused
    state: str = "waits"
    run: int | None = None  # the command's number while there is one
    clock: Scope | None = None  # of its timeout
    # Once it is over:
    record: tuple[Op, ...] = ()  # what to create
    outcome: Outcome | None = None  # if the task has ended
    ends_as: str = ""  # the name of that counter

    @property
    def lacks_secrets(self) -> bool:
        """Whether it waits for its secret values to be read."""
        return self.state == "waits" and bool(self.task.secrets) and self.secrets is None

    def become(self, state: str) -> None:
        """Every change of the state."""
        self.state = step(TRANSITIONS, self.state, state)

    def ended(self, outcome: Outcome) -> None:
        """The task has a final state."""
        self.outcome = outcome
        status = Create(status_path(self.name), outcome.status.encode())
        self._over(outcome.status, status, Create(result_path(self.name), outcome.encode()))

    def shorten(self) -> bool:
        """Record less of the output, or no result. Returns whether there was enough of it."""
        if self.outcome is None:
            return False
        result = self.outcome.result or ""
        if len(self.outcome.output) < LEAST_OUTPUT and len(result) >= LEAST_RESULT:
            why = f"the ensemble does not take its result of {len(result)} characters (jute.maxbuffer)"
            self.ended(replace(self.outcome, result=None, reason=why))
            return True
        if len(self.outcome.output) < LEAST_OUTPUT:
            return False
        kept = self.outcome.output[: len(self.outcome.output) // 2]
        self.ended(replace(self.outcome, output=kept, truncated=True))
        return True

    def handed_back(self) -> None:
        """It has not begun, and goes to another worker, or to us once more, as the same attempt."""
        self._returned(self._next)

    def interrupted(self) -> None:
        """Its run was killed because the worker stops. It begins again elsewhere: no fault of the task's."""
        self._returned(replace(self._next, attempt=self.assignment.attempt + 1))

    @property
    def _next(self) -> Assignment:
        """For whoever gets it next."""
        return replace(self.assignment, incarnation=None, epoch=None, labels=self.task.labels)

    def failed(self, worker: str) -> None:
        """Its run on this worker failed. After a pause it is tried again, elsewhere if that can be."""
        failures = self.assignment.failures + 1
        wait = pause(self.name, failures, self.task.retry_delay)
        attempt = self.assignment.attempt + 1
        next_one = replace(self._next, attempt=attempt, failures=failures, pause=wait, failed_on=worker)
        self._returned(next_one)

    def _returned(self, then: Assignment) -> None:
        self._over("returned", Create(assign_path(NOBODY, self.name), then.encode()))

    def _over(self, ends_as: str, *record: Op) -> None:
        self.become("over")
        self.ends_as, self.record = ends_as, record


class Recorder:
    """Records jobs for one incarnation after the other. It calls ``over`` for each job when nothing is left
    to do for it, with whether the record was written; ``taken_over`` if another incarnation has the name.
    ``at_hand`` says how many other jobs wait to be started."""

    def __init__(
        self,
        worker: str,
        *,
        over: Callable[[Job, bool], None],
        taken_over: Callback,
        at_hand: Callable[[], int],
    ) -> None:
        self._worker = worker
        self._at_hand = at_hand
        self._over = over
        self._taken_over = taken_over
        self._batching = Batching(self._commit)
        self._scope: Scope | None = None
        self._incarnation = -1
        self._due: list[Job] = []
        self._busy = False
        self._alone = 0  # this many have to be tried one by one

    def begin(self, scope: Scope, incarnation: int) -> None:
        """Start for this incarnation, in this scope. Jobs that were under way have to be passed in again."""
        self.end()
        self._scope, self._incarnation = scope, incarnation

    def end(self) -> None:
        """Record nothing more, and report nothing more."""
        if self._scope is not None:
            self._scope.cancel()
        self._scope = None
        self._due, self._busy, self._alone = [], False, 0

    def record(self, job: Job) -> None:
        """Have it recorded, now or with the next transaction."""
        self._due.append(job)
        self._go_on()

    def _go_on(self) -> None:
        if self._scope is None:
            return
        if self._alone or len(self._due) >= self._scope.limits.batch:
            self._commit()
        elif self._due:
            self._batching.ask(self._scope)

    def _commit(self) -> int | None:
        if self._busy or not self._due or self._scope is None:
            return None
        batch: list[Job] = []
        ops: list[Op] = [Check(assign_path(self._worker), self._incarnation)]
        room = self._scope.limits.batch_bytes
        for job in self._due[: 1 if self._alone else self._scope.limits.batch]:
            room -= sum(len(op.data) for op in job.record if isinstance(op, Create))
            if batch and room < 0:
                break
            batch.append(job)
            ops += [Delete(assign_path(self._worker, job.name)), *job.record]
        del self._due[: len(batch)]
        self._busy = True
        self._scope.transact(ops, partial(self._committed, batch))
        return min(len(batch), self._at_hand())

    def _committed(self, batch: list[Job], result: tuple[Any, ...] | Failed) -> None:
        self._busy = False
        if isinstance(result, Failed) and result.index == 0 and result.error is not Error.REFUSED:
            self._taken_over()
            return
        if isinstance(result, Failed) and len(batch) > 1:
            self._due[:0] = batch
            self._alone = len(batch)
        else:
            self._alone = max(0, self._alone - 1)
            for job in batch:
                if isinstance(result, Failed):
                    self._refused(job, result)
                else:
                    self._over(job, bool(job.record))
        self._go_on()

    def _refused(self, job: Job, result: Failed) -> None:
        """The ensemble refused a transaction with this job alone."""
        gone = result.error is Error.NO_NODE
        exists = result.error is Error.NODE_EXISTS
        if result.index == 1 and gone:
            # The assignment is gone: it was recorded before a reply was lost, or somebody else has it now.
            self._over(job, False)
        elif result.index == 2 and job.record and (exists or (gone and job.ends_as != "returned")):
            # The task already has a final state, or was deleted: there is nothing to record, only the
            # assignment to let go.
            log.warning("%s: not recorded: %s", job.name, result.error.value)
            job.record = ()
            self._due.insert(0, job)
        elif result.index == 3 and exists:  # a person wrote a result: the status is what counts
            job.record = job.record[:1]
            self._due.insert(0, job)
        elif result.index is None and job.shorten():  # servers may take less in one request than we think
            log.warning("%s: only part of its output is recorded: %s", job.name, result.error.value)
            self._due.insert(0, job)
        elif self._scope is not None:
            log.error("%s: cannot be recorded: %s", job.name, result.error.value)
            self._scope.after(WORKER_RETRY_SECONDS, partial(self.record, job))
