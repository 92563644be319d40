"""The handler: one region, served at a port of this worker while it is the primary."""

import os
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from mwapp.errors import MwappError
from mwapp.handlers import Shard, Term
from stores.regions import files, ranges
from stores.regions.ranges import MAP, Range
from stores.regions.region import SEEDS, OpenRegion
from stores.rpc import Message, RefusedError, Server

STORAGE = "STORES_REGIONS_DIR"
# A region of more bytes than this is split: who takes it over reads all of it before it serves.
LARGEST = int(os.environ.get("STORES_REGION_BYTES", 1024 * 1024))
MOST_SCANNED = 1024 * 1024
# How long a new shard has to get an owner before a split, and after how long a failed split is tried again.
OWNER_SECONDS, PAUSE = 20.0, 2.0


class Region(Shard):
    """All of them also tell the map of ranges, those without keys, too."""

    def open(self, _term: Term) -> None:
        root = Path(os.environ[STORAGE])
        if not root.is_dir():  # is it mounted?
            raise FileNotFoundError(f"{STORAGE}={root} is not there; it has to exist on every worker")
        if root.is_mount():
            raise ValueError(
                f"{STORAGE}={root} is where something is mounted: use a directory below it, which is not "
                "there while nothing is"
            )
        self._table_place = root / self.table
        self._region: OpenRegion | None = None
        self._over = threading.Event()  # this term is
        self._beginning = threading.Lock()
        self._splitting = threading.Lock()
        self._split_at = 0.0  # not before
        for directory in (self._table_place, self._table_place / MAP, self._table_place / SEEDS):
            files.make(directory)
        self._server = Server(self._answer)
        self.address = self._server.address

    def promote(self, term: Term) -> None:
        self._stop()
        self._over = threading.Event()
        if self.shard == 0:
            ranges.begin(self._table_place, 0)
        if not self._begin(term.generation):
            threading.Thread(target=self._await_keys, args=(term.generation, self._over), daemon=True).start()

    def handover(self, _term: Term, _to: str) -> None:
        self._stop()

    def demote(self, _term: Term) -> None:
        self._stop()

    def close(self) -> None:
        self._server.close()
        self._stop()

    def _stop(self) -> None:
        self._over.set()
        with self._beginning:
            if self._region is not None:
                self._region.close()

    def _begin(self, generation: int) -> bool:
        """Serve, if the map has keys for us."""
        mine = ranges.read(self._table_place).of(self.shard)
        if mine is None:
            return False
        seed = self._table_place / SEEDS / mine.seed if mine.seed else None
        region = OpenRegion(self._table_place / str(self.shard), generation, seed)
        for child in region.children:  # our predecessor may have died before it told
            ranges.add(self._table_place, Range(*child))
        self._region = region
        return True

    def _await_keys(self, generation: int, over: threading.Event) -> None:
        """A new shard, until a split has given it keys."""
        try:
            while not over.wait(0.03):
                with self._beginning:
                    if over.is_set() or self._begin(generation):
                        return
        except BaseException:
            _die()

    # ------------------------------------------------------------ requests

    def _answer(self, request: Message) -> Message:
        fields, region = request.fields, self._region
        do = fields.get("do")
        if (fields.get("table"), fields.get("shard")) != (self.table, self.shard):
            raise RefusedError(f"here is shard {self.shard} of {self.table}")  # who had the port is gone
        try:
            if do == "map":
                return Message({}, ranges.read(self._table_place).encode())
            if region is None:
                raise RefusedError("this worker does not serve this region")
            if do == "get":
                value = region.get(fields["key"])
                return Message({"found": value is not None}, value or b"")
            if do == "scan":
                body, after = region.scan(fields["low"], MOST_SCANNED)
                return Message({"after": after}, body)
            if do == "status":
                return Message(region.status())
            if do == "split":
                key = fields["key"]
                if not self._splitting.acquire(blocking=False):
                    raise RefusedError("it is being split")
                self._split(region, key)
            elif do == "write":
                region.write(fields["change"], request.body)
                self._split_if_large(region)
            else:
                raise RefusedError(f"no such request: {do}")
            return Message({})
        except OSError:
            _die()
            raise

    def _split_if_large(self, region: OpenRegion) -> None:
        large = region.size > LARGEST and time.monotonic() >= self._split_at
        if large and self._splitting.acquire(blocking=False):
            threading.Thread(target=self._split_large, args=(region,), daemon=True).start()

    def _split_large(self, region: OpenRegion) -> None:
        key = region.middle()
        if key is None:  # one large value
            self._split_at = time.monotonic() + PAUSE
            self._splitting.release()
            return
        try:
            self._split(region, key)
        except OSError:
            _die()
        except Exception:  # the ensemble is away, or another has the shard by now: later, or never
            traceback.print_exc()
            self._split_at = time.monotonic() + PAUSE

    def _split(self, region: OpenRegion, key: str) -> None:
        """Make a shard, wait until it has an owner, give it the keys, and tell. One at a time."""
        try:
            shard = ranges.reserve(self._table_place, self.shard)
            self._make_shard(shard)
            region.split(key, shard)
            ranges.add(self._table_place, Range(*region.children[-1]))
        finally:
            self._splitting.release()

    def _make_shard(self, shard: int) -> None:
        """Until it has an owner. Raises RefusedError."""
        from mwapp import Client  # here, because no take-over waits for that import

        end = time.monotonic() + OWNER_SECONDS
        try:
            with Client() as client:
                table = client.table(self.table)
                if len(table.show()) <= shard:
                    table.resize(shard + 1, timeout=OWNER_SECONDS)
                while table.shard(shard).state != "serving":
                    if time.monotonic() > end:
                        raise RefusedError(f"shard {shard}, which is to get half of the keys, has no owner")
                    time.sleep(0.1)
        except (MwappError, OSError) as problem:  # of the network: our storage is as it was
            raise RefusedError(f"shard {shard}, which is to get half of the keys: {problem}") from problem


def _die() -> Any:
    """Nobody knows what is on disk: whoever begins anew reads it."""
    traceback.print_exc()
    sys.stderr.flush()
    os._exit(1)
