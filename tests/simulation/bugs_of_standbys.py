"""Planted bugs in how a standby deposes a silent master: see bugs.py."""

from dataclasses import replace

from mwapp.core.messages import Check, Command, Event, Op, Request, Set, Transaction
from mwapp.core.protocol import CANDIDATES, EPOCH, TASKS, Winner
from mwapp.core.session import Process


class _Deposing(Process):
    """A process whose depositions are rewritten."""

    def handle(self, now: float, event: Event) -> list[Command]:
        return [self._changed(command) for command in super().handle(now, event)]

    def _changed(self, command: Command) -> Command:
        if isinstance(command, Request) and isinstance(command.operation, Transaction):
            ops = tuple(self.rewrite(op) for op in command.operation.ops)
            return Request(command.number, Transaction(ops))
        return command

    def rewrite(self, op: Op) -> Op:
        raise NotImplementedError


class Rash(_Deposing):
    """A standby that deposes the master even if it has beaten meanwhile."""

    def rewrite(self, op: Op) -> Op:
        return Check(op.path) if isinstance(op, Check) and op.path.startswith(f"{CANDIDATES}/") else op


class Hesitant(_Deposing):
    """A standby whose depositions never succeed."""

    def rewrite(self, op: Op) -> Op:
        depose = isinstance(op, Check) and op.path.startswith(f"{CANDIDATES}/")
        return Check(op.path, 1_000_000) if depose else op


class Unrepentant(_Deposing):
    """A standby that does not note that it has deposed a master."""

    def rewrite(self, op: Op) -> Op:
        winner = Winner.decode(op.data) if isinstance(op, Set) and op.path in (EPOCH, TASKS) else None
        if isinstance(op, Set) and winner is not None:
            return replace(op, data=replace(winner, depositions=0).encode())
        return op
