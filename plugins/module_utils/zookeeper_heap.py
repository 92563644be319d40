"""How large the heap of a server is (zookeeper_heap_mb)."""

from __future__ import annotations

MIN_MB, MAX_MB, STEP_MB = 128, 4096, 16


def heap_mb(wanted: int, memory_mb: int, installed: int) -> int:
    """The heap to use: what is wanted, or when that is 0 a quarter of the memory within bounds.

    A kernel's memory differs by some MB from boot to boot, which should restart no server: the quarter is
    rounded down, and what is ``installed`` (0: nothing) stays if it is near.
    """
    quarter = min(max(memory_mb // 4, MIN_MB), MAX_MB)
    near = abs(installed - quarter) <= quarter // 16
    return wanted or (installed if near else quarter // STEP_MB * STEP_MB)
