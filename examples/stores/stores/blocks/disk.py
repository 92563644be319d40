"""Blocks on a data node's disk: a file each, which says itself whether it is whole.

A block is written once and never changed. Its file has the checksum in its first line, then the data. It gets
its name when both are on the disk, so that a file with the name of a block is a whole one, or a damaged one.
"""

import os
import re
import time
from hashlib import blake2b
from itertools import count
from pathlib import Path

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


def checksum(data: bytes) -> str:
    """Of a block, 16 hexadecimal digits."""
    return blake2b(data, digest_size=8).hexdigest()


def check_name(block: str) -> str:
    """Returns it. Raises ValueError if no block can have that name."""
    if not _BLOCK.fullmatch(block):
        raise ValueError(f"no block can have the name {block[:80]!r}")
    return block


class Disk:
    """The blocks of one group on one data node. For all threads; no other process may have it."""

    def __init__(self, directory: Path) -> None:
        """Make the directory if need be, and remove what was being written when the last process ended."""
        self._at = directory
        _make(directory)
        self._numbers = count()
        for path in directory.glob(f"*{_NEW}"):
            path.unlink()

    def store(self, block: str, data: bytes) -> None:
        """When this returns it would survive a power cut. Storing it again does nothing.

        Raises:
            DifferentError: there is a block of that name with other data.
            OSError: the disk is full or broken.
        """
        its = checksum(data)
        try:
            there = self._head(block)
        except MissingError:
            self.replace(block, data)
            return
        if there != its:
            raise DifferentError(f"{block} is {there} here, and {its} was to be stored")
        _sync(self._at)  # another thread may have given it its name only now

    def replace(self, block: str, data: bytes) -> None:
        """Store it whatever is there: the one that is there is damaged."""
        path = self._at / check_name(block)
        new = self._at / f"{block}.{next(self._numbers)}{_NEW}"
        with new.open("wb") as file:
            file.write(f"{checksum(data)}\n".encode() + data)
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
        _sync(self._at)

    def read(self, block: str) -> bytes:
        """Its data. Raises MissingError, DamagedError."""
        try:
            content = (self._at / check_name(block)).read_bytes()
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
            with (self._at / check_name(block)).open("rb") as file:
                return file.read(_HEAD).decode(errors="replace").strip()
        except FileNotFoundError:
            raise MissingError(block) from None

    def remove(self, block: str) -> None:
        """If it is there."""
        (self._at / check_name(block)).unlink(missing_ok=True)

    def blocks(self) -> dict[str, float]:
        """All, whole or not, each with its age in seconds; in order."""
        found, now = {}, time.time()
        for path in sorted(self._at.iterdir()):
            if _BLOCK.fullmatch(path.name) and path.suffix != _NEW:
                try:
                    found[path.name] = now - path.stat().st_mtime
                except FileNotFoundError:  # removed meanwhile
                    continue
        return found

    @property
    def complete(self) -> bool:
        """Whether it has had everything that was acknowledged, and so it has what it had."""
        return (self._at / _COMPLETE).exists()

    def note_complete(self) -> None:
        """It has everything now."""
        (self._at / _COMPLETE).touch()
        _sync(self._at)


def _make(directory: Path) -> None:
    """With its parents; they are there after a power cut."""
    if not directory.is_dir():
        _make(directory.parent)
        directory.mkdir(exist_ok=True)
        _sync(directory.parent)


def _sync(directory: Path) -> None:
    number = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
