"""A process that plays a core, which asks for this and that as messages.py allows it to."""

from collections.abc import Iterable

from mwapp.core.messages import (
    Connected,
    Event,
    Expired,
    Get,
    Operation,
    Reply,
    Request,
    Resumed,
    Suspended,
)
from mwapp.core.request_size import RequestSize
from mwapp.loop import CLOSE_SECONDS
from mwapp.zookeeper.connect_string import Servers
from tests.edge import asks
from tests.edge.judge import SLACK, Judge
from tests.edge.loop import Loop
from tests.edge.machine import SimMachine
from tests.edge.network import Link
from tests.edge.planted import Edge
from tests.edge.sides import Side
from tests.simulation.world import Chance, Violation, World

# A session of which nothing is heard for so much of its time-out may be over: it is given up.
TOO_LONG = 0.7


class Player:
    """One process, and after its end the next."""

    def __init__(
        self, world: World, judge: Judge, machine: SimMachine, edge: Edge, servers: Servers, timeout: float
    ) -> None:
        self.name, self.machine = machine.name, machine
        self.servers = servers
        self.side = Side(self.name, self.servers, timeout)
        judge.sides[self.name] = self.side
        self.usable = False
        self.lists = False  # it asks for what access control lists are for, too
        self.proven = False  # it was answered since it was told to prove that it lives
        self.answered = 0  # requests
        self.closed: list[bool] = []  # what closing has said
        self._world, self._judge, self._edge, self._timeout = world, judge, edge, timeout
        self._draw = Chance(world.random.getrandbits(40))
        self._loop: Loop | None = None
        self._life = self._numbers = 0
        self._rests = self._proves = False
        self._proof = 0  # the number of what proves it
        self._lost_at = 0.0

    # ------------------------------------------------------------ its life

    def start(self) -> None:
        """Begin to run, unless it does."""
        if self._loop is None:
            self._life += 1
            self._world.note(self.name, "starts")
            self._loop = Loop(
                *(self._edge, self.machine, self.servers, self._timeout, self._handle),
                learns=self._learns,
            )
            self._loop.soon()
            self._work()

    def crash(self, *, release: bool) -> None:
        """Die; and be released as a unit's process is."""
        if self._loop is None:
            return
        self._world.note(self.name, "dies")
        up = self._end(self._loop).sessions.session
        self.machine.switch_off()
        if up is not None and release:
            self.side.given_up.add(up.session)
            servers = [up.address, *(a for a in self.servers.addresses if a != up.address)]
            self.machine.spawn(lambda: self._release(servers, up.session, up.password))

    def close(self) -> None:
        """End as a daemon does."""
        if self._loop is not None:
            self._world.note(self.name, "closes its session")
            session = self.side.session
            loop = self._end(self._loop)
            self.machine.spawn(lambda: self._closing(loop, session))

    def abandon(self) -> None:
        """Give the session up."""
        if self._loop is not None and self.side.session is not None and not self.machine.frozen:
            self._world.note(self.name, f"gives {self.side.session:#x} up")
            self._judge.gives_up(self.side)
            self.usable = False
            self._loop.sessions.abandon(self._world.now)
            self._loop.soon()

    def freeze(self) -> None:
        """Stand still, as a stopped process."""
        self._world.note(self.name, "freezes")
        self.machine.frozen = True

    def thaw(self) -> None:
        """Go on."""
        if self.machine.frozen:
            self._world.note(self.name, "thaws")
            self._judge.thawed(self.side, self._world.now)
            self.machine.thaw()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._loop is not None

    @property
    def link(self) -> Link | None:
        """The present connection, as far as the core knows."""
        return self.side.talk.link if self.side.talk is not None else None

    def _end(self, loop: Loop) -> Loop:
        loop.stop()
        self._loop, self.usable = None, False
        self._life += 1
        self.side.ends()
        self.side.request_size, self.side.knows = RequestSize(), None
        return loop

    def _closing(self, loop: Loop, session: int | None) -> None:
        began = self._world.now
        closed = loop.sessions.close(CLOSE_SECONDS)
        took = self._world.now - began
        self._world.note(self.name, f"has {'' if closed else 'not '}closed it")
        self.closed.append(closed)
        if took > CLOSE_SECONDS + 1 + SLACK and began > self.side.thawed_at and not self.machine.frozen:
            raise Violation("closed", f"{self.name} takes {took:.1f} s to close")
        if closed and session in self._judge.ensemble.sessions:
            raise Violation("closed", f"{self.name} says that {session:#x} is closed")

    def _release(self, servers: list[tuple[str, int]], session: int, password: bytes) -> None:
        try:
            self._edge.end_session(servers, session, password, self.machine.connect, self.machine.now)
        except OSError as problem:
            self._world.note(self.name, f"is not released: {problem}")
        else:
            if session in self._judge.ensemble.sessions:
                raise Violation("given-up", f"{session:#x} is said to be closed")

    # ------------------------------------------------------------ what the core is told

    def _learns(self, link: Link | None) -> None:
        self._judge.learns(self.side, link, self._world.now)

    def _handle(self, event: Event, link: Link | None) -> None:
        self._world.note(self.name, event)
        self._judge.told(self.side, event, link, self._world.now)
        match event:
            case Connected() | Resumed():
                self.usable = True
                self._ask_some()
            case Suspended() | Expired():
                self.usable, self._lost_at = False, self._world.now
            case Reply(number, result):
                self.answered += 1
                self.proven |= number == self._proof and result == (None,)

    # ------------------------------------------------------------ what the core asks

    def rests(self) -> None:
        """From now on ask for nothing."""
        self._rests = True

    def proves(self) -> None:
        """From now on ask for nothing but a proof of life, again and again."""
        self._rests, self._proves = False, True
        self.proven, self._proof = False, 0

    @property
    def settled(self) -> bool:
        """Whether it has proved that it lives, and has not lost the connection since."""
        return self.proven and self.usable and self.link is not None

    def ask(self, operations: Iterable[Operation]) -> None:
        """Make these requests at once."""
        if self._loop is None:
            return
        for operation in operations:
            self._numbers += 1
            sent = asks.can_be_sent(operation)
            self._judge.wants(self.side, self._numbers, operation, self._world.now, sent=sent)
            self._world.note(self.name, Request(self._numbers, operation))
            self._loop.sessions.request(self._world.now, self._numbers, operation)
        self._loop.soon()

    def _ask_some(self) -> None:
        if self._rests:
            return
        if not self._proves:
            self.ask(asks.some(self._draw, lists=self.lists))
        elif not self.side.outstanding:
            self.ask([asks.PROOF])
            self._proof = self._numbers

    def _work(self) -> None:
        """Ask for something every now and then; give up a session that may be over."""
        life = self._life

        def again() -> None:
            if life != self._life or self.machine.deferred(again):
                return
            if self.usable:
                self._ask_some()
            elif self.side.session is not None:
                if self._world.now - self._lost_at > TOO_LONG * self._timeout:
                    self.abandon()
                elif self._draw.chance(0.1):
                    self.ask([Get("/")])  # no core would, yet it is answered
            self._work()

        self._world.after(self._draw.between(0.005, self._timeout / 3), again)
