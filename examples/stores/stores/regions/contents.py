"""What is in a region, and what the records of its log make of it. No I/O: who reads the same records has the
same."""

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Any, NamedTuple

from stores.regions import files

# Of so many writers it is known what they wrote last.
MOST_WRITERS = 10_000


class Child(NamedTuple):
    """What a split has made: another shard has the keys from ``low`` on; its data begin with the file."""

    low: str
    shard: int
    seed: str


class Contents:
    """The keys from ``low`` on, below ``high`` (None: no end)."""

    def __init__(self, low: str = "", high: str | None = None) -> None:
        self.low, self.high = low, high
        self.log = 1  # the number of the log that goes on from here
        self.children: list[Child] = []
        self.writers: dict[str, int] = {}  # what each wrote last, the latest writer last
        self.keys: list[str] = []  # sorted
        self.values: dict[str, bytes] = {}
        self.size = 0  # characters of keys, and bytes of values

    def has(self, key: str) -> bool:
        """Whether the key belongs here, be it there or not."""
        return self.low <= key and (self.high is None or key < self.high)

    def range(self, low: str) -> Iterator[tuple[str, bytes]]:
        """Keys from there on, with their values."""
        for at in range(bisect_left(self.keys, low), len(self.keys)):
            yield self.keys[at], self.values[self.keys[at]]

    def middle(self) -> str | None:
        """The key at which two halves are made of it."""
        return self.keys[len(self.keys) // 2] if len(self.keys) > 1 else None

    def apply(self, fields: dict[str, Any], body: bytes) -> bool:
        """A record of the log. False: its key does not belong here (any more), and nothing was done.

        A writer writes one after the other, each with a greater number. So a number that is not greater is
        that of a write which was done already.
        """
        if "split" in fields:
            self._split(Child(fields["split"], fields["shard"], fields["seed"]))
            return True
        key, writer, number = fields["key"], fields["writer"], fields["number"]
        if not self.has(key):
            return False
        if number <= self.writers.get(writer, 0):
            return True
        self.writers.pop(writer, None)
        self.writers[writer] = number
        if len(self.writers) > MOST_WRITERS:
            del self.writers[next(iter(self.writers))]
        if "delete" in fields:
            self._delete(key)
        else:
            self._put(key, body)
        return True

    def upper(self, low: str) -> "Contents":
        """A copy of what is in it from ``low`` on: what a split makes another region of."""
        upper = Contents(low, self.high)
        upper.writers = dict(self.writers)
        for key, value in self.range(low):
            upper._put(key, value)
        return upper

    def encode(self) -> bytes:
        """As a sorted file."""
        head = {
            "low": self.low,
            "high": self.high,
            "log": self.log,
            "children": self.children,
            "writers": self.writers,
            "keys": len(self.keys),
        }
        return files.encode(head) + b"".join(files.encode({"key": k}, v) for k, v in self.range(self.low))

    @staticmethod
    def decode(data: bytes) -> "Contents":
        """Raises ValueError if it is no whole sorted file."""
        records = files.decode(data)
        head, _, _ = next(records, ({}, b"", 0))
        if not head:
            raise ValueError("no sorted file")
        contents = Contents(head["low"], head["high"])
        contents.log, contents.writers = head["log"], head["writers"]
        contents.children = [Child(*child) for child in head["children"]]
        for fields, body, _ in records:
            contents._put(fields["key"], body)
        if len(contents.keys) != head["keys"]:
            raise ValueError(f"{head['keys']} keys are meant to be in it, {len(contents.keys)} are")
        return contents

    def _put(self, key: str, value: bytes) -> None:
        if key in self.values:
            self.size -= len(key) + len(self.values[key])
        else:
            insort(self.keys, key)
        self.values[key] = value
        self.size += len(key) + len(value)

    def _delete(self, key: str) -> None:
        if key in self.values:
            del self.keys[bisect_left(self.keys, key)]
            self.size -= len(key) + len(self.values.pop(key))

    def _split(self, child: Child) -> None:
        at = bisect_left(self.keys, child.low)
        self.size -= sum(len(key) + len(self.values.pop(key)) for key in self.keys[at:])
        del self.keys[at:]
        self.high = child.low
        self.children.append(child)
