"""TASK arguments: a task's name or its number, completed by the shell."""

import logging
from collections.abc import Callable

import click

from mwapp.cli import options
from mwapp.cli.options import F
from mwapp.cli.session import Target, look
from mwapp.core.protocol import TASK_PREFIX, TASKS
from mwapp.errors import BadInputError, MwappError
from mwapp.status.overview import read_names
from mwapp.zookeeper.connect_string import Servers

# How long a TAB waits for the ensemble, seconds; and how many of the newest names it offers.
COMPLETION_SECONDS = 1.0
MOST_OFFERED = 50


def tasks_argument(*, required: bool) -> Callable[[F], F]:
    """The argument ``tasks``, for :func:`task_name`."""
    metavar = "TASK..." if required else "[TASK...]"
    return click.argument("tasks", nargs=-1, required=required, metavar=metavar, shell_complete=_offer)


def task_name(text: str) -> str:
    """The name of the task for a name, a number or a path."""
    name = text.removeprefix(TASKS + "/")
    if name.isdecimal():
        name = f"{TASK_PREFIX.rpartition('/')[2]}{int(name):010}"
    if not name or "/" in name:
        raise BadInputError(
            f"TASK: {text!r} is not the name of a task; write, for example, task-0000000007 or 7"
        )
    return name


def timeout(text: str, default: float | None = None) -> Callable[[F], F]:
    """The option ``--timeout`` of commands that wait."""

    def decorate(function: F) -> F:
        return options.option(
            "--timeout",
            type=click.FloatRange(min=0, min_open=True),
            default=default,
            metavar="SECONDS",
            help=text + " Exit status 5.",
        )(function)

    return decorate


def _offer(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names with that beginning. Whatever goes wrong, a TAB prints only names."""
    logging.disable()
    try:
        (names,) = look(Target(_connect(ctx), COMPLETION_SECONDS), read_names)
    except MwappError:
        return []
    return [name for name in reversed(names) if name.startswith(incomplete)][:MOST_OFFERED]


def _connect(ctx: click.Context) -> Servers:
    """During completion click does not read the config file."""
    settings = {}
    if options.DEFAULT_CONFIG.is_file():
        settings = options.read_config(options.DEFAULT_CONFIG, ctx)
    given = ctx.params.get("connect")
    source = ctx.get_parameter_source("connect")
    if given is None or (source is click.core.ParameterSource.DEFAULT and "connect" in settings):
        return Servers.parse(str(settings.get("connect", "127.0.0.1:2181")))
    return given if isinstance(given, Servers) else Servers.parse(str(given))
