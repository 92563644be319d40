"""A daemon as a process: what systemd, a signal and the next of its name find."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mwapp import loop, release
from mwapp.core.messages import Exited
from mwapp.core.session import Process
from mwapp.core.task import Task
from mwapp.daemon.service import Daemon, Settings
from mwapp.zookeeper.connect_string import Servers
from testbed.asking import endpoint
from testbed.ports import free_ports
from testbed.waiting import LONGEST_WAIT, wait_for
from tests.unit.zk_server import Server

pytestmark = pytest.mark.processes

NOBODY = "127.0.0.1:1"  # no server listens there


class Role:
    """Runs a command until it ends, and ends after it."""

    def __init__(self, process: Process, command: str) -> None:
        self._process, self._command = process, command
        self._begun = self._runs = False
        process.add(self)

    def connected(self) -> None:
        if self._command and not self._begun:
            self._begun = self._runs = True
            self._process.run(1, Task(self._command), {})

    def suspended(self) -> None:
        """Its command goes on."""

    def expired(self) -> None:
        """Its command goes on."""

    def closed(self, _: int) -> None:
        """It needs to know of no session."""

    def exited(self, _: Exited) -> None:
        self._runs = False
        if self._process.stopping:
            self._process.part_stopped(self)

    def stop(self) -> None:
        if not self._runs:
            self._process.part_stopped(self)

    def status(self) -> dict[str, Any]:
        return {"state": "running" if self._runs else "idle", "ended": self._process.ended}


def run_daemon() -> int:
    """What the process of a test does. A server that is slow to answer is not given up."""
    connect, home, port, command, patience = sys.argv[1:]
    loop.CLOSE_SECONDS = float(patience)
    release.ANSWER_SECONDS = release.RELEASE_SECONDS = LONGEST_WAIT
    listen, state = ("127.0.0.1", int(port)), Path(home) / "state"
    settings = Settings("role", "r1", Servers.parse(connect), 2.0, listen, state_dir=state)
    return Daemon(settings, lambda process, _: Role(process, command)).run()


class Harness:
    """A daemon in a process of its own, and the service manager that has started it."""

    def __init__(self, home: Path, stack: ExitStack) -> None:
        self.home = home
        self._stack = stack
        self.manager = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        self.manager.bind(str(home / "notify"))
        self.manager.settimeout(LONGEST_WAIT)
        (self.port,) = free_ports(1)

    def start(
        self, connect: str, command: str = "", *, watchdog: float = 60.0, patience: float = LONGEST_WAIT
    ) -> "subprocess.Popen[bytes]":
        """``patience`` is for the end of its session, seconds."""
        arguments = [connect, str(self.home), str(self.port), command, str(patience)]
        program = "import sys; from tests.unit.test_daemon_process import run_daemon as run; sys.exit(run())"
        told = {"NOTIFY_SOCKET": str(self.home / "notify"), "WATCHDOG_USEC": str(int(watchdog * 1e6))}
        with (self.home / "log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", program, *arguments], env=os.environ | told, stderr=log
            )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process

    def told(self, word: str) -> str:
        """Wait until systemd is told something with this in it; what it is."""
        end = time.monotonic() + LONGEST_WAIT
        while word not in (message := self.manager.recv(1000).decode()):
            assert time.monotonic() < end, message
        return message

    def status(self) -> dict[str, Any]:
        answer = endpoint("127.0.0.1", self.port, "/status", LONGEST_WAIT)
        assert answer
        return dict(json.loads(answer[1]))


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[Harness]:
    with ExitStack() as stack:
        yield Harness(tmp_path, stack)


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


# ---------------------------------------------------------------- systemd


def test_systemd_hears_that_it_lives_but_not_that_it_is_ready_without_a_session(harness: Harness) -> None:
    harness.start(NOBODY, watchdog=0.4)
    told = "".join(harness.told("") for _ in range(5))
    assert "WATCHDOG=1" in told
    assert "STATUS=role idle, no session with the ensemble yet" in told
    assert "READY" not in told


def test_systemd_hears_that_it_is_ready_when_it_has_a_session(harness: Harness, server: Server) -> None:
    harness.start(server.connect)
    harness.told("READY=1")
    assert server.sessions == 1
    assert harness.status()["session"]["server"] == server.connect


# ---------------------------------------------------------------- signals


def test_a_second_sigterm_changes_nothing_and_who_is_impatient_at_a_keyboard_ends_it(
    harness: Harness, server: Server
) -> None:
    home = harness.home
    wait = f"i=0; until [ -e {home}/go ] || [ $((i += 1)) = 3000 ]; do sleep 0.01; done"
    command = f"touch {home}/begun; {wait}; touch {home}/over"
    daemon = harness.start(server.connect, command)
    wait_for("it runs", (home / "begun").exists)
    for _ in range(2):
        daemon.send_signal(signal.SIGTERM)
        assert harness.told("STOPPING=1")
    (home / "go").touch()
    assert daemon.wait(LONGEST_WAIT) == 0
    assert (home / "over").exists()
    for name in ("begun", "go", "over"):
        (home / name).unlink()

    daemon = harness.start(server.connect, command)
    wait_for("it runs", (home / "begun").exists)
    for _ in range(2):
        daemon.send_signal(signal.SIGINT)
        assert harness.told("STOPPING=1")
    assert daemon.wait(LONGEST_WAIT) == 0
    assert not (home / "over").exists()


# ---------------------------------------------------------------- the session


def test_the_session_of_a_killed_process_is_ended_by_the_next(harness: Harness, server: Server) -> None:
    daemon = harness.start(server.connect)
    harness.told("READY=1")
    daemon.kill()
    daemon.wait()
    assert server.closed == []
    harness.start(server.connect)
    harness.told("READY=1")
    assert server.closed == [1]


def test_a_process_that_is_told_to_stop_leaves_its_sessions_to_the_next_and_one_that_is_killed_does_not(
    harness: Harness, server: Server
) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGINT):
        daemon = harness.start(server.connect)
        harness.told("READY=1")
        daemon.send_signal(number)
        daemon.wait(LONGEST_WAIT)
    assert (harness.home / "state/ended").read_text() == "1 3"
    harness.start(server.connect)
    harness.told("READY=1")
    assert harness.status()["role"]["ended"] == [1, 3]


def test_a_session_that_was_closed_is_kept_no_longer(harness: Harness, server: Server) -> None:
    daemon = harness.start(server.connect)
    harness.told("READY=1")
    assert (harness.home / "state/session").exists()
    daemon.terminate()
    assert daemon.wait(LONGEST_WAIT) == 0
    assert server.closed == [1]
    assert not (harness.home / "state/session").exists()


def test_a_session_that_could_not_be_closed_is_kept_for_who_can(harness: Harness) -> None:
    server = Server(silent=True)
    daemon = harness.start(server.connect, patience=0.1)
    harness.told("READY=1")
    daemon.terminate()
    assert daemon.wait(LONGEST_WAIT) == 0
    server.close()
    assert (harness.home / "state/session").exists()


def test_who_has_given_its_session_up_says_so(harness: Harness) -> None:
    server = Server(timeout=1.0, silent=True)
    harness.start(server.connect)
    harness.told("READY=1")
    server.close()
    states: list[str] = []

    def gave_up() -> bool:
        states.append(str(harness.status()["session"]["state"]))
        return states[-1] == "expired"

    wait_for("it gives its session up", gave_up)
    status = harness.status()
    assert (status["ready"], status["reason"]) == (False, "session with the ensemble is expired")
    assert status["session"]["events"]["abandoned"] >= 1
