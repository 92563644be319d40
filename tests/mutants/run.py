"""Try the mutants of some areas, several at a time, and say what became of each."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from threading import Lock

from tests.mutants.areas import Area
from tests.mutants.copies import Copy, copy_of
from tests.mutants.killers import Killer
from tests.mutants.mutant import Mutant

# A killer that takes so many times what it takes without a mutant, and some seconds, is at no end.
TIMES_USUAL, SPARE = 5, 30.0
# And without one it takes so long at most, seconds.
LONGEST_UNMUTATED = 1800.0


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
    """The verdicts, as they come. Raises DriftError before the first, and RedError."""
    for area in areas:
        for mutant in area.mutants:
            mutant.text(root)
    with ExitStack() as stack, ThreadPoolExecutor(jobs) as pool:
        copies = [stack.enter_context(copy_of(root)) for _ in range(jobs + 1)]
        usual, free = _Usual(copies.pop()), SimpleQueue[Copy]()
        for copy in copies:
            free.put(copy)
        tried = [
            pool.submit(_try, free, mutant, area.killers, usual) for area in areas for mutant in area.mutants
        ]
        try:
            for verdict in as_completed(tried):
                yield verdict.result()
        finally:  # at once, also if something went wrong or somebody is impatient
            pool.shutdown(wait=False, cancel_futures=True)
            for copy in [usual.copy, *copies]:
                copy.close()


class _Usual:
    """How long each killer takes without a mutant, found out when it is first needed."""

    def __init__(self, copy: Copy) -> None:
        self.copy = copy
        self._lock = Lock()
        self._seconds: dict[Killer, float] = {}

    def of(self, killer: Killer) -> float:
        """Seconds. Raises RedError."""
        with self._lock:
            if killer not in self._seconds:
                noticed, self._seconds[killer] = self.copy.noticed(killer, LONGEST_UNMUTATED)
                if noticed:
                    raise RedError(f"without a mutant {' '.join(killer.command)} fails: {noticed}")
            return self._seconds[killer]


def _try(free: "SimpleQueue[Copy]", mutant: Mutant, killers: Sequence[Killer], usual: _Usual) -> Verdict:
    copy, seconds = free.get(), 0.0
    try:
        with copy.mutated(mutant):
            for killer in killers:
                most = TIMES_USUAL * usual.of(killer) + SPARE
                for part in copy.parts(killer):
                    noticed, took = copy.noticed(part, most)
                    seconds += took
                    if noticed:
                        usual.of(part)  # without the mutant it notices nothing
                        return Verdict(mutant, killer.name, noticed, seconds)
        return Verdict(mutant, "", "", seconds)
    finally:
        free.put(copy)
