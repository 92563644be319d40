"""A long-running role: its signals, systemd notifications, session file and status endpoint."""

import fcntl
import logging
import os
import signal
import socket
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

from mwapp import release
from mwapp.certificates import Serving
from mwapp.core.messages import Abandon, Command, Connected, Event, Expired, Resumed, Suspended
from mwapp.core.session import Process
from mwapp.daemon.endpoint import Endpoint
from mwapp.daemon.snapshot import Snapshot
from mwapp.daemon.systemd import Notifier
from mwapp.errors import OK, BadInputError
from mwapp.loop import LONGEST_TURN, Loop, MakeRunner
from mwapp.zookeeper.client import Up
from mwapp.zookeeper.connect_string import HTTPS, Servers, show

log = logging.getLogger(__name__)

# The shortest time between two snapshots for the endpoint, seconds.
PICTURE = 0.1

# A cut that lasts longer than this is logged, seconds.
LONG_CUT = 10.0

_CONNECTION = {Connected: "connected", Resumed: "connected", Suspended: "suspended", Expired: "expired"}


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of every daemon. ``advertise`` is host:port; None: derived from ``listen``. With
    ``listen_tls`` the endpoint speaks HTTPS."""

    role: str
    name: str
    servers: Servers
    session_timeout: float
    listen: tuple[str, int]
    advertise: str | None = None
    state_dir: Path | None = None
    listen_tls: Serving | None = None


class Described(Protocol):
    """An object that reports a role's state."""

    def status(self) -> dict[str, Any]:
        """For the status endpoint; at least ``state``."""


class Build(Protocol):
    """Creates the role's part, or parts, in the process."""

    def __call__(self, process: Process, address: str) -> Described:
        """``address`` is what the role's znode shows: host:port, or https://host:port."""


# The file in a state directory with the sessions of processes that were told to stop, and how many of them.
ENDED_FILE = "ended"
ENDED = 20


class StateDirectory:
    """Stores the session for :mod:`mwapp.release`, and keeps other processes out while this one lives.

    ``ended`` are the sessions of processes before this one that were told to stop.
    """

    def __init__(self, path: Path, servers: Servers) -> None:
        """Create it if it is missing; end the session that a killed process left there.

        Raises:
            BadInputError: it is unusable, or another process uses it.
        """
        self._path = str(path)
        self._connect = servers.tls.connect() if servers.tls else socket.create_connection
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Held until the process ends in any way; commands never inherit it.
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadInputError(f"--state-dir: another process uses {path}; give each its own") from None
        except OSError as problem:
            raise BadInputError(f"--state-dir: cannot use {path}: {problem.strerror}") from None
        release.release(self._path, self._connect)
        self.ended = self._read_ended(path / ENDED_FILE)

    @staticmethod
    def _read_ended(path: Path) -> tuple[int, ...]:
        try:
            return tuple(int(session) for session in path.read_text().split())
        except (OSError, ValueError):  # none, or half of it: then they count as deaths
            return ()

    def note(self, servers: Servers, up: Up) -> None:
        """Store a new session, with its current server first."""
        others = [address for address in servers.addresses if address != up.address]
        try:
            release.note(self._path, [up.address, *others], up.session, up.password)
        except OSError as problem:
            log.error("cannot store the session in %s: %s; a take-over will be slow", self._path, problem)

    def note_end(self, sessions: Sequence[int]) -> None:
        """The process ends because it was told to: what it could not hand back is not to blame."""
        new = Path(self._path, f"{ENDED_FILE}.new")
        try:
            new.write_text(" ".join(map(str, [*self.ended, *sessions][-ENDED:])))
            new.replace(Path(self._path, ENDED_FILE))
        except OSError as problem:
            log.error("cannot note in %s that we end as we were told: %s", self._path, problem)

    def end(self, closed: bool) -> None:
        """The process ends: make sure that its session has ended."""
        if closed:
            release.forget(self._path)
        else:
            release.release(self._path, self._connect)


class _Observed(Process):
    """A core process that records what becomes of its sessions."""

    def __init__(self, ended: tuple[int, ...]) -> None:
        super().__init__(ended=ended)
        self.sessions: deque[int] = deque(maxlen=ENDED)
        self.connection = "connecting"
        self.session_events: Counter[str] = Counter()

    def handle(self, now: float, event: Event) -> list[Command]:
        if isinstance(event, Connected):
            self.sessions.append(event.session)
        if type(event) in _CONNECTION:
            self.connection = _CONNECTION[type(event)]
            self.session_events[type(event).__name__.lower()] += 1
            if not isinstance(event, Connected):  # which has its own log line
                log.info("session with the ensemble: %s", type(event).__name__.lower())
        commands = super().handle(now, event)
        if Abandon in map(type, commands):
            self.connection = "expired"
            self.session_events["abandoned"] += 1
            log.warning("session given up: the ensemble has not answered for nearly a session time-out")
        return commands


class Daemon:
    """One role in one process."""

    def __init__(self, settings: Settings, build: Build, make_runner: MakeRunner | None = None) -> None:
        """Open the endpoint and the state directory. ``make_runner`` makes what runs tasks.

        Raises:
            BadInputError: one of them is unusable.
        """
        self._settings = settings
        self._state = StateDirectory(settings.state_dir, settings.servers) if settings.state_dir else None
        self._started_at = time.time()
        self._process = _Observed(self._state.ended if self._state else ())
        starting = {"state": "starting"}
        self._snapshot = Snapshot(settings.role, settings.name, "", time.monotonic(), part=starting)
        self._endpoint = Endpoint(settings.listen, lambda: self._snapshot, settings.listen_tls)
        address = settings.advertise or _advertised(settings.listen[0], self._endpoint.port)
        self._address = f"{HTTPS}{address}" if settings.listen_tls else address
        self._role = build(self._process, self._address)
        self._loop = Loop(
            self._process,
            settings.servers,
            settings.session_timeout,
            on_session=self._session,
            on_turn=self._turned,
            make_runner=make_runner,
        )
        ends = [its.ends for its in (settings.servers.tls, settings.listen_tls) if its and its.ends]
        self._certificate_ends = min(ends).isoformat() if ends else None
        self._up: Up | None = None
        self._notifier = Notifier()
        self._said = ""
        self._ready = False
        self._stopping = False  # asked to stop; the core may not know yet
        self._cut_since = time.monotonic()
        self._complained = False
        self._refused: str | None = None  # the last that was said of it
        self._next_picture = 0.0
        self._next_sign = 0.0  # next sign of life to systemd
        self._longest_turn = min(LONGEST_TURN, (self._notifier.watchdog or 4 * LONGEST_TURN) / 4)

    def run(self) -> int:
        """Work until a signal asks for the end; returns the exit status."""
        log.info("%s %s starts as %s", self._settings.role, self._settings.name, self._address)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)
        try:
            self._loop.run()
            if self._state is not None:
                self._state.note_end(self._process.sessions)
        finally:
            if self._state is not None:
                self._state.end(self._loop.closed_cleanly)
        log.info("%s %s has ended", self._settings.role, self._settings.name)
        return OK

    def _signalled(self, number: int, _frame: FrameType | None) -> None:
        impatient = self._stopping and number == signal.SIGINT
        self._stopping = True  # first: another signal may come in the middle of this
        self._notifier.send(STOPPING=1, STATUS="stopping")
        if impatient:  # somebody at a keyboard
            self._loop.abort()
        else:
            self._loop.stop()

    def _session(self, up: Up) -> None:
        """A new session, or a new server for the same one."""
        self._up = up
        if self._state is not None:
            self._state.note(self._settings.servers, up)

    def _turned(self) -> None:
        now = time.monotonic()
        if self._notifier.watchdog is not None and now >= self._next_sign:
            self._next_sign = now + self._notifier.watchdog / 4
            self._notifier.send(WATCHDOG=1)
        self._complain(now)
        if now < self._next_picture and self._process.usable == (self._snapshot.connection == "connected"):
            self._loop.longest_turn = PICTURE  # there may be news; look again soon
            return
        self._next_picture = now + PICTURE
        self._loop.longest_turn = self._longest_turn
        self._snapshot = self._picture(now)
        self._say(self._snapshot.summary())

    def _complain(self, now: float) -> None:
        if self._process.usable:
            self._cut_since = now
            self._complained = False
            self._refused = None
        elif self._loop.refused != self._refused:
            self._refused = self._loop.refused
            log.error("--connect %s", self._refused)
        elif not self._complained and now - self._cut_since > LONG_CUT:
            self._complained = True
            log.warning("--connect %s: no server answers; see `mwapp status`", self._settings.servers)

    def _picture(self, now: float) -> Snapshot:
        process, up = self._process, self._up
        return Snapshot(
            role=self._settings.role,
            name=self._settings.name,
            address=self._address,
            turned=now,
            connection=process.connection,
            lease=process.lease if process.session is not None else None,
            takes_writes=process.takes_writes,
            session=process.session,
            timeout=process.timeout or None,
            server=show(up.address) if up else None,
            started_at=self._started_at,
            certificate_ends=self._certificate_ends,
            part=self._role.status(),
            session_events=dict(process.session_events),
        )

    def _say(self, summary: str) -> None:
        if not self._ready and self._process.usable:
            self._ready = self._notifier.send(READY=1)
        if summary != self._said and not self._stopping and self._notifier.send(STATUS=summary):
            self._said = summary


def _advertised(host: str, port: int) -> str:
    everywhere = host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
    return show((os.uname().nodename if everywhere else host, port))
