"""Whether this machine can run a lab."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Mapping

from lab.backends.cgroup import hierarchy
from lab.errors import LabError

# program -> Debian package; those of the backend come on top
_PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "nft": "nftables",
    "ip": "iproute2",
    "mkfs.ext4": "e2fsprogs",
    "ssh-keygen": "openssh-client",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
}


def require(programs: Mapping[str, str]) -> None:
    """Raises LabError, in one line: what is missing, how to get it, and how to do without a lab.

    `programs`: further programs that are needed, and the Debian package of each.
    """
    needed = {**_PROGRAMS, **programs}
    os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"  # su without - omits them
    missing = []
    if platform.system() != "Linux":
        missing.append("Linux")
    else:
        if os.geteuid() != 0:
            missing.append("root (sudo)")
        if hierarchy() is None:
            missing.append("a mounted cgroup2 file system")
        absent = [program for program in needed if shutil.which(program) is None]
        if absent:
            packages = " ".join(dict.fromkeys(needed[program] for program in absent))
            missing.append(f"{', '.join(absent)} (apt-get install {packages})")
    if missing:
        raise LabError(
            f"this machine cannot run a lab, it lacks: {'; '.join(missing)}. "
            "Without a lab: put your own VMs into a copy of inventory/example (see README)"
        )
