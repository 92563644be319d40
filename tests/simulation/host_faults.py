"""What goes wrong, and when. Each seed draws the kinds of fault, and how often they come."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from mwapp.core.messages import Delete
from tests.simulation.host import Host
from tests.simulation.server_faults import ServerFaults
from tests.simulation.tree import LAST_NUMBER
from tests.simulation.world import Chance

# How often an ensemble loses commits at most.
MOST_LOSSES = 3


class Faults:
    """Draws faults from :meth:`begin` to :meth:`end`, then mends everything."""

    def __init__(self, schedule: Any) -> None:
        """``schedule``: a Schedule, or one of shards, which has what the faults need that it meets."""
        self._schedule = schedule
        self._world, self._service = schedule.world, schedule.service
        self._timeout: float = schedule.timeout
        self._servers = ServerFaults(self._world, self._service, self._timeout)
        self._kinds: list[Callable[[], None]] = []
        self.at_war = False
        self._at_writes = 0.0  # how often something goes wrong just when a process writes
        self._victim: Host | None = None
        self._draw: Chance = schedule.world  # of the current fault
        self._kept = 0  # how much of the log is never lost
        self._losses = 0  # how often some was lost
        self.over = False  # nothing starts any more
        self.met: Counter[str] = Counter()

    def begin(self, seconds: float) -> None:
        """Start the faults. A few kinds at a time find more than always all of them."""
        draw = self._world.random
        self._kept = len(self._service.ensemble.log)
        every = [
            *(self.cut, self.stall, self.crash, self.stop, self.expire),
            *(self.freeze, self.suspend, self.starve, self.hang),
            *(self.lag, self.outage, self.lose, self.server_crash, self.isolate),
            *(self.unseat, self.evict),
        ]
        only = self._schedule.bug.faults
        self._kinds = [kind for kind in every if kind.__name__ in only]
        if not only:
            self._kinds = draw.sample(every, draw.choice([1, 1, 2, 3, 5]))
        self._at_writes = draw.choice([0.0, 0.1, 0.3])
        self.at_war = True
        if self._schedule.pauses:
            paused = self._world.stream("pauses")
            for _ in range(paused.random.choice([1, 1, 2, 4])):
                self._world.after(paused.between(0.0, seconds), self._pause)
        pause = draw.choice([0.1, 0.3, 1.0])
        at = draw.expovariate(1 / pause)
        while at < seconds:
            self._world.after(at, self._strike)
            at += draw.expovariate(1 / pause)

    def end(self) -> None:
        """Mend everything."""
        self.at_war = False
        self._world.note("peace", "begins")
        self._servers.mend()
        for host in self._schedule.hosts:
            host.runner.slow = 0.0
            host.runner.mend()
            self._thaw(host)
            self._restart(host, 0.0)

    def write(self, host: Host) -> None:
        """A process is about to send a transaction: the moment when most can go wrong."""
        if not self.at_war or not self._world.chance(self._at_writes):
            return
        if self._world.chance(0.5):  # what changes before it arrives?
            host.edge.stall(self._world.random.random(), up=True)
        if self._world.chance(0.7):
            delay = self._world.between(0.0, 0.01)
            self._world.after(delay, lambda: self._strike(host))
        else:
            self._break(host)

    def connected(self, host: Host) -> None:
        """A process has a connection: now it knows best how long its session lives."""
        if self.at_war and self._world.chance(self._at_writes):
            self._world.after(self._world.between(0.0, 0.01), lambda: self._strike(host))

    def started(self, host: Host) -> None:
        """A command was started, and something may happen to it."""
        if self.at_war and self._world.chance(self._at_writes):
            delay = self._world.between(0.0, self._timeout)
            self._world.after(delay, lambda: self._strike(host))

    def _strike(self, victim: Host | None = None) -> None:
        draw = self._world.ingredient() if self.at_war and self._kinds else None
        if draw is not None:
            self._draw = draw
            self._victim = victim
            # Special faults come first: any process can be cut, but only a master can be unseated.
            special = self.unseat if victim in self._schedule.masters else self.evict
            aimed = victim is not None and special in self._kinds and self._draw.chance(0.5)
            kind = special if aimed else self._draw.random.choice(self._kinds)
            self.met[kind.__name__] += 1
            kind()

    def _some_host(self) -> Host | None:
        alive = [host for host in self._schedule.hosts if host.process is not None and not host.frozen]
        if self._victim in alive:
            return self._victim
        return self._draw.random.choice(alive) if alive else None

    # ------------------------------------------------------------ networks

    def cut(self) -> None:
        """A connection breaks: requests, replies or both are lost, perhaps unnoticed for long."""
        host = self._some_host()
        if host is not None:
            self._break(host)

    def _break(self, host: Host) -> None:
        deaf, mute = self._draw.random.choice([(False, True), (True, False), (True, True), (False, False)])
        longest = self._draw.random.choice([0.002, 0.05, 2 * self._timeout])
        host.edge.cut(deaf=deaf, mute=mute, notice=self._draw.random.random() * longest)

    def stall(self) -> None:
        """A connection is slow for a while, one way."""
        host = self._some_host()
        if host is not None:
            host.edge.stall(self._draw.between(0.0, self._timeout), up=self._draw.chance(0.5))

    # ------------------------------------------------------------ hosts

    def crash(self) -> None:
        """A process dies, and comes back under its name, fast or slowly."""
        host = self._some_host()
        if host is not None:
            self.kill(host)

    def kill(self, host: Host) -> None:
        """Kill a process. Its session expires, or is released as by its unit; in peace always released."""
        session = host.crash()
        if session is not None and (not self.at_war or self._draw.chance(0.5)):
            self._world.after(self._draw.between(0.001, 0.1), lambda: self._service.end(session))
        longest = self._draw.random.choice([0.05, 1.0, 3 * self._timeout])
        self._restart(host, self._draw.random.random() * (longest if self.at_war else 0.5))

    def stop(self) -> None:
        """A process is asked to end."""
        host = self._some_host()
        if host is not None:
            host.stop()
            self._restart(host, self._draw.between(0.1, 6.0))

    def freeze(self) -> None:
        """A process stands still, with or without its commands, for less or more than its session
        time-out."""
        host = self._some_host()
        if host is not None:
            host.freeze(alone=self._draw.chance(0.3))
            self._world.after(self._a_while(), lambda: self._thaw(host))

    def suspend(self) -> None:
        """A host is suspended for less or more than its session time-out."""
        host = self._some_host()
        if host is not None:
            host.suspend()
            self._world.after(self._a_while(), lambda: self._thaw(host))

    def _pause(self) -> None:
        """The machine of several hosts is paused (a laptop that is closed, a hypervisor), perhaps with the
        servers."""
        draw = self._world.ingredient() if self.at_war else None
        if draw is None:
            return
        self.met["pause"] += 1
        alive = [host for host in self._schedule.hosts if host.process is not None and not host.frozen]
        paused = [host for host in alive if draw.chance(0.7)]
        longest = draw.random.choice([0.5, 1.5, 3.0]) * self._timeout
        length = draw.random.random() * longest
        for host in paused:
            host.suspend()
            self._world.after(length, partial(self._thaw, host))
        if self._service.quorum and draw.chance(0.4):
            self._world.note("ensemble", "is paused")
            self._service.set_quorum(False)
            self._world.after(length, self._servers.back)

    def _thaw(self, host: Host) -> None:
        if host.frozen:
            host.thaw()

    def starve(self) -> None:
        """A host is so busy that for a while starting a command takes long."""
        host = self._some_host()
        if host is not None:
            longest = self._draw.random.choice([0.1, 1.0, 2.0]) * self._timeout
            self._world.note(host.name, f"takes up to {longest:.1f} s to start a command")
            host.runner.slow = longest

            def recover() -> None:
                host.runner.slow = 0.0

            self._world.after(self._a_while(), recover)

    def hang(self) -> None:
        """A host's disk hangs: some of its commands can neither end nor be killed."""
        host = self._some_host()
        if host is not None and not host.runner.hangs:
            self._world.note(host.name, "its disk hangs")
            host.runner.hang(self._draw)

            def mend() -> None:
                self._world.note(host.name, "its disk is back")
                host.runner.mend()

            self._world.after(self._a_while(), mend)

    def _a_while(self) -> float:
        longest = self._draw.random.choice([0.5, 1.5, 3.0]) * self._timeout
        return self._draw.random.random() * longest

    def _restart(self, host: Host, delay: float) -> None:
        def start() -> None:
            if self.over:
                return
            if host.process is None:
                host.start()
            elif host.process.stopping:  # not before it has ended
                self._world.after(0.5, start)

        self._world.after(delay, start)

    # ------------------------------------------------------------ servers

    def lag(self) -> None:
        """A server applies commits slowly, so its reads are old and its watches late."""
        self._servers.lag(self._draw)

    def server_crash(self) -> None:
        """A server dies and comes back."""
        self._servers.crash(self._draw)

    def isolate(self) -> None:
        """A server loses its leader but not its clients, and answers their reads until it notices."""
        number = self._draw.random.randrange(len(self._service.servers))
        if self._victim is not None and self._victim.edge.server is not None:
            number = self._victim.edge.server
        self._servers.isolate(self._draw, number, 0.5 if self._victim is None else 0.9)

    def outage(self) -> None:
        """No quorum for a while, or just another leader."""
        self._servers.outage(self._draw)

    def lose(self) -> None:
        """No quorum for a while, and the last commits may be lost, although they were acknowledged."""
        log = self._service.ensemble.log[self._kept :]
        changes = [number for number, entry in enumerate(log) if entry.changes or entry.ended]
        aged = self._schedule.limits.numbers == LAST_NUMBER  # of which the log knows nothing
        if aged or self._losses == MOST_LOSSES or self._draw.chance(0.5):
            self.outage()
        elif self._service.quorum and changes:
            self._losses += 1
            first = changes[-min(self._draw.random.choice([1, 2, 5, 20]), len(changes))]
            lost = self._service.lose(len(log) - first, passed=self._draw.chance(0.5))
            self._schedule.lost(lost)
            which = f"zxid {lost[0].zxid} to {lost[-1].zxid}"
            self._world.note("ensemble", f"loses its quorum, and what it had committed, {which}")
            self._servers.back_after(self._draw, 0.3, self._timeout)

    # ------------------------------------------------------------ people

    def expire(self) -> None:
        """Somebody ends the session of a living process."""
        host = self._some_host()
        if host is not None and host.edge.session is not None and self._service.quorum:
            self._world.note("person", f"ends the session of {host.name}")
            self._schedule.judge.killed.add(host.edge.session)
            self._service.end(host.edge.session)

    def unseat(self) -> None:
        """Somebody deletes /master."""
        self._schedule.person.do(Delete("/master"))

    def evict(self) -> None:
        """Somebody deletes a worker's znode."""
        victim = self._victim if self._victim in self._schedule.workers else None
        name = (victim or self._draw.random.choice(self._schedule.workers)).name.rstrip("'")
        self._schedule.person.do(Delete(f"/workers/{name}"))
