"""Tasks and handlers without network: what the kernel refuses them; where it cannot, nothing starts."""

import errno
import json
import platform
import queue
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mwapp.core.messages import Exited, OpenShard, PromoteShard, Run, ShardSays
from mwapp.core.task import Task
from mwapp.errors import BadInputError
from mwapp.execution import no_network, remote
from mwapp.execution.no_network import NoFilterError, refuse_network
from mwapp.execution.privileges import find_user
from mwapp.execution.remote import RemoteRunner
from testbed.users import becomes_nobody
from testbed.waiting import LONGEST_WAIT, alive, read_number
from tests.unit.handlers.harness import TOKEN
from tests.unit.patience import patient

__all__ = ["patient"]

ROOT = Path(__file__).parents[2]
FOREVER = 1e12
SETTING = "--no-task-network (task_network = false)"
needs_nobody = pytest.mark.skipif(not becomes_nobody(), reason="root, and a checkout that others can read")

# What it can do, by what it tries. All of it, in whatever runs, is of this module.
PROBE = r'''
import ctypes, errno, json, os, signal, socket, subprocess, sys
from mwapp.handlers import Shard

IO_URING_SETUP, X32_SOCKET = 425, 0x40000000 + 41
libc = ctypes.CDLL(None, use_errno=True)

def opened(what, *arguments):
    try:
        for one in what(*arguments) if what is socket.socketpair else [what(*arguments)]:
            one.close()
        return "open"
    except OSError as error:
        return errno.errorcode[error.errno]

def x32():
    """How a process ends that asks for a socket by a number of another architecture."""
    child = os.fork()
    if child == 0:
        libc.syscall(X32_SOCKET, socket.AF_INET, socket.SOCK_STREAM, 0)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def tries():
    found = {
        "TCP": opened(socket.socket, socket.AF_INET),
        "TCP over IPv6": opened(socket.socket, socket.AF_INET6),
        "UDP": opened(socket.socket, socket.AF_INET, socket.SOCK_DGRAM),
        "raw": opened(socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP),
        "netlink": opened(socket.socket, socket.AF_NETLINK, socket.SOCK_RAW),
        "packet": opened(socket.socket, socket.AF_PACKET, socket.SOCK_RAW),
        "a pair": opened(socket.socketpair, socket.AF_INET),
        "Unix socket": opened(socket.socket, socket.AF_UNIX),
        "a Unix pair": opened(socket.socketpair),
    }
    libc.syscall(IO_URING_SETUP, 1, None)
    found["io_uring"] = errno.errorcode[ctypes.get_errno()]
    found["x32"] = x32()
    # The kernel then starts a setuid program without its rights.
    status = dict(line.split(":\t", 1) for line in open("/proc/self/status"))
    found["NoNewPrivs"] = int(status["NoNewPrivs"])
    return found

def handler(argument, run):
    """A process below the handler's."""
    return json.loads(subprocess.check_output([sys.executable, __file__]))

class Store(Shard):
    def open(self, term):
        raise RuntimeError(json.dumps(tries()))

if __name__ == "__main__":
    print(json.dumps(tries()))
'''
REFUSED: dict[str, str | int] = {
    **dict.fromkeys(("TCP", "TCP over IPv6", "UDP", "raw", "netlink", "packet", "a pair"), "EACCES"),
    **dict.fromkeys(("Unix socket", "a Unix pair"), "open"),
    "io_uring": "EPERM",
    "NoNewPrivs": 1,
}
if platform.machine() == "x86_64":
    REFUSED["x32"] = -signal.SIGSYS
# What nobody is refused who has the network.
FREE = dict.fromkeys(("TCP", "UDP", "netlink", "Unix socket", "a Unix pair"), "open")


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the probe is installed, for a runner to find; others can read it."""
    with tempfile.TemporaryDirectory() as made:
        home = Path(made)
        home.chmod(0o755)
        info = home / "probe-1.dist-info"
        info.mkdir()
        (home / "probe.py").write_text(PROBE)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: probe\nVersion: 1\n")
        (info / "entry_points.txt").write_text(
            "[mwapp.handlers]\nprobe = probe:handler\nstore = probe:Store\n"
        )
        monkeypatch.setenv("PYTHONPATH", f"{home}:{ROOT}")
        yield home


class Nobody:
    """A runner that is this user, and what it tells."""

    def __init__(self, *, network: bool) -> None:
        self.told: queue.SimpleQueue[Exited | ShardSays] = queue.SimpleQueue()
        user = find_user("nobody", "--task-user")
        self.runner = RemoteRunner(user, None, "info", "text", network=network).begin(self.told.put)

    def __enter__(self) -> "Nobody":
        return self

    def __exit__(self, *_: object) -> None:
        self.runner.kill_all()

    def task(self, task: Task) -> Exited:
        self.runner.start(Run(1, task, TOKEN))
        exited = self.told.get(timeout=LONGEST_WAIT)
        assert isinstance(exited, Exited)
        assert exited.code == 0, exited
        return exited

    def shard(self, handler: str | None, command: str | None) -> Any:
        """What is behind the colon of the reason why it is closed."""
        self.runner.tell_shard(OpenShard(2, "t", 3, "w", handler, command, 7, "", {"w": "sync"}, FOREVER))
        if command is not None:
            self.runner.tell_shard(PromoteShard(2, 8, {"w": "sync"}, FOREVER))
        while True:
            said = self.told.get(timeout=LONGEST_WAIT)
            assert isinstance(said, ShardSays)
            if said.said == "closed":
                reason = said.reason or ""
                return json.JSONDecoder().raw_decode(reason, reason.index("{"))[0]


@pytest.mark.processes
@needs_nobody
def test_all_that_runs_has_unix_sockets_and_no_others(site: Path) -> None:
    command = f"{sys.executable} {site}/probe.py"
    with Nobody(network=False) as nobody:
        found = {
            "command": json.loads(nobody.task(Task(f"setsid {command} | cat")).output),
            "handler": json.loads(nobody.task(Task(handler="probe")).result or ""),
            "shard's command": nobody.shard(None, command),
            "shard's handler": nobody.shard("store", None),
        }
    for who, its in found.items():
        assert {what: its[what] for what in REFUSED} == REFUSED, who


@pytest.mark.processes
@needs_nobody
def test_nothing_of_it_holds_where_nobody_asked_for_it(site: Path) -> None:
    with Nobody(network=True) as nobody:
        found = json.loads(nobody.task(Task(f"{sys.executable} {site}/probe.py")).output)
    assert {what: found[what] for what in FREE} == FREE


# ------------------------------------------------------------ where it cannot be had


@pytest.mark.processes
@needs_nobody
def test_without_the_library_nothing_starts_and_the_package_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o755)
        Path(made, no_network.LIBRARY).touch(0o755)
        monkeypatch.setenv("LD_LIBRARY_PATH", made)
        with pytest.raises(BadInputError) as refused:
            Nobody(network=False)
    assert str(refused.value) == (
        f"{SETTING}: {made}/libseccomp.so.2: file too short: "
        "install the package libseccomp2, or leave this out"
    )


# A worker that may not filter system calls, because a filter does with seccomp() and the like what is said.
FORBIDDEN = """
import errno, json, sys
from contextlib import suppress
from mwapp.execution import no_network
filtered = no_network._Comparison(0, 4, 22)  # prctl(PR_SET_SECCOMP)
no_network._ERROR = int(sys.argv[1])
no_network._REFUSED = (("seccomp", 0, ()), ("prctl", 0, (filtered,)))
with suppress(no_network.NoFilterError):
    no_network.refuse_network()
from mwapp.errors import BadInputError
from mwapp.execution.privileges import find_user
from mwapp.execution.remote import RemoteRunner
try:
    RemoteRunner(find_user("nobody", "--task-user"), None, "info", "text", network=False)
except BadInputError as refused:
    print(refused)
"""


@pytest.mark.processes
@needs_nobody
@pytest.mark.parametrize(
    ("does", "said"),
    [
        (0x00050000 | 22, "the kernel filters no system calls: use one with CONFIG_SECCOMP_FILTER"),
        (
            0x80000000,
            "its unit forbids this process to filter system calls: add SystemCallFilter=seccomp to the unit",
        ),
    ],
    ids=["an error", "death"],
)
def test_where_the_kernel_cannot_nothing_starts_and_the_remedy_is_named(does: int, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORBIDDEN, str(does)], capture_output=True, text=True, check=False
    )
    assert done.stdout == f"{SETTING}: {said}, or leave this out\n", done.stderr


@pytest.mark.processes
@needs_nobody
def test_whatever_else_ends_it_nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(BadInputError, match="tasks has ended with exit status 1: look at what it has said"):
        Nobody(network=False)


@pytest.mark.processes
@needs_nobody
def test_who_is_never_told_waits_no_longer_and_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o777)
        stuck = Path(made, "stuck")
        stuck.write_text(f"#!/bin/sh\necho $$ >{made}/pid\nexec sleep 1000\n")
        stuck.chmod(0o755)
        monkeypatch.setattr(sys, "executable", str(stuck))
        monkeypatch.setattr(remote, "START_TIME", 3.0)
        with pytest.raises(
            BadInputError, match=r"tasks has said nothing for 3 s: look at the host's load, or"
        ):
            Nobody(network=False)
        assert not alive(read_number(Path(made, "pid")))


def library(**returned: int) -> SimpleNamespace:
    """In place of libseccomp: functions that only return something."""

    def function(name: str) -> Callable[..., int]:
        return lambda *_: returned.get(name, 0)

    names = ("init", "syscall_resolve_name", "rule_add_array", "load", "release")
    return SimpleNamespace(**{f"seccomp_{name}": function(name) for name in names})


@pytest.mark.parametrize(
    ("instead", "said"),
    [
        (library(rule_add_array=-22), "libseccomp.so.2 cannot filter socket: install a newer package libs"),
        (library(load=-125), "the kernel filters no system calls: use one with CONFIG_SECCOMP_FILTER"),
        (library(), "the kernel filters no system calls: use one with CONFIG_SECCOMP_FILTER"),
    ],
    ids=["an old library", "an old kernel", "a filter that does nothing"],
)
def test_what_only_seems_to_filter_is_refused(
    monkeypatch: pytest.MonkeyPatch, instead: SimpleNamespace, said: str
) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _: instead)
    with pytest.raises(NoFilterError, match=said):
        refuse_network()


@pytest.mark.parametrize(
    ("load", "error"),
    [(-125, errno.EACCES), (0, errno.EAFNOSUPPORT)],
    ids=["below another filter", "a host without IPv4"],
)
def test_that_sockets_are_refused_for_another_reason_is_not_enough(
    monkeypatch: pytest.MonkeyPatch, load: int, error: int
) -> None:
    def refused(_: int) -> None:
        raise OSError(error, "no socket")

    monkeypatch.setattr("ctypes.CDLL", lambda _: library(load=load))
    monkeypatch.setattr("socket.socket", refused)
    with pytest.raises(NoFilterError, match="the kernel filters no system calls"):
        refuse_network()
