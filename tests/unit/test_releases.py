"""Releases from Maven Central: what is said if one cannot be had."""

from pathlib import Path

import pytest

from testbed import releases


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(releases, "STORE", tmp_path / "releases")
    return tmp_path / "releases"


@pytest.mark.parametrize("version", ["3.9", "latest", "3.9.4/../..", ""])
def test_what_is_no_release(version: str) -> None:
    with pytest.raises(releases.ReleaseError, match="a number such as"):
        releases.jars(version)


def test_no_maven(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(releases.ReleaseError, match="apt-get install maven"):
        releases.jars("3.9.4")
    assert not (store / "zookeeper-3.9.4").exists(), "half a release counts as one the next time"


@pytest.mark.processes
def test_what_maven_says(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mvn").write_text("#!/bin/sh\necho '[ERROR] no such artifact'\nexit 1\n")
    (tmp_path / "mvn").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(
        releases.ReleaseError, match=r"ZooKeeper 3.9.99 cannot be fetched: .*no such artifact"
    ):
        releases.jars("3.9.99")
    assert not (store / "zookeeper-3.9.99").exists()


@pytest.mark.processes
def test_maven_is_not_waited_for_without_end(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mvn").write_text("#!/bin/sh\nexec sleep 600\n")
    (tmp_path / "mvn").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr(releases, "MAVEN_SECONDS", 0.2)
    with pytest.raises(releases.ReleaseError, match=r"ZooKeeper 3.9.99 cannot be fetched: .*timed out"):
        releases.jars("3.9.99")
    assert not (store / "zookeeper-3.9.99").exists()


MAVEN = """#!/bin/sh
for word; do
    case $word in
    -DoutputDirectory=*) to=${word#*=} ;;
    -Dartifact=*) what=${word#*:} ;;
    esac
done
mkdir -p "$to"
cd "$to"
if [ -n "$what" ]; then
    touch "${what%:*}-${what#*:}.jar"
else
    touch zookeeper-3.9.5.jar zookeeper-jute-3.9.5.jar slf4j-api-2.0.1.jar
fi
"""


@pytest.mark.processes
@pytest.mark.usefixtures("store")
def test_what_a_release_needs_may_be_told_by_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own jars are those that were asked for; a server of the testbed and one of an archive have a logger
    each."""
    (tmp_path / "mvn").write_text(MAVEN)
    (tmp_path / "mvn").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    own = {"zookeeper-3.9.6.jar", "zookeeper-jute-3.9.6.jar", "slf4j-api-2.0.1.jar"}
    assert {jar.name for jar in releases.jars("3.9.6")} == own | {"slf4j-simple-2.0.1.jar"}
    assert {jar.name for jar in releases.lib("3.9.6")} == own | {
        "logback-classic-1.3.15.jar",
        "logback-core-1.3.15.jar",
    }
