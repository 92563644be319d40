"""Blocks on a data node's disk: a file each, which says itself whether it is whole.

A block is written once and never changed. Its file has the checksum in its first line, then the data. It gets
its name when both are on the disk, so that a file with the name of a block is a whole one, or a damaged one.
"""

import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import blake2b
from itertools import count
from pathlib import Path
from typing import IO

_BLOCK = re.compile(r"[0-9a-z][0-9a-z.-]{0,99}")
_HEAD = 17  # the checksum and a line feed
_NEW = ".new"
# It says that this directory had everything once. A disk that was replaced does not say so.
_COMPLETE = "COMPLETE"


class MissingError(Exception):
    """There is no such block here."""


class DamagedError(Exception):
    """The block is here, and is not what was written."""


class DifferentError(Exception):
    """The block is here with another checksum: a block is never changed."""


class BrokenError(Exception):
    """The disk is full or broken. It is no OSError: those are of the network, and one tries again."""


@contextmanager
def _or_broken() -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise BrokenError(str(problem)) from problem


def checksum(data: bytes) -> str:
    """Of a block, 16 hexadecimal digits."""
    return blake2b(data, digest_size=8).hexdigest()


def check_name(block: str) -> str:
    """Returns it. Raises ValueError if no block can have that name."""
    if not _BLOCK.fullmatch(block):
        raise ValueError(f"no block can have the name {block[:80]!r}")
    return block


class Disk:
    """The blocks of one group on one data node. For all threads; no other process may have it.

    It goes on with the directory that it has opened, whatever becomes of the path: below a disk that was
    unmounted there may be another, which lacks what was acknowledged.
    """

    @_or_broken()
    def __init__(self, directory: Path, top: Path | None = None) -> None:
        """Make the directory if need be, and remove what was being written when the last process ended.

        What is below ``top`` is there after a power cut. Raises BrokenError, as all methods do.
        """
        _make(directory, top or directory)
        self._directory = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        self._numbers = count()
        for name in self._names():
            if name.endswith(_NEW):
                os.unlink(name, dir_fd=self._directory)

    @_or_broken()
    def store(self, block: str, data: bytes) -> None:
        """When this returns it would survive a power cut. Storing it again does nothing.

        Raises:
            DifferentError: there is a block of that name with other data.
        """
        its = checksum(data)
        try:
            there = self._head(block)
        except MissingError:
            self.replace(block, data)
            return
        if there != its:
            raise DifferentError(f"{block} is {there} here, and {its} was to be stored")
        os.fsync(self._directory)  # another thread may have given it its name only now

    @_or_broken()
    def replace(self, block: str, data: bytes) -> None:
        """Store it whatever is there: the one that is there is damaged."""
        new = f"{check_name(block)}.{os.getpid()}-{next(self._numbers)}{_NEW}"
        with self._open(new, "wb") as file:
            file.write(f"{checksum(data)}\n".encode() + data)
            file.flush()
            os.fsync(file.fileno())
        os.rename(new, block, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        os.fsync(self._directory)

    def read(self, block: str) -> bytes:
        """Its data. Raises MissingError, DamagedError."""
        try:
            with self._open(check_name(block)) as file:
                content = file.read()
        except FileNotFoundError:
            raise MissingError(block) from None
        except OSError as problem:  # a bad sector
            raise DamagedError(f"{block}: {problem}") from None
        head, data = content[:_HEAD], content[_HEAD:]
        if head != f"{checksum(data)}\n".encode():
            raise DamagedError(f"{block}: its checksum is wrong")
        return data

    def _head(self, block: str) -> str:
        try:
            with self._open(check_name(block)) as file:
                return file.read(_HEAD).decode(errors="replace").strip()
        except FileNotFoundError:
            raise MissingError(block) from None

    def _open(self, name: str, mode: str = "rb") -> IO[bytes]:
        def opener(path: str, flags: int) -> int:
            return os.open(path, flags, 0o666, dir_fd=self._directory)

        return open(name, mode, opener=opener)

    def _names(self) -> list[str]:
        # Opened anew: threads that list the same one at once would each see a part.
        mine = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=self._directory)
        try:
            with os.scandir(mine) as entries:
                return [entry.name for entry in entries]
        finally:
            os.close(mine)

    @_or_broken()
    def remove(self, block: str) -> None:
        """If it is there."""
        with suppress(FileNotFoundError):
            os.unlink(check_name(block), dir_fd=self._directory)

    @_or_broken()
    def blocks(self) -> dict[str, float]:
        """All, whole or not, each with its age in seconds; in order."""
        found, now = {}, time.time()
        for name in sorted(self._names()):
            if _BLOCK.fullmatch(name) and not name.endswith(_NEW):
                with suppress(FileNotFoundError):  # removed meanwhile
                    found[name] = now - os.stat(name, dir_fd=self._directory).st_mtime
        return found

    @property
    @_or_broken()
    def complete(self) -> bool:
        """Whether it has had everything that was acknowledged, and so it has what it had."""
        try:
            os.stat(_COMPLETE, dir_fd=self._directory)
        except FileNotFoundError:
            return False
        return True

    @_or_broken()
    def note_complete(self) -> None:
        """It has everything now."""
        with self._open(_COMPLETE, "ab"):
            pass
        os.fsync(self._directory)


def _make(directory: Path, top: Path) -> None:
    """With its parents; they are there after a power cut.

    Below ``top`` also those that are there already: who has made them may have died before it saw to that.
    Above, they are somebody else's, and perhaps we may not even open them.
    """
    if not directory.is_dir() or top in directory.parents:
        _make(directory.parent, top)
        directory.mkdir(exist_ok=True)
        _sync(directory.parent)


def _sync(directory: Path) -> None:
    number = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
