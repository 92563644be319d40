"""The story's end: the table on the terminal, the figures as JSON, and one HTML file that shows it all.

All is made from the record alone: ``python -m chaos.report [RECORD]`` makes it again, also of a story that
was killed.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from chaos import texts
from chaos.draw import NARROW, draw, png, words
from chaos.history import BadRecordError, History
from chaos.legend import LEGEND

ROOT = Path(__file__).parents[1]
RECORD = Path("build/demo/events.jsonl")
NAMES = ("summary.json", "report.html", "timeline.svg", "timeline.png")


def summary(history: History) -> dict[str, Any]:
    """The figures. ``tasks`` is None if they could not be accounted for; open ones had not ended yet."""
    ledger = history.ledger
    return {
        "ok": history.held,
        "problem": history.problem,
        "tasks": ledger
        and {
            "submitted": ledger["submitted"],
            "done": ledger["done"],
            "failed": ledger["failed"],
            **{what: len(ledger[what]) for what in ("lost", "doubled", "open")},
        },
        "takeover_ms": history.figures("takeover"),
        "write_gap_ms": history.figures("gap"),
        "submission_gap_ms": round(1000 * (history.longest_submission[1] - history.longest_submission[0]), 1)
        if history.longest_submission
        else None,
    }


def tell(history: History) -> None:
    """Print the verdict and the figures."""
    told = summary(history)
    problem = f": {history.problem}" if history.problem else ""
    print(f"\n{'The story held' if history.held else 'THE STORY DID NOT HOLD'}{problem}\n")
    if ledger := history.ledger:
        print(
            "  tasks        " + "   ".join(f"{k} {n}" for k, n in told["tasks"].items() if n or k != "open")
        )
        meant, moved = ledger["meant_to_fail"], ledger["moved"]
        print(f"               {meant} were meant to fail, {moved} took a second attempt")
    if wait := history.longest_submission:
        begin, end = wait
        print(f"  submitting   longest wait {end - begin:.1f} s, from {begin:.1f} s on")
    for title, figures in (("taken over", told["takeover_ms"]), ("write gap", told["write_gap_ms"])):
        for fault, times in figures.items():
            print(f"  {title:11}  {fault.replace('_', ' '):20} {', '.join(f'{ms:.0f} ms' for ms in times)}")


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

    Its links lead to what is beside it in ``directory``, and to the documentation of this checkout.

    Raises:
        jinja2.UndefinedError: the template is wrong.
    """
    environment = Environment(
        loader=PackageLoader("chaos", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    began = history.last("begin")
    return environment.get_template("report.html.j2").render(
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
        wide=Markup(draw(history)),  # noqa: S704 - ElementTree has escaped what is in it
        narrow=Markup(draw(history, NARROW)),  # noqa: S704 - the same
    )


def write(history: History, directory: Path) -> None:
    """Write the page, and the picture for other uses."""
    picture = draw(history)
    (directory / "summary.json").write_text(json.dumps(summary(history), indent=2) + "\n")
    (directory / "timeline.svg").write_text(picture + "\n")
    (directory / "timeline.png").write_bytes(png(picture))
    (directory / "report.html").write_text(html(history, directory))


def main() -> int:
    """Make the report again, from a record."""
    record = Path(sys.argv[1]) if len(sys.argv) > 1 else RECORD
    try:
        history = History.load(record)
    except BadRecordError as error:
        print(error, file=sys.stderr)
        return 2
    tell(history)
    write(history, record.parent)
    print(f"\n  {record.parent}/report.html")
    return 0 if history.held else 1


if __name__ == "__main__":
    sys.exit(main())
