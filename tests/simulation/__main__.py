"""Run schedules: ``python -m tests.simulation SEED`` repeats one with its trace, ``--seeds N`` runs many."""

import argparse
import logging
import sys
import time
from collections import Counter
from dataclasses import fields
from itertools import count

from tests.simulation.bugs import BUGS
from tests.simulation.run import explain, simulate
from tests.simulation.schedule import Bug
from tests.simulation.world import Violation


def main() -> int:
    """Returns 1 if an invariant did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int, nargs="?", help="repeat this one and print its trace")
    parser.add_argument("--seeds", type=int, metavar="N", help="run so many")
    parser.add_argument("--minutes", type=float, metavar="M", help="run for so long")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="begin with this seed")
    parser.add_argument("--bug", choices=BUGS, help="with this planted bug")
    options = parser.parse_args()
    bug = BUGS[options.bug][0] if options.bug else Bug()
    logging.getLogger("mwapp").setLevel(logging.CRITICAL)
    if options.seed is not None:
        return explain(options.seed, bug)
    started = time.monotonic()
    met: Counter[str] = Counter()
    for number in count():
        if options.minutes is not None and time.monotonic() - started > 60 * options.minutes:
            break
        if number == (options.seeds or (200 if options.minutes is None else -1)):
            break
        try:
            figures = simulate(options.first + number, bug, short=True)
        except Violation as violation:
            print(violation)
            return 1
        met["schedules"] += 1
        for name in [f.name for f in fields(figures) if f.name != "faults"]:
            met[name] += int(getattr(figures, name))
        met.update(figures.faults)
    seconds = time.monotonic() - started
    print(f"{met['schedules']} schedules in {seconds:.1f} s, every invariant held")
    print(", ".join(f"{name} {figure}" for name, figure in met.items() if name != "schedules"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
