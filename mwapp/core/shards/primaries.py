"""Which replica of each shard is its primary: who is it stays it, unless others are it of fewer shards."""

from collections.abc import Callable, Sequence

from mwapp.core.shards.level import nearest


class Primaries:
    """Which of its replicas is the primary of each shard."""

    def __init__(
        self,
        rows: Sequence[Sequence[int]],
        primaries: list[int],
        survivors: Callable[[int], Sequence[int]],
        workers: int,
    ) -> None:
        self._rows, self._primaries = rows, primaries
        self._count = [0] * workers
        for primary in primaries:
            if primary >= 0:
                self._count[primary] += 1
        self._of: list[dict[int, None]] = [
            {} for _ in range(workers)
        ]  # the shards of each primary that may change
        self._able: Callable[[int], Sequence[int]] = survivors

    def chosen(self) -> list[int]:
        """Of each shard."""
        orphans = [number for number, primary in enumerate(self._primaries) if primary < 0]
        survivors = {number: self._able(number) or self._rows[number] for number in orphans}
        self._able = survivors.__getitem__
        for number in orphans:
            self._choose(number, min(survivors[number], key=self._count.__getitem__))
        self._even_out(orphans)
        self._able = self._rows.__getitem__
        self._even_out(range(len(self._rows)))
        return self._primaries

    def _choose(self, number: int, worker: int) -> None:
        self._primaries[number] = worker
        self._count[worker] += 1

    def _even_out(self, numbers: Sequence[int]) -> None:
        """Pass primaries of these shards on, until no chain makes it more even."""
        for of in self._of:
            of.clear()
        for number in numbers:
            self._of[self._primaries[number]][number] = None
        floor, rest = divmod(len(self._rows), len(self._count))
        ceiling = floor + bool(rest)
        self._pass_directly(ceiling, ceiling)
        self._pass_directly(floor, floor)
        self._pass_by_chains()

    def _pass_directly(self, above: int, below: int) -> None:
        """Who has more than ``above`` passes some to those that have less than ``below``."""
        count = self._count
        for worker, of in enumerate(self._of):
            for number in list(of) if count[worker] > above else ():
                if count[worker] <= above:
                    break
                other = min(self._able(number), key=count.__getitem__)
                if count[other] < below:
                    self._move(number, worker, other)

    def _move(self, number: int, worker: int, other: int) -> None:
        del self._of[worker][number]
        self._of[other][number] = None
        self._primaries[number] = other
        self._count[worker] -= 1
        self._count[other] += 1

    def _pass_by_chains(self) -> None:
        """From those that have the most to those that have at least two less.

        Whom a fruitless search has reached has no way out, and is no help to others: they have no more.
        """
        count = self._count
        closed: set[int] = set()
        left = list(range(len(count)))
        while left:
            most = max(count[worker] for worker in left)
            starts = [worker for worker in left if count[worker] == most]
            before: dict[int, tuple[int, int]] = {}
            end = nearest(
                starts,
                self._of,
                self._others,
                self._at_most(most - 2),
                closed,
                before,
            )
            if end < 0:
                closed |= {*starts, *before}
                left = [worker for worker in left if worker not in closed]
            while end in before:
                number, previous = before[end]
                self._move(number, previous, end)
                end = previous

    def _at_most(self, primaries: int) -> Callable[[int], bool]:
        return lambda worker: self._count[worker] <= primaries

    def _others(self, number: int, _: int) -> Sequence[int]:
        return self._able(number)
