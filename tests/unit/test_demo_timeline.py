"""The picture: nothing covers anything else, nothing is left out, and what is strange stays text."""

import re
import struct
from itertools import combinations, pairwise
from xml.etree import ElementTree

import pytest

from demo.report.history import Event
from demo.report.timeline import NARROW, WIDE, draw, nice
from drawing.svg import png
from tests.unit.demo_records import README, demo, event, history, seen

SVG = "{http://www.w3.org/2000/svg}"
Box = tuple[float, float, float, float]


def _parse(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)  # noqa: S314 - our own


def _texts(svg: str) -> list[tuple[str, Box]]:
    """Each text with its box: left, top, right, bottom."""
    found = []
    for text in _parse(svg).iter(f"{SVG}text"):
        size = float(text.attrib["font-size"])
        wide = len(text.text or "") * size * 0.58  # DejaVu Sans, bold: no usual font is wider
        shift = {"start": 0.0, "middle": 0.5, "end": 1.0}[text.attrib["text-anchor"]]
        left, base = float(text.attrib["x"]) - shift * wide, float(text.attrib["y"])
        found.append((text.text or "", (left, base - 0.75 * size, left + wide, base + 0.2 * size)))
    return found


def _crowded() -> list[Event]:
    """Many faults at once, at the beginning, in the middle and at the very end."""
    events = []
    for at in [0.1, 0.2, 0.3, 5.0, 5.0, 5.01, 9.8, 9.9, 10.0]:
        events.append(event(at, "fault", fault="worker_power_cut"))
        events.append(event(at, "kill", kind="master", node="mw1", unit="mwapp-master.service"))
        events.append(event(at, "figure", fault="worker_power_cut", kind="takeover", ms=12345.6))
    return [*events, event(10.0, "end", problem=None)]


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize(
    "events",
    [demo(), demo(README), _crowded(), [event(0.0, "begin", unix=0)]],
    ids=["demo", "readme", "crowded", "bare"],
)
def test_no_text_covers_another_or_leaves_the_picture(events: list[Event], width: int) -> None:
    svg = draw(history(*events), width)
    height = float(_parse(svg).attrib["height"])
    texts = _texts(svg)
    for text, (left, top, right, bottom) in texts:
        assert 0 <= left < right <= width, text
        assert 0 <= top < bottom <= height, text
    for (one, a), (other, b) in combinations(texts, 2):
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
        assert apart, f"{one!r} and {other!r}"


def test_every_fault_has_its_mark_and_its_time() -> None:
    said = [text for text, _ in _texts(draw(history()))]
    assert [text for text in said if text in "123456" and len(text) == 1][:6] == list("123456")
    assert "Master killed: 105 ms to the next" in said
    assert "Quorum lost: 10.7 s without a write" in said
    assert "frozen 6.9 s" in said
    assert "no power 9.9 s" in said


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_tasks_are_drawn_in_steps(width: int) -> None:
    """Nothing was acknowledged between 2 and 9 s: a line that rises there would say something else."""
    told = history(
        event(2.0, "accepted", tasks=[[1.0, "task-1"], [2.0, "task-2"]]),
        event(9.0, "accepted", tasks=[[9.0, "task-3"]]),
        event(10.0, "end", problem=None),
    )
    (line,) = [
        path.attrib["d"]
        for path in _parse(draw(told, width)).iter(f"{SVG}path")
        if path.get("class") == "submitted" and "V" in path.attrib["d"]
    ]
    assert re.fullmatch(r"M[\d.]+ [\d.]+(H\d+V[\d.]+){3}H\d+", line), line
    assert told.longest_submission == (2.0, 9.0)


def test_lanes_show_what_was_seen() -> None:
    svg = draw(
        history(
            seen(1.0, "server", "zk1", "leader"),
            seen(2.0, "server", "zk1", "no answer"),
            seen(6.0, "server", "zk1", "not serving"),
            seen(8.0, "server", "zk1", "follower"),
            event(10.0, "end", problem=None),
        )
    )
    titles = [title.text for title in _parse(svg).iter(f"{SVG}title")]
    assert [title for title in titles if title and title.startswith("server on zk1")] == [
        "server on zk1: leader, 1.0 to 2.0 s",
        "server on zk1: no answer, 2.0 to 6.0 s",
        "server on zk1: not serving, 6.0 to 8.0 s",
        "server on zk1: follower, 8.0 to 10.0 s",
    ]


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_the_lanes_of_the_demo_are_its_history(width: int) -> None:
    """Each bar is where the record says: not one is missing, none is too many, none covers another."""
    told = history()
    drawn: dict[str, list[tuple[float, float]]] = {}
    bars = {}
    for box in _parse(draw(told, width)).iter(f"{SVG}rect"):
        title = box.find(f"{SVG}title")
        if title is not None and (name := re.match(r"(master|worker|server) on (\w+): ", title.text or "")):
            left = float(box.attrib["x"])
            drawn.setdefault(name[0], []).append((left, left + float(box.attrib["width"])))
            bars[title.text or ""] = (left, left + float(box.attrib["width"]), box.attrib["class"])
    lanes = {f"{kind} on {node}: ": spans for (kind, node), spans in told.lanes.items() if kind != "host"}
    assert {name: len(boxes) for name, boxes in drawn.items()} == {n: len(s) for n, s in lanes.items()}
    every = [
        (span.begin, span.end, *box)
        for name, spans in lanes.items()
        for span, box in zip(spans, drawn[name], strict=True)
    ]
    first, last = min(every), max(every)
    scale = (last[2] - first[2]) / (last[0] - first[0])
    origin = first[2] - first[0] * scale
    for begin, end, left, right in every:
        assert left == pytest.approx(origin + begin * scale, abs=0.1)
        assert right == pytest.approx(origin + max(end * scale, begin * scale + 1), abs=0.2)
    for look in ("master loud", "server loud"):
        loud = sorted((left, right) for left, right, its in bars.values() if its == look)
        assert len(loud) > 2
        assert all(one[1] < other[0] + 1 for one, other in pairwise(loud)), loud  # a bar is at least 1 wide


def test_strange_names_stay_text() -> None:
    hostile = "<script>alert(1)</script>\"'&"
    svg = draw(history(*demo(), event(0.1, "writes", client=hostile, times=[0.1, 0.2])))
    assert "<script" not in svg
    assert hostile in [text for text, _ in _texts(svg)]


def test_two_pictures_in_one_page_share_no_id() -> None:
    ids = [
        {element.attrib["id"] for element in _parse(draw(history(), w)).iter() if "id" in element.attrib}
        for w in (WIDE, NARROW)
    ]
    assert all(ids)
    assert ids[0].isdisjoint(ids[1])


def test_the_png_is_the_picture() -> None:
    svg = draw(history())
    root = _parse(svg)
    image = png(svg, zoom=1)
    assert image[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", image[16:24]) == (WIDE, int(root.attrib["height"]))
    assert len(image) > 2 * len(png(draw(history(event(0.0, "begin", unix=0))), zoom=1)), "nothing is drawn"


@pytest.mark.parametrize(
    ("least", "step"), [(0.2, 1), (1, 1), (1.1, 2), (2.75, 5), (7, 10), (160, 200), (501, 1000)]
)
def test_steps_of_an_axis(least: float, step: int) -> None:
    assert nice(least) == step
