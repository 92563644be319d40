"""Run schedules of shards: ``python -m tests.simulation.shards SEED`` repeats one, ``--seeds N`` runs
many."""

import sys

from tests.simulation.many import parser, run_chosen
from tests.simulation.run import quiet
from tests.simulation.shards.bugs import BUGS
from tests.simulation.shards.run import explain, kind
from tests.simulation.shards.schedule import NONE


def main() -> int:
    """Returns 1 if an invariant did not hold."""
    arguments = parser("python -m tests.simulation.shards", __doc__)
    arguments.add_argument("--bug", choices=BUGS, help="with this planted bug")
    options = arguments.parse_args()
    bug = BUGS[options.bug][0] if options.bug else NONE
    quiet()
    return run_chosen(kind(bug), options) if options.seed is None else explain(options.seed, bug)


if __name__ == "__main__":
    sys.exit(main())
