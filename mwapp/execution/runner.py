"""Runs the commands and handlers of tasks and of shards, and reports when one is over.

One thread with an event loop follows all of them, so a thousand need no more threads than one.
"""

import logging
import os
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from mwapp.core.messages import Exited, Run, ShardCommand, ShardSays
from mwapp.core.protocol import MAX_OUTPUT_BYTES
from mwapp.execution.control_groups import ControlGroups
from mwapp.execution.environment import of_runs
from mwapp.execution.guard import Guard
from mwapp.execution.guard_process import LAG
from mwapp.execution.handler_pool import HandlerPool
from mwapp.execution.process_group import GROUP_END, LAST_OUTPUT, allow_many_files
from mwapp.execution.processes import adopt_orphans
from mwapp.execution.shards import Shards
from mwapp.execution.shell import Commands

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

log = logging.getLogger(__name__)

# At the end, killed runs get this long to be gone, seconds.
THREAD_END = GROUP_END + LAST_OUTPUT + 0.5


class Runner:
    """What is running. ``post`` gets each task's Exited, and what shards say; it must be thread-safe. With
    ``control_groups``, each runs in one of its own. The ``given`` variables are for what runs, not for this
    process."""

    def __init__(
        self,
        post: Callable[[Exited | ShardSays], None],
        output_limit: int = MAX_OUTPUT_BYTES,
        control_groups: ControlGroups | None = None,
        given: Mapping[str, str] | None = None,
    ) -> None:
        self._post = post
        self._limit = output_limit
        self._control_groups = control_groups
        self._given = dict(given or {})
        self._running: set[int] = set()  # started, and not answered
        self._loop: AbstractEventLoop | None = None
        self._closing = False
        self._lease = 0.0  # as it was told last
        self._guard: Guard | None = None

    def open(self) -> None:
        """Have all that runs need, so that the first one need not wait for it."""
        self._ensure_open()

    def start(self, run: Run) -> None:
        """Start a command or a handler; returns at once. Its Exited follows, even if it cannot be started."""
        self._ensure_open()
        self._call(self._start, run)

    def kill(self, run: int, grace: float = 0.0) -> None:
        """See :class:`~mwapp.core.messages.Kill`; does nothing if there is no such run."""
        self._call(self._kill, run, grace)

    def tell_shard(self, command: ShardCommand) -> None:
        """Carry it out; returns at once. Does nothing if that handler is closed."""
        self._ensure_open()
        self._call(self._tell_shard, command)

    def keep(self, lease: float) -> None:
        """The session is sure to live until then, on :mod:`mwapp.clock`. If this process stands still until
        then, all that runs is killed. Tell it often: it costs nothing."""
        if lease >= self._lease + LAG:
            self._lease = lease
            guard = self._guard  # which its thread may take away at any time
            if guard is not None:  # at once: that thread may be held up, as by a dead disk
                guard.keep(lease)

    def kill_all(self) -> None:
        """Kill all that runs, at the end of the process, and wait until it is gone."""
        if self._loop is not None:
            self._call(self._close)
            self._thread.join(THREAD_END)

    def _ensure_open(self) -> None:
        if self._loop is not None:
            return
        import asyncio

        allow_many_files()
        adopt_orphans()
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(self._broken)
        shared = of_runs(os.environ | self._given), self._limit, self._control_groups
        self._commands = Commands(self._loop, self._ended, *shared)
        self._handlers = HandlerPool(self._loop, self._ended, *shared)
        self._shards = Shards(self._loop, self._post, *shared)
        self._thread = threading.Thread(target=self._follow, args=(self._loop,), name="runner", daemon=True)
        self._thread.start()

    def _call(self, function: Callable[..., object], *arguments: Any) -> None:
        if self._loop is None or self._loop.is_closed():
            return
        if threading.get_ident() == self._thread.ident:
            function(*arguments)
        else:
            self._loop.call_soon_threadsafe(function, *arguments)

    # ------------------------------------------------------------ in the thread

    def _follow(self, loop: "AbstractEventLoop") -> None:
        try:
            guard = self._guard = Guard(loop, self._control_groups)
            guard.keep(self._lease)
            loop.run_forever()
            guard.close()
        finally:
            self._guard = None  # who follows no runs keeps none alive
            loop.close()
            if self._control_groups is not None:
                self._control_groups.close()

    def _start(self, run: Run) -> None:
        self._running.add(run.run)
        if self._closing:  # all are killed already
            self._ended(Exited(run.run, -signal.SIGKILL))
        elif run.task.handler is not None:
            self._handlers.start(run)
        else:
            self._commands.start(run)

    def _tell_shard(self, command: ShardCommand) -> None:
        if not self._closing:  # all are killed already
            self._shards.carry_out(command)

    def _kill(self, run: int, grace: float) -> None:
        self._commands.kill(run, grace)
        self._handlers.kill(run, grace)

    def _ended(self, exited: Exited) -> None:
        if exited.run in self._running:
            self._running.remove(exited.run)
            self._post(exited)

    def _close(self) -> None:
        """Kill, and look again until all are gone."""
        assert self._loop is not None  # noqa: S101 - we are in it; tells mypy
        if not self._closing:
            self._closing = True
            self._commands.kill_all()
            self._handlers.kill_all()
            self._shards.kill_all()
        if self._commands.empty and self._handlers.empty and self._shards.empty:
            self._loop.stop()
        else:
            self._loop.call_later(0.005, self._close)

    def _broken(self, _loop: "AbstractEventLoop", context: dict[str, Any]) -> None:
        """A defect in an unknown place. The core waits for answers, and nothing may continue without its
        knowledge."""
        problem = context.get("exception") or context["message"]
        log.error("lost sight of what runs: %s", problem, exc_info=context.get("exception"))
        lost, self._running = self._running, set()  # so that nothing else is told of them
        for run in lost:
            with suppress(OSError):  # each is told
                self._kill(run, 0.0)
            self._post(Exited(run, None, reason=f"mwapp lost sight of it: {problem}"))
        self._shards.lose(f"mwapp lost sight of it: {problem}")
