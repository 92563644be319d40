"""What a handler is given, and what comes of whatever it gives."""

import time
from pathlib import Path
from typing import Any

import pytest

from mwapp.core.messages import Run
from mwapp.core.task import Task
from mwapp.execution import warm_process
from testbed.waiting import LONGEST_WAIT, wait_for
from tests.unit.handlers.harness import Harness, returned

pytestmark = pytest.mark.processes


@pytest.mark.parametrize(
    ("argument", "result"),
    [
        (None, None),
        ("text", '"text"'),
        ({"a": [1, None, "ä"]}, '{"a": [1, null, "ä"]}'),
        ("ends in half a \ud800 character", '"ends in half a \\ud800 character"'),
    ],
)
def test_what_is_returned_is_the_result_and_not_the_output(
    shared: Harness, argument: Any, result: str | None
) -> None:
    exited = shared.run("returns", argument)
    assert (exited.run, exited.code, exited.output, exited.result) == (1, 0, b"", result)
    assert 0 < exited.seconds < LONGEST_WAIT


def test_echo_comes_with_mwapp(shared: Harness) -> None:
    assert returned(shared.run("echo", "hello")) == "hello"


def test_a_large_argument(shared: Harness) -> None:
    exited = shared.run("counts", "x" * 500_000)
    assert (exited.code, exited.result) == (0, "500000")


def test_an_argument_nested_too_deeply_is_refused(shared: Harness) -> None:
    argument: list[Any] = []
    for _ in range(100_000):
        argument = [argument]
    exited = shared.run("returns", argument)
    assert (exited.code, exited.reason) == (None, "task field 'argument' is nested too deeply")


def test_it_knows_which_run_it_is(shared: Harness) -> None:
    assert returned(shared.run("who")) == ["task-7", 2, 3, 4, "w1", [3, 2]]


def test_the_task_s_environment_is_over_the_daemon_s_and_the_run_s_over_both(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OWN", "the daemon's")
    monkeypatch.setenv("MWAPP_EPOCH", "the daemon's")
    exited = harness.run("looks", environment={"OWN": "the task's"})
    assert returned(exited)[6] == "the task's"
    forged = {"MWAPP_EPOCH": "9", "MWAPP_ATTEMPT": "9", "MWAPP_TASK": "forged"}
    assert returned(harness.run("who", environment=forged))[:3] == ["task-7", 2, 3]


def test_a_program_that_it_starts_cannot_answer_for_it(shared: Harness) -> None:
    exited = shared.run("starts_a_meddler")
    assert (exited.code, exited.result) == (0, '"all is well"')


def test_what_is_printed_is_output_too(shared: Harness) -> None:
    exited = shared.run("prints")
    assert (exited.output, exited.result) == (b"out\nerr\nraw\nchild\n", '"returned"')


def test_a_flood_is_bounded(shared: Harness) -> None:
    exited = shared.run("flood", 100)
    assert (exited.code, exited.truncated) == (0, True)
    assert b"[... 99999000 bytes left out ...]" in exited.output
    assert shared.run("returns", "x" * 1000).truncated is False


def test_what_is_too_much_to_return_or_no_json_fails_with_that_reason(shared: Harness) -> None:
    exited = shared.run("large", 40_000)
    assert (exited.code, exited.output, exited.result) == (1, b"", None)
    assert exited.reason == (
        "the result has 40002 bytes of JSON, the limit is 32000: store it elsewhere and return where it is"
    )
    why = "the result cannot be written as JSON: Object of type set is not JSON serializable"
    assert shared.run("unjson").reason == why
    endless = shared.run("returns_endless")
    assert (endless.code, endless.result) == (1, None)
    assert (endless.reason or "").startswith("the result cannot be written as JSON: Out of range float")


def test_all_of_its_output_is_its_own_be_the_pipe_as_large_as_may_be(shared: Harness, tmp_path: Path) -> None:
    shared.start("enlarges", str(tmp_path))
    wait_for("it runs", lambda: (tmp_path / "runs").exists())
    with shared.held():  # so all that it writes is there when its reply is
        (tmp_path / "go").touch()
        wait_for("it has written", lambda: (tmp_path / "wrote").exists())
        time.sleep(0.1)
    assert b"[... 899000 bytes left out ...]" in shared.exited().output
    assert returned(shared.run("returns", "the next")) == "the next"


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
        ("leaves", 3, 3, ""),
        ("leaves", 259, 3, ""),
        ("leaves", "why it leaves", 1, "why it leaves"),
        ("leaves", None, 0, ""),
        ("dies", 5, 5, "last words\n"),
        ("dies", 0, 1, "last words\nthe handler ended its process before it returned\n"),
        ("segfault", None, -11, "Segmentation fault"),
        ("is_killed", None, -9, "last words\n"),
    ],
)
def test_failures(
    shared: Harness, monkeypatch: pytest.MonkeyPatch, handler: str, argument: Any, code: int, said: str
) -> None:
    monkeypatch.setattr(warm_process, "LAST_WORDS", LONGEST_WAIT)
    exited = shared.run(handler, argument)
    assert (exited.code, exited.reason) == (code, None)
    assert said in exited.output.decode(), exited
    assert returned(shared.run("returns", "and on")) == "and on"


CLOSED = "mwapp killed it: its process closed the channel to its worker; close only what the handler opened"
MEDDLED = "mwapp killed it: its process wrote to the channel to its worker; use only what the handler opened"


@pytest.mark.parametrize(
    ("handler", "argument", "reason"),
    [
        ("closes_all", None, CLOSED),
        ("meddles", None, MEDDLED),
        ("meddles", "no JSON\n", MEDDLED),
        ("meddles", '{"code":0,"clean":true}\n', MEDDLED),
        ("meddles", '{"code":0,"clean":true}\n{"code":0,"clean":true}\n', MEDDLED),
    ],
)
def test_whoever_takes_the_channel_is_killed_and_told_why(
    shared: Harness, handler: str, argument: Any, reason: str
) -> None:
    exited = shared.run(handler, argument)
    assert (exited.code, exited.reason) == (-9, reason)
    assert returned(shared.run("returns", "and on")) == "and on"


def test_a_process_that_fails_by_itself_has_its_own_status(
    shared: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its channel ends before it does. Here it lacks what each run is told."""
    monkeypatch.setattr(warm_process, "LAST_WORDS", LONGEST_WAIT)
    shared.runner.start(Run(1, Task(handler="returns"), {}))
    exited = shared.exited()
    assert (exited.code, exited.reason) == (1, None)
    assert exited.output.endswith(b"KeyError: 'MWAPP_TASK'\n")


@pytest.mark.parametrize(
    ("handler", "reason"),
    [
        (
            "nothing",
            "unknown handler 'nothing'; known handlers: cannot_end, closes, closes_all, counts, dies, echo, ",
        ),
        (
            "missing_module",
            "handler missing_module (nowhere:x) cannot be loaded: ModuleNotFoundError: No module",
        ),
        (
            "leaving_module",
            "handler leaving_module (leaving:x) cannot be loaded: SystemExit: not on this machine",
        ),
        ("missing_function", "handler missing_function (trouble:nothing) cannot be loaded: AttributeError"),
    ],
)
def test_what_cannot_be_run_says_why(shared: Harness, handler: str, reason: str) -> None:
    exited = shared.run(handler)
    assert exited.code is None
    assert (exited.reason or "").startswith(reason)


def test_directory_and_environment(shared: Harness, tmp_path: Path) -> None:
    seen = returned(shared.run("looks", directory=str(tmp_path), environment={"OWN": "mine"}))
    assert (seen[1], seen[6]) == (str(tmp_path), "mine")
    assert returned(shared.run("looks"))[6] is None
    exited = shared.run("looks", directory=str(tmp_path / "missing"))
    assert exited.code is None
    assert exited.reason == (
        f"task field 'directory': cannot run in {tmp_path / 'missing'}: No such file or directory"
    )
