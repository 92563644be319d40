"""Runs a part of the core for the length of one command."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from mwapp.core.session import Call, Process, Scope
from mwapp.loop import Loop
from mwapp.status.overview import Look
from mwapp.zookeeper.connect_string import Servers

# Session time-out of commands, seconds. They create no ephemerals. If the reply to a submission is lost, they
# must find out what became of it (UNDER_WAY in core/client.py) before the task can be removed
# (Retention.least in core/retention.py).
COMMAND_SESSION_SECONDS = 4.0


@dataclass(frozen=True, slots=True)
class Target:
    """Which ensemble, and how long it may stay silent (seconds)."""

    connect: Servers
    connect_timeout: float


def converse(target: Target, build: Callable[[Process, Call], object], timeout: float | None = None) -> None:
    """Run the part that ``build`` creates until it calls the function that it got.

    Raises:
        UnreachableError: the ensemble does not answer.
        TimedOutError: not done after ``timeout`` seconds.
    """
    process = Process()
    loop = Loop(process, target.connect, COMMAND_SESSION_SECONDS)
    build(process, loop.stop)
    loop.run(connect_timeout=target.connect_timeout, timeout=timeout)


def look(target: Target, *reads: Callable[[Scope, Callable[[Any], None]], None]) -> list[Any]:
    """Carry out several reads at once; returns the result of each.

    Raises:
        UnreachableError: the ensemble does not answer.
    """
    results: dict[int, Any] = {}

    def build(process: Process, finished: Call) -> None:
        def read_all(scope: Scope) -> None:
            results.clear()
            for number, read in enumerate(reads):
                read(scope, partial(done, number))

        def done(number: int, result: Any) -> None:
            results[number] = result
            if len(results) == len(reads):
                finished()

        Look(process, read_all)

    converse(target, build)
    return [results[number] for number in range(len(reads))]
