"""For every scenario: its lab, clients that write to it, figures at the end, and journals with a failure."""

import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from chaos.cluster import Cluster
from chaos.load import Writer
from lab import Lab

UNITS = ("zookeeper", "mwapp-master", "mwapp-worker", "mwapp-node")
LINES = 30

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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the journals of our units: of testinfra's host, or of all running nodes of the cluster."""
    report = yield
    if report.failed:
        for name, journal in _journals(getattr(item, "funcargs", {})):
            if journal:
                report.sections.append((f"journal of {name}", journal))
    return report


def _journals(fixtures: dict[str, Any]) -> Iterator[tuple[str, str]]:
    host, cluster = fixtures.get("host"), fixtures.get("cluster")
    show = ["journalctl", "--quiet", "--no-pager", "--output=short-iso-precise", f"--lines={LINES}"]
    for unit in UNITS:
        argv = [*show, f"--unit={unit}"]
        if host is not None:
            yield f"{unit} on {host.backend.hostname}", host.run(" ".join(argv)).stdout
        elif cluster is not None:
            lab = cluster.lab
            for node in lab.nodes:
                if lab.state(node) == "running":
                    yield f"{unit} on {node}", lab.exec(node, argv).stdout
