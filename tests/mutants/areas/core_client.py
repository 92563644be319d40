"""A client: how it submits, waits and cancels."""

from functools import partial

from tests.mutants.killers import CORE
from tests.mutants.mutant import Mutant

KILLERS = CORE

client = partial(Mutant, "mwapp/core/client.py")
wait = partial(Mutant, "mwapp/core/wait.py")
pairs = partial(Mutant, "mwapp/core/pairs.py")

MUTANTS = [
    # ---------------------------------------------------------------- who was first with a name
    client(
        "earlier=index not in self._perhaps_ours)",
        "earlier=True)",
        "who lost the reply to a submission is told that another was first",
    ),
    client(
        "        self._creating.difference_update(batch)\n",
        "",
        "who loses another reply is not told that the task was submitted earlier",
    ),
    # ---------------------------------------------------------------- after a lost reply
    client(
        "        self._resolved = self._waits = False\n        super().connected()",
        "        self._waits = False\n        super().connected()",
        "what is added during a search hides what is searched for, and it is submitted twice",
    ),
    client("UNDER_WAY = 3.5", "UNDER_WAY = 1.0", "a request that is still under way is submitted again"),
    client("UNDER_WAY = 3.5", "UNDER_WAY = 2.0", "a request that is still under way is submitted again"),
    client(
        "self._scope.transact([Check(TASKS)], lambda _: self._scope.children(TASKS, self._search))",
        "self._scope.children(TASKS, self._search)",
        "a server that lags does not show what an earlier session has had carried out",
    ),
    client(
        "elif self._process.now < self._uncertain_until:",
        "elif False:",
        "a request of an earlier session that is under way is submitted again",
    ),
    client(
        "        if self._sent and lost is not None:",
        "        if lost is not None:",
        equivalent="nothing was sent whose outcome is open, so nobody waits for it",
    ),
    client(
        "        lost, self._sent_in = self._sent_in, None\n",
        "        lost = self._sent_in\n",
        "the wait begins anew with each session that is lost during it",
    ),
    client(
        "        if session == self._lost:\n",
        "        if True:\n",
        "another session than the lost one is closed",
    ),
    client(
        "            self._uncertain_until = 0.0\n            if self._waits:",
        "            if self._waits:",
        "who hears that the lost session is closed waits on",
    ),
    client(
        "            if self._waits:\n                self.connected()\n",
        "",
        "who waits already does not hear that the lost session is closed",
    ),
    client(
        "        self._left.extendleft(sorted(named, reverse=True))\n",
        "",
        "what has a name and was under way is never submitted",
    ),
    client(
        "        self._sent -= named\n        self._left",
        "        self._left",
        "what has a name is searched for by a key that it has not",
    ),
    client(
        "        if not self._sent:\n            self._resolved = True",
        "        if True:\n            self._resolved = True",
        "what is under way is neither looked for nor submitted again",
        at="Submit._begin",
    ),
    client(
        "        self._resolved = self._waits = False\n\n    def expired",
        "        self._waits = False\n\n    def expired",
        equivalent="it is dropped, and then looked for and sent like all whose reply was lost",
    ),
    client(
        "name not in self._searched and task_order(name) > least]",
        "task_order(name) > least]",
        "a search that is cut off again and again begins again and again",
    ),
    client(
        "name not in self._searched and task_order(name) > least]",
        "name not in self._searched]",
        "a search reads all tasks there are",
    ),
    client(
        "name not in self._searched and task_order(name) > least]",
        "name not in self._searched and task_order(name) > task_order(max(names))]",
        "a search reads nothing",
    ),
    client(
        "                index = keys.get(_key(node))\n                if index is not None:\n                    self._acknowledge(index, name)\n",
        "                index = keys.get(_key(node))\n                if index is not None:\n                    self._last = name, _key(node)\n                    self._acknowledge(index, name)\n",
        "a search that is cut off skips what is older than it has found",
    ),
    client(
        "                if isinstance(node, Failed) and node.error is not Error.NO_NODE:\n                    continue  # it may be ours\n",
        "",
        "what cannot be read is taken for absent",
    ),
    client(
        "            if self._searched.issuperset(page):\n                self._search_page(rest)\n            else:",
        "            if True:\n                self._search_page(rest)\n            else:",
        "what cannot be read is taken for absent",
    ),
    client(
        "            self._searched.clear()\n            self._begin()",
        "            self._begin()",
        equivalent="what is created later has a name that was not read before",
    ),
    client(
        "self._left = deque(sorted(self._sent | set(self._left)))",
        "self._left = deque(sorted(self._left))",
        "what never arrived is never submitted",
    ),
    client(
        "            self._sent.clear()\n            self._searched",
        "            self._searched",
        "what never arrived is submitted, and its outcome stays open for ever",
    ),
    client(
        "page, rest = names[:size], names[size:]",
        "page, rest = names[:size], names[size + 1 :]",
        "between two pages one is skipped",
    ),
    # ---------------------------------------------------------------- submitting
    client(
        "while self._left and len(self._sent) < self._process.limits.submissions:",
        "while self._left:",
        equivalent="it is looked for room after as many, and that is answered after all of them",
    ),
    client("            self._room -= len(batch)\n", "", "more tasks than there may be"),
    client("            self._sent.update(batch)\n", "", "what is under way is not known to be"),
    client(
        "        if not self._left and not self._sent:\n            self._finished()",
        "        if not self._left:\n            self._finished()",
        "all seems submitted while the last is under way",
        at="Submit._send",
    ),
    client(
        "if batch and (alone or room < 0):",
        "if batch and room < 0:",
        "one with a name takes those before it down, if it is there already",
    ),
    client(
        "if batch and (alone or room < 0):",
        "if batch and alone:",
        "a transaction larger than ZooKeeper takes",
    ),
    client(
        "            if alone:\n                break\n        return batch",
        "        return batch",
        "one with a name takes those behind it down, if it is there already",
    ),
    client(
        "while self._left and len(batch) < min(self._process.limits.batch, self._room):",
        "while self._left and len(batch) < self._process.limits.batch:",
        "more tasks than there may be",
    ),
    client("sequential=name is None,\n", "sequential=True,\n", "a name with a number behind it"),
    client(
        "        if self._looking:\n            return\n        self._looking = True\n",
        "        self._looking = True\n",
        "for each task that is added it is looked whether there is room",
    ),
    client(
        "            self._looking = False\n            if stat is None",
        "            if stat is None",
        "after it was looked once whether there is room nothing more is submitted",
    ),
    client(
        "self._looking, self._room = False, 0\n        named",
        "self._room = 0\n        named",
        "who was cut off while it looked for room submits nothing more",
    ),
    client(
        "self._looking, self._room = False, 0\n        named",
        "self._looking = False\n        named",
        "after a cut the room of before counts",
    ),
    client(
        "self._max_tasks - tasks.children)",
        "self._max_tasks)",
        "there may be any number of tasks",
    ),
    client(
        "        if self._room or not self._left:\n            return\n        full",
        "        if not self._left:\n            return\n        full",
        "with no room left it is looked for room again and again",
    ),
    client(
        "            if name is None:\n                self._refuse(index, full)\n            else:",
        "            if True:\n                self._refuse(index, full)\n            else:",
        "a name that is there already is refused because there is no room",
    ),
    client(
        "elif name is not None and result.error is Error.NODE_EXISTS:",
        "elif False:",
        "a task that is there already is refused instead of acknowledged",
    ),
    client(
        "to_blame = batch if result.index is None else [batch[min(result.index, len(batch) - 1)]]",
        "to_blame = batch",
        "for one that is refused all are",
    ),
    client(
        "        self._sent.difference_update(batch)\n        self._left = deque",
        "        self._left = deque",
        equivalent="it is looked for before it is sent, and acknowledged as any other",
    ),
    client(
        "deque(sorted([*batch, *self._left]))",
        "deque([*batch, *self._left])",
        "what is sent again is submitted in another order",
    ),
    client(
        "elif result.error is Error.NO_NODE:  # a person has deleted /tasks",
        "elif False:",
        "tasks are refused because a person has deleted /tasks",
    ),
    client(
        "            self._resolved = False\n            self._scope.after(CLIENT_RETRY_SECONDS, self.connected)\n",
        "            self._scope.after(CLIENT_RETRY_SECONDS, self.connected)\n",
        "what is added while /tasks is gone is sent in vain, again and again",
    ),
    client(
        "            self._scope.after(CLIENT_RETRY_SECONDS, self.connected)\n            return\n        elif",
        "            return\n        elif",
        "what could not be submitted for /tasks was gone never is",
    ),
    client(
        "            self._scope.after(CLIENT_RETRY_SECONDS, self.connected)\n        elif self._last is None",
        "            pass\n        elif self._last is None",
        "a search that finds no /tasks never ends",
    ),
    client(
        "if isinstance(node, Node) and _is(self._tasks[index], node):",
        "if isinstance(node, Node):",
        "another task of the name is taken for this one",
    ),
    Mutant(
        "mwapp/core/task.py",
        "replace(Task.decode(task.encode()), key=None).encode()",
        "task.encode()",
        "a task that somebody else submitted under this name is taken for another",
    ),
    client(
        "        else:  # it has just been removed\n            self._sent.discard(index)\n            self._left.append(index)\n        self._send()",
        "        self._send()",
        "a name that was just removed is neither submitted nor refused",
    ),
    client(
        "        self._sent.discard(index)\n        self._refused",
        "        self._refused",
        "what is refused stays open",
    ),
    client(
        "        self._sent.discard(index)\n        self._accepted",
        "        self._accepted",
        "what is acknowledged stays open",
    ),
    client(
        "if not all(keys) or len(set(keys)) < len(keys):",
        "if not all(keys):",
        "of two submissions with one key the second is taken for the first",
    ),
    client(
        "        if self._resolved:\n            self._send()\n        return",
        "        return",
        "what is added is not sent before the next cut",
    ),
    # ---------------------------------------------------------------- cancelling
    client(
        "for name in names:  # one of them is to blame\n                self._ask([name])",
        "self._ask(names[1:])",
        "of many requests one that is refused is forgotten",
    ),
    client(
        "while self._under_way < TRANSACTIONS:",
        "while True:",
        "all requests are under way at once",
    ),
    client(
        "for op in (Check(task_path(name)), Create(cancel_path(name)))]",
        "for op in (Create(cancel_path(name)),)]",
        "a request is made for a task that is not there",
    ),
    client(
        "elif not isinstance(result, Failed) or result.error is Error.NODE_EXISTS:",
        "elif not isinstance(result, Failed):",
        "a request that was there already seems one for no task",
    ),
    client(
        "        self._under_way = 0\n        if not self._open",
        "        if not self._open",
        "after a few requests that were cut off nothing is asked for",
    ),
    client(
        "            self._try_again()\n        self._ask_more()\n",
        "            self._try_again()\n",
        "of many requests only the first are made",
    ),
    client(
        "                if not self._open:\n                    self._finished()",
        "                pass",
        "who cancels never hears that it is done",
        at="Cancel._told",
    ),
    client(
        "        if not self._open:\n            self._finished()\n",
        "",
        "who cancels nothing never hears that it is done",
        at="Cancel._begin",
    ),
    client(
        "        self._scope.cancel()\n        self._scope = self._process.scope()\n        self._start",
        "        self._scope = self._process.scope()\n        self._start",
        "who starts over on the same connection hears twice of what was asked before",
    ),
    client(
        "    def suspended(self) -> None:\n        self._scope.cancel()\n\n    def expired",
        "    def suspended(self) -> None:\n        pass\n\n    def expired",
        equivalent="what it asks for while cut off is dropped, and connected() drops the rest",
    ),
    # ---------------------------------------------------------------- waiting
    wait(
        "        self._begun = False\n\n    def _start",
        "\n    def _start",
        equivalent="what it asks for while cut off is dropped, and all are taken up anew",
    ),
    wait(
        "        self._watched.clear()\n",
        "",
        equivalent="looking through all watches those again",
        at="Wait._begin",
    ),
    wait(
        "        self._unwatched.clear()\n",
        "",
        equivalent="what has ended is taken out, and the others are taken up again in the same order",
        at="Wait._begin",
    ),
    wait(
        "self._unanswered, self._looking, self._due = 0, False, False",
        "self._unanswered, self._due = 0, False",
        "after a cut nothing is looked at that is not watched",
    ),
    wait(
        "self._unanswered, self._looking, self._due = 0, False, False",
        "self._looking, self._due = False, False",
        "after a cut no more are watched",
    ),
    wait(
        "self._unanswered, self._looking, self._due = 0, False, False",
        "self._unanswered, self._looking = 0, False",
        "after a cut no more are watched",
    ),
    wait(
        "            self._read(page, then=partial(self._look_through, rest))\n            return",
        "            self._read(page)\n            return",
        "of many that have ended those of the first page are told",
    ),
    wait(
        "        if not self._due:\n            self._due = True\n            self._scope.after(1.0, self._watch_more)",
        "        pass",
        "what ends out of turn is never told",
    ),
    wait(
        "        self._unwatched.pop(name, None)\n        self._watched.add(name)",
        "        self._watched.add(name)",
        "what is watched is looked at as well",
    ),
    wait(
        "partial(self._seen, name), watch=partial(self._fired, name), insist=False",
        "partial(self._seen, name), insist=False",
        "what ends is not heard of",
    ),
    wait(
        '            if "status" in children:\n                self._fired(name)\n',
        "            pass\n",
        "what ends just before it is watched is not heard of",
    ),
    wait(
        "        elif children.error is Error.NO_NODE:\n            self._end(name, None, None)\n",
        "        elif children.error is Error.NO_NODE:\n            pass\n",
        "a task that was deleted is waited for",
    ),
    wait(
        "        else:\n            self._watch_later(name)\n\n    def _watch_later",
        "\n    def _watch_later",
        "what the ensemble refuses once to show is waited for",
    ),
    wait(
        "self._scope.after(CLIENT_RETRY_SECONDS, partial(self._watch, name))",
        "self._watch(name)",
        "what the ensemble refuses is asked for without a pause",
    ),
    wait(
        "            self._read([name])\n            self._look_on()",
        "            self._read([name])",
        "of many that end only those that are watched are told",
    ),
    wait(
        "if page and not self._looking:",
        "if page:",
        "a page is read once for each that has ended",
    ),
    wait(
        "self._page = min(self._limits.largest_look, self._limits.smallest_look + len(ended) * 3 // 2)",
        "self._page = self._limits.smallest_look",
        "of many that end together a few are read at a time",
    ),
    wait(
        "self._page = min(self._limits.largest_look, self._limits.smallest_look + len(ended) * 3 // 2)",
        "self._page = self._limits.largest_look",
        "for each that ends fifty others are read",
    ),
    wait(
        "page[max(ended, default=-1) + 1 :]",
        "page[max(ended, default=0) + 1 :]",
        "the first of those behind is not watched if none has ended",
    ),
    wait(
        "for name in [*overtaken, *behind[:1]]:",
        "for name in behind[:1]:",
        "what is overtaken is not watched",
    ),
    wait(
        "for name in [*overtaken, *behind[:1]]:",
        "for name in overtaken:",
        "behind those that have ended none is watched",
    ),
    wait(
        "        if not behind:\n            self._look_on()",
        "        pass",
        "when a whole page has ended it is not looked on",
    ),
    wait(
        "                if scope.cancelled:  # the callback may stop us\n                    return\n",
        "",
        "who has stopped is told more",
    ),
    wait(
        "                    if status.error is Error.NO_NODE:  # something else has changed\n                        self._watch(name)\n                    else:\n                        self._watch_later(name)",
        "                    pass",
        "what had another child first is not watched any more",
    ),
    wait(
        "        if name not in self._waiting:\n            return\n        del self._waiting[name]",
        "        self._waiting.pop(name, None)",
        "what has ended is told twice",
    ),
    wait(
        "        self._watched.discard(name)\n        self._quiet",
        "        self._quiet",
        "the places of those watched that have ended are never used again",
    ),
    wait(
        "        if not self._waiting:\n            self._finished()",
        "        pass",
        "who waits never hears that all have ended",
        at="Wait._end",
    ),
    wait(
        "            self._quiet = True\n",
        "",
        "when nothing ends for long, what ends out of turn is told after minutes",
    ),
    wait(
        "        if not self._unanswered:\n            more",
        "        if True:\n            more",
        "a server that is slow is asked for more and more watches",
    ),
    # ---------------------------------------------------------------- status and result of one end
    pairs(
        "result != REFUSED and not _together(status, result)",
        "False",
        "what runs again between two reads is told as ended",
    ),
    pairs(
        "result != REFUSED and not _together(status, result)",
        "result != REFUSED and not isinstance(result, Node)",
        "a state is told with the result of another end",
    ),
    pairs(
        "result != REFUSED and not _together(status, result)",
        "not _together(status, result)",
        equivalent="a result that may not be read is asked for once more",
    ),
    pairs(
        "            if before is not None and _together(before[0], one):\n                continue\n",
        "",
        "what a person has ended without a result is read for ever",
    ),
    pairs("                again.append(paths)", "                pass", "no pair is looked at again"),
    # ---------------------------------------------------------------- too large, and without a number
    client(
        "elif result.index is None and len(batch) > 1:  # too much",
        "elif False:  # too much",
        "of tasks that are too large together each is refused",
    ),
    client(
        "self._search_all(names, last if _key(nodes[0]) == key else None)",
        "self._search_all(names, last)",
        "a task is submitted twice after /tasks was deleted by hand, or what the ensemble acknowledged was lost",
    ),
    client(
        "self._search_all(names, last if _key(nodes[0]) == key else None)",
        "self._search_all(names, None if isinstance(nodes[0], Failed) else last)",
        "a task is submitted twice if another has the name of one that the ensemble has lost",
    ),
    client(
        "        elif self._last is None:\n            self._search_all(names, None)\n        else:\n            name, key = self._last\n            self._scope.get_all([task_path(name)], partial(self._search_newer, names, name, key))\n",
        "        else:\n            self._search_all(names, None)\n",
        "a search reads all tasks there are",
    ),
    client(
        "        if numbers > 0:\n", "        if True:\n", "submissions wait for numbers that will never come"
    ),
    # ---------------------------------------------------------------- the wrong variable, one off, out of turn
    client(
        "numbers = limits.numbers - tasks.created",
        "numbers = limits.numbers - tasks.children",
        "numbers that are used up are given out",
    ),
    wait(
        "page[max(ended, default=-1) + 1 :]",
        "page[max(ended, default=0) :]",
        "a page that has ended is looked at once more",
    ),
    client(
        "self._max_tasks - tasks.children))",
        "self._max_tasks - tasks.children + 1))",
        "a task too many is let in",
    ),
    client(
        'task_order(after) if after is not None else (-1, "")',
        'task_order(after) if after is not None else (1, "")',
        "the first tasks of all are doubled if their reply is lost",
    ),
    client(
        "self._scope.after(self._uncertain_until - self._process.now, self._begin)",
        "self._scope.after(self._uncertain_until, self._begin)",
        "after a lost session nothing is submitted for as long as the machine has run",
    ),
    client(
        "            self._lost = lost\n",
        "            self._lost = self._lost if self._lost is not None else lost\n",
        "of the second session that it loses a client does not hear that it is closed",
    ),
    wait(
        "        self._waiting[task] = None\n        if self._begun:\n",
        "        if self._begun:\n            self._waiting[task] = None\n",
        "what is added while the others are looked through is not waited for",
    ),
]
