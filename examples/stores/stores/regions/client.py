"""What a program does with a table: put, get, delete, scan. An operation is tried until it is done or its
time is over, whoever owns the region meanwhile."""

import os
import random
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
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.1


class NotDoneError(Exception):
    """Not in time. A write may have been done. It may yet be, until this thread has written something else to
    the same region."""


class RegionState(NamedTuple):
    """A region, for people."""

    low: str
    high: str | None  # None: to the end
    shard: int
    owner: str
    state: str
    keys: int | None  # None: it does not answer
    size: int | None  # characters of keys, and bytes of values


class Regions:
    """A table. All methods may be called in many threads at once; the client stays the caller's."""

    def __init__(self, client: Client, table: str = "regions", timeout: float = 30.0) -> None:
        """``timeout``: seconds for each operation."""
        self._table, self._timeout = client.table(table), timeout
        self._known = Ranges()
        self._addresses: dict[int, str] = {}
        self._thread = threading.local()

    def create(self) -> None:
        """With one region, which has all keys; or with those of a deleted table of that name: its data are
        still there."""
        self._table.create(shards=1, handler=HANDLER, timeout=self._timeout)
        self._table.wait(timeout=self._timeout)
        self._until(self._look)
        shards = 1 + max(entry.shard for entry in self._known.ranges)
        if shards > 1:
            self._table.resize(shards, timeout=self._timeout)
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
        _checked(key)
        self._until(lambda end: self._split_once(key, end), key)

    def show(self) -> list[RegionState]:
        """All regions, by their keys."""
        self._until(self._look)
        states = {state.shard: state for state in self._table.show()}
        found = []
        for at, (low, shard, _) in enumerate(self._known.ranges):
            high = self._known.ranges[at + 1].low if at + 1 < len(self._known.ranges) else None
            fields, state = self._status(shard), states.get(shard)
            owner = (state.primary, state.state) if state else ("", "missing")
            found.append(RegionState(low, high, shard, *owner, fields.get("keys"), fields.get("size")))
        return found

    # ------------------------------------------------------------ how

    def _write(self, fields: dict[str, Any], value: bytes) -> None:
        if getattr(self._thread, "process", None) != os.getpid():  # a fork is another writer
            self._thread.process, self._thread.writer, self._thread.number = os.getpid(), uuid.uuid4().hex, 0
        self._thread.number += 1
        change = {**fields, "writer": self._thread.writer, "number": self._thread.number}
        self._ask(_checked(fields["key"]), {"do": "write", "change": change}, value)

    def _ask(self, key: str, fields: dict[str, Any], body: bytes = b"") -> Message:
        return self._until(lambda end: self._call(key, fields, body, end), key)

    def _until(self, attempt: Callable[[float], T], key: str = "") -> T:
        """Again and again, with a fresh look at the table in between. The attempt is told when the time is
        over."""
        end, pause = time.monotonic() + self._timeout, FIRST_PAUSE
        reason: Exception = TimedOutError()
        while True:
            try:
                return attempt(end)
            except AGAIN as problem:
                reason = reason if isinstance(problem, TimedOutError) else problem
                if time.monotonic() + pause > end:
                    raise NotDoneError(f"not done within {self._timeout:g} s: {reason}") from problem
            time.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 1.5)
            try:
                self._look(end, key)
            except AGAIN:
                continue  # what is known may do

    def _call(
        self, key: str, fields: dict[str, Any], body: bytes, end: float, most: float = ANSWER_SECONDS
    ) -> Message:
        """Ask whoever has the key, and wait until ``end``, ``most`` seconds at most."""
        if not self._known.ranges:
            self._look(end, key)
        return self._ask_shard(self._known.ranges[self._known.at(key)].shard, fields, body, end, most)

    def _ask_shard(
        self, shard: int, fields: dict[str, Any], body: bytes, end: float, most: float = ANSWER_SECONDS
    ) -> Message:
        address, left = self._addresses.get(shard), end - time.monotonic()
        if not address:
            raise RefusedError("the region has no owner")
        if left <= 0:
            raise TimedOutError
        return call(address, {**fields, "table": self._table.name, "shard": shard}, body, min(left, most))

    def _look(self, end: float, key: str = "") -> None:
        """Who has the shards; and from one that answers, which of them has which keys. First from the one
        that has the key: others may be frozen, and are of no interest."""
        self._addresses = {state.shard: state.address for state in self._table.show() if state.address}
        own = self._known.ranges[self._known.at(key)].shard if self._known.ranges else None
        shards = random.sample(sorted(self._addresses), len(self._addresses))
        problem: Exception = TimedOutError() if shards else RefusedError("no region has an owner")
        for shard in sorted(shards, key=lambda shard: shard != own):
            try:
                known = Ranges.decode(self._ask_shard(shard, {"do": "map"}, b"", end).body)
            except (RefusedError, OSError) as why:
                problem = why
                continue
            if known.ranges:
                self._known = max(self._known, known, key=lambda ranges: ranges.version)
                return
        raise problem

    def _split_once(self, key: str, end: float) -> None:
        self._look(end, key)
        if all(entry.low != key for entry in self._known.ranges):
            self._call(key, {"do": "split", "key": key}, b"", end, self._timeout)

    def _status(self, shard: int) -> dict[str, Any]:
        try:
            return self._ask_shard(shard, {"do": "status"}, b"", time.monotonic() + ANSWER_SECONDS).fields
        except (RefusedError, OSError):
            return {}


def _checked(key: str) -> str:
    length = len(key.encode())
    if not 0 < length <= MOST_KEY:
        raise ValueError(f"key: it has {length} bytes; 1 to {MOST_KEY} are possible")
    return key
