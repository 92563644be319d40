"""From each release to each other, once. Each test goes on where the one before it ended."""

from itertools import combinations, pairwise

import pytest
from conftest import Operator

from chaos import faults
from chaos.cluster import Cluster
from chaos.load import longest_gap
from testbed.archive import of_jars

pytestmark = pytest.mark.usefixtures("nothing_is_lost")

# Debian's two, the newest of 3.8, and those of 3.9 since Debian's.
RELEASES = ("3.8.0", "3.8.7", "3.9.3", "3.9.4", "3.9.5", "3.9.6")
# Each pair once in both directions; the last one ends where the first began.
WAY = [release for pair in combinations(RELEASES, 2) for release in pair]
STEPS = list(pairwise([*WAY, WAY[0]]))
assert sorted(STEPS) == sorted((old, new) for old in RELEASES for new in RELEASES if old != new)

# So long a new leader waits for a quorum of followers; then there is another election.
ELECTION_SECONDS = 20  # zookeeper_init_limit ticks of zookeeper_tick_time


def test_a_release_takes_the_place_of_packages(operator: Operator, cluster: Cluster) -> None:
    operator.install(of_jars(WAY[0]))
    assert cluster.versions() == [WAY[0]] * 3


@pytest.mark.parametrize(("old", "new"), STEPS)
def test_it_rolls_and_a_leader_that_dies_amid_it_costs_nothing(
    operator: Operator, cluster: Cluster, figures: list[str], old: str, new: str
) -> None:
    """One server first, as if the run was broken off; then the leader is killed, and the same run ends it."""
    assert cluster.versions() == [old] * 3
    leader = cluster.leader()
    first = next(node for node in cluster.servers if node != leader)
    begun = operator.install(of_jars(new), f"--limit={first}")
    assert sorted(cluster.versions()) == sorted([old, old, new])
    _, ms = faults.kill_leader(cluster, operator.writers)
    assert ms < ELECTION_SECONDS * 1000
    ended = operator.install(of_jars(new))
    assert cluster.versions() == [new] * 3
    compared = operator.play("compare")
    assert compared.status == 0, compared.output
    gap = longest_gap(operator.writers, begun.began, ended.ended)
    lost = sum(writer.lost() for writer in operator.writers)
    counted = sum(int(cluster.told(node, "zk_digest_mismatches_count")) for node in cluster.servers)
    figures.append(
        f"{old} to {new}: {begun.seconds + ended.seconds:.0f} s, longest write gap of any client "
        f"{gap:.1f} s, lost {lost}, zk_digest_mismatches_count {counted}"
    )
    assert lost == 0
