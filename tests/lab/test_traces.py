"""What a lab leaves behind: nothing, however it ended."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from lab import Lab
from lab.run import until
from lab.spec import DISKS
from tests.lab.conftest import BACKENDS, PREFIX, answering
from tests.lab.traces import traces

NAME = f"{PREFIX}-labtest2"
UP = [sys.executable, "-m", "lab.cli", "--name", NAME, "up", "x", "y", "z"]


@pytest.fixture(autouse=True)
def gone() -> Iterator[None]:
    """No lab before and after."""
    Lab(NAME).down()
    yield
    Lab(NAME).down()


@pytest.mark.parametrize("backend", BACKENDS)
def test_down_leaves_nothing(backend: str) -> None:
    before = traces(NAME)
    lab = Lab(NAME)
    lab.up(["x", "y", "z"], backend=backend)
    during = traces(NAME)
    assert all(
        during[kind] for kind in ("processes", "cgroups", "mounts", "loops", "links", "tables", "files")
    )
    config = str(lab.spec.run / "ssh_config")
    subprocess.run(["ssh", "-F", config, "x", "true"], check=True)  # leaves a shared connection
    lab.freeze("x")
    lab.power_cut("y")
    lab.cut("z")
    lab.loss("x", 10)
    lab.fill_disk("z")
    lab.down()
    assert traces(NAME) == before
    assert not any(before[kind] for kind in before if kind not in ("lock files", "namespaces", "podman"))


def test_down_twice_is_no_error() -> None:
    Lab(NAME).down()
    Lab(NAME).down()


def test_down_needs_no_state() -> None:
    before = traces(NAME)
    lab = Lab(NAME)
    lab.up(["x"])
    (lab.spec.run / "lab.json").unlink()
    lab.down()
    assert traces(NAME) == before


def test_up_needs_no_state_either() -> None:
    lab = Lab(NAME)
    lab.up(["x"])
    (lab.spec.run / "lab.json").unlink()
    lab.up(["x", "y"])
    assert lab.exec("x", ["hostname"]).stdout == "x\n"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("backend", BACKENDS)
def test_up_works_over_a_crashed_up(backend: str, seed: int) -> None:
    before = traces(NAME)
    delay = random.Random(seed).uniform(0.1, 1.5)  # noqa: S311 - a moment, not a secret
    argv = [*UP, "--backend", backend]
    with subprocess.Popen(argv, start_new_session=True, stderr=subprocess.DEVNULL) as up:
        time.sleep(delay)
        with contextlib.suppress(ProcessLookupError):
            os.kill(up.pid, signal.SIGKILL)
    lab = Lab(NAME)
    lab.up(["x", "y", "z"], backend=backend)
    for node in "xyz":
        assert lab.exec(node, ["systemctl", "is-system-running", "--wait"]).stdout == "running\n", delay
    config = str(lab.spec.run / "ssh_config")
    assert (
        subprocess.run(["ssh", "-F", config, "z", "hostname"], capture_output=True, check=True).stdout
        == b"z\n"
    )
    lab.down()
    assert traces(NAME) == before


def test_up_waits_for_what_a_killed_one_had_begun() -> None:
    """A program that it ran may outlive it by a moment, and writes where the next one is to."""
    seed = DISKS / NAME / "x/seed.new/etc/ssh"
    writes = f"while :; do mkdir -p {seed}; for i in $(seq 999); do echo >{seed}/$i; done; done"
    with subprocess.Popen(["timeout", "3", "sh", "-c", writes], stderr=subprocess.DEVNULL):
        until(seed.exists, 10, "the first file")
        Lab(NAME).up(["x"])
    assert answering(Lab(NAME))


def test_two_ups_at_once_make_one_lab() -> None:
    ups = [subprocess.Popen(UP, stderr=subprocess.DEVNULL) for _ in range(3)]
    assert [up.wait() for up in ups] == [0, 0, 0]
    assert len(Lab(NAME).nodes) == 3
    assert answering(Lab(NAME))


def test_labs_side_by_side(lab: Lab) -> None:
    other = Lab(NAME)
    other.up(["a", "b"])
    assert other.spec.subnet != lab.spec.subnet
    other.cut("a")
    other.down()
    assert lab.exec("a", ["hostname"]).stdout == "a\n"
    assert answering(lab)
    assert not any(row["cut_to"] for row in lab.status())


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_older_release(backend: str) -> None:
    lab = Lab(NAME)
    lab.up(["x"], suite="bookworm", backend=backend)
    assert lab.exec("x", ["systemctl", "is-system-running", "--wait"]).stdout == "running\n"
    assert "VERSION_CODENAME=bookworm" in lab.exec("x", ["cat", "/etc/os-release"]).stdout
    assert lab.exec("x", ["apt-get", "install", "--yes", "tree"]).returncode == 0
