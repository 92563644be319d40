"""How large a buffer a server needs to read its own data back (zookeeper_max_buffer, jute.maxbuffer).

The formats are those of ZooKeeper's FileSnap and FileTxnLog.
"""

from __future__ import annotations

import gzip
import re
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

MAGIC = b"ZKSN"  # of a snapshot
HEADER = 16  # bytes: magic, version, number of the database
ENTRY = struct.Struct(">qi")  # of a log: checksum and length; a byte ends the entry
STAT = 68  # bytes behind a node's value: its ACL's number and what `stat` shows


def needed(directories: Iterable[str]) -> int:
    """The least buffer, in bytes, with which all can be read: the largest value in the newest snapshot.

    A transaction may be twice as large as the buffer, because a server adds to what a client sends. What
    cannot be read, such as a snapshot compressed with Snappy, does not count.
    """
    files = [path for directory in directories for path in Path(directory, "version-2").glob("*.*")]
    snapshots = [path for path in files if re.match(r"snapshot\.[0-9a-f]+", path.name)]
    newest = max(snapshots, key=lambda path: int(path.name.split(".")[1], 16), default=None)
    sizes = list(_values(newest)) if newest else []
    for log in files:
        if log.name.startswith("log."):
            sizes += [(size + 1) // 2 for size in _transactions(log)]
    return max(sizes, default=0)


def _values(snapshot: Path) -> Iterator[int]:
    """The sizes of all values, as far as the file can be read."""
    opened = gzip.open if snapshot.suffix == ".gz" else open
    try:
        with opened(snapshot, "rb") as file:
            if not _take(file, HEADER).startswith(MAGIC):
                return
            _take(file, 12 * _number(file))  # sessions
            for _acl in range(_number(file)):  # lists of permissions, by their number
                _take(file, 8)
                for _entry in range(max(_number(file), 0)):
                    _take(file, 4)
                    _take(file, _number(file))
                    _take(file, _number(file))
            while _take(file, _number(file)) != b"/":  # a path; the root's own is empty
                size = max(_number(file), 0)
                _take(file, size + STAT)
                yield size
    except (EOFError, OSError):
        return


def _take(file: BinaryIO | gzip.GzipFile, size: int) -> bytes:
    content = file.read(size) if 0 <= size < 1 << 30 else b""
    if len(content) != size:
        raise EOFError
    return content


def _number(file: BinaryIO | gzip.GzipFile) -> int:
    return int.from_bytes(_take(file, 4), "big", signed=True)


def _transactions(log: Path) -> Iterator[int]:
    """Their sizes. Zeros follow the last, as the file is extended before it is written.

    After a crash garbage may, and what it says of a size counts, however large: ZooKeeper 3.8.0 refuses to
    start with "Unreasonable length" before it sees that the log ends there.
    """
    with log.open("rb") as file:
        file.seek(HEADER)
        while len(head := file.read(ENTRY.size)) == ENTRY.size:
            size = ENTRY.unpack(head)[1]
            if size <= 0:
                return
            yield size
            file.seek(size + 1, 1)
