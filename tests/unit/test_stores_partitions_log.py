"""The log of a replica: what is on disk comes back, what is torn is cut, and where two logs part is found."""

import errno
import os
import random
import threading
from pathlib import Path

import pytest
from stores.partitions import log as module
from stores.partitions.log import DamagedLogError, DiskError, Log, Record, decode

from testbed.waiting import LONGEST_WAIT
from tests.unit.power_cuts import Disk

TABLE = 7


def log_of(directory: Path, *generations: int, acknowledged: int = 0) -> Log:
    log = Log(directory, TABLE)
    for number, generation in enumerate(generations):
        log.append(generation, 1, number, b"value %d of %d" % (number, generation))
    log.sync()
    log.acknowledge(acknowledged)
    return log


def content(log: Log) -> list[Record]:
    return decode(log.read(0, log.end, 1 << 20))


def test_what_was_appended_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    log = log_of(tmp_path, 11, 11, 14, acknowledged=2)
    before = content(log)
    assert before[2] == Record(2, 14, 1, 2, b"value 2 of 14")
    log.close()
    log = Log(tmp_path, TABLE)
    assert content(log) == before
    assert (log.end, log.last, log.durable, log.acknowledged, log.latest_of(1)) == (3, 14, 3, 2, (2, 2))
    assert log.latest_of(2) == (-1, -1)


def test_what_is_read_are_whole_records_one_at_least(tmp_path: Path) -> None:
    log = log_of(tmp_path, 11, 11, 11)
    size = len(log.read(0, 1, 1))
    assert [r.offset for r in decode(log.read(0, 3, 2 * size))] == [0, 1]
    assert [r.offset for r in decode(log.read(0, 3, 2 * size - 1))] == [0]
    assert [r.offset for r in decode(log.read(1, 2, 1 << 20))] == [1]
    assert [r.offset for r in decode(log.read(2, 99, 0))] == [2]
    assert log.read(3, 99, 1 << 20) == b""
    with pytest.raises(DamagedLogError, match="no records"):
        decode(log.read(0, 2, 1 << 20)[:-1])


def test_a_record_that_is_cut_short_is_not_there_and_the_next_one_takes_its_place(tmp_path: Path) -> None:
    log = log_of(tmp_path / "whole", 11, 11)
    whole, first = log.read(0, 2, 1 << 20), len(log.read(0, 1, 1))
    for length in range(first, len(whole)):
        where = tmp_path / str(length)
        where.mkdir()
        (where / "log").write_bytes(whole[:length])
        log = Log(where, TABLE)
        assert log.end == 1, length
        assert (where / "log").stat().st_size == first
        assert log.append(12, 1, 9, b"") == 1
        log.close()


def test_a_bit_that_is_wrong_ends_the_log(tmp_path: Path) -> None:
    whole = log_of(tmp_path / "whole", 11, 11).read(0, 2, 1 << 20)
    first = len(whole) // 2
    for at in range(first, len(whole)):
        where = tmp_path / str(at)
        where.mkdir()
        (where / "log").write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
        log = Log(where, TABLE)
        assert log.end == 1, at
        log.close()


def test_a_log_that_has_lost_what_was_acknowledged_is_not_opened_unless_it_is_a_copy(tmp_path: Path) -> None:
    log_of(tmp_path, 11, 11, acknowledged=2).close()
    with (tmp_path / "log").open("r+b") as file:
        file.truncate(70)
    with pytest.raises(DamagedLogError, match="2 records were acknowledged, and 1 are there"):
        Log(tmp_path, TABLE)
    log = Log(tmp_path, TABLE, copy=True)
    assert (log.end, log.acknowledged) == (0, 0)


def test_a_copy_that_is_whole_keeps_what_it_has(tmp_path: Path) -> None:
    log_of(tmp_path, 11, 11, acknowledged=2).close()
    assert Log(tmp_path, TABLE, copy=True).end == 2


def test_the_log_of_an_earlier_table_of_that_name_begins_anew(tmp_path: Path) -> None:
    log_of(tmp_path, 11, acknowledged=1).close()
    log = Log(tmp_path, TABLE + 1)
    assert (log.end, log.acknowledged, log.last) == (0, 0, 0)
    log.close()
    assert Log(tmp_path, TABLE + 1).end == 0


# ---------------------------------------------------------------- power cuts


class PowerError(Exception):
    """There is none any more."""


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk(tmp_path)
    monkeypatch.setattr(module, "os", disk)
    return disk


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_what_is_on_disk_is_there_after_a_power_cut_whether_the_directory_is_new_or_the_table(
    tmp_path: Path, disk: Disk, share: float
) -> None:
    where = tmp_path / "w1" / "partitions" / "t-0"
    for table in (TABLE, TABLE + 1):
        log = Log(where, table)
        for sequence in range(table):
            log.append(11, 1, sequence, b"")
        log.sync()
        log.append(11, 1, table, b"not flushed")
        log.acknowledge(table)
        log.close()
        disk.cut_power(where, lambda: share)
        log = Log(where, table)
        assert log.end == table + share
        assert log.acknowledged in (0, table), "it may be older"
        log.close()


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_no_record_of_an_earlier_table_is_there_wherever_the_power_was_cut(
    tmp_path: Path, disk: Disk, share: float
) -> None:
    steps = 0
    while True:
        where = tmp_path / str(steps)
        log_of(where, 11, 11, acknowledged=2).close()
        left = steps

        def cut(_: str) -> None:
            nonlocal left
            if not left:
                raise PowerError
            left -= 1

        disk.at = cut
        try:
            Log(where, TABLE + 1).close()
        except PowerError:
            disk.at = lambda _: None
            disk.cut_power(where, lambda: share)
            assert Log(where, TABLE + 1).end == 0, steps
            steps += 1
            continue
        break
    assert steps > 5


def test_after_an_error_of_the_disk_nothing_works_any_more(tmp_path: Path, disk: Disk) -> None:
    log = log_of(tmp_path, 11)
    log.append(11, 1, 1, b"")
    disk.broken["fdatasync", "log"] = errno.EIO
    with pytest.raises(DiskError, match=os.strerror(errno.EIO)):
        log.sync()
    disk.broken.clear()
    for call in (
        log.sync,
        log.flush,
        lambda: log.append(11, 1, 2, b""),
        lambda: log.acknowledge(1),
        lambda: log.truncate(1),
        lambda: log.read(0, 1, 1),
    ):
        with pytest.raises(DiskError):
            call()
    assert log.durable == 1


def test_of_two_threads_that_flush_neither_takes_the_error_of_the_other_for_success(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system tells one of them."""
    log = log_of(tmp_path, 11)
    log.append(11, 1, 1, b"")
    failing, may, told = threading.Event(), threading.Event(), list[str]()

    def once(_: int) -> None:
        if not failing.is_set():
            failing.set()
            may.wait(LONGEST_WAIT)
            raise OSError(errno.EIO, "input/output error")

    monkeypatch.setattr(disk, "fdatasync", once, raising=False)

    def flush() -> None:
        try:
            log.sync()
        except DiskError:
            told.append("failed")

    threads = [threading.Thread(target=flush) for _ in range(2)]
    threads[0].start()
    assert failing.wait(LONGEST_WAIT)
    threads[1].start()
    threads[1].join(0.05)
    may.set()
    for thread in threads:
        thread.join()
    assert told == ["failed"] * 2
    assert log.durable == 1


def test_two_processes_do_not_have_a_log_at_once(tmp_path: Path) -> None:
    log = log_of(tmp_path, 11)
    with pytest.raises(BlockingIOError):
        Log(tmp_path, TABLE)
    log.close()
    assert Log(tmp_path, TABLE).end == 1


def test_what_was_acknowledged_is_never_cut(tmp_path: Path) -> None:
    log = log_of(tmp_path, 11, 12, 12, acknowledged=2)
    log.truncate(2)
    assert (log.end, log.last, log.latest_of(1)) == (2, 12, (1, 1))
    with pytest.raises(DamagedLogError, match="cut at 1: 2 records were acknowledged"):
        log.truncate(1)
    assert log.end == 2


def test_copies_that_do_not_follow_are_refused(tmp_path: Path) -> None:
    leader, log = log_of(tmp_path / "leader", 11, 12, 12), log_of(tmp_path / "follower", 11)
    for start, stop in ((0, 3), (2, 3)):
        with pytest.raises(DamagedLogError, match="cannot come at 1"):
            log.append_copies(leader.read(start, stop, 1 << 20))
    log.append_copies(leader.read(1, 3, 1 << 20))
    assert (log.end, log.last, log.durable) == (3, 12, 1)
    log.sync()
    assert log.durable == 3
    older = log_of(tmp_path / "older", 9, 9, 9, 9)
    with pytest.raises(DamagedLogError, match="after generation 12"):
        log.append_copies(older.read(3, 4, 1 << 20))


def test_a_follower_is_told_where_to_cut(tmp_path: Path) -> None:
    leader = log_of(tmp_path, 11, 11, 13, 15)
    assert leader.agrees(0, 0) == 0
    assert leader.agrees(2, 11) == 2
    assert leader.agrees(4, 15) == 4
    assert leader.agrees(3, 12) == 2, "it has a record of a leader that ours does not know"
    assert leader.agrees(4, 11) == 2, "it has more of a generation"
    assert leader.agrees(7, 15) == 4, "it has more of the last generation"
    assert leader.agrees(7, 14) == 3
    assert leader.agrees(1, 10) == 0
    assert leader.agrees(9, 16) == 4, "it has records of a later generation, which were never acknowledged"


@pytest.mark.parametrize("seed", range(20))
def test_a_follower_cuts_what_the_leader_does_not_have_and_nothing_else(tmp_path: Path, seed: int) -> None:
    """Whatever leaders have done: what remains is what both have, up to the first difference."""
    draw = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    logs: list[list[int]] = [[], [], []]  # generations of records; offsets are their places
    for generation in range(1, 8):
        leader = draw.choice(logs)
        leader += [generation] * draw.randrange(3)
        for log in logs:  # who follows takes what matches, and a part of the rest
            if log is not leader and draw.random() < 0.6:
                both = _common(leader, log)
                log[both:] = leader[both : both + draw.randrange(4)]
    mine = log_of(tmp_path / "leader", *logs[0])
    for number, other in enumerate(logs[1:]):
        its = log_of(tmp_path / str(number), *other)
        while (end := mine.agrees(its.end, its.last)) < its.end:
            its.truncate(end)
        assert its.end == _common(logs[0], other)


def _common(one: list[int], other: list[int]) -> int:
    pairs = zip(one, other, strict=False)
    return next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))
