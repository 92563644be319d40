"""install.py: a release becomes the current one, whole or not at all. Its virtual environments are real."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.ansible_module import load

pytestmark = pytest.mark.processes

install = load(Path(__file__).parents[2] / "roles/mwapp/files/install.py")

# In place of pip: notes what it is told, in the environment it was told it in.
PIP = """
import sys
from pathlib import Path

def name(argument):
    return Path(argument).name if argument.startswith("/") else argument

with Path(sys.prefix, "pip.log").open("a") as file:
    print(*map(name, sys.argv[1:]), file=file)
if {fails!r} in sys.argv:
    sys.exit("some-thing 1.5 requires deep, which is not installed.")
"""


@pytest.fixture(autouse=True)
def umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "opt"


def bundle(path: Path, release: str, fails: str = "never") -> Path:
    """A bundle of this release; a command of pip that fails in it."""
    with zipfile.ZipFile(path / "pip.whl", "w") as wheel:
        wheel.writestr("pip/__main__.py", PIP.format(fails=fails))
    file = path / f"mwapp-{release}.pyz"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("RELEASE", release)
        archive.write(path / "pip.whl", "pip-26.3-py3-none-any.whl")
        for name in ("some_thing-1.5", "mwapp-1.2"):
            archive.writestr(f"{name}-py3-none-any.whl", "")
    return file


def current(root: Path) -> str:
    """The release in use. The link holds wherever the directory is mounted."""
    link = (root / "current").readlink()
    assert link.parts[:-1] == ("releases",)
    assert (root / "current" / f"{link.name}.installed").exists()
    return link.name


def releases(root: Path) -> set[str]:
    return {path.name for path in (root / "releases").iterdir()}


def test_a_release_is_installed_by_its_own_pip(tmp_path: Path, root: Path) -> None:
    install.install(bundle(tmp_path, "1"), root)
    assert current(root) == "1"
    options = "--no-index --no-deps --no-input --quiet --no-cache-dir"
    log = root / "current/pip.log"
    assert log.read_text().splitlines() == [
        f"install {options} mwapp-1.2-py3-none-any.whl some_thing-1.5-py3-none-any.whl",
        "check --disable-pip-version-check",
    ]
    (root / "current/here").touch()
    install.install(bundle(tmp_path, "1"), root)
    assert (root / "current/here").exists(), "what is whole is left alone"


def test_another_release_becomes_current_and_old_ones_go(tmp_path: Path, root: Path) -> None:
    """One stays, for processes that have not been restarted yet: the one that was in use."""
    (root / "releases").mkdir(parents=True)
    (root / "current.new").symlink_to("of a run that was cut short")
    for name, others in {"1": set(), "2": {"1"}, "3": {"2"}}.items():
        install.install(bundle(tmp_path, name), root)
        os.utime(root / "releases" / name, (0, int(name)))
        assert (current(root), releases(root)) == (name, {name} | others)
    install.install(bundle(tmp_path, "2"), root)
    assert (current(root), releases(root)) == ("2", {"2", "3"})
    assert not (root / "current.new").is_symlink()


@pytest.mark.parametrize("newer", ["1", "2"])
@pytest.mark.parametrize("in_use", ["1", "2"])
def test_of_the_others_that_stays_which_was_in_use(
    in_use: str, newer: str, tmp_path: Path, root: Path
) -> None:
    """Also if somebody had gone back to it."""
    for name in ("1", "2", in_use):
        install.install(bundle(tmp_path, name), root)
    for name in ("1", "2"):
        os.utime(root / "releases" / name, (0, 2 if name == newer else 1))
    for _ in range(2):
        install.install(bundle(tmp_path, "3"), root)
        assert releases(root) == {"3", in_use}


@pytest.mark.parametrize("newer", ["1", "2"])
def test_if_nobody_knows_which_was_in_use_the_newest_stays(newer: str, tmp_path: Path, root: Path) -> None:
    for name in ("1", "2"):
        install.install(bundle(tmp_path, name), root)
    for name in ("1", "2"):
        os.utime(root / "releases" / name, (0, 2 if name == newer else 1))
    (root / "current").unlink()
    install.install(bundle(tmp_path, "3"), root)
    assert releases(root) == {"3", newer}


@pytest.mark.parametrize("command", ["install", "check"])
def test_a_release_that_could_not_be_installed_takes_nobodys_place(
    command: str, tmp_path: Path, root: Path
) -> None:
    """The one before is still in use until its processes are restarted."""
    install.install(bundle(tmp_path, "1"), root)
    broken = bundle(tmp_path, "2", fails=command)
    for _ in range(2):
        with pytest.raises(install.InstallError, match=f"^pip {command} ended with exit status 1: some-th"):
            install.install(broken, root)
        assert current(root) == "1"
    install.install(bundle(tmp_path, "3"), root)
    assert releases(root) == {"1", "3"}
    with pytest.raises(install.InstallError):
        install.install(broken, root)
    install.install(bundle(tmp_path, "3"), root)
    assert releases(root) == {"1", "3"}, "and not what could not be installed"


def test_the_rest_of_a_broken_installation_is_replaced(tmp_path: Path, root: Path) -> None:
    rest = root / "releases/1/lib/half"
    rest.mkdir(parents=True)
    install.install(bundle(tmp_path, "1"), root)
    assert not rest.exists()
    assert current(root) == "1"


def test_a_release_whose_python_is_gone_is_installed_anew(tmp_path: Path, root: Path) -> None:
    """A new version of Debian brings python3.13 and removes python3.11; python3 is there before and after."""
    old, now = tmp_path / "python3.old", tmp_path / "python3"
    shutil.copy(Path(sys.executable).resolve(), old)
    now.symlink_to(old)
    file = bundle(tmp_path, "1")
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("__main__.py", Path(install.__file__).read_text())
    for _ in range(2):
        subprocess.run([now, file, root], check=True)
    assert len((root / "current/pip.log").read_text().splitlines()) == 2
    now.unlink()
    now.symlink_to(Path(sys.executable).resolve())
    old.unlink()
    assert not (root / "current/1.installed").exists(), "this is where the role looks"
    subprocess.run([now, file, root], check=True)
    assert current(root) == "1"
    subprocess.run([root / "current/bin/python", "-c", "import zipfile"], check=True)


# ------------------------------------------------------------ the command line


def main(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> str | None:
    """What it ends with, if not well."""
    monkeypatch.setattr(sys, "argv", ["mwapp-1.pyz", *map(str, arguments)][1 if arguments else 0 :])
    try:
        install.main()
    except SystemExit as end:
        return str(end.code)
    return None


def test_who_installs_may_have_any_umask(tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.umask(0o077)
    assert main(monkeypatch, bundle(tmp_path, "1"), root) is None
    for path in (root, root / "releases", root / "releases/1", root / "releases/1/bin"):
        assert path.stat().st_mode & 0o777 == 0o755


def test_what_cannot_be_is_told_in_one_line(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(monkeypatch) == "usage: python3 mwapp-RELEASE.pyz DIRECTORY"
    said = main(monkeypatch, tmp_path / "none.pyz", root)
    assert said
    assert said.startswith("cannot install mwapp: [Errno 2]")
    said = main(monkeypatch, bundle(tmp_path, "1", fails="check"), root)
    assert said == "cannot install mwapp: pip check ended with exit status 1: " + (
        "some-thing 1.5 requires deep, which is not installed."
    )


def test_an_old_python_is_told_what_is_needed(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
    said = main(monkeypatch, bundle(tmp_path, "1"), root)
    assert said == f"mwapp needs Python 3.11 or newer; {sys.executable} is 3.9"
    assert not root.exists()
