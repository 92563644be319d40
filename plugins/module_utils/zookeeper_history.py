"""How far a server's data go, read from its disk, whether it runs or not.

The formats are those of ZooKeeper's FileTxnLog and FileSnap. The upper half of a zxid is the epoch. So if the
data of a majority can be compared, the server with the greatest zxid has all that was ever acknowledged.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

MAGIC = b"ZKLG"
HEADER = 16  # bytes, of a log: the magic, a version, a number of the database
ENTRY = struct.Struct(">qi")  # of an entry: its checksum and its length; a byte ends it
ZXID_AT = 12  # in an entry, behind the session and its request's number


def last_zxid(directories: Iterable[str]) -> int | None:
    """The last transaction in these directories, which have snapshots, logs or both; None if there is none.

    A log that ends in the middle of an entry, as after a power failure, ends before it for ZooKeeper, too.
    """
    files = [path for directory in directories for path in Path(directory, "version-2").glob("*.*")]
    snapshots = dict(_named("snapshot", files))
    logs = dict(_named("log", files))
    ends = (_end(logs[zxid]) for zxid in sorted(logs, reverse=True))
    last = next((end for end in ends if end is not None), None)
    return max([*snapshots, *([] if last is None else [last])], default=None)


def _named(kind: str, files: Iterable[Path]) -> Iterator[tuple[int, Path]]:
    """By the zxid in their names. A compressed snapshot has a suffix; what is being written is left out."""
    for path in files:
        found = re.fullmatch(rf"{kind}\.([0-9a-f]+)(\.snappy|\.gz)?", path.name)
        if found:
            yield int(found[1], 16), path


def _end(log: Path) -> int | None:
    """The zxid of the last whole entry; None if there is none."""
    last = None
    with log.open("rb") as file:
        if file.read(HEADER)[:4] != MAGIC:
            return None
        while len(head := file.read(ENTRY.size)) == ENTRY.size:
            checksum, size = ENTRY.unpack(head)
            body = file.read(size) if size > ZXID_AT + 8 else b""
            if len(body) < size or not body or zlib.adler32(body) != checksum:
                break
            (last,) = struct.unpack_from(">q", body, ZXID_AT)
            file.read(1)
    return last
