"""The variables that make a server's configuration, in one table.

How preflight reads a variable and which values it refuses, the variable's line in zoo.cfg, and that
zookeeper_config must not have its key: all of that follows from here. So a new setting is one line of this
table, its description in the role's meta/argument_specs.yml, and its value in defaults/main.yml.
`scripts/role_docs.py --check` tells which of them is missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

# As in defaults/main.yml of the role, for those that are not given its defaults.
CLIENT_PORT, TLS_PORT, QUORUM_PORT, ELECTION_PORT = 2181, 2182, 2888, 3888
TRUE = ("true", "yes", "on", "1")  # of what inventories say for true


class Setting(NamedTuple):
    """A variable of the role.

    ``key`` is its name in zoo.cfg, if it is there. An ``optional`` one is not written while it is 0 or empty:
    ZooKeeper's default then holds.
    """

    variable: str
    key: str = ""
    type: str = "int"  # as in meta/argument_specs.yml
    least: int | None = None
    optional: bool = False


# By the parts of zoo.cfg, each in the order of its lines.
PARTS = {
    "clients": (
        Setting("zookeeper_data_dir", "dataDir", "path"),
        Setting("zookeeper_txnlog_dir", "dataLogDir", "path"),
        Setting("zookeeper_client_port", "clientPort"),
        Setting("zookeeper_client_address", "clientPortAddress", "str", optional=True),
        Setting("zookeeper_max_client_connections", "maxClientCnxns", least=0),
        Setting("zookeeper_max_connections", "maxCnxns", least=0),
        Setting("zookeeper_max_outstanding", "globalOutstandingLimit", least=1),
    ),
    "ticks": (
        Setting("zookeeper_tick_time", "tickTime", least=1),
        Setting("zookeeper_init_limit", "initLimit", least=1),
        Setting("zookeeper_sync_limit", "syncLimit", least=1),
        Setting("zookeeper_min_session_timeout", "minSessionTimeout", least=0, optional=True),
        Setting("zookeeper_max_session_timeout", "maxSessionTimeout", least=0, optional=True),
    ),
    "disk": (
        Setting("zookeeper_snapshot_every", "snapCount", least=2),  # ZooKeeper's own minimum
        Setting("zookeeper_preallocate_kb", "preAllocSize", least=64),
        Setting("zookeeper_fsync_warning_ms", "fsync.warningthresholdms", least=1),
        Setting("zookeeper_purge_keep", "autopurge.snapRetainCount", least=3),  # ZooKeeper's own minimum
        Setting("zookeeper_purge_hours", "autopurge.purgeInterval", least=1),
    ),
    "commands": (
        Setting("zookeeper_4lw_whitelist", "4lw.commands.whitelist", "list"),
        Setting("zookeeper_admin_server", "admin.enableServer", "bool"),
    ),
    # What the templates write by themselves, and what zoo.cfg does not have.
    "": (
        Setting("zookeeper_admin_port", "admin.serverPort"),
        Setting("zookeeper_observer", "peerType", "bool"),
        Setting("zookeeper_max_buffer", "jute.maxbuffer", least=4096),  # a flag of the JVM
        Setting("zookeeper_user", type="str"),
        Setting("zookeeper_group", type="str"),
        Setting("zookeeper_uid", least=0),
        Setting("zookeeper_gid", least=0),
        Setting("zookeeper_quorum_port"),
        Setting("zookeeper_election_port"),
        Setting("zookeeper_tls", type="bool"),
        Setting("zookeeper_tls_port"),
        Setting("zookeeper_tls_names", type="list"),
        Setting("zookeeper_tls_clients", type="list"),
        Setting("zookeeper_tls_days", least=2),
        Setting("zookeeper_tls_renew_days", least=1),
        Setting("zookeeper_tls_warn_days", least=0),
        Setting("zookeeper_packet_filter", type="bool"),
        Setting("zookeeper_client_networks", type="list"),
        Setting("zookeeper_monitoring_networks", type="list"),
        Setting("zookeeper_config", type="dict"),
        Setting("zookeeper_heap_mb"),
        Setting("zookeeper_jvm_flags", type="list"),
        Setting("zookeeper_dead", type="list"),
        Setting("zookeeper_adopt", type="bool"),
    ),
}
SETTINGS = tuple(setting for part in PARTS.values() for setting in part)


def is_true(value: object) -> bool:
    """Whether an inventory means true by it."""
    return str(value).lower() in TRUE


def argument(setting: Setting) -> dict[str, Any]:
    """The setting as an argument of a module. A path is text, so that it is judged as it is written."""
    elements = {"elements": "str"} if setting.type == "list" else {}
    return {"type": "str" if setting.type == "path" else setting.type, "required": True, **elements}


def lines(part: str, values: Mapping[str, Any]) -> list[str]:
    """A part of zoo.cfg, from the values by variable."""
    pairs = [(setting, values[setting.variable]) for setting in PARTS[part]]
    return [
        f"{setting.key}={_text(setting.type, value)}"
        for setting, value in pairs
        if not (setting.optional and str(value) in ("", "0"))
    ]


def _text(kind: str, value: Any) -> str:
    """As zoo.cfg has it."""
    if kind == "bool":
        return str(is_true(value)).lower()
    if kind == "list":
        items = value.split(",") if isinstance(value, str) else value  # -e gives every value as text
        return ", ".join(str(item).strip() for item in items)
    return str(value)
