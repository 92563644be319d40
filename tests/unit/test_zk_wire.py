"""Requests byte for byte as kazoo writes them, replies read as kazoo reads them, and what kazoo lacks."""

import struct
from collections.abc import Sequence

import pytest
from kazoo.exceptions import EXCEPTIONS
from kazoo.protocol import serialization as zk
from kazoo.protocol.states import ZnodeStat
from kazoo.security import OPEN_ACL_UNSAFE

from mwapp.core.messages import (
    Check,
    Children,
    Create,
    Delete,
    Error,
    EventType,
    Exists,
    Failed,
    Get,
    Node,
    Operation,
    Set,
    Stat,
    Transaction,
)
from mwapp.zookeeper.wire import MULTI_READ, LostError, Reader, Record, below, encode, encode_all, simple_read

# czxid mzxid ctime mtime version cversion aversion ephemeralOwner dataLength numChildren pzxid
STAT_FIELDS = (11, 12, 1500, 2500, 3, 4, 5, -6, 7, 8, 13)
STAT_BYTES = struct.pack("!qqqqiiiqiiq", *STAT_FIELDS)
STAT = Stat(czxid=11, version=3, owner=-6, children=8, ctime=1.5, created=6)

OPS = Transaction((Check("/a", 1), Create("/b"), Set("/c", b""), Delete("/d")))
PART_END = (-1, True, -1)


def text(value: str) -> bytes:
    return struct.pack("!i", len(value.encode())) + value.encode()


def part(kind: int, end: bool = False, error: int = 0) -> bytes:
    return struct.pack("!i?i", kind, end, error)


def refusal(code: int) -> bytes:
    return part(-1, error=code) + struct.pack("!i", code)


def multi(*results: bytes) -> bytes:
    return b"".join(results) + part(*PART_END)


# ---------------------------------------------------------------- requests


@pytest.mark.parametrize(
    ("operation", "by_kazoo"),
    [
        (Get("/a"), zk.GetData("/app/a", None)),
        (Get("/ä", watch=True), zk.GetData("/app/ä", print)),
        (Children("/", watch=True), zk.GetChildren("/app", print)),
        (Exists("/a/b"), zk.Exists("/app/a/b", None)),
        (
            Transaction(
                (
                    Check("/a", 7),
                    Create("/b", b"data"),
                    Create("/e-", b"", ephemeral=True, sequential=True),
                    Set("/c", b"\xff\0", -1),
                    Delete("/d", 2),
                )
            ),
            zk.Transaction(
                [
                    zk.CheckVersion("/app/a", 7),
                    zk.Create("/app/b", b"data", OPEN_ACL_UNSAFE, 0),
                    zk.Create("/app/e-", b"", OPEN_ACL_UNSAFE, 3),
                    zk.SetData("/app/c", b"\xff\0", -1),
                    zk.Delete("/app/d", 2),
                ]
            ),
        ),
    ],
)
def test_requests_are_what_kazoo_would_send(operation: Operation, by_kazoo: zk.GetData) -> None:
    assert encode(operation, "/app") == Record(by_kazoo.type, bytes(by_kazoo.serialize()))


def test_several_reads_in_one() -> None:
    reads = [encode(Get("/a"), ""), encode(Children("/b"), "")]
    body = part(4, error=-1) + reads[0].body + part(8, error=-1) + reads[1].body + part(*PART_END)
    assert encode_all(MULTI_READ, reads) == Record(22, body)


def test_which_reads_go_together() -> None:
    """A server ignores the watches of reads in one, and knows no other kinds there."""
    assert simple_read(Get("/a"))
    assert simple_read(Children("/a"))
    for operation in (Get("/a", watch=True), Children("/a", watch=True), Exists("/a"), OPS):
        assert not simple_read(operation)


def test_path_that_is_not_unicode() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        encode(Get("/\udcff"), "")


def test_chroot() -> None:
    assert below("", "/") == "/"
    assert below("", "/a/b") == "/a/b"
    assert below("/app", "/") == "/app"
    assert below("/app", "/a") == "/app/a"


# ---------------------------------------------------------------- replies


def test_reads() -> None:
    data = text("data") + STAT_BYTES
    assert zk.GetData.deserialize(data, 0) == (b"data", ZnodeStat(*STAT_FIELDS))
    assert Reader(data).result(Get("/a"), 0, "") == Node(b"data", STAT)
    nothing = struct.pack("!i", -1) + STAT_BYTES
    assert zk.GetData.deserialize(nothing, 0) == (None, ZnodeStat(*STAT_FIELDS))
    assert Reader(nothing).result(Get("/a"), 0, "") == Node(b"", STAT)
    names = struct.pack("!i", 2) + text("x") + text("ÿ")
    assert zk.GetChildren.deserialize(names, 0) == ["x", "ÿ"]
    assert Reader(names).result(Children("/a"), 0, "") == ("x", "ÿ")
    assert Reader(struct.pack("!i", -1)).result(Children("/a"), 0, "") == ()
    assert Reader(STAT_BYTES).result(Exists("/a"), 0, "") == STAT
    assert Reader(b"").result(Exists("/a"), -101, "") is None


def test_names_are_followed_by_what_comes_next() -> None:
    names = struct.pack("!i", 2) + text("x") + text("")
    assert Reader(multi(part(8) + names, part(8) + names)).results([Children("/a"), Children("/b")]) == [
        ("x", ""),
        ("x", ""),
    ]


def test_a_reply_in_the_midst_of_others() -> None:
    assert Reader(b"before" + text("data") + STAT_BYTES + b"after", 6).result(Get("/a"), 0, "") == Node(
        b"data", STAT
    )


COMMITTED = multi(part(13), part(1) + text("/app/b"), part(5) + STAT_BYTES, part(2))


def test_committed_transaction() -> None:
    results, _ = zk.Transaction.deserialize(COMMITTED, 0), None
    assert results == [True, "/app/b", ZnodeStat(*STAT_FIELDS), True]
    assert Reader(COMMITTED).result(OPS, 0, "/app") == (None, "/b", STAT, None)


@pytest.mark.parametrize(
    ("codes", "index", "error"),
    [
        ((-103, -2, -2, -2), 0, Error.BAD_VERSION),
        ((0, -110, -2, -2), 1, Error.NODE_EXISTS),
        ((0, 0, 0, -111), 3, Error.NOT_EMPTY),
        ((0, 0, -101, -2), 2, Error.NO_NODE),
        ((-102, -2, -2, -2), 0, Error.REFUSED),
    ],
)
def test_failed_transaction(codes: Sequence[int], index: int, error: Error) -> None:
    """Each operation has an error; only one of them is the cause."""
    reply = multi(*[refusal(code) for code in codes])
    assert [type(problem) for problem in zk.Transaction.deserialize(reply, 0)] == [
        type(EXCEPTIONS[code]()) for code in codes
    ]
    assert Reader(reply).result(OPS, 0, "") == Failed(error, index)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (-101, Error.NO_NODE),
        (-112, Error.SESSION_EXPIRED),
        (-114, Error.REFUSED),
        (-9999, Error.REFUSED),
    ],
)
def test_errors(code: int, error: Error) -> None:
    assert Reader(b"").result(Get("/a"), code, "") == Failed(error)
    assert Reader(b"").result(OPS, code, "") == Failed(error)


@pytest.mark.parametrize("code", [-4, -118, -127])
def test_the_connection_is_of_no_use(code: int) -> None:
    with pytest.raises(LostError):
        Reader(b"").result(Get("/a"), code, "")
    of_one = Reader(multi(refusal(0), refusal(code), refusal(-2), refusal(-2)))
    with pytest.raises(LostError):
        of_one.result(OPS, 0, "")


def test_results_of_several_reads() -> None:
    reply = multi(
        part(4) + text("data") + STAT_BYTES, refusal(-101), part(8) + struct.pack("!i", 1) + text("x")
    )
    assert Reader(reply).results([Get("/a"), Get("/b"), Children("/c")]) == [
        Node(b"data", STAT),
        Failed(Error.NO_NODE),
        ("x",),
    ]


@pytest.mark.parametrize("created", [8, 2**30, 2**31 - 1])
def test_how_many_children_there_were_also_if_changes_are_more_than_32_bits_hold(created: int) -> None:
    deleted = created - 8
    changes = (created + deleted + 2**31) % 2**32 - 2**31
    stat = struct.pack("!qqqqiiiqiiq", *STAT_FIELDS[:5], changes, *STAT_FIELDS[6:])
    read = Reader(stat).result(Exists("/a"), 0, "")
    assert isinstance(read, Stat)
    assert read.created == created


def test_several_results_of_which_some_are_nobody_s() -> None:
    three = multi(refusal(-101), refusal(-101), refusal(-101))
    with pytest.raises(ValueError, match="more results"):
        Reader(three).results([Get("/a"), Get("/b")])


def test_a_value_that_is_longer_than_its_reply() -> None:
    reader = Reader(text("/a") + b"the next reply")
    assert reader._text() == "/a"
    reader.end(6)
    with pytest.raises(ValueError, match="cut short"):
        reader.end(5)


def test_change() -> None:
    assert Reader(struct.pack("!ii", 3, 3) + text("/app/a")).fired() == ("/app/a", EventType.CHANGED)
