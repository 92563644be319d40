"""Each repair as an operator makes it, messages followed to the letter. Each goes on where the last ended."""

from concurrent.futures import ThreadPoolExecutor

from conftest import DATA, LOGS, Five, Operator

from testbed.waiting import wait_for

THREE = ("zk1", "zk2", "zk3")  # those that are left when two have died


def knows(cluster: Five, node: str, text: str) -> bool:
    """Whether the server there was started with a zoo.cfg that has this in it."""
    return text in cluster.lab.exec(node, ["cat", "/run/zookeeper/zoo.cfg"]).stdout


def down(cluster: Five, *nodes: str) -> None:
    for node in nodes:
        cluster.systemctl(node, "stop", "zookeeper")


def more_is_written(operator: Operator) -> None:
    had = [len(writer.acknowledged) for writer in operator.writers]
    wait_for(
        "more is written",
        lambda: all(len(w.acknowledged) > n + 20 for w, n in zip(operator.writers, had, strict=True)),
        60,
    )


def test_one_server_gets_a_new_machine_at_another_address(cluster: Five, operator: Operator) -> None:
    """It is dead, and the new one has nothing. Every way to go on agrees with the last."""
    cluster.dies("zk3")
    moved = operator.inventory(third="zk6")
    first = operator.play("one address changed, with --limit", moved, "--limit=zk3")
    assert first.status == 0, first.output
    every = operator.play("then without --limit", moved)
    assert every.status == 0, every.output
    assert all(knows(cluster, node, f"server.3={cluster.address('zk6')}:") for node in ("zk1", "zk6"))
    again = operator.play("the same once more", moved)
    assert (again.status, again.changed) == (0, 0), again.output
    rolled = operator.play("then rolling_restart.yml", moved, name="rolling_restart")
    assert rolled.status == 0, rolled.output


def test_a_server_is_moved_to_another_address_with_its_data(cluster: Five, operator: Operator) -> None:
    """Its disk goes into the first machine, which is there again, and has nothing else of it."""
    cluster.lab.boot("zk3")
    cluster.without_data("zk3")
    down(cluster, "zk6")
    cluster.move_data("zk6", "zk3")
    cluster.dies("zk6")
    done = operator.play("a server moved to another address, its data kept", operator.inventory())
    assert done.status == 0, done.output
    assert all(knows(cluster, node, f"server.3={cluster.address('zk3')}:") for node in cluster.servers)
    cluster.leader(followers=4)


def test_all_addresses_change_and_the_run_is_broken_off(cluster: Five, operator: Operator) -> None:
    by_name, by_address = operator.inventory(names=True), operator.inventory()

    def one_restarted() -> bool:
        return any(knows(cluster, node, "server.1=zk1:") for node in cluster.servers)

    operator.begin(by_name, until=one_restarted)
    cluster.leader(followers=4)
    back = operator.play("all addresses changed, broken off, taken back", by_address)
    assert back.status == 0, back.output
    assert not one_restarted()
    operator.begin(by_name, until=one_restarted)
    cluster.leader(followers=4)
    done = operator.play("all addresses changed, broken off, finished", by_name)
    assert done.status == 0, done.output
    assert all(knows(cluster, node, "server.1=zk1:") for node in cluster.servers)


def test_a_host_is_installed_anew(cluster: Five, operator: Operator) -> None:
    cluster.install_anew("zk5")
    one = operator.play("one host installed anew, its data kept", operator.inventory(names=True))
    assert one.status == 0, one.output
    again = operator.play("the same once more", operator.inventory(names=True))
    assert (again.status, again.changed) == (0, 0), again.output


def test_all_hosts_are_installed_anew_and_one_has_a_disk_of_earlier(
    cluster: Five, operator: Operator
) -> None:
    """Those that are behind are a majority: without the others they must not begin."""
    cluster.leader(followers=4)
    for node in ("zk1", "zk2"):
        down(cluster, node)
    cluster.copies("zk3")
    writing = cluster.leader(followers=2)
    more_is_written(operator)
    down(cluster, *sorted(("zk3", "zk4", "zk5"), key=lambda node: node == writing))
    cluster.goes_back("zk3")
    for node in cluster.servers:
        cluster.install_anew(node)
    every = operator.play("all hosts installed anew, three of them behind", operator.inventory(names=True))
    assert every.status == 0, every.output
    cluster.leader(followers=4)


def test_a_disk_of_earlier_comes_back_with_its_zoo_cfg(cluster: Five, operator: Operator) -> None:
    """Nothing on its host tells that it is not what it was."""
    names = operator.inventory(names=True)
    cluster.leader(followers=4)
    cluster.copies("zk3")
    cluster.leader(followers=4)
    more_is_written(operator)
    cluster.goes_back("zk3")
    one = operator.play("a disk of earlier with its zoo.cfg, the others serve", names)
    assert one.status == 0, one.output
    cluster.leader(followers=4)
    # Two more are behind, so three could elect one of them.
    down(cluster, "zk1", "zk2")
    writing = cluster.leader(followers=2)
    more_is_written(operator)
    down(cluster, *sorted(("zk3", "zk4", "zk5"), key=lambda node: node == writing))
    cluster.goes_back("zk3")
    all_ = operator.play("the same, all stopped, three of them behind", names)
    assert all_.status == 0, all_.output
    assert "the newest data first: " in all_.output
    cluster.leader(followers=4)
    again = operator.play("the same once more", names)
    assert (again.status, again.changed) == (0, 0), again.output


def test_a_strangers_disk_is_refused(cluster: Five, operator: Operator) -> None:
    """Its advice is followed to the letter: nothing is deleted, and it is sent what the others have."""
    cluster.install_anew("zk2")
    cluster.run("zk2", f"for file in {LOGS}/version-2/log.* {DATA}/version-2/snapshot.*; do : >$file; done")
    refused = operator.play("data without a single known transaction", operator.inventory(names=True))
    assert refused.status != 0
    assert (
        "Server 2 has data, but no zoo.cfg, and none of its last transactions is one of server"
        in refused.text
    )
    assert (
        "Stop server 2, move the contents of its zookeeper_data_dir and zookeeper_txnlog_dir" in refused.text
    )
    cluster.run("zk2", f"mkdir -p /root/aside/data; mv {DATA}/* /root/aside/data/; mv {LOGS}/* /root/aside/")
    done = operator.play("the refusal's advice followed", operator.inventory(names=True))
    assert done.status == 0, done.output
    cluster.leader(followers=4)


def test_two_of_five_are_dead_for_good(cluster: Five, operator: Operator) -> None:
    three = operator.inventory("123", names=True)
    cluster.lab.power_cut("zk5")
    wrong = operator.play("declared dead, but it answers", three, "--extra-vars=zookeeper_dead=zk4,zk5")
    assert wrong.status != 0
    assert "zookeeper_dead names server 4 on zk4, but it answers there" in wrong.text
    cluster.lab.power_cut("zk4")
    refused = operator.play("two of five are gone, not declared dead", three)
    assert refused.status != 0
    advice = "-e zookeeper_dead=zk4,zk5"
    assert f"If they are dead and will never run again, declare that: {advice}" in refused.text
    done = operator.play("two of five declared dead, as the refusal says", three, *advice.split())
    assert done.status == 0, done.output
    assert not knows(cluster, "zk1", "zk4")
    again = operator.play("the same once more", three, *advice.split())
    assert "zookeeper_dead names zk4 and zk5, but no server knows a member there" in again.text
    assert (again.status, again.changed) == (0, 0), again.output


def test_the_ports_of_a_running_ensemble_change(cluster: Five, operator: Operator) -> None:
    """Broken off once, taken back and then made. At last with nobody running."""
    three = operator.inventory("123", names=True)
    new = ["--extra-vars=zookeeper_quorum_port=2889 zookeeper_election_port=3889"]

    def second_begins() -> bool:
        return sum(knows(cluster, node, "2889:3889") for node in THREE) > 1

    operator.begin(three, *new, until=second_begins)
    back = operator.play("ports changed, broken off, taken back", three)
    assert back.status == 0, back.output
    assert not second_begins()
    done = operator.play("ports of a running ensemble changed", three, *new)
    assert done.status == 0, done.output
    for node in THREE:
        assert all(knows(cluster, node, f"server.{n}=zk{n}:2889:3889") for n in "123")
    again = operator.play("the same once more", three, *new)
    assert (again.status, again.changed) == (0, 0), again.output
    down(cluster, *THREE)
    stopped = operator.play("ports of a stopped ensemble changed back", three)
    assert stopped.status == 0, stopped.output
    cluster.leader(followers=2)


def test_a_disk_is_full_in_the_middle_of_a_run(cluster: Five, operator: Operator) -> None:
    """That of the one whose turn is next. Its server ends, as it cannot write."""
    three = operator.inventory("123", names=True)
    change = ["--extra-vars=zookeeper_purge_hours=12"]
    leader = cluster.leader(followers=2)
    _, victim = (node for node in THREE if node != leader)

    def one_restarted() -> bool:
        return any(knows(cluster, node, "purgeInterval=12") for node in THREE)

    def fill() -> None:
        wait_for("the first has restarted", one_restarted, 180, every=0.05)
        cluster.lab.fill_disk(victim)

    with ThreadPoolExecutor(1) as pool:
        filled = pool.submit(fill)
        stopped = operator.play("a disk full in the middle of a run", three, *change)
        filled.result()
    assert stopped.status != 0
    assert "make room" in stopped.text, stopped.output
    assert sum(knows(cluster, node, "purgeInterval=12") for node in THREE) == 1
    cluster.lab.free_disk(victim)
    done = operator.play("the same command, with room", three, *change)
    assert done.status == 0, done.output
    assert all(knows(cluster, node, "purgeInterval=12") for node in THREE)


def test_it_comes_back_to_five(cluster: Five, operator: Operator) -> None:
    """The machines are new: they have the old addresses, and nothing on them."""
    for node in ("zk4", "zk5"):
        cluster.lab.boot(node)
        cluster.without_data(node)
    done = operator.play("back to five, on new machines", operator.inventory(names=True))
    assert done.status == 0, done.output
    cluster.leader(followers=4)


def test_data_of_debians_zookeeperd_are_adopted(cluster: Five, operator: Operator) -> None:
    """The refusals are followed to the letter. One of the old servers has been started again meanwhile."""
    for node in cluster.servers:
        cluster.as_debians(node)
    every = operator.inventory(names=True)
    refused = operator.play("Debian's zookeeperd was here", every)
    assert refused.status != 0
    assert "zk1 has data of another installation in /var/lib/zookeeper (last zxid 0x" in refused.text
    assert "set zookeeper_adopt: true to take the data over" in refused.text
    old = "/usr/lib/jvm/default-java/bin/java -cp /usr/share/java/zookeeper.jar"
    main = "org.apache.zookeeper.server.quorum.QuorumPeerMain /etc/zookeeper/conf/zoo.cfg"
    cluster.run("zk3", f"systemd-run --unit=old-zookeeper {old} {main}")
    wait_for("the old server listens", lambda: "3888" in cluster.run("zk3", "ss -ltn"), 30)
    runs = operator.play("an old server still runs", every, "--extra-vars=zookeeper_adopt=true")
    assert runs.status != 0
    assert "the old server of zk3 runs" in runs.text
    cluster.run("zk3", "systemctl stop old-zookeeper")
    done = operator.play(
        "Debian's data adopted, as the refusal says", every, "--extra-vars=zookeeper_adopt=true"
    )
    assert done.status == 0, done.output
    cluster.leader(followers=4)
    assert cluster.run("zk1", "ls /var/lib/zookeeper").split() == [
        "myid",
        "txnlog",
        "version-2.adopted",
        "zkData",
    ]
    for options in ([], ["--extra-vars=zookeeper_adopt=true"]):
        again = operator.play("the same once more", every, *options)
        assert (again.status, again.changed) == (0, 0), again.output


def test_a_majority_is_dead_for_good(cluster: Five, operator: Operator) -> None:
    """One after the other, so that the two that live have all that was acknowledged."""
    for node, followers in (("zk5", 3), ("zk4", 2)):
        cluster.lab.power_cut(node)
        cluster.leader(followers=followers)
    cluster.lab.power_cut("zk3")
    two, dead = operator.inventory("12", names=True), ["-e", "zookeeper_dead=zk3,zk4,zk5"]
    refused = operator.play("three of five declared dead", two, *dead)
    assert refused.status != 0
    assert "only 1 and 2 have data within reach. That is no majority" in refused.text
    assert "are lost: to go on without them, give -e zookeeper_disaster_recovery=true" in refused.text
    done = operator.play(
        "the same as a disaster recovery", two, *dead, "-e", "zookeeper_disaster_recovery=true"
    )
    assert done.status == 0, done.output
    cluster.leader(followers=1)
