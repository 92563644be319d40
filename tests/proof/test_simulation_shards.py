"""A short run of the simulation of shards, and whether it would notice what it is there for."""

from collections import Counter
from collections.abc import Iterator

import pytest

from tests.simulation.run import quiet
from tests.simulation.shards.bugs import BUGS
from tests.simulation.shards.run import simulate
from tests.simulation.world import Violation

SCHEDULES = 40
# A planted bug that so many schedules do not bring to light would be overlooked.
AT_MOST = 300
INVARIANTS = {
    *("one-owner-per-generation", "no-write-of-stale-owner", "replicas-distinct", "spread-honoured"),
    *("moves-bounded", "balanced-in-the-end", "primary-caught-up", "shard-liveness", "asked-is-done"),
}


@pytest.fixture(scope="module", autouse=True)
def among_many() -> Iterator[None]:
    undo = quiet()
    yield
    undo()


def test_every_invariant_of_shards_holds_and_much_happens() -> None:
    met: Counter[str] = Counter()
    for seed in range(SCHEDULES):
        met.update(simulate(seed))
    assert (
        min(met[what] for what in ("promoted", "moves", "promotions", "handovers", "acknowledged writes"))
        > 100
    )


def test_the_same_seed_gives_the_same_schedule() -> None:
    assert simulate(7) == simulate(7)


@pytest.mark.parametrize("name", BUGS)
def test_a_planted_bug_of_shards_is_noticed(name: str) -> None:
    bug, invariants = BUGS[name]
    for seed in range(1, AT_MOST):
        try:
            simulate(seed, bug)
        except Violation as violation:
            if violation.invariant in invariants:
                return
    raise AssertionError(f"{AT_MOST} schedules did not bring it to light")


def test_each_invariant_of_shards_has_a_bug_that_breaks_it() -> None:
    assert set().union(*(invariants for _, invariants in BUGS.values())) == INVARIANTS
