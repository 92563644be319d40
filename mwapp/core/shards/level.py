"""Shards are brought to have as many replicas in each domain, and on each worker, as they are to have.

A row is a shard, a column is a domain or a worker (mwapp/core/shards/placement.py says what for).
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import heapify, heappop, heappush, heapreplace
from math import gcd

# An entry of a heap is a number: how much room, then what decides between equals, then the column.
_BITS = 20
_MASK = (1 << _BITS) - 1
_MOST = 1 << 40
# Odd numbers without a pattern.
_MIX, _STIR = 0x9E3779B1, 0x85EBCA77


# Columns that have too many, how many of these rows are to give them up, and the rows, in this order.
Givers = Iterable[tuple[int, int, Sequence[int]]]


class Level:
    """Rows of columns, no column twice in a row, brought to have as many of each column as its target says.

    A column is replaced by another of its group only; the targets of each group are as many as there will be.
    ``fixed``: the column of each row that it gives up last.
    """

    def __init__(
        self,
        rows: Sequence[list[int]],
        count: list[int],
        target: Sequence[int],
        group: Sequence[int],
        fixed: Sequence[int],
    ) -> None:
        self._rows, self._count, self._target, self._group, self.fixed = rows, count, target, group, fixed
        self.missing: list[tuple[int, int]] = []  # rows, and of which group each lacks one
        self._spare: dict[int, list[int]] = {}  # what rows have given up, and could have instead of another
        self._heaps: list[list[int]] = [[] for _ in range(max(group) + 1)]
        self._new: list[tuple[int, int]] = []  # rows, and columns that they have got
        # Rows by their columns, for exchanges: all, and those that have got it. None: not needed so far.
        self._index: tuple[list[dict[int, None]], list[dict[int, None]]] | None = None

    def surplus(self, column: int) -> int:
        """So many too many."""
        return self._count[column] - self._target[column]

    def give_up(self, number: int, column: int, for_good: bool = False) -> None:
        """A row has too many."""
        self._drop(number, column)
        if not for_good:
            self._spare.setdefault(number, []).append(column)

    def _drop(self, number: int, column: int) -> None:
        self._rows[number].remove(column)
        self._count[column] -= 1

    def settle(self, givers: Callable[[Sequence[int]], Givers]) -> None:
        """``givers``: who is to give up these columns."""
        self.take_back(lambda _, column, other: self._group[column] == self._group[other])
        for column, goal in enumerate(self._target):
            if self._count[column] < goal:
                self._heaps[self._group[column]].append(_entry(column, goal - self._count[column]))
        for heap in self._heaps:
            heapify(heap)
        stuck = [(number, group) for number, group in self.missing if not self._fill(number, group)]
        over = self._over()
        if over:
            self._shed(givers(over))
        for number, group in stuck:
            self._fill_by_exchange(number, group)
        for column in over:
            while self.surplus(column) > 0:
                self._shed_by_exchange(column)

    def _over(self) -> list[int]:
        return [column for column, goal in enumerate(self._target) if self._count[column] > goal]

    def take_back(self, may: Callable[[int, int, int], bool]) -> None:
        """Rows give up another column than they did, where that helps and they may: it costs nothing."""
        self._take_back(may, self.fixed)
        self._take_back(may, [-1] * len(self._rows))

    def _take_back(self, may: Callable[[int, int, int], bool], fixed: Sequence[int]) -> None:
        over = self._over() if self._spare else []
        if not over:
            return
        of: list[dict[int, None]] = [{} for _ in self._count]
        for number in self._spare:
            for column in self._rows[number]:
                if column != fixed[number]:
                    of[column][number] = None
        closed: set[int] = set()

        def options(number: int, column: int) -> list[int]:
            return [other for other in self._spare[number] if may(number, column, other)]

        for column in over:
            while self.surplus(column) > 0 and column not in closed:
                before: dict[int, tuple[int, int]] = {}
                end = nearest([column], of, options, self._has_room, closed, before)
                if end < 0:
                    closed |= {column, *before}
                while end in before:
                    number, previous = before[end]
                    self._drop(number, previous)
                    self._rows[number].append(end)
                    self._count[end] += 1
                    self._spare[number].remove(end)
                    self._spare[number].append(previous)
                    del of[previous][number]
                    of[end][number] = None
                    end = previous

    def _has_room(self, column: int) -> bool:
        return self._count[column] < self._target[column]

    def _fill(self, number: int, group: int) -> bool:
        """The row gets the column with the most room that it does not have. False: there is none."""
        heap, row = self._heaps[group], self._rows[number]
        aside = []
        while heap and (heap[0] & _MASK) in row:
            aside.append(heappop(heap))
        found = bool(heap)
        if found:
            column = heap[0] & _MASK
            row.append(column)
            self._count[column] += 1
            self._new.append((number, column))
            room = self._target[column] - self._count[column]
            if room:
                heapreplace(heap, _entry(column, room))
            else:
                heappop(heap)
        for entry in aside:
            heappush(heap, entry)
        return found

    def _shed(self, givers: Givers) -> None:
        """Columns that have too many give them to those that have room."""
        for column, quota, numbers in givers:
            for number in numbers:
                if quota <= 0 or self.surplus(column) <= 0:
                    break
                if column in self._rows[number] and self._fill(number, self._group[column]):
                    self._drop(number, column)
                    quota -= 1

    # ---------------------------------------------------------------- exchange

    def _fill_by_exchange(self, number: int, group: int) -> None:
        row = self._rows[number]
        able = [column for column in self._of_group(group) if column not in row]
        have, new = self._indexed()
        first = self._exchange(able, new.__getitem__)
        row.append(first)
        have[first][number] = new[first][number] = None

    def _shed_by_exchange(self, column: int) -> None:
        have, new = self._indexed()
        self._exchange([column], lambda other: (have if other == column else new)[other])
        self._count[column] -= 1

    def _of_group(self, group: int) -> list[int]:
        return [column for column, its in enumerate(self._group) if its == group]

    def _exchange(self, starts: Sequence[int], cheap: Callable[[int], Iterable[int]]) -> int:
        """One more fits into the column that is returned, one of ``starts``: along the shortest chain, rows
        replaced each column by the next. The last one had room. First it is tried with the rows of ``cheap``:
        what is yet to be copied can as well be copied elsewhere."""
        have, new = self._indexed()
        before: dict[int, tuple[int, int]] = {}
        column = self._with_room(starts, cheap, before)
        if column < 0:
            before.clear()
            column = self._with_room(starts, have.__getitem__, before)
        self._count[column] += 1
        while column in before:
            row, previous = before[column]
            self._rows[row].remove(previous)
            self._rows[row].append(column)
            del have[previous][row]
            new[previous].pop(row, None)
            have[column][row] = new[column][row] = None
            column = previous
        return column

    def _with_room(
        self,
        starts: Sequence[int],
        rows_of: Callable[[int], Iterable[int]],
        before: dict[int, tuple[int, int]],
    ) -> int:
        """The nearest column with room; -1: none. ``before`` is told which row replaces which by each."""
        rest = [column for column in self._of_group(self._group[starts[0]]) if column not in starts]
        queue = deque(starts)
        while queue:
            column = queue.popleft()
            if self._has_room(column):
                return column
            for number in rows_of(column) if rest else ():
                row = self._rows[number]
                for other in rest:
                    if other not in row:
                        before[other] = number, column
                        queue.append(other)
                rest = [other for other in rest if other in row]
        return -1

    def _indexed(self) -> tuple[list[dict[int, None]], list[dict[int, None]]]:
        if self._index is None:
            columns = range(len(self._count))
            new: list[dict[int, None]] = [{} for _ in columns]
            for number, column in self._new:
                if column in self._rows[number]:
                    new[column][number] = None
            self._index = [dict.fromkeys(rows) for rows in holders(self._rows, columns).values()], new
        return self._index


def _entry(column: int, room: int) -> int:
    """In a heap: the most room first, and between equals in another order for each room."""
    mixed = (column + 1) * (room * _STIR | 1) * _MIX >> 12 & _MASK
    return ((_MOST - room << _BITS | mixed) << _BITS) | column


def holders(
    rows: Sequence[Sequence[int]], columns: Iterable[int], fixed: Sequence[int] | None = None
) -> dict[int, list[int]]:
    """The rows that have each of the columns: last those of which it is the fixed one. Otherwise their order
    has no pattern, so that it is not the same few rows that are always moved."""
    holders: dict[int, list[int]] = {column: [] for column in columns}
    last: dict[int, list[int]] = {column: [] for column in columns}
    for number in _scattered(len(rows)):
        for column in rows[number]:
            if column in holders:
                which = last if fixed is not None and fixed[number] == column else holders
                which[column].append(number)
    return {column: holders[column] + last[column] for column in holders}


def _scattered(size: int) -> Iterator[int]:
    """The numbers below the size, in an order without a pattern."""
    step = next(step for step in range(size * 5 // 8 | 1, 2 * size + 2) if gcd(step, size) == 1)
    return (number * step % size for number in range(size))


def nearest(
    starts: Sequence[int],
    of: Sequence[Iterable[int]],
    options: Callable[[int, int], Sequence[int]],
    good: Callable[[int], bool],
    closed: set[int],
    before: dict[int, tuple[int, int]],
) -> int:
    """The nearest good column that is reached from the starts; -1: none.

    From a column the rows in ``of`` lead to their options, but not to ``closed``. ``before`` is told the way:
    from which row and column each was reached.
    """
    seen = {*starts, *closed}
    queue = deque(starts)
    while queue:
        column = queue.popleft()
        for number in of[column]:
            for other in options(number, column):
                if other not in seen:
                    seen.add(other)
                    before[other] = number, column
                    if good(other):
                        return other
                    queue.append(other)
    return -1
