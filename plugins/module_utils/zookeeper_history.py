"""How far a server's data go, and whose history they are, read from its disk, whether it runs or not.

The formats are those of ZooKeeper's FileTxnLog and FileSnap. The upper half of a zxid is the epoch. So if the
data of a majority can be compared, the server with the greatest zxid has all that was ever acknowledged.
Servers of one ensemble have the same transaction under the same zxid: same session, request and time.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

MAGIC = b"ZKLG"
HEADER = 16  # bytes, of a log: the magic, a version, a number of the database
ENTRY = struct.Struct(">qi")  # of an entry: its checksum and its length; a byte ends it
ZXID_AT = 12  # in an entry, behind the session and its request's number
COUNTER = (1 << 32) - 1  # of a zxid, within its epoch
IDENTITY = 32  # bytes of an entry that no other one has: session, request, zxid, time, type
ENOUGH = 100_000  # transactions to read back
KEPT = 16  # of a trail, at each of these scales:
SCALES = tuple(KEPT**power for power in range(8))
MILESTONES = 16 * KEPT
# A server that was left behind may end in proposals that were never acknowledged: about a thousand under the
# default of zookeeper_max_outstanding, which are less than so many entries of a trail.
UNACKNOWLEDGED = 40

Trail = Mapping[int, int]


class History(NamedTuple):
    """``last`` zxid, None if there are no data; ``trail``: some of the transactions, by zxid a checksum."""

    last: int | None
    trail: Trail


def read_history(directories: Iterable[str]) -> History:
    """What is in these directories, which have snapshots, logs or both.

    A log that ends in the middle of an entry, as after a power failure, ends before it for ZooKeeper, too.
    """
    files = [path for directory in directories for path in Path(directory, "version-2").glob("*.*")]
    latest = _latest(dict(_named("log", files)))
    snapshots = dict(_named("snapshot", files))
    return History(max([*snapshots, *latest], default=None), _trail(latest))


def same_history(mine: Trail, other: Trail) -> bool | None:
    """Whether two trails are of one history; None if they have nothing in common to tell by."""
    older, newer = sorted((mine, other), key=lambda trail: max(trail, default=0))
    shared = older.keys() & newer.keys()
    if any(older[zxid] != newer[zxid] for zxid in shared):
        return False
    if not shared:
        return None
    missed = [zxid for zxid in older if zxid > max(shared) and _reaches(newer, zxid)]
    return not missed or sum(zxid >= min(missed) for zxid in older) <= UNACKNOWLEDGED


def _trail(transactions: Trail) -> Trail:
    kept = {zxid for some in _series(sorted(transactions)) for zxid in some}
    return {zxid: transactions[zxid] for zxid in sorted(kept)}


def _series(zxids: list[int]) -> Iterator[list[int]]:
    """The last ones; farther back fewer and fewer, with multiples of 16, of 256 ...; some of each epoch."""
    for scale in SCALES:
        yield [zxid for zxid in zxids if not zxid % scale][-KEPT:]
    yield [zxid for zxid in zxids if (zxid & COUNTER).bit_count() == 1][-MILESTONES:]


def _reaches(trail: Trail, zxid: int) -> bool:
    """Whether this zxid would be in the trail if the server had the transaction."""
    pairs = zip(_series(sorted(trail)), _series([zxid]), strict=True)
    return any(kept and belongs and zxid >= kept[0] for kept, belongs in pairs)


def _named(kind: str, files: Iterable[Path]) -> Iterator[tuple[int, Path]]:
    """By the zxid in their names. A compressed snapshot has a suffix; what is being written is left out."""
    for path in files:
        found = re.fullmatch(rf"{kind}\.([0-9a-f]+)(\.snappy|\.gz)?", path.name)
        if found:
            yield int(found[1], 16), path


def _latest(logs: Mapping[int, Path]) -> Trail:
    """The transactions of the last logs."""
    found: dict[int, int] = {}
    for zxid in sorted(logs, reverse=True):
        found = dict(_transactions(logs[zxid])) | found
        if len(found) >= ENOUGH:
            break
    return found


def _transactions(log: Path) -> Iterator[tuple[int, int]]:
    """Zxid and checksum of each whole entry."""
    with log.open("rb") as file:
        if file.read(HEADER)[:4] != MAGIC:
            return
        while len(head := file.read(ENTRY.size)) == ENTRY.size:
            checksum, size = ENTRY.unpack(head)
            body = file.read(size) if size >= IDENTITY else b""
            if len(body) < size or not body or zlib.adler32(body) != checksum:
                break
            yield struct.unpack_from(">q", body, ZXID_AT)[0], zlib.crc32(body[:IDENTITY])
            file.read(1)
