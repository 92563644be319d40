"""What the edge takes from its machine: a clock, threads, sockets. The tests have a simulated one."""

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
        """Seconds, on the clock that sessions are reckoned on."""
        return clock.now()

    def sleep(self, seconds: float) -> None:
        """Do nothing for so long."""
        time.sleep(seconds)

    def spawn(self, call: Callable[[], None]) -> Any:
        """Call it on a thread of its own, which can be joined."""
        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        return thread

    def event(self) -> Any:
        """What a thread can wait for until another sets it."""
        return threading.Event()

    def connect(self, address: tuple[str, int], timeout: float) -> Any:
        """A TCP connection, which from then on waits so many seconds at most. Raises OSError."""
        connection = socket.create_connection(address, timeout)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def socket_pair(self) -> tuple[Any, Any]:
        """Two sockets: what is written into one can be read from the other."""
        return socket.socketpair()

    def select(self, reads: list[Any], writes: list[Any], _errors: list[Any], timeout: float) -> Any:
        """Which of the sockets can be read and written, after so many seconds at most. kazoo's own makes and
        closes a selector for every wait."""
        poll = select.poll()
        for wanted in reads:
            poll.register(wanted, select.POLLIN)
        for wanted in writes:
            poll.register(wanted, select.POLLOUT)
        ready = {number for number, _ in poll.poll(timeout * 1000)}
        return [r for r in reads if r.fileno() in ready], [w for w in writes if w.fileno() in ready], []


REAL = Machine()
