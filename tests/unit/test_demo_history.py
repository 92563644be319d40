"""Reading a record back: who was what, which fault is which act, and the verdict."""

from pathlib import Path

import pytest

from demo.report.history import Act, BadRecordError, Event, History, Span
from tests.unit.demo_records import RECORD, demo, event, history, ledger, seen

END = event(10.0, "end", problem=None)


def test_the_demo_as_it_was() -> None:
    told = History.load(RECORD)
    assert told.held
    assert [fault.key for fault in told.faults] == [
        "sigkill",
        "frozen",
        "worker_power_cut",
        "leader_kill",
        "one_of_three_down",
        "two_of_three_down",
    ]
    assert [[act.kind for act in fault.acts] for fault in told.faults] == [
        ["kill"],
        ["frozen"],
        ["off"],
        ["kill"],
        ["off"],
        ["off"],
    ]
    assert all(fault.figure for fault in told.faults)
    assert "master none, leader zk3" in told.tell(7)  # frozen, and not yet replaced
    assert "master mw1 (epoch 4), leader zk2" in told.tell(30)
    assert "master none, leader none" in told.tell(42)  # zk2, alone, still called itself leader
    # The client at zk1 lost its server; all lost the quorum.
    assert [round(end - begin) for begin, end in told.gaps("zk1") if end - begin > 1] == [2, 11]


def test_a_state_lasts_until_the_next_and_a_term_begins_with_the_election() -> None:
    told = history(
        seen(1.0, "master", "mw1", "standby"),
        seen(2.3, "master", "mw1", "active", epoch=4, elected=2.1),
        event(5.0, "end", problem=None),
    )
    assert told.lanes["master", "mw1"] == [Span(1.0, 2.1, "standby"), Span(2.1, 5.0, "active", 4)]


def test_a_term_that_began_before_the_record_is_drawn_from_where_it_was_seen() -> None:
    told = history(seen(1.0, "master", "mw1", "active", epoch=4, elected=-90.0), END)
    assert told.lanes["master", "mw1"] == [Span(1.0, 10.0, "active", 4)]


def test_a_power_cut_is_one_act_though_it_stops_the_host_first() -> None:
    told = history(
        seen(0.1, "host", "zk1", "running"),
        event(1.0, "fault", fault="worker_power_cut"),
        seen(1.1, "host", "zk1", "frozen"),
        seen(1.2, "host", "zk1", "running"),
        seen(1.25, "host", "zk1", "off"),
        seen(4.0, "host", "zk1", "running"),
        event(5.0, "fault", fault="frozen"),
        seen(5.1, "host", "zk1", "frozen"),
        END,
    )
    cut, frozen = told.faults
    assert cut.acts == [Act(1.1, "off", "zk1", 4.0)]
    assert frozen.acts == [Act(5.1, "frozen", "zk1", 10.0)]  # to the end: it was never thawed


def test_two_faults_of_a_kind_keep_their_own_figures() -> None:
    events = [
        event(1.0, "fault", fault="sigkill"),
        event(2.0, "figure", fault="sigkill", kind="takeover", ms=80.0),
        event(3.0, "fault", fault="sigkill"),
        event(4.0, "figure", fault="sigkill", kind="takeover", ms=90.0),
    ]
    told = history(*events)
    assert [fault.figure and fault.figure["ms"] for fault in told.faults] == [80.0, 90.0]
    assert told.figures("takeover") == {"sigkill": [80.0, 90.0]}


@pytest.mark.parametrize(
    ("events", "problem"),
    [
        ([ledger(), END], None),
        ([ledger()], "breaks off"),
        ([END], "not accounted for"),
        ([ledger(), event(10.0, "end", problem="it was interrupted")], "it was interrupted"),
        ([ledger(lost=["task-7"]), END], "lost: task-7"),
        ([ledger(doubled=["task-8"]), END], "doubled: task-8"),
        ([ledger(failed=2), END], "2 tasks failed, 1 were meant to"),
    ],
)
def test_the_verdict(events: list[Event], problem: str | None) -> None:
    told = history(*events)
    assert told.held is (problem is None)
    assert (problem or "") in (told.problem or "")


def test_a_last_line_cut_short_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(RECORD.read_text() + '{"t": 99, "eve')
    assert History.load(path).end == history().end


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ('{"t": 1, "event": "end"}\nnonsense\n{}\n', "line 2"),
        ('{"t": 1}\n[]\n', "line 1"),
        (None, "make demo"),
    ],
)
def test_what_is_no_record_is_told(tmp_path: Path, text: str | None, said: str) -> None:
    path = tmp_path / "events.jsonl"
    if text is not None:
        path.write_text(text)
    with pytest.raises(BadRecordError, match=said):
        History.load(path)


def test_the_order_of_lines_does_not_matter() -> None:
    assert history(*reversed(demo())).lanes == history().lanes
