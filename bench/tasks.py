"""Tasks from the client's submission to its having the result, against the floor (bench/floor.py).

Throughput: so many no-op tasks submitted at once. Latency: one task at a time. Both take turns with the
floor on the same ensemble; a ratio is of two neighbours in time.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from bench.client import Place, lone, lone_in_python, throughput
from bench.floor import floor
from bench.plot import draw
from bench.report import Report, summary
from chaos.cluster import Cluster
from lab import Lab
from mwapp.core.protocol import TASKS
from mwapp.core.task import Task
from testbed.daemons import Site
from testbed.ensemble import Ensemble

# What costs nothing by itself, in a process that is warm.
NOTHING = Task(handler="echo", key="0" * 32)
# Between two lone tasks, so that each meets a system at rest, seconds.
REST = 0.02

# Tasks per second, or seconds of each lone task: of the floor, and of the application.
Rates = tuple[float, float]
Delays = tuple[list[float], list[float]]


@contextmanager
def _local(slots: int, prefetch: int) -> Iterator[tuple[Place, Place]]:
    """Three servers on loopback, a master and a worker."""
    with (
        Ensemble() as ensemble,
        tempfile.TemporaryDirectory(prefix="bench-") as home,
        Site(ensemble.connect_string, Path(home)) as site,
    ):
        quiet = ("--log-level", "warning")
        master = site.start("master", "m1", *quiet)
        worker = site.start("worker", "w1", "--slots", str(slots), "--prefetch", str(prefetch), *quiet)
        master.wait_for_state("active")
        worker.wait_for_state("ready")
        place = Place(ensemble.connect_string)
        yield place, place


@contextmanager
def _in_lab() -> Iterator[tuple[Place, Place]]:
    """For clients, who submit as everybody does; and for the floor, which may make and remove all."""
    cluster = Cluster(Lab())
    cluster.settle()
    yield Place(cluster.hosts(), cluster.tls(cluster.command)), Place(cluster.hosts(), cluster.tls())


def measure(*, tasks: int, rounds: int, times: int, slots: int, prefetch: int, lab: bool) -> Report:
    """``rounds`` times ``tasks`` for throughput, and ``times`` lone ones; a round more to get warm."""
    report = Report("tasks", tasks=tasks, rounds=rounds, lone=times, slots=slots, prefetch=prefetch, lab=lab)
    rates: list[Rates] = []
    singles: list[float] = []  # the floor with one task in a transaction
    delays: list[Delays] = []
    pythons: list[list[float]] = []  # lone tasks of a program in Python
    with (
        _in_lab() if lab else _local(slots, prefetch) as (place, all_of_it),
        floor(all_of_it, NOTHING) as bare,
    ):
        for number in range(rounds + 1):
            ours, names = throughput(place, NOTHING, tasks)
            rate = bare.throughput(tasks), ours
            single = bare.throughput(tasks, 1)
            bare.remove(names, TASKS)  # every round begins alike
            singly, names = lone(place, NOTHING, times, REST)
            delay = [bare.lone(REST) for _ in range(times)], singly
            python, more = lone_in_python(place, NOTHING, times, REST)
            bare.remove([*names, *more], TASKS)
            if number:
                rates.append(rate)
                singles.append(single)
                delays.append(delay)
                pythons.append(python)
                print(f"round {number}: {_line([rate], [delay])}", flush=True)
    floor_ms = [1000 * s for bare, _ in delays for s in bare]
    lone_ms = [1000 * s for _, ours in delays for s in ours]
    throughputs = {
        "bare clients, 100 tasks a transaction": [bare for bare, _ in rates],
        "bare clients, one task a transaction": singles,
        "mwapp": [ours for _, ours in rates],
    }
    draw("throughput", "No-op tasks, each round", "tasks per second", throughputs)
    draw("lone-task", "A lone task", "ms", {"three bare commits": floor_ms, "mwapp": lone_ms})
    report.add(
        floor_per_second=summary([bare for bare, _ in rates]),
        single_floor_per_second=summary(singles),
        tasks_per_second=summary([ours for _, ours in rates]),
        throughput_ratio=summary([ours / bare for bare, ours in rates], 3),
        single_throughput_ratio=summary([o / f for (_, o), f in zip(rates, singles, strict=True)], 3),
        floor_ms=summary(floor_ms),
        lone_task_ms=summary(lone_ms),
        lone_task_ratio=summary([median(ours) / median(bare) for bare, ours in delays], 2),
        python_task_ms=summary([1000 * s for round_ in pythons for s in round_]),
        python_task_ratio=summary(
            [median(python) / median(ours) for python, (_, ours) in zip(pythons, delays, strict=True)], 2
        ),
        rounds=[{"floor": round(bare), "tasks": round(ours)} for bare, ours in rates],
    )
    print(f"median: {_line(rates, delays)}; floor with one task a transaction {median(singles):.0f}")
    return report


def _line(rates: list[Rates], delays: list[Delays]) -> str:
    bare, ours = (median(column) for column in zip(*rates, strict=True))
    ratio = median([ours / bare for bare, ours in rates])
    commits, task = (median([s for round_ in column for s in round_]) for column in zip(*delays, strict=True))
    return (
        f"{ours:.0f} tasks/s, floor {bare:.0f}, ratio {ratio:.2f}; "
        f"a lone task {task * 1000:.1f} ms, three bare commits {commits * 1000:.1f} ms"
    )
