"""Whether servers lose what they acknowledged when leaders are killed under load, with ZooKeeper's own way to
bring others up to date and with a snapshot for whoever joins (``forceSnapshotSync``), side by side.

An ensemble is whole if every server shows every acknowledged znode, and all servers show the same ones, also
once all of them were started anew from what is on their disks. It counts, it has no floor; few kills meet the
race that roles/zookeeper/README.md describes, hence the many.
"""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException, NodeExistsError
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.interfaces import IAsyncResult

from bench.report import Report
from tests.ensemble import Ensemble, EnsembleError

# Leaders of one ensemble that are killed, one after the other.
KILLS = 6
# What each client sends at a time, znodes.
BURST = 5
PARENT = "/written"
WAYS = ("ZooKeeper's own", "snapshots")


class Writer:
    """Creates znodes through one server, without waiting for the answers."""

    def __init__(self, port: int) -> None:
        self._sent: list[IAsyncResult] = []
        self._client = KazooClient(f"127.0.0.1:{port}", connection_retry={"max_tries": -1, "max_delay": 0.2})
        self._client.start()
        with suppress(NodeExistsError):
            self._client.create(PARENT)

    def write(self, data: bytes) -> None:
        """Some more, if there is a connection."""
        if self._client.connected:
            self._sent += [
                self._client.create_async(f"{PARENT}/n", data, sequence=True) for _ in range(BURST)
            ]

    def acknowledged(self) -> set[str]:
        """The paths, when nothing is under way any more."""
        for result in self._sent:
            result.wait(10.0)
        return {result.get() for result in self._sent if result.successful()}

    def close(self) -> None:
        """End the session."""
        self._client.stop()
        self._client.close()


def measure(runs: int) -> Report:
    """``runs`` ensembles of each kind."""
    report = Report("kills", runs=runs, kills=KILLS)
    broken: dict[str, list[str]] = {way: [] for way in WAYS}
    for number in range(1, runs + 1):
        with ThreadPoolExecutor(len(WAYS)) as both:
            for way, found in zip(WAYS, both.map(_kill_leaders, WAYS), strict=True):
                broken[way] += [found] if found else []
        print(f"{number:3}  {_line(broken)}", flush=True)
    report.add(ensembles=runs, broken=broken)
    print(f"of {runs} ensembles, {KILLS} leaders killed in each, were broken: {_line(broken)}")
    return report


def _line(broken: dict[str, list[str]]) -> str:
    return ", ".join(f"{way} {len(found)}" for way, found in broken.items())


def _kill_leaders(way: str) -> str | None:
    """What was found wrong first, if anything."""
    draw = random.SystemRandom()
    with Ensemble(snapshot_sync=way == "snapshots") as ensemble:
        writers = [Writer(server.port) for server in ensemble.servers]
        try:
            for _ in range(KILLS):
                data = bytes(draw.choice([0, 1000]))
                end = time.monotonic() + draw.uniform(0.02, 0.5)
                while time.monotonic() < end:
                    for writer in writers:
                        writer.write(data)
                    time.sleep(0.005)
                ensemble.leader().kill()
                time.sleep(draw.uniform(0.0, 1.0))
                ensemble.heal()
                if found := _broken(ensemble, writers):
                    return found
            for server in ensemble.servers:
                server.kill()
            ensemble.heal()
            found = _broken(ensemble, writers)
            return f"started anew: {found}" if found else None
        except (EnsembleError, KazooException, KazooTimeoutError) as problem:
            return f"{type(problem).__name__}: {problem}"
        finally:
            for writer in writers:
                writer.close()


def _broken(ensemble: Ensemble, writers: list[Writer]) -> str | None:
    acknowledged = set().union(*(writer.acknowledged() for writer in writers))
    one, two, three = shown = [_read(ensemble, number) for number in range(3)]
    lost = [len(acknowledged - paths) for paths in shown]
    extra = [len(paths - (one & two & three)) for paths in shown]
    return f"lost, by server: {lost}; not shown by all: {extra}" if any(lost + extra) else None


def _read(ensemble: Ensemble, number: int) -> set[str]:
    with ensemble.servers[number].client() as client:
        client.sync(PARENT)
        return {f"{PARENT}/{name}" for name in client.get_children(PARENT)}
