"""What a table of many shards costs on a real ensemble, with fsync: until all are served, until those
of a worker that is gone are, and until the next master knows them.

The floor is the bare writes of the same pages. The master is a process, the workers are threads; their
handlers do at once what they are told: ten thousand processes would measure the machine.
"""

import re
import tempfile
import threading
import time
from collections.abc import Callable, Collection
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from kazoo.client import KazooClient

from bench.report import Report, summary
from mwapp import Client, ShardState
from mwapp.core.messages import (
    CloseShard,
    DemoteShard,
    Exited,
    OpenShard,
    PromoteShard,
    ShardCommand,
    ShardSays,
)
from mwapp.core.protocol import WORKERS
from mwapp.core.session import Process
from mwapp.core.shards.holder import Holder
from mwapp.core.shards.protocol import table_path
from mwapp.core.worker import Worker
from mwapp.loop import Loop
from mwapp.zookeeper.connect_string import Servers
from testbed.daemons import Daemon, Site
from testbed.ensemble import Ensemble
from testbed.stores import in_sync
from testbed.waiting import wait_for

TABLE = "many"
REPLICAS = 2
GRACE = 5.0  # seconds after which a lost replica is made anew
COPIES = 1000  # at a time for each worker: they take no time here
SESSION_SECONDS = 10.0
PICTURE = 0.5  # what a master tells of itself is not older, seconds
LONGEST = 300.0  # seconds that any of this may take
SETTINGS = ("--session-timeout", str(SESSION_SECONDS), "--log-level", "warning")
# Who serves each shard, and since when.
Serving = dict[int, tuple[str, float]]


class _AtOnce:
    """Runs no handler, but says what one would."""

    def __init__(self, worker: str, serving: Serving, post: Callable[[Exited | ShardSays], None]) -> None:
        self._worker, self._serving, self._post = worker, serving, post
        self._shards: dict[int, int] = {}

    def tell_shard(self, command: ShardCommand) -> None:
        """Do it."""
        match command:
            case OpenShard(run, generation=generation):
                self._shards[run] = command.shard
                said = ["open", "ready"]
            case PromoteShard(run, generation):
                self._serving[self._shards[run]] = self._worker, time.monotonic()
                said = ["serving"]
            case DemoteShard(run, generation):
                said = ["open", "ready"] if command.to is None else ["released"]
            case CloseShard(run):
                generation = 0
                said = ["closed"] if self._shards.pop(run, None) is not None else []
        for word in said:
            self._post(ShardSays(run, word, generation))

    def keep(self, lease: float) -> None:
        """There is nothing to keep."""

    def kill_all(self) -> None:
        """There is nothing to kill."""


class _Fleet:
    """Workers, each in a thread."""

    def __init__(self, connect: str, names: Collection[str]) -> None:
        self.serving: Serving = {}
        self._loops = {name: self._worker(connect, name) for name in names}
        self._threads = {name: threading.Thread(target=loop.run) for name, loop in self._loops.items()}

    def _worker(self, connect: str, name: str) -> Loop:
        process = Process()
        Worker(process, name, "127.0.0.1:9")
        Holder(process, name)

        def make(post: Callable[[Exited | ShardSays], None]) -> Any:
            return _AtOnce(name, self.serving, post)

        return Loop(process, Servers.parse(connect), SESSION_SECONDS, make_runner=make)

    def __enter__(self) -> Self:
        for thread in self._threads.values():
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in [*self._loops]:
            self.lose(name)

    def lose(self, name: str) -> None:
        """End it at once, and its session: its shards serve nobody."""
        self._loops.pop(name).abort()
        self._threads[name].join()

    def served(self, shards: int) -> bool:
        """Whether each shard is served by somebody who is there."""
        now = list(self.serving.values())
        return len(now) == shards and all(name in self._loops for name, _ in now)


class _Scene:
    """A table, its workers and its masters."""

    def __init__(self, connect: str, home: Path, stack: ExitStack, shards: int, workers: int) -> None:
        self._shards = shards
        self._site = stack.enter_context(Site(connect, home))
        self.master = self._site.start("master", "m1", *SETTINGS)
        self.master.wait_for_state("active")
        self.fleet = stack.enter_context(_Fleet(connect, [f"w{n}" for n in range(workers)]))
        self._client = stack.enter_context(Client(connect))
        self.bare = stack.enter_context(closing(KazooClient(connect)))
        self.bare.start()
        stack.callback(self.bare.stop)
        wait_for("all workers are there", lambda: self._there() == workers, LONGEST)

    def _there(self) -> int:
        return len(self.bare.get_children(WORKERS)) if self.bare.exists(WORKERS) else 0

    def create(self) -> float:
        """Seconds until all are served."""
        began = time.monotonic()
        options: dict[str, Any] = {"handler": "bench:none", "shared": False, "grace": GRACE, "copies": COPIES}
        self._client.table(TABLE).create(shards=self._shards, replicas=REPLICAS, **options)
        self._wait_until_served()
        return max(at for _, at in self.fleet.serving.values()) - began

    def lose(self, name: str) -> list[float]:
        """Seconds that each shard was served by nobody, when this worker was gone."""
        its = [shard for shard, (worker, _) in self.fleet.serving.items() if worker == name]
        began = time.monotonic()
        self.fleet.lose(name)
        self._wait_until_served()
        return [self.fleet.serving[shard][1] - began for shard in its]

    def take_over(self) -> float:
        """Seconds until the next master knows the table, after one is killed."""
        new = self._site.start("master", "m2", *SETTINGS)
        new.wait_for_state("standby")
        began = time.monotonic()
        self.master.kill()
        self.master.release()
        self.master = new
        wait_for("the next master knows the table", self.told, LONGEST, every=0.01)
        return time.monotonic() - began

    def wait_until_whole(self) -> None:
        """Until each shard has all its replicas."""
        states: Callable[[], list[ShardState]] = self._client.table(TABLE).show
        wait_for("all have their replicas", lambda: in_sync(states(), REPLICAS), LONGEST, every=0.5)

    def told(self) -> dict[str, Any]:
        """What the master says of the table; empty if it knows none."""
        shards: dict[str, Any] = self.master.status().get("shards", {})
        return shards if TABLE in shards.get("tables", {}) else {}

    def transactions(self) -> int:
        """Of shards, by this master until now."""
        time.sleep(PICTURE)
        told: dict[str, Any] = wait_for("the master tells of the table", self.told, LONGEST)
        return int(told["counters"]["transactions"])

    def pages(self) -> list[bytes]:
        """As they are stored."""
        top = table_path(TABLE)
        return [self.bare.get(f"{top}/{page}")[0] for page in self.bare.get_children(top)]

    def _wait_until_served(self) -> None:
        wait_for("all are served", lambda: self.fleet.served(self._shards), LONGEST, every=0.01)


def measure(shards: int, workers: int) -> Report:
    """One table, created, and its failures."""
    report = Report("shards", shards=shards, workers=workers, replicas=REPLICAS)
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as home,
        Ensemble(fsync=True) as ensemble,
        ExitStack() as stack,
    ):
        scene = _Scene(f"{ensemble.connect_string}/shards", Path(home), stack, shards, workers)
        created, begun = scene.create(), scene.transactions()
        scene.wait_until_whole()
        pages = scene.pages()
        bare = _bare_writes(scene.bare, pages)
        before = scene.transactions()
        gaps = scene.lose("w0")
        promoted = scene.transactions() - before
        scene.wait_until_whole()
        moved = scene.transactions() - before - promoted
        memory = _resident(scene.master)
        taken_over = scene.take_over()
    report.add(
        created={"seconds": round(created, 2), "transactions": begun, "times_bare": round(created / bare, 1)},
        pages={"number": len(pages), "bytes": sum(map(len, pages)), "largest": max(map(len, pages))},
        bare_seconds=round(bare, 3),
        lost={"shards": len(gaps), "gap_ms": summary([1000 * gap for gap in gaps]), "transactions": promoted},
        copied={"transactions": moved},
        taken_over_seconds=round(taken_over, 2),
        master_megabytes=memory,
    )
    gap = summary([1000 * gap for gap in gaps])
    for line in (
        f"{shards} shards of {REPLICAS} replicas on {workers} workers, in {len(pages)} pages:",
        f"all served after {created:.1f} s, {created / bare:.1f} times the pages' bare writes",
        f"  in {begun} transactions of the master",
        f"a worker lost: others serve its {len(gaps)}, median {gap['p50']:.0f} ms, last {gap['max']:.0f} ms",
        f"  in {promoted} transactions, and {moved} to make its replicas anew",
        f"a master killed: the next one knows all after {taken_over:.1f} s; its memory {memory} MB",
    ):
        print(line)
    return report


def _bare_writes(client: KazooClient, pages: list[bytes]) -> float:
    """Seconds that it takes to write them all into znodes of their own, one after the other on its way."""
    places = [client.create("/bare-", sequence=True) for _ in pages]
    began = time.monotonic()
    for sent in [client.set_async(place, page) for place, page in zip(places, pages, strict=True)]:
        sent.get()
    return time.monotonic() - began


def _resident(daemon: Daemon) -> int:
    """Memory of its process, MB."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    (kilobytes,) = re.findall(r"VmRSS:\s+(\d+) kB", status)
    return int(kilobytes) // 1024
