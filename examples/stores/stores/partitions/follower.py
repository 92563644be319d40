"""A replica that follows: it pulls from the leader of one generation what it lacks."""

import os
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, NoReturn

from mwapp.handlers import Term
from stores.partitions.log import Log
from stores.rpc import Connection, RefusedError

PAUSE_SECONDS = 0.02
# After so many refusals the address is looked up anew.
REFUSALS = 25
# An answer comes sooner, even if there is nothing new.
SILENCE_SECONDS = 2.0


class Addresses:
    """Where the replicas of a partition are. They tell each other; if that is not enough, the ensemble is
    asked. It is for any thread."""

    def __init__(self, table: str, shard: int) -> None:
        self._table, self._shard = table, shard
        self.known: dict[str, str] = {}

    def learn(self, more: Mapping[str, str]) -> None:
        """Somebody has said so."""
        self.known = {**self.known, **more}

    def forget(self, worker: str) -> None:
        """It is not there."""
        self.known = {name: address for name, address in self.known.items() if name != worker}

    def find(self, worker: str, stopped: Callable[[], bool]) -> str:
        """Its address; it may take until that worker has opened its replica. "" if it was stopped."""
        if address := self.known.get(worker):
            return address
        from mwapp import Client  # seldom needed, and it takes a while

        with Client() as client:
            while not stopped():
                members = client.table(self._table).shard(self._shard).members
                self.learn({name: member.address for name, member in members.items() if member.address})
                if address := self.known.get(worker):
                    return address
                time.sleep(PAUSE_SECONDS)
        return ""


class Follower:
    """Follows the leader of that term in a thread, until it is stopped.

    ``lock`` is for the log. ``joined``: the leader of this generation acknowledges nothing any more without
    this replica, which has everything that was acknowledged.
    """

    def __init__(
        self, log: Log, lock: threading.Condition, addresses: Addresses, term: Term, me: dict[str, Any]
    ) -> None:
        """``me`` are the fields of each request."""
        self._log, self._lock, self._addresses, self._term = log, lock, addresses, term
        self._request = me | {"do": "fetch", "generation": term.generation}
        self._stopped = False
        self._connection: Connection | None = None
        self.joined = False
        threading.Thread(target=or_die, args=(self._follow,), daemon=True).start()

    def stop(self) -> None:
        """The log is not changed any more. Call it with the lock."""
        self._stopped = True
        if self._connection is not None:
            self._connection.close()

    def _follow(self) -> None:
        from mwapp.errors import MwappError

        leader, refused = self._term.primary, 0
        while not self._stopped:
            try:
                address = self._addresses.find(leader, lambda: self._stopped)
                if address:
                    self._pull_from(address)
            except RefusedError:  # it does not lead yet, or somebody else has the address now
                refused += 1
                if refused % REFUSALS == 0:
                    self._addresses.forget(leader)
            except OSError:  # of the network: what the disk says is a DiskError
                self._addresses.forget(leader)
            except MwappError:  # the ensemble does not answer
                pass
            time.sleep(PAUSE_SECONDS)

    def _pull_from(self, address: str) -> None:
        connection = Connection(address, SILENCE_SECONDS)
        try:
            with self._lock:
                self._connection = connection
            while not self._stopped:
                self._pull(connection)
        finally:
            connection.close()

    def _pull(self, connection: Connection) -> None:
        """What it asks for is what it has on disk: so the leader knows."""
        with self._lock:
            if self._stopped:
                return
            end, last = self._log.end, self._log.last
        reply = connection.call(self._request | {"end": end, "last": last})
        with self._lock:
            if self._stopped:
                return
            if reply.fields["end"] < end:
                self._log.truncate(reply.fields["end"])
                return
            self._addresses.learn(reply.fields["addresses"])
            if reply.body:
                self._log.append_copies(reply.body)
                self._log.sync()
            acknowledged = min(reply.fields["acknowledged"], self._log.end)
            self._log.acknowledge(max(self._log.acknowledged, acknowledged))
            self.joined = self.joined or reply.fields["joined"]


def or_die(run: Callable[[], None]) -> None:
    """A replica whose thread has ended by an error is none: its worker opens it anew."""
    try:
        run()
    except BaseException:
        die()


def die() -> NoReturn:
    """Say which error it was, and end at once."""
    with suppress(OSError):
        traceback.print_exc()
    os._exit(1)
