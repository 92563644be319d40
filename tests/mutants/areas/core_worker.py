"""A worker: how it registers, serves and leaves."""

from functools import partial

from tests.mutants.killers import CORE
from tests.mutants.mutant import Mutant

KILLERS = CORE

worker = partial(Mutant, "mwapp/core/worker.py")
outlived = partial(Mutant, "mwapp/core/outlived.py")

MUTANTS = [
    # ---------------------------------------------------------------- the session
    worker(
        'self._forget("session over")',
        "pass",
        "commands outlive the session of their worker",
        at="Worker.expired",
    ),
    worker(
        "        if self._process.stopping:\n            self._process.part_stopped(self)",
        "",
        "a worker that drains and loses its session does not end",
        at="Worker.expired",
    ),
    worker(
        'self._scope.cancel()\n        self._recorder.end()\n        self._become("disconnected")',
        'self._recorder.end()\n        self._become("disconnected")',
        equivalent="requests and watches are gone with the connection, and timers find it starting over as they would have it do",
        at="Worker.suspended",
    ),
    worker(
        '        self._recorder.end()\n        self._become("disconnected")',
        "        self._recorder.end()",
        "a worker that is cut off begins what it cannot know to be its own",
        at="Worker.suspended",
    ),
    worker(
        'self._become("disconnected")  # the queue\'s watch went with the scope: serve anew even if registered\n',
        "pass\n",
        "a worker that begins anew watches nothing any more",
    ),
    # ---------------------------------------------------------------- registering
    worker(
        "self._scope.exists(worker_path(self._name), self._seen, watch=self._look)",
        "self._scope.exists(worker_path(self._name), self._seen)",
        "a namesake that waits does not hear that the name is free",
    ),
    worker(
        "self._address.encode(), ephemeral=True)]\n        marked",
        "self._address.encode())]\n        marked",
        "a worker that seems to live when it is long gone",
    ),
    worker(
        "            prefetch=self._prefetch,\n",
        "",
        "nothing is at hand when a slot is free",
    ),
    worker(
        "            labels=self._labels,\n",
        "",
        "what asks for labels goes to nobody",
    ),
    worker(
        "            ops.append(Set(worker_path(self._name), self._address.encode()))\n        if isinstance",
        "            pass\n        if isinstance",
        "who registers while it rests is given tasks at first",
    ),
    worker(
        'marked = self._serves_as != "ready"',
        "marked = self._process.stopping",
        "a peer that registers while it leads is given tasks at first",
    ),
    worker(
        "Set(path, data, queue.stat.version if anew else -1)",
        "Set(path, data)",
        "a namesake that came in between is overwritten",
    ),
    worker(
        "Set(path, data, queue.stat.version if anew else -1)",
        "Set(path, data, queue.stat.version)",
        equivalent="if the queue was set since it was read, the registration is refused and repeated",
    ),
    worker(
        "        if anew:\n            ops.insert(0, Delete(worker_path(self._name)))\n",
        "",
        "whose queue was deleted can never register again",
    ),
    worker(
        "self._registered(result[-1].version if isinstance(result[-1], Stat) else 0, marked)",
        "self._registered(0, marked)",
        "every incarnation is taken for the first",
    ),
    worker(
        "elif result.index == 0 and result.error is Error.NODE_EXISTS:\n                self._look()",
        "elif result.index == 0 and result.error is Error.NODE_EXISTS:\n                pass",
        equivalent="the watch of the look that saw nobody goes off as well, and has it look again",
    ),
    worker(
        "else:  # a parent was deleted by hand, say\n                self._scope.after(WORKER_RETRY_SECONDS, self._restart)\n\n        self._may_be_registered",
        "\n        self._may_be_registered",
        "a worker that could not register never tries again",
    ),
    worker(
        "if isinstance(queue, Node) and ours and self._may_be_registered:",
        "if isinstance(queue, Node) and ours:",
        "a registration that a person copied is taken for one's own, and the master never hears of it",
    ),
    worker(
        "        self._may_be_registered = True\n",
        "",
        "who did not hear that it is registered registers again, and kills what it was given",
    ),
    worker(
        "marked = stat.version > 0\n",
        "marked = False\n",
        "who learns late that it is registered as resting is given nothing for ever",
    ),
    worker(
        "registered.session == self._process.session and not registered.adopted",
        "not registered.adopted",
        "the registration of another session is taken for ours",
    ),
    worker(
        "registered.session == self._process.session and not registered.adopted",
        "registered.session == self._process.session",
        "a worker that a master has adopted takes the master's word for its own: one slot, no labels",
    ),
    worker(
        'self._forget("the name is held by another session")',
        "pass",
        "a worker whose name another has got goes on",
    ),
    worker(
        'self._forget("registration is gone")',
        "pass",
        "a worker whose registration was deleted goes on with what is moved elsewhere",
    ),
    # ---------------------------------------------------------------- serving
    worker(
        "        self._look_at_cancels()\n        jobs",
        "        jobs",
        "a worker does not hear of cancel requests",
    ),
    worker(
        "                job.read = True\n                self._record(job)\n",
        "                job.read = True\n",
        "what ended while cut off is never recorded",
    ),
    worker(
        "elif isinstance(node, Failed) or node.stat.czxid != job.czxid:",
        "elif isinstance(node, Failed):",
        "a record of an earlier attempt ends a later one",
    ),
    worker(
        "                del self._jobs[job.name]\n                self._kill(job",
        "                self._kill(job",
        "a worker never takes a task again whose record was lost on the way",
    ),
    worker(
        "                self._read_secrets(job)\n        self._look_at_queue()\n",
        "                self._read_secrets(job)\n",
        "a worker that has been cut off looks at its queue no more",
    ),
    worker(
        "        elif self._marked:\n            self._reopen()\n",
        "",
        "a worker that was cut off when it was to work again rests for ever",
    ),
    worker(
        "self._scope.children(assign_path(self._name), self._queue_seen, watch=self._look_at_queue)",
        "self._scope.children(assign_path(self._name), self._queue_seen)",
        "after its first tasks a worker does not hear of others",
    ),
    worker(
        '            self._forget("queue is gone")\n',
        "",
        equivalent="it registers anew at once, and finds then that its assignments are gone",
    ),
    worker(
        "            self._register(names, anew=True)\n            return",
        "            return",
        "a worker whose queue was deleted never registers again",
    ),
    worker(
        "            job.read = False\n",
        "            pass\n",
        "what ends while it is unknown whether it is still ours is recorded for what has its name",
    ),
    worker(
        "                self._scope.after(AGAIN_SECONDS, partial(self._read_again, [job]))\n",
        "                pass\n",
        "what could not be read once is never recorded",
    ),
    worker(
        'self._kill(job, "its assignment is gone")\n            else:',
        "pass\n            else:",
        "a command goes on whose task somebody else may have by now",
    ),
    worker(
        'self._kill(job, "its assignment is gone")\n        self._read_assignments',
        "pass\n        self._read_assignments",
        "a command goes on whose task somebody else may have by now",
    ),
    worker(
        'if job.state != "over":  # taken from us',
        "if True:  # taken from us",
        "what is being recorded is forgotten, and counted as nothing",
    ),
    worker(
        "if name in self._jobs or self._incarnation is None:",
        "if self._incarnation is None:",
        "what was read twice runs twice",
    ),
    worker(
        "if name in self._jobs or self._incarnation is None:",
        "if name in self._jobs:",
        "a worker that is registered no longer takes tasks",
    ),
    worker(
        "if not assignment.meant_for(self._incarnation):",
        "if False:",
        "what is meant for an earlier incarnation is run by the present one",
    ),
    worker(
        "            job = self._jobs[name] = Job(name, assignment, assigned.stat.czxid)\n            heappush(self._next, task_order(name))\n",
        "            job = self._jobs[name] = Job(name, assignment, assigned.stat.czxid)\n            self._next.append(task_order(name))\n",
        "tasks begin out of the order of their submission",
    ),
    worker(
        'raise BadTaskError("the task was deleted before it began")',
        "pass",
        "an empty command is run for a task that was deleted",
    ),
    worker(
        "            if name in self._cancels:\n                self._cancel(job)\n",
        "",
        "a cancel request that was there before its task came is not heeded",
    ),
    worker(
        'if self._serves_as != "ready":  # not',
        "if self._process.stopping:  # not",
        "an elected peer begins what it has at hand",
    ),
    worker(
        "while self._next and self._running.room:",
        "while self._next and self._running.room >= 0:",
        "one more is run than there are slots",
    ),
    worker(
        'if next_one.state == "waits" and self._running',
        "if self._running",
        "what runs or has ended is started once more",
    ),
    worker(
        "and self._running.may_start(next_one)",
        "",
        "an attempt begins beside an earlier one that is still dying",
    ),
    worker(
        "            heappush(self._next, task_order(job.name))\n        if self.state",
        "            pass\n        if self.state",
        "what was not begun in time, or waited for a dying one, never begins",
    ),
    worker(
        "if self.state in SERVING:\n            self._start()",
        'if self.state in ("paused", "draining"):\n            self._start()',
        "a slot that is free again is not used",
    ),
    # ---------------------------------------------------------------- cancel requests
    worker(
        "task, requests.get(name))",
        "task)",
        "a cancel request that may not be read is taken for one that there is",
    ),
    worker("items() if node == GONE}", "items() if False}", "an old cancel request ends the next run"),
    worker("items() if node == GONE}", "items()}", "a cancel request that there is is forgotten"),
    worker(
        "self._scope.children(CANCEL, self._cancels_seen, watch=self._look_at_cancels_again)",
        "self._scope.children(CANCEL, self._cancels_seen)",
        "of cancel requests only those are heeded that were there at first",
    ),
    worker(
        "self._scope.after(WORKER_RETRY_SECONDS, self._look_at_cancels)\n            return",
        "return",
        "after /cancel was deleted no request is heeded",
    ),
    worker(
        "        self._cancels = set(names)\n",
        "        self._cancels |= set(names)\n",
        "requests that went long ago slow down the listing of the next",
    ),
    worker(
        'if job.state in ("cancelled", "over"):',
        'if job.state == "cancelled":',
        "what has ended and is being recorded is ended once more",
        at="Worker._cancel",
    ),
    worker(
        'job.become("cancelled")',
        "pass",
        "what is cancelled is recorded as failed",
        at="Worker._cancel",
    ),
    worker(
        "        if self._running.end(job):\n",
        "        if not self._running.end(job):\n",
        "what is cancelled is recorded while it runs",
    ),
    # ---------------------------------------------------------------- how it ended
    worker(
        "if outcome.status == FAILED and job.assignment.failures < job.task.retries:",
        "if outcome.status == FAILED and job.assignment.failures <= job.task.retries:",
        "one more run than retries allow",
    ),
    worker(
        "if outcome.status == FAILED and job.assignment.failures < job.task.retries:",
        "if job.assignment.failures < job.task.retries:",
        "what is done or cancelled is run again",
    ),
    worker(
        'job.state == "over" and self._incarnation is not None:',
        'job.state == "over":',
        equivalent="the recorder forgets what is due when it begins, and is given it anew",
    ),
    worker(
        "        self._jobs.pop(job.name, None)\n        self._leave_if_idle()",
        "        self._leave_if_idle()",
        "what was recorded is never forgotten, nor run again under its name",
    ),
    worker(
        "        self._jobs.pop(job.name, None)\n        self._leave_if_idle()",
        "        self._jobs.pop(job.name, None)",
        equivalent="the watch of its queue has it look, and it leaves then",
    ),
    # ---------------------------------------------------------------- taking nothing new, and leaving
    worker(
        "mark: list[Op] = [self._still_me(), Set(worker_path(self._name), self._address.encode())]",
        "mark: list[Op] = [Set(worker_path(self._name), self._address.encode())]",
        "the znode of a namesake is marked",
    ),
    worker(
        "            else:  # tasks assigned before the mark are handed back, too, so read the queue again\n                self._look_at_queue()",
        "            else:\n                pass",
        "what was assigned just before the mark is not handed back",
    ),
    worker(
        "self._scope.transact(mark, done)",
        "done(())",
        "who drains goes on to be given tasks",
    ),
    worker(
        "if isinstance(result, Failed) and result.index == 0:\n                self._taken_over()\n            else:  # tasks",
        "if False:\n                self._taken_over()\n            else:  # tasks",
        equivalent="it looks at its registration every five seconds",
    ),
    worker(
        "            if isinstance(result, Failed) and result.index == 0 and result.error is not Error.REFUSED:\n                self._taken_over()\n            elif isinstance(result, Failed):\n                self._scope.after",
        "            if isinstance(result, Failed):\n                self._scope.after",
        "whose queue a person has set takes tasks again only after five seconds",
    ),
    worker(
        "            elif isinstance(result, Failed):\n                self._scope.after(WORKER_RETRY_SECONDS, self._restart)\n            elif self.state",
        "            elif self.state",
        "a worker that could not take up work again rests for ever",
    ),
    worker(
        '            elif self.state == "ready" and stat.version and not self._marked:  # set by a person\n                self._reopen()\n',
        "",
        "a worker whose znode a person has set is given nothing for ever",
    ),
    worker(
        'elif self.state == "ready" and stat.version and not self._marked:',
        'elif self.state == "ready" and stat.version:',
        equivalent="it takes up work twice, and finds its znode as it should be",
    ),
    worker(
        "                self._marked = self._marked or stat.version > 0\n",
        "",
        "a worker whose znode a person has set while it was cut off is given nothing for ever",
    ),
    worker(
        "elif self.state not in SERVING:",
        "elif True:",
        "every change of its own znode has a worker begin to serve anew",
    ),
    worker(
        "self._scope.get(assign_path(self._name), self._verify)",
        "pass",
        "a worker that is given what is not for it does not ask whether it is still itself",
        at="Worker._assignments_read",
    ),
    worker(
        "            if self._incarnation is not None:\n                self._scope.get(assign_path(self._name), self._verify)\n                self._look_at_queue()  # nor that an assignment for another incarnation is for us now\n            self._verify_later()",
        "            pass",
        "a worker whose queue was set by hand is given what it never takes",
    ),
    worker(
        "                self._scope.get(assign_path(self._name), self._verify)\n                self._look_at_queue()  # nor that an assignment for another incarnation is for us now\n            self._verify_later()",
        "                self._scope.get(assign_path(self._name), self._verify)\n                self._look_at_queue()  # nor that an assignment for another incarnation is for us now",
        "a worker looks once whether it is still itself, and never again",
    ),
    worker(
        "if queue.stat.version != self._incarnation or not self._ours(queue):",
        "if queue.stat.version != self._incarnation:",
        "a queue that was made anew may have come to the same version",
    ),
    worker(
        "if queue.stat.version != self._incarnation or not self._ours(queue):",
        "if not self._ours(queue):",
        "a queue that was set to the same by hand: nothing is assigned any more",
    ),
    worker(
        "self._ours(queue) and queue.stat.version > self._outlived.last",
        "self._ours(queue)",
        "an attempt that was killed is begun again, under the same token",
    ),
    outlived(
        "        self.last = max(self.last, incarnation)\n",
        "",
        "an attempt that was killed is begun again, under the same token",
    ),
    worker(
        "ops: list[Op] = [self._still_me(), Delete(path)]",
        "ops: list[Op] = [Check(assign_path(self._name)), Delete(path)]",
        "an earlier incarnation deletes the znode of a later one",
    ),
    worker(
        '            elif self.state == "ready":\n                self._marked = False',
        "            else:\n                self._marked = False",
        equivalent="what its znode shows is looked at whenever it begins to serve",
    ),
    worker(
        "self._marked = True\n        mark:",
        "mark:",
        equivalent="what its znode shows is looked at whenever it begins to serve",
    ),
    worker(
        "Check(assign_path(self._name), self._incarnation if self._incarnation is not None else -1)",
        "Check(assign_path(self._name))",
        "an earlier incarnation acts for a later one",
    ),
    worker(
        "if self._process.stopping and not self._jobs:",
        "if self._process.stopping:",
        "who drains leaves at once, and kills what runs",
    ),
    worker(
        "        self._process.scope().after(self._drain, self._interrupt)\n",
        "",
        "who drains waits for ever",
    ),
    worker(
        "self._process.scope().after(self._drain, self._interrupt)\n",
        "self._scope.after(self._drain, self._interrupt)\n",
        "who drains and is cut off waits for ever",
    ),
    worker(
        "        if self._incarnation is None:\n            self._leave()\n            return\n",
        "",
        "who is not registered and is stopped waits for its drain to end",
        at="Worker.stop",
    ),
    worker(
        'self._forget("worker stops")\n',
        "pass\n",
        "commands are left behind by a worker that has left",
    ),
    worker(
        'self._forget("registration was taken over")',
        "pass",
        "a worker whose name another incarnation has goes on",
    ),
    worker(
        'self._become("disconnected")\n        self._scope.after(WORKER_RETRY_SECONDS, self._restart)',
        'self._become("disconnected")',
        "a worker whose registration was taken over never registers again",
        at="Worker._taken_over",
    ),
    worker(
        "        self._incarnation = None\n        self._recorder.end()",
        "        self._recorder.end()",
        "who is no registered worker any more takes itself for one",
    ),
    worker(
        "        self._recorder.end()\n",
        "",
        "who is no registered worker any more goes on recording",
        at="Worker._forget",
    ),
    worker("        self._jobs.clear()\n", "", "jobs of an incarnation that is over", at="Worker._forget"),
    worker(
        "        self._next.clear()",
        "        pass",
        equivalent="what is in it and waits no longer is passed over",
        at="Worker._forget",
    ),
    worker(
        '            self._become("ready")\n            self._reopen()',
        '            self._become("ready")',
        "a peer that has lost leadership never works again",
    ),
    worker(
        'if self.state == "ready":\n            self._become("paused")\n',
        "if True:\n",
        "who is to rest before it is registered marks what is not its own",
        at="Worker.pause",
    ),
    # ---------------------------------------------------------------- by hand, and what is refused
    worker(
        "                self._scope.after(AGAIN_SECONDS, partial(self._read_assignments, [name]))\n",
        "",
        "a task that could not be read is never begun",
    ),
    # ---------------------------------------------------------------- the wrong variable, one off, out of turn
    worker(
        "        if queue.stat.version != self._incarnation or",
        "        if queue.stat.version <= self._outlived.last or",
        "a worker does not notice that another has its name",
    ),
    worker(
        '        self._scope = self._process.scope()\n        self._become("disconnected")  # the queue\'s watch went with the scope: serve anew even if registered\n        ensure_parents(self._scope, self._look)\n        self._verify_later()\n',
        '        self._verify_later()\n        self._scope = self._process.scope()\n        self._become("disconnected")  # the queue\'s watch went with the scope: serve anew even if registered\n        ensure_parents(self._scope, self._look)\n',
        "after its first connection a worker never looks whether it is still itself",
    ),
    # ---------------------------------------------------------------- the state
    worker(
        '            self._become("draining")\n',
        "",
        "a worker that is being stopped says that it is ready, or paused",
    ),
    worker(
        'return "draining" if self._process.stopping else "paused" if self._to_pause else "ready"',
        'return "paused" if self._to_pause else "draining" if self._process.stopping else "ready"',
        "an elected peer that is being stopped says after a cut that it is paused",
    ),
    worker(
        'return "draining" if self._process.stopping else "paused" if self._to_pause else "ready"',
        'return "paused" if self._to_pause else "ready"',
        "a worker that is being stopped goes on taking tasks",
    ),
    worker(
        "self.state = step(TRANSITIONS, self.state, state)",
        "self.state = state",
        equivalent="the table is a check: no step that is taken is missing in it",
    ),
    worker(
        'self._become("waiting")\n',
        "pass\n",
        "who waits for its name says that it is disconnected, and warns at every look",
    ),
    worker(
        '            self._become("paused")\n',
        "",
        "an elected peer says that it is ready, and never works again when it has lost leadership",
    ),
    worker(
        '            self._become("ready")\n',
        "",
        "a peer that has lost leadership says that it is paused",
    ),
    worker(
        "        self._to_pause = True\n",
        "",
        "a peer that is elected while it is cut off takes tasks",
    ),
    worker(
        "        self._to_pause = False\n        if",
        "        if",
        "a peer that has lost leadership hands back what it is given",
    ),
]
