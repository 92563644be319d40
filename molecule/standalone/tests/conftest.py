"""A client that writes all the time, and the play that changes the members under it."""

import time
from collections.abc import Callable, Iterator

import pytest

from chaos.cluster import Cluster
from chaos.load import Writer
from testbed import playbook

INVENTORIES = playbook.PROJECT / "molecule/standalone/inventory"

Play = Callable[..., playbook.Played]


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


@pytest.fixture(scope="session")
def play(writer: Writer, figures: list[str]) -> Play:
    """Play the playbook of the ensemble with one of the inventories."""

    def run(inventory: str, *options: str) -> playbook.Played:
        played = playbook.play("zookeeper", f"--inventory={INVENTORIES / inventory}.yml", *options)
        gap = writer.longest_gap(played.began, played.ended)
        what = " ".join([inventory, *options])
        figures.append(f"{what}: {played.seconds:.1f} s, longest write gap {gap * 1000:.0f} ms")
        return played

    return run
