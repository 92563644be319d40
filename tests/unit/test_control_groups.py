"""Each run has a control group of its own, which takes all of it along when it ends; and limits."""

import errno
import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mwapp import clock
from mwapp.core.messages import Exited, Run
from mwapp.core.protocol import Outcome
from mwapp.core.task import Task
from mwapp.errors import BadInputError
from mwapp.execution import control_groups
from mwapp.execution.control_groups import (
    ControlGroup,
    ControlGroups,
    ResourceLimits,
    open_groups,
    parse_memory,
)
from mwapp.execution.privileges import find_user
from mwapp.execution.remote import RemoteRunner
from mwapp.execution.runner import Runner
from mwapp.status.ending import explained
from testbed.users import becomes_nobody
from testbed.waiting import LONGEST_WAIT, alive, read_number, wait_for
from tests.unit.handlers.harness import TOKEN
from tests.unit.patience import patient

__all__ = ["patient"]


def mounted() -> Path | None:
    """Where this machine's groups are."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return next((Path(line.split()[4]) for line in mounts if " - cgroup2 " in line), None)


@pytest.fixture
def delegated() -> Iterator[Path]:
    """A group as systemd delegates it."""
    top, own = mounted(), control_groups.own_group()
    if top is None or own is None or os.geteuid() != 0:
        pytest.skip("needs root and cgroup v2")
    group = top / f"mwapp-test-{os.getpid()}"
    group.mkdir()
    yield group
    (own / "cgroup.procs").write_text(str(os.getpid()))
    with suppress(OSError):
        (group / "cgroup.kill").write_text("1")
    wait_for("what was killed is gone", lambda: "populated 0" in (group / "cgroup.events").read_text())
    for path in sorted(group.rglob("*/"), reverse=True):
        path.rmdir()
    group.rmdir()


class Harness:
    """A runner in a group, and what it tells."""

    def __init__(self, delegated: Path) -> None:
        self.told: queue.SimpleQueue[Exited] = queue.SimpleQueue()
        self.groups = ControlGroups.below(delegated)
        self.runner = Runner(self.told.put, 1000, self.groups)  # type: ignore[arg-type]  # it has no shards

    def start(self, command: str, number: int = 1) -> None:
        self.runner.start(Run(number, Task(command)))

    def exited(self) -> Exited:
        return self.told.get(timeout=LONGEST_WAIT)

    def run(self, command: str) -> tuple[int | None, str]:
        self.start(command)
        exited = self.exited()
        return exited.code, exited.output.decode()


@pytest.fixture
def harness(delegated: Path) -> Iterator[Harness]:
    harness = Harness(delegated)
    yield harness
    harness.runner.kill_all()


WHERE = "sed -n s/0:://p /proc/self/cgroup"
ESCAPES = (
    "env -i setsid sh -c 'echo $$ >{0}.new; mv {0}.new {0}; exec sleep 600' & "
    "until [ -e {0} ]; do sleep .01; done"
)


@pytest.mark.processes
def test_each_run_has_its_own_and_it_is_used_again(harness: Harness, delegated: Path) -> None:
    first = harness.run(WHERE)
    assert first[1].endswith(f"/{delegated.name}/runs/1\n")
    assert harness.run(WHERE) == first
    for number in (1, 2):
        harness.start(f"{WHERE}; sleep 0.3", number)
    assert {harness.exited().output.decode().rpartition("/")[2] for _ in "12"} == {"1\n", "2\n"}
    assert (delegated / "daemon/cgroup.procs").read_text().split()[0] == str(os.getpid())


@pytest.mark.processes
def test_a_handler_has_one_too(harness: Harness, delegated: Path) -> None:
    harness.runner.start(Run(1, Task(handler="echo", argument=1), TOKEN))
    assert harness.exited().code == 0
    (process,) = (delegated / "runs/1/cgroup.procs").read_text().split()
    assert "handler_process" in Path(f"/proc/{process}/cmdline").read_text()


@pytest.mark.processes
def test_a_command_sees_nothing_of_it(harness: Harness) -> None:
    assert harness.run("echo $0; exit 7") == (7, "/bin/sh\n")
    assert harness.run("true; )") == (2, '/bin/sh: 1: Syntax error: ")" unexpected\n')
    assert harness.run("echo 1; # a remark\necho 2") == (0, "1\n2\n")
    assert harness.run("")[0] == 0
    assert harness.run("kill -KILL $$") == (-9, "")


@pytest.mark.processes
def test_who_leaves_everything_behind_is_killed_at_the_end(harness: Harness, tmp_path: Path) -> None:
    """A new session, no parent and no environment."""
    file = tmp_path / "pid"
    assert harness.run(ESCAPES.format(file))[0] == 0
    assert not alive(read_number(file))


@pytest.mark.processes
def test_who_leaves_everything_behind_is_killed_with_it(harness: Harness, tmp_path: Path) -> None:
    file = tmp_path / "pid"
    harness.start(f"({ESCAPES.format(file)}); sleep 600")
    escaped = read_number(file)
    harness.runner.kill(1)
    assert harness.exited().code == -9
    assert not alive(escaped)


@pytest.mark.processes
def test_nothing_is_left_at_the_end(harness: Harness, delegated: Path) -> None:
    harness.run("true")
    harness.runner.kill_all()
    assert [path.name for path in (delegated / "runs").iterdir() if path.is_dir()] == []


@pytest.mark.processes
def test_who_cannot_join_does_not_run(tmp_path: Path) -> None:
    group = fake(tmp_path)
    joining = group.joining("echo ran").replace("cgroup.procs", "missing/cgroup.procs")
    done = subprocess.run(["/bin/sh", "-c", joining], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (125, "")


@pytest.mark.processes
def test_one_that_is_not_empty_is_not_used(delegated: Path) -> None:
    groups = ControlGroups.below(delegated)
    first = groups.take()
    sleeps = subprocess.Popen(["/bin/sh", "-c", first.joining("exec sleep 600")])
    wait_for("it has joined", lambda: first.populated)
    first.release()
    second = groups.take()
    assert second is not first
    sleeps.kill()
    sleeps.wait()
    wait_for("it is empty", lambda: not first.populated)
    assert groups.take() is first
    second.release()
    groups.close()


@pytest.mark.processes
@pytest.mark.skipif(not becomes_nobody(), reason="root, and a checkout that others can read")
def test_groups_are_lent_to_another_user_but_not_the_way_back(delegated: Path) -> None:
    told: queue.SimpleQueue[Exited] = queue.SimpleQueue()
    nobody = find_user("nobody", "--task-user")
    groups = ControlGroups.below(delegated, user=nobody)
    runner = RemoteRunner(nobody, groups, "info", "text").begin(told.put)  # type: ignore[arg-type]  # it has no shards
    tries = f"""
        {WHERE}
        cd {delegated}
        for file in daemon/cgroup.procs cgroup.subtree_control runs/cgroup.subtree_control; do
            sh -c "echo 0 >$file" 2>/dev/null && echo $file
        done
        echo as $(id -un)
        env -i setsid sleep 600 &
    """
    runner.start(Run(1, Task(tries)))
    exited = told.get(timeout=LONGEST_WAIT)
    assert exited.output.decode().split("\n")[1:] == ["as nobody", ""]
    assert exited.output.decode().startswith(f"/{delegated.name}/runs/1\n")
    assert (delegated / "runs/1/cgroup.procs").read_text() == ""
    runner.start(Run(2, Task("sleep 600")))
    wait_for("it runs", lambda: (delegated / "runs/1/cgroup.procs").read_text())
    os.kill(runner._process.pid, signal.SIGSTOP)  # a task can do that
    groups.kill()
    wait_for("it is gone", lambda: not (delegated / "runs/1/cgroup.procs").read_text())
    os.kill(runner._process.pid, signal.SIGCONT)
    runner.kill_all()


STRANGER = 12345
ATTEMPTS = """
cd {0}
try() {{ sh -c "$1" >/dev/null 2>&1 && echo "$1"; }}
try 'ls runs'
try 'mkdir runs/2'
try 'rmdir runs/1'
try 'echo 1 >runs/1/cgroup.kill'
try 'echo 0 >cgroup.procs'
"""


def stranger(delegated: Path, group: int) -> list[str]:
    """What a user of the host can do to the groups of runs; it is in none that is ours."""
    command = ["/bin/sh", "-c", ATTEMPTS.format(delegated)]
    as_user = ["setpriv", f"--reuid={STRANGER}", f"--regid={group}", "--clear-groups", *command]
    outside = delegated.parent / "cgroup.procs"
    done = subprocess.run(
        ["/bin/sh", "-c", f'echo 0 >{outside}; exec "$@"', "sh", *as_user],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.processes
@pytest.mark.skipif(not becomes_nobody(), reason="root, and a checkout that others can read")
def test_no_other_user_can_take_the_groups_of_runs(delegated: Path) -> None:
    told: queue.SimpleQueue[Exited] = queue.SimpleQueue()
    nobody = find_user("nobody", "--task-user")
    groups = ControlGroups.below(delegated, user=nobody)
    runner = RemoteRunner(nobody, groups, "info", "text").begin(told.put)  # type: ignore[arg-type]  # it has no shards
    try:
        runner.start(Run(1, Task("true")))
        assert told.get(timeout=LONGEST_WAIT).code == 0
        assert stranger(delegated, STRANGER) == []
        # Whoever is in the group of the tasks' user can take a name, and nothing that is there.
        assert stranger(delegated, nobody.gid) == ["ls runs", "mkdir runs/2"]
        for number in (2, 3):
            runner.start(Run(number, Task(f"{WHERE}; sleep 0.3")))
        ends = [told.get(timeout=LONGEST_WAIT).output.decode() for _ in "12"]
        assert {end.rpartition("/")[2] for end in ends} == {"1\n", "3\n"}
    finally:
        runner.kill_all()


@pytest.mark.processes
@pytest.mark.skipif(not becomes_nobody(), reason="root, and a checkout that others can read")
def test_groups_of_an_earlier_start_are_lent_to_the_user_of_now(delegated: Path) -> None:
    (delegated / "runs/1").mkdir(parents=True)  # of a process that was killed
    (delegated / "runs").chmod(0o777)
    nobody = find_user("nobody", "--task-user")
    ControlGroups.below(delegated, user=nobody).lend()
    found = (delegated / "runs").stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (0, nobody.gid, 0o1770)
    ControlGroups.below(delegated, user=nobody)
    assert (delegated / "runs").stat().st_gid == nobody.gid
    # What runs in it still: then it cannot be made anew.
    with subprocess.Popen(["sleep", "600"]) as stays:
        (delegated / "runs/cgroup.procs").write_text(str(stays.pid))
        try:
            with pytest.raises(PermissionError, match="it is not of the group 2"):
                ControlGroups.below(delegated, user=nobody._replace(gid=2))
        finally:
            stays.kill()


# ---------------------------------------------------------------- limits, on files like the kernel's


def fake(
    path: Path,
    limits: ResourceLimits = control_groups.NONE,
    free: Callable[[ControlGroup], None] = lambda _: None,
) -> ControlGroup:
    """A group that the kernel does not know."""
    group = path / "1"
    group.mkdir(exist_ok=True)
    (group / "cgroup.events").write_text("populated 0\nfrozen 0\n")
    for each in (path, group):
        count(each)
    return ControlGroup(group, limits, free)


def count(group: Path, **counters: int) -> None:
    counters = {"low": 0, "high": 0, "max": 0, "oom": 0, "oom_kill": 0} | counters
    (group / "memory.events.local").write_text("".join(f"{name} {n}\n" for name, n in counters.items()))


def test_one_that_cannot_be_had_for_lack_of_files_keeps_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, really = tmp_path / "1", os.open

    def open_(path: Path, *more: int) -> int:
        if path.name == "cgroup.events":
            raise OSError(errno.EMFILE, "Too many open files")
        return really(path, *more)

    count(tmp_path)
    group.mkdir()
    count(group)
    before = sorted(file.name for file in Path("/proc/self/fd").iterdir())
    with monkeypatch.context() as full:
        full.setattr("os.open", open_)
        with pytest.raises(OSError, match="Too many open files"):
            ControlGroup(group, ResourceLimits(), print)
    assert sorted(file.name for file in Path("/proc/self/fd").iterdir()) == before
    group = tmp_path / "2"
    with pytest.raises(FileNotFoundError):
        ControlGroup(group, ResourceLimits(), print)
    assert not group.exists()


def test_limits_are_written(tmp_path: Path) -> None:
    for name in ("memory.max", "memory.swap.max", "cpu.max", "pids.max"):
        (tmp_path / name).touch()
    ResourceLimits(200 << 20, 0.5, 100).write(tmp_path)
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert written == {
        "memory.max": "209715200",
        "memory.swap.max": "0",
        "cpu.max": "50000 100000",
        "pids.max": "100",
    }


def test_why_it_was_killed(tmp_path: Path) -> None:
    group = fake(tmp_path, ResourceLimits(memory=200 << 20))
    assert (tmp_path / "1/memory.oom.group").read_text() == "1"
    assert group.lacked_memory() is None
    count(tmp_path / "1", oom=1, oom_kill=2)
    assert group.lacked_memory() == (
        "it needs more memory than a task may use, 200M (--task-memory, mwapp_task_memory)"
    )
    assert group.lacked_memory() is None  # told already
    count(tmp_path, oom=1)
    count(tmp_path / "1", oom=1, oom_kill=3)
    assert group.lacked_memory() == (
        "the tasks of this worker need more memory than they may use together "
        "(--worker-memory, mwapp_worker_memory)"
    )
    count(tmp_path / "1", oom=1, oom_kill=4)
    assert group.lacked_memory() == "the host has no memory left"
    count(tmp_path / "1", oom=2, oom_kill=4)  # the kernel found another way
    assert group.lacked_memory() is None


class Hungry(ControlGroups):
    """Every run in it needs too much."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)

    def take(self) -> ControlGroup:
        group = fake(self._runs, ResourceLimits(memory=1 << 20))
        count(self._runs / "1", oom=1, oom_kill=1)
        return group

    def close(self) -> None:
        pass


@pytest.mark.processes
@pytest.mark.parametrize(
    ("command", "code", "reason"),
    [
        ("echo out; kill -KILL $$", -9, "killed by SIGKILL: it needs more memory than a task may use, 1M "),
        ("exit 3", 3, None),  # what was killed was not all of it
    ],
)
def test_who_is_killed_for_memory_says_so(
    tmp_path: Path, command: str, code: int, reason: str | None
) -> None:
    told: queue.SimpleQueue[Exited] = queue.SimpleQueue()
    runner = Runner(told.put, 1000, Hungry(tmp_path))  # type: ignore[arg-type]  # it has no shards
    runner.start(Run(1, Task(command)))
    exited = told.get(timeout=LONGEST_WAIT)
    runner.kill_all()
    outcome = explained(Outcome(code=exited.code, output=exited.output.decode()))
    assert outcome.code == code
    assert (outcome.reason or "")[: len(reason or "")] == (reason or "")
    assert bool(outcome.reason) == bool(reason)
    assert ("mwapp: it needs" in outcome.output) == bool(reason)
    assert outcome.output.startswith("out\n") == bool(reason)


class OneForAll(ControlGroups):
    """The same for each run; a child of the first needs too much."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.one = fake(path, ResourceLimits(memory=1 << 20))
        count(path / "1", oom=1, oom_kill=1)

    def take(self) -> ControlGroup:
        return self.one

    def close(self) -> None:
        pass


@pytest.mark.processes
def test_who_is_killed_for_something_else_does_not_hear_what_the_run_before_has_lacked(
    tmp_path: Path,
) -> None:
    told: queue.SimpleQueue[Exited] = queue.SimpleQueue()
    runner = Runner(told.put, 1000, OneForAll(tmp_path))  # type: ignore[arg-type]  # it has no shards
    for number, (command, code) in enumerate([("exit 3", 3), ("kill -KILL $$", -9)]):
        runner.start(Run(number, Task(command)))
        exited = told.get(timeout=LONGEST_WAIT)
        assert (exited.code, exited.output) == (code, b"")
    runner.kill_all()


class Slow(ControlGroups):
    """It takes some time to make one."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.made: list[ControlGroup] = []
        self.back: list[ControlGroup] = []

    def take(self) -> ControlGroup:
        time.sleep(0.2)
        self.made.append(fake(self._runs, free=self.back.append))
        return self.made[-1]


@pytest.mark.processes
def test_a_command_whose_group_was_made_too_late_is_not_begun(tmp_path: Path) -> None:
    """The last look at the session's time is the last thing before the fork."""
    told: queue.SimpleQueue[Exited] = queue.SimpleQueue()
    slow = Slow(tmp_path)
    runner = Runner(told.put, 1000, slow)  # type: ignore[arg-type]  # it has no shards
    runner.start(Run(1, Task(f"touch {tmp_path}/begun"), {}, clock.now() + 0.1))
    exited = told.get(timeout=LONGEST_WAIT)
    runner.kill_all()
    assert (exited.begun, exited.code) == (False, None)
    assert not (tmp_path / "begun").exists()
    assert len(slow.made) <= 1
    assert slow.back == slow.made, "another run has it next"


@pytest.mark.parametrize(
    ("text", "amount"),
    [("1M", 1 << 20), ("1048576", 1 << 20), ("2g", 2 << 30), (" 1024K ", 1 << 20), ("1T", 1 << 40)],
)
def test_amounts_of_memory(text: str, amount: int) -> None:
    assert parse_memory(text, "--task-memory") == amount
    assert parse_memory(control_groups.show_memory(amount), "x") == amount


@pytest.mark.parametrize("text", ["", "M", "1023K", "-1M", "1.5G", "50%", "1P", "9" * 30, "²M", "1 M"])
def test_what_is_no_amount(text: str) -> None:
    with pytest.raises(BadInputError, match=r"--task-memory: .* is no amount of memory: use 1M or more"):
        parse_memory(text, "--task-memory")


def test_without_a_delegated_group_there_are_none_and_no_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_groups, "delegated_group", lambda: None)
    assert open_groups() is None
    with pytest.raises(
        BadInputError, match=r"--task-cpu: .* systemd has delegated.*leave out --task-cpu and"
    ):
        open_groups(ResourceLimits(cpu=1), ResourceLimits(pids=7))


def test_a_limit_that_the_kernel_does_not_have_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu io\n")
    monkeypatch.setattr(control_groups, "delegated_group", lambda: tmp_path)
    with pytest.raises(BadInputError, match=r"--worker-memory: the kernel cannot .* only: cpu io\."):
        open_groups(ResourceLimits(cpu=1), ResourceLimits(memory=1 << 20))


def test_a_group_that_cannot_be_used_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(control_groups, "delegated_group", lambda: tmp_path / "missing")
    assert open_groups() is None
    assert "no control groups for tasks: cannot use the control group" in caplog.text
    with pytest.raises(BadInputError, match="--task-pids: cannot use the control group"):
        open_groups(ResourceLimits(pids=1))


@pytest.mark.processes
def test_only_what_is_delegated_is_used(delegated: Path) -> None:
    ask = ["from mwapp.execution.control_groups import delegated_group", "print(delegated_group())"]
    enter = f"echo 0 >{delegated}/cgroup.procs; exec {sys.executable} -c '{'; '.join(ask)}'"

    def asked() -> str:
        return subprocess.check_output(["/bin/sh", "-c", enter], text=True).strip()

    assert asked() == "None"
    os.setxattr(delegated, "user.delegate", b"1")
    assert asked() == str(delegated)
