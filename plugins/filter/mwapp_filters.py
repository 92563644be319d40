"""Jinja filters of the role mwapp."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

CLIENT_PORT = 2181


def mwapp_connect(servers: list[str], hostvars: Mapping[str, Mapping[str, Any]]) -> str:
    """Write the connect string of an ensemble from the variables that the role zookeeper takes.

    Args:
        servers: inventory names.
        hostvars: variables of every host. The defaults of a role are not among them.
    """
    return ",".join(_address(name, hostvars[name]) for name in servers)


def _address(name: str, its: Mapping[str, Any]) -> str:
    host = str(its.get("zookeeper_host") or its.get("ansible_host") or name)
    return f"{f'[{host}]' if ':' in host else host}:{its.get('zookeeper_client_port') or CLIENT_PORT}"


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Any]:
        """Name the filters."""
        return {"mwapp_connect": mwapp_connect}
