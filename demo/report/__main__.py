"""``python -m demo.report [RECORD]`` makes the report again, even for a story that was killed."""

import argparse
import sys
from pathlib import Path

from demo.report.history import RECORD, BadRecordError, History
from demo.report.page import write
from demo.report.summary import tell


def main() -> int:
    """Make the report again, from a record."""
    parser = argparse.ArgumentParser(
        prog="python -m demo.report",
        description="Make the report again from the record of a story, also of one that broke off.",
        epilog="Exit status: 0 the story held; 1 it did not; 2 the record cannot be read.",
    )
    parser.add_argument(
        "record", nargs="?", type=Path, default=RECORD, metavar="RECORD", help=f"default: {RECORD}"
    )
    record = parser.parse_args().record
    try:
        history = History.load(record)
    except BadRecordError as error:
        print(error, file=sys.stderr)
        return 2
    tell(history)
    write(history, record.parent)
    print(f"\n  {record.parent}/report.html")
    return 0 if history.held else 1


if __name__ == "__main__":
    sys.exit(main())
