"""A worker on a broken host rests while others work."""

import json
from collections import Counter
from itertools import cycle

import pytest

from mwapp.core.held import LiveWorker
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


def memory(workers: dict[str, LiveWorker], *others: str, succeed: int = 20, fail: int = 0) -> Resting:
    """Of these others so many runs succeeded and failed, in turn."""
    resting = Resting()
    for name in others or ("w2",):
        runs = [True] * succeed + [False] * fail
        for number, well in enumerate(sorted(runs, key=lambda _: 0)):
            if well:
                resting.succeeded(name, workers)
            else:
                resting.failed(name, f"other{number}", {name: workers[name]}, 0.0)
    return resting


def rests(resting: Resting, workers: dict[str, LiveWorker], *tasks: str, now: float = 0.0) -> float | None:
    """How long the worker w1 rests after these have failed."""
    return [resting.failed("w1", task, workers, now) for task in tasks][-1]


TWO = {"w1": WORKER, "w2": WORKER}


def needed(resting: Resting, workers: dict[str, LiveWorker] | None = None) -> int:
    """How many tasks have to fail in a row on w1 before it rests; 100: it does not."""
    workers = workers or TWO
    return next((number for number in range(1, 100) if resting.failed("w1", f"t{number}", workers, 0.0)), 100)


def test_where_others_never_fail_three_in_a_row_are_too_many() -> None:
    assert needed(memory(TWO)) == 3


def test_it_takes_different_tasks() -> None:
    assert rests(memory(TWO), TWO, "a", "b", "a", "b", "a") is None


def test_before_anything_is_known_of_the_others_it_takes_ten() -> None:
    assert needed(Resting()) == 10


@pytest.mark.parametrize(("succeed", "fail", "in_a_row"), [(3, 0, 4), (15, 5, 6), (10, 10, 10), (4, 16, 29)])
def test_the_more_the_others_fail_the_more_it_takes(succeed: int, fail: int, in_a_row: int) -> None:
    """So many as would be a chance of one in a thousand."""
    assert needed(memory(TWO, succeed=succeed, fail=fail)) == in_a_row


def test_what_was_long_ago_does_not_count() -> None:
    resting = memory(TWO, succeed=20)
    for number in range(20):
        resting.failed("w2", f"other{number}", {"w2": WORKER}, 0.0)
    assert needed(resting) > 30


def test_if_all_fail_nobody_rests() -> None:
    workers = {f"w{number}": WORKER for number in range(4)}
    resting = Resting()
    found = [resting.failed(name, f"t{task}", workers, 0.0) for task in range(100) for name in workers]
    assert sum(map(bool, found)) == 0


def test_each_rest_is_twice_as_long() -> None:
    resting = memory(TWO)
    now, found = 0.0, []
    rests(resting, TWO, "a", "b")
    for number in range(9):
        rest = resting.failed("w1", f"c{number}", TWO, now)
        assert rest is not None
        found.append(rest)
        assert resting.resting(TWO, now + rest - 0.01) == {"w1": now + rest}
        assert resting.resting(TWO, now + rest) == {}
        now += rest
    assert found == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_what_fails_while_it_rests_does_not_prolong_the_rest() -> None:
    resting = memory(TWO)
    rests(resting, TWO, "a", "b", "c")
    assert resting.failed("w1", "d", TWO, 0.5) is None
    assert resting.resting(TWO, 0.5) == {"w1": 1.0}


def test_a_success_ends_it() -> None:
    resting = memory(TWO)
    rests(resting, TWO, "a", "b", "c")
    assert resting.on_trial(TWO) == {"w1"}
    resting.succeeded("w1", TWO)
    assert (resting.resting(TWO, 0.0), resting.on_trial(TWO)) == ({}, set())
    assert rests(resting, TWO, "d", "e", now=5.0) is None
    assert rests(resting, TWO, "f", now=5.0) == 1


def test_if_the_others_begin_to_fail_it_works_again() -> None:
    resting = memory(TWO)
    rests(resting, TWO, "a", "b", "c")
    for number in range(20):
        resting.failed("w2", f"other{number}", {"w2": WORKER}, 0.1)
    assert (resting.resting(TWO, 0.2), resting.on_trial(TWO)) == ({}, set())


@pytest.mark.parametrize(
    "others",
    [
        {},
        {"w2": LiveWorker(1, 1, draining=True, adopted=False)},
    ],
)
def test_who_cannot_be_replaced_does_not_rest(others: dict[str, LiveWorker]) -> None:
    workers = {"w1": WORKER, **others}
    assert needed(memory(TWO), workers) == 100


def test_who_alone_has_a_label_does_not_rest() -> None:
    gpu = LiveWorker(1, 1, draining=False, adopted=False, labels=frozenset({"gpu"}))
    workers = {"w1": gpu, "w2": WORKER}
    assert needed(memory(workers), workers) == 100
    workers = {"w1": WORKER, "w2": gpu}
    assert needed(memory(workers), workers) == 3


def test_if_who_does_better_leaves_it_works_again() -> None:
    resting = memory(TWO)
    rests(resting, TWO, "a", "b", "c")
    assert resting.resting({"w1": WORKER}, 0.1) == {}


def test_the_next_incarnation_begins_anew() -> None:
    resting = memory(TWO)
    rests(resting, TWO, "a", "b", "c")
    mended = LiveWorker(incarnation=2, slots=1, draining=False, adopted=False)
    workers = {"w1": mended, "w2": WORKER}
    assert (resting.resting(workers, 0.1), resting.on_trial(workers)) == ({}, set())
    assert [resting.failed("w1", task, workers, 5.0) for task in "abc"] == [None, None, 1.0]


def test_what_another_incarnation_did_says_nothing_of_this_one() -> None:
    resting = memory(TWO)
    mended = LiveWorker(incarnation=2, slots=1, draining=False, adopted=False)
    assert needed(resting, {"w1": WORKER, "w2": mended}) == 10


def test_who_is_gone_is_forgotten() -> None:
    resting = Resting()
    assert resting.failed("w1", "a", {}, 0.0) is None
    resting.succeeded("w1", {})
    assert resting.resting(TWO, 0.0) == {}


# ------------------------------------------------------------ the master


def with_broken(slots: int = 1) -> tuple[Stage, Actor, Actor, Actor]:
    """A master, a worker on a broken host, and one that has done a dozen tasks well."""
    stage = Stage()
    master, good = stage.master("m1"), stage.worker("w2")
    submitted(stage, 12)
    while good.running():
        good.finish(good.running()[0])
    return stage, master, stage.worker("w1", slots=slots), good


def test_a_broken_host_gets_few_tasks() -> None:
    """Three, and what it is given before the master knows that the third has failed."""
    stage, _, broken, good = with_broken()
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
    stage, master, broken, _ = with_broken(slots=2)
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
    stage, master, broken, _ = with_broken()
    submitted(stage, 10)
    fail_all(broken)
    master.master._read(set())
    stage.settle(2)
    assert len(broken.running()) == 1


def test_retries_that_fail_count() -> None:
    stage, _, broken, _ = with_broken()
    submitted(stage, 10, retries=5, retry_delay=1000)
    fail_all(broken)
    assert len(broken.started) == 4


def test_what_failed_long_ago_does_not_count_for_the_next_master() -> None:
    """It finds it in /returned."""
    stage, master, broken, _ = with_broken()
    for _ in range(2):
        submitted(stage, 2, retries=5, retry_delay=1000)
        broken.finish(broken.running()[0], code=1)
    master.die()
    second = stage.master("m2")
    submitted(stage, 1)
    stage.settle(1)
    assert second.master is not None
    assert not second.master._experience.resting._records


def test_what_is_cancelled_is_no_failure() -> None:
    stage, master, worker, _ = with_broken()
    submitted(stage, 12)
    for _ in range(5):
        (task,) = worker.running()
        stage.person().create(f"/cancel/{task}")
    assert master.master.status()["resting"] == {}


def test_tasks_that_fail_everywhere_are_not_held_up() -> None:
    stage = Stage()
    stage.master("m1")
    workers = [stage.worker(f"w{number}") for number in (1, 2, 3)]
    submitted(stage, 60)
    for worker, _ in zip(cycle(workers), range(200), strict=False):
        if worker.running():
            worker.finish(worker.running()[0], code=1)
    assert sum(len(worker.started) for worker in workers) == 60
