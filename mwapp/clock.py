"""The clock that measures sessions.

It continues while the machine is suspended. ``time.monotonic()`` stands still then, so a process that wakes
up would believe that its session is alive when it ended long ago. (A hypervisor that pauses its guest may
stop both: see "Clocks" in docs/protocol.md.)

Waits (``select``, a queue, a pause between two attempts) stay on ``time.monotonic()``, as the kernel does. So
they may end late, by as long as the machine slept; the code after them first looks at this clock.
"""

import time


def now() -> float:
    """Seconds since the machine started, suspended or not; the same in all its processes."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
