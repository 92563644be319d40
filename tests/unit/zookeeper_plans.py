"""What tests ask the plan of members, and what it answers, in short. Each server is named by one digit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.unit.zookeeper_role import load_file

plan_of = load_file("filter/zookeeper_voter_stages.py").zookeeper_voter_stages

Found = dict[str, Any]


def servers(voters: str, observers: str = "") -> dict[str, str]:
    """What a zoo.cfg says of the members."""
    return {n: f"zk{n}:2888:3888" for n in voters} | {n: f"zk{n}:2888:3888:observer" for n in observers}


def holds(voters: str, observers: str = "", **other: Any) -> Found:
    """A server with data, and the members it knows of."""
    listed = servers(voters, observers) if len(voters + observers) > 1 else {}
    found = {
        "data": True,
        "marker": False,
        "servers": listed,
        "unit": {"running": True},
        "last_zxid": "0x100000001",
        "trail": {},
        "configured": True,
    }
    return found | other


def empty(**other: Any) -> Found:
    return {
        "data": False,
        "marker": False,
        "servers": {},
        "unit": {"running": False},
        "last_zxid": None,
        "trail": {},
        "configured": False,
    } | other


def written(*zxids: int, at: int = 0) -> Found:
    """These are its last transactions, made at that time."""
    return {"last_zxid": f"{max(zxids):#x}", "trail": {f"{zxid:#x}": at for zxid in zxids}}


def reinstalled(*zxids: int, at: int = 0) -> Found:
    """A host on which nothing is left but the data: it knows of no members, and nothing runs."""
    return holds("", servers={}, configured=False, unit={"running": False}) | written(*zxids, at=at)


def stopped(voters: str, *zxids: int, at: int = 0) -> Found:
    """A server of a host that is as it was, with a zoo.cfg."""
    return holds(voters, unit={"running": False}) | written(*zxids, at=at)


def replaced(voters: str, moved: str, **other: Any) -> Found:
    """It knows of these voters, of which some are at new addresses."""
    return holds(
        voters, servers=servers(voters) | {n: f"new{n}:2888:3888" for n in moved if n in voters}, **other
    )


def plan(
    seen: Mapping[str, Found | None],
    *,
    observers: str = "",
    limit: str = "",
    gone: str = "",
    dead: str = "",
    disaster: bool = False,
    ports: Mapping[str, tuple[int, int]] | None = None,
) -> dict[str, Any]:
    """Plan for the servers of ``seen`` (None: it could not be looked at) without those of ``gone``."""
    members: list[dict[str, Any]] = [
        {"name": f"zk{n}", "id": n, "host": f"zk{n}", "observer": n in observers}
        | dict(zip(("quorum_port", "election_port"), (ports or {}).get(n, (2888, 3888)), strict=True))
        for n in sorted(seen)
        if n not in gone
    ]
    looked = {f"zk{n}": found or {"msg": "unreachable"} for n, found in seen.items()}
    play = [m["name"] for m in members if not limit or m["id"] in limit]
    answer: dict[str, Any] = plan_of(members, looked, play, dead, disaster)
    return answer


def steps(answer: dict[str, Any]) -> list[str]:
    """Voters and, after a stroke, observers of each stage."""
    assert answer["problems"] == [], answer["problems"]
    stages = []
    for stage in answer["stages"]:
        voters = "".join(sorted(str(m["id"]) for m in stage["members"] if not m["observer"]))
        rest = "".join(m["id"] for m in stage["members"] if m["observer"])
        stages.append(f"{voters}|{rest}" if rest else voters)
    return stages


def orders(answer: dict[str, Any]) -> list[str]:
    """Hosts of each stage and, after a stroke, those that must be healthy then."""
    assert answer["problems"] == [], answer["problems"]
    digits = [
        ("".join(name[-1] for name in stage["hosts"]), "".join(m["id"] for m in stage["asked"]))
        for stage in answer["stages"]
    ]
    return [f"{hosts}|{asked}" for hosts, asked in digits]


def refusal(answer: dict[str, Any]) -> str:
    assert answer["stages"] == [], answer["stages"]
    [text] = answer["problems"]
    return str(text)
