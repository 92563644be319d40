"""From the members an ensemble has to those the inventory names: the steps, and what is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.zookeeper_role import load_file

plan_of = load_file("filter/zookeeper_voter_stages.py").zookeeper_voter_stages

Found = dict[str, Any]


def servers(voters: str, observers: str = "") -> dict[str, str]:
    """What a zoo.cfg says of the members, each named by one digit."""
    return {n: f"zk{n}:2888:3888" for n in voters} | {n: f"zk{n}:2888:3888:observer" for n in observers}


def holds(voters: str, observers: str = "", **other: Any) -> Found:
    """A server with data, and the members it knows of."""
    listed = servers(voters, observers) if len(voters + observers) > 1 else {}
    found = {
        "data": True,
        "marker": False,
        "servers": listed,
        "unit": {"running": True},
        "last_zxid": "0x100000001",
        "trail": {},
        "configured": True,
    }
    return found | other


def empty(**other: Any) -> Found:
    return {
        "data": False,
        "marker": False,
        "servers": {},
        "unit": {"running": False},
        "last_zxid": None,
        "trail": {},
        "configured": False,
    } | other


def written(*zxids: int, at: int = 0) -> Found:
    """These are its last transactions, made at that time."""
    return {"last_zxid": f"{max(zxids):#x}", "trail": {f"{zxid:#x}": at for zxid in zxids}}


def reinstalled(*zxids: int, at: int = 0) -> Found:
    """A host on which nothing is left but the data: it knows of no members, and nothing runs."""
    return holds("", servers={}, configured=False, unit={"running": False}) | written(*zxids, at=at)


def plan(
    seen: Mapping[str, Found | None],
    *,
    observers: str = "",
    limit: str = "",
    gone: str = "",
    dead: str = "",
    disaster: bool = False,
    ports: Mapping[str, tuple[int, int]] | None = None,
) -> dict[str, Any]:
    """Plan for the servers of ``seen`` (None: it could not be looked at) without those of ``gone``."""
    members: list[dict[str, Any]] = [
        {"name": f"zk{n}", "id": n, "host": f"zk{n}", "observer": n in observers}
        | dict(zip(("quorum_port", "election_port"), (ports or {}).get(n, (2888, 3888)), strict=True))
        for n in sorted(seen)
        if n not in gone
    ]
    looked = {f"zk{n}": found or {"msg": "unreachable"} for n, found in seen.items()}
    play = [m["name"] for m in members if not limit or m["id"] in limit]
    answer: dict[str, Any] = plan_of(members, looked, play, dead, disaster)
    return answer


def steps(answer: dict[str, Any]) -> list[str]:
    """Voters and, after a stroke, observers of each stage."""
    assert answer["problems"] == []
    stages = []
    for stage in answer["stages"]:
        voters = "".join(sorted(str(m["id"]) for m in stage["members"] if not m["observer"]))
        rest = "".join(m["id"] for m in stage["members"] if m["observer"])
        stages.append(f"{voters}|{rest}" if rest else voters)
    return stages


def refusal(answer: dict[str, Any]) -> str:
    assert answer["stages"] == []
    [text] = answer["problems"]
    return str(text)


def test_a_new_ensemble_starts_as_it_shall_be() -> None:
    answer = plan({"1": empty(), "2": empty(), "3": empty(), "4": empty()}, observers="4")
    assert steps(answer) == ["123|4"]
    assert answer["new"]


def test_a_first_start_that_was_cut_short_goes_on() -> None:
    begun = empty(marker=True, servers=servers("123"))
    assert plan({"1": begun, "2": begun, "3": empty()})["new"]
    answer = plan({"1": holds("123"), "2": begun, "3": begun})
    assert (steps(answer), answer["new"]) == (["123"], False)


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


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (holds("2"), "server 2 as a member of 2: that is not one"),
        (holds("12"), "that is not one"),  # its partner served alone since then
        (holds("456"), "as a member of 4, 5 and 6"),
    ],
)
def test_foreign_data_does_not_join(other: Found, said: str) -> None:
    assert said in refusal(plan({"1": holds("1"), "2": other}))


def test_voters_change_one_by_one_so_two_at_once_are_no_change_of_ours() -> None:
    seen = {n: holds("123") for n in "12"} | {n: holds("12345") for n in "345"}
    assert "server 3 as a member of 1, 2, 3, 4 and 5: that is not one" in refusal(plan(seen))


def test_data_of_a_namesake_does_not_join() -> None:
    foreign = holds("123", servers={n: f"test{n}:2888:3888" for n in "123"})
    text = refusal(plan({"1": holds("12"), "2": holds("12"), "3": foreign}))
    assert "at other addresses" in text
    assert "take the hosts of one out of the group" in text


def replaced(voters: str, moved: str, **other: Any) -> Found:
    """It knows of these voters, of which some are at new addresses."""
    return holds(
        voters, servers=servers(voters) | {n: f"new{n}:2888:3888" for n in moved if n in voters}, **other
    )


def test_a_member_on_another_machine_is_no_other_ensemble() -> None:
    seen = {"1": holds("123"), "2": holds("123"), "3": replaced("123", "3")}
    assert steps(plan(seen)) == ["123"]
    assert steps(plan({"1": replaced("12345", "5")} | {n: holds("12345") for n in "2345"})) == ["12345"]


def test_a_member_on_another_machine_while_another_begins_to_vote() -> None:
    seen = {n: holds("123", "4") for n in "124"} | {"3": replaced("1234", "3")}
    assert steps(plan(seen))[-1] == "1234"


@pytest.mark.parametrize(("voters", "moved"), [("123", "23"), ("123", "123"), ("12", "2"), ("12345", "45")])
def test_lists_that_differ_in_more_may_be_of_two_ensembles(voters: str, moved: str) -> None:
    seen = {n: holds(voters) for n in voters} | {voters[-1]: replaced(voters, moved)}
    assert "at other addresses: that is not one ensemble's" in refusal(plan(seen))


# ---------------------------------------------------------------- hosts that were installed anew


def orders(answer: dict[str, Any]) -> list[str]:
    """Hosts of each stage and, after a stroke, those that must be healthy then."""
    assert answer["problems"] == []
    digits = [
        ("".join(name[-1] for name in stage["hosts"]), "".join(m["id"] for m in stage["asked"]))
        for stage in answer["stages"]
    ]
    return [f"{hosts}|{asked}" for hosts, asked in digits]


def test_a_host_that_was_installed_anew_is_what_its_data_are() -> None:
    serving = {n: holds("123") | written(1, 2, 3) for n in "12"}
    answer = plan(serving | {"3": reinstalled(1, 2)})
    assert (steps(answer), answer["new"]) == (["123"], False)
    assert orders(answer) == ["123|123"], "the others run: it gets what it lacks before it votes"


def test_when_all_were_installed_anew_those_with_the_newest_data_start_first() -> None:
    answer = plan({"1": reinstalled(1, 2), "2": reinstalled(1, 2, 3), "3": reinstalled(1, 2, 3, 4)})
    assert steps(answer) == ["123", "123"]
    assert orders(answer) == ["23|23", "123|123"]
    assert "the newest data first: zk2 and zk3" in answer["stages"][0]["label"]


def test_a_disk_that_was_restored_with_its_zoo_cfg_does_not_lead() -> None:
    """The copy and one that was behind could elect a leader without the newest data."""
    seen = {"1": stopped("123", 1), "2": stopped("123", 1, 2, 3, 4), "3": stopped("123", 1, 2)}
    answer = plan(seen)
    assert orders(answer) == ["23|23", "123|123"]
    assert steps(answer) == ["123"] * 2
    assert [stage.get("newest_first", False) for stage in answer["stages"]] == [True, False]
    assert not any(stage["changing"] for stage in answer["stages"])
    seen["3"] = holds("123") | written(1, 2)
    assert orders(plan(seen)) == ["2|23", "123|123"], "one runs, and waits"


def test_whoever_was_switched_off_starts_at_once_if_no_majority_is_behind() -> None:
    for last in (1, 4):
        seen = {"1": stopped("123", *range(1, 1 + last)), "2": stopped("123", 1, 2, 3, 4)}
        assert orders(plan(seen | {"3": stopped("123", 1, 2, 3, 4)})) == ["123|123"]
    serving = {n: holds("123") | written(1, 2, 3) for n in "12"}
    assert orders(plan(serving | {"3": stopped("123", 1)})) == ["123|123"]
    assert orders(plan({"1": stopped("123", 1, 2), "2": stopped("123", 1), "3": empty()})) == ["123|123"]
    seen = {n: stopped("12345", *range(1, 1 + int(n))) for n in "2345"}
    assert orders(plan({"1": empty()} | seen)) == ["345|345", "12345|12345"]


def test_who_has_a_damaged_log_is_not_waited_for() -> None:
    """It does not start. The others can, as they are a majority, unless what can be read of it is as new."""
    bad: Found = {"damaged": BAD}
    seen = {n: stopped("12345", *range(1, 1 + int(n))) for n in "12345"}
    assert orders(plan(seen | {"4": seen["4"] | bad})) == ["235|235", "12345|12345"]
    assert orders(plan(seen | {n: seen[n] | bad for n in "234"})) == ["12345|12345"]
    text = refusal(plan(seen | {"5": seen["5"] | bad}))
    assert text.startswith("Whose data are the newest cannot be told")
    assert "Keep the file" in text


def test_one_that_runs_is_of_the_first_majority() -> None:
    running = {"1": holds("12345") | written(1, 2), "2": holds("12345") | written(1, 2)}
    stopped = {n: reinstalled(*range(1, 3 + int(n))) for n in "345"}
    assert orders(plan(running | stopped)) == ["5|125", "12345|12345"]


def test_a_single_server_that_was_installed_anew_goes_on() -> None:
    assert orders(plan({"1": reinstalled(1, 2)})) == ["1|1"]
    assert "have no data" in refusal(plan({"1": reinstalled(1, 2), "2": empty(), "3": empty()}))


def test_the_newest_data_must_vote_where_nobody_knows_who_did() -> None:
    seen = {"1": reinstalled(1, 2, 3), "2": reinstalled(1, 2), "3": reinstalled(1, 2)}
    text = refusal(plan(seen, observers="1"))
    assert text.startswith(
        "Server 1 has the newest data, and in the inventory it only observes. The last zxid"
    )
    assert "server 1: 0x3, epoch 0; server 2: 0x2, epoch 0; server 3" in text
    assert "Unset zookeeper_observer for server 1, run, and set it then." in text
    assert steps(plan(seen | {"1": reinstalled(1, 2)}, observers="1")) == ["23|1"] * 2
    assert steps(plan(seen | {"2": holds("23", "1") | written(1, 2, 3)}, observers="1")) == ["23|1"] * 2


def test_an_observer_with_newer_data_than_any_voter_is_not_sent_theirs() -> None:
    """The disks of voters were restored, or those that had more are lost."""
    down: Found = {"unit": {"running": False}}
    seen = {n: holds("123", "4", **down) | written(1, 2) for n in "123"}
    seen["4"] = holds("123", "4") | written(1, 2, 3)
    text = refusal(plan(seen, observers="4"))
    assert text.startswith(
        "Server 4 has the newest data, and it has no vote. The last zxid of each is server"
    )
    assert "Restore the data of server 4 on all (docs/operations.md, 'Back up and restore'), and run" in text
    assert steps(plan(seen | {"3": seen["3"] | written(1, 2, 3)}, observers="4"))[-1] == "123|4"
    young: Found = {"last_zxid": "0x100000000"}
    bare: Found = {"trail": {}}
    for its in (written(1, 2), bare):
        late = seen["4"] | its | young
        assert steps(plan(seen | {"4": late}, observers="4")) == ["123|4"], "it was sent a snapshot"
    assert "have no data" in refusal(plan({"4": seen["4"], "1": empty(), "2": empty()}, observers="4"))
    serving = {n: seen[n] | {"unit": {"running": True}} for n in "12"}
    assert steps(plan(seen | serving, observers="4")) == ["123|4"], "it is ahead because it was asked later"


@pytest.mark.parametrize("bad", ["2", "5"])
def test_an_observer_is_not_restored_on_all_beside_a_damaged_log(bad: str) -> None:
    """What cannot be read of it may be what was acknowledged last."""
    down: Found = {"unit": {"running": False}}
    seen = {n: holds("123", "45", **down) | written(1, 2) for n in "125"}
    seen |= {"3": empty(), "4": holds("123", "45") | written(1, 2, 3)}
    seen[bad] |= {"damaged": BAD}
    text = refusal(plan(seen, observers="45"))
    assert f"Keep the file {BAD} of server {bad}" in text
    assert "Restore the data" not in text
    seen[bad] |= {"damaged": ""}
    assert "Restore the data of server 4 on all" in refusal(plan(seen, observers="45"))


def test_the_newest_data_must_vote_after_a_disaster() -> None:
    seen = {"1": holds("12345") | written(1, 2), "2": holds("12345") | written(1, 2, 3)}
    lost: dict[str, Any] = {"gone": "345", "dead": "zk3,zk4,zk5", "disaster": True}
    text = refusal(plan(seen | dict.fromkeys("345"), observers="2", **lost))
    assert text.startswith("Server 2 has the newest data, and in the inventory it only observes.")
    assert steps(plan(seen | dict.fromkeys("345"), observers="1", **lost)) == ["2|1"]


def test_what_is_lost_with_empty_voters_is_said_where_nobody_knows_who_voted() -> None:
    text = refusal(plan({"1": reinstalled(1, 2), "2": empty(), "3": empty()}))
    assert "The last zxid of each that has data is server 1: 0x2, epoch 0: keep these." in text
    assert "the voters 2 and 3: writes after 0x2 (server 1), if there were any, are then lost." in text
    text = refusal(plan({"1": holds("123"), "2": empty(), "3": empty()}))
    assert "the voters 2 and 3: the refusal then tells what that costs." in text


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


def test_a_strangers_disk_is_refused() -> None:
    serving = {n: holds("123") | written(1, 2, 3) for n in "12"}
    text = refusal(plan(serving | {"3": reinstalled(1, 2, at=7)}))
    assert "The data of servers 1 and 3 have different transactions" in text
    assert "as when a copy serves by itself, server 1 has the newest data: keep those. Stop server 3" in text


def test_data_that_nothing_connects_with_the_others_are_refused() -> None:
    serving = {n: holds("123") | written(1, 2, 3) for n in "12"}
    text = refusal(plan(serving | {"3": reinstalled(9)}))
    assert (
        "Server 3 has data, but no zoo.cfg, and none of its last transactions is one of server 1 and 2"
        in text
    )
    assert "Discard no data: server 3 has the newest" in text


def stopped(voters: str, *zxids: int, at: int = 0) -> Found:
    """A server of a host that is as it was, with a zoo.cfg."""
    return holds(voters, unit={"running": False}) | written(*zxids, at=at)


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("trail", [True, False])
def test_a_disk_of_another_ensemble_may_not_lead_under_our_zoo_cfg(running: bool, trail: bool) -> None:
    """It is newer than all, and has nothing in common with them."""
    foreign = stopped("123", 0x900000005) | ({} if trail else {"trail": {}})
    ours: Found = {"unit": {"running": running}}
    text = refusal(plan({n: holds("123", **ours) | written(1, 2, 3) for n in "12"} | {"3": foreign}))
    assert text.startswith(
        "Server 3 has data, the newest of all, but none of its last transactions is one of"
    )
    assert "server 1 and 2: they may be another ensemble's. The last zxid of each is server 1: 0x3" in text
    assert (
        "take the hosts of one out of the group `zookeeper`. Discard no data: server 3 has the newest" in text
    )
    assert "If server 3 has another ensemble's disk, give it back its own." in text
    assert "restore the data of server 3 on all (docs/operations.md, 'Back up and restore')" in text


@pytest.mark.parametrize(
    "three",
    [
        stopped("123", 1),  # it was down for long
        stopped("123", 3, 0x900000005),  # a leader that died
        holds("123") | written(0x900000005),  # it serves, and was sent a snapshot
        stopped("123", 0x900000000) | {"trail": {}},  # an epoch in which nobody has written yet
        stopped("123", 0x900000000, 3),
    ],
)
def test_nobody_is_a_stranger_for_what_happens_to_members(three: Found) -> None:
    assert steps(plan({n: stopped("123", 2, 3) for n in "12"} | {"3": three}))[-1] == "123"


def test_an_epoch_that_just_began_does_not_hide_a_stranger() -> None:
    foreign = stopped("123", 0x800000005) | {"last_zxid": "0x900000000"}
    text = refusal(plan({n: stopped("123", 2, 3) for n in "12"} | {"3": foreign}))
    assert text.startswith("Server 3 has data, the newest of all, but")


def test_two_disks_of_another_ensemble_are_strangers_a_majority_is_not() -> None:
    ours = {n: stopped("12345", 1, 2, 3) for n in "123"}
    text = refusal(plan(ours | {n: stopped("12345", 8, 9) for n in "45"}))
    assert text.startswith(
        "Server 4 has data, the newest of all, but none of its last transactions is one of"
    )
    assert "server 1, 2 and 3: they may be another ensemble's" in text
    seen = {n: stopped("12345", 8, 9) for n in "345"} | {n: stopped("12345", 1, 2) for n in "12"}
    assert steps(plan(seen))[-1] == "12345", "two were down for long"


def test_who_was_sent_a_snapshot_and_goes_as_far_as_others_is_no_stranger() -> None:
    seen = {"1": stopped("123", 3) | {"trail": {}}, "2": stopped("123", 2, 3), "3": stopped("123", 2, 3)}
    assert steps(plan(seen)) == ["123"]


def test_two_that_are_needed_and_have_nothing_in_common_are_not_taken_apart() -> None:
    """One had the newest data, one was down for weeks, and the third has lost its disk: without the second
    the first would be no majority, and who moved its data away would be told to bring them back."""
    newest, old = stopped("123", 5 << 32 | 9), stopped("123", 1 << 32 | 7)
    text = refusal(plan({"1": newest, "2": empty(), "3": old}))
    assert "Server 3 has data" in text or "Server 1 has data" in text
    assert "server 1: 0x500000009, epoch 5; server 3: 0x100000007, epoch 1" in text
    assert "If they are two ensembles, take the hosts of one out of the group" in text
    assert "If they are one, server 1 has the newest data, and without those of server 3 too few" in text
    assert "restore the data of server 1 on all (docs/operations.md, 'Back up and restore')" in text
    assert "move the contents" not in text
    assert steps(plan(dict.fromkeys("123", newest)))[-1] == "123", "so it ends"
    two = {"1": stopped("12", 9, 10), "2": stopped("12", 9, at=1)}
    assert "restore the data of server 1 on all" in refusal(plan(two))
    assert "move the contents" in refusal(
        plan({"1": stopped("12", 9) | {"trail": {}}, "2": reinstalled(7) | {"trail": {}}})
    )
    seen = {"1": stopped("12345", 5 << 32 | 9), "3": stopped("12345", 1 << 32 | 7)}
    said = refusal(plan(seen | {n: empty() for n in "245"}))
    assert "restore the data of server" not in said, "whose data are the newest is not known"
    said = refusal(plan(two | {n: holds("345", last_zxid="0x2") for n in "345"}))
    assert "keep those. Stop server 2" in said, "the others serve, and keep what they have"


def test_nobody_is_a_stranger_where_nobody_has_written() -> None:
    young = {n: stopped("123", 0) | {"trail": {}} for n in "12"}
    assert steps(plan(young | {"3": stopped("123", 0x100000000) | {"trail": {}}}))[-1] == "123"
    assert steps(plan(young | {"3": stopped("123", 0x100000001)}))[-1] == "123"


def test_one_history_of_a_majority_is_given_up_for_nothing() -> None:
    """Whatever is newer: they have all that their ensemble acknowledged."""
    ours = {n: stopped("123", 1, 2, 3) for n in "12"}
    text = refusal(plan(ours | {"3": stopped("123", 2, 3, 4, at=7)}))
    assert "The data of servers 1 and 3 have different transactions, so they must not meet." in text
    assert "Discard no data: server 3 has the newest" in text
    text = refusal(plan(ours | {"3": stopped("123", 2, 3, at=7)}))
    assert "server 1 has the newest data: keep those. Stop server 3" in text
    text = refusal(plan({"3": ours["1"], "2": ours["2"], "1": stopped("123", 2, 3, at=7)}))
    assert "server 2 has the newest data: keep those. Stop server 1" in text


def test_two_ensembles_hosts_installed_anew_are_not_one() -> None:
    seen = {n: reinstalled(1, 2) for n in "12"} | {n: reinstalled(8, 9) for n in "34"}
    text = refusal(plan(seen))
    assert "Server 1 has data, but no zoo.cfg" in text
    assert "is one of server 3 and 4" in text


ENSEMBLES = st.tuples(
    st.sets(st.sampled_from("123"), min_size=1), st.sets(st.sampled_from("4567"), min_size=1)
)


@given(ENSEMBLES, st.data(), st.booleans(), st.booleans())
def test_hosts_of_two_ensembles_in_one_inventory_are_told_apart(
    groups: tuple[set[str], set[str]], data: st.DataObject, same_zxids: bool, trails: bool
) -> None:
    """Whatever runs, and whose data go farther: nothing is touched, and without one of them all is well."""
    seen: dict[str, Found | None] = {}
    anew = (
        st.booleans() if trails else st.just(False)
    )  # with neither zoo.cfg nor transactions nobody can tell
    for at, group in enumerate(groups):
        last = data.draw(st.integers(1, 4)) + (0 if same_zxids or not at else 10)
        first = 1 if same_zxids or not at else 11
        running, bare = data.draw(st.booleans()), data.draw(anew)
        for number in group:
            wrote = written(*range(first, last + 1), at=at)
            found = holds("".join(sorted(group)), unit={"running": running}) | wrote
            found = reinstalled(*range(first, last + 1), at=at) if bare else found
            seen[number] = found if trails else found | {"trail": {}}
    text = refusal(plan(seen))
    assert "If they are two ensembles, take the hosts of one out of the group `zookeeper`" in text
    for number, one in seen.items():
        assert one is not None
        assert f"server {number}: {int(one['last_zxid'], 16):#x}, epoch" in text
    for group in groups:
        alone = {number: seen[number] for number in group}
        assert set(steps(plan(alone))) == {"".join(sorted(group))}


def test_transactions_connect_by_way_of_others() -> None:
    assert (
        steps(plan({"1": reinstalled(1, 2), "2": reinstalled(2, 3), "3": reinstalled(3, 4)})) == ["123"] * 2
    )


# ---------------------------------------------------------------- all addresses changed


def test_a_change_of_all_addresses_that_was_cut_short_goes_on() -> None:
    """By its transactions it is one ensemble, whatever addresses its servers know."""
    moved = replaced("123", "123") | written(1, 2)
    seen = {"1": moved} | {n: holds("123") | written(1, 2, 3) for n in "23"}
    answer = plan(seen)
    assert (steps(answer), answer["stages"][0]["changing"]) == (["123"], False)


def test_a_namesake_with_other_transactions_is_refused() -> None:
    moved = replaced("123", "123") | written(1, 2, at=7)
    seen = {"1": moved} | {n: holds("123") | written(1, 2, 3) for n in "23"}
    assert "The data of servers 1 and 2 have different transactions" in refusal(plan(seen))


# ---------------------------------------------------------------- members that are dead for good


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
        "zookeeper_dead names zk44, and no server knows a member there: this declares nobody dead. The "
        "members are 1 on zk1, 2 on zk2, 3 on zk3, 4 on zk4 and 5 on zk5. Correct it, unless that member"
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
    assert "names zk4, and no server knows a member there" in young["nobody"]
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


def test_a_dead_majority_needs_a_disaster_recovery() -> None:
    seen = {"1": holds("12345") | written(1, 2), "2": holds("12345") | written(1, 2, 3)}
    text = refusal(plan(seen, dead="zk3,zk4,zk5"))
    assert "Of the voters 1, 2, 3, 4 and 5 only 1 and 2 have data within reach. That is no majority" in text
    assert "server 1: 0x2, epoch 0; server 2: 0x3, epoch 0. Restore" in text
    assert "all writes after 0x3 (server 2) are lost" in text
    assert "-e zookeeper_disaster_recovery=true" in text
    answer = plan(seen, dead="zk3,zk4,zk5", disaster=True)
    assert (steps(answer), answer["stages"][0]["changing"]) == (["12"], True)
    assert "leaves out zk2" in refusal(plan(seen, dead="zk3,zk4,zk5", disaster=True, limit="1"))
    assert steps(plan({"1": holds("123")}, dead="zk2,zk3", disaster=True)) == ["1"]


@pytest.mark.parametrize("disaster", [True, False])
def test_a_disaster_recovery_takes_out_only_who_was_declared_dead(disaster: bool) -> None:
    """The others may run, and have the newest data."""
    seen = {"1": holds("12345") | written(1, 2), "2": holds("12345") | written(1, 2, 3)}
    text = refusal(plan(seen, dead="zk5", disaster=disaster))
    assert text.startswith("Servers 3, 4 and 5 were taken out of the group at once, and zookeeper_dead does")
    assert "zookeeper_dead does not name 3 and 4: their data may be the newest. Put them back." in text
    assert text.endswith("declare that: -e zookeeper_dead=zk3,zk4,zk5")
    seen = {"1": holds("123", "4") | written(1, 2)}
    text = refusal(plan(seen, dead="zk2,zk3", disaster=disaster))
    assert "zookeeper_dead does not name 4: their data" in text, "not even an observer"


def test_where_only_an_observer_has_data_left() -> None:
    seen = {"1": empty(), "4": holds("123", "4") | written(1, 2)}
    text = refusal(plan(seen, observers="4", gone="23", dead="zk2,zk3"))
    assert text.startswith("Of the voters 1, 2 and 3 none has data within reach.")
    assert "all writes after 0x2 (server 4) are lost" in text


def test_a_disaster_recovery_does_nothing_by_itself() -> None:
    seen = {"1": holds("12345"), "2": holds("12345")}
    assert "were taken out of the group at once" in refusal(plan(seen, disaster=True))
    assert steps(plan({n: holds("12345") for n in "123"}, dead="zk4,zk5", disaster=True)) == ["1235", "123"]


def test_of_those_that_live_the_newest_begin() -> None:
    seen = {n: holds("1234567") | written(*range(1, 2 + int(n))) for n in "123"}
    answer = plan(seen, dead="zk4,zk5,zk6,zk7", disaster=True)
    assert orders(answer) == ["23|23", "123|123"]


def test_a_disaster_recovery_that_was_cut_short_goes_on() -> None:
    seen = {"1": holds("1234567") | written(1, 2)} | {n: holds("123") | written(1, 2, 3) for n in "23"}
    answer = plan(seen, dead="zk4,zk5,zk6,zk7", disaster=True)
    assert orders(answer)[-1] == "123|123"


def test_after_a_disaster_a_single_voter_leads_its_observers() -> None:
    down: Found = {"unit": {"running": False}}
    seen = {"1": holds("123", "4", **down), "4": holds("123", "4", **down)}
    answer = plan(seen, observers="4", dead="zk2,zk3", disaster=True)
    assert (steps(answer), orders(answer)) == (["1|4"], ["14|14"])


def test_those_without_data_wait_until_the_others_serve() -> None:
    text = refusal(plan({"1": holds("123"), "4": empty()}, dead="zk2,zk3", disaster=True))
    assert "Without data: 4. Take them out of the group, run, and put them back" in text
    seen = {"1": holds("12345"), "2": empty(), "3": empty()}
    text = refusal(plan(seen, dead="zk4,zk5", disaster=True))
    assert "Take them out of the group, run with -e zookeeper_dead=zk2,zk3,zk4,zk5, and put" in text
    assert steps(plan({"1": seen["1"]}, dead="zk2,zk3,zk4,zk5", disaster=True)) == ["1"]


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


ADVICE = re.compile(r"server (\d) has the newest data: keep those. Stop server (\d)")


def test_the_advice_keeps_the_newest_data() -> None:
    stopped: Found = {"unit": {"running": False}}
    old, new = stopped | {"last_zxid": "0x2000000ff"}, stopped | {"last_zxid": "0x300000001"}
    text = refusal(plan({"1": holds("1", **old), "2": holds("2", **new), "3": holds("3", **old)}))
    assert "server 1: 0x2000000ff, epoch 2; server 2: 0x300000001, epoch 3; server 3: 0x2000000ff, ep" in text
    found = ADVICE.search(text)
    assert found is not None
    assert (found[1], found[2]) == ("2", "1")


BAD = "/txnlog/version-2/log.1"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            lambda bad: plan(
                {"1": holds("12345") | written(1, 2) | bad, "2": holds("12345") | written(1, 2, 3)},
                dead="zk3,zk4,zk5",
                disaster=True,
            ),
            "Whose data are the newest cannot be told",
        ),
        (
            lambda bad: plan(
                {"1": reinstalled(1, 2) | bad, "2": reinstalled(1, 2, 3), "3": reinstalled(1, 2, 3)}
            ),
            "Whose data are the newest cannot be told",
        ),
        (
            lambda bad: plan(
                {"1": reinstalled(1, 2) | bad, "2": reinstalled(1, 2, 3)}
                | {"3": holds("123", unit={"running": False}) | written(1, 2, 3)}
            ),
            "Whose data are the newest cannot be told",
        ),
        (
            lambda bad: plan(
                {"1": holds("1", unit={"running": False}) | written(1, 2) | bad, "2": holds("2") | written(3)}
            ),
            "Discard no data, for nobody knows whose are the newest",
        ),
    ],
)
def test_a_damaged_log_is_not_taken_for_a_short_one(
    answer: Callable[[Found], dict[str, Any]], said: str
) -> None:
    """What cannot be read of it may be what was acknowledged last."""
    text = refusal(answer({"damaged": BAD}))
    assert said in text
    assert f"server 1: at least 0x2, epoch 0, its log {BAD} is damaged; server 2: 0x3, epoch 0" in text
    assert f"Keep the file {BAD} of server 1" in text
    assert "take its host out of the group" in text
    assert "cannot be told" not in str(answer({"damaged": ""})["problems"])


def test_a_damaged_log_that_reaches_farthest_is_not_given_up_for_older_data() -> None:
    def refused(two: Found) -> str:
        return refusal(plan({"1": bad, "2": two}, dead="zk3,zk4,zk5", disaster=True))

    bad = holds("12345") | written(1, 2, 3) | {"damaged": BAD}
    text = refused(holds("12345") | written(1, 2))
    assert "newer than all other data, so do not send this server another's" in text
    assert "If neither can be, all writes after 0x2 (server 2) that only this log has are lost" in text
    text = refused(holds("12345") | written(1, 2, 3, 4))
    assert "newer than all other" not in text
    assert "all writes after 0x4 (server 2) that only this log has are lost" in text
    text = refused(holds("12345") | written(1, 2) | {"damaged": BAD})
    assert text.endswith("or restore a backup that is newer. Then run again.")


def test_whose_data_are_the_newest_is_not_said_beside_a_damaged_log() -> None:
    stopped: Found = {"unit": {"running": False}}
    seen = {"1": holds("1", **stopped) | written(1, 9), "2": holds("2", **stopped) | written(2)}
    seen["3"] = holds("3", **stopped) | written(3) | {"damaged": BAD}
    text = refusal(plan(seen))
    assert "nobody knows whose are the newest" in text
    assert "has the newest" not in text


def test_a_damaged_log_does_not_matter_where_a_majority_serves_or_is_alone() -> None:
    bad = {"damaged": BAD}
    serving = {n: holds("123") | written(1, 2, 3) for n in "12"}
    assert steps(plan(serving | {"3": reinstalled(1, 2) | bad})) == ["123"]
    assert steps(plan({"1": reinstalled(1, 2) | bad})) == ["1"]


def test_no_advice_costs_the_quorum_that_serves() -> None:
    serving = {n: holds("123") for n in "12"}
    text = refusal(plan(serving | {"3": holds("456", last_zxid="0x900000000")}))
    assert "Discard no data: server 3 has the newest, and the others are needed for the quorum" in text


@pytest.mark.parametrize("four", [holds("456"), replaced("123", "123")])
def test_no_advice_costs_a_member_of_a_quorum_that_serves(four: Found) -> None:
    """Even where it could spare one: who belongs to it is not sure. A host of a namesake is no third."""
    live = "123" if four["servers"].keys() == set("456") else "12"
    number = "4" if live == "123" else "3"
    text = refusal(plan({n: holds("123") for n in live} | {number: four | {"last_zxid": "0x900000000"}}))
    assert (
        f"Discard no data: server {number} has the newest, and the others are needed for the quorum" in text
    )


def test_one_that_serves_alone_is_of_no_other_quorum() -> None:
    text = refusal(plan({"1": holds("1") | written(1, 2, 3), "2": holds("12") | written(1, 2)}))
    assert "server 1 has the newest data: keep those. Stop server 2" in text


@pytest.mark.parametrize("second", ["12", "123"])
def test_no_advice_costs_the_quorum_while_the_voters_change(second: str) -> None:
    seen = {"1": holds("12"), "2": holds(second), "3": holds("123", unit={"running": second == "12"})}
    seen["4"] = holds("456", last_zxid="0x900000000")
    assert "Discard no data: server 4 has the newest" in refusal(plan(seen))


FOUND = st.builds(
    lambda data, voters, zxid, running, moved: (
        replaced(voters, moved, last_zxid=f"{zxid:#x}", unit={"running": running}) if data else empty()
    ),
    st.booleans() | st.just(True),
    st.sampled_from(["1", "2", "3", "12", "123", "1234", "12345", "345"]),
    st.integers(1, 4),
    st.booleans(),
    st.sampled_from(["", "", "3", "12"]),
) | st.builds(lambda last, at: reinstalled(*range(1, last + 1), at=at), st.integers(1, 4), st.integers(0, 1))


@given(st.lists(FOUND, min_size=2, max_size=7))
def test_whoever_follows_the_advice_to_the_letter_loses_nothing(found: list[Found]) -> None:
    """Again and again, until there is none: the newest data are there, and who has a quorum keeps it."""
    numbered = {str(number): one for number, one in enumerate(found, 1)}
    seen = {n: one if not one["servers"] or n in one["servers"] else empty() for n, one in numbered.items()}
    newest = max((int(one["last_zxid"], 16) for one in seen.values() if one["data"]), default=0)
    for _ in range(len(found)):
        answer = plan(seen)
        advice = ADVICE.search(" ".join(answer["problems"]))
        if advice is None:
            return
        before = [voters for voters in going_by(seen).values() if has_quorum(voters, seen)]
        seen[advice[2]] = empty()
        assert max((int(one["last_zxid"], 16) for one in seen.values() if one["data"]), default=0) == newest
        assert all(has_quorum(voters, seen) for voters in before)
    raise AssertionError("there is no end to the advice")


@given(st.integers(1, 7), st.data())
def test_whatever_was_installed_anew_the_newest_data_lead(size: int, data: st.DataObject) -> None:
    """A majority runs, or the first to run are just a majority, and have the newest data."""
    voters = "1234567"[:size]
    states: dict[str, Callable[[int], Found]] = {
        "runs": lambda last: holds(voters) | written(*range(1, last + 1)),
        "stopped": lambda last: holds(voters, unit={"running": False}) | written(*range(1, last + 1)),
        "reinstalled": lambda last: reinstalled(*range(1, last + 1)),
        "empty": lambda _: empty(),
    }
    seen = {
        n: states[data.draw(st.sampled_from(sorted(states)))](data.draw(st.integers(1, 9))) for n in voters
    }
    answer = plan(seen)
    holders = {n: int(one["last_zxid"], 16) for n, one in seen.items() if one["data"]}
    if answer["problems"] or answer["new"] or all(one["configured"] for one in seen.values() if one["data"]):
        return
    running = {n for n in voters if seen[n]["unit"]["running"]}
    if size > 1 and 2 * len(running) <= size:
        first = {m["id"] for m in answer["stages"][0]["asked"]}
        assert first == running | {name[-1] for name in answer["stages"][0]["hosts"]}
        assert len(first) == size // 2 + 1
        assert max(holders[n] for n in first) == max(holders.values())
    assert steps(answer)[-1] == voters


def going_by(seen: Mapping[str, Found]) -> dict[str, frozenset[str]]:
    """The voters that each server which runs goes by."""
    return {n: frozenset(one["servers"]) or frozenset(n) for n, one in seen.items() if one["unit"]["running"]}


def has_quorum(voters: frozenset[str], seen: Mapping[str, Found]) -> bool:
    """Whether a majority of them runs, and goes by them but for one at most. Who serves alone does not."""
    lists = going_by(seen)
    near = {n for n, own in lists.items() if len(own ^ voters) <= (len(own) > 1)}
    return 2 * len(near & voters) > len(voters)


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
        ({"1": None, "2": empty(), "3": None}, "zk1 and zk3 could not: whether a new"),
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
    assert said.startswith("--limit leaves out zk3, on whose data the plan depends, and whose they are, or ")
    assert "is in doubt. Run without --limit: that tells why" in said
    seen["3"]["doubts"] = []
    assert plan(seen, limit="12")["problems"] == []


DOWN: Found = {"unit": {"running": False}}
OBSERVED = holds("123", "4") | written(1, 2, 3, 4)
STRANGE = holds("123", **DOWN) | written(9 << 32, at=7)


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ({"1": holds("123") | written(1, 2), "2": None, "3": STRANGE}, "none of its last transactions is"),
        ({"1": holds("123") | written(1), "2": None, "3": STRANGE | written(1, 2, at=7)}, "must not meet"),
        ({"1": holds("1") | written(1, 2), "2": None, "3": holds("3", **DOWN)}, "not one ensemble's"),
        (
            {
                "1": None,
                "2": OBSERVED | written(1, 2, 3),
                "3": holds("123", **DOWN) | written(1),
                "4": OBSERVED,
            },
            "no vote",
        ),
        ({"1": None, "2": empty(), "3": holds("123", **DOWN) | written(1), "4": OBSERVED}, "no vote"),
        ({"1": reinstalled(1, 2), "2": None, "3": reinstalled(1)}, "in the inventory it only observes"),
        ({n: empty() for n in "345"} | {"1": None, "2": holds("12345", **DOWN)}, "3, 4 and 5 have no data"),
        ({"1": None, "2": reinstalled(1) | {"damaged": "/log"}, "3": reinstalled(1, 2)}, "cannot be told"),
    ],
)
def test_nothing_is_moved_or_restored_beside_a_member_that_could_not_be_looked_at(
    seen: Mapping[str, Found | None], said: str
) -> None:
    """It may have newer data, or serve with one that would be stopped."""
    [hidden] = [n for n, found in seen.items() if found is None]
    observers = "1" if "observes" in said else "4" if "4" in seen and "5" not in seen else ""
    text = refusal(plan(seen, limit="3", observers=observers))
    assert said in text
    assert f"Move and restore nothing: zk{hidden} could not be looked at, and may have newer data" in text
    assert text.endswith("Make it reachable, and run without --limit.")
    assert not re.search("move the contents|Restore|Unset|restore a backup|take out", text)


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ({n: holds("12345") | written(1, 2, at=int(n)) for n in "12"}, "have different transactions"),
        ({"1": holds("123") | written(1, 2), "2": empty()}, "have no data"),
        ({"1": holds("123", **DOWN) | written(1, 2), "2": STRANGE}, "none of its last transactions is"),
        (
            {"1": holds("1234", **DOWN) | written(1, 2) | {"damaged": "/log"}, "2": reinstalled(1, 2)},
            "cannot be told",
        ),
    ],
)
def test_nothing_is_moved_or_restored_beside_a_member_that_left_the_group(
    seen: Mapping[str, Found], said: str
) -> None:
    """Nobody has looked at it, and it may have newer data. Declared dead, it has none."""
    gone = sorted({*seen["1"]["servers"]} - {*seen})
    text = refusal(plan(seen))
    assert said in text
    where = " and ".join(
        filter(None, (", ".join(f"{n} on zk{n}" for n in gone[:-1]), f"{gone[-1]} on zk{gone[-1]}"))
    )
    assert f"Move and restore nothing: the group lacks the members {where}, and their data may be new" in text
    assert "Put back into the group those of your ensemble, and run again." in text
    dead = ",".join(f"zk{n}" for n in gone)
    assert text.endswith(f"declare that: -e zookeeper_dead={dead}")
    assert not re.search("move the contents|Restore|Unset|restore a backup|take out", text)
    if "different" in said:
        assert "If they are two ensembles, take the hosts of one out of the group `zookeeper`. Move" in text
    declared = refusal(plan(seen, dead=dead, disaster=True))
    assert "Move and restore nothing" not in declared


def test_advice_that_costs_nothing_stays_beside_a_member_that_left_the_group() -> None:
    seen = {n: holds("123") for n in "12"} | {"3": holds("3456", last_zxid="0x900000000")}
    text = refusal(plan(seen))
    assert "Discard no data: server 3 has the newest, and the others are needed for the quorum." in text
    assert "Move and restore nothing: the group lacks the members 4 on zk4, 5 on zk5 and 6 on zk6" in text
    two = {n: holds("12") for n in "12"} | {n: holds("345") for n in "34"}  # both serve
    text = refusal(plan(two))
    assert text.endswith(
        "Discard no data: server 1 has the newest, and the others are needed for the quorum."
    )


def test_one_that_could_not_be_looked_at_may_be_one_of_two_that_serve() -> None:
    """Where an observer is ahead because it was asked later, it is enough that all can be asked."""
    seen = {"2": OBSERVED | written(1, 2, 3), "3": holds("123", "4", **DOWN) | written(1), "4": OBSERVED}
    assert "no vote" in refusal(plan(seen | {"1": None}, limit="3", observers="4"))
    assert steps(plan(seen | {"1": seen["2"]}, observers="4")) == ["123|4"]


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
