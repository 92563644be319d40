"""The core does no I/O, reads no clock and draws nothing: all of that is handed in."""

import ast
from pathlib import Path

import pytest

CORE = sorted((Path(__file__).parents[2] / "mwapp" / "core").glob("*.py"))
# `logging` writes, but tells the core nothing.
ALLOWED = {
    *("collections", "dataclasses", "enum", "functools", "heapq", "itertools", "typing"),
    *("json", "logging", "math", "re"),
}


def imported(source: str) -> set[str]:
    """Modules, with what is in them where that may be a module, too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
    return found


def test_what_is_imported_is_found() -> None:
    source = "import os.path, json as j\ndef f():\n    from time import time\n    from . import zk\n"
    assert imported(source) == {"os.path", "json", "time", "."}


@pytest.mark.parametrize("path", CORE, ids=lambda path: path.stem)
def test_the_core_imports_nothing_that_does_io(path: Path) -> None:
    modules = imported(path.read_text())
    own = {name for name in modules if name.startswith("mwapp.core.")}
    assert {name.partition(".")[0] for name in modules - own} <= ALLOWED


def test_the_core_calls_no_builtin_that_does_io() -> None:
    for path in CORE:
        names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        assert names.isdisjoint({"open", "print", "input", "exec", "eval", "__import__"}), path.name
