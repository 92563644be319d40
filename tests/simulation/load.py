"""The requests to the system: tasks of every kind, which clients submit once or twice, wait for, and
cancel."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from mwapp.core.messages import Create
from mwapp.core.protocol import REMOVE, RUN, TASK_PREFIX, cancel_path
from mwapp.core.task import Task
from tests.simulation.clients import Submitter, asker, canceller, waiter
from tests.simulation.host import Build, Host
from tests.simulation.runner import Execution
from tests.simulation.world import Chance

if TYPE_CHECKING:
    from tests.simulation.schedule import Schedule

POISON = "poison"  # a command that takes down every host it runs on
HANG = "hang"  # a command that does not end by itself
# How long these take at most in peace, seconds: that many hosts die, one after the other; with a timeout each
# attempt takes that, and some grace.
POISON_SECONDS = 10.0
HANG_SECONDS = 4.0
# Tasks as a person writes them: some can run, most cannot.
ODD_TASKS = [
    *(b"date", b"{ date; }", b"", b" ", b"\xff", b'{"oops', b"{}"),
    *(b'{"command": 1}', b'{"command": " "}', b'{"command": "a\\u0000b"}', b'{"command": "\\ud800"}'),
    *(b'{"comand": "date"}', b'{"command": "date", "handler": "a"}', b'{"command": "date", "argument": 1}'),
    *(b'{"handler": "resize", "argument": {"width": 640}}', b'{"handler": " "}'),
    *(b'{"command": "date", "timeout": 0}', b'{"command": "date", "retries": -1}'),
    *(b'{"command": "date", "labels": "gpu"}', b'{"command": "date", "labels": ["no label"]}'),
    *(b'{"command": "date", "directory": "/srv"}', b'{"command": "date", "directory": "srv"}'),
    *(b'{"command": "date", "environment": {"A": "1"}}', b'{"command": "date", "environment": ["A"]}'),
    *(b'{"command": "date", "environment": {"A B": "1"}}',),
]
LABEL = "gpu"
SECRET = "TOKEN"  # noqa: S105 - a variable's name
NO_TASK = "task-9999999999"


class Load:
    """The clients of a schedule, and the requests of them and a person."""

    def __init__(self, schedule: "Schedule") -> None:
        self._schedule = schedule
        self._world, self._judge = schedule.world, schedule.judge
        names = ["client", "client2", "client3"][: schedule.world.random.choice([1, 1, 2, 3])]
        most, kind = schedule.limits.max_tasks, schedule.bug.submit
        self._submitters = [Submitter(self._judge, name, most, kind) for name in names]
        for name, submitter in zip(names, self._submitters, strict=True):
            submitter.host = schedule.host(name, submitter.build)
        self._draw = schedule.world.stream("times")
        broken = schedule.world.stream("broken")
        # A host on which every run fails.
        self._broken = broken.random.choice(schedule.workers) if broken.chance(0.15) else None
        self._secrets = schedule.world.stream("secrets")
        self._secretive = self._secrets.chance(schedule.bug.secrets)
        self._visitors: list[tuple[Host, list[str]]] = []  # come for some tasks, and leave

    @property
    def hosts(self) -> list[Host]:
        """Of the clients that submit."""
        return [submitter.host for submitter in self._submitters]

    def begin(self, seconds: float) -> None:
        """Make requests from now on."""
        for _ in range(self._world.random.randint(3, 25)):
            self._plan(seconds, self._submit_some)
        for _ in range(self._world.random.choice([0, 0, 0, 1, 2])):
            self._plan(seconds, self._submit_many)
        for _ in range(self._world.random.choice([0, 0, 0, 1, 2])):
            self._plan(seconds, lambda draw: self._submit(draw, [(Task(POISON), None)]))
        for _ in range(self._world.random.choice([0, 0, 1, 2])):
            self._plan(seconds, self._submit_by_hand)
        for _ in range(self._world.random.choice([0, 0, 1, 3])):
            self._plan(seconds, self._cancel_by_hand)
        for _ in range(self._world.random.choice([0, 0, 1, 2])):
            self._plan(seconds, self._visit)
        for _ in range(self._world.stream("ended").random.choice([0, 0, 0, 0, 1, 3])):
            self._plan(seconds, self._ask_of_ended)
        self._plan(seconds, lambda draw: self._schedule.person.play_worker() if draw.chance(0.2) else None)

    def end(self) -> None:
        """From now on cancel what hangs, unless it has a cancel request: one must be enough."""
        asks = {task: self._judge.asked[task] for task in self._judge.left()}
        # A person may have changed the task, or recorded its end.
        runs = [execution for host in self._schedule.hosts for execution in host.executions]
        asks |= {run.task: run.asked for run in runs if run.task in self._judge.tasks}
        for task in sorted(asks.keys() - self._judge.cancels):
            asked = asks[task]
            if asked is not None and asked.command == HANG and asked.timeout is None:
                self._schedule.person.do(Create(cancel_path(task)))
        self._world.after(1.0, self.end)

    def longest(self) -> float:
        """How long poison and hanging tasks may occupy a worker with one slot, seconds."""
        asked = [self._judge.asked[task] for task in self._judge.tasks - self._judge.status.keys()]
        poison = sum(task is not None and task.command == POISON for task in asked)
        hangs = sum(task.retries + 1 for task in asked if task is not None and task.command == HANG)
        return POISON_SECONDS * poison + HANG_SECONDS * hangs

    @property
    def clients_wait(self) -> bool:
        """Whether a client still waits for an answer."""
        return any(submitter.waits for submitter in self._submitters) or self.visitors_waiting > 0

    @property
    def visitors_waiting(self) -> int:
        """How many that came for some tasks still wait for an answer."""
        endless = self._judge.excuses.endless
        return sum(not visitor.retired and endless.isdisjoint(names) for visitor, names in self._visitors)

    # ------------------------------------------------------------ asking

    def _plan(self, seconds: float, call: Callable[[Chance], None]) -> None:
        draw = self._world.ingredient()
        if draw is not None:
            self._world.after(draw.random.random() * seconds, lambda: call(draw))

    def _submit_some(self, draw: Chance) -> None:
        labels = (LABEL,) if self._schedule.labelled and draw.chance(0.15) else ()
        timeout = draw.random.choice([None, None, None, 0.3, 1.0])
        retries = draw.random.choice([0, 0, 0, 1, 2])
        name = None
        if draw.chance(0.15):
            task = self._timed(Task(HANG, timeout=timeout, retries=retries if timeout else 0, labels=labels))
        elif draw.chance(0.2):  # usually the same task under one name
            name = f"named-{draw.random.randrange(3)}"
            task = Task(f"echo {draw.chance(0.2)}")
            if self._secretive and self._secrets.chance(0.7):
                task = replace(task, secrets=(SECRET,))
        else:
            task = Task(f"echo {draw.random.random()}", timeout=timeout, retries=retries, labels=labels)
            task = self._timed(task)
        self._submit(draw, [(task, name)])

    def _timed(self, task: Task) -> Task:
        """The same, with when it is to begin, and how soon it is repeated."""
        draw = self._draw
        delay = draw.between(0.0, 5.0) if draw.chance(0.1) else None
        return replace(
            task,
            retry_delay=draw.random.choice([0.0, 0.0, 0.1, 1.0]),
            delay=delay,
            not_before=self._world.now + draw.between(0.0, 5.0) if draw.chance(0.1) else None,
            expires=(delay or 0.0) + draw.between(0.01, 5.0) if draw.chance(0.1) else None,
        )

    def _submit_many(self, draw: Chance) -> None:
        """Submit several at once, one of them perhaps under a name."""
        tasks: list[tuple[Task, str | None]] = [
            (Task(f"echo {number}"), None) for number in range(draw.random.randint(2, 12))
        ]
        if draw.chance(0.3):
            tasks.insert(draw.random.randrange(len(tasks)), (Task("echo named"), f"named-{len(tasks)}"))
        self._submit(draw, tasks)

    def _submit(self, draw: Chance, tasks: list[tuple[Task, str | None]]) -> None:
        draw.random.choice(self._submitters).submit(tasks)

    def _submit_by_hand(self, draw: Chance) -> None:
        self._schedule.person.do(Create(TASK_PREFIX, draw.random.choice(ODD_TASKS), sequential=True))

    def _cancel_by_hand(self, draw: Chance) -> None:
        self._schedule.person.do(Create(cancel_path(self._some(draw, 1)[0])))

    def _visit(self, draw: Chance) -> None:
        """A client comes to cancel some tasks, or to wait for them."""
        names = self._some(draw, draw.random.choice([1, 2, 5]))
        self._come(draw.random.choice([canceller, waiter])(self._judge, names), names)

    def _ask_of_ended(self, draw: Chance) -> None:
        """A client comes to have tasks run again, or removed, most of which have ended."""
        ended = sorted(self._judge.tasks & self._judge.status.keys() - self._judge.removed)
        names = draw.random.sample(ended, min(len(ended), draw.random.choice([1, 2, 5])))
        names = list(dict.fromkeys([*names, *(self._some(draw, 1) if draw.chance(0.2) else ())]))
        do = RUN if draw.chance(0.7) else REMOVE
        if do == REMOVE:  # a namesake may come
            names = [name for name in names if name.startswith("task-")]
        self._come(asker(self._judge, do, names), names)

    def _come(self, build: Build, names: list[str]) -> None:
        visitor = self._schedule.host(f"visitor{len(self._visitors) + 1}", build)
        self._visitors.append((visitor, names))
        self._schedule.hosts.append(visitor)
        visitor.start()

    def _some(self, draw: Chance, number: int) -> list[str]:
        tasks = sorted(self._judge.tasks)
        names = draw.random.sample(tasks, min(number, len(tasks)))
        return names if names and draw.chance(0.9) else [*names[1:], NO_TASK]

    # ------------------------------------------------------------ running

    def run(self, host: Host, execution: Execution) -> None:
        """A command was started: decide how it will go."""
        self._judge.runs.started(execution)
        world, faults = self._world, self._schedule.faults
        if execution.asked.command == POISON:
            host.after(0.05, lambda: faults.kill(host))
            return
        faults.started(host)
        if execution.asked.command == HANG:
            return
        code = world.random.choice([0, 0, 0, 0, 1, None])
        code = 1 if host is self._broken else code
        if self._schedule.errors.bounded and code is not None and execution.number % 2:
            execution.output *= 400  # more than fits into one request
        if execution.number % 3:
            execution.result = f'[{execution.number}, "{execution.task}"]'
        slow = 2 * self._schedule.timeout if faults.at_war else 0.3  # keep peace short
        longest = world.random.choice([0.01, 0.3, slow, 2 * slow])
        host.after(world.random.random() * longest, lambda: host.finish(execution, code))
