"""Planted bugs of a host: its commands, its names, and its edge. See bugs.py."""

from mwapp.core.limits import Limits
from mwapp.core.messages import (
    Command,
    Create,
    Error,
    Event,
    Exited,
    Failed,
    Kill,
    Operation,
    Reply,
    Tick,
    Transaction,
)
from mwapp.core.session import Process
from tests.simulation.denials import TurnedAway
from tests.simulation.edge import Edge
from tests.simulation.service import Connection


class Optimistic(Process):
    """A process that takes a command for dead when SIGKILL was sent."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._kills: dict[int, float] = {}  # by run: when it gets SIGKILL
        self._dead: set[int] = set()

    def handle(self, now: float, event: Event) -> list[Command]:
        if isinstance(event, Exited) and event.run in self._dead:
            event = Tick()
        commands = super().handle(now, event)
        for command in commands:
            if isinstance(command, Kill) and command.run in self._runs:
                self._kills[command.run] = now + command.grace
        for run in [run for run, at in self._kills.items() if at <= now]:
            del self._kills[run]
            if run in self._runs:
                self._dead.add(run)
                commands += super().handle(now, Exited(run, -9))
        return commands


class Trespassing(Edge):
    """An edge that forgets its chroot for what ends a task."""

    def below(self, operation: Operation) -> Operation:
        there = super().below(operation)
        if not isinstance(operation, Transaction) or not isinstance(there, Transaction):
            return there
        pairs = zip(operation.ops, there.ops, strict=True)
        ends = [own if isinstance(own, Create) and own.path.endswith("/status") else op for own, op in pairs]
        return Transaction(tuple(ends))


class Unruffled(Edge):
    """An edge that has a request fail that a server was too busy for, and keeps the connection."""

    def received(self, connection: Connection, event: Event | TurnedAway, seen: int) -> None:
        if isinstance(event, TurnedAway):
            event = Reply(event.request, Failed(Error.CONNECTION_LOSS))
        super().received(connection, event, seen)
