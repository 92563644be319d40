"""mwapp submit, mwapp wait, mwapp tasks."""

import sys
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import click

from mwapp.cli.options import F, client, option
from mwapp.cli.output import age, show, show_json, show_table
from mwapp.cli.session import Target, converse, look
from mwapp.core.client import Submit, Wait
from mwapp.core.protocol import DONE, TASK_PREFIX, TASKS, Outcome
from mwapp.core.session import Call, Process
from mwapp.core.task import BadTaskError, Task
from mwapp.errors import (
    BadInputError,
    MwappError,
    NotFoundError,
    RefusedError,
    TaskFailedError,
    TimedOutError,
)
from mwapp.overview import TaskView, read_names, read_tasks

_OUTPUT = option("--show-output", is_flag=True, help="Print what each task wrote, too.")


def _timeout(text: str) -> Callable[[F], F]:
    return option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help=text + " Exit status 5.",
    )


# ---------------------------------------------------------------- submit


@click.command()
@click.argument("commands", nargs=-1, required=True, metavar="COMMAND...")
@option("--wait", is_flag=True, help="Wait until all have ended; exit status 1 if one failed.")
@_timeout("With --wait: the longest to wait.")
@_OUTPUT
@client
def submit(
    commands: tuple[str, ...], wait: bool, timeout: float | None, show_output: bool, **settings: Any
) -> None:
    """Submit each COMMAND as a task of its own and print the tasks' names.

    A COMMAND is a line for /bin/sh, so quote it: mwapp submit 'echo one; echo two'. With - they are read
    from standard input, one a line. A name that is printed is a task that will not be lost; a lost
    connection makes neither two tasks of one command nor none.
    """
    tasks = _tasks(list(commands))
    target, json = Target(settings["connect"], settings["connect_timeout"]), settings["output"] == "json"
    names = _submit(target, tasks, printed=not json)
    if wait:
        _wait(target, names, timeout, show_output=show_output, json=json)
    elif json:
        show_json([{"task": name, "command": task.command} for name, task in zip(names, tasks, strict=True)])


def _tasks(commands: list[str]) -> list[Task]:
    if commands == ["-"]:
        commands = [line for line in sys.stdin.read().splitlines() if line.strip()]
    tasks = [Task(command, key=uuid.uuid4().hex) for command in commands]
    for task in tasks:
        try:
            task.encode()
        except BadTaskError as problem:
            raise BadInputError(f"COMMAND: {problem}") from None
    return tasks


def _submit(target: Target, tasks: Sequence[Task], *, printed: bool) -> list[str]:
    names: dict[int, str] = {}
    refusals: list[str] = []

    def accepted(index: int, name: str) -> None:
        names[index] = name
        if printed:
            with suppress(BrokenPipeError):  # nobody reads the names; the tasks are wanted all the same
                print(name, flush=True)

    def build(process: Process, finished: Call) -> None:
        Submit(
            process,
            tasks,
            accepted=accepted,
            refused=lambda _, refusal: refusals.append(refusal.reason),
            finished=finished,
        )

    try:
        converse(target, build)
    except MwappError as problem:
        missing = len(tasks) - len(names)
        if missing and names:
            problem.args = (f"{problem}; {len(names)} tasks were accepted, of {missing} it is not known",)
        raise
    if refusals:
        raise RefusedError(f"{len(refusals)} of {len(tasks)} tasks refused: {refusals[0]}")
    return [names[index] for index in range(len(tasks))]


# ---------------------------------------------------------------- wait


@click.command()
@click.argument("tasks", nargs=-1, required=True, metavar="TASK...")
@_timeout("The longest to wait.")
@_OUTPUT
@client
def wait(tasks: tuple[str, ...], timeout: float | None, show_output: bool, **settings: Any) -> None:
    """Wait until each TASK has ended and tell how.

    TASK is a name such as task-0000000007, or its number 7. Exit status: 0 all are done, 1 one failed,
    4 there is no such task, 5 not all have ended in time.
    """
    target = Target(settings["connect"], settings["connect_timeout"])
    _wait(
        target,
        [_name(task) for task in tasks],
        timeout,
        show_output=show_output,
        json=settings["output"] == "json",
    )


def _name(text: str) -> str:
    name = text.removeprefix(TASKS + "/")
    if name.isdecimal():
        name = f"{TASK_PREFIX.rpartition('/')[2]}{int(name):010}"
    if not name or "/" in name:
        raise BadInputError(f"TASK: {text!r} is no task's name; write for example task-0000000007 or 7")
    return name


def _wait(
    target: Target, names: Sequence[str], timeout: float | None, *, show_output: bool, json: bool
) -> None:
    ends: dict[str, tuple[str | None, Outcome | None]] = {}

    def build(process: Process, finished: Call) -> None:
        Wait(process, names, ended=lambda name, *end: ends.__setitem__(name, end), finished=finished)

    late = False
    try:
        converse(target, build, timeout)
    except TimedOutError:
        late = True
    known = [(name, *ends[name]) for name in dict.fromkeys(names) if name in ends and ends[name][0]]
    if json:
        show_json([{"task": name, "state": state} | _outcome(outcome) for name, state, outcome in known])
    else:
        show_table(
            ("TASK", "STATE", "CODE", "WORKER", "ATTEMPT", "SECONDS", "REASON"),
            [(name, state, *_ended(outcome)) for name, state, outcome in known],
        )
    if show_output and not json:
        for name, _, outcome in known:
            show(f"--- {name}\n{outcome.output if outcome else ''}", end="")
    missing = [name for name in names if ends.get(name, ("",))[0] is None]
    failed = [name for name, state, _ in known if state != DONE]
    if late:
        raise TimedOutError(
            f"{len(set(names)) - len(ends)} of {len(set(names))} tasks have not ended in time"
        )
    if missing:
        raise NotFoundError(f"no such task: {', '.join(missing)}")
    if failed:
        raise TaskFailedError(f"{len(failed)} of {len(known)} tasks failed")


def _ended(outcome: Outcome | None) -> tuple[object, ...]:
    end = outcome or Outcome()
    return end.code, end.worker, end.attempt, end.seconds, end.reason


def _outcome(outcome: Outcome | None) -> dict[str, Any]:
    end = outcome or Outcome()
    return {
        "code": end.code,
        "worker": end.worker,
        "attempt": end.attempt,
        "seconds": end.seconds,
        "reason": end.reason,
        "output": end.output,
        "truncated": end.truncated,
    }


# ---------------------------------------------------------------- tasks


@click.command()
@click.argument("tasks", nargs=-1, metavar="[TASK...]")
@option("--limit", type=click.IntRange(min=0), default=100, help="Show the newest so many; 0: all.")
@option(
    "--state",
    type=click.Choice(["queued", "assigned", "done", "failed"]),
    multiple=True,
    help="Only tasks in this state. May be given several times.",
)
@client
def tasks(tasks: tuple[str, ...], limit: int, state: tuple[str, ...], **settings: Any) -> None:
    """List tasks, in the order of submission: all, or each TASK (a name or its number)."""
    target, wanted = Target(settings["connect"], settings["connect_timeout"]), [_name(t) for t in tasks]
    (names,) = look(target, read_names) if not wanted else (wanted,)
    # A state is known only by reading: then the limit is for what is shown.
    chosen = names[-limit:] if limit and not state and not wanted else names
    (views,) = look(target, lambda scope, then: read_tasks(scope, chosen, then)) if chosen else ([],)
    found = {view.task for view in views}
    if state:
        views = [view for view in views if view.state in state]
        views = views[-limit:] if limit else views
    now = time.time()
    if settings["output"] == "json":
        show_json([_document(view, now, outcome=bool(wanted)) for view in views])
    else:
        show_table(
            ("TASK", "STATE", "WORKER", "ATTEMPT", "CODE", "AGE", "COMMAND"),
            [_row(view, now) for view in views],
        )
        if len(chosen) < len(names):
            click.echo(f"the newest {len(chosen)} of {len(names)} tasks; --limit 0 shows all", err=True)
    missing = [name for name in wanted if name not in found]
    if missing:
        raise NotFoundError(f"no such task: {', '.join(missing)}")


def _row(view: TaskView, now: float) -> tuple[object, ...]:
    code = view.outcome.code if view.outcome else None
    reason = view.outcome.reason if view.outcome else None
    command = view.command if view.command is not None else f"(malformed: {reason or 'not yet refused'})"
    return view.task, view.state, view.worker, view.attempt, code, age(now - view.created), command


def _document(view: TaskView, now: float, *, outcome: bool) -> dict[str, Any]:
    document = {
        "task": view.task,
        "state": view.state,
        "worker": view.worker,
        "attempt": view.attempt,
        "code": view.outcome.code if view.outcome else None,
        "reason": view.outcome.reason if view.outcome else None,
        "created": round(view.created, 3),
        "age": round(max(0.0, now - view.created), 3),
        "command": view.command,
    }
    return document | (_outcome(view.outcome) if outcome else {})
