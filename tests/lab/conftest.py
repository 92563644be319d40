"""A lab of three nodes for the tests of the verbs. They need root, and what `lab up` needs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest

from lab import Lab

NAME = f"{os.environ.get('LAB_PREFIX', 'pytest')}-labtest"


NO_PODMAN = pytest.mark.skipif(
    not (shutil.which("podman") and shutil.which("runc")), reason="Podman is not installed: make setup-podman"
)
BACKENDS = ["nspawn", pytest.param("podman", marks=NO_PODMAN)]


@pytest.fixture(scope="session", params=BACKENDS)
def lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Three nodes of either kind, up: what is tested of one kind is tested of the other."""
    lab = Lab(NAME, say=print)
    lab.down()
    lab.up(["a", "b", "c"], backend=request.param)
    yield lab
    lab.down()
