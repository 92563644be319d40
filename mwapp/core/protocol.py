"""The znodes: where they are, what is in them, how large they may be.

One place for every path and every encoding, shared by master, worker, client and command line.
The layout is that of the ZooKeeper book (chapter 2), so a person at zkCli.sh can play any role:
an assignment or a task written by hand needs no JSON.
"""

import json
import re
from dataclasses import dataclass
from typing import Any

from mwapp.core import compact
from mwapp.core.backoff import JITTER
from mwapp.core.task import MAX_RETRY_DELAY

MASTER = "/master"
CANDIDATES = "/candidates"
EPOCH = "/epoch"
WORKERS = "/workers"
ASSIGN = "/assign"
RETURNED = "/returned"
CANCEL = "/cancel"
REQUESTS = "/requests"
TASKS = "/tasks"
TASK_PREFIX = f"{TASKS}/task-"
# Parents that every role relies on; the first process creates them.
PARENTS = (CANDIDATES, EPOCH, WORKERS, ASSIGN, RETURNED, CANCEL, REQUESTS, TASKS)

DONE = "done"
FAILED = "failed"
CANCELLED = "cancelled"

# What clients ask of a task that has ended.
RUN = "run"
REMOVE = "remove"

# The name of the znode with a task's secret values. Only masters and workers may read it.
SECRET = "secret"  # noqa: S105 - a name

# Whose queue /returned is: the tasks in it wait for a worker.
NOBODY = ""

# Versions count epochs and incarnations. What to say, before the znodes' names, if one has become smaller.
LOST = "the ensemble has lost acknowledged writes, unless somebody deleted"

# The longest pause before an attempt, seconds; a person could write any number.
MAX_PAUSE = (1 + JITTER) * MAX_RETRY_DELAY

# The greatest number of attempts, slots and the like: a person could write any.
MOST = 1_000_000_000

# How much of a task's output is kept.
MAX_OUTPUT_BYTES = 64 * 1024


def candidate_path(name: str, session: int) -> str:
    """The ephemeral znode of a master, active or not. Namesakes differ by their sessions."""
    return f"{CANDIDATES}/{name}-{show_session(session).removeprefix('0x')}"


def candidate_name(znode: str) -> str:
    """The name of the master that has that znode in ``/candidates``."""
    return znode.rpartition("-")[0] or znode


def worker_path(name: str) -> str:
    """The ephemeral znode that says the worker is alive; version 1 or more: it takes no new tasks."""
    return f"{WORKERS}/{name}"


def assign_path(worker: str, task: str | None = None) -> str:
    """A worker's queue (its version is the worker's incarnation), or one assignment in it."""
    queue = f"{ASSIGN}/{worker}" if worker != NOBODY else RETURNED
    return queue if task is None else f"{queue}/{task}"


def incarnation_of(worker: str, number: int | None) -> str:
    """One incarnation of a worker; None: of an unknown number."""
    return f"{worker}/{'' if number is None else number}"


def task_path(task: str) -> str:
    """A task as the client wrote it."""
    return f"{TASKS}/{task}"


def status_path(task: str) -> str:
    """The task's final state: exactly ``done``, ``failed`` or ``cancelled``."""
    return f"{TASKS}/{task}/status"


def secret_path(task: str) -> str:
    """The secret values of the task's variables: created with it, and gone with it."""
    return f"{TASKS}/{task}/{SECRET}"


def cancel_path(task: str) -> str:
    """A request to cancel the task; the master deletes it when the task has ended in any way."""
    return f"{CANCEL}/{task}"


def request_path(task: str) -> str:
    """What is asked of a task that has ended; the master does it and deletes this."""
    return f"{REQUESTS}/{task}"


def result_path(task: str) -> str:
    """How the task ended: JSON of :class:`Outcome`."""
    return f"{TASKS}/{task}/result"


def _json_object(data: bytes) -> dict[str, Any] | None:
    try:
        value = compact.decode(data.decode(errors="surrogatepass"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _dump(value: dict[str, Any]) -> bytes:
    # A person may have written half a character ("\\ud800"), which is no text.
    return compact.encode(value).encode(errors="replace")


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


def _pause(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0:  # NaN is not
        return 0.0
    return float(min(value, MAX_PAUSE))


def _integers(value: object) -> tuple[int, ...]:
    numbers = value if isinstance(value, list) else []
    return tuple(number for number in numbers if _integer(number, -1) >= 0)


def _texts(value: object) -> tuple[str, ...]:
    return tuple(text for text in value if isinstance(text, str)) if isinstance(value, list) else ()


# ---------------------------------------------------------------- workers


@dataclass(frozen=True, slots=True)
class Registration:
    """Data of ``/assign/<worker>``: which session the incarnation belongs to."""

    session: int
    slots: int = 1  # how many tasks it runs at once
    adopted: bool = False  # written by the master for a worker that a person plays
    labels: tuple[str, ...] = ()  # a task goes only to a worker that has all its labels
    # Earlier incarnations whose process lived on when they ended (its session was over, say): the last ones.
    outlived: tuple[int, ...] = ()
    prefetch: int = 0  # how many tasks it takes beyond the slots at most

    def encode(self) -> bytes:
        """The znode's data."""
        value: dict[str, Any] = {"session": show_session(self.session), "slots": self.slots}
        if self.adopted:
            value["adopted"] = True
        if self.labels:
            value["labels"] = self.labels
        if self.outlived:
            value["outlived"] = self.outlived
        if self.prefetch:
            value["prefetch"] = self.prefetch
        return _dump(value)

    @staticmethod
    def decode(data: bytes) -> "Registration | None":
        """None if nobody registered there (a person created the queue, say)."""
        value = _json_object(data) or {}
        session = _read_session(value.get("session"))
        if session is None:
            return None
        slots = min(max(1, _integer(value.get("slots"), 1)), MOST)
        labels, outlived = _texts(value.get("labels")), _integers(value.get("outlived"))
        prefetch = min(max(0, _integer(value.get("prefetch"), 0)), MOST)
        return Registration(session, slots, value.get("adopted") is True, labels, outlived, prefetch)


@dataclass(frozen=True, slots=True)
class Assignment:
    """Data of ``/assign/<worker>/<task>``. Empty data, which a person writes, is a first attempt for anyone.

    In ``/returned/<task>`` it is the attempt that comes next.
    """

    attempt: int = 1
    incarnation: int | None = None  # of the worker it is meant for; None: any worker of that name
    epoch: int | None = None  # of the master that made it: with the attempt, the command's fencing token
    failures: int = 0  # how many earlier attempts failed
    labels: tuple[str, ...] = ()  # of the task, so that moving it needs no read
    pause: float = 0.0  # of one that was returned: seconds before it may begin
    failed_on: str = ""  # the worker on which the last run failed: others come first
    # Which incarnations had it and were lost. Unless a worker's process lived on, it may have died of it.
    lost: tuple[str, ...] = ()

    def encode(self) -> bytes:
        """The znode's data."""
        value: dict[str, Any] = {"attempt": self.attempt}
        if self.incarnation is not None:
            value["incarnation"] = self.incarnation
        if self.epoch is not None:
            value["epoch"] = self.epoch
        if self.failures:
            value["failures"] = self.failures
        if self.labels:
            value["labels"] = self.labels
        if self.pause:
            value["pause"] = self.pause
        if self.failed_on:
            value["failed_on"] = self.failed_on
        if self.lost:
            value["lost"] = self.lost
        return _dump(value)

    @staticmethod
    def decode(data: bytes) -> "Assignment":
        """Read leniently: a person's text is a first attempt."""
        value = _json_object(data) or {}
        incarnation, epoch = _integer(value.get("incarnation"), -1), _integer(value.get("epoch"), -1)
        attempt = min(max(1, _integer(value.get("attempt"), 1)), MOST)
        return Assignment(
            attempt,
            incarnation if incarnation >= 0 else None,
            epoch if epoch >= 0 else None,
            min(attempt - 1, max(0, _integer(value.get("failures"), 0))),
            _texts(value.get("labels")),
            _pause(value.get("pause")),
            failed_on if isinstance(failed_on := value.get("failed_on"), str) else "",
            _texts(value.get("lost")),
        )

    def meant_for(self, incarnation: int) -> bool:
        """Whether it is for a worker of this incarnation."""
        return self.incarnation in (None, incarnation)


@dataclass(frozen=True, slots=True)
class TaskRequest:
    """Data of ``/requests/<task>``. A person may write the bare word."""

    do: str  # RUN or REMOVE
    ended: int | None = None  # the czxid of the status that is meant; None: of whatever there is

    def encode(self) -> bytes:
        """The znode's data."""
        return _dump({"do": self.do, "ended": self.ended})

    @staticmethod
    def decode(data: bytes) -> "TaskRequest | None":
        """None if it is neither."""
        value = _json_object(data) or {"do": data.decode(errors="replace").strip()}
        do, ended = value.get("do"), _integer(value.get("ended"), -1)
        if do not in (RUN, REMOVE):
            return None
        return TaskRequest(str(do), ended if ended >= 0 else None)


# ---------------------------------------------------------------- results, and who won an epoch


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
    cancelled: bool = False  # ended because of a cancel request
    result: str | None = None  # what a handler has returned, as JSON; None: nothing

    @property
    def status(self) -> str:
        """The state word that belongs to it."""
        if self.cancelled:
            return CANCELLED
        return DONE if self.code == 0 and self.reason is None else FAILED

    @property
    def value(self) -> Any:
        """What a handler has returned; None, too, if nothing."""
        return None if self.result is None else json.loads(self.result)

    def encode(self) -> bytes:
        """The znode's data."""
        value = {name: getattr(self, name) for name in _OUTCOME_TYPES}
        data = _dump({k: v for k, v in value.items() if v is not None and v != "" and v is not False})
        if self.result is None:
            return data
        # Half a character ("\\ud800") stays one, as JSON has it.
        result = self.result.encode(errors="backslashreplace")
        return data[:-1] + (b"," if len(data) > 2 else b"") + b'"result":' + result + b"}"

    @staticmethod
    def decode(data: bytes) -> "Outcome":
        """Read leniently: a result may be written by a person."""
        value = _json_object(data)
        if value is None:
            return Outcome(output=data.decode(errors="replace"))
        fields: dict[str, Any] = {k: v for k, v in value.items() if isinstance(v, _OUTCOME_TYPES.get(k, ()))}
        if "result" in value:
            fields["result"] = json.dumps(value["result"], ensure_ascii=False)
        return Outcome(**fields)


_OUTCOME_TYPES: dict[str, type | tuple[type, ...]] = {
    "worker": str,
    "attempt": int,
    "code": int,
    "output": str,
    "truncated": bool,
    "seconds": (int, float),
    "reason": str,
    "cancelled": bool,
}


@dataclass(frozen=True, slots=True)
class Winner:
    """Data of ``/epoch``: who won the epoch that is its version."""

    name: str
    session: int
    depositions: int = 0  # how many masters were deposed of late: mwapp/core/suspicion.py

    def encode(self) -> bytes:
        """The znode's data."""
        value: dict[str, Any] = {"name": self.name, "session": show_session(self.session)}
        if self.depositions:
            value["depositions"] = self.depositions
        return _dump(value)

    @staticmethod
    def decode(data: bytes) -> "Winner | None":
        """None when nobody of ours won it."""
        value = _json_object(data) or {}
        name, session = value.get("name"), _read_session(value.get("session"))
        depositions = min(max(0, _integer(value.get("depositions"), 0)), MOST)
        return Winner(name, session, depositions) if session is not None and isinstance(name, str) else None
