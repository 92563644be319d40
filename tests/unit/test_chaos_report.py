"""The report tells of every fault, also of a story that broke off, and needs nothing but itself."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from chaos import report
from chaos.history import History
from chaos.texts import FAULTS
from tests.unit.chaos_records import RECORD, demo, event, history, ledger

ROOT = Path(__file__).parents[2]


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


def test_every_fault_is_told_with_its_figure() -> None:
    told = history()
    page = _Page(report.html(told))
    assert len(told.faults) == 6
    for fault in told.faults:
        text = FAULTS[fault.key]
        for words in (text.title, text.done, text.seen, text.why, text.invariant, text.read):
            assert " ".join(words.split()) in page.text
    for figure in ("105 ms", "6.4 s", "6.6 s", "515 ms", "2.1 s", "9.3 s"):
        assert figure in page.text
    assert "6 faults, 811 tasks: none lost, none recorded twice" in page.text
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
    html = report.html(history())
    page = _Page(html)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert [value for name, value in page.attributes if name in ("src", "href")] == []
    assert re.findall(r"@import|url\((?!#)", html) == []
    assert set(re.findall(r"https?://[^\s\"<]+", html)) == {
        "http://www.w3.org/2000/svg"
    }  # a name, not a place


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


def test_the_report_can_be_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "events.jsonl"
    record.write_bytes(RECORD.read_bytes())
    monkeypatch.setattr("sys.argv", ["report", str(record)])
    assert report.main() == 0
    assert "submitted 811   done 810   failed 1   lost 0   doubled 0" in capsys.readouterr().out
    record.unlink()
    assert report.main() == 2
    assert "make demo" in capsys.readouterr().err


def test_what_there_is_to_read_on_is_there() -> None:
    for text in FAULTS.values():
        path, _, where = text.read.partition(", ")
        words = where.split("“")[1].rstrip("”")
        assert words in (ROOT / path).read_text(), text.read
        if "-" in text.invariant:
            assert f"`{text.invariant}`" in (ROOT / "docs/protocol.md").read_text()
