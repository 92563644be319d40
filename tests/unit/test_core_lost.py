"""Workers that are lost over a task: which of them count, and what becomes of the tasks beside it."""

import json

import pytest

from mwapp.core.protocol import Registration
from tests.unit.core_stage import Actor, Stage, creates, submitted

TASK = "task-0000000000"


def lost(stage: Stage, worker: str, task: str = TASK) -> list[str]:
    """Who was lost over it, by its assignment."""
    found: list[str] = json.loads(stage.data(f"/assign/{worker}/{task}") or "{}").get("lost", [])
    return found


def expire_and_return(worker: Actor) -> None:
    """Its session ends, it lives on, and it begins another."""
    worker.expire()
    worker.connect()


# ------------------------------------------------------------ deaths


def test_a_task_of_which_five_workers_died_is_given_up() -> None:
    stage = Stage()
    stage.master("m1")
    submitted(stage)
    for _ in range(5):
        worker = stage.worker("w1")
        assert worker.running() == [TASK]
        worker.die()
    stage.settle(6.5)
    assert stage.data(f"/tasks/{TASK}/status") == "failed"
    reason = json.loads(stage.data(f"/tasks/{TASK}/result") or "")["reason"]
    assert reason == "given up after 5 attempts: 5 workers died while running it"


def test_who_was_lost_is_noted() -> None:
    stage = Stage()
    stage.master("m1")
    submitted(stage)
    stage.worker("w1").die()
    stage.worker("w2").die()
    stage.worker("w1")
    assert lost(stage, "w1") == ["w1/0", "w2/0"]


@pytest.mark.parametrize("written", ['["a", 7, "b/c", "/"]', '"w1/0"', '{"w1": 0}', "7"])
def test_what_a_person_notes_breaks_nothing(written: str) -> None:
    stage = Stage()
    stage.master("m1")
    person = stage.person()
    person.create(f"/tasks/{TASK}", "date")
    person.create("/assign/w9", "")
    person.create(f"/assign/w9/{TASK}", f'{{"lost": {written}}}')
    assert stage.worker("w1").running() == [TASK]


# ------------------------------------------------------------ who lives on


def test_a_worker_that_lives_on_does_not_count() -> None:
    """Ten outages, each longer than its session."""
    stage = Stage()
    stage.master("m1")
    submitted(stage)
    worker = stage.worker("w1")
    for _ in range(10):
        expire_and_return(worker)
    assert worker.running() == [TASK]
    assert len(worker.started) == 11
    assert lost(stage, "w1") == []


def test_it_does_not_count_either_when_the_task_went_to_another_meanwhile() -> None:
    stage = Stage()
    stage.master("m1")
    submitted(stage)
    workers = [stage.worker("w1"), stage.worker("w2")]
    for _ in range(12):
        runs = next(worker for worker in workers if worker.running())
        expire_and_return(runs)
    assert stage.data(f"/tasks/{TASK}/status") is None


def test_the_next_process_remembers_who_lived_on() -> None:
    stage = Stage()
    stage.master("m1")
    submitted(stage)
    worker = stage.worker("w1")
    worker.expire()  # the task waits
    worker.connect()
    worker.die()
    again = stage.worker("w1")
    assert lost(stage, "w1") == ["w1/1"], "the first incarnation lived on, the second died"
    registration = Registration.decode((stage.data("/assign/w1") or "").encode())
    assert registration is not None
    assert registration.outlived == (0,)
    expire_and_return(again)
    registration = Registration.decode((stage.data("/assign/w1") or "").encode())
    assert registration is not None
    assert registration.outlived == (0, 2)


def test_it_outlived_also_a_registration_of_which_it_never_heard() -> None:
    """It stood still while its session went on, and got a task."""
    stage = Stage()
    stage.master("m1", max_attempts=1)
    worker = stage.worker("w1")
    worker.expire()
    worker.loses = creates("/workers/w1")
    worker.connect()
    submitted(stage)
    assert (stage.holders(TASK), worker.running()) == (["w1"], [])
    worker.expire()
    worker.loses = None
    worker.connect()
    registration = Registration.decode((stage.data("/assign/w1") or "").encode())
    assert registration is not None
    assert registration.outlived == (0, 1)
    assert (worker.running(), lost(stage, "w1")) == ([TASK], [])


def test_it_outlived_its_own_though_another_had_the_name_since() -> None:
    stage = Stage()
    worker = stage.worker("w1")
    worker.expire()
    stage.worker("w1").die()
    worker.connect()
    registration = Registration.decode((stage.data("/assign/w1") or "").encode())
    assert registration is not None
    assert registration.outlived == (0,)


def test_who_had_the_name_before_is_not_outlived() -> None:
    stage = Stage()
    stage.worker("w1").die()
    stage.worker("w1")
    registration = Registration.decode((stage.data("/assign/w1") or "").encode())
    assert registration is not None
    assert registration.outlived == ()


def test_who_was_told_to_stop_and_could_hand_nothing_back_is_no_death() -> None:
    """Without an ensemble, say. Each is followed by a process that knows its session."""
    stage = Stage()
    stage.master("m1")
    submitted(stage)
    ended: tuple[int, ...] = ()
    for _ in range(7):
        worker = stage.worker("w1", ended=ended)
        assert (worker.running(), lost(stage, "w1")) == ([TASK], [])
        ended = (*ended, *worker.sessions)
        worker.die()
    stage.settle(6.5)
    assert stage.data(f"/tasks/{TASK}/status") is None


def test_a_death_after_that_is_one() -> None:
    stage = Stage()
    stage.master("m1")
    submitted(stage)
    stopped = stage.worker("w1")
    stopped.die()
    stage.worker("w1", ended=tuple(stopped.sessions)).die()
    stage.worker("w1", ended=tuple(stopped.sessions))
    assert lost(stage, "w1") == ["w1/1"]


def test_it_tells_of_the_last_ones_only() -> None:
    stage = Stage()
    worker = stage.worker("w1")
    for _ in range(30):
        expire_and_return(worker)
    registration = Registration.decode((stage.data("/assign/w1") or "").encode())
    assert registration is not None
    assert registration.outlived == tuple(range(10, 30))


def test_deaths_count_among_outages() -> None:
    stage = Stage()
    stage.master("m1", max_attempts=2)
    submitted(stage)
    worker = stage.worker("w1")
    expire_and_return(worker)
    worker.die()
    worker = stage.worker("w1")
    expire_and_return(worker)
    assert (worker.running(), lost(stage, "w1")) == ([TASK], ["w1/1"])
    worker.die()
    stage.settle(6.5)
    assert stage.data(f"/tasks/{TASK}/status") == "failed"


def test_before_a_task_is_given_up_its_last_worker_has_time_to_come_back() -> None:
    """A session time-out, 6 s."""
    stage = Stage()
    stage.master("m1", max_attempts=1)
    submitted(stage)
    worker = stage.worker("w1")
    for _ in range(3):
        worker.expire()
        stage.settle(5)
        assert stage.data(f"/tasks/{TASK}/status") is None
        worker.connect()
        assert worker.running() == [TASK]
    worker.expire()
    stage.settle(6.5)
    assert stage.data(f"/tasks/{TASK}/status") == "failed"


def test_it_has_that_time_anew_when_the_master_was_cut_off_as_well() -> None:
    stage = Stage()
    master = stage.master("m1", max_attempts=1)
    submitted(stage)
    worker = stage.worker("w1")
    worker.expire()
    stage.settle(1.5)
    master.cut()
    stage.settle(4)
    master.resume()
    stage.settle(5)
    assert stage.data(f"/tasks/{TASK}/status") is None
    worker.connect()
    assert worker.running() == [TASK]


# ------------------------------------------------------------ who stops


def test_what_still_runs_when_a_worker_stops_is_killed_and_handed_back() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    submitted(stage)
    worker.stop()
    stage.settle(29)
    assert worker.running() == [TASK]
    stage.settle(1)
    assert (worker.running(), worker.alive) == ([], False)
    assert worker.worker.counters["killed"] == 1
    assert json.loads(stage.data(f"/returned/{TASK}") or "") == {"attempt": 2}
    (run,) = stage.worker("w2").started
    assert run.environment["MWAPP_ATTEMPT"] == "2"


def test_however_often_workers_stop_the_task_is_not_given_up() -> None:
    stage = Stage()
    stage.master("m1")
    submitted(stage)
    for _ in range(12):
        worker = stage.worker("w1")
        assert worker.running() == [TASK]
        worker.stop()
        stage.settle(31)
        assert not worker.alive
    assert stage.data(f"/tasks/{TASK}/status") is None


def test_what_ends_well_just_then_is_done() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    submitted(stage)
    worker.stop()
    worker.kills = False
    stage.settle(30)
    worker.finish(TASK)
    assert stage.data(f"/tasks/{TASK}/status") == "done"
    assert not worker.alive


def test_what_is_cancelled_just_then_is_cancelled() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    submitted(stage)
    worker.stop()
    worker.kills = False
    stage.settle(30)
    stage.person().create(f"/cancel/{TASK}", "")
    worker.finish(TASK, code=-9)
    assert stage.data(f"/tasks/{TASK}/status") == "cancelled"


@pytest.mark.parametrize(
    ("task", "cancel", "status"), [({}, True, "cancelled"), ({"timeout": 29.5}, False, "failed")]
)
def test_what_is_being_ended_when_its_worker_kills_it_ends_as_it_would_have(
    task: dict[str, float], cancel: bool, status: str
) -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    submitted(stage, **task)
    worker.kills = False
    worker.stop()
    stage.settle(29)
    if cancel:
        stage.person().create(f"/cancel/{TASK}", "")
    stage.settle(1.5)
    worker.finish(TASK, code=-9)
    assert stage.data(f"/tasks/{TASK}/status") == status
    assert json.loads(stage.data(f"/tasks/{TASK}/result") or "")["worker"] == "w1"


def test_it_does_not_wait_for_ever_for_what_it_has_killed() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    submitted(stage)
    worker.stop()
    worker.kills = False
    stage.settle(31)
    assert worker.alive
    stage.settle(1.5)
    assert worker.worker.state == "stopped"


def test_without_its_session_it_hands_nothing_back() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    submitted(stage)
    worker.stop()
    worker.cut()
    stage.settle(3)
    worker.resume()
    worker.cut()
    stage.settle(40)
    assert (worker.running(), stage.children("/returned")) == ([], [])


def test_a_reply_that_is_lost_just_then_costs_nothing() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    submitted(stage)
    worker.loses = creates(f"/returned/{TASK}")
    worker.stop()
    stage.settle(30)
    worker.resume()
    stage.settle(3)
    assert not worker.alive
    second = stage.worker("w2")
    assert [run.environment["MWAPP_ATTEMPT"] for run in second.started] == ["2"]


# ------------------------------------------------------------ a suspect


def died_thrice(stage: Stage, number: int) -> list[str]:
    """So many tasks with which a worker has died three times."""
    tasks = [submitted(stage) for _ in range(number)]
    for _ in range(3):
        worker = stage.worker("w1", slots=number)
        assert worker.running() == tasks
        worker.die()
    return tasks


def test_its_last_two_attempts_are_made_alone() -> None:
    """What was beside it is not given up with it."""
    stage = Stage()
    stage.master("m1")
    poison, *others = died_thrice(stage, 4)
    for _ in range(20):
        worker = stage.worker("w1", slots=4)
        while worker.running() and poison not in worker.running():
            assert len(worker.running()) == 1
            worker.finish(worker.running()[0])
        if not worker.running():
            break
        worker.die()
    stage.settle(6.5)
    assert stage.data(f"/tasks/{poison}/status") == "failed"
    assert [stage.data(f"/tasks/{task}/status") for task in others] == ["done"] * 3


def test_nothing_comes_beside_a_suspect() -> None:
    stage = Stage()
    stage.master("m1")
    (suspect,) = died_thrice(stage, 1)
    worker = stage.worker("w1", slots=3)
    other = submitted(stage)
    assert worker.running() == [suspect]
    worker.finish(suspect)
    assert worker.running() == [other]


def test_a_suspect_gets_its_turn_though_others_always_wait() -> None:
    stage = Stage()
    stage.master("m1")
    (suspect,) = died_thrice(stage, 1)
    worker = stage.worker("w2", slots=2)
    worker.finish(suspect)
    busy = [submitted(stage) for _ in range(8)]
    (another,) = [submitted(stage)]
    for _ in range(3):
        dying = stage.worker("w3")
        worker.freeze()
        dying.die()
        worker.thaw()
    assert another not in worker.running()
    assert set(worker.running()) <= set(busy)


def test_a_worker_on_trial_that_has_nothing_is_idle() -> None:
    stage = Stage()
    master = stage.master("m1")
    (suspect,) = died_thrice(stage, 1)
    assert master.master is not None
    good = stage.worker("w2", slots=4)
    good.finish(suspect)
    for _ in range(12):
        good.finish(submitted(stage))
    failing = stage.worker("w3", slots=4)
    for _ in range(30):
        submitted(stage)
    while failing.running():
        failing.finish(failing.running()[0], code=1)
    assert "w3" in master.master.status()["resting"]
    (suspect,) = [submitted(stage)]
    stage.person().create(f"/returned/{suspect}", '{"attempt": 4, "lost": ["a/0", "b/0", "c/0"]}')
    stage.settle(3)
    assert failing.running() == [suspect]


def test_after_outages_a_task_is_no_suspect() -> None:
    stage = Stage()
    stage.master("m1")
    first = submitted(stage)
    worker = stage.worker("w1", slots=2)
    for _ in range(4):
        expire_and_return(worker)
    second = submitted(stage)
    assert worker.running() == [first, second]
