"""What a client can ask for, on a running application: cancel, time-outs, retries, labels, names, bounds."""

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from testbed.daemons import LONG_SESSION, NO_DEPOSITIONS, Site
from testbed.ensemble import Ensemble
from testbed.person import person_at
from testbed.waiting import LONGEST_WAIT, wait_for


@pytest.fixture(scope="module")
def nodes(shared_ensemble: Ensemble, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two nodes for all tests here; one is the master, the other runs what is submitted."""
    with Site(f"{shared_ensemble.connect_string}/asking", tmp_path_factory.mktemp("asking")) as site:
        for name in ("a", "b"):
            labels = ("--label", f"name={name}", "--label", "any")
            site.start("node", name, "--slots", "8", *labels, *NO_DEPOSITIONS, *LONG_SESSION)
        yield site


@pytest.fixture
def site(nodes: Site, shared_ensemble: Ensemble) -> Site:
    """The same, both at work: while the test before ran, the ensemble may not have."""
    shared_ensemble.heal()

    def at_work() -> bool:
        states = [node.status().get("state") for node in nodes.daemons]
        return sorted(map(str, states)) == ["active", "ready"] and len(nodes.json("workers")) == 2

    wait_for("one is the master, both are registered", at_work)
    return nodes


def running(site: Site, task: str) -> bool:
    return task in [name for worker in site.json("workers") for name in worker["running"]]


def submit(site: Site, *arguments: str) -> str:
    return site.mwapp("submit", *arguments).strip()


# ---------------------------------------------------------------- cancel


def test_cancel_what_runs_what_waits_and_what_has_ended(site: Site) -> None:
    ended = submit(site, "--wait", "true").splitlines()[0]
    waits = submit(site, "--label", "nobody", "true")
    # It ignores SIGTERM, and so does what it started.
    runs = submit(site, "trap '' TERM; (trap '' TERM; sleep 600) & sleep 600")
    wait_for("it runs", lambda: running(site, runs))
    ends = site.json("cancel", ended, waits, runs)
    assert [(end["task"], end["state"], end["already_ended"]) for end in ends] == [
        (ended, "done", True),
        (waits, "cancelled", False),
        (runs, "cancelled", False),
    ]
    assert [end["reason"] for end in ends[1:]] == ["cancelled before it began", "cancelled"]
    assert 2 <= ends[2]["seconds"] < 600, "SIGTERM came first"
    again = site.mwapp("cancel", runs).splitlines()[1]
    assert again.endswith("had ended already")
    listed = {task["task"] for task in site.json("tasks", "--state", "cancelled")}
    assert listed & {ended, waits, runs} == {waits, runs}
    site.mwapp("wait", runs, status=1)


def test_cancel_what_is_not_there(site: Site) -> None:
    task = submit(site, "--label", "nobody", "true")
    ends = site.json("cancel", task, "odd-name", status=4)
    assert [end["state"] for end in ends] == ["cancelled"]


def test_cancel_what_is_chosen(site: Site) -> None:
    labelled = site.mwapp("submit", "--label", "nobody", "-", text="true\n" * 1500).split()
    named = submit(site, "--label", "nobody", "--name", "nightly-7", "true")
    other = submit(site, "--label", "nobody", "--label", "either", "true")
    chosen = ("--match", "nightly-*", "--match", "weekly-*")
    assert [task["task"] for task in site.json("tasks", *chosen)] == [named]
    assert [(end["task"], end["state"]) for end in site.json("cancel", *chosen)] == [(named, "cancelled")]
    both = ("--label", "nobody", "--label", "either")
    assert [task["task"] for task in site.json("tasks", *both)] == [other]
    assert [end["task"] for end in site.json("cancel", *both, "--state", "assigned")] == []
    assert [end["task"] for end in site.json("cancel", *both, "--state", "queued")] == [other]
    ends = site.json("cancel", "--label", "nobody")
    assert {end["task"] for end in ends} == set(labelled)
    assert {end["state"] for end in ends} == {"cancelled"}
    assert site.json("cancel", "--label", "nobody") == []
    by_eve = submit(site, "--label", "nobody", "--submitter", "eve@ci", "true")
    submit(site, "--label", "nobody", "true")
    listed = site.json("tasks", "--submitter", "bob", "--submitter", "eve@*", "--limit", "1")
    assert [(task["task"], task["submitter"]) for task in listed] == [(by_eve, "eve@ci")]
    assert [end["task"] for end in site.json("cancel", "--submitter", "eve@ci")] == [by_eve]
    assert site.json("rerun", "--submitter", "eve@ci", "--state", "cancelled") == [{"task": by_eve}]
    assert len(site.json("cancel", "--label", "nobody")) == 2
    site.mwapp("cancel", "7", "--label", "nobody", status=2)
    site.mwapp("cancel", status=2)


# ---------------------------------------------------------------- when a task begins


def test_a_task_begins_when_it_is_to(site: Site) -> None:
    start = time.time()
    late = submit(site, "--delay", "2", "date +%s.%N")
    at = datetime.fromtimestamp(start + 2.5, UTC).isoformat()
    later = submit(site, "--at", at, "date +%s.%N")
    tomorrow = submit(site, "--at", datetime.fromtimestamp(start + 86400, UTC).isoformat(), "true")
    states = {task["task"]: task["begins"] for task in site.json("tasks", "--state", "queued")}
    assert states[tomorrow] == pytest.approx(start + 86400, abs=0.01)
    assert any(" delayed " in line for line in site.mwapp("tasks").splitlines())
    site.mwapp("cancel", tomorrow)
    ends = site.json("wait", late, later)
    began = [float(end["output"]) for end in ends]
    assert began[0] >= start + 2
    assert began[1] >= start + 2.5
    (again,) = site.json(
        "submit", "--wait", "--retries", "1", "--retry-delay", "1.5", "date +%s.%N; false", status=1
    )
    assert again["attempt"] == 2
    old = submit(site, "--label", "nobody", "--expires", "1", "true")
    (end,) = site.json("wait", old, status=1)
    assert end["reason"] == "expired: no worker had room for it within 1 s"


# ---------------------------------------------------------------- rerun, remove


def test_what_has_ended_runs_again_or_is_removed(site: Site, tmp_path: Path) -> None:
    failing = f"echo $MWAPP_ATTEMPT >> {tmp_path}/attempts; test -e {tmp_path}/mended"
    failed = submit(site, "--name", "broken-1", failing)
    done = submit(site, "true")
    site.mwapp("wait", failed, done, status=1)
    site.mwapp("rerun", "--state", "failed", "--match", "broken-*", "--wait", status=1)
    (tmp_path / "mended").touch()
    assert site.mwapp("rerun", "--match", "broken-*", "--wait").splitlines()[1].split()[:2] == [
        failed,
        "done",
    ]
    assert (tmp_path / "attempts").read_text().split() == ["1", "2", "3"]
    assert site.json("rerun", done) == [{"task": done}]
    site.mwapp("wait", done)
    assert site.json("remove", "--state", "done", "--match", "broken-*") == [{"task": failed}]
    assert site.json("tasks", "--match", "broken-*") == []
    assert submit(site, "--name", failed, "--wait", "true").splitlines()[0] == failed, (
        "another may have the name"
    )


def test_what_has_not_ended_is_neither_run_again_nor_removed(site: Site) -> None:
    waits = submit(site, "--label", "nobody", "true")
    for command in ("rerun", "remove"):
        site.mwapp(command, waits, status=7)
        site.mwapp(command, "odd-name", status=4)
        site.mwapp(command, status=2)
        site.mwapp(command, "7", "--label", "nobody", status=2)
        assert site.json(command, "--state", "failed", "--match", "absent-*") == []
    site.mwapp("cancel", waits)


def test_a_cancel_request_stands_without_a_master(ensemble: Ensemble, tmp_path: Path) -> None:
    with Site(f"{ensemble.connect_string}/cancel", tmp_path) as site:
        task = submit(site, "true")
        assert site.json("cancel", task, "--timeout", "3", status=5) == [{"task": task, "state": None}]
        (seen,) = site.json("tasks", task)
        assert (seen["state"], seen["cancelling"]) == ("queued", True)
        assert "cancelling" in site.mwapp("tasks")
        site.start("master", "m").wait_for_state("active")
        assert site.json("wait", task, status=1)[0]["state"] == "cancelled"


# ---------------------------------------------------------------- how a task is to be run


def test_a_run_that_takes_too_long_is_ended_and_tried_again(site: Site) -> None:
    (end,) = site.json(
        "submit", "--wait", "--run-timeout", "0.3", "--retries", "1", "trap '' TERM; sleep 600", status=1
    )
    assert (end["state"], end["attempt"], end["reason"]) == ("failed", 2, "timed out after 0.3 s")


def test_retries_end_with_success(site: Site, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (end,) = site.json("submit", "--wait", "--retries", "2", f"[ -e {mark} ] || {{ touch {mark}; false; }}")
    assert (end["state"], end["attempt"]) == ("done", 2)


def test_environment_and_directory(site: Site, tmp_path: Path) -> None:
    how = ("--env", "A=two words", "--env", "B=", "--directory", str(tmp_path))
    (end,) = site.json("submit", "--wait", *how, 'echo "$A|${B-unset}|$(pwd)"')
    assert end["output"] == f"two words||{tmp_path}\n"
    (end,) = site.json("submit", "--wait", "--directory", str(tmp_path / "none"), "true", status=1)
    assert f"cannot run in {tmp_path}/none: No such file or directory" in end["reason"]


def test_a_handler(site: Site) -> None:
    (end,) = site.json("submit", "--wait", "--handler", "echo", "--argument", '{"text": "hello"}')
    assert (end["result"], end["output"]) == ({"text": "hello"}, "")
    (end,) = site.json("submit", "--wait", "--handler", "odd", status=1)
    assert "odd" in end["reason"]


def test_labels(site: Site) -> None:
    master = site.json("status")["master"]["name"]
    other = "b" if master == "a" else "a"
    (end,) = site.json("submit", "--wait", "--label", f"name={other}", "--label", "any", "true")
    assert end["worker"] == other
    task = submit(site, "--label", "gpu", "--label", "any", "true")
    assert "no worker has the labels any gpu" in site.json("tasks", task)[0]["hint"]
    hint = "1 queued: no worker has the labels any gpu; start one (mwapp worker --label any --label gpu)"
    assert hint in site.json("status")["warnings"]
    site.mwapp("cancel", task)
    own = f"name={master}"  # which only the master has: it takes no tasks
    task = submit(site, "--label", own, "true")
    hint = f"only {master} (the master) has the label {own}, and takes no tasks; start another"
    assert hint in site.json("tasks", task)[0]["hint"]
    site.mwapp("cancel", task)


# ---------------------------------------------------------------- names and bounds


def test_a_name_is_one_task(site: Site) -> None:
    asked = ("submit", "--name", "backup", "--env", "A=1", "--env", "B=2", "echo $A $B")
    assert site.mwapp(*asked) == site.mwapp(*asked) == "backup\n"
    other_order = ("submit", "--name", "backup", "--env", "B=2", "--env", "A=1", "echo $A $B", "--wait")
    assert site.json(*other_order)[0]["output"] == "1 2\n"
    assert len([task for task in site.json("tasks") if task["task"] == "backup"]) == 1
    told = subprocess.run(
        [sys.executable, "-m", "mwapp", *asked],
        env=os.environ | {"MWAPP_CONNECT": site.connect},
        stderr=subprocess.PIPE,
        text=True,
        check=True,
    ).stderr
    assert re.fullmatch(
        r"mwapp: backup: already done at \d{4}-.*: it does not run again. If .*: mwapp rerun backup\n", told
    )
    (told,) = site.json(*asked)
    assert told == {"task": "backup", "command": "echo $A $B", "existed": True}
    assert site.json(*asked, "--wait")[0]["existed"]
    assert [task["existed"] for task in site.json("submit", "true", "true")] == [False, False]
    site.mwapp("submit", "--name", "backup", "echo something else", status=7)
    (whole,) = site.json("tasks", "backup")
    assert whole["command"] == "echo $A $B"
    assert (whole["environment"], whole["retries"], whole["timeout"]) == ({"A": "1", "B": "2"}, 0, None)


def test_too_many_tasks(site: Site) -> None:
    there = len(site.json("tasks", "--limit", "0"))
    names = site.mwapp("submit", "--max-tasks", str(there + 1), "true", "true", "true", status=6).split()
    assert len(names) == 1, "for one there was room"
    site.mwapp("submit", "--max-tasks", str(there + 1), "true", status=6)
    submit(site, "true")


def test_a_task_that_is_too_large_is_not_sent(site: Site) -> None:
    site.mwapp("submit", "-", text="echo " + "x" * 600_000, status=2)


# ---------------------------------------------------------------- looking


def test_a_returned_task_is_queued_with_its_attempt(ensemble: Ensemble, tmp_path: Path) -> None:
    """Nobody is there to take it."""
    connect = f"{ensemble.connect_string}/again"
    with person_at(connect) as person, Site(connect, tmp_path) as site:
        task = submit(site, "true")
        person.create(f"/returned/{task}", b'{"attempt":2}')
        (seen,) = site.json("tasks", task)
        assert (seen["state"], seen["worker"], seen["attempt"]) == ("queued", None, 2)
        assert site.json("status")["tasks"]["counts"]["queued"] == 1


def test_finished_tasks_are_removed_when_there_are_too_many(ensemble: Ensemble, tmp_path: Path) -> None:
    connect = f"{ensemble.connect_string}/keep"
    with person_at(connect) as person, Site(connect, tmp_path) as site:
        submit(site, "true")  # makes the parents
        for _ in range(11):
            many = person.transaction()
            for _ in range(100):
                many.create("/tasks/task-", b"true", sequence=True)
            ended = [person.create_async(f"{path}/status", b"done") for path in many.commit()]
            assert all(answer.get() for answer in ended)
        site.start("master", "m", "--keep", "1000").wait_for_state("active")
        kept = lambda: len(person.get_children("/tasks")) == 1001  # noqa: E731 - the queued one is none of them
        wait_for("the oldest are removed", kept)
        assert site.json("tasks", "0")[0]["state"] == "queued"
        site.mwapp("wait", "1", status=4)


@contextlib.contextmanager
def watch(site: Site) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`mwapp status --watch` at a terminal, and the terminal."""
    terminal, its_end = pty.openpty()
    watching = subprocess.Popen(
        [sys.executable, "-m", "mwapp", "status", "--watch", "0.2"],
        env=os.environ | {"MWAPP_CONNECT": site.connect},
        stdout=its_end,
        stderr=subprocess.STDOUT,
    )
    os.close(its_end)
    os.set_blocking(terminal, False)
    try:
        yield watching, terminal
    finally:
        watching.kill()
        watching.wait()
        os.close(terminal)


def test_watch_survives_an_outage_and_ends_cleanly(ensemble: Ensemble, tmp_path: Path) -> None:
    site = Site(f"{ensemble.connect_string}/watch", tmp_path)
    with watch(site) as (watching, terminal):
        shown = b""

        def shows(what: bytes) -> bool:
            nonlocal shown
            with contextlib.suppress(BlockingIOError):
                shown += os.read(terminal, 1 << 16)
            return what in shown.rpartition(b"\x1b[H")[2]

        wait_for("the first picture", lambda: shows(b"no master is active"))
        for server in ensemble.servers[:2]:
            server.kill()
        wait_for("it says so", lambda: shows(b"the ensemble does not answer"))
        ensemble.start()
        wait_for("and goes on", lambda: shows(b"(vacant)"))
        watching.send_signal(signal.SIGINT)
        assert watching.wait(LONGEST_WAIT) == 0
        assert b"Traceback" not in shown


def test_names_are_completed(site: Site) -> None:
    submit(site, "--name", "completed", "true")

    def tab() -> str:
        done = subprocess.run(
            [sys.executable, "-m", "mwapp"],
            env=os.environ
            | {"_MWAPP_COMPLETE": "bash_complete", "COMP_WORDS": "mwapp wait com", "COMP_CWORD": "2"}
            | {"MWAPP_CONNECT": site.connect},
            capture_output=True,
            text=True,
            timeout=LONGEST_WAIT,
            check=False,
        )
        assert done.stderr == ""
        return done.stdout

    # One who finds nothing within a second says nothing.
    assert wait_for("something is offered", tab) == "plain,completed\n"
