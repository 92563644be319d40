"""Distributions: how long a take-over takes, and how long no client can write, under each fault.

``python -m bench takeovers gaps`` measures them on a provisioned lab. A take-over lasts from the fault to the
acknowledgement of the new master's first fenced write, under a load of tasks. A gap lasts from one
acknowledged write to the next, for any of three clients, each of which starts on a different server.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

from chaos import faults
from chaos.cluster import BrokenPromiseError, Cluster
from chaos.faults import SERVER_UNIT, Takeover
from chaos.load import TASKS_PER_SECOND, Submitter, Writer

TAKEOVERS: dict[str, Callable[[Cluster], Takeover]] = {
    "SIGKILL": faults.kill_master,
    "SIGTERM": faults.stop_master,
    "host frozen": faults.freeze_master,
    "host without power": faults.power_cut_master,
    "host cut off": faults.cut_master,
}

# The faults, and the server of each.
GAPS: dict[str, tuple[str, Callable[[Cluster, str], object]]] = {
    "leader killed": ("leader", lambda cluster, node: cluster.kill(node, SERVER_UNIT)),
    "follower killed": ("follower", lambda cluster, node: cluster.kill(node, SERVER_UNIT)),
    "leader without power": ("leader", lambda cluster, node: cluster.lab.power_cut(node)),
    "leader frozen": ("leader", lambda cluster, node: cluster.lab.freeze(node)),
    "leader cut off": ("leader", lambda cluster, node: cluster.lab.cut(node)),
}


def takeovers(cluster: Cluster, runs: int) -> Iterator[tuple[str, float]]:
    """Every fault in turn, this many times; yields fault and ms.

    Raises:
        BrokenPromiseError: there was no take-over, or a task was lost or done twice.
    """
    cluster.settle()
    with Submitter(cluster) as submitter:
        submitter.load(TASKS_PER_SECOND)
        for _ in range(runs):
            for name, fault in TAKEOVERS.items():
                yield name, fault(cluster).ms
                cluster.mend()
                cluster.settle()
            submitter.ledger()  # before the first ended tasks are removed, because there are too many
        submitter.load(0)
        submitter.drain()
        ledger = submitter.ledger()
    if ledger.lost or ledger.doubled:
        raise BrokenPromiseError(
            f"of {ledger.submitted} tasks lost: {ledger.lost}, doubled: {ledger.doubled}"
        )


def gaps(cluster: Cluster, runs: int) -> Iterator[tuple[str, float]]:
    """Every fault in turn, this many times; yields fault and the longest gap, ms.

    Raises:
        BrokenPromiseError: clients did not write again, or an acknowledged write is not stored.
    """
    cluster.settle()
    with ExitStack() as stack:
        writers = [stack.enter_context(Writer(cluster, node)) for node in cluster.servers]
        for _ in range(runs):
            for name, (role, fault) in GAPS.items():
                node = next(node for node, mode in cluster.modes().items() if mode == role)
                yield name, faults.write_gap(writers, partial(fault, cluster, node))
                cluster.lab.heal()
                cluster.mend()
                cluster.settle()
        for writer in writers:
            writer.verify()
