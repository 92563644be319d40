"""Take-overs and write gaps as distributions, on a provisioned lab (chaos/takeovers.py)."""

from collections.abc import Callable, Iterator

from bench.plot import draw
from bench.report import Report, summary
from bench.site import provisioned
from chaos.cluster import Cluster
from chaos.takeovers import gaps, takeovers

Measure = Callable[[Cluster, int], Iterator[tuple[str, float]]]
MEASURES: dict[str, tuple[str, Measure]] = {
    "takeovers": ("From the fault to the new master's first write", takeovers),
    "gaps": ("Longest time without an acknowledged write", gaps),
}


def measure(part: str, runs: int) -> Report:
    """``runs`` times every fault."""
    title, one_by_one = MEASURES[part]
    with provisioned() as cluster:
        report = Report(part, runs=runs)
        ms: dict[str, list[float]] = {}
        for fault, took in one_by_one(cluster, runs):
            ms.setdefault(fault, []).append(round(took, 1))
            print(f"{len(ms[fault]):3}  {fault}: {took:.0f} ms", flush=True)
    figures = {fault: summary(values) for fault, values in ms.items()}
    report.add(unit="ms", summary=figures, values=ms)
    draw(part, title, "ms", ms)
    for fault, figure in figures.items():
        print(f"{fault}: median {figure['p50']:.0f} ms, worst of {runs} {figure['max']:.0f} ms")
    return report
