"""The pause before a failed run is repeated: twice as long each time, and not the same for all tasks."""

from zlib import crc32

# Pauses do not grow beyond this, seconds; one that is longer from the start stays as long as it is.
LONGEST = 600.0
# By how large a part of itself a pause is prolonged at most, so that what failed together is not repeated
# together.
JITTER = 0.25
# How long a failed run waits for another worker at least, seconds: a broken one is idle most of the time.
ELSEWHERE = 1.0


def pause(task: str, failures: int, first: float) -> float:
    """Seconds from the end of the run that was failure number ``failures`` (1 or more) of the task.

    ``first`` is the task's ``retry_delay``. The same arguments give the same pause.
    """
    doubled = first * 2.0 ** min(failures - 1, 30)
    part = crc32(f"{task} {failures}".encode()) / (1 << 32)
    return round(min(doubled, max(first, LONGEST)) * (1 + JITTER * part), 3)


def elsewhere(paused: float) -> float:
    """Seconds from the end of its pause for which it goes to no worker but others, if there are any."""
    return max(paused, ELSEWHERE)
