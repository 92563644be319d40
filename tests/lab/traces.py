"""Everything a lab could leave behind on this machine, as comparable sets."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from lab.backends.cgroup import hierarchy

# Where Podman keeps what it knows, if nobody tells it otherwise.
_PODMAN = (
    "/var/lib/containers",
    "/var/lib/cni",
    "/etc/cni",
    "/etc/containers",
    "/run/containers",
    "/run/libpod",
    "/run/runc",
)


def traces(name: str) -> dict[str, set[str]]:
    """What on this machine has the name of a lab, or may belong to one, by kind.

    Other labs come and go while tests run; so where a trace shows whose it is, only this lab's counts.
    """
    root = hierarchy()
    assert root is not None
    mounts = {
        line for file in Path("/proc").glob("[0-9]*/mounts") for line in _lines(file) if f"/{name}/" in line
    }
    return {
        "processes": {line for line in map(_command, Path("/proc").glob("[0-9]*")) if f"/{name}/" in line},
        "cgroups": {top for top, _, _ in os.walk(root / "zklab" / name)},
        "mounts": mounts,
        "loops": {
            line
            for file in Path("/sys/block").glob("loop*/loop/backing_file")
            for line in _lines(file)
            if f"/{name}/" in line
        },
        "links": {
            link["ifname"] for link in _json("ip", "-json", "link") if link.get("ifalias") == f"zklab {name}"
        },
        "tables": {
            line for line in _run("nft", "list", "tables").splitlines() if line.endswith(f"zklab-{name}")
        },
        "namespaces": _named_namespaces(),
        "files": _below(f"/run/zklab/{name}", f"/var/lib/zklab/{name}"),
        "podman": _below(*_PODMAN) | _podman_locks(),
        "lock files": _below("/run/systemd/nspawn"),
    }


def _below(*tops: str) -> set[str]:
    """All files and directories below these, as far as they are there. They come and go as we look, for which
    a recursive glob() fails."""
    return {
        os.path.join(directory, name)  # noqa: PTH118 - as os.walk() has it
        for top in tops
        for directory, directories, files in os.walk(top)
        for name in (*directories, *files)
    }


def _podman_locks() -> set[str]:
    return {str(path) for path in Path("/dev/shm").glob("*libpod*")}  # noqa: S108 - only looked at


def _run(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def _json(*argv: str) -> list[dict[str, str]]:
    return [dict(item) for item in json.loads(_run(*argv))]


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:  # gone as we look
        return []


def _command(process: Path) -> str:
    return " ".join(" ".join(_lines(process / "cmdline")).split("\0"))


def _named_namespaces() -> set[str]:
    return {str(path) for path in Path("/run/netns").glob("*")}
