"""Scenes of the protocol: what is lost, cut, killed or frozen, and how it goes on."""

import json

from mwapp.core.messages import (
    Abandon,
    Connected,
    Exited,
    Get,
    Reply,
    Request,
    Resumed,
    Stop,
    Suspended,
    Tick,
)
from mwapp.core.protocol import Outcome
from mwapp.core.session import HEARTBEATS, REPORT, SAFETY_MARGIN, Process
from mwapp.core.worker import Worker
from tests.unit.core_stage import SESSION_SECONDS, Stage, creates

TASK = "task-0000000000"


# ---------------------------------------------------------------- leadership


def test_backup_takes_over() -> None:
    stage = Stage()
    first, second = stage.master("m1"), stage.master("m2")
    assert (first.election.state, second.election.state) == ("active", "standby")
    first.die()
    assert (second.election.state, stage.data("/master")) == ("active", "m2:2223")
    assert second.election.epoch == 2


def test_lost_reply_of_the_winning_transaction() -> None:
    stage = Stage()
    first = stage.master("m1")
    second = stage.master("m2")
    second.loses = creates("/master")
    first.die()
    assert (second.election.state, stage.data("/master")) == ("disconnected", "m2:2223")
    second.resume()
    assert (second.election.state, second.election.epoch) == ("active", 2)


def test_deposed_master_writes_nothing() -> None:
    stage = Stage()
    first, second = stage.master("m1"), stage.master("m2")
    first.freeze()  # it hears of nothing
    person = stage.person()
    person.delete("/master")
    assert second.election.state == "active"
    worker = stage.worker("w1", slots=2)
    person.create("/tasks/task-", "date", s=True)
    first.thaw()
    assert first.election.state == "standby"
    assert len(worker.started) == 1


def test_master_that_was_cut_off_does_not_assign_again_what_it_assigned_unanswered() -> None:
    stage = Stage()
    master = stage.master("m1")
    first = stage.worker("w0")
    stage.person().create("/tasks/task-", "date", s=True)
    stage.worker("w1")
    stage.lagging = True  # the server that the master will go on with

    def loses(request: Request) -> bool:
        if request.operation == Get("/tasks/task-0000000001"):
            (run,) = first.runs
            first.event(Exited(run, 0))  # w0, the first choice, is free just before the transaction
        if not creates("/assign/w1/")(request):
            return False
        stage.ensemble.catch_up(1, len(stage.ensemble.log) - 1)
        return True

    master.loses = loses
    stage.person().create("/tasks/task-", "date", s=True)
    assert stage.holders("task-0000000001") == ["w1"]
    master.resume(server=1)
    assert stage.holders("task-0000000001") == ["w1"]


# ---------------------------------------------------------------- the worker


def test_lost_reply_of_the_registration() -> None:
    stage = Stage()
    worker = stage.worker("w1")
    stage.master("m1")
    worker.expire()
    worker.loses = creates("/workers/w1")
    worker.connect()
    assert worker.worker.state == "disconnected"
    worker.resume()
    assert worker.worker.status()["incarnation"] == 1
    stage.person().create("/tasks/task-", "date", s=True)
    assert worker.running() == [TASK]


def test_lost_reply_of_the_completion() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    stage.person().create("/tasks/task-", "date", s=True)
    worker.loses = creates(f"/tasks/{TASK}/status")
    worker.finish(TASK)
    worker.resume()
    assert stage.data(f"/tasks/{TASK}/status") == "done"
    assert len(worker.started) == 1
    stage.person().create("/tasks/task-", "date", s=True)
    assert worker.running() == ["task-0000000001"]


def test_command_that_ends_while_cut_off_is_recorded_afterwards() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    stage.person().create("/tasks/task-", "date", s=True)
    worker.cut()
    worker.finish(TASK, code=3)
    worker.resume()
    assert stage.data(f"/tasks/{TASK}/status") == "failed"
    assert Outcome.decode((stage.data(f"/tasks/{TASK}/result") or "").encode()).code == 3
    assert len(worker.started) == 1


def test_orphan_is_moved_with_the_next_attempt() -> None:
    stage = Stage()
    stage.master("m1")
    first = stage.worker("w1")
    stage.person().create("/tasks/task-", "date", s=True)
    first.die()
    second = stage.worker("w2")
    assert second.running() == [TASK]
    assert second.started[0].environment["MWAPP_ATTEMPT"] == "2"
    assert stage.holders(TASK) == ["w2"]


def test_orphan_of_an_earlier_incarnation_under_the_same_name() -> None:
    stage = Stage()
    master = stage.master("m1")
    first = stage.worker("w1")
    stage.person().create("/tasks/task-", "date", s=True)
    master.die()
    first.die()
    second = stage.worker("w1")
    assert second.running() == []  # meant for who it was before
    stage.master("m2")
    assert second.running() == [TASK]
    assert second.started[0].environment["MWAPP_ATTEMPT"] == "2"


def test_task_that_kills_its_workers_is_given_up() -> None:
    stage = Stage()
    stage.master("m1", max_attempts=3)
    stage.person().create("/tasks/task-", "kill -9 $PPID", s=True)
    for _ in range(3):
        stage.worker("w1").die()
    stage.settle(6.5)  # the last could come back
    assert stage.data(f"/tasks/{TASK}/status") == "failed"
    assert json.loads(stage.data(f"/tasks/{TASK}/result") or "")["attempt"] == 3
    assert stage.holders(TASK) == []


def test_namesake_waits_for_its_turn() -> None:
    stage = Stage()
    stage.master("m1")
    first, second = stage.worker("w1"), stage.worker("w1")
    assert (first.worker.state, second.worker.state) == ("ready", "waiting")
    first.die()
    assert second.worker.state == "ready"


def test_commands_are_killed_before_the_ensemble_can_end_the_session() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    stage.person().create("/tasks/task-", "date", s=True)
    assert worker.running() == [TASK]
    since = stage.now
    worker.cut()
    while worker.running():
        stage.settle(0.1)
    assert stage.now < since + SESSION_SECONDS


def test_a_session_confirmed_late_is_as_old_as_the_asking() -> None:
    """The ensemble counts since it made the session: one that may be over is given up, not begun."""
    process = Process()
    Worker(process, "w1", "w1:2224")
    late = Connected(7, SESSION_SECONDS, asked=100.0)
    assert process.handle(100.0 + SESSION_SECONDS * (1 - SAFETY_MARGIN), late) == [Abandon()]
    assert process.session is None
    process.handle(110.0, Connected(8, SESSION_SECONDS, asked=109.0))
    assert process.usable
    assert process.lease < 109.0 + SESSION_SECONDS


def test_what_a_server_may_not_have_reported_yet_proves_nothing() -> None:
    """The leader hears of us twice a tick at least, and of the last answers perhaps never."""
    process = Process()
    report = SESSION_SECONDS * REPORT

    def beat(now: float) -> None:
        """Ask for a proof of life, and have it answered at once."""
        asked = [c for c in process.handle(now, Tick()) if isinstance(c, Request)]
        process.handle(now, Reply(asked[-1].number, (None,)))

    [first] = process.handle(100.0, Connected(7, SESSION_SECONDS, asked=100.0))
    assert isinstance(first, Request)
    process.handle(100.5, Reply(first.number, (None,)))
    # Less than a report later: the first may not have been reported.
    beat(100.0 + SESSION_SECONDS / HEARTBEATS)
    assert process.lease == 100.0 + SESSION_SECONDS * (1 - SAFETY_MARGIN)
    second = 100.5 + report + 0.1
    beat(second)  # it has: but it had been sent when the session began
    assert process.lease == 100.0 + SESSION_SECONDS * (1 - SAFETY_MARGIN)
    beat(second + report)  # so has the one before the second, and the second itself
    assert process.lease == second + SESSION_SECONDS * (1 - SAFETY_MARGIN)
    process.handle(second + report + 0.1, Suspended())
    process.handle(second + report + 0.3, Resumed(second + report + 0.2))  # the leader was asked
    assert process.lease == second + report + 0.2 + SESSION_SECONDS * (1 - SAFETY_MARGIN)


def test_answers_of_a_server_without_its_leader_prove_nothing() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    stage.person().create("/tasks/task-", "date", s=True)
    assert worker.running() == [TASK]
    since = stage.now
    stage.isolated = True
    while worker.running():
        stage.settle(0.1)
        assert stage.now < since + SESSION_SECONDS


# ---------------------------------------------------------------- leaving


def test_drain_finishes_what_runs_and_hands_back_the_rest() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1", slots=1)
    person = stage.person()
    person.create("/tasks/task-", "date", s=True)
    person.create("/tasks/task-", "date", s=True)
    person.create("/assign/w1/task-0000000001", '{"attempt": 1, "incarnation": 0}')
    worker.stop()
    assert (worker.alive, worker.running()) == (True, [TASK])
    worker.finish(TASK)
    assert not worker.alive
    assert stage.data(f"/tasks/{TASK}/status") == "done"
    other = stage.worker("w2")
    assert other.running() == ["task-0000000001"]
    assert other.started[0].environment["MWAPP_ATTEMPT"] == "1"  # it had not begun


def test_drain_that_begins_while_cut_off() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    stage.person().create("/tasks/task-", "date", s=True)
    worker.cut()
    worker.event(Stop())
    worker.finish(TASK)
    worker.resume()
    assert stage.data(f"/tasks/{TASK}/status") == "done"
    assert not worker.alive


def test_drain_does_not_wait_for_ever() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    stage.person().create("/tasks/task-", "sleep 1000", s=True)
    worker.stop()
    stage.settle(40)
    assert not worker.alive
    assert stage.worker("w2").running() == [TASK]


def test_master_leaves_at_once() -> None:
    stage = Stage()
    first, second = stage.master("m1"), stage.master("m2")
    first.stop()
    assert (first.alive, second.election.state) == (False, "active")


# ---------------------------------------------------------------- many


def test_what_is_at_hand_begins_before_the_last_is_recorded() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1", slots=1, prefetch=2)
    for _ in range(3):
        stage.person().create("/tasks/task-", "date", s=True)
    assert worker.running() == [TASK]
    stage.isolated = True
    worker.finish(TASK)
    assert worker.running() == ["task-0000000001"]
    assert stage.data(f"/tasks/{TASK}/status") is None
    stage.isolated = False
    worker.cut()
    worker.resume()
    assert stage.data(f"/tasks/{TASK}/status") == "done"
    assert worker.running() == ["task-0000000001"]


def test_backlog_is_read_in_pages_and_assigned_meanwhile() -> None:
    stage = Stage()
    person = stage.person()
    stage.worker("w1").die()
    for _ in range(2000):
        person.create("/tasks/task-", "date", s=True)
    worker = stage.worker("w1")
    stage.most_at_once = 0
    stage.master("m1")
    assert worker.running() == ["task-0000001980"], "some of the newest come first, and are not waited with"
    assert stage.most_at_once < 300


def test_backlog_is_not_read_again_because_a_worker_leaves() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    person = stage.person()
    for _ in range(500):
        person.create("/tasks/task-", "date", s=True)
    stage.carried_out = 0
    person.set("/workers/w1", "w1:2224")  # it drains; the master finds out when it is refused
    worker.finish(TASK)
    stage.settle(2)
    assert stage.carried_out < 200
    worker.die()
    assert stage.worker("w2").running() == ["task-0000000001"]


def test_idle_workers_take_turns() -> None:
    stage = Stage()
    stage.master("m1")
    workers, person = [stage.worker(f"w{number}") for number in range(3)], stage.person()
    for number in range(6):
        person.create(f"/tasks/t{number}", "date")
        for worker in workers:
            for task in worker.running():
                worker.finish(task)
    assert [[run.environment["MWAPP_TASK"] for run in worker.started] for worker in workers] == [
        ["t0", "t3"],
        ["t1", "t4"],
        ["t2", "t5"],
    ]


def test_a_worker_that_comes_has_waited_the_longest() -> None:
    stage = Stage()
    stage.master("m1")
    first, person = stage.worker("a"), stage.person()
    person.create("/tasks/t0", "date")
    first.finish("t0")
    late = stage.worker("z")
    person.create("/tasks/t1", "date")
    assert (first.running(), late.running()) == ([], ["t1"])
