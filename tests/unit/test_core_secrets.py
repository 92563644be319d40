"""Scenes of tasks with secret values: stored with the task, read by its worker alone, gone with the task."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from mwapp.core.client import EXPOSED
from mwapp.core.messages import Create, Get, Request, Tick, Transaction
from mwapp.core.retention import Retention
from mwapp.core.task import (
    MAX_SECRET_BYTES,
    BadTaskError,
    Task,
    decode_secrets,
    encode_secrets,
)
from tests.unit.core_stage import Actor, Stage, creates
from tests.unit.test_core_submit import Submitter
from tests.unit.test_core_worker import by_hand

ASKED = Task("deploy", secrets=("TOKEN",))
VALUES = encode_secrets({"TOKEN": "hush"})
PATH = "/tasks/t/secret"


def submitted(stage: Stage) -> Submitter:
    return Submitter(stage, [ASKED], {0: "t"}, secrets={0: VALUES})


def played() -> tuple[Stage, Actor]:
    stage = Stage()
    stage.master("m1")
    return stage, stage.worker("w1")


def reason(stage: Stage) -> str:
    assert stage.data("/tasks/t/status") == "failed"
    return str(json.loads(stage.data("/tasks/t/result") or "{}")["reason"])


def reads_values(request: Request) -> bool:
    return request.operation == Get(PATH)


# ---------------------------------------------------------------- submitting


def test_they_are_stored_with_the_task_and_not_in_it() -> None:
    stage = Stage()
    submitter = submitted(stage)
    assert submitter.accepted == {0: "t"}
    assert stage.data(PATH) == '{"TOKEN":"hush"}'
    assert stage.data("/tasks/t") == '{"command":"deploy","secrets":["TOKEN"]}'
    assert Transaction(
        (
            Create("/tasks/t", ASKED.encode(), extend=True),
            Create(PATH, VALUES),
        )
    ) in (submitter.client.sent)


def test_beside_others_they_go_with_their_own_task() -> None:
    stage = Stage()
    tasks = [Task("a", key="1"), ASKED, Task("b", key="2")]
    submitter = Submitter(stage, tasks, {1: "t"}, secrets={1: VALUES})
    assert submitter.accepted == {0: "task-0000000000", 1: "t", 2: "task-0000000002"}
    others = [op for sent in submitter.client.sent if isinstance(sent, Transaction) for op in sent.ops]
    assert [op.path for op in others if isinstance(op, Create) and op.extend] == ["/tasks/t"]


def test_a_lost_reply_leaves_one_task_with_its_values() -> None:
    for arrives in (True, False):
        stage = Stage()
        submitter = Submitter(stage)
        if arrives:
            submitter.client.loses = creates("/tasks/t")
        submitter.part.add(ASKED, "t", VALUES)
        submitter.client.event(Tick())
        if not arrives:
            submitter.client.cut()
        stage.settle()
        assert submitter.accepted == {}
        submitter.client.resume()
        assert submitter.accepted == {0: "t"}
        assert stage.data(PATH) == VALUES.decode()


def test_under_the_same_name_the_values_of_before_stay() -> None:
    stage = Stage()
    submitted(stage)
    again = Submitter(stage, [ASKED], {0: "t"}, secrets={0: encode_secrets({"TOKEN": "other"})})
    assert again.accepted == {0: "t"}
    assert stage.data(PATH) == VALUES.decode()
    assert Submitter(stage, [Task("deploy")], {0: "t"}).refused == {0: "another task has the name t"}


@pytest.mark.parametrize(
    ("forbidden", "why"), [(PATH, EXPOSED), ("/tasks/t", "the ensemble refused the task: refused")]
)
def test_a_refusal_says_what_is_refused_and_nothing_is_stored(forbidden: str, why: str) -> None:
    stage = Stage()
    stage.person()
    stage.forbids = lambda op: op.path == forbidden
    submitter = submitted(stage)
    assert submitter.refused == {0: why}
    assert submitter.finished == [1]
    assert stage.children("/tasks") == []


def test_a_task_without_secret_values_is_refused_in_other_words() -> None:
    stage = Stage()
    stage.forbids = lambda op: b"bad" in getattr(op, "data", b"")
    submitter = Submitter(stage, [Task("good", key="1"), Task("bad", key="2")])
    assert submitter.refused == {1: "the ensemble refused the task: refused"}


@pytest.mark.parametrize(
    ("tasks", "names", "secrets"),
    [
        ([ASKED], {0: "t"}, {}),
        ([Task("date")], {0: "t"}, {0: VALUES}),
        ([Task("date", key="k", secrets=("TOKEN",))], {}, {0: VALUES}),
    ],
)
def test_what_does_not_belong_together_is_not_submitted(
    tasks: list[Task], names: dict[int, str], secrets: dict[int, bytes]
) -> None:
    with pytest.raises(ValueError, match="secret values"):
        Submitter(Stage(), tasks, names, secrets=secrets)


# ---------------------------------------------------------------- running


def test_the_run_has_them_and_nobody_is_told_the_values() -> None:
    stage, worker = played()
    submitted(stage)
    (run,) = worker.started
    assert run.environment["TOKEN"] == "hush"  # noqa: S105 - made up
    assert run.environment["MWAPP_TASK"] == "t"
    assert run.task.secrets == ("TOKEN",)
    worker.finish("t")
    assert stage.data("/tasks/t/status") == "done"
    assert "hush" not in (stage.data("/tasks/t/result") or "")


def test_other_tasks_do_not_wait_for_them() -> None:
    stage, worker = played()
    stage.refused.add(PATH)
    other = stage.worker("w2")
    submitted(stage)
    stage.person().create("/tasks/other", "date")
    assert worker.running() + other.running() == ["other"]
    stage.refused.clear()
    stage.settle(3.0)
    assert sorted(worker.running() + other.running()) == ["other", "t"]


@pytest.mark.parametrize("loses", [True, False])
def test_values_that_were_not_read_before_a_cut_are_read_after_it(*, loses: bool) -> None:
    stage, worker = played()
    if loses:
        worker.loses = reads_values
    else:
        stage.refused.add(PATH)
    submitted(stage)
    if not loses:
        worker.cut()
        stage.refused.clear()
    assert worker.started == []
    worker.resume()
    assert worker.running() == ["t"]
    stage.settle(3.0)
    assert len(worker.started) == 1


def test_a_stopping_worker_hands_back_what_it_has_no_values_for() -> None:
    stage, worker = played()
    stage.refused.add(PATH)
    submitted(stage)
    assert stage.holders("t") == ["w1"]
    worker.stop()
    assert not worker.alive
    stage.refused.clear()
    another = stage.worker("w2")
    assert another.running() == ["t"]
    assert another.started[0].environment["MWAPP_ATTEMPT"] == "1"


def test_it_can_be_cancelled_before_they_are_read() -> None:
    stage, worker = played()
    stage.refused.add(PATH)
    submitted(stage)
    stage.person().create("/cancel/t")
    assert stage.data("/tasks/t/status") == "cancelled"
    stage.refused.clear()
    stage.settle(3.0)
    assert worker.started == []


def test_what_was_cancelled_before_it_was_assigned_is_cancelled_whatever_its_values_are() -> None:
    stage, worker, person, _ = by_hand()
    submitted(stage)
    person.delete(PATH)
    person.create("/cancel/t")
    person.create("/assign/w1/t")
    assert stage.data("/tasks/t/status") == "cancelled"
    assert worker.started == []
    assert (worker.worker.counters["cancelled"], worker.worker.counters["failed"]) == (1, 0)


def test_a_task_whose_values_may_not_be_read_fails_and_leaves_its_slot_to_the_next() -> None:
    stage, worker = played()
    stage.refused.add(PATH)
    Submitter(stage, [replace(ASKED, retries=3)], {0: "t"}, secrets={0: VALUES})
    stage.person().create("/tasks/next", "date")
    stage.settle(25)
    assert stage.data("/tasks/t/status") is None, "somebody may allow it meanwhile"
    assert worker.started == []
    stage.settle(10)
    assert reason(stage) == "this worker may not read its secret values: mwapp_acl, mwapp acl on"
    assert worker.running() == ["next"]


def replaced(stage: Stage) -> None:
    stage.person().delete(PATH)
    stage.person().create(PATH, VALUES.decode())


@pytest.mark.parametrize(
    ("meddle", "why"),
    [
        (lambda stage: stage.person().delete(PATH), "its secret values were deleted before it began"),
        (replaced, "its secret values were deleted before it began"),
        (lambda stage: stage.person().set(PATH, "x"), "its secret values are not those that it names"),
        (
            lambda stage: stage.person().set(PATH, '{"PATH":"x"}'),
            "its secret values are not those that it names",
        ),
    ],
)
def test_without_its_values_it_does_not_run(meddle: Callable[[Stage], None], why: str) -> None:
    stage = Stage()
    master = stage.master("m1")
    Submitter(stage, [replace(ASKED, retries=3)], {0: "t"}, secrets={0: VALUES})
    meddle(stage)
    worker = stage.worker("w1")
    stage.settle(1.0)
    assert worker.started == []
    assert reason(stage) == why
    assert master.master.counters["reassigned"] == 0, "its retries are for runs that fail"
    stage.person().create("/tasks/next", "date")
    assert worker.running() == ["next"]


# ---------------------------------------------------------------- after the end


def test_it_runs_again_with_them() -> None:
    stage, worker = played()
    submitted(stage)
    worker.finish("t")
    stage.person().create("/requests/t", "run")
    stage.settle(2.0)
    assert [run.environment["TOKEN"] for run in worker.started] == ["hush", "hush"]


def test_they_are_removed_with_the_task() -> None:
    stage = Stage()
    stage.master("m1", retention=Retention(5.0, keep=100, least=1.0))
    worker = stage.worker("w1", slots=3)
    names = ["t", "u", "v"]
    Submitter(
        stage,
        [ASKED, Task("date"), ASKED],
        dict(enumerate(names)),
        secrets={0: VALUES, 2: VALUES},
    )
    for name in names:
        worker.finish(name)
    assert stage.children("/tasks") == names
    stage.settle(10.0)
    assert stage.children("/tasks") == []


# ---------------------------------------------------------------- what they may be


def test_how_they_are_written() -> None:
    values = {"B": "2", "A": "ü\n"}
    assert encode_secrets(values) == '{"A":"ü\\n","B":"2"}'.encode()
    assert decode_secrets(encode_secrets(values), ("A", "B")) == values
    encode_secrets({"A": "x" * (MAX_SECRET_BYTES - len('{"A":""}'))})


@pytest.mark.parametrize(
    "values",
    [
        {"A": "hush\0"},
        {"A": "hush\ud800"},
        {"A": "hush" * MAX_SECRET_BYTES},
        {},
        {"A": 1},
        {"\ud800": "hush"},
        {None: "hush"},
        {None: "hush", "A": "hush"},
        {"is hush": "TOKEN"},
        {"MWAPP_TASK": "hush"},
    ],
)
def test_no_message_has_a_value(values: dict[str, str]) -> None:
    with pytest.raises(BadTaskError) as problem:
        encode_secrets(values)
    assert "hush" not in str(problem.value)


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"A":1}', b'{"B":"1"}', b'{"A":"1","B":"1"}', b"\xff"])
def test_what_is_not_the_values_of_this_task(data: bytes) -> None:
    with pytest.raises(BadTaskError):
        decode_secrets(data, ("A",))


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ('"secrets": "A"', "a list of names"),
        ('"secrets": [1]', "a list of names"),
        ('"secrets": ["A B"]', "'secrets': 'A B' cannot be set"),
        ('"secrets": ["MWAPP_TASK"]', "'MWAPP_TASK' cannot be set"),
        ('"secrets": ["A"], "environment": {"A": "1"}', "'secrets': A is in 'environment', too"),
    ],
)
def test_names_that_no_task_can_have(field: str, words: str) -> None:
    with pytest.raises(BadTaskError, match=words):
        Task.decode(f'{{"command": "date", {field}}}'.encode())


def test_each_name_counts_once_in_any_order() -> None:
    assert Task.decode(b'{"command": "date", "secrets": ["B", "A", "B"]}').secrets == ("A", "B")
