"""One ZooKeeper session on one kazoo client; it and :mod:`mwapp.zk_translate` alone know kazoo.

kazoo reconnects by itself and, once its session has expired, silently goes on with a new one; a request
made in the old session would then be carried out in the new. So a :class:`Client` has one session and is
thrown away with it. What happens to it is told in the order in which it happened, by kazoo's connection
thread: kazoo's own threads for watches and for replies, which do not keep that order, are not used.
"""

import logging
import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from kazoo.client import KazooClient
from kazoo.exceptions import SessionMovedError
from kazoo.handlers.threading import SequentialThreadingHandler
from kazoo.protocol.connection import CLOSE_RESPONSE, STOP_CONNECTING, ConnectionHandler
from kazoo.protocol.serialization import Connect
from kazoo.protocol.states import EventType, KazooState
from kazoo.retry import KazooRetry

from mwapp.core.messages import (
    Children,
    Exists,
    Get,
    Operation,
    Result,
)
from mwapp.servers import Servers
from mwapp.zk_translate import add, below, result

log = logging.getLogger(__name__)

# A server gets this long to accept a connection, and as long again to answer the first request on it, so
# that a frozen or black-holed one is passed over fast. Every further round of time-outs adds as much again,
# for an ensemble that is only slow must be reached too.
ATTEMPT = 1.0
# Pauses between rounds through the servers, seconds; they double from the first to the longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 0.35

# ---------------------------------------------------------------- what happens to a client


@dataclass(frozen=True, slots=True)
class Up:
    """Connected to the server at ``address``. ``timeout`` is what the ensemble granted, seconds."""

    session: int
    password: bytes
    timeout: float
    address: tuple[str, int]

    def __repr__(self) -> str:  # the password must not get into a log
        return f"Up(session={self.session:#x}, timeout={self.timeout}, address={self.address})"


@dataclass(frozen=True, slots=True)
class Down:
    """The connection is lost; the client is looking for another server to go on with its session."""


@dataclass(frozen=True, slots=True)
class Over:
    """The client is done for: its session has expired or cannot be gone on with."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A request's result."""

    number: int
    result: Result


@dataclass(frozen=True, slots=True)
class Changed:
    """A watch on the path went off."""

    path: str


Happening = Up | Down | Over | Answered | Changed

# ---------------------------------------------------------------- inside kazoo (untyped: Any to mypy)


class _Future:
    """Stands in for kazoo's AsyncResult: has its callback from the start, so that no reply is told late."""

    def __init__(self, then: Callable[[Any], None]) -> None:
        self.set = self.set_exception = then


class _Handler(SequentialThreadingHandler):  # type: ignore[misc]  # kazoo has no types
    """kazoo's sockets without its callback threads: our callbacks never block, so they run at once."""

    running = False

    def __init__(self) -> None:
        super().__init__()
        self.then: Callable[[Any], None] = lambda _: None  # gets the result of the next request made
        self.patience = ATTEMPT
        self.address = ("", 0)
        self.connection: socket.socket | None = None

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def async_result(self) -> _Future:
        return _Future(self.then)

    def select(self, reads: list[Any], writes: list[Any], _errors: list[Any], timeout: float) -> Any:
        """kazoo's own makes and closes a selector for every wait."""
        poll = select.poll()
        for wanted in reads:
            poll.register(wanted, select.POLLIN)
        for wanted in writes:
            poll.register(wanted, select.POLLOUT)
        ready = {number for number, _ in poll.poll(timeout * 1000)}
        return [r for r in reads if r.fileno() in ready], [w for w in writes if w.fileno() in ready], []

    def dispatch_callback(self, callback: Any) -> None:
        callback.func(*callback.args)

    def create_connection(self, *args: Any, **kwargs: Any) -> Any:
        kwargs["timeout"] = self.patience
        self.connection = super().create_connection(*args, **kwargs)
        self.address = kwargs["address"]
        return self.connection


class _Connection(ConnectionHandler):  # type: ignore[misc]  # kazoo has no types
    """kazoo's connection thread, bounded in time and to one session."""

    def __init__(self, client: Any, handler: _Handler, over: Callable[[], None]) -> None:
        super().__init__(client, client._conn_retry.copy(), logger=client.logger)
        self.granted = 0.0  # session time-out, seconds
        self.ended = False  # no further connection is to be made
        self.closed = False  # the ensemble has confirmed that the session is closed
        self._handler = handler
        self._over = over
        self._slow = 0  # attempts in a row that ran into a time-out

    def zk_loop(self) -> None:
        try:
            super().zk_loop()
        finally:
            self._over()

    def _connect_attempt(self, *args: Any) -> Any:
        return STOP_CONNECTING if self.ended else super()._connect_attempt(*args)

    def _connect(self, *args: Any) -> Any:
        patience = self._handler.patience = ATTEMPT * (1 + self._slow // len(self.client.hosts))
        started = time.monotonic()
        try:
            result = super()._connect(*args)
        except Exception:
            self._slow += time.monotonic() - started >= patience
            raise
        self._slow = 0
        return result

    def _invoke(self, _timeout: float, request: Any, xid: Any = None) -> Any:
        answer = super()._invoke(self._handler.patience, request, xid)
        if isinstance(request, Connect):
            self.granted = answer[0].time_out / 1000
        return answer

    def _read_socket(self, read_timeout: float) -> Any:
        response = super()._read_socket(read_timeout)
        self.closed |= response == CLOSE_RESPONSE
        return response


# ---------------------------------------------------------------- the client


class Client:
    """One session. Every method returns at once; ``tell`` is called on another thread."""

    def __init__(self, servers: Servers, timeout: float, tell: Callable[["Client", Happening], None]) -> None:
        self._tell = tell
        self._chroot = servers.chroot
        self._handler = _Handler()
        self._last_event: object = None
        logger = logging.getLogger("mwapp.kazoo")
        # Never lower: kazoo's log at level "debug" holds znodes' data, and below it session passwords.
        logger.setLevel(logging.WARNING if log.isEnabledFor(logging.DEBUG) else logging.ERROR)
        self._kazoo = KazooClient(
            hosts=servers.hosts,
            timeout=timeout,
            handler=self._handler,
            connection_retry=KazooRetry(
                max_tries=-1, delay=FIRST_PAUSE, max_delay=LONGEST_PAUSE, ignore_expire=False
            ),
            logger=logger,
        )
        self._connection = _Connection(self._kazoo, self._handler, lambda: tell(self, Over()))
        self._kazoo._connection = self._connection
        self._kazoo.add_listener(self._state_changed)
        self._kazoo.start_async()

    @property
    def connected(self) -> bool:
        """Whether there is a connection, as far as kazoo knows."""
        return bool(self._kazoo.connected)

    def ask(self, number: int, operation: Operation, chroot: str) -> None:
        """Send a request; paths in it, and in what comes back, are below the chroot."""

        def answered(value: Any) -> None:
            if isinstance(value, SessionMovedError):  # told as a lost connection: so it must be one
                self.drop_connection()
            self._tell(self, Answered(number, result(operation, value, chroot)))

        self._handler.then = answered
        try:
            match operation:
                case Get(path, watch):
                    self._kazoo.get_async(below(chroot, path), self._changed if watch else None)
                case Children(path, watch):
                    self._kazoo.get_children_async(below(chroot, path), self._changed if watch else None)
                case Exists(path, watch):
                    self._kazoo.exists_async(below(chroot, path), self._changed if watch else None)
                case _:
                    transaction = self._kazoo.transaction()
                    for op in operation.ops:
                        add(transaction, op, chroot)
                    transaction.commit_async()
        except (TypeError, ValueError) as problem:  # kazoo's own checks
            log.error("request cannot be sent: %s", problem)
            answered(problem)

    def drop_connection(self) -> None:
        """Have the connection cut and the next server tried."""
        connection = self._handler.connection
        if connection is not None:
            with suppress(OSError):  # it is gone already
                connection.shutdown(socket.SHUT_RDWR)

    def close(self, patience: float) -> threading.Event:
        """Close the session after what was asked before, and give everything up; seconds to wait for it.

        The event is set when all is over; :attr:`closed` says whether the ensemble has confirmed.
        """
        over = threading.Event()
        # kazoo's stop() has no bound of its own; a cut connection ends it.
        hurry = threading.Timer(patience, self.drop_connection)

        def stop() -> None:
            hurry.start()
            try:
                self._kazoo.stop()
                self._kazoo.close()
            except Exception:  # nothing depends on a client that was given up
                log.exception("cannot dispose of a ZooKeeper client")
            finally:
                hurry.cancel()
                over.set()

        hurry.daemon = True
        threading.Thread(target=stop, name="zk-close", daemon=True).start()
        return over

    @property
    def closed(self) -> bool:
        """Whether the ensemble has confirmed that the session is closed."""
        return self._connection.closed

    def _changed(self, event: Any) -> None:
        # kazoo tells the watchers of a path's data and of its children apart, we do not.
        if event.type != EventType.NONE and event is not self._last_event:
            self._last_event = event
            self._tell(self, Changed(event.path[len(self._chroot) :] or "/"))

    def _state_changed(self, state: str) -> None:
        if state == KazooState.CONNECTED:
            session, password = self._kazoo.client_id
            self._tell(self, Up(session, password, self._connection.granted, self._handler.address))
        elif state == KazooState.SUSPENDED:
            self._tell(self, Down())
        else:
            self._connection.ended = True
            self._tell(self, Over())
