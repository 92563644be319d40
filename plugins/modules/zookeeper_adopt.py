#!/usr/bin/python
"""Ansible module: take over the data of another installation of ZooKeeper on this host."""

from __future__ import annotations

DOCUMENTATION = r"""
module: zookeeper_adopt
short_description: Take over the data of another installation of ZooKeeper
description:
  - Copies snapshots, epochs and transaction logs to where the server of the role has them. At last it
    renames the old directory to C(version-2.adopted), so that nobody starts the old server with it, and
    nobody adopts it twice.
  - Writes over no file, and mixes no data. It refuses if the new directories have any that are not copies of
    these.
  - No server may run. If it is cut short, run it again.
options:
  old_data_dir:
    description: Where the other installation has its snapshots.
    type: str
    required: true
  old_txnlog_dir:
    description: Where it has its transaction logs.
    type: str
    required: true
  data_dir:
    description: Where the snapshots should be.
    type: str
    required: true
  txnlog_dir:
    description: Where the transaction logs should be.
    type: str
    required: true
author: zklab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Take over what Debian's zookeeperd has
  zklab.zookeeper.zookeeper_adopt:
    old_data_dir: /var/lib/zookeeper
    old_txnlog_dir: /var/lib/zookeeper
    data_dir: /var/lib/zookeeper/zkData
    txnlog_dir: /var/lib/zookeeper/txnlog
"""

RETURN = r"""
copied: {description: Names of the files., type: list, returned: always}
"""

import os
import shutil
from filecmp import cmp
from pathlib import Path
from typing import NamedTuple

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_history import (
    history_of,
    read_history,
)
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_rules import ADOPTED

DATA = ("snapshot.*", "acceptedEpoch", "currentEpoch")
LOGS = ("log.*",)
SAME = "{} is both data_dir and txnlog_dir: choose another directory for one of them."


def copy(file: Path, directory: Path) -> None:
    """As a whole or not at all, also if the power fails."""
    part = directory / f".{file.name}.part"
    shutil.copy2(file, part)
    sync(part)
    part.rename(directory / file.name)


def sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def found(top: Path, patterns: tuple[str, ...]) -> list[Path]:
    """Such files there."""
    return sorted(file for pattern in patterns for file in place(top).glob(pattern))


def place(top: Path) -> Path:
    """Where the data of an old directory are; also if it has its new name already."""
    places = (top / "version-2", top / f"version-2{ADOPTED}")
    return next((one for one in places if one.is_dir()), places[0])


class Tops(NamedTuple):
    """The directories of both installations."""

    old: tuple[Path, Path]
    new: tuple[Path, Path]


def advice(directory: Path, tops: Tops) -> str:
    """What to do about data in a directory where the old ones are to be: the newer stay. Raises OSError."""
    theirs, own = history_of(dict.fromkeys(map(place, tops.old))), read_history(map(str, tops.new))
    end, own_end = theirs.last or 0, own.last or 0
    told = (
        f"The last zxid of the old data is {end:#x}, epoch {end >> 32}; that of the data in "
        f"{tops.new[0]} and {tops.new[1]} is {own_end:#x}, epoch {own_end >> 32}"
    )
    if damaged := theirs.damaged or own.damaged:
        return (
            f"{told}, but {damaged} is damaged, so nobody can tell which are newer: discard neither. Repair "
            "a copy of that file (docs/operations.md, 'A damaged log'), keep the file itself elsewhere, put "
            "the copy in its place, and run again."
        )
    if own_end > end:
        return f"{told}, which are newer: set zookeeper_adopt: false to go on with these."
    return (
        f"{told}, which are not newer: to take over the old ones, move what is in {directory} to another "
        "place, do not delete it, and run again."
    )


def clash(files: list[Path], old: Path, directory: Path, tops: Tops) -> str:
    """What else is where these files are to be, and what to do; empty if nothing is.

    The copies that a run made before it was cut short are no clash. Raises OSError; RuntimeError of a link to
    itself.
    """
    if directory.resolve() == old.resolve():
        return f"{directory} is where the old data are: choose another directory for the new ones."
    theirs = {file.name: file for file in files}
    for mine in sorted(mine for pattern in (*DATA, *LOGS) for mine in directory.glob(pattern)):
        file = theirs.get(mine.name)
        if file is None or not cmp(file, mine, shallow=False):
            what = f"differs from {file}" if file else f"is not a copy from {old}"
            return f"{mine} {what}. {advice(directory, tops)}"
    return ""


def main() -> None:
    names = ("old_data_dir", "old_txnlog_dir", "data_dir", "txnlog_dir")
    module = AnsibleModule(
        argument_spec={name: {"type": "str", "required": True} for name in names}, supports_check_mode=True
    )
    old_data, old_logs, data, logs = (Path(module.params[name]) for name in names)
    tops = Tops((old_data, old_logs), (data, logs))
    ways = [
        (found(old_data, DATA), old_data / "version-2", data / "version-2", tops),
        (found(old_logs, LOGS), old_logs / "version-2", logs / "version-2", tops),
    ]
    old = [top / "version-2" for top in dict.fromkeys((old_data, old_logs)) if (top / "version-2").is_dir()]
    for path in old:
        if path.with_name(path.name + ADOPTED).exists():
            module.fail_json(msg=f"{path}{ADOPTED} is there from earlier: move it to another place.")
    if not old:  # all was copied before that, and a server may have written since
        module.exit_json(changed=False, copied=[])
    try:
        same = SAME.format(data) if data.resolve() == logs.resolve() else ""
        problem = same or next(filter(None, (clash(*way) for way in ways)), "")
    except (OSError, RuntimeError) as error:
        problem = f"cannot compare old and new data: {error}: mend it, and run again."
    if problem:
        module.fail_json(msg=f"{problem} Nothing was copied.")
    todo = [(file, to) for files, _there, to, _tops in ways for file in files]
    if not module.check_mode:
        try:
            for file, directory in todo:
                # What is in the data is nobody else's business. (The server gets them when it is set up.)
                directory.parent.mkdir(0o700, parents=True, exist_ok=True)
                directory.mkdir(exist_ok=True)
                copy(file, directory)
            for directory in {pair[1] for pair in todo}:
                sync(directory)
            for path in old:
                path.rename(path.with_name(path.name + ADOPTED))
        except OSError as error:
            module.fail_json(
                msg=f"{error}: make room or mend it, and run again. The old data are as they were."
            )
    module.exit_json(changed=bool(old), copied=[pair[0].name for pair in todo])


if __name__ == "__main__":
    main()
