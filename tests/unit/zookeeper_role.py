"""Import what the role zookeeper brings along, the way Ansible does: as parts of ``ansible.module_utils``."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import ansible.module_utils

from tests.unit import ansible_module

ROLE = Path(__file__).parents[2] / "roles/zookeeper"


def load(name: str) -> Any:
    """One of the role's module_utils."""
    directory = str(ROLE / "module_utils")
    if directory not in ansible.module_utils.__path__:
        ansible.module_utils.__path__.append(directory)
    return importlib.import_module(f"ansible.module_utils.{name}")


def load_file(path: str) -> Any:
    """One of the role's modules or filters, by its path below the role."""
    load("zookeeper_rules")  # puts the directory on the path
    return ansible_module.load(ROLE / path)
