"""The module mwapp_reach: whether a host can connect to a server, and would trust it."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (pytest("tests/unit/test_mwapp_reach.py"),)

module = partial(Mutant, "plugins/modules/mwapp_reach.py")

MUTANTS = [
    module('connect.partition("/")[0]', "connect", "the path is taken for a port"),
    module("one[1] or one[2]", "one[2]", "an IPv6 address in brackets is nobody's"),
    module(
        "if not why and not other:", "if True:", "a host that nobody lets in is told so by its services alone"
    ),
    module("if not why and not other:", "if why:", "a host that is let in is refused"),
    module("if not why and not other:", "if not why:", "an old CA replaces the one that the servers have"),
    module("    if strange:\n", "    if strange and refused:\n", "the same"),
    module(
        "return error.verify_code in STRANGE", "return True", "expired is another CA's, and no run mends it"
    ),
    module('if module.params["required"]:', "if True:", "while no server runs, nothing can be done"),
    module("except (OSError, UnicodeError)", "except UnicodeError", "one that refuses ends it"),
]
