"""Packages and archives on both Debian releases. Each test goes on where the one before it ended."""

import hashlib
import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Play

from chaos.cluster import Cluster
from testbed.archive import Release
from testbed.waiting import wait_for

pytestmark = pytest.mark.usefixtures("nothing_is_lost")

SERVERS = ("zk1", "zk2", "zk3")
RELEASES = "/opt/zookeeper"
OLD, NEW = "3.8.0", "3.9.3"


def run(cluster: Cluster, node: str, command: str) -> str:
    """What a shell command says on a node."""
    return cluster.lab.exec(node, ["sh", "-c", command], check=True).stdout


def state(cluster: Cluster) -> dict[str, str]:
    """All that must stay if nothing that runs is touched."""
    look = (
        "systemctl show --property=MainPID,NRestarts,ActiveEnterTimestamp zookeeper;"
        "cat /run/zookeeper/started-with /etc/zookeeper/* /etc/systemd/system/zookeeper.service;"
        "cat /usr/local/bin/zk*; dpkg-query --show; readlink /opt/zookeeper/current || true"
    )
    return {node: run(cluster, node, look) for node in SERVERS}


def process(cluster: Cluster, node: str) -> str:
    """Another value after a restart, with what the server was started with."""
    look = "systemctl show --property=MainPID zookeeper; cat /run/zookeeper/started-with"
    return run(cluster, node, look)


def the_one_down(cluster: Cluster) -> str | None:
    """The server that does not answer, if exactly one does not."""
    down = [node for node, mode in cluster.modes().items() if mode == "down"]
    return down[0] if len(down) == 1 else None


def jars(cluster: Cluster, node: str) -> set[str]:
    """The directories from which the server's process has jars open."""
    pid = run(cluster, node, "systemctl show --property=MainPID --value zookeeper").strip()
    opened = run(cluster, node, f"readlink /proc/{pid}/fd/*").splitlines()
    return {path.rpartition("/")[0] for path in opened if path.endswith(".jar")}


def home(release: Release) -> str:
    """Where the role puts it."""
    return f"{RELEASES}/apache-zookeeper-{release.version}-bin-{release.checksum[:8]}"


def archive(release: Release, url: str = "") -> dict[str, str]:
    """Variables that ask for a release, from a URL or as a file of the controller."""
    return {
        "zookeeper_install_from": "archive",
        "zookeeper_archive": f"{url}/{release.path.name}" if url else str(release.path),
        # as in the file beside a release
        "zookeeper_archive_checksum": f"{release.checksum}  {release.path.name}\n",
    }


def check_tools(cluster: Cluster, version: str, node: str) -> None:
    """The tools of every ZooKeeper book."""
    assert "Mode: " in run(cluster, node, "zkServer.sh status")
    assert f"version {version}" in run(cluster, node, "zkServer.sh version")
    assert "zookeeper" in run(cluster, node, "zkCli.sh ls / 2>/dev/null")
    assert "INFO" in run(cluster, node, "journalctl --unit=zookeeper --output=cat --lines=100")


def test_each_host_has_its_own_releases_packages(cluster: Cluster) -> None:
    assert cluster.versions() == [OLD, NEW, NEW]
    java = [run(cluster, node, "cat /usr/lib/jvm/default-java/release") for node in SERVERS]
    assert ['JAVA_VERSION="17' in java[0], 'JAVA_VERSION="21' in java[1]] == [True, True]
    check_tools(cluster, OLD, "zk1")
    check_tools(cluster, NEW, "zk2")


@pytest.fixture
def full_disk(cluster: Cluster) -> Iterator[None]:
    """No host has a release (of an earlier run of these tests), and on zk3 there is little space for one."""
    for node in SERVERS:
        run(cluster, node, f"rm -rf {RELEASES}")
    run(cluster, "zk3", f"mkdir {RELEASES} && mount -t tmpfs -o size=4M tmpfs {RELEASES}")
    yield
    run(cluster, "zk3", f"umount {RELEASES}")


@pytest.mark.usefixtures("full_disk")
def test_what_cannot_be_had_stops_the_run_before_anything_is_touched(
    cluster: Cluster, play: Play, releases: dict[str, Release], url: str
) -> None:
    good = archive(releases[NEW])
    plan: dict[str, dict[str, Any]] = {
        "zk1": good | {"zookeeper_archive_checksum": releases[OLD].checksum},
        "zk2": good | {"zookeeper_archive": f"{url}/gone/{releases[NEW].path.name}"},
        "zk3": good,
    }
    variables = {name: f"{{{{ plan[inventory_hostname].{name} }}}}" for name in good}
    before = state(cluster)
    gone = play("a refusal", **good | {"zookeeper_archive": f"/gone/{releases[NEW].path.name}"})
    assert gone.status != 0
    assert "the controller has no such file: put it there" in gone.text
    played = play("three refusals", plan=plan, **variables)
    assert played.status != 0
    assert "zookeeper_archive_checksum is " + releases[OLD].checksum[:16] in played.text
    assert "the server answers 404 File not found. Correct the URL" in played.text
    assert f"no space in {RELEASES} to unpack zookeeper_archive" in played.text
    assert played.changed == 0
    assert state(cluster) == before


def test_an_archive_takes_the_place_of_packages(
    cluster: Cluster, play: Play, releases: dict[str, Release]
) -> None:
    played = play(f"packages to the archive of {OLD}", **archive(releases[OLD]))
    assert played.status == 0, played.output
    assert cluster.versions() == [OLD] * 3
    for node in SERVERS:
        assert jars(cluster, node) == {f"{home(releases[OLD])}/lib"}
        assert run(cluster, node, f"readlink --canonicalize {RELEASES}/current").strip() == home(
            releases[OLD]
        )
    check_tools(cluster, OLD, "zk2")


def test_a_second_run_changes_nothing(cluster: Cluster, play: Play, releases: dict[str, Release]) -> None:
    """Nor does it need the archive again, where all hosts have the release."""
    before = state(cluster)
    gone = {"zookeeper_archive": f"/gone/{releases[OLD].path.name}"}
    played = play("the same again", **archive(releases[OLD]) | gone)
    assert (played.status, played.changed) == (0, 0), played.output
    assert state(cluster) == before


def test_an_upgrade_goes_from_host_to_host(
    cluster: Cluster, play: Play, releases: dict[str, Release], url: str
) -> None:
    # of a run that was killed while it unpacked
    run(cluster, "zk1", f"mkdir -p {RELEASES}/.unpacking/new/lib && echo half >{RELEASES}/.unpacking/archive")
    played = play(f"the archive of {OLD} to that of {NEW}, by URL", **archive(releases[NEW], url))
    assert played.status == 0, played.output
    assert cluster.versions() == [NEW] * 3
    for node in SERVERS:
        assert jars(cluster, node) == {f"{home(releases[NEW])}/lib"}
        assert run(cluster, node, f"ls -A {RELEASES}").split() == [
            *(home(releases[version]).rpartition("/")[2] for version in (OLD, NEW)),
            "current",
        ]
    check_tools(cluster, NEW, "zk1")


def test_what_is_broken_is_repaired_without_a_restart(
    cluster: Cluster, play: Play, releases: dict[str, Release], url: str
) -> None:
    before = state(cluster)
    lib = f"{home(releases[NEW])}/lib"
    run(cluster, "zk1", f"rm {lib}/commons-cli-*.jar")
    run(cluster, "zk2", f"cp {home(releases[OLD])}/lib/zookeeper-{OLD}.jar {lib}/")
    run(cluster, "zk3", f"truncate --size=0 {lib}/jline2-*.jar {lib}/../SHA256SUMS")
    played = play("repair", **archive(releases[NEW], url))
    assert played.status == 0, played.output
    assert state(cluster) == before
    for node in SERVERS:
        run(cluster, node, f"cd {lib}/.. && sha256sum --check --strict SHA256SUMS")
        run(cluster, node, f"test ! -e {lib}/zookeeper-{OLD}.jar")
        run(cluster, node, "sha256sum --check /run/zookeeper/started-with")


@pytest.fixture
def broken_release(releases: dict[str, Release], tmp_path: Path) -> Release:
    """One that unpacks, but lacks a part without which no server starts."""
    good = releases[NEW]
    path = tmp_path / good.path.name
    with tarfile.open(good.path) as old, tarfile.open(path, "w:gz", compresslevel=1) as new:
        for member in old:
            if "zookeeper-jute" not in member.name:
                new.addfile(member, old.extractfile(member))
    return Release(good.version, path, hashlib.sha512(path.read_bytes()).hexdigest())


def test_a_release_that_does_not_start_costs_one_server_and_the_old_one_brings_it_back(
    cluster: Cluster, play: Play, releases: dict[str, Release], broken_release: Release
) -> None:
    leader, before = cluster.leader(), {node: process(cluster, node) for node in SERVERS}
    played = play("a release that does not start", zookeeper_gate_timeout=10, **archive(broken_release))
    assert played.status != 0
    assert "NoClassDefFoundError: org/apache/jute/" in played.text
    stopped = wait_for("all but one answer", lambda: the_one_down(cluster))
    others = [node for node in SERVERS if node != stopped]
    assert cluster.leader(followers=1) == leader
    assert {node: process(cluster, node) for node in others} == {node: before[node] for node in others}

    played = play("back to the release before", **archive(releases[NEW]))
    assert played.status == 0, played.output
    assert cluster.versions() == [NEW] * 3
    assert {node: process(cluster, node) for node in others} == {node: before[node] for node in others}


def test_packages_take_the_place_of_an_archive(cluster: Cluster, play: Play) -> None:
    played = play("the archive to packages")
    assert played.status == 0, played.output
    assert cluster.versions() == [OLD, NEW, NEW]
    for node in SERVERS:
        assert jars(cluster, node) == {"/usr/share/java"}
        run(cluster, node, f"test ! -e {RELEASES}/current")


def test_the_journal_has_priorities(cluster: Cluster) -> None:
    """Of both ways to install: journald must know a warning when it sees one."""
    lines = run(cluster, "zk1", "journalctl --unit=zookeeper --output=json --lines=500").splitlines()
    seen = {(entry["PRIORITY"], str(entry["MESSAGE"]).split()[0]) for entry in map(json.loads, lines)}
    assert {("6", "INFO"), ("4", "WARN")} <= seen
    assert not {("6", "WARN"), ("6", "ERROR")} & seen
