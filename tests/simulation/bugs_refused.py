"""Planted bugs in the handling of refusals: see bugs.py."""

from functools import partial

from mwapp.core.client import ANOTHER, TAKEN, Refusal, Submit
from mwapp.core.limits import Limits
from mwapp.core.messages import (
    Check,
    Command,
    Delete,
    Error,
    Event,
    Exists,
    Failed,
    Op,
    Operation,
    Reply,
    Request,
    Set,
    Tick,
    Transaction,
)
from mwapp.core.protocol import ASSIGN, EPOCH, WORKERS
from mwapp.core.session import CUT_OFF, REFUSED, Process
from mwapp.core.worker import Worker
from tests.simulation.clients import DENIED
from tests.simulation.rewriting import Rewriting


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


class Superstitious(Submit):
    """A client that takes what is refused for a number that is taken."""

    def _refuse(self, index: int, refusal: Refusal) -> None:
        super()._refuse(index, Refusal(TAKEN) if refusal.reason == DENIED else refusal)


class Curt(Submit):
    """A client that does not say that another task has the name."""

    def _refuse(self, index: int, refusal: Refusal) -> None:
        super()._refuse(index, Refusal("no") if refusal.reason.startswith(ANOTHER) else refusal)


class Distracted(Rewriting):
    """A peer that goes on as a worker when it is elected, once it was not shown what is another worker's."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._distracted = False

    def handle(self, now: float, event: Event) -> list[Command]:
        if (
            isinstance(event, Reply)
            and event.result == REFUSED
            and (asked := self._pending.get(event.request))
        ):
            path = "" if isinstance(asked.operation, Transaction) else asked.operation.path
            names = [part._name for part in self._parts if isinstance(part, Worker)]
            others = path.startswith((WORKERS, ASSIGN)) and path.count("/") > 1
            self._distracted |= others and path.split("/")[2] not in names
        return super().handle(now, event)

    def rewrite(self, op: Op, _: bool) -> Op:
        marks = isinstance(op, Set) and op.path.startswith(f"{WORKERS}/")
        return Check(op.path) if marks and self._distracted else op


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
