"""For all unit tests."""

import gc
import logging
import socket
import socketserver
import sys
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.unit.core_stage import Actor, Stage

# A machine that stands still for a moment fails no test.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


# What Python says of itself when it starts a process, or may be about to listen at a port.
_STARTS = {"os.fork", "os.forkpty", "os.posix_spawn", "subprocess.Popen"}
_SERVES = "socket.bind"
_logic_alone = False


def _look_out(event: str, arguments: tuple[Any, ...]) -> None:
    if _logic_alone and event in _STARTS:
        raise AssertionError("a test that starts a process is marked with @pytest.mark.processes")
    if _logic_alone and event == _SERVES and arguments[0].family != socket.AF_UNIX:
        raise AssertionError("a test that has a server of its own is marked with @pytest.mark.servers")


sys.addaudithook(_look_out)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """`make unit` runs none that starts a process or a server, so that it stays quick."""
    global _logic_alone  # an audit hook cannot be taken back
    marks = {mark.name for mark in item.iter_markers()}
    _logic_alone = not marks & {"processes", "servers"}
    try:
        return (yield)
    finally:
        _logic_alone = False


def pytest_collection_finish() -> None:
    """What has been collected stays until the end: it need not be searched for garbage."""
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def no_name_service() -> Iterator[None]:
    """Only localhost has an address: what a network answers, and when, is no matter of unit tests."""
    real = socket.getaddrinfo

    def look_up(host: str | bytes | None, *arguments: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        if name is None or name == "localhost" or _is_address(name):
            return real(host, *arguments, **options)
        name.encode("idna")  # what cannot be a name is refused at once
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", look_up)
        yield


@pytest.fixture(scope="session", autouse=True)
def servers_end_at_once() -> Iterator[None]:
    """A server of the standard library looks twice a second whether it is to end. Here hundreds do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socketserver.BaseServer.serve_forever, "__defaults__", (0.01,))
        yield


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """What a command sets up for its process is not to silence the tests after it."""
    log, disabled = logging.getLogger("mwapp"), logging.root.manager.disable
    before = log.level, log.handlers[:], log.propagate
    yield
    level, log.handlers[:], log.propagate = before
    log.setLevel(level)  # this also forgets what was found enabled
    logging.disable(disabled)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


@pytest.fixture
def stage() -> Stage:
    """An ensemble without faults, with nobody on it yet."""
    return Stage()


@pytest.fixture
def worker(stage: Stage) -> Actor:
    """It has a master."""
    stage.master("m1")
    return stage.worker("w1")
