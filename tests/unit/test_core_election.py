"""Scenes of leadership: what a duty is told, and which epoch it is of."""

from typing import Any

from mwapp.core.election import ELECTION_RETRY_SECONDS, MOST_AT_ONCE, Election
from mwapp.core.messages import Exists, Get, Request
from mwapp.core.protocol import Winner
from mwapp.core.session import Callback
from mwapp.core.suspicion import NEVER, PATIENCE, Patience
from tests.unit.core_stage import Actor, Stage


class Duty:
    """Notes when it begins and ends."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def begin(self, epoch: int, fenced: Callback) -> None:  # noqa: ARG002 - no write of its own
        self.told.append(f"begin {epoch}")

    def end(self) -> None:
        self.told.append("end")

    def status(self) -> dict[str, Any]:
        return {}


def candidate(stage: Stage, name: str, patience: Patience = PATIENCE) -> tuple[Actor, Duty]:
    actor, duty = Actor(stage), Duty()
    actor.election = Election(actor.process, name, f"{name}:2223", duty, patience)
    return actor.connect(), duty


def test_a_cut_ends_the_duty_and_it_begins_again_under_the_same_epoch() -> None:
    stage = Stage()
    actor, duty = candidate(stage, "m1")
    actor.cut()
    assert (duty.told, actor.election.epoch) == (["begin 1", "end"], None)
    actor.resume()
    assert duty.told == ["begin 1", "end", "begin 1"]


def test_the_end_of_a_session_ends_the_duty_once() -> None:
    stage = Stage()
    actor, duty = candidate(stage, "m1")
    actor.expire()
    assert duty.told == ["begin 1", "end"]
    actor.connect()
    assert duty.told == ["begin 1", "end", "begin 2"]


def test_who_finds_its_leadership_deleted_ends_its_duty_before_it_wins_anew() -> None:
    stage = Stage()
    _, duty = candidate(stage, "m1")
    stage.person().delete("/master")
    assert duty.told == ["begin 1", "end", "begin 2"]


def test_who_finds_another_in_its_place_ends_its_duty() -> None:
    stage = Stage()
    actor, duty = candidate(stage, "m1", NEVER)  # a beat would show it before
    person = stage.person()
    stage.lagging = True
    actor.cut()
    actor.resume(server=1)
    duty.told.clear()
    person.delete("/master")
    person.create("/master", "by hand", e=True)
    assert (duty.told, actor.election.state) == ([], "active"), "its server has not shown it yet"
    stage.lagging = False
    stage.spread()
    stage.settle()
    assert (duty.told, actor.election.state) == (["end"], "standby")


def test_who_looks_twice_before_it_knows_its_epoch_begins_once() -> None:
    stage = Stage()
    actor, duty = candidate(stage, "m1")
    person = stage.person()
    actor.cut()
    looks = []

    def touches(request: Request) -> None:
        """Somebody sets /master while it is looked at: it is looked at once more."""
        if request.operation == Exists("/master", watch=True):
            looks.append(request)
            if len(looks) == 1:
                person.set("/master", "m1:2223", settle=False)

    actor.meanwhile = touches
    actor.resume()
    assert len(looks) >= 2
    assert duty.told == ["begin 1", "end", "begin 1"]


def test_an_epoch_that_another_has_won_or_written_is_nobodys_to_act_under() -> None:
    for winner in (Winner("m2", 7), Winner("m1", 7), None):
        stage = Stage()
        actor, duty = candidate(stage, "m1")
        actor.cut()
        stage.person().set("/epoch", winner.encode().decode() if winner else "by hand")
        actor.resume()
        assert duty.told == ["begin 1", "end", "begin 3"]
        assert stage.ensemble.decided.nodes["/master"].owner == actor.session


def test_an_epoch_that_another_has_won_is_nobodys_to_act_under_though_both_counts_agree() -> None:
    for winner in (Winner("m2", 7), Winner("m1", 7)):
        stage = Stage()
        actor, duty = candidate(stage, "m1")
        actor.cut()
        for count in ("/epoch", "/tasks"):
            stage.person().set(count, winner.encode().decode())
        actor.resume()
        assert duty.told == ["begin 1", "end", "begin 3"]


def test_who_vacates_leadership_does_not_delete_that_of_who_has_won_it_meanwhile() -> None:
    stage = Stage()
    actor, duty = candidate(stage, "m1")
    person = stage.person()
    actor.cut()
    person.set("/epoch", "by hand")

    def overtakes(request: Request) -> None:
        if request.operation == Get("/epoch"):
            actor.meanwhile = None
            person.delete("/master", settle=False)
            person.create("/master", "m2:2223", e=True, settle=False)
            person.set("/epoch", Winner("m2", person.session).encode().decode(), settle=False)

    actor.meanwhile = overtakes
    actor.resume()
    assert stage.data("/master") == "m2:2223"
    assert (duty.told, actor.election.state) == (["begin 1", "end"], "standby")


def test_who_cannot_win_for_an_answer_nobody_foresees_tries_again_now_and_then() -> None:
    stage = Stage()
    stage.forbids = lambda op: op.path == "/master"
    actor, duty = candidate(stage, "m1")
    before = stage.carried_out
    stage.settle(5.0)
    assert stage.carried_out - before < 60
    assert duty.told == []
    stage.forbids = lambda _: False
    stage.settle(2 * ELECTION_RETRY_SECONDS)
    assert (duty.told, actor.election.state) == (["begin 1"], "active")


def test_who_raises_a_count_is_not_elected_by_that() -> None:
    stage = Stage()
    first, _ = candidate(stage, "m1")
    first.die()
    for _ in range(3 * MOST_AT_ONCE):
        stage.person().set("/epoch", "by hand")
    second, duty = candidate(stage, "m2")
    assert duty.told == [f"begin {3 * MOST_AT_ONCE + 2}"]
    assert max(len(getattr(sent, "ops", ())) for sent in second.sent) <= MOST_AT_ONCE + 2


def test_who_sends_too_much_at_once_raises_a_count_by_less() -> None:
    """As after /epoch was deleted by hand, at servers that take small requests only."""
    stage = Stage()
    stage.most = 700
    first, _ = candidate(stage, "m1")
    first.die()
    for _ in range(MOST_AT_ONCE - 2):
        stage.person().set("/epoch", "by hand")
    _, duty = candidate(stage, "m2")
    stage.settle(10 * ELECTION_RETRY_SECONDS)
    assert duty.told == [f"begin {MOST_AT_ONCE}"]


def test_the_epoch_is_the_one_that_is_written_though_a_person_has_just_raised_it() -> None:
    stage = Stage()
    person = stage.person()
    candidate(stage, "m1")[0].die()
    actor, duty = Actor(stage), Duty()
    actor.election = Election(actor.process, "m2", "m2:2223", duty)

    def raises(request: Request) -> None:
        if request.operation == Get("/tasks"):
            actor.meanwhile = None
            person.set("/epoch", "by hand", settle=False)

    actor.meanwhile = raises
    actor.connect()
    assert actor.meanwhile is None
    assert duty.told == ["begin 3"]
    assert stage.ensemble.decided.nodes["/epoch"].version == 3
