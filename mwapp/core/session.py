"""One process's view of its ZooKeeper session: requests, watches, timers and the local deadline.

A :class:`Process` takes events and gives commands. Its parts (election, master, worker, client) do the work.
They talk to the ensemble through a :class:`Scope`. Cancelling the scope drops every answer, watch and timer
still to come for it, so nothing of an ended tenure can act later.
"""

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import heapify, heappop, heappush
from typing import Any, Protocol

from mwapp.core.limits import LIMITS, Limits
from mwapp.core.messages import (
    Abandon,
    Check,
    Children,
    Close,
    Closed,
    Command,
    Connected,
    Error,
    Event,
    EventType,
    Exists,
    Exited,
    Expired,
    Failed,
    Fired,
    Follow,
    Get,
    Kill,
    Op,
    OpenShard,
    Operation,
    Read,
    Reply,
    Request,
    Resumed,
    Run,
    ShardCommand,
    ShardSays,
    Stop,
    Suspended,
    Tick,
    Transaction,
)
from mwapp.core.task import Task

log = logging.getLogger(__name__)

# The clocks of two machines, ours and the leader's, differ by less than this part of the time.
DRIFT = 0.01
# Twice a tick a server tells the leader which sessions it has heard from. A time-out is at least two ticks,
# so the leader hears of us at most this part of a time-out later; or never, if the two are cut off before
# that.
REPORT = 0.25 * (1 + DRIFT)
# The local deadline is this part of a time-out before the session's end by our count. It covers DRIFT, and
# the rest is the time to stop what must not outlive the session.
SAFETY_MARGIN = 0.05
# We ask for this many proofs of life per session time-out. Two intervals between them are longer than REPORT,
# with some time for the answer.
HEARTBEATS = 7
# If a read is refused, it is repeated after this many seconds: somebody may allow it.
AGAIN_SECONDS = 1.0
REFUSED = Failed(Error.REFUSED)
GONE = Failed(Error.NO_NODE)
# After these every part starts over.
CUT_OFF = (Error.CONNECTION_LOSS, Error.SESSION_EXPIRED)

Then = Callable[[Any], None]
Callback = Callable[[], None]
Follower = Callable[[str, EventType], None]  # the path, and what has happened to it


class Part(Protocol):
    """A state machine that lives in a process. No two of its methods run at the same time."""

    def connected(self) -> None:
        """A session is usable: new, or resumed after a cut. Reread whatever you act on. Reads now see what
        this process sent before, and what others were told before the connection was made."""

    def suspended(self) -> None:
        """Watches and outstanding requests are gone. Ask nothing until connected again."""

    def expired(self) -> None:
        """The session is over, or may be over. Stop everything that needed it."""

    def closed(self, session: int) -> None:
        """That former session is closed: no request of it can be carried out any more."""

    def exited(self, event: Exited) -> None:
        """A command this process started is over."""

    def stop(self) -> None:
        """End gracefully; then call ``process.part_stopped(self)``."""

    def status(self) -> dict[str, Any]:
        """What the status endpoint says of this part."""


@dataclass(slots=True)
class _Pending:
    scope: "Scope"
    then: Then
    sent: float
    operation: Operation
    insist: bool  # repeat the read if it is refused


class Scope:
    """A stretch of work that can be dropped as a whole."""

    def __init__(self, process: "Process") -> None:
        self._process = process
        self.cancelled = False

    @property
    def now(self) -> float:
        """Monotonic seconds."""
        return self._process.now

    @property
    def limits(self) -> Limits:
        """How much is done at once."""
        return self._process.limits

    def get(self, path: str, then: Then, *, watch: Callback | None = None) -> None:
        """Read a znode; ``then`` gets its Node or NO_NODE. ``watch`` is called once when it changes.

        A refused read does not mean that the znode is absent. It is repeated until it succeeds, here and in
        the methods below.
        """
        self._process.send(self, Get(path, watch is not None), then, watch)

    def children(self, path: str, then: Then, *, watch: Callback | None = None, insist: bool = True) -> None:
        """Read the children's names; ``watch`` is called once when they change. Without ``insist``, ``then``
        gets REFUSED if the read is refused."""
        self._process.send(self, Children(path, watch is not None), then, watch, insist=insist)

    def exists(self, path: str, then: Then, *, watch: Callback | None = None) -> None:
        """Read a Stat or None; ``watch`` is called once when it is created, set or deleted."""
        self._process.send(self, Exists(path, watch is not None), then, watch)

    def follow(self, path: str, told: Follower, then: Then) -> None:
        """``told`` is called each time when something is created, set or deleted at the path or below it, if
        the list of that znode lets us read it. ``then`` gets None as soon as that is so, or REFUSED.

        Leave no other watch at the path itself with ``get`` or ``exists``: older servers (ZOOKEEPER-4466)
        forget this one when that goes off.
        """
        self._process.follow(self, path, told, then)

    def transact(self, ops: Sequence[Op], then: Then) -> None:
        """Commit all or nothing; ``then`` gets the tuple of results or a Failed."""
        self._process.send(self, Transaction(tuple(ops)), then, None)

    def get_all(self, paths: list[str], then: Then) -> None:
        """Read several znodes; ``then`` gets the list of Nodes and Faileds, in the order of the paths.

        A refused read gives REFUSED, not NO_NODE; it is not repeated, so that the others need not wait.
        """
        results: dict[int, Any] = {}

        def collect(index: int, result: Any) -> None:
            results[index] = result
            if len(results) == len(paths):
                then([results[i] for i in range(len(paths))])

        for index, path in enumerate(paths):
            self._process.send(self, Get(path), partial(collect, index), None, insist=False)
        if not paths:
            then([])

    def after(self, delay: float, call: Callback) -> None:
        """Call once, ``delay`` seconds from now."""
        self._process.call_at(self._process.now + delay, self, call)

    def cancel(self) -> None:
        """Drop every answer, watch and timer still to come."""
        self.cancelled = True


class Process:
    """The parts of one operating-system process and the session they share.

    The ``now`` of events is in seconds, never goes back, and continues while the machine sleeps. The
    edge calls :meth:`handle` with a ``Tick`` at :attr:`deadline`, or as soon after it as it can.
    """

    def __init__(self, limits: Limits = LIMITS, ended: tuple[int, ...] = ()) -> None:
        """``ended``: sessions of the processes before this one that ended because they were told to."""
        self.limits = limits
        self.ended = ended
        self.now = 0.0
        self.session: int | None = None
        self.timeout = 0.0
        self.usable = False  # connected, and within the local deadline
        self.stopping = False
        self.timers: list[tuple[float, int, Scope, Callback]] = []  # a heap
        self._parts: list[Part] = []  # those not stopped
        self._out: list[Command] = []
        self._pending: dict[int, _Pending] = {}
        self._watches: dict[str, dict[Scope, Callback]] = {}  # one call per scope and path
        self._followers: dict[str, dict[Scope, Follower]] = {}  # by the path they follow
        self._numbers = 0
        # The local deadline: until then the ensemble cannot have ended this session. The leader counts the
        # time-out from the last sign of life that was reported to it: see _lives.
        self.lease = 0.0
        self._proof = 0.0  # the leader knows that we lived then
        self._answered: deque[tuple[float, float]] = deque()  # transactions: when, and when they were sent
        self._heart: Scope | None = None
        self._runs: set[int] = set()  # started and not over, killed or not
        self._shards: dict[int, Callable[[ShardSays], None]] = {}  # handlers of shards, and who hears of them
        self._given_up: Scope | None = None  # of a session that is to be closed when they are over

    def add(self, part: Part) -> None:
        """Make the part live in this process."""
        self._parts.append(part)

    # ------------------------------------------------------------ the edge's side

    def handle(self, now: float, event: Event) -> list[Command]:
        """Take one event; return what is to be done, in order."""
        self.now = now
        if self._session_is_over():
            self._lose(abandon=not isinstance(event, Expired | Connected))
        match event:  # the most frequent first
            case Reply():
                self._answer(event.request, event.result)
            case Tick():
                pass
            case Fired():
                self._fired(event)
            case Exited():
                self._runs.discard(event.run)
                for part in list(self._parts):
                    part.exited(event)
                self._abandon_if_nothing_runs()
            case ShardSays(run, said):
                told = self._shards.pop(run, None) if said == "closed" else self._shards.get(run)
                if told is not None:
                    told(event)
                self._abandon_if_nothing_runs()
            case Connected(session, timeout, asked):
                # The ensemble counts from when it made the session, not from when we heard of it.
                self.session, self.timeout = session, timeout
                self._prove(now if asked is None else asked)
                if self._session_is_over():
                    self._lose(abandon=True)
                else:
                    self._begin()
            case Resumed(asked) if self.session is not None:
                # A server that takes a session over asks the leader whether it lives.
                self._prove(max(self._proof, now if asked is None else asked))
                self._begin()
            case Suspended():
                self._cut()
            case Expired():
                self._lose(abandon=False)
            case Closed(session):
                for part in list(self._parts):
                    part.closed(session)
            case Stop() if not self.stopping:
                self.stopping = True
                for part in list(self._parts):
                    part.stop()
            case Resumed() | Stop():
                pass
        if self.timers and self.timers[0][0] <= now:
            self._fire_timers()
        out, self._out = self._out, []
        return out

    @property
    def deadline(self) -> float | None:
        """When the next Tick is due, monotonic seconds; None: not before the next event."""
        due = self.timers[0][0] if self.timers else None
        if self.session is None:
            return due
        return self.lease if due is None or self.lease < due else due

    @property
    def takes_writes(self) -> bool:
        """Whether the ensemble has answered a transaction on this connection."""
        return self.usable and bool(self._answered)

    # ------------------------------------------------------------ the parts' side

    def scope(self) -> Scope:
        """A new stretch of work."""
        return Scope(self)

    def send(
        self, scope: Scope, operation: Operation, then: Then, watch: Callback | None, *, insist: bool = True
    ) -> None:
        """Ask the ensemble. The request is dropped if there is no usable connection: parts start over in
        connected()."""
        if not self.usable or scope.cancelled:
            return
        number = self._numbers = self._numbers + 1
        if watch is not None and isinstance(operation, Read):
            calls = self._watches.setdefault(operation.path, {})
            for other in [other for other in calls if other.cancelled]:
                del calls[other]  # clean up here: a path may not change for years
            calls[scope] = watch
        self._pending[number] = _Pending(scope, then, self.now, operation, insist)
        self._out.append(Request(number, operation))

    def follow(self, scope: Scope, path: str, told: Follower, then: Then) -> None:
        """See :meth:`Scope.follow`."""
        if self.usable and not scope.cancelled:
            self._followers.setdefault(path, {})[scope] = told
            self.send(scope, Follow(path), then, None, insist=False)

    def call_at(self, at: float, scope: Scope, call: Callback) -> None:
        """Call once at that time (monotonic seconds), unless the scope is cancelled before."""
        self._numbers += 1
        heappush(self.timers, (at, self._numbers, scope, call))

    def run(self, run: int, task: Task, environment: dict[str, str]) -> None:
        """Start a command or handler, unless our session may be over by then."""
        self._runs.add(run)
        self._out.append(Run(run, task, environment, self.lease))

    def kill(self, run: int, grace: float = 0.0) -> None:
        """End it and all that it has started, now or after ``grace`` seconds to end by itself."""
        self._out.append(Kill(run, grace))

    def open_shard(self, command: OpenShard, told: Callable[[ShardSays], None]) -> None:
        """Start the handler of a shard; ``told`` hears what it says, until it is closed. Its numbers are
        apart from those of :meth:`run`."""
        self._shards[command.run] = told
        self._out.append(command)

    def tell_shard(self, command: ShardCommand) -> None:
        """Something else for it."""
        self._out.append(command)

    @property
    def alone(self) -> bool:
        """Whether only one part is left: when it stops, the session is closed."""
        return len(self._parts) == 1

    def part_stopped(self, part: Part) -> None:
        """A part has nothing left to do. After the last one the session is closed."""
        if part in self._parts:
            self._parts.remove(part)
            if not self._parts and self.stopping:
                self._out.append(Close())

    # ------------------------------------------------------------ inside

    def _begin(self) -> None:
        self._cut()
        self.usable = True
        self._heart = self.scope()
        # The first request is a transaction. A server may lag behind what this session did on the connection
        # before without an answer. Reads after a transaction are no older than it.
        self._beat()
        for part in list(self._parts):
            part.connected()

    def _beat(self) -> None:
        """Ask for a proof of life. kazoo does not show us its own pings, and sends none while it is busy."""
        if self._heart is not None:
            self._heart.transact([Check("/")], lambda _: None)
            self._heart.after(self.timeout / HEARTBEATS, self._beat)

    def _fired(self, event: Fired) -> None:
        path = event.path
        for scope, call in self._watches.pop(path, {}).items():
            if not scope.cancelled:
                call()
        for followed, followers in self._followers.items():
            if path == followed or path.startswith(f"{followed}/"):
                for scope, told in list(followers.items()):
                    if scope.cancelled:
                        del followers[scope]
                    else:
                        told(path, event.event)

    def _answer(self, number: int, result: object) -> None:
        pending = self._pending.pop(number, None)
        if pending is None:
            return
        if isinstance(result, Failed) and result.error in CUT_OFF:
            return  # every part rereads what it acts on, so there is nothing to tell it
        refused = isinstance(result, Failed) and result.error is Error.REFUSED
        if isinstance(pending.operation, Transaction):
            if not refused:  # the edge itself may have refused a request that is too large
                self._lives(pending.sent)
        elif refused and pending.insist:
            self._ask_again(pending, pending.operation.path)
            return
        if not pending.scope.cancelled:
            pending.then(result)

    def _ask_again(self, refused: _Pending, path: str) -> None:
        log.error("no permission to read %s: trying again", path)
        # Unless the watch fired meanwhile: then the part looks again by itself.
        watch = self._watches.get(path, {}).get(refused.scope)
        again = partial(self.send, refused.scope, refused.operation, refused.then, watch)
        self.call_at(self.now + AGAIN_SECONDS, refused.scope, again)

    def _lives(self, sent: float) -> None:
        """A transaction that was sent at ``sent`` has been answered.

        So its server was in touch with the leader, and had reported the transactions that it answered REPORT
        earlier. The leader may never hear of this one. Answered reads prove nothing, because a server that is
        cut off from its leader still answers them.
        """
        while self._answered and self._answered[0][0] <= sent - self.timeout * REPORT:
            self._prove(max(self._proof, self._answered.popleft()[1]))
        self._answered.append((self.now, sent))

    def _prove(self, lived: float) -> None:
        self._proof = lived
        self.lease = lived + self.timeout * (1 - SAFETY_MARGIN)

    def _cut(self) -> None:
        was_usable, self.usable = self.usable, False
        self._pending.clear()
        self._watches.clear()
        self._followers.clear()
        self._answered.clear()  # that server may never report what it still had to report
        if self._heart is not None:
            self._heart.cancel()
        if was_usable:
            for part in list(self._parts):
                part.suspended()

    def _session_is_over(self) -> bool:
        return self.session is not None and self.now >= self.lease

    def _lose(self, *, abandon: bool) -> None:
        if self._given_up is not None:  # it has ended meanwhile
            self._given_up.cancel()
            self._given_up = None
        if self.session is None:
            return
        self._cut()
        self.session = None
        for part in list(self._parts):
            part.expired()
        if abandon and (self._parts or not self.stopping):  # if not, Close has been said
            self._give_up()

    def _give_up(self) -> None:
        """Have the session closed, but not while its commands are dying: others would start them at once.

        That may take as long as the deadline came early. After that the session may have ended by itself.
        """
        self._given_up = self.scope()
        if self._runs or self._shards:
            self._given_up.after(self.timeout * SAFETY_MARGIN, self._abandon)
        else:
            self._abandon()

    def _abandon_if_nothing_runs(self) -> None:
        if self._given_up is not None and not self._runs and not self._shards:
            self._abandon()

    def _abandon(self) -> None:
        if self._given_up is not None:
            self._given_up.cancel()
        self._given_up = None
        self._out.append(Abandon())

    def _fire_timers(self) -> None:
        due = []
        while self.timers and self.timers[0][0] <= self.now:
            due.append(heappop(self.timers))
        self.timers = [timer for timer in self.timers if not timer[2].cancelled]
        heapify(self.timers)
        for _, _, scope, call in due:
            if not scope.cancelled:
                call()
