"""Whether servers lose what they acknowledged when leaders are killed under load: with and without
``zookeeper_snapshot_sync``, side by side.

An ensemble is whole if every server shows every acknowledged znode, and all servers show the same. Few kills
meet the race that roles/zookeeper/README.md describes, hence the many.
"""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException, NodeExistsError
from kazoo.interfaces import IAsyncResult

from bench.report import Report
from tests.ensemble import Ensemble

# Leaders of one ensemble that are killed, one after the other.
KILLS = 6
PARENT = "/written"


class Writer:
    """Creates znodes through one server, without waiting for the answers."""

    def __init__(self, port: int) -> None:
        self.acknowledged: list[str] = []
        self._client = KazooClient(f"127.0.0.1:{port}", connection_retry={"max_tries": -1, "max_delay": 0.2})
        self._client.start()
        with suppress(NodeExistsError):
            self._client.create(PARENT)

    def write(self, data: bytes) -> None:
        """One more, if there is a connection."""
        if self._client.connected:
            self._client.create_async(f"{PARENT}/n", data, sequence=True).rawlink(self._answered)

    def _answered(self, result: IAsyncResult) -> None:
        if result.successful():
            self.acknowledged.append(result.get())

    def close(self) -> None:
        """End the session."""
        with suppress(KazooException):
            self._client.stop()
        self._client.close()


def measure(runs: int) -> Report:
    """``runs`` ensembles of each kind."""
    report = Report("kills", runs=runs, kills=KILLS)
    broken: dict[bool, list[str]] = {False: [], True: []}
    for number in range(1, runs + 1):
        with ThreadPoolExecutor(len(broken)) as both:
            for snapshot_sync, found in zip(broken, both.map(_kill_leaders, broken), strict=True):
                broken[snapshot_sync] += found
        print(f"{number:3}  {_line(broken)}", flush=True)
    report.add(ensembles=runs, without=broken[False], with_snapshot_sync=broken[True])
    print(f"of {runs} ensembles, {KILLS} leaders killed in each: {_line(broken)}")
    return report


def _line(broken: dict[bool, list[str]]) -> str:
    return f"broken without snapshot sync {len(broken[False])}, with it {len(broken[True])}"


def _kill_leaders(snapshot_sync: bool) -> list[str]:
    """What was found wrong in an ensemble, at most one thing."""
    draw = random.SystemRandom()
    with Ensemble(snapshot_sync=snapshot_sync) as ensemble:
        writers = [Writer(server.port) for server in ensemble.servers]
        try:
            for _ in range(KILLS):
                data = bytes(draw.choice([0, 1000]))
                end = time.monotonic() + draw.uniform(0.02, 0.5)
                while time.monotonic() < end:
                    for writer in writers * 5:
                        writer.write(data)
                    time.sleep(0.005)
                ensemble.leader().kill()
                time.sleep(draw.uniform(0.3, 1.0))
                ensemble.heal()
                if _broken(ensemble, writers):
                    time.sleep(1.0)  # or something was still on its way
                    if found := _broken(ensemble, writers):
                        return [found]
        finally:
            for writer in writers:
                writer.close()
    return []


def _broken(ensemble: Ensemble, writers: list[Writer]) -> str | None:
    acknowledged = {path for writer in writers for path in writer.acknowledged}
    one, two, three = shown = [_read(server.port) for server in ensemble.servers]
    lost = [len(acknowledged - paths) for paths in shown]
    extra = [len(paths - (one & two & three)) for paths in shown]
    return f"lost, by server: {lost}; not shown by all: {extra}" if any(lost + extra) else None


def _read(port: int) -> set[str]:
    """What one server shows."""
    client = KazooClient(f"127.0.0.1:{port}")
    client.start()
    client.sync(PARENT)
    names = client.get_children(PARENT)
    client.stop()
    client.close()
    return {f"{PARENT}/{name}" for name in names}
