#!/usr/bin/python
"""Ansible module: the znodes of a server after one transaction, as checksums to compare servers by."""

from __future__ import annotations

DOCUMENTATION = r"""
module: zookeeper_tree
short_description: Read the znodes of this host's ZooKeeper server from its disk
description:
  - Reads a snapshot and the transaction log behind it, whether the server runs or not. It asks no server.
  - Without I(zxid) it tells for which transactions it could. With it, it returns checksums of all znodes, or
    the znodes that are in I(buckets).
  - Changes nothing. Values are never returned, only checksums of them.
options:
  data_dir:
    description: Where the snapshots are, unless the zoo.cfg in force names another directory.
    type: path
    required: true
  txnlog_dir:
    description: The same for the transaction log.
    type: path
    required: true
  zxid:
    description: The transaction after which the znodes are wanted, such as C(0x10000002a).
    type: str
    default: ""
  buckets:
    description: Numbers of the buckets whose znodes are wanted.
    type: list
    elements: int
    default: []
author: zklab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: See how far the data go
  zklab.zookeeper.zookeeper_tree:
    data_dir: /var/lib/zookeeper/zkData
    txnlog_dir: /var/lib/zookeeper/txnlog
"""

RETURN = r"""
first:
  description: After this zxid and each later one the znodes can be told; none if there are no data.
  type: str
  returned: without zxid
last: {description: The last zxid on the disk; none if there are no data., type: str, returned: without zxid}
sums:
  description: For each bucket how many znodes it has, and a checksum of all of them.
  type: dict
  returned: with zxid, without buckets
nodes:
  description: >-
    The znodes by path, each with fingerprint, created and modified (zxids), version, owner (the session of an
    ephemeral one) and size.
  type: dict
  returned: with buckets
later:
  description: Paths of which nothing can be said, because the snapshot may have a later state of them.
  type: list
  returned: with buckets
error: {description: Why the znodes cannot be told., type: str, returned: when they cannot}
"""

import sqlite3
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_tree import Tree, TreeError, span
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_zoo_cfg import directories, in_force

ON_DISK = Path("/etc/zookeeper/zoo.cfg")
RUNNING = Path("/run/zookeeper/zoo.cfg")


def look(places: set[str], zxid: str, buckets: list[int]) -> dict[str, Any]:
    """What was asked for."""
    if not zxid:
        first, last = (None if number is None else f"0x{number:x}" for number in span(places))
        return {"first": first, "last": last}
    try:
        tree = Tree(places, int(zxid, 16))
        if not buckets:
            return {"sums": tree.sums()}
        nodes, later = tree.nodes(buckets)
    except TreeError as error:
        return {"error": str(error)}
    except sqlite3.Error as error:
        return {"error": f"its znodes need space in /var/tmp: {error}"}
    return {"nodes": nodes, "later": later}


def _text(path: Path) -> str | None:
    return path.read_text(errors="replace") if path.exists() else None


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "data_dir": {"type": "path", "required": True},
            "txnlog_dir": {"type": "path", "required": True},
            "zxid": {"type": "str", "default": ""},
            "buckets": {"type": "list", "elements": "int", "default": []},
        },
        supports_check_mode=True,
    )
    config = in_force(_text(RUNNING), _text(ON_DISK))
    places = set(directories(config, module.params["data_dir"], module.params["txnlog_dir"]))
    module.exit_json(changed=False, **look(places, module.params["zxid"], module.params["buckets"]))


if __name__ == "__main__":
    main()
