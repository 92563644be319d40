"""How much of the machine others take while we measure."""

import os
import statistics
import time
from pathlib import Path
from typing import Any

# A fixed amount of work, again and again: how much its time varies is the noise of the machine.
SPINS = 20
SPIN = 200_000


class Noise:
    """Between its making and :meth:`figures`: how busy the machine was, and how even its speed."""

    def __init__(self) -> None:
        self._spins = _spins()
        self._others = _busy(1.0)

    def figures(self) -> dict[str, Any]:
        """Fractions from 0 to 1 of all cores; spins are milliseconds."""
        spins = self._spins + _spins()
        return {
            "others_before": round(self._others, 2),  # all there was to do before we began
            "others_after": round(_busy(1.0), 2),
            "load_average": [round(load, 1) for load in os.getloadavg()],
            "spin_ms_median": round(statistics.median(spins), 1),
            "spin_ms_worst": round(max(spins), 1),
        }


def _spins() -> list[float]:
    times = []
    for _ in range(SPINS):
        began = time.perf_counter()
        sum(range(SPIN))
        times.append((time.perf_counter() - began) * 1000)
    return times


def _busy(seconds: float) -> float:
    """The part of all processor time that is used while we do nothing."""
    before = _ticks()
    time.sleep(seconds)
    idle, total = (now - then for now, then in zip(_ticks(), before, strict=True))
    return 1 - idle / total if total else 0.0


def _ticks() -> tuple[int, int]:
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    return fields[3] + fields[4], sum(fields)  # idle and waiting for disks; all
