"""What must be so of every task of the roles and playbooks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).parents[2]
FILES = [*PROJECT.glob("roles/*/tasks/*.yml"), *PROJECT.glob("playbooks/*.yml")]


def tasks(value: Any) -> Iterator[dict[str, Any]]:
    """All that are anywhere below."""
    if isinstance(value, list):
        for one in value:
            yield from tasks(one)
    elif isinstance(value, dict):
        yield value
        for one in value.values():
            yield from tasks(one)


def test_what_runs_on_the_controller_needs_no_root_whatever_the_inventory_says() -> None:
    """The keyword become is less than the variable ansible_become of an inventory."""
    here = [
        (path.name, task)
        for path in FILES
        for task in tasks(yaml.safe_load(path.read_text()))
        if task.get("delegate_to") == "localhost"
    ]
    assert len(here) == 5
    for name, task in here:
        assert task["vars"]["ansible_become"] is False, (name, task["name"])
