"""One schedule: a world drawn from a seed, a time of faults, then peace, in which everything must end
well."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

from mwapp.core.client import UNDER_WAY, Submit
from mwapp.core.election import Election
from mwapp.core.limits import LIMITS, Limits
from mwapp.core.master import Master
from mwapp.core.node import PeerDuty
from mwapp.core.protocol import CANCEL, MASTER, REQUESTS, RETURNED, TASKS, Outcome, candidate_path
from mwapp.core.request_size import LOSSES
from mwapp.core.retention import Retention
from mwapp.core.session import DRIFT, Process
from mwapp.core.suspicion import NEVER
from mwapp.core.wait import Wait
from mwapp.core.worker import Worker
from tests.simulation.clock import Clock
from tests.simulation.depositions import EVERY
from tests.simulation.edge import Edge
from tests.simulation.ensemble import Transacted
from tests.simulation.errors import Errors
from tests.simulation.hands import Hands
from tests.simulation.host import Build, Host
from tests.simulation.host_faults import Faults
from tests.simulation.judge import Judge
from tests.simulation.limits import draw_limits, draw_patience
from tests.simulation.load import LABEL, Load
from tests.simulation.neighbour import Neighbour
from tests.simulation.past import rewind
from tests.simulation.people import Person
from tests.simulation.runner import Execution
from tests.simulation.service import Service
from tests.simulation.tree import LAST_NUMBER, ZNode
from tests.simulation.world import Violation, World, bounded

MAX_ATTEMPTS = 4
# How long peace may last, seconds: sessions expire, attempts are repeated, hosts restart. Long tasks may add
# to that.
PEACE = 60.0
DRAIN = 3.0
# The greatest drift of the hosts' clocks, as a part of the time: what is usual (NTP corrects at most 500
# ppm), and what mwapp tolerates.
DRIFTS = (0.0, 0.0005, 0.0005, DRIFT)
# The longest that hosts have been up when a schedule begins, seconds.
UPTIME = 1e6
# How long faults last, seconds. Shorter ones make more schedules a minute, and find planted bugs no sooner.
WARS = (2.0, 4.0, 8.0)
# How far wall clocks that are wrong may be behind or ahead, seconds: nothing may have to wait for longer than
# peace.
BEHIND, AHEAD = 10.0, 1e6
# How much longer than the faults finished tasks stay: as long as it may take to learn that a session is over
# and to resolve a lost reply. Otherwise a removed name that is submitted again would be a new task, which the
# judge does not expect. Session time-outs, plus seconds.
RETENTION = (UNDER_WAY + 2, 4.0)
FOR_EVER = 1e9
MANY = 1_000_000
MOST_TIMERS = 20
# Requests a second of an idle process: proofs of life, and checks for what may come back.
MOST_REQUESTS = 100

# The share of schedules in which standbys depose silent masters, and in which submitters are bounded.
DEPOSES = 0.4
BOUNDS = 0.15
# And in which some tasks have secret values; and in which masters adopt no worker that a person made.
SECRETS = 0.15
ALOOF = 0.2
# And in which one machine has several hosts and is paused; in half of these their clocks do not notice.
PAUSES = 0.15

Capacity = tuple[int, int, tuple[str, ...]]  # slots, prefetch, labels


class Bug(NamedTuple):
    """What a planted bug replaces; the default is none.

    ``faults``: the only kinds of fault, for a bug that few combinations reveal. ``namesake``: two hosts
    always have the same name. ``neighbour``: there always is another application. ``lag``: how far behind
    servers are, seconds. ``drift``: the greatest of clocks. ``wall``: processes go by wall clocks.
    ``numbers``: so many there are for tasks.
    """

    process: Callable[[Limits], Process] = Process
    master: type[Master] = Master
    submit: type[Submit] = Submit
    edge: type[Edge] = Edge
    max_attempts: int = MAX_ATTEMPTS
    retention: Retention | None = None
    faults: tuple[str, ...] = ()
    namesake: bool = False
    neighbour: bool = False
    lag: float = 0.0
    drift: float | None = None
    numbers: int = 0
    wall: bool = False
    punctual: bool = True  # a command does not start after its deadline
    counts_sleep: bool = True  # a process's clock continues while its host is suspended
    deposes: float = 0.0  # the share of schedules in which standbys depose: that hides most bugs
    bounds: float = 0.0  # the same for bounds on submitters
    secrets: float = 0.0  # and for tasks with secret values
    aloof: float = 0.0  # and for masters that adopt nobody
    pauses: float = 0.0  # and for a machine with several hosts that is paused


NONE = Bug(deposes=DEPOSES, bounds=BOUNDS, secrets=SECRETS, aloof=ALOOF, pauses=PAUSES)


@dataclass
class Figures:
    """What a schedule met, to see that the simulation is useful."""

    seconds: float = 0.0  # simulated
    steps: int = 0
    zxids: int = 0
    tasks: int = 0
    epochs: int = 0
    executions: int = 0
    returned: int = 0
    cancelled: int = 0
    depositions: int = 0
    removed: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    hands: dict[str, int] = field(default_factory=dict)
    errors: dict[str, int] = field(default_factory=dict)


class Schedule:
    """Build with a seed, then :meth:`run`. The numbers in ``without`` are left out."""

    def __init__(self, seed: int, bug: Bug = NONE, without: frozenset[int] = frozenset()) -> None:
        self.bug = bug
        self.world = world = World(seed, without)
        draw = world.random
        self.timeout = draw.choice([1.0, 2.0, 4.0])
        self._war = draw.choice(WARS)
        self._retention = self._draw_retention()
        self.judge = Judge(max_attempts=MAX_ATTEMPTS, retention=self._retention)
        walls = world.stream("walls")
        self.judge.times.right = walls.chance(0.8)
        self._walls_jump = walls.chance(0.5)  # if they are wrong
        paused = world.stream("paused")
        self.pauses = paused.chance(bug.pauses)
        self.judge.clocks_stop = self.pauses and paused.chance(0.5)
        slow = draw.choice([0.0, 0.0, 0.02, 0.1])
        tick = self.timeout / draw.choice([2, 3, 6, 20])
        self.neighbour: Neighbour | None = None
        self.service = Service(world, self._committed, slow=slow, tick=tick)
        self.service.ensemble.follows = world.stream("follows").chance(0.9)
        for server in self.service.servers:
            server.lag = bug.lag
        self.judge.ensemble = self.service.ensemble
        self.person = Person(world, self.service)
        self.judge.persons.add(self.person.session)
        self.labelled = world.chance(0.4)
        self._drift = draw.choice(DRIFTS)
        if bug.drift is not None:
            self._drift = bug.drift
        at_hand = world.stream("at hand").random.choice([LIMITS.at_hand, 1.0, math.inf])
        self.limits = replace(draw_limits(draw), at_hand=at_hand)
        numbers = world.stream("numbers")
        if numbers.chance(0.05):
            self.limits = replace(self.limits, numbers=numbers.random.choice([5, 20, LAST_NUMBER]))
            if self.limits.numbers == LAST_NUMBER:
                world.at(numbers.random.random(), self._grow_old)
        if bug.numbers:
            self.limits = replace(self.limits, numbers=bug.numbers)
        self.judge.limits = self.limits
        suspicion = world.stream("suspicion")
        self.patience = draw_patience(suspicion.random) if suspicion.chance(bug.deposes) else NEVER
        self.judge.depositions.patience = self.patience
        bound = world.stream("bound")
        self._most = bound.random.choice([1, 2, 3, 6]) if bound.chance(bug.bounds) else 0
        self.judge.shares.most = self._most
        hidden = world.stream("hidden")
        if hidden.chance(0.2) and not self._most:  # who does not know of a task cannot count it
            # Some znodes are not readable at the moment when something happens to them.
            self.service.ensemble.hides = lambda _: hidden.chance(0.3)
        self._adopts = not world.stream("adoption").chance(bug.aloof)
        if world.chance(0.3):
            self._peers()
        else:
            self._masters_and_workers()
        self.load = Load(self)
        self.hosts = self.judge.hosts = list(dict.fromkeys([*self.masters, *self.workers, *self.load.hosts]))
        if world.chance(0.1) or bug.neighbour:
            self.neighbour = Neighbour(self, MAX_ATTEMPTS)
            self.hosts += self.neighbour.hosts
        self.faults = Faults(self)
        self.hands = Hands(self)
        self.errors = Errors(self)

    def _grow_old(self) -> None:
        """Pretend that there have been so many tasks that the next get the last numbers."""
        tasks = self._nodes.get(TASKS)
        if tasks is not None:
            self.world.note("ensemble", "has counted two thousand million tasks")
            tasks.created = LAST_NUMBER - self.world.stream("left").random.randint(0, 20)

    def _draw_retention(self) -> Retention:
        """Finished tasks stay forever, as long as needed, or as long as there are few."""
        needed = self._war + RETENTION[0] * self.timeout + RETENTION[1]
        removes = self.world.random.choice([False, False, False, True])
        keep = self.world.random.choice([*[MANY] * 12, 0, 1, 3])
        return Retention(needed if removes else FOR_EVER, keep, least=needed)

    # ------------------------------------------------------------ staff

    def _masters_and_workers(self) -> None:
        """Masters with their backups, and workers."""
        world, draw = self.world, self.world.random
        self.masters = [self.host(f"m{i + 1}", self.build_master) for i in range(draw.choice([1, 2, 2, 3]))]
        names = [f"w{i + 1}" for i in range(draw.choice([1, 2, 2, 3]))]
        if world.chance(0.35) or self.bug.namesake:
            names.append("w1'")  # another host has the name of w1, by mistake
        self.workers = [self.host(name, partial(self.build_worker, self._capacity(name))) for name in names]

    def _peers(self) -> None:
        """Peers; the elected one is not a worker meanwhile."""
        names = [f"n{i + 1}" for i in range(self.world.random.choice([2, 3, 3]))]
        if self.world.chance(0.2) or self.bug.namesake:
            names.append("n1'")
        self.workers = [self.host(name, partial(self._peer, self._capacity(name))) for name in names]
        self.masters = self.workers

    def _capacity(self, name: str) -> Capacity:
        """A worker's settings. One worker has the label; among peers two have it, so that one of them
        works."""
        draw = self.world.random
        labels = (LABEL,) if self.labelled and name.rstrip("'") in ("w1", "n1", "n2") else ()
        self.judge.labels[name.rstrip("'")] = frozenset(labels)
        return draw.choice([1, 1, 2]), draw.choice([0, 0, 1, 3]), labels

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
        world, war = self.world, self._war
        for host in self.hosts:
            world.after(world.between(0.0, 1.0), host.start)
        self.load.begin(war)
        self.faults.begin(war)
        self.hands.begin(war)
        self.errors.begin(war)
        if self.patience != NEVER:
            self._look_for_silence()
        world.run(war)
        self.faults.end()
        self.hands.end()
        self.errors.end()
        self.person.leave()
        self.load.end()
        world.run(war + PEACE, self._at_rest)
        world.run(world.now + self.load.longest(), self._at_rest)
        # Of clients that ask for different things of one task, each may wait until it may be removed, one
        # after the other: seed 91085996.
        world.run(world.now + self.load.visitors_waiting * (self._retention.least + 2.0), self._at_rest)
        if (
            self._learns
        ):  # each master tries what is due to be removed, and then reads all again: seed 50099578
            world.run(world.now + LOSSES * len(self.masters) * self._retention.least, self._at_rest)
        self._check_spin()
        self._check_liveness(world.now - war)
        self._check_candidates()
        self._check_wait()
        if self._retention.keep < MANY or self._retention.seconds < FOR_EVER:
            self._check_leaks()
        self._check_stop()

    def _look_for_silence(self) -> None:
        if not self.hands.met:
            state, now = self.service.ensemble, self.world.now
            self.judge.depositions.look(state, self.masters, self.service, now)
            self.world.after(EVERY, self._look_for_silence)

    def figures(self) -> Figures:
        """What it met."""
        return Figures(
            self.world.now,
            self.world.steps,
            len(self.service.ensemble.log),
            len(self.judge.tasks),
            len(self.judge.leadership.winners),
            len(self.judge.runs.last),
            self.judge.returned,
            sum(state == b"cancelled" for state in self.judge.status.values()),
            len(self.judge.depositions.times),
            len(self.judge.removed),
            dict(self.faults.met),
            dict(self.hands.met),
            dict(self.errors.met),
        )

    def _committed(self, entry: Transacted) -> None:
        self.world.note("ensemble", entry)
        if self.neighbour is not None:  # there is none yet when its path is created
            self.neighbour.committed(entry, self.hosts)
        self.judge.committed(entry)

    def lost(self, entries: list[Transacted]) -> None:
        """The ensemble has lost these acknowledged writes."""
        log = self.service.ensemble.log
        rewind(self.judge, log, entries)
        if self.neighbour is not None:
            self.neighbour.lost(log, entries)

    # ------------------------------------------------------------ the actors

    def host(
        self,
        name: str,
        build: Build,
        *,
        chroot: str = "",
        on_run: Callable[[Host, Execution], None] | None = None,
    ) -> Host:
        """One more, not yet started. ``on_run`` decides how its commands go."""
        draw = self.world.random
        drift = draw.uniform(-self._drift, self._drift)
        clock = Clock(
            self.world,
            began=draw.uniform(0.0, UPTIME),
            drift=drift,
            counts_sleep=self.bug.counts_sleep and not self.judge.clocks_stop,
            ahead=self._ahead(name),
            by_wall=self.bug.wall,
        )
        return Host(
            self.world,
            self.service,
            name,
            build,
            timeout=self.timeout,
            clock=clock,
            punctual=self.bug.punctual,
            process=partial(self.bug.process, self.limits),
            chroot=chroot,
            on_run=on_run or (lambda host, execution: self.load.run(host, execution)),
            on_over=self.judge.runs.over,
            on_write=lambda host: self.faults.write(host),
            on_connected=lambda host: self.faults.connected(host),
            on_awake=self.judge.runs.awake,
            edge=self.edge,
        )

    def _ahead(self, name: str) -> float | None:
        """The seconds by which the wall clock of that host is wrong; None: anything."""
        if self.judge.times.right:
            return 0.0
        draw = self.world.stream(f"wall of {name}").random
        ahead = draw.choice([draw.uniform(-BEHIND, BEHIND), draw.uniform(0.0, AHEAD)])
        return None if self._walls_jump else ahead

    def edge(self, host: Host) -> Edge:
        """The edge between a process on the host and the ensemble."""
        return self.bug.edge(self.world, self.service, host)

    def build_master(self, host: Host, process: Process) -> None:
        duty = self._duty(host, process)
        host.election = Election(process, host.name, f"{host.name}:2223", duty, self.patience)

    def _duty(self, host: Host, process: Process) -> Master:
        retention = self._retention if self.bug.retention is None else self.bug.retention
        return self.bug.master(
            process,
            wall=host.clock.wall,
            max_attempts=self.bug.max_attempts,
            max_per_submitter=self._most,
            retention=retention,
            adopts=self._adopts,
        )

    def build_worker(self, capacity: Capacity, host: Host, process: Process) -> None:
        self._worker(capacity, host, process)

    def _worker(self, capacity: Capacity, host: Host, process: Process) -> Worker:
        slots, prefetch, labels = capacity
        name, address = host.name.rstrip("'"), f"{host.name}:2224"
        return Worker(process, name, address, slots=slots, prefetch=prefetch, labels=labels, drain=DRAIN)

    def _peer(self, capacity: Capacity, host: Host, process: Process) -> None:
        worker = self._worker(capacity, host, process)
        duty = self._duty(host, process)
        name = host.name.rstrip("'")
        both = PeerDuty(duty, worker)
        host.election = Election(process, name, f"{host.name}:2224", both, self.patience)

    # ------------------------------------------------------------ how it must end

    @property
    def _nodes(self) -> dict[str, ZNode]:
        return self.service.ensemble.decided.nodes

    @property
    def _learns(self) -> bool:
        """Whether processes find out by lost connections how much the servers take at once."""
        return self.service.most_taken < self.service.most_sent

    def _all_ended(self) -> bool:
        others_wait = self.neighbour is not None and self.neighbour.waits
        return self.judge.all_ended() and not self.load.clients_wait and not others_wait

    def _at_rest(self) -> bool:
        """Nothing is left to happen. A process that cannot know yet that its session is over may still
        run."""
        running = any(host.executions for host in self.hosts)
        return self._all_ended() and MASTER in self._nodes and not running

    def _check_liveness(self, peace: float) -> None:
        if not self._all_ended():
            left = sorted(self.judge.left())
            raise Violation(
                "liveness",
                f"no final status after {peace:.0f} s of peace: {left or 'somebody waits'}",
            )
        if MASTER not in self._nodes:
            raise Violation("election-bounded", "nobody holds leadership in peace")
        for host in self.hosts:
            for execution in host.executions:
                raise Violation("liveness", f"{execution.task} has ended, yet goes on at {host.name}")

    def _check_candidates(self) -> None:
        """Every master is listed, active or not."""

        def missing() -> list[str]:
            return [path for host, path in self._candidates() if not self._owns(host, path)]

        self.world.run(self.world.now + 10.0, lambda: not missing())
        if missing():
            raise Violation("candidates-listed", f"{missing()} are missing")

    def _candidates(self) -> Iterator[tuple[Host, str]]:
        for host in self.hosts:
            election = host.election
            if host.process is not None and election is not None and election.state in ("active", "standby"):
                yield host, host.chroot + candidate_path(host.name.rstrip("'"), host.process.session or 0)

    def _owns(self, host: Host, path: str) -> bool:
        session = host.process.session if host.process is not None else None
        return path in self._nodes and self._nodes[path].owner == session

    def _check_wait(self) -> None:
        """What a waiting client hears is what is there."""
        told: set[str] = set()
        tasks = set(self.judge.answers.acked.values()) - self.judge.excuses.endless

        def ended(name: str, state: str | None, outcome: Outcome | None) -> None:
            self.judge.answers.told(name, state, outcome)
            told.add(name)

        def build(_: Host, process: Process) -> None:
            Wait(process, sorted(tasks), ended=ended, finished=lambda: None)

        waiter = self.host("waiter", build)
        waiter.start()
        self.world.run(self.world.now + 30.0, lambda: told == tasks)
        waiter.crash()
        if told < tasks:
            raise Violation("liveness", f"a client that waits was not told of {sorted(tasks - told)}")

    def _check_spin(self) -> None:
        """An idle process sends few requests, even if something is left that it cannot change."""
        before = {host: (host.edge, host.edge.requests) for host in self.hosts}

        def spins(seconds: int) -> str | None:
            for host, (edge, requests) in before.items():
                each = (edge.requests - requests) // seconds
                if host.edge is edge and each > MOST_REQUESTS:
                    return f"{host.name} sends {each} requests a second, and all is done"
            return None

        self.world.run(self.world.now + 1.0)
        if spins(1):  # it may have read everything once more: seeds 17791, 30845
            self.world.run(self.world.now + 1.0)
            problem = spins(2)
            if problem:
                raise Violation("no-spin", problem)
        self.world.run(self.world.now + 10.0, self._at_rest)  # a session may have ended meanwhile

    def _all_removed(self) -> float:
        """When everything that ended must be removed. A master counts from when it saw the end (seed 11271),
        which for what a person ended under a worker is when nobody has it any more (seed 50109403)."""
        judge = self.judge
        since = max([judge.leadership.won_at, *judge.ended_at.values(), *judge.taken_at.values()])
        return since + self._retention.least + 10.0

    def _left(self, path: str) -> set[str]:
        """What should be gone in the end, but is there. A parent that nobody needed since a person deleted it
        is not (seed 90011282)."""
        children = self._nodes[path].children if path in self._nodes else set()
        return children - self.judge.excuses.endless - self.judge.excuses.staying

    def _check_leaks(self) -> None:
        """What has ended is removed, except what is kept, and nothing is left of it."""
        nodes = self._nodes
        keep = 0 if self._retention.seconds < FOR_EVER else self._retention.keep

        # The time starts again with each connection that is lost because of a request that is too large.
        def removed() -> bool:
            return (self._learns or len(self._left(TASKS)) <= keep) and not self._left(REQUESTS)

        at_last = self.world.now + 2 * self._retention.least + PEACE
        while True:
            due = min(self._all_removed(), at_last)
            self.world.run(due, removed)
            self.world.run(self.world.now + 1.0)  # every server has heard of it by then
            # What a client sent before it died may arrive when everything seems at rest: seeds 1434, 99804.
            if removed() or self.world.now > min(self._all_removed(), at_last):
                break
        left = [path for path in (RETURNED, CANCEL, REQUESTS) if self._left(path)] + [TASKS] * (not removed())
        if left:
            raise Violation("no-leak", f"something is left in {left}: {sorted(self._left(left[0]))}")
        for server in self.service.ensemble.servers:
            paths = [p for w in (server.data_watches, server.child_watches) for p in w]
            of_tasks = {p: p.split("/")[2] for p in paths if p.startswith(f"{TASKS}/")}
            gone = set(of_tasks.values()) - (nodes[TASKS].children if TASKS in nodes else set())
            gone -= {task for task in gone if self.judge.explained("no-leak", task)}
            leaked = [path for path, task in of_tasks.items() if task in gone]
            if leaked:
                raise Violation("no-leak", f"watches are left on {leaked}")
        for host in self.hosts:
            timers = len(host.process.timers) if host.process is not None else 0
            if timers > MOST_TIMERS:
                raise Violation("no-leak", f"{timers} timers are left at {host.name}")

    def _check_stop(self) -> None:
        """Every process ends when asked to, and leaves no ephemeral."""
        self.faults.over = True
        for host in self.hosts:
            host.stop()
        self.world.run(self.world.now + DRAIN + 5.0, lambda: all(h.process is None for h in self.hosts))
        left = [host.name for host in self.hosts if host.process is not None]
        if left:
            raise Violation("drain", f"did not end: {left}")
        owned = self.service.ensemble.decided.ephemerals

        def ephemerals() -> list[str]:
            return [path for who, paths in owned.items() if who != self.person.session for path in paths]

        self.world.run(self.world.now + 2 * self.timeout + 2.0, lambda: not ephemerals())
        if left := ephemerals():
            raise Violation("drain", f"left behind: {left}")
