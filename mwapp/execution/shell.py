"""Shell commands, each in a process group of its own."""

import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from mwapp import clock
from mwapp.core.messages import Exited, Run
from mwapp.execution.control_groups import ControlGroups
from mwapp.execution.output import Output
from mwapp.execution.process_group import Group

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop


class Commands:
    """The commands that run; ``post`` gets their Exited. Use it only in the loop's thread."""

    def __init__(
        self,
        loop: "AbstractEventLoop",
        post: Callable[[Exited], None],
        environment: Mapping[str, str],
        output_limit: int,
        control_groups: ControlGroups | None = None,
    ) -> None:
        self._loop = loop
        self._post = post
        self._limit = output_limit
        self._control_groups = control_groups
        self._environment = dict(environment)
        self._runs: dict[int, Group | None] = {}  # None: not started yet

    @property
    def empty(self) -> bool:
        """Whether none runs."""
        return not self._runs

    def start(self, run: Run) -> None:
        """Start a command; its Exited follows, even if it cannot be started."""
        self._runs[run.run] = None
        if run.task.directory is None:
            self._start(run)
        else:
            # Looking at a directory of a dead file server takes forever, so a separate thread does it. Only
            # then do we start the process; otherwise nothing else of ours would run meanwhile.
            look = threading.Thread(target=self._look, args=(run, run.task.directory), daemon=True)
            look.start()

    def kill(self, number: int, grace: float = 0.0) -> None:
        """See :class:`~mwapp.core.messages.Kill`."""
        group = self._runs.get(number)
        if group is not None:
            group.kill(grace)
        elif number in self._runs:
            self._end(Exited(number, -signal.SIGKILL))

    def kill_all(self) -> None:
        """Kill every command."""
        for number in list(self._runs):
            self.kill(number)

    def _look(self, run: Run, directory: str) -> None:
        problem = None
        try:
            os.close(os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        except PermissionError:
            pass  # what matters is whether it can be entered
        except (OSError, ValueError) as error:
            problem = error
        with suppress(RuntimeError):  # the loop is closed: nobody needs it any more
            self._loop.call_soon_threadsafe(self._start, run, problem)

    def _start(self, run: Run, problem: Exception | None = None) -> None:
        if run.run not in self._runs:  # killed meanwhile
            return
        task, began = run.task, time.monotonic()
        output = Output(self._limit)

        def ended() -> None:
            seconds = time.monotonic() - began
            self._end(Exited(run.run, group.code, output.value(), output.truncated, seconds))

        try:
            if problem is not None:
                raise problem
            command, control_group = task.command or "", None
            if self._control_groups is not None:
                control_group = self._control_groups.take()
                command = control_group.joining(command)
            if clock.now() >= run.until:  # as late as can be: all before may have taken long
                if control_group is not None:
                    control_group.release()
                self._end(Exited(run.run, None, begun=False))
                return
            group = self._runs[run.run] = Group(
                self._loop,
                ["/bin/sh", "-c", command],
                self._environment | dict(task.environment) | dict(run.environment),
                output,
                ended,
                directory=task.directory,
                control_group=control_group,
            )
        except (OSError, ValueError) as error:
            self._end(Exited(run.run, None, reason=why_not(error, task.directory)))

    def _end(self, exited: Exited) -> None:
        if self._runs.pop(exited.run, self) is not self:
            self._post(exited)


def why_not(error: Exception, directory: str | None) -> str:
    """Why it could not be started."""
    if directory is not None and isinstance(error, OSError) and error.filename == directory:
        return f"task field 'directory': cannot run in {directory}: {error.strerror}"
    return str(error)
