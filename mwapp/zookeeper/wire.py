"""The core's operations and results as bytes: the records of ZooKeeper's protocol that we use.

kazoo has all of this, but takes several times as long, because it creates objects for everything on the way.
Lengths, versions and kinds are 32 bit integers, zxids and times 64 bit, all big-endian; a length of -1 is no
value.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from struct import Struct

from mwapp.core.messages import (
    Check,
    Children,
    Create,
    Delete,
    Error,
    EventType,
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
)

log = logging.getLogger(__name__)

CREATE, DELETE, EXISTS, GET, SET, CHILDREN, CHECK, MULTI, MULTI_READ = 1, 2, 3, 4, 5, 8, 13, 14, 22
ADD_WATCH = 106
_RECURSIVE = 1  # how a watch is added: it stays, and covers what is below
_ERROR = -1  # instead of an operation's kind
_EPHEMERAL, _SEQUENTIAL = 1, 2

_SIMPLE = (Get, Children)

_INT = Struct("!i")
_FLAG = Struct("!?")
_STAT = Struct("!qqqqiiiqiiq")
_PART = Struct("!i?i")  # in a multi: kind, whether it is the end, error
_END = _PART.pack(_ERROR, True, -1)
# Anybody may do anything: one entry, all permissions, world:anyone.
_OPEN = _INT.pack(1) + _INT.pack(31) + _INT.pack(5) + b"world" + _INT.pack(6) + b"anyone"
# The access control list, as it travels, of what is created at a path; and whether its creator creates
# something below it, too.
Lists = Callable[[str, bool], bytes]

_NO_NODE, _NO_AUTH = -101, -102
_ERRORS = {
    _NO_NODE: Error.NO_NODE,
    -108: Error.NO_NODE,  # the parent is ephemeral: there is none that could have a child
    -103: Error.BAD_VERSION,
    -110: Error.NODE_EXISTS,
    -111: Error.NOT_EMPTY,
    -112: Error.SESSION_EXPIRED,
}
# The connection is useless: it is lost, or the session has moved to another. Or the server has too much to do
# and did not carry out the request (-127), but continues with later ones; so all of them count as lost.
_LOST = (-4, -118, -127)
# In the result of a failed multi: what was rolled back, and what was never tried.
_NOT_TO_BLAME = (0, -2)


def below(chroot: str, path: str) -> str:
    """The path as the ensemble knows it."""
    return (chroot + path).rstrip("/") or "/"


class LostError(ValueError):
    """A reply says that the connection is lost."""


def error(code: int) -> Error:
    """The core's word for a ZooKeeper error. Raises LostError."""
    if code in _LOST:
        raise LostError(f"error {code}")
    if code not in _ERRORS:
        log.warning("the ensemble refuses a request: error %d", code)
    return _ERRORS.get(code, Error.REFUSED)


@dataclass(frozen=True, slots=True)
class Record:
    """A request: its kind, and the rest."""

    kind: int
    body: bytes


# ---------------------------------------------------------------- requests


def everybody(_path: str, _extend: bool) -> bytes:
    """The list by which anybody may do anything."""
    return _OPEN


def encode(operation: Operation, chroot: str, lists: Lists = everybody) -> Record:
    """Raises ValueError for a path that is not Unicode."""
    match operation:
        case Get(path, watch):
            return Record(GET, _text(below(chroot, path)) + _FLAG.pack(watch))
        case Children(path, watch):
            return Record(CHILDREN, _text(below(chroot, path)) + _FLAG.pack(watch))
        case Exists(path, watch):
            return Record(EXISTS, _text(below(chroot, path)) + _FLAG.pack(watch))
        case Follow(path):
            return Record(ADD_WATCH, _text(below(chroot, path)) + _INT.pack(_RECURSIVE))
    return encode_all(MULTI, [_encode_op(op, chroot, lists) for op in operation.ops])


def simple_read(operation: Operation) -> bool:
    """Whether several of these may go into one :data:`MULTI_READ`."""
    return isinstance(operation, _SIMPLE) and not operation.watch


def encode_all(kind: int, records: Sequence[Record]) -> Record:
    """Several in one."""
    parts = [part for record in records for part in (_PART.pack(record.kind, False, -1), record.body)]
    return Record(kind, b"".join([*parts, _END]))


def _encode_op(op: Op, chroot: str, lists: Lists) -> Record:
    path = _text(below(chroot, op.path))
    match op:
        case Create(_, data, ephemeral, sequential, extend):
            flags = _EPHEMERAL * ephemeral + _SEQUENTIAL * sequential
            return Record(CREATE, b"".join((path, _bytes(data), lists(op.path, extend), _INT.pack(flags))))
        case Set(_, data, version):
            return Record(SET, b"".join((path, _bytes(data), _INT.pack(version))))
        case Delete(_, version):
            return Record(DELETE, path + _INT.pack(version))
        case Check(_, version):
            return Record(CHECK, path + _INT.pack(version))


def _bytes(data: bytes) -> bytes:
    return _INT.pack(len(data)) + data


def _text(text: str) -> bytes:
    return _bytes(text.encode())


# ---------------------------------------------------------------- replies


class Reader:
    """Reads one value after the other from a buffer, starting at ``at``.

    Raises ValueError or struct.error if it cannot read one.
    """

    def __init__(self, buffer: bytes | bytearray, at: int = 0) -> None:
        self._buffer = buffer
        self._at = at
        self.denied = False  # a transaction, by an access control list

    def result(self, operation: Operation, code: int, chroot: str) -> Result:
        """The reply to the operation; ``code`` is the error it came with."""
        if code == _NO_NODE and isinstance(operation, Exists):
            return None
        if code:
            return Failed(error(code))
        match operation:
            case Get():
                return Node(self._bytes(), self._stat())
            case Children():
                return self._texts()
            case Exists():
                return self._stat()
            case Follow():
                return None
        return self._committed(chroot)

    def results(self, operations: Sequence[Operation]) -> list[Result]:
        """The reply to several reads in one request, which itself has no error."""
        results = [self.result(operation, self._part()[1], "") for operation in operations]
        if not self._part()[2]:
            raise ValueError("more results than reads")
        return results

    def fired(self) -> tuple[str, EventType]:
        """The path whose watch fired, and what has happened."""
        event = EventType(self._int())
        self._int()  # the connection's state
        return self._text(), event

    def end(self, at: int) -> None:
        """Check that nothing beyond the end was read. Raises ValueError."""
        if self._at > at:
            raise ValueError("cut short")

    def _committed(self, chroot: str) -> Result:
        results: list[OpResult] = []
        failed: Failed | None = None
        while True:
            kind, code, end = self._part()
            if end:
                return failed or tuple(results)
            if code not in _NOT_TO_BLAME:
                self.denied = code == _NO_AUTH  # sessions.py tells of it, with its path
                failed = Failed(Error.REFUSED if self.denied else error(code), len(results))
            if kind == CREATE:
                results.append(self._text()[len(chroot) :])
            else:
                results.append(self._stat() if kind == SET else None)

    def _part(self) -> tuple[int, int, bool]:
        """The start of an operation's result: kind, error, and whether it is the end."""
        kind, end, _ = _PART.unpack_from(self._buffer, self._at)
        self._at += _PART.size
        return kind, self._int() if kind == _ERROR and not end else 0, end

    def _int(self) -> int:
        (value,) = _INT.unpack_from(self._buffer, self._at)
        self._at += _INT.size
        return int(value)

    def _bytes(self) -> bytes:
        begin = self._at + _INT.size
        self._at = begin + max(0, self._int())
        return bytes(self._buffer[begin : self._at])

    def _text(self) -> str:
        return self._bytes().decode()

    def _texts(self) -> tuple[str, ...]:
        """There may be many thousands."""
        buffer, at, texts = self._buffer, self._at + _INT.size, []
        for _ in range(self._int()):
            begin = at + _INT.size
            at = begin + _INT.unpack_from(buffer, at)[0]
            texts.append(buffer[begin:at].decode())
        self._at = at
        return tuple(texts)

    def _stat(self) -> Stat:
        czxid, _, ctime, _, version, changes, _, owner, _, children, _ = _STAT.unpack_from(
            self._buffer, self._at
        )
        self._at += _STAT.size
        # Changes are children created and deleted, in 32 bits.
        created = (changes + children & 0xFFFFFFFF) // 2
        return Stat(czxid, version, owner, children, ctime / 1000, created)
