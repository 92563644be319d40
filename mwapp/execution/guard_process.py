"""Outlives the daemon that started it, and kills what it ran: python -m mwapp.execution.guard_process ...

The arguments are the family of the marks of what the daemon runs, the daemon's own session, in which there
may be others, and the control group of all runs, if there is one.

In a systemd unit, systemd kills everything that a killed daemon leaves. Elsewhere nobody does, and the task
would start on another worker while its first run continues. The daemon holds the other end of stdin, which
closes when it dies in any way. It writes how long its session is sure to live; so we also notice if it
stands still until then (SIGSTOP). If it is merely slow, it kills the runs itself at that time.
"""

import ctypes
import os
import select
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mwapp import clock
from mwapp.execution.processes import kill_family

# How much longer the session may be sure to live than we were told last, seconds.
LAG = 0.05
# How long to wait at once, seconds: such waits stand still when the machine sleeps.
TURN = 1.0
CHUNK = 1 << 16
STDIN = 0


def main() -> None:
    """Kill all that the daemon runs when its session may end or it has ended itself."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with suppress(OSError, ValueError):
        be_called(f"guard of {os.getppid()}")
    due: float | None = None
    while (lease := next_lease(due)) is not None:
        if lease > clock.now():
            due = lease
        else:
            kill_all(silent)  # if it says something it goes on, and kills them itself
            due = None  # until there is another session
    kill_all()


def silent() -> bool:
    """Whether the daemon says nothing."""
    return not select.select([STDIN], [], [], 0)[0]


def next_lease(due: float | None) -> float | None:
    """When it may end, as the daemon says it; the same if it is silent until then; None if it has ended."""
    while not select.select([STDIN], [], [], None if due is None else min(TURN, max(0.0, due - clock.now())))[
        0
    ]:
        if due is not None and due <= clock.now():
            return due
    said = os.read(STDIN, CHUNK)  # whole lines, because they are short
    return float(said.split()[-1]) + LAG if said else None


def kill_all(wanted: Callable[[], bool] = lambda: True) -> None:
    """All runs, and whatever else is in their control groups."""
    family, session, *groups = sys.argv[1:]
    for group in groups:
        with suppress(OSError):
            (Path(group) / "cgroup.kill").write_text("1")
    kill_family(int(family), [int(session), os.getsid(0)], wanted)


def be_called(name: str) -> None:
    """Change what ``ps`` shows: if somebody kills all that is called mwapp, or Python, we are needed."""
    Path("/proc/self/comm").write_text("guard")
    first, last = map(int, Path("/proc/self/stat").read_text().rpartition(")")[2].split()[45:47])
    ctypes.memset(first, 0, last - first)
    ctypes.memmove(first, name.encode(), min(len(name), last - first - 1))


if __name__ == "__main__":
    main()
