"""The command line on a running application: what it prints, and with which exit status."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from testbed.daemons import Site
from testbed.ensemble import Ensemble
from testbed.network import Network, Trap
from testbed.person import Person, person_at
from testbed.waiting import LONGEST_WAIT, wait_for

SUBMITTERS, TASKS = 3, 300  # each submits so many again and again, until every server has died


@pytest.fixture
def site(ensemble: Ensemble, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with Site(f"{ensemble.connect_string}/{request.node.name}", tmp_path) as site:
        yield site


@pytest.fixture
def running(site: Site) -> Site:
    """A master and a worker."""
    site.start("master", "m").wait_for_state("active")
    site.start("worker", "w", "--slots", "4").wait_for_state("ready")
    return site


@pytest.fixture
def by_hand(site: Site) -> Iterator[Person]:
    """What a person at zkCli.sh has."""
    with person_at(site.connect) as person:
        yield person


def test_submit_and_wait(running: Site) -> None:
    assert running.mwapp("submit", "echo one; echo two >&2", "exit 3") == "task-0000000000\ntask-0000000001\n"
    ends = running.json("wait", "task-0000000000", "1", status=1)
    assert [(end["task"], end["state"], end["code"], end["output"]) for end in ends] == [
        ("task-0000000000", "done", 0, "one\ntwo\n"),
        ("task-0000000001", "failed", 3, ""),
    ]
    table = running.mwapp("wait", "0", "1", "--show-output", status=1)
    assert table.splitlines()[0].split() == [
        "TASK",
        "STATE",
        "CODE",
        "WORKER",
        "ATTEMPT",
        "SECONDS",
        "REASON",
    ]
    assert "--- task-0000000000\none\ntwo\n" in table


def test_submit_waits(running: Site) -> None:
    ends = running.json("submit", "--wait", "sleep 0.2; echo $MWAPP_TASK $MWAPP_WORKER")
    assert ends[0]["output"] == "task-0000000000 w\n"
    running.mwapp("submit", "--wait", "false", status=1)
    running.mwapp("submit", "--wait", "--timeout", "0.5", "sleep 600", status=5)


def test_submit_from_input(running: Site) -> None:
    names = running.mwapp("submit", "-", text="echo a\n\necho b\n").split()
    assert [end["output"] for end in running.json("wait", *names)] == ["a\n", "b\n"]


def test_wait_for_what_is_not_there(running: Site) -> None:
    running.mwapp("submit", "--wait", "false", status=1)
    ends = running.json("wait", "0", "77", status=4)
    assert [end["task"] for end in ends] == ["task-0000000000"]


def test_wait_for_what_takes_too_long(site: Site) -> None:
    """No worker: it stays queued."""
    site.start("master", "m").wait_for_state("active")
    task = site.mwapp("submit", "true").strip()
    assert site.json("wait", "0", "--timeout", "0.5", status=5) == [{"task": task, "state": None}]


def test_tasks(running: Site, by_hand: Person) -> None:
    began = time.time()
    running.mwapp("submit", "--wait", "echo hello", "exit 7", status=1)
    running.mwapp("submit", "sleep 600")
    by_hand.create("/tasks/task-", b"echo by hand", sequence=True)
    by_hand.create("/tasks/task-", b'{"comand": "x"}', sequence=True)
    running.mwapp("wait", "3", "4", status=1)
    tasks = running.json("tasks")
    seen = [(task["state"], task["worker"], task["attempt"], task["code"]) for task in tasks]
    assert seen == [
        ("done", "w", 1, 0),
        ("failed", "w", 1, 7),
        ("assigned", "w", 1, None),
        ("done", "w", 1, 0),
        ("failed", None, None, None),
    ]
    assert [task["command"] for task in tasks] == ["echo hello", "exit 7", "sleep 600", "echo by hand", None]
    assert "'comand'" in tasks[4]["reason"]
    assert all(0 <= task["age"] <= time.time() - began for task in tasks)
    assert [task["task"][-1] for task in running.json("tasks", "--state", "failed", "--limit", "1")] == ["4"]
    assert [task["task"][-1] for task in running.json("tasks", "--limit", "2")] == ["3", "4"]
    assert running.json("tasks", "3")[0]["output"] == "by hand\n"
    assert len(running.json("tasks", "3", "99", status=4)) == 1
    table = running.mwapp("tasks").splitlines()
    assert table[0].split() == ["TASK", "STATE", "WORKER", "ATTEMPT", "CODE", "AGE", "SUBMITTER", "COMMAND"]
    assert "(malformed: unknown task field 'comand'" in table[5]


def test_a_submitter_that_has_too_many_is_refused(site: Site) -> None:
    site.start("master", "m", "--max-per-submitter", "2").wait_for_state("active")
    names = site.mwapp("submit", "--submitter", "eve", *4 * ["true"]).split()
    other = site.mwapp("submit", "--submitter", "bob", "true").strip()
    ends = site.json("wait", *names[2:], status=1)
    why = "too many tasks of eve: 2 have not ended, the limit of mwapp master --max-per-submitter"
    assert [(end["state"], end["reason"]) for end in ends] == 2 * [("failed", why)]
    left = site.json("tasks", "--state", "queued")
    assert [task["task"] for task in left] == [*names[:2], other]


def test_workers_and_status(running: Site, ensemble: Ensemble) -> None:
    (task,) = running.mwapp("submit", "sleep 600").split()
    wait_for("it is assigned", lambda: running.json("workers")[0]["running"] == [task])
    port = running.daemons[1].port
    assert running.json("workers") == [
        {
            "worker": "w",
            "state": "ready",
            "address": f"127.0.0.1:{port}",
            "incarnation": 0,
            "slots": 4,
            "labels": [],
            "running": [task],
        }
    ]

    def all_answer() -> dict[str, Any] | None:
        found = running.json("status")
        modes = sorted(str(server["mode"]) for server in found["servers"])
        return found if modes == ["follower", "follower", "leader"] and found["master"]["state"] else None

    status = wait_for("all tell what they are", all_answer)
    master = running.daemons[0]
    assert master.said_at("") < status["master"].pop("since") <= master.status()["elected_at"]
    assert status["master"] == {
        "address": f"127.0.0.1:{running.daemons[0].port}",
        "name": "m",
        "epoch": 1,
        "state": "active",
        "problem": None,
        "deposed_of_late": 0,
    }
    assert status["workers"] == running.json("workers")
    counts = {"queued": 0, "assigned": 1, "done": 0, "failed": 0, "cancelled": 0}
    assert status["tasks"] == {"total": 1, "limit": 40_000, "counts": counts, "failures": []}
    assert [warning.partition(":")[0] for warning in status["warnings"]] == ["no master stands by"]
    assert status["standbys"] == []
    ensemble.followers()[0].kill()
    running.daemons[1].kill()
    running.daemons[1].release()
    text = running.mwapp("status")
    assert "does not answer: Connection refused" in text
    assert "no worker accepts tasks" in text
    assert running.json("workers")[0]["state"] == "gone"


def test_an_empty_application(site: Site) -> None:
    assert site.json("tasks") == []
    assert site.json("workers") == []
    status = site.json("status")
    assert status["master"]["address"] is None
    assert [it.partition(":")[0].partition(",")[0] for it in status["warnings"]] == [
        "no master is active",
        "no worker accepts tasks",
    ]
    assert "(vacant)" in site.mwapp("status")


def test_no_majority(site: Site, ensemble: Ensemble) -> None:
    """What is known of the servers is shown all the same."""
    ensemble.servers[0].kill()
    ensemble.servers[1].kill()
    text = site.mwapp("status", "--connect-timeout", "1", status=3)
    assert text.count("Connection refused") == 2
    assert "the ensemble does not answer" in text
    assert site.json("status", "--connect-timeout", "1", status=3)["tasks"] is None
    site.mwapp("submit", "true", "--connect-timeout", "1", status=3)


def test_many_tasks_are_read_at_once(site: Site, ensemble: Ensemble, tmp_path: Path) -> None:
    """Many in one request, for a round trip for each would take long."""
    site.mwapp("submit", "-", text="true\n" * 1000)
    requests: list[bytes] = []

    def count(frame: bytes) -> bool:
        requests.append(frame)
        return False

    with closing(Network(ensemble.connect_string)) as network:
        network.trap = Trap(count, committed=False)
        through = Site(network.connect_string + site.chroot, tmp_path)
        tasks = through.json("tasks", "--limit", "0")
    assert [task["state"] for task in tasks] == ["queued"] * 1000
    assert 10 < len(requests) < 500
    assert site.json("status")["tasks"]["counts"]["queued"] == 1000


def test_submitting_while_servers_die(site: Site, ensemble: Ensemble, by_hand: Person) -> None:
    """Neither two tasks of one command nor none, whichever reply was lost."""
    names: list[str] = []
    enough = threading.Event()
    patience = 10 * LONGEST_WAIT  # each server that dies has to start again

    def submit(who: int) -> None:
        number = 0
        while not enough.is_set():
            commands = "".join(f"echo {who} {number + task}\n" for task in range(TASKS))
            submission = ("submit", "-", "--connect-timeout", str(patience))
            names.extend(site.mwapp(*submission, text=commands, seconds=patience).split())
            number += TASKS

    submitters = [threading.Thread(target=submit, args=(who,)) for who in range(SUBMITTERS)]
    for submitter in submitters:
        submitter.start()
    wait_for("it has begun", lambda: by_hand.exists("/tasks") and by_hand.exists("/tasks").numChildren > 100)
    try:
        for server in ensemble.servers:
            server.kill()
            time.sleep(0.3)
            ensemble.start()
    finally:
        enough.set()
    for submitter in submitters:
        submitter.join()
    there = by_hand.get_children("/tasks")
    assert sorted(names) == sorted(there)
    asked = [by_hand.get_async(f"/tasks/{name}") for name in there]
    commands = {answer.get()[0].split(b'"key"')[0] for answer in asked}
    assert len(commands) == len(there)
    assert len(there) % TASKS == 0
