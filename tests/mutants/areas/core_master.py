"""A master: what it knows, assigns, moves, ends and removes."""

from functools import partial

from tests.mutants.killers import FEW, MANY, pytest, simulation
from tests.mutants.mutant import Mutant

PARTS = ("scenes", "returned", "mirror", "pace", "peers", "by_hand")
KILLERS = (pytest(*(f"tests/unit/test_core_{part}.py" for part in PARTS)), simulation(FEW), simulation(MANY))

master = partial(Mutant, "mwapp/core/master.py")

MUTANTS = [
    master(
        "replace(attempt, incarnation=incarnation, epoch=self._epoch)",
        "replace(attempt, incarnation=incarnation)",
        "a fencing token without its epoch",
    ),
]
