"""What a server's log says of why it does not serve: the first cause first, with a remedy where one is known.

Pure: entries of the journal in, lines out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

MOST = 12  # lines; what a person reads at once
ERROR, WARNING = 3, 4  # priorities of the journal; less is worse

_LEVEL = re.compile(r"(TRACE|DEBUG|INFO|WARN|ERROR) ")
_FRAME = re.compile(r"\s+at |\s*\.\.\. \d+ |\s*\[CIRCULAR REFERENCE")
_EXCEPTION = re.compile(r"(?:Caused by: )?(?:[\w$]+\.)+[\w$]*(?:Exception|Error)\b")
# Warnings of every start, and of clients that ask a server which does not serve yet.
_USUAL = re.compile(
    r"maxCnxns is not configured|No server failure will be tolerated|Either no config or no quorum defined"
    r"|Non-optimial configuration|Learner: Got zxid|NIOServerCnxn: |NettyServerCnxn: "
    # What follows from a peer that is gone; that it cannot be reached is told by itself.
    r"|Connection broken for id|SendWorker|Interrupted while waiting|Send worker leaving"
)
_DATA = (
    "Whether the others' data may replace its own is said below, beside the last zxid of each server. If "
    "they may not, keep all files, and restore a backup (docs/operations.md, 'Back up and restore')."
)
# What the log says, and what helps. Groups of the pattern are at hand as {0}, {1}; ``torn`` see `explain`.
_REMEDIES = (
    (
        r"(?:Unreasonable length = |Packet len |Len error:? )(\d+)",
        "zookeeper_max_buffer is too small for what is stored: raise it to {0} or more.",
    ),
    (
        r"No space left on device",
        "make room on the file system of zookeeper_data_dir or zookeeper_txnlog_dir.",
    ),
    (r"No snapshot found, but there are log entries", f"its snapshots are missing. {_DATA}"),
    (r"Permission denied", "the files must belong to the service user: chown them as their directories are."),
    (
        r"Address already in use",
        "another process has the port: stop it (ss -ltnp shows which), or set another port.",
    ),
    (
        r"Cannot assign requested address",
        "zookeeper_host must be an address of this host: set it to one that the other servers reach.",
    ),
    (
        r"UnknownHostException: ([^\s:]+)",
        "{0} does not resolve here: correct zookeeper_host, or the host's DNS.",
    ),
    (
        r"Cannot open channel to (\d+) at election address (\S+)",
        "server {0} does not answer at {1}: start it, or let the ports of quorum and election through.",
    ),
    (
        r"ClassNotFoundException: (\S+)",
        "a setting needs the class {0}, which the jars lack: remove the setting.",
    ),
    (r"Could not find or load main class", "files of ZooKeeper or Java are missing: reinstall the packages."),
    (
        r"(?:Unrecognized|Invalid|Improperly specified) .*(?:option|heap size|-X)",
        "correct zookeeper_jvm_flags and zookeeper_heap_mb.",
    ),
    (
        r"OutOfMemoryError|insufficient memory|Could not reserve enough space",
        "the heap does not fit: set zookeeper_heap_mb, or give the host more memory.",
    ),
    (
        r"Leaders epoch, \d+ is less than accepted epoch, \d+",
        "its data are of a later epoch than the leader's: it has another ensemble's disk, or the others' "
        "disks were restored. Stop it, keep all files, and find out which.",
    ),
    (
        r"The (?:current|accepted) epoch, \w+,? is (?:older than the last zxid|less than the current epoch)",
        "the epochs in version-2 of zookeeper_data_dir are older than its other data, as if only a part was "
        f"restored. {_DATA}",
    ),
    (r"myid file is missing", "run site.yml: it writes the file."),
    (
        r"CRC check failed|invalid magic number",
        f"a transaction log is damaged, most likely {{newest}}. {_DATA}",
    ),
)


class Entry(NamedTuple):
    """A line of the journal: of which start it is, how bad it is, and what it says."""

    start: str
    priority: int
    text: str


def entries(lines: Iterable[str]) -> Iterator[Entry]:
    """Read what ``journalctl --output=json`` writes. Bytes that are no text come as a list of numbers."""
    for line in lines:
        found = json.loads(line)
        text = found.get("MESSAGE") or ""
        text = text if isinstance(text, str) else bytes(text).decode(errors="replace")
        start = found.get("INVOCATION_ID") or found.get("_SYSTEMD_INVOCATION_ID") or ""
        yield Entry(start, int(found.get("PRIORITY", 6)), text)


def explain(journal: Iterable[Entry], newest: str, *, torn: bool) -> list[str]:
    """Why the last start that failed did, in a few lines; empty if the journal does not tell.

    ``newest`` is the path of the newest transaction log. A ``torn`` one ends within its header: the disk was
    full or the power failed as it was made, and no transaction is in it. Yet the server does not start.
    """
    starts: dict[str, list[Entry]] = {}
    for entry in journal:
        starts.setdefault(entry.start, []).append(entry)
    telling = [list(_telling(start)) for start in starts.values()]
    failed = [start for start in telling if any(_is_end(it) for it in start)]
    last = next((start for start in reversed(failed or telling) if start), [])
    # Each once; what an exception was caused by has mostly been told before.
    lines = list(dict.fromkeys(entry.text.removeprefix("Caused by: ") for entry in last))
    return list(_with_remedies(lines[:MOST], newest, torn=torn))


def _telling(start: Iterable[Entry]) -> Iterator[Entry]:
    """Warnings, errors, their exceptions without stack frames, and what Java itself says."""
    skipping = False  # what belongs to a line that is left out
    for entry in start:
        if level := _LEVEL.match(entry.text):
            skipping = level[1] not in ("WARN", "ERROR") or bool(_USUAL.search(entry.text))
            if not skipping:
                yield entry
        elif _FRAME.match(entry.text) or not entry.text.strip():
            continue
        elif _EXCEPTION.match(entry.text):
            if not skipping:
                yield entry
        elif entry.priority <= WARNING or not _is_systemds(entry.text):
            yield entry


def _is_end(entry: Entry) -> bool:
    return entry.priority <= ERROR or entry.text.startswith("zookeeper.service: Failed ")


def _is_systemds(text: str) -> bool:
    return bool(re.match(r"Start(ing|ed) |Stopp(ing|ed) |zookeeper\.service: ", text))


def _with_remedies(lines: Iterable[str], newest: str, *, torn: bool) -> Iterator[str]:
    """Each line, and below the first that it fits, what helps."""
    told = set()
    for line in lines:
        yield line
        remedy = _remedy(line, newest, torn=torn)
        if remedy and remedy not in told:
            told.add(remedy)
            yield f"  Remedy: {remedy}"


def _remedy(line: str, newest: str, *, torn: bool) -> str | None:
    if torn and re.search(r"EOFException|invalid magic number", line):
        return (
            f"{newest} ends within its header: the disk was full or the power failed as it was made. No "
            f"transaction is in it. Rename it (mv {newest} {newest.replace('log.', 'torn.')}) and run again."
        )
    for pattern, text in _REMEDIES:
        if found := re.search(pattern, line):
            return text.format(*found.groups(), newest=newest)
    return None
