"""The module zookeeper_preflight: data."""

from __future__ import annotations

import shutil
from typing import Any

import pytest

from tests.unit.zookeeper_preflight.host import (
    Host,
    entry,
)

pytestmark = pytest.mark.processes


@pytest.mark.parametrize("file", ["data/version-2/snapshot.0", "txnlog/version-2/log.1"])
def test_a_snapshot_or_a_log_is_data(file: str, host: Host) -> None:
    host.write("data/version-2/currentEpoch", "-1")
    assert not host.look()["data"], "one that waits for its first data has its epochs"
    assert host.look()["last_zxid"] is None
    host.write(file, "")
    assert host.look()["data"]


def test_a_server_that_lost_its_snapshots_has_its_logs_where_it_had_them(host: Host) -> None:
    host.configured(dataLogDir=host.root / "logs")
    host.write("logs/version-2/log.1", "")
    answer = host.look()
    assert answer["data"]
    assert "zk1 has its data in" in answer["problems"][0]
    assert "/logs" in answer["problems"][0]


def test_without_a_directory_of_its_own_the_log_is_with_the_data(host: Host) -> None:
    host.configured(dataLogDir=None)
    host.write("txnlog/version-2/log.1", "")
    host.write("txnlog/initialize", "")
    host.runs()
    answer = host.look()
    assert (answer["data"], answer["marker"]) == (False, False), "these are nobody's"


@pytest.mark.parametrize("variable", ["zookeeper_data_dir", "zookeeper_txnlog_dir"])
def test_a_directory_is_moved_as_the_refusal_says(host: Host, variable: str) -> None:
    """Stopped, and moved to where the inventory wants it: the server has its data, and is no new one."""
    host.configured()
    host.write("data/myid", "1\n")
    host.write("data/version-2/snapshot.0", "")
    host.write("txnlog/version-2/log.1", "")
    new = host.root / "new"
    moved: dict[str, Any] = {variable: str(new)}
    [said] = host.look(**moved)["problems"]
    old = host.settings[variable]
    assert f"set it back to {old}; or stop the server, move the directory, and run again." in said
    shutil.copytree(old, new)
    assert said in host.look(**moved)["problems"], "what is in force counts"
    shutil.rmtree(old)
    assert host.look(**moved)["problems"] == []
    shutil.rmtree(host.txnlog if variable == "zookeeper_data_dir" else host.data)
    assert host.look(**moved)["data"]
    (new / "version-2").rename(new / "lost")
    assert not host.look(**moved)["data"]


def test_a_log_beside_the_snapshots_gets_a_directory_of_its_own(host: Host) -> None:
    """As a zoo.cfg by hand has it: one directory for both. It cannot be moved to two places."""
    host.configured(dataLogDir=None)
    host.write("data/myid", "1\n")
    host.write("data/version-2/snapshot.0", "")
    log = host.write("data/version-2/log.1", "")
    log.write_bytes(b"ZKLG" + bytes(12) + entry())
    [said] = host.look()["problems"]
    assert f"zk1 has its transaction log beside its snapshots, in {host.data}: " in said
    assert f"move {host.data}/version-2/log.* to {host.txnlog}/version-2, run with --limit zk1" in said
    shutil.copytree(host.data / "version-2", host.txnlog / "version-2")
    (host.txnlog / "version-2/snapshot.0").unlink()
    assert [said] == host.look()["problems"], "a copy would be two logs"
    log.unlink()
    answer = host.look()
    assert (answer["problems"], answer["last_zxid"]) == ([], "0x100000002")
    (host.data / "version-2/snapshot.0").unlink()
    assert host.look()["data"], "the log is data, where it is now"


def test_the_marker_is_beside_the_log(host: Host) -> None:
    host.write("data/initialize", "")
    assert not host.look()["marker"], "there ZooKeeper does not look"
    host.write("txnlog/initialize", "")
    assert host.look()["marker"]
    host.configured(dataLogDir=host.root / "elsewhere")
    assert not host.look()["marker"]


def test_whose_data_it_is(host: Host) -> None:
    host.write("data/myid", "2\n")
    host.write("data/version-2/snapshot.0", "")
    assert host.look(2)["problems"] == []
    [said] = host.look(1)["problems"]
    assert (
        "zookeeper_id of zk1 is 1, but its data belongs to server 2: set zookeeper_id back to 2, or" in said
    )


def test_whose_logs_alone_are(host: Host) -> None:
    """Its snapshots are lost."""
    host.write("data/myid", "2\n")
    host.write("txnlog/version-2/log.1", "")
    answer = host.look(1)
    assert "its data belongs to server 2" in answer["problems"][0]
    assert answer["doubts"] == answer["problems"]
    assert host.look(2)["doubts"] == []


def test_data_without_zoo_cfg(host: Host) -> None:
    """As after the host was installed anew: they are those of the server that myid names."""
    host.write("data/version-2/snapshot.0", "")
    [said] = host.look(1)["problems"]
    assert f"neither zoo.cfg nor {host.data}/myid tells" in said
    assert f"write 1 to {host.data}/myid" in said
    host.write("data/myid", "1\n")
    answer = host.look(1)
    assert (answer["problems"], answer["configured"]) == ([], False)
    host.configured()
    assert host.look(1)["configured"]
