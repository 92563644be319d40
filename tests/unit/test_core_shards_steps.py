"""One step of one shard: from what its record says and what holders say to the next record."""

from dataclasses import replace

from mwapp.core.shards.failures import Resting, Rests
from mwapp.core.shards.protocol import BACK, COPY, FAILED, READY, RELEASED, SERVING, SYNC, Member, Record
from mwapp.core.shards.steps import Holder, Situation, step

G = 7


def _record(
    *members: str, primary: str = "a", target: tuple[str, ...] | None = None, handover: bool = False
) -> Record:
    """Members in sync; "c+" copies, "c-" is back."""
    states = {"+": COPY, "-": BACK}
    its = {name[0]: Member(1, states.get(name[1:], SYNC)) for name in members}
    return Record(G, primary, its, target, handover)


def _step(record: Record, there: str, *, anyone: bool = False, room: bool = True, **says: str) -> Record:
    """``there``: names of holders, of incarnation 1; a capital is of incarnation 2. ``says``: under this
    generation."""
    holders = {
        name.lower(): Holder(
            2 if name.isupper() else 1, (G, says[name.lower()]) if name.lower() in says else None
        )
        for name in there
    }
    return step(record, Situation(holders, anyone, lambda _: room))


def _states(record: Record) -> str:
    return " ".join(f"{name}/{member.incarnation} {member.state}" for name, member in record.members.items())


def test_what_is_well_stays_as_it_is() -> None:
    record = _record("a", "b")
    assert _step(record, "abc", a=SERVING, b=READY) == record


def test_a_new_shard_begins_with_everybody_in_sync() -> None:
    new = _step(Record(G, target=("a", "b", "c")), "ab")
    assert (new.generation, new.primary, _states(new)) == (G + 1, "a", "a/1 sync b/1 sync")
    assert new.target == ("a", "b", "c")
    assert _step(Record(G, target=("a", "b")), "ab").target is None
    assert _step(Record(G, target=("c",)), "ab") == Record(G, target=("c",))


def test_the_primary_that_is_lost_is_followed_at_once_by_who_is_in_sync() -> None:
    new = _step(_record("a", "b+", "c"), "bc")
    assert (new.generation, new.primary, _states(new)) == (G + 1, "c", "b/1 copy c/1 sync")
    assert new.target == ("a", "b", "c")


def test_the_next_primary_is_who_is_wanted_most() -> None:
    assert _step(_record("a", "b", "c", target=("c", "b", "a")), "bc").primary == "c"


def test_another_incarnation_of_the_primary_is_not_the_primary() -> None:
    new = _step(_record("a", "b"), "Ab")
    assert (new.generation, new.primary, _states(new)) == (G + 1, "b", "b/1 sync")
    again = _step(replace(new, generation=G), "Ab")
    assert (again.primary, _states(again)) == ("b", "b/1 sync a/2 copy")


def test_without_anybody_in_sync_nobody_is_primary() -> None:
    record = _record("a", "b", "c+")
    assert _step(record, "c") == record


def test_of_shared_data_any_worker_may_be_primary() -> None:
    new = _step(_record("a", target=("b",)), "bc", anyone=True)
    assert (new.primary, _states(new), new.target, new.generation) == ("b", "b/1 sync", None, G + 1)


def test_of_shared_data_one_that_has_just_failed_comes_last() -> None:
    assert _step(_record("a", target=("a", "b")), "ab", anyone=True, a=FAILED).primary == "b"
    alone = _step(_record("a"), "a", anyone=True, a=FAILED)
    assert (alone.primary, alone.generation) == ("a", G + 1)


def test_who_was_in_sync_with_the_last_and_comes_back_is_asked() -> None:
    back = _step(_record("a", "b", "c+"), "Bc")
    assert (back.generation, back.primary) == (G + 1, "")
    assert _states(back) == "a/1 sync b/2 back c/1 copy"
    waits = replace(_record("a", "b-", "c+", primary=""), generation=G)
    assert _step(waits, "bc", c=READY) == waits
    chosen = _step(waits, "bc", b=READY)
    assert (chosen.generation, chosen.primary, _states(chosen)) == (G + 1, "b", "b/1 sync c/1 copy")


def test_who_is_back_is_the_primary_under_another_generation() -> None:
    chosen = _step(_record("a-", primary="", target=("a", "b")), "a", a=READY)
    assert (chosen.generation, chosen.primary, _states(chosen)) == (G + 1, "a", "a/1 sync")


def test_one_that_is_back_and_fails_begins_again() -> None:
    waits = _record("a", "b-", primary="")
    assert _step(waits, "b", b=FAILED).generation == G + 1


def test_the_last_in_sync_whose_handler_fails_is_asked_whether_it_still_has_everything() -> None:
    new = _step(_record("a"), "a", a=FAILED)
    assert (new.generation, new.primary, _states(new)) == (G + 1, "", "a/1 back")


def test_a_primary_that_fails_is_followed_and_copies() -> None:
    new = _step(_record("a", "b"), "ab", a=FAILED)
    assert (new.generation, new.primary, _states(new)) == (G + 1, "b", "a/1 copy b/1 sync")


def test_a_replica_that_is_lost_is_no_member_and_still_wanted() -> None:
    new = _step(_record("a", "b"), "a")
    assert (new.generation, _states(new), new.target) == (G + 1, "a/1 sync", ("a", "b"))


def test_a_copy_that_is_lost_counts_too_for_the_primary_may_wait_for_it() -> None:
    assert _step(_record("a", "b+"), "a").generation == G + 1


def test_a_replica_that_fails_is_not_in_sync_and_begins_again() -> None:
    new = _step(_record("a", "b"), "ab", b=FAILED)
    assert (new.generation, _states(new)) == (G + 1, "a/1 sync b/1 copy")
    again = _step(_record("a", "b+"), "ab", b=FAILED)
    assert again.generation == G + 1


def test_who_is_wanted_copies_if_there_is_room() -> None:
    record = _record("a", target=("a", "b"))
    assert _step(record, "ab", room=False) == record
    new = _step(record, "ab")
    assert (new.generation, _states(new)) == (G + 1, "a/1 sync b/1 copy")


def test_a_copy_that_is_ready_is_in_sync() -> None:
    new = _step(_record("a", "b+", target=("a", "b")), "ab", b=READY)
    assert (new.generation, _states(new), new.target) == (G, "a/1 sync b/1 sync", None)


def test_what_is_said_of_another_generation_does_not_count() -> None:
    record = _record("a", "b+", target=("a", "b"))
    late = Situation({"a": Holder(1), "b": Holder(1, (G - 1, READY))}, False, lambda _: True)
    assert step(record, late) == record


def test_somebody_whom_nobody_wants_stays_until_the_others_are_in_sync() -> None:
    record = _record("a", "b", "c+", target=("a", "c"))
    assert _step(record, "abc") == record
    new = _step(record, "abc", c=READY)
    assert (new.generation, _states(new)) == (G + 1, "a/1 sync c/1 sync")


def test_a_copy_that_nobody_wants_goes_at_once() -> None:
    assert _states(_step(_record("a", "b", "c+", target=("a", "b")), "abc")) == "a/1 sync b/1 sync"


def test_a_primary_is_asked_to_release_first_and_then_replaced() -> None:
    record = _record("a", "b", target=("b", "a"))
    asked = _step(record, "ab")
    assert (asked.generation, asked.primary, asked.handover) == (G, "a", True)
    assert _step(asked, "ab", a=SERVING) == asked
    done = _step(asked, "ab", a=RELEASED)
    assert (done.generation, done.primary, done.handover, done.target) == (G + 1, "b", False, None)


def test_who_has_failed_lately_gets_the_shard_only_if_nobody_else_can() -> None:
    def resting(record: Record, there: str, *, anyone: bool = False) -> Record:
        holders = {name: Holder(1) for name in there}
        return step(record, Situation(holders, anyone, lambda _: True, {"b"}))

    waits = _record("a", "b", target=("b", "a"))
    assert resting(waits, "ab") == waits
    lost = _record("a", "b", "c", target=("b", "c", "a"))
    assert resting(lost, "bc").primary == "c"
    assert resting(lost, "b").primary == "b"
    assert resting(_record("a", target=("b", "c")), "bc", anyone=True).primary == "c"
    assert resting(_record("a", target=("b", "c")), "b", anyone=True).primary == "b"


def test_a_rest_is_twice_as_long_with_each_failure_in_a_row() -> None:
    resting = Resting(Rests(1.0, 5.0, 10.0))
    at = "t", 0
    assert [resting.note(at, "a", n, 0.0, 100.0) for n in range(4)] == [1.0, 2.0, 4.0, 5.0]
    assert resting.note(at, "a", 3, 0.0, 100.0) is None
    assert (resting.who(at, 104.9), resting.who(at, 105.0)) == (frozenset("a"), frozenset())
    assert (resting.shards("t", 104.9), resting.shards("t", 105.0), resting.shards("u", 104.9)) == (
        [0],
        [],
        [],
    )
    assert resting.note(at, "a", 4, 10.1, 200.0) == 1.0
    assert resting.shards("t", 200.0) == []
    resting.forget(at, "a")
    assert resting.who(at, 200.0) == frozenset()


def test_a_primary_that_is_not_wanted_goes_when_it_has_released() -> None:
    done = _step(_record("a", "b", target=("b",), handover=True), "ab", a=RELEASED)
    assert (done.primary, _states(done)) == ("b", "b/1 sync")


def test_a_handover_to_somebody_who_is_lost_is_called_off_under_another_generation() -> None:
    off = _step(_record("a", "b", target=("b", "a"), handover=True), "a", a=RELEASED)
    assert (off.generation, off.primary, off.handover) == (G + 1, "a", False)


def test_a_handover_is_called_off_if_the_primary_is_to_stay() -> None:
    off = _step(_record("a", "b", target=("a", "b"), handover=True), "ab")
    assert (off.generation, off.primary, off.handover, off.target) == (G + 1, "a", False, None)


def test_a_primary_that_is_lost_in_a_handover_is_followed() -> None:
    new = _step(_record("a", "b", target=("b", "a"), handover=True), "b")
    assert (new.generation, new.primary, new.handover) == (G + 1, "b", False)


def test_what_is_given_up_is_released_first() -> None:
    asked = _step(_record("a", "b", target=()), "ab")
    assert (asked.handover, set(asked.members)) == (True, {"a", "b"})
    assert _step(asked, "ab", b=READY) == asked
    gone = _step(asked, "ab", a=RELEASED)
    assert (gone.generation, gone.members, gone.primary) == (G + 1, {}, "")
    assert _step(gone, "ab") == gone


def test_what_is_given_up_and_has_lost_its_primary_is_gone() -> None:
    assert _step(_record("a", "b", target=()), "b").members == {}
