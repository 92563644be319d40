"""Scenes of cancel requests: none is lost, and none is for another task."""

from dataclasses import replace

from mwapp.core.client import CLIENT_RETRY_SECONDS, Cancel
from mwapp.core.limits import LIMITS, Limits
from mwapp.core.messages import Create, Transaction
from mwapp.core.session import HEARTBEATS, Process
from tests.unit.core_stage import SESSION_SECONDS, Actor, Stage


class Canceller:
    """A client that asks for the end of tasks, and what it is told."""

    def __init__(self, stage: Stage, *tasks: str, limits: Limits = LIMITS) -> None:
        self.tasks = tasks
        self.asked: list[tuple[str, bool]] = []
        self.finished = 0
        self.client: Actor = stage.client(self._build, limits=limits)

    def _build(self, process: Process) -> None:
        asked = lambda name, known: self.asked.append((name, known))  # noqa: E731 - read once
        Cancel(process, self.tasks, asked=asked, finished=self._done)

    def _done(self) -> None:
        self.finished += 1


def test_it_is_told_which_tasks_there_are() -> None:
    stage = Stage()
    stage.master("m1").die()
    stage.person().create("/tasks/mine", "date")
    for _ in range(2):  # asked for already
        canceller = Canceller(stage, "mine", "other")
        assert canceller.asked == [("mine", True), ("other", False)]
        assert canceller.finished == 1
        assert stage.children("/cancel") == ["mine"]


def test_to_cancel_nothing_is_done_at_once() -> None:
    assert Canceller(Stage()).finished == 1


def test_many_requests_take_few_transactions_and_few_are_under_way() -> None:
    stage = Stage()
    stage.master("m1").die()
    names = [f"t{number}" for number in range(3 * LIMITS.pipeline)]
    for name in names:
        stage.person().create(f"/tasks/{name}", "date", settle=False)
    stage.most_at_once = 0
    before = stage.carried_out
    canceller = Canceller(stage, *names)
    stage.settle(5)
    assert stage.carried_out - before < len(names) / 50 + 20
    assert canceller.asked == [(name, True) for name in names]
    assert len(stage.children("/cancel")) == len(names)
    assert stage.most_at_once <= 6
    assert canceller.finished == 1


def test_however_many_transactions_it_takes_four_are_under_way() -> None:
    stage = Stage()
    stage.master("m1").die()
    names = [f"t{number}" for number in range(20)]
    for name in names:
        stage.person().create(f"/tasks/{name}", "date", settle=False)
    stage.most_at_once = 0
    canceller = Canceller(stage, *names, limits=replace(LIMITS, batch=2))
    stage.settle(5)
    assert stage.most_at_once == 4
    assert canceller.asked == [(name, True) for name in names]


def test_servers_that_take_small_requests_only_are_asked_for_one_at_a_time() -> None:
    stage = Stage()
    stage.master("m1").die()
    names = [f"t{number}" for number in range(5)]
    for name in names:
        stage.person().create(f"/tasks/{name}", "date")
    stage.most = 200  # enough for one
    canceller = Canceller(stage, *names)
    stage.settle(2)
    assert canceller.asked == [(name, True) for name in names]
    assert canceller.finished == 1


def test_what_is_refused_is_asked_for_again_and_no_more_often_than_at_first() -> None:
    stage = Stage()
    stage.master("m1").die()
    for name in ("a", "b", "c"):
        stage.person().create(f"/tasks/{name}", "date")
    stage.forbids = lambda op: isinstance(op, Create) and op.path.startswith("/cancel/")
    canceller = Canceller(stage, "a", "b", "c")
    before = stage.carried_out
    stage.settle(10 * CLIENT_RETRY_SECONDS)
    # Each time a look whether /cancel is there, all together, and each alone.
    assert 5 * 9 <= stage.carried_out - before - 5.0 / SESSION_SECONDS * HEARTBEATS <= 5 * 11
    assert canceller.asked == []
    stage.forbids = lambda _: False
    stage.settle(1.0)
    assert sorted(canceller.asked) == [("a", True), ("b", True), ("c", True)]
    assert canceller.finished == 1


def test_requests_of_which_the_answers_are_lost_are_made_again() -> None:
    stage = Stage()
    stage.master("m1").die()
    names = ["a", "b", "c", "d", "e"]
    for name in names:
        stage.person().create(f"/tasks/{name}", "date")
    stage.forbids = lambda op: isinstance(op, Create) and op.path.startswith("/cancel/")
    canceller = Canceller(stage, *names, limits=replace(LIMITS, batch=1))
    stage.forbids = lambda _: False
    canceller.client.cut()
    canceller.client.resume_and_lose(Transaction, 2)  # the first is to know that all before it is over
    assert canceller.asked == []
    canceller.client.resume()
    assert sorted(canceller.asked) == [(name, True) for name in names]


def test_a_cancel_request_that_comes_before_its_task_is_known_is_kept() -> None:
    """Of many names the list is read now and then only: the request may be read before."""
    stage = Stage()
    stage.ensemble.follows = False
    stage.master("m1")
    person = stage.person()
    for _ in range(LIMITS.short_list + 1):
        person.create("/tasks/task-", "date", s=True, settle=False)
    stage.settle(1.0)
    before = person.create("/tasks/task-", "date", s=True, settle=False)
    stage.settle(0.0)  # the list has just been read
    name = person.create("/tasks/task-", "date", s=True, settle=False).removeprefix("/tasks/")
    person.create(f"/cancel/{name}", "", settle=False)
    stage.settle(LIMITS.listing * LIMITS.short_list / 2)
    assert stage.children("/cancel") == [name]
    stage.settle(1.0)
    assert stage.data(f"/tasks/{name}/status") == "cancelled"
    assert stage.data(f"{before}/status") is None
    assert stage.children("/cancel") == []
