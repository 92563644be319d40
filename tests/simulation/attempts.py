"""The judge's own counts of attempts, because the counters in the znodes may be wrong."""

from collections import Counter, defaultdict
from collections.abc import Callable

# One incarnation of a worker.
Lost = tuple[str, int | None]


class Attempts:
    """For every task: how many runs failed, which workers were lost over it, and in which epochs it was
    assigned."""

    def __init__(self) -> None:
        self._failed: Counter[str] = Counter()
        self._lost: defaultdict[str, list[Lost]] = defaultdict(list)
        self._epochs: defaultdict[tuple[str, int], set[int | None]] = defaultdict(set)

    def begin(self, task: str) -> None:
        """It was created, or is to run again: what was before does not count."""
        self._failed.pop(task, None)
        self._lost.pop(task, None)

    def assigned(self, task: str, attempt: int, epoch: int | None) -> None:
        """A worker got the attempt; epoch None: by hand."""
        self._epochs[task, attempt].add(epoch)

    def failed(self, task: str) -> int:
        """It ran, and will be tried again. Returns how often that was."""
        self._failed[task] += 1
        return self._failed[task]

    def lost(self, task: str, worker: str, incarnation: int | None) -> None:
        """It was taken from a worker that is gone."""
        self._lost[task].append((worker, incarnation))

    def exceeds(self, task: str, retries: int, max_attempts: int, died: Callable[[Lost], bool]) -> str:
        """Why it must not be assigned again; "" if it may. ``died``: who certainly has."""
        if self._failed[task] > retries:
            return f"{self._failed[task]} runs have failed"
        if (dead := sum(map(died, self._lost[task]))) >= max_attempts:
            return f"{dead} workers died"
        return ""

    def guilty(self, task: str, lives: Callable[[Lost], bool]) -> int:
        """How many were lost over it of which it was not known that their process ``lives`` on."""
        return sum(not lives(lost) for lost in self._lost[task])

    def epochs(self, task: str, attempt: int) -> set[str]:
        """The epochs that a command of that attempt may get."""
        return {"" if epoch is None else str(epoch) for epoch in self._epochs[task, attempt]}
