"""What TLS, among servers and for clients, and access control lists cost: a system with them, one without.

Each is three servers on loopback, a master and a worker. They take turns, so a ratio is of two neighbours in
time, and each goes first in every other round; the one that rests costs the other little.
"""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from bench.client import Place, lone, throughput
from bench.floor import Floor, floor
from bench.plot import draw
from bench.report import Report, summary
from bench.tasks import NOTHING, REST
from chaos.cluster import TlsFiles
from mwapp.core.protocol import TASKS
from testbed.daemons import Site
from testbed.ensemble import Ensemble
from testbed.tls_files import Maker, pem, write

HERE = ("127.0.0.1", "localhost")
SLOTS, PREFETCH = "8", "400"


class _System:
    """One of the two: what was measured on it so far."""

    def __init__(self, place: Place, bare: Floor) -> None:
        self._place, self._bare = place, bare
        self.rates: list[float] = []  # tasks per second, of each round
        self.lone: list[list[float]] = []  # seconds of each lone task, of each round

    def measure(self, tasks: int, times: int) -> None:
        """One round, which leaves nothing for the next."""
        rate, names = throughput(self._place, NOTHING, tasks)
        self._bare.remove(names, TASKS)
        seconds, names = lone(self._place, NOTHING, times, REST)
        self._bare.remove(names, TASKS)
        self.rates.append(rate)
        self.lone.append(seconds)

    @property
    def lone_ms(self) -> list[float]:
        """Of all rounds."""
        return [1000 * seconds for round_ in self.lone for seconds in round_]


@contextmanager
def _system(home: Path, *, secured: bool) -> Iterator[_System]:
    with ExitStack() as stack:
        store = _certificates(home / "tls") if secured else None
        ensemble = stack.enter_context(Ensemble(tls=store))
        site = stack.enter_context(Site(ensemble.connect_string, home))

        def files(name: str) -> TlsFiles | None:
            return TlsFiles(store / "client-ca.pem", store / f"client/{name}.pem") if store else None

        def environment(name: str) -> dict[str, str]:
            found = files(name)
            return {"MWAPP_TLS_CA": str(found.ca), "MWAPP_TLS_CERT": str(found.cert)} if found else {}

        quiet = ("--log-level", "warning")
        master = site.start("master", "m1", *quiet, **environment("mwapp-master-m1"))
        if found := files("mwapp-master-m1"):
            who = ("--master", "m1", "--worker", "w1", "--client", "mwapp-cli-here")
            site.mwapp("acl", "on", *who, "--tls-ca", str(found.ca), "--tls-cert", str(found.cert))
        more = ("--slots", SLOTS, "--prefetch", PREFETCH)
        worker = site.start("worker", "w1", *more, *quiet, **environment("mwapp-worker-w1"))
        master.wait_for_state("active")
        worker.wait_for_state("ready")
        everything = Place(ensemble.connect_string, files("mwapp-master-m1"))
        bare = stack.enter_context(floor(everything, NOTHING))
        yield _System(Place(ensemble.connect_string, files("mwapp-cli-here")), bare)


def _certificates(store: Path) -> Path:
    """As the roles have them: a CA for clients, one for the quorum."""
    for ca in ("client", "quorum"):
        maker = Maker(ca)
        write(store / f"{ca}-ca.pem", pem(maker.certificate))
        for number in (1, 2, 3):
            write(store / f"{ca}/zk{number}.pem", maker.pair(f"zk{number}", HERE))
        if ca == "client":
            for name in ("mwapp-master-m1", "mwapp-worker-w1", "mwapp-cli-here"):
                write(store / f"client/{name}.pem", maker.pair(name))
    return store


def measure(*, tasks: int, rounds: int, times: int) -> Report:
    """``rounds`` times ``tasks`` for throughput, and ``times`` lone ones, of each; one more to get warm."""
    report = Report(
        "secured", tasks=tasks, rounds=rounds, lone=times, slots=int(SLOTS), prefetch=int(PREFETCH)
    )
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as plain_home,
        tempfile.TemporaryDirectory(prefix="bench-") as secured_home,
        _system(Path(plain_home), secured=False) as plain,
        _system(Path(secured_home), secured=True) as secured,
    ):
        for number in range(rounds + 1):
            for system in (plain, secured) if number % 2 else (secured, plain):
                system.measure(tasks, times)
                if not number:
                    system.rates.clear()
                    system.lone.clear()
            if number:
                print(f"round {number}: {_line(plain, secured, -1)}", flush=True)
    draw(
        "secured",
        "No-op tasks, each round",
        "tasks per second",
        {"plain": plain.rates, "TLS and access control lists": secured.rates},
    )
    report.add(
        plain_per_second=summary(plain.rates),
        secured_per_second=summary(secured.rates),
        throughput_ratio=summary([s / p for p, s in zip(plain.rates, secured.rates, strict=True)], 3),
        plain_lone_ms=summary(plain.lone_ms),
        secured_lone_ms=summary(secured.lone_ms),
        lone_ratio=summary([median(s) / median(p) for p, s in zip(plain.lone, secured.lone, strict=True)], 2),
    )
    print(f"median: {_line(plain, secured, None)}")
    return report


def _line(plain: _System, secured: _System, last: int | None) -> str:
    """Of the last round, or of all."""
    rounds = slice(last, None)
    rates = [median(system.rates[rounds]) for system in (plain, secured)]
    delays = [
        1000 * median([s for round_ in system.lone[rounds] for s in round_]) for system in (plain, secured)
    ]
    return (
        f"{rates[0]:.0f} tasks/s plain, {rates[1]:.0f} secured, ratio {rates[1] / rates[0]:.2f}; "
        f"a lone task {delays[0]:.1f} ms plain, {delays[1]:.1f} ms secured, ratio {delays[1] / delays[0]:.2f}"
    )
