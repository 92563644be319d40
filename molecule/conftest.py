"""For every scenario: its lab, clients that write to it, figures at the end, and journals with a failure."""

import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack, suppress

import pytest

from chaos.cluster import Cluster
from chaos.load import Writer
from lab import Lab, LabError
from testbed import evidence
from testbed.journals import journals
from testbed.reports import put_first

UNITS = ("zookeeper", "mwapp-master", "mwapp-worker", "mwapp-node")

BEGAN = pytest.StashKey[str]()
_figures: list[str] = []


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    """The lab of this scenario."""
    return Cluster(Lab(os.environ["LAB"]))


@pytest.fixture(scope="session")
def writers(cluster: Cluster) -> Iterator[list[Writer]]:
    """A writing client at each server, for the whole session."""
    with ExitStack() as stack:
        yield [stack.enter_context(Writer(cluster, node)) for node in cluster.servers]


@pytest.fixture
def nothing_is_lost(cluster: Cluster, writers: list[Writer]) -> Iterator[None]:
    """Whatever a test does, all servers are well after it and have all that was acknowledged."""
    yield
    cluster.leader()
    for writer in writers:
        writer.verify()


@pytest.fixture(scope="session")
def figures() -> list[str]:
    """Lines to be told at the end, whether or not the tests pass."""
    return _figures


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what it cost."""
    if _figures:
        terminalreporter.section("what it cost")
    for line in _figures:
        terminalreporter.line(line)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note when the test begins."""
    item.stash[BEGAN] = evidence.now()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell first what our units did meanwhile: those of testinfra's host, or of all nodes of the lab."""
    report = yield
    if report.failed:
        host = getattr(item, "funcargs", {}).get("host")
        since = item.stash[BEGAN]
        with suppress(LabError):  # it may be gone
            told = journals(Lab(os.environ["LAB"]), since, UNITS, [host.backend.hostname] if host else [])
            put_first(report, "journals", evidence.extract(told, since))
    return report
