"""What of the core no schedule reaches is counted, unless the list says why."""

from typing import Any

import pytest

from tests.simulation import covered

FILE = "node.py"


def report(branches: int, lines: int = 1000) -> dict[str, Any]:
    """What is not reached: a function of one line, and a line with a way to it and one from it."""
    source = (covered.ROOT / covered.CORE / FILE).read_text().splitlines()
    at = {text.strip(): number for number, text in enumerate(source, 1)}
    status, pause = at["return self._master.status()"], at["self._worker.pause()"]
    functions = {
        "PeerDuty.status": {"missing_lines": [status], "missing_branches": []},
        "PeerDuty.begin": {"missing_lines": [pause], "missing_branches": [[pause - 1, pause], [pause, -1]]},
    }
    summary = {"num_statements": lines, "num_branches": branches}
    return {"files": {f"{covered.CORE}/{FILE}": {"functions": functions, "summary": summary}}}


@pytest.fixture(autouse=True)
def _names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(covered, "NOT_MET", ((FILE, "PeerDuty.status", "nobody asks"),))


def test_what_is_not_reached_and_not_named_counts(capsys: pytest.CaptureFixture[str]) -> None:
    assert covered.judge(report(40)) == 0  # 38 of 40
    assert covered.judge(report(39)) == 1  # 37 of 39
    assert covered.judge(report(40, lines=21)) == 0  # 19 of 20: the function does not count
    assert covered.judge(report(40, lines=20)) == 1
    told = capsys.readouterr().out
    assert "node.py" in told
    assert "self._worker.pause()" in told
    assert "self._master.status()" not in told
    assert "95.0 %" in told


def test_each_part_has_to_reach_enough(capsys: pytest.CaptureFixture[str]) -> None:
    """However large the other is."""
    both = report(1000, lines=100_000)
    its = {"num_statements": 100, "num_branches": 10}
    gap = {"find": {"missing_lines": [], "missing_branches": [[1, 2], [2, 3]]}}
    both["files"][f"{covered.CORE}/shards/view.py"] = {"functions": gap, "summary": its}
    assert covered.judge(both) == 1
    tasks, shards = capsys.readouterr().out.splitlines()[-2:]
    assert tasks.startswith("tasks: 99.8 %")
    assert shards.startswith("shards: 80.0 %")


def test_a_line_that_is_named_counts_for_the_ways_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    names = (*covered.NOT_MET, (FILE, "self._worker.pause()", "nobody pauses"))
    monkeypatch.setattr(covered, "NOT_MET", names)
    assert covered.judge(report(5, lines=5)) == 0


def test_a_name_that_is_reached_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(covered, "NOT_MET", (*covered.NOT_MET, (FILE, "PeerDuty.end", "never ends")))
    assert covered.judge(report(1000)) == 1
    assert "PeerDuty.end: not there, or reached" in capsys.readouterr().out
