"""A client that writes all the time, and the play that changes the members under it."""

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from chaos.cluster import Cluster
from chaos.load import Writer
from lab import Lab

PROJECT = Path(__file__).parents[3]
INVENTORIES = PROJECT / "molecule/standalone/inventory"

_FIGURES: list[str] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what the changes cost."""
    terminalreporter.section("what the changes cost")
    for line in _FIGURES:
        terminalreporter.line(line)


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The provisioned lab of this scenario."""
    return Cluster(Lab(os.environ["LAB"]))


@pytest.fixture(scope="session", autouse=True)
def writer(cluster: Cluster) -> Iterator[Writer]:
    """One client with one session, for all the tests."""
    with Writer(cluster, "zk1") as writer:
        yield writer


@pytest.fixture(autouse=True)
def nothing_is_lost(writer: Writer) -> Iterator[None]:
    """Whoever the members are, they have all that was acknowledged, and take more."""
    yield
    began, had = time.monotonic(), len(writer.acknowledged)
    while len(writer.acknowledged) == had:
        assert time.monotonic() < began + 15, "no write is acknowledged any more"
        time.sleep(0.05)
    writer.verify()


@dataclass(frozen=True)
class Played:
    """How a play ended. ``changed``: the tasks that changed something, over all hosts."""

    status: int
    output: str

    @property
    def changed(self) -> int:
        """What the recap says."""
        return sum(map(int, re.findall(r"changed=(\d+)", self.output)))

    @property
    def text(self) -> str:
        """What was said, whatever the lines were broken into."""
        return " ".join(self.output.split())


Play = Callable[..., Played]


@pytest.fixture(scope="session")
def play(writer: Writer) -> Play:
    """Play the playbook of the ensemble with one of the inventories."""

    def run(inventory: str, *options: str) -> Played:
        began = time.monotonic()
        command = [
            "ansible-playbook",
            f"--inventory={INVENTORIES / inventory}.yml",
            "playbooks/zookeeper.yml",
        ]
        done = subprocess.run(
            [*command, *options],
            cwd=PROJECT,
            env=os.environ | {"ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        ended = time.monotonic()
        gap = writer.longest_gap(began, ended)
        what = " ".join([inventory, *options])
        _FIGURES.append(f"{what}: {ended - began:.1f} s, longest write gap {gap * 1000:.0f} ms")
        return Played(done.returncode, done.stdout)

    return run
