"""Partitions on real nodes: whatever dies or stands still, what was acknowledged is there, once, in order."""

import random
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from stores.partitions.log import Record, records
from stores.partitions.topic import Topic
from stores.rpc import RefusedError, call

from mwapp import Client
from testbed import stores
from testbed.ensemble import Ensemble
from testbed.stores import People, Producer, Town, freeze, kill_handler, thaw, whole_log, wrong_in_log
from testbed.waiting import LONGEST_WAIT, wait_for

NODES = ("b1", "b2", "b3")
PARTITIONS = 2
# Long enough for a busy machine to start three handlers on each node.
SESSION = ("--session-timeout", "5")
PRODUCERS = 4
TABLE = "t"


class Brokers(Town):
    """Three equal nodes: one of them is the controller, all have replicas."""

    client: Client
    topic: Topic

    def leader(self, partition: int) -> str:
        """The worker that leads, when one does."""

        def probe() -> str:
            state = self.client.table(TABLE).shard(partition)
            return state.primary if state.state == "serving" else ""

        return wait_for(f"partition {partition} has a leader", probe)

    def in_sync(self) -> bool:
        """Whether every partition has all replicas, and nobody is to have it but those."""
        return stores.in_sync(self.client.table(TABLE).show(), len(NODES))

    def has(self, name: str, partition: int, what: list[Record]) -> bool:
        """That, and nothing else."""
        return self.log(name, partition) == what

    def log(self, name: str, partition: int) -> list[Record]:
        """What is on its disk."""
        with (self.own / name / f"partitions/{TABLE}-{partition}/log").open("rb") as file:
            return list(records(file))


@pytest.fixture
def brokers(ensemble: Ensemble, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Brokers]:
    with Brokers(f"{ensemble.connect_string}/{request.node.name[:30]}", tmp_path) as brokers:
        brokers.begin({}, dict.fromkeys(NODES, SESSION), role="node")
        with Client(brokers.connect) as client:
            brokers.client = client
            brokers.topic = Topic(client, TABLE, timeout=LONGEST_WAIT)
            brokers.topic.create(PARTITIONS)
            yield brokers


@pytest.mark.parametrize("seed", [1])
def test_what_was_acknowledged_is_there_once_and_in_its_order_whoever_dies_or_stands_still(
    brokers: Brokers, seed: int
) -> None:
    draw = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    producers = [
        Producer(Topic(brokers.client, TABLE, timeout=LONGEST_WAIT), number, PARTITIONS)
        for number in range(PRODUCERS)
    ]
    with People(producers) as people:
        faults = [
            *("leader", "follower", "host", "frozen host", "host cut off", "move"),
            *draw.choices(["leader", "follower"], k=3),
        ]
        draw.shuffle(faults)
        for fault in faults:
            people.wait_for_more(range(PARTITIONS))
            _do(brokers, people, fault, draw)
        people.wait_for_more(range(PARTITIONS))
    assert [producer.late for producer in producers] == [[]] * PRODUCERS
    assert [producer.wrong for producer in producers] == [[]] * PRODUCERS
    wait_for("all are in sync again", brokers.in_sync)
    for partition in range(PARTITIONS):
        seen = whole_log(brokers.topic, partition)
        assert wrong_in_log(seen, partition, producers) == []
        for name in NODES:
            wait_for(f"{name} has all of {partition}", partial(brokers.has, name, partition, seen))


def _do(brokers: Brokers, people: People, fault: str, draw: random.Random) -> None:
    partition = draw.randrange(PARTITIONS)
    leader = brokers.leader(partition)
    follower = draw.choice([name for name in NODES if name != leader])
    if fault in ("leader", "follower"):
        victim = leader if fault == "leader" else follower
        kill_handler(brokers.named(victim), TABLE, partition)
    elif fault == "move":
        wait_for("all are in sync", brokers.in_sync)
        brokers.client.table(TABLE).move(partition, follower, timeout=LONGEST_WAIT)
    elif fault == "host":
        brokers.named(leader).kill()
        people.wait_for_more(range(PARTITIONS))
        brokers.named(leader).start()
        wait_for("all are in sync again", brokers.in_sync)
    elif fault == "host cut off":
        network = brokers.cut_off(leader, TABLE)
        people.wait_for_more(range(PARTITIONS))
        network.heal()
        wait_for("all are in sync again", brokers.in_sync)
    else:
        frozen = freeze(brokers.named(leader))
        people.wait_for_more(range(PARTITIONS))
        thaw(frozen)
        wait_for("all are in sync again", brokers.in_sync)


def test_a_leader_that_stood_still_acknowledges_nothing_when_it_goes_on(brokers: Brokers) -> None:
    leader = brokers.leader(0)
    assert brokers.topic.produce(b"before", partition=0) == (0, 0)
    address = brokers.client.table(TABLE).shard(0).address
    frozen = freeze(brokers.named(leader))
    answers: list[object] = []

    def append() -> None:
        fields = {"table": TABLE, "shard": 0, "do": "append", "producer": 1, "sequence": 1}
        try:
            answers.append(call(address, fields, b"stale", timeout=LONGEST_WAIT))
        except (OSError, RefusedError) as problem:
            answers.append(problem)

    waits = threading.Thread(target=append)  # its request is there when the old leader goes on
    waits.start()
    assert brokers.topic.produce(b"after", partition=0) == (0, 1)
    assert brokers.leader(0) != leader
    thaw(frozen)
    waits.join()
    assert isinstance(answers[0], OSError | RefusedError)
    wait_for("all are in sync again", brokers.in_sync)
    assert [record.value for record in brokers.log(leader, 0)] == [b"before", b"after"]
