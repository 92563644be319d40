"""TASK arguments: a task's name or its number, completed by the shell."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import click

from mwapp.cli import config, options
from mwapp.cli.options import F
from mwapp.cli.session import Target, look
from mwapp.errors import MwappError
from mwapp.status.overview import read_names
from mwapp.zookeeper.connect_string import DEFAULT, Servers

# How long a TAB waits for the ensemble, seconds; and how many of the newest names it offers.
COMPLETION_SECONDS = 1.0
MOST_OFFERED = 50


def tasks_argument(*, required: bool) -> Callable[[F], F]:
    """The argument ``tasks``, for :func:`mwapp.client.calls.task_name`."""
    metavar = "TASK..." if required else "[TASK...]"
    return click.argument("tasks", nargs=-1, required=required, metavar=metavar, shell_complete=_offer)


def timeout(text: str, default: float | None = None) -> Callable[[F], F]:
    """The option ``--timeout`` of commands that wait."""

    def decorate(function: F) -> F:
        return options.option(
            "--timeout",
            type=options.Number(min=0, min_open=True),
            default=default,
            metavar="SECONDS",
            help=text + " Exit status 5.",
        )(function)

    return decorate


def _offer(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names with that beginning. Whatever goes wrong, a TAB prints only names."""
    logging.disable()
    try:
        with Target(_connect(ctx), COMPLETION_SECONDS) as target:
            (names,) = look(target, read_names)
    except MwappError:
        return []
    return [name for name in reversed(names) if name.startswith(incomplete)][:MOST_OFFERED]


def _connect(ctx: click.Context) -> Servers:
    """During completion click does not read the config file. A TAB leaves no trace of what is mistyped."""
    settings = {}
    if config.DEFAULT_CONFIG.is_file():
        settings = config.read(config.DEFAULT_CONFIG, ctx)
    given = {name: _given(ctx, name, settings) for name in ("connect", *options.TLS_SETTINGS)}
    servers = options.servers_of(given | {"connect": Servers.parse(str(given["connect"] or DEFAULT))})
    return replace(servers, creates_chroot=False)


def _given(ctx: click.Context, name: str, settings: dict[str, Any]) -> Any:
    source = ctx.get_parameter_source(name)
    if name in settings and source in (None, click.core.ParameterSource.DEFAULT):
        return settings[name]
    return ctx.params.get(name)
