"""TLS of mwapp: which files are refused, and what a connection does that is not like plain TCP."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from mwapp.certificates import Names, serving, subject, validity
from mwapp.errors import BadInputError
from mwapp.loop import silent
from mwapp.zookeeper.connect_string import Servers
from mwapp.zookeeper.connection import KazooHandler
from mwapp.zookeeper.machine import REAL, Machine
from mwapp.zookeeper.tls import MOST_HANG_UPS, Tls, TlsRefusedError
from testbed.tls_files import DAY, Maker, pem, pem_key, without_version, write

pytestmark = pytest.mark.servers

RECORD = 16384  # the most that a record of TLS has


class Files:
    """A CA, a client's pair and a server's, in one directory."""

    def __init__(self, top: Path) -> None:
        self.top, self.maker = top, Maker()
        self.ca = str(write(top / "ca.pem", pem(self.maker.certificate)))
        self.cert = self.write("me.pem", self.maker.pair("me"))

    def write(self, name: str, content: bytes) -> str:
        return str(write(self.top / name, content))

    def for_all(self, name: str, content: bytes) -> str:
        return str(write(self.top / name, content, 0o644))

    def tls(self) -> Tls:
        return Tls(self.ca, self.cert)

    def server(self, pair: bytes | None = None, newest: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        """What a ZooKeeper server is: it wants a certificate of the same CA."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(
            self.write("zk.pem", pair or self.maker.pair("zk", ("127.0.0.1", "localhost")))
        )
        context.load_verify_locations(self.ca)
        context.verify_mode = ssl.CERT_REQUIRED
        if newest is not None:
            context.maximum_version = newest
        return context


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


# ---------------------------------------------------------------- files


def _split(files: Files) -> tuple[str, str]:
    key, leaf = files.maker.leaf("me")
    return files.write("leaf.pem", pem(leaf)), files.write("key.pem", pem_key(key))


def test_whose_a_certificate_is_as_zookeeper_says_it(files: Files) -> None:
    assert files.tls().subject == "CN=me"
    names = [(NameOID.COMMON_NAME, "a"), (NameOID.ORGANIZATION_NAME, "b")]
    for some, said in ((names[:1], "CN=a"), (names[1:], None), (names, None), (names[::-1], None)):
        name = x509.Name([x509.NameAttribute(*pair) for pair in some])
        made = files.maker._builder(name, name, files.maker.key, -DAY, DAY).sign(files.maker.key, SHA256())
        assert subject(pem(made).decode()) == said


def test_a_key_may_be_in_a_file_of_its_own(files: Files) -> None:
    cert, key = _split(files)
    Tls(files.ca, cert, key)


def test_a_group_may_read_a_key_and_everybody_a_certificate(files: Files) -> None:
    cert, key = _split(files)
    Path(key).chmod(0o640)
    Path(cert).chmod(0o644)
    Tls(files.ca, cert, key)


def _backwards(files: Files) -> bytes:
    below = Maker("below", signed_by=files.maker)
    key, leaf = below.leaf("me")
    return pem_key(key) + pem(below.certificate) + pem(leaf)


BAD: dict[str, tuple[Callable[[Files], tuple[Any, ...]], str]] = {
    "no CA": (lambda f: ("/gone/ca.pem", f.cert), "--tls-ca: cannot read /gone/ca.pem: No such file"),
    "CA is no PEM": (lambda f: (f.write("x", b"?"), f.cert), "--tls-ca: .*/x has no certificate in PEM"),
    "CA is damaged": (
        lambda f: (f.write("x", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), f.cert),
        "--tls-ca: .*/x: a certificate in it is damaged",
    ),
    "no certificate": (lambda f: (f.ca, "/gone/me.pem"), "--tls-cert: cannot read /gone/me.pem"),
    "only a key": (lambda f: (f.ca, _split(f)[1]), "--tls-cert: .*/key.pem has no certificate in PEM"),
    "no key": (lambda f: (f.ca, _split(f)[0]), "--tls-cert: .*leaf.pem has no private key.* --tls-key"),
    "no key there": (lambda f: (f.ca, _split(f)[0], "/gone/k"), "--tls-key: cannot read /gone/k"),
    "another key": (
        lambda f: (f.ca, _split(f)[0], f.write("k", pem_key(Maker().key))),
        "--tls-key: .*/k: the key is not that of the certificate",
    ),
    "backwards": (
        lambda f: (f.ca, f.write("x", _backwards(f))),
        "--tls-cert: .*/x: the chain is in the wrong order: put the certificate of the key first",
    ),
    "another key, and a chain": (
        lambda f: (f.ca, f.write("x", _backwards(f)), f.write("k", pem_key(Maker().key))),
        "--tls-key: .*/k: the key is not that of the certificate",
    ),
    "for everybody": (
        lambda f: (f.ca, f.for_all("x", f.maker.pair("me"))),
        r"--tls-cert: .*/x has a key, and everybody on this host can read .* \(mode 0644\): chmod 600",
    ),
    "its own file for everybody": (
        lambda f: (f.ca, _split(f)[0], f.for_all("k", pem_key(Maker().key))),
        "--tls-key: .*/k has a key, and everybody on this host can read",
    ),
    "protected": (
        lambda f: (f.ca, _split(f)[0], f.write("k", pem_key(Maker().key, password=b"x"))),
        "--tls-key: .*/k: the key is protected by a password: decrypt it",
    ),
    "expired": (
        lambda f: (f.ca, f.write("x", f.maker.pair("me", begins=-9 * DAY, ends=-DAY))),
        "--tls-cert: .*/x: the certificate expired on 20..-..-..: have it renewed",
    ),
    "not yet": (
        lambda f: (f.ca, f.write("x", f.maker.pair("me", begins=DAY))),
        "--tls-cert: .*/x: the certificate is not valid before .* correct the clock",
    ),
    "damaged": (
        lambda f: (
            f.ca,
            f.write(
                "x", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n" + pem_key(Maker().key)
            ),
        ),
        "--tls-cert: .*/x: it is damaged",
    ),
}


@pytest.mark.parametrize("kind", ["another key", "backwards", "another key, and a chain"])
def test_a_key_of_another_is_told_where_there_are_no_temporary_files(
    files: Files, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, _ = BAD[kind]
    none = Mock(side_effect=FileNotFoundError(2, "No usable temporary directory found"))
    monkeypatch.setattr("tempfile.NamedTemporaryFile", none)
    with pytest.raises(BadInputError, match=r": the key is not that of the certificate$"):
        Tls(*make(files))
    assert none.called == (kind != "another key")


@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_cannot_be_used_is_named_with_its_setting(files: Files, kind: str) -> None:
    make, message = BAD[kind]
    with pytest.raises(BadInputError, match=f"^{message}"):
        Tls(*make(files))


OF_SERVERS = sorted(BAD.keys() - {"no CA", "CA is no PEM", "CA is damaged"})


@pytest.mark.parametrize("kind", OF_SERVERS)
def test_who_listens_with_tls_judges_its_files_in_the_same_way(files: Files, kind: str) -> None:
    make, message = BAD[kind]
    with pytest.raises(BadInputError, match=f"^{message.replace('--tls-', '--listen-')}"):
        serving(make(files)[1], (*make(files), None)[2], Names(cert="--listen-cert", key="--listen-key"))


def test_when_the_certificate_ends_that_is_listened_with(files: Files) -> None:
    names = Names(cert="--listen-cert", key="--listen-key")
    assert serving(files.cert, None, names).ends == files.tls().ends
    assert serving(*_split(files), names).ends == files.tls().ends


@pytest.mark.parametrize("version", [x509.Version.v3, x509.Version.v1])
@pytest.mark.parametrize("ends", [400 * DAY, 40000 * DAY])
def test_when_a_certificate_is_valid(version: x509.Version, ends: Any) -> None:
    """As another library reads it: with two digits of the year, with four, and without a version."""
    certificate = Maker(ends=ends).certificate
    text = pem(certificate).decode()
    if version is x509.Version.v1:
        der = certificate.public_bytes(serialization.Encoding.DER)
        text = ssl.DER_cert_to_PEM_cert(without_version(der))
    assert validity(text) == (certificate.not_valid_before_utc, certificate.not_valid_after_utc)


@pytest.mark.parametrize("text", ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
def test_what_is_no_certificate_has_no_validity(text: str) -> None:
    with pytest.raises((ValueError, IndexError)):
        validity(text)


# ---------------------------------------------------------------- connections


class Peer:
    """A server on loopback. ``serve`` is given each connection, after the handshake if there is one."""

    def __init__(self, context: ssl.SSLContext | None, serve: Callable[[Any], None]) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._context, self._serve = context, serve
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            connection.settimeout(10)
            with suppress(OSError), closing(connection):
                if self._context is not None:
                    connection = self._context.wrap_socket(connection, server_side=True)
                with closing(connection):
                    self._serve(connection)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()


Start = Callable[..., Peer]


@pytest.fixture
def start() -> Iterator[Start]:
    peers: list[Peer] = []

    def begin(context: ssl.SSLContext | None, serve: Callable[[Any], None] = lambda it: it.recv(1)) -> Peer:
        peers.append(Peer(context, serve))
        return peers[-1]

    yield begin
    for peer in peers:
        peer.close()


class Waits(Machine):
    """The real one, which notes how long it may wait."""

    longest: float | None = None

    def select(self, reads: list[Any], writes: list[Any], _errors: list[Any], timeout: float) -> Any:
        self.longest = timeout
        return super().select(reads, writes, _errors, timeout)


class Told:
    """kazoo's access to the machine, and what it is told of refusals."""

    def __init__(self, tls: Tls) -> None:
        self.refused: list[tuple[str, int, str]] = []
        self.machine = Waits()
        self.handler = KazooHandler(self.machine, tls, lambda *what: self.refused.append(what))

    def connect(self, peer: Peer, host: str = "127.0.0.1") -> Any:
        return self.handler.create_connection(address=("127.0.0.1", peer.port), hostname=host)

    def wait(self, connection: Any, seconds: float = 10.0) -> bool:
        return bool(self.handler.select([connection], [], [], seconds)[0])


def arrives(told: Told, connection: Any, size: int) -> bytes:
    """Exactly so many bytes, asked for as they come."""
    data = b""
    while len(data) < size and told.wait(connection):
        data += connection.recv(size - len(data)) or b""
    return data


def test_data_go_both_ways_and_the_name_is_noted(files: Files, start: Start) -> None:
    peer = start(files.server(), lambda it: it.sendall(it.recv(100).upper()))
    told = Told(files.tls())
    with closing(told.connect(peer, "localhost")) as connection:
        connection.setblocking(0)
        assert connection.send(b"hello") == 5
        assert arrives(told, connection, 5) == b"HELLO"
        assert told.handler.address == ("localhost", peer.port), "for whom its certificate is"
    assert told.refused == []


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_there_is_never_a_wait_for_what_is_here(files: Files, start: Start, newest: ssl.TLSVersion) -> None:
    """A record that was read in part is not in the socket any more, so poll() alone would wait."""
    peer = start(files.server(newest=newest), lambda it: (it.sendall(b"x" * 1000), it.recv(1)))
    told = Told(files.tls())
    with closing(told.connect(peer)) as connection:
        assert arrives(told, connection, 4) == b"xxxx"
        assert connection.held
        assert not REAL.select([connection], [], [], 0.0)[0]
        assert told.wait(connection, 0.5)
        assert told.machine.longest == 0.0
        assert connection.recv(10000) == b"x" * 996
        assert not connection.held
        assert not told.wait(connection, 0.0)
        assert connection.recv(1) is None, "it never waits"


def test_one_read_takes_all_records_that_are_here(files: Files, start: Start) -> None:
    sent = threading.Event()
    tell: Callable[[], object] = sent.set
    data = b"".join(bytes([number]) * RECORD for number in range(5))
    peer = start(files.server(), lambda it: (it.sendall(data), tell(), it.recv(1)))
    told = Told(files.tls())
    with closing(told.connect(peer)) as connection:
        assert sent.wait(10)
        assert told.wait(connection)
        assert len(connection.recv(3 * RECORD)) == 3 * RECORD
        assert arrives(told, connection, 2 * RECORD) == data[3 * RECORD :]


def test_what_comes_after_a_cut_is_not_read(files: Files, start: Start) -> None:
    peer = start(files.server(), lambda it: (it.sendall(b"x" * 1000), it.recv(1)))
    told = Told(files.tls())
    with closing(told.connect(peer)) as connection:
        assert arrives(told, connection, 4) == b"xxxx"
        told.handler.drop_connection()
        assert not connection.held
        assert told.wait(connection), "kazoo notices when it reads"
        assert connection.recv(10000) == b""


def test_an_end_is_an_end(files: Files, start: Start) -> None:
    peer = start(files.server(), lambda it: it.sendall(b"bye"))
    told = Told(files.tls())
    with closing(told.connect(peer)) as connection:
        assert arrives(told, connection, 3) == b"bye"
        assert told.wait(connection)
        assert connection.recv(1) == b""


SERVERS: dict[str, tuple[Callable[[Files], bytes], str, str]] = {
    "expired": (
        lambda f: f.maker.pair("zk", ("127.0.0.1",), begins=-9 * DAY, ends=-DAY),
        "127.0.0.1",
        "the server's certificate is refused: certificate has expired; it must be renewed, or a clock is "
        "wrong",
    ),
    "another host's": (
        lambda f: f.maker.pair("zk", ("127.0.0.1",)),
        "localhost",
        "the server's certificate is refused: Hostname mismatch, certificate is not valid for 'localhost'; "
        "connect by a name or address that is in it",
    ),
    "another CA's": (
        lambda _: Maker("other").pair("zk", ("127.0.0.1",)),
        "127.0.0.1",
        "the server's certificate is refused: unable to get local issuer certificate; {ca} (--tls-ca) must "
        "have "
        "the CA of the servers' certificates",
    ),
}


@pytest.mark.parametrize("kind", SERVERS)
def test_a_server_that_is_not_what_it_should_be_is_refused(files: Files, start: Start, kind: str) -> None:
    make, host, words = SERVERS[kind]
    peer = start(files.server(make(files)))
    told = Told(files.tls())
    with pytest.raises(TlsRefusedError):
        told.connect(peer, host)
    assert told.refused == [(host, peer.port, words.format(ca=files.ca))]


def test_no_ca_of_this_machine_is_trusted(files: Files) -> None:
    assert len(files.tls().context.get_ca_certs()) == 1


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_server_that_refuses_us_says_so(files: Files, start: Start, newest: ssl.TLSVersion) -> None:
    """In the handshake, or with TLS 1.3 after it."""
    server = files.server(newest=newest)
    files.cert = files.write("other.pem", Maker("other").pair("me"))
    told = Told(files.tls())
    with pytest.raises(TlsRefusedError), closing(told.connect(start(server))) as connection:
        arrives(told, connection, 1)
    ((_, _, why),) = told.refused
    assert why.startswith(f"the server refuses the certificate in {files.cert} (--tls-cert): ")
    assert why.endswith("it must be from the CA that the servers trust for clients, and not expired")


def test_a_port_without_tls_is_not_tried_for_ever(files: Files, start: Start) -> None:
    """Once may be chance: a server that is being restarted hangs up, too."""
    peer = start(None, lambda it: it.recv(4))
    told = Told(files.tls())
    for _ in range(MOST_HANG_UPS):
        assert told.refused == []
        with pytest.raises(OSError):  # noqa: PT011 - of which kind depends on how much was read
            told.connect(peer)
    assert told.refused[0][2].startswith(
        "no TLS is possible there: the server hangs up; give the servers' port"
    )
    other = start(None, lambda it: it.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    with pytest.raises(TlsRefusedError, match="no TLS is possible there: wrong version number"):
        told.connect(other)


def test_who_speaks_no_tls_is_told_that_it_is_wanted(files: Files, start: Start) -> None:
    for newest in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        servers = Servers.parse(f"127.0.0.1:{start(files.server(newest=newest)).port}")
        assert "the servers want TLS: give the CA (--tls-ca" in silent("--connect", servers, 1)
    for plain in (start(None, lambda it: it.recv(4)).port, 1):
        assert "has not answered for 1 s" in silent("--connect", Servers.parse(f"127.0.0.1:{plain}"), 1)


def test_a_handshake_takes_no_longer_than_it_may(files: Files, start: Start) -> None:
    peer = start(None, lambda it: it.recv(100000) and it.recv(100000))
    told = Told(files.tls())
    told.handler.patience = 0.1
    with pytest.raises(TimeoutError):
        told.connect(peer)
    assert told.refused == []


def test_a_session_is_closed_with_tls(files: Files, start: Start) -> None:
    """What release and the closing of sessions that were given up connect with; the host may be bytes."""
    peer = start(files.server(), lambda it: it.sendall(b"hi"))
    for host in ("127.0.0.1", b"127.0.0.1"):
        with files.tls().connect()((host, peer.port), 5.0) as connection:
            assert connection.recv(10) == b"hi"
    strange = start(files.server(Maker("other").pair("zk", ("127.0.0.1",))))
    with pytest.raises(TlsRefusedError, match="certificate is refused"):
        files.tls().connect(REAL.connect)(("127.0.0.1", strange.port), 5.0)
