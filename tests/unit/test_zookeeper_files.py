"""The module zookeeper_files, run as Ansible runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.ansible_module import run
from tests.unit.zookeeper_role import PROJECT, load_file

files = load_file("modules/zookeeper_files.py")

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: the files belong to it")


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    """Whoever runs Ansible may have one that lets nobody else read."""
    before = os.umask(0o077)
    yield
    os.umask(before)


def place(path: Path, *, check: bool = False, **other: Any) -> dict[str, Any]:
    """A directory and two files of a server, below ``path``."""
    arguments = {
        "directories": [{"path": str(path / "etc/zk"), "owner": "root", "group": "root", "mode": "0750"}],
        "files": [
            {"path": str(path / "etc/zk/zoo.cfg"), "content": "a=1\n", "restart": True},
            {"path": str(path / "etc/zk/tool.sh"), "content": "true\n", "mode": "0755"},
        ],
    }
    return run(files, arguments | other, check=check)


def only(**arguments: Any) -> dict[str, Any]:
    check = arguments.pop("check", False)
    return run(files, {"directories": [], "files": [], **arguments}, check=check)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@needs_root
def test_files_are_placed_once(tmp_path: Path) -> None:
    assert place(tmp_path, check=True)["changed"]
    assert not list(tmp_path.iterdir())
    first = place(tmp_path)
    assert (first["changed"], first["waiting"]) == (True, [])
    assert {diff["after"] for diff in first["diff"] if "after_header" in diff} >= {"a=1\n", "true\n"}
    modes = {"etc": 0o755, "etc/zk": 0o750, "etc/zk/zoo.cfg": 0o644, "etc/zk/tool.sh": 0o755}
    assert {path: mode(tmp_path / path) for path in modes} == modes
    assert sorted(p.name for p in (tmp_path / "etc/zk").iterdir()) == ["tool.sh", "zoo.cfg"]
    again = place(tmp_path)
    assert (again["changed"], again["diff"]) == (False, [])


@needs_root
@pytest.mark.parametrize("linked", [False, True])
def test_a_disk_from_another_host_is_given_to_the_user_of_this_one(linked: bool, tmp_path: Path) -> None:
    """Also where the directory that holds the data is a link: the server must be able to enter its target."""
    there = tmp_path / ("elsewhere" if linked else "data/version-2")
    (there / "more").mkdir(parents=True)
    if linked:
        (tmp_path / "data").mkdir()
        (tmp_path / "data/version-2").symlink_to(there)
    for path in (tmp_path / "data", there, there / "more"):
        os.chown(path, 12345, 12345)
    data = {"path": str(tmp_path / "data"), "owner": "root", "group": "root", "mode": "0750"}
    assert not only(directories=[data | {"owner": "nobody-knows", "contents": "version-2"}], check=True)[
        "changed"
    ]
    assert only(directories=[data | {"contents": "version-2"}], check=True)["changed"]
    only(directories=[data])
    strange = (there, there / "more")
    assert {path.stat().st_uid for path in strange} == {12345}
    answer = only(directories=[data | {"contents": "version-2"}])
    assert answer["diff"][0]["before"] == "2 files of another user\n"
    assert {(path.stat().st_uid, path.stat().st_gid) for path in strange} == {(0, 0)}
    assert not only(directories=[data | {"contents": "version-2"}])["changed"]
    assert not only(directories=[data | {"contents": "nothing"}])["changed"]


@needs_root
@pytest.mark.parametrize("name", ["zk", "zk/zoo.cfg"])
def test_owner_group_and_mode_are_put_right(name: str, tmp_path: Path) -> None:
    place(tmp_path)
    path, right = tmp_path / "etc" / name, mode(tmp_path / "etc" / name)
    path.chmod(0o777)
    os.chown(path, 65534, 65534)
    answer = place(tmp_path, check=True)
    assert answer["changed"]
    assert answer["diff"][0]["before"]["mode"] == "0777"
    assert mode(path) == 0o777
    assert place(tmp_path)["changed"]
    assert (mode(path), path.stat().st_uid, path.stat().st_gid) == (right, 0, 0)
    assert not place(tmp_path)["changed"]


@needs_root
def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    """By a rename: who has the old one open reads it to its end, and nobody sees half of the new one."""
    place(tmp_path)
    config, held = tmp_path / "etc/zk/zoo.cfg", tmp_path / "held"
    config.write_text("a=0\n")
    os.link(config, held)
    answer = place(tmp_path, check=True)
    assert (answer["changed"], config.read_text()) == (True, "a=0\n")
    [diff] = place(tmp_path)["diff"]
    assert (diff["before_header"], diff["after_header"]) == (str(config), str(config))
    assert (diff["before"], diff["after"]) == ("a=0\n", "a=1\n")
    assert (config.read_text(), held.read_text()) == ("a=1\n", "a=0\n")


@needs_root
def test_files_of_a_running_server_wait(tmp_path: Path) -> None:
    place(tmp_path)
    config, tool = tmp_path / "etc/zk/zoo.cfg", tmp_path / "etc/zk/tool.sh"
    assert place(tmp_path, hold=True)["waiting"] == []
    config.write_text("a=0\n")
    tool.write_text("false\n")
    answer = place(tmp_path, hold=True)
    assert (answer["changed"], answer["waiting"]) == (True, [str(config)])
    assert (config.read_text(), tool.read_text()) == ("a=0\n", "true\n")
    again = place(tmp_path, hold=True)
    assert (again["changed"], again["waiting"]) == (False, [str(config)])
    config.unlink()
    answer = place(tmp_path, hold=True)
    assert (answer["waiting"], answer["placed"], config.exists()) == ([str(config)], [], False)
    for check in (True, False):
        assert place(tmp_path, check=check)["placed"] == [str(config)], "what its restart is for"
    tool.write_text("false\n")
    assert place(tmp_path)["placed"] == []


@needs_root
def test_ends_of_lines_are_part_of_a_file(tmp_path: Path) -> None:
    """A shell would not start with them, and a file that shall have them is written once."""
    place(tmp_path)
    tool = tmp_path / "etc/zk/tool.sh"
    tool.write_bytes(b"true\r\n")
    assert place(tmp_path)["changed"]
    assert tool.read_bytes() == b"true\n"
    with_them = [{"path": str(tool), "content": "a\r\nb\n"}]
    assert only(files=with_them)["changed"]
    assert tool.read_bytes() == b"a\r\nb\n"
    assert not only(files=with_them)["changed"]


@needs_root
def test_a_user_may_be_missing_in_check_mode_alone(tmp_path: Path) -> None:
    """It is about to be made. Of a directory that is there it is not yet said who will have it."""
    (tmp_path / "data").mkdir(mode=0o700)
    entry = {"path": str(tmp_path / "data"), "owner": "no-such-user", "group": "root", "mode": "0750"}
    assert not only(directories=[entry], check=True)["changed"]
    assert only(directories=[entry])["failed"]
    assert not only(directories=[entry | {"owner": "root", "group": "no-such-group"}], check=True)["changed"]
    assert only(directories=[entry | {"owner": "root"}], check=True)["changed"]


@needs_root
def test_a_file_can_be_for_a_group_alone(tmp_path: Path) -> None:
    """zoo.cfg is the server's. A check before the first run does not know its group yet."""
    path = tmp_path / "zoo.cfg"
    entry = {"path": str(path), "content": "a=1\n", "group": "nogroup", "mode": "0640", "restart": True}
    assert only(files=[entry])["changed"]
    assert (mode(path), path.owner(), path.group()) == (0o640, "root", "nogroup")
    path.chmod(0o644)
    answer = only(files=[entry], hold=True)  # it is what the server was started with, so nothing waits
    assert (answer["changed"], answer["waiting"], mode(path)) == (True, [], 0o640)
    assert not only(files=[entry], hold=True)["changed"]
    assert not only(files=[entry | {"group": "no-such-group"}], check=True)["changed"]


@needs_root
def test_secrets_are_not_in_the_difference(tmp_path: Path) -> None:
    path = tmp_path / "zoo.cfg"
    for said in ("a=1\nssl.keyStore.password=old one\n", "a=2\nssl.keyStore.password=old one\n"):
        [diff] = [
            diff
            for diff in only(files=[{"path": str(path), "content": said}])["diff"]
            if "after_header" in diff
        ]
    assert diff["before"] == "a=1\nssl.keyStore.password=********\n"
    assert diff["after"] == "a=2\nssl.keyStore.password=********\n"
    [diff] = only(files=[{"path": str(path), "content": "a=2\nssl.keyStore.password=new\n"}])["diff"]
    assert (diff["before"], diff["after"]) == (
        "a=2\nssl.keyStore.password=********\n",
        "a=2\nssl.keyStore.password=******** (another)\n",
    )
    shown = only(files=[{"path": str(path), "content": "ssl.keyStore.passwordPath=/etc/x\n"}])["diff"]
    assert shown[0]["after"] == "ssl.keyStore.passwordPath=/etc/x\n"


@needs_root
def test_of_a_link_to_a_directory_the_directory_is_put_right(tmp_path: Path) -> None:
    """Data on another disk, by a link: the server writes there, and the link stays as it is."""
    disk, link = tmp_path / "disk", tmp_path / "data"
    disk.mkdir(mode=0o700)
    link.symlink_to(disk)
    entry = {"path": str(link), "owner": "nobody", "group": "nogroup", "mode": "0750"}
    assert only(directories=[entry], check=True)["changed"]
    assert (mode(disk), disk.stat().st_uid) == (0o700, 0)
    assert only(directories=[entry])["changed"]
    assert (mode(disk), disk.owner(), disk.group()) == (0o750, "nobody", "nogroup")
    assert (link.readlink(), link.lstat().st_uid) == (disk, 0)
    assert not only(directories=[entry])["changed"]


def test_what_is_in_the_way_of_a_directory_stays(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_text("mine")
    answer = only(directories=[{"path": str(path), "owner": "root", "group": "root", "mode": "0750"}])
    assert answer["failed"]
    assert answer["msg"] == f"{path} is in the way: a directory is needed there. Move it away."


def test_a_link_to_a_disk_that_is_not_mounted_stays(tmp_path: Path) -> None:
    """Whoever moves it away begins with an empty directory."""
    path = tmp_path / "data"
    path.symlink_to("not-mounted")
    answer = only(directories=[{"path": str(path), "owner": "root", "group": "root", "mode": "0750"}])
    assert answer["failed"]
    assert answer["msg"].startswith(f"{path} leads to {tmp_path}/not-mounted, which is not there. Mount it, ")
    assert path.is_symlink()


def test_what_is_in_the_way_of_a_link_stays(tmp_path: Path) -> None:
    (tmp_path / "current").mkdir()
    for target in ("3.9.3", ""):
        answer = only(links=[{"path": str(tmp_path / "current"), "target": target}])
        assert answer["msg"] == f"{tmp_path}/current is in the way: a link is needed there. Move it away."
    assert (tmp_path / "current").is_dir()


def test_a_link_is_placed_turned_and_removed(tmp_path: Path) -> None:
    link = tmp_path / "current"
    assert not place_link(link, "")["changed"]
    (tmp_path / ".current").symlink_to("of a run that was cut short")
    before = ""
    for target in ("3.8.0", "3.9.3", ""):
        answer = place_link(link, target, check=True)
        assert answer["changed"]
        [diff] = answer["diff"]
        assert (diff["before"], diff["after"]) == tuple(f"-> {it}\n" if it else "" for it in (before, target))
        held = place_link(link, target, hold=True)
        assert (held["changed"], held["waiting"]) == (False, [str(link)])
        assert (str(link.readlink()) if link.is_symlink() else "") == before
        assert place_link(link, target)["changed"]
        assert (str(link.readlink()) if link.is_symlink() else "") == target
        assert not place_link(link, target)["changed"]
        assert place_link(link, target, hold=True)["waiting"] == []
        before = target
    assert not list(tmp_path.iterdir())


def test_there_is_a_link_all_the_time(tmp_path: Path) -> None:
    link = tmp_path / "current"
    place_link(link, "3.8.0")
    seen = set()
    sys.setprofile(lambda *_: seen.add(link.is_symlink() and str(link.readlink())))
    try:
        place_link(link, "3.9.3")
    finally:
        sys.setprofile(None)
    assert seen == {"3.8.0", "3.9.3"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of a page."""
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", tmp_path], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("this machine lets nobody mount")
    yield tmp_path
    subprocess.run(["umount", tmp_path], check=True)


@pytest.mark.processes
@needs_root
def test_a_full_disk_is_told_with_the_remedy_and_nothing_is_left_behind(small_disk: Path) -> None:
    config = small_disk / "zoo.cfg"
    config.write_text("a=0\n")
    answer = only(files=[{"path": str(config), "content": "a=1\n" * 5000}])
    assert answer["failed"]
    assert answer["msg"].startswith("No space is left: make room")
    assert (config.read_text(), list(small_disk.iterdir())) == ("a=0\n", [config])


def place_link(path: Path, target: str, **other: bool) -> dict[str, Any]:
    return only(links=[{"path": str(path), "target": target}], **other)


KEY = "-----BEGIN PRIVATE KEY-----\nabc\n"


@needs_root
def test_a_secret_is_placed_and_not_shown(tmp_path: Path) -> None:
    path = str(tmp_path / "key.pem")
    entry = {"path": path, "secret": True, "mode": "0640", "restart": True}
    answers = [
        only(files=[entry], secrets={path: text}, check=check)
        for text, check in ((KEY, True), (KEY, False), (KEY * 2, False))
    ]
    again = only(files=[entry], secrets={path: KEY * 2})
    assert [answer["changed"] for answer in (*answers, again)] == [True, True, True, False]
    assert Path(path).read_text() == KEY * 2
    assert mode(Path(path)) == 0o640
    shown = [
        (diff["before"], diff["after"])
        for answer in answers
        for diff in answer["diff"]
        if "after_header" in diff
    ]
    assert shown == [
        *(("", "secret=********\n"), ("", "secret=********\n")),
        ("secret=********\n", "secret=******** (another)\n"),
    ]
    assert "abc" not in str(answers)
    assert only(files=[entry], secrets={path: "x"}, hold=True)["waiting"] == [path]
    assert not only(files=[entry])["changed"], "what nobody has given"


def test_a_key_is_placed_as_a_secret_or_not_at_all(tmp_path: Path) -> None:
    """A CA's key beside its certificate, say, in a file that everybody may read."""
    path = tmp_path / "client-ca.pem"
    entry = {"path": str(path), "content": f"a certificate\n{KEY}"}
    for check in (True, False):
        refused = only(files=[{"path": str(tmp_path / "other"), "content": "x"}, entry], check=check)
        assert f"{path}: its new content has a private key" in refused["msg"]
        assert "abc" not in str(refused)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["", "\n"])
def test_an_empty_secret_is_not_placed(tmp_path: Path, text: str) -> None:
    path = str(tmp_path / "client.pem")
    entries = [{"path": str(tmp_path / "other"), "content": "x"}, {"path": path, "secret": True}]
    assert f"{path}: its new content is empty" in only(files=entries, secrets={path: text})["msg"]
    assert not list(tmp_path.iterdir())
    assert only(files=entries, secrets={path: text}, check=True)["changed"], "a check does not know it yet"


@needs_root
def test_a_key_that_was_where_none_should_be_is_not_shown_when_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "client-ca.pem"
    path.write_text(f"a certificate\n{KEY}")
    answer = only(files=[{"path": str(path), "content": "a certificate\n"}])
    assert path.read_text() == "a certificate\n"
    assert "a certificate" in str(answer["diff"])
    assert "abc" not in str(answer)


def seen(path: Path, entry: dict[str, Any], secret: str) -> set[tuple[Any, ...]]:
    """Place it. What there was of it after each call of the system: its mode, owner, group, and text."""
    found: set[tuple[Any, ...]] = set()

    def look(_frame: object, event: str, what: Any) -> None:
        if event == "c_return" and what.__module__ == "posix" and path.exists():
            found.add((oct(mode(path)), path.owner(), path.group(), path.read_text()))

    sys.setprofile(look)
    try:
        only(files=[entry | {"path": str(path), "secret": True}], secrets={str(path): secret})
    finally:
        sys.setprofile(None)
    return found


@needs_root
@pytest.mark.parametrize(("group", "wanted"), [("nogroup", "0640"), ("root", "0600")])
def test_a_key_is_never_more_open_than_it_shall_be(tmp_path: Path, group: str, wanted: str) -> None:
    """Who polls could read it else, and a run that is killed then would leave it so."""
    path, entry = tmp_path / "worker.pem", {"group": group, "mode": wanted}
    right = oct(int(wanted, 8)), "root", group
    assert seen(path, entry, KEY) == {(*right, KEY)}
    path.chmod(0o644)  # of such a run
    assert seen(path, entry, KEY * 2) == {("0o644", "root", group, KEY), (*right, KEY * 2)}
    assert [it.name for it in tmp_path.iterdir()] == ["worker.pem"]


@needs_root
def test_a_directory_is_never_more_open_than_it_shall_be(tmp_path: Path) -> None:
    path, found = tmp_path / "data", set()
    entry = {"path": str(path), "owner": "root", "group": "nogroup", "mode": "0750"}
    sys.setprofile(lambda *_: found.add(path.exists() and (oct(mode(path)), path.group())))
    try:
        only(directories=[entry])
    finally:
        sys.setprofile(None)
    assert found == {False, ("0o700", "root"), ("0o700", "nogroup"), ("0o750", "nogroup")}


@needs_root
def test_of_a_file_that_cannot_be_as_it_shall_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    entry = {"path": str(path), "secret": True, "group": "no-such-group"}
    assert only(files=[entry], secrets={str(path): KEY})["failed"]
    assert not list(tmp_path.iterdir())


def test_secrets_are_named_so_that_ansible_logs_none() -> None:
    """It logs parameters of modules on the host, and hides only whole ones."""
    source = (PROJECT / "plugins/modules/zookeeper_files.py").read_text()
    assert '"secrets": {"type": "dict", "default": {}, "no_log": True}' in source
