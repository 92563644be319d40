"""mwapp's own client: submits tasks, and has each one's result."""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace

from chaos.cluster import TlsFiles
from mwapp import Call, Client
from mwapp.core.client import Refusal, Submit
from mwapp.core.protocol import DONE, Outcome
from mwapp.core.session import Process
from mwapp.core.task import Task
from mwapp.core.wait import Wait
from mwapp.loop import Loop
from mwapp.zookeeper.connect_string import Servers

CLIENT_SESSION_SECONDS = 10.0
CLIENT_SECONDS = 120.0  # for all that it submits and waits for


class BenchError(Exception):
    """What was to be measured did not work."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where clients connect, and with which certificate, if they need one."""

    connect: str
    tls: TlsFiles | None = None

    @property
    def servers(self) -> Servers:
        """As mwapp's clients take it."""
        return replace(Servers.parse(self.connect), tls=self.tls.read() if self.tls else None)


class _Client:
    """Submits a task whenever it is told to, and tells when the client has read a result."""

    def __init__(
        self, place: Place, task: Task, begin: Callable[[], None], ended: Callable[[], None]
    ) -> None:
        self._task, self._told = task, ended
        self._begin: Callable[[], None] | None = begin
        self._problem: str | None = None
        self.names: list[str] = []  # of the tasks
        process = Process()
        self._wait = Wait(process, [], ended=self._ended, finished=lambda: None)
        self._submit = Submit(
            process, [], accepted=self._accepted, refused=self._refused, finished=self._connected
        )
        self._loop = Loop(process, place.servers, CLIENT_SESSION_SECONDS)

    def run(self) -> None:
        """Until it is stopped. Raises BenchError, and what the loop raises."""
        self._loop.run(connect_timeout=CLIENT_SECONDS, timeout=CLIENT_SECONDS)
        if self._problem is not None:
            raise BenchError(self._problem)

    def stop(self) -> None:
        self._loop.stop()

    def submit(self) -> None:
        self._submit.add(replace(self._task, key=uuid.uuid4().hex))

    def _connected(self) -> None:
        """Nothing is left to be submitted, which it says for the first time when it is connected."""
        begin, self._begin = self._begin, None
        if begin is not None:
            begin()

    def _accepted(self, _: int, name: str) -> None:
        self.names.append(name)
        self._wait.add(name)

    def _refused(self, _: int, refusal: Refusal) -> None:
        self._fail(f"a task was refused: {refusal.reason}")

    def _ended(self, name: str, state: str | None, outcome: Outcome | None) -> None:
        if state == DONE:
            self._told()
        else:
            self._fail(f"{name} ended as {state}: {outcome}")

    def _fail(self, problem: str) -> None:
        self._problem = self._problem or problem
        self._loop.stop()


def throughput(place: Place, task: Task, tasks: int) -> tuple[float, list[str]]:
    """Submit so many as fast as they are taken.

    Returns tasks per second until the last result has been read, and the tasks' names.
    """
    began, left = 0.0, tasks

    def begin() -> None:
        nonlocal began
        began = time.perf_counter()
        for _ in range(tasks):
            client.submit()

    def ended() -> None:
        nonlocal left
        left -= 1
        if not left:
            client.stop()

    client = _Client(place, task, begin, ended)
    client.run()
    return tasks / (time.perf_counter() - began), client.names


def lone(place: Place, task: Task, times: int, rest: float) -> tuple[list[float], list[str]]:
    """One task at a time, each after a rest.

    Returns seconds from submission to having the result, of each, and the tasks' names.
    """
    seconds: list[float] = []
    began = 0.0

    def begin() -> None:
        nonlocal began
        time.sleep(rest)
        began = time.perf_counter()
        client.submit()

    def ended() -> None:
        seconds.append(time.perf_counter() - began)
        if len(seconds) < times:
            begin()
        else:
            client.stop()

    client = _Client(place, task, begin, ended)
    client.run()
    return seconds, client.names


def lone_in_python(place: Place, task: Task, times: int, rest: float) -> tuple[list[float], list[str]]:
    """The same by the client of programs in Python, which connects first."""
    call = Call(handler=task.handler, argument=task.argument)
    seconds: list[float] = []
    ca, cert = (str(place.tls.ca), str(place.tls.cert)) if place.tls else (None, None)
    with Client(place.connect, connect_timeout=CLIENT_SECONDS, tls_ca=ca, tls_cert=cert) as client:
        first = client.submit(call)
        first.result(CLIENT_SECONDS)
        names = [first.name]
        for _ in range(times):
            time.sleep(rest)
            began = time.perf_counter()
            submitted = client.submit(call)
            submitted.result(CLIENT_SECONDS)
            seconds.append(time.perf_counter() - began)
            names.append(submitted.name)
    return seconds, names
