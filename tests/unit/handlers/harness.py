"""A runner of handlers to ask, and the processes it has."""

import json
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mwapp.core.messages import Exited, Run
from mwapp.core.task import Task
from mwapp.execution.runner import Runner
from testbed.waiting import LONGEST_WAIT, alive

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
        self.runner = Runner(self.told.put, 1000)  # type: ignore[arg-type]  # it has no shards

    def start(self, handler: str, argument: Any = None, number: int = 1, **task: Any) -> None:
        self.runner.start(Run(number, Task(handler=handler, argument=argument, **task), TOKEN))

    def exited(self) -> Exited:
        return self.told.get(timeout=LONGEST_WAIT)

    def run(self, handler: str, argument: Any = None, **task: Any) -> Exited:
        self.start(handler, argument, **task)
        return self.exited()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Meanwhile the runner's thread stands still."""
        stands, goes_on = threading.Event(), threading.Event()

        def stand() -> None:
            stands.set()
            goes_on.wait(LONGEST_WAIT)

        self.runner._call(stand)
        try:
            assert stands.wait(LONGEST_WAIT)
            yield
        finally:
            goes_on.set()

    def pid(self) -> int:
        return int(returned(self.run("pid")))


def returned(exited: Exited) -> Any:
    assert exited.result is not None, exited
    return json.loads(exited.result)


def gone(pid: int) -> bool:
    end = time.monotonic() + LONGEST_WAIT
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.01)
    return not alive(pid)
