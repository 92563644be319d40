"""What must hold of depositions: only of the silent, soon enough, and not too often."""

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from mwapp.core.election import ELECTION_RETRY_SECONDS
from mwapp.core.protocol import CANDIDATES, EPOCH, MASTER, TASKS, Winner, candidate_path
from mwapp.core.session import AGAIN_SECONDS, DRIFT
from mwapp.core.suspicion import PATIENCE
from tests.simulation.ensemble import Transacted
from tests.simulation.tree import Change, Changed, Created, Deleted
from tests.simulation.world import Violation

if TYPE_CHECKING:
    from tests.simulation.host import Host
    from tests.simulation.judge import State
    from tests.simulation.service import Connection, Service

# How much later than due a standby may depose, seconds: messages, timers and servers take their time.
SLACK = 0.8
# How long after a refusal a standby may wait until it asks again: for the master, then for all, seconds.
ASKS_AGAIN = AGAIN_SECONDS + ELECTION_RETRY_SECONDS
# Longer than a schedule, seconds.
UNKNOWN = 1e9
# How often to look whether one is late, seconds.
EVERY = 0.05


class Depositions:
    """Sees what is committed, and now and then the hosts."""

    def __init__(self) -> None:
        self.patience = PATIENCE  # of every candidate
        self.times: list[float] = []
        self._beats: dict[str, float] = {}  # by path, when it was last set
        self._creations: defaultdict[str, int] = defaultdict(int)  # by path
        self._winner = Winner("", 0)
        self._won_at = 0.0
        self._uncounted: set[str] = set()  # those that note the number, and a person has spoilt since
        self._fit: dict[Connection, float] = {}  # of those that could win, since when
        self._denied = -UNKNOWN  # when servers last refused anything

    # ------------------------------------------------------------ what is committed

    def committed(self, entry: Transacted, *, by_hand: bool) -> None:
        """Look at a transaction. Raises Violation."""
        for change in entry.changes:
            if change.path.startswith(f"{CANDIDATES}/"):
                self._candidate(entry, change)
            elif change.path in (EPOCH, TASKS) and by_hand:
                self._uncounted.add(change.path)
        of_master = [type(change) for change in entry.changes if change.path == MASTER]
        if not by_hand and Created in of_master:
            if Deleted in of_master:
                self._deposed(entry.time)
            self._won(entry)

    def _candidate(self, entry: Transacted, change: Change) -> None:
        if isinstance(change, Changed):
            self._beats[change.path] = entry.time
            return
        self._beats.pop(change.path, None)
        self._creations[change.path] += isinstance(change, Created)

    def _won(self, entry: Transacted) -> None:
        raised = [change for change in entry.changes if change.path == EPOCH and isinstance(change, Changed)]
        winner = Winner.decode(raised[-1].data) if raised else None
        self._winner, self._won_at = winner or Winner("", 0), entry.time
        self._forget_if_spoilt()
        self._uncounted.clear()

    def _forget_if_spoilt(self) -> None:
        """Nobody can know of the depositions when a person has set both znodes that note them."""
        if self._uncounted == {EPOCH, TASKS}:
            self.times.clear()

    def _deposed(self, now: float) -> None:
        path, patience = self._path, self.patience
        silent = now - self._beats.get(path, now)
        again = self._creations[path] > 1  # it may have beaten as often as the one before
        if silent < patience.silence * (1 - DRIFT) and not again:
            raise Violation(
                "deposed-only-if-silent", f"{path} was deposed {silent:.2f} s after its last beat"
            )
        self._forget_if_spoilt()
        known = sum(now - time < patience.memory * (1 - 2 * DRIFT) for time in self.times)
        led = now - self._won_at
        if known >= patience.most or led < patience.leaves_alone(known) * (1 - DRIFT):
            raise Violation(
                "depositions-damped", f"{path} was deposed after {led:.2f} s, and {known} before it"
            )
        self.times.append(now)

    @property
    def _path(self) -> str:
        """Of the znode that the master sets."""
        return candidate_path(self._winner.name, self._winner.session)

    # ------------------------------------------------------------ what is not

    def look(self, state: "State", hosts: Iterable["Host"], service: "Service", now: float) -> None:
        """Look whether some standby should have deposed the master. Raises Violation."""
        master = state.decided.nodes.get(MASTER)
        beaten = self._beats.get(self._path)
        if service.denials.any:
            self._denied = now
        led = self.patience.leaves_alone(self._winner.depositions)
        before, self._fit = self._fit, {}
        for host in hosts:
            connection = _stands_by(host) if service.well else None
            if connection is None:
                continue
            fit = self._fit[connection] = before.get(connection, now)
            if beaten is None or master is None or master.owner != self._winner.session:
                continue
            silence = self.patience.silence  # who was cut off waits for others who were
            due = max(beaten + silence, fit + 2 * silence, max(self._won_at, fit) + led)
            due = max(due, self._denied + ASKS_AGAIN + 2 * silence)
            if now > due + (due - fit) * 2 * DRIFT + SLACK:
                silent = now - beaten
                raise Violation(
                    "take-over-bounded",
                    f"{host.name} waits, and {self._path} has been silent for {silent:.2f} s",
                )


def _stands_by(host: "Host") -> "Connection | None":
    """Its connection to the ensemble, if it stands by and could win."""
    alive = host.process is not None and host.awake and not host.frozen and not host.process.stopping
    stands_by = host.election is not None and host.election.state == "standby"
    return host.edge.well() if alive and stands_by else None
