"""A provisioned ensemble, clients that write to it all the time, releases, and the play to install them."""

import functools
import http.server
import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from chaos.cluster import Cluster
from chaos.load import SESSION_SECONDS, Writer
from lab import Lab
from tests.archive import Release, build

PROJECT = Path(__file__).parents[3]

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


@pytest.fixture(scope="session")
def writers(cluster: Cluster) -> Iterator[list[Writer]]:
    """A writing client at each server, for the whole session."""
    with ExitStack() as stack:
        yield [stack.enter_context(Writer(cluster, node)) for node in cluster.servers]


@pytest.fixture(autouse=True)
def nothing_is_lost(cluster: Cluster, writers: list[Writer]) -> Iterator[None]:
    """Whatever a test does, all servers are well after it and have all that was acknowledged."""
    yield
    cluster.leader()
    for writer in writers:
        writer.verify()


@pytest.fixture(scope="session")
def releases() -> dict[str, Release]:
    """An archive of each version."""
    return {release.version: release for release in map(build, ("bookworm", "trixie"))}


@pytest.fixture(scope="session")
def url(cluster: Cluster, releases: dict[str, Release]) -> Iterator[str]:
    """Where hosts can download the releases."""
    directory = next(iter(releases.values())).path.parent
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(directory))
    with http.server.ThreadingHTTPServer((cluster.lab.spec.gateway, 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{cluster.lab.spec.gateway}:{server.server_port}"
        server.shutdown()


@dataclass(frozen=True)
class Played:
    """How a play ended. ``changed``: the tasks that changed something, over all hosts."""

    status: int
    output: str

    @property
    def changed(self) -> int:
        """What the recap says."""
        return sum(map(int, re.findall(r"changed=(\d+)", self.output)))


class Player:
    """Plays the playbook of the ensemble, and sees to it that clients hardly notice."""

    def __init__(self, writers: list[Writer]) -> None:
        self._writers = writers

    def __call__(self, what: str, **variables: Any) -> Played:
        """Play it with these variables. Fails if some client had to wait longer than its session lasts."""
        began = time.monotonic()
        command = ["ansible-playbook", "--inventory=inventory/lab", "playbooks/zookeeper.yml"]
        done = subprocess.run(
            [*command, "--extra-vars", json.dumps(variables)],
            cwd=PROJECT,
            env=os.environ | {"ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0"},
            capture_output=True,
            text=True,
            check=False,
        )
        ended = time.monotonic()
        gap = max(writer.longest_gap(began, ended) for writer in self._writers)
        _FIGURES.append(f"{what}: {ended - began:.1f} s, longest write gap of any client {gap * 1000:.0f} ms")
        assert gap < SESSION_SECONDS, done.stdout
        return Played(done.returncode, done.stdout)


@pytest.fixture(scope="session")
def play(writers: list[Writer]) -> Player:
    """The play."""
    return Player(writers)
