"""The module mwapp_bundle: what a release is named by, and the file that installs it."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.unit.ansible_module import load, run

PROJECT = Path(__file__).parents[2]
INSTALLER = PROJECT / "roles/mwapp/files/install.py"

bundle = load(PROJECT / "plugins/modules/mwapp_bundle.py")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the least in it."""
    package = tmp_path / "checkout/mwapp"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package.parent / "pyproject.toml").write_text(
        '[project]\nname = "mwapp"\nversion = "1.2"\ndependencies = ["some-thing>=1"]\n'
        '[tool.setuptools]\npackages = ["mwapp"]\n'
    )
    (package.parent / "requirements.txt").write_text("pip==26.3 # why\nSome_Thing==1.5\nother==2\n")
    (package.parent / "constraints.txt").write_text("")
    return package.parent


def release(checkout: Path) -> str:
    return str(bundle.Bundle(checkout, INSTALLER, checkout / "build").release)


def test_a_release_is_named_by_all_that_is_in_it(checkout: Path) -> None:
    first = release(checkout)
    assert first.startswith("1.2-")
    assert release(checkout) == first
    (checkout / "README.md").write_text("of no concern to hosts")
    (checkout / "requirements.txt").write_text("pip==26.3\nsome-thing==1.5\nother==3\n")
    named = [release(checkout)]
    for file, text in {
        "mwapp/new.py": "",
        "mwapp/__init__.py": "1",
        "requirements.txt": "pip==26.3\nsome-thing==1.6",
        "constraints.txt": "deep==1",
        "pyproject.toml": (checkout / "pyproject.toml").read_text() + "[project.scripts]\n",
    }.items():
        (checkout / file).write_text(text)
        named.append(release(checkout))
    (checkout / "another.py").write_text("")
    named.append(bundle.Bundle(checkout, checkout / "another.py", checkout / "build").release)
    assert len(set(named)) == len(named)


def test_what_builds_and_tools_left_there_is_no_part_of_it(checkout: Path) -> None:
    first = release(checkout)
    left = ("__pycache__/a.pyc", ".cache/x", "sub/__pycache__/a.pyc", "build/x", "dist/x", "mwapp.egg-info/x")
    for name in left:
        (checkout / "mwapp" / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / "mwapp" / name).write_text("left")
    assert release(checkout) == first
    (checkout / "mwapp/sub/build").mkdir()
    (checkout / "mwapp/sub/build/x.py").write_text("a package may be called that")
    assert release(checkout) != first


def test_a_dependency_must_be_pinned(checkout: Path) -> None:
    (checkout / "requirements.txt").write_text("pip==26.3\nsome-thing>=1\n")
    with pytest.raises(bundle.BundleError, match=r"requirements.txt must pin some-thing"):
        release(checkout)


def test_pins_of_dependencies_alone() -> None:
    requirements = "Some_Thing==1.5 # why\nother==2\n"
    assert bundle.pins(requirements, ["some-thing>=1,<2"]) == ["Some_Thing==1.5"]


def handlers(checkout: Path, *paths: str) -> Any:
    return bundle.Bundle(checkout, INSTALLER, checkout / "build", paths)


@pytest.fixture
def example(checkout: Path) -> str:
    """A distribution with handlers, beside the checkout; its path as the variable may name it."""
    shutil.copytree(PROJECT / "examples/handlers", checkout.parent / "example")
    return "../example"


def test_a_release_is_named_by_its_handlers_too(checkout: Path, example: str) -> None:
    without, first = release(checkout), handlers(checkout, example).release
    assert first != without
    directory = checkout.parent / "example"
    (directory / "build").mkdir()
    (directory / "build/left").write_text("by an earlier build")
    assert handlers(checkout, str(directory)).release == first, "wherever it is"
    (directory / "example_handlers.py").write_text("")
    assert handlers(checkout, example).release != first


@pytest.mark.parametrize(
    ("path", "trouble"),
    [
        ("../missing", r"mwapp_handlers: there is no .*missing on this machine"),
        ("../missing-1.0-py3-none-any.whl", r"mwapp_handlers: there is no .*\.whl on this machine"),
        ("..", r"mwapp_handlers: .* is no distribution: name a wheel \(\.whl\), a source distribution"),
        ("pyproject.toml", r"mwapp_handlers: .*pyproject\.toml is no distribution"),
    ],
)
def test_what_is_no_distribution_is_refused(checkout: Path, path: str, trouble: str) -> None:
    with pytest.raises(bundle.BundleError, match=trouble):
        handlers(checkout, path)


def test_a_distribution_is_there_once() -> None:
    wheels = [Path(f"{name}-py3-none-any.whl") for name in ("click-8.1", "a_b-1", "A.B-2")]
    with pytest.raises(bundle.BundleError, match=r"mwapp_handlers: A.B-2-.* and a_b-1-.* are the same"):
        bundle.one_of_each(wheels)
    assert bundle.one_of_each(wheels[:2]) == [wheels[1], wheels[0]]


# ------------------------------------------------------------ as a module


def wheel(path: Path, requires: str = "") -> Path:
    """The least that pip takes for a wheel."""
    name, version, tag = path.stem.split("-", 2)
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += f"Requires-Dist: {requires}\n" if requires else ""
    about = f"Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: {tag}\n"
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in {"METADATA": metadata, "WHEEL": about, "RECORD": ""}.items():
            archive.writestr(f"{name}-{version}.dist-info/{file}", text)
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All that pip finds; among it what is newer, or for this machine alone."""
    links = tmp_path / "links"
    platform = sysconfig.get_platform().replace("-", "_")
    here = f"cp{sys.version_info.major}{sys.version_info.minor}"
    wheel(links / "pip-26.3-py3-none-any.whl")
    wheel(links / "some_thing-1.5-py3-none-any.whl", "deep")
    wheel(links / f"some_thing-1.5-{here}-{here}-{platform}.whl", "deep")
    wheel(links / "some_thing-1.6-py3-none-any.whl", "deep")
    wheel(links / "deep-1-py3-none-any.whl")
    wheel(links / "deep-2-py3-none-any.whl")
    for variable in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    return links


def make(checkout: Path, *, check: bool = False, **other: Any) -> dict[str, Any]:
    arguments = {"checkout": str(checkout), "installer": str(INSTALLER), "dest": str(checkout / "build")}
    return run(bundle, arguments | other, check=check)


@pytest.mark.processes
def test_a_bundle_is_built_once(checkout: Path, index: Path) -> None:
    (checkout / "constraints.txt").write_text("deep==1\n")
    mine = wheel(checkout.parent / "mine-3-py3-none-any.whl")
    built = checkout / "build"
    first = make(checkout, handlers=["../mine-3-py3-none-any.whl"], check=True)
    assert (first["changed"], built.exists()) == (True, False)
    for age in range(6):  # of other states of the checkout
        built.mkdir(exist_ok=True)
        (built / f"mwapp-{age}.pyz").touch()
        os.utime(built / f"mwapp-{age}.pyz", (0, 1000 - age))

    umask = os.umask(0o077)  # of a careful user
    try:
        answer = make(checkout, handlers=["../mine-3-py3-none-any.whl"])
    finally:
        os.umask(umask)
    assert answer == first | {"invocation": answer["invocation"]}
    file = Path(answer["bundle"])
    assert file.name == f"mwapp-{answer['release']}.pyz"
    assert file.read_bytes().startswith(b"#!/usr/bin/env python3\nPK")
    assert file.stat().st_mode & 0o777 == 0o644
    with zipfile.ZipFile(file) as archive:
        assert archive.namelist() == [
            "__main__.py",
            "RELEASE",
            "deep-1-py3-none-any.whl",
            mine.name,
            "mwapp-1.2-py3-none-any.whl",
            "pip-26.3-py3-none-any.whl",
            "some_thing-1.5-py3-none-any.whl",
        ]
        assert archive.read("RELEASE").decode() == answer["release"]
        assert archive.read("__main__.py") == INSTALLER.read_bytes()
        assert archive.read(mine.name) == mine.read_bytes()
        with archive.open("mwapp-1.2-py3-none-any.whl") as it, zipfile.ZipFile(it) as inner:
            assert "mwapp/__init__.py" in inner.namelist()
    bundles = {path.name for path in built.glob("*.pyz")}
    assert bundles == {file.name, *(f"mwapp-{age}.pyz" for age in range(4))}, "the newest five"
    others = [path for path in built.iterdir() if path.suffix != ".pyz"]
    assert [path.name.partition("-")[0] for path in others] == ["wheels"], "and nothing else is left there"
    assert sorted(path.name for path in checkout.iterdir()) == [
        "build",
        "constraints.txt",
        "mwapp",
        "pyproject.toml",
        "requirements.txt",
    ]

    shutil.rmtree(index)  # from now on there is no way to any index
    before = file.stat().st_ino
    assert not make(checkout, handlers=["../mine-3-py3-none-any.whl"])["changed"]
    assert file.stat().st_ino == before
    (checkout / "mwapp/new.py").write_text("")
    pins = bundle.Bundle(checkout, INSTALLER, built)
    assert pins._download() == others[0], "what mwapp needs is downloaded once"
    for name in ("requirements.txt", "constraints.txt"):
        text = (checkout / name).read_text()
        (checkout / name).write_text(text.replace("1", "7"))
        with pytest.raises(bundle.BundleError, match=r"needs PyPI, or the mirror named in pip.conf"):
            bundle.Bundle(checkout, INSTALLER, built)._download()
        (checkout / name).write_text(text)
    assert sorted(built.iterdir()) == sorted([*others, *built.glob("*.pyz")])


def test_a_bundle_that_another_run_removes_just_then_is_gone(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was listed a moment before, as a link to nothing is."""
    monkeypatch.setattr(bundle.Bundle, "_download", lambda _: checkout / "mwapp")
    monkeypatch.setattr(bundle.Bundle, "_build_wheels", lambda *_: [])
    built = checkout / "build"
    built.mkdir()
    (built / "mwapp-x.pyz").symlink_to("removed")
    for age in range(4):
        (built / f"mwapp-{age}.pyz").touch()
    made = bundle.Bundle(checkout, INSTALLER, built)
    made.build()
    assert set(built.glob("*.pyz")) == {made.path, *(built / f"mwapp-{age}.pyz" for age in range(4))}


@pytest.mark.processes
@pytest.mark.usefixtures("index")
def test_where_bundles_are_kept_there_need_be_nothing_yet(checkout: Path) -> None:
    assert bundle.Bundle(checkout, INSTALLER, checkout / "not/yet/there")._download().is_dir()


@pytest.mark.processes
def test_a_wheel_is_built_of_a_source_distribution(checkout: Path, example: str) -> None:
    with tarfile.open(checkout / "example-1.tar.gz", "w:gz") as archive:
        archive.add(checkout / example, "example-1")
    scratch = checkout.parent / "scratch"
    built = handlers(checkout, "example-1.tar.gz")._handlers[0].wheel(scratch)
    with zipfile.ZipFile(built) as archive:
        assert "example_handlers.py" in archive.namelist()


@pytest.mark.processes
def test_what_cannot_be_built_is_told(checkout: Path) -> None:
    (checkout / "mine.tar.gz").write_text("no archive")
    with pytest.raises(bundle.BundleError, match=r"mwapp_handlers: cannot build a wheel of .*/mine.tar.gz"):
        handlers(checkout, "mine.tar.gz")._handlers[0].wheel(checkout.parent / "scratch")


@pytest.mark.parametrize("check", [False, True])
def test_what_is_no_checkout_is_told(check: bool, checkout: Path) -> None:
    (checkout / "constraints.txt").unlink()
    answer = make(checkout, check=check)
    assert answer["failed"]
    assert f"{checkout} is no checkout of mwapp: " in answer["msg"]
    assert "constraints.txt" in answer["msg"]
