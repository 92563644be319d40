"""How large a server's heap is."""

from __future__ import annotations

import pytest

from tests.unit.zookeeper_role import load

heap_mb = load("zookeeper_heap").heap_mb


@pytest.mark.parametrize(("memory", "heap"), [(256, 128), (2000, 496), (64000, 4096)])
def test_the_heap_follows_the_memory(memory: int, heap: int) -> None:
    assert heap_mb(0, memory, 0) == heap
    assert heap_mb(700, memory, 690) == 700


@pytest.mark.parametrize("memory", [1900, 1990, 1999, 2000, 2007, 2100])
def test_another_boot_is_no_reason_for_another_heap(memory: int) -> None:
    """The memory that a kernel has differs by some MB each time."""
    assert heap_mb(0, memory, 496) == 496
    assert heap_mb(0, memory, heap_mb(0, memory, 0)) == heap_mb(0, memory, 0)


@pytest.mark.parametrize(("memory", "installed"), [(2000, 128), (1000, 496), (4000, 496)])
def test_another_memory_is_one(memory: int, installed: int) -> None:
    assert heap_mb(0, memory, installed) == heap_mb(0, memory, 0) != installed
