"""Which processes belong to a run, wherever they have gone.

A process of a run may leave its process group (``timeout``), its session (``setsid``) or its parent (a daemon
forks twice). Three signs identify it:

- It is in the run's first group or session.
- It descends from a process that belongs to the run.
- It has lost its parent, so it is now a child of this process (a subreaper), and its environment has the mark
  of the run.

We do not find a process in a new session whose parent has ended and whose environment was emptied.
"""

import ctypes
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

# In the environment of everything that a run starts.
MARK = "MWAPP_RUN"

_PR_SET_CHILD_SUBREAPER = 36
# Reading all processes takes a while, and many runs end at once. So one reading is good for this long,
# seconds.
FRESH_SECONDS = 0.005
# The time between two looks at what is being killed, seconds, and how many looks must find nothing: a process
# that is about to start has no mark yet.
PAUSE, LOOKS = 0.02, 3
MOST_LOOKS = 250


class ProcessInfo(NamedTuple):
    """What the kernel says of a process."""

    pid: int
    dead: bool  # but nobody has waited for it
    parent: int
    group: int
    session: int


def adopt_orphans() -> None:
    """From now on, a process below this one that loses its parent becomes a child of this one."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill(process: int, number: int = signal.SIGKILL) -> None:
    """Send a signal; nothing happens if the process has ended or changed its user."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(process, number)


class Orphans:
    """The processes that this one has adopted. It must be quick, because every end of a run asks it."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[ProcessInfo, list[bytes]]] = {}  # with their environments

    def belong_to(self, leader: int, mark: str) -> bool:
        """Whether one of them belongs to the run with that mark, whose first process was the leader.

        True also if that is not known yet: a process that is dying, or starts another program, has no
        environment.
        """
        marked, own = f"{MARK}={mark}".encode(), os.getsid(0)
        seen, self._known = self._known, {}
        for pid in _children_of_main_thread():
            process, environment = seen.get(pid) or (_process(pid), [])
            if process is None or process.session == own or _buried(pid):
                continue
            self._known[pid] = process, environment or _environment(pid)
        return any(
            leader in (process.group, process.session)
            or marked in environment
            or (not environment and process.pid not in seen)
            for process, environment in self._known.values()
        )


def _children_of_main_thread() -> list[int]:
    """Orphans become children of the main thread; processes that another thread started are that thread's
    children."""
    main = os.getpid()
    with suppress(OSError):
        return [int(pid) for pid in Path(f"/proc/self/task/{main}/children").read_bytes().split()]
    return [process.pid for process in _all_processes() if process.parent == main]  # an unusual kernel


def _buried(pid: int) -> bool:
    """Whether it was dead; if so, it has now been waited for."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


class Census:
    """All processes at one moment."""

    def __init__(self) -> None:
        self._began = self._ended = float("-inf")  # of the look, monotonic seconds
        self._processes: dict[int, ProcessInfo] = {}
        self._below: dict[int, list[int]] = {}

    def take(self, since: float = float("-inf")) -> None:
        """Look, unless the last look was just now and after ``since`` (monotonic seconds)."""
        if self._began > since and time.monotonic() < self._ended + FRESH_SECONDS:
            return
        self._began = time.monotonic()
        self._processes = {process.pid: process for process in _all_processes()}
        self._below = {}
        for process in self._processes.values():
            self._below.setdefault(process.parent, []).append(process.pid)
        self._ended = time.monotonic()

    def of(self, leader: int, mark: str) -> list[ProcessInfo]:
        """The living processes of the run with that mark. Its first process, the leader, may be dead, but
        nobody may have waited for it, or its number could belong to another process."""
        marked = f"{MARK}={mark}".encode()
        found = {p.pid for p in self._processes.values() if leader in (p.pid, p.group, p.session)}
        found |= {pid for pid in self._below.get(os.getpid(), []) if marked in _environment(pid)}
        to_follow = list(found)
        while to_follow:
            new = set(self._below.get(to_follow.pop(), [])) - found
            found |= new
            to_follow += new
        return [self._processes[pid] for pid in found if not self._processes[pid].dead]


def kill_marked(prefix: str) -> None:
    """Kill all processes whose mark begins like that, until none is left or some seconds have passed."""
    begins, looks = f"{MARK}={prefix}".encode(), 0
    for _ in range(MOST_LOOKS):
        found = [
            process.pid
            for process in _all_processes()
            if not process.dead and any(v.startswith(begins) for v in _environment(process.pid))
        ]
        looks = 0 if found else looks + 1
        if looks == LOOKS:
            return
        for pid in found:
            kill(pid)
        time.sleep(PAUSE)


def _all_processes() -> Iterator[ProcessInfo]:
    for name in os.listdir("/proc"):  # noqa: PTH208 - faster, and there may be thousands
        process = _process(int(name)) if name.isdecimal() else None
        if process is not None:
            yield process


def _process(pid: int) -> ProcessInfo | None:
    """None if it has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    state, parent, group, session = stat.rpartition(b")")[2].split()[:4]
    return ProcessInfo(pid, state in (b"Z", b"X"), int(parent), int(group), int(session))


def _environment(pid: int) -> list[bytes]:
    try:
        return [variable for variable in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if variable]
    except OSError:  # it has ended, or is another user's
        return []
