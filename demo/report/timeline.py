"""The history as a picture: lanes for who was what, the clients' writes, the tasks. SVG.

It has a wide form for a page, and a narrow one for a phone, where the faults' marks have only figures.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from demo.report.closeup import (
    GUTTER,
    HEIGHT,
    Panel,
    close_ups,
    owned,
    said_of,
    said_of_kill,
    seconds_shown,
    watched,
)
from demo.report.history import History, Span
from demo.report.lanes import ALONE, OWNER
from demo.report.legend import BAR, HATCHED, LEGEND, LOOKS, OTHER
from demo.report.texts import brief
from drawing.palette import CSS, FONT
from drawing.svg import Svg, text_width

WIDE, NARROW = 1000, 360
LANE, ROW = 20, 20  # from lane to lane, from one fault's label to the next
CHART = 96
LANES = (("masters", "master"), ("workers", "worker"), ("ZooKeeper servers", "server"))


def nice(least: float) -> int:
    """The smallest of 1, 2, 5, 10, 20 ... that is not below ``least``."""
    unit = 1
    while 5 * unit < least:
        unit *= 10
    return next(step * unit for step in (1, 2, 5) if step * unit >= least)


def draw(history: History, width: int = WIDE) -> str:
    """The picture as SVG; its colours follow the reader's light or dark."""
    return _Picture(history, width).svg


def words(history: History) -> list[tuple[str, str, list[str]]]:
    """What the picture tells at a pointer: the link's target, title and texts of each part."""
    return _Picture(history, WIDE).words


class _Picture:
    def __init__(self, history: History, width: int) -> None:
        self._history = history
        self._wide = width > NARROW
        self._left, self._right = (56.0, width - 24.0) if self._wide else (38.0, width - 14.0)
        self._scale = (self._right - self._left) / history.end  # units per second
        label = "Timeline: who was master and leader, writes, tasks, and the faults"
        self._svg = Svg(width, label, font=FONT, css=CSS, hatched=HATCHED)
        self.words: list[tuple[str, str, list[str]]] = []
        rules = self._svg.add("g")  # under everything else
        y, marks = self._faults(18)
        for lanes in LANES:
            y = self._lanes(y + 14, *lanes)
        y = self._owners(y)
        y = self._tasks(self._clients(y + 14) + 14)
        for x, top in marks:
            self._svg.line("rule", f"M{x:.1f} {top}V{y}", rules)
        self.svg = self._svg.finish(self._legend(self._close_ups(self._axis(y)) + 26))

    def _x(self, time: float) -> float:
        return self._left + min(max(time, 0), self._history.end) * self._scale

    # ------------------------------------------------------------ from top to bottom; each returns its end

    def _faults(self, y: float) -> tuple[float, list[tuple[float, float]]]:
        """A numbered mark for each fault and what it cost; also where the marks' rules begin."""
        placed: list[tuple[float, int]] = []  # end of a label, and its row
        marks = []
        for fault in self._history.faults:
            x, label = self._x(fault.at), brief(fault, full=self._wide)
            room = 16 + text_width(label, 12)
            left = x + room > self._right + 12  # no room on its right
            begin, end = (x - room, x + 10) if left else (x - 10, x + room)
            # Put it below every label it would touch, so that no earlier fault's rule crosses it.
            row = 1 + max((row for filled, row in placed if filled > begin - 8), default=-1)
            placed.append((end, row))
            middle = y + ROW * row
            said = f"{fault.number}. {brief(fault)} (at {fault.at:.1f} s)"
            side, anchor = (x - 14, "end") if left else (x + 14, "start")
            with self._svg.link(f"fault-{fault.number}", said):
                self._svg.add("circle", "badge", said=said, cx=x, cy=middle, r=8.5)
                self._svg.text(x, middle + 4, str(fault.number), 11, "number", "middle")
                self._svg.text(side, middle + 4, label, 12, "ink strong halo", anchor)
            marks.append((x, middle + 9))
        return y + ROW * len({row for _, row in placed}), marks

    def _lanes(self, y: float, title: str, kind: str) -> float:
        y = self._title(y, title)
        for node in self._history.nodes(kind):
            with self._told(f"{kind} on {node}"):
                self._track(y, node)
                for span in self._history.lanes.get((kind, node), ()):
                    self._span(y, kind, node, span)
                for act in self._history.acts:
                    if act.node == node and act.part == kind:
                        said = f"{act.unit} on {node}: kill -9 at {act.at:.2f} s"
                        self._svg.cross(self._x(act.at), y + BAR / 2, "kill", said)
            y += LANE
        return y

    def _owners(self, y: float) -> float:
        """One lane for all tables of shards: the story has one after the other."""
        if not (tables := self._history.nodes(OWNER)):
            return y
        y = self._title(y + 14, "stores: who owns what a client writes to")
        self._svg.text(self._left - 8, y + BAR - 3, "data", 12, "ink", "end")
        kills = {it.table: it for it in close_ups(self._history)}
        for table in tables:
            with self._told(f"owners of {table}"):
                for span in watched(self._history.owners(table)):  # blank: nobody writes to it
                    self._svg.bar(
                        self._x(span.begin), y + BAR / 2, (span.end - span.begin) * self._scale, BAR, "track"
                    )
                for span in owned(self._history.owners(table)):
                    self._bar(y, span.begin, span.end, "owner loud", said_of(table, span))
                    self._label(y, span.begin, span.end, (span.state,), "on")
                if table in kills:
                    self._svg.cross(
                        self._x(kills[table].kill), y + BAR / 2, "kill", said_of_kill(kills[table])
                    )
        return y + LANE

    def _close_ups(self, y: float) -> float:
        """Side by side if there is room."""
        if not (shown := close_ups(self._history)):
            return y
        after, most = seconds_shown(shown), 3 if self._wide else 1
        width = (self._right - self._left - GUTTER * (most - 1)) / most
        y = self._title(y + 26, "writes to a store around the kill of its owner")
        for first in range(0, len(shown), most):
            for column, it in enumerate(shown[first : first + most]):
                with self._told(f"{it.table} around the kill"):
                    Panel(self._svg, it, self._left + column * (width + GUTTER), y, width, after)
            y += HEIGHT + 10
        return y - 10

    def _clients(self, y: float) -> float:
        """A strip for each writing client; where it is blank, nothing was acknowledged."""
        y = self._title(y, "writes acknowledged, by the server each client began at")
        for client, times in sorted(self._history.writes.items()):
            with self._told(f"writes of the client that began at {client}"):
                self._track(y, client)
                gaps = self._history.gaps(client)
                edges = [times[0], *(edge for gap in gaps for edge in gap), times[-1]]
                for begin, end in zip(edges[::2], edges[1::2], strict=True):
                    self._bar(y, begin, end, "write", f"client at {client}: writes acknowledged", BAR - 4)
                for begin, end in gaps:
                    self._label(y, begin, end, (f"{end - begin:.1f} s",), "ink", middle=True)
            y += LANE
        return y

    def _tasks(self, y: float) -> float:
        """Submitted and ended tasks, both counted from the start; the open ones are between the two lines."""
        history = self._history
        top = self._title(y, "tasks so far") + 4
        bottom = top + CHART
        most = max(1, len(history.accepted), len(history.ended))
        lines = {}
        for name, times in (("submitted", history.accepted), ("ended", history.ended)):
            # One point per unit, the last: more is not visible.
            points = {
                round(self._x(at)): bottom - CHART * number / most for number, at in enumerate(times, 1)
            }
            # Draw steps: nothing happened between two of them, and a slope would suggest otherwise.
            steps = "".join(f"H{x:.0f}V{level:.1f}" for x, level in points.items())
            lines[name] = f"M{self._left:.0f} {bottom:.1f}{steps}H{self._right:.0f}"
        if history.ledger:  # open tasks are between the two lines
            self._svg.line("open", f"{lines['submitted']}V{bottom}Z")
            self._svg.line("ground", f"{lines['ended']}V{bottom}Z")
        for count in range(0, most + 1, nice(most / 5)):
            level = bottom - CHART * count / most
            self._svg.line("grid", f"M{self._left} {level:.1f}H{self._right}")
            self._svg.text(self._left - 8, level + 3.5, str(count), 10, "muted", "end")
        if history.ledger:
            self._svg.line("ended", lines["ended"])
        self._svg.line("submitted", lines["submitted"])
        with self._told("second by second"):
            for second in range(int(history.end) + 1):
                x, end = self._x(second), self._x(second + 1)
                said = history.tell(second)
                self._svg.add("rect", "hover", said=said, x=x, y=top, width=end - x, height=CHART)
        return bottom

    def _axis(self, y: float) -> float:
        for second in range(0, int(self._history.end) + 1, nice(44 / self._scale)):
            self._svg.line("tick", f"M{self._x(second):.1f} {y}v5")
            self._svg.text(self._x(second), y + 17, str(second), 10, "muted", "middle")
        middle = (self._left + self._right) / 2
        self._svg.text(middle, y + 33, "seconds since the story began", 10, "muted", "middle")
        return y + 33

    def _legend(self, y: float) -> float:
        x = 4.0
        for key in LEGEND:
            room = 26 + text_width(key.name, 10)
            if x + room > self._right:
                x, y = 4.0, y + LANE
            if key.look == "kill":
                self._svg.cross(x + 9, y, key.look)
            elif key.thick:
                self._svg.bar(x, y, 18, key.thick, key.look)
            else:
                self._svg.line(key.look, f"M{x} {y}h18")
            self._svg.text(x + 23, y + 4, key.name, 10, "ink")
            x += room + 8
        return y + 14

    # ------------------------------------------------------------ in a lane

    def _title(self, y: float, title: str) -> float:
        self._svg.text(4, y, title, 11, "muted strong halo")
        return y + 6

    def _track(self, y: float, name: str) -> None:
        self._svg.text(self._left - 8, y + BAR - 3, name, 12, "ink", "end")
        self._svg.bar(self._left, y + BAR / 2, self._right - self._left, BAR, "track")

    @contextmanager
    def _told(self, title: str) -> Iterator[None]:
        """A part of the picture, and its words for the page."""
        target = f"words-{len(self.words) + 1}"
        with self._svg.link(target, title) as part:
            yield
        self.words.append((target, title, [text.text or "" for text in part.iter("title")]))

    def _span(self, y: float, kind: str, node: str, span: Span) -> None:
        look, thick = LOOKS.get(span.state, OTHER)
        look = f"{kind} {look}" if look in ("loud", "quiet") else look
        name = "no power" if span.state == "off" else span.name
        self._bar(y, span.begin, span.end, look, f"{kind} on {node}: {name}", thick)
        texts, ink = {
            "active": ((f"epoch {span.epoch}", str(span.epoch)), "on"),
            "leader": (("leader",), "on"),
            ALONE: ((ALONE, "no quorum"), "ink halo"),
            "off": ((f"no power {span.end - span.begin:.1f} s", "no power"), "ink"),
            "frozen": ((f"frozen {span.end - span.begin:.1f} s", "frozen"), "ink"),
        }.get(span.state, ((), ""))
        self._label(y, span.begin, span.end, texts, ink)

    def _bar(self, y: float, begin: float, end: float, look: str, said: str, thick: float = BAR) -> None:
        said = f"{said}, {begin:.1f} to {end:.1f} s"
        self._svg.bar(self._x(begin), y + BAR / 2, (end - begin) * self._scale, thick, look, said)

    def _label(
        self, y: float, begin: float, end: float, texts: tuple[str, ...], look: str, *, middle: bool = False
    ) -> None:
        """The first of these texts that fits there, if any."""
        room = (end - begin) * self._scale - (2 if middle else 10)
        text = next((text for text in texts if text_width(text, 10) <= room), "")
        x, anchor = (self._x((begin + end) / 2), "middle") if middle else (self._x(begin) + 4, "start")
        if text:
            self._svg.text(x, y + BAR - 3.5, text, 10, look, anchor)
