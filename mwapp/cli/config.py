"""The config file: defaults for any option, for all commands or for one.

Its settings become the defaults of the command that is run; which keys there are, the options tell
(mwapp/cli/options.py).
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import click

from mwapp.errors import BadInputError

DEFAULT_CONFIG = Path("/etc/mwapp/mwapp.toml")


def load(ctx: click.Context, _param: click.Parameter, path: Path | None) -> Path | None:
    """Make the file's settings the defaults of this command."""
    if path is None:
        if not DEFAULT_CONFIG.is_file() or ctx.resilient_parsing:
            return None
        path = DEFAULT_CONFIG
    ctx.default_map = read(path, ctx)
    return path


def read(path: Path, ctx: click.Context) -> dict[str, Any]:
    """What the file sets for this command: its top level, overridden by the command's own table.

    Raises:
        BadInputError: it cannot be read, or has an unknown key.
    """
    import tomllib  # seldom needed

    try:
        document = tomllib.loads(path.read_text())
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else problem
        if isinstance(problem, PermissionError):
            reason = f"{reason}; run mwapp as root (sudo mwapp ...), or give a file of your own with --config"
        raise BadInputError(f"--config: cannot read {path}: {reason}") from None
    names = _commands(ctx)
    found: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, dict):
            _check(name, names, f"table [{name}]", path)
            for key in value:
                _check(_normal(key), _keys(ctx, name), f"key {key!r} of table [{name}]", path)
            if name == _name(ctx):
                own = {_normal(key): setting for key, setting in value.items()}
        else:
            if _normal(name) not in _keys(ctx, _name(ctx)):  # do not import other commands for it
                known = {key for other in names for key in _keys(ctx, other)}
                _check(_normal(name), known, f"key {name!r}", path)
            found[_normal(name)] = value
    return found | own


def _commands(ctx: click.Context) -> list[str]:
    """The names of all commands."""
    group = ctx.find_root().command
    return group.list_commands(ctx) if isinstance(group, click.Group) else [_name(ctx)]


def _name(ctx: click.Context) -> str:
    """This command's, which is that of its group, such as shards of `mwapp shards move`."""
    while ctx.parent is not None and ctx.parent.parent is not None:
        ctx = ctx.parent
    return str(ctx.info_name)


def _keys(ctx: click.Context, name: str) -> set[str]:
    """The keys that a command knows, or one of a group of commands."""
    group = ctx.find_root().command
    command = group.get_command(ctx, name) if isinstance(group, click.Group) else ctx.command
    parts = list(command.commands.values()) if isinstance(command, click.Group) else [command]
    params = [param for part in parts if part is not None for param in part.params]
    return {p.name for p in params if isinstance(p, click.Option) and p.name and p.envvar} - {"config"}


def _normal(key: str) -> str:
    return key.replace("-", "_")


def _check(name: str, known: Collection[str], what: str, path: Path) -> None:
    if name in known:
        return
    import difflib  # seldom needed

    near = difflib.get_close_matches(name, known, 1, 0)
    raise BadInputError(f"--config: {path}: unknown {what}; did you mean {near[0] if near else 'another'!r}?")
