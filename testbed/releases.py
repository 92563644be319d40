"""ZooKeeper's releases from Maven Central, to compare them: ``jars("3.9.4")`` is a server's class path.

    python -m testbed.releases 3.9.4

fetches one into the cache and prints it. It needs Maven (``apt-get install maven``).
"""

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lab.run import lock
from lab.spec import CACHE

STORE = CACHE / "releases"
RECIPE = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:12]  # the name of what it has fetched
MAVEN_SECONDS = 300.0  # for one call of it: the first one fetches its plugins, too
# Beside the release what its archive has and its description leaves to others: for the server, and its tools.
PROVIDED = ("io.dropwizard.metrics:metrics-core:4.1.12.1", "org.xerial.snappy:snappy-java:1.1.10.5")
TOOLS = ("commons-cli:commons-cli:1.5.0", "jline:jline:2.14.6")
# The parents of these, which name the versions of what they need, are missing in some copies of Maven
# Central. They need what the release before needs.
NEEDS_AS = {"3.8.7": "3.8.6", "3.9.6": "3.9.5"}
POM = """\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>testbed</groupId>
  <artifactId>release</artifactId>
  <version>1</version>
  <dependencies>{dependencies}</dependencies>
</project>
"""
DEPENDENCY = """
    <dependency><groupId>{}</groupId><artifactId>{}</artifactId><version>{}</version></dependency>
"""


class ReleaseError(Exception):
    """A release cannot be had."""


def jars(version: str) -> tuple[Path, ...]:
    """The server's jars and their dependencies, with the testbed's logger. Raises ReleaseError."""
    return _release(version, "slf4j-simple")


def lib(version: str) -> tuple[Path, ...]:
    """What the release's archive has below lib/ that a server and its tools need. Raises ReleaseError."""
    return _release(version, "logback")


def _release(version: str, logger: str) -> tuple[Path, ...]:
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise ReleaseError(f"{version!r} is no release: a number such as 3.9.4")
    wanted = (f"org.apache.zookeeper:zookeeper:{NEEDS_AS.get(version, version)}", *PROVIDED, *TOOLS)
    own = [f"org.apache.zookeeper:{jar}:{version}" for jar in ("zookeeper", "zookeeper-jute")]
    instead = own if version in NEEDS_AS else []
    return _fetched(f"zookeeper-{version}", f"ZooKeeper {version}", *wanted, logger=logger, instead=instead)


def curator(version: str) -> tuple[Path, ...]:
    """The jars of Apache Curator, another client, and their dependencies. Raises ReleaseError."""
    wanted = f"org.apache.curator:curator-framework:{version}"
    return _fetched(f"curator-{version}", f"Curator {version}", wanted, logger="slf4j-simple")


def of_node(version: str) -> Path:
    """Where Node.js finds node-zookeeper-client, one more (``NODE_PATH``). Raises ReleaseError."""
    place = STORE / f"node-zookeeper-client-{version}"
    with lock("releases"):
        if not place.exists():
            _from_npm(place, f"node-zookeeper-client@{version}")
    return place / "node_modules"


def _from_npm(place: Path, package: str) -> None:
    """All of it, or nothing; none of its scripts runs."""
    if not shutil.which("npm"):
        raise ReleaseError("clients of Node.js come by npm: apt-get install npm")
    STORE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=STORE) as temporary:
        new = Path(temporary) / "new"
        quiet = ("--no-audit", "--no-fund", "--ignore-scripts", "--fetch-retries=1", "--fetch-timeout=20000")
        command = ["npm", "install", *quiet, "--prefix", str(new), package]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        except subprocess.TimeoutExpired as late:
            raise ReleaseError(f"{package} cannot be fetched: {late}") from None
        if done.returncode:
            raise ReleaseError(f"{package} cannot be fetched: {done.stderr.strip()[-200:]}")
        new.rename(place)


def _fetched(
    name: str, what: str, *wanted: str, logger: str, instead: Sequence[str] = ()
) -> tuple[Path, ...]:
    place = STORE / RECIPE / f"{name}-{logger}"
    with lock("releases"):
        if not place.exists():
            _fetch(place, what, wanted, logger, instead)
    return tuple(sorted(place.glob("*.jar")))


def _fetch(place: Path, what: str, wanted: Sequence[str], logger: str, instead: Sequence[str]) -> None:
    """All of it, or nothing. Jars of ``instead`` take the places of those of the same names."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=STORE) as temporary:
        new = Path(temporary) / "jars"
        dependencies = "".join(DEPENDENCY.format(*artifact.split(":")) for artifact in wanted)
        (Path(temporary) / "pom.xml").write_text(POM.format(dependencies=dependencies))
        _maven(what, Path(temporary), "copy-dependencies", "-DincludeScope=runtime")
        for artifact in (*_loggers(new, logger), *instead):
            for old in new.glob(f"{artifact.split(':')[1]}-[0-9]*.jar"):
                old.unlink()
            _maven(what, Path(temporary), "copy", f"-Dartifact={artifact}")
        new.rename(place)


def _loggers(jars: Path, logger: str) -> list[str]:
    """The artifacts that make it the only one: the version that suits slf4j's API."""
    (api,) = jars.glob("slf4j-api-*.jar")
    version = api.stem.removeprefix("slf4j-api-")
    if logger == "slf4j-simple":
        for other in jars.glob("logback-*.jar"):
            other.unlink()
        return [f"org.slf4j:slf4j-simple:{version}"]
    if any(jars.glob("logback-*.jar")):
        return []
    suits = "1.2.13" if version.startswith("1.") else "1.3.15"  # in 3.9's archive, not in its description
    return [f"ch.qos.logback:logback-{part}:{suits}" for part in ("classic", "core")]


def _maven(what: str, directory: Path, goal: str, option: str) -> None:
    if not shutil.which("mvn"):
        raise ReleaseError("releases come from Maven Central: apt-get install maven")
    command = ["mvn", "-q", "-B", f"dependency:{goal}", option, f"-DoutputDirectory={directory / 'jars'}"]
    try:
        done = subprocess.run(
            command, cwd=directory, capture_output=True, text=True, check=False, timeout=MAVEN_SECONDS
        )
    except subprocess.TimeoutExpired as late:
        raise ReleaseError(f"{what} cannot be fetched: {late}") from None
    if done.returncode:
        why = next((line for line in done.stdout.splitlines() if "ERROR" in line), done.stderr.strip()[-200:])
        raise ReleaseError(f"{what} cannot be fetched: {why}")


def main() -> None:
    """Fetch by hand."""
    if len(sys.argv) != 2:
        sys.exit("usage: python -m testbed.releases VERSION")
    try:
        print(":".join(map(str, jars(sys.argv[1]))))
    except ReleaseError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
