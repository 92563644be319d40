"""The benchmark of tasks runs; what it measures here means nothing."""

import json
from pathlib import Path

import pytest

from bench import report, tasks


def test_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "DIRECTORY", tmp_path)
    path = tasks.measure(tasks=250, rounds=1, times=2, slots=2, prefetch=50, lab=False).save()
    figures = json.loads(path.read_text())
    assert figures["tasks_per_second"]["p50"] > 0
    assert figures["throughput_ratio"]["n"] == 1
    assert figures["lone_task_ms"]["n"] == figures["python_task_ms"]["n"] == 2
    for picture in ("throughput.svg", "throughput.png", "lone-task.svg", "lone-task.png"):
        assert (tmp_path / picture).stat().st_size > 500
