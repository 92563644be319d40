"""Run schedules of shards, one or many."""

import logging
from collections import Counter
from functools import partial

from tests.simulation.many import Kind
from tests.simulation.run import _lines, _ToTrace, carry_out, verdict
from tests.simulation.shards.schedule import NONE, Bug, ShardSchedule
from tests.simulation.story import tell
from tests.simulation.world import Violation

# Seeds that failed once.
FAILED_ONCE = (1680,)


def repeat(seed: int) -> str:
    """The command to see a schedule again."""
    return f"repeat with: python -m tests.simulation.shards {seed}"


def simulate(seed: int, bug: Bug = NONE, *, short: bool = False) -> Counter[str]:
    """Run one schedule; what it met. Raises Violation, with its story."""
    schedule = carry_out(partial(ShardSchedule, seed, bug), tell, repeat(seed), short=short)
    return Counter(schedule.figures())


def kind(bug: Bug) -> Kind:
    """The schedules, with that planted bug."""
    return Kind(partial(_met, bug), repeat, FAILED_ONCE)


def _met(bug: Bug, seed: int) -> Counter[str]:
    return simulate(seed, bug, short=True)


def explain(seed: int, bug: Bug = NONE) -> int:
    """Run one schedule with the core's own log, and print its whole trace. Returns 1 on a violation."""
    schedule = ShardSchedule(seed, bug)
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
    return verdict(seed, problem, partial(simulate, seed, bug, short=True))
