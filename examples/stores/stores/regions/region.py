"""A region as its owner has it: on storage that all workers reach, and safe from owners that do not know yet
that they are none any more.

    SHARD/GENERATION/sorted    what was in it when the log began
    SHARD/GENERATION/log.3     every change since

An owner writes in the directory of its generation alone. To make that directory is to *seal* all lower ones:
an owner looks whether there is a higher one before it answers anything. A change is on disk before that look,
and a successor reads after it has made its directory. So the successor finds all that was acknowledged, and
nothing else is. That needs no lock, which a frozen owner would hold for ever.
"""

import os
import shutil
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from stores.regions import files
from stores.regions.contents import Child, Contents
from stores.rpc import RefusedError

# A log longer than this is over: a sorted file takes its place.
LONGEST_LOG = 1024 * 1024
SORTED, DRAFT = "sorted", "sorted.taken"
SEEDS = "seeds"
LATER = "there is a later owner"
MOST_TRIES = 100


class SealedError(RefusedError):
    """There is a later owner."""


class _Change:
    def __init__(self, fields: dict[str, Any], body: bytes = b"") -> None:
        self.fields, self.body = fields, body
        self.done: bool | None = None  # None: it waits; False: its key does not belong here


class OpenRegion:
    """Its methods may be called in many threads. An OSError means that nobody knows what is on disk: the
    process has to end."""

    def __init__(
        self, place: Path, generation: int, seed: Path | None, longest_log: int = LONGEST_LOG
    ) -> None:
        """Take it over. ``place``: its directory; ``seed``: the file that it begins with if it has never had
        an owner (None: empty, with all keys).

        Raises:
            SealedError: somebody with a higher generation has it, or had it.
        """
        self._place, self._generation, self._longest_log = place, generation, longest_log
        self._own = place / str(generation)
        self._reading = threading.Lock()  # around the contents
        self._waiting = threading.Lock()  # around what is to be written
        self._writing = threading.Lock()  # around the log
        self._batch: list[_Change] = []
        self._over = ""  # why it is, if it is
        self._seal()
        self._contents = self._take(seed)
        self._log = os.open(self._log_path(), os.O_WRONLY | os.O_APPEND)
        self._logged = os.fstat(self._log).st_size
        self._clean(seed)

    # ------------------------------------------------------------ taking over

    def _seal(self) -> None:
        files.make(self._place)
        if files.numbers(self._place)[-1:] > [self._generation]:
            raise SealedError(LATER)
        try:
            os.mkdir(self._own)
        except FileExistsError:
            raise SealedError(f"there was an owner of generation {self._generation} already") from None
        files.sync(self._place)

    def _take(self, seed: Path | None) -> Contents:
        """What the last owner has left, into our own directory. Meanwhile owners that are superseded may
        still flush, and later ones may clean up."""
        for _ in range(MOST_TRIES):
            try:
                contents, log = self._linked(seed)
            except FileNotFoundError:
                self._check()
                with suppress(FileNotFoundError):
                    os.unlink(self._own / DRAFT)
                continue
            whole = 0
            for fields, body, end in files.decode(log):
                contents.apply(fields, body)
                whole = end
            files.write(self._own / f"log.{contents.log}", log[:whole])
            files.sync(self._own)
            os.rename(self._own / DRAFT, self._own / SORTED)
            files.sync(self._own)
            self._check()
            return contents
        raise FileNotFoundError(f"{self._place}: a log or a sorted file is missing")

    def _linked(self, seed: Path | None) -> tuple[Contents, bytes]:
        """A sorted file, which is linked to our draft, and the log behind it. Raises FileNotFoundError."""
        draft = self._own / DRAFT
        for number in reversed(files.numbers(self._place)):
            last = self._place / str(number)
            if number < self._generation and (last / SORTED).exists():
                os.link(last / SORTED, draft)
                contents = Contents.decode(draft.read_bytes())
                return contents, (last / f"log.{contents.log}").read_bytes()
        self._check()  # has somebody cleaned up what we look for?
        if seed is None:
            files.write(draft, Contents().encode())
        else:
            os.link(seed, draft)
        return Contents.decode(draft.read_bytes()), b""

    def _clean(self, seed: Path | None) -> None:
        """Whoever had it before needs it no more, even if it does not know; and no split comes true any more
        that is not in what we have read."""
        for number in files.numbers(self._place):
            if number < self._generation:
                shutil.rmtree(self._place / str(number), ignore_errors=True)
        made = {child.seed for child in self._contents.children}
        for path in (self._place.parent / SEEDS).glob(f"{self._place.name}.*"):
            if path.name not in made and int(path.name.split(".")[1]) < self._generation:
                path.unlink(missing_ok=True)
        if seed is not None:
            seed.unlink(missing_ok=True)

    def _check(self) -> None:
        """Raises SealedError if there is a later owner; FileNotFoundError if our own directory is not there
        either: then this is not our storage (somebody has unmounted it), and it says nothing of owners."""
        found = [] if self._over else files.numbers(self._place)[-1:]
        if found > [self._generation]:
            self._over = LATER
        if self._over:
            raise SealedError(self._over)
        if found != [self._generation]:
            raise FileNotFoundError(f"{self._own} is gone: is the storage there?")

    # ------------------------------------------------------------ use

    def write(self, fields: dict[str, Any], body: bytes = b"") -> None:
        """A put or a delete: it is on disk when this returns. What comes meanwhile shares one write to disk.

        Raises:
            RefusedError: the key does not belong here.
            SealedError: there is a later owner; it may have found this change in the log.
        """
        change = _Change(fields, body)
        with self._waiting:
            self._batch.append(change)
        with self._writing:
            if change.done is None:
                self._commit()
        if not change.done:
            raise RefusedError("the key belongs to another region")

    def get(self, key: str) -> bytes | None:
        """Raises RefusedError, SealedError."""
        with self._reading:
            if not self._contents.has(key):
                raise RefusedError("the key belongs to another region")
            value = self._contents.values.get(key)
        self._check()
        return value

    def scan(self, low: str, most: int) -> tuple[bytes, str | None]:
        """Records of some keys from there on: of so many bytes, or of one key; and where to go on (None:
        nothing follows)."""
        found, size = list[bytes](), 0
        with self._reading:
            if not self._contents.has(low):
                raise RefusedError("the key belongs to another region")
            after = self._contents.high
            for key, value in self._contents.range(low):
                record = files.encode({"key": key}, value)
                size += len(record)
                if found and size > most:
                    after = key
                    break
                found.append(record)
        self._check()
        return b"".join(found), after

    def split(self, low: str, shard: int) -> None:
        """Keys from there on become another shard's, which begins with a file that we write. That is so once
        its record is in the log; before, the file is nobody's.

        Raises SealedError; RefusedError if ``low`` is no key between the others.
        """
        seed = f"{self._place.name}.{self._generation}.{shard}"
        with self._writing:
            if low == self._contents.low or not self._contents.has(low):
                raise RefusedError(f"{low!r} is not between the first key of the region and its end")
            files.replace(self._place.parent / SEEDS / seed, self._contents.upper(low).encode())
            with self._waiting:  # first of all: what waits comes behind the split, for it is not in the file
                self._batch.insert(0, _Change({"split": low, "shard": shard, "seed": seed}))
            self._commit()

    def close(self) -> None:
        """Finish what has begun; then nothing is answered any more."""
        with self._writing, self._waiting:
            self._over = self._over or "this is not its owner any more"
            self._batch.clear()

    @property
    def children(self) -> list[Child]:
        """What splits have made of it."""
        return list(self._contents.children)

    @property
    def size(self) -> int:
        """Bytes of keys and values."""
        return self._contents.size

    def middle(self) -> str | None:
        """The key at which to split it; None: it has too few."""
        with self._reading:
            return self._contents.middle()

    def status(self) -> dict[str, Any]:
        """For people."""
        with self._reading:
            return {"keys": len(self._contents.keys), "size": self._contents.size}

    # ------------------------------------------------------------ the log

    def _commit(self) -> None:
        """What waits, to disk; then, if nobody has followed us, it is so."""
        with self._waiting:
            batch, self._batch = self._batch, []
        self._check()
        data = b"".join(files.encode(change.fields, change.body) for change in batch)
        try:
            files.append(self._log, data)
            self._check()
            with self._reading:
                for change in batch:
                    change.done = self._contents.apply(change.fields, change.body)
            self._logged += len(data)
            if self._logged > self._longest_log:
                self._flush()
        except OSError as problem:
            self._over = f"it cannot be written: {problem}"
            raise

    def _flush(self) -> None:
        """A sorted file, and a new log. Whoever takes over meanwhile finds the old pair or the new one."""
        old, self._contents.log = self._log_path(), self._contents.log + 1
        files.write(self._log_path(), b"")
        files.sync(self._own)
        files.replace(self._own / SORTED, self._contents.encode())
        os.close(self._log)
        self._log = os.open(self._log_path(), os.O_WRONLY | os.O_APPEND)
        self._logged = 0
        os.unlink(old)

    def _log_path(self) -> Path:
        return self._own / f"log.{self._contents.log}"
