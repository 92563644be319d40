"""When certificates end, told without a library, as hosts have none; and what to say of it in time."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
# Of DER: the kinds of elements that are looked for.
_VERSION, _UTC_TIME, _TIME = 0xA0, 0x17, 0x18
_FORMATS = {_UTC_TIME: "%y%m%d%H%M%SZ", _TIME: "%Y%m%d%H%M%SZ"}
DAY_SECONDS = 86400


def endings(pem: str) -> list[datetime]:
    """Until when each certificate of a text is valid, in order; of what is damaged, nothing."""
    found = []
    for body in _CERTIFICATE.findall(pem):
        try:
            found.append(_ending(base64.b64decode("".join(body.split()))))
        except (ValueError, IndexError):
            continue
    return found


def _ending(der: bytes) -> datetime:
    fields = _element(_element(der)[1])[1]
    # Before the validity are the version (which may be missing), serial number, algorithm and issuer.
    for place in range(4):
        if place or fields[0] == _VERSION:
            fields = _element(fields)[2]
    until = _element(_element(fields)[1])[2]  # after the time from when on
    kind, content = _element(until)[:2]
    if kind not in _FORMATS:
        raise ValueError("this is no time")
    return datetime.strptime(content.decode(), _FORMATS[kind]).replace(tzinfo=UTC)


def _element(der: bytes) -> tuple[int, bytes, bytes]:
    """The first element: its kind, its content, and what follows it."""
    kind, length, begin = der[0], der[1], 2
    if length & 0x80:
        begin += length & 0x7F
        length = int.from_bytes(der[2:begin], "big")
    return kind, der[begin : begin + length], der[begin + length :]


def look(paths: Iterable[str], now: datetime) -> list[dict[str, Any]]:
    """Of each file that is there: its path, and the last day of the first certificate in it to end."""
    found = []
    for path in paths:
        try:
            ends = endings(Path(path).read_text(errors="replace"))
        except (FileNotFoundError, NotADirectoryError):
            continue
        found += [row(path, min(ends), now)] if ends else []
    return found


def row(path: str, ends: datetime, now: datetime) -> dict[str, Any]:
    """What is told of one."""
    return {
        "path": path,
        "ends": f"{ends:%Y-%m-%d}",
        "days": int((ends - now).total_seconds() // DAY_SECONDS),
    }


def due(found: Mapping[str, list[dict[str, Any]]], days: int) -> list[str]:
    """Which end within so many days, or have ended, and the remedy; once for all hosts of which it is so.

    ``found`` is by whoever has them.
    """
    whose: dict[tuple[str, str, int], list[str]] = {}
    for name, rows in found.items():
        for one in rows:
            if one["days"] < days:
                whose.setdefault((one["path"], one["ends"], one["days"]), []).append(name)
    return [
        f"{', '.join(names)}: {path} {_ends(left)} on {ends}{_within(left)}: {_remedy(path)}"
        for (path, ends, left), names in sorted(whose.items())
    ]


def _ends(days: int) -> str:
    return "expires" if days >= 0 else "expired"


def _within(days: int) -> str:
    return f", in {days} days" if days >= 0 else ""


def _remedy(path: str) -> str:
    if path.endswith("ca.pem"):
        return (
            "run playbooks/tls_rotate.yml (one that you brought: 'To change a CA' in the README of the role)"
        )
    return (
        "run site.yml, which renews it (put a new one into zookeeper_tls_dir before, if you bring your own)"
    )
