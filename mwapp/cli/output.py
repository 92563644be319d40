"""Results on stdout: tables for people, JSON for programs."""

import json
import shutil
import sys
from collections.abc import Sequence
from typing import Any

_SECONDS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def show_json(value: Any) -> None:
    """Print as JSON."""
    print(json.dumps(value, indent=1, ensure_ascii=False), flush=True)


def show_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print aligned columns; on a terminal the last one is cut to fit."""
    cells = [[plain(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for row in [list(head), *cells]:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        print(line if room is None or len(line) <= room else line[: room - 3] + "...")
    sys.stdout.flush()


def plain(value: object) -> str:
    """One line that does to a terminal nothing but be seen; "-" for nothing."""
    if value is None or value == "":
        return "-"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(value))


def age(seconds: float) -> str:
    """A length of time for people: 45s, 12m, 3h, 2d."""
    for size, unit in _SECONDS:
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"
