"""The main loop: what it owes the core, and how it ends."""

import itertools
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mwapp import clock
from mwapp.core.messages import Command, Event, Exited
from mwapp.core.session import Process
from mwapp.core.task import Task
from mwapp.errors import TimedOutError, UnreachableError
from mwapp.loop import Loop
from mwapp.zookeeper.client import Up
from mwapp.zookeeper.connect_string import Servers
from testbed.waiting import LONGEST_WAIT, wait_for
from tests.unit.patience import patient
from tests.unit.zk_server import Server

pytestmark = pytest.mark.servers

__all__ = ["patient"]
NOBODY = "127.0.0.1:1"  # no server listens there


class Part:
    """Does what a test wants done when a session begins, and notes what it is told."""

    def __init__(self, process: Process, begin: Callable[[], None] = lambda: None) -> None:
        self.process, self.begin = process, begin
        self.told: list[str] = []
        self.exits: list[Exited] = []
        process.add(self)

    def connected(self) -> None:
        self.told.append("connected")
        self.begin()

    def suspended(self) -> None:
        self.told.append("suspended")

    def expired(self) -> None:
        self.told.append("expired")

    def closed(self, session: int) -> None:
        self.told.append(f"closed {session}")

    def exited(self, event: Exited) -> None:
        self.exits.append(event)

    def stop(self) -> None:
        self.process.part_stopped(self)

    def status(self) -> dict[str, Any]:
        return {}


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """It answers, also who closes a session: that is waited for, however slow it is."""
    monkeypatch.setattr("mwapp.loop.CLOSE_SECONDS", LONGEST_WAIT)
    server = Server()
    yield server
    server.close()


class Harness:
    """Makes a main loop, and ends it if a test takes too long."""

    def __init__(self) -> None:
        self.ups: list[Up] = []  # the sessions it was told of
        self._late: threading.Timer

    def __call__(
        self,
        process: Process,
        connect: str = NOBODY,
        timeout: float = 6.0,
        *,
        on_turn: Callable[[], None] = lambda: None,
    ) -> Loop:
        loop = Loop(process, Servers.parse(connect), timeout, on_session=self.ups.append, on_turn=on_turn)
        self._late = threading.Timer(LONGEST_WAIT, loop.abort)
        self._late.start()
        return loop

    def close(self) -> None:
        in_time = self._late.is_alive()
        self._late.cancel()
        self._late.join()
        assert in_time


@pytest.fixture
def loop_of() -> Iterator[Harness]:
    harness = Harness()
    yield harness
    harness.close()


def once(what: str, probe: Callable[[], object], then: Callable[[], None]) -> None:
    """When it is so, on another thread."""

    def wait() -> None:
        wait_for(what, probe)
        then()

    threading.Thread(target=wait, daemon=True).start()


def test_an_ensemble_that_does_not_answer_is_told(loop_of: Harness) -> None:
    loop = loop_of(Process())
    with pytest.raises(UnreachableError, match=rf"--connect {NOBODY}: .* for 0.2 s; check that a majority"):
        loop.run(connect_timeout=0.2)
    assert loop.longest_turn <= 0.1, "not much later"


def test_what_is_not_done_in_time_is_told_to_be_late_though_it_was_long_connected(
    loop_of: Harness, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a clock that begins to run when it is connected, a minute each time it is read."""
    minutes = itertools.count()
    part = Part(process := Process())
    clock = SimpleNamespace(monotonic=lambda: 60.0 * next(minutes) if part.told else 0.0)
    monkeypatch.setattr("mwapp.loop.time", clock)
    loop = loop_of(process, server.connect)
    with pytest.raises(TimedOutError):
        loop.run(connect_timeout=90.0, timeout=150.0)


def test_what_is_done_at_the_last_moment_is_not_late(loop_of: Harness) -> None:
    process = Process()
    Part(process)
    loop = loop_of(process)
    loop.stop()
    loop.run(timeout=0.0)
    assert loop.closed_cleanly


def test_who_is_to_end_now_does_not_wait_for_the_next_turn(loop_of: Harness) -> None:
    loop = loop_of(Process(), on_turn=lambda: threading.Timer(0.05, loop.abort).start())
    loop.longest_turn = 10 * LONGEST_WAIT
    began = time.monotonic()
    loop.run()
    assert time.monotonic() - began < LONGEST_WAIT


def test_timers_come_when_they_are_due_though_nothing_else_happens(loop_of: Harness) -> None:
    """And not at the turns that there are anyhow, one a second: these would be too late for the harness."""
    process = Process()
    scope, fired = process.scope(), []

    def fire() -> None:
        fired.append(time.monotonic())
        if len(fired) < 2 * LONGEST_WAIT:
            scope.after(0.001, fire)
        else:
            loop.abort()

    scope.after(0.001, fire)
    loop = loop_of(process)
    loop.run()
    assert len(fired) == 2 * LONGEST_WAIT


def test_what_is_asked_is_sent_and_the_session_is_told_of_before(loop_of: Harness, server: Server) -> None:
    process = Process()
    known: list[int] = []
    Part(process, begin=lambda: known.append(len(loop_of.ups)))
    loop = loop_of(process, server.connect)
    once("it asks", lambda: server.asked, loop.stop)
    loop.run()
    assert known == [1], "when the core heard of the session"
    assert loop.closed_cleanly


def test_a_session_that_goes_on_at_another_server_is_told_of_again(loop_of: Harness, server: Server) -> None:
    servers = [server, Server()]
    process = Process()
    part = Part(process)
    loop = loop_of(process, ",".join(it.connect for it in servers))

    def begin() -> None:
        if part.told.count("connected") == 2:
            loop.stop()
        for it in servers:
            if it.sessions and len(loop_of.ups) == 1:
                it.die()

    part.begin = begin
    loop.run()
    servers[1].close()
    first, second = loop_of.ups
    assert (first.session, second.session) == (1, 1)
    assert first.address != second.address


@pytest.mark.processes
def test_commands_are_killed_before_the_session_is_closed(
    loop_of: Harness, server: Server, tmp_path: Path
) -> None:
    process = Process()
    Part(process, begin=lambda: process.run(1, Task(f"echo $$ > {tmp_path}/pid; exec sleep 60"), {}))
    loop = loop_of(process, server.connect)
    left: list[bool] = []
    server.closing = lambda: left.append(_lives(tmp_path / "pid"))
    once("it runs", lambda: _lives(tmp_path / "pid"), loop.stop)
    loop.run()
    assert left == [False]
    assert loop.closed_cleanly


def _lives(pid: Path) -> bool:
    if not pid.exists() or not pid.read_text():
        return False
    try:
        os.kill(int(pid.read_text()), 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.processes
def test_a_kill_comes_with_its_grace(loop_of: Harness, server: Server, tmp_path: Path) -> None:
    process = Process()
    set_up = tmp_path / "set"
    wait = "i=0; until [ $((i += 1)) = 6000 ]; do sleep 0.01; done"
    task = Task(f"trap 'exit 3' TERM; touch {set_up}; {wait}")
    part = Part(process, begin=lambda: process.run(1, task, {}))
    loop = loop_of(process, server.connect)
    scope = process.scope()

    def look() -> None:
        if part.exits:
            loop.abort()
        elif set_up.exists():
            process.kill(1, LONGEST_WAIT)
        scope.after(0.02, look)

    scope.after(0.02, look)
    loop.run()
    assert [exit_.code for exit_ in part.exits] == [3]


def test_the_runner_hears_how_long_the_session_is_sure_to_live(loop_of: Harness, server: Server) -> None:
    """If this process stands still, somebody else kills what runs."""
    heard: list[float] = []
    part = Part(process := Process())
    loop = loop_of(process, server.connect)
    vars(loop)["_runner"] = SimpleNamespace(keep=heard.append, kill_all=lambda: None)
    once("it is connected, and has turned", lambda: part.told and heard and heard[-1], loop.stop)
    loop.run()
    assert clock.now() < heard[-1] <= process.lease


def test_a_session_that_the_core_gives_up_is_followed_by_another(loop_of: Harness) -> None:
    server = Server(timeout=0.5, silent=True)
    process = Process()
    part = Part(process)
    loop = loop_of(process, server.connect, 0.5)
    part.begin = lambda: loop.abort() if "expired" in part.told else None
    loop.run()
    server.close()
    # A session that is over before anybody could look was never cut off.
    assert [told for told in part.told if told != "suspended"] == ["connected", "expired", "connected"]
    first, *_, last = loop_of.ups
    assert first.session != last.session


class Noting(Process):
    """Notes when it was told something."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def handle(self, now: float, event: Event) -> list[Command]:
        self.times.append(now)
        return super().handle(now, event)


def test_what_comes_during_a_turn_did_not_come_before_it(loop_of: Harness) -> None:
    process = Noting()
    Part(process)
    asked: list[float] = []

    def stop() -> None:
        asked.append(clock.now())
        loop.stop()

    loop = loop_of(process, on_turn=lambda: threading.Timer(0.05, stop).start())
    loop.run()
    assert process.times[-1] >= asked[0]


def test_events_are_handled_in_their_order_however_many_come_at_once(loop_of: Harness) -> None:
    process = Noting()
    Part(process)
    loop = loop_of(process)
    for _ in range(2000):
        loop._queue.put(Exited(1, 0))
    loop.stop()
    loop.run()
    assert len(process.times) >= 2001
    assert process.times == sorted(process.times)
