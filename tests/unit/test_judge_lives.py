"""Which process an incarnation belonged to, and whether it lived on: tests/simulation/lives.py."""

from dataclasses import dataclass, field
from typing import cast

from tests.simulation.host import Host
from tests.simulation.lives import Lives


@dataclass
class Machine:
    """What the judge sees of a host."""

    name: str = "n3"
    process: object | None = None
    life: int = 1
    lives: dict[int, int] = field(default_factory=dict)


def registered(machine: Machine, *sessions: int) -> Lives:
    """It has registered with each of them, one incarnation each."""
    lives = Lives()
    for incarnation, session in enumerate(sessions, start=1):
        lives.registered("n3", incarnation, session, [cast(Host, machine)], 0.0)
    return lives


def test_who_dies_before_its_registration_is_committed_has_outlived_the_one_before() -> None:
    dead = Machine(process=None, life=2, lives={17: 1, 31: 1})
    lives = registered(dead, 17, 31)
    assert not lives.died(("n3", 1), [cast(Host, dead)])
    assert lives.died(("n3", 2), [cast(Host, dead)])


def test_who_dies_and_is_started_again_has_not_outlived_the_one_before() -> None:
    anew = Machine(process=object(), life=3, lives={17: 1, 31: 3})
    lives = registered(anew, 17, 31)
    assert lives.died(("n3", 1), [cast(Host, anew)])
    assert not lives.died(("n3", 2), [cast(Host, anew)])
