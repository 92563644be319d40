"""The module mwapp_reach: whether a host can connect to a server."""

from functools import partial

from tests.mutants.killers import pytest
from tests.mutants.mutant import Mutant

KILLERS = (pytest("tests/unit/test_mwapp_reach.py"),)

module = partial(Mutant, "plugins/modules/mwapp_reach.py")

MUTANTS = [
    module('connect.partition("/")[0]', "connect", "the path is taken for a port"),
    module("one[1] or one[2]", "one[2]", "an IPv6 address in brackets is nobody's"),
    module("if not why:", "if True:", "a host that nobody lets in is told so by its services alone"),
    module("if not why:", "if why:", "a host that is let in is refused"),
    module("except (OSError, UnicodeError)", "except UnicodeError", "one that refuses ends it"),
]
