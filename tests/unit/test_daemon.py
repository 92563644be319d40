"""What a daemon owes its surroundings: its state directory, systemd, its log."""

import json
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mwapp import logs
from mwapp.daemon.service import StateDirectory
from mwapp.daemon.systemd import Notifier
from mwapp.errors import BadInputError, MwappError, UnreachableError
from mwapp.zookeeper.client import Up
from mwapp.zookeeper.connect_string import Servers, parse_address, show

UP = Up(5, b"password", 6.0, ("zk2", 2181))


# ---------------------------------------------------------------- state directory


SERVERS = Servers.parse("zk1,zk2")


def test_session_is_kept_while_it_lives(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path / "new", SERVERS)
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    state.note(SERVERS, UP)
    _, _, *servers = (tmp_path / "new/session").read_text().splitlines()
    assert servers == ["zk2 2181", "zk1 2181"], "first the one it is on"
    state.end(closed=True)
    assert not (tmp_path / "new/session").exists()


def test_it_remembers_the_sessions_of_processes_that_were_told_to_stop(tmp_path: Path) -> None:
    for number in range(3):
        state = StateDirectory(tmp_path, SERVERS)
        assert state.ended == tuple(range(2 * number))
        state.note_end([2 * number, 2 * number + 1])
        os.close(state._lock)
    state.note_end(range(100, 130))
    os.close((state := StateDirectory(tmp_path, SERVERS))._lock)
    assert state.ended == tuple(range(110, 130)), "the last ones"
    (tmp_path / "ended").write_text("1 2 thr")
    assert StateDirectory(tmp_path, SERVERS).ended == ()


def test_two_processes_cannot_share_it(tmp_path: Path) -> None:
    first = StateDirectory(tmp_path, SERVERS)
    with pytest.raises(BadInputError, match=r"--state-dir: another process uses"):
        StateDirectory(tmp_path, SERVERS)
    del first


def test_it_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInputError, match="--state-dir"):
        StateDirectory(tmp_path / "file", SERVERS)


def test_a_full_disk_does_not_stop_the_daemon(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = StateDirectory(tmp_path / "gone", SERVERS)
    (tmp_path / "gone/lock").unlink()
    (tmp_path / "gone").rmdir()
    with caplog.at_level(logging.ERROR, logger="mwapp.daemon.service"):
        logging.getLogger("mwapp").propagate = True
        state.note(Servers.parse("zk1"), UP)
        state.note_end([5])
    assert "take-over will be slow" in caplog.text
    assert "cannot note in" in caplog.text


# ---------------------------------------------------------------- systemd


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listener


def test_notification(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "10000000")
    monkeypatch.setenv("WATCHDOG_PID", str(os.getpid()))
    notifier = Notifier()
    notifier.send(READY=1, STATUS="all well")
    assert manager.recv(1000) == b"READY=1\nSTATUS=all well"
    assert notifier.watchdog == 10.0
    assert "NOTIFY_SOCKET" not in os.environ, "what it starts must not speak in its name"
    notifier.close()


def test_a_manager_whose_address_is_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0mwapp-test-{os.getpid()}")
        listener.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", f"@mwapp-test-{os.getpid()}")
        notifier = Notifier()
        assert notifier.send(READY=1)
        assert listener.recv(1000) == b"READY=1"
        notifier.close()


def test_somebody_else_s_watchdog(manager: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "10000000")
    monkeypatch.setenv("WATCHDOG_PID", "1")
    notifier = Notifier()
    assert notifier.watchdog is None
    notifier.close()
    assert manager


def test_without_systemd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert Notifier().send(READY=1), "there is nobody to tell it again"


def test_a_manager_that_does_not_listen(manager: socket.socket) -> None:
    notifier = Notifier()
    manager.close()
    assert not notifier.send(WATCHDOG=1)
    notifier.close()


def test_a_manager_that_is_behind_is_told_later(manager: socket.socket) -> None:
    notifier = Notifier()
    limit = int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text()) + 2
    assert not all(notifier.send(WATCHDOG=1) for _ in range(limit))
    assert manager.recv(1000) == b"WATCHDOG=1"
    assert notifier.send(READY=1)
    notifier.close()


# ---------------------------------------------------------------- log


@pytest.fixture
def _own_logger() -> Iterator[None]:
    logger = logging.getLogger("mwapp")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.level, logger.propagate = before


@pytest.mark.usefixtures("_own_logger")
def test_log_formats(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    log = logging.getLogger("mwapp.core.election")
    logs.configure("info", "text")
    log.info("active: epoch %d", 3)
    log.debug("hidden")
    line = capsys.readouterr().err
    assert line.endswith("Z info    election: active: epoch 3\n")
    logs.configure("debug", "json")
    log.debug("seen")
    entry = json.loads(capsys.readouterr().err)
    assert (entry["level"], entry["module"], entry["message"]) == ("debug", "election", "seen")
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    logs.configure("info", "text")
    try:
        raise ValueError("why")
    except ValueError:
        log.exception("bad")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "<3>election: bad"
    assert all(line.startswith("<3>") for line in lines), "every line has its priority"


# ---------------------------------------------------------------- connect strings, errors


def test_connect_string() -> None:
    servers = Servers.parse(" zk1, zk2:3181 ,[::1]:2182/app/one/ ")
    assert servers.addresses == (("zk1", 2181), ("zk2", 3181), ("::1", 2182))
    assert servers.chroot == "/app/one"
    assert servers.parents == ("/app", "/app/one")
    assert str(servers) == "zk1:2181,zk2:3181,[::1]:2182/app/one"
    assert Servers.parse("zk1/").chroot == ""
    assert Servers.parse("zk1").parents == ()
    for odd in ("/café", "/a b", "/\xa0x", "/\ud7ff", "/\uf900", "/\uffef"):
        assert Servers.parse(f"zk1{odd}").chroot == odd


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "zk1,",
        "zk1:0",
        "zk1:70000",
        "zk1:x",
        "a b",
        "zk1//a",
        "zk1/a/../b",
        "zk1/./a",
        "/app",
        "zk1/a/..",
        "zk1/./",
        # Servers refuse to look for these each time, or they cannot be sent: a command would ask for ever.
        "zk1/\udcff",
        "zk1/a\udc80b/c",
        "zk1/a\0b",
        "zk1/a\x1fb",
        "zk1/a\x7fb",
        "zk1/a\x9fb",
        "zk1/\ue000",
        "zk1/\ufff0",
        "zk1/\uffff",
        "zk1/\U0001f600",
    ],
)
def test_bad_connect_string(text: str) -> None:
    with pytest.raises(BadInputError, match=r"^--connect: .*write for example"):
        Servers.parse(text)


def test_address() -> None:
    assert parse_address("mw1:2223", "--listen") == ("mw1", 2223)
    assert show(parse_address("[::]:0", "--listen")) == "[::]:0"
    with pytest.raises(BadInputError, match=r"^--listen"):
        parse_address("2223", "--listen")


def test_a_problem_speaks_for_itself() -> None:
    assert str(UnreachableError()) == "The ensemble cannot be reached."
    codes = [kind.exit_code for kind in MwappError.__subclasses__()]
    assert len(set(codes)) == len(codes), "every kind of problem has its own exit status"
