"""Scenes of attempts: what a command is told of its own, what counts, and what it is stopped for."""

import json

from tests.unit.core_stage import Stage

TASK = "task-0000000000"


def test_the_token_is_who_assigned_it_and_the_attempt_and_both_grow() -> None:
    stage = Stage()
    first = stage.master("m1")
    stage.master("m2")
    stage.person().create("/tasks/task-", "date", s=True)
    tokens = []
    for _ in range(3):
        worker = stage.worker("w1")
        (run,) = worker.started
        tokens.append((run.environment["MWAPP_EPOCH"], run.environment["MWAPP_ATTEMPT"]))
        if first.alive:
            first.die()
        worker.die()
    assert tokens == [("1", "1"), ("2", "2"), ("2", "3")]


def test_a_command_knows_its_task_its_worker_and_its_incarnation() -> None:
    stage = Stage()
    stage.master("m1")
    stage.worker("w1").die()
    stage.person().create("/tasks/task-", "date", s=True)
    (run,) = stage.worker("w1").started
    assert run.environment == {
        "MWAPP_TASK": TASK,
        "MWAPP_ATTEMPT": "1",
        "MWAPP_EPOCH": "1",
        "MWAPP_WORKER": "w1",
        "MWAPP_INCARNATION": "1",
    }


def test_an_assignment_made_by_hand_has_no_epoch() -> None:
    stage = Stage()
    worker, person = stage.worker("w1"), stage.person()
    person.create(f"/tasks/{TASK}", "date")
    person.create(f"/assign/w1/{TASK}")
    assert [run.environment["MWAPP_EPOCH"] for run in worker.started] == [""]


def test_a_command_whose_assignment_is_deleted_is_killed_and_its_end_is_nobodys() -> None:
    stage = Stage()
    master, worker, person = stage.master("m1"), stage.worker("w1"), stage.person()
    person.create("/tasks/task-", "date", s=True)
    assert worker.running() == [TASK]
    master.die()  # nobody gives it to anybody
    person.delete(f"/assign/w1/{TASK}")
    assert worker.running() == []
    assert worker.worker.counters["killed"] == 1
    stage.master("m2")
    assert (worker.running(), len(worker.started)) == ([TASK], 2)


def test_who_drains_hands_back_what_waits_with_the_failures_it_has_had() -> None:
    stage = Stage()
    stage.master("m1")
    worker, person = stage.worker("w1", prefetch=1), stage.person()
    person.create("/tasks/task-", json.dumps({"command": "date", "retries": 1, "retry_delay": 0}), s=True)
    other = person.create("/tasks/task-", "date", s=True).removeprefix("/tasks/")
    worker.finish(TASK, code=1)
    assert (worker.running(), stage.holders(TASK)) == ([other], ["w1"]), "tried again, behind the other"
    worker.stop()
    assert json.loads(stage.data(f"/returned/{TASK}") or "") == {"attempt": 2, "failures": 1}
    another = stage.worker("w2")
    assert another.running() == [TASK]
    another.finish(TASK, code=1)
    assert stage.data(f"/tasks/{TASK}/status") == "failed"
