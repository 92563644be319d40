"""The last transaction on a server's disk, whatever state its files are in."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import pytest

from tests.unit.zookeeper_role import load

last_zxid = load("zookeeper_history").last_zxid
HEADER = b"ZKLG" + bytes(12)


def entry(zxid: int) -> bytes:
    """One of a session's end: session, request, zxid, time, type."""
    body = struct.pack(">qiqqi", 0x100000001, 7, zxid, 0, -11)
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
        ({"log.100000001": b"ZKXX" + log(0x100000001)[4:]}, None),
    ],
)
def test_the_last_transaction(tmp_path: Path, files: dict[str, bytes], last: int | None) -> None:
    for name, content in files.items():
        write(tmp_path, name, content)
    assert last_zxid([str(tmp_path)]) == last


def test_logs_in_a_directory_of_their_own(tmp_path: Path) -> None:
    write(tmp_path / "data", "snapshot.100000005")
    write(tmp_path / "txnlog", "log.100000001", log(0x100000007))
    assert last_zxid([str(tmp_path / "data"), str(tmp_path / "txnlog")]) == 0x100000007
