"""What counts as committed, from the logs of three servers."""

import struct
import zlib
from pathlib import Path

import pytest

from tests.simulation.tree import Created
from tests.txnlog import MAGIC, LogError, Type, history

SESSION = 0x100000001


def create(zxid: int, path: str) -> bytes:
    """An entry: who created which znode, with empty data."""
    body = struct.pack(">qiqqi", SESSION, 1, zxid, 1000 * zxid, Type.CREATE)
    body += struct.pack(">i", len(path)) + path.encode() + struct.pack(">iibi", 0, -1, 0, 1)
    return struct.pack(">qi", zlib.adler32(body), len(body)) + body + b"B"


def log(data_dir: Path, *entries: bytes) -> None:
    """A server's log file."""
    (data_dir / "version-2").mkdir(parents=True)
    header = MAGIC + struct.pack(">iq", 2, 0)
    (data_dir / "version-2/log.1").write_bytes(header + b"".join(entries) + bytes(64))


def committed(tmp_path: Path, *logs: list[bytes]) -> list[str]:
    """The paths created, as three servers' logs tell."""
    data_dirs = [tmp_path / f"zk{number}" for number in range(len(logs))]
    for data_dir, entries in zip(data_dirs, logs, strict=True):
        log(data_dir, *entries)
    changes = [change for entry in history(data_dirs) for change in entry.changes]
    return [change.path for change in changes if isinstance(change, Created)]


ONE, TWO, THREE = create(1, "/a"), create(2, "/b"), create(3, "/c")


def test_what_a_majority_logged_is_committed(tmp_path: Path) -> None:
    """The third server got a snapshot instead of the second entry, the first is alone with the last."""
    assert committed(tmp_path, [ONE, TWO, THREE], [ONE, TWO], [ONE]) == ["/a", "/b"]


def test_an_entry_logged_twice_by_one_server_is_not_a_majority(tmp_path: Path) -> None:
    assert committed(tmp_path, [ONE, TWO, TWO], [ONE], [ONE, ONE]) == ["/a"]


def test_a_torn_entry_was_not_logged(tmp_path: Path) -> None:
    assert committed(tmp_path, [ONE, TWO], [ONE, TWO[:-9] + bytes(9)], [ONE]) == ["/a"]


def test_servers_that_do_not_agree(tmp_path: Path) -> None:
    with pytest.raises(LogError, match="the servers do not agree"):
        committed(tmp_path, [ONE], [create(1, "/other")], [])
