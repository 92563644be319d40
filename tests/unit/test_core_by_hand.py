"""What people do at zkCli.sh, beside our processes: play a role, or delete what we rely on."""

import json

import pytest

from tests.unit.core_stage import Stage

TASK = "task-0000000000"


def test_person_as_client() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    assert stage.person().create("/tasks/task-", "date", s=True) == f"/tasks/{TASK}"
    assert [run.task.command for run in worker.started] == ["date"]
    worker.finish(TASK)
    assert stage.data(f"/tasks/{TASK}/status") == "done"
    assert stage.children("/assign/w1") == []


def test_person_as_worker() -> None:
    stage = Stage()
    stage.master("m1")
    person = stage.person()
    person.create("/workers/w1", "w1:2224", e=True)
    for _ in range(2):
        person.create("/tasks/task-", "date", s=True)
    assert stage.children("/assign/w1") == [TASK]  # a task at a time
    person.create(f"/tasks/{TASK}/status", "done")
    assert stage.children("/assign/w1") == ["task-0000000001"]
    person.quit()
    worker = stage.worker("w2")
    assert worker.running() == ["task-0000000001"]


def test_person_as_master() -> None:
    stage = Stage()
    worker = stage.worker("w1")
    person = stage.person()
    person.create("/master", "m1:2223", e=True)
    master = stage.master("m2")
    person.create("/tasks/task-", "date", s=True)
    assert worker.running() == []
    person.create(f"/assign/w1/{TASK}")
    assert worker.running() == [TASK]
    person.quit()
    assert master.election.state == "active"
    assert len(worker.started) == 1
    worker.finish(TASK)
    assert stage.data(f"/tasks/{TASK}/status") == "done"


def test_worker_by_hand_keeps_its_task_when_our_master_takes_over_from_a_person() -> None:
    stage = Stage()
    stage.worker("w2")
    worker = stage.person()
    worker.create("/workers/w1", "w1:2224", e=True)
    person = stage.person()
    person.create("/master", "m1:2223", e=True)
    person.create("/assign/w1")
    person.create("/tasks/task-", "date", s=True)
    person.create(f"/assign/w1/{TASK}")
    stage.master("m2")
    person.quit()
    assert stage.holders(TASK) == ["w1"]


def test_task_reported_by_a_worker_by_hand_that_left_before_a_master_looked_is_not_run_again() -> None:
    stage = Stage()
    master = stage.master("m1")
    person = stage.person()
    person.create("/workers/w1", "w1:2224", e=True)
    person.create("/tasks/task-", "date", s=True)
    assert stage.holders(TASK) == ["w1"]
    master.die()
    person.create(f"/tasks/{TASK}/status", "done")
    person.quit()
    worker = stage.worker("w2")
    stage.master("m2")
    stage.settle(5)
    assert worker.started == []
    assert stage.holders(TASK) == []


def test_deleted_epoch_does_not_leave_the_office_empty() -> None:
    stage = Stage()
    master = stage.master("m1")
    backup = stage.master("m2")
    stage.person().delete("/epoch")
    master.die()
    stage.settle(5)
    assert backup.election.state == "active"


def test_deleted_master_is_replaced() -> None:
    stage = Stage()
    stage.master("m1")
    stage.person().delete("/master")
    assert stage.data("/master") == "m1:2223"
    assert stage.data("/epoch") is not None


def test_deleted_worker_registers_anew_and_its_task_goes_on_elsewhere_or_there() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    stage.person().create("/tasks/task-", "date", s=True)
    stage.person().delete("/workers/w1")
    assert stage.data("/workers/w1") == "w1:2224"
    assert worker.running() == [TASK]
    assert len(worker.started) == 2
    worker.finish(TASK)
    assert json.loads(stage.data(f"/tasks/{TASK}/result") or "")["attempt"] == 2


@pytest.mark.parametrize("path", ["/assign/w1", "/assign", "/workers", "/tasks", "/epoch"])
def test_what_was_deleted_with_all_below_it_comes_back(path: str) -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    person = stage.person()
    person.create("/tasks/task-", "date", s=True)
    person.delete_all(path)
    stage.settle(5)
    if path == "/tasks":
        person.create("/tasks/task-", "date", s=True)
    for task in (TASK, "task-0000000001", "task-0000000002"):
        if task != TASK:
            person.create("/tasks/task-", "date", s=True)
        stage.settle(5)
        assert worker.running() == [task]
        worker.finish(task)
        assert stage.data(f"/tasks/{task}/status") == "done"


def test_queue_set_by_hand_makes_the_worker_register_anew() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1", slots=2)
    person = stage.person()
    person.set("/assign/w1", "")
    for _ in range(3):
        person.create("/tasks/task-", "date", s=True)
    stage.settle(5)
    assert len(worker.running()) == 2


def test_assignment_whose_task_was_deleted_blocks_nobody() -> None:
    stage = Stage()
    stage.master("m1", max_attempts=1)
    worker = stage.worker("w1")
    person = stage.person()
    person.create("/tasks/task-", "date", s=True)
    person.delete(f"/tasks/{TASK}")
    worker.die()
    person.create("/tasks/task-", "date", s=True)
    worker = stage.worker("w2")
    stage.settle(5)
    assert worker.running() == ["task-0000000001"]
    assert stage.children("/assign/w1") == []


@pytest.mark.parametrize(
    "deed",
    [
        lambda p: p.create("/assign/gone/task-0000000000/child"),
        lambda p: p.create("/tasks/task-0000000000/result", "by hand"),
        lambda p: p.create("/tasks/huge", json.dumps({"x" * 400_000: 1})),
        lambda p: p.create("/tasks/task-" + "9" * 5000, "date"),
        lambda p: p.create("/tasks/surrogate", '{"command": "echo \\ud800"}'),
        lambda p: p.create("/tasks/no-command", '{"key": "k"}'),
    ],
)
def test_what_nobody_foresees_holds_up_no_other_task(deed) -> None:  # type: ignore[no-untyped-def]  # lambdas
    stage = Stage()
    person = stage.person()
    master = stage.master("m1", max_attempts=1)
    gone = stage.worker("gone")
    person.create("/tasks/task-", "date", s=True)
    assert stage.holders(TASK) == ["gone"]
    master.die()
    gone.die()
    deed(person)
    worker = stage.worker("w1", slots=2)
    stage.master("m2", max_attempts=1)
    for _ in range(3):
        task = person.create("/tasks/task-", "date", s=True).removeprefix("/tasks/")
        stage.settle(5)
        assert task in worker.running()
        worker.finish(task)
        assert stage.data(f"/tasks/{task}/status") == "done"
