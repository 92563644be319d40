"""Sessions are reckoned on a clock that goes on while the machine is suspended.

No test can suspend its machine. But in a time namespace that clock is as far ahead of the monotonic one as it
is after a suspend, and the product is run in one here.
"""

import socket
import struct
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from mwapp import clock
from mwapp.core.messages import Command, Connected, Event
from mwapp.core.session import Process
from mwapp.daemon.snapshot import Snapshot
from mwapp.loop import Loop
from mwapp.zookeeper.connect_string import Servers

pytestmark = pytest.mark.processes

SLEPT = 1000  # seconds
ASLEEP = ["unshare", "--map-root-user", "--time", "--boottime", str(SLEPT)]


def has_slept() -> None:
    """The main loop's time, the time of a connection and the picture of the session count the suspend."""
    import time

    events = _first_events()
    awake = time.monotonic()
    connected = next(event for _, event in events if isinstance(event, Connected))
    assert all(now > awake + SLEPT / 2 for now, _ in events), events
    assert connected.asked is not None
    assert connected.asked > awake + SLEPT / 2, connected
    picture = Snapshot("worker", "w", "", turned=time.monotonic(), connection="connected", takes_writes=True)
    assert replace(picture, lease=awake + SLEPT / 2).unready() is not None
    assert replace(picture, lease=clock.now() + 60).unready() is None


class _Listening(Process):
    """Keeps what it is told, until it has a session."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[tuple[float, Event]] = []
        self.loop: Loop

    def handle(self, now: float, event: Event) -> list[Command]:
        self.events.append((now, event))
        if isinstance(event, Connected):
            self.loop.abort()
        return super().handle(now, event)


def _first_events() -> list[tuple[float, Event]]:
    process = _Listening()
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_give_a_session, args=(server,), daemon=True).start()
        process.loop = Loop(process, Servers.parse(f"127.0.0.1:{server.getsockname()[1]}"), 6.0)
        process.loop.run(connect_timeout=10.0)
    return process.events


def _give_a_session(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(1000)
        granted = struct.pack("!iiqi16s?", 0, 6000, 1, 16, b"password", False)
        connection.sendall(struct.pack("!i", len(granted)) + granted)
        request = connection.recv(1000)  # the first is to close it
        connection.sendall(struct.pack("!i", 16) + request[4:8] + bytes(12))
        connection.recv(1000)


def test_a_suspend_counts() -> None:
    probe = subprocess.run([*ASLEEP, "true"], capture_output=True, text=True)
    if probe.returncode:
        pytest.skip(f"no time namespaces here: {probe.stderr.strip()}")
    program = "from tests.unit.test_clock import has_slept; has_slept()"
    run = subprocess.run([*ASLEEP, sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
