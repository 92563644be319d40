"""For programs: produce and consume, whoever leads."""

import os
import secrets
import threading
import time
import zlib
from collections import defaultdict
from contextlib import suppress
from typing import Any, NamedTuple

from mwapp import Client, ShardState
from mwapp.errors import UnreachableError
from stores.partitions.log import MOST_BYTES, Record, decode
from stores.rpc import Message, RefusedError, call

HANDLER = "stores.partitions:Partition"
PAUSE_SECONDS = 0.02
# One try: a leader that does not answer may be frozen. To ask again is never wrong.
TRY_SECONDS = 0.8
# Who answers that there is nothing may lead no more: so often it is looked up who does.
LOOK_SECONDS = 2.0


class NoAnswerError(Exception):
    """Nobody has answered in time. A record may be stored all the same."""


class PartitionState(NamedTuple):
    """A partition, as its leader says; without an answer, what the ensemble knows."""

    partition: int
    leader: str
    generation: int
    in_sync: tuple[str, ...]
    acknowledged: int | None  # so many records; None: its leader does not answer


class _Producer:
    """Has a number of its own, and its records of a partition are numbered: so a record that is sent again,
    because no answer came, is appended once."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.number = secrets.randbits(63)  # another one in each process, whatever seeds that has set
        self.sequences: defaultdict[int, int] = defaultdict(int)
        self.locks: defaultdict[int, threading.Lock] = defaultdict(threading.Lock)


class Topic:
    """A topic. It is for any number of threads; what one thread produces stays in its order. A process that
    was forked is another producer."""

    def __init__(self, client: Client, name: str, *, timeout: float = 30.0) -> None:
        """``timeout``: how long each call tries, seconds."""
        self.name = name
        self._table = client.table(name)
        self._timeout = timeout
        self._producer = _Producer()
        self._leaders: dict[int, tuple[str, float]] = {}  # addresses, and when they were looked up
        self._partitions = 0

    def create(self, partitions: int, *, replicas: int = 3, spread: str = "") -> None:
        """Make it, and wait until every partition has all replicas, in sync. Raises NoAnswerError."""
        end = time.monotonic() + self._timeout
        self._table.create(shards=partitions, replicas=replicas, spread=spread, handler=HANDLER, shared=False)
        while lacking := [one.shard for one in self._table.show() if _in_sync(one) < replicas]:
            if time.monotonic() > end:
                raise NoAnswerError(f"{self.name} is made; partitions {lacking} have not all replicas yet")
            time.sleep(PAUSE_SECONDS)

    def partition_of(self, key: bytes) -> int:
        """Records of the same key come into the same partition, as long as there are as many."""
        if not self._partitions:
            self._partitions = len(self._table.show())
        return zlib.crc32(key) % self._partitions

    def produce(self, value: bytes, *, partition: int | None = None, key: bytes = b"") -> tuple[int, int]:
        """Append it. Returns its partition and offset once it is acknowledged: it is not lost any more.

        Raises NoAnswerError; ValueError if it is too long.
        """
        if len(value) > MOST_BYTES:
            raise ValueError(f"value: it has {len(value)} bytes; use at most {MOST_BYTES}")
        chosen = self.partition_of(key) if partition is None else partition
        producer = self._producing()
        with producer.locks[chosen]:
            producer.sequences[chosen] += 1
            fields = {"do": "append", "producer": producer.number, "sequence": producer.sequences[chosen]}
            return chosen, int(self._ask(chosen, fields, value).fields["offset"])

    def consume(self, partition: int, offset: int = 0, *, wait: float = 0.0) -> list[Record]:
        """Some records from there on, in their order. Only what is acknowledged is seen. If there is none, it
        waits that long for one. Raises NoAnswerError."""
        end = time.monotonic() + wait
        while True:
            rest = min(max(0.0, end - time.monotonic()), LOOK_SECONDS)
            fields = {"do": "read", "offset": offset, "wait": rest}
            if found := decode(self._ask(partition, fields, b"", TRY_SECONDS + rest).body):
                return found
            self._forget_if_old(partition)
            if time.monotonic() >= end:
                return []

    def show(self) -> list[PartitionState]:
        """All partitions."""
        found = []
        for shard in self._table.show():
            in_sync = [name for name, member in shard.members.items() if member.state == "sync"]
            told: dict[str, Any] = {"in_sync": sorted(in_sync), "acknowledged": None}
            with suppress(OSError, RefusedError):
                told |= self._try(shard.shard, shard.address, {"do": "state"}).fields
            more = tuple(told["in_sync"]), told["acknowledged"]
            found.append(PartitionState(shard.shard, shard.primary, shard.generation, *more))
        return found

    def _producing(self) -> _Producer:
        """As which producer: a fork has copied one with its numbers, which are its parent's."""
        if self._producer.process != os.getpid():
            self._producer = _Producer()  # threads may make one each: that is as good
        return self._producer

    def _forget_if_old(self, partition: int) -> None:
        """It has had nothing for us. If it is frozen, or cut off, its handler may never hear that another one
        leads."""
        _, looked_up = self._leaders.get(partition, ("", 0.0))
        if time.monotonic() - looked_up >= LOOK_SECONDS:
            self._leaders.pop(partition, None)

    def _ask(
        self, partition: int, fields: dict[str, Any], body: bytes = b"", seconds: float = TRY_SECONDS
    ) -> Message:
        """The leader, whoever that becomes."""
        end = time.monotonic() + self._timeout
        while True:
            try:
                return self._try(partition, self._leader(partition), fields, body, seconds)
            except (OSError, RefusedError, UnreachableError) as problem:
                self._leaders.pop(partition, None)
                if time.monotonic() > end:
                    raise NoAnswerError(f"{self.name}:{partition}: {problem}") from None
            time.sleep(PAUSE_SECONDS)

    def _leader(self, partition: int) -> str:
        """Its address, as it was when it was looked up."""
        address, _ = self._leaders.get(partition, ("", 0.0))
        if not address:
            now = time.monotonic()
            address = self._table.shard(partition).address
            self._leaders[partition] = address, now
        return address

    def _try(
        self,
        partition: int,
        address: str,
        fields: dict[str, Any],
        body: bytes = b"",
        seconds: float = TRY_SECONDS,
    ) -> Message:
        if not address:
            raise RefusedError("it has no leader")
        return call(address, {"table": self.name, "shard": partition, **fields}, body, seconds)


def _in_sync(shard: ShardState) -> int:
    """How many replicas, if there is a leader at work."""
    return (shard.state == "serving") * sum(member.state == "sync" for member in shard.members.values())
