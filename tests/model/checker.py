"""Runs spin: model to C, C to a program, and that program through every state there is."""

import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MODEL = Path(__file__).parents[2] / "docs" / "model"
# Deeper than any history at these bounds. It is an error if one is cut short.
DEEPEST = 10_000


class CheckError(Exception):
    """Spin or the compiler failed, or not every state was visited."""


@dataclass(frozen=True)
class Finding:
    """What a check found: so many different states, and how long it took to visit them, seconds.

    ``broken`` names the invariant that does not hold, ``endless`` if something can go on for ever; ``story``
    is how it came to that, a line for each step. ``met``: it came to the scene that was looked for.
    ``never`` lists what no history tells, of that which steps tell before their transaction is sent.
    """

    states: int
    seconds: float
    broken: str | None
    met: bool
    story: list[str]
    never: set[str]


def check(
    where: Path, defines: Mapping[str, int | str], *, shortest: bool = False, loops: bool = False
) -> Finding:
    """Visit every state of the model with these ``defines``, in the empty directory ``where``.

    With ``shortest``, the story of what is found is the shortest there is. With ``loops``, what is looked for
    is a history that goes round in circles for ever. Raises CheckError.
    """
    for file in MODEL.glob("*.pml"):
        shutil.copy(file, where)
    given = [f"-D{name}={value}" for name, value in defines.items()]
    _run(where, "spin", "-a", *given, "protocol.pml")
    # What is soon found is not worth the compiler's time, and the rest little of it.
    options = ["-O0", "-DBFS"] if shortest else ["-Og"]
    options += ["-DNP"] if loops else ["-DSAFETY"]
    # -w: what never runs, an index out of bounds for one, the compiler warns of.
    _run(where, "gcc", "-w", *options, "-DNOREDUCE", "-DNOFAIR", "-o", "pan", "pan.c")
    began = time.monotonic()
    said = _run(where, "./pan", *(["-l"] if loops else []), *([] if shortest else [f"-m{DEEPEST}"]))
    seconds = time.monotonic() - began
    found = "errors: 0" not in said
    if not found and ("Search not completed" in said or "max search depth too small" in said):
        raise CheckError(f"not every state was visited:\n{said}")
    story = _story(where, given) if found else []
    return Finding(
        states=_states(said),
        seconds=seconds,
        broken=_broken(story) if found else None,
        met="met" in story,
        story=[line for line in story if line != "met" and not line.startswith("broken: ")],
        never=set(re.findall(r"printf\(' (.*?)(?:\\n)?'", said)),
    )


def _run(where: Path, *command: str) -> str:
    try:
        done = subprocess.run(command, cwd=where, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise CheckError(f"{command[0]} is missing: scripts/bootstrap --tests installs it") from error
    said = done.stdout + done.stderr
    if done.returncode:
        raise CheckError(f"{' '.join(command)}:\n{said}")
    return said


def _states(said: str) -> int:
    stored = re.search(r"^\s*(\d+) states, stored", said, re.MULTILINE)
    if stored is None:
        raise CheckError(f"no search:\n{said}")
    return int(stored[1])


def _story(where: Path, given: list[str]) -> list[str]:
    """What the steps of the history that was found tell: all that is before the state it ends in."""
    said = _run(where, "spin", "-t", "-T", *given, "protocol.pml")
    told = [line for line in said.partition("#processes")[0].splitlines() if not line.startswith("spin: ")]
    if not told:
        raise CheckError(f"no story:\n{said}")
    return told


def _broken(story: list[str]) -> str | None:
    """The invariant, by the name that docs/protocol.md gives it."""
    for line in story:
        if line.startswith("broken: "):
            return line.removeprefix("broken: ").replace("_", "-")
    return "endless" if any("START OF CYCLE" in line for line in story) else None
