"""What the story ran on: versions and machine, so that its figures can be compared with others."""

import os
import platform
import subprocess
from importlib.metadata import version

from chaos.cluster import Cluster
from testbed.machine import describe


def about(cluster: Cluster) -> tuple[dict[str, str], dict[str, str]]:
    """Versions of what is run, and the machine under it."""
    here = describe()
    suites = sorted({node.suite for node in cluster.lab.nodes.values()})
    versions = {
        "this checkout": _said("git", "describe", "--always", "--dirty") or "not a git checkout",
        "ZooKeeper": _zookeeper(cluster),
        "hosts": f"Debian {', '.join(suites)}",
        **{name: version(name) for name in ("mwapp", "kazoo", "ansible-core")},
        "Python": here["python"],
    }
    machine = {
        "kernel": f"{platform.system()} {here['kernel']}",
        "processor": f"{here['cores']} cores, {here['processor']}",
        "memory": f"{here['memory_gib']:.0f} GiB",
        "load before": f"{os.getloadavg()[0]:.1f} processes running or waiting (1 min)",
    }
    return versions, machine


def _zookeeper(cluster: Cluster) -> str:
    """As each server says; one version unless they differ."""
    said = {cluster.server(node).get("zk_version", "?").split("-")[0] for node in cluster.servers}
    return ", ".join(sorted(said))


def _said(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
