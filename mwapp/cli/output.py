"""Results on stdout: tables for people, JSON for programs."""

import json
import os
import shutil
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from mwapp.cli.streams import encoding, on_terminal, show

_SECONDS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def show_json(value: Any, indent: int | None = 1) -> bool:
    """Print as JSON. Returns whether somebody read it."""
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    try:
        text.encode(encoding())
    except UnicodeEncodeError:  # half a character; or few programs read what this stream can have
        text = json.dumps(value, indent=indent)
    return show(text)


def printable(text: str) -> str:
    """Half characters, as in the name of a file that is no UTF-8, are escaped, as JSON has them, too."""
    return text.encode(errors="backslashreplace").decode()


def show_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print aligned columns; on a terminal the last one is cut to fit."""
    show("\n".join(table(head, rows)))


def table(head: Sequence[str], rows: Sequence[Sequence[object]], least: Sequence[int] = ()) -> list[str]:
    """The lines of a table: numbers on the right, a bold head, cut to fit a terminal.

    ``least``: minimal widths of the columns, so that several tables can be aligned.
    """
    cells = [[plain(cell) for cell in row] for row in rows]
    columns = list(zip(head, *cells, strict=True))
    widths = [max(map(len, column)) for column in columns]
    widths = [max(pair) for pair in zip_longest(widths, least, fillvalue=0)]
    right = [bool(rows) and all(_is_number(row[i]) for row in rows) for i in range(len(head))]
    room = width()
    lines = []
    for row in [list(head), *cells]:
        aligned = (
            cell.rjust(wide) if to_right else cell.ljust(wide)
            for cell, wide, to_right in zip(row, widths, right, strict=True)
        )
        line = "  ".join(aligned).rstrip()
        lines.append(line if room is None or len(line) <= room else line[: room - 3] + "...")
    return [styled(lines[0], _BOLD), *lines[1:]]


def _is_number(cell: object) -> bool:
    return cell is None or isinstance(cell, int | float)


def width() -> int | None:
    """The terminal's columns; None: there is no terminal, so cut nothing."""
    return shutil.get_terminal_size().columns if on_terminal() else None


_BOLD, _YELLOW = "1", "33"


def bold(text: str) -> str:
    """Bold on a terminal."""
    return styled(text, _BOLD)


def yellow(text: str) -> str:
    """Yellow on a terminal."""
    return styled(text, _YELLOW)


def styled(text: str, code: str) -> str:
    """With a terminal attribute, unless there is no terminal or NO_COLOR is set."""
    return f"\x1b[{code}m{text}\x1b[0m" if on_terminal() and not os.environ.get("NO_COLOR") else text


def plain(value: object) -> str:
    """One line without control characters; "-" for nothing."""
    if value is None or value == "":
        return "-"
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(value))


def age(seconds: float) -> str:
    """A length of time for people: 45s, 12m, 3h, 2d."""
    for size, unit in _SECONDS:
        if seconds >= 2 * size:
            return f"{int(seconds // size)}{unit}"
    return f"{max(0, int(seconds))}s"


def several(words: Sequence[str], most: int) -> str:
    """The first few, and how many more there are."""
    rest = len(words) - most
    return " ".join(words[:most]) + (f" +{rest}" if rest > 0 else "")
