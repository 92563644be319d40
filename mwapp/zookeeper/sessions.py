"""The ensemble as the core sees it: one session at a time, and after it the next.

Runs on the main loop's thread, except that another thread ends a session that was given up. What the clients
report comes as :class:`Note` through the main loop's queue. :meth:`Sessions.accept` turns it into the core's
events, and keeps the promises of :mod:`mwapp.core.messages`: every request gets one reply, and nothing comes
from a session that was given up, but for the news that it is closed.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from mwapp.core.messages import (
    Closed,
    Connected,
    Create,
    Error,
    Event,
    Exists,
    Expired,
    Failed,
    Fired,
    Get,
    Node,
    Operation,
    Reply,
    Result,
    Resumed,
    Stat,
    Suspended,
    Transaction,
)
from mwapp.core.protocol import SECRET, show_session
from mwapp.core.request_size import MOST_BYTES, RequestSize, size
from mwapp.release import end_session
from mwapp.zookeeper import acl
from mwapp.zookeeper.acl import Policy
from mwapp.zookeeper.client import Answered, Client, Down, Happening, Over, Refused, Up
from mwapp.zookeeper.connect_string import Servers, show
from mwapp.zookeeper.machine import REAL, Machine
from mwapp.zookeeper.wire import everybody

log = logging.getLogger(__name__)

# If a server answers no request for this part of the session time-out, we take it for dead and try the next
# one, early enough to save the session there. kazoo would not notice while we keep asking, because it counts
# every request it sends as a proof of life.
SILENCE = 1 / 3
# The shortest time between two clients, seconds, even if each fails at once.
REOPEN_DELAY = 0.5
# After a pause of the whole process (frozen, starved) its server has this long to answer, seconds.
GRACE = 0.2
# If the chroot could not be created, or the policy not be read, we try again after this many seconds.
AGAIN = 1.0
# The number of our own request for the policy. Those for the chroot are between this and 0.
POLICY = -1_000_000
_SECRET = f"/{SECRET}"
# How often to tell of operations of one kind that access control lists forbid, seconds.
TELL_AGAIN = 60.0


@dataclass(frozen=True, slots=True)
class Note:
    """Something that happened to a client."""

    client: Client
    happening: Happening


@dataclass(slots=True)
class _Session:
    """The current client and its state."""

    client: Client
    up: Up | None = None  # where it was last connected, and as which session
    connected: bool = False
    announced: bool = False  # the core knows of it
    outstanding: dict[int, tuple[Operation, float]] = field(default_factory=dict)  # and when it was sent
    unsent: dict[int, Failed] = field(default_factory=dict)  # those among them that were not sent, and why
    heard: float = 0.0  # when the last reply came
    last_step: int = 0  # number of the last request for the chroot
    again: float | None = None  # when to try again to create it, or to read the policy
    policy: Policy | None = None  # who may do what, as far as we know


class Sessions:
    """Sessions on the ensemble, one at a time."""

    def __init__(
        self,
        servers: Servers,
        timeout: float,
        post: Callable[[Note], None],
        machine: Machine = REAL,
        request_size: RequestSize | None = None,
    ) -> None:
        """``timeout`` is the session time-out to ask for, seconds; ``post`` must be thread-safe.

        Without ``request_size``, requests may be as large as servers with default settings accept.
        """
        self._servers = servers
        self._timeout = timeout
        self._post = post
        self._machine = machine
        self._present: _Session | None = None
        self._last: Client | None = None  # the last that had a session, unless that has expired
        self._given_up: _Session | None = None  # which may live on
        self._ending: Any = None  # the thread that ends it
        self._open_at = 0.0
        self._opened = -REOPEN_DELAY
        self._request_size = request_size or RequestSize()
        self._trust_from = 0.0  # until then the silence may be our own fault
        self._refused: dict[tuple[str, int], str] = {}  # by server, why there is no TLS with it
        self._told: dict[tuple[type, str], float] = {}  # when, of what access control lists forbid
        self._read: tuple[Policy | None] | None = None  # what was read last of who may do what, if anything

    @property
    def session(self) -> Up | None:
        """The current session and where it was last connected."""
        return self._present.up if self._present else None

    @property
    def refused(self) -> str | None:
        """Why no server will do, as TLS is refused with all of them; None if there may be one."""
        if set(self._servers.addresses) - self._refused.keys():
            return None
        address = self._servers.addresses[0]
        return f"{show(address)}: {self._refused[address]}"

    @property
    def deadline(self) -> float | None:
        """When to call :meth:`look_after` next, on the clock of ``now``."""
        if self._present is None:
            return self._open_at
        times = (self._present.again, self._too_silent(self._present))
        return min((time for time in times if time is not None), default=None)

    def _too_silent(self, present: _Session) -> float | None:
        """When to try another server, unless this one answers."""
        oldest = next(iter(present.outstanding.values()), None)
        if oldest is None or present.up is None or not present.connected:
            return None
        silent_since = max(oldest[1], present.heard)
        return max(silent_since + present.up.timeout * SILENCE, self._trust_from)

    def look_after(self, now: float) -> None:
        """Open a session if there is none; move to another server if this one is silent.

        Call it at :attr:`deadline` or soon after, when the queue is empty.
        """
        present, due = self._present, self.deadline
        if due is None or now < due:
            return
        if present is None:
            self._opened = now
            self._present = _Session(self._new_client())
        elif present.again == due:
            again = self._ask_policy if present.last_step == POLICY else self._prepare
            again(present, now)
            self.flush()
        elif now > due + GRACE:  # we ourselves stood still
            self._trust_from = now + GRACE
        elif present.up is not None:
            log.warning("%s is silent: trying another server", show(present.up.address))
            present.heard = now  # once is enough
            present.client.drop_connection()

    def request(self, now: float, number: int, operation: Operation) -> None:
        """Queue the core's request on the current session, for :meth:`flush`."""
        present = self._present
        if present is None:
            return  # the core knows, or itself said, that its session is over
        present.outstanding[number] = operation, now
        if not self._request_size.allows(operation, now) or _swollen(present.policy, operation):
            log.error("a request of %d bytes was not sent: it is too large for the servers", size(operation))
            self._refuse(present, number, Error.REFUSED)
        elif (exposed := _exposed(present.policy, operation, self._subject)) is not None:
            log.error("%s was not created: no access control list would keep it from others", exposed[1])
            self._refuse(present, number, Error.REFUSED, exposed[0])
        elif not present.connected:
            self._refuse(present, number, Error.CONNECTION_LOSS)
        elif not present.client.still(present.up):
            pass  # its Down is on the way, and will answer it
        elif not present.client.ask(number, operation, self._servers.chroot):
            self._refuse(present, number, Error.REFUSED)

    def flush(self) -> None:
        """Send the queued requests in as few packets as possible."""
        if self._present is not None:
            self._present.client.flush()

    def abandon(self, now: float) -> None:
        """Give up the session, and report nothing more of it but that it is closed.

        It is closed at once or, if no server answers, as soon as the next session has a server.
        """
        if self._present is not None:
            self._present.client.close(self._timeout * SILENCE)
            self._given_up = self._present
            self._next(now)

    def close(self, patience: float) -> bool:
        """Close the session within ``patience`` seconds. Returns whether the last session is over."""
        present, self._present = self._present, None
        end = self._machine.now() + patience
        if present is not None:
            present.client.close(patience).wait(patience + 1)
        if self._ending is not None:
            self._ending.join(max(0.0, end - self._machine.now()))
        return self._last is None or self._last.closed

    def accept(self, note: Note, now: float) -> list[Event]:
        """The events that the note means for the core."""
        present = self._present
        if isinstance(note.happening, Closed):
            return [note.happening]  # of a client that was given up: no other is closed while we listen
        if present is None or note.client is not present.client:
            return []
        match note.happening:
            case Up() as up:
                return self._up(present, up, now)
            case Refused(address, why):
                if self._refused.get(address) != why:
                    self._refused[address] = why
                    log.info("%s: %s", show(address), why)
                return []
            case Down():
                unsent = present.unsent
                sent = [operation for n, (operation, _) in present.outstanding.items() if n not in unsent]
                self._request_size.lost(sent, now)
                return self._down(present, [Suspended()])
            case Over():
                events = self._down(present, [Expired()])
                present.client.close(0)
                if self._last is present.client:
                    self._last = None
                self._next(now)
                return events
            case Fired(acl.PATH):
                self._ask_policy(present, now)
                return []
            case Fired() as fired:
                return [fired]
            case Answered(number, result, denied):
                present.heard = now
                if denied:
                    self._tell_denied(present, number, result, now)
                if number in present.outstanding and number not in present.unsent:
                    self._request_size.answered(present.outstanding[number][0])
                if number == POLICY:
                    return self._learned(present, result, now)
                if number < 0:
                    return self._prepared(present, number, result, now)
                return self._reply(present, number, result)

    def _new_client(self) -> Client:
        return Client(self._servers, self._timeout, lambda c, what: self._post(Note(c, what)), self._machine)

    def _next(self, now: float) -> None:
        self._present = None
        self._open_at = max(now, self._opened + REOPEN_DELAY)

    def _up(self, present: _Session, up: Up, now: float) -> list[Event]:
        present.up, present.connected, self._last = up, True, present.client
        self._refused.clear()
        log.info("session %s on %s", show_session(up.session), show(up.address))
        self._end_given_up(up)
        if present.announced:
            if self._servers.tls is not None:
                self._ask_policy(present, now)  # before all that the core asks
            return [Resumed(up.asked)]
        if not self._servers.chroot or not self._servers.creates_chroot:
            return self._usable(present, now)
        self._prepare(present, now)
        return []

    def _end_given_up(self, up: Up) -> None:
        """After an outage the ensemble gives every session its full time-out again. Until then the old
        session's ephemerals would keep our own name and tasks from us."""
        given_up, self._given_up = self._given_up, None
        if given_up is not None and given_up.up is not None and not given_up.client.closed:
            servers = [up.address, *(a for a in self._servers.addresses if a != up.address)]
            connect: Callable[..., Any] = self._machine.connect
            if self._servers.tls is not None:
                connect = self._servers.tls.connect(connect)
            closed = partial(self._post, Note(given_up.client, Closed(given_up.up.session)))
            end = partial(_end, servers, given_up.up, connect, self._machine.now, closed)
            self._ending = self._machine.spawn(end)

    def _down(self, present: _Session, events: list[Event]) -> list[Event]:
        present.connected, present.again = False, None
        lost = Failed(Error.CONNECTION_LOSS)
        asked = [number for number in present.outstanding if number >= 0]  # by the core
        replies = [Reply(number, present.unsent.get(number, lost)) for number in asked]
        present.outstanding.clear()
        present.unsent.clear()
        return [*replies, *events] if present.announced else []

    # Replies come in the order of their requests, so a request that was not sent is also answered in its
    # turn.

    def _refuse(self, present: _Session, number: int, why: Error, index: int | None = None) -> None:
        present.unsent[number] = Failed(why, index)
        if len(present.outstanding) == 1:
            self._post(Note(present.client, Answered(number, Failed(why, index))))

    def _reply(self, present: _Session, number: int, result: Result) -> list[Event]:
        if present.outstanding.pop(number, None) is None:
            return []  # the connection has been lost meanwhile
        replies: list[Event] = [Reply(number, result)]
        present.unsent.pop(number, None)
        while present.unsent:
            number = next(iter(present.outstanding))
            if number not in present.unsent:
                break
            del present.outstanding[number]
            replies.append(Reply(number, present.unsent.pop(number)))
        return replies

    def _announce(self, present: _Session) -> list[Event]:
        present.announced = True
        up = present.up
        return [Connected(up.session, up.timeout, up.asked)] if up else []

    # If the chroot is missing, we create it before the core hears of the session, unless the core only reads.
    # Our own requests have negative numbers.

    def _prepare(self, present: _Session, now: float) -> None:
        present.again = None
        self._own(present, -1, Exists(self._servers.chroot), now)

    def _own(self, present: _Session, number: int, operation: Operation, now: float) -> None:
        present.outstanding[number] = operation, now
        present.last_step = number
        if not present.client.still(present.up):
            pass  # its Down is on the way; the client would send it over the next connection
        elif not present.client.ask(number, operation, ""):
            self._post(Note(present.client, Answered(number, Failed(Error.REFUSED))))

    def _prepared(self, present: _Session, number: int, result: Result, now: float) -> list[Event]:
        asked = present.outstanding.pop(number, None)
        if asked is None:
            return []  # the connection was lost meanwhile: start over on the next one
        if isinstance(asked[0], Exists) and result is None:
            for i, path in enumerate(self._servers.parents):
                self._own(present, -2 - i, Transaction((Create(path),)), now)
            return []
        if number != present.last_step:
            return []
        if isinstance(result, Failed) and result.error is not Error.NODE_EXISTS:
            log.error("--connect: cannot create %s: %s", self._servers.chroot, result.error.value)
            present.again = now + AGAIN
            return []
        return self._usable(present, now)

    # With TLS others know who we are, so there may be access control lists. We learn who may do what before
    # the core hears of the session.

    def _usable(self, present: _Session, now: float) -> list[Event]:
        if self._servers.tls is None:
            return self._announce(present)
        self._ask_policy(present, now)
        return []

    def _ask_policy(self, present: _Session, now: float) -> None:
        present.again = None
        self._own(present, POLICY, Get(self._servers.chroot + acl.PATH, watch=True), now)

    def _learned(self, present: _Session, result: Result, now: float) -> list[Event]:
        if POLICY not in present.outstanding:
            return []  # the connection was lost meanwhile
        replies = self._reply(present, POLICY, result)[1:]  # to what the core asked
        match result:
            case Failed(Error.NO_NODE):  # which leaves no watch
                self._own(present, POLICY, Exists(self._servers.chroot + acl.PATH, watch=True), now)
                return replies
            case Stat():
                self._ask_policy(present, now)
                return replies
            case Node(data):
                policy = Policy.decode(data)
                if policy is None:
                    (policy,) = self._read or (None,)
                    keeps = "are open to all" if policy is None else "get the lists that it named before"
                    log.error("%s is damaged: new znodes %s; mwapp acl on repairs it", acl.PATH, keeps)
            case None:
                policy = None
            case _:  # which leaves no watch either
                present.again = now + AGAIN
                if self._read is None:  # it is not to be created open to all
                    log.error("--connect: cannot read %s, so we create nothing; trying again", acl.PATH)
                    return replies
                log.error(
                    "cannot read %s: new znodes get the access control lists that it named before", acl.PATH
                )
                (policy,) = self._read
        self._read = (policy,)
        present.policy = policy
        present.client.lists = everybody if policy is None else partial(_lists, policy, self._subject)
        return replies if present.announced else self._announce(present)

    def _tell_denied(self, present: _Session, number: int, result: Result, now: float) -> None:
        operation, _ = present.outstanding.get(number, (None, 0.0))
        if not isinstance(operation, Transaction) or not isinstance(result, Failed) or result.index is None:
            return
        op = operation.ops[result.index]
        kind = type(op), acl.kind(op.path)
        if now - self._told.get(kind, -TELL_AGAIN) >= TELL_AGAIN:
            self._told[kind] = now
            log.error("%s", acl.denied(present.policy, op, self._subject))

    @property
    def _subject(self) -> str | None:
        """Of our certificate."""
        return self._servers.tls.subject if self._servers.tls is not None else None


def _lists(policy: Policy, own: str | None, path: str, extend: bool) -> bytes:
    return policy.packed(path, own if extend else None)


def _exposed(policy: Policy | None, operation: Operation, own: str | None) -> tuple[int, str] | None:
    """Which operation would create what others must not read, and they could."""
    if not isinstance(operation, Transaction):
        return None
    for index, op in enumerate(operation.ops):
        if isinstance(op, Create) and op.path.endswith(_SECRET) and acl.kind(op.path) == acl.PRIVATE:
            return None if policy is not None and policy.keeps_secrets(own) else (index, op.path)
    return None


def _swollen(policy: Policy | None, operation: Operation) -> bool:
    """Whether it is only the access control lists that make a request too large."""
    if policy is None or not isinstance(operation, Transaction):
        return False
    creates = [op.path for op in operation.ops if isinstance(op, Create)]
    return size(operation) + sum(len(policy.packed(path)) for path in creates) > MOST_BYTES


def _end(
    servers: list[tuple[str, int]],
    up: Up,
    connect: Callable[..., Any],
    now: Callable[[], float],
    closed: Callable[[], None],
) -> None:
    """End the session; ``closed`` is called if the ensemble has closed it for us."""
    try:
        if end_session(servers, up.session, up.password, connect, now):
            closed()
    except OSError as problem:
        log.warning("session %s is left to time out: %s", show_session(up.session), problem)
    else:
        log.info("session %s, which was given up, is over", show_session(up.session))
