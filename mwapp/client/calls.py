"""What can be submitted: a call with its options. Each is checked alone, and named if it is wrong."""

import json
import os
import pwd
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Generic, TypedDict, TypeVar, Unpack, overload

from mwapp.core.protocol import TASK_PREFIX, TASKS, Outcome
from mwapp.core.task import (
    MAX_SUBMITTER,
    BadTaskError,
    Task,
    check_submitter,
    check_task_name,
    encode_secrets,
    make_key,
)
from mwapp.errors import BadInputError
from mwapp.handlers import Handler, same_keys
from mwapp.zookeeper.connect_string import NO_NAME

R = TypeVar("R")


class Options(TypedDict, total=False):
    """How a task is run, as at the command line (``mwapp submit --help``)."""

    name: str | None  # instead of a number: submitted again, it stays one task
    run_timeout: float | None  # seconds a run may take
    retries: int  # how often a failed run is repeated
    retry_delay: float  # seconds before the first repeat; the pause doubles each time
    delay: float | None  # seconds after its submission before which it does not begin
    at: datetime | float | None  # it does not begin before that (a number: seconds since the Unix epoch)
    expires: float | None  # seconds after its submission: it fails if no worker has it by then
    env: Mapping[str, str]
    secrets: Mapping[str, str]  # the same, but only masters and workers can read the values
    directory: str | None  # to run in
    labels: list[str] | tuple[str, ...]  # its worker must have all of them


Fits = Callable[[Any], bool]

# How long the name of a task that a person made may be; clients choose 100 characters at most. Servers drop
# the connection of whoever asks for a much longer one, again and again.
MOST_NAME = 1000
_NO_NAME = re.compile(f"[{NO_NAME}]")
# How much of what was given a message shows, characters.
MOST_SHOWN = 200


def text(value: object) -> bool:
    """Whether it is text, or left out."""
    return value is None or isinstance(value, str)


def is_text(value: object) -> bool:
    """Whether it is text."""
    return isinstance(value, str)


def number(value: object) -> bool:
    """Whether it is a number, or left out."""
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


# What each option may be, and how to say it. mypy tells it earlier; how large and how long, the core tells.
_OPTIONS: dict[str, tuple[Fits, str]] = {
    "name": (text, "text"),
    "run_timeout": (number, "a number of seconds"),
    "retries": (number, "a number"),
    "retry_delay": (number, "a number of seconds"),
    "delay": (number, "a number of seconds"),
    "at": (lambda it: isinstance(it, datetime) or number(it), "a datetime, or seconds since the Unix epoch"),
    "expires": (number, "a number of seconds"),
    "env": (lambda it: isinstance(it, Mapping) and all(map(is_text, (*it, *it.values()))), "a dict of text"),
    "secrets": (lambda it: isinstance(it, Mapping) and all(map(text, (*it, *it.values()))), "a dict of text"),
    "directory": (text, "an absolute path as text"),
    "labels": (
        lambda it: isinstance(it, list | tuple) and all(map(is_text, it)),
        "a list of text, such as ['gpu']",
    ),
}


class Call(Generic[R]):
    """A shell command or a handler with its argument, and options: one task to be submitted.

    ``Call("make -j2", retries=2)``, ``Call(handler="echo", argument={"text": "hello"})``. For a function with
    ``@handler`` write ``add.call(1, 2)``.
    """

    @overload
    def __init__(self: "Call[str]", command: str, /, **options: Unpack[Options]) -> None: ...

    @overload
    def __init__(
        self: "Call[Any]",
        command: str | None = None,
        /,
        *,
        handler: str | None = None,
        argument: Any = None,
        **options: Unpack[Options],
    ) -> None: ...

    @overload
    def __init__(
        self,
        command: str | None = None,
        /,
        *,
        handler: str | None = None,
        argument: Any = None,
        read: Callable[[Outcome], R],
        **options: Unpack[Options],
    ) -> None: ...

    def __init__(
        self,
        command: str | None = None,
        /,
        *,
        handler: str | None = None,
        argument: Any = None,
        read: Callable[[Outcome], Any] | None = None,
        **options: Any,
    ) -> None:
        """``read`` makes the result of how the task has ended. Without it, that is what a handler has
        returned, or a command has written."""
        check_fits("command", command, text, "text")
        check_fits("handler", handler, text, "text")
        for option, value in options.items():
            if option not in _OPTIONS:
                known = ", ".join(_OPTIONS)
                raise BadInputError(f"{option}: there is no such option; the options are {known}")
            fits, words = _OPTIONS[option]
            if option == "secrets" and not fits(value):  # no message may show them
                raise BadInputError(f"secrets: this {type(value).__name__} is not {words}")
            check_fits(option, value, fits, words)
        self.command, self.handler, self.argument = command, handler, argument
        self.read: Callable[[Outcome], Any] = read or (written if handler is None else returned)
        self._options: dict[str, Any] = dict(options)

    def options(self, **options: Unpack[Options]) -> "Call[R]":
        """The same call with these options, too: ``add.call(1, 2).options(retries=3)``."""
        return Call(
            self.command,
            handler=self.handler,
            argument=self.argument,
            read=self.read,
            **{**self._options, **options},
        )

    @property
    def name(self) -> str | None:
        """The name that the task is to have, if the client chooses it."""
        name: str | None = self._options.get("name")
        return name

    @property
    def secrets(self) -> bytes | None:
        """Its secret values as they are stored; None: it has none."""
        values = self._options.get("secrets")
        return encode_secrets(values) if values else None

    def named(self) -> "Call[R]":
        """The same with a name: a task with secret values must have one, so it gets one if it has none."""
        if self.name is not None or not self._options.get("secrets"):
            return self
        return self.options(name=f"secret-{os.urandom(8).hex()}")

    def task(self, key: str | None, typed: Mapping[str, str] | None = None) -> Task:
        """As it is stored. ``typed``: how the user writes the arguments, if not by their names.

        Raises:
            BadInputError: it could never run; the message begins with the argument.
        """
        name, shown = self.name, partial(_shown, typed or {})
        check_by(shown("at"), _moment, self._options.get("at"))
        if name is not None:
            check_by(shown("name"), check_task_name, name)
        if secrets := self._options.get("secrets"):
            check_by(shown("secrets"), encode_secrets, secrets)
        what = {"command": self.command, "handler": self.handler, "argument": self.argument}
        how = self._how()
        task = Task(**what, **how, key=key)
        if name is not None:  # the name marks it
            task = replace(task, key=make_key(task.submitter) if task.submitter else None)
        try:
            if self.handler is not None:
                _check_json(self.argument)
            task.encode()
        except (
            BadTaskError,
            RecursionError,
        ) as problem:  # each alone, so that the message can name the wrong one
            if self.handler is not None:
                check(shown("handler"), handler=self.handler)
                check_by(shown("argument"), _check_json, self.argument)
                check(shown("argument"), handler=self.handler, argument=self.argument)
            for option in [option for option in _FIELDS if option in self._options]:
                these = {"expires": {"delay", "expires"}, "secrets": {"environment", "secrets"}}.get(
                    option, {_FIELDS[option]}
                )
                check(shown(option), command="true", **{field: how.get(field) for field in these})
            setting = shown("command" if self.handler is None else "argument")
            raise BadInputError(f"{setting}: {problem}") from None
        _check_expiry(task, shown)
        return task

    def _how(self) -> dict[str, Any]:
        """In sorted order, so that the same task is the same bytes."""
        how = {field: self._options[option] for option, field in _FIELDS.items() if option in self._options}
        if "not_before" in how:
            how["not_before"] = _moment(how["not_before"])
        return how | {
            "environment": dict(sorted(how.get("environment", {}).items())),
            "labels": tuple(sorted(set(how.get("labels", ())))),
            "secrets": tuple(sorted(how.get("secrets", ()))),
        }


# What the options are called where they are stored.
_FIELDS = {
    "run_timeout": "timeout",
    "retries": "retries",
    "retry_delay": "retry_delay",
    "delay": "delay",
    "at": "not_before",
    "expires": "expires",
    "env": "environment",
    "directory": "directory",
    "labels": "labels",
    "secrets": "secrets",
}


def _moment(at: datetime | float | None) -> float | None:
    """As seconds since the Unix epoch. Raises BadTaskError if the platform has no such time."""
    if not isinstance(at, datetime):
        return at
    try:
        return at.timestamp()  # without a time zone it is local time
    except (ValueError, OverflowError) as problem:
        raise BadTaskError(f"{at} is out of range ({problem})") from None


def _check_expiry(task: Task, shown: Callable[[str], str]) -> None:
    """With a delay the task itself tells it. Raises BadInputError if it could only fail."""
    if task.expires is None or task.not_before is None:
        return
    left = task.not_before - time.time()
    if task.expires <= left:
        raise BadInputError(
            f"{shown('expires')}: the task fails after {task.expires:g} s, but {shown('at')!r} keeps it from "
            f"beginning for {left:.0f} s by this machine's clock"
        )


def _check_json(argument: Any) -> None:
    """Raises BadTaskError if not all would read it as it is, and RecursionError."""
    try:
        written = json.dumps(argument, allow_nan=False)
    except (TypeError, ValueError) as problem:
        raise BadTaskError(f"task field 'argument' cannot be written as JSON: {problem}") from None
    twice = same_keys(written)
    if twice is not None:
        raise BadTaskError(f"task field 'argument' cannot be written as JSON: {twice}")


def _shown(typed: Mapping[str, str], argument: str) -> str:
    return typed.get(argument, argument)


def call_of(what: object, arguments: tuple[Any, ...], named: dict[str, Any]) -> Call[Any]:
    """What ``submit(what, *arguments, **named)`` means. Raises BadInputError."""
    if isinstance(what, Handler):
        call: Call[Any] = what.call(*arguments, **named)
        return call
    if isinstance(what, str) and not arguments:
        return Call(what, **named)
    if isinstance(what, Call) and not arguments and not named:
        return what
    if isinstance(what, str):
        raise BadInputError("submit: write a shell command's arguments in the command itself")
    if isinstance(what, Call):
        raise BadInputError("submit: a Call has its arguments; set its options by call.options(...)")
    if callable(what):
        name = getattr(what, "__qualname__", repr(what))
        raise BadInputError(f"submit: {name} is no handler; write @handler above its definition")
    raise BadInputError(
        f"submit: {brief(what)} is not a shell command (text), a function with @handler, or a Call"
    )


def task_name(text: str, argument: str = "TASK") -> str:
    """The name of the task for a name, a number or a path. Raises BadInputError."""
    name = text.removeprefix(TASKS + "/")
    if len(name) > MOST_NAME or name in ("", ".", "..") or _NO_NAME.search(name):
        raise BadInputError(
            f"{argument}: {brief(text)} is not the name of a task; write, for example, task-0000000007 or 7"
        )
    if re.fullmatch("[0-9]+", name):  # other digits may be in the name of a task that a person made
        name = f"{TASK_PREFIX.rpartition('/')[2]}{int(name):010}"
    return name


def new_key(submitter: str) -> str:
    """A key that no other submission has."""
    return make_key(submitter, os.urandom(16).hex())


def submitter_of(given: str | None, setting: str = "submitter") -> str:
    """Who submits: what is ``given``, or else this user at this host.

    Raises:
        BadInputError: nobody can be called that; the message begins with the ``setting``.
    """
    if given is not None:
        checked: str = check_by(setting, check_submitter, given)
        return checked
    text = f"{_user()}@{os.uname().nodename.partition('.')[0]}"
    return "".join(c if c.isprintable() and c != " " else "_" for c in text)[:MAX_SUBMITTER]


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:  # in a container, say
        return str(os.geteuid())


def check(setting: str, /, **fields: Any) -> None:
    """Raises BadInputError, which begins with the setting, if no task can have these fields."""
    check_by(setting, lambda task: task.encode(), Task(**fields))


def check_by(setting: str, check: Callable[[Any], Any], value: Any) -> Any:
    """Like that, with a check of its own."""
    try:
        return check(value)
    except RecursionError:
        raise BadInputError(f"{setting}: it is nested too deeply") from None
    except BadTaskError as problem:
        half = isinstance(problem.__context__, UnicodeEncodeError)  # it tells this of the command alone
        raise BadInputError(f"{setting}: {'it is not valid UTF-8' if half else problem}") from None


def check_fits(setting: str, value: object, fits: Fits, words: str) -> None:
    """Raises BadInputError, which begins with the setting, if the value does not fit."""
    if not fits(value):
        raise BadInputError(f"{setting}: {brief(value)} is not {words}")


def brief(value: object) -> str:
    """What was given, for a message of one line."""
    try:
        shown = repr(value)
    except Exception:  # a number of thousands of digits, or an object of the caller's
        shown = f"this {type(value).__name__}"
    return shown if len(shown) <= MOST_SHOWN else shown[:MOST_SHOWN] + "..."


def written(outcome: Outcome) -> str:
    """The result of a command: what it has written."""
    return outcome.output


def returned(outcome: Outcome) -> Any:
    """The result of a handler: what it has returned; or what it has written, if it has returned nothing."""
    return outcome.output if outcome.result is None else outcome.value
