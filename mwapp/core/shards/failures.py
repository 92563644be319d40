"""Which primaries have failed, and how often in a row: for a while the master hands no shard back to them.

Only the master that leads knows it, and it tries anew in its next term.
"""

from dataclasses import dataclass

# So many failures in a row, and the planner gives a shard of shared data to somebody else.
PLANNED_AFTER = 3

Shard = tuple[str, int]  # table and number


@dataclass(frozen=True, slots=True)
class Rests:
    """How long a worker gets a shard back no more, after its handler has failed as the primary, seconds."""

    first: float = 1.0  # twice as long with each failure in a row
    longest: float = 600.0
    # Who was the primary for longer than that, and than its last rest, begins anew. It is longer than a
    # handler may take to be opened and promoted.
    steady: float = 90.0


@dataclass(slots=True)
class _Failures:
    generation: int  # of the last
    number: int  # in a row
    until: float
    rest: float


class Resting:
    """What is known of all shards."""

    def __init__(self, rests: Rests) -> None:
        self._rests = rests
        self._known: dict[Shard, dict[str, _Failures]] = {}

    def clear(self) -> None:
        """Another term begins."""
        self._known.clear()

    def note(self, at: Shard, worker: str, generation: int, lasted: float, now: float) -> float | None:
        """The worker's handler has failed as the primary, which it was for so long. Returns how long it
        rests; None if that is known already."""
        last = self._known.get(at, {}).get(worker)
        if last is not None and last.generation >= generation:
            return None
        in_a_row = last is not None and lasted <= max(self._rests.steady, last.rest)
        number = last.number + 1 if last is not None and in_a_row else 1
        rest = min(self._rests.longest, self._rests.first * 2.0 ** min(number - 1, 30))
        self._known.setdefault(at, {})[worker] = _Failures(generation, number, now + rest, rest)
        return rest

    def shards(self, table: str, now: float) -> list[int]:
        """Those of the table that its planner is to keep away from somebody."""
        return [at[1] for at in self._known if at[0] == table and self.who(at, now, PLANNED_AFTER)]

    def is_planned_for(self, at: Shard, worker: str) -> bool:
        """Whether the planner has kept it away."""
        last = self._known.get(at, {}).get(worker)
        return last is not None and last.number >= PLANNED_AFTER

    def forget(self, at: Shard, worker: str) -> None:
        """A person wants it to have the shard."""
        self._known.get(at, {}).pop(worker, None)

    def who(self, at: Shard, now: float, least: int = 1) -> frozenset[str]:
        """Those that rest, and have failed so often in a row."""
        known = self._known.get(at)
        if not known:
            return frozenset()
        return frozenset(name for name, its in known.items() if its.until > now and its.number >= least)
