"""What is in the znodes: written, read back, and read when a person or a fool wrote it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwapp.core.protocol import (
    MAX_TASK_BYTES,
    Assignment,
    BadTaskError,
    Office,
    Outcome,
    Registration,
    Task,
    task_order,
)

commands = st.text(min_size=1, max_size=200).filter(lambda text: text.strip() and "\0" not in text)


@given(commands, st.none() | st.uuids().map(str))
def test_a_task_is_read_as_it_was_written(command: str, key: str | None) -> None:
    assert Task.decode(Task(command, key).encode()) == Task(command, key)


def test_a_command_no_terminal_can_send_is_refused() -> None:
    with pytest.raises(BadTaskError, match="not valid UTF-8"):
        Task("echo \udcff").encode()


@pytest.mark.parametrize("command", ["date", "{ date; }", "{a,b}", "[ -f x ]", "  echo ü  "])
def test_plain_text_is_a_shell_command_even_if_it_begins_with_a_brace(command: str) -> None:
    assert Task.decode(command.encode()) == Task(command)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b"\xff\xfe", "not UTF-8"),
        (b"echo \0", "NUL"),
        (b'{"command": "date"', "opens like a JSON object"),
        (b"{}", "no field 'command'"),
        (b'{"comand": "date"}', "unknown task field 'comand'; known are: command, key"),
        (b'{"command": 7}', "'command' must be text, not int"),
        (b'{"command": ""}', "empty"),
        (b'{"command": ' + b"[" * 100_000, "opens like a JSON object"),
        (b"x" * (MAX_TASK_BYTES + 1), "larger than"),
    ],
)
def test_a_task_that_can_never_run_says_why(data: bytes, reason: str) -> None:
    with pytest.raises(BadTaskError, match=reason.replace("{", r"\{")):
        Task.decode(data)


@given(st.binary(max_size=300))
def test_no_data_breaks_a_reader(data: bytes) -> None:
    Assignment.decode(data)
    Registration.decode(data)
    Office.decode(data)
    Outcome.decode(data)


@given(st.integers(1, 99), st.none() | st.integers(0), st.none() | st.integers(0), st.booleans())
def test_an_assignment_is_read_as_it_was_written(
    attempt: int, incarnation: int | None, epoch: int | None, returned: bool
) -> None:
    assignment = Assignment(attempt, incarnation, epoch, returned)
    assert Assignment.decode(assignment.encode()) == assignment


def test_what_a_person_assigns_is_a_first_attempt_for_whoever_bears_the_name() -> None:
    assert Assignment.decode(b"") == Assignment(1)
    assert Assignment.decode(b"").meant_for(7)
    assert not Assignment(1, incarnation=6).meant_for(7)


@given(st.integers(-(1 << 63), (1 << 63) - 1), st.integers(1, 1000), st.booleans())
def test_a_registration_is_read_as_it_was_written(session: int, slots: int, adopted: bool) -> None:
    registration = Registration(session, slots, adopted)
    assert Registration.decode(registration.encode()) == registration


def test_an_office_is_read_as_it_was_written() -> None:
    assert Office.decode(Office("mw1", 0x1000).encode()) == Office("mw1", 0x1000)


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome("mw1", 2, 0, "hello\n", False, 0.0),
        Outcome("mw1", 1, -9, "", True, 1.5),
        Outcome(reason="given up"),
    ],
)
def test_an_outcome_is_read_as_it_was_written(outcome: Outcome) -> None:
    assert Outcome.decode(outcome.encode()) == outcome


def test_only_exit_status_zero_is_done() -> None:
    assert Outcome(code=0).status == "done"
    assert [Outcome(code=c).status for c in (1, -9, None)] == ["failed"] * 3
    assert Outcome(code=0, reason="x").status == "failed"


def test_tasks_are_ordered_by_their_number_and_hand_named_ones_come_last() -> None:
    names = ["mine", "task-0000000010", "task-2147483648", "task-0000000009"]
    assert sorted(names, key=task_order) == ["task-0000000009", "task-0000000010", "task-2147483648", "mine"]
