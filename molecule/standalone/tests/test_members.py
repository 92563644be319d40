"""Members come and go. Each test goes on where the one before it ended."""

import re

from conftest import Play

from chaos.cluster import Cluster
from testbed.waiting import wait_for

DATA = "/var/lib/zookeeper/zkData"
LOGS = "/var/lib/zookeeper/txnlog"


def run(cluster: Cluster, node: str, command: str) -> str:
    """What a shell command says on a node."""
    return cluster.lab.exec(node, ["sh", "-c", command], check=True).stdout


def modes(cluster: Cluster) -> dict[str, str]:
    """What zkServer.sh says of each server that serves."""
    found = {}
    for node in cluster.servers:
        said = cluster.lab.exec(node, ["sh", "-c", "zkServer.sh status"]).stdout
        if mode := re.search(r"^Mode: (\w+)$", said, re.MULTILINE):
            found[node] = mode[1]
    return found


def voters(cluster: Cluster, node: str) -> set[str]:
    """The ids of the voters a server was started with."""
    config = run(cluster, node, "cat /run/zookeeper/zoo.cfg")
    lines = re.findall(r"^server\.(\d+)=(.*)$", config, re.MULTILINE)
    return {number for number, where in lines if not where.endswith(":observer")}


def marked(cluster: Cluster, node: str) -> str:
    """What the server itself, and no other, has at the znode that the first test made."""
    lines = run(cluster, node, "zkCli.sh -server localhost:2181 get /kept").splitlines()
    # Another thread of zkCli.sh prints notices, before or after what it says of itself.
    return [line for line in lines if line and not line.startswith(("WATCHER::", "WatchedEvent "))][-1]


def test_a_single_server_serves_alone(cluster: Cluster) -> None:
    assert modes(cluster) == {"zk1": "standalone"}
    assert voters(cluster, "zk1") == set()
    run(cluster, "zk1", "zkCli.sh create /kept from-the-beginning")


def test_limit_does_not_begin_a_change_of_members(cluster: Cluster, play: Play) -> None:
    before = int(cluster.told("zk1", "zk_uptime"))
    refused = play("three", "--limit", "zk2")
    assert refused.status != 0
    assert "The voters change from 1 to 1, 2 and 3, and --limit leaves out zk1 and zk3" in refused.text
    assert refused.changed == 0
    assert modes(cluster) == {"zk1": "standalone"}
    assert int(cluster.told("zk1", "zk_uptime")) > before


def test_one_grows_to_three(cluster: Cluster, play: Play) -> None:
    grown = play("three")
    assert grown.status == 0, grown.output
    assert sorted(modes(cluster).values()) == ["follower", "follower", "leader"]
    for node in cluster.servers:
        assert voters(cluster, node) == {"1", "2", "3"}
        assert run(cluster, node, f"cat {DATA}/myid").strip() == node[-1]
        assert marked(cluster, node) == "from-the-beginning"
    again = play("three")
    assert (again.status, again.changed) == (0, 0), again.output


def test_a_dead_disk_is_replaced(cluster: Cluster, play: Play) -> None:
    leader = cluster.leader()
    victim = next(node for node in cluster.servers if node != leader)
    run(cluster, victim, f"systemctl stop zookeeper; rm -r {DATA} {LOGS}")
    mended = play("three", "--limit", victim)
    assert mended.status == 0, mended.output
    assert marked(cluster, victim) == "from-the-beginning"
    assert cluster.leader() == leader


def test_two_are_not_taken_out_at_once(cluster: Cluster, play: Play) -> None:
    refused = play("one")
    assert refused.status != 0
    assert "Servers 2 and 3 were taken out of the group at once" in refused.text
    assert cluster.leader()


def test_the_middle_one_is_taken_out(cluster: Cluster, play: Play) -> None:
    shrunk = play("without_middle")
    assert shrunk.status == 0, shrunk.output
    assert "an even number" in shrunk.text
    assert "Server 2 on zk2 is no longer a member, but still runs" in shrunk.text
    for node in ("zk1", "zk3"):
        assert voters(cluster, node) == {"1", "3"}
        assert run(cluster, node, f"cat {DATA}/myid").strip() == node[-1]
        assert marked(cluster, node) == "from-the-beginning"
    run(cluster, "zk2", "systemctl disable --now zookeeper")
    wait_for("the two go on", lambda: sorted(modes(cluster).values()) == ["follower", "leader"], 60)
    again = play("without_middle")
    assert (again.status, again.changed) == (0, 0), again.output
    assert "still runs" not in again.text


def test_it_comes_back_as_an_observer(cluster: Cluster, play: Play) -> None:
    run(cluster, "zk2", f"rm -r {DATA} {LOGS}")
    back = play("observer")
    assert back.status == 0, back.output
    assert modes(cluster)["zk2"] == "observer"
    assert sorted(modes(cluster).values()) == ["follower", "leader", "observer"]
    for node in cluster.servers:
        assert voters(cluster, node) == {"1", "3"}
        assert marked(cluster, node) == "from-the-beginning"
    again = play("observer")
    assert (again.status, again.changed) == (0, 0), again.output


def test_an_observer_is_no_part_of_the_quorum(cluster: Cluster) -> None:
    run(cluster, "zk3", "systemctl stop zookeeper")
    wait_for("one voter of two and an observer are no quorum", lambda: modes(cluster) == {}, 60)
    run(cluster, "zk3", "systemctl start zookeeper")
    wait_for("the quorum is back", lambda: len(modes(cluster)) == 3, 90)
