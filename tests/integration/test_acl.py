"""Access control lists by certificate: a stolen key or a stranger may write nothing else, and all works."""

import json
import re
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.zklab.zookeeper.plugins.module_utils.tls_certificates import Store, Wanted, utc_now
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from kazoo.exceptions import NoAuthError
from kazoo.security import ACL, OPEN_ACL_UNSAFE, Id

from mwapp import Client
from mwapp.release import close_session, with_tls
from mwapp.zookeeper.tls import Tls
from testbed import ensemble as ensemble_module
from testbed.daemons import LONG_SESSION, NO_DEPOSITIONS, Daemon, Site
from testbed.ensemble import Ensemble
from testbed.hostile import QUOTA, Scene, ephemerals, hand, outcome, tree
from testbed.person import catch_up
from testbed.tls_files import DAY, Maker, pem, pem_key, write
from testbed.waiting import wait_for

HERE = ("127.0.0.1", "localhost")
MASTERS, WORKERS = ("a", "b"), ("w", "v", "later")
NAMES = (*(f"mwapp-master-{n}" for n in MASTERS), *(f"mwapp-worker-{n}" for n in WORKERS), "mwapp-cli-here")
ON = ("--master", "a", "--master", "b", "--worker", "w", "--worker", "v", "--client", "mwapp-cli-here")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("tls")
    servers = [Wanted(ca, f"zk{n}", HERE) for ca in ("client", "quorum") for n in (1, 2, 3)]
    store = Store(directory, days=30, renew_days=3, now=utc_now())
    store.ensure([*servers, *(Wanted("client", name) for name in NAMES)])
    assert store.problems == []
    return directory


@pytest.fixture(scope="module")
def ensemble(store: Path) -> Iterator[Ensemble]:
    with Ensemble(tls=store) as ensemble:
        yield ensemble


class Secured(Site):
    """An application whose every process has a certificate of its own."""

    store: Path

    def daemon(self, role: str, name: str, *options: str) -> Daemon:
        cert = str(self.store / f"client/mwapp-{role}-{name}.pem")
        return self.start(role, name, *options, MWAPP_TLS_CERT=cert)

    def acl(self, *arguments: str, key: str = "mwapp-master-a", status: int = 0) -> Any:
        """mwapp acl; what it says."""
        return self.json(
            "acl", *arguments, "--tls-cert", str(self.store / f"client/{key}.pem"), status=status
        )

    def submit(self, command: str, *options: str) -> str:
        return self.mwapp("submit", *options, command).split()[0]


@pytest.fixture
def site(
    ensemble: Ensemble,
    store: Path,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Secured]:
    monkeypatch.setenv("MWAPP_TLS_CA", str(store / "client-ca.pem"))
    monkeypatch.setenv("MWAPP_TLS_CERT", str(store / "client/mwapp-cli-here.pem"))
    Secured.store = store
    site = Secured(f"{ensemble.connect_string}/{request.node.name}", tmp_path)
    with site:
        yield site


# ---------------------------------------------------------------- all that must be refused


def test_stolen_keys_and_strangers_are_refused(
    site: Secured, ensemble: Ensemble, store: Path, tmp_path: Path
) -> None:
    # What is compared stays as it is, if no session ends and nobody takes over.
    masters = [site.daemon("master", name, *NO_DEPOSITIONS, *LONG_SESSION) for name in MASTERS]
    site.acl("on", *ON)
    for name in ("w", "v"):
        site.daemon("worker", name, "--label", name, *LONG_SESSION).wait_for_state("ready")
    for master in masters:
        master.wait_for_state("active", "standby")
    site.mwapp("submit", "--wait", "--label", "w", "echo hello")
    running = site.submit("sleep 600", "--label", "w")
    wait_for("it runs", lambda: running in site.daemons[2].running())
    site.submit("true", "--label", "nowhere")
    ca = str(store / "client-ca.pem")

    def key(name: str) -> Tls:
        return Tls(ca, str(store / f"client/{name}.pem"))

    with hand(site.connect, key("mwapp-master-a")) as zk:
        candidate = f"/candidates/{zk.get_children('/candidates')[0]}"
        scene = Scene(candidate, "w", "v", *(f"task-{n:010}" for n in range(3)))
        scene.prepare(zk)
        before = tree(zk)
    attempts, of_clients, of_workers = scene.for_masters(), scene.for_workers(), scene.for_clients()
    made, wrong = 0, []
    plain = ",".join(f"127.0.0.1:{server.port}" for server in ensemble.servers) + site.chroot
    for who, connect, tls, more in (
        ("a client", site.connect, key("mwapp-cli-here"), of_clients),
        ("a worker", site.connect, key("mwapp-worker-v"), of_workers),
        ("a server's certificate", site.connect, key("zk1"), of_clients | of_workers),
        ("a user of a server, without TLS", plain, None, of_clients | of_workers),
    ):
        with hand(connect, tls) as zk:
            for what, attempt in (attempts | more).items():
                if (ended := outcome(zk, attempt)) != "refused":
                    wrong.append(f"{who}: {what}: {ended}")
        made += len(attempts | more)
    assert wrong == []
    assert made >= 150
    with hand(site.connect, key("mwapp-master-a")) as zk:
        assert tree(zk) == before

    theirs, own = Maker(), Maker("mwapp-master-a")
    ours = Maker()
    ours.key = serialization.load_pem_private_key((store / "client-ca.key").read_bytes(), None)
    ours.certificate = x509.load_pem_x509_certificate((store / "client-ca.pem").read_bytes())
    name = "mwapp-master-a"
    strangers = {
        "without TLS": socket.create_connection,
        "of another CA": with_tls(ca, str(write(tmp_path / "other.pem", theirs.pair(name)))),
        "of the quorum's CA": with_tls(ca, str(store / "quorum/zk1.pem")),
        "self-signed": with_tls(
            ca, str(write(tmp_path / "self.pem", pem_key(own.key) + pem(own.certificate)))
        ),
        "expired": with_tls(
            ca, str(write(tmp_path / "old.pem", ours.pair(name, begins=-9 * DAY, ends=-DAY)))
        ),
        "not valid yet": with_tls(ca, str(write(tmp_path / "new.pem", ours.pair(name, begins=DAY)))),
    }
    port = ensemble.servers[0].secure_port
    assert port is not None
    for what, connected in strangers.items():
        assert not _served(port, connected), what
    assert _served(port, with_tls(ca, str(store / f"client/{name}.pem"))), "it is not for another reason"
    assert running in site.daemons[2].running()


def test_nobody_bounds_by_a_quota_what_masters_may_write(
    ensemble: Ensemble, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ZooKeeper's own znodes are there only for an application that is below no other znode."""
    monkeypatch.setenv("MWAPP_TLS_CA", str(store / "client-ca.pem"))
    monkeypatch.setenv("MWAPP_TLS_CERT", str(store / "client/mwapp-cli-here.pem"))
    Secured.store = store
    ca, own = str(store / "client-ca.pem"), ("/zookeeper", "/zookeeper/quota", QUOTA)
    scene = Scene("", "w", "v", "", "", "")
    with Secured(ensemble.connect_string, tmp_path) as site:
        site.acl("on", *ON)
        with hand(site.connect, Tls(ca, str(store / "client/mwapp-master-a.pem"))) as zk:
            scene.prepare_at_the_top(zk)
            assert QUOTA in site.acl("on", *ON, "--quick")["changed"], "zkCli.sh leaves quotas open to all"
            assert site.acl()["changed"] == []
            wait_for("no session of an earlier test is left", lambda: not ephemerals(zk))
            before = tree(zk)
            for name in ("mwapp-worker-v", "mwapp-cli-here", "zk1"):
                with hand(site.connect, Tls(ca, str(store / f"client/{name}.pem"))) as theirs:
                    for what, attempt in scene.for_masters_at_the_top().items():
                        assert outcome(theirs, attempt) == "refused", f"{name}: {what}"
            assert tree(zk) == before
            assert {"/zookeeper", "/zookeeper/quota"} <= set(site.acl("off")["changed"])
            assert [zk.get_acls(path)[0] for path in own] == [OPEN_ACL_UNSAFE] * 3
            zk.delete("/zookeeper/quota/quiet", recursive=True)
        assert site.acl("on", *ON)["foreign"] == []
        assert site.acl("off")["foreign"] == []


def _served(port: int, connect: Callable[..., Any]) -> bool:
    try:
        return close_session("127.0.0.1", port, 0, bytes(16), connect)
    except (OSError, EOFError):
        return False


# ---------------------------------------------------------------- what must work


def leads(master: Daemon) -> bool:
    return master.status().get("state") == "active"


def primaries(site: Secured) -> set[str]:
    """Who has the table's shards. Who came first has all for a moment."""
    return {shard["primary"] for shard in site.json("shards", "show", "t")}


def test_a_running_application_gets_lists_works_on_and_loses_them_again(
    site: Secured, store: Path, tmp_path: Path
) -> None:
    masters = [site.daemon("master", name) for name in MASTERS]
    workers = [site.daemon("worker", name, "--slots", "2") for name in ("w", "v")]
    before = site.submit("echo before")
    site.mwapp("wait", before)
    gate = tmp_path / "gate"
    through = site.submit(f"until [ -e {gate} ]; do sleep 0.1; done", "--name", "through")
    wait_for("it runs", lambda: any(through in worker.running() for worker in workers))

    would = site.acl("on", *ON, "--check")
    assert not would["in_force"]
    assert site.acl() == {"in_force": False, "changed": [], "problems": [], "foreign": []}
    first = site.acl("on", *ON)
    assert set(would["changed"]) <= set(first["changed"])
    some = {"/acl", "/", "/master", "/epoch", "/assign/w", f"/tasks/{before}/status", "/tasks/through"}
    assert some <= set(would["changed"])
    for again in (("on", *ON), ("on", *ON, "--quick"), ("on", *ON, "--quick", "--if-on"), ("show",)):
        assert site.acl(*again)["changed"] == [], again

    ended = json.loads(site.mwapp("submit", "--wait", "-", "--output", "json", text="echo x\n" * 120))
    assert {task["state"] for task in ended} == {"done"}
    gate.touch()
    site.mwapp("wait", through)
    gate.unlink()
    failing = site.submit("exit 1", "--retries", "1", "--retry-delay", "0.1")
    site.mwapp("wait", failing, status=1)
    site.mwapp("rerun", before, "--wait")
    cancelled = site.submit("sleep 600")
    site.mwapp("cancel", cancelled, status=None)
    assert site.json("tasks", cancelled)[0]["state"] == "cancelled"

    active = wait_for("one is active", lambda: next((m for m in masters if leads(m)), None))
    standby = next(master for master in masters if master is not active)
    active.kill()
    wait_for("the other takes over", lambda: leads(standby))
    site.mwapp("submit", "--wait", "echo after")
    long = site.submit(f"until [ -e {gate} ]; do sleep 0.1; done", "--name", "long")
    its = wait_for("it runs", lambda: next((w for w in workers if long in w.running()), None))
    its.signal(signal.SIGTERM)
    its.wait_for_state("draining")
    gate.touch()
    its.process.wait(30)
    assert json.loads(site.mwapp("wait", long, "--output", "json"))[0]["state"] == "done"
    assert site.acl()["changed"] == [], "what was created meanwhile has its list from the beginning"

    later = site.daemon("worker", "later")
    told = "no permission to create /workers/later as CN=mwapp-worker-later: only masters and workers may"
    wait_for("it says why it cannot register", lambda: told in later.log.read_text())
    changed = site.acl("on", *ON, "--worker", "later", key="mwapp-master-b")["changed"]
    assert {"/acl", "/assign/later", f"/tasks/{before}"} <= set(changed)
    later.wait_for_state("ready")
    for worker in workers:
        if worker is not its:
            worker.stop()
    site.mwapp("submit", "--wait", "true")

    stolen_key = str(store / "client/mwapp-worker-w.pem")
    assert site.mwapp("submit", "true", "--tls-cert", stolen_key, status=7) == ""
    assert "workers" in site.mwapp("acl")
    assert site.mwapp("acl", "off", "--tls-cert", stolen_key, status=7) == ""
    assert "/tasks" in site.acl("off", key="mwapp-master-b")["changed"]
    assert site.acl("off")["changed"] == []
    site.mwapp("submit", "--wait", "true")
    assert {entry["in_force"] for entry in (site.acl(), site.acl("on", *ON, "--if-on"))} == {False}


def test_shards_under_lists(site: Secured) -> None:
    """A client makes, moves and deletes; workers own, and may delete nothing when they leave."""
    site.daemon("master", "a").wait_for_state("active")
    site.acl("on", *ON)
    workers = {name: site.daemon("worker", name) for name in ("w", "v")}
    for worker in workers.values():
        worker.wait_for_state("ready")
    wait = ("--wait", "--timeout", "60")
    site.mwapp("shards", "create", "t", "--shards", "2", "--command", "exec sleep 600", *wait)
    wait_for("each has one", lambda: primaries(site) == {"w", "v"})
    site.mwapp("shards", "create", "t", "--shards", "2", status=7)
    site.mwapp("shards", "move", "t", "0", "w", *wait)
    site.mwapp("shards", "drain", "v", *wait)
    assert primaries(site) == {"w"}
    site.mwapp("shards", "drain", "v", "--undo")
    workers["v"].stop()
    site.mwapp("shards", "delete", "t", *wait)
    workers["w"].stop()
    for worker in workers.values():
        assert "no permission" not in worker.log.read_text()
    assert site.acl()["changed"] == [], "what was created has its list from the beginning"


def test_what_a_stolen_key_has_made_keeps_nobody_from_striking_it_off(site: Secured, store: Path) -> None:
    """A task with a list of its own; and a worker whose session lives on, with what it runs."""
    site.daemon("master", "a")
    struck = site.daemon("worker", "w")
    struck.wait_for_state("ready")
    site.acl("on", *ON)
    taken = site.submit("sleep 600")
    wait_for("it runs", lambda: taken in struck.running())
    stays = site.daemon("worker", "v", "--slots", "4")
    stays.wait_for_state("ready")
    site.mwapp("shards", "create", "t", "--shards", "2", "--command", "exec sleep 600", "--wait")
    wait_for("each has one", lambda: primaries(site) == {"w", "v"})
    ca = str(store / "client-ca.pem")
    own = [ACL(31, Id("x509", "CN=mwapp-cli-here")), ACL(1, Id("world", "anyone"))]
    with hand(site.connect, Tls(ca, str(store / "client/mwapp-cli-here.pem"))) as zk:
        zk.create("/tasks/mine", b"true", acl=own)
    without = ("--master", "a", "--worker", "v", "--client", "mwapp-cli-here")
    kept = site.acl("on", *without, "--keep")
    assert set(kept["workers"]) == {"w", "v"}
    assert taken in struck.running()
    for _ in range(2):
        done = site.acl("on", *without)
        assert (set(done["workers"]), done["problems"]) == ({"v"}, [])
    assert any(one.startswith("/tasks/mine: no permission") for one in done["foreign"])
    wait_for("the other has its task", lambda: taken in stays.running())
    wait_for("it runs no more here", lambda: struck.status().get("running") == [])
    wait_for("the other has its shard", lambda: primaries(site) == {"v"})
    assert site.acl("off")["problems"] == []
    assert not site.acl()["in_force"]
    site.mwapp("submit", "--wait", "true")


def test_only_masters_and_workers_read_secret_values(
    site: Secured, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """secrets-kept, on real servers: who reads them, and that the run has them."""
    site.daemon("master", "a").wait_for_state("active")
    monkeypatch.setenv("TOKEN", "hush")
    (tmp_path / "key").write_text("a\nb\n")
    with pytest.raises(AssertionError, match="access control lists keep them from others"):
        site.submit("true", "--secret-env", "TOKEN")
    assert site.json("tasks") == []
    site.acl("on", *ON)
    command = 'test ${#TOKEN} = 4 && test "$KEY" = "$(printf "a\\nb")" && echo right'
    options = ("--secret-env", "TOKEN", "--secret-env", f"KEY=@{tmp_path / 'key'}")
    task = site.submit(command, *options)
    assert site.acl()["changed"] == [], "its lists are what they have to be"
    assert site.acl(key="mwapp-cli-here")["foreign"] == [], "nobody is told to delete them"
    secret = f"/tasks/{task}/secret"
    ca = str(store / "client-ca.pem")
    for name, reads in (("mwapp-cli-here", False), ("mwapp-worker-v", True), ("mwapp-master-b", True)):
        with hand(site.connect, Tls(ca, str(store / f"client/{name}.pem"))) as zk:
            if reads:
                assert json.loads(zk.get(secret)[0]) == {"TOKEN": "hush", "KEY": "a\nb"}
            else:
                with pytest.raises(NoAuthError):
                    zk.get(secret)
                with pytest.raises(NoAuthError):
                    zk.set(secret, b"")
    shown = site.mwapp("tasks", task, "--output", "json") + site.mwapp("status", "--output", "json")
    assert "hush" not in shown
    assert json.loads(site.mwapp("tasks", task, "--output", "json"))[0]["secrets"] == ["KEY", "TOKEN"]
    assert site.submit(command, *options, "--name", "named") == "named"
    assert site.submit(command, *options, "--name", "named") == "named"
    site.daemon("worker", "w").wait_for_state("ready")
    wait_for("it has run", lambda: [t["state"] for t in site.json("tasks", task)] == ["done"])
    site.mwapp("rerun", "--wait", task)
    with Client(site.connect) as client:
        assert client.submit("echo ${#TOKEN}", secrets={"TOKEN": "hush"}).result() == "4\n"
    assert "hush" not in "".join(log.read_text() for log in tmp_path.rglob("*.log"))
    site.acl("on", *ON, "--worker", "later")
    with hand(site.connect, Tls(ca, str(store / "client/mwapp-master-b.pem"))) as zk:
        assert ACL(1, Id("x509", "CN=mwapp-worker-later")) in zk.get_acls(secret)[0]
        before = zk.get_acls(secret)[0]
        assert site.acl("off")["problems"] == []
        catch_up(zk)
        assert zk.get_acls(secret)[0] == before, "lifting lists tells nobody"


def test_the_audit_log_names_the_certificate_of_a_submitter_whoever_that_claims_to_be(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docs/security.md says so. The znode's list is what the client wrote."""
    monkeypatch.setattr(ensemble_module, "JVM", (*ensemble_module.JVM, "-Dzookeeper.audit.enable=true"))
    monkeypatch.setenv("MWAPP_TLS_CA", str(store / "client-ca.pem"))
    monkeypatch.setenv("MWAPP_TLS_CERT", str(store / "client/mwapp-cli-here.pem"))
    with Ensemble(1, tls=store) as ensemble, Site(ensemble.connect_string, tmp_path) as site:
        task = site.mwapp("submit", "--submitter", "alice", "true").strip()
        assert [view["submitter"] for view in site.json("tasks")] == ["alice"]
        tls = Tls(str(store / "client-ca.pem"), str(store / "client/mwapp-cli-here.pem"))
        forged = [ACL(31, Id("x509", "CN=alice"))]
        with hand(site.connect, tls) as zk:
            zk.create("/tasks/forged", b"true", acl=forged)
        log = ensemble.servers[0].log.read_text()
    for name in (task, "forged"):
        assert re.search(rf"user=CN=mwapp-cli-here,\S*\s.*operation=create\s+znode=/tasks/{name}\s", log), (
            name
        )


def test_lists_that_are_not_ours_stay(site: Secured, store: Path) -> None:
    """No policy is there, so off (which the role runs for mwapp_acl: false) touches nothing."""
    site.daemon("master", "a").wait_for_state("active")
    theirs = [ACL(31, Id("x509", "CN=mwapp-master-a")), ACL(5, Id("world", "anyone"))]
    with hand(
        site.connect, Tls(str(store / "client-ca.pem"), str(store / "client/mwapp-master-a.pem"))
    ) as zk:
        for path in ("/", "/tasks"):
            zk.set_acls(path, theirs)
        assert site.acl("off", "--check")["changed"] == site.acl("off")["changed"] == []
        catch_up(zk)
        assert [zk.get_acls(path)[0] for path in ("/", "/tasks")] == [theirs, theirs]


@pytest.mark.parametrize(
    ("arguments", "key", "words"),
    [
        (("on",), "mwapp-master-a", "--master: missing: nobody could assign tasks"),
        (
            ("on", "--master", "a"),
            "mwapp-worker-w",
            "--tls-cert: it is that of CN=mwapp-worker-w, and of none",
        ),
    ],
)
def test_what_would_lock_out_everybody_is_refused(
    site: Secured, arguments: tuple[str, ...], key: str, words: str
) -> None:
    with pytest.raises(AssertionError, match=re.escape(words)):
        site.acl(*arguments, key=key)
