"""kazoo's connection to one server after the other, with requests of our own; :mod:`mwapp.zk` is its client.

kazoo tries the servers, takes up the session, sends pings and ends the session. What is asked and answered is
written and read here (:mod:`mwapp.zk_wire`): kazoo sends each request by itself, reads each reply in two
parts, and waits before each of these. For a server, too, many reads in one request are much less work than as
many requests.
"""

import select
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from kazoo.exceptions import ConnectionClosedError, ConnectionDropped, SessionExpiredError
from kazoo.handlers.threading import SequentialThreadingHandler
from kazoo.protocol.connection import (
    CLOSE_RESPONSE,
    PING_XID,
    STOP_CONNECTING,
    WATCH_XID,
    ConnectionHandler,
)
from kazoo.protocol.serialization import Close, Connect
from kazoo.protocol.states import KeeperState

from mwapp import clock
from mwapp.core.messages import Error, Failed, Operation, Result
from mwapp.zk_wire import MULTI_READ, SESSION_MOVED, Reader, Record, encode, encode_all, error, simple_read

# A server gets this long to accept a connection, and as long again to answer the first request on it, so
# that a frozen or black-holed one is passed over fast. Every further round of time-outs adds as much again,
# for an ensemble that is only slow must be reached too.
ATTEMPT = 1.0

# So many reads go into one request: their replies come in one piece, which a server has to hold in memory,
# and a task may have half a megabyte.
MOST_READS = 25
# So much is sent before replies are read again, and so much read at once, bytes.
CHUNK = 256 * 1024

# States in which kazoo takes no request.
_OVER = (KeeperState.AUTH_FAILED, KeeperState.CLOSED, KeeperState.EXPIRED_SESSION)

_FRAME = struct.Struct("!i")  # length of what follows
_REQUEST = struct.Struct("!iii")  # length, number of the request on this connection (xid), kind
_REPLY = struct.Struct("!iqi")  # xid, zxid, error

# ---------------------------------------------------------------- requests under way


class Asked:
    """A request; to kazoo it is its own AsyncResult."""

    def __init__(self, operation: Operation, chroot: str, told: Callable[[Result], None]) -> None:
        """Raises ValueError or struct.error if it cannot be written down."""
        self.record = encode(operation, chroot)
        self.simple_read = simple_read(operation)
        self.operation = operation
        self.told = told
        self._chroot = chroot

    def answer(self, code: int, reader: Reader) -> None:
        """The reply has come, with this error."""
        self.told(reader.result(self.operation, code, self._chroot))

    def set_exception(self, problem: Exception) -> None:
        """No reply will come. ConnectionClosedError says only that the client was stopped."""
        expired = isinstance(problem, SessionExpiredError) and not isinstance(problem, ConnectionClosedError)
        self.told(Failed(Error.SESSION_EXPIRED if expired else Error.CONNECTION_LOSS))


class _Reads:
    """Several reads without watches in one request."""

    def __init__(self, reads: list[Asked]) -> None:
        self.record = encode_all(MULTI_READ, [read.record for read in reads])
        self._reads = reads

    def answer(self, code: int, reader: Reader) -> None:
        if code:
            results: list[Result] = [Failed(error(code))] * len(self._reads)
        else:
            results = reader.results([read.operation for read in self._reads])
        for read, result in zip(self._reads, results, strict=True):
            read.told(result)

    def set_exception(self, problem: Exception) -> None:
        for read in self._reads:
            read.set_exception(problem)


# ---------------------------------------------------------------- inside kazoo (untyped: Any to mypy)


class Handler(SequentialThreadingHandler):  # type: ignore[misc]  # kazoo has no types
    """kazoo's sockets without its callback threads: our callbacks never block, so they run at once."""

    running = False

    def __init__(self) -> None:
        super().__init__()
        self.patience = ATTEMPT
        self.address = ("", 0)
        self.connection: socket.socket | None = None

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def select(self, reads: list[Any], writes: list[Any], _errors: list[Any], timeout: float) -> Any:
        """kazoo's own makes and closes a selector for every wait."""
        poll = select.poll()
        for wanted in reads:
            poll.register(wanted, select.POLLIN)
        for wanted in writes:
            poll.register(wanted, select.POLLOUT)
        ready = {number for number, _ in poll.poll(timeout * 1000)}
        return [r for r in reads if r.fileno() in ready], [w for w in writes if w.fileno() in ready], []

    def create_connection(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["timeout"] = self.patience
        self.connection = super().create_connection(*args, **kwargs)
        self.address = kwargs["address"]
        return self.connection

    def drop_connection(self) -> None:
        """Cut it; kazoo finds out by reading."""
        if self.connection is not None:
            with suppress(OSError):  # it is gone already
                self.connection.shutdown(socket.SHUT_RDWR)


class Connection(ConnectionHandler):  # type: ignore[misc]  # kazoo has no types
    """kazoo's connection thread, bounded in time and to one session, with requests of our own."""

    _xid: int  # of the last request; kazoo begins at 0 on each connection

    def __init__(
        self, client: Any, handler: Handler, changed: Callable[[str], None], over: Callable[[], None]
    ) -> None:
        super().__init__(client, client._conn_retry.copy(), logger=client.logger)
        self.granted = 0.0  # session time-out, seconds
        self.asked = 0.0  # when the present connection was begun, on mwapp.clock
        self.ended = False  # no further connection is to be made
        self.closed = False  # the ensemble has confirmed that the session is closed
        self._handler = handler
        self._changed = changed
        self._over = over
        self._slow = 0  # attempts in a row that ran into a time-out
        self._unsent = False  # something was asked since the last flush
        self._received = bytearray()  # of replies that are still to be completed

    def ask(self, asked: Asked) -> None:
        """Have it sent with the next :meth:`flush`."""
        if self.client._state in _OVER:
            self.client._call(asked, asked)  # which refuses it
        else:
            self.client._queue.append((asked, asked))
            self._unsent = True

    def flush(self) -> None:
        """Wake the thread, if there is something to send."""
        if self._unsent:
            self._unsent = False
            self._wake()

    def _wake(self) -> None:
        with suppress(OSError, AttributeError):  # the client is being closed on another thread
            self._write_sock.send(b"\0")

    def zk_loop(self) -> None:
        try:
            super().zk_loop()
        finally:
            self._over()

    def _connect_attempt(self, *args: Any) -> Any:
        return STOP_CONNECTING if self.ended else super()._connect_attempt(*args)

    def _connect(self, *args: Any) -> Any:
        patience = self._handler.patience = ATTEMPT * (1 + self._slow // len(self.client.hosts))
        self.asked, started = clock.now(), time.monotonic()
        try:
            result = super()._connect(*args)
        except Exception:
            self._slow += time.monotonic() - started >= patience
            raise
        self._slow = 0
        self._received.clear()
        return result

    def _invoke(self, _timeout: float, request: Any, xid: Any = None) -> Any:
        answer = super()._invoke(self._handler.patience, request, xid)
        if isinstance(request, Connect):
            self.granted = answer[0].time_out / 1000
        return answer

    def _send_request(self, _read_timeout: float, patience: float) -> None:
        """Somebody has put something into the queue: send all there is."""
        self._read_sock.recv(CHUNK)  # before: what comes from now on wakes the thread again
        queue, packet = self.client._queue, bytearray()
        while queue and len(packet) < CHUNK:
            request, record = _next(queue)
            self._xid = self._xid % 0x7FFFFFFF + 1
            self.client._pending.append((request, request, self._xid))
            packet += _REQUEST.pack(len(record.body) + 8, self._xid, record.kind) + record.body
        self._write(packet, patience)
        if queue:
            self._wake()

    def _read_socket(self, _read_timeout: float) -> Any:
        """Read what has come, and tell of it."""
        data = self._socket.recv(CHUNK)
        if not data:
            raise ConnectionDropped("the server has closed the connection")
        received, at = self._received, 0
        received += data
        while len(received) >= at + _FRAME.size:
            begin = at + _FRAME.size
            end = begin + _FRAME.unpack_from(received, at)[0]
            if end > len(received):
                break
            self._take(received, begin)
            at = end
        del received[:at]
        return CLOSE_RESPONSE if self.closed else None

    def _take(self, received: bytearray, begin: int) -> None:
        xid, zxid, code = _REPLY.unpack_from(received, begin)
        reader = Reader(received, begin + _REPLY.size)
        if xid == PING_XID:
            self.ping_outstanding.clear()
        elif xid == WATCH_XID:
            self._changed(reader.changed())
        else:
            request, _, expected = self.client._pending.popleft()
            if xid != expected:
                raise ConnectionDropped(f"reply {xid} came instead of {expected}")
            self.client.last_zxid = max(zxid, self.client.last_zxid)
            if request is None:
                self.closed = True
                return
            if code == SESSION_MOVED:  # told as a lost connection: so it must be one
                self._handler.drop_connection()
            request.answer(code, reader)


def _next(queue: deque[Any]) -> tuple[Asked | _Reads | None, Record]:
    """What is to be sent next; None: the end of the session."""
    request, _ = queue.popleft()
    if not isinstance(request, Asked):
        return None, Record(Close.type, b"")
    reads = [request]
    while request.simple_read and len(reads) < MOST_READS and queue:
        another, _ = queue[0]
        if not isinstance(another, Asked) or not another.simple_read:
            break
        reads.append(another)
        queue.popleft()
    if len(reads) == 1:
        return request, request.record
    together = _Reads(reads)
    return together, together.record
