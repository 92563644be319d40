"""A simulated ensemble: one log of transactions, and servers that apply it sooner or later.

It keeps what ZooKeeper guarantees: transactions are atomic and in one order (zxid); a session sees its
own writes and never goes back in time; a watch is told before any newer data; ephemerals end with their
session. And it keeps no more than that: a read is answered by the session's server, which may be behind.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from itertools import count
from typing import NamedTuple

from mwapp.core.messages import Children, Error, Exists, Failed, Get, Op, Operation, Result, Transaction
from tests.simulation.tree import Change, Changed, Created, Deleted, Tree, parent_of


class Kind(Enum):
    """What a watch tells."""

    CREATED = "created"
    CHANGED = "changed"
    DELETED = "deleted"
    CHILD = "child"


class Transacted(NamedTuple):
    """An entry of the log. One that was refused has no changes."""

    zxid: int
    time: float
    session: int
    ops: tuple[Op, ...]
    changes: tuple[Change, ...]
    ended: bool = False  # the session was closed or expired


Notify = Callable[[int, Kind, str], None]  # session, what happened, path


@dataclass(slots=True)
class Server:
    """One server: its tree, how much of the log it has applied, the watches left with it."""

    tree: Tree = field(default_factory=Tree)
    applied: int = 0
    data_watches: dict[str, set[int]] = field(default_factory=dict)  # sessions by path
    child_watches: dict[str, set[int]] = field(default_factory=dict)

    def forget(self, session: int) -> None:
        """Its connection is gone, and so are its watches."""
        for watches in (self.data_watches, self.child_watches):
            for path in [path for path, sessions in watches.items() if session in sessions]:
                watches[path].discard(session)
                if not watches[path]:
                    del watches[path]


@dataclass(slots=True)
class Session:
    """A session as the ensemble knows it."""

    number: int
    timeout: float
    server: int | None = None  # where its connection is, None while it has none


class SimEnsemble:
    """The ensemble. ``notify`` is called for every watch that goes off, at the moment it does."""

    def __init__(self, notify: Notify, servers: int = 3) -> None:
        self.servers = [Server() for _ in range(servers)]
        self.decided = Tree()  # what the log amounts to
        self.log: list[Transacted] = []
        self.sessions: dict[int, Session] = {}
        self.on_commit: Callable[[Transacted], None] = lambda _: None  # of what changes or ends something
        self._notify = notify
        self._numbers = count(0x100000001)

    # ------------------------------------------------------------ sessions

    def open(self, timeout: float, now: float) -> int:
        """Begin a session; it has no connection yet."""
        number = next(self._numbers)
        self.sessions[number] = Session(number, timeout)
        self._append(number, (), [], now)
        return number

    def connect(self, session: int, server: int, seen: int = 0) -> bool:
        """Connect (or move) a session to a server. False: there is no such session any more.

        A server that has applied less of the log than the client has seen is not used before it has.
        """
        found = self.sessions.get(session)
        if found is None:
            return False
        self.disconnect(session)
        found.server = server
        self.catch_up(server, seen)
        return True

    def disconnect(self, session: int) -> None:
        """The connection is gone; the session lives on."""
        found = self.sessions.get(session)
        if found is not None and found.server is not None:
            self.servers[found.server].forget(session)
            found.server = None

    def end(self, session: int, now: float) -> None:
        """Close or expire a session: its ephemerals go in one transaction."""
        found = self.sessions.pop(session, None)
        if found is None:
            return
        changes: list[Change] = [Deleted(path) for path in self.decided.ephemerals.get(session, [])]
        for change in changes:
            self.decided.apply(change, len(self.log) + 1, now)
        self._append(session, (), changes, now, ended=True)
        if found.server is not None:
            self.catch_up(found.server)
            self.servers[found.server].forget(session)

    # ------------------------------------------------------------ requests

    def request(self, session: int, operation: Operation, now: float) -> Result:
        """Carry out a request of a connected session on its server; return the answer."""
        found = self.sessions.get(session)
        if found is None or found.server is None:
            return Failed(Error.SESSION_EXPIRED)
        if not isinstance(operation, Transaction):
            return self.read(found.server, session, operation)
        result = self.transact(session, operation.ops, now)
        self.catch_up(found.server)
        return result

    def read(self, number: int, session: int, operation: Get | Exists | Children) -> Result:
        """Answer from what a server has applied; it may not have heard that the session is over."""
        server = self.servers[number]
        node = server.tree.nodes.get(operation.path)
        watches = server.child_watches if isinstance(operation, Children) else server.data_watches
        if operation.watch and (node is not None or isinstance(operation, Exists)):
            watches.setdefault(operation.path, set()).add(session)
        match operation:
            case Exists():
                return None if node is None else node.stat()
            case _ if node is None:
                return Failed(Error.NO_NODE)
            case Get():
                return node.node()
            case Children():
                # In no order, says the protocol; sorted, so that a seed gives one history.
                return tuple(sorted(node.children))

    def transact(self, session: int, ops: tuple[Op, ...], now: float) -> Result:
        """Commit a transaction; no server has applied it yet."""
        outcome = self.decided.decide(ops, session, len(self.log) + 1, now)
        if isinstance(outcome, Failed):
            self._append(session, ops, [], now)
            return outcome
        results, changes = outcome
        self._append(session, ops, changes, now)
        return results

    def catch_up(self, server: int, position: int | None = None) -> None:
        """Let a server apply the log up to a position (all of it by default)."""
        replica = self.servers[server]
        while replica.applied < (len(self.log) if position is None else position):
            entry = self.log[replica.applied]
            replica.applied += 1
            for change in entry.changes:
                replica.tree.apply(change, entry.zxid, entry.time)
                self._fire(replica, change)

    # ------------------------------------------------------------ inside

    def _append(
        self, session: int, ops: tuple[Op, ...], changes: list[Change], now: float, *, ended: bool = False
    ) -> None:
        entry = Transacted(len(self.log) + 1, now, session, ops, tuple(changes), ended)
        self.log.append(entry)
        if changes or ended:
            self.on_commit(entry)

    def _fire(self, server: Server, change: Change) -> None:
        path = change.path
        told: set[int] = set()
        match change:
            case Created():
                self._tell(server.data_watches, path, Kind.CREATED, told)
            case Changed():
                self._tell(server.data_watches, path, Kind.CHANGED, told)
                return
            case Deleted():
                self._tell(server.data_watches, path, Kind.DELETED, told)
                self._tell(server.child_watches, path, Kind.DELETED, told)
        self._tell(server.child_watches, parent_of(path), Kind.CHILD, set())

    def _tell(self, watches: dict[str, set[int]], path: str, kind: Kind, told: set[int]) -> None:
        if path not in watches:  # as mostly
            return
        for session in sorted(watches.pop(path) - told):
            told.add(session)
            self._notify(session, kind, path)
