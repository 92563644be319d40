"""Warm processes that run handlers: as many as run at once, each used again after a run that ended cleanly
and had no secret values.

Starting a Python process takes longer than most handlers do. So a run waits for a process that becomes free
or for a new one, whichever comes first. Use all of this only in the loop's thread.
"""

import json
import signal
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from mwapp.core.messages import Exited, Run
from mwapp.execution.control_groups import ControlGroups
from mwapp.execution.warm_process import WarmProcess

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, TimerHandle

# A process ends after this many runs, in case it leaks, or after this many seconds without a run.
MOST_RUNS = 5000
IDLE = 60.0

# How many processes may start at once. Beyond FEW processes, another starts only if a run has waited this
# long, seconds, so that few processes serve a stream of quick handlers, however many slots the worker has.
STARTING = 4
FEW = 16
START_ANOTHER_AFTER = 0.2


class HandlerPool:
    """The handlers that run or wait for a process; ``post`` gets their Exited."""

    def __init__(
        self,
        loop: "AbstractEventLoop",
        post: Callable[[Exited], None],
        environment: Mapping[str, str],
        output_limit: int,
        control_groups: ControlGroups | None = None,
    ) -> None:
        self._loop = loop
        self._each = environment, output_limit, self, control_groups
        self._post = post
        self._waiting: dict[int, tuple[bytes, float]] = {}  # the request, and since when; the oldest first
        self._processes: set[WarmProcess] = set()
        self._starting: set[WarmProcess] = set()
        self._idle: list[WarmProcess] = []  # the last used one is last
        self._again: TimerHandle | None = None

    @property
    def empty(self) -> bool:
        """Whether it has no run and no process."""
        return not self._waiting and not self._processes

    def start(self, run: Run) -> None:
        """Start a handler; its Exited follows, even if it cannot be started."""
        task = run.task
        request = {
            "run": run.run,
            "handler": task.handler,
            "argument": task.argument,
            "environment": dict(task.environment) | dict(run.environment),
            "secrets": bool(task.secrets),
            "directory": task.directory,
            "until": run.until,
        }
        try:
            self._waiting[run.run] = json.dumps(request).encode() + b"\n", self._loop.time()
        except RecursionError:
            self._post(Exited(run.run, None, reason="task field 'argument' is nested too deeply"))
        self._serve()

    def kill(self, number: int, grace: float = 0.0) -> None:
        """See :class:`~mwapp.core.messages.Kill`."""
        if self._waiting.pop(number, None) is not None:
            self._post(Exited(number, -signal.SIGKILL))
        for process in self._processes:
            if process.run == number:
                process.kill(grace)

    def kill_all(self) -> None:
        """Kill every handler and every process."""
        for number in list(self._waiting):
            self.kill(number)
        for process in self._processes:
            process.kill()

    # ------------------------------------------------------------ told by a process

    def over(self, exited: Exited) -> None:
        """A run is over."""
        self._post(exited)

    def free(self, process: WarmProcess) -> None:
        """It can run the next one."""
        self._starting.discard(process)
        if process.runs < MOST_RUNS:
            self._idle.append(process)
        else:
            process.dismiss()
        self._serve()
        if self._idle and self._again is None:
            self._again = self._loop.call_later(IDLE / 4, self._look_again)

    def useless(self, process: WarmProcess) -> None:
        """It cannot run anything, even if it seemed free."""
        if process in self._idle:
            self._idle.remove(process)

    def gone(self, process: WarmProcess, why: str | None) -> None:
        """It has ended; ``why`` if it never became ready."""
        self.useless(process)
        self._processes.discard(process)
        self._starting.discard(process)
        if why is not None and self._waiting:
            self._fail(why)
        self._serve()

    # ------------------------------------------------------------

    def _serve(self) -> None:
        while self._waiting and self._idle:
            number = next(iter(self._waiting))
            request, _ = self._waiting.pop(number)
            self._idle.pop().begin(number, request)
        while self._waiting and self._may_start():
            try:
                process = WarmProcess(self._loop, *self._each)
                self._processes.add(process)
                self._starting.add(process)
            except OSError as error:
                self._fail(f"no process for the handler: {error}")

    def _may_start(self) -> bool:
        if len(self._starting) >= min(len(self._waiting), STARTING):
            return False
        _, since = next(iter(self._waiting.values()))
        left = since + START_ANOTHER_AFTER - self._loop.time()
        if len(self._processes) >= FEW and left > 0:
            if self._again is not None:
                self._again.cancel()
            self._again = self._loop.call_later(left, self._look_again)
            return False
        return True

    def _look_again(self) -> None:
        self._again = None
        now = self._loop.time()
        for process in [process for process in self._idle if now - process.idle_since > IDLE]:
            self._idle.remove(process)
            process.dismiss()
        self._serve()
        if self._idle and self._again is None:
            self._again = self._loop.call_later(IDLE / 4, self._look_again)

    def _fail(self, why: str) -> None:
        number = next(iter(self._waiting))
        del self._waiting[number]
        self._post(Exited(number, None, reason=why))
