"""A worker: what it registers, runs and records."""

from functools import partial

from tests.mutants.killers import FEW, MANY, pytest, simulation
from tests.mutants.mutant import Mutant

UNIT = pytest(*(f"tests/unit/test_core_{part}.py" for part in ("scenes", "returned", "peers", "by_hand")))
KILLERS = (UNIT, simulation(FEW), simulation(MANY))

worker = partial(Mutant, "mwapp/core/worker.py")

MUTANTS = [
    worker(
        "job.returned(job.assignment.attempt, job.assignment.failures)",
        "job.returned(job.assignment.attempt, 0)",
        "who drains makes the failures forgotten: more runs than retries allow",
    ),
    worker(
        'self._kill(job, "its assignment is gone")',
        "pass",
        "a command goes on whose task somebody else may have by now",
    ),
    worker(
        "ops: list[Op] = [self._still_me(), Delete(path)]",
        "ops: list[Op] = [Check(assign_path(self._name)), Delete(path)]",
        "an earlier incarnation deletes the znode of a later one",
        at="Worker._reopen",
    ),
]
