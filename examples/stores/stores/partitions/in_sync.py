"""When a record is acknowledged: when all replicas that are in sync have it on disk."""

from collections.abc import Mapping

from mwapp.handlers import Term


class InSync:
    """Who is in sync, as the leader of one generation counts it.

    Whoever is in sync may be the next leader, so nothing is acknowledged without all of them. These are
    the members that are ``sync`` in the leader's term, and those that have joined under this generation. A
    replica joins as soon as it has every record that may have been acknowledged, and before it says so to
    the ensemble (``caught_up``). Nobody leaves: who is lost is no member under the next generation.
    """

    def __init__(self, term: Term, leader: str, end: int) -> None:
        """``end`` is that of the leader's log as the generation begins."""
        self.generation = term.generation
        self._members: Mapping[str, str] = term.members
        self._names = {name for name, state in term.members.items() if state == "sync"} | {leader}
        self._end = end
        self._has: dict[str, int] = {}

    @property
    def names(self) -> frozenset[str]:
        """The workers."""
        return frozenset(self._names)

    def may_follow(self, worker: str) -> bool:
        """Whether it is a member."""
        return worker in self._members

    def has(self, worker: str, end: int, acknowledged: int) -> bool:
        """It has on disk what the leader has, up to ``end``. Returns whether that is enough to be in sync.

        Not ``acknowledged`` alone is what it needs: earlier leaders may have acknowledged more than this one
        knows, but nothing that it did not have when it became the leader.
        """
        self._has[worker] = end
        enough = end >= max(self._end, acknowledged)
        if enough:
            self._names.add(worker)
        return enough

    def acknowledged(self) -> int:
        """Up to where all of them have it, as far as they have said so under this generation."""
        return min(self._has.get(name, 0) for name in self._names)
