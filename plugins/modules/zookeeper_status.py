#!/usr/bin/python
"""Ansible module: what a server says of itself, the disk it has, and how its configuration differs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: zookeeper_status
short_description: Report on the ZooKeeper server of this host
description:
  - Asks the server C(mntr), measures its directories, and compares three configurations. The wanted one,
    the one on disk, and the one the running server was started with.
  - Changes nothing, and never fails because of what it sees.
options:
  host:
    description: Name or address its clients use.
    type: str
    required: true
  port:
    description: Port its clients use.
    type: int
    required: true
  tls:
    description: How to ask with TLS, as M(zklab.zookeeper.zookeeper_gate) takes it.
    type: dict
    default: {}
  config:
    description: Text of the zoo.cfg that the inventory wants.
    type: str
    required: true
  certificates:
    description: Files with certificates, of which to tell when they end.
    type: list
    elements: str
    default: []
  warn_days:
    description: So many days before it the report should warn. It is only returned again.
    type: int
    default: 30
author: zklab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Report on the server
  zklab.zookeeper.zookeeper_status:
    host: zk1.example.com
    port: 2181
    config: "{{ lookup('ansible.builtin.template', 'zoo.cfg.j2') }}"
"""

RETURN = r"""
server:
  description: >-
    What the server says; empty if it serves nobody: version, role, zxid, sessions (of the whole ensemble),
    connections, latency_avg_ms and latency_max_ms, outstanding (requests), znodes, uptime_s, and
    digest_mismatches (transactions after which its data were not the leader's).
  type: dict
  returned: always
digests:
  description: >-
    The digest of the data after some transactions, by their zxids (hexadecimal). At one zxid all servers
    have the same; empty if the server does not tell.
  type: dict
  returned: always
error: {description: Why it says nothing., type: str, returned: when it does not answer}
disk:
  description: "data_dir and txnlog_dir, each with path, used (by ZooKeeper's files) and free, in bytes."
  type: dict
  returned: always
config:
  description: Keys of zoo.cfg that are not everywhere the same, each with key, wanted, on_disk and running.
  type: list
  returned: always
certificates:
  description: >-
    Of each of these files that is there, path, ends (the last day of the first certificate in it to end) and
    days (how many are left; below 0 if it has ended).
  type: list
  returned: always
warn_days: {description: As given., type: int, returned: always}
"""

import os
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ansible_collections.zklab.zookeeper.plugins.module_utils import tls_expiry
from ansible_collections.zklab.zookeeper.plugins.module_utils.unlogged import UnloggedModule
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_health import (
    Member,
    ask,
    reason,
    tls_context,
)
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_zoo_cfg import (
    directories,
    in_force,
    masked,
    parse_config,
)

ANSWER_SECONDS = 2.0
ON_DISK = Path("/etc/zookeeper/zoo.cfg")
RUNNING = Path("/run/zookeeper/zoo.cfg")
BLOCK = 512  # unit of st_blocks, whatever the file system's blocks are


def server(mntr: str) -> dict[str, Any]:
    """What ``mntr`` tells; empty if the server serves nobody."""
    said = dict(line.removeprefix("zk_").split("\t", 1) for line in mntr.splitlines() if "\t" in line)
    if "server_state" not in said:
        return {}
    version = re.match(r"[\d.]+", said.get("version", ""))
    millis = _number(said, "uptime")
    return {
        "version": version[0] if version else None,
        "role": said["server_state"],
        "sessions": _number(said, "global_sessions"),
        "connections": _number(said, "num_alive_connections"),
        "latency_avg_ms": _number(said, "avg_latency"),
        "latency_max_ms": _number(said, "max_latency"),
        "outstanding": _number(said, "outstanding_requests"),
        "znodes": _number(said, "znode_count"),
        "digest_mismatches": _number(said, "digest_mismatches_count"),
        "uptime_s": None if millis is None else millis // 1000,
    }


def digests(answer: str) -> dict[str, str]:
    """What the answer to ``hash`` tells: the digest of the data by zxid, one for each 128 transactions."""
    return {f"0x{zxid}": digest for zxid, digest in re.findall(r"^([0-9a-f]+): (\d+)$", answer, re.MULTILINE)}


def _number(said: Mapping[str, str], key: str) -> int | float | None:
    """A whole number as such, a fraction to two places; None if the server does not tell."""
    try:
        value = float(said[key])
    except (KeyError, ValueError):
        return None
    return int(value) if value.is_integer() else round(value, 2)


def disk(path: str) -> dict[str, Any]:
    """Bytes that a directory's files take, and that are free on its file system."""
    top = Path(path)
    used = 0
    for directory, _, names in os.walk(top):
        for name in names:
            try:
                used += Path(directory, name).lstat().st_blocks * BLOCK
            except FileNotFoundError:  # purged meanwhile
                continue
    try:
        room = os.statvfs(top)
    except FileNotFoundError:
        return {"path": path, "used": None, "free": None}
    return {"path": path, "used": used, "free": room.f_bavail * room.f_frsize}


def differences(wanted: str, on_disk: str | None, running: str | None) -> list[dict[str, Any]]:
    """Keys that are not the same in all texts of zoo.cfg; a text that is not there (None) differs in nothing.

    A key that a text does not have has the value None there. Secrets are masked.
    """
    texts = {"wanted": wanted, "on_disk": on_disk, "running": running}
    there = {name: parse_config(text) for name, text in texts.items() if text is not None}
    keys = sorted({key for config in there.values() for key in config})
    return [
        {"key": key, **{name: _shown(key, config.get(key)) for name, config in there.items()}}
        for key in keys
        if len({config.get(key) for config in there.values()}) > 1
    ]


def _shown(key: str, value: str | None) -> str | None:
    return value if value is None else masked(f"{key}={value}").removeprefix(f"{key}=")


def _read(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return None


def main() -> None:
    module = UnloggedModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "port": {"type": "int", "required": True},
            "tls": {"type": "dict", "default": {}},
            "config": {"type": "str", "required": True},
            "certificates": {"type": "list", "elements": "str", "default": []},
            "warn_days": {"type": "int", "default": 30},
        },
        supports_check_mode=True,
    )
    wanted, on_disk, running = module.params["config"], _read(ON_DISK), _read(RUNNING)
    # Where its data is says the configuration in force.
    plan = parse_config(wanted)
    data_dir, txnlog_dir = directories(
        in_force(running, on_disk), plan["dataDir"], plan.get("dataLogDir", plan["dataDir"])
    )
    result: dict[str, Any] = {"server": {}, "digests": {}}
    me = Member("", module.params["host"], module.params["port"])
    try:
        tls = tls_context(module.params["tls"])
        srvr, mntr = (ask(me, word, ANSWER_SECONDS, tls) for word in ("srvr", "mntr"))
        result["server"] = server(mntr)
        zxid = re.search(r"^Zxid: (0x[0-9a-f]+)", srvr, re.MULTILINE)
        if result["server"]:
            result["server"]["zxid"] = zxid[1] if zxid else None
            result["digests"] = digests(ask(me, "hash", ANSWER_SECONDS, tls))
    except OSError as error:
        result["error"] = reason(error)
    module.exit_json(
        changed=False,
        **result,
        disk={"data_dir": disk(data_dir), "txnlog_dir": disk(txnlog_dir)},
        config=differences(wanted, on_disk, running),
        certificates=tls_expiry.look(module.params["certificates"], datetime.now(UTC)),
        warn_days=module.params["warn_days"],
    )


if __name__ == "__main__":
    main()
