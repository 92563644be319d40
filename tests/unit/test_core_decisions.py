"""What a master decides: who gets what, what is in doubt, what a refusal costs."""

import json
from collections.abc import Callable

from mwapp.core.limits import Limits
from mwapp.core.messages import Create, Delete, Get, Request, Tick
from mwapp.core.retention import Retention
from tests.unit.core_stage import Actor, Person, Stage, attempts, creates, transactions, when_carried_out

TASK, NEXT = "task-0000000000", "task-0000000001"


def submitted(person: Person, *, settle: bool = True, **fields: object) -> str:
    """The name of a new task."""
    text = json.dumps({"command": "date", **fields})
    return person.create("/tasks/task-", text, s=True, settle=settle).removeprefix("/tasks/")


def is_read_of(path: str) -> Callable[[Request], bool]:
    return lambda request: request.operation == Get(path)


# ------------------------------------------------------------ what is told by the list alone


def test_a_task_that_is_made_anew_after_it_was_listed_and_before_it_is_read_is_run() -> None:
    """Nobody is told the name of what he may not read. It was gone when it was read: seed 1080955."""
    stage = Stage()
    stage.ensemble.hides = lambda path: path == "/tasks/mine"
    master, worker, person = stage.master("m1"), stage.worker("w1"), stage.person()

    when_carried_out(master, is_read_of("/tasks/mine"), lambda: person.delete("/tasks/mine", settle=False))
    person.create("/tasks/mine", "date")
    while master.meanwhile is not None:
        stage.settle(0.01)
    person.create("/tasks/mine", "date")
    stage.settle(5)
    assert worker.running() == ["mine"]


# ------------------------------------------------------------ what is in doubt


def refused_and_slow(master: Actor, person: Person) -> None:
    """A person assigns a task, "odd", to w1 just before the master does, which does not hear that it may
    not."""

    def assign(request: Request) -> None:
        if request.operation == Get("/tasks/odd"):
            person.create("/assign/w1/odd", settle=False)
        elif creates("/assign/w1/odd")(request):
            master.meanwhile = None
            master.slow()

    master.meanwhile = assign
    person.create("/tasks/odd", "date")
    assert master.meanwhile is None


def test_what_ended_while_its_assignment_was_refused_is_not_run_again() -> None:
    stage = Stage()
    master, worker, person = stage.master("m1"), stage.worker("w1"), stage.person()
    refused_and_slow(master, person)
    worker.finish("odd")
    master.quick()
    assert master.master.counters["refused"] == 1
    stage.settle(3)
    assert (len(worker.started), stage.data("/tasks/odd/status")) == (1, "done")


def test_what_ended_while_its_assignment_was_refused_is_not_cancelled() -> None:
    stage = Stage()
    master, worker, person = stage.master("m1"), stage.worker("w1"), stage.person()
    refused_and_slow(master, person)
    worker.finish("odd")
    person.create("/cancel/odd")
    master.quick()
    stage.settle(3)
    assert (stage.children("/cancel"), stage.data("/tasks/odd/status")) == ([], "done")
    assert master.master.counters["refused"] == 1, "its state is read first"


def test_what_is_removed_while_all_is_read_again_may_come_again_at_once() -> None:
    stage = Stage()
    master = stage.master("m1", retention=Retention(seconds=1.0, keep=10))
    worker, person = stage.worker("w1"), stage.person()
    person.create("/tasks/nightly", "date")
    worker.finish("nightly")
    refused_and_slow(master, person)
    stage.settle(2.5)
    assert stage.children("/tasks") == ["odd"], "the master has not heard that it is removed"
    worker.finish("odd")
    person.create("/tasks/nightly", "date", settle=False)
    master.quick()
    assert worker.running() == ["nightly"]


def test_what_is_assigned_and_ends_while_all_is_read_again_is_not_run_again() -> None:
    """The master reads all again half a second after something was refused the second time."""
    stage = Stage()
    person = stage.person()
    gone = stage.worker("gone")
    first = stage.master("m1")
    odd = submitted(person)
    first.die()
    gone.die()
    person.create(f"/assign/gone/{odd}/child")  # it cannot be moved
    worker = stage.worker("w1")
    master = stage.master("m2")
    assert master.master.counters["refused"] == 2
    stage.settle(0.1)
    when_carried_out(master, creates("/assign/w1/"), master.slow)
    task = submitted(person)
    assert worker.running() == [task]
    worker.finish(task)
    stage.settle(0.6)  # now it reads
    master.quick()
    stage.settle(3)
    assert len(worker.started) == 1
    another = submitted(person)
    assert worker.running() == [another], "and it goes on"


def test_after_a_refusal_many_are_assigned_at_once_as_before() -> None:
    stage = Stage()
    master, worker, person = stage.master("m1"), stage.worker("w1", slots=30), stage.person()
    refused_and_slow(master, person)
    master.quick()
    submitted(person)
    before = len(master.sent)
    master.freeze()
    for _ in range(20):
        submitted(person, settle=False)
    master.thaw()
    del master.sent[:before]
    assert len(worker.running()) == 22
    assert len(transactions(master, Create, "/assign/w1/")) < 4


# ------------------------------------------------------------ what a transaction relies on


def test_a_deposed_master_assigns_nothing() -> None:
    stage = Stage()
    first = stage.master("m1", wall=stage.now)
    second = stage.master("m2", wall=stage.now)
    worker, person = stage.worker("w1"), stage.person()
    submitted(person, delay=1)
    first.slow()
    person.delete("/master")
    second.freeze()
    stage.settle(1.5)
    assert transactions(first, Create, "/assign/w1/")
    assert worker.running() == []
    second.thaw()
    assert [run.environment["MWAPP_EPOCH"] for run in worker.started] == ["2"]


def test_a_worker_that_came_back_is_not_given_what_was_meant_for_it_before() -> None:
    stage = Stage()
    master = stage.master("m1", wall=stage.now)
    stays, returns, person = stage.worker("w1"), stage.worker("w2"), stage.person()
    for _ in range(2):
        submitted(person, settle=False, delay=1)
    stage.settle()
    master.slow()
    returns.expire()
    returns.connect()
    stage.settle(1.5)
    assert transactions(master, Create, "/assign/w2/")
    assert stage.children("/assign/w2") == []
    master.quick()
    stage.settle(1)
    assert sorted(attempts(stays, returns)) == ["1", "1"]


def test_a_master_decides_nothing_before_it_has_heard_what_became_of_its_last_decision() -> None:
    stage = Stage()
    master = stage.master("m1", wall=stage.now)
    stage.worker("w1", slots=4)
    person = stage.person()
    for delay in (1, 2):
        submitted(person, delay=delay)
    master.slow()
    stage.settle(3)
    assert len(transactions(master, Create, "/assign/w1/")) == 1
    master.quick()
    assert stage.children("/assign/w1") == [TASK, NEXT]


def test_what_is_committed_together_is_noted_together() -> None:
    stage = Stage()
    master, person = stage.master("m1", wall=stage.now), stage.person()
    stage.worker("w1", slots=4)
    for _ in range(3):
        submitted(person, settle=False, delay=1)
    stage.settle(2)
    assert (master.master.counters["assigned"], master.master.counters["refused"]) == (3, 0)


def test_what_was_put_aside_is_tried_again() -> None:
    stage = Stage()
    person = stage.person()
    gone = stage.worker("gone")
    first = stage.master("m1")
    odd = submitted(person)
    first.die()
    gone.die()
    person.create(f"/assign/gone/{odd}/child")
    worker = stage.worker("w1")
    stage.master("m2")
    person.delete(f"/assign/gone/{odd}/child")
    stage.settle(5)
    assert worker.running() == []
    stage.settle(6)
    assert worker.running() == [odd]


def test_of_several_only_the_one_that_is_to_blame_for_a_refusal_is_put_aside() -> None:
    stage = Stage()
    person = stage.person()
    gone = stage.worker("gone", slots=2)
    first = stage.master("m1")
    good, odd = submitted(person), submitted(person)
    first.die()
    gone.die()
    person.create(f"/assign/gone/{odd}/child")
    worker = stage.worker("w1", slots=4)
    others = [submitted(person), submitted(person)]
    stage.master("m2")
    stage.settle(3)
    assert worker.running() == [good, *others]


def test_a_master_that_leads_no_longer_reads_no_tasks() -> None:
    stage = Stage()
    first, _ = stage.master("m1"), stage.master("m2")
    person = stage.person()
    first.freeze()
    person.delete("/master")
    first.thaw()
    assert first.election.state == "standby"
    submitted(person)
    assert Get(f"/tasks/{TASK}") not in first.sent


def test_a_transaction_has_no_more_tasks_than_it_may() -> None:
    stage = Stage()
    master = stage.master("m1", limits=Limits(batch=2))
    worker, person = stage.worker("w1", slots=5), stage.person()
    master.freeze()
    for _ in range(5):
        submitted(person, settle=False)
    master.thaw()
    assert len(worker.running()) == 5
    assert all(len(sent.ops) <= 3 + 2 for sent in transactions(master, Create, "/assign/w1/"))


# ------------------------------------------------------------ by hand, in two places


def test_what_was_returned_goes_on_if_who_has_the_task_as_well_loses_it_just_then() -> None:
    stage = Stage()
    master, worker, person = stage.master("m1"), stage.worker("w1"), stage.person()
    submitted(person)
    when_carried_out(
        master,
        lambda request: request.operation == Get(f"/tasks/{TASK}/status"),
        lambda: person.delete(f"/assign/w1/{TASK}", settle=False),
    )
    person.create(f"/returned/{TASK}", '{"attempt": 3}')
    stage.settle(1)
    assert attempts(worker) == ["1", "3"]


def test_what_nobody_runs_in_two_queues_is_given_to_one_worker() -> None:
    stage = Stage()
    person = stage.person()
    workers = [stage.worker("w1"), stage.worker("w2")]
    person.create(f"/tasks/{TASK}", "date")
    for ghost in ("g1", "g2"):
        person.create(f"/assign/{ghost}")
        person.create(f"/assign/{ghost}/{TASK}", '{"attempt": 2}')
    stage.master("m1")
    stage.settle(1)
    assert attempts(*workers) == ["3"]
    assert stage.holders(TASK) in (["w1"], ["w2"])


def test_what_a_dead_worker_has_counts_and_not_what_a_person_put_into_returned() -> None:
    stage = Stage()
    stage.master("m1")
    person = stage.person()
    person.create("/tasks/mine", "date")
    person.create("/returned/mine", "")
    person.create("/assign/ghost")
    person.create("/assign/ghost/mine", '{"attempt": 5}')
    worker = stage.worker("w1")
    assert attempts(worker) == ["6"]


def test_attempts_of_an_orphan_are_not_forgotten_because_a_person_copied_it() -> None:
    stage = Stage()
    stage.master("m1")
    person = stage.person()
    submitted(person)
    stage.worker("w1").die()
    stage.worker("w2").die()
    person.create("/assign/w9")
    person.create(f"/assign/w9/{TASK}")
    assert attempts(stage.worker("w3")) == ["3"]


# ------------------------------------------------------------ who gets what


def test_what_nobody_can_run_holds_up_nobody() -> None:
    stage = Stage()
    stage.master("m1")
    worker, person = stage.worker("w1"), stage.person()
    submitted(person, labels=["gpu"])
    assert worker.running() == []
    other = submitted(person)
    assert worker.running() == [other]


def test_those_that_wait_for_the_same_worker_hold_up_nobody_else() -> None:
    stage = Stage()
    stage.master("m1")
    able, worker, person = stage.worker("w1", labels=("gpu",)), stage.worker("w2"), stage.person()
    tasks = [submitted(person, labels=["gpu"]) for _ in range(3)]
    other = submitted(person)
    assert (able.running(), worker.running()) == (tasks[:1], [other])


def test_one_of_two_labels_is_not_enough() -> None:
    stage = Stage()
    stage.master("m1")
    worker, person = stage.worker("w1", labels=("gpu", "linux")), stage.person()
    submitted(person, labels=["gpu", "zone=a"])
    assert worker.running() == []


def test_tasks_that_come_together_are_shared() -> None:
    stage = Stage()
    person = stage.person()
    workers = [stage.worker(name, slots=4) for name in ("w1", "w2")]
    master = stage.master("m1")
    master.freeze()
    for _ in range(4):
        submitted(person, settle=False)
    master.thaw()
    assert [len(worker.running()) for worker in workers] == [2, 2]


def test_who_has_more_slots_gets_more() -> None:
    stage = Stage()
    person = stage.person()
    workers = [stage.worker("w1", slots=1), stage.worker("w2", slots=3)]
    master = stage.master("m1")
    master.freeze()
    for _ in range(3):
        submitted(person, settle=False)
    master.thaw()
    assert [len(worker.running()) for worker in workers] == [1, 2]


def test_runs_that_failed_are_no_workers_that_died() -> None:
    stage = Stage()
    stage.master("m1", max_attempts=2)
    worker, person = stage.worker("w1"), stage.person()
    submitted(person, retries=3, retry_delay=0)
    for _ in range(3):
        worker.finish(TASK, code=1)
    worker.die()
    assert attempts(stage.worker("w2")) == ["5"]


# ------------------------------------------------------------ cancel requests


def test_cancel_requests_keep_nobody_waiting_however_many_there_are() -> None:
    stage = Stage()
    master = stage.master("m1", limits=Limits(batch=4))
    stage.worker("w1")
    person = stage.person()
    left: list[int] = []
    when_carried_out(master, creates("/assign/w1/"), lambda: left.append(len(stage.children("/cancel"))))
    master.freeze()
    for number in range(40):
        person.create(f"/cancel/none-{number}", settle=False)
    submitted(person, settle=False)
    master.thaw()
    stage.settle(3)
    assert left
    assert left[0] > 20
    assert stage.children("/cancel") == []


def test_what_was_returned_and_is_cancelled_is_there_no_longer() -> None:
    stage = Stage()
    stage.master("m1")
    worker, person = stage.worker("w1"), stage.person()
    submitted(person, retries=1, retry_delay=100)
    worker.finish(TASK, code=1)
    person.create(f"/cancel/{TASK}")
    assert stage.data(f"/tasks/{TASK}/status") == "cancelled"
    assert stage.children("/returned") == []


def test_what_is_cancelled_is_not_assigned_in_the_same_transaction() -> None:
    stage = Stage()
    master, worker, person = stage.master("m1"), stage.worker("w1"), stage.person()
    master.freeze()
    person.create(f"/cancel/{TASK}", settle=False)
    submitted(person, settle=False)
    master.thaw()
    assert stage.data(f"/tasks/{TASK}/status") == "cancelled"
    assert transactions(master, Create, "/assign/w1/") == []
    assert worker.started == []


def test_what_is_cancelled_leaves_the_queue_of_a_dead_worker_in_the_same_transaction() -> None:
    stage = Stage()
    master, person = stage.master("m1"), stage.person()
    submitted(person)
    stage.worker("w1").die()
    person.create(f"/cancel/{TASK}")
    (ends,) = transactions(master, Create, f"/tasks/{TASK}/status")
    assert Delete(f"/assign/w1/{TASK}") in ends.ops


def test_what_a_worker_by_hand_has_can_be_cancelled() -> None:
    stage = Stage()
    stage.master("m1")
    person = stage.person()
    person.create("/workers/w1", "w1:2224", e=True)
    submitted(person)
    assert stage.holders(TASK) == ["w1"]
    person.create(f"/cancel/{TASK}")
    assert stage.data(f"/tasks/{TASK}/status") == "cancelled"
    assert stage.holders(TASK) == []


def test_what_an_earlier_incarnation_left_can_be_cancelled_while_nobody_takes_it() -> None:
    stage = Stage()
    stage.master("m1")
    worker, person = stage.worker("w1"), stage.person()
    worker.worker.pause()
    worker.event(Tick())
    person.create(f"/tasks/{TASK}", "date")
    person.create(f"/assign/w1/{TASK}", '{"incarnation": 7}')
    person.create(f"/cancel/{TASK}")
    assert stage.data(f"/tasks/{TASK}/status") == "cancelled"


# ------------------------------------------------------------ ends, and what is shown


def test_of_a_task_that_a_person_wrote_a_result_for_the_next_of_its_name_has_one_of_its_own() -> None:
    stage = Stage()
    stage.master("m1")
    person = stage.person()
    person.create("/tasks/bad", "", settle=False)
    person.create("/tasks/bad/result", "by hand", settle=False)
    stage.settle(3)
    assert stage.data("/tasks/bad/status") == "failed"
    person.delete_all("/tasks/bad")
    stage.settle()
    person.create("/tasks/bad", "")
    assert json.loads(stage.data("/tasks/bad/result") or "")["reason"].startswith("task is empty")


def test_what_can_never_run_is_ended_once() -> None:
    stage = Stage()
    master, person = stage.master("m1"), stage.person()
    person.create("/tasks/bad", "")
    stage.settle(2)
    counters = master.master.counters
    assert (counters["given_up"], counters["refused"]) == (1, 0)
    assert master.master.status()["finished"] == 1


def test_a_cut_is_no_election() -> None:
    stage = Stage()
    master = stage.master("m1", wall=5.0)
    stage.worker("w1")
    submitted(stage.person())
    master.wall = 9.0
    master.cut()
    master.resume()
    status = master.master.status()
    assert (status["elected_at"], status["first_write_at"]) == (5.0, 5.0)
    stage.person().delete("/master")
    stage.settle(2)
    assert master.master.status()["elected_at"] == 9.0
