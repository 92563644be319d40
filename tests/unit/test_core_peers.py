"""Scenes of equal peers: one of them leads, the others work."""

from mwapp.core.messages import Get, Request
from tests.unit.core_stage import Stage, creates, peer

TASK = "task-0000000000"


def test_a_peer_that_is_stopped_hands_leadership_on_while_it_finishes_its_task() -> None:
    stage = Stage()
    first, second, third = (peer(stage, name) for name in ("a", "b", "c"))
    stage.person().create("/tasks/task-", "sleep 20", s=True)
    busy = second if second.running() else third
    first.die()
    if busy.election.state != "active":  # the other peer was faster
        other = next(it for it in (second, third) if it is not busy)
        other.die()
        peer(stage, "b" if other is second else "c")
    assert (busy.election.state, busy.running()) == ("active", [TASK])
    busy.stop()
    assert stage.data("/master") == f"{'c' if busy is second else 'b'}:2223"
    assert (busy.alive, busy.running()) == (True, [TASK])
    busy.finish(TASK)
    assert stage.data(f"/tasks/{TASK}/status") == "done"
    assert not busy.alive


def test_a_peer_that_is_stopped_while_cut_off_hands_leadership_on_when_it_is_back() -> None:
    stage = Stage()
    first = peer(stage, "a")
    others = [peer(stage, name) for name in ("b", "c")]
    stage.person().create("/tasks/task-", "sleep 20", s=True)
    first.die()
    busy = next(it for it in others if it.running())
    if busy.election.state != "active":
        next(it for it in others if it is not busy).die()
        peer(stage, "d")
    assert (busy.election.state, busy.running()) == ("active", [TASK])
    busy.cut()
    busy.stop()
    busy.resume()
    assert (busy.alive, busy.running()) == (True, [TASK])
    assert stage.data("/master") != f"{'b' if busy is others[0] else 'c'}:2223"
    busy.finish(TASK)
    assert not busy.alive


def test_who_rests_and_has_to_register_anew_rests_from_the_beginning() -> None:
    """Cut off before it could mark its new znode, it would be given tasks."""
    stage = Stage()
    stage.master("m1")
    worker, person = stage.worker("w1"), stage.person()
    worker.worker.pause()
    stage.settle(1.0)  # its commands go out with the next event
    worker.loses = creates("/workers/w1")
    person.delete("/workers/w1")
    assert stage.data("/workers/w1") is not None
    task = person.create("/tasks/task-", "date", s=True).rpartition("/")[2]
    assert stage.holders(task) == []
    worker.resume()
    assert stage.holders(task) == []
    worker.worker.resume()
    stage.settle(1.0)
    assert worker.running() == [task]


def test_who_registered_as_resting_and_hears_of_it_when_it_may_work_again_takes_tasks() -> None:
    """Seed 47418: another peer was elected while the reply was lost."""
    stage = Stage()
    stage.master("m1")
    worker, person = stage.worker("w1"), stage.person()
    worker.worker.pause()
    stage.settle(1.0)
    worker.loses = creates("/workers/w1")
    person.delete("/workers/w1")
    worker.worker.resume()
    worker.resume()
    task = person.create("/tasks/task-", "date", s=True).rpartition("/")[2]
    assert worker.running() == [task]


def test_who_won_unanswered_and_is_stopped_hands_leadership_on_whatever_its_server_shows() -> None:
    stage = Stage()
    first, second = peer(stage, "a"), peer(stage, "b")
    task = stage.person().create("/tasks/task-", "sleep 20", s=True).rpartition("/")[2]
    assert second.running() == [task]
    stage.lagging = True
    second.loses = creates("/master")
    first.die()
    assert stage.data("/master") == "b:2223"
    second.stop()
    second.resume(server=1)
    assert (second.alive, second.running()) == (True, [task])
    assert stage.data("/master") is None


def test_a_peer_that_is_stopped_while_cut_off_ends_when_its_session_is_over() -> None:
    stage = Stage()
    first = peer(stage, "a")
    assert first.election.state == "active"
    first.cut()
    first.stop()
    assert first.alive
    first.expire()
    assert not first.alive


def test_a_peer_that_has_lost_leadership_is_a_worker_again_and_no_master() -> None:
    stage = Stage()
    first, second = peer(stage, "a"), peer(stage, "b")
    first.freeze()
    stage.person().delete("/master")
    first.thaw()
    stage.settle(2)
    assert (first.election.state, second.election.state) == ("standby", "active")
    assert (first.master.status()["loaded"], second.master.status()["loaded"]) == (False, True)
    task = stage.person().create("/tasks/task-", "date", s=True).rpartition("/")[2]
    assert (first.running(), second.running()) == ([task], [])


def test_a_peer_that_is_stopped_leaves_leadership_to_who_has_it() -> None:
    stage = Stage()
    first, second = peer(stage, "a"), peer(stage, "b")
    stage.person().create("/tasks/task-", "sleep 20", s=True)
    second.stop()
    assert (first.election.state, second.running()) == ("active", [TASK])
    assert first.election.epoch == 1, "it has not been elected anew"
    assert [name.partition("-")[0] for name in stage.children("/candidates")] == ["a"]


def test_a_peer_that_is_stopped_leaves_leadership_to_who_has_won_it_meanwhile() -> None:
    stage = Stage()
    first, person = peer(stage, "a"), stage.person()

    def overtakes(request: Request) -> None:
        if request.operation == Get("/epoch"):
            first.meanwhile = None
            person.delete("/master", settle=False)
            person.create("/master", "by hand", e=True, settle=False)
            person.set("/epoch", "by hand", settle=False)

    first.meanwhile = overtakes
    first.stop()
    assert first.meanwhile is None
    assert stage.data("/master") == "by hand"


def test_a_peer_without_a_session_is_stopped_at_once() -> None:
    stage = Stage()
    first = peer(stage, "a")
    first.expire()
    first.stop()
    assert not first.alive
