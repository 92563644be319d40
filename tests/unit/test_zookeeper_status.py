"""The module zookeeper_status, run as Ansible runs it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.ansible_module import reroot, run
from tests.unit.four_letters import HASH, IDLE, MNTR, SRVR, Serve, closed_port, serving
from tests.unit.zookeeper_role import load_file

status = load_file("modules/zookeeper_status.py")


def test_what_a_server_says() -> None:
    assert status.server(MNTR.format(synced=2)) == {
        "version": "3.9.3",
        "role": "leader",
        "sessions": 4,
        "connections": 3,
        "latency_avg_ms": 4.57,
        "latency_max_ms": 28,
        "outstanding": 0,
        "znodes": 14,
        "digest_mismatches": 0,
        "uptime_s": 47,
    }


@pytest.mark.parametrize(
    "answer",
    ["", "This ZooKeeper instance is not currently serving requests\n", "HTTP", "zk_version\t3.9.3\n"],
)
def test_a_server_that_serves_nobody_says_nothing(answer: str) -> None:
    assert status.server(answer) == {}


def test_a_figure_that_is_none() -> None:
    said = status.server("zk_server_state\tleader\nzk_avg_latency\tunknown\n")
    assert (said["role"], said["latency_avg_ms"], said["uptime_s"]) == ("leader", None, None)


def test_digests() -> None:
    assert status.digests(HASH) == {"0x100000080": "9269246130", "0x10000010c": "5855826806"}
    assert status.digests("hash is not executed because it is not in the whitelist.\n") == {}


def test_disk(tmp_path: Path) -> None:
    (tmp_path / "version-2").mkdir()
    (tmp_path / "version-2/log.1").write_bytes(b"x" * 10_000)
    found = status.disk(str(tmp_path))
    assert 10_000 <= found["used"] < 40_000
    assert found["free"] == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.2)
    os.truncate(tmp_path / "version-2/log.1", 1 << 26)
    assert status.disk(str(tmp_path))["used"] < 40_000, "what is set aside for a log takes no room yet"
    assert status.disk(str(tmp_path / "none")) == {"path": f"{tmp_path}/none", "used": None, "free": None}


def test_what_is_free_for_a_server_that_is_not_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = SimpleNamespace(f_bavail=3, f_bfree=5, f_frsize=4096)
    monkeypatch.setattr(os, "statvfs", lambda _: room)
    assert status.disk(str(tmp_path))["free"] == 3 * 4096


def test_a_file_that_is_purged_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "snapshot.0").write_bytes(b"x" * 10_000)

    def walk(top: Path) -> Iterator[Any]:
        for found in os_walk(top):
            (tmp_path / "snapshot.0").unlink()
            yield found

    os_walk = os.walk
    monkeypatch.setattr(os, "walk", walk)
    assert status.disk(str(tmp_path))["used"] == 0


def test_configurations_that_differ() -> None:
    assert status.differences("a=1\nb=2\n", "a=1\nb=2", "# comment\nb=2\na=1") == []
    assert status.differences("a=1\nb=2\nd=4", "a=1\nb=3\nc=4\nd=4", "a=1\nb=3\nd=4") == [
        {"key": "b", "wanted": "2", "on_disk": "3", "running": "3"},
        {"key": "c", "wanted": None, "on_disk": "4", "running": None},
    ]
    # of a server that does not run, or was never installed, only what is there is compared
    assert status.differences("a=1", "a=2", None) == [{"key": "a", "wanted": "1", "on_disk": "2"}]
    assert status.differences("a=1", None, None) == []
    digest = "DigestAuthenticationProvider.superDigest"
    assert status.differences(f"{digest}=super:x", f"{digest}=super:y", "") == [
        {"key": digest, "wanted": "********", "on_disk": "********", "running": None}
    ]
    assert status.differences("a=1", "", None) == [{"key": "a", "wanted": "1", "on_disk": None}]


# ------------------------------------------------------------ as a module


@pytest.fixture
def serve() -> Iterator[Serve]:
    with serving() as start:
        yield start


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Below which the module looks; with data and logs in four places."""
    reroot(status, tmp_path, monkeypatch)
    for name, size in {"wanted": 1, "disk": 2, "running": 3, "logs": 4}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(os.urandom(size * 100_000))
    return tmp_path


def config(root: Path, data: str, **further: object) -> str:
    lines = {"dataDir": root / data, "clientPort": 2181} | further
    return "".join(f"{key}={value}\n" for key, value in lines.items())


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def look(root: Path, port: int = 0, *, check: bool = False, **arguments: Any) -> dict[str, Any]:
    wanted = {"config": config(root, "wanted", dataLogDir=root / "logs")}
    return run(status, {"host": "127.0.0.1", "port": port or closed_port()} | wanted | arguments, check=check)


@pytest.mark.servers
@pytest.mark.parametrize("check", [False, True])
def test_what_a_server_tells(check: bool, root: Path, serve: Serve) -> None:
    words = {"srvr": SRVR.format(mode="leader"), "mntr": MNTR.format(synced=2), "hash": HASH}
    answer = look(root, serve(words.get).port, check=check)
    assert "error" not in answer
    assert not answer["changed"]
    assert answer["server"] == {**status.server(MNTR.format(synced=2)), "zxid": "0x10000000a"}
    assert answer["digests"] == status.digests(HASH)


@pytest.mark.servers
def test_one_that_serves_nobody_tells_nothing(root: Path, serve: Serve) -> None:
    answer = look(root, serve(lambda _: IDLE).port)
    assert (answer["server"], answer.get("error")) == ({}, None)


@pytest.mark.servers
def test_one_that_tells_no_zxid(root: Path, serve: Serve) -> None:
    refused = "hash is not executed because it is not in the whitelist.\n"
    told = {"srvr": "Mode: leader\n", "mntr": MNTR.format(synced=2), "hash": refused}
    answer = look(root, serve(told.get).port)
    assert (answer["server"]["role"], answer["server"]["zxid"]) == ("leader", None)


@pytest.mark.servers
def test_one_that_says_nothing(root: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status, "ANSWER_SECONDS", 0.02)
    answer = look(root, serve(lambda _: None).port)
    assert (answer["server"], answer["error"]) == ({}, "timed out")


@pytest.mark.servers
def test_one_that_is_not_there(root: Path) -> None:
    answer = look(root)
    assert (answer["server"], answer["error"]) == ({}, "Connection refused")
    assert not answer.get("failed")
    assert not answer["changed"]
    assert "cannot be the name of a host" in look(root, host="zk1..example.org")["error"]


def places(answer: dict[str, Any]) -> tuple[str, str]:
    """The names of the two directories, whose sizes must be their own."""
    for disk in answer["disk"].values():
        assert disk["used"] >= (Path(disk["path"]) / "file").stat().st_size
        assert disk["used"] < (Path(disk["path"]) / "file").stat().st_size + 99_000
        assert disk["free"] > 0
    return Path(answer["disk"]["data_dir"]["path"]).name, Path(answer["disk"]["txnlog_dir"]["path"]).name


@pytest.mark.servers
def test_where_the_data_are(root: Path) -> None:
    """Where the server that runs has them, or had them when it ran, or will have them."""
    assert places(look(root)) == ("wanted", "logs")
    write(root / "etc/zookeeper/zoo.cfg", config(root, "disk"))
    assert places(look(root)) == ("disk", "disk")
    write(root / "run/zookeeper/zoo.cfg", config(root, "running", dataLogDir=root / "logs"))
    assert places(look(root)) == ("running", "logs")
    write(root / "run/zookeeper/zoo.cfg", "")
    assert places(look(root)) == ("disk", "disk")


@pytest.mark.servers
def test_a_configuration_broken_by_hand_is_looked_at_too(root: Path) -> None:
    write(root / "etc/zookeeper/zoo.cfg", "clientPort=none\n")
    assert places(look(root)) == ("wanted", "wanted")


@pytest.mark.servers
def test_how_the_configurations_differ(root: Path) -> None:
    write(root / "etc/zookeeper/zoo.cfg", "a=1\nb=2\n")
    write(root / "run/zookeeper/zoo.cfg", "a=1\nb=3\n")
    answer = look(root, config="dataDir=/d\na=1\nb=1\n")
    assert answer["config"] == [
        {"key": "b", "wanted": "1", "on_disk": "2", "running": "3"},
        {"key": "dataDir", "wanted": "/d", "on_disk": None, "running": None},
    ]
