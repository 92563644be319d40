"""The invariants, which must hold at every moment, checked after every step.

The judge builds its own picture from what was committed, and knows nothing of what the processes believe.
Invariants have the names of docs/protocol.md.
"""

import re
from collections import defaultdict
from collections.abc import Container, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from mwapp.core.limits import LIMITS
from mwapp.core.protocol import (
    CANCELLED,
    DONE,
    FAILED,
    NOBODY,
    REMOVE,
    RUN,
    TASKS,
    Assignment,
    Outcome,
    Registration,
    result_path,
    status_path,
)
from mwapp.core.retention import Retention
from mwapp.core.session import DRIFT
from mwapp.core.submitters import TOO_MANY
from mwapp.core.task import BadTaskError, Task
from tests.simulation.accounts import succeeded
from tests.simulation.answers import Answers
from tests.simulation.asked import Asked
from tests.simulation.attempts import Attempts, Lost
from tests.simulation.denied import Denied
from tests.simulation.depositions import Depositions
from tests.simulation.ensemble import Transacted
from tests.simulation.excuses import Excuses
from tests.simulation.host import Host
from tests.simulation.leadership import Leadership
from tests.simulation.lives import Lives
from tests.simulation.runs import Runs
from tests.simulation.shares import Shares
from tests.simulation.times import Times
from tests.simulation.tree import Change, Changed, Created, Deleted, ZNode
from tests.simulation.world import Violation

# For a judge that does not check when tasks are removed.
AT_ONCE = Retention(seconds=0.0, keep=0, least=0.0)
# What need not hold for a task of which the ensemble has lost something: its name, attempts and epochs
# repeat, and what clients heard of it is no longer true.
REPEATED = {
    *("attempts-bounded", "token-grows", "duplicates-explained", "innocent-not-given-up"),
    *("not-before-time", "expires-in-time"),
    *("acked-never-lost", "submit-idempotent", "cancel-final", "asked-once"),
    "secrets-kept",
}
# So many batches may be on their way when numbers run out: of several clients, and of their former sessions.
ON_THE_WAY = 10
# A master may take this long to see that the list of tasks has changed, seconds (it stood still, say).
UNSEEN = 10.0


@dataclass(slots=True)
class Incarnation:
    """The holder of a worker's name: the version and the session of its registration."""

    version: int
    session: int | None


class Znodes(Protocol):
    """A tree."""

    @property
    def nodes(self) -> Mapping[str, ZNode]:
        """The znodes by path."""


class State(Protocol):
    """What the judge needs to know of an ensemble."""

    @property
    def decided(self) -> Znodes:
        """The state after the whole log."""

    @property
    def sessions(self) -> Container[int]:
        """The living sessions."""


class Judge:
    """Sees every transaction. What hosts run and clients hear is judged by `Runs` and `Answers`."""

    def __init__(
        self, *, max_attempts: int, retention: Retention = AT_ONCE, sees_executions: bool = True
    ) -> None:
        self._retention = retention
        self.ensemble: State  # as it is after the current transaction
        self._max_attempts = max_attempts
        self._sees_executions = sees_executions
        self.persons: set[int] = set()  # sessions of people who work by hand and may do anything
        self.limits = LIMITS  # of all processes
        self.excuses = Excuses()  # what that explains
        self.denied = Denied()  # and what servers refused
        self.lost: set[str] = set()  # tasks with acknowledged writes that the ensemble has lost
        self.killed: set[int] = set()  # sessions ended by hand, or lost, while their process lived
        self.evicted: set[int] = set()  # sessions whose worker's znode or queue a person changed
        self.hosts: list[Host] = []
        self.clocks_stop = False  # those of hosts, while their machine is paused
        self.tasks: set[str] = set()  # all there ever were
        self.most_tasks = 0  # that were there at once; what is lost counts
        self.asked: dict[str, Task | None] = {}  # by task; None: it can never run
        self.status: dict[str, bytes] = {}  # of all that have ended
        self.ended_at: dict[str, float] = {}
        self._deleted_at: dict[str, float] = {}  # those that had ended, by hand
        self.removed: set[str] = set()
        self.secrets: dict[str, bytes] = {}  # as they were stored with the task
        self.cancel_asked: set[str] = set()  # tasks that ever had a cancel request
        self.to_cancel: set[str] = set()  # those that had one since they were last to run again
        self.cancels: dict[str, int] = {}  # those that have one, and its zxid
        self.lost_cancels: set[str] = set()  # those that had one that the ensemble has lost
        self.of_ended = Asked()
        self.ends: defaultdict[str, list[tuple[str, Outcome]]] = defaultdict(list)  # all there were
        self.returned = 0
        self.labels: dict[str, frozenset[str]] = {}  # of workers, as they are configured
        self.ended_by_hand: set[str] = set()  # tasks whose assignment the master has to remove
        self.taken_at: dict[tuple[str, str], float] = {}  # when an assignment was deleted
        self.holders: defaultdict[str, dict[str, Assignment]] = defaultdict(dict)  # by task and worker
        self.keys: dict[str, str] = {}  # task by key
        self._beyond = 0  # tasks of clients whose numbers are too great
        self.attempts = Attempts()
        self._lives = Lives()
        self.times = Times()
        self.depositions = Depositions()
        self.shares = Shares()
        self.leadership = Leadership()
        self.runs = Runs(self)
        self.answers = Answers(self)
        self._incarnations: dict[str, Incarnation] = {}

    # ------------------------------------------------------------ the ensemble's side

    def committed(self, entry: Transacted) -> None:
        """Look at a transaction."""
        if entry.ended:
            self.runs.look()
            return
        if not entry.changes:
            return
        by_hand = entry.session in self.persons
        before = dict(self._incarnations)
        self.of_ended.transaction()
        paths = [change.path.split("/") for change in entry.changes]
        tasks = [path[2] for path in paths if path[1] in ("tasks", "returned") and path[2:]]
        held = {task: dict(self.holders.get(task, {})) for task in tasks}
        touched: set[str] = set()
        for change, path in zip(entry.changes, paths, strict=True):
            if by_hand:
                self.excuses.note(change, path)
            match path:
                case ["", "master"]:
                    self.leadership.master(entry, change, by_hand=by_hand)
                case ["", "workers", worker]:
                    if by_hand and isinstance(change, Deleted) and worker in before:
                        self.evicted.add(before[worker].session or 0)
                case ["", "epoch"]:
                    nodes = self.ensemble.decided.nodes
                    self.leadership.raised(entry, change, nodes, self.persons, self.excuses, by_hand=by_hand)
                case ["", "assign", worker]:
                    self._registered(entry, change, worker, by_hand)
                case ["", "cancel", task]:
                    self._cancel_request(entry, change, task, by_hand)
                case ["", "requests", task]:
                    self.of_ended.request(task, change, entry.zxid, by_hand=by_hand)
                    if isinstance(change, Deleted) and not by_hand:
                        self.leadership.needed(entry, f"request for {task} deleted")
                case ["", "returned", task]:
                    touched.add(task)
                    self._returned(entry, change, task, held[task], before, by_hand)
                case ["", "assign", worker, task]:
                    touched.add(task)
                    self._assigned(entry, change, worker, task, before, by_hand)
                case ["", "tasks", task]:
                    self._task(entry, change, task, by_hand)
                case ["", "tasks", task, "secret"]:
                    if isinstance(change, Created) and not by_hand:
                        self.secrets[task] = change.data
                case ["", "tasks", task, "status"]:
                    touched.add(task)
                    self._ended(entry, change, task, held[task], before, by_hand)
        if self.leadership.had(entry.session):
            self.excuses.two_masters(touched)
        for task in touched:
            self._single(task)
        self.depositions.committed(entry, by_hand=by_hand)

    def beginner(self) -> "Judge":
        """A judge that knows what this one heard at the start and from hosts, and nothing of the log."""
        again = Judge(max_attempts=self._max_attempts, retention=self._retention, sees_executions=False)
        again.persons, again.labels, again.runs.of = self.persons, self.labels, self.runs.of
        again.killed, again.evicted, again.lost = self.killed, self.evicted, self.lost
        again.lost_cancels, again.denied, again.limits = self.lost_cancels, self.denied, self.limits
        again.times.right = self.times.right
        again.depositions.patience = self.depositions.patience
        again.shares.most = self.shares.most
        return again

    def explained(self, invariant: str, task: str) -> bool:
        """Whether it need not hold, because of what a person did or the ensemble lost."""
        return self.excuses.explain(invariant, task) or (task in self.lost and invariant in REPEATED)

    def broken(self, invariant: str, task: str, what: str) -> None:
        """Raise Violation, unless that is explained."""
        if not self.explained(invariant, task):
            raise Violation(invariant, what)

    def _registered(self, entry: Transacted, change: Change, worker: str, by_hand: bool) -> None:
        if by_hand and worker in self._incarnations:
            self.evicted.add(self._incarnations[worker].session or 0)
        if isinstance(change, Deleted):
            self._incarnations.pop(worker, None)
            return
        registration = Registration.decode(change.data)
        version = self.ensemble.decided.nodes[change.path].version
        self._incarnations[worker] = Incarnation(version, registration.session if registration else None)
        registers = any(c.path == f"/workers/{worker}" and isinstance(c, Created) for c in entry.changes)
        self._lives.registered(worker, version, entry.session if registers else 0, self.hosts, entry.time)
        if not by_hand and not registers:
            self.leadership.needed(entry, f"{worker} adopted")

    def _holds(self, before: dict[str, Incarnation], worker: str, session: int) -> bool:
        """Whether that session has the worker's queue.

        Nobody can tell a queue that a person recreated with its old version from the old one: seed 5087705.
        """
        registered = before[worker].session if worker in before else 0
        return registered == session or (registered is None and session in self.evicted)

    def _is_its_own(
        self, before: dict[str, Incarnation], worker: str, assignment: Assignment, session: int
    ) -> bool:
        """Whether that session writes of the assignment as its worker, and not as a peer that is the master
        does of an earlier incarnation's."""
        its = self._holds(before, worker, session)
        return its and (assignment.meant_for(before[worker].version) or not self.leadership.has(session))

    def _assigned(
        self,
        entry: Transacted,
        change: Change,
        worker: str,
        task: str,
        before: dict[str, Incarnation],
        by_hand: bool,
    ) -> None:
        held = self.holders[task]
        if isinstance(change, Created):
            held[worker] = Assignment.decode(change.data)
            seen = entry.time - self.taken_at.get((worker, task), -UNSEEN) >= UNSEEN
            if by_hand and not seen and held[worker].incarnation is not None:
                self.excuses.endless.add(task)  # a master that saw neither takes it for the old one
            self.attempts.assigned(task, held[worker].attempt, held[worker].epoch)
            if not by_hand:
                self.leadership.needed(entry, f"{task} assigned to {worker}")
                self._dated(task, held[worker])
                self._present(worker, task, held[worker])
                self._bounded(task, held[worker])
                early = self.times.taken(task, self.asked.get(task), entry.time)
                if early:
                    self.broken("not-before-time", task, f"{worker} gets {task}, but {early}")
                self._placed(entry, worker, task)
                self._share(task, self.shares.begun(entry, task))
            return
        assignment = held[worker]
        mine = self._is_its_own(before, worker, assignment, entry.session)
        if not by_hand and mine and not assignment.meant_for(before[worker].version):
            self.broken("status-from-holder", task, f"{worker} took {task} of another incarnation")
        if isinstance(change, Changed):
            held[worker] = Assignment.decode(change.data)
            if not by_hand and not mine:
                self.broken("status-from-holder", task, f"{task} of {worker} handed back by somebody else")
            return
        del held[worker]
        self.taken_at[worker, task] = entry.time
        if not by_hand and not mine:
            if not self.leadership.ever_had(entry.session):
                self.broken("status-from-holder", task, f"{task} of {worker} taken by one who has it not")
            self.leadership.needed(entry, f"{task} taken from {worker}")
            self.attempts.lost(task, worker, assignment.incarnation)

    def _returned(
        self,
        entry: Transacted,
        change: Change,
        task: str,
        held: dict[str, Assignment],
        before: dict[str, Incarnation],
        by_hand: bool,
    ) -> None:
        waiting = self.holders[task]
        if isinstance(change, Deleted):
            del waiting[NOBODY]
            if not by_hand:
                self.leadership.needed(entry, f"{task} taken from /returned")
            return
        waiting[NOBODY] = Assignment.decode(change.data)
        self.returned += 1
        runs = [run for assignment in held.values() for run in self.runs.of[task, assignment.attempt]]
        if any(run.started <= entry.time and not run.interrupted for run in runs):
            failures = self.attempts.failed(task)  # it ran, so it was not returned unstarted
            self.times.failed(task, self.asked.get(task), failures, entry.time)
            numbers_repeat = task in self.lost
            if self._sees_executions and not (by_hand or numbers_repeat) and any(map(succeeded, runs)):
                self.broken("result-faithful", task, f"{task} is to be repeated, and was done")
        if any(c.path == status_path(task) and isinstance(c, Deleted) for c in entry.changes):
            self._run_again(entry, task, waiting[NOBODY], by_hand)
        elif not by_hand and not any(self._holds(before, w, entry.session) for w in held):
            self.broken("status-from-holder", task, f"{task} returned by one who has it not")

    def _run_again(self, entry: Transacted, task: str, assignment: Assignment, by_hand: bool) -> None:
        """It had ended. Its failures and losses count anew, its attempts do not."""
        if not by_hand:
            self.leadership.needed(entry, f"{task} is to run again")
        begun = max((attempt for of, attempt in self.runs.last if of == task), default=0)
        if assignment.attempt <= begun:  # what was handed back before it began has no number yet
            self.broken("token-grows", task, f"{task} is to run again as {assignment}")
        self.attempts.begin(task)
        self.times.again(task)
        if self.of_ended.outlived(task, self.cancels.get(task, entry.zxid)):
            self.broken("cancel-final", task, f"{task} is to run again, and is still to be cancelled")
        if task not in self.cancels:
            self.to_cancel.discard(task)

    def _bounded(self, task: str, assignment: Assignment) -> None:
        asked = self.asked.get(task)
        retries = asked.retries if asked is not None else 0
        if len(assignment.lost) >= self._max_attempts or assignment.failures > retries:
            self.broken("attempts-bounded", task, f"{task} gets {assignment}")
        exceeds = self.attempts.exceeds(task, retries, self._max_attempts, self._died)
        if exceeds:
            self.broken("attempts-bounded", task, f"{task} gets {assignment}, yet {exceeds}")

    def _died(self, lost: Lost) -> bool:
        """For certain. Of an incarnation that the ensemble has lost, another may say that it lived on."""
        return lost[0] not in self.denied.marks and self._lives.died(lost, self.hosts)

    def _dated(self, task: str, assignment: Assignment) -> None:
        if assignment.epoch != self.leadership.epoch:
            self.broken("token-grows", task, f"{task} gets {assignment} in epoch {self.leadership.epoch}")

    def _placed(self, entry: Transacted, worker: str, task: str) -> None:
        asked = self.asked.get(task)
        missing = set(asked.labels if asked is not None else ()) - self.labels.get(worker, frozenset())
        if missing:
            self.broken("labels-honoured", task, f"{task} goes to {worker}, who does not have {missing}")
        session = self._incarnations[worker].session
        marked = session not in self.evicted and worker not in self.denied.marks
        if session == entry.session and marked:
            self.broken("peer-rests", task, f"{task} goes to {worker}, who holds leadership")

    def _cancel_request(self, entry: Transacted, change: Change, task: str, by_hand: bool) -> None:
        if isinstance(change, Created):
            self.cancel_asked.add(task)
            self.to_cancel.add(task)
            self.cancels[task] = entry.zxid
        elif isinstance(change, Deleted):
            self.cancels.pop(task, None)
            if not by_hand:
                self.leadership.needed(entry, f"request to cancel {task} deleted")
            if not by_hand and task in self.tasks and task not in self.status:
                self.broken("cancel-final", task, f"the request to cancel {task} was deleted")

    def _present(self, worker: str, task: str, assignment: Assignment) -> None:
        node = self.ensemble.decided.nodes.get(f"/workers/{worker}")
        incarnation = self._incarnations.get(worker)
        if node is not None and node.owner in {0, *self.persons}:
            return  # created by hand over another's registration: no check can tell
        absent = Violation("no-assign-to-absent-incarnation", f"{task} to {worker}, who is not there")
        if node is None or incarnation is None:
            raise absent
        # A person may have recreated the queue, as above.
        if incarnation.session != node.owner and node.owner not in self.evicted:
            raise absent
        if node.version:
            raise Violation("no-assign-to-absent-incarnation", f"{task} to {worker}, who drains")
        if assignment.incarnation != incarnation.version:
            raise Violation(
                "no-assign-to-absent-incarnation",
                f"{task} to {worker}'s {assignment.incarnation}, who is {incarnation.version}",
            )

    def _task(self, entry: Transacted, change: Change, task: str, by_hand: bool) -> None:
        if isinstance(change, Deleted) and by_hand:
            self.tasks.discard(task)
            self.shares.ended(task, entry.time)
            self.status.pop(task, None)
            self.ended_by_hand.discard(task)
            if task in self.ended_at:
                self._deleted_at[task] = entry.time
            return
        if isinstance(change, Deleted):
            if task not in self.status:
                self.broken("acked-never-lost", task, f"{task} was deleted, and has not ended")
            self.leadership.needed(entry, f"{task} removed")
            age = entry.time - self.ended_at.get(task, entry.time)
            kept = self._retention
            surplus = len(self.status) - len(self.removed) + self.excuses.uncounted > kept.keep
            soon = surplus or self.of_ended.allows(task, REMOVE)
            least = min(kept.seconds, kept.least) if soon else kept.seconds
            if age < least * (1 - DRIFT):
                self.broken("retention-kept", task, f"{task} was removed after {age:.1f} s")
            self.removed.add(task)
            return
        self.tasks.add(task)
        parent = self.ensemble.decided.nodes[TASKS]
        self.most_tasks = max(self.most_tasks, len(parent.children))
        if isinstance(change, Created):
            if by_hand:
                self.excuses.numbers(task, parent.created)
            self.attempts.begin(task)
            self.times.begin(task, entry.time)
            if entry.time - self._deleted_at.pop(task, -UNSEEN) < UNSEEN:
                self.excuses.endless.add(task)  # a master that saw neither: seed 13502
            if self.holders.get(task):
                self.excuses.inherits(task)  # seed 80123066
        try:
            asked = Task.decode(change.data)
        except BadTaskError:
            asked = None
        self.asked[task] = asked
        if isinstance(change, Created):
            self.shares.created(task, asked, entry.zxid)
        key = asked.key if asked is not None else None
        if isinstance(change, Changed) or by_hand or key is None or not task.startswith("task-"):
            return
        self._numbered(task)
        if key in self.answers.refusals:
            raise Violation("submit-idempotent", f"{task} was refused, and then submitted")
        if key in self.keys:
            self.broken("submit-idempotent", self.keys[key], f"{task} is {self.keys[key]} again")
        self.keys[key] = task

    def _numbered(self, task: str) -> None:
        """A client has it numbered. Clients that looked at once may take a few numbers too many."""
        self._beyond += int(task.removeprefix("task-")) >= self.limits.numbers
        few = ON_THE_WAY * min(self.limits.submissions, self.limits.numbers)
        if self._beyond > few and not (self.lost or self.excuses.any_task):
            raise Violation("numbers-bounded", f"{task}, and numbers end at {self.limits.numbers}")

    def _ended(
        self,
        entry: Transacted,
        change: Change,
        task: str,
        held: dict[str, Assignment],
        before: dict[str, Incarnation],
        by_hand: bool,
    ) -> None:
        if isinstance(change, Deleted) and any(c.path == f"/tasks/{task}" for c in entry.changes):
            return  # with the task
        again = isinstance(change, Deleted) and self.of_ended.allows(task, RUN)
        if (not isinstance(change, Created) or task in self.status) and not again:
            self.broken("one-final-status", task, f"{task}'s status was changed or deleted")
        if isinstance(change, Deleted):
            self.status.pop(task, None)
            self.shares.reopened(task)
            return
        self.status[task] = change.data
        self.ended_at[task] = entry.time
        self.shares.ended(task, entry.time)
        self.of_ended.ended(task, entry.zxid)
        result = self.ensemble.decided.nodes.get(result_path(task))
        outcome = Outcome.decode(result.data) if result is not None else Outcome()
        self.ends[task].append((change.data.decode(errors="replace"), outcome))
        if by_hand:
            self.ended_by_hand.add(task)
            return
        if change.data not in (DONE.encode(), FAILED.encode(), CANCELLED.encode()):
            raise Violation("one-final-status", f"{task} ended as {change.data!r}")
        if change.data == CANCELLED.encode() and task not in self.to_cancel:
            since = " since it was to run again" if task in self.cancel_asked else ""
            self.answers.unasked(task, f"{task} was cancelled, and nobody asked for it{since}")
        if result_path(task) not in self.ensemble.decided.nodes:
            self.broken("result-faithful", task, f"{task} ended without a result")  # seed 21565
        # A peer that is the master ends its own task so, if its registration is gone.
        of_nobody = outcome.worker is None and self.leadership.has(entry.session)
        for worker, assignment in held.items():
            if not of_nobody and self._is_its_own(before, worker, assignment, entry.session):
                self._faithful(entry, worker, task, assignment, change.data.decode())
                return
        if not self.leadership.has(entry.session):
            self.broken("status-from-holder", task, f"{task} held by {list(held)} was ended by somebody else")
        self._ended_by_master(entry, task)

    def _ended_by_master(self, entry: Transacted, task: str) -> None:
        data = next((c for c in entry.changes if c.path == result_path(task)), None)
        outcome = Outcome.decode(data.data) if isinstance(data, Created) else Outcome()
        reason = outcome.reason or ""
        if self.status[task] == DONE.encode() or outcome.code is not None or outcome.worker is not None:
            self.broken("result-faithful", task, f"a master, who runs nothing, says of {task}: {outcome}")
        if not self.shares.concern(task, self.denied.unseen):
            self._share(task, self.shares.refused(task, reason, entry.time))
        if reason.startswith("expired"):
            early = self.times.expired(task, self.asked.get(task), entry.time)
            if early:
                self.broken("expires-in-time", task, f"{task} has expired, but {early}")
        said = re.search(r"(\d+) workers died", reason)
        dead = int(said[1]) if said else 0
        guilty = self.attempts.guilty(task, partial(self._lives.lives, now=entry.time))
        if dead > guilty:
            self.broken("innocent-not-given-up", task, f"{task} is {reason}, but only {guilty} may have")
        known = reason.startswith(("expired", TOO_MANY)) or dead >= self._max_attempts
        told = isinstance(data, Created) and self.status[task] == FAILED.encode()
        if told and not known and self.asked.get(task) is not None:
            self.broken(
                "innocent-not-given-up", task, f"{task} could run, but a master failed it: {reason!r}"
            )

    def _share(self, task: str, wrong: str | None) -> None:
        """A person, or what is lost, may have changed whose tasks have ended."""
        if wrong and not (self.lost or self.excuses.any_task):
            raise Violation("submitters-bounded", f"{task}: {wrong}")

    def _faithful(
        self, entry: Transacted, worker: str, task: str, assignment: Assignment, state: str
    ) -> None:
        data = next((c for c in entry.changes if c.path == f"/tasks/{task}/result"), None)
        if not isinstance(data, Created):
            return
        outcome = Outcome.decode(data.data)
        if (outcome.worker, outcome.attempt) != (worker, assignment.attempt):
            self.broken("result-faithful", task, f"{task} was {assignment} of {worker}, but is {outcome}")
        wrong = self.runs.none_like(task, outcome) if self._sees_executions else ""
        if wrong:
            self.broken("result-faithful", task, f"{task} by {worker}: {outcome}, but {wrong}")
        if outcome.status != state:
            raise Violation("result-faithful", f"{task} is {state} but its result is {outcome}")

    def _single(self, task: str) -> None:
        held = self.holders[task]
        if len(held) > 1:
            self.broken("single-assignment", task, f"{task} is assigned to {' and '.join(held)}")
        if held and task in self.status and task not in self.ended_by_hand:
            holder = next(iter(held))
            self.broken("status-from-holder", task, f"{task} has ended but is assigned to {holder}")

    def all_ended(self) -> bool:
        """Whether every task has a final state, no assignment is left, and no cancel request."""
        # This is called all the time, so common and fast checks come first.
        left = len(self.tasks) != len(self.status) and self.left()
        return not left and not self.cancels and not self._held()

    def _held(self) -> bool:
        held = any(self.holders.values())
        return held and any(self.holders[task] for task in self.holders.keys() - self.excuses.endless)

    def left(self) -> set[str]:
        """Tasks that have not ended."""
        return self.tasks - self.status.keys() - self.excuses.endless
