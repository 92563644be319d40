"""What the clients with and without asyncio share: settings, what they ask for, and what comes of it."""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Generic, TypeVar

from mwapp.client.background import Background, End, Stored, no_such_task
from mwapp.client.calls import (
    Call,
    brief,
    call_of,
    check_fits,
    new_key,
    number,
    returned,
    submitter_of,
    task_name,
    text,
)
from mwapp.core.limits import LIMITS
from mwapp.core.protocol import CANCELLED, DONE, Outcome
from mwapp.errors import (
    BadInputError,
    ClosedError,
    MwappError,
    NotFoundError,
    TaskFailedError,
    TimedOutError,
    UnreachableError,
)
from mwapp.handlers import Handler
from mwapp.status.overview import TaskView, read_tasks
from mwapp.zookeeper.connect_string import DEFAULT, Servers

R = TypeVar("R")
H = TypeVar("H", bound="Handle[Any]")

Read = Callable[[Outcome], R]

# As long as threads can wait, about: centuries.
LONGEST = threading.TIMEOUT_MAX / 2
# The numbers that a task may have. ZooKeeper gives ten digits; a person may give more.
_NUMBERS = range(10**20)


class Handle(Generic[R]):
    """A submitted task.

    ``existed``: whether it had been submitted under its name before, perhaps by the same call, so that this
    made none. None: unknown, because the reply was lost, or because the handle is of ``client.task``.
    """

    existed: bool | None = None

    def __init__(self, name: str, read: Read[R]) -> None:
        self.name = name
        self._read = read
        self._end: End | None = None  # as soon as it is known

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def _ended(self, future: Future[End]) -> None:
        if not future.cancelled() and future.exception() is None:
            self._end = future.result()

    def _result(self, end: End) -> R:
        if end.state == DONE:
            try:
                return self._read(end.outcome)
            except TaskFailedError as nothing:  # there is nothing to be read
                failure = TaskFailedError(f"{self.name} is done, but: {nothing}")
                failure.end = end
                raise failure from None
        problem = TaskFailedError(f"{self.name} {_why(end)}")
        problem.end = end
        raise problem


def _why(end: End) -> str:
    if end.state == CANCELLED:
        return "was cancelled"
    code, last = end.outcome.code, end.outcome.output.rstrip().rpartition("\n")[2]
    status = "" if code is None else f"exit status {code}"
    return ": ".join(filter(None, ("failed", end.outcome.reason or status, last)))


class Asking:
    """One session, and the questions to it."""

    def __init__(
        self,
        connect: str | None = None,
        *,
        connect_timeout: float = 10.0,
        max_tasks: int = LIMITS.max_tasks,
        submitter: str | None = None,
        tls_ca: str | None = None,
        tls_cert: str | None = None,
        tls_key: str | None = None,
    ) -> None:
        """It connects by itself, now and whenever the connection is lost.

        ``connect``: the ensemble's servers, ``host:port,host:port[/path]``; by default the variable
        MWAPP_CONNECT, or this machine. ``connect_timeout``: fail a call if the ensemble does not answer for
        so many seconds. ``max_tasks``: submit nothing if there are this many tasks already, including
        finished ones. ``submitter``: who submits, as ``mwapp tasks`` shows it; by default the variable
        MWAPP_SUBMITTER, or this user at this host. ``tls_ca``, ``tls_cert``, ``tls_key``: files for TLS, as
        the options of ``mwapp``; by default the variables MWAPP_TLS_CA, MWAPP_TLS_CERT and MWAPP_TLS_KEY.

        Raises:
            BadInputError: one of these cannot be used; the message begins with it.
        """
        connect = os.environ.get("MWAPP_CONNECT", DEFAULT) if connect is None else connect
        check_fits("connect", connect, lambda it: isinstance(it, str), "text such as 'zk1:2181,zk2:2181'")
        check_fits(
            "connect_timeout", connect_timeout, lambda it: it and number(it) and it > 0, "seconds above 0"
        )
        most = LIMITS.max_tasks
        check_fits("max_tasks", max_tasks, lambda it: it in range(1, most + 1), f"a number from 1 to {most}")
        connect_timeout = min(connect_timeout, LONGEST)
        check_fits("submitter", submitter, text, "text")
        given = os.environ.get("MWAPP_SUBMITTER") or None if submitter is None else submitter
        self._submitter = submitter_of(given)
        self._max_tasks = max_tasks
        servers = _with_tls(Servers.parse(connect, "connect"), tls_ca, tls_cert, tls_key)
        self._background = Background(servers, connect_timeout)

    def _store(self, calls: Sequence[Call[Any]]) -> list[Future[Stored]]:
        calls = [call.named() for call in calls]
        tasks = [call.task(key=new_key(self._submitter)) for call in calls]
        names = {index: call.name for index, call in enumerate(calls) if call.name is not None}
        secrets = {index: call.secrets for index, call in enumerate(calls) if call.secrets is not None}
        return self._background.submit(tasks, names, self._max_tasks, secrets)

    def _await(self, tasks: Iterable[H]) -> dict[H, Future[End]]:
        """The end of each, which may be known already."""
        futures: dict[H, Future[End]] = {task: Future() for task in tasks}
        unknown = [task for task in futures if task._end is None]
        names = dict.fromkeys(task.name for task in unknown)
        asked = dict(zip(names, self._background.wait(list(names)) if names else (), strict=True))
        for task, future in futures.items():
            if task._end is None:
                futures[task] = asked[task.name]
                asked[task.name].add_done_callback(task._ended)
            else:
                future.set_result(task._end)
        return futures

    def _cancel(self, tasks: Iterable[Handle[Any]]) -> list[Future[None]]:
        return self._background.cancel(list(dict.fromkeys(task.name for task in tasks)))

    def _ask_ended(self, tasks: Sequence[H], do: str) -> dict[H, Future[None]]:
        names = list(dict.fromkeys(task.name for task in tasks))
        asked = dict(zip(names, self._background.ask_ended(names, do), strict=True))
        return {task: asked[task.name] for task in tasks}

    def _look(self, tasks: Iterable[Handle[Any]]) -> "Future[list[TaskView]]":
        names = [task.name for task in tasks]
        return self._background.look(lambda scope, then: read_tasks(scope, names, then))


def _with_tls(servers: Servers, *given: str | None) -> Servers:
    names = ("tls_ca", "tls_cert", "tls_key")
    for name, path in zip(names, given, strict=True):
        check_fits(name, path, text, "the path of a file")
    variables = (os.environ.get(f"MWAPP_{name.upper()}") for name in names)
    ca, cert, key = (path or variable for path, variable in zip(given, variables, strict=True))
    if not ca and not cert:
        return servers
    if not ca or not cert:
        raise BadInputError(f"{'tls_cert' if ca else 'tls_ca'}: missing; TLS needs both tls_ca and tls_cert")
    from mwapp.certificates import Names  # seldom needed
    from mwapp.zookeeper.tls import Tls

    return replace(servers, tls=Tls(ca, cert, key or None, Names(*names)))


def calls_of(calls: Iterable[str | Call[Any]]) -> list[Call[Any]]:
    """What ``submit_many`` is given. Raises BadInputError."""
    if isinstance(calls, str | bytes | Call) or not isinstance(calls, Iterable):
        raise BadInputError("submit_many: give a list of commands and calls; for a single one use submit")
    return [call_of(call, (), {}) for call in calls]


def limit_of(what: object, named: dict[str, Any]) -> float | None:
    """The ``timeout`` that ``submit`` is given, which is taken out of its arguments. One beside a function is
    the function's."""
    timeout: float | None = None if isinstance(what, Handler) else named.pop("timeout", None)
    return timeout


def handles_of(tasks: Iterable[H], kind: type[Handle[Any]]) -> list[H]:
    """What waits, cancels and looks are given. Raises BadInputError."""
    if isinstance(tasks, (str, bytes, Handle)) or not isinstance(tasks, Iterable):
        raise BadInputError(f"tasks: give a list of tasks, not {brief(tasks)} alone")
    listed = list(tasks)
    for task in listed:
        if not isinstance(task, kind):
            raise BadInputError(
                f"tasks: {brief(task)} is not a {kind.__name__}; write client.task(name) for a name"
            )
    return listed


def seconds(timeout: float | None) -> float | None:
    """A time-out. Raises BadInputError."""
    check_fits(
        "timeout", timeout, lambda it: number(it) and (it or 0) >= 0, "a number of seconds (None: no limit)"
    )
    return None if timeout is None else min(timeout, LONGEST)


def named(name: str | int, handler: Handler[..., Any] | None = None) -> tuple[str, Read[Any]]:
    """The task of that name or number, and how to read the result. Raises BadInputError."""
    if isinstance(name, int):
        check_fits("name", name, lambda it: it in _NUMBERS and not isinstance(it, bool), "a task's number")
    check_fits("name", name, lambda it: isinstance(it, str | int), "a task's name or number")
    return task_name(str(name), "name"), handler.read if isinstance(handler, Handler) else returned


@contextmanager
def cancelling(futures: Iterable[Future[Any]]) -> Iterator[None]:
    """At the end nobody waits for these any more."""
    try:
        yield
    finally:
        for future in futures:
            future.cancel()


def stored(
    calls: Sequence[Call[Any]],
    futures: Sequence[Future[Stored]],
    make: Callable[..., H],
    timeout: float | None,
) -> list[H]:
    """A handle for each. Raises the first problem; the handles of all others are its ``submitted``."""
    tasks: list[H] = []
    problems: list[MwappError] = []
    late = {future for future in futures if not future.done()}
    for call, future in zip(calls, futures, strict=True):
        if future in late:
            continue
        try:
            tasks.append(_handle(make, future.result(), call))
        except MwappError as problem:
            problems.append(problem)
    if len(tasks) == len(calls):
        return tasks
    first = _unacknowledged(timeout) if late else problems[0]
    text = str(first)
    if len(calls) > 1:
        text = f"{len(calls) - len(tasks)} of {len(calls)} tasks: {text}"
    if isinstance(first, UnreachableError | ClosedError | TimedOutError):
        text += ". Whether a task was stored is unknown; only with a name can it be submitted again safely"
    failure = type(first)(text)
    failure.submitted = tuple(tasks)
    raise failure


@contextmanager
def telling(
    calls: Sequence[Call[Any]], futures: Sequence[Future[Stored]], make: Callable[..., H]
) -> Iterator[None]:
    """Whatever interrupts this has, as ``submitted``, the tasks that are stored by then: by ^C, say, or as an
    asyncio task is cancelled."""
    try:
        yield
    except BaseException as interruption:
        pairs = [(call, future) for call, future in zip(calls, futures, strict=True) if _is_stored(future)]
        known = tuple(_handle(make, future.result(), call) for call, future in pairs)
        interruption.submitted = known  # type: ignore[attr-defined]
        raise


def _is_stored(future: Future[Any]) -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def _unacknowledged(timeout: float | None) -> TimedOutError:
    why = "the ensemble is slow, or refuses it (mwapp acl)"
    return TimedOutError(f"timeout: not acknowledged within {timeout:g} s: {why}")


def _handle(make: Callable[..., H], its: Stored, call: Call[Any]) -> H:
    task = make(its.task, call.read)
    task.existed = its.existed
    return task


def ends(tasks: Sequence[H], futures: Mapping[H, Future[End]], timeout: float | None) -> list[End]:
    """Of each. Raises TimedOutError if they have not all ended."""
    late = [task.name for task, future in futures.items() if not future.done()]
    if late:
        which = late[0] if len(futures) == 1 else f"{len(late)} of {len(futures)} tasks"
        raise late_error(which, timeout)
    return [futures[task].result() for task in tasks]


def late_error(which: str, timeout: float | None) -> TimedOutError:
    """These have not ended in time."""
    return TimedOutError(f"timeout: {which} did not end within {timeout:g} s")


def by_future(futures: Mapping[H, Future[End]]) -> dict[Future[End], list[H]]:
    """The handles of each: several may be of the same task."""
    handles: dict[Future[End], list[H]] = {}
    for task, future in futures.items():
        handles.setdefault(future, []).append(task)
    return handles


def left(waiting: Mapping[Future[End], Sequence[H]], of: int, timeout: float | None) -> TimedOutError:
    """These of so many have not ended in time."""
    return late_error(f"{sum(map(len, waiting.values()))} of {of} tasks", timeout)


def check_answered(future: Future[End]) -> None:
    """Raises why nobody knows whether the task has ended. That it does not exist, its own result tells."""
    problem = future.exception()
    if problem is not None and not isinstance(problem, NotFoundError):
        raise problem


def check_answered_all(futures: Sequence[Future[Any]], timeout: float | None) -> None:
    """Raises why something is not known or not stored, or TimedOutError if that is not answered."""
    late = {future for future in futures if not future.done()}
    for future in futures:
        if future not in late:
            future.result()
    if late:
        raise TimedOutError(
            f"timeout: the ensemble has not answered {len(late)} of {len(futures)} questions within "
            f"{timeout:g} s: it is slow, or refuses them (mwapp acl)"
        )


def check_done(asked: Mapping[H, Future[None]], timeout: float | None) -> None:
    """Raises why something was not done, when everything is answered that will be."""
    late = [future for future in asked.values() if not future.done()]
    for task, future in asked.items():
        if future.done() and future.exception() is None:
            task._end = None
    for future in asked.values():
        if future.done():
            future.result()
    if late:
        raise TimedOutError(
            f"timeout: no master has carried out {len(late)} of {len(asked)} requests within {timeout:g} s; "
            "those that were made remain (mwapp status: is a master active? mwapp acl: may they be made?)"
        )


def views(tasks: Sequence[Handle[Any]], found: Sequence[TaskView]) -> list[TaskView]:
    """One for each. Raises NotFoundError."""
    by_name = {view.task: view for view in found}
    for task in tasks:
        if task.name not in by_name:
            raise no_such_task(task.name)
    return [by_name[task.name] for task in tasks]
