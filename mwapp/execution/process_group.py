"""A process in a group of its own, followed to its end by the event loop.

It is over when it has exited and everything that it started is gone. What it leaves behind is killed, also in
other groups and sessions (:mod:`mwapp.execution.processes`). If it was asked to end, all of it has the same
time for that: a shell ends at once, and what it has started may have to clean up.
"""

import os
import resource
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from mwapp.execution.control_groups import ControlGroup
from mwapp.execution.output import REMARK, Output
from mwapp.execution.processes import (
    MARK,
    Census,
    Orphans,
    kill,
    marked,
    new_mark,
    started,
    waited_for,
)

if TYPE_CHECKING:  # a process that runs nothing need not wait for its import
    from asyncio import AbstractEventLoop, TimerHandle

# How long to wait, after the process has exited and its group was killed, for the last output, and for the
# kernel to remove the group (a process stuck on a dead disk would take forever), seconds.
LAST_OUTPUT = 0.2
GROUP_END = 1.0
# A process whose channel to the worker has ended is most probably about to end: then its exit status says
# why, if nobody kills it. It has this long, seconds.
LAST_WORDS = 0.5
# Why one is killed that goes on, or says what is no answer.
CLOSED = "mwapp killed it: its process closed the channel to its worker; close only what the handler opened"
MEDDLED = "mwapp killed it: its process wrote to the channel to its worker; use only what the handler opened"

CHUNK = 64 * 1024
MOST_CHUNKS = 17  # of a pipe of the largest size (1 MiB)

_orphans, _census = Orphans(), Census()

# A thousand runs need three files each. The runs keep the limit that we were given, because programs that use
# select() cannot have more.
_MOST_FILES = 8192
_GIVEN_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)


def allow_many_files() -> None:
    """Raise this process's own limit on open files as far as possible."""
    soft, hard = _GIVEN_FILES
    if 0 <= soft < _MOST_FILES:
        wanted = _MOST_FILES if hard < 0 else min(_MOST_FILES, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


class Group:
    """A process, what it starts in its group, and what they write. Use it only in the loop's thread.

    ``output`` gets what they write (it may be replaced); ``ended`` is called once, when everything is over
    and ``code`` is set: the exit status, or minus the signal's number.
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
        control_group: ControlGroup | None = None,
    ) -> None:
        """Start it; it joins the control group by itself. Raises OSError or ValueError if it cannot be
        started."""
        self.output = output
        self.code: int | None = None
        self._loop = loop
        self._ended = ended
        self._control_group = control_group
        self._deadline: TimerHandle | None = None  # of SIGKILL, if that is still to come
        self._killed = False
        self._mark = new_mark()
        try:
            _orphans.open()
            with marked(self._mark):
                self._process = subprocess.Popen(
                    arguments,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    bufsize=0,
                    start_new_session=True,
                    env={**environment, MARK: str(self._mark)},
                    cwd=directory,
                    pass_fds=pass_fds,
                )
        except (OSError, ValueError):
            self._release()
            raise
        started(self._process.pid)
        assert self._process.stdout is not None  # noqa: S101 - it was asked for; tells mypy
        self._pipe: int | None = self._process.stdout.fileno()
        try:
            self._exit = os.pidfd_open(self._process.pid)
        except OSError:  # no files left
            self._give_up()
            raise
        with suppress(OSError):
            resource.prlimit(self._process.pid, resource.RLIMIT_NOFILE, _GIVEN_FILES)
        os.set_blocking(self._pipe, False)
        loop.add_reader(self._exit, self._exited)
        loop.add_reader(self._pipe, self._read)

    def _give_up(self) -> None:
        """It has only just begun, and cannot be followed."""
        self._process.stdout.close()  # type: ignore[union-attr]  # it was asked for
        try:
            self._signal(signal.SIGKILL)
        finally:
            with suppress(subprocess.TimeoutExpired):  # it has become another user, whom we cannot kill
                self._process.wait(GROUP_END)
            waited_for(self._process.pid)
            self._release()

    def _wait(self) -> None:
        self._process.wait()
        waited_for(self._process.pid)

    def kill(self, grace: float = 0.0) -> None:
        """SIGTERM, and after ``grace`` seconds SIGKILL; without, at once. Another call can shorten it."""
        if self.code is not None and self._deadline is None:
            return  # what is left is killed already
        if grace <= 0:
            self._kill()
            return
        if self._killed:
            return
        if self._deadline is None:
            self._signal(signal.SIGTERM)
        elif self._deadline.when() <= self._loop.time() + grace:
            return
        else:
            self._deadline.cancel()
        self._deadline = self._loop.call_later(grace, self._kill)

    @property
    def asked_to_end(self) -> bool:
        """Whether it was, and still has time for that."""
        return self._deadline is not None

    def _kill(self) -> None:
        self._killed = True
        self._no_deadline()
        try:
            self._signal(signal.SIGKILL)
        finally:
            if self.code is not None:  # it has ended before those that it started
                self._end()

    def _no_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def read_all(self) -> None:
        """Read what has been written, but no more than a pipe can hold."""
        for _ in range(MOST_CHUNKS):
            if not self._read():
                return

    def _read(self) -> bool:
        """Read one chunk at a time, so that a flood does not delay the others."""
        if self._pipe is None:
            return False
        try:
            data = os.read(self._pipe, CHUNK)
        except BlockingIOError:
            return False
        self.output.write(data)
        if not data:
            self._close_pipe()
            if self.code is not None and self._deadline is None:
                self._await_group()
        return bool(data)

    def _signal(self, number: int) -> None:
        """Send it to the group, and to each process of the run in another group."""
        try:
            _census.take()  # first: processes whose parent has ended are harder to find
        finally:  # also if no more files can be opened
            self._signal_group(number)
            if number == signal.SIGKILL and self._control_group is not None:
                self._control_group.kill()
        for process in _census.of(self._process.pid, self._mark):
            if process.group != self._process.pid:
                kill(process.pid, number)

    def _signal_group(self, number: int) -> None:
        """Nothing happens if all in it have ended, or are another user's now, as what ``sudo`` starts."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    def _exited(self) -> None:
        self._loop.remove_reader(self._exit)
        os.close(self._exit)
        # It stays a zombie until everything is over, so its number, also the group's and the session's, stays
        # ours.
        self.code = _exit_code(self._process.pid)
        if self._deadline is not None:
            self._await_deadline()
            return
        try:
            if self._is_left():
                self._signal(signal.SIGKILL)
        finally:
            self._end()

    def _await_deadline(self, pause: float = 0.001) -> None:
        """Let those that were asked to end have the time that is left."""
        if self._deadline is None:  # they are killed already
            return
        if self._is_left():
            self._loop.call_later(pause, self._await_deadline, min(2 * pause, 0.05))
        else:
            self._no_deadline()
            self._end()

    def _end(self) -> None:
        self._ended_at = time.monotonic()
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
        """Kill what is left, and wait until the kernel has removed it."""
        if time.monotonic() - self._ended_at > GROUP_END or not self._is_left():
            self._wait()
            self._release()
            self._ended()
        else:
            self._kill_who_is_left()
            self._loop.call_later(pause, self._await_group, min(2 * pause, 0.05))

    def _release(self) -> None:
        """Give the control group back, and say what it knows of the end."""
        if self._control_group is None:
            return
        why = self._control_group.lacked_memory()
        if why is not None and self.code == -signal.SIGKILL:
            self.output.write_line(REMARK + why)
        self._control_group.release()

    def _is_left(self) -> bool:
        """Whether anything lives of it. The leader is dead, so that is an orphan, or descends from one."""
        if self._control_group is not None and self._control_group.populated:
            return True
        return _orphans.belong_to(self._process.pid, self._mark)

    def _kill_who_is_left(self) -> None:
        if self._control_group is not None:
            self._control_group.kill()
        _census.take(self._ended_at)
        for process in _census.of(self._process.pid, self._mark):
            kill(process.pid)


def _exit_code(process: int) -> int:
    """The exit status, or minus the signal's number, of an ended process, which remains a zombie."""
    ended = os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
    assert ended is not None  # noqa: S101 - only with WNOHANG it is; tells mypy
    return ended.si_status if ended.si_code == os.CLD_EXITED else -ended.si_status
