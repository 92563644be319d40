"""What is proposed about damaged or lost data is done to the letter: nothing is lost that need not be."""

import re
import shutil
import struct
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from testbed.ensemble import Ensemble, Server
from testbed.waiting import wait_for
from tests.integration.test_advice import Ill, adopt
from tests.integration.test_ports_change import PATH, Writer
from tests.integration.test_ports_change import plan as plan_of
from tests.unit.ansible_module import run
from tests.unit.zookeeper_preflight.host import Host

OPERATIONS = Path(__file__).parents[2] / "docs/operations.md"
HEADER, ENTRY = 16, struct.Struct(">qi")
FROM_THE_END = 5  # which entry of a log is damaged


@dataclass
class Anew:
    """Three servers that are stopped, on hosts that were installed anew and have their disks."""

    ensemble: Ensemble
    last: int  # that was acknowledged
    look: Callable[[Server], dict[str, Any]]
    host: Host  # at which that looks
    behind: Server
    servers: list[Server]  # the others, which have all of it

    def plan(self) -> dict[str, Any]:
        """What the role would do."""
        members = [
            {"name": f"zk{s.number}", "id": s.number, "host": "127.0.0.1", "observer": False}
            | {"quorum_port": 2888, "election_port": 3888}
            for s in self.ensemble.servers
        ]
        seen = {f"zk{s.number}": self.look(s) for s in self.ensemble.servers}
        answer: dict[str, Any] = plan_of(members, seen, [m["name"] for m in members])
        return answer

    def refused(self) -> str:
        """Its one reason not to."""
        [said] = self.plan()["problems"]
        assert isinstance(said, str)
        return said

    def goes_on(self) -> None:
        """As planned: all that was acknowledged is on every server."""
        answer = self.plan()
        assert answer["problems"] == []
        for stage in answer["stages"]:
            begun = [s for s in self.ensemble.servers if f"zk{s.number}" in stage["hosts"]]
            for server in begun:
                (server.directory / "data/myid").write_text(f"{server.number}\n")
                server.start()
            wait_for("they serve", partial(serve, begun), 60)
        self.has_all()

    def has_all(self) -> None:
        """On every server."""
        for server in self.ensemble.servers:
            with server.client() as client:
                assert int(client.get(PATH)[0]) >= self.last


def serve(servers: list[Server]) -> bool:
    return all(server.mode() for server in servers)


def directories(server: Server) -> tuple[Path, Path]:
    return server.directory / "data", server.directory / "txnlog"


def newest_log(server: Server) -> Path:
    logs = directories(server)[1].glob("version-2/log.*")
    return max(logs, key=lambda path: int(path.suffix[1:], 16))


@pytest.fixture
def anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    host = Host(tmp_path, monkeypatch)

    def look(server: Server) -> dict[str, Any]:
        host.data, host.txnlog = directories(server)
        host.settings |= {"zookeeper_data_dir": str(host.data), "zookeeper_txnlog_dir": str(host.txnlog)}
        found = host.look(server.number)
        assert found["problems"] == []
        return found

    with Ensemble() as ensemble:
        for server in ensemble.servers:
            server.stop()
            Ill(ensemble, server, None).split()  # type: ignore[arg-type] # nobody writes yet
        ensemble.start()
        with Writer(ensemble.connect_string) as writer:
            behind = ensemble.followers()[0]
            wait_for("some is written", lambda: len(writer.acknowledged) > FROM_THE_END, 30)
            behind.stop()
            had = len(writer.acknowledged)
            wait_for("more is written", lambda: len(writer.acknowledged) > had + 10 * FROM_THE_END, 30)
        last = writer.acknowledged[-1][1]
        others = [server for server in ensemble.servers if server is not behind]
        for server in others:
            server.stop()
        yield Anew(ensemble, last, look, host, behind, others)


def damage(log: Path, at: int, instead: bytes) -> None:
    """One of the last entries: so many bytes behind its begin."""
    text, begins, here = bytearray(log.read_bytes()), [], HEADER
    while size := ENTRY.unpack_from(text, here)[1]:
        begins.append(here)
        here += ENTRY.size + size + 1
    where = begins[-FROM_THE_END] + at
    text[where : where + len(instead)] = instead
    log.write_bytes(text)


def told(about: str) -> list[str]:
    """The commands that docs/operations.md gives below these words."""
    section = OPERATIONS.read_text().partition(f"**{about}**")[2]
    lines = section.partition("```console\n")[2].partition("```")[0].splitlines()
    assert lines
    assert all(line.startswith("$ ") for line in lines)
    return [line.removeprefix("$ ") for line in lines]


def at(command: str, *here: tuple[str, str]) -> str:
    """With these paths in place of those."""
    for written, mine in here:
        command = command.replace(written, mine)
    return command


def do(command: str) -> None:
    subprocess.run(["sh", "-c", command], check=True, stdin=subprocess.DEVNULL, capture_output=True)


def repair(log: Path, root: Path) -> None:
    """As below "A damaged log"."""
    there = ("/var/lib/zookeeper/txnlog/version-2", str(log.parent))
    for command in told("A damaged log."):
        do(at(command, there, ("100000001", log.suffix[1:]), ("/root", str(root))))


def do_at(server: Server, commands: list[str], root: Path) -> None:
    """On the server's host. On an empty disk there is nothing to move."""
    paths = ("/root", str(root)), ("/var/lib/zookeeper", str(server.directory)), ("zkData", "data")
    for command in commands:
        what, first, *_ = at(command, *paths).split()
        if what == "systemctl":
            getattr(server, first)()
        elif what != "mv" or Path(first).exists():
            do(at(command, *paths))


def test_a_copy_of_the_damaged_log_is_repaired_and_put_in_its_place(anew: Anew, tmp_path: Path) -> None:
    """Only this server has the last writes: the third one's disk is lost, and the other is behind."""
    damaged, lost = anew.servers
    for path in directories(lost):
        shutil.rmtree(path)
        path.mkdir()
    log = newest_log(damaged)
    damage(log, 0, bytes(8))  # its checksum
    said = anew.refused()
    assert "The role cannot tell which server has the newest data" in said
    assert f"Keep the file {log} of server {damaged.number}: it may have writes that nobody else has" in said
    assert "newer than all other data, so do not send this server another's" in said
    assert "Repair a copy of it (docs/operations.md, 'A damaged log'), keep the file itself elsewhere" in said
    assert f"(server {anew.behind.number}) that only this log has are lost" in said
    repair(log, tmp_path)
    assert (tmp_path / f"damaged.{log.suffix[1:]}").exists()
    anew.goes_on()


@pytest.mark.parametrize("way", ["moved away", "taken out"])
def test_a_log_that_cannot_be_repaired_is_given_up_for_data_that_go_as_far(anew: Anew, way: str) -> None:
    damaged, whole = anew.servers
    log = newest_log(damaged)
    damage(log, 8, b"\xff\xff\xff\xff")  # its length
    said = anew.refused()
    found = re.search(
        r"If neither can be, all writes after (0x[0-9a-f]+) \(server (\d)\) that only this log has", said
    )
    assert found
    assert int(found[2]) == whole.number
    assert found[1] == anew.look(whole)["last_zxid"]
    assert "newer than all other" not in said
    assert "move the contents of its zookeeper_data_dir and zookeeper_txnlog_dir to another place" in said
    if way == "moved away":
        for path in directories(damaged):
            path.rename(path.with_name(f"aside-{path.name}"))
            path.mkdir()
    else:
        assert "or take its host out of the group, and run again" in said
        anew.ensemble.servers.remove(damaged)
    anew.goes_on()


def test_a_damaged_log_of_another_installation_is_repaired_before_anything_is_given_up(
    anew: Anew, tmp_path: Path
) -> None:
    """Which the server is to take over, and there are data in its own directories, too."""
    host, server = anew.host, anew.servers[0]
    theirs, own = directories(server), [server.directory / name for name in ("own", "ownlog")]
    (own[0] / "version-2").mkdir(parents=True)
    (own[0] / "version-2/snapshot.0").write_bytes(b"")
    shutil.copy(theirs[0] / "myid", own[0])
    host.write("etc/zookeeper/conf/zoo.cfg", (server.directory / "zoo.cfg").read_text())
    host.settings |= dict(zip(("zookeeper_data_dir", "zookeeper_txnlog_dir"), map(str, own), strict=True))
    log = newest_log(server)
    damage(log, 0, bytes(8))
    for wish in (True, False):
        [said] = host.look(server.number, zookeeper_adopt=wish)["problems"]
        assert f"but {log} is damaged: the role cannot tell which are newer. Discard neither." in said
        assert (
            "Repair a copy of that file (docs/operations.md, 'A damaged log'), keep the file itself" in said
        )
    repair(log, tmp_path)
    [said] = host.look(server.number)["problems"]
    assert f"Move what is in {own[0]} and {own[1]} to another place, do not delete it, and set zoo" in said
    own[0].rename(server.directory / "aside")
    found = host.look(server.number, zookeeper_adopt=True)
    assert found["problems"] == []
    for path in own:
        path.mkdir()
    arguments = {f"old_{key}": value for key, value in found["adopt"].items()}
    assert run(adopt, {**arguments, "data_dir": str(own[0]), "txnlog_dir": str(own[1])})["changed"]
    shutil.copy(theirs[0] / "myid", own[0])
    Ill(anew.ensemble, server, None).configure(dataDir=own[0], dataLogDir=own[1])  # type: ignore[arg-type]
    anew.ensemble.start()
    anew.has_all()


def test_a_backup_is_restored_on_all_when_most_have_lost_their_data(anew: Anew, tmp_path: Path) -> None:
    ensemble, last = anew.ensemble, anew.last
    ensemble.start()
    do_at(ensemble.followers()[0], told("Back up"), tmp_path)
    assert (tmp_path / "zookeeper.tar").stat().st_mode & 0o777 == 0o600, "it has the values of all znodes"
    ensemble.start()
    with ensemble.servers[0].client() as client:
        client.set(PATH, b"%d" % (last + 1000))
    for server in ensemble.servers:
        server.stop()
    for server in ensemble.servers[1:]:
        for path in directories(server):
            shutil.rmtree(path)
            path.mkdir()
    assert "restore a backup on all servers (docs/operations.md, 'Back up and restore')" in anew.refused()
    for server in ensemble.servers:
        do_at(server, told("Restore"), tmp_path)
        (server.directory / "data/myid").write_text(f"{server.number}\n")
    anew.goes_on()
    for server in ensemble.servers:
        with server.client() as client:
            assert last <= int(client.get(PATH)[0]) < last + 1000, "also on the server that was newer"
