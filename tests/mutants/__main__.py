"""Try the mutants: ``python -m tests.mutants``. Exit status 1 if too many live."""

import argparse
import os
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.mutants.areas import Area, every
from tests.mutants.mutant import DriftError, Mutant
from tests.mutants.run import RedError, Verdict, run

ROOT = Path(__file__).parents[2]
# So many in a hundred of those that are mistakes are to be noticed.
WANTED = 95.0


def main() -> int:
    """Returns 1 if fewer are noticed than are to be, or an entry of a list is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--only", metavar="TEXT", default="", help="those that have this in them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="so many at a time")
    parser.add_argument("--quick", action="store_true", help="with the quickest killer of each area alone")
    parser.add_argument(
        "--equivalent",
        action="store_true",
        help="also those that are said to change nothing: every killer has to miss each, which takes hours",
    )
    parser.add_argument("--sample", metavar="N", type=int, help="no more than N of them, drawn at random")
    options = parser.parse_args()
    areas, untried = [], 0
    for area in every():
        chosen = [mutant for mutant in area.mutants if options.only in _words(area, mutant)]
        tried = [mutant for mutant in chosen if options.equivalent or not mutant.equivalent]
        untried += len(chosen) - len(tried)
        areas.append(Area(area.name, tried, area.killers[:1] if options.quick else area.killers))
    if options.sample:
        areas = sample(areas, options.sample)
    began, verdicts = time.monotonic(), []
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        for verdict in run(ROOT, areas, options.jobs):
            verdicts.append(verdict)
            print(_line(verdict), flush=True)
    except (DriftError, RedError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if untried:
        print(f"\n{untried} that are said to change nothing were not tried: --equivalent tries them")
    return _summary(verdicts, time.monotonic() - began)


def sample(areas: Sequence[Area], size: int) -> list[Area]:
    """As many of all areas together; others each time."""
    all_of_them = [(area.name, mutant) for area in areas for mutant in area.mutants]
    drawn = set(random.sample(all_of_them, min(size, len(all_of_them))))
    print(f"{len(drawn)} of {len(all_of_them)}, drawn at random")
    return [
        Area(area.name, [mutant for mutant in area.mutants if (area.name, mutant) in drawn], area.killers)
        for area in areas
    ]


def _words(area: Area, mutant: Mutant) -> str:
    return f"{area.name} {mutant} {mutant.why}{mutant.equivalent}"


def _line(verdict: Verdict) -> str:
    mutant = verdict.mutant
    if verdict.killer:
        what = f"killed by {verdict.killer}: {verdict.reason}"
        what += f"  -- AND IT IS SAID TO CHANGE NOTHING: {mutant.equivalent}" if mutant.equivalent else ""
    else:
        what = f"equivalent: {mutant.equivalent}" if mutant.equivalent else f"SURVIVED: {mutant.why}"
    return f"{verdict.seconds:5.1f} s  {mutant.file}:{mutant.line(ROOT)}  {mutant}\n         {what}"


def _summary(verdicts: Sequence[Verdict], seconds: float) -> int:
    mistakes = [verdict for verdict in verdicts if not verdict.mutant.equivalent]
    equivalent = [verdict for verdict in verdicts if verdict.mutant.equivalent]
    lived = [verdict for verdict in mistakes if not verdict.killer]
    wrong = [verdict for verdict in equivalent if verdict.killer]
    by = Counter(verdict.killer for verdict in mistakes if verdict.killer)
    rate = 100 * (len(mistakes) - len(lived)) / len(mistakes) if mistakes else 100.0
    print(f"\n{len(verdicts)} mutants in {seconds:.0f} s; {len(equivalent)} are equivalent")
    for verdict in [*lived, *wrong]:
        print(f"{'SURVIVED' if verdict in lived else 'NOT EQUIVALENT'}: {verdict.mutant}")
    killed = ", ".join(f"{name} {count}" for name, count in by.most_common())
    print(f"{len(mistakes) - len(lived)} of {len(mistakes)} mistakes noticed, {rate:.1f} % ({killed})")
    return int(rate < WANTED or bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
