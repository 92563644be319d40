"""Scenes of shards: a master, workers with handlers that answer at once, and people, on an ensemble without
faults."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from mwapp.core.client import Submit
from mwapp.core.election import Election
from mwapp.core.master import Master
from mwapp.core.messages import (
    Check,
    Children,
    CloseShard,
    Command,
    Delete,
    DemoteShard,
    Exists,
    Get,
    OpenShard,
    PromoteShard,
    Set,
    ShardSays,
    Stop,
    Transaction,
)
from mwapp.core.shards.controller import Controller
from mwapp.core.shards.duty import Both
from mwapp.core.shards.holder import Holder
from mwapp.core.shards.protocol import SHARD_PARENTS, Record, Report, Table, decode_page
from mwapp.core.task import Task
from mwapp.core.worker import Worker
from tests.unit.core_stage import SESSION_SECONDS, Actor, Person, Stage

TWO = Table(4, 2, shared=False)
_UNHEARD: dict[str, Any] = dict.fromkeys(("accepted", "refused", "finished"), lambda *_: None)


class ShardActor(Actor):
    """A worker whose handlers answer at once, unless told to be silent."""

    def __init__(self, stage: Stage, name: str, labels: tuple[str, ...] = ()) -> None:
        super().__init__(stage)
        self.name = name
        self.handlers: dict[int, OpenShard] = {}
        self.primaries: dict[int, int] = {}  # shard, generation
        self.told: list[Command] = []
        self.silent: set[type[Command]] = set()
        self.stays = False  # handlers do not die for now: they wait for a dead disk
        self._dying: list[int] = []
        self.failing: set[int] = set()  # shards whose handlers end as soon as they serve
        self.die_later = False  # its handlers: not when they are told
        self.address = ""  # of all its handlers
        self.worker = Worker(self.process, name, f"{name}:2224", labels=labels)
        self.holder = Holder(self.process, name, labels=labels)

    @property
    def shards(self) -> list[int]:
        """What it has."""
        return sorted(opened.shard for opened in self.handlers.values())

    def break_(self, shard: int) -> None:
        """The handler ends by itself."""
        run = next(run for run, opened in self.handlers.items() if opened.shard == shard)
        self._gone(run, "exit status 1")
        self._stage.settle()

    def let_go(self) -> None:
        """They die now."""
        self.stays = False
        for run in self._dying:
            self._gone(run)
        self._stage.settle()

    def _gone(self, run: int, reason: str | None = None) -> None:
        opened = self.handlers.pop(run, None)
        if opened is not None:
            self.primaries.pop(opened.shard, None)
            self.event(ShardSays(run, "closed", 0, reason))

    def _carry_out(self, command: Command) -> None:
        super()._carry_out(command)
        if not isinstance(command, OpenShard | PromoteShard | DemoteShard | CloseShard):
            return
        self.told.append(command)
        if isinstance(command, OpenShard):
            self.handlers[command.run] = command
        if type(command) in self.silent and not (isinstance(command, CloseShard) and not command.grace):
            return
        run = command.run
        if isinstance(command, CloseShard) and self.stays:
            self._dying.append(run)
            return
        if isinstance(command, CloseShard):
            if not self.die_later:
                self._stage.soon(lambda: self._gone(run))
            return
        for said in self._answers(command):
            says = ShardSays(run, said, command.generation, address=self.address)
            self._stage.soon(lambda says=says: self.event(says))  # type: ignore[misc]  # mypy infers no lambda with a default
        if isinstance(command, PromoteShard) and self.handlers[run].shard in self.failing:
            self._stage.soon(lambda: self._gone(run, "exit status 127"))

    def _answers(self, command: OpenShard | PromoteShard | DemoteShard) -> Iterable[str]:
        shard = self.handlers[command.run].shard
        if isinstance(command, PromoteShard):
            self.primaries[shard] = command.generation
            return ("serving",)
        self.primaries.pop(shard, None)
        return (
            ("released",)
            if isinstance(command, DemoteShard) and command.to is not None
            else ("open", "ready")
        )


def _master(stage: Stage, name: str = "m", wall: Callable[[], float] = lambda: 5.0) -> Actor:
    actor = Actor(stage)
    actor.master = Master(actor.process, wall=lambda: 5.0)
    both = Both(actor.master, Controller(actor.process, wall=wall))
    actor.election = Election(actor.process, name, f"{name}:2223", both)
    return actor.connect()


def _workers(stage: Stage, *names: str) -> list[ShardActor]:
    workers = [ShardActor(stage, name) for name in names]
    for worker in workers:
        worker.connect()
    return workers


def _table(stage: Stage, person: Person, table: Table, name: str = "t") -> None:
    for parent in SHARD_PARENTS:
        if stage.data(parent) is None:
            person.create(parent)
    person.create(f"/shards/{name}", table.encode().decode())
    stage.settle(1.0)


def _records(stage: Stage, name: str = "t") -> dict[int, Record]:
    records: dict[int, Record] = {}
    for page in stage.children(f"/shards/{name}"):
        records |= decode_page((stage.data(f"/shards/{name}/{page}") or "").encode()) or {}
    return records


def _owners(*workers: ShardActor) -> list[int]:
    return sorted(shard for worker in workers for shard in worker.primaries)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_without_a_table_there_is_one_read_for_each_connection(stage: Stage) -> None:
    master, (worker,) = _master(stage), _workers(stage, "a")
    stage.settle(30.0)
    looks = [Exists("/shards", watch=True)]
    for actor in (master, worker):
        assert [op for op in actor.sent if getattr(op, "path", "").startswith("/shards")] == looks
        assert not any("/holders" in str(op) for op in actor.sent)
    assert "shards" not in master.election.status()


def _parents(person: Person) -> None:
    """As access control lists make them, before there is any table."""
    for parent in SHARD_PARENTS:
        person.create(parent)


def test_without_a_table_a_holder_sends_nothing_but_two_reads_where_lists_have_made_the_parents(
    stage: Stage,
) -> None:
    _parents(stage.person())
    _master(stage)
    plain = stage.worker("b")
    (worker,) = _workers(stage, "a")
    stage.settle(60.0)
    assert len(worker.sent) == len(plain.sent) + 2, "as many as a worker that knows no shards"
    looks = [op for op in worker.sent if getattr(op, "path", "") in SHARD_PARENTS]
    assert looks == [Exists("/shards", watch=True), Children("/shards", watch=True)]
    assert stage.children("/holders") == []
    worker.stop()
    assert not worker.alive


def test_with_the_last_table_a_holder_falls_silent_and_the_next_one_wakes_it(stage: Stage) -> None:
    _master(stage)
    (a,) = _workers(stage, "a")
    person = stage.person()
    _table(stage, person, Table(2))
    assert _owners(a) == [0, 1]
    person.set("/shards/t", "delete")
    stage.settle(1.0)
    before = sum("/holders" in str(op) for op in a.sent)
    stage.settle(60.0)
    assert sum("/holders" in str(op) for op in a.sent) == before
    a.cut()
    a.resume()
    stage.settle(60.0)
    assert sum("/holders" in str(op) for op in a.sent) == before
    _table(stage, person, Table(3))
    assert _owners(a) == [0, 1, 2]


def test_a_holder_leaves_without_deleting_anything_and_gets_nothing_more(stage: Stage) -> None:
    """With lists workers may not delete below /holders. It has a task to finish, and no shards."""
    _master(stage)
    (a,) = _workers(stage, "a")
    person = stage.person()
    _table(stage, person, Table(1))
    person.set("/shards/t", "delete")
    stage.settle(1.0)
    stage.client(lambda process: Submit(process, [Task("sleep", key="k")], **_UNHEARD))
    assert a.runs
    a.stop()
    assert a.alive
    assert stage.data("/holders/a") == ""
    _table(stage, person, Table(1))
    stage.settle(5.0)
    assert _records(stage) == {}
    (b,) = _workers(stage, "b")
    stage.settle(1.0)
    assert _owners(b) == [0]
    assert not any(isinstance(op, Transaction) and _deletes_holder(op) for op in a.sent)


def _deletes_holder(transaction: Transaction) -> bool:
    return any(isinstance(op, Delete) and op.path.startswith("/holders") for op in transaction.ops)


def test_a_table_has_its_owners_evenly(stage: Stage) -> None:
    master, (a, b) = _master(stage), _workers(stage, "a", "b")
    _table(stage, stage.person(), TWO)
    assert _owners(a, b) == [0, 1, 2, 3]
    assert (len(a.primaries), a.shards, b.shards) == (2, [0, 1, 2, 3], [0, 1, 2, 3])
    records = _records(stage)
    assert {record.since for record in records.values()} == {5}
    assert all(record.target is None for record in records.values())
    told = master.election.status()["shards"]["tables"]["t"]
    well = {"without_primary": 0, "failed": 0, "under_replicated": 0, "moving": 0}
    assert told == {"problem": None, "shards": 4} | well
    assert all(generation == records[shard].generation for shard, generation in a.primaries.items())


def test_a_table_without_workers_has_shards_without_owners(stage: Stage) -> None:
    master = _master(stage)
    _table(stage, stage.person(), TWO)
    told = master.election.status()["shards"]["tables"]["t"]
    assert (told["shards"], told["without_primary"], told["failed"]) == (4, 4, 0)


def test_shards_whose_handlers_fail_or_are_silent_are_told(stage: Stage) -> None:
    now = 5.0
    master = _master(stage, wall=lambda: now)
    (a,) = _workers(stage, "a")
    _table(stage, stage.person(), Table(3))
    a.silent = {OpenShard, PromoteShard}

    def failed() -> int:
        told = master.election.status()["shards"]["tables"]["t"]
        assert told["without_primary"] == 0
        return int(told["failed"])

    assert failed() == 0
    a.break_(0)
    assert failed() == 1
    stage.settle(3.0)
    assert [command.shard for command in a.told if isinstance(command, OpenShard)].count(0) == 2
    assert failed() == 1, "it has begun again, and is not at work"
    a.silent = set()
    stage.settle(45.0)
    assert failed() == 0
    a.silent = {OpenShard, PromoteShard}
    stage.person().set("/shards/t", Table(6).encode().decode())
    stage.settle(10.0)
    assert failed() == 0, "it may take its time"
    now += 40.0
    assert failed() == 3


def test_workers_that_come_later_get_their_part(stage: Stage) -> None:
    _master(stage)
    (a,) = _workers(stage, "a")
    _table(stage, stage.person(), TWO)
    assert len(a.primaries) == 4
    b, c = _workers(stage, "b", "c")
    stage.settle(2.0)
    assert _owners(a, b, c) == [0, 1, 2, 3]
    assert sorted(len(w.shards) for w in (a, b, c)) == [2, 3, 3]


def test_of_shared_data_another_worker_is_the_owner_at_once(stage: Stage) -> None:
    _master(stage)
    a, b = _workers(stage, "a", "b")
    _table(stage, stage.person(), Table(2))
    assert len(a.primaries) == len(b.primaries) == 1
    a.die()
    assert _owners(b) == [0, 1]


def test_what_the_master_writes_is_for_its_epoch_and_the_incarnation_that_it_knows(stage: Stage) -> None:
    _master(stage).die()
    master = _master(stage, "n")
    (a,) = _workers(stage, "a")
    a.die()
    _workers(stage, "a")
    _table(stage, stage.person(), Table(2))
    written = [op for op in master.sent if isinstance(op, Transaction) and "/shards/" in str(op)]
    assert [op.ops[:3] for op in written] == [
        (Check("/epoch", 2), Check("/holders/a"), Check("/assign/a", 1))
    ]


def test_the_shards_of_a_dead_worker_have_new_owners_at_once_and_copies_after_the_grace(stage: Stage) -> None:
    _master(stage)
    a, b, c = _workers(stage, "a", "b", "c")
    _table(stage, stage.person(), TWO)
    before = _records(stage)
    a.die()
    assert _owners(b, c) == [0, 1, 2, 3]
    after = _records(stage)
    assert all(after[shard].generation == before[shard].generation + 1 for shard in a.shards)
    assert all(record.primary != "a" and "a" not in record.members for record in after.values())
    assert any(len(record.members) == 1 for record in after.values())
    stage.settle(55.0)
    assert any(len(record.members) == 1 for record in _records(stage).values())
    stage.settle(10.0)
    assert all(
        set(record.members) == {"b", "c"} and record.target is None for record in _records(stage).values()
    )


def test_a_worker_that_is_back_in_time_has_its_shards_again_and_nothing_else_moves(stage: Stage) -> None:
    _master(stage)
    a, _b, _c = _workers(stage, "a", "b", "c")
    _table(stage, stage.person(), TWO)
    before = _records(stage)
    a.die()
    (again,) = _workers(stage, "a")
    stage.settle(2.0)
    after = _records(stage)
    assert {shard: (r.primary, set(r.members)) for shard, r in after.items()} == {
        shard: (r.primary, set(r.members)) for shard, r in before.items()
    }
    assert again.shards == a.shards


def test_handlers_are_killed_before_the_session_can_end(stage: Stage) -> None:
    _master(stage)
    a, b = _workers(stage, "a", "b")
    _table(stage, stage.person(), TWO)
    a.cut()
    stage.settle(SESSION_SECONDS * 0.6)
    assert a.primaries
    assert not b.primaries.keys() & a.primaries.keys()
    stage.settle(SESSION_SECONDS * 0.36)
    assert not a.handlers
    assert all(command.grace == 0 for command in a.told if isinstance(command, CloseShard))


def test_a_handler_is_told_how_long_the_session_lasts(stage: Stage) -> None:
    _master(stage)
    (a,) = _workers(stage, "a")
    _table(stage, stage.person(), Table(1))
    told = [command for command in a.told if isinstance(command, OpenShard | PromoteShard)]
    assert len(told) == 2
    assert all(command.until < stage.now + SESSION_SECONDS for command in told)


def test_the_next_incarnation_does_not_begin_while_handlers_of_the_last_are_dying(stage: Stage) -> None:
    _master(stage)
    (a,) = _workers(stage, "a")
    _table(stage, stage.person(), Table(2))
    dying, a.die_later = list(a.handlers), True
    a.expire()
    a.connect()
    stage.settle(8.0)
    assert stage.children("/workers") == ["a"]
    assert stage.children("/holders") == []
    for run in dying:
        a._gone(run)
    stage.settle(2.0)
    assert stage.children("/holders") == ["a"]
    assert _owners(a) == [0, 1]
    assert not a.handlers.keys() & set(dying)


def test_a_worker_says_nothing_for_another_incarnation(stage: Stage) -> None:
    _master(stage)
    _workers(stage, "a")[0].die()
    (a,) = _workers(stage, "a")
    _table(stage, stage.person(), Table(2))
    said = [op for op in a.sent if isinstance(op, Transaction) and op.ops[-1].path == "/holders/a"]
    assert said
    assert {op.ops[0] for op in said} == {Check("/assign/a", 1)}


def test_who_has_no_session_is_no_holder(stage: Stage) -> None:
    _master(stage)
    _workers(stage, "b")[0].die()
    _workers(stage, "a")
    person = stage.person()
    _table(stage, person, Table(1))
    person.create("/holders/b", Report(0).encode().decode())
    _table(stage, person, TWO, name="u")
    assert {record.wanted for record in _records(stage, "u").values()} == {("a",)}


def test_a_session_that_is_given_up_is_not_closed_while_handlers_are_dying(stage: Stage) -> None:
    _master(stage)
    (a,) = _workers(stage, "a")
    _table(stage, stage.person(), Table(1))
    a.silent = {OpenShard, PromoteShard, DemoteShard}
    a.die_later = True
    a.cut()
    while not any(isinstance(command, CloseShard) for command in a.told):
        stage.settle(0.05)
    assert a.session is not None
    stage.settle(SESSION_SECONDS * 0.06)
    assert a.session is None


def test_a_person_moves_a_shard(stage: Stage) -> None:
    _master(stage)
    a, b, c = _workers(stage, "a", "b", "c")
    person = stage.person()
    _table(stage, person, Table(3))
    shard = next(iter(a.primaries))
    person.create(f"/moves/t:{shard}", "b")
    stage.settle(1.0)
    assert shard in b.primaries
    assert shard not in a.shards
    assert _owners(a, b, c) == [0, 1, 2]
    assert stage.children("/moves") == []
    released = [command for command in a.told if isinstance(command, DemoteShard) and command.to == "b"]
    assert len(released) == 1
    assert a.handlers.keys() == set()


def test_a_shard_that_is_moved_while_its_others_are_away_has_all_its_replicas_when_they_are_back(
    stage: Stage,
) -> None:
    _master(stage)
    workers = _workers(stage, "a", "b", "c")
    person = stage.person()
    _table(stage, person, TWO)
    lost = _records(stage)[0].wanted
    third = next(name for name in "abc" if name not in lost)
    for worker in workers:
        if worker.name in lost:
            worker.die()
    person.create("/moves/t:0", third)
    assert _records(stage)[0].wanted == (third, lost[0])
    _workers(stage, *lost)
    stage.settle(5.0)
    records = _records(stage)
    assert (records[0].primary, set(records[0].members)) == (third, {third, lost[0]})
    assert all(len(record.members) == 2 and record.target is None for record in records.values())


def test_a_move_keeps_the_replica_that_is_there_rather_than_the_one_that_is_away(stage: Stage) -> None:
    _master(stage)
    workers = {worker.name: worker for worker in _workers(stage, "a", "b", "c")}
    person = stage.person()
    _table(stage, person, TWO)
    first, second = _records(stage)[0].wanted
    third = next(name for name in "abc" if name not in (first, second))
    workers[first].die()
    person.create("/moves/t:0", third)
    stage.settle(1.0)
    person.create("/moves/t:0", first)  # it cannot be now
    assert set(_records(stage)[0].members) == {second, third}
    assert _records(stage)[0].target is None


def test_each_of_many_moves_is_dealt_with_once(stage: Stage) -> None:
    master = _master(stage)
    _workers(stage, "a", "b")
    person = stage.person()
    _table(stage, person, Table(4))
    for shard in range(4):
        person.create(f"/moves/t:{shard}", "nobody", settle=False)
    stage.settle(1.0)
    done = [op for op in master.sent if isinstance(op, Transaction) and "/moves/" in str(op)]
    assert len(done) == 4
    assert stage.children("/moves") == []


@pytest.mark.parametrize("grace", [90.0, 45.0])
def test_the_grace_may_be_changed_while_it_lasts(stage: Stage, grace: float) -> None:
    _master(stage)
    a, _b, _c = _workers(stage, "a", "b", "c")
    person = stage.person()
    _table(stage, person, TWO)
    a.die()
    stage.settle(30.0)
    person.set("/shards/t", replace(TWO, grace=grace).encode().decode())
    stage.settle(grace - 31.0)
    assert any(len(record.members) == 1 for record in _records(stage).values())
    stage.settle(2.0)
    assert all(set(record.members) == {"b", "c"} for record in _records(stage).values())


def test_a_table_that_is_new_has_a_grace_of_its_own(stage: Stage) -> None:
    _master(stage)
    a, b = _workers(stage, "a", "b")
    person = stage.person()
    _table(stage, person, replace(TWO, grace=1000.0))
    a.die()
    stage.settle(30.0)
    _table(stage, person, replace(TWO, grace=50.0), name="u")
    assert any("a" in record.wanted for record in _records(stage, "u").values())
    stage.settle(25.0)
    assert all(record.wanted == ("b",) for record in _records(stage, "u").values())
    assert b.shards


def test_a_table_whose_page_is_changed_and_set_back_is_planned_again(stage: Stage) -> None:
    _master(stage)
    workers = {worker.name: worker for worker in _workers(stage, "a", "b", "c")}
    person = stage.person()
    _table(stage, person, TWO)
    first, second = _records(stage)[0].wanted
    person.set("/shards/t", replace(TWO, page=3).encode().decode())
    workers[first].die()
    stage.settle(70.0)
    person.create("/moves/t:0", second)
    stage.settle(1.0)
    _workers(stage, first)
    person.set("/shards/t", TWO.encode().decode())
    stage.settle(5.0)
    assert all(len(record.members) == 2 for record in _records(stage).values())


@pytest.mark.parametrize(
    ("znode", "to"), [("t:0", "nobody"), ("t:0", ""), ("t:9", "b"), ("u:0", "b"), ("x", "b")]
)
def test_a_move_that_cannot_be_is_deleted_and_nothing_else_happens(stage: Stage, znode: str, to: str) -> None:
    _master(stage)
    _workers(stage, "a", "b")
    person = stage.person()
    _table(stage, person, Table(3))
    before = _records(stage)
    person.create(f"/moves/{znode}", to)
    stage.settle(1.0)
    assert stage.children("/moves") == []
    assert _records(stage) == before


def test_a_drained_worker_hands_everything_over_and_gets_nothing(stage: Stage) -> None:
    _master(stage)
    a, b, c = _workers(stage, "a", "b", "c")
    person = stage.person()
    _table(stage, person, TWO)
    person.create("/drains/a")
    stage.settle(2.0)
    assert a.shards == []
    assert _owners(b, c) == [0, 1, 2, 3]
    assert all(len(record.members) == 2 for record in _records(stage).values())
    person.delete("/drains/a")
    stage.settle(2.0)
    assert a.shards


def test_a_drain_with_nobody_else_moves_nothing(stage: Stage) -> None:
    _master(stage)
    (a,) = _workers(stage, "a")
    person = stage.person()
    _table(stage, person, Table(2))
    person.create("/drains/a")
    stage.settle(2.0)
    assert _owners(a) == [0, 1]


def test_a_worker_that_is_asked_to_stop_hands_over_first(stage: Stage) -> None:
    _master(stage)
    a, b = _workers(stage, "a", "b")
    _table(stage, stage.person(), Table(4))
    mine = set(a.primaries)
    a.stop()
    stage.settle(1.0)
    assert not a.alive
    assert mine <= b.primaries.keys()
    assert {command.shard for command in a.told if isinstance(command, OpenShard)} == mine
    assert sum(isinstance(command, DemoteShard) and command.to == "b" for command in a.told) == len(mine)


def test_workers_that_stop_and_leave_nobody_do_not_wait_and_let_their_handlers_close(stage: Stage) -> None:
    """Everything stops, the master first."""
    master = _master(stage)
    a, b = _workers(stage, "a", "b")
    person = stage.person()
    _table(stage, person, Table(4, 2, shared=False))
    person.create("/holders/odd", "by hand", e=True)
    master.die()
    for worker in (a, b):
        worker.event(Stop())
    stage.settle(2.5)
    assert not a.alive
    assert not b.alive
    assert stage.children("/holders") == ["odd"]
    closed = [command for worker in (a, b) for command in worker.told if isinstance(command, CloseShard)]
    assert {command.grace for command in closed} == {5.0}
    assert {worker.holder.counters["killed"] for worker in (a, b)} == {0}


def test_a_worker_that_stops_waits_for_others_and_leaves_in_the_end(stage: Stage) -> None:
    _master(stage)
    a, b = _workers(stage, "a", "b")
    _table(stage, stage.person(), Table(2))
    b.silent = {OpenShard}
    a.stop()
    stage.settle(29.0)
    assert a.alive
    assert a.primaries
    stage.settle(2.0)
    assert not a.alive
    assert stage.children("/holders") == ["b"]


def test_handlers_that_are_closing_are_killed_before_the_session_can_end(stage: Stage) -> None:
    _master(stage)
    (a,) = _workers(stage, "a")
    _table(stage, stage.person(), Table(1))
    a.silent = {CloseShard}
    a.stop()
    a.cut()
    stage.settle(SESSION_SECONDS)
    assert not a.handlers
    assert not a.alive
    assert [command.grace for command in a.told if isinstance(command, CloseShard)] == [5.0, 0.0]


def test_a_new_master_moves_nothing(stage: Stage) -> None:
    first = _master(stage)
    _master(stage, "n")
    workers = _workers(stage, "a", "b", "c")
    _table(stage, stage.person(), Table(7, 2, shared=False))
    before, told = _records(stage), [len(worker.told) for worker in workers]
    first.die()
    stage.settle(5.0)
    assert _records(stage) == before
    assert [len(worker.told) for worker in workers] == told


def test_a_deleted_table_is_released_and_the_next_of_its_name_has_greater_generations(stage: Stage) -> None:
    _master(stage)
    a, b = _workers(stage, "a", "b")
    person = stage.person()
    _table(stage, person, TWO)
    highest = max(record.generation for record in _records(stage).values())
    person.set("/shards/t", "delete")
    stage.settle(1.0)
    assert stage.children("/shards") == []
    assert a.shards == b.shards == []
    _table(stage, person, Table(1))
    assert _records(stage)[0].generation > highest


def test_who_has_missed_that_a_table_was_deleted_takes_nothing_of_it_into_the_next_of_its_name(
    stage: Stage,
) -> None:
    _master(stage)
    a, b = _workers(stage, "a", "b")
    person = stage.person()
    _table(stage, person, Table(1, 2, shared=False))
    away = a if b.primaries else b
    (first,) = away.handlers.values()
    away.freeze()
    person.set("/shards/t", "delete")
    stage.settle(1.0)
    _table(stage, person, Table(1, 2, shared=False))
    del away.told[:]
    away.thaw()
    stage.settle(1.0)
    closed, opened = away.told[:2]
    assert closed == CloseShard(first.run, 5.0)
    assert isinstance(opened, OpenShard)
    assert first.table_czxid < first.generation < opened.table_czxid < opened.generation
    assert _records(stage)[0].members.keys() == {"a", "b"}


def test_who_has_missed_that_a_table_was_deleted_opens_nothing_with_its_settings(stage: Stage) -> None:
    """It has seen that it is to be deleted, so it hears of the pages first."""
    _master(stage)
    a, b = _workers(stage, "a", "b")
    person = stage.person()
    _table(stage, person, Table(1, 1, handler="old:H"))
    owner, away = (a, b) if a.primaries else (b, a)
    owner.silent = {DemoteShard}
    person.set("/shards/t", "delete")
    stage.settle(5.0)
    away.freeze()
    owner.break_(0)
    stage.settle(1.0)
    _table(stage, person, Table(1, 2, handler="new:H"))
    away.thaw()
    stage.settle(1.0)
    (opened,) = away.handlers.values()
    assert opened.handler == "new:H"
    assert opened.table_czxid == stage.ensemble.decided.nodes["/shards/t"].czxid


def test_a_table_like_the_one_that_was_deleted_before_anybody_had_it_is_another(stage: Stage) -> None:
    (a,) = _workers(stage, "a")
    person = stage.person()
    _table(stage, person, Table(1))
    a.freeze()
    person.delete("/shards/t")
    _table(stage, person, Table(1))
    _master(stage)
    stage.settle(1.0)
    a.thaw()
    stage.settle(1.0)
    assert a.handlers[1].table_czxid == stage.ensemble.decided.nodes["/shards/t"].czxid


def test_a_page_that_a_person_deletes_is_made_again_and_its_shards_begin_again(stage: Stage) -> None:
    _master(stage)
    (a,) = _workers(stage, "a")
    person = stage.person()
    _table(stage, person, Table(2))
    a.freeze()
    person.delete("/shards/t/0")
    stage.settle(1.0)
    a.thaw()
    stage.settle(1.0)
    assert _owners(a) == [0, 1]
    assert sorted(a.handlers) == [3, 4]


def test_a_table_is_not_deleted_while_somebody_has_not_released_it(stage: Stage) -> None:
    _master(stage)
    (a,) = _workers(stage, "a")
    person = stage.person()
    _table(stage, person, Table(1))
    a.silent = {DemoteShard}
    person.set("/shards/t", "delete")
    stage.settle(9.0)
    assert stage.children("/shards") == ["t"]
    stage.settle(2.0)
    assert stage.children("/shards") == []


def test_a_handler_that_does_not_release_its_shard_is_killed_and_the_move_goes_on(stage: Stage) -> None:
    _master(stage)
    a, b = _workers(stage, "a", "b")
    person = stage.person()
    _table(stage, person, Table(2))
    shard = next(iter(a.primaries))
    a.silent = {DemoteShard}
    person.create(f"/moves/t:{shard}", "b")
    stage.settle(9.0)
    assert shard not in b.primaries
    stage.settle(2.0)
    assert shard in b.primaries
    assert a.holder.counters["failed"] == 1


def test_a_primary_whose_handler_ends_is_followed_and_begins_again_as_a_replica(stage: Stage) -> None:
    _master(stage)
    a, b = _workers(stage, "a", "b")
    _table(stage, stage.person(), Table(1, 2, shared=False))
    owner, other = (a, b) if a.primaries else (b, a)
    owner.break_(0)
    assert _owners(other) == [0]
    stage.settle(0.5)
    assert owner.shards == [0]
    stage.settle(3.0)
    assert _owners(owner) == [0]  # for which it was planned
    assert other.shards == [0]


def test_the_pause_of_a_handler_that_ends_at_once_grows_though_it_says_that_it_serves(stage: Stage) -> None:
    _master(stage)
    (a,) = _workers(stage, "a")
    a.failing = {0}
    _table(stage, stage.person(), Table(1))
    stage.settle(60.0)
    assert a.holder.counters["failed"] <= 7
    a.failing = set()
    stage.settle(90.0)
    assert _owners(a) == [0]
    a.break_(0)
    stage.settle(2.5)
    assert _owners(a) == [0], "it was well for long enough to begin with a short pause"


def test_a_primary_that_fails_again_and_again_gets_the_shard_back_ever_later(stage: Stage) -> None:
    _master(stage)
    a, b = _workers(stage, "a", "b")
    _table(stage, stage.person(), Table(1, 2, shared=False))
    bad, good = (a, b) if a.primaries else (b, a)
    bad.failing = {0}
    bad.break_(0)
    stage.settle(120.0)
    assert bad.holder.counters["promoted"] <= 8
    assert _owners(good) == [0]
    bad.failing = set()
    stage.settle(120.0)
    assert _owners(bad) == [0]


def test_a_handler_of_shared_data_that_ends_begins_again_under_another_generation(stage: Stage) -> None:
    _master(stage)
    (a,) = _workers(stage, "a")
    _table(stage, stage.person(), Table(1))
    before = _records(stage)[0].generation
    a.break_(0)
    stage.settle(0.5)
    assert _records(stage)[0].generation == before + 1
    assert a.primaries == {0: before + 1}, "the first time at once"
    a.break_(0)
    stage.settle(0.9)
    assert a.shards == [], "then after a second"
    stage.settle(1.5)
    assert a.primaries == {0: before + 2}


def test_a_late_answer_does_not_hide_that_a_handler_hangs(stage: Stage) -> None:
    _master(stage)
    a, b = _workers(stage, "a", "b")
    _table(stage, stage.person(), Table(1, 2, shared=False))
    owner, other = (a, b) if a.primaries else (b, a)
    before = owner.primaries[0]
    owner.silent = {PromoteShard}
    other.die()
    assert _records(stage)[0].generation == before + 1
    owner.event(ShardSays(next(iter(owner.handlers)), "serving", before))
    stage.settle(31.0)
    assert owner.holder.counters["failed"] == 1


def test_a_worker_that_has_begun_again_gets_its_shard_back_when_it_has_rested(stage: Stage) -> None:
    _master(stage)
    a, b = _workers(stage, "a", "b")
    _table(stage, stage.person(), Table(1, 2, shared=False))
    bad, good = (a, b) if a.primaries else (b, a)
    bad.failing = {0}
    bad.break_(0)
    while bad.holder.counters["failed"] < 5:
        stage.settle(0.1)
    bad.die()
    (again,) = _workers(stage, "ab"[bad is b])
    stage.settle(5.0)
    assert _owners(good) == [0]
    stage.settle(15.0)
    assert _owners(again) == [0]


def test_a_shard_of_shared_data_leaves_a_worker_on_which_it_always_fails(stage: Stage) -> None:
    _master(stage)
    a, b = _workers(stage, "a", "b")
    person = stage.person()
    _table(stage, person, Table(4))
    shard = next(iter(a.primaries))
    a.failing = {shard}
    a.break_(shard)
    stage.settle(12.0)
    assert shard in b.primaries
    assert _owners(a, b) == [0, 1, 2, 3]
    (c,) = _workers(stage, "c")
    stage.settle(60.0)
    assert _owners(a, b, c) == [0, 1, 2, 3]
    assert a.primaries, "it has others"
    person.create(f"/moves/t:{shard}", "a")
    a.failing = set()
    stage.settle(1.0)
    assert shard in a.primaries, "a person wants it so"


def test_a_shard_that_fails_everywhere_is_tried_ever_later(stage: Stage) -> None:
    _master(stage)
    workers = _workers(stage, "a", "b")
    for worker in workers:
        worker.failing = {0}
    _table(stage, stage.person(), Table(1))
    stage.settle(300.0)
    assert sum(worker.holder.counters["failed"] for worker in workers) < 30


def test_a_handler_that_does_not_open_is_killed_and_tried_elsewhere(stage: Stage) -> None:
    _master(stage)
    a, b = _workers(stage, "a", "b")
    a.silent = b.silent = {OpenShard, PromoteShard}
    _table(stage, stage.person(), Table(1, 2, shared=False))
    owner, other = (a, b) if _records(stage)[0].primary == "a" else (b, a)
    other.silent = set()
    stage.settle(35.0)
    assert owner.holder.counters["failed"] >= 1
    assert _owners(a, b) in ([], [0])


@pytest.mark.parametrize("takes", [20.0, 29.0])
def test_a_handler_that_opens_slowly_is_promoted_with_what_the_session_is_sure_to_live_then(
    stage: Stage, takes: float
) -> None:
    _master(stage)
    (a,) = _workers(stage, "a")
    a.silent = {OpenShard}
    _table(stage, stage.person(), Table(1))
    stage.settle(takes - 1.0)
    assert not any(isinstance(command, PromoteShard) for command in a.told)
    (run,) = a.handlers
    a.event(ShardSays(run, "open", a.handlers[run].generation))
    (promoted,) = (command for command in a.told if isinstance(command, PromoteShard))
    assert promoted.until > stage.now + SESSION_SECONDS / 2
    stage.settle(5.0)
    assert _owners(a) == [0]
    assert a.holder.counters["failed"] == 0


def test_a_handler_that_is_told_too_late_is_told_again_with_what_the_session_is_sure_to_live(
    stage: Stage,
) -> None:
    _master(stage)
    (a,) = _workers(stage, "a")
    a.silent = {PromoteShard}
    _table(stage, stage.person(), Table(1))
    (first,) = (command for command in a.told if isinstance(command, PromoteShard))
    stage.settle(20.0)
    a.event(ShardSays(first.run, "late", first.generation - 1))
    a.event(ShardSays(first.run, "late", first.generation))
    _, again = (command for command in a.told if isinstance(command, PromoteShard))
    assert replace(again, until=first.until) == first
    assert again.until > stage.now + SESSION_SECONDS / 2
    stage.settle(12.0)
    assert a.holder.counters["failed"] == 1, "it has no more time for that than before"


def test_who_is_to_release_what_is_not_open_yet_has_released_it(stage: Stage) -> None:
    _master(stage)
    a, b = _workers(stage, "a", "b")
    a.silent = {OpenShard}
    person = stage.person()
    _table(stage, person, Table(2))
    shard = next(iter(a.shards))
    person.create(f"/moves/t:{shard}", "b")
    stage.settle(2.0)
    assert shard in b.primaries


def test_two_tables_know_nothing_of_each_other(stage: Stage) -> None:
    _master(stage)
    a, b = _workers(stage, "a", "b")
    person = stage.person()
    _table(stage, person, Table(2))
    _table(stage, person, Table(2), name="u")
    assert len(a.handlers) == len(b.handlers) == 2
    person.set("/shards/t", "delete")
    stage.settle(1.0)
    assert stage.children("/shards") == ["u"]
    assert len(a.handlers) + len(b.handlers) == 2


def test_a_table_can_grow_and_have_more_replicas(stage: Stage) -> None:
    _master(stage)
    a, b = _workers(stage, "a", "b")
    person = stage.person()
    _table(stage, person, Table(2, page=4, shared=False))
    person.set("/shards/t", Table(9, 2, page=4, shared=False).encode().decode())
    stage.settle(3.0)
    assert _owners(a, b) == list(range(9))
    assert all(len(record.members) == 2 for record in _records(stage).values())
    assert stage.children("/shards/t") == ["0", "1", "2"]


@pytest.mark.parametrize("data", ["nonsense", '{"shards":0}', '{"shards":9,"page":3}'])
def test_a_table_that_a_person_spoils_stays_as_it_is(
    stage: Stage, data: str, caplog: pytest.LogCaptureFixture
) -> None:
    master = _master(stage)
    a, b = _workers(stage, "a", "b")
    person = stage.person()
    _table(stage, person, Table(9, page=4))
    person.set("/shards/t", data)
    stage.settle(3.0)
    assert master.election.status()["shards"]["tables"]["t"]["problem"]
    caplog.clear()
    assert _owners(a, b) == list(range(9))
    a.die()
    stage.settle(3.0)
    assert _owners(b) == list(range(9))
    assert [(stage.data(f"/shards/t/{page}") or "").count("generation") for page in range(3)] == [4, 4, 1]
    assert sum("table t" in record.getMessage() for record in caplog.records) <= 1, "once for a plan"
    stage.settle(30.0)
    person.set("/shards/t", Table(10, page=4).encode().decode())
    stage.settle(3.0)
    assert _owners(b) == list(range(10))
    assert master.election.status()["shards"]["tables"]["t"]["problem"] is None


def test_a_table_that_a_person_spoils_has_its_followers_under_the_next_master_too(stage: Stage) -> None:
    first = _master(stage)
    _master(stage, "n")
    a, b, c = _workers(stage, "a", "b", "c")
    person = stage.person()
    _table(stage, person, TWO)
    person.set("/shards/t", '{"shards":4,"replica":2}')
    first.die()
    stage.settle(5.0)
    a.die()
    assert _owners(b, c) == [0, 1, 2, 3]
    stage.settle(70.0)
    assert sum(len(record.members) for record in _records(stage).values()) < 8, "nothing is copied"
    person.set("/shards/t", TWO.encode().decode())
    stage.settle(3.0)
    assert all(set(record.members) == {"b", "c"} for record in _records(stage).values())


def test_a_page_that_a_person_spoils_is_left_alone_and_what_is_there_goes_on(stage: Stage) -> None:
    _master(stage)
    a, b = _workers(stage, "a", "b")
    person = stage.person()
    _table(stage, person, Table(4, page=2))
    had = a.shards
    person.set("/shards/t/0", "nonsense")
    stage.settle(3.0)
    assert a.shards == had
    assert stage.data("/shards/t/0") == "nonsense"
    assert _owners(a, b) == list(range(4))
    person.delete("/shards/t/0")
    stage.settle(15.0)
    assert _owners(a, b) == list(range(4))
    assert len(_records(stage)) == 4


def test_what_an_earlier_process_sends_late_does_not_empty_the_znode_of_the_next(stage: Stage) -> None:
    _master(stage)
    (a,) = _workers(stage, "a")
    _table(stage, stage.person(), Table(1))
    a.stop()
    stage.settle(40.0)
    last = [op for op in a.sent if isinstance(op, Transaction) and op.ops[-1].path == "/holders/a"][-1]
    assert last.ops == (Check("/assign/a", 0), Set("/holders/a", b""))


def test_a_holder_whose_znode_a_person_deletes_makes_it_again(stage: Stage) -> None:
    _master(stage)
    (a,) = _workers(stage, "a")
    person = stage.person()
    _table(stage, person, Table(1))
    person.delete("/holders/a")
    stage.settle(12.0)
    assert stage.children("/holders") == ["a"]
    assert _owners(a) == [0]


def test_a_worker_whose_registration_a_person_deletes_begins_again_as_another_incarnation(
    stage: Stage,
) -> None:
    _master(stage)
    a, b = _workers(stage, "a", "b")
    person = stage.person()
    _table(stage, person, TWO)
    person.delete("/workers/a")
    stage.settle(5.0)
    assert a.shards == [0, 1, 2, 3]
    assert _owners(a, b) == [0, 1, 2, 3]
    assert {record.incarnation("a") for record in _records(stage).values()} == {1}


def test_what_a_worker_had_whose_name_is_taken_by_hand_goes_to_others_when_its_handlers_are_gone(
    stage: Stage,
) -> None:
    """Its session lives on, and it may delete nothing."""
    _master(stage)
    a, b = _workers(stage, "a", "b")
    person = stage.person()
    _table(stage, person, TWO)
    stage.forbids = lambda op: isinstance(op, Delete) and op.path.startswith("/holders")
    a.stays = True
    person.delete("/workers/a", settle=False)
    person.create("/workers/a", "mine")
    stage.settle(3.0)
    assert a.alive
    assert "serving" in (stage.data("/holders/a") or "")
    assert not a.primaries.keys() & b.primaries.keys(), "they act until they are dead"
    a.let_go()
    stage.settle(3.0)
    assert stage.data("/holders/a") == ""
    assert _owners(b) == [0, 1, 2, 3]
    before = len(a.sent)
    stage.settle(60.0)
    assert sum("/holders" in str(op) for op in a.sent[before:]) == 0
    person.delete("/workers/a")
    stage.settle(5.0)
    assert _owners(a, b) == [0, 1, 2, 3]
    assert len(a.shards) == 4


def _report(stage: Stage, worker: str) -> Report:
    report = Report.decode((stage.data(f"/holders/{worker}") or "").encode())
    assert report is not None
    return report


def test_the_address_of_a_handler_is_told_as_long_as_it_lives(stage: Stage) -> None:
    _master(stage)
    (a,) = _workers(stage, "a")
    a.address = "h:1"
    _table(stage, stage.person(), Table(1))
    assert _report(stage, "a").addresses == {("t", 0): "h:1"}
    (run,) = a.handlers
    record = _records(stage)[0]
    a.event(ShardSays(run, "serving", record.generation - 1, address="h:0"))
    stage.settle()
    assert _report(stage, "a").addresses == {("t", 0): "h:1"}, "what it said before does not count"
    a.failing.add(0)
    a.silent = {OpenShard}
    a.break_(0)
    assert _report(stage, "a").addresses == {}


def test_where_a_replica_is_that_copies_is_told_before_it_is_ready(stage: Stage) -> None:
    _master(stage)
    workers = _workers(stage, "a", "b")
    for worker in workers:
        worker.silent = {OpenShard}  # it says what the test says
    _table(stage, stage.person(), Table(1, 2))
    replica = next(worker for worker in workers if worker.name != _records(stage)[0].primary)
    ((run, opened),) = replica.handlers.items()

    def says(word: str, address: str) -> tuple[object, object]:
        replica.event(ShardSays(run, word, opened.generation, address=address))
        stage.settle()
        report = _report(stage, replica.name)
        return report.shards, report.addresses

    key, generation = ("t", 0), opened.generation
    assert says("open", "h:1") == ({key: (generation, "open")}, {key: "h:1"})
    assert says("ready", "h:1") == ({key: (generation, "ready")}, {key: "h:1"})


def test_a_page_is_read_again_only_when_it_changes(stage: Stage) -> None:
    _master(stage)
    a, _b = _workers(stage, "a", "b")
    _table(stage, stage.person(), Table(4, page=2))
    before = sum(isinstance(op, Get) and op.path.startswith("/shards/t/") for op in a.sent)
    stage.settle(60.0)
    assert sum(isinstance(op, Get) and op.path.startswith("/shards/t/") for op in a.sent) == before
