"""Between kazoo's terms and the core's."""

from types import SimpleNamespace
from typing import Any

import pytest
from kazoo import exceptions as zk
from kazoo.protocol.states import ZnodeStat

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
    Set,
    Stat,
    Transaction,
)
from mwapp.zk_translate import add, below, result

# czxid mzxid ctime mtime version cversion aversion ephemeralOwner dataLength numChildren pzxid
KAZOO_STAT = ZnodeStat(11, 12, 1500, 2500, 3, 4, 5, -6, 7, 8, 13)
STAT = Stat(czxid=11, version=3, owner=-6, children=8, ctime=1.5)

OPS = Transaction((Check("/a", 1), Create("/b"), Set("/c", b""), Delete("/d")))


def test_reads() -> None:
    assert result(Get("/a"), (b"data", KAZOO_STAT), "") == Node(b"data", STAT)
    assert result(Get("/a"), (None, KAZOO_STAT), "") == Node(b"", STAT)
    assert result(Exists("/a"), KAZOO_STAT, "") == STAT
    assert result(Exists("/a"), None, "") is None
    assert result(Children("/a"), ["x", "y"], "") == ("x", "y")


def test_committed_transaction() -> None:
    value = [True, "/app/b", KAZOO_STAT, True]
    assert result(OPS, value, "/app") == (None, "/b", STAT, None)


@pytest.mark.parametrize(
    ("value", "index", "error"),
    [
        ([zk.BadVersionError(), *[zk.RuntimeInconsistency()] * 3], 0, Error.BAD_VERSION),
        (
            [zk.RolledBackError(), zk.NodeExistsError(), *[zk.RuntimeInconsistency()] * 2],
            1,
            Error.NODE_EXISTS,
        ),
        ([*[zk.RolledBackError()] * 3, zk.NotEmptyError()], 3, Error.NOT_EMPTY),
        ([*[zk.RolledBackError()] * 2, zk.NoNodeError(), zk.RuntimeInconsistency()], 2, Error.NO_NODE),
        ([zk.NoAuthError(), *[zk.RuntimeInconsistency()] * 3], 0, Error.REFUSED),
    ],
)
def test_failed_transaction(value: list[Any], index: int, error: Error) -> None:
    """kazoo returns the exceptions in the list; only one of them is the cause."""
    assert result(OPS, value, "") == Failed(error, index)


@pytest.mark.parametrize(
    ("problem", "error"),
    [
        (zk.NoNodeError(), Error.NO_NODE),
        (zk.ConnectionLoss(), Error.CONNECTION_LOSS),
        (zk.SessionExpiredError(), Error.SESSION_EXPIRED),
        (zk.ConnectionClosedError(), Error.CONNECTION_LOSS),  # to kazoo a SessionExpiredError
        (zk.SessionMovedError(), Error.CONNECTION_LOSS),
        (zk.InvalidACLError(), Error.REFUSED),
        (RuntimeError(), Error.REFUSED),
    ],
)
def test_problems(problem: Exception, error: Error) -> None:
    assert result(Get("/a"), problem, "") == Failed(error)
    assert result(OPS, problem, "") == Failed(error)


def test_chroot() -> None:
    assert below("", "/") == "/"
    assert below("", "/a/b") == "/a/b"
    assert below("/app", "/") == "/app"
    assert below("/app", "/a") == "/app/a"


def test_add_is_what_kazoo_expects() -> None:
    """Every kind of operation ends up in kazoo's transaction, below the chroot."""
    calls: list[tuple[Any, ...]] = []
    transaction = SimpleNamespace(
        create=lambda path, data, ephemeral, sequence: calls.append(
            ("create", path, data, ephemeral, sequence)
        ),
        set_data=lambda *args: calls.append(("set", *args)),
        delete=lambda *args: calls.append(("delete", *args)),
        check=lambda *args: calls.append(("check", *args)),
    )
    for op in (Create("/b", b"d", ephemeral=True), Set("/c", b"e", 0), Delete("/d", 2), Check("/e", -1)):
        add(transaction, op, "/app")
    assert calls == [
        ("create", "/app/b", b"d", True, False),
        ("set", "/app/c", b"e", 0),
        ("delete", "/app/d", 2),
        ("check", "/app/e", -1),
    ]
