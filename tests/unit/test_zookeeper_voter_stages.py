"""From the members an ensemble has to those the inventory names: the steps, and what is refused."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.zookeeper_plans import (
    Found,
    empty,
    holds,
    orders,
    plan,
    refusal,
    reinstalled,
    replaced,
    servers,
    steps,
    stopped,
    written,
)


def test_a_new_ensemble_starts_as_it_shall_be() -> None:
    answer = plan({"1": empty(), "2": empty(), "3": empty(), "4": empty()}, observers="4")
    assert steps(answer) == ["123|4"]
    assert answer["new"]


def test_a_first_start_that_was_cut_short_goes_on() -> None:
    begun = empty(marker=True, servers=servers("123"))
    assert plan({"1": begun, "2": begun, "3": empty()})["new"]
    answer = plan({"1": holds("123"), "2": begun, "3": begun})
    assert (steps(answer), answer["new"]) == (["123"], False)


def had_data(voters: str = "123", **other: Any) -> Found:
    """A host whose server was set up to the end, and whose data are not to be seen now."""
    known = servers(voters) if len(voters) > 1 else {}
    return empty(configured=True, servers=known, unit={"running": False, "enabled": True}) | other


@pytest.mark.parametrize(
    "seen",
    [
        {n: had_data() for n in "123"},
        {"1": had_data("1")},
        {"1": had_data(), "2": empty(), "3": empty()},
        {n: had_data(unit={"running": True, "enabled": True}) for n in "123"},
    ],
)
def test_disks_that_are_not_mounted_make_no_new_ensemble(seen: dict[str, Found]) -> None:
    text = refusal(plan(seen))
    assert text.startswith(
        "No host has data in zookeeper_data_dir and zookeeper_txnlog_dir, but the servers of"
    )
    assert "Are the disks mounted? Mount them, and run again." in text
    assert text.endswith("(If there is nothing to keep, run playbooks/reset.yml first.)")
    if len(seen) > 1:
        assert "Are the disks mounted?" in refusal(plan(seen, limit="1")), "the ensemble is not new"
        hidden = refusal(plan(seen | {"3": None}, limit="1"))
        assert "zk3 could not: the role cannot tell" in hidden, "it may have the data"


@pytest.mark.parametrize(
    "begun",
    [
        {
            "1": had_data(unit={"running": False, "enabled": False})
        },  # zoo.cfg is placed, or reset was cut short
        {"1": had_data(marker=True)},  # about to start
        {"1": had_data(), "2": had_data(marker=True)},  # one took its marker away, and had no time to write
        {"1": empty(unit={"running": False, "enabled": True})},  # reset has removed zoo.cfg
    ],
)
def test_a_first_start_that_was_cut_short_is_no_disk_that_is_not_mounted(begun: dict[str, Found]) -> None:
    assert plan({n: empty() for n in "123"} | begun)["new"]


def test_one_disk_that_is_not_mounted_is_an_empty_one() -> None:
    assert steps(plan({n: holds("123") for n in "12"} | {"3": had_data()})) == ["123"]


def test_members_that_stay_take_one_step() -> None:
    answer = plan({n: holds("123") for n in "123"})
    assert steps(answer) == ["123"]
    assert not answer["new"]
    assert not answer["stages"][0]["changing"]


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ({"1": holds("1"), "2": empty(), "3": empty()}, ["1|23", "12|3", "123"]),
        (
            {n: holds("123") for n in "123"} | {"4": empty(), "5": empty()},
            ["123|45", "1234|5", "12345"],
        ),
        ({"1": holds("1")} | {"2": empty()}, ["1|2", "12"]),
        ({n: holds("13") for n in "13"} | {"2": empty()}, ["13|2", "123"]),
    ],
)
def test_who_comes_observes_first_and_votes_one_by_one(seen: dict[str, Found], expected: list[str]) -> None:
    assert steps(plan(seen)) == expected


def test_a_server_alone_must_learn_of_its_observers_others_need_not() -> None:
    alone = plan({"1": holds("1"), "2": empty()})["stages"][0]
    assert (alone["hosts"], alone["changing"]) == (["zk1", "zk2"], True)
    three = plan({n: holds("123") for n in "123"} | {"4": empty()})["stages"][0]
    assert (three["hosts"], three["changing"]) == (["zk4"], False)


@pytest.mark.parametrize(
    ("before", "out", "after"), [("123", "2", "13"), ("12345", "3", "1245"), ("12", "1", "2")]
)
def test_one_may_be_taken_out(before: str, out: str, after: str) -> None:
    answer = plan({n: holds(before) for n in before if n != out})
    assert steps(answer) == [after]
    assert answer["gone"] == {out: f"zk{out}:2888:3888"}
    assert answer["stages"][0]["changing"]


def test_one_that_left_is_not_looked_for_where_a_member_is_now() -> None:
    """Its address would be a voter's, which the warning would tell people to stop."""
    seen = {n: holds("1234") for n in "12"} | {"3": holds("1234", addresses=["zk4"])}
    answer = plan(seen)
    assert steps(answer) == ["123"]
    assert answer["gone"] == {}
    seen["3"] = holds("1234", addresses=["10.0.0.4"])
    assert plan(seen)["gone"] == {"4": "zk4:2888:3888"}


def test_two_are_not_taken_out_at_once() -> None:
    text = refusal(plan({"1": holds("123")}))
    assert text.startswith("Servers 2 and 3 were taken out of the group at once: put all but one back, run,")
    assert "put all but one back" in refusal(plan({n: holds("12345") for n in "123"}))


def test_one_of_two_voters_is_not_taken_out_with_an_observer_that_may_have_a_vote_by_now() -> None:
    """A run that was cut short may have given it one: only those that are not here know."""
    text = refusal(plan({"1": holds("12", "3")}))
    assert text.startswith("Servers 2 and 3 were taken out of the group at once: put all but one back")
    assert text.endswith("declare that: -e zookeeper_dead=zk2,zk3")
    assert steps(plan({"1": holds("12", "3")}, dead="zk2,zk3")) == ["1"]
    assert steps(plan({"1": holds("12", "3"), "3": holds("12", "3")}, observers="3")) == ["1|3"]
    assert steps(plan({n: holds("123", "4") for n in "12"})) == ["12"], "the others are more than those two"


def test_a_new_machine_waits_until_the_old_one_is_stopped() -> None:
    """Others know where it was, and it still answers there: two servers would have one id."""
    old = {n: holds("123", servers=servers("123") | {"3": "old3:2888:3888"}) for n in "12"}
    runs = {n: old[n] | {"elsewhere": {"3": "old3"}} for n in "12"}
    text = refusal(plan(runs | {"3": empty()}))
    assert text.startswith(
        "zookeeper_id of zk3, which has no data, is 3, but a server 3 still runs on old3, "
    )
    assert "stop it there first (systemctl disable --now zookeeper), and run again." in text
    assert "take server 3 out of the group, run, and put it back" in text
    assert steps(plan(old | {"3": empty()})) == ["123"], "it is stopped"
    assert steps(plan(runs | {"3": holds("123")})) == ["123"], "it has moved with its data"
    begun = empty(servers=servers("123"), configured=True, unit={"running": True})
    assert steps(plan(runs | {"3": begun})) == ["123"], "it may be the one that answers there"
    assert steps(plan(runs | {"3": empty(addresses=["old3"])})) == ["123"], "it is one of its own addresses"
    assert steps(plan({**runs, "2": runs["2"] | {"addresses": ["old3"]}, "3": empty()})) == ["123"], (
        "server 2's"
    )
    assert steps(plan(runs | {"3": empty()}, limit="12")) == ["123"], "it is not to start"


def test_addresses_change_before_the_voters_do() -> None:
    """Who looks for a leader elsewhere could wait in vain, and then nobody would restart it."""
    seen = {n: holds("123", servers=servers("123") | {"1": "old1:2888:3888"}) for n in "123"}
    answer = plan(seen, observers="3")
    assert steps(answer) == ["123", "12|3"]
    assert orders(answer) == ["123|123"] * 2
    assert not answer["stages"][0]["changing"]
    assert steps(plan({n: seen[n] for n in "12"})) == ["12"]
    gone = {n: holds("123", "4") for n in "123"}
    assert steps(plan(gone, observers="3")) == ["12|3"], "one that left has not moved"


def test_coming_and_going_are_two_runs() -> None:
    text = refusal(plan({"1": holds("123"), "2": holds("123"), "4": empty()}))
    assert "takes server 3 out and brings in 4: make" in text
    assert "(zookeeper_id 3, empty directories)" in text
    text = refusal(plan({n: holds("12345") for n in "123"} | {"6": empty()}, dead="zk4,zk5"))
    assert text.startswith("The change takes servers 4 and 5 out and brings in 6: make these changes in two")
    assert "If servers 4 and 5 are lost for good, keep them off, and give new hosts their numbers" in text
    assert "(zookeeper_id 4 or 5, empty directories): they are then sent the data." in text
    text = refusal(plan({n: holds("12345") for n in "1234"}, observers="4"))
    assert "takes server 5 out and makes observers of 4: make" in text


def test_a_voter_becomes_an_observer_and_back() -> None:
    assert steps(plan({n: holds("12345") for n in "12345"}, observers="45")) == ["1235|4", "123|45"]
    assert steps(plan({n: holds("123", "45") for n in "12345"})) == ["1234|5", "12345"]


def test_who_starts_finds_the_leader_before_that_votes_no_more() -> None:
    down: Found = {"unit": {"running": False}}
    seen = {n: holds("123", "4") for n in "123"} | {"4": holds("123", "4", **down)}
    assert orders(plan(seen, observers="34")) == ["4|1234", "1234|1234"]
    assert steps(plan(seen, observers="34")) == ["123|4", "12|34"]
    assert steps(plan(seen | {"4": empty()}, observers="34")) == ["123|4", "12|34"]
    assert orders(plan(seen, observers="4")) == ["1234|1234"]


def test_one_alone_starts_with_those_that_come() -> None:
    seen = {"1": holds("1", unit={"running": False}), "2": empty(), "3": empty()}
    assert orders(plan(seen)) == ["123|123"] * 3
    assert steps(plan(seen)) == ["1|23", "12|3", "123"]


def test_of_two_voters_the_one_with_data_is_enough() -> None:
    """For each of two has all that was acknowledged. They could not serve again before the change."""
    stopped = holds("12", unit={"running": False})
    assert steps(plan({"1": stopped}, dead="zk2")) == ["1"]
    assert steps(plan({"1": holds("12"), "2": empty()}, observers="2")) == ["1|2"]
    assert steps(plan({"1": stopped, "2": stopped}, observers="2")) == ["12", "1|2"]


def test_who_shall_only_observe_and_has_no_data_counts_as_lost() -> None:
    text = refusal(plan({"1": holds("123"), "2": empty(), "3": empty()}, observers="23"))
    assert text.startswith("Of the voters 1, 2 and 3, 2 and 3 have no data")


def test_observers_come_and_go_without_a_change_of_voters() -> None:
    came = plan({n: holds("123") for n in "123"} | {"4": empty()}, observers="4")
    assert steps(came) == ["123|4"]
    assert not came["stages"][0]["changing"]
    went = plan({n: holds("123", "4") for n in "123"})
    assert steps(went) == ["123"]
    assert went["gone"] == {"4": "zk4:2888:3888:observer"}


def test_somebody_must_vote() -> None:
    assert "zookeeper_observer is set for all hosts" in refusal(
        plan({"1": empty(), "2": empty()}, observers="12")
    )


def test_a_dead_disk_is_replaced() -> None:
    answer = plan({"1": holds("123"), "2": empty(), "3": holds("123")})
    assert (steps(answer), answer["new"]) == (["123"], False)


def test_too_many_dead_disks() -> None:
    text = refusal(plan({"1": holds("123"), "2": empty(), "3": empty()}))
    assert "Of the voters 1, 2 and 3, 2 and 3 have no data" in text
    assert "take server 2 out of the group" in refusal(plan({"1": holds("12"), "2": empty()}))


def test_the_last_of_two_with_data_goes_on_alone() -> None:
    assert steps(plan({"1": holds("12")})) == ["1"]


def test_others_tell_which_members_there_are() -> None:
    """So the next change of members is made in steps, as ever."""
    seen = {n: holds("123") | written(1, 2) for n in "12"} | {"3": reinstalled(1, 2), "4": empty()}
    assert steps(plan(seen)) == ["123|4", "123|4", "1234"]
    assert orders(plan(seen)) == ["3|123", "34|1234", "1234|1234"]


def test_who_votes_changes_only_when_those_who_voted_serve() -> None:
    """Or those that are to vote might be without what was acknowledged."""
    seen = {"1": holds("123", unit={"running": False}), "2": empty(), "3": holds("123")}
    assert orders(plan(seen, observers="3")) == ["12|123", "123|123"]
    assert steps(plan(seen, observers="3")) == ["123", "12|3"]
    seen["2"] = holds("123")
    text = refusal(plan(seen, gone="3"))
    assert text.startswith(
        "Server 3 was taken out of the group while zk1 does not serve. It may have what that"
    )
    assert "put it back, run, and take it out when all are well. If it is dead and will never run" in text
    assert "declare that: -e zookeeper_dead=zk3" in text
    assert orders(plan(seen, gone="3", dead="zk3")) == ["1|12", "12|12"]


def test_a_change_that_was_cut_short_is_finished_first() -> None:
    answer = plan(
        {"1": holds("1234", "5"), "2": holds("123"), "3": holds("123"), "4": holds("123", "45")}
        | {"5": empty()}
    )
    assert steps(answer) == ["1234|5", "1234|5", "12345"]
    assert answer["stages"][0]["changing"]


def test_a_change_that_was_cut_short_may_be_taken_back() -> None:
    answer = plan({"1": holds("1234"), "2": holds("123"), "3": holds("123")})
    assert steps(answer) == ["123"]
    assert answer["stages"][0]["changing"], "server 1 has another list"


def test_a_change_cut_short_is_not_left_in_another_direction() -> None:
    text = refusal(
        plan({"1": holds("1234"), "2": holds("123"), "3": holds("123"), "4": holds("123", "4")}, gone="3")
    )
    assert "cut short" in text


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ({n: empty() for n in "123"}, "The ensemble is new, and --limit leaves out zk1 and zk3"),
        ({"1": None, "2": empty(), "3": None}, "zk1 and zk3 could not: the role cannot"),
        (
            {n: holds("123") for n in "123"} | {"4": empty()},
            "The voters change from 1, 2 and 3 to 1, 2, 3 and 4",
        ),
    ],
)
def test_limit_does_not_hide_the_others(seen: Mapping[str, Found | None], said: str) -> None:
    assert said in refusal(plan(seen, limit="2"))


def test_limit_does_not_hide_what_is_wrong_with_data() -> None:
    """The host's own run would refuse it; and the plan would take what counts for the newest there is."""
    text = "zookeeper_id of zk3 is 3, but its data belongs to server 2: ..."
    seen = {"1": holds("123"), "2": holds("123"), "3": holds("123", doubts=[text])}
    said = refusal(plan(seen, limit="12"))
    assert said.startswith("--limit leaves out zk3, but the plan depends on its data, and the role cannot ")
    assert "Run without --limit to see why and what to do." in said
    seen["3"]["doubts"] = []
    assert plan(seen, limit="12")["problems"] == []


@pytest.mark.parametrize("two", [holds("123"), empty()])
def test_limit_does_for_a_change_that_concerns_one(two: Found) -> None:
    answer = plan({"1": holds("123"), "2": two, "3": None}, limit="2")
    assert (steps(answer), answer["new"]) == (["123"], False)


def majorities(voters: frozenset[str]) -> list[frozenset[str]]:
    size = len(voters) // 2 + 1
    return [frozenset(some) for some in combinations(sorted(voters), size)]


@pytest.mark.parametrize("before", ["1", "12", "123", "1234", "12345"])
@pytest.mark.parametrize("after", ["2", "14", "135", "12345"])
def test_at_each_step_every_old_majority_meets_every_new_one(before: str, after: str) -> None:
    """Over all changes: either it is refused, or each list of voters meets the one before it."""
    everybody = sorted({*before, *after})
    seen = {n: holds(before) if n in before else empty() for n in everybody}
    answer = plan(seen, observers="".join(set(before) - set(after)))
    if answer["problems"]:
        return
    lists = [frozenset(before)] + [frozenset(step.split("|")[0]) for step in steps(answer)]
    assert lists[-1] == frozenset(after)
    for old, new in pairwise(lists):
        assert all(a & b for a in majorities(old) for b in majorities(new)), (old, new)


# ------------------------------------------------------------ members that are dead for good


def test_two_of_five_that_are_dead_go_one_after_the_other() -> None:
    """Until its turn comes the others' zoo.cfg names the second: each list differs from the next in one."""
    seen = {n: holds("12345") for n in "123"}
    answer = plan(seen, dead="zk4, zk5")
    assert steps(answer) == ["1235", "123"]
    assert orders(answer) == ["123|123", "123|123"]
    [placeholder] = [m for m in answer["stages"][0]["members"] if m["id"] == 5]
    assert placeholder == {
        "name": "server 5",
        "id": 5,
        "left": True,
        "host": "zk5",
        "quorum_port": 2888,
        "election_port": 3888,
        "observer": False,
    }
    assert [m["id"] for m in answer["stages"][1]["members"]] == ["1", "2", "3"]


def test_the_refusal_tells_how_to_declare_them_dead() -> None:
    text = refusal(plan({n: holds("12345") for n in "123"}))
    assert "If they are dead and will never run again, declare that: -e zookeeper_dead=zk4,zk5" in text


def test_new_hosts_at_the_addresses_of_dead_ones_take_their_numbers() -> None:
    """Nobody may declare a member dead: neither message may lead to the other for ever."""
    five = {n: holds("12345") for n in "123"}
    reused = five | {"6": empty(addresses=["zk4"]), "7": empty(addresses=["zk5"])}
    declared = refusal(plan(reused, dead="zk6"))
    assert declared.startswith("zookeeper_dead names zk6, which is in the group")
    text = refusal(plan(reused))
    assert "give zk6 zookeeper_id 4 and zk7 zookeeper_id 5, with empty directories, and run again" in text
    assert "declare" not in text
    assert steps(plan(five | {"4": empty(), "5": empty()})) == ["12345"]
    one = refusal(plan(five | {"6": empty(addresses=["zk4"])}))
    assert "give zk6 zookeeper_id 4, with" in one
    assert refusal(plan(five | {"4": empty()})).endswith("declare that: -e zookeeper_dead=zk5")
    assert steps(plan(five | {"4": empty()}, dead="zk5"))[-1] == "1234"


def test_a_member_with_data_at_the_address_of_a_dead_one_keeps_its_number() -> None:
    seen = {"1": holds("12345"), "2": holds("12345"), "3": holds("12345", addresses=["zk4"])}
    text = refusal(plan(seen))
    assert "give zk3 another zookeeper_host until the dead are out, and run again" in text
    seen["3"] = holds("12345")
    assert "declare that: -e zookeeper_dead=zk4,zk5" in refusal(plan(seen))


def test_whoever_may_have_newer_data_is_not_declared_dead_by_the_address_of_a_member() -> None:
    seen = {n: stopped("123", 0x100000002, at=int(n)) for n in "12"}
    assert "declare that: -e zookeeper_dead=zk3" in refusal(plan(seen))
    assert "give zk6 zookeeper_id 3" in refusal(plan(seen | {"6": empty(addresses=["zk3"])}))


@pytest.mark.parametrize("dead", ["zk4", "zk4,zk4", "zk5,zk6", "10.0.0.4,10.0.0.5"])
def test_all_must_be_declared_by_the_addresses_that_the_servers_know(dead: str) -> None:
    """A declaration for another inventory does nothing here."""
    assert "Servers 4 and 5 were taken out" in refusal(plan({n: holds("12345") for n in "123"}, dead=dead))


def test_who_is_in_the_group_is_not_dead() -> None:
    text = refusal(plan({n: holds("12345") for n in "1234"}, dead="zk4,zk5"))
    assert text.startswith("zookeeper_dead names zk4, which is in the group")


def test_declared_twice_there_is_nothing_to_do() -> None:
    assert steps(plan({n: holds("123") for n in "123"}, dead="zk4,zk5")) == ["123"]


@pytest.mark.parametrize("dead", ["zk44,zk5", "zk44, zk5,"])
def test_who_is_declared_dead_and_is_nobody_is_told(dead: str) -> None:
    """A mistyped address; or that of a member that is gone already."""
    said = (
        "zookeeper_dead names zk44, but no server knows a member there, so this has no effect. The "
        "members are 1 on zk1, 2 on zk2, 3 on zk3, 4 on zk4 and 5 on zk5. Correct the address, or remove it"
    )
    text = refusal(plan({n: holds("12345") for n in "123"}, dead=dead))
    assert text.startswith("Servers 4 and 5 were taken out of the group at once")
    assert said in text
    assert said in plan({n: holds("12345") for n in "12345"}, dead="zk44")["nobody"]
    assert plan({n: holds("12345") for n in "1234"}, dead="zk5")["nobody"] == ""
    assert plan({n: holds("123") for n in "123"})["nobody"] == ""
    moving = {"1": holds("1234"), "2": holds("1234"), "3": replaced("1234", "4")}
    assert plan(moving, dead="zk4")["nobody"] == "", "one server knows it"
    text = refusal(plan({n: holds("12") for n in "12"} | {"3": empty()}, dead="zk3"))
    assert text.startswith("zookeeper_dead names zk3, which is in the group")
    assert "no server knows" not in text
    young = plan({n: empty() for n in "12"}, dead="zk4")
    assert "names zk4, but no server knows a member there" in young["nobody"]
    assert "The members are 1 on zk1 and 2 on zk2." in young["nobody"]


@pytest.mark.parametrize(("at", "then"), [("1235", ["1235", "123"]), ("123", ["123"])])
def test_a_burial_that_was_cut_short_goes_on(at: str, then: list[str]) -> None:
    seen = {"1": holds(at), "2": holds("1235"), "3": holds("12345" if at == "1235" else "1235")}
    answer = plan(seen, dead="zk4,zk5")
    assert steps(answer) == then
    assert answer["stages"][0]["changing"]
    if at == "1235":
        assert "declare that: -e zookeeper_dead=zk5" in refusal(plan(seen))


def test_they_come_back_to_five() -> None:
    seen = {n: holds("123") for n in "123"} | {n: empty() for n in "45"}
    assert steps(plan(seen, dead="")) == ["123|45", "1234|5", "12345"]


@given(st.integers(1, 7), st.data())
def test_no_burial_costs_what_was_acknowledged(size: int, data: st.DataObject) -> None:
    """Whoever is declared dead: without a majority it is refused, and each list meets the one before it."""
    voters = "1234567"[:size]
    living = data.draw(st.sets(st.sampled_from(voters), min_size=1))
    seen = {n: holds(voters) for n in living}
    dead = data.draw(st.sets(st.sampled_from(voters)))
    answer = plan(seen, dead=",".join(f"zk{n}" for n in dead))
    if answer["problems"]:
        return
    assert 2 * len(living) > size or size == 2
    assert len(living) >= size - 1 or set(voters) - living <= dead
    lists = [frozenset(voters)] + [frozenset(step.split("|")[0]) for step in steps(answer)]
    assert lists[-1] == frozenset(living)
    for old, new in pairwise(lists):
        assert all(a & b for a in majorities(old) for b in majorities(new)), (old, new)


# ------------------------------------------------------------ ports

NEW = dict.fromkeys("123", (2889, 3889))


def knows(new: str, running: bool = True) -> Found:
    """A server that goes by the new ports of these members, and by the old ones of the others."""
    listed = {n: f"zk{n}:2889:3889" if n in new else f"zk{n}:2888:3888" for n in "123"}
    return holds("123", unit={"running": running}) | {"servers": listed}


def port_steps(answer: dict[str, Any]) -> list[tuple[str, str]]:
    """Of each stage: who restarts first, and the members with new ports."""
    assert answer["problems"] == []
    return [
        (
            stage.get("first", ""),
            "".join(
                str(m["id"]) for m in stage["members"] if (m["quorum_port"], m["election_port"]) == NEW["1"]
            ),
        )
        for stage in answer["stages"]
    ]


def test_ports_of_a_running_ensemble_change_one_member_after_the_other() -> None:
    """It restarts first: it finds the others, who do not know yet where it is."""
    answer = plan({n: knows("") for n in "123"}, ports=NEW)
    assert port_steps(answer) == [("zk1", "1"), ("zk2", "12"), ("zk3", "123")]
    assert all(
        stage["hosts"] == ["zk1", "zk2", "zk3"] and not stage["changing"] for stage in answer["stages"]
    )
    assert port_steps(plan({n: knows("") for n in "123"}, ports={"2": NEW["2"]})) == [("zk2", "2")]


def test_ports_of_a_stopped_ensemble_change_at_once() -> None:
    assert port_steps(plan({n: knows("", running=False) for n in "123"}, ports=NEW)) == [("", "123")]


def test_observers_of_a_single_voter_wait_for_its_new_ports() -> None:
    answer = plan({n: holds("1", "23") for n in "123"}, observers="23", ports=NEW)
    assert port_steps(answer) == [("", "123")]
    assert answer["stages"][0]["changing"]


def test_a_change_of_ports_that_was_cut_short_goes_on_with_who_began() -> None:
    seen = {"1": knows(""), "2": knows("2"), "3": knows("")}
    assert port_steps(plan(seen, ports=NEW)) == [("zk2", "2"), ("zk1", "12"), ("zk3", "123")]
    seen = {"1": knows("12"), "2": knows("12"), "3": knows("2")}
    assert port_steps(plan(seen, ports=NEW)) == [("zk1", "12"), ("zk3", "123")]


def test_a_change_of_ports_that_was_cut_short_is_taken_back() -> None:
    """Whoever listens on new ports is told of as such until it has the old ones again."""
    seen = {"1": knows("1"), "2": knows("12"), "3": knows("")}
    assert port_steps(plan(seen)) == [("zk1", "2"), ("zk2", "")]


def test_who_does_not_run_starts_before_the_ports_change() -> None:
    """It finds the leader where that is. What its own ports are, the others know."""
    seen = {"1": knows(""), "2": knows(""), "3": empty()}
    assert port_steps(plan(seen, ports=NEW)) == [("", ""), ("zk1", "1"), ("zk2", "12"), ("zk3", "123")]
    seen["3"] = knows("", running=False)
    assert port_steps(plan(seen, ports=NEW)) == [("", ""), ("zk1", "1"), ("zk2", "12"), ("zk3", "123")]


def test_ports_and_voters_do_not_change_at_once() -> None:
    said = refusal(plan({n: knows("") for n in "123"} | {"4": empty()}, ports=NEW))
    assert said.startswith("The voters change from 1, 2 and 3 to 1, 2, 3 and 4, and zookeeper_quorum_port or")
    assert "of zk1, zk2 and zk3, too: set the ports back, run, and change them then." in said


def test_all_members_learn_of_new_ports() -> None:
    said = refusal(plan({n: knows("") for n in "123"}, ports=NEW, limit="1"))
    assert "of zk1, zk2 and zk3 changes, and --limit leaves out zk2 and zk3: all members must learn" in said


def test_a_server_alone_has_no_such_ports() -> None:
    assert port_steps(plan({"1": holds("1")}, ports=NEW)) == [("", "1")]
