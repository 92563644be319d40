"""The guard: kills what a daemon runs when it is killed, or stands still until its session may end."""

import fcntl
import os
import secrets
import signal
import subprocess
import sys
import termios
import threading
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import Mock

import pytest

from mwapp import clock
from mwapp.core.messages import Run
from mwapp.core.task import Task
from mwapp.execution import guard_process
from mwapp.execution.guard import LONG, LONGEST_PAUSE, PAUSE, Guard
from mwapp.execution.runner import Runner
from testbed.waiting import LONGEST_WAIT, alive, read_number, wait_for

pytestmark = pytest.mark.processes

FAMILY = 1 << 29 | secrets.randbits(29)  # nobody else's, who runs these tests, too
MARKED = {"MWAPP_RUN": str(FAMILY << 32 | 1), "PATH": "/usr/bin:/bin"}


@contextmanager
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """Something that a daemon with that family runs."""
    with subprocess.Popen(["sleep", "600"], env=MARKED, start_new_session=True) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def guard(*more: str, session: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """The guard of a daemon, which dies at the end of the block."""
    numbers = [str(FAMILY), str(os.getsid(0) if session is None else session)]
    command = [sys.executable, "-m", "mwapp.execution.guard_process", *numbers, *more]
    with subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0) as process:
        yield process


def tell(process: subprocess.Popen[bytes], *after: float) -> None:
    """That the session is sure to live so many seconds from now; of several the last one counts."""
    assert process.stdin is not None
    process.stdin.write("".join(f"{clock.now() + seconds:.3f}\n" for seconds in after).encode())
    wait_for("it has read it", lambda: not unread(process))


def unread(process: subprocess.Popen[bytes]) -> int:
    assert process.stdin is not None
    number = array("i", [0])
    fcntl.ioctl(process.stdin, termios.FIONREAD, number)
    return number[0]


def ignores(process: int, number: int) -> bool:
    status = Path(f"/proc/{process}/status").read_text()
    return bool(int(status.partition("SigIgn:\t")[2].split()[0], 16) >> (number - 1) & 1)


def test_it_heeds_no_signal_that_asks_it_to_end() -> None:
    with sleeper() as runs, guard() as process:
        for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            wait_for("it ignores the signal", lambda number=number: ignores(process.pid, number))  # type: ignore[misc]  # a default binds it
            process.send_signal(number)
        assert runs.poll() is None
        assert process.stdin is not None
        process.stdin.close()
        assert (process.wait(LONGEST_WAIT), runs.wait(LONGEST_WAIT)) == (0, -signal.SIGKILL)


def test_it_lets_be_who_shares_the_daemons_session(tmp_path: Path) -> None:
    """What is started is there for a moment, too, before it has a session of its own."""
    marked = f"MWAPP_RUN={MARKED['MWAPP_RUN']} sh -c 'echo $$ >{tmp_path}/marked; exec sleep 600'"
    command = f"sleep 600 & echo $! >{tmp_path}/other; {marked}; exit"
    with subprocess.Popen(["sh", "-c", command], start_new_session=True) as shell:
        other, _ = (read_number(tmp_path / name) for name in ("other", "marked"))
        try:
            with guard(session=shell.pid):
                pass
            assert (shell.wait(LONGEST_WAIT), alive(other)) == (128 + signal.SIGKILL, True)
        finally:
            os.killpg(shell.pid, signal.SIGKILL)


def test_who_kills_all_that_is_called_mwapp_does_not_kill_it() -> None:
    with guard() as process:
        files = [Path(f"/proc/{process.pid}/{name}") for name in ("cmdline", "comm")]
        wait_for("its name", lambda: files[0].read_bytes().startswith(b"guard"))
        shown, called = (file.read_bytes().strip(b"\0\n") for file in files)
        assert (shown, called) == (b"guard of %d" % os.getpid(), b"guard")


def test_whatever_is_in_the_control_groups_of_runs_is_killed(tmp_path: Path) -> None:
    with guard(str(tmp_path)):
        pass
    assert (tmp_path / "cgroup.kill").read_text() == "1"
    with sleeper() as runs:
        with guard(str(tmp_path / "gone")):
            pass
        assert runs.wait(LONGEST_WAIT) == -signal.SIGKILL


def test_it_kills_when_the_session_may_end_and_then_guards_the_next() -> None:
    with guard() as process:
        with sleeper() as runs:
            began = time.monotonic()
            tell(process, LONGEST_WAIT)
            tell(process, 0.5)
            assert runs.wait(LONGEST_WAIT / 2) == -signal.SIGKILL
            assert time.monotonic() - began >= 0.5
        tell(process, 0.1, LONGEST_WAIT)
        with sleeper() as runs:
            time.sleep(0.5)
            assert (runs.poll(), process.poll()) == (None, None)
            assert process.stdin is not None
            process.stdin.close()
            assert runs.wait(LONGEST_WAIT) == -signal.SIGKILL


def test_it_kills_no_more_than_it_has_to_for_a_daemon_that_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which then kills it itself, and may run the next."""
    reader, writer = os.pipe()
    monkeypatch.setattr(guard_process, "STDIN", reader)
    monkeypatch.setattr(sys, "argv", ["", str(FAMILY), str(os.getsid(0))])
    with sleeper() as runs:
        os.write(writer, b"1\n")
        guard_process.kill_all(guard_process.silent)
        assert runs.poll() is None
        os.read(reader, 10)
        guard_process.kill_all(guard_process.silent)
        assert runs.wait(LONGEST_WAIT) == -signal.SIGKILL
    os.close(reader)
    os.close(writer)


# ---------------------------------------------------------------- the daemon's side

DAEMON = """
import os, pathlib, queue, signal, sys, threading, time
import mwapp.execution.runner as r
from mwapp import clock
from mwapp.core.messages import Run
from mwapp.core.task import Task
runner = r.Runner(queue.SimpleQueue().put)
runner.start(Run(1, Task(sys.argv[1])))
pid = pathlib.Path(sys.argv[2])
while not pid.exists() or not pid.read_text(): time.sleep(0.01)

def guard(other=None):
    while runner._guard._process is None or runner._guard._process.pid == other: time.sleep(0.01)
    return runner._guard._process.pid

def done():
    "Wait until the runner has done what it was asked for."
    reached = threading.Event()
    runner._call(reached.set)
    reached.wait()
"""


@contextmanager
def daemon(tmp_path: Path, then: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A daemon that runs a command, and then does something; and the command's process."""
    command = [sys.executable, "-c", DAEMON + then]
    command += [f"env -i sh -c 'echo $$ >{tmp_path}/pid; exec sleep 600'; true", str(tmp_path / "pid")]
    with subprocess.Popen(command) as process:
        try:
            yield process, read_number(tmp_path / "pid")
        finally:
            process.kill()


def test_if_it_is_killed_another_takes_its_place(tmp_path: Path) -> None:
    with daemon(tmp_path, "first = guard(); os.kill(first, 9); guard(first); os.kill(os.getpid(), 9)") as (
        _,
        runs,
    ):
        wait_for("the second guard has killed it", lambda: not alive(runs))


@pytest.mark.parametrize("another", ["", "first = guard(); os.kill(first, 9); guard(first);"])
def test_a_daemon_that_stands_still_until_its_session_may_end_leaves_nothing(
    tmp_path: Path, another: str
) -> None:
    stop = f"runner.keep(clock.now() + 1.5); {another} done(); os.kill(os.getpid(), signal.SIGSTOP)"
    with daemon(tmp_path, stop) as (stopped, runs):
        wait_for("its guard has killed it", lambda: not alive(runs))
        stat = Path(f"/proc/{stopped.pid}/stat")
        wait_for("it stands still", lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")


def test_a_daemon_that_stands_still_while_it_starts_a_run_is_not_taken_for_one(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Meanwhile it has the mark itself, and what is killed below it would be its guard, too."""
    stop = (
        "pathlib.Path(sys.argv[2] + '.guard').write_text(str(guard()))\n"
        "import mwapp.execution.processes as p\n"
        "runner.keep(clock.now() + 1.5)\n"
        "with p.marked(p.new_mark()): os.kill(os.getpid(), signal.SIGSTOP)\n"
    )
    with daemon(tmp_path, stop) as (stopped, runs):
        guarding, said = read_number(tmp_path / "pid.guard"), [""]

        def why() -> bool:
            said[0] += capfd.readouterr().err
            return f"guard of {stopped.pid}: killed what process {stopped.pid} ran" in said[0]

        wait_for("its guard has killed it", lambda: not alive(runs))
        wait_for("it says so", why)
        assert (alive(guarding), alive(stopped.pid)) == (True, True)
        stat = Path(f"/proc/{stopped.pid}/stat")
        assert stat.read_text().rpartition(")")[2].split()[0] == "T"


LEASE = 4.0  # seconds; this process may stand still for a while where many tests run


def test_a_lease_is_told_even_while_the_runners_thread_is_held_up(tmp_path: Path) -> None:
    runner, held = Runner(lambda _: None), threading.Event()
    runner.start(Run(1, Task(f"echo $$ >{tmp_path}/pid; exec sleep 600")))
    try:
        runs = read_number(tmp_path / "pid")
        wait_for("a guard", lambda: getattr(getattr(runner, "_guard", None), "_process", None))
        runner.keep(clock.now() + LEASE)
        wait_for("it is told", lambda: runner._guard is not None and runner._guard._lease)
        runner._call(held.wait)
        end = clock.now() + 1.5 * LEASE
        while clock.now() < end:
            runner.keep(clock.now() + LEASE)
            time.sleep(0.06)
        assert alive(runs)
    finally:
        held.set()
        runner.kill_all()


def test_a_guard_that_cannot_find_its_arguments_keeps_its_name_and_guards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The kernel says 0 where it says nothing."""
    moved, killed = Mock(), Mock()
    monkeypatch.setattr("ctypes.memset", Mock())
    monkeypatch.setattr("ctypes.memmove", moved)
    monkeypatch.setattr("signal.signal", Mock())
    monkeypatch.setattr(guard_process, "next_lease", Mock(return_value=None))
    monkeypatch.setattr(guard_process, "kill_all", killed)
    monkeypatch.setattr(Path, "write_text", Mock())
    for numbers in (" 0" * 49, " 0"):
        monkeypatch.setattr(Path, "read_text", Mock(return_value=f"1 (guard) S{numbers}"))
        guard_process.main()
    assert (moved.called, killed.call_count) == (False, 2)


def test_one_that_has_stood_still_for_long_does_not_believe_what_is_old() -> None:
    runner = Runner(lambda _: None)
    runner._ensure_open()
    try:
        first = wait_for("a guard", lambda: getattr(getattr(runner, "_guard", None), "_process", None))
        os.kill(first.pid, signal.SIGSTOP)
        for number in range(10_000):
            runner.keep(clock.now() + LONGEST_WAIT + number)
        wait_for("it is killed", lambda: not alive(first.pid))
        wait_for("another", lambda: runner._guard and runner._guard._process not in (None, first))
    finally:
        runner.kill_all()


def test_one_that_cannot_live_is_started_less_and_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mwapp.execution.guard.start", Mock(side_effect=OSError(11, "")))
    loop = Mock(time=lambda: 1000.0)
    again = Guard(loop)
    for _ in range(9):
        loop.call_later.call_args.args[1]()
    pauses = [call.args[0] for call in loop.call_later.call_args_list]
    assert (pauses[:3], pauses[-1]) == ([2 * PAUSE, 4 * PAUSE, 8 * PAUSE], LONGEST_PAUSE)
    again._began = 1000.0 - LONG - 1
    again._start_again()
    assert loop.call_later.call_args.args[0] == PAUSE
