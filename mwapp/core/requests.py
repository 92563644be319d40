"""What clients ask of tasks that have ended: that they run again, or be removed now.

    /requests/<task>    {"do": "run" or "remove", "ended": the czxid of the status that is meant}

A client creates the request, the master does it and deletes the request. A request that comes too late for
the end that it means, or for a task that has not ended, is deleted and nothing else. So a client that lost
the reply may ask again: a task does not run twice for one request.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from mwapp.core.messages import Failed, Node
from mwapp.core.protocol import (
    MOST,
    REMOVE,
    REQUESTS,
    Assignment,
    Outcome,
    TaskRequest,
    cancel_path,
    request_path,
    result_path,
    status_path,
    task_path,
)
from mwapp.core.session import AGAIN_SECONDS, GONE, REFUSED, Callback, Scope
from mwapp.core.task import BadTaskError, Task, task_order

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Again:
    """What it takes to run a task again."""

    attempt: Assignment  # the next one, so that the fencing token grows; failures and losses start at zero
    whose: tuple[str, int]  # its submitter, and its czxid


class Requests:
    """Those of one reading of the znodes, kept up to date until its ``scope`` ends.

    ``changed`` is called when something may be due; ``unreadable`` when the parent is missing; ``ended`` with
    a task that has the end which its request means; ``cancelled`` if there is still a request to cancel it.
    """

    def __init__(
        self,
        scope: Scope,
        *,
        changed: Callback,
        unreadable: Callback,
        ended: Callable[[str], None],
        cancelled: Callable[[str], None],
    ) -> None:
        self._scope, self._changed, self._unreadable = scope, changed, unreadable
        self._ended, self._cancelled = ended, cancelled
        self._names: set[str] = set()
        self._unread: dict[str, None] = {}
        self._reading = False
        self.runs: dict[str, Again] = {}
        self.removals: dict[str, None] = {}
        self.pointless: dict[str, None] = {}  # the request is all there is to delete

    def look(self) -> None:
        """Read them, and those that come."""
        self._scope.children(REQUESTS, self._seen, watch=self.look)

    def granted(self, task: str) -> None:
        """The request was deleted. Another may come before the list is read again."""
        self._names.discard(task)
        self._forget(task)

    def _forget(self, task: str) -> None:
        for known in (self._unread, self.runs, self.removals, self.pointless):
            known.pop(task, None)

    def __contains__(self, task: str) -> bool:
        """Whether something is to be done with the task."""
        return task in self.runs or task in self.removals

    def close(self, task: str) -> None:
        """That is done, or cannot be."""
        self._forget(task)
        self.pointless[task] = None
        self._changed()

    def doubt(self, task: str) -> None:
        """The request was read with the end that it means, but others say that the task has not ended. They
        may be behind, or a person has deleted that end since: read it again."""
        self._forget(task)
        self._read_later(task)

    def _seen(self, names: tuple[str, ...] | Failed) -> None:
        if isinstance(names, Failed):
            self._unreadable()
            return
        for task in self._names - set(names):
            self.granted(task)
        new, self._names = set(names) - self._names, set(names)
        self._unread |= dict.fromkeys(sorted(new, key=task_order))
        self._read()

    def _read(self) -> None:
        """Page by page: there may be thousands, each with its result."""
        page = list(islice(self._unread, self._scope.limits.page))
        if self._reading or not page:
            return
        self._reading = True
        paths = [path for task in page for path in _paths(task)]

        def read(nodes: list[Node | Failed]) -> None:
            self._reading = False
            answers = iter(nodes)
            for task in page:
                self._one_read(task, answers)
            self._changed()
            self._read()

        self._scope.get_all(paths, read)

    def _one_read(self, task: str, answers: Iterator[Node | Failed]) -> None:
        request, status, result, asked, cancel = islice(answers, 5)
        if task not in self._unread:  # deleted meanwhile
            return
        del self._unread[task]
        if request == GONE:
            self._names.discard(task)
            return
        if REFUSED in (request, status, result, asked, cancel):
            log.error("no permission to read the request %s: trying again", request_path(task))
            self._read_later(task)
            return
        wanted = TaskRequest.decode(request.data) if isinstance(request, Node) else None
        if wanted is None or not isinstance(status, Node) or wanted.ended not in (None, status.stat.czxid):
            self.pointless[task] = None
            return
        self._ended(task)
        if isinstance(cancel, Node):
            self._cancelled(task)
        if wanted.do == REMOVE:
            self.removals[task] = None
        elif (attempt := _last_attempt(result)) is None:
            self.pointless[task] = None
        else:
            whose = whose_is(asked) if isinstance(asked, Node) else ("", 0)
            self.runs[task] = Again(Assignment(attempt + 1, labels=_labels(asked)), whose)

    def _read_later(self, task: str) -> None:
        def read() -> None:
            if task in self._names:
                self._unread[task] = None
                self._read()

        self._scope.after(AGAIN_SECONDS, read)


def _paths(task: str) -> tuple[str, ...]:
    return request_path(task), status_path(task), result_path(task), task_path(task), cancel_path(task)


def _last_attempt(result: Node | Failed) -> int | None:
    """0: no worker had it. None: a person has ended it and did not say, so the fencing token could not
    grow."""
    outcome = Outcome.decode(result.data) if isinstance(result, Node) else Outcome()
    if outcome.attempt is None and outcome.reason:
        return 0
    return None if outcome.attempt is None else min(max(0, outcome.attempt), MOST - 1)


def whose_is(task: Node) -> tuple[str, int]:
    """Who submitted it, if it says that, and when."""
    try:
        return Task.decode(task.data).submitter or "", task.stat.czxid
    except BadTaskError:
        return "", task.stat.czxid


def _labels(task: Node | Failed) -> tuple[str, ...]:
    try:
        return tuple(sorted(Task.decode(task.data).labels)) if isinstance(task, Node) else ()
    except BadTaskError:
        return ()
