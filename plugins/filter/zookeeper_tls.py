"""Jinja filters: what TLS takes of an ensemble, by the inventory and by what preflight found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_settings import is_true

Row = dict[str, Any]
Variables = Mapping[str, Any]
Hostvars = Mapping[str, Variables]


def zookeeper_certificates(
    members: list[Variables], seen: Hostvars, hostvars: Hostvars, play_hosts: list[str]
) -> Row:
    """Tell which certificates servers need, as the module tls_certificates takes it.

    Args:
        members: all of the group, each with its name and host.
        seen: by name, what preflight found on them.
        hostvars: of every host. The defaults of a role are not among them.
        play_hosts: those that this run may change, and so can give certificates to.

    Returns:
        ``certificates``: two for each, for every name and address at which somebody reaches it.
        ``clocks`` and ``deployed``: what was found on all members.
    """
    wanted = [
        {"ca": ca, "name": member["name"], "hosts": _hosts(member, seen[member["name"]], hostvars)}
        for member in members
        if member["name"] in play_hosts
        for ca in ("client", "quorum")
    ]
    looked = {name: found for name, found in seen.items() if "clock" in found}
    return {
        "certificates": wanted,
        "clocks": {name: found["clock"] for name, found in looked.items()},
        "deployed": {name: found["trusts"] for name, found in looked.items() if found["trusts"]},
    }


def _hosts(member: Variables, found: Variables, hostvars: Hostvars) -> list[str]:
    its = hostvars[member["name"]]
    more = its.get("zookeeper_tls_names") or []
    more = more.split(",") if isinstance(more, str) else more  # -e gives it as text
    names = [member["host"], its.get("ansible_host") or "", member["name"], *found["addresses"], *more]
    return list(dict.fromkeys(text for name in names if (text := str(name).strip())))


def zookeeper_tls_refusals(seen: Hostvars, tls: Any) -> list[str]:
    """Tell which servers run with TLS where the inventory wants none, or without.

    Args:
        seen: by name, what preflight found on hosts of the play, and on those that --limit leaves out.
        tls: zookeeper_tls.

    Returns:
        Reasons to refuse: restarted one by one, servers of the one kind could not talk to those of the other.
    """
    other, has = ("plain", "no TLS") if is_true(tls) else ("tls", "TLS")
    names = sorted(name for name, found in seen.items() if found.get("speaks") == other)
    if not names:
        return []
    return [
        f"zookeeper_tls is {str(is_true(tls)).lower()}, but what runs on {', '.join(names)} has {has}. A "
        "running ensemble cannot be switched yet: servers with TLS and without do not understand each other. "
        "Set it back; or, if an outage does no harm, stop all servers first (systemctl stop zookeeper on "
        "each), and run again."
    ]


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Any]:
        """Name the filters."""
        return {
            "zookeeper_certificates": zookeeper_certificates,
            "zookeeper_tls_refusals": zookeeper_tls_refusals,
        }
