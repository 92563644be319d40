"""An ensemble that is rolled from release to release, and clients that write to it all the time."""

import json
from dataclasses import dataclass

import pytest

from chaos.cluster import Cluster
from chaos.load import GAP_SECONDS, Writer, longest_gap
from testbed import playbook
from testbed.archive import Release


@dataclass(frozen=True)
class Operator:
    """Who plays the role, under clients that write."""

    cluster: Cluster
    writers: list[Writer]

    def install(self, release: Release, *options: str) -> playbook.Played:
        """Play it with that release; there is a quorum for clients all the time."""
        wanted = {
            "zookeeper_install_from": "archive",
            "zookeeper_archive": str(release.path),
            "zookeeper_archive_checksum": release.checksum,
        }
        played = self.play("zookeeper", f"--extra-vars={json.dumps(wanted)}", *options)
        assert played.status == 0, played.output
        assert longest_gap(self.writers, played.began, played.ended) < GAP_SECONDS, played.output
        return played

    def play(self, name: str, *options: str) -> playbook.Played:
        """Play a playbook for this ensemble."""
        return playbook.play(name, "--inventory=molecule/archive/inventory", *options)


@pytest.fixture(scope="session")
def operator(cluster: Cluster, writers: list[Writer]) -> Operator:
    return Operator(cluster, writers)
