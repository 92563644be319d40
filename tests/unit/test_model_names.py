"""Every invariant of docs/protocol.md is in the model, or the page says why it is not."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
NAME = re.compile(r"`([a-z]+(?:-[a-z]+)+|drain)`")


def _section(heading: str) -> str:
    page = (DOCS / "protocol.md").read_text()
    return page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def _table() -> list[str]:
    rows = [line for line in _section("What holds at every zxid").splitlines() if line.startswith("| `")]
    return [name for row in rows for name in NAME.findall(row.split("|")[1])]


def _not_stated() -> list[str]:
    listed = re.findall(r"^- (`.*?):", _section("A second opinion"), re.MULTILINE | re.DOTALL)
    return [name for names in listed for name in NAME.findall(names)]


def _stated() -> set[str]:
    """What some step of the model checks."""
    steps = "".join(file.read_text() for file in (DOCS / "model").glob("*.pml"))
    return {name.replace("_", "-") for name in re.findall(r"\bHOLDS\((\w+), ", steps)} - {"invariant"}


def test_the_model_states_every_invariant_or_the_page_says_why_not() -> None:
    table, not_stated, stated = _table(), _not_stated(), _stated()
    assert len(table) > 30
    assert sorted([*stated, *not_stated]) == sorted(table)
