"""Handlers: Python functions that workers run as tasks.

A distribution offers them by entry points (docs/handlers.md):

    [project.entry-points."mwapp.handlers"]
    resize = "pictures:resize"

    def resize(argument: dict[str, int], run: mwapp.handlers.Run) -> str: ...

``argument`` is the task's JSON. What the function returns is the task's result, as JSON; what it prints is
the task's output. An exception fails the task.

Or it is a function of any arguments, in a module that workers can import (docs/python.md):

    @handler
    def add(x: int, y: int) -> int: ...

Its name is ``module:function``, its argument the JSON object of its arguments by name.

The handler of a shard is a class, :class:`Shard`.
"""

import sys
from collections.abc import Callable, Mapping
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, ParamSpec, TypeVar, Unpack, overload

from mwapp.errors import BadInputError, TaskFailedError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from mwapp.client.calls import Call, Options
    from mwapp.core.protocol import Outcome

P = ParamSpec("P")
R = TypeVar("R")

GROUP = "mwapp.handlers"
# In place of a group, for functions with @handler, which no distribution needs to offer.
_MARKED = "@handler"
# How many characters of the handlers' names a reason shows.
MOST_NAMES = 1000
# So many characters an address of a shard's handler may have: a worker tells all of its shards in one znode.
MOST_ADDRESS = 200


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


# What an entry point names; or a Handler.
Called = Callable[[Any, Run], Any]


class Handler(Generic[P, R]):
    """A function that a task can run by its name. Called directly, it runs here."""

    def __init__(self, function: Callable[P, R], options: "Options") -> None:
        """Raises BadInputError if a task cannot run it."""
        _check_function(function)
        if options:
            from mwapp.client.calls import Call  # here, because workers seldom need it

            Call("true", **options).task(None)
        # As inspect, pickle and their like expect it. What else the function has could hide our own.
        update_wrapper(self, function, updated=())
        self.function = function
        self._options = options

    def __reduce__(self) -> str:
        """For pickle: it is found by its name, as a function is."""
        return self.function.__qualname__

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<handler {self.function.__module__}:{self.function.__qualname__}>"

    @property
    def name(self) -> str:
        """``module:function``, as workers find it. Raises BadInputError if they cannot."""
        module, function = self.function.__module__, self.function.__qualname__
        there = getattr(sys.modules.get(module), function, self)
        if not isinstance(there, Handler):
            raise BadInputError(
                f"@handler: {module}.{function} is not what workers would run; write @handler above its "
                "definition, and above all other decorators"
            )
        if module == "__main__":  # for workers it is the module that this program was started from
            module = _main_module()
        if not all(word.isidentifier() for word in module.split(".")):
            raise BadInputError(
                f"@handler: workers cannot import {module}: name it with letters, digits and _ alone"
            )
        return f"{module}:{function}"

    def call(self, /, *args: P.args, **kwargs: P.kwargs) -> "Call[R]":
        """The call with these arguments, to be submitted. Raises BadInputError if it does not take them."""
        import inspect  # here, because workers do not need these

        from mwapp.client.calls import Call

        signature = inspect.signature(self.function)
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as problem:
            raise BadInputError(f"{self.name}: {problem}; it takes {signature}") from None
        return Call(handler=self.name, argument=_by_name(bound), read=self.read, **self._options)

    def read(self, outcome: "Outcome") -> Any:
        """What it has returned. Raises TaskFailedError if that is nothing, not even None: by sys.exit(0)."""
        if outcome.result is not None:
            return outcome.value
        if self.function.__annotations__.get("return") in (None, "None"):
            return None
        raise TaskFailedError(f"it has returned nothing, but left by sys.exit({outcome.code or 0})")


@overload
def handler(function: Callable[P, R], /) -> Handler[P, R]: ...


@overload
def handler(
    function: None = None, /, **options: "Unpack[Options]"
) -> Callable[[Callable[P, R]], Handler[P, R]]: ...


def handler(function: Callable[P, R] | None = None, /, **options: "Unpack[Options]") -> Any:
    """Make a function one that tasks can run: ``@handler``, or with options ``@handler(retries=3)``."""
    if function is None:
        return lambda function: Handler(function, options)
    return Handler(function, options)


# Flags of a function's code: it takes *args; it is a coroutine, a generator, or both.
_STARRED, _NO_PLAIN_FUNCTION = 0x04, 0x20 | 0x80 | 0x200


def _check_function(function: Any) -> None:
    if isinstance(function, Handler):
        raise BadInputError(f"@handler: {function.function.__qualname__} is one already; write it once")
    inner = function
    while hasattr(inner, "__wrapped__"):  # by other decorators
        inner = inner.__wrapped__
    code = getattr(inner, "__code__", None)
    if code is None:
        raise BadInputError(f"@handler: {function!r} is not a function; write @handler above a def")
    name = function.__qualname__
    if not name.replace(".", "").isidentifier() and "<locals>" not in name:
        raise BadInputError(f"@handler: {name} has no name that workers could look for; use def")
    if "." in name:
        raise BadInputError(f"@handler: {name} is not at the top of its module, where workers look for it")
    if code.co_flags & _NO_PLAIN_FUNCTION:
        raise BadInputError(f"@handler: {name} has to be a plain function; call asyncio.run in it")
    if code.co_flags & _STARRED or code.co_posonlyargcount:
        raise BadInputError(f"@handler: each argument of {name} needs a name: no *args and no /")


def _main_module() -> str:
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return str(spec.name)
    file = str(getattr(main, "__file__", None))
    if not file.endswith(".py"):
        raise BadInputError(f"@handler: workers cannot import {file}: put the function in a module (NAME.py)")
    return file.rpartition("/")[2].removesuffix(".py")


def _by_name(bound: Any) -> dict[str, Any]:
    """The arguments that were given; what **kwargs takes is among them."""
    more = {p.name for p in bound.signature.parameters.values() if p.kind is p.VAR_KEYWORD}
    given = {name: value for name, value in bound.arguments.items() if name not in more}
    return given | {key: value for name in more for key, value in bound.arguments.get(name, {}).items()}


class Term(NamedTuple):
    """What a worker is for a shard, until it is told something else."""

    generation: int  # grows with each change of the primary, and with some others; put it on every write
    role: str  # "primary" or "replica"
    primary: str  # the worker that is the primary; empty: nobody yet
    members: Mapping[str, str]  # the workers that have the shard: "sync", "copy" or "back" (docs/shards.md)


class Shard:
    """The handler of a shard: derive a class from it, and name it ``module:Class`` (docs/handlers.md).

    There is an object, in a process of its own, for each shard that a worker has. Its methods are called in
    the main thread, one after the other. So they have to return soon; what serves meanwhile runs in threads.
    An exception ends the process, and the shard is opened anew after a pause, here or elsewhere.
    """

    # Where its clients reach it, such as "host:port": set it in open or promote. They are told with the next
    # thing that the handler says, that is when the method has returned (docs/python.md). Empty: unknown.
    address: str = ""
    # Tells tables of the same name apart: one that was made after this one was deleted has a greater number.
    # What a handler keeps on disk for a table should have it beside it.
    table_czxid: int = 0

    def __init__(self, table: str, shard: int, worker: str) -> None:
        self.table, self.shard, self.worker = table, shard, worker

    def open(self, term: Term) -> None:
        """Be a replica. A primary is opened as one, too, and then promoted."""

    def caught_up(self) -> bool:
        """Whether a replica has everything that was acknowledged. After True the primary of the generation
        told last may acknowledge nothing without it. It is asked many times a second until then."""
        return True

    def promote(self, term: Term) -> None:
        """Be the primary: serve, and write with this generation alone. It may be one already, under
        another."""

    def handover(self, term: Term, to: str) -> None:
        """As the primary finish what has begun, begin nothing more, and let the worker ``to`` have everything
        (empty: nobody is to have it). When this returns, the next one begins."""

    def demote(self, term: Term) -> None:
        """Be a replica, of another primary or under another generation."""

    def close(self) -> None:
        """Close what is open. The process ends when this returns, with its threads and all that it started;
        or a few seconds later in any case."""


def same_keys(written: str) -> str | None:
    """Why this JSON has not all that was written: keys of a dict that are one text there; None: it has."""
    if "{" not in written:
        return None
    import json  # here, because not all need these
    from collections import Counter

    twice: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        counted = Counter(key for key, _ in pairs)
        twice.extend(key for key, count in counted.items() if count > 1)

    json.loads(written, object_pairs_hook=look)
    return f"two keys of a dict are {twice[0]!r} there: keys are text" if twice else None


def problem_of_address(address: object) -> str | None:
    """Why no client can be told that address; None: it can be."""
    if isinstance(address, str) and len(address) <= MOST_ADDRESS and address.isprintable():
        return None
    shown = repr(address)[:80]
    return (
        f"its address cannot be {shown}: use text such as 'host:port', without control characters, "
        f"at most {MOST_ADDRESS} characters"
    )


def load_shard(point: "EntryPoint") -> type[Shard]:
    """Import the handler of a shard. Raises whatever its module raises, and TypeError if it is none."""
    found = point.load()
    if not isinstance(found, type) or not issubclass(found, Shard):
        raise TypeError(f"{point.value} is no handler of shards: derive it from mwapp.handlers.Shard")
    return found


def echo(argument: Any, _run: Run) -> Any:
    """Return the argument: to try things out, and to measure what a task costs."""
    return argument


def offered() -> "dict[str, list[EntryPoint]]":
    """Every handler of this installation, by name. Two handlers of one name cannot be used."""
    from importlib.metadata import entry_points  # here, because clients do not need it

    found: dict[str, list[EntryPoint]] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, origin(point))):
        found.setdefault(point.name, []).append(point)
    return found


def origin(point: "EntryPoint") -> str:
    """Its distribution and version."""
    return f"{point.dist.name} {point.dist.version}" if point.dist else "?"


def choose(name: str, among: "Mapping[str, list[EntryPoint]]") -> "EntryPoint":
    """The handler of that name.

    Raises:
        UnknownHandlerError: there is none, or more than one.
    """
    points = among.get(name, [])
    module, _, function = name.partition(":")
    if not points and all(word.isidentifier() for word in (*module.split("."), function)):
        from importlib.metadata import EntryPoint

        return EntryPoint(name, name, _MARKED)
    if not points:
        names = ", ".join(among) or "none"
        names = names if len(names) <= MOST_NAMES else names[:MOST_NAMES] + " ..."
        raise UnknownHandlerError(f"unknown handler {name[:80]!r}; known handlers: {names} (mwapp handlers)")
    if len(points) > 1:
        raise UnknownHandlerError(
            f"handler {name!r} is offered by several distributions: {', '.join(map(origin, points))}"
        )
    return points[0]


def load(point: "EntryPoint") -> Called:
    """Import it. Raises whatever its module raises, and TypeError if it is no handler."""
    found: Called = point.load()
    if point.group == _MARKED and not isinstance(found, Handler):
        raise TypeError(f"{point.value} is not a handler: write @handler above its definition")
    return found
