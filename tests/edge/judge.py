"""What the edge owes the core, and the ensemble; checked at every step.

faithful       what the core is told is what the server has said, all of it, in that order, and no more;
               a watch among the replies where the server had it
one-reply      every request gets one reply, in the order of the requests; CONNECTION_LOSS if it was cut off
own-session    a request travels on its own session, with others in the order they were made in
nothing-after  nothing is heard of a session that was given up or is over, but that the first is closed
truly-over     a session is told to be over only if it is
asked          a session is reckoned from when its connection was begun, and has the time-out granted
seen           last_zxid is what was seen, and goes to every server
credentials    id, password and time-out of every first packet are right
chroot         nothing is touched but what is below it, and it is there before the core hears of the session
silence        who is silent is left in time, and who is not is not
at-once        what becomes of a connection or a session is told at once, and the next server tried
bounded        so many reads in one request
lists          what is created has the access control list that /acl asks for, as it was read last; before it
               was read nothing is created; a change of it is heard of
secrets        secret values go nowhere if others could read them
given-up       a session that was given up is closed as soon as a server can, and the core is told so, if the
               ensemble has said it
closed         what is said to be closed is closed, and in time
liveness       in peace everybody has a session, and is answered
no-crash       no thread ends with an error, none is left, and no connection
"""

from typing import TYPE_CHECKING

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
    Operation,
    Reply,
    Result,
    Resumed,
    Suspended,
    Transaction,
)
from mwapp.zookeeper import acl
from tests.edge import wire
from tests.edge.network import Link
from tests.edge.server import Said, Watcher
from tests.edge.sides import Side, Talk, creates, travelling
from tests.simulation.ensemble import SimEnsemble
from tests.simulation.world import Violation

if TYPE_CHECKING:
    from tests.edge.machine import Thread

NOBODY = bytes(16)
CUT = Failed(Error.CONNECTION_LOSS)
REFUSED = Failed(Error.REFUSED)
# So much may be asked for at once: reads.
MOST_READS = 25
# What a silent server is: one that says nothing for this part of the session time-out. And how late a thread
# and the main loop may be, seconds.
SILENCE, SLACK = 1 / 3, 0.5
# A server has so long to be reached, and as long again to greet; every further round as much more, seconds.
ATTEMPT = 1.0
# What comes after a pause of the whole process may have waited to be read for so long, seconds.
GRACE = 0.2
# Who thaws may need so long to turn, seconds.
LATE = 0.01
AT_ONCE = 0.025
# The first pause between two rounds through the servers is no longer than that, seconds.
PAUSE = 0.1


class Judge(Watcher):
    """Watches what is said in bytes, and what the cores ask and are told."""

    def __init__(self, ensemble: SimEnsemble, passwords: dict[int, bytes]) -> None:
        self.ensemble, self._passwords = ensemble, passwords
        self.sides: dict[str, Side] = {}
        self._talks: dict[Link, Talk] = {}
        self._greeted: dict[Link, int] = {}  # as which session
        # Of each session the replies that say it is closed, by their ends.
        self._closings: dict[int, list[tuple[Link, int]]] = {}
        self._last: dict[Thread, list[Talk]] = {}  # of each thread that connects
        self._slow: dict[Thread, int] = {}  # how many servers in a row it has waited for in vain
        # Of each when its last connection ended, and how many have failed in a row.
        self._before: dict[Thread, tuple[float, int]] = {}

    # ------------------------------------------------------------ in bytes

    def greeted(self, link: Link, hello: wire.Hello) -> None:
        side = self.sides[link.machine.name]
        self._greeted[link] = hello.session
        if hello.version != 0 or hello.read_only:
            raise Violation("credentials", f"{side.name} says {hello}")
        if hello.timeout == 0:
            self._ends(side, hello)
        else:
            self._goes_on(side, link, hello)

    def _ends(self, side: Side, hello: wire.Hello) -> None:
        """A session that was given up is taken over, to be closed."""
        if hello.session not in side.given_up:
            raise Violation("credentials", f"{side.name} ends {hello.session:#x}, which it has not given up")
        if hello.password != self._passwords[hello.session] or hello.seen:
            raise Violation("credentials", f"{side.name} ends a session with {hello}")

    def _goes_on(self, side: Side, link: Link, hello: wire.Hello) -> None:
        before = self._last.setdefault(link.thread, [])
        # This may have been sent before what came over the next connection, and comes after it.
        known = [talk for talk in before if talk.known and talk.link.begun < link.begun]
        session = known[-1].session if known else 0
        password = self._passwords[session] if known else NOBODY
        if hello != hello._replace(session=session, password=password, timeout=round(side.timeout * 1000)):
            raise Violation("credentials", f"{side.name} is {session:#x}, and says {hello}")
        seen = max((talk.seen for talk in known), default=0)
        if hello.seen != seen:
            raise Violation("seen", f"{side.name} has seen {seen}, and says {hello.seen}")
        talk = self._talks[link] = Talk(
            link, side, own=side.session is None or side.session != session, wants=session
        )
        before.append(talk)
        before.sort(key=lambda talk: talk.link.begun)

    def granted(self, link: Link, session: int, timeout: float) -> None:
        talk = self._talks.get(link)
        self._greeted[link] = session
        if talk is not None:
            talk.session, talk.timeout, talk.welcomed = session, timeout, link.down.written

    def over(self, link: Link) -> None:
        if link in self._talks:
            self._talks[link].over, self._talks[link].welcomed = True, link.down.written

    def asked(self, link: Link, request: wire.Request) -> None:
        talk = self._talks.get(link)
        if talk is None:  # what ends a session says but that
            if request.kind != wire.CLOSE:
                raise Violation("credentials", f"{link.machine.name} asks {request} to end a session")
            return
        if not talk.known:
            raise Violation("own-session", f"{talk.side.name} asks before it has a session: {request}")
        if len(request.operations) > MOST_READS:
            raise Violation("bounded", f"{talk.side.name} asks for {len(request.operations)} reads at once")
        for operation in request.operations:
            self._came(talk, operation, request.lists)

    def _came(self, talk: Talk, operation: Operation, lists: tuple[wire.Acl, ...]) -> None:
        side = talk.side
        if side.learns(operation):
            talk.learns = True
            return
        self._exposed(side, operation, lists)
        if talk.asked:
            wanted, as_told = talk.asked.popleft()
            if side.stripped(operation) != wanted:
                raise Violation("own-session", f"{side.name} asks {_short(operation)}, not {_short(wanted)}")
            if side.subject is not None and not talk.learns:
                raise Violation("lists", f"{side.name} asks {_short(operation)} before it asks who may")
            if lists != as_told:
                raise Violation("lists", f"{side.name} asks {_short(operation)} with {lists}, not {as_told}")
            return
        talk.mine += 1
        own = [Exists(side.chroot), *(Transaction((Create(path),)) for path in side.parents)]
        if not talk.own or operation not in own:
            raise Violation("own-session", f"{side.name} asks {_short(operation)}, and its core did not")
        if any(each != wire.OPEN for each in lists):  # above /acl nobody is kept from anything
            raise Violation("lists", f"{side.name} creates its chroot with {lists}")

    def _exposed(self, side: Side, operation: Operation, lists: tuple[wire.Acl, ...]) -> None:
        for op, each in zip(creates(operation), lists, strict=True):
            private = acl.kind(op.path[len(side.chroot) :]) == acl.PRIVATE
            if private and any(entry.scheme == "world" for entry in each):
                raise Violation("secrets", f"{side.name} creates {op.path}, and {each} may read it")

    def said(self, link: Link, said: Said) -> None:
        if said.closes:
            self._closings.setdefault(self._greeted[link], []).append((link, said.end))
        if link in self._talks:
            self._talks[link].say(said)

    def spoiled(self, link: Link) -> None:
        if link in self._talks:
            self._talks[link].worthless = True

    def confirmed(self, session: int) -> bool:
        """Whether its client has read that the ensemble has closed the session at its request."""
        return any(link.read >= end for link, end in self._closings.get(session, []))

    # ------------------------------------------------------------ at the core

    def wants(self, side: Side, number: int, operation: Operation, now: float, *, sent: bool) -> None:
        """The core asks."""
        sent = sent and side.talk is not None and side.request_size.allows(operation, now)
        sent = sent and not side.exposes(operation)
        side.outstanding[number] = travelling(operation), now, sent
        if sent and side.talk is not None:
            side.talk.asked.append((travelling(operation), side.lists(operation)))

    def learns(self, side: Side, link: Link | None, now: float) -> None:
        """Its edge gets an answer to who may do what."""
        talk = self._talks[_sure(link)]
        if talk.session in side.given_up or side.session not in (None, talk.session):
            return
        if not talk.readings:
            raise Violation("faithful", f"{side.name} hears who may do what, and nobody has said so")
        side.learned(talk.readings.popleft())
        side.heard = now

    def gives_up(self, side: Side) -> None:
        """The core abandons its session."""
        assert side.session is not None
        side.given_up.add(side.session)
        side.ends()

    def told(self, side: Side, event: Event, link: Link | None, now: float) -> None:
        """The core is told something, by the thread whose last connection that is."""
        match event:
            case Connected():
                side.began = now
                self._connected(side, event, self._talks[_sure(link)])
            case Resumed(asked):
                talk, side.began = self._talks[_sure(link)], now
                self._resumed(side, talk, asked)
            case Reply(number, result):
                self._replied(side, number, result)
                side.heard = now
            case Fired():
                self._next(side, None, event)
            case Suspended():
                self._cut(side, event)
                side.request_size.lost(side.cut_off, now)
                side.talk = None
            case Expired():
                self._expired(side, event)
            case Closed(session):
                self._closed(side, session)

    def _connected(self, side: Side, event: Connected, talk: Talk) -> None:
        if side.session is not None:
            raise Violation("nothing-after", f"{side.name} has {side.session:#x}, and is told of another")
        if event.session != talk.session or event.session in side.given_up:
            raise Violation("nothing-after", f"{side.name} is told of {event.session:#x}")
        if event.timeout != talk.timeout:
            raise Violation("asked", f"{side.name} was granted {talk.timeout} s, and is told {event.timeout}")
        if (side.chroot or "/") not in self.ensemble.decided.nodes:
            raise Violation("chroot", f"{side.name} is told of its session before there is {side.chroot}")
        if side.subject is not None and side.knows is None:
            raise Violation("lists", f"{side.name} is told of its session before it knows who may do what")
        side.session = event.session
        self._begins(side, talk, event.asked)

    def _resumed(self, side: Side, talk: Talk, asked: float | None) -> None:
        if side.session is None or side.session != talk.session or side.talk is not None:
            raise Violation("nothing-after", f"{side.name} resumes {talk.session:#x} for {side.session}")
        self._begins(side, talk, asked)

    def _begins(self, side: Side, talk: Talk, asked: float | None) -> None:
        if asked != talk.link.begun:
            raise Violation("asked", f"{side.name} asked at {talk.link.begun}, and is told {asked}")
        if talk.begun:
            raise Violation("faithful", f"{side.name} is told twice of a connection")
        talk.begun = True
        side.talk, side.cut = talk, False
        side.cut_off.clear()

    def _replied(self, side: Side, number: int, result: Result) -> None:
        if not side.outstanding or number not in side.outstanding:
            raise Violation("one-reply", f"{side.name} is told of {number}, which it does not wait for")
        first = next(iter(side.outstanding))
        if number != first:
            raise Violation("one-reply", f"{side.name} is told of {number} before {first}")
        operation, _, sent = side.outstanding.pop(number)
        if result == CUT and sent:
            self._cut(side, Reply(number, result))
            side.cut = True
            side.cut_off.append(operation)
        elif sent:
            if side.cut:
                raise Violation("one-reply", f"{side.name} is told of {number} after the cut")
            self._next(side, operation, result)
            side.request_size.answered(operation)
        elif result not in (REFUSED, CUT) and result != _unsafe(operation):
            raise Violation("one-reply", f"{side.name} is told {_short(result)} of what was not sent")

    def _next(self, side: Side, operation: Operation | None, result: Result | Fired) -> None:
        """What the core is told is what the server has said next."""
        talk = side.talk
        if talk is None:
            raise Violation("nothing-after", f"{side.name} is told {_short(result)} without a connection")
        if not talk.untold or talk.untold[0][1] > talk.link.read:
            raise Violation("faithful", f"{side.name} is told {_short(result)}, which nobody has said")
        item, _ = talk.untold.popleft()
        if item != (operation, result):
            raise Violation("faithful", f"{side.name} is told {_short(result)}, and not {_short(item)}")

    def _cut(self, side: Side, event: Event) -> None:
        """Its connection is lost: all that was read has been told."""
        if side.talk is None:
            raise Violation("nothing-after", f"{side.name} is told {_short(event)} without a connection")
        if not isinstance(event, Reply) and side.outstanding:
            raise Violation("one-reply", f"{side.name} is told {event}, and not of {list(side.outstanding)}")
        left = [item for item, end in side.talk.untold if end <= side.talk.link.read]
        if left:
            raise Violation("faithful", f"{side.name} has read what it is not told: {_short(left[0])}")

    def _expired(self, side: Side, event: Expired) -> None:
        if side.session is None:
            raise Violation("nothing-after", f"{side.name} is told of the end of no session")
        if side.session in self.ensemble.sessions:
            raise Violation("truly-over", f"{side.name} is told that {side.session:#x} is over")
        if side.talk is not None:
            self._cut(side, event)
        side.ends()

    def _closed(self, side: Side, session: int) -> None:
        if session not in side.given_up:
            raise Violation("nothing-after", f"{side.name} is told that its {session:#x} is closed")
        if session in self.ensemble.sessions or not self.confirmed(session):
            raise Violation("truly-over", f"{side.name} is told that {session:#x} is closed: who said so?")
        side.closed.add(session)

    # ------------------------------------------------------------ in time

    def look(self, side: Side, now: float) -> None:
        """What should have happened by now."""
        talk = side.talk
        if talk is not None and talk.link.left_at is not None and _late(side, talk.link.left_at, now):
            raise Violation("at-once", f"{side.name} is not told that its connection is lost")
        for last in [talks[-1] for talks in self._last.values()]:
            over = last.over and last.link.read >= last.welcomed and last.link.left_at is not None
            if (
                over
                and last.side is side
                and side.session == last.wants
                and _late(side, last.link.left_at, now)
            ):
                raise Violation("at-once", f"{side.name} is not told that {last.wants:#x} is over")
        since = self._waits_since(side)
        if since is None or talk is None:
            return
        if now > max(since, side.thawed_at) + talk.timeout * SILENCE + SLACK:
            raise Violation("silence", f"{side.name} waits for its server since {since:.3f}")

    def cut(self, link: Link, now: float) -> None:
        """The edge has cut a connection: its server was silent, and that was not our own silence."""
        talk = self._talks.get(link)
        since = self._waits_since(talk.side) if talk is not None and talk is talk.side.talk else None
        if talk is None or since is None:
            return
        side = talk.side
        if side.subject is not None:  # what it waits for may be the answer to who may do what
            since = max(side.began, side.heard)
        if now < max(since + talk.timeout * SILENCE, side.trusts_until) - 0.001:
            raise Violation("silence", f"{side.name} leaves a server that has answered at {since:.3f}")

    def thawed(self, side: Side, now: float) -> None:
        """Who finds itself late has stood still: its server may have answered."""
        since, talk, side.thawed_at = self._waits_since(side), side.talk, now
        if since is None or talk is None:
            return
        late = now - max(since + talk.timeout * SILENCE, side.may_trust_until) - GRACE
        if late > -LATE:
            side.may_trust_until = now + GRACE + LATE
        if late > LATE:
            side.trusts_until = now + GRACE

    def closed(self, link: Link, now: float) -> None:
        """The edge has done with a connection: who has not greeted it had its time, and no more."""
        side, slow = self.sides[link.machine.name], self._slow.get(link.thread, 0)
        talk, took = self._talks.get(link), now - link.begun
        self._follows(side, link, now, known=talk is not None and talk.known)
        patience = ATTEMPT * (1 + slow // side.servers)
        if talk is not None and (talk.known or talk.over):
            self._slow[link.thread] = 0
            return
        longest = 2 * patience if link.thread in self._last else 6 * ATTEMPT  # who ends a session says more
        if took > longest + SLACK and side.thawed_at < link.begun and not link.machine.off:
            raise Violation("silence", f"{side.name} waits {took:.1f} s for a server to greet it")
        self._slow[link.thread] = slow + (took >= patience)

    def _follows(self, side: Side, link: Link, now: float, *, known: bool) -> None:
        """One connection soon follows the other, until all servers have been tried in vain."""
        before, failed = self._before.get(link.thread, (link.begun, 0))
        if link.begun > before + PAUSE and failed < side.servers and side.thawed_at < before:
            raise Violation("at-once", f"{side.name} tries no server for {link.begun - before:.2f} s")
        self._before[link.thread] = now, 0 if known else failed + 1

    def _waits_since(self, side: Side) -> float | None:
        """For an answer of its server."""
        sent = next((at for _, at, sent in side.outstanding.values() if sent), None)
        if sent is None or side.talk is None or side.talk.link.left_at is not None:
            return None
        return max(sent, side.heard)


def _unsafe(operation: Operation) -> Failed | None:
    """What is said of a transaction that would create secret values for all to read."""
    ops = operation.ops if isinstance(operation, Transaction) else ()
    secret = [isinstance(op, Create) and acl.kind(op.path) == acl.PRIVATE for op in ops]
    return Failed(Error.REFUSED, secret.index(True)) if any(secret) else None


def _late(side: Side, since: float | None, now: float) -> bool:
    return since is not None and now > max(since, side.thawed_at) + AT_ONCE


def _sure(link: Link | None) -> Link:
    assert link is not None
    return link


def _short(what: object) -> str:
    text = repr(what)
    return text if len(text) < 200 else text[:200] + "..."
