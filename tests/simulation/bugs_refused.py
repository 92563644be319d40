"""Planted bugs in the handling of refusals: see bugs.py."""

from functools import partial

from mwapp.core.limits import Limits
from mwapp.core.messages import (
    Command,
    Delete,
    Error,
    Event,
    Exists,
    Failed,
    Operation,
    Reply,
    Request,
    Tick,
    Transaction,
)
from mwapp.core.protocol import ASSIGN, EPOCH
from mwapp.core.session import CUT_OFF, Process


class Stubborn(Process):
    """A process that repeats a refused request at once, forever."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._sent: dict[int, Request] = {}

    def handle(self, now: float, event: Event) -> list[Command]:
        if isinstance(event, Reply):
            sent = self._sent.pop(event.request, None)
            if sent is not None and isinstance(event.result, Failed) and event.result.index is not None:
                self._sent[sent.number] = sent
                return [sent]
        commands = super().handle(now, event)
        requests = [command for command in commands if isinstance(command, Request)]
        self._sent |= {it.number: it for it in requests if isinstance(it.operation, Transaction)}
        return commands


class Resigned(Process):
    """A worker that does not try again what the ensemble does not record."""

    def handle(self, now: float, event: Event) -> list[Command]:
        if isinstance(event, Reply) and isinstance(event.result, Failed):
            asked = self._pending.get(event.request)
            if asked is not None and _records(asked.operation) and event.result.error not in CUT_OFF:
                del self._pending[event.request]
                event = Tick()
        return super().handle(now, event)


class Incurious(Process):
    """A worker that records each end once, and takes it for recorded though the reply was lost."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._recorded: set[Operation] = set()

    def handle(self, now: float, event: Event) -> list[Command]:
        commands = super().handle(now, event)
        new = [command for command in commands if not self._is_recorded(command)]
        self._recorded |= {it.operation for it in new if isinstance(it, Request) and _records(it.operation)}
        return new

    def _is_recorded(self, command: Command) -> bool:
        return isinstance(command, Request) and command.operation in self._recorded


def _records(operation: Operation) -> bool:
    """Whether a worker says how runs have ended."""
    ops = operation.ops if isinstance(operation, Transaction) else ()
    return (
        any(isinstance(op, Delete) and op.path.startswith(f"{ASSIGN}/") for op in ops)
        and ops[0].path != EPOCH
    )


class Presumptuous(Process):
    """A process that takes a znode that it may not read for absent."""

    def handle(self, now: float, event: Event) -> list[Command]:
        if isinstance(event, Reply) and event.result == Failed(Error.REFUSED):
            asked = self._pending.get(event.request)
            if asked is not None and not isinstance(asked.operation, Transaction):
                absent = None if isinstance(asked.operation, Exists) else Failed(Error.NO_NODE)
                event = Reply(event.request, absent)
        return super().handle(now, event)


class Undivided(Process):
    """A process that repeats a request that is too large, and never asks for less."""

    def handle(self, now: float, event: Event) -> list[Command]:
        if isinstance(event, Reply) and event.result == Failed(Error.REFUSED):
            asked = self._pending.get(event.request)
            if asked is not None and isinstance(asked.operation, Transaction):
                del self._pending[event.request]
                again = partial(self.send, asked.scope, asked.operation, asked.then, None)
                self.call_at(now + 1.0, asked.scope, again)
        return super().handle(now, event)
