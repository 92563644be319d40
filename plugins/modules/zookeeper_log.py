#!/usr/bin/python
"""Ansible module: why the server of this host does not serve, from its log."""

from __future__ import annotations

DOCUMENTATION = r"""
module: zookeeper_log
short_description: Tell why a ZooKeeper server does not serve
description:
  - Reads the journal of the last start that failed, and returns its warnings and errors, the first cause
    first, with the remedy where one is known.
  - Changes nothing, and never fails because of what it sees.
options:
  seconds:
    description: How far back to look. If nothing is found there, the last lines are read, however old.
    type: int
    required: true
  data_dir:
    description: Directory of the snapshots.
    type: str
    required: true
  txnlog_dir:
    description: Directory of the transaction log.
    type: str
    required: true
author: zklab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: See why it does not serve
  zklab.zookeeper.zookeeper_log:
    seconds: 120
    data_dir: /var/lib/zookeeper/zkData
    txnlog_dir: /var/lib/zookeeper/txnlog
"""

RETURN = r"""
lines: {description: "What the log says, and remedies.", type: list, returned: always}
"""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_log import entries, explain

LINES = 2000
FIELDS = "MESSAGE,PRIORITY,INVOCATION_ID,_SYSTEMD_INVOCATION_ID"
HEADER = 16  # bytes of a transaction log before its first transaction
MAGIC = b"ZKLG"
CHUNK = 1 << 20
LEAST_ROOM = 1 << 20  # with less on its disk a server cannot write, bytes


def newest(txnlog_dir: str) -> tuple[str, bool]:
    """The path of the newest transaction log, and whether it ends within its header.

    One with anything behind a header that cannot be read may have transactions: it is damaged, not torn.
    """
    logs = Path(txnlog_dir, "version-2").glob("log.*")
    log = max(logs, key=lambda path: int(path.suffix[1:], 16), default=None)
    if log is None:
        return "", False
    with log.open("rb") as file:
        header = file.read(HEADER)
        broken = len(header) < HEADER or not header.startswith(MAGIC)
        rest = iter(partial(file.read, CHUNK), b"")
        return str(log), broken and not any(chunk.strip(b"\0") for chunk in rest)


def journal(module: AnsibleModule, *options: str) -> list[str]:
    command = ["journalctl", "--unit=zookeeper.service", "--no-pager", "--quiet", "--output=json"]
    _, out, _ = module.run_command([*command, f"--output-fields={FIELDS}", f"--lines={LINES}", *options])
    return [line for line in out.splitlines() if line.startswith("{")]


def full(*directories: str) -> Iterator[str]:
    """What is to be said of disks without room. A server may say so much else since that its log, of which
    only the end is read, does not."""
    for directory in dict.fromkeys(filter(os.path.isdir, directories)):
        room = os.statvfs(directory)
        if room.f_bavail * room.f_frsize < LEAST_ROOM:
            yield f"No space is left for {directory}."
            yield f"  Remedy: make room on its file system (df -h {directory})."


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "seconds": {"type": "int", "required": True},
            "data_dir": {"type": "str", "required": True},
            "txnlog_dir": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    log, torn = newest(module.params["txnlog_dir"])
    lines: list[str] = []
    for options in ([f"--since=-{module.params['seconds']}s"], []):
        lines = lines or explain(entries(journal(module, *options)), log, torn=torn)
    disks = full(module.params["data_dir"], module.params["txnlog_dir"])
    module.exit_json(changed=False, lines=[*disks, *lines])


if __name__ == "__main__":
    main()
