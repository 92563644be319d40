"""Install mwapp from the bundle this file is the ``__main__`` of: python3 mwapp-RELEASE.pyz DIRECTORY

Makes DIRECTORY/releases/RELEASE, a virtual environment of its own for each release, so that versions never
mix, then lets DIRECTORY/current point to it. Needs Python with its standard library, and no network: the
bundle holds the wheels, and pip runs from its own.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

OLDEST_PYTHON = (3, 11)
# Beside the release in use, so many stay for a process that has not been restarted yet, or a way back.
KEPT = 1


class InstallError(Exception):
    """The release cannot be installed."""


def install(bundle: Path, root: Path) -> None:
    """Install the bundle under ``root`` and make it the current release.

    Raises:
        OSError: the directory cannot be written.
        InstallError: pip failed; the message says why.
    """
    with zipfile.ZipFile(bundle) as archive:
        release = archive.read("RELEASE").decode()
        home = root / "releases" / release
        mark = _mark(home)
        if not mark.exists():
            # What is here without the mark is the rest of an interrupted run.
            shutil.rmtree(home, ignore_errors=True)
            _make_venv(home)
            with tempfile.TemporaryDirectory() as wheels:
                archive.extractall(wheels)
                _pip_install(home / "bin" / "python", Path(wheels))
            mark.symlink_to("bin/python")
    link, new = root / "current", root / "current.new"
    before = link.resolve()
    new.unlink(missing_ok=True)
    new.symlink_to(home.relative_to(root))
    new.replace(link)
    _remove_old(home, before)


def _mark(home: Path) -> Path:
    """Is there when the release is whole, and its interpreter too, which a new version of Debian replaces."""
    return home / f"{home.name}.installed"


def _make_venv(home: Path) -> None:
    """For python3.11, say, and not for python3: modules installed for the one are not there for the next."""
    _run([Path(sys.executable).resolve(), "-m", "venv", "--symlinks", "--without-pip", home])


def _pip_install(python: Path, wheels: Path) -> None:
    (pip,) = wheels.glob("pip-*.whl")
    packages = sorted(wheel for wheel in wheels.glob("*.whl") if wheel != pip)
    options = ["--no-index", "--no-deps", "--no-input", "--quiet", "--no-cache-dir"]
    _run([python, "-I", pip / "pip", "install", *options, *packages])
    # All of them together: a distribution with handlers may need others, which nobody has named.
    _run([python, "-I", pip / "pip", "check", "--disable-pip-version-check"])


def _run(command: Sequence[str | Path]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        what = f"{Path(command[2]).name} {command[3]}"
        raise InstallError(f"{what} ended with exit status {done.returncode}: {done.stdout.strip()}")


def _remove_old(current: Path, before: Path) -> None:
    """Keep the release that was in use ``before``, so that a process not yet restarted still finds its files;
    if that is the current one, the newest of the others."""
    others = [release for release in current.parent.iterdir() if release != current]
    # What could not be installed has not served anybody, however new it is.
    others.sort(key=lambda it: (it.name == before.name, _mark(it).exists(), it.stat().st_mtime), reverse=True)
    for release in others[KEPT:]:
        shutil.rmtree(release, ignore_errors=True)


def main() -> None:
    """The command line."""
    if len(sys.argv) != 2:
        sys.exit("usage: python3 mwapp-RELEASE.pyz DIRECTORY")
    if sys.version_info < OLDEST_PYTHON:
        have, need = ".".join(map(str, sys.version_info[:2])), ".".join(map(str, OLDEST_PYTHON))
        sys.exit(f"mwapp needs Python {need} or newer; {sys.executable} is {have}")
    os.umask(0o022)  # whoever installs: the service users read this
    try:
        install(Path(sys.argv[0]), Path(sys.argv[1]))
    except (OSError, InstallError) as problem:
        sys.exit(f"cannot install mwapp: {problem}")


if __name__ == "__main__":
    main()
