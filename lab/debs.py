"""Packages that nodes have downloaded, kept for later nodes as a layer below their disks.

A finished layer never changes, because running nodes use it; new packages go into a new layer. apt checks
each file against its signed lists before it uses it.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from lab.run import lock
from lab.spec import CACHE, Spec, labs

STORE = CACHE / "debs"
ARCHIVES = "var/cache/apt/archives"
KEPT_DAYS = 30  # since the download; after that Debian has a newer version

_DEB = re.compile(r"[A-Za-z0-9_.+~%-]+\.deb")


def newest(suite: str) -> Path | None:
    """The layer for new nodes of a release, if it exists."""
    return max(STORE.glob(f"{suite}-[0-9]*"), default=None)


def keep(spec: Spec, commands: dict[str, Callable[[Sequence[str]], list[str]]]) -> None:
    """Keep what the nodes of a lab have downloaded.

    `commands` gives, for each running node, the command to run something there. Failures do not matter.
    """
    for name, command in commands.items():
        suite = spec.nodes[name].suite
        with contextlib.suppress(OSError, subprocess.SubprocessError), lock(f"debs-{suite}"):
            last = newest(suite)
            known = {path.name for path in (last / ARCHIVES).iterdir()} if last else set()
            listed = _output(command(["find", f"/{ARCHIVES}", "-name", "*.deb", "-printf", "%f\\n"]))
            new = [file for file in listed.decode().split() if _DEB.fullmatch(file) and file not in known]
            if new:
                _grow(suite, last, _output(command(["tar", "-C", f"/{ARCHIVES}", "-cf", "-", *new])))


def _grow(suite: str, last: Path | None, tar: bytes) -> None:
    """Make the next layer: the files of the last one that are not too old, and those of a tar file."""
    number = int(last.name.rpartition("-")[2]) + 1 if last else 1
    making = STORE / f".making-{suite}"
    shutil.rmtree(making, ignore_errors=True)
    archives = making / ARCHIVES
    archives.mkdir(parents=True)
    for old in (last / ARCHIVES).iterdir() if last else ():
        if time.time() - old.stat().st_mtime < KEPT_DAYS * 86400:
            os.link(old, archives / old.name)
    extract = ["tar", "-C", str(archives), "-xf", "-", "--no-same-owner", "--touch"]
    subprocess.run(extract, input=tar, check=True, capture_output=True)
    making.replace(STORE / f"{suite}-{number:06d}")
    used = {layer for spec in labs() for node in spec.nodes.values() for layer in node.image.split(":")}
    for layer in STORE.glob(f"{suite}-[0-9]*"):
        # A lab that is being created may have chosen the last one, and not noted that yet.
        if str(layer) not in used and layer not in (last, newest(suite)):
            shutil.rmtree(layer)


def _output(argv: Sequence[str]) -> bytes:
    return subprocess.run(argv, capture_output=True, check=True, timeout=20).stdout
