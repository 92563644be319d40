"""The master removes finished tasks after a time, or sooner if there are too many, or a client asks for it.

    check /epoch; delete status, result and task, for many tasks in one transaction

Deleting ``status`` makes sure that only ended tasks are removed. If a task cannot be deleted in this way,
because it has secret values or a person created something below it, the master lists what is below each of
these tasks, and deletes that. If that fails too, the task to blame stays for another while.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any

from mwapp.core.messages import Check, Delete, Failed, Op
from mwapp.core.mirror import Mirror
from mwapp.core.protocol import EPOCH, result_path, status_path, task_path
from mwapp.core.session import REFUSED, Scope

log = logging.getLogger(__name__)

TIDY_SECONDS = 1.0
# Deletions in one transaction at most, for each task that may go at once. Those with secret values need four.
MOST_BELOW = 4


@dataclass(frozen=True, slots=True)
class Retention:
    """How long finished tasks stay, and how many of them at most."""

    seconds: float
    keep: int
    # No task is removed sooner than this, seconds, however many there are: a client that was cut off must
    # find what it submitted, and a client that waits must find how it ended.
    least: float = 20.0


RETENTION = Retention(seconds=3600.0, keep=10_000)


class Remover:
    """Removes what is due, for one reading of the znodes.

    ``written`` is called for each transaction with the number of tasks removed and the result; it returns
    whether to continue.
    """

    def __init__(
        self,
        retention: Retention,
        mirror: Mirror,
        scope: Scope,
        epoch: int,
        written: Callable[[int, tuple[Any, ...] | Failed], bool],
    ) -> None:
        self._retention, self._mirror, self._scope, self._written = retention, mirror, scope, written
        self._fence = Check(EPOCH, epoch)
        # At once: half as many after a refusal, one more after a success (twice as many would be refused).
        self._most = scope.limits.batch
        self.under_way: set[str] = set()  # being removed, no reply yet
        scope.after(TIDY_SECONDS, self._tidy)

    def _tidy(self) -> None:
        finished = self._mirror.tasks.finished
        surplus = len(finished) - self._retention.keep
        age = self._retention.seconds
        least = min(age, self._retention.least)
        oldest = enumerate(islice(finished.items(), self._most))
        due = self._asked(least) or [
            task
            for number, (task, known) in oldest
            if self._scope.now - known.seen >= (least if number < surplus else age)
        ]
        if not due:
            self._scope.after(TIDY_SECONDS, self._tidy)
            return
        ops: list[Op] = [self._fence]
        for task in due:
            ops += [Delete(status_path(task)), Delete(result_path(task)), Delete(task_path(task))]
        self.under_way = set(due)
        self._scope.transact(ops, partial(self._tidied, due))

    def _asked(self, least: float) -> list[str]:
        """Those that clients want removed."""
        finished, now = self._mirror.tasks.finished, self._scope.now

        def age(task: str) -> float:
            return now - finished[task].seen if task in finished else 0.0

        asked = (task for task in self._mirror.requests.removals if age(task) >= least)
        return list(islice(asked, self._most))

    def _tidied(self, tasks: list[str], result: tuple[Any, ...] | Failed) -> None:
        if isinstance(result, Failed) and result.index:
            self.under_way = set()
            self._list(tasks)
        else:
            self._account(tasks, result)

    def _list(self, tasks: list[str]) -> None:
        """One has no result, or other children as well, and others may be like it."""
        below: dict[str, tuple[str, ...] | Failed] = {}

        def listed(task: str, names: tuple[str, ...] | Failed) -> None:
            below[task] = names
            if len(below) == len(tasks):
                self._delete(below)

        for task in tasks:
            self._scope.children(task_path(task), partial(listed, task), insist=False)

    def _delete(self, below: dict[str, tuple[str, ...] | Failed]) -> None:
        """Delete what is there, as far as it goes into one transaction."""
        ops: list[Op] = []
        whose: list[str] = []  # of each operation
        for task, names in below.items():
            if names == REFUSED:
                self._put_off(task)
            elif isinstance(names, Failed):  # somebody else has removed it
                self._mirror.removed(task)
            elif "status" not in names:
                self._mirror.look_again(task)
            elif not ops or len(ops) + len(names) < MOST_BELOW * self._most:
                ops += [Delete(f"{task_path(task)}/{name}") for name in names]
                ops.append(Delete(task_path(task)))
                whose += [task] * (len(names) + 1)
        if not ops:
            self._scope.after(TIDY_SECONDS, self._tidy)
            return
        self.under_way = set(whose)
        self._scope.transact([self._fence, *ops], partial(self._deleted, whose))

    def _deleted(self, whose: list[str], result: tuple[Any, ...] | Failed) -> None:
        tasks = list(dict.fromkeys(whose))
        if isinstance(result, Failed) and result.index:
            self.under_way = set()
            self._later(whose[result.index - 1])
        else:
            self._account(tasks, result, grows=len(whose) >= 3 * len(tasks))

    def _account(self, tasks: list[str], result: tuple[Any, ...] | Failed, *, grows: bool = True) -> None:
        """``grows``: it was as large as a usual one, so there may be more at once."""
        self.under_way = set()
        whole = isinstance(result, Failed) and result.index is None
        if whole and len(tasks) == 1:
            self._later(tasks[0])
            return
        if whole:
            self._most = len(tasks) // 2
        elif isinstance(result, tuple) and grows:  # a refusal of one does not tell how many may go at once
            self._most = min(self._scope.limits.batch, self._most + 1)
        if self._written(0 if isinstance(result, Failed) else len(tasks), result):
            self._removed(tasks)
        elif whole:  # not fenced off, but too many at once
            self._tidy()

    def _removed(self, tasks: list[str]) -> None:
        for task in tasks:
            self._mirror.removed(task)
        self._tidy()

    def _later(self, task: str) -> None:
        self._put_off(task)
        self._scope.after(TIDY_SECONDS, self._tidy)

    def _put_off(self, task: str) -> None:
        log.warning("%s: has ended, but cannot be removed; it stays", task)
        self._mirror.put_off(task)
        if task in self._mirror.requests.removals:
            self._mirror.requests.close(task)
