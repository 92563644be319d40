"""What goes wrong now and then: with connections, servers and processes."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from tests.edge.links import Links
from tests.simulation.server_faults import ServerFaults
from tests.simulation.world import Chance

if TYPE_CHECKING:
    from tests.edge.player import Player
    from tests.edge.schedule import Schedule


class Faults:
    """Draws faults until :meth:`end`, then mends everything."""

    def __init__(self, schedule: "Schedule") -> None:
        self._schedule = schedule
        self._world, self._service, self._met = schedule.world, schedule.service, schedule.met
        self._servers = ServerFaults(self._world, self._service, schedule.timeout)
        draw = self._world.random
        strikes = [
            *(self._hole, self._stall, self._lag, self._outage, self._server_crash, self._isolate),
            *(self._expire, self._freeze, self._abandon, self._crash, self._close),
        ]
        self._strikes = draw.sample(strikes, draw.choice([0, 1, 2, 4]))
        self._at_war = True
        self.links = Links(self._world, schedule.timeout, schedule.met, refusals=True)
        self.links.sluggish = draw.choice([None] * 20 + [1.3, 2.2])

    def begin(self, seconds: float) -> None:
        """Faults from now on."""
        pause = self._world.random.choice([0.1, 0.5, 1.5])
        at = self._world.random.expovariate(1 / pause)
        while at < seconds:
            self._world.after(at, self._strike)
            at += self._world.random.expovariate(1 / pause)

    def end(self) -> None:
        """Mend everything but the connections there are."""
        self._at_war = False
        self._world.note("peace", "begins")
        self._schedule.network.mend()
        self.links.mend()
        self._servers.mend()
        for player in self._schedule.players:
            player.thaw()
            self._world.after(0.0, player.start)

    # ------------------------------------------------------------ now and then

    def _strike(self) -> None:
        draw = self._world.ingredient() if self._at_war and self._strikes else None
        if draw is not None:
            kind = draw.random.choice(self._strikes)
            self._met[kind.__name__.strip("_")] += 1
            kind(draw)

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        """Unless peace comes before."""
        self._world.after(seconds, lambda: call() if self._at_war else None)

    def _someone(self, draw: Chance) -> "Player":
        return draw.random.choice(self._schedule.players)

    def _hole(self, draw: Chance) -> None:
        """A connection carries nothing any more, one way or both."""
        link = self._someone(draw).link
        if link is not None:
            if draw.chance(0.7):
                link.down.stop()
            if draw.chance(0.7):
                link.up.stop()

    def _stall(self, draw: Chance) -> None:
        """A connection is slow for a while, one way."""
        link = self._someone(draw).link
        if link is not None:
            pipe = draw.random.choice([link.down, link.up])
            pipe.stall(draw.between(0.0, self._schedule.timeout))

    def _freeze(self, draw: Chance) -> None:
        """A process stands still."""
        player = self._someone(draw)
        if player.alive and not player.machine.frozen:
            player.freeze()
            longest = self._schedule.timeout * draw.random.choice([0.2, 1.5])
            self._later(longest * draw.random.random(), player.thaw)

    def _abandon(self, draw: Chance) -> None:
        """A core gives its session up."""
        self._someone(draw).abandon()

    def _crash(self, draw: Chance) -> None:
        """A process dies, and comes back."""
        player = self._someone(draw)
        player.crash(release=draw.chance(0.5))
        self._later(draw.between(0.01, 2.0), player.start)

    def _close(self, draw: Chance) -> None:
        """A process ends, and comes back."""
        player = self._someone(draw)
        if not player.machine.frozen:
            player.close()
            self._later(3.5 + draw.random.random(), player.start)

    def _expire(self, draw: Chance) -> None:
        """Somebody ends the session of a living process."""
        session = self._someone(draw).side.session
        if session is not None and self._service.quorum:
            self._world.note("person", f"ends {session:#x}")
            self._service.end(session)

    def _lag(self, draw: Chance) -> None:
        """A server is slow to apply what was committed."""
        self._servers.lag(draw)

    def _outage(self, draw: Chance) -> None:
        """No quorum for a while, or just another leader."""
        self._servers.outage(draw)

    def _server_crash(self, draw: Chance) -> None:
        """A server dies and comes back."""
        self._servers.crash(draw)

    def _isolate(self, draw: Chance) -> None:
        """A server loses its leader but not its clients, and answers their reads until it notices."""
        self._servers.isolate(draw, draw.random.randrange(len(self._service.servers)), confined=0.0)
