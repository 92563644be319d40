"""Run schedules: ``python -m tests.simulation SEED`` repeats one with its trace, ``--seeds N`` runs many."""

import sys

from tests.simulation.bugs import BUGS
from tests.simulation.many import parser, run_chosen, with_bug
from tests.simulation.run import explain, quiet
from tests.simulation.schedule import NONE


def main() -> int:
    """Returns 1 if an invariant did not hold."""
    arguments = parser("python -m tests.simulation", __doc__)
    arguments.add_argument("--bug", choices=BUGS, help="with this planted bug")
    options = arguments.parse_args()
    bug = BUGS[options.bug][0] if options.bug else NONE
    quiet()
    return run_chosen(with_bug(bug), options) if options.seed is None else explain(options.seed, bug)


if __name__ == "__main__":
    sys.exit(main())
