"""Requests over TCP, as all three stores use them.

A message is a line of JSON with the length of what follows it, then so many bytes:

    {"do": "append", "generation": 7, "bytes": 3}\\nabc

The reply is one, too. One with "error" says why the request was refused.
"""

import json
import os
import socket
import socketserver
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from io import BufferedIOBase
from typing import Any, NamedTuple

# A line, and the bytes after it, are no longer: who sends refuses what its reader would.
LONGEST_LINE = 64 * 1024
MOST_BYTES = 4 * 1024 * 1024
LONGEST_REASON = 500  # characters of a refusal


class RefusedError(Exception):
    """The other side does not do it; the message says why. It has done nothing."""


class Message(NamedTuple):
    """A request or a reply."""

    fields: dict[str, Any]
    body: bytes = b""


Handle = Callable[[Message], Message]


class Server:
    """Answers requests at a free port of this host, each connection in a thread of its own."""

    def __init__(self, handle: Handle) -> None:
        """``handle`` is called in many threads at once; it refuses by RefusedError. Raises ValueError."""
        own = os.environ.get("STORES_HOST", "127.0.0.1")
        if own in ("", "0", "0.0.0.0"):  # noqa: S104 - refused
            raise ValueError(f"STORES_HOST={own}: others are told this address; use one that they reach")
        self._server = _Server((own, 0), _Connection)
        self._server.handle = handle
        host, port = self._server.server_address[:2]
        self.address = f"{host!s}:{port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """Accept nobody more. Requests that are being answered go on."""
        self._server.shutdown()
        self._server.server_close()


class Connection:
    """One connection for many requests, one after the other. Any thread may close it."""

    def __init__(self, address: str, timeout: float = 2.0) -> None:
        """``timeout`` in seconds is for each wait: to connect, to send, to receive. Raises OSError."""
        self.address = address
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = self._socket.makefile("rb")

    def call(self, fields: dict[str, Any], body: bytes = b"") -> Message:
        """Ask. After an OSError the connection is of no use any more.

        Raises:
            RefusedError: the other side has refused, and done nothing.
            OSError: no answer; whether it was done is unknown.
            ValueError: the message is too long; nothing was sent.
        """
        self._socket.sendall(_encode(Message(fields, body)))
        try:
            reply = _read(self._stream)
        except ValueError:
            raise ConnectionAbortedError("another thread has closed it") from None
        if reply is None:
            raise ConnectionResetError(f"{self.address} has closed the connection without an answer")
        if "error" in reply.fields:
            raise RefusedError(str(reply.fields["error"]))
        return reply

    def close(self) -> None:
        """Whoever waits for an answer, in another thread, gets an OSError."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._stream.close()
        self._socket.close()


def call(address: str, fields: dict[str, Any], body: bytes = b"", timeout: float = 2.0) -> Message:
    """Ask once; see :class:`Connection`."""
    with closing(Connection(address, timeout)) as connection:
        return connection.call(fields, body)


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    handle: Handle


class _Connection(socketserver.StreamRequestHandler):
    server: _Server
    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Until the other side has gone. An OSError of who answers is another matter: it is told."""
        while (request := self._receive()) is not None:
            try:
                reply = self.server.handle(request)
            except RefusedError as refusal:
                reply = _refusal(refusal)
            try:
                self.wfile.write(_encode_reply(reply))
            except OSError:
                return

    def _receive(self) -> Message | None:
        try:
            return _read(self.rfile)
        except OSError:
            return None


def _encode(message: Message) -> bytes:
    """Raises ValueError if the other side would not read it."""
    line = json.dumps(message.fields | {"bytes": len(message.body)}).encode() + b"\n"
    if len(line) > LONGEST_LINE or len(message.body) > MOST_BYTES:
        raise ValueError(
            f"a message of {len(line)} and {len(message.body)} bytes; "
            f"at most {LONGEST_LINE} and {MOST_BYTES} are possible"
        )
    return line + message.body


def _encode_reply(message: Message) -> bytes:
    """Who asked is told, and does not wait in vain."""
    try:
        return _encode(message)
    except ValueError as problem:
        return _encode(_refusal(problem))


def _refusal(why: Exception) -> Message:
    return Message({"error": str(why)[:LONGEST_REASON]})


def _read(stream: BufferedIOBase) -> Message | None:
    """None at the end. Raises OSError if what comes is no message."""
    line = stream.readline(LONGEST_LINE)
    if not line:
        return None
    try:
        fields = json.loads(line)
        size = fields.pop("bytes")
        if not 0 <= size <= MOST_BYTES:
            raise ValueError(size)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ConnectionAbortedError(f"not a message: {line[:80]!r}") from None
    body = stream.read(size)
    if len(body) < size:
        raise ConnectionResetError("it ends in the middle of a message")
    return Message(fields, body)
