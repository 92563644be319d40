"""Handlers of shards that end, fail, hang or are slow, and the addresses that they tell."""

from dataclasses import replace

import pytest

from mwapp.core.messages import (
    DemoteShard,
    Get,
    OpenShard,
    PromoteShard,
    ShardSays,
)
from mwapp.core.shards.protocol import Table
from tests.unit.core_shards_stage import new_master, new_table, new_workers, owners_of, records_of, report_of
from tests.unit.core_stage import SESSION_SECONDS, Stage


def test_a_handler_that_does_not_release_its_shard_is_killed_and_the_move_goes_on(stage: Stage) -> None:
    new_master(stage)
    a, b = new_workers(stage, "a", "b")
    person = stage.person()
    new_table(stage, person, Table(2))
    shard = next(iter(a.primaries))
    a.silent = {DemoteShard}
    person.create(f"/moves/t:{shard}", "b")
    stage.settle(9.0)
    assert shard not in b.primaries
    stage.settle(2.0)
    assert shard in b.primaries
    assert a.holder.counters["failed"] == 1


def test_a_primary_whose_handler_ends_is_followed_and_begins_again_as_a_replica(stage: Stage) -> None:
    new_master(stage)
    a, b = new_workers(stage, "a", "b")
    new_table(stage, stage.person(), Table(1, 2, shared=False))
    owner, other = (a, b) if a.primaries else (b, a)
    owner.break_(0)
    assert owners_of(other) == [0]
    stage.settle(0.5)
    assert owner.shards == [0]
    stage.settle(3.0)
    assert owners_of(owner) == [0]  # for which it was planned
    assert other.shards == [0]


def test_the_pause_of_a_handler_that_ends_at_once_grows_though_it_says_that_it_serves(stage: Stage) -> None:
    new_master(stage)
    (a,) = new_workers(stage, "a")
    a.failing = {0}
    new_table(stage, stage.person(), Table(1))
    stage.settle(60.0)
    assert a.holder.counters["failed"] <= 7
    a.failing = set()
    stage.settle(90.0)
    assert owners_of(a) == [0]
    a.break_(0)
    stage.settle(2.5)
    assert owners_of(a) == [0], "it was well for long enough to begin with a short pause"


def test_a_primary_that_fails_again_and_again_gets_the_shard_back_ever_later(stage: Stage) -> None:
    new_master(stage)
    a, b = new_workers(stage, "a", "b")
    new_table(stage, stage.person(), Table(1, 2, shared=False))
    bad, good = (a, b) if a.primaries else (b, a)
    bad.failing = {0}
    bad.break_(0)
    stage.settle(120.0)
    assert bad.holder.counters["promoted"] <= 8
    assert owners_of(good) == [0]
    bad.failing = set()
    stage.settle(120.0)
    assert owners_of(bad) == [0]


def test_a_handler_of_shared_data_that_ends_begins_again_under_another_generation(stage: Stage) -> None:
    new_master(stage)
    (a,) = new_workers(stage, "a")
    new_table(stage, stage.person(), Table(1))
    before = records_of(stage)[0].generation
    a.break_(0)
    stage.settle(0.5)
    assert records_of(stage)[0].generation == before + 1
    assert a.primaries == {0: before + 1}, "the first time at once"
    a.break_(0)
    stage.settle(0.9)
    assert a.shards == [], "then after a second"
    stage.settle(1.5)
    assert a.primaries == {0: before + 2}


def test_a_late_answer_does_not_hide_that_a_handler_hangs(stage: Stage) -> None:
    new_master(stage)
    a, b = new_workers(stage, "a", "b")
    new_table(stage, stage.person(), Table(1, 2, shared=False))
    owner, other = (a, b) if a.primaries else (b, a)
    before = owner.primaries[0]
    owner.silent = {PromoteShard}
    other.die()
    assert records_of(stage)[0].generation == before + 1
    owner.event(ShardSays(next(iter(owner.handlers)), "serving", before))
    stage.settle(31.0)
    assert owner.holder.counters["failed"] == 1


def test_a_worker_that_has_begun_again_gets_its_shard_back_when_it_has_rested(stage: Stage) -> None:
    new_master(stage)
    a, b = new_workers(stage, "a", "b")
    new_table(stage, stage.person(), Table(1, 2, shared=False))
    bad, good = (a, b) if a.primaries else (b, a)
    bad.failing = {0}
    bad.break_(0)
    while bad.holder.counters["failed"] < 5:
        stage.settle(0.1)
    bad.die()
    (again,) = new_workers(stage, "ab"[bad is b])
    stage.settle(5.0)
    assert owners_of(good) == [0]
    stage.settle(15.0)
    assert owners_of(again) == [0]


def test_a_shard_of_shared_data_leaves_a_worker_on_which_it_always_fails(stage: Stage) -> None:
    new_master(stage)
    a, b = new_workers(stage, "a", "b")
    person = stage.person()
    new_table(stage, person, Table(4))
    shard = next(iter(a.primaries))
    a.failing = {shard}
    a.break_(shard)
    stage.settle(12.0)
    assert shard in b.primaries
    assert owners_of(a, b) == [0, 1, 2, 3]
    (c,) = new_workers(stage, "c")
    stage.settle(60.0)
    assert owners_of(a, b, c) == [0, 1, 2, 3]
    assert a.primaries, "it has others"
    person.create(f"/moves/t:{shard}", "a")
    a.failing = set()
    stage.settle(1.0)
    assert shard in a.primaries, "a person wants it so"


def test_a_shard_that_fails_everywhere_is_tried_ever_later(stage: Stage) -> None:
    new_master(stage)
    workers = new_workers(stage, "a", "b")
    for worker in workers:
        worker.failing = {0}
    new_table(stage, stage.person(), Table(1))
    stage.settle(300.0)
    assert sum(worker.holder.counters["failed"] for worker in workers) < 30


def test_a_handler_that_does_not_open_is_killed_and_tried_elsewhere(stage: Stage) -> None:
    new_master(stage)
    a, b = new_workers(stage, "a", "b")
    a.silent = b.silent = {OpenShard, PromoteShard}
    new_table(stage, stage.person(), Table(1, 2, shared=False))
    owner, other = (a, b) if records_of(stage)[0].primary == "a" else (b, a)
    other.silent = set()
    stage.settle(35.0)
    assert owner.holder.counters["failed"] >= 1
    assert owners_of(a, b) in ([], [0])


@pytest.mark.parametrize("takes", [20.0, 29.0])
def test_a_handler_that_opens_slowly_is_promoted_with_what_the_session_is_sure_to_live_then(
    stage: Stage, takes: float
) -> None:
    new_master(stage)
    (a,) = new_workers(stage, "a")
    a.silent = {OpenShard}
    new_table(stage, stage.person(), Table(1))
    stage.settle(takes - 1.0)
    assert not any(isinstance(command, PromoteShard) for command in a.told)
    (run,) = a.handlers
    a.event(ShardSays(run, "open", a.handlers[run].generation))
    (promoted,) = (command for command in a.told if isinstance(command, PromoteShard))
    assert promoted.until > stage.now + SESSION_SECONDS / 2
    stage.settle(5.0)
    assert owners_of(a) == [0]
    assert a.holder.counters["failed"] == 0


def test_a_handler_that_is_told_too_late_is_told_again_with_what_the_session_is_sure_to_live(
    stage: Stage,
) -> None:
    new_master(stage)
    (a,) = new_workers(stage, "a")
    a.silent = {PromoteShard}
    new_table(stage, stage.person(), Table(1))
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
    new_master(stage)
    a, b = new_workers(stage, "a", "b")
    a.silent = {OpenShard}
    person = stage.person()
    new_table(stage, person, Table(2))
    shard = next(iter(a.shards))
    person.create(f"/moves/t:{shard}", "b")
    stage.settle(2.0)
    assert shard in b.primaries


def test_the_address_of_a_handler_is_told_as_long_as_it_lives(stage: Stage) -> None:
    new_master(stage)
    (a,) = new_workers(stage, "a")
    a.address = "h:1"
    new_table(stage, stage.person(), Table(1))
    assert report_of(stage, "a").addresses == {("t", 0): "h:1"}
    (run,) = a.handlers
    record = records_of(stage)[0]
    a.event(ShardSays(run, "serving", record.generation - 1, address="h:0"))
    stage.settle()
    assert report_of(stage, "a").addresses == {("t", 0): "h:1"}, "what it said before does not count"
    a.failing.add(0)
    a.silent = {OpenShard}
    a.break_(0)
    assert report_of(stage, "a").addresses == {}


def test_where_a_replica_is_that_copies_is_told_before_it_is_ready(stage: Stage) -> None:
    new_master(stage)
    workers = new_workers(stage, "a", "b")
    for worker in workers:
        worker.silent = {OpenShard}  # it says what the test says
    new_table(stage, stage.person(), Table(1, 2))
    replica = next(worker for worker in workers if worker.name != records_of(stage)[0].primary)
    ((run, opened),) = replica.handlers.items()

    def says(word: str, address: str) -> tuple[object, object]:
        replica.event(ShardSays(run, word, opened.generation, address=address))
        stage.settle()
        report = report_of(stage, replica.name)
        return report.shards, report.addresses

    key, generation = ("t", 0), opened.generation
    assert says("open", "h:1") == ({key: (generation, "open")}, {key: "h:1"})
    assert says("ready", "h:1") == ({key: (generation, "ready")}, {key: "h:1"})


def test_a_page_is_read_again_only_when_it_changes(stage: Stage) -> None:
    new_master(stage)
    a, _b = new_workers(stage, "a", "b")
    new_table(stage, stage.person(), Table(4, page=2))
    before = sum(isinstance(op, Get) and op.path.startswith("/shards/t/") for op in a.sent)
    stage.settle(60.0)
    assert sum(isinstance(op, Get) and op.path.startswith("/shards/t/") for op in a.sent) == before
