"""Runners that find the handlers of trouble.py."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.handlers import trouble
from tests.unit.handlers.harness import Harness
from tests.unit.patience import patient

__all__ = ["patient"]

# Where the code under test is: its processes are to be of the same checkout as we.
ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def distribution(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where it is installed."""
    home = tmp_path_factory.mktemp("site")
    trouble.install(home)
    return home


@pytest.fixture
def harness(distribution: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    """For one test; no thread of it may be left."""
    monkeypatch.setenv("PYTHONPATH", f"{distribution}:{ROOT}")
    before = set(threading.enumerate())
    harness = Harness()
    yield harness
    harness.runner.kill_all()
    assert not set(threading.enumerate()) - before, "a thread was leaked"


@pytest.fixture(scope="module")
def shared(distribution: Path) -> Iterator[Harness]:
    """For tests that leave it as it was: a process takes its time to start."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{distribution}:{ROOT}")
        harness = Harness()
        yield harness
        harness.runner.kill_all()
