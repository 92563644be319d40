"""The story as one HTML file with everything in it; the picture and the figures are also beside it."""

import json
import os
import time
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from demo.report import texts
from demo.report.history import RECORD, History
from demo.report.legend import LEGEND
from demo.report.summary import summary
from demo.report.timeline import NARROW, draw, words
from drawing.svg import png

ROOT = Path(__file__).parents[2]
NAMES = ("summary.json", "report.html", "timeline.svg", "timeline.png")


def headline(history: History) -> str:
    """The story in one line."""
    faults = f"{len(history.faults)} fault{'' if len(history.faults) == 1 else 's'}"
    if (ledger := history.ledger) is None:
        return faults
    words = {"lost": "lost", "doubled": "recorded twice", "open": "not ended when the story broke off"}
    wrong = [f"{len(ledger[what])} {word}" for what, word in words.items() if ledger[what]]
    return f"{faults}, {ledger['submitted']} tasks: {', '.join(wrong) or 'none lost, none recorded twice'}"


def html(history: History, directory: Path = RECORD.parent) -> str:
    """The report: one page that needs nothing else.

    Its links lead to the files beside it in ``directory``, and to this checkout's documentation.

    Raises:
        jinja2.UndefinedError: the template is wrong.
    """
    environment = Environment(
        loader=PackageLoader("demo.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    began = history.last("begin")
    return environment.get_template("page.html.j2").render(
        history=history,
        headline=headline(history),
        figures=summary(history),
        legend=LEGEND,
        words=words(history),
        protocol=texts.PROTOCOL,
        link=lambda path: os.path.relpath(ROOT / path, directory),
        text_of=texts.text_of,
        span=texts.span,
        when=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(began["unix"])) if began else "",
        wide=Markup(draw(history)),  # noqa: S704 - ElementTree has escaped its content
        narrow=Markup(draw(history, NARROW)),  # noqa: S704 - the same
    )


def write(history: History, directory: Path) -> None:
    """Write the page, and the picture for other uses."""
    picture = draw(history)
    (directory / "summary.json").write_text(json.dumps(summary(history), indent=2) + "\n")
    (directory / "timeline.svg").write_text(picture + "\n")
    (directory / "timeline.png").write_bytes(png(picture))
    (directory / "report.html").write_text(html(history, directory))
