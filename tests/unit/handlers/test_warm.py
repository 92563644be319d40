"""Processes that are kept warm: used again where they are as they were, replaced where not."""

import os
import queue
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from mwapp.execution import handler_pool, warm_process
from testbed.waiting import LONGEST_WAIT, alive, read_number, wait_for
from tests.unit.handlers.conftest import ROOT
from tests.unit.handlers.harness import Harness, gone, returned

pytestmark = pytest.mark.processes


def test_a_process_is_used_again_and_found_as_it_was(harness: Harness) -> None:
    first = harness.pid()
    assert returned(harness.run("messes")) == first
    umask = os.umask(0)
    os.umask(umask)
    exited = harness.run("looks")
    assert exited.output.splitlines() == 4 * [b"heard"]
    assert returned(exited) == [first, str(Path.cwd()), None, "task-7", umask, True, None, [], 0.0]


@pytest.mark.parametrize("handler", ["fails", "closes", "leaves_thread"])
def test_it_is_replaced_after_an_end_that_was_not_clean(harness: Harness, handler: str) -> None:
    first = harness.pid()
    harness.run(handler)
    assert harness.pid() != first
    assert not alive(first)


def test_a_process_that_had_secret_values_runs_nothing_else(harness: Harness) -> None:
    """The module of a handler may have kept them, and the next run may be another submitter's."""
    first = harness.pid()
    assert returned(harness.run("pid", secrets=("TOKEN",))) == first
    assert harness.pid() != first
    assert not alive(first)


def test_a_run_s_variables_end_with_it() -> None:
    script = (
        "import os; from mwapp.execution.handler_process import Surroundings; before = dict(os.environ)\n"
        "here = Surroundings(); here.prepare({'TOKEN': 'hush', 'HOME': '/x'}, None)\n"
        "assert os.environ['TOKEN'] == 'hush'; here.restore(); assert dict(os.environ) == before"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env=os.environ | {"PYTHONPATH": str(ROOT)})


def test_what_a_handler_leaves_behind_is_killed(harness: Harness, tmp_path: Path) -> None:
    exited = harness.run("leaves_child", str(tmp_path / "pid"))
    assert exited.code == 0
    child = read_number(tmp_path / "pid")
    assert not alive(child)
    assert not alive(returned(exited))


def test_a_forked_handler_returns_once(harness: Harness) -> None:
    assert returned(harness.run("forks")) == "from the parent"
    assert returned(harness.run("returns", "next")) == "next"


def test_as_many_as_run_at_once(harness: Harness, tmp_path: Path) -> None:
    for number in range(5):
        harness.start("sleeps", str(tmp_path / str(number)), number)
    processes = {read_number(tmp_path / str(number)) for number in range(5)}
    assert len(processes) == 5
    harness.start("returns", "in time", 9)
    assert harness.exited().run == 9
    harness.runner.kill_all()
    assert not any(map(alive, processes))
    assert {harness.exited().code for _ in range(5)} == {-9}


def test_beyond_a_few_a_run_waits_for_a_free_process_first(
    harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handler_pool, "FEW", 1)
    monkeypatch.setattr(handler_pool, "START_ANOTHER_AFTER", LONGEST_WAIT)
    harness.pid()
    for number in range(50):
        harness.start("pid", None, number)
    assert len({returned(harness.exited()) for _ in range(50)}) == 1
    monkeypatch.setattr(handler_pool, "START_ANOTHER_AFTER", 0.01)
    for number in range(3):
        harness.start("sleeps", str(tmp_path / str(number)), number)
    for number in range(3):
        read_number(tmp_path / str(number))


def test_the_one_used_last_is_used_again_so_that_others_can_end(harness: Harness, tmp_path: Path) -> None:
    for number in range(2):
        harness.start("waits", str(tmp_path), number)
    wait_for("both", lambda: len(list(tmp_path.iterdir())) == 2)
    (tmp_path / "go").touch()
    assert {harness.exited().run, harness.exited().run} == {0, 1}
    assert len({harness.pid() for _ in range(4)}) == 1


def test_for_one_run_one_process_is_started_and_for_many_a_few_at_once(harness: Harness) -> None:
    before = children()
    harness.pid()
    assert len(children() - before) == 1
    counted = queue.SimpleQueue[int]()
    with harness.held():
        for number in range(40):
            harness.start("sleeps", "/dev/null", number)
        harness.runner._call(lambda: counted.put(len(children() - before)))
    assert counted.get(timeout=LONGEST_WAIT) == 5


def children() -> set[str]:
    """The processes that we have started, apart from the guard."""
    me, found = str(os.getpid()), set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = (process / "stat").read_text().rpartition(")")[2].split()[1]
            if parent == me and b"guard" not in (process / "cmdline").read_bytes():
                found.add(process.name)
    return found


def test_it_is_replaced_after_many_runs(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler_pool, "MOST_RUNS", 3)
    pids = [harness.pid() for _ in range(7)]
    assert [len({*pids[:3]}), len({*pids[3:6]}), len({*pids})] == [1, 1, 3]
    assert all(map(gone, pids[:6])), "what is not needed any more has ended"


def test_it_ends_when_it_has_nothing_to_do(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    first = harness.pid()
    harness.runner._call(harness.runner._handlers._look_again)
    assert harness.pid() == first, "it was used just now"
    monkeypatch.setattr(handler_pool, "IDLE", 0.2)
    harness.runner._call(harness.runner._handlers._look_again)
    assert gone(first)
    assert returned(harness.run("returns", "again")) == "again"


def test_one_that_cannot_end_is_killed(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler_pool, "MOST_RUNS", 1)
    monkeypatch.setattr(warm_process, "FAREWELL", 0.1)
    assert gone(returned(harness.run("cannot_end")))


def test_one_that_is_lost_is_given_no_run(harness: Harness) -> None:
    first = harness.pid()

    def lose_and_start() -> None:
        (process,) = harness.runner._handlers._idle
        process._channel.shutdown(socket.SHUT_RDWR)
        process._receive()
        harness.start("pid", None, 2)

    harness.runner._call(lose_and_start)
    assert returned(harness.exited()) != first


def test_it_does_not_outlive_its_daemon(distribution: Path, tmp_path: Path) -> None:
    daemon = subprocess.Popen(
        [sys.executable, "-c", DAEMON, str(tmp_path / "pid")],
        env=os.environ | {"PYTHONPATH": f"{distribution}:{ROOT}"},
    )
    process = read_number(tmp_path / "pid")
    daemon.kill()
    daemon.wait()
    assert gone(process)


DAEMON = """
import sys, time
from mwapp.core.messages import Run
from mwapp.core.task import Task
from mwapp.execution.runner import Runner
from testbed.waiting import LONGEST_WAIT
from tests.unit.handlers.harness import TOKEN
runner = Runner(print)
runner.start(Run(1, Task(handler="sleeps", argument=sys.argv[1]), TOKEN))
time.sleep(2 * LONGEST_WAIT)
runner.kill_all()
"""


def test_a_free_process_that_is_killed_is_replaced(harness: Harness) -> None:
    first = harness.pid()
    with harness.held():  # it is free by now
        os.kill(first, signal.SIGKILL)
        assert gone(first)
    wait_for("its death is known", lambda: not harness.runner._handlers._idle)
    assert harness.pid() != first


def test_processes_that_cannot_start_fail_their_tasks(
    harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('broken installation')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for number in range(3):
        harness.start("echo", None, number)
    for _ in range(3):
        exited = harness.exited()
        assert exited.code is None
        assert (exited.reason or "").startswith("no process for the handler, exit status ")
    monkeypatch.setattr("sys.executable", "/missing/python")
    assert "/missing/python" in (harness.run("echo").reason or "")
