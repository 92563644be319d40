"""What waits for its time: names that come again, clocks that are set, readings that begin again."""

import json

from mwapp.core.backoff import pause
from mwapp.core.messages import Get
from tests.unit.core_stage import Stage, attempts

TASK = "task-0000000000"


def asking(**fields: object) -> str:
    """A task's data."""
    return json.dumps({"command": "date", **fields})


# ------------------------------------------------------------ pauses


def test_a_pause_after_any_number_of_failures_is_no_longer() -> None:
    """A person can write any number."""
    assert 600 <= pause("task-1", 5000, 1.0) <= 750


def test_the_next_task_of_a_name_pauses_as_well() -> None:
    stage = Stage()
    stage.master("m1")
    worker, person = stage.worker("w1"), stage.person()
    for before in ([], ["1", "2"]):
        person.create("/tasks/nightly", asking(retries=1, retry_delay=10))
        worker.finish("nightly", code=1)
        stage.settle(9)
        assert attempts(worker) == [*before, "1"]
        stage.settle(4)
        assert attempts(worker) == [*before, "1", "2"]
        worker.finish("nightly")
        person.delete_all("/tasks/nightly")
        stage.settle()


# ------------------------------------------------------------ delays


def test_a_clock_that_is_set_is_heeded_within_a_minute() -> None:
    stage = Stage()
    master = stage.master("m1", wall=1_000_000.0)
    worker = stage.worker("w1")
    stage.person().create("/tasks/task-", asking(not_before=1_100_000), s=True)
    stage.settle(5)
    master.wall = 1_100_001.0
    stage.settle(60)
    assert worker.running() == [TASK]


def test_a_time_of_day_has_nothing_to_do_with_how_long_the_machine_is_up() -> None:
    stage = Stage()
    master = stage.master("m1", wall=50.0)
    worker = stage.worker("w1")
    stage.person().create("/tasks/task-", asking(not_before=90), s=True)
    assert worker.running() == []
    master.wall = 91.0
    stage.settle(60)
    assert worker.running() == [TASK]


def test_what_is_delayed_begins_in_time_and_is_not_read_again_when_the_rest_is() -> None:
    """A transaction that is refused makes the master read again."""
    stage = Stage()
    master = stage.master("m1", wall=stage.now)
    worker, person = stage.worker("w1"), stage.person()
    person.create("/tasks/task-", asking(delay=10), s=True)
    stage.settle(5)
    before = len(master.sent)
    master.master._read(set())
    stage.settle(4)
    assert worker.running() == []
    assert Get(f"/tasks/{TASK}") not in master.sent[before:]
    stage.settle(2)
    assert worker.running() == [TASK]


def test_the_next_task_of_a_name_has_its_own_delay() -> None:
    stage = Stage()
    stage.master("m1", wall=stage.now)
    worker, person = stage.worker("w1"), stage.person()
    person.create("/tasks/nightly", asking(delay=100))
    person.delete("/tasks/nightly")
    person.create("/tasks/nightly", asking(delay=10))
    stage.settle(11)
    assert worker.running() == ["nightly"]
    worker.finish("nightly")
    person.delete_all("/tasks/nightly")
    stage.settle()
    person.create("/tasks/nightly", asking(delay=200))
    stage.settle(100)  # when the first was to begin
    assert worker.running() == []
    stage.settle(101)
    assert worker.running() == ["nightly"]


def test_what_a_person_assigns_before_its_time_is_not_assigned_again_when_that_comes() -> None:
    stage = Stage()
    stage.master("m1", wall=stage.now)
    workers, person = [stage.worker("w1"), stage.worker("w2")], stage.person()
    person.create("/tasks/task-", asking(delay=10), s=True)
    person.create(f"/assign/w1/{TASK}")
    stage.settle(20)
    assert [worker.running() for worker in workers] == [[TASK], []]


def test_a_delayed_task_is_in_one_state_at_a_time() -> None:
    stage = Stage()
    master, person = stage.master("m1", wall=stage.now), stage.person()
    for _ in range(2):
        person.create("/tasks/task-", asking(delay=10), s=True)
    person.delete(f"/tasks/{TASK}")
    stage.worker("w1")
    stage.settle(11)
    status = master.master.status()
    assert (status["delayed"], status["queued"], status["counters"]["assigned"]) == (0, 0, 1)


# ------------------------------------------------------------ what expires


def test_what_waits_for_a_time_of_day_expires_in_time() -> None:
    stage = Stage()
    stage.master("m1", wall=stage.now)
    stage.person().create("/tasks/task-", asking(not_before=1_000_000, expires=10), s=True)
    stage.settle(9)
    assert stage.data(f"/tasks/{TASK}/status") is None
    stage.settle(2)
    assert stage.data(f"/tasks/{TASK}/status") == "failed"


def test_the_next_master_gives_no_more_time() -> None:
    stage = Stage()
    first = stage.master("m1", wall=stage.now)
    stage.person().create("/tasks/task-", asking(expires=60), s=True)
    stage.settle(40)
    first.die()
    stage.master("m2", wall=stage.now)
    stage.settle(21)
    assert stage.data(f"/tasks/{TASK}/status") == "failed"
