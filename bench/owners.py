"""How long a shard serves nobody when its owner dies or stands still, in each of the example stores
(examples/stores); and whether all that was acknowledged stays.

Random owners suffer random faults under people who write. A gap is from the fault to the first acknowledged
write that began after it: so it is the next owner's, with all that a client has to try until it finds that
one. (Who is cut off from the ensemble serves until its handlers stop: its gap begins then.) And how many
shards move when one of ten workers is lost for longer than its grace, and when it comes back, beside the
fewest that can.
"""

import math
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, ClassVar

from stores.blocks.files import Files
from stores.partitions.topic import Topic
from stores.regions.client import Regions

from bench import report
from bench.plot import draw
from bench.report import Report, summary
from mwapp import Client, ShardState
from testbed import evidence
from testbed.daemons import Daemon
from testbed.ensemble import Ensemble
from testbed.stores import (
    FileWriter,
    People,
    Person,
    Producer,
    Town,
    Writer,
    freeze,
    handler,
    in_sync,
    kill_host,
    send,
    thaw,
    whole_log,
    wrong_in_files,
    wrong_in_log,
    wrong_in_regions,
)
from testbed.waiting import LONGEST_WAIT, wait_for

SESSION_SECONDS = 6.0  # as shipped
SETTINGS = ("--session-timeout", str(SESSION_SECONDS), "--log-level", "info")
MASTERS, WORKERS = ("m1", "m2"), ("w1", "w2", "w3", "w4")
SHARDS, PEOPLE = 4, 4
BLOCK_SIZE = 40_000
# A client that is not served gives up after so long: a table has a dozen processes, which begin at once.
CLIENT_SECONDS = 3 * LONGEST_WAIT

PROCESS, AND_MASTER = "process killed", "process and master killed"
HOST, FROZEN, CUT = "worker killed", "worker frozen", "worker cut off"
_SESSION_GOAL = 1000 * (SESSION_SECONDS + 1.5)
# Each in turn; what a gap should not exceed, ms. Masters are replaced within a second, but when that was so
# three times in ten minutes, only once their sessions are over.
GOALS = {PROCESS: 300.0} | dict.fromkeys((HOST, FROZEN, CUT, AND_MASTER), _SESSION_GOAL)
# How long its successors write before a frozen worker goes on, or one that is cut off is connected again, and
# how long nothing may change before the next fault, seconds.
LATER, QUIET = 0.5, 0.5
# A handler that fails again before it was well for so long begins only after a pause; that is not measured.
WELL_SECONDS = 12.0
STARTS = 5  # of a process, to compare
# For the moved share.
TEN, MOVED_SHARDS, MOVED_REPLICAS, GRACE = 10, 15, 2, 2.0

Values = dict[str, list[float]]  # gaps by kind of fault, ms


class _Store(ABC):
    """One of the three, with a table and people."""

    table: ClassVar[str]
    replicas: ClassVar[int] = 3
    kinds: ClassVar[tuple[str, ...]] = tuple(GOALS)
    writers: Sequence[Writer]

    def __init__(self, client: Client, connect: str) -> None:
        self.client, self.connect = client, connect
        self.struck: dict[int, float] = {}  # when each shard last was, time.monotonic()
        self.make()

    @abstractmethod
    def make(self) -> None:
        """Make the table and the writers, once the daemons are there."""

    @classmethod
    def begin(cls, town: Town) -> None:
        """Start the daemons."""
        town.begin(dict.fromkeys(MASTERS, SETTINGS), dict.fromkeys(WORKERS, SETTINGS))

    def place(self, shard: int) -> int:
        """What a writer says when it has written into that shard."""
        return shard

    @abstractmethod
    def wrong(self) -> list[str]:
        """What is not as it was acknowledged, when all have stopped."""


class _Regions(_Store):
    table, replicas = "regions", 1

    def make(self) -> None:
        self._regions = Regions(self.client, self.table, timeout=CLIENT_SECONDS)
        self._regions.create()
        for district in range(1, SHARDS):
            self._regions.split(f"{district:02}")
        self._places = {state.shard: place for place, state in enumerate(self._regions.show())}
        self.writers = self._people = [Person(self._regions, f"p{n}", SHARDS) for n in range(PEOPLE)]

    def place(self, shard: int) -> int:
        return self._places[shard]

    def wrong(self) -> list[str]:
        return wrong_in_regions(dict(self._regions.scan()), self._people)


class _Partitions(_Store):
    table = "partitions"
    # The active master is a node like the others.
    kinds = (PROCESS, HOST, FROZEN, CUT)

    def make(self) -> None:
        topics = [Topic(self.client, self.table, timeout=CLIENT_SECONDS) for _ in range(PEOPLE)]
        self._topic = topics[0]
        self._topic.create(SHARDS)
        self.writers = self._producers = [Producer(topic, n, SHARDS) for n, topic in enumerate(topics)]

    @classmethod
    def begin(cls, town: Town) -> None:
        town.begin({}, dict.fromkeys(WORKERS, SETTINGS), role="node")

    def wrong(self) -> list[str]:
        return [
            problem
            for partition in range(SHARDS)
            for problem in wrong_in_log(whole_log(self._topic, partition), partition, self._producers)
        ] + [problem for producer in self._producers for problem in producer.wrong]


class _Blocks(_Store):
    table = "blocks"

    def make(self) -> None:
        self._files = [
            Files(self.connect, self.table, timeout=CLIENT_SECONDS, block_size=BLOCK_SIZE)
            for _ in range(PEOPLE + 1)
        ]
        self._files[0].create(SHARDS)
        self.writers = self._people = [
            FileWriter(files, n, BLOCK_SIZE) for n, files in enumerate(self._files[1:])
        ]

    def wrong(self) -> list[str]:
        with self._files[0] as files:
            problems = wrong_in_files(files, self._people)
        return problems + [problem for writer in self._people for problem in writer.wrong]


STORES: tuple[type[_Store], ...] = (_Regions, _Partitions, _Blocks)


def measure(runs: int) -> Report:
    """``runs`` faults of each store, its kinds of fault in turn."""
    found = Report("owners", runs=runs, session_seconds=SESSION_SECONDS, shards=SHARDS, people=PEOPLE)
    values: dict[str, Values] = {}
    writes: dict[str, dict[str, float]] = {}
    with Ensemble(fsync=True) as ensemble:
        for store in STORES:
            name = store.table
            values[name], writes[name], wrong = _faults(ensemble.connect_string, store, runs)
            found.violations += [f"{name}: {problem}" for problem in wrong]
        moved = _moved(ensemble.connect_string)
        starts = [_start() for _ in range(STARTS)]
    figures = {name: {kind: judged(kind, gaps) for kind, gaps in its.items()} for name, its in values.items()}
    found.add(
        unit="ms",
        gaps=figures,
        values=values,
        writes=writes,
        handler_start=summary(starts),
        moved=moved,
    )
    rows = {f"{store}: {kind}": gaps for store, its in values.items() for kind, gaps in its.items()}
    draw("owners", "From the fault to the next owner's first write", "ms", rows)
    for name, its in figures.items():
        for kind, figure in its.items():
            print(f"{name}: {kind}: {_line(figure)}")
        print(f"{name}: a write takes {writes[name]['p50']:.0f} ms (median of {writes[name]['n']})")
    print(f"a process with a handler starts in {summary(starts)['p50']:.0f} ms")
    return found


def judged(kind: str, gaps: Collection[float]) -> dict[str, float]:
    """The figures of one kind of fault, with its goal, and how many gaps are within that."""
    goal = GOALS[kind]
    return summary([*gaps]) | {"goal": goal, "within": sum(gap <= goal for gap in gaps)}


def _line(figures: Mapping[str, float]) -> str:
    goal = f"{figures['within']} of {figures['n']} within {figures['goal']:.0f} ms"
    return f"median {figures['p50']:.0f} ms, worst {figures['max']:.0f} ms; {goal}"


# ---------------------------------------------------------------- faults


def _faults(connect: str, kind_of: type[_Store], runs: int) -> tuple[Values, dict[str, float], list[str]]:
    """The gaps; what all the writes took, ms; and what was wrong at the end."""
    chance = random.SystemRandom()
    values: Values = {kind: [] for kind in kind_of.kinds[:runs]}
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        # The logs stay: they tell why a gap was long, or what was wrong.
        stack.callback(evidence.told, evidence.now(), report.DIRECTORY / f"owners-{kind_of.table}")
        town = stack.enter_context(Town(f"{connect}/{kind_of.table}", home))
        kind_of.begin(town)
        client = stack.enter_context(Client(town.connect))
        store = kind_of(client, town.connect)
        with People(store.writers) as people:
            for number, kind in enumerate(in_turn(store.kinds, runs, chance)):
                for gap in _fault(kind, town, client, store, people, chance):
                    values[kind].append(gap)
                    print(f"{number + 1:3}  {store.table}, {kind}: {gap:.0f} ms", flush=True)
            people.wait_until_each_writes()
        _quiet(client, store)
        writes = [1000 * (done.ended - done.began) for writer in store.writers for done in writer.done]
        return values, summary(writes), store.wrong()


def in_turn(kinds: Sequence[str], runs: int, chance: random.Random) -> Iterator[str]:
    """All kinds (the first ones, if there are fewer runs), then again, each time in another order."""
    for begun in range(0, runs, len(kinds)):
        these = kinds[: runs - begun]
        yield from chance.sample(these, len(these))


def _fault(
    kind: str, town: Town, client: Client, store: _Store, people: People, chance: random.Random
) -> list[float]:
    """One; then all is well again. The gaps of the shards that the victim owned, ms."""
    states = _quiet(client, store)
    now = time.monotonic()
    well = [state for state in states if now - store.struck.get(state.shard, -math.inf) > WELL_SECONDS]
    chosen = chance.choice(well or states)
    owner = town.named(chosen.primary)
    owned = (
        {chosen.shard}
        if kind in (PROCESS, AND_MASTER)
        else {state.shard for state in states if state.primary == owner.name}
    )
    places = {store.place(shard) for shard in owned}
    people.wait_until_each_writes()
    with _struck(kind, town, owner, store.table, chosen.shard) as (began, struck):
        evidence.note(f"{kind}: {owner.name}, which owns {sorted(owned)} of {store.table}")
        first = wait_for("next owners acknowledge", lambda: people.first(places, struck), 2 * LONGEST_WAIT)
        evidence.note("next owners have acknowledged")
        time.sleep(LATER)
    people.wait_until_each_writes()
    store.struck |= dict.fromkeys(owned, time.monotonic())
    return [round(1000 * (at - began), 1) for at in first.values()]


@contextmanager
def _struck(kind: str, town: Town, owner: Daemon, table: str, shard: int) -> Iterator[tuple[float, float]]:
    """Inside it the fault lasts, which struck between these two moments."""
    process = handler(owner, table, shard)
    master = town.active() if kind == AND_MASTER else None
    frozen: list[int] = []
    began = time.monotonic()
    if kind == HOST:
        kill_host(owner)
    elif kind == FROZEN:
        frozen = freeze(owner)
    elif kind == CUT:
        town.cut_off(owner.name, table)
        began = time.monotonic()  # until its handlers stopped they served
    else:
        send(process, signal.SIGKILL)
    if master is not None:
        master.kill()
    try:
        yield began, time.monotonic()
    finally:
        thaw(frozen)
        town.networks[owner.name].heal()
    for daemon in (owner, master):
        if daemon is not None and daemon.process.poll() is not None:
            daemon.start()
    owner.wait_for_state("ready", "active")


def _quiet(client: Client, store: _Store) -> list[ShardState]:
    """All shards are served, have all their replicas, and nothing changes."""
    table, before = client.table(store.table), dict[int, int]()

    def probe() -> list[ShardState]:
        nonlocal before
        time.sleep(QUIET)
        states = table.show()
        last, before = before, {state.shard: state.generation for state in states}
        return states if last == before and in_sync(states, store.replicas) else []

    return wait_for(f"all of {store.table} is well", probe, 4 * LONGEST_WAIT)


def _start() -> float:
    """How long a process that imports a handler takes, ms: the next owner of a region needs a new one."""
    began = time.monotonic()
    modules = "mwapp.execution.shard_process, stores.regions"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", f"import {modules}"], env=environment, check=True)
    return 1000 * (time.monotonic() - began)


# ---------------------------------------------------------------- what moves


def _moved(connect: str) -> dict[str, Any]:
    """Of all replicas, which move when one of ten workers is lost, and when it is back; and the fewest."""
    with tempfile.TemporaryDirectory(prefix="bench-") as home, Town(f"{connect}/moved", Path(home)) as town:
        names = [f"w{number}" for number in range(TEN)]
        town.begin({"m": SETTINGS}, dict.fromkeys(names, SETTINGS))
        victim = town.named(names[0])
        with Client(town.connect) as client:
            table = client.table("moved")
            options: dict[str, Any] = {"handler": "mwapp.handlers:Shard", "shared": False, "grace": GRACE}
            table.create(shards=MOVED_SHARDS, replicas=MOVED_REPLICAS, **options)

            def replicas(*, with_it: bool) -> set[tuple[int, str]]:
                def probe() -> set[tuple[int, str]]:
                    states = table.show()
                    found = {(state.shard, name) for state in states for name in state.members}
                    fits = (victim.name in {name for _, name in found}) == with_it
                    return found if fits and in_sync(states, MOVED_REPLICAS) else set()

                return wait_for("the replicas are in sync", probe, 4 * LONGEST_WAIT, every=0.2)

            before = replicas(with_it=True)
            kill_host(victim)
            without = replicas(with_it=False)
            victim.start()
            victim.wait_for_state("ready")
            again = replicas(with_it=True)
    fewest = fewest_moves([name for _, name in before], victim.name, TEN)
    moved = {"lost": len(without - before), "back": len(again - without)}
    for what, number in moved.items():
        print(f"one of {TEN} workers {what}: {number} of {len(before)} replicas move, fewest {fewest[what]}")
    return {"replicas": len(before), "moved": moved, "fewest": fewest}


def fewest_moves(holders: Sequence[str], lost: str, workers: int) -> dict[str, int]:
    """How many replicas have to be made: all that it had, while it is lost; and when it is back, so many that
    all have the same number within one. ``holders``: who has each replica."""
    return {"lost": holders.count(lost), "back": len(holders) // workers}
