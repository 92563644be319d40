"""What somebody on the network says, within a time."""

import io
import socket
import time
from contextlib import closing

import pytest

from mwapp.within import Within
from testbed.waiting import LONGEST_WAIT


def test_what_comes_in_time_is_all_there() -> None:
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        theirs.sendall(b"one\ntwo")
        theirs.shutdown(socket.SHUT_WR)
        with io.BufferedReader(Within(ours, 5.0)) as said:
            assert (said.readline(), said.read()) == (b"one\n", b"two")


def test_when_the_time_is_over_nothing_more_is_read() -> None:
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        theirs.sendall(b"one")
        late = Within(ours, LONGEST_WAIT)
        assert late.read(1) == b"o"
        late._end = time.monotonic()
        with pytest.raises(TimeoutError):
            late.read(1)


def test_silence_is_waited_for_no_longer() -> None:
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs), pytest.raises(TimeoutError):
        Within(ours, 0.01).read(1)
