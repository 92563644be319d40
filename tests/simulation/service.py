"""The simulated ensemble as hosts reach it: connections that delay, lose and break, sessions that expire."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from mwapp.core.messages import Check, Event, EventType, Fired, Operation, Reply, Result, Transaction
from mwapp.core.request_size import MOST_BYTES, size
from tests.simulation.denials import Denials, TurnedAway
from tests.simulation.ensemble import SimEnsemble, Transacted
from tests.simulation.world import World


class Caller(Protocol):
    """A host, as the ensemble sees it."""

    name: str

    def received(self, connection: "Connection", event: Event | TurnedAway, seen: int) -> None:
        """Something came over the connection; ``seen`` is how much of the log it reflects."""

    def lost(self, connection: "Connection") -> None:
        """The other side closed the connection."""


@dataclass(eq=False, slots=True)
class Connection:
    """A connection of a session. Both directions keep the order of what they carry."""

    caller: Caller
    session: int
    server: int
    attached: bool = True  # the server still listens to it
    deaf: bool = False  # what the host sends is lost from now on
    mute: bool = False  # what the server sends is lost from now on
    last_up: float = 0.0
    last_down: float = 0.0

    def stall(self, until: float, *, up: bool) -> None:
        """Nothing arrives before that time."""
        if up:
            self.last_up = max(self.last_up, until)
        else:
            self.last_down = max(self.last_down, until)


@dataclass(slots=True)
class _Server:
    up: bool = True
    lag: float = 0.0  # the longest time to apply a commit, seconds
    isolated: bool = False  # cut off from the leader: still answers reads
    syncing: bool = False
    touched: set[int] = field(default_factory=set)  # sessions heard of since the leader last asked


class Service:
    """Servers and their network. ``slow`` is the share of messages that take long; ``tick`` in seconds."""

    def __init__(
        self, world: World, committed: Callable[[Transacted], None], *, slow: float, tick: float
    ) -> None:
        self._world, self._random = world, world.random.random
        self.slow, self._tick = slow, tick
        self._committed = committed
        self.ensemble = SimEnsemble(self._fired)
        self.ensemble.on_commit = self._commit
        self.denials = Denials(lambda: self.ensemble.decided.nodes)
        self.ensemble.hides = self.denials.hides
        self.servers = [_Server() for _ in self.ensemble.servers]
        self.most_sent = self.most_taken = MOST_BYTES  # in one request, bytes: sent, and accepted
        self.quorum = True
        self.reachable: dict[str, int] = {}  # the only server a host can reach, by its name
        self._connections: dict[int, Connection] = {}  # the current one of each session
        self._expiry: dict[int, float] = {}
        self._stalled: list[dict[int, list[Callable[[], None]]]] = [{} for _ in self.servers]  # by session
        self._report()
        self._orphans: list[Connection] = []  # their server does not know that the session is over

    @property
    def well(self) -> bool:
        """Whether it serves everybody, at once."""
        serving = all(server.up and not server.isolated and not server.lag for server in self.servers)
        denies = self.denials.any or self.most_taken < MOST_BYTES or self.most_sent < MOST_BYTES
        return self.quorum and serving and not self.slow and not denies

    def delay(self) -> float:
        """How long a message takes."""
        chance = self._random()
        if chance < self.slow:
            return self._world.between(0.01, 1.0)
        return 0.0002 + chance * 0.002

    # ------------------------------------------------------------ connections

    def dial(
        self,
        caller: Caller,
        session: int | None,
        timeout: float,
        seen: int,
        told: Callable[[Connection | None, bool], None],
    ) -> None:
        """Connect to some server, no older than ``seen``.

        The callback gets the connection; or None, and whether the session is over.
        """
        server = self.reachable.get(caller.name, self._world.random.randrange(len(self.servers)))

        def arrive() -> None:
            # A client that has seen what the ensemble lost is rejected until the ensemble is further again.
            refused = session is not None and seen > self.ensemble.zxid
            if refused or not self.quorum or not self.servers[server].up or self.servers[server].isolated:
                self._world.after(self.delay(), lambda: told(None, False))
                return
            number = self._open(timeout) if session is None else session
            if not self.ensemble.connect(number, server, self.ensemble.zxid if session is None else seen):
                self._world.after(self.delay(), lambda: told(None, True))
                return
            before = self._connections.get(number)
            if before is not None:
                before.attached = False
            connection = self._connections[number] = Connection(caller, number, server)
            self._extend(number)  # the leader is asked whether it lives
            connection.last_down = self._world.now + self.delay()
            self._world.at(connection.last_down, lambda: told(connection, False))

        self._world.after(self.delay(), arrive)

    def send(self, connection: Connection, number: int, operation: Operation | None) -> None:
        """Carry a request to the server and its answer back; None closes the session."""
        if not connection.deaf:
            connection.last_up = max(connection.last_up, self._world.now + self.delay())
            self._world.at(connection.last_up, partial(self._received, connection, number, operation))

    def end(self, session: int) -> None:
        """The session ends now: closed, released or expired."""
        connection = self._connections.pop(session, None)
        self._expiry.pop(session, None)
        if connection is not None and self.servers[connection.server].isolated:
            self.ensemble.disconnect(session)
            self._orphans.append(connection)
            connection = None
        self.ensemble.end(session, self._world.now)
        if connection is not None:
            self._drop(connection)

    def take_over(self, session: int, server: int) -> bool:
        """Somebody with the session's password closes it at that server, if possible. Whether that has closed
        it."""
        if not self.quorum or not self.servers[server].up or self.servers[server].isolated:
            return False
        lived = session in self.ensemble.sessions
        self.end(session)
        return lived

    # ------------------------------------------------------------ faults

    def confine(self, server: int) -> None:
        """This server's clients can reach no other, as if in one rack, until its isolation ends."""
        for connection in self._connections.values():
            if connection.attached and connection.server == server:
                self.reachable[connection.caller.name] = server

    def drop_all(self, server: int | None = None) -> None:
        """Close every connection (to a server)."""
        for connection in list(self._connections.values()):
            if server in (None, connection.server):
                self._drop(connection)

    def set_quorum(self, there: bool) -> None:
        """Without a quorum no server serves; a new leader gives every session its full time again."""
        self.quorum = there
        if not there:
            self.drop_all()
            for stalled in self._stalled:
                stalled.clear()
            return
        for session in list(self._expiry):
            self._extend(session)

    def lose(self, entries: int, *, passed: bool) -> list[Transacted]:
        """Lose the quorum, and with it the last commits, although they were acknowledged.

        A server with a later zxid serves clients that have seen them: the new leader at once (``passed``),
        others after the next commit.
        """
        self.set_quorum(False)
        lost = self.ensemble.lose(entries)
        if passed:
            self.ensemble.transact(0, (Check("/"),), self._world.now)
        for session in self._expiry.keys() - self.ensemble.sessions.keys():
            del self._expiry[session]
            self._connections.pop(session, None)
        for session in self.ensemble.sessions:
            if session not in self._expiry:
                self._expiry[session] = 0.0
                self._extend(session)
                self._watch_over(session)
        return lost

    def isolate(self, server: int, isolated: bool) -> None:
        """Cut a server off from the leader, or end that; then it drops its clients."""
        self.servers[server].isolated = isolated
        if not isolated:
            self.reachable = {name: only for name, only in self.reachable.items() if only != server}
            waiting, self._stalled[server] = self._stalled[server], {}
            if self._world.chance(0.5):
                self.drop_all(server)
            else:  # before the leader has given it up
                self._tell_leader(server)  # clients have used it all the time
                for calls in waiting.values():
                    for call in calls:
                        call()
            for connection in self._orphans:
                if connection.server == server:
                    self._drop(connection)
            self._orphans = [c for c in self._orphans if c.server != server]
            self.sync(server)

    # ------------------------------------------------------------ inside

    def _open(self, timeout: float) -> int:
        session = self.ensemble.open(timeout, self._world.now)
        self._expiry[session] = 0.0
        self._extend(session)
        self._watch_over(session)
        return session

    def _report(self) -> None:
        """Twice a tick servers report the sessions they have heard from; only that extends their time."""
        for number, server in enumerate(self.servers):
            if self.quorum and server.up and not server.isolated:
                self._tell_leader(number)
        self._world.after(self._tick / 2, self._report)

    def _tell_leader(self, number: int) -> None:
        for session in self.servers[number].touched:
            self._extend(session)
        self.servers[number].touched.clear()

    def _extend(self, session: int) -> None:
        if session in self._expiry:
            # Sessions end at whole ticks.
            due = self._world.now + self.ensemble.sessions[session].timeout
            self._expiry[session] = (due // self._tick + 1) * self._tick

    def _watch_over(self, session: int) -> None:
        due = self._expiry.get(session)
        if due is None:
            return
        if due > self._world.now or not self.quorum:
            self._world.after(max(due - self._world.now, 0.05), lambda: self._watch_over(session))
        else:
            self._world.note("ensemble", f"session {session:#x} expires")
            self.end(session)

    def _received(self, connection: Connection, number: int, operation: Operation | None) -> None:
        server = self.servers[connection.server]
        limited = self.most_taken < MOST_BYTES  # usually not, and this is the busiest place
        if limited and operation is not None and connection.attached and size(operation) > self.most_taken:
            self._world.note(connection.caller.name, f"is cut off: {size(operation)} bytes at once")
            self._drop(connection)
        elif connection.attached and self.quorum and server.up:
            # It notes at once which sessions it hears from, even if their requests have to wait.
            server.touched.add(connection.session)
            self._serve(connection, number, operation)

    def _serve(self, connection: Connection, number: int, operation: Operation | None) -> None:
        server = self.servers[connection.server]
        if not connection.attached:
            return
        stalled = self._stalled[connection.server]
        if connection.session in stalled or (server.isolated and isinstance(operation, Transaction)):
            waiting = stalled.setdefault(connection.session, [])
            waiting.append(partial(self._serve, connection, number, operation))
            return
        if operation is None:
            self.end(connection.session)
            return
        answer = partial(self._answer, connection)
        if not self.denials.any:
            result = answer(operation)
        elif self.denials.turns_away(connection.caller.name):
            self._down(connection, TurnedAway(number))
            return
        else:
            result = self.denials.ask(connection.caller.name, operation, answer)
        self._down(connection, Reply(number, result), self.ensemble.shown(connection.server))

    def _answer(self, connection: Connection, operation: Operation) -> Result:
        if self.servers[connection.server].isolated and not isinstance(operation, Transaction):
            return self.ensemble.read(connection.server, connection.session, operation)
        return self.ensemble.request(connection.session, operation, self._world.now)

    def _down(self, connection: Connection, event: Event | TurnedAway, seen: int = 0) -> None:
        """A watch does not show how much of the log the server has applied (``seen``)."""
        if connection.mute:
            return
        connection.last_down = max(connection.last_down, self._world.now + self.delay())
        self._world.at(connection.last_down, partial(connection.caller.received, connection, event, seen))

    def _drop(self, connection: Connection) -> None:
        if not connection.attached:
            return
        connection.attached = False
        self.ensemble.disconnect(connection.session)
        if not connection.mute:
            connection.last_down = max(connection.last_down, self._world.now + self.delay())
            self._world.at(connection.last_down, lambda: connection.caller.lost(connection))

    def _fired(self, session: int, event: EventType, path: str) -> None:
        connection = self._connections.get(session)
        if connection is not None:
            self._down(connection, Fired(path, event))

    def _commit(self, transacted: Transacted) -> None:
        self._committed(transacted)
        if transacted.changes:
            session = self.ensemble.sessions.get(transacted.session)
            for number in range(len(self.servers)):
                if session is None or number != session.server:  # that server applies it before it answers
                    self.sync(number)

    def sync(self, number: int) -> None:
        """Soon a server applies all commits, unless it is cut off."""
        server = self.servers[number]
        if server.syncing or server.isolated:
            return
        server.syncing = True
        position = len(self.ensemble.log)
        delay = self._random() * max(server.lag, 0.003)

        def catch_up() -> None:
            server.syncing = False
            if not server.isolated:
                self.ensemble.catch_up(number, position)
                if len(self.ensemble.log) > position:
                    self.sync(number)

        self._world.after(delay, catch_up)
