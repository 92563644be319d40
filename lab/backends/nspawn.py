"""Machines made of systemd-nspawn."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from lab.backends.containers import Containers, machine_id
from lab.spec import SHARED, Node


class Nspawn(Containers):
    """What systemd itself boots containers with."""

    PROGRAMS: ClassVar = {"systemd-nspawn": "systemd-container"}
    REBOOT = 133
    PAYLOAD = "machine/payload"

    def start(self, node: Node, root: Path) -> list[str]:
        return [
            *["systemd-nspawn", "--quiet", "--boot", f"--directory={root}"],
            *[f"--machine={node.name}", f"--uuid={machine_id(self.lab, node.name)}"],
            *["--register=no", "--keep-unit", "--network-namespace-path=/proc/self/ns/net"],
            f"--bind={self.shared}:{SHARED}",
            "--capability=CAP_NET_ADMIN",  # its network is its own, and so is its packet filter
            *["--resolv-conf=off", "--timezone=off", "--link-journal=no", "--console=read-only"],
        ]
