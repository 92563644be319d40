"""What a worker runs: the commands and handlers of its jobs, each within its timeout."""

import json
import logging
from functools import partial
from itertools import count

from mwapp.core.job import Job
from mwapp.core.messages import Exited
from mwapp.core.protocol import Outcome
from mwapp.core.session import Process

log = logging.getLogger(__name__)

# The time between SIGTERM and SIGKILL for a command that is cancelled or too late, seconds.
GRACE_SECONDS = 2.0
# A result that is nested more deeply might be too deep for a reader.
MOST_NESTED = 200


class Running:
    """The jobs that a worker of that name runs, up to ``slots`` at once."""

    def __init__(self, process: Process, worker: str, slots: int) -> None:
        self.slots = slots
        self._process = process
        self._worker = worker
        self._jobs: dict[int, Job] = {}  # by the run's number
        self._dying: dict[int, Job] = {}  # killed, and perhaps not gone yet
        self._numbers = count(1)
        self._began_at = 0.0  # when the last run began, monotonic seconds

    @property
    def room(self) -> int:
        """How many more may be started."""
        return self.slots - len(self._jobs)

    @property
    def since_start(self) -> float:
        """For how many seconds no run has begun."""
        return self._process.now - self._began_at

    @property
    def names(self) -> list[str]:
        """The tasks that run, in no order."""
        return [job.name for job in self._jobs.values()]

    def may_start(self, job: Job) -> bool:
        """Whether every earlier attempt of it here is gone."""
        return all(job.name != other.name for other in self._dying.values())

    def start(self, job: Job, incarnation: int | None) -> None:
        """Run it, until :meth:`over` says how it ended."""
        job.become("runs")
        job.run = next(self._numbers)
        self._began_at = self._process.now
        self._jobs[job.run] = job
        self._process.run(job.run, job.task, self._environment(job, incarnation))
        if job.task.timeout is not None:
            job.clock = self._process.scope()
            job.clock.after(job.task.timeout, partial(self._out_of_time, job))

    def _environment(self, job: Job, incarnation: int | None) -> dict[str, str]:
        """The secret values; and the fencing token. A task's attempt and epoch only grow, so a store can
        refuse older ones."""
        return dict(job.secrets or {}) | {
            "MWAPP_TASK": job.name,
            "MWAPP_ATTEMPT": str(job.assignment.attempt),
            "MWAPP_EPOCH": str(job.assignment.epoch if job.assignment.epoch is not None else ""),
            "MWAPP_WORKER": self._worker,
            "MWAPP_INCARNATION": str(incarnation),
        }

    def _out_of_time(self, job: Job) -> None:
        if job.state != "cancelled":  # that it stays, however late it ends
            job.become("late")
        self.end(job)

    def end(self, job: Job) -> bool:
        """End it, with some grace. Returns whether it runs."""
        if job.run is None:
            return False
        self._process.kill(job.run, GRACE_SECONDS)
        return True

    def interrupt(self, job: Job) -> bool:
        """Kill it, and report that as its end, with no outcome. Returns whether it runs."""
        if job.run is None:
            return False
        log.warning("%s: killed: the worker stops; it begins again elsewhere", job.name)
        if job.state == "runs":
            job.become("leaving")
        self._process.kill(job.run)
        return True

    def kill(self, job: Job, why: str) -> bool:
        """Kill it, and report nothing more of it. Returns whether it ran."""
        if job.run is None:
            return False
        log.warning("%s: killed: %s", job.name, why)
        self._process.kill(job.run)
        self._dying[job.run] = job
        self._forget(job.run)
        return True

    def over(self, event: Exited) -> tuple[Job, Outcome | None]:
        """Which job is over, and its outcome; None: it has none, or a task of that name may start now."""
        if event.run in self._dying:  # it belonged to nobody any more
            return self._dying.pop(event.run), None
        job = self._forget(event.run)
        if job.state == "leaving" and event.code != 0:
            return job, None
        if job.state == "runs" and not event.begun:
            log.info("%s: starting again: the start took longer than our session was sure to last", job.name)
            job.become("waits")
            return job, None
        output = event.output.decode(errors="replace")
        result, reason = _checked(event)
        if job.state == "cancelled":
            reason = "cancelled"
        elif job.state == "late":
            reason = f"timed out after {job.task.timeout:g} s"
        elif event.code is None:
            reason = f"could not be started: {event.reason}"
        return job, Outcome(
            worker=self._worker,
            attempt=job.assignment.attempt,
            code=event.code,
            output=output,
            truncated=event.truncated,
            seconds=round(event.seconds, 3),
            reason=reason,
            cancelled=job.state == "cancelled",
            result=result if reason is None else None,
        )

    def _forget(self, run: int) -> Job:
        job = self._jobs.pop(run)
        job.run = None
        if job.clock is not None:
            job.clock.cancel()
        return job


def _checked(event: Exited) -> tuple[str | None, str | None]:
    """The result and the reason. A task may have made its process say anything."""
    if event.result is None or event.reason is not None:
        return None, event.reason
    try:
        result = json.loads(event.result)
        if _is_deep(result):
            raise RecursionError
        return json.dumps(result, ensure_ascii=False, allow_nan=False), None
    except (ValueError, RecursionError):
        return None, "what its process told as its result is no JSON, or nested too deeply"


def _is_deep(value: object) -> bool:
    """Whether it is nested more deeply than MOST_NESTED."""
    level = [value]
    for _ in range(MOST_NESTED):
        level = [
            inner
            for outer in level
            for inner in (
                outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ()
            )
        ]
    return bool(level)
