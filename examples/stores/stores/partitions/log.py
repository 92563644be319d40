"""The log of one replica: a file that is appended to, and an index of it in memory.

A record in the file, and between replicas:

    size of the value | CRC-32 of what follows | offset | generation | producer | sequence | value

Offsets begin at 0 and have no gaps. ``generation`` is that of the leader which appended the record: it never
falls along a log. A generation has one leader, which appends each offset once, so:

    Two logs that have a record of the same offset and the same generation are the same up to it.

So a follower says where its log ends, and of which generation its last record is, and is told whether the
leader has the same, and if not, where to cut: :meth:`Log.agrees`. What is cut was never acknowledged: a
leader has all that was, and the cut is behind the last record that both have. (Kafka calls them leader
epochs.)
"""

import fcntl
import io
import os
import struct
import threading
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

# Of one record.
MOST_BYTES = 1024 * 1024

_HEAD = struct.Struct(">II")  # size of the value, checksum
_REST = struct.Struct(">QQQQ")  # offset, generation, producer, sequence
_NOTED = struct.Struct(">QQ")  # which table it is of, how many records are acknowledged


class DamagedLogError(Exception):
    """Records that were acknowledged are not there, or what was sent is no part of this log."""


class DiskError(Exception):
    """The disk is full or broken. What of the log is on it nobody knows, so the process has to end."""


class Record(NamedTuple):
    """A record. ``producer`` and ``sequence``: who sent it, as which of its records."""

    offset: int
    generation: int
    producer: int
    sequence: int
    value: bytes

    def encode(self) -> bytes:
        """As it is in the file."""
        rest = _REST.pack(*self[:4]) + self.value
        return _HEAD.pack(len(self.value), zlib.crc32(rest)) + rest


def records(stream: BinaryIO) -> Iterator[Record]:
    """The records that are whole. It stops at the first that is not: there a write was cut short."""
    while len(head := stream.read(_HEAD.size)) == _HEAD.size:
        size, checksum = _HEAD.unpack(head)
        rest = stream.read(_REST.size + size) if size <= MOST_BYTES else b""
        if len(rest) < _REST.size + size or zlib.crc32(rest) != checksum:
            return
        yield Record._make((*_REST.unpack_from(rest), rest[_REST.size :]))


def decode(data: bytes) -> list[Record]:
    """Raises DamagedLogError if it is anything but whole records."""
    found = list(records(io.BytesIO(data)))
    if sum(_size(record) for record in found) != len(data):
        raise DamagedLogError(f"{len(data)} bytes are no records")
    return found


def _size(record: Record) -> int:
    return _HEAD.size + _REST.size + len(record.value)


class Log:
    """A log on disk. It is not for several threads at once, except :meth:`flush`.

    Records are there from 0 to ``end``, on disk from 0 to ``durable``. From 0 to ``acknowledged`` every
    replica that may become the leader has them; that is noted beside the log, perhaps a little late.
    """

    def __init__(self, directory: Path, table: int, *, copy: bool = False) -> None:
        """Open it, or begin it. ``table`` tells tables of the same name apart: a log that belongs to another
        begins anew. So does a damaged one if it is a ``copy``, for it can be had again.

        Raises:
            DamagedLogError: it has lost records that were acknowledged.
            OSError, DiskError: another process has it open, for example.
        """
        _make(directory)
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._file = os.open(directory / "log", flags, 0o644)
        self._notes = os.open(directory / "acknowledged", flags, 0o644)
        self._table = table
        self._broken = ""
        self._flushing = (
            threading.Lock()
        )  # the system tells of an error once: not another thread that flushes
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._begin(directory, copy)
        except BaseException:
            self.close()
            raise

    def _begin(self, directory: Path, copy: bool) -> None:
        table = self._table
        # What a failed flush has left in memory can be read, and is not on disk: read what is.
        os.fsync(self._file)
        os.posix_fadvise(self._file, 0, 0, os.POSIX_FADV_DONTNEED)
        self._index()
        noted = os.pread(self._notes, _NOTED.size, 0)
        belongs_to, self.acknowledged = _NOTED.unpack(noted) if len(noted) == _NOTED.size else (table, 0)
        if belongs_to != table or (copy and self.end < self.acknowledged):
            self._cut(0)  # first: the notes say whose the records are that are there
            self.acknowledged = 0
        if self.end < self.acknowledged:
            lost = f"{self.acknowledged} records were acknowledged, and {self.end} are there"
            raise DamagedLogError(f"{directory}: {lost}")
        self._cut(self.end)  # what is behind the last whole record is gone, and what is there is on disk
        self.acknowledge(self.acknowledged)
        os.fsync(self._notes)  # before there is a record: it would be taken for one of an earlier table
        _flush_directory(directory)

    def close(self) -> None:
        """Let others have it."""
        os.close(self._file)
        os.close(self._notes)

    # ------------------------------------------------------------ what is there

    @property
    def end(self) -> int:
        """The offset of the next record."""
        return len(self._positions) - 1

    @property
    def last(self) -> int:
        """The generation of the last record; 0 if there is none."""
        return self._first_of[-1][0] if self._first_of else 0

    def latest_of(self, producer: int) -> tuple[int, int]:
        """Sequence and offset of the producer's latest record; (-1, -1) if it has none."""
        return self._producers.get(producer, (-1, -1))

    def read(self, start: int, stop: int, most: int) -> bytes:
        """Encoded records from ``start`` on, before ``stop``: one at least, and not many more than ``most``
        bytes."""
        stop = min(stop, self.end)
        if start >= stop:
            return b""
        begin = self._positions[start]
        until = max(start + 1, bisect_right(self._positions, begin + most, start, stop + 1) - 1)
        with self._disk():
            return os.pread(self._file, self._positions[until] - begin, begin)

    def agrees(self, end: int, last: int) -> int:
        """Up to where a log may agree with this one, if it ends at ``end`` with a record of generation
        ``last``: ``end`` if it does, otherwise where to cut it before it asks again."""
        if end == 0 or (end <= self.end and self._generation_of(end - 1) == last):
            return end
        later = next((first for generation, first in self._first_of if generation > last), self.end)
        return min(end - 1, later)

    # ------------------------------------------------------------ changes; all raise DiskError

    def append(self, generation: int, producer: int, sequence: int, value: bytes) -> int:
        """As the leader. Returns its offset. It is on disk after :meth:`sync`."""
        record = Record(self.end, generation, producer, sequence, value)
        self._write(record.encode(), [record])
        return record.offset

    def append_copies(self, data: bytes) -> None:
        """As a follower: what :meth:`read` of the leader's log gave. Raises DamagedLogError."""
        found, last = decode(data), self.last
        for at, record in enumerate(found, self.end):
            if record.offset != at or record.generation < last:
                raise DamagedLogError(f"record {record[:4]} cannot come at {at} after generation {last}")
            last = record.generation
        self._write(data, found)

    def truncate(self, end: int) -> None:
        """Cut what the leader does not have. Raises DamagedLogError if that was acknowledged."""
        if end < self.acknowledged:
            raise DamagedLogError(f"to be cut at {end}: {self.acknowledged} records were acknowledged")
        self._cut(end)

    def acknowledge(self, end: int) -> None:
        """Note it. This is not on disk at once: if it is older than it may be, it is still true."""
        with self._disk():
            os.pwrite(self._notes, _NOTED.pack(self._table, end), 0)
        self.acknowledged = end

    def sync(self) -> None:
        """Have everything on disk."""
        end = self.end
        self.flush()
        self.durable = end

    def flush(self) -> None:
        """Have on disk what was appended before; for any thread, which then sets ``durable``."""
        with self._flushing, self._disk():
            os.fdatasync(self._file)

    # ------------------------------------------------------------ the file, and the index

    @contextmanager
    def _disk(self) -> Iterator[None]:
        """After an error nothing works any more: the next flush would say that all is well, whatever the one
        before it has lost."""
        if self._broken:
            raise DiskError(self._broken)
        try:
            yield
        except OSError as problem:
            self._broken = str(problem)
            raise DiskError(self._broken) from problem

    def _generation_of(self, offset: int) -> int:
        at = bisect_right(self._first_of, offset, key=lambda one: one[1])
        return self._first_of[at - 1][0]

    def _index(self) -> None:
        self._positions = array("Q", [0])  # of each record, and the end of the last
        self._first_of: list[tuple[int, int]] = []  # generations, and their first offsets
        self._producers: dict[int, tuple[int, int]] = {}
        with io.BufferedReader(io.FileIO(os.dup(self._file), "rb")) as stream:
            stream.seek(0)
            for record in records(stream):
                if record.offset != self.end or record.generation < self.last:
                    break
                self._note(record)
        self.durable = self.end

    def _note(self, record: Record) -> None:
        self._positions.append(self._positions[-1] + _size(record))
        if record.generation > self.last:
            self._first_of.append((record.generation, record.offset))
        self._producers[record.producer] = record.sequence, record.offset

    def _write(self, data: bytes, what: list[Record]) -> None:
        at = self._positions[-1]
        written = 0
        with self._disk():
            while written < len(data):
                written += os.pwrite(self._file, data[written:], at + written)
        for record in what:
            self._note(record)

    def _cut(self, end: int) -> None:
        with self._flushing, self._disk():
            os.ftruncate(self._file, self._positions[end])
            os.fsync(self._file)
        if end < self.end:
            self._index()


def _make(directory: Path) -> None:
    """With its parents; they are there after a power cut."""
    if not directory.is_dir():
        _make(directory.parent)
        directory.mkdir(exist_ok=True)  # the replica of another partition may just have made it
        _flush_directory(directory.parent)


def _flush_directory(directory: Path) -> None:
    at = os.open(directory, os.O_RDONLY)
    os.fsync(at)
    os.close(at)
