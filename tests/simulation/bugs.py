"""Planted bugs: each takes one protection away. The simulation must notice, or it is not sharp enough.

They change what a process sends, between the core and its edge, so that the product has no such switch.
"""

from dataclasses import replace

from mwapp.core.messages import Check, Command, Create, Delete, Event, Kill, Op, Request, Transaction
from mwapp.core.protocol import ASSIGN, EPOCH
from mwapp.core.session import Process
from tests.simulation.schedule import Bug


class _Rewriting(Process):
    """A process whose transactions are rewritten, operation by operation, so that indexes stay the same."""

    def handle(self, now: float, event: Event) -> list[Command]:
        return [self._changed(command) for command in super().handle(now, event)]

    def _changed(self, command: Command) -> Command:
        if isinstance(command, Request) and isinstance(command.operation, Transaction):
            ops = command.operation.ops
            by_master = isinstance(ops[0], Check) and ops[0].path == EPOCH
            rewritten = tuple(self.rewrite(op, by_master) for op in ops)
            return replace(command, operation=Transaction(rewritten))
        return command

    def rewrite(self, op: Op, by_master: bool) -> Op:
        raise NotImplementedError


class Unfenced(_Rewriting):
    """A master writes whatever the epoch is."""

    def rewrite(self, op: Op, by_master: bool) -> Op:
        return _any_version(op) if by_master and op.path == EPOCH else op


class AssignedByName(_Rewriting):
    """A master assigns to whichever incarnation bears the name."""

    def rewrite(self, op: Op, by_master: bool) -> Op:
        return _any_version(op) if by_master and op.path.startswith(ASSIGN) else op


class CompletedByName(_Rewriting):
    """A worker completes what is assigned to its name, whichever incarnation it is meant for."""

    def rewrite(self, op: Op, by_master: bool) -> Op:
        return _any_version(op) if not by_master and op.path.startswith(ASSIGN) else op


def _any_version(op: Op) -> Op:
    return replace(op, version=-1) if isinstance(op, Check) else op


class Torn(Process):
    """A worker records the status in one transaction and deletes its assignment in the next."""

    def handle(self, now: float, event: Event) -> list[Command]:
        commands: list[Command] = []
        for command in super().handle(now, event):
            commands += self._torn(command)
        return commands

    def _torn(self, command: Command) -> list[Command]:
        if not isinstance(command, Request) or not isinstance(command.operation, Transaction):
            return [command]
        ops = command.operation.ops
        records = any(isinstance(op, Create) and op.path.endswith("/status") for op in ops)
        deletions = [op for op in ops if isinstance(op, Delete)]
        if not records or not deletions:
            return [command]
        kept = tuple(Check("/") if isinstance(op, Delete) else op for op in ops)
        later = Request(-command.number, Transaction(tuple(deletions)))
        return [Request(command.number, Transaction(kept)), later]


class Careless(Process):
    """A process that believes its session to live until it is told otherwise."""

    @property
    def lease(self) -> float:
        return self.now + 1.0


class Merciless(Process):
    """A worker's commands outlive its session."""

    def handle(self, now: float, event: Event) -> list[Command]:
        return [command for command in super().handle(now, event) if not isinstance(command, Kill)]


# What each is, and the invariants one of which must be seen to break.
BUGS: dict[str, tuple[Bug, set[str]]] = {
    "fencing": (Bug(Unfenced), {"no-stale-write"}),
    "atomic completion": (Bug(Torn), {"status-from-holder"}),
    "incarnation when assigning": (Bug(AssignedByName), {"no-assign-to-absent-incarnation"}),
    "incarnation when completing": (
        Bug(CompletedByName, faults=("evict", "stall")),
        {"status-from-holder"},
    ),
    "own deadline": (Bug(Careless), {"no-zombie-run"}),
    "kill at session's end": (Bug(Merciless), {"no-zombie-run"}),
    "bounded attempts": (Bug(max_attempts=1000), {"attempts-bounded"}),
}
