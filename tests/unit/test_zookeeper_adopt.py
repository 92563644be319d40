"""The module zookeeper_adopt: data of another installation, copied to where the role has them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.unit.ansible_module import run
from tests.unit.test_zookeeper_history import entry
from tests.unit.zookeeper_role import load_file

adopt = load_file("modules/zookeeper_adopt.py")

SNAPSHOTS = {"snapshot.0", "snapshot.100000007", "currentEpoch", "acceptedEpoch"}
LOGS = {"log.1", "log.100000001"}


def content(name: str) -> str:
    """A log ends with it as after a crash: no transaction is in it, and it is not damaged."""
    return ("ZKLG" + "\0" * 12 if name.startswith("log.") else "") + f"this is {name}"


class Disk:
    """The directories of both installations."""

    def __init__(self, top: Path) -> None:
        self.old = top / "old"
        self.data, self.txnlog = top / "zkData", top / "txnlog"
        (self.old / "version-2").mkdir(parents=True)
        for name in SNAPSHOTS | LOGS:
            (self.old / "version-2" / name).write_text(content(name))

    def adopt(self, *, check: bool = False, **changed: Path) -> dict[str, Any]:
        paths = {"old_data_dir": self.old, "old_txnlog_dir": self.old}
        paths |= {"data_dir": self.data, "txnlog_dir": self.txnlog} | changed
        return run(adopt, {key: str(path) for key, path in paths.items()}, check=check)

    def has(self, path: Path) -> set[str]:
        """The files there, each with what belongs into it."""
        files = {file.name: file.read_text() for file in path.iterdir()}
        assert all(text == content(name) for name, text in files.items())
        return set(files)

    def is_adopted(self) -> bool:
        new = (self.has(self.data / "version-2"), self.has(self.txnlog / "version-2"))
        return new == (SNAPSHOTS, LOGS) and self.has(self.old / "version-2.adopted") == SNAPSHOTS | LOGS


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return Disk(tmp_path)


def test_snapshots_and_logs_go_where_each_belongs(disk: Disk) -> None:
    answer = disk.adopt()
    assert answer["changed"]
    assert set(answer["copied"]) == SNAPSHOTS | LOGS
    assert disk.is_adopted()
    assert not (disk.old / "version-2").exists()


def test_nobody_else_can_read_the_copies(disk: Disk) -> None:
    """Not even until the server is set up, which gives it its directories."""
    disk.adopt()
    assert {path.stat().st_mode & 0o777 for path in (disk.data, disk.txnlog)} == {0o700}


def test_a_check_copies_nothing(disk: Disk) -> None:
    assert disk.adopt(check=True)["changed"]
    assert not disk.data.exists()
    assert disk.has(disk.old / "version-2") == SNAPSHOTS | LOGS


def test_logs_that_had_a_directory_of_their_own(disk: Disk) -> None:
    logs = disk.old.parent / "logs"
    (logs / "version-2").mkdir(parents=True)
    for name in LOGS:
        (disk.old / "version-2" / name).rename(logs / "version-2" / name)
    disk.adopt(old_txnlog_dir=logs)
    assert disk.has(disk.txnlog / "version-2") == disk.has(logs / "version-2.adopted") == LOGS
    assert disk.has(disk.data / "version-2") == disk.has(disk.old / "version-2.adopted") == SNAPSHOTS


@pytest.mark.parametrize("broken_at", range(1, 9))
def test_what_was_cut_short_is_finished(disk: Disk, broken_at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """After any number of copies or renames. Until it is done, the old data are whole."""
    rename, count = Path.rename, iter(range(1, 99))

    def renamed(path: Path, target: Path) -> Path:
        if next(count) == broken_at:
            raise OSError(28, "No space left on device")
        return rename(path, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", renamed)
        answer = disk.adopt()
    assert answer.get("failed", False) == (broken_at < 8)
    if broken_at < 8:
        assert "No space left on device: make room or mend it, and run again" in answer["msg"]
        assert disk.has(disk.old / "version-2") == SNAPSHOTS | LOGS
        disk.adopt()
    assert {file.name for file in (disk.data / "version-2").iterdir()} == SNAPSHOTS
    assert disk.is_adopted()


def test_one_of_two_directories_has_its_new_name(disk: Disk) -> None:
    logs = disk.old.parent / "logs"
    (logs / "version-2.adopted").mkdir(parents=True)
    for name in LOGS:
        (disk.old / "version-2" / name).rename(logs / "version-2.adopted" / name)
    answer = disk.adopt(old_txnlog_dir=logs)
    assert answer["changed"]
    assert disk.has(disk.txnlog / "version-2") == LOGS
    assert disk.has(disk.old / "version-2.adopted") == SNAPSHOTS


def test_what_was_adopted_once_is_not_overwritten(disk: Disk) -> None:
    (disk.old / "version-2.adopted").mkdir()
    answer = disk.adopt()
    assert answer["failed"]
    assert f"{disk.old}/version-2.adopted is there from earlier: move it to another place." in answer["msg"]
    assert not disk.data.exists()
    (disk.old / "version-2.adopted").rename(disk.old.parent / "aside")
    assert disk.adopt()["changed"], "as it says"
    assert disk.is_adopted()


def test_a_file_of_the_same_name_is_not_written_over(disk: Disk) -> None:
    """Preflight refuses before; but whoever calls the module by itself loses nothing, either."""
    for place, name in ((disk.data, "snapshot.0"), (disk.data, "currentEpoch"), (disk.txnlog, "log.1")):
        own = place / "version-2" / name
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_text(content(name).replace("this", "that"))
        before = own.read_text()
        for check in (True, False):
            answer = disk.adopt(check=check)
            assert answer["failed"]
            assert f"{own} differs from {disk.old}/version-2/{name}." in answer["msg"]
            assert (
                "The last zxid of the old data is 0x100000007, epoch 1; that of the data in " in answer["msg"]
            )
            assert "which are not newer: to take over the old ones, move what is in" in answer["msg"]
            assert f" in {own.parent} to another place, do not delete it, and run again." in answer["msg"]
        assert own.read_text() == before
        assert disk.has(disk.old / "version-2") == SNAPSHOTS | LOGS
        assert [file for top in (disk.data, disk.txnlog) for file in top.glob("version-2/*")] == [own]
        own.parent.rename(place / f"aside-{name}")
    assert disk.adopt()["changed"], "as it says"
    assert disk.is_adopted()


@pytest.mark.parametrize("name", ["snapshot.5", "log.5"])
def test_other_data_there_are_not_mixed_with_them(disk: Disk, name: str) -> None:
    place = disk.data if name.startswith("snapshot") else disk.txnlog
    (place / "version-2").mkdir(parents=True)
    (place / "version-2" / name).write_text(content(name))
    for log in (disk.old / "version-2").glob("log.*"):
        log.unlink()
    answer = disk.adopt()
    assert f"{place}/version-2/{name} is not a copy from {disk.old}/version-2." in answer["msg"]
    assert (disk.old / "version-2").is_dir()
    assert disk.has(place / "version-2") == {name}


def test_newer_data_there_are_not_to_be_moved_away(disk: Disk) -> None:
    disk.adopt()
    (disk.old / "version-2.adopted").rename(disk.old / "version-2")
    (disk.data / "version-2/snapshot.200000005").touch()
    said = disk.adopt()["msg"]
    tops = f"{disk.data} and {disk.txnlog}"
    assert f"old data is 0x100000007, epoch 1; that of the data in {tops} is 0x200000005, epoch 2" in said
    assert "which are newer: set zookeeper_adopt: false to go on with these. Nothing was copied." in said
    assert "move" not in said


def test_data_that_were_renamed_already_count_as_the_old_ones(disk: Disk) -> None:
    disk.adopt()
    (disk.data / "version-2/currentEpoch").write_text("2")
    (disk.old / "version-2").mkdir()
    (disk.old / "version-2.adopted/currentEpoch").rename(disk.old / "version-2/currentEpoch")
    logs = disk.old.parent / "logs"
    logs.mkdir()
    (disk.old / "version-2.adopted").rename(logs / "version-2.adopted")
    (logs / "version-2.adopted/log.300000001").write_bytes(b"ZKLG" + bytes(12) + entry(0x300000001))
    said = disk.adopt(old_txnlog_dir=logs)["msg"]
    assert "The last zxid of the old data is 0x300000001, epoch 3; " in said


@pytest.mark.parametrize("whose", ["old", "txnlog"])
def test_with_a_damaged_log_neither_are_to_be_moved_away(disk: Disk, whose: str) -> None:
    (disk.data / "version-2").mkdir(parents=True)
    (disk.data / "version-2/currentEpoch").write_text("2")
    log = disk.old.parent / whose / "version-2/log.100000009"
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text("damaged, and no log at all")
    said = disk.adopt()["msg"]
    assert f"but {log} is damaged, so nobody can tell which are newer: discard neither. Repair a copy" in said
    assert "move" not in said
    assert "set zookeeper_adopt" not in said


def test_one_directory_is_not_both(disk: Disk) -> None:
    (disk.old.parent / "link").symlink_to(disk.old)
    for same in (disk.old, disk.old.parent / "link"):
        answer = disk.adopt(data_dir=same)
        assert f"{same}/version-2 is where the old data are: choose another directory" in answer["msg"]
    assert disk.has(disk.old / "version-2") == SNAPSHOTS | LOGS


def test_snapshots_and_logs_do_not_go_to_one_directory(disk: Disk) -> None:
    """A run that was cut short would refuse its own copies there."""
    disk.data.mkdir()
    (disk.old.parent / "link").symlink_to(disk.data)
    for same in (disk.data, disk.old.parent / "link"):
        for check in (True, False):
            answer = disk.adopt(txnlog_dir=same, check=check)
            assert answer["msg"] == (
                f"{disk.data} is both data_dir and txnlog_dir: choose another directory for one of them. "
                "Nothing was copied."
            )
    assert not list(disk.data.iterdir())
    assert disk.has(disk.old / "version-2") == SNAPSHOTS | LOGS


@pytest.mark.parametrize("dangling", ["old/version-2/snapshot.0", "zkData/version-2/snapshot.0"])
def test_a_file_that_cannot_be_compared_is_named(disk: Disk, dangling: str) -> None:
    (disk.data / "version-2").mkdir(parents=True)
    for place in (disk.old, disk.data):
        (place / "version-2/snapshot.0").write_text("this is snapshot.0")
    link = disk.old.parent / dangling
    link.unlink()
    link.symlink_to("gone")
    answer = disk.adopt()
    assert answer["failed"]
    assert f"'{link}': mend it, and run again. Nothing was copied." in answer["msg"]
    assert not disk.txnlog.exists()


def test_a_link_to_itself_is_named(disk: Disk) -> None:
    disk.data.symlink_to(disk.data.name)
    answer = disk.adopt()
    assert answer["failed"]
    assert answer["msg"].endswith("run again. Nothing was copied.")


def test_what_a_server_has_written_since_is_left_alone(disk: Disk) -> None:
    disk.adopt()
    (disk.data / "version-2/currentEpoch").write_text("2")
    (disk.data / "version-2/snapshot.0").unlink()
    answer = disk.adopt()
    assert (answer["changed"], answer["copied"]) == (False, [])
    assert (disk.data / "version-2/currentEpoch").read_text() == "2"
    assert not (disk.data / "version-2/snapshot.0").exists()
