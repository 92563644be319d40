"""A process in a group of its own, followed to its end by the event loop.

It is over when it has exited. Whatever it left behind in its group is killed then; what left the group
(``setsid``) is not waited for, even if it keeps the output open.
"""

import os
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from mwapp.execution.output import Output

if TYPE_CHECKING:  # who runs nothing need not wait for its import
    from asyncio import AbstractEventLoop, TimerHandle

# How long to wait, once the process has exited and its group was killed, for the last output, and for the
# kernel to have done with the group (a process stuck on a dead disk would take for ever), seconds.
LAST_OUTPUT = 0.2
GROUP_END = 1.0

CHUNK = 64 * 1024
MOST_CHUNKS = 17  # of a pipe that was made as large as may be (1 MiB)

# The daemon's talk with systemd is no business of what it runs.
_PRIVATE = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")

# A thousand runs need three files each. What is run keeps the limit that we were given: programs that use
# select() cannot have more.
_MOST_FILES = 8192
_GIVEN_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)


def allow_many_files() -> None:
    """Raise this process's own limit on open files, as far as it may."""
    soft, hard = _GIVEN_FILES
    if 0 <= soft < _MOST_FILES:
        wanted = _MOST_FILES if hard < 0 else min(_MOST_FILES, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def own_environment() -> dict[str, str]:
    """The daemon's environment, as far as it is for what it runs."""
    return {name: value for name, value in os.environ.items() if name not in _PRIVATE}


class Group:
    """A process, what it starts in its group, and what they write. To be used in the loop's thread only.

    ``output`` gets what is written (it may be exchanged); ``ended`` is called once, when all is over and
    ``code`` is set: the exit status, or minus the signal's number.
    """

    def __init__(
        self,
        loop: "AbstractEventLoop",
        arguments: Sequence[str],
        environment: Mapping[str, str],
        output: Output,
        ended: Callable[[], None],
        *,
        directory: str | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        """Start it. Raises OSError or ValueError if it cannot be started."""
        self.output = output
        self.code: int | None = None
        self._loop = loop
        self._ended = ended
        self._deadline: TimerHandle | None = None  # of SIGKILL
        self._process = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            start_new_session=True,
            env=environment,
            cwd=directory,
            pass_fds=pass_fds,
        )
        assert self._process.stdout is not None  # noqa: S101 - it was asked for; tells mypy
        self._pipe: int | None = self._process.stdout.fileno()
        try:
            self._exit = os.pidfd_open(self._process.pid)
        except OSError:  # no files left
            self._signal(signal.SIGKILL)
            self._process.communicate()
            raise
        with suppress(OSError):
            resource.prlimit(self._process.pid, resource.RLIMIT_NOFILE, _GIVEN_FILES)
        os.set_blocking(self._pipe, False)
        loop.add_reader(self._exit, self._exited)
        loop.add_reader(self._pipe, self._read)

    def kill(self, grace: float = 0.0) -> None:
        """SIGTERM, and after ``grace`` seconds SIGKILL; without, at once. Another call can shorten it."""
        if self.code is not None:
            return
        if grace <= 0:
            self._signal(signal.SIGKILL)
            return
        if self._deadline is None:
            self._signal(signal.SIGTERM)
        elif self._deadline.when() <= self._loop.time() + grace:
            return
        else:
            self._deadline.cancel()
        self._deadline = self._loop.call_later(grace, self._signal, signal.SIGKILL)

    def read_all(self) -> None:
        """Take what is written by now, but no more than a pipe can hold."""
        for _ in range(MOST_CHUNKS):
            if not self._read():
                return

    def _read(self) -> bool:
        """A chunk at a time, so that a flood does not hold up the others."""
        if self._pipe is None:
            return False
        try:
            data = os.read(self._pipe, CHUNK)
        except BlockingIOError:
            return False
        self.output.write(data)
        if not data:
            self._close_pipe()
            if self.code is not None:
                self._await_group()
        return bool(data)

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _exited(self) -> None:
        self._loop.remove_reader(self._exit)
        os.close(self._exit)
        # It is a zombie until wait(): its number, which is the group's, stays ours.
        self._signal(signal.SIGKILL)
        self.code = self._process.wait()
        self._exited_at = self._loop.time()
        if self._deadline is not None:
            self._deadline.cancel()
        if self._pipe is None:
            self._await_group()
        else:
            self._loop.call_later(LAST_OUTPUT, self._no_more_output)

    def _no_more_output(self) -> None:
        if self._pipe is not None:
            self._close_pipe()
            self._await_group()

    def _close_pipe(self) -> None:
        if self._pipe is not None and self._process.stdout is not None:
            self._loop.remove_reader(self._pipe)
            self._process.stdout.close()
            self._pipe = None

    def _await_group(self, pause: float = 0.001) -> None:
        """Wait for the kernel to have done with the killed group."""
        now = self._loop.time()
        if now - self._exited_at > GROUP_END or not self._is_there() or not self._may_live(pause, now):
            self._ended()
        else:
            self._loop.call_later(pause, self._await_group, min(2 * pause, 0.05))

    def _may_live(self, pause: float, now: float) -> bool:
        # What nobody reaps (a container without init) is dead all the same; finding that out costs more.
        return pause < 0.01 or _census.lives(self._process.pid, self._exited_at, now)

    def _is_there(self) -> bool:
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return False
        return True


class _Census:
    """Which groups have a process that is not dead. To look at all processes takes a while: one for many."""

    def __init__(self) -> None:
        self._at = 0.0
        self._living: frozenset[int] = frozenset()

    def lives(self, group: int, killed: float, now: float) -> bool:
        """Whether the group lives that was killed at that time."""
        stale = self._at < killed or (group in self._living and now - self._at > 0.05)
        if stale:
            self._at, self._living = now, frozenset(_living_groups())
        return group in self._living


_census = _Census()


def _living_groups() -> Iterator[int]:
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            with suppress(OSError):  # it has just ended
                state, _parent, group = (process / "stat").read_bytes().rpartition(b")")[2].split()[:3]
                if state not in (b"Z", b"X"):
                    yield int(group)
