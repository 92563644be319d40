"""What HDFS's name node knows, as znodes below the application's own: which file has which blocks.

    /files/<path>       a file: its blocks in their order. The path is quoted, so it is one name
    /writing/<writer>   ephemeral: somebody writes a file, and every block of it begins with this name

A file is made or replaced in the transaction that deletes its writer's znode. So it appears whole or not at
all, it appears once whatever becomes of the reply, and not at all when the writer's session has ended.
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
    BadVersionError,
    ConnectionClosedError,
    ConnectionLoss,
    NodeExistsError,
    NoNodeError,
    OperationTimeoutError,
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
RETRY_SECONDS = 0.1


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
    """A file that is there. The version of its znode grows when it is replaced."""

    path: str
    writer: str
    blocks: tuple[Block, ...]
    version: int = 0

    @property
    def length(self) -> int:
        """In bytes."""
        return sum(block.length for block in self.blocks)

    def encode(self) -> bytes:
        """The znode's data."""
        return json.dumps({"writer": self.writer, "blocks": self.blocks}, separators=(",", ":")).encode()

    @classmethod
    def decode(cls, path: str, data: bytes, version: int) -> Self:
        """Raises ValueError: a person has written it."""
        try:
            value = json.loads(data)
            blocks = tuple(Block(*block) for block in value["blocks"])
            return cls(path, str(value["writer"]), blocks, version)
        except (ValueError, KeyError, TypeError) as problem:
            raise ValueError(f"{znode(path)} is no file: {problem!r}") from None


def znode(path: str) -> str:
    """Where the file is. Raises ValueError if no file can have that path."""
    name = quote(path, safe=" ")
    if not path.isprintable() or path in ("", ".", "..") or len(name) > MOST_PATH:
        raise ValueError(f"no file can have the path {path[:80]!r}")
    return f"{FILES}/{name}"


class Names:
    """A session. It is for one thread at a time."""

    def __init__(self, connect: str | None = None, timeout: float = 10.0) -> None:
        """``connect`` as everywhere in mwapp, by default MWAPP_CONNECT; with TLS the files that MWAPP_TLS_CA
        and its like name. Raises OSError."""
        ca, cert = os.environ.get("MWAPP_TLS_CA"), os.environ.get("MWAPP_TLS_CERT")
        again = KazooRetry(max_tries=-1, delay=RETRY_SECONDS, backoff=1, max_delay=1.0, deadline=timeout)
        self._retry = again
        self._zookeeper = KazooClient(
            connect or os.environ.get("MWAPP_CONNECT", "127.0.0.1:2181"),
            timeout=timeout,
            connection_retry=KazooRetry(max_tries=-1, delay=RETRY_SECONDS, max_delay=1.0),
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
        """End the session, and with it all writers."""
        self._zookeeper.stop()
        self._zookeeper.close()

    def make_parents(self) -> None:
        """Once, before the first file."""
        for parent in (FILES, WRITING):
            self._try(self._zookeeper.ensure_path, parent)

    # ------------------------------------------------------------ writing

    def begin(self) -> str:
        """A new writer, who is as long as our session, or until its file is there. No name is used twice."""

        def create() -> str:
            writer = uuid.uuid4().hex[:16]
            self._zookeeper.create(f"{WRITING}/{writer}", ephemeral=True)
            return writer

        return str(self._try(create))

    def end(self, writer: str) -> None:
        """Without a file."""
        with suppress(NoNodeError):
            self._try(self._zookeeper.delete, f"{WRITING}/{writer}")

    def commit(self, file: File, before: File | None) -> None:
        """Make the file, or replace the one that was there ``before``. The writer has ended then.

        Raises ConflictError, EndedError. Anything else, a connection lost for good: nobody knows.
        """
        if len(file.blocks) > MOST_BLOCKS:
            raise ValueError(f"{file.path}: more than {MOST_BLOCKS} blocks do not fit into a znode")

        def commit() -> list[Any]:
            transaction = self._zookeeper.transaction()
            transaction.delete(f"{WRITING}/{file.writer}")
            if before is None:
                transaction.create(znode(file.path), file.encode())
            else:
                transaction.set_data(znode(file.path), file.encode(), before.version)
            return list(transaction.commit())

        first, second = self._try(commit)  # again after a lost reply: it deletes, so it is done once
        if isinstance(second, BadVersionError | NodeExistsError | NoNodeError):
            raise ConflictError(file.path)
        if isinstance(first, NoNodeError):
            there = self.find(file.path)
            if there is None or there.writer != file.writer:
                raise EndedError(file.path)
        elif isinstance(first, Exception):
            raise first

    # ------------------------------------------------------------ reading

    def find(self, path: str) -> File | None:
        """The file, if it is there."""
        try:
            data, stat = self._try(self._zookeeper.get, znode(path))
        except NoNodeError:
            return None
        return File.decode(path, data, stat.version)

    def read(self, path: str) -> File:
        """Raises NoSuchFileError."""
        found = self.find(path)
        if found is None:
            raise NoSuchFileError(path)
        return found

    def paths(self) -> list[str]:
        """Of all files, in order."""
        return sorted(map(unquote, self._try(self._zookeeper.get_children, FILES)))

    def all(self) -> Iterator[File]:
        """Every file that is there from the call to the end."""
        return (found for path in self.paths() if (found := self.find(path)) is not None)

    def writers(self) -> set[str]:
        """Who writes now: what is seen is not older than this call."""
        self._try(self._zookeeper.sync, WRITING)
        return set(self._try(self._zookeeper.get_children, WRITING))

    def needs(self, group: int) -> bool:
        """Whether a file has blocks of that group, or one that is being written may have."""
        return bool(self.writers()) or any(
            block.group == group for file in self.all() for block in file.blocks
        )

    def delete(self, path: str) -> None:
        """Raises NoSuchFileError. Its blocks are garbage then."""
        try:
            self._try(self._zookeeper.delete, znode(path))
        except NoNodeError:
            raise NoSuchFileError(path) from None

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
        try:
            return self._retry.copy()(function, *arguments)
        except _LOST as problem:
            raise ConnectionError(f"the ensemble does not answer: {problem!r}") from None
