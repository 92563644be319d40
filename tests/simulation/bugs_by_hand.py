"""Planted bugs that show when somebody works by hand: see bugs.py."""

import json
from dataclasses import replace

from mwapp.core.limits import Limits
from mwapp.core.messages import (
    Check,
    Command,
    Create,
    Delete,
    Event,
    Exists,
    Get,
    Kill,
    Node,
    Op,
    Reply,
    Stat,
)
from mwapp.core.protocol import ASSIGN, MASTER, PARENTS, REQUESTS, TASKS, WORKERS
from mwapp.core.session import Process
from tests.simulation.rewriting import Rewriting


class Fussy(Process):
    """A process that takes what it reads of workers for JSON."""

    def handle(self, now: float, event: Event) -> list[Command]:
        asked = self._pending.get(event.request) if isinstance(event, Reply) else None
        read = asked.operation if asked is not None else None
        if isinstance(read, Get) and read.path.startswith(f"{ASSIGN}/") and isinstance(event, Reply):
            data = event.result.data if isinstance(event.result, Node) else b""
            json.loads(data or b"{}")
        return super().handle(now, event)


class _Giving(Process):
    """A process that does not look again at what a person has made. ``where``: how its path begins."""

    where = "/"

    def handle(self, now: float, event: Event) -> list[Command]:
        asked = self._pending.get(event.request) if isinstance(event, Reply) else None
        read = asked.operation if asked is not None else None
        seen = event.result if isinstance(event, Reply) else None
        by_hand = isinstance(seen, Stat) and not seen.owner
        if isinstance(read, Exists) and by_hand and read.path.startswith(self.where):
            self._watches.pop(read.path, None)
        return super().handle(now, event)


class GivingUp(_Giving):
    """A candidate that waits for nothing where a person holds leadership."""

    where = MASTER


class GivingWay(_Giving):
    """A worker that waits for nothing where a person has its name."""

    where = f"{WORKERS}/"


class Undiscerning(Process):
    """A process that takes tasks that a person created with -e for tasks."""

    def handle(self, now: float, event: Event) -> list[Command]:
        asked = self._pending.get(event.request) if isinstance(event, Reply) else None
        read = asked.operation if asked is not None else None
        if isinstance(event, Reply) and isinstance(read, Get | Exists) and read.path.startswith(f"{TASKS}/"):
            if isinstance(event.result, Node):
                stat = replace(event.result.stat, owner=0)
                event = Reply(event.request, Node(event.result.data, stat))
            elif isinstance(event.result, Stat):
                event = Reply(event.request, replace(event.result, owner=0))
        return super().handle(now, event)


class Improvident(Rewriting):
    """A process that creates the parents when it starts, and never again."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._began: float | None = None

    def handle(self, now: float, event: Event) -> list[Command]:
        self._began = now if self._began is None else self._began
        return super().handle(now, event)

    def rewrite(self, op: Op, _: bool) -> Op:
        late = self._began is not None and self.now > self._began + 2.0
        return Check("/") if late and isinstance(op, Create) and op.path in PARENTS else op


class Oblivious(Process):
    """A worker that lets a command go on when its assignment is gone."""

    def handle(self, now: float, event: Event) -> list[Command]:
        commands = super().handle(now, event)
        if self.session is None:
            return commands
        return [command for command in commands if not isinstance(command, Kill) or command.grace]


class Evasive(Rewriting):
    """A master that leaves requests there that it cannot carry out."""

    def rewrite(self, op: Op, by_master: bool) -> Op:
        deletes = by_master and isinstance(op, Delete) and op.path.startswith(f"{REQUESTS}/")
        return Check("/") if deletes else op
