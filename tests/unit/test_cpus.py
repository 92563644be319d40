"""How many CPUs a worker may use, and so how many tasks it runs at once if nobody says."""

from pathlib import Path

import pytest

from mwapp.execution import cpus
from mwapp.execution.cpus import usable_cpus


@pytest.fixture
def group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This process's, without a quota, on eight CPUs: a unit in a slice."""
    group = tmp_path / "system.slice/mwapp-worker.service"
    group.mkdir(parents=True)
    (group / "cpu.max").write_text("max 100000\n")
    monkeypatch.setattr(cpus, "own_group", lambda: group)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    return group


def test_without_a_quota_it_is_those_that_the_kernel_lets_it_run_on(
    group: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert usable_cpus() == 8
    (group / "cpu.max").unlink()  # the controller is off
    assert usable_cpus() == 8
    monkeypatch.setattr(cpus, "own_group", lambda: None)  # no cgroup v2
    assert usable_cpus() == 8
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3})
    assert usable_cpus() == 1


@pytest.mark.parametrize(
    ("quota", "usable"), [("200000 100000", 2), ("25000 10000", 3), ("1000 100000", 1), ("1600000 100000", 8)]
)
def test_a_quota_is_rounded_up(group: Path, quota: str, usable: int) -> None:
    """CPUQuota=200% and so on."""
    (group / "cpu.max").write_text(quota + "\n")
    assert usable_cpus() == usable


def test_the_least_quota_of_all_groups_counts(group: Path) -> None:
    (group / "cpu.max").write_text("500000 100000\n")
    (group.parent / "cpu.max").write_text("300000 100000\n")
    (group.parents[1] / "cpu.max").write_text("max 100000\n")
    assert usable_cpus() == 3
    (group / "cpu.max").write_text("200000 100000\n")
    assert usable_cpus() == 2


def test_a_limit_of_its_own_counts_too(group: Path) -> None:
    assert usable_cpus(0.01) == 1
    assert usable_cpus(2.5) == 3
    assert usable_cpus(100.0) == 8
    (group / "cpu.max").write_text("200000 100000\n")
    assert usable_cpus(2.5) == 2
