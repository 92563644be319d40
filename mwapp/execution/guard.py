"""The process that kills what this one runs when this one is killed, or stands still: its own side.

The other is :mod:`mwapp.execution.guard_process`.
"""

import logging
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from mwapp.execution.control_groups import ControlGroups
from mwapp.execution.environment import of_runs
from mwapp.execution.processes import FAMILY, started, waited_for

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

log = logging.getLogger(__name__)

# When one has ended, or could not be started, another is started after this pause, seconds. It doubles each
# time, up to the longest, unless the last one has lived for long.
PAUSE, LONGEST_PAUSE, LONG = 0.1, 10.0, 60.0


class Guard:
    """There is always one, and if it is killed soon another. Use it only in the loop's thread, because the
    main thread's children are orphans; but any thread may call :meth:`keep`."""

    def __init__(self, loop: "AbstractEventLoop", control_groups: ControlGroups | None = None) -> None:
        """Start it. If that is not possible, everything runs all the same."""
        self._loop = loop
        self._arguments = [str(FAMILY), str(os.getsid(0))]
        if control_groups is not None:
            self._arguments.append(control_groups.path)
        self._process: subprocess.Popen[bytes] | None = None
        self._lease = 0.0
        self._telling = threading.Lock()  # whoever has it has the pipe, and waits for nothing
        self._closed = False
        self._pause, self._began = PAUSE, loop.time()
        self._start()

    def keep(self, lease: float) -> None:
        """The session is sure to live until then, on :mod:`mwapp.clock`. Then all that runs is killed. What
        was said before of a later time stays true."""
        with self._telling:
            if lease > self._lease:
                self._lease = lease
                self._tell()

    def close(self) -> None:
        """Nothing is left for it."""
        self._closed = True
        process = self._forget()
        if process is not None:
            self._loop.remove_reader(self._exit)
            process.kill()
            self._bury(process)

    def _start(self) -> None:
        if self._closed:
            return
        self._began = self._loop.time()
        try:
            process = start(self._arguments)
            self._exit = _follow(process)
        except OSError as problem:
            log.error("no guard: if this process is killed, what it runs may go on: %s", problem)
            self._start_again()
            return
        self._loop.add_reader(self._exit, self._ended)
        with self._telling:
            self._process = process
            self._tell()

    def _forget(self) -> subprocess.Popen[bytes] | None:
        """Nobody writes to its pipe any more. Returns it."""
        with self._telling:
            process, self._process = self._process, None
        return process

    def _tell(self) -> None:
        if self._process is not None and self._process.stdin is not None and self._lease:
            try:
                os.write(self._process.stdin.fileno(), f"{self._lease:.3f}\n".encode())
            except BlockingIOError:  # it stands still; if it went on, it would believe what is old
                self._process.kill()
            except BrokenPipeError:
                pass  # we shall hear of its end

    def _ended(self) -> None:
        process = self._forget()
        self._loop.remove_reader(self._exit)
        if process is not None:
            self._bury(process)
            log.error("the guard has ended, with status %s: another is started", process.returncode)
        self._start_again()

    def _start_again(self) -> None:
        lived = self._loop.time() - self._began
        self._pause = PAUSE if lived > LONG else min(2 * self._pause, LONGEST_PAUSE)
        self._loop.call_later(self._pause, self._start)

    def _bury(self, process: subprocess.Popen[bytes]) -> None:
        os.close(self._exit)
        bury(process)


def start(arguments: list[str]) -> subprocess.Popen[bytes]:
    """Raises OSError."""
    command = [sys.executable, "-P", "-m", "mwapp.execution.guard_process", *arguments]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True, env=of_runs())
    started(process.pid)
    return process


def bury(process: subprocess.Popen[bytes]) -> None:
    """Close its pipe, and wait for its end."""
    with process:
        pass
    waited_for(process.pid)


def _follow(process: subprocess.Popen[bytes]) -> int:
    try:
        if process.stdin is not None:
            os.set_blocking(process.stdin.fileno(), False)
        return os.pidfd_open(process.pid)
    except OSError:  # no files left
        process.kill()
        bury(process)
        raise
