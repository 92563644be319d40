"""What the logs tell comes before the traceback, whichever process has run the test."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HOOKS = """
from tests.integration.conftest import pytest_runtest_makereport, pytest_runtest_setup
"""
TESTS = """
import pytest
from testbed import evidence

@pytest.fixture
def broken():
    evidence.note("SIGKILL to zk1")
    raise ValueError("the traceback's end")

def test_fails():
    evidence.note("SIGKILL to zk1")
    print("what was captured")
    try:
        raise KeyError
    except KeyError as problem:
        raise ValueError("the traceback's end") from problem

def test_is_not_set_up(broken):
    pass

def test_passes():
    evidence.note("SIGKILL to zk2")
"""


@pytest.mark.processes
@pytest.mark.parametrize("workers", ["0", "1"])
def test_what_servers_told_is_shown_first(tmp_path: Path, workers: str) -> None:
    (tmp_path / "conftest.py").write_text(HOOKS)
    (tmp_path / "test_it.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-n", workers, "test_it.py"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    story = (
        "--- servers and daemons",
        "SIGKILL to zk1",
        "These are 1 of 1 lines",
        "Error",
        "traceback's end",
    )
    _, broken, fails = done.stdout.partition("short test summary")[0].split("\n____")
    for shown in (broken, fails):
        places = [shown.find(words) for words in story]
        assert places == sorted(places), shown
        assert -1 not in places, shown
    assert "Captured stdout" in fails.partition("traceback's end")[2]
    assert "zk2" not in done.stdout
    assert "FAILED test_it.py::test_fails - ValueError: the traceback's end" in done.stdout
