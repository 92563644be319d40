"""Planted bugs in submitting, cancelling, winning and leaving: see bugs.py."""

from collections.abc import Callable
from dataclasses import replace

from mwapp.core.again import AskEnded
from mwapp.core.client import Submit
from mwapp.core.limits import Limits
from mwapp.core.messages import (
    Check,
    Close,
    Closed,
    Command,
    Create,
    Delete,
    Event,
    Exists,
    Exited,
    Failed,
    Get,
    Node,
    Op,
    Reply,
    Request,
    Run,
    Set,
    Stat,
    Transaction,
)
from mwapp.core.protocol import ASSIGN, CANCEL, EPOCH, MASTER, REQUESTS, Outcome
from mwapp.core.session import GONE, REFUSED, Process
from mwapp.core.submitters import TOO_MANY
from mwapp.core.task import task_order
from mwapp.core.wait import Wait
from mwapp.core.worker import Worker
from tests.simulation.edge import Edge
from tests.simulation.rewriting import Rewriting


class Skipping(Submit):
    """A client whose search, cut off after a page, begins with what is newer than that page found."""

    def _acknowledge(self, index: int, name: str) -> None:
        super()._acknowledge(index, name)
        if self._last is None or task_order(name) > task_order(self._last[0]):
            self._last = name, self._tasks[index].key


class Hurried(Process):
    """A client that reads a status, and the result a second later, and takes them for those of one end."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._later: list[tuple[float, Command]] = []

    def handle(self, now: float, event: Event) -> list[Command]:
        if isinstance(event, Reply) and event.result == GONE:
            asked = self._pending.get(event.request)
            if asked is not None and self._of_result(Request(event.request, asked.operation)):
                event = Reply(event.request, REFUSED)
        commands = super().handle(now, event)
        self._later += [(now + 1.0, command) for command in commands if self._of_result(command)]
        due = [command for at, command in self._later if at <= now]
        self._later = [(at, command) for at, command in self._later if at > now]
        return [*(command for command in commands if not self._of_result(command)), *due]

    def _of_result(self, command: Command) -> bool:
        waits = any(isinstance(part, Wait) for part in self._parts)
        read = command.operation if isinstance(command, Request) else None
        return waits and isinstance(read, Get) and read.path.endswith("/result")


class Sceptical(Process):
    """A client that asks for what has ended, and takes no end for one."""

    def handle(self, now: float, event: Event) -> list[Command]:
        return super().handle(now, _of_status(self, event, lambda _: GONE))


class Outdated(Process):
    """A client that asks for what has ended, and for ever sees the end that it means, and a note below it."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._first: Node | None = None  # of the one that it asks for

    def handle(self, now: float, event: Event) -> list[Command]:
        return super().handle(now, _of_status(self, event, self._as_at_first))

    def _as_at_first(self, read: Node | Failed) -> Node | Failed:
        if self._first is None and isinstance(read, Node):
            self._first = Node(read.data, replace(read.stat, children=1))
        return self._first or read


def _of_status(process: Process, event: Event, changed: Callable[[Node | Failed], Node | Failed]) -> Event:
    """The event; with another status, if one is read by who asks for what has ended."""
    if isinstance(event, Reply) and any(isinstance(part, AskEnded) for part in process._parts):
        asked = process._pending.get(event.request)
        read = asked.operation if asked is not None else None
        status = isinstance(read, Get) and read.path.endswith("/status")
        if status and isinstance(event.result, Node | Failed):
            return Reply(event.request, changed(event.result))
    return event


class Premature(Edge):
    """An edge that says that a session is closed when it has only asked for that."""

    def abandon(self) -> None:
        super().abandon()
        if self._given_up is not None:
            self._host.event(Closed(self._given_up))


class Remembering(Process):
    """A worker that goes by a request to cancel the run before, though there is none any more."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._looks: set[int] = set()

    def handle(self, now: float, event: Event) -> list[Command]:
        if isinstance(event, Reply) and event.request in self._looks and event.result == GONE:
            event = Reply(event.request, Node(b"", Stat(0, 0)))
        commands = super().handle(now, event)
        asked = [command for command in commands if isinstance(command, Request)]
        reads = {one.number: one.operation.path for one in asked if isinstance(one.operation, Get)}
        if any(path.startswith(f"{ASSIGN}/") for path in reads.values()):
            self._looks |= {number for number, path in reads.items() if path.startswith(f"{CANCEL}/")}
        return commands


class Lawless(Rewriting):
    """A candidate that takes leadership without a new epoch."""

    def rewrite(self, op: Op, _: bool) -> Op:
        return Check(op.path) if isinstance(op, Set) and op.path == EPOCH else op


class Inattentive(Process):
    """A candidate that does not watch the master's znode."""

    def handle(self, now: float, event: Event) -> list[Command]:
        return [self._unwatched(command) for command in super().handle(now, event)]

    def _unwatched(self, command: Command) -> Command:
        if isinstance(command, Request) and isinstance(command.operation, Exists):
            operation = command.operation
            return Request(
                command.number, Exists(operation.path, operation.watch and operation.path != MASTER)
            )
        return command


class Presuming(Rewriting):
    """A worker that says of each run that failed that it was cancelled."""

    def rewrite(self, op: Op, _: bool) -> Op:
        failed = isinstance(op, Create) and op.path.endswith("/status") and op.data == b"failed"
        return replace(op, data=b"cancelled") if failed and isinstance(op, Create) else op


class Inventive(Rewriting):
    """A worker that gives a reason of its own, that nobody wanted it, for runs that have succeeded."""

    def rewrite(self, op: Op, by_master: bool) -> Op:
        if not isinstance(op, Create) or by_master:
            return op
        if op.path.endswith("/status") and op.data == b"done":
            return replace(op, data=b"failed")
        if op.path.endswith("/result") and (outcome := Outcome.decode(op.data)).status == "done":
            return replace(op, data=replace(outcome, reason="nobody wanted it", result=None).encode())
        return op


class Apologetic(Rewriting):
    """A worker that says that there was no time for what has failed."""

    def rewrite(self, op: Op, by_master: bool) -> Op:
        if isinstance(op, Create) and not by_master and op.path.endswith("/result"):
            outcome = Outcome.decode(op.data)
            if outcome.code == 1 and outcome.reason is None:
                return replace(op, data=replace(outcome, reason="timed out after 1 s").encode())
        return op


class Garbling(Rewriting):
    """A worker that records a part of what a command printed, and does not say so."""

    def rewrite(self, op: Op, _: bool) -> Op:
        if isinstance(op, Create) and op.path.endswith("/result"):
            outcome = Outcome.decode(op.data)
            return replace(op, data=replace(outcome, output=outcome.output[:-1]).encode())
        return op


class Usurping(Rewriting):
    """A worker that says that another has run what it ran."""

    def rewrite(self, op: Op, by_master: bool) -> Op:
        if isinstance(op, Create) and not by_master and op.path.endswith("/result"):
            return replace(op, data=replace(Outcome.decode(op.data), worker="w2'").encode())
        return op


class Dissatisfied(Process):
    """A worker that repeats runs that have succeeded, as often as the task allows."""

    def handle(self, now: float, event: Event) -> list[Command]:
        for part in self._parts:
            if isinstance(event, Exited) and isinstance(part, Worker) and event.code == 0:
                job = part._running._jobs.get(event.run)
                if job is not None and job.assignment.failures < job.task.retries:
                    event = replace(event, code=1, result=None)
        return super().handle(now, event)


class Dismissive(Rewriting):
    """A master that deletes a request about a task that has ended, and does nothing else."""

    def _changed(self, command: Command) -> Command:
        if isinstance(command, Request) and isinstance(command.operation, Transaction):
            ops = command.operation.ops
            if any(isinstance(op, Delete) and op.path.startswith(f"{REQUESTS}/") for op in ops):
                kept = tuple(op if REQUESTS in op.path or isinstance(op, Check) else Check("/") for op in ops)
                return Request(command.number, Transaction(kept))
        return command


class Mistaken(Process):
    """A worker that runs something else than what was submitted."""

    def handle(self, now: float, event: Event) -> list[Command]:
        return [self._another(command) for command in super().handle(now, event)]

    def _another(self, command: Command) -> Command:
        if isinstance(command, Run) and command.task.retries:
            return replace(command, task=replace(command.task, retries=0, command="true"))
        return command


class Flattering(Rewriting):
    """A master that says of tasks that it ends that they are done."""

    def rewrite(self, op: Op, by_master: bool) -> Op:
        if isinstance(op, Create) and by_master and op.path.endswith("/status"):
            return replace(op, data=b"done")
        if isinstance(op, Create) and by_master and op.path.endswith("/result"):
            return replace(op, data=Outcome(code=0).encode())
        return op


class Capricious(Rewriting):
    """A master that fails tasks for reasons of its own."""

    reason = "nobody wants it"

    def rewrite(self, op: Op, by_master: bool) -> Op:
        if isinstance(op, Create) and by_master and op.path.endswith("/result"):
            outcome = Outcome.decode(op.data)
            if (outcome.reason or "").startswith("expired"):
                return replace(op, data=replace(outcome, reason=self.reason).encode())
        return op


class Stingy(Capricious):
    """A master that says that a submitter has too many tasks, where there is no bound."""

    reason = TOO_MANY


class Deserting(Process):
    """A process that is told to end, and does not."""

    def handle(self, now: float, event: Event) -> list[Command]:
        return [command for command in super().handle(now, event) if not isinstance(command, Close)]
