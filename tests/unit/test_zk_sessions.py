"""The promises the edge makes to the core, with a client that does what the test says."""

import struct
import threading
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mwapp.core.messages import (
    Closed,
    Connected,
    Create,
    Error,
    Event,
    EventType,
    Exists,
    Expired,
    Failed,
    Fired,
    Get,
    Operation,
    Reply,
    Resumed,
    Stat,
    Suspended,
    Transaction,
)
from mwapp.core.request_size import LOSSES
from mwapp.zookeeper import sessions as module
from mwapp.zookeeper.client import Answered, Client, Down, Happening, Over, Refused, Up
from mwapp.zookeeper.connect_string import Servers
from mwapp.zookeeper.connection import Connection
from mwapp.zookeeper.machine import REAL
from mwapp.zookeeper.sessions import AGAIN, GRACE, REOPEN_DELAY, SILENCE, Note, Sessions
from testbed.waiting import LONGEST_WAIT, wait_for
from tests.unit.zk_server import Server

CUT, REFUSED = Failed(Error.CONNECTION_LOSS), Failed(Error.REFUSED)
TOO_LARGE = Transaction((Create("/a", b"x" * 1_100_000),))
SESSION_SECONDS = 6.0
HOST = ("zk1", 2181)


class FakeClient:
    """Stands in for mwapp.zookeeper.client.Client."""

    made: list["FakeClient"]

    def __init__(self, *arguments: Any) -> None:
        tell: Callable[[FakeClient, Happening], None] = arguments[2]
        self.tell = tell
        self.asked: list[tuple[int, Operation, str]] = []
        self.writable = True
        self.connected = True
        self.dropped = self.flushed = 0
        self.close_patience: float | None = None
        self.closed = False
        self.made.append(self)

    def ask(self, number: int, operation: Operation, chroot: str) -> bool:
        self.asked.append((number, operation, chroot))
        return self.writable

    def still(self, up: Up | None) -> bool:
        return self.connected and up is not None

    def flush(self) -> None:
        self.flushed += 1

    def drop_connection(self) -> None:
        self.dropped += 1

    def close(self, patience: float) -> threading.Event:
        self.close_patience = patience
        over = threading.Event()
        over.set()
        return over


class Harness:
    """Sessions at a time of the test's choosing."""

    def __init__(self, connect: str = "zk1") -> None:
        self.now = 100.0
        self.notes: list[Note] = []
        self.sessions = Sessions(Servers.parse(connect), SESSION_SECONDS, self.notes.append)
        self.clients = FakeClient.made
        self.look()

    def look(self, seconds: float = 0.0) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 1.0)
            self.sessions.look_after(self.now)
        self.sessions.look_after(self.now)

    def tell(self, *happenings: Happening, client: int = -1) -> list[Event]:
        """What the core hears when these happen to the client."""
        for happening in happenings:
            self.clients[client].tell(self.clients[client], happening)
        return self.hear()

    def hear(self) -> list[Event]:
        notes, self.notes[:] = list(self.notes), []
        return [event for note in notes for event in self.sessions.accept(note, self.now)]

    def ask(self, number: int, operation: Operation = Get("/a")) -> None:  # noqa: B008 - it is frozen
        self.sessions.request(self.now, number, operation)


def up(session: int = 1) -> Up:
    return Up(session, b"secret", SESSION_SECONDS, HOST)


@pytest.fixture(autouse=True)
def _fake_client(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeClient.made = []
    monkeypatch.setattr(module, "Client", FakeClient)


class Endings:
    """The sessions that are closed by their password, with the servers to be asked, and what those say."""

    def __init__(self) -> None:
        self.seen: list[tuple[list[tuple[str, int]], int, bytes]] = []
        self.problem: OSError | None = None
        self.closed = False  # by us

    def __call__(self, servers: list[tuple[str, int]], session: int, password: bytes, *_: object) -> bool:
        self.seen.append((servers, session, password))
        if self.problem is not None:
            raise self.problem
        return self.closed


@pytest.fixture(autouse=True)
def endings(monkeypatch: pytest.MonkeyPatch) -> Endings:
    endings = Endings()
    monkeypatch.setattr(module, "end_session", endings)
    return endings


@pytest.fixture
def harness() -> Harness:
    return Harness()


def test_the_life_of_a_session(harness: Harness) -> None:
    assert harness.tell(up(7)) == [Connected(7, SESSION_SECONDS)]
    harness.ask(1)
    assert harness.clients[0].asked == [(1, Get("/a"), "")]
    assert harness.tell(Answered(1, ("x",)), Fired("/a", EventType.CREATED)) == [
        Reply(1, ("x",)),
        Fired("/a", EventType.CREATED),
    ]
    assert harness.tell(Down()) == [Suspended()]
    assert harness.tell(up(7)) == [Resumed()]
    assert harness.tell(Down(), Over()) == [Suspended(), Expired()]
    assert harness.clients[0].close_patience is not None


def test_a_cut_answers_what_is_outstanding_exactly_once(harness: Harness) -> None:
    harness.tell(up())
    harness.ask(1)
    harness.ask(2)
    assert harness.tell(Down()) == [Reply(1, CUT), Reply(2, CUT), Suspended()]
    assert harness.tell(up(), Answered(2, ("late",))) == [Resumed()]


def test_a_request_that_meets_a_lost_connection(harness: Harness) -> None:
    harness.tell(up())
    harness.clients[0].connected = False
    harness.ask(1)
    assert harness.clients[0].asked == []
    assert harness.hear() == []
    assert harness.tell(Down()) == [Reply(1, CUT), Suspended()]
    harness.ask(2)
    harness.ask(3)
    assert harness.clients[0].asked == []
    assert harness.hear() == [Reply(2, CUT), Reply(3, CUT)]


def test_nothing_is_heard_of_an_abandoned_session(harness: Harness) -> None:
    harness.tell(up(1))
    harness.ask(1)
    harness.sessions.abandon(harness.now)
    assert harness.clients[0].close_patience == SESSION_SECONDS / 3
    assert (
        harness.tell(Answered(1, ()), Fired("/a", EventType.CREATED), Down(), up(1), Over(), client=0) == []
    )
    harness.look(1)
    assert len(harness.clients) == 2
    assert harness.tell(up(2)) == [Connected(2, SESSION_SECONDS)]
    assert harness.tell(Down(), client=0) == []
    harness.ask(2)
    assert harness.clients[0].asked == [(1, Get("/a"), "")], "a request travels on its own session only"
    assert harness.clients[1].asked == [(2, Get("/a"), "")]


def test_an_abandoned_session_is_ended_by_the_next(endings: Endings) -> None:
    harness = Harness("zk3,zk1,zk2")
    harness.tell(up(1), Down())
    harness.sessions.abandon(harness.now)
    harness.look(1)
    harness.tell(up(2), Down(), up(2))
    harness.sessions.close(5.0)  # it is waited for
    assert endings.seen == [([HOST, ("zk3", 2181), ("zk2", 2181)], 1, b"secret")], "once, here first"


def test_the_core_hears_that_a_session_that_was_given_up_is_closed(
    harness: Harness, endings: Endings
) -> None:
    endings.closed = True
    harness.tell(up(1), Down())
    harness.sessions.abandon(harness.now)
    harness.look(1)
    harness.clients[-1].tell(harness.clients[-1], up(2))
    events = harness.hear()
    harness.sessions._ending.join()
    assert [*events, *harness.hear()] == [Connected(2, SESSION_SECONDS), Closed(1)]


def test_that_the_ensemble_has_closed_it_is_told_before_there_is_another_session(harness: Harness) -> None:
    """Its own client was able to close it."""
    harness.tell(up(1))
    harness.sessions.abandon(harness.now)
    assert harness.tell(Closed(1)) == [Closed(1)]
    harness.look(1)
    assert harness.tell(up(2)) == [Connected(2, SESSION_SECONDS)]
    assert harness.tell(Closed(1), client=0) == [Closed(1)]


@pytest.mark.parametrize("problem", [None, OSError("zk1:2181: timed out")])
def test_what_no_server_has_closed_for_us_is_not_told_to_be_closed(
    harness: Harness, endings: Endings, problem: OSError | None
) -> None:
    """A server that knows of no such session may know less than the others."""
    endings.problem = problem
    harness.tell(up(1), Down())
    harness.sessions.abandon(harness.now)
    harness.look(1)
    events = harness.tell(up(2))
    harness.sessions._ending.join()
    assert [*events, *harness.hear()] == [Connected(2, SESSION_SECONDS)]


def test_what_is_closed_is_not_ended_again(harness: Harness, endings: Endings) -> None:
    harness.tell(up(1))
    harness.sessions.abandon(harness.now)
    harness.clients[0].closed = True
    harness.look(1)
    harness.tell(up(2))
    harness.sessions.close(5.0)
    assert endings.seen == []


def test_a_session_that_nobody_ends(
    harness: Harness, endings: Endings, caplog: pytest.LogCaptureFixture
) -> None:
    endings.problem = OSError("zk1:2181: timed out")
    harness.tell(up(-1))
    harness.sessions.abandon(harness.now)
    harness.look(1)
    assert harness.tell(up(2)) == [Connected(2, SESSION_SECONDS)]
    harness.sessions.close(5.0)
    assert "session 0xffffffffffffffff is left to time out: zk1:2181: timed out" in caplog.text
    assert "secret" not in caplog.text


def test_who_has_accepted_us_since_has_not_refused_us() -> None:
    harness = Harness("zk1,zk2")
    for address in (("zk1", 2181), ("zk2", 2181)):
        harness.tell(Refused(address, "no TLS"))
        assert harness.sessions.refused is None, "the other has not"
        harness.tell(up(), Down())
    harness.tell(Refused(("zk1", 2181), "its certificate"), Refused(("zk2", 2181), "no TLS"))
    assert harness.sessions.refused == "zk1:2181: its certificate"


def test_requests_without_a_session_go_nowhere(harness: Harness) -> None:
    harness.tell(up(1))
    harness.sessions.abandon(harness.now)
    harness.ask(5)
    assert harness.clients[0].asked == []
    assert harness.hear() == []


def test_clients_that_fail_at_once_do_not_follow_each_other_fast(harness: Harness) -> None:
    for _ in range(3):
        assert harness.tell(Over()) == [], "the core never heard of it"
        harness.look()
        count = len(harness.clients)
        assert harness.sessions.deadline == pytest.approx(harness.now + REOPEN_DELAY)
        harness.look(REOPEN_DELAY)
        assert len(harness.clients) == count + 1


def test_a_long_session_is_replaced_at_once(harness: Harness) -> None:
    harness.tell(up(1))
    harness.look(60)
    assert harness.tell(Over()) == [Expired()]
    harness.look()
    assert len(harness.clients) == 2


def test_a_silent_server_is_left_in_time(harness: Harness) -> None:
    harness.tell(up())
    harness.ask(1)
    harness.look(1.0)
    harness.ask(2)
    assert harness.sessions.deadline == pytest.approx(100 + SESSION_SECONDS * SILENCE)
    harness.look(SESSION_SECONDS * SILENCE - 1.0)
    assert harness.clients[0].dropped == 1
    assert harness.tell(Down()) == [Reply(1, CUT), Reply(2, CUT), Suspended()]


def test_a_busy_server_is_not_silent(harness: Harness) -> None:
    harness.tell(up())
    harness.ask(1)
    harness.ask(2)
    harness.look(1.5)
    harness.tell(Answered(1, ()))
    harness.look(1.5)
    assert harness.clients[0].dropped == 0
    harness.look(0.6)
    assert harness.clients[0].dropped == 1


@pytest.mark.parametrize(("before", "pause"), [(0.0, 4.0), (1.3, 1.0)])
def test_our_own_silence_is_not_the_server_s(harness: Harness, before: float, pause: float) -> None:
    harness.tell(up())
    harness.ask(1)
    harness.look(before)
    harness.now += pause  # the process was stopped; the reply may be waiting to be read
    harness.sessions.look_after(harness.now)
    assert harness.clients[0].dropped == 0
    harness.now += GRACE
    harness.sessions.look_after(harness.now)
    assert harness.clients[0].dropped == 1


def test_a_request_too_large_is_refused_here(harness: Harness) -> None:
    harness.tell(up())
    harness.ask(1, TOO_LARGE)
    assert harness.clients[0].asked == []
    assert harness.hear() == [Reply(1, REFUSED)]


def test_what_the_connection_is_lost_over_again_and_again_is_refused_here(harness: Harness) -> None:
    """jute.maxbuffer of the servers is lower than we think: they drop the connection."""
    large = Transaction((Create("/a", b"x" * 300_000),))
    harness.tell(up())
    for number in range(LOSSES):
        harness.ask(2 * number)
        harness.ask(2 * number + 1, large)
        assert harness.tell(Answered(2 * number, ())) == [Reply(2 * number, ())]
        assert harness.tell(Down()) == [Reply(2 * number + 1, CUT), Suspended()]
        assert harness.tell(up()) == [Resumed()]
    harness.ask(10, large)
    assert harness.hear() == [Reply(10, REFUSED)]
    harness.ask(11)
    assert harness.tell(Answered(11, ())) == [Reply(11, ())]


def test_a_large_request_that_is_answered_is_not_why_the_connection_was_lost(harness: Harness) -> None:
    large = Transaction((Create("/a", b"x" * 300_000),))
    harness.tell(up())
    for number in range(3 * LOSSES):
        harness.ask(2 * number, large)
        harness.tell(Answered(2 * number, ()))
        harness.ask(2 * number + 1, large)
        harness.tell(Down())
        harness.tell(up())
    harness.ask(100, large)
    assert harness.tell(Answered(100, ())) == [Reply(100, ())]


def test_a_request_that_cannot_be_written_down_is_refused(harness: Harness) -> None:
    harness.tell(up())
    harness.clients[0].writable = False
    harness.ask(1)
    assert harness.hear() == [Reply(1, REFUSED)]


def test_what_is_refused_here_is_answered_in_its_turn(harness: Harness) -> None:
    harness.tell(up())
    harness.ask(1)
    harness.ask(2, TOO_LARGE)
    harness.ask(3, TOO_LARGE)
    harness.ask(4)
    harness.ask(5, TOO_LARGE)
    assert harness.hear() == []
    assert harness.tell(Answered(1, ())) == [Reply(1, ()), Reply(2, REFUSED), Reply(3, REFUSED)]
    assert harness.tell(Down()) == [Reply(4, CUT), Reply(5, REFUSED), Suspended()]
    assert harness.tell(up()) == [Resumed()]
    harness.ask(6)
    assert harness.tell(Answered(6, ())) == [Reply(6, ())], "nothing is left of those before"


def test_existing_chroot() -> None:
    harness = Harness("zk1,zk2/app/one")
    assert harness.tell(up()) == []
    assert harness.clients[0].asked == [(-1, Exists("/app/one"), "")]
    assert harness.tell(Answered(-1, Stat(1, 0))) == [Connected(1, SESSION_SECONDS)]
    harness.ask(1)
    assert harness.clients[0].asked[-1] == (1, Get("/a"), "/app/one")


def test_missing_chroot_is_made_first() -> None:
    harness = Harness("zk1/app/one")
    harness.tell(up(), Answered(-1, None))
    assert harness.clients[0].asked[1:] == [
        (-2, Transaction((Create("/app"),)), ""),
        (-3, Transaction((Create("/app/one"),)), ""),
    ]
    assert harness.tell(Answered(-2, Failed(Error.NODE_EXISTS, 0))) == []
    assert harness.tell(Answered(-3, ("/app/one",))) == [Connected(1, SESSION_SECONDS)]


def test_a_chroot_that_cannot_be_made_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    """Servers may be throttled, or somebody has to permit it: without it the core hears of no session."""
    harness = Harness("zk1/app")
    asked = harness.clients[0].asked
    harness.tell(up(), Answered(-1, None))
    assert harness.tell(Answered(-2, REFUSED)) == []
    assert "--connect: cannot create /app: refused" in caplog.text
    assert harness.sessions.deadline == harness.now + AGAIN
    harness.look(AGAIN)
    assert asked[2:] == [(-1, Exists("/app"), "")]
    assert harness.clients[0].flushed == 1, "nothing else is to be sent"
    harness.tell(Answered(-1, REFUSED))
    harness.tell(Down())
    harness.look(2 * AGAIN)
    assert len(asked) == 3, "not without a connection"
    assert harness.tell(up()) == []
    assert harness.tell(Answered(-1, Stat(1, 0))) == [Connected(1, SESSION_SECONDS)]


def test_a_chroot_is_not_made_on_a_connection_that_is_lost_already() -> None:
    """What is asked then would go over the next connection, before or beside what belongs there."""
    harness = Harness("zk1/app")
    harness.clients[0].connected = False
    assert harness.tell(up()) == []
    assert harness.clients[0].asked == []
    harness.clients[0].connected = True
    assert harness.tell(Down(), up()) == []
    assert harness.clients[0].asked == [(-1, Exists("/app"), "")]
    assert harness.tell(Answered(-1, Stat(1, 0))) == [Connected(1, SESSION_SECONDS)]


def test_chroot_survives_a_cut() -> None:
    harness = Harness("zk1/app")
    assert harness.tell(up(), Down()) == []
    assert harness.tell(up()) == []
    assert harness.clients[0].asked == [(-1, Exists("/app"), "")] * 2


def test_close(harness: Harness) -> None:
    harness.tell(up())
    harness.clients[0].closed = True
    assert harness.sessions.close(2.0)
    assert harness.tell(Over()) == []


def test_close_that_nobody_confirms(harness: Harness) -> None:
    harness.tell(up(), Down())
    assert not harness.sessions.close(2.0)


def test_close_after_the_session_was_abandoned(harness: Harness) -> None:
    harness.tell(up())
    harness.sessions.abandon(harness.now)
    assert not harness.sessions.close(2.0), "it may live on"


def test_close_after_the_session_has_expired(harness: Harness) -> None:
    harness.tell(up(), Down(), Over())
    assert harness.sessions.close(2.0)


def test_close_before_any_session(harness: Harness) -> None:
    assert harness.sessions.close(2.0)


def test_the_password_is_not_shown() -> None:
    assert "secret" not in repr(up())


@pytest.mark.parametrize(
    ("connected", "asked", "still"), [(True, 3.0, True), (False, 3.0, False), (True, 4.0, False)]
)
def test_a_connection_that_another_has_followed_is_there_no_longer(
    connected: bool, asked: float, still: bool
) -> None:
    """Down and the next Up may both be in the queue: what is asked now is not for that one."""
    client = object.__new__(Client)
    client._kazoo = SimpleNamespace(connected=connected)
    client._connection = cast(Connection, SimpleNamespace(asked=asked))
    assert client.still(Up(1, b"", 4.0, ("zk1", 1), asked=3.0)) is still
    assert not client.still(None)


@pytest.mark.parametrize(("code", "told"), [(0, 1), (-112, 0)])
def test_a_session_is_closed_for_us_only_if_the_close_has_no_error(code: int, told: int) -> None:
    """Session expired: it is over, and a server may say so before the others know."""
    heard: list[None] = []
    connection = object.__new__(Connection)
    connection.client = SimpleNamespace(_pending=deque([(None, None, 1)]))
    connection._carried_out = lambda: heard.append(None)
    reply = bytearray(struct.pack(">iqi", 1, 99, code))
    connection._take(reply, 0, len(reply))
    assert connection.closed
    assert len(heard) == told


@pytest.mark.servers
def test_a_client_that_closes_its_session_tells_that_it_is_closed_by_its_number() -> None:
    server, heard = Server(), list[Happening]()
    client = Client(Servers.parse(server.connect), SESSION_SECONDS, lambda _, what: heard.append(what), REAL)
    try:
        wait_for("a session", lambda: any(isinstance(what, Up) for what in heard))
        assert client.close(LONGEST_WAIT).wait(LONGEST_WAIT)
    finally:
        server.close()
    (session,) = server.closed
    assert [what for what in heard if isinstance(what, Closed)] == [Closed(session)]


@pytest.mark.servers
def test_a_server_that_takes_no_more_bytes_is_left_and_the_session_goes_on() -> None:
    server, heard = Server(timeout=3.0, deaf=True), list[Happening]()
    client = Client(Servers.parse(server.connect), SESSION_SECONDS, lambda _, what: heard.append(what), REAL)
    try:
        wait_for("a session", lambda: len(heard) == 1)
        for number in range(20):  # more than the kernel holds for a server that does not read
            client.ask(number, Transaction((Create("/a", bytes(1_000_000)),)), "")
        client.flush()
        wait_for("the next connection", lambda: len(heard) == 3)
    finally:
        server.die()
        client.close(0.0)
    assert [type(what) for what in heard[:3]] == [Up, Down, Up]
    assert {what.session for what in heard if isinstance(what, Up)} == {1}
