"""What a simulated host runs for its process. Starting and ending a command takes time, and may fail.

It is what mwapp.execution.runner and the kernel are to a real process.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from mwapp.core.messages import Event, Exited, Kill, Run
from mwapp.core.task import Task
from tests.simulation.clock import Clock
from tests.simulation.world import Chance, World

# The longest times, seconds: until a free thread handles a request; to fork; to die of SIGKILL; to report an
# end.
HAND_OVER, FORK, DEATH, NEWS = 0.005, 0.01, 0.005, 0.005
# The share of commands that obey SIGTERM.
OBEDIENT = 0.5
# The share of commands that wait for the disk if it hangs.
STUCK = 0.5

Call = Callable[[], None]


class Machine(Protocol):
    """The host."""

    name: str
    clock: Clock
    life: int

    @property
    def frozen_for(self) -> float:
        """Seconds, 0 if it is not."""

    @property
    def awake_for(self) -> float:
        """Seconds since it last was unable to handle anything."""

    def event(self, event: Event) -> None:
        """Give the process an event."""

    def after(self, delay: float, call: Call) -> None:
        """Let it happen, if this life of the process lasts."""

    def deferred(self, call: Call) -> bool:
        """Whether the process is frozen; if so, this happens when it is thawed."""

    def stands_still(self, call: Call) -> bool:
        """Whether its commands are frozen, too; if so, this happens when they are thawed."""


@dataclass(eq=False, slots=True)
class Execution:
    """A command that was started."""

    host: Machine
    number: int
    session: int  # the process had it when it decided to start this
    task: str
    attempt: int
    epoch: str  # of the assigning master, as the command sees it
    asked: Task
    wanted: float  # when the process decided to start it
    started: float
    life: int  # of its process
    environment: Mapping[str, str]  # as the worker says
    in_time: bool  # nothing froze between the last look at the clock and the start
    over: bool = False
    exited: Exited | None = None  # what the process is told of its end
    heard: float | None = None  # when it is told that
    output: bytes = b"output"
    result: str | None = None  # of one that succeeds, as JSON
    spared: float = 0.0  # how long nothing could end it, seconds
    killed: bool = False  # SIGKILL was sent
    interrupted: bool = False  # SIGKILL was sent at once: the worker does not wait for how it ends
    stuck: bool = False  # it waits for a hanging disk: nothing can end it now
    then: list[Call] = field(default_factory=list)  # what happens when the disk is back


class Runner:
    """The commands of a host. Those of a dead process may be stuck, and live on.

    ``on_run`` and ``on_over`` are called for each; ``punctual``: it respects ``Run.until``.
    """

    def __init__(
        self,
        world: World,
        host: Machine,
        on_run: Callable[[Execution], None],
        on_over: Callable[[Execution, float], None],
        *,
        punctual: bool = True,
    ) -> None:
        self.executions: list[Execution] = []  # those not over
        self.slow = 0.0  # how much longer a start may take, seconds
        self._world, self._host, self._on_run, self._on_over = world, host, on_run, on_over
        self._punctual = punctual
        # By number, with the session, and when that was: not started.
        self._asked: dict[int, tuple[Run, int, float]] = {}
        self._forking: dict[int, list[Kill]] = {}  # and what to do next
        self._started: dict[int, Execution] = {}  # also those that are over
        self._hung_since: float | None = None

    # ------------------------------------------------------------ to start

    def run(self, run: Run, session: int) -> None:
        """Start it, a little later."""
        self._asked[run.run] = run, session, self._world.now
        delay = self._world.between(0.0, HAND_OVER + self.slow)
        self._host.after(delay, lambda: self._begin(run.run))

    def _begin(self, number: int) -> None:
        if number not in self._asked or self._host.deferred(lambda: self._begin(number)):
            return
        run, session, wanted = self._asked.pop(number)
        if self._punctual and self._host.clock.now() >= run.until:
            self._world.note(self._host.name, f"does not begin {run.environment['MWAPP_TASK']}: too late")
            self._tell(Exited(number, None, begun=False))
            return
        self._forking[number] = []
        self._host.after(
            self._world.between(0.0, FORK), lambda: self._start(run, session, wanted, in_time=True)
        )

    def _start(self, run: Run, session: int, wanted: float, *, in_time: bool) -> None:
        if self._host.deferred(lambda: self._start(run, session, wanted, in_time=False)):
            return
        kills = self._forking.pop(run.run)
        task, attempt = run.environment["MWAPP_TASK"], int(run.environment["MWAPP_ATTEMPT"])
        execution = Execution(
            self._host,
            run.run,
            session,
            task,
            attempt,
            run.environment["MWAPP_EPOCH"],
            run.task,
            wanted,
            self._world.now,
            self._host.life,
            run.environment,
            in_time,
        )
        execution.stuck = self._hung_since is not None and self._world.chance(STUCK)
        self.executions.append(execution)
        self._started[run.run] = execution
        self._world.note(self._host.name, f"runs {task}, attempt {attempt}")
        self._on_run(execution)
        for kill in kills:
            self.kill(kill)

    # ------------------------------------------------------------ to end

    def kill(self, kill: Kill) -> None:
        """SIGTERM and SIGKILL, as requested; what has not started never will."""
        if self._asked.pop(kill.run, None) is not None:
            self._tell(Exited(kill.run, -9))
        elif kill.run in self._forking:
            self._forking[kill.run].append(kill)
        if kill.run in self._started and not kill.grace:  # it may be over, and the process not know yet
            self._started[kill.run].interrupted = True
        for execution in [e for e in self.executions if e.number == kill.run]:
            obeys = self._world.chance(OBEDIENT)
            self._kill_after(execution, min(kill.grace, 0.01) if obeys else kill.grace)

    def finish(self, execution: Execution, code: int | None) -> None:
        """It ends by itself."""
        if not execution.over and not self._waits(execution, lambda: self.finish(execution, code)):
            self._end(execution, f"exit status {code}")
            result = execution.result if code == 0 else None
            exited = Exited(execution.number, code, execution.output, seconds=0.1, result=result)
            self._hear(execution, exited)

    def die(self) -> None:
        """The process is gone, and its commands are killed."""
        self._asked.clear()
        self._forking.clear()
        self._started.clear()
        for execution in list(self.executions):
            execution.killed = True
            execution.then.clear()
            if not self._waits(execution, partial(self._end, execution)):
                self._end(execution)

    def _kill_after(self, execution: Execution, grace: float) -> None:
        if grace:
            self._host.after(grace, lambda: self._kill_after(execution, 0.0))
        elif not execution.over and not self._host.deferred(lambda: self._kill_after(execution, 0.0)):
            execution.killed = True
            self._host.after(self._world.between(0.0, DEATH), lambda: self._die_of_it(execution))

    def _die_of_it(self, execution: Execution) -> None:
        def again() -> None:
            self._die_of_it(execution)

        if execution.over or self._host.stands_still(again) or self._waits(execution, again):
            return
        self._end(execution)
        exited = Exited(execution.number, -9)
        self._host.after(self._world.between(0.0, NEWS), lambda: self._hear(execution, exited))

    def _end(self, execution: Execution, how: str = "killed") -> None:
        execution.over = True
        execution.spared += self._host.frozen_for
        self.executions.remove(execution)
        how = "killed" if execution.killed else how
        self._world.note(self._host.name, f"{execution.task}, attempt {execution.attempt}, is over: {how}")
        self._on_over(execution, self._world.now)

    def _hear(self, execution: Execution, exited: Exited) -> None:
        if not self._host.deferred(lambda: self._hear(execution, exited)):
            execution.exited, execution.heard = exited, self._world.now
            self._host.event(exited)

    def _tell(self, exited: Exited) -> None:
        self._host.after(self._world.between(0.0, NEWS), lambda: self._host.event(exited))

    # ------------------------------------------------------------ the disk

    def hang(self, draw: Chance) -> None:
        """The disk hangs. Commands that wait for it cannot end."""
        self._hung_since = self._world.now
        for execution in self.executions:
            execution.stuck = draw.chance(STUCK)

    def mend(self) -> None:
        """The disk is back."""
        since, self._hung_since = self._hung_since, None
        for execution in [execution for execution in self.executions if execution.stuck]:
            execution.stuck = False
            execution.spared += self._world.now - max(since or 0.0, execution.started)
            then, execution.then = execution.then, []
            for call in then:
                call()

    @property
    def hangs(self) -> bool:
        """Whether the disk hangs."""
        return self._hung_since is not None

    def _waits(self, execution: Execution, call: Call) -> bool:
        if execution.stuck:
            execution.then.append(call)
        return execution.stuck
