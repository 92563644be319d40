"""kazoo's connection to one server after the other, with our own requests, for client.py.

kazoo tries the servers, resumes the session and knows its state. We write and read what goes over the
connection (wire.py), because kazoo sends each request alone, reads each reply in two parts, and waits before
each of these. Many reads in one request are also much less work for a server than as many requests.
"""

import socket
import struct
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from kazoo.exceptions import ConnectionDropped, SessionExpiredError
from kazoo.handlers.threading import SequentialThreadingHandler
from kazoo.protocol.connection import PING_XID, STOP_CONNECTING, WATCH_XID, ConnectionHandler
from kazoo.protocol.serialization import Close, Connect
from kazoo.protocol.states import KeeperState

from mwapp.core.messages import Error, EventType, Failed, Operation, Result
from mwapp.zookeeper.machine import Machine
from mwapp.zookeeper.tls import HUNG_UP, MOST_HANG_UPS, NO_TLS, Channel, Tls, TlsRefusedError
from mwapp.zookeeper.wire import (
    MULTI_READ,
    Lists,
    Reader,
    Record,
    encode,
    encode_all,
    error,
    everybody,
    simple_read,
)

# A server gets this long to accept a connection, and as long again to answer the first request on it, so that
# we skip a frozen or black-holed one quickly. Every further round of time-outs adds as much again, because we
# must also reach an ensemble that is only slow.
ATTEMPT = 1.0
# If we send nothing for this part of the session time-out, we ping. If no answer comes by the next ping, we
# are cut off.
PING = 1 / 3

# The most reads in one request. Their replies come in one piece, which a server has to hold in memory, and a
# task may have half a megabyte.
MOST_READS = 25
# How much to send before reading replies again, and how much to read at once, bytes.
CHUNK = 256 * 1024

_FRAME = struct.Struct("!i")  # length of what follows
_REQUEST = struct.Struct("!iii")  # length, number of the request on this connection (xid), kind
_REPLY = struct.Struct("!iqi")  # xid, zxid, error
_WELCOME = 20, 256  # length of the server's greeting: version, time-out, session, password, read-only

# ---------------------------------------------------------------- requests under way


class Asked:
    """A request."""

    def __init__(
        self,
        operation: Operation,
        chroot: str,
        told: Callable[[Result, bool], None],
        lists: Lists = everybody,
    ) -> None:
        """``told`` gets the result, and whether an access control list forbids it. Raises ValueError or
        struct.error if it cannot be encoded."""
        self.record = encode(operation, chroot, lists)
        self.simple_read = simple_read(operation)
        self.operation = operation
        self._told = told
        self._denied = False
        self._chroot = chroot

    def read(self, code: int, reader: Reader) -> Result:
        """Read the reply, which came with this error."""
        result = reader.result(self.operation, code, self._chroot)
        self._denied = reader.denied
        return result

    def tell(self, result: Result) -> None:
        """Report what was read."""
        self._told(result, self._denied)


class _Reads:
    """Several reads without watches in one request."""

    def __init__(self, reads: list[Asked]) -> None:
        self.record = encode_all(MULTI_READ, [read.record for read in reads])
        self._reads = reads

    def read(self, code: int, reader: Reader) -> list[Result]:
        if code:
            return [Failed(error(code))] * len(self._reads)
        return reader.results([read.operation for read in self._reads])

    def tell(self, results: list[Result]) -> None:
        for read, result in zip(self._reads, results, strict=True):
            read.tell(result)


# ---------------------------------------------------------------- inside kazoo (untyped: Any to mypy)


class KazooHandler(SequentialThreadingHandler):  # type: ignore[misc]  # kazoo has no types
    """kazoo's access to the machine, without callback threads: our callbacks never block, and run at once."""

    running = False

    def __init__(
        self, machine: Machine, tls: Tls | None = None, refused: Callable[[str, int, str], None] | None = None
    ) -> None:
        """``refused`` is called with a server's host and port, and why TLS with it is refused."""
        super().__init__()
        self.machine = machine
        self.sleep_func, self.spawn, self.event_object = machine.sleep, machine.spawn, machine.event
        self.select: Any = machine.select if tls is None else self._select
        self.create_socket_pair = machine.socket_pair
        self._tls = tls
        self._refused = refused or (lambda *_: None)
        self._hung_up: Counter[tuple[str, int]] = Counter()  # in a row
        self.patience = ATTEMPT
        self.address = ("", 0)
        self.connection: Any = None

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def create_connection(self, *, address: tuple[str, int], hostname: str = "", **_: Any) -> Any:
        connection = self.machine.connect(address, self.patience)
        if self._tls is not None:
            address = (hostname, address[1])  # the name that its certificate must have
            connection = self._secured(connection, self._tls, *address)
        self.connection = connection
        self.address = address
        return connection

    def _secured(self, connection: Any, tls: Tls, host: str, port: int) -> Channel:
        where = host, port
        try:
            secured = tls.wrap(connection, host)
        except TlsRefusedError as problem:
            self._refused(host, port, str(problem))
            raise
        except HUNG_UP:
            self._hung_up[where] += 1
            if self._hung_up[where] >= MOST_HANG_UPS:
                self._refused(host, port, NO_TLS.format("the server hangs up"))
            raise
        del self._hung_up[where]
        return tls.channel(secured, lambda why: self._refused(host, port, why))

    def _select(self, reads: list[Any], writes: list[Any], errors: list[Any], timeout: float) -> Any:
        """Like the machine's. What OpenSSL has taken from a socket already can be read, too."""
        held = [one for one in reads if isinstance(one, Channel) and one.held]
        readable, writable, failed = self.machine.select(reads, writes, errors, 0.0 if held else timeout)
        return [one for one in reads if one in held or one in readable], writable, failed

    def drop_connection(self) -> None:
        """Cut it; kazoo notices when it reads."""
        if self.connection is not None:
            with suppress(OSError):  # it is gone already
                self.connection.shutdown(socket.SHUT_RDWR)


class Connection(ConnectionHandler):  # type: ignore[misc]  # kazoo has no types
    """kazoo's connection thread, limited in time and to one session, with our own requests."""

    _socket: Any
    _xid: int  # of the last request on this connection

    def __init__(
        self,
        client: Any,
        handler: KazooHandler,
        fired: Callable[[str, EventType], None],
        over: Callable[[], None],
        carried_out: Callable[[], None],
    ) -> None:
        """``carried_out``: is called when the ensemble has closed the session at our request."""
        super().__init__(client, client._conn_retry.copy(), logger=client.logger)
        self.granted = 0.0  # session time-out, seconds
        self.asked = 0.0  # when the present connection was begun, on mwapp.clock
        self.closed = False  # the ensemble has confirmed that the session is closed
        self._handler = handler
        self._now = handler.machine.now
        self._fired = fired
        self._over, self._carried_out = over, carried_out
        self._slow = 0  # attempts in a row that timed out
        self._unsent = False  # requests are queued since the last flush
        self._received = bytearray()  # of incomplete replies

    def ask(self, asked: Asked) -> None:
        """Queue it for the next :meth:`flush`. If the connection is lost, nothing more is reported of it."""
        self.client._queue.append((asked, None))
        self._unsent = True

    def flush(self) -> None:
        """Wake the thread if there is something to send."""
        if self._unsent:
            self._unsent = False
            self._wake()

    def _wake(self) -> None:
        with suppress(OSError, AttributeError):  # another thread is closing the client
            self._write_sock.send(b"\0")

    def zk_loop(self) -> None:
        try:
            super().zk_loop()
        finally:
            self._over()

    def _connect_attempt(self, host: str, hostip: str, port: int, retry: Any) -> Any:
        """Continue the session at this server. Returns whether to try others."""
        self._socket = None
        self._tell(KeeperState.CONNECTING)
        try:
            self._connect(host, hostip, port)
            retry.reset()
            with self._socket_error_handling():
                self._carry()
        except (ConnectionDropped, self._handler.timeout_exception) as problem:
            self.logger.warning("Connection to %s:%s lost: %s", host, port, problem)
            self._tell(KeeperState.CONNECTING)
            return None
        except SessionExpiredError:
            self._tell(KeeperState.EXPIRED_SESSION)
        finally:
            if self._socket is not None:
                self._socket.close()
        return STOP_CONNECTING

    def _tell(self, state: str) -> None:
        """Tell kazoo's client what has become of the connection."""
        self.client._session_callback(state)

    def _connect(self, *args: Any) -> None:
        patience = self._handler.patience = ATTEMPT * (1 + self._slow // len(self.client.hosts))
        self._xid = 0
        self._received.clear()
        started = self.asked = self._now()
        try:
            super()._connect(*args)
        except Exception:
            self._slow += self._now() - started >= patience
            raise
        self._slow = 0

    def _invoke(self, _timeout: float, connect: Any, _xid: Any = None) -> Any:
        """Greet the server. kazoo's own method logs the greeting, with the password, if it cannot read the
        answer."""
        end = self._now() + self._handler.patience
        self._submit(connect, self._handler.patience)
        (size,) = _FRAME.unpack(self._exactly(_FRAME.size, end))
        if not _WELCOME[0] <= size <= _WELCOME[1]:
            raise ConnectionDropped("this is not a ZooKeeper server")
        answer, _ = Connect.deserialize(self._exactly(size, end), 0)
        if answer.time_out > 0 and connect.session_id not in (0, answer.session_id):
            raise ConnectionDropped("the server answers with another session")
        self.granted = answer.time_out / 1000
        return answer, None

    def _exactly(self, size: int, end: float) -> bytes:
        """Exactly the next ``size`` bytes, which must arrive by ``end``."""
        data = b""
        with self._socket_error_handling():
            while len(data) < size:
                if not self._handler.select([self._socket], [], [], max(0.0, end - self._now()))[0]:
                    raise ConnectionDropped("the server is too slow")
                part = self._socket.recv(size - len(data))
                if part is None:
                    continue  # TLS has received something that is no data
                if not part:
                    raise ConnectionDropped("the server is not serving")
                data += part
        return data

    def _carry(self) -> None:
        """Send requests and read replies until the session is closed."""
        both = [self._socket, self._read_sock]
        self.ping_outstanding.clear()
        ping = self._now() + self.granted * PING
        while not self.closed:
            ready, _, _ = self._handler.select(both, [], [], max(0.0, ping - self._now()))
            if self._socket in ready:
                self._read_socket()
            if self._read_sock in ready:
                self._send_requests()
            elif self._now() < ping:
                continue
            elif self.ping_outstanding.is_set():
                raise ConnectionDropped("a ping was not answered")
            else:
                self._send_ping(self.granted * PING)
            ping = self._now() + self.granted * PING

    def _send_requests(self) -> None:
        """Somebody has queued something: send everything that is there."""
        self._read_sock.recv(CHUNK)  # first: what is queued from now on wakes the thread again
        queue, packet = self.client._queue, bytearray()
        while queue and len(packet) < CHUNK:
            request, record = _next(queue)
            self._xid = self._xid % 0x7FFFFFFF + 1
            self.client._pending.append((request, None, self._xid))
            packet += _REQUEST.pack(len(record.body) + 8, self._xid, record.kind) + record.body
        self._write(packet, self.granted * PING)
        if queue:
            self._wake()

    def _read_socket(self) -> None:
        """Read what has arrived, and report it."""
        data = self._socket.recv(CHUNK)
        if data is None:
            return  # TLS has received something that is no data
        if not data:
            raise ConnectionDropped("the server has closed the connection")
        self._received += data
        try:
            self._take_all(self._received)
        except (ValueError, struct.error, IndexError) as problem:
            raise ConnectionDropped(f"this is not a reply: {problem!r}") from problem

    def _take_all(self, received: bytearray) -> None:
        """Take the complete replies out of the received bytes."""
        at = 0
        while len(received) >= at + _FRAME.size:
            begin = at + _FRAME.size
            end = begin + _FRAME.unpack_from(received, at)[0]
            if end < begin + _REPLY.size:
                raise ConnectionDropped("a reply is too short")
            if end > len(received):
                break
            self._take(received, begin, end)
            at = end
        del received[:at]

    def _take(self, received: bytearray, begin: int, end: int) -> None:
        xid, zxid, code = _REPLY.unpack_from(received, begin)
        reader = Reader(received, begin + _REPLY.size)
        if xid == PING_XID:
            self.ping_outstanding.clear()
            return
        if xid == WATCH_XID:
            path, event = reader.fired()
            reader.end(end)
            self._fired(path, event)
            return
        request, _, expected = self.client._pending.popleft()
        if xid != expected:
            raise ConnectionDropped(f"reply {xid} came instead of {expected}")
        if request is None:
            if code and error(code) is not Error.SESSION_EXPIRED:
                raise ConnectionDropped(f"the session is not closed: error {code}")
            self.closed = True
            if not code:
                self._carried_out()
            return
        result = request.read(code, reader)
        reader.end(end)
        self.client.last_zxid = max(zxid, self.client.last_zxid)
        request.tell(result)


def _next(queue: deque[Any]) -> tuple[Asked | _Reads | None, Record]:
    """The next request to send; None: the end of the session."""
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
