"""A client on a server that only opens sessions: threads, forks, and every way not to get an answer."""

import asyncio
import gc
import math
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any
from unittest.mock import Mock

import pytest

from mwapp import AsyncClient, AsyncTask, Call, Client, End, Task, handler
from mwapp.client.aio import _each
from mwapp.client.handles import check_answered_all
from mwapp.core.client import Submit
from mwapp.core.protocol import Outcome
from mwapp.errors import BadInputError, ClosedError, NotFoundError, TimedOutError, UnreachableError
from testbed.waiting import LONGEST_WAIT, wait_for
from tests.unit.zk_server import Server

pytestmark = pytest.mark.servers

NOBODY = "127.0.0.1:1"  # no server listens there
UNKNOWN = "Whether a task was stored is unknown; only with a name can it be submitted again safely"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(silent=True)  # nothing that is asked is ever answered
    yield server
    server.close()


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its server does not confirm the end of a session, so do not wait long for that."""
    monkeypatch.setattr("mwapp.loop.CLOSE_SECONDS", 0.05)


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.connect, connect_timeout=LONGEST_WAIT) as client:
        yield client


@handler
def patient(timeout: float) -> None: ...


def thread(call: Any, *arguments: Any) -> "Future[Any]":
    """What it returns, or raises, on a thread of its own."""
    future: Future[Any] = Future()

    def run() -> None:
        try:
            future.set_result(call(*arguments))
        except BaseException as problem:
            future.set_exception(problem)

    threading.Thread(target=run, daemon=True).start()
    return future


# No znode has such a name, so servers refuse to look for it, or drop the connection, each time.
NO_NAMES: tuple[str, ...] = (
    "",
    ".",
    "..",
    "/tasks/..",
    "a\0b",
    "\x01",
    "\x9f",
    "\ud800",
    "\ue000",
    "\U0001f600",
    "x" * 3_000_000,
    "9" * 5000,
)
NO_NUMBERS: tuple[Any, ...] = (None, 1.5, b"x", True, -1, 10**5000, ["x"])


def named(name: Any, client: Client) -> Task[Any]:
    return client.task(name)


def parts(client: Client) -> int:
    """How much the loop works on."""
    return len(client._background._process._parts)


def test_without_an_ensemble_every_call_says_so() -> None:
    with Client(NOBODY, connect_timeout=0.3) as client:
        silent = rf"^connect {NOBODY}: the ensemble has not answered for 0.3 s; check that a majority"
        with pytest.raises(UnreachableError, match=f"{silent}.*{UNKNOWN}"):
            client.submit("true")
        for call in (client.task(7).wait, client.task(7).status, client.task(7).cancel, client.task(7).done):
            with pytest.raises(UnreachableError, match=silent):
                call()
        with pytest.raises(UnreachableError, match=silent):
            list(client.as_completed([client.task(7)]))
        with pytest.raises(UnreachableError, match="2 of 2 tasks: connect") as told:
            client.submit_many(["true", "false"])
        assert told.value.submitted == ()
        wait_for("nothing is worked on", lambda: not parts(client))


def test_what_is_not_stored_in_time_is_not_stored_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller was told to submit it again, so it must be gone."""
    stopped: list[int] = []

    def stop(part: Submit) -> None:
        stopped.append(part.unacknowledged)
        part._process.part_stopped(part)

    monkeypatch.setattr(Submit, "stop", stop)
    with Client(NOBODY, connect_timeout=0.1) as client:
        with pytest.raises(UnreachableError):
            client.submit("true")
        wait_for("the submission is dropped", lambda: stopped)


def test_while_it_is_connected_nothing_is_silent(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a task takes."""
    # Who finds out why servers are silent asks them, which takes longer than what waits here.
    monkeypatch.setattr("mwapp.client.background.silent", lambda *_: "")
    with Client(server.connect, connect_timeout=LONGEST_WAIT) as client:
        wait_for("it is connected", lambda: client._background._process.usable)
        client._background._connect_timeout = 0.2
        longer = thread(lambda: client.task("x").wait(timeout=1))
        with pytest.raises(TimedOutError):  # whose end is looked at, and the other with it
            client.task("y").wait(timeout=0.5)
        with pytest.raises(TimedOutError):
            longer.result(LONGEST_WAIT)


def test_why_nobody_answers_is_found_out_once_for_all_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """It takes seconds: names are looked up and servers tried."""
    why = Mock(return_value="nobody answers")
    monkeypatch.setattr("mwapp.client.background.silent", why)
    few = pytest.raises(UnreachableError, match="3 of 3 tasks: nobody answers")
    with Client(NOBODY, connect_timeout=0.3) as client, few:
        client.submit_many(["true"] * 3)
    assert why.call_count == 1


def slow_to_say_why(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Somebody looks for the reason of a silence: begun, and until the test says that it is over."""
    begun, over = threading.Event(), threading.Event()

    def why(*_: object) -> str:
        begun.set()
        over.wait(2 * LONGEST_WAIT)
        return "nobody answers"

    monkeypatch.setattr("mwapp.client.background.silent", why)
    return begun, over


def test_who_is_answered_while_the_reason_is_looked_for_waits_on(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, over = slow_to_say_why(monkeypatch)
    with Client(NOBODY, connect_timeout=0.1) as client:
        waiting = thread(client.submit, "true")
        assert begun.wait(LONGEST_WAIT)
        client._background._process.usable = True
        over.set()
        client._background._telling.join(LONGEST_WAIT)
        assert not waiting.done()


def test_where_no_thread_can_be_had_the_reason_is_told_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mwapp.client.background.silent", lambda *_: "nobody answers")
    with Client(NOBODY, connect_timeout=0.3) as client:
        wait_for("it begins", lambda: client._background._loop._open)
        monkeypatch.setattr(
            threading.Thread, "start", Mock(side_effect=RuntimeError("can't start new thread"))
        )
        with pytest.raises(UnreachableError, match="nobody answers"):
            client.submit("true")


def test_who_closes_does_not_wait_for_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, over = slow_to_say_why(monkeypatch)
    client = Client(NOBODY, connect_timeout=0.1)
    waiting = thread(client.submit, "true")
    try:
        assert begun.wait(LONGEST_WAIT)
        thread(client.close).result(LONGEST_WAIT)
        assert isinstance(waiting.exception(LONGEST_WAIT), ClosedError)
    finally:
        over.set()


def test_a_task_says_whether_it_was_there_already(monkeypatch: pytest.MonkeyPatch) -> None:
    def submit(_process: object, tasks: list[Any], *, accepted: Any, existed: Any, **_: object) -> Mock:
        existed(1, earlier=True)
        existed(2, earlier=False)
        for index in range(len(tasks)):
            accepted(index, f"x{index}")
        return Mock()

    async def main() -> list[AsyncTask[str]]:
        async with AsyncClient(NOBODY) as client:
            return await client.submit_many(["true"] * 3)

    monkeypatch.setattr("mwapp.client.background.Submit", submit)
    with Client(NOBODY) as client:
        tasks = client.submit_many(["true"] * 3)
        assert client.task("x1").existed is None
    for found in (tasks, asyncio.run(main())):
        assert [(task.name, task.existed) for task in found] == [("x0", False), ("x1", True), ("x2", None)]


def test_an_answer_arrives() -> None:
    """The server knows no znode."""
    server = Server()
    with Client(server.connect, connect_timeout=LONGEST_WAIT) as client:
        for call in (client.task("x").status, client.task("x").wait):
            with pytest.raises(NotFoundError, match="no such task: x; finished tasks are removed"):
                call()
    server.close()


def test_a_time_limit_is_kept_and_then_nothing_is_left(client: Client) -> None:
    task = client.task("x")
    with pytest.raises(TimedOutError, match=r"^timeout: x did not end within 0.05 s$"):
        task.result(timeout=0.05)
    with pytest.raises(TimeoutError):
        list(client.as_completed([task], timeout=0.05))
    with pytest.raises(TimedOutError, match="2 of 2 tasks"):
        client.wait([task, client.task("y")], timeout=0.05)
    wait_for("nothing is worked on", lambda: not parts(client))


@pytest.mark.parametrize("forever", [math.inf, 1e12, 10**400], ids=["inf", "1e12", "10**400"])
def test_as_long_as_one_likes_is_a_time_limit(forever: float) -> None:
    server = Server()
    with Client(server.connect, connect_timeout=forever) as client:
        for call in (client.task("x").result, client.task("x").status):
            with pytest.raises(NotFoundError):
                call(timeout=forever)
    server.close()


@pytest.mark.parametrize("call", ["cancel", "status", "done", "rerun", "remove"])
def test_who_asks_has_a_time_limit_too(client: Client, call: str) -> None:
    """However often the ensemble refuses what is asked, without permission for example."""
    with pytest.raises(TimedOutError, match=r"^timeout: .* within 0\.3 s"):
        getattr(client.task("x"), call)(timeout=0.3)
    wait_for("nothing is worked on", lambda: not parts(client))


@pytest.mark.parametrize(
    "call",
    [
        lambda client: partial(client.submit, "true"),
        lambda client: partial(client.submit, Call("true", name="x")),
        lambda client: partial(client.submit_many, ["true", "false"]),
        lambda client: client.tables,
        lambda client: client.table("t").show,
        lambda client: partial(client.table("t").shard, 1),
    ],
    ids=["submit", "submit a call", "submit_many", "tables", "show", "shard"],
)
def test_so_has_who_submits_or_looks_at_tables(client: Client, server: Server, call: Any) -> None:
    with pytest.raises(TimedOutError):
        call(client)(timeout=0.3)
    with pytest.raises(BadInputError, match=r"^timeout: -1 is not"):
        call(client)(timeout=-1)
    wait_for("nothing is worked on", lambda: not parts(client))

    async def main() -> None:
        async with AsyncClient(server.connect, connect_timeout=LONGEST_WAIT) as waits:
            with pytest.raises(TimedOutError):
                await call(waits)(timeout=0.05)

    asyncio.run(main())


def test_who_has_not_heard_in_time_is_told_that_it_is_unknown_what_is_stored(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TimedOutError, match=rf"^timeout: not acknowledged within 0\.1 s: .*\. {UNKNOWN}$"):
        client.submit("true", timeout=0.1)  # nobody acknowledges anything

    def submit(*_: object, accepted: Any, **__: object) -> Mock:
        accepted(1, "x1")
        return Mock()

    monkeypatch.setattr("mwapp.client.background.Submit", submit)
    with pytest.raises(TimedOutError, match="2 of 3 tasks: timeout: not ack") as told:
        client.submit_many(["true"] * 3, timeout=2)
    assert [task.name for task in told.value.submitted] == ["x1"]


def test_who_is_interrupted_is_told_what_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """By ^C, or as the wait is cancelled."""

    def submit(*_: object, accepted: Any, **__: object) -> Mock:
        accepted(1, "x1")
        return Mock()

    def interrupt(futures: list[Future[Any]], _: object) -> None:
        futures[1].result(LONGEST_WAIT)
        raise KeyboardInterrupt

    async def main() -> None:
        async with AsyncClient(NOBODY, connect_timeout=LONGEST_WAIT) as client:
            with pytest.raises(TimeoutError) as told:
                async with asyncio.timeout(2):
                    await client.submit_many(["true"] * 3)
            assert [task.name for task in told.value.__context__.submitted] == ["x1"]  # type: ignore[union-attr]

    monkeypatch.setattr("mwapp.client.background.Submit", submit)
    asyncio.run(main())
    monkeypatch.setattr("concurrent.futures.wait", interrupt)
    with Client(NOBODY) as client, pytest.raises(KeyboardInterrupt) as told:
        client.submit_many(["true"] * 3)
    assert [task.name for task in told.value.submitted] == ["x1"]  # type: ignore[attr-defined]


def test_a_handler_may_have_an_argument_timeout(client: Client) -> None:
    """It is the function's own: the call's time limit goes beside a Call."""
    seen: list[Any] = []

    def submit(calls: list[Call[Any]], limit: float | None) -> list[None]:
        seen.append((calls[0].argument, limit))
        return [None]

    vars(client)["_submit"] = submit
    client.submit(patient, timeout=7)
    client.submit(patient.call(timeout=7), timeout=1)
    assert seen == [({"timeout": 7}, None), ({"timeout": 7}, 1)]


def test_many_threads_wait_at_once(client: Client) -> None:
    waiting = [thread(client.task(f"x{number}").wait, 0.3) for number in range(20)]
    for future in waiting:
        assert isinstance(future.exception(LONGEST_WAIT), TimedOutError)
    wait_for("nothing is worked on", lambda: not parts(client))


def test_who_waits_is_told_when_the_client_is_closed(client: Client) -> None:
    calls = (client.task("x").wait, client.task("x").status, client.task("x").cancel)
    waiting = [thread(call) for call in calls]
    submitting = thread(client.submit, "true")
    wait_for("they wait", lambda: parts(client) == 4)
    client.close()
    for future in (*waiting, submitting):
        problem = future.exception(LONGEST_WAIT)
        assert isinstance(problem, ClosedError)
        assert str(problem).startswith("this client is closed: make a new one")
    assert UNKNOWN in str(submitting.exception())


def test_a_closed_client_says_so(client: Client) -> None:
    client.close()
    client.close()
    problem = thread(client.submit, "true").exception(LONGEST_WAIT)
    assert isinstance(problem, ClosedError)
    assert str(problem) == "this client is closed: make a new one"
    assert not client._background._thread.is_alive()


def test_a_session_is_used_for_all_calls_and_closed(server: Server) -> None:
    with Client(server.connect, connect_timeout=LONGEST_WAIT) as client:
        for name in ("x", "y"):
            with pytest.raises(TimedOutError):
                client.task(name).wait(timeout=0.1)
        wait_for("it is connected", lambda: server.sessions)
    assert server.sessions == 1


@pytest.mark.processes
def test_a_fork_needs_a_client_of_its_own(client: Client) -> None:
    """Even if the lock was held when it was forked."""
    reads, writes = os.pipe()
    parent = os.getpid()
    with client._background._lock:
        child = os.fork()
    if child == 0:
        signal.alarm(round(LONGEST_WAIT))
        try:
            client.submit("true")
        except ClosedError as problem:
            os.write(writes, str(problem).encode())
        client.close()  # as a `with` statement would: leaves the parent's session alone
        os._exit(0)
    os.close(writes)
    message = os.read(reads, 1000).decode()
    os.close(reads)
    assert os.waitpid(child, 0)[1] == 0
    assert message == (
        f"this client belongs to process {parent}, and a fork does not copy its connection: "
        "make a new client in this process"
    )
    assert client._background._thread.is_alive()


def test_a_defect_ends_the_client_and_everybody_is_told(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    waiting = thread(client.task("x").wait)
    wait_for("it waits", lambda: parts(client))
    client._background._loop.call(lambda: 1 // 0)  # type: ignore[arg-type]  # that is the defect
    problem = waiting.exception(LONGEST_WAIT)
    assert isinstance(problem, ClosedError)
    assert "a defect in mwapp has ended this client: ZeroDivisionError" in str(problem)
    assert "ZeroDivisionError" in caplog.text
    with pytest.raises(ClosedError, match="a defect in mwapp"):
        client.submit("true")


def test_the_program_s_garbage_is_its_own_business() -> None:
    before = gc.get_threshold()
    with Client(NOBODY):
        time.sleep(0.05)
    assert gc.get_threshold() == before


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda client: client.wait(client.task(7)),
            r"tasks: give a list of tasks, not <Task task-0000000007>",
        ),
        (lambda client: client.wait("x"), "tasks: give a list of tasks, not 'x' alone"),
        (
            lambda client: client.cancel(["x"]),
            r"tasks: 'x' is not a Task; write client.task\(name\) for a name",
        ),
        (lambda client: client.as_completed([7]), "tasks: 7 is not a Task"),
        (lambda client: client.task("a/b"), "name: 'a/b' is not the name of a task"),
        *((partial(named, name), "name: .* is not the name of a task") for name in NO_NAMES),
        *((partial(named, name), "name: .* is not a task's n") for name in NO_NUMBERS),
        (
            lambda client: client.task(7).wait("5"),
            r"timeout: '5' is not a number of seconds \(None: no limit\)",
        ),
        (lambda client: client.task(7).wait(-1), "timeout: -1 is not a number of seconds"),
        (lambda client: client.submit_many("true"), "submit_many: give a list of commands and calls"),
        (lambda client: client.submit_many(None), "submit_many: give a list of commands and calls"),
        (lambda client: client.submit_many(5), "submit_many: give a list of commands and calls"),
        (lambda client: client.submit_many(Call("true")), "submit_many: give a list of commands and calls"),
        (lambda client: client.wait(None), "tasks: give a list of tasks, not None alone"),
        (lambda client: client.cancel(5), "tasks: give a list of tasks, not 5 alone"),
        (lambda client: client.task(7).wait(math.nan), "timeout: nan is not a number of seconds"),
        (lambda client: client.submit_many([7]), "submit: 7 is not a shell command"),
    ],
)
def test_bad_input_is_told_at_once(client: Client, call: Any, message: str) -> None:
    with pytest.raises(BadInputError, match=f"^{message}"):
        call(client)


@pytest.mark.parametrize("call", ["rerun", "remove", "wait", "cancel", "status"])
def test_a_bad_time_limit_is_told_before_anybody_is_asked(client: Client, call: str) -> None:
    for name in ("_ask_ended", "_await", "_cancel", "_look"):
        vars(client)[name] = Mock(side_effect=AssertionError)
    with pytest.raises(BadInputError, match=r"^timeout: -1 is not"):
        getattr(client, call)([client.task(7)], timeout=-1)


@pytest.mark.parametrize("call", ["rerun", "remove", "wait", "cancel", "status"])
def test_asyncio_is_told_so_too(server: Server, call: str) -> None:
    async def main() -> None:
        async with AsyncClient(server.connect, connect_timeout=LONGEST_WAIT) as client:
            for name in ("_ask_ended", "_await", "_cancel", "_look"):
                vars(client)[name] = Mock(side_effect=AssertionError)
            with pytest.raises(BadInputError, match=r"^timeout: -1 is not"):
                await getattr(client, call)([client.task(7)], timeout=-1)

    asyncio.run(main())


def test_a_question_is_looked_for_among_those_that_are_late_only_once() -> None:
    compared = 0

    class Counted(Future[None]):
        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return self is other

        def __hash__(self) -> int:
            return id(self) >> 4

    futures = [Counted() for _ in range(200)]
    for future in futures[:100]:
        future.set_result(None)
    with pytest.raises(TimedOutError, match="has not answered 100 of 200 questions"):
        check_answered_all(futures, 1.0)
    assert compared < 1000


def test_several_handles_of_a_task_are_all_told_when_it_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    end = End("x", "done", Outcome())

    def wait(_: object, names: list[str]) -> list[Future[End]]:
        ended: list[Future[End]] = [Future() for _ in names]
        for future in ended:
            future.set_result(end)
        return ended

    monkeypatch.setattr("mwapp.client.background.Background.wait", wait)
    with Client(NOBODY) as client:
        tasks = [client.task("x"), client.task("x"), client.task("y")]
        tasks.append(tasks[0])
        found = list(client.as_completed(tasks))
        assert sorted(map(id, found)) == sorted(map(id, tasks[:3])), "one that is there twice is told once"

    async def main() -> None:
        async with AsyncClient(NOBODY) as client:
            tasks = [client.task("x"), client.task("x")]
            assert {id(task) async for task in client.as_completed(tasks)} == set(map(id, tasks))

    asyncio.run(main())


def test_nothing_is_asked_for_nothing(client: Client) -> None:
    assert client.submit_many([]) == []
    assert client.wait([]) == []
    assert list(client.as_completed([])) == []
    client.cancel([])
    begun = threading.Event()
    client._background._loop.call(begun.set)
    assert begun.wait(LONGEST_WAIT)
    assert parts(client) == 0


def test_a_task_of_one_client_is_none_of_the_other_kind(client: Client) -> None:
    task: Any = AsyncTask(None, "x", str)  # type: ignore[arg-type]  # no client is needed to be refused
    with pytest.raises(BadInputError, match="is not a Task"):
        client.wait([task])


# ---------------------------------------------------------------- asyncio


async def attempts(connect: str) -> None:
    """Time limits, cancelled waits, and a client that is closed meanwhile."""
    client: Any
    async with AsyncClient(connect, connect_timeout=LONGEST_WAIT) as client:
        task = client.task("x")
        with pytest.raises(TimedOutError):
            await task.result(timeout=0.05)
        with pytest.raises(TimedOutError):
            await anext(client.as_completed([task], timeout=0.05))
        for call in (task.cancel, task.status, task.done, task.rerun, task.remove):
            with pytest.raises(TimedOutError):
                await call(timeout=0.05)
        cancelled = asyncio.create_task(task.wait())
        await asyncio.sleep(0.05)
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
        while parts(client):
            await asyncio.sleep(0.01)
        assert (await client.submit_many([]), await client.wait([])) == ([], [])
        waiting = [asyncio.create_task(call()) for call in (task.wait, task.status, task.cancel)]
        waiting.append(asyncio.create_task(client.submit("true")))
        await asyncio.sleep(0.05)
    for future in waiting:
        with pytest.raises(ClosedError, match="this client is closed: make a new one"):
            await future
    with pytest.raises(ClosedError):
        await client.submit("true")


def test_asyncio(server: Server) -> None:
    asyncio.run(attempts(server.connect))


def test_a_closed_event_loop_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """Somebody left the loop before all had ended, and then the program's event loop ended."""
    first, second = Future[int](), Future[int]()
    first.set_result(1)

    async def leaves() -> None:
        async for _ in _each([first, second]):
            return

    asyncio.run(leaves())
    second.set_result(2)
    assert caplog.text == ""


def test_names(client: Client) -> None:
    assert isinstance(client.task(7), Task)
    assert client.task(7).name == client.task("/tasks/task-0000000007").name == "task-0000000007"
    assert repr(client.task("x")) == "<Task x>"
    for made_by_hand in ("a b", "café", "٣", "...", "x" * 1000):
        assert client.task(made_by_hand).name == made_by_hand
