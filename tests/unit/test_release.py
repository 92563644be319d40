"""Ending a dead process's session over the wire, against servers that behave and that do not."""

import contextlib
import os
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mwapp import release
from testbed.tls_files import Maker, pem, write
from testbed.waiting import LONGEST_WAIT

pytestmark = pytest.mark.servers

SESSION, PASSWORD = -0x1234567890, bytes(range(16))


class FakeServer:
    """A ZooKeeper server that knows one session. ``behaviour`` gets each connection."""

    def __init__(self, behaviour: Callable[["FakeServer", socket.socket], None]) -> None:
        self.alive = True
        self.asked = 0
        self.hellos: list[tuple[int, bytes]] = []
        self._behaviour = behaviour
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address: tuple[str, int] = self._socket.getsockname()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.asked += 1
            with connection:
                self._behaviour(self, connection)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


def receive(connection: socket.socket) -> bytes:
    with connection.makefile("rb") as file:
        head = file.read(4)
        return file.read(struct.unpack(">i", head)[0]) if head else b""


def proper(server: FakeServer, connection: socket.socket) -> None:
    """Does what ZooKeeper does."""
    _, _, timeout, session, size = struct.unpack_from(">iqiqi", hello := receive(connection))
    assert timeout == 0, "an attempt that comes to nothing would prolong the session"
    server.hellos.append((session, hello[28 : 28 + size]))
    known = server.alive and (session, hello[28 : 28 + size]) == (SESSION, PASSWORD)
    granted = 6000 if known else 0
    answer = struct.pack(">iiqi", 0, granted, session, 16) + bytes(16) + b"\0"
    connection.sendall(struct.pack(">i", len(answer)) + answer)
    if known:
        assert receive(connection) == struct.pack(">ii", 1, -11)
        server.alive = False
        connection.sendall(struct.pack(">iiqi", 16, 1, 99, 0))


def mute(_server: FakeServer, connection: socket.socket) -> None:
    """Accepts and never answers: frozen."""
    connection.recv(1000)
    connection.recv(1000)


def not_serving(_server: FakeServer, _connection: socket.socket) -> None:
    """Hangs up, as a server without quorum does."""


def reads_and_hangs_up(_server: FakeServer, connection: socket.socket) -> None:
    receive(connection)


def talks_http(_server: FakeServer, connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def answers_short(_server: FakeServer, connection: socket.socket) -> None:
    """Eight bytes would do for a time-out, and these do for nothing."""
    receive(connection)
    connection.sendall(struct.pack(">i", 8) + bytes(7))


def closes_short(_server: FakeServer, connection: socket.socket) -> None:
    """Its answer to the request to close it has no place for an error."""
    accepts(connection)
    connection.sendall(struct.pack(">iiq", 12, 1, 99))


def refuses_to_close(_server: FakeServer, connection: socket.socket) -> None:
    """It has too much to do."""
    accepts(connection)
    connection.sendall(struct.pack(">iiqi", 16, 1, 99, -127))


def ends_it_first(_server: FakeServer, connection: socket.socket) -> None:
    """The session's time is over when it is to be closed."""
    accepts(connection)
    connection.sendall(struct.pack(">iiqi", 16, 1, 99, -112))


def accepts(connection: socket.socket) -> None:
    """Take the session over, and read the request to close it."""
    receive(connection)
    answer = struct.pack(">iiqi", 0, 6000, SESSION, 16) + bytes(16) + b"\0"
    connection.sendall(struct.pack(">i", len(answer)) + answer)
    receive(connection)


def hangs_up_on_close(server: FakeServer, connection: socket.socket) -> None:
    """Closes the session, but dies before it says so."""
    if server.alive:
        accepts(connection)
        server.alive = False
    else:
        proper(server, connection)


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[FakeServer, socket.socket], None]], FakeServer]]:
    servers: list[FakeServer] = []

    def make(behaviour: Callable[[FakeServer, socket.socket], None]) -> FakeServer:
        servers.append(FakeServer(behaviour))
        return servers[-1]

    yield make
    for server in servers:
        server.close()


Serve = Callable[[Callable[[FakeServer, socket.socket], None]], FakeServer]


def note(directory: Path, *servers: FakeServer) -> Path:
    release.note(str(directory), [server.address for server in servers], SESSION, PASSWORD)
    return directory / "session"


def test_session_is_closed(tmp_path: Path, serve: Serve) -> None:
    server = serve(proper)
    file = note(tmp_path, server)
    assert release.release(str(tmp_path)) == 0
    assert not server.alive
    assert not file.exists()
    assert server.hellos == [(SESSION, PASSWORD)]


def test_session_that_has_ended(tmp_path: Path, serve: Serve) -> None:
    server = serve(proper)
    server.alive = False
    file = note(tmp_path, server)
    assert release.release(str(tmp_path)) == 0
    assert not file.exists()


@pytest.mark.parametrize(
    "bad", [mute, not_serving, talks_http, answers_short, closes_short, refuses_to_close]
)
def test_the_next_server_is_tried(
    tmp_path: Path,
    serve: Serve,
    bad: Callable[[FakeServer, socket.socket], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(release, "RELEASE_SECONDS", LONGEST_WAIT)
    monkeypatch.setattr(release, "ANSWER_SECONDS", 3.0 if bad is mute else LONGEST_WAIT)
    good = serve(proper)
    note(tmp_path, serve(bad), good)
    assert release.release(str(tmp_path)) == 0
    assert not good.alive


def test_session_that_ends_just_then(tmp_path: Path, serve: Serve) -> None:
    other = serve(proper)
    note(tmp_path, serve(ends_it_first), other)
    assert release.release(str(tmp_path)) == 0
    assert not other.hellos, "there is nothing left to close"


def end(*servers: FakeServer) -> bool:
    """What is told of the end of the session."""
    return release.end_session([server.address for server in servers], SESSION, PASSWORD)


def test_only_what_the_ensemble_has_closed_for_us_is_told_to_be_closed(serve: Serve) -> None:
    """A leader that has lost the others also says "no such session", of what it alone has ended."""
    assert end(serve(proper))
    gone = serve(proper)
    gone.alive = False
    assert not end(gone)
    assert not end(serve(ends_it_first))
    assert end(serve(not_serving), serve(proper))
    once = serve(hangs_up_on_close)
    assert not end(once, once), "it was closed, and nobody has said so"


def test_lost_reply_to_close(tmp_path: Path, serve: Serve) -> None:
    server = serve(hangs_up_on_close)
    note(tmp_path, server, server)
    assert release.release(str(tmp_path)) == 0


def test_nobody_answers(
    tmp_path: Path, serve: Serve, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(release, "RELEASE_SECONDS", 0.5)
    servers = [serve(mute) for _ in range(5)]
    file = note(tmp_path, *servers)
    assert release.release(str(tmp_path)) == 3
    assert 1 <= sum(server.asked for server in servers) < 5, "each takes its time"
    assert file.exists(), "another try may succeed"
    message = capsys.readouterr().err
    assert "session 0xffffffedcba98770 not closed" in message, "as ZooKeeper writes it"
    assert PASSWORD.hex() not in message


def test_who_sends_a_byte_now_and_then_is_not_waited_for(
    tmp_path: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard_out = []

    def drips(_server: FakeServer, connection: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the other has hung up
            connection.sendall(struct.pack(">i", 1000))
            for _ in range(1000):
                connection.sendall(b"x")
                time.sleep(0.01)
            heard_out.append(True)

    monkeypatch.setattr(release, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(release, "RELEASE_SECONDS", LONGEST_WAIT)
    file = note(tmp_path, serve(drips))
    assert release.release(str(tmp_path)) == 3
    assert file.exists()
    assert not heard_out


def test_who_hangs_up_is_not_waited_for(
    tmp_path: Path, serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    note(tmp_path, serve(reads_and_hangs_up))
    assert release.release(str(tmp_path)) == 3
    assert capsys.readouterr().err.endswith(": the server is not serving\n")


def test_not_every_server_is_waited_for() -> None:
    """Three of them may take as long as a session lives; systemd waits for us meanwhile."""
    asked: list[tuple[bytes, int]] = []

    def connect(address: tuple[bytes, int], patience: float) -> socket.socket:
        asked.append(address)
        now[0] += patience
        raise TimeoutError("timed out")

    now = [0.0]
    with pytest.raises(OSError, match="zk0:1: timed out; zk1:1: timed out"):
        release.end_session([(f"zk{n}", 1) for n in range(9)], SESSION, PASSWORD, connect, lambda: now[0])
    assert [host for host, _ in asked] == [b"zk0", b"zk1", b"zk2", b"zk3"]
    assert now[0] == 4.0


def test_an_ipv6_address_is_told_in_brackets() -> None:
    def connect(*_: object) -> socket.socket:
        raise TimeoutError("timed out")

    with pytest.raises(OSError, match=r"^\[fd00::11\]:2181: timed out; zk2:2181: timed out$"):
        release.end_session([("fd00::11", 2181), ("zk2", 2181)], SESSION, PASSWORD, connect, lambda: 0.0)


def test_nobody_to_ask(tmp_path: Path) -> None:
    file = note(tmp_path)
    assert release.release(str(tmp_path)) == 3
    assert file.exists(), "it has not been closed"


def test_nothing_to_do(tmp_path: Path) -> None:
    assert release.release(str(tmp_path)) == 0
    assert release.release(str(tmp_path / "absent")) == 0


@pytest.mark.parametrize(
    "text", ["", "{}", "x\n00\nzk1 2181", "1\nxy\nzk1 2181", "1\n00\nzk1", "1\n00\nzk1 x", "\0"]
)
def test_unusable_file(tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "session").write_text(text)
    assert release.release(str(tmp_path)) == 2
    assert str(tmp_path / "session") in capsys.readouterr().err


def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        file = note(tmp_path)
        note(tmp_path)  # again, over what is there
    finally:
        os.umask(old)
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["session"]
    assert file.read_text().startswith(f"{SESSION}\n")


def test_forget(tmp_path: Path) -> None:
    note(tmp_path)
    release.forget(str(tmp_path))
    release.forget(str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.processes
def test_as_a_program(tmp_path: Path, serve: Serve) -> None:
    server = serve(proper)
    note(tmp_path, server)
    done = subprocess.run(
        [sys.executable, "-m", "mwapp.release", tmp_path], timeout=LONGEST_WAIT, check=False
    )
    assert done.returncode == 0
    assert not server.alive


@pytest.mark.processes
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_becomes_the_owner_of_the_directory(tmp_path: Path, serve: Serve) -> None:
    server = serve(proper)
    file = note(tmp_path, server)  # root's, 0600: whoever is not root cannot read it
    os.chown(tmp_path, 65534, 65534)
    command = [sys.executable, "-m", "mwapp.release", str(tmp_path)]
    assert subprocess.run(command, timeout=LONGEST_WAIT, check=False).returncode == 2
    os.chown(file, 65534, 65534)
    assert subprocess.run(command, timeout=LONGEST_WAIT, check=False).returncode == 0
    assert not server.alive
    assert not file.exists()


@pytest.mark.processes
@pytest.mark.parametrize("arguments", [[], ["a", "b"], ["--help"]])
def test_wrong_usage(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mwapp.release", *arguments],
        capture_output=True,
        timeout=LONGEST_WAIT,
        check=False,
    )
    assert done.returncode == 2
    assert b"usage:" in done.stderr


@pytest.mark.processes
def test_it_imports_next_to_nothing(tmp_path: Path) -> None:
    """It runs between a death and the take-over: every module counts."""
    code = "import runpy, sys; sys.path.insert(0, sys.argv.pop())\n"
    code += "try: runpy.run_module('mwapp.release', run_name='__main__')\n"
    code += "except SystemExit: print(*sys.modules)"
    root = Path(release.__file__).parents[1]
    done = subprocess.run(  # -S: what this interpreter's site-packages import by themselves is not ours
        [sys.executable, "-I", "-S", "-c", code, tmp_path, root],
        capture_output=True,
        text=True,
        timeout=LONGEST_WAIT,
        check=True,
    )
    heavy = {
        "json",
        "re",
        "kazoo",
        "click",
        "logging",
        "threading",
        "pathlib",
        "subprocess",
        "asyncio",
        "mwapp.core",
    }
    assert not heavy & set(done.stdout.split())


# ---------------------------------------------------------------- TLS


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str, ssl.SSLContext]:
    """The files of a client, and what a server of the same CA wants."""
    maker = Maker()
    ca, own = write(tmp_path / "ca.pem", pem(maker.certificate)), write(tmp_path / "me.pem", maker.pair("me"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(write(tmp_path / "zk.pem", maker.pair("zk", ("127.0.0.1",))))
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_REQUIRED
    return str(ca), str(own), context


def released(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mwapp.release", str(directory), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.processes
def test_a_session_is_closed_with_tls(tmp_path: Path, files: tuple[str, str, ssl.SSLContext]) -> None:
    ca, own, context = files

    def secured(server: FakeServer, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as channel:
            proper(server, channel)

    server = FakeServer(secured)
    state = tmp_path / "state"
    state.mkdir()
    release.note(str(state), [server.address], SESSION, PASSWORD)
    without = released(state)
    assert without.returncode == 3
    assert server.alive
    done = released(state, ca, own)
    assert (done.returncode, done.stderr) == (0, "")
    assert not server.alive
    assert not (state / "session").exists()
    server.close()


@pytest.mark.processes
def test_files_for_tls_that_cannot_be_used(tmp_path: Path) -> None:
    """They are looked at only if there is a session to end."""
    assert released(tmp_path, "/gone/ca.pem", "/gone/me.pem").returncode == 0
    release.note(str(tmp_path), [("127.0.0.1", 1)], SESSION, PASSWORD)
    done = released(tmp_path, "/gone/ca.pem", "/gone/me.pem")
    assert done.returncode == 2
    assert "mwapp release: cannot use /gone/ca.pem or /gone/me.pem: No such file" in done.stderr
    assert released(tmp_path, "/gone/ca.pem").returncode == 2
