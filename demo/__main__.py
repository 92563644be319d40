"""``python -m demo`` plays the story and prints it with times, then a table.

The results go to build/demo: events.jsonl (the record), report.html and timeline.svg/.png (drawn from it) and
summary.json (the figures), even if the story breaks off. Exit status 0 only if the story held.
"""

import argparse
import logging
import signal
import sys

from demo.recorder import EventLog
from demo.report import page, summary
from demo.report.history import RECORD, History
from demo.story import play
from lab import Lab, LabError


def main() -> int:
    """Play the story on the lab that LAB names; if it breaks off, tell it as far as it came."""
    argparse.ArgumentParser(
        prog="python -m demo",
        description="Play the story of failures, and make its report in build/demo. The variable LAB names "
        "the lab, which must be up. The default is 'lab'.",
        epilog="Exit status: 0 the story held; 1 it did not; 2 the lab cannot be used.",
    ).parse_args()
    logging.basicConfig(level=logging.ERROR)  # clients warn about every connection that we cut on purpose
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    lab = Lab()
    try:
        print(f"The story of lab {lab.name}: {', '.join(lab.nodes)}")
    except LabError as error:
        print(error, file=sys.stderr)
        return 2
    build = RECORD.parent
    for old in (RECORD, *(build / name for name in page.NAMES)):
        old.unlink(missing_ok=True)  # files of an earlier run must not be mistaken for this one's
    with EventLog(RECORD) as events:
        events.write("end", problem=play(lab, events))
    history = History.load(RECORD)
    summary.tell(history)
    page.write(history, build)
    print(f"\n  {build}/report.html shows what happened. The lab is still up; look around:")
    for command in (
        "make ssh NODE=zk1          # then: zkServer.sh status; zkCli.sh",
        "make ssh NODE=mw1          # then: mwapp status; mwapp shards list; mwapp submit date --wait",
        "make down                  # removes everything",
    ):
        print(f"    {command}")
    return 0 if history.held else 1


if __name__ == "__main__":
    sys.exit(main())
