"""Replicas of a partition in one process, without an ensemble: whoever uses them says who leads."""

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stores.partitions.log import Record as Stored
from stores.partitions.log import decode
from stores.partitions.replica import Partition
from stores.rpc import RefusedError, call

from mwapp.core.shards.protocol import FAILED, READY, RELEASED, SYNC, Record, Saying
from mwapp.core.shards.steps import Holder, Situation, step
from mwapp.handlers import Term
from testbed.waiting import LONGEST_WAIT, wait_for
from tests.unit.power_cuts import Disk

NAMES = ("a", "b", "c")


def term(generation: int, primary: str, role: str = "replica", **members: str) -> Term:
    return Term(generation, role, primary, members)


class Cluster:
    """Replicas, each of which is told what it is."""

    def __init__(self, where: Path) -> None:
        self.disk = Disk(where)
        self.replicas: dict[str, Partition] = {}
        self._sequence = 0

    def open(self, told: Term, *names: str) -> None:
        for name in names:
            one = Partition("t", 0, name)
            one.open(told)
            self.replicas[name] = one

    def find(self, worker: str, stopped: Callable[[], bool]) -> str:
        """In place of the ensemble."""
        while not stopped():
            if (one := self.replicas.get(worker)) is not None:
                return one.address
            time.sleep(0.01)
        return ""

    def lead(self, generation: int, primary: str, **members: str) -> None:
        """All are told."""
        for name in members:
            if name != primary:
                self.replicas[name].demote(term(generation, primary, **members))
        self.replicas[primary].promote(term(generation, primary, "primary", **members))

    def append(self, to: str, value: str, sequence: int = 0) -> int:
        """Until it is acknowledged."""
        if not sequence:
            self._sequence += 1
        sequence = sequence or self._sequence

        def acknowledged() -> int | None:
            try:
                return self.try_to_append(to, value, sequence) + 1
            except RefusedError:
                return None

        return wait_for(f"{value} is acknowledged", acknowledged) - 1

    def try_to_append(self, to: str, value: str, sequence: int = 0) -> int:
        """Once; raises RefusedError."""
        if not sequence:
            self._sequence += 1
        fields = {"do": "append", "producer": 1, "sequence": sequence or self._sequence}
        return int(self.ask(to, fields, value.encode()).fields["offset"])

    def read(self, worker: str, offset: int = 0) -> list[str]:
        reply = self.ask(worker, {"do": "read", "offset": offset, "wait": 0})
        return [record.value.decode() for record in decode(reply.body)]

    def ask(self, worker: str, fields: dict[str, Any], body: bytes = b"") -> Any:
        return call(self.replicas[worker].address, {"table": "t", "shard": 0, **fields}, body, LONGEST_WAIT)

    def stored(self, worker: str) -> list[Stored]:
        log = self.replicas[worker]._log
        return decode(log.read(0, log.end, 1 << 24))

    def has(self, worker: str) -> list[str]:
        return [record.value.decode() for record in self.stored(worker)]


class World(Cluster):
    """Replicas, and the workers and the master, with the rules of mwapp for who leads.

    Workers hear of each record, but some late. One may lose what was not on its disk (``crash``), its replica
    may die, or it may be lost while its replica goes on as if nothing had happened (``lose``).
    """

    def __init__(self, where: Path, draw: random.Random) -> None:
        super().__init__(where)
        self._where, self._draw = where, draw
        self.record = Record(100, target=NAMES)
        self._incarnations = dict.fromkeys(NAMES, 1)
        self._there = set(NAMES)  # as the master sees it
        self._says: dict[str, Saying] = {}
        self._told: dict[str, tuple[int, str]] = {}

    def turn(self) -> bool:
        """Every worker does what it may have to do, or is late; then the master. Whether all have
        everything."""
        for name in sorted(self._there):
            if self._draw.random() < 0.6:
                self._work(name)
        said = {name: Holder(self._incarnations[name], self._says.get(name)) for name in self._there}
        self.record = step(self.record, Situation(said, anyone=False, may_copy=lambda _: True))
        states = [member.state for member in self.record.members.values()]
        return self.record.target is None and states == [SYNC] * len(NAMES) and self._at_work()

    def _at_work(self) -> bool:
        leader = self.record.primary
        return self._told.get(leader) == (self.record.generation, "promote")

    # ------------------------------------------------------------ faults

    def kill(self, name: str) -> None:
        """Its replica dies; its worker says so."""
        if name in self._there and name in self.replicas:
            self._end(name)
            self._says[name] = self.record.generation, FAILED

    def lose(self, name: str) -> None:
        """The ensemble takes its worker for lost. It stands still, or its clock does: its replica goes on."""
        self._there.discard(name)

    def crash(self, name: str) -> None:
        """Its host has no power any more."""
        self._there.discard(name)
        if name in self.replicas:
            self._end(name, power=False)

    def come_back(self, name: str) -> None:
        """As another incarnation, when everything of the one before is closed."""
        if name not in self._there:
            if name in self.replicas:
                self._end(name)
            self._incarnations[name] += 1
            self._says.pop(name, None)
            self._there.add(name)

    def _end(self, name: str, *, power: bool = True) -> None:
        one = self.replicas.pop(name)
        self._told.pop(name, None)
        one.close()
        one._server.close()
        with one._changed:
            one._log.close()
        if not power:
            self.disk.cut_power(self._where / name, self._draw.random)

    # ------------------------------------------------------------ a worker

    def _work(self, name: str) -> None:
        record, says = self.record, self._says.get(name)
        generation = record.generation
        if record.incarnation(name) != self._incarnations[name]:
            if name in self.replicas:
                self._end(name)
            self._says.pop(name, None)
            return
        if name not in self.replicas:
            if says is not None and says[0] >= generation and says[1] in (RELEASED, FAILED):
                return
            if says is not None and record.members[name].state == SYNC:
                self._says[name] = generation, FAILED
                return
            self.open(self._term(name), name)
            self._told[name] = generation, "open"
        be = "open" if record.primary != name else "release" if record.handover else "promote"
        if self._told[name] != (generation, be):
            self._told[name] = generation, be
            self._tell(name, be)
        elif be == "open" and says != (generation, READY) and self.replicas[name].caught_up():
            self._says[name] = generation, READY

    def _tell(self, name: str, be: str) -> None:
        if be == "promote":
            self.replicas[name].promote(self._term(name))
        elif be == "open":
            self.replicas[name].demote(self._term(name))
        else:
            self.replicas[name].handover(self._term(name), self.record.wanted[0])
            self._says[name] = self.record.generation, RELEASED

    def _term(self, name: str) -> Term:
        record = self.record
        members = {its: member.state for its, member in record.members.items()}
        return Term(
            record.generation, "primary" if name == record.primary else "replica", record.primary, members
        )


class Producer(threading.Thread):
    """Sends one record after the other, each until it is acknowledged, to whoever may lead."""

    def __init__(self, world: World, number: int) -> None:
        super().__init__()
        self._world, self._number = world, number
        self._draw = random.Random(number)  # noqa: S311 - no secret
        self.stopped = False
        self.acknowledged: dict[int, bytes] = {}
        self.start()

    def run(self) -> None:
        sequence = 0
        while not self.stopped:
            sequence += 1
            value = b"%d %d" % (self._number, sequence)
            if (offset := self._append(sequence, value)) is not None:
                self.acknowledged[offset] = value

    def _append(self, sequence: int, value: bytes) -> int | None:
        fields = {"table": "t", "shard": 0, "do": "append", "producer": self._number, "sequence": sequence}
        while not self.stopped:
            among = list(self._world.replicas.values())
            try:
                if among:
                    address = self._draw.choice(among).address
                    return int(call(address, fields, value, timeout=0.3).fields["offset"])
            except (OSError, RefusedError):
                pass
            time.sleep(0.002)
        return None
