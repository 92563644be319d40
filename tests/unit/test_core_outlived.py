"""Which incarnations a registration names as outlived."""

from mwapp.core.messages import Error, Failed, Node, Stat
from mwapp.core.outlived import OUTLIVED, Outlived
from mwapp.core.protocol import Registration

GONE = Failed(Error.NO_NODE)


def queue(session: int, version: int, *outlived: int) -> Node:
    return Node(Registration(session, outlived=outlived).encode(), Stat(1, version))


def test_a_registration_of_ours_of_which_we_never_heard_is_outlived() -> None:
    """Its reply was lost with its session; so was the next one's."""
    ours = Outlived()
    assert ours.in_registration(GONE, 1) == ()
    assert ours.in_registration(queue(99, 3), 2) == (), "somebody else's"
    assert ours.in_registration(queue(99, 3), 3) == ()
    for session in (1, 2, 3):
        assert ours.in_registration(queue(session, 7), 4) == (7,)


def test_those_of_the_processes_before_us_are_named_too() -> None:
    ours = Outlived()
    ours.add(5)
    assert ours.in_registration(queue(99, 6, 1, 3), 1) == (1, 3, 5)
    assert ours.last == 5
    ours.add(4)
    assert ours.last == 5


def test_the_last_ones_are_named() -> None:
    ours = Outlived()
    for number in range(2 * OUTLIVED):
        ours.add(number)
    named = tuple(range(OUTLIVED, 2 * OUTLIVED))
    assert ours.in_registration(queue(99, 100, 1, 2), 1) == named
    assert sorted(ours._numbers) == list(named), "no more are kept"
