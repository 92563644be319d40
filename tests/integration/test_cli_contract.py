"""What scripts rely on: every accepted task is told, and the exit status says what became of it."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kazoo.security import make_acl

from mwapp import Client
from mwapp.errors import TimedOutError
from testbed.daemons import Site
from testbed.ensemble import Ensemble
from testbed.person import person_at
from testbed.waiting import LONGEST_WAIT, wait_for


@pytest.fixture
def site(ensemble: Ensemble, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    chroot = re.sub(r"\W", "-", request.node.name)
    with Site(f"{ensemble.connect_string}/{chroot}", tmp_path) as site:
        yield site


@pytest.fixture
def running(site: Site) -> Site:
    """A master and a worker."""
    site.start("master", "m").wait_for_state("active")
    site.start("worker", "w", "--slots", "4").wait_for_state("ready")
    return site


@contextmanager
def begun(site: Site, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command that runs until the test is over. It heeds signals even if the tests do not."""
    with subprocess.Popen(
        ["env", "--default-signal=INT,TERM,HUP", sys.executable, "-m", "mwapp", *arguments],
        env=os.environ | {"MWAPP_CONNECT": site.connect},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as command:
        try:
            yield command
        finally:
            command.kill()


def commands(site: Site) -> list[str]:
    return [task["command"] for task in site.json("tasks")]


def states(site: Site) -> list[str]:
    return [task["state"] for task in site.json("tasks")]


def test_a_full_queue_tells_what_it_took(site: Site) -> None:
    taken = json.loads(site.mwapp("submit", "--output", "json", "--max-tasks", "2", *["true"] * 5, status=6))
    assert [task["task"] for task in taken] == ["task-0000000000", "task-0000000001"]


@pytest.mark.parametrize("how", ["time is up", signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_who_stops_waiting_is_told_the_names(running: Site, how: str | signal.Signals) -> None:
    waits = ("submit", "--wait", "--output", "json", "true", "sleep 600")
    if isinstance(how, str):
        told: Any = json.loads(running.mwapp(*waits, "--timeout", "10", status=5))
    else:
        with begun(running, *waits) as command:
            wait_for("one is done", lambda: states(running) == ["done", "assigned"])
            for _ in range(3):  # it cannot be asked what it has heard: it gets as long as three others take
                states(running)
            command.send_signal(how)
            stdout, _ = command.communicate(timeout=LONGEST_WAIT)
        assert command.returncode == 128 + how
        told = json.loads(stdout)
    assert [(task["task"], task["state"]) for task in told] == [
        ("task-0000000000", "done"),
        ("task-0000000001", None),
    ]


@pytest.mark.parametrize(("command", "status"), [("exit 3", 1), ("true", 0)])
def test_the_status_is_told_even_if_nobody_reads(running: Site, command: str, status: int) -> None:
    with begun(running, "submit", "--wait", command) as submit:
        assert submit.stdout is not None
        submit.stdout.close()
        assert submit.wait(LONGEST_WAIT) == status


@pytest.mark.parametrize(("command", "status"), [("exit 3", 1), ("echo → 😀", 0)])
@pytest.mark.parametrize("into", ["/dev/full", "&-"])
def test_a_name_that_cannot_be_written_is_told_elsewhere(
    running: Site, command: str, status: int, into: str
) -> None:
    shell = f'"$0" -m mwapp submit --wait --show-output "$@" >{into}'
    done = subprocess.run(
        ["sh", "-c", shell, sys.executable, command, "true"],
        env=os.environ | {"MWAPP_CONNECT": running.connect, "PYTHONIOENCODING": "latin-1"},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        timeout=LONGEST_WAIT,
    )
    written = into != "/dev/full"
    assert done.returncode == (status if status or written else 74), done.stderr
    assert ("standard output: No space left on device" in done.stderr) is not written
    assert all((f"{task}\n" in done.stderr) is not written for task in ("task-0000000000", "task-0000000001"))


def test_output_that_the_terminal_cannot_show_is_escaped(running: Site) -> None:
    environment = os.environ | {"MWAPP_CONNECT": running.connect, "PYTHONIOENCODING": "latin-1"}
    for output, expected in (("table", "\\u2192 \xe9\n"), ("json", '"\\u2192 \\u00e9\\n"')):
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "mwapp",
                "submit",
                "--wait",
                "--show-output",
                "--output",
                output,
                "echo → é",
            ],
            env=environment,
            capture_output=True,
            encoding="latin-1",
            check=True,
            timeout=LONGEST_WAIT,
        )
        assert expected in done.stdout


def test_watching_ends_when_nobody_reads(running: Site) -> None:
    with begun(running, "status", "--watch", "0.1") as watch:
        assert watch.stdout is not None
        watch.stdout.readline()
        watch.stdout.close()
        assert watch.wait(LONGEST_WAIT) == 0


def test_only_a_line_feed_ends_a_command(site: Site) -> None:
    odd = "echo 'a\u2028rm -rf x\x0b\x0c\x1c\x85 b'"
    site.mwapp("submit", "-", text=f"{odd}\n\n  \nsecond\r\nthird")
    assert commands(site) == [odd, "second", "third"]


def test_no_input_submits_nothing_and_says_so(site: Site) -> None:
    with begun(site, "submit", "--wait", "-") as submit:
        _, stderr = submit.communicate(b"\n  \n", timeout=LONGEST_WAIT)
    assert (submit.returncode, commands(site)) == (0, [])
    assert "standard input has no command: nothing to submit" in stderr.decode()


def test_input_that_is_no_text_submits_nothing(site: Site) -> None:
    with begun(site, "submit", "-") as submit:
        _, stderr = submit.communicate(b"first\nsecond \xff\n", timeout=LONGEST_WAIT)
    assert (submit.returncode, commands(site)) == (2, [])
    assert "line 2 is not UTF-8" in stderr.decode()


def test_labels_that_nobody_has_are_told_to_who_waits(running: Site) -> None:
    with begun(running, "submit", "--wait", "--label", "gpu", "--timeout", "1", "true") as submit:
        _, stderr = submit.communicate(timeout=LONGEST_WAIT)
    assert submit.returncode == 5
    assert "no worker has the label gpu; start one (mwapp worker --label gpu)" in stderr.decode()


def test_the_time_limit_of_a_cancel_is_also_for_asking(site: Site) -> None:
    """Who may not create below /cancel is refused each time."""
    site.start("master", "m").wait_for_state("active")
    site.mwapp("submit", "--name", "waits", "true")
    with person_at(site.connect) as person:
        person.set_acls("/cancel", [make_acl("world", "anyone", read=True, admin=True)])
    with begun(site, "cancel", "waits", "--timeout", "2") as cancel:
        _, stderr = cancel.communicate(timeout=LONGEST_WAIT)
    assert cancel.returncode == 5
    assert "not all 1 cancel requests were stored in time" in stderr.decode()
    with Client(site.connect) as client, pytest.raises(TimedOutError, match=r"refuses them \(mwapp acl\)"):
        client.task("waits").cancel(timeout=2)


READING = {
    "tasks": 0,
    "tasks 7": 4,
    "workers": 0,
    "status": 0,
    "wait 7": 4,
    "cancel 7": 4,
    "cancel --state queued": 0,
    "rerun 7": 4,
    "rerun --state failed": 0,
    "remove --state done": 0,
    "shards list": 0,
    "shards show x": 4,
    "shards move x 1 w": 4,
    "shards drain w": 4,
    "shards delete x": 4,
    "acl": 0,
}


@pytest.mark.parametrize("command", READING)
def test_who_only_reads_makes_nothing_not_even_the_chroot(
    ensemble: Ensemble, tmp_path: Path, command: str
) -> None:
    with (
        Site(f"{ensemble.connect_string}/nobody/was/here", tmp_path) as site,
        person_at(ensemble.connect_string) as person,
    ):
        site.mwapp(*command.split(), status=READING[command])
        assert person.exists("/nobody") is None


def test_who_submits_makes_the_chroot(site: Site) -> None:
    site.mwapp("submit", "true")
    with person_at(site.connect) as person:
        assert person.get_children("/tasks") == ["task-0000000000"]
