"""A daemon turn by turn, on a clock of our own: what systemd and the log hear, and how it ends."""

import os
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from mwapp import clock
from mwapp.certificates import Serving
from mwapp.core.messages import Connected, Reply, Request, Suspended
from mwapp.core.session import Process
from mwapp.daemon.service import Daemon, Settings, _advertised
from mwapp.zookeeper.connect_string import Servers
from testbed.waiting import LONGEST_WAIT

pytestmark = pytest.mark.servers

NOBODY = Servers.parse("127.0.0.1:1")  # no server listens there


class Role:
    """Does nothing, and takes its time to end."""

    def __init__(self, process: Process, address: str) -> None:
        self.address = address
        self.state = "idle"
        process.add(self)

    def connected(self) -> None:
        """It does nothing."""

    suspended = expired = stop = connected

    def closed(self, _: int) -> None:
        """It needs to know of no session."""

    def exited(self, _: object) -> None:
        """It runs nothing."""

    def status(self) -> dict[str, Any]:
        return {"state": self.state}


class Harness:
    """A daemon that was started by systemd and turns when it is told to."""

    def __init__(self, home: Path, patch: pytest.MonkeyPatch) -> None:
        self._manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._manager.bind(str(home / "notify"))
        self._manager.setblocking(False)
        patch.setenv("NOTIFY_SOCKET", str(home / "notify"))
        patch.setenv("WATCHDOG_USEC", "1000000")
        self.roles: list[Role] = []
        self.now = time.monotonic()
        self.daemon = self.make()
        patch.setattr(
            "mwapp.daemon.service.time", SimpleNamespace(monotonic=lambda: self.now, time=time.time)
        )

    def make(
        self, advertise: str | None = None, *, tls: Serving | None = None, servers: Servers = NOBODY
    ) -> Daemon:
        settings = Settings("role", "r1", servers, 2.0, ("127.0.0.1", 0), advertise, listen_tls=tls)
        return Daemon(settings, self._build)

    def _build(self, process: Process, address: str) -> Role:
        self.roles.append(Role(process, address))
        return self.roles[-1]

    def turn(self, after: float = 0.2) -> None:
        """So many seconds after the last."""
        self.now += after
        self.daemon._turned()

    def session(self, *, there: bool) -> None:
        """The ensemble answers its first transaction, or nobody answers any more."""
        process = self.daemon._process
        for command in process.handle(clock.now(), Connected(1, 60.0) if there else Suspended()):
            if isinstance(command, Request):
                process.handle(clock.now(), Reply(command.number, (None,)))

    def told(self) -> list[str]:
        """What systemd has been told since the last time."""
        messages = []
        with suppress(BlockingIOError):
            while True:
                messages.append(self._manager.recv(1000).decode())
        return messages

    def close(self) -> None:
        self.daemon._notifier.close()
        threading.Thread(target=self.daemon._endpoint.close).start()  # takes half a second
        self._manager.close()


@pytest.fixture
def harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Harness]:
    harness = Harness(tmp_path, monkeypatch)
    yield harness
    harness.close()


# ---------------------------------------------------------------- systemd


def test_it_shows_that_it_lives_twice_in_its_time_but_not_in_every_turn(harness: Harness) -> None:
    signs: list[float] = []
    for turn in range(100):
        harness.turn(harness.daemon._loop.longest_turn if turn < 50 else 0.02)
        signs += [harness.now] * harness.told().count("WATCHDOG=1")
    assert len(signs) > 10
    assert all(0.2 < later - sooner <= 0.5 for sooner, later in pairwise(signs))


def test_it_turns_no_more_often_than_it_must_when_nothing_happens(harness: Harness) -> None:
    harness.turn()
    harness.turn(0.01)
    assert harness.daemon._loop.longest_turn <= 0.1, "there may be news"
    harness.turn(harness.daemon._loop.longest_turn)
    assert harness.daemon._loop.longest_turn == 0.25


def test_what_systemd_could_not_take_is_told_again(harness: Harness) -> None:
    while harness.daemon._notifier.send(NOISE=1):
        pass
    harness.session(there=True)
    harness.turn()
    harness.told()
    harness.turn()
    assert {"READY=1", "STATUS=role idle"} <= set(harness.told())
    harness.turn()
    assert harness.told() == ["WATCHDOG=1"], "once is enough"


def test_systemd_hears_how_it_is_and_not_how_it_was(harness: Harness) -> None:
    harness.turn()
    harness.told()
    harness.roles[0].state = "busy"
    harness.turn()
    assert "STATUS=role busy, no session with the ensemble yet" in harness.told()


def test_who_is_stopping_is_shown_as_stopping_until_its_end(harness: Harness) -> None:
    harness.turn()
    harness.told()
    harness.daemon._signalled(signal.SIGTERM, None)
    assert harness.told() == ["STOPPING=1\nSTATUS=stopping"]
    harness.roles[0].state = "draining"
    harness.turn()
    assert "STATUS" not in "".join(harness.told())


# ---------------------------------------------------------------- the log


def test_a_long_cut_is_a_line_in_the_log_each(harness: Harness, caplog: pytest.LogCaptureFixture) -> None:
    def lines() -> int:
        return [record.message for record in caplog.records].count(
            "--connect 127.0.0.1:1: no server answers; see `mwapp status`"
        )

    for seconds, there, so_far in (
        (9, False, 0),
        (3600, True, 0),
        (9, False, 0),
        (9, False, 1),
        (9, False, 1),
        (1, True, 1),
        (11, False, 2),
    ):
        harness.session(there=there)
        harness.turn(seconds)
        assert lines() == so_far


# ---------------------------------------------------------------- its end


def test_who_is_impatient_is_heeded_also_while_the_main_loop_is_busy(harness: Harness) -> None:
    for _ in range(2):  # before it turns
        harness.daemon._signalled(signal.SIGINT, None)
    late = threading.Timer(LONGEST_WAIT, harness.daemon._loop.abort)
    late.start()
    harness.daemon._loop.run()
    in_time = late.is_alive()
    late.cancel()
    assert in_time


def test_only_who_is_at_a_keyboard_can_be_impatient(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """systemd may send SIGTERM twice, and means the same by it."""
    ended: list[int] = []
    monkeypatch.setattr(harness.daemon._loop, "abort", lambda: ended.append(len(sent)))
    sent: list[int] = []
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
        sent.append(number)
        harness.daemon._signalled(number, None)
    assert ended == [3]


# ---------------------------------------------------------------- its address


def test_its_znode_shows_what_is_to_be_advertised_or_where_it_listens(harness: Harness) -> None:
    other = harness.make("front:80")
    threading.Thread(target=other._endpoint.close).start()
    own, advertised = (role.address for role in harness.roles)
    assert own == f"127.0.0.1:{harness.daemon._endpoint.port}"
    assert advertised == "front:80"


def test_its_znode_shows_that_its_endpoint_speaks_https(harness: Harness) -> None:
    tls = Serving(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), None)
    daemons = [harness.make(tls=tls), harness.make("front:80", tls=tls)]
    for daemon in daemons:
        threading.Thread(target=daemon._endpoint.close).start()
    assert [role.address for role in harness.roles[1:]] == [
        f"https://127.0.0.1:{daemons[0]._endpoint.port}",
        "https://front:80",
    ]


EARLY, LATE = (datetime(year, 1, 2, tzinfo=UTC) for year in (2030, 2031))


@pytest.mark.parametrize(
    ("own", "listening", "told"),
    [(EARLY, LATE, EARLY), (LATE, EARLY, EARLY), (None, LATE, LATE), (LATE, None, LATE), (None, None, None)],
)
def test_the_certificate_that_ends_first_is_told_of(
    harness: Harness, own: datetime | None, listening: datetime | None, told: datetime | None
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls: Any = SimpleNamespace(ends=own, context=context, connect=lambda: None)
    daemon = harness.make(tls=Serving(context, listening), servers=replace(NOBODY, tls=tls))
    threading.Thread(target=daemon._endpoint.close).start()
    document = daemon._picture(0.0).document()
    assert document["certificate_ends"] == (told and told.isoformat())


@pytest.mark.parametrize("everywhere", ["0.0.0.0", "::"])  # noqa: S104 - nobody listens
def test_who_listens_everywhere_is_found_by_the_name_of_its_host(everywhere: str) -> None:
    assert _advertised(everywhere, 80) == f"{os.uname().nodename}:80"
