"""How many tasks a worker has at hand: as many as it soon ends, and none behind long ones."""

import pytest

from mwapp.core.limits import LIMITS, Limits
from mwapp.core.throughput import Throughput
from tests.unit.core_stage import Actor, Stage


def submitted(stage: Stage, number: int) -> list[str]:
    """The names of so many new tasks."""
    person = stage.person()
    names = [person.create("/tasks/task-", "date", s=True, settle=False) for _ in range(number)]
    stage.settle()
    return [name.removeprefix("/tasks/") for name in names]


def at_hand(stage: Stage, worker: str = "w1") -> int:
    """How many tasks it has, with those that it runs."""
    return len(stage.children(f"/assign/{worker}"))


# ------------------------------------------------------------ the throughput


@pytest.mark.parametrize(("rate", "seconds"), [(1000, 0.2), (100, 0.2), (100, 1.0), (20, 0.2)])
def test_a_steady_pace_is_found(rate: int, seconds: float) -> None:
    throughput, now = Throughput(), 0.0
    for _ in range(2 * rate):
        now += 1 / rate
        throughput.ended(now)
    assert throughput.tasks(seconds, now) == pytest.approx(rate * seconds, rel=0.1, abs=1)


def test_before_anything_ended_there_is_none() -> None:
    assert Throughput().tasks(0.2, 0.0) == 0


def test_one_task_is_no_pace() -> None:
    throughput = Throughput()
    throughput.ended(1.0)
    assert throughput.tasks(0.2, 1.0) == 0


def test_who_stalls_has_none() -> None:
    throughput = Throughput()
    for number in range(1000):
        throughput.ended(number / 1000)
    assert throughput.tasks(0.2, 1.1) > 50
    assert throughput.tasks(0.2, 1.21) == 0


def test_after_a_stall_it_does_not_go_on_where_it_was() -> None:
    throughput = Throughput()
    for number in range(1000):
        throughput.ended(number / 1000)
    throughput.ended(3.0)
    assert throughput.tasks(0.2, 3.0) == 0


# ------------------------------------------------------------ the master


def test_a_worker_of_unknown_pace_gets_what_it_runs() -> None:
    stage = Stage()
    stage.master("m1", limits=LIMITS)
    worker = stage.worker("w1", slots=2, prefetch=100, limits=LIMITS)
    submitted(stage, 10)
    assert len(worker.running()) == at_hand(stage) == 2


def test_the_faster_it_is_the_more_it_gets_up_to_what_it_takes() -> None:
    stage = Stage()
    stage.master("m1", limits=LIMITS)
    worker = stage.worker("w1", prefetch=7, limits=LIMITS)
    submitted(stage, 300)
    most = 0
    for _ in range(100):
        worker.finish(worker.running()[0], settle=False)
        stage.settle(0.02)
        most = max(most, at_hand(stage))
    assert most == 8


def test_who_takes_none_beyond_its_slots_gets_none() -> None:
    stage = Stage()
    stage.master("m1", limits=LIMITS)
    worker = stage.worker("w1", limits=LIMITS)
    submitted(stage, 100)
    for _ in range(50):
        if worker.running():
            worker.finish(worker.running()[0], settle=False)
        stage.settle(0.02)
        assert at_hand(stage) <= 1


# ------------------------------------------------------------ the worker


def with_waiting(stage: Stage, slots: int = 1, limits: Limits = LIMITS) -> tuple[Actor, list[str]]:
    """A worker that runs as many as it can, with one more at hand; and the tasks."""
    worker, person = stage.worker("w1", slots=slots, prefetch=9, limits=limits), stage.person()
    names = [f"task-{number:010}" for number in range(slots + 1)]
    for name in names:
        person.create(f"/tasks/{name}", "date")
    for name in names:
        person.create(f"/assign/w1/{name}", settle=False)
    stage.settle(0.05)
    assert worker.running() == names[:-1]
    return worker, names


def test_what_cannot_begin_is_handed_back() -> None:
    """After half a second in which no run began."""
    stage = Stage()
    _, names = with_waiting(stage)
    stage.settle(0.4)
    assert stage.children("/returned") == []
    stage.settle(0.2)
    assert (stage.children("/returned"), stage.children("/assign/w1")) == (names[1:], names[:1])


def test_it_is_the_same_attempt_elsewhere() -> None:
    stage = Stage()
    with_waiting(stage)
    stage.master("m1", limits=LIMITS)
    second = stage.worker("w2", limits=LIMITS)
    stage.settle(1)
    assert [run.environment["MWAPP_ATTEMPT"] for run in second.started] == ["1"]


def test_while_runs_end_nothing_is_handed_back() -> None:
    stage = Stage()
    worker, person = stage.worker("w1", prefetch=9, limits=LIMITS), stage.person()
    names = [f"task-{number:010}" for number in range(5)]
    for name in names:
        person.create(f"/tasks/{name}", "date", settle=False)
        person.create(f"/assign/w1/{name}", settle=False)
    stage.settle(0.1)
    for name in names:
        assert worker.running() == [name]
        stage.settle(0.3)
        worker.finish(name, settle=False)
        stage.settle(0.05)
    assert worker.worker.counters["returned"] == 0


def test_what_cannot_begin_for_another_reason_is_kept() -> None:
    """An earlier run of it dies slowly, and there is room."""
    stage = Stage()
    worker, names = with_waiting(stage, slots=2)
    person, worker.kills = stage.person(), False
    person.delete(f"/assign/w1/{names[0]}", settle=False)
    stage.settle(0.05)
    person.create(f"/assign/w1/{names[0]}", settle=False)
    stage.settle(0.4)
    worker.finish(names[1], settle=False)
    stage.settle(2)
    assert worker.worker.counters["returned"] == 0
    assert names[0] in stage.children("/assign/w1")


def test_who_keeps_all_keeps_it() -> None:
    stage = Stage()
    worker, _ = with_waiting(stage, limits=Limits(at_hand=float("inf")))
    stage.settle(10)
    assert worker.worker.counters["returned"] == 0


def test_it_looks_again_after_a_cut() -> None:
    stage = Stage()
    worker, names = with_waiting(stage)
    worker.cut()
    worker.resume()
    stage.settle(1)
    assert stage.children("/returned") == names[1:]


def test_what_comes_later_is_handed_back_too() -> None:
    stage = Stage()
    _, names = with_waiting(stage)
    stage.settle(1)
    person = stage.person()
    person.create("/tasks/task-0000000009", "date")
    person.create("/assign/w1/task-0000000009")
    stage.settle(1)
    assert stage.children("/returned") == [*names[1:], "task-0000000009"]
