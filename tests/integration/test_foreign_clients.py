"""Clients that are not ours submit a task over TLS, by a certificate, and read its result."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.zklab.zookeeper.plugins.module_utils.tls_certificates import Store, Wanted, utc_now
from kazoo.client import KazooClient

from testbed import releases
from testbed.daemons import Site
from testbed.ensemble import Ensemble
from testbed.waiting import wait_for

CURATOR = "5.7.1"
NODE = "1.1.3"  # of node-zookeeper-client
COMMAND = "echo hello"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificates, as tls_clients.yml makes that of the client."""
    directory = tmp_path_factory.mktemp("tls")
    servers = [Wanted(ca, "zk1", ("127.0.0.1", "localhost")) for ca in ("client", "quorum")]
    store = Store(directory, days=30, renew_days=3, now=utc_now())
    store.ensure([*servers, Wanted("client", "billing")])
    assert store.problems == []
    return directory


@pytest.fixture(scope="module")
def site(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A master and a worker."""
    with pytest.MonkeyPatch.context() as patch, Ensemble(1, tls=store) as ensemble:
        patch.setenv("MWAPP_TLS_CA", str(store / "client-ca.pem"))
        patch.setenv("MWAPP_TLS_CERT", str(store / "client/billing.pem"))
        with Site(ensemble.connect_string, tmp_path_factory.mktemp("site")) as site:
            site.start("master", "a").wait_for_state("active")
            site.start("worker", "w").wait_for_state("ready")
            yield site


def test_kazoo(site: Site, store: Path) -> None:
    """By kazoo's own options, as its documentation has them."""
    own, ca = str(store / "client/billing.pem"), str(store / "client-ca.pem")
    client = KazooClient(site.connect, use_ssl=True, ca=ca, certfile=own, keyfile=own, check_hostname=True)
    client.start(20)
    try:
        task = client.create("/tasks/task-", COMMAND.encode(), sequence=True)
        wait_for("it ends", lambda: client.exists(f"{task}/status"))
        assert json.loads(client.get(f"{task}/result")[0])["output"] == "hello\n"
    finally:
        client.stop()
        client.close()


def test_curator(site: Site, store: Path) -> None:
    if not shutil.which("javac"):
        pytest.skip("there is no Java compiler: apt-get install default-jdk-headless")
    try:
        jars = releases.curator(CURATOR)
    except releases.ReleaseError as problem:
        pytest.skip(str(problem))
    tls = {
        "client.secure": "true",
        "clientCnxnSocket": "org.apache.zookeeper.ClientCnxnSocketNetty",
        "ssl.enabledProtocols": "TLSv1.3,TLSv1.2",
        "ssl.keyStore.location": store / "client/billing.pem",
        "ssl.trustStore.location": store / "client-ca.pem",
    }
    flags = [f"-Dzookeeper.{name}={value}" for name, value in tls.items()]
    program = Path(__file__).with_name("Foreign.java")
    done = subprocess.run(
        ["java", *flags, "-cp", ":".join(map(str, jars)), str(program), site.connect, COMMAND],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["output"] == "hello\n"


@pytest.mark.parametrize("ours", [True, False])
def test_node(site: Site, store: Path, ours: bool) -> None:
    """It takes a server only with a certificate of the authority that it is told."""
    if not shutil.which("node"):
        pytest.skip("there is no Node.js: apt-get install nodejs npm")
    try:
        modules = releases.of_node(NODE)
    except releases.ReleaseError as problem:
        pytest.skip(str(problem))
    program, authority = Path(__file__).with_name("foreign.js"), "client-ca.pem" if ours else "quorum-ca.pem"
    done = subprocess.run(
        [
            "node",
            str(program),
            site.connect,
            str(store / "client/billing.pem"),
            str(store / authority),
            COMMAND,
        ],
        env={**os.environ, "NODE_PATH": str(modules)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    if ours:
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout.splitlines()[-1])["output"] == "hello\n"
    else:
        assert (done.returncode, done.stdout) == (3, "")
        assert "certificate" in done.stderr
