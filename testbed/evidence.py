"""What logs say of a failure: what matters of the time in question, as one story, and not pages of it.

A log's lines begin with the time in UTC, as ISO 8601 has it; whatever does not belongs to the line before it.
"""

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

LINES = 30  # so many are shown
WIDTH = 170  # and so much of each

NOISE, CHANGE, WARNING, ALARM = range(4)
# The first that fits says how much a line matters. What fits none is noise.
_RANKS = (
    # A client or server that is gone, as told by those it was connected to; what our settings ask for.
    (NOISE, r"NIOServerCnxn\W+(Unexpected exc|Close of)|QuorumCnxManager\W|GOODBYE|in LearnerHandler"),
    (NOISE, r"maxCnxns is not configured|Forcing snapshot sync|Got zxid|kazoo: (Connection|Transition)"),
    (ALARM, r" (ERROR|error|critical) |[Dd]igests? (mismatch|are not)|Main process exited"),
    # What the test did; elections, and servers that come.
    (ALARM, r"^\S+ act |set to LOOKING|LEADER ELECTION TOOK|Starting quorum peer"),
    (WARNING, r" (WARN|warning) "),
    (CHANGE, r"^\S+ info |Expiring session|(Started|Stopped|Stopping) \S+\.service"),
)
_RANKING = [(rank, re.compile(pattern)) for rank, pattern in _RANKS]
_BEGIN = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3})\S* +", re.ASCII)
# Of a line of ZooKeeper's: which thread says it, and the packages of the class that does.
_WHERE = re.compile(r"^act |^\[.*?\]+ (?=[A-Z]+ )|\b(?:[a-z]\w*\.){3,}")

_kept: list[tuple[str, Path]] = []
_acts: list[str] = []


@dataclass
class _Line:
    at: str
    who: str
    text: str
    rank: int
    raw: str
    times: int = 1


def keep(who: str, log: Path) -> None:
    """From now on this log is looked at when something fails; it may not be there yet, or no longer."""
    _kept.append((who, log))


def note(act: str) -> None:
    """What a test has just done to others."""
    _acts.append(f"{now()}Z act {act}")


def now() -> str:
    """The time as logs have it."""
    seconds = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03}"


def told(since: str, whole: Path) -> str:
    """What the logs that are kept tell of the time since then, "" if nothing; all goes into a directory."""
    logs = [("test", "\n".join(_acts))]
    logs += [(who, log.read_text(errors="replace")) for who, log in _kept if log.exists()]
    lines: dict[str, list[str]] = {}
    for who, text in logs:  # another of the same name may have been there before
        lines.setdefault(who, []).extend(line.raw for line in _lines(who, text) if line.at >= since)
    if not any(lines.values()):
        return ""
    whole.mkdir(parents=True, exist_ok=True)
    for who, raw in lines.items():
        if raw:
            (whole / f"{who.replace(' ', '-')}.log").write_text("\n".join([*raw, ""]))
    return f"{extract(logs, since)} All of them: {whole}"


def extract(logs: Iterable[tuple[str, str]], since: str, most: int = LINES) -> str:
    """What several logs, each with its name, tell of the time since then, in at most so many lines.

    What is said again and again is told once. If there is too much, what matters less is left out, and of
    what matters alike the middle.
    """
    found = [line for who, text in logs for line in _lines(who, text) if line.at >= since]
    lines = _once(sorted((line for line in found if line.rank != NOISE), key=lambda line: line.at))
    shown: list[_Line] = []
    for rank in (ALARM, WARNING, CHANGE):
        shown += _ends([line for line in lines if line.rank == rank], most - len(shown))
    shown.sort(key=lambda line: line.at)
    legend = f"These are {len(shown)} of {len(found)} lines from {since[11:]} to {now()[11:]} UTC."
    return "\n".join([*map(_show, shown), legend])


def _lines(who: str, text: str) -> Iterator[_Line]:
    line: _Line | None = None
    for raw in text.splitlines():
        if begin := _BEGIN.match(raw):
            if line:
                yield line
            line = _Line(begin[1], who, _WHERE.sub("", raw[begin.end() :]), _rank(raw), raw)
        elif line:
            line.raw += f"\n{raw}"
            if raw.strip() and not raw.startswith("\tat "):  # of a traceback, what was wrong
                line.text += f" | {raw.strip()}"
    if line:
        yield line


def _rank(raw: str) -> int:
    return next((rank for rank, pattern in _RANKING if pattern.search(raw)), NOISE)


def _once(lines: list[_Line]) -> list[_Line]:
    """Where they are first said; what differs in numbers alone is the same."""
    first: dict[tuple[str, str], _Line] = {}
    for line in lines:
        said = first.setdefault((line.who, re.sub(r"\d+|0x[0-9a-f]+", "0", line.text)), line)
        said.times += said is not line
    return list(first.values())


def _ends(lines: list[_Line], most: int) -> list[_Line]:
    """The first and the last of them, so many at most."""
    if len(lines) <= most:
        return lines
    return lines[: (most + 1) // 2] + lines[len(lines) - most // 2 :]


def _show(line: _Line) -> str:
    again = f" (and {line.times - 1} times more)" if line.times > 1 else ""
    return f"{line.at[11:]} {line.who}: {line.text}"[:WIDTH] + again
