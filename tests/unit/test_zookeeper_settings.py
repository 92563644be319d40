"""The table of settings: what follows from a line of it, and that no other edit can be forgotten."""

from __future__ import annotations

import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.zookeeper_role import PROJECT, ROLE, load, load_file

settings = load("zookeeper_settings")
lookup = load_file("lookup/zookeeper_settings.py")

DEFAULTS: dict[str, Any] = yaml.safe_load((ROLE / "defaults/main.yml").read_text())


@pytest.mark.parametrize(
    ("part", "changed", "line", "there"),
    [
        ("ticks", {"zookeeper_tick_time": "2500"}, "tickTime=2500", True),  # -e gives every value as text
        ("ticks", {"zookeeper_min_session_timeout": 4000}, "minSessionTimeout=4000", True),
        ("ticks", {"zookeeper_min_session_timeout": 0}, "minSessionTimeout=0", False),
        ("ticks", {"zookeeper_min_session_timeout": "0"}, "minSessionTimeout=0", False),
        ("clients", {"zookeeper_client_address": ""}, "clientPortAddress=", False),
        ("clients", {"zookeeper_client_address": "::1"}, "clientPortAddress=::1", True),
        ("clients", {"zookeeper_max_connections": 0}, "maxCnxns=0", True),
        (
            "commands",
            {"zookeeper_4lw_whitelist": ["srvr", "mntr"]},
            "4lw.commands.whitelist=srvr, mntr",
            True,
        ),
        ("commands", {"zookeeper_4lw_whitelist": "srvr,mntr"}, "4lw.commands.whitelist=srvr, mntr", True),
        ("commands", {"zookeeper_admin_server": "Yes"}, "admin.enableServer=true", True),
        ("commands", {"zookeeper_admin_server": "no"}, "admin.enableServer=false", True),
    ],
)
def test_lines(part: str, changed: dict[str, object], line: str, there: bool) -> None:
    assert (line in settings.lines(part, DEFAULTS | changed)) is there


@pytest.mark.parametrize(
    ("kind", "argument"),
    [("int", {"type": "int"}), ("path", {"type": "str"}), ("list", {"type": "list", "elements": "str"})],
)
def test_a_setting_as_an_argument_of_preflight(kind: str, argument: dict[str, str]) -> None:
    assert settings.argument(settings.Setting("x", type=kind)) == argument | {"required": True}


@pytest.mark.parametrize("kind", ["client", "tls", "quorum", "election"])
def test_ports_are_those_of_the_defaults(kind: str) -> None:
    assert getattr(settings, f"{kind.upper()}_PORT") == DEFAULTS[f"zookeeper_{kind}_port"]


def test_variables_are_those_of_the_defaults_each_once() -> None:
    variables = [setting.variable for setting in settings.SETTINGS]
    assert len(set(variables)) == len(variables)
    assert set(variables) < DEFAULTS.keys()


def test_keys_that_have_a_variable_are_refused_elsewhere() -> None:
    for setting in settings.SETTINGS:
        if setting.key:
            said = load("zookeeper_zoo_cfg").setting_problem(setting.key, 1)
            assert said == f"zookeeper_config sets {setting.key}: set {setting.variable} instead."


def test_values_below_the_least_are_refused() -> None:
    for setting in settings.SETTINGS:
        if setting.least is not None:
            said = load("zookeeper_rules").setting_problems(DEFAULTS | {setting.variable: setting.least - 1})
            assert f"{setting.variable} is {setting.least - 1}: use {setting.least} or more." in said


def test_the_lookup_gives_every_variable_as_it_is_for_the_host() -> None:
    class Templar:
        @staticmethod
        def template(value: object) -> object:
            return ["templated", value]

    variables = DEFAULTS | {"zookeeper_tick_time": "{{ 1 }}", "zookeeper_of_another": 1}
    (values,) = lookup.LookupModule(templar=Templar()).run([], variables)
    assert values["zookeeper_tick_time"] == ["templated", "{{ 1 }}"]
    assert set(values) == {setting.variable for setting in settings.SETTINGS}


# ------------------------------------------------------------ a new setting

TABLE = "plugins/module_utils/zookeeper_settings.py"
SPECIFICATION, DEFAULT = "roles/zookeeper/meta/argument_specs.yml", "roles/zookeeper/defaults/main.yml"
# For each file what is put in, and before which text.
EDITS = {
    TABLE: ('        Setting("zookeeper_foo", "foo", least=3),\n', '        Setting("zookeeper_init_limit"'),
    SPECIFICATION: (
        "      zookeeper_foo:\n        description: What foo is.\n        type: int\n        default: 7\n",
        "      zookeeper_init_limit:\n",
    ),
    DEFAULT: ("zookeeper_foo: 7\n", "zookeeper_init_limit:"),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Of what a setting of the role concerns."""
    for directory in ("plugins", "roles/zookeeper", "scripts"):
        shutil.copytree(PROJECT / directory, tmp_path / directory, symlinks=True)
    return tmp_path


def edit(copy: Path, *files: str) -> None:
    for file in files:
        new, before = EDITS[file]
        text = (copy / file).read_text()
        assert text.count(before) == 1
        (copy / file).write_text(text.replace(before, new + before))


def role_docs(copy: Path, *arguments: str) -> str:
    """What it complains of; no more than that, nor less, makes it fail."""
    command = [sys.executable, "scripts/role_docs.py", *arguments]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == bool(done.stderr)
    return done.stderr


@pytest.mark.processes
@pytest.mark.parametrize(
    ("missing", "said"),
    [
        (TABLE, "zookeeper_foo is in meta/argument_specs.yml, but nothing uses it"),
        (SPECIFICATION, "zookeeper_foo is in zookeeper_settings.py: describe it in meta/argument_specs.yml"),
        (DEFAULT, "zookeeper_foo has a default in meta/argument_specs.yml: write it to defaults/main.yml"),
    ],
)
def test_an_edit_that_is_missing_is_named(copy: Path, missing: str, said: str) -> None:
    edit(copy, *(file for file in EDITS if file != missing))
    assert said in role_docs(copy, "--check")


@pytest.mark.processes
def test_three_edits_are_enough(copy: Path) -> None:
    edit(copy, *EDITS)
    assert "README.md is older" in role_docs(copy, "--check")
    assert role_docs(copy) == role_docs(copy, "--check") == ""
    assert (
        "| `zookeeper_foo` | int | `7` | What foo is. |" in (copy / "roles/zookeeper/README.md").read_text()
    )
    written = runpy.run_path(str(copy / TABLE))["lines"]("ticks", DEFAULTS | {"zookeeper_foo": 7})
    assert written[:3] == ["tickTime=1000", "foo=7", "initLimit=20"]
