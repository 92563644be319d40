"""Scenes of what is handed back, tried again and removed."""

import json

import pytest

from mwapp.core.client import Refusal, Submit
from mwapp.core.session import Process
from mwapp.core.task import Task
from tests.unit.core_stage import Stage, creates

TASK = "task-0000000000"


def task(**fields: object) -> str:
    """What the client writes."""
    return json.dumps({"command": "date", **fields})


@pytest.mark.parametrize("lagging", [False, True])
def test_a_record_of_an_earlier_attempt_does_not_end_a_later_one(lagging: bool) -> None:
    """The reply to a failed run's hand-back is lost; meanwhile the task was elsewhere, and comes back."""
    stage = Stage()
    stage.master("m1")
    first = stage.worker("w1")
    stage.person().create("/tasks/task-", task(retries=1, retry_delay=0), s=True)
    first.loses = creates(f"/returned/{TASK}")
    stage.lagging = lagging  # the server it goes on with still shows the first attempt
    second = stage.worker("w0")
    first.finish(TASK, code=1)
    assert stage.holders(TASK) == ["w0"]
    second.die()
    assert stage.holders(TASK) == ["w1"]
    first.resume(server=1)
    attempts = [run.environment["MWAPP_ATTEMPT"] for actor in (first, second) for run in actor.started]
    assert sorted(attempts) == ["1", "2", "3"]
    first.finish(TASK, code=1)
    assert stage.data(f"/tasks/{TASK}/status") == "failed"


def test_what_somebody_has_is_not_given_to_another_because_it_is_in_returned() -> None:
    stage = Stage()
    stage.master("m1")
    first, second = stage.worker("w1"), stage.worker("w2")
    person = stage.person()
    person.create("/tasks/task-", "date", s=True)
    person.create(f"/returned/{TASK}", "")
    assert stage.children("/returned") == []
    assert len(first.started) + len(second.started) == 1


def test_the_attempts_are_kept_when_returned_was_deleted() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    person = stage.person()
    person.create("/tasks/task-", task(retries=1, retry_delay=0), s=True)
    person.delete("/returned")
    worker.finish(TASK, code=1)
    stage.settle(10)
    assert [run.environment["MWAPP_ATTEMPT"] for run in worker.started] == ["1", "2"]


def test_a_request_to_cancel_a_task_that_vanishes_is_none_for_the_next_of_its_name() -> None:
    stage = Stage()
    person = stage.person()
    stage.master("m1")
    worker = stage.worker("w1")
    person.create("/tasks/nightly", "date")
    person.create("/cancel/nightly", "")
    person.delete_all("/tasks/nightly")
    stage.settle(5)
    assert stage.children("/cancel") == []
    person.create("/tasks/nightly", "date")
    stage.settle()
    assert worker.started[-1].task == Task("date")


def test_a_name_that_is_there_is_no_new_task_even_if_there_is_no_room() -> None:
    stage = Stage()
    names: list[str] = []
    refusals: list[Refusal] = []

    def build(process: Process) -> None:
        part = Submit(
            process,
            [],
            max_tasks=1,
            accepted=lambda _, name: names.append(name),
            refused=lambda _, refusal: refusals.append(refusal),
            finished=lambda: None,
        )
        part.add(Task("date"), "nightly")

    for _ in range(2):
        stage.client(build)
    assert (names, refusals) == (["nightly", "nightly"], [])

    def another(process: Process) -> None:
        Submit(
            process,
            [Task("date", key="k")],
            max_tasks=1,
            accepted=lambda _, name: names.append(name),
            refused=lambda _, refusal: refusals.append(refusal),
            finished=lambda: None,
        )

    stage.client(another)
    assert [refusal.full for refusal in refusals] == [True]
