"""Between a decision to run or to kill something and that it is so time passes, and much can happen in it."""

from mwapp.core.messages import Exited
from mwapp.core.protocol import Outcome, result_path
from mwapp.core.session import SAFETY_MARGIN
from tests.unit.core_stage import SESSION_SECONDS, Actor, Stage

TASK = "task-0000000000"
MARGIN = SESSION_SECONDS * SAFETY_MARGIN


def set_up(task: str = "date") -> tuple[Stage, Actor]:
    """A worker that has been given a task."""
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    stage.person().create("/tasks/task-", task, s=True)
    assert worker.running() == [TASK]
    return stage, worker


def too_late(stage: Stage, worker: Actor) -> None:
    """The runner says that it has not begun what is asked of it."""
    (run,) = worker.runs
    del worker.runs[run]
    worker.event(Exited(run, None, begun=False))
    stage.settle()


def dies(worker: Actor) -> None:
    """The first command is over at last."""
    run = worker.started[0].run
    del worker.runs[run]
    worker.event(Exited(run, -9))


def test_what_is_no_json_is_no_result() -> None:
    """A task may have made its process say anything."""
    for result, value in (
        ("[1, 2]", [1, 2]),
        ("[" * 199 + "0" + "]" * 199, 0),
        ("[" * 200 + "0" + "]" * 200, None),
        ('1,"code":7', None),
        ("[" * 100_000, None),
        ("[NaN]", None),
        ("1e999", None),
        ("", None),
    ):
        stage, worker = set_up()
        worker.finish(TASK, result=result)
        outcome = Outcome.decode(stage.ensemble.decided.nodes[result_path(TASK)].data)
        assert outcome.code == 0
        assert outcome.value == value or value == 0
        assert (outcome.status == "done") == (value is not None)
        assert value is not None or (outcome.reason or "").startswith(
            "what its process told as its result is no JSON"
        )


def test_a_run_may_begin_while_the_session_is_sure_to_live() -> None:
    stage, worker = set_up()
    assert worker.started[0].until == worker.process.lease
    assert stage.now < worker.started[0].until <= stage.now + SESSION_SECONDS - MARGIN


def test_what_was_not_begun_in_time_begins_anew_in_the_time_there_is_now() -> None:
    stage, worker = set_up()
    stage.settle(SESSION_SECONDS)
    too_late(stage, worker)
    first, second = worker.started
    assert worker.running() == [TASK]
    assert second.until == worker.process.lease > first.until
    assert (second.task, second.environment) == (first.task, first.environment), "it is the same attempt"
    worker.finish(TASK)
    assert stage.data(f"/tasks/{TASK}/status") == "done"


def test_what_was_not_begun_in_time_is_handed_back_by_who_drains() -> None:
    stage, worker = set_up()
    worker.stop()
    other = stage.worker("w2")
    too_late(stage, worker)
    assert not worker.alive, "nothing is left to do for it"
    assert other.running() == [TASK]
    assert other.started[0].environment["MWAPP_ATTEMPT"] == "1"


def test_what_was_not_begun_in_time_begins_when_the_worker_is_back() -> None:
    stage, worker = set_up()
    worker.cut()
    too_late(stage, worker)
    assert len(worker.started) == 1, "the worker does not know whether it is still its own"
    worker.resume()
    assert worker.running() == [TASK]


def test_what_was_not_begun_in_time_can_have_been_cancelled() -> None:
    stage, worker = set_up()
    worker.kills = False
    stage.person().create(f"/cancel/{TASK}")
    too_late(stage, worker)
    assert stage.data(f"/tasks/{TASK}/status") == "cancelled"
    assert len(worker.started) == 1


def test_what_was_not_begun_in_time_can_have_run_out_of_time() -> None:
    stage, worker = set_up('{"command": "date", "timeout": 1}')
    worker.kills = False
    stage.settle(1.5)
    too_late(stage, worker)
    assert stage.data(f"/tasks/{TASK}/status") == "failed"
    assert "timed out" in (stage.data(f"/tasks/{TASK}/result") or "")


def test_what_is_cancelled_and_ends_after_its_timeout_is_cancelled() -> None:
    stage, worker = set_up('{"command": "date", "timeout": 1}')
    worker.kills = False
    stage.person().create(f"/cancel/{TASK}")
    stage.settle(1.5)
    dies(worker)
    stage.settle()
    assert stage.data(f"/tasks/{TASK}/status") == "cancelled"


def test_what_is_cancelled_while_it_is_ended_for_its_timeout_is_cancelled() -> None:
    stage, worker = set_up('{"command": "date", "timeout": 1}')
    worker.kills = False
    stage.settle(1.5)
    stage.person().create(f"/cancel/{TASK}")
    dies(worker)
    stage.settle()
    assert stage.data(f"/tasks/{TASK}/status") == "cancelled"


def test_the_next_attempt_does_not_begin_where_the_last_is_still_dying() -> None:
    stage, worker = set_up()
    worker.kills = False
    worker.expire()
    worker.connect()
    assert stage.holders(TASK) == ["w1"]
    stage.settle(60.0)
    assert len(worker.started) == 1
    stage.person().create("/tasks/task-", "date", s=True)
    assert len(worker.started) == 1, "a worker with one slot is given one task"
    dies(worker)
    stage.settle()
    assert [run.environment["MWAPP_ATTEMPT"] for run in worker.started] == ["1", "2"]


def test_what_is_dying_takes_no_slot() -> None:
    stage, worker = set_up()
    worker.kills = False
    stage.person().create("/tasks/task-", "date", s=True)
    worker.cut()
    worker.expire()
    other = stage.worker("w2")
    worker.connect()
    other_task = "task-0000000001"
    assert stage.holders(TASK) == ["w2"]
    assert stage.holders(other_task) == ["w1"]
    assert [run.environment["MWAPP_TASK"] for run in worker.started] == [TASK, other_task]
    assert other.running() == [TASK]


# ---------------------------------------------------------------- a session is kept while what ran in it dies


def lost(stage: Stage, worker: Actor) -> int:
    """The worker's deadline has just come: it has killed its command. Returns the session it had."""
    session = worker.session
    assert session is not None
    worker.cut()
    stage.settle(worker.process.lease - stage.now - 0.001)
    worker.kills = False
    stage.settle(0.002)
    assert worker.process.session is None
    return session


def test_a_session_is_not_closed_while_its_command_is_dying() -> None:
    stage, worker = set_up()
    session = lost(stage, worker)
    stage.settle(MARGIN / 2)
    assert session in stage.ensemble.sessions
    dies(worker)
    assert session not in stage.ensemble.sessions


def test_it_is_closed_when_it_can_have_ended_by_itself() -> None:
    stage, worker = set_up()
    session = lost(stage, worker)
    stage.settle(MARGIN - 0.003)
    assert session in stage.ensemble.sessions
    stage.settle(0.01)
    assert session not in stage.ensemble.sessions
    dies(worker)
    worker.connect()
    assert worker.running() == [TASK]


def test_one_that_has_ended_meanwhile_is_not_closed_nor_the_next() -> None:
    stage, worker = set_up()
    lost(stage, worker)
    worker.expire()
    worker.connect()
    stage.settle(2 * MARGIN)
    dies(worker)
    stage.settle()
    assert worker.session in stage.ensemble.sessions
    assert worker.running() == [TASK]
    assert worker.worker.state == "ready"


def test_who_has_nothing_that_dies_closes_it_at_once() -> None:
    stage, worker = set_up()
    worker.finish(TASK)
    session = worker.session
    worker.cut()
    stage.settle(SESSION_SECONDS)
    assert session not in stage.ensemble.sessions
