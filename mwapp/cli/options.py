"""Options: each is a flag, an environment variable and a key of the config file, with one help text."""

import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from mwapp import logs
from mwapp.cli import config
from mwapp.cli.signals import ended_by_signals
from mwapp.errors import BadInputError
from mwapp.zookeeper.connect_string import DEFAULT, Servers

F = TypeVar("F", bound=Callable[..., Any])


def parsed(parse: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, str | None], Any]:
    """A callback for a setting with its own syntax. It raises BadInputError, which names the setting."""

    def callback(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Any:
        return None if value is None else parse(value)

    return callback


class Number(click.FloatRange):
    """A number in a range. "nan", which compares with none, is in no range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


def option(
    flag: str, *, key: str = "", environment: tuple[str, ...] = (), **settings: Any
) -> Callable[[F], F]:
    """An option ``--some-name``, variable ``MWAPP_SOME_NAME``, key ``some_name``.

    ``key``: a different key, for a flag that means different things to different commands. ``environment``:
    variables to use if ``MWAPP_...`` is not set.
    """
    key = key or flag.removeprefix("--").replace("-", "_")
    settings.setdefault("show_default", settings.get("default") is not None)
    variables = [f"MWAPP_{key.upper()}", *environment]
    return click.option(flag, key, envvar=variables, show_envvar=True, **settings)


def _configure_logs(ctx: click.Context, _param: click.Parameter, level: str) -> str:
    logs.configure(level, str(ctx.params.get("log_format", "text")))
    return level


def tls(function: F) -> F:
    """The options for connecting with TLS."""
    for decorate in reversed(
        (
            option(
                "--tls-ca",
                metavar="FILE",
                help="Connect with TLS: the CA certificates (PEM) that verify the servers.",
            ),
            option(
                "--tls-cert",
                metavar="FILE",
                help="With --tls-ca: the client certificate (PEM), and its key unless --tls-key has it.",
            ),
            option("--tls-key", metavar="FILE", help="With --tls-cert: the certificate's key (PEM)."),
        )
    ):
        function = decorate(function)
    return function


def common(function: F, level: str = "info") -> F:
    """The options of every command that talks to the ensemble."""
    for decorate in reversed(
        (
            option(
                "--config",
                type=click.Path(dir_okay=False, readable=False, path_type=Path),  # load() says why not
                is_eager=True,
                callback=config.load,
                help=f"TOML file with defaults for any option, as some_option = value. A table such as "
                f"[worker] applies to that command only. Default: {config.DEFAULT_CONFIG}, if it exists.",
            ),
            option(
                "--connect",
                callback=parsed(Servers.parse),
                default=DEFAULT,
                metavar="HOST:PORT,...[/PATH]",
                help="The ensemble's servers and, if it is shared, the znode that holds mwapp's data.",
            ),
            tls,
            option(
                "--log-format", type=click.Choice(logs.FORMATS), default="text", help="Format of log lines."
            ),
            option(
                "--log-level",
                type=click.Choice(logs.LEVELS),
                default=level,
                callback=_configure_logs,
                help="The lowest level to log.",
            ),
        )
    ):
        function = decorate(function)
    return function


TLS_SETTINGS = ("tls_ca", "tls_cert", "tls_key")


def servers_of(settings: dict[str, Any]) -> Servers:
    """The servers that these settings name, and how to connect.

    Raises:
        BadInputError: a file for TLS cannot be used, or is missing.
    """
    servers: Servers = settings["connect"]
    ca, cert, key = (settings.get(name) or None for name in TLS_SETTINGS)
    if ca is None:
        if cert or key:
            raise BadInputError(
                "--tls-ca: missing beside --tls-cert: give the CA that the servers' certificates must be from"
            )
        return servers
    if cert is None:
        raise BadInputError("--tls-cert: missing. With --tls-ca, give the client certificate, too")
    from mwapp.zookeeper.tls import Tls  # seldom needed

    return replace(servers, tls=Tls(ca, cert, key))


def client(function: F) -> F:
    """The options of commands for people and scripts, which tell what they have done whatever ends them."""
    function = ended_by_signals()(function)  # it is a decorator, too
    for decorate in reversed(
        (
            lambda function: common(function, "warning"),
            option(
                "--connect-timeout",
                type=Number(min=0, min_open=True),
                default=10.0,
                metavar="SECONDS",
                help="Give up (exit status 3) if the ensemble does not answer for this long.",
            ),
            option(
                "--output",
                type=click.Choice(["table", "json"]),
                default="table",
                help="A table for people, JSON for programs.",
            ),
        )
    ):
        function = decorate(function)
    return function


def host_name() -> str:
    """This host's name without its domain."""
    return os.uname().nodename.partition(".")[0]
