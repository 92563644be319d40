"""The file store on real servers: no acknowledged file is lost, whatever dies, sleeps or is damaged."""

import io
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from stores.blocks.files import Collected, Files
from stores.blocks.names import ConflictError, EndedError, NoSuchFileError

from mwapp import Client
from mwapp.status.shards import ShardState
from testbed.ensemble import Ensemble
from testbed.stores import FileWriter, People, Town, in_sync, kill_handler, wrong_in_files
from testbed.waiting import LONGEST_WAIT, wait_for

RACKS = {"w1": "a", "w2": "a", "w3": "b", "w4": "b", "w5": "c"}
GROUPS, GRACE = 4, 30.0  # so long a busy machine may need until a worker is back
# Long enough for a busy machine to start three handlers on each worker.
SESSION = ("--session-timeout", "5")
BLOCK_SIZE = 40_000  # small, so that files have several


class Nodes(Town):
    """A master, five data nodes in three racks, and a table of groups."""

    def wait_until_whole(self, without: str = "") -> dict[int, set[str]]:
        """Each group is served, has three in sync, and is to have no others; returns who."""

        def probe() -> dict[int, set[str]]:
            with Client(self.connect) as client:
                found = client.table("blocks").show()
            whole = len(found) == GROUPS and in_sync(found, 3)
            members = {state.shard: set(state.members) for state in found}
            return members if whole and without not in set().union(*members.values()) else {}

        return wait_for("three of each group are in sync", probe, 4 * LONGEST_WAIT, every=0.1)

    def primaries(self) -> dict[int, str]:
        return {shard: state.primary for shard, state in self.groups().items()}

    def groups(self) -> dict[int, ShardState]:
        with Client(self.connect) as client:
            return {state.shard: state for state in client.table("blocks").show()}

    def files(self, timeout: float = LONGEST_WAIT) -> Files:
        return Files(self.connect, timeout=timeout, block_size=BLOCK_SIZE)


@pytest.fixture
def town(ensemble: Ensemble, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Nodes]:
    with Nodes(f"{ensemble.connect_string}/{request.node.name}", tmp_path) as town:
        town.begin({"m": ()}, {name: (*SESSION, "--label", f"rack={rack}") for name, rack in RACKS.items()})
        with town.files(3 * LONGEST_WAIT) as files:  # twelve processes begin at once
            files.create(GROUPS, spread="rack", grace=GRACE)
        yield town


def test_no_acknowledged_file_is_lost_whatever_dies(town: Nodes) -> None:
    """Data nodes are killed, sleep longer than their sessions live, and one is lost with its disk."""
    before = town.wait_until_whole()
    racks = {group: sorted(RACKS[name] for name in names) for group, names in before.items()}
    assert set(map(tuple, racks.values())) == {("a", "b", "c")}
    writers = [FileWriter(town.files(), number, 3 * BLOCK_SIZE) for number in range(3)]
    with People(writers) as people:
        people.wait_until_each_writes()
        chance = random.Random(5)  # noqa: S311 - no secret
        # Killed, as systemd sees it: its session is closed at once.
        victim = town.named(chance.choice(sorted(set(town.primaries().values()))))
        victim.kill()
        victim.release()
        wait_for("others have its groups", lambda: victim.name not in town.primaries().values())
        people.wait_until_each_writes(1)
        victim.start()
        assert town.wait_until_whole() == before, (
            "it is back before the grace time is over, and nothing moves"
        )

        # One process of it is killed: its worker says so, another is the primary, and it begins anew.
        group = town.groups()[chance.randrange(GROUPS)]
        kill_handler(town.named(group.primary), "blocks", group.shard)
        wait_for("another is the primary", lambda: town.groups()[group.shard].generation > group.generation)
        assert town.wait_until_whole() == before

        # It sleeps, and its handlers go on: they are primaries of an old generation, and do not know it.
        sleeper = town.named(chance.choice(sorted(set(town.primaries().values()))))
        sleeper.signal(signal.SIGSTOP)
        wait_for("others have its groups", lambda: sleeper.name not in town.primaries().values())
        people.wait_until_each_writes(1)
        sleeper.signal(signal.SIGCONT)
        assert town.wait_until_whole() == before

        # It is cut off from the ensemble.
        cut_off = chance.choice(sorted(set(town.primaries().values())))
        network = town.cut_off(cut_off, "blocks")
        wait_for("others have its groups", lambda: cut_off not in town.primaries().values())
        people.wait_until_each_writes(1)
        network.heal()
        assert town.wait_until_whole() == before

        # A data node is lost for good, with its disk; its rack has another.
        town.named("w1").kill()
        _remove(town.own / "w1")
        after = town.wait_until_whole(without="w1")
    # What it had is copied again, and nothing else moves: fewer copies there cannot be.
    lost = sum("w1" in names for names in before.values())
    assert sum(len(after[group] - before[group]) for group in before) == lost
    assert {name for group in before for name in after[group] - before[group]} == {"w2"}

    with town.files() as files:
        for writer in writers:
            assert len(writer.acknowledged) > 5, writer.late
            assert writer.wrong == []
        assert wrong_in_files(files, writers) == []
        paths = {path for writer in writers for path in writer.acknowledged}
        for file in files.list():
            if file.path in paths:
                for block, replicas in files.where(file.path):
                    assert {replica.worker for replica in replicas} == after[block.group]
                    assert {replica.has for replica in replicas} == {"whole"}, (block, replicas)
                    assert {replica.labels for replica in replicas} == {"rack=a", "rack=b", "rack=c"}


def _remove(directory: Path) -> None:
    for path in sorted(directory.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def test_a_file_is_there_whole_or_not_at_all(town: Nodes) -> None:
    town.wait_until_whole()
    with town.files() as files, town.files() as others:
        data = random.Random(1).randbytes(3 * BLOCK_SIZE + 1)  # noqa: S311 - no secret
        assert len(files.put("a/b", io.BytesIO(data)).blocks) == 4
        assert len(files.put("empty", io.BytesIO())) == len(files.put("empty", io.BytesIO()))
        assert [(file.path, file.length) for file in others.list()] == [("a/b", len(data)), ("empty", 0)]
        assert b"".join(others.get("a/b")) == data
        assert b"".join(others.get("empty")) == b""

        # Somebody else replaces it, or ends the session, while it is written.
        for meanwhile, error in (
            (lambda: others.put("a/b", io.BytesIO(b"new")), ConflictError),
            (lambda: others.delete("a/b"), ConflictError),
            (lambda: others.put("a/b", io.BytesIO(b"newer")), ConflictError),
            (lambda: _make_again(others), ConflictError),
            (lambda: files.names.end(next(iter(files.names.writers()))), EndedError),
        ):
            with pytest.raises(error):
                files.put("a/b", _Stream(data, meanwhile))
            assert files.names.writers() == set()
        assert b"".join(files.get("a/b")) == b"new"

        # gc removes what those have left, and not what is being written.
        with town.files() as writing:
            writing.put("c", _Stream(data, lambda: others.gc(0.0)))
        assert b"".join(files.get("c")) == data
        others.delete("a/b")
        with pytest.raises(NoSuchFileError):
            others.delete("a/b")
        with pytest.raises(NoSuchFileError):
            list(files.get("a/b"))
        others.gc(0.0)
        used = {block.name for file in files.list() for block in file.blocks}
        left = [path for path in town.own.rglob("*-*.*") if path.name not in used]
        assert not left
        assert others.gc(0.0) == Collected(0, 0, ())

        # A block is damaged on two replicas, and lost on none.
        block, replicas = files.where("c")[0]
        for replica in replicas[:2]:
            path = town.own / replica.worker / "blocks/blocks" / str(block.group) / block.name
            path.write_bytes(path.read_bytes()[:-1] + b"?")
        assert sorted(one.has for one in files.where("c")[0][1]) == ["damaged", "damaged", "whole"]
        wait_for("both were asked", lambda: _all_whole(files, data))


def _make_again(files: Files) -> None:
    files.delete("a/b")
    files.put("a/b", io.BytesIO(b"new"))


def _all_whole(files: Files, data: bytes) -> bool:
    assert b"".join(files.get("c")) == data
    return {replica.has for replica in files.where("c")[0][1]} == {"whole"}


class _Stream(io.BytesIO):
    """Somebody does something in the middle."""

    def __init__(self, data: bytes, meanwhile: object) -> None:
        super().__init__(data)
        self._meanwhile = meanwhile

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() >= BLOCK_SIZE and callable(self._meanwhile):
            meanwhile, self._meanwhile = self._meanwhile, None
            meanwhile()
        return super().read(size)
