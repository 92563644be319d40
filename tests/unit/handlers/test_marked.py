"""Functions with @handler: found by name, given arguments by name, their results apart from their output."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from mwapp.execution.handler_process import MOST_RESULT
from mwapp.execution.output import Output
from tests.unit.handlers.harness import Harness, returned

pytestmark = pytest.mark.processes

MODULE = """
import os, sys
from mwapp import handler

@handler
def add(x, y=2):
    return x + y

@handler
def prints(text, value=None):
    print(text, end="")
    os.write(1, b"raw")
    return value

@handler
def large(size, of="x"):
    return of * size

@handler
def keys():
    return [{1: "a", "1": "b"}]

@handler
def leaves():
    sys.exit(3)

def plain(argument, run):
    return argument
"""


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    home = tmp_path_factory.mktemp("marked")
    (home / "marked.py").write_text(MODULE)
    (home / "broken.py").write_text("1 / 0\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", f"{home}:{Path(__file__).parents[3]}")
        harness = Harness()
        yield harness
        harness.runner.kill_all()


def test_it_is_given_its_arguments_by_name(marked: Harness) -> None:
    exited = marked.run("marked:add", {"x": 1})
    assert (exited.code, exited.output, exited.result) == (0, b"", "3")
    assert returned(marked.run("marked:add", {"y": 1, "x": 0})) == 1
    assert marked.run("marked:leaves", {}).code == 3


def test_keys_that_would_be_one_are_no_result(marked: Harness) -> None:
    exited = marked.run("marked:keys", {})
    assert (exited.code, exited.result) == (1, None)
    assert (
        exited.reason
        == "the result cannot be written as JSON: two keys of a dict are '1' there: keys are text"
    )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        ("ä\u2028\n", '"ä\u2028\\n"'),
        ("half a \ud800", '"half a \\ud800"'),
        ([1, {"a": '"'}], '[1, {"a": "\\""}]'),
    ],
)
def test_its_result_is_apart_from_what_it_prints(marked: Harness, value: object, text: str) -> None:
    exited = marked.run("marked:prints", {"text": "printed\n", "value": value})
    assert (exited.output, exited.result) == (b"printed\nraw", text)
    assert returned(exited) == value


@pytest.mark.parametrize(
    ("name", "argument", "why"),
    [
        ("marked:absent", {}, "handler marked:absent (marked:absent) cannot be loaded: AttributeError"),
        ("marked:plain", {}, "marked:plain is not a handler: write @handler above its definition"),
        ("absent:add", {}, "cannot be loaded: ModuleNotFoundError: No module named 'absent'"),
        ("broken:add", {}, "cannot be loaded: ZeroDivisionError: division by zero"),
        ("no module:add", {}, "unknown handler 'no module:add'"),
        ("marked:", {}, "unknown handler 'marked:'"),
        ("marked:add", {}, "TypeError: add() missing 1 required positional argument: 'x'"),
        ("marked:add", [1], "argument after ** must be a mapping, not list"),
        (
            "marked:large",
            {"size": MOST_RESULT},
            f"the result has {MOST_RESULT + 2} bytes of JSON, the limit is",
        ),
    ],
)
def test_what_cannot_run_says_why(marked: Harness, name: str, argument: object, why: str) -> None:
    exited = marked.run(name, argument)
    assert exited.code in (None, 1)
    assert why in exited.output.decode() + (exited.reason or "")


def test_the_largest_result_is_kept_whole(marked: Harness) -> None:
    """Also if its JSON has to be written as JSON once more, which takes twice as much."""
    for character in ("x", '"'):
        size = (MOST_RESULT - 2) // len(json.dumps(character)[1:-1])
        assert returned(marked.run("marked:large", {"size": size, "of": character})) == size * character


def test_lines() -> None:
    output = Output()
    output.write_line("first")
    output.write(b"second")
    output.write_line("third")
    assert output.value() == b"first\nsecond\nthird\n"
