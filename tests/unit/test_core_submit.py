"""Scenes of a client that submits: what has a name, what there is room for, what goes together."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from mwapp.core.client import Refusal, Submit
from mwapp.core.messages import Check, Closed, Create, Get, Request, Tick, Transaction
from mwapp.core.session import Process
from mwapp.core.task import Task
from tests.unit.core_stage import Actor, Stage, creates

TASK = "task-0000000000"


class Submitter:
    """A client that submits, and what it is told, by index."""

    def __init__(
        self,
        stage: Stage,
        tasks: Sequence[Task] = (),
        names: Mapping[int, str] | None = None,
        max_tasks: int | None = None,
        secrets: Mapping[int, bytes] | None = None,
    ) -> None:
        self.stage = stage
        self.secrets = secrets
        self.tasks, self.names, self.max_tasks = tasks, names, max_tasks
        self.accepted: dict[int, str] = {}
        self.refused: dict[int, str] = {}
        self.existed: dict[int, bool] = {}
        self.finished: list[int] = []  # how many were settled each time it was told so
        self.client: Actor = stage.client(self._build)

    def _build(self, process: Process) -> None:
        self.part = Submit(
            process,
            self.tasks,
            names=self.names,
            secrets=self.secrets,
            max_tasks=self.max_tasks,
            accepted=self._accept,
            refused=self._refuse,
            finished=lambda: self.finished.append(len(self.accepted) + len(self.refused)),
            existed=self._exists,
        )

    def _accept(self, index: int, name: str) -> None:
        assert index not in self.accepted.keys() | self.refused.keys(), "told twice"
        self.accepted[index] = name

    def _exists(self, index: int, *, earlier: bool) -> None:
        assert index not in self.accepted, "told too late"
        self.existed[index] = earlier

    def _refuse(self, index: int, refusal: Refusal) -> None:
        assert index not in self.accepted.keys() | self.refused.keys(), "told twice"
        self.refused[index] = refusal.reason

    def add(self, *tasks: Task, name: str | None = None) -> None:
        """Submit more, together, and let it happen."""
        for task in tasks:
            self.part.add(task, name)
        self.client.event(Tick())
        self.stage.settle()


def keyed(number: int, size: int = 1) -> list[Task]:
    return [Task("x" * size, key=str(at)) for at in range(number)]


# ---------------------------------------------------------------- after a lost reply


def test_a_name_whose_reply_was_lost_is_submitted_again_and_is_one_task() -> None:
    for arrives in (True, False):
        stage = Stage()
        submitter = Submitter(stage)
        stage.person().create("/tasks/task-", "by hand, without a key", s=True)
        if arrives:
            submitter.client.loses = creates("/tasks/mine")
        submitter.part.add(Task("date"), "mine")
        submitter.client.event(Tick())
        if not arrives:
            submitter.client.cut()
        stage.settle()
        assert submitter.accepted == {}
        submitter.client.resume()
        assert submitter.accepted == {0: "mine"}
        assert stage.children("/tasks") == ["mine", TASK]
        assert submitter.part.unacknowledged == 0


def test_who_submits_again_is_told_that_the_task_was_there() -> None:
    stage = Stage()
    for existed in ({}, {0: True}):
        submitter = Submitter(stage)
        submitter.add(Task("date"), name="mine")
        assert (submitter.accepted, submitter.existed) == ({0: "mine"}, existed)
    full = Submitter(stage, max_tasks=1)
    full.add(Task("date"), name="mine")
    assert full.existed == {0: True}


def test_who_has_lost_the_reply_is_not_told_that_it_was_submitted_earlier() -> None:
    """It may be this client's own."""
    stage = Stage()
    submitter = Submitter(stage)
    submitter.client.loses = creates("/tasks/mine")
    submitter.add(Task("date"), name="mine")
    submitter.client.resume()
    assert (submitter.accepted, submitter.existed) == ({0: "mine"}, {0: False})


def test_a_look_that_is_cut_off_does_not_make_it_less_certain() -> None:
    stage = Stage()
    Submitter(stage).add(Task("date"), name="mine")
    submitter = Submitter(stage)
    submitter.client.loses = lambda request: request.operation == Get("/tasks/mine")
    submitter.add(Task("date"), name="mine")
    submitter.client.resume()
    assert (submitter.accepted, submitter.existed) == ({0: "mine"}, {0: True})


def test_a_search_reads_only_what_is_newer_than_the_last_acknowledged() -> None:
    stage = Stage()
    person = stage.person()
    submitter = Submitter(stage)
    for _ in range(300):
        person.create("/tasks/task-", "date", s=True, settle=False)
    submitter.add(Task("date", key="acknowledged"))
    submitter.client.loses = creates("/tasks/task-")
    submitter.add(Task("date", key="lost"))
    before = stage.carried_out
    submitter.client.resume()
    assert submitter.accepted == {0: "task-0000000300", 1: "task-0000000301"}
    assert stage.carried_out - before < 20


def test_of_each_session_that_it_loses_a_client_hears_that_it_is_closed() -> None:
    stage = Stage()
    submitter = Submitter(stage)
    for number in range(3):
        submitter.client.loses = creates("/tasks/task-")
        submitter.add(Task("date", key=str(number)))
        submitter.client.loses = None
        submitter.client.expire()
        submitter.client.connect()
        assert number not in submitter.accepted, "what it sent may still be under way"
        submitter.client.event(Closed(submitter.client.sessions[-2]))
        stage.settle()
        assert submitter.accepted[number] == f"task-{number:010}"


def test_what_was_sent_before_a_cut_counts_against_the_room_of_after_it() -> None:
    stage = Stage()
    submitter = Submitter(stage, max_tasks=3)
    submitter.add(Task("date", key="one"))
    submitter.client.cut()
    for _ in range(5):
        stage.person().create("/tasks/task-", "date", s=True)
    submitter.client.resume()
    submitter.add(Task("date", key="two"))
    assert submitter.refused == {1: "there are 6 tasks, the limit is 3"}


def test_who_is_cut_off_while_it_looks_for_room_looks_again() -> None:
    stage = Stage()
    submitter = Submitter(stage)
    submitter.part.add(Task("date", key="one"))
    submitter.client.event(Tick())
    submitter.client.cut()
    submitter.client.resume()
    assert submitter.accepted == {0: TASK}
    submitter.add(Task("date", key="two"))
    assert submitter.accepted[1] == "task-0000000001"


# ---------------------------------------------------------------- room, and what goes together


def test_no_more_are_submitted_than_there_is_room_for() -> None:
    stage = Stage()
    submitter = Submitter(stage, keyed(10), max_tasks=4)
    assert list(submitter.accepted) == [0, 1, 2, 3]
    assert list(submitter.refused) == [4, 5, 6, 7, 8, 9]
    assert len(stage.children("/tasks")) == 4
    assert submitter.part.unacknowledged == 0


def test_a_client_with_no_room_asks_once() -> None:
    stage = Stage()
    for _ in range(4):
        stage.person().create("/tasks/task-", "date", s=True) if stage.children("/tasks") else None
    submitter = Submitter(stage, keyed(1), max_tasks=1)
    before = stage.carried_out
    submitter.add(Task("date", key="two"))
    assert submitter.refused == {1: "there are 1 tasks, the limit is 1"}
    assert stage.carried_out - before == 1


def test_a_client_hears_once_that_all_are_settled_after_the_last() -> None:
    stage = Stage()
    submitter = Submitter(stage, keyed(250), max_tasks=200)
    assert submitter.finished == [250]
    assert (len(submitter.accepted), len(submitter.refused)) == (200, 50)


def test_a_transaction_takes_no_more_than_zookeeper_does() -> None:
    stage = Stage()
    submitter = Submitter(stage, keyed(5, 200_000))
    assert len(submitter.accepted) == 5
    creates = [[op for op in entry.ops if isinstance(op, Create)] for entry in stage.ensemble.log]
    batches = [len(ops) for ops in creates if ops and ops[0].path == "/tasks/task-"]
    assert batches == [2, 2, 1], "half a megabyte at a time"


def test_a_task_under_a_name_is_the_same_whoever_submits_it() -> None:
    stage = Stage()
    stage.person()
    task = Task("make", timeout=60, labels=("b", "a"), environment={"A": "1"})
    Submitter(stage, [replace(task, key="eve#")], {0: "mine"})
    assert Submitter(stage, [replace(task, key="bob#")], {0: "mine"}).accepted == {0: "mine"}
    assert Submitter(stage, [task], {0: "mine"}).accepted == {0: "mine"}
    assert "eve#" in (stage.data("/tasks/mine") or "")
    for other in (replace(task, timeout=61.0), replace(task, command="make all")):
        assert Submitter(stage, [other], {0: "mine"}).refused == {0: "another task has the name mine"}


def test_a_name_that_a_person_gave_to_what_is_no_task_of_ours_is_refused() -> None:
    """As JSON it would be larger than a task may be, or it is nested as deeply as can be read."""
    for data in ("echo '" + '"' * 300_000, '{"handler":"h","argument":' + "[" * 991 + "]" * 991 + "}"):
        stage = Stage()
        Submitter(stage, [Task("ls")], {0: "first"})
        stage.person().create("/tasks/mine", data)
        submitter = Submitter(stage, [Task("date")], {0: "mine"})
        assert submitter.refused == {0: "another task has the name mine"}


def test_what_has_a_name_that_is_there_already_takes_nothing_else_with_it() -> None:
    for at in range(3):
        stage = Stage()
        stage.person()
        Submitter(stage, [Task("date")], {0: "mine"})
        tasks = keyed(3)
        tasks[at] = Task("date")
        submitter = Submitter(stage, tasks, {at: "mine"})
        assert submitter.refused == {}
        assert submitter.accepted[at] == "mine"
        assert len(stage.children("/tasks")) == 3
        assert submitter.finished == [3]


def test_a_name_that_is_there_with_something_else_to_do_is_refused() -> None:
    stage = Stage()
    Submitter(stage, [Task("date")], {0: "mine"})
    submitter = Submitter(stage, [Task("ls")], {0: "mine"})
    assert (submitter.accepted, submitter.refused) == ({}, {0: "another task has the name mine"})
    assert submitter.finished == [1]


def test_a_name_that_is_removed_while_it_is_looked_at_is_submitted() -> None:
    stage = Stage()
    Submitter(stage, [Task("date")], {0: "mine"})
    person = stage.person()
    submitter = Submitter(stage)

    def removes(request: Request) -> None:
        if creates("/tasks/mine")(request) and stage.data("/tasks/mine"):
            submitter.client.meanwhile = None
            person.delete("/tasks/mine", settle=False)

    submitter.client.meanwhile = removes
    submitter.add(Task("date"), name="mine")
    assert submitter.accepted == {0: "mine"}
    assert stage.children("/tasks") == ["mine"]


def test_of_many_that_go_together_one_that_the_ensemble_refuses_is_refused_alone() -> None:
    stage = Stage()
    submitter = Submitter(stage)
    stage.forbids = lambda op: b"forbidden" in getattr(op, "data", b"")
    submitter.add(*(Task("forbidden" if at == 2 else f"echo {at}", key=str(at)) for at in range(5)))
    assert submitter.refused == {2: "the ensemble refused the task: refused"}
    assert [stage.data(f"/tasks/{submitter.accepted[at]}") for at in (0, 1, 3, 4)] == [
        f'{{"command":"echo {at}","key":"{at}"}}' for at in (0, 1, 3, 4)
    ]
    assert list(submitter.accepted.values()) == sorted(submitter.accepted.values()), "in their order"
    assert submitter.part.unacknowledged == 0


def test_what_was_refused_for_tasks_were_gone_comes_in_its_order() -> None:
    stage = Stage()
    submitter = Submitter(stage)
    submitter.add(Task("date", key="first"))
    person = stage.person()
    person.delete_all("/tasks")
    submitter.add(*keyed(3))
    submitter.add(Task("date", key="later"))
    before = stage.carried_out
    stage.settle(5.0)
    assert stage.carried_out - before < 60
    assert submitter.refused == {}
    assert [submitter.accepted[at] for at in (1, 2, 3, 4)] == [f"task-{at:010}" for at in range(4)]
    assert submitter.part.unacknowledged == 0


@pytest.mark.parametrize("keys", [("a", "a"), ("a", None), (None, "")])
def test_without_a_key_of_its_own_nothing_is_submitted(keys: tuple[str | None, ...]) -> None:
    with pytest.raises(ValueError, match="a key of its own"):
        Submitter(Stage(), [Task("date", key=key) for key in keys])


def test_what_is_added_while_tasks_are_gone_waits_for_them() -> None:
    stage = Stage()
    submitter = Submitter(stage)
    submitter.add(Task("date", key="first"))
    stage.person().delete_all("/tasks")
    submitter.add(Task("date", key="second"))
    before = stage.carried_out
    for task in keyed(50):
        submitter.part.add(task)
        submitter.client.event(Tick())
        stage.settle(0.0)
    assert stage.carried_out - before < 10
    stage.settle(1.0)
    assert len(submitter.accepted) == 52


def test_a_search_that_finds_no_tasks_begins_anew() -> None:
    stage = Stage()
    submitter = Submitter(stage)
    person = stage.person()
    submitter.client.loses = creates("/tasks/task-")
    submitter.add(Task("date", key="lost"))

    def deletes(request: Request) -> None:
        if request.operation == Transaction((Check("/tasks"),)):
            submitter.client.meanwhile = None
            person.delete_all("/tasks")

    submitter.client.meanwhile = deletes
    submitter.client.resume()
    stage.settle(2.0)
    assert submitter.accepted == {0: TASK}
