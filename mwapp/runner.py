"""Runs shell commands, each in a process group of its own, and tells when one is over.

A command is over when its shell has exited. Whatever it left behind in its group is killed then; what
left the group (``setsid``) is not waited for, even if it keeps the output open.
"""

import logging
import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from mwapp.core.messages import Exited, Run
from mwapp.core.protocol import MAX_OUTPUT_BYTES

log = logging.getLogger(__name__)

# How long to wait, once the shell has exited and its group was killed, for the last output, and for the
# kernel to have done with the group (a process stuck on a dead disk would take for ever), seconds.
LAST_OUTPUT = 0.2
GROUP_END = 1.0

# The daemon's talk with systemd is no business of what it runs.
_PRIVATE = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


class Output:
    """Keeps the beginning and the end of what was written, at most ``limit`` bytes and a mark between."""

    def __init__(self, limit: int = MAX_OUTPUT_BYTES) -> None:
        self._half = limit // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._left_out = 0

    def write(self, data: bytes) -> None:
        """Add what came next."""
        room = self._half - len(self._head)
        self._head += data[:room]
        self._tail += data[room:]
        excess = len(self._tail) - self._half
        if excess > 0:
            del self._tail[:excess]
            self._left_out += excess

    @property
    def truncated(self) -> bool:
        """Whether anything was left out."""
        return self._left_out > 0

    def value(self) -> bytes:
        """What was kept."""
        mark = b"\n[... %d bytes left out ...]\n" % self._left_out if self._left_out else b""
        return bytes(self._head + mark + self._tail)


class Runner:
    """The commands that are running. ``post`` gets their Exited and must be thread-safe."""

    def __init__(self, post: Callable[[Exited], None], output_limit: int = MAX_OUTPUT_BYTES) -> None:
        self._post = post
        self._limit = output_limit
        self._lock = threading.Lock()
        self._running: dict[int, _Running] = {}

    def start(self, command: Run) -> None:
        """Start a command; returns at once. Its Exited follows, also if it cannot be started."""
        running = _Running(command, self._limit)
        with self._lock:
            self._running[command.run] = running
        threading.Thread(target=self._follow, args=(running,), name=f"run-{command.run}", daemon=True).start()

    def kill(self, run: int) -> None:
        """SIGKILL a command and its group now; does nothing if there is no such run."""
        with self._lock:
            running = self._running.get(run)
        if running is not None:
            running.kill()

    def kill_all(self) -> None:
        """Kill every command, at the end of the process."""
        for run in list(self._running):
            self.kill(run)

    def _follow(self, running: "_Running") -> None:
        try:
            exited = running.follow()
        except Exception as problem:  # whatever it is, the core waits for an answer
            log.exception("lost sight of a command")
            running.kill()
            exited = Exited(running.number, None, f"mwapp lost sight of it: {problem}".encode())
        with self._lock:
            del self._running[running.number]
        self._post(exited)


class _Running:
    """One command, followed by a thread of its own from its start to its end."""

    def __init__(self, command: Run, limit: int) -> None:
        self.number = command.run
        self._command = command
        self._output = Output(limit)
        self._lock = threading.Lock()
        self._group: int | None = None  # set while the group's number cannot have been given to others
        self._killed = False

    def kill(self) -> None:
        with self._lock:
            self._killed = True
            self._kill_group()

    def follow(self) -> Exited:
        started = time.monotonic()
        try:
            process = self._start()
        except (OSError, ValueError) as problem:
            return Exited(self.number, None, str(problem).encode())
        if process is None:
            return Exited(self.number, -signal.SIGKILL)
        assert process.stdout is not None  # noqa: S101 - it was asked for; tells mypy
        with process.stdout:
            self._read_until_exit(process.pid, process.stdout.fileno())
            # The shell is a zombie until wait(): its number, which is the group's, stays ours.
            with self._lock:
                self._kill_group()
                group, self._group = self._group, None
                process.wait()
            self._read_the_rest(process.stdout.fileno())
        _await_group(group)
        seconds = time.monotonic() - started
        output = self._output
        return Exited(self.number, process.returncode, output.value(), output.truncated, seconds)

    def _start(self) -> subprocess.Popen[bytes] | None:
        environment = {k: v for k, v in os.environ.items() if k not in _PRIVATE}
        environment |= self._command.environment
        with self._lock:
            if self._killed:
                return None
            process = subprocess.Popen(
                ["/bin/sh", "-c", self._command.command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                bufsize=0,
                start_new_session=True,
                env=environment,
            )
            self._group = process.pid
            return process

    def _kill_group(self) -> None:
        if self._group is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._group, signal.SIGKILL)

    def _read_until_exit(self, pid: int, pipe: int) -> None:
        exit_fd = os.pidfd_open(pid)
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(exit_fd, selectors.EVENT_READ)
                selector.register(pipe, selectors.EVENT_READ)
                while True:
                    ready = {key.fd for key, _ in selector.select()}
                    if pipe in ready and not self._read(pipe):
                        selector.unregister(pipe)
                    elif exit_fd in ready:
                        return
        finally:
            os.close(exit_fd)

    def _read_the_rest(self, pipe: int) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            end = time.monotonic() + LAST_OUTPUT
            while (left := end - time.monotonic()) > 0 and selector.select(left) and self._read(pipe):
                pass

    def _read(self, pipe: int) -> bool:
        data = os.read(pipe, 64 * 1024)
        self._output.write(data)
        return bool(data)


def _await_group(group: int | None) -> None:
    """Wait for the kernel to have done with a killed group."""
    end = time.monotonic() + GROUP_END
    pause = 0.001
    while group is not None and time.monotonic() < end and _is_there(group):
        # What nobody reaps (a container without init) is dead all the same; finding that out costs more.
        if pause > 0.01 and not any(_members(group)):
            return
        time.sleep(pause)
        pause = min(2 * pause, 0.05)


def _is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def _members(group: int) -> Iterator[int]:
    """The processes of the group that are not dead."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has just ended
            state, _parent, of = stat.read_text().rpartition(")")[2].split()[:3]
            if int(of) == group and state not in "ZX":
                yield int(stat.parent.name)
