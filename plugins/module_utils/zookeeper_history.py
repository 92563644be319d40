"""How far a server's data go, and whose history they are, read from its disk, whether it runs or not.

The formats are those of ZooKeeper's FileTxnLog and FileSnap. The upper half of a zxid is the epoch. So if the
data of a majority can be compared, the server with the greatest zxid has all that was ever acknowledged.
Servers of one ensemble have the same transaction under the same zxid: same session, request and time.

A server that was sent all data, or whose data were restored, may only have a snapshot. Each znode in it tells
the zxids and times of two transactions: of the one that made it, and of the last that wrote it.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, NamedTuple

from ansible_collections.zklab.zookeeper.plugins.module_utils.zookeeper_tree import written

MAGIC = b"ZKLG"
HEADER = 16  # bytes, of a log: the magic, a version, a number of the database
ENTRY = struct.Struct(">qi")  # of an entry: its checksum and its length; a byte ends it
ZXID_AT = 12  # in an entry, behind the session and its request's number; then comes the time
COUNTER = (1 << 32) - 1  # of a zxid, within its epoch
ENDS = b"B"
# The end of an entry, and the next one's checksum and length. (No entry is 16 MiB.)
BETWEEN = re.compile(rb"(?=B\0{4}(.{4})(\0.{3}))", re.DOTALL)
CHUNK = 1 << 20
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
    """``last`` zxid, None if there are no data; ``trail``: some of the transactions, by zxid a checksum, back
    to where the log has a gap.

    ``times``: when transactions were made, in ms, those before the gap, too; if the trail is empty, also some
    of those of which a snapshot tells.
    ``gap``: before which zxid the log may have another one. Who was sent all data before an epoch's first
    write names its snapshot by the epoch's beginning, which is in no log; so does who wrote it by itself.
    ``damaged`` is the path of a log that cannot be read to its end, if ``last`` may be too low for that.
    """

    last: int | None
    trail: Trail
    damaged: str = ""
    times: Trail = MappingProxyType({})
    gap: int = 0


def read_history(directories: Iterable[str]) -> History:
    """What is in these directories, which have snapshots, logs or both.

    A log that ends in the middle of an entry, as after a power failure, ends before it for ZooKeeper, too.
    Nothing that was acknowledged is lost with it. A log that is damaged may have more than can be read.
    """
    return history_of(Path(directory, "version-2") for directory in directories)


def history_of(places: Iterable[Path]) -> History:
    """The same, of directories whose name is not ``version-2`` any more, too."""
    files = [path for place in places for path in place.glob("*.*")]
    latest, damaged = _latest(dict(_named("log", files)))
    snapshots = dict(_named("snapshot", files))
    # A log's name is its first transaction.
    last = max([*snapshots, *latest, *damaged], default=None)
    begin = _begin(latest, snapshots)
    checksums = {zxid: checksum for zxid, (checksum, _time) in latest.items() if zxid > begin}
    times = {zxid: time for zxid, (_checksum, time) in latest.items()}
    if not checksums and snapshots and not damaged:
        times |= written(snapshots[max(snapshots)])
    gap = max((zxid for zxid in snapshots if not zxid & COUNTER), default=0)
    return History(last, _trail(checksums), str(next(iter(damaged.values()), "")), _trail(times), gap)


def _begin(logged: Collection[int], snapshots: Collection[int]) -> int:
    """After which transaction the log has all. A server writes a snapshot of what its log has; only one that
    it was sent is not in it, and then what was before that may lack any number of transactions."""
    return max((zxid for zxid in snapshots if zxid & COUNTER and zxid not in logged), default=0)


def same_history(mine: Trail, other: Trail, gaps: tuple[int, int] = (0, 0)) -> bool | None:
    """Whether two trails are of one history; None if they have nothing in common to tell by, or too much is
    missing in the newer one that may be in its gap."""
    trails = zip((mine, other), gaps, strict=True)
    (older, _gap), (newer, gap) = sorted(trails, key=lambda one: max(one[0], default=0))
    shared = older.keys() & newer.keys()
    if any(older[zxid] != newer[zxid] for zxid in shared):
        return False
    if not shared:
        return None
    missed = [zxid for zxid in older if zxid > max(shared) and _reaches(newer, zxid)]
    if _too_many(older, [zxid for zxid in missed if zxid > gap]):
        return False
    return None if _too_many(older, missed) else True


def _too_many(older: Trail, missed: list[int]) -> bool:
    """Whether it has more from there on than a server that was left behind may end in."""
    return bool(missed) and sum(zxid >= min(missed) for zxid in older) > UNACKNOWLEDGED


def same_times(mine: Trail, other: Trail) -> bool | None:
    """The same by the times of transactions, of which a snapshot does not tell all, nor a log with a gap.

    If one has many that the other lacks, they may be in that gap, or the two went two ways: nothing tells,
    for copies of one disk have as much in common.
    """
    if any(mine[zxid] != other[zxid] for zxid in mine.keys() & other.keys()):
        return False
    return same_history(mine, other) or None


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


def _latest(logs: Mapping[int, Path]) -> tuple[dict[int, tuple[int, int]], dict[int, Path]]:
    """The transactions of the last logs, and those logs which are damaged where nothing whole comes later."""
    found: dict[int, tuple[int, int]] = {}
    damaged: dict[int, Path] = {}
    for zxid in sorted(logs, reverse=True):
        entries, whole = _transactions(logs[zxid])
        if not whole and not found:
            damaged[zxid] = logs[zxid]
        found = entries | found
        if len(found) >= ENOUGH:
            break
    return found, damaged


def _transactions(log: Path) -> tuple[dict[int, tuple[int, int]], bool]:
    """By zxid checksum and time of each whole entry up to the first that is not; and whether the log ends
    there."""
    found: dict[int, tuple[int, int]] = {}
    with log.open("rb") as file:
        if file.read(HEADER)[:4] != MAGIC:
            return {}, _zeros(file)
        size_of_log = os.fstat(file.fileno()).st_size
        while len(head := file.read(ENTRY.size)) == ENTRY.size:
            checksum, size = ENTRY.unpack(head)
            start = file.tell()
            # A damaged size may be more than the memory has.
            body = file.read(size) if IDENTITY <= size < size_of_log - start else b""
            end = file.read(1)
            if not body or zlib.adler32(body) != checksum:
                if size < 0 or (body and end == ENDS):
                    return found, False
                file.seek(start)
                # A crash leaves zeros, or the beginning of an entry.
                return found, _zeros(file) if not size else not _has_entry(file.read().rstrip(b"\0"))
            zxid, time = struct.unpack_from(">qq", body, ZXID_AT)
            found[zxid] = zlib.crc32(body[:IDENTITY]), time
    return found, True


def _zeros(file: BinaryIO) -> bool:
    """Whether nothing else comes in it."""
    return not any(chunk.strip(b"\0") for chunk in iter(partial(file.read, CHUNK), b""))


def _has_entry(data: bytes) -> bool:
    """Whether there is a whole entry behind the end of another: then it is a length that is wrong."""
    return any(
        zlib.adler32(data[at.end(2) : at.end(2) + int.from_bytes(at[2], "big")])
        == int.from_bytes(at[1], "big")
        for at in BETWEEN.finditer(data)
    )
