"""All znodes of a server after one transaction, read from its disk, whether it runs or not.

They are those of a snapshot, with what the log has behind it: the same at one zxid on every server. The
formats are those of ZooKeeper's FileSnap and FileTxnLog. The znodes are kept in a file without a name, so a
large tree takes little memory, and of their values only checksums.

A server writes a snapshot while it goes on. So a snapshot may have some of what came later. What the log has
within reach behind the wanted transaction is known as ``later``; of these znodes nothing can be said.
"""

from __future__ import annotations

import gzip
import hashlib
import re
import sqlite3
import struct
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, NamedTuple

SNAPSHOT, LOG = b"ZKSN", b"ZKLG"
HEADER = 16  # bytes of a file: its magic, a version, a number of the database
ENTRY = struct.Struct(">qi")  # of an entry of the log: its checksum and its length; a byte ends it
HEAD = struct.Struct(">qiqqi")  # of a transaction: session, its request's number, zxid, time, type
STAT = struct.Struct(
    ">qqqqqiiiqq"
)  # ACL, created, modified (zxids), two times, three versions, owner, children
STAT_OF_USE = (1, 2, 5, 8)  # of these: created, modified, version, owner
CREATE, DELETE, SET, SET_ACL, MULTI, CREATE2, RECONFIG = 1, 2, 5, 7, 14, 15, 16
CREATE_CONTAINER, DELETE_CONTAINER, CREATE_TTL = 19, 20, 21
FAILED, CLOSE_SESSION = -1, -11
CONTAINER = -(1 << 63)  # as its owner
TTL = -(1 << 56)  # the same, plus its time
# Each server writes there what its configuration says.
OWN = b"/zookeeper/config"
LATER = 100_000  # transactions behind the wanted one that a snapshot may have
BUCKETS = 1 << 12
CACHE_KB = 32 * 1024
LARGEST = 1 << 30  # bytes: what is longer is no value
ALL = "SELECT path, bucket, created, modified, version, owner, size, value, acl FROM node"
OF_A_BUCKET = f"{ALL} WHERE bucket = ?"


class TreeError(Exception):
    """The znodes cannot be told from what is on the disk."""


class Span(NamedTuple):
    """``last`` zxid on the disk, and the ``first`` after which the znodes can be told; None if none is."""

    first: int | None
    last: int | None


class Tree:
    """The znodes after transaction ``zxid`` of what is in these directories. Raises TreeError."""

    def __init__(self, directories: Iterable[str], zxid: int) -> None:
        snapshots, logs = _files(directories)
        self._zxid = zxid
        self._nodes = sqlite3.connect("", isolation_level=None)
        # An empty name makes a file that only this process can see.
        for line in (
            f"PRAGMA cache_size = -{CACHE_KB}",
            "PRAGMA journal_mode = OFF",
            "CREATE TABLE node (path BLOB PRIMARY KEY, bucket INT, created INT, modified INT, version INT,"
            " owner INT, size INT, value BLOB, acl BLOB) WITHOUT ROWID",
            "CREATE INDEX ephemeral ON node (owner) WHERE owner != 0",
            "CREATE TABLE later (path BLOB PRIMARY KEY) WITHOUT ROWID",
            "BEGIN",
        ):
            self._nodes.execute(line)
        try:
            self._replay(logs, *self._read_newest(snapshots))
        except EOFError as error:
            raise TreeError("its log has a transaction that cannot be read") from error
        self._nodes.execute("CREATE INDEX place ON node (bucket)")

    def close(self) -> None:
        """Remove the file."""
        self._nodes.close()

    def sums(self) -> dict[str, str]:
        """For each bucket that has znodes how many there are, and a checksum of them all."""
        made: dict[int, tuple[int, int]] = {}
        for row in self._nodes.execute(ALL):
            count, total = made.get(row[1], (0, 0))
            made[row[1]] = count + 1, total ^ int(_fingerprint(row), 16)
        return {str(bucket): f"{count} {total:016x}" for bucket, (count, total) in made.items()}

    def nodes(self, buckets: Iterable[int]) -> tuple[dict[str, dict[str, int | str]], list[str]]:
        """The znodes of these buckets by path, and the paths there of which nothing can be said."""
        wanted = set(buckets)
        found = {
            _text(row[0]): {
                "fingerprint": _fingerprint(row),
                **dict(zip(("created", "modified", "version", "owner", "size"), row[2:7], strict=True)),
            }
            for bucket in sorted(wanted)
            for row in self._nodes.execute(OF_A_BUCKET, (bucket,))
        }
        later = [path for (path,) in self._nodes.execute("SELECT path FROM later")]
        return found, [_text(path) for path in later if _bucket(path) in wanted]

    def _read_newest(self, snapshots: dict[int, Path]) -> tuple[int, bool]:
        """The newest whole snapshot that is not newer than what is wanted; and whether that is the newest."""
        old = sorted((zxid for zxid in snapshots if zxid <= self._zxid), reverse=True)
        for zxid in old:
            if _usable(snapshots[zxid]):
                try:
                    self._nodes.execute("DELETE FROM node")
                    self._add(_snapshot(snapshots[zxid]))
                except (EOFError, OSError, zlib.error):  # it is being written, or was when the server ended
                    continue
                return zxid, zxid == old[0]
        raise TreeError(f"it has no whole snapshot of transaction 0x{self._zxid:x} or before")

    def _replay(self, logs: dict[int, Path], start: int, newest: bool) -> None:
        later, done = 0, start
        for session, zxid, kind, body in _transactions(logs, start):
            # With a snapshot from its leader a server gets what its log then lacks.
            if not newest and zxid != done + 1 and done < self._zxid:
                raise TreeError(
                    "its newest snapshot cannot be read, and the log does not reach back behind it"
                )
            done = zxid
            if zxid <= self._zxid:
                self._apply(session, zxid, kind, _Reader(body))
                continue
            self._nodes.executemany(
                "INSERT OR IGNORE INTO later VALUES (?)",
                [(path,) for path in _touched(kind, _Reader(body)) if path != OWN],
            )
            later += 1
            if later == LATER:
                return

    def _add(self, rows: Iterable[tuple[object, ...]]) -> None:
        # What is there already stays: a snapshot may have what the log still tells.
        self._nodes.executemany("INSERT OR IGNORE INTO node VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def _apply(self, session: int, zxid: int, kind: int, body: _Reader) -> None:
        for part, reader in _parts(kind, body):
            if part in OWNERS:
                path, value = reader.path(), reader.buffer()
                acl = reader.acl()
                owner = OWNERS[part](session, reader)
                if path != OWN:
                    size, checksum = len(value), _checksum(value)
                    self._add([(path, _bucket(path), zxid, zxid, 0, owner, size, checksum, acl)])
            elif part in (DELETE, DELETE_CONTAINER):
                self._nodes.execute("DELETE FROM node WHERE path = ?", (reader.path(),))
            elif part in (SET, RECONFIG):
                path, value, version = reader.path(), reader.buffer(), reader.number()
                self._nodes.execute(
                    "UPDATE node SET modified = ?, version = ?, size = ?, value = ? WHERE path = ?",
                    (zxid, version, len(value), _checksum(value), path),
                )
            elif part == SET_ACL:
                path, acl = reader.path(), reader.acl()
                self._nodes.execute("UPDATE node SET acl = ? WHERE path = ?", (acl, path))
            elif part == CLOSE_SESSION:
                self._nodes.execute("DELETE FROM node WHERE owner = ? AND owner != 0", (session,))


def span(directories: Iterable[str]) -> Span:
    """From when to when the znodes can be told."""
    snapshots, logs = _files(directories)
    usable = [zxid for zxid, path in snapshots.items() if _usable(path)]
    last = max([*snapshots, *(entry[1] for entry in _newest(logs))], default=None)
    return Span(min(usable, default=None), last)


def written(snapshot: Path) -> dict[int, int]:
    """By zxid the times (ms) of the transactions that made its znodes or last wrote them, as far as it can be
    read."""
    times: dict[int, int] = {}
    if not _usable(snapshot):
        return times
    with suppress(EOFError, OSError, zlib.error):
        for path, _data, stat, _acl in _znodes(snapshot):
            if path != OWN:
                times |= {stat[1]: stat[3], stat[2]: stat[4]}
    times.pop(0, None)  # what each server has from the beginning
    return times


def _files(directories: Iterable[str]) -> tuple[dict[int, Path], dict[int, Path]]:
    """Snapshots and logs, by the zxids in their names."""
    found: dict[str, dict[int, Path]] = {"snapshot": {}, "log": {}}
    for directory in directories:
        for path in Path(directory, "version-2").glob("*.*"):
            if named := re.fullmatch(r"(snapshot|log)\.([0-9a-f]+)(\.gz|\.snappy)?", path.name):
                found[named[1]][int(named[2], 16)] = path
    return found["snapshot"], found["log"]


def _usable(snapshot: Path) -> bool:
    """Whether it can be read at all: Python has nothing for Snappy."""
    return snapshot.suffix != ".snappy"


def _newest(logs: dict[int, Path]) -> Iterator[tuple[int, int, int, bytes]]:
    """The transactions of the newest log that has any."""
    for zxid in sorted(logs, reverse=True):
        some = False
        for entry in _log(logs[zxid]):
            some = True
            yield entry
        if some:
            return


def _transactions(logs: dict[int, Path], start: int) -> Iterator[tuple[int, int, int, bytes]]:
    """Those behind ``start``, in order: the log that has it may begin before it."""
    first = max((zxid for zxid in logs if zxid <= start), default=0)
    done = start
    for zxid in sorted(zxid for zxid in logs if zxid >= first):
        for entry in _log(logs[zxid]):
            if entry[1] > done:  # 3.8.0 may log one twice
                done = entry[1]
                yield entry


def _log(path: Path) -> Iterator[tuple[int, int, int, bytes]]:
    """Session, zxid, type and the rest of each whole transaction."""
    with path.open("rb") as file:
        if file.read(HEADER)[:4] != LOG:
            return
        while len(entry := file.read(ENTRY.size)) == ENTRY.size:
            checksum, size = ENTRY.unpack(entry)
            body = file.read(size) if HEAD.size <= size < LARGEST else b""
            if not body or len(body) < size or zlib.adler32(body) != checksum:
                return  # zeros, or the end of what was written
            session, _request, zxid, _time, kind = HEAD.unpack_from(body)
            yield session, zxid, kind, body[HEAD.size :]
            file.read(1)


def _snapshot(path: Path) -> Iterator[tuple[object, ...]]:
    """The znodes in it. Raises EOFError if it ends too early."""
    for name, value, stat, acl in _znodes(path):
        if name != OWN:
            created, modified, version, owner = (stat[at] for at in STAT_OF_USE)
            yield (
                *(name, _bucket(name), created, modified, version, owner, len(value)),
                *(_checksum(value), acl),
            )


def _znodes(path: Path) -> Iterator[tuple[bytes, bytes, tuple[int, ...], bytes]]:
    """Path, value, statistics and a checksum of the permissions of each. Raises EOFError."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rb") as file:
        reader = _File(file)
        if reader.take(HEADER)[:4] != SNAPSHOT:
            raise EOFError
        reader.take(12 * reader.number())  # sessions
        acls = {-1: b""}
        for _acl in range(reader.number()):
            number = reader.long()
            acls[number] = reader.acl()
        while (name := reader.buffer()) != b"/":  # it ends so; the root's own path is empty
            value = reader.buffer()
            stat = STAT.unpack(reader.take(STAT.size))
            yield name, value, stat, acls.get(stat[0], b"")


def _parts(kind: int, reader: _Reader) -> Iterator[tuple[int, _Reader]]:
    """A transaction, or those that one of several has: all of them, or none if one failed."""
    if kind != MULTI:
        yield kind, reader
        return
    parts = [(reader.number(), reader.buffer()) for _part in range(reader.number())]
    if FAILED not in [part for part, _body in parts]:
        yield from ((part, _Reader(body)) for part, body in parts)


def _touched(kind: int, body: _Reader) -> Iterator[bytes]:
    """The paths that a transaction changes."""
    for part, reader in _parts(kind, body):
        if part in OWNERS or part in (DELETE, DELETE_CONTAINER, SET, RECONFIG, SET_ACL):
            yield reader.path()
        elif part == CLOSE_SESSION and reader.left:
            yield from (reader.path() for _path in range(reader.number()))


class _Bytes:
    """Jute's encoding. Raises EOFError for what is too short."""

    def take(self, size: int) -> bytes:
        raise NotImplementedError

    def number(self) -> int:
        return int.from_bytes(self.take(4), "big", signed=True)

    def long(self) -> int:
        return int.from_bytes(self.take(8), "big", signed=True)

    def buffer(self) -> bytes:
        return self.take(max(self.number(), 0))  # -1: none

    def path(self) -> bytes:
        """Of what a transaction changes: there the root is /, in a snapshot its path is empty."""
        path = self.buffer()
        return b"" if path == b"/" else path

    def acl(self) -> bytes:
        """A checksum of a list of permissions."""
        entries = [(self.number(), self.buffer(), self.buffer()) for _entry in range(max(self.number(), 0))]
        return _checksum(repr(entries).encode())


class _Reader(_Bytes):
    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._content) - self._at

    def take(self, size: int) -> bytes:
        if not 0 <= size <= self.left:
            raise EOFError
        self._at += size
        return self._content[self._at - size : self._at]


class _File(_Bytes):
    def __init__(self, file: BinaryIO | gzip.GzipFile) -> None:
        self._file = file

    def take(self, size: int) -> bytes:
        content = self._file.read(size) if 0 <= size < LARGEST else b""
        if len(content) != size:
            raise EOFError
        return content


def _ephemeral(session: int, reader: _Reader) -> int:
    return session if reader.take(1) != b"\0" else 0


def _with_time(_session: int, reader: _Reader) -> int:
    reader.number()  # the parent's version
    return TTL + time if (time := reader.long()) > 0 else 0


def _container(_session: int, _reader: _Reader) -> int:
    return CONTAINER


# Whose a new znode is, read behind its permissions.
OWNERS = {
    CREATE: _ephemeral,
    CREATE2: _ephemeral,
    CREATE_CONTAINER: _container,
    CREATE_TTL: _with_time,
}


def _checksum(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=8).digest()


def _fingerprint(row: tuple[object, ...]) -> str:
    return _checksum(repr(row).encode()).hex()


def _bucket(path: bytes) -> int:
    return int.from_bytes(_checksum(path)[:2], "big") % BUCKETS


def _text(path: bytes) -> str:
    return path.decode(errors="backslashreplace") or "/"
