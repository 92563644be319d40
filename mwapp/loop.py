"""The main loop: carries events to the core and carries out its commands. Used by daemons and commands."""

import queue
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from mwapp import clock
from mwapp.core.messages import (
    Abandon,
    Close,
    CloseShard,
    Command,
    Connected,
    DemoteShard,
    Event,
    Exited,
    Kill,
    OpenShard,
    PromoteShard,
    Request,
    Resumed,
    Run,
    ShardSays,
    Stop,
    Tick,
)
from mwapp.core.session import Process
from mwapp.errors import TimedOutError, UnreachableError
from mwapp.zookeeper.client import Up
from mwapp.zookeeper.connect_string import Servers
from mwapp.zookeeper.resolve import nobody_there, unresolved
from mwapp.zookeeper.sessions import Note, Sessions

if TYPE_CHECKING:
    from mwapp.execution.remote import RemoteRunner
    from mwapp.execution.runner import Runner

# The loop turns at least this often, seconds, so that an observer can tell that it is alive.
LONGEST_TURN = 1.0
# The most items it takes from its queue in one turn, so that under load many share the cost of a turn.
MOST_ITEMS = 500
# If its time is limited, it looks at the clock this often, seconds.
BOUNDED_TURN = 0.1
# How long to try to close the session, seconds; after that it is left to time out, or to `mwapp release`.
CLOSE_SECONDS = 2.0

# It is given what every run's Exited goes to, and what shards say.
MakeRunner = Callable[[Callable[[Exited | ShardSays], None]], "Runner | RemoteRunner"]
Item = Note | Event | Callable[[], None]


class Loop:
    """Runs one core process on the ensemble until it closes.

    ``on_session`` is called for every session, and every change of its server, before its first use;
    ``on_turn`` at every turn. ``make_runner``: makes what runs its tasks, if not a plain Runner.
    """

    def __init__(
        self,
        process: Process,
        servers: Servers,
        session_timeout: float,
        *,
        on_session: Callable[[Up], None] = lambda _: None,
        on_turn: Callable[[], None] = lambda: None,
        make_runner: MakeRunner | None = None,
    ) -> None:
        self.process = process
        self.longest_turn = LONGEST_TURN
        self.closed_cleanly = False  # after run(): nothing is left of the session
        self._queue: queue.SimpleQueue[Item] = queue.SimpleQueue()
        self._servers = servers
        self._sessions = Sessions(servers, session_timeout, self._queue.put)
        self._on_session = on_session
        self._on_turn = on_turn
        self._make_runner = make_runner
        self._open = True

    @cached_property
    def _runner(self) -> "Runner | RemoteRunner":
        if self._make_runner is not None:
            return self._make_runner(self._queue.put)
        from mwapp.execution.runner import Runner  # here, because commands and clients run nothing

        return Runner(self._queue.put)

    @property
    def refused(self) -> str | None:
        """Why no server of the ensemble will do, as TLS is refused with all of them."""
        return self._sessions.refused

    def stop(self) -> None:
        """Ask for a graceful end. Signal handlers may call it."""
        self._queue.put(Stop())

    def abort(self) -> None:
        """End now: kill what runs, and close the session. Signal handlers may call it."""
        self._open = False
        self._queue.put(Tick())

    def call(self, function: Callable[[], None]) -> None:
        """Call it in the loop's thread, between two events. Any thread may ask for it."""
        self._queue.put(function)

    def run(self, *, connect_timeout: float | None = None, timeout: float | None = None) -> None:
        """Turn until the core closes.

        Raises:
            UnreachableError: no connection for ``connect_timeout`` seconds.
            TimedOutError: not done after ``timeout`` seconds.
        """
        if connect_timeout is not None or timeout is not None:
            self.longest_turn = BOUNDED_TURN
        started = heard = time.monotonic()
        if self._make_runner is not None:
            _ = self._runner  # before there is a task: it says so if it cannot run any
        try:
            while self._open:
                self._turn()
                now = time.monotonic()
                if self.process.usable or not self._open:
                    heard = now
                if connect_timeout is not None and self.refused and not self.process.usable:
                    raise UnreachableError(f"--connect {self.refused}")
                if connect_timeout is not None and now - heard >= connect_timeout:
                    raise UnreachableError(silent("--connect", self._servers, connect_timeout))
                if timeout is not None and self._open and now - started >= timeout:
                    raise TimedOutError
        finally:
            if "_runner" in vars(self):
                self._runner.kill_all()
            self.closed_cleanly = self._sessions.close(CLOSE_SECONDS)

    def _turn(self) -> None:
        now = clock.now()
        due = [at for at in (self.process.deadline, self._sessions.deadline) if at is not None]
        wait = min([self.longest_turn, *(at - now for at in due)])
        items = self._next(max(0.0, wait))
        for item in items or [Tick()]:
            now = clock.now()
            for event in self._events(item, now):
                if isinstance(event, Connected | Resumed) and self._sessions.session is not None:
                    self._on_session(self._sessions.session)
                for command in self.process.handle(now, event):
                    self._carry_out(command, now)
            if not self._open:
                return
        self._sessions.flush()
        if not items:
            self._sessions.look_after(now)
        if "_runner" in vars(self):
            self._runner.keep(self.process.lease)
        self._on_turn()

    def _events(self, item: Item, now: float) -> list[Event]:
        if isinstance(item, Note):
            return self._sessions.accept(item, now)
        if callable(item):
            self.process.now = now
            item()
            return [Tick()]  # takes along what the call wants done
        return [item]

    def _next(self, wait: float) -> list[Item]:
        """What is in the queue, after at most this many seconds."""
        items: list[Item] = []
        with suppress(queue.Empty):
            items.append(self._queue.get(timeout=wait))
            while len(items) < MOST_ITEMS:
                items.append(self._queue.get_nowait())
        return items

    def _carry_out(self, command: Command, now: float) -> None:
        match command:
            case Request(number, operation):
                self._sessions.request(now, number, operation)
            case Run():
                self._runner.start(command)
            case Kill(run, grace):
                self._runner.kill(run, grace)
            case OpenShard() | PromoteShard() | DemoteShard() | CloseShard():
                self._runner.tell_shard(command)
            case Abandon():
                self._sessions.abandon(now)
            case Close():
                self._open = False


def silent(setting: str, servers: Servers, seconds: float) -> str:
    """The message about an ensemble that has not answered for so long; ``setting`` says where it is. It looks
    up the servers' names, which may take some seconds."""
    from mwapp.zookeeper.tls import wanted  # seldom needed

    names = unresolved(servers)
    if problem := nobody_there(setting, servers):
        return problem
    if servers.tls is None and any(
        wanted(address) for address in servers.addresses if address[0] not in names
    ):
        return (
            f"{setting} {servers}: the servers want TLS: give the CA (--tls-ca, MWAPP_TLS_CA) and a "
            "certificate of it (--tls-cert, MWAPP_TLS_CERT)"
        )
    return (
        f"{setting} {servers}: the ensemble has not answered for {seconds:g} s; "
        "check that a majority of its servers runs (mwapp status)"
        + "".join(f"; there is no address for {name}: {reason}" for name, reason in names.items())
    )
