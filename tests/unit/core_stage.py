"""A stage for scenes of the protocol: the core's processes, people at zkCli.sh, and an ensemble that answers
at once. Nothing happens by chance: a test says what is cut, lost, expired or frozen, and when."""

import json
import math
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import count

from mwapp.core.batching import MOST
from mwapp.core.election import Election
from mwapp.core.limits import LIMITS, Limits
from mwapp.core.master import Master
from mwapp.core.messages import (
    Abandon,
    Close,
    Command,
    Connected,
    Create,
    Delete,
    Error,
    Event,
    EventType,
    Exited,
    Expired,
    Failed,
    Fired,
    Kill,
    Op,
    Operation,
    OpResult,
    Reply,
    Request,
    Resumed,
    Run,
    Set,
    Stop,
    Suspended,
    Tick,
    Transaction,
)
from mwapp.core.node import PeerDuty
from mwapp.core.request_size import size
from mwapp.core.retention import RETENTION, Retention
from mwapp.core.session import Process
from mwapp.core.worker import Worker
from tests.simulation.denials import Denials
from tests.simulation.ensemble import SimEnsemble

SESSION_SECONDS = 6.0
# Workers have all that they take at once, and keep it.
ALL_AT_HAND = replace(LIMITS, at_hand=math.inf)
# Time for what waits a moment for company (mwapp/core/batching.py), and for what follows from it.
SOON = 5 * MOST


class Stage:
    """The ensemble (two servers, the second used only by who is moved there), the clock and who plays."""

    def __init__(self) -> None:
        self.now = 100.0
        self.ensemble = SimEnsemble(self._fired, servers=2)
        self.actors: list[Actor] = []
        self.most = 1_000_000  # bytes that the edge sends in one request
        self.denials = Denials(lambda: self.ensemble.decided.nodes)
        self.ensemble.hides = self.denials.hides
        self.lagging = False  # whether the second server applies nothing for now
        self.refused: set[str] = set()  # paths that nobody may read
        self.forbids: Callable[[Op], bool] = lambda _: False  # operations that nobody may do
        self.isolated = False  # whether the servers have no leader: reads are answered, nothing else
        self.most_at_once = 0  # requests of which the oldest was still to be answered
        self.carried_out = 0  # requests so far: what does not end is a spin
        self._requests: deque[tuple[Actor, int, Request]] = deque()
        self._soon: deque[Callable[[], None]] = deque()

    # ------------------------------------------------------------ who plays

    def master(
        self,
        name: str,
        max_attempts: int = 5,
        max_per_submitter: int = 0,
        retention: Retention = RETENTION,
        wall: float = 0.0,
        limits: Limits = ALL_AT_HAND,
        adopts: bool = True,
    ) -> "Actor":
        """A candidate for leadership."""
        actor = Actor(self, limits)
        actor.wall = wall
        actor.master = Master(
            actor.process,
            wall=lambda: actor.wall,
            max_attempts=max_attempts,
            max_per_submitter=max_per_submitter,
            retention=retention,
            adopts=adopts,
        )
        actor.election = Election(actor.process, name, f"{name}:2223", actor.master)
        return actor.connect()

    def worker(
        self,
        name: str,
        slots: int = 1,
        prefetch: int = 0,
        labels: tuple[str, ...] = (),
        limits: Limits = ALL_AT_HAND,
        ended: tuple[int, ...] = (),
    ) -> "Actor":
        """A worker of ours. ``ended``: sessions of processes before it that were told to stop."""
        actor = Actor(self, limits, ended)
        actor.worker = Worker(
            actor.process, name, f"{name}:2224", slots=slots, prefetch=prefetch, labels=labels
        )
        return actor.connect()

    def client(self, build: Callable[[Process], object], server: int = 0, limits: Limits = LIMITS) -> "Actor":
        """A process with whatever ``build`` puts into it."""
        actor = Actor(self, limits)
        build(actor.process)
        return actor.connect(server)

    def person(self) -> "Person":
        """Somebody at zkCli.sh."""
        return Person(self)

    # ------------------------------------------------------------ what goes on

    def settle(self, seconds: float = SOON) -> None:
        """Let everything happen that is due within so much time."""
        until = self.now + seconds
        while True:
            while self._requests or self._soon:
                if self._soon:
                    self._soon.popleft()()
                else:
                    self._carry_out(*self._requests.popleft())
            due = [(a.process.deadline, a) for a in self.actors if a.alive and not a.frozen]
            at, actor = min(
                ((max(at, self.now), actor) for at, actor in due if at is not None),
                key=lambda pair: pair[0],
                default=(until + 1, None),
            )
            if actor is None or at > until:
                break
            self.now = at
            actor.event(Tick())
        self.now = until

    def lose(self, entries: int, away: "Actor | None" = None) -> None:
        """The ensemble loses what it has committed last, and everybody the connection. One stays away."""
        connected = [actor for actor in self.actors if actor.alive and actor.session is not None]
        for actor in connected:
            actor.cut()
        self.ensemble.lose(entries)
        self.person()  # somebody connects: servers have a zxid that nobody has seen
        for actor in connected:
            if actor.session in self.ensemble.sessions and actor is not away:
                actor.resume()

    def soon(self, call: Callable[[], None]) -> None:
        """Let it happen next."""
        self._soon.append(call)

    def ask(self, actor: "Actor", request: Request) -> None:
        """A process sends a request."""
        self._requests.append((actor, actor.connection, request))
        actor.sent.append(request.operation)
        self.most_at_once = max(self.most_at_once, len(self._requests))

    def _carry_out(self, actor: "Actor", connection: int, request: Request) -> None:
        self.carried_out += 1
        if self.carried_out > 40_000:
            raise AssertionError(f"no end to it: {request}")
        if connection != actor.connection or actor.session is None:
            return
        if self.isolated and isinstance(request.operation, Transaction):
            return
        if size(request.operation) > self.most:  # the edge does not send what ZooKeeper would not take
            actor.event(Reply(request.number, Failed(Error.REFUSED)))
            return
        if getattr(request.operation, "path", None) in self.refused:
            actor.event(Reply(request.number, Failed(Error.REFUSED)))
            return
        serve = partial(self.ensemble.request, actor.session, now=self.now)
        result = self._forbidden(request) or self.denials.ask("", request.operation, serve)
        seen = self.ensemble.shown(actor.server)
        self.spread()
        if actor.mute:
            return
        if actor.meanwhile is not None:
            actor.meanwhile(request)
        if actor.loses is not None and actor.loses(request):
            actor.cut()
            return
        actor.seen = seen
        actor.hear(Reply(request.number, result))

    def _forbidden(self, request: Request) -> Failed | None:
        ops = request.operation.ops if isinstance(request.operation, Transaction) else ()
        return next((Failed(Error.REFUSED, at) for at, op in enumerate(ops) if self.forbids(op)), None)

    def spread(self) -> None:
        """The second server applies what was committed, unless it lags."""
        self.ensemble.catch_up(0)
        if not self.lagging:
            self.ensemble.catch_up(1)

    def _fired(self, session: int, event: EventType, path: str) -> None:
        for actor in self.actors:
            if actor.session == session:
                actor.hear(Fired(path, event))

    # ------------------------------------------------------------ what there is

    def data(self, path: str) -> str | None:
        """A znode's data; None: there is no such znode."""
        node = self.ensemble.decided.nodes.get(path)
        return None if node is None else node.data.decode()

    def children(self, path: str) -> list[str]:
        """Names of a znode's children."""
        node = self.ensemble.decided.nodes.get(path)
        return [] if node is None else sorted(node.children)

    def holders(self, task: str) -> list[str]:
        """Under which workers the task is."""
        return [name for name in self.children("/assign") if task in self.children(f"/assign/{name}")]


class Actor:
    """A process of ours and its edge."""

    def __init__(self, stage: Stage, limits: Limits = LIMITS, ended: tuple[int, ...] = ()) -> None:
        self.process = Process(limits, ended)
        self.session: int | None = None
        self.sessions: list[int] = []  # the same, and those before
        self.connection = 0
        self.seen = 0  # how much of the log
        self.server = 0
        self.alive = True
        self.loses: Callable[[Request], bool] | None = None  # cut instead of answering such a request
        self.meanwhile: Callable[[Request], None] | None = None  # of carried out and answered
        self.mute = False  # its requests are carried out, and no answer arrives until it resumes
        self.runs: dict[int, Run] = {}  # commands that run
        self.wall = 0.0  # what its wall clock shows
        self.started: list[Run] = []  # every one there ever was
        self.killed: list[Kill] = []  # the same
        self.sent: list[Operation] = []  # the same
        self.kills = True  # whether what is killed ends: not so while it waits for a dead disk
        self.master: Master
        self.election: Election
        self.worker: Worker
        self._stage = stage
        self._held_back: list[Event] | None = None
        self._on_the_way: list[Event] | None = None
        stage.actors.append(self)

    @property
    def frozen(self) -> bool:
        """Whether it hears of nothing for now."""
        return self._held_back is not None

    def connect(self, server: int = 0) -> "Actor":
        """Begin a session."""
        self.connection += 1
        self.session = self._stage.ensemble.open(SESSION_SECONDS, self._stage.now)
        self.sessions.append(self.session)
        self.server = server
        self._stage.ensemble.connect(self.session, server)
        self.event(Connected(self.session, SESSION_SECONDS))
        self._stage.settle()
        return self

    def cut(self) -> None:
        """The connection is lost, and every answer still to come."""
        assert self.session is not None
        self.connection += 1
        self._on_the_way = None
        self._stage.ensemble.disconnect(self.session)
        self.event(Suspended())

    def resume(self, server: int = 0) -> None:
        """The connection is back: with a server that has applied at least what this process has seen."""
        self._go_on(server, None)

    def _go_on(self, server: int, loses: Callable[[Request], bool] | None) -> None:
        assert self.session is not None
        self.connection += 1
        self.loses, self.mute = loses, False
        self.server = server
        self._stage.ensemble.connect(self.session, server, self.seen)
        self.event(Resumed())
        self._stage.settle()

    def resume_and_lose(self, kind: type[Operation], number: int, server: int = 0) -> None:
        """The same, and the next cut comes instead of the answer to the n-th such request."""
        left = count(1)
        loses = lambda request: isinstance(request.operation, kind) and next(left) == number  # noqa: E731 - read once
        self._go_on(server, loses)

    def expire(self) -> None:
        """The ensemble ends the session, and the process hears of it."""
        self._end_session()
        self.event(Expired())

    def die(self) -> None:
        """SIGKILL, and the session is released."""
        self.alive = False
        self.runs.clear()
        self._end_session()
        self._stage.settle()

    def freeze(self) -> None:
        """The process does not go on."""
        self._held_back = []

    def thaw(self) -> None:
        """It goes on, and what came meanwhile comes now."""
        events, self._held_back = self._held_back or [], None
        for event in events:
            self.event(event)
        self._stage.settle()

    def slow(self) -> None:
        """From now on what it is told is on its way, and does not arrive. The process goes on."""
        self._on_the_way = []

    def quick(self) -> None:
        """All of that arrives, in order."""
        events, self._on_the_way = self._on_the_way or [], None
        for event in events:
            self.event(event)
        self._stage.settle()

    def hear(self, event: Event) -> None:
        """It is told something by its server."""
        if self._on_the_way is not None:
            self._on_the_way.append(event)
        else:
            self.event(event)

    def stop(self) -> None:
        """SIGTERM."""
        self.event(Stop())
        self._stage.settle()

    def finish(
        self,
        task: str,
        code: int = 0,
        output: bytes = b"output",
        result: str | None = None,
        *,
        settle: bool = True,
    ) -> None:
        """The command of a task ends."""
        run = next(run for run in self.runs.values() if run.environment["MWAPP_TASK"] == task)
        del self.runs[run.run]
        self.event(Exited(run.run, code, output, seconds=0.1, result=result))
        if settle:
            self._stage.settle()

    def running(self) -> list[str]:
        """Tasks whose commands run."""
        return sorted(run.environment["MWAPP_TASK"] for run in self.runs.values())

    def event(self, event: Event) -> None:
        """Give the process an event and carry out what it says."""
        if self._held_back is not None:
            self._held_back.append(event)
        elif self.alive:
            for command in self.process.handle(self._stage.now, event):
                self._carry_out(command)

    def _carry_out(self, command: Command) -> None:
        match command:
            case Request():
                self._stage.ask(self, command)
            case Run(run):
                self.runs[run] = command
                self.started.append(command)
            case Kill(run):
                self.killed.append(command)
                if self.kills and run in self.runs:
                    del self.runs[run]
                    self._stage.soon(lambda: self.event(Exited(run, -9)))
            case Abandon():
                self._end_session()
            case Close():
                self.alive = False
                self._end_session()

    def _end_session(self) -> None:
        session, self.session = self.session, None
        self.connection += 1
        if session is not None:
            self._stage.ensemble.end(session, self._stage.now)
            self._stage.spread()


class Person:
    """Somebody at zkCli.sh, with a session of their own."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.session = stage.ensemble.open(SESSION_SECONDS, stage.now)
        stage.ensemble.connect(self.session, 0)

    def create(
        self, path: str, data: str = "", *, e: bool = False, s: bool = False, settle: bool = True
    ) -> str:
        """``create [-e] [-s] path data``; returns the path."""
        return str(self._do(Create(path, data.encode(), ephemeral=e, sequential=s), settle=settle))

    def set(self, path: str, data: str, *, settle: bool = True) -> None:
        """``set path data``."""
        self._do(Set(path, data.encode()), settle=settle)

    def delete(self, path: str, *, settle: bool = True) -> None:
        """``delete path``."""
        self._do(Delete(path), settle=settle)

    def delete_all(self, path: str) -> None:
        """``deleteall path``: the children first, one by one; nobody has time to act between."""
        for name in self._stage.children(path):
            self.delete_all(f"{path}/{name}")
        self._do(Delete(path), settle=False)

    def quit(self) -> None:
        """End the session."""
        self._stage.ensemble.end(self.session, self._stage.now)
        self._stage.spread()
        self._stage.settle()

    def _do(self, op: Op, *, settle: bool = True) -> OpResult:
        results = self._stage.ensemble.request(self.session, Transaction((op,)), self._stage.now)
        self._stage.spread()
        if settle:
            self._stage.settle()
        assert not isinstance(results, Failed), results
        assert isinstance(results, tuple)
        return results[0]


def peer(stage: Stage, name: str) -> Actor:
    """A worker that leads the others if it is elected."""
    actor = Actor(stage)
    actor.master = Master(actor.process, wall=lambda: actor.wall)
    actor.worker = Worker(actor.process, name, f"{name}:2223")
    duty = PeerDuty(actor.master, actor.worker)
    actor.election = Election(actor.process, name, f"{name}:2223", duty)
    return actor.connect()


def submitted(stage: Stage, **fields: object) -> str:
    """The name of a new task."""
    text = json.dumps({"command": "date", **fields})
    return stage.person().create("/tasks/task-", text, s=True).removeprefix("/tasks/")


def creates(path: str) -> Callable[[Request], bool]:
    """Whose reply is to be lost: the transaction that creates a znode with such a path."""

    def does(request: Request) -> bool:
        operation = request.operation
        ops = operation.ops if isinstance(operation, Transaction) else ()
        return any(isinstance(op, Create) and op.path.startswith(path) for op in ops)

    return does


def attempts(*workers: Actor) -> list[str]:
    """Of the runs that began there, one worker after the other."""
    return [run.environment["MWAPP_ATTEMPT"] for worker in workers for run in worker.started]


def when_carried_out(actor: Actor, which: Callable[[Request], bool], call: Callable[[], object]) -> None:
    """Before the answer to the first such request."""

    def meanwhile(request: Request) -> None:
        if which(request):
            actor.meanwhile = None
            call()

    actor.meanwhile = meanwhile


def transactions(actor: Actor, part: type[Create] | type[Delete], prefix: str) -> list[Transaction]:
    """Those with such an operation, in order."""
    found = [operation for operation in actor.sent if isinstance(operation, Transaction)]
    return [
        sent for sent in found if any(isinstance(op, part) and op.path.startswith(prefix) for op in sent.ops)
    ]
