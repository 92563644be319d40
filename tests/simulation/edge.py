"""Between a simulated process and the simulated ensemble: its session and its connection.

It is what mwapp.zookeeper is to a real process. One lives as long as its process.
"""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from mwapp.core.messages import (
    Closed,
    Connected,
    Error,
    Event,
    Expired,
    Failed,
    Fired,
    Operation,
    Reply,
    Resumed,
    Set,
    Suspended,
    Transaction,
)
from mwapp.core.protocol import CANDIDATES
from mwapp.core.request_size import RequestSize
from tests.simulation.denials import TurnedAway
from tests.simulation.service import Connection, Service
from tests.simulation.world import Chance, World

if TYPE_CHECKING:
    from tests.simulation.host import Host

HEARTBEAT = "/"  # only heartbeats check it here
# A message that is later than this is not just on the way, seconds.
ON_THE_WAY = 0.01
REDIAL = 0.3
# Requests of this size may be why the connection is lost, bytes; the default is far larger.
SUSPECT_BYTES = 700
# A server that leaves a request unanswered for this part of the session time-out is given up.
SILENCE = 1 / 3


class Edge:
    """A process's session, and after it the next."""

    def __init__(self, world: World, service: Service, host: "Host") -> None:
        self.name = host.name
        self.session: int | None = None
        self._world, self._service, self._host = world, service, host
        self._alive = True
        self._connection: Connection | None = None
        self._given_up: int | None = None  # a session that may live on
        self._former: Connection | None = None  # that session's, over which it is to be closed
        self._news: Chance | None = None  # made when first needed
        self._seen = 0  # how much of the log the process has seen: no server may show it less
        self._outstanding: dict[int, tuple[Operation, float]] = {}
        self._watched = False  # whether silence is being watched for
        self.requests = 0  # so far
        self._request_size = RequestSize(service.most_sent, SUSPECT_BYTES)
        self._refused: set[int] = set()  # of the outstanding ones those that were not sent

    @property
    def server(self) -> int | None:
        """The server it is connected to."""
        return self._connection.server if self._connection is not None else None

    def well(self) -> Connection | None:
        """Its connection, if nothing is lost or late there."""
        connection, soon = self._connection, self._world.now + ON_THE_WAY
        if connection is None or not connection.attached or connection.deaf or connection.mute:
            return None
        return connection if max(connection.last_up, connection.last_down) < soon else None

    # ------------------------------------------------------------ what the process wants

    def request(self, number: int, operation: Operation) -> None:
        """Send a request."""
        if self._connection is None:  # the cut came while it was on the way
            lost = Reply(number, Failed(Error.CONNECTION_LOSS))
            self._world.after(0.0, lambda: self._host.event(lost) if self._alive else None)
            return
        if writes(operation):
            self._host.writes()
        self.requests += 1
        self._outstanding[number] = operation, self._world.now
        if self._request_size.allows(operation, self._world.now):
            self._service.send(self._connection, number, self.below(operation))
        else:
            self._refused.add(number)
            if len(self._outstanding) == 1:
                self._world.after(0.0, partial(self._refuse, self._connection))
        self._watch_silence()

    def below(self, operation: Operation) -> Operation:
        """As the ensemble knows it."""
        return below(self._host.chroot, operation)

    def abandon(self) -> None:
        """Give up the session and open another, which ends the old one if closing it failed."""
        self.close()
        self._given_up, self._former = self.session, self._connection
        self._connection, self.session = None, None
        self._outstanding.clear()
        self._refused.clear()
        self._redial(self._world.between(0.01, REDIAL))

    def close(self) -> None:
        """Close the session, if possible."""
        if self._connection is not None:
            self._service.send(self._connection, 0, None)

    def die(self) -> None:
        """The process is gone; what it sent may still arrive."""
        self._alive = False
        if self._connection is not None:
            self._connection.deaf = True
            self._connection = None

    # ------------------------------------------------------------ faults

    def cut(self, *, deaf: bool, mute: bool, notice: float) -> None:
        """Break the connection: what is lost from now on, and when the process notices, seconds."""
        connection = self._connection
        if connection is not None:
            self._world.note(self.name, f"cut, {deaf=}, {mute=}, noticed in {notice:.3f} s")
            connection.deaf |= deaf
            connection.mute |= mute
            self._world.after(notice, lambda: self.lost(connection))

    def stall(self, seconds: float, *, up: bool) -> None:
        """Delay what is sent (up) or received from now on; nothing is lost."""
        if self._connection is not None:
            self._world.note(self.name, f"stalls {seconds:.3f} s, {up=}")
            self._connection.stall(self._world.now + seconds, up=up)

    # ------------------------------------------------------------ the connection

    def received(self, connection: Connection, event: Event | TurnedAway, seen: int) -> None:
        """Something came over a connection; ignore what comes over an old one."""
        if self._host.frozen:  # checked first: usually it is not, and this is the busiest place
            self._host.deferred(partial(self.received, connection, event, seen))
        elif connection is not self._connection:
            pass
        elif isinstance(event, TurnedAway):  # its request was not carried out, but later ones may be
            self.lost(connection)
        else:
            self._seen = max(self._seen, seen)
            if isinstance(event, Reply) and event.request in self._outstanding:
                self._request_size.answered(self._outstanding.pop(event.request)[0])
            self._host.event(above(self._host.chroot, event))
            self._refuse(connection)

    def _refuse(self, connection: Connection) -> None:
        """Answer requests that were not sent in their turn."""
        if self._host.deferred(lambda: self._refuse(connection)):
            return
        while connection is self._connection and self._refused:
            number = next(iter(self._outstanding))
            if number not in self._refused:
                return
            del self._outstanding[number]
            self._refused.discard(number)
            self._host.event(Reply(number, Failed(Error.REFUSED)))

    def lost(self, connection: Connection) -> None:
        """The connection is gone: report it, and look for another server."""
        if self._host.deferred(lambda: self.lost(connection)):
            return
        if connection is self._connection:
            self._connection = None
            sent = [operation for n, (operation, _) in self._outstanding.items() if n not in self._refused]
            self._request_size.lost(sent, self._world.now)
            self._cut_off(Suspended())
            self._redial(self._world.between(0.001, REDIAL))
        elif connection is self._former and connection.session not in self._service.ensemble.sessions:
            self._closed(connection.session)

    def _cut_off(self, why: Event) -> None:
        cut, self._outstanding = self._outstanding, {}
        self._refused.clear()
        for number in cut:
            self._host.event(Reply(number, Failed(Error.CONNECTION_LOSS)))
        self._host.event(why)

    def dial(self) -> None:
        """Connect to some server, with the current session or a new one."""
        session, asked = self.session, self._host.clock.now()

        def told(connection: Connection | None, over: bool) -> None:
            if self._host.deferred(lambda: told(connection, over)):
                return
            if not self._alive or session != self.session:
                return  # the process has been replaced, or gave up that session
            if over:
                self.session = None
                self._cut_off(Expired())
                self._redial(self._world.between(0.001, REDIAL))
            elif connection is None:
                self._redial(self._world.between(0.01, REDIAL))
            else:
                self._connection = connection
                self.session = connection.session
                self._end_given_up(connection)
                new = Connected(connection.session, self._host.timeout, asked)
                self._host.event(new if session is None else Resumed(asked))
                self._host.connected()

        self._service.dial(self, session, self._host.timeout, self._seen, told)

    def _end_given_up(self, connection: Connection) -> None:
        given_up, self._given_up = self._given_up, None
        if given_up is None or not self._world.chance(0.8):  # it is tried but once
            return

        def end() -> None:
            if self._service.take_over(given_up, connection.server):
                self._closed(given_up)

        self._world.after(self._service.delay(), end)

    def _closed(self, session: int) -> None:
        """The process hears soon that a session that it gave up is closed, or late, or never."""
        news = self._news = self._news or self._world.stream(f"news for {self.name}")
        if news.chance(0.1):
            return
        late = self._host.timeout * news.random.choice([0.0, 0.0, 1.0, 4.0])
        self._world.after(
            news.between(0.0005, 0.005 + late),
            lambda: self._host.event(Closed(session)) if self._alive else None,
        )

    def _redial(self, delay: float) -> None:
        session = self.session

        def again() -> None:
            if not self._host.deferred(again) and self._alive and session == self.session:
                self.dial()

        self._world.after(delay, again)

    def _watch_silence(self) -> None:
        if self._watched:
            return
        self._watched = True
        patience = self._host.timeout * SILENCE

        def look() -> None:
            if self._host.deferred(look):
                return
            self._watched = False
            if not self._alive or not self._outstanding or self._connection is None:
                return
            _, asked = next(iter(self._outstanding.values()))
            if self._world.now - asked >= patience:
                self._world.note(self.name, "finds its server silent")
                self.lost(self._connection)
            else:
                self._watch_silence()

        self._world.after(patience, look)


def writes(operation: Operation) -> bool:
    """Whether it is a transaction, and more than a sign of life."""
    if not isinstance(operation, Transaction):
        return False
    last = operation.ops[-1]
    beats = isinstance(last, Set) and last.path.startswith(f"{CANDIDATES}/")
    return last.path != HEARTBEAT and not beats


def below(chroot: str, operation: Operation) -> Operation:
    """As the ensemble knows it."""
    if not chroot:
        return operation
    if isinstance(operation, Transaction):
        return Transaction(tuple(replace(op, path=_below(chroot, op.path)) for op in operation.ops))
    return replace(operation, path=_below(chroot, operation.path))


def above(chroot: str, event: Event) -> Event:
    """As the process knows it."""
    if chroot and isinstance(event, Fired):
        return Fired(event.path.removeprefix(chroot) or "/", event.event)
    if chroot and isinstance(event, Reply) and isinstance(event.result, tuple):
        results = tuple(r.removeprefix(chroot) if isinstance(r, str) else r for r in event.result)
        return Reply(event.request, results)
    return event


def _below(chroot: str, path: str) -> str:
    return (chroot + path).rstrip("/")
