"""The hosts that the module looks at."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.zookeeper_preflight.host import (
    Host,
    entry,
)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


@pytest.fixture
def debians(host: Host) -> Host:
    """Debian's zookeeperd was here: snapshots and logs in one directory, and a zoo.cfg of its own."""
    path = host.root / "var/lib/zookeeper"
    host.write("var/lib/zookeeper/version-2/snapshot.0", "snapshot")
    host.write("var/lib/zookeeper/version-2/log.100000001", "").write_bytes(b"ZKLG" + bytes(12) + entry())
    host.write("var/lib/zookeeper/myid", "1\n")
    host.configured("etc/zookeeper/conf/zoo.cfg", dataDir=path, dataLogDir=None, clientPort=2182)
    host.theirs = str(path)
    return host
