"""Every test runs under load, leaves a healthy system behind, and loses no acknowledged task or write."""

from collections.abc import Callable, Iterator

import pytest

from chaos.cluster import Cluster
from chaos.load import TASKS_PER_SECOND, Submitter, Writer

Measured = Callable[[str, list[float]], None]


@pytest.fixture
def measured(figures: list[str]) -> Measured:
    """Note the times of a fault, ms."""
    return lambda fault, ms: figures.append(f"{fault}: {', '.join(f'{one:.0f}' for one in ms)} ms")


@pytest.fixture(scope="session")
def submitter(cluster: Cluster) -> Iterator[Submitter]:
    """Tasks again and again, for the whole session."""
    with Submitter(cluster) as submitter:
        submitter.load(TASKS_PER_SECOND)
        yield submitter


@pytest.fixture(autouse=True)
def nothing_is_lost(cluster: Cluster, writers: list[Writer], submitter: Submitter) -> Iterator[None]:
    """The invariants that hold whatever a test breaks."""
    cluster.settle()
    yield
    cluster.mend()
    cluster.settle()
    submitter.load(0)
    submitter.drain()
    ledger = submitter.ledger()
    submitter.load(TASKS_PER_SECOND)
    assert ledger.submitted > 0
    assert ledger.lost == []
    assert ledger.doubled == []
    assert ledger.failed == []
    for writer in writers:
        writer.verify()
