"""Playbooks, played with the oldest and the newest supported ansible-core, and what their hosts run."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from chaos.cluster import Cluster
from testbed import playbook

UNITS = {
    "zk1": "zookeeper",
    "zk2": "zookeeper",
    "zk3": "zookeeper",
    "mw1": "mwapp-worker",
    "mw2": "mwapp-worker",
}


@dataclass(frozen=True)
class Played(playbook.Played):
    """``report``: what status.yml wrote to its file."""

    report: dict[str, Any] = field(default_factory=dict)


Play = Callable[..., Played]
Started = Callable[[], dict[str, str]]


@pytest.fixture(scope="session")
def play(tmp_path_factory: pytest.TempPathFactory) -> Play:
    """Play a playbook by its name."""
    file = tmp_path_factory.mktemp("status") / "status.json"

    def run(name: str, *options: str, player: str = "newest") -> Played:
        options = ("--inventory=molecule/operations/inventory", *options)
        if name == "status":
            options = (f"--extra-vars=status_file={file}", *options)
        played = playbook.play(name, *options, tools=playbook.TOOLS[player])
        report = json.loads(file.read_text()) if name == "status" and file.exists() else {}
        file.unlink(missing_ok=True)
        return Played(**vars(played), report=report)

    return run


@pytest.fixture
def started(cluster: Cluster) -> Started:
    """Tell since when each host's service runs: another value after each restart."""

    def look() -> dict[str, str]:
        return {
            node: cluster.lab.exec(
                node, ["systemctl", "show", "--property=MainPID,ExecMainStartTimestampMonotonic", unit]
            ).stdout
            for node, unit in UNITS.items()
        }

    return look
