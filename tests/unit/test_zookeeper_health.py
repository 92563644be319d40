"""The quorum gate's judgement: what it reads in srvr and mntr, and when an ensemble is healthy."""

from __future__ import annotations

import pytest

from tests.unit.four_letters import IDLE, MNTR, SRVR, closed_port, dripping, in_turn, serving
from tests.unit.zookeeper_states import (
    OBSERVED,
    THREE,
    Member,
    State,
    follower,
    gone,
    health,
    idle,
    leader,
    observer,
    states,
)


def texts(*three: object) -> str:
    return "\n".join(problem.text for problem in health.judge(THREE, states(*three)))


@pytest.mark.parametrize("mode", ["leader", "follower", "observer", "standalone"])
def test_srvr_is_read_as_structure(mode: str) -> None:
    state = health.parse(SRVR.format(mode=mode), MNTR.format(synced=2))
    assert (state.reachable, state.mode, state.version, state.zxid) == (True, mode, "3.9.3", "0x10000000a")


@pytest.mark.parametrize(
    ("written", "read"), [("2", 2), ("0", 0), ("2.0", 2), ("", None), ("-1", None), ("NaN", None)]
)
def test_the_count_of_synced_followers(written: str, read: int | None) -> None:
    assert health.parse(SRVR.format(mode="leader"), MNTR.format(synced=written)).synced_followers == read


def test_a_refused_mntr_tells_no_count() -> None:
    refusal = "mntr is not executed because it is not in the whitelist.\n"
    assert health.parse(SRVR.format(mode="leader"), refusal).synced_followers is None


def test_a_server_without_quorum_is_reachable_and_serves_nobody() -> None:
    assert health.parse(IDLE) == State(reachable=True)


@pytest.mark.parametrize(
    "garbage",
    [
        "",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "\x00\xff\xfe",
        "Mode: emperor\n",
        "some Mode: leader",
        "220 smtp ready",
    ],
)
def test_garbage_is_not_taken_for_a_server(garbage: str) -> None:
    state = health.parse(garbage)
    assert not state.reachable
    assert state.mode is None
    assert state.error


def test_a_whole_ensemble_is_healthy() -> None:
    assert texts(follower(), leader(), follower()) == ""


def test_every_member_must_answer() -> None:
    said = texts(gone(), leader(1), follower())
    assert "zk1 does not answer at 10.0.0.1:2181: Connection refused" in said
    assert "the leader zk2 has 1 followers in sync, not 2" in said


def test_an_ipv6_address_is_told_in_brackets() -> None:
    members = [Member(f"zk{n}", f"fd00::1{n}", 2181) for n in (1, 2)]
    said = "\n".join(problem.text for problem in health.judge(members, {"zk1": gone(), "zk2": idle()}))
    assert "zk1 does not answer at [fd00::11]:2181: " in said
    assert "zk2 runs at [fd00::12]:2181 but" in said


def test_every_member_must_serve() -> None:
    assert "zk3 runs at 10.0.0.3:2181 but serves no clients" in texts(leader(), follower(), idle())


def test_a_follower_that_serves_but_is_not_in_sync_is_told_by_the_leader() -> None:
    assert texts(leader(1), follower(), follower()) == "the leader zk1 has 1 followers in sync, not 2"


def test_a_leader_that_does_not_count_is_not_trusted() -> None:
    assert "zk1 does not tell" in texts(leader(None), follower(), follower())


def test_two_that_claim_to_lead() -> None:
    problems = health.judge(THREE, states(leader(), leader(1), follower()))
    assert [problem.member for problem in problems] == ["zk1", "zk2"]


def test_nobody_leads() -> None:
    assert "no server leads" in texts(idle(), idle(), gone())


def test_an_observer_is_no_voter() -> None:
    observer = State(reachable=True, mode="observer")
    assert "zk3 only observes" in texts(leader(), follower(), observer)


def test_a_server_for_itself_is_no_member() -> None:
    alone = State(reachable=True, mode="standalone")
    assert "zk3 runs alone" in texts(leader(), follower(), alone)


def test_a_single_server_is_healthy_alone() -> None:
    one = THREE[:1]
    assert health.judge(one, {"zk1": State(reachable=True, mode="standalone")}) == []
    (problem,) = health.judge(one, {"zk1": follower()})
    assert "zk1 is a follower, but the group has no other host" in problem.text


def test_an_observer_serves_but_does_not_count_as_a_follower() -> None:
    lead = State(reachable=True, mode="leader", synced_followers=2, synced_others=1)
    assert health.judge(OBSERVED, states(lead, follower(), follower(), observer())) == []
    late = State(reachable=True, mode="leader", synced_followers=2, synced_others=0)
    [problem] = health.judge(OBSERVED, states(late, follower(), follower(), observer()))
    assert problem.text == "the leader zk1 has 0 observers in sync, not 1"
    short = State(reachable=True, mode="leader", synced_followers=1, synced_others=2)
    [problem] = health.judge(OBSERVED, states(short, follower(), follower(), observer()))
    assert problem.text == "the leader zk1 has 1 followers in sync, not 2"


def test_an_observer_that_votes() -> None:
    lead = State(reachable=True, mode="leader", synced_followers=3)
    [first, *_] = health.judge(OBSERVED, states(lead, follower(), follower(), follower()))
    assert first.text == "zk4 is a follower, where an observer is expected"


def test_followers_that_the_leader_does_not_count_are_no_followers() -> None:
    mntr = "zk_synced_followers\t3\nzk_synced_non_voting_followers\t1\nzk_synced_observers\t2\n"
    state = health.parse(SRVR.format(mode="leader"), mntr)
    assert (state.synced_followers, state.synced_others) == (2, 3)


def changing(pending: set[str], *servers: object, size: int = 3) -> str:
    problems = health.judge_change(THREE[:size], states(*servers), pending)
    return "\n".join(problem.text for problem in problems)


def test_while_voters_change_those_due_still_serve_as_what_they_were() -> None:
    one_more = State(reachable=True, mode="leader", synced_followers=1, synced_others=1)
    assert changing({"zk1", "zk2", "zk3"}, one_more, follower(), observer()) == ""
    assert "zk3 only observes" in changing({"zk1"}, one_more, follower(), observer())
    assert "has 1 others in sync, not 2" in changing({"zk1"}, leader(1), follower(), follower())


def test_while_voters_change_one_due_may_wait_for_its_restart_under_a_new_leader() -> None:
    assert changing({"zk2"}, leader(1), idle(), follower()) == ""
    assert "zk2 runs at" in changing({"zk1", "zk2"}, leader(1), idle(), follower())
    assert "zk3 runs at" in changing({"zk2"}, leader(1), follower(), idle())
    assert "zk2 does not answer" in changing({"zk2"}, leader(1), gone(), follower())


def test_who_has_the_new_list_waits_until_a_leader_that_only_observes_by_it_has_restarted() -> None:
    members = [*THREE, *(Member(f"zk{n}", f"zk{n}", 2181, observer=True) for n in (4, 5))]
    seen = states(follower(), follower(), follower(), leader(3), idle())
    every = {"zk1", "zk2", "zk3", "zk4"}
    assert health.judge_change(members, seen, every) == []
    said = [problem.text for problem in health.judge_change(members, seen, every - {"zk4"})]
    assert any("zk5 runs at" in text for text in said), "nothing will change for it"
    assert health.judge_change(members, states(*[follower()] * 2, leader(), observer(), idle()), every) != []


def test_while_voters_change_a_leader_outside_the_group_is_told() -> None:
    said = changing({"zk1", "zk2", "zk3"}, follower(), follower(), follower())
    assert "no server leads" in said
    assert "restart it (systemctl restart zookeeper, there)" in said


def test_of_two_voters_the_first_with_the_new_list_waits_for_the_second() -> None:
    assert changing({"zk2"}, idle(), leader(0), size=2) == ""
    assert "zk1 does not answer" in changing({"zk2"}, gone(), leader(0), size=2)
    assert changing({"zk2"}, idle(), idle(), size=2) == "", "none can lead until both have it"


@pytest.mark.servers
def test_looking_at_a_leader_asks_both_words() -> None:
    with serving() as serve:
        state = health.look(Member("zk1", "127.0.0.1", serve(in_turn("leader")).port), 5.0)
    assert (state.mode, state.synced_followers) == ("leader", 2)


@pytest.mark.servers
def test_a_frozen_server_does_not_hang_the_gate() -> None:
    with serving() as serve:
        state = health.look(Member("zk1", "127.0.0.1", serve(in_turn(None)).port), 0.02)
    assert (state.reachable, state.error) == (False, "no answer within 0.02 s")


@pytest.mark.servers
def test_who_sends_a_byte_now_and_then_does_not_hang_the_gate() -> None:
    with dripping(SRVR.format(mode="leader")) as port:
        state = health.look(Member("zk1", "127.0.0.1", port), 0.2)
    assert (state.reachable, state.error) == (False, "no answer within 0.2 s")


@pytest.mark.servers
def test_what_never_ends_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "MAX_ANSWER", 1000)
    with serving() as serve:
        answer = health.ask(Member("zk1", "127.0.0.1", serve(lambda _: "x" * 300_000).port), "srvr", 5.0)
    assert len(answer) == 1000


@pytest.mark.servers
def test_a_closed_port_is_told() -> None:
    assert "refused" in health.look(Member("zk1", "127.0.0.1", closed_port()), 1.0).error


def test_what_cannot_be_a_name_is_told() -> None:
    state = health.look(Member("zk1", "zk1..example.org", 2181), 1.0)
    assert (state.reachable, state.error) == (False, "zk1..example.org cannot be the name of a host")


def test_releases_that_may_lose_writes_are_told_with_the_remedy() -> None:
    versions = {"zk2": "3.9.3", "zk1": "3.9.3", "zk3": "3.9.4", "zk4": "3.8.0", "zk5": None}
    [new, old] = sorted(health.losing(versions, snapshots=False), reverse=True)
    assert old.startswith("zk1, zk2: ZooKeeper 3.9.3 may lose acknowledged writes")
    assert new.startswith("zk4: ZooKeeper 3.8.0 may lose")
    assert "Install 3.9.4 or newer (zookeeper_install_from: archive), or set zookeeper_config: {force" in old
    assert health.losing(versions, snapshots=True) == []
    others = {f"zk{n}": version for n, version in enumerate(("3.8.4", "3.8.7", "3.9.2", "3.9.6", "3.10.0"))}
    told = health.losing(others, snapshots=False)
    assert [text.split()[2] for text in told] == ["3.8.4", "3.8.7", "3.9.2"]
    assert health.losing({"zk1": "3.9.3"}, snapshots=False) == [], "a single server has nobody to learn from"


def test_clocks_that_are_apart_are_told_and_nobody_is_alone() -> None:
    most = {"zk1": 4000.0, "zk4": 4001.0, "zk5": 3999.0}
    [ahead, behind] = health.clocks_apart({**most, "zk2": 90400.0, "zk3": 0.0})
    assert ahead.startswith("The clock of zk2 is 24.0 h ahead of that of zk1: ")
    assert behind.startswith("The clock of zk3 is 1.1 h behind that of zk1: ")
    assert health.clocks_apart({"zk1": 0.0, "zk2": 900.0}) == health.clocks_apart({}) == []
    [two] = health.clocks_apart({"zk1": 0.0, "zk2": 86400.0})
    assert two.startswith("The clocks of zk1 and zk2 differ by 24.0 h: find out which is wrong, ")
    [all_differ] = health.clocks_apart({"zk1": 90000.0, "zk2": 0.0, "zk3": 43200.0})
    assert all_differ.startswith("The clocks of zk2 and zk1 differ by 25.0 h: ")
    assert len(health.clocks_apart({"zk1": 0.0, "zk2": 901.0, "zk3": 0.0})) == 1
