"""A runner of handlers to ask, and the processes it has."""

import queue
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mwapp.core.messages import Exited, Run
from mwapp.core.task import Task
from mwapp.execution.runner import Runner

PATIENCE = 20.0
TOKEN = {
    "MWAPP_TASK": "task-7",
    "MWAPP_ATTEMPT": "2",
    "MWAPP_EPOCH": "3",
    "MWAPP_INCARNATION": "4",
    "MWAPP_WORKER": "w1",
}


class Harness:
    """A runner and what it tells."""

    def __init__(self) -> None:
        self.told: queue.SimpleQueue[Exited] = queue.SimpleQueue()
        self.runner = Runner(self.told.put, 1000)

    def start(self, handler: str, argument: Any = None, number: int = 1, **task: Any) -> None:
        self.runner.start(Run(number, Task(handler=handler, argument=argument, **task), TOKEN))

    def exited(self) -> Exited:
        return self.told.get(timeout=PATIENCE)

    def run(self, handler: str, argument: Any = None, **task: Any) -> Exited:
        self.start(handler, argument, **task)
        return self.exited()

    def pid(self) -> int:
        return int(self.run("pid").output)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(probe: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not probe():
        assert time.monotonic() < end
        time.sleep(0.01)


def gone(pid: int) -> bool:
    end = time.monotonic() + PATIENCE
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.01)
    return not alive(pid)


def read_number(path: Path) -> int:
    wait_for(lambda: path.exists() and bool(path.read_text().strip()))
    return int(path.read_text())
