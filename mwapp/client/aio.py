"""The client for asyncio."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable
from concurrent.futures import Future
from contextlib import suppress
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
from mwapp.client.tables import Step, TableHandle, TableOptions, Tables, Talk, table_of
from mwapp.core.protocol import REMOVE, RUN
from mwapp.handlers import Handler
from mwapp.status.overview import TaskView
from mwapp.status.shards import ShardState, TableState

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class AsyncTask(Handle[R]):
    """Like :class:`mwapp.Task`, for asyncio."""

    def __init__(self, client: "AsyncClient", name: str, read: Read[R]) -> None:
        super().__init__(name, read)
        self._client = client

    async def result(self, timeout: float | None = None) -> R:
        """See :meth:`mwapp.Task.result`."""
        return self._result(await self.wait(timeout))

    async def wait(self, timeout: float | None = None) -> End:
        """See :meth:`mwapp.Task.wait`."""
        return (await self._client.wait([self], timeout))[0]

    async def done(self, timeout: float | None = None) -> bool:
        """See :meth:`mwapp.Task.done`."""
        return self._end is not None or (await self.status(timeout)).ended

    async def status(self, timeout: float | None = None) -> TaskView:
        """See :meth:`mwapp.Task.status`."""
        return (await self._client.status([self], timeout))[0]

    async def cancel(self, timeout: float | None = None) -> None:
        """See :meth:`mwapp.Task.cancel`."""
        await self._client.cancel([self], timeout)

    async def rerun(self, timeout: float | None = None) -> None:
        """See :meth:`mwapp.Task.rerun`."""
        await self._client.rerun([self], timeout)

    async def remove(self, timeout: float | None = None) -> None:
        """See :meth:`mwapp.Task.remove`."""
        await self._client.remove([self], timeout)


class AsyncTable(TableHandle):
    """Like :class:`mwapp.Table`, for asyncio. If a call is cancelled, what was asked for by then goes on."""

    async def create(self, *, timeout: float | None = None, **options: Unpack[TableOptions]) -> None:
        """See :meth:`mwapp.Table.create`."""
        await _carry_out(self._tables.create(self.name, table_of(options), timeout))

    async def wait(self, timeout: float | None = None) -> None:
        """See :meth:`mwapp.Table.wait`."""
        await _carry_out(self._tables.wait(self.name, timeout))

    async def show(self, timeout: float | None = None) -> list[ShardState]:
        """See :meth:`mwapp.Table.show`."""
        return await _carry_out(self._tables.show(self.name, timeout))

    async def shard(self, shard: int, timeout: float | None = None) -> ShardState:
        """See :meth:`mwapp.Table.shard`."""
        return await _carry_out(self._tables.shard(self.name, shard, timeout))

    async def resize(self, shards: int, *, timeout: float | None = None) -> None:
        """See :meth:`mwapp.Table.resize`."""
        await _carry_out(self._tables.resize(self.name, shards, timeout))

    async def move(self, shard: int, *workers: str, wait: bool = True, timeout: float | None = None) -> None:
        """See :meth:`mwapp.Table.move`."""
        await _carry_out(self._tables.move(self.name, shard, workers, timeout, wait=wait))

    async def delete(self, timeout: float | None = None, *, wait: bool = True) -> None:
        """See :meth:`mwapp.Table.delete`."""
        await _carry_out(self._tables.delete(self.name, timeout, wait=wait))


class AsyncClient(Asking):
    """Like :class:`mwapp.Client`, for asyncio. If a wait is cancelled, its task runs on."""

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """See :meth:`mwapp.Client.close`."""
        await asyncio.to_thread(self._background.close)

    @overload
    async def submit(
        self, command: str, /, *, timeout: float | None = None, **options: Unpack[Options]
    ) -> AsyncTask[str]: ...

    @overload
    async def submit(self, call: Call[R], /, *, timeout: float | None = None) -> AsyncTask[R]: ...

    @overload
    async def submit(self, handler: Handler[P, R], /, *args: P.args, **kwargs: P.kwargs) -> AsyncTask[R]: ...

    async def submit(self, what: Any, /, *args: Any, **kwargs: Any) -> AsyncTask[Any]:
        """See :meth:`mwapp.Client.submit`. If it is cancelled, the task may have been stored or not."""
        limit = limit_of(what, kwargs)
        return (await self._submit([call_of(what, args, kwargs)], limit))[0]

    @overload
    async def submit_many(
        self, calls: Iterable[str | Call[str]], timeout: float | None = None
    ) -> list[AsyncTask[str]]: ...

    @overload
    async def submit_many(
        self, calls: Iterable[Call[R]], timeout: float | None = None
    ) -> list[AsyncTask[R]]: ...

    async def submit_many(self, calls: Iterable[Any], timeout: float | None = None) -> list[AsyncTask[Any]]:
        """See :meth:`mwapp.Client.submit_many`. If it is cancelled, the CancelledError has ``submitted``;
        that is the ``__context__`` of the TimeoutError of ``asyncio.timeout``."""
        return await self._submit(calls_of(calls), timeout)

    async def _submit(self, calls: list[Call[Any]], timeout: float | None) -> list[AsyncTask[Any]]:
        limit = seconds(timeout)
        futures = self._store(calls)
        with cancelling(futures):
            with telling(calls, futures, self._task):
                await _all(futures, limit)
            return stored(calls, futures, self._task, timeout)

    def _task(self, name: str, read: Read[R]) -> AsyncTask[R]:
        return AsyncTask(self, name, read)

    @overload
    def task(self, name: str | int) -> AsyncTask[Any]: ...

    @overload
    def task(self, name: str | int, handler: Handler[..., R]) -> AsyncTask[R]: ...

    def task(self, name: str | int, handler: Handler[..., Any] | None = None) -> AsyncTask[Any]:
        """See :meth:`mwapp.Client.task`."""
        return self._task(*named(name, handler))

    async def wait(self, tasks: Iterable[AsyncTask[Any]], timeout: float | None = None) -> list[End]:
        """See :meth:`mwapp.Client.wait`."""
        listed, limit = handles_of(tasks, AsyncTask), seconds(timeout)
        futures = self._await(listed)
        with cancelling(futures.values()):
            await _all(futures.values(), limit)
            return ends(listed, futures, timeout)

    def as_completed(
        self, tasks: Iterable[AsyncTask[R]], timeout: float | None = None
    ) -> AsyncIterator[AsyncTask[R]]:
        """See :meth:`mwapp.Client.as_completed`; for ``async for``."""
        return self._as_completed(handles_of(tasks, AsyncTask), seconds(timeout))

    async def _as_completed(
        self, tasks: list[AsyncTask[R]], timeout: float | None
    ) -> AsyncIterator[AsyncTask[R]]:
        futures = self._await(tasks)
        waiting = by_future(futures)
        with cancelling(waiting):
            async for future in _each(waiting, timeout):
                check_answered(future)
                for task in waiting.pop(future):
                    yield task
        if waiting:
            raise left(waiting, len(futures), timeout)

    async def cancel(self, tasks: Iterable[AsyncTask[Any]], timeout: float | None = None) -> None:
        """See :meth:`mwapp.Client.cancel`."""
        limit = seconds(timeout)
        futures = self._cancel(handles_of(tasks, AsyncTask))
        with cancelling(futures):
            await _all(futures, limit)
            check_answered_all(futures, timeout)

    async def rerun(self, tasks: Iterable[AsyncTask[Any]], timeout: float | None = None) -> None:
        """See :meth:`mwapp.Client.rerun`."""
        await self._of_ended(RUN, tasks, timeout)

    async def remove(self, tasks: Iterable[AsyncTask[Any]], timeout: float | None = None) -> None:
        """See :meth:`mwapp.Client.remove`."""
        await self._of_ended(REMOVE, tasks, timeout)

    async def _of_ended(self, do: str, tasks: Iterable[AsyncTask[Any]], timeout: float | None) -> None:
        limit = seconds(timeout)
        asked = self._ask_ended(handles_of(tasks, AsyncTask), do)
        with cancelling(asked.values()):
            await _all(asked.values(), limit)
            check_done(asked, timeout)

    async def status(self, tasks: Iterable[AsyncTask[Any]], timeout: float | None = None) -> list[TaskView]:
        """See :meth:`mwapp.Client.status`."""
        listed, limit = handles_of(tasks, AsyncTask), seconds(timeout)
        future = self._look(listed)
        with cancelling([future]):
            await _all([future], limit)
            check_answered_all([future], timeout)
            return views(listed, future.result())

    def table(self, name: str) -> AsyncTable:
        """See :meth:`mwapp.Client.table`."""
        return AsyncTable(self._background, name)

    async def tables(self, timeout: float | None = None) -> list[TableState]:
        """See :meth:`mwapp.Client.tables`."""
        return await _carry_out(Tables(self._background).tables(timeout))

    async def drain(self, worker: str, *, wait: bool = True, timeout: float | None = None) -> None:
        """See :meth:`mwapp.Client.drain`."""
        await _carry_out(Tables(self._background).drain(worker, timeout, wait=wait))

    async def undrain(self, worker: str, *, timeout: float | None = None) -> None:
        """See :meth:`mwapp.Client.undrain`."""
        await _carry_out(Tables(self._background).undrain(worker, timeout))


async def _carry_out(talk: Talk[T]) -> T:
    """See :func:`mwapp.client.tables.carry_out`."""
    answer: Any = None
    try:
        while True:
            answer = await _wait_for(talk.send(answer))
    except StopIteration as end:
        result: T = end.value
        return result


async def _wait_for(step: Step | float) -> Any:
    if not isinstance(step, Step):
        await asyncio.sleep(step)
        return None
    with cancelling([step.future]):
        await _all([step.future], step.left())
        return step.result()


async def _each(futures: Collection[Future[T]], timeout: float | None = None) -> AsyncIterator[Future[T]]:
    """Each as soon as it is done, on whatever thread that is; none any more when the time is over."""
    loop = asyncio.get_running_loop()
    end = None if timeout is None else loop.time() + timeout
    done: asyncio.Queue[Future[T]] = asyncio.Queue()

    def put(future: Future[T]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(done.put_nowait, future)

    for future in list(futures):
        future.add_done_callback(put)
    with suppress(TimeoutError):
        for _ in list(futures):
            async with asyncio.timeout_at(end):
                future = await done.get()
            yield future


async def _all(futures: Collection[Future[T]], timeout: float | None = None) -> None:
    """All are done, or the time is over."""
    async for _ in _each(futures, timeout):
        pass
