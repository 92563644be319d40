"""Which tasks a master removes, and with how many others at once."""

from mwapp.core.messages import Children, Delete, Request
from mwapp.core.retention import Retention
from tests.unit.core_stage import Actor, Person, Stage, submitted, transactions, when_carried_out

TASK = "task-0000000000"


def ended(person: Person, number: int, *, result: bool = True) -> None:
    """So many tasks that have ended."""
    person.create("/tasks")
    for name in range(number):
        person.create(f"/tasks/t{name}", "date", settle=False)
        if result:
            person.create(f"/tasks/t{name}/result", "{}", settle=False)
        person.create(f"/tasks/t{name}/status", "done", settle=False)


def sizes(master: Actor) -> list[int]:
    """Of removals: how many tasks each had."""
    found = transactions(master, Delete, "/tasks/")
    return [sum(isinstance(op, Delete) and op.path.count("/") == 2 for op in sent.ops) for sent in found]


def test_a_deposed_master_removes_nothing() -> None:
    stage = Stage()
    worker, person = stage.worker("w1"), stage.person()
    first = stage.master("m1", retention=Retention(seconds=1.0, keep=10))
    second = stage.master("m2")
    submitted(stage)
    worker.finish(TASK)
    first.slow()
    person.delete("/master")
    stage.settle(3)
    assert second.election.state == "active"
    assert transactions(first, Delete, "/tasks/")
    assert stage.data(f"/tasks/{TASK}/status") == "done"


def test_what_is_to_be_removed_is_removed_together() -> None:
    stage = Stage()
    ended(stage.person(), 30)
    master = stage.master("m1", retention=Retention(seconds=1.0, keep=100))
    stage.settle(4)
    assert stage.children("/tasks") == []
    assert len(transactions(master, Delete, "/tasks/")) == 1


def test_those_with_more_below_them_are_removed_together_too() -> None:
    """As tasks with secret values have. Each had two transactions of its own."""
    stage = Stage()
    person = stage.person()
    ended(person, 40)
    for name in range(40):
        person.create(f"/tasks/t{name}/secret", "{}", settle=False)
    master = stage.master("m1", retention=Retention(seconds=1.0, keep=100))
    stage.settle(4)
    assert stage.children("/tasks") == []
    assert len(transactions(master, Delete, "/tasks/")) == 2
    assert master.master.counters["removed"] == 40


def test_one_with_very_much_below_it_is_removed_by_itself() -> None:
    stage = Stage()
    person = stage.person()
    ended(person, 10)
    for name in range(500):
        person.create(f"/tasks/t5/n{name}", settle=False)
    master = stage.master("m1", retention=Retention(seconds=1.0, keep=100))
    stage.settle(4)
    assert stage.children("/tasks") == []
    assert sizes(master)[1:] == [9, 1, 1]


def test_what_goes_away_or_is_odd_meanwhile_holds_up_none_of_the_others() -> None:
    stage = Stage()
    person = stage.person()
    ended(person, 8)
    for name in range(8):
        person.create(f"/tasks/t{name}/secret", "{}", settle=False)
    person.create("/tasks/t2/secret/below", settle=False)
    stage.denials.forbid("/tasks/t3", "r")
    master = stage.master("m1", retention=Retention(seconds=5.0, keep=100))

    def gone(request: Request) -> None:
        if request.operation == Children("/tasks/t0"):
            master.meanwhile = None
            person.delete_all("/tasks/t1")
            person.delete_all("/tasks/t4/status")

    master.meanwhile = gone
    stage.settle(8.5)
    assert master.meanwhile is None
    assert stage.children("/tasks") == ["t2", "t3", "t4"]


def test_many_with_more_below_them_grow_again_after_one_that_was_too_large() -> None:
    stage = Stage()
    person = stage.person()
    ended(person, 60)
    for name in range(60):
        person.create(f"/tasks/t{name}/secret", "{}", settle=False)
    stage.most = 2000
    master = stage.master("m1", retention=Retention(seconds=1.0, keep=1000))
    when_carried_out(
        master,
        lambda request: isinstance(request.operation, Children) and request.operation.path == "/tasks/t0",
        lambda: setattr(stage, "most", 1_000_000),
    )
    stage.settle(4)
    assert stage.children("/tasks") == []
    found = sizes(master)
    assert found[:5] == [60, 30, 15, 7, 7]
    assert found[6:14:2] == [3, 4, 5, 6]


def test_another_task_of_the_name_is_run_and_not_removed() -> None:
    """The master, which has not seen the first go, takes it for the first."""
    stage = Stage()
    stage.master("m1", retention=Retention(seconds=5.0, keep=10))
    worker, person = stage.worker("w1"), stage.person()
    person.create("/tasks/nightly", "date")
    worker.finish("nightly")
    person.delete_all("/tasks/nightly")
    person.create("/tasks/nightly", "date", settle=False)
    stage.settle(7)
    assert worker.running() == ["nightly"]


def test_after_one_that_was_too_large_removals_grow_again() -> None:
    stage = Stage()
    ended(stage.person(), 120)
    stage.most = 1000
    master = stage.master("m1", retention=Retention(seconds=1.0, keep=1000))
    when_carried_out(
        master,
        lambda request: any(isinstance(op, Delete) for op in getattr(request.operation, "ops", ())),
        lambda: setattr(stage, "most", 1_000_000),
    )
    stage.settle(4)
    assert stage.children("/tasks") == []
    found = sizes(master)
    first = next(at for at in range(1, len(found)) if found[at] >= found[at - 1])
    assert found[first] == found[first - 1] + 1


def test_one_that_is_odd_does_not_make_the_next_removal_too_large() -> None:
    stage = Stage()
    stage.most = 1500
    ended(stage.person(), 30, result=False)
    master = stage.master("m1", retention=Retention(seconds=1.0, keep=10))
    stage.settle(12)
    assert stage.children("/tasks") == []
    found = sizes(master)
    assert (found[:4], max(found[4:])) == ([30, 15, 7, 3], 3)


def test_what_has_just_ended_stays_a_while_however_many_there_are() -> None:
    stage = Stage()
    ended(stage.person(), 3)
    stage.master("m1", retention=Retention(seconds=3600.0, keep=0))
    stage.settle(18)
    assert len(stage.children("/tasks")) == 3
    stage.settle(5)
    assert stage.children("/tasks") == []


def test_tasks_that_wait_are_none_that_have_ended() -> None:
    stage = Stage()
    person = stage.person()
    ended(person, 2)
    for _ in range(5):
        submitted(stage)
    stage.master("m1", retention=Retention(seconds=3600.0, keep=3))
    stage.settle(25)
    assert len(stage.children("/tasks")) == 7


def test_what_a_person_created_below_a_task_goes_with_it() -> None:
    stage = Stage()
    person = stage.person()
    ended(person, 2)
    person.create("/tasks/t1/note")
    stage.master("m1", retention=Retention(seconds=1.0, keep=10))
    stage.settle(5)
    assert stage.children("/tasks") == []


def test_one_that_cannot_be_removed_holds_up_no_other() -> None:
    stage = Stage()
    person = stage.person()
    ended(person, 3)
    person.create("/tasks/t1/note")
    person.create("/tasks/t1/note/below")
    stage.master("m1", retention=Retention(seconds=5.0, keep=10))
    stage.settle(9)
    assert stage.children("/tasks") == ["t1"]
