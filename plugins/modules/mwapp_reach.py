#!/usr/bin/python
"""Ansible module for a host: it can connect to a server, or their packet filter refuses it."""

from __future__ import annotations

DOCUMENTATION = r"""
module: mwapp_reach
short_description: Check that a host can connect to a server of the ensemble
description:
  - Tries the servers one after the other, and fails if it can connect to none. Sends nothing.
  - It is for ensembles with a packet filter. One that was not changed in this run refuses a new host.
options:
  connect:
    description: The servers as C(mwapp_connect) has them, host:port,host:port and perhaps a path.
    type: str
    required: true
  timeout: {description: Seconds to wait for each server., type: float, default: 3}
author: zklab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Refuse a host that no server lets in
  zklab.zookeeper.mwapp_reach:
    connect: zk1:2182,zk2:2182
"""

RETURN = r"""
server: {description: "The first that could be reached, as host:port.", type: str, returned: success}
"""

import re
import socket

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_settings import CLIENT_PORT

SERVER = re.compile(r"(?:\[(.+)\]|([^:]+))(?::([0-9]+))?")
REMEDY = (
    "If it is new, run site.yml without --limit, so that the servers' packet filter (zookeeper_packet_filter)"
    " lets it in. If it connects from another address than its mwapp_host, name that in "
    "zookeeper_client_networks. If the servers do not run, see playbooks/status.yml."
)


def addresses(connect: str) -> list[tuple[str, str, int]]:
    """Of each server, as it is written, its host and port."""
    texts = [text.strip() for text in connect.partition("/")[0].split(",")]
    found = [(text, SERVER.fullmatch(text)) for text in texts]
    return [(text, one[1] or one[2], int(one[3] or CLIENT_PORT)) for text, one in found if one]


def problem(host: str, port: int, timeout: float) -> str:
    """Why one cannot connect; empty if one can."""
    try:
        socket.create_connection((host, port), timeout).close()
    except (OSError, UnicodeError) as error:
        return getattr(error, "strerror", None) or str(error)
    return ""


def main() -> None:
    arguments = {"connect": {"type": "str", "required": True}, "timeout": {"type": "float", "default": 3}}
    module = AnsibleModule(argument_spec=arguments, supports_check_mode=True)
    refused = []
    for text, host, port in addresses(module.params["connect"]):
        why = problem(host, port, module.params["timeout"])
        if not why:
            module.exit_json(changed=False, server=text)
            return
        refused.append(f"{text} ({why})")
    module.fail_json(
        msg=f"This host cannot connect to any server in mwapp_connect: {', '.join(refused)}. {REMEDY}"
    )


if __name__ == "__main__":
    main()
