"""Jinja filter: in which order the services of the role mwapp restart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Row = dict[str, Any]
Hostvars = Mapping[str, Mapping[str, Any]]


def mwapp_restart_order(hosts: list[str], hostvars: Hostvars) -> list[Row]:
    """Put the services of these hosts into the order in which they restart, one after the other.

    Those that stand by come first, then the active master or node: leadership passes on at once to one that
    is ready. Then come the workers.

    Args:
        hosts: inventory names.
        hostvars: variables of every host; ``__mwapp_seen`` is what mwapp_service saw of each service there.
    """

    def place(seen: Row) -> int:
        if seen["item"]["role"] == "worker":
            return 2
        return int(seen["observed"]["state"] == "active")

    return sorted((seen for host in hosts for seen in hostvars[host]["__mwapp_seen"]["results"]), key=place)


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Any]:
        """Name the filter."""
        return {"mwapp_restart_order": mwapp_restart_order}
