"""Scenes of a master with more than goes into one page, one reading or what is to be kept."""

from dataclasses import replace

import pytest

from mwapp.core.limits import LIMITS
from mwapp.core.messages import Transaction
from mwapp.core.retention import Retention
from tests.unit.core_stage import ALL_AT_HAND, Stage


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


def test_many_cancel_requests_leave_half_of_a_transaction_to_tasks_that_wait() -> None:
    stage = Stage()
    master = stage.master("m1", limits=replace(ALL_AT_HAND, batch=4))
    person, worker = stage.person(), stage.worker("w1", slots=2)
    for number in range(8):
        person.create(f"/tasks/idle-{number}", '{"command": "date", "labels": ["nobody"]}')
    for number in range(8):
        person.create(f"/cancel/idle-{number}", settle=False)
    for number in range(2):
        person.create(f"/tasks/task-{number}", "date", settle=False)
    stage.settle()
    assert worker.running() == ["task-0", "task-1"]
    assert stage.children("/cancel") == []
    written = [[op.path for op in sent.ops] for sent in master.sent if isinstance(sent, Transaction)]
    begun = [at for at, paths in enumerate(written) if "/assign/w1/task-0" in paths]
    cancelled = [at for at, paths in enumerate(written) if any("/cancel/" in path for path in paths)]
    assert begun[0] < cancelled[-1]


def test_the_names_of_all_tasks_fit_into_one_reply() -> None:
    """Of a server and of zkCli.sh, which take a megabyte."""
    assert 40_000 <= LIMITS.max_tasks <= 0xFFFFF // len("0000task-2147483647")
