"""Kill, freeze and cut the power of every role; the figures are printed.

What ended a session or deposed a master tells a mechanism that works from one that does not. A bound follows
from a setting, so it holds on a busy machine, too. The figures to reach are measured on an idle one (``make
bench``, ``make demo``).
"""

import time
from typing import Any

import pytest
from conftest import Measured

from chaos import faults
from chaos.cluster import MASTER_PORT, ROLE_SESSION_SECONDS, Cluster
from chaos.load import Submitter, Writer
from mwapp.core.protocol import MASTER, worker_path
from testbed.waiting import wait_for

SESSION_MS = ROLE_SESSION_SECONDS * 1000
# Whom nobody releases loses the session by time-out: up to a tick later than that, and then the others must
# be told and act. On an idle machine that is within 1.5 s; the rest allows for a busy one.
BY_TIME_OUT_MS = SESSION_MS * 1.5
# So long a new leader waits for a quorum of followers; then there is another election.
ELECTION_MS = 20_000  # zookeeper_init_limit ticks of zookeeper_tick_time

WATCHDOG_SECONDS = 10  # mwapp_watchdog


def depositions(cluster: Cluster, node: str) -> int:
    """How many the master there has made since it was started."""

    def told() -> Any:
        return cluster.endpoint(node, MASTER_PORT).get("depositions")

    return int(wait_for(f"{node} tells its depositions", told)["made"])


def about_to_fall_silent(cluster: Cluster) -> tuple[str, int]:
    """The active master, and how many depositions the other one has made."""
    old, _ = faults.about_to_fall_silent(cluster)
    (other,) = (node for node in cluster.masters if node != old)
    return old, depositions(cluster, other)


def test_a_killed_master_is_replaced_long_before_its_session_would_time_out(
    cluster: Cluster, measured: Measured
) -> None:
    times = []
    for _ in range(3):
        session = faults.session_of(cluster, MASTER)
        times.append(faults.kill_master(cluster).ms)
        assert faults.was_closed(cluster, session), "systemd's ExecStopPost did not end the session"
        cluster.settle()
    measured("master SIGKILLed, first write of its successor after", times)


def test_a_master_whose_whole_unit_is_killed_is_replaced_nearly_as_fast(
    cluster: Cluster, measured: Measured
) -> None:
    session = faults.session_of(cluster, MASTER)
    takeover = faults.kill_master_unit(cluster)
    assert faults.was_closed(cluster, session), "nobody ended the session"
    cluster.settle()
    measured("master's unit SIGKILLed as a whole, first write of its successor after", [takeover.ms])


def test_a_freeze_longer_than_the_watchdog_leaves_no_failed_unit(cluster: Cluster) -> None:
    """systemd kills what was silent for so long, though it could not help it, and starts it again."""
    node = next(node for node in cluster.masters if node != cluster.master())
    cluster.lab.freeze(node)
    try:
        time.sleep(WATCHDOG_SECONDS + 2)
    finally:
        cluster.lab.thaw(node)
    wait_for("it stands by", lambda: cluster.state(node, MASTER_PORT) == "standby")
    failed = cluster.lab.exec(node, ["systemctl", "list-units", "--failed", "--no-legend"]).stdout
    assert "mwapp" not in failed
    cluster.settle()


def test_a_frozen_master_is_replaced_and_finds_itself_deposed(cluster: Cluster, measured: Measured) -> None:
    old, before = about_to_fall_silent(cluster)
    takeover = faults.freeze_master(cluster)
    measured("master's host frozen, first write of its successor after", [takeover.ms])
    assert depositions(cluster, takeover.master) > before, "its session had to end first"
    wait_for(
        "the thawed master stands by",
        lambda: cluster.state(old, MASTER_PORT) == "standby",
    )
    assert cluster.epoch(takeover.master) == takeover.epoch


def test_a_master_without_power_is_replaced(cluster: Cluster, measured: Measured) -> None:
    _, before = about_to_fall_silent(cluster)
    takeover = faults.power_cut_master(cluster)
    measured("master's host without power, first write of its successor after", [takeover.ms])
    assert depositions(cluster, takeover.master) > before, "its session had to end first"


@pytest.mark.parametrize("loss", ["process", "power"])
def test_tasks_of_a_lost_worker_run_elsewhere(
    cluster: Cluster, submitter: Submitter, measured: Measured, loss: str
) -> None:
    session = faults.session_of(cluster, worker_path("mw3"))
    endings, ms = faults.lose_worker(cluster, submitter, power=loss == "power")
    measured(f"worker lost ({loss}), its tasks run again after", [ms])
    assert {ending.outcome.attempt for ending in endings} == {2}
    assert ms <= BY_TIME_OUT_MS
    assert faults.was_closed(cluster, session) == (loss == "process"), (
        "the one is released, the other expires"
    )


def test_clients_go_on_when_the_leader_is_killed(
    cluster: Cluster, writers: list[Writer], measured: Measured
) -> None:
    _, gap = faults.kill_leader(cluster, writers)
    measured("leader SIGKILLed, longest write gap of any client", [gap])
    assert gap < ELECTION_MS


def test_one_server_of_three_down_is_served_and_two_refuse(
    cluster: Cluster, writers: list[Writer], measured: Measured
) -> None:
    leader = cluster.leader()
    first, second = (node for node in cluster.servers if node != leader)
    gap = faults.lose_server(cluster, first, writers)
    measured("one server of three without power, longest write gap of any client", [gap])

    outage = faults.lose_quorum(cluster, second, writers)
    assert outage.written == 0
    wait_for("the leader steps down", lambda: not cluster.server(leader), 30)
    assert sum(w.writes_since(outage.since) for w in writers) == 0

    gap = faults.regain_quorum(cluster, outage, writers)
    measured("two servers of three without power and back, longest write gap of any client", [gap])
