"""How large a request may be, and what is learnt when connections are lost."""

import pytest

from mwapp.core.messages import Create, Operation, Set, Transaction
from mwapp.core.request_size import FORGET_SECONDS, LOSSES, MOST_BYTES, SUSPECT_BYTES, RequestSize, size


def of(number: int) -> Operation:
    """A request of so many bytes."""
    return Transaction((Create("/a", b"x" * (number - 66)),))


LARGE, SMALL = of(200_000), of(1000)


def test_what_servers_take_as_shipped() -> None:
    bound = RequestSize()
    assert (size(LARGE), size(SMALL)) == (200_000, 1000)
    assert bound.allows(of(MOST_BYTES), 0.0)
    assert not bound.allows(of(MOST_BYTES + 1), 0.0)


def test_after_some_losses_in_a_row_less_is_sent() -> None:
    bound = RequestSize()
    for _ in range(LOSSES):
        assert bound.allows(LARGE, 0.0)
        bound.lost([SMALL, LARGE, SMALL], 0.0)
    assert not bound.allows(LARGE, 1.0)
    assert bound.allows(of(199_999), 1.0)


def test_of_different_ones_the_smallest_is_too_large() -> None:
    bound = RequestSize()
    for number in (300_000, 200_000, 400_000):
        bound.lost([of(number)], 0.0)
    assert not bound.allows(of(200_000), 1.0)
    assert bound.allows(of(199_999), 1.0)


def test_the_smallest_that_counts() -> None:
    bound = RequestSize()
    for _ in range(LOSSES):
        bound.lost([of(SUSPECT_BYTES)], 0.0)
    assert not bound.allows(of(SUSPECT_BYTES), 1.0)
    assert bound.allows(of(SUSPECT_BYTES - 1), 1.0)


def test_what_is_set_counts_like_what_is_created() -> None:
    assert size(Transaction((Set("/a", b"x" * 1000),))) == size(Transaction((Create("/a", b"x" * 1000),)))


def test_the_servers_may_take_less_and_less() -> None:
    bound = RequestSize()
    for number in (300_000, 200_000):
        for _ in range(LOSSES):
            assert bound.allows(of(number), 1.0)
            bound.lost([of(number)], 0.0)
        assert not bound.allows(of(number), 1.0)


def test_what_is_taken_once_is_not_the_reason() -> None:
    bound = RequestSize()
    for _ in range(3):
        for _ in range(LOSSES - 1):
            bound.lost([LARGE], 0.0)
        bound.answered(LARGE)
    assert bound.allows(LARGE, 0.0)


def test_that_small_ones_are_taken_says_nothing() -> None:
    bound = RequestSize()
    for _ in range(LOSSES):
        bound.answered(SMALL)
        bound.lost([LARGE], 0.0)
    assert not bound.allows(LARGE, 0.0)


@pytest.mark.parametrize("under_way", [[], [SMALL], [of(SUSPECT_BYTES - 1)]])
def test_a_network_that_fails_is_not_taken_for_a_bound(under_way: list[Operation]) -> None:
    bound = RequestSize()
    for _ in range(10 * LOSSES):
        bound.lost(under_way, 0.0)
    assert bound.allows(of(MOST_BYTES), 0.0)


def test_what_was_learnt_is_tried_again_one_day() -> None:
    bound = RequestSize()
    for _ in range(LOSSES):
        bound.lost([LARGE], 100.0)
    assert not bound.allows(LARGE, 100.0 + FORGET_SECONDS - 1)
    assert bound.allows(LARGE, 100.0 + FORGET_SECONDS)
    bound.lost([LARGE], 800.0)
    assert bound.allows(LARGE, 800.0), "it takes as many losses as before"
