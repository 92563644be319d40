"""Whose data are one ensemble's, and which may be given up."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.zookeeper_plans import (
    Found,
    empty,
    holds,
    plan,
    refusal,
    reinstalled,
    replaced,
    steps,
    stopped,
    written,
)


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
    assert "The data of servers 1 and 3 have different transactions, so these servers must not form" in text
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


def test_who_was_sent_all_data_before_an_epochs_first_write_is_no_stranger() -> None:
    """What it lacks of a server that was down meanwhile may be in a gap of its log."""
    sent = {n: stopped("123", *range(1, 100), *range(1 << 32 | 1, 1 << 32 | 300)) for n in "12"}
    down = {"3": stopped("123", *range(1, 1000))}
    assert "different transactions" in refusal(plan(sent | down))
    gap = {"gap": "0x100000000"}
    assert steps(plan({n: one | gap for n, one in sent.items()} | down))[-1] == "123"


def test_transactions_connect_by_way_of_others() -> None:
    assert (
        steps(plan({"1": reinstalled(1, 2), "2": reinstalled(2, 3), "3": reinstalled(3, 4)})) == ["123"] * 2
    )


# ------------------------------------------------------------ all addresses changed


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


# ------------------------------------------------------------ which data may be given up

ADVICE = re.compile(r"server (\d) has the newest data: keep those. Stop server (\d)")


def test_the_advice_keeps_the_newest_data() -> None:
    stopped: Found = {"unit": {"running": False}}
    old, new = stopped | {"last_zxid": "0x2000000ff"}, stopped | {"last_zxid": "0x300000001"}
    text = refusal(plan({"1": holds("1", **old), "2": holds("2", **new), "3": holds("3", **old)}))
    assert "server 1: 0x2000000ff, epoch 2; server 2: 0x300000001, epoch 3; server 3: 0x2000000ff, ep" in text
    found = ADVICE.search(text)
    assert found is not None
    assert (found[1], found[2]) == ("2", "1")


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


def going_by(seen: Mapping[str, Found]) -> dict[str, frozenset[str]]:
    """The voters that each server which runs goes by."""
    return {n: frozenset(one["servers"]) or frozenset(n) for n, one in seen.items() if one["unit"]["running"]}


def has_quorum(voters: frozenset[str], seen: Mapping[str, Found]) -> bool:
    """Whether a majority of them runs, and goes by them but for one at most. Who serves alone does not."""
    lists = going_by(seen)
    near = {n for n, own in lists.items() if len(own ^ voters) <= (len(own) > 1)}
    return 2 * len(near & voters) > len(voters)
