"""The packet filter of one service: who may connect to which port, as rules for nftables.

Only the ports of the service are filtered, in a table of its own. Other tables may refuse more, never less.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address, ip_network
from typing import Any, NamedTuple, Union

Network = Union[IPv4Network, IPv6Network]  # noqa: UP007 - ansible-test's pylint knows no other
FAMILIES = ((4, "ip"), (6, "ip6"))
NFT = "/usr/sbin/nft"


class Rule(NamedTuple):
    """Ports, and the networks that may connect to them."""

    ports: tuple[int, ...]
    networks: tuple[Network, ...]


class UnknownSourceError(Exception):
    """A source is neither an address nor a network, and this host knows no such name."""


def look_up(source: str) -> list[Network]:
    """The networks that an address, a network or a name stands for.

    Raises:
        UnknownSourceError: it stands for none.
    """
    source = source.strip("[] ")
    try:
        return [ip_network(source)]
    except ValueError as error:
        if "host bits" in str(error):
            raise UnknownSourceError(f"has bits set behind the prefix: write {_meant(source)}") from error
    try:
        found = socket.getaddrinfo(source, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnknownSourceError("does not resolve on this host: correct it, or give an address") from error
    return [ip_network(str(entry[4][0]).partition("%")[0]) for entry in found]


def _meant(source: str) -> str:
    return str(ip_network(source, strict=False))


def resolve(
    rules: list[dict[str, Any]], lookup: Callable[[str], list[Network]] = look_up
) -> tuple[list[Rule], list[str]]:
    """The rules with networks in place of sources; and what is wrong with the sources, each once.

    A source is ``address`` with the ``setting`` it comes from. An ``optional`` one may be unknown: it is of a
    server that is about to leave.
    """
    known: dict[str, list[Network]] = {}
    problems: dict[str, None] = {}
    for source in (source for rule in rules for source in rule["sources"]):
        try:
            known[source["address"]] = lookup(source["address"])
        except UnknownSourceError as error:
            if not source.get("optional"):
                problems[f"{source['setting']}: {source['address']!r} {error}."] = None
    resolved = [
        Rule(
            tuple(sorted({int(port) for port in rule["ports"]})),
            tuple(network for source in rule["sources"] for network in known.get(source["address"], ())),
        )
        for rule in rules
        if rule["ports"]
    ]
    return resolved, list(problems)


def shut_out(rules: list[Rule], port: int, addresses: list[str]) -> list[str]:
    """Those of the addresses that may not connect to the port. The first rule that has it decides."""
    networks = next((rule.networks for rule in rules if port in rule.ports), None)
    if networks is None:
        return []
    return [one for one in addresses if not any(ip_address(one) in network for network in networks)]


def ruleset(name: str, rules: list[Rule]) -> str:
    """The file for ``nft -f``. It replaces the table in one step, so no packet passes in between."""
    lines = [line for rule in rules for line in _lines(rule)]
    body = "".join(f"    {line}\n" for line in ['iif "lo" accept', *lines])
    return f"""# Managed by Ansible (role {name}). The next run overwrites changes made here.
# Who may connect to the ports of {name}. All other ports are left to the other tables.
table inet {name}
delete table inet {name}
table inet {name} {{
  chain input {{
    type filter hook input priority filter; policy accept;
{body}  }}
}}
"""


def _lines(rule: Rule) -> list[str]:
    ports = f"tcp dport {{ {', '.join(map(str, rule.ports))} }}"
    accepted = [
        f"{ports} {family} saddr {{ {', '.join(addresses)} }} accept"
        for version, family in FAMILIES
        if (addresses := _addresses(rule, version))
    ]
    # A reset and no silence: who is refused by mistake sees it at once.
    return [*accepted, f"{ports} reject with tcp reset"]


def _addresses(rule: Rule, version: int) -> list[str]:
    """Those of one family. nft takes neither networks that overlap nor, everywhere, one of all addresses."""
    of_family: list[Any] = [network for network in rule.networks if network.version == version]
    networks = list(collapse_addresses(of_family))
    if any(network.prefixlen == 0 for network in networks):
        networks = [half for network in networks for half in network.subnets()]
    return [str(network).removesuffix(f"/{network.max_prefixlen}") for network in networks]


def unit(name: str, file: str, services: list[str]) -> str:
    """What loads the table when the host boots: before the network is there, and before the services."""
    return f"""# Managed by Ansible (role {name}). The next run overwrites changes made here.
[Unit]
Description=Packet filter of {name}
DefaultDependencies=no
Wants=network-pre.target
After=nftables.service
Before=network-pre.target shutdown.target {" ".join(services)}
Conflicts=shutdown.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={NFT} -f {file}
ExecReload={NFT} -f {file}

[Install]
WantedBy=sysinit.target
"""


def drop_in(name: str, file: str) -> str:
    """What brings the table back when nftables.service is started or reloaded."""
    return f"""# Managed by Ansible (role {name}). The next run overwrites changes made here.
# The host's own rules mostly begin with `flush ruleset`, which removes the table of {name}, too.
[Service]
ExecStartPost=-{NFT} -f {file}
ExecReload=-{NFT} -f {file}
"""
