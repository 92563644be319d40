"""What `mwapp status` and its kin read: every state a task or worker can be in, however many there are."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import pytest

from mwapp.core.messages import Children, Create, Delete, Get, Op, Request, Set
from mwapp.core.protocol import Registration, Winner
from mwapp.core.session import Scope
from mwapp.status import overview, probes
from mwapp.status.health import TasksView, schedulable
from mwapp.status.overview import Look, MasterView, TaskView, WorkerView
from tests.unit.core_stage import Actor, Person, Stage

T = TypeVar("T")
NOTHING: Mapping[str, str] = {}


def seen(stage: Stage, read: Callable[[Scope, Callable[[T], None]], None]) -> T:
    """What is there now."""
    found: list[T] = []
    stage.client(lambda process: Look(process, lambda scope: read(scope, found.append)))
    (one,) = found
    return one


def tasks(stage: Stage, *names: str) -> list[tuple[str, str, str | None, int | None]]:
    views: list[TaskView] = seen(stage, lambda scope, then: overview.read_tasks(scope, names, then))
    return [(view.task, view.state, view.worker, view.attempt) for view in views]


def workers(stage: Stage) -> list[WorkerView]:
    return seen(stage, overview.read_workers)


def winner(stage: Stage) -> MasterView:
    return seen(stage, overview.read_master)


@pytest.fixture
def stage() -> Stage:
    """Tasks of every state: t1 done, t2 runs, t3 waits for a slot, t4 was returned, t5 waits, t6 failed."""
    stage = Stage()
    stage.master("m1")
    worker, person = stage.worker("w1"), stage.person()
    person.create("/tasks/t1", "one")
    worker.finish("t1")
    for name in ("t2", "t5"):
        person.create(f"/tasks/{name}", "date")
    person.create("/tasks/t3", '{"command":"three","labels":["gpu"]}')
    person.create("/tasks/t4", '{"command":"four","labels":["gpu"]}')
    person.create("/tasks/t6", "{}")
    person.create("/assign/w1/t3", '{"attempt":3}')
    person.create("/returned/t4", '{"attempt":2,"labels":["gpu"]}')
    return stage


def worker_of(stage: Stage) -> Actor:
    return next(actor for actor in stage.actors if actor.started)


ALL = ("t1", "t2", "t3", "t4", "t5", "t6")
STATES = ["done", "assigned", "assigned", "queued", "queued", "failed"]


@pytest.mark.parametrize("pipeline", [600, 24, 7, 1])
def test_tasks_are_shown_as_they_are_however_many_are_read_at_once(
    stage: Stage, pipeline: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "PIPELINE", pipeline)
    assert tasks(stage, *ALL, "none") == [
        ("t1", "done", "w1", 1),
        ("t2", "assigned", "w1", 1),
        ("t3", "assigned", "w1", 3),
        ("t4", "queued", None, 2),
        ("t5", "queued", None, None),
        ("t6", "failed", None, None),
    ]
    known = {"t1": "done"}
    states: dict[str, str] = seen(stage, partial(states_of_all, known=known))
    assert states == dict(zip(ALL, STATES, strict=True))
    assert seen(stage, overview.read_names) == list(ALL)


def states_of_all(
    scope: Scope, then: Callable[[dict[str, str]], None], known: Mapping[str, str] = NOTHING
) -> None:
    """As mwapp status reads them."""

    def listed(removals: overview.Removals, names: list[str]) -> None:
        overview.read_states(scope, names, known, removals, then)

    overview.read_removals(scope, lambda it: overview.read_names(scope, partial(listed, it)))


def seen_while(
    stage: Stage,
    read: Callable[[Scope, Callable[[T], None]], None],
    at: Get | Children,
    *ops: Op,
    by: Person | None = None,
) -> T:
    """What is there, if this is committed just after one of the reads (the first such), by this person."""
    session = (by or stage.person()).session
    found: list[T] = []
    left = [ops]

    def meanwhile(request: Request) -> None:
        if left and request.operation == at:
            stage.ensemble.transact(session, left.pop(), stage.now)
            stage.spread()

    looker = Actor(stage)
    Look(looker.process, lambda scope: read(scope, found.append))
    looker.meanwhile = meanwhile
    looker.connect()
    assert not left
    (one,) = found
    return one


END_OF_T1 = (Delete("/tasks/t1/status"), Delete("/tasks/t1/result"))
REMOVAL_OF_T1 = (*END_OF_T1, Delete("/tasks/t1"))
ANOTHER = (Create("/tasks/t1/status", b"failed"), Create("/tasks/t1/result", b'{"code":1}'))
READS = [Get(f"/tasks/t1{znode}") for znode in ("", "/status", "/result")]


@pytest.mark.parametrize("at", READS)
@pytest.mark.parametrize(
    ("ops", "states"),
    [
        (END_OF_T1, {("done", 0), ("queued", None)}),
        ((*END_OF_T1, *ANOTHER), {("done", 0), ("failed", 1)}),
        ((*END_OF_T1, Delete("/tasks/t1")), {("done", 0), None}),
        ((*END_OF_T1, Delete("/tasks/t1"), Create("/tasks/t1", b"two")), {("done", 0), ("queued", None)}),
    ],
)
def test_a_task_that_changes_between_two_reads_is_shown_as_it_was_or_is(
    stage: Stage, at: Get, ops: tuple[Op, ...], states: set[tuple[str, int | None] | None]
) -> None:
    """Whether it runs again, has ended anew, is removed, or another has its name."""
    read = lambda scope, then: overview.read_tasks(scope, ["t1"], then)  # noqa: E731 - read once
    views: list[TaskView] = seen_while(stage, read, at, *ops)
    shown: set[tuple[str, int | None] | None] = {
        (view.state, view.outcome.code if view.outcome else None) for view in views
    }
    assert (shown or {None}) < states
    assert all(view.state == "done" or view.command == "one" for view in views if "two" not in str(ops))
    assert all(
        view.state == ("queued" if view.command == "two" else "done") for view in views if "two" in str(ops)
    )


def test_who_names_a_task_twice_sees_it_twice(stage: Stage) -> None:
    assert tasks(stage, "t1", "t1") == [("t1", "done", "w1", 1)] * 2


def test_what_is_removed_while_states_are_read_is_not_counted_as_waiting(stage: Stage) -> None:
    states: dict[str, str] = seen_while(stage, states_of_all, Children("/cancel"), *REMOVAL_OF_T1)
    assert states == dict(zip(ALL[1:], STATES[1:], strict=True))


def test_nor_if_another_comes_at_the_same_time(stage: Stage) -> None:
    ops = (*REMOVAL_OF_T1, Create("/tasks/t7", b"date"))
    states: dict[str, str] = seen_while(stage, states_of_all, Children("/cancel"), *ops)
    assert states == dict(zip(ALL[1:], STATES[1:], strict=True))


def test_nor_if_somebody_deletes_all_tasks_and_others_come() -> None:
    stage = Stage()
    for path in ("/tasks", "/tasks/a", "/tasks/b"):
        stage.person().create(path, "date")
    ops = (Delete("/tasks/a"), Delete("/tasks/b"), Delete("/tasks"))
    others = (Create("/tasks", b""), Create("/tasks/c", b"date"), Create("/tasks/b", b"date"))
    states: dict[str, str] = seen_while(stage, states_of_all, Children("/cancel"), *ops, *others)
    assert states == {"b": "queued"}


@pytest.mark.parametrize("more", [(), (Create("/tasks/t7", b"date"),)])
def test_tasks_are_listed_once_as_long_as_none_is_removed(stage: Stage, more: tuple[Op, ...]) -> None:
    read = lambda scope, then: probes.read_tasks_view(scope, None, then)  # noqa: E731 - read once
    view: TasksView = seen_while(stage, read, Children("/cancel"), *more)
    assert (view.total, [task.task for task in view.waiting]) == (6, ["t4", "t5"])
    assert stage.actors[-1].sent.count(Children("/tasks")) == 1


def test_what_runs_again_while_all_is_read_is_not_shown_as_a_failure(stage: Stage) -> None:
    again = (Delete("/tasks/t6/status"), Delete("/tasks/t6/result"))
    read = lambda scope, then: probes.read_tasks_view(scope, None, then)  # noqa: E731 - read once
    before: TasksView = seen(stage, read)
    assert [task.task for task in before.failures] == ["t6"]
    view: TasksView = seen_while(stage, read, Get("/tasks/t6/status"), *again)
    assert [task.task for task in view.failures] == []


def test_a_worker_that_registers_between_two_reads_is_not_unregistered() -> None:
    stage = Stage()
    stage.master("m1").die()
    person = stage.person()
    person.create("/workers/w1", "w1:1", e=True)
    person.create("/assign/w1", Registration(person.session).encode().decode())
    again = (Delete("/workers/w1"), Create("/workers/w1", b"w1:2", ephemeral=True))
    other = stage.person()
    registers = Set("/assign/w1", Registration(other.session).encode())
    at = Get("/workers/w1")
    (view,) = seen_while(stage, overview.read_workers, at, *again, registers, by=other)
    assert (view.state, view.incarnation, view.address) == ("ready", 1, "w1:2")


def test_a_master_that_wins_between_two_reads_is_not_shown_with_the_address_of_another(stage: Stage) -> None:
    again = (Delete("/master"), Create("/master", b"m2:2223", ephemeral=True))
    other = stage.person()
    wins = Set("/epoch", Winner("m2", other.session).encode())
    view = seen_while(stage, overview.read_master, Get("/master"), *again, wins, by=other)
    assert (view.name, view.address, view.epoch) == ("m2", "m2:2223", 2)


def test_a_task_shows_what_it_is_and_what_it_asks_for(stage: Stage) -> None:
    worker_of(stage).kills = False  # it takes its time to end
    stage.actors[0].die()  # who takes back what comes too late
    for name in ("t1", "t2"):
        stage.person().create(f"/cancel/{name}")
    views: list[TaskView] = seen(stage, lambda scope, then: overview.read_tasks(scope, ALL, then))
    one, two, _, four, _, six = views
    assert (one.command, one.ended, one.outcome and one.outcome.code) == ("one", True, 0)
    assert (four.command, four.labels, four.ended) == ("four", ("gpu",), False)
    assert one.ended_at is not None
    assert one.ended_at > one.created
    assert four.ended_at is None
    assert [view.cancelling for view in (one, two, four)] == [False, True, False]
    assert six.command is None


def test_workers_and_the_queues_of_those_that_are_gone(stage: Stage) -> None:
    assert workers(stage) == [WorkerView("w1", "ready", "w1:2224", 0, 1, ("t2", "t3"))]
    person = stage.person()
    for _ in range(2):
        person.set("/assign/w1", stage.data("/assign/w1") or "")
        stage.settle(10)
    person.create("/workers/hand", "by hand")
    stage.worker("w2", slots=2, prefetch=1, labels=("gpu",)).worker.pause()
    stage.settle(1)
    by_name: dict[str, Any] = {view.worker: view for view in workers(stage)}
    assert by_name["w1"].incarnation == int((stage.ensemble.decided.nodes["/assign/w1"]).version)
    assert (by_name["w2"].state, by_name["w2"].slots, by_name["w2"].labels) == ("draining", 2, ("gpu",))
    assert (by_name["hand"].state, by_name["hand"].incarnation) == ("persistent", None)


def test_a_queue_of_a_worker_that_is_gone_is_shown_as_long_as_it_holds_something(stage: Stage) -> None:
    worker_of(stage).die()
    assert workers(stage) == [WorkerView("w1", "gone", None, None, None, ("t2", "t3"))]


def test_who_has_not_registered_is_shown_as_that_and_can_have_no_task() -> None:
    stage = Stage()
    stage.master("m1", adopts=False)
    person, other = stage.person(), stage.person()
    person.create("/workers/hand", "by hand", e=True)
    stage.worker("w1").die()
    other.create("/workers/w1", "w1:2224", e=True)
    views = workers(stage)
    assert [(view.worker, view.state) for view in views] == [("hand", "unregistered"), ("w1", "unregistered")]
    assert not schedulable((), views)


def test_who_has_left_and_holds_nothing_is_not_shown() -> None:
    stage = Stage()
    stage.master("m1")
    stage.worker("w1").die()
    assert workers(stage) == []


def test_a_peer_that_is_the_master_is_shown_as_paused() -> None:
    stage = Stage()
    stage.master("m1").die()
    peer, other = stage.person(), stage.person()
    peer.create("/master", "p1", e=True)
    for name, who in (("p1", peer), ("p2", other)):
        who.create(f"/workers/{name}", name, e=True)
        who.set(f"/workers/{name}", name)
    assert [view.state for view in workers(stage)] == ["paused", "draining"]


def test_who_is_the_master(stage: Stage) -> None:
    now = winner(stage)
    assert (now.address, now.epoch, now.name, now.persistent) == ("m1:2223", 1, "m1", False)
    stage.actors[0].die()
    vacant = winner(stage)
    assert (vacant.address, vacant.epoch, vacant.name, vacant.since) == (None, 1, None, None)
    stage.person().create("/master", "by hand")
    assert winner(stage).persistent


def test_who_stands_by(stage: Stage) -> None:
    assert winner(stage).standbys == []
    stage.master("m-2"), stage.master("m-2")
    standbys = winner(stage).standbys or ()
    assert [(it.name, it.address) for it in standbys] == [("m-2", "m-2:2223")] * 2
    assert all(100 <= it.since <= stage.now for it in standbys)
    stage.actors[0].die()  # m-2 wins; the other m-2 stands by
    assert [it.name for it in winner(stage).standbys or ()] == ["m-2"]


def test_masters_that_are_not_listed_are_not_known(stage: Stage) -> None:
    """Those of version 0.2.0, say; and what a person made is nobody."""
    person = stage.person()
    person.create("/candidates/by-hand", "x")
    assert winner(stage).standbys == []
    stage.actors[0].die()
    person.create("/master", "m:2223", e=True)
    assert winner(stage).standbys is None


def test_a_look_begins_anew_after_a_cut(stage: Stage) -> None:
    found: list[MasterView] = []
    looker = stage.client(
        lambda process: Look(process, lambda scope: overview.read_master(scope, found.append))
    )
    looker.cut()
    looker.resume()
    assert len(found) == 2
