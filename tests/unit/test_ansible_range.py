"""What is said of the supported ansible-core is what is tested."""

import re
from pathlib import Path

import pytest
import yaml

PROJECT = Path(__file__).parents[2]


def pinned(file: str) -> str:
    """The ansible-core pinned in a file of requirements."""
    found = re.search(r"^ansible-core==(\d+\.\d+)\.", (PROJECT / file).read_text(), re.MULTILINE)
    assert found, file
    return found[1]


@pytest.mark.parametrize("role", ["zookeeper", "mwapp"])
def test_the_oldest_is_what_the_roles_say(role: str) -> None:
    meta = yaml.safe_load((PROJECT / "roles" / role / "meta/main.yml").read_text())
    assert meta["galaxy_info"]["min_ansible_version"] == pinned("requirements-oldest.txt")


def test_the_oldest_is_what_the_collection_says() -> None:
    runtime = yaml.safe_load((PROJECT / "meta/runtime.yml").read_text())
    assert runtime["requires_ansible"] == f">={pinned('requirements-oldest.txt')}.0"


def test_readers_are_told_the_range() -> None:
    said = f"ansible-core {pinned('requirements-oldest.txt')} to {pinned('requirements.txt')}"
    assert said in (PROJECT / "README.md").read_text()
