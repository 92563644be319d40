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
    check_answered_all,
    check_done,
    ends,
    handles_of,
    left,
    limit_of,
    named,
    seconds,
    stored,
    telling,
    views,
)
from mwapp.client.tables import TableHandle, TableOptions, Tables, carry_out, table_of
from mwapp.core.protocol import REMOVE, RUN
from mwapp.handlers import Handler
from mwapp.status.overview import TaskView
from mwapp.status.shards import ShardState, TableState

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

    def done(self, timeout: float | None = None) -> bool:
        """Whether it has ended. Raises TimedOutError, NotFoundError."""
        return self._end is not None or self.status(timeout).ended

    def status(self, timeout: float | None = None) -> TaskView:
        """Its state (queued, assigned, done, failed, cancelled), and who has it. Raises TimedOutError,
        NotFoundError."""
        return self._client.status([self], timeout)[0]

    def cancel(self, timeout: float | None = None) -> None:
        """Ask that it be cancelled, and do not wait for that. See :meth:`Client.cancel`."""
        self._client.cancel([self], timeout)

    def rerun(self, timeout: float | None = None) -> None:
        """Run it again; it has ended. See :meth:`Client.rerun`."""
        self._client.rerun([self], timeout)

    def remove(self, timeout: float | None = None) -> None:
        """Remove it; it has ended. See :meth:`Client.remove`."""
        self._client.remove([self], timeout)


class Table(TableHandle):
    """A table of shards (docs/shards.md), whether it is there or not. It needs the client that it came from
    to be open.

    All that have a ``timeout`` (seconds; None: no limit) raise TimedOutError when it is over. What has
    reached the ensemble by then goes on; what has not is never sent. It can be asked for again: only
    ``create`` is refused if the first one was stored.
    """

    def create(self, *, timeout: float | None = None, **options: Unpack[TableOptions]) -> None:
        """Make it. When this returns it is stored; :meth:`wait` waits until its shards are at work.

        The options are those of ``mwapp shards create``: ``shards``, ``replicas``, ``spread``, ``handler`` or
        ``command``, ``shared``, ``grace`` (seconds), ``copies``, ``page``.

        Raises:
            BadInputError: such a table cannot be; the message begins with the option that is wrong.
            RefusedError: there is one of that name, or the ensemble refuses it.
            UnreachableError: the ensemble does not answer, so whether it is stored is unknown.
        """
        carry_out(self._tables.create(self.name, table_of(options), timeout))

    def wait(self, timeout: float | None = None) -> None:
        """Wait until every shard has a primary at work. Raises TimedOutError, which says what is missing, and
        NotFoundError."""
        carry_out(self._tables.wait(self.name, timeout))

    def show(self, timeout: float | None = None) -> list[ShardState]:
        """All of its shards, by their numbers. Raises NotFoundError."""
        return carry_out(self._tables.show(self.name, timeout))

    def shard(self, shard: int, timeout: float | None = None) -> ShardState:
        """One of its shards: who has it, and where clients reach the owner. Raises NotFoundError."""
        return carry_out(self._tables.shard(self.name, shard, timeout))

    def resize(self, shards: int, *, timeout: float | None = None) -> None:
        """Have it have so many shards, more than now. When this returns that is stored; :meth:`wait` waits
        until the new ones are at work.

        Raises:
            NotFoundError: there is no such table.
            RefusedError: it has more already, and cannot have fewer; or the ensemble refuses it.
        """
        carry_out(self._tables.resize(self.name, shards, timeout))

    def move(self, shard: int, *workers: str, wait: bool = True, timeout: float | None = None) -> None:
        """Move a shard: the first worker becomes its primary, the others its replicas.

        It waits until the first is the primary, and at work; with ``wait=False`` only until the master has
        begun.

        Raises:
            NotFoundError: there is no such table, shard or worker.
            RefusedError: a worker is drained, or these cannot have it together.
        """
        carry_out(self._tables.move(self.name, shard, workers, timeout, wait=wait))

    def delete(self, timeout: float | None = None, *, wait: bool = True) -> None:
        """Delete it: its workers close its shards, and then it is gone. It waits for that unless told not to.

        Raises NotFoundError, and RefusedError.
        """
        carry_out(self._tables.delete(self.name, timeout, wait=wait))


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
    def submit(
        self, command: str, /, *, timeout: float | None = None, **options: Unpack[Options]
    ) -> Task[str]: ...

    @overload
    def submit(self, call: Call[R], /, *, timeout: float | None = None) -> Task[R]: ...

    @overload
    def submit(self, handler: Handler[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Task[R]: ...

    def submit(self, what: Any, /, *args: Any, **kwargs: Any) -> Task[Any]:
        """Store a task: a shell command with options, a function with @handler and its arguments, or a Call.

        When it returns, the task is stored, and will not be lost. ``timeout``: how long it may take, seconds;
        for a function write ``submit(add.call(1), timeout=5)``.

        Raises:
            BadInputError: it could never run; the message begins with the argument that is wrong.
            FullError: there are too many tasks.
            RefusedError: another task has the name, or the ensemble refuses it.
            UnreachableError: the ensemble does not answer, so whether it is stored is unknown.
            TimedOutError: it has not acknowledged it within ``timeout`` seconds; that is unknown, too.
        """
        limit = limit_of(what, kwargs)
        return self._submit([call_of(what, args, kwargs)], limit)[0]

    @overload
    def submit_many(
        self, calls: Iterable[str | Call[str]], timeout: float | None = None
    ) -> list[Task[str]]: ...

    @overload
    def submit_many(self, calls: Iterable[Call[R]], timeout: float | None = None) -> list[Task[R]]: ...

    def submit_many(self, calls: Iterable[Any], timeout: float | None = None) -> list[Task[Any]]:
        """Store many tasks at once, each a shell command or a Call.

        Raises what :meth:`submit` raises; if some tasks were stored, they are in the error's ``submitted``. A
        KeyboardInterrupt has those that are known to be stored by then.
        """
        return self._submit(calls_of(calls), timeout)

    def _submit(self, calls: list[Call[Any]], timeout: float | None) -> list[Task[Any]]:
        limit = seconds(timeout)
        futures = self._store(calls)
        with cancelling(futures):
            with telling(calls, futures, self._task):
                concurrent.futures.wait(futures, limit)
            return stored(calls, futures, self._task, timeout)

    def _task(self, name: str, read: Read[R]) -> Task[R]:
        return Task(self, name, read)

    @overload
    def task(self, name: str | int) -> Task[Any]: ...

    @overload
    def task(self, name: str | int, handler: Handler[..., R]) -> Task[R]: ...

    def task(self, name: str | int, handler: Handler[..., Any] | None = None) -> Task[Any]:
        """The task of this name or number, whoever submitted it. With ``handler`` mypy knows its result."""
        return self._task(*named(name, handler))

    def wait(self, tasks: Iterable[Task[Any]], timeout: float | None = None) -> list[End]:
        """Wait until all have ended, however they end. Raises TimedOutError, NotFoundError."""
        listed, limit = handles_of(tasks, Task), seconds(timeout)
        futures = self._await(listed)
        with cancelling(futures.values()):
            concurrent.futures.wait(futures.values(), limit)
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
                    yield from waiting.pop(future)
            except TimeoutError:
                raise left(waiting, len(futures), timeout) from None

    def cancel(self, tasks: Iterable[Task[Any]], timeout: float | None = None) -> None:
        """Ask that all be cancelled.

        A task that has not begun will not run; a running one gets SIGTERM, two seconds later SIGKILL. One
        that is about to end may still end as done or failed: wait for it to see.

        Raises:
            NotFoundError: there is no such task (any more). The others are cancelled.
            TimedOutError: not all requests were stored within ``timeout`` seconds; those that were remain.
        """
        limit = seconds(timeout)
        futures = self._cancel(handles_of(tasks, Task))
        with cancelling(futures):
            concurrent.futures.wait(futures, limit)
            check_answered_all(futures, timeout)

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
        limit = seconds(timeout)
        asked = self._ask_ended(handles_of(tasks, Task), do)
        with cancelling(asked.values()):
            concurrent.futures.wait(asked.values(), limit)
            check_done(asked, timeout)

    def table(self, name: str) -> Table:
        """The table of shards of that name, whether it is there or not: nobody is asked. Raises
        BadInputError."""
        return Table(self._background, name)

    def tables(self, timeout: float | None = None) -> list[TableState]:
        """All tables of shards, with what each lacks. Raises TimedOutError."""
        return carry_out(Tables(self._background).tables(timeout))

    def drain(self, worker: str, *, wait: bool = True, timeout: float | None = None) -> None:
        """Have others take all shards of a worker, and give it none until :meth:`undrain`.

        It waits until the worker has none, unless told not to. If nobody else may have them that is never.

        Raises:
            NotFoundError: there is no table of shards.
            TimedOutError: it still has some after ``timeout`` seconds; it stays drained.
        """
        carry_out(Tables(self._background).drain(worker, timeout, wait=wait))

    def undrain(self, worker: str, *, timeout: float | None = None) -> None:
        """A worker may have shards again. Raises TimedOutError, RefusedError."""
        carry_out(Tables(self._background).undrain(worker, timeout))

    def status(self, tasks: Iterable[Task[Any]], timeout: float | None = None) -> list[TaskView]:
        """The state of each, and who has it. Raises TimedOutError, NotFoundError."""
        listed, limit = handles_of(tasks, Task), seconds(timeout)
        future = self._look(listed)
        with cancelling([future]):
            concurrent.futures.wait([future], limit)
            check_answered_all([future], timeout)
            return views(listed, future.result())
