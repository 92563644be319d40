"""A bound on each submitter's tasks."""

from functools import partial

from tests.mutants.killers import CORE
from tests.mutants.mutant import Mutant

KILLERS = CORE

submitters = partial(Mutant, "mwapp/core/submitters.py")
known = partial(Mutant, "mwapp/core/known_tasks.py")
mirror = partial(Mutant, "mwapp/core/mirror.py")
master = partial(Mutant, "mwapp/core/master.py")

MUTANTS = [
    submitters(
        "older + unfinished - len(self._whose) < self.most",
        "older < self.most",
        "a new master begins too many",
    ),
    submitters(
        "older + unfinished - len(self._whose) < self.most",
        "older + unfinished - len(self._whose) <= self.most",
        "one more than it should be",
    ),
    submitters("ages[self.most :]", "ages[: max(0, len(ages) - self.most)]", "the oldest are refused"),
    submitters("            self.forget(task)\n            age", "            age", "a task counts twice"),
    submitters("            if task in names:\n", "            if True:\n", "what is gone counts for ever"),
    submitters(
        "age = czxid, task_order(task)", "age = 0, task_order(task)", "what has a name is always the newest"
    ),
    known(
        "        if not self.unread:\n            for task, submitter",
        "        if True:\n            for task, submitter",
        "a task is refused because of one that has ended",
    ),
    known("if self._state(task) in PASSING:", "if True:", "a task that runs is refused"),
    known(
        "if self._state(task) in PASSING:",
        "if task in self.queued:",
        "what is delayed is not refused",
    ),
    known(
        "        if state == FINISHED:\n            self.submitters.forget(task)\n",
        "",
        "what has ended counts",
    ),
    known(
        "        self._forget(task)\n        self.submitters.forget(task)",
        "        self._forget(task)",
        "what a person has deleted counts for ever",
    ),
    known(
        "self.submitters.kept(self.names - self.finished.keys())",
        "Submitters(self.submitters.most)",
        "after a refusal nothing that waits is known, and nothing begins",
    ),
    master(" or not known.may_begin(task):", ":", "what is refused a moment later has begun"),
    master("        known.refuse_too_many()\n", "", "who has too many waits, and is not told"),
    master("            max_per_submitter=self._max_per_submitter,\n", "", "there is no bound"),
    mirror(
        "        self.tasks.submitters.note(task, *again.whose)\n",
        "",
        "what runs again is not known, and nothing begins any more",
    ),
    mirror("*again.whose", '"", 0', "what runs again counts as another's"),
]
