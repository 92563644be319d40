"""Planted bugs that hide behind what servers refuse, or behind bounds that were reached: see bugs.py."""

from dataclasses import replace
from typing import Any

from mwapp.core.client import NO_NUMBERS, Refusal, Submit
from mwapp.core.limits import Limits
from mwapp.core.master import Master
from mwapp.core.messages import (
    Check,
    Command,
    Create,
    Delete,
    Event,
    Get,
    Node,
    Op,
    Reply,
    Request,
    Stat,
    Transaction,
)
from mwapp.core.mirror import Mirror
from mwapp.core.protocol import CANCEL, REQUESTS, SECRET, TASKS, Outcome
from mwapp.core.session import GONE, REFUSED, Process
from mwapp.core.submitters import Submitters
from mwapp.core.wait import Wait
from tests.simulation.clients import DENIED
from tests.simulation.rewriting import Rewriting


class Overlooking(Process):
    """A master that does not look whether what is to run again has a request to cancel it from before, and
    lists such requests seldom, as if there were many."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(replace(limits, short_list=0, listing=4.0))
        self._looks: set[int] = set()

    def handle(self, now: float, event: Event) -> list[Command]:
        if isinstance(event, Reply) and event.request in self._looks and isinstance(event.result, Node):
            event = Reply(event.request, GONE)
        commands = super().handle(now, event)
        asked = [command for command in commands if isinstance(command, Request)]
        reads = {one.number: one.operation.path for one in asked if isinstance(one.operation, Get)}
        if any(path.startswith(f"{REQUESTS}/") for path in reads.values()):
            self._looks |= {number for number, path in reads.items() if path.startswith(f"{CANCEL}/")}
        return commands


class Crowded(Submit):
    """A client that counts two tasks too many."""

    def _take_room(self, tasks: Stat) -> None:
        super()._take_room(replace(tasks, children=tasks.children + 2))


class Thrifty(Submit):
    """A client that leaves the last three numbers unused."""

    def _take_room(self, tasks: Stat) -> None:
        super()._take_room(replace(tasks, created=tasks.created + 3))


class Numbering(Submit):
    """A client that gives up tasks with names, too, when there are no numbers any more."""

    def _take_room(self, tasks: Stat) -> None:
        left = list(self._left)
        if tasks.created >= self._process.limits.numbers:
            self._left.clear()
            for index in left:
                self._refuse(index, Refusal(NO_NUMBERS))
        super()._take_room(tasks)


class Unstoppable(Submit):
    """A client that takes no notice of how many numbers are left."""

    def _take_room(self, tasks: Stat) -> None:
        super()._take_room(replace(tasks, created=0))


class Sweeping(Submit):
    """A client that gives up the others, too, when the ensemble has refused one."""

    def _refuse(self, index: int, refusal: Refusal) -> None:
        super()._refuse(index, refusal)
        others = list(self._left) if refusal.reason == DENIED else []
        for other in others:
            self._left.remove(other)
            super()._refuse(other, refusal)


class _Refused(Process):
    """A process that goes wrong once it was refused something. ``hurt``: it was."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self.hurt = False

    def read(self, event: Event) -> str:
        """The path of what was read; "" for what was not read."""
        asked = self._pending.get(event.request) if isinstance(event, Reply) else None
        read = asked.operation if asked is not None else None
        return read.path if isinstance(read, Get) else ""


class Sulking(_Refused):
    """A client that was refused a read once, and does not say what results there are any more."""

    def handle(self, now: float, event: Event) -> list[Command]:
        path, waits = self.read(event), any(isinstance(part, Wait) for part in self._parts)
        if path and isinstance(event, Reply):
            self.hurt |= event.result == REFUSED
            if self.hurt and waits and path.endswith("/result"):
                event = Reply(event.request, REFUSED)
        return super().handle(now, event)


class Rushed(_Refused):
    """A worker that was refused a read once, and takes secret values for deleted."""

    def handle(self, now: float, event: Event) -> list[Command]:
        path = self.read(event)
        if path and isinstance(event, Reply):
            self.hurt |= event.result == REFUSED
            if self.hurt and path.endswith(f"/{SECRET}"):
                event = Reply(event.request, GONE)
        return super().handle(now, event)


class _Hurt(Rewriting):
    """The same as _Refused, for what it writes."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self.hurt = False

    def handle(self, now: float, event: Event) -> list[Command]:
        self.hurt |= isinstance(event, Reply) and event.result == REFUSED
        return super().handle(now, event)

    def rewrite(self, op: Op, _: bool) -> Op:
        return op


class Abridging(_Hurt):
    """A worker that was refused something once, and records but a part of any output."""

    def rewrite(self, op: Op, by_master: bool) -> Op:
        if isinstance(op, Create) and self.hurt and not by_master and op.path.endswith("/result"):
            outcome = Outcome.decode(op.data)
            return replace(op, data=replace(outcome, output=outcome.output[:-1], truncated=True).encode())
        return op


class Discouraged(_Hurt):
    """A master that was refused something once, and removes nothing any more that it is asked to remove."""

    def _changed(self, command: Command) -> Command:
        if self.hurt and isinstance(command, Request) and isinstance(command.operation, Transaction):
            ops = command.operation.ops
            if any(isinstance(op, Delete) and _is_task(op.path) for op in ops):
                kept = tuple(Check("/") if isinstance(op, Delete) else op for op in ops)
                return Request(command.number, Transaction(kept))
        return command


def _is_task(path: str) -> bool:
    return path.startswith(f"{TASKS}/") and path.count("/") == 2


class _Lenient(Submitters):
    """Tasks that are not read yet are nobody's."""

    def kept(self, names: Any) -> Submitters:
        kept = super().kept(names)
        lenient = _Lenient(self.most)
        lenient._whose, lenient._tasks = kept._whose, kept._tasks
        return lenient

    def has_room(self, task: str, unfinished: int) -> bool:
        return super().has_room(task, min(unfinished, len(self._whose)))


class Lenient(Master):
    """A master that assigns tasks before it knows who submitted the older ones."""

    def _blank(self) -> Mirror:
        mirror = super()._blank()
        mirror.tasks.submitters = _Lenient(mirror.tasks.submitters.most)
        return mirror
