"""Whether an ensemble can change from any of some releases to any other, and back, while clients write.

Its servers change one after the other, the leader last, as the role zookeeper does it. The first one gets its
data anew, from a leader of the other release. When it has them, the leader is killed: so an ensemble of both
releases elects one. It counts what was lost, and has no floor.
"""

import re
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from itertools import combinations, pairwise

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException
from kazoo.handlers.threading import KazooTimeoutError

from bench.kills import Writer, broken
from bench.report import Report
from testbed.ensemble import Ensemble, EnsembleError, Server
from testbed.releases import jars
from testbed.waiting import NotInTimeError

EVERY = 0.01  # seconds
RELEASES = ("3.8.0", "3.8.6", "3.9.3", "3.9.4", "3.9.5")
Row = dict[str, object]


class AnswerTimes:
    """Writes all the time through any server, and knows the longest time without an answer."""

    def __init__(self, ensemble: Ensemble, writers: Sequence[Writer]) -> None:
        self._writers = writers
        self._client = KazooClient(
            ensemble.connect_string, connection_retry={"max_tries": -1, "max_delay": 0.2}, timeout=4
        )
        self._client.start()
        self._client.ensure_path("/answers")
        self._answers: list[float] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(EVERY):
            for writer in self._writers:
                writer.write()
            with suppress(KazooException, KazooTimeoutError):
                self._client.set("/answers", b"")
                self._answers.append(time.monotonic())

    def gap(self, since: float) -> float:
        """The longest between two answers since then."""
        times = [since, *(at for at in self._answers if at > since), time.monotonic()]
        return max(after - before for before, after in pairwise(times))

    def close(self) -> None:
        """Stop, and end the session."""
        self._ended.set()
        self._thread.join()
        self._client.stop()
        self._client.close()


def measure(releases: Sequence[str]) -> Report:
    """Each two, there and back. Raises ReleaseError."""
    report = Report("upgrades", releases=list(releases))
    rows: list[Row] = []
    for old, new in combinations(releases, 2):
        try:
            for row in _there_and_back(old, new):
                rows.append(row)
                print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
        except (EnsembleError, NotInTimeError, KazooException, KazooTimeoutError) as error:
            rows.append({"from": old, "to": new, "found": f"{type(error).__name__}: {error}"})
            print(rows[-1], flush=True)
    report.add(rolls=rows)
    return report


def _there_and_back(old: str, new: str) -> Iterator[Row]:
    with Ensemble(jars=jars(old), snapshot_sync=False) as ensemble, ExitStack() as stack:
        writers = [stack.enter_context(closing(Writer(server.port))) for server in ensemble.servers]
        for before, after in ((old, new), (new, old)):
            began = time.monotonic()
            row: Row = {"from": before, "to": after}
            with closing(AnswerTimes(ensemble, writers)) as answers:
                _roll(ensemble, after)
                row |= {
                    "seconds": round(time.monotonic() - began),
                    "longest_gap": round(answers.gap(began), 1),
                }
            yield row | {
                "versions": ",".join(_version(server) for server in ensemble.servers),
                "mismatches": sum(_mismatches(server) for server in ensemble.servers),
                "found": broken(ensemble, writers) or "nothing lost",
            }


def _roll(ensemble: Ensemble, release: str) -> None:
    """The first gets its data anew, then the leader is killed, and the leader at that time is the last."""
    _change(ensemble, ensemble.followers()[0], release, anew=True)
    ensemble.leader().kill()
    ensemble.heal()
    while left := [server for server in ensemble.servers if server.jars != jars(release)]:
        leader = ensemble.leader()
        _change(ensemble, next((server for server in left if server is not leader), leader), release)


def _change(ensemble: Ensemble, server: Server, release: str, *, anew: bool = False) -> None:
    server.stop()
    server.jars = jars(release)
    if anew:
        shutil.rmtree(server.directory / "data/version-2")
    ensemble.start()


def _version(server: Server) -> str:
    found = re.search(r"version: (\d+\.\d+\.\d+)", server.ask("srvr"))
    return found[1] if found else "none"


def _mismatches(server: Server) -> int:
    found = re.search(r"zk_digest_mismatches_count\t(\d+)", server.ask("mntr"))
    return int(found[1]) if found else 0
