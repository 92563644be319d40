"""A worker whose runs fail, one after the other, takes a rest, while others do better.

On a broken host every run fails, and fails fast. So that host would get most of the tasks. After its rest the
worker gets a single task. If that fails too, it rests again, twice as long; if it succeeds, all is well. Only
a worker that another can replace rests. If the others fail as well, it is not the worker's fault.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from mwapp.core.mirror import LiveWorker

# So many different tasks have to fail in a row.
FAILURES = 3
# The first rest, and the longest, seconds.
SHORTEST, LONGEST = 1.0, 60.0


@dataclass(slots=True)
class _Record:
    """Of one incarnation."""

    incarnation: int
    failed: set[str] = field(default_factory=set)  # tasks, since the last that succeeded
    rest: float = 0.0  # how long the last rest was, seconds
    until: float = 0.0  # when it ends, monotonic seconds

    @property
    def fails(self) -> bool:
        return len(self.failed) >= FAILURES


class Resting:
    """What a master remembers of its workers' runs."""

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}

    def succeeded(self, worker: str) -> None:
        """One of its runs did."""
        self._records.pop(worker, None)

    def failed(self, worker: str, task: str, workers: Mapping[str, LiveWorker], now: float) -> float | None:
        """One of its runs did. Returns how long it rests now, seconds; None: it does not begin to."""
        live = workers.get(worker)
        if live is None:
            self._records.pop(worker, None)
            return None
        record = self._records.get(worker)
        if record is None or record.incarnation != live.incarnation:
            record = self._records[worker] = _Record(live.incarnation)
        if not record.fails:
            record.failed.add(task)
        if not record.fails or now < record.until or not self._replaceable(worker, workers):
            return None
        record.rest = min(LONGEST, max(SHORTEST, 2 * record.rest))
        record.until = now + record.rest
        return record.rest

    def resting(self, workers: Mapping[str, LiveWorker], now: float) -> dict[str, float]:
        """Who rests, and until when, monotonic seconds."""
        found = {}
        for name in self._known(workers):
            until = self._records[name].until
            if now < until and self._replaceable(name, workers):
                found[name] = until
        return found

    def on_trial(self, workers: Mapping[str, LiveWorker]) -> set[str]:
        """Who gets a single task at a time, because it has rested and not yet shown that it can do better."""
        rested = (name for name in self._known(workers) if self._records[name].rest)
        return {name for name in rested if self._replaceable(name, workers)}

    def _known(self, workers: Mapping[str, LiveWorker]) -> Iterable[str]:
        return [
            name
            for name, record in self._records.items()
            if name in workers and workers[name].incarnation == record.incarnation
        ]

    def _replaceable(self, worker: str, workers: Mapping[str, LiveWorker]) -> bool:
        """Whether another, which does not fail, can do all that it can."""
        labels = workers[worker].labels
        return any(
            name != worker and not other.draining and labels <= other.labels and not self._fails(name, other)
            for name, other in workers.items()
        )

    def _fails(self, name: str, live: LiveWorker) -> bool:
        record = self._records.get(name)
        return record is not None and record.incarnation == live.incarnation and record.fails
