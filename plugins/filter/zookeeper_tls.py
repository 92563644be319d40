"""Jinja filters: what TLS takes of an ensemble, by the inventory and by what preflight found."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.zklab.zookeeper.plugins.module_utils.tls_fingerprints import fingerprints
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_reload import suffices
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_rules import (
    SUPERUSER,
    client_problems,
    name_of_a_server,
)
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_settings import is_true
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_tls_phases import (
    BOTH,
    PHASES,
    PLAIN,
    TLS,
    TooFarApartError,
    asks_with_tls,
    mismatch,
    way,
)

CLIENT_CA = "client-ca.pem"

Row = dict[str, Any]
Variables = Mapping[str, Any]
Hostvars = Mapping[str, Variables]


def zookeeper_certificates(
    members: list[Variables],
    seen: Hostvars,
    hostvars: Hostvars,
    play_hosts: list[str],
    clients: list[str] | str = "",
) -> Row:
    """Tell which certificates servers need, as the module tls_certificates takes it.

    Args:
        members: all of the group, each with its name and host.
        seen: by name, what preflight found on them.
        hostvars: of every host. The defaults of a role are not among them.
        play_hosts: those that this run may change, and so can give certificates to.
        clients: zookeeper_tls_clients.

    Returns:
        ``certificates``: two for each, for every name and address at which somebody reaches it; one for root
        of the servers; and one for each client.
        ``clocks`` and ``deployed``: what was found on all members.
    """
    wanted = [
        {"ca": ca, "name": member["name"], "hosts": _hosts(member, seen[member["name"]], hostvars)}
        for member in members
        if member["name"] in play_hosts
        for ca in ("client", "quorum")
    ]
    wanted += [{"ca": "client", "name": SUPERUSER, "optional": True}] if wanted else []
    wanted += [{"ca": "client", "name": name} for name in _texts(clients)]
    looked = {name: found for name, found in seen.items() if "clock" in found}
    return {
        "certificates": wanted,
        "clocks": {name: found["clock"] for name, found in looked.items()},
        "deployed": {name: found["trusts"] for name, found in looked.items() if found["trusts"]},
    }


def _hosts(member: Variables, found: Variables, hostvars: Hostvars) -> list[str]:
    its = hostvars[member["name"]]
    more = _texts(its.get("zookeeper_tls_names") or [])
    return _texts([member["host"], its.get("ansible_host") or "", member["name"], *found["addresses"], *more])


def _texts(given: Any) -> list[str]:
    """Each once. -e gives a list as text."""
    names = given.split(",") if isinstance(given, str) else given
    return list(dict.fromkeys(text for name in names if (text := str(name).strip())))


def zookeeper_tls_refusals(seen: Hostvars, tls: Any) -> list[str]:
    """Tell which servers run with TLS where the inventory wants none, or without.

    Args:
        seen: by name, what preflight found on hosts of the play, and on those that --limit leaves out.
        tls: zookeeper_tls.

    Returns:
        Reasons to refuse: restarted one by one, servers of the one kind could not talk to those of the other.
    """
    phases = {name: phase for name, found in seen.items() if (phase := found.get("speaks"))}
    text = mismatch(phases, TLS if is_true(tls) else PLAIN)
    if text is None:
        return []
    # Half-way that is of no use: site.yml refuses then, too.
    back = "Or set it back. " if set(phases.values()) in ({PLAIN}, {TLS}) else ""
    return [
        f"{text}: to switch a running ensemble while clients write, run playbooks/tls.yml. ({back}"
        "If no server runs, site.yml starts all of them so.)"
    ]


def zookeeper_tls_way(
    plan: Row,
    seen: Hostvars,
    play_hosts: list[str],
    tls: Any,
    part: str,
    cut_off: Any = False,
    check: bool = False,
) -> Row:
    """Plan the way of a running ensemble from plaintext to TLS, or back.

    Args:
        plan: what zookeeper_voter_stages planned.
        seen: by name, what preflight found on hosts of the play, and on those that --limit leaves out.
        play_hosts: those that this run may change.
        tls: zookeeper_tls.
        part: C(open), as far as clients can use both ports; then C(close), the rest.
        cut_off: whether clients may be cut off that still use the other port.
        check: whether nothing really changes (check mode), so that the first part was not done.

    Returns:
        The plan, with stages for this part (none, if nothing is to be done); or with problems.
    """
    if plan["problems"]:
        return plan
    phases = {name: phase for name, found in seen.items() if (phase := found.get("speaks"))}
    target, alone = TLS if is_true(tls) else PLAIN, len(seen) == 1
    try:
        steps = way(phases.values(), target, alone=alone)
    except TooFarApartError:
        return _stopped(
            plan,
            "The running servers cannot talk to each other, because their TLS settings differ "
            f"({_told(phases)}): stop those that serve nobody (systemctl stop zookeeper), and run again.",
        )
    done = steps == [target] and set(phases.values()) <= {target}
    if problem := None if done else _not_now(plan, phases, seen, play_hosts, target):
        return _stopped(plan, problem)
    # Half-way nothing but this playbook can change members, and some may have died for good.
    more = [] if done or not (_changes(plan) or len(plan["stages"]) > 1) else plan["stages"]
    runs = TLS in phases.values()  # and nothing else is asked by a check
    if more:
        at = _halfway(phases.values(), target)
        ask = runs if check else asks_with_tls(phases.values(), at)
        more = [{**stage, "tls": at, "ask_tls": ask} for stage in more]
        phases = dict.fromkeys(phases, at)
        steps = way([at], target, alone=alone)
    if part == "open":
        steps = [step for step in steps if step in BOTH]
    elif check:
        more, steps = [], [step for step in steps if step not in BOTH]
    if part == "close" and not done and not check and not is_true(cut_off):
        port = "plain" if target == TLS else "tls"
        if users := _users(seen, port):
            return _stopped(plan, _in_use(users, target))
    # If no server runs, clients are not waited for.
    stages = plan["stages"] if done and (part == "close" or not phases) else more
    last = {**plan["stages"][-1], "first": "", "changing": False}
    for step in steps if not done else []:
        ask = runs if check else asks_with_tls(phases.values(), step)
        stages = [*stages, {**last, "tls": step, "ask_tls": ask, "label": f"TLS: {step}"}]
        phases = dict.fromkeys(phases, step)
    return {**plan, "stages": stages}


def _changes(plan: Row) -> bool:
    """Whether members, their votes or their ports are to change."""
    stages = [stage for stage in plan["stages"] if not stage.get("newest_first")]
    first = stages[0]
    return len(stages) > 1 or bool(first.get("changing") or first.get("first"))


def _halfway(running: Iterable[str], target: str) -> str:
    """That of their phases which all of them understand, and all clients, too; the nearest to the target."""
    phases = set(running)
    return sorted(phases & {*BOTH} or phases, key=PHASES.index)[-1 if target == TLS else 0]


def _not_now(
    plan: Row, phases: Mapping[str, str], seen: Hostvars, play_hosts: list[str], target: str
) -> str | None:
    """What else is to change, or cannot."""
    if _changes(plan) and set(phases.values()) in ({PLAIN}, {TLS}):
        back = "false" if target == TLS else "true"
        return (
            "This run would also change members, votes or ports. Set zookeeper_tls back to "
            f"{back}, run site.yml for these, then switch TLS."
        )
    left_out = sorted(name for name in seen if name not in play_hosts)
    if left_out:
        return f"--limit leaves out {', '.join(left_out)}: all members must go along. Run without --limit."
    return None


def _stopped(plan: Row, problem: str) -> Row:
    return {**plan, "stages": [], "problems": [*plan["problems"], problem]}


def _told(phases: Mapping[str, str]) -> str:
    return ", ".join(f"{name}: {phase}" for name, phase in sorted(phases.items()))


def _users(seen: Hostvars, port: str) -> dict[str, list[str]]:
    """By address, on which servers it uses this kind of client port."""
    users: dict[str, list[str]] = {}
    for name, found in sorted(seen.items()):
        for address in (found.get("clients") or {}).get(port, []):
            users.setdefault(address, []).append(name)
    return users


def _in_use(users: Mapping[str, list[str]], target: str) -> str:
    who = ", ".join(f"{address} (at {', '.join(names)})" for address, names in sorted(users.items()))
    if target == TLS:
        what, remedy = "without TLS", "give them certificates ('Clients' in docs/operations.md), let them use"
        port = "zookeeper_tls_port"
    else:
        what, remedy, port = "with TLS", "let them use", "zookeeper_client_port"
    return (
        f"Clients are still connected {what}: {who}. Both ways are open: {remedy} {port}, and run again. "
        "(To cut them off instead: -e zookeeper_tls_cut_off=true)"
    )


def zookeeper_client_problems(clients: Any, servers: list[str]) -> list[str]:
    """Tell which names no client can have.

    Args:
        clients: zookeeper_tls_clients.
        servers: names of hosts in the group zookeeper.
    """
    names = _texts(clients)
    return client_problems(names) + [name_of_a_server(name) for name in names if name in servers]


def zookeeper_asks_tls(seen: Hostvars, tls: Any) -> bool:
    """Tell whether servers are to be asked with TLS.

    Args:
        seen: by name, what preflight found.
        tls: zookeeper_tls, which decides if no server runs.
    """
    phases = {phase for found in seen.values() if (phase := found.get("speaks"))}
    return TLS in phases if phases else is_true(tls)


def zookeeper_reloads(found: Row, placed: list[str], home: str, cas: Mapping[str, str]) -> bool:
    """Tell whether a running server can reload what changed, without a restart.

    Args:
        found: what preflight found before it changed.
        placed: files that changed since, of those that it reads when it starts.
        home: the directory of its certificates.
        cas: by CA, what its file says now.
    """
    changed = {*placed, *found["stale"]}
    trusts = {
        ca: fingerprints(text)
        for ca, text in cas.items()
        if f"{home}/{ca}-ca.pem" not in found["stale"]  # or nobody knows what it was started with
    }
    return bool(found["reloads"]) and suffices(changed, home, found["trusts"], trusts)


def zookeeper_ca_changes(hosts: list[str], hostvars: Hostvars, authority: str) -> bool:
    """Tell whether the role has just changed what running servers trust as the client CA, or will in a check.

    Args:
        hosts: names of those that the role was applied to.
        hostvars: of every host; the role has registered what it found before, and what it made.
        authority: what the file of the CA says now, on the machine where Ansible runs.
    """
    if any(
        CLIENT_CA in (hostvars[host].get("__zookeeper_certificates") or {}).get("files", []) for host in hosts
    ):
        return True
    now = fingerprints(authority)
    return any(
        found["trusts"].get("client", now) != now
        or any(path.endswith(f"/{CLIENT_CA}") for path in found["stale"])
        for host in hosts
        for found in [hostvars[host]["__zookeeper_found"]]
    )


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Any]:
        """Name the filters."""
        return {
            "zookeeper_asks_tls": zookeeper_asks_tls,
            "zookeeper_ca_changes": zookeeper_ca_changes,
            "zookeeper_certificates": zookeeper_certificates,
            "zookeeper_client_problems": zookeeper_client_problems,
            "zookeeper_reloads": zookeeper_reloads,
            "zookeeper_tls_refusals": zookeeper_tls_refusals,
            "zookeeper_tls_way": zookeeper_tls_way,
        }
