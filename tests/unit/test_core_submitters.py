"""Scenes of bounds on submitters: who has too many, which of them are refused, and when that is certain."""

import pytest

from mwapp.core.known_tasks import KnownTasks, Waiting
from mwapp.core.limits import Limits
from mwapp.core.protocol import RUN, Outcome, TaskRequest, result_path
from mwapp.core.submitters import Submitters
from mwapp.core.task import make_key
from tests.unit.core_stage import Stage, submitted

WHY = "too many tasks of eve: 2 have not ended, the limit of mwapp master --max-per-submitter"


def by(stage: Stage, submitter: str, mark: int, **fields: object) -> str:
    return submitted(stage, key=make_key(submitter, str(mark)), **fields)


def outcome(stage: Stage, task: str) -> Outcome | None:
    node = stage.ensemble.decided.nodes.get(result_path(task))
    return None if node is None else Outcome.decode(node.data)


def test_of_a_submitter_s_tasks_the_newest_are_refused() -> None:
    stage = Stage()
    stage.master("m1", max_per_submitter=2)
    of_eve = [by(stage, "eve", mark) for mark in range(4)]
    of_bob = [by(stage, "bob", mark) for mark in range(2)]
    worker = stage.worker("w1", slots=9)
    assert worker.running() == [*of_eve[:2], *of_bob]
    for task in of_eve[2:]:
        assert outcome(stage, task) == Outcome(reason=WHY)
        assert stage.data(f"/tasks/{task}/status") == "failed"
    worker.finish(of_eve[0])
    assert by(stage, "eve", 9) in worker.running()


def test_without_a_bound_nobody_is_refused() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1", slots=50)
    for mark in range(20):
        by(stage, "eve", mark)
    assert len(worker.running()) == 20


def test_what_does_not_say_whose_it_is_counts_together() -> None:
    stage = Stage()
    stage.master("m1", max_per_submitter=2)
    worker = stage.worker("w1", slots=9)
    tasks = [submitted(stage), submitted(stage, key="0123"), submitted(stage)]
    assert worker.running() == tasks[:2]
    told = outcome(stage, tasks[2])
    assert told is not None
    assert (told.reason or "").startswith("too many tasks that do not say who submitted them: 2 ")


def test_what_waits_or_runs_or_was_returned_counts() -> None:
    stage = Stage()
    stage.master("m1", max_per_submitter=3)
    first = by(stage, "eve", 1, retries=3, retry_delay=60.0)
    by(stage, "eve", 2, delay=600.0)
    worker = stage.worker("w1")
    third = by(stage, "eve", 3)
    worker.finish(first, code=1)
    assert worker.running() == [third]
    for more in ({}, {"delay": 600.0}):
        assert outcome(stage, by(stage, "eve", 4, **more)) is not None


def test_a_new_master_refuses_nothing_that_is_within_the_bound_and_begins_nothing_that_may_not_be() -> None:
    """It reads the newest first."""
    stage = Stage()
    worker = stage.worker("w1", slots=100)
    of_eve = [by(stage, "eve", mark) for mark in range(2)]
    for mark in range(60):
        by(stage, f"other{mark}", mark)
    of_eve.append(by(stage, "eve", 3))
    stage.master("m1", max_per_submitter=2, limits=Limits(page=3, newest=2))
    stage.settle(2.0)
    assert [outcome(stage, task) is None for task in of_eve] == [True, True, False]
    assert len(stage.children("/assign/w1")) == 62
    assert not any(run.environment["MWAPP_TASK"] == of_eve[2] for run in worker.started)


def test_who_takes_over_counts_what_runs() -> None:
    stage = Stage()
    first = stage.master("m1", max_per_submitter=2)
    worker = stage.worker("w1", slots=9)
    running = [by(stage, "eve", mark) for mark in range(2)]
    first.die()
    late = by(stage, "eve", 3)
    stage.master("m2", max_per_submitter=2)
    assert worker.running() == running
    assert outcome(stage, late) == Outcome(reason=WHY)


def test_what_runs_again_is_not_refused_and_counts() -> None:
    stage = Stage()
    stage.master("m1", max_per_submitter=2)
    worker = stage.worker("w1", slots=9)
    first = by(stage, "eve", 1)
    worker.finish(first)
    second, third = by(stage, "eve", 2), by(stage, "eve", 3)
    stage.person().create(f"/requests/{first}", TaskRequest(RUN).encode().decode())
    assert sorted(worker.running()) == [first, second, third]
    worker.finish(second)
    assert outcome(stage, by(stage, "eve", 4)) == Outcome(reason=WHY)
    worker.finish(first)
    assert by(stage, "eve", 5) in worker.running()


def test_what_a_person_deletes_makes_room() -> None:
    stage = Stage()
    stage.master("m1", max_per_submitter=1)
    worker = stage.worker("w1", slots=9)
    gone = by(stage, "eve", 1)
    stage.person().delete(f"/tasks/{gone}")
    stage.settle(2.0)
    task = by(stage, "eve", 2)
    assert worker.running() == [task]


def test_whoever_has_room_is_not_held_up_by_who_has_none() -> None:
    stage = Stage()
    stage.master("m1", max_per_submitter=1)
    worker = stage.worker("w1")
    by(stage, "eve", 1)
    for mark in range(2, 6):
        by(stage, "eve", mark)
    of_bob = by(stage, "bob", 1)
    worker.finish(worker.running()[0])
    assert worker.running() == [of_bob]


# ---------------------------------------------------------------- the count alone


def two_of_eve() -> KnownTasks:
    known = KnownTasks(1)
    known.listed(["a", "b"])
    for czxid, task in enumerate("ab"):
        known.submitters.note(task, "eve", czxid)
        known.queue(task, Waiting(frozenset()), 0.0, 0.0)
    return known


def test_nothing_is_refused_while_something_is_to_be_read_again() -> None:
    """It may have ended."""
    known = two_of_eve()
    known.unread["a"] = None
    known.refuse_too_many()
    assert list(known.queued) == ["a", "b"]
    del known.unread["a"]
    known.refuse_too_many()
    assert (list(known.queued), list(known.bad)) == (["a"], ["b"])


def test_what_waits_is_still_known_at_the_next_reading() -> None:
    known = two_of_eve()
    known.begin_anew(set())
    assert known.listed(["a", "b"]) == set()
    assert (known.may_begin("a"), known.may_begin("b")) == (True, False)


def test_the_oldest_come_first_whatever_their_names() -> None:
    known = Submitters(1)
    for task, czxid in (("zebra", 5), ("task-0000000001", 7), ("task-0000000002", 7), ("ant", 6)):
        known.note(task, "eve", czxid)
    assert [task for task, _ in known.beyond()] == ["ant", "task-0000000001", "task-0000000002"]
    known.forget("zebra")
    assert [task for task, _ in known.beyond()] == ["task-0000000001", "task-0000000002"]
    known.note("ant", "eve", 9)  # deleted, and submitted again
    assert [task for task, _ in known.beyond()] == ["task-0000000002", "ant"]
    known.forget("never seen")
    for task in ("ant", "task-0000000001", "task-0000000002"):
        known.forget(task)
    assert not list(known.beyond())


@pytest.mark.parametrize(("unfinished", "room"), [(2, True), (3, False), (9, False)])
def test_what_is_not_known_counts_as_older(unfinished: int, room: bool) -> None:
    known = Submitters(2)
    known.note("a", "eve", 1)
    known.note("b", "eve", 2)
    assert known.has_room("b", unfinished) == room
    assert not known.has_room("c", 3), "it has not been read"
    assert known.has_room("a", 3)


def test_of_those_that_are_kept_the_age_is_kept() -> None:
    known = Submitters(1)
    for task, czxid in (("b", 1), ("a", 2), ("c", 3)):
        known.note(task, "eve", czxid)
    kept = known.kept({"a", "b"})
    assert [task for task, _ in kept.beyond()] == ["a"]
    assert kept.why("eve") == known.why("eve")
