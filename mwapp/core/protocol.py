"""The znodes: where they are, what is in them, how large they may be.

One place for every path and every encoding, shared by master, worker, client and command line.
The layout is that of the ZooKeeper book (chapter 2), so a person at zkCli.sh can play any role:
an assignment or a task written by hand needs no JSON.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

MASTER = "/master"
EPOCH = "/epoch"
WORKERS = "/workers"
ASSIGN = "/assign"
TASKS = "/tasks"
TASK_PREFIX = f"{TASKS}/task-"
# Parents every role relies on; whoever comes first makes them.
PARENTS = (EPOCH, WORKERS, ASSIGN, TASKS)

DONE = "done"
FAILED = "failed"

# ZooKeeper drops the connection of a client that sends more than jute.maxbuffer (1 MiB - 1 by default)
# in one request, which looks like a lost connection and would be retried for ever: so sizes are checked
# before a write. A task must leave room for the other operations of its transaction.
MAX_TASK_BYTES = 512 * 1024
MAX_OUTPUT_BYTES = 64 * 1024
# Transactions take at most so many tasks, which keeps them far below the same limit.
BATCH = 100


def worker_path(name: str) -> str:
    """The ephemeral znode that says the worker is alive; version 1 or more: it takes no new tasks."""
    return f"{WORKERS}/{name}"


def assign_path(worker: str, task: str | None = None) -> str:
    """A worker's queue (its version is the worker's incarnation), or one assignment in it."""
    return f"{ASSIGN}/{worker}" if task is None else f"{ASSIGN}/{worker}/{task}"


def task_path(task: str) -> str:
    """A task as the client wrote it."""
    return f"{TASKS}/{task}"


def status_path(task: str) -> str:
    """The task's final state: exactly ``done`` or ``failed``."""
    return f"{TASKS}/{task}/status"


def result_path(task: str) -> str:
    """What there is to say about how the task ended: JSON of :class:`Outcome`."""
    return f"{TASKS}/{task}/result"


def _json_object(data: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _dump(value: dict[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def show_session(session: int) -> str:
    """A session id as ZooKeeper's own tools print it: it is signed, with the server's id on top."""
    return f"{session & (1 << 64) - 1:#x}"


def _read_session(value: object) -> int | None:
    if not isinstance(value, str) or not re.fullmatch(r"0x[0-9a-f]{1,16}", value):
        return None
    session = int(value, 16)
    return session - (1 << 64) if session >> 63 else session


def _integer(value: object, default: int) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else default


# ---------------------------------------------------------------- tasks


class BadTaskError(ValueError):
    """A task that can never run; the message is the reason given in its result."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a client asks for."""

    command: str  # run by /bin/sh -c
    key: str | None = None  # the client's own name for this submission: resolves a lost reply

    def encode(self) -> bytes:
        """The znode's data. Raises BadTaskError for one that could never run."""
        try:
            data = _dump({"command": self.command} | ({"key": self.key} if self.key else {}))
        except UnicodeEncodeError:
            raise BadTaskError("the command is not valid UTF-8") from None
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
        # `{ date; }` is a shell command; only what opens like a JSON object is taken for one.
        if re.match(r'\s*\{\s*["}]', text):
            return Task._from_json(text)
        return Task(_command(text))

    @staticmethod
    def _from_json(text: str) -> "Task":
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise BadTaskError(f"task opens like a JSON object but is none: {error}") from None
        known = Task.__dataclass_fields__
        for name, setting in value.items():
            if name not in known:
                raise BadTaskError(f"unknown task field {_short(name)}; known are: {', '.join(known)}")
            if not isinstance(setting, str):
                raise BadTaskError(f"task field {name!r} must be text, not {type(setting).__name__}")
        if "command" not in value:
            raise BadTaskError("task has no field 'command'")
        return Task(_command(value["command"]), value.get("key"))


def _short(name: str) -> str:
    """To be shown in a reason, which has to fit into one transaction with those of others."""
    return repr(name if len(name) <= 80 else name[:80] + "...")


def _command(text: str) -> str:
    if not text.strip():
        raise BadTaskError("task is empty: there is no command to run")
    if "\0" in text:
        raise BadTaskError("the command has a NUL character, which no shell can run")
    if any("\ud800" <= character <= "\udfff" for character in text):  # JSON can escape halves of characters
        raise BadTaskError("the command is not valid UTF-8")
    return text


def task_order(name: str) -> tuple[int, str]:
    """Sort key: sequential names in the order of their submission, names given by hand after them."""
    number = name.rpartition("-")[2]
    # ZooKeeper numbers with ten digits; what a person numbers with thousands int() would refuse.
    return (int(number) if number.isdecimal() and len(number) <= 10 else 1 << 62, name)


# ---------------------------------------------------------------- workers


@dataclass(frozen=True, slots=True)
class Registration:
    """Data of ``/assign/<worker>``: which session the incarnation belongs to."""

    session: int
    slots: int = 1  # how many tasks it runs at once
    adopted: bool = False  # written by the master for a worker that a person plays

    def encode(self) -> bytes:
        """The znode's data."""
        value: dict[str, Any] = {"session": show_session(self.session), "slots": self.slots}
        return _dump(value | ({"adopted": True} if self.adopted else {}))

    @staticmethod
    def decode(data: bytes) -> "Registration | None":
        """None when nobody registered there (a queue made by hand, say)."""
        value = _json_object(data) or {}
        session = _read_session(value.get("session"))
        if session is None:
            return None
        slots = max(1, _integer(value.get("slots"), 1))
        return Registration(session, slots, value.get("adopted") is True)


@dataclass(frozen=True, slots=True)
class Assignment:
    """Data of ``/assign/<worker>/<task>``. Empty data, as a person writes, is a first attempt for anyone."""

    attempt: int = 1
    incarnation: int | None = None  # of the worker it is meant for; None: whoever bears the name
    epoch: int | None = None  # of the master that made it: with the attempt, the command's fencing token
    returned: bool = False  # handed back unstarted: the next attempt bears the same number

    def encode(self) -> bytes:
        """The znode's data."""
        value: dict[str, Any] = {"attempt": self.attempt}
        if self.incarnation is not None:
            value["incarnation"] = self.incarnation
        if self.epoch is not None:
            value["epoch"] = self.epoch
        if self.returned:
            value["returned"] = True
        return _dump(value)

    @staticmethod
    def decode(data: bytes) -> "Assignment":
        """Read leniently: what a person wrote is a first attempt."""
        value = _json_object(data) or {}
        incarnation, epoch = _integer(value.get("incarnation"), -1), _integer(value.get("epoch"), -1)
        return Assignment(
            max(1, _integer(value.get("attempt"), 1)),
            incarnation if incarnation >= 0 else None,
            epoch if epoch >= 0 else None,
            value.get("returned") is True,
        )

    def meant_for(self, incarnation: int) -> bool:
        """Whether a worker of this incarnation is to run it."""
        return self.incarnation in (None, incarnation)


# ---------------------------------------------------------------- results and the office


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a task ended, the JSON of its result."""

    worker: str | None = None  # None: no worker ran it, a master gave it up
    attempt: int | None = None
    code: int | None = None  # exit status; minus a signal's number; None: it never ran
    output: str = ""
    truncated: bool = False  # output was cut to MAX_OUTPUT_BYTES
    seconds: float | None = None
    reason: str | None = None  # why it failed, if not by its exit status

    @property
    def status(self) -> str:
        """The state word that belongs to it."""
        return DONE if self.code == 0 and self.reason is None else FAILED

    def encode(self) -> bytes:
        """The znode's data."""
        value = {name: getattr(self, name) for name in _OUTCOME_TYPES}
        return _dump({k: v for k, v in value.items() if v is not None and v != "" and v is not False})

    @staticmethod
    def decode(data: bytes) -> "Outcome":
        """Read leniently: a result may be written by a person."""
        value = _json_object(data)
        if value is None:
            return Outcome(output=data.decode(errors="replace"))
        fields: dict[str, Any] = {k: v for k, v in value.items() if isinstance(v, _OUTCOME_TYPES.get(k, ()))}
        return Outcome(**fields)


_OUTCOME_TYPES: dict[str, type | tuple[type, ...]] = {
    "worker": str,
    "attempt": int,
    "code": int,
    "output": str,
    "truncated": bool,
    "seconds": (int, float),
    "reason": str,
}


@dataclass(frozen=True, slots=True)
class Office:
    """Data of ``/epoch``: who won the epoch that is its version."""

    name: str
    session: int

    def encode(self) -> bytes:
        """The znode's data."""
        return _dump({"name": self.name, "session": show_session(self.session)})

    @staticmethod
    def decode(data: bytes) -> "Office | None":
        """None when nobody of ours won it."""
        value = _json_object(data) or {}
        name, session = value.get("name"), _read_session(value.get("session"))
        return Office(name, session) if session is not None and isinstance(name, str) else None
