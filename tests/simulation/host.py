"""A simulated host with one process of ours: its commands, its timers, its crashes and freezes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mwapp.core.election import Election
from mwapp.core.messages import Abandon, Close, Command, Event, Exited, Kill, Request, Run, Stop, Tick
from mwapp.core.session import Process
from mwapp.core.task import Task
from tests.simulation.edge import Edge
from tests.simulation.service import Service
from tests.simulation.world import World

# A slow host notices a timer late by up to so much, seconds.
TIMER_SLACK = 0.02


@dataclass(eq=False, slots=True)
class Execution:
    """A command that was started."""

    host: "Host"
    number: int
    session: int
    task: str
    attempt: int
    epoch: str  # of who assigned it, as the command is told
    asked: Task
    started: float
    over: bool = False
    code: int | None = None  # of one that was not killed
    stood_still: float = 0.0  # with its host, seconds


Build = Callable[["Host", Process], None]


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
        chroot: str = "",
        process: Callable[[], Process] = Process,
        on_run: Callable[[Execution], None] = lambda _: None,
        on_over: Callable[[Execution, float], None] = lambda *_: None,
        on_write: "Callable[[Host], None]" = lambda _: None,
    ) -> None:
        self.name = name
        self.timeout = timeout
        self.chroot = chroot
        self.process: Process | None = None
        self.frozen = False
        self.retired = False  # it has done what it was there for
        self.executions: list[Execution] = []  # of this life, those not over
        self._world, self._service, self._build = world, service, build
        self._new_process, self._on_run, self._on_over, self._on_write = process, on_run, on_over, on_write
        self.election: Election | None = None  # if it is a candidate
        self._frozen_at = 0.0
        self._inbox: list[Callable[[], None]] = []  # what is to happen after a freeze
        self._life = 0
        self._tick_at = float("inf")
        self.edge = Edge(world, service, self)

    # ------------------------------------------------------------ life

    def start(self) -> None:
        """Start the process, unless it runs."""
        if self.process is not None or self.retired:
            return
        self._world.note(self.name, "starts")
        self._life += 1
        self._tick_at = float("inf")
        self.process = self._new_process()
        self.edge = Edge(self._world, self._service, self)
        self._build(self, self.process)
        self.edge.dial()

    def crash(self) -> int | None:
        """The process dies and its commands with it (as its unit sees to). Returns its session."""
        self._world.note(self.name, "dies")
        session = self.edge.session
        self._die()
        return session

    def freeze(self) -> None:
        """Nothing happens on the host, to the process or its commands, until it is thawed."""
        self._world.note(self.name, "freezes")
        self.frozen, self._frozen_at = True, self._world.now

    def thaw(self) -> None:
        """Everything goes on, and what came meanwhile comes at once, in its order."""
        self._world.note(self.name, "thaws")
        self.frozen = False
        for execution in self.executions:
            execution.stood_still += self._world.now - self._frozen_at
        inbox, self._inbox = self._inbox, []
        for call in inbox:
            call()
        self.event(Tick())

    def stop(self) -> None:
        """SIGTERM."""
        self.event(Stop())

    def retire(self) -> None:
        """The process is to end (between two events), and is not started again."""
        self.retired = True
        self.after(0.0, self.stop)

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

    def deferred(self, call: Callable[[], None]) -> bool:
        """Whether the host is frozen; then this happens when it is thawed."""
        if self.frozen:
            self._inbox.append(call)
        return self.frozen

    def after(self, delay: float, call: Callable[[], None]) -> None:
        """Let it happen in this life of the process."""
        life = self._life
        self._world.after(delay, lambda: call() if life == self._life else None)

    def writes(self) -> None:
        """The process is about to send a transaction."""
        self._on_write(self)

    # ------------------------------------------------------------ commands

    def _carry_out(self, command: Command) -> None:
        self._world.note(self.name, command)
        match command:
            case Request():  # the most frequent first
                self.edge.request(command.number, command.operation)
            case Run(number, task, environment):
                self._run(number, task, environment)
            case Kill(number, grace):
                for execution in [e for e in self.executions if e.number == number]:
                    obeys = self._world.chance(0.5)
                    self._kill(execution, min(grace, 0.01) if obeys else grace)
            case Abandon():
                self.edge.abandon()
            case Close():
                self.edge.close()
                self._world.note(self.name, "ends")
                self._die()

    def _run(self, number: int, asked: Task, environment: Mapping[str, str]) -> None:
        task, attempt = environment["MWAPP_TASK"], int(environment["MWAPP_ATTEMPT"])
        session, epoch = self.edge.session or 0, environment["MWAPP_EPOCH"]
        execution = Execution(self, number, session, task, attempt, epoch, asked, started=self._world.now)
        self.executions.append(execution)
        self._world.note(self.name, f"runs {task}, attempt {attempt}")
        self._on_run(execution)

    def _kill(self, execution: Execution, grace: float) -> None:
        """It is over after so many seconds, unless the host stands still."""
        if grace:
            self.after(grace, lambda: self._kill(execution, 0.0))
        elif not execution.over and not self.deferred(lambda: self._kill(execution, 0.0)):
            self._over(execution, None)
            self.after(0.005, lambda: self.event(Exited(execution.number, -9)))

    def finish(self, execution: Execution, code: int | None) -> None:
        """The command ends by itself."""
        # In a freeze the command stands still as well.
        left = self._world.now - self._frozen_at
        if self.deferred(lambda: self.after(left, lambda: self.finish(execution, code))):
            return
        if not execution.over:
            self._over(execution, code)
            self.event(Exited(execution.number, code, b"output", seconds=0.1))

    def _over(self, execution: Execution, code: int | None) -> None:
        execution.over, execution.code = True, code
        self.executions.remove(execution)
        self._world.note(self.name, f"{execution.task} is over: {'killed' if code is None else code}")
        self._on_over(execution, self._world.now)

    # ------------------------------------------------------------ inside

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

    def _die(self) -> None:
        self.edge.die()
        self.process, self.frozen = None, False
        self._life += 1
        self._inbox.clear()
        for execution in list(self.executions):
            self._over(execution, None)
