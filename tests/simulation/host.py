"""A simulated host with one process of ours: its edge, its commands, its crashes and freezes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mwapp.core.messages import (
    Abandon,
    Check,
    Close,
    Command,
    Connected,
    Error,
    Event,
    Exited,
    Expired,
    Failed,
    Kill,
    Operation,
    Reply,
    Request,
    Resumed,
    Run,
    Stop,
    Suspended,
    Tick,
    Transaction,
)
from mwapp.core.session import Process
from tests.simulation.service import Connection, Service
from tests.simulation.world import World

# A slow host notices a timer late by up to so much, seconds.
TIMER_SLACK = 0.02
HEARTBEAT = (Check("/"),)
REDIAL = 0.3
# A server that leaves a request unanswered for so much of the session time-out is given up.
SILENCE = 1 / 3


@dataclass(eq=False, slots=True)
class Execution:
    """A command that was started."""

    host: "Host"
    number: int
    session: int
    task: str
    attempt: int
    command: str
    over: bool = False
    code: int | None = None  # of one that was not killed


Build = Callable[["Host", Process], None]
OnRun = Callable[[Execution], None]


class Host:
    """Runs what ``build`` puts into a process, again after every crash, under the same name."""

    def __init__(
        self,
        world: World,
        service: Service,
        name: str,
        build: Build,
        *,
        timeout: float,
        process: Callable[[], Process] = Process,
        on_run: OnRun = lambda _: None,
        on_write: "Callable[[Host], None]" = lambda _: None,
    ) -> None:
        self.name = name
        self.timeout = timeout
        self.process: Process | None = None
        self.session: int | None = None  # as the edge knows it
        self.frozen = False
        self.executions: list[Execution] = []  # of this life, those not over
        self._world, self._service, self._build = world, service, build
        self._new_process, self._on_run, self._on_write = process, on_run, on_write
        self._frozen_at = 0.0
        self._life = 0
        self._seen = 0  # how much of the log the process has seen: no server may show it less
        self._connection: Connection | None = None
        self._outstanding: dict[int, tuple[Operation, float]] = {}
        self._watched = False  # whether silence is being watched for
        self._inbox: list[Callable[[], None]] = []
        self._tick_at = float("inf")

    # ------------------------------------------------------------ life

    def start(self) -> None:
        """Start the process, unless it runs."""
        if self.process is not None:
            return
        self._world.note(self.name, "starts")
        self._life += 1
        self._seen = 0
        self.process = self._new_process()
        self._tick_at = float("inf")
        self._build(self, self.process)
        self._dial()

    def crash(self) -> int | None:
        """The process dies and its commands with it (as its unit sees to). Returns its session."""
        self._world.note(self.name, "dies")
        return self._die()

    def freeze(self) -> None:
        """Nothing happens on the host, to the process or its commands, until it is thawed."""
        self._world.note(self.name, "freezes")
        self.frozen, self._frozen_at = True, self._world.now

    def thaw(self) -> None:
        """Everything goes on, and what came meanwhile comes at once, in its order."""
        self._world.note(self.name, "thaws")
        self.frozen = False
        inbox, self._inbox = self._inbox, []
        for call in inbox:
            call()
        self.event(Tick())

    def stop(self) -> None:
        """SIGTERM."""
        self.event(Stop())

    def event(self, event: Event) -> None:
        """Give the process an event and carry out what it says."""
        if self.process is None:
            return
        if self.frozen:
            life = self._life
            self._inbox.append(lambda: self.event(event) if life == self._life else None)
            return
        self._world.note(self.name, event)
        for command in self.process.handle(self._world.now, event):
            self._carry_out(command)
        self._set_tick()

    def cut(self, *, deaf: bool, mute: bool, notice: float) -> None:
        """Break the connection: what is lost from now on, and when the process notices, seconds."""
        connection = self._connection
        if connection is None:
            return
        self._world.note(self.name, f"cut, {deaf=}, {mute=}, noticed in {notice:.3f} s")
        connection.deaf |= deaf
        connection.mute |= mute
        self._world.after(notice, lambda: self.lost(connection))

    def stall(self, seconds: float, *, up: bool) -> None:
        """Let what is sent (up) or received from now on be late; nothing is lost."""
        if self._connection is not None:
            self._world.note(self.name, f"stalls {seconds:.3f} s, {up=}")
            self._connection.stall(self._world.now + seconds, up=up)

    # ------------------------------------------------------------ the connection

    def received(self, connection: Connection, event: Event, seen: int) -> None:
        """Something came over a connection; what comes over an old one is not heard."""
        if self.frozen:
            self._inbox.append(lambda: self.received(connection, event, seen))
        elif connection is self._connection:
            self._seen = max(self._seen, seen)
            if isinstance(event, Reply):
                self._outstanding.pop(event.request, None)
            self.event(event)

    def lost(self, connection: Connection) -> None:
        """The connection is gone: say so, and look for a server to go on with."""
        if self.frozen:
            self._inbox.append(lambda: self.lost(connection))
        elif connection is self._connection:
            self._connection = None
            self._cut_off(Suspended())
            self._redial(self._world.between(0.001, REDIAL))

    def _cut_off(self, why: Event) -> None:
        cut, self._outstanding = self._outstanding, {}
        for number in cut:
            self.event(Reply(number, Failed(Error.CONNECTION_LOSS)))
        self.event(why)

    def _dial(self) -> None:
        life, session = self._life, self.session

        def told(connection: Connection | None, over: bool) -> None:
            if self.frozen:
                self._inbox.append(lambda: told(connection, over))
            elif (life, session) != (self._life, self.session) or self.process is None:
                pass  # the process is another by now, or gave that session up
            elif over:
                self.session = None
                self._cut_off(Expired())
                self._redial(self._world.between(0.001, REDIAL))
            elif connection is None:
                self._redial(self._world.between(0.01, REDIAL))
            else:
                self._connection = connection
                resumed, self.session = self.session is not None, connection.session
                self.event(Resumed() if resumed else Connected(connection.session, self.timeout))

        self._service.dial(self, session, self.timeout, self._seen, told)

    def _redial(self, delay: float) -> None:
        life, session = self._life, self.session

        def again() -> None:
            if self.frozen:
                self._inbox.append(again)
            elif (life, session) == (self._life, self.session) and self.process is not None:
                self._dial()

        self._world.after(delay, again)

    def _watch_silence(self) -> None:
        if self._watched:
            return
        self._watched = True

        def look() -> None:
            self._watched = False
            if self.frozen or not self._outstanding or self._connection is None:
                return
            _, asked = next(iter(self._outstanding.values()))
            if self._world.now - asked >= self.timeout * SILENCE:
                self._world.note(self.name, "finds its server silent")
                self.lost(self._connection)
            else:
                self._watch_silence()

        self._world.after(self.timeout * SILENCE, look)

    # ------------------------------------------------------------ commands

    def _carry_out(self, command: Command) -> None:
        self._world.note(self.name, command)
        match command:
            case Request(number, operation):
                self._send(number, operation)
            case Run(number, line, environment):
                self._run(number, line, environment)
            case Kill(number):
                for execution in [e for e in self.executions if e.number == number]:
                    self._finish(execution, None)
                    self.after(0.005, lambda: self.event(Exited(number, -9)))
            case Abandon():
                connection, self._connection, self.session = self._connection, None, None
                self._outstanding.clear()
                if connection is not None:
                    self._service.hang_up(connection)
                self._redial(self._world.between(0.01, REDIAL))
            case Close():
                if self._connection is not None:
                    self._service.hang_up(self._connection)
                self._world.note(self.name, "ends")
                self._die()

    def _send(self, number: int, operation: Operation) -> None:
        if self._connection is None:
            self._world.after(
                0.0, lambda: self.event(Reply(number, Failed(Error.CONNECTION_LOSS)))
            )  # the cut crossed it on the way
            return
        if isinstance(operation, Transaction) and operation.ops != HEARTBEAT:
            self._on_write(self)
        self._outstanding[number] = operation, self._world.now
        self._service.send(self._connection, number, operation)
        self._watch_silence()

    def _run(self, number: int, line: str, environment: Mapping[str, str]) -> None:
        execution = Execution(
            self,
            number,
            self.session or 0,
            environment["MWAPP_TASK"],
            int(environment["MWAPP_ATTEMPT"]),
            line,
        )
        self.executions.append(execution)
        self._on_run(execution)

    def finish(self, execution: Execution, code: int | None) -> None:
        """The command ends by itself."""
        if self.frozen:  # the command stood still as well
            left = self._world.now - self._frozen_at
            self._inbox.append(lambda: self.after(left, lambda: self.finish(execution, code)))
        elif not execution.over:
            self._finish(execution, code)
            self.event(Exited(execution.number, code, b"output", seconds=0.1))

    def _finish(self, execution: Execution, code: int | None) -> None:
        execution.over, execution.code = True, code
        self.executions.remove(execution)

    # ------------------------------------------------------------ inside

    def after(self, delay: float, call: Callable[[], None]) -> None:
        """Let it happen in this life of the process."""
        life = self._life
        self._world.after(delay, lambda: call() if life == self._life else None)

    def _set_tick(self) -> None:
        due = self.process.deadline if self.process is not None else None
        if due is None or due >= self._tick_at - TIMER_SLACK:
            return
        at = self._tick_at = max(self._world.now, due) + self._world.random.random() * TIMER_SLACK
        self.after(at - self._world.now, lambda: self._tick(at))

    def _tick(self, at: float) -> None:
        if at != self._tick_at:
            return  # an earlier one took its place
        self._tick_at = float("inf")
        due = self.process.deadline if self.process is not None else None
        if due is not None and due <= self._world.now:
            self.event(Tick())
        else:
            self._set_tick()

    def _die(self) -> int | None:
        session, self.session = self.session, None
        if self._connection is not None:
            self._connection.deaf = True  # what it had sent may still arrive
        self.process, self._connection, self.frozen = None, None, False
        self._life += 1
        self._outstanding.clear()
        self._inbox.clear()
        for execution in list(self.executions):
            self._finish(execution, None)
        return session
