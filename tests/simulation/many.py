"""Many schedules, in as many processes as there are cores; the first that fails is shortened and told."""

import argparse
import hashlib
import math
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import fields
from functools import partial
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from tests.simulation.run import quiet, repeat, simulate
from tests.simulation.schedule import Bug
from tests.simulation.world import Violation

ROOT = Path(__file__).parents[2]
# How many schedules a process gets at a time.
CHUNK = 20
# A busy machine may leave some out when time is up; with fewer than this part of them nothing is proved.
LEAST_PART = 4
# How often it reports progress, seconds.
PROGRESS = 60.0
# Seeds that failed once, beyond those usually run.
FAILED_ONCE = (
    *(11118, 11271, 13502, 21565, 22130, 29140, 43210, 72658, 99804, 2007434, 5028611, 5087705, 5099073),
    *(5105519, 5136788, 5150087, 6038723, 8014570, 9068067, 1795846645638),
)

# Practically endless: a year.
ENDLESS = 10**9

Seeds = Sequence[int]


class Kind(NamedTuple):
    """A kind of schedules: ``met`` runs the one with that seed and returns what it met, or raises Violation
    with a shortened story; ``repeat`` says how to see one again; ``fixed`` are those to run each time, before
    any others."""

    met: Callable[[int], Counter[str]]
    repeat: Callable[[int], str]
    fixed: Seeds = ()


class Clean(NamedTuple):
    """A chunk without a violation: what its schedules met, and for how long they had a processor, seconds."""

    met: Counter[str]
    seconds: float


def with_bug(bug: Bug) -> Kind:
    """The simulation's schedules, with that planted bug."""
    return Kind(partial(_met, bug), repeat, FAILED_ONCE)


def parser(prog: str, about: str | None) -> argparse.ArgumentParser:
    """For a command that runs schedules: one of them (``seed``), or as many as :func:`run_chosen` is told."""
    made = argparse.ArgumentParser(prog=prog, description=about)
    made.add_argument("seed", type=int, nargs="?", help="repeat this one and print its trace")
    made.add_argument("--seeds", type=int, metavar="N", help="run so many, the same each time")
    made.add_argument(
        "--fresh", type=int, metavar="N", default=0, help="and so many new ones for each commit"
    )
    made.add_argument(
        "--minutes",
        type=float,
        metavar="M",
        default=math.inf,
        help="begin at any of them, and end when each process has had the processor for so long",
    )
    made.add_argument("--first", type=int, metavar="SEED", help="begin with this seed")
    made.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="in so many processes")
    return made


def run_chosen(kind: Kind, options: argparse.Namespace) -> int:
    """Run what the command line asks for. Returns how many failed, 0 or 1."""
    number = options.seeds
    if number is None:
        number = 200 if options.minutes == math.inf else ENDLESS
    first = options.first or 0
    usual: Seeds = kind.fixed if options.first is None else ()
    chosen = range(first, first + number)
    new = number_of(commit())
    # If there may be no time for all of them, it is to be others that are left out at each commit.
    parts = turned(chosen, new) if options.minutes < math.inf and options.seeds else [chosen]
    seeds = [usual, range(new, new + options.fresh), *parts]  # new ones before time is up
    least = options.seeds // LEAST_PART if options.seeds else 0
    return run(kind, seeds, 60 * options.minutes, options.jobs, least)


def commit() -> str:
    """The name of the commit that is checked out; where there is none, of this moment.

    So what a commit is tried with is the same wherever that is done, and new at the next one: a run that
    failed elsewhere can be repeated here.
    """
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return str(time.time_ns())
    return asked.stdout.strip()


def number_of(name: str) -> int:
    """The first of a commit's seeds: far above those that are usually run, and far from other commits'."""
    return 10**12 + int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) % 10**15


def turned(seeds: range, number: int) -> list[range]:
    """The same seeds, begun at a place that the number tells."""
    at = number % len(seeds)
    return [seeds[at:], seeds[:at]]


def run(kind: Kind, seeds: Sequence[Seeds], seconds: float, jobs: int, least: int = 0) -> int:
    """Run the schedules in this many processes, until each has had the processor for ``seconds``: so a busy
    machine needs longer, and tries as many.

    Prints what they met, and the first failure. Returns 1 if one failed, or if time was up before so many
    (``least``) were run, else 0.
    """
    seeds = [part for part in seeds if part]
    wanted = sum(map(len, seeds))
    print(f"{wanted} schedules: seeds {', '.join(map(_show, seeds))}", flush=True)
    met: Counter[str] = Counter()
    began = told = time.monotonic()
    left = [jobs * seconds]
    for found in _in_processes(kind, _chunks(seeds, lambda: left[0] <= 0), jobs):
        if isinstance(found, str):
            print(f"{found}\n{_so_far(met['schedules'], time.monotonic() - began)}, and 1 failed")
            return 1
        met.update(found.met)
        left[0] -= found.seconds
        if time.monotonic() >= told + PROGRESS:
            told = time.monotonic()
            print(_so_far(met["schedules"], told - began), file=sys.stderr, flush=True)
    done = _so_far(met["schedules"], time.monotonic() - began)
    print(f"{done}: every invariant held" + " until time was up" * (met["schedules"] < wanted))
    print(", ".join(f"{name} {figure}" for name, figure in met.items() if name != "schedules"))
    if met["schedules"] < least:
        print(f"these are fewer than {least}, too few to prove anything: give it more time (--minutes)")
        return 1
    return 0


def _show(seeds: Seeds) -> str:
    return f"{seeds[0]} to {seeds[-1]}" if isinstance(seeds, range) else ", ".join(map(str, seeds))


def _so_far(schedules: int, seconds: float) -> str:
    rate = 60 * schedules / seconds
    return f"{schedules} schedules in {seconds / 60:.1f} min, {rate:.0f} a minute"


def _chunks(seeds: Sequence[Seeds], time_is_up: Callable[[], bool]) -> Iterator[Seeds]:
    for part in seeds:
        for at in range(0, len(part), CHUNK):
            if time_is_up():
                return
            yield part[at : at + CHUNK]


def _in_processes(kind: Kind, chunks: Iterator[Seeds], jobs: int) -> Iterator[Clean | str]:
    """What each chunk met, in order; or the violation of the first that fails, shortened."""
    under_way: list[tuple[Seeds, Future[Clean | str]]] = []
    with ProcessPoolExecutor(jobs, initializer=quiet) as pool:
        try:
            while True:
                # A few at a time: there may be more seeds than will ever be reached.
                for chunk in islice(chunks, 2 * jobs - len(under_way)):
                    under_way.append((chunk, pool.submit(_all, kind, chunk)))
                if not under_way:
                    return
                yield under_way[0][1].result()
                del under_way[0]
        except BrokenProcessPool:
            yield _ended_by(kind, [chunk for chunk, _ in under_way])
        finally:
            pool.shutdown(cancel_futures=True)


def _all(kind: Kind, seeds: Seeds) -> Clean | str:
    """What the schedules met; or the violation of the first that fails, shortened."""
    met: Counter[str] = Counter()
    began = time.process_time()
    for seed in seeds:
        try:
            met.update(kind.met(seed))
        except Violation as violation:
            return str(violation)
        met["schedules"] += 1
    return Clean(met, time.process_time() - began)


def _met(bug: Bug, seed: int) -> Counter[str]:
    figures = simulate(seed, bug, short=True)
    met: Counter[str] = Counter()
    for field in fields(figures):
        if field.name not in ("faults", "hands", "errors"):
            met[field.name] += int(getattr(figures, field.name))
    met.update(figures.faults)
    met.update(figures.errors)
    met.update({f"by hand {what}": times for what, times in figures.hands.items()})
    return met


def _ended_by(kind: Kind, chunks: Iterable[Seeds]) -> str:
    """Which seed ends its process (out of memory, say, or killed because it does not end)."""
    for seed in [seed for chunk in chunks for seed in chunk]:
        with ProcessPoolExecutor(1, initializer=quiet) as alone:
            try:
                found = alone.submit(_all, kind, [seed]).result()
            except BrokenProcessPool:
                return f"no-crash: the process that ran it was killed\nseed {seed}; {kind.repeat(seed)}"
        if isinstance(found, str):
            return found
    return f"no-crash: a process was killed, and no seed does it alone: {', '.join(map(_show, chunks))}"
