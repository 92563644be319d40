"""Partitions on real nodes: whatever dies or stands still, what was acknowledged is there, once, in order."""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from stores.partitions.log import Record, records
from stores.partitions.topic import NoAnswerError, Topic
from stores.rpc import RefusedError, call

from mwapp import Client
from testbed import evidence
from testbed.daemons import Daemon, Site
from testbed.ensemble import Ensemble
from testbed.waiting import LONGEST_WAIT, wait_for

NODES = ("b1", "b2", "b3")
PARTITIONS = 2
# Long enough for a busy machine to start three handlers on each node.
SESSION = ("--session-timeout", "5")
PRODUCERS = 4


class Brokers(Site):
    """Three equal nodes: one of them is the controller, all have replicas."""

    at: Path
    client: Client
    topic: Topic

    def node(self, name: str) -> Daemon:
        return next(daemon for daemon in self.daemons if daemon.name == name)

    def leader(self, partition: int) -> str:
        """The worker that leads, when one does."""

        def probe() -> str:
            state = self.client.table("t").shard(partition)
            return state.primary if state.state == "serving" else ""

        return wait_for(f"partition {partition} has a leader", probe)

    def controller(self) -> str:
        return wait_for("a node is the controller", lambda: next((n for n in NODES if self._leads(n)), ""))

    def _leads(self, name: str) -> bool:
        return bool(self.node(name).status().get("state") == "active")

    def in_sync(self) -> bool:
        """Whether every partition has all replicas, and nobody is to have it but those."""
        return all(
            state.state == "serving"
            and state.target is None
            and [member.state for member in state.members.values()] == ["sync"] * 3
            for state in self.client.table("t").show()
        )

    def replica(self, name: str, partition: int) -> int:
        """The process."""
        wanted = {b"MWAPP_TABLE=t", b"MWAPP_SHARD=%d" % partition, b"MWAPP_WORKER=" + name.encode()}

        def probe() -> int:
            for pid in _children(self.node(name).process.pid):
                if b"shard_process" in _read(pid, "cmdline") and wanted <= set(
                    _read(pid, "environ").split(b"\0")
                ):
                    return pid
            return 0

        return wait_for(f"{name} has partition {partition}", probe)

    def kill_replica(self, name: str, partition: int) -> None:
        evidence.note(f"SIGKILL to the replica of {partition} on {name}")
        os.kill(self.replica(name, partition), signal.SIGKILL)

    def freeze(self, name: str) -> list[int]:
        """The whole host: the node and what it has started."""
        pids = [self.node(name).process.pid, *_children(self.node(name).process.pid)]
        evidence.note(f"SIGSTOP to {name} with {len(pids) - 1} processes")
        for pid in pids:
            _signal(pid, signal.SIGSTOP)
        return pids

    def has(self, name: str, partition: int, what: list[Record]) -> bool:
        """That, and nothing else."""
        return self.log(name, partition) == what

    def log(self, name: str, partition: int) -> list[Record]:
        """What is on its disk."""
        with (self.at / name / f"partitions/t-{partition}/log").open("rb") as file:
            return list(records(file))


def _read(pid: int, what: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except OSError:
        return b""


def _children(pid: int) -> list[int]:
    """All that descend from it."""
    parents: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*"):
        if stat := _read(int(path.name), "stat"):
            parents.setdefault(int(stat.rpartition(b")")[2].split()[1]), []).append(int(path.name))
    found = list(parents.get(pid, ()))
    for child in found:
        found += parents.get(child, ())
    return found


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


@pytest.fixture
def brokers(ensemble: Ensemble, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Brokers]:
    brokers = Brokers(f"{ensemble.connect_string}/{request.node.name[:30]}", tmp_path)
    brokers.at = tmp_path / "own"
    stores = Path(__file__).parents[2] / "examples/stores"
    environment = {
        "PYTHONPATH": f"{stores}:{os.environ.get('PYTHONPATH', '')}",
        "STORES_DIR": str(brokers.at),
        "MWAPP_CONNECT": brokers.connect,
    }
    with brokers:
        for name in NODES:
            brokers.start("node", name, *SESSION, **environment)
        for name in NODES:
            brokers.node(name).wait_for_state("ready", "active")
        with Client(brokers.connect) as client:
            brokers.client = client
            brokers.topic = Topic(client, "t", timeout=LONGEST_WAIT)
            brokers.topic.create(PARTITIONS)
            yield brokers


class Producers:
    """Some that produce without pause, and note what was acknowledged."""

    def __init__(self, client: Client) -> None:
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self.acknowledged: dict[tuple[int, int], bytes] = {}
        self.problems: list[object] = []
        self._threads = [
            threading.Thread(target=self._produce, args=(Topic(client, "t", timeout=LONGEST_WAIT), number))
            for number in range(PRODUCERS)
        ]
        for thread in self._threads:
            thread.start()

    def _produce(self, topic: Topic, number: int) -> None:
        count = 0
        while not self._stop.is_set():
            count += 1
            value = b"%d %d" % (number, count)
            try:
                at = topic.produce(value, partition=count % PARTITIONS)
            except NoAnswerError as problem:
                self.problems.append(problem)
                continue
            with self._lock:
                if at in self.acknowledged:
                    self.problems.append(f"{at}: {self.acknowledged[at]!r} and {value!r}")
                self.acknowledged[at] = value
            time.sleep(0.002)

    def wait_for_more(self, what: str) -> None:
        """In every partition something is acknowledged that came after now."""
        before = self.counts()
        wait_for(
            f"records are acknowledged: {what}",
            lambda: all(self.counts()[p] > before[p] + PRODUCERS for p in range(PARTITIONS)),
        )

    def counts(self) -> Counter[int]:
        with self._lock:
            return Counter(partition for partition, _ in self.acknowledged)

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("seed", [1])
def test_what_was_acknowledged_is_there_once_and_in_its_order_whoever_dies_or_stands_still(
    brokers: Brokers, seed: int
) -> None:
    draw = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    producers = Producers(brokers.client)
    try:
        faults = [
            *("leader", "follower", "host", "frozen host", "move"),
            *draw.choices(["leader", "follower"], k=3),
        ]
        draw.shuffle(faults)
        for fault in faults:
            producers.wait_for_more(f"before the fault {fault}")
            _do(brokers, producers, fault, draw)
        producers.wait_for_more("at the end")
    finally:
        producers.end()
    assert producers.problems == []
    wait_for("all are in sync again", brokers.in_sync)
    for partition in range(PARTITIONS):
        _check(brokers, producers, partition)


def _do(brokers: Brokers, producers: Producers, fault: str, draw: random.Random) -> None:
    partition = draw.randrange(PARTITIONS)
    leader = brokers.leader(partition)
    follower = draw.choice([name for name in NODES if name != leader])
    if fault == "leader":
        brokers.kill_replica(leader, partition)
    elif fault == "follower":
        brokers.kill_replica(follower, partition)
    elif fault == "move":
        wait_for("all are in sync", brokers.in_sync)
        brokers.client.table("t").move(partition, follower, timeout=LONGEST_WAIT)
    elif fault == "host":
        brokers.node(leader).kill()
        producers.wait_for_more("without a host")
        brokers.node(leader).start()
        wait_for("all are in sync again", brokers.in_sync)
    else:
        frozen = brokers.freeze(leader)
        producers.wait_for_more("without a frozen host")
        for pid in frozen:
            _signal(pid, signal.SIGCONT)
        wait_for("all are in sync again", brokers.in_sync)


def _check(brokers: Brokers, producers: Producers, partition: int) -> None:
    seen: list[Record] = []
    while more := brokers.topic.consume(partition, len(seen)):
        seen += more
    assert [record.offset for record in seen] == list(range(len(seen)))
    doubled = [value for value, times in Counter(record.value for record in seen).items() if times > 1]
    assert doubled == []
    for (where, offset), value in producers.acknowledged.items():
        if where == partition:
            assert seen[offset].value == value
    for number in range(PRODUCERS):
        its = [int(r.value.split()[1]) for r in seen if r.value.split()[0] == b"%d" % number]
        assert its == sorted(its), "what one producer sends one after the other stays in that order"
    for name in NODES:
        wait_for(f"{name} has all of {partition}", partial(brokers.has, name, partition, seen))


def test_a_leader_that_stood_still_acknowledges_nothing_when_it_goes_on(brokers: Brokers) -> None:
    leader = brokers.leader(0)
    assert brokers.topic.produce(b"before", partition=0) == (0, 0)
    address = brokers.client.table("t").shard(0).address
    frozen = brokers.freeze(leader)
    answers: list[object] = []

    def append() -> None:
        fields = {"table": "t", "shard": 0, "do": "append", "producer": 1, "sequence": 1}
        try:
            answers.append(call(address, fields, b"stale", timeout=LONGEST_WAIT))
        except (OSError, RefusedError) as problem:
            answers.append(problem)

    waits = threading.Thread(target=append)  # its request is there when the old leader goes on
    waits.start()
    assert brokers.topic.produce(b"after", partition=0) == (0, 1)
    assert brokers.leader(0) != leader
    for pid in frozen:
        _signal(pid, signal.SIGCONT)
    waits.join()
    assert isinstance(answers[0], OSError | RefusedError)
    wait_for("all are in sync again", brokers.in_sync)
    assert [record.value for record in brokers.log(leader, 0)] == [b"before", b"after"]
