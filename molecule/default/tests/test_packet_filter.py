"""The packet filter: a seventh host is a stranger; the others get what they need, also after a reboot."""

import pytest

from chaos.cluster import Cluster
from testbed.playbook import play

SERVERS, APPLICATION = ("zk1", "zk2", "zk3"), ("mw1", "mw2", "mw3")
CLIENT, QUORUM, ELECTION, MASTER, WORKER, SSH = 2182, 2888, 3888, 2223, 2224, 22
# Prints what becomes of a connection to each host and port: open, or the name of the error.
KNOCK = """
import socket, sys
for place in sys.argv[1:]:
    host, port = place.split(":")
    try:
        socket.create_connection((host, int(port)), 3).close()
        print(place, "open")
    except OSError as error:
        print(place, type(error).__name__)
"""
REFUSED = "ConnectionRefusedError"


@pytest.fixture(scope="module")
def stranger(cluster: Cluster) -> str:
    """One more host of the same network."""
    cluster.lab.up(["stranger"])
    return "stranger"


def knock(cluster: Cluster, node: str, *places: str) -> dict[str, str]:
    """What becomes of connections from a node."""
    said = cluster.lab.exec(node, ["python3", "-c", KNOCK, *places], check=True).stdout
    return dict(line.split(" ", 1) for line in said.splitlines())


def filtered() -> list[str]:
    """Every port that is filtered, on every host; only the leader listens on the quorum's."""
    places = [f"{host}:{port}" for host in SERVERS for port in (CLIENT, QUORUM, ELECTION)]
    places += [f"{host}:{MASTER}" for host in ("mw1", "mw2")]
    return places + [f"{host}:{WORKER}" for host in APPLICATION]


def test_a_stranger_is_refused_on_every_port_but_ssh(cluster: Cluster, stranger: str) -> None:
    assert set(knock(cluster, stranger, *filtered()).values()) == {REFUSED}
    assert set(knock(cluster, stranger, f"zk1:{SSH}", f"mw1:{SSH}").values()) == {"open"}


def test_everybody_else_gets_what_they_need(cluster: Cluster) -> None:
    leader = cluster.leader()
    peer = next(server for server in SERVERS if server != leader)
    places = [f"{leader}:{port}" for port in (CLIENT, QUORUM, ELECTION)]
    for member in (leader, peer):
        assert set(knock(cluster, member, *places).values()) == {"open"}
    assert list(knock(cluster, "mw3", *places).values()) == ["open", REFUSED, REFUSED]
    assert set(knock(cluster, "mw3", f"mw1:{MASTER}", f"mw2:{WORKER}").values()) == {"open"}
    assert knock(cluster, "zk1", f"mw1:{MASTER}") == {f"mw1:{MASTER}": REFUSED}


@pytest.mark.parametrize("verb", ["start", "reload", "restart"])
def test_it_is_back_when_the_hosts_own_rules_are_loaded(cluster: Cluster, stranger: str, verb: str) -> None:
    """Debian's rules begin with ``flush ruleset``."""
    cluster.lab.exec("zk1", ["systemctl", verb, "nftables.service"], check=True)
    assert knock(cluster, stranger, f"zk1:{CLIENT}") == {f"zk1:{CLIENT}": REFUSED}


def test_one_that_was_flushed_is_told_and_comes_back(cluster: Cluster, stranger: str) -> None:
    cluster.lab.exec("zk2", ["nft", "flush", "ruleset"], check=True)
    assert knock(cluster, stranger, f"zk2:{CLIENT}") == {f"zk2:{CLIENT}": "open"}
    told = play("status")
    assert "zk2: table inet zookeeper differs from what the inventory makes of it" in told.text
    assert "zk2: its packet filter (zookeeper_packet_filter) is not loaded" in told.text
    assert told.status == 2, "everybody reaches it"
    assert play("zookeeper", "--limit=zk2").changed == 1
    assert knock(cluster, stranger, f"zk2:{CLIENT}") == {f"zk2:{CLIENT}": REFUSED}


def test_a_name_that_does_not_resolve_changes_nothing() -> None:
    refused = play("zookeeper", "--extra-vars=zookeeper_client_networks=no-such-host.invalid")
    assert (refused.status != 0, refused.changed) == (True, 0)
    assert "zookeeper_client_networks: 'no-such-host.invalid' does not resolve on this host" in refused.text


def test_it_is_there_after_a_reboot(cluster: Cluster, stranger: str) -> None:
    for node in ("zk3", "mw3"):
        cluster.lab.power_off(node)
        cluster.lab.boot(node)
    cluster.settle()
    places = [place for place in filtered() if place.startswith(("zk3", "mw3"))]
    assert set(knock(cluster, stranger, *places).values()) == {REFUSED}
