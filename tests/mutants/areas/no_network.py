"""Tasks and handlers without network."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (
    pytest("tests/unit/test_no_network.py"),
    pytest("tests/unit/test_cli.py", "tests/unit/test_mwapp_filters.py"),
)

wall = partial(Mutant, "mwapp/execution/no_network.py")
process = partial(Mutant, "mwapp/execution/runner_process.py")
remote = partial(Mutant, "mwapp/execution/remote.py")
daemons = partial(Mutant, "mwapp/cli/daemons.py")
role = partial(Mutant, "plugins/filter/mwapp_filters.py")

MUTANTS = [
    wall(
        '    ("socket", errno.EACCES, _OTHER_FAMILY),\n', "", "no worker starts: tasks would have the network"
    ),
    wall('    ("socketpair", errno.EACCES, _OTHER_FAMILY),\n', "", "a pair of sockets is of any family"),
    wall('    ("io_uring_setup", errno.EPERM, ()),\n', "", "io_uring opens sockets"),
    wall('("io_uring_setup", errno.EPERM', '("io_uring_setup", errno.EACCES', "programs do not do without"),
    wall("_NOT_EQUAL = 1", "_NOT_EQUAL = 4", "tasks have no Unix sockets, and all others"),
    wall("socket.AF_UNIX),)", "socket.AF_INET),)", "tasks have TCP, and no Unix sockets"),
    wall("0x7FFF0000, 0x00050000", "0x7FFF0000, 0x7FFC0000", "what is refused is allowed, and logged"),
    wall(" or not _is_refused():", ":", "a kernel that forgets the filter is believed"),
    wall(
        "library.seccomp_load(made) != 0", "library.seccomp_load(made) > 0", "what is not loaded is believed"
    ),
    wall("comparisons) != 0:", "comparisons) > 0:", "a library that is too old is the kernel's fault"),
    wall("return error.errno == errno.EACCES", "return True", "a host without IPv4 seems to have the filter"),
    process("if network == NO_NETWORK:", "if False:", "tasks have the network, if the worker believed it"),
    process('f"{problem}\\n"', '"\\n"', "a worker whose tasks have the network starts"),
    remote("        if not network:\n", "        if False:\n", "what the filter says is no end of a task"),
    remote("settimeout(START_TIME)", "settimeout(None)", "a worker waits in vain for what is stuck"),
    remote("            kill(self._process.pid)  # or", "            pass  # or", "what is stuck stays"),
    remote('        if line == "\\n":\n', "        if True:\n", "a worker without a filter starts"),
    remote("if code == -signal.SIGSYS:", "if False:", "nobody is told what the unit lacks"),
    daemons('network=settings["task_network"])', "network=True)", "the setting has no effect"),
    daemons(
        '    if user is None and not settings["task_network"]:',
        "    if False:",
        "tasks of the worker's own user have the network",
    ),
    daemons(
        'default=True,\n                help="Whether tasks and handlers',
        'default=False,\n                help="Whether tasks and handlers',
        "no worker starts without a user of its tasks",
    ),
    role('{} if is_true(its["mwapp_task_network"])', "{} if True", "mwapp_task_network has no effect"),
    role('{} if is_true(its["mwapp_task_network"])', '{} if its["mwapp_task_network"]', "-e sets true only"),
]
