"""The ensemble has lost what it had acknowledged: names, numbers and versions come again."""

import pytest

from mwapp.core.client import Submit
from mwapp.core.messages import Resumed, Tick
from mwapp.core.session import Process
from mwapp.core.task import Task
from tests.unit.core_stage import SESSION_SECONDS, Actor, Stage, creates

FIRST, SECOND = "task-0000000000", "task-0000000001"


def entries_since(stage: Stage, path: str) -> int:
    """How many there are in the log since that znode was created, that included."""
    log = stage.ensemble.log
    created = next(
        number for number, entry in enumerate(log) if any(change.path == path for change in entry.changes)
    )
    return len(log) - created


def test_what_is_still_there_goes_on() -> None:
    """An winner, a registration, an end, an assignment and a submission are lost at once."""
    stage = Stage()
    first, second = stage.master("m1"), stage.master("m2")
    one = stage.worker("w1", slots=2)
    client, part, names = submitter(stage)
    for key in ("done", "runs"):
        submit(stage, client, part, key)
    entries = len(stage.ensemble.log)
    one.finish(names[0])  # an end
    first.die()  # leadership
    assert second.election.state == "active"
    two = stage.worker("w2")  # a registration
    submit(stage, client, part, "lost")  # a submission, and an assignment
    assert stage.data(f"/tasks/{names[0]}/status") == "done"
    assert two.running() == [names[2]]

    stage.lose(len(stage.ensemble.log) - entries)
    assert stage.children("/tasks") == names[:2]
    for session in set(stage.ensemble.sessions) - {actor.session for actor in stage.actors}:
        stage.ensemble.end(session, stage.now)  # nobody's any more, in time
    stage.spread()
    two.connect()
    stage.settle(SESSION_SECONDS)
    assert (second.election.state, second.election.epoch) == ("active", 2), "the same once more"
    assert one.running() == names[:2], "what had ended runs again, what ran runs on"
    assert len(one.started) == 3
    assert two.worker.state == "ready"
    assert two.running() == []
    submit(stage, client, part, "next")
    assert names[3] == names[2], "a name comes again"
    for actor in (one, two):
        for task in actor.running():
            actor.finish(task)
    assert [stage.data(f"/tasks/{name}/status") for name in stage.children("/tasks")] == ["done"] * 3
    assert stage.children("/assign/w1") == stage.children("/assign/w2") == stage.children("/returned") == []


@pytest.mark.parametrize("over", [False, True], ids=["it runs", "it is over"])
def test_another_task_with_the_same_name_and_numbers_is_another(over: bool) -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    stage.person().create("/tasks/task-", "echo lost", s=True)
    assert worker.running() == [FIRST]
    if over:
        worker.cut()
        worker.finish(FIRST)
    stage.lose(entries_since(stage, f"/tasks/{FIRST}"), away=worker)
    stage.person().create("/tasks/task-", "echo another", s=True)
    assert stage.holders(FIRST) == ["w1"]
    worker.resume()
    assert stage.data(f"/tasks/{FIRST}/status") is None
    assert [run.task.command for run in worker.started] == ["echo lost", "echo another"]
    worker.finish(FIRST, code=3)
    assert stage.data(f"/tasks/{FIRST}/status") == "failed"


def test_what_ends_before_its_worker_has_looked_is_not_taken_for_another() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    stage.person().create("/tasks/task-", "echo lost", s=True)
    stage.lose(entries_since(stage, f"/tasks/{FIRST}"), away=worker)
    stage.person().create("/tasks/task-", "echo another", s=True)
    worker.connection += 1
    stage.ensemble.connect(worker.session or 0, 0, worker.seen)
    worker.event(Resumed())
    worker.finish(FIRST)
    assert stage.data(f"/tasks/{FIRST}/status") is None
    assert [run.task.command for run in worker.started] == ["echo lost", "echo another"]


def test_a_master_says_that_epochs_are_fewer(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    first = stage.master("m1")
    second = stage.master("m2")
    entries = len(stage.ensemble.log)
    first.die()
    assert second.election.epoch == 2
    stage.lose(len(stage.ensemble.log) - entries)
    assert (second.election.state, stage.data("/master")) == ("standby", "m1:2223"), "a session nobody has"
    stage.ensemble.end(stage.ensemble.decided.nodes["/master"].owner, stage.now)
    stage.spread()
    stage.settle()
    assert (second.election.epoch, stage.data("/master")) == (2, "m2:2223")
    assert "epochs fell from 2 to 1: the ensemble has lost acknowledged writes" in caplog.text


def test_a_worker_says_that_its_incarnation_comes_again(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1")
    stage.person().create("/tasks/task-", "date", s=True)
    entries = len(stage.ensemble.log)
    stage.person().delete("/workers/w1")
    assert worker.worker.status()["incarnation"] == 1
    stage.lose(len(stage.ensemble.log) - entries)
    stage.settle(3.0)
    assert worker.worker.status()["incarnation"] == 1
    assert "incarnation 1 follows 1: the ensemble has lost acknowledged writes" in caplog.text
    attempts = [run.environment["MWAPP_ATTEMPT"] for run in worker.started]
    assert attempts == ["1", "2", "2"], "what was begun and killed before the loss has its number no more"
    assert worker.running() == [FIRST]


def submitter(stage: Stage) -> tuple[Actor, Submit, list[str]]:
    """A client, what it submits with, and the names it hears of."""
    names: list[str] = []
    parts: list[Submit] = []

    def build(process: Process) -> None:
        parts.append(
            Submit(
                process,
                [],
                accepted=lambda _, name: names.append(name),
                refused=lambda *_: None,
                finished=lambda: None,
            )
        )

    return stage.client(build), parts[0], names


def submit(stage: Stage, client: Actor, part: Submit, key: str) -> None:
    """One more task."""
    part.add(Task("date", key=key))
    client.event(Tick())
    stage.settle()


def test_a_lost_reply_is_resolved_though_numbers_come_again() -> None:
    """What is newer than the last acknowledged has the lower number."""
    stage = Stage()
    client, part, names = submitter(stage)
    submit(stage, client, part, "one")
    submit(stage, client, part, "two")
    assert names == [FIRST, SECOND]
    stage.lose(entries_since(stage, f"/tasks/{FIRST}"))
    client.loses = creates("/tasks/task-")
    submit(stage, client, part, "three")
    client.resume()
    assert names == [FIRST, SECOND, FIRST]
    assert stage.children("/tasks") == [FIRST]


def test_a_lost_reply_is_resolved_though_somebody_has_made_the_tasks_anew() -> None:
    stage = Stage()
    client, part, names = submitter(stage)
    submit(stage, client, part, "one")
    submit(stage, client, part, "two")
    person = stage.person()
    person.delete_all("/tasks")
    person.create("/tasks")
    client.loses = creates("/tasks/task-")
    submit(stage, client, part, "three")
    client.resume()
    assert names == [FIRST, SECOND, FIRST]
    assert stage.children("/tasks") == [FIRST]
