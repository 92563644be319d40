"""Planted bugs: each takes one protection away. The simulation must notice, or it is not sharp enough.

They change what a process sends, between the core and its edge, so the product needs no switch for them.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mwapp.core.held import LiveWorker
from mwapp.core.limits import Limits
from mwapp.core.master import Master, _Step
from mwapp.core.messages import (
    Check,
    Children,
    Command,
    Create,
    Delete,
    Event,
    Exists,
    Failed,
    Get,
    Kill,
    Node,
    Op,
    Reply,
    Request,
    Set,
    Transaction,
)
from mwapp.core.protocol import (
    ASSIGN,
    CANDIDATES,
    EPOCH,
    RETURNED,
    TASKS,
    WORKERS,
    Assignment,
    Outcome,
    Registration,
    request_path,
)
from mwapp.core.requests import Again
from mwapp.core.resting import Resting
from mwapp.core.retention import Retention
from mwapp.core.session import HEARTBEATS, Process
from mwapp.core.task import RESERVED_VARIABLES, Task
from tests.simulation.bugs_by_hand import (
    Evasive,
    Fussy,
    GivingUp,
    GivingWay,
    Improvident,
    Oblivious,
    Undiscerning,
)
from tests.simulation.bugs_of_ends import (
    Apologetic,
    Capricious,
    Deserting,
    Dismissive,
    Dissatisfied,
    Flattering,
    Garbling,
    Hurried,
    Inattentive,
    Inventive,
    Lawless,
    Mistaken,
    Outdated,
    Premature,
    Presuming,
    Remembering,
    Sceptical,
    Skipping,
    Stingy,
    Usurping,
)
from tests.simulation.bugs_of_excuses import (
    Abridging,
    Crowded,
    Discouraged,
    Lenient,
    Numbering,
    Overlooking,
    Rushed,
    Sulking,
    Sweeping,
    Thrifty,
    Unstoppable,
)
from tests.simulation.bugs_of_hosts import Optimistic, Trespassing, Unruffled
from tests.simulation.bugs_of_standbys import Hesitant, Rash, Unrepentant
from tests.simulation.bugs_refused import (
    Curt,
    Distracted,
    Incurious,
    Presumptuous,
    Resigned,
    Stubborn,
    Superstitious,
    Undivided,
)
from tests.simulation.load import LABEL
from tests.simulation.rewriting import Rewriting
from tests.simulation.schedule import Bug


class Unfenced(Rewriting):
    """A master writes in any epoch."""

    def rewrite(self, op: Op, by_master: bool) -> Op:
        return _any_version(op) if by_master and op.path == EPOCH else op


class AssignedByName(Rewriting):
    """A master assigns to any incarnation of the name."""

    def rewrite(self, op: Op, by_master: bool) -> Op:
        return _any_version(op) if by_master and op.path.startswith(ASSIGN) else op


class CompletedByName(Rewriting):
    """A worker completes what is assigned to its name, for any incarnation."""

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
    """A process that believes its session alive until it hears otherwise."""

    def _prove(self, lived: float) -> None:
        super()._prove(lived)
        self.lease = math.inf


class Hasty(Process):
    """A process that assumes the leader knows what its server knows."""

    def _lives(self, sent: float) -> None:
        self._prove(max(self._proof, sent))


class Marginless(Process):
    """A process that continues until its session ends by its own clock."""

    def _prove(self, lived: float) -> None:
        super()._prove(lived)
        self.lease = lived + self.timeout


class Abrupt(Process):
    """A worker that closes its session while its commands are dying."""

    def _give_up(self) -> None:
        self._abandon()


class Credulous(Process):
    """A worker that mistakes an assignment with the same name and numbers for its own."""

    def handle(self, now: float, event: Event) -> list[Command]:
        if isinstance(event, Reply) and isinstance(event.result, Node):
            asked, node = self._pending.get(event.request), event.result
            read = asked.operation if asked is not None else None
            if isinstance(read, Get) and read.path.startswith(f"{ASSIGN}/"):
                event = Reply(event.request, Node(node.data, replace(node.stat, czxid=0)))
        return super().handle(now, event)


class Merciless(Process):
    """A worker's commands outlive its session."""

    def handle(self, now: float, event: Event) -> list[Command]:
        return [command for command in super().handle(now, event) if not isinstance(command, Kill)]


class Trusting(Process):
    """A process that reads as a sign of life, and takes any answer as proof."""

    def handle(self, now: float, event: Event) -> list[Command]:
        if isinstance(event, Reply) and not isinstance(event.result, Failed):
            asked = self._pending.get(event.request)
            self._prove(max(self._proof, asked.sent if asked is not None else 0.0))
        return super().handle(now, event)

    def _beat(self) -> None:
        if self._heart is not None:
            self._heart.exists("/", lambda _: None)
            self._heart.after(self.timeout / HEARTBEATS, self._beat)


class Blind(Process):
    """A process that reads on a new connection whatever its server shows, however old."""

    def _begin(self) -> None:
        self._at_once = False
        super()._begin()
        self._at_once = True

    def _beat(self) -> None:
        if self._at_once:
            super()._beat()
        elif self._heart is not None:
            self._heart.after(self.timeout / HEARTBEATS, self._beat)


class Forgetful(Process):
    """A client that submits again after a lost reply, without a search for its task."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._searches: set[int] = set()

    def handle(self, now: float, event: Event) -> list[Command]:
        if isinstance(event, Reply) and event.request in self._searches:
            self._searches.discard(event.request)
            event = Reply(event.request, ())
        commands = super().handle(now, event)
        # The master, too, lists the tasks, but watches them.
        self._searches |= {
            command.number
            for command in commands
            if isinstance(command, Request) and command.operation == Children(TASKS)
        }
        return commands


class Late(Process):
    """A client that begins to watch a task without checking whether it has just ended."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self._looks: set[int] = set()

    def handle(self, now: float, event: Event) -> list[Command]:
        if isinstance(event, Reply) and event.request in self._looks and isinstance(event.result, tuple):
            event = Reply(event.request, ())
        commands = super().handle(now, event)
        self._looks |= {
            command.number
            for command in commands
            if isinstance(command, Request)
            and isinstance(command.operation, Children)
            and command.operation.path.startswith(f"{TASKS}/")
        }
        return commands


class Doubling(Rewriting):
    """A worker hands a task back, and keeps it."""

    def _changed(self, command: Command) -> Command:
        if isinstance(command, Request) and isinstance(command.operation, Transaction):
            ops = command.operation.ops
            if any(isinstance(op, Create) and op.path.startswith(RETURNED) for op in ops):
                kept = tuple(Check(op.path) if isinstance(op, Delete) else op for op in ops)
                return replace(command, operation=Transaction(kept))
        return command


class Relentless(Rewriting):
    """A worker tries again and again, because it does not count failures."""

    def rewrite(self, op: Op, _: bool) -> Op:
        if isinstance(op, Create) and op.path.startswith(f"{RETURNED}/"):
            return replace(op, data=replace(Assignment.decode(op.data), failures=0).encode())
        return op


class Impatient(Rewriting):
    """A worker asks for no pause before a failed run is repeated."""

    def rewrite(self, op: Op, _: bool) -> Op:
        if isinstance(op, Create) and op.path.startswith(f"{RETURNED}/"):
            return replace(op, data=replace(Assignment.decode(op.data), pause=0.0).encode())
        return op


class Secretive(Rewriting):
    """A worker keeps what a handler has returned for itself."""

    def rewrite(self, op: Op, _: bool) -> Op:
        if isinstance(op, Create) and op.path.endswith("/result"):
            return replace(op, data=replace(Outcome.decode(op.data), result=None).encode())
        return op


class Reticent(Rewriting):
    """A worker does not say that it has lived on."""

    def rewrite(self, op: Op, _: bool) -> Op:
        registration = Registration.decode(op.data) if isinstance(op, Create | Set) else None
        if isinstance(op, Create | Set) and registration is not None and op.path.startswith(f"{ASSIGN}/"):
            return replace(op, data=replace(registration, outlived=()).encode())
        return op


class Unprepared(Process):
    """A worker that begins without the secret values."""

    def run(self, run: int, task: Task, environment: dict[str, str]) -> None:
        own = {name: value for name, value in environment.items() if name.startswith(RESERVED_VARIABLES)}
        super().run(run, task, own)


class Timeless(Process):
    """A process that takes every znode for very old."""

    def handle(self, now: float, event: Event) -> list[Command]:
        if isinstance(event, Reply) and isinstance(event.result, Node):
            old = replace(event.result.stat, ctime=-1e6)
            event = Reply(event.request, Node(event.result.data, old))
        return super().handle(now, event)


class Unforgiving(Resting):
    """A worker that has failed rests for ever."""

    def resting(self, workers: Mapping[str, LiveWorker], now: float) -> dict[str, float]:
        return dict.fromkeys(self._records.keys() & workers.keys(), now + 1e9)


class Grudging(Master):
    """A master with such a memory."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._experience.resting = Unforgiving()


class Generous(Master):
    """A master that refuses nobody."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **{**settings, "max_per_submitter": 0})


class Insatiable(Master):
    """A master that does not delete a request to run a task again."""

    def _run_again(self, task: str, again: Again) -> _Step:
        step = super()._run_again(task, again)
        return replace(step, ops=[op for op in step.ops if op.path != request_path(task)])


class Amnesiac(Master):
    """A master that begins with attempt 1 again."""

    def _run_again(self, task: str, again: Again) -> _Step:
        return super()._run_again(task, replace(again, attempt=replace(again.attempt, attempt=1)))


class Boastful(Rewriting):
    """A worker claims every label."""

    def rewrite(self, op: Op, _: bool) -> Op:
        registration = Registration.decode(op.data) if isinstance(op, Create | Set) else None
        if isinstance(op, Create | Set) and registration is not None and op.path.startswith(f"{ASSIGN}/"):
            return replace(op, data=replace(registration, labels=(LABEL,)).encode())
        return op


class Patient(Process):
    """A worker that lets cancelled or late commands continue."""

    def handle(self, now: float, event: Event) -> list[Command]:
        return [c for c in super().handle(now, event) if not (isinstance(c, Kill) and c.grace)]


class Busy(Rewriting):
    """A peer that continues as a worker when it is elected."""

    def rewrite(self, op: Op, _: bool) -> Op:
        marks = isinstance(op, Set) and op.path.startswith(f"{WORKERS}/")
        return Check(op.path) if marks else op


class Uncounted(Rewriting):
    """A candidate that counts epochs only in /epoch."""

    def rewrite(self, op: Op, _: bool) -> Op:
        return Check(op.path) if isinstance(op, Set) and op.path == TASKS else op


class Unlisted(Process):
    """A candidate that does not watch its znode: if a person deletes that, it is no longer listed."""

    def handle(self, now: float, event: Event) -> list[Command]:
        return [self._unwatched(command) for command in super().handle(now, event)]

    def _unwatched(self, command: Command) -> Command:
        if isinstance(command, Request) and isinstance(command.operation, Exists):
            path = command.operation.path
            return Request(command.number, Exists(path, command.operation.watch and CANDIDATES not in path))
        return command


# Each bug, and the invariants of which one must break.
BUGS: dict[str, tuple[Bug, set[str]]] = {
    "fencing": (Bug(Unfenced), {"no-stale-write"}),
    "atomic completion": (Bug(Torn), {"status-from-holder"}),
    "incarnation when assigning": (Bug(AssignedByName), {"no-assign-to-absent-incarnation"}),
    "incarnation when completing": (
        Bug(CompletedByName, faults=("evict", "stall"), namesake=True),
        {"status-from-holder"},
    ),
    "own deadline": (Bug(Careless, faults=("freeze",)), {"no-zombie-run", "master-steps-down"}),
    "proof of life": (Bug(Trusting, faults=("isolate",)), {"no-zombie-run", "master-steps-down"}),
    "proof that was reported": (
        Bug(Hasty, faults=("isolate", "stall")),
        {"deadline-first", "no-zombie-run", "master-steps-down"},
    ),
    "transaction before reading": (
        Bug(Blind, faults=("cut",), lag=0.3),
        {"single-assignment", "status-from-holder"},
    ),
    "margin before the deadline": (
        Bug(Marginless, faults=("isolate",)),
        {"deadline-first", "no-zombie-run", "master-steps-down"},
    ),
    "clock that counts sleep": (
        Bug(counts_sleep=False, faults=("suspend",)),
        {"no-zombie-run", "master-steps-down"},
    ),
    "time to begin": (Bug(punctual=False, faults=("starve", "suspend")), {"no-zombie-run"}),
    "session kept for what dies": (Bug(Abrupt, faults=("isolate", "cut")), {"no-zombie-run"}),
    "assignment known by its creation": (
        Bug(Credulous, faults=("lose", "cut")),
        {"result-faithful", "status-from-holder"},
    ),
    "kill at session's end": (Bug(Merciless, faults=("outage",)), {"no-zombie-run"}),
    "bounded attempts": (Bug(max_attempts=1000), {"attempts-bounded"}),
    "bounded retries": (Bug(Relentless), {"attempts-bounded"}),
    "pause before a retry": (Bug(Impatient), {"not-before-time"}),
    "wait for secret values": (Bug(Unprepared, secrets=1.0), {"secrets-kept"}),
    "delays": (Bug(Timeless), {"not-before-time", "expires-in-time"}),
    "bound on a submitter": (Bug(master=Generous, bounds=1.0), {"submitters-bounded"}),
    "what was returned": (Bug(Secretive), {"result-faithful"}),
    "who lives on": (
        Bug(Reticent, max_attempts=2, faults=("expire", "outage")),
        {"innocent-not-given-up"},
    ),
    "reasons of workers": (Bug(Inventive), {"result-faithful"}),
    "reasons that are true": (Bug(Apologetic), {"result-faithful"}),
    "what a command printed": (Bug(Garbling), {"result-faithful"}),
    "ends by masters": (Bug(Flattering), {"result-faithful"}),
    "who ran it": (Bug(Usurping), {"result-faithful"}),
    "repeats of what failed": (Bug(Dissatisfied), {"result-faithful"}),
    "status and result of one end": (Bug(Hurried), {"result-faithful"}),
    "rest that ends": (Bug(master=Grudging), {"liveness"}),
    "one run for a request": (Bug(master=Insatiable), {"one-final-status"}),
    "attempts that go on": (Bug(master=Amnesiac), {"token-grows", "attempts-bounded"}),
    "search after a lost reply": (Bug(Forgetful, faults=("cut",)), {"submit-idempotent"}),
    "look when a watch is set": (Bug(Late), {"liveness"}),
    "atomic hand-back": (Bug(Doubling), {"single-assignment"}),
    "labels": (Bug(Boastful), {"labels-honoured"}),
    "kill what is late": (Bug(Patient), {"timeout-enforced", "liveness"}),
    "rest of the elected": (Bug(Busy), {"peer-rests"}),
    "epochs counted twice": (Bug(Uncounted, faults=("lose_epoch",)), {"epoch-monotonic"}),
    "what is refused is not repeated": (Bug(Stubborn, faults=("litter", "misplace")), {"no-spin"}),
    "what may not be read is not absent": (
        Bug(Presumptuous, faults=("forbid", "refuse")),
        {"single-assignment", "acked-never-lost", "no-crash", "duplicates-explained", "liveness"},
    ),
    "search when turned away": (Bug(Forgetful, faults=("turn_away",)), {"submit-idempotent"}),
    "records that are tried again": (Bug(Resigned, faults=("refuse",)), {"liveness"}),
    "records whose reply was lost": (Bug(Incurious, faults=("cut",)), {"liveness"}),
    "numbers that are taken": (Bug(submit=Superstitious, faults=("refuse",)), {"acked-never-lost"}),
    "names that are taken": (Bug(submit=Curt), {"acked-never-lost"}),
    "rest of who is not shown others": (Bug(Distracted, faults=("forbid", "unseat")), {"peer-rests"}),
    "less after too much": (Bug(Undivided, faults=("bound",)), {"liveness"}),
    "beat that comes first": (Bug(Rash, faults=("stall",), deposes=1.0), {"deposed-only-if-silent"}),
    "silence that is noticed": (Bug(Hesitant, faults=("freeze",), deposes=1.0), {"take-over-bounded"}),
    "depositions that are counted": (
        Bug(Unrepentant, faults=("freeze",), deposes=1.0),
        {"depositions-damped"},
    ),
    "watch on one's own znode": (Bug(Unlisted, faults=("delete",)), {"candidates-listed"}),
    "retention": (Bug(retention=Retention(1.0, 1_000_000)), {"retention-kept"}),
    "retention of many": (Bug(retention=Retention(1e9, keep=0, least=1.0)), {"retention-kept"}),
    "search that is cut off": (Bug(submit=Skipping, faults=("cut", "expire")), {"submit-idempotent"}),
    "close that is acknowledged": (Bug(edge=Premature, faults=("isolate", "stall")), {"submit-idempotent"}),
    "epoch of each win": (Bug(Lawless), {"one-master-per-epoch"}),
    "watch on leadership": (Bug(Inattentive), {"election-bounded"}),
    "cancelled if asked": (Bug(Presuming), {"cancel-final"}),
    "request to cancel that is gone": (Bug(Remembering), {"cancel-final"}),
    "request to cancel that it has outlived": (Bug(Overlooking, faults=("stall",)), {"cancel-final"}),
    "room that there is": (Bug(submit=Crowded), {"acked-never-lost"}),
    "numbers that are left": (Bug(submit=Thrifty), {"acked-never-lost"}),
    "numbers that have run out": (Bug(submit=Unstoppable, numbers=5), {"numbers-bounded"}),
    "names need no numbers": (Bug(submit=Numbering), {"acked-never-lost"}),
    "refusals of others": (Bug(submit=Sweeping, faults=("refuse",)), {"acked-never-lost"}),
    "results that may be read": (Bug(Sulking, faults=("refuse",)), {"result-faithful"}),
    "secret values that are there": (
        Bug(Rushed, faults=("refuse", "forbid"), secrets=1.0),
        {"result-faithful"},
    ),
    "output that has room": (Bug(Abridging, faults=("refuse",)), {"result-faithful"}),
    "removals that are possible": (Bug(Discouraged, faults=("refuse",)), {"asked-once"}),
    "older tasks that may not be read": (
        Bug(master=Lenient, faults=("forbid",), bounds=1.0),
        {"submitters-bounded"},
    ),
    "requests that are carried out": (Bug(Dismissive), {"asked-once"}),
    "ends that are seen": (Bug(Sceptical), {"asked-once"}),
    "ends that are over": (Bug(Outdated), {"asked-once"}),
    "removal": (Bug(retention=Retention(1e9, keep=1_000_000)), {"no-leak"}),
    "what was submitted": (Bug(Mistaken), {"acked-never-lost"}),
    "reasons of masters": (Bug(Capricious), {"innocent-not-given-up"}),
    "bounds that there are": (Bug(Stingy), {"submitters-bounded"}),
    "end of a process": (Bug(Deserting), {"drain"}),
    "clocks that agree": (Bug(drift=0.12, faults=("isolate",)), {"deadline-first"}),
    "clock that nobody sets": (Bug(wall=True), {"master-steps-down"}),
    "attempts with numbers of their own": (Bug(master=Amnesiac), {"token-grows"}),
    "time that is over": (Bug(Patient), {"timeout-enforced"}),
    "time that expires": (Bug(Timeless), {"expires-in-time"}),
    "command that is dead": (Bug(Optimistic, faults=("hang", "evict")), {"duplicates-explained"}),
    "data that a person may write": (Bug(Fussy, faults=("spoil",)), {"no-crash"}),
    "leadership that a person has": (Bug(GivingUp, faults=("occupy_leadership",)), {"liveness"}),
    "name that a person has": (Bug(GivingWay, faults=("occupy_name",)), {"liveness"}),
    "task that is none": (Bug(Undiscerning, faults=("mistake_lifetime",)), {"liveness", "no-spin"}),
    "parents that are missing": (Bug(Improvident, faults=("delete_parent",)), {"liveness"}),
    "assignment that is gone": (Bug(Oblivious, faults=("delete_all",)), {"liveness"}),
    "end that a person writes": (Bug(Resigned, faults=("report",)), {"liveness"}),
    "request that makes no sense": (Bug(Evasive, faults=("request",)), {"liveness", "no-leak", "no-spin"}),
    "chroot of what is sent": (Bug(edge=Trespassing, neighbour=True), {"chroot-kept"}),
    "request that was turned away": (Bug(edge=Unruffled, faults=("turn_away",)), {"liveness"}),
}
