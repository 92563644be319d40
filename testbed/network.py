"""A network one can break: TCP connections to the ensemble's servers, carried by threads of this process."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

from mwapp.zookeeper.connect_string import Servers

CHUNK = 65536


class Trap:
    """Cuts a connection at the first request that ``catches`` says so of: before it is sent on, or, if it is
    to be ``committed``, when its answer comes, which nobody gets."""

    def __init__(self, catches: Callable[[bytes], bool], *, committed: bool) -> None:
        self.caught = threading.Event()
        self._catches, self._committed = catches, committed
        self._awaited: dict[socket.socket, bytes] = {}  # the request's number, by the server's connection

    def request(self, frame: bytes, server: socket.socket) -> bool:
        """Whether the connection is to be cut before this frame."""
        if self.caught.is_set() or not self._catches(frame):
            return False
        self.caught.set()
        if self._committed:
            self._awaited[server] = frame[4:8]
        return not self._committed

    def answer(self, frame: bytes, server: socket.socket) -> bool:
        """Whether the connection is to be cut before this frame."""
        return self._awaited.get(server) == frame[4:8]


class Network:
    """Stands between clients and the servers of a connect string; clients use :attr:`connect_string`.

    ``deaf`` loses what clients send, ``mute`` what servers answer: requests that are carried out with
    nobody told. Both apply to connections there are and to new ones, until :meth:`heal`.
    """

    def __init__(self, connect: str) -> None:
        self._beyond = Servers.parse(connect)
        self.deaf = self.mute = False
        self.trap: Trap | None = None
        self._mutes = b""
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._listeners = []
        for address in self._beyond.addresses:
            listener = socket.create_server(("127.0.0.1", 0))
            self._listeners.append(listener)
            self._thread(self._accept, listener, address)

    @property
    def connect_string(self) -> str:
        """The servers as seen through this network, with the chroot."""
        addresses = tuple(listener.getsockname() for listener in self._listeners)
        return str(Servers(addresses, self._beyond.chroot))

    def silence(self) -> None:
        """Nothing comes through in either direction, and nobody is told."""
        self.deaf = self.mute = True

    def mute_from(self, part: bytes) -> None:
        """Be mute from the first request on that contains this: it is carried out, and nobody is told."""
        self._mutes = part

    def heal(self) -> None:
        """Lose nothing any more. What was lost is lost, so the connections are of no use: cut them."""
        lost, self.deaf, self.mute, self._mutes = self.deaf or self.mute, False, False, b""
        if lost:
            self.cut()

    def cut(self) -> None:
        """Reset every connection."""
        with self._lock:
            connections, self._connections = self._connections, set()
        for connection in connections:
            _reset(connection)

    def close(self) -> None:
        """Reset everything and accept nothing any more."""
        for listener in self._listeners:
            # shutdown, for close alone does not wake the thread that accepts
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut()

    @staticmethod
    def _thread(*call: object) -> None:
        threading.Thread(target=call[0], args=call[1:], daemon=True).start()  # type: ignore[arg-type]  # the first is the function

    def _accept(self, listener: socket.socket, address: tuple[str, int]) -> None:
        for client in _accepted(listener):
            try:
                server = socket.create_connection(address, timeout=5)
            except OSError:
                _reset(client)
                continue
            server.settimeout(None)
            with self._lock:
                self._connections |= {client, server}
            self._thread(self._carry, client, server, "deaf")
            self._thread(self._carry, server, client, "mute")

    def _carry(self, source: socket.socket, target: socket.socket, loss: str) -> None:
        with contextlib.suppress(OSError):
            for frame in _frames(source):
                if loss == "deaf" and self._mutes and self._mutes in frame:
                    self.mute = True
                trap = self.trap
                if trap is not None and loss == "deaf" and trap.request(frame, target):
                    break
                if trap is not None and loss == "mute" and trap.answer(frame, source):
                    break
                if not getattr(self, loss):
                    target.sendall(frame)
        for end in (source, target):
            with self._lock:
                self._connections.discard(end)
            _reset(end)


def _frames(source: socket.socket) -> Iterator[bytes]:
    """Every request and answer, as ZooKeeper writes it: a length, and so many bytes."""
    with source.makefile("rb", CHUNK) as stream:
        while head := stream.read(4):
            (length,) = struct.unpack(">i", head)
            yield head + stream.read(length)


def _accepted(listener: socket.socket) -> Iterator[socket.socket]:
    with contextlib.suppress(OSError):
        while True:
            yield listener.accept()[0]


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
