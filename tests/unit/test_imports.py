"""Who may import whom: the core nothing that does I/O, and what reports faults nothing that makes them."""

import ast
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# `logging` writes, but tells the core nothing.
PURE = {
    "bisect",
    *("collections", "dataclasses", "enum", "functools", "heapq", "itertools", "typing"),
    *("json", "logging", "math", "re", "zlib"),
}
OURS = {path.parent.name for path in ROOT.glob("*/__init__.py")}
# What each may know of ours, besides itself.
KNOWS: dict[str, set[str]] = {
    "chaos": {"lab", "mwapp", "testbed"},
    "demo": {"chaos", "lab", "drawing", "mwapp", "testbed"},
    "demo/report": {"drawing"},
    "drawing": set(),
    "lab": set(),
    "mwapp": set(),
    "mwapp/core": set(),
}
# Tests are for nobody but tests.
WITHOUT_TESTS = (
    "bench",
    "examples",
    "molecule",
    "playbooks",
    "plugins",
    "roles",
    "scripts",
    "testbed",
    *KNOWS,
)


def imported(source: str) -> set[str]:
    """Modules, with what is in them where that may be a module, too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
    return found


def foreign(package: str) -> Iterable[str]:
    """What the files of a package import that is not in it."""
    inside = package.replace("/", ".")
    for file in (ROOT / package).rglob("*.py"):
        for name in imported(file.read_text()):
            if name != inside and not name.startswith(f"{inside}."):
                yield name


def test_what_is_imported_is_found() -> None:
    source = "import os.path, json as j\ndef f():\n    from time import time\n    from . import zk\n"
    assert imported(source) == {"os.path", "json", "time", "."}


@pytest.mark.parametrize("package", KNOWS)
def test_a_package_knows_no_other_of_ours(package: str) -> None:
    assert {name.partition(".")[0] for name in foreign(package)} & OURS == KNOWS[package]


@pytest.mark.parametrize("package", WITHOUT_TESTS)
def test_what_tests_share_is_not_in_tests(package: str) -> None:
    assert "tests" not in {name.partition(".")[0] for name in foreign(package)}


def test_the_core_imports_nothing_that_does_io() -> None:
    assert {name.partition(".")[0] for name in foreign("mwapp/core")} <= PURE


def test_the_core_calls_no_builtin_that_does_io() -> None:
    for path in (ROOT / "mwapp/core").rglob("*.py"):
        names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        assert names.isdisjoint({"open", "print", "input", "exec", "eval", "__import__"}), path.name
