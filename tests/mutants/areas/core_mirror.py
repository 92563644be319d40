"""What a master knows."""

from functools import partial

from tests.mutants.killers import CORE
from tests.mutants.mutant import Mutant

KILLERS = CORE

mirror = partial(Mutant, "mwapp/core/mirror.py")
listing = partial(Mutant, "mwapp/core/listing.py")
held = partial(Mutant, "mwapp/core/held.py")
known = partial(Mutant, "mwapp/core/known_tasks.py")

MUTANTS = [
    # ---------------------------------------------------------------- the mirror: workers and queues
    held(
        "return self.fresh and elsewhere",
        "return elsewhere",
        "what a worker has handed back just before it left is moved from where it no longer is",
    ),
    held(
        "return self.fresh and elsewhere",
        "return self.fresh and worker is None",
        "what an earlier incarnation left is never moved",
    ),
    mirror(
        "partial(self._workers_seen, then), watch=self.look_at_workers)",
        "partial(self._workers_seen, then))",
        "a master does not hear of workers that come and go",
    ),
    mirror(
        "seen, watch=again, insist=False)",
        "seen, insist=False)",
        "a master does not hear that a worker is done",
    ),
    mirror(
        "paths = [path for name in names for path in (assign_path(name), worker_path(name))]",
        "paths = [path for name in names for path in (worker_path(name), assign_path(name))]",
        "a worker is read for a queue, and the queue for a worker",
    ),
    mirror(
        "registered.session != worker.stat.owner:",
        "registered.adopted:",
        "a worker made by hand acts under the registration of one before",
    ),
    mirror(
        "self.workers[name] = LiveWorker(-1, 1, draining=True, adopted=True)",
        "pass",
        "what a person assigned to a worker by hand is moved before that is adopted",
    ),
    mirror(
        "draining = worker.stat.version > 0",
        "draining = worker.stat.version > 1",
        "a worker that drains is given tasks, and all is read anew for each",
    ),
    mirror(
        "            if name not in self._watched:\n                self._look_at_queue(name)\n",
        "",
        equivalent="a queue that is new is in /assign, whose watch has it looked at as well",
    ),
    mirror(
        "if old is None or new is None or old.incarnation != new.incarnation:",
        "if new is None or old is None:",
        "a worker that died and came back between two looks keeps its orphans",
    ),
    mirror(
        "                self._refresh_held(name)\n", "", "what was handed back before a worker left is moved"
    ),
    mirror(
        "            entry.fresh = False\n",
        "            pass\n",
        "what was handed back before a worker left is moved",
    ),
    mirror(
        "waiting = {*queues, NOBODY}",
        "waiting = {*queues}",
        "tasks are read before it is known what was returned",
    ),
    mirror(
        "            if not waiting:\n                self._follow_tasks()\n",
        "            if True:\n                self._follow_tasks()\n",
        "tasks are read before it is known who has them",
    ),
    mirror(
        "if isinstance(names, Failed) and queue == NOBODY:\n            self._unreadable()\n            return\n",
        "if False:\n            return\n",
        "a /returned that was deleted is not made again",
    ),
    mirror(
        "            self.tasks.release(queue, task)\n            self._look_if_finished(task, queue)\n",
        "            self.tasks.release(queue, task)\n",
        "what became of a task that was taken from a queue is never found out",
    ),
    mirror(
        "            del self.held[queue]\n            self._watched.discard(queue)\n",
        "            del self.held[queue]\n",
        "a queue that was deleted and is there again is never looked at",
    ),
    mirror(
        "self._read_held(queue, new, read, arrived=then is None)",
        "self._read_held(queue, new, arrived=then is None)",
        "a master that takes over never comes to read the tasks",
    ),
    mirror(
        "                    if isinstance(status, Node):\n                        self.tasks.finish(task, self._scope.now)\n                    else:",
        "                    if True:",
        "what a person reported before the master looked is run again",
    ),
    mirror(
        "                elif self.tasks.release(queue, task):\n                    self._look_if_finished(task)\n",
        "",
        equivalent="the watch of its queue has it found out as well",
    ),
    mirror(
        "if held and (worker is None or worker.adopted):",
        "if held and worker is not None and worker.adopted:",
        "a report by hand on an assignment of a worker not known yet",
    ),
    mirror(
        "status_path(task), lambda stat: self._finished(task) if stat else None, watch=again\n",
        "status_path(task), lambda stat: self._finished(task) if stat else None\n",
        "a report by hand is not heard of",
    ),
    # ---------------------------------------------------------------- the mirror: cancel requests
    mirror(
        "self._scope.children(CANCEL, self._cancels_seen, watch=self._look_at_cancels_again)",
        "self._scope.children(CANCEL, self._cancels_seen)",
        "of cancel requests only those are known that were there at first",
    ),
    mirror("self.pointless &= self.cancels", "pass", "a request that went comes back as one for no task"),
    mirror(
        "if (stat is None or stat.owner) and task in self.cancels:",
        "if stat is None or stat.owner:",
        "a request is deleted that is there no longer, and all is read anew",
    ),
    mirror(
        "for task in sorted(self.cancels - self.tasks.names):",
        "for task in sorted(self.cancels & self.tasks.names):",
        "a request for no task is never found out",
    ),
    mirror(
        "self.pointless = self.cancels - self.tasks.names",
        "self.pointless |= self.cancels - self.tasks.names",
        "a request made before its task is there is taken back when it comes",
    ),
    mirror(
        "self.pointless = self.cancels - self.tasks.names",
        "self.pointless -= self.tasks.names",
        "a request for a task that was deleted stays for the next of its name",
    ),
    # ---------------------------------------------------------------- the mirror: tasks
    mirror(
        "self._scope.children(TASKS, self._tasks_seen, watch=self._look_at_tasks_again)",
        "self._scope.children(TASKS, self._tasks_seen)",
        "new tasks of which it is not told by name are not heard of",
    ),
    mirror(
        "                self._follow_tasks()\n",
        "",
        "a lone task waits until thousands of others are listed again",
    ),
    mirror("self._tasks_followed = result is None", "pass", "each change lists all tasks"),
    mirror(
        "self._tasks_followed = result is None",
        "self._tasks_followed = True",
        "new tasks wait on old servers",
    ),
    mirror("followed=self._tasks_followed,", "followed=True,", "new tasks wait on old servers"),
    mirror(
        "if not self.complete or not task or", "if not task or", "what the list to come does not have is read"
    ),
    mirror(
        'not self.complete or not task or "/" in task', "not self.complete or not task", "a status is a task"
    ),
    mirror("if not self.complete or not task or", "if not self.complete or", "/tasks itself is a task"),
    mirror("elif event is EventType.CREATED:", "else:", "what is set is taken for a new task"),
    mirror(
        "            self._outdated.add(task)  # there was",
        "            # there was",
        "a task is run as the one before of its name, of which the master was not told that it went",
    ),
    mirror(
        "        self.removed(task)\n        self.pointless |=",
        "        self.pointless |=",
        "a deleted task is assigned",
    ),
    mirror(
        "        self.removed(task)\n        self.pointless |= self.cancels & {task}\n",
        "        self.removed(task)\n",
        "the request to cancel a task that was deleted stays",
    ),
    mirror(
        "            self.pointless.discard(task)\n            self._read",
        "            self._read",
        "a new task's request is deleted",
    ),
    mirror(
        "        self._outdated.add(task)\n        self.removed",
        "        self.removed",
        equivalent="what is not listed is not queued, and a list with its successor is answered after the page",
    ),
    mirror(
        "if not self._deleted:", "if True:", "thousands that are deleted keep the master busy for minutes"
    ),
    mirror(
        "        self._deleted = False\n        self._changed()",
        "        self._changed()",
        "of later deletions nobody hears",
    ),
    mirror(
        "DELETED_SECONDS = 0.05",
        "DELETED_SECONDS = 5.0",
        "a request for a task that was deleted stays for seconds",
    ),
    known("        self.read_later([task])\n", "", "a new task is never read"),
    known(
        "        self.submitters.forget(task)\n        self.unread.pop(task, None)\n",
        "        self.submitters.forget(task)\n",
        "what was deleted is read",
    ),
    listing(
        "if names > scope.limits.short_list else 0",
        "",
        "a lone task waits for the next reading of a short list",
    ),
    listing("if wait > 0:", "if False:", "a list of many names is read at every change"),
    listing(
        "max(FOLLOWED_LEAST, names * FOLLOWED_SECONDS)",
        "0",
        "a list that is followed is read at every change",
    ),
    listing(
        "FOLLOWED_SECONDS, FOLLOWED_LEAST = 1e-4, 0.5",
        "FOLLOWED_SECONDS, FOLLOWED_LEAST = 1e-1, 500",
        "for hours",
    ),
    mirror(
        "ordered = ordered[-size:] + ordered[:-size]",
        "ordered = ordered[-size:]",
        "behind the newest of a backlog nothing is ever read",
    ),
    mirror(
        "ordered = ordered[-size:] + ordered[:-size]",
        "ordered = ordered[:size] + ordered[size:]",
        "at a take-over what waits is read after all that has ended",
    ),
    known(
        "        self._forget(task)\n        self.submitters",
        "        self.submitters",
        "a task that was deleted is assigned",
    ),
    mirror(
        "        if self._reading or not self.tasks.unread:",
        "        if not self.tasks.unread:",
        "pages are read beside each other, thousands of tasks at once",
    ),
    mirror(
        "                if task not in self._outdated:\n                    self.tasks.was_read(task)",
        "                if True:\n                    self.tasks.was_read(task)",
        "a reading from before a task was returned counts",
    ),
    mirror(
        "self._reading, self._outdated = True, set(self._vanished)",
        "self._reading, self._outdated = True, set()",
        "what vanished before the page was asked for is not kept from it",
    ),
    mirror(
        "        self._vanished.add(task)\n        self._outdated.add(task)\n",
        "        self._vanished.add(task)\n",
        "what vanishes while a page is read is not kept from it",
    ),
    mirror(
        "            self._changed()\n            self._read_tasks()\n",
        "            self._changed()\n",
        "after the first page no task is read",
    ),
    mirror(
        "elif node.stat.children == 0:\n            self._sort_in(task, node)",
        "elif True:\n            self._sort_in(task, node)",
        "what has ended is run again",
    ),
    mirror(
        "if stat is None:\n            self._sort_in(task, node)\n            self._changed()\n        else:\n            self._finished(task)",
        "self._finished(task)",
        "a task below which somebody keeps a child is never run",
    ),
    mirror(
        "                self._finished(task)\n            else:\n                self._read_again(task)\n\n        self._scope",
        "            self._read_again(task)\n\n        self._scope",
        equivalent="it is read with the other tasks, and found to have a child",
    ),
    mirror(
        "                self._read_again(task)\n\n        self._scope",
        "                pass\n\n        self._scope",
        "a task whose assignment somebody deleted is never assigned again",
    ),
    mirror(
        "            self._vanished.discard(task)\n",
        "",
        "what has vanished once is never read again",
    ),
    known(
        "        if task not in self.finished:\n            self._become",
        "        if True:\n            self._become",
        "the time a finished task is kept begins anew whenever it is seen",
    ),
    mirror(
        "        if task in self.tasks.names:\n            self.tasks.finish(task, self._scope.now)\n        self._changed()",
        "        self.tasks.finish(task, self._scope.now)\n        self._changed()",
        "what was removed while it was looked at is removed again and again",
    ),
    mirror(
        "        if not self.tasks.holders(task):\n            try:",
        "        if True:\n            try:",
        "what is held is queued as well",
    ),
    mirror(
        "        if task not in self.tasks.names:\n            return\n        if self.tasks.submitters",
        "        if self.tasks.submitters",
        "a task that was removed while it was read is assigned",
    ),
    mirror(
        "            except BadTaskError as error:\n                self.tasks.spoil(task, str(error))",
        "            except BadTaskError:\n                self.tasks.queue(task, Waiting(frozenset()), 0.0, 0.0)",
        "a task that cannot run counts as one that waits",
    ),
    known(
        "        for task in in_doubt:\n            self.reopen(task)\n",
        "",
        "what was refused is known from before",
    ),
    known(
        "self.unread = dict.fromkeys(sorted(in_doubt & self.names, key=task_order))",
        "self.unread = {}",
        "what was refused is taken for what it was",
    ),
    known(
        "self.names = set(self._known)",
        "self.names = set(self.finished)",
        "a backlog is read again whenever a transaction is refused",
    ),
    known(
        "                self.release(queue, task)\n        self.held.clear()",
        "                pass\n        self.held.clear()",
        "what was held before a refusal is held for ever",
    ),
    mirror(
        "                continue  # it would stay whoever dies\n",
        "                pass\n",
        "tasks go to a worker that is a znode made by hand, for ever",
    ),
    mirror(
        "        elif node.stat.owner:  # it is no task",
        "        elif False:  # it is no task",
        "a task that is ephemeral keeps its worker's slot for ever",
    ),
    mirror(
        "            self.tasks.remove(task)\n            return\n",
        "            return\n",
        "a task that was gone when it was read, and is made anew before the next list, waits for the next master",
    ),
    mirror(
        "            self.tasks.remove(task)\n            self.pointless |= self.cancels & {task}\n",
        "            self.pointless |= self.cancels & {task}\n",
        "who has a task that is ephemeral now keeps it",
    ),
    mirror(
        "            self.pointless |= self.cancels & {task}\n            self._report(",
        "            self._report(",
        "the request to cancel a task that is ephemeral stays for ever",
    ),
    mirror(
        "if (stat is None or stat.owner) and task in self.cancels:",
        "if stat is None and task in self.cancels:",
        "the request to cancel a task that is ephemeral stays for ever",
    ),
    mirror(
        "        self._reported.discard(task_path(task))\n",
        "",
        "the second ephemeral task of a name is ignored without a word",
    ),
    mirror(
        "            self._reported.add(path)\n",
        "",
        "a znode made by hand is a line in the log whenever a worker comes or goes",
    ),
    mirror(
        "self._scope.children(ASSIGN, then, watch=again)",
        "self._scope.children(ASSIGN, then)",
        "what a person assigns to who never was is seen by the next master only",
    ),
    mirror(
        "for queue in sorted(set(queues) - self._watched):",
        "for queue in sorted(set(queues)):",
        "with every worker that comes all queues are read",
    ),
    # ---------------------------------------------------------------- what is refused
    mirror(
        "            self.blind.add(queue)\n",
        "",
        "what was returned and may not be seen is assigned once more",
    ),
    mirror("            self.blind.discard(queue)\n", "", "a master that was blind once never acts again"),
    mirror(
        "self.workers[name] = LiveWorker(-1, 1, draining=True, adopted=False, readable=False)",
        "pass",
        "a worker that may not be read is taken for gone",
    ),
    mirror(
        "                elif node != GONE:\n                    self._keep_held(queue, task)\n",
        "",
        "an assignment that may not be read is taken for none",
    ),
    mirror(
        "            self._scope.after(AGAIN_SECONDS, partial(self._read_again, task))\n",
        "",
        "a task that could not be read is never looked at again",
    ),
    mirror(
        "if not worker.stat.owner:",
        "if False:",
        "what a person created without -e is given tasks",
    ),
    mirror(
        "        self.tasks.reopen(task)  # it had a final",
        "        # it had a final",
        "a task whose final state was deleted is assigned and taken back for ever",
    ),
    # ---------------------------------------------------------------- the wrong variable, one off, out of turn
    mirror(
        "self._look_at_queue(queue, then=partial(read, queue))",
        "self._look_at_queue(queue, then=lambda: read(queue))",
        "with many queues the tasks are never read",
    ),
    mirror(
        "self._scope.exists(task_path(task), partial(looked, task))",
        "self._scope.exists(task_path(task), lambda stat: looked(task, stat))",
        "of many cancel requests for what there is not one is taken back at a time",
    ),
    mirror(
        "        for queue in sorted(set(queues) - self._watched):",
        "        for queue in sorted(set(queues) - self.held.keys()):",
        equivalent="between a look at a queue and its answer it is looked at twice",
    ),
    mirror(
        "self._outdated = True, set(self._vanished)",
        "self._outdated = True, self._vanished",
        "a reading from before a task was returned counts",
    ),
    mirror(
        "ordered = ordered[-size:] + ordered[:-size]",
        "ordered = ordered[-size:] + ordered[: -size - 1]",
        "at a take-over one task is forgotten",
    ),
    mirror(
        "partial(self._look_at_queue, queue, then))\n            return",
        "partial(self._look_at_queue, queue))\n            return",
        "a master that could not read a queue at its take-over never assigns anything",
    ),
    known(
        "        in_doubt = in_doubt | self.unread.keys()\n",
        "",
        "what ended while the master read anew twice is assigned again",
    ),
    mirror(
        "if isinstance(node, Failed) or node.stat.children:",
        "if isinstance(node, Failed):",
        "what ended while the master read anew is assigned again, before its final state was looked for",
    ),
    # ---------------------------------------------------------------- each task in one state
    known(
        "        if before in self._in:\n            del self._in[before][task]\n",
        "",
        "a task is in two states at once",
    ),
    known(
        "        self._become(task, QUEUED if waiting",
        "        self.take(task)\n        self._become(task, QUEUED if waiting",
        "what is read again loses its place in the queue",
    ),
    known(
        "self.finished[task] = self.finished.pop(task)",
        "pass",
        "one that cannot be removed stays first, and is tried again as such",
    ),
    known(
        "        self.names.discard(task)\n",
        "",
        "what was removed counts as there until the list is read",
    ),
    known(
        "FINISHED if task in self.finished else HELD",
        "self._state(task) if task in self.finished or task in self.queued else HELD",
        "what is held is assigned once more",
    ),
    known(
        "            self._forget(task)\n\n    def finish",
        "            pass\n\n    def finish",
        "what may have ended is assigned before its final state was looked for",
    ),
    known(
        "        if known.state == HELD:\n            self._forget(task)\n",
        "",
        "what is in no queue any more counts as held, and stays",
    ),
    known(
        "step(TRANSITIONS, before, state)",
        "state",
        "what somebody has can be queued as well",
    ),
    known(
        "return {queue: known.held[queue] for queue in self.held if queue in known.held}",
        "return known.held",
        "which of two queues counts depends on which was read first",
    ),
    mirror(
        "        present = () if isinstance(names, Failed) else names\n",
        "        self.blind.discard(queue)\n        present = () if isinstance(names, Failed) else names\n",
        "a task is assigned twice while what was returned is listed and not read yet",
    ),
]
