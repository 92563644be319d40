"""From each release to each other, once. Each test goes on where the one before it ended."""

from itertools import combinations, pairwise

import pytest
from conftest import Operator

from chaos.cluster import Cluster
from testbed.archive import of_jars

# Both of Debian, the newest of each line, and what the role's README names.
RELEASES = ("3.8.0", "3.8.7", "3.9.3", "3.9.4", "3.9.5", "3.9.6")
# So each pair is taken there and back, and the last one ends where the first began.
WAY = [release for pair in combinations(RELEASES, 2) for release in pair]
STEPS = list(pairwise([*WAY, WAY[0]]))


def test_every_release_comes_after_every_other() -> None:
    assert sorted(STEPS) == sorted((old, new) for old in RELEASES for new in RELEASES if old != new)


def test_a_release_takes_the_place_of_packages(operator: Operator) -> None:
    operator.install(of_jars(WAY[0]))
    assert operator.versions() == [WAY[0]] * 3


@pytest.mark.parametrize(("old", "new"), STEPS)
def test_it_rolls_and_a_leader_that_dies_amid_it_costs_nothing(
    operator: Operator, cluster: Cluster, figures: list[str], old: str, new: str
) -> None:
    """One server first, as if the run was broken off; then the leader is killed, and the same run ends it."""
    assert operator.versions() == [old] * 3
    leader = cluster.leader()
    first = next(node for node in cluster.servers if node != leader)
    begun = operator.install(of_jars(new), f"--limit={first}")
    assert sorted(operator.versions()) == sorted([old, old, new])
    cluster.lab.exec(cluster.leader(), ["systemctl", "kill", "--signal=KILL", "zookeeper"], check=True)
    cluster.leader()
    ended = operator.install(of_jars(new))
    assert operator.versions() == [new] * 3
    compared = operator.play("compare")
    assert compared.status == 0, compared.output
    gap = operator.longest_gap(begun.began, ended.ended)
    counted = sum(int(cluster.told(node, "zk_digest_mismatches_count")) for node in cluster.servers)
    figures.append(
        f"{old} to {new}: {begun.seconds + ended.seconds:.0f} s, longest write gap of any client "
        f"{gap:.1f} s, lost 0, zk_digest_mismatches_count {counted}"
    )
