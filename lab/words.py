"""What people read and write: the table of `status`, and sizes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

_UNITS = {"G": 1 << 30, "M": 1 << 20, "K": 1 << 10, "": 1}
_LINE = "{:<12} {:<8} {:<9} {:<15} {:>8}  {:<4} {}"


def bytes_of(size: str) -> int:
    """A size as people write it, such as 512K, 10M or 1G. Raises ValueError for anything else."""
    unit = size[-1:].upper() if size[-1:].upper() in _UNITS else ""
    number = size.removesuffix(size[-1:]) if unit else size
    if not (number.isascii() and number.isdigit()):
        raise ValueError(f"{size!r}: use a number of bytes, or one with K, M or G, such as 10M")
    return int(number) * _UNITS[unit]


def size(number: int) -> str:
    """The shortest way to write this many bytes."""
    unit = next(unit for unit in _UNITS if number % _UNITS[unit] == 0)
    return f"{number // _UNITS[unit]}{unit}"


def table(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """The lines that show what `Lab.status` returns."""
    yield _LINE.format("NODE", "STATE", "SUITE", "ADDRESS", "PID", "SSH", "FAULTS")
    for row in rows:
        answers = "yes" if row["ssh"] else "no"
        values = [row["node"], row["state"], row["suite"], row["address"], row["pid"] or "-", answers]
        yield _LINE.format(*values, ", ".join(_faults(row))).rstrip()


def _faults(row: dict[str, Any]) -> list[str]:
    """A node's faults, as arrows to and from others, and as words."""
    sent = dict.fromkeys(row["cut_to"], "/") | {name: f"{loss}%" for name, loss in row["loss_to"].items()}
    got = dict.fromkeys(row["cut_from"], "/") | {name: f"{loss}%" for name, loss in row["loss_from"].items()}
    both = {name for name in sent if sent[name] == got.get(name)}
    said = [f"<-{sent[name]}-> {name}" for name in sorted(both)]
    said += [f"-{lost}-> {name}" for name, lost in sent.items() if name not in both]
    said += [f"<-{lost}- {name}" for name, lost in got.items() if name not in both]
    if row["disk_left"] is not None:
        said.append("disk full" + (f" but for {size(row['disk_left'])}" if row["disk_left"] else ""))
    return said
