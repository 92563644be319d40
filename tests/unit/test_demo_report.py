"""The report tells of every fault, also of a story that broke off, and needs nothing but itself."""

import json
import re
from functools import cache, partial
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest

from demo import __main__ as demo_command
from demo.report import __main__ as again
from demo.report import page as report
from demo.report.history import History
from demo.report.legend import LEGEND
from demo.report.texts import FAULTS
from demo.report.timeline import NARROW, WIDE, draw
from drawing.svg import png
from tests.unit.demo_records import README, RECORD, demo, event, history, ledger

ROOT = Path(__file__).parents[2]
SVG = "{http://www.w3.org/2000/svg}"


class _Page(HTMLParser):
    """The words of a page, its elements and their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self._words: list[str] = []
        self.feed(html)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self._words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self._words.append(data)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture of few pixels is soon painted."""
    monkeypatch.setattr(report, "png", partial(png, zoom=1))


@cache
def _html() -> str:
    """Of the demo."""
    return report.html(history())


def test_every_fault_is_told_with_its_figure() -> None:
    told = history()
    page = _Page(_html())
    assert len(told.faults) == 6
    for fault in told.faults:
        text = FAULTS[fault.key]
        assert text.read
        for words in (text.title, text.done, text.seen, text.why, text.invariant, *text.read):
            assert " ".join(words.split()) in page.text
    for figure in ("105 ms", "6.9 s", "505 ms", "2.5 s", "10.7 s"):
        assert figure in page.text
    assert "6 faults, 912 tasks: none lost, none recorded twice" in page.text
    assert "was refused" in page.text
    assert "0 writes were acknowledged in 3 s" in page.text


def test_a_fault_of_an_unknown_kind_is_told_too() -> None:
    page = _Page(
        report.html(
            history(event(1.0, "fault", fault="meteorite"), ledger(), event(10.0, "end", problem=None))
        )
    )
    assert "meteorite" in page.text
    assert "It was not seen to happen" in page.text


def test_output_of_tasks_is_text() -> None:
    hostile = "</code><script>alert('x')</script><img src=x onerror=alert(1)>&amp;"
    shown = {"task": hostile, "command": hostile, "state": hostile, "worker": hostile, "said": hostile}
    broken = event(99.0, "end", problem=hostile)
    page = _Page(
        report.html(
            history(*demo(), event(1.0, "shown", **shown), event(2.0, "fault", fault=hostile), broken)
        )
    )
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert page.text.count("alert('x')") >= 6


def test_the_page_needs_nothing_but_itself() -> None:
    html = _html()
    page = _Page(html)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert [value for name, value in page.attributes if name == "src"] == []
    assert re.findall(r"@import|url\((?!#)", html) == []
    assert set(re.findall(r"https?://[^\s\"<]+", html)) == {
        "http://www.w3.org/2000/svg"
    }  # a name, not a place


def test_every_link_leads_somewhere(tmp_path: Path) -> None:
    """The record is beside the page, the documentation in this checkout, all else in the page."""
    (tmp_path / "events.jsonl").touch()
    report.write(history(), tmp_path)
    page = _Page((tmp_path / "report.html").read_text())
    links = {value for name, value in page.attributes if name == "href"}
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    files = {(tmp_path / link).resolve() for link in links if not link.startswith("#")}
    assert {
        tmp_path / name for name in ("events.jsonl", "summary.json", "timeline.svg", "timeline.png")
    } < files
    assert {ROOT / "docs/protocol.md", ROOT / "docs/lab.md"} < files
    assert all(file.is_file() for file in files)


@pytest.mark.parametrize("record", [RECORD, README])
def test_what_is_told_to_a_pointer_is_in_the_page_and_the_keyboard_gets_there(record: Path) -> None:
    told = History.load(record)
    html = report.html(told)
    page = _Page(html)
    for width in (WIDE, NARROW):
        picture = ElementTree.fromstring(draw(told, width))  # noqa: S314 - our own
        links = list(picture.iter(f"{SVG}a"))
        for link in links:
            assert f'id="{link.attrib["href"][1:]}"' in html
            assert link.attrib["aria-label"]
        titles = [title.text or "" for title in picture.iter(f"{SVG}title")]
        assert titles == [title.text for link in links for title in link.iter(f"{SVG}title")]
        for title in titles:
            fault = re.fullmatch(r"\d+\. (.*): (\S+ m?s) .* \(at (\S+) s\)", title)
            for words in fault.groups() if fault else [title]:
                assert words in page.text, title


def test_every_mark_is_explained() -> None:
    page = _Page(_html())
    for key in LEGEND:
        assert f"{key.name} {key.meaning}" in page.text


@pytest.mark.parametrize("lines", [1, 40, 150, 300])
def test_a_story_that_broke_off_is_reported_as_far_as_it_came(tmp_path: Path, lines: int) -> None:
    record = tmp_path / "events.jsonl"
    record.write_text("\n".join(RECORD.read_text().splitlines()[:lines]) + '\n{"t": 5')
    told = History.load(record)
    report.write(told, tmp_path)
    page = _Page((tmp_path / "report.html").read_text())
    assert "The story did not hold" in page.text
    assert "What did not hold: the record breaks off" in page.text
    assert "none lost" not in page.text
    assert json.loads((tmp_path / "summary.json").read_text())["ok"] is False
    assert (tmp_path / "timeline.svg").stat().st_size > 1000
    assert (tmp_path / "timeline.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"lost": ["task-1"]}, "3 tasks: 1 lost"),
        ({"doubled": ["task-1", "task-2"]}, "3 tasks: 2 recorded twice"),
        ({"open": ["task-1"]}, "3 tasks: 1 not ended when the story broke off"),
    ],
)
def test_what_was_lost_or_doubled_is_the_headline(wrong: dict[str, Any], said: str) -> None:
    page = _Page(report.html(history(ledger(**wrong), event(10.0, "end", problem=None))))
    assert said in page.text
    assert "none lost" not in page.text
    assert "The story did not hold" in page.text


def test_a_stale_write_that_was_accepted_is_not_told_as_refused() -> None:
    events = [event(1.0, "fault", fault="frozen"), event(2.0, "stale", epoch=4, committed=True)]
    page = _Page(report.html(history(*events)))
    assert "old epoch 4 was accepted" in page.text


def _killed(wrong: list[str]) -> _Page:
    owners = {"before": {"worker": "mw1", "generation": 70}, "after": {"worker": "mw2", "generation": 71}}
    events = [
        event(1.0, "fault", fault="partition_leader_kill"),
        event(1.1, "kill", kind="handler", node="mw1", unit="demo-partition"),
        event(
            2.0,
            "figure",
            fault="partition_leader_kill",
            kind="takeover",
            ms=123.4,
            store="demo-partition",
            **owners,
        ),
        event(3.0, "kept", store="demo-partition", writes=57, wrong=wrong),
    ]
    return _Page(report.html(history(*events)))


def test_the_kill_of_an_owner_is_told_with_who_owned_what_and_what_was_kept() -> None:
    page = _killed([])
    text = FAULTS["partition_leader_kill"]
    for words in (text.title, text.done, text.seen, text.why, text.invariant):
        assert words in page.text
    assert "kill -9: process of demo-partition on mw1" in page.text
    assert "123 ms" in page.text
    assert "mw1 owned demo-partition under generation 70, then mw2 under 71." in page.text
    assert "Of 57 acknowledged writes none was missing or wrong in the end." in page.text
    assert "Of 57 acknowledged writes 2 were missing or wrong" in _killed(["one", "other"]).text


def test_the_report_can_be_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "events.jsonl"
    record.write_bytes(RECORD.read_bytes())
    monkeypatch.setattr("sys.argv", ["report", str(record)])
    assert again.main() == 0
    assert "submitted 912   done 911   failed 1   lost 0   recorded twice 0" in capsys.readouterr().out
    record.unlink()
    assert again.main() == 2
    assert "make demo" in capsys.readouterr().err


@pytest.mark.parametrize("command", [demo_command, again])
def test_help_is_shown(
    command: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is played, and no file of this name is looked for."""
    monkeypatch.setattr("sys.argv", ["demo", "--help"])
    with pytest.raises(SystemExit) as ended:
        command.main()
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: python -m demo")


def test_what_there_is_to_read_on_is_there() -> None:
    for text in FAULTS.values():
        assert text.read
        path, where = text.read
        words = where.split("“")[1].rstrip("”")
        assert words in (ROOT / path).read_text(), text.read
        if "-" in text.invariant:
            assert f"`{text.invariant}`" in (ROOT / "docs/protocol.md").read_text()
