"""From plaintext to TLS, to other CAs, and back. Each test goes on where the one before it ended."""

import json
import re
from pathlib import Path

from conftest import Operator

from chaos.cluster import Cluster

SERVERS = ("zk1", "zk2", "zk3")
CAS = "/etc/zookeeper/tls/client-ca.pem"


def run(cluster: Cluster, node: str, command: str) -> str:
    """What a shell command says on a node."""
    return cluster.lab.exec(node, ["sh", "-c", command], check=True).stdout


def runs_with(cluster: Cluster, *keys: str) -> list[str]:
    """The servers that were started with a zoo.cfg that has all these lines."""
    found = {
        node: cluster.lab.exec(node, ["cat", "/run/zookeeper/zoo.cfg"]).stdout.split() for node in SERVERS
    }
    return [node for node, lines in found.items() if set(keys) <= set(lines)]


def started(cluster: Cluster) -> dict[str, str]:
    """Another value after each restart."""
    show = "systemctl show --property=MainPID zookeeper mwapp-master mwapp-worker"
    return {node: run(cluster, node, show) for node in (*SERVERS, *cluster.workers)}


def works(cluster: Cluster, node: str = "mw1") -> None:
    """The application takes a task and does it, and a person sees how it is."""
    (task,) = json.loads(run(cluster, node, "mwapp submit --wait --output json 'echo hello'"))
    assert task["state"] == "done"
    run(cluster, node, "mwapp status")
    for server in SERVERS:
        assert "Mode: " in run(cluster, server, "zkServer.sh status")
        assert "zookeeper" in run(cluster, server, "zkCli.sh ls / 2>/dev/null")


def in_force(cluster: Cluster) -> bool:
    """Whether there are access control lists."""
    return bool(json.loads(run(cluster, "mw1", "mwapp acl show --output json"))["in_force"])


def certificates(cluster: Cluster, node: str, file: str) -> list[str]:
    """The lines of base64 in a file, which tell its certificates apart."""
    return re.findall(r"BEGIN CERTIFICATE-+\n(\S+\n\S+)", run(cluster, node, f"cat {file}"))


def test_site_yml_refuses_and_names_the_playbook(operator: Operator, cluster: Cluster) -> None:
    before = started(cluster)
    refused = operator.play("site", tls=True)
    assert (refused.status != 0, refused.changed) == (True, 0)
    assert "zookeeper_tls is true, but what runs on zk1, zk2, zk3 has no TLS: to switch" in refused.text
    assert "run playbooks/tls.yml" in refused.text
    assert operator.play("tls", "--limit=zk1", tls=True).status != 0
    checked = operator.play("tls", "--check", tls=True)
    assert checked.status == 0, checked.output
    assert checked.changed > 0
    assert started(cluster) == before
    unchanged = operator.play("tls", tls=False)
    assert (unchanged.status, unchanged.changed) == (0, 0), unchanged.output


def test_to_tls_while_clients_write_and_move(operator: Operator, cluster: Cluster) -> None:
    with operator.clients(tls=False) as plain:
        nobody = '--extra-vars={"zookeeper_client_networks": []}'
        refused = operator.under(plain, "to TLS, clients that nobody named", "tls", nobody, tls=True)
        assert (refused.status != 0, refused.changed) == (True, 0)
        assert f"would cut off clients that are connected: {cluster.lab.spec.gateway} (at zk" in refused.text
        operator.begin("tls", tls=True, until=lambda: bool(runs_with(cluster, "sslQuorum=true")))
        assert runs_with(cluster, "portUnification=true") == list(SERVERS)
        cluster.plain().leader()
        stopped = operator.under(plain, "to TLS, went on after it was broken off", "tls", tls=True)
        assert stopped.status != 0
        assert f"Clients are still connected without TLS: {cluster.lab.spec.gateway} (at zk" in stopped.text
        assert not in_force(cluster), "they could only read"
        assert runs_with(cluster, "sslQuorum=true", "portUnification=true") == list(SERVERS)
        moved = operator.clients(tls=True).__enter__()
    with moved:
        done = operator.under(moved, "to TLS, the rest", "tls", tls=True)
        assert done.status == 0, done.output
        assert runs_with(cluster, "sslQuorum=true", "clientPortAddress=127.0.0.1") == list(SERVERS)
        assert not runs_with(cluster, "portUnification=true")
        again = operator.under(moved, "the same once more", "tls", tls=True)
        assert (again.status, again.changed) == (0, 0), again.output
    works(cluster)
    assert in_force(cluster)


def test_status_tells_when_certificates_end(operator: Operator, tmp_path: Path) -> None:
    file = tmp_path / "status.json"
    played = operator.play(
        "status", f"--extra-vars=status_file={file}", "--extra-vars=zookeeper_tls_warn_days=366", tls=True
    )
    # Not its verdict: servers of two releases may count digests that do not match (compare.yml knows better).
    report = json.loads(file.read_text())
    assert {row["path"].rpartition("/")[2] for row in report["ensemble"]["servers"][0]["certificates"]} == {
        *("client-ca.pem", "quorum-ca.pem", "client.pem", "quorum.pem", "superuser.pem")
    }
    assert re.search(
        r"zk1, zk2, zk3: /etc/zookeeper/tls/client.pem expires on \S+, in 36\d days", played.text
    )
    assert re.search(r"worker on mw3: its certificate expires on ", played.text)


def test_another_person_gets_a_certificate(operator: Operator, cluster: Cluster) -> None:
    played = operator.play("tls_clients", "--extra-vars=client=alice", tls=True)
    assert played.status == 0, played.output
    found = re.search(r"(\S+)/client/alice\.pem is valid until", played.text)
    assert found
    for name, file in (("client/alice.pem", "alice.pem"), ("client-ca.pem", "ca.pem")):
        text = Path(found[1], name).read_text()
        cluster.lab.exec("mw3", ["sh", "-c", f"umask 077; cat >/root/{file}"], stdin=text, check=True)
    connect = cluster.hosts()
    files = "--tls-ca /root/ca.pem --tls-cert /root/alice.pem"
    run(cluster, "mw3", f"mwapp tasks --connect {connect} {files}")
    for name, why in (
        ("zk1", "which is a server"),
        ("mwapp-worker-mw1", "reserved for the role mwapp"),
        ("zookeeper-superuser", "reserved for root of the servers"),
    ):
        refused = operator.play("tls_clients", f"--extra-vars=client={name}", tls=True)
        assert refused.status != 0
        assert f"zookeeper_tls_clients names {name}" in refused.text
        assert why in refused.text


def test_renewed_certificates_are_taken_up_without_a_restart(operator: Operator, cluster: Cluster) -> None:
    """By zk2 and zk3. The release of zk1 cannot."""

    def shown(node: str) -> list[str]:
        """What a server has, at both kinds of ports."""
        return [
            leaf
            for file in ("client", "quorum")
            for leaf in certificates(cluster, node, f"/etc/zookeeper/tls/{file}.pem")
        ]

    def remove(*nodes: str) -> None:
        for node in nodes:
            for ca in ("client", "quorum"):
                Path(f"/run/zklab/{cluster.lab.spec.name}/tls/{ca}/{node}.pem").unlink()

    with operator.clients(tls=True) as clients:
        before, certified = started(cluster), {node: shown(node) for node in SERVERS}
        remove("zk2", "zk3")
        checked = operator.play("zookeeper", "--check", tls=True)
        assert checked.status == 0, checked.output
        assert checked.changed > 0
        done = operator.under(clients, "certificates of 3.9.3 are renewed", "zookeeper", tls=True)
        assert done.status == 0, done.output
        assert started(cluster) == before
        assert {node for node in SERVERS if shown(node) != certified[node]} == {"zk2", "zk3"}
        again = operator.under(clients, "the same once more", "zookeeper", tls=True)
        assert (again.status, again.changed) == (0, 0), again.output
        for node in ("zk2", "zk3"):
            run(cluster, node, "sha256sum --check /run/zookeeper/started-with")
        remove("zk1")
        done = operator.under(clients, "certificates of 3.8.0 are renewed", "zookeeper", tls=True)
        assert done.status == 0, done.output
        now = started(cluster)
        assert {node for node in now if now[node] != before[node]} == {"zk1"}
        again = operator.play("zookeeper", tls=True)
        assert (again.status, again.changed) == (0, 0), again.output
    works(cluster)


def test_the_cas_change_while_clients_write(operator: Operator, cluster: Cluster) -> None:
    (old,) = certificates(cluster, "zk1", CAS)
    leaf = certificates(cluster, "zk1", "/etc/zookeeper/tls/client.pem")
    with operator.clients(tls=True, tasks=False) as clients:
        operator.begin("tls_rotate", tls=True, until=lambda: len(certificates(cluster, "zk1", CAS)) == 2)
        cluster.leader()
        for label in ("went on after it was broken off, all trust new CAs", "new CAs sign"):
            paused = operator.under(clients, label, "tls_rotate", "--extra-vars=rotate_pause=true", tls=True)
            assert paused.status == 0, paused.output
            assert "run the same command again" in paused.text
            signs = certificates(cluster, "zk2", CAS)[0]
            assert (signs == old) is label.startswith("went on"), "clients need the new CA before it signs"
        new, also = certificates(cluster, "zk2", CAS)
        assert (new != old, also) == (True, old)
        done = operator.under(clients, "the old CAs are trusted no more", "tls_rotate", tls=True)
        assert done.status == 0, done.output
        again = operator.under(clients, "site.yml after it", "site", tls=True)
        assert (again.status, again.changed) == (0, 0), again.output
    for node, file in (("zk1", CAS), ("zk3", CAS), ("mw2", "/etc/mwapp/tls/ca.pem")):
        assert certificates(cluster, node, file) == [new]
    assert certificates(cluster, "zk1", "/etc/zookeeper/tls/client.pem") != leaf
    works(cluster)


def test_and_back_while_clients_write_and_move(operator: Operator, cluster: Cluster) -> None:
    with operator.clients(tls=True) as secured:
        stopped = operator.under(secured, "back to plaintext, clients with TLS", "tls", tls=False)
        assert stopped.status != 0
        assert f"Clients are still connected with TLS: {cluster.lab.spec.gateway} (at zk" in stopped.text
        moved = operator.clients(tls=False).__enter__()
    with moved:
        done = operator.under(moved, "back to plaintext, the rest", "tls", tls=False)
        assert done.status == 0, done.output
        again = operator.under(moved, "the same once more", "tls", tls=False)
        assert (again.status, again.changed) == (0, 0), again.output
    assert not runs_with(cluster, "sslQuorum=false")
    for node in (*SERVERS, *cluster.workers):
        run(cluster, node, "test ! -e /etc/zookeeper/tls && test ! -e /etc/mwapp/tls")
    site = operator.play("site", tls=False)
    assert (site.status, site.changed) == (0, 0), site.output
    works(cluster)
