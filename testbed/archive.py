"""ZooKeeper releases in the Apache project's layout, as far as tests need it, made from Debian's packages or
from the release's own jars.

    release = build("bookworm")  # release.path, release.checksum; kept in the cache
    release = of_jars("3.9.5")

By hand: ``python -m testbed.archive bookworm`` prints the two.
"""

import gzip
import hashlib
import io
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lab import image
from lab.run import lock, run
from lab.spec import CACHE
from testbed import releases

VERSIONS = {"bookworm": "3.8.0", "trixie": "3.9.3"}
STORE = CACHE / "archives"
RECIPE = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[
    :12
]  # what it builds is kept below that name
PACKAGES = (
    "libcommons-cli-java",
    "libcommons-io-java",
    "libdropwizard-metrics-java",
    "libjackson2-annotations-java",
    "libjackson2-core-java",
    "libjackson2-databind-java",
    "libjansi1-java",
    "libjetty9-java",
    "libjline2-java",
    "liblogback-java",
    "libnetty-java",
    "libservlet-api-java",
    "libslf4j-java",
    "libsnappy-java",
    "libzookeeper-java",
    "zookeeper",
)
# The contents of a release's lib/, by Debian's names of the jars.
JARS = (
    "commons-cli",
    "commons-io",
    "jackson-annotations",
    "jackson-core",
    "jackson-databind",
    "jansi1",
    "jetty9-http",
    "jetty9-io",
    "jetty9-security",
    "jetty9-server",
    "jetty9-servlet",
    "jetty9-util",
    "jetty9-util-ajax",
    "jline2",
    "logback-classic",
    "logback-core",
    "metrics-core",
    "netty-buffer",
    "netty-codec",
    "netty-common",
    "netty-handler",
    "netty-resolver",
    "netty-transport",
    "netty-transport-native-epoll",
    "netty-transport-native-unix-common",
    "servlet-api",
    "slf4j-api",
    "snappy-java",
    "zookeeper",
    "zookeeper-jute",
)


@dataclass(frozen=True)
class Release:
    """An archive on this machine. ``checksum`` is its SHA-512, in hexadecimal digits."""

    version: str
    path: Path
    checksum: str


def build(suite: str) -> Release:
    """The version of a Debian release, built now if the cache has none from this recipe."""
    version = VERSIONS[suite]
    path = STORE / RECIPE / f"apache-zookeeper-{version}-bin.tar.gz"
    with lock("archives"):
        if not path.exists():
            with tempfile.TemporaryDirectory() as temporary:
                _download(suite, Path(temporary))
                new = Path(temporary) / path.name
                _pack(Path(temporary), version, new)
                path.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(new, path.with_suffix(".new"))
                path.with_suffix(".new").replace(path)
    return Release(version, path, hashlib.sha512(path.read_bytes()).hexdigest())


def of_jars(version: str) -> Release:
    """The release's own jars from Maven Central: what a server and its shell need, no Jetty and no scripts.

    Raises ReleaseError.
    """
    path = STORE / f"{RECIPE}-{releases.RECIPE}" / f"apache-zookeeper-{version}-bin.tar.gz"
    with lock("archives"):
        if not path.exists():
            jars = releases.lib(version)
            path.parent.mkdir(parents=True, exist_ok=True)
            with _writing(path.with_suffix(".new")) as tar:
                for jar in jars:
                    _add(tar, f"apache-zookeeper-{version}-bin/lib/{jar.name}", jar.read_bytes(), 0o644)
            path.with_suffix(".new").replace(path)
    return Release(version, path, hashlib.sha512(path.read_bytes()).hexdigest())


@contextmanager
def _writing(path: Path) -> Iterator[tarfile.TarFile]:
    """The same content gives the same bytes."""
    with (
        path.open("wb") as file,
        gzip.GzipFile("", "wb", 6, file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        yield tar


def _download(suite: str, directory: Path) -> None:
    """Download another release's packages, with its image's apt lists and settings."""
    root = image.layers(suite, lambda _: None).split(":")[-1]
    config = directory / "apt.conf"
    settings = {"Dir": root, "Dir::Cache": str(directory), "APT::Sandbox::User": "root"}
    config.write_text("".join(f'{key} "{value}";\n' for key, value in settings.items()))
    fetch = ["env", "-C", str(directory), f"APT_CONFIG={config}", "apt-get", "--quiet", "download", *PACKAGES]
    run(fetch)
    for package in directory.glob("*.deb"):
        run(["dpkg-deb", "--extract", str(package), str(directory / "root")])


def _pack(directory: Path, version: str, path: Path) -> None:
    """Write the archive."""
    top, jars = f"apache-zookeeper-{version}-bin", directory / "root/usr/share/java"
    with _writing(path) as tar:
        for name in JARS:
            jar = jars / f"{name}.jar"
            versioned = next(jars.glob(f"{name}-[0-9]*.jar"), jar)
            _add(tar, f"{top}/lib/{versioned.name}", _without_class_path(jar), 0o644)
        for script in sorted((directory / "root/usr/share/zookeeper/bin").glob("zk[CST]*.sh")):
            _add(tar, f"{top}/bin/{script.name}", script.read_bytes(), 0o755)


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), mode
    tar.addfile(member, io.BytesIO(content))


def _without_class_path(jar: Path) -> bytes:
    """Debian's jars refer to others in /usr/share/java; those of a release need not."""
    result = io.BytesIO()
    with (
        zipfile.ZipFile(jar) as old,
        zipfile.ZipFile(result, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new,
    ):
        for info in old.infolist():
            content = old.read(info)
            if info.filename == "META-INF/MANIFEST.MF":
                content = re.sub(rb"^Class-Path:.*\r?\n( .*\r?\n)*", b"", content, flags=re.MULTILINE)
            new.writestr(info, content)
    return result.getvalue()


def main() -> None:
    """Build by hand."""
    try:
        release = build(sys.argv[1])
    except (IndexError, KeyError):
        sys.exit(f"usage: python -m testbed.archive {{{'|'.join(VERSIONS)}}}")
    except subprocess.SubprocessError as error:
        sys.exit(str(error))
    print(release.path, release.checksum)


if __name__ == "__main__":
    main()
