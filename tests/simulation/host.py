"""A simulated host with one process of ours: its clock, its timers, its crashes, freezes and suspends."""

from collections.abc import Callable
from functools import partial

from mwapp.core.election import Election
from mwapp.core.messages import Abandon, Close, Command, Connected, Event, Kill, Request, Run, Stop, Tick
from mwapp.core.session import Process
from tests.simulation.clock import Clock
from tests.simulation.edge import Edge
from tests.simulation.runner import Call, Execution, Runner
from tests.simulation.service import Service
from tests.simulation.world import World

# A slow host notices a timer late by up to this much, seconds.
TIMER_SLACK = 0.02
# A wait that is interrupted by a suspend continues after it, but in the main loop never longer than this,
# seconds.
LONGEST_TURN = 1.0

Build = Callable[["Host", Process], None]


class Host:
    """Runs what ``build`` puts into a process, and again after every crash, under the same name.

    ``on_run`` and ``on_over`` are called for commands, ``on_write`` before a transaction is sent,
    ``on_connected`` for a connection, and ``on_awake`` when the process has handled its first event after a
    pause. ``edge`` makes the edge between a process and the ensemble.
    """

    def __init__(
        self,
        world: World,
        service: Service,
        name: str,
        build: Build,
        *,
        timeout: float,
        clock: Clock,
        chroot: str = "",
        punctual: bool = True,
        process: Callable[[], Process] = Process,
        on_run: "Callable[[Host, Execution], None]" = lambda *_: None,
        on_over: Callable[[Execution, float], None] = lambda *_: None,
        on_write: "Callable[[Host], None]" = lambda _: None,
        on_connected: "Callable[[Host], None]" = lambda _: None,
        on_awake: "Callable[[Host], None]" = lambda _: None,
        edge: "Callable[[Host], Edge] | None" = None,
    ) -> None:
        self.name = name
        self.timeout = timeout
        self.clock = clock
        self.chroot = chroot
        self.process: Process | None = None
        self.frozen = False  # the process gets no events
        self.awake = True  # it has handled something since
        self.retired = False  # it has done its work
        self.election: Election | None = None  # if it is a candidate
        self.life = 0
        self.lives: dict[int, int] = {}  # which of them had each session
        self._world, self._service, self._build = world, service, build
        self._new_process, self._on_write = process, on_write
        self._on_connected, self._on_awake = on_connected, on_awake
        self.runner = Runner(world, self, partial(on_run, self), on_over, punctual=punctual)
        self._woke_at = float("-inf")
        self._frozen_at = 0.0
        self._alone = False  # the process is frozen, but not its commands
        self._suspended = False
        self._inbox: list[Call] = []  # what happens after a freeze
        self._tick_at = self._waits_for = float("inf")
        self._new_edge = edge or partial(Edge, world, service)
        self.edge = Edge(world, service, self)

    @property
    def now(self) -> float:
        """The world's time, seconds."""
        return self._world.now

    @property
    def executions(self) -> list[Execution]:
        """The commands that run."""
        return self.runner.executions

    @property
    def frozen_for(self) -> float:
        """Seconds, 0 if it is not."""
        return self._world.now - self._frozen_at if self.frozen else 0.0

    @property
    def awake_for(self) -> float:
        """Seconds since it last was unable to handle anything."""
        return self._world.now - self._woke_at

    # ------------------------------------------------------------ life

    def start(self) -> None:
        """Start the process, unless it runs."""
        if self.process is not None or self.retired:
            return
        self._world.note(self.name, "starts")
        self.life += 1
        self._tick_at = float("inf")
        self.process = self._new_process()
        self.edge = self._new_edge(self)
        self._build(self, self.process)
        self.edge.dial()

    def crash(self) -> int | None:
        """The process dies, and its unit kills its commands. Returns its session."""
        self._world.note(self.name, "dies")
        session = self.edge.session
        self._die()
        return session

    def freeze(self, *, alone: bool = False) -> None:
        """The process stands still until it is thawed; so do its commands, unless it is ``alone``."""
        self._world.note(self.name, "freezes" + (", but not its commands" if alone else ""))
        self._stand_still(alone=alone)

    def suspend(self) -> None:
        """The host stands still until it is thawed, and so does its monotonic clock."""
        self._world.note(self.name, "is suspended")
        self._stand_still(alone=False)
        self._suspended = True
        self._waits_for, self._tick_at = self._tick_at, float("inf")
        self.clock.sleep()

    def _stand_still(self, *, alone: bool) -> None:
        self.frozen, self._frozen_at, self._alone = True, self._world.now, alone

    def thaw(self) -> None:
        """Everything continues, and what came meanwhile arrives at once, in order."""
        self._world.note(self.name, "goes on")
        for execution in self.executions:
            execution.spared += self.frozen_for
        self.frozen = self.awake = False
        suspended = self._end_suspend()
        if suspended:
            self._oversleep()
        inbox, self._inbox = self._inbox, []
        for call in inbox:
            call()
        if not suspended:
            self.event(Tick())

    def _end_suspend(self) -> bool:
        suspended, self._suspended = self._suspended, False
        if suspended:
            self.clock.wake()
        return suspended

    def _oversleep(self) -> None:
        """It continues the wait in which it was suspended."""
        left = min(max(0.0, self._waits_for - self._frozen_at), LONGEST_TURN)
        self.after(left, lambda: None if self.awake else self.event(Tick()))

    def stop(self) -> None:
        """SIGTERM."""
        self.event(Stop())

    def retire(self) -> None:
        """End the process (between two events), and do not start it again."""
        self.retired = True
        self.after(0.0, self.stop)

    def event(self, event: Event) -> None:
        """Give the process an event, and carry out its commands."""
        if self.process is None:
            return
        if self.frozen:
            life = self.life
            self._inbox.append(lambda: self.event(event) if life == self.life else None)
            return
        self._world.note(self.name, event)
        if isinstance(event, Connected):
            self.lives[event.session] = self.life
        for command in self.process.handle(self.clock.now(), event):
            self._carry_out(command)
        if not self.awake:
            self.awake, self._woke_at = True, self._world.now
            self._on_awake(self)
        self._set_tick()

    def deferred(self, call: Call) -> bool:
        """Whether the process is frozen; if so, this happens when it is thawed."""
        if self.frozen:
            self._inbox.append(call)
        return self.frozen

    def stands_still(self, call: Call) -> bool:
        """Whether its commands are frozen, too; if so, this happens when they are thawed."""
        return not self._alone and self.deferred(call)

    def after(self, delay: float, call: Call) -> None:
        """Let it happen, if this life of the process lasts."""
        life = self.life
        self._world.after(delay, lambda: call() if life == self.life else None)

    def connected(self) -> None:
        """The process has a connection."""
        self._on_connected(self)

    def writes(self) -> None:
        """The process is about to send a transaction."""
        self._on_write(self)

    # ------------------------------------------------------------ commands

    def _carry_out(self, command: Command) -> None:
        self._world.note(self.name, command)
        match command:
            case Request():  # the most frequent first
                self.edge.request(command.number, command.operation)
            case Run():
                self.runner.run(command, self.edge.session or 0)
            case Kill():
                self.runner.kill(command)
            case Abandon():
                self.edge.abandon()
            case Close():
                self.edge.close()
                self._world.note(self.name, "ends")
                self._die()

    def finish(self, execution: Execution, code: int | None) -> None:
        """The command ends by itself."""
        left = self.frozen_for
        if not self.stands_still(lambda: self.after(left, lambda: self.finish(execution, code))):
            self.runner.finish(execution, code)

    # ------------------------------------------------------------ inside

    def _set_tick(self) -> None:
        due = self.process.deadline if self.process is not None else None
        if due is None:
            return
        at = self._world.now + self.clock.left(due)
        if at >= self._tick_at - TIMER_SLACK:
            return
        at = self._tick_at = at + self._world.random.random() * TIMER_SLACK
        self._world.after(at - self._world.now, partial(self._tick, self.life, at))

    def _tick(self, life: int, at: float) -> None:
        if at != self._tick_at or life != self.life:
            return  # an earlier one took its place
        self._tick_at = float("inf")
        due = self.process.deadline if self.process is not None else None
        if due is not None and due <= self.clock.now():
            self.event(Tick())
        else:
            self._set_tick()

    def _die(self) -> None:
        self.edge.die()
        self.process, self.frozen = None, False
        self.life += 1
        self.awake = True
        self._end_suspend()
        self._inbox.clear()
        self.runner.die()
