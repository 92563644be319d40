"""Blocks of the example store: nothing that was acknowledged is lost, whoever is told what, and when."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NoReturn

import pytest
from stores import rpc
from stores.blocks.disk import BrokenError, DamagedError, DifferentError, Disk, MissingError, checksum
from stores.blocks.node import Group, name_of
from stores.blocks.standing import Standing
from stores.rpc import Message, RefusedError

from mwapp.handlers import Term
from testbed.waiting import wait_for

pytestmark = pytest.mark.servers

DATA = b"some\n\0data"


# ---------------------------------------------------------------- disk


def test_a_block_is_read_as_it_was_written(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "a/b")
    disk.store("w-0.0", DATA)
    disk.store("w-0.0", DATA)
    disk.store("w-1.0", b"")
    assert (disk.read("w-0.0"), disk.read("w-1.0")) == (DATA, b"")
    assert list(Disk(tmp_path / "a/b").blocks()) == ["w-0.0", "w-1.0"]
    disk.remove("w-0.0")
    disk.remove("w-0.0")
    with pytest.raises(MissingError):
        disk.read("w-0.0")


def test_a_block_is_never_changed(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.store("w-0.0", DATA)
    with pytest.raises(DifferentError):
        disk.store("w-0.0", DATA + b"!")
    assert disk.read("w-0.0") == DATA


@pytest.mark.parametrize(
    "damage", [lambda it: it[:-1], lambda it: it[:30], lambda _: b"", lambda it: it + b"!"]
)
def test_a_damaged_block_is_noticed(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    disk = Disk(tmp_path)
    disk.store("w-0.0", DATA * 100)
    (tmp_path / "w-0.0").write_bytes(damage((tmp_path / "w-0.0").read_bytes()))
    with pytest.raises(DamagedError):
        disk.read("w-0.0")
    disk.replace("w-0.0", DATA)
    assert disk.read("w-0.0") == DATA


def test_a_block_has_its_name_when_it_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def power_cut(_: int) -> NoReturn:
        raise OSError("power cut")

    disk = Disk(tmp_path)
    monkeypatch.setattr("os.fsync", power_cut)
    with pytest.raises(BrokenError, match="power cut"):
        disk.store("w-0.0", DATA)
    monkeypatch.undo()
    assert disk.blocks() == {}
    assert [path.suffix for path in tmp_path.iterdir()] == [".new"]
    assert list(Disk(tmp_path).blocks()) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "COMPLETE", "a b"])
def test_no_block_has_the_name_of_something_else(tmp_path: Path, name: str) -> None:
    for do in (Disk(tmp_path).read, Disk(tmp_path).remove):
        with pytest.raises(ValueError, match="name"):
            do(name)


def test_a_disk_says_whether_it_had_everything(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    assert not disk.complete
    disk.note_complete()
    assert disk.complete
    assert Disk(tmp_path).complete
    assert disk.blocks() == {}


def test_its_directories_are_there_after_a_power_cut_whoever_has_made_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process that made them may have died before it flushed them."""
    synced: list[Path] = []
    fsync = os.fsync

    def note(number: int) -> None:
        synced.append(Path(f"/proc/self/fd/{number}").readlink())
        fsync(number)

    monkeypatch.setattr("os.fsync", note)
    (tmp_path / "top/w1/blocks").mkdir(parents=True)
    Disk(tmp_path / "top/w1/blocks/t/0", tmp_path / "top")
    assert synced == [tmp_path / path for path in ("top", "top/w1", "top/w1/blocks", "top/w1/blocks/t")]
    synced.clear()
    Disk(tmp_path / "new/w1/blocks/t/0", tmp_path / "new")
    assert synced[:2] == [tmp_path, tmp_path / "new"]


def test_a_disk_goes_on_with_the_directory_that_it_has_opened(tmp_path: Path) -> None:
    """Its file system is unmounted, and below it is another directory of that path: with nothing in it."""
    disk = Disk(tmp_path / "0")
    disk.store("w-0.0", DATA)
    (tmp_path / "0").rename(tmp_path / "unmounted")
    Disk(tmp_path / "0").store("w-9.0", DATA)
    disk.store("w-1.0", DATA)
    disk.note_complete()
    disk.remove("w-9.0")
    assert (list(disk.blocks()), disk.read("w-0.0")) == (["w-0.0", "w-1.0"], DATA)
    below = Disk(tmp_path / "0")
    assert (list(below.blocks()), below.complete) == (["w-9.0"], False)


DISK_DOES: list[Callable[[Disk], object]] = [
    lambda disk: disk.store("w-1.0", DATA),
    lambda disk: disk.store("w-0.0", DATA),
    lambda disk: disk.replace("w-0.0", DATA),
    lambda disk: disk.remove("w-0.0"),
    lambda disk: disk.blocks(),
    lambda disk: disk.complete,
    lambda disk: disk.note_complete(),
]


@pytest.mark.parametrize("does", DISK_DOES)
def test_an_error_of_the_disk_is_not_one_of_the_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: Callable[[Disk], object]
) -> None:
    disk = Disk(tmp_path)
    disk.store("w-0.0", DATA)

    def broken(*_: object, **__: object) -> NoReturn:
        raise OSError(5, "Input/output error")

    for call in ("os.open", "os.unlink", "os.stat", "os.fsync"):
        monkeypatch.setattr(call, broken)
    with pytest.raises(BrokenError, match="Input/output error"):
        does(disk)


def test_two_who_list_at_once_each_see_all(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    for number in range(300):
        (tmp_path / f"w-{number}.0").touch()
    seen: list[int] = []

    def look() -> None:
        seen.extend(len(disk.blocks()) for _ in range(20))

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [300] * 60


# ---------------------------------------------------------------- standing


def term(generation: int, primary: str = "w1", **members: str) -> Term:
    return Term(generation, "replica", primary, members or {"w1": "sync", "w2": "sync", "w3": "sync"})


def primary(generation: int = 5, least: int = 1, **members: str) -> Standing:
    standing = Standing("w1", least)
    standing.be(term(generation, **members), primary=True)
    return standing


def test_all_in_sync_must_have_it_under_this_generation() -> None:
    standing = primary()
    assert standing.missing({}) == (5, {"w2", "w3"})
    assert standing.missing({"w2": 5, "w3": 4}) == (5, {"w3"})
    assert standing.missing({"w2": 5, "w3": 5}) == (5, set())
    standing.be(term(6, w1="sync", w2="sync"), primary=True)
    assert standing.missing({"w2": 5, "w3": 5}) == (6, {"w2"})


def test_nobody_but_a_primary_of_the_greatest_generation_acknowledges() -> None:
    standing = primary()
    standing.overtaken(6)
    with pytest.raises(RefusedError, match="replaced"):
        standing.missing({})
    standing.be(term(6), primary=True)
    assert standing.missing({}) == (6, {"w2", "w3"})
    standing.be(term(6), primary=False)
    with pytest.raises(RefusedError, match="not the primary"):
        standing.missing({})


def test_a_replica_obeys_the_greatest_generation_that_it_has_seen() -> None:
    standing = primary()
    assert [standing.obey(generation) for generation in (5, 7, 6, 7)] == [5, 7, 7, 7]


def test_too_few_in_sync_acknowledge_nothing() -> None:
    with pytest.raises(RefusedError, match="1 of 2"):
        primary(least=2, w1="sync", w2="copy").missing({})
    assert primary(least=2, w1="sync", w2="sync").missing({}) == (5, {"w2"})


def test_who_copies_gets_what_is_new_and_counts_when_it_has_joined() -> None:
    standing = primary(w1="sync", w2="copy")
    assert standing.missing({}) == (5, set())
    standing.join("w2", 5, 1)
    assert standing.missing({}) == (5, {"w2"})
    standing.missed("w2")
    assert standing.missing({}) == (5, set()), "nobody waits for who only copies"
    with pytest.raises(RefusedError, match="missed a block"):
        standing.joined("w2", 5, 1)
    standing.join("w2", 5, 2)
    standing.joined("w2", 5, 2)
    standing.joined("w2", 5, 2)
    standing.missed("w2")
    assert standing.missing({}) == (5, {"w2"}), "it counts now"
    standing.be(term(6, w1="sync", w2="copy"), primary=True)
    assert standing.missing({}) == (6, set()), "it has to join anew"
    for join in (standing.join, standing.joined):
        with pytest.raises(RefusedError, match="generation 5"):
            join("w2", 5, 3)
    standing.join("w2", 6, 1)
    assert standing.missing({}) == (6, {"w2"})


def test_a_request_to_join_that_comes_late_does_not_hide_a_block_that_was_missed() -> None:
    """The primary slept with the first attempt in its hands; the second has its list already."""
    standing = primary(w1="sync", w2="copy")
    standing.join("w2", 5, 2)
    standing.missed("w2")
    with pytest.raises(RefusedError, match="another attempt"):
        standing.join("w2", 5, 1)
    for attempt in (1, 2):
        with pytest.raises(RefusedError, match="missed a block"):
            standing.joined("w2", 5, attempt)
    standing.join("w2", 5, 3)
    with pytest.raises(RefusedError, match="missed a block"):
        standing.joined("w2", 5, 2)


# ---------------------------------------------------------------- data nodes


class Node(Group):
    """In one process with the others, without an ensemble."""

    there: dict[str, "Node"]

    def addresses(self) -> Mapping[str, str]:
        return {name: node.address for name, node in self.there.items()}

    def needed(self) -> bool:
        return True

    def ask(self, do: str, body: bytes = b"", **fields: object) -> Message:
        to = name_of(self.table, self.shard, self.worker)
        return rpc.call(self.address, {"to": to, "do": do, **fields}, body, 5.0)

    def write(self, block: str = "w-0.0", data: bytes = DATA) -> Message:
        return self.ask("write", data, block=block, checksum=checksum(data))

    @property
    def blocks(self) -> list[str]:
        return list(self._disk.blocks())


Start = Callable[..., Node]


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    monkeypatch.setenv("STORES_DIR", str(tmp_path))
    monkeypatch.setenv("STORES_BLOCKS_LEAST", "1")
    monkeypatch.setattr("stores.blocks.node.PAUSE", 0.001)  # they begin one after the other, and look at once
    there: dict[str, Node] = {}

    def start(worker: str, its: Term) -> Node:
        node = there[worker] = Node("t", 0, worker)
        node.there = there
        node.open(its)
        return node

    yield start
    for node in there.values():
        node.close()


def three(start: Start) -> tuple[Node, Node, Node]:
    """In sync under generation 5, with w1 as the primary."""
    first, second, third = (start(name, term(5)) for name in ("w1", "w2", "w3"))
    first.promote(term(5))
    assert first.caught_up()
    return first, second, third


def test_a_block_is_acknowledged_when_all_in_sync_have_it(start: Start) -> None:
    nodes = three(start)
    assert nodes[0].write().fields == {"generation": 5}
    assert nodes[0].write().fields == {"generation": 5}
    for node in nodes:
        assert node.blocks == ["w-0.0"]
        assert node.ask("read", block="w-0.0").body == DATA
        assert node.ask("look", block="w-0.0").fields == {"has": "whole"}
    with pytest.raises(RefusedError, match="not the primary"):
        nodes[1].write("w-1.0")
    with pytest.raises(RefusedError, match="was to be stored"):
        nodes[0].write(data=b"other")
    with pytest.raises(RefusedError, match="on its way"):
        nodes[0].ask("write", DATA, block="w-1.0", checksum=checksum(b"other"))
    assert {tuple(node.blocks) for node in nodes} == {("w-0.0",)}


def test_a_primary_that_has_slept_acknowledges_nothing(start: Start) -> None:
    first, second, third = three(start)
    second.promote(term(6, "w2", w2="sync", w3="sync"))
    # w3 has not heard of it yet: it takes the block, and that is not enough.
    with pytest.raises(RefusedError, match="replaced"):
        first.write()
    assert second.blocks == []
    assert second.write("w-1.0").fields == {"generation": 6}
    with pytest.raises(RefusedError, match="replaced"):
        first.write("w-2.0")
    assert "w-2.0" not in third.blocks, "it has seen generation 6 by now"
    # The one that was refused is repeated, and now everybody has it.
    second.write()
    for node in (second, third):
        assert node.blocks == ["w-0.0", "w-1.0"]


def test_what_is_stored_while_the_generation_changes_does_not_count(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is promoted, somebody joins it, and only then the block of its predecessor is on its disk: who has
    joined lacks it."""
    first, second, _ = three(start)
    store = second._disk.store

    def slowly(block: str, data: bytes) -> None:
        second.promote(term(6, "w2", w2="sync", w4="copy"))
        store(block, data)

    monkeypatch.setattr(second._disk, "store", slowly)
    with pytest.raises(RefusedError, match="replaced"):
        first.write()


def test_nothing_is_acknowledged_without_one_that_is_silent(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stores.blocks.node.STORE_EVERYWHERE_SECONDS", 0.2)
    first, second, third = three(start)
    third.close()
    with pytest.raises(RefusedError, match="w3 did not take it"):
        first.write()
    first.promote(term(6, w1="sync", w2="sync"))
    assert first.write().fields == {"generation": 6}
    assert second.blocks == ["w-0.0"]


def test_after_a_handover_nothing_is_acknowledged(start: Start) -> None:
    first, second, _ = three(start)
    first.handover(term(5), "w2")
    with pytest.raises(RefusedError, match="not the primary"):
        first.write()
    first.demote(term(6, "w2"))
    second.promote(term(6, "w2"))
    assert second.write().fields == {"generation": 6}


def test_a_copy_has_everything_that_is_acknowledged_when_it_counts(start: Start) -> None:
    first, _, third = three(start)
    third.close()
    first.promote(term(6, w1="sync", w2="sync"))
    for number in range(8):
        first.write(f"old-{number}.0")
    written: list[str] = []
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            first.write(f"new-{len(written)}.0")
            written.append(f"new-{len(written)}.0")

    thread = threading.Thread(target=write)
    thread.start()
    members = {"w1": "sync", "w2": "sync", "w4": "copy"}
    first.promote(term(7, **members))
    fourth = start("w4", term(7, **members))
    try:
        wait_for("it is caught up", fourth.caught_up)
        acknowledged, has = set(written), set(fourth.blocks)
        assert {f"old-{number}.0" for number in range(8)} | acknowledged <= has
        count = len(written)
        wait_for("more is written", lambda: len(written) > count + 3)
        assert set(written) <= set(fourth.blocks)
    finally:
        stop.set()
        thread.join()
    # Under the next generation it has to join again, and does not count before.
    fourth.demote(term(8, **members))
    time.sleep(0.1)
    assert not fourth.caught_up(), "the primary has not heard of this generation"
    first.promote(term(8, **members))
    wait_for("it is caught up again", fourth.caught_up)
    first.promote(term(9, **members))
    fourth.close()
    first.write("last-0.0")
    assert "last-0.0" not in fourth.blocks


def test_a_copy_of_another_generation_is_refused(start: Start) -> None:
    first, _, _ = three(start)
    for do in ("join", "joined"):
        with pytest.raises(RefusedError, match="not the primary of generation 4"):
            first.ask(do, worker="w4", generation=4, attempt=1)


def test_a_block_that_nobody_has_whole_does_not_keep_others_from_being_copied(start: Start) -> None:
    first, second, _ = three(start)
    for block in ("w-0.0", "w-1.0"):
        first.write(block)
    damage(first, "w-0.0")
    damage(second, "w-0.0")
    members = {"w1": "sync", "w2": "sync", "w4": "copy"}
    first.promote(term(6, **members))
    fourth = start("w4", term(6, **members))
    wait_for("it is caught up", fourth.caught_up)
    assert fourth.blocks == ["w-1.0"]


def test_a_block_is_not_taken_for_lost_because_somebody_is_silent(start: Start) -> None:
    first, second, _ = three(start)
    first.write()
    damage(first, "w-0.0")
    second.close()
    members = {"w1": "sync", "w2": "sync", "w4": "copy"}
    first.promote(term(6, **members))
    fourth = start("w4", term(6, **members))
    time.sleep(0.5)
    assert not fourth.caught_up()
    start("w2", term(6, **members))
    wait_for("it is caught up", fourth.caught_up)
    assert fourth.blocks == ["w-0.0"]


def damage(node: Node, block: str) -> None:
    path = Path(os.environ["STORES_DIR"], node.worker, "blocks/t/0", block)
    path.write_bytes(path.read_bytes()[:-1] + b"?")


def test_a_damaged_block_is_read_from_another_and_repaired(start: Start) -> None:
    first, second, third = three(start)
    first.write()
    damage(second, "w-0.0")
    damage(first, "w-0.0")
    assert second.ask("look", block="w-0.0").fields == {"has": "damaged"}
    with pytest.raises(RefusedError, match="not whole here"):
        second.ask("fetch", block="w-0.0")
    assert second.ask("read", block="w-0.0") == Message({"block": "w-0.0", "repaired": True}, DATA)
    assert second.ask("look", block="w-0.0").fields == {"has": "whole"}
    first._disk.remove("w-0.0")
    assert first.ask("read", block="w-0.0").body == DATA
    assert first.blocks == ["w-0.0"]
    for node in (first, second, third):
        damage(node, "w-0.0")
    with pytest.raises(RefusedError, match="whole nowhere"):
        third.ask("read", block="w-0.0")
    with pytest.raises(RefusedError, match="whole nowhere"):
        third.ask("read", block="w-9.0")


def test_who_comes_back_is_in_sync_only_with_the_disk_that_it_had(start: Start, tmp_path: Path) -> None:
    first, _, _ = three(start)
    first.write()
    first.close()
    assert start("w1", term(6, "", w1="back", w2="back")).caught_up()
    (tmp_path / "w1/blocks/t/0/COMPLETE").unlink()
    back = start("w1", term(6, "", w1="back", w2="back"))
    with pytest.raises(RuntimeError, match="the disk of w1 is not the one it had"):
        wait_for("it knows", back.caught_up)


def test_a_group_that_was_never_opened_comes_back_empty(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handlers of a new table may die before they are open."""
    answers: list[Callable[[], bool]] = [silent, lambda: False]
    monkeypatch.setattr(Node, "needed", lambda _: answers.pop(0)())
    back = start("w1", term(6, "", w1="back", w2="back"))
    wait_for("it is back", back.caught_up)
    assert answers == []


def silent() -> NoReturn:
    raise ConnectionError


def test_a_request_for_somebody_else_is_refused(start: Start) -> None:
    first, _, _ = three(start)
    for to in ("t/0@w2", "t/1@w1", None):
        with pytest.raises(RefusedError, match="t/0@w1 does not do that"):
            rpc.call(first.address, {"to": to, "do": "look", "block": "w-0.0"})
    for do in ("jump", ["look"], None):
        with pytest.raises(RefusedError, match="t/0@w1 does not do that"):
            rpc.call(first.address, {"to": "t/0@w1", "do": do})
    for block in (7, "../x", None):
        with pytest.raises(RefusedError, match="not a request"):
            first.ask("look", block=block)


def test_a_list_comes_in_parts(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stores.blocks.node.MOST_LISTED", 2)
    first, _, _ = three(start)
    for number in range(5):
        first.write(f"w-{number}.0")
    part = first.ask("list", after="w-1.0")
    assert [line.split()[0] for line in part.body.decode().splitlines()] == ["w-2.0", "w-3.0"]
    assert part.fields["more"]
    members = {"w1": "sync", "w4": "copy"}
    first.promote(term(6, **members))
    fourth = start("w4", term(6, **members))
    wait_for("it is caught up", fourth.caught_up)
    assert len(fourth.blocks) == 5


# It ends a thread, in place of the process.
ends = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The statuses with which the process would have ended; its thread has."""
    ended: list[int] = []

    def exit(status: int) -> NoReturn:
        ended.append(status)
        raise SystemExit

    monkeypatch.setattr("os._exit", exit)
    return ended


def full(*_: object) -> NoReturn:
    raise BrokenError("No space left on device")


@ends
def test_a_full_disk_ends_the_process_because_all_wait_for_it(
    start: Start, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], ended: list[int]
) -> None:
    first, second, _ = three(start)
    monkeypatch.setattr(second._disk, "store", full)
    monkeypatch.setattr("stores.blocks.node.STORE_EVERYWHERE_SECONDS", 0.3)
    with pytest.raises(RefusedError, match="w2"):
        first.write()
    assert set(ended) == {1}
    assert "the disk of w2: No space left" in capsys.readouterr().err


@ends
@pytest.mark.parametrize("what", ["list", "read", "remove"])
def test_a_broken_disk_ends_the_process_whatever_it_was_asked_for(
    start: Start, monkeypatch: pytest.MonkeyPatch, what: str, ended: list[int]
) -> None:
    first, _, _ = three(start)
    first.write()
    for does in ("blocks", "replace", "remove"):
        monkeypatch.setattr(first._disk, does, full)
    damage(first, "w-0.0")
    with pytest.raises(ConnectionError):
        first.ask(what, b"w-0.0", block="w-0.0")
    assert ended == [1]


@ends
@pytest.mark.parametrize("does", ["blocks", "store", "note_complete"])
def test_a_copy_whose_disk_is_broken_does_not_try_for_ever(
    start: Start, monkeypatch: pytest.MonkeyPatch, does: str, ended: list[int]
) -> None:
    first, _, _ = three(start)
    first.write()
    monkeypatch.setattr(f"stores.blocks.disk.Disk.{does}", full)
    if does == "blocks":  # the primary's own is well
        monkeypatch.setattr(first._disk, "blocks", lambda: {"w-0.0": 1.0})
    fourth = start("w4", term(6, w1="sync", w4="copy"))
    first.promote(term(6, w1="sync", w4="copy"))
    wait_for("it has ended", lambda: ended)
    assert (ended, fourth.caught_up()) == ([1], False)


@ends
def test_a_copy_that_cannot_go_on_ends_its_process(
    start: Start, monkeypatch: pytest.MonkeyPatch, ended: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    """A person has written something else into a file's znode."""

    def needed(_: Node) -> bool:
        raise ValueError("a is no file")

    monkeypatch.setattr(Node, "needed", needed)
    start("w1", term(6, "", w1="back", w2="back"))
    wait_for("it has ended", lambda: ended)
    assert "a is no file" in capsys.readouterr().err


def test_a_block_is_as_old_as_its_file(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    disk.store("w-0.0", DATA)
    time.sleep(0.01)
    assert 0.0 < disk.blocks()["w-0.0"] < 60.0
