"""A simulated ensemble: one log of transactions, and servers that apply it sooner or later.

It keeps ZooKeeper's guarantees: transactions are atomic and in one order (zxid); a session sees its own
writes and never goes back in time; a watch fires before any newer data; ephemerals end with their session. It
guarantees no more than that: the session's server answers reads, and may be behind.

On request it also loses writes (:meth:`SimEnsemble.lose`), which ZooKeeper must not do, but some versions
may.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from mwapp.core.messages import (
    Children,
    Error,
    EventType,
    Exists,
    Failed,
    Follow,
    Get,
    Op,
    Operation,
    Read,
    Result,
    Transaction,
    message,
)
from tests.simulation.tree import Change, Changed, Created, Deleted, Tree, parent_of


@message
class Transacted:
    """An entry of the log. A refused one has no changes."""

    zxid: int
    time: float
    session: int
    ops: tuple[Op, ...]
    changes: tuple[Change, ...]
    ended: bool = False  # the session was closed or expired
    expired: bool = False  # nobody has asked for that end


Notify = Callable[[int, EventType, str], None]  # session, what happened, path
_EVENTS = {Created: EventType.CREATED, Changed: EventType.CHANGED, Deleted: EventType.DELETED}


@dataclass(slots=True)
class Server:
    """One server: its tree, how much of the log it has applied, the watches left with it."""

    tree: Tree = field(default_factory=Tree)
    applied: int = 0
    data_watches: dict[str, set[int]] = field(default_factory=dict)  # sessions by path
    child_watches: dict[str, set[int]] = field(default_factory=dict)
    followers: dict[str, set[int]] = field(default_factory=dict)

    def rewind(self, log: list[Transacted]) -> None:
        """It has applied only this much; nobody is connected."""
        self.data_watches.clear()
        self.child_watches.clear()
        self.followers.clear()
        if self.applied > len(log):
            self.tree, self.applied = replayed(log), len(log)

    def forget(self, session: int) -> None:
        """Its connection is gone, and so are its watches."""
        for watches in (self.data_watches, self.child_watches, self.followers):
            for path in [path for path, sessions in watches.items() if session in sessions]:
                watches[path].discard(session)
                if not watches[path]:
                    del watches[path]


def replayed(log: list[Transacted]) -> Tree:
    """The resulting tree."""
    tree = Tree()
    for entry in log:
        for change in entry.changes:
            tree.apply(change, entry.zxid, entry.time)
    return tree


@dataclass(slots=True)
class Session:
    """A session as the ensemble knows it."""

    number: int
    timeout: float
    server: int | None = None  # where its connection is, None while it has none


class SimEnsemble:
    """The ensemble. ``notify`` is called for every watch at the moment it fires."""

    def __init__(self, notify: Notify, servers: int = 3) -> None:
        self.servers = [Server() for _ in range(servers)]
        self.decided = Tree()  # the state after the whole log
        self.log: list[Transacted] = []
        self.sessions: dict[int, Session] = {}
        self.on_commit: Callable[[Transacted], None] = lambda _: None  # of what changes or ends something
        self.follows = True  # False: they refuse Follow, as they may be configured to (WatchManagerOptimized)
        self.hides: Callable[[str], bool] = lambda _: False  # of what nobody may read, followers are not told
        self._notify = notify
        self._numbers = count(0x100000001)
        self._timeouts: dict[int, float] = {}  # of all sessions there ever were
        self._lost = 0  # number of zxids of lost entries

    @property
    def zxid(self) -> int:
        """Of the last entry."""
        return self.log[-1].zxid if self.log else 0

    @property
    def _next(self) -> int:
        """Of the next entry."""
        return len(self.log) + self._lost + 1

    # ------------------------------------------------------------ sessions

    def open(self, timeout: float, now: float) -> int:
        """Begin a session; it has no connection yet."""
        number = next(self._numbers)
        self.sessions[number] = Session(number, timeout)
        self._timeouts[number] = timeout
        self._append(number, (), [], now)
        return number

    def connect(self, session: int, server: int, seen: int = 0) -> bool:
        """Connect (or move) a session to a server. False: the session no longer exists.

        A server that is behind what the client has ``seen`` (a zxid, at most the last) first applies more.
        """
        found = self.sessions.get(session)
        if found is None:
            return False
        self.disconnect(session)
        found.server = server
        self.catch_up(server, self._position(seen))
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
            self.decided.apply(change, self._next, now)
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

    def read(self, number: int, session: int, operation: Read | Follow) -> Result:
        """Answer from what a server has applied; it may not know that the session is over."""
        server = self.servers[number]
        if isinstance(operation, Follow):
            if not self.follows:
                return Failed(Error.REFUSED)
            server.followers.setdefault(operation.path, set()).add(session)
            return None
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
                # The protocol promises no order; sort, so that a seed gives one history.
                return tuple(sorted(node.children))

    def transact(self, session: int, ops: tuple[Op, ...], now: float) -> Result:
        """Commit a transaction; no server has applied it yet."""
        outcome = self.decided.decide(ops, session, self._next, now)
        if isinstance(outcome, Failed):
            self._append(session, ops, [], now)
            return outcome
        results, changes = outcome
        self._append(session, ops, changes, now)
        return results

    def shown(self, server: int) -> int:
        """The last zxid that a server has applied."""
        applied = self.servers[server].applied
        return self.log[applied - 1].zxid if applied else 0

    def catch_up(self, server: int, position: int | None = None) -> None:
        """Let a server apply the log up to a position (by default, or if the log is shorter, all of it)."""
        replica = self.servers[server]
        for entry in self.log[replica.applied : position]:
            replica.applied += 1
            for change in entry.changes:
                replica.tree.apply(change, entry.zxid, entry.time)
                self._fire(replica, change)

    def forget(self) -> None:
        """It is all over. Half of what there was goes now, unseen by the search for garbage."""
        for tree in (self.decided, *(server.tree for server in self.servers)):
            tree.nodes.clear()
        self.log.clear()

    # ------------------------------------------------------------ what must not be

    def lose(self, entries: int) -> list[Transacted]:
        """Lose the last entries of the log on every server; returns them. There are no connections.

        Sessions are those of the remaining log: some that had ended live again. Later entries still have
        greater zxids, because a new leader makes them.
        """
        kept = len(self.log) - entries
        lost = self.log[kept:]
        del self.log[kept:]
        self._lost += entries
        self.decided = replayed(self.log)
        for server in self.servers:
            server.rewind(self.log)
        living: dict[int, None] = {}
        for entry in self.log:
            if entry.ended:
                living.pop(entry.session, None)
            elif not entry.ops:
                living[entry.session] = None
        self.sessions.clear()
        self.sessions.update({number: Session(number, self._timeouts[number]) for number in living})
        return lost

    # ------------------------------------------------------------ inside

    def _position(self, zxid: int) -> int:
        """How much of the log a server that shows that zxid must have applied."""
        return bisect_left(self.log, zxid, key=lambda entry: entry.zxid) + 1 if zxid else 0

    def _append(
        self, session: int, ops: tuple[Op, ...], changes: list[Change], now: float, *, ended: bool = False
    ) -> None:
        entry = Transacted(self._next, now, session, ops, tuple(changes), ended)
        self.log.append(entry)
        if changes or ended:
            self.on_commit(entry)

    def _fire(self, server: Server, change: Change) -> None:
        path, event = change.path, _EVENTS[type(change)]
        told: set[int] = set()
        self._tell(server.data_watches, path, event, told)
        self._tell_followers(server, path, event, told)
        if event is EventType.DELETED:
            self._tell(server.child_watches, path, event, told)
        if event is not EventType.CHANGED:
            self._tell(server.child_watches, parent_of(path), EventType.CHILDREN, set())

    def _tell(self, watches: dict[str, set[int]], path: str, event: EventType, told: set[int]) -> None:
        if path not in watches:  # as mostly
            return
        for session in sorted(watches.pop(path) - told):
            told.add(session)
            self._notify(session, event, path)

    def _tell_followers(self, server: Server, path: str, event: EventType, told: set[int]) -> None:
        for followed, sessions in server.followers.items():
            if (path == followed or path.startswith(f"{followed}/")) and not self.hides(path):
                for session in sorted(sessions - told):
                    told.add(session)
                    self._notify(session, event, path)
