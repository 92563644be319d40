"""When a task begins: delays, pauses between attempts, what expires. Times are seconds."""

import json

import pytest

from mwapp.core.backoff import pause
from mwapp.core.messages import Request
from mwapp.core.protocol import Assignment
from tests.unit.core_stage import Actor, Stage, creates, submitted

TASK = "task-0000000000"


def attempts(*workers: Actor) -> list[str]:
    return sorted(run.environment["MWAPP_ATTEMPT"] for worker in workers for run in worker.started)


# ------------------------------------------------------------ the pause between attempts


def test_pauses_double_and_differ_a_little() -> None:
    pauses = [pause("task-1", failures, 2.0) for failures in (1, 2, 3)]
    for found, least in zip(pauses, (2.0, 4.0, 8.0), strict=True):
        assert least <= found <= 1.25 * least
    others = {pause(f"task-{number}", 1, 2.0) for number in range(100)}
    assert len(others) > 90
    assert max(others) - min(others) > 0.4


def test_a_pause_is_the_same_for_the_same_failure() -> None:
    assert pause("task-1", 3, 2.0) == pause("task-1", 3, 2.0)


def test_pauses_do_not_grow_for_ever() -> None:
    assert 600 <= pause("task-1", 1000, 1.0) <= 750
    assert 3600 <= pause("task-1", 1, 3600.0) <= 4500
    assert 3600 <= pause("task-1", 9, 3600.0) <= 4500
    assert pause("task-1", 9, 0.0) == 0


def test_a_failed_run_is_repeated_after_a_pause() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    submitted(stage, retries=2, retry_delay=10)
    worker.finish(TASK, code=1)
    stage.settle(9.8)
    assert attempts(worker) == ["1"]
    stage.settle(3)
    assert attempts(worker) == ["1", "2"]
    worker.finish(TASK, code=1)
    stage.settle(19.8)
    assert attempts(worker) == ["1", "2"]
    stage.settle(6)
    assert attempts(worker) == ["1", "2", "3"]


def test_without_being_asked_it_pauses_a_second() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    submitted(stage, retries=1)
    worker.finish(TASK, code=1)
    stage.settle(0.7)
    assert attempts(worker) == ["1"]
    stage.settle(0.5)
    assert attempts(worker) == ["1", "2"]


def test_what_pauses_keeps_nobody_waiting() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    submitted(stage, retries=1, retry_delay=10)
    other = submitted(stage)
    worker.finish(TASK, code=1)
    assert worker.running() == [other]


def test_a_pause_does_not_begin_again_when_the_master_reads_again() -> None:
    """A transaction that is refused makes it read everything."""
    stage = Stage()
    master = stage.master("m1")
    worker = stage.worker("w1")
    submitted(stage, retries=1, retry_delay=10)
    worker.finish(TASK, code=1)
    stage.settle(8)
    other = submitted(stage)
    worker.finish(other)
    assert master.master is not None
    master.master._read(set())
    stage.settle(5)
    assert attempts(worker) == ["1", "1", "2"]


def test_a_new_pause_begins_with_the_next_failure() -> None:
    """What is known of the pause before is of no use for it."""
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    submitted(stage, retries=2, retry_delay=10)
    worker.finish(TASK, code=1)
    stage.settle(13)
    worker.finish(TASK, code=1)
    stage.settle(13)
    assert attempts(worker) == ["1", "2"]


def test_a_pause_ends_for_who_cancels() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    submitted(stage, retries=1, retry_delay=1000)
    worker.finish(TASK, code=1)
    stage.person().create(f"/cancel/{TASK}", "")
    assert stage.data(f"/tasks/{TASK}/status") == "cancelled"


def test_what_was_handed_back_does_not_pause() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1", prefetch=1)
    submitted(stage)
    other = submitted(stage, retries=1, retry_delay=1000)
    worker.stop()
    second = stage.worker("w2")
    assert second.running() == [other]


# ------------------------------------------------------------ where it is repeated


def test_a_failed_run_is_repeated_elsewhere() -> None:
    stage = Stage()
    stage.master("m1")
    first = stage.worker("w1")
    submitted(stage, retries=1, retry_delay=10)
    first.finish(TASK, code=1)
    second = stage.worker("w2")
    stage.settle(13)
    assert (first.running(), second.running()) == ([], [TASK])


def test_it_waits_for_another_worker_as_long_as_it_has_paused() -> None:
    stage = Stage()
    stage.master("m1")
    first, second = stage.worker("w1"), stage.worker("w2")
    submitted(stage, retries=1, retry_delay=10)
    submitted(stage)
    where, other = (first, second) if first.running() == [TASK] else (second, first)
    where.finish(TASK, code=1)
    stage.settle(13)
    assert (where.running(), len(other.running())) == ([], 1)
    stage.settle(13)
    assert where.running() == [TASK]


@pytest.mark.parametrize("pause", [0, 0.25])
def test_it_waits_for_another_worker_at_least_a_second(pause: float) -> None:
    """Otherwise a worker on which every run fails is given all attempts at once."""
    stage = Stage()
    stage.master("m1")
    first, second = stage.worker("w1"), stage.worker("w2")
    submitted(stage, retries=2, retry_delay=pause)
    submitted(stage)
    where, other = (first, second) if first.running() == [TASK] else (second, first)
    where.finish(TASK, code=1)
    stage.settle(pause + 0.3)
    assert (where.running(), len(other.running())) == ([], 1)
    stage.settle(1)
    assert where.running() == [TASK], "nothing else has happened"
    where.finish(TASK, code=1)
    (busy,) = other.running()
    other.finish(busy)
    stage.settle(0.7)
    assert (where.running(), other.running()) == ([], [TASK])


def test_where_there_is_no_other_worker_it_does_not_wait_that_second() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    submitted(stage, retries=1, retry_delay=0)
    worker.finish(TASK, code=1)
    stage.settle(0.1)
    assert worker.running() == [TASK]


def test_it_waits_for_nobody_who_could_not_run_it() -> None:
    stage = Stage()
    stage.master("m1")
    first = stage.worker("w1", labels=("gpu",))
    stage.worker("w2")
    submitted(stage, retries=1, retry_delay=10, labels=["gpu"])
    first.finish(TASK, code=1)
    stage.settle(13)
    assert first.running() == [TASK]


def test_it_waits_for_nobody_who_takes_nothing() -> None:
    stage = Stage()
    person = stage.person()
    person.create("/workers", "")
    person.create("/workers/w2", "", e=True)
    person.set("/workers/w2", "")
    first = stage.worker("w1")
    stage.master("m1")
    submitted(stage, retries=1, retry_delay=10)
    first.finish(TASK, code=1)
    stage.settle(13)
    assert first.running() == [TASK]


def test_where_it_failed_is_of_no_importance_later() -> None:
    """Its worker is lost: the next attempt may go where an earlier one failed."""
    stage = Stage()
    stage.master("m1")
    first = stage.worker("w1")
    submitted(stage, retries=2, retry_delay=0)
    first.finish(TASK, code=1)
    assert "failed_on" not in (stage.data(f"/assign/w1/{TASK}") or "")
    assert Assignment.decode((stage.data(f"/assign/w1/{TASK}") or "").encode()).failures == 1


# ------------------------------------------------------------ not before


def test_a_delayed_task_begins_when_its_time_has_come() -> None:
    stage = Stage()
    stage.master("m1", wall=stage.now)
    worker = stage.worker("w1")
    submitted(stage, delay=30)
    other = submitted(stage)
    assert worker.running() == [other]
    worker.finish(other)
    stage.settle(29)
    assert worker.running() == []
    stage.settle(2)
    assert worker.running() == [TASK]


def test_the_next_master_does_not_begin_the_delay_again() -> None:
    stage = Stage()
    first = stage.master("m1", wall=stage.now)
    submitted(stage, delay=30)
    stage.settle(20)
    first.die()
    stage.master("m2", wall=stage.now)
    stage.settle(1)
    worker = stage.worker("w1")
    assert worker.running() == []
    stage.settle(10)
    assert worker.running() == [TASK]


def test_with_a_clock_that_is_behind_a_delay_lasts_no_longer_than_it_says() -> None:
    """From when the master sees the task."""
    stage = Stage()
    stage.master("m1", wall=stage.now - 3600)
    worker = stage.worker("w1")
    submitted(stage, delay=30)
    stage.settle(31)
    assert worker.running() == [TASK]


def test_a_task_begins_at_its_time_of_day_by_the_masters_clock() -> None:
    stage = Stage()
    master = stage.master("m1", wall=1_000_000.0)
    worker = stage.worker("w1")
    submitted(stage, not_before=1_000_100)
    stage.settle(50)
    assert worker.running() == []
    master.wall = 1_000_101.0  # it is not moved by the stage
    stage.settle(60)
    assert worker.running() == [TASK]


def test_a_time_that_has_passed_is_no_delay() -> None:
    stage = Stage()
    stage.master("m1", wall=1_000_000.0)
    worker = stage.worker("w1")
    submitted(stage, not_before=999_999, delay=0)
    assert worker.running() == [TASK]


def test_a_delayed_task_that_a_person_assigns_is_not_assigned_again() -> None:
    stage = Stage()
    master = stage.master("m1", wall=stage.now)
    workers = [stage.worker("w1"), stage.worker("w2")]
    submitted(stage, delay=10)
    stage.person().create(f"/assign/w1/{TASK}")
    stage.settle(1)
    assert master.master.status()["delayed"] == 0
    stage.settle(20)
    assert [len(worker.started) for worker in workers] == [1, 0]


def test_a_delayed_task_can_be_cancelled() -> None:
    stage = Stage()
    stage.master("m1", wall=stage.now)
    submitted(stage, delay=1000)
    stage.person().create(f"/cancel/{TASK}", "")
    assert stage.data(f"/tasks/{TASK}/status") == "cancelled"


def test_a_delayed_task_is_counted_as_delayed() -> None:
    stage = Stage()
    master = stage.master("m1", wall=stage.now)
    submitted(stage, delay=1000)
    submitted(stage)
    assert master.master is not None
    status = master.master.status()
    assert (status["queued"], status["delayed"]) == (1, 1)


def test_a_delayed_task_that_is_deleted_does_not_begin() -> None:
    stage = Stage()
    stage.master("m1", wall=stage.now)
    worker = stage.worker("w1")
    submitted(stage, delay=10)
    stage.person().delete(f"/tasks/{TASK}")
    stage.settle(20)
    assert worker.started == []


def timers(master: Actor) -> int:
    """How many are set."""
    return len(master.process.timers)


def test_the_time_that_passes_costs_one_timer_however_many_wait() -> None:
    stage = Stage()
    master = stage.master("m1", wall=stage.now)
    submitted(stage, delay=86400)
    stage.settle(1)
    usual = timers(master)
    for _ in range(30):
        submitted(stage, delay=0.5)
        stage.settle(1)
    assert timers(master) <= usual + 2


def test_many_pauses_cost_few_timers() -> None:
    """One for each that ends before all others so far."""
    stage = Stage()
    master = stage.master("m1", wall=stage.now)
    worker = stage.worker("w1", slots=30)
    usual = timers(master)
    for _ in range(30):
        submitted(stage, retries=1, retry_delay=1000)
    for task in worker.running():
        worker.finish(task, code=1, settle=False)
    stage.settle(1)
    assert len(stage.children("/returned")) == 30
    assert timers(master) <= usual + 15


def test_what_no_longer_waits_is_forgotten() -> None:
    stage = Stage()
    master = stage.master("m1", wall=stage.now)
    worker = stage.worker("w1", slots=10)
    assert master.master is not None
    for _ in range(40):
        for _ in range(10):
            submitted(stage, expires=1e6)
        for task in worker.running():
            worker.finish(task, settle=False)
        stage.settle(0.1)
    known = master.master._mirror.tasks
    assert len(known._looks.times) <= 10
    while worker.running():
        worker.finish(worker.running()[0])
    for _ in range(10):
        submitted(stage, expires=1e6)
    assert len(worker.running()) == 10
    assert known._looks.times == {}, "what runs does not expire"
    assert len(known._looks.heap) <= 130


@pytest.mark.parametrize(
    ("path", "data"),
    [
        (f"/tasks/{TASK}", '{"command": "date", "delay": %s}'),
        (f"/tasks/{TASK}", '{"command": "date", "expires": %s}'),
        (f"/tasks/{TASK}", '{"command": "date", "retries": 1, "retry_delay": %s}'),
        (f"/returned/{TASK}", '{"pause": %s, "attempt": 2}'),
        (f"/returned/{TASK}", '{"attempt": %s, "failures": %s}'),
    ],
)
@pytest.mark.parametrize(
    "number", ["9" * 400, "9" * 4000, "9" * 5000, "-1", "NaN", "Infinity", "1e400", "true"]
)
def test_whatever_number_a_person_writes_no_master_stops(path: str, data: str, number: str) -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    person = stage.person()
    if path.startswith("/returned"):
        person.create(f"/tasks/{TASK}", "date")
    person.create(path, data.replace("%s", number))
    other = submitted(stage)
    for _ in range(3):
        for task in worker.running():
            worker.finish(task)
    assert stage.data(f"/tasks/{other}/status") == "done"


def test_at_its_time_it_would_have_expired() -> None:
    stage = Stage()
    stage.master("m1", wall=stage.now)
    stage.worker("w1")
    submitted(stage, not_before=stage.now + 100, expires=5)
    stage.settle(6)
    reason = json.loads(stage.data(f"/tasks/{TASK}/result") or "")["reason"]
    assert reason == "expired: it was not to begin within 5 s"


# ------------------------------------------------------------ what expires


def test_a_task_that_nobody_took_in_time_fails() -> None:
    stage = Stage()
    stage.master("m1", wall=stage.now)
    submitted(stage, expires=60)
    stage.settle(59)
    assert stage.children(f"/tasks/{TASK}") == []
    stage.settle(2)
    assert stage.data(f"/tasks/{TASK}/status") == "failed"
    reason = json.loads(stage.data(f"/tasks/{TASK}/result") or "")["reason"]
    assert reason == "expired: no worker had room for it within 60 s"


def test_who_has_it_in_time_finishes_it() -> None:
    stage = Stage()
    stage.master("m1", wall=stage.now)
    worker = stage.worker("w1")
    submitted(stage, expires=60)
    stage.settle(100)
    worker.finish(TASK)
    assert stage.data(f"/tasks/{TASK}/status") == "done"


def test_it_expires_though_there_was_no_master_meanwhile() -> None:
    stage = Stage()
    first = stage.master("m1", wall=stage.now)
    submitted(stage, expires=60)
    first.die()
    stage.settle(100)
    stage.master("m2", wall=stage.now)
    stage.settle(1)
    assert stage.data(f"/tasks/{TASK}/status") == "failed"


def test_what_is_assigned_when_its_time_is_over_runs() -> None:
    """It expires while the answer to its assignment is under way."""
    stage = Stage()
    master = stage.master("m1", wall=stage.now)
    worker = stage.worker("w1")
    assert master.master is not None
    known = master.master._mirror.tasks
    name = stage.person().create("/tasks/task-", '{"command": "date", "expires": 60}', s=True, settle=False)
    assigns = creates("/assign/w1/")

    def late(request: Request) -> None:
        if assigns(request):
            known.look(stage.now + 61, 0.0)

    master.meanwhile = late
    stage.settle(100)
    assert (name, worker.running()) == (f"/tasks/{TASK}", [TASK])
    assert stage.children(f"/tasks/{TASK}") == []


def test_what_was_returned_has_begun_and_does_not_expire() -> None:
    stage = Stage()
    stage.master("m1", wall=stage.now)
    worker = stage.worker("w1")
    submitted(stage, expires=5, retries=1, retry_delay=20)
    worker.finish(TASK, code=1)
    stage.settle(26)
    assert worker.running() == [TASK]


@pytest.mark.parametrize("order", [("first", "second"), ("second", "first")])
def test_of_several_that_wait_each_has_its_own_time(order: tuple[str, str]) -> None:
    stage = Stage()
    stage.master("m1", wall=stage.now)
    worker = stage.worker("w1", slots=2)
    delays = {"first": 5, "second": 50}
    names = {which: submitted(stage, delay=delays[which]) for which in order}
    stage.settle(6)
    assert worker.running() == [names["first"]]
    stage.settle(45)
    assert sorted(worker.running()) == sorted(names.values())
