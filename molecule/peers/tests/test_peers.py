"""Whoever of the peers is the master, that one runs no tasks; and whoever goes, the others carry on."""

import json
import time
from typing import Any

from conftest import NODE_PORT, UNIT, Peers

from chaos import faults
from chaos.load import Submitter
from mwapp.core.protocol import MASTER
from mwapp.core.worker import DRAIN_SECONDS
from testbed.waiting import LONGEST_WAIT, wait_for

LABELS = {"mw1": "zone=a", "mw2": "zone=b", "mw3": "zone=c"}  # of the inventory


def mwapp(cluster: Peers, *arguments: str) -> Any:
    """What the command says on a host, as JSON."""
    done = cluster.lab.exec("mw1", ["mwapp", *arguments, "--output", "json"])
    return json.loads(done.stdout)


def successor(cluster: Peers, old: str, seconds: float = LONGEST_WAIT) -> tuple[str, float]:
    """Who is the master instead of ``old``, and when (Unix seconds) that one was elected."""

    def look() -> tuple[str, float] | None:
        for node in cluster.masters:
            its = cluster.endpoint(node, NODE_PORT)
            if node != old and its.get("state") == "active":
                return node, float(its["master"]["elected_at"])
        return None

    return wait_for(f"another than {old} is the master", look, seconds)


def test_the_master_runs_nothing_and_the_others_everything(cluster: Peers, submitter: Submitter) -> None:
    master = cluster.master()
    names = [submitter.submit("sleep 0.5") for _ in range(20)]
    seen: set[str] = set()

    def watched() -> bool:
        for node in cluster.masters:
            if cluster.running(node):
                seen.add(node)
        return all(end["state"] == "done" for end in mwapp(cluster, "tasks", *names))

    wait_for("all are done", watched, 2 * LONGEST_WAIT, every=0.1)
    assert seen == set(cluster.masters) - {master}
    ran = {end["worker"] for end in mwapp(cluster, "tasks", *names)}
    assert ran == seen
    states = {it["worker"]: it["state"] for it in mwapp(cluster, "workers")}
    assert states == {node: "paused" if node == master else "ready" for node in cluster.masters}
    status = mwapp(cluster, "status")
    assert status["master"]["state"] == "active"
    # A busy host may have stood still for a moment.
    assert [warning for warning in status["warnings"] if "of late)" not in warning] == []


def test_a_task_goes_where_its_label_is(cluster: Peers) -> None:
    node = next(node for node in cluster.masters if node != cluster.master())
    (end,) = mwapp(cluster, "submit", "--wait", "--label", LABELS[node], "hostname")
    assert end["output"].strip() == node


def test_a_killed_master_is_replaced_and_comes_back_as_a_worker(
    cluster: Peers, submitter: Submitter, figures: list[str]
) -> None:
    old = cluster.master()
    before = cluster.epoch(old, NODE_PORT)
    session = faults.session_of(cluster, MASTER)
    began = cluster.kill(old, UNIT)
    new, elected = successor(cluster, old)
    figures.append(f"master SIGKILLed, {new} was elected after {(elected - began) * 1000:.0f} ms")
    assert faults.was_closed(cluster, session), "systemd's ExecStopPost did not end the session"
    assert cluster.epoch(new, NODE_PORT) > before
    wait_for(f"{old} is a worker", lambda: cluster.state(old, NODE_PORT) == "ready", 30)
    for _ in range(4):  # quick ones would all go to the other, whose name comes first
        submitter.submit("sleep 1")
    wait_for(f"{old} runs tasks again", lambda: cluster.running(old), 30)


def test_a_killed_worker_is_replaced(cluster: Peers, submitter: Submitter) -> None:
    """Its tasks run again elsewhere, and it comes back."""
    names = [submitter.submit("sleep 5") for _ in range(4)]
    held = wait_for(
        "a peer runs some of them",
        lambda: next((node for node in cluster.masters if set(cluster.running(node)) & set(names)), None),
    )
    cluster.kill(held, UNIT)
    ends = mwapp(cluster, "wait", *names)
    assert {end["state"] for end in ends} == {"done"}
    assert 2 in {end["attempt"] for end in ends}


def test_a_stopped_master_hands_leadership_on_at_once(cluster: Peers, figures: list[str]) -> None:
    """Even when it still runs a task of the time when it was a worker."""
    old = cluster.master()
    heirs = [node for node in cluster.masters if node != old]
    tasks = {  # so that whoever is elected next has one, for longer than it may wait for it
        node: mwapp(cluster, "submit", "--label", LABELS[node], "sleep 600")[0]["task"] for node in heirs
    }
    try:
        wait_for("both have begun", lambda: all(tasks[node] in cluster.running(node) for node in heirs))
        cluster.kill(old, UNIT)
        busy, _ = successor(cluster, old)
        wait_for("the task it had goes on", lambda: tasks[busy] in cluster.running(busy))
        began = time.time()
        cluster.lab.exec(busy, ["systemctl", "--no-block", "restart", UNIT], check=True)
        heir, elected = successor(cluster, busy, 2 * LONGEST_WAIT)
    finally:
        mwapp(cluster, "cancel", *tasks.values())
    figures.append(f"master with a task stopped, {heir} was elected after {(elected - began) * 1000:.0f} ms")
    assert elected - began < DRAIN_SECONDS / 2, "it waited for its task"
