"""scripts/beside: the proof runs on what the tests of hosts leave of the processors."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.processes
BESIDE = str(Path(__file__).parents[2] / "scripts/beside")


def beside(behind: str, front: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([BESIDE, behind, front], capture_output=True, text=True, timeout=120)


def gone(pid: int) -> bool:
    """Also if nobody has waited for it yet."""
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def once(what: Callable[[], bool]) -> bool:
    """Wait for it: who only gets what others leave takes a while to end."""
    until = time.monotonic() + 120
    while not what() and time.monotonic() < until:
        time.sleep(0.05)
    return what()


def test_what_gives_way_is_shown_at_the_end(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    done = beside(f"nice; touch {seen}", f"echo first; while [ ! -e {seen} ]; do sleep 0.05; done")
    assert (done.returncode, done.stdout) == (0, "first\n19\n")


def test_what_gives_way_takes_its_part_when_the_other_is_done(tmp_path: Path) -> None:
    """As much as its caller."""
    seen = tmp_path / "seen"
    gives_way = "[ $(nice) = 19 ]"
    behind = f"{gives_way} && touch {seen}; for _ in {{1..1200}}; do {gives_way} && sleep 0.05; done; nice"
    done = beside(behind, f"while [ ! -e {seen} ]; do sleep 0.05; done")
    assert (done.returncode, done.stdout) == (0, f"{os.nice(0)}\n")


def test_each_failure_counts(tmp_path: Path) -> None:
    assert beside("exit 3", "true").returncode == 3
    said = tmp_path / "said"
    done = beside(
        f"echo so far; touch {said}; sleep 600", f"while [ ! -e {said} ]; do sleep 0.05; done; exit 4"
    )
    assert (done.returncode, done.stdout) == (4, "so far\n")


@pytest.mark.parametrize("broken_off", [False, True])
def test_nothing_is_left(tmp_path: Path, broken_off: bool) -> None:
    """Whether the other fails, or somebody ends the whole."""
    pid = tmp_path / "pid"
    behind = f"sleep 600 & echo $! >{pid}.new; mv {pid}.new {pid}; wait"
    front = f"while [ ! -e {pid} ]; do sleep 0.05; done; " + ("sleep 600" if broken_off else "exit 4")
    run = subprocess.Popen([BESIDE, behind, front], start_new_session=True)
    assert once(pid.exists)
    if broken_off:
        os.killpg(run.pid, signal.SIGTERM)
    assert run.wait(timeout=120) != 0
    assert once(lambda: gone(int(pid.read_text())))


def test_it_wants_two_commands() -> None:
    done = subprocess.run([BESIDE, "true"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (2, "usage: scripts/beside COMMAND COMMAND\n")
