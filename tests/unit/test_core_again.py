"""Scenes of who asks that ended tasks run again or are removed: what it is told, and that it is told once."""

from dataclasses import replace

import pytest

from mwapp.core.again import CHANGED, IN_THE_WAY, NO_SUCH_TASK, NOT_DONE, NOT_ENDED, AskEnded
from mwapp.core.limits import LIMITS
from mwapp.core.messages import Delete, Get, Request, Transaction
from mwapp.core.protocol import REMOVE, RUN
from mwapp.core.session import Process
from tests.simulation.tree import Created
from tests.unit.core_asker import LEAST, Asker, ended, withheld
from tests.unit.core_stage import ALL_AT_HAND, Actor, Stage, attempts, creates


def test_what_cannot_be_done_says_why(stage: Stage, worker: Actor) -> None:
    stage.person().create("/tasks/t", "date")
    stage.settle()
    for do in (RUN, REMOVE):
        asker = Asker(stage, do, "t", "other")
        assert asker.told == {"t": NOT_ENDED, "other": NO_SUCH_TASK}
        assert asker.finished == 1
    assert worker.running() == ["t"]


def remove(stage: Stage) -> None:
    """At once, as a master does, with the request if there is one."""
    paths = [f"/tasks/t/{child}" for child in stage.children("/tasks/t")] + ["/tasks/t"]
    requests = [f"/requests/{name}" for name in stage.children("/requests")]
    ops = tuple(Delete(path) for path in [*paths, *requests])
    stage.ensemble.transact(stage.person().session, ops, stage.now)
    stage.spread()


@pytest.mark.parametrize("read", ["/tasks/t", "/tasks/t/status"])
def test_what_is_removed_between_two_reads_is_not_said_to_run(stage: Stage, worker: Actor, read: str) -> None:
    """``read``: after the first of the reads of that znode, before it asks."""
    ended(stage, worker)
    asker = Asker(stage, REMOVE)
    client = Actor(stage)
    AskEnded(client.process, ["t"], REMOVE, told=asker._tell, finished=asker._done)
    client.meanwhile = lambda request: remove(stage) if request.operation == Get(read) else None
    client.connect()
    stage.settle(2)
    assert asker.told in ({"t": None}, {"t": NO_SUCH_TASK})


def test_the_end_of_a_namesake_that_was_removed_between_two_reads_is_not_this_tasks(
    stage: Stage, worker: Actor
) -> None:
    ended(stage, worker)
    asker = Asker(stage, RUN)
    client = Actor(stage)
    AskEnded(client.process, ["t"], RUN, told=asker._tell, finished=asker._done)

    def meanwhile(request: Request) -> None:
        if request.operation == Get("/tasks/t/status") and not asker.told:
            client.meanwhile = None
            remove(stage)
            stage.person().create("/tasks/t", "date", settle=False)

    client.meanwhile = meanwhile
    client.connect()
    stage.settle(2)
    assert asker.told == {"t": NOT_ENDED}


@pytest.mark.parametrize("read", ["/tasks/t", "/tasks/t/status"])
def test_what_is_removed_after_the_request_is_gone_is_not_said_to_run(stage: Stage, read: str) -> None:
    """Between two reads. Whether it was removed for the request nobody can tell."""
    first = stage.master("m1")
    worker = stage.worker("w1")
    ended(stage, worker)
    first.die()
    asker = Asker(stage, REMOVE, "t")
    asker.client.meanwhile = lambda request: remove(stage) if request.operation == Get(read) else None
    stage.person().delete("/requests/t")
    stage.settle(1)
    assert asker.told == {"t": IN_THE_WAY}


def test_a_namesake_is_not_the_task_that_was_removed(stage: Stage) -> None:
    master, worker = stage.master("m1"), stage.worker("w1")
    ended(stage, worker)
    asker = Asker(stage, REMOVE)
    person = stage.person()

    def meanwhile(request: Request) -> None:
        if isinstance(request.operation, Transaction) and Delete("/tasks/t") in request.operation.ops:
            person.create("/tasks/t", "date", settle=False)

    master.meanwhile = meanwhile
    stage.client(lambda process: AskEnded(process, ["t"], REMOVE, told=asker._tell, finished=asker._done))
    stage.settle(LEAST)
    assert asker.told == {"t": None}
    assert worker.running() == ["t"]


def test_what_has_something_else_below_it_says_so(stage: Stage, worker: Actor) -> None:
    ended(stage, worker)
    stage.person().create("/tasks/t/status/note")
    assert Asker(stage, REMOVE, "t").told == {"t": IN_THE_WAY}
    assert stage.children("/requests") == []
    assert stage.data("/tasks/t/status") == "failed"


def test_what_has_something_below_its_status_cannot_run_again(stage: Stage, worker: Actor) -> None:
    ended(stage, worker)
    stage.person().create("/tasks/t/status/note")
    asker = Asker(stage, RUN, "t")
    stage.settle(5)
    assert asker.told == {"t": IN_THE_WAY}
    assert stage.children("/requests") == []


def test_what_has_ended_in_another_way_than_was_chosen_stays(stage: Stage, worker: Actor) -> None:
    ended(stage, worker, "t", code=0)
    ended(stage, worker, "u", code=1)
    told: dict[str, str | None] = {}

    def build(process: Process) -> None:
        AskEnded(process, ["t", "u"], RUN, told=told.__setitem__, finished=lambda: None, only=["failed"])

    stage.client(build)
    stage.settle(2)
    assert told == {"t": CHANGED, "u": None}
    assert worker.running() == ["u"]


def test_nothing_is_asked_of_nobody(stage: Stage) -> None:
    assert Asker(stage, RUN).finished == 1


@pytest.mark.parametrize("do", [RUN, REMOVE])
def test_many(stage: Stage, do: str) -> None:
    """Five batches and one more."""
    limits = replace(ALL_AT_HAND, batch=8)
    stage.master("m1", limits=limits)
    worker = stage.worker("w1", limits=limits)
    names = [f"t{number}" for number in range(41)]
    for name in names:
        ended(stage, worker, name)
    before = len(stage.ensemble.log)
    asker = Asker(stage, do, *names, limits=limits)
    stage.settle(5)
    assert (asker.told, asker.finished) == (dict.fromkeys(names), 1)
    assert stage.children("/requests") == []
    created = [sum(isinstance(c, Created) for c in entry.changes) for entry in stage.ensemble.log[before:]]
    assert 4 < max(created) <= 8
    assert len(stage.children("/tasks")) == (len(names) if do == RUN else 0)
    while do == RUN and worker.running():
        worker.finish(worker.running()[0])
    assert set(attempts(worker)[len(names) :]) == ({"2"} if do == RUN else set())


@pytest.mark.parametrize("do", [RUN, REMOVE])
def test_servers_that_take_small_requests_only_are_asked_for_less(
    stage: Stage, worker: Actor, do: str
) -> None:
    names = [f"t{number}" for number in range(5)]
    for name in names:
        ended(stage, worker, name)
    stage.most = 500  # enough for every part when it has one task at hand
    asker = Asker(stage, do, *names)
    assert (asker.told, asker.finished) == (dict.fromkeys(names), 1)


def test_whoever_lost_the_reply_asks_again_and_it_runs_once(stage: Stage, worker: Actor) -> None:
    ended(stage, worker)
    asker = Asker(stage, RUN)
    client = Actor(stage)
    AskEnded(client.process, ["t"], RUN, told=asker._tell, finished=asker._done)
    client.loses = creates("/requests/")
    client.connect()
    stage.settle(2)
    assert attempts(worker) == ["1", "2"], "the request was carried out"
    worker.finish("t")
    assert asker.told == {}
    client.resume()
    stage.settle(2)
    assert asker.told == {"t": None}
    assert attempts(worker) == ["1", "2"]


def test_a_status_that_somebody_deletes_meanwhile_is_no_end(stage: Stage, worker: Actor) -> None:
    ended(stage, worker)
    withheld(stage, "/requests/t")
    asker = Asker(stage, RUN, "t")
    stage.forbids = lambda _: False
    stage.person().delete("/requests/t")
    stage.settle(2)
    assert asker.told == {"t": NOT_DONE}


def test_who_comes_second_hears_what_the_first_has_had_done(stage: Stage, worker: Actor) -> None:
    ended(stage, worker)
    stage.person().create("/requests/t", "remove")
    late = Asker(stage, RUN, "t")
    assert late.told == {}
    stage.settle(LEAST)
    assert late.told == {"t": NO_SUCH_TASK}
    ended(stage, worker, "other")
    withheld(stage, "/tasks/other/status")
    stage.person().create("/requests/other", "run")
    late = Asker(stage, REMOVE, "other")
    assert late.told == {}
    stage.forbids = lambda _: False
    stage.settle(LEAST)
    assert late.told == {"other": NOT_ENDED}


def test_what_a_person_has_assigned_meanwhile_is_never_in_two_places(stage: Stage) -> None:
    """The assignment of an ended task is cleared away, and only then the task runs again."""
    master, worker = stage.master("m1"), stage.worker("w1")
    ended(stage, worker)
    person = stage.person()
    person.create("/assign/w9")
    places: list[list[str]] = []

    def look(_: Request) -> None:
        places.append(
            [name for name in ("/assign/w1", "/assign/w9", "/returned") if "t" in stage.children(name)]
        )

    master.meanwhile = look
    master.freeze()
    person.create("/tasks/other", "date")  # while the master assigns this, it hears of the rest
    person.create("/assign/w9/t")
    person.create("/requests/t", "run")
    master.thaw()
    stage.settle(2)
    assert ["/assign/w9"] in places
    assert max(map(len, places)) == 1
    assert len(attempts(worker)) == 2


def test_who_meets_the_request_of_another_asks_once_more(stage: Stage, worker: Actor) -> None:
    ended(stage, worker)
    withheld(stage, "/requests/t")
    stage.person().create("/requests/t", '{"do": "run", "ended": 1}')
    asker = Asker(stage, RUN, "t")
    assert asker.told == {}
    stage.forbids = lambda _: False
    stage.settle(20)
    assert asker.told == {"t": None}
    assert attempts(worker) == ["1", "2"]


def test_one_that_cannot_be_read_does_not_hold_up_the_others(stage: Stage, worker: Actor) -> None:
    for name in ("t", "u"):
        ended(stage, worker, name)
    stage.refused.add("/tasks/t/status")
    asker = Asker(stage, RUN, "t", "u")
    assert asker.told == {"u": None}
    stage.refused.clear()
    stage.settle(2)
    assert asker.told == {"u": None, "t": None}


def test_who_waits_for_one_asks_for_all_others_meanwhile(stage: Stage, worker: Actor) -> None:
    names = [f"t{number}" for number in range(6)]
    for name in names:
        ended(stage, worker, name)
    stage.person().create("/requests/t0", "remove")
    asker = Asker(stage, RUN)
    client = Actor(stage, replace(LIMITS, batch=1))
    AskEnded(client.process, names, RUN, told=asker._tell, finished=asker._done)
    client.connect()
    stage.settle(2)
    assert asker.told == dict.fromkeys(names[1:])


def test_who_has_stopped_hears_no_more(stage: Stage, worker: Actor) -> None:
    ended(stage, worker)
    finished: list[bool] = []

    def build(process: Process) -> None:
        part = AskEnded(
            process, ["t"], RUN, told=lambda *_: part.stop(), finished=lambda: finished.append(True)
        )

    stage.client(build)
    stage.settle(2)
    assert finished == []
