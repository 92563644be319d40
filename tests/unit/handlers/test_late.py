"""A handler begins before its worker's session can be over, or not at all."""

from pathlib import Path

import pytest

from mwapp import clock
from mwapp.core.messages import Exited, Run
from mwapp.core.task import Task
from tests.unit.handlers.harness import TOKEN, Harness
from tests.unit.handlers.trouble import SLOW

pytestmark = pytest.mark.processes


def run(harness: Harness, handler: str, seconds: float, argument: str = "") -> Exited:
    task = Task(handler=handler, argument=argument)
    harness.runner.start(Run(1, task, TOKEN, clock.now() + seconds))
    return harness.exited()


def test_its_process_is_ready_too_late(harness: Harness) -> None:
    exited = run(harness, "pid", 0.001)  # to start one takes longer
    assert (exited.run, exited.begun, exited.code) == (1, False, None)
    first = run(harness, "pid", 60)
    assert (first.run, first.begun, first.code) == (1, True, 0)


def test_to_import_it_takes_too_long(harness: Harness, tmp_path: Path) -> None:
    process = harness.pid()
    begun = tmp_path / "begun"
    exited = run(harness, "slow", SLOW / 2, str(begun))
    assert (exited.begun, exited.code) == (False, None)
    assert not begun.exists()
    # The process that has imported it now is used again.
    assert run(harness, "slow", 60, str(begun)).code == 0
    assert begun.exists()
    assert harness.pid() == process
