"""The edge on real servers: sessions that move, end and are given up, and what the core hears of it."""

import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mwapp import release
from mwapp.core.messages import (
    Check,
    Children,
    Closed,
    Connected,
    Create,
    Delete,
    Error,
    Event,
    EventType,
    Exists,
    Expired,
    Failed,
    Fired,
    Follow,
    Get,
    Node,
    Op,
    Operation,
    Reply,
    Result,
    Resumed,
    Set,
    Stat,
    Suspended,
    Transaction,
)
from mwapp.zookeeper.connect_string import Servers
from mwapp.zookeeper.sessions import SILENCE, Note, Sessions
from testbed.ensemble import START_SECONDS, Ensemble, Server
from testbed.waiting import LONGEST_WAIT
from tests.integration import replay

SESSION_SECONDS = 4.0


class Driver:
    """Plays the main loop: turns what happens into the list of events the core would get."""

    def __init__(self, connect: str, timeout: float = SESSION_SECONDS) -> None:
        self._notes: queue.SimpleQueue[Note] = queue.SimpleQueue()
        self.edge = Sessions(Servers.parse(connect), timeout, self._notes.put)
        self.events: list[Event] = []
        self._number = 0

    def pump(self, seconds: float = 0.01) -> None:
        """Turn once."""
        try:
            note = self._notes.get(timeout=seconds)
        except queue.Empty:
            self.edge.look_after(time.monotonic())
        else:
            self.events += self.edge.accept(note, time.monotonic())
            self.edge.flush()

    def answered(self, number: int) -> bool:
        return any(isinstance(event, Reply) and event.request == number for event in reversed(self.events))

    def wait_for_reply(self, number: int) -> Result:
        reply = self.wait(lambda event: isinstance(event, Reply) and event.request == number)
        assert isinstance(reply, Reply)
        return reply.result

    def wait(
        self, wanted: Callable[[Event], bool], since: int = 0, *, seconds: float = LONGEST_WAIT
    ) -> Event:
        """The first such event since so many."""
        end = time.monotonic() + seconds
        while True:
            for event in self.events[since:]:
                if wanted(event):
                    return event
            assert time.monotonic() < end, f"not among {self.events[since:]}"
            self.pump()

    def wait_for(self, kind: type[Event], since: int = 0, *, seconds: float = LONGEST_WAIT) -> Event:
        return self.wait(lambda event: isinstance(event, kind), since, seconds=seconds)

    def send(self, operation: Operation) -> int:
        self._number += 1
        self.edge.request(time.monotonic(), self._number, operation)
        self.edge.flush()
        return self._number

    def ask(self, operation: Operation) -> Result:
        return self.wait_for_reply(self.send(operation))

    def commit(self, *ops: Op) -> Result:
        return self.ask(Transaction(ops))

    def ask_fresh(self, operation: Operation) -> Result:
        """A read that cannot miss what another client was told before, perhaps by another server."""
        self.commit(Check("/"))
        return self.ask(operation)

    def beat_until(self, kind: type[Event], since: int) -> float:
        """Ask for a proof of life every 200 ms, as the core does; seconds until the event."""
        started = beat = time.monotonic()
        while not any(isinstance(event, kind) for event in self.events[since:]):
            assert time.monotonic() < started + LONGEST_WAIT
            self.pump()
            if time.monotonic() > beat:
                beat = time.monotonic() + 0.2
                self.send(Exists("/"))
        return time.monotonic() - started

    @property
    def session(self) -> int:
        assert self.edge.session is not None
        return self.edge.session.session

    def server(self, ensemble: Ensemble) -> Server:
        """The server it is connected to."""
        assert self.edge.session is not None
        port = self.edge.session.address[1]
        return next(server for server in ensemble.servers if server.port == port)


@pytest.fixture
def root(request: pytest.FixtureRequest) -> str:
    """A chroot of the test's own."""
    return f"/{request.node.name.replace('[', '-').replace(']', '')}"


Open = Callable[..., Driver]


@pytest.fixture
def open_driver(ensemble: Ensemble, root: str) -> Iterator[Open]:
    drivers: list[Driver] = []

    def make(connect: str | None = None, timeout: float = SESSION_SECONDS) -> Driver:
        driver = Driver(connect or ensemble.connect_string + root, timeout)
        drivers.append(driver)
        driver.wait_for(Connected)
        return driver

    yield make
    for driver in drivers:
        driver.edge.close(2.0)


def test_requests_and_their_results(open_driver: Open) -> None:
    driver = open_driver()
    assert driver.commit(Create("/a", b"1"), Create("/s-", sequential=True)) == ("/a", "/s-0000000001")
    node = driver.ask(Get("/a"))
    assert isinstance(node, Node)
    assert (node.data, node.stat.version, node.stat.owner) == (b"1", 0, 0)
    assert abs(node.stat.ctime - time.time()) < 60
    (stat,) = driver.commit(Set("/a", b"2", 0))  # type: ignore[misc]  # a tuple, or the test fails
    assert isinstance(stat, Stat)
    assert stat.version == 1
    assert driver.commit(Check("/a", 1), Set("/a", b"3", 0)) == Failed(Error.BAD_VERSION, 1)
    assert driver.commit(Create("/b"), Create("/a"), Delete("/x")) == Failed(Error.NODE_EXISTS, 1)
    assert driver.commit(Delete("/x")) == Failed(Error.NO_NODE, 0)
    assert driver.commit(Check("/b")) == Failed(Error.NO_NODE, 0), "nothing of a failed transaction stays"
    assert driver.ask(Get("/x")) == Failed(Error.NO_NODE)
    assert driver.ask(Exists("/x")) is None
    driver.commit(Create("/e", ephemeral=True))
    node = driver.ask(Get("/e"))
    assert isinstance(node, Node)
    assert node.stat.owner == driver.session, "session ids are written alike everywhere"
    assert driver.commit(Create("/a/b"), Delete("/a")) == Failed(Error.NOT_EMPTY, 1)


def test_a_watch_comes_before_newer_data(open_driver: Open) -> None:
    reader, writer = open_driver(), open_driver()
    reader.commit(Create("/n", b"0"))
    writer.commit(Check("/"))  # its server knows the node
    for _ in range(40):
        since = len(reader.events)
        numbers = [reader.send(Get("/n", watch=True))]
        writing = writer.send(Transaction((Set("/n", b""),)))
        end = time.monotonic() + LONGEST_WAIT
        while not any(isinstance(event, Fired) for event in reader.events[since:]):
            assert time.monotonic() < end, "the watch does not go off"
            if writer.answered(writing):  # one at a time: a slow server must not be buried
                writing = writer.send(Transaction((Set("/n", b""),)))
            numbers.append(reader.send(Get("/n")))
            reader.pump()
            writer.pump(0)
        writer.wait_for_reply(writing)
        reader.wait_for_reply(numbers[-1])
        events = reader.events[since:]
        replies = [(at, event) for at, event in enumerate(events) if isinstance(event, Reply)]
        assert [reply.request for _, reply in replies] == numbers, "replies in the order of the requests"
        versions = [
            (at, reply.result.stat.version) for at, reply in replies if isinstance(reply.result, Node)
        ]
        watched = versions[0][1]
        (fired,) = (at for at, event in enumerate(events) if isinstance(event, Fired))
        assert all(version == watched for at, version in versions if at < fired)
        assert all(version > watched for at, version in versions if at > fired)


def test_who_follows_is_told_each_time_and_by_name(open_driver: Open) -> None:
    follower, writer = open_driver(), open_driver()
    writer.commit(Create("/f"))
    follower.commit(Check("/f"))
    assert follower.ask(Follow("/f")) is None
    follower.ask(Children("/f", watch=True))
    since = len(follower.events)
    writer.commit(Create("/f/a"), Create("/f/a/b"))
    writer.commit(Set("/f/a", b"1"), Create("/fa"))
    writer.commit(Delete("/f/a/b"), Delete("/f/a"), Delete("/fa"))
    writer.commit(Delete("/f"))
    wanted = [
        Fired("/f/a", EventType.CREATED),
        Fired("/f", EventType.CHILDREN),  # the watch, once
        Fired("/f/a/b", EventType.CREATED),
        Fired("/f/a", EventType.CHANGED),
        Fired("/f/a/b", EventType.DELETED),
        Fired("/f/a", EventType.DELETED),
        Fired("/f", EventType.DELETED),
    ]

    def fired() -> list[Fired]:
        return [event for event in follower.events[since:] if isinstance(event, Fired)]

    end = time.monotonic() + LONGEST_WAIT
    while len(fired()) < len(wanted) and time.monotonic() < end:
        follower.pump()
    assert fired() == wanted


def test_the_server_dies(ensemble: Ensemble, open_driver: Open) -> None:
    driver = open_driver()
    driver.commit(Create("/e", ephemeral=True))
    session, since = driver.session, len(driver.events)
    driver.server(ensemble).kill()
    driver.wait_for(Resumed, since)
    kinds = [type(event) for event in driver.events[since:]]
    assert kinds == [Suspended, Resumed]
    node = driver.ask(Get("/e"))
    assert isinstance(node, Node)
    assert node.stat.owner == session == driver.session


def test_the_server_freezes(ensemble: Ensemble, open_driver: Open) -> None:
    """Its connections stay open and silent. The session moves before the core's deadline."""
    # A follower: were it the leader, the whole ensemble would be silent for time-outs of its own.
    timeout = 9.0
    driver = open_driver(timeout=timeout)
    while driver.server(ensemble).mode() != "follower":  # one that is slow does not say
        driver = open_driver(timeout=timeout)
    driver.commit(Create("/e", ephemeral=True))
    session, since = driver.session, len(driver.events)
    driver.server(ensemble).pause()
    seconds = driver.beat_until(Resumed, since)
    assert seconds < 0.9 * timeout
    assert driver.session == session
    assert not any(isinstance(event, Expired) for event in driver.events)


def test_the_majority_is_lost_and_comes_back(ensemble: Ensemble, open_driver: Open) -> None:
    driver = open_driver(timeout=10.0)
    since = len(driver.events)
    lost = time.monotonic()
    for server in ensemble.servers[:2]:
        server.kill()
    driver.wait_for(Suspended, since)
    while time.monotonic() < lost + 4:
        driver.pump()
    since = len(driver.events)
    ensemble.start()
    back = time.monotonic()
    driver.wait(lambda event: isinstance(event, Resumed | Connected), since)
    # Pauses that grow with the outage are as long as it in the end.
    assert time.monotonic() - back < (back - lost) / 2, "no long pauses between attempts"


def test_the_session_is_ended_by_others(open_driver: Open, tmp_path: Path) -> None:
    """The core hears of the end, and then of a new session; the old ephemerals are gone."""
    driver = open_driver()
    driver.commit(Create("/e", ephemeral=True))
    up, since = driver.edge.session, len(driver.events)
    assert up is not None
    release.note(str(tmp_path), [up.address], up.session, up.password)
    assert release.release(str(tmp_path)) == 0
    driver.wait_for(Connected, since)
    kinds = [type(event) for event in driver.events[since:]]
    # Taken over, it may be taken back for a moment before it is closed.
    assert kinds[0] is Suspended
    assert kinds[-2:] == [Expired, Connected]
    assert driver.session != up.session
    assert driver.ask(Exists("/e")) is None


def test_a_frozen_process_finds_its_session_over(ensemble: Ensemble, open_driver: Open) -> None:
    """Every server silent for longer than the session: as if this process had been stopped."""
    driver = open_driver(timeout=2.0)  # it is to last until all are silent
    driver.commit(Create("/e", ephemeral=True))
    session, since = driver.session, len(driver.events)
    for server in ensemble.servers:
        server.pause()
    end = time.monotonic() + 6
    while time.monotonic() < end:
        driver.pump()
        driver.send(Exists("/"))
    assert not any(isinstance(event, Connected) for event in driver.events[since:])
    ensemble.heal()
    last = driver.wait(lambda event: isinstance(event, Connected | Resumed), since)
    # The ensemble was stopped as well, so it may grant the session a new term. Never both.
    assert isinstance(last, Resumed) == (driver.session == session)


def test_abandoned_sessions_leave_nothing(open_driver: Open) -> None:
    driver, witness = open_driver(timeout=10.0), open_driver(timeout=10.0)
    threads, files = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(10):
        since = len(driver.events)
        driver.commit(Create("/e", ephemeral=True))
        driver.edge.abandon(time.monotonic())
        driver.wait_for(Connected, since)
        driver.wait_for(Closed, since)
        told = [type(event) for event in driver.events[since:] if not isinstance(event, Reply)]
        assert set(told) == {Closed, Connected}
        assert told.count(Connected) == 1
        end = time.monotonic() + LONGEST_WAIT
        while witness.ask_fresh(Exists("/e")) is not None:
            assert time.monotonic() < end
    end = time.monotonic() + LONGEST_WAIT
    while (threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))) > (threads, files):
        assert time.monotonic() < end, "threads or files were leaked"
        time.sleep(0.05)


def test_a_session_given_up_in_an_outage_does_not_outlast_it(ensemble: Ensemble, open_driver: Open) -> None:
    """The ensemble gives it its full time-out again once there is a quorum: the next session ends it."""
    driver, witness = open_driver(timeout=10.0), open_driver()
    driver.commit(Create("/e", ephemeral=True))
    session, since = driver.session, len(driver.events)
    for server in ensemble.servers:  # all: one that is left may log the closing, and lead afterwards
        server.kill()
    driver.wait_for(Suspended, since)
    driver.edge.abandon(time.monotonic())
    time.sleep(10.0 * SILENCE + 0.5)  # so long it can be closed as ever
    for server in ensemble.servers:
        server.start()
    # As soon as there is a quorum: the old session's time runs from then.
    driver.wait_for(Connected, since, seconds=START_SECONDS)
    ensemble.start()
    end = time.monotonic() + LONGEST_WAIT
    while witness.ask_fresh(Exists("/e")) is not None:
        assert time.monotonic() < end
    assert not replay.end_of(ensemble, session).expired, "its ephemerals are left to its time-out"
    assert driver.wait_for(Closed, since) == Closed(session)


def test_closing_ends_the_session(open_driver: Open) -> None:
    driver, witness = open_driver(), open_driver()
    driver.commit(Create("/e", ephemeral=True))
    driver.send(Transaction((Create("/last"),)))
    assert driver.edge.close(LONGEST_WAIT)
    assert witness.ask_fresh(Exists("/e")) is None
    assert witness.ask(Exists("/last")) is not None, "what was asked before is done before"


def test_the_granted_time_out_is_told(open_driver: Open) -> None:
    connected = open_driver(timeout=3600.0).events[0]
    assert isinstance(connected, Connected)
    assert connected.timeout == 10.0, "20 ticks of 500 ms"


def test_a_chroot_many_make_at_once(ensemble: Ensemble, root: str) -> None:
    drivers = [Driver(f"{ensemble.connect_string}{root}/deep/er") for _ in range(5)]
    for driver in drivers:
        driver.wait_for(Connected)
    assert drivers[0].commit(Create("/x")) == ("/x",)
    assert isinstance(drivers[1].ask_fresh(Get("/x", watch=True)), Node)
    drivers[2].commit(Set("/x", b"new"))
    assert drivers[1].wait_for(Fired) == Fired("/x", EventType.CHANGED)
    for driver in drivers:
        driver.edge.close(2.0)


def test_an_absent_host_is_passed_over(ensemble: Ensemble, root: str) -> None:
    """Names that do not resolve and ports nobody listens on cost no time, but for what the resolver takes."""
    started = time.monotonic()
    with suppress(OSError):
        socket.getaddrinfo("nowhere.invalid", 1)
    resolved = time.monotonic()
    driver = Driver(f"nowhere.invalid:1,127.0.0.1:1,{ensemble.connect_string}{root}")
    driver.wait_for(Connected)
    assert time.monotonic() - resolved < SESSION_SECONDS + 2 * (resolved - started)
    driver.edge.close(2.0)
