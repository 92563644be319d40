"""Ansible module for the controller: one file with everything that installs mwapp on a host.

The bundle is an executable zip: the wheel of a checkout's mwapp, the wheels of its dependencies, those of
distributions with handlers, pip's own wheel, and the installer. Its name carries the release: the version
and a digest of all that goes into it. The release is known before anything is built, so that check mode can
tell what would happen.
"""

from __future__ import annotations

DOCUMENTATION = r"""
module: mwapp_bundle
short_description: Build the file that installs mwapp on a host, if it is not there yet
description:
  - Runs on the controller. Builds wheels of mwapp and of O(handlers), adds those of the dependencies and the
    installer, and makes one executable file of them.
  - Downloads the dependencies once for each set of pins. Needs PyPI, or the mirror that pip has in its
    configuration.
  - Builds nothing if O(dest) has the file already.
options:
  checkout:
    description: Directory with pyproject.toml, requirements.txt, constraints.txt and the package mwapp.
    type: path
    required: true
  installer:
    description: The Python file that installs the bundle it is in.
    type: path
    required: true
  dest:
    description: Directory for bundles and for downloaded wheels.
    type: path
    required: true
  handlers:
    description: >-
      Distributions to be installed beside mwapp. Each is a wheel, a source distribution (.tar.gz) or a
      directory with pyproject.toml; a relative path begins at the checkout.
    type: list
    elements: path
    default: []
author: zklab (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Build the bundle
  zklab.zookeeper.mwapp_bundle:
    checkout: /srv/zklab
    installer: /srv/zklab/roles/mwapp/files/install.py
    dest: /var/cache/mwapp
  delegate_to: localhost
  run_once: true
"""

RETURN = r"""
release: {description: Version and digest of what is in the bundle., type: str, returned: success}
bundle: {description: The file. In check mode it may not exist yet., type: str, returned: success}
"""

import hashlib
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

# A zip's idea of no date: equal input gives an equal file.
NO_DATE = (1980, 1, 1, 0, 0, 0)
# Bundles kept: the present one and those of a few other states of the checkout.
KEPT = 5


class BundleError(Exception):
    """The bundle cannot be made; the message says what to do."""


class Bundle:
    """The bundle of a checkout in its present state."""

    def __init__(self, checkout: Path, installer: Path, dest: Path, handlers: Sequence[str] = ()) -> None:
        """Read what goes in.

        Raises:
            BundleError: a file is missing, a dependency is not pinned, or a handler's distribution is none.
        """
        self._handlers = [Distribution(checkout / path) for path in handlers]
        self._checkout, self._installer, self._dest = checkout, installer, dest
        try:
            project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
            self._pins = pins(
                (checkout / "requirements.txt").read_text(),
                ["pip", *project["dependencies"]],
            )
            self._constraints = (checkout / "constraints.txt").read_bytes()
            self._mwapp = {"pyproject.toml": (checkout / "pyproject.toml").read_bytes()}
            self._mwapp |= {f"mwapp/{name}": data for name, data in read_tree(checkout / "mwapp").items()}
            digest = self._digest()
        except OSError as problem:
            raise BundleError(f"{checkout} is no checkout of mwapp: {problem}") from None
        self.release = f"{project['version']}-{digest[:12]}"
        self.path = dest / f"mwapp-{self.release}.pyz"

    def _digest(self) -> str:
        whole = hashlib.sha256()
        parts = self._mwapp | {
            "install.py": self._installer.read_bytes(),
            "pins": "\n".join(self._pins).encode(),
            "constraints": self._constraints,
        }
        for number, distribution in enumerate(self._handlers):
            parts |= {f"{number} {name}": content for name, content in distribution.files.items()}
        for name, content in parts.items():
            whole.update(f"{name} {len(content)}\n".encode() + content)
        return whole.hexdigest()

    def build(self) -> None:
        """Make the file. Needs PyPI, or the mirror pip is configured for, if the pins have changed.

        Raises:
            BundleError: pip failed.
        """
        wheels = self._download()
        with tempfile.TemporaryDirectory(dir=self._dest) as scratch:
            built = self._build_wheels(Path(scratch))
            new = Path(scratch) / "bundle"
            # Stored, not deflated: wheels are compressed already.
            with new.open("wb") as file:
                file.write(b"#!/usr/bin/env python3\n")
                with zipfile.ZipFile(file, "w") as archive:
                    members = {"__main__.py": self._installer.read_bytes(), "RELEASE": self.release.encode()}
                    members |= {
                        file.name: file.read_bytes() for file in one_of_each([*wheels.iterdir(), *built])
                    }
                    for name, content in members.items():
                        archive.writestr(zipfile.ZipInfo(name, NO_DATE), content)
            new.chmod(0o644)
            new.replace(self.path)
        bundles = sorted(self._dest.glob("mwapp-*.pyz"), key=_build_time)
        for old in bundles[:-KEPT]:
            old.unlink(missing_ok=True)

    def _download(self) -> Path:
        """Wheels of pip and the dependencies, downloaded once for these pins."""
        digest = hashlib.sha256("\n".join(self._pins).encode() + self._constraints).hexdigest()
        wheels = self._dest / f"wheels-{digest[:12]}"
        if wheels.is_dir():
            return wheels
        self._dest.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._dest) as scratch:
            # Pure Python only: the hosts' Python is not the controller's.
            pure = ["--only-binary=:all:", "--implementation=py", "--abi=none", "--platform=any"]
            constraint = f"--constraint={self._checkout / 'constraints.txt'}"
            _pip(
                ["download", *pure, constraint, "--dest", f"{scratch}/wheels", *self._pins],
                "cannot download what mwapp needs. This machine (not the hosts) needs PyPI, or the mirror "
                "named in pip.conf, whenever the pins in requirements.txt have changed",
            )
            try:
                Path(scratch, "wheels").rename(wheels)
            except OSError:  # another run was faster
                if not wheels.is_dir():
                    raise
        return wheels

    def _build_wheels(self, scratch: Path) -> list[Path]:
        """Of mwapp and of what has handlers."""
        trouble = (
            "cannot build mwapp's wheel. The Python that runs Ansible needs setuptools 77 or newer: install "
            "it there (in a checkout, `make setup` makes a .venv that has it)"
        )
        wheels = [build_wheel(self._mwapp, scratch / "mwapp", trouble)]
        for number, distribution in enumerate(self._handlers):
            wheels.append(distribution.wheel(scratch / str(number)))
        return wheels


class Distribution:
    """One of mwapp_handlers: a wheel, a source distribution, or a directory with pyproject.toml."""

    def __init__(self, path: Path) -> None:
        """Read it. Raises BundleError if there is none."""
        self._path = path
        try:
            if path.is_dir() and (path / "pyproject.toml").is_file():
                self.files = read_tree(path)
            elif path.is_file() and path.name.endswith((".whl", ".tar.gz")):
                self.files = {path.name: path.read_bytes()}
            elif path.exists():
                raise BundleError(
                    f"mwapp_handlers: {path} is no distribution: name a wheel (.whl), a source distribution "
                    "(.tar.gz) or a directory with pyproject.toml"
                )
            else:
                raise BundleError(f"mwapp_handlers: there is no {path} on this machine, where Ansible runs")
        except OSError as problem:
            raise BundleError(f"mwapp_handlers: cannot read {path}: {problem.strerror}") from None

    def wheel(self, scratch: Path) -> Path:
        """Its wheel, under ``scratch``, which is made. Raises BundleError if it cannot be built."""
        if self._path.suffix == ".whl":
            scratch.mkdir()
            wheel = scratch / self._path.name
            wheel.write_bytes(self.files[wheel.name])
            return wheel
        trouble = (
            f"mwapp_handlers: cannot build a wheel of {self._path}. What its pyproject.toml requires for "
            "building must be where Ansible runs; or build it elsewhere and name the wheel"
        )
        return build_wheel(self.files, scratch, trouble)


def read_tree(top: Path) -> dict[str, bytes]:
    """The files of a distribution, by their path: not what is hidden, nor what earlier builds left there."""

    def belongs(path: Path) -> bool:
        parts = path.relative_to(top).parts
        hidden = any(part.startswith(".") or part == "__pycache__" for part in parts)
        return not (hidden or parts[0] in ("build", "dist") or parts[0].endswith(".egg-info"))

    return {
        str(file.relative_to(top)): file.read_bytes()
        for file in sorted(top.rglob("*"))
        if belongs(file) and file.is_file()
    }


def build_wheel(files: dict[str, bytes], scratch: Path, trouble: str) -> Path:
    """Build in a copy, so that nothing is left with the sources. Raises BundleError, with ``trouble``."""
    source = scratch / "source"
    for name, content in files.items():
        file = source / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    what = next(source.glob("*.tar.gz"), source) if len(files) == 1 else source
    options = ["--no-deps", "--no-build-isolation", "--no-index"]
    _pip(["wheel", *options, "--wheel-dir", str(scratch), str(what)], trouble)
    (wheel,) = scratch.glob("*.whl")
    return wheel


def one_of_each(wheels: Sequence[Path]) -> list[Path]:
    """In the order of their names. Raises BundleError if a distribution is there twice."""
    found: dict[str, Path] = {}
    for wheel in sorted(wheels, key=lambda wheel: wheel.name):
        name = _name(wheel.name.partition("-")[0])
        if name in found:
            raise BundleError(
                f"mwapp_handlers: {found[name].name} and {wheel.name} are the same distribution, {name}: "
                "leave one out; what mwapp itself needs is there without being named"
            )
        found[name] = wheel
    return list(found.values())


def pins(requirements: str, dependencies: Sequence[str]) -> list[str]:
    """The lines ``name==version`` of requirements.txt for these dependencies.

    Raises:
        BundleError: one is not pinned there.
    """
    pinned = {_name(line): line.split("#")[0].strip() for line in requirements.splitlines() if "==" in line}
    missing = [_name(it) for it in dependencies if _name(it) not in pinned]
    if missing:
        raise BundleError(f"requirements.txt must pin {', '.join(missing)} (name==version): mwapp needs it")
    return sorted(pinned[_name(it)] for it in dependencies)


def _name(requirement: str) -> str:
    match = re.match(r"[\w.-]+", requirement)
    return re.sub(r"[-_.]+", "-", match[0]).lower() if match else ""


def _pip(arguments: list[str], trouble: str) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--no-input"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BundleError(f"{trouble}. {sys.executable} -m pip said:\n{done.stderr.strip()}")


def _build_time(bundle: Path) -> float:
    """When the bundle was built; 0 if another run has just removed it."""
    try:
        return bundle.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def main() -> None:
    """The module."""
    path = {"type": "path", "required": True}
    handlers = {"type": "list", "elements": "path", "default": []}
    module = AnsibleModule(
        {"checkout": path, "installer": path, "dest": path, "handlers": handlers}, supports_check_mode=True
    )
    try:
        checkout, installer, dest = (Path(module.params[name]) for name in ("checkout", "installer", "dest"))
        bundle = Bundle(checkout, installer, dest, module.params["handlers"])
        changed = not bundle.path.exists()
        if changed and not module.check_mode:
            bundle.build()
    except BundleError as problem:
        module.fail_json(msg=str(problem))
    module.exit_json(changed=changed, release=bundle.release, bundle=str(bundle.path))


if __name__ == "__main__":
    main()
