"""What the simulated servers of the edge understand and say, against kazoo's own classes."""

import struct

import pytest
from kazoo.exceptions import EXCEPTIONS
from kazoo.protocol import serialization as zk
from kazoo.protocol.states import ZnodeStat
from kazoo.security import ACL, OPEN_ACL_UNSAFE, Id, Permissions

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
    Operation,
    Result,
    Set,
    Stat,
    Transaction,
)
from tests.edge import wire

OPS = Transaction(
    (
        Check("/a", 7),
        Create("/b", b"data"),
        Create("/e-", b"", ephemeral=True, sequential=True),
        Set("/c", b"\xff\0", -1),
        Delete("/d", 2),
    )
)
BY_KAZOO = zk.Transaction(
    [
        zk.CheckVersion("/a", 7),
        zk.Create("/b", b"data", OPEN_ACL_UNSAFE, 0),
        zk.Create("/e-", b"", OPEN_ACL_UNSAFE, 3),
        zk.SetData("/c", b"\xff\0", -1),
        zk.Delete("/d", 2),
    ]
)
STAT = Stat(czxid=1 << 40, version=3, owner=-6, children=8, ctime=1.5)


def asked(kind: int, body: bytes) -> wire.Request:
    return wire.request(struct.pack(">ii", 5, kind) + bytes(body))


@pytest.mark.parametrize(
    ("by_kazoo", "operation"),
    [
        (zk.GetData("/a", None), Get("/a")),
        (zk.GetData("/ä", print), Get("/ä", watch=True)),
        (zk.GetChildren("/", print), Children("/", watch=True)),
        (zk.Exists("/a/b", None), Exists("/a/b")),
        (BY_KAZOO, OPS),
    ],
)
def test_requests_of_kazoo_are_understood(by_kazoo: zk.GetData, operation: Operation) -> None:
    lists = (wire.OPEN,) * 2 if operation is OPS else ()
    assert asked(by_kazoo.type, by_kazoo.serialize()) == wire.Request(5, by_kazoo.type, (operation,), lists)


def test_an_access_control_list_of_kazoo_is_understood() -> None:
    entries = [ACL(Permissions.ALL, Id("x509", "CN=ä")), ACL(Permissions.READ, Id("world", "anyone"))]
    by_kazoo = zk.Transaction([zk.Create("/b", b"", entries, 0)])
    assert asked(by_kazoo.type, by_kazoo.serialize()).lists == (
        (wire.Entry(31, "x509", "CN=ä"), wire.Entry(1, "world", "anyone")),
    )


def test_several_reads_in_one_and_their_watches_are_ignored() -> None:
    reads = [zk.GetData("/a", print), zk.GetChildren("/b", None)]
    parts = b"".join(
        bytes(zk.MultiHeader(read.type, False, -1).serialize() + read.serialize()) for read in reads
    )
    request = asked(22, parts + bytes(zk.MultiHeader(-1, True, -1).serialize()))
    assert request.operations == (Get("/a"), Children("/b"))


def test_the_first_packet_and_its_answer() -> None:
    by_kazoo = zk.Connect(0, 77, 4000, 5, b"secret", None)
    assert wire.hello(bytes(by_kazoo.serialize())) == wire.Hello(0, 77, 4000, 5, b"secret", read_only=False)
    answer, _ = zk.Connect.deserialize(wire.welcome(6000, -5, bytes(16))[4:], 0)
    assert answer == zk.Connect(0, 0, 6000, -5, bytes(16), False)


@pytest.mark.parametrize(
    "packet", [b"", b"\0" * 8, struct.pack(">iii", 1, 4, 5), struct.pack(">iii", 1, 99, 0), b"\0" * 30]
)
def test_what_no_server_would_understand(packet: bytes) -> None:
    with pytest.raises(wire.BadRequestError):
        wire.request(packet)


def test_packets_come_in_pieces() -> None:
    received = bytearray(wire.packet(b"one") + wire.packet(b"") + wire.packet(b"three")[:-1])
    assert wire.split(received) == [b"one", b""]
    received += b"e"
    assert wire.split(received) == [b"three"]
    assert received == b""


def read(packet: bytes, request: zk.GetData) -> tuple[int, object]:
    """As kazoo reads it: the error, and the result."""
    assert len(packet) == 4 + struct.unpack_from(">i", packet)[0]
    header, at = zk.ReplyHeader.deserialize(packet, 4)
    assert (header.xid, header.zxid) == (9, 33)
    return header.err, None if header.err else request.deserialize(packet, at)


def said(operation: Operation, result: Result) -> bytes:
    kind = wire.MULTI if isinstance(operation, Transaction) else 0
    code, body = wire.answer(wire.Request(9, kind, (operation,)), [result])
    return wire.reply(9, 33, code, body)


def kept(stat: ZnodeStat) -> Stat:
    return Stat(stat.czxid, stat.version, stat.ephemeralOwner, stat.numChildren, stat.ctime / 1000)


def test_results_are_understood_by_kazoo() -> None:
    code, result = read(said(Get("/a"), Node(b"data", STAT)), zk.GetData)
    assert (code, result[0], kept(result[1])) == (0, b"data", STAT)  # type: ignore[index]  # as kazoo has it
    assert result[1].dataLength == 4  # type: ignore[index]
    assert read(said(Children("/a"), ("x", "ÿ")), zk.GetChildren) == (0, ["x", "ÿ"])
    code, result = read(said(Exists("/a"), STAT), zk.Exists)
    assert (code, kept(result)) == (0, STAT)
    assert read(said(Exists("/a"), None), zk.Exists)[0] == -101
    assert read(said(Get("/a"), Failed(Error.NO_NODE)), zk.GetData)[0] == -101


def test_transactions_are_understood_by_kazoo() -> None:
    code, results = read(said(OPS, (None, "/b", "/e-0000000001", STAT, None)), zk.Transaction)
    assert isinstance(results, list)
    assert code == 0
    assert [results[0], results[1], results[2], results[4]] == [True, "/b", "/e-0000000001", True]
    assert kept(results[3]) == STAT
    code, results = read(said(OPS, Failed(Error.NODE_EXISTS, 1)), zk.Transaction)
    assert isinstance(results, list)
    assert [type(result) for result in results] == [
        type(EXCEPTIONS[code]()) for code in (0, -110, -2, -2, -2)
    ]


def test_several_results_in_one() -> None:
    request = wire.Request(9, wire.MULTI_READ, (Get("/a"), Get("/b"), Children("/c")))
    code, body = wire.answer(request, [Node(b"data", STAT), Failed(Error.NO_NODE), ("x",)])
    header, at = zk.MultiHeader.deserialize(body, 0)
    assert (code, header) == (0, zk.MultiHeader(4, False, 0))
    data, at = zk.read_buffer(body, at)
    assert data == b"data"
    header, at = zk.MultiHeader.deserialize(body, at + zk.stat_struct.size)
    assert header == zk.MultiHeader(-1, False, -101)
    header, at = zk.MultiHeader.deserialize(body, at + 4)
    assert header == zk.MultiHeader(8, False, 0)
    assert zk.GetChildren.deserialize(body, at) == ["x"]
    assert body.endswith(bytes(zk.MultiHeader(-1, True, -1).serialize()))


def test_a_change_is_understood_by_kazoo() -> None:
    packet = wire.watch(3, "/app/ä")
    header, at = zk.ReplyHeader.deserialize(packet, 4)
    assert header == zk.ReplyHeader(-1, -1, 0)
    assert zk.Watch.deserialize(packet, at)[0] == zk.Watch(3, 3, "/app/ä")
