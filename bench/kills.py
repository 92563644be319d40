"""Whether servers lose what they acknowledged when leaders are killed under load: with ZooKeeper's own way to
bring others up to date and with a snapshot for whoever joins (``forceSnapshotSync``), or of several releases.
They run side by side.

An ensemble is whole if every server shows every acknowledged znode, and all servers show the same ones, also
once all of them were started anew from what is on their disks. It counts, it has no floor; few kills meet the
race that roles/zookeeper/README.md describes, hence the many.
"""

import random
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing, suppress
from typing import Any

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException, NodeExistsError
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.interfaces import IAsyncResult

from bench.report import Report
from testbed.ensemble import CLASSPATH, Ensemble, EnsembleError, Server
from testbed.releases import jars
from testbed.waiting import NotInTimeError

# Leaders of one ensemble that are killed, one after the other.
KILLS = 6
WAYS: dict[str, dict[str, Any]] = {
    "ZooKeeper's own": {"snapshot_sync": False},
    "snapshots": {"snapshot_sync": True},
}
PACKAGES = "packages"
# Until what was sent is answered or lost with the connection, seconds.
SETTLED_SECONDS = 30.0
# Ensembles of each way at a time: they have to be short of processors.
AT_ONCE = 2
# What may be found, by how its text begins; all else is that the ensemble did not serve again.
KINDS = {"lost": "lost writes", "servers show": "differ", "": "did not serve again"}
ANEW = "started anew: "
# More at once than servers that are short of processors can do until the next.
BURST = 10
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
            for _ in range(BURST):
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
    """``runs`` ensembles of each way, or of each release or the packages. Raises ReleaseError."""
    report = Report("kills", runs=runs, kills=KILLS, releases=list(releases))
    ways = {
        version: {"snapshot_sync": False, "jars": CLASSPATH if version == PACKAGES else jars(version)}
        for version in releases
    } or WAYS
    wrong: dict[str, list[str]] = {way: [] for way in ways}
    with ProcessPoolExecutor(AT_ONCE * len(WAYS)) as pool:
        for number, (way, found) in enumerate(pool.map(_kill_leaders, [*ways.items()] * runs), 1):
            wrong[way] += [found] if found else []
            print(f"{number:3}  {_line(wrong)}", flush=True)
    report.add(ensembles=runs, broken=wrong)
    print(f"of {runs} ensembles, {KILLS} leaders killed in each, were broken: {_line(wrong)}")
    return report


def _line(wrong: dict[str, list[str]]) -> str:
    return ", ".join(f"{way} {_kinds(found)}" for way, found in wrong.items())


def _kinds(found: Sequence[str]) -> str:
    """How many ensembles, and of what: "3 (2 lost writes, 1 differ)"."""
    kinds = Counter(
        next(kind for start, kind in KINDS.items() if text.removeprefix(ANEW).startswith(start))
        for text in found
    )
    return f"{len(found)}" + (f" ({', '.join(f'{kinds[k]} {k}' for k in kinds)})" if found else "")


def _kill_leaders(way_and_settings: tuple[str, dict[str, Any]]) -> tuple[str, str | None]:
    """What was found wrong first, if anything."""
    way, settings = way_and_settings
    try:
        with Ensemble(**settings) as ensemble, ExitStack() as stack:
            writers = [stack.enter_context(closing(Writer(server.port))) for server in ensemble.servers]
            for _ in range(KILLS):
                _kill_the_leader(ensemble, writers)
                if found := broken(ensemble, writers):
                    return way, found
            for server in ensemble.servers:
                server.kill()
            ensemble.heal()
            found = broken(ensemble, writers)
            return way, f"{ANEW}{found}" if found else None
    except (EnsembleError, NotInTimeError, KazooException, KazooTimeoutError) as problem:
        return way, f"{type(problem).__name__}: {problem}"


def _kill_the_leader(ensemble: Ensemble, writers: list[Writer]) -> None:
    """In the middle of many writes; then it comes back."""
    draw = random.SystemRandom()
    leader = ensemble.leader()  # to ask takes longer than the servers need for what was sent
    end = time.monotonic() + draw.uniform(0.1, 0.5)
    while time.monotonic() < end:
        for writer in writers:
            writer.write()
        time.sleep(0.005)
    leader.kill()
    time.sleep(draw.uniform(0.3, 1.5))
    ensemble.heal()


def broken(ensemble: Ensemble, writers: list[Writer]) -> str | None:
    """What is missing of what was acknowledged, or differs between the servers."""
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
