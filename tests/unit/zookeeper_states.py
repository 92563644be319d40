"""Members of an ensemble, and what their servers say."""

from __future__ import annotations

from tests.unit.zookeeper_role import load

health = load("zookeeper_health")
Member, State = health.Member, health.State

THREE = [Member(f"zk{i}", f"10.0.0.{i}", 2181) for i in (1, 2, 3)]
OBSERVED = [*THREE, Member("zk4", "10.0.0.4", 2181, observer=True)]


def leader(synced: int | None = 2) -> object:
    return State(reachable=True, mode="leader", synced_followers=synced)


def follower() -> object:
    return State(reachable=True, mode="follower")


def idle() -> object:
    return State(reachable=True)


def gone() -> object:
    return State(reachable=False, error="Connection refused")


def observer() -> object:
    return State(reachable=True, mode="observer")


def states(*servers: object) -> dict[str, object]:
    return {f"zk{i}": state for i, state in enumerate(servers, 1)}
