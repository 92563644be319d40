"""The core's limits, drawn from the seed: small, so that a handful of tasks counts as many, and a few
depositions as too many."""

from random import Random

from mwapp.core.limits import LIMITS, Limits
from mwapp.core.suspicion import PATIENCE, Patience

SMALL = [1, 1, 2, 3, 4]


def draw_patience(draw: Random) -> Patience:
    """As shipped, or less patient by far."""
    if draw.random() < 0.3:
        return PATIENCE
    silence = draw.choice([0.15, 0.3, PATIENCE.silence])
    hold_down = draw.choice([0.2, 1.0, PATIENCE.hold_down])
    memory = draw.choice([2.0, 20.0, PATIENCE.memory])
    return Patience(silence, silence / 3, hold_down, most=draw.choice([1, 2, 3, 3]), memory=memory)


def draw_limits(draw: Random) -> Limits:
    """Each limit is small or the default; sometimes all are the defaults."""
    if draw.random() < 0.2:
        return LIMITS

    def small(shipped: int, among: list[int] = SMALL) -> int:
        return draw.choice(among) if draw.random() < 0.7 else shipped

    return Limits(
        batch=small(LIMITS.batch),
        batch_bytes=small(LIMITS.batch_bytes, [1, 100, 300, 1000]),
        max_tasks=LIMITS.max_tasks if draw.random() < 0.9 else draw.randint(1, 20),
        page=small(LIMITS.page),
        newest=small(LIMITS.newest),
        short_list=small(LIMITS.short_list),
        listing=draw.choice([LIMITS.listing, 0.1, 1.0]),
        pipeline=small(LIMITS.pipeline),
        submissions=small(LIMITS.submissions, [1, 2, 5, 10]),
        watched=small(LIMITS.watched),
        watched_more=small(LIMITS.watched_more),
        watched_many_more=small(LIMITS.watched_many_more),
        smallest_look=small(LIMITS.smallest_look),
        largest_look=small(LIMITS.largest_look),
    )
