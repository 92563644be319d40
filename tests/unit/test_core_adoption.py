"""Workers that people made by hand: which masters give them tasks, and what is said of the others."""

import pytest

from mwapp.core.messages import Children, Create, Get, Request
from mwapp.core.protocol import Registration
from tests.unit.core_stage import Actor, Stage, submitted


def test_worker_by_hand_that_is_gone_before_it_is_adopted_gets_no_queue() -> None:
    stage = Stage()
    master, person = stage.master("m1"), stage.person()

    def leave(request: Request) -> None:
        if request.operation == Get("/workers/hand"):
            master.meanwhile = None
            person.quit()

    master.meanwhile = leave
    person.create("/workers/hand", "hand:2224", e=True)
    stage.settle()
    assert master.meanwhile is None
    assert stage.children("/assign") == []


def test_worker_that_registers_while_a_person_is_to_be_adopted_keeps_its_own_registration() -> None:
    """The master has read the queue as it was before: what it writes there checks that it still is so."""
    stage = Stage()
    person = stage.person()
    stage.worker("w1").die()
    master, other = stage.master("m1"), stage.person()  # who does what a worker of ours does
    own = Registration(other.session, 3).encode().decode()

    def replace(request: Request) -> None:
        if request.operation == Get("/assign/w1"):
            master.meanwhile = None
            person.delete("/workers/w1", settle=False)
            other.create("/workers/w1", "w1:2224", e=True, settle=False)
            other.set("/assign/w1", own, settle=False)

    master.meanwhile = replace
    person.create("/workers/w1", "hand:2224", e=True)
    stage.settle()
    assert master.meanwhile is None
    assert stage.data("/assign/w1") == own


def not_adopted(master: Actor) -> list[str]:
    return list(master.master.status()["not_adopted"])


def test_a_worker_by_hand_gets_no_task_unless_masters_adopt(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    master, person = stage.master("m1", adopts=False), stage.person()
    person.create("/workers/hand", "hand:2224", e=True)
    task = submitted(stage)
    stage.settle(30)
    assert stage.children("/assign") == []
    assert not_adopted(master) == ["hand"]
    told = [line for line in caplog.messages if "worker hand (session" in line]
    assert len(told) == 1, "it is told once"
    assert told[0].endswith("has not registered and gets no task; if a person plays it: --adopt")
    worker = stage.worker("w1")
    assert worker.running() == [task]
    person.quit()
    assert not_adopted(master) == []


def test_another_session_of_that_name_is_told_of_again(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    stage.master("m1", adopts=False)
    for _ in range(2):
        person = stage.person()
        person.create("/workers/hand", "hand:2224", e=True)
        person.quit()
    assert len([line for line in caplog.messages if "worker hand (session" in line]) == 2


def looks(stage: Stage, master: Actor, seconds: float) -> int:
    """How often the master lists the workers in so much time."""
    before = len(master.sent)
    stage.settle(seconds)
    return sum(operation == Children("/workers", watch=True) for operation in master.sent[before:])


def test_while_one_is_left_alone_each_five_seconds_have_one_look_whoever_comes_and_goes() -> None:
    """Each look that a watch caused had added another timer, for ever."""
    stage = Stage()
    master = stage.master("m1", adopts=False)
    stage.person().create("/workers/hand", "hand:2224", e=True)
    for _ in range(10):
        stage.settle(1.7)
        worker = stage.worker("w1")
        stage.settle(0.9)
        worker.die()
    assert looks(stage, master, 100) <= 21


def test_a_look_that_is_due_soon_does_not_wait_for_a_later_one() -> None:
    stage = Stage()
    master = stage.master("m1", adopts=False)
    stage.person().create("/workers/hand", "hand:2224", e=True)
    stage.worker("w1")
    stage.denials.forbid("/workers/w1", "r")
    stage.person().create("/workers/zoe", "zoe:2224", e=True)  # from now on w1 is tried every second
    assert 2 <= looks(stage, master, 3) <= 4
    stage.denials.allow("/workers/w1")
    stage.settle(2)
    assert 19 <= looks(stage, master, 100) <= 21


def test_who_has_gone_and_comes_again_is_told_of_again(caplog: pytest.LogCaptureFixture) -> None:
    """Otherwise a master would remember every session there ever was."""
    stage = Stage()
    stage.master("m1", adopts=False)
    person = stage.person()
    for name in ("hand", "other", "hand"):
        person.create(f"/workers/{name}", "hand:2224", e=True)
        person.delete(f"/workers/{name}")
    assert len([line for line in caplog.messages if "worker hand (session" in line]) == 2


def test_who_registers_by_hand_is_found_without_an_event() -> None:
    stage = Stage()
    master, person = stage.master("m1", adopts=False), stage.person()
    person.create("/workers/hand", "hand:2224", e=True)
    person.create("/assign/hand", Registration(person.session, 2).encode().decode())
    stage.settle(10)
    assert not_adopted(master) == []
    for _ in range(2):
        submitted(stage)
    assert len(stage.children("/assign/hand")) == 2


def test_what_an_earlier_master_adopted_gets_nothing_more_and_keeps_what_it_has() -> None:
    stage = Stage()
    first, person = stage.master("m1"), stage.person()
    person.create("/workers/hand", "hand:2224", e=True)
    kept = submitted(stage)
    assert stage.children("/assign/hand") == [kept]
    assert not_adopted(first) == []
    first.die()
    second = stage.master("m2", adopts=False)
    assert not_adopted(second) == ["hand"]
    person.create(f"/tasks/{kept}/status", "done")
    stage.settle()
    assert stage.children("/assign/hand") == []
    submitted(stage)
    stage.settle(10)
    assert stage.children("/assign/hand") == []


def test_after_a_refusal_it_is_left_alone_as_before() -> None:
    """A refusal has the master read everything anew."""
    stage = Stage()
    first, person = stage.master("m1"), stage.person()
    person.create("/workers/hand", "hand:2224", e=True)
    first.die()
    master = stage.master("m2", adopts=False)
    stage.forbids = lambda op: isinstance(op, Create) and op.path.startswith("/assign/w1/")
    stage.worker("w1")
    submitted(stage)
    stage.forbids = lambda _: False
    stage.settle(10)
    submitted(stage)
    assert stage.children("/assign/hand") == []
    assert not_adopted(master) == ["hand"]


def test_a_worker_of_ours_whose_queue_is_gone_registers_anew_without_being_adopted() -> None:
    stage = Stage()
    master, worker, person = stage.master("m1", adopts=False), stage.worker("w1", slots=2), stage.person()
    person.delete("/assign/w1")
    stage.settle(10)
    assert not_adopted(master) == []
    for _ in range(2):
        submitted(stage)
    assert len(worker.running()) == 2
