"""Scenes of a worker's records: what goes together, what is refused, and whose it is."""

import json

from mwapp.core.limits import LIMITS, Limits
from mwapp.core.messages import Create, Op, Transaction
from mwapp.core.protocol import MAX_OUTPUT_BYTES, Outcome, result_path
from mwapp.core.running import GRACE_SECONDS
from tests.unit.core_stage import Actor, Stage

TASK = "task-0000000000"


def task(number: int) -> str:
    return f"task-{number:010}"


def set_up(tasks: int, fields: str = "", *, limits: Limits = LIMITS) -> tuple[Stage, Actor, Actor]:
    """A master, and a worker that runs so many tasks."""
    stage = Stage()
    master = stage.master("m1")
    worker = stage.worker("w1", slots=tasks, limits=limits)
    person = stage.person()
    for _ in range(tasks):
        person.create("/tasks/task-", fields or "date", s=True, settle=False)
    stage.settle(1.0)
    assert worker.running() == [task(number) for number in range(tasks)]
    return stage, master, worker


def records(worker: Actor) -> list[tuple[Op, ...]]:
    """The transactions with which it recorded anything."""
    transactions = [operation.ops for operation in worker.sent if isinstance(operation, Transaction)]
    return [ops for ops in transactions if any("/status" in op.path for op in ops)]


def states(stage: Stage, tasks: int) -> set[str | None]:
    return {stage.data(f"/tasks/{task(number)}/status") for number in range(tasks)}


# ---------------------------------------------------------------- what goes together


def test_one_transaction_is_under_way_at_a_time() -> None:
    stage, _, worker = set_up(3)
    stage.isolated = True
    for number in range(3):
        worker.finish(task(number))
    assert len(records(worker)) == 1
    stage.isolated = False
    worker.cut()
    worker.resume()
    assert states(stage, 3) == {"done"}


def test_results_that_do_not_fit_into_one_transaction_go_in_several() -> None:
    stage, _, worker = set_up(30)
    for number in range(30):
        worker.finish(task(number), output=b"x" * MAX_OUTPUT_BYTES, settle=False)
    stage.settle()
    assert states(stage, 30) == {"done"}
    sizes = [sum(len(op.data) for op in ops if isinstance(op, Create)) for ops in records(worker)]
    assert max(sizes) <= LIMITS.batch_bytes


def test_a_result_larger_than_the_room_of_a_transaction_goes_alone() -> None:
    stage, _, worker = set_up(3, limits=Limits(batch_bytes=1))
    for number in range(3):
        worker.finish(task(number), settle=False)
    stage.settle(1.0)
    assert states(stage, 3) == {"done"}


def test_a_result_that_the_ensemble_does_not_take_is_a_failure_with_that_reason() -> None:
    stage, _, worker = set_up(2)
    stage.most = 3000
    worker.finish(task(0), output=b"x" * 5000, result=json.dumps("y" * 2000))
    worker.finish(task(1), output=b"x" * 5000, result=json.dumps("y" * 4000))
    stage.settle(5.0)
    kept, refused = (Outcome.decode(stage.ensemble.decided.nodes[result_path(task(n))].data) for n in (0, 1))
    assert (kept.status, kept.value, kept.truncated) == ("done", "y" * 2000, True)
    assert (refused.status, refused.result) == ("failed", None)
    assert refused.reason == "the ensemble does not take its result of 4002 characters (jute.maxbuffer)"


def test_of_what_is_refused_together_only_what_is_to_blame_waits_and_then_all_goes_together() -> None:
    stage, master, worker = set_up(40)
    master.die()
    stage.forbids = lambda op: op.path == f"/tasks/{task(5)}/status"
    for number in range(20):
        worker.finish(task(number), settle=False)
    stage.settle(0.5)
    assert states(stage, 5) == {"done"}
    assert {stage.data(f"/tasks/{task(number)}/status") for number in range(6, 20)} == {"done"}
    assert stage.data(f"/tasks/{task(5)}/status") is None
    before = len(records(worker))
    for number in range(20, 40):
        worker.finish(task(number), settle=False)
    stage.settle(0.3)
    assert len(records(worker)) - before <= 4
    stage.forbids = lambda _: False
    stage.settle(2.0)
    assert states(stage, 40) == {"done"}


# ---------------------------------------------------------------- what is refused


def test_what_a_person_ended_is_let_go_and_counts_as_nothing() -> None:
    stage, master, worker = set_up(1)
    master.die()
    stage.person().create(f"/tasks/{TASK}/status", "failed")
    worker.finish(TASK)
    assert stage.holders(TASK) == []
    assert (stage.data(f"/tasks/{TASK}/status"), worker.worker.counters["done"]) == ("failed", 0)


def test_what_was_deleted_while_it_ran_is_let_go() -> None:
    stage, master, worker = set_up(1)
    master.die()
    stage.person().delete(f"/tasks/{TASK}")
    worker.finish(TASK)
    assert stage.holders(TASK) == []


def test_what_a_person_wrote_a_result_for_gets_its_state() -> None:
    stage, _, worker = set_up(1)
    stage.person().create(f"/tasks/{TASK}/result", "by hand")
    worker.finish(TASK)
    assert (stage.data(f"/tasks/{TASK}/status"), stage.data(f"/tasks/{TASK}/result")) == ("done", "by hand")


def test_what_was_taken_from_a_worker_before_it_knew_can_be_given_to_it_again() -> None:
    stage, master, worker = set_up(1)
    master.die()
    stage.lagging = True
    worker.cut()
    worker.resume(server=1)
    stage.person().delete(f"/assign/w1/{TASK}")
    worker.finish(TASK)
    assert stage.data(f"/tasks/{TASK}/status") is None
    stage.lagging = False
    stage.master("m2")
    stage.settle(2.0)
    assert (worker.running(), len(worker.started)) == ([TASK], 2)


# ---------------------------------------------------------------- whose it is


def test_what_an_incarnation_could_not_record_is_not_recorded_by_the_next() -> None:
    """The task is back as another attempt, of which the record is not."""
    stage, _, worker = set_up(1)
    stage.forbids = lambda op: op.path.endswith("/status")
    worker.finish(TASK)
    stage.person().delete("/workers/w1")
    assert (worker.running(), len(worker.started)) == ([TASK], 2)
    stage.forbids = lambda _: False
    stage.settle(5.0)
    assert stage.data(f"/tasks/{TASK}/status") is None
    worker.finish(TASK)
    assert json.loads(stage.data(f"/tasks/{TASK}/result") or "")["attempt"] == 2


def test_what_was_to_be_recorded_next_is_not_recorded_by_the_next_incarnation() -> None:
    stage, _, worker = set_up(3)
    person = stage.person()
    worker.finish(task(0), settle=False)
    worker.finish(task(1), settle=False)  # with the next transaction
    person.delete("/workers/w1", settle=False)
    stage.settle(0.0)
    assert stage.data(f"/tasks/{task(0)}/status") == "done"
    stage.settle()
    assert worker.running() == [task(1), task(2)]
    worker.finish(task(2))
    assert stage.data(f"/tasks/{task(1)}/status") is None
    worker.finish(task(1))
    assert json.loads(stage.data(f"/tasks/{task(1)}/result") or "")["attempt"] == 2


def test_what_is_handed_back_keeps_its_labels() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1", prefetch=1, labels=("gpu",))
    for _ in range(2):
        stage.person().create("/tasks/task-", '{"command": "date", "labels": ["gpu"]}', s=True)
    other = stage.worker("w2")
    worker.stop()
    assert json.loads(stage.data(f"/returned/{task(1)}") or "") == {"attempt": 1, "labels": ["gpu"]}
    assert other.started == []
    assert stage.worker("w3", labels=("a", "gpu")).running() == [task(1)]


def test_what_has_ended_and_is_not_recorded_is_not_handed_back() -> None:
    stage, _, worker = set_up(2)
    worker.stop()
    stage.isolated = True
    for number in range(2):
        worker.finish(task(number))
    stage.isolated = False
    worker.cut()
    worker.resume()
    assert (states(stage, 2), worker.alive) == ({"done"}, False)


def test_who_finds_its_registration_taken_when_it_records_kills_what_else_it_runs() -> None:
    stage, _, worker = set_up(2)
    stage.person().set("/assign/w1", "by hand")
    assert worker.running() == [task(0), task(1)], "nobody has told it"
    worker.finish(task(0))
    assert worker.running() == []
    assert states(stage, 2) == {None}


# ---------------------------------------------------------------- how it ends


def test_what_is_cancelled_or_late_has_two_seconds_to_end_by_itself_and_says_why_it_ended() -> None:
    assert GRACE_SECONDS == 2.0, "docs/protocol.md and docs/handlers.md say so"
    stage, _, worker = set_up(2, '{"command": "date", "timeout": 3}')
    stage.person().create(f"/cancel/{task(0)}")
    stage.settle(4.0)
    assert [kill.grace for kill in worker.killed] == [2.0, 2.0]
    results = [json.loads(stage.data(f"/tasks/{task(number)}/result") or "") for number in range(2)]
    assert [result["reason"] for result in results] == ["cancelled", "timed out after 3 s"]
    assert [stage.data(f"/tasks/{task(number)}/status") for number in range(2)] == ["cancelled", "failed"]


def test_the_timers_of_what_has_ended_go() -> None:
    stage, _, worker = set_up(40, '{"command": "date", "timeout": 2000000}')
    for number in range(40):
        worker.finish(task(number))
    stage.settle(2.0)
    assert len(worker.process.timers) < 10
