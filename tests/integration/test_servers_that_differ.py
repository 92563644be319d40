"""Servers that have different data after the same transactions, and the way back that the README tells."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.ensemble import Ensemble, Server
from tests.unit.zookeeper_role import load_file

status = load_file("modules/zookeeper_status.py")
report = load_file("filter/status_report.py")

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

    # As the README says: all stop, each server's data is kept, and all get the data of the one that is right.
    for server in ensemble.servers:
        server.stop()
    right = {"of zk1": tmp_path / "zk1"}
    shutil.copytree(data(ensemble.servers[0]), right["of zk1"])
    give(ensemble, dict.fromkeys(ensemble.servers, "of zk1"), right)

    there_are_all(ensemble)
    write(ensemble.servers[0], "new", 2 * EACH)
    told = problems(ensemble)
    assert not any("differ." in text for text in told), told
    assert len(told) == 3, "they have read in their logs again what the wrong leader made of it"

    # A follower that gets its data anew has no such log, and a leader has written a snapshot.
    leader = ensemble.leader()
    for follower in ensemble.followers():
        follower.stop()
        data(follower).rename(data(follower).with_name("of-the-log"))
        ensemble.start()
    leader.stop()
    ensemble.start()
    assert problems(ensemble) == []
    there_are_all(ensemble)


def there_are_all(ensemble: Ensemble) -> None:
    """Every write that was acknowledged by the servers that are right."""
    for server in ensemble.servers:
        with server.client() as client:
            there = set(client.get_children("/"))
            assert {f"acknowledged-{number}" for number in range(2 * EACH)} <= there
