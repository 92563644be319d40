"""Daemons whose status endpoint speaks HTTPS, with certificates as the roles make them, and who asks them."""

import contextlib
import resource
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.zklab.zookeeper.plugins.module_utils.tls_certificates import Store, Wanted, utc_now

from testbed import asking
from testbed.daemons import Daemon, Site
from testbed.ensemble import Ensemble
from testbed.waiting import wait_for

MANY = 1000


@pytest.fixture
def site(ensemble: Ensemble, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with Site(f"{ensemble.connect_string}/{request.node.name}", tmp_path) as site:
        yield site


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """What is on the machine where Ansible runs."""
    directory = tmp_path / "tls"
    store = Store(directory, days=30, renew_days=3, now=utc_now())
    store.ensure([Wanted("quorum", "zk1", ("127.0.0.1",)), Wanted("client", "a", ("127.0.0.1",))])
    assert store.problems == []
    return directory


@pytest.fixture
def master(site: Site, store: Path) -> Daemon:
    """An active one that speaks HTTPS."""
    master = site.start("master", "a", "--listen-cert", str(store / "client/a.pem"))
    master.trusts = ssl.create_default_context(cafile=store / "client-ca.pem")
    master.wait_for_state("active")
    return master


def about_the_master(site: Site, *options: str) -> tuple[str, str | None, list[str]]:
    """Its address and state, and what is said of its endpoint."""
    status = site.json("status", *options)
    texts = [text for text in status["warnings"] if "status endpoint" in text]
    return status["master"]["address"], status["master"]["state"], texts


def test_people_see_the_master_if_they_have_its_ca(site: Site, store: Path, master: Daemon) -> None:
    address = f"https://127.0.0.1:{master.port}"
    ca, other = store / "client-ca.pem", store / "quorum-ca.pem"
    wait_for("it is seen", lambda: about_the_master(site, "--status-ca", str(ca))[1] == "active")
    assert about_the_master(site, "--status-ca", str(ca)) == (address, "active", [])
    said = f"the master's status endpoint {address}: "
    remedy = "give the CA of its certificate by --status-ca (status_ca in mwapp.toml)"
    assert about_the_master(site) == (address, None, [f"{said}it speaks HTTPS: {remedy}"])
    (text,) = about_the_master(site, "--status-ca", str(other))[2]
    assert text.startswith(f"{said}its certificate is refused: ")
    assert text.endswith(f"{other} (--status-ca) must have the CA of the servers' certificates")
    screen = site.mwapp("status", "--status-ca", str(ca))
    assert address in screen
    assert "!" not in screen.replace("! no worker", "").replace("! no master stands by", "")


def test_tasks_run_as_before_beside_a_worker_without_tls(site: Site, master: Daemon) -> None:
    site.start("worker", "w").wait_for_state("ready")
    site.mwapp("submit", "--wait", "true")
    (row,) = site.json("workers")
    assert row["address"].startswith("127.0.0.1:")
    assert master.get("/health") == (200, "ok\n")


def test_a_plain_request_gets_nothing_and_leaves_nothing_in_the_log(site: Site, master: Daemon) -> None:
    del site
    before = len(master.log.read_text().splitlines())
    assert asking.endpoint("127.0.0.1", master.port, "/ready") is None
    assert master.get("/ready") == (200, "ok\n")
    later = master.log.read_text().splitlines()[before:]
    said = [line for line in later if "endpoint: " in line]
    assert said
    assert {line.split()[1] for line in said} == {"debug"}


def test_a_thousand_silent_connections_do_not_make_it_unready(master: Daemon) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * MANY)), hard))
    try:
        with contextlib.ExitStack() as held:
            for _ in range(MANY):
                connection = socket.create_connection(("127.0.0.1", master.port), 10)
                held.enter_context(contextlib.closing(connection))
            wait_for("it answers", lambda: master.get("/ready") == (200, "ok\n"))
            assert [master.get("/ready") for _ in range(20)] == [(200, "ok\n")] * 20
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
