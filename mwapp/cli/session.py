"""The ensemble that a command talks to, in one session from its first question to its end."""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property, partial
from types import TracebackType
from typing import Any

import click

from mwapp.cli.options import servers_of
from mwapp.client.background import Background
from mwapp.client.handles import seconds
from mwapp.core.client import ClientPart
from mwapp.core.session import Callback, Process, Scope
from mwapp.errors import TimedOutError, UnreachableError
from mwapp.status.overview import Look
from mwapp.zookeeper.connect_string import Servers
from mwapp.zookeeper.resolve import nobody_there


class Target:
    """Which ensemble, and how long it may stay silent (seconds). A context manager."""

    def __init__(self, connect: Servers, connect_timeout: float) -> None:
        self.connect = connect
        self.connect_timeout = connect_timeout

    @cached_property
    def session(self) -> Background:
        """Opened when it is first used. Raises UnreachableError if no server's name has an address."""
        problem = nobody_there("--connect", self.connect)
        if problem is not None:
            raise UnreachableError(problem)
        return Background(self.connect, self.connect_timeout, "--connect")

    @property
    def answers(self) -> bool:
        """Whether it has answered of late."""
        return "session" in vars(self) and self.session.usable

    def __enter__(self) -> "Target":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if "session" in vars(self):
            self.session.close()


def target_of(settings: dict[str, Any], longest: float | None = None, *, creates: bool = False) -> Target:
    """What this command's options say, until it ends; silent for ``longest`` at most. A command that
    ``creates`` nothing but what belongs to existing tasks and tables does not create the chroot, either."""
    timeout = settings["connect_timeout"]
    timeout = timeout if longest is None else min(longest, timeout)
    servers = replace(servers_of(settings), creates_chroot=creates)
    return click.get_current_context().with_resource(Target(servers, timeout))


def converse(
    target: Target, build: Callable[[Process, Callback], ClientPart], timeout: float | None = None
) -> None:
    """Run the part that ``build`` creates until it calls the function that it got.

    Raises:
        UnreachableError: the ensemble does not answer.
        TimedOutError: not done after ``timeout`` seconds.
    """
    future = target.session.converse(build)
    try:
        future.result(seconds(timeout))
    except TimeoutError:
        raise TimedOutError from None
    finally:
        future.cancel()


def look(target: Target, *reads: Callable[[Scope, Callable[[Any], None]], None]) -> list[Any]:
    """Carry out several reads at once; returns the result of each.

    Raises:
        UnreachableError: the ensemble does not answer.
    """
    results: dict[int, Any] = {}

    def build(process: Process, finished: Callback) -> ClientPart:
        def read_all(scope: Scope) -> None:
            results.clear()
            for number, read in enumerate(reads):
                read(scope, partial(done, number))

        def done(number: int, result: Any) -> None:
            results[number] = result
            if len(results) == len(reads):
                finished()

        return Look(process, read_all)

    converse(target, build)
    return [results[number] for number in range(len(reads))]
