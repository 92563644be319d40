"""One session on a thread of its own, for callers on all others: what clients in Python have in common.

A caller gets a future for each task. When all futures of a call are done or cancelled, what the loop did for
them ends. The parts of the core below are those of the command line, so lost replies are resolved in the same
way.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

from mwapp.core.again import NO_SUCH_TASK, AskEnded
from mwapp.core.client import Cancel, ClientPart, Refusal, Submit
from mwapp.core.protocol import Outcome
from mwapp.core.session import Callback, Process, Scope
from mwapp.core.task import Task
from mwapp.core.wait import Wait
from mwapp.errors import ClosedError, FullError, MwappError, NotFoundError, RefusedError, UnreachableError
from mwapp.loop import LONGEST_TURN, Loop, silent
from mwapp.status.ending import explained
from mwapp.status.overview import Look
from mwapp.zookeeper.connect_string import Servers

log = logging.getLogger(__name__)

T = TypeVar("T")

# Session time-out, seconds. A client creates no ephemerals. If the reply to a submission is lost, it must
# find out what became of it (UNDER_WAY in core/client.py) before the task can be removed (Retention.least in
# core/retention.py).
CLIENT_SESSION_SECONDS = 4.0
# What to do if there are too many tasks.
LATER = "Submit again later: finished tasks are removed after a while (mwapp master --retention, --keep)"
# How often to see whether the ensemble is silent for too long: this part of the time it may be.
LOOKS = 4


@dataclass(frozen=True, slots=True)
class End:
    """How a task ended."""

    task: str
    state: str  # done, failed, cancelled
    outcome: Outcome


class Stored(NamedTuple):
    """A task that was submitted."""

    task: str
    existed: bool | None  # it was submitted earlier; None: perhaps, or by this client, which lost the reply


class Background:
    """A session, and what callers asked of it. Its methods are for every thread and return at once."""

    def __init__(self, servers: Servers, connect_timeout: float, setting: str = "connect") -> None:
        """``setting``: what the user calls ``servers``."""
        self._servers = servers
        self._connect_timeout = connect_timeout
        self._setting = setting
        self._owner = os.getpid()
        self._lock = threading.Lock()  # for what follows
        self._open: dict[Future[Any], float] = {}  # not done; when it was asked for
        self._closed: str | None = None  # why nothing can be asked for any more
        # The rest is the loop's thread's.
        self._heard = time.monotonic()  # of the ensemble
        self._telling = threading.Thread()  # tells who waits that nobody answers, and why
        self._process = Process()
        self._loop = Loop(self._process, servers, CLIENT_SESSION_SECONDS, on_turn=self._look_after)
        self._loop.longest_turn = min(LONGEST_TURN, connect_timeout / LOOKS)
        self._thread = threading.Thread(target=self._run, name="mwapp", daemon=True)
        self._thread.start()

    @property
    def usable(self) -> bool:
        """Whether the session is there, so the ensemble answers."""
        return self._process.usable

    # ------------------------------------------------------------ what can be asked for

    def converse(self, build: Callable[[Process, Callback], ClientPart]) -> Future[None]:
        """Have a part of the core at work until it calls the function that ``build`` was given."""

        def begin(futures: list[Future[None]]) -> None:
            self._start(build(self._process, partial(_succeed, futures[0], None)), futures)

        return self._ask(1, begin)[0]

    def ask(self, build: Callable[[Process, Callable[[T], None]], ClientPart]) -> "Future[T]":
        """The same; what it calls that function with is the result."""

        def begin(futures: list[Future[T]]) -> None:
            self._start(build(self._process, partial(_succeed, futures[0])), futures)

        return self._ask(1, begin)[0]

    def submit(
        self,
        tasks: Sequence[Task],
        names: Mapping[int, str],
        max_tasks: int,
        secrets: Mapping[int, bytes] | None = None,
    ) -> list[Future[Stored]]:
        """Store tasks; ``names`` that were chosen, and secret values, by index."""
        there: dict[int, bool | None] = {}

        def existed(index: int, *, earlier: bool) -> None:
            there[index] = earlier or None

        def begin(futures: list[Future[Stored]]) -> None:
            part = Submit(
                self._process,
                tasks,
                names=names,
                secrets=secrets,
                max_tasks=max_tasks,
                accepted=lambda index, name: _succeed(futures[index], Stored(name, there.get(index, False))),
                refused=lambda index, refusal: _fail(futures[index], _refused(refusal)),
                finished=lambda: None,
                existed=existed,
            )
            self._start(part, futures)

        return self._ask(len(tasks), begin)

    def wait(self, names: Sequence[str]) -> list[Future[End]]:
        """Wait for the ends of these tasks, each named once."""

        def begin(futures: list[Future[End]]) -> None:
            waiting = dict(zip(names, futures, strict=True))

            def ended(name: str, state: str | None, outcome: Outcome | None) -> None:
                if state is None:
                    _fail(waiting[name], no_such_task(name))
                else:
                    _succeed(waiting[name], End(name, state, explained(outcome or Outcome())))

            few = len(names) <= self._process.limits.watched  # they are watched at once
            part = Wait(self._process, [] if few else names, ended=ended, finished=lambda: None)
            self._start(part, futures)
            for name in names if few else ():
                part.add(name)

        return self._ask(len(names), begin)

    def cancel(self, names: Sequence[str]) -> list[Future[None]]:
        """Store requests to cancel these tasks, each named once."""

        def begin(futures: list[Future[None]]) -> None:
            asking = dict(zip(names, futures, strict=True))

            def asked(name: str, known: bool) -> None:
                if known:
                    _succeed(asking[name], None)
                else:
                    _fail(asking[name], no_such_task(name))

            self._start(Cancel(self._process, names, asked=asked, finished=lambda: None), futures)

        return self._ask(len(names), begin)

    def ask_ended(self, names: Sequence[str], do: str) -> list[Future[None]]:
        """Have these tasks, each named once, which have ended, run again or removed (RUN, REMOVE)."""

        def begin(futures: list[Future[None]]) -> None:
            asking = dict(zip(names, futures, strict=True))

            def told(name: str, problem: str | None) -> None:
                if problem is None:
                    _succeed(asking[name], None)
                elif problem == NO_SUCH_TASK:
                    _fail(asking[name], no_such_task(name))
                else:
                    _fail(asking[name], RefusedError(f"{name}: {problem}"))

            self._start(AskEnded(self._process, names, do, told=told, finished=lambda: None), futures)

        return self._ask(len(names), begin)

    def look(self, read: Callable[[Scope, Callable[[T], None]], None]) -> "Future[T]":
        """Read something, with a function of mwapp.status.overview."""

        def begin(futures: list[Future[T]]) -> None:
            then = partial(_succeed, futures[0])
            self._start(Look(self._process, lambda scope: read(scope, then)), futures)

        return self._ask(1, begin)[0]

    def close(self) -> None:
        """End the session, and fail what is open. In a process that was forked there is nothing to end."""
        if os.getpid() == self._owner:
            self._loop.abort()
            self._thread.join()

    # ------------------------------------------------------------ on a caller's thread

    def _ask(self, count: int, begin: Callable[[list[Future[T]]], None]) -> list[Future[T]]:
        if os.getpid() != self._owner:  # before the lock, which another thread may have held then
            raise ClosedError(
                f"this client belongs to process {self._owner}, and a fork does not copy its connection: "
                "make a new client in this process"
            )
        futures: list[Future[T]] = [Future() for _ in range(count)]
        with self._lock:
            if self._closed is not None:
                raise ClosedError(self._closed)
            now = time.monotonic()
            for future in futures:
                self._open[future] = now
                future.add_done_callback(self._forget)
            if futures:
                self._loop.call(lambda: begin(futures))
        return futures

    def _forget(self, future: Future[Any]) -> None:
        self._open.pop(future, None)

    # ------------------------------------------------------------ on the loop's thread

    def _run(self) -> None:
        closed = "this client is closed: make a new one"
        try:
            self._loop.run()
        except Exception as problem:
            log.exception("a defect in mwapp has ended a client")
            closed = f"a defect in mwapp has ended this client: {problem!r}"
        with self._lock:
            self._closed = closed
        for future in list(self._open):
            _fail(future, ClosedError(closed))

    def _start(self, part: ClientPart, futures: Iterable[Future[Any]]) -> None:
        """The part ends with the last of the futures, on whatever thread that is cancelled."""
        left = dict.fromkeys(futures)

        def done(future: Future[Any]) -> None:
            left.pop(future, None)
            if not left:
                self._loop.call(part.stop)

        for future in list(left):
            future.add_done_callback(done)
        if self._process.usable:
            part.connected()

    def _look_after(self) -> None:
        """After every turn: has the ensemble been silent for too long?"""
        now = time.monotonic()
        if self._process.usable:
            self._heard = now
        elif refused := self._loop.refused:
            for future in list(self._open):
                _fail(future, UnreachableError(f"{self._setting} {refused}"))
        elif now - self._heard >= self._connect_timeout and not self._telling.is_alive():
            late = [
                future for future, asked in list(self._open.items()) if now - asked >= self._connect_timeout
            ]
            if late:
                self._find_out(late)

    def _find_out(self, late: list[Future[Any]]) -> None:
        self._telling = threading.Thread(target=self._tell, args=(late,), name="mwapp-why", daemon=True)
        try:
            self._telling.start()
        except RuntimeError:  # there can be no more threads
            self._tell(late)

    def _tell(self, late: list[Future[Any]]) -> None:
        """Why nobody has answered. To find that out takes seconds, so it has a thread of its own: neither the
        loop nor close() waits for it."""
        why = silent(self._setting, self._servers, self._connect_timeout)
        if self._process.usable:  # it has answered meanwhile
            return
        for future in late:
            _fail(future, UnreachableError(why))


def no_such_task(name: str) -> NotFoundError:
    """Nobody has submitted it, or it has been removed."""
    return NotFoundError(
        f"no such task: {name}; finished tasks are removed after a while (mwapp master --retention, --keep)"
    )


def _refused(refusal: Refusal) -> MwappError:
    if refusal.full:
        return FullError(f"not submitted: {refusal.reason} (max_tasks). {LATER}")
    return RefusedError(f"not submitted: {refusal.reason}")


# A future may be cancelled at any moment, by whoever has it.


def _succeed(future: Future[T], result: T) -> None:
    with suppress(InvalidStateError):
        future.set_result(result)


def _fail(future: Future[Any], problem: MwappError) -> None:
    with suppress(InvalidStateError):
        future.set_exception(problem)
