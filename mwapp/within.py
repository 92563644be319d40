"""What somebody on the network says, within a time: who sends a byte now and then holds nobody up."""

import io
import socket
import time
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
