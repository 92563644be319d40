"""A lab's network: a bridge, a cable for each node, the way out, and its losses."""

from __future__ import annotations

import ipaddress
import json
from pathlib import Path

from lab import packet_loss
from lab.errors import LabError
from lab.run import Say, run, succeeds
from lab.spec import Node, Spec


def in_use() -> list[str]:
    """The IPv4 networks that this machine has addresses or routes in."""
    addresses = json.loads(run(["ip", "-json", "-4", "addr"]))
    routes = json.loads(run(["ip", "-json", "-4", "route", "show", "table", "all"]))
    found = [f"{a['local']}/{a['prefixlen']}" for link in addresses for a in link.get("addr_info", [])]
    return found + [r["dst"] for r in routes if r["dst"][0].isdigit()]


def raise_(spec: Spec, say: Say) -> None:
    """Make the bridge and the way out, if missing, with the losses of the spec."""
    for chain in barriers(run(["nft", "--json", "list", "chains"])):
        rules = " and ".join(
            f"nft insert rule {chain} {io} {spec.bridge} accept" for io in ("iifname", "oifname")
        )
        say(f"a firewall drops what this machine forwards; if nodes get no packages, run {rules}")
    if not succeeds(["ip", "link", "show", spec.bridge]):
        run(["ip", "link", "add", spec.bridge, "mtu", _mtu(), "type", "bridge"])
    # The alias identifies a lab's links when its state is lost.
    run(["ip", "link", "set", spec.bridge, "alias", _alias(spec.name), "up"])
    run(["ip", "addr", "replace", f"{spec.gateway}/24", "dev", spec.bridge])
    run(["nft", "-f", "-"], stdin=_way_out(spec))
    lose(spec)


def plug(spec: Spec, node: Node, pid: int) -> None:
    """Connect the network namespace of a process to the bridge, as eth0 with the node's address."""
    unplug(node)
    run(
        [
            *["ip", "link", "add", node.link, "mtu", _mtu(), "type", "veth"],
            *["peer", "name", "eth0", "mtu", _mtu(), "address", node.mac, "netns", str(pid)],
        ]
    )
    run(["ip", "link", "set", node.link, "master", spec.bridge, "alias", _alias(spec.name), "up"])
    inside = [
        "link set lo up",
        "link set eth0 up",
        f"addr add {node.address}/24 dev eth0",
        f"route add default via {spec.gateway}",
    ]
    run(["nsenter", f"--net=/proc/{pid}/ns/net", "ip", "-batch", "-"], stdin="\n".join(inside))


def unplug(node: Node) -> None:
    """Take the node's cable away, if there is one."""
    if Path("/sys/class/net", node.link).exists():
        # It disappears with the node's last process, perhaps just now.
        succeeds(["ip", "link", "del", node.link])


def lose(spec: Spec) -> None:
    """Set the losses to those of the spec."""
    links = {node.name: node.link for node in spec.nodes.values()}
    run(["nft", "-f", "-"], stdin=packet_loss.render(_table(spec.name), links, spec.losses))


def remove(name: str) -> None:
    """Remove everything of a lab's network, knowing only its name."""
    for link in json.loads(run(["ip", "-json", "link"])):
        if link.get("ifalias") == _alias(name):
            succeeds(["ip", "link", "del", link["ifname"]])  # a cable disappears with its node
    for family in ("ip", "bridge"):
        table = f"{family} {_table(name)}"
        run(["nft", "-f", "-"], stdin=f"table {table} {{}}\ndelete table {table}\n")


def barriers(chains: str) -> list[str]:
    """Chains of other programs (often Docker) that drop forwarded packets by default.

    `chains`: nft's list as JSON. No table of ours can overrule them, so a person has to.
    """
    found = [item["chain"] for item in json.loads(chains)["nftables"] if "chain" in item]
    found = [chain for chain in found if chain["family"] in ("ip", "inet")]
    return [
        f"{chain['family']} {chain['table']} {chain['name']}"
        for chain in found
        if chain.get("hook") == "forward" and chain.get("policy") == "drop"
    ]


def resolvers() -> list[str]:
    """This machine's name servers that nodes can reach, too. Raises LabError if there are none."""
    # systemd-resolved shows itself in the first file and its upstream servers in the second.
    for file in (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf")):
        if file.exists():
            servers = [
                line.split()[1] for line in file.read_text().splitlines() if line.startswith("nameserver ")
            ]
            reachable = [server for server in servers if not ipaddress.ip_address(server).is_loopback]
            if reachable:
                return reachable
    raise LabError(
        "/etc/resolv.conf has no name server that nodes can reach: add one that is not on loopback"
    )


def _alias(name: str) -> str:
    return f"zklab {name}"


def _table(name: str) -> str:
    return f"zklab-{name}"


def _mtu() -> str:
    """The MTU of the way out. A larger one on the bridge would depend on ICMP to be discovered."""
    routes = json.loads(run(["ip", "-json", "-4", "route", "show", "default"]))
    mtus = [
        Path("/sys/class/net", route["dev"], "mtu").read_text().strip() for route in routes if "dev" in route
    ]
    return min(mtus, key=int, default="1500")


def _way_out(spec: Spec) -> str:
    """NAT for the nodes' packets; nobody outside may open a connection to a node."""
    table, bridge = f"ip {_table(spec.name)}", spec.bridge
    return f"""table {table} {{}}
delete table {table}
table {table} {{
  chain nat {{
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr {spec.subnet} oifname != {bridge} masquerade
  }}
  chain guard {{
    type filter hook forward priority 0; policy accept;
    iifname != {bridge} oifname {bridge} ct state established,related accept
    iifname != {bridge} oifname {bridge} drop
  }}
}}
"""
