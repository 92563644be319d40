"""Records what is seen while the story runs: one JSON object a line, monotonic times.

It does not know what the story intends. It asks daemons and servers for their state again and again, looks at
hosts, and records kills as the host notes them, and acknowledgements as clients get them. ``demo.report``
reads the record.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from chaos.cluster import MASTER_PORT, WORKER_PORT, WORKER_UNIT, Cluster
from chaos.faults import MASTER_UNIT, SERVER_UNIT
from chaos.load import Submitter, Writer
from chaos.stores import Store
from demo.report.lanes import HANDLER, HANDOVER, NO_ANSWER, NOBODY, OWNER, UNWATCHED
from lab import Lab, LabError
from mwapp.core.shards.protocol import SERVING
from mwapp.errors import MwappError
from mwapp.status import shards as shown
from testbed import asking

# Seconds between two looks. Each costs the hosts time that the measured take-overs need.
MASTERS_EVERY = 0.1
WORKERS_EVERY = 0.2
SERVERS_EVERY = 0.1
HOSTS_EVERY = 0.05
OWNERS_EVERY = 0.05
LOAD_EVERY = 0.5

KINDS = {MASTER_UNIT: "master", WORKER_UNIT: "worker", SERVER_UNIT: "server"}  # of parts, as in what is seen
NOT_SERVING = "not serving"  # a server that runs without a quorum

State = dict[str, Any]


class EventLog:
    """One event a line. Each line is written whole and at once, so that a broken-off story leaves a record.

    ``t`` is seconds since the log was opened.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("w", buffering=1)
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._offset = time.time() - self._began
        self.write("begin", unix=round(time.time(), 3))

    def __enter__(self) -> "EventLog":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def now(self) -> float:
        """Seconds since the log was opened."""
        return self.at(time.monotonic())

    def at(self, monotonic: float) -> float:
        """The log's time of a monotonic one."""
        return round(monotonic - self._began, 4)

    def at_unix(self, unix: float) -> float:
        """The log's time of a host's clock, which lab hosts share with this machine."""
        return self.at(unix - self._offset)

    def write(self, event: str, at: float | None = None, **more: Any) -> None:
        """Record an event that is seen now, or was at ``at`` (the log's time)."""
        line = json.dumps({"t": self.now() if at is None else at, "event": event, **more})
        with self._lock:
            self._file.write(line + "\n")


class RecordedCluster(Cluster):
    """A cluster that records the processes it kills, at the time noted by their host."""

    def __init__(self, lab: Lab, log: EventLog) -> None:
        super().__init__(lab)
        self._log = log

    def kill(self, node: str, unit: str, *args: Any, **more: Any) -> float:
        """Kill it, and record that."""
        at = super().kill(node, unit, *args, **more)
        self._log.write("kill", self._log.at_unix(at), kind=KINDS[unit], node=node, unit=unit)
        return at

    def kill_owner(self, node: str, table: str, *, worker: bool) -> tuple[float, float]:
        """Kill it, and record when that began and was over."""
        began, over = super().kill_owner(node, table, worker=worker)
        killed = (
            {"kind": KINDS[WORKER_UNIT], "unit": WORKER_UNIT} if worker else {"kind": HANDLER, "unit": table}
        )
        self._log.write("kill", self._log.at_unix(began), node=node, over=self._log.at_unix(over), **killed)
        return began, over


class ClusterRecorder:
    """Looks at every part of the cluster while it is open, and records each change."""

    def __init__(self, log: EventLog, cluster: Cluster) -> None:
        self._log = log
        self._cluster = cluster
        self._stop = threading.Event()
        looks: list[tuple[str, Iterable[str], float, Callable[[str], State | None]]] = [
            ("master", cluster.masters, MASTERS_EVERY, self._master),
            ("worker", cluster.workers, WORKERS_EVERY, self._worker),
            ("server", cluster.servers, SERVERS_EVERY, self._server),
            ("host", [*cluster.servers, *cluster.workers], HOSTS_EVERY, self._host),
        ]
        self._threads = [
            self._thread(partial(self._watch, kind, node, every, look))
            for kind, nodes, every, look in looks
            for node in nodes
        ]

    def __enter__(self) -> "ClusterRecorder":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=5)

    def follow(self, submitter: Submitter, writers: dict[str, Writer]) -> None:
        """From now on record these clients' acknowledgements."""
        self._threads.append(self._thread(partial(self._acknowledged, submitter, writers)))
        self._threads[-1].start()

    @contextmanager
    def following(self, store: Store) -> Iterator[None]:
        """Meanwhile record who owns this store, and its client's acknowledgements."""
        over = threading.Event()
        looks = self._thread(
            partial(self._watch, OWNER, store.table, OWNERS_EVERY, partial(_owner, store), over)
        )
        writes = self._thread(partial(self._stored, store, over))
        looks.start()
        writes.start()
        try:
            yield
        finally:
            over.set()
            looks.join(timeout=5)
            writes.join(timeout=5)
            self._log.write("seen", kind=OWNER, node=store.table, state=UNWATCHED)

    @staticmethod
    def _thread(work: Callable[[], None]) -> threading.Thread:
        return threading.Thread(target=work, name="recorder", daemon=True)

    # ------------------------------------------------------------ looking

    def _watch(
        self,
        kind: str,
        node: str,
        every: float,
        look: Callable[[str], State | None],
        over: threading.Event | None = None,
    ) -> None:
        last: State | None = None
        after: dict[str, float] = {}  # when the last look that saw it so began
        while not (over or self._stop).wait(every):
            asked = self._log.now()
            seen = look(node)
            if seen is not None and seen != last:
                # Silence began at the latest with the question; an answer is true when it comes.
                at = asked if seen["state"] == NO_ANSWER else self._log.now()
                self._log.write("seen", at, kind=kind, node=node, **seen, **after)
                last = seen
            if seen is not None:
                after["after"] = asked

    def _master(self, node: str) -> State:
        status = self._cluster.endpoint(node, MASTER_PORT)
        seen: State = {"state": status.get("state", NO_ANSWER)}
        if seen["state"] == "active":
            seen["epoch"] = status["epoch"]
            seen["elected"] = self._log.at_unix(status["elected_at"])
        return seen

    def _worker(self, node: str) -> State:
        return {"state": self._cluster.state(node, WORKER_PORT) or NO_ANSWER}

    def _server(self, node: str) -> State:
        answer = self._cluster.ask(node, "srvr")
        if not answer:
            return {"state": NO_ANSWER}
        told = asking.fields(answer, ": ")
        seen: State = {"state": told.get("Mode", NOT_SERVING)}
        if seen["state"] == "leader":
            seen["epoch"] = int(told["Zxid"], 16) >> 32
        return seen

    def _host(self, node: str) -> State | None:
        try:
            return {"state": self._cluster.lab.state(node)}
        except LabError:  # it is being switched on or off: look again
            return None

    # ------------------------------------------------------------ acknowledgements

    def _acknowledged(self, submitter: Submitter, writers: dict[str, Writer]) -> None:
        accepted = 0
        written = dict.fromkeys(writers, 0)
        more = True
        while more:
            more = not self._stop.wait(LOAD_EVERY)  # once more after the end
            if tasks := submitter.accepted[accepted:]:
                accepted += len(tasks)
                self._log.write("accepted", tasks=[[self._log.at(at), name] for at, name in tasks])
            for node, writer in writers.items():
                if writes := writer.acknowledged[written[node] :]:
                    written[node] += len(writes)
                    self._log.write("writes", client=node, times=[self._log.at(at) for at, _ in writes])

    def _stored(self, store: Store, over: threading.Event) -> None:
        """Of each acknowledged write when it was begun, and when the client was told."""
        written = 0
        more = True
        while more:
            more = not over.wait(LOAD_EVERY)  # once more after the end
            if writes := store.writer.done[written:]:
                written += len(writes)
                times = [[self._log.at(done.began), self._log.at(done.ended)] for done in writes]
                self._log.write("stored", store=store.table, writes=times)


def _owner(store: Store, _table: str) -> State | None:
    """Its worker and generation, if it has an owner; None if the ensemble does not say."""
    try:
        shard = store.state()
    except MwappError:
        return None
    if shard.state == SERVING:
        return {"state": shard.primary, "generation": shard.generation}
    return {"state": HANDOVER if shard.state == shown.HANDOVER else NOBODY}
