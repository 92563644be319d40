"""Which shard has which keys: the map of a table, on the shared storage.

Each version is a file, ``map/17``. Who changes the map creates the next one; of two, one does, and the other
looks again. Old versions stay: who was frozen with one in mind finds the next one taken.
"""

import json
from bisect import bisect_right
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from stores.regions import files

MAP = "map"


class Range(NamedTuple):
    """The keys from ``low`` to the next range's are this shard's; its data began with the file ``seed``."""

    low: str
    shard: int
    seed: str


class Ranges(NamedTuple):
    """A version of the map."""

    version: int = 0
    ranges: tuple[Range, ...] = ()  # by their lows
    reserved: Mapping[int, int] = {}  # shards that are to have keys, and who is going to split for them

    def at(self, key: str) -> int:
        """Which of the ranges the key is in."""
        return bisect_right([entry.low for entry in self.ranges], key) - 1

    def of(self, shard: int) -> Range | None:
        """What the shard has."""
        return next((entry for entry in self.ranges if entry.shard == shard), None)

    def encode(self) -> bytes:
        """As JSON."""
        fields = {"version": self.version, "ranges": self.ranges, "reserved": list(self.reserved.items())}
        return json.dumps(fields).encode()

    @staticmethod
    def decode(data: bytes) -> "Ranges":
        """What was encoded."""
        found = json.loads(data)
        ranges = tuple(Range(*entry) for entry in found["ranges"])
        return Ranges(found["version"], ranges, dict(found["reserved"]))


def read(place: Path) -> Ranges:
    """The map of the table in that directory; version 0: there is none."""
    versions = files.numbers(place / MAP)
    return Ranges.decode((place / MAP / str(versions[-1])).read_bytes()) if versions else Ranges()


def begin(place: Path, shard: int) -> None:
    """All keys are this shard's, if there is no map yet."""
    _change(place, lambda now: now if now.version else now._replace(ranges=(Range("", shard, ""),)))


def reserve(place: Path, parent: int) -> int:
    """The number of a shard for the next split of ``parent``, which nobody else gets."""
    now = _change(place, lambda now: now._replace(reserved=_with_one_for(parent, now)))
    return next(shard for shard, by in now.reserved.items() if by == parent)


def _with_one_for(parent: int, now: Ranges) -> Mapping[int, int]:
    if parent in now.reserved.values():
        return now.reserved
    return {**now.reserved, max([*now.reserved, *(entry.shard for entry in now.ranges)]) + 1: parent}


def add(place: Path, new: Range) -> None:
    """A split has come true. As often as you like."""

    def added(now: Ranges) -> Ranges:
        if now.of(new.shard):
            return now
        reserved = {shard: by for shard, by in now.reserved.items() if shard != new.shard}
        return now._replace(ranges=tuple(sorted([*now.ranges, new])), reserved=reserved)

    _change(place, added)


def _change(place: Path, edit: Callable[[Ranges], Ranges]) -> Ranges:
    while True:
        now = read(place)
        new = edit(now)
        if new == now:
            files.sync(place / MAP)  # who has written it may have died before this
            return now
        new = new._replace(version=now.version + 1)
        try:
            files.claim(place / MAP / str(new.version), new.encode())
        except FileExistsError:
            continue
        return new
