"""The last transactions on a server's disk, whatever state its files are in, and whose history they are."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.zookeeper_role import load

history = load("zookeeper_history")
same = history.same_history
HEADER = b"ZKLG" + bytes(12)


def entry(zxid: int, at: int = 0, more: bytes = b"") -> bytes:
    """One of a session's end: session, request, zxid, time, type."""
    body = struct.pack(">qiqqi", 0x100000001, 7, zxid, at, -11) + more
    return struct.pack(">qi", zlib.adler32(body), len(body)) + body + b"B"


def write(directory: Path, name: str, content: bytes = b"") -> None:
    path = directory / "version-2" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def log(*zxids: int) -> bytes:
    """With the zeros that ZooKeeper puts behind."""
    return HEADER + b"".join(map(entry, zxids)) + bytes(4096)


@pytest.mark.parametrize(
    ("files", "last"),
    [
        ({}, None),
        ({"acceptedEpoch": b"3"}, None),
        ({"snapshot.100000005": b""}, 0x100000005),
        ({"snapshot.100000005.snappy": b""}, 0x100000005),
        ({"snapshot.100000005": b"", "snapshot.200000001.tmp": b""}, 0x100000005),
        ({"log.100000001": log(0x100000001, 0x100000002)}, 0x100000002),
        ({"snapshot.100000009": b"", "log.100000001": log(0x100000001)}, 0x100000009),
        ({"log.100000001": log(0x100000001), "log.200000001": log(0x200000001)}, 0x200000001),
        ({"log.100000009": log(0x100000009), "log.10000000a": log(0x10000000B)}, 0x10000000B),
        ({"log.100000001": log(0x100000001)[:-4099]}, None),  # torn: the end of the only entry is missing
        ({"log.100000001": (HEADER + entry(0x100000001) + entry(0x100000002))[:-8]}, 0x100000001),
        (
            {"log.100000001": HEADER + entry(0x100000001) + entry(0x100000002).replace(b"\x07", b"\x08")},
            0x100000001,
        ),
        ({"log.100000001": b""}, None),
        ({"log.100000001": log(0x100000001), "log.100000002": HEADER}, 0x100000001),
        ({"log.100000001": b"ZKXX" + log(0x100000001)[4:]}, 0x100000001),
    ],
)
def test_the_last_transaction(tmp_path: Path, files: dict[str, bytes], last: int | None) -> None:
    for name, content in files.items():
        write(tmp_path, name, content)
    assert history.read_history([str(tmp_path)]).last == last


LONG = entry(2)[:8] + b"\0\x0f\xff\xff" + entry(2)[12:]
SHORT = entry(2)[:8] + b"\0\0\0\x21" + entry(2)[12:]
HUGE = entry(2)[:8] + b"\x7f\xff\xff\xff" + entry(2)[12:]
NEGATIVE = entry(2)[:8] + b"\xff\xff\xff\xff" + entry(2)[12:]
WRONG = entry(2).replace(b"\x07", b"\x08")


@pytest.mark.parametrize(
    ("files", "damaged"),
    [
        ({}, ""),
        ({"log.1": log(1, 2)}, ""),
        ({"log.1": HEADER + entry(1) + entry(2)[:-8]}, ""),
        ({"log.1": HEADER + entry(1) + entry(2)[:20] + bytes(4096)}, ""),
        ({"log.1": HEADER + entry(1) + entry(2)[:-1] + bytes(4096)}, ""),
        ({"log.1": log(1), "log.2": bytes(4096)}, ""),
        ({"log.1": log(1), "log.2": b"ZK"}, ""),
        ({"log.1": HEADER + entry(1) + WRONG + bytes(4096)}, "log.1"),
        ({"log.1": HEADER + WRONG}, "log.1"),
        ({"log.1": bytes(16) + log(1)[16:]}, "log.1"),
        ({"log.1": HEADER + entry(1) + LONG + entry(3) + bytes(4096)}, "log.1"),
        ({"log.1": HEADER + entry(1) + SHORT + entry(3) + bytes(4096)}, "log.1"),
        ({"log.1": HEADER + entry(1) + NEGATIVE + bytes(4096)}, "log.1"),
        ({"log.1": HEADER + entry(1) + bytes(len(entry(2))) + entry(3) + bytes(4096)}, "log.1"),
        ({"log.1": HEADER + entry(1) + HUGE + bytes(4096)}, ""),
        ({"log.1": HEADER + entry(1) + HUGE + entry(3)}, "log.1"),
        ({"log.1": HEADER + entry(1) + WRONG, "log.3": b""}, "log.1"),
        ({"log.1": HEADER + entry(1) + WRONG, "log.3": log(3)}, ""),
    ],
)
def test_a_damaged_log_may_have_more(tmp_path: Path, files: dict[str, bytes], damaged: str) -> None:
    """A torn end has not: it is what a crash leaves of what nobody acknowledged."""
    for name, content in files.items():
        write(tmp_path, name, content)
    found = history.read_history([str(tmp_path)])
    assert found.damaged == (str(tmp_path / "version-2" / damaged) if damaged else "")


def test_no_memory_is_needed_for_a_damaged_length(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "log.1", HEADER + entry(1) + HUGE)
    sizes: list[int] = []

    class Noting(io.BufferedReader):
        def read(self, size: int | None = -1, /) -> bytes:
            sizes.append(size or 0)
            return super().read(size)

    monkeypatch.setattr(Path, "open", lambda path, _mode: Noting(io.FileIO(path)))
    assert history.read_history([str(tmp_path)]).last == 1
    assert max(sizes) < 1 << 24


def test_logs_in_a_directory_of_their_own(tmp_path: Path) -> None:
    write(tmp_path / "data", "snapshot.100000005")
    write(tmp_path / "txnlog", "log.100000001", log(0x100000007))
    assert history.read_history([str(tmp_path / "data"), str(tmp_path / "txnlog")]).last == 0x100000007


def trail(directory: Path) -> dict[int, int]:
    return dict(history.read_history([str(directory)]).trail)


def test_a_trail_gets_thinner_farther_back(tmp_path: Path) -> None:
    write(tmp_path, "log.1", log(*range(1, 3000)))
    write(tmp_path, "log.bb8", log(*range(3000, 5001)))
    zxids = list(trail(tmp_path))
    assert zxids == sorted(zxids)
    assert set(range(4985, 5001)) <= set(zxids)
    assert {zxid for zxid in zxids if zxid < 4985} == {
        *range(4752, 4985, 16),
        *range(1024, 4752, 256),
        *(1 << power for power in range(13)),
    }


def test_it_is_read_no_farther_back_than_need_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "ENOUGH", 2)
    for zxid in (1, 2, 3):
        write(tmp_path, f"log.{zxid}", log(zxid))
    assert list(trail(tmp_path)) == [2, 3]


def test_a_transaction_is_known_by_its_session_request_and_time(tmp_path: Path) -> None:
    for number, one in enumerate([entry(7), entry(7, more=b"x"), entry(7, at=1)]):
        write(tmp_path / str(number), "log.7", HEADER + one)
    mine, same_in_another_version, other = (trail(tmp_path / str(number)) for number in range(3))
    assert same(mine, same_in_another_version)
    assert same(mine, other) is False


def taken(*zxids: int, at: int = 0) -> dict[int, int]:
    """The trail of a server with these transactions, made at that time."""
    return dict(history._trail(dict.fromkeys(sorted(zxids), at)))


EPOCH = 1 << 32


def test_nothing_in_common_tells_nothing() -> None:
    assert same({}, {}) is None
    assert same(taken(1, 2), {}) is None
    assert same(taken(1, 2), taken(3, 4)) is None


@pytest.mark.parametrize("unacknowledged", [0, 1, 500, 1000])
@pytest.mark.parametrize("ahead", [0, 1, 100, 70_000])
def test_proposals_that_died_with_their_leader_are_no_other_history(unacknowledged: int, ahead: int) -> None:
    left_behind = taken(*range(1, 3000 + unacknowledged))
    others = taken(*range(1, 3000), *range(EPOCH, EPOCH + ahead))
    assert same(left_behind, others)
    assert same(others, left_behind)


def test_what_is_too_far_back_to_be_compared_counts_neither_way() -> None:
    assert same(taken(*range(1, 8000)), taken(*range(1, 200_000)))


def test_a_copy_that_went_its_own_way_is_another_history() -> None:
    copied = [*range(1, 3000)]
    assert same(taken(*copied, *range(3000, 9000)), taken(*copied, *range(EPOCH, EPOCH + 500))) is False


@settings(max_examples=30)
@given(st.integers(2, 30_000), st.integers(0, 30_000))
def test_one_that_is_behind_is_known(has: int, ahead: int) -> None:
    """However far, as long as the other still has its transactions."""
    assert same(taken(*range(1, has)), taken(*range(1, has + ahead)))
    if ahead < has:
        other = taken(*range(1 + ahead, has + ahead))
        assert same(taken(*range(1, has)), other) is not False


def test_a_log_with_a_gap_is_told_as_far_as_it_is_whole(tmp_path: Path) -> None:
    """A server that was down for long was sent all data: it lacks transactions, and they are no others."""

    def read(name: str) -> Any:
        return history.read_history([str(tmp_path / name)])

    write(tmp_path / "behind", "log.1", log(*range(1, 6000)))
    write(tmp_path / "gap", "log.1", log(*range(1, 100)))
    write(tmp_path / "gap", "snapshot.1400")
    write(tmp_path / "gap", "log.1401", log(*range(0x1401, 20000)))
    gap, behind = read("gap"), read("behind")
    assert (min(gap.trail), max(gap.trail)) == (8192, 19999)
    assert same(behind.trail, gap.trail) is None, "it is no other history"
    assert history.same_times(behind.times, gap.times) is None, "nor does it show that it is the same"
    write(tmp_path / "copy", "log.1", log(*range(1, 120)))
    assert history.same_times(read("copy").times, gap.times), "it ends where the other begins to lack some"
    write(tmp_path / "behind", "snapshot.1400")
    assert read("behind") == behind, "it wrote that snapshot itself"
    write(tmp_path / "gap", "snapshot.100000000")
    assert read("gap").trail == gap.trail, "an epoch that began"
    write(tmp_path / "gap", "snapshot.100000001")
    assert read("gap").trail == {}
    write(tmp_path / "purged", "snapshot.1400")
    write(tmp_path / "purged", "log.1401", log(*range(0x1401, 20000)))
    assert read("purged").trail == gap.trail


def test_a_snapshot_of_an_epoch_that_began_may_hide_a_gap(tmp_path: Path) -> None:
    """A server that joins before the epoch's first write is sent all data under that name; one that leads
    again without a write names its own so. (ZooKeeper 3.8.0, by trial.)"""

    def read(name: str) -> Any:
        return history.read_history([str(tmp_path / name)])

    new = range(EPOCH + 1, EPOCH + 600)
    write(tmp_path / "sent", "log.1", log(*range(1, 100)))
    write(tmp_path / "sent", "snapshot.100000000")
    write(tmp_path / "sent", "log.100000001", log(*new))
    write(tmp_path / "behind", "log.1", log(*range(1, 6000)))
    write(tmp_path / "behind", "snapshot.0")
    sent, behind = read("sent"), read("behind")
    assert (sent.gap, behind.gap) == (EPOCH, 0)
    for one, other, gaps in ((behind, sent, (0, EPOCH)), (sent, behind, (EPOCH, 0))):
        assert same(one.trail, other.trail, gaps) is None, "nothing tells"
    assert same(behind.trail, sent.trail) is False, "without that snapshot it has left them out"
    write(tmp_path / "forked", "log.1", log(*range(1, 100), *range(EPOCH + 1, EPOCH + 5000)))
    write(tmp_path / "sent", "log.200000001", log(*range(2 * EPOCH + 1, 2 * EPOCH + 100)))
    newer = read("sent").trail
    assert same(read("forked").trail, newer, (0, EPOCH)) is False, "what comes after the gap is all there"
    write(tmp_path / "own", "log.1", log(*range(1, 6000)))
    write(tmp_path / "own", "snapshot.100000000")
    write(tmp_path / "own", "log.100000001", log(*new))
    assert same(behind.trail, read("own").trail, (0, EPOCH)), "there was none"
