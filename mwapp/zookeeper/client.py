"""One ZooKeeper session on one kazoo client; it and :mod:`mwapp.zookeeper.connection` alone know kazoo.

kazoo reconnects by itself. When its session has expired, it silently continues with a new one, which would
then carry out requests made in the old one. So a :class:`Client` has one session, and is thrown away with it.
kazoo's connection thread reports what happens to it, in order. We do not use kazoo's own threads for watches
and replies, because they do not keep that order.
"""

import logging
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kazoo.client import KazooClient
from kazoo.protocol.states import KazooState
from kazoo.retry import KazooRetry

from mwapp.core.messages import Closed, EventType, Fired, Operation, Result
from mwapp.core.protocol import show_session
from mwapp.zookeeper.connect_string import Servers
from mwapp.zookeeper.connection import Asked, Connection, KazooHandler
from mwapp.zookeeper.machine import Machine
from mwapp.zookeeper.wire import Lists, everybody

log = logging.getLogger(__name__)

# Pauses between rounds through the servers, seconds: they double from the first value to the last.
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 0.35

# ---------------------------------------------------------------- what happens to a client


@dataclass(frozen=True, slots=True)
class Up:
    """Connected to the server at ``address``. ``timeout`` is what the ensemble granted, seconds."""

    session: int
    password: bytes
    timeout: float
    address: tuple[str, int]
    asked: float | None = None  # when this connection was begun, on mwapp.clock

    def __repr__(self) -> str:  # the password must not get into a log
        return f"Up(session={show_session(self.session)}, timeout={self.timeout}, address={self.address})"


@dataclass(frozen=True, slots=True)
class Down:
    """The connection is lost; the client is looking for another server to continue its session."""


@dataclass(frozen=True, slots=True)
class Over:
    """The client is finished: its session has expired or cannot continue."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A request's result."""

    number: int
    result: Result
    denied: bool = False  # it is a transaction, and an access control list forbids it


@dataclass(frozen=True, slots=True)
class Refused:
    """No TLS is possible with the server at ``address``, and ``why``. The client tries the next one."""

    address: tuple[str, int]
    why: str


Happening = Up | Down | Over | Answered | Fired | Refused | Closed

# ---------------------------------------------------------------- the client


class Client:
    """One session. Every method returns at once; ``tell`` is called on another thread."""

    def __init__(
        self,
        servers: Servers,
        timeout: float,
        tell: Callable[["Client", Happening], None],
        machine: Machine,
    ) -> None:
        self.lists: Lists = everybody  # of what is created
        self._tell = tell
        self._chroot = servers.chroot
        self._session = 0  # the last that it had
        self._machine = machine
        self._handler = KazooHandler(
            machine, servers.tls, lambda host, port, why: tell(self, Refused((host, port), why))
        )
        logger = logging.getLogger("mwapp.kazoo")
        # Never lower: kazoo logs znodes' data at level "debug", and session passwords below that.
        logger.setLevel(logging.WARNING if log.isEnabledFor(logging.DEBUG) else logging.ERROR)
        self._kazoo = KazooClient(
            hosts=servers.hosts,
            timeout=timeout,
            handler=self._handler,
            connection_retry=KazooRetry(
                max_tries=-1,
                delay=FIRST_PAUSE,
                max_delay=LONGEST_PAUSE,
                ignore_expire=False,
                sleep_func=machine.sleep,
            ),
            logger=logger,
        )
        self._connection = Connection(
            self._kazoo,
            self._handler,
            self._fired,
            lambda: tell(self, Over()),
            lambda: tell(self, Closed(self._session)),
        )
        self._kazoo._connection = self._connection
        self._kazoo.add_listener(self._state_changed)
        self._kazoo.start_async()

    def still(self, up: "Up | None") -> bool:
        """Whether that connection is still the current one, as far as kazoo knows."""
        return bool(self._kazoo.connected) and up is not None and self._connection.asked == up.asked

    def ask(self, number: int, operation: Operation, chroot: str) -> bool:
        """Queue a request for :meth:`flush`. Its paths, and those in its answer, are below the chroot.

        It is answered, or the connection is lost. False: neither, because it cannot be encoded.
        """

        def told(result: Result, denied: bool) -> None:
            self._tell(self, Answered(number, result, denied))

        try:
            self._connection.ask(Asked(operation, chroot, told, self.lists))
        except (ValueError, struct.error) as problem:
            log.error("request cannot be sent: %s", problem)
            return False
        return True

    def flush(self) -> None:
        """Send the requests queued since the last flush."""
        self._connection.flush()

    def drop_connection(self) -> None:
        """Cut the connection, and try the next server."""
        self._handler.drop_connection()

    def close(self, patience: float) -> Any:
        """Close the session after the queued requests, and give everything up; seconds to wait for it.

        The event is set when that is done; :attr:`closed` says whether the ensemble has confirmed it.
        """
        over = self._machine.event()

        def stop() -> None:
            try:
                self._kazoo.stop()
                self._kazoo.close()
            except Exception:  # nothing depends on this client any more
                log.exception("cannot dispose of a ZooKeeper client")
            finally:
                over.set()

        def hurry() -> None:  # kazoo's stop() has no time limit; a cut connection ends it
            if not over.wait(patience):
                self.drop_connection()

        self._machine.spawn(stop)
        self._machine.spawn(hurry)
        return over

    @property
    def closed(self) -> bool:
        """Whether the ensemble has confirmed that the session is closed."""
        return self._connection.closed

    def _fired(self, path: str, event: EventType) -> None:
        self._tell(self, Fired(path[len(self._chroot) :] or "/", event))

    def _state_changed(self, state: str) -> None:
        if state == KazooState.CONNECTED:
            session, password = self._kazoo.client_id
            self._session = session
            connection = self._connection
            self._tell(
                self, Up(session, password, connection.granted, self._handler.address, connection.asked)
            )
        elif state == KazooState.SUSPENDED:
            self._tell(self, Down())
        else:
            self._tell(self, Over())
