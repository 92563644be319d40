"""A server that speaks as much of ZooKeeper's protocol as a session needs, and says what it was asked."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable

from testbed.waiting import LONGEST_WAIT

CLOSE_SESSION = -11
PING = -2
NO_NODE = -101


class Server:
    """Gives every connection a session; takes one over only to have it closed. What is asked it refuses; or,
    ``silent``, it says nothing and takes over none; ``deaf``, it takes no more than a greeting. Sessions last
    longer than a test waits, unless told."""

    def __init__(
        self, timeout: float = 3 * LONGEST_WAIT, *, silent: bool = False, deaf: bool = False
    ) -> None:
        self.sessions = 0
        self.closed: list[int] = []  # sessions
        self._silent = silent
        self._deaf = deaf
        self._over = threading.Event()
        self.asked: list[int] = []  # types of requests, apart from pings
        self.closing: Callable[[], None] = lambda: None  # called when a session is to be closed
        self._timeout = timeout
        self._connections: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.connect = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def die(self) -> None:
        """And speak no more."""
        self.close()
        self._over.set()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream, contextlib.suppress(OSError):
            greeting = _frame(stream.read)[:24]
            if len(greeting) < 24:  # it has hung up before it spoke
                return
            number = struct.unpack("!iqiq", greeting)[3]
            if number and self._silent:
                return
            if not number:
                self.sessions = number = self.sessions + 1
            granted = struct.pack("!iiqi16s?", 0, int(self._timeout * 1000), number, 16, b"p" * 16, False)
            connection.sendall(struct.pack("!i", len(granted)) + granted)
            if self._deaf:
                self._over.wait()
                return
            while len(frame := _frame(stream.read)) >= 8:
                xid, kind = struct.unpack("!ii", frame[:8])
                if kind == CLOSE_SESSION:
                    self.closing()
                    self.closed.append(number)
                elif xid != PING:
                    self.asked.append(kind)
                if not self._silent:
                    error = 0 if kind == CLOSE_SESSION or xid == PING else NO_NODE
                    connection.sendall(struct.pack("!iiqi", 16, xid, 0, error))


def _frame(read: Callable[[int], bytes]) -> bytes:
    head = read(4)
    return read(struct.unpack("!i", head)[0]) if len(head) == 4 else b""
