"""Whom chaos kills: only whom it has found."""

from subprocess import CompletedProcess
from typing import Any, cast

import pytest

from chaos.cluster import BrokenPromiseError, Cluster
from lab import Lab


class _Node:
    """Says which handlers and which main process there are, and what it was told to kill."""

    def __init__(self, handlers: list[int], main: int) -> None:
        self.handlers, self.main = handlers, main
        self.killed: list[str] = []

    def exec(self, _node: str, argv: list[str], **_more: Any) -> CompletedProcess[str]:
        match argv:
            case ["sh", *_]:
                said = "".join(f"/proc/{pid}/environ\n" for pid in self.handlers)
            case ["systemctl", "show", *_]:
                said = f"{self.main}\n"
            case ["bash", "-c", _, "KILL", *pids]:
                self.killed += pids
                said = "100.0\n100.1\n"
        return CompletedProcess(argv, 0, stdout=said)


def kill_owner(node: _Node, *, worker: bool = True) -> tuple[float, float]:
    cluster = Cluster.__new__(Cluster)
    cluster.lab = cast("Lab", node)
    return cluster.kill_owner("mw1", "t", worker=worker)


def test_the_worker_dies_before_its_handlers_can_be_missed() -> None:
    node = _Node([12, 11], 10)
    assert kill_owner(node) == (100.0, 100.1)
    assert node.killed == ["10", "12", "11"]
    kill_owner(node, worker=False)
    assert node.killed[3:] == ["12", "11"]


@pytest.mark.parametrize(("handlers", "main"), [([11], 0), ([], 10)])
def test_who_does_not_run_is_not_killed(handlers: list[int], main: int) -> None:
    """Process 0 is, for kill, everybody who has called it."""
    node = _Node(handlers, main)
    with pytest.raises(BrokenPromiseError, match=r"runs? on mw1"):
        kill_owner(node)
    assert node.killed == []
