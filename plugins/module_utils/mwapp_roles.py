"""The services of the application, and where they keep data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_settings import is_true

# In the order in which they go: while workers give their tasks back, nobody should hand these out again.
ROLES = ("master", "node", "worker")
# Of handlers and commands, if they may keep any: mwapp_task_user's.
DATA = "/var/lib/mwapp"


def written(its: Mapping[str, Any]) -> list[str]:
    """The directories that handlers and commands may write into, by the role's variables for a host."""
    own = [DATA] if is_true(its["mwapp_data_directory"]) else []
    return [*own, *map(str, its["mwapp_writable_paths"])]
