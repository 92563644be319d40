"""The same, compiled to C by mypyc: half the time for each schedule, and a minute more the first time.

    python -m tests.simulation.compiled --seeds 100000
    python -m tests.simulation.compiled --shards --seeds 100000

Core and simulation are compiled as they are now; the result stays below build/ until they change. A few
schedules must have the same history in both forms. Without a C compiler it is interpreted. With one, what
cannot be compiled is an error: else nobody would see that far fewer schedules are run.
"""

import ast
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
# By the name of the module that runs schedules: what is compiled for it, and the names of the libraries.
PACKAGES = {"tests.simulation": {"mwapp/core": "core", "tests/simulation": "simulation"}}
PACKAGES["tests.simulation.shards"] = PACKAGES["tests.simulation"] | {
    "mwapp/core/shards": "core_shards",
    "tests/simulation/shards": "simulation_shards",
}
COMPARED = 30  # schedules
AROUND = ("compiled", "covered", "many")  # these run schedules, and are not run by them


class NoCompilerError(Exception):
    """What is not there that compiling needs."""


def main() -> None:
    """Runs ``python -m tests.simulation``, compiled; with ``--shards`` that of shards. Raises SystemExit as
    :func:`built` does."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--shards"]
    module = "tests.simulation" + ".shards" * ("--shards" in sys.argv)
    try:
        where = built(module)
    except NoCompilerError as why:
        print(f"interpreted, at half the speed: {why}", file=sys.stderr, flush=True)
        where = ROOT
    os.chdir(where)  # there the modules are found first
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606 - no shell


def built(module: str) -> Path:
    """The directory to run that module from. Raises NoCompilerError; SystemExit if it cannot be compiled, or
    if that is not the same."""
    compiler, headers = sysconfig.get_config_var("CC").split()[0], sysconfig.get_path("include")
    if shutil.which(compiler) is None or not Path(headers, "Python.h").exists():
        raise NoCompilerError(f"there is no {compiler} or no {headers}/Python.h")
    sources = [path for package in PACKAGES[module] for path in sorted((ROOT / package).glob("*.py"))]
    name = hashlib.sha256(sys.version.encode())
    for path in sources:
        name.update(path.read_bytes())
    where = BUILD / module / name.hexdigest()[:16]
    if not (where / "compared").exists():
        shutil.rmtree(where.parent, ignore_errors=True)  # what was built before
        print("compiling the core and the simulation", file=sys.stderr, flush=True)
        for path in [*sources, ROOT / "mwapp/__init__.py", ROOT / "tests/__init__.py"]:
            copy = where / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(_compilable(path.read_text()))
        _in(where, f"from tests.simulation.compiled import build_here; build_here({module!r})")
        tell = f"from {module}.run import *; print(*map(history, range({COMPARED})))"
        if _in(where, tell) != _in(ROOT, tell):
            sys.exit(f"compiled, a schedule goes another way than interpreted: {where}")
        (where / "compared").touch()
    return where


def _compilable(source: str) -> str:
    """A module as it is compiled: mypyc knows no dataclass by another name, and leaves the ``__init__`` of a
    dataclass to the interpreter, which makes thousands of them in each schedule. A message is part of no
    cycle, so the search for garbage need not know it."""
    lines = re.sub(r"^@dataclass_transform.*\n", "", source, flags=re.MULTILINE).splitlines()
    body = ast.parse("\n".join(lines)).body
    for kind in reversed([node for node in body if isinstance(node, ast.ClassDef)]):
        decorator = ast.unparse(kind.decorator_list[0]) if kind.decorator_list else ""
        if decorator.startswith(("message", "dataclass(")):
            options, init = _spelt_out(kind, decorator)
            lines[kind.end_lineno : kind.end_lineno] = init
            native = "@mypyc_attr(acyclic=True, free_list_len=1)\n" if decorator == "message" else ""
            lines[kind.decorator_list[0].lineno - 1] = f"{native}@dataclass({options})"
    imports = [node.lineno - 1 for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    first = min(imports, default=len(lines))
    return "\n".join([*lines[:first], "from mypy_extensions import mypyc_attr", *lines[first:]])


def _spelt_out(kind: ast.ClassDef, decorator: str) -> tuple[str, list[str]]:
    """What to tell ``dataclass``, and the ``__init__`` it need not make."""
    options = "slots=True, unsafe_hash=True"
    if decorator != "message":
        options = decorator.removeprefix("dataclass")[1:-1].replace("frozen=True", "unsafe_hash=True")
    fields = [line for line in kind.body if isinstance(line, ast.AnnAssign)]
    init = ["        pass"]
    arguments = []
    for field in fields:
        name, value = ast.unparse(field.target), ast.unparse(field.target)
        if isinstance(field.value, ast.Call):
            made = next(
                (ast.unparse(k.value) for k in field.value.keywords if k.arg == "default_factory"), ""
            )
            if not made:
                return options, []
            value = f"({made})() if {name} is None else {name}"
            arguments.append(f"{name}: {ast.unparse(field.annotation)} | None = None")
        else:
            arguments.append(ast.unparse(field))
        init.append(f"        self.{name} = {value}")
    return f"{options}, init=False", [f"    def __init__(self, {', '.join(arguments)}) -> None:", *init]


def build_here(module: str) -> None:
    """Compile what the module needs, below the working directory, each package by a process of its own."""
    groups: list[tuple[list[str], str | None]] = [
        (sorted(str(path) for path in Path(package).glob("[a-z]*.py") if path.stem not in AROUND), name)
        for package, name in PACKAGES[module].items()
    ]
    extensions = mypycify(
        [path for paths, _ in groups for path in paths], opt_level="2", debug_level="0", separate=groups
    )
    setup(name="simulation", script_args=["build_ext", "--inplace", "--parallel=2"], ext_modules=extensions)


def _in(where: Path, program: str) -> str:
    """What a program prints there. Raises SystemExit if it fails."""
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=where, capture_output=True, text=True, check=False
    )
    if ran.returncode:
        last = "\n".join((ran.stdout + ran.stderr).splitlines()[-30:])
        sys.exit(f"{program} ended with {ran.returncode} in {where}: {last}")
    return ran.stdout


if __name__ == "__main__":
    main()
