"""The judge's own counts of attempts, because the counters in the znodes may be wrong."""

from collections import Counter, defaultdict


class Attempts:
    """For every task: how many runs failed, how many workers died over it, and in which epochs it was
    assigned."""

    def __init__(self) -> None:
        self._failed: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self._epochs: defaultdict[tuple[str, int], set[int | None]] = defaultdict(set)

    def begin(self, task: str) -> None:
        """It was created; it has nothing to do with an earlier task of its name."""
        self._failed.pop(task, None)
        self._lost.pop(task, None)

    def assigned(self, task: str, attempt: int, epoch: int | None) -> None:
        """A worker got the attempt; epoch None: by hand."""
        self._epochs[task, attempt].add(epoch)

    def failed(self, task: str) -> None:
        """It ran, and will be tried again."""
        self._failed[task] += 1

    def lost(self, task: str) -> None:
        """It was taken from a worker that is gone."""
        self._lost[task] += 1

    def exceeds(self, task: str, retries: int, max_attempts: int) -> str:
        """Why it must not be assigned again; "" if it may."""
        if self._failed[task] > retries:
            return f"{self._failed[task]} runs have failed"
        if self._lost[task] >= max_attempts:
            return f"{self._lost[task]} workers were lost"
        return ""

    def epochs(self, task: str, attempt: int) -> set[str]:
        """The epochs that a command of that attempt may get."""
        return {"" if epoch is None else str(epoch) for epoch in self._epochs[task, attempt]}
