"""The ensemble the integration tests share, and its servers' logs when one of them fails."""

from collections.abc import Generator, Iterator

import pytest

from tests.ensemble import Ensemble

_shared: list[Ensemble] = []


@pytest.fixture(scope="session")
def shared_ensemble() -> Iterator[Ensemble]:
    """Three servers for the whole run; use :func:`ensemble`, which heals them between tests."""
    with Ensemble() as ensemble:
        _shared.append(ensemble)
        yield ensemble
        _shared.clear()


@pytest.fixture
def ensemble(shared_ensemble: Ensemble) -> Iterator[Ensemble]:
    """Three servers that all serve. The test may kill and pause them; their znodes stay."""
    shared_ensemble.heal()
    yield shared_ensemble
    shared_ensemble.heal()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Print the servers' logs with a failure."""
    report = yield
    if report.failed and {"ensemble", "shared_ensemble"} & set(getattr(item, "fixturenames", ())):
        report.sections += [(f"ZooKeeper ({call.when})", ensemble.logs()) for ensemble in _shared]
    return report
