"""Tasks as another user: what it may not do, what becomes of its capabilities, and answers that are none."""

import io
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from mwapp import clock
from mwapp.core.messages import Exited, OpenShard, Run, ShardSays
from mwapp.core.task import Task
from mwapp.errors import BadInputError
from mwapp.execution.privileges import find_user
from mwapp.execution.remote import (
    MOST_OUTPUT,
    NETWORK,
    RemoteRunner,
    read_answer,
    read_orders,
    write_answer,
    write_order,
)
from testbed.users import becomes_nobody
from testbed.waiting import alive, wait_for

needs_nobody = pytest.mark.skipif(not becomes_nobody(), reason="root, and a checkout that others can read")

# A worker as its unit starts it: no root, and two capabilities. Its tasks are another user's.
AS_UNIT = (
    *("setpriv", "--reuid=daemon", "--regid=daemon", "--groups=bin", "--no-new-privs"),
    *("--inh-caps=+setuid,+setgid", "--ambient-caps=+setuid,+setgid", "--bounding-set=-all,+setuid,+setgid"),
)
WORKER = """
import json, queue, sys
from pathlib import Path
from mwapp.core.messages import Run
from mwapp.core.task import Task
from mwapp.execution.privileges import find_user
from mwapp.execution.remote import RemoteRunner
told = queue.SimpleQueue()
runner = RemoteRunner(find_user("nobody", "--task-user"), None, "info", "text").begin(told.put)
runner.start(Run(1, Task(sys.argv[1])))
exited = told.get(timeout=20)
runner.kill_all()
own = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
caps = {name: int(value, 16) for name, value in own.items() if name.startswith("Cap")}
print(json.dumps([exited.code, exited.output.decode(), caps]))
"""


def as_unit(command: str, *prefix: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*prefix, sys.executable, "-c", WORKER, command], capture_output=True, text=True, check=False
    )


@pytest.mark.processes
@needs_nobody
def test_nobody_keeps_a_capability() -> None:
    done = as_unit("id -un; id -Gn; pwd; grep ^Cap /proc/self/status", *AS_UNIT)
    code, output, own = json.loads(done.stdout)
    user, groups, directory, *lines = output.splitlines()
    assert (code, user, groups, directory) == (0, "nobody", "nogroup", "/")
    for name in ("CapEff", "CapPrm", "CapAmb"):
        assert own[name] == 0
    tasks = dict(line.split(":") for line in lines)
    assert [int(tasks[name], 16) for name in ("CapInh", "CapEff", "CapPrm", "CapAmb")] == [0, 0, 0, 0]


STANDS_STILL = """
import os, signal, sys
from pathlib import Path
from mwapp import clock
from mwapp.core.messages import Run
from mwapp.core.task import Task
from mwapp.execution.privileges import find_user
from mwapp.execution.remote import RemoteRunner
runner = RemoteRunner(find_user("nobody", "--task-user"), None, "info", "text").begin(lambda _: None)
runner.start(Run(1, Task(sys.argv[1])))
sys.stdin.readline()
runner.keep(clock.now() + 0.5)
os.kill(os.getpid(), signal.SIGSTOP)
"""


def running(command: bytes) -> bool:
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if file.read_bytes() == command:
                return True
    return False


@pytest.mark.processes
@needs_nobody
def test_what_another_user_runs_ends_with_the_session_of_a_worker_that_stands_still() -> None:
    seconds = f"600.{os.getpid()}"
    shown = f"sleep\0{seconds}\0".encode()
    command = [sys.executable, "-c", STANDS_STILL, f"exec sleep {seconds}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, bufsize=0) as worker:
        try:
            wait_for("it runs", lambda: running(shown))
            assert worker.stdin is not None
            worker.stdin.write(b"\n")
            wait_for("it is killed", lambda: not running(shown))
            assert worker.poll() is None
        finally:
            worker.kill()


# The thread that follows what runs is held up, once something runs.
HELD_UP = """
import threading
from mwapp.execution import runner_process
really = runner_process.Runner.start
def start(runner, run):
    really(runner, run)
    runner._call(threading.Event().wait)
runner_process.Runner.start = start
runner_process.main()
"""


@pytest.mark.processes
def test_a_process_that_is_held_up_hears_how_long_the_session_lives(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-c", HELD_UP, str(theirs.fileno()), "info", "text", NETWORK]
    with (
        ours,
        theirs,
        subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[theirs.fileno()]) as process,
    ):
        assert process.stdin is not None
        process.stdin.write(b"{}")
        process.stdin.close()
        try:
            lease = clock.now() + 3
            ours.sendall(write_order("keep", lease))
            ours.sendall(write_order("start", Run(1, Task(f"echo $$ >{tmp_path}/pid; exec sleep 600"))))

            def runs() -> int:
                ours.sendall(write_order("keep", clock.now() + 2))
                file = tmp_path / "pid"
                return int(file.read_text() or 0) if file.exists() else 0

            command_pid = wait_for("it runs", runs)
            while clock.now() < lease + 1:
                runs()
                time.sleep(0.1)
            assert alive(command_pid)
        finally:
            process.kill()


@pytest.mark.processes
@needs_nobody
def test_who_may_not_become_another_says_how() -> None:
    done = as_unit("true", "setpriv", "--reuid=daemon", "--regid=daemon", "--clear-groups")
    assert (
        "--task-user: this process may not become nobody: start it as root, or in a unit with" in done.stderr
    )


# A group of control groups is a directory; here it is an ordinary one.
LENDS = """
import sys
from pathlib import Path
from mwapp.execution.privileges import find_user, make_directory
make_directory(Path(sys.argv[1]), find_user("nobody", "--task-user"))
"""


@pytest.mark.processes
@needs_nobody
def test_a_worker_as_its_unit_starts_it_makes_a_directory_of_the_group_of_tasks() -> None:
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o777)
        made = Path(place, "made")
        command = [sys.executable, "-c", LENDS, str(made)]
        refused = subprocess.run([*AS_UNIT[:5], *command], capture_output=True, text=True, check=False)
        assert "this process may not become nobody: start it as root" in refused.stderr
        subprocess.run([*AS_UNIT, *command], umask=0o077, check=True)
        daemon, nobody, found = find_user("daemon", "x"), find_user("nobody", "x"), made.stat()
        assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (daemon.uid, nobody.gid, 0o700)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no-such-user", "--task-user: there is no user 'no-such-user': create one"),
        ("root", "--task-user: root is root, who may do everything"),
    ],
)
def test_users_that_tasks_cannot_be(name: str, message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        find_user(name, "--task-user")


def test_a_task_user_is_not_the_worker_s(monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = find_user("nobody", "x").uid
    monkeypatch.setattr(os, "getuid", lambda: nobody)
    with pytest.raises(BadInputError, match="nobody is the worker's own user"):
        find_user("nobody", "x")


EXITED = Exited(7, -9, b"out\n\xff", truncated=True, seconds=1.5, begun=True, result="1", reason="why")


def test_answers_arrive_as_they_were() -> None:
    others = (
        Exited(8, None, begun=False, reason="too late"),
        Exited(9, 0, b"out", result='["ä", "\\ud800"]'),
        Exited(10, 0, result="", reason=""),
        Exited(11, 0),
    )
    channel = io.BytesIO(b"".join(map(write_answer, (EXITED, *others))))
    assert [read_answer(channel) for _ in range(6)] == [EXITED, *others, None]


def test_what_shards_say_arrives_as_it_was() -> None:
    said: list[Exited | ShardSays] = [
        ShardSays(7, "serving", 1 << 40, address="ä" * 200),
        EXITED,
        ShardSays(8, "closed", 0, "no disk: ä"),
        ShardSays(9, "closed", 0, ""),
    ]
    channel = io.BytesIO(b"".join(map(write_answer, said)))
    assert [read_answer(channel) for _ in range(5)] == [*said, None]
    assert read_answer(io.BytesIO(write_answer(said[2])[:-1])) is None


def test_orders_arrive_as_they_were() -> None:
    orders: list[tuple[object, ...]] = [
        ("kill", 7, 2.0),
        ("start", Run(1, Task("true", environment={"A": "b"}))),
        ("shard", OpenShard(2, "t", 3, "w", None, "true", 7, "", {"w": "sync"})),
    ]
    sent = b"".join(write_order(*order) for order in orders)
    received, read = bytearray(), []
    for byte in sent:
        received.append(byte)
        read += list(read_orders(received))
    assert read == orders
    assert list(read_orders(bytearray(sent))) == orders


@pytest.mark.parametrize(
    "line",
    [
        b"no json\n",
        b"{}\n",
        b"[]\n",
        b'["7", 0, false, 1.0, true, 0, -1, -1]\n',
        b'[7, "0", false, 1.0, true, 0, -1, -1]\n',
        b"[7, true, false, 1.0, true, 0, -1, -1]\n",
        b"[7, 0, 0, 1.0, true, 0, -1, -1]\n",
        b"[7, 0, false, NaN, true, 0, -1, -1]\n",
        b"[7, 0, false, 1.0, true, -1, -1, -1]\n",
        b"[7, 0, false, 1.0, true, %d, -1, -1]\n" % (MOST_OUTPUT + 1),
        b"[7, 0, false, 1.0, true, 0, %d, -1]\n" % (MOST_OUTPUT + 1),
        b"[7, 0, false, 1.0, true, 0, -1, -2]\n",
        b"[7, 0, false, 1.0, true, 0, -1, null]\n",
        b"[7, 0, false, 1.0, true, 0]\n",
        b'[7, "nonsense", 0, -1, ""]\n',
        b'[7, "closed", 0, -2, ""]\n',
        b'[7, "closed", 0.5, -1, ""]\n',
        b'[7, "closed", 0, %d, ""]\n' % (MOST_OUTPUT + 1),
        b'[7, "open", 0, -1]\n',
        b'[7, "open", 0, -1, null]\n',
        b'[7, "open", 0, -1, "a\\tb"]\n',
        b"[" * 10_000,
    ],
)
def test_what_is_no_answer_is_refused(line: bytes) -> None:
    """Tasks are the same user as the process that sends answers, and can make it say anything."""
    with pytest.raises((ValueError, RecursionError)):
        read_answer(io.BytesIO(line))


def test_an_answer_that_breaks_off_is_the_end() -> None:
    assert read_answer(io.BytesIO(write_answer(EXITED)[:-1])) is None


def test_an_end_is_heard_once_and_only_of_what_runs() -> None:
    told: list[Exited | ShardSays] = []
    runner = RemoteRunner.__new__(RemoteRunner)
    runner._running, runner._shards, runner._post, runner._closing = {7}, {8}, told.append, True
    says = [ShardSays(8, said, 1) for said in ("open", "ready", "closed", "ready")]
    answers: tuple[Exited | ShardSays, ...] = (EXITED, EXITED, Exited(8, 0), *says, ShardSays(7, "open", 1))
    runner._answers = io.BytesIO(b"".join(map(write_answer, answers)))  # type: ignore[assignment]  # as a socket's
    runner._listen()
    assert told == [EXITED, *says[:3]]
