"""Who leads in which epoch, by what was committed, and what must hold of that."""

from collections.abc import Mapping

from mwapp.core.protocol import MASTER, TASKS, Winner
from tests.simulation.ensemble import Transacted
from tests.simulation.excuses import LOST, Excuses
from tests.simulation.tree import Change, Changed, Created, Deleted, ZNode
from tests.simulation.world import Violation


class Leadership:
    """Sees /master and /epoch."""

    def __init__(self) -> None:
        self.epoch = 0  # the present one
        self.winners: dict[int, int] = {}  # session by epoch
        self.won_at = 0.0  # the last of them
        self._earlier: set[tuple[int, int]] = set()  # epochs and winners, before both counts were lost

    # ------------------------------------------------------------ what is committed

    def master(self, entry: Transacted, change: Change, *, by_hand: bool) -> None:
        """/master was created or deleted."""
        if by_hand or not isinstance(change, Created):
            return
        if not any(isinstance(c, Changed) and c.path == "/epoch" for c in entry.changes):
            raise Violation("one-master-per-epoch", "/master was created without a new epoch")

    def raised(
        self,
        entry: Transacted,
        change: Change,
        nodes: Mapping[str, ZNode],
        persons: set[int],
        excuses: Excuses,
        *,
        by_hand: bool,
    ) -> None:
        """/epoch was created, set or deleted. ``nodes``: all znodes, after that; ``persons``: sessions."""
        if isinstance(change, Deleted) and not by_hand:
            raise Violation("epoch-monotonic", "/epoch was deleted")
        while isinstance(change, Deleted) and self.winners.get(self.epoch) in persons:
            self.epoch -= 1  # raised by hand, not by a winner
        if not isinstance(change, Changed):
            return
        epoch = nodes["/epoch"].version
        wins = any(c.path == "/master" and isinstance(c, Created) for c in entry.changes)
        if wins and excuses.counts == LOST:  # nobody can know their former values
            self._earlier, self.epoch = set(self.winners.items()) | self._earlier, 0
        elif epoch <= (self.epoch if wins else max(self.epoch, _counted(nodes))):
            if wins and self.winners.get(epoch) != entry.session:
                raise Violation("epoch-monotonic", f"epoch {epoch} after {self.epoch}")
            return  # raised again, at most to its former value
        if not (wins or by_hand):
            raise Violation("one-master-per-epoch", f"epoch {epoch} was set without winning /master")
        self.epoch = epoch
        self.winners[epoch], self.won_at = _winner(entry, change, nodes), entry.time
        if wins:  # who only sets it raises no other
            excuses.counts.clear()

    # ------------------------------------------------------------ who leads

    def needed(self, entry: Transacted, what: str) -> None:
        """Only who leads may do that. Raises Violation."""
        if not self.has(entry.session):
            raise Violation(
                "no-stale-write", f"{what} by session {entry.session:#x}, who has not epoch {self.epoch}"
            )

    def has(self, session: int) -> bool:
        """Whether it has the present epoch; or had the same one, before a person deleted what counts them."""
        return self._is_latest(session) or (self.epoch, session) in self._earlier

    def had(self, session: int) -> bool:
        """Whether another has the present epoch, and this one had the same one before that."""
        return (self.epoch, session) in self._earlier and not self._is_latest(session)

    def ever_had(self, session: int) -> bool:
        """Whether it has the present epoch, or had any."""
        return session in self.winners.values() or self.has(session)

    def _is_latest(self, session: int) -> bool:
        return self.winners.get(self.epoch) == session


def _counted(nodes: Mapping[str, ZNode]) -> int:
    """The epochs by the other znode that counts them, which a person may have set."""
    tasks = nodes.get(TASKS)
    return tasks.version if tasks is not None else 0


def _winner(entry: Transacted, change: Changed, nodes: Mapping[str, ZNode]) -> int:
    """The session that has the new epoch: a person may give it to the one that holds /master."""
    held, winner = nodes.get(MASTER), Winner.decode(change.data)
    return held.owner if held and winner and held.owner == winner.session else entry.session
