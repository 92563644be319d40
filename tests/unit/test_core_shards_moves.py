"""Shards that move: by hand, by a drain, because a worker stops; graces and plans that change meanwhile."""

from dataclasses import replace

import pytest

from mwapp.core.messages import (
    Children,
    CloseShard,
    DemoteShard,
    Get,
    OpenShard,
    Request,
    Stop,
    Transaction,
)
from mwapp.core.shards.protocol import Report, Table
from tests.unit.core_shards_stage import (
    TWO,
    ShardActor,
    make_parents,
    new_master,
    new_table,
    new_workers,
    owners_of,
    records_of,
)
from tests.unit.core_stage import SESSION_SECONDS, Stage


def test_a_person_moves_a_shard(stage: Stage) -> None:
    new_master(stage)
    a, b, c = new_workers(stage, "a", "b", "c")
    person = stage.person()
    new_table(stage, person, Table(3))
    shard = next(iter(a.primaries))
    person.create(f"/moves/t:{shard}", "b")
    stage.settle(1.0)
    assert shard in b.primaries
    assert shard not in a.shards
    assert owners_of(a, b, c) == [0, 1, 2]
    assert stage.children("/moves") == []
    released = [command for command in a.told if isinstance(command, DemoteShard) and command.to == "b"]
    assert len(released) == 1
    assert a.handlers.keys() == set()


def test_a_shard_that_is_moved_while_its_others_are_away_has_all_its_replicas_when_they_are_back(
    stage: Stage,
) -> None:
    new_master(stage)
    workers = new_workers(stage, "a", "b", "c")
    person = stage.person()
    new_table(stage, person, TWO)
    lost = records_of(stage)[0].wanted
    third = next(name for name in "abc" if name not in lost)
    for worker in workers:
        if worker.name in lost:
            worker.die()
    person.create("/moves/t:0", third)
    assert records_of(stage)[0].wanted == (third, lost[0])
    new_workers(stage, *lost)
    stage.settle(5.0)
    records = records_of(stage)
    assert (records[0].primary, set(records[0].members)) == (third, {third, lost[0]})
    assert all(len(record.members) == 2 and record.target is None for record in records.values())


def test_a_move_keeps_the_replica_that_is_there_rather_than_the_one_that_is_away(stage: Stage) -> None:
    new_master(stage)
    workers = {worker.name: worker for worker in new_workers(stage, "a", "b", "c")}
    person = stage.person()
    new_table(stage, person, TWO)
    first, second = records_of(stage)[0].wanted
    third = next(name for name in "abc" if name not in (first, second))
    workers[first].die()
    person.create("/moves/t:0", third)
    stage.settle(1.0)
    person.create("/moves/t:0", first)  # it cannot be now
    assert set(records_of(stage)[0].members) == {second, third}
    assert records_of(stage)[0].target is None


def test_each_of_many_moves_is_dealt_with_once(stage: Stage) -> None:
    master = new_master(stage)
    new_workers(stage, "a", "b")
    person = stage.person()
    new_table(stage, person, Table(4))
    for shard in range(4):
        person.create(f"/moves/t:{shard}", "nobody", settle=False)
    stage.settle(1.0)
    done = [op for op in master.sent if isinstance(op, Transaction) and "/moves/" in str(op)]
    assert len(done) == 4
    assert stage.children("/moves") == []


@pytest.mark.parametrize("grace", [90.0, 45.0])
def test_the_grace_may_be_changed_while_it_lasts(stage: Stage, grace: float) -> None:
    new_master(stage)
    a, _b, _c = new_workers(stage, "a", "b", "c")
    person = stage.person()
    new_table(stage, person, TWO)
    a.die()
    stage.settle(30.0)
    person.set("/shards/t", replace(TWO, grace=grace).encode().decode())
    stage.settle(grace - 31.0)
    assert any(len(record.members) == 1 for record in records_of(stage).values())
    stage.settle(2.0)
    assert all(set(record.members) == {"b", "c"} for record in records_of(stage).values())


def test_each_table_has_a_grace_of_its_own(stage: Stage) -> None:
    new_master(stage)
    a, _b, _c = new_workers(stage, "a", "b", "c")
    person = stage.person()
    new_table(stage, person, replace(TWO, grace=1000.0))
    new_table(stage, person, replace(TWO, grace=50.0), name="u")
    a.die()

    def waits(name: str) -> bool:
        return any("a" in record.wanted for record in records_of(stage, name).values())

    stage.settle(49.0)
    assert waits("u")
    stage.settle(2.0)
    assert not waits("u")
    assert waits("t")


def test_a_table_that_is_new_waits_for_nobody_who_is_away(stage: Stage) -> None:
    new_master(stage)
    a, b = new_workers(stage, "a", "b")
    person = stage.person()
    new_table(stage, person, TWO)
    a.die()
    new_table(stage, person, Table(4), name="u")
    assert all(record.wanted == ("b",) for record in records_of(stage, "u").values())
    assert b.shards
    new_workers(stage, "a")
    stage.settle(2.0)
    assert sum(record.wanted == ("a",) for record in records_of(stage, "u").values()) == 2


def test_another_table_that_waits_for_a_lost_worker_does_not_bring_it_back_into_one_that_does_not(
    stage: Stage,
) -> None:
    """Of shared data nobody waits. It is planned once, and nothing moves when the other's grace is over."""
    master = new_master(stage)
    a, _b, _c = new_workers(stage, "a", "b", "c")
    person = stage.person()
    new_table(stage, person, Table(6))
    new_table(stage, person, TWO, name="u")
    before, transactions = records_of(stage), master.election.status()["shards"]["counters"]["transactions"]
    a.die()
    stage.settle(1.0)
    after = records_of(stage)
    assert all(record.target is None and "a" not in record.members for record in after.values())
    assert all(after[n] == record for n, record in before.items() if record.primary != "a")
    assert master.election.status()["shards"]["counters"]["transactions"] - transactions <= 3
    stage.settle(70.0)
    assert records_of(stage) == after


def test_who_has_a_shard_serves_on_when_the_one_that_was_to_get_it_dies(stage: Stage) -> None:
    """Somebody has it, so it is not lost: the one that was to get it has the grace to come back."""
    new_master(stage)
    (a,) = new_workers(stage, "a")
    new_table(stage, stage.person(), Table(2))
    a.silent = {DemoteShard}
    (b,) = new_workers(stage, "b")
    assert {record.target for record in records_of(stage).values()} == {None, ("b",)}
    b.die()
    stage.settle(1.0)
    assert {record.target for record in records_of(stage).values()} == {None, ("b",)}
    assert owners_of(a) == [0, 1]


def test_who_had_a_shard_and_comes_back_gets_it_when_the_one_that_was_to_get_it_is_dead(stage: Stage) -> None:
    """Its name is there, but not the incarnation that had it, so the shard is lost."""
    new_master(stage)
    (a,) = new_workers(stage, "a")
    new_table(stage, stage.person(), Table(2))
    a.silent = {DemoteShard}
    (b,) = new_workers(stage, "b")
    b.die()
    a.die()
    (again,) = new_workers(stage, "a")
    stage.settle(5.0)
    assert owners_of(again) == [0, 1]


def test_a_table_whose_page_is_changed_and_set_back_is_planned_again(stage: Stage) -> None:
    new_master(stage)
    workers = {worker.name: worker for worker in new_workers(stage, "a", "b", "c")}
    person = stage.person()
    new_table(stage, person, TWO)
    first, second = records_of(stage)[0].wanted
    person.set("/shards/t", replace(TWO, page=3).encode().decode())
    workers[first].die()
    stage.settle(70.0)
    person.create("/moves/t:0", second)
    stage.settle(1.0)
    new_workers(stage, first)
    person.set("/shards/t", TWO.encode().decode())
    stage.settle(5.0)
    assert all(len(record.members) == 2 for record in records_of(stage).values())


@pytest.mark.parametrize(
    ("znode", "to", "why"),
    [
        ("t:0", "nobody", "nobody is not there"),
        ("t:0", "d", "d is drained"),
        ("t:0", "s", "s is stopping"),
        ("t:0", "", "it names no worker"),
        ("t:0", "b b", "it names a worker twice"),
        ("t:9", "b", "there is no such shard"),
        ("u:0", "b", "there is no such table"),
        ("gone:0", "b", "the table is being deleted"),
        ("odd:0", "b", "shards: 0: use a whole number from 1 to 100000"),
        ("x", "b", "it is no TABLE:SHARD"),
    ],
)
def test_a_move_that_cannot_be_is_deleted_the_log_says_why_and_nothing_else_happens(
    stage: Stage, caplog: pytest.LogCaptureFixture, znode: str, to: str, why: str
) -> None:
    new_workers(stage, "a", "b", "d")
    person = stage.person()
    make_parents(person)
    person.create("/shards/odd", '{"shards":0}')
    person.create("/shards/gone", "delete")
    person.create("/shards/gone/x")  # so it stays
    person.create("/drains/d")
    person.create("/holders/s", Report(0, leaving=True).encode().decode(), e=True)
    master = new_master(stage)
    new_table(stage, person, Table(3))
    before = records_of(stage)
    person.create(f"/moves/{znode}", to)
    stage.settle(1.0)
    assert stage.children("/moves") == []
    assert records_of(stage) == before
    counters = master.election.status()["shards"]["counters"]
    assert (counters["moves"], counters["moves_refused"]) == (0, 1)
    assert f"cannot move {znode} to {to}: {why}" in caplog.text


def test_replicas_are_not_moved_into_one_place(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    master = new_master(stage)
    for name, zone in (("a", "x"), ("b", "x"), ("c", "y")):
        ShardActor(stage, name, (f"zone={zone}",)).connect()
    person = stage.person()
    new_table(stage, person, Table(1, 2, "zone", shared=False))
    before = records_of(stage)
    person.create("/moves/t:0", "a b")
    stage.settle(1.0)
    assert records_of(stage) == before
    assert "cannot move t:0 to a b: a b have the same value of the label" in caplog.text
    person.create("/moves/t:0", "b c")
    stage.settle(1.0)
    assert records_of(stage)[0].wanted == ("b", "c")
    counters = master.election.status()["shards"]["counters"]
    assert (counters["moves"], counters["moves_refused"]) == (1, 1)


def test_a_drained_worker_hands_everything_over_and_gets_nothing(stage: Stage) -> None:
    new_master(stage)
    a, b, c = new_workers(stage, "a", "b", "c")
    person = stage.person()
    new_table(stage, person, TWO)
    person.create("/drains/a")
    stage.settle(2.0)
    assert a.shards == []
    assert owners_of(b, c) == [0, 1, 2, 3]
    assert all(len(record.members) == 2 for record in records_of(stage).values())
    person.delete("/drains/a")
    stage.settle(2.0)
    assert a.shards


def test_a_drain_with_nobody_else_moves_nothing(stage: Stage) -> None:
    new_master(stage)
    (a,) = new_workers(stage, "a")
    person = stage.person()
    new_table(stage, person, Table(2))
    person.create("/drains/a")
    stage.settle(2.0)
    assert owners_of(a) == [0, 1]


def test_a_worker_that_is_asked_to_stop_hands_over_first(stage: Stage) -> None:
    new_master(stage)
    a, b = new_workers(stage, "a", "b")
    new_table(stage, stage.person(), Table(4))
    mine = set(a.primaries)
    a.stop()
    stage.settle(1.0)
    assert not a.alive
    assert mine <= b.primaries.keys()
    assert {command.shard for command in a.told if isinstance(command, OpenShard)} == mine
    assert sum(isinstance(command, DemoteShard) and command.to == "b" for command in a.told) == len(mine)


def test_workers_that_stop_and_leave_nobody_do_not_wait_and_let_their_handlers_close(stage: Stage) -> None:
    """Everything stops, the master first."""
    master = new_master(stage)
    a, b = new_workers(stage, "a", "b")
    person = stage.person()
    new_table(stage, person, Table(4, 2, shared=False))
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
    new_master(stage)
    a, b = new_workers(stage, "a", "b")
    new_table(stage, stage.person(), Table(2))
    b.silent = {OpenShard}
    a.stop()
    stage.settle(29.0)
    assert a.alive
    assert a.primaries
    stage.settle(2.0)
    assert not a.alive
    assert stage.children("/holders") == ["b"]


def test_handlers_that_are_closing_are_killed_before_the_session_can_end(stage: Stage) -> None:
    new_master(stage)
    (a,) = new_workers(stage, "a")
    new_table(stage, stage.person(), Table(1))
    a.silent = {CloseShard}
    a.stop()
    a.cut()
    stage.settle(SESSION_SECONDS)
    assert not a.handlers
    assert not a.alive
    assert [command.grace for command in a.told if isinstance(command, CloseShard)] == [5.0, 0.0]


def test_a_new_master_moves_nothing(stage: Stage) -> None:
    first = new_master(stage)
    new_master(stage, "n")
    workers = new_workers(stage, "a", "b", "c")
    new_table(stage, stage.person(), Table(7, 2, shared=False))
    before, told = records_of(stage), [len(worker.told) for worker in workers]
    first.die()
    stage.settle(5.0)
    assert records_of(stage) == before
    assert [len(worker.told) for worker in workers] == told


def test_a_move_that_cannot_be_deleted_holds_up_nothing_else(stage: Stage) -> None:
    master = new_master(stage)
    workers = {worker.name: worker for worker in new_workers(stage, "a", "b", "c")}
    person = stage.person()
    new_table(stage, person, Table(3))
    owner = records_of(stage)[0].primary
    to, third = (name for name in "abc" if name != owner)
    sent = len(master.sent)
    person.create("/moves/t:0", to, settle=False)
    person.create("/moves/t:0/x")
    stage.settle(12.0)
    workers[third].die()
    assert owners_of(workers[owner], workers[to]) == [0, 1, 2], "its page is written"
    stage.settle(0.5)
    assert stage.children("/moves") == ["t:0"]
    assert not [op for op in master.sent[sent:] if isinstance(op, Children) and op.path == "/shards"]
    person.delete("/moves/t:0/x")
    stage.settle(11.0)
    assert records_of(stage)[0].primary == to
    assert stage.children("/moves") == []


@pytest.mark.parametrize("again", [False, True])
def test_a_move_is_done_as_it_says_when_it_is_done(stage: Stage, again: bool) -> None:
    """A person says something else while the master does other things."""
    master = new_master(stage)
    new_workers(stage, "a", "b", "c")
    person = stage.person()
    new_table(stage, person, Table(3))
    owner = records_of(stage)[0].primary
    first, second = (name for name in "abc" if name != owner)
    person.create("/moves/t:0", first, settle=False)
    person.create("/moves/t:0/x")
    stage.settle(1.0)
    assert stage.children("/moves") == ["t:0"]
    person.delete("/moves/t:0/x")
    if again:
        person.delete("/moves/t:0", settle=False)
        person.create("/moves/t:0", second)
    else:
        person.set("/moves/t:0", second)
    stage.settle(11.0)
    assert records_of(stage)[0].primary == second
    assert stage.children("/moves") == []
    assert master.election.status()["shards"]["counters"]["handed_over"] == 1


def test_a_move_that_says_something_else_when_it_is_to_be_deleted_is_read_again(stage: Stage) -> None:
    master = new_master(stage)
    new_workers(stage, "a", "b", "c")
    person = stage.person()
    new_table(stage, person, Table(3))
    owner = records_of(stage)[0].primary
    first, second = (name for name in "abc" if name != owner)

    def meanwhile(request: Request) -> None:
        if request.operation == Get("/moves/t:0", True) and not said:
            said.append(second)
            person.set("/moves/t:0", second, settle=False)

    said: list[str] = []
    master.meanwhile = meanwhile
    person.create("/moves/t:0", first)
    stage.settle(2.0)
    assert said
    assert records_of(stage)[0].primary == second
    assert stage.children("/moves") == []
    assert master.election.status()["shards"]["counters"]["handed_over"] == 1
