"""Clients of a schedule: some submit and wait, others come to cancel or wait, and leave."""

from collections.abc import Iterable
from dataclasses import replace

from mwapp.core.again import AskEnded
from mwapp.core.client import ANOTHER, EXPOSED, NO_NUMBERS, TAKEN, Cancel, Refusal, Submit
from mwapp.core.messages import Error, Tick
from mwapp.core.protocol import Outcome, secret_path
from mwapp.core.session import Process
from mwapp.core.task import Task, encode_secrets, make_key
from mwapp.core.wait import Wait
from tests.simulation.host import Build, Host
from tests.simulation.judge import Judge
from tests.simulation.world import Violation

# Why a client is refused a task that servers may refuse.
DENIED = f"the ensemble refused the task: {Error.REFUSED.value}"


class Submitter:
    """A client that submits tasks and waits for their ends. Set ``host`` to where it runs."""

    host: Host

    def __init__(self, judge: Judge, name: str, max_tasks: int, submit: type[Submit] = Submit) -> None:
        self._judge, self._name, self._max_tasks, self._kind = judge, name, max_tasks, submit
        self._submit: Submit | None = None
        self._untold: set[str] = set()  # tasks whose end it waits for
        self._asked: list[tuple[Task, str | None]] = []  # of its current life, by index
        self._count = 0

    @property
    def waits(self) -> bool:
        """Whether it must still hear that a submission is a task, or that a task has ended."""
        untold = self._untold - self._judge.excuses.endless
        return bool(untold or (self._submit is not None and self._submit.unacknowledged))

    def submit(self, tasks: Iterable[tuple[Task, str | None]]) -> None:
        """Submit some at once, each under its name, if it has one."""
        if self._submit is None or self.host.process is None or self.host.frozen:
            return
        for task, name in tasks:
            self._count += 1
            key = make_key(self._name, "" if name is not None else str(self._count))
            asked = replace(task, key=key)
            self._asked.append((asked, name))
            values = dict.fromkeys(task.secrets, f"{self._name} {self._count}")
            self._submit.add(asked, name, encode_secrets(values) if values else None)
        self.host.event(Tick())

    def build(self, _: Host, process: Process) -> None:
        """Its process."""
        asked: list[tuple[Task, str | None]] = []
        untold: set[str] = set()

        def accepted(index: int, name: str) -> None:
            self._judge.answers.acknowledged(*asked[index], name)
            if name not in untold:  # two submissions under one name
                untold.add(name)
                wait.add(name)

        def refused(index: int, refusal: Refusal) -> None:
            task, name = asked[index]
            judge, reason = self._judge, refusal.reason
            full = refusal.full and judge.most_tasks >= self._max_tasks
            denied = reason == DENIED and task.key in judge.denied.submitted
            exposed = reason == EXPOSED and name is not None and secret_path(name) in judge.denied.created
            if reason in (NO_NUMBERS, TAKEN) and name is None:
                judge.answers.without_number(task, taken=reason == TAKEN)
            elif full or denied or exposed:
                judge.answers.refused(task)
            elif name is None or reason != f"{ANOTHER} {name}" or not judge.answers.had_another(name, task):
                raise Violation("acked-never-lost", f"{task} was refused: {reason}")

        def ended(name: str, state: str | None, outcome: Outcome | None) -> None:
            self._judge.answers.told(name, state, outcome)
            untold.remove(name)  # it is told once

        self._asked, self._untold = asked, untold
        wait = Wait(process, [], ended=ended, finished=lambda: None)
        self._submit = self._kind(process, [], accepted=accepted, refused=refused, finished=lambda: None)


def canceller(judge: Judge, names: list[str]) -> Build:
    """A client that cancels these tasks, waits for their ends, and ends."""

    def build(host: Host, process: Process) -> None:
        left = dict.fromkeys(names)

        def asked(name: str, known: bool) -> None:
            judge.answers.asked_to_end(name, known=known)
            if known:
                wait.add(name)
            else:
                left.pop(name)

        def ended(name: str, state: str | None, outcome: Outcome | None) -> None:
            judge.answers.told(name, state, outcome)
            left.pop(name)
            if not left:
                host.retire()

        wait = Wait(process, [], ended=ended, finished=lambda: None)
        Cancel(process, names, asked=asked, finished=lambda: None if left else host.retire())

    return build


def asker(judge: Judge, do: str, names: list[str]) -> Build:
    """A client that asks for these tasks, which have ended, to run again or be removed, and ends."""

    def build(host: Host, process: Process) -> None:
        began = host.now

        def told(name: str, problem: str | None) -> None:
            judge.answers.told_of_ended(name, do, problem, began)

        AskEnded(process, names, do, told=told, finished=host.retire)

    return build


def waiter(judge: Judge, names: list[str]) -> Build:
    """A client that waits for these tasks, and ends."""

    def build(host: Host, process: Process) -> None:
        Wait(process, names, ended=judge.answers.told, finished=host.retire)

    return build
