"""Files of the example store: there whole or not at all, whatever becomes of a reply, and gc leaves them."""

import io
import os
from argparse import Namespace
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, NoReturn, Self

import pytest
from kazoo.exceptions import (
    ConnectionLoss,
    NoAuthError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    RolledBackError,
    RuntimeInconsistency,
)
from stores import rpc
from stores.blocks.__main__ import gc
from stores.blocks.disk import checksum
from stores.blocks.files import ChangedError, Collected, Files, LateError, collect
from stores.blocks.names import Block, ConflictError, EndedError, File, Names, NoSuchFileError, znode
from stores.rpc import Message, RefusedError

pytestmark = pytest.mark.servers

DATA = b"some\n\0data"


def test_a_file_is_one_znode_whatever_its_path() -> None:
    assert znode("a/ä b.txt", "t") == "/files/t/a%2F%C3%A4 b.txt"
    for path in ("", ".", "..", "a\nb", "x" * 301):
        with pytest.raises(ValueError, match="path"):
            znode(path, "t")


def test_a_file_is_read_as_it_was_written() -> None:
    file = File("a", "w", (Block("w-0.0", 3, 10, "c"), Block("w-1.0", 0, 5, "d")))
    assert File.decode("a", file.encode()) == file
    assert file.length == 15
    for data in (b"", b"[]", b"{}", b'{"writer": "w", "blocks": [[1]]}', b"\xff"):
        with pytest.raises(ValueError, match="a is no file"):
            File.decode("a", data)


# ---------------------------------------------------------------- a small ensemble


class Znodes:
    """What is stored. ``before`` and ``after`` are called around the next transactions, and may lose them."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] = dict.fromkeys(
            ("/files", "/files/blocks", "/writing", "/writing/blocks"), b""
        )
        self.before: list[Callable[[], None]] = []
        self.after: list[Callable[[], None]] = []
        self.asked: list[str] = []

    def connect(self, *_: object, **__: object) -> Self:
        return self

    def start(self, _timeout: float) -> None: ...
    def stop(self) -> None: ...
    def close(self) -> None: ...

    def sync(self, path: str) -> None:
        self.asked.append(f"sync {path}")

    def ensure_path(self, path: str) -> None:
        self.data.setdefault(path, b"")

    def get(self, path: str) -> tuple[bytes, Any]:
        if path not in self.data:
            raise NoNodeError
        return self.data[path], None

    def get_children(self, path: str) -> list[str]:
        self.asked.append(f"list {path}")
        self.get(path)
        return [name.rpartition("/")[2] for name in self.data if name.rpartition("/")[0] == path]

    def create(self, path: str, data: bytes = b"", ephemeral: bool = False) -> None:  # noqa: ARG002 - all are alike
        if path in self.data:
            raise NodeExistsError
        self.get(path.rpartition("/")[0])
        self.data[path] = data

    def delete(self, path: str) -> None:
        if path not in self.data:
            raise NoNodeError
        if any(name.startswith(f"{path}/") for name in self.data):
            raise NotEmptyError
        del self.data[path]

    def set_data(self, path: str, data: bytes) -> None:
        self.get(path)
        self.data[path] = data

    def transaction(self) -> "Transaction":
        return Transaction(self)


class Transaction:
    """All or nothing."""

    def __init__(self, znodes: Znodes) -> None:
        self._znodes = znodes
        self._operations: list[tuple[Callable[..., None], tuple[Any, ...]]] = []

    def delete(self, *arguments: Any) -> None:
        self._operations.append((self._znodes.delete, arguments))

    def create(self, *arguments: Any) -> None:
        self._operations.append((self._znodes.create, arguments))

    def set_data(self, *arguments: Any) -> None:
        self._operations.append((self._znodes.set_data, arguments))

    def check(self, path: str, _version: int) -> None:
        self._operations.append((self._znodes.get, (path,)))  # type: ignore[arg-type]  # what it returns is not used

    def commit(self) -> list[Any]:
        if self._znodes.before:
            self._znodes.before.pop(0)()
        results = self._commit()
        if self._znodes.after:
            self._znodes.after.pop(0)()
        return results

    def _commit(self) -> list[Any]:
        saved, count = dict(self._znodes.data), len(self._operations)
        for number, (do, arguments) in enumerate(self._operations):
            try:
                do(*arguments)
            except Exception as problem:
                self._znodes.data = saved
                return [
                    *[RolledBackError()] * number,
                    problem,
                    *[RuntimeInconsistency()] * (count - number - 1),
                ]
        return [True] * count


def lost() -> None:
    raise ConnectionLoss


@pytest.fixture
def znodes(monkeypatch: pytest.MonkeyPatch) -> Znodes:
    znodes = Znodes()
    monkeypatch.setattr("stores.blocks.names.KazooClient", znodes.connect)
    monkeypatch.setattr("stores.blocks.names.ASK_AGAIN_SECONDS", 0.001)
    return znodes


@pytest.fixture
def names(znodes: Znodes) -> Names:
    assert znodes.data
    return Names("blocks", "somewhere")


def test_a_file_is_made_or_replaces_the_one_that_was_there(names: Names) -> None:
    first = File("a/b", names.begin(), ())
    names.commit(first, None)
    there = names.read("a/b")
    assert (there, names.writers()) == (first, set())
    second = File("a/b", names.begin(), (Block("x", 1, 2, "c"),))
    names.commit(second, there)
    assert names.read("a/b") == second
    for before in (None, there):
        late = File("a/b", names.begin(), ())
        with pytest.raises(ConflictError):
            names.commit(late, before)
        assert names.writers() == {late.writer}
        names.end(late.writer)
        names.end(late.writer)
    assert (names.paths(), list(names.all())) == (["a/b"], [names.read("a/b")])
    names.delete("a/b")
    with pytest.raises(ConflictError):
        names.commit(File("a/b", names.begin(), ()), there)
    for ask in (names.delete, names.read):
        with pytest.raises(NoSuchFileError):
            ask("a/b")


def test_a_file_that_was_deleted_and_made_again_is_another_one(names: Names) -> None:
    names.commit(File("a", names.begin(), ()), None)
    before = names.read("a")
    late = File("a", names.begin(), ())
    names.delete("a")
    again = File("a", names.begin(), ())
    names.commit(again, None)
    with pytest.raises(ConflictError):
        names.commit(late, before)
    assert names.read("a") == again


def test_a_file_is_deleted_whatever_becomes_of_the_reply_and_who_replaces_it(
    names: Names, znodes: Znodes
) -> None:
    for before, after in ((lost, lost), (lambda: replace(names), lost), (lambda: names.delete("a"), lost)):
        names.commit(File("a", names.begin(), ()), None)
        znodes.before, znodes.after = [before], [after]
        names.delete("a")
        assert names.find("a") is None
        assert [name for name in znodes.data if name.startswith("/files/blocks/")] == []
        znodes.before, znodes.after = [], []


def replace(names: Names) -> None:
    names.commit(File("a", names.begin(), ()), names.read("a"))


def test_what_a_person_has_made_is_no_file(names: Names, znodes: Znodes) -> None:
    znodes.data["/files/blocks/a"] = File("a", "nobody", ()).encode()
    with pytest.raises(ValueError, match="a is no file"):
        names.delete("a")


def test_who_may_not_write_is_told_so(names: Names, znodes: Znodes, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> NoReturn:
        raise NoAuthError

    names.commit(File("a", names.begin(), ()), None)
    before = names.read("a")
    monkeypatch.setattr(znodes, "set_data", refused)
    with pytest.raises(NoAuthError):
        names.commit(File("a", names.begin(), ()), before)


def test_each_table_has_its_own_files(names: Names) -> None:
    others = Names("others", "somewhere")
    assert (others.paths(), others.writers(), others.needs(0), others.find("a")) == ([], set(), False, None)
    with pytest.raises(ValueError, match="create the table"):
        others.begin()
    others.make_parents()
    names.commit(File("a", names.begin(), (Block("x", 0, 1, "c"),)), None)
    names.begin()
    assert (others.paths(), others.writers(), others.needs(0), others.find("a")) == ([], set(), False, None)
    others.commit(File("a", others.begin(), ()), None)
    assert (len(names.read("a").blocks), len(others.read("a").blocks)) == (1, 0)


def test_a_fork_does_not_use_the_connection_of_its_parent(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its threads are not there, so it would wait for ever."""
    writer = names.begin()
    child = os.getpid() + 1
    monkeypatch.setattr("os.getpid", lambda: child)
    for does in (names.begin, names.paths, lambda: names.commit(File("a", writer, ()), None)):
        with pytest.raises(ConnectionError, match="fork"):
            does()
    names.close()


@pytest.mark.parametrize("kind", ["made", "replaced"])
def test_a_file_is_made_once_whatever_becomes_of_the_reply(names: Names, znodes: Znodes, kind: str) -> None:
    before = None
    if kind == "replaced":
        names.commit(File("a", names.begin(), ()), None)
        before = names.read("a")
    file = File("a", names.begin(), ())
    znodes.before, znodes.after = [lost], [lost]  # the request is lost, then the reply
    names.commit(file, before)
    assert names.read("a") == file
    assert names.writers() == set()


def test_whose_session_has_ended_makes_no_file(names: Names, znodes: Znodes) -> None:
    file = File("a", names.begin(), ())
    names.end(file.writer)
    with pytest.raises(EndedError):
        names.commit(file, None)
    assert names.find("a") is None
    # Its reply is lost, and somebody replaces the file before it looks: it cannot know.
    file = File("a", names.begin(), ())
    other = File("a", "other", ()).encode()

    def replaced() -> None:
        znodes.data["/files/blocks/a"] = other
        lost()

    znodes.after = [replaced]
    with pytest.raises((EndedError, ConflictError)):
        names.commit(file, None)


def test_a_file_of_too_many_blocks_is_refused(names: Names) -> None:
    blocks = (Block("x", 1, 2, "c"),) * 5001
    with pytest.raises(ValueError, match="more than 5000 blocks"):
        names.commit(File("a", names.begin(), blocks), None)


def test_writers_are_not_older_than_the_question(names: Names, znodes: Znodes) -> None:
    writer = names.begin()
    znodes.asked.clear()
    assert names.writers() == {writer}
    assert znodes.asked == ["sync /writing/blocks", "list /writing/blocks"]


def test_a_group_is_needed_if_a_file_has_a_block_of_it_or_may_have(names: Names) -> None:
    assert not names.needs(3)
    writer = names.begin()
    assert names.needs(3)
    names.commit(File("a", writer, (Block("x", 3, 2, "c"),)), None)
    assert (names.needs(3), names.needs(2)) == (True, False)


def test_labels_are_those_that_workers_have(names: Names, znodes: Znodes) -> None:
    znodes.data["/holders/w1"] = b'{"incarnation": 3, "labels": ["rack=a", "big"], "shards": {}}'
    znodes.data["/holders/w2"] = b""
    assert names.labels(["w1", "w2", "w3"]) == {"w1": "rack=a big", "w2": "", "w3": ""}


# ---------------------------------------------------------------- the client


class DataNode:
    """Has the blocks it was sent; ``refuses`` says why it takes none, ``lies`` what it gives instead."""

    def __init__(self, to: str) -> None:
        self.to, self.blocks, self.refuses, self.lies = to, dict[str, bytes](), "", b""
        self.keeps = False  # refuses to remove
        self.asked: list[str] = []
        self.server = rpc.Server(self.answer)

    def answer(self, request: Message) -> Message:
        do, block = request.fields["do"], request.fields.get("block", "")
        self.asked.append(do)
        if self.refuses or request.fields["to"] != self.to or (self.keeps and do == "remove"):
            raise RefusedError(self.refuses or "it is for somebody else")
        if do == "write":
            assert checksum(request.body) == request.fields["checksum"]
            self.blocks[block] = request.body
        elif do == "read":
            if block not in self.blocks:
                raise RefusedError("missing")
            return Message({}, self.lies or self.blocks[block])
        elif do == "list":
            later = [name for name in sorted(self.blocks) if name > request.fields["after"]]
            return Message({"more": len(later) > 1}, b"".join(f"{name} 9.0".encode() for name in later[:1]))
        elif do == "remove":
            for name in request.body.decode().split():
                self.blocks.pop(name, None)
        elif do == "look":
            return Message({"has": "whole" if block in self.blocks else "missing"})
        return Message({})


class Town:
    """Two groups, each with two data nodes; the first is the primary."""

    def __init__(self) -> None:
        self.nodes = {
            (group, name): DataNode(f"blocks/{group}@{name}") for group in (0, 1) for name in ("w1", "w2")
        }
        self.primary, self.looks = "w1", 0
        self.addresses = {at: node.server.address for at, node in self.nodes.items()}

    def __call__(self, _connect: str) -> Self:
        return self

    def table(self, _name: str) -> Self:
        return self

    def close(self) -> None: ...

    def shard(self, group: int) -> Any:
        self.looks += 1
        members = {
            name: SimpleNamespace(state="sync", address=self.addresses[its, name])
            for its, name in self.nodes
            if its == group
        }
        return SimpleNamespace(shard=group, primary=self.primary, members=members)

    def show(self) -> list[Any]:
        return [self.shard(0), self.shard(1)]


@pytest.fixture
def town(znodes: Znodes, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    assert znodes.data
    town = Town()
    monkeypatch.setattr("stores.blocks.files.Client", town)
    yield town
    for node in town.nodes.values():
        node.server.close()


def stored(town: Town) -> dict[str, bytes]:
    return {block: data for node in town.nodes.values() for block, data in node.blocks.items()}


def test_a_file_is_cut_into_blocks_and_put_together(town: Town) -> None:
    with Files(block_size=4) as files:
        file = files.put("a", Slowly(DATA))
        assert [block.length for block in file.blocks] == [4, 4, 2]
        assert [stored(town)[block.name] for block in file.blocks] == [b"some", b"\n\0da", b"ta"]
        assert b"".join(files.get("a")) == DATA
        assert files.put("empty", io.BytesIO()).blocks == ()
        assert [it.path for it in files.list()] == ["a", "empty"]
        assert [it.path for it in files.list("e")] == ["empty"]


class Slowly(io.BytesIO):
    """As a pipe: it gives less than it is asked for."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(3, size or 0))


def test_a_client_asks_again_who_the_primary_is(town: Town) -> None:
    with Files() as files:
        for node in (town.nodes[0, "w1"], town.nodes[1, "w1"]):
            node.refuses = "not the primary"
        shard = town.shard

        def later(group: int) -> Any:
            town.primary = "w2" if town.looks > 4 else "w1"
            return shard(group)

        town.shard = later  # type: ignore[method-assign]  # for this test
        (block,) = files.put("a", io.BytesIO(DATA)).blocks
        assert town.nodes[block.group, "w2"].blocks == {block.name: DATA}
        assert block.name.endswith("-0.0"), "the same block: it may be there"


def test_a_block_goes_to_another_group_under_another_name(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stores.blocks.files.GROUP_SECONDS", 0.05)
    with Files() as files:
        town.nodes[0, "w1"].refuses = town.nodes[1, "w1"].refuses = "not now"
        with pytest.raises(LateError, match="not now"):
            Files(timeout=0.3).put("a", io.BytesIO(DATA))
        assert files.names.writers() == set()
        town.nodes[0, "w1"].refuses = ""
        for groups in ([0, 1], [1, 0]):
            monkeypatch.setattr(files._groups, "shuffled", lambda groups=groups: groups)
            (block,) = files.put("a", io.BytesIO(DATA)).blocks
            assert block.group == 0
        assert {name.rpartition("-")[2] for name in stored(town)} == {"0.0", "0.1"}


def test_who_gives_something_else_is_not_believed(town: Town) -> None:
    with Files() as files:
        (block,) = files.put("a", io.BytesIO(DATA)).blocks
        for name in ("w1", "w2"):
            town.nodes[block.group, name].blocks = stored(town)
        town.nodes[block.group, "w1"].lies = b"lies"
        for _ in range(5):
            assert b"".join(files.get("a")) == DATA
        assert [(its.worker, its.has) for its in files.where("a")[0][1]] == [("w1", "whole"), ("w2", "whole")]


def test_a_reader_is_told_that_the_file_was_replaced(town: Town) -> None:
    with Files(block_size=4) as files:
        files.put("a", io.BytesIO(DATA))
        reader = files.get("a")
        assert next(reader) == DATA[:4]
        for node in town.nodes.values():
            node.blocks.clear()
        files.put("a", io.BytesIO(b"new"))
        with pytest.raises(ChangedError):
            next(reader)
        files.delete("a")
        with pytest.raises(NoSuchFileError):
            next(files.get("a"))


def test_gc_asks_everybody_and_removes_what_no_file_has(
    town: Town, capsys: pytest.CaptureFixture[str]
) -> None:
    with Files(block_size=4) as files:
        file = files.put("a", io.BytesIO(DATA))
        town.nodes[0, "w2"].blocks = {"dead-0.0": b"", "dead-1.0": b"", f"{files.names.begin()}-0.0": b""}
        town.nodes[1, "w1"].refuses = "not now"
        assert files.gc(10.0) == Collected(0, 0, ("w1",))
        with pytest.raises(LateError):  # and it is not known any more where that group is
            files._groups.write(Block("x", 0, 1, "wrong"), b"x", 0.0)
        town.nodes[0, "w2"].keeps = True
        gc(files, Namespace(older_than=0.0))
        assert capsys.readouterr().out == (
            "0 blocks removed, 2 left for the next gc\n"
            "what these have is not known, for they do not answer: w1\n"
        )
        town.nodes[0, "w2"].keeps = False
        assert files.gc(0.0) == Collected(2, 0, ("w1",))
        town.nodes[1, "w1"].refuses = ""
        gc(files, Namespace(older_than=0.0))
        assert capsys.readouterr().out == "0 blocks removed\n"
        assert len(town.nodes[0, "w2"].blocks) == 1
        assert {block.name for block in file.blocks} <= stored(town).keys()


# ---------------------------------------------------------------- gc


class Ensemble:
    """Writers and files; ``then`` happens before the next question is answered."""

    def __init__(self) -> None:
        self.writing = {"now", "soon"}
        self.files = {"old": File("old", "old", (Block("old-0.0", 0, 1, ""),))}
        self.then: list[Callable[[], None]] = []
        self.removed: dict[tuple[int, str], list[str]] = {}
        self.begun = False
        self.silent: set[tuple[int, str]] = set()  # when they are to remove something

    def begin(self) -> None:
        """Somebody begins, and stores a block."""
        self.writing.add("new")
        self.begun = True

    def commit(self, writer: str) -> None:
        """What the transaction does."""
        if writer in self.writing:
            self.writing.remove(writer)
            self.files[writer] = File(writer, writer, (Block(f"{writer}-0.0", 0, 1, ""),))

    def writers(self) -> set[str]:
        self._do()
        return set(self.writing)

    def all(self) -> Iterator[File]:
        self._do()
        yield from list(self.files.values())

    def listed(self) -> dict[tuple[int, str], dict[str, float] | None]:
        self._do()
        ages = {"old-0.0": 9.0, "soon-0.0": 9.0, "now-0.0": 9.0, "dead-0.0": 9.0, "dead-1.0": 1.0}
        more = {"new-0.0": 9.0} if self.begun else {}
        return {(0, "w1"): ages | more, (0, "w2"): {"dead-0.0": 0.5, "dead-2.0": 5.0}, (1, "w3"): None}

    def remove(self, at: tuple[int, str], blocks: Any) -> bool:
        if at in self.silent:
            return False
        self.removed[at] = list(blocks)
        return True

    def _do(self) -> None:
        if self.then:
            self.then.pop(0)()


@pytest.mark.parametrize("moment", range(4))
@pytest.mark.parametrize("what", ["commit", "end", "begin"])
def test_gc_removes_no_block_of_a_file_that_is_being_written(moment: int, what: str) -> None:
    """Whenever it begins or is done: then or earlier its writer was seen, or its file is seen. Whoever ends
    without a file makes none later."""
    ensemble = Ensemble()
    does = {
        "commit": lambda: ensemble.commit("soon"),
        "end": lambda: ensemble.writing.discard("soon"),
        "begin": ensemble.begin,
    }
    ensemble.then = [lambda: None] * 4
    ensemble.then[moment] = does[what]
    assert collect(ensemble, ensemble, 2.0).removed >= 2
    for writer in ("soon", "new"):
        ensemble.commit(writer)
    used = {block.name for file in ensemble.files.values() for block in file.blocks}
    removed = {block for blocks in ensemble.removed.values() for block in blocks}
    assert not removed & (used | {"now-0.0", "dead-1.0"})
    assert removed >= {"dead-0.0", "dead-2.0"}
    assert ensemble.removed[0, "w2"] == ["dead-0.0", "dead-2.0"], "as old as its oldest copy"


def test_what_gc_says_is_removed_is_removed_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    ensemble = Ensemble()
    ensemble.silent = {(0, "w2")}
    ensemble.writing.clear()
    # dead-0.0 is on both, dead-2.0 on the silent one; dead-1.0, now-0.0 and soon-0.0 are not.
    assert collect(ensemble, ensemble, 0.0) == Collected(3, 2, ("w3",))
    monkeypatch.setattr("stores.blocks.files.MOST_REMOVED", 1)
    ensemble.silent.clear()
    assert collect(ensemble, ensemble, 0.0) == Collected(1, 4, ("w3",))


def test_a_block_has_to_fit_into_a_message(town: Town) -> None:
    assert town.nodes
    for size in (0, rpc.MOST_BYTES + 1):
        with pytest.raises(ValueError, match="block_size"):
            Files(block_size=size)
