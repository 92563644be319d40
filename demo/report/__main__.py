"""``python -m demo.report [RECORD]`` makes the report again, even for a story that was killed."""

import sys
from pathlib import Path

from demo.report.history import RECORD, BadRecordError, History
from demo.report.page import write
from demo.report.summary import tell


def main() -> int:
    """Make the report again, from a record."""
    record = Path(sys.argv[1]) if len(sys.argv) > 1 else RECORD
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
