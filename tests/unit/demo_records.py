"""Records to read: of real demos, thinned out (a write five times a second, every fifth task)."""

import json
from pathlib import Path
from typing import Any

from demo.report.history import Event, History

RECORD = Path(__file__).parent / "records" / "demo.jsonl"
README = Path(__file__).parents[2] / "docs/demo.jsonl"  # of the newest story


def demo(record: Path = RECORD) -> list[Event]:
    """The events of the demo."""
    return [json.loads(line) for line in record.read_text().splitlines()]


def history(*events: Event) -> History:
    """A history of these events, or of the demo."""
    return History(list(events) or demo())


def event(t: float, event: str, **more: Any) -> Event:
    """One line of a record."""
    return {"t": t, "event": event, **more}


def seen(t: float, kind: str, node: str, state: str, **more: Any) -> Event:
    """An observation."""
    return event(t, "seen", kind=kind, node=node, state=state, **more)


def ledger(**more: Any) -> Event:
    """An account in which all is well, unless told otherwise."""
    account: dict[str, Any] = {"submitted": 3, "done": 2, "failed": 1, "meant_to_fail": 1, "moved": 0}
    account |= {"lost": [], "doubled": [], "open": [], "ends": []}
    return event(9.0, "ledger", **(account | more))
