"""Scenes of a worker and its queue: what it runs, in which order, and what it does not run."""

import json

from mwapp.core.messages import Children, Delete, Request, Tick
from mwapp.core.protocol import Registration
from tests.unit.core_stage import Actor, Person, Stage

TASK = "task-0000000000"


def by_hand(slots: int = 1, prefetch: int = 0, tasks: int = 0) -> tuple[Stage, Actor, Person, list[str]]:
    """A worker without a master, a person who plays one, and tasks that nobody has been given."""
    stage = Stage()
    stage.master("m1").die()  # has made the parents
    worker, person = stage.worker("w1", slots=slots, prefetch=prefetch), stage.person()
    names = [person.create("/tasks/task-", "date", s=True).rpartition("/")[2] for _ in range(tasks)]
    return stage, worker, person, names


def ran(worker: Actor) -> list[str]:
    """Every task it ever started."""
    return [run.environment["MWAPP_TASK"] for run in worker.started]


# ---------------------------------------------------------------- what it runs


def test_what_is_assigned_while_it_reads_is_run_once() -> None:
    _, worker, person, (first, second) = by_hand(slots=2, tasks=2)

    def assigns(request: Request) -> None:
        if request.operation == Children("/assign/w1", watch=True):
            worker.meanwhile = None
            person.create(f"/assign/w1/{second}", settle=False)

    worker.meanwhile = assigns
    person.create(f"/assign/w1/{first}")
    assert worker.meanwhile is None
    assert ran(worker) == [first, second]


def test_it_begins_in_the_order_of_submission_whenever_it_was_given_them() -> None:
    _, worker, person, names = by_hand(prefetch=4, tasks=5)
    for at in (0, 3, 4, 2, 1):
        person.create(f"/assign/w1/{names[at]}")
    for name in names:
        worker.finish(name)
    assert ran(worker) == names


def test_a_task_that_is_not_there_is_not_run_and_its_assignment_goes() -> None:
    stage, worker, person, _ = by_hand()
    person.create("/assign/w1/ghost")
    assert (worker.started, stage.children("/assign/w1")) == ([], [])


def test_what_is_done_or_cancelled_is_not_tried_again() -> None:
    stage = Stage()
    stage.master("m1")
    worker, person = stage.worker("w1", slots=2), stage.person()
    command = json.dumps({"command": "date", "retries": 3, "retry_delay": 0})
    names = [person.create("/tasks/task-", command, s=True).rpartition("/")[2] for _ in range(2)]
    worker.finish(names[0])
    person.create(f"/cancel/{names[1]}")
    assert [stage.data(f"/tasks/{name}/status") for name in names] == ["done", "cancelled"]
    assert ran(worker) == names


def test_nothing_begins_while_it_is_cut_off() -> None:
    _, worker, person, names = by_hand(prefetch=1, tasks=2)
    for name in names:
        person.create(f"/assign/w1/{name}")
    worker.cut()
    worker.finish(names[0])
    assert ran(worker) == names[:1]
    worker.resume()
    assert ran(worker) == names


def test_what_has_ended_and_cannot_be_recorded_yet_is_not_started_when_there_is_room() -> None:
    stage, worker, person, names = by_hand(prefetch=1, tasks=2)
    for name in names:
        person.create(f"/assign/w1/{name}")
    stage.isolated = True
    person.create(f"/cancel/{names[1]}")
    worker.finish(names[0])
    assert ran(worker) == names[:1]


def test_who_is_to_rest_hands_back_what_it_has_at_hand() -> None:
    stage, worker, person, names = by_hand(prefetch=2, tasks=3)
    for name in names:
        person.create(f"/assign/w1/{name}")
    worker.worker.pause()
    worker.event(Tick())
    stage.settle()
    assert (stage.children("/returned"), worker.running()) == (names[1:], names[:1])


# ---------------------------------------------------------------- cancel requests


def test_a_cancel_request_that_was_there_first_is_heeded_and_one_that_went_is_not() -> None:
    stage, worker, person, _ = by_hand(slots=3)
    for name in ("a", "b"):
        person.create(f"/tasks/{name}", "date")
        person.create(f"/cancel/{name}")
    person.delete("/cancel/b")
    for name in ("a", "b"):
        person.create(f"/assign/w1/{name}")
    assert (ran(worker), stage.data("/tasks/a/status")) == (["b"], "cancelled")


def test_a_cancel_request_that_went_is_forgotten() -> None:
    """Each is read again before it is heeded; but the next lists take longer, the more of them are known."""
    stage, worker, person, _ = by_hand()
    for name in ("a", "b", "c"):
        person.create(f"/cancel/{name}")
    stage.settle(2.0)
    assert worker.worker._cancels == {"a", "b", "c"}
    for name in ("a", "b"):
        person.delete(f"/cancel/{name}")
    stage.settle(2.0)
    assert worker.worker._cancels == {"c"}


def test_after_cancel_was_deleted_requests_are_heeded_again() -> None:
    stage, _, person, (name,) = by_hand(tasks=1)
    person.create(f"/assign/w1/{name}")
    person.delete("/cancel")
    stage.settle(3.0)
    person.create("/cancel")
    person.create(f"/cancel/{name}")
    stage.settle(2.0)
    assert stage.data(f"/tasks/{name}/status") == "cancelled"


def test_what_has_ended_is_not_cancelled_though_it_is_not_recorded_yet() -> None:
    stage, worker, person, (name,) = by_hand(tasks=1)
    person.create(f"/assign/w1/{name}")
    stage.isolated = True
    worker.finish(name)
    person.create(f"/cancel/{name}")
    stage.isolated = False
    worker.cut()
    worker.resume()
    assert stage.data(f"/tasks/{name}/status") == "done"


# ---------------------------------------------------------------- worked at by hand


def test_what_ended_and_cannot_be_recorded_is_not_run_again_because_a_person_assigned_it_anew() -> None:
    stage = Stage()
    stage.master("m1")
    worker, person = stage.worker("w1"), stage.person()
    person.create("/tasks/task-", "date", s=True)
    stage.forbids = lambda op: op.path.endswith("/status")
    worker.finish(TASK)
    person.delete(f"/assign/w1/{TASK}")
    stage.forbids = lambda _: False
    stage.settle(3.0)
    assert (ran(worker), stage.data(f"/tasks/{TASK}/status")) == ([TASK], "done")


def test_who_has_lost_its_registration_begins_nothing() -> None:
    stage, worker, person, names = by_hand(slots=2, tasks=2)
    person.create(f"/assign/w1/{names[0]}")
    person.set("/assign/w1", "by hand")
    worker.finish(names[0], settle=False)  # to record it fails
    person.create(f"/assign/w1/{names[1]}", settle=False)
    stage.settle(0.0)
    assert ran(worker) == names[:1]
    stage.settle(5.0)
    assert worker.worker.state == "ready"
    assert names[1] in worker.running(), "a person's is for whoever has the name"


def test_what_runs_is_killed_when_the_queue_is_deleted() -> None:
    stage, worker, person, (name,) = by_hand(tasks=1)
    person.create(f"/assign/w1/{name}")
    person.delete_all("/assign/w1")
    stage.settle()
    assert worker.running() == []
    assert stage.data("/assign/w1") is not None, "it has registered anew"


def test_a_registration_that_names_another_session_is_not_its_own() -> None:
    stage, worker, person, _ = by_hand()
    person.set("/assign/w1", Registration(7, slots=5).encode().decode())
    stage.settle(10.0)
    registered = Registration.decode((stage.data("/assign/w1") or "").encode())
    assert registered is not None
    assert registered.session == worker.session


def test_a_queue_that_is_set_to_what_it_was_is_another_incarnation_s_however_late_that_is() -> None:
    stage = Stage()
    stage.master("m1")
    worker, person = stage.worker("w1"), stage.person()
    for _ in range(2):
        stage.settle(8.0)
        person.set("/assign/w1", stage.data("/assign/w1") or "")
        stage.settle(8.0)
        name = person.create("/tasks/task-", "date", s=True).rpartition("/")[2]
        assert worker.running() == [name]
        worker.finish(name)


def test_what_is_held_when_the_queue_is_set_to_what_it_was_is_taken_up_again() -> None:
    """The master, who does not watch the queue's data, hears of it from the worker: it registers anew."""
    stage = Stage()
    stage.master("m1")
    worker, person = stage.worker("w1", slots=1), stage.person()
    names = [person.create("/tasks/task-", "date", s=True).rpartition("/")[2] for _ in range(2)]
    person.set("/assign/w1", stage.data("/assign/w1") or "")
    for _ in names:
        stage.settle(10.0)
        (running,) = worker.running()
        worker.finish(running)
    stage.settle(10.0)
    assert [stage.data(f"/tasks/{name}/status") for name in names] == ["done", "done"]


def test_who_may_not_take_up_work_again_tries_until_it_may() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    worker.worker.pause()
    stage.settle(1.0)
    stage.forbids = lambda op: op == Delete("/workers/w1")
    worker.worker.resume()
    stage.settle(3.0)
    stage.forbids = lambda _: False
    stage.settle(3.0)
    stage.person().create("/tasks/task-", "date", s=True)
    assert worker.running() == [TASK]


def test_who_may_not_register_tries_until_it_may() -> None:
    stage = Stage()
    stage.forbids = lambda op: op.path == "/assign/w1"
    worker = stage.worker("w1")
    before = stage.carried_out
    stage.settle(10.0)
    assert stage.carried_out - before < 100
    stage.forbids = lambda _: False
    stage.settle(2.0)
    assert worker.worker.state == "ready"


# ---------------------------------------------------------------- leaving


def test_who_drains_and_loses_its_session_ends() -> None:
    _, worker, person, (name,) = by_hand(tasks=1)
    person.create(f"/assign/w1/{name}")
    worker.stop()
    assert worker.running() == [name]
    worker.expire()
    assert (worker.alive, worker.running()) == (False, [])


def test_who_is_not_registered_and_is_stopped_ends_at_once() -> None:
    stage = Stage()
    first, second = stage.worker("w1"), stage.worker("w1")
    assert (first.worker.state, second.worker.state) == ("ready", "waiting")
    second.stop()
    assert not second.alive
