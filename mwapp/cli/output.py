"""Results on stdout: tables for people, JSON for programs."""

import json
import os
import shutil
import sys
from collections.abc import Sequence
from typing import Any

_SECONDS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def show_json(value: Any) -> None:
    """Print as JSON."""
    show(json.dumps(value, indent=1, ensure_ascii=False))


def show_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print aligned columns; on a terminal the last one is cut to fit."""
    cells = [[plain(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(head, *cells, strict=True)]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    lines = []
    for row in [list(head), *cells]:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        lines.append(line if room is None or len(line) <= room else line[: room - 3] + "...")
    show("\n".join(lines))


def show(text: str, end: str = "\n") -> None:
    """Print now. If whoever reads it has had enough, end: that is no problem of ours."""
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at its end
        sys.exit(0)


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
