"""When a task may begin, where it is repeated, when it is too late, and which worker rests."""

from functools import partial

from tests.mutants.killers import CORE
from tests.mutants.mutant import Mutant

KILLERS = CORE

backoff = partial(Mutant, "mwapp/core/backoff.py")
job = partial(Mutant, "mwapp/core/job.py")
known = partial(Mutant, "mwapp/core/known_tasks.py")
master = partial(Mutant, "mwapp/core/master.py")
placement = partial(Mutant, "mwapp/core/placement.py")
mirror = partial(Mutant, "mwapp/core/mirror.py")
protocol = partial(Mutant, "mwapp/core/protocol.py")
resting = partial(Mutant, "mwapp/core/resting.py")
task = partial(Mutant, "mwapp/core/task.py")

MUTANTS = [
    # ---------------------------------------------------------------- how long a pause is
    backoff("min(failures - 1, 30)", "min(failures, 30)", "the first pause is twice as long as asked for"),
    backoff("min(failures - 1, 30)", "(failures - 1)", "a number of failures by hand stops a worker"),
    backoff("first * 2.0 ** min", "first * 2.0 * min", "there is no first pause, and the others hardly grow"),
    backoff("max(first, LONGEST)", "LONGEST", "a pause of an hour lasts ten minutes"),
    backoff("(1 + JITTER * part)", "(1 + JITTER)", "what failed together is repeated together"),
    backoff('f"{task} {failures}"', 'f"{failures}"', "what failed together is repeated together"),
    job(
        "pause(self.name, failures, self.task.retry_delay)",
        "pause(self.name, 1, self.task.retry_delay)",
        "pauses do not grow",
    ),
    job("pause=wait, ", "", "what failed is repeated at once"),
    backoff(
        "return max(paused, ELSEWHERE)",
        "return paused",
        "without a pause a broken worker that is idle is given all attempts at once",
    ),
    mirror(
        "anywhere = begins + elsewhere(returned.pause) if",
        "anywhere = begins + returned.pause if",
        "what could begin where it failed waits until something else happens",
    ),
    # ---------------------------------------------------------------- the master keeps it
    mirror(
        "            begins = self._scope.now + returned.pause\n",
        "            begins = self._scope.now\n",
        "what failed is repeated at once",
    ),
    mirror(
        "if attempt != returned.attempt:",
        "if True:",
        "a pause begins again whenever all is read again",
    ),
    mirror(
        "        new._pauses = self._pauses  # do not begin them again\n",
        "",
        "a pause begins again whenever all is read again",
    ),
    mirror(
        "for end in {begins, anywhere}:",
        "for end in {anywhere}:",
        "when a pause is over, nothing happens until something else does",
    ),
    mirror(
        "for end in {begins, anywhere}:",
        "for end in {begins}:",
        "what could begin where it failed waits until something else happens",
    ),
    mirror(
        "            self._pauses = {task: self._pauses[task] for task in self._pauses.keys() & set(present)}\n",
        "            pass\n",
        "the next task of a name does not pause",
    ),
    master(
        "(held.begins <= now and held.orphaned(worker))",
        "held.orphaned(worker)",
        "what pauses is moved at once",
    ),
    # ---------------------------------------------------------------- where it is repeated
    job(", failed_on=worker)", ")", "what failed is repeated where it failed, though others have room"),
    placement(
        "{*others, last.failed_on})",
        "others)",
        "what failed is repeated where it failed, though others have room",
    ),
    placement(
        "if other is None and self._may_fail_again(held):",
        "if other is None:",
        "what failed does not wait for another worker",
    ),
    placement(
        "if other is None and self._may_fail_again(held):",
        "if False:",
        "what failed on the only worker is never repeated",
    ),
    placement(
        "now >= held.begins + elsewhere(last.pause):",
        "now >= held.begins:",
        "what failed does not wait for another worker",
    ),
    placement(
        "if not last.failed_on or self._now",
        "if self._now",
        equivalent="only what has failed somewhere finds no room elsewhere, and room there",
    ),
    placement("name != last.failed_on and ", "", "what failed waits for the worker on which it failed"),
    placement(
        "not worker.draining and worker.labels.issuperset",
        "worker.labels.issuperset",
        "what failed waits for a worker that takes nothing",
    ),
    placement(
        " and worker.labels.issuperset(last.labels)\n",
        "\n",
        "what failed waits for a worker that may not run it",
    ),
    master(
        'replace(last, pause=0.0, failed_on="")',
        "last",
        "where an earlier attempt failed counts for ever",
    ),
    # ---------------------------------------------------------------- not before
    known("        age = max(0.0, age)  # some clock is wrong\n", "", "a wrong clock makes a delay longer"),
    known(
        "now + task.delay - age",
        "now + task.delay",
        "every master that takes over begins a delay again",
    ),
    known(
        "        if now < self.begins:\n            return min(self.begins, self.ends)\n",
        "        if now < self.begins:\n            return self.ends\n",
        "what is delayed never begins",
    ),
    known(
        "min(max(self.not_before - wall, SOONEST_SECONDS), LOOK_SECONDS)",
        "max(self.not_before - wall, SOONEST_SECONDS)",
        "somebody sets the clock, and what waits for the time of day does not begin",
    ),
    known(
        "LOOK_SECONDS), self.ends)",
        "LOOK_SECONDS), math.inf)",
        "what waits for a time of day expires a minute late",
    ),
    known(
        "return now >= self.begins and wall >= self.not_before",
        "return now >= self.begins",
        "the time of day is not heeded",
    ),
    known(
        "return now >= self.begins and wall >= self.not_before",
        "return wall >= self.not_before",
        "a delay is not heeded",
    ),
    known(
        "return now >= self.begins and wall >= self.not_before",
        "return now >= self.begins and now >= self.not_before",
        "a time of day is compared with how long the machine has been up",
    ),
    known(
        "QUEUED if waiting.ready(now, wall) else DELAYED",
        "QUEUED",
        "nothing is ever delayed",
    ),
    known(
        "        self.held.clear()\n",
        "        self.held.clear()\n        self._looks = _Looks()\n",
        "what is delayed while all is read again never begins",
    ),
    known(
        "self.names = set(self._known)",
        "self.names = self._known.keys() - self.delayed.keys()",
        "what is delayed is read again whenever a transaction is refused",
    ),
    known(
        "if due < self.times.get(task, math.inf):",
        "if task not in self.times:",
        "the next task of a name begins when the one before it was to",
    ),
    known("            self.times[task] = due\n", "", "what is delayed never begins"),
    known(
        "if self.times.get(task) == due:",
        "if True:",
        "a master falls over a time that no longer counts",
    ),
    known(
        "            self.queue(task, self._known[task]",
        "            if task in self.queued:\n                self.queue(task, self._known[task]",
        "what is delayed never begins",
    ),
    known(
        "FINISHED if task in self.finished else HELD",
        "self._state(task) if task in self.finished or task in self.delayed else HELD",
        "what a person assigns before its time is assigned again when that comes",
    ),
    known(
        "self._state(task) in (QUEUED, DELAYED, BAD)",
        "self._state(task) in (QUEUED, BAD)",
        "what is delayed cannot be cancelled",
    ),
    known(
        "        self._forget(task)\n        self.submitters",
        "        if task not in self.delayed:\n            self._forget(task)\n        self.submitters",
        "a task that was deleted begins when its time comes",
    ),
    mirror(
        "Waiting.of(asked, wall - node.stat.ctime, now)",
        "Waiting.of(asked, 0.0, now)",
        "every master that takes over begins a delay again",
    ),
    mirror(
        "now, wall)\n            self._time_passed()\n",
        "now, wall)\n",
        "what is delayed never begins",
    ),
    mirror(
        "        self.requests.look()\n        self._time_passed()\n",
        "        self.requests.look()\n",
        "what is delayed while all is read again never begins",
    ),
    mirror(
        "if at < min(self._alarms[:1], default=math.inf):",
        "if at < math.inf and not self._alarms:",
        "what is to begin sooner waits for what is to begin later",
    ),
    mirror(
        "for times in (self._alarms, self._pause_ends):",
        "for times in (self._pause_ends,):",
        "after the first delayed task no other begins",
    ),
    mirror(
        "        self._time_passed()\n        self._changed()",
        "        self._time_passed()",
        "what was delayed begins when something else happens",
    ),
    # ---------------------------------------------------------------- what expires
    known(
        "now + task.expires - age",
        "now + task.expires",
        "with every master that takes over there is more time",
    ),
    known(
        "            self.queue(task, self._known[task]",
        "            if task in self.delayed:\n                self.queue(task, self._known[task]",
        "what is queued never expires",
    ),
    known(
        "FINISHED if task in self.finished else HELD",
        "self._state(task) if task in self.finished or task in self.bad else HELD",
        "what expires while it is being assigned ends twice",
    ),
    # ---------------------------------------------------------------- what a client may ask for
    task(
        '_seconds("expires", MAX_DELAY, above=True)',
        '_seconds("expires", MAX_DELAY)',
        "a task that can only expire",
    ),
    task(
        "and task.expires <= task.delay:",
        "and task.expires < task.delay:",
        "a task that expires when it may begin",
    ),
    task(
        '_seconds("retry_delay", MAX_RETRY_DELAY)',
        '_seconds("retry_delay", MAX_RETRY_DELAY, above=True)',
        "no pause cannot be asked for",
    ),
    task(
        '_seconds("not_before", LAST_SECOND)',
        '_seconds("not_before", math.inf)',
        "a time that nobody can show",
    ),
    task(
        "number = isinstance(setting, int | float) and not isinstance(setting, bool)",
        "number = isinstance(setting, int | float)",
        "true is a second",
    ),
    protocol(
        '        if self.pause:\n            value["pause"] = self.pause\n',
        "",
        "a pause is not written",
    ),
    protocol(
        '        if self.failed_on:\n            value["failed_on"] = self.failed_on\n',
        "",
        "where it failed is not written",
    ),
    protocol(
        "float(min(value, MAX_PAUSE))",
        "float(value)",
        "a pause by hand that never ends",
    ),
    protocol(
        " or not value >= 0:  # NaN is not",
        " or value != value:",
        "a pause by hand of less than nothing",
    ),
    protocol(
        " or not value >= 0:  # NaN is not",
        " or value < 0:",
        "a pause by hand that is no number",
    ),
    # ---------------------------------------------------------------- who rests
    resting("LEAST = 3\n", "LEAST = 2\n", "a worker rests after two tasks that failed"),
    resting(
        "min(LONGEST, max(SHORTEST, 2 * record.rest))",
        "max(SHORTEST, 2 * record.rest)",
        "a worker rests for days",
    ),
    resting(
        "min(LONGEST, max(SHORTEST, 2 * record.rest))",
        "SHORTEST",
        "on a broken host a task fails every second",
    ),
    resting(
        "            record.failed.clear()\n            record.rest = record.until = 0.0\n",
        "            record.failed.clear()\n",
        "a worker that works again is on trial for ever",
    ),
    resting(
        "live, record = workers.get(worker), self",
        "live, record = workers[worker], self",
        "a master falls over a run of a worker that is gone",
    ),
    resting(
        "if record is None or record.incarnation != live.incarnation:",
        "if record is None:",
        "a worker that was mended and started again rests all the same",
    ),
    resting(
        "if now < record.until or not self._fails(worker, workers):",
        "if not self._fails(worker, workers):",
        "what fails while a worker rests makes its rest longer",
    ),
    resting(
        "        if not others:\n            return False\n",
        "",
        "the only worker rests",
    ),
    resting(
        "if now < until and self._fails(name, workers)}",
        "if now < until}",
        "a worker goes on resting when nobody else is left",
    ),
    resting(
        "return {name for name in rested if self._fails(name, workers)}",
        "return set(rested)",
        "a worker that nobody can replace gets a single task",
    ),
    resting(
        "if self._records[name].rest)",
        "if self._records[name].fails)",
        "who has never rested is on trial as soon as somebody else comes",
    ),
    resting(
        "if name in workers and workers[name].incarnation == record.incarnation",
        "if name in workers",
        "a worker that was mended and started again rests all the same",
    ),
    resting(
        "name != worker and not other.draining and", "name != worker and", "one that leaves is to do it all"
    ),
    resting(
        "not other.draining and labels <= other.labels",
        "not other.draining and labels >= other.labels",
        "the only worker with a label rests",
    ),
    resting(
        "share = (sum(runs) + FAILURES) / (len(runs) + RUNS)",
        "share = FAILURES / (len(runs) + RUNS)",
        "if all runs fail, all workers rest",
    ),
    resting(
        "others.intersection(self._known(workers))",
        "others.intersection(self._records)",
        "who was mended and started again replaces nobody",
    ),
    mirror(
        "                self._ran(returned.failed_on, task, False)\n",
        "                pass\n",
        "runs that are repeated do not count",
    ),
    mirror(
        "if worker != NOBODY and status.data in (DONE.encode(), FAILED.encode()):",
        "if worker != NOBODY:",
        "runs that were cancelled count as failures",
    ),
    mirror(
        "self._ran(worker, task, status.data == DONE.encode())",
        "self._ran(worker, task, False)",
        "what is done counts as a failure",
    ),
    placement(
        "        self.resting.succeeded(worker, mirror.workers)\n",
        "            pass\n",
        "a success counts for nothing",
    ),
    master(
        "self._process.scope().after(rest, self._act_soon)",
        "self._scope.after(rest, self._act_soon)",
        "a worker rests until something happens if all was read again meanwhile",
    ),
    placement(
        "if worker.draining or name in rest or name in self._closed:",
        "if worker.draining or name in self._closed:",
        "who rests gets tasks",
    ),
    placement(
        "self._room(name) - (not its) if name in trial else 0",
        "0",
        "after its rest a worker gets as many tasks as it has slots",
    ),
    placement(
        "self._room(name) - (not its) if name in trial else 0",
        "self._room(name) - 1 if name in trial else 0",
        "after its rest a worker gets one more task as long as one runs",
    ),
    resting("if len(record.failed) < MOST:", "if True:", equivalent="more memory, and nothing else"),
    resting(
        "failed * math.log(share) <= math.log(CHANCE)",
        "failed * math.log(share) <= -math.log(CHANCE)",
        "three failures are always too many",
    ),
    resting("maxlen=REMEMBERED", "maxlen=None", "what was long ago counts for ever"),
    resting(
        "if name != worker and not other.draining", "if name != worker", "who takes nothing replaces others"
    ),
    mirror(
        "if returned.failed_on and arrived:",
        "if returned.failed_on:",
        "the next master holds old failures against a worker",
    ),
    known(
        "            if len(self.heap) > 2 * len(self.times) + 100:",
        "            if False:",
        "what no longer waits is remembered for months",
    ),
    known(
        "        if before in PASSING and state not in PASSING:\n            self._looks.drop(task)\n",
        "",
        "what has begun is remembered until it would have expired",
    ),
    known(
        'why = "no worker had room for it" if late else',
        'why = "no worker had room for it" if True else',
        "a task that was not to begin is said to have waited for a worker",
    ),
]
