"""The simulated ensemble against a real one: the same random operations must give the same results.

Compared after every operation: the result or the error (with the index of the operation that failed in a
transaction), the watches that went off, in their order, and in the end every znode with its whole stat.
Zxids are compared relative to the one the test's root was created with.
"""

import queue
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from kazoo import exceptions
from kazoo.client import KazooClient
from kazoo.protocol.states import Callback, WatchedEvent

from mwapp.core.messages import (
    Check,
    Children,
    Create,
    Delete,
    Error,
    EventType,
    Exists,
    Failed,
    Get,
    Op,
    Operation,
    Set,
    Transaction,
)
from testbed.ensemble import Ensemble
from tests.integration.drawn import SESSIONS, Drawn
from tests.simulation.ensemble import SimEnsemble
from tests.simulation.tree import ZNode

SEEDS = 4
STEPS = 500
ERRORS: dict[type[Exception], Error] = {
    exceptions.NoNodeError: Error.NO_NODE,
    exceptions.NodeExistsError: Error.NODE_EXISTS,
    exceptions.BadVersionError: Error.BAD_VERSION,
    exceptions.NotEmptyError: Error.NOT_EMPTY,
    exceptions.NoChildrenForEphemeralsError: Error.NO_NODE,
}
EVENTS = {
    "CREATED": EventType.CREATED,
    "CHANGED": EventType.CHANGED,
    "DELETED": EventType.DELETED,
    "CHILD": EventType.CHILDREN,
}
Watches = list[tuple[int, EventType, str]]  # which session, what, where


class Simulated:
    """Operations on the simulated ensemble."""

    def __init__(self, root: str) -> None:
        self._watches: Watches = []
        self._ensemble = SimEnsemble(self._note, servers=1)
        self._sessions: list[int] = []
        for _ in range(SESSIONS):
            self._open()
        self._ensemble.request(self._sessions[0], Transaction((Create(root),)), 0.0)

    def _note(self, session: int, kind: EventType, path: str) -> None:
        if session in self._sessions:
            self._watches.append((self._sessions.index(session), kind, path))

    def _open(self) -> int:
        session = self._ensemble.open(10.0, 0.0)
        self._ensemble.connect(session, 0)
        self._sessions.append(session)
        return session

    def run(self, session: int, operation: Operation) -> Any:
        return self._ensemble.request(self._sessions[session], operation, 0.0)

    def renew(self, session: int) -> None:
        old = self._sessions[session]
        self._sessions[session] = 0
        self._ensemble.end(old, 0.0)
        new = self._open()
        self._sessions.pop()
        self._sessions[session] = new

    def watches(self) -> Watches:
        watches, self._watches = self._watches, []
        return watches

    def nodes(self, root: str) -> dict[str, Any]:
        tree = self._ensemble.servers[0].tree
        base = tree.nodes[root].czxid
        return {
            path: self._full(node, base) for path, node in tree.nodes.items() if path.startswith(root + "/")
        }

    def _full(self, node: ZNode, base: int) -> Any:
        owner = self._sessions.index(node.owner) if node.owner else None
        zxids = (node.czxid - base, node.mzxid - base, node.pzxid - base)
        return (node.data, *zxids, node.version, node.cversion, owner, len(node.children))


@dataclass
class Real:
    """The same operations on real servers. All clients use one server, so that no read is behind."""

    server: str

    def __post_init__(self) -> None:
        self._events: queue.SimpleQueue[tuple[int, EventType, str]] = queue.SimpleQueue()
        self._clients = [self._open() for _ in range(SESSIONS)]

    def _open(self) -> KazooClient:
        client = KazooClient(self.server, timeout=10.0)
        client.start()
        return client

    def close(self) -> None:
        for client in self._clients:
            client.stop()
            client.close()

    def renew(self, session: int) -> None:
        self._clients[session].stop()
        self._clients[session].close()
        self._clients[session] = self._open()

    def run(self, session: int, operation: Operation) -> Any:
        client = self._clients[session]
        note = partial(self._note, session)
        try:
            match operation:
                case Get(path, watch):
                    data, stat = client.get(path, watch=partial(note, "data") if watch else None)
                    return data, stat.version, stat.numChildren
                case Exists(path, watch):
                    found = client.exists(path, watch=partial(note, "data") if watch else None)
                    return found and (found.version, found.numChildren)
                case Children(path, watch):
                    names = client.get_children(path, watch=partial(note, "children") if watch else None)
                    return tuple(sorted(names))
                case Transaction((Create() | Set() | Delete() as op,)):
                    return (self._single(client, op),)
                case Transaction(ops):
                    return self._several(client, ops)
        except tuple(ERRORS) as error:
            return Failed(ERRORS[type(error)])

    def _note(self, session: int, _: str, event: WatchedEvent) -> None:
        self._events.put((session, EVENTS[event.type], event.path))

    def _single(self, client: KazooClient, op: Op) -> Any:
        match op:
            case Create(path, data, ephemeral, sequential):
                return client.create(path, data, ephemeral=ephemeral, sequence=sequential)
            case Set(path, data, version):
                return client.set(path, data, version).version
            case _:
                return client.delete(op.path, op.version) and None

    def _several(self, client: KazooClient, ops: tuple[Op, ...]) -> Any:
        transaction = client.transaction()
        for op in ops:
            match op:
                case Create(path, data, ephemeral, sequential):
                    transaction.create(path, data, ephemeral=ephemeral, sequence=sequential)
                case Set(path, data, version):
                    transaction.set_data(path, data, version)
                case Delete(path, version):
                    transaction.delete(path, version)
                case Check(path, version):
                    transaction.check(path, version)
        results = transaction.commit()
        for index, result in enumerate(results):
            if type(result) in ERRORS:
                return Failed(ERRORS[type(result)], index)
        return tuple(
            result.version if isinstance(op, Set) else result if isinstance(op, Create) else None
            for op, result in zip(ops, results, strict=True)
        )

    def watches(self) -> Watches:
        """Those that went off so far. A watch comes before any later answer on its connection."""
        for client in self._clients:
            client.exists("/")
            told = threading.Event()
            client.handler.dispatch_callback(Callback("barrier", told.set, ()))
            assert told.wait(10)
        watches: Watches = []
        while not self._events.empty():
            watches.append(self._events.get())
        return watches

    def nodes(self, root: str) -> dict[str, Any]:
        client = self._clients[0]
        base = client.exists(root).czxid
        found: dict[str, Any] = {}
        paths = [f"{root}/{name}" for name in client.get_children(root)]
        while paths:
            path = paths.pop()
            data, stat = client.get(path)
            paths += [f"{path}/{name}" for name in client.get_children(path)]
            owners = [c.client_id[0] for c in self._clients]
            owner = owners.index(stat.ephemeralOwner) if stat.ephemeralOwner else None
            zxids = (stat.czxid - base, stat.mzxid - base, stat.pzxid - base)
            found[path] = (data, *zxids, stat.version, stat.cversion, owner, stat.numChildren)
        return found


def _comparable(operation: Operation, result: Any) -> Any:
    """A simulated result in the shape of a real one."""
    match operation:
        case Transaction((Create() | Set() | Delete(),)) if isinstance(result, Failed):
            return Failed(result.error)
        case _ if isinstance(result, Failed):
            return result
        case Get():
            return result.data, result.stat.version, result.stat.children
        case Exists():
            return result and (result.version, result.children)
        case Transaction(ops):
            return tuple(r.version if isinstance(op, Set) else r for op, r in zip(ops, result, strict=True))
    return result


def _by_session(watches: Watches) -> list[Watches]:
    """Their order is fixed within a session only. kazoo tells an event once for every watcher of a path."""
    return [list(dict.fromkeys(w for w in watches if w[0] == session)) for session in range(SESSIONS)]


@pytest.fixture(scope="module")
def undisturbed() -> Iterator[Ensemble]:
    """An ensemble of our own: sessions that other tests left to expire would use up zxids here."""
    with Ensemble() as ensemble:
        yield ensemble


@pytest.fixture(params=["leader", "follower"])
def server(request: pytest.FixtureRequest, undisturbed: Ensemble) -> str:
    chosen = undisturbed.leader() if request.param == "leader" else undisturbed.followers()[0]
    return f"127.0.0.1:{chosen.port}"


def test_same_operations_give_the_same_results(server: str) -> None:
    seen: set[Error | EventType] = set()
    for seed in range(SEEDS):
        root = f"/seed-{seed}-{random.SystemRandom().getrandbits(40):x}"
        real = Real(server)
        try:
            real.run(0, Transaction((Create(root),)))
            seen |= _compare(seed, root, real)
        finally:
            real.close()
    assert seen == {*ERRORS.values(), *EventType}, "a comparison that meets them all"


def _compare(seed: int, root: str, real: Real) -> set[Error | EventType]:
    """Run a seed on both; return what was met on the way."""
    simulated, drawn = Simulated(root), Drawn(seed, root)
    seen: set[Error | EventType] = set()
    for step in range(STEPS):
        session = drawn.session()
        operation: Operation | None = None
        result: Any = None
        answer: Any = None
        if drawn.ends_session():
            simulated.renew(session)
            real.renew(session)
        else:
            operation = drawn.operation()
            result = _comparable(operation, simulated.run(session, operation))
            answer = real.run(session, operation)
        where = f"seed {seed}, step {step}, session {session}: {operation or 'ends'}"
        assert result == answer, where
        ours, theirs = _by_session(simulated.watches()), _by_session(real.watches())
        if operation is None:  # a server deletes a session's ephemerals in no order
            ours, theirs = [sorted(w, key=str) for w in ours], [sorted(w, key=str) for w in theirs]
        assert ours == theirs, where
        seen |= {result.error} if isinstance(result, Failed) else set()
        seen |= {kind for watches in ours for _, kind, _ in watches}
    assert simulated.nodes(root) == real.nodes(root)
    return seen
