"""Tables of shards: who gets what, who follows the dead, and tables that are deleted, grow or are spoilt."""

from typing import Any

import pytest

from mwapp.core.messages import (
    Check,
    Children,
    CloseShard,
    DemoteShard,
    OpenShard,
    PromoteShard,
    Request,
    Transaction,
)
from mwapp.core.shards.protocol import Table, remedy
from tests.unit.core_shards_stage import (
    TWO,
    ShardActor,
    new_master,
    new_table,
    new_workers,
    owners_of,
    records_of,
)
from tests.unit.core_stage import Actor, Stage


def test_a_table_without_workers_has_shards_without_owners(stage: Stage) -> None:
    master = new_master(stage)
    new_table(stage, stage.person(), TWO)
    told = master.election.status()["shards"]["tables"]["t"]
    assert (told["shards"], told["without_primary"], told["failed"]) == (4, 4, 0)


def test_shards_whose_handlers_fail_or_are_silent_are_told(stage: Stage) -> None:
    now = 5.0
    master = new_master(stage, wall=lambda: now)
    (a,) = new_workers(stage, "a")
    new_table(stage, stage.person(), Table(3))
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
    new_master(stage)
    (a,) = new_workers(stage, "a")
    new_table(stage, stage.person(), TWO)
    assert len(a.primaries) == 4
    b, c = new_workers(stage, "b", "c")
    stage.settle(2.0)
    assert owners_of(a, b, c) == [0, 1, 2, 3]
    assert sorted(len(w.shards) for w in (a, b, c)) == [2, 3, 3]


def test_of_shared_data_another_worker_is_the_owner_at_once(stage: Stage) -> None:
    new_master(stage)
    a, b = new_workers(stage, "a", "b")
    new_table(stage, stage.person(), Table(2))
    assert len(a.primaries) == len(b.primaries) == 1
    a.die()
    assert owners_of(b) == [0, 1]


def test_what_the_master_writes_is_for_its_epoch_and_the_incarnation_that_it_knows(stage: Stage) -> None:
    new_master(stage).die()
    master = new_master(stage, "n")
    (a,) = new_workers(stage, "a")
    a.die()
    new_workers(stage, "a")
    new_table(stage, stage.person(), Table(2))
    written = [op for op in master.sent if isinstance(op, Transaction) and "/shards/" in str(op)]
    assert [op.ops[:3] for op in written] == [
        (Check("/epoch", 2), Check("/holders/a"), Check("/assign/a", 1))
    ]


def test_the_shards_of_a_dead_worker_have_new_owners_at_once_and_copies_after_the_grace(stage: Stage) -> None:
    new_master(stage)
    a, b, c = new_workers(stage, "a", "b", "c")
    new_table(stage, stage.person(), TWO)
    before = records_of(stage)
    a.die()
    assert owners_of(b, c) == [0, 1, 2, 3]
    after = records_of(stage)
    assert all(after[shard].generation == before[shard].generation + 1 for shard in a.shards)
    assert all(record.primary != "a" and "a" not in record.members for record in after.values())
    assert any(len(record.members) == 1 for record in after.values())
    stage.settle(55.0)
    assert any(len(record.members) == 1 for record in records_of(stage).values())
    stage.settle(10.0)
    assert all(
        set(record.members) == {"b", "c"} and record.target is None for record in records_of(stage).values()
    )


def test_a_worker_that_is_back_in_time_has_its_shards_again_and_nothing_else_moves(stage: Stage) -> None:
    new_master(stage)
    a, _b, _c = new_workers(stage, "a", "b", "c")
    new_table(stage, stage.person(), TWO)
    before = records_of(stage)
    a.die()
    (again,) = new_workers(stage, "a")
    stage.settle(2.0)
    after = records_of(stage)
    assert {shard: (r.primary, set(r.members)) for shard, r in after.items()} == {
        shard: (r.primary, set(r.members)) for shard, r in before.items()
    }
    assert again.shards == a.shards


def test_a_deleted_table_is_released_and_the_next_of_its_name_has_greater_generations(stage: Stage) -> None:
    new_master(stage)
    a, b = new_workers(stage, "a", "b")
    person = stage.person()
    new_table(stage, person, TWO)
    highest = max(record.generation for record in records_of(stage).values())
    person.set("/shards/t", "delete")
    stage.settle(1.0)
    assert stage.children("/shards") == []
    assert a.shards == b.shards == []
    new_table(stage, person, Table(1))
    assert records_of(stage)[0].generation > highest


def test_who_has_missed_that_a_table_was_deleted_takes_nothing_of_it_into_the_next_of_its_name(
    stage: Stage,
) -> None:
    new_master(stage)
    a, b = new_workers(stage, "a", "b")
    person = stage.person()
    new_table(stage, person, Table(1, 2, shared=False))
    away = a if b.primaries else b
    (first,) = away.handlers.values()
    away.freeze()
    person.set("/shards/t", "delete")
    stage.settle(1.0)
    new_table(stage, person, Table(1, 2, shared=False))
    del away.told[:]
    away.thaw()
    stage.settle(1.0)
    closed, opened = away.told[:2]
    assert closed == CloseShard(first.run, 5.0)
    assert isinstance(opened, OpenShard)
    assert first.table_czxid < first.generation < opened.table_czxid < opened.generation
    assert records_of(stage)[0].members.keys() == {"a", "b"}


def test_who_has_missed_that_a_table_was_deleted_opens_nothing_with_its_settings(stage: Stage) -> None:
    """It has seen that it is to be deleted, so it hears of the pages first."""
    new_master(stage)
    a, b = new_workers(stage, "a", "b")
    person = stage.person()
    new_table(stage, person, Table(1, 1, handler="old:H"))
    owner, away = (a, b) if a.primaries else (b, a)
    owner.silent = {DemoteShard}
    person.set("/shards/t", "delete")
    stage.settle(5.0)
    away.freeze()
    owner.break_(0)
    stage.settle(1.0)
    new_table(stage, person, Table(1, 2, handler="new:H"))
    away.thaw()
    stage.settle(1.0)
    (opened,) = away.handlers.values()
    assert opened.handler == "new:H"
    assert opened.table_czxid == stage.ensemble.decided.nodes["/shards/t"].czxid


def test_a_table_like_the_one_that_was_deleted_before_anybody_had_it_is_another(stage: Stage) -> None:
    (a,) = new_workers(stage, "a")
    person = stage.person()
    new_table(stage, person, Table(1))
    a.freeze()
    person.delete("/shards/t")
    new_table(stage, person, Table(1))
    new_master(stage)
    stage.settle(1.0)
    a.thaw()
    stage.settle(1.0)
    assert a.handlers[1].table_czxid == stage.ensemble.decided.nodes["/shards/t"].czxid


def test_a_page_that_a_person_deletes_is_made_again_and_its_shards_begin_again(stage: Stage) -> None:
    new_master(stage)
    (a,) = new_workers(stage, "a")
    person = stage.person()
    new_table(stage, person, Table(2))
    a.freeze()
    person.delete("/shards/t/0")
    stage.settle(1.0)
    a.thaw()
    stage.settle(1.0)
    assert owners_of(a) == [0, 1]
    assert sorted(a.handlers) == [3, 4]


def test_a_table_is_not_deleted_while_somebody_has_not_released_it(stage: Stage) -> None:
    new_master(stage)
    (a,) = new_workers(stage, "a")
    person = stage.person()
    new_table(stage, person, Table(1))
    a.silent = {DemoteShard}
    person.set("/shards/t", "delete")
    stage.settle(9.0)
    assert stage.children("/shards") == ["t"]
    stage.settle(2.0)
    assert stage.children("/shards") == []


def test_two_tables_know_nothing_of_each_other(stage: Stage) -> None:
    new_master(stage)
    a, b = new_workers(stage, "a", "b")
    person = stage.person()
    new_table(stage, person, Table(2))
    new_table(stage, person, Table(2), name="u")
    assert len(a.handlers) == len(b.handlers) == 2
    person.set("/shards/t", "delete")
    stage.settle(1.0)
    assert stage.children("/shards") == ["u"]
    assert len(a.handlers) + len(b.handlers) == 2


def test_a_table_can_grow_and_have_more_replicas(stage: Stage) -> None:
    new_master(stage)
    a, b = new_workers(stage, "a", "b")
    person = stage.person()
    new_table(stage, person, Table(2, page=4, shared=False))
    person.set("/shards/t", Table(9, 2, page=4, shared=False).encode().decode())
    stage.settle(3.0)
    assert owners_of(a, b) == list(range(9))
    assert all(len(record.members) == 2 for record in records_of(stage).values())
    assert stage.children("/shards/t") == ["0", "1", "2"]


@pytest.mark.parametrize("data", ["nonsense", '{"shards":0}', '{"shards":9,"page":3}'])
def test_a_table_that_a_person_spoils_stays_as_it_is(
    stage: Stage, data: str, caplog: pytest.LogCaptureFixture
) -> None:
    master = new_master(stage)
    a, b = new_workers(stage, "a", "b")
    person = stage.person()
    new_table(stage, person, Table(9, page=4))
    person.set("/shards/t", data)
    stage.settle(3.0)
    assert master.election.status()["shards"]["tables"]["t"]["problem"]
    caplog.clear()
    assert owners_of(a, b) == list(range(9))
    a.die()
    stage.settle(3.0)
    assert owners_of(b) == list(range(9))
    assert [(stage.data(f"/shards/t/{page}") or "").count("generation") for page in range(3)] == [4, 4, 1]
    assert sum("table t" in record.getMessage() for record in caplog.records) <= 1, "once for a plan"
    stage.settle(30.0)
    person.set("/shards/t", Table(10, page=4).encode().decode())
    stage.settle(3.0)
    assert owners_of(b) == list(range(10))
    assert master.election.status()["shards"]["tables"]["t"]["problem"] is None


def test_a_table_that_a_person_spoils_has_its_followers_under_the_next_master_too(stage: Stage) -> None:
    first = new_master(stage)
    new_master(stage, "n")
    a, b, c = new_workers(stage, "a", "b", "c")
    person = stage.person()
    new_table(stage, person, TWO)
    person.set("/shards/t", '{"shards":4,"replica":2}')
    first.die()
    stage.settle(5.0)
    a.die()
    assert owners_of(b, c) == [0, 1, 2, 3]
    stage.settle(70.0)
    assert sum(len(record.members) for record in records_of(stage).values()) < 8, "nothing is copied"
    person.set("/shards/t", TWO.encode().decode())
    stage.settle(3.0)
    assert all(set(record.members) == {"b", "c"} for record in records_of(stage).values())


def test_a_page_that_a_person_spoils_is_left_alone_and_what_is_there_goes_on(stage: Stage) -> None:
    new_master(stage)
    a, b = new_workers(stage, "a", "b")
    person = stage.person()
    new_table(stage, person, Table(4, page=2))
    had = a.shards
    person.set("/shards/t/0", "nonsense")
    stage.settle(3.0)
    assert a.shards == had
    assert stage.data("/shards/t/0") == "nonsense"
    assert owners_of(a, b) == list(range(4))
    person.delete("/shards/t/0")
    stage.settle(15.0)
    assert owners_of(a, b) == list(range(4))
    assert len(records_of(stage)) == 4


def told_of(master: Actor, name: str = "t") -> dict[str, Any]:
    told: dict[str, Any] = master.election.status()["shards"]["tables"][name]
    return told


def test_a_page_that_a_person_spoils_is_named_also_while_its_table_is_deleted(stage: Stage) -> None:
    master = new_master(stage)
    a, b = new_workers(stage, "a", "b")
    person = stage.person()
    new_table(stage, person, Table(4, page=2))
    person.set("/shards/t/0", "oops")
    stage.settle(1.0)
    assert told_of(master)["problem"] == "/shards/t/0 holds no records"
    person.set("/shards/t", "delete")
    stage.settle(30.0)
    assert told_of(master)["problem"] == "/shards/t/0 holds no records"
    assert owners_of(a, b) == [0, 1], "nobody knows who has them, so they are not taken away"
    person.delete("/shards/t/0")
    stage.settle(12.0)
    assert stage.children("/shards") == []
    assert owners_of(a, b) == []


@pytest.mark.parametrize(("path", "below"), [("/shards/t/1/x", "/shards/t/1"), ("/shards/t/x", "/shards/t")])
def test_what_keeps_a_table_from_being_deleted_is_named_and_holds_up_nothing_else(
    stage: Stage, path: str, below: str
) -> None:
    master = new_master(stage)
    a, b = new_workers(stage, "a", "b")
    person = stage.person()
    new_table(stage, person, Table(4, page=2))
    new_table(stage, person, Table(4), name="u")
    person.create(path)
    sent = len(master.sent)
    person.set("/shards/t", "delete")
    stage.settle(12.0)
    assert told_of(master)["problem"] == f"{below} has znodes below it that are not the master's"
    assert told_of(master, "u")["problem"] is None
    assert not [op for op in master.sent[sent:] if isinstance(op, Children) and op.path == "/shards"]
    tried = [op for op in master.sent[sent:] if isinstance(op, Transaction) and "Delete" in str(op)]
    assert len(tried) == 2
    a.die()
    assert [handler.table for handler in b.handlers.values()] == 4 * ["u"]
    person.delete(path)
    stage.settle(11.0)
    assert stage.children("/shards") == ["u"]


def test_a_table_that_a_person_makes_smaller_stays_as_it_is_and_says_so(stage: Stage) -> None:
    master = new_master(stage)
    a, b = new_workers(stage, "a", "b")
    person = stage.person()
    new_table(stage, person, Table(6))
    person.set("/shards/t", Table(3).encode().decode())
    stage.settle(1.0)
    assert told_of(master)["problem"] == "shards: 3: it has 6, and cannot have fewer"
    assert told_of(master)["shards"] == 6
    a.die()
    stage.settle(1.0)
    assert owners_of(b) == list(range(6))
    person.set("/shards/t", Table(6).encode().decode())
    stage.settle(1.0)
    assert told_of(master)["problem"] is None


def test_what_the_workers_do_not_allow_is_told_as_long_as_it_is_so(stage: Stage) -> None:
    master = new_master(stage)
    for name, zone in (("a", "x"), ("b", "x"), ("c", "y")):
        ShardActor(stage, name, (f"zone={zone}",)).connect()
    person = stage.person()
    new_table(stage, person, Table(2, 3, "zone", shared=False))
    short = "3 replicas of each shard are in 2 places: the label zone has 2 values"
    stage.settle(100.0)
    assert told_of(master)["short"] == short
    person.set("/shards/t", Table(2, 3, "rack", shared=False).encode().decode())
    stage.settle(1.0)
    assert told_of(master)["short"] == "no worker has the label rack, so replicas are not spread over it"
    person.set("/shards/t", Table(2, 4, shared=False).encode().decode())
    stage.settle(1.0)
    assert told_of(master)["short"] == "each shard has 3 of 4 replicas: there are 3 workers"
    ShardActor(stage, "d", ("zone=z",)).connect()
    person.set("/shards/t", Table(2, 3, "zone", shared=False).encode().decode())
    stage.settle(1.0)
    assert told_of(master)["short"] is None


def test_a_replica_whose_handler_does_not_open_is_told(stage: Stage) -> None:
    """A move to it would not end, and its owner is well."""
    now = 5.0
    master = new_master(stage, wall=lambda: now)
    (a,) = new_workers(stage, "a")
    person = stage.person()
    new_table(stage, person, Table(1, 1, handler="x", shared=False))
    (b,) = new_workers(stage, "b")
    b.silent = {OpenShard}
    person.create("/moves/t:0", "b")
    stage.settle(20.0)
    assert told_of(master)["failed"] == 0, "it may take its time"
    stage.settle(30.0)
    assert owners_of(a) == [0]
    assert told_of(master)["failed"] == 1
    stage.settle(100.0)
    assert told_of(master)["failed"] == 1, "it has begun again, and is not open"
    b.silent = set()
    stage.settle(100.0)
    assert told_of(master)["failed"] == 0
    assert owners_of(b) == [0]


def test_a_replica_that_copies_for_long_is_told(stage: Stage) -> None:
    """It may say for ever that it is not caught up, and keep its place."""
    now = 5.0
    master = new_master(stage, wall=lambda: now)
    a, b = new_workers(stage, "a", "b")
    for worker in (a, b):
        worker.copies_for_ever = True
    person = stage.person()
    new_table(stage, person, Table(1, shared=False))
    other = "b" if owners_of(a) else "a"
    assert told_of(master)["slow"] == 0
    person.create("/moves/t:0", other)
    now += 600.0
    assert (told_of(master)["slow"], told_of(master)["failed"]) == (0, 0)
    now += 1.0
    assert (told_of(master)["slow"], told_of(master)["failed"]) == (1, 0)
    (a if other == "a" else b).die()
    stage.settle(1.0)
    now += 700.0
    assert told_of(master)["slow"] == 0


def test_a_table_made_by_hand_under_a_name_that_the_command_line_refuses_gets_nothing_and_is_named(
    stage: Stage,
) -> None:
    master = new_master(stage)
    (a,) = new_workers(stage, "a")
    person = stage.person()
    new_table(stage, person, Table(2), name="a b")
    stage.settle(1.0)
    assert a.shards == []
    assert stage.children("/shards/a b") == []
    problem = told_of(master, "a b")["problem"]
    assert problem == "table 'a b': use letters, digits, dot, dash and underscore, at most 63"
    assert remedy("a b", problem) == "delete the znode /shards/a b, and make the table under another name"
    person.set("/shards/a b", "delete")
    stage.settle(1.0)
    assert stage.children("/shards") == []


@pytest.mark.parametrize("how", ["known", "another master", "read anew", "cut", "reply lost"])
def test_no_generation_repeats_after_a_person_has_deleted_a_page(stage: Stage, how: str) -> None:
    master = new_master(stage)
    (a,) = new_workers(stage, "a")
    person = stage.person()
    new_table(stage, person, Table(2))
    for _ in range(3):
        a.break_(0)
        stage.settle(20.0)
    before = records_of(stage)
    if how == "known":
        person.delete("/shards/t/0")
    elif how == "another master":
        person.set("/shards/t/0", "oops")
        master.die()
        new_master(stage, "n")
        person.delete("/shards/t/0")
    elif how == "cut":
        master.cut()
        person.delete("/shards/t/0")
        master.resume()
    elif how == "reply lost":
        master.cut()
        a.break_(0)
        master.resume_and_lose(Transaction, 3)
        known, before = before, records_of(stage)
        assert before[0].generation > known[0].generation
        master.cut()
        person.delete("/shards/t/0")
        master.resume()
    else:
        deleted: list[int] = []

        def meanwhile(request: Request) -> None:
            if request.operation == Children("/shards/t") and not deleted:
                deleted.append(1)
                person.delete("/shards/t/0", settle=False)

        master.meanwhile = meanwhile
        person.delete("/drains", settle=False)
        stage.settle(5.0)
        assert deleted
    stage.settle(20.0)
    after = records_of(stage)
    assert all(after[shard].generation > before[0].generation for shard in (0, 1))
    assert owners_of(a) == [0, 1]


def test_a_table_that_a_person_deletes_while_its_page_is_refused_keeps_the_master_from_nothing(
    stage: Stage,
) -> None:
    new_master(stage)
    (a,) = new_workers(stage, "a")
    person = stage.person()
    new_table(stage, person, Table(1))
    stage.refused.add("/shards/t/0")
    person.delete("/drains")  # so that all is read anew
    stage.settle(1.0)
    person.delete_all("/shards/t")
    stage.refused.clear()
    stage.settle(5.0)
    new_table(stage, person, Table(1), name="u")
    assert [opened.table for opened in a.handlers.values()] == ["u"]
