"""What somebody on the network says: no more of it than is wanted, and within a time.

A time-out of a socket is for each of its bytes: who sends one now and then would hold a run up for hours.
"""

from __future__ import annotations

import io
import signal
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any


class Within(io.RawIOBase):
    """What comes from a connection. After so many seconds, in all, reading raises TimeoutError."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection = connection
        self._end = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """As http.client asks a socket for it."""
        return io.BufferedReader(self)


def page(
    address: tuple[str, int], path: str, seconds: float, most: int, tls: ssl.SSLContext | None = None
) -> bytes:
    """What an HTTP server has there, up to so many bytes; with ``tls`` an HTTPS server.

    Raises OSError and http.client.HTTPException.
    """
    connection = (
        HTTPConnection(*address, timeout=seconds)
        if tls is None
        else HTTPSConnection(*address, timeout=seconds, context=tls)
    )
    try:
        connection.request("GET", path)
        response = HTTPResponse(Within(connection.sock, seconds))  # type: ignore[arg-type] # what it asks for
        response.begin()
        return response.read(most)
    finally:
        connection.close()


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Whatever waits in it waits no longer: TimeoutError is raised there. For the main thread."""

    def late(_number: int, _frame: object) -> None:
        raise TimeoutError(f"it took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
