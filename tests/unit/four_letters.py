"""A ZooKeeper server as far as four-letter words go, on loopback."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

SRVR = """\
Zookeeper version: 3.9.3-${{mvngit.commit.id}}, built on 2026-03-08 16:19 UTC
Latency min/avg/max: 0/0.5/12
Received: 42
Sent: 41
Connections: 2
Outstanding: 0
Zxid: 0x10000000a
Mode: {mode}
Node count: 7
"""
MNTR = """\
zk_version\t3.9.3-${{mvngit.commit.id}}, built on 2026-03-08 16:19 UTC
zk_server_state\tleader
zk_synced_followers\t{synced}
zk_learners\t2
zk_global_sessions\t4
zk_num_alive_connections\t3
zk_avg_latency\t4.5699
zk_max_latency\t28
zk_outstanding_requests\t0
zk_znode_count\t14
zk_digest_mismatches_count\t0
zk_uptime\t47048
"""
HASH = """\
100000080: 9269246130
10000010c: 5855826806

"""
# So long a silent server is silent, seconds: who waits on is answered, and fails its test.
SILENT_SECONDS = 10.0
IDLE = "This ZooKeeper instance is not currently serving requests\n"


class Server:
    """Answers each connection with what ``answer`` says to its word; None stands for silence."""

    def __init__(self, answer: Callable[[str], str | None], tls: ssl.SSLContext | None = None) -> None:
        self.words: list[str] = []
        self._answer = answer
        self._tls = tls
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with suppress(ssl.SSLError), self._secured(connection) as connection:
                if word := connection.recv(65536).decode(errors="replace")[:4]:
                    self.words.append(word)
                    with suppress(ConnectionError):  # the other may have heard enough
                        self._reply(connection, self._answer(word))

    def _secured(self, connection: socket.socket) -> socket.socket:
        if self._tls is None:
            return connection
        try:
            return self._tls.wrap_socket(connection, server_side=True)
        except OSError:
            connection.close()
            raise

    def _reply(self, connection: socket.socket, answer: str | None) -> None:
        if answer is None:
            connection.settimeout(SILENT_SECONDS)
            with suppress(TimeoutError):
                while connection.recv(65536):  # until the other hangs up
                    pass
                return
        connection.sendall((answer or IDLE).encode())

    def close(self) -> None:
        """Nothing listens on the port afterwards."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


@contextmanager
def dripping(start: str = "", seconds: float = 5.0) -> Iterator[int]:
    """The port of a server that says this to whoever comes, and then a byte now and then, for so long."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def drip() -> None:
            with listener.accept()[0] as connection, suppress(OSError):
                connection.sendall(start.encode())
                end = time.monotonic() + seconds
                while time.monotonic() < end:
                    connection.sendall(b" ")
                    time.sleep(0.02)

        thread = threading.Thread(target=drip)
        thread.start()
        port = int(listener.getsockname()[1])
        yield port
        with suppress(OSError):  # whoever ran out of time may never have come
            socket.create_connection(("127.0.0.1", port)).close()
        thread.join()


def in_turn(*modes: str | None, synced: int = 2) -> Callable[[str], str | None]:
    """Answers of a server that is in the next mode whenever it is asked ``srvr``, and stays in the last.

    ``idle`` is no mode: it serves nobody. None: it says nothing.
    """
    left = list(modes)

    def answer(word: str) -> str | None:
        if word == "mntr":
            return MNTR.format(synced=synced)
        mode = left.pop(0) if len(left) > 1 else left[0]
        return IDLE if mode == "idle" else mode and SRVR.format(mode=mode)

    return answer


class Serve(Protocol):
    """Starts a server."""

    def __call__(self, answer: Callable[[str], str | None], tls: ssl.SSLContext | None = None) -> Server: ...


@contextmanager
def serving() -> Iterator[Serve]:
    """Starts servers, and closes them at the end."""
    servers: list[Server] = []

    def serve(answer: Callable[[str], str | None], tls: ssl.SSLContext | None = None) -> Server:
        servers.append(Server(answer, tls))
        return servers[-1]

    try:
        yield serve
    finally:
        for server in servers:
            server.close()


def closed_port() -> int:
    """A port of loopback on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
