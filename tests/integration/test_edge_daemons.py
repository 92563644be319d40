"""Masters and workers as processes: what becomes of leadership and of the tasks when they die."""

import contextlib
import json
import math
import re
import signal
import socket
import statistics
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from mwapp.daemon.endpoint import MOST_REQUESTS
from mwapp.execution.cpus import usable_cpus
from testbed.daemons import DAEMON_SESSION_SECONDS, LEFT_ALONE, LONG_SESSION, NO_DEPOSITIONS, Daemon, Site
from testbed.ensemble import Ensemble
from testbed.waiting import LONGEST_WAIT, wait_for
from tests.integration import replay


@pytest.fixture
def site(ensemble: Ensemble, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with Site(f"{ensemble.connect_string}/{request.node.name}", tmp_path) as site:
        yield site


def two_masters(site: Site, *options: str) -> tuple[Daemon, Daemon]:
    """The active one and the one that stands by."""
    masters = [site.start("master", name, *options) for name in ("a", "b")]
    masters.sort(key=lambda master: master.wait_for_state("active", "standby"))
    return masters[0], masters[1]


def elected_at(master: Daemon) -> float:
    """When it was elected, Unix seconds; waits for it."""
    wait_for(f"{master.name} is active", lambda: master.status().get("state") == "active")
    return float(master.status()["elected_at"])


def has_written(master: Daemon, since: float) -> bool:
    return (master.status().get("first_write_at") or 0) > since


def test_killed_master(site: Site, ensemble: Ensemble) -> None:
    """With its session released the standby takes over in milliseconds."""
    active, standby = two_masters(site, *NO_DEPOSITIONS, *LONG_SESSION)
    site.start("worker", "w", "--slots", "10").wait_for_state("ready")
    seconds = []
    for turn in range(5):
        session, killed_at = active.session(), time.time()
        active.kill()
        assert active.release() == 0
        # Nothing to write without a task.
        site.mwapp("submit", f"echo {turn}")
        seconds.append(elected_at(standby) - killed_at)
        assert not replay.end_of(ensemble, session).expired, "it was not released"
        wait_for("it has written", partial(has_written, standby, killed_at))
        active.start()
        active.wait_for_state("standby")
        active, standby = standby, active
    print(f"SIGKILL to election, ms: {[round(1000 * s) for s in seconds]}")
    assert statistics.median(seconds) < LEFT_ALONE
    assert all(task["state"] == "done" for task in site.json("wait", *"01234"))


def test_killed_master_without_release(site: Site, ensemble: Ensemble) -> None:
    active, standby = two_masters(site, *NO_DEPOSITIONS)
    session = active.session()
    active.kill()
    elected, end = elected_at(standby), replay.end_of(ensemble, session)
    assert end.expired
    assert end.time <= elected


def test_a_master_that_stands_still_is_replaced_long_before_its_session_ends(
    site: Site, ensemble: Ensemble
) -> None:
    """And a needless take-over costs nothing: every task is done once."""
    # Patient enough for a machine that is busy.
    active, standby = two_masters(site, "--depose-after", "2", *LONG_SESSION)
    site.start("worker", "w", "--slots", "10").wait_for_state("ready")
    session, stopped_at = active.session(), time.time()
    active.signal(signal.SIGSTOP)
    site.mwapp("submit", "--name", "first", "echo 1")
    elected = elected_at(standby)
    print(f"SIGSTOP to election: {1000 * (elected - stopped_at):.0f} ms")
    assert elected < replay.ends(ensemble).get(session, math.inf)
    assert standby.status()["depositions"]["made"] >= 1
    active.signal(signal.SIGCONT)
    active.wait_for_state("standby")
    site.mwapp("submit", "--name", "second", "echo 2")
    assert [task["attempt"] for task in site.json("wait", "first", "second")] == [1, 1]
    warnings = "".join(site.json("status")["warnings"])
    assert re.search(r"stood still or was cut off \([1-9] of late\)", warnings)


def test_stopped_master_gives_up_leadership_at_once(site: Site, ensemble: Ensemble) -> None:
    active, standby = two_masters(site, *NO_DEPOSITIONS, *LONG_SESSION)
    session, stopped_at = active.session(), time.time()
    assert active.stop() == 0
    assert not (active.state_dir / "session").exists()
    assert elected_at(standby) - stopped_at < LEFT_ALONE
    assert not replay.end_of(ensemble, session).expired


def test_frozen_master(site: Site, ensemble: Ensemble) -> None:
    """It is not deposed, loses leadership by time, and does nothing when it wakes."""
    active, standby = two_masters(site, *NO_DEPOSITIONS)
    session = active.session()
    active.signal(signal.SIGSTOP)
    elected, end = elected_at(standby), replay.end_of(ensemble, session)
    assert end.expired
    assert end.time <= elected
    assert standby.status()["depositions"]["made"] == 0
    active.signal(signal.SIGCONT)
    assert active.wait_for_state("standby")
    events = json.loads((active.get("/status") or (0, ""))[1])["session"]["events"]
    assert events["connected"] >= 2
    assert standby.status()["state"] == "active"


def test_killed_worker(site: Site, tmp_path: Path) -> None:
    """Its task moves to another, with the next attempt."""
    site.start("master", "a")
    worker = site.start("worker", "w1")
    worker.wait_for_state("ready")
    (task,) = site.mwapp(
        "submit", f"echo $MWAPP_WORKER $MWAPP_ATTEMPT >> {tmp_path}/runs; [ $MWAPP_ATTEMPT = 2 ] || sleep 600"
    ).split()
    wait_for("it runs", (tmp_path / "runs").exists)
    site.start("worker", "w2").wait_for_state("ready")
    worker.kill()
    worker.release()
    (end,) = site.json("wait", task)
    assert (end["state"], end["worker"], end["attempt"]) == ("done", "w2", 2)
    assert (tmp_path / "runs").read_text() == "w1 1\nw2 2\n"


def test_worker_restarted_over_its_own_remains(site: Site, ensemble: Ensemble) -> None:
    """It ends the dead session itself, so its name is free at once."""
    worker = site.start("worker", "w1", *LONG_SESSION)
    worker.wait_for_state("ready")
    session = worker.session()
    worker.kill()
    worker.start()
    worker.wait_for_state("ready")
    assert not replay.end_of(ensemble, session).expired, "it waited for the end of its own dead session"
    assert worker.status()["incarnation"] == 1


def test_worker_runs_as_many_tasks_at_once_as_it_may_use_cpus(site: Site) -> None:
    """If nobody says how many."""
    site.start("worker", "w1", MWAPP_SLOTS="0").wait_for_state("ready")
    (shown,) = site.json("workers")
    assert shown["slots"] == usable_cpus()


def test_worker_drains(site: Site, tmp_path: Path) -> None:
    """What runs may finish; what waits goes to another."""
    site.start("master", "a")
    worker = site.start("worker", "w1", "--slots", "1")
    worker.wait_for_state("ready")
    go = tmp_path / "go"
    (running,) = site.mwapp("submit", f"until [ -e {go} ]; do sleep 0.05; done; echo finished").split()
    wait_for("it runs", lambda: worker.running() == [running])
    worker.signal(signal.SIGTERM)
    other = site.start("worker", "w2")
    other.wait_for_state("ready")
    (later,) = site.mwapp("submit", "echo later").split()
    (end,) = site.json("wait", later)
    assert end["worker"] == "w2"
    go.touch()
    (end,) = site.json("wait", running)
    assert (end["worker"], end["output"]) == ("w1", "finished\n")
    assert worker.process.wait(LONGEST_WAIT) == 0


def test_readiness_is_honest(site: Site, ensemble: Ensemble) -> None:
    """Without a majority it lives but is not ready, however often the server left takes its session."""
    worker = site.start("worker", "w1")
    worker.wait_for_state("ready")
    assert worker.get("/ready") == (200, "ok\n")
    for server in ensemble.servers[:2]:
        server.kill()
    wait_for("not ready", lambda: (worker.get("/ready") or (0,))[0] == 503)
    end = time.monotonic() + 3 * DAEMON_SESSION_SECONDS
    while time.monotonic() < end:
        assert (worker.get("/ready") or (0,))[0] != 200
        time.sleep(0.05)
    assert worker.get("/health") == (200, "ok\n")
    ensemble.start()
    wait_for("ready again", lambda: worker.get("/ready") == (200, "ok\n"))


def test_silent_connections_do_not_make_it_unready(site: Site) -> None:
    master = site.start("master", "a")
    master.wait_for_state("active")
    with contextlib.ExitStack() as held:
        for _ in range(20):
            for _ in range(2 * MOST_REQUESTS):
                connection = socket.create_connection(("127.0.0.1", master.port), 10)
                held.enter_context(contextlib.closing(connection))
            assert master.get("/ready") == (200, "ok\n")


def test_start_before_the_ensemble(site: Site, ensemble: Ensemble) -> None:
    for server in ensemble.servers:
        server.kill()
    worker = site.start("worker", "w1")
    wait_for("it answers", lambda: worker.get("/ready"))
    assert (worker.get("/ready") or (0,))[0] == 503
    ensemble.start()
    worker.wait_for_state("ready")
    assert worker.stop() == 0


def test_stop_without_the_ensemble(site: Site, ensemble: Ensemble) -> None:
    """It ends all the same, long before the time that its tasks would have; what it could not close is left
    for a release."""
    worker = site.start("worker", "w1", "--drain", str(10 * LONGEST_WAIT))
    worker.wait_for_state("ready")
    for server in ensemble.servers:
        server.kill()
    assert worker.stop() == 0
    assert (worker.state_dir / "session").exists()
    ensemble.start()
    assert worker.release() == 0


def test_what_systemd_hears(site: Site, ensemble: Ensemble, tmp_path: Path) -> None:
    """Ready with the first session, signs of life from the main loop, and the end."""
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(LONGEST_WAIT)

        def hear(word: str) -> None:
            end = time.monotonic() + LONGEST_WAIT
            while not any(word in message for message in heard):
                assert time.monotonic() < end, f"{word} is not among {heard}"
                heard.append(manager.recv(1000).decode())

        for server in ensemble.servers:
            server.kill()
        watched = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1000000"}
        worker = site.start("worker", "w1", **watched)
        hear("WATCHDOG=1")
        assert not any("READY=1" in message for message in heard)
        for _ in range(int(Path("/proc/sys/net/unix/max_dgram_qlen").read_text()) + 1):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as noise:
                noise.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    noise.sendto(b"noise", str(tmp_path / "notify"))
        ensemble.start()
        wait_for("it serves", lambda: worker.status().get("state") == "ready")
        # Nothing was taken meanwhile: what is to be known is told again.
        hear("READY=1")
        hear("STATUS=worker ready, incarnation 0")
        heard.clear()
        worker.signal(signal.SIGSTOP)
        manager.settimeout(1.5)
        with contextlib.suppress(TimeoutError):  # what was sent before, and then silence
            for _ in range(100):
                manager.recv(1000)
            pytest.fail("a frozen process gives signs of life")
        worker.signal(signal.SIGCONT)
        manager.settimeout(LONGEST_WAIT)
        hear("WATCHDOG=1")
        worker.signal(signal.SIGTERM)
        hear("STOPPING=1")
        assert worker.process.wait(LONGEST_WAIT) == 0


def test_nothing_secret_is_shown(site: Site) -> None:
    """The session's password is in its file alone."""
    worker = site.start("worker", "w1")
    worker.wait_for_state("ready")
    password = (worker.state_dir / "session").read_text().splitlines()[1]
    command_line = Path(f"/proc/{worker.process.pid}/cmdline").read_text()
    shown = [worker.log.read_text(), command_line, *(str(worker.get(p)) for p in ("/status", "/metrics"))]
    assert all(password not in text for text in shown)
    assert (worker.state_dir / "session").stat().st_mode & 0o777 == 0o600
