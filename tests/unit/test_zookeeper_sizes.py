"""How large a buffer a server's data need."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import pytest

from tests.unit.zookeeper_role import load

sizes = load("zookeeper_sizes")


def text(value: str) -> bytes:
    return struct.pack(">i", len(value)) + value.encode()


def snapshot(*values: int | None) -> bytes:
    """One of a session, a list of permissions and nodes with values of these sizes (None: no value)."""
    acl = struct.pack(">iqii", 1, 1, 1, 31) + text("world") + text("anyone")
    head = b"ZKSN" + bytes(12) + struct.pack(">iqi", 1, 7, 4000) + acl
    nodes = [
        text("" if number == 0 else f"/{number}")
        + (struct.pack(">i", -1) if size is None else struct.pack(">i", size) + b"x" * size)
        + bytes(68)
        for number, size in enumerate(values)
    ]
    return head + b"".join(nodes) + text("/") + bytes(12)


def log(*values: int) -> bytes:
    """One of transactions of these sizes, with the zeros that ZooKeeper puts behind."""
    entries = [struct.pack(">qi", 1, size) + b"x" * size + b"B" for size in values]
    return b"ZKLG" + bytes(12) + b"".join(entries) + bytes(4096)


@pytest.mark.parametrize(
    ("files", "needed"),
    [
        ({}, 0),
        ({"snapshot.0": snapshot(0, None)}, 0),
        ({"snapshot.0": snapshot(0, 5, 300, None, 7)}, 300),
        ({"snapshot.9": snapshot(0, 300), "snapshot.10": snapshot(0, 5)}, 5),
        ({"snapshot.0.gz": gzip.compress(snapshot(0, 300))}, 300),
        ({"snapshot.0.snappy": snapshot(0, 300).replace(b"ZKSN", b"\x82SNA")}, 0),
        ({"snapshot.0": snapshot(0, 300, 900)[:-500]}, 300),  # cut short
        ({"snapshot.0": b""}, 0),
        ({"log.1": log(100, 601, 50)}, 301),  # a transaction may be twice as large as the buffer
        ({"log.1": log(601), "snapshot.2": snapshot(0, 302)}, 302),
        ({"log.1": log(601), "log.2": log(90)}, 301),
        ({"log.1": log(90)[:-4120]}, 45),
        ({"log.1": log(90) + b"x" * 99}, 45),  # nothing counts behind the zeros
        # A length that is garbage counts: with a smaller buffer the server does not start.
        ({"log.1": log(90)[:-4096] + struct.pack(">qi", 1, 151653132) + b"x" * 238}, 75826566),
        ({"log.1": b"ZK", "currentEpoch": b"1", "snapshot.tmp": b""}, 0),
    ],
)
def test_what_the_data_need(files: dict[str, bytes], needed: int, tmp_path: Path) -> None:
    (tmp_path / "data/version-2").mkdir(parents=True)
    for name, content in files.items():
        (tmp_path / "data/version-2" / name).write_bytes(content)
    assert sizes.needed([str(tmp_path / "data"), str(tmp_path / "none")]) == needed
