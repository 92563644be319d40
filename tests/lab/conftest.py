"""A lab of three nodes for the tests of the verbs. They need root, and what `lab up` needs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Generator, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from lab import Lab, LabError
from testbed import evidence
from testbed.journals import journals
from testbed.reports import put_first

PREFIX = subprocess.check_output([Path(__file__).parents[2] / "scripts/lab-prefix"], text=True).strip()
NAME = f"{PREFIX}-labtest"
BEGAN = pytest.StashKey[str]()

NO_PODMAN = pytest.mark.skipif(
    not (shutil.which("podman") and shutil.which("runc")), reason="Podman is not installed: make setup-podman"
)
BACKENDS = ["nspawn", pytest.param("podman", marks=NO_PODMAN)]


def answering(lab: Lab, *names: str) -> bool:
    """Whether SSH servers speak on these nodes (all, if none is named); on a busy machine not at once."""
    asked = names or tuple(lab.nodes)
    return any(all(row["ssh"] for row in lab.status() if row["node"] in asked) for _ in range(10))


@pytest.fixture(scope="session", params=BACKENDS)
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Three nodes of either kind, up: what is tested of one kind is tested of the other."""
    lab = Lab(NAME, say=print)
    lab.down()
    lab.up(["a", "b", "c"], backend=request.param)
    yield lab
    lab.down()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Note when the test begins."""
    item.stash[BEGAN] = evidence.now()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Tell first what the nodes that run have noted of the time of the test: those of the lab that its module
    names, or of the shared one."""
    report = yield
    if report.failed:
        since = item.stash[BEGAN]
        with suppress(LabError):  # it may be gone
            told = journals(Lab(getattr(getattr(item, "module", None), "NAME", NAME)), since)
            put_first(report, "journals", evidence.extract(told, since))
    return report
