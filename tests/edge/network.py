"""The network between machines and servers: bytes come in pieces, late, in part or not at all."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

from tests.simulation.world import World

if TYPE_CHECKING:
    from tests.edge.machine import SimMachine

# What trickles is late by so much at most, seconds.
BACKLOG = 3.0

Address = tuple[str | bytes, int]


class How(Enum):
    """How a connection breaks."""

    END = "ends"  # both sides are told, after what was sent before
    RESET = "is reset"
    HOLE = "is a black hole"  # nobody is told


@dataclass(slots=True)
class Manner:
    """How a connection will go. Byte counts: so many pass, then it breaks."""

    refused: bool = False
    ignored: bool = False  # nobody answers who asks for it
    cut_down: int | None = None
    cut_up: int | None = None
    how: How = How.END
    gap: float = 0.0  # seconds between what the server says and what it says next


class Visit(Protocol):
    """The server's end of a connection."""

    def came(self, data: bytes) -> None:
        """Some bytes have come."""

    def left(self) -> None:
        """The client has hung up."""


class Pipe:
    """One direction of a connection."""

    def __init__(
        self, link: "Link", deliver: Callable[[bytes], None], left: int | None, gap: float = 0.0
    ) -> None:
        self.written = 0
        self._link, self._deliver, self._left = link, deliver, left
        self._last = 0.0  # when the last piece arrives
        self._lost = False  # what is written from now on
        self._gap = gap  # seconds between two that are written

    def write(self, data: bytes) -> None:
        """Send it on its way."""
        self.written += len(data)
        if self._lost:
            return
        if self._left is not None:
            data, self._left = data[: self._left], max(0, self._left - len(data))
        now = self._link.network.world.now
        self._last = max(self._last, min(self._last + self._gap, now + BACKLOG))
        for piece, delay in self._link.network.pieces(data):
            self._at(delay, partial(self._deliver, piece))
        if self._left == 0:
            self.stop()
            self._at(0.0, self._link.breaks)

    def end(self, call: Callable[[], None]) -> None:
        """Nothing more will be written; tell when all has arrived."""
        if not self._lost:
            self.stop()
            self._at(self._link.network.delay(), call)

    def stop(self) -> None:
        """Whatever is written from now on is lost."""
        self._lost = True

    def mend(self) -> None:
        """It breaks no more; what it has lost is lost."""
        self._left, self._gap = None, 0.0

    def stall(self, seconds: float) -> None:
        """Nothing that is written from now on arrives before."""
        self._last = max(self._last, self._link.network.world.now + seconds)

    def _at(self, delay: float, call: Callable[[], None]) -> None:
        world = self._link.network.world
        self._last = max(self._last, world.now + delay)
        world.at(self._last, call)


class Link:
    """A connection of a machine to a server."""

    def __init__(self, network: "Network", machine: "SimMachine", server: int, manner: Manner) -> None:
        self.network, self.machine, self.server, self.manner = network, machine, server, manner
        self.begun = network.world.now
        self.thread: Any = None  # that has made it
        self.answered = False  # the client knows what has become of its asking
        self.read = 0  # bytes that the client has taken
        self.visit: Visit | None = None
        self.left_at: float | None = None  # when the product has cut or closed it
        self.socket = Socket(self)
        self.down = Pipe(self, self.socket.arrive, manner.cut_down, manner.gap)
        self.up = Pipe(self, self._received, manner.cut_up)

    # ------------------------------------------------------------ the server's side

    def send(self, data: bytes) -> None:
        """From the server to the client."""
        self.down.write(data)

    def close(self) -> None:
        """The server hangs up."""
        self.network.world.note(f"zk{self.server + 1}", f"hangs up on {self.machine.name}")
        self.visit = None
        self.down.end(self.socket.finish)

    def breaks(self) -> None:
        """What breaks it here is the network."""
        self.network.world.note("network", f"{self.machine.name}'s connection {self.manner.how.value}")
        self.up.stop()
        self.down.stop()
        if self.manner.how is not How.HOLE:
            self.hung_up()
            self.socket.finish(reset=self.manner.how is How.RESET)

    def hung_up(self) -> None:
        """The server hears that the client is gone."""
        visit, self.visit = self.visit, None
        if visit is not None:
            visit.left()

    def _received(self, data: bytes) -> None:
        if self.visit is not None:
            self.visit.came(data)


class Socket:
    """The client's end, as far as the product uses it."""

    def __init__(self, link: Link) -> None:
        self.closed = False
        self._link, self._machine = link, link.machine
        self._inbox = bytearray()
        self._finished = self._reset = self._shut = False
        self._timeout: float | None = None
        self._full_until = 0.0

    # ------------------------------------------------------------ the network's side

    def arrive(self, data: bytes) -> None:
        """Some bytes have come."""
        if not self._shut and not self.closed:
            self._inbox += data
            self._machine.stir()

    def finish(self, *, reset: bool = False) -> None:
        """Nothing more will come."""
        self._finished, self._reset = True, reset
        self._machine.stir()

    @property
    def readable(self) -> bool:
        """Whether there is something to read, if only the end."""
        return bool(self._inbox) or self._finished or self._shut

    @property
    def writable(self) -> bool:
        """Whether there is room for more, or an error to be seen."""
        return self._link.network.world.now >= self._full_until or self._finished or self._shut

    # ------------------------------------------------------------ the product's side

    def __enter__(self) -> "Socket":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def settimeout(self, timeout: float | None) -> None:
        self._timeout = timeout

    def setblocking(self, blocking: bool) -> None:
        self._timeout = None if blocking else 0.0

    def setsockopt(self, *_: Any) -> None:
        pass

    def recv(self, size: int) -> bytes:
        self._usable()
        self._wait(lambda: self.readable)
        data = bytes(self._inbox[: self._link.network.at_most(size)])
        del self._inbox[: len(data)]
        self._link.read += len(data)
        if not data and self._reset:
            raise ConnectionResetError("Connection reset by peer")
        return data

    def send(self, data: Any) -> int:
        self._usable()
        self._wait(lambda: self.writable)
        if self._reset:
            raise ConnectionResetError("Connection reset by peer")
        if self._shut or self._finished:
            raise BrokenPipeError("Broken pipe")
        part = bytes(data[: self._link.network.at_most(len(data))])
        self._link.up.write(part)
        if len(part) < len(data):
            self._fill()
        return len(part)

    def sendall(self, data: bytes) -> None:
        sent = 0
        while sent < len(data):
            sent += self.send(data[sent:])

    def shutdown(self, _how: int) -> None:
        self._usable()
        if self._finished or self._shut:
            raise OSError("Transport endpoint is not connected")
        self._shut = True
        self._link.network.cut(self._link)
        self._leave()
        self._link.network.world.note(self._machine.name, f"cuts its connection to zk{self._link.server + 1}")
        self._link.up.end(self._link.hung_up)
        self._machine.stir()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._leave()
            self._link.network.closed(self._link)
            self._link.up.end(self._link.hung_up)

    def _leave(self) -> None:
        if self._link.left_at is None:
            self._link.left_at = self._link.network.world.now

    def _usable(self) -> None:
        if self.closed:
            raise OSError("Bad file descriptor")

    def _wait(self, ready: Callable[[], bool]) -> None:
        if not self._machine.wait(ready, self._timeout):
            raise TimeoutError("timed out") if self._timeout else BlockingIOError("it would block")

    def _fill(self) -> None:
        world = self._link.network.world
        self._full_until = world.now + self._link.network.delay()
        world.at(self._full_until, self._machine.stir)


class Pair:
    """Two sockets in one: what wakes kazoo's thread."""

    writable = True

    def __init__(self, machine: "SimMachine") -> None:
        self._machine, self._bytes, self.closed = machine, 0, False

    @property
    def readable(self) -> bool:
        """Whether there is something to read."""
        return self._bytes > 0

    def send(self, data: bytes) -> None:
        if self.closed:
            raise OSError("Bad file descriptor")
        self._bytes += len(data)
        self._machine.stir()
        self._machine.interrupted()

    def recv(self, size: int) -> bytes:
        taken = min(size, self._bytes)
        self._bytes -= taken
        return bytes(taken)

    def close(self) -> None:
        self.closed = True


class Network:
    """Connections between machines and servers. ``manner`` says how each will go, ``accept`` takes it."""

    def __init__(self, world: World, servers: int, manner: Callable[["SimMachine", int], Manner]) -> None:
        self.world = world
        self.addresses = [(f"10.0.0.{number + 1}", 2181) for number in range(servers)]
        self.accept: Callable[[Link], Visit] = lambda _: NotImplemented
        # They are told of each that the product cuts, and closes.
        self.cut: Callable[[Link], None] = lambda _: None
        self.closed: Callable[[Link], None] = lambda _: None
        self.torn = (
            0.0  # how often what is written comes in pieces, and what is read or written goes in parts
        )
        self.links: list[Link] = []  # those whose client has not closed them
        self._manner = manner

    def dial(self, machine: "SimMachine", address: Address) -> Link:
        """Ask for a connection."""
        host, port = address
        name = host.decode() if isinstance(host, bytes) else host
        server = self.addresses.index((name, port))
        link = Link(self, machine, server, self._manner(machine, server))
        self.world.note(machine.name, f"connects to zk{server + 1}")
        self.links = [*(old for old in self.links if not old.socket.closed), link]
        if not link.manner.ignored:
            self.world.after(self.delay(), lambda: self._asked(link))
        return link

    def cut_off(self, machine: "SimMachine") -> None:
        """The machine is switched off: its system closes what it had open."""
        for link in self.links:
            if link.machine is machine:
                link.socket.close()

    def mend(self) -> None:
        """No connection that carries anything breaks from now on."""
        for link in self.links:
            link.down.mend()
            link.up.mend()

    def delay(self) -> float:
        """How long a packet takes."""
        return 0.0002 + self.world.random.random() * 0.001

    def pieces(self, data: bytes) -> list[tuple[bytes, float]]:
        """What it comes in, and how long each takes."""
        draw = self.world.random
        if not self.torn or len(data) < 2 or draw.random() >= self.torn:
            return [(data, 0.0)]
        cuts = sorted(draw.randrange(1, min(len(data), draw.choice([8, 40, len(data)]) + 1)) for _ in "123")
        ends = [0, *cuts, len(data)]
        return [(data[a:b], self.world.between(0.0, 0.01)) for a, b in pairwise(ends)]

    def at_most(self, size: int) -> int:
        """How much of it goes at once."""
        draw = self.world.random
        return draw.randint(1, min(size, 30)) if self.torn and draw.random() < self.torn else size

    def _asked(self, link: Link) -> None:
        if not link.manner.refused and not link.socket.closed:
            link.visit = self.accept(link)
        self.world.after(self.delay(), lambda: self._answered(link))

    def _answered(self, link: Link) -> None:
        link.answered = True
        link.machine.stir()
