"""Distributions as a picture: a row for each, a dot for every value, a line at the median."""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from bench import report
from drawing.palette import CSS, FONT
from drawing.svg import Svg, png, text_width

WIDTH, MARGIN, GAP = 900, 16, 14
TITLE, ROW, AXIS = 44, 34, 34
SMALL, LARGE = 12, 15


def draw(name: str, title: str, unit: str, rows: Mapping[str, Sequence[float]]) -> None:
    """Write build/bench/NAME.svg and NAME.png. Values are above zero, and the scale is logarithmic."""
    ticks = _ticks([value for values in rows.values() for value in values])
    figures = {
        row: f"median {_show(median(v))} ({_show(min(v))} to {_show(max(v))})" for row, v in rows.items()
    }
    left = MARGIN + max(text_width(row, SMALL) for row in rows) + GAP
    right = WIDTH - MARGIN - max(text_width(figure, SMALL) for figure in figures.values()) - GAP
    bottom = TITLE + ROW * len(rows)

    def x(value: float) -> float:
        return left + (right - left) * math.log(value / ticks[0]) / math.log(ticks[-1] / ticks[0])

    svg = Svg(WIDTH, title, font=FONT, css=CSS, hatched=())
    svg.text(MARGIN, 26, f"{title} ({unit})", LARGE, "ink strong")
    labelled = -math.inf
    for tick in ticks:
        svg.line("grid", f"M{x(tick):.1f} {TITLE}V{bottom}")
        if x(tick) - labelled > 40:
            svg.text(x(tick), bottom + 18, f"{tick:g}", SMALL, "muted", "middle")
            labelled = x(tick)
    for number, (row, values) in enumerate(rows.items()):
        y = TITLE + ROW * (number + 0.5)
        svg.text(left - GAP, y + 4, row, SMALL, "ink", "end")
        for value in values:
            dot: dict[str, Any] = {"cx": x(value), "cy": y, "r": 4.0, "fill-opacity": 0.5}
            svg.add("circle", "master loud", said=f"{value:g} {unit}", **dot)
        svg.line("kill", f"M{x(median(values)):.1f} {y - 9:.1f}v18")
        svg.text(WIDTH - MARGIN, y + 4, figures[row], SMALL, "muted", "end")
    report.DIRECTORY.mkdir(parents=True, exist_ok=True)
    text = svg.finish(bottom + AXIS)
    (report.DIRECTORY / f"{name}.svg").write_text(text)
    (report.DIRECTORY / f"{name}.png").write_bytes(png(text))


def _show(value: float) -> str:
    """Four digits that count: 82.31, 14,200."""
    return f"{float(f'{value:.4g}'):,.10g}"


def _ticks(values: Sequence[float]) -> list[float]:
    """Of 1, 2, 5, 10, 20 ... those around the values."""
    decades = range(math.floor(math.log10(min(values))), math.floor(math.log10(max(values))) + 2)
    steps = [step * 10.0**decade for decade in decades for step in (1, 2, 5)]
    first = max(step for step in steps if step <= min(values))
    last = next(step for step in steps if step > max(values))
    return [step for step in steps if first <= step <= last]
