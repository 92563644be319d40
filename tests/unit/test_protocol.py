"""What is in the znodes: written, read back, and read when a person or a fool wrote it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mwapp.core.protocol import Assignment, Outcome, Registration, Winner
from mwapp.core.task import MAX_TASK_BYTES, BadTaskError, Task, check_task_name, task_order

versions = st.none() | st.integers(0)
labels = st.lists(st.from_regex(r"[a-z][a-z0-9=.]{0,9}", fullmatch=True), unique=True).map(sorted).map(tuple)
commands = st.text(min_size=1, max_size=200).filter(lambda text: text.strip() and "\0" not in text)


@given(commands, st.none() | st.uuids().map(str))
def test_a_task_is_read_as_it_was_written(command: str, key: str | None) -> None:
    assert Task.decode(Task(command, key).encode()) == Task(command, key)


def test_a_command_no_terminal_can_send_is_refused() -> None:
    with pytest.raises(BadTaskError, match="not valid UTF-8"):
        Task("echo \udcff").encode()


@given(
    commands,
    st.none() | st.floats(0.001, 1e6),
    st.integers(0, 1000),
    st.floats(0, 86400),
    st.tuples(st.none() | st.floats(0, 1e5), st.none() | st.floats(0, 1e10), st.none() | st.floats(2e5, 1e7)),
    st.dictionaries(st.from_regex(r"[A-Z][A-Z0-9_]{0,9}", fullmatch=True), st.sampled_from(["", "a b", "ü"])),
    st.none() | st.just("/srv"),
    labels,
)
def test_a_task_that_says_more_is_read_as_it_was_written(
    command: str,
    timeout: float | None,
    retries: int,
    retry_delay: float,
    times: tuple[float | None, float | None, float | None],
    environment: dict[str, str],
    directory: str | None,
    labels: tuple[str, ...],
) -> None:
    how = retries, retry_delay, *times, environment, directory, labels
    task = Task(command, None, None, None, timeout, *how)
    assert Task.decode(task.encode()) == task


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=10))
def test_a_handler_is_given_what_the_client_gave(argument: object) -> None:
    task = Task(handler="echo", argument=argument)
    if "\\ud" in ascii(argument):
        return
    assert Task.decode(task.encode()).argument == argument


@pytest.mark.parametrize("name", ["nightly-2026-11-22", "A", "a.b_c"])
def test_a_name_of_the_clients_choice(name: str) -> None:
    assert check_task_name(name) == name


@pytest.mark.parametrize("name", ["", "7", "task-0000000001", "task-x", "-a", "a/b", "a b", "x" * 101])
def test_a_name_that_would_be_taken_for_another(name: str) -> None:
    with pytest.raises(BadTaskError, match="a task's name is up to 100 letters"):
        check_task_name(name)


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
        (b'{"command": "date"', "starts like a JSON object"),
        (b"{}", "either a field 'command' or a field 'handler'"),
        (b'{"command": "date", "handler": "echo"}', "either a field 'command' or a field 'handler'"),
        (b'{"command": "date", "argument": 1}', "'argument' is for a handler"),
        (b'{"comand": "date"}', "unknown task field 'comand'; known fields: command, key, handler"),
        (b'{"command": "date", "timeout": 0}', "'timeout' must be seconds above 0"),
        (b'{"command": "date", "timeout": true}', "'timeout' must be seconds"),
        (b'{"command": "date", "retries": -1}', "'retries' must be a number from 0 to 1000, not int '-1'"),
        (b'{"command": "date", "retry_delay": -1}', "'retry_delay' must be seconds from 0, at most 86400"),
        (b'{"command": "date", "retry_delay": 86401}', "'retry_delay' must be seconds from 0, at most 86400"),
        (b'{"command": "date", "delay": "1h"}', "'delay' must be seconds from 0, at most 31622400, not str"),
        (b'{"command": "date", "delay": Infinity}', "'delay' must be seconds from 0"),
        (b'{"command": "date", "delay": ' + b"9" * 4000 + b"}", "'delay' must be seconds from 0"),
        (b'{"command": "date", "expires": -' + b"9" * 4000 + b"}", "'expires' must be seconds above 0"),
        (b'{"command": "date", "delay": ' + b"9" * 5000 + b"}", "is not valid JSON"),
        (
            b'{"command": "date", "not_before": -1}',
            "'not_before' must be seconds from 0, at most 253402300799",
        ),
        (b'{"command": "date", "not_before": NaN}', "'not_before' must be seconds from 0"),
        (b'{"command": "date", "expires": 0}', "'expires' must be seconds above 0, at most 31622400"),
        (
            b'{"command": "date", "expires": 60, "delay": 60}',
            "fails after 60 s, but 'delay' keeps it from begin",
        ),
        (b'{"command": "date", "directory": "here"}', "'directory' must be an absolute path"),
        (b'{"command": "date", "labels": "gpu"}', "'labels' must be a list of strings"),
        (b'{"command": "date", "labels": ["a b"]}', "label 'a b': a label is up to 63 letters"),
        (b'{"command": "date", "environment": {"A=B": ""}}', "'A=B' cannot be set"),
        (b'{"command": "date", "environment": {"MWAPP_TASK": "x"}}', "'MWAPP_TASK' cannot be set"),
        (b'{"command": "date", "environment": {"A": 1}}', "an object of names and strings"),
        (b'{"command": 7}', "'command' must be text, not int"),
        (b'{"command": ""}', "empty"),
        (b'{"command": ' + b"[" * 100_000, "starts like a JSON object"),
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
    Winner.decode(data)
    Outcome.decode(data)


@given(st.integers(10, 99), versions, versions, st.integers(0, 9), labels, st.floats(0, 1e5), st.text())
def test_an_assignment_is_read_as_it_was_written(
    attempt: int,
    incarnation: int | None,
    epoch: int | None,
    failures: int,
    labels: tuple[str, ...],
    pause: float,
    failed_on: str,
) -> None:
    failed_on = failed_on.encode(errors="replace").decode()
    assignment = Assignment(attempt, incarnation, epoch, failures, labels, pause, failed_on)
    assert Assignment.decode(assignment.encode()) == assignment


@pytest.mark.parametrize(
    ("written", "read"),
    [
        *(("-1", 0.0), ("true", 0.0), ('"3"', 0.0), ("NaN", 0.0), ("-Infinity", 0.0), ("9" * 400, 108000.0)),
        *(("2", 2.0), ("1e300", 108000.0), ("Infinity", 108000.0)),
    ],
)
def test_a_pause_that_a_person_writes_is_bounded(written: str, read: float) -> None:
    assert Assignment.decode(f'{{"pause": {written}, "failed_on": 7}}'.encode()) == Assignment(1, pause=read)


def test_numbers_that_a_person_writes_can_be_written_again() -> None:
    many = "9" * 4000
    read = Assignment.decode(f'{{"attempt": {many}, "failures": {many}}}'.encode())
    assert Assignment.decode(Assignment(read.attempt + 1).encode()).attempt == 1_000_000_000
    assert read.failures < read.attempt == 1_000_000_000
    registered = Registration.decode(f'{{"session": "0x1", "slots": {many}, "prefetch": {many}}}'.encode())
    assert registered == Registration(1, 1_000_000_000, prefetch=1_000_000_000)


def test_what_a_person_assigns_is_a_first_attempt_for_whoever_bears_the_name() -> None:
    assert Assignment.decode(b"") == Assignment(1)
    assert Assignment.decode(b"").meant_for(7)
    assert not Assignment(1, incarnation=6).meant_for(7)


@given(st.integers(-(1 << 63), (1 << 63) - 1), st.integers(1, 1000), st.booleans(), labels)
def test_a_registration_is_read_as_it_was_written(
    session: int, slots: int, adopted: bool, labels: tuple[str, ...]
) -> None:
    registration = Registration(session, slots, adopted, labels)
    assert Registration.decode(registration.encode()) == registration


def test_a_winner_is_read_as_it_was_written() -> None:
    assert Winner.decode(Winner("mw1", 0x1000).encode()) == Winner("mw1", 0x1000)
    assert Winner.decode(Winner("mw1", 0x1000, 2).encode()) == Winner("mw1", 0x1000, 2)
    assert Winner.decode(b'{"name":"mw1","session":"0x1","depositions":-1}') == Winner("mw1", 1)


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome("mw1", 2, 0, "hello\n", False, 0.0),
        Outcome("mw1", 1, -9, "", True, 1.5),
        Outcome(reason="given up"),
        Outcome("mw1", 1, -15, reason="cancelled", cancelled=True),
        Outcome("mw1", 1, 0, "hello\n", result='{"a": ["ä", null, 1.5]}'),
        Outcome(result="null"),
        Outcome(code=0, result='"half a \\ud800"'),
    ],
)
def test_an_outcome_is_read_as_it_was_written(outcome: Outcome) -> None:
    assert Outcome.decode(outcome.encode()).encode() == outcome.encode()
    assert Outcome.decode(outcome.encode()).value == outcome.value
    assert replace(Outcome.decode(outcome.encode()), result=None) == replace(outcome, result=None)


def test_what_was_returned_is_json_within_json() -> None:
    assert Outcome(code=0, result='{"a": 1}').encode() == b'{"code":0,"result":{"a": 1}}'
    assert [Outcome.decode(data).value for data in (b'{"code":0,"output":"3"}', b'{"result":3}')] == [None, 3]
    assert Outcome.decode(b'{"code":0,"output":"3"}').result is None, "as 0.2.0 writes it"


def test_only_exit_status_zero_is_done() -> None:
    assert Outcome(code=0).status == "done"
    assert [Outcome(code=c).status for c in (1, -9, None)] == ["failed"] * 3
    assert Outcome(code=0, reason="x").status == "failed"
    assert Outcome(code=0, cancelled=True).status == "cancelled"


def test_tasks_are_ordered_by_their_number_and_hand_named_ones_come_last() -> None:
    names = ["mine", "task-0000000010", "task-2147483648", "task-0000000009"]
    assert sorted(names, key=task_order) == ["task-0000000009", "task-0000000010", "task-2147483648", "mine"]


@pytest.mark.parametrize(("written", "slots"), [("0", 1), ("-3", 1), ("true", 1), ("2", 2), ('"2"', 1)])
def test_a_worker_has_a_slot_whatever_a_person_writes(written: str, slots: int) -> None:
    registration = Registration.decode(f'{{"session": "0x7", "slots": {written}}}'.encode())
    assert registration == Registration(7, slots)


@pytest.mark.parametrize(
    ("written", "assignment"),
    [
        ('{"attempt": 0}', Assignment(1)),
        ('{"attempt": true, "incarnation": true, "epoch": false}', Assignment(1)),
        ('{"attempt": 3, "failures": 7}', Assignment(3, failures=2)),
        ('{"attempt": 3, "failures": -1}', Assignment(3)),
        ('{"incarnation": -1, "epoch": -1}', Assignment(1)),
    ],
)
def test_numbers_that_a_person_writes_fit_together(written: str, assignment: Assignment) -> None:
    assert Assignment.decode(written.encode()) == assignment


def test_what_is_as_if_it_was_not_asked_for_can_be_asked_for() -> None:
    data = b'{"command": "date", "retries": 0, "retry_delay": 0, "delay": 0, "not_before": 0}'
    assert Task.decode(data) == Task("date", retry_delay=0.0, delay=0.0, not_before=0.0)
