"""How many tasks a worker runs at once if nobody says: one for each CPU that it may use."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (pytest("tests/unit/test_cpus.py"), pytest("tests/unit/test_cli.py"))

cpus = partial(Mutant, "mwapp/execution/cpus.py")
daemons = partial(Mutant, "mwapp/cli/daemons.py")

MUTANTS = [
    cpus("len(os.sched_getaffinity(0))", "os.cpu_count() or 1", "CPUs that others have count"),
    cpus("math.ceil(", "round(", "with a quota of a tenth of a CPU nothing runs"),
    cpus("min(ours, _quota(own_group()), ", "min(ours, ", "CPUQuota= does not count"),
    cpus("ours if limit is None else limit", "ours", "--worker-cpu does not count"),
    cpus("(group, *group.parents)", "(group,)", "a container's quota does not count for a group in it"),
    cpus("(group, *group.parents)", "group.parents", "the quota of its own unit does not count"),
    cpus("OSError, ValueError", "OSError", "a worker without a quota does not start"),
    cpus("OSError, ValueError", "ValueError", "a worker in a group below the root does not start"),
    cpus(
        "least = min(least, int(used) / int(period))", "least = int(used) / int(period)", "a slice's counts"
    ),
    cpus(" / int(period)", " / 100_000", "a quota of another period is misread"),
    daemons('settings["slots"] or usable_cpus', "usable_cpus", "--slots has no effect"),
    daemons('usable_cpus(settings["worker_cpu"])', "usable_cpus()", "--worker-cpu does not count"),
    daemons(
        '        default=0,\n                metavar="TASKS",\n                help="How many',
        '        default=1,\n                metavar="TASKS",\n                help="How many',
        "one task at a time on any machine",
    ),
]
