"""The role mwapp: its modules."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).parents[2]
ROLE = PROJECT / "roles/mwapp"
INSTALLER = ROLE / "files/install.py"


def load(path: str) -> Any:
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROLE / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


bundle = load("library/mwapp_bundle.py")
service = load("library/mwapp_service.py")
install = load("files/install.py")


# ------------------------------------------------------------ scenarios


def test_every_scenario_has_tests() -> None:
    """Molecule calls it a success when the verifier finds none."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-qq", "-p", "no:cacheprovider", "."]
    done = subprocess.run(command, cwd=PROJECT / "molecule", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    scenarios = {found.parent.name for found in PROJECT.glob("molecule/*/molecule.yml")}
    assert set(re.findall(r"^molecule/([^/]+)/tests/", done.stdout, re.MULTILINE)) == scenarios


# ------------------------------------------------------------ preflight


def test_nodes_that_are_something_else_too_or_alone_are_refused(tmp_path: Path) -> None:
    inventory, playbook = tmp_path / "hosts.yml", tmp_path / "play.yml"
    inventory.write_text("""
zookeeper: {hosts: {zk1: }}
mwapp_nodes: {hosts: {mw1: {mwapp_labels: ["a b"], mwapp_keep: 5}}}
mwapp_workers: {hosts: {mw1: }}
""")
    playbook.write_text("""
- hosts: mwapp_nodes
  gather_facts: false
  tasks:
    - ansible.builtin.include_role: {name: mwapp, tasks_from: preflight}
""")
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", inventory, playbook],
        env=os.environ
        | {"ANSIBLE_CONFIG": str(PROJECT / "ansible.cfg"), "ANSIBLE_ROLES_PATH": str(ROLE.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    for problem in (
        "this host is in mwapp_nodes and in mwapp_workers, but a node is master and worker already",
        "group mwapp_nodes has only one host, mw1: the node that is the master runs no tasks",
        'mwapp_labels is ["a b"]: a label is',
        "mwapp_keep (5) 1000 to 20000 tasks",
    ):
        assert problem in done.stdout + done.stderr


# ------------------------------------------------------------ mwapp_bundle


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the least in it."""
    package = tmp_path / "checkout/mwapp"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package.parent / "pyproject.toml").write_text(
        '[project]\nname = "mwapp"\nversion = "1.2"\ndependencies = ["some-thing>=1"]\n'
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
    }.items():
        (checkout / file).write_text(text)
        named.append(release(checkout))
    assert len(set(named)) == len(named)


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


def test_no_way_to_the_package_index_is_said_plainly(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9/")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    wanted = bundle.Bundle(checkout, INSTALLER, checkout / "build")
    with pytest.raises(bundle.BundleError, match=r"needs PyPI, or the mirror named in pip.conf"):
        wanted.build()
    assert list((checkout / "build").iterdir()) == []


# ------------------------------------------------------------ install.py


def test_another_release_becomes_current_and_old_ones_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_pip(python: Path, wheels: Path) -> None:
        assert python.exists()
        assert (wheels / "RELEASE").exists()

    monkeypatch.setattr(install, "_pip_install", no_pip)
    root = tmp_path / "opt"
    for name in ("1", "2", "3", "1"):
        file = tmp_path / f"mwapp-{name}.pyz"
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("RELEASE", name)
        install.install(file, root)
        assert (root / "current" / f"{name}.installed").exists()
    assert len(list((root / "releases").iterdir())) == 1 + install.KEPT


def test_a_release_that_could_not_be_installed_takes_nobodys_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one before is still in use until its processes are restarted."""

    def no_pip(python: Path, _wheels: Path) -> None:
        if "2" in python.parts:
            raise install.InstallError("something is missing")

    monkeypatch.setattr(install, "_pip_install", no_pip)
    root = tmp_path / "opt"
    for name in ("1", "2", "3"):
        file = tmp_path / f"mwapp-{name}.pyz"
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("RELEASE", name)
        if name == "2":
            with pytest.raises(install.InstallError):
                install.install(file, root)
            assert (root / "current").readlink().name == "1"
        else:
            install.install(file, root)
    assert {release.name for release in (root / "releases").iterdir()} == {"1", "3"}


def test_the_rest_of_a_broken_installation_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "_pip_install", lambda *_: None)
    file, root = tmp_path / "mwapp-1.pyz", tmp_path / "opt"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("RELEASE", "1")
    rest = root / "releases/1/lib/half"
    rest.mkdir(parents=True)
    install.install(file, root)
    assert not rest.exists()


# ------------------------------------------------------------ mwapp_service


def test_the_revision_is_the_processs_own() -> None:
    environment = b"PATH=/bin\0MWAPP_REVISION=0123abcd\0X=MWAPP_REVISION=1\0"
    assert service.revision(environment) == "0123abcd"
    assert service.revision(b"PATH=/bin\0") == ""


def test_what_systemd_shows() -> None:
    shown = service.properties("LoadState=loaded\nResult=exit-code\n\nEnvironment=A=1\n")
    assert shown == {"LoadState": "loaded", "Result": "exit-code", "Environment": "A=1"}


class Systemd(service.Service):  # type: ignore[name-defined,misc] # loaded by its path
    """A service whose systemd is a list of what it is told."""

    def __init__(self, *observations: Any) -> None:
        super().__init__("mwapp-worker", "127.0.0.1", 1)
        self.observations = list(observations)
        self.told: list[str] = []

    def observe(self) -> Any:
        return self.observations.pop(0) if len(self.observations) > 1 else self.observations[0]

    def systemctl(self, *arguments: str) -> str:
        self.told.append(" ".join(arguments))
        return ""

    def journal(self) -> str:
        return "the journal"


def observed(**changes: Any) -> Any:
    as_it_should_be = {
        "exists": True,
        "enabled": True,
        "running": True,
        "revision": "new",
        "ready": True,
        "state": "ready",
        "reload": False,
        "problem": "",
    }
    return service.Observed(**as_it_should_be | changes)


def test_what_runs_the_wanted_revision_is_left_alone() -> None:
    systemd = Systemd(observed())
    systemd.make_ready("new", observed(), 1)
    assert systemd.told == []


def test_what_runs_something_else_is_restarted_and_waited_for() -> None:
    old = observed(revision="old", reload=True)
    systemd = Systemd(old, observed(ready=False, problem="starts"), observed())
    systemd.make_ready("new", old, 5)
    assert systemd.told == ["daemon-reload", "restart --no-block mwapp-worker.service"]
    assert systemd.observations == [observed()]


def test_what_does_not_get_ready_shows_its_journal() -> None:
    broken = observed(ready=False, problem="it does not run")
    with pytest.raises(service.ServiceError, match=r"it does not run(.|\n)*the journal"):
        Systemd(broken).make_ready("new", observed(revision="", running=False), 0)
