"""A task as the client writes it: plain text is a shell command, a JSON object can say more.

    date
    {"command": "make -j2", "directory": "/srv/src", "timeout": 600, "retries": 2, "labels": ["gcc"]}
    {"handler": "resize", "argument": {"width": 640}}

So a person at zkCli.sh can submit with ``create -s /tasks/task- "date"``.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from typing import Any

from mwapp.core import compact

# ZooKeeper drops the connection of a client that sends more than jute.maxbuffer (1 MiB - 1 by default)
# in one request, which looks like a lost connection and would be retried for ever: so sizes are checked
# before a write. A task must leave room for the other operations of its transaction.
MAX_TASK_BYTES = 512 * 1024
# The secret values travel in the same transaction.
MAX_SECRET_BYTES = 64 * 1024

MAX_RETRIES = 1000
# Seconds.
MAX_TIMEOUT = 30 * 24 * 3600.0
MAX_RETRY_DELAY = 24 * 3600.0
MAX_DELAY = 366 * 24 * 3600.0
RETRY_DELAY = 1.0
# The last second that Python can write as a date, since the Unix epoch.
LAST_SECOND = 253_402_300_799.0
# Between the submitter and the mark of a key; and the most characters of a submitter.
SUBMITTED = "#"
MAX_SUBMITTER = 100
# The worker's own variables begin like this.
RESERVED_VARIABLES = "MWAPP_"
_VARIABLES = f"names are letters, digits and _ , and do not begin with {RESERVED_VARIABLES}"


class BadTaskError(ValueError):
    """A task that can never run; the message is the reason given in its result."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a client asks for: a ``command`` for /bin/sh, or a ``handler`` with its ``argument``."""

    command: str | None = None
    key: str | None = None  # who submitted it, and a mark that resolves a lost reply: see make_key
    handler: str | None = None  # name of a Python function the workers know
    argument: Any = None  # JSON, for the handler
    timeout: float | None = None  # seconds a run may take
    retries: int = 0  # how often a failed run is repeated
    retry_delay: float = RETRY_DELAY  # seconds before the first repeat; the pause doubles each time
    delay: float | None = None  # seconds after its submission before which it does not begin
    not_before: float | None = None  # the same as a time, seconds since the Unix epoch
    expires: float | None = None  # seconds after its submission: it fails if no worker has it by then
    environment: Mapping[str, str] = field(default_factory=dict)
    directory: str | None = None  # to run in
    labels: tuple[str, ...] = ()  # only a worker that has all of them may run it
    secrets: tuple[str, ...] = ()  # variables of the run whose values are in a znode of their own

    def encode(self) -> bytes:
        """The znode's data. Raises BadTaskError for one that could never run."""
        value = {name: getattr(self, name) for name in _DEFAULTS}
        value = {name: setting for name, setting in value.items() if setting != _DEFAULTS[name]}
        try:
            data = compact.encode(value).encode()
        except UnicodeEncodeError:
            raise BadTaskError("the command is not valid UTF-8") from None
        except (TypeError, ValueError) as error:
            raise BadTaskError(f"task field 'argument' cannot be written as JSON: {error}") from None
        Task.decode(data)
        return data

    @staticmethod
    def decode(data: bytes) -> "Task":
        """Read a task: plain text is a shell command, ``{"...`` a JSON object. Raises BadTaskError."""
        if len(data) > MAX_TASK_BYTES:
            raise BadTaskError(f"task of {len(data)} bytes is larger than {MAX_TASK_BYTES}")
        try:
            text = data.decode()
        except UnicodeDecodeError as error:
            raise BadTaskError(f"task is not UTF-8: {error}") from None
        # `{ date; }` is a shell command; only text that starts like a JSON object is read as one.
        if re.match(r'\s*\{\s*["}]', text):
            return _from_json(text)
        return Task(_command(text))

    @property
    def title(self) -> str:
        """What it runs, for people."""
        return self.command if self.command is not None else f"handler {self.handler}"

    @property
    def submitter(self) -> str | None:
        """Who submitted it, as the client says; None: it does not say."""
        return (self.key or "").rpartition(SUBMITTED)[0] or None

    def same_as(self, other: "Task") -> bool:
        """Whether they ask for the same, whoever submitted them."""
        return _asked(self) == _asked(other)


def is_variable(name: str) -> bool:
    """Whether a task may set an environment variable of this name."""
    return bool(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name)) and not name.startswith(RESERVED_VARIABLES)


def encode_secrets(values: Mapping[str, str]) -> bytes:
    """Data of the znode with a task's secret values. Raises BadTaskError; no message has a value."""
    if not values or not all(isinstance(text, str) for text in (*values, *values.values())):
        raise BadTaskError("secret values are an object of names and strings")
    for name, value in values.items():
        if not is_variable(name):  # whoever mistook one for the other has put the value here
            raise BadTaskError(f"a secret value's name cannot be set; {_VARIABLES}")
        _clean("secret value", value)
    data = compact.encode(dict(sorted(values.items()))).encode()
    if len(data) > MAX_SECRET_BYTES:
        raise BadTaskError(f"secret values of {len(data)} bytes are larger than {MAX_SECRET_BYTES}")
    return data


def decode_secrets(data: bytes, names: tuple[str, ...]) -> dict[str, str]:
    """The values of these variables. Raises BadTaskError if there are others, or it is something else."""
    try:
        values = compact.decode(data.decode())
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict) or values.keys() != set(names):
        raise BadTaskError("its secret values are not those that it names")
    encode_secrets(values)
    return values


def make_key(submitter: str, mark: str = "") -> str:
    """A task's key. A task without a name needs a ``mark`` that no other has.

    The submitter is no field of its own, because masters and workers of 0.2.0 refuse tasks with fields that
    they do not know.
    """
    return f"{submitter}{SUBMITTED}{mark}"


def check_submitter(text: str) -> str:
    """Returns the submitter. Raises BadTaskError if it could not be typed or shown."""
    if not 0 < len(text) <= MAX_SUBMITTER or not text.isprintable() or text != text.strip():
        raise BadTaskError(
            f"submitter {_short(text)}: a submitter is 1 to {MAX_SUBMITTER} characters that can be printed, "
            "such as alice@host; it neither begins nor ends with a space"
        )
    return text


def check_label(text: str) -> str:
    """Returns the label. Raises BadTaskError if it could not be typed or shown."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._=/:-]{0,62}", text):
        raise BadTaskError(
            f"label {_short(text)}: a label is up to 63 letters, digits and any of . _ = / : - and begins "
            "with a letter or digit, such as gpu or zone=a"
        )
    return text


def check_task_name(text: str) -> str:
    """Returns the name, if a client may choose it. Raises BadTaskError."""
    if not re.fullmatch(r"(?!task-)(?!\d+$)[A-Za-z0-9][A-Za-z0-9._-]{0,99}", text):
        raise BadTaskError(
            f"name {_short(text)}: a task's name is up to 100 letters, digits and any of . _ - , begins "
            "with a letter or digit, is not a number, and does not begin with task- (numbered tasks do)"
        )
    return text


def task_order(name: str) -> tuple[int, str]:
    """Sort key: sequential names in the order of their submission, then names that clients chose."""
    # ZooKeeper numbers with ten digits, and after 2147483647 with -2147483648, or that last one again and
    # again; what a person numbers with thousands int() would refuse.
    numbered = re.fullmatch(r"task-(-?[0-9]{1,10})", name)
    return (int(numbered[1]) % (1 << 32) if numbered else 1 << 62, name)


def _asked(task: Task) -> bytes:
    """What it asks for, the same for all ways to write it."""
    return replace(Task.decode(task.encode()), key=None).encode()


# ---------------------------------------------------------------- reading


def _from_json(text: str) -> Task:
    try:
        value = compact.decode(text)
    except (ValueError, RecursionError) as error:
        raise BadTaskError(f"task starts like a JSON object but is not valid JSON: {error}") from None
    for name in value:
        if name not in _READ:
            raise BadTaskError(f"unknown task field {_short(name)}; known fields: {', '.join(_READ)}")
    if ("command" in value) == ("handler" in value):
        raise BadTaskError("a task has either a field 'command' or a field 'handler'")
    if "argument" in value and "handler" not in value:
        raise BadTaskError("task field 'argument' is for a handler; write a command's arguments in 'command'")
    task = Task(**{name: _READ[name](setting) for name, setting in value.items()})
    if both := sorted(task.environment.keys() & set(task.secrets)):
        raise BadTaskError(f"task field 'secrets': {both[0]} is in 'environment', too")
    if task.expires is not None and task.delay is not None and task.expires <= task.delay:
        raise BadTaskError(
            f"task field 'expires': the task fails after {task.expires:g} s, but 'delay' keeps it from "
            f"beginning before {task.delay:g} s"
        )
    return task


def _wrong(name: str, setting: object, wanted: str) -> BadTaskError:
    kind = "null" if setting is None else type(setting).__name__
    return BadTaskError(f"task field {name!r} must be {wanted}, not {kind} {_short(str(setting))}")


def _short(text: str) -> str:
    """Shorten it for a reason, which has to fit into one transaction with others."""
    return ascii(text if len(text) <= 80 else text[:80] + "...")


def _text(name: str) -> Callable[[Any], str]:
    def read(setting: Any) -> str:
        if not isinstance(setting, str):
            raise _wrong(name, setting, "text")
        if not setting.strip():
            raise BadTaskError(f"task field {name!r} is empty")
        return _clean(name, setting)

    return read


def _clean(name: str, text: str) -> str:
    if "\0" in text:
        raise BadTaskError(f"the {name} has a NUL character, which no program accepts")
    if re.search(r"[\ud800-\udfff]", text):  # JSON can escape halves of characters
        raise BadTaskError(f"the {name} is not valid UTF-8")
    return text


def _command(setting: Any) -> str:
    if isinstance(setting, str) and not setting.strip():
        raise BadTaskError("task is empty: there is no command to run")
    return _text("command")(setting)


def _seconds(name: str, most: float, *, above: bool = False) -> Callable[[Any], float]:
    """``above``: 0 is too little."""

    def read(setting: Any) -> float:
        number = isinstance(setting, int | float) and not isinstance(setting, bool)
        if not number or not 0 <= setting <= most or (above and not setting):
            least = "seconds above 0" if above else "seconds from 0"
            raise _wrong(name, setting, f"{least}, at most {most:.0f}")
        return float(setting)

    return read


def _retries(setting: Any) -> int:
    if not isinstance(setting, int) or isinstance(setting, bool) or not 0 <= setting <= MAX_RETRIES:
        raise _wrong("retries", setting, f"a number from 0 to {MAX_RETRIES}")
    return setting


def _environment(setting: Any) -> dict[str, str]:
    if not isinstance(setting, dict) or not all(isinstance(value, str) for value in setting.values()):
        raise _wrong("environment", setting, "an object of names and strings")
    for name, value in setting.items():
        _check_variable("environment", name)
        _clean("environment", value)
    return setting


def _check_variable(field_name: str, name: str) -> None:
    if not is_variable(name):
        raise BadTaskError(f"task field {field_name!r}: {_short(name)} cannot be set; {_VARIABLES}")


def _secrets(setting: Any) -> tuple[str, ...]:
    if not isinstance(setting, list) or not all(isinstance(name, str) for name in setting):
        raise _wrong("secrets", setting, "a list of names")
    for name in setting:
        _check_variable("secrets", name)
    return tuple(sorted(set(setting)))


def _directory(setting: Any) -> str:
    path = _text("directory")(setting)
    if not path.startswith("/"):
        raise _wrong("directory", setting, "an absolute path")
    return path


def _labels(setting: Any) -> tuple[str, ...]:
    if not isinstance(setting, list) or not all(isinstance(label, str) for label in setting):
        raise _wrong("labels", setting, "a list of strings")
    return tuple(sorted({check_label(label) for label in setting}))


_READ: dict[str, Callable[[Any], Any]] = {
    "command": _command,
    "key": _text("key"),
    "handler": _text("handler"),
    "argument": lambda setting: setting,
    "timeout": _seconds("timeout", MAX_TIMEOUT, above=True),
    "retries": _retries,
    "retry_delay": _seconds("retry_delay", MAX_RETRY_DELAY),
    "delay": _seconds("delay", MAX_DELAY),
    "not_before": _seconds("not_before", LAST_SECOND),
    "expires": _seconds("expires", MAX_DELAY, above=True),
    "environment": _environment,
    "directory": _directory,
    "labels": _labels,
    "secrets": _secrets,
}
_DEFAULTS: dict[str, Any] = {
    f.name: f.default_factory() if f.default_factory is not MISSING else f.default for f in fields(Task)
}
