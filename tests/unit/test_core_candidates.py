"""Who stands for election is listed in /candidates, whatever becomes of the znodes."""

import pytest

from mwapp.core.election import TRANSITIONS as OF_AN_ELECTION
from mwapp.core.known_tasks import TRANSITIONS as OF_A_TASK
from mwapp.core.protocol import candidate_name, candidate_path
from mwapp.core.states import ImpossibleTransitionError, Transitions, step
from mwapp.core.worker import TRANSITIONS as OF_A_WORKER
from tests.unit.core_stage import Stage


def listed(stage: Stage) -> dict[str, str]:
    """What is in /candidates: data by name, all of them ephemeral and their sessions'."""
    nodes = stage.ensemble.decided.nodes
    found = {}
    for name in sorted(nodes["/candidates"].children):
        node = nodes[f"/candidates/{name}"]
        assert candidate_path(candidate_name(name), node.owner) == f"/candidates/{name}"
        found[candidate_name(name)] = node.data.decode()
    return found


def test_the_active_one_and_the_others_are_listed_while_they_live() -> None:
    stage = Stage()
    first, _ = stage.master("m1"), stage.master("m2")
    assert listed(stage) == {"m1": "m1:2223", "m2": "m2:2223"}
    first.die()
    assert listed(stage) == {"m2": "m2:2223"}


def test_two_of_one_name_are_two() -> None:
    stage = Stage()
    stage.master("m-1"), stage.master("m-1")
    assert len(stage.ensemble.decided.nodes["/candidates"].children) == 2


def test_a_new_session_has_a_znode_of_its_own() -> None:
    stage = Stage()
    master = stage.master("m1")
    before = set(stage.ensemble.decided.nodes["/candidates"].children)
    master.expire()
    master.connect()
    assert listed(stage) == {"m1": "m1:2223"}
    assert not before & stage.ensemble.decided.nodes["/candidates"].children


@pytest.mark.parametrize("how", ["deleted", "deleted with its parent", "made by hand"])
def test_what_a_person_takes_away_comes_back(how: str) -> None:
    stage = Stage()
    stage.master("m1")
    person = stage.person()
    (name,) = stage.ensemble.decided.nodes["/candidates"].children
    person.delete(f"/candidates/{name}", settle=False)
    if how == "deleted with its parent":
        person.delete("/candidates", settle=False)
    if how == "made by hand":
        person.create(f"/candidates/{name}", "x", settle=False)
    stage.settle(3.0)
    assert listed(stage) == {"m1": "m1:2223"}


def test_a_lost_reply_is_no_trouble() -> None:
    stage = Stage()
    master = stage.master("m1")
    master.cut()
    master.resume()
    assert listed(stage) == {"m1": "m1:2223"}


def test_who_may_not_be_listed_leads_all_the_same() -> None:
    stage = Stage()
    stage.forbids = lambda op: op.path.startswith("/candidates/")
    master = stage.master("m1")
    assert (master.election.state, listed(stage)) == ("active", {})
    stage.forbids = lambda _: False
    stage.settle(3.0)
    assert listed(stage) == {"m1": "m1:2223"}


@pytest.mark.parametrize("transitions", [OF_AN_ELECTION, OF_A_WORKER, OF_A_TASK])
def test_every_state_can_be_left_for_states_that_there_are(transitions: Transitions) -> None:
    assert {to for states in transitions.values() for to in states} == transitions.keys()


def test_a_step_that_is_in_no_table() -> None:
    with pytest.raises(ImpossibleTransitionError, match="from disconnected to active"):
        step(OF_AN_ELECTION, "disconnected", "active")
    assert step(OF_AN_ELECTION, "looking", "active") == "active"
