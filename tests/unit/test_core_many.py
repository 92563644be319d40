"""Scenes of a master with more than goes into one page, one reading or what is to be kept."""

import pytest

from mwapp.core.limits import LIMITS
from mwapp.core.retention import Retention
from tests.unit.core_stage import Stage


@pytest.mark.parametrize("number", [19, 20, 21, 40, 121])
def test_none_of_those_that_waited_for_a_master_is_forgotten(number: int) -> None:
    stage = Stage()
    stage.master("m1").die()
    person = stage.person()
    for _ in range(number):
        person.create("/tasks/task-", "date", s=True, settle=False)
    stage.settle()
    assert stage.master("m2").master.status()["queued"] == number


def test_of_what_has_ended_so_much_is_kept_as_is_to_be() -> None:
    stage = Stage()
    stage.master("m1", retention=Retention(seconds=3600.0, keep=3))
    person = stage.person()
    for _ in range(7):
        person.create("/tasks/task-", "", s=True)  # which can never run
    stage.settle(60)
    assert stage.children("/tasks") == [f"task-{number:010}" for number in (4, 5, 6)]


def test_cancel_requests_for_what_there_is_not_are_taken_back_however_many_come_at_once() -> None:
    stage = Stage()
    stage.master("m1")
    person = stage.person()
    before = stage.carried_out
    for number in range(40):
        person.create(f"/cancel/none-{number}", settle=False)
    stage.settle(2)
    assert stage.children("/cancel") == []
    assert stage.carried_out - before < 150, "one look at each"


def test_the_names_of_all_tasks_fit_into_one_reply() -> None:
    """Of a server and of zkCli.sh, which take a megabyte."""
    assert 40_000 <= LIMITS.max_tasks <= 0xFFFFF // len("0000task-2147483647")
