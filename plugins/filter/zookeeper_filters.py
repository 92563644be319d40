"""Jinja filters: what is known of all hosts, as structure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.zklab.zookeeper.plugins.module_utils.unreachable_hosts import (
    failed,
    is_full,
    may_be_gone,
    unreachable,
)
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_one_ensemble import (
    joined,
    last_transaction,
)
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_settings import is_true, lines


def zookeeper_members(
    names: list[str], hostvars: Mapping[str, Mapping[str, Any]], ports: Mapping[str, int]
) -> list[dict[str, Any]]:
    """Describe each member from its inventory variables.

    Args:
        names: inventory names, usually those of the group.
        hostvars: variables of every host. The defaults of a role are not among them, hence:
        ports: client_port, quorum_port, election_port of hosts whose variables do not set them.

    Returns:
        For each name its name, id (None if not set), host, whether it is an observer, and ports, in the
        order of the ids.
    """
    members = [
        {
            "name": str(name),
            "id": hostvars[name].get("zookeeper_id"),
            # The address by which Ansible comes in is one that certainly leads to the host.
            "host": str(hostvars[name].get("zookeeper_host") or hostvars[name].get("ansible_host") or name),
            "observer": is_true(hostvars[name].get("zookeeper_observer", False)),
            **{key: int(hostvars[name].get(f"zookeeper_{key}") or port) for key, port in ports.items()},
        }
        for name in names
    ]
    return sorted(members, key=lambda member: (len(str(member["id"])), str(member["id"])))


def zookeeper_refusals(
    names: list[str],
    hostvars: Mapping[str, Mapping[str, Any]],
    left_out: Iterable[Mapping[str, Any]] = (),
) -> list[str]:
    """Collect what preflight has against the plan, each reason once; a host it could not look at is one.

    ``left_out``: what it found on the hosts that --limit leaves out. Their own problems stop no other host.
    """
    reasons: list[str] = []
    for name in names:
        found = hostvars[name].get("__zookeeper_found", {})
        if "problems" in found:
            reasons += found["problems"]
        elif found.get("unreachable"):
            message = str(found.get("msg", ""))
            reasons.append(unreachable(name, message) + ("" if is_full(message) else _missing(message)))
        elif not found:
            reasons.append(
                f"{name} is in another batch: apply the role to all hosts at once, without serial."
            )
        else:
            reasons.append(failed(name, found))
    reasons += _farthest(names, hostvars, left_out)
    return list(dict.fromkeys(reasons + _tls_differs(names, hostvars) + _lists_skipped(names, hostvars)))


def _lists_skipped(names: list[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """That servers would ignore access control lists which the application counts on."""
    skips = [name for name in names if hostvars[name].get("__zookeeper_found", {}).get("skips_lists")]
    if not skips or not any(is_true(hostvars[host].get("mwapp_acl")) for host in hostvars):
        return []
    return [
        f"skipACL is set for {', '.join(skips)} (zookeeper_config or zookeeper_jvm_flags), and mwapp_acl is "
        "true: these servers would let everybody read and write everything. Remove it, or set mwapp_acl: "
        "false."
    ]


def _farthest(
    names: list[str], hostvars: Mapping[str, Mapping[str, Any]], left_out: Iterable[Mapping[str, Any]]
) -> list[str]:
    """Where another installation left data, which of all must not be put away, whatever else is said."""
    looked = {name: hostvars[name].get("__zookeeper_found", {}) for name in names}
    if not any(found.get("theirs") and found.get("doubts") for found in looked.values()):
        return []
    looked |= {str(found["item"]): found for found in left_out}
    ends = {
        name: max(int(found.get(key) or "0x0", 16) for key in ("last_zxid", "theirs"))
        for name, found in looked.items()
        if "problems" in found
    }
    unknown = [name for name in looked if name not in ends]
    if sum(map(bool, ends.values())) < 2 and not unknown:
        return []
    damaged = {name: text for name in ends if (text := _damaged(looked[name]))}
    told = [_end(name, last, damaged.get(name, "")) for name, last in ends.items()]
    told += [f"{name}: unknown" for name in unknown]
    newest = max(ends, key=lambda name: ends[name])
    keep = "Put none of them away" if unknown or damaged else f"Those of {newest} must not be put away"
    return [f"The last zxid of all data on each host is {'; '.join(told)}. {keep}."]


def _damaged(found: Mapping[str, Any]) -> str:
    """A log there that cannot be read to its end, of whichever data."""
    return str(found.get("damaged") or found.get("theirs_damaged") or "")


def _end(name: str, last: int, damaged: str) -> str:
    """How far data go. Those with a damaged log may go farther."""
    text = f"{last:#x}, epoch {last >> 32}"
    return f"{name}: at least {text}, its log {damaged} is damaged" if damaged else f"{name}: {text}"


def _missing(message: str) -> str:
    """Of a member that cannot be reached. Its number is for another only if it does not run: two servers with
    one number can lose a write."""
    left_alone = " While a member is missing, the others are left alone."
    if not may_be_gone(message):
        return left_alone
    return (
        f"{left_alone} If it is lost for good, give its zookeeper_id to a new host, or take it out of the "
        "group, and keep the old one off."
    )


def _tls_differs(names: list[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Servers with TLS and servers without do not understand each other."""
    hosts: dict[bool, list[str]] = {True: [], False: []}
    for name in names:
        found = hostvars[name].get("__zookeeper_found", {})
        if "tls" in found:
            hosts[found["tls"]].append(name)
    if not all(hosts.values()):
        return []
    return [
        f"zookeeper_tls is true for {', '.join(hosts[True])}, but false for {', '.join(hosts[False])}: set "
        "it alike for all servers, in group_vars."
    ]


def zookeeper_seen(
    names: list[str], hostvars: Mapping[str, Mapping[str, Any]], left_out: list[Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """Join what preflight found on the hosts of the play and on those that --limit leaves out."""
    seen = {name: hostvars[name]["__zookeeper_found"] for name in names}
    return seen | {result["item"]: result for result in left_out}


def zookeeper_replaceable(gate: Mapping[str, Any], seen: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Tell of each server that serves nobody whether the others may send it their data.

    Args:
        gate: what the module zookeeper_gate returned.
        seen: what preflight found on each host, before the run.

    Returns:
        A line for each such server that has data.
    """
    modes = {name: state["mode"] for name, state in gate.get("members", {}).items()}
    ill = [name for name in gate.get("blamed", []) if not modes[name]]
    return [f"{name}: {_fate(name, modes, seen)}" for name in ill if seen.get(name, {}).get("last_zxid")]


def _fate(name: str, modes: Mapping[str, str | None], seen: Mapping[str, Mapping[str, Any]]) -> str:
    """What is to become of its data: what may be the newest is kept."""
    unknown = [one for one in modes if "data" not in seen.get(one, {})]
    if unknown:
        return f"keep its data, for how far the data of {joined(unknown)} go is not known."
    if len(modes) == 1:
        return "keep its data: nobody else has them."
    serving = [one for one, mode in modes.items() if mode in ("leader", "follower")]
    if "leader" not in modes.values() or 2 * len(serving) <= len(modes):
        return "keep its data, for the others are not known to have a quorum without it."
    newest = max(serving, key=lambda one: last_transaction(seen[one]))
    end, its_end = last_transaction(seen[newest]), last_transaction(seen[name])
    if end < its_end:
        return (
            f"keep its data, for the last transaction of {newest}, the newest of those that serve, is "
            f"{end:#x}, older than {its_end:#x}."
        )
    may = (
        f"its data may be replaced: {newest} serves, and its last transaction, {end:#x}, is not older than "
        f"{its_end:#x}, the last of {name}. docs/operations.md says how, below reset.yml."
    )
    return _unless_repaired(seen[name]["damaged"], its_end, may) if seen[name].get("damaged") else may


def _unless_repaired(log: str, end: int, may: str) -> str:
    """What is to be tried before what else may be done."""
    return (
        f"its log {log} is damaged, and may have writes that nobody else has: repair a copy of it "
        f"(docs/operations.md, 'A damaged log'). If none can be repaired, what only this log has after "
        f"{end:#x} is lost. Then {may}"
    )


def zookeeper_pending(names: list[str], hostvars: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Tell which running servers must be restarted.

    Those for which new files wait, and those whose files changed since they were started: packages
    were upgraded, or an earlier run was cut short between the two. Files of a release that this run has
    restored to what the server was started with are no reason.
    """

    def due(host: Mapping[str, Any]) -> bool:
        restored = host.get("__zookeeper_release", {}).get("restored", [])
        stale = set(host["__zookeeper_found"]["stale"]) - set(restored)
        return bool(host["__zookeeper_files"].get("waiting") or stale)

    return [
        name
        for name in names
        if hostvars[name]["__zookeeper_found"]["unit"]["running"] and due(hostvars[name])
    ]


def zookeeper_ports(
    names: list[str], hostvars: Mapping[str, Mapping[str, Any]], tls: bool = False
) -> dict[str, int]:
    """Tell the client port, with TLS or without, on which each host's running server listens."""
    kind = "tls" if tls else "plain"
    return {name: hostvars[name]["__zookeeper_found"]["deployed_ports"][kind] for name in names}


def zookeeper_lines(settings: Mapping[str, Any], part: str) -> str:
    """Write a part of zoo.cfg."""
    return "\n".join(lines(part, settings))


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Any]:
        """Name the filters."""
        return {
            "zookeeper_lines": zookeeper_lines,
            "zookeeper_members": zookeeper_members,
            "zookeeper_pending": zookeeper_pending,
            "zookeeper_refusals": zookeeper_refusals,
            "zookeeper_ports": zookeeper_ports,
            "zookeeper_replaceable": zookeeper_replaceable,
            "zookeeper_seen": zookeeper_seen,
        }
