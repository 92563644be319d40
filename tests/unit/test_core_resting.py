"""A worker on a broken host rests while others work."""

import json
from collections import Counter
from itertools import cycle

import pytest

from mwapp.core.mirror import LiveWorker
from mwapp.core.resting import Resting
from tests.unit.core_stage import Actor, Stage

WORKER = LiveWorker(incarnation=1, slots=1, draining=False, adopted=False)


def submitted(stage: Stage, number: int, **fields: object) -> list[str]:
    """The names of so many new tasks."""
    text = json.dumps({"command": "date", **fields})
    person = stage.person()
    return [person.create("/tasks/task-", text, s=True).removeprefix("/tasks/") for _ in range(number)]


def fail_all(worker: Actor) -> None:
    """So does everything it has, and what it gets for that."""
    for _ in range(100):
        if not worker.running():
            return
        worker.finish(worker.running()[0], code=1)
    raise AssertionError("it gets tasks without end")


# ------------------------------------------------------------ the rule


def rests(resting: Resting, workers: dict[str, LiveWorker], *tasks: str, now: float = 0.0) -> float | None:
    """How long the worker w1 rests after these have failed."""
    return [resting.failed("w1", task, workers, now) for task in tasks][-1]


def test_it_rests_after_three_different_tasks() -> None:
    workers = {"w1": WORKER, "w2": WORKER}
    assert rests(Resting(), workers, "a", "b") is None
    assert rests(Resting(), workers, "a", "b", "a", "b", "a") is None
    assert rests(Resting(), workers, "a", "b", "c") == 1


def test_each_rest_is_twice_as_long() -> None:
    resting, workers = Resting(), {"w1": WORKER, "w2": WORKER}
    now, found = 0.0, []
    rests(resting, workers, "a", "b")
    for number in range(9):
        rest = resting.failed("w1", f"c{number}", workers, now)
        assert rest is not None
        found.append(rest)
        assert resting.resting(workers, now + rest - 0.01) == {"w1": now + rest}
        assert resting.resting(workers, now + rest) == {}
        now += rest
    assert found == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_what_fails_while_it_rests_does_not_prolong_the_rest() -> None:
    resting, workers = Resting(), {"w1": WORKER, "w2": WORKER}
    rests(resting, workers, "a", "b", "c")
    assert resting.failed("w1", "d", workers, 0.5) is None
    assert resting.resting(workers, 0.5) == {"w1": 1.0}


def test_a_success_ends_it() -> None:
    resting, workers = Resting(), {"w1": WORKER, "w2": WORKER}
    rests(resting, workers, "a", "b", "c")
    assert resting.on_trial(workers) == {"w1"}
    resting.succeeded("w1")
    assert (resting.resting(workers, 0.0), resting.on_trial(workers)) == ({}, set())
    assert rests(resting, workers, "d", "e", now=5.0) is None


@pytest.mark.parametrize(
    "others",
    [
        {},
        {"w2": LiveWorker(1, 1, draining=True, adopted=False)},
    ],
)
def test_who_cannot_be_replaced_does_not_rest(others: dict[str, LiveWorker]) -> None:
    assert rests(Resting(), {"w1": WORKER, **others}, "a", "b", "c") is None


def test_who_alone_has_a_label_does_not_rest() -> None:
    gpu = LiveWorker(1, 1, draining=False, adopted=False, labels=frozenset({"gpu"}))
    assert rests(Resting(), {"w1": gpu, "w2": WORKER}, "a", "b", "c") is None
    assert rests(Resting(), {"w1": WORKER, "w2": gpu}, "a", "b", "c") == 1


def test_if_all_fail_the_last_does_not_rest() -> None:
    resting, workers = Resting(), {"w1": WORKER, "w2": WORKER}
    assert rests(resting, workers, "a", "b", "c") == 1
    assert [resting.failed("w2", task, workers, 0.1) for task in "abc"] == [None, None, None]
    assert resting.resting(workers, 0.2) == {}, "and the first no longer: nobody does better"
    assert resting.on_trial(workers) == set()


def test_if_who_does_better_leaves_it_works_again() -> None:
    resting, workers = Resting(), {"w1": WORKER, "w2": WORKER}
    rests(resting, workers, "a", "b", "c")
    assert resting.resting({"w1": WORKER}, 0.1) == {}


def test_the_next_incarnation_begins_anew() -> None:
    resting, workers = Resting(), {"w1": WORKER, "w2": WORKER}
    rests(resting, workers, "a", "b", "c")
    workers["w1"] = LiveWorker(incarnation=2, slots=1, draining=False, adopted=False)
    assert (resting.resting(workers, 0.1), resting.on_trial(workers)) == ({}, set())
    assert rests(resting, workers, "d", "e") is None


def test_who_is_gone_is_forgotten() -> None:
    resting = Resting()
    assert resting.failed("w1", "a", {}, 0.0) is None


# ------------------------------------------------------------ the master


def test_a_broken_host_gets_few_tasks() -> None:
    """Three, and what it is given before the master knows that the third has failed."""
    stage = Stage()
    stage.master("m1")
    broken, good = stage.worker("w1"), stage.worker("w2")
    tasks = submitted(stage, 20)
    assert len(broken.running()) == len(good.running()) == 1
    fail_all(broken)
    assert len(broken.started) == 4
    for _ in range(20):
        if good.running():
            good.finish(good.running()[0])
    ends = Counter(stage.data(f"/tasks/{task}/status") for task in tasks)
    assert ends["failed"] == 4


def test_after_its_rest_it_gets_one_task_and_if_that_fails_it_rests_longer() -> None:
    stage = Stage()
    master = stage.master("m1")
    assert master.master is not None
    broken, _ = stage.worker("w1", slots=2), stage.worker("w2")
    submitted(stage, 40)
    assert len(broken.running()) == 2
    fail_all(broken)
    before, left = len(broken.started), master.master.status()["resting"]["w1"]
    assert 0 < left < 1
    stage.settle(left + 0.1)
    assert (len(broken.running()), len(broken.started)) == (1, before + 1)
    broken.finish(broken.running()[0], code=1)
    left = master.master.status()["resting"]["w1"]
    assert 1 < left <= 2
    stage.settle(left + 0.1)
    assert (len(broken.running()), len(broken.started)) == (1, before + 2)
    broken.finish(broken.running()[0])
    assert len(broken.running()) == 2, "all is well"


def test_a_rest_ends_though_the_master_has_read_again_meanwhile() -> None:
    stage = Stage()
    master = stage.master("m1")
    assert master.master is not None
    broken, _ = stage.worker("w1"), stage.worker("w2")
    submitted(stage, 10)
    fail_all(broken)
    master.master._read(set())
    stage.settle(2)
    assert len(broken.running()) == 1


def test_retries_that_fail_count() -> None:
    stage = Stage()
    stage.master("m1")
    broken, _ = stage.worker("w1"), stage.worker("w2")
    submitted(stage, 10, retries=5, retry_delay=1000)
    fail_all(broken)
    assert len(broken.started) == 4


def test_tasks_that_fail_everywhere_are_not_held_up() -> None:
    stage = Stage()
    stage.master("m1")
    workers = [stage.worker(f"w{number}") for number in (1, 2, 3)]
    submitted(stage, 60)
    for worker, _ in zip(cycle(workers), range(200), strict=False):
        if worker.running():
            worker.finish(worker.running()[0], code=1)
    assert sum(len(worker.started) for worker in workers) == 60
