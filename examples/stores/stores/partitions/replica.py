"""What a worker runs for each partition that it has: a replica, which leads or follows.

The leader appends, followers pull. A record is acknowledged when all replicas in sync have it on disk
(:mod:`stores.partitions.in_sync`). Requests between replicas carry their generation, and a leader answers
those of its own alone. So a leader that was replaced acknowledges nothing: whoever replaced it was in sync,
and does not follow it any more.
"""

import os
import threading
from pathlib import Path
from typing import Any

from mwapp.handlers import Shard, Term
from stores.partitions.follower import Addresses, Follower, die, or_die
from stores.partitions.in_sync import InSync
from stores.partitions.log import MOST_BYTES, DiskError, Log
from stores.rpc import Message, RefusedError, Server

# How long an append waits to be acknowledged, and a fetch for something new. Who asks asks again.
APPEND_SECONDS = 0.5
FETCH_SECONDS = 0.5
MOST_READ_SECONDS = 10.0
# A handover may wait so long for the others: its worker gives it 10 s.
HANDOVER_SECONDS = 6.0
# What one answer carries.
MOST_READ = 1024 * 1024


class Partition(Shard):
    """A replica of a partition. Its log is below ``STORES_DIR``/WORKER.

    The lock ``_changed`` is for everything, and tells whoever waits. Only flushing the leader's log is done
    without it: appends that come meanwhile share the next flush.
    """

    def open(self, term: Term) -> None:
        """Be a replica."""
        directory = Path(os.environ["STORES_DIR"], self.worker, "partitions", f"{self.table}-{self.shard}")
        self._changed = threading.Condition()
        self._log = Log(directory, self.table_czxid, copy=term.members.get(self.worker) == "copy")
        self._in_sync: InSync | None = None  # only the leader has it
        self._readable = 0  # the leader answers readers when so much is acknowledged
        self._reign = 0  # grows when it leads no more
        self._taking = False  # appends
        self._follower: Follower | None = None
        self._addresses = Addresses(self.table, self.shard)
        self._server = Server(self._answer)
        self.address = self._server.address
        threading.Thread(target=or_die, args=(self._flush,), daemon=True).start()
        self.demote(term)

    def caught_up(self) -> bool:
        """Without a leader: of those in sync none was left, and this one was; its log is whole, or it would
        not be open."""
        with self._changed:
            if not self._term.primary:
                return self._term.members.get(self.worker) == "back"
            return self._follower is not None and self._follower.joined

    def promote(self, term: Term) -> None:
        """Lead. Whoever leads already goes on, under another generation, with those that are in sync then."""
        with self._changed:
            self._stop_following()
            self._lead(term)
            self._taking = True

    def demote(self, term: Term) -> None:
        """Follow the leader of this generation, if there is one."""
        with self._changed:
            self._stop_leading()
            self._stop_following()
            self._term = term
            self._log.sync()  # a follower says that it has on disk what it has
            if term.primary not in ("", self.worker):
                me = {"table": self.table, "shard": self.shard, "worker": self.worker}
                self._follower = Follower(
                    self._log, self._changed, self._addresses, term, me | {"address": self.address}
                )

    def handover(self, term: Term, to: str) -> None:
        """Append nothing more, and wait until those in sync, of which the next leader is one, have all."""
        with self._changed:
            if self._in_sync is not None and self._in_sync.generation < term.generation:
                self._lead(term)
            self._taking = False
            if to and self._in_sync is not None:
                self._changed.wait_for(lambda: self._log.acknowledged == self._log.end, HANDOVER_SECONDS)
            self._stop_leading()

    def close(self) -> None:
        """Neither lead nor follow. The process ends now, with its threads."""
        with self._changed:
            self._stop_leading()
            self._stop_following()

    # ------------------------------------------------------------ what it is; with the lock

    def _lead(self, term: Term) -> None:
        if self._in_sync is None:  # the leader before may have acknowledged all that is here
            self._readable = self._log.end
        self._term = term
        self._in_sync = InSync(term, self.worker, self._log.end)
        self._note(self.worker, self._log.durable)
        self._changed.notify_all()

    def _stop_leading(self) -> None:
        self._in_sync, self._taking = None, False
        self._reign += 1
        self._changed.notify_all()

    def _stop_following(self) -> None:
        if self._follower is not None:
            self._follower.stop()
        self._follower = None

    def _note(self, worker: str, end: int) -> bool:
        """It has all up to there on disk. Returns whether it is in sync."""
        assert self._in_sync is not None  # noqa: S101 - it leads; tells mypy
        joined = self._in_sync.has(worker, end, self._log.acknowledged)
        if (acknowledged := self._in_sync.acknowledged()) > self._log.acknowledged:
            self._log.acknowledge(acknowledged)
            self._changed.notify_all()
        return joined

    # ------------------------------------------------------------ the leader's disk

    def _flush(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(self._has_to_flush)
                reign, end = self._reign, self._log.end
            self._log.flush()
            with self._changed:
                if reign == self._reign and end > self._log.durable:
                    self._log.durable = end
                    self._note(self.worker, end)

    def _has_to_flush(self) -> bool:
        return self._in_sync is not None and self._log.durable < self._log.end

    # ------------------------------------------------------------ requests

    def _answer(self, request: Message) -> Message:
        fields = request.fields
        answers = {"append": self._append, "fetch": self._fetch, "read": self._read, "state": self._state}
        try:
            if (fields["table"], fields["shard"]) != (self.table, self.shard):
                raise RefusedError(f"{self.address} has another partition now")
            with self._changed:
                return answers[fields["do"]](fields, request.body)
        except (KeyError, TypeError, ValueError) as problem:
            raise RefusedError(f"no such request: {problem!r}") from None
        except DiskError:
            die()

    def _leading(self) -> InSync:
        if self._in_sync is None:
            raise RefusedError(f"{self.worker} does not lead")
        return self._in_sync

    def _append(self, fields: dict[str, Any], value: bytes) -> Message:
        """The same record of the same producer, sent again, is not appended again."""
        generation, reign = self._leading().generation, self._reign
        producer, sequence = int(fields["producer"]), int(fields["sequence"])
        if not self._taking or len(value) > MOST_BYTES:
            raise RefusedError(f"{self.worker} hands over" if not self._taking else "value: it is too long")
        latest, offset = self._log.latest_of(producer)
        if sequence < latest:
            raise RefusedError(f"record {sequence} comes late: {latest} of the same producer is there")
        if sequence > latest:
            offset = self._log.append(generation, producer, sequence, value)
            self._changed.notify_all()
        self._changed.wait_for(
            lambda: self._reign != reign or self._log.acknowledged > offset, APPEND_SECONDS
        )
        if self._reign != reign or self._log.acknowledged <= offset:
            raise RefusedError("it is not acknowledged, and may yet be")
        return Message({"offset": offset})

    def _fetch(self, fields: dict[str, Any], _body: bytes) -> Message:
        """A follower tells what it has, and gets what comes next."""
        in_sync, worker = self._leading(), fields["worker"]
        if fields["generation"] != in_sync.generation or not in_sync.may_follow(worker):
            raise RefusedError(f"{worker} does not follow under generation {in_sync.generation}")
        end = self._log.agrees(fields["end"], fields["last"])
        if end < fields["end"]:
            return Message({"end": end})
        self._addresses.learn({worker: fields["address"], self.worker: self.address})
        joined = self._note(worker, end)
        self._changed.wait_for(lambda: self._in_sync is not in_sync or self._log.end > end, FETCH_SECONDS)
        if self._in_sync is not in_sync:
            raise RefusedError(f"generation {in_sync.generation} is over")
        told = {"acknowledged": self._log.acknowledged, "addresses": self._addresses.known}
        more = self._log.read(end, self._log.end, MOST_READ)
        return Message({"end": end, "joined": joined, **told}, more)

    def _read(self, fields: dict[str, Any], _body: bytes) -> Message:
        """For consumers: only what is acknowledged, and all that anybody has been told is acknowledged."""
        self._leading()
        reign, start, wait = self._reign, int(fields["offset"]), min(float(fields["wait"]), MOST_READ_SECONDS)

        def acknowledges(end: int) -> bool:
            return self._reign != reign or self._log.acknowledged >= end

        self._changed.wait_for(lambda: acknowledges(self._readable), APPEND_SECONDS)
        self._changed.wait_for(lambda: acknowledges(start + 1), wait)
        acknowledged = self._log.acknowledged
        if self._reign != reign or acknowledged < self._readable:
            raise RefusedError(f"{self.worker} leads no more, or does not know yet what is acknowledged")
        return Message({"acknowledged": acknowledged}, self._log.read(start, acknowledged, MOST_READ))

    def _state(self, _fields: dict[str, Any], _body: bytes) -> Message:
        in_sync, log = self._leading(), self._log
        told = {"generation": in_sync.generation, "in_sync": sorted(in_sync.names)}
        return Message(told | {"end": log.end, "acknowledged": log.acknowledged})
