"""Servers that do not start: what the gate shows of a log is done to the letter, while a client writes."""

import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import testbed.ensemble
from testbed.ensemble import Ensemble, Server
from testbed.waiting import wait_for
from tests.integration.test_ports_change import PATH, Writer
from tests.unit.zookeeper_role import load, load_file

log = load("zookeeper_log")
newest = load_file("modules/zookeeper_log.py").newest
LEVELS = {"ERROR": 3, "WARN": 4}


@dataclass
class Ill:
    """A follower of three that was stopped, and has been given a reason not to start again."""

    ensemble: Ensemble
    server: Server
    writer: Writer

    @property
    def data(self) -> Path:
        return self.server.directory / "data/version-2"

    def advised(self) -> str:
        """Start it, and take the remedies from what its log says then."""
        before = self.server.log.stat().st_size
        path, torn = newest(str(self.data.parent))
        self.server.start()

        def remedies() -> str:
            with self.server.log.open() as file:
                file.seek(before)
                lines = [entry(line) for line in file.read().splitlines()]
            said = log.explain(lines, path, torn=torn)
            return "\n".join(line for line in said if line.startswith("  Remedy: "))

        told: str = wait_for("its log tells why", remedies, 30)
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
            client.sync(PATH)
            assert int(client.get(PATH)[0]) >= last
            assert len(client.get("/large")[0]) == 100_000


def test_a_log_that_is_torn_is_renamed(ill: Ill) -> None:
    Path(newest(str(ill.data.parent))[0]).with_name("log.7fffffff00000001").write_bytes(b"ZKLG\0")
    found = re.search(r"No transaction is in it\. Rename it \(mv (\S+) (\S+)\) and run again", ill.advised())
    assert found
    Path(found[1]).rename(found[2])


def damage(data: Path) -> None:
    """In the middle of the newest log."""
    path = Path(newest(str(data.parent))[0])
    text = bytearray(path.read_bytes())
    text[60:64] = b"\xff\xff\xff\xff"
    path.write_bytes(text)


def lose_snapshots(data: Path) -> None:
    for path in data.glob("snapshot.*"):
        path.unlink()


@pytest.mark.parametrize("hurt", [damage, lose_snapshots])
def test_data_that_cannot_be_read_are_sent_anew(ill: Ill, hurt: Callable[[Path], None]) -> None:
    """The others are a quorum, and one of them has a zxid at least as great: so the advice asks."""
    hurt(ill.data)
    advice = ill.advised()
    assert "If the other servers have a quorum without this one (status.yml), and one of them has" in advice
    assert "let them send it their data" in advice
    shutil.move(ill.data, ill.data.with_name(f"aside-{hurt.__name__}"))


def test_a_buffer_that_is_too_small_is_raised(ill: Ill, monkeypatch: pytest.MonkeyPatch) -> None:
    java = testbed.ensemble.JVM
    monkeypatch.setattr(testbed.ensemble, "JVM", (*java, "-Djute.maxbuffer=4096"))
    found = re.search(r"zookeeper_max_buffer is too small .*: raise it to (\d+) or more", ill.advised())
    assert found
    monkeypatch.setattr(testbed.ensemble, "JVM", (*java, f"-Djute.maxbuffer={found[1]}"))
    ill.server.start()
    wait_for("it serves", lambda: ill.server.mode() == "follower", 30)
