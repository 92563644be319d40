"""Jinja filters: who may connect to which port, by the inventory. The module packet_filter makes it so."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_settings import is_true
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_tls_phases import PLAIN
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_zoo_cfg import server_address

Rows = list[dict[str, Any]]
Variables = Mapping[str, Any]
Hostvars = Mapping[str, Variables]
Groups = Mapping[str, Sequence[str]]

APPLICATION = ("mwapp_masters", "mwapp_workers", "mwapp_nodes")
PROMETHEUS = ("metricsProvider.httpPort", "metricsProvider.httpsPort")


def zookeeper_packet_filter(
    members: list[Variables], settings: Variables, hostvars: Hostvars, groups: Groups, known: list[Variables]
) -> Rows:
    """Tell who may connect to which port of a server.

    Args:
        members: all of the group, each with its name and host.
        settings: the role's variables, by name, as they are for this host.
        hostvars: of every host. The defaults of a role are not among them.
        groups: of the inventory.
        known: what preflight found on hosts whose servers know members, too: those that leave are among them,
            and the ports that servers still use while theirs are being changed.

    Returns:
        The rules for the module packet_filter.
    """
    config = settings["zookeeper_config"]
    peers = [_source(member["host"], f"zookeeper_host of {member['name']}") for member in members]
    peers += [_source(host, "zookeeper_host", optional=True) for host in _leaving(known, peers)]
    clients = [*peers, *_application(hostvars, groups), *_named("zookeeper_client_networks", settings)]
    monitors = _named("zookeeper_monitoring_networks", settings)
    ports = [settings["zookeeper_quorum_port"], settings["zookeeper_election_port"]]
    ports += _still({port for line in _lines(known) for port in server_address(line)[1:]}, ports)
    client_ports = [settings["zookeeper_client_port"]]
    client_ports += _still({_deployed(found, "plain") for found in known}, client_ports)
    tls = [int(settings["zookeeper_tls_port"])] if is_true(settings["zookeeper_tls"]) else []
    # On the way from TLS back clients use its port until they have moved.
    has_tls = [found for found in known if found.get("speaks") not in (None, "", PLAIN)]
    tls += _still({_deployed(found, "tls") for found in has_tls}, tls)
    return [
        {"ports": [*ports, *_ports(config, "observerMasterPort")], "sources": peers},
        {
            "ports": [*client_ports, *tls, *_ports(config, "secureClientPort")],
            "sources": clients,
        },
        {"ports": _monitored(settings), "sources": monitors},
    ]


def mwapp_packet_filter(
    services: list[Variables], networks: str | Sequence[str], hostvars: Hostvars, groups: Groups
) -> Rows:
    """Tell who may connect to the status endpoints of a host.

    Args:
        services: those of the host, each with its port.
        networks: mwapp_monitoring_networks.
        hostvars: of every host.
        groups: of the inventory.

    Returns:
        The rules for the module packet_filter. ``mwapp status`` on the application's hosts asks them, too.
    """
    named = _named("mwapp_monitoring_networks", {"mwapp_monitoring_networks": networks})
    ports = [service["port"] for service in services]
    return [{"ports": ports, "sources": [*_application(hostvars, groups), *named]}]


def zookeeper_shut_out(
    members: list[Variables], play_hosts: list[str], left_out: list[Mapping[str, Any]]
) -> list[str]:
    """Tell which members --limit would start behind packet filters that do not know them.

    Args:
        members: all of the group.
        play_hosts: those that this run may change.
        left_out: what preflight found on the others.

    Returns:
        For each that does, a reason to refuse.
    """
    problems = []
    for found in left_out:
        hosts = {_host(line) for line in found.get("servers", {}).values()}
        new = [m["name"] for m in members if m["name"] in play_hosts and m["host"] not in hosts]
        if hosts and new:
            problems.append(
                f"The packet filter of {found['item']} does not let {' and '.join(new)} in, and --limit "
                f"leaves {found['item']} out: run without --limit."
            )
    return problems


def zookeeper_cut_off(hosts: list[str], hostvars: Hostvars) -> list[str]:
    """Tell which clients a packet filter that is to be switched on would cut off.

    Args:
        hosts: inventory names of those whose packet filter was looked at.
        hostvars: of every host.

    Returns:
        A reason to refuse, if there are any.
    """
    users: dict[str, list[str]] = {}
    for name in hosts:
        for address in hostvars[name].get("__zookeeper_filter", {}).get("cut_off", []):
            users.setdefault(address, []).append(name)
    if not users:
        return []
    who = ", ".join(f"{address} (at {', '.join(names)})" for address, names in sorted(users.items()))
    return [
        f"zookeeper_packet_filter is true, and would cut off clients that are connected: {who}. Name them in "
        "zookeeper_client_networks (a host of the groups mwapp_* by its mwapp_host), and run again. (To cut "
        "them off instead: -e zookeeper_packet_filter_cut_off=true)"
    ]


def _source(address: Any, setting: str, *, optional: bool = False) -> dict[str, Any]:
    return {"address": str(address), "setting": setting, "optional": optional}


def _leaving(known: Iterable[Variables], peers: Rows) -> list[str]:
    """Where servers are that others still know, and the inventory no longer names."""
    return sorted({_host(line) for line in _lines(known)} - {peer["address"] for peer in peers})


def _lines(known: Iterable[Variables]) -> list[str]:
    """What servers know of members, as zoo.cfg says it."""
    return [line for found in known for line in found.get("servers", {}).values()]


def _still(used: Iterable[int | None], wanted: list[Any]) -> list[int]:
    """Ports that are in use and no longer wanted: they are filtered until all servers have left them."""
    return sorted({port for port in used if port} - {int(port) for port in wanted})


def _deployed(found: Variables, kind: str) -> int | None:
    """A client port of the server that was found, without TLS (plain) or with it (tls)."""
    port: int | None = (found.get("deployed_ports") or {}).get(kind)
    return port


def _host(line: str) -> str:
    """The host of what zoo.cfg says of a server: ``host:port:port`` with ``:observer`` for observers."""
    return re.sub(r"(:\d+){2}(:observer)?$", "", line).strip("[]")


def _application(hostvars: Hostvars, groups: Groups) -> Rows:
    """The hosts of the application, by the address at which they reach each other."""
    names = dict.fromkeys(name for group in APPLICATION for name in groups.get(group, []))
    return [
        _source(
            hostvars[name].get("mwapp_host") or hostvars[name].get("ansible_host") or name,
            f"mwapp_host of {name}",
        )
        for name in names
    ]


def _named(variable: str, settings: Variables) -> Rows:
    """The networks that the operator names; -e gives them as text."""
    value = settings[variable]
    names = value.split(",") if isinstance(value, str) else value
    return [_source(str(name).strip(), variable) for name in names if str(name).strip()]


def _ports(config: Variables, *keys: str) -> list[int]:
    """The ports that zookeeper_config sets with these keys; 0 and less mean none."""
    return [int(config[key]) for key in keys if str(config.get(key, "")).isdecimal() and int(config[key])]


def _monitored(settings: Variables) -> list[int]:
    config = settings["zookeeper_config"]
    admin = [int(settings["zookeeper_admin_port"])] if is_true(settings["zookeeper_admin_server"]) else []
    if not str(config.get("metricsProvider.className", "")).endswith("PrometheusMetricsProvider"):
        return admin
    # 7000 is what the provider listens on if no port is given
    return admin + _ports({PROMETHEUS[0]: 7000, **config}, *PROMETHEUS)


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Any]:
        """Name the filters."""
        return {
            "mwapp_packet_filter": mwapp_packet_filter,
            "zookeeper_cut_off": zookeeper_cut_off,
            "zookeeper_packet_filter": zookeeper_packet_filter,
            "zookeeper_shut_out": zookeeper_shut_out,
        }
