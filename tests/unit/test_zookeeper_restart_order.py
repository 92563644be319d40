"""In which order servers restart: what costs the quorum least comes first."""

from __future__ import annotations

from tests.unit.zookeeper_role import load
from tests.unit.zookeeper_states import (
    OBSERVED,
    THREE,
    Member,
    State,
    follower,
    gone,
    idle,
    leader,
    observer,
    states,
)

order = load("zookeeper_restart_order")


def test_the_leader_is_restarted_last() -> None:
    seen = states(leader(), follower(), follower())
    assert order.rolling(THREE, seen, {"zk1", "zk2", "zk3"}) == ["zk2", "zk3", "zk1"]
    assert order.rolling(THREE, seen, {"zk1", "zk3"}) == ["zk3", "zk1"]
    assert order.rolling(THREE, seen, set()) == []


def test_the_only_server_is_restarted_too() -> None:
    assert order.rolling(THREE[:1], {"zk1": State(reachable=True, mode="standalone")}, {"zk1"}) == ["zk1"]


def test_observers_are_restarted_first() -> None:
    seen = states(leader(), follower(), observer(), observer())
    assert order.rolling(OBSERVED, seen, {"zk1", "zk2", "zk3", "zk4"}) == ["zk3", "zk4", "zk2", "zk1"]
    votes = states(follower(), leader(), observer(), follower())  # the last, which shall observe
    assert order.rolling(OBSERVED, votes, {"zk1", "zk4"}) == ["zk4", "zk1"]
    leads = states(follower(), follower(), follower(), observer(), leader())  # and shall observe
    five = [*OBSERVED, Member("zk5", "10.0.0.5", 2181, observer=True)]
    assert order.rolling(five, leads, {"zk1", "zk4", "zk5"}) == ["zk5", "zk4", "zk1"]


def test_who_waits_is_restarted_too_while_voters_change() -> None:
    seen = states(leader(1), idle(), gone())
    assert order.rolling(THREE, seen, {"zk1", "zk2", "zk3"}, changing=True) == ["zk2", "zk1"]
    assert order.rolling(THREE, seen, {"zk1", "zk2", "zk3"}) == ["zk1"]
    seen = states(follower(), idle(), leader(1))
    first, *_ = order.rolling(THREE, seen, {"zk1", "zk2", "zk3"}, changing=True)
    assert first == "zk2", "it costs the quorum nothing"


def test_only_a_server_that_says_so_is_idle() -> None:
    seen = states(idle(), gone(), follower())
    assert order.idle(THREE, seen, {"zk1", "zk2", "zk3"}) == ["zk1"]
    assert order.rolling(THREE, seen, {"zk1", "zk2", "zk3"}) == ["zk3"]


def test_one_that_does_not_answer_is_restarted_only_if_the_others_are_a_quorum_without_it() -> None:
    """A setting broke it; the next run brings the right one, and must not wait for its health first."""
    every = {"zk1", "zk2", "zk3"}
    assert order.idle(THREE, states(gone(), follower(), leader()), every) == ["zk1"]
    assert order.idle(THREE, states(gone(), follower(), leader()), {"zk2"}) == []
    assert order.idle(THREE, states(gone(), gone(), follower()), every) == []
    assert order.idle(THREE, states(gone(), follower(), leader()), every, changing=True) == []
    observed = states(gone(), follower(), observer(), observer())
    assert order.idle(OBSERVED, observed, {"zk1"}) == [], "observers are no part of it"
    observed = states(gone(), follower(), leader(), observer())
    assert order.idle(OBSERVED, observed, {"zk1"}) == ["zk1"]


def test_one_whose_ports_change_goes_before_all_even_if_it_leads() -> None:
    seen = states(leader(), follower(), follower())
    assert order.rolling(THREE, seen, {"zk1", "zk2", "zk3"}, first="zk1") == ["zk1", "zk2", "zk3"]
    assert order.rolling(THREE, seen, {"zk2", "zk3"}, first="zk1") == ["zk2", "zk3"]
    assert order.rolling(THREE, seen, {"zk1", "zk2", "zk3"}, first="zk3") == ["zk3", "zk2", "zk1"]
