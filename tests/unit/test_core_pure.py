"""The core does no I/O and reads no clock: what it knows of the world it is told."""

import ast
from pathlib import Path

import pytest

from mwapp import core

# Of the standard library it needs what calculates and what describes; logging is told, and not asked.
HARMLESS = {"collections", "dataclasses", "enum", "functools", "heapq", "itertools", "json", "math", "re"}
FILES = sorted(Path(core.__path__[0]).glob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_imports(file: Path) -> None:
    imported: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            imported |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or "")
    foreign = {name for name in imported if not name.startswith("mwapp.core")}
    assert {name.partition(".")[0] for name in foreign} <= HARMLESS | {"logging", "typing"}
