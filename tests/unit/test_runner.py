"""Commands: started, followed, killed with all they started, and never waited for in vain."""

import asyncio
import errno
import os
import queue
import resource
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from mwapp import clock
from mwapp.core.messages import Exited, Run
from mwapp.core.task import Task
from mwapp.execution import process_group
from mwapp.execution.output import Output
from mwapp.execution.process_group import Group
from mwapp.execution.processes import FAMILY, Orphans
from mwapp.execution.runner import Runner
from testbed.waiting import LONGEST_WAIT, alive, read_number, wait_for
from tests.unit.patience import patient

__all__ = ["patient"]
pytestmark = pytest.mark.processes


class Harness:
    """A runner and what it tells."""

    def __init__(self, limit: int = 1000) -> None:
        self.told: queue.SimpleQueue[Exited] = queue.SimpleQueue()
        self.runner = Runner(self.told.put, limit)  # type: ignore[arg-type]  # it has no shards

    def start(self, task: Task | str, number: int = 1, environment: dict[str, str] | None = None) -> None:
        self.runner.start(Run(number, Task(task) if isinstance(task, str) else task, environment or {}))

    def exited(self) -> Exited:
        """The next one. What is not ended sleeps for much longer than this waits."""
        return self.told.get(timeout=LONGEST_WAIT)

    def run(self, task: Task | str, **environment: str) -> Exited:
        self.start(task, environment=environment)
        return self.exited()


def _harness() -> Iterator[Harness]:
    before = set(threading.enumerate())
    harness = Harness()
    yield harness
    harness.runner.kill_all()
    end = time.monotonic() + LONGEST_WAIT
    while (leaked := set(threading.enumerate()) - before) and time.monotonic() < end:
        time.sleep(0.01)
    assert not leaked


# One for each test, and one for tests that leave it as it was: each has a guard, a process of its own.
harness = pytest.fixture(_harness, name="harness")
shared = pytest.fixture(_harness, name="shared", scope="module")


def test_output_and_status(harness: Harness) -> None:
    exited = harness.run("echo out; echo err >&2; exit 7")
    assert (exited.run, exited.code, exited.truncated) == (1, 7, False)
    assert exited.output == b"out\nerr\n"
    assert 0 < exited.seconds < LONGEST_WAIT


def test_signal(shared: Harness) -> None:
    assert shared.run("kill -TERM $$").code == -15


def test_environment_and_input(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    monkeypatch.setenv("KEPT", "kept")
    exited = harness.run('cat; echo "$KEPT $MWAPP_TASK [$NOTIFY_SOCKET]"', MWAPP_TASK="task-1")
    assert exited.output == b"kept task-1 []\n"


def test_a_command_does_not_read_the_daemons_input(shared: Harness) -> None:
    ours, (reader, writer) = os.dup(0), os.pipe()
    try:
        os.dup2(reader, 0)
        assert shared.run("readlink /proc/self/fd/0").output == b"/dev/null\n"
    finally:
        os.dup2(ours, 0)
        for file in (ours, reader, writer):
            os.close(file)


def test_the_tasks_environment_and_over_it_the_workers(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHOSE", "the daemon's")
    task = Task("echo $WHOSE $MWAPP_EPOCH", environment={"WHOSE": "the task's", "MWAPP_EPOCH": "forged"})
    assert harness.run(task, MWAPP_EPOCH="3").output == b"the task's 3\n"


def test_directory(shared: Harness, tmp_path: Path) -> None:
    assert shared.run(Task("pwd", directory=str(tmp_path))).output == f"{tmp_path}\n".encode()


@pytest.mark.parametrize(
    ("name", "reason"), [("missing", "No such file or directory"), ("file", "Not a directory")]
)
def test_a_directory_that_cannot_be_used_is_named(
    shared: Harness, tmp_path: Path, name: str, reason: str
) -> None:
    (tmp_path / "file").touch()
    exited = shared.run(Task("true", directory=str(tmp_path / name)))
    assert exited.code is None
    assert exited.reason == f"task field 'directory': cannot run in {tmp_path / name}: {reason}"


@pytest.mark.parametrize("command", ["nul\0", "x" * 3_000_000])
def test_cannot_be_started(shared: Harness, command: str) -> None:
    exited = shared.run(command)
    assert exited.code is None
    assert exited.reason
    assert not exited.output
    assert resource.getrlimit(RLIMIT_LOCKS)[0] >> 32 != FAMILY, "the daemon is no run, and not killed as one"


def test_kill_takes_the_whole_group(harness: Harness, tmp_path: Path) -> None:
    harness.start(f"trap '' TERM; (trap '' TERM; sleep 600 & echo $! > {tmp_path}/pid; wait) & wait")
    grandchild = read_number(tmp_path / "pid")
    harness.runner.kill(1)
    assert harness.exited().code == -9
    assert not alive(grandchild)


def test_grace(shared: Harness, tmp_path: Path) -> None:
    shared.start(f"trap 'echo asked; exit 3' TERM; touch {tmp_path}/set; while :; do sleep 0.01; done")
    wait_for("the trap", (tmp_path / "set").exists)
    shared.runner.kill(1, 60)
    exited = shared.exited()
    assert exited.code == 3
    assert exited.output.endswith(b"asked\n")  # before it what the shell says of its sleep


def test_grace_is_for_the_whole_group_and_ends_with_sigkill(shared: Harness, tmp_path: Path) -> None:
    shared.start(f"trap '' TERM; (sleep 600 & echo $! > {tmp_path}/pid; wait) & wait; echo stayed; sleep 600")
    grandchild = read_number(tmp_path / "pid")
    began = time.monotonic()
    shared.runner.kill(1, 0.3)
    exited = shared.exited()
    assert (exited.code, exited.output) == (-9, b"")
    assert time.monotonic() - began >= 0.3
    assert not alive(grandchild)


def test_all_of_the_group_is_asked_to_end(shared: Harness, tmp_path: Path) -> None:
    child = f"trap 'echo child; exit' TERM; touch {tmp_path}/set; while :; do sleep 0.01; done"
    shared.start(f"trap 'echo parent' TERM; ({child}) & while ! wait; do :; done")
    wait_for("the trap", (tmp_path / "set").exists)
    shared.runner.kill(1, 60)
    assert set(shared.exited().output.split()) >= {b"parent", b"child"}


# How a command starts what cleans up before it ends, $1. The shells end at once.
STARTS = {
    "alone": "$1",
    "before another": "$1; true",
    "in a pipe": "$1 | cat",
    "quietly": "$1 quietly; true",
    "in place of the shell": "exec $1",
    "in the background": "$1 & wait",
    "in another group": "timeout 500 $1",
    "in another session": "setsid -w $1",
    "without a parent": "(setsid $1 &) ; sleep 600",
}
TIDY = """
import os, pathlib, signal, sys, time
def tidy(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # timeout passes it on
    if "quietly" in sys.argv:
        os.close(1), os.close(2)
    time.sleep(0.3)
    pathlib.Path("tidy").touch()
    if "quietly" not in sys.argv:
        print("tidy", flush=True)
    sys.exit()
signal.signal(signal.SIGTERM, tidy)
pathlib.Path("set").touch()
while True: time.sleep(600)
"""


@pytest.mark.parametrize("how", STARTS)
def test_grace_is_for_whoever_heeds_it_though_its_shell_ends_at_once(
    shared: Harness, tmp_path: Path, how: str
) -> None:
    (tmp_path / "tidy.py").write_text(TIDY)
    command = STARTS[how].replace("$1", f"{sys.executable} tidy.py")
    shared.start(Task(command, directory=str(tmp_path)))
    wait_for("it has set its handler", (tmp_path / "set").exists)
    shared.runner.kill(1, 2 * LONGEST_WAIT)
    exited = shared.exited()
    assert (tmp_path / "tidy").exists()
    if how not in ("quietly", "in a pipe"):  # whose other end is dead
        assert exited.output == b"tidy\n"
    assert exited.code in (0, -signal.SIGTERM)  # some shells put the last command in their place


def stubborn(tmp_path: Path) -> str:
    """The shell ends at once when it is asked to, and what it has started does not end at all."""
    return f"sh -c \"trap '' TERM; echo \\$\\$ >{tmp_path}/pid; while :; do sleep 0.01; done\"; true"


def test_who_does_not_heed_it_is_killed_at_its_end_though_its_shell_has_ended(
    shared: Harness, tmp_path: Path
) -> None:
    shared.start(stubborn(tmp_path))
    stays, began = read_number(tmp_path / "pid"), time.monotonic()
    shared.runner.kill(1, 0.3)
    shared.exited()
    assert not alive(stays)
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize("later", [0.0, 0.2])
def test_the_grace_can_be_shortened_when_the_shell_has_ended(
    shared: Harness, tmp_path: Path, later: float
) -> None:
    shared.start(f"echo $$ >{tmp_path}/shell; {stubborn(tmp_path)}")
    shell, stays = read_number(tmp_path / "shell"), read_number(tmp_path / "pid")
    shared.runner.kill(1, 600)
    wait_for("the shell has ended", lambda: not alive(shell))
    for grace in (600, later, 600):
        shared.runner.kill(1, grace)
    assert (shared.exited().code, alive(stays)) == (-signal.SIGTERM, False)


def test_the_end_of_all_does_not_wait_for_a_grace(harness: Harness, tmp_path: Path) -> None:
    harness.start(f"echo $$ >{tmp_path}/shell; {stubborn(tmp_path)}")
    shell, stays = read_number(tmp_path / "shell"), read_number(tmp_path / "pid")
    harness.runner.kill(1, 600)
    wait_for("the shell has ended", lambda: not alive(shell))
    harness.runner.kill_all()
    assert not alive(stays)


def test_who_is_over_is_not_killed_its_number_may_be_anothers(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.new_event_loop()
    group = Group(loop, ["true"], {}, Output(10), loop.stop)
    loop.run_forever()
    monkeypatch.setattr(os, "killpg", lambda *_: pytest.fail("somebody is killed"))
    group.kill()
    loop.close()


@pytest.mark.parametrize("later", [0.0, 0.2])
def test_a_later_kill_can_shorten_the_grace(shared: Harness, tmp_path: Path, later: float) -> None:
    shared.start(f"trap '' TERM; touch {tmp_path}/set; while :; do sleep 0.01; done")
    wait_for("the trap", (tmp_path / "set").exists)
    for grace in (600, later, 600):
        shared.runner.kill(1, grace)
    exited = shared.exited()
    assert exited.code == -9


def test_what_the_shell_leaves_in_its_group_is_killed(shared: Harness, tmp_path: Path) -> None:
    exited = shared.run(f"sleep 600 & echo $! > {tmp_path}/pid; echo done")
    assert (exited.code, exited.output) == (0, b"done\n")
    assert not alive(read_number(tmp_path / "pid"))


RLIMIT_LOCKS = 10
UNMARKED = "env -i prlimit --locks=unlimited"

# How a process leaves the group that its command began with; $1 is what writes its number and then sleeps.
ESCAPES = {
    "another group": "timeout 500 sh -c '$1'",
    "another group, in a pipe": "timeout 500 sh -c '$1' | cat",
    "another session": "setsid -w sh -c '$1'",
    "another session, twice": "setsid -w setsid -w sh -c '$1'",
    "no parent": "(setsid sh -c '$1' &) ; sleep 600",
    "no parent, and output elsewhere": "(setsid nohup sh -c '$1' >/dev/null 2>&1 &) ; sleep 600",
    "no parent, no environment, and another group": "(env -i timeout 500 sh -c '$1' &) ; sleep 600",
    "no environment": "env -i sh -c '$1'",
    "no environment, in a pipe": "env -i sh -c '$1' | cat",
    "no environment, in place of the shell": "exec env -i sh -c '$1'",
    "no environment, and another session": "env -i setsid -w sh -c '$1'",
    "no environment, another session, and no parent": "setsid -f env -i sh -c '$1'; sleep 600",
    "no mark": f"{UNMARKED} sh -c '$1'",
    "no mark, and another session": f"{UNMARKED} sh -c 'setsid \"$@\"; true' sh sh -c '$1'",
    "no mark, no parent, and another group": f"({UNMARKED} timeout 500 sh -c '$1' &) ; sleep 600",
    "another's mark": "setsid -f env MWAPP_RUN=$(printf %05000d 1) sh -c '$1'; sleep 600",
    "no environment, and all of that": "(setsid env -i setsid sh -c '$1' >/dev/null 2>&1 &) ; sleep 600",
}


def escaping(how: str, tmp_path: Path) -> str:
    return ESCAPES[how].replace("$1", f"echo $$ > {tmp_path}/pid; exec sleep 600")


def leaving(how: str, tmp_path: Path) -> str:
    return f"({escaping(how, tmp_path)}) & while ! [ -s {tmp_path}/pid ]; do :; done; echo done"


@pytest.mark.parametrize("how", ESCAPES)
@pytest.mark.parametrize("grace", [0.0, 60.0])
def test_who_leaves_the_group_is_killed_with_it(
    shared: Harness, tmp_path: Path, how: str, grace: float
) -> None:
    shared.start(f"{escaping(how, tmp_path)}; true")
    escaped = read_number(tmp_path / "pid")
    shared.runner.kill(1, grace)
    shared.exited()
    assert not alive(escaped)


@pytest.mark.parametrize("how", ESCAPES)
def test_who_leaves_the_group_does_not_outlive_its_command(shared: Harness, tmp_path: Path, how: str) -> None:
    exited = shared.run(leaving(how, tmp_path))
    assert (exited.code, exited.output) == (0, b"done\n")
    pid = read_number(tmp_path / "pid")
    assert not alive(pid)
    if how != "no mark, and another session":  # which is nobody's when it is dead
        assert not Path("/proc", str(pid)).exists(), "not even as a zombie"


@pytest.mark.usefixtures("shared")  # this process adopts orphans
def test_who_becomes_an_orphan_while_we_look_at_all_of_them_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["sh", "-c", f"sleep 600 & echo $! >{tmp_path}/pid; wait"]
    with subprocess.Popen(command, start_new_session=True) as shell:
        child, orphans = read_number(tmp_path / "pid"), Orphans()
        look = orphans._pids

        def dies_then() -> list[int]:
            found = look()
            shell.kill()
            wait_for("it is dead", lambda: not alive(shell.pid))
            return found

        monkeypatch.setattr(orphans, "_pids", dies_then)
        try:
            assert orphans.belong_to(shell.pid, 0)
        finally:
            os.kill(child, signal.SIGKILL)


@pytest.mark.parametrize("killed", ["its run ends", "the daemon is killed"])
def test_the_mark_in_the_environment_is_enough_where_the_other_is_not_possible(
    tmp_path: Path, killed: str
) -> None:
    command = leaving("no parent", tmp_path) if killed == "its run ends" else escaping("no parent", tmp_path)
    code = (
        "import os, pathlib, queue, sys, time; import mwapp.execution.runner as r\n"
        "from mwapp.core.messages import Run; from mwapp.core.task import Task\n"
        "told = queue.SimpleQueue(); r.Runner(told.put).start(Run(1, Task(sys.argv[1])))\n"
        "pid = pathlib.Path(sys.argv[2])\n"
        "while not pid.exists() or not pid.read_text(): time.sleep(0.01)\n"
        "if sys.argv[3] == 'its run ends':\n"
        "    told.get(); print(os.path.exists(f'/proc/{int(pid.read_text())}'))\n"
        "sys.stdout.flush(); os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, command, str(tmp_path / "pid"), killed],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(RLIMIT_LOCKS, (7, 7)),
    )
    assert (done.returncode, done.stdout) == (-9, "False\n" if killed == "its run ends" else ""), done.stderr
    wait_for("it is killed", lambda: not alive(read_number(tmp_path / "pid")))


def test_the_number_of_a_run_is_nobody_elses_until_all_of_it_is_gone(
    harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as nobody_kills:
        nobody_kills.setattr("mwapp.execution.process_group.kill", lambda *_: None)
        harness.start(f"echo $$ > {tmp_path}/shell; {leaving('another session', tmp_path)}")
        escaped, shell = read_number(tmp_path / "pid"), read_number(tmp_path / "shell")
        wait_for("the shell is a zombie", lambda: not alive(shell))
        assert Path(f"/proc/{shell}").exists()
    assert harness.exited().code == 0
    assert not alive(escaped)
    assert not Path(f"/proc/{shell}").exists()


def test_commands_run_without_a_guard_if_none_can_be_started(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: list[str]) -> subprocess.Popen[bytes]:
        raise OSError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("mwapp.execution.guard.start", full)
    assert harness.run("echo hello").output == b"hello\n"


def test_commands_run_where_no_limit_can_be_set(shared: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    shared.run("true")
    monkeypatch.setattr(resource, "setrlimit", Mock(side_effect=ValueError))
    assert shared.run("echo hello").output == b"hello\n"


def test_the_mark_of_a_run_is_not_the_daemons(shared: Harness) -> None:
    before = resource.getrlimit(RLIMIT_LOCKS)
    assert int(shared.run("prlimit --locks -o SOFT --noheadings").output) >> 32 == FAMILY
    assert resource.getrlimit(RLIMIT_LOCKS) == before


@pytest.mark.parametrize("emptied", ["", "env -i ", f"{UNMARKED} "])
def test_what_another_run_left_behind_is_let_be(harness: Harness, tmp_path: Path, emptied: str) -> None:
    other = f"setsid sh -c 'echo $$ > {tmp_path}/pid; exec {emptied}sleep 600'"
    harness.start(f"({other} &) ; sleep 600", 2)
    left = read_number(tmp_path / "pid")
    try:
        assert harness.run("(setsid sleep 600 &) ; true").code == 0
        assert alive(left)
    finally:
        os.kill(left, signal.SIGKILL)


DAEMON = (
    "import os, pathlib, queue, sys, time; import mwapp.execution.runner as r\n"
    "from mwapp.core.messages import Run; from mwapp.core.task import Task\n"
    "r.Runner(queue.SimpleQueue().put).start(Run(1, Task(sys.argv[1])))\n"
    "pid = pathlib.Path(sys.argv[2])\n"
    "while not pid.exists() or not pid.read_text(): time.sleep(0.01)\n"
    "os.kill(os.getpid(), 9)\n"
)


@pytest.mark.parametrize("how", ESCAPES)
def test_whoever_escapes_is_killed_when_the_daemon_is(tmp_path: Path, how: str) -> None:
    command = f"{escaping(how, tmp_path)}; true"
    daemon = subprocess.run([sys.executable, "-c", DAEMON, command, str(tmp_path / "pid")], check=False)
    assert daemon.returncode == -9
    escaped = read_number(tmp_path / "pid")
    wait_for("its guard has killed it", lambda: not alive(escaped))


def test_closed_output_is_no_end(shared: Harness) -> None:
    exited = shared.run("echo before; exec >&- 2>&-; sleep 0.2; exit 4")
    assert (exited.code, exited.output) == (4, b"before\n")
    assert exited.seconds >= 0.2


def test_who_forks_twice_is_killed_all_the_same(shared: Harness, tmp_path: Path) -> None:
    exited = shared.run(f"(sleep 600 & echo $! > {tmp_path}/pid) & wait; sleep 0.1")
    assert exited.code == 0
    assert not alive(read_number(tmp_path / "pid"))


def test_one_that_forks_without_end_is_killed(harness: Harness, tmp_path: Path) -> None:
    forked = tmp_path / "forked"
    forked.touch()
    harness.start(f"while :; do (sleep 600 & echo $! >> {forked}) & sleep 0.001; done")
    wait_for("it has forked", lambda: forked.read_text().count("\n") > 20)
    harness.runner.kill(1)
    exited = harness.exited()
    assert exited.code == -9
    assert not any(alive(int(pid)) for pid in forked.read_text().split())


@pytest.mark.parametrize("directory", [None, "/"])
def test_kill_before_the_start(shared: Harness, directory: str | None) -> None:
    for number in range(20):
        shared.start(Task("sleep 600", directory=directory), number)
        shared.runner.kill(number)
    assert sorted(shared.exited().run for _ in range(20)) == list(range(20))


@pytest.mark.parametrize("directory", [None, "/"])
@pytest.mark.parametrize(("until", "begun"), [(0.1, False), (10 * LONGEST_WAIT, True)])
def test_what_the_runner_comes_to_too_late_is_not_begun(
    shared: Harness, tmp_path: Path, directory: str | None, until: float, begun: bool
) -> None:
    shared.run("true")
    held_up = threading.Event()
    shared.runner._call(held_up.wait, LONGEST_WAIT)
    task = Task(f"touch {tmp_path}/begun", directory=directory)
    late = clock.now() + until
    shared.runner.start(Run(2, task, {}, late))
    if not begun:
        wait_for("it is too late", lambda: clock.now() > late)
    held_up.set()
    exited = shared.exited()
    assert (exited.run, exited.begun, exited.code) == (2, begun, 0 if begun else None)
    assert (tmp_path / "begun").exists() == begun


def test_unknown_run(shared: Harness) -> None:
    shared.runner.kill(99)


def test_what_is_lost_sight_of_is_killed_and_told_once(harness: Harness, tmp_path: Path) -> None:
    harness.start(f"echo $$ > {tmp_path}/pid; exec sleep 600")
    running, loop = read_number(tmp_path / "pid"), harness.runner._loop
    assert loop is not None
    loop.call_soon_threadsafe(lambda: 1 / 0)
    exited = harness.exited()
    assert (exited.run, exited.code) == (1, None)
    assert exited.reason == "mwapp lost sight of it: division by zero"
    wait_for("it is killed", lambda: not alive(running))
    harness.runner.kill_all()  # that waits until all have ended
    assert harness.told.empty()


def test_all_that_is_lost_sight_of_is_told_though_processes_cannot_be_read(
    harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed, too, unless it has left its group."""
    for run in (1, 2):
        harness.start(f"echo $$ > {tmp_path}/{run}; exec sleep 600", run)
    running = [read_number(tmp_path / str(run)) for run in (1, 2)]
    loop = harness.runner._loop
    assert loop is not None
    with monkeypatch.context() as patch:
        patch.setattr(process_group._census, "take", Mock(side_effect=OSError(errno.EMFILE, "")))
        loop.call_soon_threadsafe(lambda: 1 / 0)
        assert {(end.run, end.code) for end in (harness.exited(), harness.exited())} == {(1, None), (2, None)}
    wait_for("they are killed", lambda: not any(map(alive, running)))


def test_many_at_once(shared: Harness) -> None:
    for number in range(30):
        shared.start(f"echo {number}", number)
    assert {(e.run, e.output) for e in (shared.exited() for _ in range(30))} == {
        (n, f"{n}\n".encode()) for n in range(30)
    }


def test_a_flood_is_bounded(shared: Harness) -> None:
    """A hundred megabytes are not kept."""
    tracemalloc.start()
    try:
        flood = shared.run("head -c 100000000 /dev/zero")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (flood.code, flood.truncated) == (0, True)
    assert b"[... 99999000 bytes left out ...]" in flood.output
    assert peak < 5_000_000


def test_a_flood_without_end_is_in_nobodys_way_and_is_killed(shared: Harness, tmp_path: Path) -> None:
    shared.start(f"head -c 2000 /dev/zero; touch {tmp_path}/floods; exec yes", 1)
    wait_for("it floods", (tmp_path / "floods").exists)
    shared.start("echo small", 2)
    small = shared.exited()
    assert (small.run, small.output) == (2, b"small\n")
    shared.runner.kill(1, 2 * LONGEST_WAIT)
    flood = shared.exited()
    assert (flood.run, flood.code, flood.truncated) == (1, -15, True)


def test_the_end_of_all_waits_until_all_are_gone(harness: Harness, tmp_path: Path) -> None:
    for number in range(3):
        harness.start(f"trap '' TERM; echo $$ > {tmp_path}/{number}; sleep 600 & wait; wait", number)
    shells = [read_number(tmp_path / str(number)) for number in range(3)]
    harness.runner.kill_all()
    assert not any(map(alive, shells))
    assert sorted(harness.exited().run for _ in shells) == [0, 1, 2]


@pytest.mark.parametrize("task", [Task("sleep 600"), Task(handler="echo")])
def test_what_is_started_at_the_end_is_killed_like_all_others(harness: Harness, task: Task) -> None:
    harness.start("sleep 600")

    def end() -> None:
        harness.runner._close()
        harness.start(task, 2)

    harness.runner._call(end)
    harness.runner.kill_all()
    assert {harness.exited().run, harness.exited().run} == {1, 2}


def test_many_files_are_allowed_but_only_to_us() -> None:
    given = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = (min(64, given[0]), given[1])
    code = (
        "import mwapp.execution.runner as r, queue, resource\n"
        "from mwapp.core.messages import Run; from mwapp.core.task import Task\n"
        "told = queue.SimpleQueue(); runner = r.Runner(told.put)\n"
        "for n in range(50): runner.start(Run(n, Task('sleep 0.3; ulimit -n')))\n"
        "print({(e.code, e.output) for e in (told.get() for _ in range(50))})\n"
        "runner.kill_all()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, low),
    )
    assert done.stdout == "{(0, b'64\\n')}\n"


def test_long_output_keeps_its_ends(shared: Harness) -> None:
    exited = shared.run("echo first; head -c 5000000 /dev/zero | tr '\\0' x; echo; echo last")
    assert exited.truncated
    assert exited.output.startswith(b"first\nxxx")
    assert exited.output.endswith(b"x\nlast\n")
    assert b"bytes left out" in exited.output
    assert len(exited.output) < 1100


@pytest.mark.parametrize("chunks", [[b"ab", b"cd", b"ef", b"gh"], [b"abcdefgh"], [b"abcd", b"efgh"]])
def test_output_up_to_the_limit_is_whole(chunks: list[bytes]) -> None:
    output = Output(8)
    for chunk in chunks:
        output.write(chunk)
    assert output.value() == b"abcdefgh"
    assert not output.truncated
    output.write(b"i")
    assert output.truncated
    assert output.value() == b"abcd\n[... 1 bytes left out ...]\nfghi"
