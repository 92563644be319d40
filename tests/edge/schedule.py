"""One schedule: processes on the real edge, servers and a network drawn from a seed; then peace."""

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from mwapp.core.messages import Create
from mwapp.zookeeper import acl
from mwapp.zookeeper.connect_string import Servers
from tests.edge import asks
from tests.edge.edge_faults import Faults
from tests.edge.judge import Judge
from tests.edge.lists import Lists
from tests.edge.machine import SimMachine
from tests.edge.network import Network
from tests.edge.planted import REAL, Edge
from tests.edge.player import Player
from tests.edge.server import SLOW
from tests.edge.server import Servers as Simulated
from tests.edge.sides import Talk
from tests.simulation.service import Service
from tests.simulation.world import Violation, World, bounded

# How long faults last, and how long it may take until all is well again, seconds.
WARS = (3.0, 6.0, 12.0)
PEACE = 30.0
# A session that was given up is closed so long after its next one is there, seconds.
CLOSED_IN = 3.0
# What has happened is told so soon, seconds.
SOON = 0.1
# What changes in /acl is heard of so soon, even if it could not be read just now, seconds.
LEARNED_IN = 2.0
# Every so often it is looked whether somebody waits for a silent server, seconds.
LOOK = 0.2
BIG = bytes(range(256)) * 4700  # larger than jute.maxbuffer: written by somebody who may


class Schedule:
    """Build with a seed, then :meth:`run`. What is numbered in ``without`` is left out."""

    def __init__(self, seed: int, edge: Edge = REAL, without: frozenset[int] = frozenset()) -> None:
        self.world = world = World(seed, without)
        random.seed(seed)  # kazoo's own
        draw = world.random
        self.met: Counter[str] = Counter()
        self.timeout = draw.choice([1.5, 4.0, 10.0])
        tick = self.timeout / draw.choice([2, 4])
        self.service = Service(world, lambda _: None, slow=draw.choice([0.0, 0.02, 0.1]), tick=tick)
        self.players: list[Player] = []
        self._war = draw.choice(WARS)
        self.faults = Faults(self)
        self.network = Network(world, len(self.service.servers), self.faults.links.manner)
        self.network.torn = draw.choice([0.0, 0.1, 0.5])
        self.passwords: dict[int, bytes] = {}  # of the sessions
        self.judge = Judge(self.service.ensemble, self.passwords)
        # What servers grant is not always what was asked for.
        grants = draw.choice([(1.0, 40.0), (1.0, 0.7 * self.timeout), (1.4 * self.timeout, 40.0)])
        script = self.faults.links.script
        servers = Simulated(world, self.service, self.judge, script, self.passwords, grants)
        self.network.accept = servers.accept
        self.lists = Lists(world, self.service)
        if self.lists.there:
            servers.refuses = self.lists.refuses
            self.met["lists"] += 1
        self.network.cut = lambda link: self.judge.cut(link, world.now)
        self.network.closed = lambda link: self.judge.closed(link, world.now)
        hasty = draw.choice([0.0, 0.0, 0.1])
        for number in range(draw.choice([1, 2, 2])):
            self.players.append(self._player(edge, f"p{number + 1}", hasty))

    def _player(self, edge: Edge, name: str, hasty: float) -> Player:
        draw = self.world.random
        machine = SimMachine(self.world, self.network, name)
        machine.hasty = hasty
        hosts = draw.sample(self.network.addresses, draw.choice([1, 2, 3, 3]))
        chroot = draw.choice(["", "", "/app", "/app/one", "/app/two/deep"])
        connect = ",".join(f"{host}:{port}" for host, port in hosts) + chroot
        servers = replace(Servers.parse(connect), tls=self.lists.certificate())
        player = Player(self.world, self.judge, machine, edge, servers, self.timeout)
        player.lists = self.lists.there
        return player

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
        finally:
            for player in self.players:
                player.machine.switch_off()
        self.met["seconds"] += round(self.world.now)
        self.met["answers"] += sum(player.answered for player in self.players)

    def _run(self) -> None:
        for player in self.players:
            self.world.after(self.world.between(0.0, 1.0), player.start)
        self._look()
        if self.world.chance(0.05):
            self._write_big()
        self.lists.begin(self._war, [player.servers for player in self.players])
        self.faults.begin(self._war)
        self.world.run(self._war)
        self.faults.end()
        self.lists.end()
        for player in self.players:
            player.rests()
        self.world.run(self.world.now + SLOW)
        for player in self.players:
            self._check_lists(player)
            self._check_much(player)
            self._check_idle(player)
            self._check_given_up(player, cut=False)
            if self.faults.links.sluggish is None:  # who ends a session has no patience for that
                self._check_given_up(player, cut=True)
            self._check_closed(player)
            self._check_left(player)

    def _look(self) -> None:
        for player in self.players:
            if not player.machine.frozen:
                self.judge.look(player.side, self.world.now)
        self.world.after(LOOK, self._look)

    def _write_big(self) -> None:
        ensemble = self.service.ensemble
        session = ensemble.open(1e9, 0.0)
        for player in self.players:
            paths = [*player.servers.parents, f"{player.servers.chroot}/a"]
            for path in paths:
                ensemble.transact(session, (Create(path, BIG if path == paths[-1] else b""),), 0.0)

    # ------------------------------------------------------------ how it must end

    def _until(self, over: Callable[[], bool], invariant: str, what: str, seconds: float = PEACE) -> None:
        self.world.run(self.world.now + seconds, over)
        if not over():
            raise Violation(invariant, f"{what}, after {seconds:g} s")

    def _settle(self, player: Player) -> Talk:
        """It has a session, and is answered on it; over this connection."""
        player.proves()
        self._until(lambda: player.settled, "liveness", f"{player.name} is not answered in peace")
        assert player.side.talk is not None
        return player.side.talk

    def _check_lists(self, player: Player) -> None:
        """What changes in /acl is heard of, and holds for what is created from then on."""
        if player.side.subject is None:
            return
        self._settle(player)
        (before,) = player.side.knows or (None,)
        policy = self.lists.change(player.servers, before)
        knows = lambda: player.side.knows == (policy,)  # noqa: E731 - asked once
        self._until(knows, "lists", f"{player.name} does not hear of another {acl.PATH}", LEARNED_IN)
        player.rests()
        player.ask(map(asks.listed, [self.world] * 5))
        self._until(lambda: not player.side.outstanding, "liveness", f"{player.name} is not answered")

    def _check_much(self, player: Player) -> None:
        """What does not go into one packet goes into the next, without more being asked for."""
        talk = self._settle(player)
        player.rests()
        player.ask(asks.MUCH)
        answered = lambda: not player.side.outstanding  # noqa: E731 - asked once
        self._until(answered, "silence", f"{player.name} does not send all it was to", 0.3 * talk.timeout)

    def _check_idle(self, player: Player) -> None:
        """Who asks nothing keeps its session, on one connection; and leaves one that carries nothing."""
        for timeouts in (2.2, 0.8):
            talk = self._settle(player)
            player.rests()
            self.world.run(self.world.now + timeouts * talk.timeout)
            if player.side.talk is not talk:
                raise Violation("silence", f"{player.name} leaves a server that answers its pings")
            talk.link.down.stop()
            left = lambda link=talk.link: link.left_at is not None  # noqa: E731 - asked once
            self._until(
                left, "silence", f"{player.name} is not answered, and stays", 0.7 * talk.timeout + 0.5
            )

    def _check_given_up(self, player: Player, *, cut: bool) -> None:
        """A session that is given up is closed at once; if its connection is of no use, by the next one."""
        talk = self._settle(player)
        if cut:
            talk.link.up.stop()
            talk.link.down.stop()
        player.abandon()
        self._settle(player)
        over = lambda: talk.session not in self.service.ensemble.sessions  # noqa: E731 - asked once
        self._until(over, "given-up", f"{player.name} has not closed {talk.session:#x}", CLOSED_IN)
        alone = lambda: player.machine.alive == 1  # noqa: E731 - asked once
        self._until(alone, "no-crash", f"threads of {player.name} stay", self.timeout / 3 + 1.0)
        if self.judge.confirmed(talk.session):
            told = lambda: talk.session in player.side.closed  # noqa: E731 - asked once
            self._until(told, "given-up", f"{player.name} is not told that {talk.session:#x} is closed", SOON)
            self.met["told"] += 1

    def _check_closed(self, player: Player) -> None:
        """Closing closes, and does not wait for the server to hang up."""
        self._settle(player)
        player.closed.clear()
        player.close()
        self._until(
            lambda: player.closed == [True], "closed", f"{player.name} has not closed its session", 0.5
        )

    def _check_left(self, player: Player) -> None:
        """Nothing is left of a process behind."""
        machine = player.machine
        self._until(lambda: not machine.alive, "no-crash", f"threads of {player.name} are left")
        open_links = [
            link for link in self.network.links if link.machine is machine and not link.socket.closed
        ]
        if open_links or not all(pair.closed for pair in machine.pairs):
            raise Violation("no-crash", f"sockets of {player.name} are left")
