"""Replicas of a partition, in one process and without an ensemble: the test says who leads."""

import errno
import os
import random
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from stores.partitions import follower, log, replica, topic
from stores.partitions.follower import Addresses
from stores.partitions.in_sync import InSync
from stores.partitions.topic import Topic
from stores.rpc import Connection, Message, RefusedError

from testbed.waiting import LONGEST_WAIT, wait_for
from tests.unit.partition_cluster import NAMES, Cluster, Producer, World, term

pytestmark = pytest.mark.servers

# ---------------------------------------------------------------- who is in sync


def test_what_all_in_sync_have_is_acknowledged() -> None:
    one = InSync(term(5, "a", a="sync", b="sync", c="copy"), "a", end=0)
    assert one.names == {"a", "b"}
    one.has("a", 9, 0)
    assert one.acknowledged() == 0, "b has not said anything yet"
    one.has("b", 7, 0)
    assert one.acknowledged() == 7


def test_who_copies_joins_when_it_has_all_that_may_have_been_acknowledged() -> None:
    one = InSync(term(5, "a", a="sync", c="copy"), "a", end=10)
    one.has("a", 12, 8)
    assert not one.has("c", 9, 8), "a has 10 records, and its predecessor may have acknowledged them all"
    assert one.acknowledged() == 12
    assert not one.has("c", 11, 12)
    assert one.has("c", 12, 12)
    one.has("a", 13, 12)
    assert one.acknowledged() == 12, "not without c, from now on"


def test_only_members_follow() -> None:
    one = InSync(term(5, "a", a="sync", c="copy"), "a", end=0)
    assert one.may_follow("c")
    assert not one.may_follow("x")


# ---------------------------------------------------------------- replicas


def wire(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replicas find each other in it, and wait for a short time."""
    monkeypatch.setenv("STORES_DIR", str(tmp_path))
    monkeypatch.setattr(Addresses, "find", lambda _, worker, stopped: cluster.find(worker, stopped))
    monkeypatch.setattr(log, "os", cluster.disk)
    monkeypatch.setattr(replica, "APPEND_SECONDS", 0.2)
    monkeypatch.setattr(follower, "PAUSE_SECONDS", 0.002)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path)
    wire(cluster, tmp_path, monkeypatch)
    yield cluster
    for one in cluster.replicas.values():
        one.close()
        one._server.close()
        one._log.close()


def opened(cluster: Cluster, **members: str) -> None:
    """All are open, and a leads under generation 5."""
    cluster.open(term(5, "a", **members), *members)
    cluster.replicas["a"].promote(term(5, "a", "primary", **members))


SYNC = {"a": "sync", "b": "sync", "c": "sync"}


def test_a_record_is_acknowledged_when_all_in_sync_have_it(cluster: Cluster) -> None:
    opened(cluster, **SYNC)
    assert cluster.append("a", "one") == 0
    assert cluster.has("b") == cluster.has("c") == ["one"]
    cluster.replicas["c"].demote(term(6, "", **SYNC))  # it does not follow any more
    with pytest.raises(RefusedError, match="not acknowledged, and may yet be"):
        cluster.try_to_append("a", "two")
    assert cluster.read("a") == ["one"], "readers see only what is acknowledged"
    wait_for("b has it", lambda: cluster.has("b") == ["one", "two"])
    cluster.replicas["c"].demote(term(5, "a", **SYNC))
    assert cluster.append("a", "two", sequence=2) == 1, "sent again it is the same record"
    assert cluster.read("a") == ["one", "two"]


def test_only_the_latest_record_of_a_producer_may_be_sent_again(cluster: Cluster) -> None:
    opened(cluster, a="sync")
    assert [cluster.append("a", "one"), cluster.append("a", "two")] == [0, 1]
    assert cluster.append("a", "two", sequence=2) == 1
    with pytest.raises(RefusedError, match="comes late"):
        cluster.try_to_append("a", "one", sequence=1)
    assert cluster.read("a") == ["one", "two"]


def test_appends_that_come_together_share_a_flush(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "APPEND_SECONDS", LONGEST_WAIT)
    opened(cluster, a="sync")
    log, flushes, may = cluster.replicas["a"]._log, [], threading.Event()
    flush = log.flush

    def slow() -> None:
        flushes.append(log.end)
        may.wait(LONGEST_WAIT)
        flush()

    monkeypatch.setattr(log, "flush", slow)
    fields = [{"do": "append", "producer": number, "sequence": 1} for number in range(20)]
    threads = [threading.Thread(target=cluster.ask, args=("a", its, b"x")) for its in fields]
    for thread in threads:
        thread.start()
    wait_for("all are appended", lambda: log.end == 20)
    assert cluster.read("a") == []
    may.set()
    for thread in threads:
        thread.join()
    assert len(cluster.read("a")) == 20
    assert len(flushes) == 2


def test_a_leader_that_was_replaced_acknowledges_nothing(cluster: Cluster) -> None:
    """It knows of nothing, as if it had been frozen; one follower follows it still, the other leads."""
    opened(cluster, **SYNC)
    cluster.append("a", "one")
    members = {"b": "sync", "c": "sync"}
    cluster.replicas["b"].promote(term(6, "b", "primary", **members))
    with pytest.raises(RefusedError, match="may yet be"):
        cluster.try_to_append("a", "stale", sequence=2)
    wait_for("c has it from a", lambda: cluster.has("c") == ["one", "stale"])
    cluster.replicas["c"].demote(term(6, "b", **members))
    assert cluster.append("b", "two") == 1
    assert cluster.has("c") == ["one", "two"]
    with pytest.raises(RefusedError, match="may yet be"):
        cluster.try_to_append("a", "stale", sequence=2)
    cluster.replicas["a"].demote(term(7, "b", a="copy", **members))
    with pytest.raises(RefusedError, match="does not lead"):
        cluster.try_to_append("a", "stale", sequence=2)


def test_a_leader_that_comes_back_cuts_what_was_never_acknowledged(cluster: Cluster) -> None:
    opened(cluster, **SYNC)
    cluster.append("a", "one")
    for name in "bc":
        cluster.replicas[name].demote(term(6, "", **SYNC))
    for sequence in (2, 3):
        with pytest.raises(RefusedError):
            cluster.try_to_append("a", "stale", sequence)
    cluster.lead(6, "b", b="sync", c="sync")
    cluster.append("b", "two", sequence=2)
    cluster.lead(7, "b", a="copy", b="sync", c="sync")
    wait_for("a has joined", cluster.replicas["a"].caught_up)
    assert cluster.has("a") == cluster.has("b") == ["one", "two"]
    cluster.append("b", "three", sequence=3)
    assert cluster.has("a") == ["one", "two", "three"], "nothing without it from now on"


def test_a_leader_that_follows_again_has_on_disk_what_it_says_that_it_has(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(cluster, a="sync")
    log, here, may = cluster.replicas["a"]._log, threading.current_thread(), threading.Event()
    flush = log.flush

    def slow() -> None:
        if threading.current_thread() is not here:
            may.wait(LONGEST_WAIT)
        flush()

    monkeypatch.setattr(log, "flush", slow)
    with pytest.raises(RefusedError):
        cluster.try_to_append("a", "one")
    assert (log.end, log.durable) == (1, 0)
    cluster.replicas["a"].demote(term(6, "", a="sync"))
    assert (log.end, log.durable) == (1, 1)
    may.set()


def test_what_a_leader_sent_is_not_appended_once_another_leads(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived, may, closed = threading.Event(), threading.Event(), []
    ask, close = Connection.call, Connection.close

    def late(self: Connection, fields: dict[str, Any], body: bytes = b"") -> Message:
        reply = ask(self, fields, body)
        if reply.body and fields["do"] == "fetch":
            arrived.set()
            may.wait(LONGEST_WAIT)
        return reply

    def note(self: Connection) -> None:
        close(self)
        closed.append(threading.current_thread())

    monkeypatch.setattr(Connection, "call", late)
    opened(cluster, a="sync", b="sync")
    with pytest.raises(RefusedError):
        cluster.try_to_append("a", "one")
    assert arrived.wait(LONGEST_WAIT)
    monkeypatch.setattr(Connection, "close", note)
    cluster.replicas["b"].promote(term(6, "b", "primary", b="sync"))
    may.set()
    wait_for("it follows no more", lambda: set(closed) - {threading.current_thread()})
    assert cluster.has("b") == []


def test_a_replica_is_caught_up_when_the_leader_waits_for_it(cluster: Cluster) -> None:
    opened(cluster, a="sync", b="copy")
    cluster.append("a", "one")
    wait_for("b has joined", cluster.replicas["b"].caught_up)
    cluster.replicas["b"].demote(term(6, "", a="sync", b="copy"))
    assert not cluster.replicas["b"].caught_up(), "that was under another generation"
    with pytest.raises(RefusedError, match="may yet be"):
        cluster.try_to_append("a", "two")


def test_one_of_the_last_in_sync_that_comes_back_has_all(cluster: Cluster) -> None:
    cluster.open(term(8, "", a="back", b="copy"), "a", "b")
    assert cluster.replicas["a"].caught_up()
    assert not cluster.replicas["b"].caught_up()


def test_a_new_generation_of_the_same_leader_counts_who_is_in_sync_then(cluster: Cluster) -> None:
    opened(cluster, **SYNC)
    cluster.replicas["c"].demote(term(6, "", **SYNC))
    with pytest.raises(RefusedError):
        cluster.try_to_append("a", "one")
    cluster.lead(6, "a", a="sync", b="sync")
    assert cluster.append("a", "one", sequence=1) == 0
    assert cluster.has("c") == []
    with pytest.raises(RefusedError, match="c does not follow under generation 6"):
        cluster.ask("a", {"do": "fetch", "generation": 6, "worker": "c", "address": "", "end": 0, "last": 0})
    with pytest.raises(RefusedError, match="b does not follow"):
        cluster.ask("a", {"do": "fetch", "generation": 5, "worker": "b", "address": "", "end": 0, "last": 0})


def test_a_handover_ends_when_the_others_have_everything(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(cluster, **SYNC)
    cluster.append("a", "one")
    cluster.replicas["a"].handover(term(5, "a", "primary", **SYNC), "b")
    assert cluster.has("b") == ["one"]
    with pytest.raises(RefusedError, match="does not lead"):
        cluster.try_to_append("a", "two")
    cluster.lead(6, "b", **SYNC)
    assert cluster.append("b", "two", sequence=2) == 1
    # Called off: it leads again.
    cluster.replicas["b"].handover(term(6, "b", "primary", **SYNC), "c")
    cluster.lead(7, "b", **SYNC)
    assert cluster.append("b", "three") == 2
    # One does not follow: it does not wait for ever.
    monkeypatch.setattr(replica, "HANDOVER_SECONDS", 0.1)
    cluster.replicas["a"].demote(term(8, "", **SYNC))
    with pytest.raises(RefusedError):
        cluster.try_to_append("b", "four")
    cluster.replicas["b"].handover(term(7, "b", "primary", **SYNC), "c")
    with pytest.raises(RefusedError, match="does not lead"):
        cluster.try_to_append("b", "five")


def test_while_it_hands_over_it_takes_nothing(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "HANDOVER_SECONDS", LONGEST_WAIT)
    opened(cluster, **SYNC)
    cluster.replicas["c"].demote(term(6, "", **SYNC))
    with pytest.raises(RefusedError):
        cluster.try_to_append("a", "one")
    told = (term(5, "a", "primary", **SYNC), "b")
    handing = threading.Thread(target=cluster.replicas["a"].handover, args=told)
    handing.start()
    wait_for("it hands over", lambda: not cluster.replicas["a"]._taking)
    with pytest.raises(RefusedError, match="hands over"):
        cluster.try_to_append("a", "two")
    cluster.replicas["c"].demote(term(5, "a", **SYNC))
    handing.join()
    assert cluster.has("b") == cluster.has("c") == ["one"]


def test_what_is_asked_of_another_partition_is_refused(cluster: Cluster) -> None:
    opened(cluster, a="sync")
    with pytest.raises(RefusedError, match="another partition"):
        cluster.ask("a", {"do": "state", "shard": 1})
    with pytest.raises(RefusedError, match="no such request"):
        cluster.ask("a", {"do": "append"})
    assert cluster.ask("a", {"do": "state"}).fields == {
        "generation": 5,
        "in_sync": ["a"],
        "end": 0,
        "acknowledged": 0,
    }


# ---------------------------------------------------------------- readers


def test_a_new_leader_answers_readers_when_it_knows_what_the_one_before_has_acknowledged(
    cluster: Cluster,
) -> None:
    opened(cluster, **SYNC)
    cluster.append("a", "one")
    members = {"b": "sync", "c": "sync"}
    cluster.replicas["c"].demote(term(6, "", **members))
    cluster.replicas["b"].promote(term(6, "b", "primary", **members))
    with pytest.raises(RefusedError, match="does not know yet"):
        cluster.read("b")
    cluster.replicas["c"].demote(term(6, "b", **members))
    assert cluster.read("b") == ["one"]
    # A leader that stays knows.
    cluster.replicas["c"].demote(term(7, "", **members))
    with pytest.raises(RefusedError):
        cluster.try_to_append("b", "two")
    cluster.replicas["b"].promote(term(7, "b", "primary", **members))
    assert cluster.read("b") == ["one"]


def test_a_reader_is_not_answered_by_a_leader_that_was_replaced_meanwhile(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(cluster, a="sync")
    changed, waiting, answers = cluster.replicas["a"]._changed, threading.Event(), list[object]()
    wait = changed.wait

    def read() -> None:
        try:
            answers.append(cluster.ask("a", {"do": "read", "offset": 0, "wait": LONGEST_WAIT}))
        except RefusedError as refusal:
            answers.append(refusal)

    def note(timeout: float | None = None) -> bool:
        if timeout is not None:  # who flushes waits for as long as it takes
            waiting.set()
        return wait(timeout)

    monkeypatch.setattr(changed, "wait", note)
    reader = threading.Thread(target=read)
    reader.start()
    assert waiting.wait(LONGEST_WAIT)
    cluster.replicas["a"].demote(term(6, "", a="sync"))
    reader.join(LONGEST_WAIT)
    assert isinstance(answers[0], RefusedError)


class Ensemble:
    """In place of a client: knows who leads."""

    def __init__(self, cluster: Cluster, leader: str) -> None:
        self._cluster, self.leader, self.looks = cluster, leader, 0

    def table(self, _name: str) -> "Ensemble":
        return self

    def shard(self, _shard: int) -> SimpleNamespace:
        self.looks += 1
        return SimpleNamespace(address=self._cluster.replicas[self.leader].address)


def test_who_has_found_nothing_for_a_while_looks_who_leads(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The leader is frozen as far as it has a worker: its handler goes on, and hears nothing."""
    opened(cluster, **SYNC)
    ensemble = Ensemble(cluster, "a")
    its: Topic = Topic(ensemble, "t", timeout=LONGEST_WAIT)  # type: ignore[arg-type]
    assert [its.consume(0) for _ in range(3)] == [[], [], []]
    assert ensemble.looks == 1, "not each time"
    members = {"b": "sync", "c": "sync"}
    cluster.replicas["c"].demote(term(6, "b", **members))
    cluster.replicas["b"].promote(term(6, "b", "primary", **members))
    ensemble.leader = "b"
    cluster.append("b", "new")
    monkeypatch.setattr(topic, "LOOK_SECONDS", 0.01)
    assert [record.value for record in its.consume(0, wait=LONGEST_WAIT)] == [b"new"]


def test_a_reader_waits_as_long_as_it_said(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replica, "MOST_READ_SECONDS", 0.01)
    monkeypatch.setattr(topic, "LOOK_SECONDS", 0.02)
    opened(cluster, a="sync")
    its: Topic = Topic(Ensemble(cluster, "a"), "t", timeout=LONGEST_WAIT)  # type: ignore[arg-type]
    begin = time.monotonic()
    assert its.consume(0, wait=0.3) == []
    assert time.monotonic() >= begin + 0.3
    later = threading.Timer(0.2, cluster.append, ("a", "one"))
    later.start()
    assert len(its.consume(0, wait=LONGEST_WAIT)) == 1
    later.join()


# ---------------------------------------------------------------- producers


@pytest.mark.processes
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_process_that_was_forked_is_another_producer(cluster: Cluster) -> None:
    opened(cluster, a="sync")
    its: Topic = Topic(Ensemble(cluster, "a"), "t", timeout=LONGEST_WAIT)  # type: ignore[arg-type]
    assert its.produce(b"before", partition=0) == (0, 0)
    child = os.fork()
    if not child:
        failed = 1
        try:
            its.produce(b"child", partition=0)
            failed = 0
        finally:
            os._exit(failed)
    assert os.waitpid(child, 0)[1] == 0
    assert its.produce(b"parent", partition=0) == (0, 2)
    assert cluster.read("a") == ["before", "child", "parent"]


def test_producers_are_different_ones_though_their_programs_have_drawn_the_same_numbers() -> None:
    numbers = set()
    for _ in range(2):
        random.seed(1)
        numbers.add(Topic(Ensemble(Cluster(Path()), ""), "t")._producer.number)  # type: ignore[arg-type]
    assert len(numbers) == 2


# ---------------------------------------------------------------- disks that are full or broken


ending = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


class Ends:
    """How often the process would have ended. Its threads do, here."""

    def __init__(self) -> None:
        self.count = 0

    def _exit(self, _code: int) -> None:
        self.count += 1
        raise RefusedError("the process has ended")


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Ends:
    ends = Ends()
    monkeypatch.setattr(follower, "os", ends)
    return ends


@ending
def test_a_follower_whose_disk_has_failed_ends_and_never_says_that_it_has_the_record(
    cluster: Cluster, ends: Ends
) -> None:
    opened(cluster, a="sync", b="sync")
    cluster.append("a", "one")
    cluster.disk.broken["fdatasync", "/b/"] = errno.EIO
    with pytest.raises(RefusedError, match="may yet be"):
        cluster.try_to_append("a", "two")
    wait_for("b ends", lambda: ends.count == 1)
    cluster.disk.broken.clear()  # the next flush would succeed, as it does on Linux
    with pytest.raises(RefusedError, match="may yet be"):
        cluster.try_to_append("a", "two", sequence=2)
    with pytest.raises(log.DiskError):
        cluster.replicas["b"].demote(term(6, "", a="sync", b="sync"))


@ending
def test_a_follower_whose_disk_is_full_ends(cluster: Cluster, ends: Ends) -> None:
    opened(cluster, a="sync", b="sync")
    cluster.disk.broken["pwrite", "/b/partitions/t-0/log"] = errno.ENOSPC
    with pytest.raises(RefusedError, match="may yet be"):
        cluster.try_to_append("a", "one")
    wait_for("b ends", lambda: ends.count == 1)


@ending
@pytest.mark.parametrize("call", ["pwrite", "fdatasync"])
def test_a_leader_whose_disk_is_full_or_broken_ends(cluster: Cluster, ends: Ends, call: str) -> None:
    opened(cluster, a="sync")
    cluster.disk.broken[call, "/a/partitions/t-0/log"] = errno.ENOSPC
    with pytest.raises((OSError, RefusedError)):
        cluster.try_to_append("a", "one")
    wait_for("a ends", lambda: ends.count)


# ---------------------------------------------------------------- whatever happens


def _goes_on(world: World, producers: list[Producer], before: int) -> bool:
    world.turn()
    return sum(len(producer.acknowledged) for producer in producers) > before + 3


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_what_was_acknowledged_is_there_once_and_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    draw = random.Random(seed)  # noqa: S311 - to be repeated, as far as threads allow
    world = World(tmp_path, draw)
    wire(world, tmp_path, monkeypatch)
    monkeypatch.setattr(replica, "HANDOVER_SECONDS", 0.1)
    producers = [Producer(world, number) for number in range(1, 4)]
    try:
        for fault in range(12):
            for _ in range(draw.randrange(10, 40)):
                world.turn()
                time.sleep(0.002)
            name = draw.choice(NAMES)
            do = draw.choice([world.kill, world.lose, world.crash, world.come_back, world.come_back])
            do(name)
            if fault % 4 == 3:
                for name in NAMES:
                    world.come_back(name)
        for name in NAMES:
            world.come_back(name)
        wait_for("all have everything", world.turn)
        before = sum(len(producer.acknowledged) for producer in producers)
        wait_for("it goes on", partial(_goes_on, world, producers, before))
    finally:
        for producer in producers:
            producer.stopped = True
        for producer in producers:
            producer.join()
    wait_for("all have the same", lambda: world.stored("a") == world.stored("b") == world.stored("c"))
    values = [record.value for record in world.stored("a")]
    assert len(set(values)) == len(values), "no record is there twice"
    for producer in producers:
        for offset, value in producer.acknowledged.items():
            assert values[offset] == value
    for one in world.replicas.values():
        one.close()
        one._server.close()
        one._log.close()
