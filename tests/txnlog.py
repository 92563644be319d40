"""Read ZooKeeper's transaction log: what really happened, in the order in which it did.

The format is that of ``org.apache.zookeeper.server.persistence.FileTxnLog``: a header, then entries of a
checksum, a length and that many bytes; the file is filled up with zeros. Failed transactions are in it too.
"""

import re
import struct
import zlib
from bisect import bisect_left
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path

from tests.simulation.ensemble import Transacted
from tests.simulation.tree import Change, Changed, Created, Deleted

MAGIC = b"ZKLG"


class Type(IntEnum):
    """Types of transactions."""

    CREATE = 1
    DELETE = 2
    SET = 5
    SET_ACL = 7
    CHECK = 13
    MULTI = 14
    CREATE2 = 15
    CREATE_SESSION = -10
    CLOSE_SESSION = -11
    ERROR = -1


class LogError(Exception):
    """Something that is not understood."""


class _Reader:
    """Jute's encoding."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def number(self, kind: str) -> int:
        size = struct.calcsize(f">{kind}")
        (value,) = struct.unpack_from(f">{kind}", self._data, self._at)
        self._at += size
        return int(value)

    def buffer(self) -> bytes:
        size = max(0, self.number("i"))  # -1: null
        self._at += size
        return self._data[self._at - size : self._at]

    def text(self) -> str:
        return self.buffer().decode()


def read(data_dir: Path) -> Iterator[Transacted]:
    """All transactions of one server's log, oldest first. Raises LogError."""
    for zxid in _zxids(data_dir, "log"):
        path = data_dir / f"version-2/log.{zxid:x}"
        yield from _file(path.read_bytes(), path)


def history(data_dirs: list[Path]) -> list[Transacted]:
    """What an ensemble has committed. To be asked for when all its servers agree again.

    That is what a majority has and none lacks. A server that was away may have got a snapshot instead of what
    it had missed; a leader that lost its followers has logged what nobody acknowledged, and the others went
    on without it. 3.8.0 may log an entry twice, and drop at one server what two have logged (README of the
    role zookeeper).
    """
    entries: dict[int, Transacted] = {}
    servers: list[list[tuple[int, bool]]] = []  # zxids, each with whether it is a snapshot's
    for data_dir in data_dirs:
        known = [(zxid, True) for zxid in _zxids(data_dir, "snapshot")]
        for entry in read(data_dir):
            if entries.setdefault(entry.zxid, entry).changes != entry.changes:
                raise LogError(f"the servers do not agree: {entry} and {entries[entry.zxid]}")
            known.append((entry.zxid, False))
        servers.append(sorted(known))
    votes = {zxid: [_has(known, zxid) for known in servers] for zxid in sorted(entries)}
    return [entries[z] for z, vote in votes.items() if False not in vote and vote.count(True) > len(vote) / 2]


def _has(known: list[tuple[int, bool]], zxid: int) -> bool | None:
    """Whether a server has an entry, by what it has next; None: that does not tell."""
    at = bisect_left(known, (zxid, False))
    if at == len(known):
        return None
    following, is_snapshot = known[at]
    if is_snapshot:  # one of a later epoch may have been sent by a leader that never had the entry
        return True if following >> 32 == zxid >> 32 else None
    return following == zxid


def _zxids(data_dir: Path, kind: str) -> list[int]:
    names = [path.name for path in (data_dir / "version-2").iterdir()]
    found = [re.fullmatch(rf"{kind}\.([0-9a-f]+)", name) for name in names]  # not snapshot.7.tmp
    return sorted(int(match[1], 16) for match in found if match)


def _file(data: bytes, path: Path) -> Iterator[Transacted]:
    if data[:4] != MAGIC:
        raise LogError(f"{path} is no transaction log")
    at = 16
    while at + 12 <= len(data):
        checksum, size = struct.unpack_from(">qi", data, at)
        body = data[at + 12 : at + 12 + size]
        if size == 0 or len(body) < size:
            return
        if checksum != zlib.adler32(body):
            return  # torn: it was being written
        yield _entry(_Reader(body))
        at += 12 + size + 1  # an end-of-record mark


def _entry(reader: _Reader) -> Transacted:
    session, request, zxid = reader.number("q"), reader.number("i"), reader.number("q")
    time, kind = reader.number("q"), reader.number("i")
    if kind == Type.MULTI:
        parts = [(reader.number("i"), reader.buffer()) for _ in range(reader.number("i"))]
        # One that failed is kept with what it wanted, and the errors behind it.
        failed = any(part == Type.ERROR for part, _ in parts)
        changes = (
            [] if failed else [c for part, data in parts for c in _changes(part, _Reader(data), session)]
        )
    else:
        changes = _changes(kind, reader, session)
    ended = kind == Type.CLOSE_SESSION
    # Who asks for something numbers it, from 1 on; what a server does by itself has no number.
    expired = ended and request == 0
    return Transacted(zxid, time / 1000, session, (), tuple(changes), ended=ended, expired=expired)


def _changes(kind: int, reader: _Reader, session: int) -> list[Change]:
    match kind:
        case Type.CREATE | Type.CREATE2:
            path, data = reader.text(), reader.buffer()
            for _ in range(max(0, reader.number("i"))):  # access control
                reader.number("i")
                reader.text()
                reader.text()
            return [Created(path, data, session if reader.number("b") else 0)]
        case Type.DELETE:
            return [Deleted(reader.text())]
        case Type.SET:
            return [Changed(reader.text(), reader.buffer())]
        case Type.CLOSE_SESSION:
            count = reader.number("i") if reader.left >= 4 else 0
            return [Deleted(reader.text()) for _ in range(max(0, count))]
        case Type.SET_ACL | Type.CHECK | Type.CREATE_SESSION | Type.ERROR:
            return []
    raise LogError(f"unknown type of transaction {kind}")
