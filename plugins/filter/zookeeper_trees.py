"""Jinja filters of playbooks/compare.yml: after which transaction servers are compared, and what differs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.zklab.zookeeper.plugins.module_utils.unreachable_hosts import failed, unreachable

Hostvars = Mapping[str, Mapping[str, Any]]
Node = Mapping[str, Any]

# Of the buckets that differ so many are looked at: as have so many znodes, and one at least.
LOOKED_AT = 20_000
SHOWN = 50
REPAIR = "See 'Servers that differ' in the README of the role zookeeper before you change anything."


def zookeeper_tree_plan(hosts: list[str], hostvars: Hostvars) -> dict[str, Any]:
    """After which transaction to compare whom, and what to look at more closely.

    Args:
        hosts: those that should be compared.
        hostvars: of every host; tasks/compare.yml registered what the module zookeeper_tree said.

    Returns:
        zxid (None if there is nothing to compare), hosts that can be compared, buckets that differ (all, and
        those to look at), how many znodes there are, and problems: why a host cannot be compared.
    """
    problems: list[str] = []
    spans: dict[str, tuple[int, int]] = {}
    for host in hosts:
        said = hostvars[host].get("__zookeeper_tree_span") or {}
        if said.get("last") and said.get("first"):
            spans[host] = int(said["first"], 16), int(said["last"], 16)
        else:
            problems.append(_unknown(host, said))
    zxid = min((last for _first, last in spans.values()), default=None)
    behind = [host for host, (_first, last) in spans.items() if last == zxid]
    for host, (first, _last) in list(spans.items()):
        if zxid is not None and first > zxid:
            problems.append(
                f"{host} no longer has the znodes as they were after transaction 0x{zxid:x}, where "
                f"{behind[0]} ends. If {behind[0]} is stopped, start it, so that it gets what it lacks, or "
                f"leave it out: --limit '!{behind[0]}'."
            )
            del spans[host]
    sums: dict[str, Mapping[str, str]] = {}
    for host in spans:
        said = hostvars[host].get("__zookeeper_tree_sums") or {}
        if "sums" in said:
            sums[host] = said["sums"]
        elif said.get("error") or said.get("failed") or said.get("unreachable"):
            problems.append(_unknown(host, said))
    numbers = sorted({bucket for buckets in sums.values() for bucket in buckets}, key=int)
    differ = [number for number in numbers if len({some.get(number) for some in sums.values()}) > 1]
    return {
        "zxid": None if zxid is None else f"0x{zxid:x}",
        "hosts": [host for host in spans if not sums or host in sums],
        "differ": [int(number) for number in differ],
        "buckets": [int(number) for number in _looked_at(differ, sums)],
        "znodes": max((sum(_count(value) for value in some.values()) for some in sums.values()), default=0),
        "problems": problems,
    }


def zookeeper_tree_report(
    hosts: list[str], hostvars: Hostvars, group: list[str] | None = None
) -> dict[str, Any]:
    """Which znodes differ, and where.

    Args:
        hosts: those that were compared.
        hostvars: of every host.
        group: all servers; those that --limit leaves out are told.

    Returns:
        ok, and text for a person; differs: for each path, what each host has (None: it has no such znode).
    """
    plan = zookeeper_tree_plan(hosts, hostvars)
    looks = {host: hostvars[host].get("__zookeeper_tree_nodes") or {} for host in plan["hosts"]}
    problems = plan["problems"] + [
        _unknown(host, said) for host, said in looks.items() if plan["buckets"] and "nodes" not in said
    ]
    looks = {host: said for host, said in looks.items() if "nodes" in said}
    unknown = {path for said in looks.values() for path in said["later"]}
    paths = sorted({path for said in looks.values() for path in said["nodes"]} - unknown)
    has = {path: {host: said["nodes"].get(path) for host, said in looks.items()} for path in paths}
    differs = {
        path: nodes
        for path, nodes in has.items()
        if len({None if node is None else node["fingerprint"] for node in nodes.values()}) > 1
    }
    more = len(plan["differ"]) > len(plan["buckets"])
    compared = list(looks) if plan["buckets"] else plan["hosts"]
    left_out = [host for host in group or [] if host not in hosts]
    alone = len(hosts) == 1 and bool(left_out)
    return {
        "ok": not differs and not more and not alone and len(compared) == len(hosts),
        "differs": differs,
        "text": _told(plan, compared, differs, problems, left_out, more=more, unknown=len(unknown)),
    }


def _told(
    plan: Mapping[str, Any],
    compared: list[str],
    differs: Mapping[str, Mapping[str, Node | None]],
    problems: list[str],
    left_out: list[str],
    *,
    more: bool,
    unknown: int,
) -> str:
    lines = [f"- {problem}" for problem in problems]
    if len(compared) > 1:
        who = ", ".join(compared)
        if differs or more:
            count = f"{'more than ' if more else ''}{len(differs)} of {plan['znodes']}"
            lines.append(f"After transaction {plan['zxid']} {who} differ in {count} znodes. {REPAIR}")
        else:
            lines.append(f"After transaction {plan['zxid']} {who} have the same {plan['znodes']} znodes.")
        lines += [f"- {path}: {_groups(nodes)}" for path, nodes in list(differs.items())[:SHOWN]]
        if len(differs) > SHOWN:
            lines.append(f"- and {len(differs) - SHOWN} more")
        if unknown:
            lines.append(
                f"- {unknown} more may differ: they changed since, and could not be compared. Run it again, "
                "at best while nobody writes."
            )
    elif not problems and not left_out:
        lines.append("There is only one server, and nothing to compare it with.")
    if left_out:
        lines.append(
            f"Not compared: {', '.join(left_out)}, which --limit leaves out. Whether they have the same is "
            "not known."
        )
    return "\n".join(lines)


def _groups(nodes: Mapping[str, Node | None]) -> str:
    """What each host has, those together that have the same."""
    groups: dict[str | None, list[str]] = {}
    for host, node in nodes.items():
        groups.setdefault(None if node is None else str(node["fingerprint"]), []).append(host)
    told: dict[str, int] = {}
    parts = []
    for group in groups.values():
        text = _node(nodes[group[0]])
        told[text] = told.get(text, 0) + 1
        parts.append(f"{', '.join(group)}: {text}{', but with other contents' if told[text] > 1 else ''}")
    return "; ".join(parts)


def _node(node: Node | None) -> str:
    if node is None:
        return "none"
    return f"version {node['version']} of transaction 0x{node['modified']:x}, {node['size']} bytes"


def _looked_at(differ: list[str], sums: Mapping[str, Mapping[str, str]]) -> list[str]:
    """As many as have few enough znodes."""
    taken: list[str] = []
    znodes = 0
    for number in differ:
        znodes += max(_count(some.get(number, "0")) for some in sums.values())
        if taken and znodes > LOOKED_AT:
            break
        taken.append(number)
    return taken


def _count(value: str) -> int:
    """Of what the module says of a bucket: how many znodes, and a checksum."""
    return int(value.split()[0])


def _unknown(host: str, said: Mapping[str, Any]) -> str:
    """Why a host cannot be compared."""
    if said.get("unreachable"):
        return unreachable(host, str(said.get("msg", "")))
    if said.get("error"):
        return f"{host} cannot be compared: {said['error']}."
    if said.get("failed"):
        return failed(host, said)
    if said.get("last"):
        return (
            f"{host} cannot be compared: it has no snapshot, or they are compressed with Snappy, which "
            "Python cannot read. Set zookeeper_config: {snapshot.compression.method: gz}, run site.yml, and "
            "compare after the next snapshot; each server writes one when it starts."
        )
    return f"{host} has no data."


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Any]:
        """Name the filters."""
        return {"zookeeper_tree_plan": zookeeper_tree_plan, "zookeeper_tree_report": zookeeper_tree_report}
