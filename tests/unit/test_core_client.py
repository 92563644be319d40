"""Scenes of the client: replies are lost, servers lag, sessions end; nothing is lost or doubled."""

import pytest

from mwapp.core.client import UNDER_WAY, Submit
from mwapp.core.messages import Closed, Get, Request, Tick, Transaction
from mwapp.core.session import HEARTBEATS, Process
from mwapp.core.task import Task
from mwapp.core.wait import Wait
from tests.unit.core_stage import SESSION_SECONDS, SOON, Actor, Stage, creates

TASK = "task-0000000000"


def submission(stage: Stage) -> tuple[Actor, Submit, list[str]]:
    """A client that submits what is added; and the names of what was accepted, or why it was not."""
    names: list[str] = []
    parts: list[Submit] = []

    def build(process: Process) -> None:
        part = Submit(
            process,
            [],
            accepted=lambda _, name: names.append(name),
            refused=lambda _, refusal: names.append(refusal.reason),
            finished=lambda: None,
        )
        parts.append(part)

    return stage.client(build), parts[0], names


def test_what_is_added_while_others_are_looked_for_does_not_hide_them() -> None:
    """The part begins again on the same connection, as after it found no /tasks, and one is under way."""
    stage = Stage()
    client, part, names = submission(stage)

    def begins_again(request: Request) -> None:
        if isinstance(request.operation, Transaction) and request.operation.ops[0].path == "/tasks/task-":
            client.meanwhile = None
            part.connected()
            part.add(Task("date", key="second"))

    client.meanwhile = begins_again
    part.add(Task("date", key="first"))
    client.event(Tick())
    stage.settle(5.0)
    assert client.meanwhile is None
    assert names == stage.children("/tasks") == [TASK, "task-0000000001"]


def test_submission_whose_reply_was_lost_is_not_doubled() -> None:
    stage = Stage()
    client, part, names = submission(stage)
    client.loses = creates("/tasks/task-")
    part.add(Task("date", key="one"))
    client.event(Tick())
    stage.settle()
    assert (names, stage.children("/tasks")) == ([], [TASK])
    client.resume()
    assert (names, stage.children("/tasks")) == ([TASK], [TASK])


def test_submission_that_never_arrived_is_sent_again() -> None:
    stage = Stage()
    client, part, names = submission(stage)
    part.add(Task("date", key="one"))
    client.event(Tick())
    client.cut()
    stage.settle()
    assert stage.children("/tasks") == []
    client.resume()
    assert (names, stage.children("/tasks")) == ([TASK], [TASK])


@pytest.mark.parametrize("cut_at", [1, 99, 100, 101, 150, 200, 249, 250])
def test_a_search_for_lost_submissions_that_is_cut_off_finds_the_same(cut_at: int) -> None:
    """The second cut comes between two pages of it, or within one."""
    stage = Stage()
    client, part, names = submission(stage)
    part.add(Task("date", key="acknowledged"))
    client.event(Tick())
    stage.settle()
    client.mute = True
    for number in range(250):
        part.add(Task("date", key=str(number)))
    client.event(Tick())
    stage.settle()
    tasks = stage.children("/tasks")
    assert (len(names), len(tasks)) == (1, 251)
    client.cut()
    client.resume_and_lose(Get, cut_at)
    client.resume()
    assert stage.children("/tasks") == tasks
    assert sorted(names) == tasks


def test_a_search_goes_on_where_it_was_cut_off() -> None:
    """However often that happens, it comes to an end: 250 reads, 120 at a time."""
    stage = Stage()
    client, part, names = submission(stage)
    part.add(Task("date", key="acknowledged"))
    client.event(Tick())
    stage.settle()
    client.loses = creates("/tasks/task-")
    part.add(Task("date", key="one"))
    client.event(Tick())
    stage.settle()
    person = stage.person()
    for number in range(250):
        person.create("/tasks/task-", f"echo {number}", s=True, settle=False)
    for _ in range(3):
        client.resume_and_lose(Get, 120)
    assert names == [TASK, "task-0000000001"]


def test_a_task_that_cannot_be_read_may_be_the_one_that_is_looked_for() -> None:
    """The ensemble refuses to say: that is no reason to submit it again."""
    stage = Stage()
    client, part, names = submission(stage)
    part.add(Task("date", key="one"))
    client.loses = creates("/tasks/task-")
    client.event(Tick())
    stage.settle()
    stage.refused.add(f"/tasks/{TASK}")
    client.resume()
    stage.settle(3)
    assert (names, stage.children("/tasks")) == ([], [TASK])
    stage.refused.clear()
    stage.settle(3)
    assert (names, stage.children("/tasks")) == ([TASK], [TASK])


def under_way(
    stage: Stage, task: Task, server: int = 0, *, closed: bool = False, loses: bool = False
) -> tuple[Actor, list[str]]:
    """A client in its second session, and the names it hears of; the task was sent in its first. It has heard
    that this one is closed; it hears no answer in the second."""
    client, part, names = submission(stage)
    part.add(Task("date", key="before"))  # so that it knows that there is room
    client.event(Tick())
    stage.settle()
    part.add(task)
    client.event(Tick())
    client.expire()
    if closed:
        client.event(Closed(client.sessions[0]))
    client.mute = loses
    return client.connect(server), names


def test_nothing_is_submitted_anew_while_a_request_of_the_old_session_may_be_carried_out() -> None:
    """Seed 5941: it was on its way to a server that was cut off from the leader for a while."""
    stage = Stage()
    task = Task("date", key="one")
    _, names = under_way(stage, task)
    stage.settle(UNDER_WAY * SESSION_SECONDS - 1)
    assert (names, stage.children("/tasks")) == ([TASK], [TASK])
    stage.person().create("/tasks/task-", task.encode().decode(), s=True)
    stage.settle(3)
    assert names == stage.children("/tasks") == [TASK, "task-0000000001"]


def test_what_was_carried_out_in_the_old_session_is_found_at_a_server_that_lags() -> None:
    """However lately: no proof of life has been asked for since, which would have brought it up to date."""
    stage = Stage()
    task = Task("date", key="one")
    _, names = under_way(stage, task, server=1)
    left = UNDER_WAY * SESSION_SECONDS - SOON
    last_beat = UNDER_WAY * HEARTBEATS // 1 * SESSION_SECONDS / HEARTBEATS - SOON
    assert last_beat + 0.1 < left
    stage.settle(last_beat + 0.1)
    stage.lagging = True
    stage.person().create("/tasks/task-", task.encode().decode(), s=True, settle=False)
    stage.settle(1.0)
    assert names == stage.children("/tasks") == [TASK, "task-0000000001"]


def test_what_was_not_carried_out_in_the_old_session_is_submitted_anew() -> None:
    stage = Stage()
    _, names = under_way(stage, Task("date", key="one"))
    stage.settle(UNDER_WAY * SESSION_SECONDS + 1)
    assert names == stage.children("/tasks") == [TASK, "task-0000000001"]


def test_what_was_not_carried_out_is_submitted_anew_as_soon_as_the_old_session_is_closed() -> None:
    stage = Stage()
    client, names = under_way(stage, Task("date", key="one"))
    stage.settle(1.0)
    assert names == [TASK]
    client.event(Closed(client.session or 0))
    stage.settle()
    assert names == [TASK], "that is another"
    client.event(Closed(client.sessions[0]))
    stage.settle()
    assert names == stage.children("/tasks") == [TASK, "task-0000000001"]
    stage.settle(UNDER_WAY * SESSION_SECONDS + 1)
    assert names == stage.children("/tasks") == [TASK, "task-0000000001"], "and not once more"


def test_what_was_carried_out_just_before_the_old_session_was_closed_is_found_at_a_server_that_lags() -> None:
    stage = Stage()
    task = Task("date", key="one")
    client, names = under_way(stage, task, server=1)
    stage.settle(1.0)
    stage.lagging = True
    stage.person().create("/tasks/task-", task.encode().decode(), s=True, settle=False)
    client.event(Closed(client.sessions[0]))
    stage.settle()
    assert names == stage.children("/tasks") == [TASK, "task-0000000001"]


def test_that_the_old_session_is_closed_may_be_heard_before_there_is_another_one_and_counts_in_all() -> None:
    stage = Stage()
    client, names = under_way(stage, Task("date", key="one"), closed=True, loses=True)
    assert names == [TASK]
    client.expire()
    client.mute = False
    client.connect()
    assert names == stage.children("/tasks") == [TASK, "task-0000000001"]


def test_without_a_connection_nothing_is_asked_though_the_old_session_is_closed() -> None:
    stage = Stage()
    client, names = under_way(stage, Task("date", key="one"))
    client.cut()
    client.event(Closed(client.sessions[0]))
    stage.settle()
    assert names == [TASK]
    client.resume()
    assert names == stage.children("/tasks") == [TASK, "task-0000000001"]


def test_a_session_in_which_nothing_was_sent_is_not_waited_for() -> None:
    """The wait does not begin anew with each session that is lost during it."""
    stage = Stage()
    client, names = under_way(stage, Task("date", key="one"))
    stage.settle(UNDER_WAY * SESSION_SECONDS - 1)
    client.expire()
    client.connect()
    assert names == [TASK]
    stage.settle(1 + SOON)
    assert names == stage.children("/tasks") == [TASK, "task-0000000001"]


def test_wait_on_a_server_that_lags_behind_the_submission() -> None:
    stage = Stage()
    stage.master("m1")
    stage.lagging = True
    name = stage.person().create("/tasks/task-", "date", s=True).removeprefix("/tasks/")
    ends: dict[str, str | None] = {}

    def build(process: Process) -> None:
        Wait(
            process,
            [name, "task-0000000009"],
            ended=lambda task, state, _: ends.__setitem__(task, state),
            finished=lambda: None,
        )

    stage.client(build, server=1)
    assert ends == {"task-0000000009": None}
    stage.lagging = False
    stage.person().delete(f"/tasks/{name}")
    assert ends == {"task-0000000009": None, name: None}


def test_wait_for_one_more() -> None:
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1", slots=3)
    ends: list[str] = []
    waits: list[Wait] = []

    def build(process: Process) -> None:
        waits.append(Wait(process, [], ended=lambda task, *_: ends.append(task), finished=lambda: None))

    client = stage.client(build)
    names = [stage.person().create("/tasks/task-", "date", s=True).removeprefix("/tasks/") for _ in range(3)]
    waits[0].add(names[0])
    client.event(Tick())
    worker.finish(names[0])
    assert ends == names[:1]
    client.cut()
    waits[0].add(names[1])
    client.resume()
    waits[0].add(names[2])
    client.event(Tick())
    worker.finish(names[2])
    worker.finish(names[1])
    assert ends == [names[0], names[2], names[1]]


def test_many_submissions_go_in_few_transactions() -> None:
    stage = Stage()
    client, part, names = submission(stage)
    before = stage.carried_out
    indexes = [part.add(Task(f"echo {number}", key=str(number))) for number in range(1000)]
    indexes.append(part.add(Task("date"), name="mine"))
    client.event(Tick())
    stage.settle()
    assert names == [f"task-{number:010}" for number in range(1000)] + ["mine"]
    assert [stage.data(f"/tasks/{name}") for name in names[:2]] == [
        '{"command":"echo 0","key":"0"}',
        '{"command":"echo 1","key":"1"}',
    ]
    assert indexes == list(range(1001))
    assert stage.carried_out - before < 20


def test_of_submissions_in_one_transaction_each_is_refused_by_itself() -> None:
    stage = Stage()
    client, part, names = submission(stage)
    part.add(Task("date", key="first"))
    client.event(Tick())
    stage.settle()
    stage.denials.forbid("/tasks", "c")
    for number in range(3):
        part.add(Task("date", key=str(number)))
    client.event(Tick())
    stage.settle()
    assert names == [TASK, *["the ensemble refused the task: refused"] * 3]
    assert part.unacknowledged == 0
