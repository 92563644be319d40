"""What the edge takes from the real machine."""

import socket
import threading
from contextlib import closing

import pytest

from mwapp import clock
from mwapp.zookeeper.machine import REAL


def test_threads_wait_for_each_other() -> None:
    event, seen = REAL.event(), []
    thread = REAL.spawn(lambda: seen.append(event.wait(10)))
    assert thread.daemon, "nobody waits for it at the end"
    event.set()
    thread.join(10)
    assert seen == [True]


def test_its_time_is_that_of_sessions() -> None:
    before, now, after = clock.now(), REAL.now(), clock.now()
    assert before <= now <= after
    REAL.sleep(0.01)
    assert REAL.now() >= now + 0.01


def test_which_sockets_are_ready() -> None:
    one, other = REAL.socket_pair()
    with closing(one), closing(other):
        assert REAL.select([one, other], [], [], 0.0) == ([], [], [])
        other.send(b"x")
        assert REAL.select([one, other], [], [], 10.0) == ([one], [], [])
        assert REAL.select([other], [one], [], 10.0) == ([], [one], [])
        timer = threading.Timer(0.05, lambda: one.send(b"y"))
        timer.start()
        assert REAL.select([other], [], [], 10.0) == ([other], [], []), "it waits"


@pytest.mark.servers
def test_a_connection_waits_for_no_more_to_be_sent() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with REAL.connect(server.getsockname(), 1.0) as connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert connection.gettimeout() == 1.0
        port = server.getsockname()[1]
    with pytest.raises(OSError, match="refused"):
        REAL.connect(("127.0.0.1", port), 1.0)
