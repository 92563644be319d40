"""What logs say of a failure: the lines that matter of the time in question, as one short story.

A log's lines begin with the time in UTC (ISO 8601); a line without one belongs to the line before.
"""

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

LINES = 30  # how many to show
WIDTH = 170  # and how many characters of each

NOISE, CHANGE, WARNING, ALARM = range(4)
# The first pattern that matches says how much a line matters. A line without a match is noise.
_RANKS = (
    # A lost client or server, as its peers report it; what our settings ask for.
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
# In a line of ZooKeeper's: the thread, and the packages of the class.
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
    """From now on read this log when something fails; it may not exist yet, or any more."""
    _kept.append((who, log))


def note(act: str) -> None:
    """What a test has just done to others."""
    _acts.append(f"{now()}Z act {act}")


def now() -> str:
    """The time as logs have it."""
    seconds = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03}"


def told(since: str, whole: Path) -> str:
    """What the kept logs tell of the time since then, or ""; the whole logs go into a directory."""
    logs = [("test", "\n".join(_acts))]
    logs += [(who, log.read_text(errors="replace")) for who, log in _kept if log.exists()]
    lines: dict[str, list[str]] = {}
    for who, text in logs:  # there may have been another of this name
        lines.setdefault(who, []).extend(line.raw for line in _lines(who, text) if line.at >= since)
    if not any(lines.values()):
        return ""
    whole.mkdir(parents=True, exist_ok=True)
    for who, raw in lines.items():
        if raw:
            (whole / f"{who.replace(' ', '-')}.log").write_text("\n".join([*raw, ""]))
    return f"{extract(logs, since)} All of them: {whole}"


def extract(logs: Iterable[tuple[str, str]], since: str, most: int = LINES) -> str:
    """What several named logs tell of the time since then, in a limited number of lines.

    Repeated lines appear once. If there is too much, less important lines are left out, and among equally
    important ones the middle.
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
            if raw.strip() and not raw.startswith("\tat "):  # in a traceback, only the error
                line.text += f" | {raw.strip()}"
    if line:
        yield line


def _rank(raw: str) -> int:
    return next((rank for rank, pattern in _RANKING if pattern.search(raw)), NOISE)


def _once(lines: list[_Line]) -> list[_Line]:
    """The first of each; lines that differ only in numbers are the same."""
    first: dict[tuple[str, str], _Line] = {}
    for line in lines:
        said = first.setdefault((line.who, re.sub(r"\d+|0x[0-9a-f]+", "0", line.text)), line)
        said.times += said is not line
    return list(first.values())


def _ends(lines: list[_Line], most: int) -> list[_Line]:
    """The first and the last of them, at most this many."""
    if len(lines) <= most:
        return lines
    return lines[: (most + 1) // 2] + lines[len(lines) - most // 2 :]


def _show(line: _Line) -> str:
    again = f" (and {line.times - 1} times more)" if line.times > 1 else ""
    return f"{line.at[11:]} {line.who}: {line.text}"[:WIDTH] + again
