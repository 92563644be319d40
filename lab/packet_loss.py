"""What is lost in which direction between which two: pure set algebra, and the rules for it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lab.spec import HOST

Direction = tuple[str, str]  # (from, to): what `from` sends to `to`
ALL = 100  # percent lost: a cut


def between(side: Iterable[str], other: Iterable[str], *, one_way: bool = False) -> set[Direction]:
    """The directions between two sets of nodes; one way: only what `side` sends."""
    there = {(a, b) for a in side for b in other if a != b}
    return there if one_way else there | {(b, a) for a, b in there}


def render(table: str, links: Mapping[str, str], losses: Mapping[Direction, int]) -> str:
    """The nft rules that lose these percentages of packets, as one transaction that replaces earlier rules.

    `links` gives the cable of each node. Host and node always keep SSH (TCP port 22), as a machine in a rack
    keeps its console: you can still look at a node that is cut off.
    """
    chains: dict[str, list[str]] = {"forward": [], "input": [], "output": []}
    for (a, b), percent in sorted(losses.items()):
        drop = "drop" if percent == ALL else f"numgen random mod 100 < {percent} drop"
        if b == HOST:
            chains["input"] += [f"iifname {links[a]} {rule}" for rule in (*_console("sport"), drop)]
        elif a == HOST:
            chains["output"] += [f"oifname {links[b]} {rule}" for rule in (*_console("dport"), drop)]
        else:
            chains["forward"].append(f"iifname {links[a]} oifname {links[b]} {drop}")
    body = "".join(
        f"  chain {hook} {{\n    type filter hook {hook} priority 0; policy accept;\n"
        + "".join(f"    {rule}\n" for rule in rules)
        + "  }\n"
        for hook, rules in chains.items()
    )
    return f"table bridge {table} {{}}\ndelete table bridge {table}\ntable bridge {table} {{\n{body}}}\n"


def _console(port: str) -> list[str]:
    return ["ether type arp accept", f"ip protocol tcp tcp {port} 22 accept"]
