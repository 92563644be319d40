"""Releases from Maven Central: what belongs to one, and what is said if one cannot be had."""

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
    assert not any(store.rglob("zookeeper-*")), "half a release counts as one the next time"


@pytest.mark.processes
def test_what_maven_says(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mvn").write_text("#!/bin/sh\necho '[ERROR] no such artifact'\nexit 1\n")
    (tmp_path / "mvn").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(
        releases.ReleaseError, match=r"ZooKeeper 3.9.99 cannot be fetched: .*no such artifact"
    ):
        releases.jars("3.9.99")
    assert not any(store.rglob("zookeeper-*"))


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
    assert not any(store.rglob("zookeeper-*"))


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
    touch @
fi
"""


def maven(directory: Path, monkeypatch: pytest.MonkeyPatch, *jars: str) -> None:
    """One that copies these, and whatever artifact is asked for."""
    (directory / "mvn").write_text(MAVEN.replace("@", " ".join(jars)))
    (directory / "mvn").chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")


def names(jars: tuple[Path, ...]) -> set[str]:
    return {jar.name for jar in jars}


@pytest.mark.processes
@pytest.mark.usefixtures("store")
def test_what_a_release_needs_may_be_told_by_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own jars are those that were asked for; a server of the testbed and one of an archive have a logger
    each."""
    maven(tmp_path, monkeypatch, "zookeeper-3.9.5.jar", "zookeeper-jute-3.9.5.jar", "slf4j-api-2.0.1.jar")
    own = {"zookeeper-3.9.6.jar", "zookeeper-jute-3.9.6.jar", "slf4j-api-2.0.1.jar"}
    assert names(releases.jars("3.9.6")) == own | {"slf4j-simple-2.0.1.jar"}
    logback = {"logback-classic-1.3.15.jar", "logback-core-1.3.15.jar"}
    assert names(releases.lib("3.9.6")) == own | logback


@pytest.mark.processes
@pytest.mark.usefixtures("store")
def test_a_release_that_asks_for_a_logger_has_that_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"zookeeper-3.8.6.jar", "zookeeper-jute-3.8.6.jar", "slf4j-api-1.7.30.jar"}
    logback = {"logback-classic-1.2.10.jar", "logback-core-1.2.10.jar"}
    maven(tmp_path, monkeypatch, *sorted(own | logback))
    assert names(releases.lib("3.8.6")) == own | logback
    assert names(releases.jars("3.8.6")) == own | {"slf4j-simple-1.7.30.jar"}


@pytest.mark.processes
@pytest.mark.usefixtures("store")
def test_the_logger_suits_the_interface(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = {"zookeeper-3.9.3.jar", "slf4j-api-1.7.30.jar"}
    maven(tmp_path, monkeypatch, *sorted(own))
    assert names(releases.lib("3.9.3")) == own | {"logback-classic-1.2.13.jar", "logback-core-1.2.13.jar"}
