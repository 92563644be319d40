"""What the running system says of itself: who leads, who is master, the state of the services."""

import copy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

from lab import Lab
from lab.spec import RUN
from mwapp.zookeeper.tls import Tls
from testbed import asking
from testbed.waiting import wait_for

CLIENT_PORT = 2181
TLS_PORT = 2182
MASTER_PORT = 2223
WORKER_PORT = 2224
WORKER_UNIT = "mwapp-worker.service"
SUPERUSER = "zookeeper-superuser"  # as the role names its certificate
ROLE_SESSION_SECONDS = 6.0  # the role's default, mwapp_session_timeout
ANSWER_SECONDS = 0.5  # for a direct question


class BrokenPromiseError(AssertionError):
    """A promise did not hold."""


@dataclass(frozen=True)
class TlsFiles:
    """A client's certificates, looked at for each connection, so that they may change."""

    ca: Path
    cert: Path

    def read(self) -> Tls:
        """As they are now."""
        return _read(self.ca, self.cert, self.ca.stat().st_mtime_ns, self.cert.stat().st_mtime_ns)


@cache
def _read(ca: Path, cert: Path, *_changed: int) -> Tls:
    return Tls(str(ca), str(cert))


class Cluster:
    """A provisioned lab: three servers and three application hosts.

    Clients of it use TLS if it was provisioned so.
    """

    servers: tuple[str, ...] = ("zk1", "zk2", "zk3")
    masters: tuple[str, ...] = ("mw1", "mw2")
    workers: tuple[str, ...] = ("mw1", "mw2", "mw3")

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        # As inventory/lab has it; None: without TLS, whatever there is.
        self.keys: Path | None = RUN / lab.name / "tls"

    def plain(self) -> Self:
        """The same for clients without TLS, while servers take both."""
        other = copy.copy(self)
        other.keys = None
        return other

    def tls(self, name: str = SUPERUSER) -> TlsFiles | None:
        """How to connect under that name, or else as one who may do everything. None: without TLS."""
        if self.keys is None:
            return None
        files = TlsFiles(self.keys / "client-ca.pem", self.keys / f"client/{name}.pem")
        return files if files.ca.exists() else None

    @property
    def command(self) -> str:
        """The name of those who may submit tasks from a host."""
        return f"mwapp-cli-{self.masters[0]}"

    def address(self, node: str) -> str:
        """The node's IP address."""
        return str(self.lab.nodes[node].address)

    def hosts(self, first: str | None = None) -> str:
        """Connect string of all servers, beginning with ``first``."""
        order = sorted(self.servers, key=lambda name: name != first)
        port = TLS_PORT if self.tls() else CLIENT_PORT
        return ",".join(f"{self.address(name)}:{port}" for name in order)

    # ------------------------------------------------------------ the ensemble

    def ask(self, node: str, word: str) -> str:
        """The server's answer to a four-letter word; empty if it does not answer."""
        tls = self.tls()
        port, connect = (TLS_PORT, tls.read().connect()) if tls else (CLIENT_PORT, None)
        return asking.four_letter_word(self.address(node), port, word, ANSWER_SECONDS, connect)

    def server(self, node: str) -> dict[str, str]:
        """The server's answer to ``mntr``, by key; empty if it does not serve."""
        return asking.fields(self.ask(node, "mntr"), "\t")

    def told(self, node: str, key: str) -> str:
        """One of these answers; waits for it."""
        return wait_for(f"{node} tells its {key}", lambda: self.server(node).get(key), 60)

    def versions(self) -> list[str]:
        """ZooKeeper's of each server as it runs: ``3.8.0``. Waits for their answers."""
        return [self.told(node, "zk_version").partition("-")[0] for node in self.servers]

    def modes(self) -> dict[str, str]:
        """Each server's role: leader, follower, or down."""
        return {node: self.server(node).get("zk_server_state", "down") for node in self.servers}

    def leader(self, followers: int = 2, seconds: float = 60) -> str:
        """The leader, once exactly one server leads and says that ``followers`` are in sync with it.

        A server that was just thawed still calls itself leader for a moment, so ask all of them.
        """

        def look() -> str | None:
            answers = {node: self.server(node) for node in self.servers}
            leading = [node for node, it in answers.items() if it.get("zk_server_state") == "leader"]
            if len(leading) != 1 or answers[leading[0]].get("zk_synced_followers") != str(followers):
                return None
            return leading[0]

        return wait_for(f"one leader with {followers} followers in step", look, seconds, every=0.1)

    # ------------------------------------------------------------ the application

    def endpoint(self, node: str, port: int) -> dict[str, Any]:
        """What a daemon's status endpoint says of its role; empty if it does not answer."""
        return asking.role_status(self.address(node), port, ANSWER_SECONDS)

    def epoch(self, node: str, port: int = MASTER_PORT) -> int:
        """The epoch of the master there; waits for it."""
        return int(wait_for(f"{node} tells its epoch", lambda: self.endpoint(node, port).get("epoch"), 60))

    def state(self, node: str, port: int) -> str | None:
        """A daemon's state by its status endpoint; None if it does not answer."""
        return self.endpoint(node, port).get("state")

    def master(self, seconds: float = 60) -> str:
        """The node of the active master, once there is one."""

        def look() -> str | None:
            active = [node for node in self.masters if self.state(node, MASTER_PORT) == "active"]
            return active[0] if len(active) == 1 else None

        return wait_for("exactly one active master", look, seconds, every=0.05)

    def running(self, node: str) -> list[str]:
        """Tasks that run on the worker of that node now."""
        return list(self.endpoint(node, WORKER_PORT).get("running", ()))

    def settle(self, seconds: float = 60) -> None:
        """Wait until everything is as provisioned: three servers, two masters, three workers."""
        self.leader(seconds=seconds)
        self.master(seconds=seconds)
        wait_for(
            "a standby master",
            lambda: any(self.state(n, MASTER_PORT) == "standby" for n in self.masters),
            seconds,
        )
        wait_for(
            "all workers ready",
            lambda: all(self.state(node, WORKER_PORT) == "ready" for node in self.workers),
            seconds,
        )

    def mend(self) -> None:
        """Switch on what is off, and thaw what is frozen."""
        for node in self.lab.nodes:
            state = self.lab.state(node)
            if state == "off":
                self.lab.boot(node)
            elif state == "frozen":
                self.lab.thaw(node)

    # ------------------------------------------------------------ faults at a service

    def kill(self, node: str, unit: str, signal: str = "KILL") -> float:
        """Signal the unit's main process; systemd does what its unit says. Returns the time, Unix seconds."""
        return self._signal(node, signal, [self._main_process(node, unit)])[0]

    def kill_owner(self, node: str, table: str, *, worker: bool) -> tuple[float, float]:
        """SIGKILL the handlers of that table of shards there, and their worker with them if asked to.

        Returns when that began, and when all were dead, Unix seconds. Raises BrokenPromiseError: there are
        none.
        """
        find = ["sh", "-c", 'grep --files-with-matches --null-data --line-regexp "$0" /proc/[0-9]*/environ']
        found = self.lab.exec(node, [*find, f"MWAPP_TABLE={table}"]).stdout.split()
        handlers = [path.split("/")[2] for path in found]
        if not handlers:
            raise BrokenPromiseError(f"no handler of {table} runs on {node}")
        # First the worker: it is to tell nobody of its handlers' end.
        first = [self._main_process(node, WORKER_UNIT)] if worker else []
        return self._signal(node, "KILL", [*first, *handlers])

    def _main_process(self, node: str, unit: str) -> str:
        show = ["systemctl", "show", "--property=MainPID", "--value", unit]
        found = self.lab.exec(node, show, check=True).stdout.strip()
        if found == "0":  # for kill, that is everybody who called it
            raise BrokenPromiseError(f"{unit} does not run on {node}")
        return found

    def _signal(self, node: str, signal: str, pids: list[str]) -> tuple[float, float]:
        """The node notes the times, so that entering it does not count; and nor does starting a program."""
        script = 'echo $EPOCHREALTIME && kill -s "$0" "$@" && echo $EPOCHREALTIME'
        done = self.lab.exec(node, ["bash", "-c", script, signal, *pids], check=True)
        began, over = map(float, done.stdout.split())
        return began, over

    def systemctl(self, node: str, verb: str, unit: str) -> None:
        """Start, stop ... a unit."""
        self.lab.exec(node, ["systemctl", verb, unit], check=True)
