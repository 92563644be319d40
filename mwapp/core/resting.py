"""A worker whose runs fail, one after the other, takes a rest, while others do better.

On a broken host every run fails, and fails fast. So that host would get most of the tasks. After its rest the
worker gets one task at a time. If that fails too, it rests again, twice as long; if it succeeds, all is well.

How many failures in a row are too many depends on the others that could do its work: so many as would be a
chance of one in a thousand if its runs failed as seldom as theirs. If their runs fail as well, it is not the
worker's fault.
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mwapp.core.held import LiveWorker

CHANCE = 0.001
# But so many different tasks have to fail in a row.
LEAST = 3
# What is assumed of the others before any of their runs is over: so many failures, of so many runs.
FAILURES, RUNS = 0.5, 1.0
# So many of a worker's last runs count.
REMEMBERED = 20
# More are not counted.
MOST = 100
# The first rest, and the longest, seconds.
SHORTEST, LONGEST = 1.0, 60.0


@dataclass(slots=True)
class _Record:
    """Of one incarnation."""

    incarnation: int
    last: deque[bool] = field(
        default_factory=lambda: deque(maxlen=REMEMBERED)
    )  # whether its last runs failed
    failed: set[str] = field(default_factory=set)  # tasks, since the last that succeeded
    rest: float = 0.0  # how long the last rest was, seconds
    until: float = 0.0  # when it ends, monotonic seconds


class Resting:
    """What a master remembers of its workers' runs."""

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}

    def succeeded(self, worker: str, workers: Mapping[str, LiveWorker]) -> None:
        """One of its runs did."""
        record = self._record(worker, workers)
        if record is not None:
            record.last.append(False)
            record.failed.clear()
            record.rest = record.until = 0.0

    def failed(self, worker: str, task: str, workers: Mapping[str, LiveWorker], now: float) -> float | None:
        """One of its runs did. Returns how long it rests now, seconds; None: it does not begin to."""
        record = self._record(worker, workers)
        if record is None:
            return None
        record.last.append(True)
        if len(record.failed) < MOST:
            record.failed.add(task)
        if now < record.until or not self._fails(worker, workers):
            return None
        record.rest = min(LONGEST, max(SHORTEST, 2 * record.rest))
        record.until = now + record.rest
        return record.rest

    def resting(self, workers: Mapping[str, LiveWorker], now: float) -> dict[str, float]:
        """Who rests, and until when, monotonic seconds."""
        rested = ((name, self._records[name].until) for name in self._known(workers))
        return {name: until for name, until in rested if now < until and self._fails(name, workers)}

    def on_trial(self, workers: Mapping[str, LiveWorker]) -> set[str]:
        """Who gets one task at a time, because it has rested and not yet shown that it can do better."""
        rested = (name for name in self._known(workers) if self._records[name].rest)
        return {name for name in rested if self._fails(name, workers)}

    def _record(self, worker: str, workers: Mapping[str, LiveWorker]) -> _Record | None:
        """Of its present incarnation; None: it is gone."""
        live, record = workers.get(worker), self._records.get(worker)
        if live is None:
            self._records.pop(worker, None)
            return None
        if record is None or record.incarnation != live.incarnation:
            record = self._records[worker] = _Record(live.incarnation)
        return record

    def _known(self, workers: Mapping[str, LiveWorker]) -> Iterable[str]:
        return [
            name
            for name, record in self._records.items()
            if name in workers and workers[name].incarnation == record.incarnation
        ]

    def _fails(self, worker: str, workers: Mapping[str, LiveWorker]) -> bool:
        """Whether its last runs failed, and those of others that could do its work do so less often."""
        failed = len(self._records[worker].failed)
        if failed < LEAST:
            return False
        labels = workers[worker].labels
        others = {
            name
            for name, other in workers.items()
            if name != worker and not other.draining and labels <= other.labels
        }
        if not others:
            return False
        runs = [run for name in others.intersection(self._known(workers)) for run in self._records[name].last]
        share = (sum(runs) + FAILURES) / (len(runs) + RUNS)
        return failed * math.log(share) <= math.log(CHANCE)
