"""What a process promises its parts and its edge (mwapp/core/session.py), event by event."""

import gc
import weakref
from functools import partial
from typing import Any

from mwapp.core.messages import (
    Abandon,
    Check,
    Close,
    Closed,
    Command,
    Connected,
    Error,
    Event,
    EventType,
    Exists,
    Exited,
    Expired,
    Failed,
    Fired,
    Follow,
    Reply,
    Request,
    Resumed,
    Run,
    Stop,
    Suspended,
    Tick,
    Transaction,
)
from mwapp.core.session import DRIFT, REPORT, SAFETY_MARGIN, Process, Scope
from mwapp.core.task import Task
from tests.unit.core_stage import SESSION_SECONDS

LEASE = SESSION_SECONDS * (1 - SAFETY_MARGIN)


class Part:
    """Notes what it is told."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.told: list[str] = []
        process.add(self)

    def connected(self) -> None:
        self.told.append("connected")

    def suspended(self) -> None:
        self.told.append("suspended")

    def expired(self) -> None:
        self.told.append("expired")

    def closed(self, session: int) -> None:
        self.told.append(f"closed {session}")

    def exited(self, event: Exited) -> None:
        self.told.append(f"exited {event.run}")

    def stop(self) -> None:
        self.told.append("stop")

    def status(self) -> dict[str, Any]:
        return {}


class Edge:
    """A process with a part and a scope, in a session that began at 100."""

    def __init__(self) -> None:
        self.now = 100.0
        self.process = Process()
        self.part = Part(self.process)
        self.heard: list[object] = []
        self.event(Connected(7, SESSION_SECONDS))
        self.part.told.clear()
        self.scope = self.process.scope()

    def event(self, event: Event, now: float | None = None) -> list[Command]:
        """The process handles it; heartbeats are left out of what it says."""
        self.now = self.now if now is None else now
        commands = self.process.handle(self.now, event)
        beat = Transaction((Check("/"),))
        return [c for c in commands if not (isinstance(c, Request) and c.operation == beat)]

    def ask(self, scope: Scope | None = None, *, transact: bool = False) -> int | None:
        """A part asks, at the present time; the number of its request, None if it is dropped."""
        scope = scope or self.scope
        if transact:
            scope.transact([Check("/x")], self.heard.append)
        else:
            scope.exists("/x", self.heard.append)
        numbers = [command.number for command in self.event(Tick()) if isinstance(command, Request)]
        return numbers[0] if numbers else None

    def answered(self, sent: float, at: float, result: Any = (None,), *, transact: bool = True) -> float:
        """A request is sent and answered; how long the session is sure to live then."""
        self.event(Tick(), sent)
        number = self.ask(transact=transact)
        assert number is not None
        self.event(Reply(number, result), at)
        return self.process.lease


# ---------------------------------------------------------------- the deadline


def test_what_was_answered_late_does_not_prove_what_was_not_reported_when_it_was_sent() -> None:
    edge = Edge()
    edge.answered(100.5, 100.6)
    assert edge.answered(100.7, 104.0) == 100.0 + LEASE
    assert edge.answered(104.1, 104.2) == 100.5 + LEASE


def test_what_was_only_just_answered_may_not_be_reported_however_long_ago_it_was_sent() -> None:
    edge = Edge()
    edge.answered(100.5, 104.0)
    assert edge.answered(104.1, 104.2) == 100.0 + LEASE
    assert edge.answered(104.0 + SESSION_SECONDS * REPORT, 105.6) == 100.5 + LEASE


def test_a_server_whose_clock_is_slow_reports_later_by_ours() -> None:
    """Within a quarter of a time-out of its own, which for us is as much longer as clocks may differ."""
    edge = Edge()
    edge.answered(100.5, 100.6)
    reported = 100.6 + SESSION_SECONDS * 0.25 * (1 + DRIFT)
    assert edge.answered(reported - 0.001, reported - 0.001) == 100.0 + LEASE
    assert edge.answered(reported + 0.001, reported + 0.001) == 100.5 + LEASE


def test_the_deadline_comes_before_the_sessions_end_by_a_clock_as_slow_as_may_be() -> None:
    """And leaves some time to kill."""
    edge = Edge()
    ends = 100.0 + SESSION_SECONDS / (1 + DRIFT)  # by our clock, if the leader's is the faster one
    assert edge.process.deadline is not None
    edge.event(Tick(), ends - 0.035 * SESSION_SECONDS)
    assert edge.process.session is None


def test_answered_reads_prove_nothing() -> None:
    edge = Edge()
    for second in range(5):
        assert edge.answered(100.5 + second, 100.6 + second, transact=False) == 100.0 + LEASE


def test_what_the_edge_or_the_cut_says_proves_nothing_and_a_refusal_of_the_ensemble_does() -> None:
    for error in (Error.REFUSED, Error.CONNECTION_LOSS, Error.SESSION_EXPIRED):
        edge = Edge()
        for second in range(5):
            assert edge.answered(100.5 + second, 100.6 + second, Failed(error)) == 100.0 + LEASE
    edge = Edge()
    edge.answered(100.5, 100.6, Failed(Error.NO_NODE, 0))
    assert edge.answered(103.0, 103.1) == 100.5 + LEASE


def test_whether_writes_are_taken_has_to_be_seen_on_each_connection() -> None:
    """A server that has lost its leader lets clients connect, and answers nothing but reads."""
    edge = Edge()
    edge.answered(100.1, 100.2, transact=False)
    assert not edge.process.takes_writes
    edge.answered(100.3, 100.4)
    assert edge.process.takes_writes
    edge.event(Suspended(), 101.0)
    assert not edge.process.takes_writes
    edge.event(Resumed(), 101.1)
    assert not edge.process.takes_writes
    edge.answered(101.2, 101.3)
    assert edge.process.takes_writes


def test_a_session_that_is_over_is_given_up_before_anything_else_and_every_part_is_told_twice() -> None:
    edge = Edge()
    number = edge.ask()
    assert number is not None
    assert edge.event(Reply(number, None), 100.0 + LEASE) == [Abandon()]
    assert edge.heard == []
    assert edge.part.told == ["suspended", "expired"]
    assert not edge.process.usable
    assert edge.ask() is None


def test_every_part_hears_that_a_former_session_is_closed_with_a_session_or_without() -> None:
    edge = Edge()
    edge.event(Tick(), 100.0 + LEASE)
    assert edge.event(Closed(7)) == []
    edge.event(Connected(8, SESSION_SECONDS))
    assert edge.event(Closed(7)) == []
    assert edge.part.told == ["suspended", "expired", "closed 7", "connected", "closed 7"]
    assert edge.process.usable


def test_the_process_is_to_be_woken_at_its_deadline() -> None:
    edge = Edge()
    assert edge.process.deadline is not None
    edge.process.timers.clear()  # of the heart
    assert edge.process.deadline == 100.0 + LEASE


def test_who_hears_late_that_its_session_is_over_or_another_has_begun_gives_up_nothing() -> None:
    for event in (Expired(), Connected(8, SESSION_SECONDS)):
        edge = Edge()
        assert edge.event(event, 100.0 + LEASE + 1) == []
        assert edge.part.told[:2] == ["suspended", "expired"]


def test_a_command_is_to_be_started_while_the_session_is_sure_to_live() -> None:
    edge = Edge()
    edge.process.run(1, Task("date"), {})
    assert edge.event(Tick()) == [Run(1, Task("date"), {}, 100.0 + LEASE)]


# ---------------------------------------------------------------- connections


def test_nothing_of_the_connection_before_is_told() -> None:
    edge = Edge()
    edge.scope.exists("/x", edge.heard.append, watch=lambda: edge.heard.append("fired"))
    (request,) = edge.event(Tick())
    assert isinstance(request, Request)
    edge.event(Suspended())
    edge.event(Resumed())
    edge.event(Reply(request.number, None))
    edge.event(Fired("/x", EventType.CHANGED))
    assert edge.heard == []
    assert edge.part.told == ["suspended", "connected"]


def test_nothing_is_asked_without_a_connection_or_for_what_was_dropped() -> None:
    edge = Edge()
    dropped = edge.process.scope()
    dropped.cancel()
    assert edge.ask(dropped) is None
    assert edge.ask() is not None
    edge.event(Suspended())
    assert edge.ask() is None


def test_the_first_request_of_a_connection_is_a_transaction() -> None:
    process = Process()
    part = Part(process)
    scope = process.scope()
    part.connected = lambda: scope.exists("/x", print)  # type: ignore[method-assign]  # a part of this test
    for event in (Connected(7, SESSION_SECONDS), Resumed()):
        requests = [c.operation for c in process.handle(100.0, event) if isinstance(c, Request)]
        assert requests == [Transaction((Check("/"),)), Exists("/x")]


# ---------------------------------------------------------------- what was dropped


def test_what_was_dropped_hears_of_no_answer_watch_or_timer() -> None:
    edge = Edge()
    edge.scope.exists("/x", edge.heard.append, watch=lambda: edge.heard.append("fired"))
    edge.scope.after(1.0, lambda: edge.heard.append("timer"))
    (request,) = edge.event(Tick())
    assert isinstance(request, Request)
    edge.scope.cancel()
    edge.event(Reply(request.number, None))
    edge.event(Fired("/x", EventType.CHANGED))
    edge.event(Tick(), 102.0)
    assert edge.heard == []


def test_a_watch_is_told_once_and_the_later_of_two_counts() -> None:
    edge = Edge()
    other = edge.process.scope()
    for word in ("earlier", "later"):
        edge.scope.exists("/x", lambda _: None, watch=lambda word=word: edge.heard.append(word))  # type: ignore[misc]  # a default binds it
    other.children("/x", lambda _: None, watch=lambda: edge.heard.append("other"))
    edge.event(Fired("/x", EventType.CHANGED))
    edge.event(Fired("/x", EventType.CHANGED))
    assert edge.heard == ["later", "other"]


def test_a_follower_is_told_each_time_of_the_path_and_what_is_below_it() -> None:
    edge = Edge()
    other = edge.process.scope()
    for scope, word in ((edge.scope, "a"), (other, "b")):
        told = partial(lambda word, *what: edge.heard.append((word, *what)), word)
        scope.follow("/x", told, edge.heard.append)
    requests = [c for c in edge.event(Tick()) if isinstance(c, Request)]
    assert [request.operation for request in requests] == [Follow("/x"), Follow("/x")]
    for request in requests:
        edge.event(Reply(request.number, None))
    assert edge.heard == [None, None]
    edge.heard.clear()
    edge.event(Fired("/xy", EventType.CREATED))
    edge.event(Fired("/", EventType.CHILDREN))
    assert edge.heard == []
    events = [("/x", EventType.CHANGED), ("/x/y", EventType.CREATED), ("/x/y", EventType.DELETED)]
    for path, event in events:
        edge.event(Fired(path, event))
    assert edge.heard == [(word, *what) for what in events for word in "ab"]
    edge.heard.clear()
    other.cancel()
    edge.event(Fired("/x/y", EventType.CREATED))
    assert edge.heard == [("a", "/x/y", EventType.CREATED)]


def test_nobody_follows_on_the_next_connection() -> None:
    edge = Edge()
    edge.scope.follow("/x", lambda *_: edge.heard.append("told"), edge.heard.append)
    edge.event(Suspended())
    edge.event(Resumed())
    edge.event(Fired("/x/y", EventType.CREATED))
    edge.scope.cancel()
    edge.scope.follow("/x", lambda *_: edge.heard.append("told"), edge.heard.append)
    edge.event(Fired("/x/y", EventType.CREATED))
    assert edge.heard == []


def test_who_may_not_follow_is_told_once() -> None:
    edge = Edge()
    edge.scope.follow("/x", lambda *_: None, edge.heard.append)
    (request,) = edge.event(Tick())
    assert isinstance(request, Request)
    edge.event(Reply(request.number, Failed(Error.REFUSED)))
    assert edge.heard == [Failed(Error.REFUSED)]
    assert not any(isinstance(c, Request) and c.operation == Follow("/x") for c in edge.event(Tick(), 105.0))


def test_nothing_is_kept_of_what_was_dropped() -> None:
    """A master of many years has had many tenures."""
    edge = Edge()

    class Call:
        def __call__(self, *_: object) -> None:
            """Is told nothing."""

    calls = [Call() for _ in range(100)]
    kept = [weakref.ref(call) for call in calls]
    while calls:
        call = calls.pop()
        scope = edge.process.scope()
        scope.exists("/x", lambda _: None, watch=call)
        scope.after(1000.0, call)
        scope.follow("/y", call, lambda _: None)
        scope.cancel()
        del call, scope
    edge.scope.exists("/x", lambda _: None, watch=lambda: None)
    edge.event(Tick())
    edge.event(Fired("/y/z", EventType.CREATED))
    edge.event(Tick(), 101.0)  # when the next timer is due, the heart's
    gc.collect()
    assert not any(ref() for ref in kept)


def test_who_reads_several_is_told_once_in_their_order_and_who_reads_none_at_once() -> None:
    edge = Edge()
    edge.scope.get_all([], edge.heard.append)
    assert edge.heard == [[]]
    edge.heard.clear()
    edge.scope.get_all(["/a", "/b", "/c"], edge.heard.append)
    numbers = [c.number for c in edge.event(Tick()) if isinstance(c, Request)]
    for number, result in zip(numbers, "abc", strict=True):
        assert edge.heard == []
        edge.event(Reply(number, result))  # type: ignore[arg-type]  # whatever comes
    assert edge.heard == [["a", "b", "c"]]


# ---------------------------------------------------------------- the end


def test_the_end_is_asked_for_once_and_comes_after_the_last_part() -> None:
    edge = Edge()
    other = Part(edge.process)
    assert not edge.process.alone
    edge.event(Stop())
    edge.event(Stop())
    assert (edge.part.told, other.told) == (["stop"], ["stop"])
    edge.process.part_stopped(other)
    assert edge.event(Tick()) == []
    assert edge.process.alone
    edge.process.part_stopped(edge.part)
    assert edge.event(Tick()) == [Close()]


def test_nobody_ends_who_was_not_asked_to() -> None:
    edge = Edge()
    edge.process.part_stopped(edge.part)
    assert edge.event(Tick()) == []


def test_a_session_that_is_being_closed_is_not_given_up_as_well() -> None:
    edge = Edge()
    edge.part.expired = lambda: edge.process.part_stopped(edge.part)  # type: ignore[method-assign]  # a part of this test
    edge.event(Stop())
    assert edge.event(Tick(), 100.0 + LEASE) == [Close()]
