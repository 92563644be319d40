"""Every playbook, in the order of an operator's days: the first test provisions the hosts for all others."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from conftest import Play, Started

from chaos.cluster import Cluster
from chaos.load import GAP_SECONDS, Writer, longest_gap, reader
from testbed.waiting import wait_for

SERVERS = ("zk1", "zk2", "zk3")
NAMES = ",".join(SERVERS)


@contextmanager
def stopped(cluster: Cluster, *nodes: str) -> Iterator[None]:
    """Have the servers of these hosts stopped for a while."""
    for node in nodes:
        cluster.lab.exec(node, ["systemctl", "stop", "zookeeper"], check=True)
    try:
        yield
    finally:
        for node in nodes:
            cluster.lab.exec(node, ["systemctl", "start", "zookeeper"])
        cluster.leader()


# ------------------------------------------------------------ site.yml


def test_the_oldest_ansible_provisions_fresh_hosts(play: Play, cluster: Cluster) -> None:
    # zk1 has the service's user, but not its group.
    cluster.lab.exec("zk1", ["useradd", "--system", "--gid=daemon", "zookeeper"], check=True)
    played = play("site", player="oldest")
    assert played.status == 0, played.output
    assert cluster.leader() in SERVERS
    assert cluster.master() in cluster.masters


@pytest.mark.parametrize("player", ["oldest", "newest"])
def test_whoever_plays_it_again_changes_nothing(play: Play, player: str) -> None:
    played = play("site", player=player)
    assert (played.status, played.changed) == (0, 0), played.output


def test_preflight_looks_at_the_hosts_themselves(play: Play, cluster: Cluster, started: Started) -> None:
    before = started()
    cluster.lab.exec("zk2", ["cp", "/etc/hosts", "/etc/hosts.before"], check=True)
    # As Debian's installer writes it. The file is bound into the node, so it is not replaced.
    cluster.lab.exec("zk2", ["sh", "-c", "echo 127.0.1.1 zk2 >/etc/hosts"], check=True)
    settings = {
        "zookeeper_config": {"metricsProvider.className": "org.example.Metrics"},
        "zookeeper_max_buffer": 4096,
        "zookeeper_uid": 1,
    }
    with reader(cluster.hosts(), cluster.tls()) as client:
        client.create("/large", bytes(10000))
    try:
        played = play("zookeeper", f"--extra-vars={json.dumps(settings)}")
    finally:
        cluster.lab.exec("zk2", ["sh", "-c", "cat /etc/hosts.before >/etc/hosts"], check=True)
    assert (played.status != 0, played.changed) == (True, 0)
    for said in (
        "zookeeper_host of zk2 is zk2, which on zk2 itself is 127.0.1.1, a loopback address",
        "zookeeper_config sets metricsProvider.className to org.example.Metrics, but the jars on zk1",
        "zookeeper_max_buffer is 4096, but to read its data zk3 needs",
        "zookeeper_uid is 1, but user zookeeper on zk1 has",
    ):
        assert said in played.text
    assert started() == before


# ------------------------------------------------------------ status.yml


@pytest.mark.parametrize("player", ["oldest", "newest"])
def test_status_of_a_healthy_system(play: Play, cluster: Cluster, player: str) -> None:
    played = play("status", player=player)
    assert (played.status, played.changed) == (0, 0), played.output
    report = played.report
    assert report["ok"]
    assert (report["ensemble"]["state"], report["ensemble"]["leader"]) == ("healthy", cluster.leader())
    assert [row["host"] for row in report["ensemble"]["servers"]] == list(SERVERS)
    for row in report["ensemble"]["servers"]:
        assert (row["reachable"], row["drift"]) == (True, [])
        assert row["version"] == cluster.told(row["host"], "zk_version").partition("-")[0]
        assert row["znodes"] > 5
        assert row["disk"]["txnlog_dir"]["free"] > 2**20
    assert report["application"]["active_master"] == cluster.master()
    assert (
        max(map(len, re.findall(r"^ +(?:SERVER|SERVICE|zk\d|master|worker) .*$", played.output, re.M))) <= 130
    )


def test_status_tells_what_differs(play: Play, cluster: Cluster) -> None:
    config = "/etc/zookeeper/zoo.cfg"
    cluster.lab.exec("zk2", ["sed", "-i.before", "s/^tickTime=.*/tickTime=1234/", config])
    try:
        played = play("status")
    finally:
        cluster.lab.exec("zk2", ["mv", f"{config}.before", config])
    assert played.status == 0, "drift is no illness"
    drift = {row["host"]: row["drift"] for row in played.report["ensemble"]["servers"]}
    assert [it["kind"] for it in drift["zk2"]] == ["config", "restart"]
    assert "tickTime: the inventory has 1000, zoo.cfg has 1234, the running server has 1000" in played.text
    assert drift["zk1"] == drift["zk3"] == []


def test_a_host_without_power_is_a_row_and_nobody_touches_the_rest(
    play: Play, cluster: Cluster, started: Started
) -> None:
    before = started()
    cluster.lab.power_off("zk3")
    try:
        wait_for("the others go on", lambda: cluster.leader(followers=1), 30)
        status, restart = play("status"), play("rolling_restart")
        reset = play("reset", f"--extra-vars=reset_confirm={NAMES}")
    finally:
        cluster.lab.boot("zk3")
        cluster.leader()
    assert status.status != 0
    assert status.changed == 0
    assert status.report["ensemble"]["state"] == "degraded"
    rows = {row["host"]: row for row in status.report["ensemble"]["servers"]}
    assert (rows["zk3"]["reachable"], rows["zk3"]["role"]) == (False, "down")
    # In ssh's words: a connection that it has kept open ends with others than one that it tries to make.
    assert re.search(r"zk3 cannot be looked at: \w", status.text), status.text
    for refused in (restart, reset):
        assert (refused.status != 0, refused.changed) == (True, 0)
        assert "Nothing was touched" in refused.text
        assert "zk3 cannot be reached" in refused.text
    after = started()
    assert {node for node in after if after[node] != before[node]} == {"zk3"}


def test_status_without_quorum(play: Play, cluster: Cluster) -> None:
    with stopped(cluster, "zk1", "zk2"):
        played = play("status")
    assert played.status != 0
    assert played.report["ensemble"]["state"] == "no quorum"
    assert [row["role"] for row in played.report["ensemble"]["servers"]] == [
        "stopped",
        "stopped",
        "not serving",
    ]
    cluster.master()


# ------------------------------------------------------------ compare.yml

# Changes a value in a log, and the checksum of its entry.
FORGE = """
import glob, struct, sys, zlib
old, new = (word.encode() for word in sys.argv[1:])
for path in glob.glob("/var/lib/zookeeper/txnlog/version-2/log.*"):
    with open(path, "r+b") as file:
        log = file.read()
        at = 16
        while (size := struct.unpack_from(">i", log, at + 8)[0]) > 0:
            body = log[at + 12 : at + 12 + size]
            if old in body:
                body = body.replace(old, new)
                file.seek(at)
                file.write(struct.pack(">qi", zlib.adler32(body), size) + body)
            at += 13 + size
"""


def test_servers_are_compared_while_clients_write(play: Play, cluster: Cluster) -> None:
    with Writer(cluster, "zk1"):
        played = play("compare", player="oldest")
    assert (played.status, played.changed) == (0, 0), played.output
    assert "zk1, zk2, zk3 have the same" in played.text


def test_one_that_differs_is_told_and_where(play: Play, cluster: Cluster) -> None:
    other = next(node for node in SERVERS if node != cluster.leader())
    forge = ["python3", "-c", FORGE]
    with reader(cluster.hosts(), cluster.tls()) as client:
        client.create("/differs", b"the right value")
    logged = ["grep", "--quiet", "--recursive", "the right value", "/var/lib/zookeeper/txnlog"]
    wait_for("it has the write", lambda: cluster.lab.exec(other, logged).returncode == 0)
    with stopped(cluster, other):
        cluster.lab.exec(other, [*forge, "the right value", "the wrong value"], check=True)
        try:
            played = play("compare")
        finally:
            cluster.lab.exec(other, [*forge, "the wrong value", "the right value"], check=True)
        again = play("compare")
    assert (played.status != 0, played.changed) == (True, 0)
    assert "differ in 1 of" in played.text
    assert "- /differs: " in played.text
    assert "but with other contents" in played.text
    assert again.status == 0, again.output


# ------------------------------------------------------------ rolling_restart.yml


def test_check_mode_names_the_order_and_restarts_nothing(
    play: Play, cluster: Cluster, started: Started
) -> None:
    before = started()
    played = play("rolling_restart", "--extra-vars=restart=all", "--check")
    assert played.status == 0, played.output
    order = [*(node for node in SERVERS if node != cluster.leader()), cluster.leader()]
    assert f"One after another: {', '.join(order)}" in played.text
    assert started() == before


def test_all_are_restarted_under_writes_and_the_quorum_stays(
    play: Play, cluster: Cluster, started: Started
) -> None:
    before, leader = started(), cluster.leader()
    with ExitStack() as stack:
        writers = [stack.enter_context(Writer(cluster, node)) for node in SERVERS]
        played = play("rolling_restart", "--extra-vars=restart=all", player="oldest")
        assert played.status == 0, played.output
        gap = longest_gap(writers, played.began, played.ended)
        for writer in writers:
            writer.verify()
    after = started()
    assert {node for node in after if after[node] != before[node]} == set(after)
    restarted = re.findall(r"Restart the next one\].*?changed: \[(\w+)\]", played.output, re.DOTALL)
    assert sorted(restarted) == list(SERVERS)
    assert restarted[-1] == leader
    assert gap < GAP_SECONDS


def test_it_stops_at_the_first_that_does_not_come_back(
    play: Play, cluster: Cluster, started: Started
) -> None:
    before, leader = started(), cluster.leader()
    first, second = (node for node in SERVERS if node != leader)
    override = "/run/systemd/system/zookeeper.service.d"
    broken = f"mkdir -p {override}; printf '[Service]\\nExecStartPre=/bin/false\\n' >{override}/broken.conf"
    cluster.lab.exec(first, ["sh", "-c", f"{broken}; systemctl daemon-reload"])
    try:
        played = play("rolling_restart", f"--limit={first},{second}", "--extra-vars=zookeeper_gate_timeout=5")
        after = started()
    finally:
        cluster.lab.exec(
            first, ["sh", "-c", f"rm -r {override}; systemctl daemon-reload; systemctl restart zookeeper"]
        )
        cluster.leader()
    assert played.status != 0
    assert {node for node in after if after[node] != before[node]} == {first}


# ------------------------------------------------------------ TLS for the status endpoints

STATUS_TLS = "--extra-vars=mwapp_status_tls=yes"
WORKERS = ("mw1", "mw2")


ASK = """
import ssl, sys, urllib.request
url, *ca = sys.argv[1:]
context = ssl.create_default_context(cafile=ca[0]) if ca else None
print(urllib.request.urlopen(url, timeout=10, context=context).read().decode(), end="")
"""


def asked(cluster: Cluster, node: str, url: str, *ca: str) -> str:
    """What is read there from a node, or the last that Python says of why not."""
    done = cluster.lab.exec(node, ["python3", "-c", ASK, url, *ca])
    return done.stdout if done.returncode == 0 else done.stderr.splitlines()[-1]


def seen(cluster: Cluster) -> tuple[str, str, list[str]]:
    """What `mwapp status` says of the master: its address and state, and of its endpoint."""
    done = cluster.lab.exec("mw1", ["mwapp", "status", "--output=json"], check=True)
    document = json.loads(done.stdout)
    texts = [text for text in document["warnings"] if "status endpoint" in text]
    return document["master"]["address"], document["master"]["state"], texts


def test_status_endpoints_get_tls(play: Play, cluster: Cluster, started: Started) -> None:
    before, active = started(), cluster.master()
    checked = play("mwapp", STATUS_TLS, "--check")
    assert (checked.status, checked.changed > 0) == (0, True), checked.output
    assert started() == before
    cluster.lab.exec("mw1", ["test", "!", "-e", "/etc/mwapp/status-tls"], check=True)

    played = play("mwapp", STATUS_TLS)
    assert played.status == 0, played.output
    restarted = re.findall(r"Ensure the next one is restarted, (\w+) on (\w+)", played.output)
    assert sorted(restarted) == [(role, node) for role in ("master", "worker") for node in WORKERS]
    assert restarted[1] == ("master", active), "it was still seen who is active"

    address, state, texts = seen(cluster)
    assert (re.fullmatch(r"https://mw[12]:2223", address) is not None, state, texts) == (True, "active", [])
    ca = "/etc/mwapp/status-tls/ca.pem"
    assert asked(cluster, "mw2", "https://mw1:2224/ready", ca) == "ok\n"
    assert asked(cluster, "mw1", "https://127.0.0.1:2223/ready", ca) == "ok\n"
    refused = asked(cluster, "mw2", "https://mw1:2224/ready", "/etc/mwapp/tls/ca.pem")
    assert "certificate verify failed" in refused
    hung_up = asked(cluster, "mw1", "http://127.0.0.1:2223/ready")
    assert hung_up.startswith(("http.client.RemoteDisconnected", "ConnectionResetError")), hung_up
    modes = "stat --format='%U %a %n' /etc/mwapp/status-tls/* | sort"
    found = cluster.lab.exec("mw1", ["sh", "-c", modes], check=True).stdout.splitlines()
    assert found == [
        *(f"root 600 /etc/mwapp/status-tls/{role}.pem" for role in ("master", "worker")),
        "root 644 /etc/mwapp/status-tls/ca.pem",
    ]


@pytest.mark.parametrize("player", ["oldest", "newest"])
def test_with_it_a_second_run_changes_nothing_and_all_is_seen(play: Play, player: str) -> None:
    again = play("site", STATUS_TLS, player=player)
    assert (again.status, again.changed) == (0, 0), again.output
    status = play("status", STATUS_TLS, player=player)
    assert (status.status, status.report["application"]["state"]) == (0, "working"), status.output


def test_with_it_services_restart_one_after_another(play: Play, started: Started) -> None:
    before = started()
    played = play("rolling_restart", STATUS_TLS, "--extra-vars=restart=mwapp")
    assert played.status == 0, played.output
    after = started()
    assert {node for node in after if after[node] != before[node]} == set(WORKERS)


def test_who_gets_another_certificate_restarts_and_nobody_else(
    play: Play, cluster: Cluster, started: Started
) -> None:
    before = started()
    keys = Path(f"/run/zklab/{cluster.lab.spec.name}/tls/status")
    (keys / "mwapp-worker-mw2.pem").unlink()
    checked = play("mwapp", STATUS_TLS, "--check")
    assert (checked.status, checked.changed > 0) == (0, True), checked.output
    played = play("mwapp", STATUS_TLS)
    assert played.status == 0, played.output
    after = started()
    assert {node for node in after if after[node] != before[node]} == {"mw2"}


def test_and_back(play: Play, cluster: Cluster) -> None:
    checked = play("mwapp", "--check")
    assert (checked.status, checked.changed > 0) == (0, True), checked.output
    played = play("mwapp")
    assert played.status == 0, played.output
    again = play("site")
    assert (again.status, again.changed) == (0, 0), again.output
    for node in WORKERS:
        cluster.lab.exec(node, ["test", "!", "-e", "/etc/mwapp/status-tls"], check=True)
        assert asked(cluster, node, "http://127.0.0.1:2223/ready") == "ok\n"
    address, state, texts = seen(cluster)
    assert (re.fullmatch(r"mw[12]:2223", address) is not None, state, texts) == (True, "active", [])
    assert play("status").status == 0


# ------------------------------------------------------------ reset.yml


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "this was not confirmed"),
        (["--extra-vars=reset_confirm=zk1"], "this was not confirmed"),
        ([f"--extra-vars=reset_confirm={NAMES}", "--limit=zk1"], "--limit leaves out"),
    ],
)
def test_reset_refuses(play: Play, started: Started, options: list[str], said: str) -> None:
    before = started()
    played = play("reset", *options)
    assert (played.status != 0, played.changed) == (True, 0)
    assert "Nothing was touched" in played.text
    assert said in played.text
    assert started() == before


def test_a_system_can_be_made_anew(play: Play, cluster: Cluster, started: Started) -> None:
    before = started()
    with reader(cluster.hosts(), cluster.tls()) as client:
        client.create("/precious", b"")
    checked = play("reset", "--check", player="oldest")
    assert (checked.status, checked.changed > 0) == (0, True), checked.output
    assert started() == before

    # As on a way to TLS that was not finished.
    keys = [("zk1", "/etc/zookeeper/tls"), ("mw1", "/etc/mwapp/tls"), ("mw1", "/etc/mwapp/status-tls")]
    for node, place in keys:
        cluster.lab.exec(node, ["sh", "-c", f"mkdir -p {place}; echo key >{place}/client.pem"], check=True)
    played = play("reset", f"--extra-vars=reset_confirm={NAMES}", player="oldest")
    assert played.status == 0, played.output
    for node, place in keys:
        cluster.lab.exec(node, ["test", "!", "-e", place], check=True)
    for node in SERVERS:
        left = cluster.lab.exec(node, ["find", "/var/lib/zookeeper", "-type", "f"], check=True)
        assert left.stdout == "", node
    assert play("status").report["ensemble"]["state"] == "no quorum"

    fresh = play("site")
    assert fresh.status == 0, fresh.output
    assert cluster.epoch(cluster.master()) == 1
    with reader(cluster.hosts(), cluster.tls()) as client:
        assert client.exists("/precious") is None
