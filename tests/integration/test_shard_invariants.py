"""Invariants of docs/shards.md by their names, each in a fixed schedule on a real ensemble.

The ensemble's transaction log is judged at the end of each by the judge of the simulation. That nobody is
primary who may not be, and that nothing stays without an owner, is in test_shards.py and the tests of the
stores.
"""

import signal
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from testbed.daemons import Daemon, Site
from testbed.ensemble import Ensemble
from testbed.waiting import LONGEST_WAIT, wait_for
from tests.integration import replay
from tests.simulation.ensemble import SimEnsemble
from tests.simulation.shards.handlers import Fleet
from tests.simulation.shards.judge import Judge
from tests.simulation.tree import Tree

WORKERS = {"w1": "a", "w2": "a", "w3": "b", "w4": "b"}
STILL = 3.0


@dataclass
class _Replayed:
    """The part of the ensemble below a chroot, as the log says it was."""

    decided: Tree = field(default_factory=Tree)


class Town(Site):
    """A master and four workers in two zones."""

    ensemble: Ensemble

    def worker(self, name: str) -> Daemon:
        return next(daemon for daemon in self.daemons if daemon.name == name)

    def create(self, *options: str) -> None:
        self.mwapp(
            "shards", "create", "t", *options, "--grace", "1", "--wait", "--timeout", str(LONGEST_WAIT)
        )
        self.settled()

    def members(self) -> dict[int, list[str]]:
        return {its["shard"]: sorted(its["members"]) for its in self.json("shards", "show", "t")}

    def having(self) -> set[str]:
        """Who has some."""
        return {worker for members in self.members().values() for worker in members}

    def settled(self) -> None:
        """Wait until nothing is lacking and nothing moves."""

        def probe() -> bool:
            (table,) = self.json("shards", "list")["tables"]
            return not any(table[what] for what in ("vacant", "failed", "under_replicated", "moving"))

        wait_for("all is as it is to be", probe)

    def judged(self) -> Judge:
        """What was committed; the judge raises Violation."""
        judge, replayed = Judge(), _Replayed()
        judge.ensemble = cast(SimEnsemble, replayed)
        nobody = defaultdict[str, Any](lambda: SimpleNamespace(handlers={}))  # what handlers did is not known
        judge.fleet = cast(Fleet, SimpleNamespace(hosts=nobody))
        for entry in replay.committed(self.ensemble, self.chroot):
            for change in entry.changes:
                replayed.decided.apply(change, entry.zxid, entry.time)
            judge.committed(entry)
        assert judge.counts["moves"]
        return judge

    def in_the_end(self) -> None:
        """All is settled, even and spread, and nothing moves any more."""
        self.settled()
        there = {name: (f"zone={zone}",) for name, zone in WORKERS.items()}
        before = self.judged()
        before.final(there, set())
        time.sleep(STILL)
        after = self.judged()
        assert after.records == before.records
        after.final(there, set())


@pytest.fixture
def town(ensemble: Ensemble, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Town]:
    with Town(f"{ensemble.connect_string}/{request.node.name}", tmp_path) as town:
        town.ensemble = ensemble
        town.start("master", "m").wait_for_state("active")
        for name, zone in WORKERS.items():
            town.start("worker", name, "--label", f"zone={zone}")
        for name in WORKERS:
            town.worker(name).wait_for_state("ready")
        yield town


def test_replicas_distinct(town: Town) -> None:
    """A worker is killed and is another incarnation at once; one is away until others have its place. One
    after the other, or what they have in common would wait for the second."""
    town.create("--shards", "6", "--replicas", "2", "--own")
    town.worker("w1").kill()
    town.worker("w1").start()
    town.worker("w1").wait_for_state("ready")
    town.settled()
    frozen = town.worker("w2")
    frozen.signal(signal.SIGSTOP)
    wait_for("others have its place", lambda: "w2" not in town.having())
    frozen.signal(signal.SIGCONT)
    wait_for("both have some", lambda: {"w1", "w2"} <= town.having())
    town.in_the_end()
    assert all(len(members) == 2 for members in town.members().values())


def test_spread_honoured(town: Town) -> None:
    town.create("--shards", "6", "--replicas", "2", "--own", "--spread", "zone")
    town.worker("w1").kill()
    wait_for("w2 has its zone's alone", lambda: all("w2" in members for members in town.members().values()))
    town.worker("w1").start()
    wait_for("w1 has some again", lambda: "w1" in town.having())
    town.in_the_end()


def test_moves_bounded(town: Town) -> None:
    """One copy at a time; another table waits for who is lost; and when all are there nothing moves."""
    town.create("--shards", "12", "--replicas", "2", "--own", "--copies", "1", "--page", "3")
    town.mwapp("shards", "create", "u", "--shards", "9", "--wait", "--timeout", str(LONGEST_WAIT))
    town.worker("w3").kill()
    wait_for("others have its place", lambda: "w3" not in town.having())
    town.worker("w3").start()
    wait_for("it has some again", lambda: "w3" in town.having())
    wait_for("of both", lambda: "w3" in str(town.json("shards", "show", "u", "--worker", "w3")))
    town.mwapp("shards", "delete", "u", "--wait", "--timeout", str(LONGEST_WAIT))
    town.in_the_end()


def test_balanced_in_the_end(town: Town) -> None:
    """One is drained, one stops, one is killed; all come back."""
    town.create("--shards", "7", "--replicas", "2", "--own")
    town.mwapp("shards", "drain", "w1", "--wait", "--timeout", str(LONGEST_WAIT))
    assert town.worker("w2").stop() == 0
    town.worker("w3").kill()
    wait_for("w4 has all", lambda: town.having() == {"w4"})
    town.mwapp("shards", "drain", "w1", "--undo")
    for name in ("w2", "w3"):
        town.worker(name).start()
    wait_for("all have some", lambda: town.having() == set(WORKERS))
    town.in_the_end()
