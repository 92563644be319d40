"""Scenes of a worker's name: who bears it, and what an earlier bearer may still do."""

from tests.unit.core_stage import Actor, Stage


def replaced(stage: Stage, worker: Actor) -> Actor:
    """Another host bears the worker's name, and the worker has not heard of it: its server lags."""
    stage.lagging = True
    worker.cut()
    worker.resume(server=1)
    stage.person().delete("/workers/w1")
    return stage.worker("w1")


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
    first.worker.pause()
    stage.settle(0.2)
    assert stage.ensemble.decided.nodes["/workers/w1"].version == 0
    stage.lagging = False
    stage.person().create("/tasks/task-", "date", s=True)
    assert len(second.running()) == 1
