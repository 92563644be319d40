"""Every test runs under load, leaves three healthy peers behind, and loses no acknowledged task."""

from collections.abc import Iterator

import pytest

from chaos.cluster import Cluster
from chaos.load import Submitter
from testbed.waiting import wait_for

NODE_PORT = 2223
UNIT = "mwapp-node.service"


class Peers(Cluster):
    """A server, and three nodes of which each may be the master."""

    servers = ("zk1",)
    masters = workers = ("mw1", "mw2", "mw3")

    def running(self, node: str) -> list[str]:
        """Tasks that run on that node now."""
        return list(self.endpoint(node, NODE_PORT).get("worker", {}).get("running", ()))

    def settle(self, seconds: float = 60) -> None:
        """Wait until one is the master and the others are ready."""

        def look() -> bool:
            states = sorted(str(self.state(node, NODE_PORT)) for node in self.masters)
            return states == ["active", "ready", "ready"]

        wait_for("one peer is the master, two are ready", look, seconds)


@pytest.fixture(scope="session")
def cluster(cluster: Cluster) -> Peers:
    """The lab, as it is in this scenario."""
    return Peers(cluster.lab)


@pytest.fixture(scope="session")
def submitter(cluster: Peers) -> Iterator[Submitter]:
    """Some tasks a second, for the whole session."""
    with Submitter(cluster) as submitter:
        yield submitter


@pytest.fixture(autouse=True)
def nothing_is_lost(cluster: Peers, submitter: Submitter) -> Iterator[None]:
    """What holds whatever a test breaks."""
    cluster.settle()
    submitter.load(10)
    yield
    cluster.settle()
    submitter.load(0)
    submitter.drain()
    ledger = submitter.ledger()
    assert ledger.submitted > 0
    assert ledger.lost == []
    assert ledger.doubled == []
    assert ledger.failed == []
