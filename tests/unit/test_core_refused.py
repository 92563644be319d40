"""What servers refuse: by an access control list that a person set, or because it is too large.

What may not be read is not absent, and what was refused is not done; and neither holds up the others.
"""

import json

import pytest

from mwapp.core.client import NO_NUMBERS, Cancel, Submit
from mwapp.core.limits import LIMITS
from mwapp.core.messages import Children, Create, Tick
from mwapp.core.retention import Retention
from mwapp.core.task import Task, task_order
from tests.unit.core_stage import Stage, peer, when_carried_out
from tests.unit.test_core_client import submission

TASK, NEXT = "task-0000000000", "task-0000000001"


def submitted(stage: Stage, *commands: str) -> None:
    if stage.data("/tasks") is None:
        stage.person().create("/tasks")
    for command in commands:
        stage.person().create("/tasks/task-", command, s=True)


# ---------------------------------------------------------------- the master


@pytest.mark.parametrize("path", ["/workers/w1", "/assign/w1"])
def test_worker_that_may_not_be_read_is_not_taken_for_gone(path: str) -> None:
    stage = Stage()
    first = stage.master("m1")
    worker = stage.worker("w1")
    submitted(stage, "date")
    stage.denials.forbid(path, "r")
    first.die()
    stage.master("m2")
    other = stage.worker("w2")
    stage.settle(5)
    assert worker.running() == [TASK]
    assert other.started == []
    stage.denials.allow(path)
    stage.settle(5)
    worker.finish(TASK)
    assert stage.data(f"/tasks/{TASK}/status") == "done"
    submitted(stage, "date", "date")
    assert worker.running() + other.running() == [NEXT, "task-0000000002"]


def test_other_workers_are_given_tasks_while_one_may_not_be_read() -> None:
    stage = Stage()
    stage.worker("w1")
    stage.denials.forbid("/workers/w1", "r")
    stage.master("m1")
    other = stage.worker("w2")
    submitted(stage, "date")
    assert other.running() == [TASK]


def test_nothing_is_assigned_twice_while_what_was_returned_may_not_be_read() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    submitted(stage, '{"command": "false", "retries": 1, "retry_delay": 0}')
    stage.denials.forbid("/returned", "r")
    worker.finish(TASK, code=1)
    stage.settle(5)
    assert stage.children("/assign/w1") == []
    stage.denials.allow("/returned")
    stage.settle(5)
    assert [run.environment["MWAPP_ATTEMPT"] for run in worker.started] == ["1", "2"]


def test_nothing_is_assigned_twice_before_what_was_returned_is_read_as_well_as_listed() -> None:
    stage = Stage()
    master = stage.master("m1")
    worker = stage.worker("w1")
    submitted(stage, '{"command": "false", "retries": 1, "retry_delay": 0}')
    stage.denials.forbid("/returned", "r")
    worker.finish(TASK, code=1)
    stage.settle(5)
    stage.denials.allow("/returned")
    listed = Children("/returned", watch=True)
    when_carried_out(master, lambda request: request.operation == listed, lambda: stage.soon(act))

    def act() -> None:
        master.master._act_soon()  # for whatever reason
        master.event(Tick())

    stage.settle(5)
    assert [run.environment["MWAPP_ATTEMPT"] for run in worker.started] == ["1", "2"]


def test_nothing_is_assigned_at_a_take_over_before_what_was_returned_may_be_read() -> None:
    stage = Stage()
    submitted(stage, "date")
    stage.worker("w1")
    stage.person().create(f"/returned/{TASK}", '{"attempt": 2}')
    stage.denials.forbid("/returned", "r")
    stage.master("m1")
    stage.settle(5)
    assert stage.children("/assign/w1") == []
    stage.denials.allow("/returned")
    stage.settle(5)
    assert json.loads(stage.data(f"/assign/w1/{TASK}") or "")["attempt"] == 2


def test_assignment_that_may_not_be_read_stays_where_it_is_and_holds_up_nothing() -> None:
    stage = Stage()
    first = stage.master("m1")
    worker = stage.worker("w1", slots=2)
    submitted(stage, "date")
    stage.denials.forbid(f"/assign/w1/{TASK}", "r")
    first.die()
    stage.master("m2")
    submitted(stage, "date")
    stage.settle(5)
    assert worker.running() == [TASK, NEXT]
    worker.die()
    other = stage.worker("w2", slots=2)
    stage.settle(5)
    assert other.running() == [NEXT]
    stage.denials.allow(f"/assign/w1/{TASK}")
    stage.settle(5)
    assert other.running() == [TASK, NEXT]


def test_who_has_a_queue_that_takes_nothing_gets_nothing_and_the_others_get_all(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It has the least to do, so each task would be tried with it first."""
    stage = Stage()
    stage.master("m1")
    shut, other = stage.worker("w1"), stage.worker("w2", slots=3)
    stage.denials.forbid("/assign/w1", "c")
    submitted(stage, "date", "date", "date")
    stage.settle(2)
    assert len(other.running()) == 3
    assert shut.started == []
    assert "nothing can be created below /assign/w1: its worker gets no task" in caplog.text
    submitted(stage, "date")
    stage.settle(30)
    assert stage.holders("task-0000000003") == []
    caplog.clear()
    stage.settle(60)
    assert 4 <= caplog.text.count("nothing can be created below") <= 7, "about every ten seconds"
    stage.denials.allow("/assign/w1")
    stage.settle(11)
    assert shut.running() == ["task-0000000003"]


def test_what_returns_finds_a_worker_whose_queue_takes_something() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    submitted(stage, "date")
    for name in ("v1", "v2"):
        stage.worker(name, slots=2)
    stage.denials.forbid("/assign/v1", "c")
    worker.die()
    stage.settle(3)
    assert stage.holders(TASK) == ["v2"]


def test_requests_that_cannot_be_taken_back_leave_time_for_tasks() -> None:
    """Each has a child, made by hand, so none can be deleted."""
    many = 40
    stage = Stage()
    person = stage.person()
    for path in ("/cancel", "/tasks"):
        person.create(path)
    for number in range(many):
        person.create(f"/cancel/none-{number}", settle=False)
        person.create(f"/cancel/none-{number}/child", settle=False)
    stage.master("m1")
    worker = stage.worker("w1", slots=many)
    submitted(stage, *["date"] * 3)
    stage.settle(5)
    assert len(worker.running()) == 3
    stage.settle(160)
    before = stage.carried_out
    stage.settle(160)
    assert stage.carried_out - before < 4 * many * many


def test_a_request_that_cannot_be_taken_back_costs_those_who_wait_few_transactions() -> None:
    stage = Stage()
    person = stage.person()
    for path in ("/cancel", "/tasks", "/cancel/none", "/cancel/none/child"):
        person.create(path)
    submitted(stage, *["date"] * 60)
    worker, master = stage.worker("w1", slots=100), stage.master("m1")
    stage.settle(9)
    assert len(worker.running()) == 60
    assert master.master is not None
    assert master.master.status()["counters"]["refused"] <= 3


def test_an_assignment_that_may_not_be_taken_away_leaves_its_workers_queue_open() -> None:
    """That of the worker that comes back: its own is moved within its queue."""
    stage = Stage()
    stage.master("m1")
    first = stage.worker("w1", slots=2)
    submitted(stage, "date")
    stage.denials.forbid("/assign/w1", "d")
    first.die()
    again = stage.worker("w1", slots=2)
    stage.settle(2)
    submitted(stage, "date")
    stage.settle(2)
    assert again.running() == [NEXT]


def test_task_that_may_not_be_read_waits_and_holds_up_nothing() -> None:
    stage = Stage()
    submitted(stage, "date", "date")
    stage.denials.forbid(f"/tasks/{TASK}", "r")
    stage.master("m1")
    worker = stage.worker("w1", slots=2)
    stage.settle(5)
    assert worker.running() == [NEXT]
    stage.denials.allow(f"/tasks/{TASK}")
    stage.settle(5)
    assert worker.running() == [TASK, NEXT]


def test_final_state_that_may_not_be_read_is_not_taken_for_none() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    submitted(stage, "date")
    worker.freeze()
    stage.person().create(f"/tasks/{TASK}/status", "done")
    stage.denials.forbid(f"/tasks/{TASK}/status", "r")
    stage.person().delete(f"/assign/w1/{TASK}")
    stage.settle(5)
    assert stage.holders(TASK) == []


def test_elected_peer_can_be_stopped_although_the_epoch_may_not_be_read() -> None:
    stage = Stage()
    elected = peer(stage, "a")
    assert elected.election.state == "active"
    stage.denials.forbid("/epoch", "r")
    elected.stop()
    stage.settle(5)
    assert not elected.alive


# ---------------------------------------------------------------- the worker


def test_worker_whose_queue_may_not_be_read_goes_on_with_what_it_runs() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1", slots=2)
    submitted(stage, "date")
    stage.denials.forbid("/assign/w1", "r")
    submitted(stage, "date")
    stage.settle(5)
    assert worker.running() == [TASK]
    worker.finish(TASK)
    stage.settle(5)
    assert stage.data(f"/tasks/{TASK}/status") is None, "the transaction checks what may not be read"
    stage.denials.allow("/assign/w1")
    stage.settle(5)
    assert stage.data(f"/tasks/{TASK}/status") == "done"
    assert worker.running() == [NEXT]
    assert len(worker.started) == 2


def test_worker_that_may_not_read_a_task_asks_again() -> None:
    stage = Stage()
    worker = stage.worker("w1", slots=2)
    person = stage.person()
    person.create("/tasks/task-", "date", s=True)
    stage.denials.forbid(f"/tasks/{TASK}", "r")
    person.create(f"/assign/w1/{TASK}")
    stage.settle(5)
    assert worker.started == []
    assert stage.data(f"/tasks/{TASK}/status") is None
    stage.denials.allow(f"/tasks/{TASK}")
    stage.settle(5)
    assert worker.running() == [TASK]


def test_result_that_is_too_large_is_recorded_in_part() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    stage.most = 2000
    submitted(stage, "date")
    worker.finish(TASK, output=b"long " * 1000)
    stage.settle(5)
    result = json.loads(stage.data(f"/tasks/{TASK}/result") or "")
    assert result["output"] == ("long " * 1000)[:1250]
    assert result["truncated"]


# ---------------------------------------------------------------- removing


def test_what_is_too_much_to_be_removed_at_once_is_removed_in_parts() -> None:
    stage = Stage()
    stage.most = 1500
    submitted(stage, *[""] * 20)  # which can never run
    stage.master("m1", retention=Retention(seconds=1.0, keep=10))
    stage.settle(60)
    assert stage.children("/tasks") == []


def test_fewer_are_removed_at_once_without_a_pause_and_hardly_more_the_next_time() -> None:
    stage = Stage()
    stage.most = 3000
    person = stage.person()
    person.create("/tasks")
    for number in range(300):
        person.create(f"/tasks/t{number}", "date", settle=False)
        person.create(f"/tasks/t{number}/result", "{}", settle=False)
        person.create(f"/tasks/t{number}/status", "done", settle=False)
    host = stage.master("m1", retention=Retention(seconds=1.0, keep=10))
    stage.settle(4)
    assert stage.children("/tasks") == []
    assert host.master.counters["refused"] < 15, "doubled each time, every second one would be"


def test_odd_tasks_do_not_hold_up_each_other_when_there_is_too_much_to_be_removed() -> None:
    stage = Stage()
    stage.most = 1500
    person = stage.person()
    person.create("/tasks")
    for number in range(30):
        person.create(f"/tasks/t{number}", "date", settle=False)
        person.create(f"/tasks/t{number}/status", "done", settle=False)  # and no result
    stage.master("m1", retention=Retention(seconds=1.0, keep=10))
    stage.settle(12)
    assert stage.children("/tasks") == []


def test_task_that_may_not_be_listed_holds_up_no_removal() -> None:
    stage = Stage()
    submitted(stage, "", "")
    person = stage.person()
    person.create(f"/tasks/{TASK}/note")
    person.create(f"/tasks/{TASK}/status", "done")
    stage.master("m1", retention=Retention(seconds=3.0, keep=10))
    stage.denials.forbid(f"/tasks/{TASK}", "r")
    stage.settle(20)
    assert stage.children("/tasks") == [TASK]


# ---------------------------------------------------------------- clients


def test_of_submissions_that_are_too_large_together_none_is_refused() -> None:
    stage = Stage()
    stage.most = 1000
    client, part, names = submission(stage)
    for number in range(20):
        part.add(Task("date", key=str(number)))
    part.add(Task("x" * 2000, key="too large"))
    client.event(Tick())
    stage.settle()
    assert names[-1] == "the ensemble refused the task: refused"
    assert sorted(names[:-1]) == [f"task-{number:010}" for number in range(20)]


def test_submission_under_the_name_of_a_task_that_may_not_be_read_does_not_spin() -> None:
    stage = Stage()
    client, part, names = submission(stage)
    stage.person().create("/tasks/mine", Task("date").encode().decode())
    stage.denials.forbid("/tasks/mine", "r")
    before = stage.carried_out
    part.add(Task("date"), name="mine")
    client.event(Tick())
    stage.settle(5)
    assert stage.carried_out - before < 50
    stage.denials.allow("/tasks/mine")
    stage.settle(5)
    assert names == ["mine"]


def test_task_that_may_not_be_read_is_not_unknown_to_who_cancels_it() -> None:
    stage = Stage()
    submitted(stage, "date", "date")
    stage.denials.forbid(f"/tasks/{TASK}", "r")
    told: dict[str, bool] = {}
    stage.client(
        lambda process: Cancel(
            process,
            [TASK, NEXT],
            asked=lambda name, known: told.update({name: known}),
            finished=lambda: None,
        )
    )
    stage.settle(2)
    assert told == {NEXT: True}
    stage.denials.allow(f"/tasks/{TASK}")
    stage.settle(2)
    assert told == {NEXT: True, TASK: True}


@pytest.mark.parametrize("others", [0, 2])
def test_lost_submission_is_found_below_a_tasks_that_a_person_has_made_anew(others: int) -> None:
    """Its numbers begin at 0 again, below those that the client remembers; with two others the last of these
    is there again, as another task."""
    stage = Stage()
    client, part, names = submission(stage)
    for number in range(3):
        part.add(Task("date", key=str(number)))
    client.event(Tick())
    stage.settle()
    stage.person().delete_all("/tasks")
    client.loses = lambda request: any(
        isinstance(op, Create) and op.path == "/tasks/task-" for op in getattr(request.operation, "ops", ())
    )
    stage.person().create("/tasks")
    part.add(Task("date", key="lost"))
    client.event(Tick())
    stage.settle()
    for _ in range(others):
        stage.person().create("/tasks/task-", "another", s=True)
    client.resume()
    stage.settle(5)
    assert names == [TASK, NEXT, "task-0000000002", TASK]
    assert stage.children("/tasks") == [TASK, NEXT, "task-0000000002"][: 1 + others]


def test_numbers_are_used_up_one_day() -> None:
    stage = Stage()
    client, part, names = submission(stage)
    stage.ensemble.decided.nodes["/tasks"].created = LIMITS.numbers - 2
    stage.ensemble.servers[0].tree.nodes["/tasks"].created = LIMITS.numbers - 2
    for number in range(4):
        part.add(Task("date", key=str(number)))
    part.add(Task("date"), name="mine")
    client.event(Tick())
    stage.settle()
    assert sorted(names) == sorted(["mine", NO_NUMBERS, NO_NUMBERS, "task-2146483646", "task-2146483647"])
    assert part.unacknowledged == 0


def test_order_of_numbers_goes_on_behind_the_last_positive_one() -> None:
    names = [
        "task-2147483646",
        "task-2147483647",
        "task--2147483648",
        "task--2147483647",
        "task-000000001",
        "a",
    ]
    in_order = ["task-000000001", *names[:4], "a"]
    assert sorted(names, key=task_order) == in_order


def test_last_number_is_given_again() -> None:
    stage = Stage()
    stage.client(lambda process: Submit(process, [], accepted=print, refused=print, finished=lambda: None))
    stage.ensemble.decided.nodes["/tasks"].created = (1 << 31) - 1
    person = stage.person()
    assert person.create("/tasks/task-", s=True) == "/tasks/task-2147483647"
    with pytest.raises(AssertionError, match="node exists"):
        person.create("/tasks/task-", s=True)


def test_a_result_that_is_refused_is_not_left_out() -> None:
    """Only one that a person has written is (seed 8014570)."""
    stage = Stage()
    stage.master("m1")
    person = stage.person()
    person.create("/tasks/mine", "date")
    stage.forbids = lambda op: isinstance(op, Create) and op.path.endswith("/result")
    person.create("/cancel/mine")
    stage.settle(15)
    assert stage.children("/tasks/mine") == []
    stage.forbids = lambda _: False
    stage.settle(15)
    assert stage.children("/tasks/mine") == ["result", "status"]
