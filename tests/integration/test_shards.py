"""Shards on real servers: each has one owner, whatever dies, and nothing of the one before is left."""

import asyncio
import os
import re
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mwapp import AsyncClient, Client, ShardState
from mwapp.errors import NotFoundError, RefusedError
from testbed.daemons import Daemon, Site
from testbed.ensemble import Ensemble
from testbed.waiting import LONGEST_WAIT, alive, wait_for

WORKERS = ("w1", "w2", "w3")
# Every run of the command says when it began, and leaves its number behind.
COMMAND = "echo $$ >{at}/$MWAPP_SHARD.$MWAPP_GENERATION.$MWAPP_WORKER; exec sleep 10000"
WAIT = ("--wait", "--timeout", str(LONGEST_WAIT))

# A handler in Python, as a person writes it. The data are in a directory that every worker reaches.
COUNTER = '''
"""Each shard counts in a file. Who has a smaller generation than the file's may not write."""

import os
import threading
import time
from pathlib import Path

from mwapp.handlers import Shard, Term

WHERE = Path(os.environ["COUNTERS"])


class Counter(Shard):
    def open(self, term: Term) -> None:
        self.file = WHERE / f"{self.table}.{self.shard}"
        self.address = f"{self.worker}:{os.getpid()}"
        self.stopped = threading.Event()
        self.thread = None

    def promote(self, term: Term) -> None:
        self.halt()
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.count, args=(term.generation, self.stopped))
        self.thread.start()

    def count(self, generation: int, stopped: threading.Event) -> None:
        while not stopped.wait(0.01):
            with self.file.open("a") as file:
                print(generation, self.worker, file=file)

    def handover(self, term: Term, to: str) -> None:
        self.halt()

    def halt(self) -> None:
        self.stopped.set()
        if self.thread is not None:
            self.thread.join()

    close = halt
'''


class Town(Site):
    """A master and three workers, which have shards."""

    at: Path

    def worker(self, name: str) -> Daemon:
        return next(daemon for daemon in self.daemons if daemon.name == name)

    def shards(self, table: str = "t") -> list[dict[str, Any]]:
        return list(self.json("shards", "show", table))

    def owners(self, table: str = "t") -> dict[int, tuple[str, int]]:
        """Who has what, with the generation, if all have somebody at work; otherwise nothing."""
        found = self.shards(table)
        at_work = all(shard["state"] == "serving" for shard in found)
        return {shard["shard"]: (shard["primary"], shard["generation"]) for shard in found} if at_work else {}

    def running(self) -> dict[tuple[int, int, str], int]:
        """The commands that live: shard, generation, worker; and the process."""
        found = {}
        for path in self.at.iterdir():
            if (name := re.fullmatch(r"(\d+)\.(\d+)\.(\w+)", path.name)) and (
                text := path.read_text().strip()
            ):
                shard, generation, worker = name.groups()
                if alive(int(text)):
                    found[int(shard), int(generation), worker] = int(text)
        return found

    def owned(self, without: str = "") -> dict[int, tuple[str, int]]:
        """Wait until every shard is at work, and not on that worker; each runs once, where the znodes say."""

        def probe() -> dict[int, tuple[str, int]]:
            owners = self.owners()
            runs = sorted((shard, generation, who) for shard, (who, generation) in owners.items())
            fits = without not in {who for who, _ in owners.values()} and sorted(self.running()) == runs
            return owners if fits else {}

        return wait_for(f"all are owned, and none by {without or 'nobody'}", probe)

    def settled(self) -> dict[int, tuple[str, int]]:
        """Wait until each worker has some, and nothing moves: who came first has all for a moment."""

        def probe() -> bool:
            (table,) = self.json("shards", "list")["tables"]
            return not table["moving"] and {who for who, _ in self.owners().values()} == set(WORKERS)

        wait_for("each has some, and nothing moves", probe)
        return self.owned()


@pytest.fixture
def town(ensemble: Ensemble, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Town]:
    (tmp_path / "commands").mkdir()
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/counters.py").write_text(COUNTER)
    town = Town(f"{ensemble.connect_string}/{request.node.name}", tmp_path)
    with town:
        town.at = tmp_path / "commands"
        town.start("master", "m").wait_for_state("active")
        environment = {
            "PYTHONPATH": f"{tmp_path}/modules:{os.environ.get('PYTHONPATH', '')}",
            "COUNTERS": str(tmp_path),
        }
        for name in WORKERS:
            town.start("worker", name, **environment)
        for name in WORKERS:
            town.worker(name).wait_for_state("ready")
        yield town


def test_every_shard_is_owned_once_whoever_dies_and_whatever_is_asked(town: Town) -> None:
    town.mwapp("shards", "create", "t", "--shards", "4", "--command", COMMAND.format(at=town.at), *WAIT)
    town.mwapp("shards", "create", "t", "--shards", "4", status=7)
    first = town.settled()
    assert sorted(first) == [0, 1, 2, 3]

    # A worker is killed: what it ran is dead before anybody else begins, and its shards go elsewhere.
    before = town.running()
    town.worker("w1").kill()
    lost = {shard for shard, (who, _) in first.items() if who == "w1"}
    second = _watched(town, before, lost)
    for shard in range(4):
        if shard in lost:
            assert second[shard][1] > first[shard][1]
        else:
            assert second[shard] == first[shard], "nothing else moves"

    # It comes back, and gets some again.
    town.worker("w1").start()
    town.worker("w1").wait_for_state("ready")
    wait_for("w1 has some", lambda: "w1" in {who for who, _ in town.owners().values()})
    town.owned()

    # One is moved by hand, there and nowhere else.
    owners = town.owned()
    shard, (who, generation) = next(iter(owners.items()))
    to = next(name for name in WORKERS if name != who)
    town.mwapp("shards", "move", "t", str(shard), to, *WAIT)
    moved = town.owned()[shard]
    assert moved[0] == to
    assert moved[1] > generation
    town.mwapp("shards", "move", "t", str(shard), to, *WAIT)
    assert town.owned()[shard] == moved, "it was there already"

    # A worker is drained: it has nothing, until that is undone.
    town.mwapp("shards", "drain", "w2", *WAIT)
    assert "w2" not in {worker for _, _, worker in town.running()}
    town.owned(without="w2")
    town.mwapp("shards", "move", "t", "0", "w2", status=7)
    assert town.json("shards", "list")["drained"] == [{"worker": "w2", "shards": 0}]
    town.mwapp("shards", "drain", "w2", "--undo")
    wait_for("w2 has some", lambda: "w2" in {who for who, _ in town.owners().values()})

    # A worker stops: others have what it had before it has ended.
    assert town.worker("w3").stop() == 0
    assert "w3" not in {worker for _, _, worker in town.running()}
    town.owned(without="w3")

    (table,) = town.json("shards", "list")["tables"]
    assert {key: table[key] for key in ("state", "shards", "vacant", "failed", "moving")} == {
        "state": "active",
        "shards": 4,
        "vacant": 0,
        "failed": 0,
        "moving": 0,
    }
    town.mwapp("shards", "delete", "t", *WAIT)
    assert town.running() == {}
    assert town.json("shards", "list")["tables"] == []
    town.mwapp("shards", "show", "t", status=4)
    town.mwapp("shards", "delete", "t", status=4)


def _watched(
    town: Town, before: dict[tuple[int, int, str], int], lost: set[int]
) -> dict[int, tuple[str, int]]:
    """Until all are owned again: of no shard two commands live."""
    end = time.monotonic() + LONGEST_WAIT
    while True:
        running = town.running()
        shards = [shard for shard, _, _ in running]
        assert len(shards) == len(set(shards)), running
        new = {shard for shard, _, _ in running.keys() - before.keys()}
        if new >= lost:
            return town.owned(without="w1")
        assert time.monotonic() < end, running
        time.sleep(0.01)


def test_a_worker_that_stands_still_is_followed_only_when_its_own_are_killed(town: Town) -> None:
    """Its commands go on while it is frozen, for it cannot kill them. That is what the generation is for:
    what they write late has a smaller one than their successors'. When it goes on, it kills them at once."""
    town.mwapp("shards", "create", "t", "--shards", "4", "--command", COMMAND.format(at=town.at), *WAIT)
    first = town.settled()
    town.worker("w1").signal(signal.SIGSTOP)

    def others() -> dict[int, tuple[str, int]]:
        owners = town.owners()
        return owners if "w1" not in {who for who, _ in owners.values()} else {}

    second = wait_for("others have them", others)
    for shard, (who, generation) in first.items():
        assert second[shard][1] > generation or who != "w1"
    town.worker("w1").signal(signal.SIGCONT)
    wait_for("what it ran is killed", lambda: len(town.running()) == 4)


def test_a_command_that_ends_is_started_again_under_another_generation(town: Town) -> None:
    town.mwapp("shards", "create", "t", "--shards", "3", "--command", COMMAND.format(at=town.at), *WAIT)
    first = town.settled()
    shard, (_, generation) = next(iter(first.items()))
    (process,) = (pid for (its, _, _), pid in town.running().items() if its == shard)

    os.kill(process, signal.SIGKILL)
    wait_for("it runs again", lambda: town.owners().get(shard, ("", 0))[1] > generation)
    town.owned()


def test_a_handler_in_python_writes_with_its_generation_and_hands_over(town: Town, tmp_path: Path) -> None:
    town.mwapp("shards", "create", "t", "--shards", "3", "--handler", "counters:Counter", *WAIT)

    def lines(shard: int) -> list[tuple[int, str]]:
        text = (tmp_path / f"t.{shard}").read_text() if (tmp_path / f"t.{shard}").exists() else ""
        found = [line.split() for line in text.splitlines()]
        return [(int(generation), worker) for generation, worker in found]

    owners = wait_for("all are owned", town.owners)
    for shard in owners:
        wait_for(f"shard {shard} writes", partial(lines, shard))
    owner = owners[0][0]
    to = next(name for name in WORKERS if name != owner)
    town.mwapp("shards", "move", "t", "0", to, *WAIT)
    wait_for("the next one writes", lambda: lines(0)[-1][1] == to)
    town.worker(to).kill()
    wait_for("another one writes", lambda: lines(0)[-1][1] != to)
    for shard in owners:
        wrote = [generation for generation, _ in lines(shard)]
        assert wrote == sorted(wrote), "nobody writes after the next one has begun"


def _reached(state: ShardState) -> bool:
    """Whether clients are told where its primary is, and its process lives."""
    worker, _, pid = state.address.partition(":")
    return worker == state.primary and alive(int(pid))


def test_a_program_makes_a_table_finds_its_shards_and_gives_it_up(town: Town) -> None:
    with Client(town.connect) as client:
        table = client.table("t")
        table.create(shards=3, replicas=2, handler="counters:Counter", timeout=LONGEST_WAIT)
        with pytest.raises(RefusedError, match="name: t exists already"):
            table.create(shards=3)
        table.wait(LONGEST_WAIT)

        def under_way(shards: int) -> None:
            states = table.show()
            assert [its.shard for its in states] == [*range(shards)]
            assert {its.state for its in states} <= {"serving", "handover"}

        under_way(3)

        def serve(shards: int) -> bool:
            """Whether each is where it is to be: whoever was in sync first serves first, and hands over."""
            states = table.show()
            assert [its.shard for its in states] == [*range(shards)]
            return all(its.state == "serving" and _reached(its) for its in states)

        def all_reached() -> bool:
            members = [member for its in table.show() for member in its.members.values()]
            return len(members) == 6 and all(member.state == "sync" and member.address for member in members)

        wait_for("all shards serve", lambda: serve(3))
        wait_for("every replica is there, and says where", all_reached)
        wait_for("both say the same", lambda: town.shards()[0]["address"] == table.shard(0).address)
        wait_for("it is shown", lambda: table.shard(0).address in town.mwapp("shards", "show", "t"))

        table.resize(5, timeout=LONGEST_WAIT)
        table.wait(LONGEST_WAIT)
        under_way(5)
        wait_for("all shards serve", lambda: serve(5))
        town.mwapp("shards", "resize", "t", "6", *WAIT)
        town.mwapp("shards", "resize", "t", "5", status=7)
        town.mwapp("shards", "resize", "u", "5", status=4)
        assert [(its.table, its.shards, its.vacant) for its in client.tables()] == [("t", 6, 0)]
        wait_for("all shards serve", lambda: serve(6))

        before = table.shard(0)
        to = next(name for name in WORKERS if name != before.primary)
        table.move(0, to, timeout=LONGEST_WAIT)
        after = table.shard(0)
        assert (after.primary, after.state, _reached(after)) == (to, "serving", True)
        assert after.generation > before.generation

        client.drain(to, timeout=LONGEST_WAIT)
        assert not any(to in its.members for its in table.show())
        client.undrain(to)
        asyncio.run(_given_up(town.connect, to))
        table.delete(timeout=LONGEST_WAIT)
        with pytest.raises(NotFoundError, match="no such table: t"):
            table.show()


async def _given_up(connect: str, worker: str) -> None:
    """The same without threads."""
    async with AsyncClient(connect) as client:
        table = client.table("u")
        await table.create(shards=2, handler="counters:Counter")
        await table.wait(LONGEST_WAIT)
        await asyncio.gather(*(table.move(shard, worker, timeout=LONGEST_WAIT) for shard in (0, 1)))
        assert [(its.primary, _reached(its)) for its in await table.show()] == [(worker, True)] * 2
        await table.delete(timeout=LONGEST_WAIT)
        assert [its.table for its in await client.tables()] == ["t"]


def test_a_handler_that_nobody_has_fails_and_is_told(town: Town) -> None:
    town.mwapp("shards", "create", "t", "--shards", "1", "--handler", "no_such:Thing")
    wait_for("it has failed", lambda: town.shards() and town.shards()[0]["state"] in ("failed", "vacant"))
    wait_for("it is told", lambda: any("no_such" in daemon.log.read_text() for daemon in town.daemons))
    late = ("--wait", "--timeout", "1")
    town.mwapp("shards", "create", "u", "--shards", "1", "--handler", "no_such:Thing", *late, status=5)
    for table in ("t", "u"):
        town.mwapp("shards", "delete", table, *WAIT)
