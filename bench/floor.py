"""The floor: the znode operations of a task without the protocol around them, by bare kazoo clients.

    create /tasks/task-
    create /assign/<worker>/<task>
    delete /assign/<worker>/<task>, create status, create result

Each line is a transaction, of a client of its own, and needs the one before it. For throughput each takes
a batch of tasks, and many batches are under way at once. No reads, watches, checks or decisions: whatever
has to get these znodes written can hardly be faster.
"""

import queue
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from kazoo.client import KazooClient

from bench.client import Place
from mwapp.core.limits import LIMITS
from mwapp.core.protocol import DONE, Assignment, Outcome
from mwapp.core.task import Task
from mwapp.zookeeper.tls_handler import TlsHandler

HOME = "/bench-floor"
# Batches under way at once; with more nothing gets faster.
UNDER_WAY, SINGLE_UNDER_WAY = 12, 300
ANSWER_SECONDS = 60.0

_ASSIGNMENT = Assignment(incarnation=3, epoch=7).encode()
_STATUS = DONE.encode()
_RESULT = Outcome(worker="w1", attempt=1, code=0, output="null", seconds=0.001).encode()


class Floor:
    """Three bare clients: who submits, who assigns, who completes."""

    def __init__(self, clients: list[KazooClient], task: Task) -> None:
        self._submitter, self._assigner, self._completer = clients
        self._data = task.encode()
        # What a batch goes through; each takes the names of its tasks.
        self._steps: tuple[Callable[[list[str]], Any], ...] = (self._submit, self._assign, self._complete)

    def throughput(self, tasks: int, batch_size: int = LIMITS.batch) -> float:
        """So many tasks, so many in a transaction; tasks per second."""
        batches = [[""] * min(batch_size, tasks - done) for done in range(0, tasks, batch_size)]
        under_way = UNDER_WAY if batch_size > 1 else SINGLE_UNDER_WAY
        answers: queue.SimpleQueue[tuple[int, list[str], Any]] = queue.SimpleQueue()

        def begin(step: int, names: list[str]) -> None:
            self._steps[step](names).rawlink(lambda answer: answers.put((step, names, answer)))

        began, left = time.perf_counter(), len(batches)
        waiting = batches[under_way:]
        for batch in batches[:under_way]:
            begin(0, batch)
        while left:
            step, names, answer = answers.get(timeout=ANSWER_SECONDS)
            names = _names(names, answer)
            if step + 1 < len(self._steps):
                begin(step + 1, names)
                continue
            left -= 1
            if waiting:
                begin(0, waiting.pop())
        return tasks / (time.perf_counter() - began)

    def lone(self, rest: float) -> float:
        """After a rest one task, by three commits one after the other; seconds, without the rest."""
        time.sleep(rest)
        names, began = [""], time.perf_counter()
        for step in self._steps:
            answer = step(names)
            answer.wait(ANSWER_SECONDS)
            names = _names(names, answer)
        return time.perf_counter() - began

    def remove(self, names: list[str], parent: str) -> None:
        """Remove tasks that have ended, many at once: they would be listed with all that come later."""
        answers = []
        for first in range(0, len(names), LIMITS.batch):
            transaction = self._submitter.transaction()
            for name in names[first : first + LIMITS.batch]:
                for below in ("/status", "/result", ""):
                    transaction.delete(f"{parent}/{name}{below}")
            answers.append(transaction.commit_async())
        for answer in answers:
            answer.get(timeout=ANSWER_SECONDS)

    def _submit(self, names: list[str]) -> Any:
        transaction = self._submitter.transaction()
        for _ in names:
            transaction.create(f"{HOME}/tasks/task-", self._data, sequence=True)
        return transaction.commit_async()

    def _assign(self, names: list[str]) -> Any:
        transaction = self._assigner.transaction()
        for name in names:
            transaction.create(f"{HOME}/assign/{name}", _ASSIGNMENT)
        return transaction.commit_async()

    def _complete(self, names: list[str]) -> Any:
        transaction = self._completer.transaction()
        for name in names:
            transaction.delete(f"{HOME}/assign/{name}")
            transaction.create(f"{HOME}/tasks/{name}/status", _STATUS)
            transaction.create(f"{HOME}/tasks/{name}/result", _RESULT)
        return transaction.commit_async()


def _names(before: list[str], answer: Any) -> list[str]:
    """The batch's names: those it had, or those the ensemble has just given. Raises what went wrong."""
    results = answer.get_nowait()
    for result in results:  # kazoo returns exceptions
        if isinstance(result, Exception):
            raise result
    return before if before[0] else [path.rpartition("/")[2] for path in results]


@contextmanager
def floor(place: Place, task: Task) -> Iterator[Floor]:
    """Connect; at the end remove what was made."""
    with ExitStack() as stack:
        clients = []
        for _ in range(3):
            client = KazooClient(place.connect, timeout=20, handler=TlsHandler(place.servers.tls))
            stack.callback(client.close)
            client.start(timeout=ANSWER_SECONDS)
            stack.callback(client.stop)
            clients.append(client)
        clients[0].ensure_path(f"{HOME}/tasks")
        clients[0].ensure_path(f"{HOME}/assign")
        bare = Floor(clients, task)
        yield bare
        bare.remove(clients[0].get_children(f"{HOME}/tasks"), f"{HOME}/tasks")
        clients[0].delete(HOME, recursive=True)
