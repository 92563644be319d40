"""mwapp submit."""

import json
import sys
import uuid
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import click

from mwapp.cli.names import timeout
from mwapp.cli.options import client, option
from mwapp.cli.output import show_json
from mwapp.cli.session import Target, converse
from mwapp.cli.wait import output_option, wait_and_show
from mwapp.core.client import Refusal, Submit
from mwapp.core.limits import LIMITS
from mwapp.core.session import Call, Process
from mwapp.core.task import MAX_RETRIES, MAX_TIMEOUT, BadTaskError, Task, check_label, check_task_name
from mwapp.errors import BadInputError, FullError, MwappError, RefusedError


@click.command()
@click.argument("commands", nargs=-1, metavar="COMMAND...")
@option("--handler", metavar="NAME", help="Run this Python function on a worker instead of a COMMAND.")
@option("--argument", metavar="JSON", help="With --handler: the argument to pass to it.")
@option(
    "--name",
    key="task_name",
    metavar="NAME",
    help="Give the task this name instead of a number. Resubmitting the same task under this name is a "
    "no-op; a different task is refused (exit status 7).",
)
@option(
    "--run-timeout",
    type=click.FloatRange(min=0, min_open=True, max=MAX_TIMEOUT),
    metavar="SECONDS",
    help="Time limit of each run. A run that exceeds it gets SIGTERM, two seconds later SIGKILL, and fails.",
)
@option(
    "--retries",
    type=click.IntRange(0, MAX_RETRIES),
    default=0,
    help="Repeat a failed run up to this many times. (A run whose worker dies is always repeated.)",
)
@option(
    "--env",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set an environment variable for the task. May be given several times.",
)
@option("--directory", metavar="DIR", help="Working directory on the worker.")
@option(
    "--label",
    key="task_label",
    multiple=True,
    metavar="LABEL",
    help="Run the task only on a worker that has this label. May be given several times: all are required.",
)
@option(
    "--max-tasks",
    type=click.IntRange(1, LIMITS.max_tasks),
    default=LIMITS.max_tasks,
    help="Submit nothing (exit status 6) if there are this many tasks already, including finished ones.",
)
@option("--wait", is_flag=True, help="Wait until every task has ended; exit status 1 if one failed.")
@timeout("With --wait: give up waiting after this long.")
@output_option
@client
def submit(
    commands: tuple[str, ...],
    max_tasks: int,
    wait: bool,
    timeout: float | None,
    show_output: bool,
    task_name: str | None,
    **settings: Any,
) -> None:
    """Submit each COMMAND as a separate task and print the tasks' names.

    A COMMAND is a line for /bin/sh, so quote it. With - commands are read from standard input, one per
    line. A printed name means the task is stored and will not be lost. If the connection is lost, each
    command still becomes exactly one task.

    \b
    Examples:
      mwapp submit 'echo one; echo two'
      mwapp submit --wait --show-output 'hostname'
      mwapp submit --name backup-2026-11-22 --run-timeout 600 --retries 2 '/opt/backup'
      mwapp submit --label gpu --env MODEL=small --directory /srv/train './train'
      mwapp submit --handler echo --argument '{"text": "hello"}'
      seq 1 100 | sed 's/^/echo /' | mwapp submit -
    """
    tasks = _tasks(list(commands), task_name, settings)
    target, as_json = Target(settings["connect"], settings["connect_timeout"]), settings["output"] == "json"
    names = _submit(target, tasks, task_name, max_tasks, printed=not as_json)
    if wait:
        wait_and_show(target, names, timeout, show_output=show_output, json=as_json)
    elif as_json:
        show_json([{"task": name, "command": task.title} for name, task in zip(names, tasks, strict=True)])


def _tasks(commands: list[str], name: str | None, settings: dict[str, Any]) -> list[Task]:
    """Every setting is checked by itself, so that what is wrong can be named."""
    handler = settings["handler"]
    if handler is None and not commands:
        raise BadInputError(
            "COMMAND: give a command for /bin/sh, - to read commands from standard input, or --handler"
        )
    if handler is not None and commands:
        raise BadInputError("COMMAND: give either commands or --handler, not both")
    if handler is None and settings["argument"] is not None:
        raise BadInputError(
            "--argument: needs --handler; write a shell command's arguments in the command itself"
        )
    if commands == ["-"]:
        commands = [line for line in sys.stdin.read().splitlines() if line.strip()]
    what: list[dict[str, Any]] = [{"command": command} for command in commands]
    if handler is not None:
        what = [{"handler": handler, "argument": _argument(settings["argument"])}]
        _check("--handler", handler=handler)
        _check("--argument", **what[0])
    if name is not None:
        _check_by("--name", check_task_name, name)
        if len(what) != 1:
            raise BadInputError(f"--name: a name is for one task, but there are {len(what)} commands")
    how = {
        "timeout": settings["run_timeout"],
        "retries": settings["retries"],
        # In one order: the same task is then the same bytes.
        "environment": dict(sorted(map(_variable, settings["env"]))),
        "directory": settings["directory"],
        "labels": tuple(sorted({_check_by("--label", check_label, it) for it in settings["task_label"]})),
    }
    _check("--env", command="true", environment=how["environment"])
    _check("--directory", command="true", directory=how["directory"])
    for one in what:
        _check("COMMAND" if handler is None else "--argument", **one, **how)
    return [Task(**one, **how, key=None if name else uuid.uuid4().hex) for one in what]


def _variable(setting: str) -> tuple[str, str]:
    name, equals, value = setting.partition("=")
    if not equals:
        raise BadInputError(f"--env: {setting!r}: write NAME=VALUE")
    return name, value


def _argument(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except ValueError as problem:
        raise BadInputError(
            f"--argument: not JSON ({problem}); quote it for the shell: '{{\"width\": 640}}'"
        ) from None


def _check(setting: str, **fields: Any) -> None:
    _check_by(setting, lambda task: task.encode(), Task(**fields))


def _check_by(setting: str, check: Any, value: Any) -> Any:
    try:
        return check(value)
    except BadTaskError as problem:
        raise BadInputError(f"{setting}: {problem}") from None


def _submit(
    target: Target, tasks: Sequence[Task], name: str | None, max_tasks: int, *, printed: bool
) -> list[str]:
    names: dict[int, str] = {}
    refusals: list[Refusal] = []

    def accepted(index: int, name: str) -> None:
        names[index] = name
        if printed:
            with suppress(BrokenPipeError):  # nobody reads the names; the tasks are wanted all the same
                print(name, flush=True)

    def build(process: Process, finished: Call) -> None:
        Submit(
            process,
            tasks,
            names={} if name is None else {0: name},
            max_tasks=max_tasks,
            accepted=accepted,
            refused=lambda _, refusal: refusals.append(refusal),
            finished=finished,
        )

    try:
        converse(target, build)
    except MwappError as problem:
        missing = len(tasks) - len(names)
        if missing and names:
            problem.args = (f"{problem}; {len(names)} tasks accepted; {missing} unknown",)
        raise
    full = [refusal for refusal in refusals if refusal.full]
    if full:
        raise FullError(
            f"{len(full)} of {len(tasks)} tasks not submitted: {full[0].reason} (--max-tasks). Submit again "
            "later: finished tasks are removed after a while (mwapp master --retention, --keep)"
        )
    if refusals:
        raise RefusedError(f"{len(refusals)} of {len(tasks)} tasks refused: {refusals[0].reason}")
    return [names[index] for index in range(len(tasks))]
