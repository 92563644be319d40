"""Handlers of shards: opened, promoted, moved and closed, and nothing of them left."""

import contextlib
import errno
import json
import os
import queue
import resource
import socket
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from mwapp import clock
from mwapp.core.messages import (
    CloseShard,
    DemoteShard,
    Exited,
    OpenShard,
    PromoteShard,
    ShardSays,
)
from mwapp.execution import process_group, shard_command, shard_handler, shard_process
from mwapp.execution.runner import Runner
from testbed.waiting import LONGEST_WAIT, alive, read_number, wait_for
from tests.unit.patience import patient

__all__ = ["patient"]
pytestmark = pytest.mark.processes

FOREVER = 1e12


class Harness:
    """A runner, and what its shards say."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.told: queue.SimpleQueue[Exited | ShardSays] = queue.SimpleQueue()
        self.runner = Runner(self.told.put, 1000)

    def open(self, command: str | None = None, handler: str | None = None, run: int = 1, **more: Any) -> None:
        its: dict[str, Any] = {"generation": 7, "primary": "", "members": {"w": "sync"}, "until": FOREVER}
        command = command.format(at=self.where) if command else None
        self.runner.tell_shard(OpenShard(run, "t", 3, "w", handler, command, **its | more))

    def promote(self, generation: int, run: int = 1, until: float = FOREVER) -> None:
        self.runner.tell_shard(PromoteShard(run, generation, {"w": "sync", "v": "copy"}, until))

    def demote(self, generation: int, to: str | None = None) -> None:
        self.runner.tell_shard(DemoteShard(1, generation, "v", {"w": "sync", "v": "sync"}, to))

    def close(self, grace: float = LONGEST_WAIT) -> None:
        self.runner.tell_shard(CloseShard(1, grace))

    def next(self) -> ShardSays:
        said = self.told.get(timeout=LONGEST_WAIT)
        assert isinstance(said, ShardSays)
        return said

    def says(self, *what: str) -> None:
        """The next things that it says, as WORD GENERATION."""
        assert tuple(f"{s.said} {s.generation}" for s in (self.next() for _ in what)) == what

    def nothing(self) -> None:
        with pytest.raises(queue.Empty):
            self.told.get(timeout=0.2)

    def closed(self) -> str | None:
        """It is closed; why."""
        said = self.next()
        assert said.said == "closed"
        return said.reason

    def number(self, name: str) -> int:
        """What was written into a file, when it is there."""
        return read_number(self.where / name)


@pytest.fixture
def shard(tmp_path: Path) -> Iterator[Harness]:
    before = set(threading.enumerate())
    harness = Harness(tmp_path)
    yield harness
    harness.runner.kill_all()
    assert set(threading.enumerate()) <= before


# ---------------------------------------------------------------- commands

SLEEPS = "echo $$ >{at}/pid.$MWAPP_GENERATION; exec sleep 1000"


def test_a_command_runs_while_its_worker_is_the_primary(shard: Harness) -> None:
    shard.open(
        "echo $MWAPP_TABLE $MWAPP_SHARD $MWAPP_GENERATION $MWAPP_WORKER "
        "$MWAPP_ROLE $MWAPP_MEMBERS >{at}/who; "
        "echo $$ >{at}/pid; exec sleep 1000"
    )
    shard.says("open 7", "ready 7")
    assert not (shard.where / "pid").exists()
    shard.promote(8)
    shard.says("serving 8")
    pid = shard.number("pid")
    assert (shard.where / "who").read_text() == "t 3 8 w primary v=copy w=sync\n"
    shard.demote(8, to="v")
    shard.says("released 8")
    assert not alive(pid)
    shard.demote(9)
    shard.says("open 9", "ready 9")
    shard.close()
    assert shard.closed() is None


def test_another_generation_is_another_command_after_the_first_has_ended(shard: Harness) -> None:
    shard.open(SLEEPS)
    shard.promote(8)
    shard.says("open 7", "ready 7", "serving 8")
    first = shard.number("pid.8")
    shard.promote(9)
    shard.says("serving 9")
    assert not alive(first)
    assert alive(shard.number("pid.9"))


def test_a_command_ends_by_itself_when_it_is_told_to_and_only_then_it_is_released(shard: Harness) -> None:
    shard.open(
        "trap 'sleep 0.3; echo 1 >{at}/flushed; exit' TERM; echo 1 >{at}/up; while :; do sleep 0.05; done"
    )
    shard.promote(8)
    shard.says("open 7", "ready 7", "serving 8")
    shard.number("up")
    shard.demote(8, to="v")
    shard.says("released 8")
    assert (shard.where / "flushed").exists()


def test_a_command_that_does_not_heed_sigterm_is_killed(
    shard: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_command, "STOP_SECONDS", 0.2)
    shard.open("trap '' TERM; echo $$ >{at}/pid; while :; do sleep 0.05; done")
    shard.promote(8)
    shard.says("open 7", "ready 7", "serving 8")
    pid = shard.number("pid")
    shard.demote(8, to="v")
    shard.says("released 8")
    assert not alive(pid)


def test_only_the_last_thing_it_is_told_while_it_ends_is_done(shard: Harness) -> None:
    ends = "until [ -e {at}/told ]; do sleep 0.01; done; exit"
    shard.open(f"trap '{ends}' TERM; echo 1 >{{at}}/up; while :; do sleep 0.05; done")
    shard.promote(8)
    shard.says("open 7", "ready 7", "serving 8")
    shard.number("up")
    shard.promote(9)
    shard.demote(9, to="v")
    shard.runner._call((shard.where / "told").touch)  # after what it was told before
    shard.says("released 9")
    shard.nothing()


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("echo no disk; exit 3", "the command has ended: exit status 3: no disk"),
        ("exit 0", "the command has ended: exit status 0"),
        ("kill -9 $$", "the command has ended: killed by SIGKILL"),
    ],
)
def test_a_command_that_ends_by_itself_has_failed(shard: Harness, command: str, reason: str) -> None:
    shard.open(command)
    shard.promote(8)
    shard.says("open 7", "ready 7", "serving 8")
    said = shard.next()
    assert (said.said, said.generation, said.reason) == ("closed", 8, reason)
    shard.promote(9)  # of which nobody hears
    shard.nothing()


def test_what_a_command_has_started_is_gone_with_it(shard: Harness) -> None:
    shard.open("setsid sh -c 'echo $$ >{at}/other; exec sleep 1000' & echo $$ >{at}/pid; exec sleep 1000")
    shard.promote(8)
    shard.says("open 7", "ready 7", "serving 8")
    pids = shard.number("pid"), shard.number("other")
    shard.close()
    assert shard.closed() is None
    assert not any(map(alive, pids))


def test_one_that_is_closed_slowly_can_be_killed_at_once(shard: Harness) -> None:
    shard.open("trap '' TERM; echo $$ >{at}/pid; while :; do sleep 0.05; done")
    shard.promote(8)
    shard.says("open 7", "ready 7", "serving 8")
    pid = shard.number("pid")
    shard.close()
    shard.nothing()
    shard.close(0.0)
    assert shard.closed() is None
    assert not alive(pid)


def test_all_are_killed_at_the_end_of_the_process(shard: Harness) -> None:
    shard.open(SLEEPS)
    shard.promote(8)
    shard.says("open 7", "ready 7", "serving 8")
    pid = shard.number("pid.8")
    shard.runner.kill_all()
    assert not alive(pid)


def test_nothing_starts_from_the_moment_on_from_which_the_session_may_be_over(shard: Harness) -> None:
    shard.open(SLEEPS, until=clock.now())
    assert "before the worker's session might be over" in (shard.closed() or "")
    shard.open(SLEEPS, run=2)
    shard.says("open 7", "ready 7")
    shard.promote(8, run=2, until=clock.now())
    shard.says("late 8")
    assert not (shard.where / "pid.8").exists()
    shard.promote(8, run=2)
    shard.says("serving 8")


def test_a_command_that_took_too_long_to_end_says_that_the_next_one_is_late(shard: Harness) -> None:
    shard.open("trap 'sleep 0.3; exit' TERM; echo 1 >{at}/up; while :; do sleep 0.05; done")
    shard.promote(8)
    shard.says("open 7", "ready 7", "serving 8")
    shard.number("up")
    shard.promote(9, until=clock.now() + 0.1)
    shard.says("late 9")
    shard.promote(9)
    shard.says("serving 9")


def test_a_shard_with_nothing_to_run_is_only_assigned(shard: Harness) -> None:
    shard.open()
    shard.promote(8)
    shard.demote(8, to="v")
    shard.demote(9)
    shard.close()
    shard.says("open 7", "ready 7", "serving 8", "released 8", "open 9", "ready 9", "closed 9")


def test_a_command_that_cannot_be_started_has_failed(shard: Harness) -> None:
    shard.open("a\0b")
    shard.promote(8)
    shard.says("open 7", "ready 7")
    assert "the command cannot be started" in (shard.closed() or "")


# ---------------------------------------------------------------- Python

NOTES = """
import json, os, signal, subprocess, sys, threading, time
from pathlib import Path
from mwapp.handlers import Shard, Term

HERE = Path(__file__).parent

class Notes(Shard):
    def note(self, *what):
        with (HERE / "notes").open("a") as notes:
            print(json.dumps([self.table, self.shard, self.worker, *what]), file=notes)
    def open(self, term):
        (HERE / "pid").write_text(f"{os.getpid()}\\n")
        self.note("open", *term, self.table_czxid)
    def caught_up(self):
        return (HERE / "copied").exists()
    def promote(self, term):
        self.note("promote", *term)
    def demote(self, term):
        self.note("demote", *term)
    def handover(self, term, to):
        self.note("handover", *term, to)
    def close(self):
        self.note("close")

class Stuck(Shard):
    def open(self, term):
        (HERE / "pid").write_text(f"{os.getpid()}\\n")
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while True:
            time.sleep(1)

class Dozes(Shard):
    def open(self, term):
        (HERE / "pid").write_text(f"{os.getpid()}\\n")
    def caught_up(self):
        while not (HERE / "copied").exists():
            time.sleep(0.01)
        return True

class Breaks(Shard):
    def promote(self, term):
        raise ValueError("no such disk")

class Leaves(Shard):
    def promote(self, term):
        print("farewell")
        sys.stdout.flush()
        os._exit(3)

class Forks(Shard):
    def open(self, term):
        if os.fork() == 0:
            raise SystemExit(0)

class Starts(Shard):
    def promote(self, term):
        threading.Thread(target=time.sleep, args=(1000,)).start()
        child = subprocess.Popen(["sleep", "1000"], start_new_session=True)
        (HERE / "pid").write_text(f"{child.pid}\\n")

class Babbles(Shard):
    def promote(self, term):
        os.write(int(sys.argv[1]), b'{"said": "serving", "generation": "8"}\\n')
        time.sleep(1000)

class IsKilled(Shard):
    def promote(self, term):
        os.kill(os.getpid(), signal.SIGKILL)

class Closes(Shard):
    def promote(self, term):
        os.close(int(sys.argv[1]))
        time.sleep(1000)

class Addressed(Shard):
    def open(self, term):
        self.address = "host:1"
    def promote(self, term):
        self.address = json.loads((HERE / "address").read_text())

class Pretends(Shard):
    def promote(self, term):
        reply = {"said": "serving", "generation": 8, "address": "host\\n"}
        os.write(int(sys.argv[1]), json.dumps(reply).encode() + b"\\n")
        time.sleep(1000)

class NoShard:
    pass
"""


@pytest.fixture
def python(shard: Harness, monkeypatch: pytest.MonkeyPatch) -> Harness:
    (shard.where / "notes_of_tests.py").write_text(textwrap.dedent(NOTES))
    monkeypatch.setenv("PYTHONPATH", str(shard.where), prepend=":")
    return shard


def test_a_handler_in_python_is_told_everything_in_its_order(python: Harness) -> None:
    (python.where / "copied").touch()
    python.open(handler="notes_of_tests:Notes", table_czxid=5)
    python.says("open 7", "ready 7")
    pid = python.number("pid")
    python.promote(8)
    python.demote(8, to="v")
    python.demote(9)
    python.close()
    python.says("serving 8", "released 8", "open 9", "ready 9", "closed 9")
    assert not alive(pid)
    notes = [json.loads(line) for line in (python.where / "notes").read_text().splitlines()]
    assert {tuple(note[:3]) for note in notes} == {("t", 3, "w")}
    both = {"w": "sync", "v": "sync"}
    assert [note[3:] for note in notes] == [
        ["open", 7, "replica", "", {"w": "sync"}, 5],
        ["promote", 8, "primary", "w", {"w": "sync", "v": "copy"}],
        ["handover", 8, "primary", "v", both, "v"],
        ["demote", 9, "replica", "v", both],
        ["close"],
    ]


def test_the_address_of_a_handler_goes_with_everything_that_it_says(python: Harness) -> None:
    (python.where / "address").write_text('"host:2"')
    python.open(handler="notes_of_tests:Addressed")
    python.promote(8)
    python.demote(8, to="v")
    said = [python.next() for _ in range(4)]
    assert [(its.said, its.address) for its in said] == [
        ("open", "host:1"),
        ("ready", "host:1"),
        ("serving", "host:2"),
        ("released", "host:2"),
    ]


@pytest.mark.parametrize(
    ("address", "shown"), [('"a\\nb"', r"'a\nb'"), ("7", "7"), ("null", "None"), (f'"{"x" * 201}"', "'xxx")]
)
def test_an_address_that_nobody_can_be_told_is_a_failure_of_the_handler(
    python: Harness, address: str, shown: str
) -> None:
    (python.where / "address").write_text(address)
    python.open(handler="notes_of_tests:Addressed")
    python.promote(8)
    python.says("open 7", "ready 7")
    reason = python.closed() or ""
    assert reason.startswith(f"its address cannot be {shown}")
    assert reason.endswith(
        ": use text such as 'host:port', without control characters, at most 200 characters"
    )


def test_a_command_has_no_address(shard: Harness) -> None:
    shard.open(SLEEPS)
    shard.promote(8)
    assert {shard.next().address for _ in range(3)} == {""}


def test_a_replica_is_ready_when_it_is_caught_up(python: Harness) -> None:
    python.open(handler="notes_of_tests:Notes")
    python.says("open 7")
    python.nothing()
    (python.where / "copied").touch()
    python.says("ready 7")
    python.nothing()


def test_a_replica_whose_worker_has_many_files_open(python: Harness) -> None:
    """Its channel has a number that select() cannot take."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, limits[1]), limits[1]))
    try:
        with contextlib.ExitStack() as files:
            while files.enter_context(Path(os.devnull).open()).fileno() < 1100:
                pass
            python.open(handler="notes_of_tests:Notes")
            python.says("open 7")
            python.nothing()
            (python.where / "copied").touch()
            python.says("ready 7")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_replica_is_ready_under_the_generation_that_it_was_told_last(python: Harness) -> None:
    python.open(handler="notes_of_tests:Notes")
    python.says("open 7")
    python.demote(9)
    python.says("open 9")
    (python.where / "copied").touch()
    python.says("ready 9")
    python.nothing()


def test_a_primary_is_not_asked_whether_it_is_caught_up(python: Harness) -> None:
    python.open(handler="notes_of_tests:Notes")
    python.says("open 7")
    python.promote(8)
    python.says("serving 8")
    (python.where / "copied").touch()
    python.nothing()


def test_a_handler_that_hangs_in_open_is_killed_when_its_time_is_over(python: Harness) -> None:
    python.open(handler="notes_of_tests:Stuck")
    pid = python.number("pid")
    began = time.monotonic()
    python.close(0.3)
    assert python.closed() is None
    assert time.monotonic() - began >= 0.3
    assert not alive(pid)


def test_a_handler_that_hangs_while_it_copies_is_killed_and_has_failed(
    python: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shard_handler, "SILENCE", 0.4)
    python.open(handler="notes_of_tests:Dozes")
    python.says("open 7")
    pid = python.number("pid")
    assert python.closed() == "caught_up has not returned for 0.4 s"
    assert not alive(pid)


@pytest.mark.parametrize("told", ["promote", "demote"])
def test_what_it_is_told_while_it_copies_has_a_time_of_its_own(told: str) -> None:
    """The worker knows how long that may take."""
    shard = shard_handler.HandlerShard.__new__(shard_handler.HandlerShard)
    shard._loop, shard._due, shard._unsent = Mock(), Mock(), bytearray()
    timer = shard._due
    shard._tell = Mock()  # type: ignore[method-assign]  # nobody is there
    getattr(shard, told)(Mock(generation=8, members=()))
    timer.cancel.assert_called_once()
    shard._loop.call_later.assert_not_called()


def test_a_handler_that_copies_gives_signs_of_life_and_may_take_as_long_as_it_likes() -> None:
    """And the daemon hears them, and waits half of the time once more if there is none."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        host = shard_process.Host(theirs.fileno())
        host._shard, host._copying = Mock(address="", caught_up=lambda: False), 7
        for _ in range(3):
            host._look()
        assert ours.recv(1000) == b'{"said": "copying", "generation": 7}\n'
        host._signed -= shard_process.SIGN
        host._look()
        sign = ours.recv(1000)
    loop, said = Mock(), Mock()
    shard = shard_handler.HandlerShard.__new__(shard_handler.HandlerShard)
    shard._loop, shard._due, shard._closing, shard._say, lost = loop, None, False, said, Mock()
    shard._lose = lost  # type: ignore[method-assign]  # what it would kill

    def due() -> Any:
        """The timer that was set last."""
        seconds, call, *arguments = loop.call_later.call_args.args
        assert seconds == shard_handler.SILENCE / 2
        return call(*arguments)

    assert shard._replied(bytearray(b'{"said": "open", "generation": 7}'))
    due()
    assert shard._replied(bytearray(sign[:-1]))
    loop.call_later.return_value.cancel.assert_called()
    due()
    lost.assert_not_called()
    due()
    lost.assert_called_once_with("caught_up has not returned for 30 s")
    said.assert_called_once_with("open", 7, None, "")
    timers = loop.call_later.call_count
    assert shard._replied(bytearray(b'{"said": "ready", "generation": 7}'))
    assert (loop.call_later.call_count, shard._due) == (timers, None)


def test_a_handler_that_hangs_is_killed_at_once_when_the_session_is_over(python: Harness) -> None:
    python.open(handler="notes_of_tests:Stuck")
    pid = python.number("pid")
    python.close(1000.0)
    python.nothing()
    python.close(0.0)
    assert python.closed() is None
    assert not alive(pid)


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        ("notes_of_tests:Breaks", "ValueError: no such disk"),
        ("notes_of_tests:Leaves", "its process has ended: exit status 3: farewell"),
        ("notes_of_tests:IsKilled", "its process has ended: killed by SIGKILL"),
        ("notes_of_tests:Babbles", "mwapp killed it: its process wrote to the channel to its worker"),
        ("notes_of_tests:Pretends", "mwapp killed it: its process wrote to the channel to its worker"),
    ],
)
def test_a_handler_that_fails_says_why(
    python: Harness, monkeypatch: pytest.MonkeyPatch, handler: str, reason: str
) -> None:
    monkeypatch.setattr(shard_handler, "LAST_WORDS", LONGEST_WAIT)
    python.open(handler=handler)
    python.promote(8)
    python.says("open 7", "ready 7")
    assert reason in (python.closed() or "")


def test_a_handler_that_closes_its_channel_is_killed_and_told_why(python: Harness) -> None:
    python.open(handler="notes_of_tests:Closes")
    python.promote(8)
    python.says("open 7", "ready 7")
    assert "mwapp killed it: its process closed the channel to its worker" in (python.closed() or "")


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        ("notes_of_tests:NoShard", "is no handler of shards: derive it from mwapp.handlers.Shard"),
        ("notes_of_tests:Nobody", "has no attribute 'Nobody'"),
        ("no_such_module:Nobody", "No module named 'no_such_module'"),
        ("nonsense", "unknown handler 'nonsense'"),
    ],
)
def test_a_handler_that_cannot_be_loaded_says_why(python: Harness, handler: str, reason: str) -> None:
    python.open(handler=handler)
    assert reason in (python.closed() or "")


def test_what_a_handler_has_started_is_gone_with_it(python: Harness) -> None:
    python.open(handler="notes_of_tests:Starts")
    python.promote(8)
    python.says("open 7", "ready 7", "serving 8")
    pid = python.number("pid")
    python.close()
    assert python.closed() is None
    assert not alive(pid)


def test_a_child_that_a_handler_forks_says_nothing_in_its_place(python: Harness) -> None:
    python.open(handler="notes_of_tests:Forks")
    python.says("open 7", "ready 7")
    python.nothing()


def test_nothing_is_opened_or_promoted_from_the_moment_on_from_which_the_session_may_be_over(
    python: Harness,
) -> None:
    slow = "import time; time.sleep(0.5)\nfrom notes_of_tests import Notes\n"
    (python.where / "slow_of_tests.py").write_text(slow)
    python.open(handler="slow_of_tests:Notes", until=clock.now() + 0.3)
    assert "before the worker's session might be over" in (python.closed() or "")
    python.open(handler="notes_of_tests:Notes", run=2)
    python.says("open 7")
    python.promote(8, run=2, until=clock.now())
    python.says("late 8")
    assert "promote" not in (python.where / "notes").read_text()
    python.promote(8, run=2)
    python.says("serving 8")


def test_a_handler_dies_with_the_worker_s_process(python: Harness) -> None:
    python.open(handler="notes_of_tests:Notes")
    python.says("open 7")
    pid = python.number("pid")
    python.runner.kill_all()
    assert not alive(pid)


def test_at_the_end_no_handler_is_opened(python: Harness) -> None:
    python.open(SLEEPS, run=1)
    python.says("open 7", "ready 7")

    def end() -> None:
        python.runner._close()
        python.open(handler="notes_of_tests:Notes", run=2)

    python.runner._call(end)
    python.runner.kill_all()
    assert python.runner._loop is not None
    assert python.runner._loop.is_closed()


def test_a_replica_for_which_nothing_runs_is_told_why_when_it_is_lost_sight_of(python: Harness) -> None:
    python.open(SLEEPS)
    python.says("open 7", "ready 7")
    loop = python.runner._loop
    assert loop is not None
    loop.call_soon_threadsafe(lambda: 1 / 0)
    assert "mwapp lost sight of it: division by zero" in (python.closed() or "")
    python.nothing()


def test_what_is_lost_sight_of_is_killed_and_told(python: Harness) -> None:
    python.open(SLEEPS)
    python.promote(8)
    python.says("open 7", "ready 7", "serving 8")
    pid = python.number("pid.8")
    loop = python.runner._loop
    assert loop is not None
    loop.call_soon_threadsafe(lambda: 1 / 0)
    assert "mwapp lost sight of it: division by zero" in (python.closed() or "")
    wait_for("it is killed", lambda: not alive(pid))
    python.nothing()


def test_each_that_is_lost_sight_of_is_told_though_processes_cannot_be_read(
    python: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    for run in (1, 2):
        python.open(SLEEPS, run=run)
        python.promote(8, run)
        python.says("open 7", "ready 7", "serving 8")
    loop = python.runner._loop
    assert loop is not None
    with monkeypatch.context() as patch:
        patch.setattr(process_group._census, "take", Mock(side_effect=OSError(errno.EMFILE, "")))
        loop.call_soon_threadsafe(lambda: 1 / 0)
        for _ in (1, 2):
            assert "mwapp lost sight of it: division by zero" in (python.closed() or "")
    python.nothing()
