"""A lab of three nodes for the tests of the verbs. They need root, and what `lab up` needs."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from lab import Lab

NAME = f"{os.environ.get('LAB_PREFIX', 'pytest')}-labtest"


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Three nodes, up."""
    lab = Lab(NAME, say=print)
    lab.down()
    lab.up(["a", "b", "c"])
    yield lab
    lab.down()
