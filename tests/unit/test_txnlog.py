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


def listed(zxid: int, path: str) -> bytes:
    """An entry: who set that znode's access control list, a rule for all."""
    body = struct.pack(">qiqqi", SESSION, 1, zxid, 1000 * zxid, 7)
    body += struct.pack(">i", len(path)) + path.encode() + struct.pack(">ii", 1, 31)
    body += struct.pack(">i", 5) + b"world" + struct.pack(">i", 6) + b"anyone" + struct.pack(">i", 1)
    return struct.pack(">qi", zlib.adler32(body), len(body)) + body + b"B"


def server(data_dir: Path, *logged: bytes, snapshot: int = 0) -> Path:
    """A server's files: one log, and a snapshot that reaches to that zxid."""
    (data_dir / "version-2").mkdir(parents=True)
    header = MAGIC + struct.pack(">iq", 2, 0)
    (data_dir / "version-2/log.1").write_bytes(header + b"".join(logged) + bytes(64))
    (data_dir / f"version-2/snapshot.{snapshot:x}").touch()
    return data_dir


def committed(*servers: Path) -> str:
    """The names of what was created, as the servers' files tell."""
    changes = [change for entry in history(list(servers)) for change in entry.changes]
    return "".join(change.path[1:] for change in changes if isinstance(change, Created))


A, B, C, D = (create(number, f"/{name}") for number, name in enumerate("abcd", 1))
TORN = B[:-9] + bytes(9)


@pytest.mark.parametrize(
    ("logs", "names"),
    [
        ([[A, B, C], [A, B, C], [A, B, C]], "abc"),
        ([[A, B], [A, B], [A]], "ab"),  # the third will hear of it
        ([[A, B], [A], [A]], "a"),  # a leader, alone with it
        ([[A, B, B], [A], [A]], "a"),  # twice in one log is no majority
        ([[A, B, D], [A, B, D], [A, D]], "ad"),  # logged by two, yet the third went on without it
        ([[A, B], [A, TORN], [A]], "a"),
        ([[listed(1, "/"), B], [listed(1, "/"), B], []], "b"),  # a list is no change of what there is
        ([[], [], []], ""),
    ],
)
def test_what_is_committed(tmp_path: Path, logs: list[list[bytes]], names: str) -> None:
    assert committed(*(server(tmp_path / str(i), *logged) for i, logged in enumerate(logs))) == names


@pytest.mark.parametrize(("snapshot", "names"), [(1, "ad"), (2, "abd"), (3, "abcd"), (4, "ad")])
def test_a_snapshot_is_had_instead_of_what_is_not_logged(tmp_path: Path, snapshot: int, names: str) -> None:
    """Two servers log A and D; a third had what was between them, and they do if a snapshot reaches there."""
    two = [server(tmp_path / name, A, D, snapshot=snapshot) for name in ("one", "two")]
    assert committed(server(tmp_path / "three", A, B, C, D), *two) == names


def test_servers_that_do_not_agree(tmp_path: Path) -> None:
    one, other = server(tmp_path / "one", A), server(tmp_path / "other", create(1, "/other"))
    with pytest.raises(LogError, match="the servers do not agree"):
        history([one, other])


def test_a_snapshot_of_a_later_epoch_tells_nothing(tmp_path: Path) -> None:
    """One leader had B alone; the others went on in an epoch without transactions, and wrote snapshots."""
    later = create(3 << 32 | 1, "/later")
    two = [
        server(tmp_path / name, A, later, snapshot=epoch << 32) for name, epoch in (("one", 2), ("two", 3))
    ]
    assert committed(server(tmp_path / "three", A, B, later), *two) == "alater"


def test_a_snapshot_that_was_not_finished(tmp_path: Path) -> None:
    one = server(tmp_path / "one", A)
    (one / "version-2/snapshot.7.tmp").touch()
    assert committed(one, server(tmp_path / "two", A), server(tmp_path / "three")) == "a"


def test_a_session_that_was_closed_is_told_from_one_that_nobody_closed(tmp_path: Path) -> None:
    """Its transaction has the number of the request; a server that ends it by itself has none."""

    def end(zxid: int, request: int) -> bytes:
        body = struct.pack(">qiqqi", zxid, request, zxid, 1000, Type.CLOSE_SESSION)
        return struct.pack(">qi", zlib.adler32(body), len(body)) + body + b"B"

    entries = history([server(tmp_path / "one", end(1, 1), end(2, 0), C)])
    assert [(entry.ended, entry.expired) for entry in entries] == [
        (True, False),
        (True, True),
        (False, False),
    ]
