"""What is asked of the system: tasks of every kind, submitted once or twice, and wishes that they end."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from mwapp.core.client import Refusal, Submit
from mwapp.core.messages import Create, Tick
from mwapp.core.protocol import TASK_PREFIX, Outcome, cancel_path
from mwapp.core.session import Process
from mwapp.core.task import Task
from mwapp.core.wait import Wait
from tests.simulation.host import Execution, Host
from tests.simulation.world import Chance, Violation

if TYPE_CHECKING:
    from tests.simulation.schedule import Schedule

POISON = "poison"  # a command that takes down every host it runs on
HANG = "hang"  # a command that does not end by itself
# How long they take at most in peace, seconds: so many hosts are lost, one after the other; with a timeout
# each attempt takes that, and some grace.
POISON_SECONDS = 10.0
HANG_SECONDS = 4.0
ODD_TASKS = [b"date", b"", b'{"oops', b'{"command": 1}', b"\xff", b"{ date; }"]  # as a person writes them
LABEL = "gpu"


class Load:
    """The client of a schedule, and what it and a person ask for."""

    def __init__(self, schedule: "Schedule") -> None:
        self._schedule = schedule
        self._world, self._judge = schedule.world, schedule.judge
        self._submit: Submit | None = None
        self._untold: set[str] = set()  # tasks whose end the client waits for
        self._asked: list[tuple[Task, str | None]] = []  # of the client's present life, by index
        self._count = 0

    def begin(self, seconds: float) -> None:
        """Ask for things from now on."""
        for _ in range(self._world.random.randint(3, 25)):
            self._plan(seconds, self._submit_some)
        for _ in range(self._world.random.choice([0, 0, 0, 1, 2])):
            self._plan(seconds, lambda _: self.submit(Task(POISON)))
        for _ in range(self._world.random.choice([0, 0, 1, 2])):
            self._plan(seconds, self._submit_by_hand)
        for _ in range(self._world.random.choice([0, 0, 1, 3])):
            self._plan(seconds, self._wish)
        self._plan(seconds, lambda draw: self._schedule.person.play_worker() if draw.chance(0.2) else None)

    def end(self) -> None:
        """From now on somebody wishes that what hangs end."""
        tasks = self._judge.tasks - self._judge.status.keys() - self._judge.wished
        for task in sorted(tasks):
            asked = self._judge.asked[task]
            if asked is not None and asked.command == HANG and asked.timeout is None:
                self._schedule.person.do(Create(cancel_path(task)))
        self._world.after(1.0, self.end)

    def longest(self) -> float:
        """How long what poisons and hangs may take a worker that does one thing at a time, seconds."""
        asked = [self._judge.asked[task] for task in self._judge.tasks - self._judge.status.keys()]
        poison = sum(task is not None and task.command == POISON for task in asked)
        hangs = sum(task.retries + 1 for task in asked if task is not None and task.command == HANG)
        return POISON_SECONDS * poison + HANG_SECONDS * hangs

    @property
    def client_waits(self) -> bool:
        """Whether the client has still to hear that a submission is a task, or that a task has ended."""
        return bool(self._untold or (self._submit is not None and self._submit.unacknowledged))

    # ------------------------------------------------------------ asking

    def _plan(self, seconds: float, call: Callable[[Chance], None]) -> None:
        draw = self._world.ingredient()
        if draw is not None:
            self._world.after(draw.random.random() * seconds, lambda: call(draw))

    def _submit_some(self, draw: Chance) -> None:
        labels = (LABEL,) if self._schedule.labelled and draw.chance(0.15) else ()
        timeout = draw.random.choice([None, None, None, 0.3, 1.0])
        retries = draw.random.choice([0, 0, 0, 1, 2])
        if draw.chance(0.15):
            self.submit(Task(HANG, timeout=timeout, retries=retries if timeout else 0, labels=labels))
        elif draw.chance(0.2):  # mostly the same task under one name
            number = draw.random.randrange(3)
            self.submit(Task(f"echo {draw.chance(0.2)}"), name=f"named-{number}")
        else:
            command = f"echo {draw.random.random()}"
            self.submit(Task(command, None, None, None, timeout, retries, labels=labels))

    def submit(self, task: Task, name: str | None = None) -> None:
        """A client submits a task."""
        client = self._schedule.client
        if self._submit is None or client.process is None or client.frozen:
            return
        self._count += 1
        if name is None:
            task = replace(task, key=f"key-{self._count}")
        self._asked.append((task, name))
        self._submit.add(task, name)
        client.event(Tick())

    def _submit_by_hand(self, draw: Chance) -> None:
        self._schedule.person.do(Create(TASK_PREFIX, draw.random.choice(ODD_TASKS), sequential=True))

    def _wish(self, draw: Chance) -> None:
        tasks = sorted(self._judge.tasks)
        task = draw.random.choice(tasks) if tasks and draw.chance(0.9) else "task-9999999999"
        self._schedule.person.do(Create(cancel_path(task)))

    def build(self, _: Host, process: Process) -> None:
        """The client's process: it submits, and waits for what it has submitted."""
        asked: list[tuple[Task, str | None]] = []
        untold: set[str] = set()

        def accepted(index: int, name: str) -> None:
            self._judge.acknowledged(*asked[index], name)
            untold.add(name)
            wait.add(name)

        def refused(index: int, refusal: Refusal) -> None:
            task, name = asked[index]
            if refusal.full and self._schedule.limits.max_tasks <= len(self._judge.tasks):
                self._judge.refused(task, name)
                return
            if name is None or self._judge.asked.get(name) in (None, task):
                raise Violation("acked-never-lost", f"{task} was refused: {refusal.reason}")

        def ended(name: str, state: str | None, outcome: Outcome | None) -> None:
            self._judge.told(name, state, outcome)
            untold.remove(name)  # it is told once

        self._asked, self._untold = asked, untold
        wait = Wait(process, [], ended=ended, finished=lambda: None)
        self._submit = Submit(process, [], accepted=accepted, refused=refused, finished=lambda: None)

    # ------------------------------------------------------------ running

    def run(self, execution: Execution) -> None:
        """A command was started: how it will go."""
        self._judge.started(execution)
        host, world, faults = execution.host, self._world, self._schedule.faults
        if execution.asked.command == POISON:
            host.after(0.05, lambda: faults.kill(host))
            return
        faults.started(host)
        if execution.asked.command == HANG:
            return
        code = world.random.choice([0, 0, 0, 0, 1, None])
        slow = 2 * self._schedule.timeout if faults.at_war else 0.3  # peace need not last long
        longest = world.random.choice([0.01, 0.3, slow, 2 * slow])
        host.after(world.random.random() * longest, lambda: host.finish(execution, code))
