"""What finished tasks cost a new one: an application that has thousands, beside one that has none.

Both have a master and a worker on the same three servers, and take turns, so a ratio is of two neighbours in
time. Finished tasks stay for an hour by default, so a busy application always has some ten thousand.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from bench.client import Place, lone, throughput
from bench.floor import Floor, floor
from bench.plot import draw
from bench.report import Report, summary
from bench.tasks import NOTHING, REST
from mwapp.core.protocol import TASKS
from testbed.daemons import Site
from testbed.ensemble import Ensemble

SETTINGS = ("--slots", "8", "--prefetch", "400", "--log-level", "warning")
# How many are submitted at once until there are enough.
PORTION = 5000


class _Application:
    """Its place, and what lone tasks took in each round, seconds."""

    def __init__(self, place: Place, bare: Floor) -> None:
        self._place, self._bare = place, bare
        self.lone: list[list[float]] = []

    def fill(self, finished: int) -> None:
        """Run so many tasks, which stay."""
        for begun in range(0, finished, PORTION):
            throughput(self._place, NOTHING, min(PORTION, finished - begun))

    def measure(self, times: int) -> None:
        """Lone tasks, which do not stay."""
        seconds, names = lone(self._place, NOTHING, times, REST)
        self._bare.remove(names, TASKS)
        self.lone.append(seconds)

    @property
    def lone_ms(self) -> list[float]:
        """Of all rounds."""
        return [1000 * seconds for round_ in self.lone for seconds in round_]


@contextmanager
def _application(connect: str, home: Path) -> Iterator[_Application]:
    home.mkdir()
    with Site(connect, home) as site:
        master = site.start("master", "m1", *SETTINGS[-2:])
        worker = site.start("worker", "w1", *SETTINGS)
        master.wait_for_state("active")
        worker.wait_for_state("ready")
        place = Place(connect)
        with floor(place, NOTHING) as bare:
            yield _Application(place, bare)


def measure(*, finished: int, rounds: int, times: int) -> Report:
    """``rounds`` times ``times`` lone tasks of each; one more to get warm."""
    report = Report("history", finished=finished, rounds=rounds, lone=times)
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as home,
        Ensemble(fsync=True) as ensemble,
        _application(f"{ensemble.connect_string}/new", Path(home, "new")) as new,
        _application(f"{ensemble.connect_string}/busy", Path(home, "busy")) as busy,
    ):
        busy.fill(finished)
        for number in range(rounds + 1):
            for application in (new, busy) if number % 2 else (busy, new):
                application.measure(times)
                if not number:
                    application.lone.clear()
            if number:
                print(f"round {number}: {_line(new, busy, finished, -1)}", flush=True)
    draw("history", "A lone task", "ms", {"no finished ones": new.lone_ms, f"{finished}": busy.lone_ms})
    report.add(
        new_ms=summary(new.lone_ms),
        busy_ms=summary(busy.lone_ms),
        ratio=summary([median(b) / median(n) for n, b in zip(new.lone, busy.lone, strict=True)], 2),
    )
    print(f"median: {_line(new, busy, finished, None)}")
    return report


def _line(new: _Application, busy: _Application, finished: int, last: int | None) -> str:
    """Of the last round, or of all."""
    none, many = (
        1000 * median([s for round_ in application.lone[slice(last, None)] for s in round_])
        for application in (new, busy)
    )
    return f"a lone task {none:.1f} ms, with {finished} finished ones {many:.1f} ms, ratio {many / none:.2f}"
