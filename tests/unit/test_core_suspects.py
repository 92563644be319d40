"""Tasks that workers died over, workers that rest, and what is killed because its worker stops."""

import json

from mwapp.core.held import LiveWorker
from mwapp.core.messages import Tick
from mwapp.core.protocol import Registration
from mwapp.core.resting import Resting
from tests.unit.core_stage import Stage, submitted

TASK = "task-0000000000"
WORKER = LiveWorker(incarnation=1, slots=1, draining=False, adopted=False)
DEATHS = json.dumps({"attempt": 4, "lost": ["a/1", "b/1", "c/1"], "labels": []})


def suspect(stage: Stage, **fields: object) -> str:
    """A task that three workers have died over, while nobody is there."""
    name = submitted(stage, **fields)
    for _ in range(3):
        stage.worker("w0", labels=("gpu",)).die()
    return name


# ------------------------------------------------------------ suspects


def test_with_few_attempts_allowed_workers_are_used_as_ever() -> None:
    stage = Stage()
    stage.master("m1", max_attempts=2)
    worker = stage.worker("w1", slots=3)
    for _ in range(3):
        submitted(stage)
    assert len(worker.running()) == 3


def test_a_suspect_goes_to_a_worker_that_has_its_labels() -> None:
    stage = Stage()
    stage.master("m1")
    name = suspect(stage, labels=["gpu"])
    other = stage.worker("w1")
    assert other.running() == []
    assert stage.worker("w2", labels=("gpu",)).running() == [name]


def test_a_suspect_goes_to_who_has_nothing_else() -> None:
    stage = Stage()
    busy, idle, person = stage.worker("w1", slots=2), stage.worker("w2", slots=2), stage.person()
    for task, queue, data in (("other", "w1", ""), ("poison", "ghost", DEATHS)):
        person.create(f"/tasks/{task}", "date")
        if queue != "w1":
            person.create(f"/assign/{queue}")
        person.create(f"/assign/{queue}/{task}", data)
    stage.master("m1")
    assert (busy.running(), idle.running()) == (["other"], ["poison"])


def test_a_suspect_gets_a_worker_though_others_always_wait() -> None:
    stage = Stage()
    stage.master("m1")
    worker, person = stage.worker("w1", slots=2), stage.person()
    first, second, *_ = [submitted(stage) for _ in range(6)]
    assert worker.running() == [first, second]
    person.create("/assign/ghost")
    person.create("/tasks/poison", "date", settle=False)
    person.create("/assign/ghost/poison", DEATHS)
    worker.finish(first)
    assert worker.running() == [second], "it gets nothing until it has nothing"
    worker.finish(second)
    assert worker.running() == ["poison"]
    worker.finish("poison")
    assert len(worker.running()) == 2


def test_a_suspect_that_a_person_put_elsewhere_as_well_goes_on() -> None:
    """It is not moved to where it is already, which would be refused."""
    stage = Stage()
    person = stage.person()
    person.create("/assign")
    person.create("/assign/ghost")
    master = stage.master("m1")
    worker = stage.worker("w1")
    worker.worker.pause()
    worker.event(Tick())
    stage.worker("w2").die()  # the master looks at its workers
    person.create("/tasks/poison", "date")
    person.create("/assign/ghost/poison", DEATHS)
    person.create("/assign/w1/poison", '{"attempt": 2, "incarnation": 7}')
    worker.worker.resume()
    worker.event(Tick())
    stage.settle(3)
    assert worker.running() == ["poison"]
    assert stage.holders("poison") == ["w1"]
    assert master.master.counters["refused"] == 0


def test_outages_at_several_workers_do_not_count() -> None:
    """Each comes back after the task has gone to the next, and takes no more tasks."""
    stage = Stage()
    stage.master("m1", max_attempts=3)
    submitted(stage)
    runs = stage.worker("w0")
    for number in range(1, 7):
        after = stage.worker(f"w{number}")
        runs.expire()
        stage.settle(1)
        assert after.running() == [TASK]
        runs.worker.pause()
        runs.connect()
        runs = after
    runs.die()
    stage.settle(7)
    assert stage.data(f"/tasks/{TASK}/status") is None
    assert stage.worker("w7").running() == [TASK]


def test_the_last_worker_of_the_next_task_of_a_name_has_time_to_come_back_as_well() -> None:
    stage = Stage()
    stage.master("m1", max_attempts=1)
    person = stage.person()
    for _ in range(2):
        person.create("/tasks/nightly", "date")
        worker = stage.worker("w1")
        assert worker.running() == ["nightly"]
        worker.die()
        stage.settle(5)
        assert stage.data("/tasks/nightly/status") is None
        stage.settle(1.5)
        assert stage.data("/tasks/nightly/status") == "failed"
        person.delete_all("/tasks/nightly")
        stage.settle()


def test_what_a_person_says_of_earlier_incarnations_stops_no_worker() -> None:
    stage = Stage()
    person = stage.person()
    person.create("/assign")
    person.create("/assign/w1", '{"session": "0x1", "outlived": ["a", -1, true, 4, null]}')
    worker = stage.worker("w1")
    assert worker.worker.state == "ready"
    registration = Registration.decode((stage.data("/assign/w1") or "").encode())
    assert registration is not None
    assert registration.outlived == (4,)


# ------------------------------------------------------------ resting


def test_runs_that_are_cancelled_do_not_count() -> None:
    stage = Stage()
    master = stage.master("m1")
    stage.worker("w1")
    stage.worker("w2")
    for _ in range(10):
        stage.person().create(f"/cancel/{submitted(stage)}")
        assert master.master.status()["resting"] == {}
    assert master.master.counters["assigned"] == 10


def test_runs_that_succeed_do_not_count() -> None:
    stage = Stage()
    master = stage.master("m1")
    worker, _ = stage.worker("w1"), stage.worker("w2")
    for _ in range(10):
        submitted(stage)
    for _ in range(6):
        for task in worker.running():
            worker.finish(task)
    assert master.master.status()["resting"] == {}


def test_who_has_never_rested_is_not_on_trial() -> None:
    resting = Resting()
    for task in "abc":
        assert resting.failed("w1", task, {"w1": WORKER}, 0.0) is None
    assert resting.on_trial({"w1": WORKER, "w2": WORKER}) == set()


# ------------------------------------------------------------ who stops


def test_what_is_late_just_when_its_worker_stops_is_late() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    submitted(stage, timeout=31)
    worker.stop()
    worker.kills = False
    stage.settle(31)
    worker.finish(TASK, code=-9)
    assert json.loads(stage.data(f"/tasks/{TASK}/result") or "")["reason"] == "timed out after 31 s"


def test_what_is_cancelled_just_when_its_worker_stops_has_run() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    submitted(stage)
    worker.stop()
    worker.kills = False
    stage.settle(30)
    stage.person().create(f"/cancel/{TASK}")
    worker.finish(TASK, code=-9)
    result = json.loads(stage.data(f"/tasks/{TASK}/result") or "")
    assert (result["worker"], result["code"], result["reason"]) == ("w1", -9, "cancelled")


def test_who_is_cut_off_and_has_to_stop_waits_for_nothing_more() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    submitted(stage)
    worker.stop()
    stage.settle(29)
    worker.cut()
    stage.settle(1)
    assert (worker.worker.state, worker.running()) == ("stopped", [])
