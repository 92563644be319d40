"""Run schedules of shards, one or many."""

from collections import Counter
from functools import partial

from tests.simulation.many import Kind
from tests.simulation.run import carry_out, digest, show
from tests.simulation.shards.schedule import NONE, Bug, ShardSchedule
from tests.simulation.story import tell

# Seeds that failed once.
FAILED_ONCE = (928, 1498, 1680)


def repeat(seed: int) -> str:
    """The command to see a schedule again."""
    return f"repeat with: python -m tests.simulation.shards {seed}"


def simulate(seed: int, bug: Bug = NONE, *, short: bool = False) -> Counter[str]:
    """Run one schedule; what it met. Raises Violation, with its story."""
    schedule = carry_out(partial(ShardSchedule, seed, bug), tell, repeat(seed), short=short)
    return Counter(schedule.figures())


def history(seed: int) -> str:
    """A digest of everything that happens in a schedule, to compare two runs."""
    return digest(ShardSchedule(seed))


def kind(bug: Bug) -> Kind:
    """The schedules, with that planted bug."""
    return Kind(partial(_met, bug), repeat, FAILED_ONCE)


def _met(bug: Bug, seed: int) -> Counter[str]:
    return simulate(seed, bug, short=True)


def explain(seed: int, bug: Bug = NONE) -> int:
    """Run one schedule with the core's own log, and print its whole trace. Returns 1 on a violation."""
    return show(ShardSchedule(seed, bug), partial(simulate, seed, bug, short=True))
