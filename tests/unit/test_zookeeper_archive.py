"""Releases from archives: what is refused and why, and that a directory holds a release whole or not."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.server
import io
import os
import shutil
import signal
import socket
import sys
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.ansible_module import run as run_module
from tests.unit.four_letters import dripping
from tests.unit.zookeeper_role import load_file

module = load_file("modules/zookeeper_archive.py")
action = load_file("action/zookeeper_archive.py")

RELEASE = {
    "lib/zookeeper-3.9.3.jar": b"server",
    "lib/logback-classic-1.2.13.jar": b"log",
    "bin/zkServer.sh": b"#!/bin/sh\n",
}
SUM = "0123456789abcdef" * 8


def pack(path: Path, files: dict[str, bytes], top: str = "apache-zookeeper-3.9.3-bin/") -> str:
    """Write an archive; returns its SHA-512."""
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(top + name)
            member.size, member.mode = len(content), 0o755 if name.endswith(".sh") else 0o640
            tar.addfile(member, io.BytesIO(content))
    return hashlib.sha512(path.read_bytes()).hexdigest()


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "apache-zookeeper-3.9.3-bin.tar.gz"
    pack(path, RELEASE)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(module, "STARTED_WITH", tmp_path / "started-with")
    # On a busy machine it takes a second, and no power is cut here.
    monkeypatch.setattr(module.os, "sync", lambda: None)
    before = os.umask(0o077)  # of whoever runs Ansible; the service user is to read what is unpacked
    yield tmp_path / "opt/apache-zookeeper-3.9.3-bin-01234567"
    os.umask(before)


def run(archive: Path | str, home: Path, checksum: str = "", check: bool = False) -> dict[str, Any]:
    """Run the module as the action plugin would once the file is on the host."""
    arguments = {"archive": str(archive), "home": str(home)}
    if isinstance(archive, Path):
        arguments["source"] = str(archive)
        checksum = checksum or hashlib.sha512(archive.read_bytes()).hexdigest()
    arguments["checksum"] = checksum or SUM
    return run_module(module, arguments, check=check)


def content(home: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(home)): path.read_bytes()
        for path in home.rglob("*")
        if path.is_file() and path.name != "SHA256SUMS"
    }


def test_a_release_is_unpacked_once(archive: Path, home: Path) -> None:
    assert run(archive, home, check=True)["changed"]
    assert not home.exists()
    assert run(archive, home)["changed"]
    assert content(home) == RELEASE
    modes = {path: home.joinpath(path).stat().st_mode & 0o777 for path in ("..", ".", "lib", *RELEASE)}
    assert {path for path, mode in modes.items() if mode == 0o755} == {"..", ".", "lib", "bin/zkServer.sh"}
    assert {mode for path, mode in modes.items() if path.endswith(".jar")} == {0o644}
    assert not run(archive, home)["changed"]
    assert [path.name for path in home.parent.iterdir()] == [home.name]


def test_what_was_unpacked_can_be_checked_by_hand(archive: Path, home: Path) -> None:
    run(archive, home)
    lines = (home / "SHA256SUMS").read_text().splitlines()
    assert f"{hashlib.sha256(b'server').hexdigest()}  lib/zookeeper-3.9.3.jar" in lines


def test_a_file_of_the_controller_is_asked_for_only_when_needed(archive: Path, home: Path) -> None:
    assert run(str(archive), home)["wanted"]
    assert not home.exists()
    run(archive, home)
    answer = run(str(archive), home)
    assert (answer["wanted"], answer["changed"]) == (False, False)


@pytest.mark.parametrize(
    ("harm", "damaged"),
    [
        (lambda home: (home / "lib/zookeeper-3.9.3.jar").write_bytes(b""), "lib/zookeeper-3.9.3.jar"),
        (lambda home: (home / "lib/zookeeper-3.9.3.jar").write_bytes(b"severe"), "lib/zookeeper-3.9.3.jar"),
        (lambda home: (home / "bin/zkServer.sh").unlink(), "bin/zkServer.sh"),
        (lambda home: (home / "lib/zookeeper-3.8.0.jar").write_bytes(b"old"), "lib/zookeeper-3.8.0.jar"),
        (lambda home: (home / "lib/zookeeper-3.8.0.jar").symlink_to("/nowhere"), "lib/zookeeper-3.8.0.jar"),
        (lambda home: (home / "SHA256SUMS").unlink(), ""),
        (lambda home: (home / "SHA256SUMS").write_text(""), ""),
    ],
)
def test_what_is_not_as_released_is_repaired(harm: Any, damaged: str, archive: Path, home: Path) -> None:
    run(archive, home)
    harm(home)
    answer = run(archive, home)
    assert answer["damage"][0].endswith(damaged)
    assert content(home) == RELEASE
    assert not run(archive, home)["changed"]


def test_what_is_restored_is_told_of_by_the_sum_the_server_was_started_with(
    archive: Path, home: Path
) -> None:
    run(archive, home)
    server, log = home / "lib/zookeeper-3.9.3.jar", home / "lib/logback-classic-1.2.13.jar"
    whole, broken = hashlib.sha256(b"server").hexdigest(), hashlib.sha256(b"").hexdigest()
    module.STARTED_WITH.write_text(f"{whole}  {server}\n{broken}  {log}\n")
    for path in (server, log):
        path.write_bytes(b"")
    assert run(archive, home, check=True)["restored"] == [str(server)]
    assert run(archive, home)["restored"] == [str(server)]
    assert run(archive, home)["restored"] == []


def test_the_remains_of_a_run_that_was_cut_short_do_no_harm(archive: Path, home: Path) -> None:
    (home.parent / ".unpacking/new/lib").mkdir(parents=True)
    (home.parent / ".unpacking/new/lib/zookeeper-3.8.0.jar").write_bytes(b"half")
    run(archive, home)
    assert content(home) == RELEASE
    assert [path.name for path in home.parent.iterdir()] == [home.name]


def test_nobody_sees_half_of_a_release(archive: Path, home: Path) -> None:
    """After each call of the system there is the old one, none, or the new one."""
    run(archive, home)
    (home / "bin/zkServer.sh").unlink()
    before = content(home)
    seen: list[dict[str, bytes]] = []

    def look(_frame: object, event: str, what: Any) -> None:
        if event == "c_return" and what.__module__ == "posix":
            now = content(home)
            if not seen or now != seen[-1]:
                seen.append(now)

    sys.setprofile(look)
    try:
        run(archive, home)
    finally:
        sys.setprofile(None)
    assert seen == [before, {}, RELEASE]


def test_a_release_is_on_disk_before_it_has_its_name(
    archive: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or a power cut could leave files that are empty."""
    synced = []
    monkeypatch.setattr(module.os, "sync", lambda: synced.append(content(home.parent / ".unpacking/new")))
    run(archive, home)
    assert synced == [RELEASE]


def refused(answer: dict[str, Any], home: Path) -> str:
    """The reason; nothing may have been left behind."""
    assert answer["failed"]
    assert answer["msg"].startswith("Nothing that runs was touched: ")
    assert not any(home.parent.iterdir())
    return str(answer["msg"])


def test_a_wrong_checksum(archive: Path, home: Path) -> None:
    said = refused(run(archive, home, SUM), home)
    assert "zookeeper_archive_checksum is 0123456789abcdef..., but" in said
    right = hashlib.sha512(archive.read_bytes()).hexdigest()
    assert right in said
    assert "but the SHA-512" in refused(
        run(archive, home, right[:-1] + ("0" if right[-1] == "1" else "1")), home
    )


def test_a_repair_that_fails_leaves_what_there_is(archive: Path, home: Path) -> None:
    run(archive, home)
    (home / "bin/zkServer.sh").unlink()
    assert run(archive, home, SUM)["failed"]
    assert content(home) == {name: data for name, data in RELEASE.items() if name != "bin/zkServer.sh"}


def test_an_archive_that_is_none(tmp_path: Path, home: Path) -> None:
    page = tmp_path / "page.tar.gz"
    page.write_text("<html>")
    assert "is not a tar.gz archive" in refused(run(page, home), home)


def test_an_archive_that_was_cut_short(archive: Path, home: Path) -> None:
    pack(archive, RELEASE | {"lib/netty.jar": os.urandom(50_000)})
    archive.write_bytes(archive.read_bytes()[:20_000])
    assert "is not a tar.gz archive" in refused(run(archive, home), home)


def test_a_release_that_is_too_old(archive: Path, home: Path) -> None:
    """3.7 has another logger, which the role does not set up."""
    pack(archive, {name: data for name, data in RELEASE.items() if "logback" not in name})
    assert "no lib/logback-classic-VERSION.jar: name a binary release, 3.8 or newer" in refused(
        run(archive, home), home
    )


def test_an_archive_of_sources(tmp_path: Path, home: Path) -> None:
    source = tmp_path / "apache-zookeeper-3.9.3.tar.gz"
    pack(source, {"pom.xml": b"<project/>"})
    assert "has no lib/zookeeper-VERSION.jar: name a binary release" in refused(run(source, home), home)


def test_a_name_that_leads_elsewhere_is_not_followed(tmp_path: Path, home: Path) -> None:
    evil = tmp_path / "evil.tar.gz"
    pack(evil, {"../../escaped": b"x", **RELEASE})
    run(evil, home)
    assert content(home) == RELEASE
    assert not list(tmp_path.rglob("escaped"))


def test_a_full_disk(archive: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module.shutil, "copyfileobj", full)
    assert f"no space in {home.parent} to unpack" in refused(run(archive, home), home)


def test_releases_nobody_uses_are_removed(archive: Path, home: Path) -> None:
    run(archive, home.with_name("unused"))
    for name in ("runs", "current-one"):
        shutil.copytree(home.with_name("unused"), home.with_name(name))
    (home.parent / "current").symlink_to("current-one")
    (home.parent / "mine").mkdir()  # not of our making
    module.STARTED_WITH.write_text(
        f"abc  /usr/share/java/zookeeper.jar\nabc  {home.parent}/runs/lib/zookeeper-3.9.3.jar\n"
    )
    assert run(archive, home)["removed"] == ["unused"]
    left = {path.name for path in home.parent.iterdir()}
    assert left == {"current", "current-one", "mine", "runs", home.name}


@pytest.fixture
def server(archive: Path) -> Iterator[str]:
    """The URL of a directory with the archive in it."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    def handler(*arguments: Any) -> Quiet:
        return Quiet(*arguments, directory=str(archive.parent))

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()


@pytest.mark.servers
def test_a_download(archive: Path, server: str, home: Path) -> None:
    checksum = hashlib.sha512(archive.read_bytes()).hexdigest()
    assert run(f"{server}/{archive.name}", home, f"{checksum.upper()}  {archive.name}")["changed"]
    assert content(home) == RELEASE


@pytest.mark.servers
def test_a_download_that_is_not_there(server: str, home: Path) -> None:
    said = refused(run(f"{server}/none.tar.gz", home), home)
    assert f"zookeeper_archive {server}/none.tar.gz: the server answers 404" in said


def test_a_server_that_is_not_there(home: Path) -> None:
    said = refused(run("http://127.0.0.1:9/none.tar.gz", home), home)
    assert "cannot be downloaded: " in said
    assert "on the controller" in said


@pytest.mark.servers
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf",
            "the connection was cut, 996 bytes before the end",
        ),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhalf", "IncompleteRead"),
        (b"", "closed connection without response"),
        (None, "timed out"),
    ],
)
def test_a_server_that_answers_oddly(
    answer: bytes | None, said: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer_once, args=(listener, answer))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/zk.tar.gz"
        message = refused(run(url, home), home)
        thread.join()
    assert f"zookeeper_archive {url} cannot be downloaded: " in message
    assert said in message
    assert "on the controller" in message


@pytest.mark.servers
def test_who_sends_a_byte_now_and_then(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DOWNLOAD_SECONDS", 1.0)
    with dripping("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n") as port:
        said = refused(run(f"http://127.0.0.1:{port}/zk.tar.gz", home), home)
    assert "cannot be downloaded: it took longer than 1 s. Make sure" in said
    assert signal.getsignal(signal.SIGALRM) == signal.SIG_DFL, "nothing is left of it"


@pytest.mark.servers
def test_an_archive_that_is_too_large(
    archive: Path, server: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = archive.stat().st_size
    monkeypatch.setattr(module, "MOST_BYTES", size - 1)
    said = refused(run(f"{server}/{archive.name}", home), home)
    assert f"zookeeper_archive {server}/{archive.name} is larger than 0 MB, which no release is" in said
    monkeypatch.setattr(module, "MOST_BYTES", size)
    run(f"{server}/{archive.name}", home, hashlib.sha512(archive.read_bytes()).hexdigest())
    assert content(home) == RELEASE


def answer_once(listener: socket.socket, answer: bytes | None) -> None:
    with listener.accept()[0] as connection:
        connection.recv(65536)
        if answer is None:
            connection.settimeout(5)
            with contextlib.suppress(TimeoutError):
                connection.recv(1)  # the other hangs up
        else:
            connection.sendall(answer)


def test_settings_that_can_work(archive: Path) -> None:
    for checksum in (SUM, SUM.upper(), f"{SUM}  {archive.name}\n", f"{SUM} *{archive.name}"):
        assert action.problem(str(archive), checksum) is None
        assert action.problem(f"https://example.org/zk/{archive.name}", checksum) is None


@pytest.mark.parametrize(
    ("name", "checksum", "said"),
    [
        ("", SUM, "zookeeper_archive is not set"),
        ("ftp://example.org/zk.tar.gz", SUM, "use a URL (https:// or http://) or an absolute path"),
        ("zk.tar.gz", SUM, "use a URL (https:// or http://) or an absolute path"),
        ("https://secret@example.org/zk.tar.gz", SUM, "user name or password in its URL"),
        ("https://me:secret@example.org/zk.tar.gz", SUM, "user name or password in its URL"),
        ("https://example.org/", SUM, "ends in no name: it must be that of a .tar.gz or .tgz file"),
        ("https://example.org/zk.zip", SUM, "ends in zk.zip"),
        ("https://example.org/zk.tar.gz?mirror=1", SUM, "ends in zk.tar.gz?mirror=1"),
        ("https://example.org/z k.tar.gz", SUM, "ends in z k.tar.gz"),
        ("https://example.org/zk.tar.gz", "", "zookeeper_archive_checksum is not set: set it to"),
        ("https://example.org/zk.tar.gz", "abc", "which is in zk.tar.gz.sha512"),
        ("https://example.org/zk.tar.gz", f"{SUM}  zk-old.tar.gz", "is that of zk-old.tar.gz, but"),
    ],
)
def test_settings_that_cannot_work(name: str, checksum: str, said: str) -> None:
    problem = action.problem(name, checksum)
    assert said in problem
    assert "secret" not in problem
