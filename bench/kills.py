"""Whether servers lose what they acknowledged when leaders are killed under load: with ZooKeeper's own way to
bring others up to date and with a snapshot for whoever joins (``forceSnapshotSync``), or of several releases.
They run side by side.

An ensemble is whole if every server shows every acknowledged znode, and all servers show the same ones, also
once all of them were started anew from what is on their disks. It counts, it has no floor; few kills meet the
race that roles/zookeeper/README.md describes, hence the many.
"""

import random
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing, suppress
from typing import Any

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException, NodeExistsError
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.interfaces import IAsyncResult

from bench.report import Report
from testbed.ensemble import Ensemble, EnsembleError, Server
from testbed.releases import jars
from testbed.waiting import NotInTimeError

# Leaders of one ensemble that are killed, one after the other.
KILLS = 6
WAYS: dict[str, dict[str, Any]] = {
    "ZooKeeper's own": {"snapshot_sync": False},
    "snapshots": {"snapshot_sync": True},
}
# Until what was sent is answered or lost with the connection, seconds.
SETTLED_SECONDS = 30.0
# Ensembles of each way at a time: they have to be short of processors.
AT_ONCE = 2
PARENT = "/written"
CHANGED = tuple(f"/changed-{number}" for number in range(3))


class Writer:
    """Creates znodes and changes others through one server, without waiting for the answers."""

    def __init__(self, port: int) -> None:
        self._sent: list[IAsyncResult] = []
        self._client = KazooClient(f"127.0.0.1:{port}", connection_retry={"max_tries": -1, "max_delay": 0.2})
        self._client.start()
        for path in (PARENT, *CHANGED):
            with suppress(NodeExistsError):
                self._client.create(path)

    def write(self) -> None:
        """Some more, if there is a connection."""
        if self._client.connected:
            for path in CHANGED:
                self._client.set_async(path, b"")
            self._sent.append(self._client.create_async(f"{PARENT}/n", sequence=True))

    def acknowledged(self) -> set[str]:
        """The paths, when nothing is under way any more."""
        end = time.monotonic() + SETTLED_SECONDS
        for result in self._sent:
            result.wait(max(0.0, end - time.monotonic()))
        return {result.get() for result in self._sent if result.successful()}

    def close(self) -> None:
        """End the session."""
        self._client.stop()
        self._client.close()


def measure(runs: int, releases: Sequence[str] = ()) -> Report:
    """``runs`` ensembles of each way, or of each release. Raises ReleaseError."""
    report = Report("kills", runs=runs, kills=KILLS, releases=list(releases))
    ways = {version: {"snapshot_sync": False, "jars": jars(version)} for version in releases} or WAYS
    broken: dict[str, list[str]] = {way: [] for way in ways}
    with ProcessPoolExecutor(AT_ONCE * len(WAYS)) as pool:
        for number, (way, found) in enumerate(pool.map(_kill_leaders, [*ways.items()] * runs), 1):
            broken[way] += [found] if found else []
            print(f"{number:3}  {_line(broken)}", flush=True)
    report.add(ensembles=runs, broken=broken)
    print(f"of {runs} ensembles, {KILLS} leaders killed in each, were broken: {_line(broken)}")
    return report


def _line(broken: dict[str, list[str]]) -> str:
    return ", ".join(f"{way} {len(found)}" for way, found in broken.items())


def _kill_leaders(way_and_settings: tuple[str, dict[str, Any]]) -> tuple[str, str | None]:
    """What was found wrong first, if anything."""
    way, settings = way_and_settings
    try:
        with Ensemble(**settings) as ensemble, ExitStack() as stack:
            writers = [stack.enter_context(closing(Writer(server.port))) for server in ensemble.servers]
            for _ in range(KILLS):
                _kill_the_leader(ensemble, writers)
                if found := _broken(ensemble, writers):
                    return way, found
            for server in ensemble.servers:
                server.kill()
            ensemble.heal()
            found = _broken(ensemble, writers)
            return way, f"started anew: {found}" if found else None
    except (EnsembleError, NotInTimeError, KazooException, KazooTimeoutError) as problem:
        return way, f"{type(problem).__name__}: {problem}"


def _kill_the_leader(ensemble: Ensemble, writers: list[Writer]) -> None:
    """In the middle of many writes; then it comes back."""
    draw = random.SystemRandom()
    end = time.monotonic() + draw.uniform(0.1, 0.5)
    while time.monotonic() < end:
        for writer in writers:
            writer.write()
        time.sleep(0.005)
    ensemble.leader().kill()
    time.sleep(draw.uniform(0.3, 1.5))
    ensemble.heal()


def _broken(ensemble: Ensemble, writers: list[Writer]) -> str | None:
    acknowledged = set().union(*(writer.acknowledged() for writer in writers))
    shown = [_read(server) for server in ensemble.servers]
    lost = [len(acknowledged - paths) for paths, _ in shown]
    if any(lost):
        return f"lost, by server: {lost}"
    return None if all(one == shown[0] for one in shown) else "servers show different things"


def _read(server: Server) -> tuple[set[str], list[int]]:
    with server.client() as client:
        names = client.get_children(PARENT)
        versions = [client.get(path)[1].version for path in CHANGED]
    return {f"{PARENT}/{name}" for name in names}, versions
