"""The status endpoint with TLS: who speaks it is answered, who does not holds nobody up."""

import http.client
import logging
import math
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest

from mwapp.certificates import Names, serving, trusting
from mwapp.daemon import endpoint
from mwapp.daemon.endpoint import MOST_REQUESTS, REQUEST_TIME, Endpoint
from mwapp.daemon.snapshot import Snapshot
from mwapp.within import Within
from mwapp.zookeeper.tls import HUNG_UP
from testbed.tls_files import Maker, pem, write
from testbed.waiting import LONGEST_WAIT
from tests.unit.test_endpoint import MANY, many_files, picture

pytestmark = pytest.mark.servers

__all__ = ["many_files"]
HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"  # how a ClientHello of 512 bytes begins


@dataclass
class There:
    """An endpoint, and who may ask it."""

    endpoint: Endpoint
    trusting: ssl.SSLContext
    snapshot: Snapshot

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.endpoint.port), LONGEST_WAIT)

    def secured(self) -> ssl.SSLSocket:
        return self.trusting.wrap_socket(self.connect(), server_hostname="127.0.0.1")

    def get(self, path: str) -> tuple[int, str]:
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.endpoint.port, timeout=LONGEST_WAIT, context=self.trusting
        )
        with closing(connection):
            connection.request("GET", path)
            response = connection.getresponse()
            return response.status, response.read().decode()


@pytest.fixture(scope="module")
def shared_one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[There]:
    top, maker = tmp_path_factory.mktemp("tls"), Maker()
    ca = str(write(top / "ca.pem", pem(maker.certificate)))
    cert = str(write(top / "me.pem", maker.pair("me", ("127.0.0.1",))))
    tls = serving(cert, None, Names(cert="--listen-cert"))
    snapshot: Callable[[], Snapshot] = lambda: its.snapshot  # noqa: E731 - its type is known before
    its = There(Endpoint(("127.0.0.1", 0), snapshot, tls), trusting(ca, "--status-ca"), picture())
    yield its
    its.endpoint.close()


@pytest.fixture
def there(shared_one: There) -> There:
    # It takes a while where there is much to do.
    shared_one.snapshot = replace(picture(), turned=math.inf)
    return shared_one


def test_who_speaks_tls_is_answered_and_needs_no_certificate(there: There) -> None:
    assert there.get("/ready") == (200, "ok\n")
    status, text = there.get("/metrics")
    assert status == 200
    assert text.endswith("\n")
    assert there.get("/x")[0] == 404


def test_what_is_older_than_1_2_is_not_spoken(there: There) -> None:
    context = there.endpoint._server.tls
    assert context is not None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.verify_mode is ssl.CERT_NONE
    with closing(there.secured()) as connection:
        assert connection.version() == "TLSv1.3"


def test_a_plain_request_is_hung_up_on_and_nothing_is_logged(
    there: There, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        for said in (b"GET /ready HTTP/1.0\r\n\r\n", b"\x00" * 100, b""):
            with closing(there.connect()) as connection, suppress(OSError):
                connection.sendall(said)
                connection.shutdown(socket.SHUT_WR)
                assert b"HTTP" not in connection.recv(100), "not one that could be taken for an answer"
        assert there.get("/ready")[0] == 200
    assert caplog.records == []


def test_without_tls_who_begins_with_it_is_hung_up_on_at_once(
    there: There, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint._Handler, "timeout", 2 * LONGEST_WAIT)
    plain = Endpoint(("127.0.0.1", 0), picture)
    try:
        connection = socket.create_connection(("127.0.0.1", plain.port), LONGEST_WAIT)
        with closing(connection), pytest.raises(HUNG_UP):
            there.trusting.wrap_socket(connection, server_hostname="127.0.0.1")
    finally:
        plain.close()


def _drip(connection: socket.socket) -> None:
    """Until it is closed."""
    end = time.monotonic() + 20
    with suppress(OSError):
        connection.settimeout(0.05)
        while time.monotonic() < end:
            connection.sendall(b"x")
            with suppress(TimeoutError):
                if not connection.recv(1):
                    break
    assert time.monotonic() < end, "nobody has hung up"


def _half_a_hello(there: There) -> socket.socket:
    connection = there.connect()
    connection.sendall(HELLO)
    return connection


SILENT: dict[str, Callable[[There], socket.socket]] = {
    "at once": There.connect,
    "amid the handshake": _half_a_hello,
    "after the handshake": There.secured,
}
SECONDS = {"after the handshake": 2.0}  # it is to be done within them, too


@pytest.mark.parametrize("when", SILENT)
def test_who_sends_a_byte_now_and_then_does_not_keep_a_place(
    there: There, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint._Handler, "timeout", SECONDS.get(when, 0.4))
    with closing(SILENT[when](there)) as connection:
        _drip(connection)


@pytest.mark.parametrize("when", SILENT)
def test_who_says_nothing_does_not_keep_a_place(
    there: There, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint._Handler, "timeout", SECONDS.get(when, 0.4))
    with closing(SILENT[when](there)) as connection, suppress(ConnectionError, ssl.SSLEOFError):
        assert connection.recv(1) == b""


def test_the_handshake_is_within_the_time_for_the_request(
    there: There, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    shake = ssl.SSLSocket.do_handshake

    def begin(connection: socket.socket, seconds: float) -> Within:
        order.append("the time begins")
        return Within(connection, seconds)

    def handshake(its: ssl.SSLSocket, *arguments: bool) -> None:
        if its.server_side:
            order.append(f"handshake, {its.gettimeout():g} s in all")
        shake(its, *arguments)

    monkeypatch.setattr(endpoint, "Within", begin)
    monkeypatch.setattr(ssl.SSLSocket, "do_handshake", handshake)
    assert there.get("/ready")[0] == 200
    assert order == ["the time begins", f"handshake, {REQUEST_TIME:g} s in all"]


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize(("when", "many"), list(zip(SILENT, (MANY, 100, 40), strict=True)))
def test_a_thousand_connections_that_say_nothing_keep_nobody_out(there: There, when: str, many: int) -> None:
    with ExitStack() as held:
        for _ in range(many):
            held.enter_context(closing(SILENT[when](there)))
        assert [there.get("/ready") for _ in range(2 * MOST_REQUESTS)] == [(200, "ok\n")] * 2 * MOST_REQUESTS


def test_nobody_else_waits_for_a_handshake(there: There) -> None:
    """It is the thread's of the request, not that of all connections."""
    names = []
    with closing(_half_a_hello(there)):
        assert there.get("/ready")[0] == 200
        names = [thread.name for thread in threading.enumerate()]
    assert any("process_request_thread" in name for name in names)


def test_an_answer_has_a_time_in_all() -> None:
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        answer = endpoint._Answer(ours, LONGEST_WAIT)
        assert answer.writable()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        read: list[bytes] = []
        reader = threading.Thread(target=lambda: read.extend(iter(lambda: theirs.recv(4096), b"")))
        reader.start()
        assert answer.write(b"x" * 100_000) == 100_000
        ours.shutdown(socket.SHUT_WR)
        reader.join()
        assert b"".join(read) == b"x" * 100_000
        answer._end = time.monotonic()
        with pytest.raises(TimeoutError):
            answer.write(b"x")


def test_who_reads_nothing_of_its_answer_holds_its_place_no_longer() -> None:
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs), pytest.raises(TimeoutError):
        endpoint._Answer(ours, 0.05).write(b"x" * 10_000_000)


def test_a_connection_that_is_gone_before_it_is_secured_stops_nothing(
    there: There, monkeypatch: pytest.MonkeyPatch
) -> None:
    secure = ssl.SSLContext.wrap_socket
    failed: list[socket.socket] = []

    def once(context: ssl.SSLContext, its: socket.socket, **how: Any) -> ssl.SSLSocket:
        if how.get("server_side") and not failed:
            failed.append(its)
            raise ConnectionResetError
        return secure(context, its, **how)

    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", once)
    with closing(there.connect()) as connection, suppress(ConnectionError):
        assert connection.recv(1) == b""
    assert there.get("/ready")[0] == 200
    assert failed[0].fileno() == -1, "it is closed"
