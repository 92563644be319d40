"""Run schedules: ``python -m tests.simulation SEED`` repeats one with its trace, ``--seeds N`` runs many."""

import argparse
import math
import os
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import fields
from itertools import islice

from tests.simulation.bugs import BUGS
from tests.simulation.run import explain, quiet, simulate
from tests.simulation.schedule import Bug
from tests.simulation.world import Violation

# So many schedules are given to a process at a time.
CHUNK = 20
# Every so many seconds it says how far it is.
PROGRESS = 60.0


def main() -> int:
    """Returns 1 if an invariant did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int, nargs="?", help="repeat this one and print its trace")
    parser.add_argument("--seeds", type=int, metavar="N", help="run so many")
    parser.add_argument("--minutes", type=float, metavar="M", help="run for so long")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="begin with this seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="in so many processes")
    parser.add_argument("--bug", choices=BUGS, help="with this planted bug")
    options = parser.parse_args()
    bug = BUGS[options.bug][0] if options.bug else Bug()
    quiet()
    if options.seed is not None:
        return explain(options.seed, bug)
    number = options.seeds or (200 if options.minutes is None else sys.maxsize)
    end = time.monotonic() + 60 * options.minutes if options.minutes is not None else math.inf
    return run(bug, range(options.first, options.first + number), end, options.jobs)


def run(bug: Bug, seeds: range, end: float, jobs: int) -> int:
    """Run the schedules in so many processes, until ``end`` (monotonic seconds) at the latest."""
    started = told = time.monotonic()
    met: Counter[str] = Counter()
    chunks = (seeds[at : at + CHUNK] for at in range(0, len(seeds), CHUNK))
    with ProcessPoolExecutor(jobs, initializer=quiet) as pool:
        # A few at a time: there may be more seeds than will ever be reached.
        under_way = [pool.submit(_met, bug, chunk) for chunk in islice(chunks, 2 * jobs)]
        while under_way:
            found = under_way.pop(0).result()
            if isinstance(found, str):
                print(found)
                pool.shutdown(cancel_futures=True)
                return 1
            met.update(found)
            if time.monotonic() >= told + PROGRESS:
                told = time.monotonic()
                print(_so_far(met["schedules"], told - started), file=sys.stderr, flush=True)
            if time.monotonic() < end:
                under_way += [pool.submit(_met, bug, chunk) for chunk in islice(chunks, 1)]
    print(_so_far(met["schedules"], time.monotonic() - started))
    print(", ".join(f"{name} {figure}" for name, figure in met.items() if name != "schedules"))
    return 0


def _so_far(schedules: int, seconds: float) -> str:
    rate = 60 * schedules / seconds
    return f"{schedules} schedules in {seconds:.1f} s, {rate:.0f} a minute: every invariant held"


def _met(bug: Bug, seeds: range) -> Counter[str] | str:
    """What the schedules met; or the violation of the first that fails, told short."""
    met: Counter[str] = Counter()
    for seed in seeds:
        try:
            figures = simulate(seed, bug, short=True)
        except Violation as violation:
            return str(violation)
        met["schedules"] += 1
        for field in fields(figures):
            if field.name not in ("faults", "hands"):
                met[field.name] += int(getattr(figures, field.name))
        met.update(figures.faults)
        met.update({f"by hand {kind}": times for kind, times in figures.hands.items()})
    return met


if __name__ == "__main__":
    sys.exit(main())
