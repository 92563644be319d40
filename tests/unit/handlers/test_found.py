"""Which handlers there are: the command that lists them, and names that two distributions offer."""

import json
import re
from pathlib import Path

import pytest

from mwapp.cli import run as mwapp
from tests.unit.handlers.harness import Harness

pytestmark = pytest.mark.processes


def test_list(
    distribution: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(distribution))
    assert mwapp(["handlers", "--output", "json"]) == 0
    found = {it["handler"]: it for it in json.loads(capsys.readouterr().out)}
    assert found["returns"] == {
        "handler": "returns",
        "module": "trouble:returns",
        "distribution": "trouble 1.5",
        "description": "Gives back what it is given.",
        "problem": None,
    }
    assert found["missing_module"]["problem"].startswith("cannot be loaded: ModuleNotFoundError")
    assert mwapp(["handlers"]) == 0
    table = capsys.readouterr().out
    assert re.search(r"^returns +trouble:returns +trouble 1.5 +Gives back what it is given.$", table, re.M)
    assert "cannot be loaded" in table


def test_a_name_that_two_offer_is_used_by_nobody(
    harness: Harness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    info = tmp_path / "other-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[mwapp.handlers]\necho = mwapp.handlers:echo\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    exited = harness.run("echo")
    assert exited.code is None
    assert re.fullmatch(
        r"handler 'echo' is offered by several distributions: mwapp \S+, other 1", exited.reason or ""
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert mwapp(["handlers"]) == 0
    assert capsys.readouterr().out.count("several distributions offer it") == 2
