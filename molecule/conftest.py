"""For every scenario: its lab, clients that write to it, figures at the end, and journals with a failure."""

import json
import os
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, suppress

import pytest

from chaos.cluster import Cluster
from chaos.load import Writer
from lab import Lab, LabError
from testbed import evidence
from testbed.reports import put_first

UNITS = ("zookeeper", "mwapp-master", "mwapp-worker", "mwapp-node")
# A line of a server says its level itself; all others have journald's.
OWN = ("ERROR", "WARN", "INFO", "DEBUG", "TRACE")
LEVELS = {"2": "critical", "3": "error", "4": "warning", "7": "debug"}

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
            journals = _journals([host.backend.hostname] if host else None, since)
            put_first(report, "journals", evidence.extract(journals, since))
    return report


def _journals(names: list[str] | None, since: str) -> list[tuple[str, str]]:
    """What our units, and systemd of them, have said on these nodes (all that run), as evidence reads it."""
    lab = Lab(os.environ["LAB"])
    fields = "--output-fields=MESSAGE,PRIORITY"
    ask = ["journalctl", "--quiet", "--no-pager", "--utc", "--output=json", fields]
    ask += [f"--since={since.replace('T', ' ')} UTC", *(f"--unit={unit}" for unit in UNITS)]
    running = [name for name in names or lab.nodes if lab.state(name) == "running"]
    return [(name, "\n".join(map(_line, lab.exec(name, ask).stdout.splitlines()))) for name in running]


def _line(entry: str) -> str:
    fields = json.loads(entry)
    seconds, rest = divmod(int(fields["__REALTIME_TIMESTAMP"]), 1_000_000)
    at = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{rest // 1000:03}Z"
    message = str(fields["MESSAGE"])
    level = [] if message.startswith(OWN) else [LEVELS.get(fields["PRIORITY"], "info")]
    return " ".join([at, *level, message])
