"""What a judge knows after the ensemble has lost its last commits: it judges the rest again.

A loss excuses only itself: the tasks it touched may have names and tokens that repeat, and what clients heard
of them may no longer be true. An elected peer may be given tasks if its mark was lost.
"""

from collections.abc import Callable, Iterable

from mwapp.core.protocol import CANCEL
from tests.simulation.ensemble import Transacted
from tests.simulation.judge import Judge, Znodes
from tests.simulation.tree import Created, Tree

# What a judge knows from the log alone.
FROM_LOG = (
    *("excuses", "tasks", "asked", "secrets", "status", "ended_at", "ended_by_hand", "removed"),
    *("cancel_asked", "to_cancel", "cancels", "of_ended", "ends", "taken_at"),
    *("returned", "holders", "leadership", "keys"),
    *("attempts", "_incarnations", "_lives", "times", "depositions", "_beyond"),
)


class Past:
    """An earlier state of the ensemble, from a replay of the log."""

    def __init__(self) -> None:
        self.tree = Tree()
        self.decided: Znodes = self.tree
        self.sessions: frozenset[int] = frozenset()  # irrelevant to what happened long ago


def rewind(
    judge: Judge,
    log: Iterable[Transacted],
    lost: Iterable[Transacted],
    concerns: Callable[[Transacted], Transacted] = lambda entry: entry,
    seen: Callable[[Past], Znodes] = lambda past: past.decided,
) -> None:
    """Reduce the judge's knowledge to that log.

    ``concerns`` is the part of an entry that it judges, ``seen`` the part of the znodes that it sees.
    """
    past = Past()
    again = judge.beginner()
    past.decided = seen(past)
    again.ensemble = past
    for entry in log:
        for change in entry.changes:
            past.tree.apply(change, entry.zxid, entry.time)
        if not entry.ended:
            again.committed(concerns(entry))
    for name in FROM_LOG:
        setattr(judge, name, getattr(again, name))
    for entry in map(concerns, lost):
        if not entry.ops and not entry.ended:
            judge.killed.add(entry.session)  # it was never opened
        paths = [change.path.split("/") for change in entry.changes]
        judge.lost |= {task for path in paths if (task := _task(path))}
        asked = [change.path for change in entry.changes if isinstance(change, Created)]
        judge.lost_cancels |= {path.split("/")[2] for path in asked if path.startswith(f"{CANCEL}/")}
        # What said that a peer takes nothing new, or that it is another by now: seed 72658.
        judge.denied.marks |= {path[2] for path in paths if path[1:2] == ["workers"] and path[2:]}


def _task(path: list[str]) -> str | None:
    match path:
        case ["", "tasks" | "returned" | "cancel" | "requests", task, *_] | ["", "assign", _, task]:
            return task
    return None
