"""Shortens a failing schedule: leaves out everything without which it still fails."""

import gc
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from tests.simulation.world import Violation, World

# How many schedules to try, usually.
TRIALS = 300


class Runs(Protocol):
    """A schedule."""

    world: World

    def run(self) -> object:
        """Carry it out. Raises Violation."""


# A schedule without this.
Without = Callable[[frozenset[int]], Runs]


@dataclass(frozen=True)
class Short:
    """The shortest schedule found that breaks the same invariant."""

    world: World
    violation: Violation
    left: int  # number of its ingredients that are left
    of: int


def shorten(schedule: Without, invariant: str, trials: int) -> Short | None:
    """Leave out halves, then quarters ... of the schedule's ingredients. None: it does not fail like this.

    ``trials``: so many schedules are tried at most, after the whole one.
    """
    best = _fails(schedule, invariant, frozenset())
    if best is None:
        return None
    total = best[0].ingredients
    without: frozenset[int] = frozenset()
    for trial, part in enumerate(_parts(total)):
        if trial == trials:
            break
        if part <= without:
            continue
        shorter = _fails(schedule, invariant, without | part)
        if shorter is not None:
            best, without = shorter, without | part
    used = best[0].ingredients
    return Short(*best, used - sum(number <= used for number in without), total)


def _parts(total: int) -> Iterator[frozenset[int]]:
    """Later parts first: what came after the failure is useless."""
    size = total
    while size:
        for last in range(total, 0, -size):
            yield frozenset(range(max(1, last - size + 1), last + 1))
        size //= 2


def _fails(schedule: Without, invariant: str, without: frozenset[int]) -> tuple[World, Violation] | None:
    gc.collect()  # see run.quiet
    tried = schedule(without)
    try:
        tried.run()
    except Violation as violation:
        return (tried.world, violation) if violation.invariant == invariant else None
    return None
