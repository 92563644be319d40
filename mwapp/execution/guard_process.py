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
STDIN, STDERR = 0, 2
# What an operator reads when runs are killed and their worker cannot say why.
WHY = (
    "guard of {daemon}: killed what process {daemon} ran, because that had not renewed its session in time: "
    "it stood still, was too busy, or heard nothing from the ensemble"
)


def main() -> None:
    """Kill all that the daemon runs when its session may end or it has ended itself."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    daemon = os.getppid()
    with suppress(OSError, ValueError, IndexError):
        be_called(f"guard of {daemon}")
    due: float | None = None
    while (lease := next_lease(due)) is not None:
        if lease > clock.now():
            due = lease
        else:
            if kill_all(silent):  # if it says something it goes on, and kills them itself
                say(WHY.format(daemon=daemon))
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


def say(what: str) -> None:
    """One line for the operator, on the daemon's stderr; none if nobody reads that, for we may not wait."""
    with suppress(OSError, ValueError):
        if select.select([], [STDERR], [], 0)[1]:
            os.write(STDERR, f"{what}\n".encode())


def kill_all(wanted: Callable[[], bool] = lambda: True) -> bool:
    """All runs, and whatever else is in their control groups. Whether there was anything to kill."""
    family, session, *groups = sys.argv[1:]
    lived = [kill_control_group(Path(group)) for group in groups]
    return kill_family(int(family), [int(session), os.getsid(0)], wanted) or any(lived)


def kill_control_group(group: Path) -> bool:
    """Whether there was anything to kill, if that can be told."""
    lived = False
    with suppress(OSError):
        lived = "populated 1" in (group / "cgroup.events").read_text()
    with suppress(OSError):
        (group / "cgroup.kill").write_text("1")
    return lived


def be_called(name: str) -> None:
    """Change what ``ps`` shows: if somebody kills all that is called mwapp, or Python, we are needed."""
    Path("/proc/self/comm").write_text("guard")
    first, last = map(int, Path("/proc/self/stat").read_text().rpartition(")")[2].split()[45:47])
    room = last - first
    if room > 1:  # some kernels and sandboxes tell nothing
        ctypes.memset(first, 0, room)
        ctypes.memmove(first, name.encode(), min(len(name), room - 1))


if __name__ == "__main__":
    main()
