"""Distributions with handlers: built into the bundle, installed from it, found and run."""

import importlib.util
import json
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parents[2]
ROLE = PROJECT / "roles/mwapp"
# Wheels are downloaded once, for the role's own use too.
WHEELHOUSE = PROJECT / "build/wheelhouse"


def load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


bundle = load(PROJECT / "plugins/modules/mwapp_bundle.py")


@pytest.fixture
def example(tmp_path: Path) -> Path:
    compiled = shutil.ignore_patterns("__pycache__")  # as the unit tests leave it
    return Path(shutil.copytree(PROJECT / "examples/handlers", tmp_path / "example", ignore=compiled))


def make_bundle(*handlers: Path) -> Path:
    made = bundle.Bundle(PROJECT, ROLE / "files/install.py", WHEELHOUSE, list(map(str, handlers)))
    if not made.path.exists():
        made.build()
    path: Path = made.path
    return path


def install(made: Path, root: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, made, root], capture_output=True, text=True, check=False)


def test_handlers_of_the_bundle_are_found(tmp_path: Path) -> None:
    done = install(make_bundle(PROJECT / "examples/handlers"), tmp_path / "opt")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    mwapp = tmp_path / "opt/current/bin/mwapp"
    listed = subprocess.run(
        [mwapp, "handlers", "--output", "json"], capture_output=True, text=True, check=True
    )
    found = {it["handler"]: it for it in json.loads(listed.stdout)}
    assert set(found) == {"echo", "wordcount", "record"}
    assert found["wordcount"] == {
        "handler": "wordcount",
        "module": "example_handlers:wordcount",
        "distribution": "mwapp-example-handlers 1.0",
        "description": 'Count the lines, words and characters of {"text": ...}.',
        "problem": None,
    }
    # The daemon's way to them, with this installation's Python.
    program = (
        "import queue; from mwapp.core.messages import Run; from mwapp.core.task import Task\n"
        "from mwapp.execution.runner import Runner\n"
        "told = queue.SimpleQueue(); runner = Runner(told.put)\n"
        "token = dict.fromkeys(['MWAPP_TASK', 'MWAPP_WORKER'], 'x')\n"
        "token |= dict.fromkeys(['MWAPP_ATTEMPT', 'MWAPP_EPOCH', 'MWAPP_INCARNATION'], '1')\n"
        "runner.start(Run(1, Task(handler='wordcount', argument={'text': 'a b'}), token))\n"
        "print(told.get(timeout=60).result); runner.kill_all()\n"
    )
    python = tmp_path / "opt/current/bin/python"
    ran = subprocess.run([python, "-P", "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(ran.stdout) == {"lines": 1, "words": 2, "characters": 3}


def test_what_handlers_need_and_nobody_named_stops_the_installation(tmp_path: Path, example: Path) -> None:
    root = tmp_path / "opt"
    project = example / "pyproject.toml"
    project.write_text(project.read_text().replace("[project]", '[project]\ndependencies = ["absent>=3"]'))
    made = make_bundle(example)
    try:
        done = install(made, root)
    finally:
        made.unlink()
    assert done.returncode == 1
    assert done.stderr == (
        "cannot install mwapp: pip check ended with exit status 1: "
        "mwapp-example-handlers 1.0 requires absent, which is not installed.\n"
    )
    assert not (root / "current").exists()


def test_a_wheel_of_a_directory_and_of_a_source_distribution(tmp_path: Path, example: Path) -> None:
    built = bundle.Distribution(example).wheel(tmp_path / "1")
    assert built.name == "mwapp_example_handlers-1.0-py3-none-any.whl"
    archive = tmp_path / "example.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(example, "mwapp_example_handlers-1.0")
    assert bundle.Distribution(archive).wheel(tmp_path / "2").name == built.name
    assert bundle.Distribution(built).wheel(tmp_path / "3").read_bytes() == built.read_bytes()
    left = {file.name for file in example.iterdir()}
    assert left == {"pyproject.toml", "example_handlers.py"}, "nothing is left with the sources"
    with zipfile.ZipFile(built) as wheel:
        points = wheel.read("mwapp_example_handlers-1.0.dist-info/entry_points.txt").decode()
    assert "record = example_handlers:record" in points


def test_what_cannot_be_built_says_whose_it_is(tmp_path: Path, example: Path) -> None:
    (example / "pyproject.toml").write_text('[build-system]\nrequires = []\nbuild-backend = "absent"\n')
    with pytest.raises(bundle.BundleError, match=r"mwapp_handlers: cannot build a wheel of .*example"):
        bundle.Distribution(example).wheel(tmp_path / "scratch")
