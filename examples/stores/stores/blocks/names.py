"""What HDFS's name node knows, as znodes below the application's own: which file has which blocks.

    /files/<table>/<path>           a file: its blocks in their order. The path is quoted, so it is one name
    /files/<table>/<path>/<writer>  empty: who has written it
    /writing/<table>/<writer>       ephemeral: somebody writes a file; all of its blocks begin with this name

A file is made or replaced in the transaction that deletes its writer's znode. So it appears whole or not at
all, it appears once whatever becomes of the reply, and not at all when the writer's session has ended.

Who replaces or deletes a file deletes the name of its last writer, which is never used again. The version of
its znode would not do: it is 0 again for a file that was deleted and made anew meanwhile.
"""

import json
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Self
from urllib.parse import quote, unquote

from kazoo.client import KazooClient
from kazoo.exceptions import (
    ConnectionClosedError,
    ConnectionLoss,
    NodeExistsError,
    NoNodeError,
    OperationTimeoutError,
    RolledBackError,
    RuntimeInconsistency,
    SessionExpiredError,
)
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.retry import KazooRetry, RetryFailedError

FILES, WRITING = "/files", "/writing"
# A znode has at most 1 MB. So many entries are 400 KB.
MOST_BLOCKS = 5000
MOST_PATH = 300
_LOST = (
    *(ConnectionLoss, ConnectionClosedError, OperationTimeoutError, SessionExpiredError),
    *(KazooTimeoutError, RetryFailedError),
)
ASK_AGAIN_SECONDS = 0.1


class NoSuchFileError(Exception):
    """The message is its path."""


class ConflictError(Exception):
    """Somebody else has made, replaced or deleted the file meanwhile. Nothing was changed."""


class EndedError(Exception):
    """The writer's session has ended, and so has its right to make the file. Write it again."""


class Block(NamedTuple):
    """A part of a file."""

    name: str
    group: int
    length: int
    checksum: str


class File(NamedTuple):
    """A file that is there."""

    path: str
    writer: str  # another one whenever it is made or replaced
    blocks: tuple[Block, ...]

    @property
    def length(self) -> int:
        """In bytes."""
        return sum(block.length for block in self.blocks)

    def encode(self) -> bytes:
        """The znode's data."""
        return json.dumps({"writer": self.writer, "blocks": self.blocks}, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, path: str, data: bytes) -> Self:
        """Raises ValueError: a person has written it."""
        try:
            value = json.loads(data)
            blocks = tuple(Block(*block) for block in value["blocks"])
            return cls(path, str(value["writer"]), blocks)
        except (ValueError, KeyError, TypeError) as problem:
            raise ValueError(f"{path} is no file: {problem!r}") from None


def znode(path: str, table: str) -> str:
    """Where the file is. Raises ValueError if no file can have that path."""
    name = quote(path, safe=" ")
    if not path.isprintable() or path in ("", ".", "..") or len(name) > MOST_PATH:
        raise ValueError(f"no file can have the path {path[:80]!r}")
    return f"{FILES}/{table}/{name}"


class Names:
    """The files of a table, by a session of its own. It is for one thread at a time, and for one process."""

    def __init__(self, table: str, connect: str | None = None, timeout: float = 10.0) -> None:
        """``connect`` as everywhere in mwapp, by default MWAPP_CONNECT; with TLS the files that MWAPP_TLS_CA
        and its like name. Raises OSError."""
        ca, cert = os.environ.get("MWAPP_TLS_CA"), os.environ.get("MWAPP_TLS_CERT")
        again = KazooRetry(max_tries=-1, delay=ASK_AGAIN_SECONDS, backoff=1, max_delay=1.0, deadline=timeout)
        self._table, self._retry, self._owner = table, again, os.getpid()
        self._files, self._writing = f"{FILES}/{table}", f"{WRITING}/{table}"
        self._zookeeper = KazooClient(
            connect or os.environ.get("MWAPP_CONNECT", "127.0.0.1:2181"),
            timeout=timeout,
            connection_retry=KazooRetry(max_tries=-1, delay=ASK_AGAIN_SECONDS, max_delay=1.0),
            command_retry=again,
            use_ssl=bool(ca),
            ca=ca,
            certfile=cert,
            keyfile=os.environ.get("MWAPP_TLS_KEY") or cert,
            check_hostname=bool(ca),
        )
        try:
            self._zookeeper.start(timeout)
        except KazooTimeoutError:
            raise ConnectionError("the ensemble does not answer (MWAPP_CONNECT)") from None

    def close(self) -> None:
        """End the session, and with it all writers. In a process that was forked there is nothing to end."""
        if os.getpid() != self._owner:
            return
        self._zookeeper.stop()
        self._zookeeper.close()

    def make_parents(self) -> None:
        """Once, before the first file."""
        for parent in (self._files, self._writing):
            self._try(self._zookeeper.ensure_path, parent)

    # ------------------------------------------------------------ writing

    def begin(self) -> str:
        """A new writer, who is as long as our session, or until its file is there. No name is used twice.

        Raises ValueError: the table was not made by :meth:`Files.create`.
        """

        def create() -> str:
            writer = uuid.uuid4().hex[:16]
            self._zookeeper.create(f"{self._writing}/{writer}", ephemeral=True)
            return writer

        try:
            return str(self._try(create))
        except NoNodeError:
            raise ValueError(f"there is no {self._writing}: create the table by stores.blocks") from None

    def end(self, writer: str) -> None:
        """Without a file."""
        with suppress(NoNodeError):
            self._try(self._zookeeper.delete, f"{self._writing}/{writer}")

    def commit(self, file: File, before: File | None) -> None:
        """Make the file, or replace the one that was there ``before``. The writer has ended then.

        Raises ConflictError, EndedError. Anything else, a connection lost for good: nobody knows.
        """
        if len(file.blocks) > MOST_BLOCKS:
            raise ValueError(f"{file.path}: more than {MOST_BLOCKS} blocks do not fit into a znode")

        where = znode(file.path, self._table)

        def commit() -> list[Any]:
            transaction = self._zookeeper.transaction()
            transaction.delete(f"{self._writing}/{file.writer}")
            if before is None:
                transaction.create(where, file.encode())
            else:
                transaction.delete(f"{where}/{before.writer}")
                transaction.set_data(where, file.encode())
            transaction.create(f"{where}/{file.writer}")
            return list(transaction.commit())

        writing, *others = self._try(commit)  # again after a lost reply: it deletes, so it is done once
        if any(isinstance(other, NodeExistsError | NoNodeError) for other in others):
            raise ConflictError(file.path)
        if isinstance(writing, NoNodeError):
            there = self.find(file.path)
            if there is None or there.writer != file.writer:
                raise EndedError(file.path)
            return
        _check([writing, *others])

    def delete(self, path: str) -> None:
        """If it is replaced meanwhile, that file. Raises NoSuchFileError. Its blocks are garbage then."""
        file: File | None = self.read(path)
        where = znode(path, self._table)

        def delete(writer: str) -> list[Any]:
            transaction = self._zookeeper.transaction()
            transaction.delete(f"{where}/{writer}")
            transaction.delete(where)
            return list(transaction.commit())

        while file is not None:
            results = self._try(delete, file.writer)
            before = file
            if not any(isinstance(result, NoNodeError) for result in results):
                _check(results)
                return
            file = self.find(path)  # if it is gone, perhaps by us: the reply was lost
            if file is not None and file.writer == before.writer:
                raise ValueError(f"{path} is no file: there is no {where}/{before.writer}")

    # ------------------------------------------------------------ reading

    def find(self, path: str) -> File | None:
        """The file, if it is there."""
        try:
            data, _ = self._try(self._zookeeper.get, znode(path, self._table))
        except NoNodeError:
            return None
        return File.decode(path, data)

    def read(self, path: str) -> File:
        """Raises NoSuchFileError."""
        found = self.find(path)
        if found is None:
            raise NoSuchFileError(path)
        return found

    def paths(self) -> list[str]:
        """Of all files, in order."""
        return sorted(map(unquote, self._children(self._files)))

    def all(self) -> Iterator[File]:
        """Every file that is there from the call to the end."""
        return (found for path in self.paths() if (found := self.find(path)) is not None)

    def writers(self) -> set[str]:
        """Who writes now: what is seen is not older than this call."""
        self._try(self._zookeeper.sync, self._writing)
        return set(self._children(self._writing))

    def _children(self, parent: str) -> list[str]:
        try:
            return list(self._try(self._zookeeper.get_children, parent))
        except NoNodeError:  # nobody has made it yet
            return []

    def needs(self, group: int) -> bool:
        """Whether a file has blocks of that group, or one that is being written may have."""
        return bool(self.writers()) or any(
            block.group == group for file in self.all() for block in file.blocks
        )

    def labels(self, workers: Sequence[str]) -> dict[str, str]:
        """The labels of workers, which mwapp has in /holders."""
        found = {}
        for worker in workers:
            try:
                data, _ = self._try(self._zookeeper.get, f"/holders/{worker}")
                found[worker] = " ".join(json.loads(data).get("labels", ()))
            except (NoNodeError, ValueError, AttributeError):
                found[worker] = ""
        return found

    def _try(self, function: Any, *arguments: Any) -> Any:
        """Again while there is no connection. Raises OSError in the end."""
        if os.getpid() != self._owner:
            raise ConnectionError("a fork does not copy the connection: make a new client in this process")
        try:
            return self._retry.copy()(function, *arguments)
        except _LOST as problem:
            raise ConnectionError(f"the ensemble does not answer: {problem!r}") from None


def _check(results: Sequence[Any]) -> None:
    """Raises what a transaction has failed of."""
    for result in results:
        if isinstance(result, Exception) and not isinstance(result, RolledBackError | RuntimeInconsistency):
            raise result
