"""A process whose transactions are changed on their way: how most planted bugs work."""

from dataclasses import replace

from mwapp.core.messages import Check, Command, Event, Op, Request, Transaction
from mwapp.core.protocol import EPOCH
from mwapp.core.session import Process


class Rewriting(Process):
    """A process whose transactions are rewritten operation by operation, so that indexes stay the same."""

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
