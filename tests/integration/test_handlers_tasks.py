"""Handlers as tasks of a running application."""

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.daemons import Daemon, Site
from testbed.ensemble import Ensemble
from testbed.waiting import alive, wait_for

MODULE = """
import os, time

def whoami(argument, run):
    print("hello")
    return {"argument": argument, "run": run, "variables": [os.environ["MWAPP_TASK"], os.environ["OWN"]]}

def nap(argument, run):
    with open(f"{argument}-{run.attempt}", "w") as file:
        file.write(str(os.getpid()))
    time.sleep(600 if run.attempt == 1 else 0)
    return "slept"
"""


@pytest.fixture
def site(ensemble: Ensemble, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with Site(f"{ensemble.connect_string}/{request.node.name}", tmp_path) as site:
        site.start("master", "m").wait_for_state("active")
        yield site


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Where a distribution with handlers is installed."""
    home = tmp_path / "site"
    info = home / "naps-1.dist-info"
    info.mkdir(parents=True)
    (home / "naps.py").write_text(MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: naps\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[mwapp.handlers]\nwhoami = naps:whoami\nnap = naps:nap\n")
    return home


def start(site: Site, installed: Path, name: str) -> Daemon:
    path = os.pathsep.join(filter(None, [str(installed), os.environ.get("PYTHONPATH")]))
    worker = site.start("worker", name, PYTHONPATH=path)
    worker.wait_for_state("ready")
    return worker


def pid_in(path: Path) -> int:
    return int(wait_for(f"{path} is written", lambda: path.read_text() if path.exists() else ""))


def test_a_handler_is_given_its_argument_and_told_which_run_it_is(site: Site, installed: Path) -> None:
    start(site, installed, "w")
    argument = {"size": [1, 2], "name": "ä"}
    (task,) = site.json(
        *("submit", "--wait", "--handler", "whoami", "--argument", json.dumps(argument), "--env", "OWN=mine")
    )
    assert (task["state"], task["code"]) == ("done", 0)
    assert task["output"] == "hello\n"
    assert task["result"] == {
        "argument": argument,
        "run": ["task-0000000000", 1, 1, 0, "w"],
        "variables": ["task-0000000000", "mine"],
    }
    (task,) = site.json("submit", "--wait", "--handler", "nothing", status=1)
    assert "unknown handler 'nothing'; known handlers: echo, nap, whoami" in task["reason"]


@pytest.mark.parametrize("way", ["cancel", "timeout"])
def test_a_handler_that_runs_is_ended(site: Site, installed: Path, tmp_path: Path, way: str) -> None:
    start(site, installed, "w")
    site.mwapp("submit", "--wait", "--handler", "echo")  # a process is warm then, however busy the machine
    argument = json.dumps(str(tmp_path / "pid"))
    options = ("--run-timeout", "3") if way == "timeout" else ()
    site.mwapp("submit", "--handler", "nap", "--argument", argument, *options)
    handler = pid_in(tmp_path / "pid-1")
    if way == "cancel":
        site.mwapp("cancel", "1")
    (task,) = site.json("wait", "1", status=None)
    assert task["state"] == ("cancelled" if way == "cancel" else "failed")
    assert not alive(handler)


def test_a_handler_dies_with_its_worker_and_runs_again(site: Site, installed: Path, tmp_path: Path) -> None:
    """Even without systemd, which would kill it anyway."""
    first = start(site, installed, "w1")
    site.mwapp("submit", "--handler", "nap", "--argument", json.dumps(str(tmp_path / "pid")))
    handler = pid_in(tmp_path / "pid-1")
    start(site, installed, "w2")
    first.signal(signal.SIGKILL)
    first.process.wait()
    wait_for("the handler has ended", lambda: not alive(handler))
    (task,) = site.json("wait", "0")
    assert (task["state"], task["worker"], task["attempt"], task["result"]) == ("done", "w2", 2, "slept")
    shown = site.mwapp(
        "submit", "--wait", "--show-output", "--handler", "whoami", "--env", "OWN=1"
    ).splitlines()
    assert [shown[-3].split()[0], shown[-2], json.loads(shown[-1])["argument"]] == ["---", "hello", None]
    assert site.json("tasks", "1")[0]["result"]["argument"] is None
    text = site.mwapp("submit", "--wait", "--show-output", "--handler", "echo", "--argument", '"a b"')
    assert text.endswith("\na b\n")
