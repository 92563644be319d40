"""What clients hear must be so."""

from typing import TYPE_CHECKING

from mwapp.core.again import IN_THE_WAY, NO_SUCH_TASK, NOT_DONE, NOT_ENDED
from mwapp.core.protocol import RUN, TASKS, Outcome, result_path
from mwapp.core.task import Task
from tests.simulation.world import Violation

if TYPE_CHECKING:
    from tests.simulation.judge import Judge


class Answers:
    """Judges every answer by what was committed."""

    def __init__(self, judge: "Judge") -> None:
        self._judge = judge
        self.acked: dict[str, str] = {}  # task by the client's key
        self.refusals: set[str] = set()  # keys

    def acknowledged(self, task: Task, name: str | None, told: str) -> None:
        """A client heard that its submission is a task."""
        judge = self._judge
        if name is None and judge.keys.get(task.key or "") != told:
            judge.broken("acked-never-lost", told, f"{task} was acknowledged as {told}, which it is not")
        there = judge.asked.get(name) if name is not None else None
        if name is not None and (told != name or there is None or not there.same_as(task)):
            judge.broken("submit-idempotent", name, f"{name} was acknowledged, but is {there}")
        self.acked[name or task.key or ""] = told

    def refused(self, task: Task) -> None:
        """A client heard that its submission is not a task."""
        judge = self._judge
        if task.key in judge.keys:
            name = judge.keys[task.key]  # unless somebody deleted it, and it was submitted again
            judge.broken("submit-idempotent", name, f"{task} was refused, but is {name}")
        self.refusals |= {task.key} if task.key else set()

    def had_another(self, name: str, task: Task) -> bool:
        """Whether another task has the name, or somebody has replaced the one that had it."""
        there = self._judge.asked.get(name)
        another = there is not None and not there.same_as(task)
        return another or self._judge.explained("acked-never-lost", name)

    def without_number(self, task: Task, *, taken: bool) -> None:
        """A client heard that there is no number for its submission, or that it is ``taken``. Others of its
        batch may get the remaining numbers."""
        judge = self._judge
        tasks = judge.ensemble.decided.nodes.get(TASKS)
        others = judge.limits.batch if taken else 0
        # The client's count included what the ensemble has lost since.
        known = judge.excuses.uncounted or judge.lost
        if taken and tasks is not None and judge.excuses.has_taken(tasks.created, others):
            known = True
        if tasks is not None and tasks.created + others < judge.limits.numbers and not known:
            raise Violation("acked-never-lost", f"{task} got no number after {tasks.created}")
        self.refused(task)

    def asked_to_end(self, task: str, *, known: bool) -> None:
        """A client heard that its cancel request exists, or that there is no such task."""
        judge = self._judge
        if known and task not in judge.cancel_asked:
            self.unasked(task, f"a client was told that {task} will be cancelled: nobody asked")
        if not known and task in judge.tasks - judge.removed:
            judge.broken("cancel-final", task, f"a client was told that there is no {task}")

    def unasked(self, task: str, what: str) -> None:
        """A process may still know of a request that the ensemble has lost."""
        if task not in self._judge.lost_cancels:
            raise Violation("cancel-final", what)

    def told_of_ended(self, task: str, do: str, problem: str | None, since: float) -> None:
        """A client, which runs since then, heard that its request was carried out, or the problem."""
        judge = self._judge
        gone = task in judge.removed or task not in judge.tasks
        open_since = task not in judge.status or judge.ended_at[task] >= since
        true = {
            None: task in judge.of_ended.run_again if do == RUN else gone,
            NO_SUCH_TASK: gone,
            NOT_ENDED: task in judge.tasks and open_since,
            NOT_DONE: task in judge.ended_by_hand,
            IN_THE_WAY: task in judge.excuses.staying or judge.denied.keeps(task) or judge.denied.large,
        }
        if not true.get(problem, False):
            judge.broken("asked-once", task, f"a client asked to {do} {task}, and heard: {problem}")

    def told(self, name: str, state: str | None, outcome: Outcome | None) -> None:
        """A client that waits heard how a task ended; state None: there is no such task."""
        judge = self._judge
        ends = judge.ends[name]
        gone = name in judge.removed or name not in judge.tasks
        if not gone if state is None else state not in [end for end, _ in ends]:
            judge.broken("acked-never-lost", name, f"a client was told that {name} is {state}")
        if state is None or name in judge.ended_by_hand:  # a person may write the result later
            return
        if name in judge.lost:  # the client heard of an end that is lost, and it has run again: seed 80121586
            return
        if outcome is None and result_path(name) in judge.denied.reads:
            return
        if outcome not in [its for end, its in ends if end == state]:  # it may have run again since then
            judge.broken("result-faithful", name, f"a client was told that {name} is {state}: {outcome}")
