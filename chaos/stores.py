"""The example stores on the lab's hosts (docs/stores.md, "On hosts").

A client writes to one of them all the time, and who owns what it writes to dies.
"""

import os
import shlex
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import ClassVar, NamedTuple

from kazoo.exceptions import NoNodeError
from stores.blocks.files import Files
from stores.partitions.topic import Topic
from stores.regions.client import Regions

from chaos.cluster import BrokenPromiseError, Cluster
from chaos.load import reader
from mwapp import Client, ShardState
from mwapp.core.shards.protocol import SERVING
from mwapp.errors import NotFoundError
from testbed.stores import (
    FileWriter,
    Person,
    Producer,
    Writer,
    in_sync,
    whole_log,
    wrong_in_files,
    wrong_in_log,
    wrong_in_regions,
)
from testbed.waiting import LONGEST_WAIT, wait_for

# As inventory/lab has it.
CERTIFICATE, NAME = "/etc/mwapp-stores.pem", "stores"
DATA, REGIONS = "/var/lib/mwapp", "/srv/shared/regions"
WHOSE = f'"$(stat --format=%U {DATA})"'  # the user that runs the handlers, in a shell on a host
WRITE_EVERY = 0.01  # pause of a client after each acknowledged write, seconds
CLIENT_SECONDS = 2 * LONGEST_WAIT  # a client that is not served gives up after so long
LONGEST_FILE = 40_000  # bytes


def installed(cluster: Cluster) -> bool:
    """Whether the hosts were provisioned with the stores."""
    known = f"test -d {DATA} && /opt/mwapp/current/bin/python -c 'import stores'"
    return all(cluster.lab.exec(node, ["sh", "-c", known]).returncode == 0 for node in cluster.workers)


def admit(cluster: Cluster) -> None:
    """The stores' handlers on the hosts, and their clients in this process, may ask the ensemble."""
    if (files := cluster.tls(NAME)) is None:
        return
    # On the disk: a host that loses its power must still have it.
    install = f"install --owner={WHOSE} --mode=0400 /dev/stdin {CERTIFICATE} && sync {CERTIFICATE}"
    for node in cluster.workers:
        cluster.lab.exec(node, ["sh", "-c", install], stdin=files.cert.read_text(), check=True)
    os.environ |= {"MWAPP_TLS_CA": str(files.ca), "MWAPP_TLS_CERT": str(files.cert)}


class Owner(NamedTuple):
    """Who owns a shard, and the generation under which it serves. No worker: nobody serves it."""

    worker: str
    generation: int


class Store(ABC):
    """One of them: a table with one shard, which it makes anew, and a client that writes."""

    table: ClassVar[str]
    replicas: ClassVar[int] = 3
    writer: Writer

    def __init__(self, cluster: Cluster, client: Client) -> None:
        self._cluster, self._table = cluster, client.table(self.table)
        self._clear()
        self._make(client)
        self.wait_until_whole()
        self.writer.pause = WRITE_EVERY

    @abstractmethod
    def _make(self, client: Client) -> None:
        """Make the table, and the writer."""

    @abstractmethod
    def wrong(self) -> list[str]:
        """What is not as it was acknowledged, when the client has stopped."""

    def state(self) -> ShardState:
        """Who has the shard, as the ensemble knows it."""
        return self._table.shard(0)

    def owner(self) -> Owner:
        """Who serves it now."""
        state = self.state()
        return Owner(state.primary if state.state == SERVING else "", state.generation)

    def wait_until_whole(self) -> None:
        """The shard is served, and all of its replicas are in sync."""
        wait_for(
            f"all replicas of {self.table} are in sync",
            lambda: in_sync([self.state()], self.replicas),
            CLIENT_SECONDS,
            every=0.1,
        )

    def _clear(self) -> None:
        """What an earlier story has left: its table, its files, what is on disks."""
        with suppress(NotFoundError):
            self._table.delete(timeout=CLIENT_SECONDS)
        with reader(self._cluster.hosts(), self._cluster.tls()) as superuser:
            for parent in ("/files", "/writing"):  # docs/stores.md: with lists nobody else may make them
                superuser.ensure_path(parent)
                with suppress(NoNodeError):
                    superuser.delete(f"{parent}/{self.table}", recursive=True)
        for node in self._cluster.workers:
            own, shared = f"{DATA}/{node}", shlex.quote(f"{REGIONS}/{self.table}")
            script = f"rm -rf {own}/partitions/{self.table}-* {own}/blocks/{self.table} {shared}"
            make = f"install --directory --owner={WHOSE} --mode=0700 {REGIONS}"
            self._cluster.lab.exec(node, ["sh", "-c", f"{script} && {make}"], check=True)


class RegionStore(Store):
    """A sorted table, one region of it: HBase's picture."""

    table, replicas = "demo-region", 1
    writer: Person

    def _make(self, client: Client) -> None:
        self._regions = Regions(client, self.table, timeout=CLIENT_SECONDS)
        self._regions.create()
        self.writer = Person(self._regions, "person", districts=1, once=1)

    def wrong(self) -> list[str]:
        return wrong_in_regions(dict(self._regions.scan()), [self.writer])


class PartitionStore(Store):
    """A topic, one partition of it: Kafka's picture."""

    table = "demo-partition"
    writer: Producer

    def _make(self, client: Client) -> None:
        self._topic = Topic(client, self.table, timeout=CLIENT_SECONDS)
        self._topic.create(1)
        self.writer = Producer(self._topic, 1, 1)

    def wrong(self) -> list[str]:
        return [*wrong_in_log(whole_log(self._topic, 0), 0, [self.writer]), *self.writer.wrong]


class BlockStore(Store):
    """Files, and one group of their blocks: HDFS's picture."""

    table = "demo-blocks"
    writer: FileWriter

    def _make(self, client: Client) -> None:  # noqa: ARG002 - files have sessions of their own
        with self._open() as files:
            files.create(groups=1)
        self.writer = FileWriter(self._open(), 1, LONGEST_FILE, once=1)

    def wrong(self) -> list[str]:
        with self._open() as files:
            return [*wrong_in_files(files, [self.writer]), *self.writer.wrong]

    def _open(self) -> Files:
        return Files(self._cluster.hosts(), self.table, CLIENT_SECONDS)


class Succession(NamedTuple):
    """Who owned the shard before and after; and when the next write was acknowledged, ms after the kill."""

    before: Owner
    after: Owner
    ms: float


def lose_owner(cluster: Cluster, store: Store, *, worker: bool) -> Succession:
    """SIGKILL what serves the shard on its owner's host, and the worker with it if that is asked for.

    Returns when a write that began afterwards is acknowledged: so it is the successor's.
    """
    before = wait_for(f"{store.table} has an owner", lambda: it if (it := store.owner()).worker else None)
    began, over = cluster.kill_owner(before.worker, store.table, worker=worker)
    dead = over - time.time() + time.monotonic()

    def look() -> float | None:
        return next((done.ended for done in list(store.writer.done) if done.began > dead), None)

    first = wait_for(f"a write to {store.table} is acknowledged again", look, CLIENT_SECONDS)
    after = wait_for(f"{store.table} has an owner", lambda: it if (it := store.owner()).worker else None)
    if after.worker == before.worker or after.generation <= before.generation:
        raise BrokenPromiseError(f"{store.table} had {before}, which was killed, and then {after}")
    return Succession(before, after, (first - dead + over - began) * 1000)
