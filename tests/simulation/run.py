"""Run a schedule and say what went wrong, in a way it can be repeated and read."""

import hashlib
import logging

from mwapp.core.messages import Check, Reply, Request, Tick, Transaction
from tests.simulation.schedule import Bug, Figures, Schedule
from tests.simulation.world import Violation, World

# The last so many lines of the trace are shown with a violation.
TAIL = 60
NONE = Bug()


def simulate(seed: int, bug: Bug = NONE) -> Figures:
    """Run one schedule. Raises Violation, with how to repeat it and the end of its trace."""
    schedule = Schedule(seed, bug)
    try:
        return schedule.run()
    except Violation as violation:
        trace = "\n".join(_lines(schedule.world)[-TAIL:])
        again = f"repeat with: python -m tests.simulation {seed}"
        told = Violation(violation.invariant, f"{violation.what}\nseed {seed}; {again}\n{trace}")
        raise told from violation.__cause__


def explain(seed: int, bug: Bug = NONE) -> int:
    """Run one schedule with the core's own log and print its whole trace. Returns 1 on a violation."""
    schedule = Schedule(seed, bug)
    core = logging.getLogger("mwapp")
    core.setLevel(logging.DEBUG)
    core.addHandler(_ToTrace(schedule.world))
    core.propagate = False
    problem = None
    try:
        schedule.run()
    except Violation as violation:
        problem = violation
    print("\n".join(_lines(schedule.world)))
    print(problem or f"seed {seed}: every invariant held")
    return 1 if problem else 0


class _ToTrace(logging.Handler):
    """The core's log lines, at their place in the trace."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        self._world.note("   log", record.getMessage())


def _lines(world: World) -> list[str]:
    """The trace without the heartbeats, which nobody wants to read."""
    beats: set[tuple[str, int]] = set()
    lines: list[str] = []
    for time, who, what in world.trace:
        match what:
            case Tick():
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
    """A digest of all that happens in a schedule, to see that it is the same again."""
    schedule = Schedule(seed)
    schedule.run()
    return hashlib.sha256("\n".join(_lines(schedule.world)).encode()).hexdigest()
