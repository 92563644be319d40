"""A client that writes all the time, and the play that changes the members under it."""

from collections.abc import Callable, Iterator

import pytest

from chaos.cluster import Cluster
from chaos.load import Writer
from testbed import playbook
from testbed.waiting import wait_for

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
    had = len(writer.acknowledged)
    wait_for("a write is acknowledged", lambda: len(writer.acknowledged) > had)
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
