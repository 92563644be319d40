"""Scenes of tasks that have ended: they run again, or are removed, once for each request."""

import json
from dataclasses import replace

import pytest

from mwapp.core.again import NOT_DONE, AskEnded
from mwapp.core.messages import Children, Delete, Get, Request, Tick, Transaction
from mwapp.core.protocol import REMOVE, RUN
from mwapp.core.retention import Retention
from tests.unit.core_asker import LEAST, Asker, ended, withheld
from tests.unit.core_stage import ALL_AT_HAND, SESSION_SECONDS, Actor, Person, Stage, attempts, creates


@pytest.fixture
def person(stage: Stage) -> Person:
    """Plays a worker who has a task."""
    stage.master("m1")
    person = stage.person()
    person.create("/workers/hand", "h:1", e=True)
    stage.settle()
    person.create("/tasks/t", "date")
    stage.settle()
    assert stage.holders("t") == ["hand"]
    return person


def test_requests_that_wait_are_not_read_again_for_each_that_comes(stage: Stage) -> None:
    """They wait for the end of what is removed not so soon."""
    master, worker = stage.master("m1"), stage.worker("w1", slots=10)
    for number in range(10):
        ended(stage, worker, f"t{number}")
        stage.person().create(f"/requests/t{number}", REMOVE)
    read = [ask.path for ask in master.sent if isinstance(ask, Get) and ask.path.startswith("/requests/")]
    assert sorted(read) == [f"/requests/t{number}" for number in range(10)]


def test_it_runs_again_as_the_next_attempt_and_ends_anew(stage: Stage, worker: Actor) -> None:
    ended(stage, worker)
    assert stage.data("/tasks/t/status") == "failed"
    asker = Asker(stage, RUN, "t")
    assert (asker.told, asker.finished) == ({"t": None}, 1)
    assert attempts(worker) == ["1", "2"]
    assert stage.data("/tasks/t/status") is None
    assert stage.data("/tasks/t/result") is None
    worker.finish("t")
    assert stage.data("/tasks/t/status") == "done"
    assert json.loads(stage.data("/tasks/t/result") or "")["attempt"] == 2
    assert stage.children("/requests") == stage.children("/returned") == stage.children("/assign/w1") == []


def test_its_retries_count_anew(stage: Stage, worker: Actor) -> None:
    stage.person().create("/tasks/t", '{"command": "date", "retries": 1, "retry_delay": 0}')
    stage.settle()
    for attempt in (1, 2):
        assert attempts(worker)[-1] == str(attempt)
        worker.finish("t", code=1)
        stage.settle(2)
    assert stage.data("/tasks/t/status") == "failed"
    Asker(stage, RUN, "t")
    worker.finish("t", code=1)
    stage.settle(2)
    assert attempts(worker) == ["1", "2", "3", "4"]
    worker.finish("t", code=1)
    assert stage.data("/tasks/t/status") == "failed"


@pytest.mark.parametrize("behind", ["master", "worker"])
def test_a_request_to_cancel_it_that_it_has_outlived_does_not_end_the_next_run(
    stage: Stage, behind: str
) -> None:
    """Who has a long list of those does not read it at each change: the master may not know yet that there is
    the request, which the worker obeys without it, and the worker that there is none any more."""
    behind_time = replace(ALL_AT_HAND, short_list=0, listing=10.0)
    stage.master("m1", limits=behind_time if behind == "master" else ALL_AT_HAND)
    worker = stage.worker("w1", slots=2, limits=behind_time if behind == "worker" else ALL_AT_HAND)
    person = stage.person()
    for name in ("other", "t"):
        person.create(f"/tasks/{name}", "date")
        worker.kills = name == "t"  # the other's request stays
        if behind == "worker":
            stage.settle(30.0)  # this request it sees at once, and not that it is deleted
        person.create(f"/cancel/{name}")
    assert stage.data("/tasks/t/status") == "cancelled"
    asker = Asker(stage, RUN, "t")
    stage.settle(30.0)
    assert asker.told == {"t": None}
    assert stage.children("/cancel") == ["other"]
    assert stage.data("/tasks/t/status") is None
    assert worker.started[-1].environment["MWAPP_TASK"] == "t"
    assert attempts(worker)[-1] == "2"


def test_a_request_to_cancel_it_is_deleted_once_however_often_the_master_has_heard_of_it(
    stage: Stage,
) -> None:
    master = stage.master("m1", limits=replace(ALL_AT_HAND, short_list=0, listing=10.0))
    worker, person = stage.worker("w1", slots=2), stage.person()
    worker.kills = False
    for name in ("other", "t"):
        person.create(f"/tasks/{name}", "date")
    person.create("/cancel/other", settle=False)
    person.create("/cancel/t")
    worker.finish("t", code=-9)
    stage.settle(30.0)
    assert stage.children("/cancel") == ["other"]
    person.create("/cancel/none")  # now the list has just been read
    person.create("/cancel/t", settle=False)
    asker = Asker(stage, RUN, "t")
    assert asker.told == {"t": None}
    assert stage.children("/cancel") == ["other"]
    assert master.master.counters["refused"] == 0


def test_while_its_worker_may_not_read_whether_it_is_to_be_cancelled_it_waits(stage: Stage) -> None:
    master = stage.master("m1")
    worker = stage.worker("w1", limits=replace(ALL_AT_HAND, short_list=0, listing=100.0))
    stage.person().create("/tasks/t", "date")
    stage.person().create("/cancel/t")
    assert stage.data("/tasks/t/status") == "cancelled"

    def meanwhile(request: Request) -> None:
        if creates("/returned/t")(request):
            stage.refused.add("/cancel/t")

    master.meanwhile = meanwhile
    assert Asker(stage, RUN, "t").told == {"t": None}
    assert (stage.data("/tasks/t/status"), worker.running()) == (None, [])
    stage.refused.clear()
    stage.settle(5)
    assert worker.running() == ["t"]


def test_while_it_may_not_be_read_whether_it_is_to_be_cancelled_it_waits(stage: Stage, worker: Actor) -> None:
    ended(stage, worker)
    stage.refused.add("/cancel/t")
    asker = Asker(stage, RUN, "t")
    assert (asker.told, attempts(worker)) == ({}, ["1"])
    stage.refused.clear()
    stage.settle(5)
    assert (asker.told, attempts(worker)) == ({"t": None}, ["1", "2"])


def test_only_a_worker_with_its_labels_gets_it(stage: Stage, worker: Actor) -> None:
    able = stage.worker("w2", labels=("gpu",))
    stage.person().create("/tasks/t", '{"command": "date", "labels": ["gpu"]}')
    stage.settle()
    able.finish("t")
    Asker(stage, RUN, "t")
    assert able.running() == ["t"]
    able.die()
    stage.settle(SESSION_SECONDS + 1)
    assert worker.running() == []


def test_what_was_cancelled_while_it_waited_goes_on_with_the_numbers(stage: Stage, worker: Actor) -> None:
    """The last attempt was not begun, so it may have the same number."""
    stage.person().create("/tasks/t", '{"command": "date", "retries": 5, "retry_delay": 60}')
    stage.settle()
    worker.finish("t", code=1)
    assert stage.children("/returned") == ["t"]
    stage.person().create("/cancel/t")
    stage.settle()
    assert stage.data("/tasks/t/status") == "cancelled"
    assert json.loads(stage.data("/tasks/t/result") or "")["attempt"] == 1
    Asker(stage, RUN, "t")
    assert attempts(worker) == ["1", "2"]


def test_what_was_cancelled_before_any_worker_had_it_begins_with_the_first(stage: Stage) -> None:
    stage.master("m1")
    stage.person().create("/tasks/t", "date")
    stage.person().create("/cancel/t")
    stage.settle()
    assert "attempt" not in json.loads(stage.data("/tasks/t/result") or "")
    worker = stage.worker("w1")
    Asker(stage, RUN, "t")
    assert attempts(worker) == ["1"]


def test_it_is_removed(stage: Stage, worker: Actor) -> None:
    ended(stage, worker)
    ended(stage, worker, "other")
    asker = Asker(stage, REMOVE, "t")
    assert (asker.told, asker.finished) == ({"t": None}, 1)
    assert stage.children("/tasks") == ["other"]
    assert stage.children("/requests") == []
    stage.person().create("/tasks/t", "date")  # another task may have the name
    stage.settle()
    assert worker.running() == ["t"]


def test_its_request_goes_as_soon_as_it_is_removed(stage: Stage, worker: Actor) -> None:
    """The client waits for that."""
    ended(stage, worker)
    stage.person().create("/requests/t", "remove", settle=False)
    for _ in range(1000):
        stage.settle(0.05)
        if not stage.children("/tasks"):
            break
    stage.settle(0.1)
    assert (stage.children("/tasks"), stage.children("/requests")) == ([], [])


def test_it_is_not_removed_before_a_client_that_was_cut_off_can_have_found_it(
    stage: Stage, worker: Actor
) -> None:
    ended(stage, worker)
    client = stage.client(lambda process: AskEnded(process, ["t"], REMOVE, told=print, finished=print))
    stage.settle(19.0)
    assert stage.children("/tasks") == ["t"]
    stage.settle(2.0)
    assert stage.children("/tasks") == []
    client.die()


def test_a_request_for_an_earlier_end_does_nothing(stage: Stage, worker: Actor) -> None:
    ended(stage, worker)
    stage.person().create("/requests/t", '{"do": "run", "ended": 1}')
    stage.settle(2)
    assert stage.children("/requests") == []
    assert len(worker.started) == 1


@pytest.mark.parametrize("word", ["run", "remove"])
def test_a_person_may_write_the_word(stage: Stage, worker: Actor, word: str) -> None:
    ended(stage, worker)
    stage.person().create("/requests/t", word)
    stage.settle(LEAST)
    assert worker.running() == (["t"] if word == "run" else [])
    assert stage.children("/tasks") == (["t"] if word == "run" else [])


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("t", ""),
        ("t", "ran"),
        ("t", '{"do": 1}'),
        ("t", '{"do": "again"}'),
        ("other", "run"),
        ("runs", "run"),
    ],
)
def test_what_means_nothing_is_deleted(stage: Stage, worker: Actor, name: str, word: str) -> None:
    ended(stage, worker)
    stage.person().create("/tasks/runs", "date")
    stage.person().create(f"/requests/{name}", word)
    stage.settle(2)
    assert stage.children("/requests") == []
    assert [run.task.command for run in worker.started] == ["date"] * 2
    assert stage.data("/tasks/t/status") == "failed"


def test_the_next_master_finds_it(stage: Stage) -> None:
    first = stage.master("m1")
    worker = stage.worker("w1")
    ended(stage, worker)
    first.die()
    stage.person().create("/requests/t", "run")
    stage.master("m2")
    stage.settle(SESSION_SECONDS)
    assert attempts(worker) == ["1", "2"]


def test_a_person_gives_it_up_first(stage: Stage, person: Person) -> None:
    person.create("/tasks/t/result", '{"attempt": 1, "code": 1}', settle=False)
    person.create("/tasks/t/status", "failed", settle=False)
    person.create("/requests/t", "run", settle=False)
    stage.settle(1)
    assert stage.holders("t") == ["hand"]
    assert json.loads(stage.data("/assign/hand/t") or "")["attempt"] == 2
    assert stage.data("/tasks/t/status") is None
    assert stage.children("/requests") == []


@pytest.mark.parametrize("result", [None, "", "failed", '{"code": 1}'])
def test_what_a_person_has_ended_without_its_number_has_to_be_submitted_anew(
    stage: Stage, person: Person, result: str | None
) -> None:
    if result is not None:
        person.create("/tasks/t/result", result)
    person.create("/tasks/t/status", "failed")
    stage.settle(1)
    assert Asker(stage, RUN, "t").told == {"t": NOT_DONE}
    assert stage.data("/tasks/t/status") == "failed"


@pytest.mark.parametrize(("number", "follows"), [("-7", 1), ("true", 2), ("1" + 400 * "0", 1_000_000_000)])
def test_any_number_may_be_in_a_result(stage: Stage, person: Person, number: str, follows: int) -> None:
    person.create("/tasks/t/result", f'{{"attempt": {number}}}')
    person.create("/tasks/t/status", "failed")
    stage.settle(1)
    assert Asker(stage, RUN, "t").told == {"t": None}
    assert json.loads(stage.data("/assign/hand/t") or "")["attempt"] == follows


def test_a_request_that_may_not_be_read_waits(stage: Stage, worker: Actor) -> None:
    ended(stage, worker)
    stage.refused.add("/tasks/t/result")
    stage.person().create("/requests/t", "run")
    stage.settle(2)
    assert len(worker.started) == 1
    stage.refused.clear()
    stage.settle(10)
    assert attempts(worker) == ["1", "2"]


def test_what_the_master_may_not_do_is_tried_again_later(stage: Stage, worker: Actor) -> None:
    ended(stage, worker)
    withheld(stage, "/tasks/t/status")
    asker = Asker(stage, RUN, "t")
    assert asker.told == {}
    stage.forbids = lambda _: False
    stage.settle(20)
    assert asker.told == {"t": None}
    assert attempts(worker) == ["1", "2"]


def test_a_request_that_is_withdrawn_is_not_carried_out(stage: Stage, worker: Actor) -> None:
    ended(stage, worker)
    stage.person().create("/requests/t", "remove")
    stage.settle(2)
    stage.person().delete("/requests/t")
    stage.settle(LEAST)
    assert stage.children("/tasks") == ["t"]


def test_one_that_waits_does_not_hold_up_the_others(stage: Stage) -> None:
    stage.master("m1", limits=replace(ALL_AT_HAND, page=1))
    worker = stage.worker("w1", slots=3)
    for name in ("t1", "t2", "t3"):
        ended(stage, worker, name)
    for name, word in (("t1", "remove"), ("t2", "run")):
        stage.person().create(f"/requests/{name}", word, settle=False)
    stage.settle(2)
    assert worker.running() == ["t2"]
    asker = Asker(stage, RUN, "t1", "t3")
    assert asker.told == {"t3": None}
    assert worker.running() == ["t2", "t3"]


def test_a_task_leaves_the_queue_that_it_is_still_in_before_it_runs_again(
    stage: Stage, person: Person
) -> None:
    withheld(stage, "/assign/hand/t")
    person.create("/tasks/t/result", '{"attempt": 1, "code": 1}')
    person.create("/tasks/t/status", "failed")
    person.create("/requests/t", "run")
    stage.settle(2)
    stage.forbids = lambda _: False
    stage.settle(20)
    assert json.loads(stage.data("/assign/hand/t") or "")["attempt"] == 2
    assert stage.children("/returned") == []


def test_a_request_that_comes_while_the_last_one_is_deleted_is_carried_out(stage: Stage) -> None:
    master, worker = stage.master("m1"), stage.worker("w1")
    ended(stage, worker)
    person = stage.person()
    stale = '{"do": "run", "ended": 1}'

    def meanwhile(request: Request) -> None:
        if isinstance(request.operation, Transaction) and Delete("/requests/t") in request.operation.ops:
            master.meanwhile = lambda _: None
            person.create("/requests/t", "run", settle=False)

    master.meanwhile = meanwhile
    person.create("/requests/t", stale, settle=False)
    stage.settle(2)
    assert stage.children("/requests") == []
    assert attempts(worker) == ["1", "2"]


def test_what_runs_again_while_it_cannot_be_removed_is_left_alone(stage: Stage) -> None:
    """Its first end was too old; something else below it has kept it."""
    master = stage.master("m1", retention=Retention(30.0, 1000))
    worker = stage.worker("w1")
    ended(stage, worker)
    stage.person().create("/tasks/t/note")
    stage.settle(28.9)

    def meanwhile(request: Request) -> None:
        if isinstance(request.operation, Children) and request.operation.path == "/requests":
            master.meanwhile = lambda _: None
            stage.now += 2.0
            master.event(Tick())

    master.meanwhile = meanwhile
    stage.person().create("/requests/t", "run", settle=False)
    stage.settle(5)
    assert attempts(worker) == ["1", "2"]
    assert worker.running() == ["t"]


def test_what_a_person_ends_while_it_waits_runs_again(stage: Stage) -> None:
    stage.master("m1")
    stage.person().create("/tasks/t", json.dumps({"command": "date", "labels": ["gpu"]}))
    stage.person().create("/tasks/t/result", '{"attempt": 1, "code": 1}')
    stage.person().create("/tasks/t/status", "failed")
    asker = Asker(stage, RUN, "t")
    assert asker.told == {"t": None}
    assert json.loads(stage.data("/returned/t") or "")["attempt"] == 2


def test_what_a_person_ends_under_its_worker_runs_again_when_that_has_let_go(
    stage: Stage, worker: Actor
) -> None:
    stage.person().create("/tasks/t", "date")
    stage.settle()
    stage.person().create("/tasks/t/result", '{"attempt": 1, "code": 1}')
    stage.person().create("/tasks/t/status", "failed")
    asker = Asker(stage, RUN, "t")
    assert asker.told == {}  # the master does not know of that end, and the task is still in a queue
    worker.finish("t")
    stage.settle(2)
    assert asker.told == {"t": None}
    assert attempts(worker) == ["1", "2"]


def test_a_request_for_an_end_that_a_person_has_deleted_does_nothing(stage: Stage, worker: Actor) -> None:
    stage.person().create("/tasks/t", "date")
    stage.settle()
    stage.person().create("/tasks/t/result", '{"attempt": 1, "code": 1}')
    stage.person().create("/tasks/t/status", "failed")
    Asker(stage, RUN, "t")
    stage.person().delete("/tasks/t/status")
    stage.person().delete("/tasks/t/result")
    worker.finish("t")
    stage.settle(2)
    assert attempts(worker) == ["1"]
    assert stage.children("/requests") == []
