"""Which processes belong to a run, wherever they have gone.

A process of a run may leave its process group (``timeout``), its session (``setsid``) or its parent (a daemon
forks twice). Three signs identify it:

- It is in the run's first group or session.
- It descends from a process that belongs to the run.
- It has lost its parent, so it is now a child of this process (a subreaper), and it has the mark of the run.

A process has the mark twice: in its environment, and as its limit on file locks, which Linux has not used
since 2.4.25. It inherits this limit, whatever it runs, also if its environment was emptied.
"""

import ctypes
import os
import resource
import secrets
import signal
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import NamedTuple

# In the environment of everything that a run starts.
MARK = "MWAPP_RUN"
# The upper half of the marks of all runs of this process; the lower half counts the runs.
FAMILY = 1 << 30 | secrets.randbits(30)
_HALF = 32
_MOST_DIGITS = 20  # a task may have set the variable to anything
_numbers = count(1)
_RLIMIT_LOCKS = 10  # Python has no name for it
_GIVEN_LOCKS = resource.getrlimit(_RLIMIT_LOCKS)

_PR_SET_CHILD_SUBREAPER = 36
# Reading all processes takes a while, and many runs end at once. So one reading is good for this long,
# seconds.
FRESH_SECONDS = 0.005
# The time between two looks at what is being killed, seconds, and how many looks must find nothing: a process
# that is about to start has no mark yet.
PAUSE, LOOKS = 0.02, 3
MOST_LOOKS = 250
CHUNK = 1 << 16


class ProcessInfo(NamedTuple):
    """What the kernel says of a process."""

    pid: int
    dead: bool  # but nobody has waited for it
    parent: int
    group: int
    session: int


def new_mark() -> int:
    """The mark of another run."""
    return FAMILY << _HALF | next(_numbers) % (1 << _HALF)


@contextmanager
def marked(mark: int) -> Iterator[None]:
    """What is started meanwhile has the mark from its first moment, as this process has it, too. Only one
    thread may start runs."""
    _limit_locks(mark)
    try:
        yield
    finally:
        _limit_locks(_GIVEN_LOCKS[0])


def _limit_locks(soft: int) -> None:
    """Where that is not possible, as with a low hard limit, only the environment has the mark."""
    with suppress(ValueError, OSError):
        resource.setrlimit(_RLIMIT_LOCKS, (soft, _GIVEN_LOCKS[1]))


def adopt_orphans() -> None:
    """From now on, a process below this one that loses its parent becomes a child of this one."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def kill(process: int, number: int = signal.SIGKILL) -> None:
    """Send a signal; nothing happens if the process has ended or changed its user."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(process, number)


# What this process has started itself and waits for itself: no orphans.
_started: set[int] = set()


def started(process: int) -> None:
    """Whoever starts a process says it here, in the thread that asks for orphans."""
    _started.add(process)


def waited_for(process: int) -> None:
    """It is gone, so its number may become an orphan's."""
    _started.discard(process)


class Orphans:
    """The processes that this one has adopted. It must be quick, because every end of a run asks it."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[ProcessInfo, set[int]]] = {}  # with their marks
        self._file: int | None = None  # stays open, because it is read at every end of a run

    def open(self) -> None:
        """Have the file that is read at every end of a run: if no more files can be opened, the run is not to
        be started. Raises OSError."""
        if self._file is None:
            main = os.getpid()
            with suppress(FileNotFoundError):  # an unusual kernel
                self._file = os.open(f"/proc/{main}/task/{main}/children", os.O_RDONLY | os.O_CLOEXEC)

    def belong_to(self, leader: int, mark: int) -> bool:
        """Whether one of them belongs to the run with that mark, whose first process was the leader.

        True also if that is not known yet: a process that is dying, or starts another program, has no
        environment.
        """
        seen, own = self._known, os.getsid(0)
        for _ in range(MOST_LOOKS):
            if not self._look(seen, own):
                break
        return any(
            leader in (process.group, process.session)
            or mark in marks
            or (not marks and process.pid not in seen)
            for process, marks in self._known.values()
        )

    def _look(self, seen: dict[int, tuple[ProcessInfo, set[int]]], own: int) -> bool:
        """Get to know all that live. Whether some had died: what they had started may be an orphan only since
        then."""
        self._known, died = {}, False
        for pid in self._pids():
            process, marks = seen.get(pid) or (_process(pid), set())
            if process is None or process.session == own:
                continue
            if _buried(pid):
                died = True
            else:
                self._known[pid] = process, marks or _marks(pid)
        return died

    def _pids(self) -> list[int]:
        """Orphans become children of the main thread; processes that another thread started are that thread's
        children."""
        self.open()
        if self._file is not None:
            return [int(pid) for pid in _read_again(self._file).split()]
        main = os.getpid()
        return [it.pid for it in _all_processes() if it.parent == main and it.pid not in _started]


def _read_again(file: int) -> bytes:
    found = b""
    while more := os.pread(file, CHUNK, len(found)):
        found += more
    return found


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

    def of(self, leader: int, mark: int) -> list[ProcessInfo]:
        """The living processes of the run with that mark. Its first process, the leader, may be dead, but
        nobody may have waited for it, or its number could belong to another process."""
        found = {p.pid for p in self._processes.values() if leader in (p.pid, p.group, p.session)}
        found |= {pid for pid in self._below.get(os.getpid(), []) if mark in _marks(pid)}
        return self._with_descendants(found)

    def of_family(
        self, family: int, strangers: Iterable[int], spared: Collection[int] = ()
    ) -> list[ProcessInfo]:
        """The living processes of all runs of another process, which had that family. Whoever is in a session
        with one of them belongs to the runs, too, unless it is a session of ``strangers``. Those ``spared``
        are none of them, nor what descends from them alone: a process has a mark itself while it starts a
        run."""
        others = self._processes.keys() - set(spared)
        found = {pid for pid in others if any(mark >> _HALF == family for mark in _marks(pid))}
        sessions = {self._processes[pid].session for pid in found}.difference(strangers)
        found |= {pid for pid in others if self._processes[pid].session in sessions}
        return self._with_descendants(found, spared)

    def _with_descendants(self, found: set[int], spared: Collection[int] = ()) -> list[ProcessInfo]:
        to_follow = list(found)
        while to_follow:
            new = set(self._below.get(to_follow.pop(), [])).difference(found, spared)
            found |= new
            to_follow += new
        return [self._processes[pid] for pid in found if not self._processes[pid].dead]


def kill_family(family: int, strangers: Iterable[int], wanted: Callable[[], bool]) -> bool:
    """Kill all runs of another process, until none is left, some seconds have passed, or it is not wanted any
    more. This process is spared, and so is the one that started it, as long as that lives. Returns whether
    there were any."""
    census, looks, some = Census(), 0, False
    for _ in range(MOST_LOOKS):
        if not wanted():
            break
        spared = os.getpid(), os.getppid()
        census.take()
        found = census.of_family(family, strangers, spared)  # all of them first: those whose parent is dead
        #                                                      are harder to find
        looks = 0 if found else looks + 1
        if looks == LOOKS:
            break
        for process in found:
            kill(process.pid)
        some = some or bool(found)
        time.sleep(PAUSE)
    return some


def _all_processes() -> Iterator[ProcessInfo]:
    for name in os.listdir("/proc"):  # noqa: PTH208 - faster, and there may be thousands
        process = _process(int(name)) if name.isdecimal() else None
        if process is not None:
            yield process


def _process(pid: int) -> ProcessInfo | None:
    """None if it has ended, or is hidden from us. Raises OSError if no file can be opened."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    state, parent, group, session = stat.rpartition(b")")[2].split()[:4]
    return ProcessInfo(pid, state in (b"Z", b"X"), int(parent), int(group), int(session))


def _marks(pid: int) -> set[int]:
    """Those that it may have; none if it has ended, or is another user's. A limit without a family, and none
    at all, is somebody else's limit."""
    limit = 0
    with suppress(OSError):
        limit, _ = resource.prlimit(pid, _RLIMIT_LOCKS)
    return ({limit} if limit >> _HALF > 0 else set()) | set(_marks_in_environment(pid))


def _marks_in_environment(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for variable in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            name, _, value = variable.partition(b"=")
            if name == MARK.encode() and value.isdigit() and len(value) < _MOST_DIGITS:
                yield int(value)
