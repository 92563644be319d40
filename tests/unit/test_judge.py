"""Scenes in which one rule of the simulation's judge decides: tests/simulation/judge.py."""

from dataclasses import replace

import pytest

from mwapp.core.again import IN_THE_WAY
from mwapp.core.client import TAKEN, Refusal, Submit
from mwapp.core.limits import LIMITS
from mwapp.core.messages import Create, Delete, Get, Operation, Transaction
from mwapp.core.protocol import REMOVE, RUN, TASKS, Outcome
from mwapp.core.submitters import TOO_MANY
from mwapp.core.task import Task
from mwapp.core.worker import MOST_REFUSALS
from tests.simulation.judge import Judge
from tests.simulation.past import rewind
from tests.simulation.world import Violation
from tests.unit.core_asker import Asker
from tests.unit.core_stage import Actor, Person, Stage, peer


def judged(stage: Stage, *persons: Person) -> Judge:
    """A judge of what is committed from now on."""
    judge = Judge(max_attempts=5, sees_executions=False)
    judge.ensemble = stage.ensemble
    judge.persons |= {person.session for person in persons}
    stage.ensemble.on_commit = judge.committed
    stage.denials.on_refusal = lambda _host, asked, at: judge.denied.note(asked, at, "", by_master=True)
    return judge


def ends(stage: Stage, actor: Actor, worker: str, outcome: Outcome) -> None:
    """A process records how t has ended at this worker, whatever it should say."""
    ops = (
        Delete(f"/assign/{worker}/t"),
        Create("/tasks/t/status", outcome.status.encode()),
        Create("/tasks/t/result", outcome.encode()),
    )
    stage.ensemble.request(actor.session or 0, Transaction(ops), stage.now)


# ------------------------------------------------------------ who ends a task


def leading_peer(stage: Stage) -> Actor:
    """It runs t, and was elected since."""
    first, second = peer(stage, "a"), peer(stage, "b")
    stage.person().create("/tasks/t", "date")
    first.die()
    assert (second.election.state, second.running()) == ("active", ["t"])
    return second


def test_a_peer_ends_its_own_task_as_the_master_if_it_is_not_its_workers_any_more() -> None:
    stage = Stage()
    person = stage.person()
    judged(stage, person)
    leading_peer(stage)
    person.delete("/workers/b", settle=False)
    person.create("/workers/b", "by hand")
    person.create("/cancel/t")
    assert '"worker"' not in (stage.data("/tasks/t/result") or "")
    assert stage.data("/tasks/t/status") == "cancelled"


def test_a_peer_that_leads_says_of_its_own_run_what_a_worker_says() -> None:
    stage = Stage()
    judged(stage)
    leading_peer(stage).finish("t")
    assert stage.data("/tasks/t/status") == "done"


@pytest.mark.parametrize("leads", [True, False])
def test_who_has_run_a_task_says_so(leads: bool) -> None:
    stage = Stage()
    judged(stage)
    runs = leading_peer(stage)
    if not leads:
        runs.freeze()
        stage.person().delete("/master", settle=False)
        assert peer(stage, "c").election.state == "active"
    with pytest.raises(Violation) as found:
        ends(stage, runs, "b", Outcome(code=1))
    assert found.value.invariant == "result-faithful"


# ------------------------------------------------------------ numbers that are taken


def refused_as_taken(stage: Stage, judge: Judge, count: int = 3) -> Task:
    """A task for which a client got no number, because a person has it."""
    tasks = [Task("date", key=f"client#{number}") for number in range(count)]
    refused: dict[int, Refusal] = {}
    stage.client(
        lambda process: Submit(
            process,
            tasks,
            accepted=lambda _index, _name: None,
            refused=refused.__setitem__,
            finished=lambda: None,
        ),
        limits=judge.limits,
    )
    assert {refusal.reason for refusal in refused.values()} == {TAKEN}
    return tasks[max(refused)]


@pytest.mark.parametrize("others", [0, 50])
def test_a_number_may_be_taken_by_hand_and_who_hears_of_it_hears_of_it_late(others: int) -> None:
    stage = Stage()
    person = stage.person()
    judge = judged(stage, person)
    judge.limits = replace(LIMITS, batch=1)
    stage.master("m1")
    person.create("/tasks/task-0000000002", "date")
    task = refused_as_taken(stage, judge)
    for number in range(others):
        stage.person().create(f"/tasks/named-{number}", "date", settle=False)
    judge.answers.without_number(task, taken=True)


@pytest.mark.parametrize(
    ("by_hand", "batch"),
    [
        (None, 10),  # nobody has taken any
        (1, 10),  # behind
        (5, 10),  # the next number is greater all the same
        (7, 1),  # not the next
        (8, 2),  # nor that of another of its batch
        (2147483646, 10),  # not soon
    ],
)
def test_no_number_is_taken_that_the_ensemble_does_not_give_next(by_hand: int | None, batch: int) -> None:
    stage = Stage()
    person = stage.person()
    judge = judged(stage, person)
    judge.limits = replace(LIMITS, batch=batch)
    stage.master("m1")
    for number in range(5):
        stage.person().create(f"/tasks/named-{number}", "date")
    if by_hand is not None:
        person.create(f"/tasks/task-{by_hand:010d}", "date")
    with pytest.raises(Violation) as found:
        judge.answers.without_number(Task("date", key="client#1"), taken=True)
    assert found.value.invariant == "acked-never-lost"


@pytest.mark.parametrize(("by_hand", "batch"), [(6, 1), (7, 2)])
def test_a_number_may_be_taken_that_the_ensemble_gives_next(by_hand: int, batch: int) -> None:
    stage = Stage()
    person = stage.person()
    judge = judged(stage, person)
    judge.limits = replace(LIMITS, batch=batch)
    stage.master("m1")
    for number in range(5):
        stage.person().create(f"/tasks/named-{number}", "date")
    person.create(f"/tasks/task-{by_hand:010d}", "date")
    judge.answers.without_number(refused_as_taken(stage, judge, count=1 + by_hand - 6), taken=True)


# ------------------------------------------------------------ what the ensemble loses


def loses(stage: Stage, judge: Judge, entries: int) -> None:
    """It keeps so many entries of its log."""
    log = stage.ensemble.log
    rewind(judge, log[:entries], log[entries:])
    stage.lose(len(log) - entries)


def test_a_request_to_cancel_counts_again_if_it_is_lost_that_the_task_has_outlived_it() -> None:
    stage = Stage()
    person = stage.person()
    judge = judged(stage, person)
    stage.master("m1")
    worker = stage.worker("w1")
    person.create("/tasks/t", "date")
    person.create("/cancel/t", settle=False)
    entries = len(stage.ensemble.log)
    stage.settle()
    assert Asker(stage, RUN, "t").told == {"t": None}
    assert (worker.running(), judge.to_cancel) == (["t"], set())
    loses(stage, judge, entries)
    assert stage.data("/tasks/t/status") == "cancelled"


@pytest.mark.parametrize("asked", [True, False])
def test_what_is_lost_of_a_task_excuses_that_it_is_cancelled_if_that_was_a_request_to_cancel_it(
    asked: bool,
) -> None:
    stage = Stage()
    person = stage.person()
    judge = judged(stage, person)
    stage.master("m1")
    worker = stage.worker("w1")
    person.create("/tasks/t", "date")
    assert worker.running() == ["t"]
    worker.freeze()
    entries = len(stage.ensemble.log)
    person.create("/cancel/t" if asked else "/tasks/t/note")
    loses(stage, judge, entries)
    outcome = Outcome(worker="w1", attempt=1, code=-9, reason="cancelled", cancelled=True)
    if asked:
        ends(stage, worker, "w1", outcome)
        rewind(judge, stage.ensemble.log, ())  # it is so for who judges all of it again, too
    else:
        with pytest.raises(Violation, match="nobody asked"):
            ends(stage, worker, "w1", outcome)


# ------------------------------------------------------------ what servers refuse


def has_ended(stage: Stage, *names: str) -> Judge:
    """Each of these tasks has run and is done."""
    judge = judged(stage)
    stage.master("m1")
    worker = stage.worker("w1")
    for name in names:
        stage.person().create(f"/tasks/{name}", "date")
        worker.finish(name)
    return judge


@pytest.mark.parametrize(("refused", "true"), [("t", True), ("u", False)])
def test_only_who_may_not_read_a_result_does_not_tell_it(refused: str, true: bool) -> None:
    stage = Stage()
    judge = has_ended(stage, "t", "u")
    stage.denials.forbid(f"/tasks/{refused}/result", "r")
    stage.denials.ask("", Get(f"/tasks/{refused}/result"), lambda _: None)
    if true:
        judge.answers.told("t", "done", None)
    else:
        with pytest.raises(Violation):
            judge.answers.told("t", "done", None)


def removal(task: str) -> Transaction:
    """As a master removes a task."""
    return Transaction(tuple(Delete(f"/tasks/{path}") for path in (f"{task}/status", f"{task}/result", task)))


@pytest.mark.parametrize(
    ("asked", "at", "true"),
    [
        (removal("t"), 2, True),
        (removal("t"), None, True),
        (Transaction((Delete("/tasks/u"), Delete("/tasks/t"))), None, True),
        (Get("/tasks/t"), None, True),
        (removal("t2"), 2, False),
        (Transaction((Delete("/assign/w1/t"), Delete("/tasks/t"))), 0, False),
        (Transaction((Create("/tasks/t"),)), 0, False),
        (Get("/tasks/t/status"), None, False),
    ],
)
def test_a_task_stays_only_if_it_may_not_be_removed_itself(
    asked: Operation, at: int | None, true: bool
) -> None:
    stage = Stage()
    judge = has_ended(stage, "t")
    judge.denied.note(asked, at, "", by_master=True)
    if true:
        judge.answers.told_of_ended("t", REMOVE, IN_THE_WAY, stage.now)
    else:
        with pytest.raises(Violation):
            judge.answers.told_of_ended("t", REMOVE, IN_THE_WAY, stage.now)


@pytest.mark.parametrize(("refusals", "true"), [(MOST_REFUSALS, True), (MOST_REFUSALS - 1, False)])
def test_a_worker_is_often_refused_secret_values_before_it_gives_up(refusals: int, true: bool) -> None:
    stage = Stage()
    judge = has_ended(stage)
    judge._sees_executions = True
    worker = stage.actors[-1]
    worker.freeze()
    stage.person().create("/tasks/t", Task("date", secrets=("TOKEN",)).encode().decode())
    for _ in range(refusals):
        judge.denied.note(Get("/tasks/t/secret"), None, "", by_master=False)
    outcome = Outcome(worker="w1", attempt=1, reason="this worker may not read its secret values")
    if true:
        ends(stage, worker, "w1", outcome)
    else:
        with pytest.raises(Violation):
            ends(stage, worker, "w1", outcome)


@pytest.mark.parametrize(
    ("path", "by_master", "true"),
    [
        ("/tasks/old/status", True, True),
        (TASKS, True, True),
        ("/tasks/old/status", False, False),
        ("/tasks/other/status", True, False),
        ("/workers/w1", True, False),
    ],
)
def test_a_master_refuses_too_many_only_if_it_may_not_see_that_others_of_that_submitter_have_ended(
    path: str, by_master: bool, true: bool
) -> None:
    stage = Stage()
    judge = judged(stage)
    judge.shares.most = 1
    master, worker = stage.master("m1"), stage.worker("w1")
    for name, key in (("old", "anna#1"), ("other", "bert#1")):
        stage.person().create(f"/tasks/{name}", Task("date", key=key).encode().decode())
        worker.finish(name)
    stage.settle(20.0)
    worker.die()
    stage.person().create("/tasks/t", Task("date", key="anna#2").encode().decode())
    judge.denied.note(Get(path), None, "", by_master=by_master)
    outcome = Outcome(reason=f"{TOO_MANY} of anna")
    ops = Create("/tasks/t/status", outcome.status.encode()), Create("/tasks/t/result", outcome.encode())
    if true:
        stage.ensemble.request(master.session or 0, Transaction(ops), stage.now)
    else:
        with pytest.raises(Violation):
            stage.ensemble.request(master.session or 0, Transaction(ops), stage.now)
