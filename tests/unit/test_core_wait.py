"""Scenes of a client that waits: of many tasks few are watched, yet none that ends is missed."""

import pytest

from mwapp.core.session import Process
from mwapp.core.wait import FEW, MORE, Wait
from tests.unit.core_stage import Actor, Stage

MANY = 1000


class Waiter:
    """A client that waits for ``tasks`` of the stage, and what it is told."""

    def __init__(self, stage: Stage, tasks: int) -> None:
        self.stage, self.person = stage, stage.person()
        self.names = [self._create() for _ in range(tasks)]
        self.told: list[str] = []
        self.finished = 0
        self.before = stage.carried_out
        self.client: Actor = stage.client(self._build)
        stage.settle(0.0)

    def _create(self) -> str:
        return self.person.create("/tasks/task-", "date", s=True, settle=False).removeprefix("/tasks/")

    def _build(self, process: Process) -> None:
        self.wait = Wait(process, self.names, ended=self._ended, finished=self._finished)

    def _ended(self, name: str, state: str | None, _: object) -> None:
        self.told.append(name if state == "done" else f"{name} {state}")

    def _finished(self) -> None:
        self.finished += 1

    def end(self, *names: str, settle: bool = True) -> None:
        """These tasks end at once."""
        for name in names:
            self.person.create(f"/tasks/{name}/status", "done", settle=False)
        if settle:
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
    assert waiter.watched <= FEW + 1
    before = waiter.stage.now
    asked = waiter.stage.carried_out
    for first in range(0, MANY, 40):
        waiter.end(*waiter.names[first : first + 40])
        assert sorted(waiter.told) == waiter.names[: first + 40]
    assert waiter.stage.now == before, "nothing of this waits for the clock"
    assert waiter.finished == 1
    # Status and result of each, and of some twice; the statuses that were created count as well.
    assert waiter.stage.carried_out - asked < MANY * 5.5
    assert waiter.watched == 0


def test_few_are_watched_each() -> None:
    stage = Stage()
    stage.master("m1")
    waiter = Waiter(stage, FEW)
    assert waiter.watched == FEW
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
        assert waiter.watched <= FEW + 1 + MORE * seconds
    assert seconds <= MANY / MORE


def test_one_that_hangs_at_the_head_holds_up_nobody(waiter: Waiter) -> None:
    before = waiter.stage.now
    for first in range(1, MANY, 37):
        waiter.end(*waiter.names[first : first + 37])
    waiter.stage.settle(1.0)
    assert sorted(waiter.told) == waiter.names[1:]
    assert waiter.stage.now <= before + 1.0
    waiter.end(waiter.names[0])
    assert (waiter.told[-1], waiter.finished) == (waiter.names[0], 1)


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
    assert sorted(waiter.told) == waiter.names[:300]
    waiter.stage.settle(3.0)
    assert sorted(waiter.told) == [*waiter.names[:300], *waiter.names[400:500]]


def test_a_trickle_costs_few_reads(waiter: Waiter) -> None:
    waiter.end(*waiter.names[:20])
    before = waiter.stage.carried_out
    for name in waiter.names[20:40]:
        waiter.end(name)
    # For each: a status that is created, status and result read twice, of some others once, and a watch.
    assert waiter.stage.carried_out - before <= 20 * 16
    assert sorted(waiter.told) == waiter.names[:40]
