"""The examples: later runs win, in whatever order they write."""

import importlib.util
import os
import sqlite3
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from mwapp.handlers import Run

EXAMPLES = Path(__file__).parents[2] / "examples"
# (epoch, attempt) of the runs of one task, in the order of their beginning; and orders in which they write.
TOKENS = [(None, 1), (1, 2), (1, 3), (4, 4)]
ORDERS = [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 2, 3, 0)]


def load() -> Any:
    spec = importlib.util.spec_from_file_location(
        "example_handlers", EXAMPLES / "handlers/example_handlers.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


handlers = load()


def run(token: tuple[int | None, int], task: str = "task-1") -> Run:
    return Run(task, token[1], token[0], 0, "w1")


def test_the_distribution_names_its_handlers() -> None:
    project = tomllib.loads((EXAMPLES / "handlers/pyproject.toml").read_text())["project"]
    for name, target in project["entry-points"]["mwapp.handlers"].items():
        assert target == f"example_handlers:{name}"
        assert callable(getattr(handlers, name))


def test_wordcount() -> None:
    counted = handlers.wordcount({"text": "two words\nand three more"}, run((1, 1)))
    assert counted == {"lines": 2, "words": 5, "characters": 24}


@pytest.mark.parametrize("order", ORDERS)
def test_record(tmp_path: Path, order: tuple[int, ...]) -> None:
    latest = -1
    for index in order:
        argument = {"store": str(tmp_path / "store"), "value": index}
        if index >= latest:
            handlers.record(argument, run(TOKENS[index]))
            latest = index
        else:
            with pytest.raises(handlers.SupersededError):
                handlers.record(argument, run(TOKENS[index]))
    handlers.record({"store": str(tmp_path / "store"), "value": "another's"}, run((0, 1), "task-2"))
    with sqlite3.connect(tmp_path / "store") as store:
        assert store.execute("SELECT task, value FROM record ORDER BY task").fetchall() == [
            ("task-1", "3"),
            ("task-2", '"another\'s"'),
        ]
    store.close()


@pytest.mark.processes
@pytest.mark.parametrize("order", ORDERS)
def test_fenced_write(tmp_path: Path, order: tuple[int, ...]) -> None:
    latest = -1
    for index in order:
        epoch, attempt = TOKENS[index]
        token = {"MWAPP_EPOCH": "" if epoch is None else str(epoch), "MWAPP_ATTEMPT": str(attempt)}
        done = subprocess.run(
            [EXAMPLES / "fenced-write", tmp_path / "file"],
            input=f"{index}\n",
            env=os.environ | token | {"MWAPP_TASK": "task-1"},
            capture_output=True,
            text=True,
            check=False,
        )
        expected = (0, "") if index >= latest else (75, "fenced-write: attempt")
        assert (done.returncode, done.stderr[: len(expected[1])]) == expected, done.stderr
        latest = max(latest, index)
    assert (tmp_path / "file").read_text() == "3\n"
    assert {file.name for file in tmp_path.iterdir()} == {"file", "file.token", "file.lock"}
