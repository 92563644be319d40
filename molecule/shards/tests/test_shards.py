"""Stores on hosts. Each test goes on where the one before it ended."""

import json
import time

from conftest import Hosts
from stores.blocks.files import Files
from stores.partitions.topic import Topic

from chaos.stores import CERTIFICATE, DATA
from testbed import playbook
from testbed.stores import FileWriter, People, Producer, whole_log, wrong_in_files, wrong_in_log

CONFIG, UNIT = "/etc/mwapp/mwapp.toml", "/etc/systemd/system/mwapp-worker.service"
AS_PROVISIONED = ("--extra-vars", json.dumps({"mwapp_session_timeout": 10}))
USER = "mwapp-task"
PARTITIONS, GROUPS = 2, 2
CLIENT_TIMEOUT = ("--timeout", "120")  # each replica is a process, and hosts share one machine
NOTHING = {"mwapp_environment": {}, "mwapp_data_directory": False, "mwapp_writable_paths": []}
WITHOUT = ("--extra-vars", json.dumps(NOTHING))


def test_a_task_finds_the_variables_and_writes_where_it_may(cluster: Hosts) -> None:
    """What the role's README says of who may write what."""
    task = f"""
        echo $MWAPP_DATA_DIRECTORY $STORES_DIR
        touch $MWAPP_DATA_DIRECTORY/mark && echo wrote
        touch /srv/mark || echo refused
        cat {CONFIG} || echo refused
        id --user --name
    """
    said = cluster.on("mw1", "mwapp", "submit", "--wait", "--show-output", task).splitlines()
    lines = [line for line in said if line in (f"{DATA} {DATA}", "wrote", "refused", USER)]
    assert lines == [f"{DATA} {DATA}", "wrote", "refused", "refused", USER], said
    for node in cluster.workers:
        assert cluster.on(node, "stat", "--format=%U %a", DATA) == f"{USER} 700\n"
        # The worker itself has the certificate that is its own.
        assert CERTIFICATE not in cluster.on(
            node, "systemctl", "show", "mwapp-worker", "--property=Environment"
        )


def _owner(cluster: Hosts, table: str) -> tuple[str, list[int]]:
    """The primary of the first shard, and all that it is the primary of."""
    states = cluster.client.table(table).show()
    return states[0].primary, [state.shard for state in states if state.primary == states[0].primary]


def _lose_the_owner(cluster: Hosts, table: str, people: People) -> tuple[str, float]:
    """Its host loses its power, and writes to all that it had go on; returns who, and how long that took."""
    owner, places = _owner(cluster, table)
    began = time.monotonic()
    cluster.lab.power_cut(owner)
    cut = time.monotonic()  # what was begun until then may be the old owner's
    while (found := people.first(places, cut)) is None:
        assert time.monotonic() < cut + 60, f"nobody writes to {table} {places}"
        time.sleep(0.05)
    teller = next(node for node in cluster.workers if node != owner)
    shown = cluster.on(teller, "mwapp", "shards", "show", table, "--output", "json")
    primaries = {row["shard"]: row["primary"] for row in json.loads(shown)}
    assert owner not in [primaries[place] for place in places]
    return owner, max(found.values()) - began


def _come_back(cluster: Hosts, owner: str, table: str) -> None:
    cluster.lab.boot(owner)
    cluster.settle()
    cluster.wait_until_whole(table)


def test_partitions_lose_no_acknowledged_record_when_the_leaders_host_dies(
    cluster: Hosts, figures: list[str]
) -> None:
    cluster.store(
        "mw1", "stores.partitions", *CLIENT_TIMEOUT, "create", "orders", "--partitions", str(PARTITIONS)
    )
    assert (
        cluster.store(
            "mw2", "stores.partitions", *CLIENT_TIMEOUT, "produce", "orders", "--partition", "0", "0 0"
        )
        == "0 0\n"
    )
    topic = Topic(cluster.client, "orders", timeout=60)
    producers = [Producer(topic, number, PARTITIONS) for number in range(1, 4)]
    with People(producers) as people:
        people.wait_until_each_writes()
        owner, seconds = _lose_the_owner(cluster, "orders", people)
        _come_back(cluster, owner, "orders")
        people.wait_until_each_writes()
    figures.append(f"partitions: {owner} without power, next acknowledged records after {seconds:.1f} s")
    assert [problem for producer in producers for problem in (*producer.wrong, *producer.late)] == []
    for partition in range(PARTITIONS):
        assert wrong_in_log(whole_log(topic, partition), partition, producers) == []
    # Each host has all of it on its own disk, where nobody else looks.
    logs = {
        cluster.on(node, "sha256sum", f"{DATA}/{node}/partitions/orders-0/log").split()[0]
        for node in cluster.workers
    }
    assert len(logs) == 1


def test_blocks_lose_no_acknowledged_file_when_the_primarys_host_dies(
    cluster: Hosts, figures: list[str]
) -> None:
    for parent in ("/files", "/writing"):  # docs/stores.md: with lists nobody else may
        cluster.on("zk1", "zkCli.sh", "-server", "localhost:2182", "create", parent)
    cluster.store(
        "mw1",
        "stores.blocks",
        *CLIENT_TIMEOUT,
        "create",
        "--groups",
        str(GROUPS),
        "--replicas",
        "3",
        "--grace",
        "60",
    )
    writers = [
        FileWriter(Files(cluster.hosts(), timeout=60, block_size=40_000), number, 80_000)
        for number in range(2)
    ]
    with People(writers) as people:
        people.wait_until_each_writes()
        owner, seconds = _lose_the_owner(cluster, "blocks", people)
        _come_back(cluster, owner, "blocks")
        people.wait_until_each_writes()
    figures.append(f"blocks: {owner} without power, next acknowledged files after {seconds:.1f} s")
    with Files(cluster.hosts(), timeout=60) as files:
        assert wrong_in_files(files, writers) == []
        listed = {file.path for file in files.list()}
    assert {path for writer in writers for path in writer.acknowledged} <= listed
    assert [problem for writer in writers for problem in writer.wrong] == []


def test_a_directory_that_is_not_there_is_refused_before_anything_changes() -> None:
    wanted = ("--extra-vars", json.dumps({"mwapp_writable_paths": ["/srv/absent"]}))
    refused = playbook.play("mwapp", *AS_PROVISIONED, *wanted)
    assert (refused.status != 0, refused.changed) == (True, 0), refused.output
    assert "mwapp_writable_paths: there is no /srv/absent on this host: mount it, or make it" in refused.text


def _processes(cluster: Hosts) -> set[str]:
    show = ("systemctl", "show", "--property=MainPID", "mwapp-worker")
    return {f"{node} {cluster.on(node, *show)}" for node in cluster.workers}


def test_a_variable_that_is_taken_away_is_gone_and_the_data_stay(cluster: Hosts) -> None:
    before = {name: cluster.on("mw3", "cat", name) for name in (CONFIG, UNIT)}
    assert "STORES_DIR=" in before[CONFIG]
    assert f"ReadWritePaths={DATA} /srv/shared\n" in before[UNIT]
    processes = _processes(cluster)
    checked = playbook.play("mwapp", *AS_PROVISIONED, *WITHOUT, "--check")
    assert checked.status == 0, checked.output
    assert checked.changed > 0
    assert before == {name: cluster.on("mw3", "cat", name) for name in (CONFIG, UNIT)}
    assert _processes(cluster) == processes

    for table in ("orders", "blocks"):
        cluster.on("mw1", "mwapp", "shards", "delete", table)
    played = playbook.play("mwapp", *AS_PROVISIONED, *WITHOUT)
    assert (played.status, played.changed) == (0, checked.changed), played.output
    cluster.settle()
    assert not _processes(cluster) & processes
    assert "env" not in cluster.on("mw3", "cat", CONFIG)
    assert "ReadWritePaths" not in cluster.on("mw3", "cat", UNIT)
    assert "orders-0" in cluster.on("mw3", "ls", f"{DATA}/mw3/partitions")
    said = cluster.on(
        "mw1", "mwapp", "submit", "--wait", "--show-output", f"touch {DATA}/mark || echo refused"
    )
    assert "refused" in said
