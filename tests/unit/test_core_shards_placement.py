"""Which workers hold which shards (mwapp/core/shards/placement.py)."""

from collections import Counter
from collections.abc import Mapping
from functools import cache
from itertools import combinations, product
from random import Random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mwapp.core.shards.placement import Shortfall, fewest_moves, place, shortfall

Placed = Mapping[int, tuple[str, ...]]
Workers = Mapping[str, str]
# So many more than the fewest there are may be moved, or change their primaries, in cases as small as these.
# It is none in 97 of 100, and one in nearly all others.
BOUND = 2
NAMES = [f"w{n}" for n in range(8)]


def cases(names: int = 8, shards: int = 20) -> st.SearchStrategy[tuple[Placed, Workers, int]]:
    """Shards held in any way, or as they were placed on other workers. Drawn from a seed: that is quick."""
    return st.integers(0, 1 << 32).map(lambda seed: case_of(seed, NAMES[:names], shards))


def case_of(seed: int, names: list[str], shards: int) -> tuple[Placed, Workers, int]:
    random = Random(seed)  # noqa: S311 - no secret

    def some(least: int) -> list[str]:
        return random.sample(names, random.randint(least, len(names)))

    values = random.choice([["", "a", "a", "b", "c"], ["a", "b", "c"], [""], ["a", "a", "a", "b"]])
    workers = {name: random.choice(values) for name in some(1)}
    replicas = random.choice([1, 2, 2, 3, 3, 4])
    numbers = random.sample(range(99), random.randint(1, shards))
    if random.random() < 0.4:
        return {number: tuple(some(0)[:5]) for number in numbers}, workers, replicas
    before = {name: workers.get(name, random.choice(values)) for name in some(1)}
    was = random.choice([replicas, replicas, 1, 2, 3, 4])
    return place(dict.fromkeys(numbers, ()), before, was), workers, replicas


@cache
def _counted(workers: tuple[tuple[str, str], ...], replicas: int) -> tuple[dict[str, str], Counter[str], int]:
    """The domain of each worker, how many have it, and how many replicas of one shard are in one: as few as
    counting allows."""
    domain = {name: value or f"itself {name}" for name, value in workers}
    sizes = Counter(domain.values())
    enough = (
        n for n in range(1, 99) if sum(min(n, s) for s in sizes.values()) >= min(replicas, len(workers))
    )
    return domain, sizes, next(enough)


def counted(workers: Workers, replicas: int) -> tuple[dict[str, str], Counter[str], int]:
    return _counted(tuple(workers.items()), replicas)


def legal(names: tuple[str, ...], workers: Workers, replicas: int) -> bool:
    domain, sizes, most = counted(workers, replicas)
    has = [domain[name] for name in names]
    spread = all(has.count(its) <= most for its in has)
    if most > 1:
        spread = all(min(size, most - 1) <= has.count(its) <= most for its, size in sizes.items())
    return spread and len(set(names)) == len(names) == min(replicas, len(workers))


def loads(placed: Placed, workers: Workers) -> dict[str, int]:
    counts = Counter(name for names in placed.values() for name in names)
    return {name: counts[name] for name in workers}


def primaries(placed: Placed, workers: Workers) -> dict[str, int]:
    counts = Counter(names[0] for names in placed.values())
    return {name: counts[name] for name in workers}


def width(counts: Mapping[str, int]) -> int:
    return max(counts.values()) - min(counts.values())


def moves(old: Placed, new: Placed) -> int:
    """Replicas that must be made."""
    return sum(len(set(names) - set(old[shard])) for shard, names in new.items())


def changed_primaries(old: Placed, new: Placed) -> int:
    """Of shards whose primary still holds them."""
    return sum(bool(names) and names[0] in new[s] and names[0] != new[s][0] for s, names in old.items())


# ---------------------------------------------------------------- whatever there was before


@settings(max_examples=30)
@given(cases())
@example((dict.fromkeys(range(9), ("w0", "w0", "gone")), {"w0": "a", "w1": "a", "w2": "b"}, 2))
@example(({0: ("w0", "w0"), 1: ("w1", "w1")}, {"w0": "a", "w1": "a"}, 2))
def test_every_shard_has_its_replicas_on_workers_of_different_places(
    case: tuple[Placed, Workers, int],
) -> None:
    old, workers, replicas = case
    new = place(*case)
    assert list(new) == sorted(old)
    assert all(legal(names, workers, replicas) for names in new.values())


@settings(max_examples=30)
@given(cases())
@example((dict.fromkeys(range(9), ()), {"w0": "a", "w1": "a", "w2": "a", "w3": "b", "w4": "b"}, 2))
@example((dict.fromkeys(range(12), ()), {"w0": "a", "w1": "a", "w2": "a", "w3": "b", "w4": "c"}, 2))
def test_workers_are_even_and_so_are_places_as_far_as_the_spread_allows(
    case: tuple[Placed, Workers, int],
) -> None:
    old, workers, replicas = case
    load, of_domain = loads(place(*case), workers), Counter[str]()
    domain, sizes, most = counted(workers, replicas)
    for name, count in load.items():
        of_domain[domain[name]] += count
    for one, other in product(workers, repeat=2):
        mine, its = domain[one], domain[other]
        least = min(sizes[mine], most - 1) * len(old)
        may_move = mine == its or (of_domain[mine] > least and of_domain[its] < most * len(old))
        assert load[one] <= load[other] + 1 or not may_move
        assert of_domain[mine] <= of_domain[its] + 1 or sizes[mine] != sizes[its]


@settings(max_examples=30)
@given(cases())
def test_what_has_been_placed_stays_whatever_the_order(case: tuple[Placed, Workers, int]) -> None:
    old, workers, replicas = case
    new = place(old, workers, replicas)
    backwards = {name: workers[name] for name in reversed(list(workers))}
    assert place({shard: new[shard] for shard in reversed(list(new))}, backwards, replicas) == new
    assert place({shard: old[shard] for shard in reversed(list(old))}, backwards, replicas) == new


@settings(max_examples=30)
@given(cases())
def test_no_worker_passes_primaries_on_and_gets_others(case: tuple[Placed, Workers, int]) -> None:
    """Passed along a chain to whom has two less: then there is none of one step."""
    workers = case[1]
    new = place(*case)
    count = primaries(new, workers)
    assert all(count[names[0]] <= count[name] + 1 for names in new.values() for name in names)


# ---------------------------------------------------------------- against all that could be


def fewest(old: Placed, new: Placed, workers: Workers, replicas: int) -> int:
    """Moves to any placement as even as the new one: of all there are."""
    able = [names for n in range(5) for names in combinations(workers, n) if legal(names, workers, replicas)]
    reached = {tuple(0 for _ in workers): 0}
    for names in old.values():
        then: dict[tuple[int, ...], int] = {}
        for (load, cost), row in product(reached.items(), able):
            more = tuple(count + (name in row) for count, name in zip(load, workers, strict=True))
            then[more] = min(then.get(more, 99), cost + len(set(row) - set(names)))
        reached = then
    as_even = shape(loads(new, workers), workers)
    return min(
        cost
        for load, cost in reached.items()
        if shape(dict(zip(workers, load, strict=True)), workers) == as_even
    )


def shape(load: Mapping[str, int], workers: Workers) -> list[list[int]]:
    """The loads of each domain, whichever it is."""
    domain, _, _ = counted(workers, 1)
    kinds = set(domain.values())
    return sorted(sorted(load[name] for name in workers if domain[name] == kind) for kind in kinds)


@settings(max_examples=20)
@given(cases(4, 6))
def test_hardly_more_is_moved_than_must_be(case: tuple[Placed, Workers, int]) -> None:
    old, workers, replicas = case
    new = place(*case)
    least = fewest(old, new, workers, replicas)
    assert fewest_moves(old, new) <= least <= moves(old, new) <= least + BOUND


@settings(max_examples=20)
@given(cases(4, 5))
def test_primaries_are_as_even_as_their_replicas_allow_and_hardly_more_change_than_must(
    case: tuple[Placed, Workers, int],
) -> None:
    old, new = case[0], place(*case)
    able = [dict(zip(new, chosen, strict=True)) for chosen in product(*new.values())]
    evenness = [sum(n * n for n in Counter(chosen.values()).values()) for chosen in able]
    even = [chosen for chosen, how in zip(able, evenness, strict=True) if how == min(evenness)]
    changes = [
        changed_primaries(old, {s: (chosen[s], *(n for n in new[s] if n != chosen[s])) for s in new})
        for chosen in even
    ]
    assert {s: names[0] for s, names in new.items()} in even
    assert changed_primaries(old, new) <= min(changes) + BOUND


# ---------------------------------------------------------------- what happens

TWENTY = {f"worker{n}": f"zone{n % 4}" for n in range(20)}
SHARDS = 400
PLACED = place(dict.fromkeys(range(SHARDS), ()), TWENTY, 3)


def scene(old: Placed, workers: Workers, replicas: int = 3, *, more: int = 0) -> Placed:
    """The new placement: nothing moves that need not, and all is even. ``more``: what the spread demands."""
    new = place(old, workers, replicas)
    assert all(legal(names, workers, replicas) for names in new.values())
    assert width(loads(new, workers)) <= 1
    assert width(primaries(new, workers)) <= 1
    assert moves(old, new) == fewest_moves(old, new) + more
    return new


def without(*gone: str) -> dict[str, str]:
    return {name: zone for name, zone in TWENTY.items() if name not in gone and zone not in gone}


def test_a_new_table_is_even_and_each_worker_shares_shards_with_many() -> None:
    assert scene(dict.fromkeys(range(SHARDS), ()), TWENTY) == PLACED
    for name, zone in TWENTY.items():
        partners = {other for names in PLACED.values() if name in names for other in names}
        others = [other for other, its in TWENTY.items() if its != zone]
        assert len(partners - {name}) >= len(others) * 0.7


def test_a_lost_or_drained_worker_costs_its_replicas_and_hardly_a_primary_but_its_own() -> None:
    # Too few of its shards may go to zone1: two others make place.
    new = scene(PLACED, without("worker7"), more=2)
    assert loads(PLACED, TWENTY)["worker7"] == 60
    lost = [shard for shard, names in PLACED.items() if names[0] == "worker7"]
    assert len(lost) == 20
    # Each of the four others in its zone gets one more, which none of its own shards can give.
    assert 4 <= changed_primaries(PLACED, new) <= 6
    assert sum(new[shard][0] in PLACED[shard] for shard in lost) >= 19, "who has its data comes next"


def test_a_worker_that_comes_back_gets_its_part_and_no_more_moves() -> None:
    less = place(PLACED, without("worker7"), 3)
    new = scene(less, TWENTY)
    assert moves(less, new) == 60
    assert changed_primaries(less, new) <= 2 * 20


def test_a_new_worker_gets_its_part() -> None:
    new = scene(PLACED, TWENTY | {"new": "zone1"})
    assert moves(PLACED, new) == loads(new, {"new": ""})["new"] == 57
    assert changed_primaries(PLACED, new) <= 2 * 20


def test_a_lost_zone_costs_what_was_there() -> None:
    new = scene(PLACED, without("zone2"))
    assert moves(PLACED, new) == SHARDS * 3 // 4


def test_two_zones_left_of_three_replicas_have_one_or_two_of_each_shard() -> None:
    few = without("zone1", "zone2")
    assert shortfall(few, 3) is not None
    new = scene(PLACED, few)
    assert {len({few[name] for name in names}) for names in new.values()} == {2}
    back = place(new, TWENTY, 3)
    assert all(legal(names, TWENTY, 3) for names in back.values())


def test_a_new_zone_gets_its_part() -> None:
    more = TWENTY | {f"more{n}": "zone4" for n in range(5)}
    new = scene(PLACED, more)
    assert moves(PLACED, new) == SHARDS * 3 // 5
    assert changed_primaries(PLACED, new) == SHARDS // 5


def test_fewer_replicas_move_nothing_and_leave_the_primaries() -> None:
    new = scene(PLACED, TWENTY, 2)
    assert moves(PLACED, new) == 0
    assert changed_primaries(PLACED, new) == 0


def test_more_replicas_leave_those_there_are() -> None:
    two = place(PLACED, TWENTY, 2)
    new = scene(two, TWENTY)
    assert all(set(names) < set(new[shard]) for shard, names in two.items())
    assert changed_primaries(two, new) == 0


def test_primaries_that_have_gathered_are_passed_to_other_replicas_and_nothing_is_copied() -> None:
    gathered = {shard: tuple(sorted(names)) for shard, names in PLACED.items()}
    assert width(primaries(gathered, TWENTY)) > 20
    new = scene(gathered, TWENTY)
    assert moves(gathered, new) == 0
    above = sum(max(0, count - SHARDS // 20) for count in primaries(gathered, TWENTY).values())
    assert changed_primaries(gathered, new) <= above * 1.1


def test_a_worker_whose_zone_was_changed_gives_up_what_its_new_zone_has() -> None:
    moved = TWENTY | {"worker7": "zone0"}
    new = place(PLACED, moved, 3)
    assert all(legal(names, moved, 3) for names in new.values())
    assert width(loads(new, moved)) <= 1
    assert moves(PLACED, new) <= 2 * 60


def test_a_place_too_small_for_its_part_has_what_the_spread_gives_it() -> None:
    workers = {"a1": "a", "a2": "a", "a3": "a", "a4": "a", "b1": "b", "c1": "c"}
    load = loads(place(dict.fromkeys(range(60), ()), workers, 2), workers)
    assert load == {"a1": 15, "a2": 15, "a3": 15, "a4": 15, "b1": 30, "c1": 30}


def test_small_tables_are_not_all_on_the_same_workers() -> None:
    first = {place({0: ()}, TWENTY, 1, salt=f"table{n}")[0] for n in range(100)}
    assert len(first) > 15


def test_thousands_of_shards_meet_their_targets() -> None:
    workers = {f"w{n}": f"z{n % 10}" for n in range(100)}
    full = scene(dict.fromkeys(range(3000), ()), workers)
    del workers["w42"]
    assert moves(full, scene(full, workers)) == 90


# ---------------------------------------------------------------- what cannot be honoured


def test_nobody_holds_anything_if_there_is_nobody() -> None:
    assert place(PLACED, {}, 3) == dict.fromkeys(range(SHARDS), ())
    assert place({}, TWENTY, 3) == {}
    assert place(PLACED, TWENTY, 0) == dict.fromkeys(range(SHARDS), ())


def test_what_is_held_by_nobody_who_is_there_is_placed_anew() -> None:
    assert place({5: ("gone", "x"), 3: ()}, {"w": ""}, 2) == {3: ("w",), 5: ("w",)}


@pytest.mark.parametrize(
    ("workers", "expected"),
    [
        ({"a": "x", "b": "y"}, None),
        ({"a": "", "b": ""}, None),
        ({"a": "", "b": "x", "c": "x"}, None),
        ({"a": "a", "b": ""}, None),
        ({"a": "x"}, Shortfall(1, 1, "each shard has 1 of 2 replicas: there are 1 workers")),
        (
            {"a": "x", "b": "x"},
            Shortfall(2, 1, "2 replicas of each shard are in 1 places: the label zone has 1 values"),
        ),
        ({}, Shortfall(0, 0, "each shard has 0 of 2 replicas: there are 0 workers")),
    ],
)
def test_what_cannot_be_honoured_is_said(workers: Workers, expected: Shortfall | None) -> None:
    assert shortfall(workers, 2, "zone" if any(workers.values()) else "") == expected


def test_a_label_that_nobody_has_is_said_if_there_is_something_to_spread() -> None:
    said = Shortfall(2, 0, "no worker has the label rack, so replicas are not spread over it")
    assert shortfall({"a": "", "b": ""}, 2, "rack") == said
    assert shortfall({"a": "", "b": ""}, 1, "rack") is None
    assert shortfall({"a": "", "b": "x"}, 2, "rack") is None
