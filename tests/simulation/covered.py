"""How much of the core the simulation alone reaches: lines and branches, and which it does not.

    python -m tests.simulation.covered --seeds 3000

Each part of the core has its own simulation, and is judged by itself: fails below its percentage in PARTS.
What it cannot reach is named in NOT_MET, with the reason; a name that is reached after all fails, too.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "coverage"
CORE = "mwapp/core"
SHARDS = "shards/"
# By what the files of a part begin with: what to call it, and how many percent are to be reached at least.
PARTS = {"": ("tasks", 95.0), SHARDS: ("shards", 95.0)}
STATUS = "what the status endpoint says, which nobody asks here"
COMMAND_LINE = "for the command line"
TESTS = "for tests, and for figures"
LARGE = "half a megabyte of what a worker says is some 20,000 shards"
# File, function or the text of a line, and why no schedule comes there.
NOT_MET = (
    ("client.py", "ClientPart.status", STATUS),
    ("client.py", "ClientPart.exited", "a client runs no command"),
    ("client.py", "ClientPart._begin", "every kind of client has its own"),
    (
        "client.py",
        'raise ValueError("every submitted task without a name needs a key of its own")',
        COMMAND_LINE,
    ),
    ("running.py", "Running.names", STATUS),
    ("shards/protocol.py", "remedy", STATUS),
    ("shards/holder.py", "_matters", LARGE),
    (
        "shards/holder.py",
        "said = {key: saying for key, saying in said.items() if _matters(saying, mine[key], self._name)}",
        LARGE,
    ),
    (
        "shards/holder.py",
        "data = Report(self._incarnation, self._labels, leaving, said).encode()",
        LARGE,
    ),
    ("shards/holder.py", "self._too_large = size", LARGE),
    (
        "shards/holder.py",
        'self._unsaid += f": {size} bytes may be more than servers take: let it have fewer shards"',
        LARGE,
    ),
    ("shards/placement.py", "fewest_moves", TESTS),
    ("shards/placement.py", "_counted", TESTS),
    (
        "shards/placement.py",
        "return dict.fromkeys(shards, ())",
        "the master plans for nobody if nobody is there",
    ),
    ("shards/protocol.py", "Table.of", COMMAND_LINE),
    ("task.py", "except UnicodeEncodeError:", COMMAND_LINE),
    ("task.py", 'raise BadTaskError("the command is not valid UTF-8") from None', COMMAND_LINE),
    ("task.py", "except (TypeError, ValueError) as error:", COMMAND_LINE),
    (
        "task.py",
        "raise BadTaskError(f\"task field 'argument' cannot be written as JSON: {error}\") from None",
        COMMAND_LINE,
    ),
    (
        "task.py",
        'raise BadTaskError(f"task of {len(data)} bytes is larger than {MAX_TASK_BYTES}")',
        "it would take long",
    ),
    ("task.py", "Task.title", STATUS),
    ("task.py", "check_task_name", COMMAND_LINE),
    ("worker.py", "Worker.status", STATUS),
)


@dataclass(frozen=True, order=True)
class Gap:
    """A line that no schedule reached, or (``to``) a way from it that none took."""

    file: str
    line: int
    to: int = 0
    function: str = ""

    def __str__(self) -> str:
        way = "" if not self.to else f" -> {self.to if self.to > 0 else 'end'}"
        return f"{self.file}:{self.line}{way}: {self.texts()[0]}"

    def texts(self) -> list[str]:
        """The line, and the one it leads to."""
        lines = Path(ROOT, CORE, self.file).read_text().splitlines()
        return [lines[at - 1].strip() for at in (self.line, self.to) if at > 0]

    def named(self, file: str, name: str) -> bool:
        """Whether it is in that function, or has to do with that line."""
        inside = f"{self.function}.".startswith(f"{name}.")
        return self.file == file and (inside or name in self.texts())


def main() -> int:
    """Returns 1 if too little is reached."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.covered", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3000, metavar="N", help="run so many schedules")
    parser.add_argument("--shards", type=int, default=600, metavar="N", help="and so many of shards")
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    _coverage("run", "-m", "tests.simulation", "--seeds", str(options.seeds))
    _coverage("run", "-m", "tests.simulation.shards", "--seeds", str(options.shards))
    _coverage("combine", "--quiet")
    _coverage("json", "--quiet", "-o", str(BUILD / "report.json"))
    return judge(json.loads((BUILD / "report.json").read_text()))


def judge(report: dict[str, Any]) -> int:
    """Print what is not reached, and the percentages. Returns 1 if one is too low or the list out of date."""
    gaps = set(_gaps(report))
    excused = {(file, name): {gap for gap in gaps if gap.named(file, name)} for file, name, _ in NOT_MET}
    left = gaps.difference(*excused.values())
    for gap in sorted(left):
        print(gap)
    outdated = [name for name, found in excused.items() if not found]
    for file, name in outdated:
        print(f"{file}: {name}: not there, or reached: take it off the list in {Path(__file__).name}")
    enough = [_enough(report, part, gaps, left) for part in PARTS]
    return int(not all(enough) or bool(outdated))


def _enough(report: dict[str, Any], part: str, every: set[Gap], unexplained: set[Gap]) -> bool:
    files = {path.removeprefix(f"{CORE}/"): found["summary"] for path, found in report["files"].items()}
    of = [its for file, its in files.items() if _part(file) == part]
    gaps, left = ({gap for gap in some if _part(gap.file) == part} for some in (every, unexplained))
    branches = _percent(sum(its["num_branches"] for its in of), gaps, left, ways=True)
    lines = _percent(sum(its["num_statements"] for its in of), gaps, left, ways=False)
    what, least = PARTS[part]
    print(
        f"{what}: {branches:.1f} % of the branches of {CORE} are taken, {lines:.1f} % of its lines "
        f"reached; {len(gaps - left)} of them cannot be"
    )
    return min(branches, lines) >= least


def _part(file: str) -> str:
    return SHARDS if file.startswith(SHARDS) else ""


def _percent(of: int, gaps: set[Gap], left: set[Gap], *, ways: bool) -> float:
    """How many of these branches, or lines, are met; those that cannot be do not count."""
    missing, unexplained = (sum(bool(gap.to) is ways for gap in some) for some in (gaps, left))
    possible = of - missing + unexplained
    return 100 * (possible - unexplained) / possible if possible else 100.0


def _coverage(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "coverage", *arguments], cwd=ROOT, check=True)


def _gaps(report: dict[str, Any]) -> Iterator[Gap]:
    for path, found in report["files"].items():
        file = path.removeprefix(f"{CORE}/")
        for function, part in found["functions"].items():
            yield from (Gap(file, line, 0, function) for line in part["missing_lines"])
            yield from (Gap(file, line, to, function) for line, to in part["missing_branches"])


if __name__ == "__main__":
    sys.exit(main())
