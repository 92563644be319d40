"""ZooKeeper's protocol as a server speaks it, written after its description, not after ours.

Compared with kazoo's own classes by tests/unit/test_edge_wire.py.
"""

import struct
from typing import NamedTuple

from mwapp.core.messages import (
    Check,
    Children,
    Create,
    Delete,
    Error,
    Exists,
    Failed,
    Follow,
    Get,
    Node,
    Op,
    Operation,
    OpResult,
    Result,
    Set,
    Stat,
    Transaction,
)

PING_XID, WATCH_XID = -2, -1
PING, CLOSE, MULTI, MULTI_READ, ADD_WATCH = 11, -11, 14, 22, 106
# The connection is of no use any more: the session has moved, or the server has too much to do.
MOVED, THROTTLED = LOST = -118, -127
NO_PERMISSION = -102
_CREATE, _DELETE, _EXISTS, _GET, _SET, _CHILDREN, _CHECK, _ERROR = 1, 2, 3, 4, 5, 8, 13, -1
_CODES = {
    Error.NO_NODE: -101,
    Error.BAD_VERSION: -103,
    Error.REFUSED: -8,  # bad arguments
    Error.NODE_EXISTS: -110,
    Error.NOT_EMPTY: -111,
    Error.SESSION_EXPIRED: -112,
}
_RECURSIVE = 1
_SIZES = {"b": 1, "i": 4, "q": 8}
# What the operations of a failed transaction are told that come before, and after, the one that failed.
_ROLLED_BACK, _NOT_TRIED = 0, -2


class BadRequestError(Exception):
    """A request that no server would understand."""


class Hello(NamedTuple):
    """The first that a client says on a connection."""

    version: int
    seen: int  # zxid
    timeout: int  # milliseconds
    session: int
    password: bytes
    read_only: bool


class Entry(NamedTuple):
    """A part of an access control list."""

    rights: int
    scheme: str
    who: str


Acl = tuple[Entry, ...]
# Everybody may do everything.
OPEN: Acl = (Entry(31, "world", "anyone"),)


class Request(NamedTuple):
    """What comes after it."""

    xid: int
    kind: int
    operations: tuple[Operation, ...]  # several if they are reads in one
    lists: tuple[Acl, ...] = ()  # the access control list of each znode it creates


class _Cursor:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, form: str) -> int:
        """One number: b, i or q for 8, 32 or 64 bits."""
        size = _SIZES[form]
        data = self._data[self._at : self._at + size]
        if len(data) < size:
            raise BadRequestError("cut short")
        self._at += size
        return int.from_bytes(data, signed=True)

    def buffer(self) -> bytes:
        size = self.take("i")
        if not 0 <= size <= len(self._data) - self._at:
            raise BadRequestError(f"{size} bytes are announced")
        self._at += size
        return self._data[self._at - size : self._at]

    def text(self) -> str:
        return self.buffer().decode()

    def end(self) -> None:
        if self._at != len(self._data):
            raise BadRequestError(f"{len(self._data) - self._at} bytes too many")


# ---------------------------------------------------------------- what a client says


def split(received: bytearray) -> list[bytes]:
    """The packets that are complete, taken out of what was received. Raises BadRequestError."""
    packets = []
    while len(received) >= 4:
        size = int.from_bytes(received[:4], signed=True)
        if size < 0:
            raise BadRequestError(f"a packet of {size} bytes")
        if len(received) < 4 + size:
            break
        packets.append(bytes(received[4 : 4 + size]))
        del received[: 4 + size]
    return packets


def hello(packet: bytes) -> Hello:
    """Read the first packet. Raises BadRequestError."""
    at = _Cursor(packet)
    found = Hello(at.take("i"), at.take("q"), at.take("i"), at.take("q"), at.buffer(), bool(at.take("b")))
    at.end()
    return found


def request(packet: bytes) -> Request:
    """Read one that comes after it. Raises BadRequestError."""
    at = _Cursor(packet)
    xid, kind = at.take("i"), at.take("i")
    lists: list[Acl] = []
    if kind in (PING, CLOSE):
        operations: tuple[Operation, ...] = ()
    elif kind == MULTI:
        operations = (Transaction(tuple(_op(part, at, lists) for part in _parts(at))),)
    elif kind == MULTI_READ:
        operations = tuple(_read(part, at, one_of_several=True) for part in _parts(at))
        if any(isinstance(read, Exists) for read in operations):
            raise BadRequestError("no server takes this among several reads")
    elif kind == ADD_WATCH:
        operations = (Follow(at.text()),)
        if (mode := at.take("i")) != _RECURSIVE:
            raise BadRequestError(f"a watch of mode {mode}")
    else:
        operations = (_read(kind, at),)
    at.end()
    return Request(xid, kind, operations, tuple(lists))


def _parts(at: _Cursor):  # type: ignore[no-untyped-def]  # an iterator of kinds
    while True:
        kind, done, error = at.take("i"), at.take("b"), at.take("i")
        if error != -1 or bool(done) != (kind == _ERROR):
            raise BadRequestError(f"a part that begins with {kind}, {done}, {error}")
        if done:
            return
        yield kind


def _read(kind: int, at: _Cursor, *, one_of_several: bool = False) -> Get | Children | Exists:
    """A server ignores the watches of reads in one."""
    kinds: dict[int, type[Get | Children | Exists]] = {_GET: Get, _CHILDREN: Children, _EXISTS: Exists}
    if kind not in kinds:
        raise BadRequestError(f"a request of kind {kind}")
    return kinds[kind](at.text(), bool(at.take("b")) and not one_of_several)


def _op(kind: int, at: _Cursor, lists: list[Acl]) -> Op:
    path = at.text()
    match kind:
        case 1:
            data = at.buffer()
            entries = at.take("i")
            if not 0 < entries < 1000:
                raise BadRequestError(f"an access control list of {entries} entries")
            lists.append(tuple(Entry(at.take("i"), at.text(), at.text()) for _ in range(entries)))
            flags = at.take("i")
            if flags not in range(4):
                raise BadRequestError(f"flags {flags}")
            return Create(path, data, bool(flags & 1), bool(flags & 2))
        case 2:
            return Delete(path, at.take("i"))
        case 5:
            return Set(path, at.buffer(), at.take("i"))
        case 13:
            return Check(path, at.take("i"))
    raise BadRequestError(f"an operation of kind {kind} in a transaction")


# ---------------------------------------------------------------- what a server says


def packet(body: bytes) -> bytes:
    """With its length before it."""
    return struct.pack(">i", len(body)) + body


def welcome(timeout: int, session: int, password: bytes) -> bytes:
    """The answer to the first packet; without a time-out (milliseconds) the session is over."""
    return packet(struct.pack(">iiq", 0, timeout, session) + _buffer(password) + b"\0")


def reply(xid: int, zxid: int, code: int = 0, body: bytes = b"") -> bytes:
    """The answer to a request."""
    return packet(struct.pack(">iqi", xid, zxid, code) + body)


def watch(kind: int, path: str) -> bytes:
    """A watch has gone off."""
    return reply(WATCH_XID, -1, 0, struct.pack(">ii", kind, 3) + _buffer(path.encode()))


def answer(request: Request, results: list[Result]) -> tuple[int, bytes]:
    """The error, and what comes after the header."""
    if request.kind == MULTI_READ:
        parts = [
            _part_of_reads(read, result) for read, result in zip(request.operations, results, strict=True)
        ]
        return 0, b"".join(parts) + _part(_ERROR, -1, done=True)
    (operation,), (result,) = request.operations, results
    if isinstance(operation, Transaction):
        return _of_transaction(operation, result)
    if isinstance(result, Failed):
        return _CODES[result.error], b""
    if isinstance(operation, Follow):
        return 0, b""
    if result is None:
        return _CODES[Error.NO_NODE], b""
    return 0, _read_result(result)


def _of_transaction(transaction: Transaction, result: Result) -> tuple[int, bytes]:
    if isinstance(result, Failed):
        if result.index is None:
            return _CODES[result.error], b""
        codes = [_ROLLED_BACK] * result.index + [_CODES[result.error]]
        codes += [_NOT_TRIED] * (len(transaction.ops) - len(codes))
        parts = [_refusal(code) for code in codes]
    else:
        assert isinstance(result, tuple)
        parts = [_done(op, of_it) for op, of_it in zip(transaction.ops, result, strict=True)]
    return 0, b"".join(parts) + _part(_ERROR, -1, done=True)


def _done(op: Op, result: OpResult) -> bytes:
    match op:
        case Create():
            return _part(_CREATE, 0) + _buffer(str(result).encode())
        case Set():
            assert isinstance(result, Stat)
            return _part(_SET, 0) + _stat(result, 0)
        case Delete():
            return _part(_DELETE, 0)
    return _part(_CHECK, 0)


def _part_of_reads(read: Operation, result: Result) -> bytes:
    if isinstance(result, Failed):
        return _refusal(_CODES[result.error])
    return _part(_GET if isinstance(read, Get) else _CHILDREN, 0) + _read_result(result)


def _read_result(result: Result) -> bytes:
    match result:
        case Node(data, stat):
            return _buffer(data) + _stat(stat, len(data))
        case Stat():
            return _stat(result, 0)
        case tuple():
            return struct.pack(">i", len(result)) + b"".join(_buffer(str(name).encode()) for name in result)
    raise AssertionError(result)


def _refusal(code: int) -> bytes:
    return _part(_ERROR, code) + struct.pack(">i", code)


def _part(kind: int, error: int, *, done: bool = False) -> bytes:
    return struct.pack(">ibi", kind, done, error)


def _buffer(data: bytes) -> bytes:
    return struct.pack(">i", len(data)) + data


def _stat(stat: Stat, length: int) -> bytes:
    """What the core does not use is no two times the same, and never what another field is."""
    czxid, ctime = stat.czxid, round(stat.ctime * 1000)
    noise = (7 + czxid % 1000) << 12
    changes = 2 * stat.created - stat.children & 0xFFFFFFFF  # children created and deleted, in 32 bits
    return struct.pack(
        ">qqqqiIiqiiq",
        *(czxid, noise + 1, ctime, noise + 2, stat.version, changes, noise + 4),
        *(stat.owner, length, stat.children, noise + 5),
    )
