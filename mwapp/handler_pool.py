"""Warm processes that run handlers: as many as run at once, each used again after a run that ended cleanly.

To start a Python process takes longer than most handlers do. So a run waits for whichever comes first, a
process that has become free or a new one. All of this is used in the loop's thread only.
"""

import json
import logging
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mwapp.core.messages import Exited, Run
from mwapp.processes import Group, Output, own_environment

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle

log = logging.getLogger(__name__)

# A process is replaced after so many runs, whatever leaks in it, or when it had none for so long, seconds.
MOST_RUNS = 5000
IDLE = 60.0
# One that is replaced may close what it has open, seconds.
FAREWELL = 5.0

# So many are started at once. Beyond FEW another is started only if a run has waited for PATIENCE seconds:
# a stream of quick handlers is served by few processes, however many slots the worker has.
STARTING = 4
FEW = 16
PATIENCE = 0.2

# A reply has no output in it.
MOST_REPLY = 64 * 1024


class HandlerPool:
    """The handlers that run or wait for a process; ``post`` gets their Exited."""

    def __init__(self, loop: "AbstractEventLoop", post: Callable[[Exited], None], output_limit: int) -> None:
        self.loop = loop
        self.limit = output_limit
        self._post = post
        self._waiting: dict[int, tuple[bytes, float]] = {}  # the request, and since when; the oldest first
        self._processes: set[_Process] = set()
        self._starting: set[_Process] = set()
        self._idle: list[_Process] = []  # the one that was used last is the last
        self._again: TimerHandle | None = None
        self._closed = False

    @property
    def empty(self) -> bool:
        """Whether there is no run and no process."""
        return not self._waiting and not self._processes

    def start(self, run: Run) -> None:
        """Start a handler; its Exited follows, also if it cannot be started."""
        task = run.task
        request = {
            "handler": task.handler,
            "argument": task.argument,
            "environment": dict(task.environment) | dict(run.environment),
            "directory": task.directory,
        }
        try:
            self._waiting[run.run] = json.dumps(request).encode() + b"\n", self.loop.time()
        except RecursionError:
            self._post(Exited(run.run, None, b"task field 'argument' is nested too deeply"))
        self._serve()

    def kill(self, number: int, grace: float = 0.0) -> None:
        """See :class:`~mwapp.core.messages.Kill`."""
        if self._waiting.pop(number, None) is not None:
            self._post(Exited(number, -signal.SIGKILL))
        for process in self._processes:
            if process.run == number:
                process.kill(grace)

    def kill_all(self) -> None:
        """Kill every handler and every process, for good."""
        self._closed = True
        for number in list(self._waiting):
            self.kill(number)
        for process in self._processes:
            process.kill()

    # ------------------------------------------------------------ told by a process

    def over(self, exited: Exited) -> None:
        """A run is over."""
        self._post(exited)

    def free(self, process: "_Process") -> None:
        """It can run the next."""
        self._starting.discard(process)
        self._idle.append(process)
        self._serve()
        if self._idle and self._again is None:
            self._again = self.loop.call_later(IDLE / 4, self._look_again)

    def useless(self, process: "_Process") -> None:
        """It cannot run anything, even if it seemed free."""
        if process in self._idle:
            self._idle.remove(process)

    def gone(self, process: "_Process", why: str | None) -> None:
        """It has ended; ``why`` if it never got ready."""
        self.useless(process)
        self._processes.discard(process)
        self._starting.discard(process)
        if why is not None and self._waiting and not self._closed:
            self._fail(why)
        self._serve()

    # ------------------------------------------------------------

    def _serve(self) -> None:
        while self._waiting and self._idle:
            number = next(iter(self._waiting))
            request, _ = self._waiting.pop(number)
            self._idle.pop().begin(number, request)
        while self._waiting and not self._closed and self._may_start():
            try:
                process = _Process(self)
                self._processes.add(process)
                self._starting.add(process)
            except OSError as error:
                self._fail(f"no process for the handler: {error}")

    def _may_start(self) -> bool:
        if len(self._starting) >= min(len(self._waiting), STARTING):
            return False
        _, since = next(iter(self._waiting.values()))
        left = since + PATIENCE - self.loop.time()
        if len(self._processes) >= FEW and left > 0:
            if self._again is not None:
                self._again.cancel()
            self._again = self.loop.call_later(left, self._look_again)
            return False
        return True

    def _look_again(self) -> None:
        self._again = None
        now = self.loop.time()
        for process in [process for process in self._idle if now - process.idle_since > IDLE]:
            self._idle.remove(process)
            process.dismiss()
        self._serve()
        if self._idle and self._again is None:
            self._again = self.loop.call_later(IDLE / 4, self._look_again)

    def _fail(self, why: str) -> None:
        number = next(iter(self._waiting))
        del self._waiting[number]
        self._post(Exited(number, None, why.encode(errors="replace")))


class _Process:
    """One process that runs handlers, and the channel to it."""

    def __init__(self, pool: HandlerPool) -> None:
        """Start it. Raises OSError."""
        self.run: int | None = None  # the run's number
        self.idle_since = 0.0
        self._pool = pool
        self._ready = False
        self._runs = 0
        self._began = 0.0
        self._killed = False
        self._answer: Exited | None = None  # given once the group is gone
        self._received = bytearray()
        self._unsent = bytearray()
        self._channel, theirs = socket.socketpair()
        self._channel.setblocking(False)
        with theirs:
            number = theirs.fileno()
            # -P: not whatever lies in the daemon's directory.
            arguments = [sys.executable, "-P", "-m", "mwapp.handler_process", str(number)]
            output = Output(pool.limit)
            try:
                self._group = Group(
                    pool.loop, arguments, own_environment(), output, self._ended, pass_fds=[number]
                )
            except OSError:
                self._channel.close()
                raise
        pool.loop.add_reader(self._channel, self._receive)

    def begin(self, number: int, request: bytes) -> None:
        """Run a handler."""
        self.run = number
        self._runs += 1
        self._began = time.monotonic()
        self._group.output = Output(self._pool.limit)
        self._unsent += request
        self._send()

    def kill(self, grace: float = 0.0) -> None:
        """Kill it; it is not used again."""
        self._killed = True
        self._group.kill(grace)

    def dismiss(self) -> None:
        """Let it end by itself, with some time to do so."""
        self._close_channel()
        self._pool.loop.call_later(FAREWELL, self._group.kill)

    # ------------------------------------------------------------ channel

    def _send(self) -> None:
        try:
            del self._unsent[: self._channel.send(self._unsent)]
        except BlockingIOError:
            pass
        except OSError:  # it has ended, as we shall hear
            self._unsent.clear()
        if self._unsent:
            self._pool.loop.add_writer(self._channel, self._send_the_rest)

    def _send_the_rest(self) -> None:
        self._pool.loop.remove_writer(self._channel)
        self._send()

    def _receive(self) -> None:
        try:
            data = self._channel.recv(MOST_REPLY)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._received += data
        line, end, rest = self._received.partition(b"\n")
        expected = self.run is not None or not self._ready
        if expected and end and not rest and (reply := _read(line)) is not None:
            self._received.clear()
            self._replied(reply)
        elif not data or end or len(self._received) > MOST_REPLY:
            # It has ended, or a handler has got hold of the channel.
            self._pool.loop.remove_reader(self._channel)
            self._pool.useless(self)
            self._group.kill()

    def _close_channel(self) -> None:
        if self._channel.fileno() >= 0:
            self._pool.loop.remove_reader(self._channel)
            self._pool.loop.remove_writer(self._channel)
            self._channel.close()

    # ------------------------------------------------------------ what becomes of it

    def _replied(self, reply: dict[str, Any]) -> None:
        if self.run is None:
            self._ready = True
            self._free()
            return
        self._group.read_all()
        exited = self._exited(reply.get("code"), reply.get("reason"))
        if self._killed or reply.get("clean") is not True:
            self._answer = exited
            self.kill()
            return
        self.run = None
        self._pool.over(exited)
        if self._runs >= MOST_RUNS:
            self.dismiss()
        else:
            self._free()

    def _free(self) -> None:
        self.idle_since = self._pool.loop.time()
        self._pool.free(self)

    def _exited(self, code: object, reason: object = None) -> Exited:
        output = self._group.output
        seconds = time.monotonic() - self._began
        number = self.run or 0
        if isinstance(code, int):
            return Exited(number, code, output.value(), output.truncated, seconds)
        return Exited(number, None, str(reason).encode(errors="replace"), seconds=seconds)

    def _ended(self) -> None:
        self._close_channel()
        if self.run is not None:
            self._pool.over(self._answer or self._lost())
        why = None
        if not self._ready and not self._killed:
            said = self._group.output.value().decode(errors="replace").strip()
            why = f"no process for the handler, exit status {self._group.code}: {said[-1000:]}"
        self._pool.gone(self, why)

    def _lost(self) -> Exited:
        """It ended in the midst of the run."""
        code = self._group.code
        if code == 0:
            code = 1
            self._group.output.write(b"the handler ended its process before it returned\n")
        return self._exited(code)


def _read(line: bytearray) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
