"""Ports for servers of tests: no two runs are given the same."""

import socket
import subprocess
import sys
from contextlib import ExitStack

import pytest

from testbed import ports

pytestmark = pytest.mark.processes

# In a process that goes on until its input ends.
TAKE = """
import sys
from testbed import ports
ports.FIRST, ports.LAST = 10_000, 10_000 + 2 * ports.BLOCK
print(*ports.free_ports(3), flush=True)
sys.stdin.read()
"""


def run() -> "subprocess.Popen[str]":
    argv = [sys.executable, "-c", TAKE]
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


@pytest.mark.parametrize(("family", "address"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_a_port_on_which_somebody_listens_is_not_free(family: socket.AddressFamily, address: str) -> None:
    with ExitStack() as stack:
        try:
            other = stack.enter_context(socket.socket(family))
            other.bind((address, 0))
        except OSError:
            pytest.skip(f"this machine has no {address}")
        assert not ports._is_free(other.getsockname()[1])


def test_runs_side_by_side_have_ports_of_their_own() -> None:
    with run() as one, run() as other:
        assert one.stdout is not None
        assert other.stdout is not None
        taken = [*one.stdout.readline().split(), *other.stdout.readline().split()]
        assert len(set(taken)) == 6
        with run() as third:
            _, said = third.communicate()
            assert "no port from 10000 to 10200 is left" in said
        one.communicate()
        with run() as next_one:
            said, _ = next_one.communicate()
            assert len(said.split()) == 3
        other.communicate()
