"""The module zookeeper_preflight: what another installation left."""

from __future__ import annotations

import shutil
import socket
import zlib
from pathlib import Path

import pytest

from tests.unit.zookeeper_preflight.host import (
    Host,
    entry,
    own_address,
    preflight,
)

pytestmark = pytest.mark.processes


def test_data_of_another_installation_are_not_passed_by(debians: Host) -> None:
    answer = debians.look()
    [said] = answer["problems"]
    assert f"zk1 has data of another installation in {debians.theirs} (last zxid 0x100000002)" in said
    assert "set zookeeper_adopt: true" in said
    assert (answer["data"], answer["adopt"]) == (False, {})
    assert (answer["doubts"], answer["theirs"]) == ([said], "0x100000002")
    assert answer["theirs_damaged"] == ""


def test_data_of_another_installation_are_adopted(debians: Host) -> None:
    """They count as the server's own: whose they are, how far they go, who the other members are."""
    answer = debians.look(zookeeper_adopt="true")
    assert answer["problems"] == []
    assert answer["adopt"] == {"data_dir": debians.theirs, "txnlog_dir": debians.theirs}
    assert (answer["data"], answer["last_zxid"], answer["configured"]) == (True, "0x100000002", True)
    assert answer["servers"]["3"] == "zk3:2888:3888"
    [said] = debians.look(2, zookeeper_adopt=True)["problems"]
    assert "its data belongs to server 1: set zookeeper_id back to 1" in said


def test_without_their_zoo_cfg_data_are_where_debian_has_them(debians: Host) -> None:
    (debians.root / "etc/zookeeper/conf/zoo.cfg").unlink()
    answer = debians.look(size=1, zookeeper_adopt=True)
    assert answer["adopt"] == {"data_dir": debians.theirs, "txnlog_dir": debians.theirs}
    assert answer["servers"] == {}


def test_their_two_directories(debians: Host) -> None:
    debians.configured(
        "etc/zookeeper/conf/zoo.cfg", dataDir=debians.theirs, dataLogDir=debians.root / "theirlogs"
    )
    expected = {"data_dir": debians.theirs, "txnlog_dir": str(debians.root / "theirlogs")}
    assert debians.look(zookeeper_adopt=True)["adopt"] == expected


def test_a_sentence_where_debian_has_the_id(debians: Host) -> None:
    debians.write("var/lib/zookeeper/myid", "replace this text with the cluster-unique id\n")
    assert debians.look(size=1, zookeeper_adopt=True)["problems"] == []


@pytest.mark.parametrize("path", ["etc/zookeeper/zoo.cfg", "run/zookeeper/zoo.cfg"])
def test_a_server_that_is_set_up_needs_nothing_of_others(debians: Host, path: str) -> None:
    debians.configured(path)
    for adopt in (False, True):
        answer = debians.look(zookeeper_adopt=adopt)
        assert (answer["problems"], answer["adopt"]) == ([], {})


def test_nothing_is_adopted_while_the_old_server_runs(debians: Host) -> None:
    debians.processes()
    with socket.create_server(("127.0.0.1", 0)) as old:
        port = old.getsockname()[1]
        debians.configured(
            "etc/zookeeper/conf/zoo.cfg", dataDir=debians.theirs, dataLogDir=None, clientPort=port
        )
        [said] = debians.look(zookeeper_adopt=True)["problems"]
        assert "the old server of zk1 runs (" in said
        assert "systemctl disable --now zookeeper" in said
    debians.runs(MainPID=0)
    assert "the old server of zk1 runs: stop it" in debians.look(zookeeper_adopt=True)["problems"][0]


def test_data_of_ones_own_beside_those_of_another_installation(debians: Host) -> None:
    """As after the host was installed anew. Which are wanted is not for us to say."""
    debians.write("data/version-2/snapshot.500000001", "")
    debians.write("data/myid", "1\n")
    answer = debians.look()
    assert (answer["problems"], answer["last_zxid"]) == ([], "0x500000001")
    answer = debians.look(zookeeper_adopt=True)
    [said] = answer["problems"]
    assert "(last zxid 0x100000002); but it also has other data in" in said
    assert "(last zxid 0x500000001), which are as new or newer: set zookeeper_adopt: false to go on w" in said
    assert "move" not in said, "nobody is told to put the newest data away"
    assert answer["adopt"] == {}


def test_newer_data_of_another_installation_are_not_passed_by(debians: Host) -> None:
    """As after the host was installed anew, and an old copy of the server's own directories was put back."""
    debians.write("data/version-2/snapshot.0", "")
    debians.write("data/myid", "1\n")
    [said] = debians.look()["problems"]
    assert f"in {debians.theirs} (last zxid 0x100000002), and older data of its own in {debians.data}" in said
    assert f"{debians.txnlog} (last zxid 0x0): with these it would go back" in said
    assert f"Move what is in {debians.data} and {debians.txnlog} to another place, do not delete" in said
    assert "version-2" not in said, "nobody is told to put the newest data away"
    assert debians.look(zookeeper_adopt=True)["problems"] == [said]
    (debians.data / "version-2/snapshot.0").rename(debians.data / "version-2/snapshot.100000002")
    assert debians.look()["problems"] == []


def test_newer_data_where_the_servers_own_are_are_not_moved(debians: Host) -> None:
    """For the server's own would go with them."""
    logs = debians.root / "theirlogs"
    debians.configured("etc/zookeeper/conf/zoo.cfg", dataDir=debians.theirs, dataLogDir=logs)
    (logs / "version-2").mkdir(parents=True)
    (Path(debians.theirs) / "version-2/log.100000001").rename(logs / "version-2/log.100000001")
    debians.write("txnlog/version-2/log.1", "")
    [said, *_] = debians.look(zookeeper_data_dir=debians.theirs)["problems"]
    assert "go back. Set zookeeper_data_dir and zookeeper_txnlog_dir to other directories than these" in said
    assert "move" not in said


def test_data_of_ones_own_with_the_names_and_sizes_of_theirs(debians: Host) -> None:
    """Young servers begin with snapshot.0 and log.100000001, and make their files equally large."""
    shutil.copytree(Path(debians.theirs) / "version-2", debians.data / "version-2")
    log = debians.data / "version-2/log.100000001"
    debians.write("txnlog/version-2/log.100000001", "").write_bytes(
        log.read_bytes()[:16] + entry(0x1000001F4)
    )
    log.unlink()
    debians.write("data/myid", "1\n")
    answer = debians.look()
    assert (answer["problems"], answer["last_zxid"]) == ([], "0x1000001f4")
    answer = debians.look(zookeeper_adopt=True)
    [said] = answer["problems"]
    assert "but it also has other data in" in said
    assert answer["adopt"] == {}


@pytest.mark.parametrize("stage", ["logs copied", "all copied", "logs renamed"])
def test_an_adoption_that_was_cut_short_goes_on(debians: Host, stage: str) -> None:
    theirs, logs = Path(debians.theirs), debians.root / "theirlogs"
    (logs / "version-2").mkdir(parents=True)
    (theirs / "version-2/log.100000001").rename(logs / "version-2/log.100000001")
    debians.configured("etc/zookeeper/conf/zoo.cfg", dataDir=theirs, dataLogDir=logs)
    shutil.copytree(logs / "version-2", debians.txnlog / "version-2")
    if stage != "logs copied":
        shutil.copytree(theirs / "version-2", debians.data / "version-2")
    if stage == "logs renamed":
        (logs / "version-2").rename(logs / "version-2.adopted")
    assert "zookeeper_adopt: true" in debians.look()["problems"][0], "half of it is not to be gone on with"
    answer = debians.look(zookeeper_adopt=True)
    assert answer["problems"] == []
    assert answer["adopt"] == {"data_dir": str(theirs), "txnlog_dir": str(logs)}


def test_data_where_the_servers_own_are_to_be(debians: Host) -> None:
    """A server that found its logs beside its snapshots, though they are to be elsewhere, would not start."""
    for adopt, said in ((False, "set zookeeper_adopt: true"), (True, "set zookeeper_data_dir and")):
        answer = debians.look(zookeeper_adopt=adopt, zookeeper_data_dir=debians.theirs)
        assert any(said in problem for problem in answer["problems"])
        assert answer["adopt"] == {}


def test_the_servers_own_data_in_debians_directory(debians: Host) -> None:
    (Path(debians.theirs) / "version-2/log.100000001").unlink()
    (debians.root / "etc/zookeeper/conf/zoo.cfg").unlink()
    answer = debians.look(zookeeper_data_dir=debians.theirs)
    assert (answer["problems"], answer["data"]) == ([], True)


def test_an_adoption_needs_room(debians: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "free", lambda _: 1 << 20)
    assert debians.look(zookeeper_adopt=True)["problems"] == []
    with (Path(debians.theirs) / "version-2/log.200000000").open("wb") as log:
        log.truncate(6 << 20)
    [said] = debians.look(zookeeper_adopt=True)["problems"]
    assert "zk1 lacks 5 MB for a copy" in said


def test_how_far_the_data_go(host: Host) -> None:
    host.write("data/version-2/snapshot.0", "")
    host.write("txnlog/version-2/log.100000002", "").write_bytes(b"ZKLG" + bytes(12) + entry())
    answer = host.look()
    assert answer["last_zxid"] == "0x100000002"
    assert answer["trail"] == {"0x100000002": zlib.crc32(entry()[12:-1])}


def test_a_log_that_is_damaged_is_told(host: Host) -> None:
    log = host.write("txnlog/version-2/log.100000002", "")
    log.write_bytes(b"ZKLG" + bytes(12) + entry())
    assert host.look()["damaged"] == ""
    log.write_bytes(bytes(16) + entry())
    answer = host.look()
    assert (answer["damaged"], answer["last_zxid"]) == (str(log), "0x100000002")


@pytest.mark.parametrize("whose", ["data", "theirs"])
def test_which_data_are_newer_is_not_said_if_a_log_is_damaged(debians: Host, whose: str) -> None:
    debians.write("data/version-2/snapshot.500000001", "")
    debians.write("data/myid", "1\n")
    log = (debians.txnlog if whose == "data" else Path(debians.theirs)) / "version-2/log.100000001"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(bytes(16) + entry())
    [said] = debians.look()["problems"]
    assert f"but {log} is damaged: the role cannot tell which are newer." in said


def test_data_with_a_damaged_log_are_not_to_be_put_away(debians: Host) -> None:
    """It may go farther than what can be read of it."""
    log = Path(debians.theirs) / "version-2/log.100000001"
    log.write_bytes(bytes(16) + entry())
    answer = debians.look()
    [said] = answer["problems"]
    assert f"(last zxid at least 0x100000001, its log {log} is damaged), such as Debian's" in said
    assert (
        "zookeeper_adopt: true to take the data over. Do not put them away: that log may have the ne" in said
    )
    assert "move version-2" not in said
    assert (answer["theirs"], answer["theirs_damaged"], answer["damaged"]) == ("0x100000001", str(log), "")
    assert debians.look(zookeeper_adopt=True)["damaged"] == str(log), "then they are its own"


def test_where_links_lead_is_looked_at(host: Host) -> None:
    host.txnlog.mkdir()
    host.data.symlink_to(host.txnlog)
    assert "lead to the same directory on zk1" in host.look()["problems"][0]


@pytest.mark.parametrize("below", ["", "zk/data"])
def test_where_a_disk_is_not_mounted_is_seen(below: str, host: Host) -> None:
    link, disk = host.root / "disk", host.root / "mnt"
    link.symlink_to(disk)
    [said] = host.look(zookeeper_data_dir=str(link / below))["problems"]
    assert said.startswith(
        f"zookeeper_data_dir is {link / below}, but on zk1 the link {link} leads to {disk}, "
    )
    assert "which is not there. Mount it, and run again." in said
    disk.mkdir()
    assert host.look(zookeeper_data_dir=str(link / below))["problems"] == []


@pytest.mark.parametrize(
    ("name", "text", "own"),
    [
        ("127.0.1.1", "127.0.1.1", True),
        ("192.0.2.9", "192.0.2.9", False),
        ("zk1..example.org", None, False),
        ("", None, False),
    ],
)
def test_what_a_name_is_here(name: str, text: str | None, own: bool) -> None:
    assert preflight.address(name) == {"text": text, "own": own}
    assert preflight.address(own_address()) == {"text": own_address(), "own": True}
