"""Regions on shared storage: what is acknowledged is there, wherever an owner dies, stands still or loses
power; and an owner that has a successor gets nothing acknowledged."""

import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from stores.regions import files, ranges, region
from stores.regions.contents import MOST_WRITERS, Contents
from stores.regions.ranges import Range
from stores.regions.region import OpenRegion, SealedError
from stores.rpc import RefusedError

from testbed.waiting import wait_for

CHANGING = ("write", "fsync", "rename", "link", "unlink", "mkdir")


class KilledError(Exception):
    """The owner has died here."""


class Storage:
    """In place of ``os``: calls ``at(n)`` before the n-th step that changes something, and knows what is left
    if the power failed: files as far as they were synced, names as far as their directories were."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.steps = 0
        self.also = ""  # this is a step, too
        self.at: Callable[[int], None] = lambda _: None
        self._contents: dict[int, bytes] = {}
        self._names: dict[int, dict[str, int]] = {place.stat().st_ino: {}}
        self._held: list[int] = []  # so that the number of an inode is not used again

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        if not callable(real):
            return real
        return lambda *args, **kwargs: self._do(name, real, *args, **kwargs)

    def _do(self, name: str, real: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        creates = name == "open" and args[1] & os.O_CREAT
        if name in CHANGING or creates or name == self.also:
            self.steps += 1
            self.at(self.steps)
        # To wait for a disk would prove nothing.
        result: Any = None if name == "fsync" else real(*args, **kwargs)
        if name == "mkdir":
            self._hold(os.open(args[0], os.O_RDONLY))
        elif creates:
            self._hold(os.dup(result))
        elif name == "fsync":
            self._synced(args[0])
        return result

    def _hold(self, file: int) -> None:
        self._held.append(file)
        self._names.setdefault(os.fstat(file).st_ino, {})

    def _synced(self, file: int) -> None:
        found = os.fstat(file)
        path = Path(f"/proc/self/fd/{file}")
        if stat.S_ISDIR(found.st_mode):
            self._names[found.st_ino] = {entry.name: entry.inode() for entry in os.scandir(path)}
        else:
            self._contents[found.st_ino] = path.read_bytes()

    def after_power_failure(self, to: Path) -> None:
        self._rebuild(self.place.stat().st_ino, to)

    def _rebuild(self, directory: int, to: Path) -> None:
        to.mkdir()
        for name, inode in self._names[directory].items():
            if inode in self._directories():
                self._rebuild(inode, to / name)
            else:
                (to / name).write_bytes(self._contents.get(inode, b""))

    def _directories(self) -> set[int]:
        kinds = {found.st_ino: found.st_mode for found in map(os.fstat, self._held)}
        return {inode for inode, mode in kinds.items() if stat.S_ISDIR(mode)}

    def end(self) -> None:
        for file in self._held:
            os.close(file)


@pytest.fixture
def make_storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], Storage]]:
    made: list[Storage] = []

    def make() -> Storage:
        place = tmp_path / f"table-{len(made)}"
        place.mkdir()
        storage = Storage(place)
        made.append(storage)
        monkeypatch.setattr(files, "os", storage)
        monkeypatch.setattr(region, "os", storage)
        for name in (ranges.MAP, region.SEEDS):
            storage.mkdir(place / name)
        files.sync(place)
        ranges.begin(place, 0)
        storage.steps = 0
        return storage

    yield make
    for storage in made:
        storage.end()


class Person:
    """Writes, and remembers what was acknowledged."""

    def __init__(self, name: str = "p") -> None:
        self.name = name
        self.number = 0
        self.acknowledged: dict[str, bytes] = {}
        self.open: tuple[str, bytes] | None = None  # nobody knows whether it was done

    def put(self, into: OpenRegion, key: str, value: bytes) -> None:
        self.number += 1
        self.open = key, value
        into.write({"key": key, "writer": self.name, "number": self.number}, value)
        self.acknowledged[key] = value
        self.open = None


def take(place: Path, shard: int, generation: int, longest_log: int = 200) -> OpenRegion:
    """As the handler does it."""
    mine = ranges.read(place).of(shard)
    assert mine is not None
    seed = place / region.SEEDS / mine.seed if mine.seed else None
    found = OpenRegion(place / str(shard), generation, seed, longest_log)
    for child in found.children:
        ranges.add(place, Range(*child))
    return found


def split(place: Path, its: OpenRegion, key: str, parent: int = 0) -> int:
    """As the handler does it."""
    shard = ranges.reserve(place, parent)
    its.split(key, shard)
    ranges.add(place, Range(*its.children[-1]))
    return shard


def pairs(body: bytes) -> list[tuple[str, bytes]]:
    """Of a scan."""
    return [(fields["key"], value) for fields, value, _ in files.decode(body)]


def everything(place: Path, generation: int) -> dict[str, bytes]:
    """What later owners find; every key has one region."""
    found: dict[str, bytes] = {}
    regions: dict[int, OpenRegion] = {}
    while missing := [entry for entry in ranges.read(place).ranges if entry.shard not in regions]:
        for entry in missing:
            regions[entry.shard] = take(place, entry.shard, generation)
    lows = [entry.low for entry in ranges.read(place).ranges]
    for entry, high in zip(ranges.read(place).ranges, [*lows[1:], None], strict=True):
        body, after = regions[entry.shard].scan(entry.low, 10**6)
        items = pairs(body)
        assert after == high
        assert all(entry.low <= key and (high is None or key < high) for key, _ in items)
        found |= dict(items)
    for its in regions.values():
        its.close()
    return found


def life(place: Path, person: Person) -> None:
    """Of two regions and three owners: flushes, a split, a take-over."""
    first = take(place, 0, 1)
    for key in "abcdefgh":
        person.put(first, key, key.encode() * 20)
    shard = split(place, first, "e")
    second = take(place, shard, 1)
    person.put(second, "f", b"new")
    person.put(first, "b", b"new")
    with pytest.raises(RefusedError):
        first.write({"key": "f", "writer": "q", "number": 1}, b"elsewhere")
    first.close()
    third = take(place, 0, 2)
    person.put(third, "a", b"newest")
    third.close()
    second.close()


def check(person: Person, found: dict[str, bytes]) -> None:
    if person.open and found.get(person.open[0]) == person.open[1]:
        person.acknowledged[person.open[0]] = person.open[1]
    assert found == person.acknowledged


def steps_of(make: Callable[[], Storage], story: Callable[[Path, Person], None]) -> int:
    storage = make()
    story(storage.place, Person())
    return storage.steps


def test_what_is_acknowledged_is_there_wherever_an_owner_is_killed_or_loses_power(
    make_storage: Callable[[], Storage], tmp_path: Path
) -> None:
    steps = steps_of(make_storage, life)
    assert steps > 60

    def die(now: int) -> None:
        if now == step:
            raise KilledError

    for step in range(1, steps + 1):
        for then in ("go on", "lose power", "go on and lose power"):
            storage, person, later = make_storage(), Person(), Person("later")
            storage.at = die
            with pytest.raises(KilledError):
                life(storage.place, person)
            storage.at = lambda _: None
            place = storage.place
            if "go on" in then:
                for entry in ranges.read(place).ranges:
                    later.put(take(place, entry.shard, 5), f"{entry.low or 'a'}1", b"later")
            if "lose power" in then:
                place = tmp_path / f"after-{step}-{len(then)}"
                storage.after_power_failure(place)
            found = everything(place, 10)
            assert all(found.pop(key) == value for key, value in later.acknowledged.items())
            check(person, found)


def test_an_owner_that_stands_still_anywhere_and_wakes_gets_nothing_acknowledged(
    make_storage: Callable[[], Storage],
) -> None:
    steps = steps_of(make_storage, life)
    refused = 0
    for step in range(1, steps + 1):
        storage, person, later = make_storage(), Person("p"), Person("later")

        def succeed(now: int, storage: Storage = storage, later: Person = later, step: int = step) -> None:
            """Meanwhile others take all over, write, split, and write again."""
            if now != step:
                return
            for entry in ranges.read(storage.place).ranges:
                its = take(storage.place, entry.shard, 5)
                later.put(its, f"{entry.low or 'a'}1", b"later")
                key = its.middle()
                if key is not None:
                    child = take(storage.place, split(storage.place, its, key, entry.shard), 5)
                    later.put(child, key, b"later")
                    child.close()
                its.close()

        storage.at = succeed
        try:
            life(storage.place, person)
        except (SealedError, FileNotFoundError):  # the files of a generation that is over may be gone
            refused += 1
        storage.at = lambda _: None
        found = everything(storage.place, 10)
        for key, value in later.acknowledged.items():
            assert found.pop(key) == value, f"step {step}: {key} is overwritten"
            person.acknowledged.pop(key, None)
        if person.open and person.open[0] in later.acknowledged:
            person.open = None
        check(person, found)
    assert refused > steps / 2


def test_an_owner_that_wakes_while_it_takes_over_removes_nothing_of_its_successor(
    make_storage: Callable[[], Storage],
) -> None:
    ended, step = False, 0
    while not ended:
        step += 1
        storage, person = make_storage(), Person()
        first = take(storage.place, 0, 1)
        for key in "abcd":
            person.put(first, key, b"1")
        storage.steps, storage.also = 0, "listdir"

        def succeed(now: int, storage: Storage = storage, step: int = step) -> None:
            if now == step:
                split(storage.place, take(storage.place, 0, 3), "c")

        storage.at = succeed
        with suppress(SealedError, FileNotFoundError):
            take(storage.place, 0, 2)
        ended = storage.steps < step
        storage.at = lambda _: None
        check(person, everything(storage.place, 10))


def test_what_follows_a_torn_record_is_there_for_the_next_owner(make_storage: Callable[[], Storage]) -> None:
    place, person = make_storage().place, Person()
    person.put(take(place, 0, 1), "a", b"1")
    with (place / "0/1/log.1").open("ab") as log:
        log.write(files.encode({"key": "b", "writer": "p", "number": 2}, b"torn")[:-1])
    person.put(take(place, 0, 2), "c", b"3")
    assert everything(place, 3) == person.acknowledged


def test_an_owner_with_a_successor_answers_no_reads(make_storage: Callable[[], Storage]) -> None:
    place = make_storage().place
    first = take(place, 0, 1)
    Person().put(first, "a", b"1")
    take(place, 0, 2)
    for ask in (lambda: first.get("a"), lambda: first.scan("", 100), lambda: first.split("b", 1)):
        with pytest.raises(SealedError):
            ask()
    with pytest.raises(SealedError):
        take(place, 0, 1)
    with pytest.raises(SealedError):
        take(place, 0, 2)
    assert take(place, 0, 3).get("a") == b"1"


def test_a_write_that_comes_again_is_done_once(make_storage: Callable[[], Storage]) -> None:
    place = make_storage().place
    its = take(place, 0, 1)
    again = {"key": "k", "writer": "p", "number": 1}
    its.write(again, b"first")
    Person("q").put(its, "k", b"second")
    its.write(again, b"first")
    assert its.get("k") == b"second"
    its = take(place, 0, 2)
    its.write(again, b"first")
    assert its.get("k") == b"second"
    Person("r").put(its, "a", b"")
    child = take(place, split(place, its, "k"), 3)
    child.write(again, b"first")
    assert child.get("k") == b"second"


def test_many_write_at_once_and_share_what_goes_to_disk(make_storage: Callable[[], Storage]) -> None:
    storage = make_storage()
    its = take(storage.place, 0, 1, 10**6)
    people = [Person(f"p{number}") for number in range(8)]
    threads = [threading.Thread(target=person.put, args=(its, person.name, b"x")) for person in people]

    def hold_back(step: int) -> None:
        """The first write, until all others wait."""
        if step == 1:
            for thread in threads[1:]:
                thread.start()
            wait_for("they wait", lambda: len(its._batch) == len(threads) - 1)

    storage.steps, storage.at = 0, hold_back
    threads[0].start()
    for thread in threads:
        thread.join()
    assert storage.steps == 4, "the first write and its fsync, and then one of both for all others"
    storage.at = lambda _: None
    assert everything(storage.place, 2) == {person.name: b"x" for person in people}


def test_a_write_that_waits_while_its_region_is_split_goes_to_the_other_half(
    make_storage: Callable[[], Storage],
) -> None:
    storage = make_storage()
    its, person, outcome = take(storage.place, 0, 1), Person(), list[str]()
    for key in "abcd":
        person.put(its, key, b"1")

    def write() -> None:
        try:
            Person("q").put(its, "d", b"2")
            outcome.append("acknowledged")
        except RefusedError:
            outcome.append("refused")

    late = threading.Thread(target=write)

    def begin(_: int) -> None:
        if late.ident is None:
            late.start()
            wait_for("the write waits", lambda: its._batch)

    shard = ranges.reserve(storage.place, 0)
    storage.at = begin
    its.split("c", shard)
    storage.at = lambda _: None
    late.join()
    ranges.add(storage.place, Range(*its.children[-1]))
    assert outcome == ["refused"]
    assert take(storage.place, shard, 1).get("d") == b"1"


def test_a_region_whose_disk_fails_is_over(make_storage: Callable[[], Storage]) -> None:
    storage = make_storage()
    its, person = take(storage.place, 0, 1), Person()
    person.put(its, "a", b"1")

    def fail(_: int) -> None:
        raise OSError(5, "the disk")

    storage.at = fail
    with pytest.raises(OSError, match="the disk"):
        person.put(its, "a", b"2")
    storage.at = lambda _: None
    with pytest.raises(RefusedError, match="cannot be written"):
        person.put(its, "a", b"3")
    with pytest.raises(RefusedError, match="cannot be written"):
        its.get("a")


@pytest.mark.parametrize("left", ["nothing", "an empty directory", "an earlier state"])
def test_an_owner_whose_storage_is_gone_neither_answers_nor_acknowledges(
    make_storage: Callable[[], Storage], left: str
) -> None:
    storage = make_storage()
    its, person = take(storage.place, 0, 3), Person()
    person.put(its, "a", b"1")
    (storage.place / "0").rename(storage.place / "unmounted")
    if left != "nothing":
        (storage.place / "0").mkdir()
    if left == "an earlier state":
        (storage.place / "0/2").mkdir()
    asks: list[Callable[[], object]] = [
        lambda: its.get("a"),
        lambda: its.scan("", 100),
        lambda: person.put(its, "a", b"2"),
    ]
    for ask in asks:
        with pytest.raises(FileNotFoundError):
            ask()
    assert person.acknowledged == {"a": b"1"}


def test_a_region_begins_with_its_seed_or_not_at_all(make_storage: Callable[[], Storage]) -> None:
    place = make_storage().place
    with pytest.raises(FileNotFoundError):
        OpenRegion(place / "7", 1, place / region.SEEDS / "gone")


def test_scans_go_on_where_they_ended(make_storage: Callable[[], Storage]) -> None:
    place = make_storage().place
    its, person = take(place, 0, 1), Person()
    for key in "abcd":
        person.put(its, key, b"123")
    record = len(files.encode({"key": "a"}, b"123"))

    def scan(low: str, most: int) -> tuple[list[str], str | None]:
        body, after = its.scan(low, most)
        assert all(value == b"123" for _, value in pairs(body))
        assert len(body) <= max(most, record)
        return [key for key, _ in pairs(body)], after

    assert scan("", 2 * record) == (["a", "b"], "c")
    assert scan("", 3 * record - 1) == (["a", "b"], "c")
    assert scan("bb", 1) == (["c"], "d")
    assert scan("d", 1) == (["d"], None)
    split(place, its, "c")
    assert scan("b", 100) == (["b"], "c")
    for beyond in ("c", "x"):
        with pytest.raises(RefusedError):
            its.scan(beyond, 100)
        with pytest.raises(RefusedError):
            its.get(beyond)
    for nowhere in ("", "c", "x"):
        with pytest.raises(RefusedError):
            its.split(nowhere, 9)


def test_what_was_torn_ends_the_records_and_the_rest_is_as_written() -> None:
    whole = files.encode({"key": "a"}, b"1") + files.encode({"key": "b"}, b"2")
    assert [(fields["key"], body) for fields, body, _ in files.decode(whole)] == [("a", b"1"), ("b", b"2")]
    for at in range(len(whole)):
        torn = [fields["key"] for fields, _, _ in files.decode(whole[:at])]
        assert torn == ["a"][: at * 2 // len(whole)]
        assert [fields["key"] for fields, _, _ in files.decode(whole[:at] + bytes(len(whole) - at))] == torn
        flipped = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        assert [fields["key"] for fields, _, _ in files.decode(flipped)] == ["a"][: at * 2 // len(whole)]


def test_a_sorted_file_that_is_not_whole_is_none() -> None:
    contents = Contents("a", "x")
    contents.apply({"key": "k", "writer": "p", "number": 1}, b"v")
    assert Contents.decode(contents.encode()).encode() == contents.encode()
    for at in range(len(contents.encode())):
        with pytest.raises(ValueError, match=r"sorted file|meant to be in it"):
            Contents.decode(contents.encode()[:at])


def test_the_size_is_that_of_what_is_in_it() -> None:
    contents = Contents()
    for number, (key, value) in enumerate([("a", b"12"), ("b", b"1"), ("a", b"1234"), ("c", b"")], 1):
        contents.apply({"key": key, "writer": "p", "number": number}, value)
    assert contents.size == 3 + 5
    contents.apply({"key": "a", "writer": "p", "number": 8, "delete": True}, b"")
    contents.apply({"key": "no", "writer": "p", "number": 9, "delete": True}, b"")
    assert (contents.size, contents.keys) == (3, ["b", "c"])
    contents.apply({"split": "c", "shard": 1, "seed": "s"}, b"")
    assert (contents.size, contents.keys, contents.high) == (2, ["b"], "c")
    assert contents.middle() is None


def test_of_so_many_writers_the_latest_are_known() -> None:
    contents = Contents()
    for number in range(MOST_WRITERS):
        contents.apply({"key": "k", "writer": f"p{number}", "number": 1}, b"")
    contents.apply({"key": "k", "writer": "p0", "number": 2}, b"")
    contents.apply({"key": "k", "writer": "new", "number": 1}, b"")
    assert len(contents.writers) == MOST_WRITERS
    assert contents.writers["p0"] == 2
    assert "p1" not in contents.writers


def test_the_map_loses_no_change_whoever_changes_it_meanwhile(make_storage: Callable[[], Storage]) -> None:
    for step in range(1, 20):
        storage = make_storage()

        def meanwhile(now: int, storage: Storage = storage, step: int = step) -> None:
            if now == step:
                ranges.add(storage.place, Range("m", ranges.reserve(storage.place, 5), "s"))

        storage.at = meanwhile
        mine = ranges.reserve(storage.place, 0)
        assert ranges.reserve(storage.place, 0) == mine, "it is for the next split, whoever does it"
        ranges.add(storage.place, Range("c", mine, "t"))
        ranges.add(storage.place, Range("c", mine, "t"))
        found = ranges.read(storage.place)
        assert [entry.low for entry in found.ranges] == (
            ["", "c", "m"] if storage.steps >= step else ["", "c"]
        )
        assert len({entry.shard for entry in found.ranges}) == len(found.ranges)
        assert not found.reserved
        assert [found.at(key) for key in ("", "b", "c", "cc")] == [0, 0, 1, 1]
        assert sorted(path.name for path in (storage.place / ranges.MAP).iterdir()) == sorted(
            map(str, range(1, found.version + 1))
        ), "and leaves no draft behind"
