"""The client of the file store.

It cuts a file into blocks, has each stored by the primary of some group, and then tells the ensemble of all
of them at once. Reads go to any replica, for a block never changes.
"""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import IO, NamedTuple, Protocol, Self, TypeVar

from mwapp import Client, ShardState
from mwapp.errors import UnreachableError
from stores import rpc
from stores.blocks.disk import checksum
from stores.blocks.names import Block, File, Names
from stores.blocks.node import name_of
from stores.rpc import Message, RefusedError

T = TypeVar("T")

BLOCK_SIZE = 1024 * 1024
TABLE = "blocks"
HANDLER = "stores.blocks.node:Group"
TIMEOUT = 30.0
# A block goes to another group if one does not take it for so long, seconds.
GROUP_SECONDS = 10.0
# A primary answers within this time, or the client looks who is the primary now.
ANSWER_SECONDS = 3.0
PAUSE = 0.03
# gc leaves younger blocks alone: somebody may still read a file that was replaced or deleted.
READING_SECONDS = 3600.0
# So many names of blocks fit into a message, each of up to 100 characters; the rest is for the next gc.
MOST_REMOVED = 40_000


class ChangedError(Exception):
    """The file was replaced or deleted while it was read."""


class LateError(TimeoutError):
    """It has not been done in time; the message says what it waited for."""


class Replica(NamedTuple):
    """Who has a block, or should."""

    worker: str
    state: str  # of the group there: sync, copy, back
    labels: str
    has: str  # whole, damaged, missing; or silent


class Collected(NamedTuple):
    """What gc has come to."""

    removed: int  # blocks, from everybody who had them
    left: int  # for the next gc: somebody has not said that they are removed
    silent: tuple[str, ...]  # workers that have not said what they have


class Files:
    """Files in a table of groups, each table with its own. For one thread at a time, and one process; use it
    as a context manager, or close it."""

    def __init__(
        self,
        connect: str | None = None,
        table: str = TABLE,
        timeout: float = TIMEOUT,
        block_size: int = BLOCK_SIZE,
    ) -> None:
        """``timeout`` in seconds for each block, and for the ensemble to answer."""
        if not 0 < block_size <= rpc.MOST_BYTES:
            raise ValueError(f"block_size: use 1 to {rpc.MOST_BYTES} bytes")
        self._timeout, self._block_size = timeout, block_size
        self._client = Client(connect)
        self.table = self._client.table(table)
        self.names = Names(table, connect)
        self._groups = Groups(table, self._client)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End both sessions."""
        self.names.close()
        self._client.close()

    def create(
        self, groups: int = 4, replicas: int = 3, spread: str | None = None, grace: float = 60.0
    ) -> None:
        """Make the table and the znodes for files; returns when each group has all its replicas."""
        self.names.make_parents()
        self.table.create(
            shards=groups, replicas=replicas, spread=spread, handler=HANDLER, shared=False, grace=grace
        )
        end = time.monotonic() + self._timeout
        while lacking := [state.shard for state in self.table.show() if not _complete(state, replicas)]:
            if time.monotonic() > end:
                raise LateError(f"group {lacking[0]} has not got {replicas} replicas: are there workers?")
            time.sleep(10 * PAUSE)

    def put(self, path: str, stream: IO[bytes]) -> File:
        """Store it, in place of the file that is there now, if any. When this returns, it is there.

        Raises ConflictError, EndedError, LateError; OSError: perhaps it is there.
        """
        before = self.names.find(path)
        writer = self.names.begin()
        try:
            pieces = iter(lambda: _whole(stream, self._block_size), b"")
            blocks = [self._put_block(f"{writer}-{number}", data) for number, data in enumerate(pieces)]
            file = File(path, writer, tuple(blocks))
            self.names.commit(file, before)
        except BaseException:
            with suppress(OSError):
                self.names.end(writer)
            raise
        return file

    def _put_block(self, name: str, data: bytes) -> Block:
        end, groups = time.monotonic() + self._timeout, self._groups.shuffled()
        for attempt in range(1000):
            group = groups[attempt % len(groups)]
            block = Block(f"{name}.{attempt}", group, len(data), checksum(data))  # what another group has
            until = min(end, time.monotonic() + GROUP_SECONDS)  # under another name is garbage
            try:
                self._groups.write(block, data, until)
            except LateError:
                if time.monotonic() >= end:
                    raise
            else:
                return block
        raise LateError(f"{name}: no group takes it")

    def get(self, path: str) -> Iterator[bytes]:
        """The file, block by block. Raises NoSuchFileError, ChangedError, LateError."""
        file = self.names.read(path)
        for block in file.blocks:
            yield self._groups.read(block, time.monotonic() + self._timeout, lambda: self._check_same(file))

    def _check_same(self, file: File) -> None:
        now = self.names.find(file.path)
        if now is None or now.writer != file.writer:
            raise ChangedError(file.path)

    def list(self, prefix: str = "") -> list[File]:
        """The files whose paths begin so."""
        paths = [path for path in self.names.paths() if path.startswith(prefix)]
        return [found for path in paths if (found := self.names.find(path)) is not None]

    def delete(self, path: str) -> None:
        """It is gone when this returns; its blocks when gc has run. Raises NoSuchFileError."""
        self.names.delete(path)

    def where(self, path: str) -> Sequence[tuple[Block, tuple[Replica, ...]]]:
        """Who has each block, as they say themselves. Raises NoSuchFileError."""
        found = []
        for block in self.names.read(path).blocks:
            members = self._groups.members(block.group)
            labels = self.names.labels(list(members))
            replicas = (
                Replica(name, state, labels[name], self._groups.has(block, name))
                for name, state in members.items()
            )
            found.append((block, tuple(replicas)))
        return found

    def gc(self, older_than: float = READING_SECONDS) -> Collected:
        """Remove the blocks that belong to no file."""
        return collect(self.names, self._groups, older_than)


class Knows(Protocol):
    """What gc asks the ensemble: :class:`~stores.blocks.names.Names`."""

    def writers(self) -> set[str]: ...
    def all(self) -> Iterator[File]: ...


class Stores(Protocol):
    """What gc asks the data nodes: :class:`Groups`."""

    def listed(self) -> dict[tuple[int, str], dict[str, float] | None]: ...
    def remove(self, at: tuple[int, str], blocks: Iterable[str]) -> bool: ...


def collect(names: Knows, groups: Stores, older_than: float) -> Collected:
    """Remove the blocks that belong to no file, and to nobody who writes.

    The order is what makes it safe. Every block that is listed had a writer before it was stored. Who is then
    no writer any more has made its file, which is read after that, or never will: the transaction that makes
    a file deletes its writer.
    """
    answers = groups.listed()
    writers = names.writers()
    used = {block.name for file in names.all() for block in file.blocks}
    listed = {at: ages for at, ages in answers.items() if ages is not None}
    garbage = {
        block
        for ages in listed.values()
        for block, age in ages.items()
        if block not in used and block.partition("-")[0] not in writers and age >= older_than
    }
    left: set[str] = set()
    for at, ages in listed.items():
        found = sorted(garbage & ages.keys())
        now, later = found[:MOST_REMOVED], found[MOST_REMOVED:]
        left |= set(later if not now or groups.remove(at, now) else found)
    silent = sorted({worker for (_, worker), ages in answers.items() if ages is None})
    return Collected(len(garbage - left), len(left), tuple(silent))


class Groups:
    """The groups of a table, as a client sees them. What the ensemble says of one is kept until it fails."""

    def __init__(self, table: str, client: Client) -> None:
        self._name, self._table = table, client.table(table)
        self._states: dict[int, ShardState] = {}
        self._all: list[int] = []

    def all(self) -> list[int]:
        """Which groups there are now: a table may grow."""
        self._states = {state.shard: state for state in self._table.show()}
        self._all = sorted(self._states)
        return self._all

    def shuffled(self) -> list[int]:
        """Those that there were when they were asked for first."""
        groups = self._all or self.all()
        return random.sample(groups, len(groups))

    def members(self, group: int) -> Mapping[str, str]:
        """The workers that have it, each with its state."""
        self._forget(group)
        return {name: member.state for name, member in self._state(group).members.items()}

    def write(self, block: Block, data: bytes, until: float) -> None:
        """Returns when it is acknowledged. Raises LateError."""
        fields = {"do": "write", "block": block.name, "checksum": block.checksum}

        def attempt() -> bool:
            state = self._state(block.group)
            if not state.primary:
                raise RefusedError("it has no primary")
            self._ask(block.group, state.primary, fields, data, ANSWER_SECONDS)
            return True

        self._try(f"block {block.name} for group {block.group}", attempt, block.group, until)

    def read(self, block: Block, until: float, check: Callable[[], None]) -> bytes:
        """From whoever has it. ``check`` is called if nobody has. Raises what it raises, and LateError."""

        def attempt() -> bytes:
            members = self._state(block.group).members
            problem: Exception = RefusedError("nobody has it")
            names = random.sample(sorted(members), len(members))
            for name in sorted(names, key=lambda name: members[name].state != "sync"):
                try:
                    data = self._ask(block.group, name, {"do": "read", "block": block.name}).body
                except (OSError, RefusedError) as its:
                    problem = its
                    continue
                if checksum(data) == block.checksum:
                    return data
            check()
            raise problem

        return self._try(f"block {block.name} of group {block.group}", attempt, block.group, until)

    def has(self, block: Block, worker: str) -> str:
        """What that worker says of a block: whole, damaged, missing; or silent, if it does not answer."""
        try:
            return str(self._ask(block.group, worker, {"do": "look", "block": block.name}).fields["has"])
        except (OSError, RefusedError):
            return "silent"

    def listed(self) -> dict[tuple[int, str], dict[str, float] | None]:
        """The blocks of each group at each worker, with their ages. None: it does not answer."""
        found: dict[tuple[int, str], dict[str, float] | None] = {}
        for group in self.all():
            for worker in self._state(group).members:
                found[group, worker] = None
                with suppress(OSError, RefusedError):
                    found[group, worker] = self._listed(group, worker)
        return found

    def _listed(self, group: int, worker: str) -> dict[str, float]:
        blocks: dict[str, float] = {}
        more = True
        while more:
            part = self._ask(group, worker, {"do": "list", "after": max(blocks, default="")})
            lines = (line.split() for line in part.body.decode().splitlines())
            blocks |= {block: float(age) for block, age in lines}
            more = part.fields["more"]
        return blocks

    def remove(self, at: tuple[int, str], blocks: Iterable[str]) -> bool:
        """Whether it says that it has done so; otherwise the next gc finds them again."""
        try:
            self._ask(*at, {"do": "remove"}, "\n".join(blocks).encode())
        except (OSError, RefusedError):
            return False
        return True

    def _ask(
        self, group: int, worker: str, fields: dict[str, str], body: bytes = b"", timeout: float = 2.0
    ) -> Message:
        member = self._state(group).members.get(worker)
        if member is None or not member.address:
            raise ConnectionError(f"{worker} has told no address yet")
        return rpc.call(member.address, {**fields, "to": name_of(self._name, group, worker)}, body, timeout)

    def _state(self, group: int) -> ShardState:
        if group not in self._states:
            try:
                self._states[group] = self._table.shard(group)
            except UnreachableError as problem:
                raise ConnectionError(str(problem)) from None
        return self._states[group]

    def _forget(self, group: int) -> None:
        self._states.pop(group, None)

    def _try(self, what: str, attempt: Callable[[], T], group: int, until: float) -> T:
        """Until it is done, with a fresh look each time."""
        while True:
            try:
                return attempt()
            except (OSError, RefusedError) as problem:
                self._forget(group)
                if time.monotonic() >= until:
                    raise LateError(f"{what}: {problem}") from None
            time.sleep(PAUSE)


def _complete(state: ShardState, replicas: int) -> bool:
    in_sync = sum(member.state == "sync" for member in state.members.values())
    return state.state == "serving" and in_sync >= replicas and state.target is None


def _whole(stream: IO[bytes], size: int) -> bytes:
    """The next block: a pipe gives less than it was asked for."""
    data = bytearray()
    while len(data) < size and (part := stream.read(size - len(data))):
        data += part
    return bytes(data)
