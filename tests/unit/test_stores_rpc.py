"""The messages of the example stores: what is sent arrives, and what is no message ends the connection."""

import errno
import socket
from collections.abc import Iterator

import pytest
from stores.rpc import LONGEST_LINE, MOST_BYTES, Connection, Message, RefusedError, Server, call

pytestmark = pytest.mark.servers


def _handle(request: Message) -> Message:
    if request.fields["do"] == "refuse":
        raise RefusedError("not here")
    if request.fields["do"] == "long":
        return Message({}, bytes(MOST_BYTES + 1))
    return Message({"got": request.fields}, request.body[::-1])


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    server = Server(_handle)
    yield server
    server.close()


def test_a_request_and_its_reply(server: Server) -> None:
    reply = call(server.address, {"do": "put", "key": "ä\n"}, b"a\nb\0c")
    assert reply == Message({"got": {"do": "put", "key": "ä\n"}}, b"c\0b\na")


def test_a_refusal_says_why(server: Server) -> None:
    with pytest.raises(RefusedError, match="not here"):
        call(server.address, {"do": "refuse"})


def test_who_listens_no_more_is_no_answer() -> None:
    server = Server(_handle)
    server.close()
    with pytest.raises(ConnectionRefusedError):
        call(server.address, {"do": "put"})


@pytest.mark.parametrize(
    "sent", [b"x\n", b"{}\n", b'{"bytes": -1}\n', b'{"bytes": 99999999}\n', b'{"bytes": "1"}\n', b"[1]\n"]
)
def test_what_is_no_message_ends_the_connection(server: Server, sent: bytes) -> None:
    host, port = server.address.split(":")
    with socket.create_connection((host, int(port)), 5) as connection:
        connection.sendall(sent)
        assert connection.recv(100) == b""


def test_an_error_of_who_answers_is_told_and_not_taken_for_one_of_the_network(
    capfd: pytest.CaptureFixture[str],
) -> None:
    def full(_: Message) -> Message:
        raise OSError(errno.ENOSPC, "the disk is full")

    server = Server(full)
    with pytest.raises(ConnectionResetError):
        call(server.address, {"do": "put"})
    server.close()
    assert "the disk is full" in capfd.readouterr().err


def test_a_connection_is_for_many_requests_and_ends_when_it_is_closed(server: Server) -> None:
    connection = Connection(server.address)
    assert [connection.call({"do": "put"}, body).body for body in (b"ab", b"cd")] == [b"ba", b"dc"]
    with pytest.raises(RefusedError):
        connection.call({"do": "refuse"})
    assert connection.call({"do": "put"}, b"ef").body == b"fe"
    connection.close()
    with pytest.raises(OSError, match=r"descriptor|pipe|closed"):
        connection.call({"do": "put"})


def test_a_message_that_nobody_would_read_is_not_sent(server: Server) -> None:
    connection = Connection(server.address)
    most = LONGEST_LINE - len('{"do": "refuse", "key": "", "bytes": 4194304}\n')
    for key, body in (("k" * (most + 1), bytes(MOST_BYTES)), ("k", bytes(MOST_BYTES + 1))):
        with pytest.raises(ValueError, match="are possible"):
            connection.call({"do": "refuse", "key": key}, body)
    with pytest.raises(RefusedError, match="not here"):
        connection.call({"do": "refuse", "key": "k" * most}, bytes(MOST_BYTES))
    connection.close()


def test_who_asks_for_more_than_a_message_can_have_is_told(server: Server) -> None:
    with pytest.raises(RefusedError, match="are possible"):
        call(server.address, {"do": "long"})


@pytest.mark.parametrize("own", ["0.0.0.0", ""])  # noqa: S104 - refused
def test_an_address_that_nobody_reaches_is_none(monkeypatch: pytest.MonkeyPatch, own: str) -> None:
    monkeypatch.setenv("STORES_HOST", own)
    with pytest.raises(ValueError, match="STORES_HOST="):
        Server(_handle)
