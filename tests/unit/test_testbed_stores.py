"""What people who write into the example stores find wrong (testbed/stores.py), and how gaps are judged."""

import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from stores.blocks.files import Files, LateError
from stores.blocks.names import Block, File, NoSuchFileError
from stores.partitions.log import Record
from stores.partitions.topic import NoAnswerError, Topic
from stores.regions.client import NotDoneError, Regions

from bench import report
from bench.__main__ import finish
from bench.owners import FROZEN, PROCESS, fewest_moves, in_turn, judged
from mwapp import ShardState
from mwapp.status.shards import Member
from testbed.stores import (
    Done,
    FileWriter,
    People,
    Person,
    Producer,
    Writer,
    in_sync,
    whole_log,
    wrong_in_files,
    wrong_in_log,
    wrong_in_regions,
)


class Table(Regions):
    """A dictionary. What is put while it is ``late`` is done, and not acknowledged."""

    def __init__(self) -> None:
        self.values: dict[str, bytes] = {}
        self.late = False

    def put(self, key: str, value: bytes) -> None:
        self.values[key] = value
        if self.late:
            raise NotDoneError("late")

    def get(self, key: str) -> bytes | None:
        return self.values.get(key)


def person(table: Table) -> Person:
    writer = Person(table, "p", districts=1)
    for number in range(1, 40):
        writer.write(number)
    return writer


def test_regions_with_all_that_was_acknowledged_are_right() -> None:
    table = Table()
    writer = person(table)
    assert wrong_in_regions(dict(sorted(table.values.items())), [writer]) == []
    table.late = True
    before = dict(sorted(table.values.items()))
    with pytest.raises(NotDoneError):
        writer.write(40)
    assert wrong_in_regions(before, [writer]) == []
    assert wrong_in_regions(dict(sorted(table.values.items())), [writer]) == []


@pytest.mark.parametrize("once", [1, 4])
def test_regions_that_have_forgotten_all_before_their_owner_died_are_wrong(once: int) -> None:
    """However long people have gone on."""
    table = Table()
    writer = Person(table, "p", districts=1, once=once)
    for number in range(1, 400):
        if number == 10:
            table.values.clear()
        writer.write(number)
    found = wrong_in_regions(dict(sorted(table.values.items())), [writer])
    assert len(found) == 9 // once


def test_regions_that_lack_have_an_older_or_a_foreign_value_are_wrong() -> None:
    table = Table()
    writer = person(table)
    key = max(table.values)
    right = dict(sorted(table.values.items()))
    for wrong in (
        {name: value for name, value in right.items() if name != key},
        right | {key: b"0"},
        right | {"99-x-1": b"1"},
        dict(reversed(right.items())),
    ):
        writer.wrong.clear()
        assert wrong_in_regions(wrong, [writer])


def test_a_person_who_reads_what_a_stale_owner_has_written_says_so() -> None:
    table = Table()
    writer = person(table)
    for key in table.values:
        table.values[key] = b"0"
    writer.look_back(39)
    assert writer.wrong == []
    writer.look_back(40)
    assert len(writer.wrong) == 1


class Log(Topic):
    """A list for each of two partitions."""

    def __init__(self) -> None:
        self.logs: tuple[list[Record], ...] = ([], [])
        self.answers: list[tuple[int, int]] = []  # what it says, if not the truth

    def produce(
        self,
        value: bytes,
        *,
        partition: int | None = None,
        key: bytes = b"",  # noqa: ARG002 - as Topic has it
    ) -> tuple[int, int]:
        log = self.logs[partition or 0]
        log.append(Record(len(log), 1, 0, 0, value))
        return self.answers.pop() if self.answers else (partition or 0, len(log) - 1)

    def consume(
        self,
        partition: int,
        offset: int = 0,
        *,
        wait: float = 0.0,  # noqa: ARG002 - as Topic has it
    ) -> list[Record]:
        return self.logs[partition][offset : offset + 2]


def test_a_log_is_right_if_what_was_acknowledged_is_where_that_was_said_once_and_in_order() -> None:
    log = Log()
    producers = [Producer(log, number, 2) for number in (0, 1)]
    for number in range(1, 8):
        for producer in producers:
            assert producer.write(number) == number % 2
    seen = whole_log(log, 1)
    assert len(seen) == 8
    assert wrong_in_log(seen, 1, producers) == []
    first, second, *others = seen
    for wrong in (
        seen[:-1],
        seen[1:],
        [*seen, first._replace(offset=8)],
        [second._replace(offset=0), first._replace(offset=1), *others],
        [first, second._replace(value=b"0 9"), *others],
    ):
        assert wrong_in_log(wrong, 1, producers)


def test_a_producer_notices_that_two_of_its_records_are_told_to_be_at_one_place() -> None:
    log = Log()
    producer = Producer(log, 0, 1)
    producer.write(1)
    log.answers = [(0, 0)]
    producer.write(2)
    assert producer.wrong == ["(0, 0): b'0 1' and b'0 2'"]


class Disk(Files):
    """Files in memory."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.late = False

    def put(self, path: str, stream: object) -> File:
        self.files[path] = data = stream.read()  # type: ignore[attr-defined]
        if self.late:
            raise LateError("late")
        return File(path, "w", (Block("b", 3, len(data), ""),) if data else ())

    def get(self, path: str) -> Iterator[bytes]:
        if path not in self.files:
            raise NoSuchFileError(path)
        yield self.files[path]


def test_a_file_is_right_if_it_is_the_last_that_was_acknowledged_or_was_tried_since() -> None:
    disk = Disk()
    writer = FileWriter(disk, 1, 100)
    assert {writer.write(number) for number in (1, 26, 2)} <= {3, -1}
    assert wrong_in_files(disk, [writer]) == []
    acknowledged = disk.files["1/1"]
    disk.late = True
    with pytest.raises(LateError):
        writer.write(51)
    assert wrong_in_files(disk, [writer]) == []
    disk.files["1/1"] = acknowledged
    assert wrong_in_files(disk, [writer]) == []
    disk.files["1/1"] = b"older"
    del disk.files["1/2"]
    assert [problem.partition(" ")[0].rstrip(":") for problem in wrong_in_files(disk, [writer])] == [
        "1/1",
        "1/2",
    ]


@pytest.mark.parametrize("once", [1, 5])
def test_files_written_before_their_owner_died_are_looked_at_however_long_the_writer_has_gone_on(
    once: int,
) -> None:
    disk = Disk()
    writer = FileWriter(disk, 1, 100, once=once)
    for number in range(1, 400):
        if number == 10:
            disk.files.clear()
        writer.write(number)
    assert len(wrong_in_files(disk, [writer])) == 9 // once


class Recorder(Writer):
    """Every second write is late; the eighth ends it."""

    failures = (NoAnswerError,)

    def write(self, number: int) -> int:
        if number == 8:
            raise KeyError(number)
        if number % 2 == 0:
            raise NoAnswerError(str(number))
        return number % 3


def test_a_writer_remembers_what_is_acknowledged_and_what_is_late_and_that_it_has_ended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    with People([writer := Recorder("r")]) as people:
        writer.join()
    assert [done.place for done in writer.done] == [1, 0, 2, 1]
    assert people.counts() == {0: 1, 1: 2, 2: 1}
    assert len(writer.late) == 3
    assert writer.wrong == ["r has ended: KeyError(8)"]


def test_the_first_write_counts_that_began_after_the_fault() -> None:
    one, other = Recorder("one"), Recorder("other")
    one.done = [Done(1.0, 6.0, 0), Done(6.1, 6.5, 1), Done(6.6, 9.0, 0)]
    other.done = [Done(2.0, 5.5, 0), Done(5.6, 7.0, 0)]
    people = People([one, other])
    assert people.first({0, 1}, 5.0) == {0: 7.0, 1: 6.5}
    assert people.first({0}, 1.5) == {0: 5.5}
    assert people.first({0, 1, 2}, 5.0) is None
    assert people.first({1}, 6.1) is None


def test_shards_are_in_sync_if_each_is_served_by_all_of_its_replicas_and_stays() -> None:
    members = {"w1": Member("sync", ""), "w2": Member("sync", "")}
    whole = ShardState(0, "serving", "w1", 7, "", members, 0, None)
    assert in_sync([whole, whole], 2)
    assert not in_sync([whole], 3)
    for wrong in (
        whole._replace(state="opening"),
        whole._replace(target=("w2", "w3")),
        whole._replace(members=members | {"w2": Member("copy", "")}),
    ):
        assert not in_sync([whole, wrong], 2)


def test_gaps_are_judged_by_the_goal_of_their_kind() -> None:
    figures = judged(PROCESS, [100.0, 200.0, 301.0])
    assert (figures["p50"], figures["max"], figures["goal"], figures["within"]) == (200.0, 301.0, 300, 2)
    assert judged(FROZEN, [7500.0, 7501.0])["within"] == 1


def test_the_fewest_moves_are_what_it_had_and_later_its_fair_share() -> None:
    holders = [f"w{number % 3}" for number in range(8)]
    assert fewest_moves(holders, "w0", 3) == {"lost": 3, "back": 2}


def test_faults_come_in_turn_and_each_turn_in_its_own_order() -> None:
    chance = random.Random(3)  # noqa: S311 - no secret
    drawn = list(in_turn("abcd", 4 * 20 + 2, chance))
    turns = ["".join(drawn[at : at + 4]) for at in range(0, 80, 4)]
    assert {"".join(sorted(turn)) for turn in turns} == {"abcd"}
    assert len(set(turns)) > 5
    assert sorted(drawn[80:]) == ["a", "b"]


class Calm:
    """No noise, measured in no time."""

    def figures(self) -> dict[str, float]:
        return {}


def test_a_benchmark_that_has_found_a_violation_prints_it_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(report, "DIRECTORY", tmp_path)
    monkeypatch.setattr(report, "Noise", Calm)
    monkeypatch.setattr(report, "describe", dict)
    found = report.Report("owners")
    assert finish(found)
    found.violations.append("regions: 00-p0-1 is 3, and should be one of [4]")
    assert not finish(found)
    assert "VIOLATION: regions: 00-p0-1 is 3" in capsys.readouterr().out
    assert json.loads((tmp_path / "owners.json").read_text())["violations"] == found.violations
