"""Playbooks, played with the oldest and the newest supported ansible-core, and the system they are for."""

import json
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from chaos.cluster import Cluster
from lab import Lab

PROJECT = Path(__file__).parents[3]
PLAYERS = {"oldest": PROJECT / ".venv/oldest/bin", "newest": PROJECT / ".venv/bin"}
UNITS = {
    "zk1": "zookeeper",
    "zk2": "zookeeper",
    "zk3": "zookeeper",
    "mw1": "mwapp-worker",
    "mw2": "mwapp-worker",
}


@dataclass(frozen=True)
class Played:
    """How a play ended."""

    status: int
    output: str
    report: dict[str, Any] = field(default_factory=dict)  # what status.yml wrote to its file

    @property
    def changed(self) -> int:
        """How many tasks changed something, over all hosts, by the recap."""
        return sum(map(int, re.findall(r"changed=(\d+)", self.output)))

    @property
    def text(self) -> str:
        """What was said, whatever the lines were broken into."""
        return " ".join(self.output.split())


Play = Callable[..., Played]


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The lab of this scenario; the first test provisions it."""
    return Cluster(Lab(os.environ["LAB"]))


@pytest.fixture(scope="session")
def play(tmp_path_factory: pytest.TempPathFactory) -> Play:
    """Play a playbook by its name."""
    file = tmp_path_factory.mktemp("status") / "status.json"

    def run(name: str, *options: str, player: str = "newest") -> Played:
        command = [str(PLAYERS[player] / "ansible-playbook"), f"playbooks/{name}.yml"]
        command.append("--inventory=molecule/operations/inventory")
        if name == "status":
            command.append(f"--extra-vars=status_file={file}")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
        done = subprocess.run(
            [*command, *options],
            cwd=PROJECT,
            env=environment | {"ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1"},
            stdin=subprocess.DEVNULL,  # nobody is there to answer questions
            capture_output=True,
            text=True,
            check=False,
        )
        report = json.loads(file.read_text()) if name == "status" and file.exists() else {}
        file.unlink(missing_ok=True)
        return Played(done.returncode, done.stdout + done.stderr, report)

    return run


@pytest.fixture
def started(cluster: Cluster) -> Callable[[], dict[str, str]]:
    """Tell since when each host's service runs: another value after each restart."""

    def look() -> dict[str, str]:
        return {
            node: cluster.lab.exec(
                node, ["systemctl", "show", "--property=MainPID,ExecMainStartTimestampMonotonic", unit]
            ).stdout
            for node, unit in UNITS.items()
        }

    return look
