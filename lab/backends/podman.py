"""Machines made of Podman, for hosts that have that and no systemd-nspawn."""

from __future__ import annotations

import resource
from pathlib import Path
from typing import ClassVar

from lab.backends.containers import Containers
from lab.spec import SHARED, Node

# Those that systemd-nspawn gives: none by which a machine could change the host's clock, modules or hardware.
_CAPABILITIES = (
    *("AUDIT_CONTROL", "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID"),
    *("IPC_OWNER", "KILL", "LEASE", "LINUX_IMMUTABLE", "MKNOD", "NET_BIND_SERVICE"),
    *(
        "NET_ADMIN",
        "NET_BROADCAST",
        "NET_RAW",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_ADMIN",
        "SYS_BOOT",
    ),
    *("SYS_CHROOT", "SYS_NICE", "SYS_PTRACE", "SYS_RESOURCE", "SYS_TTY_CONFIG"),
)

# Podman lays a file of its own over /etc/hostname, which nobody on the machine could replace.
_INIT = "umount /etc/hostname; exec /sbin/init"

_PROCESSES = 32768  # Podman lowers its own limit to that


class Podman(Containers):
    """A Podman for each machine, with its whole state in the keeper's /run: it ends with the machine.

    Nothing of it shows in the Podman of this host, and it needs no image: the lab has the files.
    """

    PROGRAMS: ClassVar = {"podman": "podman", "runc": "runc"}
    REBOOT = 129  # the kernel ends init with SIGHUP
    PAYLOAD = "containers/libpod-*"

    def start(self, node: Node, root: Path) -> list[str]:
        group = self.group(node).child("containers").relative
        files, processes = _hard(resource.RLIMIT_NOFILE), min(_hard(resource.RLIMIT_NPROC), _PROCESSES)
        return [
            *["env", "CONTAINERS_CONF=/dev/null", "podman"],
            *["--root=/run/podman/root", "--runroot=/run/podman/run", "--tmpdir=/run/podman/tmp"],
            *["--network-config-dir=/run/podman/networks"],
            *["--storage-driver=vfs", "--events-backend=none", "--cgroup-manager=cgroupfs"],
            # Not crun: it wants to raise a limit that root in a confined host may not.
            *["--runtime=runc", "run", "--rm", "--replace", f"--name={node.name}", "--log-driver=none"],
            *[f"--hostname={node.name}", "--uts=private", "--network=host", "--no-hosts", "--dns=none"],
            *[f"--cgroup-parent=/{group}", "--cgroupns=private", "--pids-limit=-1"],
            *["--systemd=always", "--sdnotify=ignore", "--tty", "--env=TERM=dumb"],
            *["--security-opt=seccomp=unconfined", "--security-opt=apparmor=unconfined"],
            *["--security-opt=label=disable", f"--cap-add={','.join(_CAPABILITIES)}"],
            # Podman's own defaults are above what this host may allow.
            *[f"--ulimit=nofile={files}:{files}", f"--ulimit=nproc={processes}:{processes}"],
            f"--volume={self.shared}:{SHARED}",
            *["--rootfs", str(root), "sh", "-c", _INIT],
        ]


def _hard(limit: int) -> int:
    return resource.getrlimit(limit)[1]
