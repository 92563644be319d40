"""Handlers: found, run in warm processes, and contained whatever they do."""

import json
import os
import queue
import re
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mwapp import handler_pool
from mwapp.cli import run as mwapp
from mwapp.core.messages import Exited, Run
from mwapp.core.task import Task
from mwapp.runner import Runner

PATIENCE = 20.0
TOKEN = {
    "MWAPP_TASK": "task-7",
    "MWAPP_ATTEMPT": "2",
    "MWAPP_EPOCH": "3",
    "MWAPP_INCARNATION": "4",
    "MWAPP_WORKER": "w1",
}

MODULE = """
import os, signal, subprocess, sys, threading, time

def returns(argument, run):
    '''Gives back what it is given.

    And that is all.
    '''
    return argument

def who(argument, run):
    import mwapp.handlers
    assert type(run) is mwapp.handlers.Run
    return [run.task, run.attempt, run.epoch, run.incarnation, run.worker, run.token]

def prints(argument, run):
    print("out")
    print("err", file=sys.stderr)
    os.write(1, b"raw\\n")
    subprocess.run(["echo", "child"])
    return "returned"

def flood(argument, run):
    for _ in range(argument):
        print("x" * 999_999)

def large(argument, run):
    return "x" * argument

def fails(argument, run):
    raise ValueError("no such picture")

def fails_deep(argument, run):
    fails_deep(argument, run)

def leaves(argument, run):
    sys.exit(argument)

def unjson(argument, run):
    return {1, 2}

def dies(argument, run):
    print("last words")
    os._exit(argument)

def segfault(argument, run):
    import ctypes
    ctypes.string_at(0)

def pid(argument, run):
    return os.getpid()

def sleeps(argument, run):
    with open(argument, "w") as file:
        file.write(str(os.getpid()))
    time.sleep(600)

def stubborn(argument, run):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    subprocess.run(["/bin/sh", "-c", "trap '' TERM; echo $$ > " + argument + "; sleep 600 & wait; wait"])
    time.sleep(600)

def obliging(argument, run):
    def asked(number, frame):
        raise InterruptedError("asked")
    signal.signal(signal.SIGTERM, asked)
    with open(argument, "w") as file:
        file.write(str(os.getpid()))
    try:
        time.sleep(600)
    except InterruptedError:
        return "cleaned up"

def messes(argument, run):
    os.chdir("/")
    os.umask(0)
    os.environ["LEFT"] = "behind"
    del os.environ["MWAPP_TASK"]
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.stdout = open(os.devnull, "w")
    os.dup2(sys.stdout.fileno(), 1)
    return os.getpid()

def looks(argument, run):
    print("heard")
    umask = os.umask(0)
    os.umask(umask)
    term = signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    return [os.getpid(), os.getcwd(), os.environ.get("LEFT"), os.environ["MWAPP_TASK"], umask, term,
            os.environ.get("OWN")]

def closes(argument, run):
    sys.stdout.close()
    return os.getpid()

def leaves_thread(argument, run):
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    return os.getpid()

def leaves_child(argument, run):
    subprocess.Popen(["/bin/sh", "-c", "(sleep 600 & echo $! > " + argument + ") &"])
    while not (os.path.exists(argument) and open(argument).read().strip()):
        time.sleep(0.01)
    return os.getpid()

def forks(argument, run):
    if os.fork() == 0:
        return "from the child"
    os.wait()
    return "from the parent"

def meddles(argument, run):
    for number in range(3, 1000):  # whichever its channel is
        try:
            os.write(number, b"x" * 100_000 if argument is None else argument.encode())
        except OSError:
            pass
    time.sleep(600)

def closes_all(argument, run):
    os.closerange(0, 100)
    time.sleep(600)
"""


@pytest.fixture(scope="module")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installed distribution with the handlers above."""
    home = tmp_path_factory.mktemp("site")
    (home / "trouble.py").write_text(MODULE)
    info = home / "trouble-1.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: trouble\nVersion: 1.5\n")
    names = [line[4 : line.index("(")] for line in MODULE.splitlines() if line.startswith("def ")]
    points = [f"{name} = trouble:{name}" for name in names]
    points += ["missing_module = nowhere:x", "missing_function = trouble:nothing"]
    (info / "entry_points.txt").write_text("[mwapp.handlers]\n" + "\n".join(points) + "\n")
    return home


class Harness:
    """A runner and what it tells."""

    def __init__(self, limit: int = 1000) -> None:
        self.told: queue.SimpleQueue[Exited] = queue.SimpleQueue()
        self.runner = Runner(self.told.put, limit)

    def start(self, handler: str, argument: Any = None, number: int = 1, **task: Any) -> None:
        self.runner.start(Run(number, Task(handler=handler, argument=argument, **task), TOKEN))

    def exited(self) -> Exited:
        return self.told.get(timeout=PATIENCE)

    def run(self, handler: str, argument: Any = None, **task: Any) -> Exited:
        self.start(handler, argument, **task)
        return self.exited()

    def pid(self) -> int:
        return int(self.run("pid").output)


@pytest.fixture
def harness(distribution: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    monkeypatch.setenv("PYTHONPATH", str(distribution))
    before = threading.active_count()
    harness = Harness()
    yield harness
    harness.runner.kill_all()
    assert threading.active_count() == before, "a thread was leaked"


@pytest.fixture(scope="module")
def shared(distribution: Path) -> Iterator[Harness]:
    """For tests that leave it as it was: a process takes its time to start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(distribution))
        harness = Harness()
        yield harness
        harness.runner.kill_all()


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pid: int) -> bool:
    end = time.monotonic() + PATIENCE
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.01)
    return not alive(pid)


def read_number(path: Path) -> int:
    end = time.monotonic() + PATIENCE
    while not (path.exists() and path.read_text().strip()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return int(path.read_text())


# ---------------------------------------------------------------- what a handler is given and gives


@pytest.mark.parametrize(
    ("argument", "output"),
    [
        (None, ""),
        ("text", "text"),
        ({"a": [1, None, "ä"]}, '{"a": [1, null, "ä"]}'),
        ("ends in half a \ud800 character", "ends in half a \\ud800 character"),
    ],
)
def test_what_is_returned_is_the_output(shared: Harness, argument: Any, output: str) -> None:
    exited = shared.run("returns", argument)
    assert (exited.run, exited.code, exited.output.decode()) == (1, 0, output)
    assert 0 < exited.seconds < PATIENCE


def test_echo_comes_with_mwapp(shared: Harness) -> None:
    assert shared.run("echo", "hello").output == b"hello"


def test_a_large_argument(shared: Harness) -> None:
    exited = shared.run("returns", "x" * 500_000)
    assert (exited.code, exited.truncated) == (0, True)


def test_an_argument_nested_too_deeply_is_refused(shared: Harness) -> None:
    argument: list[Any] = []
    for _ in range(100_000):
        argument = [argument]
    exited = shared.run("returns", argument)
    assert (exited.code, exited.output) == (None, b"task field 'argument' is nested too deeply")


def test_it_knows_which_run_it_is(shared: Harness) -> None:
    assert json.loads(shared.run("who").output) == ["task-7", 2, 3, 4, "w1", [3, 2]]


def test_what_is_printed_is_output_too(shared: Harness) -> None:
    assert shared.run("prints").output == b"out\nerr\nraw\nchild\nreturned"


def test_a_flood_is_bounded(shared: Harness) -> None:
    exited = shared.run("flood", 100)
    assert (exited.code, exited.truncated) == (0, True)
    assert b"[... 99999000 bytes left out ...]" in exited.output
    assert shared.run("large", 10_000_000).truncated
    assert shared.run("returns", "x" * 1000).truncated is False


@pytest.mark.parametrize(
    ("handler", "argument", "code", "said"),
    [
        (
            "fails",
            None,
            1,
            'in fails\n    raise ValueError("no such picture")\nValueError: no such picture\n',
        ),
        ("fails_deep", None, 1, "RecursionError"),
        ("unjson", None, 1, "TypeError: Object of type set is not JSON serializable"),
        ("leaves", 3, 3, ""),
        ("leaves", "why it leaves", 1, "why it leaves"),
        ("leaves", None, 0, ""),
        ("dies", 5, 5, "last words\n"),
        ("dies", 0, 1, "last words\nthe handler ended its process before it returned\n"),
        ("segfault", None, -11, "Segmentation fault"),
        ("closes_all", None, -9, ""),
        ("meddles", None, -9, ""),
        ("meddles", "no JSON\n", -9, ""),
        ("meddles", '{"code":0,"clean":true}\n{"code":0,"clean":true}\n', -9, ""),
    ],
)
def test_failures(shared: Harness, handler: str, argument: Any, code: int, said: str) -> None:
    exited = shared.run(handler, argument)
    assert (exited.code, said in exited.output.decode()) == (code, True), exited
    assert shared.run("returns", "and on").output == b"and on"


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        ("nothing", "unknown handler 'nothing'; known are: closes, closes_all, dies, echo, "),
        (
            "missing_module",
            "handler missing_module (nowhere:x) cannot be loaded: ModuleNotFoundError: No module",
        ),
        ("missing_function", "handler missing_function (trouble:nothing) cannot be loaded: AttributeError"),
    ],
)
def test_what_cannot_be_run_says_why(shared: Harness, handler: str, reason: str) -> None:
    exited = shared.run(handler)
    assert exited.code is None
    assert exited.output.decode().startswith(reason)


def test_directory_and_environment(shared: Harness, tmp_path: Path) -> None:
    seen = json.loads(
        shared.run("looks", directory=str(tmp_path), environment={"OWN": "mine"}).output.partition(b"\n")[2]
    )
    assert (seen[1], seen[6]) == (str(tmp_path), "mine")
    assert json.loads(shared.run("looks").output.partition(b"\n")[2])[6] is None
    exited = shared.run("looks", directory=str(tmp_path / "missing"))
    assert exited.code is None
    assert exited.output.decode() == (
        f"task field 'directory': cannot run in {tmp_path / 'missing'}: No such file or directory"
    )


# ---------------------------------------------------------------- warm processes


def test_a_process_is_used_again_and_found_as_it_was(harness: Harness) -> None:
    first = harness.pid()
    assert int(harness.run("messes").output) == first
    umask = os.umask(0)
    os.umask(umask)
    exited = harness.run("looks")
    heard, _, seen = exited.output.partition(b"\n")
    assert heard == b"heard"
    assert json.loads(seen) == [first, str(Path.cwd()), None, "task-7", umask, True, None]


@pytest.mark.parametrize("handler", ["fails", "closes", "leaves_thread"])
def test_it_is_replaced_after_an_end_that_was_not_clean(harness: Harness, handler: str) -> None:
    first = harness.pid()
    harness.run(handler)
    assert harness.pid() != first
    assert not alive(first)


def test_what_a_handler_leaves_behind_is_killed(harness: Harness, tmp_path: Path) -> None:
    exited = harness.run("leaves_child", str(tmp_path / "pid"))
    assert exited.code == 0
    child = read_number(tmp_path / "pid")
    assert not alive(child)
    assert not alive(int(exited.output))


def test_a_forked_handler_returns_once(harness: Harness) -> None:
    assert harness.run("forks").output == b"from the parent"
    assert harness.run("returns", "next").output == b"next"


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
    harness.pid()
    for number in range(50):
        harness.start("pid", None, number)
    assert len({harness.exited().output for _ in range(50)}) == 1
    for number in range(3):
        harness.start("sleeps", str(tmp_path / str(number)), number)
    for number in range(3):
        read_number(tmp_path / str(number))


def test_it_is_replaced_after_many_runs(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler_pool, "MOST_RUNS", 3)
    pids = [harness.pid() for _ in range(7)]
    assert [len({*pids[:3]}), len({*pids[3:6]}), len({*pids})] == [1, 1, 3]
    assert all(map(gone, pids[:6])), "what is not needed any more has ended"


def test_it_ends_when_it_has_nothing_to_do(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler_pool, "IDLE", 0.2)
    assert gone(harness.pid())
    assert harness.run("returns", "again").output == b"again"


def test_a_free_process_that_is_killed_is_replaced(harness: Harness) -> None:
    first = harness.pid()
    os.kill(first, signal.SIGKILL)
    assert gone(first)
    time.sleep(0.1)
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
        assert exited.output.startswith(b"no process for the handler, exit status ")
    monkeypatch.setattr("sys.executable", "/missing/python")
    assert b"/missing/python" in harness.run("echo").output


# ---------------------------------------------------------------- killed


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


def test_grace(harness: Harness, tmp_path: Path) -> None:
    harness.start("obliging", str(tmp_path / "pid"))
    process = read_number(tmp_path / "pid")
    harness.runner.kill(1, 60)
    exited = harness.exited()
    assert (exited.code, exited.output) == (0, b"cleaned up")
    assert not alive(process), "who was asked to end is not used again"


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
    assert exited.seconds < PATIENCE
    assert not alive(child)


# ---------------------------------------------------------------- mwapp handlers


def test_list(
    distribution: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(distribution))
    assert mwapp(["handlers", "--output", "json"]) == 0
    found = {it["handler"]: it for it in json.loads(capsys.readouterr().out)}
    assert found["returns"] == {
        "handler": "returns",
        "module": "trouble:returns",
        "distribution": "trouble 1.5",
        "description": "Gives back what it is given.",
        "problem": None,
    }
    assert found["missing_module"]["problem"].startswith("cannot be loaded: ModuleNotFoundError")
    assert mwapp(["handlers"]) == 0
    table = capsys.readouterr().out
    assert re.search(r"^returns +trouble:returns +trouble 1.5 +Gives back what it is given.$", table, re.M)
    assert "cannot be loaded" in table


def test_a_name_that_two_offer_is_used_by_nobody(
    harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    info = tmp_path / "other-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[mwapp.handlers]\necho = mwapp.handlers:echo\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    exited = harness.run("echo")
    assert exited.code is None
    assert re.fullmatch(
        rb"handler 'echo' is offered by several distributions: mwapp \S+, other 1", exited.output
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert mwapp(["handlers"]) == 0
    assert capsys.readouterr().out.count("several distributions offer it") == 2
