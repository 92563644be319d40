#!/usr/bin/python
"""Ansible module: the packet filter of one service, with a unit that loads it at every boot."""

from __future__ import annotations

DOCUMENTATION = r"""
module: packet_filter
short_description: Let only named hosts connect to the ports of a service
description:
  - Keeps a table C(inet NAME) of nftables for the ports of one service, its file, and a unit that loads it at
    every boot. Other tables and other ports are never touched. Loopback is always open.
  - The host itself looks names up. If one does not resolve, the module fails before it changes anything.
options:
  name:
    description: The service. The table has this name, and so does the directory below /etc for the file.
    type: str
    required: true
  state:
    description: Whether there should be a packet filter.
    type: str
    choices: [present, absent]
    default: present
  rules:
    description: Ports, and who may connect to them. Everybody else is refused there.
    type: list
    elements: dict
    default: []
    suboptions:
      ports:
        description: TCP ports.
        type: list
        elements: int
        required: true
      sources:
        description: >-
          Each with C(address) (an address, a network or a name), the C(setting) it is from, and C(optional)
          if a name may be unknown.
        type: list
        elements: dict
        required: true
  connected:
    description: Ports, and who is connected to them now.
    type: list
    elements: dict
    default: []
    suboptions:
      port:
        description: TCP port.
        type: int
        required: true
      addresses:
        description: Addresses of other hosts.
        type: list
        elements: str
        required: true
  services:
    description: Units that must not start before the table is loaded.
    type: list
    elements: str
    default: []
author: zklab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Let only the members connect to the election port
  zklab.zookeeper.packet_filter:
    name: zookeeper
    services: [zookeeper.service]
    rules:
      - ports: [3888]
        sources:
          - {address: zk1.example.org, setting: zookeeper_host of zk1}
"""

RETURN = r"""
differs: {description: What is not as it should be., type: list, returned: always}
nft: {description: Whether nftables is installed., type: bool, returned: always}
unfiltered:
  description: Whether there should be a packet filter, and none was loaded, so that everybody could connect.
  type: bool
  returned: always
cut_off:
  description: >-
    Who of those that are connected will be refused, if there was no packet filter before; empty if there was.
  type: list
  returned: always
"""

import os
import subprocess
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zklab.zookeeper.plugins.module_utils.packet_filter import (
    NFT,
    Rule,
    drop_in,
    resolve,
    ruleset,
    shut_out,
    unit,
)

ETC = Path("/etc")
UNITS = Path("/etc/systemd/system")


class FilterError(Exception):
    """The packet filter cannot be had; the message says why."""


def run(*command: str, stdin: str = "") -> str:
    """What a command prints.

    Raises:
        FilterError: it failed.
    """
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise FilterError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def listed(name: str) -> str:
    """The table as the kernel has it; empty if there is none."""
    try:
        return run(NFT, "list", "table", "inet", name)
    except FilterError:
        return ""


def as_listed(name: str, rules: str) -> str | None:
    """How nft will list these rules once they are loaded: it is tried in a network namespace of its own.

    Where that is forbidden (in some containers) the rules are only checked, and the answer is None.

    Raises:
        FilterError: nft does not take them.
    """
    load = f"{NFT} -f - && {NFT} list table inet {name}"
    try:
        return run("unshare", "--net", "sh", "-c", load, stdin=rules)
    except FilterError:
        run(NFT, "--check", "-f", "-", stdin=rules)
        return None


class PacketFilter:
    """The packet filter of one service on this host."""

    def __init__(self, name: str, rules: str, services: list[str]) -> None:
        self.name = name
        self.file = ETC / name / "packet-filter.nft"
        self.unit = f"{name}-packet-filter.service"
        self.extension = UNITS / "nftables.service.d" / f"{name}-packet-filter.conf"
        self.contents = {
            self.file: rules,
            UNITS / self.unit: unit(name, str(self.file), services),
            self.extension: drop_in(name, str(self.file)),
        }
        self.wanted = as_listed(name, rules) if rules and has_nft() else None
        self.table = listed(name) if has_nft() else ""

    def differences(self) -> list[tuple[str, str, str]]:
        """What is not as it should be: what, how it is, how it should be."""
        pairs = [(str(path), text(path), wanted) for path, wanted in self.contents.items()]
        pairs.append((f"{self.unit}, enabled", f"{self.is_enabled()}\n", "True\n"))
        pairs.append((f"table inet {self.name}", self.table, self.wanted or self.table or "loaded\n"))
        return [pair for pair in pairs if pair[1] != pair[2]]

    def leftovers(self) -> list[tuple[str, str, str]]:
        """The same, if there should be no packet filter."""
        pairs = [(str(path), text(path), "") for path in self.contents]
        pairs.append((f"table inet {self.name}", self.table, ""))
        return [pair for pair in pairs if pair[1]]

    def cut_off(self, rules: list[Rule], connected: list[dict[str, Any]]) -> list[str]:
        """Who is connected and would be no more. One that was loaded before has cut off whom it should.

        A file alone has not: a run may have died between writing and loading it.
        """
        if self.file.exists() and self.table:
            return []
        found = (shut_out(rules, one["port"], one["addresses"]) for one in connected)
        return sorted({address for addresses in found for address in addresses})

    def is_enabled(self) -> bool:
        return (UNITS / "sysinit.target.wants" / self.unit).is_symlink()

    def load(self) -> None:
        """Place all, and load the table.

        Raises:
            FilterError: there is no nftables, or it does not load.
        """
        if not has_nft():
            raise FilterError(
                f"{NFT} is missing: install the package nftables, or switch the packet filter off."
            )
        for path, wanted in self.contents.items():
            write(path, wanted)
        run("systemctl", "daemon-reload")
        run("systemctl", "enable", self.unit)
        os.sync()  # it must be there after a power cut, too
        run("systemctl", "restart", self.unit)

    def remove(self) -> None:
        """Forget all of it."""
        if (UNITS / self.unit).exists():
            run("systemctl", "disable", "--now", self.unit)
        for path in self.contents:
            path.unlink(missing_ok=True)
        if self.extension.parent.is_dir() and not any(self.extension.parent.iterdir()):
            self.extension.parent.rmdir()
        run("systemctl", "daemon-reload")
        if self.table:
            run(NFT, "delete", "table", "inet", self.name)


def has_nft() -> bool:
    return Path(NFT).exists()


def text(path: Path) -> str:
    """What a file says; empty if there is none."""
    return path.read_text(errors="replace") if path.is_file() else ""


def write(path: Path, content: str) -> None:
    """Replace it whole."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}")
    new.write_text(content)
    new.chmod(0o644)
    new.replace(path)


def diff(found: list[tuple[str, str, str]]) -> list[dict[str, str]]:
    """As Ansible shows it."""
    return [
        {"before_header": what, "after_header": what, "before": before, "after": after}
        for what, before, after in found
    ]


ARGUMENTS: dict[str, Any] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "rules": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "ports": {"type": "list", "elements": "int", "required": True},
            "sources": {"type": "list", "elements": "dict", "required": True},
        },
    },
    "connected": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "port": {"type": "int", "required": True},
            "addresses": {"type": "list", "elements": "str", "required": True},
        },
    },
    "services": {"type": "list", "elements": "str", "default": []},
}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    name, present = module.params["name"], module.params["state"] == "present"
    rules, problems = resolve(module.params["rules"] if present else [])
    if problems:
        module.fail_json(msg="\n".join(problems))
    os.umask(0o022)
    try:
        mine = PacketFilter(name, ruleset(name, rules) if present else "", module.params["services"])
        found = mine.differences() if present else mine.leftovers()
        cut_off = mine.cut_off(rules, module.params["connected"])
        if found and not module.check_mode:
            (mine.load if present else mine.remove)()
    except FilterError as error:
        module.fail_json(msg=str(error))
    differs = [difference[0] for difference in found]
    module.exit_json(
        changed=bool(found),
        differs=differs,
        nft=has_nft(),
        unfiltered=present and not mine.table,
        cut_off=cut_off,
        diff=diff(found),
    )


if __name__ == "__main__":
    main()
