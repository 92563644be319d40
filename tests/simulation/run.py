"""Run a schedule and say what went wrong, in a way it can be repeated and read."""

import gc
import hashlib
import logging
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from mwapp.core.messages import Check, Reply, Request, Tick, Transaction
from tests.simulation.ensemble import Transacted
from tests.simulation.schedule import NONE, Bug, Figures, Schedule
from tests.simulation.shrink import TRIALS, Runs, Short, shorten
from tests.simulation.story import tell
from tests.simulation.world import NO_HANG, Violation, World

R = TypeVar("R", bound=Runs)

# How many of a story's last lines are shown with a violation.
TAIL = 80


def quiet() -> Callable[[], None]:
    """For a process that runs many schedules. Returns how to undo it.

    Processes that crash by the dozen log a lot, and a schedule is full of cycles: looking for garbage while
    it runs takes a tenth of its time. So the search runs before the next schedule, for what the last one
    left; what was there before is never searched again.
    """
    core = logging.getLogger("mwapp")
    level = core.level
    core.setLevel(logging.CRITICAL)
    gc.collect()
    gc.freeze()
    gc.disable()

    def undo() -> None:
        gc.enable()
        core.setLevel(level)

    return undo


def simulate(seed: int, bug: Bug = NONE, *, short: bool = False) -> Figures:
    """Run one schedule. Raises Violation, with the command to repeat it, and its story, shortened on
    request."""
    schedule = carry_out(partial(Schedule, seed, bug), tell, repeat(seed), short=short)
    figures = schedule.figures()
    schedule.service.ensemble.forget()
    return figures


def carry_out(
    schedule: Callable[[frozenset[int]], R], tell: Callable[[World], list[str]], repeat: str, *, short: bool
) -> R:
    """Run what ``schedule`` makes, which leaves out what is numbered so; return it.

    Raises Violation, with ``repeat``, which says how to run it again, and the end of its story, told by
    ``tell`` and made short if asked for.
    """
    gc.collect()  # what the last one left
    tried = schedule(frozenset())
    tried.world.traced = False  # few fail, and those are run again: to keep all that happens takes time
    try:
        tried.run()
    except Violation as violation:
        # A schedule that never ends would be tried for hours.
        trials = TRIALS if short and violation.invariant != NO_HANG else 0
        raise _told(
            violation, shorten(schedule, violation.invariant, trials), tell, repeat
        ) from violation.__cause__
    return tried


def _told(
    violation: Violation, again: Short | None, tell: Callable[[World], list[str]], repeat: str
) -> Violation:
    if again is None:
        return Violation(violation.invariant, f"{violation.what}\nonce, and not a second time; {repeat}")
    made_of = (
        f", here with {again.left} of the {again.of} things it is made of" if again.left < again.of else ""
    )
    found, story = again.violation, "\n".join(tell(again.world)[-TAIL:])
    return Violation(found.invariant, f"{found.what}\nseed {again.world.seed}{made_of}; {repeat}\n{story}")


def repeat(seed: int) -> str:
    """The command to see a schedule again."""
    return f"repeat with: python -m tests.simulation {seed}"


def explain(seed: int, bug: Bug = NONE) -> int:
    """Run one schedule with the core's own log, and print its whole trace and, if it fails, its shortened
    story. Returns 1 on a violation."""
    return show(Schedule(seed, bug), partial(simulate, seed, bug, short=True))


def show(schedule: Runs, again: Callable[[], object]) -> int:
    """Run this schedule so, of whatever kind; ``again``: see :func:`verdict`."""
    core = logging.getLogger("mwapp")
    core.setLevel(logging.DEBUG)
    to_trace = _ToTrace(schedule.world)
    core.addHandler(to_trace)
    core.propagate = False
    problem = None
    try:
        schedule.run()
    except Violation as violation:
        problem = violation
    print("\n".join(_lines(schedule.world)))
    core.removeHandler(to_trace)
    core.setLevel(logging.CRITICAL)
    return verdict(schedule.world.seed, problem, again)


def verdict(seed: int, problem: Violation | None, again: Callable[[], object]) -> int:
    """Print the result of a schedule; ``again`` runs it, and raises a Violation with its shortened story.
    Returns 1 if it fails."""
    if problem is None:
        print(f"seed {seed}: every invariant held")
        return 0
    print(f"{problem}\n\nThe same, made short:\n")
    try:
        again()
    except Violation as violation:
        print(violation)
    return 1


class _ToTrace(logging.Handler):
    """The core's log lines, at their place in the trace."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        self._world.note("   log", record.getMessage())


def _lines(world: World) -> list[str]:
    """The trace without the heartbeats."""
    beats: set[tuple[str, int]] = set()
    lines: list[str] = []
    for time, who, what in world.trace:
        match what:
            case Tick() | Transacted():
                continue
            case Request(number, Transaction((Check("/"),))):
                beats.add((who, number))
                continue
            case Reply(number) if (who, number) in beats:
                beats.discard((who, number))
                continue
        lines.append(f"{time:9.4f} {who:8} {what if isinstance(what, str) else repr(what)}")
    return lines


def history(seed: int) -> str:
    """That of a schedule, see :func:`digest`."""
    return digest(Schedule(seed))


def digest(schedule: Runs) -> str:
    """Run it. Returns a digest of everything that happens in it, to compare two runs."""
    schedule.run()
    return hashlib.sha256("\n".join(_lines(schedule.world)).encode()).hexdigest()
