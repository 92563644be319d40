"""What a program does with a table: put, get, delete, scan. An operation is tried until it is done or its
time is over, whoever owns the region meanwhile."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, TypeVar

from mwapp import Client
from mwapp.errors import TimedOutError, UnreachableError
from stores.regions import files
from stores.regions.ranges import Ranges
from stores.rpc import Message, RefusedError, call

T = TypeVar("T")

HANDLER = "stores.regions:Region"
MOST_KEY, MOST_VALUE = 1000, 1024 * 1024
# After these an operation is tried again.
AGAIN = (RefusedError, OSError, UnreachableError, TimedOutError)
# An owner that has not answered for so long may be frozen: look who it is now. A write that was in its log is
# not done twice.
ANSWER_SECONDS = 1.0
SPLIT_SECONDS = 40.0
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.1


class NotDoneError(Exception):
    """Not in time. A write may have been done, or may yet be, before the next write of this thread."""


class RegionState(NamedTuple):
    """A region, for people."""

    low: str
    high: str | None  # None: to the end
    shard: int
    owner: str
    state: str
    keys: int | None  # None: it does not answer
    size: int | None


class Regions:
    """A table. All methods may be called in many threads at once; the client stays the caller's."""

    def __init__(self, client: Client, table: str = "regions", timeout: float = 30.0) -> None:
        """``timeout``: seconds for each operation."""
        self._table, self._timeout = client.table(table), timeout
        self._known = Ranges()
        self._addresses: dict[int, str] = {}
        self._thread = threading.local()

    def create(self) -> None:
        """With one region, which has all keys."""
        self._table.create(shards=1, handler=HANDLER, timeout=self._timeout)
        self._table.wait(timeout=self._timeout)

    def put(self, key: str, value: bytes) -> None:
        """Done, and on disk, when this returns."""
        if len(value) > MOST_VALUE:
            raise ValueError(f"the value has {len(value)} bytes; at most {MOST_VALUE} are possible")
        self._write({"key": key}, value)

    def delete(self, key: str) -> None:
        """Also if there is no such key."""
        self._write({"key": key, "delete": True}, b"")

    def get(self, key: str) -> bytes | None:
        """None: there is no such key."""
        reply = self._ask(_checked(key), {"do": "get", "key": key})
        return reply.body if reply.fields["found"] else None

    def scan(self, low: str = "", high: str | None = None) -> Iterator[tuple[str, bytes]]:
        """From ``low`` on, below ``high``, sorted. Each piece of up to 1 MiB is of a moment of its own."""
        after: str | None = low
        while after is not None and (high is None or after < high):
            reply = self._ask(after, {"do": "scan", "low": after})
            for fields, value, _ in files.decode(reply.body):
                if high is not None and fields["key"] >= high:
                    return
                yield fields["key"], value
            after = reply.fields["after"]

    def split(self, key: str) -> None:
        """Make two regions of one; the second begins at the key. Nothing to do if one does already."""
        self._until(self._timeout, lambda: self._split_once(_checked(key)))

    def show(self) -> list[RegionState]:
        """All regions, by their keys."""
        self._until(self._timeout, self._look)
        states = {state.shard: state for state in self._table.show()}
        found = []
        for at, (low, shard, _) in enumerate(self._known.ranges):
            high = self._known.ranges[at + 1].low if at + 1 < len(self._known.ranges) else None
            state, fields = states[shard], self._status(shard)
            size = fields.get("keys"), fields.get("size")
            found.append(RegionState(low, high, shard, state.primary, state.state, *size))
        return found

    # ------------------------------------------------------------ how

    def _write(self, fields: dict[str, Any], value: bytes) -> None:
        if not hasattr(self._thread, "writer"):
            self._thread.writer, self._thread.number = uuid.uuid4().hex, 0
        self._thread.number += 1
        change = {**fields, "writer": self._thread.writer, "number": self._thread.number}
        self._ask(_checked(fields["key"]), {"do": "write", "change": change}, value)

    def _ask(self, key: str, fields: dict[str, Any], body: bytes = b"") -> Message:
        return self._until(self._timeout, lambda: self._call(key, fields, body))

    def _until(self, timeout: float, attempt: Callable[[], T]) -> T:
        """Again and again, with a fresh look at the table in between."""
        end, pause = time.monotonic() + timeout, FIRST_PAUSE
        while True:
            try:
                return attempt()
            except AGAIN as problem:
                if time.monotonic() + pause > end:
                    raise NotDoneError(f"not done within {timeout:g} s: {problem}") from problem
            time.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 1.5)
            try:
                self._look()
            except AGAIN:
                continue  # what is known may do

    def _call(
        self, key: str, fields: dict[str, Any], body: bytes = b"", timeout: float = ANSWER_SECONDS
    ) -> Message:
        if not self._known.ranges:
            self._look()
        address = self._addresses.get(self._known.ranges[self._known.at(key)].shard)
        if not address:
            raise RefusedError("the region has no owner")
        return call(address, fields, body, timeout)

    def _look(self) -> None:
        """Who has the shards; and from the first that answers, which of them has which keys."""
        self._addresses = {state.shard: state.address for state in self._table.show() if state.address}
        problem: Exception = RefusedError("no region has an owner")
        for address in self._addresses.values():
            try:
                known = Ranges.decode(call(address, {"do": "map"}, timeout=ANSWER_SECONDS).fields)
            except (RefusedError, OSError) as why:
                problem = why
                continue
            if known.ranges:
                self._known = max(self._known, known, key=lambda ranges: ranges.version)
                return
        raise problem

    def _split_once(self, key: str) -> None:
        self._look()
        if all(entry.low != key for entry in self._known.ranges):
            self._call(key, {"do": "split", "key": key}, timeout=SPLIT_SECONDS)

    def _status(self, shard: int) -> dict[str, Any]:
        try:
            return call(self._addresses.get(shard, ""), {"do": "status"}, timeout=ANSWER_SECONDS).fields
        except (RefusedError, OSError, ValueError):
            return {}


def _checked(key: str) -> str:
    if not key or len(key) > MOST_KEY:
        raise ValueError(f"key: it has {len(key)} characters; 1 to {MOST_KEY} are possible")
    return key
