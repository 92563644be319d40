"""A real ZooKeeper ensemble on loopback, from the distribution's jars, without root.

    with Ensemble() as ensemble:
        client = KazooClient(ensemble.connect_string)
        ensemble.leader().kill()

Its files are in a temporary directory and it uses free ports, so several may run side by side. The servers
die with the process that started them, even if that is killed.
"""

import contextlib
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import yaml
from kazoo.client import KazooClient

from mwapp.release import close_session
from testbed import asking, evidence
from testbed.ports import free_ports
from testbed.waiting import NotInTimeError, wait_for

T = TypeVar("T")

JARS = Path("/usr/share/java")
# zookeeper.jar lists its dependencies in its manifest, except the logger, which the user chooses.
CLASSPATH = (JARS / "zookeeper.jar", JARS / "slf4j-simple.jar")
# What TLS needs besides, and zookeeper.jar does not name.
TLS_JARS = ("netty-codec.jar", "netty-resolver.jar", "netty-transport-native-unix-common.jar")
# The four-letter words that servers answer: those that the role has them answer, and two that a test asks.
DEFAULTS = Path(__file__).parents[1] / "roles/zookeeper/defaults/main.yml"
WORDS = (*yaml.safe_load(DEFAULTS.read_text())["zookeeper_4lw_whitelist"], "wchp", "dump")
START_SECONDS = 40.0
# If servers serve, but one commits nothing for this long, they are stuck, not slow.
COMMIT_SECONDS = 10.0
JVM = (
    "java",
    # Servers are short-lived: the time to start matters, not the speed after an hour.
    "-Xmx128m",
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-Xshare:auto",
    "-Dzookeeper.preAllocSize=1024",
    "-Dzookeeper.admin.enableServer=false",
    "-Duser.timezone=UTC",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS'Z'",  # as testbed.evidence wants it
)


class EnsembleError(Exception):
    """The ensemble cannot run here, or did not do something in time."""


def missing() -> str | None:
    """Why this machine cannot run an ensemble, and the remedy; None if it can."""
    if shutil.which("java") and all(jar.exists() for jar in CLASSPATH):
        return None
    return (
        f"needs java and {' '.join(map(str, CLASSPATH))}: "
        "apt-get install openjdk-17-jre-headless libzookeeper-java libslf4j-java"
    )


def in_brackets(address: str) -> str:
    """As it stands before a port."""
    return f"[{address}]" if ":" in address else address


class Server:
    """One ZooKeeper server process, which can be started and ended repeatedly."""

    def __init__(
        self,
        number: int,
        port: int,
        directory: Path,
        jars: Sequence[Path] = CLASSPATH,
        *,
        secure_port: int | None = None,
        address: str = "127.0.0.1",
    ) -> None:
        self.address = address
        self.number = number
        self.jars = jars
        self.port = port
        self.secure_port = secure_port
        self.directory = directory
        self.log = directory / "server.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"<zk{self.number} {in_brackets(self.address)}:{self.port}>"

    def start(self) -> None:
        """Start the process; does not wait until it serves."""
        if self.running:
            return
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                # The server must not outlive the tests, however they end.
                [
                    *("setpriv", "--pdeathsig", "KILL", *JVM, "-cp", ":".join(map(str, self.jars))),
                    *("org.apache.zookeeper.server.quorum.QuorumPeerMain", str(self.directory / "zoo.cfg")),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                start_new_session=True,  # a keyboard interrupt is for the tests
            )

    @property
    def running(self) -> bool:
        """Whether the process is there (it may be paused)."""
        return self._process is not None and self._process.poll() is None

    @property
    def paused(self) -> bool:
        """Whether the process is paused."""
        if self._process is None or not self.running:
            return False
        return Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def send(self, number: signal.Signals) -> None:
        """Send a signal. Raises EnsembleError when there is no process."""
        if self._process is None or not self.running:
            raise EnsembleError(f"{self} is not running")
        evidence.note(f"{number.name} to zk{self.number}")
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL: its connections are reset at once. It may be started again."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, and wait."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """SIGSTOP: its connections stay open and silent."""
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server continue."""
        self.send(signal.SIGCONT)

    def ask(self, word: str, seconds: float = 1.0) -> str:
        """The answer to a four-letter word, empty if there is none."""
        return asking.four_letter_word(self.address, self.port, word, seconds)

    def mode(self, seconds: float = 1.0) -> str | None:
        """``leader`` or ``follower`` (``standalone`` for a single one); None while it does not serve."""
        return asking.fields(self.ask("srvr", seconds), ": ").get("Mode")

    def commits(self) -> bool:
        """Whether it opens and closes a session: then it is in sync with a quorum.

        Its own word is not enough: a server that has just resumed believes that it leads or follows in an
        ensemble that has moved on.
        """
        with contextlib.suppress(OSError, EOFError):
            return close_session(self.address, self.port, session=0, password=bytes(16))
        return False

    @contextlib.contextmanager
    def client(self) -> Iterator[KazooClient]:
        """A client of this server alone, connected. It sees all that was acknowledged before it came: a
        session is opened by a transaction."""
        client = KazooClient(f"{in_brackets(self.address)}:{self.port}")
        client.start()
        try:
            yield client
        finally:
            client.stop()
            client.close()

    def _end(self, number: signal.Signals) -> None:
        try:
            self.send(number)
        except EnsembleError:  # it does not run, or has just ended by itself
            return
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Ensemble:
    """Some servers that know each other. ``tick`` in ms; sessions may be of 2 to 20 ticks.

    ``snapshot_sync``: a server that joins a leader gets a snapshot, not a difference. Otherwise 3.8.0 may
    lose acknowledged writes (bench/kills.py), and tests would blame mwapp. ``jars``: of another release
    (testbed/releases.py). ``tls``: a directory with certificates, as the module tls_certificates makes them.
    Clients then use a port with TLS, and so do the servers among each other. Without ``fsync`` the page cache
    keeps what a crashed server wrote; only a power cut would need it.
    """

    def __init__(
        self,
        size: int = 3,
        *,
        tick: int = 500,
        snapshot_sync: bool = True,
        jars: Sequence[Path] = CLASSPATH,
        tls: Path | None = None,
        address: str = "127.0.0.1",
        fsync: bool = False,
    ) -> None:
        self.address = address
        self._fsync = fsync
        self._size = size
        self._jars = jars if tls is None else (*(JARS / jar for jar in TLS_JARS), *jars)
        self._tls = tls
        self._tick = tick
        self._snapshot_sync = snapshot_sync
        self._directory: Path | None = None
        self.servers: list[Server] = []

    @property
    def connect_string(self) -> str:
        """All servers, as a connect string."""
        host = in_brackets(self.address)
        return ",".join(f"{host}:{server.secure_port or server.port}" for server in self.servers)

    def start(self) -> None:
        """Start every server that does not run, in parallel, and wait until all serve and are in sync.

        Raises EnsembleError if they do not, or if this machine lacks what they need.
        """
        problem = missing()
        if problem:
            raise EnsembleError(problem)
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="ensemble-"))
            self._configure(self._directory)
        self._start()
        try:
            self._wait_until_in_step()
        except (EnsembleError, NotInTimeError):
            # ZooKeeper 3.8.0: a leader may keep leading while followers rejoin, and then waits forever for
            # their answers to earlier proposals. A new election ends that.
            self.leader().kill()
            self._start()
            self._wait_until_in_step()

    def stop(self) -> None:
        """End every server and remove the files."""
        for server in self.servers:
            server.kill()
        if self._directory is not None:
            shutil.rmtree(self._directory)
        self._directory, self.servers = None, []

    def __enter__(self) -> "Ensemble":
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def leader(self, seconds: float = START_SECONDS) -> Server:
        """The leading server; waits for an election to end."""

        def leading() -> Server | None:
            leaders = [server for server in self.servers if server.running and server.mode() == "leader"]
            return leaders[0] if len(leaders) == 1 else None

        return wait_for("a server leads", leading, seconds)

    def followers(self) -> list[Server]:
        """Those that are awake and do not lead; waits until they follow."""
        leader = self.leader()
        awake = [server for server in self.servers if server.running and not server.paused]
        others = [server for server in awake if server is not leader]
        wait_for("the others follow", lambda: all(it.mode() == "follower" for it in others), START_SECONDS)
        return others

    def heal(self) -> None:
        """Resume paused servers, start those that ended; then like :meth:`start`."""
        for server in self.servers:
            if server.paused:
                server.resume()
        self.start()

    def _start(self) -> None:
        for server in self.servers:
            server.start()
        wait_for("all servers serve, one leads", self._settled, START_SECONDS)

    def _settled(self) -> bool:
        modes = [server.mode() for server in self.servers if server.running]
        if self._size == 1:
            return modes == ["standalone"]
        return None not in modes and modes.count("leader") == 1

    def _wait_until_in_step(self) -> None:
        def in_step() -> bool:
            return all(server.commits() for server in self.servers)

        wait_for("a session is opened and closed at every server", in_step, COMMIT_SECONDS)

    def _configure(self, directory: Path) -> None:
        ports = free_ports(3 * self._size)
        secure = free_ports(self._size) if self._tls else [None] * self._size
        members = [
            f"server.{i + 1}={in_brackets(self.address)}:{ports[3 * i + 1]}:{ports[3 * i + 2]}"
            for i in range(self._size)
        ]
        for i in range(self._size):
            home = directory / f"zk{i + 1}"
            (home / "data").mkdir(parents=True)
            (home / "data/myid").write_text(f"{i + 1}\n")
            settings = [
                f"dataDir={home / 'data'}",
                f"clientPortAddress={self.address}",
                f"clientPort={ports[3 * i]}",
                f"tickTime={self._tick}",
                f"forceSync={'yes' if self._fsync else 'no'}",
                "initLimit=20",
                "syncLimit=5",
                f"forceSnapshotSync={str(self._snapshot_sync).lower()}",
                "maxClientCnxns=0",
                f"4lw.commands.whitelist={','.join(WORDS)}",
                *(members if self._size > 1 else []),
                *(_tls_settings(self._tls, f"zk{i + 1}", secure[i]) if self._tls else []),
            ]
            (home / "zoo.cfg").write_text("\n".join(settings) + "\n")
            self.servers.append(
                Server(i + 1, ports[3 * i], home, self._jars, secure_port=secure[i], address=self.address)
            )
            evidence.keep(f"zk{i + 1}", self.servers[-1].log)


def _tls_settings(tls: Path, name: str, port: int | None) -> list[str]:
    """As roles/zookeeper has them."""
    return [
        f"secureClientPort={port}",
        "secureClientPortAddress=127.0.0.1",
        "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory",
        f"ssl.keyStore.location={tls / 'client' / name}.pem",
        f"ssl.trustStore.location={tls / 'client-ca.pem'}",
        "ssl.clientAuth=need",
        "client.certReload=true",
        "sslQuorum=true",
        f"ssl.quorum.keyStore.location={tls / 'quorum' / name}.pem",
        f"ssl.quorum.trustStore.location={tls / 'quorum-ca.pem'}",
        "sslQuorumReloadCertFiles=true",
        "fips-mode=false",
        "learner.closeSocketAsync=true",
        "leader.closeSocketAsync=true",
    ]


def main() -> None:
    """Run an ensemble by hand until interrupted: ``python -m testbed.ensemble``."""
    with Ensemble() as ensemble, contextlib.suppress(KeyboardInterrupt):
        print(ensemble.connect_string, flush=True)
        signal.pause()


if __name__ == "__main__":
    main()
