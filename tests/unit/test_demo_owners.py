"""Owners of stores: who is shown as one, and the close-ups of their kills."""

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from demo.report.closeup import close_ups, owned
from demo.report.history import Event, History, Span
from demo.report.texts import span as span_of
from demo.report.timeline import NARROW, WIDE, draw
from tests.unit.demo_records import README, event, history, seen

SVG = "{http://www.w3.org/2000/svg}"
TABLE = "demo-region"
END = event(10.0, "end", problem=None)


def _owner(t: float, worker: str, generation: int, table: str = TABLE) -> Event:
    return seen(t, "owner", table, worker, generation=generation)


def _stored(*writes: tuple[float, float], table: str = TABLE) -> Event:
    return event(9.9, "stored", store=table, writes=[list(write) for write in writes])


def _worker_killed(t: float, node: str) -> Event:
    return event(t, "kill", kind="worker", node=node, unit="mwapp-worker.service")


def _handler_killed(t: float, node: str, table: str = TABLE) -> Event:
    return event(t, "kill", kind="handler", node=node, unit=table)


@pytest.fixture(scope="module")
def real() -> History:
    """That of README's story."""
    return History.load(README)


@pytest.mark.parametrize("kill", [_worker_killed(3.0, "mw1"), _handler_killed(3.0, "mw1")])
def test_a_dead_owner_owns_nothing_although_the_ensemble_does_not_know_it_yet(kill: Event) -> None:
    told = history(_owner(1.0, "mw1", 7), kill, _owner(5.0, "mw2", 8), END)
    assert told.owners(TABLE) == [
        Span(1.0, 3.0, "mw1", 7),
        Span(3.0, 5.0, "nobody"),
        Span(5.0, 10.0, "mw2", 8),
    ]


def test_others_go_on() -> None:
    told = history(
        _owner(1.0, "mw1", 7),
        _worker_killed(3.0, "mw2"),
        _handler_killed(4.0, "mw1", "demo-blocks"),
        _handler_killed(5.0, "mw2"),
        event(6.0, "kill", kind="master", node="mw1", unit="mwapp-master.service"),
        END,
    )
    assert told.owners(TABLE) == [Span(1.0, 10.0, "mw1", 7)]


def test_a_successor_serves_at_the_latest_when_it_has_acknowledged_a_write() -> None:
    told = history(
        _owner(1.0, "mw1", 7),
        _worker_killed(3.0, "mw1"),
        _owner(5.0, "mw2", 8),
        _stored((2.0, 2.1), (4.0, 4.2), (4.3, 4.4), (6.0, 6.1)),
        _stored((3.1, 3.2), table="demo-blocks"),
        END,
    )
    assert told.owners(TABLE)[1:] == [Span(3.0, 4.2, "nobody"), Span(4.2, 10.0, "mw2", 8)]


def test_a_write_that_was_begun_before_the_kill_may_be_the_dead_owners() -> None:
    told = history(
        _owner(1.0, "mw1", 7), _worker_killed(3.0, "mw1"), _owner(5.0, "mw2", 8), _stored((2.9, 3.1)), END
    )
    assert told.owners(TABLE)[1:] == [Span(3.0, 5.0, "nobody"), Span(5.0, 10.0, "mw2", 8)]


def test_a_write_that_nobody_was_seen_to_serve_proves_no_owner() -> None:
    told = history(
        _owner(1.0, "mw1", 7),
        _worker_killed(3.0, "mw1"),
        seen(5.0, "owner", TABLE, "not watched"),
        _stored((3.1, 3.2)),
        END,
    )
    assert told.owners(TABLE)[1:] == [Span(3.0, 5.0, "nobody"), Span(5.0, 10.0, "not watched")]


def test_who_is_to_release_it_may_still_serve() -> None:
    told = history(
        _owner(1.0, "mw1", 7),
        seen(3.0, "owner", TABLE, "handover"),
        _owner(5.0, "mw2", 8),
        _stored((3.1, 3.2)),
        seen(7.0, "owner", TABLE, "not watched"),
        _stored((7.1, 7.2)),
        END,
    )
    spans = [(span.begin, span.end, span.state) for span in told.owners(TABLE)]
    assert spans == [
        (1.0, 3.0, "mw1"),
        (3.0, 5.0, "handover"),
        (5.0, 7.0, "mw2"),
        (7.0, 10.0, "not watched"),
    ]
    assert [span.state for span in owned(told.owners(TABLE))] == ["mw1", "mw2"]


# ---------------------------------------------------------------- README's story


def test_each_owner_that_was_killed_has_a_successor_of_a_greater_generation(real: History) -> None:
    shown = close_ups(real)
    assert [real.faults[it.number - 1].key for it in shown] == [
        "region_server_kill",
        "partition_leader_kill",
        "data_node_kill",
    ]
    for it in shown:
        generations = [span.epoch or 0 for span in owned(it.owners)]
        assert generations == sorted(generations)
        before = next(span for span in owned(it.owners) if span.end == it.kill)
        after = next(span for span in owned(it.owners) if span.begin > it.kill)
        assert before.state != after.state
        assert it.generations == (before.epoch, after.epoch)
        assert (before.epoch or 0) < (after.epoch or 0)
        kept = real.kept(it.table) or {}
        assert (kept["writes"], kept["wrong"]) == (len(it.writes), [])


def test_the_figure_is_the_time_to_the_next_write(real: History) -> None:
    over = {event["t"]: event["over"] for event in real.events if "over" in event}
    for it in close_ups(real):
        next_write = min(ended for began, ended in it.writes if began > over[it.kill])
        assert it.next == pytest.approx(next_write, abs=0.002)
        served = next(span for span in owned(it.owners) if span.begin <= next_write <= span.end)
        assert served.begin > it.kill
        assert min(ended - began for began, ended in it.writes) > 0


def _titles(root: ElementTree.Element) -> dict[str, ElementTree.Element]:
    return {
        title.text or "": element
        for element in root.iter()
        for title in element
        if title.tag == f"{SVG}title" and title.text
    }


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_the_close_ups_are_drawn_as_recorded(real: History, width: int) -> None:
    """Owners' bars, the gap and the steps: by one scale, that of the kill and the next write."""
    root = ElementTree.fromstring(draw(real, width))  # noqa: S314 - our own
    shown = close_ups(real)
    links = {link.attrib["aria-label"]: link for link in root.iter(f"{SVG}a")}
    scales = []
    for it in shown:
        panel = links[f"{it.table} around the kill"]
        titles = _titles(panel)
        (gap,) = (box for title, box in titles.items() if "the next write" in title)
        left, wide = float(gap.attrib["x"]), float(gap.attrib["width"])
        scale = wide / (it.next - it.kill)
        scales.append(scale)

        def x(time: float, left: float = left, scale: float = scale, kill: float = it.kill) -> float:
            return left + (time - kill) * scale

        end = it.kill + max(other.next - other.kill for other in shown) + 0.5
        spans = [span for span in owned(it.owners) if span.end > it.kill - 0.5 and span.begin < end]
        bars = [box for title, box in titles.items() if " owns it" in title]
        assert len(bars) == len(spans)
        for span, bar in zip(spans, bars, strict=True):
            assert float(bar.attrib["x"]) == pytest.approx(x(max(span.begin, it.kill - 0.5)), abs=1)
            right = float(bar.attrib["x"]) + float(bar.attrib["width"])
            assert right == pytest.approx(x(min(span.end, end)), abs=1.5)
        (line,) = (path.attrib["d"] for path in panel.iter(f"{SVG}path") if path.get("class") == "stored")
        steps = [(float(at), float(level)) for at, level in re.findall(r"H([\d.]+)V([\d.]+)", line)]
        known = min(end, max(span.end for span in it.owners if span.state != "not watched"))
        times = sorted(ended for _, ended in it.writes if it.kill - 0.5 <= ended <= known)
        assert [at for at, _ in steps] == pytest.approx([x(time) for time in times], abs=1)
        assert all(one[1] > other[1] for one, other in pairwise(steps))
        texts = [text.text for text in panel.iter(f"{SVG}text")]
        assert f"{len(times)} writes" in texts
        assert span_of((real.faults[it.number - 1].figure or {})["ms"]) in texts
        assert "generation {}, then {}".format(*it.generations) in texts
    assert max(scales) == pytest.approx(min(scales), rel=0.1)


def test_the_lane_of_the_owners_is_drawn_as_recorded(real: History) -> None:
    root = ElementTree.fromstring(draw(real))  # noqa: S314 - our own
    links = {link.attrib["aria-label"]: link for link in root.iter(f"{SVG}a")}
    for it in close_ups(real):
        titles = [title for title in _titles(links[f"owners of {it.table}"]) if "owns it" in title]
        assert titles == [
            f"{it.table}: {s.state} owns it, generation {s.epoch}, {s.begin:.1f} to {s.end:.1f} s"
            for s in owned(it.owners)
        ]


def test_a_story_without_stores_has_no_lane_of_theirs() -> None:
    svg = draw(history())
    assert "stores: who owns" not in svg
    assert "around the kill" not in svg
