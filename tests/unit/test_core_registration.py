"""Scenes of a worker's name: who has it, and what an earlier holder may still do."""

import json

from mwapp.core.messages import Get, Request
from tests.unit.core_stage import Actor, Stage


def replaced(stage: Stage, worker: Actor, slots: int = 1) -> Actor:
    """Another host has the worker's name, and the worker has not heard of it: its server lags."""
    stage.lagging = True
    worker.cut()
    worker.resume(server=1)
    stage.person().delete("/workers/w1")
    return stage.worker("w1", slots=slots)


def test_who_may_take_tasks_again_does_not_touch_the_znode_of_who_has_its_name_by_now() -> None:
    stage = Stage()
    stage.master("m1")
    first = stage.worker("w1")
    first.worker.pause()
    stage.settle(1.0)
    second = replaced(stage, first)
    assert second.worker.state == "ready"
    session = stage.ensemble.decided.nodes["/workers/w1"].owner
    assert session == second.session
    first.worker.resume()
    stage.settle(0.2)
    assert stage.ensemble.decided.nodes["/workers/w1"].owner == session
    stage.lagging = False
    stage.settle(2.0)
    assert (first.worker.state, second.worker.state) == ("waiting", "ready")


def test_who_is_to_rest_does_not_mark_the_znode_of_who_has_its_name_by_now() -> None:
    stage = Stage()
    stage.master("m1")
    first = stage.worker("w1")
    second = replaced(stage, first)
    before = len(stage.ensemble.log)
    first.worker.pause()
    stage.settle(0.2)
    marks = [
        entry for entry in stage.ensemble.log[before:] if entry.changes and entry.session == first.session
    ]
    assert marks == []
    stage.lagging = False
    stage.person().create("/tasks/task-", "date", s=True)
    assert len(second.running()) == 1


def test_who_was_replaced_ends_nothing_of_who_has_its_name_by_now_and_kills_what_it_runs() -> None:
    stage = Stage()
    stage.master("m1")
    first = stage.worker("w1", slots=2)
    tasks = [stage.person().create("/tasks/task-", "date", s=True).rpartition("/")[2] for _ in range(2)]
    assert first.running() == tasks
    second = replaced(stage, first, slots=2)
    assert second.running() == tasks, "moved to it"
    first.finish(tasks[0])
    assert first.running() == []
    assert [stage.data(f"/tasks/{task}/status") for task in tasks] == [None, None]
    assert stage.children("/assign/w1") == tasks
    second.finish(tasks[0])
    assert json.loads(stage.data(f"/tasks/{tasks[0]}/result") or "")["attempt"] == 2


def test_who_begins_anew_does_not_take_its_name_from_who_has_got_it_meanwhile() -> None:
    """Its queue was set by hand; while it looks at that its znode is deleted, and another registers."""
    stage = Stage()
    first, person = stage.worker("w1"), stage.person()
    person.set("/assign/w1", "by hand")
    looks = []

    def overtakes(request: Request) -> None:
        if request.operation == Get("/assign/w1") and first.worker.state != "ready":
            looks.append(request)
            first.meanwhile = None
            person.delete("/workers/w1", settle=False)
            person.create("/workers/w1", "another", e=True, settle=False)
            person.set("/assign/w1", "another", settle=False)

    first.meanwhile = overtakes
    stage.settle(10.0)
    assert looks
    assert stage.data("/workers/w1") == "another"
    assert first.worker.state == "waiting"
