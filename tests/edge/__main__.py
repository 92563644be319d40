"""Run schedules: ``python -m tests.edge SEED`` repeats one and tells all of it, ``--seeds N`` runs many."""

import sys
from functools import partial

from tests.edge.run import explain, repeat, simulate
from tests.simulation.many import Kind, parser, run_chosen
from tests.simulation.run import quiet


def main() -> int:
    """Returns 1 if the edge did not keep what it owes."""
    options = parser("python -m tests.edge", __doc__).parse_args()
    quiet()
    kind = Kind(partial(simulate, short=True), repeat)
    return run_chosen(kind, options) if options.seed is None else explain(options.seed)


if __name__ == "__main__":
    sys.exit(main())
