"""A schedule that fails, made short: whatever can be left out without the failure going away is left out."""

import gc
from collections.abc import Iterator
from dataclasses import dataclass

from tests.simulation.schedule import Bug, Schedule
from tests.simulation.world import Violation

# So many schedules are tried at most.
TRIALS = 300


@dataclass(frozen=True)
class Short:
    """The shortest schedule found that breaks the same invariant."""

    schedule: Schedule
    violation: Violation
    left: int  # of what it was made of
    of: int


def shorten(seed: int, bug: Bug, invariant: str) -> Short | None:
    """Leave out halves, then quarters ... of what the schedule is made of. None: it does not fail so."""
    best = _fails(seed, bug, invariant, frozenset())
    if best is None:
        return None
    total = best[0].world.ingredients
    without: frozenset[int] = frozenset()
    for trial, part in enumerate(_parts(total)):
        if trial == TRIALS:
            break
        if part <= without:
            continue
        shorter = _fails(seed, bug, invariant, without | part)
        if shorter is not None:
            best, without = shorter, without | part
    used = best[0].world.ingredients
    return Short(*best, used - sum(number <= used for number in without), total)


def _parts(total: int) -> Iterator[frozenset[int]]:
    """The later first: what came after the failure is of no use."""
    size = total
    while size:
        for last in range(total, 0, -size):
            yield frozenset(range(max(1, last - size + 1), last + 1))
        size //= 2


def _fails(seed: int, bug: Bug, invariant: str, without: frozenset[int]) -> tuple[Schedule, Violation] | None:
    gc.collect()  # see run.quiet
    schedule = Schedule(seed, bug, without)
    try:
        schedule.run()
    except Violation as violation:
        return (schedule, violation) if violation.invariant == invariant else None
    return None
