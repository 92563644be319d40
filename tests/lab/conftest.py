"""A lab of three nodes for the tests of the verbs. They need root, and what `lab up` needs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lab import Lab

NAME = "labtest"


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """Three nodes, up."""
    lab = Lab(NAME, say=print)
    lab.down()
    lab.up(["a", "b", "c"])
    yield lab
    lab.down()
