#!/usr/bin/python
"""Ansible module for the controller: the certificates of an ensemble are there, and valid."""

from __future__ import annotations

DOCUMENTATION = r"""
module: tls_certificates
short_description: Have the certificates of an ensemble in a directory of this machine
description:
  - Runs where Ansible runs. Makes certificate authorities, one for the client port, one for the quorum and
    one for the status endpoints of mwapp, as far as certificates of them are wanted, and with their keys a
    certificate for each host and role. Renews them before they expire, and when a host gets another name
    or address.
  - Uses what is there already. Without the key of a CA the certificates under it are yours to bring.
  - Refuses files that cannot work, all at once, each with the reason and the remedy. Then nothing is made.
  - Never returns a key.
requirements: [cryptography >= 42]
options:
  directory:
    description: Where the files are, an absolute path. It gets mode 0700.
    type: path
    required: true
  certificates:
    description: Those to have.
    type: list
    elements: dict
    required: true
    suboptions:
      ca:
        description: Which CA signs it.
        type: str
        choices: [client, quorum, status]
        required: true
      name:
        description: For whom it is, its common name.
        type: str
        required: true
      hosts:
        description: Names and addresses at which others reach it. None for what is only a client.
        type: list
        elements: str
        default: []
      optional:
        description: Whether it may be missing if the key of the CA is not here.
        type: bool
        default: false
  make_ca:
    description: Whether to make CAs that are not there. Who joins something must have its CA.
    type: bool
    default: true
  days:
    description: How many days a new one is valid.
    type: int
    default: 365
  renew_days:
    description: How many days before its end it is renewed.
    type: int
    default: 30
  clocks:
    description: >-
      By host, the time its clock says, in seconds since 1970. One that is far from this machine's is refused.
    type: dict
    default: {}
  deployed:
    description: >-
      By host, and by CA, the fingerprints (SHA-256) of the certificates that a server trusts now, the one
      that signs first. A CA that they do not have is refused.
    type: dict
    default: {}
  rotate:
    description: CAs to change by the next O(step), if it is due. Their keys must be here.
    type: list
    elements: str
    choices: [client, quorum]
    default: []
  step:
    description: >-
      V(add) makes a new CA, which is trusted, too; not while an earlier change has not ended. V(switch) lets
      it sign. V(drop) ends the trust in the old one. Before each all hosts must have what the one before it
      made.
    type: str
    choices: ["", add, switch, drop]
    default: ""
author: zklab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Have the certificates of a server and of a client
  zklab.zookeeper.tls_certificates:
    directory: ~/.config/zklab/tls
    certificates:
      - {ca: quorum, name: zk1, hosts: [zk1.example.com, 10.0.0.11]}
      - {ca: client, name: zk1, hosts: [zk1.example.com, 10.0.0.11]}
      - {ca: client, name: mwapp-master-mw1}
  delegate_to: localhost
"""

RETURN = r"""
made: {description: "Which files were made or renewed, and why.", type: list, returned: success}
files: {description: "The same files, without a reason.", type: list, returned: success}
expires: {description: "The last day of each certificate, by file.", type: dict, returned: success}
"""

from pathlib import Path

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zklab.zookeeper.plugins.module_utils.tls_certificates import (
    CAS,
    Store,
    Wanted,
    host_text,
    utc_now,
)
from ansible_collections.zklab.zookeeper.plugins.module_utils.tls_x509 import LACKS

# Hosts are looked at some moments before this runs; certificates are valid from a day before they are made.
CLOCK_SECONDS = 900
OWNER_ONLY = 0o700

ARGUMENTS = {
    "directory": {"type": "path", "required": True},
    "certificates": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "ca": {"type": "str", "choices": list(CAS), "required": True},
            "name": {"type": "str", "required": True},
            "hosts": {"type": "list", "elements": "str", "default": []},
            "optional": {"type": "bool", "default": False},
        },
    },
    "make_ca": {"type": "bool", "default": True},
    "days": {"type": "int", "default": 365},
    "renew_days": {"type": "int", "default": 30},
    "clocks": {"type": "dict", "default": {}},
    "deployed": {"type": "dict", "default": {}},
    "rotate": {"type": "list", "elements": "str", "choices": ["client", "quorum"], "default": []},
    "step": {"type": "str", "choices": ["", "add", "switch", "drop"], "default": ""},
}


def clock_problems(clocks: dict[str, float], now: float) -> list[str]:
    """Of hosts whose clocks are so far off that certificates may count as expired, or as not valid yet."""
    return [
        f"the clock of {host} is {abs(float(seconds) - now) / 60:.0f} minutes "
        f"{'ahead of' if float(seconds) > now else 'behind'} this machine's: set both by NTP "
        "(systemd-timesyncd or "
        "chrony). By a wrong clock certificates are expired, or not valid yet."
        for host, seconds in sorted(clocks.items())
        if abs(float(seconds) - now) > CLOCK_SECONDS
    ]


def wanted_of(given: list[dict[str, object]]) -> list[Wanted]:
    """The leaves to have, each name and address once."""
    return [
        Wanted(
            str(one["ca"]),
            str(one["name"]),
            tuple(dict.fromkeys(host_text(host) for host in one["hosts"])),  # type: ignore[attr-defined] # it is a list
            bool(one["optional"]),
        )
        for one in given
    ]


def tighten(directory: Path, *, check: bool) -> list[str]:
    """Let nobody else enter the directory, if it is there."""
    if not directory.exists() or directory.stat().st_mode & 0o777 == OWNER_ONLY:
        return []
    if not check:
        directory.chmod(OWNER_ONLY)
    return [f"{directory}: mode 0700"]


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    given = module.params
    if LACKS:
        module.fail_json(
            msg=f"The Python package cryptography {LACKS} where Ansible runs: pip install 'cryptography>=42' "
            "(or set "
            "zookeeper_tls to false)."
        )
    if not 0 < given["renew_days"] < given["days"]:
        module.fail_json(
            msg=f"zookeeper_tls_renew_days is {given['renew_days']} and zookeeper_tls_days {given['days']}: "
            "set the "
            "first to 1 or more, and the second to more than that."
        )
    directory = Path(given["directory"])
    if not directory.is_absolute():
        module.fail_json(
            msg=f"zookeeper_tls_dir (or mwapp_tls_dir) is {directory}: give an absolute path, or one that "
            "begins with ~. Where another one begins depends on who reads it."
        )
    now = utc_now()
    store = Store(
        directory,
        days=given["days"],
        renew_days=given["renew_days"],
        now=now,
        deployed=given["deployed"],
        make_ca=given["make_ca"],
        check=module.check_mode,
        rotate=given["rotate"],
        step=given["step"],
    )
    store.problems += clock_problems(given["clocks"], now.timestamp())
    try:
        made = tighten(directory, check=module.check_mode)
        store.ensure(wanted_of(given["certificates"]))
    except OSError as error:
        module.fail_json(msg=f"zookeeper_tls_dir: {error}. You must be able to write there.")
    for text in store.warnings:
        module.warn(text)
    if store.problems:
        lines = "".join(f"\n- {problem}" for problem in store.problems)
        module.fail_json(msg=f"No host was touched, because of the certificates in {directory}:{lines}")
    made += store.made
    module.exit_json(
        changed=bool(made),
        made=made,
        files=store.files,
        expires=store.expires,
        diff={"before": "", "after": "".join(f"{line}\n" for line in made)},
    )


if __name__ == "__main__":
    main()
