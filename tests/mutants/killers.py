"""What is to notice a mutant: commands that succeed without it and fail with it."""

import re
import sys
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

# Schedules of the simulation, from quick to slow: most of what it finds it finds among the first.
FEW, MANY = range(300), range(300, 2000)


@dataclass(frozen=True, slots=True)
class Killer:
    """A command, run at the root of a copy of the tree; ``says`` finds in its output what has noticed.

    ``files``: those of its arguments that are files of tests.
    """

    name: str
    command: tuple[str, ...]
    says: str
    files: tuple[str, ...] = ()

    def only(self, files: Collection[str]) -> "Killer":
        """With no more of its files than these."""
        left_out = set(self.files) - set(files)
        command = tuple(argument for argument in self.command if argument not in left_out)
        return replace(self, command=command, files=tuple(files))

    def reason(self, output: str) -> str:
        """What has noticed: a test, an invariant."""
        found = re.search(self.says, output, re.MULTILINE)
        return next(filter(None, found.groups()), "") if found else output.strip().rpartition("\n")[2][:80]


def pytest(*files: str) -> Killer:
    """Unit tests: paths from the root."""
    options = ("-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "tests.mutants.noticed_first")
    command = (sys.executable, "-m", "pytest", *options, *files)
    return Killer("unit", command, r"^(?:FAILED|ERROR) [^:\n]*::(\S+)|^ERROR (\S+)", files)


def simulation(seeds: range) -> Killer:
    """The schedules with these seeds."""
    options = ("--first", str(seeds.start), "--seeds", str(len(seeds)), "--jobs", "1")
    command = (sys.executable, "-m", "tests.simulation", *options)
    return Killer("simulation", command, r"^([a-z][a-z-]+): |^(\w+(?:\.\w+)*Error\b.*)")


def simulation_of_shards(seeds: range) -> Killer:
    """The schedules of shards with these seeds."""
    options = ("--first", str(seeds.start), "--seeds", str(len(seeds)), "--jobs", "1")
    command = (sys.executable, "-m", "tests.simulation.shards", *options)
    return Killer("simulation of shards", command, r"^([a-z][a-z-]+): |^(\w+(?:\.\w+)*Error\b.*)")


# For mwapp/core. The tests that one of its files has of its own are among them: all take two seconds.
_OF_CORE = sorted(
    path.name
    for path in (Path(__file__).parents[1] / "unit").glob("test_core_*.py")
    if not path.name.startswith("test_core_shards")  # they have areas of their own
)
_MORE_OF_CORE = ("test_under_way.py", "test_protocol.py", "test_request_size.py")
CORE = (
    pytest(*(f"tests/unit/{name}" for name in (*_OF_CORE, *_MORE_OF_CORE))),
    simulation(FEW),
    simulation(MANY),
)


def edge(seeds: range) -> Killer:
    """The schedules of the edge with these seeds."""
    options = ("--first", str(seeds.start), "--seeds", str(len(seeds)), "--jobs", "1")
    command = (sys.executable, "-m", "tests.edge", *options)
    return Killer("edge", command, r"^([a-z][a-z-]+): |^(\w+(?:\.\w+)*Error\b.*)")
