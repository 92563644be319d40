"""Try the mutants of some areas, several at a time, and say what became of each."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from tests.mutants.areas import Area
from tests.mutants.copies import Copy, copy_of
from tests.mutants.killers import Killer
from tests.mutants.mutant import Mutant

# A killer that takes so many times what it takes without a mutant, and some seconds, is at no end.
PATIENCE, SPARE = 5, 30.0


class RedError(Exception):
    """A killer fails without any mutant: it could notice nothing."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant: who noticed it, and what that said; "" if nobody did."""

    mutant: Mutant
    killer: str
    reason: str
    seconds: float

    @property
    def as_it_should(self) -> bool:
        """Whether it was noticed, or lives as its entry says."""
        return bool(self.killer) != bool(self.mutant.equivalent)


def run(root: Path, areas: Sequence[Area], jobs: int) -> Iterator[Verdict]:
    """The verdicts, as they come. Raises DriftError and RedError before the first."""
    for area in areas:
        for mutant in area.mutants:
            mutant.text(root)
    with ExitStack() as stack, ThreadPoolExecutor(jobs) as pool:
        free: SimpleQueue[Copy] = SimpleQueue()
        for _ in range(jobs):
            free.put(stack.enter_context(copy_of(root)))
        killers = list(dict.fromkeys(killer for area in areas if area.mutants for killer in area.killers))
        took = dict(zip(killers, pool.map(lambda killer: _unmutated(free, killer), killers), strict=True))
        tried = [
            pool.submit(_try, free, mutant, {killer: took[killer] for killer in area.killers})
            for area in areas
            for mutant in area.mutants
        ]
        for verdict in as_completed(tried):
            yield verdict.result()


def _unmutated(free: SimpleQueue[Copy], killer: Killer) -> float:
    """How long the killer takes without a mutant, seconds. Raises RedError."""
    copy = free.get()
    try:
        noticed, took = copy.noticed(killer, 1800.0)
    finally:
        free.put(copy)
    if noticed:
        raise RedError(f"without a mutant {' '.join(killer.command)} fails: {noticed}")
    return took


def _try(free: SimpleQueue[Copy], mutant: Mutant, killers: dict[Killer, float]) -> Verdict:
    copy, seconds = free.get(), 0.0
    try:
        with copy.mutated(mutant):
            for killer, usual in killers.items():
                noticed, took = copy.noticed(killer, PATIENCE * usual + SPARE)
                seconds += took
                if noticed:
                    return Verdict(mutant, killer.name, noticed, seconds)
        return Verdict(mutant, "", "", seconds)
    finally:
        free.put(copy)
