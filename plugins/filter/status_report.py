"""Jinja filters of playbooks/status.yml: what was found on all hosts, as one structure and as a table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ansible_collections.zklab.zookeeper.plugins.module_utils import tls_expiry
from ansible_collections.zklab.zookeeper.plugins.module_utils.unreachable_hosts import last_line
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_health import (
    UNSAID,
    clocks_apart,
    losing,
)
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_rules import returned_problems
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_settings import is_true
from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_tls_phases import (
    PLAIN,
    TLS,
    mismatch,
)

Row = dict[str, Any]
Hostvars = Mapping[str, Mapping[str, Any]]

WARN_DAYS = 30  # before a certificate ends, where no server tells what the role's variable says
SERVES = ("leader", "follower", "observer", "standalone")


def status_report(hosts: list[str], hostvars: Hostvars, groups: Mapping[str, list[str]]) -> Row:
    """Judge the system by what was registered on each host.

    Args:
        hosts: those that were looked at (all, or what --limit left).
        hostvars: of every host; the roles' tasks/status.yml registered what they found there.
        groups: zookeeper, mwapp_masters, mwapp_workers, mwapp_nodes.

    Returns:
        ok (nothing is wrong), ensemble and application; each has a state, its problems, and a row for each
        host or service; and each has warnings, which are no problems yet. Sizes are bytes, times seconds
        unless the name says otherwise.
    """
    ensemble = _ensemble([host for host in groups.get("zookeeper", []) if host in hosts], hostvars)
    application = _application(hosts, hostvars, groups)
    application["warnings"] = [
        *[row["drift"] for row in application["services"] if row["drift"]],
        *_services_ending(application["services"], _warn_days(groups.get("zookeeper", []), hostvars)),
        *_application_clocks(hosts, hostvars, groups),
    ]
    return {
        "ok": ensemble["state"] in ("healthy", "not asked")
        and application["state"] in ("working", "not asked"),
        "ensemble": ensemble,
        "application": application,
    }


# ------------------------------------------------------------ the ensemble


def _ensemble(hosts: list[str], hostvars: Hostvars) -> Row:
    views = [view for host in hosts if "members" in (view := hostvars[host].get("__zookeeper_gate") or {})]
    # Seen from a host that is cut off, all others are down: believe the one that sees most.
    view = max(views, key=lambda it: sum(bool(state["mode"]) for state in it["members"].values()), default={})
    seen = view.get("members", {})
    serving = [name for name, state in seen.items() if state["mode"] in SERVES]
    if not hosts:
        state, problems = "not asked", []
    elif not view:
        state, problems = "unknown", ["no host of the group `zookeeper` could be asked"]
    elif view["healthy"]:
        state, problems = "healthy", []
    else:
        state, problems = "degraded" if serving else "no quorum", list(view["problems"])
    differ = differing(hosts, hostvars) + _returned(hosts, hostvars)
    bare = _unfiltered("zookeeper", hosts, hostvars)
    if state == "healthy":
        state = "inconsistent" if differ else "unfiltered" if bare else state
    return {
        "state": state,
        "problems": problems + differ + bare,
        "warnings": [
            *_losing(hosts, hostvars, seen),
            *([UNSAID] if _unsaid(hosts, hostvars) else []),
            *_under_way(hosts, hostvars),
            *_ending(hosts, hostvars),
            *clocks_apart(_clocks(hosts, hostvars)),
        ],
        "leader": next((name for name in serving if seen[name]["mode"] in ("leader", "standalone")), None),
        "serving": len(serving),
        "size": len(seen),
        "servers": [_server(host, hostvars[host], seen.get(host, {})) for host in hosts],
    }


def _unfiltered(role: str, hosts: list[str], hostvars: Hostvars) -> list[str]:
    """Of hosts that everybody reaches, though there should be a packet filter."""
    return [
        f"{host}: its packet filter ({role}_packet_filter) is not loaded, so everybody on the network "
        "reaches its ports: run site.yml. If it happens at each boot, systemctl status "
        f"{role}-packet-filter says why"
        for host in hosts
        if (hostvars[host].get(f"__{role}_filter") or {}).get("unfiltered")
    ]


def _unsaid(hosts: list[str], hostvars: Hostvars) -> bool:
    """Whether servers have no TLS, and nobody has said that they need none."""
    said = any("zookeeper_tls" in hostvars[host] for host in hosts)
    return bool(hosts) and not said and TLS not in _phases(hosts, hostvars).values()


def _phases(hosts: list[str], hostvars: Hostvars) -> dict[str, str]:
    """How those that run speak."""
    looked = {host: hostvars[host].get("__zookeeper_found") or {} for host in hosts}
    return {host: phase for host, found in looked.items() if (phase := found.get("speaks"))}


def _under_way(hosts: list[str], hostvars: Hostvars) -> list[str]:
    """Of servers that run without TLS where the inventory wants it, or the other way round."""
    wanted = any(is_true(hostvars[host].get("zookeeper_tls", False)) for host in hosts)
    text = mismatch(_phases(hosts, hostvars), TLS if wanted else PLAIN)
    return [f"{text}: run playbooks/tls.yml, or set it back"] if text else []


def _clocks(hosts: list[str], hostvars: Hostvars) -> dict[str, float]:
    looked = {host: hostvars[host].get("__zookeeper_found") or {} for host in hosts}
    return {host: found["clock"] for host, found in looked.items() if "clock" in found}


def _application_clocks(hosts: list[str], hostvars: Hostvars, groups: Mapping[str, list[str]]) -> list[str]:
    """Of hosts that are no servers, which are warned of already. The server in the middle tells the time."""
    servers = _clocks([host for host in hosts if host in groups.get("zookeeper", [])], hostvars)
    in_order = sorted(servers, key=lambda host: (servers[host], host))
    others = {
        host: float(hostvars[host]["__mwapp_clock"]["stdout"])
        for host in hosts
        if host not in servers and (hostvars[host].get("__mwapp_clock") or {}).get("stdout")
    }
    middle = in_order[(len(in_order) - 1) // 2 :][:1]
    return clocks_apart(others | {host: servers[host] for host in middle}) if others else []


def _ending(hosts: list[str], hostvars: Hostvars) -> list[str]:
    """Of certificates."""
    looked = {host: hostvars[host].get("__zookeeper_status") or {} for host in hosts}
    return tls_expiry.due(
        {host: status.get("certificates") or [] for host, status in looked.items()},
        _warn_days(hosts, hostvars),
    )


def _warn_days(hosts: list[str], hostvars: Hostvars) -> int:
    """How early to warn: what the servers' variables say."""
    said = [(hostvars[host].get("__zookeeper_status") or {}).get("warn_days") for host in hosts]
    return max((days for days in said if days is not None), default=WARN_DAYS)


def _losing(hosts: list[str], hostvars: Hostvars, seen: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Of the releases that run."""
    config = next((hostvars[host].get("zookeeper_config") or {} for host in hosts), {})
    return losing(
        {name: state.get("version") for name, state in seen.items()},
        snapshots=is_true(config.get("forceSnapshotSync", False)),
    )


def differing(hosts: list[str], hostvars: Hostvars) -> list[str]:
    """Whether servers have different data, as far as they tell."""
    looked = {host: hostvars[host].get("__zookeeper_status") or {} for host in hosts}
    problems = [
        f"{host}: its data differed from the leader's {count} times since it started. {NOTICED}"
        for host, status in looked.items()
        if (count := (status.get("server") or {}).get("digest_mismatches"))
    ]
    told = {host: digests for host, status in looked.items() if (digests := status.get("digests"))}
    common = set.intersection(*map(set, told.values())) if told else set()
    if common and (differ := _groups(told, newest := max(common, key=_zxid))):
        problems.append(f"after transaction {newest} the data of {differ} differ. {REPAIR}")
    return problems


def _returned(hosts: list[str], hostvars: Hostvars) -> list[str]:
    """Of servers that were declared dead, and run again."""
    found = [hostvars[host].get("__zookeeper_found") or {} for host in hosts]
    return returned_problems(sorted({address for it in found for address in it.get("returned", [])}))


def _groups(told: Mapping[str, Mapping[str, str]], zxid: str) -> str:
    """The servers by the data they have after a transaction, "zk1, zk2 and of zk3"; empty if by one."""
    groups: dict[str, list[str]] = {}
    for host, digests in told.items():
        groups.setdefault(digests[zxid], []).append(host)
    return " and of ".join(", ".join(group) for group in groups.values()) if len(groups) > 1 else ""


def _zxid(text: str) -> int:
    return int(text, 16)


# It is so for a moment, and no harm, if a server fetches its data while clients write.
NOTICED = (
    "Play compare.yml: if it finds no difference, restart this server, which sets the count back; if it does,"
    " see 'Servers that differ' in the README of the role zookeeper."
)
REPAIR = "Acknowledged writes may be lost: see 'Servers that differ' in the README of the role zookeeper."


def _server(host: str, known: Mapping[str, Any], seen: Mapping[str, Any]) -> Row:
    found = known.get("__zookeeper_found") or {}
    status = known.get("__zookeeper_status") or {}
    said = status.get("server") or {}
    looked = "unit" in found
    if said or seen.get("mode"):
        role = said.get("role") or seen["mode"]
    elif looked:
        role = "not serving" if found["unit"]["active"] else "stopped"
    else:
        role = "unknown" if seen.get("reachable", True) else "down"
    return {
        "host": host,
        "reachable": looked,
        "error": None if looked else _reason(found),
        "role": role,
        "version": said.get("version") or seen.get("version"),
        "zxid": said.get("zxid") or seen.get("zxid"),
        **{key: said.get(key) for key in SAID},
        "disk": status.get("disk"),
        "certificates": status.get("certificates") or [],
        "drift": _drift(known) if looked else None,
    }


SAID = (
    "sessions",
    "connections",
    "latency_avg_ms",
    "latency_max_ms",
    "outstanding",
    "znodes",
    "uptime_s",
    "digest_mismatches",
)


def _reason(result: Mapping[str, Any]) -> str:
    """Why a host could not be looked at, in one line."""
    if result.get("problems"):
        return "; ".join(result["problems"])
    if "timedout" in result:
        return f"no answer over SSH within {result['timedout']['period']} s"
    message = str(result.get("msg") or "it was not looked at")
    if result.get("unreachable"):
        return last_line(message)
    text = " ".join(message.split())
    # What Ansible and urllib wrap around it is no news.
    refused = re.search(r"Request failed: <urlopen error (?:\[Errno \d+\] )?(.*)>", text)
    if refused:
        return f"its status endpoint does not answer: {refused[1]}"
    return text


def _drift(known: Mapping[str, Any]) -> list[dict[str, str]]:
    """What differs between the inventory, the host's files and the running server: kind and text of each."""
    found, files = known["__zookeeper_found"], known.get("__zookeeper_files") or {}
    keys = (known.get("__zookeeper_status") or {}).get("config") or []
    drift = [{"kind": "refused", "text": f"site.yml would refuse: {text}"} for text in found["problems"]]
    if found["missing"]:
        drift.append({"kind": "packages", "text": f"not installed: {', '.join(found['missing'])}"})
    if not found["unit"]["present"]:
        return [*drift, {"kind": "unit", "text": "no server has been set up here"}]
    for state in ("enabled", "active"):
        if not found["unit"][state]:
            drift.append({"kind": "unit", "text": f"zookeeper.service is not {state}"})
            break
    for key in keys:
        kind = "members" if key["key"].startswith("server.") else "config"
        drift.append({"kind": kind, "text": _values(key)})
    waiting = [path for path in files.get("waiting", []) if not (keys and path.endswith("/zoo.cfg"))]
    other = [path for diff in files.get("diff") or [] if (path := diff.get("before_header"))]
    for path in [*waiting, *other]:
        drift.append({"kind": "files", "text": f"{path} differs from what the inventory makes of it"})
    drift += _filter_drift(known.get("__zookeeper_filter") or {})
    for path in found["stale"]:
        drift.append(
            {"kind": "restart", "text": f"restart due: {path} is not what the server was started with"}
        )
    return drift


def _filter_drift(result: Mapping[str, Any]) -> list[dict[str, str]]:
    """What differs of the packet filter, or why that cannot be told."""
    texts = [f"{what} differs from what the inventory makes of it" for what in result.get("differs", [])]
    texts += [f"site.yml would refuse: {_reason(result)}"] if result.get("failed") else []
    return [{"kind": "filter", "text": text} for text in texts]


def _values(key: Mapping[str, Any]) -> str:
    names = {"wanted": "the inventory", "on_disk": "zoo.cfg", "running": "the running server"}
    said = [f"{names[at]} has {'none' if key[at] is None else key[at]}" for at in names if at in key]
    return f"{key['key']}: {', '.join(said)}"


# ------------------------------------------------------------ the application


def _application(hosts: list[str], hostvars: Hostvars, groups: Mapping[str, list[str]]) -> Row:
    masters, workers = groups.get("mwapp_masters", []), groups.get("mwapp_workers", [])
    nodes = groups.get("mwapp_nodes", [])
    members = [("master", host) for host in masters] + [("node", host) for host in nodes]
    members += [("worker", host) for host in workers]
    services = [_service(role, host, hostvars[host]) for role, host in members if host in hosts]
    active = [row["host"] for row in services if row["service"] != "worker" and row["state"] == "active"]
    problems = [f"{row['service']} on {row['host']}: {row['error']}" for row in services if not row["ready"]]
    problems += _unfiltered("mwapp", list(dict.fromkeys(row["host"] for row in services)), hostvars)
    if (masters or nodes) and {*masters, *nodes} <= set(hosts) and len(active) != 1:
        problems.append(f"{len(active) or 'no'} master{'s are' if len(active) > 1 else ' is'} active")
    state = "not asked" if not services else "working" if not problems else "impaired"
    return {
        "state": state,
        "problems": problems,
        "active_master": active[0] if len(active) == 1 else None,
        "services": services,
    }


def _service(role: str, host: str, known: Mapping[str, Any]) -> Row:
    status = known.get("__mwapp_status") or {}
    result = next((it for it in status.get("results") or [] if it["item"]["role"] == role), status)
    before = _before(role, known)
    document = result.get("json") or before.get("json") or {}
    part = document.get(role) or {}
    if role == "node":  # the master's figures count while it is that
        leads = part.get("state") == "active"
        part = part.get("worker", {}) | (part.get("master", {}) if leads else {}) | part
    running = part.get("running")
    counters = part.get("counters") or {}
    return {
        "host": host,
        "service": role,
        "ready": bool(document.get("ready")),
        "error": None if document.get("ready") else document.get("reason") or _reason(result),
        "state": part.get("state"),
        "epoch": part.get("epoch"),
        "workers": part.get("workers"),
        "queued": part.get("queued"),
        "assigned": part.get("assigned") if role != "worker" else None,
        "running": len(running) if isinstance(running, list) else running,
        "slots": part.get("slots"),
        "done": counters.get("done"),
        "failed": counters.get("failed"),
        "server": (document.get("session") or {}).get("server"),
        "certificate_ends": document.get("certificate_ends"),
        "drift": _tls_drift(role, host, before) if "json" in before else None,
    }


def _before(role: str, known: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a service answers that does not run as the inventory wants it."""
    results = (known.get("__mwapp_status_before") or {}).get("results") or []
    return next((it for it in results if it["item"]["role"] == role), {})


def _tls_drift(role: str, host: str, before: Mapping[str, Any]) -> str:
    how, wanted = ("with", "false") if is_true(before["item"]["status_tls"]) else ("without", "true")
    return (
        f"{role} on {host} speaks {how} TLS, and mwapp_status_tls is {wanted}: run site.yml, or set it back"
    )


def _services_ending(services: list[Row], days: int) -> list[str]:
    """Of the certificates that the services were started with."""
    now = datetime.now(UTC)
    ends = {
        f"{row['service']} on {row['host']}": datetime.fromisoformat(row["certificate_ends"])
        for row in services
        if row["certificate_ends"]
    }
    return tls_expiry.due(
        {name: [tls_expiry.row("its certificate", at, now)] for name, at in ends.items()}, days
    )


# ------------------------------------------------------------ the table


def status_table(report: Row) -> str:
    """The report for a person at a terminal, no line much longer than 120 characters but for remarks."""
    ensemble, application = report["ensemble"], report["application"]
    blocks = []
    if ensemble["servers"]:
        leads = f", {ensemble['leader']} leads" if ensemble["leader"] and ensemble["size"] > 1 else ""
        blocks.append(
            f"Ensemble: {ensemble['state']} ({ensemble['serving']} of {ensemble['size']} serve{leads})\n\n"
            + _table([_server_cells(row) for row in ensemble["servers"]])
            + _remarks(ensemble["problems"] + ensemble["warnings"] + _server_remarks(ensemble["servers"]))
        )
    if application["services"]:
        active = f" ({application['active_master']} is the active master)"
        blocks.append(
            f"Application: {application['state']}{active if application['active_master'] else ''}\n\n"
            + _table([_service_cells(row) for row in application["services"]])
            + _remarks(application["problems"] + application["warnings"])
        )
    return "\n\n".join(blocks)


def _server_cells(row: Row) -> dict[str, str]:
    disks = list((row["disk"] or {}).values())
    used = [disk["used"] for disk in disks if disk["used"] is not None]
    free = [disk["free"] for disk in disks if disk["free"] is not None]
    latency = f"{_cell(row['latency_avg_ms'])}/{_cell(row['latency_max_ms'])}"
    if row["drift"] is None:
        drift = "unknown"
    else:
        drift = ", ".join(dict.fromkeys(it["kind"] for it in row["drift"])) or "none"
    return {
        "SERVER": row["host"],
        "SSH": "yes" if row["reachable"] else "no",
        "ROLE": row["role"],
        "VERSION": _cell(row["version"]),
        "ZXID": _cell(row["zxid"]),
        "SESSIONS": _cell(row["sessions"]),
        "CONNS": _cell(row["connections"]),
        "AVG/MAX_ms": "-" if latency == "-/-" else latency,
        "OUTSTANDING": _cell(row["outstanding"]),
        "ZNODES": _cell(row["znodes"]),
        "USED": _size(sum(used)) if used else "-",
        "FREE": _size(min(free)) if free else "-",
        "UP": _time(row["uptime_s"]),
        "DRIFT": drift,
    }


def _server_remarks(rows: list[Row]) -> list[str]:
    remarks = [f"{row['host']} cannot be looked at: {row['error']}" for row in rows if row["error"]]
    drifts: dict[str, list[str]] = {}  # the hosts of each, as one cause often shows on all
    for row in rows:
        for it in row["drift"] or []:
            drifts.setdefault(it["text"], []).append(row["host"])
    remarks += [f"{', '.join(hosts)}: {text}" for text, hosts in drifts.items()]
    versions = sorted({row["version"] for row in rows if row["version"]})
    if len(versions) > 1:
        remarks.append(f"versions differ: {', '.join(versions)}")
    return remarks


def _service_cells(row: Row) -> dict[str, str]:
    tasks = "-" if row["running"] is None else f"{row['running']}/{_cell(row['slots'])}"
    return {
        "SERVICE": row["service"],
        "HOST": row["host"],
        "READY": "yes" if row["ready"] else "no",
        "STATE": _cell(row["state"]),
        "EPOCH": _cell(row["epoch"]),
        "WORKERS": _cell(row["workers"]),
        "QUEUED": _cell(row["queued"]),
        "ASSIGNED": _cell(row["assigned"]),
        "RUNNING": tasks,
        "DONE": _cell(row["done"]),
        "FAILED": _cell(row["failed"]),
        "SESSION AT": _cell(row["server"]),
    }


WORDS = frozenset(  # columns of words; numbers are ranged right
    ("SERVER", "SSH", "ROLE", "VERSION", "ZXID", "DRIFT", "SERVICE", "HOST", "READY", "STATE", "SESSION AT")
)


def _table(rows: list[dict[str, str]]) -> str:
    """Columns side by side."""
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    right = [heading not in WORDS for heading in lines[0]]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_the_right else cell.ljust(width)
            for cell, width, to_the_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def _remarks(texts: list[str]) -> str:
    return "\n" + "".join(f"\n- {text}" for text in texts) if texts else ""


def _cell(value: object) -> str:
    return "-" if value is None else str(len(value) if isinstance(value, list) else value)


def _size(count: int) -> str:
    """Bytes as people read them: 249856 is 244K."""
    number = float(count)
    for unit in "BKMG":
        if number < 1000:
            return f"{number:.0f}{unit}" if number >= 10 or unit == "B" else f"{number:.1f}{unit}"
        number /= 1024
    return f"{number:.1f}T"


def _time(seconds: int | None) -> str:
    """Seconds in the two largest units: 93784 is 1d 2h."""
    if seconds is None:
        return "-"
    for unit, small, many, few in ((86400, 3600, "d", "h"), (3600, 60, "h", "m"), (60, 1, "m", "s")):
        if seconds >= unit:
            return f"{seconds // unit}{many} {seconds % unit // small}{few}"
    return f"{seconds}s"


class FilterModule:
    """What Ansible looks for."""

    def filters(self) -> dict[str, Any]:
        """Name the filters."""
        return {"status_report": status_report, "status_table": status_table}
