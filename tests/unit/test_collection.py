"""The checkout is a collection: its names are those of the collection everywhere, and it travels whole."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import jinja2
import pytest
import yaml
from jinja2 import nodes

from tests.unit.zookeeper_role import PROJECT, load_file

COLLECTION = "zklab.zookeeper"
IMPORTS = "ansible_collections.zklab.zookeeper.plugins.module_utils"
PLUGINS = PROJECT / "plugins"


def stems(kind: str) -> set[str]:
    """The names of our Python files of this kind of plugin."""
    return {file.stem for file in (PLUGINS / kind).glob("*.py")}


ROLES = {directory.name for directory in (PROJECT / "roles").iterdir()}
MODULES, UTILS, LOOKUPS = stems("modules"), stems("module_utils"), stems("lookup")
FILTERS = set(chain(*(load_file(f"filter/{name}.py").FilterModule().filters() for name in stems("filter"))))

# ------------------------------------------------------------ names


def in_tasks(tasks: list[dict[str, Any]]) -> Iterator[str]:
    """Modules and roles of ours that these tasks, or plays, call by a short name."""
    for task in tasks:
        yield from MODULES & task.keys()
        for key in ("include_role", "import_role"):
            yield from ROLES & {(task.get(f"ansible.builtin.{key}") or {}).get("name")}
        for role in task.get("roles", ()):
            yield from ROLES & {role if isinstance(role, str) else role.get("role", role.get("name"))}
        for key in ("tasks", "pre_tasks", "post_tasks", "handlers", "block", "rescue", "always"):
            yield from in_tasks(task.get(key) or [])


def texts(tree: Any) -> Iterator[str]:
    """All text in what a YAML file says."""
    if isinstance(tree, dict):
        yield from chain(*map(texts, tree.values()))
    elif isinstance(tree, list):
        yield from chain(*map(texts, tree))
    elif isinstance(tree, str):
        yield tree


def in_template(text: str) -> set[str]:
    """Filters and lookups of ours that a template calls by a short name, or names in ``map`` and its like."""
    tree = jinja2.Environment(extensions=["jinja2.ext.loopcontrols"]).parse(text)  # noqa: S701 - parses only
    called = {node.name for node in tree.find_all(nodes.Filter)}
    called |= {node.value for node in tree.find_all(nodes.Const) if isinstance(node.value, str)}
    return called & (FILTERS | LOOKUPS)


def in_python(text: str) -> Iterator[str]:
    """Imports of ours from elsewhere than the collection, and modules called by a short name."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module:
            package, _, name = node.module.rpartition(".")
            yield from UTILS & {name} if package != IMPORTS else ()
        if (
            isinstance(node, ast.keyword)
            and node.arg == "module_name"
            and isinstance(node.value, ast.Constant)
        ):
            yield from MODULES & {node.value.value}
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "EXAMPLES":
            yield from in_tasks(yaml.safe_load(ast.literal_eval(node.value)))


def in_yaml(path: str, text: str) -> Iterator[str]:
    """In a file of a role, or a playbook."""
    tree = yaml.safe_load(text)
    if "/tasks/" in path or path.startswith("playbooks/"):
        yield from in_tasks(tree)
    yield from chain(*map(in_template, texts(tree)))


def short_names(path: str, text: str) -> set[str]:
    """Names of ours that stand in a file without the collection's."""
    if path.endswith(".py"):
        return set(in_python(text))
    return set(in_yaml(path, text)) if path.endswith(".yml") else in_template(text)


FILES = [
    str(path.relative_to(PROJECT))
    for pattern in ("roles/*/*/*.yml", "roles/*/templates/*", "playbooks/*.yml", "plugins/*/*.py")
    for path in sorted(PROJECT.glob(pattern))
]


@pytest.mark.parametrize("path", FILES)
def test_what_is_ours_is_called_by_its_full_name(path: str) -> None:
    assert short_names(path, (PROJECT / path).read_text()) == set()


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        ("roles/x/tasks/x.yml", "- zookeeper_gate: {timeout: 1}", "zookeeper_gate"),
        ("roles/x/tasks/x.yml", "- block: [{always: [{mwapp_service: }]}]", "mwapp_service"),
        ("roles/x/tasks/x.yml", "- ansible.builtin.debug: {msg: '{{ 1 | status_table }}'}", "status_table"),
        ("roles/x/vars/x.yml", "x: ['{{ y | map(\"zookeeper_voter_stages\") }}']", "zookeeper_voter_stages"),
        ("roles/x/templates/x.j2", "{% for x in y | zookeeper_seen(z) %}{% endfor %}", "zookeeper_seen"),
        ("roles/x/vars/x.yml", "x: '{{ lookup(\"zookeeper_settings\") }}'", "zookeeper_settings"),
        ("playbooks/x.yml", "- roles: [{role: zookeeper}]", "zookeeper"),
        ("playbooks/x.yml", "- roles: [mwapp]", "mwapp"),
        ("playbooks/x.yml", "- tasks: [{ansible.builtin.include_role: {name: mwapp}}]", "mwapp"),
        ("plugins/x.py", "from ansible.module_utils.zookeeper_rules import PORTS", "zookeeper_rules"),
        ("plugins/x.py", "self._execute_module(module_name='zookeeper_archive')", "zookeeper_archive"),
        ("plugins/x.py", "EXAMPLES = '- zookeeper_files: {}'", "zookeeper_files"),
    ],
)
def test_a_short_name_is_found(path: str, text: str, found: str) -> None:
    assert short_names(path, text) == {found}


# ------------------------------------------------------------ what travels


def tool(name: str, *arguments: str) -> str:
    """What a tool of the newest ansible-core says, as it is without a configuration."""
    tools = Path(sys.executable).parent
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    environment |= {
        "PATH": f"{tools}:{environment['PATH']}",
        "ANSIBLE_COLLECTIONS_PATH": str(PROJECT / "playbooks/collections"),
    }
    command = [str(tools / name) if "/" not in name else name, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def travelling(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """The files of the collection, as it is built."""
    directory = tmp_path_factory.mktemp("collection")
    tool(str(PROJECT / "scripts/collection"), str(directory))
    (file,) = directory.iterdir()
    with tarfile.open(file) as archive:
        return {member.name for member in archive if member.isfile()}


@pytest.mark.processes
def test_what_a_controller_needs_travels_and_nothing_else(travelling: set[str]) -> None:
    made = {"MANIFEST.json", "FILES.json"}
    documents = {"README.md", "LICENSE", "CHANGELOG.md", "docs", "examples"}
    application = {"mwapp", "pyproject.toml", "requirements.txt", "constraints.txt"}
    whole = {"meta", "playbooks", "plugins", "roles"}
    assert {name.partition("/")[0] for name in travelling} == made | documents | application | whole
    assert {name for name in travelling if name.startswith("playbooks/")} == {
        f"playbooks/{path.name}" for path in (PROJECT / "playbooks").glob("*.yml")
    }


@pytest.mark.processes
@pytest.mark.parametrize("top", ["mwapp", "plugins", "roles"])
def test_all_of_it_travels(travelling: set[str], top: str) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", top], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert {name for name in travelling if name.startswith(f"{top}/")} == set(tracked.stdout.split())


# ------------------------------------------------------------ what it says of itself


def test_its_version_is_that_of_the_application_and_what_people_are_told_to_install() -> None:
    version = yaml.safe_load((PROJECT / "galaxy.yml").read_text())["version"]
    for file in ("pyproject.toml", "lab/pyproject.toml"):
        assert tomllib.loads((PROJECT / file).read_text())["project"]["version"] == version
    readme = (PROJECT / "README.md").read_text()
    assert set(re.findall(r"(?:zklab\S*[-,@]v?|version: v?)(\d+\.\d+\.\d+)", readme)) == {version}
    (newest, *_) = re.findall(r"^## (\d\S*)", (PROJECT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest == version


def test_what_people_are_told_to_install_needs_no_tag() -> None:
    """A clone may have none, and ansible-galaxy fails for one that is not there."""
    readme = (PROJECT / "README.md").read_text()
    assert re.findall(r"git\+https://\S+", readme) == ["git+https://git.example.com/zklab.git"]
    assert "    version: main #" in readme
    assert "git checkout v" not in readme


@pytest.mark.processes
def test_ansible_doc_shows_every_plugin() -> None:
    shown = json.loads(tool("ansible-doc", "--metadata-dump", COLLECTION))["all"]
    for kind, names in {"module": MODULES, "filter": FILTERS, "lookup": LOOKUPS}.items():
        assert shown[kind].keys() == {f"{COLLECTION}.{name}" for name in names}
        for plugin in shown[kind].values():
            assert plugin["doc"]["description"]
            assert plugin["examples"]
            assert plugin["return"]
