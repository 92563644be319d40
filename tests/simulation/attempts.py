"""What the judge counts of attempts by itself, for the counters in the znodes may be what is wrong."""

from collections import Counter, defaultdict


class Attempts:
    """Of every task: how many runs failed, how many workers were lost, and in which epoch it was assigned."""

    def __init__(self) -> None:
        self._failed: Counter[str] = Counter()
        self._lost: Counter[str] = Counter()
        self._epochs: defaultdict[tuple[str, int], set[int | None]] = defaultdict(set)

    def begin(self, task: str) -> None:
        """It was created: another of its name has nothing to do with it."""
        self._failed.pop(task, None)
        self._lost.pop(task, None)

    def assigned(self, task: str, attempt: int, epoch: int | None) -> None:
        """The attempt was given to a worker; epoch None: by hand."""
        self._epochs[task, attempt].add(epoch)

    def failed(self, task: str) -> None:
        """It ran, and is to be tried again."""
        self._failed[task] += 1

    def lost(self, task: str) -> None:
        """It was taken from a worker that is gone."""
        self._lost[task] += 1

    def exceeds(self, task: str, retries: int, max_attempts: int) -> str:
        """Why it may not be assigned once more; "" if it may."""
        if self._failed[task] > retries:
            return f"{self._failed[task]} runs have failed"
        if self._lost[task] >= max_attempts:
            return f"{self._lost[task]} workers were lost"
        return ""

    def epochs(self, task: str, attempt: int) -> set[str]:
        """Which epochs a command of that attempt may be told."""
        return {"" if epoch is None else str(epoch) for epoch in self._epochs[task, attempt]}
