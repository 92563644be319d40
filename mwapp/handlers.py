"""Handlers: Python functions that workers run as tasks.

A distribution offers them by entry points (docs/handlers.md):

    [project.entry-points."mwapp.handlers"]
    resize = "pictures:resize"

    def resize(argument: dict[str, int], run: mwapp.handlers.Run) -> str: ...

``argument`` is the task's JSON. The task's output is what the function prints, and then what it returns: text
as it is, anything else as JSON. An exception fails the task.
"""

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple

GROUP = "mwapp.handlers"
# How many characters of the handlers' names a reason shows.
MOST_NAMES = 1000


class UnknownHandlerError(Exception):
    """There is no such handler; the message lists those that exist."""


class Run(NamedTuple):  # no dataclass: every process that runs handlers would wait for that import
    """Which run of which task this is."""

    task: str
    attempt: int  # from 1 on; grows with every run of the task that may have begun
    epoch: int | None  # of the master that assigned it; None: a person assigned it
    incarnation: int  # of the worker: how often its name was registered before
    worker: str

    @property
    def token(self) -> tuple[int, int]:
        """The fencing token (epoch, attempt): the later of two runs of a task has the greater one."""
        return (-1 if self.epoch is None else self.epoch, self.attempt)

    @staticmethod
    def read(environment: Mapping[str, str]) -> "Run":
        """Read it from the variables that every run has; in a command written in Python, ``os.environ``.

        Raises:
            KeyError: it is not run by a worker.
        """
        return Run(
            environment["MWAPP_TASK"],
            int(environment["MWAPP_ATTEMPT"]),
            int(environment["MWAPP_EPOCH"]) if environment["MWAPP_EPOCH"] else None,
            int(environment["MWAPP_INCARNATION"]),
            environment["MWAPP_WORKER"],
        )


Handler = Callable[[Any, Run], Any]


def echo(argument: Any, _run: Run) -> Any:
    """Return the argument: to try things out, and to measure what a task costs."""
    return argument


def offered() -> dict[str, list[EntryPoint]]:
    """Every handler of this installation, by name. Two handlers of one name cannot be used."""
    found: dict[str, list[EntryPoint]] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, origin(point))):
        found.setdefault(point.name, []).append(point)
    return found


def origin(point: EntryPoint) -> str:
    """Its distribution and version."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else "?"


def choose(name: str, among: Mapping[str, list[EntryPoint]]) -> EntryPoint:
    """The handler of that name.

    Raises:
        UnknownHandlerError: there is none, or more than one.
    """
    points = among.get(name, [])
    if not points:
        names = ", ".join(among) or "none"
        names = names if len(names) <= MOST_NAMES else names[:MOST_NAMES] + " ..."
        raise UnknownHandlerError(f"unknown handler {name[:80]!r}; known handlers: {names} (mwapp handlers)")
    if len(points) > 1:
        raise UnknownHandlerError(
            f"handler {name!r} is offered by several distributions: {', '.join(map(origin, points))}"
        )
    return points[0]
