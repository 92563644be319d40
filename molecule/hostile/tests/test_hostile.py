"""Whoever should not be there tries what there is to try. What is attacked is shown to be there first."""

import json
import logging
import shlex
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from conftest import LEAST, Attempts
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from kazoo.client import KazooClient
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.security import make_acl

from chaos.cluster import MASTER_PORT, TLS_PORT, WORKER_PORT, Cluster
from lab.spec import RUN
from mwapp.release import close_session, with_tls
from mwapp.zookeeper.tls import Tls
from mwapp.zookeeper.tls_handler import TlsHandler
from testbed.hostile import Scene, hand, outcome, password, tree
from testbed.person import catch_up
from testbed.playbook import play
from testbed.ports import free_ports
from testbed.tls_files import DAY, Maker, pem, pem_key, write
from testbed.waiting import wait_for

QUORUM, ELECTION, PLAIN = 2888, 3888, 2181
REFUSED = {"ConnectionRefusedError", "ConnectionResetError"}
# Connects to each HOST:PORT, so many times; says how each attempt ended.
PROBE = """
import socket, sys
held = []
for target in sys.argv[1:]:
    host, port, times = target.split(":")
    said = set()
    for _ in range(int(times)):
        try:
            held.append(socket.create_connection((host, int(port)), 3))
            said.add("open")
        except OSError as problem:
            said.add(type(problem).__name__)
    print(target, *said)
"""
# Greets a port for other servers, with a certificate or without, and says whether it hangs up. It asks the
# leader to join as an observer; a member is answered with the epoch. The others wait for a greeting.
PEER = """
import socket, ssl, struct, sys
host, port, cert = sys.argv[1:]
OBSERVER, LEADER = 16, 17
try:
    connection = socket.create_connection((host, int(port)), 3)
    if cert != "-":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.load_cert_chain(cert)
        connection = context.wrap_socket(connection)
    connection.settimeout(2)
    if cert == "-":
        connection.sendall(b"\\0" * 64)
    elif port == "2888":
        who = struct.pack(">qiq", 99, 0x10000, 0)
        connection.sendall(struct.pack(">iqi", OBSERVER, 0, len(who)) + who + struct.pack(">i", -1))
    said = connection.recv(4)
    joins = said == struct.pack(">i", LEADER)
    print("hangs up" if said == b"" else "lets it in" if joins else f"answers {said!r}")
except TimeoutError:
    print("listens")
except OSError as problem:
    print("hangs up", type(problem).__name__)
"""
# What our client says of a certificate that is for another host.
NAMES = "mismatch, certificate is not valid for"
STOLEN = "/var/tmp/stolen.pem"  # noqa: S108 - on a node
NOT_TRIED = (126, 127)  # the shell has not found the command, or cannot start it
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs")


def run(
    cluster: Cluster, node: str, command: str, user: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """A shell command on a node."""
    return cluster.lab.exec(node, [*user, "sh", "-c", command])


def python(
    cluster: Cluster, node: str, program: str, *arguments: str, user: tuple[str, ...] = ()
) -> list[str]:
    """What a program says on a node, by lines."""
    done = cluster.lab.exec(node, [*user, "python3", "-c", program, *arguments], check=True)
    return done.stdout.splitlines()


def mwapp(cluster: Cluster, *arguments: str) -> Any:
    """What an operator's command says."""
    done = cluster.lab.exec("mw1", ["mwapp", *arguments, "--output", "json"], check=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def keys(secured: Cluster) -> Path:
    """Where the CAs and all keys are. A thief has copies of some."""
    return RUN / secured.lab.name / "tls"


# ---------------------------------------------------------------- a host of the same network


def test_a_stranger_s_host_reaches_no_port(secured: Cluster, attempts: Attempts) -> None:
    leader = secured.leader()
    application = [(node, port) for node in secured.workers for port in (MASTER_PORT, WORKER_PORT)]
    application.remove(("mw3", MASTER_PORT))
    ports = [(node, port) for node in secured.servers for port in (TLS_PORT, ELECTION)]
    for node, port in ((leader, QUORUM), *ports, *application):
        peer = next(other for other in secured.servers if other != node)
        if port in (QUORUM, ELECTION):
            said = python(secured, peer, PROBE, f"{node}:{port}:1")
            assert said == [f"{node}:{port}:1 open"], "a server reaches it"
        else:
            socket.create_connection((secured.address(node), port), 3).close()
    for node in secured.servers:
        assert python(secured, node, PROBE, f"127.0.0.1:{PLAIN}:1") == [f"127.0.0.1:{PLAIN}:1 open"]
    targets = [f"{secured.address(node)}:{port}:1" for node, port in ((leader, QUORUM), *ports, *application)]
    targets += [f"{secured.address(node)}:{PLAIN}:1" for node in secured.servers]
    floods = [f"{secured.address('zk1')}:{port}:100" for port in (ELECTION, TLS_PORT, PLAIN)]
    floods.append(f"{secured.address(leader)}:{QUORUM}:100")
    floods += [f"{secured.address('mw1')}:{port}:1000" for port in (MASTER_PORT, WORKER_PORT)]
    for line in python(secured, "stranger", PROBE, *targets, *floods):
        target, *said = line.split()
        what = f"connect to {target}" if target.endswith(":1") else f"hold {target} (times)"
        attempts.note("a host of the same network", what, "refused" if set(said) <= REFUSED else line)
    assert attempts.wrong() == []
    for node in secured.workers:
        assert secured.state(node, WORKER_PORT) == "ready"


def test_the_plaintext_port_is_on_loopback_only_even_for_those_whom_the_filter_lets_in(
    secured: Cluster, attempts: Attempts
) -> None:
    for node in secured.servers:
        said = python(secured, "mw1", PROBE, f"{node}:{PLAIN}:1")
        attempts.note(
            "a worker's host",
            f"connect to {node}:{PLAIN}",
            "refused" if said[0].split()[1] in REFUSED else said[0],
        )
    assert attempts.wrong() == []


# ---------------------------------------------------------------- without a certificate, or with another's


def test_nobody_comes_in_without_a_certificate_of_the_client_ca(
    secured: Cluster, attempts: Attempts, keys: Path, tmp_path: Path
) -> None:
    ca, name = str(keys / "client-ca.pem"), "mwapp-master-mw1"
    theirs, own, ours = Maker(), Maker(name), _client_ca(keys)

    def by(file: str, content: bytes) -> Callable[..., Any]:
        return with_tls(ca, str(write(tmp_path / file, content)))

    strangers = {
        "without TLS": socket.create_connection,
        "a certificate of another CA": by("other.pem", theirs.pair(name)),
        "a certificate of the quorum's CA": with_tls(ca, str(keys / "quorum/zk1.pem")),
        "a self-signed certificate": by("self.pem", pem_key(own.key) + pem(own.certificate)),
        "an expired certificate": by("old.pem", ours.pair(name, begins=-9 * DAY, ends=-DAY)),
        "a certificate that is not valid yet": by("new.pem", ours.pair(name, begins=DAY)),
    }
    valid = with_tls(ca, str(keys / f"client/{name}.pem"))
    for node in ("zk1", "zk2"):  # of both releases
        assert _served(secured, node, valid)
        for who, connect in strangers.items():
            attempts.note(
                who, f"begin a session at {node}", "done" if _served(secured, node, connect) else "refused"
            )
    assert attempts.wrong() == []


def _client_ca(keys: Path) -> Maker:
    ours = Maker()
    ours.key = serialization.load_pem_private_key((keys / "client-ca.key").read_bytes(), None)
    ours.certificate = x509.load_pem_x509_certificate((keys / "client-ca.pem").read_bytes())
    return ours


def _served(cluster: Cluster, node: str, connect: Callable[..., Any]) -> bool:
    try:
        return close_session(cluster.address(node), TLS_PORT, 0, bytes(16), connect)
    except (OSError, EOFError):
        return False


def test_a_client_s_key_opens_no_port_of_the_quorum(
    secured: Cluster, attempts: Attempts, keys: Path, tmp_path: Path
) -> None:
    """On a server's host, for from elsewhere the filter lets nobody in."""
    leader = secured.leader()
    here, other = [node for node in secured.servers if node != leader]
    own = Maker("zk1")
    write(tmp_path / "self.pem", pem_key(own.key) + pem(own.certificate))
    files = {
        "a client's key": keys / "client/mwapp-cli-mw1.pem",
        "a master's key": keys / "client/mwapp-master-mw1.pem",
        "a self-signed certificate": tmp_path / "self.pem",
    }
    for at, port in ((leader, QUORUM), (leader, ELECTION), (other, ELECTION)):
        said = python(secured, here, PEER, at, str(port), "/etc/zookeeper/tls/quorum.pem")
        assert said == ["lets it in" if port == QUORUM else "listens"], "a member's certificate does"
        for who, file in {"without TLS": None, **files}.items():
            cert = "-"
            if file is not None:
                cert = STOLEN
                secured.lab.exec(here, ["tee", cert], stdin=file.read_text(), check=True)
            said = python(secured, here, PEER, at, str(port), cert, user=NOBODY)
            attempts.note(
                f"{who}, on a server",
                f"join at {at}:{port}",
                "refused" if said[0].startswith("hangs up") else said[0],
            )
    run(secured, here, f"rm -f {STOLEN}")
    assert attempts.wrong() == []


# ---------------------------------------------------------------- in the ensemble


@pytest.fixture(scope="module")
def scene(secured: Cluster, keys: Path) -> Scene:
    """A task that has ended, one that runs, and one that was returned."""
    (done,) = mwapp(secured, "submit", "--wait", "echo hello")
    (running,) = mwapp(secured, "submit", "sleep 3600")
    (waiting,) = mwapp(secured, "submit", "--label", "nowhere", "true")
    its = wait_for("it runs", lambda: next((n for n in secured.workers if secured.running(n)), None))
    other = next(node for node in secured.workers if node != its)
    with hand(secured.hosts(), _key(keys, "mwapp-master-mw1")) as zk:
        candidate = f"/candidates/{zk.get_children('/candidates')[0]}"
        scene = Scene(candidate, its, other, done["task"], running["task"], waiting["task"])
        scene.prepare(zk)
    return scene


def _key(keys: Path, name: str) -> Tls:
    return Tls(str(keys / "client-ca.pem"), str(keys / f"client/{name}.pem"))


@contextmanager
def forwarded(cluster: Cluster, node: str, its: int = PLAIN, at: str = "127.0.0.1") -> Iterator[str]:
    """A port of a server, by default the plaintext one of its loopback, as a user of that host reaches it."""
    (port,) = free_ports(1)
    config = str(RUN / cluster.lab.name / "ssh_config")
    command = ["ssh", "-F", config, "-N", "-L", f"127.0.0.1:{port}:{at}:{its}", node]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as ssh:
        try:
            wait_for("ssh forwards", lambda: ssh.poll() is not None or _open(port))
            yield f"127.0.0.1:{port}"
        finally:
            ssh.terminate()


def _open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def test_a_stolen_key_writes_nothing_that_its_owner_does_not(
    secured: Cluster, attempts: Attempts, scene: Scene, keys: Path
) -> None:
    with hand(secured.hosts(), _key(keys, "mwapp-master-mw1")) as zk:
        scene.prepare_at_the_top(zk)
        assert play("mwapp").status == 0, "zkCli.sh leaves quotas open to all, and the role closes them"
        before = tree(zk)
    masters = scene.for_masters() | scene.for_masters_at_the_top()
    workers, clients = scene.for_workers(), scene.for_clients()
    with forwarded(secured, "zk1") as plain:
        for who, connect, tls, tries in (
            ("a client's key", secured.hosts("zk1"), _key(keys, "mwapp-cli-mw1"), masters | workers),
            (
                "a worker's key",
                secured.hosts("zk2"),
                _key(keys, f"mwapp-worker-{scene.other}"),
                masters | clients,
            ),
            ("a server's key of the client CA", secured.hosts("zk3"), _key(keys, "zk1"), workers | clients),
            ("a user of a server", plain, None, masters | workers | clients),
        ):
            with hand(connect, tls) as zk:
                for what, attempt in tries.items():
                    attempts.note(who, what, outcome(zk, attempt))
    assert attempts.wrong() == []
    with hand(secured.hosts(), _key(keys, "mwapp-master-mw1")) as zk:
        assert tree(zk) == before


def test_a_name_like_another_s_is_another_name(
    secured: Cluster, attempts: Attempts, scene: Scene, keys: Path, tmp_path: Path
) -> None:
    ours = _client_ca(keys)
    names = ("zookeeper-superuser2", "Zookeeper-Superuser", "mwapp-master-mw10", "mwapp-master-mw1,CN=x")
    tries = scene.for_masters() | scene.for_workers() | scene.for_clients()
    for number, name in enumerate(names):
        file = write(tmp_path / f"{number}.pem", ours.pair(name))
        with hand(secured.hosts(), Tls(str(keys / "client-ca.pem"), str(file))) as zk:
            for what, attempt in tries.items():
                attempts.note(f"one who is called {name}", what, outcome(zk, attempt))
    assert attempts.wrong() == []


def test_the_command_says_in_one_line_why_it_is_refused(
    secured: Cluster, attempts: Attempts, scene: Scene
) -> None:
    for command in ("submit true", f"rerun {scene.ended} --timeout 3", "acl off"):
        done = run(secured, scene.other, f"mwapp {command} --tls-cert /etc/mwapp/tls/worker.pem")
        said = done.stderr
        attempts.note(
            "a worker's key", f"mwapp {command}", "refused" if "no permission to " in said else said
        )
        assert f"as CN=mwapp-worker-{scene.other}: " in said
    assert attempts.wrong() == []


def _owned_anew(zk: Any, path: str, session: int) -> bool:
    """Not by that session any more. Its server may not have heard yet that the session is over."""
    stat = zk.exists(path)
    return stat is not None and stat.ephemeralOwner != session


def test_what_servers_cannot_refuse_is_harmless(
    secured: Cluster, attempts: Attempts, scene: Scene, keys: Path
) -> None:
    """Everybody computes everybody's password, and may end a session: its owner comes back at once."""
    connect = with_tls(str(keys / "client-ca.pem"), str(keys / "client/mwapp-cli-mw3.pem"))
    with hand(secured.hosts(), _key(keys, "mwapp-cli-mw3")) as zk:
        for what, path in (("a worker", f"/workers/{scene.worker}"), ("the master", "/master")):
            session = zk.get(path)[1].ephemeralOwner
            began = time.monotonic()
            assert close_session(secured.address("zk2"), TLS_PORT, session, password(session), connect)
            wait_for(f"{what} is back", partial(_owned_anew, zk, path, session))
            took = time.monotonic() - began
            attempts.note(
                "a client's key", f"end the session of {what}", f"harmless: back after {took:.1f} s"
            )
        wait_for("the task runs again", lambda: any(map(secured.running, secured.workers)))
    secured.master()
    (done,) = mwapp(secured, "submit", "--wait", "echo hello")
    assert done["state"] == "done"


def test_a_session_that_is_taken_over_may_do_what_the_thief_may(
    secured: Cluster, attempts: Attempts, scene: Scene, keys: Path
) -> None:
    """Rights are the certificate's, not the session's. Its owner takes it back, or has another at once."""
    client = _key(keys, "mwapp-cli-mw3")
    for what, path in (("a worker", f"/workers/{scene.worker}"), ("the master", "/master")):
        with hand(secured.hosts(), client) as zk:
            session = zk.get(path)[1].ephemeralOwner
            with hand(secured.hosts("zk2"), client, session=session) as thief:
                assert thief.client_id[0] == session, "it is taken over"
                for attempt, made in (
                    ("write", partial(thief.set, path, b"")),
                    ("delete", partial(thief.delete, path)),
                ):
                    said = _decided(thief, made)
                    attempts.note(f"a client's key, with {what}'s session", f"{attempt} {path}", said)
            began = time.monotonic()
            wait_for(f"{what} is back", partial(zk.exists, path))
            took = time.monotonic() - began
            harmless = f"harmless: back after {took:.1f} s"
            attempts.note("a client's key", f"take over the session of {what}", harmless)
            assert took < 10
    assert attempts.wrong() == []
    secured.settle()
    (done,) = mwapp(secured, "submit", "--wait", "echo hello")
    assert done["state"] == "done"


def _decided(thief: Any, made: Callable[[], object]) -> str:
    """What becomes of an attempt, however often the session's owner takes it back meanwhile."""

    def again() -> str | None:
        said = outcome(thief, lambda _: made())
        return None if said.startswith(("ConnectionLoss", "SessionMoved", "OperationTimeout")) else said

    return str(wait_for("it is decided", again, 20))


def test_a_dead_worker_s_name_may_be_squatted_which_is_noticed_and_undone(
    secured: Cluster, attempts: Attempts, scene: Scene, keys: Path
) -> None:
    """With a worker's key, while another is away. docs/security.md names it, and who helps."""
    node = next(node for node in secured.workers if node not in (scene.worker, scene.other))
    run(secured, node, "systemctl stop mwapp-worker")
    mine = [
        make_acl("x509", f"CN=mwapp-worker-{scene.other}", all=True),
        make_acl("world", "anyone", read=True),
    ]
    with hand(secured.hosts(), _key(keys, f"mwapp-worker-{scene.other}")) as zk:
        wait_for("it is gone", lambda: zk.exists(f"/workers/{node}") is None)
        zk.create(f"/workers/{node}", b"evil:1", acl=mine)
    run(secured, node, "systemctl start --no-block mwapp-worker")

    def noticed() -> dict[str, Any] | None:
        every = {one["worker"]: one for one in mwapp(secured, "workers")}
        return (
            every[node]
            if node in every and every[node]["state"] in ("gone", "persistent", "unregistered")
            else None
        )

    told = wait_for("somebody notices", noticed)
    (done,) = mwapp(secured, "submit", "--wait", "echo hello")
    assert done["state"] == "done", "the others work"
    assert run(secured, "zk1", f"zkCli.sh delete /workers/{node}").returncode == 0
    began = time.monotonic()
    wait_for("it is back", lambda: secured.state(node, WORKER_PORT) == "ready")
    took = time.monotonic() - began
    attempts.note(
        "a worker's key",
        f"squat the name of {node} while it is away",
        f"harmless: it is shown as {told['state']}; the superuser deletes it, back after {took:.1f} s",
    )


def test_nobody_passes_for_a_server_under_another_name(
    secured: Cluster, attempts: Attempts, keys: Path
) -> None:
    """Whoever has a server's key: it is good for that server's names alone."""
    key = _key(keys, "mwapp-cli-mw1")
    with forwarded(secured, "zk2", TLS_PORT, at="zk2") as there:
        port = int(there.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), 3) as connection:
            key.wrap(connection, "zk2").close()  # it answers, and is zk2
        handler = TlsHandler(key)
        client = KazooClient(f"localhost:{port}", handler=handler, logger=logging.getLogger("nobody"))
        with suppress(KazooTimeoutError):
            client.start(3)
        said = "refused" if NAMES in (handler.refused or "") else f"{client.state}: {handler.refused}"
        client.stop()
        client.close()
    attempts.note("who has a server's key", "pass for another server", said)
    assert attempts.wrong() == []


# ---------------------------------------------------------------- on the hosts


def _pid(cluster: Cluster, node: str, unit: str) -> str:
    """That of a service. Without one nothing would be attacked."""
    found = run(cluster, node, f"systemctl show --property=MainPID --value {unit}").stdout.strip()
    assert int(found) > 1, f"{unit} does not run on {node}"
    return found


def test_a_local_user_reads_and_stops_nothing(secured: Cluster, attempts: Attempts) -> None:
    pid = {
        (node, unit): _pid(secured, node, unit)
        for node, unit in (("mw1", "mwapp-worker"), ("mw1", "mwapp-master"), ("zk1", "zookeeper"))
    }
    tls, run_dir = "/etc/mwapp/tls", "/run/credentials/mwapp"
    files = {
        "mw1": [
            *(f"{tls}/{name}.pem" for name in ("cli", "master", "worker")),
            *(f"{run_dir}-{role}.service/tls.pem" for role in ("master", "worker")),
            *(f"/run/mwapp-{role}/session" for role in ("master", "worker")),
            "/etc/mwapp/mwapp.toml",
            f"/proc/{pid['mw1', 'mwapp-worker']}/environ",
            f"/proc/{pid['mw1', 'mwapp-master']}/environ",
        ],
        "zk1": [
            *(f"/etc/zookeeper/tls/{name}.pem" for name in ("client", "quorum", "superuser")),
            *("/etc/zookeeper/zoo.cfg", "/run/zookeeper/zoo.cfg"),
            *("/var/lib/zookeeper/zkData/version-2/currentEpoch", "/var/lib/zookeeper/zkData/myid"),
            f"/proc/{pid['zk1', 'zookeeper']}/environ",
        ],
    }
    tries = [(node, f"read {file}", f"cat {file}") for node, its in files.items() for file in its]
    tries += [(node, f"stop {unit}", f"kill -TERM {number}") for (node, unit), number in pid.items()]
    for node, what, command in tries:
        control = run(secured, node, command.replace("kill -TERM", "kill -0"))
        assert control.returncode == 0, f"{what}: it is not there: {control.stderr}"
        assert control.stdout or "kill" in command, f"{what}: it is empty"
        done = run(secured, node, command, NOBODY)
        refused = done.returncode not in (0, *NOT_TRIED) and not done.stdout
        attempts.note(f"a user of {node}", what, "refused" if refused else done.stdout[:20])
    done = run(secured, "mw1", "mwapp tasks", NOBODY)
    attempts.note("a user of mw1", "mwapp tasks", "refused" if done.returncode else done.stdout)
    assert "run mwapp as root" in done.stderr
    assert attempts.wrong() == []


def test_a_local_user_cannot_take_the_control_groups_of_runs(secured: Cluster, attempts: Attempts) -> None:
    (ended,) = mwapp(secured, "submit", "--wait", "uname -n; sed -n s/0:://p /proc/self/cgroup")
    node, group = ended["output"].split()
    run_group = Path(f"/sys/fs/cgroup{group}")
    runs = run_group.parent
    assert runs.name == "runs"
    control = run(secured, node, f"ls {run_group}/cgroup.kill && mkdir {runs}/its && rmdir {runs}/its")
    assert control.returncode == 0, control.stderr
    tries = {
        "take the name of a run's control group": f"mkdir {runs}/1000",
        "remove a run's control group": f"rmdir {run_group}",
        "kill a run": f"echo 1 >{run_group}/cgroup.kill",
    }
    for what, command in tries.items():
        done = run(secured, node, command, NOBODY)
        refused = done.returncode not in (0, *NOT_TRIED)
        attempts.note(f"a user of {node}", what, "refused" if refused else "done")
    assert attempts.wrong() == []


def test_zkcli_of_root_may_do_everything_and_that_of_others_nothing(
    secured: Cluster, attempts: Attempts
) -> None:
    for node in ("zk1", "zk2"):  # of both releases
        own = run(secured, node, "zkCli.sh create /root && zkCli.sh -server localhost:2181 delete /root")
        assert own.returncode == 0, own.stderr
        for peer in ("zk1", "zk2"):
            assert run(secured, node, f"zkCli.sh -server {peer}:2181 ls /").returncode == 0
        assert run(secured, node, "zkCli.sh ls /", NOBODY).returncode == 0, "it is there, and reads"
        for what in ("create /evil", "delete /epoch", "setAcl / world:anyone:cdrwa"):
            done = run(secured, node, f"zkCli.sh {what}", NOBODY)
            refused = "Insufficient permission" in done.stdout + done.stderr
            attempts.note(f"a user of {node}", f"zkCli.sh {what}", "refused" if refused else done.stderr)
    assert attempts.wrong() == []


def test_a_task_gets_at_nothing_of_its_worker(secured: Cluster, attempts: Attempts) -> None:
    (first,) = mwapp(secured, "submit", "--wait", "uname -n")
    node = first["output"].strip()  # where there is room
    pid = _pid(secured, node, "mwapp-worker")
    tries = {
        f"read {file}": f"cat {file}"
        for file in (
            "/etc/mwapp/tls/worker.pem",
            "/etc/mwapp/tls/cli.pem",
            "/run/credentials/mwapp-worker.service/tls.pem",
            "/run/mwapp-worker/session",
            "/etc/mwapp/mwapp.toml",
            f"/proc/{pid}/environ",
            "/etc/shadow",
        )
    }
    for what, command in tries.items():
        assert run(secured, node, command).stdout, f"{what}: it is not there"
    # By what root does in its place, so that a command which is not there is no refusal.
    as_root = {
        "stop its worker": (f"kill -TERM {pid}", f"kill -0 {pid}"),
        "change the software": ("touch /opt/mwapp/current/evil", "{it} && rm /opt/mwapp/current/evil"),
        "change the host": ("touch /etc/evil", "{it} && rm /etc/evil"),
        "become root": ("python3 -c 'import os; os.setuid(0)'", "{it}"),  # setpriv ends with 127
        "submit a task": ("mwapp submit true", "{it}"),
        "stop the packet filter": ("/usr/sbin/nft flush ruleset", "/usr/sbin/nft --check flush ruleset"),
    }
    for what, (command, control) in as_root.items():
        done = run(secured, node, control.format(it=command))
        assert done.returncode == 0, f"{what}: it does not work at all: {done.stderr}"
    tries |= {what: command for what, (command, _) in as_root.items()}
    script = "; ".join(
        f"({command}) >/dev/null 2>&1; echo $? {number}" for number, command in enumerate(tries.values())
    )
    said: dict[str, str] = {}
    for _ in range(20):  # until one comes to that node
        (ended,) = mwapp(secured, "submit", "--wait", "--directory", "/", f"uname -n; id -un; {script}")
        where, user, *lines = ended["output"].splitlines()
        assert user == "mwapp-task"
        if where == node:
            said = {number: status for status, number in map(str.split, lines)}
            break
    for number, what in enumerate(tries):
        status = int(said.get(str(number), NOT_TRIED[0]))
        attempts.note("a task", what, "not tried" if status in NOT_TRIED else "refused" if status else "done")
    assert attempts.wrong() == []
    assert secured.state(node, WORKER_PORT) == "ready"


# A task tries each WHAT:ARGUMENT:..., and says what becomes of it: done, refused or another error's name.
TRIES = """
import os, socket, subprocess, sys

def connect(host, port):
    socket.create_connection((host, int(port)), 3).close()

def send(host, port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", (host, int(port)))

def open_socket(family, kind, protocol):
    socket.socket(getattr(socket, family), getattr(socket, kind), int(protocol)).close()

def connect_unix(path):
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()
        client.connect(path)
        os.unlink(path)

def pipe(command):
    subprocess.run(command + " | grep -q .", shell=True, check=True)

def become_root(program):
    if subprocess.check_output([program, "-u"], text=True).strip() != "0":
        raise PermissionError

for one in sys.argv[1:]:
    what, *arguments = one.split(":")
    try:
        globals()[what](*arguments)
        print(one, "done")
    except PermissionError:
        print(one, "refused")
    except Exception as error:
        print(one, type(error).__name__)
"""
# `id`, as it would be if it were root's and setuid.
SETUID = "/usr/local/bin/id-as-root"


def test_tasks_without_network_reach_nobody_and_run_all_the_same(
    secured: Cluster, attempts: Attempts
) -> None:
    usual = [
        *(f"connect:{place}" for place in (f"zk1:{TLS_PORT}", "mw1:22", f"127.0.0.1:{WORKER_PORT}")),
        *(f"send:{place}" for place in (f"zk1:{TLS_PORT}", f"127.0.0.1:{WORKER_PORT}")),
        "open_socket:AF_INET6:SOCK_STREAM:0",
    ]
    ping = [f"open_socket:AF_INET:{kind}:{socket.IPPROTO_ICMP}" for kind in ("SOCK_RAW", "SOCK_DGRAM")]
    local = ["connect_unix:/tmp/there", "pipe:id"]
    never = [*usual, *ping, "open_socket:AF_NETLINK:SOCK_RAW:0", f"become_root:{SETUID}"]

    def tried(*tries: str) -> dict[str, str]:
        command = shlex.join(["python3", "-c", TRIES, *tries])
        (ended,) = mwapp(secured, "submit", "--wait", "--directory", "/", command)
        assert ended["state"] == "done", ended
        return dict(line.split(" ") for line in ended["output"].splitlines())

    for node in secured.workers:
        run(secured, node, f"install --mode=4755 /usr/bin/id {SETUID}")
        assert run(secured, node, f"{SETUID} -u", NOBODY[:-1]).stdout == "0\n", "it is there"
    try:
        assert tried(*usual, *local) == dict.fromkeys([*usual, *local], "done")
        closed = play("mwapp", "--extra-vars=mwapp_task_network=false")
        assert closed.status == 0, closed.text
        for what, said in tried(*never).items():
            attempts.note("a task without network", what, said)
        assert tried(*local) == dict.fromkeys(local, "done")
        assert play("mwapp", "--extra-vars=mwapp_task_network=false").changed == 0
    finally:
        assert play("mwapp").status == 0
        for node in secured.workers:
            run(secured, node, f"rm -f {SETUID}")
    assert attempts.wrong() == []
    assert tried(*usual) == dict.fromkeys(usual, "done")


SUPERUSER = "/etc/zookeeper/tls/superuser.pem"
DELETE = ("zkCli.sh delete /theirs/child", "zkCli.sh delete /theirs")


def test_the_superuser_is_root_alone_and_may_delete_what_is_another_s(
    secured: Cluster, attempts: Attempts, keys: Path
) -> None:
    superuser = Tls(str(keys / "client-ca.pem"), str(keys / "client/zookeeper-superuser.pem"))
    theirs = [make_acl("x509", "CN=mwapp-cli-mw1", all=True)]
    others = {"nobody": NOBODY, "the user zookeeper": ("runuser", "--user=zookeeper", "--")}
    with hand(secured.hosts(), superuser) as zk:
        for node in ("zk1", "zk2"):  # of both releases
            zk.create("/theirs", acl=theirs)
            zk.create("/theirs/child", acl=theirs)
            with hand(secured.hosts(), _key(keys, "mwapp-master-mw1")) as master:
                refused = outcome(master, lambda it: it.delete("/theirs/child"))
                attempts.note("a master's key", "delete what is another's", refused)
            assert run(secured, node, f"cat {SUPERUSER}").stdout, "it is there"
            for who, user in others.items():
                read = run(secured, node, f"cat {SUPERUSER}", user)
                attempts.note(f"{who} of {node}", f"read {SUPERUSER}", "done" if read.stdout else "refused")
                done = run(secured, node, DELETE[0], user)
                said = done.stdout + done.stderr
                refused = "refused" if "Insufficient permission" in said else said
                attempts.note(f"{who} of {node}", DELETE[0], refused)
            for command in DELETE:
                done = run(secured, node, command)
                assert done.returncode == 0, done.stdout + done.stderr
            catch_up(zk)  # the command may have asked another server
            assert zk.exists("/theirs") is None
    assert attempts.wrong() == []


def test_all_were_made(attempts: Attempts) -> None:
    assert len(attempts.rows) >= LEAST
    assert attempts.wrong() == []
