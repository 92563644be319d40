"""A network one can break: TCP connections to the ensemble's servers, carried by threads of the test."""

import contextlib
import socket
import threading
from collections.abc import Iterator

from tests.ensemble import Ensemble

CHUNK = 65536


class Network:
    """Stands between clients and an ensemble; clients use :attr:`connect_string`.

    ``deaf`` loses what clients send, ``mute`` what servers answer: requests that are carried out with
    nobody told. Both apply to connections there are and to new ones, until :meth:`heal`.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        self.deaf = self.mute = False
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self._listeners = []
        for server in ensemble.servers:
            listener = socket.create_server(("127.0.0.1", 0))
            self._listeners.append(listener)
            self._thread(self._accept, listener, server.port)

    @property
    def connect_string(self) -> str:
        """The servers as seen through this network."""
        return ",".join(f"127.0.0.1:{listener.getsockname()[1]}" for listener in self._listeners)

    def heal(self) -> None:
        """Lose nothing any more. What was lost is lost, so the connections are of no use: cut them."""
        lost, self.deaf, self.mute = self.deaf or self.mute, False, False
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
        threading.Thread(target=call[0], args=call[1:], daemon=True).start()  # type: ignore[arg-type]

    def _accept(self, listener: socket.socket, port: int) -> None:
        for client in _accepted(listener):
            try:
                server = socket.create_connection(("127.0.0.1", port), timeout=5)
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
            while data := source.recv(CHUNK):
                if not getattr(self, loss):
                    target.sendall(data)
        for end in (source, target):
            with self._lock:
                self._connections.discard(end)
            _reset(end)


def _accepted(listener: socket.socket) -> Iterator[socket.socket]:
    with contextlib.suppress(OSError):
        while True:
            yield listener.accept()[0]


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
