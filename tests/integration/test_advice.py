"""What preflight refuses, and what the gate shows of a log, is done to the letter, while a client writes."""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import testbed.ensemble
from testbed.ensemble import Ensemble, Server
from testbed.waiting import wait_for
from tests.integration.test_ports_change import PATH, Writer
from tests.unit.ansible_module import run
from tests.unit.zookeeper_preflight.host import ME, Host
from tests.unit.zookeeper_role import load, load_file

log = load("zookeeper_log")
zoo_cfg = load("zookeeper_zoo_cfg")
adopt = load_file("modules/zookeeper_adopt.py")
newest = load_file("modules/zookeeper_log.py").newest
LEVELS = {"ERROR": 3, "WARN": 4}
METRICS = "org.apache.zookeeper.metrics.prometheus.PrometheusMetricsProvider"


@dataclass
class Ill:
    """A follower of three that was stopped, and has been given a reason not to start again."""

    ensemble: Ensemble
    server: Server
    writer: Writer

    @property
    def config(self) -> Path:
        return self.server.directory / "zoo.cfg"

    @property
    def data(self) -> Path:
        """Where its snapshots are."""
        return self._directories()[0] / "version-2"

    @property
    def logs(self) -> Path:
        """Where its transaction log is."""
        return self._directories()[1] / "version-2"

    def _directories(self) -> list[Path]:
        config = zoo_cfg.parse_config(self.config.read_text())
        return [Path(path) for path in zoo_cfg.directories(config, "", "")]

    def configure(self, **changed: Any) -> None:
        """Write these keys to its zoo.cfg; one that is None goes."""
        config = {**zoo_cfg.parse_config(self.config.read_text()), **changed}
        lines = [f"{key}={value}\n" for key, value in config.items() if value is not None]
        self.config.write_text("".join(lines))

    def split(self) -> None:
        """Give the transaction log a directory of its own, as the role does."""
        if self.logs == self.data:
            self.move_logs(self.server.directory / "txnlog")
            self.configure(dataLogDir=self.server.directory / "txnlog")

    def move_logs(self, to: Path) -> None:
        (to / "version-2").mkdir(parents=True, exist_ok=True)
        for file in self.logs.glob("log.*"):
            file.rename(to / "version-2" / file.name)

    def advised(self) -> str:
        """Start it, and take the remedies from what its log says then."""
        path, torn = newest(str(self.logs.parent))

        def remedies(lines: list[str]) -> str:
            said = log.explain(map(entry, lines), path, torn=torn)
            return "\n".join(line for line in said if line.startswith("  Remedy: "))

        return self.starts(remedies)

    def starts(self, look: Callable[[list[str]], str]) -> str:
        """Start it, and wait until there is something to be seen in what it says; then stop it."""
        before = self.server.log.stat().st_size
        self.server.start()

        def seen() -> str:
            with self.server.log.open() as file:
                file.seek(before)
                return look(file.read().splitlines())

        told: str = wait_for("its log tells why", seen, 30)
        self.server.stop()
        return told


def entry(line: str) -> object:
    """As the journal has it."""
    found = re.match(r"\S+Z \[.*?\] ([A-Z]+) (?:[\w$]+\.)*(\w+) - (.*)", line)
    text = f"{found[1]} {found[2]}: {found[3]}" if found else line
    return log.Entry("1", LEVELS.get(found[1], 6) if found else 6, text)


@pytest.fixture(scope="module")
def writing() -> Iterator[tuple[Ensemble, Writer]]:
    with Ensemble() as ensemble, Writer(ensemble.connect_string) as writer:
        with ensemble.servers[0].client() as client:
            client.create("/large", bytes(100_000))
        yield ensemble, writer


@pytest.fixture
def ill(writing: tuple[Ensemble, Writer]) -> Iterator[Ill]:
    """After the advice it serves, and all that was acknowledged is there."""
    ensemble, writer = writing
    follower = ensemble.followers()[0]
    follower.stop()
    yield Ill(ensemble, follower, writer)
    ensemble.start()
    since, last = time.monotonic(), writer.acknowledged[-1][1]
    wait_for("the client goes on", lambda: writer.acknowledged[-1][0] > since, 30)
    for server in ensemble.servers:
        with server.client() as client:
            assert int(client.get(PATH)[0]) >= last
            assert len(client.get("/large")[0]) == 100_000


@pytest.fixture
def host(ill: Ill, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """The server's host, as preflight sees it. Its data are where the inventory wants them."""
    ill.split()
    host = Host(tmp_path, monkeypatch)
    host.write("etc/zookeeper/zoo.cfg", ill.config.read_text())
    host.data, host.txnlog = ill.data.parent, ill.logs.parent
    host.settings |= {"zookeeper_data_dir": str(host.data), "zookeeper_txnlog_dir": str(host.txnlog)}
    return host


def refused(ill: Ill, host: Host, **settings: Any) -> str:
    """The one reason of preflight."""
    [said] = host.look(ill.server.number, **settings)["problems"]
    assert isinstance(said, str)
    return said


def accepted(ill: Ill, host: Host, **settings: Any) -> dict[str, Any]:
    """What preflight found, and has nothing against."""
    found = host.look(ill.server.number, **settings)
    assert (found["problems"], found["data"]) == ([], True)
    return found


def test_a_log_beside_the_snapshots_is_moved(ill: Ill, host: Host) -> None:
    ill.move_logs(ill.data.parent)
    ill.configure(dataLogDir=None)
    host.write("etc/zookeeper/zoo.cfg", ill.config.read_text())
    found = re.search(r"would not start\. .* move (\S+)/log\.\* to (\S+)/version-2, run", refused(ill, host))
    assert found
    assert found[1] == str(ill.logs)
    ill.configure(dataLogDir=host.txnlog)
    assert ill.starts(lambda lines: "\n".join(line for line in lines if "has log files" in line))
    ill.configure(dataLogDir=None)
    ill.move_logs(Path(found[2]))
    ill.configure(dataLogDir=found[2])
    accepted(ill, host)


def test_a_directory_is_moved(ill: Ill, host: Host) -> None:
    wanted = str(ill.server.directory / "elsewhere")
    said = refused(ill, host, zookeeper_data_dir=wanted)
    found = re.search(
        r"_dir is (\S+), but zk\d has its data in (\S+): .* stop the server, move the dir", said
    )
    assert found
    Path(found[2]).rename(found[1])
    ill.configure(dataDir=found[1])
    accepted(ill, host, zookeeper_data_dir=wanted)


def test_whose_data_they_are_is_written_down(ill: Ill, host: Host) -> None:
    """The host was installed anew, and myid is gone, too."""
    (host.root / "etc/zookeeper/zoo.cfg").unlink()
    (ill.data.parent / "myid").unlink()
    found = re.search(r"write (\d+) to (\S+) and run again", refused(ill, host))
    assert found
    Path(found[2]).write_text(found[1])
    accepted(ill, host)


def test_a_number_is_set_back(ill: Ill, host: Host) -> None:
    """It is the one of which its data are."""
    other = next(server.number for server in ill.ensemble.servers if server is not ill.server)
    [said] = host.look(other)["problems"]
    found = re.search(
        r"zookeeper_id of zk\d is \d, but its data belongs .* set zookeeper_id back to (\d),", said
    )
    assert found
    assert int(found[1]) == ill.server.number
    assert host.look(int(found[1]))["problems"] == []


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: it gives data away")
@pytest.mark.parametrize("way", ["set back", "stopped"])
def test_a_user_is_set_back_or_the_server_stopped_first(ill: Ill, host: Host, way: str) -> None:
    """It could not write its data any more: they are given to the new user at once."""
    for path in (*ill.data.parent.rglob("*"), *ill.logs.parent.rglob("*")):
        shutil.chown(path, "nobody")
    host.runs()
    said = refused(ill, host)
    assert (
        f"zookeeper_user is {ME['zookeeper_user']}, but the server of zk{ill.server.number} runs, and" in said
    )
    assert "Set it back; or stop that server (systemctl stop zookeeper) and run with --limit" in said
    if way == "set back":
        accepted(ill, host, zookeeper_user="nobody")
        return
    host.unit(LoadState="loaded", ActiveState="inactive", MainPID=0)
    accepted(ill, host)
    for path in (*ill.data.parent.rglob("*"), *ill.logs.parent.rglob("*")):
        shutil.chown(path, ME["zookeeper_user"])  # as the role does


@pytest.mark.parametrize("way", ["stopped", "named no more"])
def test_a_dead_server_that_is_back_is_stopped(ill: Ill, host: Host, way: str) -> None:
    """The others do not know it any more, and its data stay, whatever the operator does."""
    config = zoo_cfg.parse_config(ill.config.read_text())
    line = config.pop(f"server.{ill.server.number}")
    host.write("etc/zookeeper/zoo.cfg", "".join(f"{key}={value}\n" for key, value in config.items()))
    dead = {"zookeeper_dead": ["localhost"], "zookeeper_election_port": zoo_cfg.server_address(line)[2]}
    accepted(ill, host, **dead)
    files = {path: path.stat().st_size for path in ill.data.glob("snapshot.*")}
    ill.server.start()
    wait_for("it takes part", lambda: host.look(ill.server.number, **dead)["returned"] == ["localhost"], 30)
    said = refused(ill, host, **dead)
    assert "If it is the one that was declared dead, stop it there" in said
    assert (
        "and keep its data. If it is another one, or another ensemble's, take the address out of zook" in said
    )
    if way == "named no more":
        accepted(ill, host, zookeeper_dead=[])
    ill.server.stop()
    accepted(ill, host, **dead)
    assert files == {path: path.stat().st_size for path in files}


def test_a_buffer_holds_what_preflight_says_it_must(
    ill: Ill, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.write("etc/systemd/system/zookeeper.service", "ExecStart=java \\\n    -Djute.maxbuffer=1048575 \\\n")
    said = refused(ill, host, zookeeper_max_buffer=4096)
    found = re.search(r"zookeeper_max_buffer is 4096, but .* needs (\d+): set that or more", said)
    assert found
    accepted(ill, host, zookeeper_max_buffer=int(found[1]))
    monkeypatch.setattr(testbed.ensemble, "JVM", (*testbed.ensemble.JVM, f"-Djute.maxbuffer={found[1]}"))
    ill.server.start()
    wait_for("it serves", lambda: ill.server.mode() == "follower", 30)


def test_data_of_another_installation_are_adopted(ill: Ill, host: Host) -> None:
    """The server's own directories have something else: its data of earlier, say."""
    theirs = ill.data.parent
    host.write("etc/zookeeper/conf/zoo.cfg", ill.config.read_text())
    (host.root / "etc/zookeeper/zoo.cfg").unlink()
    own = [ill.server.directory / name for name in ("own", "ownlog")]
    wanted = dict(zip(("zookeeper_data_dir", "zookeeper_txnlog_dir"), map(str, own), strict=True))
    assert "set zookeeper_adopt: true to take the data over" in refused(ill, host, **wanted)
    (own[0] / "version-2").mkdir(parents=True)
    (own[0] / "version-2/snapshot.0").write_bytes(b"")
    shutil.copy(theirs / "myid", own[0])
    for wish in (True, False):
        said = refused(ill, host, **wanted, zookeeper_adopt=wish)
        assert (
            f"Move what is in {own[0]} and {own[1]} to another place, do not delete it, and set zoo" in said
        )
    for number, path in enumerate(own):
        if path.exists():
            path.rename(path.with_name(f"aside{number}"))
    found = accepted(ill, host, **wanted, zookeeper_adopt=True)["adopt"]
    for path in own:
        path.mkdir()
    arguments = {f"old_{key}": value for key, value in found.items()}
    answer = run(adopt, {**arguments, "data_dir": str(own[0]), "txnlog_dir": str(own[1])})
    assert answer["changed"]
    shutil.copy(theirs / "myid", own[0])
    ill.configure(dataDir=own[0], dataLogDir=own[1])


def test_a_class_that_the_jars_lack_is_taken_out(ill: Ill, host: Host) -> None:
    (host.root / "jars").mkdir()
    (host.root / "jars/zookeeper.jar").symlink_to(testbed.ensemble.CLASSPATH[0])
    config = {"metricsProvider.className": METRICS}
    said = refused(ill, host, zookeeper_config=config)
    assert f"but the jars on zk{ill.server.number} have no such class: correct it, or remove the key" in said
    ill.configure(**config)
    assert "remove the setting" in ill.advised(), "preflight tells the truth"
    ill.configure(**dict.fromkeys(config))
    accepted(ill, host)


def test_a_log_that_is_torn_is_renamed(ill: Ill) -> None:
    Path(newest(str(ill.logs.parent))[0]).with_name("log.7fffffff00000001").write_bytes(b"ZKLG\0")
    found = re.search(r"No transaction is in it\. Rename it \(mv (\S+) (\S+)\) and run again", ill.advised())
    assert found
    Path(found[1]).rename(found[2])


def damage(ill: Ill) -> None:
    """In the middle of the newest log."""
    path = Path(newest(str(ill.logs.parent))[0])
    text = bytearray(path.read_bytes())
    text[60:64] = b"\xff\xff\xff\xff"
    path.write_bytes(text)


def damage_header(ill: Ill) -> None:
    """Of the newest log: what is behind it is whole."""
    with Path(newest(str(ill.logs.parent))[0]).open("r+b") as file:
        file.write(bytes(16))


def lose_snapshots(ill: Ill) -> None:
    for path in ill.data.glob("snapshot.*"):
        path.unlink()


@pytest.mark.parametrize("hurt", [damage, damage_header, lose_snapshots])
def test_data_that_cannot_be_read_are_sent_anew(ill: Ill, hurt: Callable[[Ill], None]) -> None:
    """The others are a quorum, and one of them has a zxid at least as great: so it may be done."""
    hurt(ill)
    advice = ill.advised()
    assert "Whether the others' data may replace its own is said below" in advice
    for path in {ill.data, ill.logs}:
        path.rename(path.with_name(f"aside-{hurt.__name__}"))


def test_a_buffer_that_is_too_small_is_raised(ill: Ill, monkeypatch: pytest.MonkeyPatch) -> None:
    java = testbed.ensemble.JVM
    monkeypatch.setattr(testbed.ensemble, "JVM", (*java, "-Djute.maxbuffer=4096"))
    found = re.search(r"zookeeper_max_buffer is too small .*: raise it to (\d+) or more", ill.advised())
    assert found
    monkeypatch.setattr(testbed.ensemble, "JVM", (*java, f"-Djute.maxbuffer={found[1]}"))
    ill.server.start()
    wait_for("it serves", lambda: ill.server.mode() == "follower", 30)
