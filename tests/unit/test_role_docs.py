"""The roles' READMEs and defaults agree with their specifications, and the check for it can fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.role_docs import (
    BEGIN,
    END,
    ROLES,
    Options,
    Specs,
    check,
    disagreements,
    entry_points,
    misnamed,
    table,
    unlike_main,
    unspecified,
    unused,
)

OPTIONS: dict[str, dict[str, Any]] = {
    "demo_port": {"type": "int", "default": 1, "description": "A port."},
    "demo_words": {
        "type": "list",
        "elements": "str",
        "default": ["a", "b"],
        "description": ["Words, C(a|b).", "More."],
        "choices": ["a", "b"],
    },
    "demo_name": {"type": "str", "description": "By default the host's."},
    "demo_id": {"type": "int", "required": True, "description": "A number."},
}
DEFAULTS: dict[str, Any] = {"demo_port": 1, "demo_words": ["a", "b"], "demo_name": "{{ inventory_hostname }}"}


def test_specification_and_defaults_that_agree() -> None:
    assert disagreements("demo", OPTIONS, DEFAULTS) == []


@pytest.mark.parametrize(
    ("options", "defaults", "word"),
    [
        ({}, {"demo_port": 2}, "demo_port is 2 in defaults"),
        ({}, {"demo_port": True}, "demo_port is True"),
        ({}, {"demo_port": 1.0}, "demo_port is 1.0"),
        ({}, {"demo_more": 1}, "demo_more has a default, but no specification"),
        ({}, {"demo_id": 1}, "demo_id lacks `default: 1`"),
        (
            {"demo_more": {"type": "int", "default": 1, "description": "x"}},
            {},
            "demo_more has a default in meta",
        ),
        (
            {"demo_name": {"type": "str", "description": "A name."}},
            {},
            "demo_name is computed: say in its description",
        ),
        ({"demo_more": {"description": "x"}}, {}, "demo_more has no type"),
        ({"demo_more": {"type": "int"}}, {}, "demo_more has no description"),
        ({"port": {"type": "int", "description": "x"}}, {}, "port must begin with demo_"),
    ],
)
def test_disagreements_are_named(options: dict[str, Any], defaults: dict[str, Any], word: str) -> None:
    (found,) = disagreements("demo", OPTIONS | options, DEFAULTS | defaults)
    assert word in found


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (
            'Setting("demo_more", "int")',
            "demo_more is in demo_settings.py: describe it in meta/argument_specs",
        ),
        (
            'Setting("demo_id", "int")',
            "demo_id is in demo_settings.py: give it a default in meta/argument_specs",
        ),
        (
            'Setting("demo_port", "str")',
            "demo_port is of type str in demo_settings.py, but int in meta/argument",
        ),
    ],
)
def test_a_table_of_settings_that_says_something_else(tmp_path: Path, line: str, said: str) -> None:
    file = tmp_path / "demo_settings.py"
    tuple_ = 'from collections import namedtuple\nSetting = namedtuple("Setting", "variable, type")\n'
    file.write_text(f'{tuple_}SETTINGS = (Setting("demo_port", "int"), {line})\n')
    (found,) = unspecified(file, OPTIONS)
    assert found.startswith(said)


def test_a_variable_that_nothing_uses(tmp_path: Path) -> None:
    file = tmp_path / "main.yml"
    file.write_text("{{ demo_port }} {{ demo_words_of_another }} {{ demo_name }} {{ demo_id }}")
    (found,) = unused([file], OPTIONS)
    assert found.startswith("demo_words is in meta/argument_specs.yml, but nothing uses it")


def specs(**others: Options) -> Specs:
    points = {"main": OPTIONS, **others}
    return {name: {"description": f"Does {name}.", "options": options} for name, options in points.items()}


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        (
            ["main", "reset", "_look", "look"],
            "tasks/look.yml is not in meta/argument_specs.yml: specify it there",
        ),
        (["main", "_reset"], "reset is an entry point in meta/argument_specs.yml: write tasks/reset.yml"),
    ],
)
def test_a_file_of_tasks_that_is_not_named_as_what_it_is(tasks: list[str], said: str) -> None:
    assert misnamed(["main", "reset", "_look"], specs(reset={})) == []
    (found,) = misnamed(tasks, specs(reset={}))
    assert found.startswith(said)


@pytest.mark.parametrize("option", ["demo_port", "demo_more"])
def test_a_variable_is_the_same_at_every_entry_point(option: str) -> None:
    assert unlike_main(specs(reset={"demo_port": OPTIONS["demo_port"]}, status=OPTIONS)) == []
    (found,) = unlike_main(specs(reset={option: {"type": "int", "description": "x"}}))
    assert found.startswith(f"{option} of reset in meta/argument_specs.yml is not that of main")


def test_the_entry_points() -> None:
    points = specs(status=OPTIONS, reset={"demo_port": OPTIONS["demo_port"]}, purge={})
    assert entry_points(points).splitlines()[2:] == [
        "| `main` | Does main. | all |",
        "| `status` | Does status. | all |",
        "| `reset` | Does reset. | `demo_port` |",
        "| `purge` | Does purge. | none |",
        "",
    ]


def test_the_table() -> None:
    assert table(OPTIONS, DEFAULTS).splitlines()[2:] == [
        "| `demo_port` | int | `1` | A port. |",
        "| `demo_words` | list of str | `[a, b]` | Words, `a\\|b`. More. Any of `a`, `b`. |",
        "| `demo_name` | str | computed | By default the host's. |",
        "| `demo_id` | int | required | A number. |",
    ]


def test_a_stale_readme_is_found_and_renewed(tmp_path: Path) -> None:
    role = tmp_path / "roles/demo"
    for name, content in (
        ("meta/argument_specs", specs()),
        ("defaults/main", DEFAULTS),
    ):
        (role / name).parent.mkdir(parents=True)
        data = {"argument_specs": content} if name.startswith("meta") else content
        (role / f"{name}.yml").write_text(yaml.safe_dump(data, sort_keys=False))
    (role / "tasks").mkdir()
    (role / "tasks/main.yml").write_text(f"- debug: {{msg: {' '.join(OPTIONS)}}}\n")
    readme = role / "README.md"
    readme.write_text("no marks\n")
    assert "needs these two lines" in check(role, write=True)[0]
    readme.write_text(f"# demo\n\n{BEGIN}{END}\nThe end.\n")
    assert "run `make docs`" in check(role, write=False)[0]
    assert check(role, write=True) == check(role, write=False) == []
    assert "| `demo_port` |" in readme.read_text()
    assert readme.read_text().endswith("\nThe end.\n")
    readme.write_text(readme.read_text().replace("A port.", "Another port."))
    assert check(role, write=False)


@pytest.mark.parametrize("role", sorted(ROLES.iterdir()), ids=lambda role: role.name)
def test_our_roles(role: Path) -> None:
    assert check(role, write=False) == []
