"""The newest data lead: who starts first, and what is refused so that nothing newer is lost."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
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
    steps,
    stopped,
    written,
)


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


def test_one_that_runs_is_of_the_first_majority() -> None:
    running = {"1": holds("12345") | written(1, 2), "2": holds("12345") | written(1, 2)}
    stopped = {n: reinstalled(*range(1, 3 + int(n))) for n in "345"}
    assert orders(plan(running | stopped)) == ["5|125", "12345|12345"]


def test_a_single_server_that_was_installed_anew_goes_on() -> None:
    assert orders(plan({"1": reinstalled(1, 2)})) == ["1|1"]
    assert "have no data" in refusal(plan({"1": reinstalled(1, 2), "2": empty(), "3": empty()}))


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


def test_what_is_lost_with_empty_voters_is_said_where_nobody_knows_who_voted() -> None:
    text = refusal(plan({"1": reinstalled(1, 2), "2": empty(), "3": empty()}))
    assert "The last zxid of each that has data is server 1: 0x2, epoch 0: keep these." in text
    assert "the voters 2 and 3: writes after 0x2 (server 1), if there were any, are then lost." in text
    text = refusal(plan({"1": holds("123"), "2": empty(), "3": empty()}))
    assert "the voters 2 and 3: the refusal then tells what that costs." in text


# ------------------------------------------------------------ a dead majority


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


def test_the_newest_data_must_vote_after_a_disaster() -> None:
    seen = {"1": holds("12345") | written(1, 2), "2": holds("12345") | written(1, 2, 3)}
    lost: dict[str, Any] = {"gone": "345", "dead": "zk3,zk4,zk5", "disaster": True}
    text = refusal(plan(seen | dict.fromkeys("345"), observers="2", **lost))
    assert text.startswith("Server 2 has the newest data, and in the inventory it only observes.")
    assert steps(plan(seen | dict.fromkeys("345"), observers="1", **lost)) == ["2|1"]


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


# ------------------------------------------------------------ damaged logs

BAD = "/txnlog/version-2/log.1"


def test_who_has_a_damaged_log_is_not_waited_for() -> None:
    """It does not start. The others can, as they are a majority, unless what can be read of it is as new."""
    bad: Found = {"damaged": BAD}
    seen = {n: stopped("12345", *range(1, 1 + int(n))) for n in "12345"}
    assert orders(plan(seen | {"4": seen["4"] | bad})) == ["235|235", "12345|12345"]
    assert orders(plan(seen | {n: seen[n] | bad for n in "234"})) == ["12345|12345"]
    text = refusal(plan(seen | {"5": seen["5"] | bad}))
    assert text.startswith("The role cannot tell which server has the newest data")
    assert "Keep the file" in text


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


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            lambda bad: plan(
                {"1": holds("12345") | written(1, 2) | bad, "2": holds("12345") | written(1, 2, 3)},
                dead="zk3,zk4,zk5",
                disaster=True,
            ),
            "The role cannot tell which server has the newest data",
        ),
        (
            lambda bad: plan(
                {"1": reinstalled(1, 2) | bad, "2": reinstalled(1, 2, 3), "3": reinstalled(1, 2, 3)}
            ),
            "The role cannot tell which server has the newest data",
        ),
        (
            lambda bad: plan(
                {"1": reinstalled(1, 2) | bad, "2": reinstalled(1, 2, 3)}
                | {"3": holds("123", unit={"running": False}) | written(1, 2, 3)}
            ),
            "The role cannot tell which server has the newest data",
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
    assert "role cannot tell" not in str(answer({"damaged": ""})["problems"])


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


# ------------------------------------------------------------ members that nobody has looked at

DOWN: Found = {"unit": {"running": False}}

OBSERVED = holds("123", "4") | written(1, 2, 3, 4)

STRANGE = holds("123", **DOWN) | written(9 << 32, at=7)


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ({"1": holds("123") | written(1, 2), "2": None, "3": STRANGE}, "none of its last transactions is"),
        (
            {"1": holds("123") | written(1), "2": None, "3": STRANGE | written(1, 2, at=7)},
            "must not form one ensemble",
        ),
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
        ({"1": None, "2": reinstalled(1) | {"damaged": "/log"}, "3": reinstalled(1, 2)}, "role cannot tell"),
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
            "role cannot tell",
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
    if len(gone) > 1:  # who follows this to the letter comes to an end
        assert refusal(plan(seen, dead=f"zk{gone[0]}")).endswith(f"declare that: -e zookeeper_dead={dead}")
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
