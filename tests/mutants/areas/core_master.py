"""A master: what it assigns, moves, ends and removes."""

from functools import partial

from tests.mutants.killers import CORE
from tests.mutants.mutant import Mutant

KILLERS = CORE

master = partial(Mutant, "mwapp/core/master.py")
placement = partial(Mutant, "mwapp/core/placement.py")
retention = partial(Mutant, "mwapp/core/retention.py")

MUTANTS = [
    # ---------------------------------------------------------------- what a transaction relies on
    master(
        "ops: list[Op] = [Check(EPOCH, self._epoch)]\n",
        "ops: list[Op] = [Check(EPOCH)]\n",
        "a deposed master assigns",
    ),
    master(
        "ops: list[Op] = [Check(EPOCH, self._epoch), Check(worker_path(name), worker.stat.version)]",
        "ops: list[Op] = [Check(EPOCH), Check(worker_path(name), worker.stat.version)]",
        "a deposed master adopts",
    ),
    master(
        "ops: list[Op] = [Check(EPOCH, self._epoch), Check(worker_path(name), worker.stat.version)]",
        "ops: list[Op] = [Check(EPOCH, self._epoch), Check(EPOCH)]",
        "a worker is adopted that is gone",
    ),
    master(
        "Check(worker_path(name), 0),",
        "Check(worker_path(name)),",
        "a task goes to a worker that drains",
    ),
    master(
        "Check(assign_path(name), self._mirror.workers[name].incarnation),",
        "Check(assign_path(name)),",
        "a task goes to another incarnation than it is meant for",
    ),
    master(
        "for name in sorted({step.worker for step in steps if step.worker}):",
        "for name in sorted({step.worker for step in steps[:1] if step.worker}):",
        "of several workers in one transaction one is checked",
    ),
    master(
        "ops.append(Set(assign_path(name), data, queue.stat.version))",
        "ops.append(Set(assign_path(name), data))",
        "a worker that registers just then is adopted over its own registration",
    ),
    master(
        "replace(attempt, incarnation=incarnation, epoch=self._epoch)",
        "replace(attempt, incarnation=incarnation)",
        "a fencing token without its epoch",
    ),
    master(
        "replace(attempt, incarnation=incarnation, epoch=self._epoch)",
        "replace(attempt, epoch=self._epoch)",
        "an assignment for whichever incarnation has the name",
    ),
    master(
        "return _Step(task, [Delete(assign_path(queue, task)), *step.ops], apply, target)",
        "return _Step(task, step.ops, apply, target)",
        "a task that is moved stays where it was, too",
    ),
    master(
        "return _Step(task, [Delete(assign_path(queue, task)), *step.ops], apply, target)",
        "return _Step(task, [Delete(assign_path(queue, task)), *step.ops], apply)",
        "a task is moved to a worker that may be gone",
    ),
    master(
        "ops: list[Op] = [Delete(assign_path(queue, task))] if queue is not None else []",
        "ops: list[Op] = [Delete(assign_path(queue, task))] if queue else []",
        "what was returned and is cancelled stays in /returned",
    ),
    master(
        "ops: list[Op] = [Check(assign_path(holder, task))] if holder is not None else []",
        "ops: list[Op] = []",
        "what was returned is dropped though its holder has it no longer",
    ),
    # ---------------------------------------------------------------- one at a time, and refusals
    master(
        "if not self._mirror.complete or self._mirror.blind or self._committing:",
        "if not self._mirror.complete or self._mirror.blind:",
        "two transactions of decisions at once",
    ),
    master(
        "if not self._mirror.complete or self._mirror.blind or self._committing:",
        "if self._mirror.blind or self._committing:",
        "a master decides before it knows who has what",
    ),
    master(
        "self._committing, self._under_way = True, {step.task for step in steps}",
        "self._committing, self._under_way = True, set()",
        "what is under way when all is read anew is taken for known",
    ),
    master(
        "in_doubt = in_doubt | self._under_way | self._remover.under_way",
        "in_doubt = in_doubt | self._under_way",
        "what is being removed when all is read anew is taken for known",
    ),
    master(
        "        self._committing = False\n        self._mirror.read()",
        "        self._mirror.read()",
        "a master that reads anew while a transaction is under way never acts again",
    ),
    master(
        "            for step in steps:\n                step.apply()\n",
        "            for step in steps[:1]:\n                step.apply()\n",
        "of what was committed together only the first is noted",
    ),
    master(
        "elif isinstance(result, Failed) and result.index != 0:",
        "elif isinstance(result, Failed) and result.index:",
        "a transaction refused as a whole is not tried again",
        at="Master._committed",
    ),
    master("self._refusals += 1", "pass", "what is refused again and again is read for again and again"),
    master("            self._refusals = 0\n", "", "after one refusal one task at a time for ever"),
    master(
        "result.index - 1 - 2 * bool(step.worker)",
        "result.index - 1",
        "a task is put aside for what its worker did",
    ),
    master(
        "if at is not None and at < 0:",
        "if at is not None and at <= 0:",
        "what is refused at the first operation of its own holds up all others",
    ),
    master("self._put_aside(step.task, self._aside)", "pass", "one oddity holds up all others for ever"),
    master(
        "self._put_aside(step.worker, self._closed)",
        "self._put_aside(step.task, self._aside)",
        "a queue that takes nothing holds up all tasks, though others are idle",
    ),
    master(
        "            and isinstance(step.ops[at], Create)\n",
        "",
        "an assignment that cannot be taken away closes its worker's queue",
    ),
    master(
        "max(ASIDE_SECONDS, ASIDE_SECONDS_FOR_EACH * len(among))",
        "ASIDE_SECONDS",
        "many oddities are tried all the time",
    ),
    master(
        "max(self._refusals % 2, room // 2)",
        "max(1, room // 2)",
        "requests that cannot be taken back leave no time for tasks",
    ),
    master(
        "max(self._refusals % 2, room // 2)",
        "room // 2",
        "a request that is to blame for a refusal is never put aside",
    ),
    master(
        "self._has_result.add(step.task)  # a person wrote one: the status is what counts",
        "self._put_aside(step.task, self._aside)",
        "what a person wrote a result for is never ended",
    ),
    master(
        "step.ops[at].path == result_path(step.task)",
        "step.ops[at].path.startswith(status_path(step.task))",
        "what has a status already is tried again and again, without a result",
    ),
    master(
        "            self._has_result.discard(task)\n",
        "",
        "the next task of the name is ended without a result",
    ),
    master(
        "            among.discard(what)\n            self._act_soon()\n",
        "            self._act_soon()\n",
        "what was put aside once is never tried again",
    ),
    master(
        "self._process.scope().after(max(ASIDE_SECONDS, ",
        "self._scope.after(max(ASIDE_SECONDS, ",
        "what was put aside is forgotten when all is read anew",
    ),
    master(
        "            if result.index == 0:\n                self._fenced()\n",
        "",
        "a deposed master does not step down when its write is refused",
    ),
    master(
        "            if len(steps) < self._process.limits.batch:\n                self._act_soon()\n            else:\n                self._act()",
        "            pass",
        "what came due while a transaction was under way waits for the next change",
    ),
    master(
        "self._scope.after(MASTER_RETRY_SECONDS, self._fenced)",
        "pass",
        "a master that could not read a parent that is missing waits for ever",
    ),
    master(
        "self._mirror = self._blank()\n\n    def status",
        "pass\n\n    def status",
        equivalent="the scope is cancelled, so nothing is acted on; status is shown of an ended tenure until the next",
    ),
    master(
        "        self._scope.cancel()\n        self._doomed.clear()\n",
        "        self._doomed.clear()\n",
        "a master that has lost leadership goes on reading and acting",
    ),
    master(
        "if epoch != self._epoch:\n            self.elected_at",
        "if True:\n            self.elected_at",
        "after a cut it seems that leadership was won anew",
    ),
    # ---------------------------------------------------------------- what is due
    master(
        "taken = {step.task for step in steps} | self._aside",
        "taken = {step.task for step in steps}",
        "what was put aside is tried all the same",
    ),
    master(
        "taken = {step.task for step in steps} | self._aside",
        "taken = set(self._aside)",
        "a task is cancelled and assigned in one transaction",
    ),
    master(
        "return task not in taken and task not in known.unread",
        "return task not in taken",
        "a task whose state is in doubt is assigned",
    ),
    placement(
        "if worker.draining or name in rest or name in self._closed:",
        "if name in rest or name in self._closed:",
        "workers that drain are chosen",
    ),
    placement(
        "[h.assignment for h in queue.values() if h.assignment.meant_for(worker.incarnation)]",
        "[h.assignment for h in queue.values()]",
        "what an earlier incarnation left takes slots of the present one",
    ),
    master(
        "if task in known.finished\n                or task not in known.names\n",
        "if task not in known.names\n",
        "an assignment that a person has reported on is never removed",
    ),
    master(
        "if task in known.finished\n                or task not in known.names\n",
        "if task in known.finished\n",
        "the assignment of a task that was deleted stays where its worker does not serve it",
    ),
    master(
        "                or (held.begins <= now and held.orphaned(worker))\n",
        "",
        "orphans are never moved",
    ),
    master(
        "if task in known.finished or task not in known.names:\n                    step:",
        "if task in known.finished:\n                    step:",
        "the assignment of a task that was deleted is moved on and on",
    ),
    master(
        "if task in known.finished or task not in known.names:\n                    step:",
        "if task not in known.names:\n                    step:",
        "an orphan that has ended is run once more",
    ),
    master(
        "elif (holder := self._holder(queue, task)) is not None:",
        "elif (holder := None) is not None:",
        "what somebody has is given to another, because a person put it elsewhere as well",
    ),
    master(
        "                    taken.add(task)\n",
        "                    pass\n",
        "what is in two places is moved twice in one transaction",
    ),
    master(
        "runs = queue == NOBODY or not held.orphaned(self._mirror.workers.get(other))",
        "runs = not held.orphaned(self._mirror.workers.get(other))",
        "what is returned is given out while an orphan of the same task is",
    ),
    master(
        "runs = queue == NOBODY or not held.orphaned(self._mirror.workers.get(other))",
        "runs = True",
        "two orphans of one task are each dropped for the other",
    ),
    master(
        "if len(steps) == room:\n                    return steps",
        "if len(steps) > room:\n                    return steps",
        "one more than a transaction takes",
    ),
    master(
        "if len(steps) == room or places.all_full:",
        "if places.all_full:",
        "a transaction of any size",
    ),
    master(
        "if places.is_full(labels) or not ready(task) or not known.may_begin(task):\n                continue",
        "if places.is_full(labels) or not ready(task) or not known.may_begin(task):\n                break",
        "a task that nobody can take holds up those behind it",
    ),
    placement(
        "self._full |= {some for some in (labels, frozenset[str]()) if not self._has_room(some)}",
        "self._full |= {labels, frozenset()}",
        "a task for which no worker has the labels holds up those behind it",
    ),
    master(
        "Assignment(1, labels=tuple(sorted(labels)))",
        "Assignment(1)",
        "a task that is moved has lost its labels",
    ),
    master(
        "room = 1 if self._refusals else self._process.limits.batch",
        "room = self._process.limits.batch",
        "what is to blame for a refusal is never found",
    ),
    master(
        "max(self._refusals % 2, room // 2)",
        "room",
        "cancel requests leave no room for those who wait",
    ),
    # ---------------------------------------------------------------- cancel requests
    master(
        "if task in known.finished or task in mirror.pointless:",
        "if task in known.finished or task in mirror.pointless or task not in known.names:",
        "a cancel request for a task not heard of yet is taken back",
    ),
    master(
        "if task in known.finished or task in mirror.pointless:",
        "if task in known.finished:",
        "a cancel request for no task stays for ever",
    ),
    master(
        "if task in known.finished or task in mirror.pointless:",
        "if task in mirror.pointless:",
        "a cancel request that came too late stays for ever",
    ),
    master(
        "due = known.waits(task) and task not in known.unread",
        "due = known.waits(task)",
        "a task is cancelled whose state is in doubt",
    ),
    master(
        "due = mirror.held[queue][task].orphaned(worker) or worker is None or worker.adopted",
        "due = True",
        "a master cancels what a worker runs",
    ),
    master(
        "due = mirror.held[queue][task].orphaned(worker) or worker is None or worker.adopted",
        "due = mirror.held[queue][task].orphaned(worker) or worker is None",
        "what a worker by hand has cannot be cancelled",
    ),
    master(
        "due = mirror.held[queue][task].orphaned(worker) or worker is None or worker.adopted",
        "due = worker is None or worker.adopted",
        "an orphan of an earlier incarnation is moved instead of cancelled",
    ),
    master(
        "yield self._give_up(task, outcome, queue)",
        "yield self._give_up(task, outcome)",
        "what is cancelled stays assigned",
    ),
    # ---------------------------------------------------------------- choosing, moving, giving up
    placement(
        "if load[n] < self._room(n) and",
        "if load[n] <= self._room(n) and",
        "a worker is given more than it takes",
    ),
    placement(
        "and labels <= workers[n].labels)",
        "and (not labels or labels & workers[n].labels))",
        "a worker that has one of the labels is given what asks for two",
    ),
    placement(
        "(load[name] / workers[name].slots, given.get(name, 0), name)",
        "(workers[name].slots, given.get(name, 0), name)",
        "one worker gets all, and the others nothing until it is full",
    ),
    placement(
        "        self._take(chosen)\n        return chosen\n",
        "        return chosen\n",
        "a worker is given more at once than it takes",
    ),
    master(
        "if queue != NOBODY:\n            last",
        "if True:\n            last",
        "what was handed back counts as an attempt, and as a worker that died",
    ),
    master(
        "if len(last.lost) >= self._max_attempts:",
        "if len(last.lost) > self._max_attempts:",
        "a task takes down one worker more than it may",
    ),
    master(
        "if len(last.lost) >= self._max_attempts:",
        "if last.attempt > self._max_attempts:",
        "runs that failed count as workers that were lost",
    ),
    master(
        "replace(last, attempt=last.attempt + 1, lost=",
        "replace(last, lost=",
        "a second run under the token of the first",
    ),
    master(
        "self._mirror.released(queue, task)  # before: the target may be the same queue\n            step.apply()",
        "step.apply()\n            self._mirror.released(queue, task)",
        "what was moved within one queue is forgotten",
    ),
    master(
        "self._mirror.given_up(task)",
        "pass",
        "what was given up is not known to have ended",
    ),
    # ---------------------------------------------------------------- retention
    retention("self._fence = Check(EPOCH, epoch)", "self._fence = Check(EPOCH)", "a deposed master removes"),
    retention(
        "ops += [Delete(status_path(task)), Delete(result_path(task)), Delete(task_path(task))]",
        "ops += [Delete(task_path(task))]",
        "each is looked at by itself, and removed in a transaction of its own",
    ),
    retention(
        "(least if number < surplus else age)",
        "(0.0 if number < surplus else age)",
        "what has just ended is removed while somebody waits for it",
    ),
    retention(
        "(least if number < surplus else age)",
        "age",
        "there may be any number of finished tasks",
    ),
    retention(
        "(least if number < surplus else age)",
        "(least if number <= surplus else age)",
        "one less is kept than is said",
    ),
    retention(
        "surplus = len(finished) - self._retention.keep",
        "surplus = len(self._mirror.tasks.names) - self._retention.keep",
        "tasks that wait count as finished ones",
    ),
    retention(
        "        if not due:\n            self._scope.after(TIDY_SECONDS, self._tidy)\n            return",
        "        if not due:\n            return",
        "nothing is removed after the first look",
    ),
    retention("        self.under_way = set(due)\n", "", "what is being removed is not in doubt"),
    retention(
        "self._later(whose[result.index - 1])",
        "self._later(tasks[0])",
        "another task than the one to blame stays",
    ),
    retention(
        'elif "status" not in names:\n',
        "elif False:\n",
        "a task is removed that has not ended: another of its name",
    ),
    retention(
        "            self._later(whose[result.index - 1])\n",
        "            self._account(tasks, result)\n",
        "after one that cannot be removed nothing else is",
    ),
    retention(
        "            self._list(tasks)\n",
        "            self._list([tasks[(result.index - 1) // 3]])\n",
        "tasks with secret values are removed one by one",
    ),
    retention(
        " or len(ops) + len(names) < MOST_BELOW * self._most:",
        ":",
        "one with very much below it takes others along",
    ),
    retention("elif not ops or len(ops)", "elif len(ops)", "one with very much below it is never removed"),
    retention(", grows=len(whose) >= 3 * len(tasks)", "", "a small one makes the next too large"),
    retention(", grows=len(whose) >= 3 * len(tasks)", ", grows=False", "they are removed by few for ever"),
    retention(
        "elif whole:  # not fenced off, but too many at once\n            self._tidy()",
        "else:\n            pass",
        "after one refusal nothing is removed",
    ),
    retention(
        "        self._tidy()\n\n    def _later",
        "\n    def _later",
        "one batch is removed, and never another",
    ),
    retention(
        "        self._mirror.put_off(task)\n",
        "",
        "one that cannot be removed stays first, and is tried again as such",
    ),
    # ---------------------------------------------------------------- the wrong variable, one off, out of turn
    master(
        "held.orphaned(self._mirror.workers.get(other))",
        "held.orphaned(self._mirror.workers.get(queue))",
        "a task in two queues is taken from who runs it",
    ),
    placement(
        "key=lambda name: (load[name] / workers[name].slots, given",
        "key=lambda name: (workers[name].slots / (load[name] + 1), given",
        "who has the most to do is given more",
    ),
    retention(
        "oldest = enumerate(islice(finished.items(), self._most))",
        "oldest = enumerate(islice(finished.items(), self._most), 1)",
        "one finished task too many is kept",
    ),
    placement(
        "self._choose(labels, {*others, last.failed_on})",
        "self._choose(labels, {last.failed_on})",
        "a task in the queues of two dead incarnations is moved from one to the other, for ever in vain",
    ),
    master(
        '            self._experience.given[target] = self.counters["assigned"]\n',
        "",
        "all that comes one by one goes to the first by name",
    ),
    placement(
        "given.get(name, 0), name)",
        "-given.get(name, 0), name)",
        "all that comes one by one goes to one worker",
    ),
    retention(
        "        elif isinstance(result, tuple) and grows:  # a",
        "        else:  # a",
        "with odd tasks among them, one a second is removed",
    ),
    retention(
        "            self._most = min(self._scope.limits.batch, self._most + 1)\n",
        "            pass\n",
        "after one that was too large, every removal is a small one",
    ),
    retention(
        "min(self._scope.limits.batch, self._most + 1)",
        "min(self._scope.limits.batch, 2 * self._most)",
        "every second one is too large",
    ),
    master(
        "if at is not None and exists and", "if at is not None and", "a result that is refused is left out"
    ),
    master(
        "        if places.is_full(frozenset(last.labels)):\n            return None\n",
        "",
        equivalent="it takes longer to find that there is no room",
    ),
    placement(
        "            if not its:\n                self._empty.add(name)\n",
        "",
        "a suspect never begins",
    ),
    placement("        self._empty.discard(name)\n", "", "a suspect is not alone"),
]
