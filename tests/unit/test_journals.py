"""What the journals of a lab's nodes become when a test on it fails."""

import json
import subprocess
from collections.abc import Sequence
from typing import Any, cast

from lab import Lab
from testbed import evidence
from testbed.journals import journals

SINCE = "2026-01-01T10:00:00.000"
AT = 1_767_261_600_250_000  # a quarter of a second later, µs


class Nodes:
    """Two that run and one that does not."""

    nodes = ("a", "b", "off")

    def __init__(self, *entries: dict[str, Any]) -> None:
        self.asked: dict[str, Sequence[str]] = {}
        self._entries = entries

    def state(self, name: str) -> str:
        return "off" if name == "off" else "running"

    def exec(self, name: str, argv: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        self.asked[name] = argv
        shown = [json.dumps({"__REALTIME_TIMESTAMP": str(AT)} | entry) for entry in self._entries]
        return subprocess.CompletedProcess(argv, 0, "\n".join(shown), "")


def told(nodes: Nodes, *more: Any) -> list[tuple[str, str]]:
    return journals(cast(Lab, nodes), SINCE, *more)


def test_lines_are_as_evidence_reads_them() -> None:
    nodes = Nodes(
        {"MESSAGE": "it broke", "PRIORITY": "3"},
        {"MESSAGE": "WARN of a server", "PRIORITY": "6"},
        {"MESSAGE": "a line without a priority"},
    )
    read = told(nodes)
    at = "2026-01-01T10:00:00.250Z"
    assert read[0] == (
        "a",
        f"{at} error it broke\n{at} WARN of a server\n{at} info a line without a priority",
    )
    *story, _ = evidence.extract(read, SINCE).splitlines()
    assert "10:00:00.250 a: error it broke" in story


def test_who_runs_is_asked_for_the_time_and_the_units_of_the_test() -> None:
    nodes = Nodes()
    assert told(nodes, ["zookeeper"]) == [("a", ""), ("b", "")]
    assert {"--since=2026-01-01 10:00:00.000 UTC", "--unit=zookeeper"} <= set(nodes.asked["a"])
    nodes.asked.clear()
    told(nodes, [], ["b", "off"])
    assert list(nodes.asked) == ["b"]
    assert not any(argument.startswith("--unit") for argument in nodes.asked["b"])
