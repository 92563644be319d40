"""Servers that speak ZooKeeper's protocol in bytes, over the simulated ensemble of tests/simulation.

What a server is made to do wrong is drawn for each connection (:class:`Script`) before the first byte comes.
"""

import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from mwapp.core.messages import Event, Exists, Fired, Operation, Reply, Result
from tests.edge import wire
from tests.edge.network import Link
from tests.simulation.denials import TurnedAway
from tests.simulation.service import Connection, Service
from tests.simulation.world import Chance, World

# How long a server takes for its first answer at most, seconds.
SLOW = 3.0


class Greeting(Enum):
    """What a server makes of the first packet."""

    PROPER = "as it should"
    MUTE = "says nothing"
    HANGS_UP = "hangs up"
    HALF = "says half of it and no more"
    HALF_HANGS_UP = "says half of it and hangs up"
    HTTP = "speaks HTTP"
    SHORT = "says something short"
    SLOW = "takes its time"
    STRANGER = "takes it for somebody else"


class Spoiled(Enum):
    """What a server makes of a reply. The connection is of no use afterwards."""

    WRONG_XID = "with the number of another"
    UNKNOWN_XID = "with a number there is none of"
    CUT_SHORT = "cut short, and the length fits"
    NEGATIVE = "with a negative length"
    TOO_SHORT = "too short for its head"
    NOISE = "as noise"
    NO_TEXT = "as a change of something that is no text"
    LONG_CHANGE = "as a change that is longer than it says"
    MOVED = "that the session has moved"
    MUTE = "never, nor any other"


@dataclass(slots=True)
class Script:
    """What a server will do wrong on a connection."""

    greeting: Greeting = Greeting.PROPER
    spoils: int | None = None  # the reply of this number, from 0
    spoiled: Spoiled = Spoiled.NOISE
    refuses: dict[int, int] = field(default_factory=dict)  # requests, from 0, and the error each gets
    unasked: int | None = None  # after this reply comes another, to nothing
    keeps: bool = False  # it refuses to close a session
    slow: float | None = None  # seconds before the first answer
    draw: Chance = field(default_factory=lambda: Chance(0))  # for what is still open

    def mend(self) -> None:
        """From now on do everything right."""
        self.spoils = self.unasked = None
        self.refuses.clear()
        self.keeps = False


class Watcher:
    """Who is told of all that is said; the judge."""

    def greeted(self, link: Link, hello: wire.Hello) -> None:
        """A client says who it is."""

    def granted(self, link: Link, session: int, timeout: float) -> None:
        """It is told that its session lives; these bytes are on their way."""

    def asked(self, link: Link, request: wire.Request) -> None:
        """A request has come."""

    def said(self, link: Link, said: "Said") -> None:
        """A reply, or that a watch has gone off, is on its way."""

    def over(self, link: Link) -> None:
        """It is told that its session is over."""

    def spoiled(self, link: Link) -> None:
        """Whatever is said on this connection from now on is worth nothing."""


@dataclass(slots=True)
class Said:
    """What a server has said: the result of each operation of a request, or that a watch has gone off."""

    zxid: int = 0
    operations: tuple[Operation, ...] = ()
    results: tuple[Result, ...] = ()
    code: int | None = None  # the error of the whole, if it was refused
    closes: bool = False  # the session
    fired: Fired | None = None  # a watch has gone off
    end: int = 0  # where it ends among all the bytes that the server has sent


@dataclass(slots=True)
class _Waiting:
    """A request that is being carried out."""

    request: wire.Request
    code: int | None  # it is not carried out, but refused so
    left: int = 0  # results to come
    results: list[Result] = field(default_factory=list)


class Servers:
    """All of them. ``script`` says what one will do wrong on a connection."""

    def __init__(
        self,
        world: World,
        service: Service,
        watcher: Watcher,
        script: Callable[[Link], Script],
        passwords: dict[int, bytes],
        grants: tuple[float, float],
    ) -> None:
        self.world, self.service, self.watcher, self.script = world, service, watcher, script
        self.passwords = passwords  # of the sessions
        self.grants = grants  # the shortest and the longest time-out, seconds
        self.refuses: Callable[[Operation], bool] = lambda _: False  # by an access control list

    def accept(self, link: Link) -> "Visit":
        """A client has come."""
        return Visit(self, link)


class Visit:
    """A connection, as its server sees it."""

    def __init__(self, servers: Servers, link: Link) -> None:
        self.name = link.machine.name
        self._servers, self._world, self._service = servers, servers.world, servers.service
        self._link, self._script = link, servers.script(link)
        self._draw = self._script.draw
        self._received = bytearray()
        self._connection: Connection | None = None
        self._greeted = False
        self._waiting: deque[_Waiting] = deque()
        self._closing: wire.Request | None = None
        self._requests = self._numbers = self._results = self._replies = 0

    # ------------------------------------------------------------ what the client does

    def came(self, data: bytes) -> None:
        """Some bytes have come."""
        self._received += data
        for packet in wire.split(self._received):
            if self._greeted:
                self._request(wire.request(packet))
            else:
                self._greeted = True
                self._greet(wire.hello(packet))

    def left(self) -> None:
        """The client has hung up; what it had sent may be carried out nevertheless."""

    def _greet(self, hello: wire.Hello) -> None:
        self._servers.watcher.greeted(self._link, hello)
        match self._script.greeting:
            case Greeting.MUTE:
                return
            case Greeting.HTTP:
                self._nonsense(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            case Greeting.SHORT:
                self._nonsense(wire.packet(b"\0" * 7))
            case Greeting.HANGS_UP:
                self._link.close()
            case Greeting.SLOW:
                self._world.after(self._draw.random.random() * SLOW, lambda: self._dial(hello))
            case Greeting.STRANGER if hello.session:
                self._nonsense(wire.welcome(4000, hello.session + 1, bytes(16)))
            case _ if self._script.slow is not None and hello.timeout:
                self._world.after(self._script.slow, lambda: self._dial(hello))
            case _:
                self._dial(hello)

    def _nonsense(self, data: bytes) -> None:
        self._link.send(data)
        self._servers.watcher.spoiled(self._link)

    def _dial(self, hello: wire.Hello) -> None:
        """Ask the ensemble about the session."""
        service, number = self._service, self._link.server
        if hello.seen > service.ensemble.shown(number):
            self._world.note(self.name, f"has seen more than zk{number + 1}, which refuses it")
            service.sync(number)
            self._link.close()
            return
        shortest, longest = self._servers.grants
        timeout = round(min(max(hello.timeout / 1000, shortest), longest), 3)
        if hello.session and hello.password != self._servers.passwords.get(hello.session):
            self._told(None, over=True)
            return
        if hello.session in service.ensemble.sessions:
            service.ensemble.sessions[hello.session].timeout = timeout
        only = service.reachable.get(self.name)
        service.reachable[self.name] = number  # this very server is asked
        service.dial(self, hello.session or None, timeout, hello.seen, self._told)
        del service.reachable[self.name]
        if only is not None:
            service.reachable[self.name] = only

    def _told(self, connection: Connection | None, over: bool) -> None:
        if over:
            self._link.send(wire.welcome(0, 0, bytes(16)))
            self._servers.watcher.over(self._link)
        if connection is None:
            self._link.close()
            return
        self._connection, session = connection, connection.session
        known = self._service.ensemble.sessions.get(session)
        if known is None:  # it has ended this very moment
            self._link.close()
            return
        timeout = known.timeout
        password = self._servers.passwords.setdefault(session, self._world.random.randbytes(16))
        said = wire.welcome(round(timeout * 1000), session, password)
        if self._script.greeting in (Greeting.HALF, Greeting.HALF_HANGS_UP):
            self._link.send(said[: self._draw.random.randrange(1, len(said))])
            if self._script.greeting is Greeting.HALF_HANGS_UP:
                self._link.close()
            return
        self._link.send(said)
        self._servers.watcher.granted(self._link, session, timeout)

    def _request(self, request: wire.Request) -> None:
        self._servers.watcher.asked(self._link, request)
        if self._connection is None:
            return
        if not self._connection.attached:
            self._moved(request)
            return
        if request.kind == wire.PING:
            self._carry_out(_Waiting(request, None), Exists("/"))
            return
        if request.kind == wire.CLOSE:
            self._closing = request
            if self._script.keeps:
                self._link.send(wire.reply(request.xid, 0, self._draw.random.choice([-1, -127])))
            elif not self._service.servers[self._link.server].isolated:  # else no leader is there to end it
                self._service.send(self._connection, 0, None)
            return
        code = self._script.refuses.get(self._requests)
        if code is None and self._servers.refuses(request.operations[0]):
            code = wire.NO_PERMISSION
        self._requests += 1
        waiting = _Waiting(request, code)
        self._carry_out(waiting, *(request.operations if code is None else [Exists("/")]))

    def _moved(self, request: wire.Request) -> None:
        """The session was moved by an earlier connection, whose server was slow to ask the leader."""
        self._servers.watcher.spoiled(self._link)
        if self._draw.chance(0.5):
            self._link.send(wire.reply(request.xid, 0, wire.MOVED))
        self._link.close()

    def _carry_out(self, waiting: _Waiting, *operations: Operation) -> None:
        assert self._connection is not None
        self._waiting.append(waiting)
        waiting.left = len(operations)
        for operation in operations:
            self._numbers += 1
            self._service.send(self._connection, self._numbers, operation)

    # ------------------------------------------------------------ what the ensemble says (Caller)

    def received(self, _: Connection, event: Event | TurnedAway, seen: int) -> None:
        """The result of an operation, or a watch has gone off."""
        match event:
            case Fired(path):
                self._say(Said(fired=event), wire.watch(event.event.value, path))
            case Reply(number, result):
                self._result(number, result, seen)
            case TurnedAway(number):
                self._result(number, None, seen, self._draw.random.choice(wire.LOST))

    def _result(self, number: int, result: Result, seen: int, code: int | None = None) -> None:
        self._results += 1
        if number != self._results:  # the one before was lost with the quorum
            self._link.close()
            return
        waiting = self._waiting[0]
        waiting.code = waiting.code if code is None else code
        waiting.results.append(result)
        waiting.left -= 1
        if not waiting.left:
            self._waiting.popleft()
            self._answer(waiting, seen)

    def lost(self, connection: Connection) -> None:
        """The server hangs up: the session is over, perhaps because that was asked for."""
        if self._closing is not None and connection.session not in self._service.ensemble.sessions:
            zxid = self._service.ensemble.shown(self._link.server)
            self._say(Said(zxid, closes=True), wire.reply(self._closing.xid, zxid))
            self._world.after(self._draw.random.choice([0.0, 1.0]), self._link.close)
        else:
            self._link.close()

    # ------------------------------------------------------------ what it says

    def _answer(self, waiting: _Waiting, zxid: int) -> None:
        request, code, body = waiting.request, waiting.code, b""
        if request.kind == wire.PING:
            self._say(None, wire.reply(wire.PING_XID, zxid))
            return
        if code is None:
            code, body = wire.answer(request, waiting.results)
        elif self._draw.chance(0.5):
            zxid = 0  # as some refusals have it
        if code in wire.LOST:
            self._servers.watcher.spoiled(self._link)
        said = Said(zxid, request.operations, tuple(waiting.results), waiting.code)
        number, self._replies = self._replies, self._replies + 1
        if number == self._script.spoils:
            self._spoil(request.xid, zxid, code, body)
        self._say(said, wire.reply(request.xid, zxid, code, body))
        if number == self._script.unasked:
            self._servers.watcher.spoiled(self._link)
            self._say(None, wire.reply(request.xid + 1000, zxid))

    def _spoil(self, xid: int, zxid: int, code: int, body: bytes) -> None:
        self._world.note(f"zk{self._link.server + 1}", f"answers {self.name} {self._script.spoiled.value}")
        if self._script.spoiled is Spoiled.MUTE:
            self._link.down.stop()
            return
        self._servers.watcher.spoiled(self._link)
        match self._script.spoiled:
            case Spoiled.CUT_SHORT if body:
                data = wire.reply(xid, zxid, code, body[: self._draw.random.randrange(len(body))])
            case Spoiled.UNKNOWN_XID:
                data = wire.reply(-17, zxid, code, body)
            case Spoiled.NEGATIVE:
                data = struct.pack(">iiqi", -4, wire.PING_XID, 0, 0)
            case Spoiled.TOO_SHORT:
                data = wire.packet(struct.pack(">iq", xid, zxid))
            case Spoiled.NO_TEXT:
                data = wire.reply(wire.WATCH_XID, -1, 0, struct.pack(">iii", 1, 3, 4) + b"\xff\xfe/a")
            case Spoiled.LONG_CHANGE:
                change = wire.watch(1, "/a")[4:]
                data = struct.pack(">i", self._draw.random.randrange(4, len(change))) + change
            case Spoiled.MOVED:
                data = wire.reply(xid, zxid, wire.MOVED)
            case Spoiled.NOISE:
                data = b"\0\0\0" + self._draw.random.randbytes(200)
            case _:
                data = wire.reply(xid + 1, zxid, code, body)
        self._link.send(data)

    def _say(self, said: Said | None, data: bytes) -> None:
        self._link.send(data)
        if said is not None:
            said.end = self._link.down.written
            self._servers.watcher.said(self._link, said)
