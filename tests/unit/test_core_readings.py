"""What a master may conclude from a reading, and what it reads at all (mwapp/core/mirror.py)."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from mwapp.core.held import Held
from mwapp.core.known_tasks import KnownTasks, Waiting
from mwapp.core.limits import Limits
from mwapp.core.messages import Children, Create, EventType, Failed, Node, Set
from mwapp.core.mirror import Mirror
from mwapp.core.protocol import NOBODY, Assignment
from mwapp.core.session import REFUSED
from mwapp.core.states import ImpossibleTransitionError
from tests.unit.core_stage import Stage
from tests.unit.test_core_mirror import ASSIGNED, REGISTERED, TASK, Server, mirror_of


class Clock(Server):
    """A server, and the timers of who asks it."""

    def __init__(self, **nodes: bytes) -> None:
        super().__init__(**nodes)
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.versions: dict[str, int] = {}

    def after(self, delay: float, call: Callable[[], None]) -> None:
        self.timers.append((delay, call))

    def _node(self, path: str) -> Node | Failed:
        node = super()._node(path)
        if isinstance(node, Failed):
            return node
        return Node(node.data, replace(node.stat, version=self.versions.get(path, 0)))


def with_a_task() -> Clock:
    """A worker that has one."""
    server = Clock(workers__w1=b"", assign__w1=REGISTERED)
    server.nodes |= {f"/assign/w1/{TASK}": ASSIGNED, f"/tasks/{TASK}": b"date"}
    return server


def orphaned(mirror: Mirror) -> bool:
    return mirror.held["w1"][TASK].orphaned(mirror.workers.get("w1"))


# ------------------------------------------------------------ workers that go


def test_what_a_worker_had_is_nobodys_only_if_it_is_still_there_after_it_left() -> None:
    """It may have handed it back before."""
    server = with_a_task()
    mirror = mirror_of(server)
    server.answer_all()
    del server.nodes["/workers/w1"]
    server.watches["/workers"]()
    server.answer("/workers")
    server.answer("")  # there is no worker to read
    assert not mirror.workers
    assert not orphaned(mirror)
    server.answer_all()
    assert orphaned(mirror)


def test_what_an_earlier_incarnation_had_is_nobodys_only_if_it_is_still_there() -> None:
    server = with_a_task()
    mirror = mirror_of(server)
    server.answer_all()
    assert not orphaned(mirror)
    server.versions["/assign/w1"] = 1
    server.watches["/workers"]()
    server.answer("/workers")
    server.answer("/assign/w1")
    assert mirror.workers["w1"].incarnation == 1
    assert not orphaned(mirror)
    server.answer_all()
    assert orphaned(mirror)


def test_what_a_person_assigned_to_a_worker_by_hand_stays_there_before_that_is_adopted() -> None:
    stage = Stage()
    worker, person = stage.worker("w2"), stage.person()
    person.create("/workers/w1", "w1:2224", e=True)
    person.create(f"/tasks/{TASK}", "date")
    person.create("/assign/w1")
    person.create(f"/assign/w1/{TASK}")
    stage.forbids = lambda op: isinstance(op, Create | Set) and op.path == "/assign/w1"
    stage.master("m1")
    stage.settle(5)
    assert (stage.holders(TASK), worker.started) == (["w1"], [])


def test_a_new_worker_has_no_queue_read_but_its_own() -> None:
    stage = Stage()
    master = stage.master("m1")
    for name in ("w1", "w2"):
        stage.worker(name)
    before = len(master.sent)
    stage.worker("w3")
    queues = [sent.path for sent in master.sent[before:] if isinstance(sent, Children)]
    assert "/assign/w3" in queues
    assert not {"/assign/w1", "/assign/w2"} & set(queues)


def test_a_worker_that_is_none_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    stage.master("m1")
    stage.person().create("/workers/w1", "by hand")
    for _ in range(3):
        stage.worker("w2").die()
    assert caplog.text.count("/workers/w1 was created by hand") == 1


def test_what_is_reported_by_hand_on_an_assignment_of_nobody_is_done() -> None:
    stage = Stage()
    stage.master("m1")
    person = stage.person()
    person.create(f"/tasks/{TASK}", "date")
    person.create("/assign/ghost")
    person.create(f"/assign/ghost/{TASK}")
    person.create(f"/tasks/{TASK}/status", "done")
    assert stage.children("/assign/ghost") == []


def test_a_task_whose_final_state_was_deleted_goes_on_from_a_queue_that_a_person_put_it_into() -> None:
    """From the second, because the first is cleared before the master knows."""
    stage = Stage()
    master, worker, person = stage.master("m1"), stage.worker("w1"), stage.person()
    person.create(f"/tasks/{TASK}", "date")
    worker.finish(TASK)
    person.create("/assign/ghost")
    master.freeze()
    for name in ("status", "result"):
        person.delete(f"/tasks/{TASK}/{name}", settle=False)
    person.create(f"/returned/{TASK}", '{"attempt": 3}', settle=False)
    person.create(f"/assign/ghost/{TASK}", '{"attempt": 5}', settle=False)
    master.thaw()
    assert [run.environment["MWAPP_ATTEMPT"] for run in worker.started] == ["1", "6"]


# ------------------------------------------------------------ cancel requests


def test_a_cancel_request_that_was_granted_is_not_taken_for_pointless_later() -> None:
    server = Clock(**{f"cancel__{TASK}": b""})
    mirror = mirror_of(server)
    while server.waiting[0][0] != f"/tasks/{TASK}":
        server.answer(server.waiting[0][0])
    mirror.granted(TASK)
    server.answer(f"/tasks/{TASK}")
    assert not mirror.pointless


# ------------------------------------------------------------ the list of tasks


def test_a_short_list_is_read_again_at_once() -> None:
    server = Clock(tasks__a=b"date", tasks__b=b"date")
    mirror_of(server)
    server.answer_all()
    server.watches["/tasks"]()
    assert [path for path, _ in server.waiting] == ["/tasks"]
    assert not server.timers


def test_a_long_list_is_not_read_at_every_change() -> None:
    server = Clock(tasks__a=b"date", tasks__b=b"date")
    server.limits = Limits(short_list=1)
    mirror_of(server)
    server.answer_all()
    server.watches["/tasks"]()
    assert not server.waiting
    ((delay, look),) = server.timers
    assert 0 < delay < 0.001
    look()
    assert [path for path, _ in server.waiting] == ["/tasks"]


def followed(**nodes: bytes) -> tuple["Clock", Mirror]:
    """Tasks are read, and each that comes and goes is told by name."""
    server = Clock(**nodes)
    mirror = mirror_of(server)
    server.answer_all()
    server.followed["/tasks"][1](None)
    return server, mirror


def test_a_task_that_is_told_by_name_is_read_without_the_list() -> None:
    server, mirror = followed(tasks__a=b"date")
    told, _ = server.followed["/tasks"]
    server.nodes["/tasks/b"] = b"date"
    told("/tasks/b", EventType.CREATED)
    assert [path for path, _ in server.waiting] == ["/tasks/b"]
    server.answer_all()
    assert list(mirror.tasks.queued) == ["a", "b"]


def test_what_is_below_a_task_or_set_is_no_news() -> None:
    server, mirror = followed(tasks__a=b"date")
    told, _ = server.followed["/tasks"]
    for path, event in [
        ("/tasks", EventType.CHANGED),
        ("/tasks", EventType.CREATED),
        ("/tasks/a", EventType.CHANGED),
        ("/tasks/c", EventType.CHANGED),
        ("/tasks/a/status", EventType.CREATED),
        ("/tasks/a/status", EventType.DELETED),
    ]:
        told(path, event)
    assert not server.waiting
    assert mirror.tasks.names == {"a"}


def test_a_task_that_is_told_to_be_deleted_is_forgotten() -> None:
    server, mirror = followed(tasks__a=b"date", tasks__b=b"date")
    told, _ = server.followed["/tasks"]
    told("/tasks/a", EventType.DELETED)
    assert mirror.tasks.names == {"b"}
    assert list(mirror.tasks.queued) == ["b"]
    server.nodes["/tasks/a"] = b"date"
    told("/tasks/a", EventType.CREATED)  # another of that name, after those that wait
    server.answer_all()
    assert list(mirror.tasks.queued) == ["b", "a"]


def test_another_task_of_a_name_is_told_and_not_that_the_first_was_deleted() -> None:
    """The master was not allowed to read the first."""
    server, mirror = followed(tasks__a=b"date", tasks__a__status=b"done")
    assert list(mirror.tasks.finished) == ["a"]
    del server.nodes["/tasks/a/status"]
    server.followed["/tasks"][0]("/tasks/a", EventType.CREATED)
    server.answer_all()
    assert list(mirror.tasks.queued) == ["a"]


def test_a_list_that_cannot_be_followed_is_read_at_once() -> None:
    server = Clock(tasks__a=b"date")
    mirror_of(server)
    server.answer_all()
    server.followed["/tasks"][1](REFUSED)
    server.watches["/tasks"]()
    assert [path for path, _ in server.waiting] == ["/tasks"]


@pytest.mark.parametrize("told_that_it_went", [True, False])
@pytest.mark.parametrize("gone_when_read", [True, False])
def test_what_is_made_anew_while_a_page_with_it_is_read_is_read_again(
    gone_when_read: bool, told_that_it_went: bool
) -> None:
    server = Clock(tasks__a=b"date", tasks__b=b"date")
    mirror = mirror_of(server)
    while server.waiting[0][0] != "/tasks/a":
        server.answer(server.waiting[0][0])
    told, _ = server.followed["/tasks"]
    _, page = server.waiting.popleft()
    if gone_when_read:
        del server.nodes["/tasks/a"]
    else:
        server.nodes["/tasks/a"] = b"the first"
    if told_that_it_went:
        told("/tasks/a", EventType.DELETED)
    told("/tasks/a", EventType.CREATED)
    page()
    server.nodes["/tasks/a"] = b'{"command": "date", "labels": ["second"]}'
    server.answer_all()
    assert set(mirror.tasks.queued) == {"a", "b"}
    assert mirror.tasks.queued["a"].waiting.labels == {"second"}


def test_what_is_deleted_while_a_page_with_it_is_read_does_not_wait() -> None:
    server = Clock(tasks__a=b"date", tasks__b=b"date")
    mirror = mirror_of(server)
    while server.waiting[0][0] != "/tasks/a":
        server.answer(server.waiting[0][0])
    _, page = server.waiting.popleft()
    page()  # it was still there
    server.followed["/tasks"][0]("/tasks/a", EventType.DELETED)
    server.answer_all()
    assert set(mirror.tasks.queued) == {"b"}


def test_what_thousands_of_deleted_tasks_mean_for_others_is_looked_at_once() -> None:
    looks: list[None] = []
    server = Clock(**{f"tasks__{number}": b"date" for number in range(50)})
    mirror_of(server, changed=lambda: looks.append(None))
    server.answer_all()
    looks.clear()
    server.timers.clear()
    for number in range(50):
        server.followed["/tasks"][0](f"/tasks/{number}", EventType.DELETED)
    assert looks == []
    ((delay, look),) = server.timers
    assert 0 < delay <= 0.1
    look()
    assert len(looks) == 1
    server.timers.clear()
    server.followed["/tasks"][0]("/tasks/0", EventType.DELETED)
    assert len(server.timers) == 1


def test_the_request_to_cancel_a_task_that_is_told_to_be_deleted_is_pointless() -> None:
    server, mirror = followed(tasks__a=b"date", cancel__a=b"")
    server.followed["/tasks"][0]("/tasks/a", EventType.DELETED)
    assert mirror.pointless == {"a"}
    server.nodes["/tasks/a"] = b"date"
    server.followed["/tasks"][0]("/tasks/a", EventType.CREATED)
    assert not mirror.pointless


def test_the_request_for_a_task_that_is_told_to_be_deleted_is_pointless() -> None:
    server, mirror = followed(tasks__a=b"date", tasks__a__status=b"done", requests__a=b"remove")
    assert "a" in mirror.requests
    server.followed["/tasks"][0]("/tasks/a", EventType.DELETED)
    assert list(mirror.requests.pointless) == ["a"]


def test_what_is_told_before_the_list_is_left_to_the_list() -> None:
    server = Clock(tasks__a=b"date")
    mirror = mirror_of(server)
    while "/tasks" not in server.followed:
        server.answer(server.waiting[0][0])
    told, _ = server.followed["/tasks"]
    told("/tasks/gone", EventType.CREATED)
    assert "/tasks/gone" not in [path for path, _ in server.waiting]
    server.answer_all()
    assert mirror.tasks.names == {"a"}


def test_a_list_whose_changes_are_told_by_name_is_read_seldom_but_is_read() -> None:
    server, _ = followed(tasks__a=b"date")
    server.watches["/tasks"]()
    assert not server.waiting
    ((delay, look),) = server.timers
    assert 0.1 < delay <= 1
    look()
    assert [path for path, _ in server.waiting] == ["/tasks"]


def test_a_task_that_the_master_may_not_read_is_found_by_the_list() -> None:
    """Servers tell nobody of a znode that he may not read."""
    stage = Stage()
    stage.master("m1")
    worker = stage.worker("w1", slots=2)
    person = stage.person()
    person.create("/tasks/task-", "date", s=True, settle=False)
    stage.settle(0.1)  # the list has just been read
    stage.ensemble.hides = lambda _: True
    task = person.create("/tasks/task-", "date", s=True, settle=False).rpartition("/")[2]
    stage.settle(0.1)
    assert task not in worker.running()
    stage.settle(1.0)
    assert task in worker.running()


def test_what_could_not_be_read_at_first_is_heard_of_when_it_changes() -> None:
    stage = Stage()
    person = stage.person()
    person.create("/workers")
    stage.denials.forbid("/workers", "r")
    stage.master("m1")
    task = person.create("/tasks/task-", "date", s=True).rpartition("/")[2]
    stage.denials.allow("/workers")
    stage.settle(2)
    assert stage.worker("w1").running() == [task]


def test_what_is_no_longer_listed_is_not_read() -> None:
    server = Clock(tasks__a=b"date", tasks__b=b"date")
    server.limits = Limits(page=1, newest=1)
    mirror = mirror_of(server)
    while server.waiting[0][0] != "/tasks/b":  # the newest first
        server.answer(server.waiting[0][0])
    assert list(mirror.tasks.unread) == ["b", "a"]
    del server.nodes["/tasks/a"]
    _, page = server.waiting.popleft()
    server.watches["/tasks"]()
    server.answer("/tasks")
    assert list(mirror.tasks.unread) == ["b"]
    page()
    assert not server.waiting


def test_a_page_that_was_asked_for_before_a_task_vanished_does_not_count() -> None:
    server = with_a_task()
    mirror = mirror_of(server)
    while server.waiting[0][0] != "/tasks":
        server.answer(server.waiting[0][0])
    server.nodes[f"/returned/{TASK}"] = Assignment(2, failures=1).encode()
    del server.nodes[f"/assign/w1/{TASK}"]
    server.watches["/assign/w1"]()
    server.answer("/tasks")
    server.watches["/returned"]()
    server.answer("/assign/w1")
    server.answer(f"/tasks/{TASK}")
    assert not mirror.tasks.queued
    server.answer_all()
    assert TASK in mirror.held[NOBODY]


# ------------------------------------------------------------ what has ended, and what is gone


def test_the_time_that_a_finished_task_is_kept_begins_once() -> None:
    known = KnownTasks()
    known.listed(["a"])
    known.finish("a", 1.0)
    known.finish("a", 5.0)
    assert known.finished["a"].seen == 1.0


def test_what_is_read_again_keeps_its_place_in_the_queue() -> None:
    known = KnownTasks()
    for task in ("a", "b", "a"):
        known.queue(task, Waiting(frozenset()), 0.0, 0.0)
    assert list(known.queued) == ["a", "b"]


def test_what_is_not_listed_any_more_does_not_wait() -> None:
    known = KnownTasks()
    known.listed(["a", "b", "c"])
    for task in ("a", "b"):
        known.queue(task, Waiting(frozenset()), 0.0, 0.0)
    known.queue("c", Waiting(frozenset(), begins=10.0), 0.0, 0.0)
    assert known.listed(["b"]) == set()
    assert (list(known.queued), list(known.delayed)) == (["b"], [])


def test_who_has_a_task_is_found_out_anew_by_the_next_reading() -> None:
    known = KnownTasks()
    known.listed(["a", "b"])
    known.hold("w1", "a", Held(Assignment(1)))
    known.hold("w1", "b", Held(Assignment(1)))
    known.finish("b", 1.0)
    known.begin_anew(set())
    assert (known.held, dict(known.holders("a")), dict(known.holders("b"))) == ({}, {}, {})
    assert known.listed(["a", "b"]) == {"a"}


def test_what_is_delayed_is_known_to_the_next_reading_and_begins_in_time() -> None:
    known = KnownTasks()
    known.listed(["a"])
    known.queue("a", Waiting(frozenset(), begins=10.0), 0.0, 0.0)
    known.begin_anew(set())
    assert known.listed(["a"]) == set()
    known.look(10.0, 0.0)
    assert list(known.queued) == ["a"]


def test_the_next_task_of_a_name_does_not_wait_for_the_time_of_the_one_before() -> None:
    known = KnownTasks()
    known.listed(["a"])
    known.queue("a", Waiting(frozenset(), begins=100.0), 0.0, 0.0)
    known.queue("a", Waiting(frozenset(), begins=10.0), 0.0, 0.0)
    known.look(10.0, 0.0)
    assert list(known.queued) == ["a"]


def test_what_somebody_has_is_not_queued() -> None:
    """It would be given to another, too: a defect, and the process must stop."""
    known = KnownTasks()
    known.hold("w1", "a", Held(Assignment(1)))
    with pytest.raises(ImpossibleTransitionError, match="from held to queued"):
        known.queue("a", Waiting(frozenset()), 0.0, 0.0)


def test_of_two_that_have_a_task_the_one_whose_queue_is_known_longer_comes_first() -> None:
    known = KnownTasks()
    for queue, task in (("w1", "a"), ("w2", "b"), ("w1", "b")):
        known.hold(queue, task, Held(Assignment(1)))
    assert list(known.holders("b")) == ["w1", "w2"]


def test_what_somebody_has_and_has_ended_is_held_until_the_last_queue_is_rid_of_it() -> None:
    known = KnownTasks()
    for queue in ("w1", "w2"):
        known.hold(queue, "a", Held(Assignment(1)))
    known.finish("a", 1.0)
    assert known.release("w1", "a")
    assert not known.release("w1", "a")
    known.reopen("a")
    known.take("a")
    assert list(known.holders("a")) == ["w2"]
    assert known.release("w2", "a")
    known.queue("a", Waiting(frozenset()), 0.0, 0.0)
    assert (list(known.queued), list(known.finished), dict(known.holders("a"))) == (["a"], [], {})


def test_what_cannot_be_removed_is_the_last_to_be_tried_again() -> None:
    known = KnownTasks()
    for task in ("a", "b"):
        known.finish(task, 1.0)
    known.put_off("a", 5.0)
    assert [(task, one.seen) for task, one in known.finished.items()] == [("b", 1.0), ("a", 5.0)]


def test_what_is_in_doubt_is_not_known_to_have_ended() -> None:
    known = KnownTasks()
    known.listed(["a", "b"])
    known.finish("a", 1.0)
    known.finish("b", 1.0)
    known.begin_anew({"a"})
    assert list(known.finished) == ["b"]


def test_what_was_removed_while_its_state_was_looked_up_is_not_known_any_more() -> None:
    server = with_a_task()
    mirror = mirror_of(server)
    server.answer_all()
    server.nodes[f"/tasks/{TASK}/status"] = b"done"
    del server.nodes[f"/assign/w1/{TASK}"]
    server.watches["/assign/w1"]()
    server.answer("/assign/w1")
    mirror.removed(TASK)
    server.answer(f"/tasks/{TASK}/status")
    assert not mirror.tasks.finished


def test_what_was_deleted_while_its_state_was_looked_up_is_not_assigned() -> None:
    server = Clock(**{f"tasks__{TASK}": b"date", f"tasks__{TASK}__note": b""})
    mirror = mirror_of(server)
    while server.waiting[0][0] != f"/tasks/{TASK}":
        server.answer(server.waiting[0][0])
    server.watches["/tasks"]()
    server.answer(f"/tasks/{TASK}")
    server.nodes.clear()
    server.answer_all()
    assert not mirror.tasks.names
    assert not mirror.tasks.queued
