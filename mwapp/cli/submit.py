"""mwapp submit."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from mwapp.cli.names import timeout
from mwapp.cli.options import Number, client, option
from mwapp.cli.output import show_json
from mwapp.cli.session import Target, converse, look, target_of
from mwapp.cli.streams import show, tell
from mwapp.cli.wait import output_option, wait_and_show
from mwapp.client.calls import Call, Options, new_key, submitter_of
from mwapp.core.client import ClientPart, Refusal, Submit
from mwapp.core.limits import LIMITS
from mwapp.core.session import Callback, Process
from mwapp.core.task import (
    MAX_DELAY,
    MAX_RETRIES,
    MAX_RETRY_DELAY,
    MAX_TIMEOUT,
    RETRY_DELAY,
    Task,
    is_variable,
)
from mwapp.errors import BadInputError, FullError, MwappError, RefusedError, UnreachableError
from mwapp.handlers import same_keys
from mwapp.status.health import no_worker, schedulable
from mwapp.status.overview import read_tasks, read_workers

# How the parts of a call are written here.
_TYPED = {
    "command": "COMMAND",
    "handler": "--handler",
    "argument": "--argument",
    "name": "--name",
    "retry_delay": "--retry-delay",
    "delay": "--delay",
    "at": "--at",
    "expires": "--expires",
    "env": "--env",
    "secrets": "--secret-env",
    "directory": "--directory",
    "labels": "--label",
}


@click.command()
@click.argument("commands", nargs=-1, metavar="COMMAND...")
@option("--handler", metavar="NAME", help="Run this Python function on a worker instead of a COMMAND.")
@option("--argument", metavar="JSON", help="With --handler: the argument to pass to it.")
@option(
    "--name",
    key="task_name",
    metavar="NAME",
    help="Give the task this name instead of a number. Resubmitting the same task under this name is a "
    "no-op, also if it has ended; a different task is refused (exit status 7).",
)
@option(
    "--run-timeout",
    type=Number(min=0, min_open=True, max=MAX_TIMEOUT),
    metavar="SECONDS",
    help="Time limit of each run. A run that exceeds it gets SIGTERM, two seconds later SIGKILL, and fails.",
)
@option(
    "--retries",
    type=click.IntRange(0, MAX_RETRIES),
    default=0,
    help="Repeat a failed run up to this many times. (If the worker dies, the task runs again in any case, "
    "until --max-attempts workers have died.)",
)
@option(
    "--retry-delay",
    type=Number(0, MAX_RETRY_DELAY),
    default=RETRY_DELAY,
    metavar="SECONDS",
    help="Pause before a failed run is repeated, on another worker if one has room. The pause doubles with "
    "each failure, up to ten minutes.",
)
@option(
    "--delay",
    type=Number(0, MAX_DELAY),
    metavar="SECONDS",
    help="Do not begin before this long after the submission.",
)
@option(
    "--at",
    metavar="TIME",
    help="Do not begin before this time, such as 2026-12-24T18:00. Without +HH:MM or Z it is local time. The "
    "active master's clock decides.",
)
@option(
    "--expires",
    type=Number(min=0, min_open=True, max=MAX_DELAY),
    metavar="SECONDS",
    help="Fail the task if no worker has taken it this long after its submission, which must be later than "
    "--delay and --at.",
)
@option(
    "--env",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set an environment variable for the task. May be given several times.",
)
@option(
    "--secret-env",
    multiple=True,
    metavar="NAME[=@FILE]",
    help="Set an environment variable for the task to a value that only masters and workers can read: that "
    "of the variable NAME here, or what is in FILE (without a last line feed). A value itself cannot be "
    "given: command lines are public. Without --name the task gets a random name.",
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
    "--submitter",
    metavar="NAME",
    help="Who submits, as `mwapp tasks` shows it. Default: this user @ this host.",
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

    A COMMAND is a line for /bin/sh, so quote it. With - alone commands are read from standard input, one
    per line. A printed name means the task is stored and will not be lost. If the connection is lost, each
    command still becomes exactly one task.

    \b
    Examples:
      mwapp submit 'echo one; echo two'
      mwapp submit --wait --show-output 'hostname'
      mwapp submit --name backup-2026-11-22 --run-timeout 600 --retries 2 '/opt/backup'
      mwapp submit --at 2026-12-24T18:00 --retries 5 --retry-delay 60 '/opt/report'
      mwapp submit --label gpu --env MODEL=small --directory /srv/train './train'
      mwapp submit --secret-env TOKEN --secret-env KEY=@/root/key './deploy'
      mwapp submit --handler echo --argument '{"text": "hello"}'
      seq 1 100 | sed 's/^/echo /' | mwapp submit -
    """
    calls = _calls(list(commands), task_name, settings)
    submitter = submitter_of(settings["submitter"], "--submitter")
    tasks = [call.task(new_key(submitter), _TYPED) for call in calls]
    target, as_json = target_of(settings, creates=True), settings["output"] == "json"
    accepted: dict[int, str] = {}
    existed: dict[int, bool | None] = {}
    try:
        _submit(target, calls, tasks, max_tasks, accepted, existed, printed=not as_json)
        with suppress(UnreachableError):  # a hint is no reason to fail
            if existed.get(0) and task_name is not None:
                _say_that_it_existed(target, task_name, secret=bool(settings["secret_env"]))
            if wait:
                _warn_if_unschedulable(target, tasks)
    except BaseException:  # also if interrupted: these tasks are stored
        if as_json:
            _show_accepted(tasks, accepted, existed)
        raise
    if wait:
        names = [accepted[index] for index in range(len(tasks))]
        there = {accepted[index]: existed.get(index, False) for index in range(len(tasks))}
        wait_and_show(target, names, timeout, show_output=show_output, json=as_json, existed=there)
    elif as_json:
        _show_accepted(tasks, accepted, existed)


def _show_accepted(
    tasks: Sequence[Task], accepted: Mapping[int, str], existed: Mapping[int, bool | None]
) -> None:
    known = sorted(dict(accepted).items())  # at one moment: the session's thread may still add to it
    show_json(
        [
            {"task": name, "command": tasks[index].title, "existed": existed.get(index, False)}
            for index, name in known
        ]
    )


def _say_that_it_existed(target: Target, name: str, *, secret: bool) -> None:
    if secret:  # nobody but masters and workers can tell whether these are others
        tell(
            f"{name} existed already: it keeps its first secret values. If they are to be others: "
            "another --name",
        )
    (views,) = look(target, lambda scope, then: read_tasks(scope, [name], then))
    for view in views:
        if view.ended:
            when = datetime.fromtimestamp(view.ended_at or view.created).astimezone()
            tell(
                f"{name}: already {view.state} at {when.isoformat(' ', 'seconds')}: it does not run again. "
                f"If it is to: mwapp rerun {name}",
            )


def _warn_if_unschedulable(target: Target, tasks: Sequence[Task]) -> None:
    """All have the same labels. They may wait for ever, so say so now."""
    labels = tasks[0].labels if tasks else ()
    if labels:
        (workers,) = look(target, read_workers)
        if not schedulable(labels, workers):
            tell(f"waiting: {no_worker(labels, workers)}")


def _calls(commands: list[str], name: str | None, settings: dict[str, Any]) -> list[Call[Any]]:
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
        commands = _lines(sys.stdin.buffer.read() if sys.stdin is not None else b"")
        if not commands:
            tell("standard input has no command: nothing to submit")
    elif "-" in commands:
        raise BadInputError("COMMAND: - reads commands from standard input, and has to be the only one")
    if name is not None and len(commands) != 1 and handler is None:
        raise BadInputError(f"--name: a name is for one task, but there are {len(commands)} commands")
    options: Options = {
        "name": name,
        "run_timeout": settings["run_timeout"],
        "retries": settings["retries"],
        "retry_delay": settings["retry_delay"],
        "delay": settings["delay"],
        "at": None if settings["at"] is None else _time(settings["at"]),
        "expires": settings["expires"],
        "env": dict(map(_variable, settings["env"])),
        "secrets": dict(map(_secret, settings["secret_env"])),
        "directory": settings["directory"],
        "labels": settings["task_label"],
    }
    calls = [Call(command, **options) for command in commands]
    if handler is not None:
        calls = [Call(handler=handler, argument=_argument(settings["argument"]), **options)]
    return [call.named() for call in calls]


def _lines(text: bytes) -> list[str]:
    """The lines that are not blank. Only a line feed ends a line: a command may have any other character."""
    try:
        lines = text.decode().split("\n")
    except UnicodeDecodeError as problem:
        line = text[: problem.start].count(b"\n") + 1
        raise BadInputError(f"standard input: line {line} is not UTF-8; nothing was submitted") from None
    return [line.removesuffix("\r") for line in lines if line.strip()]


def _variable(setting: str) -> tuple[str, str]:
    name, equals, value = setting.partition("=")
    if not equals:
        raise BadInputError(f"--env: {setting!r}: write NAME=VALUE")
    return name, value


def _secret(setting: str) -> tuple[str, str]:
    """Its name and value. No message shows what could be the value."""
    name, equals, where = setting.partition("=")
    if not equals and name in os.environ:
        return name, os.environ[name]
    if not equals:
        raise BadInputError(
            "--secret-env: there is no variable of that name here: set and export it, or write NAME=@FILE. "
            "(What you typed is not shown, because it could be the value.)"
        )
    if not where.startswith("@"):
        raise BadInputError(
            "--secret-env: NAME=VALUE: a command line is in the list of processes, where all on this host "
            "can read it: export NAME and write --secret-env NAME, or write --secret-env NAME=@FILE"
        )
    if not is_variable(name):
        raise BadInputError(
            "--secret-env: what is before =@ is no variable's name: letters, digits and _ , and not MWAPP_..."
        )
    try:
        value = Path(where[1:]).read_bytes().decode()  # as it is: text would have other line ends
    except (OSError, ValueError) as problem:
        why = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8"
        raise BadInputError(f"--secret-env: {name}: cannot read {where[1:]}: {why}") from None
    return name, value.removesuffix("\n")


def _time(text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        raise BadInputError(
            f"--at: {text!r} is not a time; write 2026-12-24T18:00, or 2026-12-24T18:00+01:00"
        ) from None


def _argument(text: str | None) -> Any:
    try:
        value = None if text is None else json.loads(text)
        twice = None if text is None else same_keys(text)
    except RecursionError:
        raise BadInputError("--argument: it is nested too deeply") from None
    except ValueError as problem:
        raise BadInputError(
            f"--argument: not JSON ({problem}); quote it for the shell: '{{\"width\": 640}}'"
        ) from None
    if twice is not None:
        raise BadInputError(f"--argument: {twice}")
    return value


def _submit(
    target: Target,
    calls: Sequence[Call[Any]],
    tasks: Sequence[Task],
    max_tasks: int,
    names: dict[int, str],
    existed: dict[int, bool | None],
    *,
    printed: bool,
) -> None:
    """``names`` gets the name of each accepted task, by index, at once; ``existed``, whether it was
    submitted earlier (None: unknown)."""
    refusals: list[Refusal] = []

    def accepted(index: int, name: str) -> None:
        names[index] = name
        if printed:
            show(name)

    def there(index: int, *, earlier: bool) -> None:
        existed[index] = earlier or None

    def build(process: Process, finished: Callback) -> ClientPart:
        return Submit(
            process,
            tasks,
            names={index: call.name for index, call in enumerate(calls) if call.name is not None},
            secrets={index: call.secrets for index, call in enumerate(calls) if call.secrets is not None},
            max_tasks=max_tasks,
            accepted=accepted,
            refused=lambda _, refusal: refusals.append(refusal),
            finished=finished,
            existed=there,
        )

    try:
        converse(target, build)
    except MwappError as problem:
        known = len(names)  # read once: the session's thread may still add to it
        if 0 < known < len(tasks):
            problem.args = (f"{problem}; {known} tasks accepted; {len(tasks) - known} unknown",)
        raise
    full = [refusal for refusal in refusals if refusal.full]
    if full:
        raise FullError(
            f"{len(full)} of {len(tasks)} tasks not submitted: {full[0].reason} (--max-tasks). Submit again "
            "later: finished tasks are removed after a while (mwapp master --retention, --keep)"
        )
    if refusals:
        raise RefusedError(f"{len(refusals)} of {len(tasks)} tasks refused: {refusals[0].reason}")
