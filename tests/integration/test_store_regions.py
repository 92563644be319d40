"""The regions of docs/stores.md on real servers: people write while owners, workers and a master die or stand
still, and regions split. What was acknowledged is there, and nobody reads what was overwritten."""

import math
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from stores.regions.client import Regions

from mwapp import Client
from mwapp.status.shards import ShardState
from testbed.daemons import Daemon
from testbed.ensemble import Ensemble
from testbed.stores import People, Person, Town, freeze, handlers, send, thaw, wrong_in_regions
from testbed.waiting import LONGEST_WAIT, wait_for

MASTERS, WORKERS = ("m1", "m2"), ("w1", "w2", "w3", "w4")
PEOPLE = 4
SMALL = "12000"  # a region of more bytes is split
TABLE = "regions"


@pytest.fixture
def town(ensemble: Ensemble, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Town]:
    with Town(f"{ensemble.connect_string}/{request.node.name}", tmp_path) as town:
        town.begin(dict.fromkeys(MASTERS, ()), dict.fromkeys(WORKERS, ()), STORES_REGION_BYTES=SMALL)
        yield town


def test_what_was_acknowledged_is_there_whoever_dies_or_stands_still(town: Town) -> None:
    with Client(town.connect) as client:
        regions = Regions(client, TABLE, timeout=LONGEST_WAIT)
        regions.create()
        persons = [Person(regions, f"p{number}") for number in range(PEOPLE)]
        with People(persons) as people:
            trouble(town, regions, people)
        found = dict(regions.scan())
        assert wrong_in_regions(found, persons) == []
        for person in persons:
            for key in person.last:
                person.look(key, regions.get(key))
            assert person.wrong == []

        def all_tell() -> bool:
            shown = regions.show()
            return len(shown) > 3 and sum(state.keys or 0 for state in shown) == len(found)

        wait_for("every region is served, and tells its keys", all_tell, every=0.1)


def trouble(town: Town, regions: Regions, people: People) -> None:
    chosen = random.Random(7)  # noqa: S311 - no secret

    def owner() -> Daemon:
        with_some = wait_for(
            "somebody owns a region", lambda: [w for w in map(town.named, WORKERS) if handlers(w, TABLE)]
        )
        return chosen.choice(with_some)

    def show() -> list[ShardState]:
        with Client(town.connect) as client:
            return client.table(TABLE).show()

    def owners() -> set[str]:
        return {state.primary for state in show()}

    def generations() -> dict[int, int]:
        return {state.shard: state.generation for state in show()}

    def split() -> None:
        low = len(regions.show())
        wait_for("a region is split", lambda: len(regions.show()) > low, every=0.1)

    def kill_process() -> None:
        if victims := handlers(owner(), TABLE):
            shard, victim = chosen.choice(sorted(victims.items()))
            before = generations().get(shard, 0)
            send(victim, signal.SIGKILL)
            wait_for("it is followed", lambda: generations().get(shard, math.inf) > before)

    def freeze_process() -> None:
        """Its worker does not notice, and nobody follows; people wait."""
        if victims := list(handlers(owner(), TABLE).values()):
            victim = chosen.choice(victims)
            send(victim, signal.SIGSTOP)
            time.sleep(0.3)
            send(victim, signal.SIGCONT)

    def kill_worker() -> None:
        victim = owner()
        victim.kill()
        people.wait_until_each_writes()
        victim.start()
        victim.wait_for_state("ready")

    def freeze_worker() -> None:
        """Until it is followed; then it goes on, as if nothing had been."""
        victim = owner()
        frozen = freeze(victim)
        wait_for("others have its regions", lambda: victim.name not in owners())
        people.wait_until_each_writes()
        thaw(frozen)

    def cut_worker_off() -> None:
        network = town.cut_off(owner().name, TABLE)
        people.wait_until_each_writes()
        network.heal()

    def kill_master() -> None:
        victim = town.active()
        victim.kill()
        town.active()
        victim.start()

    steps: list[Callable[[], None]] = [kill_process, kill_process, freeze_process, kill_worker, freeze_worker]
    steps += [cut_worker_off, kill_master]
    split()
    for step in chosen.sample(steps, len(steps)):
        step()
        people.wait_until_each_writes()
