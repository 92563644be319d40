"""What programs ask of tables of shards, on an ensemble that answers at once, and on none."""

import asyncio
import inspect
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any

import pytest

from mwapp import AsyncClient, AsyncTable, Client, Table
from mwapp.client import tables
from mwapp.client.tables import Tables, carry_out, table_of
from mwapp.core.messages import Create, Op, Set
from mwapp.core.shards.protocol import Member, Record, Report, encode_page
from mwapp.core.shards.protocol import Table as Asked
from mwapp.errors import (
    BadInputError,
    ClosedError,
    MwappError,
    NotFoundError,
    RefusedError,
    TimedOutError,
    UnreachableError,
)
from mwapp.status.overview import Look
from mwapp.status.shards import ShardsView, TableView
from testbed.waiting import LONGEST_WAIT, wait_for
from tests.unit.core_stage import Actor, Person, Stage
from tests.unit.zk_server import Server

pytestmark = pytest.mark.servers

NOBODY = "127.0.0.1:1"  # no server listens there


class OnStage:
    """As mwapp.client.background.Background, with a client on the stage for each thing that is asked."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.loses: Callable[[Any], bool] | None = None  # the first answer to such a request
        self.before: Callable[[], object] = lambda: None  # another client is faster

    def ask(self, build: Callable[..., Any]) -> "Future[Any]":
        future: Future[Any] = Future()
        actor = Actor(self.stage)
        build(actor.process, future.set_result)
        loses, self.loses = self.loses, None
        if loses is not None:
            actor.loses = loses
        actor.connect()
        if loses is not None:
            actor.resume()
        return future

    def look(self, read: Callable[..., None]) -> "Future[Any]":
        return self.ask(lambda process, finished: Look(process, lambda scope: read(scope, finished)))


class Clock:
    """Of who waits. ``then`` happens at the pauses, one after the other."""

    def __init__(self) -> None:
        self.now = 0.0
        self.then: list[Callable[[], object]] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert 0 <= seconds <= 0.2
        self.now += seconds
        if self.then:
            self.then.pop(0)()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(tables, "time", clock)
    return clock


@pytest.fixture
def session(stage: Stage) -> OnStage:
    return OnStage(stage)


@pytest.fixture
def talks(session: OnStage, clock: Clock) -> Tables:  # noqa: ARG001 - the clock is in force
    return Tables(session)  # type: ignore[arg-type]  # all that it uses of a Background


@pytest.fixture
def person(stage: Stage) -> Person:
    return stage.person()


SYNC = Member(0, "sync")


def holder(person: Person, worker: str, **said: Any) -> None:
    """It says that of its shards."""
    shards = {("t", int(shard[1:])): saying for shard, saying in said.items()}
    person.create(f"/holders/{worker}", Report(0, shards=shards).encode().decode(), e=True)


def page(person: Person, *records: Record) -> None:
    """Who has the shards of the table."""
    data = encode_page(dict(enumerate(records))).decode()
    person.delete("/shards/t/0")
    person.create("/shards/t/0", data)


@pytest.fixture
def table(talks: Tables, person: Person) -> Tables:
    """A table of two shards that w1 has, and w2 is there."""
    carry_out(talks.create("t", Asked(2)))
    holder(person, "w1", s0=(7, "serving"), s1=(7, "serving"))
    holder(person, "w2")
    person.create("/shards/t/0", encode_page(dict.fromkeys((0, 1), Record(7, "w1", {"w1": SYNC}))).decode())
    return talks


# ---------------------------------------------------------------- create, look, wait


def test_a_table_is_made_once(talks: Tables, stage: Stage) -> None:
    carry_out(talks.create("t", Asked(2)))
    assert stage.data("/shards/t") == '{"shards":2,"shared":true}'
    with pytest.raises(RefusedError, match=r"^name: t exists already \(mwapp shards show t\)"):
        carry_out(talks.create("t", Asked(2)))


def test_what_the_ensemble_forbids_is_told_with_what_was_wanted(table: Tables, stage: Stage) -> None:
    stage.forbids = lambda op: isinstance(op, Create | Set)
    for talk, what in (
        (table.create("u", Asked(1)), "create the table u"),
        (table.resize("t", 3), "change the table t"),
        (table.delete("t"), "delete the table t"),
        (table.move("t", 0, ["w2"]), "move t 0"),
        (table.drain("w1"), "drain w1"),
    ):
        with pytest.raises(RefusedError, match=rf"the ensemble refuses to {what} \(refused\)"):
            carry_out(talk)


def test_a_table_is_shown_and_each_of_its_shards(table: Tables) -> None:
    assert [state.state for state in carry_out(table.show("t"))] == ["serving", "serving"]
    assert carry_out(table.shard("t", 1)).primary == "w1"
    with pytest.raises(NotFoundError, match="shard: t has no shard 2"):
        carry_out(table.shard("t", 2))
    (state,) = carry_out(table.tables())
    assert (state.table, state.state, state.shards, state.vacant) == ("t", "active", 2, 0)
    for talk in (table.show("u"), table.shard("u", 0), table.wait("u")):
        with pytest.raises(NotFoundError, match="no such table: u"):
            carry_out(talk)


def test_who_waits_for_a_table_waits_for_all_of_its_shards(
    table: Tables, person: Person, clock: Clock
) -> None:
    carry_out(table.wait("t"))
    assert clock.now == 0
    carry_out(table.resize("t", 3))
    three = [Record(7, "w1", {"w1": SYNC})] * 3
    clock.then = [lambda: page(person, *three), lambda: person.delete("/holders/w1")]
    clock.then.append(lambda: holder(person, "w1", s0=(7, "serving"), s1=(7, "serving"), s2=(7, "serving")))
    carry_out(table.wait("t"))
    assert clock.then == []
    person.set("/shards/t", '{"shards":4}')
    with pytest.raises(TimedOutError, match=r"^1 of 4 shards of t have no primary at work$"):
        carry_out(table.wait("t", 1))
    assert clock.now == pytest.approx(1.6)


def test_nobody_waits_for_a_table_that_is_being_deleted(table: Tables, person: Person) -> None:
    person.set("/shards/t", "delete")
    with pytest.raises(NotFoundError, match="it is being deleted"):
        carry_out(table.wait("t"))


def test_who_waits_long_hears_for_what_and_when_that_changes(
    session: OnStage, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    well = ShardsView({"t": TableView("t", Asked(1))})
    spoilt = ShardsView({"t": TableView("t", None, "shards: no")})
    looks = [(at, spoilt if at >= 30 else well) for at in (1.0, 9.0, 10.0, 25.0, 30.0, 31.0)]
    last = ShardsView()
    looks.append((32.0, last))

    def see(*_: Any) -> Generator[Any, Any, ShardsView]:
        clock.now, view = looks.pop(0)
        return view
        yield 0.0

    said: list[str] = []
    talks = Tables(session, say=said.append)  # type: ignore[arg-type]  # as above
    monkeypatch.setattr(talks, "see", see)
    assert carry_out(talks._await("t", lambda view: "that" if view.tables else None, None)) is last
    assert said == ["that", "that; shards: no: set the znode /shards/t right"]


# ---------------------------------------------------------------- resize


def test_a_table_gets_more_shards_and_keeps_what_else_it_is(talks: Tables, stage: Stage) -> None:
    carry_out(talks.create("t", Asked(2, 3, "zone", command="serve")))
    for _ in range(2):
        carry_out(talks.resize("t", 5))
        assert Asked.decode((stage.data("/shards/t") or "").encode()) == Asked(
            5, 3, "zone", command="serve", shared=False
        )


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (
            '{"shards":6}',
            RefusedError,
            "shards: t cannot have 5: it has 6, and cannot have fewer: what is in",
        ),
        ("delete", RefusedError, "shards: t cannot have 5: it is being deleted"),
        ("{", RefusedError, "shards: t cannot have 5: a table is a JSON object"),
    ],
)
def test_a_table_that_cannot_have_so_many_shards_says_why(
    table: Tables, person: Person, data: str, error: type[MwappError], message: str
) -> None:
    person.set("/shards/t", data)
    with pytest.raises(error, match=message):
        carry_out(table.resize("t", 5))


def test_a_table_in_too_many_znodes_cannot_be_and_one_that_is_not_there(table: Tables) -> None:
    carry_out(table.create("small", Asked(2, page=1)))
    with pytest.raises(RefusedError, match="page: 1: 2001 shards would be in more than 2000 znodes"):
        carry_out(table.resize("small", 2001))
    with pytest.raises(NotFoundError, match="no such table: u"):
        carry_out(table.resize("u", 5))


def test_a_resize_whose_reply_is_lost_is_done(table: Tables, session: OnStage, stage: Stage) -> None:
    session.loses = lambda request: '"shards":5' in str(request.operation)
    carry_out(table.resize("t", 5))
    assert '"shards":5' in (stage.data("/shards/t") or "")


def test_a_resize_does_not_undo_what_another_client_has_changed_meanwhile(
    table: Tables, stage: Stage, person: Person
) -> None:
    changed: list[Op] = []

    def forbids(op: Op) -> bool:  # not, but somebody is faster
        if isinstance(op, Set) and not changed:
            changed.append(op)
            person.set("/shards/t", '{"shards":3,"replicas":2}')
        return False

    stage.forbids = forbids
    carry_out(table.resize("t", 5))
    assert Asked.decode((stage.data("/shards/t") or "").encode()) == Asked(5, 2)


# ---------------------------------------------------------------- delete, move, drain


def test_who_deletes_a_table_waits_until_it_is_gone(table: Tables, person: Person, clock: Clock) -> None:
    gone: list[Callable[[], object]] = [
        lambda: person.delete("/shards/t/0"),
        lambda: person.delete("/shards/t"),
    ]
    with pytest.raises(TimedOutError, match=r"^2 shards of t are not closed yet$"):
        carry_out(table.delete("t", 0.5))
    clock.then = gone
    carry_out(table.delete("t"))
    assert clock.then == []
    with pytest.raises(NotFoundError, match="no such table: t"):
        carry_out(table.delete("t"))


def test_a_table_that_somebody_wants_again_is_not_deleted(
    table: Tables, person: Person, clock: Clock
) -> None:
    clock.then = [lambda: person.set("/shards/t", '{"shards":1}')]
    with pytest.raises(RefusedError, match="somebody has set /shards/t meanwhile"):
        carry_out(table.delete("t"))


def test_who_need_not_wait_does_not(table: Tables, stage: Stage, clock: Clock) -> None:
    carry_out(table.drain("w1", wait=False))
    assert stage.children("/drains") == ["w1"]
    carry_out(table.undrain("w1"))
    assert stage.children("/drains") == []
    carry_out(table.delete("t", wait=False))
    assert (stage.data("/shards/t"), clock.now) == ("delete", 0)


def _moves(person: Person, *steps: Callable[[], object]) -> list[Callable[[], object]]:
    """The master's part: first it takes the request."""

    def take() -> None:
        page(person, Record(7, "w1", {"w1": SYNC}, ("w2",)), Record(7, "w1", {"w1": SYNC}))
        person.delete("/moves/t:0")

    return [take, *steps]


def test_who_moves_a_shard_waits_until_the_next_owner_is_at_work(
    table: Tables, person: Person, clock: Clock
) -> None:
    def moved() -> None:
        page(person, Record(8, "w2", {"w2": SYNC}), Record(7, "w1", {"w1": SYNC}))

    def serves() -> None:
        person.delete("/holders/w2")
        holder(person, "w2", s0=(8, "serving"))

    clock.then = _moves(person, moved, serves)
    assert carry_out(table.move("t", 0, ["w2"])) is False
    assert clock.then == []
    assert carry_out(table.move("t", 0, ["w2"])) is True, "it was there already"


def test_the_replicas_of_a_move_have_no_order(table: Tables, person: Person, clock: Clock) -> None:
    holder(person, "w3")
    three = {"w1": SYNC, "w2": SYNC, "w3": SYNC}
    page(person, Record(7, "w1", three), Record(7, "w1", {"w1": SYNC}))

    def moved() -> None:
        page(person, Record(8, "w2", three), Record(7, "w1", {"w1": SYNC}))
        person.delete("/holders/w2")
        holder(person, "w2", s0=(8, "serving"))
        person.delete("/moves/t:0")

    clock.then = [moved]
    assert carry_out(table.move("t", 0, ["w2", "w3", "w1"])) is False
    assert carry_out(table.move("t", 0, ["w2", "w1", "w3"])) is True
    clock.then = [lambda: person.delete("/moves/t:0")]
    with pytest.raises(RefusedError, match="t 0 does not move"):
        carry_out(table.move("t", 0, ["w3", "w2", "w1"]))


def test_a_move_to_a_replica_that_the_shard_is_not_to_have_is_refused(
    table: Tables, person: Person, clock: Clock
) -> None:
    holder(person, "w3")
    page(person, Record(7, "w1", {"w1": SYNC, "w2": SYNC}), Record(7, "w1", {"w1": SYNC}))
    clock.then = [lambda: person.delete("/moves/t:0")]
    with pytest.raises(RefusedError, match="t 0 does not move"):
        carry_out(table.move("t", 0, ["w1", "w3"]))


def test_a_move_has_begun_when_the_master_has_taken_it(table: Tables, person: Person, clock: Clock) -> None:
    clock.then = _moves(person)
    carry_out(table.move("t", 0, ["w2"], wait=False))
    assert clock.then == []
    clock.then = _moves(person)
    with pytest.raises(TimedOutError, match="t 0 has not moved yet"):
        carry_out(table.move("t", 0, ["w2"], 1))


@pytest.mark.parametrize(("timeout", "lasts"), [(None, 15.0), (3.0, 3.0)])
def test_without_a_master_nobody_waits_for_a_move_for_ever(
    table: Tables, clock: Clock, timeout: float | None, lasts: float
) -> None:
    with pytest.raises(TimedOutError, match="the master has not answered: is one active"):
        carry_out(table.move("t", 0, ["w2"], timeout))
    assert clock.now == pytest.approx(lasts)
    with pytest.raises(RefusedError, match="somebody has just asked to move t 0"):
        carry_out(table.move("t", 0, ["w2"]))


def test_a_move_that_the_master_has_refused_is_told(table: Tables, person: Person, clock: Clock) -> None:
    clock.then = [lambda: person.delete("/moves/t:0")]
    with pytest.raises(RefusedError, match="t 0 does not move: the master's log says why"):
        carry_out(table.move("t", 0, ["w2"]))


def test_what_is_moved_and_is_deleted_meanwhile_is_not_there(
    table: Tables, person: Person, clock: Clock
) -> None:
    clock.then = _moves(person, lambda: person.set("/shards/t", "delete"))
    with pytest.raises(NotFoundError, match="it was deleted, or is being deleted"):
        carry_out(table.move("t", 0, ["w2"]))


@pytest.mark.parametrize(
    ("shard", "workers", "error", "message"),
    [
        (2, ["w2"], NotFoundError, "^shard: t has no shard 2"),
        (0, ["w9"], NotFoundError, "^workers: w9 is not there"),
        (0, ["w3"], RefusedError, "^workers: w3 is drained"),
        (0, ["w2", "w1"], BadInputError, "^workers: 2 of them: a shard of t has fewer replicas"),
        (0, [], BadInputError, "^workers: name at least one"),
        (0, ["w1", "w1"], BadInputError, "^workers: the same one is there twice"),
        (0, [7], BadInputError, "^workers: '7': no worker can have that name"),
        (0, ["a/b"], BadInputError, "^workers: 'a/b': no worker can have that name"),
        (-1, ["w1"], BadInputError, "^shard: -1 is not a whole number from 0 to"),
        ("0", ["w1"], BadInputError, "^shard: '0' is not a whole number"),
        (True, ["w1"], BadInputError, "^shard: True is not a whole number"),
    ],
)
def test_a_move_that_cannot_be_is_told_before_the_master_is_asked(
    table: Tables,
    stage: Stage,
    person: Person,
    shard: int,
    workers: Any,
    error: type[MwappError],
    message: str,
) -> None:
    holder(person, "w3")
    person.create("/drains/w3")
    with pytest.raises(error, match=message):
        carry_out(table.move("t", shard, workers))
    assert stage.children("/moves") == []


def test_who_drains_a_worker_waits_until_it_has_nothing(table: Tables, person: Person, clock: Clock) -> None:
    with pytest.raises(TimedOutError, match="w1 has 2 shards"):
        carry_out(table.drain("w1", 1))
    clock.then = [lambda: page(person, *[Record(8, "w2", {"w2": SYNC})] * 2)]
    carry_out(table.drain("w1"))
    assert clock.then == []


def test_without_any_table_there_is_nothing_to_drain(talks: Tables) -> None:
    with pytest.raises(NotFoundError, match="there is no table of shards"):
        carry_out(talks.drain("w1"))
    carry_out(talks.undrain("w1"))


# ---------------------------------------------------------------- what cannot be asked


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "^shards: None: use a whole number from 1 to 100000"),
        ({"shards": "4"}, "^shards: '4': use a whole number"),
        ({"shards": 4, "replicas": 0}, "^replicas: 0: use a whole number from 1 to 16"),
        ({"shards": 4, "replica": 2}, "^replica: no such setting of a table"),
        ({"shards": 4, "spread": "zone=a"}, "^spread: use its name alone"),
        ({"shards": 4, "spread": "ö"}, "^spread: label"),
        ({"shards": 4, "handler": object}, "^handler: <class 'object'>: use a string"),
        ({"shards": 4, "handler": " "}, "^handler: it is empty"),
        ({"shards": 4, "handler": "a:B", "command": "c"}, "^handler: give it or command, not both"),
        ({"shards": 4, "command": "\udc80"}, "^command: .*: use text in UTF-8"),
        ({"shards": 4, "command": "x" * 70_000}, "^command: use at least one character, and at most 65536"),
        ({"shards": 4, "shared": 1}, "^shared: 1: use true or false"),
        ({"shards": 4, "grace": float("nan")}, "^grace: nan: use seconds"),
        ({"shards": 4, "copies": 1.5}, "^copies: 1.5: use a whole number"),
        ({"shards": 3000, "page": 1}, "^page: 1: 3000 shards would be in more than 2000 znodes"),
    ],
)
def test_a_table_that_cannot_be_names_the_option(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInputError, match=message):
        table_of(options)


def test_options_that_are_none_are_left_out() -> None:
    options = dict.fromkeys(("spread", "handler", "command", "shared"))
    assert table_of({"shards": 4, **options}) == Asked(4)


@pytest.fixture
def client() -> Iterator[Client]:
    with Client(NOBODY, connect_timeout=0.2) as client:
        yield client


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda client: client.table("a/b"), "^name: table 'a/b': use letters"),
        (lambda client: client.table(7), "^name: 7 is not text"),
        (lambda client: client.table("t").create(shards=0), "^shards: 0"),
        (lambda client: client.table("t").resize(0), "^shards: 0 is not a whole number from 1 to 100000"),
        (lambda client: client.table("t").resize("4"), "^shards: '4' is not a whole number"),
        (lambda client: client.table("t").wait(-1), "^timeout: -1 is not a number of seconds"),
        (lambda client: client.table("t").shard("x"), "^shard: 'x'"),
        (lambda client: client.table("t").move(0), "^workers: name at least one"),
        (lambda client: client.drain("a b"), "^worker: 'a b': no worker can have that name"),
        (lambda client: client.undrain(""), "^worker: '': no worker"),
    ],
)
def test_what_cannot_be_asked_is_told_before_anybody_is_asked(
    client: Client, call: Callable[[Client], object], message: str
) -> None:
    with pytest.raises(BadInputError, match=message):
        call(client)


# ---------------------------------------------------------------- nobody answers

CALLS: list[Callable[[Any], Any]] = [
    lambda client: client.table("t").create(shards=2, timeout=None),
    lambda client: client.table("t").wait(),
    lambda client: client.table("t").show(),
    lambda client: client.table("t").shard(1),
    lambda client: client.table("t").resize(3),
    lambda client: client.table("t").move(1, "w1"),
    lambda client: client.table("t").delete(),
    lambda client: client.tables(),
    lambda client: client.drain("w1"),
    lambda client: client.undrain("w1"),
]


def test_without_an_ensemble_every_call_says_so(client: Client) -> None:
    for call in CALLS:
        with pytest.raises(UnreachableError, match="the ensemble has not answered for"):
            call(client)
    wait_for("nothing is worked on", lambda: not client._background._process._parts)


def test_without_an_ensemble_every_call_of_asyncio_says_so() -> None:
    async def ask() -> None:
        async with AsyncClient(NOBODY, connect_timeout=0.2) as client:
            for call in CALLS:
                with pytest.raises(UnreachableError, match="the ensemble has not answered for"):
                    await call(client)

    asyncio.run(ask())


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr("mwapp.loop.CLOSE_SECONDS", 0.05)
    server = Server(silent=True)  # nothing that is asked is ever answered
    yield server
    server.close()


LATE: list[tuple[Callable[[Any], Any], str]] = [
    (lambda it: it.table("t").create(shards=2, timeout=0.05), "whether t was created is unknown"),
    (lambda it: it.table("t").resize(3, timeout=0.05), "whether t has 3 shards is unknown"),
    (lambda it: it.table("t").delete(0.05), "whether t is to be deleted is unknown"),
    (lambda it: it.drain("w1", timeout=0.05), "whether w1 is drained is unknown"),
    (lambda it: it.table("t").wait(0.05), "the ensemble has not answered in time"),
    (lambda it: it.table("t").move(1, "w1", timeout=0.05), "the ensemble has not answered in time"),
]


def test_a_timeout_ends_every_call_and_what_was_not_sent_is_not_sent_later(server: Server) -> None:
    with Client(server.connect, connect_timeout=LONGEST_WAIT) as client:
        for call, message in LATE:
            with pytest.raises(TimedOutError, match=message):
                call(client)
        wait_for("nothing is worked on", lambda: not client._background._process._parts)


def test_a_timeout_ends_every_call_of_asyncio(server: Server) -> None:
    async def ask() -> None:
        async with AsyncClient(server.connect, connect_timeout=LONGEST_WAIT) as client:
            for call, message in LATE:
                with pytest.raises(TimedOutError, match=message):
                    await call(client)
            waiting = asyncio.create_task(client.table("t").wait())
            await asyncio.sleep(0.05)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert not client._background._open

    asyncio.run(ask())


def test_a_client_that_is_closed_answers_nobody(client: Client) -> None:
    table = client.table("t")
    client.close()
    for call in (table.show, table.wait, client.tables, partial(client.drain, "w1")):
        with pytest.raises(ClosedError, match="this client is closed"):
            call()


def test_both_clients_can_do_the_same() -> None:
    for one, other in ((Table, AsyncTable), (Client, AsyncClient)):
        for name, method in vars(one).items():
            if not name.startswith("_") and inspect.isfunction(method):
                theirs = inspect.signature(getattr(other, name)).parameters
                assert theirs.keys() == inspect.signature(method).parameters.keys(), name
