"""``python -m tests.model [BOUND]``: 1 is what CI checks, 2 takes minutes and 3 GB."""

import argparse
import sys

from tests.model.bounds import BOUNDS, visit


def main() -> int:
    """Returns 1 if an invariant does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("bound", type=int, nargs="?", default=1, choices=BOUNDS)
    findings = [visit(bounds) for bounds in BOUNDS[parser.parse_args().bound]]
    return int(any(finding.broken for finding in findings))


if __name__ == "__main__":
    sys.exit(main())
