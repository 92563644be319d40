"""Run schedules: ``python -m tests.simulation SEED`` repeats one with its trace, ``--seeds N`` runs many."""

import argparse
import math
import os
import sys
import time

from tests.simulation.bugs import BUGS
from tests.simulation.many import fixed, fresh, run
from tests.simulation.run import explain, quiet
from tests.simulation.schedule import Bug

# As good as endless: a year's worth.
ENDLESS = 10**9


def main() -> int:
    """Returns 1 if an invariant did not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int, nargs="?", help="repeat this one and print its trace")
    parser.add_argument("--seeds", type=int, metavar="N", help="run so many, the same each time")
    parser.add_argument(
        "--fresh", type=int, metavar="N", default=0, help="and so many that no run before had"
    )
    parser.add_argument(
        "--minutes", type=float, metavar="M", default=math.inf, help="run no longer than this"
    )
    parser.add_argument("--first", type=int, metavar="SEED", help="begin with this seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="in so many processes")
    parser.add_argument("--bug", choices=BUGS, help="with this planted bug")
    options = parser.parse_args()
    bug = BUGS[options.bug][0] if options.bug else Bug()
    quiet()
    if options.seed is not None:
        return explain(options.seed, bug)
    number = options.seeds
    if number is None:
        number = 200 if options.minutes == math.inf else ENDLESS
    seeds = fixed(number) if options.first is None else [range(options.first, options.first + number)]
    end = time.monotonic() + 60 * options.minutes
    return run(bug, [*seeds, fresh(options.fresh)], end, options.jobs)


if __name__ == "__main__":
    sys.exit(main())
