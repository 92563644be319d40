"""What the edge needs from its machine: a clock, threads, sockets. The tests have a simulated machine."""

import select
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from mwapp import clock


class Machine:
    """The real one."""

    def now(self) -> float:
        """Seconds, on the clock that measures sessions."""
        return clock.now()

    def sleep(self, seconds: float) -> None:
        """Do nothing for this long."""
        time.sleep(seconds)

    def spawn(self, call: Callable[[], None]) -> Any:
        """Call it on a new thread, which can be joined."""
        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        return thread

    def event(self) -> Any:
        """What a thread can wait for until another sets it."""
        return threading.Event()

    def connect(self, address: tuple[str, int], timeout: float) -> Any:
        """A TCP connection, whose operations wait at most this many seconds. Raises OSError."""
        connection = socket.create_connection(address, timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def socket_pair(self) -> tuple[Any, Any]:
        """Two connected sockets."""
        return socket.socketpair()

    def select(self, reads: list[Any], writes: list[Any], _errors: list[Any], timeout: float) -> Any:
        """The sockets that can be read and written, after at most this many seconds. kazoo's own creates and
        closes a selector for every wait."""
        poll = select.poll()
        for wanted in reads:
            poll.register(wanted, select.POLLIN)
        for wanted in writes:
            poll.register(wanted, select.POLLOUT)
        ready = {number for number, _ in poll.poll(timeout * 1000)}
        return [r for r in reads if r.fileno() in ready], [w for w in writes if w.fileno() in ready], []


REAL = Machine()
