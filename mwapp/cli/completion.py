"""mwapp completion."""

import click
from click.shell_completion import get_completion_class

from mwapp.cli.streams import show

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script that adds completion to SHELL.

    It completes commands, options and the names of tasks.

    \b
    Examples:
      eval "$(mwapp completion bash)"           # in ~/.bashrc
      eval "$(mwapp completion zsh)"            # in ~/.zshrc, after compinit
      mwapp completion fish > ~/.config/fish/completions/mwapp.fish
    """
    root = ctx.find_root()
    script = get_completion_class(shell)
    assert script is not None  # noqa: S101 - SHELLS are those that click knows; tells mypy
    show(script(root.command, {}, "mwapp", "_MWAPP_COMPLETE").source())
