"""Run a schedule and say what went wrong, in a way it can be repeated and read."""

import hashlib
from collections import Counter
from collections.abc import Callable
from functools import partial

from mwapp.core.messages import Failed, Reply, Request
from tests.edge.planted import REAL, Edge
from tests.edge.schedule import Schedule
from tests.edge.whole import Whole
from tests.simulation.run import carry_out, verdict
from tests.simulation.story import tell as tell_whole
from tests.simulation.world import Violation, World

# Every so many seeds one is of the whole: the core itself on the real edge.
WHOLE_EVERY = 10
# So much is shown of a line.
WIDTH = 160


def schedule(seed: int, edge: Edge = REAL) -> Callable[[frozenset[int]], Schedule | Whole]:
    """What makes the schedule of a seed, without what is to be left out of it."""
    return partial(Whole if _is_whole(seed) else Schedule, seed, edge)


def simulate(seed: int, edge: Edge = REAL, *, short: bool = False) -> Counter[str]:
    """Run one schedule; return what it met. Raises Violation, with how to repeat it and its story, made short
    if asked for."""
    return carry_out(schedule(seed, edge), tell, repeat(seed), short=short).met


def repeat(seed: int) -> str:
    """How to see a schedule again."""
    return f"repeat with: python -m tests.edge {seed}"


def explain(seed: int, edge: Edge = REAL) -> int:
    """Run one schedule and print all that happens; then, if it fails, its story made short. Returns 1 on a
    violation."""
    tried = schedule(seed, edge)(frozenset())
    problem = None
    try:
        tried.run()
    except Violation as violation:
        problem = violation
    print("\n".join(tell(tried.world)))
    return verdict(seed, problem, partial(simulate, seed, edge, short=True))


def tell(world: World) -> list[str]:
    """A line for everything; of the whole, whose processes talk much, for what matters."""
    if _is_whole(world.seed):
        return tell_whole(world)
    return [f"{time:9.4f} {who:8} {_said(what)}"[:WIDTH] for time, who, what in world.trace]


def _is_whole(seed: int) -> bool:
    return seed % WHOLE_EVERY == WHOLE_EVERY - 1


def _said(what: object) -> str:
    match what:
        case str():
            return what
        case Request(number, operation):
            return f"asks {number}: {operation!r}"
        case Reply(number, Failed(error)):
            return f"is answered {number}: {error.value}"
        case Reply(number, result):
            return f"is answered {number}: {result!r}"
    return f"is told {what!r}"


def history(seed: int) -> str:
    """A digest of all that happens in a schedule, to see that it is the same again."""
    tried = schedule(seed)(frozenset())
    tried.run()
    return hashlib.sha256(repr(tried.world.trace).encode()).hexdigest()
