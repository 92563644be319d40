"""Every test runs under load, leaves a healthy system behind, and loses no acknowledged task or write."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from chaos.cluster import Cluster
from chaos.load import Submitter, Writer
from lab import Lab

SESSION_MS = 6000  # the role's default, mwapp_session_timeout

_FIGURES: list[str] = []
Measured = Callable[[str, list[float]], None]


@pytest.fixture
def measured() -> Measured:
    """Note the times of a fault, ms: they are told at the end, whether or not the tests pass."""
    return lambda fault, ms: _FIGURES.append(f"{fault}: {', '.join(f'{one:.0f}' for one in ms)} ms")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what the faults cost."""
    terminalreporter.section("what the faults cost")
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


@pytest.fixture(scope="session")
def submitter(cluster: Cluster) -> Iterator[Submitter]:
    """Twenty tasks a second, for the whole session."""
    with Submitter(cluster) as submitter:
        submitter.load(20)
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
    submitter.load(20)
    assert ledger.submitted > 0
    assert ledger.lost == []
    assert ledger.doubled == []
    assert ledger.failed == []
    for writer in writers:
        writer.verify()
