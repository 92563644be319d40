"""What was said on a connection, in bytes, and what a core has asked and was told."""

from collections import deque
from dataclasses import dataclass, field, replace

from mwapp.core.messages import (
    Create,
    Error,
    Exists,
    Failed,
    Fired,
    Get,
    Node,
    Operation,
    OpResult,
    Result,
    Stat,
    Transaction,
)
from mwapp.core.request_size import RequestSize
from mwapp.zookeeper import acl
from mwapp.zookeeper.acl import Policy
from mwapp.zookeeper.connect_string import Servers
from tests.edge import wire
from tests.edge.network import Link
from tests.edge.server import Said
from tests.simulation.world import Violation

# Errors that are told by their own name; any other is REFUSED.
NAMES = {
    -101: Error.NO_NODE,
    -103: Error.BAD_VERSION,
    -110: Error.NODE_EXISTS,
    -111: Error.NOT_EMPTY,
    -112: Error.SESSION_EXPIRED,
}

Item = tuple[Operation | None, Result | Fired]  # None: a watch has gone off


@dataclass(eq=False, slots=True)
class Talk:
    """What was said on a connection, by both."""

    link: Link
    side: "Side"
    own: bool = False  # the edge may ask for something of its own: the core has not heard of the session
    wants: int = 0  # the session it is to go on with
    session: int = 0
    timeout: float = 0.0
    welcomed: int = 0  # the server's bytes that say so
    # By the core, that the server has not got yet; and the lists of what it creates.
    asked: deque[tuple[Operation, tuple[wire.Acl, ...]]] = field(default_factory=deque)
    mine: int = 0  # so many of the operations that came were the edge's own
    learns: bool = False  # the edge has asked who may do what
    readings: deque[Result] = field(default_factory=deque)  # the answers to that it has not got yet
    untold: deque[tuple[Item, int]] = field(default_factory=deque)  # what the core is to be told, and its end
    zxids: list[tuple[int, int]] = field(default_factory=list)  # of what was said, and its end
    worthless: bool = False  # whatever is said now
    over: bool = False  # the server says that the session is over
    begun: bool = False  # the core knows of the connection

    @property
    def known(self) -> bool:
        """Whether the client knows that its session lives."""
        return bool(self.session) and self.link.read >= self.welcomed

    @property
    def seen(self) -> int:
        """The zxid of what the client has read."""
        return max((zxid for zxid, end in self.zxids if end <= self.link.read), default=0)

    def say(self, said: Said) -> None:
        """The server has said something."""
        if self.worthless:
            return
        if said.fired is not None:
            fired = replace(said.fired, path=self.side.below(said.fired.path))
            if self.side.subject is None or fired.path != acl.PATH:  # that is for the edge
                self.untold.append(((None, fired), said.end))
            return
        self.zxids.append((said.zxid, said.end))
        results: tuple[Result, ...] = said.results
        if said.code is not None:
            results = (Failed(NAMES.get(said.code, Error.REFUSED)),) * len(said.operations)
        for operation, result in zip(said.operations, results, strict=True):
            if self.side.learns(operation):
                self.readings.append(result)
            elif self.mine:
                self.mine -= 1
            else:
                self.untold.append(((self.side.stripped(operation), self.side.result(result)), said.end))


class Side:
    """One process: what its core has asked and been told."""

    def __init__(self, name: str, servers: Servers, timeout: float) -> None:
        self.subject = servers.tls.subject if servers.tls is not None else None
        self.knows: tuple[Policy | None] | None = None  # what its edge has read last of who may do what
        self.name, self.timeout = name, timeout
        self.chroot, self.parents = servers.chroot, servers.parents
        self.servers = len(servers.addresses)
        self.session: int | None = None  # that the core knows of
        self.talk: Talk | None = None  # on the present connection
        # Requests, when they were made, and whether they are to be sent.
        self.outstanding: dict[int, tuple[Operation, float, bool]] = {}
        self.request_size = RequestSize()  # of which the edge is to hear the same
        self.cut_off: list[Operation] = []  # of those that were sent, at present
        self.heard = 0.0  # when the last reply came
        self.began = 0.0  # when it was told of the present connection
        self.given_up: set[int] = set()  # sessions
        self.closed: set[int] = set()  # among them those that it was told are closed
        self.cut = False  # the core is being told so
        self.thawed_at = 0.0
        self.trusts_until = self.may_trust_until = 0.0  # its server, for it stood still itself

    def ends(self) -> None:
        """Its session is over, or its process."""
        self.session, self.talk = None, None
        self.outstanding.clear()

    def learns(self, operation: Operation) -> bool:
        """Whether its edge asks so who may do what."""
        if self.subject is None or not isinstance(operation, Get | Exists):
            return False
        return operation.path == self.chroot + acl.PATH

    def learned(self, result: Result) -> None:
        """That is the answer. If there is none, or a damaged one, it keeps to what it has known before."""
        if isinstance(result, Node):
            (before,) = self.knows or (None,)
            self.knows = (Policy.decode(result.data) or before,)
        elif result is None:
            self.knows = (None,)

    def lists(self, operation: Operation) -> tuple[wire.Acl, ...]:
        """The access control list of each znode that it creates now."""
        (policy,) = self.knows or (None,)
        return tuple(
            wire.OPEN
            if policy is None
            else tuple(
                wire.Entry(one.rights, one.scheme, one.who)
                for one in policy.acl(op.path, self.subject if op.extend else None)
            )
            for op in creates(operation)
        )

    def exposes(self, operation: Operation) -> bool:
        """Whether others could read secret values that it would create now."""
        (policy,) = self.knows or (None,)
        kept = policy is not None and policy.keeps_secrets(self.subject)
        return not kept and any(acl.kind(op.path) == acl.PRIVATE for op in creates(operation))

    def below(self, path: str) -> str:
        """A path of the ensemble's, as the core has it."""
        if path != self.chroot and not path.startswith(self.chroot + "/"):
            raise Violation("chroot", f"{self.name} comes upon {path}")
        return path[len(self.chroot) :] or "/"

    def stripped(self, operation: Operation) -> Operation:
        """An operation of the ensemble's, as the core has made it."""
        if isinstance(operation, Transaction):
            return Transaction(tuple(replace(op, path=self.below(op.path)) for op in operation.ops))
        return replace(operation, path=self.below(operation.path))

    def result(self, result: Result) -> Result:
        """A result of the ensemble's, as the core is to have it: times are in whole milliseconds."""
        match result:
            case Node(data, stat):
                return Node(data, _rounded(stat))
            case Stat():
                return _rounded(result)
            case tuple():
                return tuple(self._part(part) for part in result)
        return result

    def _part(self, part: OpResult) -> OpResult:
        if isinstance(part, str):
            return self.below(part) if part.startswith("/") else part  # what was created, or a child's name
        return _rounded(part) if part is not None else None


def creates(operation: Operation) -> list[Create]:
    """Those in it."""
    ops = operation.ops if isinstance(operation, Transaction) else ()
    return [op for op in ops if isinstance(op, Create)]


def travelling(operation: Operation) -> Operation:
    """As it goes to the server: what ``extend`` means is in the list."""
    if not any(op.extend for op in creates(operation)):
        return operation
    assert isinstance(operation, Transaction)
    return Transaction(
        tuple(replace(op, extend=False) if isinstance(op, Create) else op for op in operation.ops)
    )


def _rounded(stat: Stat) -> Stat:
    return replace(stat, ctime=round(stat.ctime * 1000) / 1000)
