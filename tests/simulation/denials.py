"""What the simulated servers refuse: by an access control list, because they are busy, or for an unknown
reason.

A refused transaction is logged with its error, as on a real server, so it shows what was before it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mwapp.core.messages import (
    Check,
    Create,
    Delete,
    Error,
    Exists,
    Failed,
    Op,
    Operation,
    Result,
    Set,
    Transaction,
)
from tests.simulation.tree import ZNode, parent_of
from tests.simulation.world import Chance

# Nothing exists there, so a transaction fails where this replaces one of its operations.
NOWHERE = Check("/zookeeper/nowhere")


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """The answer to a request that was not carried out: the server has too much to do, or the session has
    moved. A process that gets it treats the connection as lost."""

    request: int


@dataclass
class _Lot:
    """How often a host's requests are refused, or turned away."""

    draw: Chance
    refused: float = 0.0
    turned_away: float = 0.0


class Denials:
    """What is denied now, to everybody except people."""

    def __init__(self, nodes: Callable[[], Mapping[str, ZNode]]) -> None:
        self._nodes = nodes
        self._forbidden: dict[str, tuple[int, str]] = {}  # by path: which znode there, and which operations
        self._lots: dict[str, _Lot] = {}  # by host
        # Told of each refusal: the host, what it asked, and for a transaction at which operation.
        self.on_refusal: Callable[[str, Operation, int | None], None] = lambda _host, _asked, _at: None

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return bool(self._forbidden or self._lots)

    def forbid(self, path: str, letters: str) -> None:
        """Some of c (create below), d (delete below), r (read) and w (set), as in an access control list."""
        self._forbidden[path] = self._nodes()[path].czxid, letters

    def allow(self, path: str) -> None:
        """All of it again."""
        self._forbidden.pop(path, None)

    def refuse(self, host: str, draw: Chance, share: float) -> None:
        """Refuse this share of the host's requests."""
        self._lots[host] = _Lot(draw, refused=share)

    def turn_away(self, host: str, draw: Chance, share: float) -> None:
        """Answer this share of the host's requests with :class:`TurnedAway`."""
        self._lots[host] = _Lot(draw, turned_away=share)

    def relent(self, host: str) -> None:
        """Serve the host again."""
        self._lots.pop(host, None)

    # ------------------------------------------------------------ asked by the servers

    def turns_away(self, host: str) -> bool:
        """Whether to turn away the host's next request."""
        lot = self._lots.get(host)
        return lot is not None and lot.draw.chance(lot.turned_away)

    def ask(self, host: str, operation: Operation, serve: Callable[[Operation], Result]) -> Result:
        """The answer to a request; ``serve`` gives it if nothing is denied."""
        lot = self._lots.get(host)
        refused = lot is not None and lot.draw.chance(lot.refused)
        if not isinstance(operation, Transaction):
            reads = not isinstance(operation, Exists)  # that needs no permission
            denied = refused or (reads and operation.path in self._nodes() and self._is(operation.path, "r"))
            if not denied:
                return serve(operation)
            self.on_refusal(host, operation, None)
            return Failed(Error.REFUSED)
        ops = operation.ops
        at = next((at for at, op in enumerate(ops) if self._denied(op)), None)
        if refused and lot is not None:
            at = lot.draw.random.randrange(len(ops))
        if at is None:
            return serve(operation)
        result = serve(Transaction((*ops[:at], NOWHERE, *ops[at + 1 :])))
        if not isinstance(result, Failed) or result.index != at:
            return result
        whole = refused and lot is not None and lot.draw.chance(0.5)
        told = None if whole else at
        self.on_refusal(host, operation, told)
        return Failed(Error.REFUSED, told)

    def _denied(self, op: Op) -> bool:
        nodes = self._nodes()
        match op:
            case Create(path):
                return self._is(parent_of(path), "c")
            case Delete(path):
                return path in nodes and self._is(parent_of(path), "d")
            case Set(path):
                return self._is(path, "w")
            case Check(path):
                return self._is(path, "r")

    def hides(self, path: str) -> bool:
        """Whether nobody may read it."""
        return self._is(path, "r")

    def _is(self, path: str, letter: str) -> bool:
        czxid, letters = self._forbidden.get(path, (0, ""))
        node = self._nodes().get(path)
        return letter in letters and node is not None and node.czxid == czxid
