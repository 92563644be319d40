"""Tasks that have ended: they run again, or are removed, on request."""

from functools import partial

from tests.mutants.killers import CORE
from tests.mutants.mutant import Mutant

KILLERS = CORE

asker = partial(Mutant, "mwapp/core/again.py")
master = partial(Mutant, "mwapp/core/master.py")
mirror = partial(Mutant, "mwapp/core/mirror.py")
protocol = partial(Mutant, "mwapp/core/protocol.py")
requests = partial(Mutant, "mwapp/core/requests.py")
retention = partial(Mutant, "mwapp/core/retention.py")

MUTANTS = [
    # ---------------------------------------------------------------- what the master reads
    requests("or wanted.ended not in (None, status.stat.czxid)", "", "one request runs a task twice"),
    requests(
        "        if isinstance(cancel, Node):", "        if False:", "an old cancel request ends the next run"
    ),
    requests("asked, cancel):", "asked):", "a cancel request that may not be read is taken for none"),
    requests("not isinstance(status, Node) or ", "False or ", "what has not ended runs twice at once"),
    requests("        if wanted.do == REMOVE:", "        if False:", "what is to be removed runs again"),
    requests("Assignment(attempt + 1,", "Assignment(attempt,", "two runs have one fencing token"),
    requests(", labels=_labels(asked))", ")", "it runs on a worker without its labels"),
    requests("        return 0\n", "        return None\n", "what no worker had cannot run"),
    requests(
        "    return None if outcome.attempt is None else",
        "    return",
        "a result without a number ends the master",
    ),
    requests("min(max(0, outcome.attempt), MOST - 1)", "outcome.attempt", "an attempt number below 1"),
    requests(
        "        for task in self._names - set(names):\n            self.granted(task)\n",
        "",
        "a request that is gone is done",
    ),
    requests(
        "            self._changed()\n            self._read()\n",
        "            self._changed()\n",
        "a second page is never read",
    ),
    requests(
        "            self._changed()\n            self._read()\n",
        "            self._read()\n",
        "what was asked waits for something else",
    ),
    requests(
        "        self._scope.after(AGAIN_SECONDS, read)",
        "        pass",
        "what could not be read is never read",
    ),
    requests(
        "        if self._reading or not page:",
        "        if not page:",
        equivalent="a page that is read twice is the same",
    ),
    # ---------------------------------------------------------------- what it does
    master(
        "ops = [Delete(request_path(task)), *end, ",
        "ops = [*end, ",
        "a request runs its task again and again",
    ),
    master(
        "                    requests.doubt(task)",
        "                    requests.close(task)",
        "an end that the master has not heard of is none",
    ),
    master(
        "if held or known.waits(task) or task not in known.names:",
        "if known.waits(task) or task not in known.names:",
        "a request for an end that was deleted runs the task after its next",
    ),
    master(
        "elif task in requests.runs and not held:",
        "elif task in requests.runs:",
        "a task is in two places",
    ),
    requests(
        "        self._ended(task)\n",
        "",
        "what a person ends while it waits cannot run again",
    ),
    mirror(
        "        if self.tasks.waits(task):\n            self._finished(task)",
        "        self._finished(task)",
        "what a person ends under its worker is begun beside it",
    ),
    mirror(
        "        if task in self.requests:\n            self.requests.close(task)\n",
        "",
        "who has had a task removed hears of it a second later",
    ),
    master(
        "return (attempt - (queue == NOBODY)) or None", "return attempt", "an attempt that nobody had counts"
    ),
    master(
        "return (attempt - (queue == NOBODY)) or None",
        "return None",
        "attempts begin anew after a cancellation",
    ),
    master(
        "requests = chain(self._cancellations(), self._requested())",
        "requests = self._cancellations()",
        "nothing runs again",
    ),
    mirror(
        "        self.tasks.reopen(task)\n        self.tasks.submitters.note",
        "        self.tasks.submitters.note",
        "what is to run again is taken from /returned",
    ),
    mirror("        self.requests.look()\n", "", "nobody reads the requests"),
    retention(
        "if age(task) >= least)",
        "if task in finished)",
        "what is removed is submitted anew by who was cut off",
    ),
    retention(
        "            self._mirror.requests.close(task)\n",
        "            pass\n",
        "who asks for what cannot be done waits for ever",
    ),
    protocol(
        "if do not in (RUN, REMOVE):",
        "if not do:",
        "any word has the task run again",
    ),
    # ---------------------------------------------------------------- the client
    asker(
        "            elif name in self._meant and not self._same(name, status):",
        "            elif False:",
        "who lost the reply runs it twice",
    ),
    asker(
        "= status.stat.czxid, task.stat.czxid",
        "= -1, task.stat.czxid",
        "no request is for the end that is meant",
    ),
    asker(
        "self._answer(name, IN_THE_WAY if blocked else NOT_DONE)",
        "self._answer(name, None)",
        "what is not done is told as done",
    ),
    asker(
        "blocked = self._do == REMOVE or status.stat.children",
        "blocked = self._do == REMOVE",
        "the remedy for what has something below it does not help",
    ),
    asker("return NOT_ENDED if there else None", "return None", "a task that runs is told as removed"),
    asker("return None if there else NO_SUCH_TASK", "return None", "a removed task is told as running"),
    asker("and task.stat.czxid == self._meant[name][1]", "", "a namesake is taken for the removed task"),
    asker("        del self._open[name]\n", "", "it asks for ever"),
    asker(
        "        if scope.cancelled:  # the callback may stop us\n            return\n",
        "",
        "who has stopped goes on",
    ),
    asker(
        "            for name in names:  # too much for the servers, perhaps, or one of them is to blame\n"
        "                self._ask([name])\n",
        "            self._look_later(names)\n",
        "one that is refused holds up the others",
    ),
    asker("(result.index is None or ", "(", "servers that take small requests only are asked for ever"),
    asker(
        "len(names) > 1 and (result.index is None or result.error is not Error.REFUSED)",
        "len(names) > 1",
        equivalent="more requests, for as long as a permission is missing",
    ),
    asker(
        "names = list(islice(self._unasked, batch))",
        "names = list(self._unasked)",
        "a transaction of any size",
    ),
    asker("<= (TRANSACTIONS - 1) * batch", "== 0", "one that is not answered holds up those after it"),
    asker(
        "elif self._only and status.data",
        "elif False and status.data",
        "what has ended well meanwhile runs again",
    ),
    asker(
        "or (self._same(name, status) and name not in self._asked)",
        "",
        "who meets the request of another hears that it cannot be done",
    ),
    asker(
        "                self._look_later([name])\n            elif name in",
        "                pass\n            elif name in",
        "what could not be read is never asked for",
    ),
    # ---------------------------------------------------------------- found by a second look
    requests(
        "        self._names.discard(task)\n        self._forget(task)\n",
        "        self._forget(task)\n",
        "a request that comes while the last one is deleted stays for ever",
    ),
    partial(Mutant, "mwapp/core/known_tasks.py")(
        "        if task in self.finished:\n            self.finished[task] =",
        "        self.finish(task, now)\n        if task in self.finished:\n            self.finished[task] =",
        "what runs again counts as finished",
    ),
    protocol(
        'compact.encode(value).encode(errors="replace")',
        "compact.encode(value).encode()",
        "half a character ends every master",
    ),
    master(
        "step.ops[at].path in below:",
        "False:",
        "what has something below its status is tried for ever",
    ),
]
