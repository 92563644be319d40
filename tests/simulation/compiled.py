"""The same, compiled to C by mypyc: half the time for each schedule, and a minute more the first time.

    python -m tests.simulation.compiled --seeds 100000

Core and simulation are compiled as they are now; the result stays below build/ until they change. A few
schedules must have the same history in both forms. What cannot be compiled (there is no C compiler, say) is
interpreted.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from mypyc.build import mypycify
from setuptools import setup

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "build" / "simulation"
PACKAGES = ("mwapp/core", "tests/simulation")
COMPARED = 30  # schedules


class CannotBuildError(Exception):
    """The message is what the compiler said."""


def main() -> None:
    """Runs ``python -m tests.simulation`` in its place, compiled if that can be."""
    where = ROOT
    try:
        where = built() if _compiler() else ROOT
    except CannotBuildError as problem:
        print(f"interpreted, at half the speed, for it cannot be compiled:\n{problem}", file=sys.stderr)
    os.chdir(where)  # there the modules are found first
    os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])  # noqa: S606


def _compiler() -> bool:
    """Whether there is what it takes; if not, says so."""
    compiler, headers = sysconfig.get_config_var("CC").split()[0], sysconfig.get_path("include")
    there = shutil.which(compiler) is not None and Path(headers, "Python.h").exists()
    if not there:
        print(f"interpreted, at half the speed: no {compiler} or no {headers}/Python.h", file=sys.stderr)
    return there


def built() -> Path:
    """The directory to run it from.

    Raises:
        CannotBuildError: it cannot be compiled.
        SystemExit: compiled, it does something else.
    """
    sources = [path for package in PACKAGES for path in sorted((ROOT / package).glob("*.py"))]
    name = hashlib.sha256(sys.version.encode())
    for path in sources:
        name.update(path.read_bytes())
    where = BUILD / name.hexdigest()[:16]
    if not (where / "compared").exists():
        shutil.rmtree(BUILD, ignore_errors=True)  # what was built before
        print("compiling the core and the simulation", file=sys.stderr, flush=True)
        for path in [*sources, ROOT / "mwapp/__init__.py", ROOT / "tests/__init__.py"]:
            copy = where / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(_compilable(path.read_text()))
        _in(where, "from tests.simulation.compiled import build_here; build_here()")
        tell = f"from tests.simulation.run import *; print(*map(history, range({COMPARED})))"
        if _in(where, tell) != _in(ROOT, tell):
            sys.exit(f"compiled, a schedule goes another way than interpreted: {where}")
        (where / "compared").touch()
    return where


def _compilable(source: str) -> str:
    """mypyc knows a dataclass, and not what is one by another name."""
    source = re.sub(r"^@dataclass_transform.*\n", "", source, flags=re.MULTILINE)
    return re.sub(r"^@message$", "@dataclass(slots=True, unsafe_hash=True)", source, flags=re.MULTILINE)


def build_here() -> None:
    """Compile the modules below the working directory, each package by a process of its own."""
    groups: list[tuple[list[str], str | None]] = [
        (sorted(str(path) for path in Path(package).glob("[a-z]*.py") if path.stem != "compiled"), name)
        for package, name in zip(PACKAGES, ("core", "simulation"), strict=True)
    ]
    extensions = mypycify(
        [path for paths, _ in groups for path in paths], opt_level="2", debug_level="0", separate=groups
    )
    setup(name="simulation", script_args=["build_ext", "--inplace", "--parallel=2"], ext_modules=extensions)


def _in(where: Path, program: str) -> str:
    """What a program prints there. Raises CannotBuildError if it fails."""
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=where, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise CannotBuildError("\n".join((ran.stdout + ran.stderr).splitlines()[-30:]))
    return ran.stdout


if __name__ == "__main__":
    main()
