"""An ensemble that is rolled from release to release, and clients that write to it all the time."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from chaos.cluster import Cluster
from chaos.load import GAP_SECONDS, Writer
from testbed import playbook
from testbed.archive import Release


@dataclass(frozen=True)
class Operator:
    """Who plays the role, and looks at the servers."""

    cluster: Cluster
    writers: list[Writer]

    def versions(self) -> list[str]:
        """Of the servers as they run."""
        return [self.cluster.told(node, "zk_version").partition("-")[0] for node in self.cluster.servers]

    def install(self, release: Release, *options: str) -> playbook.Played:
        """Play it with that release; there is a quorum for clients all the time."""
        wanted = {
            "zookeeper_install_from": "archive",
            "zookeeper_archive": str(release.path),
            "zookeeper_archive_checksum": release.checksum,
        }
        played = self.play("zookeeper", f"--extra-vars={json.dumps(wanted)}", *options)
        assert played.status == 0, played.output
        assert self.longest_gap(played.began, played.ended) < GAP_SECONDS, played.output
        return played

    def play(self, name: str, *options: str) -> playbook.Played:
        """Play a playbook for this ensemble."""
        return playbook.play(name, "--inventory=molecule/archive/inventory", *options)

    def longest_gap(self, since: float, until: float) -> float:
        """Between two writes of any client, seconds."""
        return max(writer.longest_gap(since, until) for writer in self.writers)


@pytest.fixture(scope="session")
def operator(cluster: Cluster, writers: list[Writer]) -> Operator:
    return Operator(cluster, writers)


@pytest.fixture(autouse=True)
def nothing_is_lost(cluster: Cluster, writers: list[Writer]) -> Iterator[None]:
    """Whatever a test does, all servers are well after it and have all that was acknowledged."""
    yield
    cluster.leader()
    for writer in writers:
        writer.verify()
