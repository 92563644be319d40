"""What a worker runs, and how that is recorded."""

from functools import partial

from tests.mutants.killers import CORE
from tests.mutants.mutant import Mutant

KILLERS = CORE

job = partial(Mutant, "mwapp/core/job.py")
running = partial(Mutant, "mwapp/core/running.py")

MUTANTS = [
    # ---------------------------------------------------------------- recording
    job(
        "ops: list[Op] = [Check(assign_path(self._worker), self._incarnation)]",
        "ops: list[Op] = [Check(assign_path(self._worker))]",
        "an earlier incarnation completes what is assigned to a later one",
    ),
    job(
        "ops += [Delete(assign_path(self._worker, job.name)), *job.record]",
        "ops += [*job.record, Delete(assign_path(self._worker, job.name))]",
        "who is to blame for a refusal is read from the wrong operation",
    ),
    job(
        "if self._busy or not self._due or self._scope is None:",
        "if not self._due or self._scope is None:",
        "records go beside each other",
    ),
    job(
        "            if batch and room < 0:\n                break\n",
        "",
        "a transaction larger than ZooKeeper takes",
    ),
    job(
        "if batch and room < 0:",
        "if room < 0:",
        "a result larger than the room of a transaction is never recorded, nor is anything behind it",
    ),
    job("        self._busy = True\n", "", "records go beside each other"),
    job(
        "            self._due[:0] = batch\n            self._alone = len(batch)\n",
        "            self._due[:0] = batch\n",
        "what is refused together is tried together, for ever",
    ),
    job(
        "            self._due[:0] = batch\n            self._alone = len(batch)\n",
        "            self._alone = len(batch)\n",
        "what is refused together is lost",
    ),
    job("self._alone = max(0, self._alone - 1)", "pass", "after one refusal one by one for ever"),
    job(
        "            self._taken_over()\n            return\n",
        "            return\n",
        "who was replaced goes on",
    ),
    job("self._over(job, bool(job.record))", "self._over(job, True)", "what was only let go counts as done"),
    job(
        "if result.index == 1 and gone:",
        "if result.index == 1 and gone and False:",
        "what was recorded before its reply was lost is recorded for ever",
    ),
    job(
        'elif result.index == 2 and job.record and (exists or (gone and job.ends_as != "returned")):',
        "elif result.index == 2 and job.record and exists:",
        "what was deleted while it ran is recorded for ever",
    ),
    job(
        'elif result.index == 2 and job.record and (exists or (gone and job.ends_as != "returned")):',
        "elif result.index == 2 and job.record and (exists or gone):",
        "what could not be handed back is dropped, and its attempts forgotten",
    ),
    job(
        "elif result.index == 3 and exists:  # a person wrote a result: the status is what counts",
        "elif False:",
        "what a person wrote a result for is never recorded",
    ),
    job(
        "self._scope.after(WORKER_RETRY_SECONDS, partial(self.record, job))",
        "pass",
        "what cannot be recorded at once never is",
    ),
    job(
        "        if self._scope is not None:\n            self._scope.cancel()\n",
        "",
        "what an ended incarnation recorded is answered to the next",
        at="Recorder.end",
    ),
    job(
        "self._due, self._busy, self._alone = [], False, 0",
        "self._due, self._alone = [], 0",
        "a worker that was cut off while it recorded never records again",
        at="Recorder.end",
    ),
    job(
        "self._due, self._busy, self._alone = [], False, 0",
        "self._busy, self._alone = False, 0",
        "what is due is recorded for an incarnation that it is not of",
        at="Recorder.end",
    ),
    job(
        "self._over(outcome.status, status, Create(result_path(self.name), outcome.encode()))",
        "self._over(outcome.status, status)",
        "a state without a result",
    ),
    job(
        "return replace(self.assignment, incarnation=None, epoch=None, labels=self.task.labels)",
        "return replace(self.assignment, incarnation=None, epoch=None)",
        "what a person assigned and is handed back goes to a worker without its labels",
    ),
    job(
        "self._returned(self._next)",
        "self._returned(replace(self._next, failures=0))",
        "who drains makes the failures forgotten: more runs than retries allow",
    ),
    job(
        "self._returned(self._next)",
        "self._returned(replace(self._next, attempt=self.assignment.attempt + 1))",
        "what is handed back unstarted counts as an attempt",
    ),
    job(
        "attempt = self.assignment.attempt + 1",
        "attempt = self.assignment.attempt",
        "a second run under the token of the first",
    ),
    job(
        "failures = self.assignment.failures + 1",
        "failures = self.assignment.failures",
        "what fails is tried for ever",
    ),
    job(
        '        self.become("over")\n',
        "",
        "what has ended is started again, or handed back",
    ),
    job(
        "self.state = step(TRANSITIONS, self.state, state)",
        "self.state = state",
        equivalent="the table is a check: no step that is taken is missing in it",
    ),
    # ---------------------------------------------------------------- running
    running("GRACE_SECONDS = 2.0", "GRACE_SECONDS = 20.0", "what is late or cancelled goes on for long"),
    running(
        "return self.slots - len(self._jobs)",
        "return self.slots - len(self._jobs) - len(self._dying)",
        "one that cannot be killed yet takes a slot for as long",
    ),
    running(
        "            job.clock.after(job.task.timeout, partial(self._out_of_time, job))",
        "            pass",
        "a run may take any time",
    ),
    running(
        '            job.become("late")\n',
        "            pass\n",
        "what ran for too long is recorded as killed by nobody",
    ),
    running(
        "job.clock.after(job.task.timeout, partial(self._out_of_time, job))",
        "job.clock.after(job.task.timeout * 1000, partial(self._out_of_time, job))",
        "milliseconds for seconds",
    ),
    running(
        "        self._process.kill(job.run, GRACE_SECONDS)\n",
        "        self._process.kill(job.run)\n",
        "a command that is cancelled gets no time to end by itself",
    ),
    running(
        "        self._process.kill(job.run)\n",
        "",
        "nothing is killed",
        at="Running.kill",
    ),
    running(
        "        self._dying[job.run] = job\n",
        "",
        "the end of what was killed is an end of something else",
    ),
    running(
        "return self._dying.pop(event.run), None",
        "return self._dying[event.run], None",
        "what was killed once never begins again at this worker",
    ),
    running(
        'if job.state == "runs" and not event.begun:',
        "if not event.begun:",
        "what was cancelled before it began begins anew",
    ),
    running(
        'if job.state == "runs" and not event.begun:',
        "if False:",
        "what was not begun in time has failed",
    ),
    running(
        '        if job.state == "cancelled":\n            reason = "cancelled"\n        elif',
        "        if",
        "what is cancelled does not say so",
    ),
    running(
        'if job.state != "cancelled":  # that',
        "if True:  # that",
        "what is cancelled and ends late is recorded as failed",
    ),
    running(
        '            job.become("waits")\n',
        "",
        "what was not begun in time never begins",
    ),
    running("result=result if reason is None else None,", "", "what a handler has returned is lost"),
    running(
        "json.dumps(result, ensure_ascii=False, allow_nan=False), None",
        "event.result, None",
        "a task can write whatever it likes into its znode",
    ),
    running(", allow_nan=False", "", "a result is no JSON for programs"),
    running("if _is_deep(result):", "if False:", "who reads a deep result takes all of the znode for it"),
    job(
        "if len(self.outcome.output) < LEAST_OUTPUT and len(result) >= LEAST_RESULT:",
        "if False:",
        "a result that the ensemble does not take is tried for ever",
    ),
    job(
        "if len(self.outcome.output) < LEAST_OUTPUT and len(result) >= LEAST_RESULT:",
        "if len(result) >= LEAST_RESULT:",
        "a result is given up though less output would have done",
    ),
    running('cancelled=job.state == "cancelled",', "", "what was cancelled is recorded as failed"),
    running("attempt=job.assignment.attempt,", "attempt=1,", "a result of another attempt"),
    running(
        "        job.run = None\n",
        "",
        "what has ended is taken for running",
        at="Running._forget",
    ),
    running(
        "        if job.clock is not None:\n            job.clock.cancel()\n",
        "",
        "the timeout of what has ended comes all the same",
    ),
    running(
        'str(job.assignment.epoch if job.assignment.epoch is not None else "")',
        "str(job.assignment.epoch)",
        "an assignment by hand has the epoch None",
    ),
    running('"MWAPP_INCARNATION": str(incarnation),', "", "a command does not know its worker's incarnation"),
    # ---------------------------------------------------------------- the wrong variable, one off, out of turn
    job(
        "        del self._due[: len(batch)]",
        "        self._due.clear()",
        "what did not fit into a transaction is never recorded",
    ),
    job(
        "            self._due[:0] = batch",
        "            self._due.extend(batch)",
        equivalent="the same is recorded, only in another order",
    ),
]
