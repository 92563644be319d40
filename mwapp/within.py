"""What somebody on the network says, within a time: who sends a byte now and then holds nobody up."""

import io
import socket
import ssl
import time
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any


class Within(io.RawIOBase):
    """What comes from a connection. After so many seconds, in all, reading raises TimeoutError."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection = connection
        self._end = time.monotonic() + seconds

    def readable(self) -> bool:
        """It is for reading."""
        return True

    def readinto(self, buffer: Any) -> int:
        """See io.RawIOBase."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)

    def makefile(self, _mode: str) -> io.BufferedReader:
        """It, as http.client asks a socket for it."""
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
