"""README's story and picture are of one run, whose record is beside the picture."""

import json
from pathlib import Path

import pytest

from demo.report.history import History
from demo.report.summary import tell
from demo.report.timeline import draw
from tests.unit.demo_records import README

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def history() -> History:
    return History.load(README)


def test_the_picture_follows_from_the_record(history: History) -> None:
    assert draw(history) == (ROOT / "docs/demo.svg").read_text()


def test_the_story_was_told_like_that(history: History, capsys: pytest.CaptureFixture[str]) -> None:
    told = [
        f"[{event['t']:6.1f} s] {event['text']}"
        for event in map(json.loads, README.read_text().splitlines())
        if event["event"] == "said"
    ]
    shown = (ROOT / "README.md").read_text().splitlines()
    story = shown[shown.index("The cast") : shown.index("  build/demo/report.html shows what happened.")]
    assert [line for line in story if line.startswith("[")] == told
    tell(history)
    assert "\n".join(story).rstrip().endswith(capsys.readouterr().out.strip())
