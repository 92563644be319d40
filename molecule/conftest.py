"""For every scenario: a test that fails shows the end of the journals of the hosts it was about."""

from collections.abc import Generator, Iterator
from typing import Any

import pytest

UNITS = ("zookeeper", "mwapp-master", "mwapp-worker", "mwapp-node")
LINES = 30


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


def _journals(fixtures: dict[str, object]) -> Iterator[tuple[str, str]]:
    # Duck-typed: a scenario without the one or the other does not import its class.
    host: Any = fixtures.get("host")
    cluster: Any = fixtures.get("cluster")
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
