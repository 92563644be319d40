"""Workers that are lost over a task, workers that live on, and what is killed because a worker stops."""

from functools import partial

from tests.mutants.killers import CORE
from tests.mutants.mutant import Mutant

KILLERS = CORE

job = partial(Mutant, "mwapp/core/job.py")
master = partial(Mutant, "mwapp/core/master.py")
placement = partial(Mutant, "mwapp/core/placement.py")
mirror = partial(Mutant, "mwapp/core/mirror.py")
protocol = partial(Mutant, "mwapp/core/protocol.py")
running = partial(Mutant, "mwapp/core/running.py")
worker = partial(Mutant, "mwapp/core/worker.py")
outlived = partial(Mutant, "mwapp/core/outlived.py")

MUTANTS = [
    # ---------------------------------------------------------------- who counts
    master(
        "lost = (*last.lost, incarnation_of(queue, last.incarnation))",
        "lost = (incarnation_of(queue, last.incarnation),)",
        "a task takes down one worker after the other",
    ),
    master(
        "if not any(one in w.outlived for w in self._mirror.workers.values()))",
        ")",
        "after five outages a task is given up",
    ),
    master(
        "if not any(one in w.outlived for w in self._mirror.workers.values()))",
        "if not any(one in w.outlived for n, w in self._mirror.workers.items() if n == queue))",
        "after outages at several workers a task is given up",
    ),
    mirror(
        "frozenset(incarnation_of(name, number) for number in registered.outlived)",
        "frozenset(incarnation_of(name, version) for number in registered.outlived)",
        "another incarnation than the one that lived on is not counted",
    ),
    protocol(
        '        if self.lost:\n            value["lost"] = self.lost\n',
        "",
        "who was lost is not written",
    ),
    protocol(
        '        if self.outlived:\n            value["outlived"] = self.outlived\n',
        "",
        "who lived on is not written",
    ),
    protocol(
        "tuple(number for number in numbers if _integer(number, -1) >= 0)",
        "tuple(numbers)",
        "an incarnation by hand that is no number stops a worker",
    ),
    # ---------------------------------------------------------------- who lives on says so
    outlived(
        "{*(before.outlived if before is not None else ()), *self._numbers}",
        "set(self._numbers)",
        "the next process does not remember who lived on",
    ),
    outlived(
        "self._sessions: list[int] = [*ended]",
        "self._sessions: list[int] = []",
        "five deployments without an ensemble end a task",
    ),
    outlived(
        "return tuple(sorted(known)[-OUTLIVED:])",
        "return tuple(sorted(known))",
        "a registration grows with every outage",
    ),
    outlived(
        "return tuple(sorted(known)[-OUTLIVED:])",
        "return tuple(sorted(known)[:OUTLIVED])",
        "after twenty outages every other one counts as a death",
    ),
    outlived(
        "        self._numbers = [*self._numbers, incarnation][-OUTLIVED:]\n",
        "",
        "outages count as deaths",
    ),
    worker(
        "            outlived=self._outlived.in_registration(queue, session),\n",
        "",
        "outages count as deaths",
    ),
    # ---------------------------------------------------------------- before a task is given up
    master(
        "until = now + self._process.timeout\n",
        "until = now\n",
        "a task is given up before its worker can say that it lives on",
    ),
    master(
        "if known != attempt:",
        "if True:",
        "a task is never given up",
    ),
    master(
        "            self._process.scope().after(self._process.timeout, self._act_soon)\n",
        "",
        "a task is given up when something else happens",
    ),
    master(
        "                if self._may_come_back(task, last.attempt):\n                    return None\n",
        "",
        "a task is given up before its worker can say that it lives on",
    ),
    master(
        "            self._doomed.pop(task, None)\n",
        "",
        "the next task of a name is given up at once",
        at="Master._give_up",
    ),
    # ---------------------------------------------------------------- a suspect
    placement(
        "if self._is_suspect(last):",
        "if False:",
        "what was beside a task that takes workers down is given up with it",
    ),
    placement(
        "len(assignment.lost) >= max(1, self._max_attempts - ALONE)",
        "len(assignment.lost) > max(1, self._max_attempts - ALONE)",
        "what was beside a task that takes workers down is given up with it",
    ),
    placement(
        "len(assignment.lost) >= max(1, self._max_attempts - ALONE)",
        "len(assignment.lost) >= self._max_attempts - ALONE",
        "with few attempts allowed every worker gets one task at a time",
    ),
    placement(
        "able = [name for name in load if labels <= workers[name].labels and name not in others]",
        "able = [name for name in load if name not in others]",
        "a suspect goes to a worker without its labels",
    ),
    placement(
        "able = [name for name in load if labels <= workers[name].labels and name not in others]",
        "able = [name for name in load if labels <= workers[name].labels]",
        "a suspect is moved to where it is, in vain, and all is read again",
    ),
    placement(
        "key=lambda name: (name not in self._empty, load[name], name)",
        "key=lambda name: name",
        "a suspect waits for the first by name, though another has nothing to do",
    ),
    placement("return chosen if idle else None", "return chosen", "a suspect runs beside others"),
    placement(
        "self._take(chosen, max(1, self._room(chosen) - load[chosen]))",
        "self._take(chosen, idle)",
        "a suspect waits for as long as others come",
    ),
    placement(
        "            if any(map(self._is_suspect, its)):\n                least = self._room(name)\n            else:\n                least",
        "            if True:\n                least",
        "others come beside a suspect",
    ),
    # ---------------------------------------------------------------- who stops
    worker(
        '            self.counters["killed"] += self._running.interrupt(job)\n        if self.state',
        "            self._running.interrupt(job)\n        if self.state",
        "what was killed is not counted",
    ),
    worker(
        "            self._process.scope().after(HAND_BACK_SECONDS, self._leave)\n        else:\n            self._leave()\n",
        "            self._leave()\n        else:\n            self._leave()\n",
        "what still runs is not handed back, and counts as if its worker had died",
    ),
    worker(
        "            self._process.scope().after(HAND_BACK_SECONDS, self._leave)\n        else:",
        "            pass\n        else:",
        "a worker never ends if what it has killed does not",
    ),
    worker(
        "        if self.state in SERVING:\n            self._process.scope().after(HAND_BACK_SECONDS, self._leave)",
        "        if True:\n            self._process.scope().after(HAND_BACK_SECONDS, self._leave)",
        "a worker without a session waits for what it cannot hand back",
    ),
    worker(
        "            job.interrupted()\n            self._record(job)\n",
        "            job.interrupted()\n",
        "what was killed is not handed back",
    ),
    worker(
        '        elif job.state == "leaving":\n            job.interrupted()\n            self._record(job)\n',
        "",
        "what was killed is started again",
    ),
    running(
        '            job.become("leaving")\n',
        "            pass\n",
        "what was killed because its worker stops has failed",
    ),
    running(
        "        self._process.kill(job.run)\n",
        "",
        "what still runs when a worker has to stop goes on",
        at="Running.interrupt",
    ),
    running(
        'if job.state == "leaving" and event.code != 0:',
        'if job.state == "leaving":',
        "what ended well just before it was killed is run again",
    ),
    running(
        '        if job.state == "runs":\n            job.become("leaving")\n',
        '        if job.state != "late":\n            job.state = "leaving"\n',
        "what was cancelled just before it was killed is run again",
    ),
    running(
        '        if job.state == "runs":\n            job.become("leaving")\n',
        '        if job.state != "cancelled":\n            job.state = "leaving"\n',
        "what ran for too long and was killed is run again",
    ),
    job(
        "self._returned(replace(self._next, attempt=self.assignment.attempt + 1))",
        "self._returned(self._next)",
        "what was killed begins again under the same token",
    ),
    outlived(
        "known.add(queue.stat.version)  # we never heard of it: seed 9068067",
        "pass",
        "a worker that stood still while it registered counts as dead",
    ),
    outlived(
        "and before.session in self._sessions:",
        "and before:",
        "who had the name before seems to live on",
    ),
    master(
        "        self._doomed.clear()\n",
        "",
        "a worker that was cut off with the master has no time to say that it lives on",
    ),
]
