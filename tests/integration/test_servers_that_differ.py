"""Servers that have different data after the same transactions, and the way back that the README tells."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kazoo.client import KazooClient
from kazoo.security import make_acl

from testbed.ensemble import Ensemble, Server
from tests.unit.zookeeper_role import load_file

status = load_file("modules/zookeeper_status.py")
report = load_file("filter/status_report.py")
module = load_file("modules/zookeeper_tree.py")
trees = load_file("filter/zookeeper_trees.py")

# A server tells the digest of its data once in so many transactions.
EACH = 128


def data(server: Server) -> Path:
    """The directory that holds all that it has."""
    return server.directory / "data/version-2"


def write(server: Server, value: str, times: int) -> None:
    with server.client() as client:
        client.ensure_path("/x")
        for _ in range(times):
            client.set("/x", value.encode())


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The data of two servers that never knew each other and have applied equally many transactions."""
    made = {}
    for value in ("right", "wrong"):
        made[value] = tmp_path_factory.mktemp("data") / value
        with Ensemble(1) as one:
            write(one.servers[0], value, 10)
            one.servers[0].stop()
            shutil.copytree(data(one.servers[0]), made[value])
    return made


@pytest.fixture
def ensemble(alone: dict[str, Path]) -> Iterator[Ensemble]:
    """The third server has other data than the first two; none has noticed yet."""
    with Ensemble(snapshot_sync=False) as made:
        give(made, dict(zip(made.servers, ("right", "right", "wrong"), strict=True)), alone)
        yield made


def give(ensemble: Ensemble, whose: dict[Server, str], found: dict[str, Path]) -> None:
    """Stop all servers, give each the data, and start them."""
    for server in ensemble.servers:
        server.stop()
    for server, name in whose.items():
        data(server).rename(data(server).with_name(f"kept-{name}"))
        shutil.copytree(found[name], data(server))
    ensemble.start()


def problems(ensemble: Ensemble) -> list[str]:
    """What status.yml says of the servers' data."""
    looked = {
        f"zk{server.number}": {
            "__zookeeper_status": {
                "server": status.server(server.ask("mntr")),
                "digests": status.digests(server.ask("hash")),
            }
        }
        for server in ensemble.servers
    }
    found: list[str] = report.differing(list(looked), looked)
    return found


def compared(ensemble: Ensemble) -> dict[str, Any]:
    """What compare.yml says, of the servers' disks."""
    names = {f"zk{server.number}": {str(server.directory / "data")} for server in ensemble.servers}
    asked = {name: {"__zookeeper_tree_span": module.look(names[name], "", [])} for name in names}
    for what in ("sums", "nodes"):
        plan = trees.zookeeper_tree_plan([*names], asked)
        for name in names:
            asked[name][f"__zookeeper_tree_{what}"] = module.look(names[name], plan["zxid"], plan["buckets"])
    told: dict[str, Any] = trees.zookeeper_tree_report([*names], asked)
    return told


def values(ensemble: Ensemble, path: str) -> list[bytes]:
    """What each server has there."""
    found = []
    for server in ensemble.servers:
        with server.client() as client:
            found.append(client.get(path)[0])
    return found


def test_they_are_noticed_and_made_the_same_again(ensemble: Ensemble, tmp_path: Path) -> None:
    assert values(ensemble, "/x") == [b"right", b"right", b"wrong"]
    with ensemble.servers[0].client() as client:
        for number in range(2 * EACH):
            client.create(f"/acknowledged-{number}")
    assert any("zk1, zk2 and of zk3 differ" in text for text in problems(ensemble)), problems(ensemble)
    where = compared(ensemble)
    assert where["differs"].keys() == {"/x"}, where["text"]
    assert "zk1, zk2: version 10" in where["text"]

    # As the README says: all stop, each server's data is kept, and all get the data of the one that is right.
    for server in ensemble.servers:
        server.stop()
    right = {"of zk1": tmp_path / "zk1"}
    shutil.copytree(data(ensemble.servers[0]), right["of zk1"])
    give(ensemble, dict.fromkeys(ensemble.servers, "of zk1"), right)

    there_are_all(ensemble)
    write(ensemble.servers[0], "new", 2 * EACH)
    # If no snapshot came after it, they have read in their logs again what the wrong leader made of it.
    told = problems(ensemble)
    assert all("its data differed from the leader's" in text for text in told), told

    # A follower that gets its data anew has no such log, and a leader has written a snapshot.
    leader = ensemble.leader()
    for follower in ensemble.followers():
        follower.stop()
        data(follower).rename(data(follower).with_name("of-the-log"))
        ensemble.start()
    leader.stop()
    ensemble.start()
    assert problems(ensemble) == []
    assert compared(ensemble)["ok"], compared(ensemble)["text"]
    there_are_all(ensemble)


def there_are_all(ensemble: Ensemble) -> None:
    """Every write that was acknowledged by the servers that are right."""
    for server in ensemble.servers:
        with server.client() as client:
            there = set(client.get_children("/"))
            assert {f"acknowledged-{number}" for number in range(2 * EACH)} <= there


def test_a_disk_has_what_its_server_shows(tmp_path: Path) -> None:
    """From its log, from its snapshot, and while it writes."""
    with Ensemble(1) as one:
        (server,) = one.servers
        leaving = KazooClient(f"127.0.0.1:{server.port}")
        leaving.start()
        leaving.create("/gone", ephemeral=True)
        with server.client() as client:
            client.create("/a", "é".encode(), makepath=True)
            client.create("/é", acl=[make_acl("world", "anyone", read=True, admin=True)])
            client.create("/of-a-session", bytes(100_000), ephemeral=True)
            client.create("/deleted")
            client.delete("/deleted")
            leaving.stop()
            leaving.close()
            several = client.transaction()
            several.set_data("/a", b"other")
            several.create("/b")
            several.delete("/b")
            several.create("/b/c")
            assert any(isinstance(result, Exception) for result in several.commit())
            several = client.transaction()
            several.create("/b", b"x")
            several.set_data("/b", b"xyz")
            assert not any(isinstance(result, Exception) for result in several.commit())
            client.set_acls("/b", [make_acl("world", "anyone", read=True)])
            last = client.set("/a", b"last").mzxid
            there = {path: client.exists(path) for path in ("/", *everything(client, ""))}
        shown = {
            path: (stat.czxid, stat.mzxid, stat.version, stat.ephemeralOwner, stat.dataLength)
            for path, stat in there.items()
        }
        by_log = look(server, last)
        assert {path: tuple([*node.values()][1:]) for path, node in by_log.items()} == shown
        assert by_log.keys() > {"/a", "/b", "/é", "/of-a-session"}
        # What the session's end has changed is later.
        server.stop()
        one.start()
        shutil.copytree(data(server), tmp_path / "version-2")
        for log in (tmp_path / "version-2").glob("log.*"):
            log.unlink()
        newest = module.span([tmp_path]).last
        tree = module.Tree([tmp_path], newest)
        by_snapshot = tree.nodes(range(1 << 12))[0]
        assert by_snapshot == look(server, newest, snapshot="snapshot.0"), "its log has the same"
        assert by_snapshot.keys() == by_log.keys() - {"/of-a-session"}


def look(server: Server, zxid: int, snapshot: str = "snapshot.*") -> dict[str, Any]:
    """The znodes on its disk, from these snapshots."""
    for path in data(server).glob("snapshot.*"):
        if not path.match(snapshot):
            path.unlink()
    nodes: dict[str, Any] = module.Tree([data(server).parent], zxid).nodes(range(1 << 12))[0]
    return nodes


def everything(client: KazooClient, path: str) -> Iterator[str]:
    """All paths below but that of the configuration, which is each server's own."""
    for name in client.get_children(path or "/"):
        below = f"{path}/{name}"
        if below != "/zookeeper/config":
            yield below
            yield from everything(client, below)
