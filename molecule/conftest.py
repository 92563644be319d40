"""For every scenario: a test that fails on a host shows the end of the journal there."""

from collections.abc import Generator

import pytest

UNITS = ("zookeeper", "mwapp-master", "mwapp-worker")
LINES = 30


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the journals of the units of the host the test was on."""
    report = yield
    host = getattr(item, "funcargs", {}).get("host")
    if report.failed and host is not None:
        for unit in UNITS:
            show = f"journalctl --quiet --no-pager --output=short-iso --lines={LINES} --unit={unit}"
            if journal := host.run(show).stdout:
                report.sections.append((f"journal of {unit} on {host.backend.hostname}", journal))
    return report
