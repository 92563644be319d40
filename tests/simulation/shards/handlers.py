"""Simulated handlers of shards, on hosts that have them.

The primary of a table with copies acknowledges a write when all that are in sync have it. Of a table with
shared data it writes into a store, which refuses who has an older generation than it has seen. Copying takes
time. A handler may fail to open, hang or end.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from mwapp.core.messages import (
    CloseShard,
    Command,
    DemoteShard,
    OpenShard,
    PromoteShard,
    ShardSays,
)
from mwapp.core.session import Process
from mwapp.core.shards.protocol import SYNC
from tests.simulation.clock import Clock
from tests.simulation.edge import Edge
from tests.simulation.host import Build, Host
from tests.simulation.service import Service
from tests.simulation.world import World

# The longest times, seconds: until a handler has done what it is told; to copy a shard; to die of SIGKILL; to
# be heard.
TAKES, COPYING, DEATH, NEWS = 0.02, 0.5, 0.005, 0.005
# How often a primary writes, and a replica looks whether it can be in sync, seconds.
WRITES, LOOKS = 0.6, 0.05

Key = tuple[str, int]


class Witness(Protocol):
    """Who judges."""

    def promoted(self, handler: "Handler") -> None:
        """It acts as the primary from now on."""

    def writes(self, handler: "Handler") -> None:
        """It is about to write."""

    def acknowledged(self, handler: "Handler", write: int) -> None:
        """A client has heard that it is written."""


class Fleet:
    """All hosts with handlers: handlers reach each other, whatever becomes of their sessions. ``trouble``:
    the share of what they are told that goes wrong; ``slow``, that takes up to ``longest`` seconds."""

    def __init__(self, world: World, witness: Witness) -> None:
        self.world, self.witness = world, witness
        self.hosts: dict[str, ShardHost] = {}
        self.trouble = self.slow = self.longest = 0.0
        self.broken: dict[tuple[str, str], float] = {}  # worker and table: no handler serves before then
        self.slowness = world.stream("slow handlers")
        self.addressed = False  # whether handlers say where they are
        self.writes = 0  # so far

    def peer(self, worker: str, key: Key, generation: int) -> "Handler | None":
        """The handler of that worker, if it is of this generation and can answer."""
        host = self.hosts.get(worker)
        handler = host.handlers.get(key) if host is not None else None
        if (
            host is None
            or handler is None
            or host.frozen
            or handler.dying
            or handler.generation != generation
        ):
            return None
        return handler


class ShardHost(Host):
    """A host whose process may have shards. What handlers have stored outlives them."""

    fleet: Fleet

    def __init__(
        self,
        fleet: Fleet,
        world: World,
        service: Service,
        name: str,
        build: Build,
        *,
        timeout: float,
        clock: Clock,
        process: Callable[[], Process],
        on_write: Callable[[Host], None],
        on_connected: Callable[[Host], None],
        edge: Callable[[Host], Edge],
    ) -> None:
        super().__init__(
            world,
            service,
            name,
            build,
            timeout=timeout,
            clock=clock,
            process=process,
            on_write=on_write,
            on_connected=on_connected,
            edge=edge,
        )
        self.fleet = fleet
        self.handlers: dict[Key, Handler] = {}
        self.by_run: dict[int, Handler] = {}
        self.disk: dict[Key, set[int]] = {}
        fleet.hosts[self.name] = self

    def freeze(self, *, alone: bool = False) -> None:  # noqa: ARG002 - the host's; here nothing goes on alone
        """Its handlers freeze with it: one that goes on alone only its generation can stop."""
        super().freeze(alone=False)

    def _carry_out(self, command: Command) -> None:
        match command:
            case OpenShard():
                self._world.note(self.name, command)
                handler = self.by_run[command.run] = Handler(self, command)
                self.handlers[handler.key] = handler
                handler.open(command)
            case PromoteShard() | DemoteShard() | CloseShard():
                self._world.note(self.name, command)
                if command.run in self.by_run:
                    self.by_run[command.run].take(command)
            case _:
                super()._carry_out(command)

    def _die(self) -> None:
        super()._die()
        for handler in list(self.by_run.values()):
            handler.end()


class Handler:
    """The handler of one shard."""

    def __init__(self, host: ShardHost, opened: OpenShard) -> None:
        self.host, self.fleet = host, host.fleet
        self.key = opened.table, opened.shard
        self.run, self.life, self.session = opened.run, host.life, host.edge.session
        self.copies = opened.handler == "copies"  # otherwise its data are shared
        self.generation, self.primary = opened.generation, opened.primary
        self.members: Mapping[str, str] = opened.members
        self.data: set[int] = set(host.disk.get(self.key, ())) if self.copies else set()
        self.acting = False  # as the primary
        self.in_sync: set[str] = set()  # without whom it acknowledges nothing, while it is the primary
        self.dying = self.over = False
        self._deaf = False  # it hangs
        self._due = 0.0  # it does one thing after the other
        self._heard = 0.0  # and what it says is heard in that order

    @property
    def address(self) -> str:
        """No other handler has had it."""
        return f"{self.host.name}.{self.life}:{self.run}" if self.fleet.addressed else ""

    # ------------------------------------------------------------ what it is told

    def open(self, command: OpenShard) -> None:
        """Start it."""
        self._then(partial(self._opened, command))

    def take(self, command: PromoteShard | DemoteShard | CloseShard) -> None:
        """Do it, a little later."""
        if isinstance(command, CloseShard):
            self._close(command)
        else:
            self._then(partial(self._told, command))

    def _then(self, call: Callable[[], None]) -> None:
        """After what it does before."""
        world = self.fleet.world
        if world.chance(self.fleet.trouble):
            call = self._break if world.chance(0.5) else self._hang
        takes = world.between(0.0, TAKES)
        if self.fleet.slow and self.fleet.slowness.chance(self.fleet.slow):
            takes += self.fleet.slowness.random.random() * self.fleet.longest
        self._due = max(self._due, world.now) + takes
        world.at(self._due, partial(self._in_turn, call))

    def _in_turn(self, call: Callable[[], None]) -> None:
        if not (self.over or self._deaf or self.host.deferred(partial(self._in_turn, call))):
            call()

    def _is_broken(self) -> bool:
        until = self.fleet.broken.get((self.host.name, self.key[0]), 0.0)
        return self.fleet.world.now < until

    def _break(self) -> None:
        self.fleet.world.note(self.host.name, f"the handler of {self.key} ends by itself")
        self.end()
        self._say("closed", "exit status 1")

    def _hang(self) -> None:
        self.fleet.world.note(self.host.name, f"the handler of {self.key} hangs")
        self._deaf = True
        self.acting = False  # it writes nothing

    def _opened(self, command: OpenShard) -> None:
        if self.host.clock.now() >= command.until:
            self.end()
            self._say("closed", "too late")
            return
        self._say("open")
        self._look_later()

    def _told(self, command: PromoteShard | DemoteShard) -> None:
        if isinstance(command, PromoteShard) and self.host.clock.now() >= command.until:
            self._say("late", generation=command.generation)
            return
        if isinstance(command, PromoteShard) and self._is_broken():
            self._break()
            return
        self.generation, self.members = command.generation, command.members
        if isinstance(command, PromoteShard):
            self.primary = self.host.name
            self.in_sync = {name for name, state in command.members.items() if state == SYNC} - {self.primary}
            begins, self.acting = not self.acting, True
            self.fleet.witness.promoted(self)
            self._say("serving")
            if begins:
                self._write_later()
            return
        self.acting, self.primary = False, command.primary
        if command.to is not None:
            self._say("released")
        else:
            self._say("open")
            self._look_later()

    # ------------------------------------------------------------ to copy

    def _look_later(self) -> None:
        takes = self.fleet.world.between(0.0, COPYING)
        generation = self.generation
        self.fleet.world.after(takes, partial(self._look, generation))

    def _look(self, generation: int) -> None:
        """Whether it is in sync: it has got everything from the primary, which waits for it from now on."""
        if self.over or self._deaf or generation != self.generation or self.acting:
            return
        if self.host.deferred(partial(self._look, generation)):
            return
        if not self.copies or not self.primary:
            self._say("ready")
            return
        primary = self.fleet.peer(self.primary, self.key, generation)
        if primary is None or not primary.acting:
            self.fleet.world.after(LOOKS, partial(self._look, generation))
            return
        self.data = set(primary.data)
        self._store()
        primary.in_sync.add(self.host.name)
        self._say("ready")

    def _store(self) -> None:
        self.host.disk[self.key] = self.data

    # ------------------------------------------------------------ to write

    def _write_later(self) -> None:
        self.fleet.world.after(0.02 + self.fleet.world.random.random() * WRITES, self._write)

    def _write(self) -> None:
        if self.over or not self.acting or self._deaf:
            return
        if self.host.deferred(self._write):
            return
        self.fleet.witness.writes(self)
        if self.copies:
            self._replicate()
        self._write_later()

    def _replicate(self) -> None:
        others = [self.fleet.peer(name, self.key, self.generation) for name in sorted(self.in_sync)]
        followers = [other for other in others if other is not None and not other.acting]
        if len(followers) < len(others):
            return  # somebody does not answer: nothing is acknowledged
        self.fleet.writes += 1
        for handler in [self, *followers]:
            handler.data.add(self.fleet.writes)
            handler._store()
        self.fleet.witness.acknowledged(self, self.fleet.writes)

    # ------------------------------------------------------------ to end

    def _close(self, command: CloseShard) -> None:
        if self.over or self.host.deferred(partial(self._close, command)):
            return
        quick = command.grace and not self._deaf
        after = self.fleet.world.between(0.0, TAKES) if quick else command.grace
        self.dying = True
        self.host.after(after + self.fleet.world.between(0.0, DEATH), self._closed)

    def _closed(self) -> None:
        if not self.over and not self.host.deferred(self._closed):
            self.end()
            self._say("closed")

    def end(self) -> None:
        """It is gone."""
        self.over, self.acting = True, False
        self.host.by_run.pop(self.run, None)
        if self.host.handlers.get(self.key) is self:
            del self.host.handlers[self.key]

    def _say(self, said: str, reason: str | None = None, generation: int | None = None) -> None:
        if self.life == self.host.life:
            under = self.generation if generation is None else generation
            says, world = ShardSays(self.run, said, under, reason, self.address), self.fleet.world
            self._heard = max(self._heard, world.now + world.between(0.0, NEWS))  # in order
            self.host.after(self._heard - world.now, lambda: self.host.event(says))
