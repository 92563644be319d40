"""What people do at zkCli.sh, beside our processes: play a role, or delete what we rely on."""

import json

import pytest

from mwapp.core.client import Submit
from mwapp.core.messages import Stop, Tick
from mwapp.core.session import Process
from mwapp.core.task import Task
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


def test_deleted_epoch_does_not_leave_it_without_a_master() -> None:
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


def test_epochs_grow_although_a_person_deletes_epoch_and_master() -> None:
    """Neither a stale write nor a smaller token: the version of /tasks counts the epochs, too."""
    stage = Stage()
    first = stage.master("m1")
    stage.worker("w1")
    for _ in range(3):
        stage.person().delete("/master")
        stage.settle(2)
    last = first.election.epoch
    assert last == 4
    first.freeze()
    person = stage.person()
    person.delete("/epoch")
    person.delete("/master")
    second = stage.master("m2")
    stage.settle(2)
    assert second.election.epoch == last + 1
    person.create("/tasks/task-", "date", s=True)
    assert json.loads(stage.data(f"/assign/w1/{TASK}") or "")["epoch"] == last + 1
    first.thaw()
    assert first.election.state == "standby"


def test_epochs_grow_although_a_person_deletes_all_tasks() -> None:
    stage = Stage()
    first = stage.master("m1")
    stage.person().delete_all("/tasks")
    stage.settle(5)
    first.die()
    stage.person().delete("/epoch")
    second = stage.master("m2")
    stage.settle(5)
    assert second.election.epoch == 3


def test_a_count_that_is_far_behind_is_raised_before_anybody_wins() -> None:
    stage = Stage()
    person = stage.person()
    stage.worker("w1")
    for _ in range(57):
        person.set("/epoch", "")
    assert stage.master("m1").election.epoch == 58


def test_persistent_master_holds_everything_up_until_it_is_deleted(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    person = stage.person()
    person.create("/master", "by hand")
    master = stage.master("m1")
    stage.settle(5)
    assert master.election.state == "standby"
    assert "/master was created by hand" in caplog.text
    person.delete("/master")
    assert master.election.state == "active"


def test_persistent_worker_is_no_worker(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    stage.master("m1")
    person = stage.person()
    person.create("/workers/w1", "by hand")
    person.create("/tasks/task-", "date", s=True)
    stage.settle(5)
    assert stage.holders(TASK) == []
    named = stage.worker("w1")
    assert named.running() == []
    other = stage.worker("w2")
    assert other.running() == [TASK]
    assert "/workers/w1 was created by hand" in caplog.text
    other.finish(TASK)
    person.delete("/workers/w1")
    person.create("/tasks/task-", "date", s=True)
    person.create("/tasks/task-", "date", s=True)
    assert len(named.running()) == 1


def test_ephemeral_task_is_no_task(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing can be recorded below it: it would keep its worker's slot for ever."""
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    person = stage.person()
    person.create("/tasks/task-", "date", s=True)
    person.create("/tasks/mine", "date", e=True)
    person.create("/cancel/mine")
    stage.settle(30)
    assert worker.running() == [TASK]
    assert stage.holders("mine") == stage.children("/cancel") == []
    person.create("/cancel/mine")
    stage.settle(5)
    assert stage.children("/cancel") == []
    assert caplog.text.count("/tasks/mine was created by hand and is ephemeral") == 1
    worker.finish(TASK)
    person.delete("/tasks/mine")
    person.create("/tasks/mine", "date", e=True)
    person.delete("/tasks/mine")
    assert caplog.text.count("is ephemeral") == 2, "the second is another one"
    person.create("/tasks/mine", "date")
    stage.settle(5)
    assert worker.running() == ["mine"]


def test_a_request_to_cancel_an_ephemeral_task_that_a_new_master_finds_is_taken_back() -> None:
    stage = Stage()
    person = stage.person()
    for path in ("/tasks", "/cancel", "/cancel/mine"):
        person.create(path)
    person.create("/tasks/mine", "date", e=True)
    stage.master("m1")
    stage.settle(5)
    assert stage.children("/cancel") == []


def test_who_runs_a_task_that_is_ephemeral_lets_it_go() -> None:
    """Though its master takes it for the one that there was before."""
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    person = stage.person()
    person.create("/tasks/mine", "date", e=True)
    person.create("/assign/w1/mine")
    if worker.running() == ["mine"]:  # before the master takes it away
        worker.finish("mine")
    stage.settle(5)
    assert stage.children("/assign/w1") == []
    person.create("/tasks/task-", "date", s=True)
    assert len(worker.running()) == 1


def test_who_has_a_task_that_is_ephemeral_now_is_free_again() -> None:
    """Somebody has deleted it and made it anew with -e, and nothing can be recorded below that."""
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    person = stage.person()
    person.create("/tasks/mine", "date")
    assert worker.running() == ["mine"]
    person.delete("/tasks/mine", settle=False)
    person.create("/tasks/mine", "date", e=True)
    stage.settle(5)
    assert worker.running() == stage.children("/assign/w1") == []
    person.create("/tasks/task-", "date", s=True)
    assert len(worker.running()) == 1


def test_task_in_a_queue_that_nobody_has_is_taken_from_there() -> None:
    stage = Stage()
    stage.master("m1")
    person = stage.person()
    person.create("/tasks/task-", "date", s=True)
    person.create("/assign/ghost")
    person.create(f"/assign/ghost/{TASK}")
    worker = stage.worker("w1")
    stage.settle(5)
    assert worker.running() == [TASK]
    assert stage.children("/assign/ghost") == []


def test_task_that_nobody_runs_in_two_queues_goes_on_from_one() -> None:
    stage = Stage()
    leaving, worker, person = stage.worker("w1"), stage.worker("w2"), stage.person()
    person.create("/tasks/other", "date")
    person.create("/assign/w1/other", '{"incarnation":0}')
    leaving.event(Stop())  # it takes nothing new, and finishes the other
    person.create(f"/tasks/{TASK}", "date")
    for queue in ("/assign/w1", "/assign/w2"):  # of incarnations that are over
        person.create(f"{queue}/{TASK}", '{"attempt":2,"incarnation":7}')
    stage.master("m1")
    stage.settle(2.0)  # at once, and not when the master takes w2 for one where nothing can be created
    assert worker.running() == [TASK]
    worker.finish(TASK)
    stage.settle(5.0)
    assert stage.holders(TASK) == []
    assert stage.data(f"/tasks/{TASK}/status") == "done"


def test_task_in_two_queues_stays_with_who_runs_it() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    person = stage.person()
    person.create("/tasks/task-", "date", s=True)
    person.create("/assign/ghost")
    person.create(f"/assign/ghost/{TASK}")
    stage.settle(5)
    assert worker.running() == [TASK]
    assert len(worker.started) == 1
    assert stage.holders(TASK) == ["w1"]


def test_command_of_a_deleted_task_is_stopped() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    person = stage.person()
    person.create("/tasks/task-", "sleep 999", s=True)
    assert worker.running() == [TASK]
    person.delete(f"/tasks/{TASK}")
    assert worker.running() == []
    person.create("/tasks/task-", "date", s=True)
    assert len(worker.running()) == 1


def test_worker_whose_znode_was_set_by_hand_takes_tasks_again() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    person = stage.person()
    person.set("/workers/w1", "x")
    person.create("/tasks/task-", "date", s=True)
    assert worker.running() == [TASK]
    assert stage.data("/workers/w1") == "w1:2224"


def test_worker_whose_znode_was_set_by_hand_while_it_was_cut_off_takes_tasks_again() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    person = stage.person()
    worker.cut()
    person.set("/workers/w1", "x")
    person.create("/tasks/task-", "date", s=True)
    worker.resume()
    assert worker.running() == [TASK]


def test_worker_whose_queue_was_made_anew_by_a_master_registers_anew() -> None:
    """Its incarnation has the number it had, and yet is not the one: labels and slots are missing."""
    stage = Stage()
    worker = stage.worker("w1", slots=2)
    worker.freeze()
    person = stage.person()
    person.delete("/assign/w1")
    stage.master("m1")
    assert "adopted" in json.loads(stage.data("/assign/w1") or "")
    worker.thaw()
    stage.settle(10)
    for _ in range(2):
        person.create("/tasks/task-", "date", s=True)
    assert len(worker.running()) == 2


def test_peer_whose_queue_was_set_by_hand_registers_anew_when_it_is_to_take_tasks_again() -> None:
    stage = Stage()
    person = stage.person()
    worker = stage.worker("w1")
    stage.master("m1")
    worker.worker.pause()
    worker.event(Tick())
    stage.settle()
    person.set("/assign/w1", "")
    worker.worker.resume()
    worker.event(Tick())
    stage.settle(3)
    person.create("/tasks/task-", "date", s=True)
    assert worker.running() == [TASK]


def test_attempt_that_was_killed_is_not_begun_again_under_its_number() -> None:
    """A person takes a worker's name just when the worker makes its znode anew, and so takes it back."""
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    person = stage.person()
    person.create("/tasks/task-", "date", s=True)
    worker.worker.pause()
    worker.event(Tick())
    stage.settle()
    person.delete_all("/workers/w1")
    person.create("/workers/w1", "by hand", settle=False)
    worker.worker.resume()
    worker.event(Tick())
    stage.settle(5)
    assert [run.environment["MWAPP_ATTEMPT"] for run in worker.started] == ["1", "2"]


def test_task_that_can_never_run_ends_although_a_person_wrote_a_result() -> None:
    stage = Stage()
    person = stage.person()
    stage.worker("w1")
    person.create("/tasks/bad", "")
    person.create("/tasks/bad/result", "by hand")
    stage.master("m1")
    stage.settle(5)
    assert stage.data("/tasks/bad/status") == "failed"
    assert stage.data("/tasks/bad/result") == "by hand"


def test_task_whose_final_state_is_deleted_and_that_is_returned_by_hand_runs_again() -> None:
    """The master had seen it end: it assigned it and took it back again, for ever."""
    stage = Stage()
    master, worker = stage.master("m1"), stage.worker("w1")
    person = stage.person()
    person.create("/tasks/task-", "date", s=True)
    worker.finish(TASK)
    person.delete_all(f"/tasks/{TASK}/status")
    person.delete_all(f"/tasks/{TASK}/result")
    person.create(f"/returned/{TASK}", '{"attempt":2}')
    stage.settle()
    assert worker.running() == [TASK]
    assert master.master.counters["assigned"] == 2
    worker.finish(TASK)
    assert stage.data(f"/tasks/{TASK}/status") == "done"


def test_submission_waits_for_tasks_to_be_made_anew() -> None:
    stage = Stage()
    stage.master("m1")
    accepted: list[str] = []
    refused: list[str] = []
    parts: list[Submit] = []

    def build(process: Process) -> None:
        parts.append(
            Submit(
                process,
                [],
                accepted=lambda _, name: accepted.append(name),
                refused=lambda _, refusal: refused.append(refusal.reason),
                finished=lambda: None,
            )
        )

    client = stage.client(build)
    parts[0].add(Task("date", "k1"))
    client.event(Tick())
    stage.settle()
    stage.person().delete_all("/tasks")
    parts[0].add(Task("date", "k2"))
    client.event(Tick())
    stage.settle(5)
    assert refused == []
    assert accepted == [TASK, TASK]


def test_returned_is_deleted_and_there_again_before_the_master_has_looked() -> None:
    """Seed 33213: until it has, it would not hear of what is returned, and assigned it once more."""
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    stage.person().create("/tasks/task-", '{"command": "false", "retries": 1, "retry_delay": 0}', s=True)
    person = stage.person()
    person.delete("/returned", settle=False)
    stage.settle(0.01)
    person.create("/returned", settle=False)
    worker.finish(TASK, code=1)
    assert len(stage.holders(TASK)) + (TASK in stage.children("/returned")) == 1
    stage.settle(3.0)
    assert [run.environment["MWAPP_ATTEMPT"] for run in worker.started] == ["1", "2"]


def test_half_a_character_ends_neither_a_master_nor_a_worker() -> None:
    """JSON may have it; no text does."""
    stage = Stage()
    stage.master("m1").die()
    odd = '{"attempt": 2, "lost": ["\\ud800"], "failed_on": "\\ud800"}'
    stage.person().create("/tasks/t", '{"command": "date", "retries": 3, "retry_delay": 0}')
    stage.person().create("/returned/t", odd)
    stage.master("m2")
    worker = stage.worker("w1")
    stage.settle(2)
    assert worker.running() == ["t"]
    worker.finish("t", code=1)
    stage.settle(5)
    assert worker.running() == ["t"]
