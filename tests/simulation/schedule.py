"""One schedule: a world drawn from a seed, a time of faults, then peace in which everything must end well."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from mwapp.core.client import Refusal, Submit, Wait
from mwapp.core.election import Election
from mwapp.core.master import Master
from mwapp.core.messages import Create, Tick
from mwapp.core.protocol import TASK_PREFIX, Outcome
from mwapp.core.session import Process
from mwapp.core.task import Task
from mwapp.core.worker import Worker
from tests.simulation.faults import Faults
from tests.simulation.host import Build, Execution, Host
from tests.simulation.judge import Judge
from tests.simulation.people import Person
from tests.simulation.service import Service
from tests.simulation.world import Violation, World

MAX_ATTEMPTS = 4
# How long peace may last, seconds: sessions expire, attempts are repeated, restarts are waited for.
PEACE = 60.0
DRAIN = 3.0
POISON = "poison"  # a command that takes down every host it runs on
ODD_TASKS = [b"date", b"", b'{"oops', b'{"command": 1}', b"\xff", b"{ date; }"]  # as a person writes them


@dataclass(frozen=True)
class Bug:
    """What a planted bug replaces; the default is none.

    ``faults`` names the only kinds of fault there are, for a bug that few combinations bring to light.
    """

    process: Callable[[], Process] = Process
    max_attempts: int = MAX_ATTEMPTS
    faults: tuple[str, ...] = ()


@dataclass
class Figures:
    """What a schedule met, to see that the simulation is worth its time."""

    seconds: float = 0.0  # simulated
    steps: int = 0
    zxids: int = 0
    tasks: int = 0
    epochs: int = 0
    executions: int = 0
    faults: dict[str, int] = field(default_factory=dict)


class Schedule:
    """Build with a seed, then :meth:`run`."""

    def __init__(self, seed: int, bug: Bug = Bug()) -> None:
        self.bug = bug
        self.world = world = World(seed)
        draw = world.random
        self.timeout = draw.choice([1.0, 2.0, 4.0])
        self.judge = Judge(max_attempts=MAX_ATTEMPTS)
        slow = draw.choice([0.0, 0.0, 0.02, 0.1])
        tick = self.timeout / draw.choice([2, 3, 6])
        self.service = Service(world, self.judge.committed, slow=slow, tick=tick)
        self.judge.ensemble = self.service.ensemble
        self.person = Person(world, self.service)
        self.judge.persons.add(self.person.session)

        self.masters = [self._host(f"m{i + 1}", self._master) for i in range(draw.choice([1, 2, 2, 3]))]
        names = [f"w{i + 1}" for i in range(draw.choice([1, 2, 2, 3]))]
        if world.chance(0.35):
            names.append("w1'")  # another host bears the name of w1, by mistake
        self.workers = [self._host(name, partial(self._worker, draw.choice([1, 1, 2]))) for name in names]
        self.client = self._host("client", self._submitter)
        self.hosts = self.judge.hosts = [*self.masters, *self.workers, self.client]
        self.faults = Faults(self)
        self._submit: Submit | None = None
        self._keys: list[str] = []  # of the client's present life, by index
        self._count = 0

    # ------------------------------------------------------------ running

    def run(self) -> Figures:
        """Carry it out. Raises Violation."""
        world = self.world
        war = world.random.choice([2.0, 4.0, 8.0])
        for host in self.hosts:
            world.after(world.between(0.0, 1.0), host.start)
        for _ in range(world.random.randint(3, 25)):
            world.after(world.random.random() * war, lambda: self.submit(f"echo {world.random.random()}"))
        for _ in range(world.random.choice([0, 0, 0, 1, 2])):
            world.after(world.random.random() * war, lambda: self.submit(POISON))
        for data in world.random.sample(ODD_TASKS, world.random.choice([0, 0, 1, 2])):
            create = Create(TASK_PREFIX, data, sequential=True)
            world.after(world.random.random() * war, partial(self.person.do, create))
        if world.chance(0.2):
            world.after(world.random.random() * war, self.person.play_worker)
        self.faults.begin(war)
        try:
            world.run(war)
            self.faults.end()
            self.person.leave()
            world.run(war + PEACE, self._all_ended)
            self._check_liveness()
            self._check_wait()
            self._check_stop()
        except Violation:
            raise
        except Exception as error:
            raise Violation("no-crash", f"{type(error).__name__}: {error}") from error
        return Figures(
            world.now,
            world.steps,
            len(self.service.ensemble.log),
            len(self.judge.tasks),
            len(self.judge.winners),
            len(self.judge.executions),
            dict(self.faults.met),
        )

    def submit(self, command: str) -> None:
        """A client submits a task."""
        if self._submit is None or self.client.process is None or self.client.frozen:
            return
        self._count += 1
        self._keys.append(f"key-{self._count}")
        self._submit.add(Task(command, self._keys[-1]))
        self.client.event(Tick())

    # ------------------------------------------------------------ the actors

    def _host(self, name: str, build: Build) -> Host:
        return Host(
            self.world,
            self.service,
            name,
            build,
            timeout=self.timeout,
            process=self.bug.process,
            on_run=self._run,
            on_write=lambda host: self.faults.write(host),
        )

    def _master(self, host: Host, process: Process) -> None:
        duty = Master(process, max_attempts=self.bug.max_attempts)
        election = Election(process, host.name, f"{host.name}:2223", duty)
        duty.fenced = election.fenced

    def _worker(self, slots: int, host: Host, process: Process) -> None:
        Worker(process, host.name.rstrip("'"), f"{host.name}:2224", slots=slots, drain=DRAIN)

    def _submitter(self, _: Host, process: Process) -> None:
        def accepted(index: int, name: str) -> None:
            self.judge.acknowledged(keys[index], name)

        def refused(index: int, refusal: Refusal) -> None:
            raise Violation("acked-never-lost", f"{keys[index]} was refused: {refusal.reason}")

        keys: list[str] = []
        self._keys = keys
        self._submit = Submit(process, [], accepted=accepted, refused=refused, finished=lambda: None)

    def _run(self, execution: Execution) -> None:
        self.judge.started(execution)
        host, draw = execution.host, self.world.random
        if execution.command == POISON:
            host.after(0.05, lambda: self.faults.kill(host))
            return
        self.faults.started(host)
        code = draw.choice([0, 0, 0, 0, 1, None])
        slow = 2 * self.timeout if self.faults.at_war else 0.3  # peace need not last long
        longest = draw.choice([0.01, 0.3, slow, 2 * slow])
        host.after(draw.random() * longest, lambda: host.finish(execution, code))

    # ------------------------------------------------------------ how it must end

    def _all_ended(self) -> bool:
        left = self._submit.unacknowledged if self._submit is not None else 0
        return not left and self.judge.all_ended()

    def _check_liveness(self) -> None:
        if not self._all_ended():
            left = sorted(self.judge.tasks - self.judge.status.keys())
            raise Violation(
                "liveness", f"no final status after {PEACE:.0f} s of peace: {left or 'a submission'}"
            )

    def _check_wait(self) -> None:
        """What a client that waits is told is what is there."""
        told: dict[str, str | None] = {}

        def ended(name: str, state: str | None, _: Outcome | None) -> None:
            told[name] = state

        def build(_: Host, process: Process) -> None:
            tasks = list(self.judge.acked.values())
            Wait(process, tasks, ended=ended, finished=lambda: None)

        waiter = self._host("waiter", build)
        waiter.start()
        count = len(self.judge.acked)
        self.world.run(self.world.now + 30.0, lambda: len(told) == count)
        waiter.crash()
        expected = {name: self.judge.status[name].decode() for name in self.judge.acked.values()}
        if told != expected:
            raise Violation("acked-never-lost", f"a client was told {told}, not {expected}")

    def _check_stop(self) -> None:
        """Everybody ends when asked to, and leaves no ephemeral behind."""
        self.faults.over = True
        for host in self.hosts:
            host.stop()
        self.world.run(self.world.now + DRAIN + 5.0, lambda: all(h.process is None for h in self.hosts))
        left = [host.name for host in self.hosts if host.process is not None]
        if left:
            raise Violation("drain", f"did not end: {left}")
        owned = self.service.ensemble.decided.ephemerals
        self.world.run(self.world.now + 2 * self.timeout + 2.0, lambda: not any(owned.values()))
        ephemerals = [path for paths in owned.values() for path in paths]
        if ephemerals:
            raise Violation("drain", f"left behind: {ephemerals}")
