"""Handlers: Python functions that workers run as tasks.

A distribution offers them by entry points (docs/handlers.md):

    [project.entry-points."mwapp.handlers"]
    resize = "pictures:resize"

    def resize(argument: dict[str, int], run: mwapp.handlers.Run) -> str: ...

``argument`` is whatever JSON the task gives. What is printed is the task's output, and at its end what is
returned: text as it is, anything else as JSON. An exception fails the task.
"""

from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple

GROUP = "mwapp.handlers"
# Of the handlers' names so many characters are shown in a reason.
MOST_NAMES = 1000


class UnknownHandlerError(Exception):
    """There is no such handler; the message says which there are."""


class Run(NamedTuple):  # no dataclass: every process that runs handlers would wait for their import
    """Which run of which task this is."""

    task: str
    attempt: int  # from 1 on; grows with every run of the task that may have begun
    epoch: int | None  # of the master that assigned it; None: a person did
    incarnation: int  # of the worker: how often its name was registered before
    worker: str

    @property
    def token(self) -> tuple[int, int]:
        """The fencing token (epoch, attempt): of two runs of a task the later one's is the greater."""
        return (-1 if self.epoch is None else self.epoch, self.attempt)

    @staticmethod
    def read(environment: Mapping[str, str]) -> "Run":
        """From the variables that every run has; for a command written in Python, ``os.environ``.

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
    """Every handler that this installation knows, by name. Two of one name cannot be used."""
    found: dict[str, list[EntryPoint]] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, origin(point))):
        found.setdefault(point.name, []).append(point)
    return found


def origin(point: EntryPoint) -> str:
    """The distribution it is from, and its version."""
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
