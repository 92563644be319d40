"""Many schedules, in as many processes as there are cores; the first that fails is told, made short."""

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import fields
from itertools import islice

from tests.simulation.run import quiet, repeat, simulate
from tests.simulation.schedule import Bug
from tests.simulation.world import Violation

# So many schedules are given to a process at a time.
CHUNK = 20
# Every so many seconds it says how far it is.
PROGRESS = 60.0
# Seeds that failed once and lie beyond those that are mostly run.
FAILED_ONCE = (11271, 99804, 1795846645638)

Seeds = Sequence[int]


def fixed(number: int) -> list[Seeds]:
    """The same each time: so many, and those that failed once."""
    return [FAILED_ONCE, range(number)]


def fresh(number: int) -> range:
    """So many that no run before had: a schedule takes longer than the millisecond that each stands for."""
    first = time.time_ns() // 1_000_000
    return range(first, first + number)


def run(bug: Bug, seeds: Sequence[Seeds], end: float, jobs: int) -> int:
    """Run the schedules in so many processes, until ``end`` (monotonic seconds) at the latest.

    Prints what they met, and what the first failure is. Returns how many failed, 0 or 1.
    """
    seeds = [part for part in seeds if part]
    wanted = sum(map(len, seeds))
    print(f"{wanted} schedules: seeds {', '.join(map(_show, seeds))}", flush=True)
    met: Counter[str] = Counter()
    began = told = time.monotonic()
    for found in _in_processes(bug, _chunks(seeds, end), jobs):
        if isinstance(found, str):
            print(f"{found}\n{_so_far(met['schedules'], time.monotonic() - began)}, and 1 failed")
            return 1
        met.update(found)
        if time.monotonic() >= told + PROGRESS:
            told = time.monotonic()
            print(_so_far(met["schedules"], told - began), file=sys.stderr, flush=True)
    done = _so_far(met["schedules"], time.monotonic() - began)
    print(f"{done}: every invariant held" + " until time was up" * (met["schedules"] < wanted))
    print(", ".join(f"{name} {figure}" for name, figure in met.items() if name != "schedules"))
    return 0


def _show(seeds: Seeds) -> str:
    return f"{seeds[0]} to {seeds[-1]}" if isinstance(seeds, range) else ", ".join(map(str, seeds))


def _so_far(schedules: int, seconds: float) -> str:
    rate = 60 * schedules / seconds
    return f"{schedules} schedules in {seconds / 60:.1f} min, {rate:.0f} a minute"


def _chunks(seeds: Sequence[Seeds], end: float) -> Iterator[Seeds]:
    for part in seeds:
        for at in range(0, len(part), CHUNK):
            if time.monotonic() >= end:
                return
            yield part[at : at + CHUNK]


def _in_processes(bug: Bug, chunks: Iterator[Seeds], jobs: int) -> Iterator[Counter[str] | str]:
    """What each chunk has met, in their order; or the violation of the first that fails, told short."""
    under_way: list[tuple[Seeds, Future[Counter[str] | str]]] = []
    with ProcessPoolExecutor(jobs, initializer=quiet) as pool:
        try:
            while True:
                # A few at a time: there may be more seeds than will ever be reached.
                for chunk in islice(chunks, 2 * jobs - len(under_way)):
                    under_way.append((chunk, pool.submit(_met, bug, chunk)))
                if not under_way:
                    return
                yield under_way[0][1].result()
                del under_way[0]
        except BrokenProcessPool:
            yield _ended_by(bug, [chunk for chunk, _ in under_way])
        finally:
            pool.shutdown(cancel_futures=True)


def _met(bug: Bug, seeds: Seeds) -> Counter[str] | str:
    """What the schedules met; or the violation of the first that fails, told short."""
    met: Counter[str] = Counter()
    for seed in seeds:
        try:
            figures = simulate(seed, bug, short=True)
        except Violation as violation:
            return str(violation)
        met["schedules"] += 1
        for field in fields(figures):
            if field.name not in ("faults", "hands", "errors"):
                met[field.name] += int(getattr(figures, field.name))
        met.update(figures.faults)
        met.update(figures.errors)
        met.update({f"by hand {kind}": times for kind, times in figures.hands.items()})
    return met


def _ended_by(bug: Bug, chunks: Iterable[Seeds]) -> str:
    """Which seed ends its process (out of memory, say, or killed for it does not end)."""
    for seed in [seed for chunk in chunks for seed in chunk]:
        with ProcessPoolExecutor(1, initializer=quiet) as alone:
            try:
                found = alone.submit(_met, bug, [seed]).result()
            except BrokenProcessPool:
                return f"no-crash: the process that ran it was killed\nseed {seed}; {repeat(seed)}"
        if isinstance(found, str):
            return found
    return f"no-crash: a process was killed, and no seed does it alone: {', '.join(map(_show, chunks))}"
