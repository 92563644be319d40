"""A worker that is cut off: what it finds when it is back, and what it may not take for granted."""

from mwapp.core.messages import Create, Delete, Exists, Get, Request, Tick, Transaction
from mwapp.core.protocol import Registration
from tests.unit.core_stage import Stage, creates
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


def test_an_incarnation_that_is_over_is_not_taken_up_again() -> None:
    """A person puts a znode where the worker's was just when the worker replaces it. So the worker takes
    itself for gone, its znode comes back, and it is cut off while it registers."""
    stage = Stage()
    stage.master("m1")
    worker, person = stage.worker("w1"), stage.person()
    person.create("/tasks/task-", "date", s=True)
    worker.worker.pause()
    worker.event(Tick())
    stage.settle()

    def replaces(request: Request) -> None:
        if isinstance(request.operation, Exists):
            worker.meanwhile = None
            person.create("/workers/w1", "by hand", settle=False)

    worker.meanwhile = replaces
    worker.loses = lambda request: (
        isinstance(request.operation, Transaction) and isinstance(request.operation.ops[0], Create)
    )
    person.delete("/workers/w1", settle=False)
    worker.worker.resume()
    worker.event(Tick())
    stage.settle()
    assert worker.meanwhile is None
    worker.resume()
    stage.settle(5)
    assert [run.environment["MWAPP_ATTEMPT"] for run in worker.started] == ["1", "2"]


def test_who_is_given_what_is_not_for_it_looks_at_once_whether_it_is_still_itself() -> None:
    stage, worker, person, (task,) = by_hand(tasks=1)
    person.set("/assign/w1", stage.data("/assign/w1") or "")
    person.create(f"/assign/w1/{task}", '{"incarnation": 1}')
    stage.settle(1.5)
    assert worker.worker.status()["incarnation"] == 2


def test_who_is_not_registered_records_nothing() -> None:
    stage, worker, person, (task,) = by_hand(tasks=1)
    person.create(f"/assign/w1/{task}")
    person.create(f"/assign/w1/{task}/child")  # it cannot be recorded
    worker.finish(task)
    person.delete_all("/workers/w1")
    person.create("/workers/w1", "by hand")
    assert worker.worker.state == "waiting"
    before = len(worker.sent)
    stage.settle(5)
    deletions = [Delete(f"/assign/w1/{task}") in getattr(sent, "ops", ()) for sent in worker.sent[before:]]
    assert deletions
    assert not any(deletions)


def test_who_has_left_runs_nothing_any_more() -> None:
    stage, worker, person, (task,) = by_hand(tasks=1)
    person.create(f"/assign/w1/{task}")
    worker.kills = False  # it waits for a dead disk
    worker.stop()
    stage.settle(33)
    status = worker.worker.status()
    assert (status["state"], status["running"], status["incarnation"]) == ("stopped", [], None)


# ------------------------------------------------------------ not registered, or resting


def test_who_waits_for_its_name_and_is_to_rest_marks_nobody_else() -> None:
    stage, worker, _, _ = by_hand()
    namesake = stage.worker("w1")
    assert (worker.worker.state, namesake.worker.state) == ("ready", "waiting")
    before = stage.ensemble.decided.nodes["/workers/w1"].czxid
    namesake.worker.pause()
    namesake.event(Tick())
    stage.settle()
    znode = stage.ensemble.decided.nodes["/workers/w1"]
    assert (znode.czxid, znode.version) == (before, 0)


def test_who_rests_and_is_being_stopped_says_so() -> None:
    stage, worker, person, (task,) = by_hand(tasks=1)
    person.create(f"/assign/w1/{task}")
    worker.worker.pause()
    worker.event(Tick())
    stage.settle()
    assert worker.worker.state == "paused"
    worker.stop()
    assert worker.worker.state == "draining"


def test_who_rests_and_is_being_stopped_says_so_after_a_cut_too() -> None:
    _, worker, person, (task,) = by_hand(tasks=1)
    person.create(f"/assign/w1/{task}")
    assert worker.running() == [task]
    worker.worker.pause()
    worker.stop()
    worker.cut()
    assert worker.worker.state == "disconnected"
    worker.resume()
    assert (worker.worker.state, worker.running()) == ("draining", [task])


def test_who_rests_no_longer_says_so() -> None:
    stage, worker, _, _ = by_hand()
    worker.worker.pause()
    worker.event(Tick())
    stage.settle()
    worker.worker.resume()
    assert worker.worker.state == "ready"


def test_a_task_that_may_be_read_again_begins_a_second_later() -> None:
    stage, worker, person, (task,) = by_hand(tasks=1)
    stage.denials.forbid(f"/tasks/{task}", "r")
    person.create(f"/assign/w1/{task}")
    stage.denials.allow(f"/tasks/{task}")
    stage.settle(1.1)
    assert worker.running() == [task]


def test_what_a_person_assigned_is_handed_back_with_the_labels_of_its_task() -> None:
    """The assignment has none."""
    stage, worker, person, _ = by_hand()
    person.create("/tasks/mine", '{"command": "date", "labels": ["gpu"]}')
    person.create("/tasks/other", "date")
    person.create("/assign/w1/other")
    person.create("/assign/w1/mine")
    worker.worker.pause()
    worker.event(Tick())
    stage.settle()
    returned = [stage.data(f"/returned/{task}") for task in stage.children("/returned")]
    assert '"labels":["gpu"]' in "".join(filter(None, returned))
