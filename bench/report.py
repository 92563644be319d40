"""Figures as JSON in build/bench, one file a part."""

import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.noise import Noise
from testbed.machine import describe

DIRECTORY = Path("build/bench")


def summary(values: Sequence[float], digits: int = 1) -> dict[str, float]:
    """Median, and what is around it."""
    ordered = sorted(values)
    return {
        "n": len(ordered),
        "min": round(ordered[0], digits),
        "p50": round(statistics.median(ordered), digits),
        "p99": round(ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))], digits),
        "max": round(ordered[-1], digits),
    }


class Report:
    """What one part has measured, and on what."""

    def __init__(self, part: str, **settings: Any) -> None:
        self.part = part
        self.violations: list[str] = []  # what must not be; the run fails
        self._noise = Noise()
        self._content: dict[str, Any] = {
            "part": part,
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "machine": describe(),
            "settings": settings,
        }

    def add(self, **figures: Any) -> None:
        """Note figures, by name."""
        self._content |= figures

    def save(self) -> Path:
        """Write the file, with the noise there was."""
        self._content |= {"violations": self.violations, "noise": self._noise.figures()}
        DIRECTORY.mkdir(parents=True, exist_ok=True)
        path = DIRECTORY / f"{self.part}.json"
        path.write_text(json.dumps(self._content, indent=2) + "\n")
        return path
