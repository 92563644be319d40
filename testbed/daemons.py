"""Real mwapp processes on the test's ensemble."""

import contextlib
import json
import os
import signal
import ssl
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from testbed import asking, evidence
from testbed.ports import free_ports
from testbed.waiting import LONGEST_WAIT, wait_for

DAEMON_SESSION_SECONDS = 3.0
# The longest that the servers of a test grant (20 ticks), for masters that are to be followed long before.
LONG_SESSION_SECONDS = 10.0
# So long after its process such a session lives that is left to time out: the last sign of life may be older.
LEFT_ALONE = LONG_SESSION_SECONDS - 0.5
LONG_SESSION = ("--session-timeout", str(LONG_SESSION_SECONDS))
# Nobody is deposed: who follows a master must have learnt that its session is over.
NO_DEPOSITIONS = ("--depose-after", "0")


class Daemon:
    """A master or a worker."""

    def __init__(
        self,
        role: str,
        name: str,
        connect: str,
        home: Path,
        *options: str,
        program: str = "mwapp",
        **environment: str,
    ) -> None:
        self.role, self.name = role, name
        self.state_dir = home / f"{role}-{name}"
        self.log = home / f"{role}-{name}.log"
        evidence.keep(f"{role} {name}", self.log)
        self.port = free_ports(1)[0]
        self.arguments = [
            *(sys.executable, "-m", program, role, "--name", name, "--connect", connect),
            *("--listen", f"127.0.0.1:{self.port}", "--state-dir", str(self.state_dir)),
            *("--session-timeout", str(DAEMON_SESSION_SECONDS), "--log-level", "debug", *options),
        ]
        # One task at a time unless a test says otherwise, however many CPUs the machine has.
        self.environment = os.environ | {"MWAPP_SLOTS": "1"} | environment
        self.trusts: ssl.SSLContext | None = None  # if its endpoint speaks HTTPS
        self.process: subprocess.Popen[bytes]
        self.start()

    def start(self) -> None:
        """Start it; does not wait until it is ready."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *self.arguments],
                stdin=subprocess.DEVNULL,
                stderr=log,
                env=self.environment,
            )

    def get(self, path: str) -> tuple[int, str] | None:
        """Ask the endpoint; None if it does not answer."""
        return asking.endpoint("127.0.0.1", self.port, path, trusts=self.trusts)

    def status(self) -> dict[str, Any]:
        """What its endpoint says of its role, empty if it does not answer."""
        return asking.role_status("127.0.0.1", self.port, trusts=self.trusts)

    def session(self) -> int:
        """The session it has stored, or -1."""
        with contextlib.suppress(FileNotFoundError):
            return int((self.state_dir / "session").read_text().split()[0])
        return -1

    def running(self) -> list[str]:
        """The tasks that run on it, as its endpoint says."""
        return list(self.status().get("running", ()))

    def said_at(self, words: str) -> float:
        """When its log first said this, Unix seconds."""
        line = next(line for line in self.log.read_text().splitlines() if words in line)
        return datetime.fromisoformat(line.split()[0]).timestamp()

    def wait_for_state(self, *states: str) -> str:
        """Wait until it is in one of these states; returns which."""
        probe = lambda: next((s for s in states if self.status().get("state") == s), None)  # noqa: E731 - for the next line only
        return wait_for(f"{self.role} {self.name} is {' or '.join(states)}", probe)

    def release(self, *tls: Path) -> int:
        """What its unit's ExecStopPost does; ``tls``: its files, if so."""
        return subprocess.call([sys.executable, "-m", "mwapp.release", self.state_dir, *tls])

    def signal(self, number: signal.Signals) -> None:
        evidence.note(f"{number.name} to {self.role} {self.name}")
        self.process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL, and wait."""
        self.signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self.signal(signal.SIGTERM)
        return self.process.wait(LONGEST_WAIT)


class Site:
    """An application on the ensemble: some daemons, and the command line."""

    def __init__(self, connect: str, home: Path) -> None:
        self.connect = connect
        self._home = home
        self.daemons: list[Daemon] = []

    @property
    def chroot(self) -> str:
        """The znode that contains everything, "" or /path."""
        _, slash, path = self.connect.partition("/")
        return slash + path

    def start(
        self, role: str, name: str, *options: str, program: str = "mwapp", **environment: str
    ) -> Daemon:
        """Start a daemon; ``program`` is the module that has it."""
        daemon = Daemon(role, name, self.connect, self._home, *options, program=program, **environment)
        self.daemons.append(daemon)
        return daemon

    def mwapp(
        self, *arguments: str, status: int | None = 0, text: str = "", seconds: float = 2 * LONGEST_WAIT
    ) -> str:
        """Run a command; returns its stdout. Fails unless it ends with the status (None: any), in time."""
        done = subprocess.run(
            [sys.executable, "-m", "mwapp", *arguments],
            env=os.environ | {"MWAPP_CONNECT": self.connect},
            input=text,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert status is None or done.returncode == status, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def json(self, *arguments: str, status: int | None = 0) -> Any:
        """Run a command with --output json; what it printed."""
        return json.loads(self.mwapp(*arguments, "--output", "json", status=status))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for daemon in self.daemons:
            with contextlib.suppress(ProcessLookupError):
                daemon.signal(signal.SIGCONT)
            daemon.kill()
