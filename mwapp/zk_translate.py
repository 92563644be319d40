"""Between kazoo's terms and the core's. Beside :mod:`mwapp.zk` the only module that knows kazoo."""

import logging
from typing import Any

from kazoo.exceptions import (
    BadVersionError,
    ConnectionClosedError,
    ConnectionLoss,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    RolledBackError,
    RuntimeInconsistency,
    SessionExpiredError,
    SessionMovedError,
)

from mwapp.core.messages import (
    Check,
    Children,
    Create,
    Delete,
    Error,
    Exists,
    Failed,
    Get,
    Node,
    Op,
    Operation,
    Result,
    Set,
    Stat,
)

log = logging.getLogger(__name__)

# The first that fits counts: ConnectionClosedError is a SessionExpiredError to kazoo, but says only that the
# client was stopped. A moved session is one whose request was under way on the connection before.
_ERRORS = (
    (ConnectionClosedError, Error.CONNECTION_LOSS),
    (ConnectionLoss, Error.CONNECTION_LOSS),
    (SessionMovedError, Error.CONNECTION_LOSS),
    (SessionExpiredError, Error.SESSION_EXPIRED),
    (NoNodeError, Error.NO_NODE),
    (NodeExistsError, Error.NODE_EXISTS),
    (BadVersionError, Error.BAD_VERSION),
    (NotEmptyError, Error.NOT_EMPTY),
)


def below(chroot: str, path: str) -> str:
    """The path as the ensemble knows it."""
    return (chroot + path).rstrip("/") or "/"


def add(transaction: Any, op: Op, chroot: str) -> None:
    """Add the operation to kazoo's transaction."""
    path = below(chroot, op.path)
    match op:
        case Create(_, data, ephemeral, sequential):
            transaction.create(path, data, ephemeral=ephemeral, sequence=sequential)
        case Set(_, data, version):
            transaction.set_data(path, data, version)
        case Delete(_, version):
            transaction.delete(path, version)
        case Check(_, version):
            transaction.check(path, version)


def result(operation: Operation, value: Any, chroot: str) -> Result:
    """What kazoo gave, a value or an exception, as the operation's result."""
    if isinstance(value, BaseException):
        return Failed(_error(value))
    match operation:
        case Get():
            return Node(value[0] or b"", _stat(value[1]))
        case Children():
            return tuple(value)
        case Exists():
            return None if value is None else _stat(value)
    for index, part in enumerate(value):
        # The operations before the one that failed were rolled back, those after it never tried.
        if isinstance(part, Exception) and not isinstance(part, RolledBackError | RuntimeInconsistency):
            return Failed(_error(part), index)
    return tuple(_op_result(op, part, chroot) for op, part in zip(operation.ops, value, strict=True))


def _op_result(op: Op, result: Any, chroot: str) -> str | Stat | None:
    match op:
        case Create():
            return str(result)[len(chroot) :]
        case Set():
            return _stat(result)
    return None


def _stat(stat: Any) -> Stat:
    return Stat(stat.czxid, stat.version, stat.ephemeralOwner, stat.numChildren, stat.ctime / 1000)


def _error(problem: BaseException) -> Error:
    for kind, error in _ERRORS:
        if isinstance(problem, kind):
            return error
    log.warning("the ensemble refuses a request: %s", type(problem).__name__)
    return Error.REFUSED
