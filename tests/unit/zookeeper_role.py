"""Import what the role zookeeper brings along, the way Ansible does: as parts of the collection."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from tests.unit import ansible_module

PROJECT = Path(__file__).parents[2]
ROLE = PROJECT / "roles/zookeeper"


def load(name: str) -> Any:
    """One of the module_utils."""
    return importlib.import_module(f"ansible_collections.zklab.zookeeper.plugins.module_utils.{name}")


def load_file(path: str) -> Any:
    """One of the modules, actions or filters, by its path below plugins/."""
    return ansible_module.load(PROJECT / "plugins" / path)
