"""What a daemon does with processes where the kernel, a user or a limit is in its way."""

import errno
import os
import queue
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from mwapp.core.messages import Exited, Run
from mwapp.core.task import Task
from mwapp.execution import process_group, processes
from mwapp.execution.processes import Orphans
from mwapp.execution.runner import Runner
from testbed.waiting import LONGEST_WAIT, alive, read_number, wait_for

pytestmark = pytest.mark.processes

RLIMIT_LOCKS = 10  # Python has no name for it


@pytest.fixture
def told() -> "queue.SimpleQueue[Exited]":
    return queue.SimpleQueue()


@pytest.fixture
def runner(told: "queue.SimpleQueue[Exited]") -> Iterator[Runner]:
    runner = Runner(told.put)  # type: ignore[arg-type]  # it has no shards
    yield runner
    runner.kill_all()


def guard_of(runner: Runner) -> int:
    guard = wait_for("a guard", lambda: getattr(getattr(runner, "_guard", None), "_process", None))
    return int(guard.pid)


def test_a_run_that_has_become_another_users_costs_no_other_run(
    runner: Runner, told: "queue.SimpleQueue[Exited]", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As what sudo starts: it may not be killed, and goes on until it ends."""
    go = tmp_path / "go"
    for run in (1, 2):
        runner.start(Run(run, Task(f"echo $$ >{tmp_path}/{run}; until [ -e {go} ]; do sleep .01; done")))
    first, _ = (read_number(tmp_path / str(run)) for run in (1, 2))
    really = os.killpg

    def killpg(group: int, number: int) -> None:
        if group == first:
            raise PermissionError(errno.EPERM, "Operation not permitted")
        really(group, number)

    with monkeypatch.context() as patch:
        patch.setattr("os.killpg", killpg)
        patch.setattr(process_group, "kill", Mock())
        runner.kill(1, 0.01)
        runner.kill(1)
        runner.kill(99)
        wait_for("it is tried", lambda: not runner._loop._ready)  # type: ignore[union-attr]  # it is there
        go.touch()
        ends = [told.get(timeout=LONGEST_WAIT) for _ in range(2)]
    assert {(end.run, end.code, end.reason) for end in ends} == {(1, 0, None), (2, 0, None)}


# ---------------------------------------------------------------- a kernel that does not list children


@pytest.fixture
def unusual(monkeypatch: pytest.MonkeyPatch) -> Orphans:
    return children_cannot_be_opened(monkeypatch, FileNotFoundError(errno.ENOENT, "No such file"))


def children_cannot_be_opened(monkeypatch: pytest.MonkeyPatch, problem: OSError) -> Orphans:
    really = os.open

    def open_(path: str, *more: int) -> int:
        if str(path).endswith("/children"):
            raise problem
        return really(path, *more)

    monkeypatch.setattr("os.open", open_)
    monkeypatch.setattr(process_group, "_orphans", orphans := Orphans())
    return orphans


def test_what_was_started_here_is_no_orphan(unusual: Orphans, runner: Runner, tmp_path: Path) -> None:
    orphan = f"(setsid sleep 600 & echo $! >{tmp_path}/orphan)"
    runner.start(Run(1, Task(f"{orphan}; echo $$ >{tmp_path}/leader; sleep 600")))
    leader, escaped = read_number(tmp_path / "leader"), read_number(tmp_path / "orphan")
    guard = guard_of(runner)
    assert {leader, escaped, guard} & set(unusual._pids()) == {escaped}


def test_what_is_waited_for_is_waited_for_once(
    unusual: Orphans, runner: Runner, told: "queue.SimpleQueue[Exited]", tmp_path: Path
) -> None:
    """Whoever looks for orphans waits for those that are dead."""
    for run in range(30):
        runner.start(Run(run, Task(f"exit {run}")))
    ends = [told.get(timeout=LONGEST_WAIT) for _ in range(30)]
    assert {(end.run, end.code) for end in ends} == {(run, run) for run in range(30)}
    runner.start(Run(31, Task(f"setsid sleep 600 & echo $! >{tmp_path}/orphan")))
    assert told.get(timeout=LONGEST_WAIT).code == 0
    assert not alive(read_number(tmp_path / "orphan"))
    assert unusual._file is None


def test_who_is_waited_for_may_give_its_number_to_an_orphan(runner: Runner) -> None:
    runner._ensure_open()
    first = guard_of(runner)
    assert first in processes._started
    os.kill(first, signal.SIGKILL)
    wait_for("it is forgotten", lambda: first not in processes._started)


def test_too_many_open_files_are_not_taken_for_such_a_kernel(
    runner: Runner, told: "queue.SimpleQueue[Exited]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be followed to its end does not begin."""
    children_cannot_be_opened(monkeypatch, OSError(errno.EMFILE, "Too many open files"))
    runner.start(Run(1, Task("true")))
    end = told.get(timeout=LONGEST_WAIT)
    assert (end.code, end.reason) == (None, f"[Errno {errno.EMFILE}] Too many open files")


# ---------------------------------------------------------------- no files left

FULL = """
import asyncio, os
from unittest.mock import Mock
from mwapp.execution import process_group
from mwapp.execution.output import Output
really, filled, group = os.pidfd_open, [], Mock()
def full(process):
    try:
        while True:
            filled.append(os.dup(0))
    except OSError:
        return really(process)
os.pidfd_open = full
try:
    process_group.Group(
        asyncio.new_event_loop(), ["sleep", "600"], dict(os.environ), Output(100), print, control_group=group
    )
except OSError as problem:
    print(problem.strerror)
try:
    print(os.waitpid(-1, os.WNOHANG))
except ChildProcessError:
    print("no child")
print(len(filled) > 10, *(call[0] for call in group.method_calls))
"""


def test_what_cannot_be_followed_for_lack_of_files_leaves_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL],
        capture_output=True,
        text=True,
        check=False,
        timeout=LONGEST_WAIT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40)),
    )
    expected = "Too many open files\nno child\nTrue kill lacked_memory release\n"
    assert (done.stdout, done.returncode) == (expected, 0), done.stderr


# ---------------------------------------------------------------- marks


def test_a_limit_that_somebody_else_has_set_is_no_mark() -> None:
    """Who has it is not known by it."""
    with subprocess.Popen(
        ["sleep", "600"], env={}, preexec_fn=lambda: resource.setrlimit(RLIMIT_LOCKS, (7, 7))
    ) as sleep:
        try:
            assert processes._marks(sleep.pid) == set()
        finally:
            sleep.kill()
