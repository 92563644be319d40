#!/usr/bin/env python3
"""Writes the tables of entry points and variables into each role's README.md, from its argument_specs.yml.

With --check nothing is written: it says what is stale, and where the specification, the defaults, and what
uses the variables disagree.
"""

from __future__ import annotations

import re
import runpy
import sys
from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).parents[1] / "roles"
BEGIN = "<!-- Made from meta/argument_specs.yml by `make docs`: change it there. -->\n"
END = "<!-- Here ends what is made. -->\n"

Options = Mapping[str, Mapping[str, Any]]
Specs = Mapping[str, Mapping[str, Any]]  # by entry point


def disagreements(role: str, options: Options, defaults: Mapping[str, Any]) -> list[str]:
    """Where a specification and the defaults do not say the same: keys, values, or their types.

    An option without default is either required or computed: from a template in the defaults, or by the role.
    """
    found = []
    for name, value in defaults.items():
        if name not in options:
            found.append(
                f"{name} has a default, but no specification: describe it in meta/argument_specs.yml."
            )
        elif "default" in options[name] and not _same(options[name]["default"], value):
            found.append(
                f"{name} is {value!r} in defaults/main.yml, but {options[name]['default']!r} in "
                "meta/argument_specs.yml: make them the same."
            )
        elif "default" not in options[name] and not _is_template(value):
            found.append(f"{name} lacks `default: {value!r}` in meta/argument_specs.yml.")
        elif _is_template(value) and "By default" not in str(options[name].get("description")):
            found.append(
                f"{name} is computed: say in its description what it is by default (`By default ...`)."
            )
    for name, option in options.items():
        if "default" in option and name not in defaults:
            found.append(
                f"{name} has a default in meta/argument_specs.yml: write it to defaults/main.yml, too."
            )
        if not name.startswith(f"{role}_"):
            found.append(f"{name} must begin with {role}_, as Ansible's variables are known everywhere.")
        found += [f"{name} has no {key} in meta/argument_specs.yml." for key in ("type", "description")
                  if not option.get(key)]  # fmt: skip
    return found


def _same(one: Any, other: Any) -> bool:
    """Equal in type, too: 6 is not 6.0, nor true 1."""
    return type(one) is type(other) and one == other


def _is_template(value: Any) -> bool:
    return isinstance(value, str) and "{{" in value


def misnamed(tasks: Iterable[str], specs: Specs) -> list[str]:
    """Files of tasks that are not named as what they are.

    An entry point, which a play names in ``tasks_from``, has a specification. The other names begin with an
    underscore.
    """
    named = {name for name in tasks if not name.startswith("_")}
    found = [
        f"tasks/{name}.yml is not in meta/argument_specs.yml: specify it there; or, if it is no entry point, "
        f"call it _{name}.yml."
        for name in sorted(named - specs.keys())
    ]
    return found + [
        f"{name} is an entry point in meta/argument_specs.yml: write tasks/{name}.yml."
        for name in sorted(specs.keys() - named)
    ]


def unlike_main(specs: Specs) -> list[str]:
    """Variables that another entry point describes otherwise than main does."""
    return [
        f"{option} of {name} in meta/argument_specs.yml is not that of main: make it an alias (*) of it."
        for name, spec in specs.items()
        for option, described in spec["options"].items()
        if described != specs["main"]["options"].get(option)
    ]


def unspecified(settings: Path, options: Options) -> list[str]:
    """Where a role's table of settings says something else than its specification."""
    found = []
    for setting in runpy.run_path(str(settings))["SETTINGS"]:
        name, option = setting.variable, options.get(setting.variable)
        if option is None:
            found.append(f"{name} is in {settings.name}: describe it in meta/argument_specs.yml, too.")
        elif "default" not in option:
            found.append(f"{name} is in {settings.name}: give it a default in meta/argument_specs.yml.")
        elif option.get("type") != setting.type:
            found.append(
                f"{name} is of type {setting.type} in {settings.name}, but {option.get('type')} in "
                "meta/argument_specs.yml: make them the same."
            )
    return found


def unused(files: Iterable[Path], options: Options) -> list[str]:
    """Variables that are specified, and do nothing."""
    words = set(chain(*(re.findall(r"\w+", file.read_text()) for file in files)))
    return [
        f"{name} is in meta/argument_specs.yml, but nothing uses it: name it in the role or its plugins "
        "(for a key of zoo.cfg, in plugins/module_utils/zookeeper_settings.py)."
        for name in options
        if name not in words
    ]


def entry_points(specs: Specs) -> str:
    """What a play may name in ``tasks_from``, as Markdown."""
    rows = ["| entry point | what it does | variables |", "|---|---|---|"]
    for name, spec in specs.items():
        every = spec["options"] == specs["main"]["options"]
        variables = "all" if every else ", ".join(f"`{option}`" for option in spec["options"]) or "none"
        rows.append(f"| `{name}` | {_meaning(spec)} | {variables} |")
    return "".join(f"{row}\n" for row in [*rows, ""])


def table(options: Options, defaults: Mapping[str, Any]) -> str:
    """The variables as Markdown, in the order of the specification."""
    rows = ["| variable | type | default | meaning |", "|---|---|---|---|"]
    for name, option in options.items():
        kind = option["type"] + (f" of {option['elements']}" if "elements" in option else "")
        rows.append(f"| `{name}` | {kind} | {_default(name, option, defaults)} | {_meaning(option)} |")
    return "".join(f"{row}\n" for row in rows)


def _default(name: str, option: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    if "default" not in option:
        return "computed" if name in defaults else "required" if option.get("required") else "none"
    value = option["default"]
    if isinstance(value, str):
        return f"`{value}`" if value else "empty"
    text = yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("...\n").strip()
    return f"`{text}`"


def _meaning(option: Mapping[str, Any]) -> str:
    said = option["description"]
    text = " ".join(" ".join(said if isinstance(said, list) else [said]).split())
    text = re.sub(r"\b[CVOM]\(([^)]*)\)", r"`\1`", text)  # Ansible's markup
    if "choices" in option:
        choices = ", ".join(f"`{choice}`" for choice in option["choices"])
        text += f" {'Any' if 'elements' in option else 'One'} of {choices}."
    return text.replace("|", "\\|")


def renewed(readme: str, tables: str) -> str:
    """The README with these tables between its marks.

    Raises:
        ValueError: it lacks a mark.
    """
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"README.md needs these two lines, for the tables to go between:\n{BEGIN}{END}")
    return f"{head}{BEGIN}\n{tables}\n{END}{tail}"


def _load(file: Path) -> Any:
    return yaml.safe_load(file.read_text())


def problems(role: Path, specs: Specs, defaults: Mapping[str, Any]) -> list[str]:
    """Where a role's specifications disagree with the rest of it, whatever its README says."""
    options = specs["main"]["options"]
    plugins = role.parents[1] / "plugins"
    settings = plugins / f"module_utils/{role.name}_settings.py"
    parts = (role.glob(f"{part}/*") for part in ("tasks", "templates", "vars"))
    files = chain(*parts, plugins.glob("*/*.py"))
    return [
        *disagreements(role.name, options, defaults),
        *unused(files, options),
        *(unspecified(settings, options) if settings.exists() else []),
        *misnamed((file.stem for file in role.glob("tasks/*.yml")), specs),
        *unlike_main(specs),
    ]


def check(role: Path, *, write: bool) -> list[str]:
    """What is wrong with a role; a stale README is renewed, or without ``write`` is one more thing wrong."""
    specs = _load(role / "meta/argument_specs.yml")["argument_specs"]
    defaults = _load(role / "defaults/main.yml")
    if found := problems(role, specs, defaults):
        return found
    readme = role / "README.md"
    text = readme.read_text()
    try:
        fresh = renewed(text, entry_points(specs) + table(specs["main"]["options"], defaults))
    except ValueError as problem:
        return [str(problem)]
    if fresh == text:
        return []
    if write:
        readme.write_text(fresh)
        return []
    return ["README.md is older than meta/argument_specs.yml: run `make docs`."]


def main() -> int:
    """Go through all roles; 1 if something is wrong."""
    write = "--check" not in sys.argv[1:]
    wrong = [
        f"roles/{role.name}: {text}"
        for role in sorted(ROLES.iterdir())
        for text in (check(role, write=write) if (role / "meta/argument_specs.yml").exists() else [])
    ]
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
