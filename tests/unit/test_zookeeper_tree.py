"""All znodes of a server, read from its disk, and what is said of servers that differ."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.unit import ansible_module
from tests.unit.zookeeper_role import load, load_file

tree = load("zookeeper_tree")
module = load_file("modules/zookeeper_tree.py")
filters = load_file("filter/zookeeper_trees.py")
ME, OTHER = 0x100000001, 0x200000002
OPEN = struct.pack(">ii", 1, 31)  # a list of permissions: all of them, to
EPOCH = 1 << 32


def text(value: str) -> bytes:
    return struct.pack(">i", len(value.encode())) + value.encode()


ANYONE = OPEN + text("world") + text("anyone")
NOBODY = struct.pack(">i", 0)


def create(path: str, value: str = "", *, mine: bool = False, acl: bytes = ANYONE) -> tuple[int, bytes]:
    return 1, text(path) + text(value) + acl + bytes([mine]) + bytes(4)


def change(path: str, value: str, version: int) -> tuple[int, bytes]:
    return 5, text(path) + text(value) + struct.pack(">i", version)


def delete(path: str) -> tuple[int, bytes]:
    return 2, text(path)


def several(*parts: tuple[int, bytes]) -> tuple[int, bytes]:
    packed = [struct.pack(">ib", kind, 0)[:4] + struct.pack(">i", len(body)) + body for kind, body in parts]
    return 14, struct.pack(">i", len(parts)) + b"".join(packed)


END = (-11, b"")


def entry(zxid: int, kind: int, body: bytes, session: int = ME) -> bytes:
    whole = struct.pack(">qiqqi", session, 7, zxid, 0, kind) + body
    return struct.pack(">qi", zlib.adler32(whole), len(whole)) + whole + b"B"


def log(*transactions: tuple[int, bytes], first: int = 1) -> bytes:
    """With the zeros that ZooKeeper puts behind."""
    entries = [entry(zxid, *one) for zxid, one in zip(count(first), transactions, strict=False)]
    return b"ZKLG" + bytes(12) + b"".join(entries) + bytes(4096)


def snapshot(*nodes: tuple[str, str, int, int, int]) -> bytes:
    """Of nodes: path, value, created, modified, owner."""
    head = b"ZKSN" + bytes(12) + struct.pack(">iqi", 1, ME, 4000) + struct.pack(">iq", 1, 1) + ANYONE
    packed = [
        text(path) + text(value) + struct.pack(">qqqqqiiiqq", 1, made, set_, 0, 0, 0, 0, 0, owner, 0)
        for path, value, made, set_, owner in (("", "", 0, 0, 0), *nodes)
    ]
    return head + b"".join(packed) + text("/") + bytes(12)


class Disk:
    """A server's directory."""

    def __init__(self, path: Path) -> None:
        self.path = path
        (path / "version-2").mkdir(parents=True)

    def write(self, **files: bytes) -> Disk:
        for name, content in files.items():
            (self.path / "version-2" / name.replace("_", ".")).write_bytes(content)
        return self

    def nodes(self, zxid: int) -> dict[str, tuple[int, ...]]:
        """Created, modified, version, owner and size, by path."""
        made = tree.Tree([str(self.path)], zxid)
        nodes, self.later = made.nodes(range(tree.BUCKETS))
        made.close()
        return {path: tuple(node[key] for key in list(node)[1:]) for path, node in nodes.items()}

    def marks(self, zxid: int = 9) -> dict[str, str]:
        made = tree.Tree([str(self.path)], zxid)
        return {path: node["fingerprint"] for path, node in made.nodes(range(tree.BUCKETS))[0].items()}


@pytest.fixture
def disks(tmp_path: Path) -> Iterator[Any]:
    return (Disk(tmp_path / str(number)) for number in count())


@pytest.fixture
def disk(disks: Iterator[Disk]) -> Disk:
    return next(disks)


ROOT = {"/": (0, 0, 0, 0, 0)}


def test_the_root_is_changed_by_its_name(disks: Iterator[Disk]) -> None:
    """In a snapshot it has none. One server has the change in its log, one in its snapshot."""
    secured = (7, text("/") + NOBODY + struct.pack(">i", 1))
    before, after, other = (next(disks).write(snapshot_0=snapshot()) for _ in range(3))
    after.write(log_1=log(secured))
    other.write(log_1=log(change("/", "abc", 1)))
    assert set(after.marks()) == set(before.marks()) == {"/"}
    assert after.marks() != before.marks()
    assert other.nodes(1) == {"/": (0, 1, 1, 0, 3)}
    assert before.write(log_1=log(secured)).nodes(0) == {"/": (0, 0, 0, 0, 0)}
    assert before.later == ["/"]


@pytest.mark.parametrize(
    ("transactions", "nodes"),
    [
        ([], {}),
        ([create("/a", "abc")], {"/a": (1, 1, 0, 0, 3)}),
        ([create("/é")], {"/é": (1, 1, 0, 0, 0)}),
        ([create("/a", mine=True)], {"/a": (1, 1, 0, ME, 0)}),
        ([create("/a", mine=True), create("/b"), END], {"/b": (2, 2, 0, 0, 0)}),
        ([create("/a"), change("/a", "xy", 1)], {"/a": (1, 2, 1, 0, 2)}),
        ([create("/a"), delete("/a")], {}),
        ([create("/a"), delete("/a"), create("/a", "x")], {"/a": (3, 3, 0, 0, 1)}),
        ([change("/none", "x", 1), delete("/none")], {}),
        (
            [several(create("/a"), change("/a", "x", 1), create("/b"))],
            {"/a": (1, 1, 1, 0, 1), "/b": (1, 1, 0, 0, 0)},
        ),
        ([several((-1, bytes(4)), (-1, bytes(4)))], {}),
        ([several(create("/a"), (-1, bytes(4)))], {}),
        ([(15, create("/a")[1])], {"/a": (1, 1, 0, 0, 0)}),
        ([(19, text("/c") + text("") + ANYONE + bytes(4))], {"/c": (1, 1, 0, -(1 << 63), 0)}),
        ([(19, text("/c") + text("") + ANYONE + bytes(4)), (20, text("/c"))], {}),
        (
            [(21, text("/t") + text("") + ANYONE + bytes(4) + struct.pack(">q", 5000))],
            {"/t": (1, 1, 0, -(1 << 56) + 5000, 0)},
        ),
        ([create("/zookeeper/config", "x"), (16, text("/zookeeper/config") + text("y") + bytes(4))], {}),
        (
            [(-10, bytes(4)), (13, text("/a") + bytes(4)), (-1, bytes(4)), create("/a")],
            {"/a": (4, 4, 0, 0, 0)},
        ),
    ],
)
def test_what_transactions_make(
    disk: Disk, transactions: Sequence[tuple[int, bytes]], nodes: dict[str, tuple[int, ...]]
) -> None:
    disk.write(snapshot_0=snapshot(), log_1=log(*transactions))
    assert disk.nodes(9) == ROOT | nodes


def test_it_ends_with_the_transaction_that_is_wanted(disk: Disk) -> None:
    disk.write(
        snapshot_0=snapshot(), log_1=log(create("/a"), create("/b"), several(create("/c"), delete("/a")))
    )
    assert disk.nodes(2) == ROOT | {"/a": (1, 1, 0, 0, 0), "/b": (2, 2, 0, 0, 0)}
    assert sorted(disk.later) == ["/a", "/c"], "of these the snapshot may have what came later"


def test_a_session_that_ended_later_names_its_znodes(disk: Disk) -> None:
    ended = (-11, struct.pack(">i", 1) + text("/a"))
    disk.write(snapshot_0=snapshot(), log_1=log(create("/a", mine=True), ended, END))
    assert disk.nodes(1)["/a"] == (1, 1, 0, ME, 0)
    assert disk.later == ["/a"]


def test_of_a_bucket_only_its_own_is_told(disk: Disk) -> None:
    disk.write(snapshot_0=snapshot(), log_1=log(create("/a"), create("/b")))
    made = tree.Tree([str(disk.path)], 1)
    for path in "/a", "/b":
        nodes, later = made.nodes([tree._bucket(path.encode())])
        seen = [path] if path == "/a" else []
        assert (list(nodes), later) == (seen, [it for it in [path] if it not in seen])


def test_the_configuration_is_each_servers_own(disk: Disk) -> None:
    disk.write(snapshot_0=snapshot(("/zookeeper/config", "server.1=zk1", 0, 0, 0)))
    assert disk.nodes(0) == ROOT


def test_only_what_is_within_reach_behind_is_told(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tree, "LATER", 2)
    disk.write(snapshot_0=snapshot(), log_1=log(create("/a"), create("/b"), create("/c"), create("/d")))
    disk.nodes(1)
    assert sorted(disk.later) == ["/b", "/c"]


def test_the_newest_snapshot_counts_and_what_the_log_has_behind_it(disk: Disk) -> None:
    disk.write(
        snapshot_0=snapshot(),
        snapshot_2=snapshot(("/a", "abc", 1, 1, 0), ("/later", "", 3, 3, OTHER)),
        snapshot_4=snapshot(("/wrong", "", 1, 1, 0)),
        log_1=log(create("/a"), delete("/not-read-again"), create("/later"), change("/a", "x", 1)),
    )
    assert disk.nodes(3) == ROOT | {"/a": (1, 1, 0, 0, 3), "/later": (3, 3, 0, OTHER, 0)}


def test_logs_follow_each_other(disk: Disk) -> None:
    disk.write(
        snapshot_1=snapshot(),
        log_1=log(create("/no"), create("/a")),
        log_3=log(create("/b"), first=3),
        log_10=log(create("/c"), first=16),
    )
    assert disk.nodes(99) == ROOT | {
        "/a": (2, 2, 0, 0, 0), "/b": (3, 3, 0, 0, 0), "/c": (16, 16, 0, 0, 0),
    }  # fmt: skip


def test_a_transaction_that_was_logged_twice_counts_once(disk: Disk) -> None:
    once = entry(1, *create("/a"))
    again = entry(1, *delete("/a"))
    disk.write(snapshot_0=snapshot(), log_1=b"ZKLG" + bytes(12) + once + again)
    assert "/a" in disk.nodes(9)


@pytest.mark.parametrize("cut", [1, 13, 40])
def test_a_log_that_is_torn_ends_there(disk: Disk, cut: int) -> None:
    whole = log(create("/a"), create("/b"))[:-4096]
    disk.write(snapshot_0=snapshot(), log_1=whole[: -cut - 1])
    assert disk.nodes(9) == ROOT | {"/a": (1, 1, 0, 0, 0)}


def test_a_damaged_entry_ends_the_log(disk: Disk) -> None:
    whole = bytearray(log(create("/a"), create("/b")))
    whole[-4096 - 3] ^= 1
    disk.write(snapshot_0=snapshot(), log_1=bytes(whole))
    assert list(disk.nodes(9)) == ["/", "/a"]


def test_a_compressed_snapshot(disk: Disk) -> None:
    disk.write(snapshot_2_gz=gzip.compress(snapshot(("/a", "abc", 1, 1, 0))))
    assert disk.nodes(2) == ROOT | {"/a": (1, 1, 0, 0, 3)}


@pytest.mark.parametrize(
    "torn",
    [
        {"snapshot_2": snapshot(("/wrong", "", 1, 1, 0))[:-17]},
        {"snapshot_2": b""},
        {"snapshot_2_gz": gzip.compress(snapshot())[:-20]},
        {"snapshot_2_gz": b"no gzip"},
        {"snapshot_2_snappy": b"\x82SNAPPY"},
    ],
)
def test_instead_of_a_snapshot_that_is_being_written_the_last_one_counts(
    disk: Disk, torn: dict[str, bytes]
) -> None:
    disk.write(snapshot_0=snapshot(), log_1=log(create("/a"), create("/b"), create("/c")), **torn)
    assert list(disk.nodes(3)) == ["/", *(path for path in disk.nodes(3) if path != "/")]
    assert {"/a", "/b", "/c"} < disk.nodes(3).keys()
    assert "/wrong" not in disk.nodes(3)


def test_but_not_if_the_log_does_not_tell_what_is_between(disk: Disk) -> None:
    disk.write(
        snapshot_0=snapshot(), snapshot_5=b"", log_1=log(create("/a")), log_6=log(create("/b"), first=6)
    )
    with pytest.raises(tree.TreeError, match="newest snapshot cannot be read"):
        disk.nodes(6)


def test_a_log_that_lacks_one_behind_its_newest_snapshot_is_taken_as_it_is(disk: Disk) -> None:
    """That is how servers differ."""
    disk.write(snapshot_0=snapshot(), log_1=log(create("/a")), log_3=log(create("/c"), first=3))
    assert disk.nodes(3).keys() == {"/", "/a", "/c"}


def test_no_snapshot_is_old_enough(disk: Disk) -> None:
    disk.write(snapshot_5=snapshot(), log_6=log(create("/a"), first=6))
    with pytest.raises(tree.TreeError, match="no whole snapshot of transaction 0x4 or before"):
        disk.nodes(4)


def test_an_entry_that_is_too_short_is_told(disk: Disk) -> None:
    disk.write(snapshot_0=snapshot(), log_1=log((1, b"\0\0\0\x09/a")))
    with pytest.raises(tree.TreeError, match="a transaction that cannot be read"):
        disk.nodes(4)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([create("/a", "x")], [create("/a", "y")]),
        ([create("/a", acl=NOBODY)], [create("/a")]),
        ([create("/a"), (7, text("/a") + NOBODY + bytes(4))], [create("/a"), (13, b"")]),
        ([create("/a"), change("/a", "", 1)], [create("/a"), change("/a", "", 2)]),
        ([create("/a"), change("/a", "x", 1)], [create("/a", "x")]),
        ([create("/a"), delete("/a"), create("/a")], [create("/a")]),
        ([create("/a", mine=True)], [create("/a")]),
    ],
)
def test_what_makes_znodes_differ(
    disks: Iterator[Disk], one: Sequence[tuple[int, bytes]], other: Sequence[tuple[int, bytes]]
) -> None:
    first, second = (next(disks).write(snapshot_0=snapshot(), log_1=log(*made)) for made in (one, other))
    assert first.marks()["/a"] != second.marks()["/a"]
    assert first.marks()["/"] == second.marks()["/"]


def test_permissions_are_the_same_in_a_snapshot_and_in_the_log(disks: Iterator[Disk]) -> None:
    first = next(disks).write(snapshot_0=snapshot(), log_1=log(create("/a", "abc")))
    second = next(disks).write(snapshot_1=snapshot(("/a", "abc", 1, 1, 0)))
    assert first.marks() == second.marks()


@pytest.mark.parametrize(
    ("files", "first", "last"),
    [
        ({}, None, None),
        ({"snapshot_0": b""}, "0x0", "0x0"),
        ({"snapshot_5": b"", "snapshot_20_gz": b""}, "0x5", "0x20"),
        ({"snapshot_20_snappy": b""}, None, "0x20"),
        ({"snapshot_0": b"", "log_1": log(create("/a"), create("/b"))}, "0x0", "0x2"),
        ({"snapshot_0": b"", "log_1": log(create("/a")), "log_2": log()}, "0x0", "0x1"),
        ({"snapshot_0": b"", "snapshot_0_tmp": b"", "log_1": b""}, "0x0", "0x0"),
    ],
)
def test_how_far_the_data_go(
    disk: Disk, monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
    files: dict[str, bytes], first: str | None, last: str | None,
) -> None:  # fmt: skip
    ansible_module.reroot(module, tmp_path, monkeypatch)
    disk.write(**files)
    places = {"data_dir": str(disk.path), "txnlog_dir": str(disk.path)}
    for check in (False, True):
        answer = ansible_module.run(module, places, check=check)
        assert (answer["first"], answer["last"]) == (first, last)


class Servers:
    """What the module says on each host, as the tasks ask it."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        ansible_module.reroot(module, root, monkeypatch)
        self._root = root
        self.vars: dict[str, dict[str, Any]] = {}
        self.disks: dict[str, Disk] = {}

    def add(self, *transactions: tuple[int, bytes], **files: bytes) -> Servers:
        name = f"zk{len(self.disks) + 1}"
        self.disks[name] = Disk(self._root / name)
        self.disks[name].write(**(files or {"snapshot_0": snapshot(), "log_1": log(*transactions)}))
        self.vars[name] = {}
        return self

    def look(self, what: str, **more: Any) -> None:
        for name in more.pop("hosts"):
            place = {"data_dir": str(self.disks[name].path), "txnlog_dir": str(self.disks[name].path)}
            self.vars[name] = {
                f"__zookeeper_tree_{what}": ansible_module.run(module, place | more)
            } | self.vars[name]

    def plan(self) -> dict[str, Any]:
        made: dict[str, Any] = filters.zookeeper_tree_plan(list(self.disks), self.vars)
        return made

    def report(self) -> dict[str, Any]:
        self.look("span", hosts=list(self.disks))
        plan = self.plan()
        if plan["zxid"]:
            self.look("sums", hosts=plan["hosts"], zxid=plan["zxid"])
        if buckets := self.plan()["buckets"]:
            self.look("nodes", hosts=self.plan()["hosts"], zxid=plan["zxid"], buckets=buckets)
        made: dict[str, Any] = filters.zookeeper_tree_report(list(self.disks), self.vars)
        return made


@pytest.fixture
def servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Servers:
    return Servers(tmp_path, monkeypatch)


def test_servers_with_the_same_znodes(servers: Servers) -> None:
    both = [create("/a"), create("/b")]
    servers.add(*both).add(*both, create("/c")).add(
        snapshot_2=snapshot(("/a", "", 1, 1, 0), ("/b", "", 2, 2, 0))
    )
    report = servers.report()
    assert (report["ok"], report["differs"]) == (True, {})
    assert report["text"] == "After transaction 0x2 zk1, zk2, zk3 have the same 3 znodes."
    assert "__zookeeper_tree_nodes" not in servers.vars["zk1"], "nothing is listed if nothing differs"


def test_servers_that_differ(servers: Servers) -> None:
    servers.add(create("/a"), change("/a", "x", 1), create("/b"), create("/c"))
    servers.add(create("/a"), change("/a", "y", 1), create("/b"), create("/c"))
    servers.add(create("/a"), change("/a", "x", 1), create("/b"), change("/b", "yes", 1))
    report = servers.report()
    assert not report["ok"]
    assert report["text"].splitlines() == [
        f"After transaction 0x4 zk1, zk2, zk3 differ in 3 of 4 znodes. {filters.REPAIR}",
        "- /a: zk1, zk3: version 1 of transaction 0x2, 1 bytes; "
        "zk2: version 1 of transaction 0x2, 1 bytes, but with other contents",
        "- /b: zk1, zk2: version 0 of transaction 0x3, 0 bytes; zk3: version 1 of transaction 0x4, 3 bytes",
        "- /c: zk1, zk2: version 0 of transaction 0x4, 0 bytes; zk3: none",
    ]


def test_what_came_later_is_no_difference(servers: Servers) -> None:
    """The snapshot has one that was made after the transaction that it is named for; so its log says."""
    servers.add(create("/a"))
    servers.add(snapshot_0=snapshot(("/b", "", 2, 2, 0)), log_1=log(create("/a"), create("/b")))
    report = servers.report()
    assert (report["ok"], report["differs"]) == (True, {})
    assert servers.vars["zk2"]["__zookeeper_tree_nodes"]["later"] == ["/b"], servers.vars


def test_many_differences_are_cut_short(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    servers.add(*(create(f"/{number:03}") for number in range(60)))
    servers.add(*(create(f"/{number:03}", "x") for number in range(60)))
    text = servers.report()["text"]
    assert len(text.splitlines()) == 1 + filters.SHOWN + 1
    assert text.endswith("and 10 more")
    monkeypatch.setattr(filters, "LOOKED_AT", 0)
    servers.vars = {"zk1": {}, "zk2": {}}
    report = servers.report()
    assert not report["ok"]
    assert "differ in more than" in report["text"]
    assert 1 <= len(report["differs"]) <= 2


def test_what_was_not_looked_at_is_not_the_same(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the bucket that was, all may have come later."""
    monkeypatch.setattr(filters, "LOOKED_AT", 0)
    servers.add(create("/a")).add(create("/a"))
    servers.vars = {
        name: {
            "__zookeeper_tree_sums": {"sums": {"1": f"1 {name}", "2": f"1 {name}"}},
            "__zookeeper_tree_nodes": {"nodes": {}, "later": []},
        }
        for name in servers.disks
    }
    report = servers.report()
    assert (report["ok"], report["differs"]) == (False, {})
    assert "differ in more than 0 of 2 znodes" in report["text"]


def test_one_that_is_too_far_behind(servers: Servers) -> None:
    servers.add(create("/a")).add(snapshot_5=snapshot(), log_6=log(create("/b"), first=6))
    servers.look("span", hosts=["zk1", "zk2"])
    assert servers.plan()["hosts"] == ["zk1"], "the other is not asked for what it does not have"
    report = servers.report()
    assert not report["ok"]
    assert report["text"].startswith(
        "- zk2 no longer has the znodes as they were after transaction 0x1, where zk1"
    )
    assert "--limit '!zk1'" in report["text"]


def test_who_cannot_be_compared_is_told_and_the_others_are(servers: Servers) -> None:
    for _ in range(3):
        servers.add(create("/a"))
    servers.add(snapshot_1_snappy=b"").add(log_1=b"").add().add(create("/a")).add(create("/a"))
    servers.vars["zk6"]["__zookeeper_tree_span"] = {"unreachable": True, "msg": "ssh: connect: no route"}
    servers.vars["zk7"]["__zookeeper_tree_sums"] = {"failed": True, "msg": "No space left on device"}
    servers.vars["zk8"]["__zookeeper_tree_sums"] = {"error": "it is Tuesday"}
    report = servers.report()
    assert not report["ok"], "it has not been verified of all"
    texts = report["text"].splitlines()
    assert texts[0].startswith(
        "- zk4 cannot be compared: it has no snapshot, or they are compressed with Snappy"
    )
    assert texts[1] == "- zk5 has no data."
    assert texts[2].startswith("- zk6 cannot be reached over SSH: connect: no route.")
    assert texts[3].startswith("- zk7 has no space left")
    assert texts[4] == "- zk8 cannot be compared: it is Tuesday."
    assert texts[5] == "After transaction 0x1 zk1, zk2, zk3 have the same 2 znodes."


def test_who_fails_when_the_differences_are_looked_at(servers: Servers) -> None:
    servers.add(create("/a")).add(create("/b")).add(create("/b"))
    servers.vars["zk3"]["__zookeeper_tree_nodes"] = {"error": "no"}
    texts = servers.report()["text"].splitlines()
    assert texts[0] == "- zk3 cannot be compared: no."
    assert texts[1].startswith("After transaction 0x1 zk1, zk2 differ in 2 of 2 znodes.")


def test_a_single_server(servers: Servers) -> None:
    report = servers.add(create("/a")).report()
    assert (report["ok"], report["text"]) == (
        True,
        "There is only one server, and nothing to compare it with.",
    )


def test_those_that_limit_leaves_out_are_named(servers: Servers) -> None:
    servers.add(create("/a")).add(create("/a"))
    servers.report()
    group = ["zk1", "zk2", "zk3"]
    report = filters.zookeeper_tree_report(["zk1", "zk2"], servers.vars, group)
    assert report["ok"]
    assert report["text"].splitlines() == [
        "After transaction 0x1 zk1, zk2 have the same 2 znodes.",
        "Not compared: zk3, which --limit leaves out. Whether they have the same is not known.",
    ]
    alone = filters.zookeeper_tree_report(["zk1"], servers.vars, group)
    assert not alone["ok"]
    assert alone["text"].startswith("Not compared: zk2, zk3, which --limit leaves out.")


def test_a_tree_that_does_not_fit_on_the_disk(servers: Servers, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise module.sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(module, "Tree", full)
    texts = servers.add(create("/a")).add(create("/a")).report()["text"].splitlines()
    assert (
        texts[0] == "- zk1 cannot be compared: its znodes need space in /var/tmp: database or disk is full."
    )


def test_the_configuration_in_force_says_where_the_data_are(servers: Servers, tmp_path: Path) -> None:
    servers.add(create("/a"))
    (tmp_path / "etc/zookeeper").mkdir(parents=True)
    (tmp_path / "etc/zookeeper/zoo.cfg").write_text(f"dataDir={tmp_path / 'zk1'}\n")
    answer = ansible_module.run(module, {"data_dir": "/nowhere", "txnlog_dir": "/nowhere"})
    assert answer["last"] == "0x1"
