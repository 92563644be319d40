"""A handler that is killed, at once or asked first, goes with all it started."""

import subprocess
import sys
from pathlib import Path

import pytest

from testbed.waiting import LONGEST_WAIT, alive, read_number, wait_for
from tests.unit.handlers.harness import Harness

pytestmark = pytest.mark.processes


def test_kill(harness: Harness, tmp_path: Path) -> None:
    harness.start("sleeps", str(tmp_path / "pid"))
    process = read_number(tmp_path / "pid")
    harness.runner.kill(1)
    assert harness.exited().code == -9
    assert not alive(process)
    assert harness.pid() != process


def test_kill_before_the_start(harness: Harness) -> None:
    for number in range(10):
        harness.start("sleeps", "/dev/null", number)
        harness.runner.kill(number)
    assert sorted(harness.exited().run for _ in range(10)) == list(range(10))


def test_those_that_wait_for_a_process_are_told_why_when_they_are_lost_sight_of(harness: Harness) -> None:
    harness.runner._ensure_open()
    with harness.held():  # so that none has begun
        harness.start("sleeps", "/dev/null", 1)
        harness.start("sleeps", "/dev/null", 2)
        assert harness.runner._loop is not None
        harness.runner._loop.call_soon_threadsafe(lambda: 1 / 0)
    told = {(end.run, end.code, end.reason) for end in (harness.exited(), harness.exited())}
    assert told == {(run, None, "mwapp lost sight of it: division by zero") for run in (1, 2)}
    assert harness.told.empty()


def test_grace(harness: Harness, tmp_path: Path) -> None:
    harness.start("obliging", str(tmp_path / "pid"))
    process = read_number(tmp_path / "pid")
    harness.runner.kill(1, 60)
    exited = harness.exited()
    assert (exited.code, exited.result) == (0, '"cleaned up"')
    assert not alive(process), "who was asked to end is not used again"


def test_what_it_has_started_has_the_grace_too_though_it_returns_at_once(
    harness: Harness, tmp_path: Path
) -> None:
    harness.start("obliging_with_child", [str(tmp_path / "child"), 0.3])
    child = read_number(tmp_path / "child.pid")
    harness.runner.kill(1, 60)
    exited = harness.exited()
    assert (exited.code, exited.result) == (0, '"ended"')
    assert ((tmp_path / "child").read_text(), alive(child)) == ("cleaned\n", False)
    assert harness.run("returns").code == 0


def test_what_it_has_started_is_killed_when_the_grace_is_over(harness: Harness, tmp_path: Path) -> None:
    harness.start("obliging_with_child", [str(tmp_path / "child"), 600])
    child = read_number(tmp_path / "child.pid")
    harness.runner.kill(1, 2)
    assert (harness.exited().code, alive(child)) == (0, False)
    assert not (tmp_path / "child").exists()


def test_sigterm_ends_it_by_default(harness: Harness, tmp_path: Path) -> None:
    harness.start("sleeps", str(tmp_path / "pid"))
    read_number(tmp_path / "pid")
    harness.runner.kill(1, 60)
    assert harness.exited().code == -15


def test_a_stubborn_one_is_killed_with_its_children(harness: Harness, tmp_path: Path) -> None:
    harness.start("stubborn", str(tmp_path / "pid"))
    child = read_number(tmp_path / "pid")
    harness.runner.kill(1, 60)
    harness.runner.kill(1, 0.2)
    exited = harness.exited()
    assert exited.code == -9
    assert exited.seconds < LONGEST_WAIT
    assert not alive(child)


@pytest.mark.usefixtures("harness")  # the environment has its handlers
def test_it_ends_with_a_daemon_that_is_killed_also_without_a_guard(tmp_path: Path) -> None:
    script = (
        "import queue, sys, mwapp.execution.guard as guard, mwapp.execution.runner as runner\n"
        "from tests.unit.handlers.harness import TOKEN\n"
        "from mwapp.core.messages import Run; from mwapp.core.task import Task\n"
        "def none(_): raise OSError\n"
        "guard.start = none\n"
        "told = queue.SimpleQueue()\n"
        "runner.Runner(told.put, 1000).start(Run(1, Task(handler='sleeps', argument=sys.argv[1]), TOKEN))\n"
        "print(told.get())\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path / "pid")]) as daemon:
        process = read_number(tmp_path / "pid")
        daemon.kill()
    wait_for("it ends", lambda: not alive(process))
