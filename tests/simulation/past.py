"""What a judge knows when the ensemble has lost what it had committed last: it looks at what is left anew.

What was lost explains nothing but itself: that tasks which it touched have names and tokens that come again,
and that who was told of them was told what is so no longer.
"""

from collections.abc import Callable, Iterable

from tests.simulation.ensemble import Transacted
from tests.simulation.judge import Judge, Znodes
from tests.simulation.tree import Tree

# What a judge knows from the log alone.
FROM_LOG = (
    *("excuses", "tasks", "asked", "status", "ended_at", "ended_by_hand", "removed"),
    *("cancel_asked", "cancels"),
    *("returned", "holders", "winners", "won_at", "keys"),
    *("_earlier", "_attempts", "_incarnations", "_epoch"),
)


class Past:
    """An ensemble as it was: the log is gone through again."""

    def __init__(self) -> None:
        self.tree = Tree()
        self.decided: Znodes = self.tree
        self.sessions: frozenset[int] = frozenset()  # of no importance to what happened long ago


def rewind(
    judge: Judge,
    log: Iterable[Transacted],
    lost: Iterable[Transacted],
    concerns: Callable[[Transacted], Transacted] = lambda entry: entry,
    seen: Callable[[Past], Znodes] = lambda past: past.decided,
) -> None:
    """Let the judge know no more than that log.

    ``concerns`` is what it looks at of an entry, and ``seen`` what it sees of the znodes.
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
        judge.lost |= {task for change in entry.changes if (task := _task(change.path.split("/")))}


def _task(path: list[str]) -> str | None:
    match path:
        case ["", "tasks" | "returned" | "cancel", task, *_] | ["", "assign", _, task]:
            return task
    return None
