"""Commands: started, followed, killed with all they started, and never waited for in vain."""

import os
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from mwapp.core.messages import Exited, Run
from mwapp.runner import Output, Runner

PATIENCE = 10.0


class Harness:
    """A runner and what it tells."""

    def __init__(self, limit: int = 1000) -> None:
        self.told: queue.SimpleQueue[Exited] = queue.SimpleQueue()
        self.runner = Runner(self.told.put, limit)

    def start(self, command: str, number: int = 1, environment: dict[str, str] | None = None) -> None:
        self.runner.start(Run(number, command, environment or {}))

    def exited(self) -> Exited:
        return self.told.get(timeout=PATIENCE)

    def run(self, command: str, **environment: str) -> Exited:
        self.start(command, environment=environment)
        return self.exited()


@pytest.fixture
def harness() -> Iterator[Harness]:
    before = threading.active_count()
    harness = Harness()
    yield harness
    harness.runner.kill_all()
    end = time.monotonic() + PATIENCE
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() == before, "a thread was leaked"


def alive(pid: int) -> bool:
    """Whether the process runs (a zombie nobody reaps does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def read_number(path: Path) -> int:
    end = time.monotonic() + PATIENCE
    while not (path.exists() and path.read_text().strip()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return int(path.read_text())


def test_output_and_status(harness: Harness) -> None:
    exited = harness.run("echo out; echo err >&2; exit 7")
    assert (exited.run, exited.code, exited.truncated) == (1, 7, False)
    assert exited.output == b"out\nerr\n"
    assert 0 < exited.seconds < PATIENCE


def test_signal(harness: Harness) -> None:
    assert harness.run("kill -TERM $$").code == -15


def test_environment_and_input(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/systemd/notify")
    monkeypatch.setenv("KEPT", "kept")
    exited = harness.run('cat; echo "$KEPT $MWAPP_TASK [$NOTIFY_SOCKET]"', MWAPP_TASK="task-1")
    assert exited.output == b"kept task-1 []\n"


@pytest.mark.parametrize("command", ["nul\0", "x" * 3_000_000])
def test_cannot_be_started(harness: Harness, command: str) -> None:
    exited = harness.run(command)
    assert exited.code is None
    assert exited.output


def test_kill_takes_the_whole_group(harness: Harness, tmp_path: Path) -> None:
    harness.start(f"trap '' TERM; (trap '' TERM; sleep 600 & echo $! > {tmp_path}/pid; wait) & wait")
    grandchild = read_number(tmp_path / "pid")
    harness.runner.kill(1)
    assert harness.exited().code == -9
    assert not alive(grandchild)


def test_what_the_shell_leaves_in_its_group_is_killed(harness: Harness, tmp_path: Path) -> None:
    exited = harness.run(f"sleep 600 & echo $! > {tmp_path}/pid; echo done")
    assert (exited.code, exited.output) == (0, b"done\n")
    assert exited.seconds < 5
    assert not alive(read_number(tmp_path / "pid"))


def test_who_left_the_group_and_keeps_the_output_open_is_not_waited_for(
    harness: Harness, tmp_path: Path
) -> None:
    exited = harness.run(f"setsid sleep 600 & echo $! > {tmp_path}/pid; sleep 0.1; echo done")
    try:
        assert (exited.code, exited.output) == (0, b"done\n")
        assert exited.seconds < 5
    finally:
        os.kill(read_number(tmp_path / "pid"), 9)


def test_closed_output_is_no_end(harness: Harness) -> None:
    exited = harness.run("echo before; exec >&- 2>&-; sleep 0.2; exit 4")
    assert (exited.code, exited.output) == (4, b"before\n")
    assert exited.seconds >= 0.2


def test_kill_before_the_start(harness: Harness) -> None:
    for number in range(20):
        harness.start("sleep 600", number)
        harness.runner.kill(number)
    assert sorted(harness.exited().run for _ in range(20)) == list(range(20))


def test_unknown_run(harness: Harness) -> None:
    harness.runner.kill(99)


def test_many_at_once(harness: Harness) -> None:
    for number in range(30):
        harness.start(f"echo {number}", number)
    assert {(e.run, e.output) for e in (harness.exited() for _ in range(30))} == {
        (n, f"{n}\n".encode()) for n in range(30)
    }


def test_long_output_keeps_its_ends(harness: Harness) -> None:
    exited = harness.run("echo first; head -c 5000000 /dev/zero | tr '\\0' x; echo; echo last")
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
