"""Ansible module for the controller: one file with everything that installs mwapp on a host.

The bundle is an executable zip: the wheel of a checkout's mwapp, the wheels of its dependencies, pip's own
wheel, and the installer. Its name carries the release: the version and a digest of all that goes into it. The
release is known before anything is built, so that check mode can tell what would happen.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: mwapp_bundle
short_description: Build the file that installs mwapp on a host, if it is not there yet
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
"""

RETURN = r"""
release: {description: Version and digest of what is in the bundle., type: str, returned: success}
bundle: {description: The file. In check mode it may not exist yet., type: str, returned: success}
"""

# A zip's idea of no date: equal input gives an equal file.
NO_DATE = (1980, 1, 1, 0, 0, 0)
# Bundles kept: the present one and those of a few other states of the checkout.
KEPT = 5


class BundleError(Exception):
    """The bundle cannot be made; the message says what to do."""


class Bundle:
    """The bundle of a checkout in its present state."""

    def __init__(self, checkout: Path, installer: Path, dest: Path) -> None:
        """Read what goes in.

        Raises:
            BundleError: a file is missing, or a dependency is not pinned.
        """
        self._checkout, self._installer, self._dest = checkout, installer, dest
        try:
            project = tomllib.loads((checkout / "pyproject.toml").read_text())["project"]
            self._pins = pins(
                (checkout / "requirements.txt").read_text(),
                ["pip", *project["dependencies"]],
            )
            self._constraints = (checkout / "constraints.txt").read_bytes()
            self._sources = self._read_sources()
            digest = self._digest()
        except OSError as problem:
            raise BundleError(f"{checkout} is no checkout of mwapp: {problem}") from None
        self.release = f"{project['version']}-{digest[:12]}"
        self.path = dest / f"mwapp-{self.release}.pyz"

    def _read_sources(self) -> dict[str, bytes]:
        files = [self._checkout / "pyproject.toml", *(self._checkout / "mwapp").rglob("*")]
        return {
            str(file.relative_to(self._checkout)): file.read_bytes()
            for file in sorted(files)
            if file.is_file() and "__pycache__" not in file.parts
        }

    def _digest(self) -> str:
        whole = hashlib.sha256()
        parts = self._sources | {
            "install.py": self._installer.read_bytes(),
            "pins": "\n".join(self._pins).encode(),
            "constraints": self._constraints,
        }
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
            wheel = self._build_wheel(Path(scratch))
            new = Path(scratch) / "bundle"
            # Stored, not deflated: wheels are compressed already.
            with new.open("wb") as file:
                file.write(b"#!/usr/bin/env python3\n")
                with zipfile.ZipFile(file, "w") as archive:
                    members = {"__main__.py": self._installer.read_bytes(), "RELEASE": self.release.encode()}
                    members |= {file.name: file.read_bytes() for file in [*sorted(wheels.iterdir()), wheel]}
                    for name, content in members.items():
                        archive.writestr(zipfile.ZipInfo(name, NO_DATE), content)
            new.chmod(0o644)
            new.replace(self.path)
        bundles = sorted(self._dest.glob("mwapp-*.pyz"), key=lambda file: file.stat().st_mtime)
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

    def _build_wheel(self, scratch: Path) -> Path:
        """Build in a copy, so that nothing is left in the checkout, nor anything else taken from it."""
        source = scratch / "source"
        for name, content in self._sources.items():
            file = source / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        _pip(
            ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(scratch), str(source)],
            "cannot build mwapp's wheel. The Python that runs Ansible needs setuptools as pinned in "
            "requirements.txt (`make setup` makes a .venv that has it)",
        )
        (wheel,) = scratch.glob("mwapp-*.whl")
        shutil.rmtree(source)
        return wheel


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


def main() -> None:
    """The module."""
    path = {"type": "path", "required": True}
    module = AnsibleModule({"checkout": path, "installer": path, "dest": path}, supports_check_mode=True)
    try:
        bundle = Bundle(*(Path(module.params[name]) for name in ("checkout", "installer", "dest")))
        changed = not bundle.path.exists()
        if changed and not module.check_mode:
            bundle.build()
    except BundleError as problem:
        module.fail_json(msg=str(problem))
    module.exit_json(changed=changed, release=bundle.release, bundle=str(bundle.path))


if __name__ == "__main__":
    main()
