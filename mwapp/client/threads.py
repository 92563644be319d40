"""The client for programs without asyncio."""

import concurrent.futures
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, Unpack, overload

from mwapp.client.background import End
from mwapp.client.calls import Call, Options, call_of
from mwapp.client.handles import (
    Asking,
    Handle,
    Read,
    by_future,
    calls_of,
    cancelling,
    check_answered,
    check_done,
    ends,
    handles_of,
    late_error,
    named,
    seconds,
    stored,
    views,
)
from mwapp.core.protocol import REMOVE, RUN
from mwapp.handlers import Handler
from mwapp.status.overview import TaskView

P = ParamSpec("P")
R = TypeVar("R")


class Task(Handle[R]):
    """A submitted task. It needs the client that it came from to be open."""

    def __init__(self, client: "Client", name: str, read: Read[R]) -> None:
        super().__init__(name, read)
        self._client = client

    def result(self, timeout: float | None = None) -> R:
        """Wait until it has ended. What a handler has returned, or a command has written.

        Raises:
            TaskFailedError: it failed or was cancelled; ``end`` says how.
            TimedOutError: it has not ended within ``timeout`` seconds.
            NotFoundError: there is no such task (any more).
        """
        return self._result(self.wait(timeout))

    def wait(self, timeout: float | None = None) -> End:
        """Wait until it has ended, however it ends. Raises TimedOutError, NotFoundError."""
        return self._client.wait([self], timeout)[0]

    def done(self) -> bool:
        """Whether it has ended. Raises NotFoundError."""
        return self._end is not None or self.status().ended

    def status(self) -> TaskView:
        """Its state (queued, assigned, done, failed, cancelled), and who has it. Raises NotFoundError."""
        return self._client.status([self])[0]

    def cancel(self) -> None:
        """Ask that it be cancelled, and do not wait for that. See :meth:`Client.cancel`."""
        self._client.cancel([self])

    def rerun(self) -> None:
        """Run it again; it has ended. See :meth:`Client.rerun`."""
        self._client.rerun([self])

    def remove(self) -> None:
        """Remove it; it has ended. See :meth:`Client.remove`."""
        self._client.remove([self])


class Client(Asking):
    """One session with the ensemble, for any number of calls from any number of threads.

    Use it as a context manager, or close it. A process that was forked needs a client of its own.
    """

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the session. Whoever still waits gets ClosedError; submitted tasks are run all the same."""
        self._background.close()

    @overload
    def submit(self, command: str, /, **options: Unpack[Options]) -> Task[str]: ...

    @overload
    def submit(self, call: Call[R], /) -> Task[R]: ...

    @overload
    def submit(self, handler: Handler[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Task[R]: ...

    def submit(self, what: Any, /, *args: Any, **kwargs: Any) -> Task[Any]:
        """Store a task: a shell command with options, a function with @handler and its arguments, or a Call.

        When it returns, the task is stored, and will not be lost.

        Raises:
            BadInputError: it could never run; the message begins with the argument that is wrong.
            FullError: there are too many tasks.
            RefusedError: another task has the name, or the ensemble refuses it.
            UnreachableError: the ensemble does not answer, so whether it is stored is unknown.
        """
        return self._submit([call_of(what, args, kwargs)])[0]

    @overload
    def submit_many(self, calls: Iterable[str | Call[str]]) -> list[Task[str]]: ...

    @overload
    def submit_many(self, calls: Iterable[Call[R]]) -> list[Task[R]]: ...

    def submit_many(self, calls: Iterable[Any]) -> list[Task[Any]]:
        """Store many tasks at once, each a shell command or a Call.

        Raises what :meth:`submit` raises; if some tasks were stored, they are in the error's ``submitted``.
        """
        return self._submit(calls_of(calls))

    def _submit(self, calls: list[Call[Any]]) -> list[Task[Any]]:
        futures = self._store(calls)
        with cancelling(futures):
            concurrent.futures.wait(futures)
            return stored(calls, futures, self._task)

    def _task(self, name: str, read: Read[R]) -> Task[R]:
        return Task(self, name, read)

    @overload
    def task(self, name: str | int) -> Task[Any]: ...

    @overload
    def task(self, name: str | int, handler: Handler[..., R]) -> Task[R]: ...

    def task(self, name: str | int, handler: Handler[..., Any] | None = None) -> Task[Any]:  # noqa: ARG002 - for mypy alone
        """The task of this name or number, whoever submitted it. With ``handler`` mypy knows its result."""
        return self._task(*named(name))

    def wait(self, tasks: Iterable[Task[Any]], timeout: float | None = None) -> list[End]:
        """Wait until all have ended, however they end. Raises TimedOutError, NotFoundError."""
        listed = handles_of(tasks, Task)
        futures = self._await(listed)
        with cancelling(futures.values()):
            concurrent.futures.wait(futures.values(), seconds(timeout))
            return ends(listed, futures, timeout)

    def as_completed(self, tasks: Iterable[Task[R]], timeout: float | None = None) -> Iterator[Task[R]]:
        """Each task as soon as it has ended, however it ends. Raises TimedOutError."""
        return self._as_completed(handles_of(tasks, Task), seconds(timeout))

    def _as_completed(self, tasks: list[Task[R]], timeout: float | None) -> Iterator[Task[R]]:
        futures = self._await(tasks)
        waiting = by_future(futures)
        with cancelling(waiting):
            try:
                for future in concurrent.futures.as_completed(waiting, timeout):
                    check_answered(future)
                    yield waiting.pop(future)
            except TimeoutError:
                raise late_error(f"{len(waiting)} of {len(futures)} tasks", timeout) from None

    def cancel(self, tasks: Iterable[Task[Any]]) -> None:
        """Ask that all be cancelled.

        A task that has not begun will not run; a running one gets SIGTERM, two seconds later SIGKILL. One
        that is about to end may still end as done or failed: wait for it to see. Raises NotFoundError.
        """
        futures = self._cancel(handles_of(tasks, Task))
        with cancelling(futures):
            for future in futures:
                future.result()

    def rerun(self, tasks: Iterable[Task[Any]], timeout: float | None = None) -> None:
        """Run all again, which have ended. When it returns, ``result`` waits for their next end.

        Their retries start again at zero, the numbers of their attempts go on, and they begin at once.

        Raises:
            NotFoundError: there is no such task (any more).
            RefusedError: one has not ended. The others run again.
            TimedOutError: no master has done it within ``timeout`` seconds; the requests remain.
        """
        self._of_ended(RUN, tasks, timeout)

    def remove(self, tasks: Iterable[Task[Any]], timeout: float | None = None) -> None:
        """Remove all, which have ended, with their results: 20 s after each end at the earliest.

        Raises what :meth:`rerun` raises.
        """
        self._of_ended(REMOVE, tasks, timeout)

    def _of_ended(self, do: str, tasks: Iterable[Task[Any]], timeout: float | None) -> None:
        asked = self._ask_ended(handles_of(tasks, Task), do)
        with cancelling(asked.values()):
            concurrent.futures.wait(asked.values(), seconds(timeout))
            check_done(asked, timeout)

    def status(self, tasks: Iterable[Task[Any]]) -> list[TaskView]:
        """The state of each, and who has it. Raises NotFoundError."""
        listed = handles_of(tasks, Task)
        return views(listed, self._look(listed).result())
