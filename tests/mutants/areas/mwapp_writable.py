"""The module mwapp_writable: where the tasks' user can write."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (pytest("tests/unit/test_mwapp_role.py"),)

module = partial(Mutant, "plugins/modules/mwapp_writable.py")

MUTANTS = [
    module("        os.initgroups(user.pw_name, user.pw_gid)\n", "", "who is let in by a group is refused"),
    module("        os.seteuid(user.pw_uid)\n", "", "where root can write, each user can"),
    module("os.seteuid(user.pw_uid)", "os.setuid(user.pw_uid)", "tasks can do to the process what they like"),
    module(", effective_ids=True", "", "root is asked for, not the tasks' user"),
    module(
        "except OSError as error:", "except ZeroDivisionError as error:", "who cannot ask is told no remedy"
    ),
    module("os.W_OK | os.X_OK", "os.R_OK | os.X_OK", "who can only read a directory passes"),
    module("os.W_OK | os.X_OK", "os.W_OK", "a directory passes in which no file can be made"),
]
