"""Take-over times: ``python -m chaos.takeovers [RUNS]`` kills the active master again and again.

Measured from the SIGKILL to the acknowledgement of the new master's first fenced write, under a load of
tasks, on the lab that LAB names.
"""

import logging
import statistics
import sys

from chaos import faults
from chaos.cluster import Cluster
from chaos.load import Submitter
from lab import Lab

LOAD_PER_SECOND = 20


def main() -> int:
    """Print each time as it is measured, then median and worst."""
    logging.basicConfig(level=logging.ERROR)
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    cluster = Cluster(Lab())
    cluster.settle()
    times = []
    with Submitter(cluster) as submitter:
        submitter.load(LOAD_PER_SECOND)
        for run in range(runs):
            takeover = faults.kill_master(cluster)
            times.append(takeover.ms)
            print(f"{run + 1:3}  {takeover.master} epoch {takeover.epoch}: {takeover.ms:.0f} ms", flush=True)
            cluster.settle()
        submitter.load(0)
        submitter.drain()
        ledger = submitter.ledger()
    print(f"median {statistics.median(times):.0f} ms, worst of {runs} {max(times):.0f} ms")
    print(f"{ledger.submitted} tasks, lost {len(ledger.lost)}, doubled {len(ledger.doubled)}")
    return 1 if ledger.lost or ledger.doubled else 0


if __name__ == "__main__":
    sys.exit(main())
