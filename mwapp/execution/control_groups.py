"""A control group (cgroup v2) for each run, and the limits of runs.

They are below the group that systemd has delegated to this process:

    <delegated>/daemon     this process and its guard
    <delegated>/runs       all runs together, with their limits
    <delegated>/runs/7     one run, or one process that runs handlers

No process leaves its group by forking, so killing the group kills all of a run. Creating a group takes nearly
as long as starting a shell, so an empty one is used again.

If runs are another user's, that user makes their groups: ``runs`` is then of this user's group, and nobody
else gets in. Whoever is in that group can make groups there, too, but not remove or use those of others.
"""

import errno
import json
import logging
import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from shlex import quote

from mwapp.errors import BadInputError
from mwapp.execution.privileges import User, make_directory

log = logging.getLogger(__name__)

# systemd marks what it delegates with one of these. Only root sees the second.
_MARKS = ("user.delegate", "trusted.delegate")
# In which CPU time is measured, microseconds.
_PERIOD = 100_000
_UNITS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
LEAST_MEMORY, MOST_MEMORY = 1 << 20, 1 << 60


@dataclass(frozen=True, slots=True)
class ResourceLimits:
    """How much may be used: bytes of memory, a number of CPUs, a number of processes and threads."""

    memory: int | None = None
    cpu: float | None = None
    pids: int | None = None

    @property
    def controllers(self) -> list[str]:
        """The kernel's controllers that this takes, which have the names of the limits."""
        return [name for name in ("memory", "cpu", "pids") if getattr(self, name) is not None]

    def write(self, group: Path) -> None:
        """Set them for a group. Raises OSError."""
        if self.memory is not None:
            (group / "memory.max").write_text(str(self.memory))
            with suppress(FileNotFoundError):  # the kernel has no swap
                (group / "memory.swap.max").write_text("0")
        if self.cpu is not None:
            (group / "cpu.max").write_text(f"{round(self.cpu * _PERIOD)} {_PERIOD}")
        if self.pids is not None:
            (group / "pids.max").write_text(str(self.pids))


NONE = ResourceLimits()


def parse_memory(value: str, setting: str) -> int:
    """Bytes. Raises BadInputError, which begins with the setting."""
    number, unit = value.strip().upper(), ""
    if number[-1:] in _UNITS:
        number, unit = number[:-1], number[-1:]
    amount = int(number) << _UNITS[unit] if number.isascii() and number.isdecimal() else 0
    if not LEAST_MEMORY <= amount < MOST_MEMORY:
        raise BadInputError(
            f"{setting}: {value!r} is no amount of memory: use 1M or more, such as 500M or 2G"
        )
    return amount


def show_memory(amount: int) -> str:
    """As people write it."""
    for unit, shift in reversed(_UNITS.items()):
        if amount % (1 << shift) == 0:
            return f"{amount >> shift}{unit}"
    return str(amount)


class MemoryEvents:
    """Counters of what happened to a group for its memory."""

    def __init__(self, group: Path, *names: str) -> None:
        self._names = names
        self._file: int | None = None
        with suppress(FileNotFoundError):  # without the kernel's controller nothing is counted
            self._file = os.open(group / "memory.events.local", os.O_RDONLY | os.O_CLOEXEC)
        self._before = self._read()

    @property
    def known(self) -> bool:
        """Whether there are counters."""
        return self._file is not None

    def news(self) -> list[bool]:
        """For each counter, whether it has grown since the last question."""
        before, self._before = self._before, self._read()
        return [new > old for new, old in zip(self._before, before, strict=True)]

    def close(self) -> None:
        """Ask no more."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _read(self) -> list[int]:
        if self._file is None:
            return [0 for _ in self._names]
        found = dict(line.split() for line in os.pread(self._file, 1000, 0).splitlines())
        return [int(found.get(name.encode(), 0)) for name in self._names]


class ControlGroup:
    """The group of one run at a time."""

    def __init__(self, path: Path, limits: ResourceLimits, free: Callable[["ControlGroup"], None]) -> None:
        """Create it; the group of all runs is above it. ``free`` takes it back.

        Raises:
            FileExistsError: another user has one of this name.
            OSError: it cannot be had.
        """
        self._path = path
        self._limits = limits
        self._free = free
        path.mkdir(exist_ok=True)
        if path.stat().st_uid != os.geteuid():
            raise FileExistsError(errno.EEXIST, "it is another user's", str(path))
        with ExitStack() as files:  # what must not stay if the rest cannot be had, as for lack of files
            files.callback(self._remove)
            limits.write(path)
            self._own = MemoryEvents(path, "oom", "oom_kill")
            files.callback(self._own.close)
            self._above = MemoryEvents(path.parent, "oom")
            files.callback(self._above.close)
            if self._own.known:  # end the whole run, and not its largest process alone
                (path / "memory.oom.group").write_text("1")
            self._events = os.open(path / "cgroup.events", os.O_RDONLY | os.O_CLOEXEC)
            files.pop_all()
        # Whoever writes 0 to it joins.
        self.processes = str(path / "cgroup.procs")
        self._join = f"echo 0 >{quote(self.processes)} || exit 125; "

    def joining(self, command: str) -> str:
        """A command for sh that joins before anything else. It takes no other process."""
        return self._join + command

    @property
    def populated(self) -> bool:
        """Whether a process lives in it."""
        return b"populated 1" in os.pread(self._events, 100, 0)

    def kill(self) -> None:
        """Kill all that is in it."""
        with suppress(OSError):  # a kernel before 5.14: they are killed one by one
            (self._path / "cgroup.kill").write_text("1")

    def lacked_memory(self) -> str | None:
        """Why the kernel has killed here for memory since the last question, if it has."""
        (own, killed), (above,) = self._own.news(), self._above.news()
        if not killed:
            return None
        if own and self._limits.memory is not None:
            limit = show_memory(self._limits.memory)
            return f"it needs more memory than a task may use, {limit} (--task-memory, mwapp_task_memory)"
        if above:
            return (
                "the tasks of this worker need more memory than they may use together "
                "(--worker-memory, mwapp_worker_memory)"
            )
        return "the host has no memory left"

    def release(self) -> None:
        """The run is over."""
        self._free(self)

    def close(self) -> None:
        """Remove it if it is empty."""
        os.close(self._events)
        self._own.close()
        self._above.close()
        self._remove()

    def _remove(self) -> None:
        with suppress(OSError):  # it is not empty
            self._path.rmdir()


class ControlGroups:
    """The groups of all runs of this process."""

    def __init__(self, runs: Path, task: ResourceLimits = NONE) -> None:
        """They are made in the group ``runs``, each with the limits of a ``task``."""
        self._runs = runs
        self._task = task
        self._numbers = count(1)
        self._free: list[ControlGroup] = []
        self._dying: list[ControlGroup] = []  # something in them could not be killed yet

    @staticmethod
    def below(
        delegated: Path, task: ResourceLimits = NONE, worker: ResourceLimits = NONE, user: User | None = None
    ) -> "ControlGroups":
        """Move this process into a group of its own, and make one for all runs, with the limits of the
        ``worker``. It can be lent to the ``user``.

        Raises:
            BadInputError: this process may not become that user.
            OSError: they cannot be had.
        """
        _enter(delegated / "daemon")
        runs = delegated / "runs"
        if user is None:
            runs.mkdir(exist_ok=True)
        else:
            _make_for(user, runs)
        # That of memory in any case, if it is there: so a run says why it was killed.
        wanted = {"memory", *task.controllers, *worker.controllers} & set(_controllers(delegated))
        for group in (delegated, runs) if wanted else ():
            (group / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in sorted(wanted)))
        worker.write(runs)
        return ControlGroups(runs, task)

    def lend(self) -> list[str]:
        """Let a process in our group, which is another user, make groups for its runs; returns what to give
        to :meth:`borrowed` there. It cannot change the limits of all runs, nor return to our group."""
        self._runs.chmod(0o1770)  # with the sticky bit: nobody removes another's
        # Who comes from outside needs this right for the groups above, too, so only our processes can use it.
        (self._runs.parent / "cgroup.procs").chmod(0o666)
        return [str(self._runs), json.dumps(asdict(self._task))]

    @staticmethod
    def borrowed(lent: list[str]) -> "ControlGroups":
        """Those that another process has lent to this one."""
        runs, task = lent
        return ControlGroups(Path(runs), ResourceLimits(**json.loads(task)))

    def take(self) -> ControlGroup:
        """An empty group. Raises OSError."""
        if not self._free and self._dying:
            self._free = [group for group in self._dying if not group.populated]
            self._dying = [group for group in self._dying if group not in self._free]
        if self._free:
            return self._free.pop()
        while True:
            with suppress(FileExistsError):  # somebody has taken this name
                return ControlGroup(self._runs / str(next(self._numbers)), self._task, self._take_back)

    def _take_back(self, group: ControlGroup) -> None:
        (self._dying if group.populated else self._free).append(group)

    @property
    def path(self) -> str:
        """Whoever writes to its ``cgroup.kill`` kills all runs."""
        return str(self._runs)

    def kill(self) -> None:
        """Kill all runs."""
        with suppress(OSError):
            (self._runs / "cgroup.kill").write_text("1")

    def close(self) -> None:
        """Remove those that are empty."""
        for group in (*self._free, *self._dying):
            group.close()
        self._free, self._dying = [], []


def _enter(group: Path) -> None:
    group.mkdir(exist_ok=True)
    (group / "cgroup.procs").write_text(str(os.getpid()))


def _make_for(user: User, group: Path) -> None:
    """A group in which that user will make others. Raises BadInputError or OSError."""
    with suppress(OSError):  # there is none of an earlier start, or something still runs in it
        for run in filter(Path.is_dir, group.iterdir()):
            run.rmdir()
        group.rmdir()
    make_directory(group, user)
    if group.stat().st_gid != user.gid:
        raise PermissionError(errno.EPERM, f"it is not of the group {user.gid}", str(group))


def _controllers(group: Path) -> list[str]:
    return (group / "cgroup.controllers").read_text().split()


def delegated_group() -> Path | None:
    """The group that systemd has delegated to this process, if there is one."""
    own = own_group()
    if own is None:
        return None
    for mark in _MARKS:
        with suppress(OSError):
            if os.getxattr(own, mark) == b"1":
                return own
    return None


def own_group() -> Path | None:
    """Where this process is, as a directory."""
    groups = Path("/proc/self/cgroup").read_text().splitlines()
    path = next((line.removeprefix("0::") for line in groups if line.startswith("0::")), None)
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, kind = line.partition(" - ")
        if path is not None and kind.startswith("cgroup2 "):
            root, point = mount.split()[3:5]
            return Path(point, path.removeprefix(root).lstrip("/"))
    return None


def open_groups(
    task: ResourceLimits = NONE, worker: ResourceLimits = NONE, user: User | None = None
) -> ControlGroups | None:
    """The groups with these limits; if there is a ``user``, runs are this one's. None if there can be none,
    and no limit is wanted.

    Raises:
        BadInputError: a limit cannot be had, or this process may not become that user.
    """
    limits = [f"--task-{name}" for name in task.controllers]
    limits += [f"--worker-{name}" for name in worker.controllers]
    delegated = delegated_group()
    if delegated is None and limits:
        raise BadInputError(
            f"{limits[0]}: tasks can only be limited in a control group that systemd has delegated, and this "
            "process has none: start it in a unit with Delegate=yes, or by `systemd-run --scope "
            f"--property=Delegate=yes mwapp ...`, or leave out {' and '.join(limits)}"
        )
    if delegated is None:
        return None
    try:
        there = _controllers(delegated)
        for limit in limits:
            if limit.rpartition("-")[2] not in there:
                raise BadInputError(
                    f"{limit}: the kernel cannot limit this here, because {delegated}/cgroup.controllers has "
                    f"only: {' '.join(there) or '(nothing)'}. Boot the host with cgroup v2 alone "
                    f"(systemd.unified_cgroup_hierarchy=1), or leave out {limit}"
                )
        return ControlGroups.below(delegated, task, worker, user)
    except OSError as problem:
        what = f"cannot use the control group {problem.filename or delegated}: {problem.strerror}"
        if limits:
            raise BadInputError(
                f"{limits[0]}: {what}; see that no other process is in {delegated}, or leave out "
                f"{' and '.join(limits)}"
            ) from None
        log.warning("no control groups for tasks: %s", what)
        return None
