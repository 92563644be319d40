"""Who was what, and when: what the looks saw, without what can no longer have been true.

A look shows what a part says of itself. That holds until the next look only while its host runs, its process
lives, and nobody has replaced it. Better knowledge from elsewhere in the record overrules it.
"""

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import inf
from typing import Any

Event = dict[str, Any]
Lane = tuple[str, str]  # the kind of part, and its node

HOST_FAULTS = ("off", "frozen")  # states of a host that are faults
ONE_ACT = 0.3  # repetitions within this many seconds are the same act
SWITCHING = 2.0  # a host is seen off at most this long after its power cut, seconds

PARTS = ("master", "worker", "server")  # kinds of what runs on a host
NO_ANSWER = "no answer"
DEPOSED = "deposed"  # it says that it leads, but a later epoch has begun
# Of a table of shards: the kind of its lane, which shows who owns it; and of what serves it.
OWNER, HANDLER = "owner", "handler"
# Nobody serves it; its owner is to release it, and may still serve; nobody looks any more.
OWNERLESS = NOBODY, HANDOVER, UNWATCHED = "nobody", "handover", "not watched"
ALONE = "leader without a quorum"  # it says that it leads, but too few servers follow it


@dataclass(frozen=True, slots=True)
class Span:
    """A part was in one state from ``begin`` to ``end``; the last look that saw it began at ``seen``."""

    begin: float
    end: float
    state: str
    epoch: int | None = None  # of an owner: its generation
    seen: float = field(default=inf, compare=False)

    @property
    def name(self) -> str:
        """The state in words."""
        return self.state if self.epoch is None else f"{self.state}, epoch {self.epoch}"

    def but(self, begin: float, end: float, state: str, *, epoch: int | None = None) -> "list[Span]":
        """The same, but in another state from ``begin`` to ``end``: up to three spans."""
        begin, end = max(begin, self.begin), min(end, self.end)
        if begin >= end:
            return [self]
        parts = [
            replace(self, end=begin),
            replace(self, begin=begin, end=end, state=state, epoch=epoch),
            replace(self, begin=end),
        ]
        return [part for part in parts if part.begin < part.end]


Lanes = dict[Lane, list[Span]]
Write = tuple[float, float]  # when it was begun, and when it was acknowledged


@dataclass(frozen=True, slots=True)
class Act:
    """What happened to a host or to a process on it. A kill has no duration."""

    at: float
    kind: str  # kill, off, frozen
    node: str
    until: float
    part: str = ""  # what was killed, and its unit
    unit: str = ""

    def hits(self, lane: Lane) -> bool:
        """Whether it stops that lane's part."""
        kind, node = lane
        return node == self.node and kind in PARTS and self.part in ("", kind)


def stored(events: list[Event]) -> dict[str, list[Write]]:
    """The writes that were acknowledged to the client of each table of shards."""
    found: dict[str, list[Write]] = {}
    for event in events:
        if event["event"] == "stored":
            found.setdefault(event["store"], []).extend((began, ended) for began, ended in event["writes"])
    return found


def read(events: list[Event], end: float) -> tuple[Lanes, list[Act]]:
    """The lanes and the acts of a record (its events in order of time) that ends at ``end``."""
    looks: dict[Lane, list[Event]] = {}
    for event in events:
        if event["event"] == "seen":
            looks.setdefault((event["kind"], event["node"]), []).append(event)
    lanes = {lane: _spans(seen, end) for lane, seen in looks.items()}
    acts = sorted([*_kills(events), *_host_faults(events, lanes)], key=lambda act: act.at)
    for act in acts:
        lanes |= {lane: _stopped(spans, act) for lane, spans in lanes.items() if act.hits(lane)}
    _leave_alone(lanes)
    _lead_from_first_proof(lanes)
    _depose(lanes, "master", ("active",))
    _depose(lanes, "server", ("leader", ALONE))
    for (kind, table), spans in lanes.items():
        if kind == OWNER:
            lanes[kind, table] = _owned(spans, table, acts, stored(events).get(table, []))
    return {lane: _joined(spans) for lane, spans in lanes.items()}, acts


# ------------------------------------------------------------ what was seen and done


def _spans(looks: list[Event], end: float) -> list[Span]:
    begins: list[float] = []
    for look in looks:
        at: float = look["t"]
        # A master itself says when it was elected, which is more exact than the first look.
        # If it has been in another state since, it is not a new master, but has found a server again.
        if begins and begins[-1] < look.get("elected", -inf) < at:
            at = look["elected"]
        begins.append(at)
    # A record without "after" tells only that the state held when it was first seen.
    seen = [*(look.get("after", begin) for look, begin in zip(looks[1:], begins, strict=False)), end]
    return [
        Span(begin, until, look["state"], look.get("epoch", look.get("generation")), max(begin, last))
        for look, last, (begin, until) in zip(looks, seen, pairwise([*begins, end]), strict=True)
        if begin < until
    ]


def _kills(events: list[Event]) -> list[Act]:
    kills = (event for event in events if event["event"] == "kill")
    return [Act(it["t"], "kill", it["node"], it["t"], it["kind"], it["unit"]) for it in kills]


def _host_faults(events: list[Event], lanes: Lanes) -> list[Act]:
    told = [event["t"] for event in events if event["event"] == "fault"]
    acts: list[Act] = []
    for (kind, node), spans in lanes.items():
        found: list[Act] = []
        for span in spans if kind == "host" else ():
            if span.state not in HOST_FAULTS:
                continue
            # Not before the last act was over, nor before somebody started it.
            over = [at for at in (*told, *(act.until for act in found)) if at <= span.begin]
            begin = max([*over, _silent_since(lanes, node, span.begin)])
            # A power cut freezes the host for a moment: that is one act, not two.
            if found and begin - found[-1].until < ONE_ACT:
                begin = found.pop().at
            found.append(Act(begin, span.state, node, span.end))
        acts += found
    return acts


def _silent_since(lanes: Lanes, node: str, at: float) -> float:
    """When a host stopped that was seen stopped at ``at``: its parts may have been silent earlier."""
    parts = [spans for (kind, other), spans in lanes.items() if kind in PARTS and other == node]
    silent = [span for spans in parts for span in spans if span.begin <= at < span.end]
    if not silent or any(span.state != NO_ANSWER for span in silent):
        return at
    since = max(span.begin for span in silent)
    return since if at - since < SWITCHING else at


# ------------------------------------------------------------ what overrules it


def _stopped(spans: list[Span], act: Act) -> list[Span]:
    """A stopped part has no other state. After that it is unknown until the next look."""
    parts: list[Span] = []
    for span in spans:
        if span.state in HOST_FAULTS:  # it is already stopped, so a kill there is none
            parts.append(span)
            continue
        unknown = span.begin <= act.until and span.seen < act.until
        for part in span.but(act.until, inf, NO_ANSWER) if unknown else [span]:
            parts += part.but(act.at, act.until, act.kind)
    return parts


def _leave_alone(lanes: Lanes) -> None:
    """A leader that lacks more than half of the others leads nobody, and may not know it yet."""
    servers = {lane: spans for lane, spans in lanes.items() if lane[0] == "server"}
    absences = {lane: _absences(spans) for lane, spans in servers.items()}
    for lane, spans in servers.items():
        others = [absence for other, found in absences.items() if other != lane for absence in found]
        parts: list[Span] = []
        for span in spans:
            # A leader that was just elected has followers, even if a look sees them a moment later.
            absent = [it for it in others if span.begin < it.at_least] if span.state == "leader" else []
            whole = [span]
            for begin, end in pairwise(sorted({time for it in absent for time in (it.begin, it.end)})):
                if 2 * sum(it.begin <= begin < it.end for it in absent) > len(servers) - 1:
                    whole = [part for one in whole for part in one.but(begin, end, ALONE, epoch=span.epoch)]
            parts += whole
        lanes[lane] = parts


@dataclass(frozen=True, slots=True)
class _Absence:
    """A server certainly followed nobody until ``at_least``, and was seen to follow again at ``end``."""

    begin: float
    at_least: float
    end: float


def _absences(spans: list[Span]) -> list[_Absence]:
    """A server that does not answer may only be slow: it keeps its previous state."""
    found: list[_Absence] = []
    since: float | None = None
    for before, span in pairwise([spans[0], *spans]):
        if since is None and span.state not in ("follower", NO_ANSWER):
            since = span.begin
        elif since is not None and span.state == "follower":
            found.append(_Absence(since, min(before.seen, span.begin), span.begin))
            since = None
    return found if since is None else [*found, _Absence(since, inf, inf)]


def _lead_from_first_proof(lanes: Lanes) -> None:
    """Nobody begins to follow, and no master becomes active, without a leader.

    So the next part seen leading already led then, if no look asked it since.
    """
    servers = [spans for (kind, _), spans in lanes.items() if kind == "server"]
    masters = [spans for (kind, _), spans in lanes.items() if kind == "master"]
    led = [span for spans in servers for span in spans if span.state == "leader"]
    proofs = [it.end for spans in servers for it in _absences(spans)]
    proofs += [
        span.begin
        for spans in masters
        for before, span in pairwise(spans)
        if span.state == "active" and before.state not in HOST_FAULTS
    ]
    proofs = sorted(at for at in proofs if not any(span.begin < at < span.end for span in led))
    for spans in servers:
        for index in range(1, len(spans)):
            before, span = spans[index - 1 : index + 1]
            later = proofs[bisect_right(proofs, max(before.begin, before.seen)) :]
            if span.state == "leader" and before.state not in HOST_FAULTS and later and later[0] < span.begin:
                spans[index - 1 : index + 1] = replace(before, end=later[0]), replace(span, begin=later[0])


def _depose(lanes: Lanes, kind: str, states: tuple[str, ...]) -> None:
    """A leader leads until a later epoch begins; without epochs, until another is seen to lead."""
    mine = {lane: spans for lane, spans in lanes.items() if lane[0] == kind}

    def rank(lane: Lane, span: Span) -> tuple[int, float, Lane]:
        return span.epoch or 0, span.begin, lane

    claims = [rank(lane, span) for lane, spans in mine.items() for span in spans if span.state == states[0]]
    for lane, spans in mine.items():
        parts: list[Span] = []
        for span in spans:
            later = [claim[1] for claim in claims if claim > rank(lane, span)]
            until = min(later, default=inf) if span.state in states else inf
            parts += span.but(until, inf, DEPOSED, epoch=span.epoch)
        lanes[lane] = parts


def _owned(spans: list[Span], table: str, acts: list[Act], writes: list[Write]) -> list[Span]:
    """Whoever is dead owns nothing, even if the ensemble does not know it yet. Whoever has acknowledged a
    write since has served, even if no look has seen it yet."""
    kills = [act for act in acts if act.part == "worker" or (act.part, act.unit) == (HANDLER, table)]
    parts: list[Span] = []
    for span in spans:
        ends = [act.at for act in kills if act.node == span.state and span.begin <= act.at < span.end]
        parts += span.but(min(ends, default=inf), inf, NOBODY)
    parts = _joined(parts)
    for index in range(1, len(parts)):
        before, span = parts[index - 1 : index + 1]
        proofs = [ended for began, ended in writes if before.begin < began and ended < before.end]
        if before.state == NOBODY and span.state not in OWNERLESS and proofs:
            at = min(proofs)
            parts[index - 1 : index + 1] = replace(before, end=at), replace(span, begin=at)
    return parts


def _joined(spans: list[Span]) -> list[Span]:
    """Join neighbouring spans of one state."""
    joined: list[Span] = []
    for span in spans:
        if joined and joined[-1].name == span.name:
            joined[-1] = replace(joined[-1], end=span.end, seen=span.seen)
        else:
            joined.append(span)
    return joined
