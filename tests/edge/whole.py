"""The whole: schedules of tests/simulation, with their judge and faults, on the real edge.

To what goes wrong there comes what goes wrong with the bytes of a connection.
"""

import random
from collections import Counter
from collections.abc import Callable

from mwapp.core.messages import Connected, Event, Expired, Operation, Resumed
from mwapp.core.request_size import RequestSize
from mwapp.loop import CLOSE_SECONDS
from mwapp.zookeeper.connect_string import Servers as Addresses
from mwapp.zookeeper.connect_string import show
from tests.edge import wire
from tests.edge.links import Links
from tests.edge.loop import Loop
from tests.edge.machine import SimMachine
from tests.edge.network import How, Link, Manner, Network
from tests.edge.planted import REAL, Edge
from tests.edge.server import Servers, Watcher
from tests.simulation.edge import SUSPECT_BYTES, writes
from tests.simulation.edge import Edge as SimEdge
from tests.simulation.host import Host
from tests.simulation.schedule import NONE, Schedule
from tests.simulation.service import Connection
from tests.simulation.world import Violation, World

# The shortest and the longest session time-out there is, seconds.
GRANTS = 0.2, 60.0


class HostMachine(SimMachine):
    """A host's: on its clock, and frozen when it is."""

    def __init__(self, world: World, network: Network, host: Host) -> None:
        super().__init__(world, network, host.name)
        self._host = host

    def now(self) -> float:
        return self._host.clock.now()

    @property
    def stands_still(self) -> bool:
        return self._host.frozen

    def deferred(self, call: Callable[[], None]) -> bool:
        return self._host.deferred(call)


class RealEdge(SimEdge):
    """The real edge of a process, to its host and its faults as the simulated one."""

    def __init__(
        self, world: World, network: Network, edge: Edge, host: Host, request_size: RequestSize
    ) -> None:
        self.name = host.name
        self.session: int | None = None
        self.requests = 0
        self.machine = HostMachine(world, network, host)
        self._world, self._host = world, host
        self._link: Link | None = None  # the present connection
        self._closing = False
        addresses = Addresses.parse(",".join(map(show, network.addresses)) + host.chroot)
        self._loop = Loop(edge, self.machine, addresses, host.timeout, self._handle, request_size)

    @property
    def server(self) -> int | None:
        return self._link.server if self._link is not None else None

    def well(self) -> Connection | None:
        return None  # a connection may be slow in many ways: what is late is not judged here

    # ------------------------------------------------------------ what the process wants

    def dial(self) -> None:
        self._loop.soon()

    def request(self, number: int, operation: Operation) -> None:
        if writes(operation):
            self._host.writes()
        self.requests += 1
        self._loop.sessions.request(self.machine.now(), number, operation)
        self._loop.soon()

    def abandon(self) -> None:
        self.session = self._link = None
        self._loop.sessions.abandon(self.machine.now())
        self._loop.soon()

    def close(self) -> None:
        """The process lives on until its session is closed; to its host it is gone."""
        self._closing = True
        self._loop.stop()

        def closing() -> None:
            self._loop.sessions.close(CLOSE_SECONDS)
            self._world.after(0.0, self.machine.switch_off)

        self.machine.spawn(closing)

    def die(self) -> None:
        self._loop.stop()
        if not self._closing:
            self.machine.switch_off()

    # ------------------------------------------------------------ faults

    def cut(self, *, deaf: bool, mute: bool, notice: float) -> None:
        link = self._link
        if link is None:
            return
        self._world.note(self.name, f"cut, {deaf=}, {mute=}, noticed in {notice:.3f} s")
        if deaf:
            link.up.stop()
        if mute:
            link.down.stop()
        link.manner.how = How.RESET
        self._world.after(notice, link.breaks)

    def stall(self, seconds: float, *, up: bool) -> None:
        if self._link is not None:
            self._world.note(self.name, f"stalls {seconds:.3f} s, {up=}")
            (self._link.up if up else self._link.down).stall(seconds)

    # ------------------------------------------------------------ the connection

    def _handle(self, event: Event, link: Link | None) -> None:
        match event:
            case Connected(session):
                self.session, self._link = session, link
            case Resumed():
                self._link = link
            case Expired():
                self.session = self._link = None
        self._host.event(event)
        if isinstance(event, Connected | Resumed):
            self._host.connected()


# Its servers have no access control lists, without which the edge sends no secret values.
OPEN_TO_ALL = NONE._replace(secrets=0.0)


class OpenToAll(Watcher):
    """There are no lists, so nothing is created with one."""

    def asked(self, link: Link, request: wire.Request) -> None:
        if any(each != wire.OPEN for each in request.lists):
            raise Violation("lists", f"{link.machine.name} asks {request}, without /acl")


class Whole(Schedule):
    """A schedule of tests/simulation, on the real edge."""

    def __init__(self, seed: int, edge: Edge = REAL, without: frozenset[int] = frozenset()) -> None:
        self._edge = edge
        self._edges: list[RealEdge] = []
        random.seed(seed)  # kazoo's own
        super().__init__(seed, OPEN_TO_ALL, without)
        draw = self.world.random
        self.met: Counter[str] = Counter()
        self.links = Links(self.world, self.timeout, self.met, refusals=False)
        self.network = Network(self.world, len(self.service.servers), self._manner)
        self.network.torn = draw.choice([0.0, 0.1, 0.5])
        servers = Servers(self.world, self.service, OpenToAll(), self.links.script, {}, GRANTS)
        self.network.accept = servers.accept

    def edge(self, host: Host) -> SimEdge:
        request_size = RequestSize(self.service.most_sent, SUSPECT_BYTES)
        edge = RealEdge(self.world, self.network, self._edge, host, request_size)
        self._edges.append(edge)
        return edge

    def run(self) -> None:
        self.world.after(self._war, self._mend)
        self.met["whole"] += 1
        try:
            super().run()
        finally:
            for edge in self._edges:
                edge.machine.switch_off()

    def _mend(self) -> None:
        self.links.mend()
        self.network.mend()

    def _manner(self, machine: SimMachine, server: int) -> Manner:
        if self.service.reachable.get(machine.name, server) != server:
            return Manner(ignored=True)
        return self.links.manner(machine, server)
