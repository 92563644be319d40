"""The command `lab`."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import click

from lab import words
from lab.construct import BACKENDS
from lab.core import Lab
from lab.errors import LabError, UnknownError
from lab.spec import DEFAULT_BACKEND, DEFAULT_LAB, DEFAULT_NODES, SUITES, default_lab

_BEGAN = time.monotonic()


def _say(text: str) -> None:
    click.echo(f"[{time.monotonic() - _BEGAN:5.1f} s] {text}", err=True)


def pass_lab(command: Callable[..., None]) -> Callable[..., None]:
    """Call the command with the lab that is meant. ``up`` without a name always means the default lab: it
    must not add nodes to another by accident."""

    @functools.wraps(command)
    @click.pass_context
    def with_lab(context: click.Context, *arguments: Any, **options: Any) -> None:
        name = context.find_root().params.get("name")
        name = name or (DEFAULT_LAB if context.info_name == "up" else default_lab())
        command(Lab(name, say=_say), *arguments, **options)

    return with_lab


def _complete(context: click.Context, _: click.Parameter, begun: str) -> list[str]:
    """The nodes whose names begin like this, and sets of them."""
    before, comma, begun = begun.rpartition(",")
    with contextlib.suppress(LabError):
        nodes = Lab(context.find_root().params.get("name") or default_lab()).nodes
        return [before + comma + name for name in nodes if name.startswith(begun)]
    return []


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--name",
    envvar="LAB",
    show_envvar=True,
    help=f"Which lab. The default is {DEFAULT_LAB!r} if it is up, or else the only lab that is up. If "
    f"several others are up, name one. Without a name, `up` always means {DEFAULT_LAB!r}.",
)
def cli(name: str | None) -> None:
    """Real systemd hosts on this machine, and every way to break them."""


@cli.command()
@click.argument("nodes", nargs=-1, shell_complete=_complete)
@click.option(
    "--suite", type=click.Choice(SUITES), help=f"Debian release of new nodes.  [default: {SUITES[0]}]"
)
@click.option(
    "--backend",
    type=click.Choice(list(BACKENDS)),
    envvar="LAB_BACKEND",
    show_envvar=True,
    help=f"The kind of machines in a new lab.  [default: {DEFAULT_BACKEND}]",
)
@pass_lab
def up(lab: Lab, nodes: tuple[str, ...], suite: str | None, backend: str | None) -> None:
    """Make sure that NODES exist and are on."""
    lab.up(nodes, suite=suite, backend=backend)
    _say(f"{' '.join(lab.nodes)} are up (lab {lab.name!r})")


up.help = f"{up.help}\n\nDefault: {' '.join(DEFAULT_NODES)}. Running nodes are not changed."


@cli.command()
@pass_lab
def down(lab: Lab) -> None:
    """Remove the lab and every trace of it; images stay in the cache."""
    lab.down()
    _say(f"lab {lab.name!r} is gone")


@cli.command()
@click.option("--output", type=click.Choice(["table", "json"]), default="table", show_default=True)
@pass_lab
def status(lab: Lab, output: str) -> None:
    """Show the nodes and the faults in force."""
    rows = lab.status()
    if output == "json":
        click.echo(json.dumps(rows, indent=2))
        return
    for line in words.table(rows):
        click.echo(line)


@cli.command("ssh-config")
@pass_lab
def ssh_config(lab: Lab) -> None:
    """Print the configuration for ssh -F."""
    click.echo((lab.spec.run / "ssh_config").read_text(), nl=False)


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("node", shell_complete=_complete)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@pass_lab
def ssh(lab: Lab, node: str, arguments: tuple[str, ...]) -> None:
    """Log into NODE over SSH, or run a command there; ARGUMENTS go to ssh."""
    config = lab.reachable(node).run / "ssh_config"
    os.execvp("ssh", ["ssh", "-F", str(config), node, *arguments])  # noqa: S606 - no shell is the point


@cli.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("node", shell_complete=_complete)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@pass_lab
def exec_(lab: Lab, node: str, command: tuple[str, ...]) -> None:
    """Run COMMAND on NODE as root, from its console; the exit status is the command's."""
    argv = lab.command(node, command[1:] if command[0] == "--" else command)
    os.execvp(argv[0], argv)  # noqa: S606 - no shell is the point


def _on_node(name: str, does: Callable[[Lab, str], None], said: str, help_: str) -> None:
    """Add a verb that does one thing to each given node."""

    @cli.command(name, help=help_)
    @click.argument("nodes", nargs=-1, shell_complete=_complete, required=True)
    @pass_lab
    def verb(lab: Lab, nodes: tuple[str, ...]) -> None:
        for node in nodes:
            does(lab, node)
            _say(f"{node} {said}")


_on_node("power-cut", Lab.power_cut, "has lost power", "Take the power from NODES: unsynced data is lost.")
_on_node("power-off", Lab.power_off, "is off", "Shut NODES down cleanly.")
_on_node("boot", Lab.boot, "is up", "Switch NODES on again.")
_on_node("freeze", Lab.freeze, "is frozen", "Stop all processes of NODES, as if the machine hung.")
_on_node("thaw", Lab.thaw, "continues", "Let frozen NODES continue.")
_on_node("free-disk", Lab.free_disk, "has its space back", "Undo fill-disk on NODES.")


def _bytes(_: Any, __: Any, value: str) -> int:
    try:
        return words.bytes_of(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@cli.command("fill-disk")
@click.argument("nodes", nargs=-1, shell_complete=_complete, required=True)
@click.option("--leave", metavar="SIZE", default="0", callback=_bytes, help="Leave this much, such as 10M.")
@pass_lab
def fill_disk(lab: Lab, nodes: tuple[str, ...], leave: int) -> None:
    """Fill the disks of NODES: writes get ENOSPC. A disk stays full over boots and power cuts."""
    for node in nodes:
        lab.fill_disk(node, leave=leave)
        _say(f"{node} has {words.size(leave) if leave else 'nothing'} left on its disk")


def _names(_: Any, __: Any, values: tuple[str, ...] | str | None) -> list[str]:
    """Names separated by spaces or commas."""
    given = values.split() if isinstance(values, str) else values or ()
    return [name for value in given for name in value.split(",") if name]


@cli.command()
@click.argument("nodes", nargs=-1, shell_complete=_complete, required=True, callback=_names)
@click.option(
    "--from",
    "other",
    callback=_names,
    shell_complete=_complete,
    help="Only from these, such as zk2,zk3 (or: host).",
)
@click.option("--one-way", is_flag=True, help="Lose only what NODES send.")
@pass_lab
def cut(lab: Lab, nodes: list[str], other: list[str], one_way: bool) -> None:
    """Cut NODES off from all others and this machine. SSH from this machine still works."""
    lab.cut(nodes, other, one_way=one_way)
    _say(f"{' '.join(nodes)} cut off{' one way' if one_way else ''} from {' '.join(other) or 'all others'}")


@cli.command()
@click.argument("nodes", nargs=-1, shell_complete=_complete, required=True, callback=_names)
@click.option("--percent", metavar="N", required=True, type=click.IntRange(0, 100), help="0 undoes it.")
@click.option(
    "--from",
    "other",
    callback=_names,
    shell_complete=_complete,
    help="Only from and to these, such as zk2,zk3 (or: host).",
)
@click.option("--one-way", is_flag=True, help="Lose only packets that NODES send.")
@pass_lab
def loss(lab: Lab, nodes: list[str], percent: int, other: list[str], one_way: bool) -> None:
    """Lose packets at random between NODES and all others and this machine, in each direction."""
    lab.loss(nodes, percent, other, one_way=one_way)
    way = "to" if one_way else "to and from"
    _say(f"{' '.join(nodes)}: {percent} % of packets lost {way} {' '.join(other) or 'all others'}")


@cli.command()
@click.argument("nodes", nargs=-1, shell_complete=_complete, callback=_names)
@click.option(
    "--from",
    "other",
    callback=_names,
    shell_complete=_complete,
    help="Only the faults between NODES and these.",
)
@pass_lab
def heal(lab: Lab, nodes: list[str], other: list[str]) -> None:
    """Undo the cuts and losses that concern NODES, or all."""
    lab.heal(nodes, other)
    _say(f"healed: {' '.join(nodes) or 'all'}")


def main() -> None:
    """Exit status 0 on success, 1 on failure, 2 on wrong usage."""
    try:
        cli()
    except UnknownError as error:
        click.echo(f"lab: {error}", err=True)
        sys.exit(2)
    except LabError as error:
        click.echo(f"lab: {error}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
