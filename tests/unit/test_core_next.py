"""Scenes of long lists: the next numbered task is known before the list is read again."""

from dataclasses import replace

import pytest

from mwapp.core import listing
from mwapp.core.messages import Exists
from mwapp.core.mirror import FEW, MOST_MISSED
from tests.unit.core_stage import ALL_AT_HAND, Actor, Stage

MANY = 20
FEWER = replace(ALL_AT_HAND, short_list=10)
# A list is not read again for so long, for each of its names.
EACH = 0.1
PAUSE = 10 * MANY * EACH


@pytest.fixture(autouse=True)
def seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "LISTING_SECONDS", EACH)


def set_up(most: int = 0) -> tuple[Stage, Actor, Actor]:
    """Many tasks, which have all ended, and a worker."""
    stage = Stage()
    master = stage.master("m1", max_per_submitter=most, limits=FEWER)
    worker = stage.worker("w1", slots=50)
    person = stage.person()
    for _ in range(MANY):
        path = person.create("/tasks/task-", "date", s=True, settle=False)
        person.create(f"{path}/status", "done", settle=False)
    stage.settle(PAUSE)
    assert worker.running() == []
    return stage, master, worker


def submitted(stage: Stage, name: str | None = None) -> str:
    path = "/tasks/task-" if name is None else f"/tasks/{name}"
    created = stage.person().create(path, "date", s=name is None, settle=False)
    stage.settle(0.1)
    return created.removeprefix("/tasks/")


def awaited(master: Actor) -> list[str]:
    return [
        op.path for op in master.sent if isinstance(op, Exists) and "/tasks/task-" in op.path and op.watch
    ]


def test_the_next_numbered_task_is_assigned_at_once() -> None:
    stage, _, worker = set_up()
    submitted(stage)  # after it the list is read, and not again for a while
    for _ in range(3):
        task = submitted(stage)
        assert task in worker.running()
        worker.finish(task)


def test_what_has_a_name_waits_for_the_list() -> None:
    stage, _, worker = set_up()
    submitted(stage)
    submitted(stage, "mine")
    assert "mine" not in worker.running()
    stage.settle(2 * PAUSE)
    assert "mine" in worker.running()
    first, second = submitted(stage), submitted(stage)
    stage.settle(2 * PAUSE)
    assert {first, second} <= set(worker.running()), "though a name has taken the number"


def test_what_is_known_from_its_watch_is_not_read_again_with_the_list() -> None:
    stage, master, worker = set_up()
    submitted(stage)
    task = submitted(stage)
    stage.settle(2 * PAUSE)
    reads = [op for op in master.sent if getattr(op, "path", "") == f"/tasks/{task}"]
    assert len([op for op in reads if not isinstance(op, Exists)]) == 1
    assert worker.running().count(task) == 1


def test_of_a_short_list_no_next_task_is_awaited() -> None:
    stage = Stage()
    master = stage.master("m1", limits=FEWER)
    for number in range(FEWER.short_list + 3):
        submitted(stage)
        stage.settle(PAUSE)
        assert (awaited(master) == []) == (number < FEWER.short_list)


def test_if_many_come_at_a_time_the_list_tells_them() -> None:
    stage, master, worker = set_up()
    before = len(awaited(master))
    for _ in range(5):
        for _ in range(FEW + 5):
            stage.person().create("/tasks/task-", "date", s=True, settle=False)
        stage.settle(2 * PAUSE)
    assert len(worker.running()) == 50
    assert len(awaited(master)) - before <= 3


def two_at_a_time(stage: Stage, times: int) -> None:
    """Of each two the second is there before it is awaited."""
    for _ in range(times):
        for _ in range(2):
            stage.person().create("/tasks/task-", "date", s=True, settle=False)
        stage.settle(2 * PAUSE)


def test_what_came_before_its_watch_is_not_taken_for_one_that_never_comes() -> None:
    stage, _, worker = set_up()
    two_at_a_time(stage, MOST_MISSED + 2)
    submitted(stage)
    assert submitted(stage) in worker.running()


def test_a_task_that_is_deleted_is_not_taken_for_the_next() -> None:
    stage, master, worker = set_up()
    two_at_a_time(stage, 3)
    before = len(awaited(master))
    for task in worker.running():
        stage.person().delete(f"/tasks/{task}")
    stage.settle(2 * PAUSE)
    assert worker.running() == []
    assert len(awaited(master)) == before
    task = submitted(stage)
    stage.settle(2 * PAUSE)
    assert worker.running() == [task]


def test_watches_for_what_never_comes_are_few() -> None:
    stage, master, worker = set_up()
    for number in range(MOST_MISSED + 5):
        submitted(stage, f"mine-{number}")
        stage.settle(2 * PAUSE)
        task = submitted(stage)
        stage.settle(2 * PAUSE)
        assert task in worker.running()
    numbered = [path for path in master.process._watches if path.startswith("/tasks/task-")]
    assert len(numbered) <= MOST_MISSED


def test_with_a_bound_on_submitters_only_the_list_tells() -> None:
    """A task that is older may have a name."""
    stage, master, worker = set_up(MANY)
    for _ in range(2):
        task = submitted(stage)
        stage.settle(2 * PAUSE)
        assert task in worker.running()
    assert awaited(master) == []
