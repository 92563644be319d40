"""What people read has none of the words that CONTRIBUTING replaces by plain ones."""

import re
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
READ = (
    *(
        "README.md",
        "CHANGELOG.md",
        "docs",
        "meta",
        "roles",
        "plugins",
        "playbooks",
        "inventory",
        "mwapp",
        "demo",
    ),
    *("lab", "examples"),
)
KINDS = {".md", ".py", ".yml", ".j2", ".cfg"}
QUAINT = re.compile(r"\b(bears?|bore|whomever|amiss|wish(?:es)?|homeless|office)\b", re.IGNORECASE)


@pytest.mark.parametrize("top", READ)
def test_no_word_makes_a_reader_stumble(top: str) -> None:
    root = PROJECT / top
    files = [root] if root.is_file() else [path for path in root.rglob("*") if path.suffix in KINDS]
    assert files
    for file in files:
        for number, line in enumerate(file.read_text().splitlines(), 1):
            assert not QUAINT.search(line), f"{file}:{number}: {line}"
