"""How many tasks a worker has at hand."""

from functools import partial

from tests.mutants.killers import CORE
from tests.mutants.mutant import Mutant

KILLERS = CORE

master = partial(Mutant, "mwapp/core/master.py")
placement = partial(Mutant, "mwapp/core/placement.py")
throughput = partial(Mutant, "mwapp/core/throughput.py")
running = partial(Mutant, "mwapp/core/running.py")
worker = partial(Mutant, "mwapp/core/worker.py")

MUTANTS = [
    throughput("self._faded(now) + 1 / MEMORY", "self._faded(now) + 1", "a fourth of the throughput is seen"),
    throughput("self._faded(now) + 1 / MEMORY", "self._rate + 1 / MEMORY", "a worker is faster and faster"),
    throughput("        self._last = now\n", "", "every worker stalls for ever"),
    throughput("if now - self._last > seconds:", "if False:", "who stalls is given more"),
    throughput("int(self._faded(now) * seconds)", "int(self._faded(now))", "five times too many are at hand"),
    throughput("(self._last - now) / MEMORY", "(self._last - now)", "what was a second ago counts"),
    placement(
        "self.throughputs.setdefault(worker, Throughput()).ended(now)\n",
        "self.throughputs[worker] = Throughput()\n",
        "nobody has a throughput",
    ),
    placement(
        "if self._at_hand == math.inf:\n            return worker.slots + worker.prefetch",
        "if self._at_hand == math.inf:\n            return worker.slots",
        "who takes all at once gets none",
    ),
    placement(
        "min(worker.prefetch, throughput.tasks", "max(worker.prefetch, throughput.tasks", "more than it takes"
    ),
    placement("worker.slots + min(worker.prefetch", "min(worker.prefetch", "a slow worker gets nothing"),
    worker(
        "or self._running.room or patience",
        "or patience",
        equivalent="it looks a hundred times a second, and does nothing",
    ),
    worker(
        "and not self._running.room and self._running.since_start >= patience:",
        "and not self._running.room:",
        "what waits goes back although runs end",
    ),
    worker(
        "and not self._running.room and self._running.since_start >= patience:",
        "and self._running.since_start >= patience:",
        "what waits for a dying run of its own goes elsewhere",
    ),
    worker("patience = KEEPS * ", "patience = ", "what waits goes back too soon"),
    worker(
        "            self._looks = None\n            if",
        "            if",
        "it looks once, and never again",
    ),
    worker(
        "                    job.handed_back()\n                    self._record(job)\n                self._next.clear()\n",
        "                    self._record(job)\n                self._next.clear()\n",
        "what waits is neither begun nor handed back",
    ),
    worker(
        "or self._looks is self._scope:", "or self._looks is not None:", "after a cut it does not look again"
    ),
    running(
        "        job.run = next(self._numbers)\n        self._began_at = self._process.now\n",
        "        job.run = next(self._numbers)\n",
        "what waits goes back as soon as a long run has begun",
    ),
]
