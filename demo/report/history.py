"""Reads the record: spans of time, faults with what was done and measured, and the account of tasks.

All times are seconds since the record began.
"""

import json
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from demo.report.lanes import OWNER, Act, Event, Span, read, stored

__all__ = ["Act", "BadRecordError", "Event", "Fault", "History", "Span"]

RECORD = Path("build/demo/events.jsonl")  # of the last story
DRAWN_GAP = 0.3  # a client writes fifty times a second, so show a longer silence, seconds


class BadRecordError(Exception):
    """The record cannot be read."""


@dataclass(slots=True)
class Fault:
    """One fault of the story: what the record saw of it, and the measurements."""

    number: int
    key: str
    told: float
    acts: list[Act] = field(default_factory=list)
    figure: Event | None = None

    @property
    def at(self) -> float:
        """When it happened; or, if the record saw nothing, when it was announced."""
        return self.acts[0].at if self.acts else self.told


class History:
    """What a record says."""

    def __init__(self, events: list[Event]) -> None:
        if not events:
            raise BadRecordError("the record is empty: was the story started?")
        self.events = sorted(events, key=lambda event: event["t"])
        self.end: float = max(1.0, self.events[-1]["t"])
        self.machine = self.last("machine") or {}
        self.ledger = self.last("ledger")
        self.lanes, self.acts = read(self.events, self.end)
        self.faults = self._faults()
        self.accepted = sorted(at for event in self._all("accepted") for at, _ in event["tasks"])
        self.ended = sorted(at for at, *_ in (self.ledger or {}).get("ends", ()))
        self.writes: dict[str, list[float]] = {}
        for event in self._all("writes"):
            self.writes.setdefault(event["client"], []).extend(event["times"])
        self.stored = stored(self.events)

    @staticmethod
    def load(path: Path) -> "History":
        """Read a record. Its last line may be incomplete if the story was cut off.

        Raises:
            BadRecordError: it does not exist, or is not a record.
        """
        try:
            lines = path.read_text().splitlines()
        except OSError as error:
            raise BadRecordError(f"{path}: {error.strerror}: `make demo` writes it") from None
        events = []
        for number, line in enumerate(lines, 1):
            try:
                event = json.loads(line)
                events.append({**event, "t": float(event["t"]), "event": str(event["event"])})
            except (ValueError, TypeError, KeyError):
                if number < len(lines):
                    raise BadRecordError(f"{path}: line {number} is no event") from None
        return History(events)

    # ------------------------------------------------------------ the verdict

    @property
    def problem(self) -> str | None:
        """What did not hold; None if the story held."""
        end = self.last("end")
        if end is None:
            return "the record breaks off: the story did not come to its end"
        if end["problem"]:
            return str(end["problem"])
        if self.ledger is None:
            return "the tasks were not accounted for"
        for what in ("lost", "doubled", "open"):
            if self.ledger[what]:
                return f"{what}: {', '.join(self.ledger[what])}"
        if self.ledger["failed"] != self.ledger["meant_to_fail"]:
            return f"{self.ledger['failed']} tasks failed, {self.ledger['meant_to_fail']} were meant to"
        return None

    @property
    def held(self) -> bool:
        """Whether the story held."""
        return self.problem is None

    # ------------------------------------------------------------ questions

    def nodes(self, kind: str) -> list[str]:
        """The nodes with a part of this kind."""
        return sorted(node for part, node in self.lanes if part == kind)

    def owners(self, table: str) -> list[Span]:
        """Who owned a table of shards, and when."""
        return self.lanes.get((OWNER, table), [])

    def gaps(self, client: str) -> list[tuple[float, float]]:
        """When a client waited longer than usual for an acknowledgement."""
        times = self.writes.get(client, [])
        return [(a, b) for a, b in pairwise(times) if b - a > DRAWN_GAP]

    @property
    def longest_submission(self) -> tuple[float, float] | None:
        """The longest time without an acknowledged submission, between the first and the last."""
        return max(pairwise(self.accepted), key=lambda pair: pair[1] - pair[0], default=None)

    def tell(self, time: float) -> str:
        """Who was what at a time, and the number of tasks, in one line."""
        now = [(lane, span) for lane, spans in self.lanes.items() for span in spans]
        now = [(lane, span) for lane, span in now if span.begin <= time < span.end]
        masters = [
            f"{node} (epoch {s.epoch})" for (kind, node), s in now if (kind, s.state) == ("master", "active")
        ]
        leaders = [node for (kind, node), s in now if (kind, s.state) == ("server", "leader")]
        counts = f"{bisect_right(self.accepted, time)} submitted"
        if self.ledger:
            counts += f", {bisect_right(self.ended, time)} ended"
        return (
            f"after {time:g} s: master {' and '.join(masters) or 'none'}, "
            f"leader {' and '.join(leaders) or 'none'}, {counts}"
        )

    def kept(self, table: str) -> Event | None:
        """How many writes to this table of shards were acknowledged, and what was wrong in the end."""
        return next((event for event in self._all("kept") if event["store"] == table), None)

    def figures(self, kind: str) -> dict[str, list[float]]:
        """Times of one kind, takeover or gap, by fault; milliseconds."""
        found: dict[str, list[float]] = {}
        for event in self._all("figure"):
            if event["kind"] == kind:
                found.setdefault(event["fault"], []).append(event["ms"])
        return found

    def shown(self) -> list[Event]:
        """The tasks shown one by one."""
        return self._all("shown")

    # ------------------------------------------------------------ reading

    def _all(self, name: str) -> list[Event]:
        return [event for event in self.events if event["event"] == name]

    def last(self, name: str) -> Event | None:
        """The last event of a name."""
        return next(iter(self._all(name)[-1:]), None)

    def _faults(self) -> list[Fault]:
        faults = [
            Fault(number, event["fault"], event["t"]) for number, event in enumerate(self._all("fault"), 1)
        ]
        for act in self.acts:
            if before := [fault for fault in faults if fault.told <= act.at]:
                before[-1].acts.append(act)
        for event in self._all("figure"):
            for fault in reversed(faults):
                if fault.key == event["fault"] and fault.told <= event["t"]:
                    fault.figure = event
                    break
        return faults
