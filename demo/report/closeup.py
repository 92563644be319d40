"""Close-ups of the kills of owners: who owned what a client wrote to, and its acknowledged writes, in steps.

All have the same scale of time, so that one can compare them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from demo.report.history import Fault, History, Span
from demo.report.lanes import OWNERLESS, UNWATCHED, Write
from demo.report.legend import BAR
from demo.report.texts import span
from drawing.svg import Svg, text_width

MARGIN = 0.5  # seconds before the kill, and after the next write
GUTTER, STEPS, LABEL = 30, 60, 22
HEIGHT = 122  # of a close-up with its title and its axis


@dataclass(frozen=True, slots=True)
class CloseUp:
    """What the record says of one store around the kill of its owner. Times are the record's, seconds."""

    number: int  # of the fault
    table: str
    kill: float
    cost: str  # how long after that the next write was acknowledged
    next: float  # when that was
    generations: tuple[int, int]  # before and after
    owners: list[Span]
    writes: list[Write]


def close_ups(history: History) -> list[CloseUp]:
    """Those of the faults whose figure has a store."""
    return [
        _close_up(history, fault)
        for fault in history.faults
        if "store" in (fault.figure or {}) and fault.acts
    ]


def _close_up(history: History, fault: Fault) -> CloseUp:
    figure = fault.figure or {}
    table = figure["store"]
    generations = figure["before"]["generation"], figure["after"]["generation"]
    owners = history.owners(table)
    after = fault.at + figure["ms"] / 1000
    writes = history.stored.get(table, [])
    return CloseUp(fault.number, table, fault.at, span(figure["ms"]), after, generations, owners, writes)


def owned(spans: list[Span]) -> Iterator[Span]:
    """Those in which somebody is the owner."""
    return (span for span in spans if span.state not in OWNERLESS)


def said_of(table: str, span: Span) -> str:
    """What a bar of an owner says."""
    return f"{table}: {span.state} owns it, generation {span.epoch}"


def watched(spans: list[Span]) -> Iterator[Span]:
    """Those in which somebody looked, and a client wrote."""
    return (span for span in spans if span.state != UNWATCHED)


def said_of_kill(it: CloseUp) -> str:
    """What its cross says."""
    return f"{it.table}: its owner was killed at {it.kill:.2f} s"


def seconds_shown(shown: list[CloseUp]) -> float:
    """From the kill to the end of each close-up."""
    return max(it.next - it.kill for it in shown) + MARGIN


class Panel:
    """Draws one of them: from ``x`` on, ``width`` units wide, below ``y``."""

    def __init__(self, svg: Svg, it: CloseUp, x: float, y: float, width: float, after: float) -> None:
        self._svg, self._it, self._left = svg, it, x
        self._begin, self._end = it.kill - MARGIN, it.kill + after
        self._scale = width / (self._end - self._begin)
        # As far as it was watched: after that nothing is known, and the client has stopped.
        self._known = min(self._end, max((span.end for span in watched(it.owners)), default=it.next))
        first, then = it.generations
        svg.text(x, y + 10, f"{it.number}. {it.table}", 11, "ink strong")
        svg.text(x, y + 23, f"generation {first}, then {then}", 10, "muted")
        self._owners(y + 30)
        self._steps(y + 30 + BAR + 4)
        self._axis(y + 30 + BAR + 4 + STEPS)

    def _x(self, time: float) -> float:
        return self._left + (min(max(time, self._begin), self._end) - self._begin) * self._scale

    def _owners(self, y: float) -> None:
        it, middle = self._it, y + BAR / 2
        self._svg.bar(self._left, middle, self._x(self._known) - self._left, BAR, "track")
        for own in owned(it.owners):
            left, right = self._x(own.begin), self._x(own.end)
            if left < right:
                said = f"{said_of(it.table, own)}, {own.begin:.1f} to {own.end:.1f} s"
                self._svg.bar(left, middle, right - left, BAR, "owner loud", said)
                if text_width(own.state, 10) + 10 < right - left:
                    self._svg.text(left + 4, y + BAR - 3.5, own.state, 10, "on")
        self._svg.cross(self._x(it.kill), middle, "kill", said_of_kill(it))

    def _steps(self, y: float) -> None:
        """As many as were acknowledged since it begins: nothing rises while nothing is acknowledged."""
        it, bottom = self._it, y + STEPS
        kill, after, end = self._x(it.kill), self._x(it.next), self._x(self._known)
        said = f"{it.table}: the next write was acknowledged {it.cost} after the kill"
        self._svg.add("rect", "gap", said=said, x=kill, y=float(y), width=after - kill, height=STEPS)
        self._svg.line("grid", f"M{self._left:.1f} {bottom:.1f}H{end:.1f}")
        times = sorted(ended for _, ended in it.writes if self._begin <= ended <= self._known)
        most = max(1, len(times))
        steps = "".join(
            f"H{self._x(at):.1f}V{bottom - STEPS * n / most:.1f}" for n, at in enumerate(times, 1)
        )
        self._svg.line("stored", f"M{self._left:.1f} {bottom:.1f}{steps}H{end:.1f}")
        self._svg.text(kill + 4, y + 11, it.cost, 11, "ink strong halo")
        self._svg.text(end, bottom - 5, f"{len(times)} writes", 10, "muted halo", "end")

    def _axis(self, y: float) -> None:
        seconds = self._end - self._it.kill
        step = next(step for step in (0.5, 1, 2, 5, 10, 20, 1000) if step * self._scale > 2 * LABEL)
        for number in range(int(seconds / step) + 1):
            x = self._x(self._it.kill + number * step)
            self._svg.line("tick", f"M{x:.1f} {y:.1f}v5")
            if x + LABEL <= self._x(self._end):
                label = f"+{number * step:g} s" if number else "kill"
                self._svg.text(x, y + 17, label, 10, "muted", "middle")
