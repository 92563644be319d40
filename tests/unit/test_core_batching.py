"""Under load things go together, and what comes alone waits for nothing (mwapp/core/batching.py)."""

from itertools import pairwise

import pytest

from mwapp.core.batching import EACH, LEAST, MOST, Batching
from mwapp.core.messages import Tick
from mwapp.core.session import Process
from tests.unit.core_stage import Actor, Stage

TASKS = 60


def test_what_comes_alone_does_not_wait() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    person = stage.person()
    stage.settle(1.0)
    began = stage.now
    task = person.create("/tasks/task-", "date", s=True, settle=False).rpartition("/")[2]
    stage.settle(0.0)
    assert worker.running() == [task]
    assert stage.now == began
    stage.settle(2 * LEAST)  # it takes its time
    over = stage.now
    worker.finish(task, settle=False)
    stage.settle(0.0)
    assert stage.data(f"/tasks/{task}/status") == "done"
    following = person.create("/tasks/task-", "date", s=True, settle=False).rpartition("/")[2]
    stage.settle(0.0)  # at once after that
    assert worker.running() == [following]
    assert stage.now == over


def test_a_stream_goes_together() -> None:
    stage = Stage()
    master, worker = stage.master("m1"), stage.worker("w1", slots=TASKS)
    person = stage.person()
    stage.settle(1.0)
    before, began = master.master.counters["transactions"], len(stage.ensemble.log)
    for _ in range(TASKS):
        person.create("/tasks/task-", "date", s=True, settle=False)
        stage.settle(LEAST / 10)
    stage.settle()
    assert len(worker.running()) == TASKS
    assert master.master.counters["transactions"] - before <= TASKS / 10 + 2
    for task in worker.running():
        worker.finish(task, settle=False)
        stage.settle(LEAST / 10)
    stage.settle()
    assert stage.children("/assign/w1") == []
    assert len(stage.ensemble.log) - began <= TASKS * 1.3 + 10, "a transaction of the worker for each task"


def test_a_scope_that_ends_takes_what_was_due_with_it_and_leaves_nothing_blocked() -> None:
    done: list[float] = []
    process = Process()
    process.now = 100.0

    def do() -> int:
        done.append(process.now)
        return 3

    batching = Batching(do)
    old, new = process.scope(), process.scope()
    batching.ask(old)
    batching.ask(old)
    assert done == [100.0]
    old.cancel()
    batching.ask(new)
    batching.ask(new)
    for step in range(1, 6):
        process.handle(100.0 + step * LEAST, Tick())
    assert done == [100.0, 100.0 + LEAST]


def test_the_more_there_was_the_longer_the_moment_up_to_a_bound() -> None:
    done: list[float] = []
    process = Process()
    process.now = 100.0
    scope = process.scope()
    things = [None, 0, 10, 1000, 1]

    def do() -> int | None:
        done.append(process.now)
        return things[len(done) - 1]

    batching = Batching(do)
    for step in range(100):
        process.handle(100.0 + step / 1000, Tick())
        if len(done) < len(things):
            batching.ask(scope)
    moments = [later - earlier for earlier, later in pairwise(done)]
    # After nothing it is done again when asked.
    assert moments == pytest.approx([0.001, LEAST, 10 * EACH, MOST], abs=0.0015)


def transactions_for(stage: Stage, worker: Actor, tasks: int) -> int:
    """How many transactions so many tasks take, each of which runs for a millisecond."""
    person = stage.person()
    for _ in range(tasks):
        person.create("/tasks/task-", "date", s=True, settle=False)
    before = len(stage.ensemble.log)
    for _ in range(10 * tasks):
        if worker.worker.counters["done"] == tasks:
            break
        for task in worker.running():
            worker.finish(task, settle=False)
        stage.settle(0.001)
    assert worker.worker.counters["done"] == tasks
    return len(stage.ensemble.log) - before


def test_the_pace_is_slower_only_for_a_worker_that_has_other_tasks_at_hand() -> None:
    tasks = 400
    seconds, transactions = [], []
    for prefetch in (0, tasks):
        stage = Stage()
        stage.master("m1")
        worker = stage.worker("w1", slots=8, prefetch=prefetch)
        stage.settle(1.0)
        began = stage.now
        transactions.append(transactions_for(stage, worker, tasks))
        seconds.append(stage.now - began)
    assert seconds[0] < 1.5 * tasks / 8 * LEAST, "eight tasks each time, and no longer than need be"
    assert transactions[1] < transactions[0] / 3
