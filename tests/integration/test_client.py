"""Programs in Python that submit tasks and wait for them, on a real application and a network that is cut."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from mwapp import AsyncClient, Call, Client, Task
from mwapp.core.session import Part
from mwapp.core.wait import Wait
from mwapp.errors import (
    ClosedError,
    FullError,
    NotFoundError,
    RefusedError,
    TaskFailedError,
    TimedOutError,
)
from testbed.daemons import Daemon, Site
from testbed.ensemble import Ensemble
from testbed.network import Network, Trap
from testbed.waiting import LONGEST_WAIT, wait_for
from tests.integration import chores, replay

ROOT = str(Path(__file__).parents[2])
MANY = 250  # several transactions


@pytest.fixture
def site(ensemble: Ensemble, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    chroot = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)
    with Site(f"{ensemble.connect_string}/{chroot}", tmp_path) as site:
        yield site


def start(site: Site, *options: str) -> Daemon:
    """A master and a worker; returns the worker."""
    site.start("master", "m").wait_for_state("active")
    worker = site.start("worker", "w", *options, PYTHONPATH=ROOT)
    worker.wait_for_state("ready")
    return worker


@pytest.fixture
def client(site: Site) -> Iterator[Client]:
    """With a master and a worker of four slots."""
    start(site, "--slots", "4")
    with Client(site.connect, connect_timeout=LONGEST_WAIT) as client:
        yield client


@pytest.fixture
def network(ensemble: Ensemble) -> Iterator[Network]:
    network = Network(ensemble.connect_string)
    yield network
    network.close()


@pytest.fixture
def cut(site: Site, network: Network) -> Iterator[Client]:
    """A client behind a network that can be cut; the daemons are not."""
    start(site, "--slots", "4")
    with Client(network.connect_string + site.chroot, connect_timeout=2 * LONGEST_WAIT) as client:
        yield client


# ---------------------------------------------------------------- what comes of a task


def test_a_command(client: Client) -> None:
    task = client.submit("echo hello; echo $COLOUR; pwd", env={"COLOUR": "red"}, directory="/")
    assert task.result(LONGEST_WAIT) == "hello\nred\n/\n"
    end = task.wait()
    assert (end.task, end.state, end.outcome.worker, end.outcome.code) == (task.name, "done", "w", 0)
    assert task.done()
    assert client.task(task.name).result() == task.result()
    client.close()
    assert task.result() == "hello\nred\n/\n", "it is known"


def test_a_handler(client: Client) -> None:
    task = client.submit(chores.add, 1, y=40)
    assert task.result(LONGEST_WAIT) == 41
    assert task.wait().outcome.output == "adding 1 and 40"
    assert client.task(task.name).result() == 41
    assert client.task(task.name, chores.add).result() == 41
    assert client.submit(chores.tells_its_run).result()[1:] == [1, "w"]
    assert client.submit(Call(handler="echo", argument=[1])).result() == [1]


@pytest.mark.parametrize("value", [None, "", "one\ntwo", "ä\u2028\0", [1, {"a": None}], 1.5, '"\\' * 7999])
def test_what_is_returned_comes_back(client: Client, value: object) -> None:
    assert client.submit(chores.returns, value).result(LONGEST_WAIT) == value


def test_what_fails_says_why(client: Client) -> None:
    tasks: list[Task[Any]] = [
        client.submit(chores.fails, "no such picture"),
        client.submit("echo so; exit 3"),
        client.submit(chores.large, 16_100),
        client.submit(Call(handler="tests.integration.chores:no_handler")),
        client.submit(Call(handler="tests.integration.absent:add")),
        client.submit(Call(handler="add", argument={})),
        client.submit(Call(handler=chores.add.name, argument={"z": 1})),
    ]
    whys = [
        "failed: exit status 1: ValueError: no such picture",
        "failed: exit status 3: so",
        "the result has 32202 bytes of JSON, the limit is 32000: store it elsewhere and return where it is",
        "tests.integration.chores:no_handler is not a handler: write @handler above its definition",
        "cannot be loaded: ModuleNotFoundError: No module named 'tests.integration.absent'",
        "unknown handler 'add'; known handlers: echo",
        "TypeError: add() got an unexpected keyword argument 'z'",
    ]
    for task, why in zip(tasks, whys, strict=True):
        with pytest.raises(TaskFailedError) as told:
            task.result(LONGEST_WAIT)
        assert why in str(told.value)
        assert told.value.end == task.wait()
    assert client.submit(chores.large, 15_900).result(LONGEST_WAIT) == "ä" * 15_900


def test_what_ends_by_a_signal_says_so_the_same_everywhere(site: Site) -> None:
    """Also if it is the shell that says so, and other ends keep their own reason."""
    site.start("master", "m", "--max-attempts", "1").wait_for_state("active")
    worker = site.start("worker", "w", "--slots", "9", PYTHONPATH=ROOT)
    worker.wait_for_state("ready")
    with Client(site.connect, connect_timeout=LONGEST_WAIT) as client:
        whys = {
            client.submit("kill -KILL $$").name: "killed by SIGKILL",
            client.submit("sh -c 'kill -KILL $$'; exit $?").name: "killed by SIGKILL",
            client.submit("sh -c 'kill -TERM $$'; exit $?").name: "killed by SIGTERM",
            client.submit(chores.dies, 9).name: "killed by SIGKILL",
            client.submit(chores.dies, 11).name: "killed by SIGSEGV",
            client.submit("sleep 600", run_timeout=0.3).name: "timed out after 0.3 s",
            client.submit(chores.sleeps.call(600).options(run_timeout=0.3)).name: "timed out after 0.3 s",
        }
        cancelled, lost = client.submit("sleep 600"), client.submit("sleep 601")
        wait_for("both run", lambda: {lost.name, cancelled.name} <= set(worker.running()))
        cancelled.cancel()
        whys[cancelled.name] = "cancelled"
        client.wait([client.task(name) for name in whys], LONGEST_WAIT)
        worker.kill()
        worker.release()
        whys[lost.name] = "given up after 1 attempts: 1 workers died while running it"
        tasks = [client.task(name) for name in whys]
        ends = client.wait(tasks, LONGEST_WAIT)
        assert {end.task: end.outcome.reason for end in ends} == whys
        views = client.status(tasks)
        assert {view.task: view.outcome.reason for view in views if view.outcome} == whys
        with pytest.raises(TaskFailedError, match="failed: killed by SIGTERM"):
            tasks[2].result()
    for command in ("tasks", "wait"):
        told = site.json(command, *whys, status=None)
        assert {one["task"]: one["reason"] for one in told} == whys


def test_the_command_line_and_programs_know_each_other_s_tasks(client: Client, site: Site) -> None:
    name = site.mwapp("submit", "--handler", chores.add.name, "--argument", '{"x": 1}').strip()
    assert client.task(name, chores.add).result(LONGEST_WAIT) == 3
    task = client.submit("true")
    assert site.json("wait", task.name)[0]["state"] == "done"


# ---------------------------------------------------------------- several, names, states


def test_several_as_they_end(client: Client, tmp_path: Path) -> None:
    tasks = client.submit_many([chores.awaits.call(f"{tmp_path}/{number}", number) for number in range(3)])
    ended = client.as_completed(tasks, 2 * LONGEST_WAIT)
    for number in (1, 2, 0):
        (tmp_path / str(number)).touch()
        assert next(ended).result() == number
    assert list(ended) == []
    assert [task.result() for task in tasks] == [0, 1, 2]
    assert {task.name for task in client.as_completed(tasks)} == {task.name for task in tasks}, "known"


def test_several_in_time_and_not(client: Client) -> None:
    quick, slow = client.submit_many(["true", "sleep 600"])
    quick.wait(LONGEST_WAIT)
    completed = client.as_completed([slow, quick], timeout=2)
    assert next(completed) is quick
    with pytest.raises(TimedOutError, match="timeout: 1 of 2 tasks did not end within 2 s"):
        next(completed)
    with pytest.raises(TimedOutError):
        client.wait([slow, quick], timeout=0)
    slow.cancel()
    assert [end.state for end in client.wait([slow, quick], LONGEST_WAIT)] == ["cancelled", "done"]


def test_a_name_is_one_task_however_often_it_is_submitted(client: Client) -> None:
    first = client.submit("echo $MWAPP_ATTEMPT", name="once")
    again = client.submit("echo $MWAPP_ATTEMPT", name="once")
    assert (first.name, again.name) == ("once", "once")
    assert first.result(LONGEST_WAIT) == again.result(LONGEST_WAIT) == "1\n"
    with pytest.raises(RefusedError, match="not submitted: another task has the name once"):
        client.submit("other", name="once")
    with pytest.raises(RefusedError, match="1 of 2 tasks: not submitted: another task") as told:
        client.submit_many([Call("other", name="once"), Call("true", name="other")])
    assert [task.name for task in told.value.submitted] == ["other"]


def test_a_full_queue_takes_what_it_can(site: Site) -> None:
    with Client(site.connect, max_tasks=2) as client:
        with pytest.raises(FullError, match=r"3 of 5 tasks: not submitted: .*\(max_tasks\)") as told:
            client.submit_many(["true"] * 5)
        assert [task.name for task in told.value.submitted] == ["task-0000000000", "task-0000000001"]
        with pytest.raises(FullError, match="Submit again later"):
            client.submit("true")


def test_states(client: Client) -> None:
    runs = client.submit("sleep 600")
    waits = client.submit("true", labels=["gpu"])
    wait_for("it runs", lambda: runs.status().state == "assigned")
    assert runs.status().worker == "w"
    assert [view.state for view in client.status([waits, runs])] == ["queued", "assigned"]
    assert not runs.done()
    for task in (runs, waits):
        task.cancel()
        assert task.wait(LONGEST_WAIT).state == "cancelled"
        with pytest.raises(TaskFailedError, match=f"{task.name} was cancelled"):
            task.result()
    assert runs.status().outcome == runs.wait().outcome


@pytest.mark.parametrize("call", ["wait", "result", "status", "cancel", "done"])
def test_a_task_that_does_not_exist(site: Site, call: str) -> None:
    with Client(site.connect) as client, pytest.raises(NotFoundError, match="no such task: task-0000000077"):
        getattr(client.task(77), call)()


def test_a_task_that_does_not_exist_hides_no_other(client: Client) -> None:
    tasks = [client.task(77), client.submit("true")]
    assert {task.name for task in client.as_completed(tasks, LONGEST_WAIT)} == {task.name for task in tasks}
    with pytest.raises(NotFoundError):
        client.wait(tasks, LONGEST_WAIT)


def test_threads_share_a_client(client: Client) -> None:
    def adds(number: int) -> int:
        return client.submit(chores.add, number, 0).result(LONGEST_WAIT)

    with ThreadPoolExecutor(20) as threads:
        assert list(threads.map(adds, range(100))) == list(range(100))


# ---------------------------------------------------------------- connections are lost


def submission(frame: bytes) -> bool:
    return b"/tasks/task-" in frame and b"echo" in frame


@pytest.mark.parametrize("committed", [False, True], ids=["never sent", "reply lost"])
def test_a_submission_is_one_task_though_its_connection_is_lost(
    cut: Client, network: Network, site: Site, committed: bool
) -> None:
    network.trap = Trap(submission, committed=committed)
    task = cut.submit("echo $MWAPP_TASK")
    assert network.trap.caught.is_set()
    assert task.result(LONGEST_WAIT) == f"{task.name}\n"
    network.trap = Trap(submission, committed=committed)
    tasks = cut.submit_many([f"echo {number}" for number in range(MANY)])
    assert network.trap.caught.is_set()
    assert [task.result(2 * LONGEST_WAIT) for task in tasks] == [f"{number}\n" for number in range(MANY)]
    assert len(site.json("tasks", "--limit", "0")) == MANY + 1


@pytest.mark.parametrize("committed", [False, True], ids=["never sent", "reply lost"])
def test_a_cancel_request_arrives_though_its_connection_is_lost(
    cut: Client, network: Network, committed: bool
) -> None:
    task = cut.submit("sleep 600")
    network.trap = Trap(lambda frame: b"/cancel/" in frame, committed=committed)
    task.cancel()
    assert network.trap.caught.is_set()
    assert task.wait(LONGEST_WAIT).state == "cancelled"


@pytest.mark.parametrize("committed", [False, True], ids=["never sent", "reply lost"])
def test_a_task_runs_again_once_though_the_connection_is_lost(
    cut: Client, network: Network, tmp_path: Path, committed: bool
) -> None:
    task = cut.submit(f"echo $MWAPP_ATTEMPT | tee -a {tmp_path}/runs")
    assert task.result(LONGEST_WAIT) == "1\n"
    network.trap = Trap(lambda frame: b"/requests/" in frame, committed=committed)
    task.rerun()
    assert network.trap.caught.is_set()
    assert task.result(LONGEST_WAIT) == "2\n"
    assert (tmp_path / "runs").read_text() == "1\n2\n"


def test_who_waits_outlives_cuts_and_servers(
    cut: Client, network: Network, ensemble: Ensemble, tmp_path: Path
) -> None:
    """Cuts, and the server that it is connected to is killed, whichever it is."""
    flags = [tmp_path / str(number) for number in range(4)]
    tasks = cut.submit_many([f"until [ -e {flag} ]; do sleep 0.05; done" for flag in flags])
    ended: list[str] = []
    waits = threading.Thread(target=lambda: ended.extend(task.name for task in cut.as_completed(tasks)))
    waits.start()
    faults: list[Callable[[], None]] = [network.cut, *(server.kill for server in ensemble.servers)]
    for flag, task, fault in zip(flags, tasks, faults, strict=True):
        fault()
        flag.touch()
        wait_for(f"{task.name} has ended", lambda name=task.name: name in ended, 2 * LONGEST_WAIT)  # type: ignore[misc]  # a default binds it now
        ensemble.heal()
    waits.join(LONGEST_WAIT)
    assert ended == [task.name for task in tasks]


def test_a_session_that_ends_is_followed_by_another(
    cut: Client, network: Network, ensemble: Ensemble
) -> None:
    first = cut.submit("true")
    session = cut._background._process.session
    assert session is not None
    network.mute = network.deaf = True
    assert replay.end_of(ensemble, session).expired
    network.heal()
    assert cut.submit("echo again").result(LONGEST_WAIT) == "again\n"
    assert first.wait(LONGEST_WAIT).state == "done"
    assert cut._background._process.session != session


def test_a_client_that_is_closed_leaves_its_tasks(client: Client, site: Site, tmp_path: Path) -> None:
    task = client.submit(f"until [ -e {tmp_path}/go ]; do sleep 0.05; done; echo done")
    problems: list[BaseException] = []

    def waits() -> None:
        try:
            task.wait()
        except ClosedError as problem:
            problems.append(problem)

    thread = threading.Thread(target=waits)
    thread.start()
    wait_for("it waits", lambda: client._background._open)
    client.close()
    thread.join(LONGEST_WAIT)
    assert [str(problem) for problem in problems] == ["this client is closed: make a new one"]
    (tmp_path / "go").touch()
    with Client(site.connect) as another:
        assert another.task(task.name).result(LONGEST_WAIT) == "done\n"


def test_hours_of_calls_leave_nothing_behind(client: Client) -> None:
    for _ in range(3):
        client.submit(chores.add, 1).result(LONGEST_WAIT)
    loop = client._background._process
    wait_for("nothing is worked on", lambda: not (loop._parts or client._background._open))
    assert not loop._pending


# ---------------------------------------------------------------- asyncio


def test_asyncio(site: Site, tmp_path: Path) -> None:
    start(site, "--slots", "4")

    async def works() -> None:
        async with AsyncClient(site.connect) as client:
            task = await client.submit(chores.add, 1)
            assert await task.result(LONGEST_WAIT) == 3
            flags = [tmp_path / str(number) for number in range(2)]
            tasks = await client.submit_many([chores.awaits.call(str(flags[n]), n) for n in range(2)])
            ended = []
            flags[1].touch()
            async for one in client.as_completed(tasks):
                ended.append(await one.result())
                flags[0].touch()
            assert ended == [1, 0]
            assert [end.state for end in await client.wait(tasks)] == ["done", "done"]
            assert await asyncio.gather(*(task.result() for task in tasks)) == [0, 1]
            assert await client.task(task.name, chores.add).result() == 3
            assert (await client.task(task.name).status()).state == "done"
            assert await task.done()
            with pytest.raises(NotFoundError):
                await client.task(77).wait()
            with pytest.raises(RefusedError):
                await client.submit_many([Call("true", name="once"), Call("false", name="once")])

    asyncio.run(works())


async def _watched(parts: list[Part], before: list[Part]) -> None:
    """Until one that was not there before watches a task."""
    while not any(isinstance(part, Wait) and part._watched for part in parts if part not in before):
        await asyncio.sleep(0.01)


def test_who_stops_waiting_stops_no_task(site: Site, tmp_path: Path) -> None:
    start(site)

    async def works() -> None:
        async with AsyncClient(site.connect) as client:
            task: Any = await client.submit(f"until [ -e {tmp_path}/go ]; do sleep 0.05; done; echo done")
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(task.wait(), 0.2)
            with pytest.raises(TimedOutError):
                await task.wait(timeout=0.1)
            parts = client._background._process._parts
            before = list(parts)  # the two that were given up may not have stopped yet
            waits = asyncio.create_task(task.result())
            await asyncio.wait_for(_watched(parts, before), LONGEST_WAIT)
            waits.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waits
            (tmp_path / "go").touch()
            assert await task.result(LONGEST_WAIT) == "done\n"
            endless = await client.submit("sleep 600")
            async for _ in client.as_completed([endless, task]):
                break  # and nobody waits for the other any more
            await endless.cancel()
            assert (await endless.wait(LONGEST_WAIT)).state == "cancelled"

    asyncio.run(works())


def test_handles_are_what_they_seem(client: Client) -> None:
    task = client.submit("true")
    assert isinstance(task, Task)
    assert repr(task) == "<Task task-0000000000>"
