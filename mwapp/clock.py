"""The clock that sessions are reckoned on.

It goes on while the machine is suspended. ``time.monotonic()`` stands still then, and whoever wakes up would
take a session for alive that is long over. (A hypervisor that pauses its guest may stop both: see "Clocks" in
docs/protocol.md.)

What only waits (``select``, a queue, a pause between two attempts) stays on ``time.monotonic()``, as the
kernel does. So it may wake late, by as long as the machine slept; what it does then begins with a look at
this clock.
"""

import time


def now() -> float:
    """Seconds since the machine was started, suspended or not: the same in all of its processes."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
