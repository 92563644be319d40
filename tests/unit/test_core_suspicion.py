"""Scenes of suspicion: who is silent is deposed, who beats is not, and nobody too often."""

from dataclasses import replace

import pytest

from mwapp.core.election import MOST_AT_ONCE, Election
from mwapp.core.messages import Check, Create, Delete, Op, Request, Set, Transaction
from mwapp.core.protocol import EPOCH, MASTER, TASKS, Winner
from mwapp.core.suspicion import NEVER, PATIENCE, Patience
from tests.unit.core_stage import Actor, Stage
from tests.unit.test_core_election import Duty

# From the last beat to a deposition; and so long after it everybody knows.
SILENCE = PATIENCE.silence
SURELY = SILENCE + PATIENCE.beat


def candidate(stage: Stage, name: str, patience: Patience = PATIENCE) -> Actor:
    actor = Actor(stage)
    actor.election = Election(actor.process, name, f"{name}:2223", Duty(), patience)
    return actor.connect()


def state(actor: Actor) -> str:
    return actor.election.state


def winner(stage: Stage, path: str = EPOCH) -> Winner:
    known = Winner.decode(stage.ensemble.decided.nodes[path].data)
    assert known is not None
    return known


def beats(stage: Stage, session: int | None) -> int:
    log = stage.ensemble.log
    return sum(
        any("/candidates/" in change.path for change in it.changes) for it in log if it.session == session
    )


def deposes(request: Request) -> bool:
    ops = request.operation.ops if isinstance(request.operation, Transaction) else ()
    return Delete(MASTER) in ops


def test_who_is_silent_is_deposed_and_stands_by_when_it_goes_on() -> None:
    stage = Stage()
    first, second = candidate(stage, "m1"), candidate(stage, "m2")
    first.freeze()
    stage.settle(SURELY)
    assert (state(second), second.election.epoch) == ("active", 2)
    assert (
        second.election.status().items()
        >= {"deposed_of_late": 1, "depositions": {"made": 1, "refused": 0}}.items()
    )
    assert stage.ensemble.decided.nodes[MASTER].owner == second.session
    assert first.session in stage.ensemble.sessions, "its session lives on"
    beaten = beats(stage, first.session)
    first.thaw()
    stage.settle(SURELY)
    assert (state(first), first.election.epoch, state(second)) == ("standby", None, "active")
    assert beats(stage, first.session) == beaten
    assert stage.children("/candidates") == sorted(
        f"{n}-{a.session:x}" for n, a in (("m1", first), ("m2", second))
    )


def test_who_is_silent_for_less_is_not() -> None:
    stage = Stage()
    first, second = candidate(stage, "m1"), candidate(stage, "m2")
    for _ in range(5):
        first.freeze()
        stage.settle(SILENCE - PATIENCE.beat - 0.01)
        first.thaw()
    stage.settle(10 * SILENCE)
    assert (state(first), first.election.epoch, state(second)) == ("active", 1, "standby")
    assert not any(map(deposes, [Request(0, operation) for operation in second.sent]))


def test_a_beat_that_comes_first_keeps_the_master_however_late_the_standby_hears() -> None:
    stage = Stage()
    first, second = candidate(stage, "m1"), candidate(stage, "m2")
    second.slow()
    stage.settle(3 * SILENCE)
    assert any(map(deposes, [Request(0, operation) for operation in second.sent]))
    second.quick()
    stage.settle(3 * SILENCE)
    assert (state(first), first.election.epoch, state(second)) == ("active", 1, "standby")
    assert second.election.status()["depositions"] == {"made": 0, "refused": 1}


def test_a_standby_that_was_refused_deposes_later_who_is_silent_then() -> None:
    stage = Stage()
    first, second = candidate(stage, "m1"), candidate(stage, "m2")
    second.slow()
    stage.settle(3 * SILENCE)
    second.quick()
    first.freeze()
    stage.settle(SURELY)
    assert (state(second), second.election.epoch) == ("active", 2)


def test_a_standby_that_stood_still_believes_nothing_of_before() -> None:
    stage = Stage()
    first, second = candidate(stage, "m1"), candidate(stage, "m2")
    second.freeze()
    stage.settle(3 * SILENCE)
    second.thaw()
    stage.settle(3 * SILENCE)
    assert (first.election.epoch, state(second)) == (1, "standby")


def test_a_master_beats_though_it_hears_no_answer() -> None:
    stage = Stage()
    first, second = candidate(stage, "m1"), candidate(stage, "m2")
    first.mute = True
    stage.settle(3 * SILENCE)
    assert (first.election.epoch, state(second)) == (1, "standby")


@pytest.mark.parametrize("patience", [(NEVER, PATIENCE), (PATIENCE, NEVER)])
def test_who_is_of_another_mind_neither_deposes_nor_is_deposed(patience: tuple[Patience, Patience]) -> None:
    """Or of an earlier release, which does not beat."""
    stage = Stage()
    first = candidate(stage, "m1", patience[0])
    second = candidate(stage, "m2", patience[1])
    stage.settle(3 * SILENCE)
    first.freeze()
    stage.settle(5 * SILENCE)
    assert (state(second), stage.ensemble.decided.nodes[EPOCH].version) == ("standby", 1)


def test_a_person_who_plays_the_master_is_not_deposed() -> None:
    stage = Stage()
    person = stage.person()
    candidate(stage, "m1").die()
    person.create(MASTER, "by hand", e=True)
    second = candidate(stage, "m2")
    person.set(MASTER, "still there")
    stage.settle(5 * SILENCE)
    assert (state(second), stage.data(MASTER)) == ("standby", "still there")


def test_a_person_who_takes_the_place_of_a_master_is_not_deposed() -> None:
    stage = Stage()
    person = stage.person()
    actors = candidate(stage, "m1"), candidate(stage, "m2")
    person.delete(MASTER, settle=False)
    person.create(MASTER, "by hand", e=True)
    stage.settle(5 * SILENCE)
    assert ([*map(state, actors)], stage.data(MASTER)) == (["standby", "standby"], "by hand")


def test_whose_deposition_comes_too_late_because_the_session_has_ended_wins_once() -> None:
    stage = Stage()
    first, second = candidate(stage, "m1"), candidate(stage, "m2")
    duty = second.election._duty
    assert isinstance(duty, Duty)

    def ends(op: Op) -> bool:
        if op == Delete(MASTER):
            stage.ensemble.end(first.session or 0, stage.now)
        return False

    stage.forbids = ends
    first.freeze()
    stage.settle(10 * SILENCE)
    assert second.election.status()["depositions"] == {"made": 0, "refused": 1}
    assert (state(second), duty.told) == ("active", ["begin 2"])


def test_who_is_cut_off_and_back_listens_anew() -> None:
    stage = Stage()
    _, second = candidate(stage, "m1"), candidate(stage, "m2")
    second.cut()
    second.resume()
    stage.settle(3 * SILENCE)
    assert not any(map(deposes, [Request(0, operation) for operation in second.sent]))


def test_who_was_cut_off_gives_a_master_that_was_too_the_time_to_come_back() -> None:
    """They had the same server, or there was no quorum."""
    stage = Stage()
    first, second = candidate(stage, "m1"), candidate(stage, "m2")
    for actor in (first, second):
        actor.cut()
    second.resume()
    stage.settle(SILENCE)  # and what it took to connect
    first.resume()
    stage.settle(3 * SILENCE)
    assert (state(first), first.election.epoch, state(second)) == ("active", 1, "standby")


def test_who_was_cut_off_gives_it_no_more_than_that() -> None:
    stage = Stage()
    first, second = candidate(stage, "m1"), candidate(stage, "m2")
    first.freeze()
    second.cut()
    second.resume()
    stage.settle(2 * SILENCE + 0.01)
    assert (state(second), second.election.epoch) == ("active", 2)


def test_who_hears_late_tells_it_once_and_does_not_say_that_it_has_deposed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO")
    stage = Stage()
    first, second = candidate(stage, "m1"), candidate(stage, "m2")
    for _ in range(3):
        second.slow()
        stage.settle(3 * SILENCE)
        second.quick()
        stage.settle(SILENCE / 2)
    assert second.election.status()["depositions"] == {"made": 0, "refused": 3}
    assert caplog.text.count("m1 is alive, but its writes reach us late") == 1
    assert "deposed" not in caplog.text
    first.freeze()
    stage.settle(SURELY)
    assert caplog.text.count("deposed m1: it was silent for 0.6 s") == 1


def test_of_two_standbys_one_deposes_and_the_other_listens_to_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    stage = Stage()
    first, *others = (candidate(stage, name) for name in ("m1", "m2", "m3"))
    stage.settle(PATIENCE.hold_down)
    first.freeze()
    stage.settle(SURELY)
    assert sorted(map(state, others)) == ["active", "standby"]
    assert (caplog.text.count("deposed m1"), caplog.text.count("is alive")) == (1, 0)
    assert stage.ensemble.decided.nodes[EPOCH].version == 2
    others.sort(key=state)
    others[0].freeze()
    stage.settle(PATIENCE.hold_down - SURELY)
    assert state(others[1]) == "standby", "it is left alone from its election on"
    stage.settle(2 * SURELY)
    assert (state(others[1]), others[1].election.epoch) == ("active", 3)


def test_whose_reply_to_a_deposition_is_lost_finds_that_it_has_won() -> None:
    stage = Stage()
    first, second = candidate(stage, "m1"), candidate(stage, "m2")
    first.freeze()
    second.loses = deposes
    stage.settle(SURELY)
    assert (state(second), stage.ensemble.decided.nodes[EPOCH].version) == ("disconnected", 2)
    second.loses = None
    second.resume()
    assert (state(second), second.election.epoch) == ("active", 2)


def test_a_beat_tells_a_deposed_master_at_once_that_its_epoch_is_over() -> None:
    """Though its server has not shown it another master."""
    stage = Stage()
    first, second = candidate(stage, "m1"), candidate(stage, "m2")
    first.cut()
    first.resume(server=1)
    stage.lagging = True
    first.freeze()
    stage.settle(SURELY)
    assert state(second) == "active"
    before = len(first.sent)
    first.thaw()
    assert (
        Transaction((Check(EPOCH, 1), Set(f"/candidates/m1-{first.session:x}", b"m1:2223")))
        in first.sent[before:]
    )
    assert state(first) == "standby"


def test_the_next_master_is_left_alone_for_longer_each_time() -> None:
    stage = Stage()
    names = iter(range(1, 100))
    seconds = []
    active, standby = candidate(stage, "m0"), candidate(stage, "m00")
    for _ in range(PATIENCE.most):
        active.freeze()
        began = stage.now
        while state(standby) != "active":
            stage.settle(0.1)
        seconds.append(stage.now - began)
        active.die()
        active, standby = standby, candidate(stage, f"m{next(names)}")
    assert [round(took, 0) for took in seconds] == [1, PATIENCE.hold_down, 2 * PATIENCE.hold_down]
    active.freeze()
    stage.settle(PATIENCE.memory - 10.0)
    assert state(standby) == "standby", "enough is enough"
    stage.settle(20.0)
    assert state(standby) == "active"
    assert winner(stage).depositions == 1, "the others are forgotten"


def test_how_many_were_deposed_of_late_outlasts_elections_and_a_count_that_is_lost() -> None:
    stage = Stage()
    first, second = candidate(stage, "m1"), candidate(stage, "m2")
    first.freeze()
    stage.settle(SURELY)
    first.die()
    third = candidate(stage, "m3")
    second.die()
    assert (state(third), winner(stage).depositions, winner(stage, TASKS).depositions) == ("active", 1, 1)
    stage.person().delete(EPOCH)
    stage.settle(3.0)
    assert (state(third), winner(stage).depositions) == ("active", 1)
    stage.person().set(TASKS, "")
    third.die()
    third = candidate(stage, "m4")
    assert (state(third), winner(stage, TASKS).depositions) == ("active", 1)
    for path in (TASKS, EPOCH):  # as the docs say: in this order
        stage.person().set(path, "")
        stage.settle(10.0)
    assert (state(third), winner(stage).depositions) == ("active", 0), "as a person wishes"


def test_what_is_long_ago_is_forgotten_at_an_election_too() -> None:
    stage = Stage()
    patience = replace(PATIENCE, memory=30.0)
    first, second = (candidate(stage, name, patience) for name in ("m1", "m2"))
    first.freeze()
    stage.settle(SURELY)
    first.die()
    third = candidate(stage, "m3", patience)
    stage.settle(patience.memory)
    second.die()
    assert (state(third), winner(stage).depositions) == ("active", 0)
    assert third.election.status()["deposed_of_late"] == 0


def test_who_cannot_win_at_once_because_a_person_has_raised_a_count_deposes_nobody() -> None:
    stage = Stage()
    first = candidate(stage, "m1")
    for _ in range(2 * MOST_AT_ONCE):
        stage.person().set(TASKS, "by hand")
    second = candidate(stage, "m2")
    first.freeze()
    stage.settle(5 * SILENCE)
    assert (state(second), stage.ensemble.decided.nodes[EPOCH].version) == ("standby", 1)
    first.die()
    assert state(second) == "active"


def test_a_master_whose_znode_a_person_has_deleted_beats_on() -> None:
    stage = Stage()
    first, second = candidate(stage, "m1"), candidate(stage, "m2")
    stage.person().delete(f"/candidates/m1-{first.session:x}")
    stage.settle(3 * SILENCE)
    assert (first.election.epoch, state(second)) == (1, "standby")
    first.freeze()
    stage.settle(2 * SURELY)
    assert state(second) == "active"


def test_a_master_that_may_not_set_its_znode_is_not_deposed_for_that() -> None:
    stage = Stage()
    stage.forbids = lambda op: isinstance(op, Set) and op.path.startswith("/candidates/")
    first, second = candidate(stage, "m1"), candidate(stage, "m2")
    stage.settle(5 * SILENCE)
    assert (first.election.epoch, state(second)) == (1, "standby")
    stage.forbids = lambda _: False
    stage.settle(SURELY)
    first.freeze()
    stage.settle(2 * SURELY)
    assert state(second) == "active"


def test_a_master_without_a_znode_is_not_deposed_for_that() -> None:
    stage = Stage()
    first, second = candidate(stage, "m1"), candidate(stage, "m2")
    stage.forbids = lambda op: isinstance(op, Create) and op.path.startswith("/candidates/")
    stage.person().delete(f"/candidates/m1-{first.session:x}")
    stage.settle(5 * SILENCE)
    assert (first.election.epoch, state(second)) == (1, "standby")
    assert not any(map(deposes, [Request(0, operation) for operation in second.sent]))


def test_listening_for_long_leaves_no_timers() -> None:
    stage = Stage()
    _, second = candidate(stage, "m1"), candidate(stage, "m2")
    stage.settle(60.0)
    assert len(second.process.timers) <= 3


def test_who_is_asked_to_end_deposes_nobody() -> None:
    stage = Stage()
    first, second = candidate(stage, "m1"), candidate(stage, "m2")
    third = candidate(stage, "m3")
    first.freeze()
    stage.settle(SILENCE - PATIENCE.beat)
    second.stop()
    stage.settle(SURELY)
    assert (second.alive, state(third)) == (False, "active")
