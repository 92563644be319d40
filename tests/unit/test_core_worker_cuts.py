"""A worker that is cut off: what it finds when it is back, and what it may not take for granted."""

from mwapp.core.messages import Get, Request
from mwapp.core.protocol import Registration
from tests.unit.core_stage import creates
from tests.unit.test_core_worker import by_hand


def test_the_registration_of_another_session_is_not_taken_for_its_own() -> None:
    """The reply to its own was lost, and a person has set the queue."""
    stage, worker, person, _ = by_hand()
    worker.expire()
    worker.loses = creates("/workers/w1")
    worker.connect()
    person.set("/assign/w1", Registration(4711).encode().decode())
    worker.resume()
    registration = Registration.decode((stage.data("/assign/w1") or "").encode())
    assert registration is not None
    assert registration.session == worker.session


def test_what_ends_before_it_is_known_to_be_still_its_own_is_not_recorded() -> None:
    stage, worker, person, (task,) = by_hand(tasks=1)
    person.create(f"/assign/w1/{task}")
    worker.cut()
    person.delete(f"/assign/w1/{task}")
    person.create(f"/assign/w1/{task}", '{"attempt": 2}')

    def ends(request: Request) -> None:
        if request.operation == Get(f"/assign/w1/{task}"):
            worker.meanwhile = None
            worker.finish(task, settle=False)

    worker.meanwhile = ends
    worker.resume()
    assert worker.meanwhile is None
    assert stage.data(f"/tasks/{task}/status") is None
    assert [run.environment["MWAPP_ATTEMPT"] for run in worker.started] == ["1", "2"]


def test_what_may_not_be_read_when_it_is_back_is_recorded_when_it_may() -> None:
    stage, worker, person, (task,) = by_hand(tasks=1)
    person.create(f"/assign/w1/{task}")
    worker.cut()
    stage.denials.forbid(f"/assign/w1/{task}", "r")
    worker.resume()
    worker.finish(task)
    assert stage.data(f"/tasks/{task}/status") is None
    stage.denials.allow(f"/assign/w1/{task}")
    stage.settle(2)
    assert stage.data(f"/tasks/{task}/status") == "done"


def test_what_was_taken_from_it_while_it_was_cut_off_is_killed() -> None:
    _, worker, person, (task,) = by_hand(tasks=1)
    person.create(f"/assign/w1/{task}")
    worker.cut()
    person.delete(f"/assign/w1/{task}")
    assert worker.running() == [task]
    worker.resume()
    assert worker.running() == []
    assert worker.worker.counters["killed"] == 1
