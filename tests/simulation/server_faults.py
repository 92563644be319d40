"""Temporary faults of servers, here and in tests/edge."""

from tests.simulation.service import Service
from tests.simulation.world import Chance, World


class ServerFaults:
    """The faults of one service. ``timeout``: of sessions, seconds; each fault draws from ``draw``."""

    def __init__(self, world: World, service: Service, timeout: float) -> None:
        self._world, self._service, self._timeout = world, service, timeout

    def mend(self) -> None:
        """All servers run, serve, and are up to date."""
        self._service.slow = 0.0
        self._service.set_quorum(True)
        for number, server in enumerate(self._service.servers):
            server.up, server.lag = True, 0.0
            if server.isolated:
                self._service.isolate(number, False)

    def lag(self, draw: Chance) -> None:
        """A server applies commits slowly, so its reads are old and its watches late."""
        server = draw.random.choice(self._service.servers)
        server.lag = draw.random.choice([0.0, 0.05, 0.5, 3.0])

    def crash(self, draw: Chance) -> None:
        """A server dies and comes back."""
        number = draw.random.randrange(len(self._service.servers))
        server = self._service.servers[number]
        if server.up and sum(s.up for s in self._service.servers) > 2:
            self._world.note(f"zk{number + 1}", "dies")
            self._service.drop_all(number)
            server.up = False

            def back() -> None:
                server.up = True

            self._world.after(draw.between(0.1, 5.0), back)

    def isolate(self, draw: Chance, number: int, confined: float) -> None:
        """A server loses its leader but not its clients, and answers their reads until it notices.

        With probability ``confined`` they can reach no other server.
        """
        if not any(server.isolated for server in self._service.servers):
            self._world.note(f"zk{number + 1}", "is isolated")
            self._service.isolate(number, True)
            if draw.chance(confined):
                self._service.confine(number)
            longest = draw.random.choice([0.5, 2.0, 3.0]) * self._timeout

            def back() -> None:
                if self._service.servers[number].isolated:
                    self._world.note(f"zk{number + 1}", "is back")
                    self._service.isolate(number, False)

            self._world.after(draw.random.random() * longest, back)

    def outage(self, draw: Chance) -> None:
        """No quorum for a while, or just another leader."""
        if self._service.quorum:
            self._world.note("ensemble", "loses its quorum")
            self._service.set_quorum(False)
            self.back_after(draw, 0.3, 2 * self._timeout)

    def back_after(self, draw: Chance, *longest: float) -> None:
        """The quorum is back, after at most this many seconds."""
        self._world.after(draw.random.random() * draw.random.choice(longest), self.back)

    def back(self) -> None:
        """The quorum is back."""
        if not self._service.quorum:
            self._world.note("ensemble", "has a quorum")
            self._service.set_quorum(True)
