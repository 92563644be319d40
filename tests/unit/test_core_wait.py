"""Scenes of a client that waits: of many tasks few are watched, yet none that ends is missed."""

from collections.abc import Callable

import pytest

from mwapp.core.messages import (
    Children,
    Connected,
    Create,
    Error,
    Event,
    Exists,
    Failed,
    Get,
    Reply,
    Request,
    Result,
    Tick,
    Transaction,
)
from mwapp.core.protocol import Outcome
from mwapp.core.session import Process
from mwapp.core.wait import Wait
from tests.unit.core_stage import Actor, Stage, when_carried_out

MANY = 1000
WATCHED, MORE_A_SECOND = 10, 200  # of those waited for


class Waiter:
    """A client that waits for ``tasks`` of the stage, and what it is told."""

    def __init__(self, stage: Stage, tasks: int, names: list[str] | None = None) -> None:
        self.stage, self.person = stage, stage.person()
        self.names = names or [self.create() for _ in range(tasks)]
        self.told: list[str] = []
        self.outcomes: dict[str, Outcome | None] = {}
        self.at_end: Callable[[], None] = lambda: None
        self.finished = 0
        self.client: Actor = stage.client(self._build)
        stage.settle(0.0)

    def create(self) -> str:
        """A task; its name."""
        return self.person.create("/tasks/task-", "date", s=True, settle=False).removeprefix("/tasks/")

    def _build(self, process: Process) -> None:
        self.wait = Wait(process, self.names, ended=self._ended, finished=self._finished)

    def _ended(self, name: str, state: str | None, outcome: Outcome | None) -> None:
        self.told.append(name if state == "done" else f"{name} {state}")
        self.outcomes[name] = outcome
        self.at_end()

    def _finished(self) -> None:
        self.finished += 1

    def end(self, *names: str) -> None:
        """These tasks end at once; no time passes until all that follows from it has happened."""
        for name in names:
            self.person.create(f"/tasks/{name}/status", "done", settle=False)
        self.stage.settle(0.0)

    @property
    def watched(self) -> int:
        """How many tasks are watched."""
        watches = self.stage.ensemble.servers[0].child_watches
        return sum(path.startswith("/tasks/") for path in watches)


@pytest.fixture
def waiter() -> Waiter:
    stage = Stage()
    stage.master("m1")
    stage.settle(1.0)
    return Waiter(stage, MANY)


def test_what_ends_in_order_is_told_at_once_at_the_price_of_few_requests(waiter: Waiter) -> None:
    assert waiter.watched <= WATCHED + 1
    asked = waiter.stage.carried_out
    for first in range(0, MANY, 40):
        waiter.end(*waiter.names[first : first + 40])
        assert sorted(waiter.told) == waiter.names[: first + 40]
    assert waiter.finished == 1
    # Status and result of each, and of some twice; the statuses that were created count as well.
    assert waiter.stage.carried_out - asked < MANY * 5.5
    assert waiter.watched == 0


def test_few_are_watched_each() -> None:
    stage = Stage()
    stage.master("m1")
    waiter = Waiter(stage, WATCHED)
    assert waiter.watched == WATCHED
    for name in reversed(waiter.names):
        waiter.end(name)
    assert waiter.told == waiter.names[::-1]
    assert waiter.finished == 1


def test_what_is_overtaken_is_watched(waiter: Waiter) -> None:
    overtaken = waiter.names[20:23]
    waiter.end(*(name for name in waiter.names[:60] if name not in overtaken))
    assert set(waiter.told) == set(waiter.names[:60]) - set(overtaken)
    for name in reversed(overtaken):
        waiter.end(name)
        assert waiter.told[-1] == name


def test_what_ends_out_of_turn_is_told_in_time(waiter: Waiter) -> None:
    last = waiter.names[-1]
    waiter.end(last)
    assert waiter.told == []
    waiter.stage.settle(2.5)  # nothing else ends: soon all are watched
    assert waiter.told == [last]
    assert waiter.watched >= MANY - 1
    waiter.end(waiter.names[500])
    assert waiter.told == [last, waiter.names[500]], "watched by now"


def test_while_others_end_more_are_watched_every_second(waiter: Waiter) -> None:
    waiter.end(waiter.names[-1])
    seconds = 0
    while waiter.names[-1] not in waiter.told:
        waiter.end(*waiter.names[10 * seconds : 10 * seconds + 10])
        waiter.stage.settle(1.0)
        seconds += 1
        assert waiter.watched <= WATCHED + 1 + MORE_A_SECOND * seconds
    assert seconds <= MANY / MORE_A_SECOND


def test_those_that_hang_at_the_head_hold_up_the_others_for_a_second_at_most(waiter: Waiter) -> None:
    hang = WATCHED + 10
    for first in range(hang, MANY, 37):
        waiter.end(*waiter.names[first : first + 37])
    waiter.stage.settle(1.0)
    assert sorted(waiter.told) == waiter.names[hang:]
    waiter.end(*waiter.names[:hang])
    assert (len(waiter.told), waiter.finished) == (MANY, 1)


def test_a_task_that_is_deleted_is_told_of(waiter: Waiter) -> None:
    waiter.person.delete(f"/tasks/{waiter.names[3]}")
    assert waiter.told == [f"{waiter.names[3]} None"]
    waiter.person.delete(f"/tasks/{waiter.names[600]}")
    waiter.stage.settle(3.0)
    assert waiter.told[1:] == [f"{waiter.names[600]} None"]


def test_what_ends_while_the_client_is_cut_off_is_told_afterwards(waiter: Waiter) -> None:
    waiter.client.cut()
    waiter.end(*waiter.names[:300], *waiter.names[400:500])
    assert waiter.told == []
    waiter.client.resume()
    assert sorted(waiter.told) == [*waiter.names[:300], *waiter.names[400:500]]


def test_after_a_cut_few_are_watched_as_before() -> None:
    stage = Stage()
    stage.master("m1")
    waiter = Waiter(stage, WATCHED)
    waiter.client.cut()
    waiter.client.resume()
    waiter.end(waiter.names[3])
    assert waiter.told == [waiter.names[3]]


def test_after_a_cut_what_ends_out_of_turn_is_told_in_time(waiter: Waiter) -> None:
    waiter.client.cut()
    waiter.client.resume()
    waiter.end(waiter.names[-1])
    waiter.stage.settle(2.5)
    assert waiter.told == [waiter.names[-1]]


@pytest.mark.parametrize(
    "lost", [Get("/tasks/task-0000000012/status"), Children("/tasks/task-0000000013", True)]
)
def test_a_cut_while_it_looks_or_begins_to_watch_leaves_nothing_undone(
    waiter: Waiter, lost: Get | Children
) -> None:
    overtaken = waiter.names[13]
    others = [name for name in waiter.names[:20] if name != overtaken]
    waiter.client.loses = lambda request: request.operation == lost
    waiter.end(*others)
    assert not waiter.client.process.usable
    waiter.client.resume()
    assert sorted(waiter.told) == others
    waiter.end(*waiter.names[20:80])
    assert sorted(waiter.told) == [*others, *waiter.names[20:80]], "at once"
    waiter.end(waiter.names[-1])
    waiter.stage.settle(2.5)
    assert waiter.told[-1] == waiter.names[-1]


def test_a_trickle_costs_few_reads(waiter: Waiter) -> None:
    waiter.end(*waiter.names[:20])
    before = waiter.stage.carried_out
    for name in waiter.names[20:40]:
        waiter.end(name)
    # For each: a status that is created, status and result read twice, of some others once, and a watch.
    assert waiter.stage.carried_out - before <= 20 * 16
    assert sorted(waiter.told) == waiter.names[:40]


def test_what_ended_before_is_told_at_once_wherever_it_is() -> None:
    stage = Stage()
    stage.master("m1")
    waiter = Waiter(stage, 0)
    names = [waiter.create() for _ in range(MANY)]
    waiter.end(*names[WATCHED + 4 : -1])
    later = Waiter(stage, 0, names)
    assert sorted(later.told) == names[WATCHED + 4 : -1]


def test_many_that_are_gone_are_told_at_once(waiter: Waiter) -> None:
    missing = [f"task-{number:010}" for number in range(5000, 6000)]
    other = Waiter(waiter.stage, 0, [*missing, waiter.names[0]])
    assert sorted(other.told) == [f"{name} None" for name in missing]
    waiter.end(waiter.names[0])
    assert other.finished == 1


def test_more_are_added_than_are_watched() -> None:
    stage = Stage()
    stage.master("m1")
    waiter = Waiter(stage, 1)
    for _ in range(3 * WATCHED):
        waiter.names.append(waiter.create())
        waiter.wait.add(waiter.names[-1])
    waiter.client.event(Tick())
    stage.settle(0.0)
    assert waiter.watched == WATCHED
    waiter.end(*waiter.names)
    assert sorted(waiter.told) == waiter.names


def test_what_is_added_while_the_others_are_looked_through_is_waited_for() -> None:
    stage = Stage()
    stage.master("m1")
    waiter = Waiter(stage, 1)

    def add() -> None:
        waiter.names.append(waiter.create())
        waiter.wait.add(waiter.names[-1])

    waiter.client.cut()
    when_carried_out(
        waiter.client, lambda asked: asked.operation == Get(f"/tasks/{waiter.names[0]}/status"), add
    )
    waiter.client.resume()
    assert len(waiter.names) == 2
    waiter.end(*reversed(waiter.names))
    assert sorted(waiter.told) == waiter.names


def test_what_is_added_after_others_have_ended_is_watched_in_their_place() -> None:
    stage = Stage()
    stage.master("m1")
    waiter = Waiter(stage, WATCHED)
    for name in list(waiter.names):
        waiter.end(name)
        later = waiter.create()
        waiter.wait.add(later)
        waiter.client.event(Tick())
        waiter.end(later)
        assert waiter.told[-2:] == [name, later]


def test_what_changes_again_while_its_end_is_read_is_told_once() -> None:
    waiter = waiting(0)
    name = waiter.create()
    waiter.wait.add(name)
    end(waiter, name, "done")  # before it is watched: its watch does not go off for that

    def note(request: Request) -> None:
        if request.operation == Get(f"/tasks/{name}/status"):
            waiter.client.meanwhile = None
            waiter.person.create(f"/tasks/{name}/note", "by hand", settle=False)

    waiter.client.meanwhile = note
    waiter.client.event(Tick())
    waiter.stage.settle(1.0)
    assert (waiter.told, waiter.finished) == ([name], 2), "once when it waited for nothing yet"


def test_who_is_told_may_stop(waiter: Waiter) -> None:
    many = WATCHED + 5  # as part of a page
    waiter.at_end = lambda: waiter.wait.stop() if len(waiter.told) == many else None
    waiter.end(*waiter.names[:300])
    assert len(waiter.told) == many


def test_what_was_written_beside_the_status_is_told_too(waiter: Waiter) -> None:
    outcome = Outcome(worker="w1", attempt=1, code=0, output="heard", seconds=0.1)
    waiter.person.create(f"/tasks/{waiter.names[0]}/result", outcome.encode().decode(), settle=False)
    waiter.end(*waiter.names[:2])
    assert waiter.outcomes == {waiter.names[0]: outcome, waiter.names[1]: None}


def rerun(waiter: Waiter, name: str, *, at: str, then: str | None = None) -> None:
    """As soon as the client has read that znode, the end is undone; ``then``: it ends anew like this."""

    def undo() -> None:
        for path in ("result", "status"):
            waiter.person.delete(f"/tasks/{name}/{path}", settle=False)
        if then is not None:
            end(waiter, name, then)

    left = [undo]
    waiter.client.meanwhile = lambda request: left.pop()() if left and request.operation == Get(at) else None


def waiting(tasks: int) -> Waiter:
    """Who waits for tasks that nobody runs."""
    stage = Stage()
    stage.master("m1")
    stage.settle(1.0)
    return Waiter(stage, tasks)


def outcome_of(state: str) -> Outcome:
    """That of a task that ended like this."""
    return Outcome(worker="w1", attempt=1, code=int(state == "failed"), output=state)


def end(waiter: Waiter, name: str, state: str) -> None:
    """It ends, with a result, in one transaction."""
    data = {"status": state.encode(), "result": outcome_of(state).encode()}
    ops = [Create(f"/tasks/{name}/{child}", its) for child, its in data.items()]
    waiter.stage.ensemble.transact(waiter.person.session, tuple(ops), waiter.stage.now)
    waiter.stage.spread()


@pytest.mark.parametrize("tasks", [1, MANY])
def test_what_runs_again_between_two_reads_has_not_ended(tasks: int) -> None:
    waiter = waiting(tasks)
    name, *others = waiter.names
    rerun(waiter, name, at=f"/tasks/{name}/status")
    end(waiter, name, "done")
    for other in others[:20]:
        end(waiter, other, "done")
    waiter.stage.settle(5.0)
    assert sorted(waiter.told) == others[:20]
    asked = waiter.stage.carried_out
    waiter.stage.settle(5.0)
    assert waiter.stage.carried_out - asked < 80, "of these are its signs of life"
    end(waiter, name, "failed")
    waiter.stage.settle(0.0)
    assert waiter.told[-1] == f"{name} failed"
    assert waiter.outcomes == {
        **{other: outcome_of("done") for other in others[:20]},
        name: outcome_of("failed"),
    }


@pytest.mark.parametrize("at", ["status", "result"])
def test_a_state_is_told_with_its_own_result_though_the_task_ends_again_meanwhile(at: str) -> None:
    waiter = waiting(1)
    (name,) = waiter.names
    rerun(waiter, name, at=f"/tasks/{name}/{at}", then="failed")
    end(waiter, name, "done")
    waiter.stage.settle(0.0)
    state = waiter.told[0].removeprefix(name).strip() or "done"
    assert waiter.outcomes == {name: outcome_of(state)}


def test_what_is_removed_between_two_reads_is_gone() -> None:
    waiter = waiting(1)
    (name,) = waiter.names
    rerun(waiter, name, at=f"/tasks/{name}/status")
    end(waiter, name, "done")
    waiter.stage.settle(0.0)
    assert waiter.told == []
    waiter.person.delete(f"/tasks/{name}")
    assert waiter.told == [f"{name} None"]


def test_a_status_that_the_ensemble_refuses_to_show_is_asked_for_again_now_and_then(
    waiter: Waiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(waiter.stage, f"/tasks/{waiter.names[-1]}/status", monkeypatch)
    waiter.end(*waiter.names)
    asked = waiter.stage.carried_out
    waiter.stage.settle(5.0)
    assert waiter.stage.carried_out - asked < 100
    assert waiter.finished == 0
    monkeypatch.undo()
    waiter.stage.settle(1.0)
    assert waiter.finished == 1


def test_a_watch_that_the_ensemble_refuses_is_asked_for_again_now_and_then(
    waiter: Waiter, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse(waiter.stage, f"/tasks/{waiter.names[0]}", monkeypatch)
    other = Waiter(waiter.stage, 0, waiter.names[:1])
    asked = waiter.stage.carried_out
    waiter.stage.settle(5.0)
    assert waiter.stage.carried_out - asked < 1200, "those that are watched meanwhile"
    monkeypatch.undo()
    waiter.stage.settle(1.0)
    waiter.end(waiter.names[0])
    assert other.told == waiter.names[:1]


def test_a_server_that_is_slow_to_answer_is_not_asked_for_more_watches() -> None:
    process, asked = Process(), []
    Wait(process, [f"task-{number:010}" for number in range(MANY)], ended=print, finished=lambda: None)
    events: list[Event] = [Connected(1, 1000.0)]
    for second in range(5):
        events.append(Tick())
        while events:
            for command in process.handle(100.0 + 1.1 * second, events.pop(0)):
                assert isinstance(command, Request)
                match command.operation:
                    case Children(path):
                        asked.append(path)  # no answer
                    case Transaction(ops):
                        events.append(Reply(command.number, (None,) * len(ops)))
                    case _:
                        events.append(Reply(command.number, Failed(Error.NO_NODE)))
    assert len(asked) == WATCHED


def refuse(stage: Stage, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ensemble lets nobody read it."""
    read = stage.ensemble.read

    def refusing(number: int, session: int, operation: Get | Exists | Children) -> Result:
        return Failed(Error.REFUSED) if operation.path == path else read(number, session, operation)

    monkeypatch.setattr(stage.ensemble, "read", refusing)
