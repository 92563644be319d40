"""Whether this machine can carry a lab."""

from __future__ import annotations

import os
import platform
import shutil

from lab.backends.cgroup import hierarchy
from lab.errors import LabError

# program -> Debian package
_PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "nft": "nftables",
    "ip": "iproute2",
    "mkfs.ext4": "e2fsprogs",
    "ssh-keygen": "openssh-client",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
}


def require() -> None:
    """Raises LabError, in one line: what is missing, how to get it, and the way that needs no lab."""
    os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"  # su without - leaves them out
    missing = []
    if platform.system() != "Linux":
        missing.append("Linux")
    else:
        if os.geteuid() != 0:
            missing.append("root (sudo)")
        if hierarchy() is None:
            missing.append("a mounted cgroup2 file system")
        programs = [program for program in _PROGRAMS if shutil.which(program) is None]
        if programs:
            packages = " ".join(dict.fromkeys(_PROGRAMS[program] for program in programs))
            missing.append(f"{', '.join(programs)} (apt-get install {packages})")
    if missing:
        raise LabError(
            f"this machine cannot carry a lab, it lacks: {'; '.join(missing)}. "
            "Without a lab: put your own VMs into a copy of inventory/example (see README)"
        )
