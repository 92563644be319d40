"""How many CPUs this process may use."""

import math
import os
from contextlib import suppress
from pathlib import Path

from mwapp.execution.control_groups import own_group


def usable_cpus(limit: float | None = None) -> int:
    """Those that the kernel lets it run on (taskset, AllowedCPUs=, a container's), or fewer if it may not use
    all of their time: by a quota (CPUQuota=, docker --cpus) or the ``limit``, rounded up."""
    ours = len(os.sched_getaffinity(0))
    return math.ceil(min(ours, _quota(own_group()), ours if limit is None else limit))


def _quota(group: Path | None) -> float:
    """The least that a control group (v2), or one above it, leaves: in CPUs, infinite if there is none."""
    least = math.inf
    for one in () if group is None else (group, *group.parents):
        with suppress(OSError, ValueError):  # the root has none, and "max" is none
            used, period = (one / "cpu.max").read_text().split()
            least = min(least, int(used) / int(period))
    return least
