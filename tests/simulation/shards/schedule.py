"""One schedule of shards: tables, workers that come and go, people who move and drain; then peace, in which
every shard must have its owner and everything be even."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

from mwapp.core.election import Election
from mwapp.core.limits import LIMITS, Limits
from mwapp.core.master import Master
from mwapp.core.messages import Create, Delete, Op, Set
from mwapp.core.node import PeerDuty
from mwapp.core.request_size import RequestSize
from mwapp.core.session import DRIFT, Process
from mwapp.core.shards.controller import Controller
from mwapp.core.shards.duty import Both
from mwapp.core.shards.failures import Rests
from mwapp.core.shards.handler import Deadlines
from mwapp.core.shards.holder import Holder
from mwapp.core.shards.protocol import (
    DELETE,
    DRAINS,
    HOLDERS,
    MOVES,
    SHARD_PARENTS,
    Report,
    Table,
    drain_path,
    move_path,
    table_path,
)
from mwapp.core.suspicion import NEVER
from mwapp.core.worker import Worker
from tests.simulation.clock import Clock
from tests.simulation.edge import Edge
from tests.simulation.ensemble import Transacted
from tests.simulation.host import Host
from tests.simulation.host_faults import Faults
from tests.simulation.limits import draw_patience
from tests.simulation.people import Person
from tests.simulation.service import Service
from tests.simulation.shards import clients
from tests.simulation.shards.clients import Answer, Request
from tests.simulation.shards.errors import Errors
from tests.simulation.shards.handlers import Fleet, Key, ShardHost
from tests.simulation.shards.hands import Hands
from tests.simulation.shards.judge import NOTICES, Judge
from tests.simulation.world import Chance, Violation, World, bounded

KINDS = (
    *("cut", "stall", "crash", "stop", "expire", "freeze", "suspend"),
    *("lag", "outage", "server_crash", "isolate", "unseat", "evict"),
)
UPTIME = 1e6
DRAIN = 2.0
# How long peace may last until everything is settled, and how long nothing may change after that, seconds.
PEACE, STILL = 90.0, 6.0
ZONES = ("a", "b", "c")
# The shares of schedules in which clients ask, in which handlers are slow, and in which some cannot serve.
CLIENTS, SLOW, BROKEN = 0.5, 0.2, 0.3
# Labels that a person has replicas differ in later; nobody has the last.
SPREADS = ("", "zone", "rack")
# A person looks at what a process says of itself so often in a second.
LOOKS = 0.5


class Bug(NamedTuple):
    """What a planted bug replaces. ``tables``: the only ones, if not none; ``trouble``: the share of
    handlers' work that goes wrong, if not drawn."""

    process: Callable[[Limits], Process] = Process
    client: Callable[[Limits], Process] = Process
    controller: type[Controller] = Controller
    holder: type[Holder] = Holder
    faults: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    trouble: float | None = None


NONE = Bug()


class ShardSchedule:
    """Build with a seed, then :meth:`run`. The numbers in ``without`` are left out."""

    def __init__(self, seed: int, bug: Bug = NONE, without: frozenset[int] = frozenset()) -> None:
        self.planted = bug
        self.world = world = World(seed, without)
        draw = world.random
        self.timeout = draw.choice([1.0, 2.0, 4.0])
        self._war = draw.choice([3.0, 6.0, 12.0])
        self.judge = Judge()
        tick = self.timeout / draw.choice([2, 3, 6, 20])
        self.service = Service(world, self._committed, slow=draw.choice([0.0, 0.0, 0.02, 0.1]), tick=tick)
        self.judge.ensemble = self.service.ensemble
        self.person = Person(world, self.service)
        self.judge.hand = self.person.session
        self.limits = LIMITS
        small = world.stream("limits")
        if small.chance(0.5):
            self.limits = Limits(
                batch=small.random.choice([1, 2, 5]), batch_bytes=small.random.choice([300, 5000])
            )
        self.fleet = self.judge.fleet = Fleet(world, self.judge)
        self.fleet.longest = 1.5 * self.timeout
        self.fleet.addressed = world.stream("addresses").chance(0.3)
        self._ahead = 0.0 if world.stream("walls").chance(0.8) else None  # of wall clocks; None: they jump
        self._drift = draw.choice((0.0, 0.0005, DRIFT))
        patience = world.stream("suspicion")
        self._patience = draw_patience(patience.random) if patience.chance(0.4) else NEVER
        self._deadlines = Deadlines(
            draw.choice([0.5, 3.0]),
            draw.choice([0.5, 3.0]),
            draw.choice([0.1, 1.0]),
            draw.choice([0.05, 0.5]),
            steady=0.5,
        )
        self._trouble = draw.choice([0.0, 0.0, 0.02, 0.1]) if bug.trouble is None else bug.trouble
        self.labels: dict[str, tuple[str, ...]] = {}
        if world.chance(0.3):
            self.workers = self.masters = [
                self._host(f"n{i + 1}", self._peer) for i in range(draw.choice([2, 3, 4]))
            ]
        else:
            self.masters = [self._host(f"m{i + 1}", self._master) for i in range(draw.choice([1, 2, 2]))]
            self.workers = [
                self._host(f"w{i + 1}", self._worker) for i in range(draw.choice([1, 2, 3, 4, 5]))
            ]
        for number, host in enumerate(self.workers):
            self.labels[host.name] = (f"zone={ZONES[number % draw.choice([2, 3])]}",)
        self.hosts = list(dict.fromkeys([*self.masters, *self.workers]))
        self.clients: list[Host] = []
        self._clients_ask = world.stream("clients").chance(CLIENTS)
        slow = world.stream("slow").random.choice([0.05, 0.2])
        self._slow = slow if world.stream("slow?").chance(SLOW) else 0.0
        self._holders: dict[str, Holder] = {}  # of the processes that run now
        kinds = draw.sample(KINDS, draw.choice([1, 1, 2, 3, 5]))
        self.bug = Wanted(bug.faults or tuple(kinds))
        self.pauses = not bug.faults and world.stream("paused").chance(0.15)
        self.faults = Faults(self)
        self.tables: dict[str, Table] = {}
        self.moved: set[str] = set()
        self.refused: set[str] = set()  # hosts of which servers have refused a request
        self.hands, self.errors = Hands(self), Errors(self)

    # ------------------------------------------------------------ who acts

    def _host(self, name: str, build: Callable[[Host, Process], None]) -> Host:
        draw = self.world.random
        drift = draw.uniform(-self._drift, self._drift)
        return ShardHost(
            self.fleet,
            self.world,
            self.service,
            name,
            build,
            timeout=self.timeout,
            clock=Clock(self.world, began=draw.uniform(0.0, UPTIME), drift=drift, ahead=self._ahead),
            process=partial(self.planted.process, self.limits),
            on_write=lambda host: self.faults.write(host),
            on_connected=lambda host: self.faults.connected(host),
            edge=self._edge,
        )

    def _edge(self, host: Host) -> Edge:
        """A page cannot be sent in parts, and is smaller than what would be suspected of ending
        connections."""
        edge = Edge(self.world, self.service, host)
        edge._request_size = RequestSize(self.service.most_sent)
        return edge

    def _controller(self, host: Host, process: Process) -> Controller:
        rests = Rests(0.2, 2.0, 5.0)
        return self.planted.controller(process, wall=host.clock.wall, rests=rests)

    def _master(self, host: Host, process: Process) -> None:
        both = Both(Master(process, wall=host.clock.wall), self._controller(host, process))
        host.election = Election(process, host.name, f"{host.name}:2223", both, self._patience)

    def _worker(self, host: Host, process: Process) -> None:
        labels = self.labels[host.name]
        Worker(process, host.name, f"{host.name}:2224", labels=labels, drain=DRAIN)
        self._holder(host, process)

    def _holder(self, host: Host, process: Process) -> None:
        labels = self.labels[host.name]
        self._holders[host.name] = self.planted.holder(
            process, host.name, labels=labels, drain=DRAIN, deadlines=self._deadlines
        )

    def _peer(self, host: Host, process: Process) -> None:
        worker = Worker(process, host.name, f"{host.name}:2224", labels=self.labels[host.name], drain=DRAIN)
        tasks = PeerDuty(Master(process, wall=host.clock.wall), worker)
        both = Both(tasks, self._controller(host, process))
        host.election = Election(process, host.name, f"{host.name}:2224", both, self._patience)
        self._holder(host, process)

    # ------------------------------------------------------------ people

    def _people(self) -> None:
        """They make tables, and then ask for this and that."""
        draw = self.world.random
        tables = self.planted.tables or tuple(self._drawn() for _ in range(draw.choice([1, 1, 2])))
        for number, table in enumerate(tables):
            self.tables[f"t{number + 1}"] = table
            self.world.after(draw.uniform(0.0, self._war / 2), partial(self.make, f"t{number + 1}", table))
        often = draw.choice([0.2, 1.0, 3.0])
        at = draw.expovariate(often)
        while at < self._war:
            self.world.after(at, self._ask)
            at += draw.expovariate(often)

        broken = self.world.stream("broken")
        if broken.chance(BROKEN):
            for _ in range(broken.random.choice([1, 3])):
                self.world.after(broken.random.random() * self._war, self._break)
        self.world.after(1 / LOOKS, self._look)

    def _drawn(self, chance: Chance | None = None) -> Table:
        chance = chance or self.world
        draw, copies = chance.random, chance.chance(0.6)
        return Table(
            draw.choice([1, 2, 5, 9]),
            draw.choice([1, 2, 3]),
            draw.choice(["", "", "zone"]),
            "copies" if copies else "shared",
            shared=not copies,
            grace=draw.choice([0.0, 0.5, 3.0]),
            copies=draw.choice([1, 2, 10]),
            page=draw.choice([1, 2, 4, 64]),
        )

    def make(self, name: str, table: Table) -> None:
        parents = [parent for parent in SHARD_PARENTS if parent not in self.person.nodes]
        for op in [*map(Create, parents), Create(table_path(name), table.encode())]:
            self.person.do(op)
        if table_path(name) not in self.person.nodes:  # there is no quorum
            self.world.after(0.5, partial(self.make, name, table))

    def _ask(self) -> None:
        draw = self.world.ingredient()
        if draw is None or not self.faults.at_war:
            return
        name = draw.random.choice(sorted(self.tables))
        table, worker = self.tables[name], draw.random.choice(self.workers).name
        ask = draw.random.choice(["move", "move", "drain", "drain", "delete", "replicas", "grow"])
        if self._clients_ask and draw.chance(0.5):
            self._ask_by_client(draw, ask, name, worker)
            return
        there = table_path(name) in self.person.nodes
        if ask == "move" and there:
            self.moved.add(name)
            self._do(Create(move_path(name, draw.random.randrange(table.shards)), worker.encode()))
        elif ask == "drain" and DRAINS in self.person.nodes:
            path = drain_path(worker)
            self._do(Delete(path) if path in self.person.nodes else Create(path))
        elif ask == "delete" and there:
            self._do(Set(table_path(name), DELETE.encode()))
            self.make_again(name)
        elif ask in ("replicas", "grow") and (now := self.judge.tables.get(name)) is not None:
            table = now  # a client may have made it
            grown = table.shards + draw.random.choice([1, 2]) if ask == "grow" else table.shards
            replicas = draw.random.choice([1, 2, 3]) if ask == "replicas" else table.replicas
            spread = draw.random.choice([table.spread, *SPREADS]) if ask == "replicas" else table.spread
            new = self.tables[name] = replace(table, shards=grown, replicas=replicas, spread=spread)
            self._do(Set(table_path(name), new.encode()))

    def _ask_by_client(self, draw: Chance, ask: str, name: str, worker: str) -> None:
        """As `mwapp shards` does."""
        table, others = self.tables[name], [host.name for host in self.workers]
        if ask == "move":
            self.moved.add(name)
            workers = [worker, *draw.random.sample(others, min(len(others), draw.random.choice([0, 0, 1])))]
            self._send(draw, clients.move(name, draw.random.randrange(table.shards + 1), workers))
        elif ask == "drain":
            undo = drain_path(worker) in self.person.nodes
            self._send(draw, clients.drain(worker, undo=undo != draw.chance(0.1)))
        elif ask == "delete":
            self._send(draw, clients.delete(name), lambda _: self.make_again(name))
        elif ask == "replicas":
            new, made = draw.random.choice([name, "made"]), self._drawn(draw)
            self._send(draw, clients.create(new, made), partial(self._made, new, made))
        else:
            shards = max(1, table.shards + draw.random.choice([-1, 0, 1, 2]))
            if shards > table.shards:
                self.tables[name] = replace(table, shards=shards)
            self._send(draw, clients.resize(name, shards))

    def _made(self, name: str, table: Table, answer: Answer) -> None:
        """Somebody may delete it; then it is made again."""
        if answer is None:
            self.tables.setdefault(name, table)

    def _send(self, draw: Chance, request: Request, told: Callable[[Answer], None] = lambda _: None) -> None:
        """Have a client ask for it."""
        host = Host(
            self.world,
            self.service,
            f"c{len(self.clients) + 1}",
            clients.asker(self.judge.past, request, told, self.refused),
            timeout=self.timeout,
            clock=Clock(self.world, began=draw.random.uniform(0.0, UPTIME), drift=0.0),
            process=partial(self.planted.client, self.limits),
            on_write=lambda host: self.faults.write(host),
            on_connected=lambda host: self.faults.connected(host),
            edge=self._edge,
        )
        self.clients.append(host)
        self.hosts.append(host)
        host.start()

    def _break(self) -> None:
        """For a while no handler of a table can serve on a worker."""
        draw = self.world.ingredient()
        if draw is not None and self.faults.at_war:
            # Of one that a single worker has, it is given up there after a while.
            alone = sorted(
                name for name, table in self.tables.items() if table.anyone and table.replicas == 1
            )
            table = draw.random.choice(alone if alone and draw.chance(0.7) else sorted(self.tables))
            workers = [host.name for host in self.workers]
            its = sorted({record.primary for key, record in self.judge.records.items() if key[0] == table})
            worker = draw.random.choice([name for name in its if name] or workers)
            self.world.note(worker, f"cannot serve {table}")
            self.fleet.broken[worker, table] = self.world.now + draw.random.uniform(0.5, 8.0)

    def _look(self) -> None:
        """Somebody asks for the status of each process. Whatever happens, it can be told."""
        for host in self.hosts:
            for status in self._statuses(host):
                json.dumps(status())
        if not self.faults.over:
            self.world.after(1 / LOOKS, self._look)

    def _statuses(self, host: Host) -> list[Callable[[], dict[str, Any]]]:
        if host.process is None:
            return []
        holder, election = self._holders.get(host.name), host.election
        parts: list[Holder | Election | None] = [holder, election]
        return [part.status for part in parts if part is not None]

    def _do(self, op: Op) -> None:
        self.person.do(op)

    def make_again(self, name: str) -> None:
        """When it is gone."""
        if table_path(name) in self.person.nodes:
            self.world.after(0.3, partial(self.make_again, name))
        else:
            self.make(name, self.tables[name])

    # ------------------------------------------------------------ running

    def run(self) -> None:
        """Carry it out. Raises Violation."""
        try:
            with bounded():
                self._run()
        except Violation:
            raise
        except Exception as error:
            raise Violation("no-crash", f"{type(error).__name__}: {error}") from error

    def _run(self) -> None:
        world = self.world
        for host in self.hosts:
            world.after(world.between(0.0, 1.0), host.start)
        self._people()
        self.faults.begin(self._war)
        self.hands.begin(self._war)
        self.errors.begin(self._war)
        self.fleet.trouble, self.fleet.slow = self._trouble, self._slow
        world.run(self._war)
        self.faults.end()
        self.errors.end()
        self.fleet.trouble = self.fleet.slow = 0.0
        self.fleet.broken.clear()
        self._drain_nobody()
        self.hands.end()
        began = world.now
        world.run(world.now + PEACE, lambda: not self._left())
        if left := self._left():
            raise Violation("shard-liveness", f"after {world.now - began:.0f} s of peace: {left[:5]}")
        self._check_still()
        self._check_stop()

    def _drain_nobody(self) -> None:
        """Any more: neither whom a client drains only now, nor whom litter has kept drained."""
        for worker in sorted(self.person.nodes[DRAINS].children) if DRAINS in self.person.nodes else ():
            self.person.do(Delete(drain_path(worker)))
        if not self.faults.over:
            self.world.after(0.5, self._drain_nobody)

    def _there(self) -> dict[str, tuple[str, ...]]:
        return {host.name: self.labels[host.name] for host in self.workers}

    def _left(self) -> list[str]:
        nodes = self.person.nodes
        acting: dict[Key, list[str]] = {}
        for host in self.fleet.hosts.values():
            for handler in host.by_run.values():
                if handler.acting:
                    acting.setdefault(handler.key, []).append(host.name)
        left = [f"no {name}" for name in self.tables if name not in self.judge.tables]
        left += [f"no holder {host.name}" for host in self.workers if f"{HOLDERS}/{host.name}" not in nodes]
        left += [f"{host.name} has not been told" for host in self.clients if not host.retired]
        left += [f"move {name}" for name in (nodes[MOVES].children if MOVES in nodes else ())]
        left += self.judge.unsettled(self._there(), acting)
        left += self._unknown()
        return left

    def _unknown(self) -> list[str]:
        """Handlers that clients cannot find, or look for elsewhere."""
        left = []
        for name, host in self.fleet.hosts.items():
            node = self.person.nodes.get(f"{HOLDERS}/{name}")
            report = Report.decode(node.data) if node is not None else None
            told = dict(report.addresses) if report is not None else {}
            there = {key: handler.address for key, handler in host.handlers.items() if handler.address}
            left += [f"{name} tells {told} and not {there}"] if told != there else []
        return left

    def _check_still(self) -> None:
        """Nothing moves when nobody comes or goes; but a session may have ended in the first moments, and a
        worker notice only now what a person has done."""
        notices = NOTICES if self.hands.met else 2.0
        self.world.run(self.world.now + 2 * self.timeout + notices)
        self.world.run(self.world.now + PEACE, lambda: not self._left())
        self.judge.final(self._there(), self.moved)
        self._check_told()
        moves, requests = self.judge.counts["moves"], {host: host.edge.requests for host in self.hosts}
        before = {host: host.edge for host in self.hosts}
        self.world.run(self.world.now + STILL)
        if self.judge.counts["moves"] > moves:
            raise Violation("moves-bounded", "shards move, and nobody has come or gone")
        if left := self._left():
            raise Violation("shard-liveness", f"it was settled, and is not any more: {left[:5]}")
        for host in self.hosts:
            each = (host.edge.requests - requests[host]) / STILL
            if host.edge is before[host] and each > 60:
                raise Violation(
                    "no-spin", f"{host.name} sends {each:.0f} requests a second, and all is settled"
                )

    def _check_told(self) -> None:
        """Who leads says that nothing is missing."""
        for host in self.hosts:
            told = host.election.status() if host.process is not None and host.election is not None else {}
            for name, its in told.get("shards", {}).get("tables", {}).items() if told else ():
                lacks = "without_primary", "failed", "moving", "slow"
                if name in self.judge.tables and (its["problem"] or any(its[what] for what in lacks)):
                    raise Violation(
                        "shard-liveness", f"all is settled, and {host.name} says of {name}: {its}"
                    )

    def _check_stop(self) -> None:
        self.faults.over = True
        for host in self.hosts:
            host.stop()
        self.world.run(self.world.now + DRAIN + 8.0, lambda: all(host.process is None for host in self.hosts))
        left = [host.name for host in self.hosts if host.process is not None]
        if left:
            raise Violation("drain", f"did not end: {left}")

    def _committed(self, entry: Transacted) -> None:
        self.world.note("ensemble", entry)
        self.judge.committed(entry)

    def lost(self, entries: list[Transacted]) -> None:
        """Nothing that was acknowledged is lost here."""
        raise NotImplementedError

    def figures(self) -> dict[str, int]:
        """What it met."""
        written = sum(map(len, self.judge.written.values()))
        asked = {"asked by clients": len(self.clients)}
        met = dict(self.faults.met) | dict(self.hands.met) | dict(self.errors.met)
        return dict(self.judge.counts) | {"acknowledged writes": written} | asked | met


class Wanted(NamedTuple):
    """The faults that may come, as tests.simulation.host_faults asks for them."""

    faults: tuple[str, ...]
