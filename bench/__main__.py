"""Measure: ``python -m bench [PART...]``; without one, all parts but those in UNASKED."""

import argparse
import gc
import logging
import sys
from collections.abc import Callable

from bench import history, kills, owners, provisioning, secured, shards, takeovers, tasks, upgrades
from bench.report import Report
from mwapp.cli import GARBAGE
from testbed.releases import ReleaseError

PARTS: dict[str, Callable[[argparse.Namespace], Report]] = {
    "tasks": lambda options: tasks.measure(
        tasks=options.tasks,
        rounds=options.rounds,
        times=options.lone,
        slots=options.slots,
        prefetch=options.prefetch,
        lab=options.lab,
    ),
    "secured": lambda options: secured.measure(
        tasks=options.tasks, rounds=options.rounds, times=options.lone
    ),
    "history": lambda options: history.measure(
        finished=options.finished, rounds=options.rounds, times=options.lone
    ),
    "takeovers": lambda options: takeovers.measure("takeovers", options.runs),
    "gaps": lambda options: takeovers.measure("gaps", options.runs),
    "owners": lambda options: owners.measure(options.runs),
    "shards": lambda options: shards.measure(options.shards, options.workers),
    "kills": lambda options: kills.measure(options.runs, options.releases),
    "upgrades": lambda options: upgrades.measure(options.releases or upgrades.RELEASES),
    "provisioning": lambda options: provisioning.measure(options.rounds),
}
# It needs releases from Maven Central.
UNASKED = ("upgrades",)


def main() -> int:
    """Run the parts one after the other."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("part", nargs="*", choices=[*PARTS, []], metavar="PART", help=", ".join(PARTS))
    parser.add_argument(
        "--rounds", type=int, default=7, metavar="N", help="repeat each measurement N times (default 7)"
    )
    several = parser.add_argument_group("tasks, secured, history")
    several.add_argument("--tasks", type=int, default=4000, metavar="N", help="tasks a round (default 4000)")
    several.add_argument(
        "--lone", type=int, default=100, metavar="N", help="lone tasks a round (default 100)"
    )
    several.add_argument("--slots", type=int, default=8, metavar="N", help="tasks: of the worker (default 8)")
    several.add_argument(
        "--prefetch",
        type=int,
        default=400,
        metavar="N",
        help="tasks: more that the worker has at hand (default 400)",
    )
    several.add_argument("--lab", action="store_true", help="tasks: in the lab, not on servers on loopback")
    several.add_argument(
        "--finished",
        type=int,
        default=10_000,
        metavar="N",
        help="history: finished tasks that are there (default 10000)",
    )
    many = parser.add_argument_group("shards")
    many.add_argument(
        "--shards", type=int, default=2000, metavar="N", help="shards of the table (default 2000)"
    )
    many.add_argument("--workers", type=int, default=10, metavar="N", help="workers (default 10)")
    broken = parser.add_argument_group("takeovers, gaps, owners, kills, upgrades")
    broken.add_argument(
        "--runs",
        type=int,
        default=20,
        metavar="N",
        help="runs of each fault, faults of each store, or number of ensembles (default 20)",
    )
    broken.add_argument(
        "--releases",
        nargs="+",
        default=(),
        metavar="VERSION",
        help="kills, upgrades: compare these, from Maven Central, such as 3.8.6 3.9.5",
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)  # clients lose connections: that is what is measured
    gc.set_threshold(GARBAGE)  # as in mwapp's own processes
    failed = False
    for part in options.part or [part for part in PARTS if part not in UNASKED]:
        print(f"--- {part}", flush=True)
        try:
            report = PARTS[part](options)
        except ReleaseError as error:
            parser.error(str(error))
        failed |= not finish(report)
    return int(failed)


def finish(report: Report) -> bool:
    """Save it, and say what must not be; returns whether there is nothing of that."""
    print(f"{report.save()} has the figures", flush=True)
    for violation in report.violations:
        print(f"VIOLATION: {violation}", flush=True)
    return not report.violations


if __name__ == "__main__":
    sys.exit(main())
