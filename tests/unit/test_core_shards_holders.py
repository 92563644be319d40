"""Workers as holders of shards: what they send, when they leave, and when their handlers must end."""

import re
from functools import partial
from typing import Any

import pytest

from mwapp.core.client import Submit
from mwapp.core.messages import (
    Check,
    Children,
    CloseShard,
    Delete,
    DemoteShard,
    Exists,
    Get,
    OpenShard,
    PromoteShard,
    Set,
    Transaction,
)
from mwapp.core.shards import holder
from mwapp.core.shards.protocol import SHARD_PARENTS, Member, Record, Report, Table
from mwapp.core.task import Task
from tests.unit.core_shards_stage import (
    TWO,
    make_parents,
    new_master,
    new_table,
    new_workers,
    owners_of,
    records_of,
    report_of,
)
from tests.unit.core_stage import SESSION_SECONDS, Stage, when_carried_out

_UNHEARD: dict[str, Any] = dict.fromkeys(("accepted", "refused", "finished"), lambda *_: None)


def test_without_a_table_there_is_one_read_for_each_connection(stage: Stage) -> None:
    master, (worker,) = new_master(stage), new_workers(stage, "a")
    stage.settle(30.0)
    looks = [Exists("/shards", watch=True)]
    for actor in (master, worker):
        assert [op for op in actor.sent if getattr(op, "path", "").startswith("/shards")] == looks
        assert not any("/holders" in str(op) for op in actor.sent)
    assert "shards" not in master.election.status()


def test_without_a_table_a_holder_sends_nothing_but_two_reads_where_lists_have_made_the_parents(
    stage: Stage,
) -> None:
    make_parents(stage.person())
    new_master(stage)
    plain = stage.worker("b")
    (worker,) = new_workers(stage, "a")
    stage.settle(60.0)
    assert len(worker.sent) == len(plain.sent) + 2, "as many as a worker that knows no shards"
    looks = [op for op in worker.sent if getattr(op, "path", "") in SHARD_PARENTS]
    assert looks == [Exists("/shards", watch=True), Children("/shards", watch=True)]
    assert stage.children("/holders") == []
    worker.stop()
    assert not worker.alive


def test_with_the_last_table_a_holder_falls_silent_and_the_next_one_wakes_it(stage: Stage) -> None:
    new_master(stage)
    (a,) = new_workers(stage, "a")
    person = stage.person()
    new_table(stage, person, Table(2))
    assert owners_of(a) == [0, 1]
    person.set("/shards/t", "delete")
    stage.settle(1.0)
    before = sum("/holders" in str(op) for op in a.sent)
    stage.settle(60.0)
    assert sum("/holders" in str(op) for op in a.sent) == before
    a.cut()
    a.resume()
    stage.settle(60.0)
    assert sum("/holders" in str(op) for op in a.sent) == before
    new_table(stage, person, Table(3))
    assert owners_of(a) == [0, 1, 2]


def test_a_holder_leaves_without_deleting_anything_and_gets_nothing_more(stage: Stage) -> None:
    """With lists workers may not delete below /holders. It has a task to finish, and no shards."""
    new_master(stage)
    (a,) = new_workers(stage, "a")
    person = stage.person()
    new_table(stage, person, Table(1))
    person.set("/shards/t", "delete")
    stage.settle(1.0)
    stage.client(lambda process: Submit(process, [Task("sleep", key="k")], **_UNHEARD))
    assert a.runs
    a.stop()
    assert a.alive
    assert stage.data("/holders/a") == ""
    new_table(stage, person, Table(1))
    stage.settle(5.0)
    assert records_of(stage) == {}
    (b,) = new_workers(stage, "b")
    stage.settle(1.0)
    assert owners_of(b) == [0]
    assert not any(isinstance(op, Transaction) and _deletes_holder(op) for op in a.sent)


def _deletes_holder(transaction: Transaction) -> bool:
    return any(isinstance(op, Delete) and op.path.startswith("/holders") for op in transaction.ops)


def test_a_table_has_its_owners_evenly(stage: Stage) -> None:
    master, (a, b) = new_master(stage), new_workers(stage, "a", "b")
    new_table(stage, stage.person(), TWO)
    assert owners_of(a, b) == [0, 1, 2, 3]
    assert (len(a.primaries), a.shards, b.shards) == (2, [0, 1, 2, 3], [0, 1, 2, 3])
    records = records_of(stage)
    assert {record.since for record in records.values()} == {5}
    assert all(record.target is None for record in records.values())
    told = master.election.status()["shards"]["tables"]["t"]
    well = {"without_primary": 0, "failed": 0, "under_replicated": 0, "moving": 0, "slow": 0}
    assert told == {"problem": None, "short": None, "shards": 4} | well
    assert all(generation == records[shard].generation for shard, generation in a.primaries.items())


def test_handlers_are_killed_before_the_session_can_end(stage: Stage) -> None:
    new_master(stage)
    a, b = new_workers(stage, "a", "b")
    new_table(stage, stage.person(), TWO)
    a.cut()
    stage.settle(SESSION_SECONDS * 0.6)
    assert a.primaries
    assert not b.primaries.keys() & a.primaries.keys()
    stage.settle(SESSION_SECONDS * 0.36)
    assert not a.handlers
    assert all(command.grace == 0 for command in a.told if isinstance(command, CloseShard))


def test_a_handler_is_told_how_long_the_session_lasts(stage: Stage) -> None:
    new_master(stage)
    (a,) = new_workers(stage, "a")
    new_table(stage, stage.person(), Table(1))
    told = [command for command in a.told if isinstance(command, OpenShard | PromoteShard)]
    assert len(told) == 2
    assert all(command.until < stage.now + SESSION_SECONDS for command in told)


def test_the_next_incarnation_does_not_begin_while_handlers_of_the_last_are_dying(stage: Stage) -> None:
    new_master(stage)
    (a,) = new_workers(stage, "a")
    new_table(stage, stage.person(), Table(2))
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
    assert owners_of(a) == [0, 1]
    assert not a.handlers.keys() & set(dying)


def test_a_worker_says_nothing_for_another_incarnation(stage: Stage) -> None:
    new_master(stage)
    new_workers(stage, "a")[0].die()
    (a,) = new_workers(stage, "a")
    new_table(stage, stage.person(), Table(2))
    said = [op for op in a.sent if isinstance(op, Transaction) and op.ops[-1].path == "/holders/a"]
    assert said
    assert {op.ops[0] for op in said} == {Check("/assign/a", 1)}


def test_who_has_no_session_is_no_holder(stage: Stage) -> None:
    new_master(stage)
    new_workers(stage, "b")[0].die()
    new_workers(stage, "a")
    person = stage.person()
    new_table(stage, person, Table(1))
    person.create("/holders/b", Report(0).encode().decode())
    new_table(stage, person, TWO, name="u")
    assert {record.wanted for record in records_of(stage, "u").values()} == {("a",)}


def test_a_session_that_is_given_up_is_not_closed_while_handlers_are_dying(stage: Stage) -> None:
    new_master(stage)
    (a,) = new_workers(stage, "a")
    new_table(stage, stage.person(), Table(1))
    a.silent = {OpenShard, PromoteShard, DemoteShard}
    a.die_later = True
    a.cut()
    while not any(isinstance(command, CloseShard) for command in a.told):
        stage.settle(0.05)
    assert a.session is not None
    stage.settle(SESSION_SECONDS * 0.06)
    assert a.session is None


def test_what_an_earlier_process_sends_late_does_not_empty_the_znode_of_the_next(stage: Stage) -> None:
    new_master(stage)
    (a,) = new_workers(stage, "a")
    new_table(stage, stage.person(), Table(1))
    a.stop()
    stage.settle(40.0)
    last = [op for op in a.sent if isinstance(op, Transaction) and op.ops[-1].path == "/holders/a"][-1]
    assert last.ops == (Check("/assign/a", 0), Set("/holders/a", b""))


def test_who_has_lost_its_registration_empties_its_znode_only_as_the_incarnation_that_it_was(
    stage: Stage,
) -> None:
    """It may come late. Then another process may have the name, and a znode there of the same version."""
    new_master(stage)
    (a,) = new_workers(stage, "a")
    person = stage.person()
    new_table(stage, person, Table(1))
    person.delete("/workers/a", settle=False)
    person.create("/workers/a", "by hand", e=True)
    stage.settle(10.0)
    assert stage.data("/holders/a") == ""
    (last,) = [op for op in a.sent if isinstance(op, Transaction) and Check("/assign/a", 0) == op.ops[0]][-1:]
    assert [op.path for op in last.ops] == ["/assign/a", "/holders/a"]
    assert isinstance(last.ops[1], Set)
    assert (last.ops[1].data, last.ops[1].version > 0) == (b"", True)


def test_a_holder_whose_znode_a_person_deletes_makes_it_again(stage: Stage) -> None:
    new_master(stage)
    (a,) = new_workers(stage, "a")
    person = stage.person()
    new_table(stage, person, Table(1))
    person.delete("/holders/a")
    stage.settle(12.0)
    assert stage.children("/holders") == ["a"]
    assert owners_of(a) == [0]


def test_a_worker_whose_registration_a_person_deletes_begins_again_as_another_incarnation(
    stage: Stage,
) -> None:
    new_master(stage)
    a, b = new_workers(stage, "a", "b")
    person = stage.person()
    new_table(stage, person, TWO)
    person.delete("/workers/a")
    stage.settle(5.0)
    assert a.shards == [0, 1, 2, 3]
    assert owners_of(a, b) == [0, 1, 2, 3]
    assert {record.incarnation("a") for record in records_of(stage).values()} == {1}


def test_what_a_worker_had_whose_name_is_taken_by_hand_goes_to_others_when_its_handlers_are_gone(
    stage: Stage,
) -> None:
    """Its session lives on, and it may delete nothing."""
    new_master(stage)
    a, b = new_workers(stage, "a", "b")
    person = stage.person()
    new_table(stage, person, TWO)
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
    assert owners_of(b) == [0, 1, 2, 3]
    before = len(a.sent)
    stage.settle(60.0)
    assert sum("/holders" in str(op) for op in a.sent[before:]) == 0
    person.delete("/workers/a")
    stage.settle(5.0)
    assert owners_of(a, b) == [0, 1, 2, 3]
    assert len(a.shards) == 4


def test_who_cannot_say_what_it_has_says_why(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    new_master(stage)
    (a,) = new_workers(stage, "a")
    person = stage.person()
    new_table(stage, person, Table(2))
    assert a.holder.status()["problem"] is None
    stage.forbids = lambda op: isinstance(op, Set) and op.path == "/holders/a"
    a.break_(0)
    stage.settle(10.0)
    assert a.holder.status()["problem"] == "/holders/a cannot be written (refused)"
    assert caplog.text.count("/holders/a cannot be written (refused): the master does not hear") == 1
    stage.forbids = lambda _: False
    stage.settle(10.0)
    assert a.holder.status()["problem"] is None
    assert owners_of(a) == [0, 1]


def test_who_has_more_than_fits_into_its_znode_says_what_matters_until_it_has_less(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holder, "LARGE", 1500)
    stage.forbids = lambda op: isinstance(op, Set) and op.path == "/holders/a" and len(op.data) > 2000
    master = new_master(stage, wall=lambda: stage.now)
    (a,) = new_workers(stage, "a")
    new_table(stage, stage.person(), Table(190, page=10, shared=False))
    stage.settle(60.0)
    assert re.fullmatch(
        r"/holders/a cannot be written \(refused\): [0-9]{4} bytes may be more than servers take: .*",
        a.holder.status()["problem"],
    )
    assert report_of(stage, "a").shards == {}
    (b,) = new_workers(stage, "b")
    stage.settle(60.0)
    assert a.holder.status()["problem"] is None
    assert (len(a.primaries), len(b.primaries)) == (95, 95)
    assert len(stage.data("/holders/a") or "") < 2000
    assert {said[1] for said in report_of(stage, "a").shards.values()} == {"serving"}
    told = master.election.status()["shards"]["tables"]["t"]
    assert (told["failed"], told["moving"]) == (0, 0)


def test_of_what_does_not_fit_that_is_said_which_the_record_does_not_say() -> None:
    record = Record(7, "w", {"w": Member(0, "sync"), "v": Member(0, "copy")})
    for said, matters in {"serving": False, "ready": False, "open": False, "failed": True}.items():
        assert holder._matters((7, said), record, "w") is matters
    assert holder._matters((7, "released"), record, "w")
    assert holder._matters((7, "ready"), record, "v")
    assert not holder._matters((7, "open"), record, "v")


@pytest.mark.parametrize("said", ["oops", '{"incarnation":7,"shards":{}}'])
@pytest.mark.parametrize("before_the_table", [0.0, 12.0])
def test_what_a_worker_says_is_said_again_if_a_person_overwrites_it(
    stage: Stage, said: str, before_the_table: float
) -> None:
    """Also if it has nothing new to say: nobody gives it anything before."""
    new_master(stage)
    workers = new_workers(stage, "a", "b")
    person = stage.person()
    stage.settle(before_the_table)
    new_table(stage, person, Table(4))
    stage.settle(10.0)
    before = report_of(stage, "a")
    person.set("/holders/a", said)
    stage.settle(6.0)
    person.set("/holders/a", said)
    stage.settle(20.0)
    assert report_of(stage, "a").incarnation == before.incarnation
    assert owners_of(*workers) == [0, 1, 2, 3]
    assert [len(worker.primaries) for worker in workers] == [2, 2]
    sent = len(workers[0].sent)
    stage.settle(60.0)
    assert not [op for op in workers[0].sent[sent:] if "Set(path='/holders" in str(op)], "it is said once"


def test_a_holder_that_is_gone_when_it_is_read_and_back_when_the_list_is_read_again_is_heard(
    stage: Stage,
) -> None:
    master, (first,), person = new_master(stage), new_workers(stage, "a"), stage.person()
    new_table(stage, person, Table(2))

    def leave() -> None:
        said = stage.data("/holders/b") or ""
        stage.soon(lambda: person.delete("/holders/b", settle=False))
        read = Get("/holders/b", watch=True)
        back = partial(person.create, "/holders/b", said, e=True, settle=False)
        when_carried_out(master, lambda request: request.operation == read, back)

    listed = Children("/holders", watch=True)
    when_carried_out(master, lambda request: request.operation == listed, leave)
    (second,) = new_workers(stage, "b")
    assert master.meanwhile is None
    stage.settle(10.0)
    assert (len(first.primaries), len(second.primaries)) == (1, 1)
