"""mwapp on an ensemble with TLS, for clients and in the quorum, with certificates as the roles make them."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.zklab.zookeeper.plugins.module_utils.tls_certificates import Store, Wanted, utc_now

from mwapp import Client
from mwapp.errors import UnreachableError
from testbed.daemons import LONG_SESSION, NO_DEPOSITIONS, Site
from testbed.ensemble import Ensemble
from testbed.tls_files import DAY, Maker, pem, write
from testbed.waiting import wait_for
from tests.integration import replay

HERE = ("127.0.0.1", "localhost")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is on the machine where Ansible runs."""
    directory = tmp_path_factory.mktemp("tls")
    servers = [Wanted(ca, f"zk{n}", HERE) for ca in ("client", "quorum") for n in (1, 2, 3)]
    store = Store(directory, days=30, renew_days=3, now=utc_now())
    store.ensure([*servers, Wanted("client", "mwapp-cli-here")])
    assert store.problems == []
    return directory


@pytest.fixture(scope="module")
def shared(store: Path) -> Iterator[Ensemble]:
    with Ensemble(tls=store) as ensemble:
        yield ensemble


@pytest.fixture
def ensemble(shared: Ensemble, store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ensemble]:
    """Commands and daemons find the right files, unless they are given others."""
    monkeypatch.setenv("MWAPP_TLS_CA", str(store / "client-ca.pem"))
    monkeypatch.setenv("MWAPP_TLS_CERT", str(store / "client/mwapp-cli-here.pem"))
    shared.heal()
    yield shared
    shared.heal()


@pytest.fixture
def site(ensemble: Ensemble, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    with Site(f"{ensemble.connect_string}/{request.node.name}", tmp_path) as site:
        yield site


def test_tasks_run_and_a_killed_master_is_released_at_once(
    site: Site, ensemble: Ensemble, store: Path
) -> None:
    masters = [site.start("master", name, *NO_DEPOSITIONS, *LONG_SESSION) for name in ("a", "b")]
    site.start("worker", "w", "--slots", "4")
    masters.sort(key=lambda master: master.wait_for_state("active", "standby"))
    active, standby = masters
    many = "".join(f"echo {number} {'x' * 500}\n" for number in range(100))
    ended = json.loads(site.mwapp("submit", "--wait", "-", "--output", "json", text=many))
    assert {task["state"] for task in ended} == {"done"}

    def modes() -> set[str]:
        return {server["mode"] for server in site.json("status")["servers"]}

    wait_for("they are asked with TLS", lambda: modes() == {"leader", "follower"})

    session = active.session()
    active.kill()
    assert active.release(store / "client-ca.pem", store / "client/mwapp-cli-here.pem") == 0
    wait_for("the other is active", lambda: standby.status().get("state") == "active")
    assert not replay.end_of(ensemble, session).expired
    assert not (active.state_dir / "session").exists()
    site.mwapp("submit", "--wait", "true")


def test_a_server_that_hangs_is_left_and_the_session_goes_on(
    ensemble: Ensemble, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Of two followers, so that the quorum stays."""
    followers = ",".join(f"127.0.0.1:{server.secure_port}" for server in ensemble.followers())
    with Site(f"{followers}/{request.node.name}", tmp_path) as site:
        _hang(site, ensemble)


def _hang(site: Site, ensemble: Ensemble) -> None:
    worker = site.start("worker", "w", *LONG_SESSION)
    worker.wait_for_state("ready", "registering", "idle", "active", "paused")
    session = wait_for("it has a session", lambda: worker.session() if worker.session() != -1 else None)

    def connected() -> str | None:
        its = json.loads((worker.get("/status") or (0, "{}"))[1]).get("session", {})
        return str(its["server"]) if its.get("state") == "connected" else None

    before = wait_for("it is connected", connected)
    server = next(one for one in ensemble.servers if before == f"127.0.0.1:{one.secure_port}")
    server.pause()
    wait_for("it is on another", lambda: connected() not in (None, before))
    server.resume()
    assert worker.session() == session


def test_a_client_in_python(site: Site, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site.start("master", "a")
    site.start("worker", "w")
    with Client(site.connect) as client:
        assert client.submit("echo hello").result(30) == "hello\n"
    monkeypatch.delenv("MWAPP_TLS_CERT")
    ca, own = str(store / "client-ca.pem"), str(store / "client/mwapp-cli-here.pem")
    with Client(site.connect, tls_ca=ca, tls_cert=own) as client:
        assert client.submit("echo hello").result(30) == "hello\n"
    strange = str(store / "quorum/zk1.pem")
    with (
        Client(site.connect, tls_ca=ca, tls_cert=strange) as client,
        pytest.raises(UnreachableError, match=f"^connect .*refuses the certificate in {strange} "),
    ):
        client.submit("true")


def test_what_is_refused_is_said_in_one_line_and_soon(
    site: Site, ensemble: Ensemble, store: Path, tmp_path: Path
) -> None:
    """Not after the ten seconds that an ensemble may be silent."""
    ca, own = store / "client-ca.pem", store / "client/mwapp-cli-here.pem"
    maker = Maker()
    other_ca = write(tmp_path / "ca.pem", pem(maker.certificate))
    expired = write(tmp_path / "old.pem", maker.pair("old", begins=-9 * DAY, ends=-DAY))
    plain = ",".join(f"127.0.0.1:{server.port}" for server in ensemble.servers)
    for connect, files, words in (
        (
            site.connect,
            (ca, store / "quorum/zk1.pem"),
            "the server refuses the certificate in {1} (--tls-cert): ",
        ),
        (site.connect, (other_ca, own), "the server's certificate is refused: unable to get local issuer "),
        (plain, (ca, own), "no TLS is possible there: the server hangs up; give the servers' port for TLS"),
        (site.connect, (ca, expired), "--tls-cert: {1}: the certificate expired on "),
        (site.connect, (ca, tmp_path / "no.pem"), "--tls-cert: cannot read {1}: No such file or directory"),
    ):
        options = ["--connect", connect, "--tls-ca", str(files[0]), "--tls-cert", str(files[1])]
        command = [sys.executable, "-m", "mwapp", "tasks", *options, "--connect-timeout", "60"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode in (2, 3), done.stderr
        assert words.format(*files) in done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
