"""What goes into the core (events) and what comes out of it (commands).

The core does no I/O. An edge (kazoo, or the simulated ensemble of the tests) feeds it
:data:`Event` values through ``Process.handle`` and carries out the :data:`Command` values it returns.

The edge owes the core what a ZooKeeper session gives:

* replies arrive in the order of their requests, watches before any newer data;
* every request gets exactly one :class:`Reply`; after a cut that is ``CONNECTION_LOSS``, which leaves open
whether a transaction was carried out;
* a request never travels on a session other than its own;
* a watch fires at most once, a :class:`Follow` each time; both are gone after :class:`Suspended`;
* :class:`Closed` comes only when the ensemble itself has said that it has closed the session.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeVar, dataclass_transform

from mwapp.core.task import Task

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def message(kind: type[T]) -> type[T]:
    """A dataclass that only mypy keeps from being changed. With a check at run time a message takes two to
    four times as long to create, and nothing is created as often."""
    return dataclass(slots=True, unsafe_hash=True)(kind)


# ---------------------------------------------------------------- requests


@message
class Get:
    """Read a znode's data. Result: :class:`Node`."""

    path: str
    watch: bool = False


@message
class Children:
    """Read the names of a znode's children. Result: tuple of names, in no order."""

    path: str
    watch: bool = False


@message
class Exists:
    """Look whether a znode is there. Result: :class:`Stat` or None."""

    path: str
    watch: bool = False


@message
class Follow:
    """Tell of what is created, set or deleted at the path and below it, until the connection ends. Result:
    None."""

    path: str


@message
class Create:
    """Result: the path, with the number ZooKeeper gave it if sequential."""

    path: str
    data: bytes = b""
    ephemeral: bool = False
    sequential: bool = False
    extend: bool = False  # whoever creates it creates something below it, too, in this transaction


@message
class Set:
    """Result: the new :class:`Stat`. Version -1 sets any version."""

    path: str
    data: bytes
    version: int = -1


@message
class Delete:
    """Result: None. Version -1 deletes any version."""

    path: str
    version: int = -1


@message
class Check:
    """Fail the transaction unless the znode has this version (-1: unless it exists). Result: None."""

    path: str
    version: int = -1


Op = Create | Set | Delete | Check


@message
class Transaction:
    """All of the operations or none. Result: a tuple with the result of each."""

    ops: tuple[Op, ...]


Read = Get | Children | Exists
Operation = Read | Follow | Transaction

# ---------------------------------------------------------------- results


@message
class Stat:
    """The part of a znode's stat the core uses."""

    czxid: int  # zxid of its creation: differs if the znode was recreated
    version: int  # number of times the data was set since
    owner: int = 0  # session that owns it if ephemeral, else 0
    children: int = 0  # how many children it has
    ctime: float = 0.0  # when it was created, seconds since the Unix epoch
    created: int = 0  # how many children it has ever had: the number of the next sequential one


@message
class Node:
    """A znode as read."""

    data: bytes
    stat: Stat


class Error(Enum):
    """Why a request failed."""

    CONNECTION_LOSS = "connection loss"  # open whether it was carried out
    SESSION_EXPIRED = "session expired"  # not carried out
    NO_NODE = (
        "no node"  # or, for what is to be created, none that could have a child: the parent is ephemeral
    )
    NODE_EXISTS = "node exists"
    BAD_VERSION = "bad version"
    NOT_EMPTY = "not empty"
    REFUSED = "refused"  # anything else the ensemble says: no permission, bad arguments ...


@message
class Failed:
    """A request's failure. ``index`` is the operation that failed in a transaction, None otherwise."""

    error: Error
    index: int | None = None


OpResult = str | Stat | None
Result = Node | Stat | None | tuple[str, ...] | tuple[OpResult, ...] | Failed

# ---------------------------------------------------------------- events


@message
class Connected:
    """A new session begins."""

    session: int
    timeout: float  # the session time-out the ensemble granted, seconds
    asked: float | None = None  # when it was asked for, on the clock of ``now``; None: just now


@message
class Suspended:
    """The connection is gone; the session may live on or expire."""


@message
class Resumed:
    """The connection is back and the session lived on."""

    asked: float | None = None  # when this connection was asked for, as in Connected


@message
class Expired:
    """The session is over. The edge opens a new one by itself: a Connected will follow."""


@message
class Closed:
    """The ensemble has closed that session, which was given up: from now on it refuses all its requests.

    It may come at any time after the Abandon, and need not come: nobody may have been able to close it.
    """

    session: int


@message
class Reply:
    """The answer to the request of that number."""

    request: int
    result: Result


class EventType(Enum):
    """What has happened to a znode; the numbers are ZooKeeper's."""

    CREATED = 1
    DELETED = 2
    CHANGED = 3  # its data
    CHILDREN = 4  # one was created or deleted; told to a watch that Children has left


@message
class Fired:
    """A watch on the path went off, or a :class:`Follow` covers it."""

    path: str
    event: EventType


@message
class Exited:
    """A command that :class:`Run` started is over, with everything that it started.

    ``code`` is the exit status, or minus the signal's number; None if it could not be started, and then
    ``reason`` says why. ``begun`` False: nothing was started, because ``Run.until`` had passed.
    """

    run: int
    code: int | None
    output: bytes = b""  # stdout and stderr as they came, bounded by the edge
    truncated: bool = False  # output was longer than the bound
    seconds: float = 0.0  # how long it ran
    begun: bool = True
    result: str | None = None  # what a handler has returned, as JSON
    reason: str | None = None  # why it has failed, if not by its exit status alone


@message
class ShardSays:
    """The handler that :class:`OpenShard` started says something, under a generation that it was told.

    ``open``: it is there, as a replica. ``ready``: as a replica it has everything that was acknowledged; from
    now on the primary of this generation acknowledges nothing without it. ``serving``: it is the primary.
    ``late``: it was told to be, and is not, because :class:`PromoteShard` came to its turn too late.
    ``released``: it was, and has ceased to be. ``closed``: it is gone, with everything that it started,
    whether it was asked to or not, or could not be started; nothing follows. Then ``reason`` says why, if it
    was not asked to. ``address``: where its clients reach it now; empty: it has told none.
    """

    run: int
    said: str
    generation: int = 0
    reason: str | None = None
    address: str = ""


@message
class Tick:
    """Time has passed: the core's deadline is due."""


@message
class Stop:
    """Somebody asks for a graceful end (SIGTERM)."""


Event = Connected | Suspended | Resumed | Expired | Closed | Reply | Fired | Exited | ShardSays | Tick | Stop

# ---------------------------------------------------------------- commands


@message
class Request:
    """Send this to the ensemble on the present session; answer with a Reply of this number."""

    number: int
    operation: Operation


@message
class Run:
    """Start what the task asks for; answer with Exited.

    The edge handles its command or handler, environment and directory, the core its timeout. Starting it may
    take a while, and our session may end meanwhile. So the edge looks at the clock last of all, and does not
    start it from ``until`` on.
    """

    run: int
    task: Task
    # Overrides the task's and the daemon's own. It may have secret values.
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    until: float = math.inf  # on the clock of ``now``


@message
class Kill:
    """End all processes of the run: SIGTERM, and after ``grace`` seconds SIGKILL; without grace SIGKILL now.

    Its Exited still follows; late if the kernel cannot end it yet (it waits for a dead disk, say). Another
    Kill with less grace may come before. Unknown runs are ignored.
    """

    run: int
    grace: float = 0.0


@message
class OpenShard:
    """Start the handler of a shard, as a replica under that generation; answer with ShardSays ``open``, and
    ``ready`` when it is.

    ``members`` are the workers that have the shard, with what they are: sync, copy or back (docs/shards.md).
    With ``primary`` empty nobody has it yet, or those who had everything have died: then ``ready`` means that
    what was found here is whole. As with :class:`Run`, the edge does not start it from ``until`` on, but says
    ``closed``. ``table_czxid``, the zxid of its creation, tells tables of the same name apart.
    """

    run: int
    table: str
    shard: int
    worker: str
    handler: str | None  # name of a Python class that the workers know, or
    command: str | None  # for /bin/sh
    generation: int
    primary: str
    members: Mapping[str, str]
    until: float = math.inf
    table_czxid: int = 0


@message
class PromoteShard:
    """Be the primary, under this generation; answer with ShardSays ``serving``. It may be the primary
    already: then there is a new generation, with other members. Not from ``until`` on, on the clock of
    ``now``: then the answer is ``late``, and it may be told again."""

    run: int
    generation: int
    members: Mapping[str, str]
    until: float = math.inf


@message
class DemoteShard:
    """Be a replica, under this generation. With ``to``, the primary is to finish what it has begun, begin
    nothing more, and let that worker have everything (empty: the shard is given up): answer with ShardSays
    ``released``. Without, it is a replica, perhaps already, of another primary or generation: answer with
    ``open`` at once, and with ``ready`` again when it is.
    """

    run: int
    generation: int
    primary: str
    members: Mapping[str, str]
    to: str | None = None


@message
class CloseShard:
    """End the handler, within ``grace`` seconds, and then all its processes by SIGKILL; answer with ShardSays
    ``closed``. Another with less grace may come before. Unknown runs are ignored."""

    run: int
    grace: float = 0.0


ShardCommand = OpenShard | PromoteShard | DemoteShard | CloseShard


@message
class Abandon:
    """Give up the session, which may be over, and open a new one. No event of the old one may follow."""


@message
class Close:
    """Close the session (its ephemerals go at once) and end the process."""


Command = Request | Run | Kill | ShardCommand | Abandon | Close
