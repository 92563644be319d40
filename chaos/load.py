"""A load that keeps account of promises: writers measure gaps, submitters check that no task is lost."""

import queue
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException, NoNodeError
from kazoo.handlers.threading import KazooTimeoutError

from chaos.cluster import BrokenPromiseError, Cluster, TlsFiles
from mwapp.core.client import Refusal, Submit
from mwapp.core.protocol import DONE, TASKS, Outcome, result_path, status_path, task_path
from mwapp.core.retention import RETENTION
from mwapp.core.session import Process
from mwapp.core.task import Task
from mwapp.loop import Loop
from mwapp.zookeeper.connect_string import Servers
from mwapp.zookeeper.tls_handler import TlsHandler
from testbed.waiting import NotInTimeError, wait_for

WRITE_EVERY = 0.02  # pause after each acknowledged write, seconds
PUMP_EVERY = 0.02
PATH = "/chaos"
# A plain client notices a dead server after two thirds of its session time-out without an answer.
LOAD_SESSION_SECONDS = 4.0
# No client waits longer for a write while a play takes one server after the other: an election, with room for
# a busy machine. Without a quorum a gap lasts as long as that.
GAP_SECONDS = 10.0
CONNECT_SECONDS = 0.5
TASKS_PER_SECOND = 20
RECONNECT = {"max_tries": -1, "delay": 0.05, "max_delay": 0.2}


class Impatient(TlsHandler):
    """kazoo waits for a server to accept a connection as long as a session lasts, even if its host has no
    power."""

    def __init__(self, tls: TlsFiles | None = None) -> None:
        super().__init__(None, CONNECT_SECONDS)
        self._files = tls

    def create_connection(self, **how: Any) -> Any:
        """Connect, or give up soon; with the certificates as they are now."""
        self._tls = self._files.read() if self._files else None
        return super().create_connection(**how)


class Writer:
    """A client that writes again and again, one write at a time, and records each acknowledgement's time.

    It keeps one session across servers. The value only grows, so at the end the stored value must be at least
    the last acknowledged one; less would be a lost write.
    """

    def __init__(self, cluster: Cluster, first: str) -> None:
        self._path = f"{PATH}/{first}-{uuid.uuid4().hex[:8]}"
        self._hosts, self._tls = cluster.hosts(first), cluster.tls()
        self.acknowledged: list[tuple[float, int]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"writer-{first}", daemon=True)

    def __enter__(self) -> "Writer":
        self._thread.start()
        wait_for("a first write is acknowledged", lambda: self.acknowledged, 30)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=15)

    def longest_gap(self, since: float, until: float) -> float:
        """The longest time between two acknowledged writes that overlaps [since, until], seconds."""
        times = [*(at for at, _ in list(self.acknowledged)), until]
        return max((b - a for a, b in pairwise(times) if b > since and a < until), default=until - since)

    def writes_since(self, since: float) -> int:
        """How many writes were acknowledged since then."""
        return sum(at > since for at, _ in list(self.acknowledged))

    def _run(self) -> None:
        client = KazooClient(
            self._hosts,
            timeout=LOAD_SESSION_SECONDS,
            randomize_hosts=False,
            connection_retry=RECONNECT,
            handler=Impatient(self._tls),
        )
        number = 0
        try:
            client.start(timeout=30)
            client.create(self._path, b"0", makepath=True)
            while not self._stop.wait(WRITE_EVERY):
                number += 1
                try:
                    client.set_async(self._path, str(number).encode()).get(timeout=5)
                except (KazooException, KazooTimeoutError):
                    continue
                self.acknowledged.append((time.monotonic(), number))
        finally:
            client.stop()
            client.close()

    def lost(self) -> int:
        """How many of the last acknowledged writes are not stored."""
        acknowledged = self.acknowledged[-1][1]
        with reader(self._hosts, self._tls) as client:
            stored = int(client.retry(client.get, self._path)[0])
        return max(acknowledged - stored, 0)

    def verify(self) -> None:
        """Raise BrokenPromiseError if an acknowledged write is not stored."""
        if lost := self.lost():
            raise BrokenPromiseError(f"{self._path}: {lost} acknowledged writes are not stored")


def longest_gap(writers: list[Writer], since: float, until: float) -> float:
    """The longest of any client, as ``Writer.longest_gap``: 0 without clients."""
    return max((writer.longest_gap(since, until) for writer in writers), default=0.0)


@contextmanager
def reader(hosts: str, tls: TlsFiles | None = None) -> Iterator[KazooClient]:
    """A short-lived client. It sees every write acknowledged before its session was opened."""
    client = KazooClient(
        hosts,
        connection_retry=RECONNECT,
        command_retry={"max_tries": -1, "deadline": 30},
        handler=Impatient(tls),
    )
    client.start(timeout=30)
    try:
        yield client
    finally:
        client.stop()
        client.close()


@dataclass(frozen=True, slots=True)
class Ending:
    """A task's final state. ``at`` is when it was recorded, by the ensemble's clock (Unix seconds)."""

    task: str
    state: str
    outcome: Outcome
    at: float

    @property
    def began(self) -> float:
        """When the run that counted began."""
        return self.at - (self.outcome.seconds or 0)


@dataclass(slots=True)
class Ledger:
    """The promises to the submitter, and what became of them (names of tasks)."""

    submitted: int = 0
    done: int = 0
    removed: int = 0  # ended when last seen; removed because there were more than are kept
    failed: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)  # acknowledged, but without a final state
    doubled: list[str] = field(default_factory=list)  # final state changed, or one submission stored twice
    moved: int = 0  # took more than one attempt
    endings: list[Ending] = field(default_factory=list)  # of tasks with a final state


class Submitter:
    """Submits tasks through mwapp's own client and judges them by what a plain client reads.

    Its rate and its caller bound the load.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._hosts, self._tls = cluster.hosts(), cluster.tls()
        own = cluster.tls(cluster.command)
        self.expected_failures = 0
        self.accepted: list[tuple[float, str]] = []  # (monotonic time, name), as acknowledged
        self._acknowledged: dict[int, str] = {}
        self._verdicts: dict[str, tuple[str, int]] = {}  # task -> final state and the zxid that wrote it
        self._requests: queue.SimpleQueue[tuple[Task, queue.SimpleQueue[int]]] = queue.SimpleQueue()
        self._rate = 0.0
        self._due = 0.0
        process = Process()
        self._submit = Submit(
            process, [], accepted=self._accepted, refused=self._refused, finished=lambda: None
        )
        self._process = process
        self._problems: list[str] = []
        servers = replace(Servers.parse(self._hosts), tls=own.read() if own else None)
        self._loop = Loop(process, servers, LOAD_SESSION_SECONDS)
        self._thread = threading.Thread(target=self._loop.run, name="submitter", daemon=True)

    def __enter__(self) -> "Submitter":
        self._pump()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.stop()
        self._thread.join(timeout=15)

    # ------------------------------------------------------------ submitting

    def submit(self, command: str, seconds: float = 30) -> str:
        """Submit one task; returns its name once it is acknowledged."""
        answer: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._requests.put((_task(command), answer))
        index = answer.get(timeout=seconds)
        return wait_for("the task is acknowledged", lambda: self._acknowledged.get(index), seconds)

    def load(self, per_second: float) -> None:
        """From now on submit this many short tasks a second; 0 ends it."""
        self._rate = per_second

    def _pump(self) -> None:
        """Runs in the loop's thread, by the process's own timer."""
        now = self._process.now
        self._due = min(self._due + self._rate * PUMP_EVERY, self._rate)  # never catch up in a burst
        while self._due >= 1:
            self._due -= 1
            self._submit.add(_task("sleep 0.05"))
        while not self._requests.empty():
            task, answer = self._requests.get()
            answer.put(self._submit.add(task))
        self._process.call_at(now + PUMP_EVERY, self._process.scope(), self._pump)

    def _accepted(self, index: int, name: str) -> None:
        self.accepted.append((time.monotonic(), name))
        self._acknowledged[index] = name

    def _refused(self, index: int, refusal: Refusal) -> None:
        self._problems.append(f"submission {index}: {refusal.reason}")

    # ------------------------------------------------------------ judging

    def wait(self, name: str, seconds: float = 60) -> Ending:
        """How the task ended, once it has."""
        with reader(self._hosts, self._tls) as client:
            wait_for(
                f"{name} ends", lambda: client.retry(client.exists, status_path(name)), seconds, every=0.05
            )
            state, stat = client.retry(client.get, status_path(name))
            outcome = Outcome.decode(client.retry(client.get, result_path(name))[0])
            return Ending(name, state.decode(), outcome, stat.ctime / 1000)

    def drain(self, seconds: float = 60) -> None:
        """Wait until every submission is acknowledged and has a final state; raises BrokenPromiseError."""

        def open_ones() -> str:
            unanswered = self._submit.unacknowledged
            lost = [] if unanswered else self.ledger().lost
            return f"{unanswered} not acknowledged" if unanswered else ", ".join(lost[:5])

        try:
            wait_for("all tasks end", lambda: not open_ones(), seconds, every=0.3)
        except NotInTimeError:
            raise BrokenPromiseError(f"not ended after {seconds:g} s: {open_ones()}") from None
        if self._problems:
            raise BrokenPromiseError("; ".join(self._problems[:5]))

    def ledger(self) -> Ledger:
        """Account for the current state of every acknowledged task.

        If you submit more than are kept, call this now and then: a task never seen to end counts as lost.
        """
        with reader(self._hosts, self._tls) as client:
            names = sorted(client.retry(client.get_children, TASKS))
            tasks = _read(client, [task_path(name) for name in names])
            statuses = _read(client, [status_path(name) for name in names])
            results = _read(client, [result_path(name) for name in names])
        stored = dict(zip(names, zip(statuses, results, strict=True), strict=True))
        keys = Counter(Task.decode(data).key for data, _ in filter(None, tasks))
        mine = dict(self._acknowledged)
        ledger = Ledger(submitted=len(mine))
        for name in mine.values():
            if name not in stored and name in self._verdicts and len(mine) > RETENTION.keep:
                ledger.removed += 1
                continue
            status, result = stored.get(name, (None, None))
            if status is None:
                ledger.lost.append(name)
                continue
            data, stat = status
            verdict = (data.decode(), stat.mzxid)
            if self._verdicts.setdefault(name, verdict) != verdict or stat.version > 0:
                ledger.doubled.append(name)
            if verdict[0] == DONE:
                ledger.done += 1
            else:
                ledger.failed.append(name)
            outcome = Outcome.decode(result[0]) if result else Outcome()
            ledger.moved += (outcome.attempt or 1) > 1
            ledger.endings.append(Ending(name, verdict[0], outcome, stat.ctime / 1000))
        ledger.doubled += [f"key {key}" for key, number in keys.items() if key and number > 1]
        return ledger


def _task(command: str) -> Task:
    return Task(command, key=uuid.uuid4().hex)


def _read(client: KazooClient, paths: list[str]) -> list[tuple[bytes, Any] | None]:
    """Read many znodes at once; None for one that does not exist."""
    pending = [client.get_async(path) for path in paths]
    read: list[tuple[bytes, Any] | None] = []
    for answer in pending:
        try:
            read.append(answer.get(timeout=30))
        except NoNodeError:
            read.append(None)
    return read
