"""A worker whose tasks are another user's: they cannot harm it, and end with it."""

import os
import shlex
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.daemons import Site
from testbed.ensemble import Ensemble
from testbed.users import becomes_nobody
from testbed.waiting import LONGEST_WAIT, alive, read_number, wait_for

pytestmark = pytest.mark.skipif(not becomes_nobody(), reason="root, and a checkout that others can read")

ATTACKS = """
try() { "$@" >/dev/null 2>&1 && echo "DONE: $*"; }
try cat {state}/session
try ls {state}
try cat {config}
try head -c 1 /proc/{worker}/mem
try cat /proc/{worker}/environ
try ls /proc/{worker}/fd
try kill -0 {worker}
try kill -STOP {worker}
try kill -KILL {worker}
try sh -c 'echo 0 >/proc/{worker}/oom_score_adj'
echo as $(id -un)
"""


@pytest.fixture
def site(ensemble: Ensemble, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with Site(f"{ensemble.connect_string}/{request.node.name}", tmp_path) as site:
        site.start("master", "m").wait_for_state("active")
        yield site


def test_runs_have_the_variables_that_the_worker_was_given_for_them(site: Site) -> None:
    given = ("--env", "MWAPP_CONNECT=nowhere:1", "--env", "GIVEN=a=b c")
    site.start("worker", "w", "--task-user", "nobody", *given).wait_for_state("ready")
    (end,) = site.json("submit", "--wait", "echo $MWAPP_CONNECT $GIVEN")
    assert end["output"] == "nowhere:1 a=b c\n"


def test_a_task_cannot_harm_its_worker_and_ends_with_it(site: Site, tmp_path: Path) -> None:
    config, pids = tmp_path / "mwapp.toml", Path(f"/tmp/{site.chroot.strip('/')}-{os.getpid()}")  # noqa: S108 - theirs
    config.write_text("prefetch = 4\n")
    config.chmod(0o600)
    worker = site.start("worker", "w", "--config", str(config), "--task-user", "nobody")
    worker.wait_for_state("ready")
    attacks = ATTACKS
    for name, value in {"state": worker.state_dir, "config": config, "worker": worker.process.pid}.items():
        attacks = attacks.replace(f"{{{name}}}", str(value))
    (end,) = site.json("submit", "--wait", attacks)
    assert end["output"] == "as nobody\n"
    # Cancelled and late runs are killed as ever, and a worker that is killed takes its runs along.
    (end,) = site.json("submit", "--wait", "--run-timeout", "0.3", "sleep 600", status=1)
    assert end["reason"] == "timed out after 0.3 s"
    try:
        site.mwapp("submit", f"echo $$ >{pids}.new; mv {pids}.new {pids}; setsid sleep 600")
        shell = read_number(pids)
        worker.kill()
        wait_for("the run is gone", lambda: not alive(shell))
    finally:
        pids.unlink(missing_ok=True)


def test_whoever_kills_the_process_that_runs_tasks_ends_the_worker(site: Site) -> None:
    """It does not go on without being able to run anything, and its session is left: some run may go on."""
    worker = site.start("worker", "w", "--task-user", "nobody")
    worker.wait_for_state("ready")
    site.mwapp("submit", "kill -KILL $PPID; sleep 600")
    assert worker.process.wait(LONGEST_WAIT) == 1
    assert "the process that runs tasks is lost" in worker.log.read_text()
    assert worker.session() != -1


def test_tasks_without_network_reach_not_even_the_ensemble_and_their_worker_does(
    site: Site, ensemble: Ensemble, tmp_path: Path
) -> None:
    host, port = ensemble.connect_string.split(",")[0].split(":")
    knock = f"import socket; socket.create_connection(({host!r}, {port}))"
    command = f"python3 -c {shlex.quote(knock)} 2>&1 | tail -1"
    config = tmp_path / "mwapp.toml"
    config.write_text("[worker]\ntask_network = false\n")
    denied = "PermissionError: [Errno 13] Permission denied\n"
    for name, said, *options in (("with", ""), ("without", denied, "--config", str(config))):
        worker = site.start("worker", name, "--task-user", "nobody", *options)
        worker.wait_for_state("ready")
        (end,) = site.json("submit", "--wait", command)
        assert end["output"] == said
        worker.stop()


def test_it_drains(site: Site) -> None:
    worker = site.start("worker", "w", "--task-user", "nobody")
    worker.wait_for_state("ready")
    go = Path(f"/tmp/{site.chroot.strip('/')}-{os.getpid()}")  # noqa: S108 - the other user sees it there
    task = site.mwapp("submit", f"until [ -e {go} ]; do sleep 0.05; done; echo done").strip()
    wait_for("it runs", worker.running)
    worker.signal(signal.SIGTERM)
    wait_for("it drains", lambda: worker.status().get("state") == "draining")
    try:
        go.touch()
        assert worker.process.wait(LONGEST_WAIT) == 0
    finally:
        go.unlink()
    assert site.json("wait", task)[0]["output"] == "done\n"
