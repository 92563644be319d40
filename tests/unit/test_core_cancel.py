"""Scenes of cancel requests: none is lost, and none is for another task."""

from mwapp.core.limits import LIMITS
from mwapp.core.mirror import LISTING_SECONDS
from tests.unit.core_stage import Stage


def test_a_cancel_request_that_comes_before_its_task_is_known_is_kept() -> None:
    """Of many names the list is read now and then only: the request may be read before."""
    stage = Stage()
    stage.master("m1")
    person = stage.person()
    for _ in range(LIMITS.short_list + 1):
        person.create("/tasks/task-", "date", s=True, settle=False)
    stage.settle(1.0)
    before = person.create("/tasks/task-", "date", s=True, settle=False)
    stage.settle(0.0)  # the list has just been read
    name = person.create("/tasks/task-", "date", s=True, settle=False).removeprefix("/tasks/")
    person.create(f"/cancel/{name}", "", settle=False)
    stage.settle(LISTING_SECONDS * LIMITS.short_list / 2)
    assert stage.children("/cancel") == [name]
    stage.settle(1.0)
    assert stage.data(f"/tasks/{name}/status") == "cancelled"
    assert stage.data(f"{before}/status") is None
    assert stage.children("/cancel") == []
