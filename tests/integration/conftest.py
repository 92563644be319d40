"""The ensemble the integration tests share, and what the logs tell when one of them fails."""

import logging
import re
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from testbed import evidence
from testbed.ensemble import Ensemble
from testbed.reports import put_first

WHOLE = Path("build/failed")  # the logs of the time of a test that failed
BEGAN = pytest.StashKey[str]()

logging.getLogger("kazoo").setLevel(logging.ERROR)  # it warns of every connection that is cut on purpose


@pytest.fixture(scope="session")
def shared_ensemble() -> Iterator[Ensemble]:
    """Three servers for the whole run; use :func:`ensemble`, which heals them between tests."""
    with Ensemble() as ensemble:
        yield ensemble


@pytest.fixture
def ensemble(shared_ensemble: Ensemble) -> Iterator[Ensemble]:
    """Three servers that all serve. The test may kill and pause them; their znodes stay."""
    shared_ensemble.heal()
    yield shared_ensemble
    shared_ensemble.heal()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note when the test begins."""
    item.stash[BEGAN] = evidence.now()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Print before a failure what servers and daemons told during the test."""
    report = yield
    if report.failed:
        whole = WHOLE / re.sub(r"\W+", "-", f"{item.name} {call.when}")
        if told := evidence.told(item.stash[BEGAN], whole):
            put_first(report, "servers and daemons", told)
    return report
