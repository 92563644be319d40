"""The regions of docs/stores.md on real servers: people write while owners, workers and a master die or stand
still, and regions split. What was acknowledged is there, and nobody reads what was overwritten."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from stores.regions.client import NotDoneError, Regions

from mwapp import Client
from testbed.daemons import DAEMON_SESSION_SECONDS, Daemon, Site
from testbed.ensemble import Ensemble
from testbed.waiting import LONGEST_WAIT, wait_for

MASTERS, WORKERS = ("m1", "m2"), ("w1", "w2", "w3", "w4")
PROJECT = Path(__file__).parents[2]
PEOPLE = 4
SMALL = 12_000  # a region of more bytes is split


class Town(Site):
    """Two masters, and four workers with regions."""

    def named(self, name: str) -> Daemon:
        return next(daemon for daemon in self.daemons if daemon.name == name)

    def active(self) -> Daemon:
        masters = [self.named(name) for name in MASTERS]
        return wait_for(
            "one is active", lambda: next((m for m in masters if m.status().get("state") == "active"), None)
        )


@pytest.fixture
def town(ensemble: Ensemble, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Town]:
    (tmp_path / "shared").mkdir()
    town = Town(f"{ensemble.connect_string}/{request.node.name}", tmp_path)
    with town:
        for name in MASTERS:
            town.start("master", name)
        town.active()
        environment = {
            "PYTHONPATH": f"{PROJECT}/examples/stores:{os.environ.get('PYTHONPATH', '')}",
            "STORES_REGIONS_DIR": str(tmp_path / "shared"),
            "STORES_REGION_BYTES": str(SMALL),
            "MWAPP_CONNECT": town.connect,
        }
        for name in WORKERS:
            town.start("worker", name, **environment)
        for name in WORKERS:
            town.named(name).wait_for_state("ready")
        yield town


def children(of: int) -> list[int]:
    """The processes that a daemon has started."""
    found = []
    for task in Path(f"/proc/{of}/task").glob("*/children"):
        with suppress(FileNotFoundError):
            found += [int(number) for number in task.read_text().split()]
    return found


def handlers(of: Daemon) -> list[int]:
    """Those of them that are a shard's."""
    found = []
    for number in children(of.process.pid):
        with suppress(FileNotFoundError):
            if b"shard_process" in Path(f"/proc/{number}/cmdline").read_bytes():
                found.append(number)
    return found


class Person(threading.Thread):
    """Counts in keys that only this one writes. What it then reads is what it has written."""

    def __init__(self, regions: Regions, name: str, over: threading.Event) -> None:
        super().__init__(name=name)
        self._regions, self._over = regions, over
        self._random = random.Random(name)  # noqa: S311 - no secret
        self.last: dict[
            str, list[int]
        ] = {}  # by key what it may be: the last that was acknowledged, and later ones
        self.writes = 0
        self.wrong: list[str] = []

    def run(self) -> None:
        number = 0
        while not self._over.is_set():
            number += 1
            key = f"{self._random.randrange(16):02}-{self.name}-{self._random.randrange(10)}"
            may_be = self.last.setdefault(key, [0])
            try:
                may_be.append(number)
                self._regions.put(key, b"%d" % number + b" " * 60)
                self.last[key] = may_be = [number]
                self.writes += 1
                if number % 4 == 0:
                    self.look(key, self._regions.get(key))
            except NotDoneError:
                continue  # it may come true

    def look(self, key: str, value: bytes | None) -> None:
        seen = int(value or b"0")
        if seen not in self.last[key]:
            self.wrong.append(f"{key} is {seen}, and should be one of {self.last[key]}")


def test_what_was_acknowledged_is_there_whoever_dies_or_stands_still(town: Town) -> None:
    over = threading.Event()
    with Client(town.connect) as client:
        regions = Regions(client, timeout=LONGEST_WAIT)
        regions.create()
        people = [Person(regions, f"p{number}", over) for number in range(PEOPLE)]
        for person in people:
            person.start()
        try:
            trouble(town, regions, people)
        finally:
            over.set()
            for person in people:
                person.join()
        assert [wrong for person in people for wrong in person.wrong] == []
        found = dict(regions.scan())
        keys = {key for person in people for key, may_be in person.last.items() if may_be != [0]}
        assert found.keys() <= keys
        for person in people:
            for key in person.last:
                person.look(key, found.get(key))
                person.look(key, regions.get(key))
        assert [wrong for person in people for wrong in person.wrong] == []
        shown = regions.show()
        assert sum(state.keys or 0 for state in shown) == len(found)
        assert len(shown) > 3
        assert list(found) == sorted(found)


def trouble(town: Town, regions: Regions, people: list[Person]) -> None:
    chosen = random.Random(7)  # noqa: S311 - no secret

    def owner() -> Daemon:
        with_some = wait_for(
            "somebody owns a region", lambda: [w for w in map(town.named, WORKERS) if handlers(w)]
        )
        return chosen.choice(with_some)

    def go_on() -> None:
        """Everybody is served again."""
        before = [person.writes for person in people]
        wait_for("all go on", lambda: all(p.writes > b + 2 for p, b in zip(people, before, strict=True)))

    def split() -> None:
        low = len(regions.show())
        wait_for("a region is split", lambda: len(regions.show()) > low, every=0.1)

    def kill_process() -> None:
        victims = handlers(owner())
        if victims:
            with suppress(ProcessLookupError):
                os.kill(chosen.choice(victims), signal.SIGKILL)

    def freeze_process() -> None:
        """Its worker does not notice, and nobody follows; people wait."""
        victims = handlers(owner())
        if victims:
            with suppress(ProcessLookupError):
                os.kill(victim := chosen.choice(victims), signal.SIGSTOP)
                time.sleep(0.3)
                os.kill(victim, signal.SIGCONT)

    def kill_worker() -> None:
        victim = owner()
        victim.kill()
        go_on()
        victim.start()
        victim.wait_for_state("ready")

    def freeze_worker() -> None:
        """Long enough to be followed; then it goes on, as if nothing had been."""
        victim = owner()
        whole = [*children(victim.process.pid), victim.process.pid]
        for number in whole:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGSTOP)
        time.sleep(DAEMON_SESSION_SECONDS)
        go_on()
        for (
            number
        ) in whole:  # its processes first: they answer as its worker does not know yet that it is over
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGCONT)
            time.sleep(0.02)

    def kill_master() -> None:
        victim = town.active()
        victim.kill()
        town.active()
        victim.start()

    steps: list[Callable[[], None]] = [kill_process, kill_process, freeze_process, kill_worker, freeze_worker]
    split()
    for step in chosen.sample([*steps, kill_master], 6):
        step()
        go_on()
