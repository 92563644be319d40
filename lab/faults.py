"""Cuts: which direction between which two is lost. Pure set algebra, and the rules that make it so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lab.spec import HOST

Cut = tuple[str, str]  # (from, to): what `from` sends to `to` is lost


def between(side: Iterable[str], other: Iterable[str], *, one_way: bool = False) -> set[Cut]:
    """The cuts that part two sets of nodes. One way: what `side` sends is lost, what it gets arrives."""
    there = {(a, b) for a in side for b in other if a != b}
    return there if one_way else there | {(b, a) for a, b in there}


def render(table: str, links: Mapping[str, str], cuts: Iterable[Cut]) -> str:
    """The nft rules for these cuts, as one transaction that replaces the earlier ones.

    `links` gives the cable of each node. Host and node always keep SSH (TCP port 22), as a machine in a rack
    keeps its console: what is cut off can still be looked at.
    """
    forward, inward, outward = [], [], []
    for a, b in sorted(cuts):
        if b == HOST:
            inward.append(links[a])
        elif a == HOST:
            outward.append(links[b])
        else:
            forward.append(f"iifname {links[a]} oifname {links[b]} drop")
    chains = {
        "forward": forward,
        "input": [f"iifname {link} {rule}" for link in inward for rule in _but_ssh("sport")],
        "output": [f"oifname {link} {rule}" for link in outward for rule in _but_ssh("dport")],
    }
    body = "".join(
        f"  chain {hook} {{\n    type filter hook {hook} priority 0; policy accept;\n"
        + "".join(f"    {rule}\n" for rule in rules)
        + "  }\n"
        for hook, rules in chains.items()
    )
    return f"table bridge {table} {{}}\ndelete table bridge {table}\ntable bridge {table} {{\n{body}}}\n"


def _but_ssh(port: str) -> list[str]:
    return ["ether type arp accept", f"ip protocol tcp tcp {port} 22 accept", "drop"]
